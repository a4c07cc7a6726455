"""Who may: signatures in headers and links, times, and what is public."""
import base64
import datetime
import hashlib
import json
import os
import subprocess
import urllib.error
import urllib.request

import pytest

from daemon import BUILD
from raw_s3 import EMPTY_SHA256, RawS3
from s3_expect import all_keys, refused

def now():
    return datetime.datetime.now(datetime.timezone.utc)

MINUTE = datetime.timedelta(minutes=1)


def outcome(answer):
    return answer.status, answer.code()


@pytest.fixture
def stored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"stored")
    return "/%s/k" % bucket


def test_a_wrong_secret_is_a_wrong_signature(daemon, stored):
    stranger = RawS3(daemon, secret_key="wrong" * 8)
    for method, body in (("GET", b""), ("PUT", b"x"), ("DELETE", b"")):
        assert outcome(stranger.request(method, stored, body=body)) == (403, "SignatureDoesNotMatch")
    assert RawS3(daemon).request("GET", stored).body == b"stored"


def test_an_unknown_key_is_refused(daemon, stored):
    stranger = RawS3(daemon, access_key="AKIAIOSFODNN7EXAMPLE")
    for method, body in (("GET", b""), ("PUT", b"x"), ("DELETE", b"")):
        assert outcome(stranger.request(method, stored, body=body)) == (403, "InvalidAccessKeyId")
    assert RawS3(daemon).request("GET", stored).body == b"stored"


def test_another_region_is_named_in_the_refusal(daemon, stored):
    answer = RawS3(daemon, region="mars-north-7").request("GET", stored)
    assert outcome(answer) == (400, "AuthorizationHeaderMalformed")
    assert answer.root().findtext("Region") == "us-east-1"


@pytest.mark.parametrize("skew, status", [(-16, 403), (-14, 200), (14, 200), (16, 403)])
def test_a_clock_may_be_fifteen_minutes_off(raw, stored, skew, status):
    answer = raw.request("GET", stored, now=now() + skew * MINUTE)
    assert answer.status == status
    assert status == 200 or answer.code() == "RequestTimeTooSkewed"


@pytest.mark.parametrize("change", ["path", "query", "header", "method", "date"])
def test_whatever_is_signed_cannot_be_changed(raw, s3, bucket, stored, change):
    s3.put_object(Bucket=bucket, Key="other", Body=b"other")
    headers = {"x-amz-meta-a": "1", "content-length": "0"}
    method, target = "PUT", "/%s/new" % bucket
    raw.sign(method, target, [], headers, EMPTY_SHA256)
    if change == "path":
        target = "/%s/other" % bucket
    elif change == "query":
        target += "?x=1"
    elif change == "header":
        headers["x-amz-meta-a"] = "2"
    elif change == "method":
        method = "DELETE"
    else:
        headers["x-amz-date"] = (now() - MINUTE).strftime("%Y%m%dT%H%M%SZ")
    assert outcome(raw.send(method, target, headers)) == (403, "SignatureDoesNotMatch")
    assert all_keys(s3, bucket) == ["k", "other"]


def test_an_amazon_header_that_was_added_after_signing_is_refused(raw, s3, bucket):
    headers = {"content-length": "0"}
    raw.sign("PUT", "/%s/new" % bucket, [], headers, EMPTY_SHA256)
    headers["x-amz-acl"] = "public-read"
    assert raw.send("PUT", "/%s/new" % bucket, headers).status == 403
    assert all_keys(s3, bucket) == []


@pytest.mark.parametrize("text", [
    "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=host,Signature=00",
    "AWS4-HMAC-SHA256 Credential=AKID/20300101/us-east-1/s3/aws4_request,Signature=00", "AWS AKID:signature", "Basic dXNlcjpwYXNz", "Bearer token",
    "AWS4-HMAC-SHA256 " + "x" * 4000,
])
def test_an_authorization_that_cannot_be_read_is_refused(raw, stored, text):
    headers = {"authorization": text, "x-amz-date": now().strftime("%Y%m%dT%H%M%SZ"), "x-amz-content-sha256": EMPTY_SHA256}
    answer = raw.send("GET", stored, headers)
    assert answer.status in (400, 403) and answer.code() and b"stored" not in answer.body


# --- nobody


def test_nobody_may_do_nothing_with_what_is_private(raw, s3, bucket, stored):
    for method, path, query in (("GET", "/", {}), ("GET", "/" + bucket, {}), ("GET", stored, {}), ("PUT", "/%s/new" % bucket, {}), ("DELETE", stored, {}),
                                ("PUT", "/" + bucket + "-new", {}), ("DELETE", "/" + bucket, {}),
                                ("POST", "/%s/new" % bucket, {"uploads": ""}), ("GET", "/" + bucket, {"acl": ""}), ("PUT", stored, {"acl": ""})):
        answer = raw.request(method, path, query, anonymous=True)
        assert outcome(answer) == (403, "AccessDenied"), (method, path, query)
    answer = raw.request("HEAD", stored, anonymous=True)
    assert (answer.status, answer.body) == (403, b"")
    assert all_keys(s3, bucket) == ["k"]


def test_nobody_may_not_delete_many(raw, s3, bucket, stored):
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    answer = raw.request("POST", "/" + bucket, {"delete": ""}, headers, body, anonymous=True)
    assert answer.status == 403 or [error.findtext("Code") for error in answer.root()] == ["AccessDenied"]
    assert all_keys(s3, bucket) == ["k"]


def test_a_public_object_is_read_by_everybody_and_changed_by_nobody(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="public", Body=b"for all", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="private", Body=b"for me")
    path = "/%s/public" % bucket
    assert raw.request("GET", path, anonymous=True).body == b"for all"
    assert raw.request("HEAD", path, anonymous=True).status == 200
    assert raw.request("GET", path, headers={"range": "bytes=4-"}, anonymous=True).body == b"all"
    assert outcome(raw.request("GET", "/%s/private" % bucket, anonymous=True)) == (403, "AccessDenied")
    for method in ("PUT", "DELETE"):
        assert outcome(raw.request(method, path, anonymous=True)) == (403, "AccessDenied")
    assert outcome(raw.request("GET", path, {"acl": ""}, anonymous=True)) == (403, "AccessDenied")
    s3.put_object_acl(Bucket=bucket, Key="public", ACL="private")
    assert outcome(raw.request("GET", path, anonymous=True)) == (403, "AccessDenied")


def test_an_overwrite_does_not_inherit_the_acl(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert outcome(raw.request("GET", "/%s/k" % bucket, anonymous=True)) == (403, "AccessDenied")


def test_a_public_bucket_is_listed_by_everybody_but_its_objects_stay_private(raw, s3, bucket_name):
    s3.create_bucket(Bucket=bucket_name, ACL="public-read")
    s3.put_object(Bucket=bucket_name, Key="k", Body=b"mine")
    listed = raw.request("GET", "/" + bucket_name, {"list-type": "2"}, anonymous=True)
    assert listed.root().findtext("Contents/Key") == "k"
    assert outcome(raw.request("GET", "/%s/k" % bucket_name, anonymous=True)) == (403, "AccessDenied")
    assert outcome(raw.request("GET", "/%s/none" % bucket_name, anonymous=True)) == (404, "NoSuchKey")
    assert outcome(raw.request("PUT", "/%s/new" % bucket_name, anonymous=True)) == (403, "AccessDenied")
    s3.put_bucket_acl(Bucket=bucket_name, ACL="private")
    assert outcome(raw.request("GET", "/" + bucket_name, anonymous=True)) == (403, "AccessDenied")


def test_whether_a_key_is_there_is_hidden_from_who_may_not_list(raw, stored, bucket):
    there = raw.request("GET", stored, anonymous=True)
    missing = raw.request("GET", "/%s/none" % bucket, anonymous=True)
    assert outcome(there) == outcome(missing) == (403, "AccessDenied")


def test_an_acl_document_reads_back_as_what_it_says(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    acl = s3.get_object_acl(Bucket=bucket, Key="k")
    grants = {(grant["Grantee"].get("URI", "owner"), grant["Permission"]) for grant in acl["Grants"]}
    assert grants == {("owner", "FULL_CONTROL"), ("http://acs.amazonaws.com/groups/global/AllUsers", "READ")}
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    s3.put_object_acl(Bucket=bucket, Key="other", AccessControlPolicy={"Grants": acl["Grants"], "Owner": acl["Owner"]})
    assert s3.get_object_acl(Bucket=bucket, Key="other")["Grants"] == acl["Grants"]


@pytest.mark.parametrize("acl, status, code", [
    ("public-read-write", 501, "NotImplemented"), ("authenticated-read", 501, "NotImplemented"), ("everything-for-me", 400, "InvalidArgument"),
])
def test_acls_that_are_not_built_are_refused(s3, raw, bucket, acl, status, code):
    assert outcome(raw.request("PUT", "/%s/k" % bucket, headers={"x-amz-acl": acl})) == (status, code)
    assert outcome(raw.request("PUT", "/%s-other" % bucket, headers={"x-amz-acl": acl})) == (status, code)
    assert all_keys(s3, bucket) == []


ALL_USERS = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
SIGNED_USERS = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"}
STRANGER = {"Type": "CanonicalUser", "ID": "f" * 64}


@pytest.mark.parametrize("owner, grants, status, code", [
    (None, [(ALL_USERS, "WRITE")], 501, "NotImplemented"), (None, [(SIGNED_USERS, "READ")], 501, "NotImplemented"),
    (None, [(STRANGER, "READ")], 501, "NotImplemented"), (None, [(STRANGER, "FULL_CONTROL")], 501, "NotImplemented"),
    (None, [(ALL_USERS, "LOOK")], 400, "MalformedACLError"), ("f" * 64, [(ALL_USERS, "READ")], 403, "AccessDenied"),
], ids=lambda value: str(value) if isinstance(value, (int, str)) else "")
def test_acl_documents_that_say_what_is_not_built_change_nothing(s3, bucket, stored, owner, grants, status, code):
    acl = s3.get_bucket_acl(Bucket=bucket)
    grants = acl["Grants"] + [{"Grantee": who, "Permission": what} for who, what in grants]
    policy = {"Owner": {"ID": owner} if owner else acl["Owner"], "Grants": grants}
    with refused(status, code):
        s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=policy)
    with refused(status, code):
        s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy)
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Grants"] == s3.get_bucket_acl(Bucket=bucket)["Grants"] == acl["Grants"]


def test_an_acl_that_is_set_leaves_the_object_as_it_was(s3, bucket):
    """Its time is compared in a listing, which has more than whole seconds."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b"}, ContentType="text/x")

    def state():
        head = s3.head_object(Bucket=bucket, Key="k")
        return s3.list_objects_v2(Bucket=bucket)["Contents"], head["Metadata"], head["ContentType"]

    before = state()
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert state() == before


# --- links


def fetch(url, method="GET", data=None, headers=None):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, data=data, headers=headers or {})) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_link_reads_its_object_and_nothing_else(s3, bucket, stored):
    s3.put_object(Bucket=bucket, Key="other", Body=b"other")
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    assert fetch(url) == (200, b"stored")
    assert fetch(url, headers={"Range": "bytes=0-1"}) == (206, b"st")
    status, body = fetch(url.replace("/k?", "/other?"))
    assert status == 403 and b"SignatureDoesNotMatch" in body
    status, body = fetch(url, "DELETE")
    assert status == 403 and b"SignatureDoesNotMatch" in body
    status, body = fetch(url + "&response-content-type=text/html")
    assert status == 403


def test_a_link_uploads_its_object(s3, bucket):
    url = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "up \u00e9", "ContentType": "text/x", "Metadata": {"a": "1"}})
    assert fetch(url, "PUT", b"uploaded", {"Content-Type": "text/x", "x-amz-meta-a": "1"})[0] == 200
    got = s3.get_object(Bucket=bucket, Key="up \u00e9")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"uploaded", "text/x", {"a": "1"})
    status, _ = fetch(url, "PUT", b"again", {"Content-Type": "text/other", "x-amz-meta-a": "1"})
    assert status == 403
    assert s3.get_object(Bucket=bucket, Key="up \u00e9")["Body"].read() == b"uploaded"


@pytest.mark.parametrize("age, expires, status", [(9, 600, 200), (11, 600, 403), (-14, 600, 200), (-20, 600, 403), (60 * 24 * 6, 604800, 200)])
def test_a_link_ends_when_it_says(raw, stored, age, expires, status):
    answer = raw.send("GET", raw.presign("GET", stored, expires=expires, now=now() - age * MINUTE), {})
    assert answer.status == status, answer
    assert status == 200 or answer.code() == "AccessDenied"


@pytest.mark.parametrize("expires", ["0", "-1", "604801", "soon", ""])
def test_a_link_lives_a_second_to_a_week(raw, stored, expires):
    answer = raw.send("GET", raw.presign("GET", stored, expires=expires), {})
    assert answer.status in (400, 403) and answer.code() in ("AuthorizationQueryParametersError", "AccessDenied")


def test_a_signature_in_header_and_link_at_once_is_refused(raw, stored):
    target = raw.presign("GET", stored)
    headers = {}
    raw.sign("GET", stored, [], headers, EMPTY_SHA256)
    assert raw.send("GET", target, headers).status == 400


def test_response_overrides_need_a_signature(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    answer = raw.request("GET", "/%s/k" % bucket, {"response-content-type": "text/html"}, anonymous=True)
    assert outcome(answer) == (400, "InvalidRequest")
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k", "ResponseContentType": "text/html"})
    with urllib.request.urlopen(url) as answer:
        assert answer.headers["Content-Type"] == "text/html"


def test_an_unsigned_payload_is_taken_when_it_says_so(raw, s3, bucket):
    assert raw.request("PUT", "/%s/k" % bucket, body=b"any", payload="UNSIGNED-PAYLOAD").status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"any"


@pytest.mark.parametrize("payload", ["UNSIGNED", "abc", "STREAMING-SOMETHING", hashlib.sha256(b"").hexdigest().upper()[:-1] + "Z"])
def test_a_payload_hash_that_is_none_is_refused(raw, s3, bucket, payload):
    answer = raw.request("PUT", "/%s/k" % bucket, body=b"any", payload=payload)
    assert answer.status in (400, 501)
    assert all_keys(s3, bucket) == []


def test_the_expected_owner_is_checked(raw, s3, bucket, stored):
    owner = s3.list_buckets()["Owner"]["ID"]
    assert raw.request("GET", stored, headers={"x-amz-expected-bucket-owner": owner}).status == 200
    assert outcome(raw.request("GET", stored, headers={"x-amz-expected-bucket-owner": "0" * 12})) == (403, "AccessDenied")
    assert outcome(raw.request("DELETE", stored, headers={"x-amz-expected-bucket-owner": "0" * 12})) == (403, "AccessDenied")
    with refused(403):
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="0" * 12)
    assert all_keys(s3, bucket) == ["k"]


def test_a_limited_key_lists_and_reads_only_its_prefix(daemon, s3, bucket):
    restfs = os.path.join(BUILD, "restfs")
    made = json.loads(subprocess.run([restfs, "--data", daemon.data, "--json", "key", "add", "root", "--bucket=" + bucket, "--prefix=mine/", "--read-only"],
                                     check=True, capture_output=True).stdout)
    limited = daemon.client(access_key=made["access_key"], secret_key=made["secret_key"])
    for key in ("mine/1", "other/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert all_keys(limited, bucket, Prefix="mine/") == ["mine/1"]
    assert limited.get_object(Bucket=bucket, Key="mine/1")["Body"].read() == b"mine/1"
    for call in (lambda: limited.list_objects_v2(Bucket=bucket), lambda: limited.get_object(Bucket=bucket, Key="other/1"),
                 lambda: limited.get_object(Bucket=bucket, Key="other/none"), lambda: limited.put_object(Bucket=bucket, Key="mine/2", Body=b""),
                 lambda: limited.delete_object(Bucket=bucket, Key="mine/1"), lambda: limited.create_multipart_upload(Bucket=bucket, Key="mine/4"),
                 lambda: limited.copy_object(Bucket=bucket, Key="mine/3", CopySource=bucket + "/other/1")):
        with refused(403, "AccessDenied"):
            call()
    with refused(404, "NoSuchKey"):
        limited.get_object(Bucket=bucket, Key="mine/none")
