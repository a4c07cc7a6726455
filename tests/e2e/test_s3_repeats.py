"""Headers that come in several lines: lists are joined, of others nobody could say which one counts (RFC 9110, 5.3)."""
import base64
import hashlib

import pytest

from raw_s3 import crc32_base64
from s3_expect import all_keys, etag

OTHER = '"0123456789abcdef0123456789abcdef"'
BODY = b"stored"
TAG = etag(BODY)


@pytest.fixture
def path(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    return "/%s/k" % bucket


def test_etags_in_several_lines_are_one_list(raw, s3, bucket, path):
    for lines in ([OTHER, TAG], [TAG, OTHER], ["", TAG], [TAG, ""], [OTHER, OTHER, TAG]):
        assert raw.request("GET", path, headers={"if-match": lines}).status == 200
        assert raw.request("GET", path, headers={"if-none-match": lines}).status == 304
        assert raw.request("PUT", path, headers={"if-none-match": lines}, body=b"changed").status == 412
        assert raw.request("DELETE", path, headers={"if-none-match": lines}).status == 412
        copy = {"x-amz-copy-source": path, "if-match": lines}
        assert raw.request("PUT", "/%s/copy" % bucket, headers=copy).status == 404
    for lines in ([OTHER, OTHER], ["", ""]):
        assert raw.request("GET", path, headers={"if-match": lines}).status == 412
        assert raw.request("PUT", path, headers={"if-match": lines}, body=b"changed").status == 412
    assert all_keys(s3, bucket) == ["k"] and raw.request("GET", path).body == BODY
    assert raw.request("PUT", path, headers={"if-match": [OTHER, TAG]}, body=b"changed").status == 200


@pytest.mark.parametrize("lines", [[OTHER, "*"], ["*", OTHER], ["*", "*"]])
def test_any_etag_in_a_list_of_others_is_no_condition_and_refused(raw, s3, bucket, path, lines):
    for header in ("if-match", "if-none-match"):
        for key in ("k", "new"):
            answer = raw.request("PUT", "/%s/%s" % (bucket, key), headers={header: lines}, body=b"changed")
            assert (answer.status, answer.code()) == (400, "InvalidArgument")
    assert all_keys(s3, bucket) == ["k"] and raw.request("GET", path).body == BODY


def test_metadata_in_several_lines_are_joined(raw, s3, bucket):
    headers = {"x-amz-meta-a": ["1", "2, 3", ""], "cache-control": ["no-cache", "max-age=1"], "content-language": ["de", "en"],
               "content-encoding": ["gzip", "br"]}
    assert raw.request("PUT", "/%s/k" % bucket, headers=headers, body=BODY).status == 200
    got = s3.head_object(Bucket=bucket, Key="k")
    assert got["Metadata"] == {"a": "1,2, 3,"}
    assert (got["CacheControl"], got["ContentLanguage"], got["ContentEncoding"]) == ("no-cache,max-age=1", "de,en", "gzip,br")


def test_attributes_in_several_lines_are_all_told(raw, path):
    answer = raw.request("GET", path, {"attributes": ""}, {"x-amz-object-attributes": ["ETag", "ObjectSize"]})
    assert (answer.root().findtext("ETag"), answer.root().findtext("ObjectSize")) == (TAG.strip('"'), "6")


# The second is what a reader of the first alone would not see; some are equal.
SINGLE = {
    "x-amz-checksum-crc32": [crc32_base64(b"changed"), "AAAAAA=="],
    "content-md5": [base64.b64encode(hashlib.md5(b"changed").digest()).decode()] * 2,
    "x-amz-storage-class": ["STANDARD", "GLACIER"],
    "x-amz-acl": ["private", "public-read"],
    "content-type": ["text/plain", "text/html"],
    "content-disposition": ["inline", "inline"],
    "expires": ["Thu, 01 Dec 1994 16:00:00 GMT"] * 2,
    "if-unmodified-since": ["Fri, 01 Jan 2100 00:00:00 GMT", "Thu, 01 Dec 1994 16:00:00 GMT"],
    "x-amz-copy-source": ["/a/b", "/c/d"],
    "x-amz-unheard-of": ["", ""],
}


@pytest.mark.parametrize("header", sorted(SINGLE))
def test_a_header_of_one_value_that_comes_twice_is_refused(raw, s3, bucket, path, header):
    answer = raw.request("PUT", path, headers={header: SINGLE[header]}, body=b"changed")
    assert (answer.status, answer.code()) == (400, "InvalidRequest")
    assert raw.request("GET", path).body == BODY
    # Whatever comes between, and in whatever case.
    apart = {header: SINGLE[header][0], "user-agent": "a", "x-amz-meta-a": "1", header.upper(): SINGLE[header][1]}
    answer = raw.send("PUT", path, dict(apart, **{"content-length": "0", "host": raw.host_header()}))
    assert (answer.status, answer.code()) == (400, "InvalidRequest")


@pytest.mark.parametrize("header, lines", [("range", ["bytes=0-1", "bytes=2-3"]), ("if-range", [TAG, OTHER]), ("origin", ["http://a", "http://b"]),
                                           ("if-modified-since", ["Thu, 01 Dec 1994 16:00:00 GMT"] * 2), ("x-amz-checksum-mode", ["ENABLED"] * 2)])
def test_a_read_whose_header_comes_twice_is_refused(raw, path, header, lines):
    answer = raw.request("GET", path, headers={header: lines})
    assert (answer.status, answer.code()) == (400, "InvalidRequest")


def test_an_expected_owner_that_comes_twice_is_refused(raw, s3, bucket, path):
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    assert raw.request("GET", path, headers={"x-amz-expected-bucket-owner": owner}).status == 200
    answer = raw.request("GET", path, headers={"x-amz-expected-bucket-owner": [owner, "another"]})
    assert (answer.status, answer.code()) == (400, "InvalidRequest")


@pytest.mark.parametrize("name", ["authorization", "x-amz-date", "x-amz-content-sha256"])
def test_a_signature_that_comes_twice_is_refused(raw, path, name):
    headers = {}
    raw.sign("GET", path, [], headers, "UNSIGNED-PAYLOAD")
    assert raw.send("GET", path, headers).status == 200
    answer = raw.send("GET", path, dict(headers, **{name: [headers[name], headers[name]]}))
    assert (answer.status, answer.code()) == (400, "InvalidRequest")


def test_headers_that_mean_nothing_here_may_repeat(raw, path):
    lines = {name: ["a", "b"] for name in ("user-agent", "accept", "accept-encoding", "cookie", "via", "x-forwarded-for", "forwarded")}
    assert raw.request("GET", path, headers=lines).body == BODY


def test_many_headers_are_told_apart(raw, s3, bucket):
    metadata = {"x-amz-meta-%02d" % number: str(number) for number in range(60)}
    assert raw.request("PUT", "/%s/k" % bucket, headers=metadata).status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"%02d" % number: str(number) for number in range(60)}


def test_a_parameter_of_a_presigned_request_is_said_once(raw, s3, bucket, path):
    def put(query, headers=None):
        headers = headers or {}
        target = raw.presign("PUT", path, query, headers=headers)
        return raw.send("PUT", target, {"host": raw.host_header(), "content-length": "0", **headers})

    for query, headers in (([("x-amz-storage-class", "STANDARD"), ("x-amz-storage-class", "GLACIER")], {}),
                           ([("x-amz-acl", "private"), ("X-Amz-Acl", "public-read")], {}),
                           ([("x-amz-storage-class", "GLACIER")], {"x-amz-storage-class": "STANDARD"})):
        answer = put(query, headers)
        assert (answer.status, answer.code()) == (400, "InvalidRequest"), query
    assert raw.request("GET", path).body == BODY
    assert put([("x-amz-acl", "private")], {"x-amz-acl": "private"}).status == 200
    assert put([("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")]).status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "1,2"}
