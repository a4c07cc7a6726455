"""Conditions on reads and writes: If-Match and its kin (RFC 9110, section 13; Amazon S3, "Conditional requests")."""
import concurrent.futures
import datetime
import email.utils

import pytest

from s3_expect import all_keys, etag, refused

HOUR = datetime.timedelta(hours=1)
OTHER = '"0123456789abcdef0123456789abcdef"'


@pytest.fixture
def stored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"stored")
    return s3.head_object(Bucket=bucket, Key="k")


def http_date(moment):
    return email.utils.formatdate(moment.timestamp(), usegmt=True)


def get(s3, bucket, **conditions):
    return s3.get_object(Bucket=bucket, Key="k", **conditions)["Body"].read()


def test_reads_whose_condition_holds_are_answered(s3, bucket, stored):
    modified = stored["LastModified"]
    for conditions in ({"IfMatch": stored["ETag"]}, {"IfMatch": "*"}, {"IfMatch": "%s, %s" % (OTHER, stored["ETag"])}, {"IfNoneMatch": OTHER},
                       {"IfModifiedSince": modified - HOUR}, {"IfUnmodifiedSince": modified}, {"IfUnmodifiedSince": modified + HOUR},
                       {"IfMatch": stored["ETag"], "IfUnmodifiedSince": modified - HOUR}, {"IfNoneMatch": OTHER, "IfModifiedSince": modified}):
        assert get(s3, bucket, **conditions) == b"stored", conditions


def test_reads_that_found_nothing_new_are_answered_not_modified(s3, bucket, stored):
    modified = stored["LastModified"]
    for conditions in ({"IfNoneMatch": stored["ETag"]}, {"IfNoneMatch": "*"}, {"IfModifiedSince": modified},
                       {"IfNoneMatch": stored["ETag"], "IfModifiedSince": modified - HOUR}):
        with refused(304) as caught:
            get(s3, bucket, **conditions)
        assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["etag"] == stored["ETag"]
        with refused(304):
            s3.head_object(Bucket=bucket, Key="k", **conditions)


def test_reads_of_another_state_fail_their_condition(s3, bucket, stored):
    for conditions in ({"IfMatch": OTHER}, {"IfUnmodifiedSince": stored["LastModified"] - HOUR}):
        with refused(412, "PreconditionFailed"):
            get(s3, bucket, **conditions)
        with refused(412):
            s3.head_object(Bucket=bucket, Key="k", **conditions)


def test_not_modified_has_no_body_and_leaves_the_connection_usable(raw, s3, bucket, stored):
    answer = raw.request("GET", "/%s/k" % bucket, headers={"if-none-match": stored["ETag"]})
    assert (answer.status, answer.body) == (304, b"")
    assert raw.request("GET", "/%s/k" % bucket).body == b"stored"


def test_a_range_with_if_range_of_another_state_is_the_whole(raw, bucket, stored):
    path = "/%s/k" % bucket
    same = raw.request("GET", path, headers={"range": "bytes=0-1", "if-range": stored["ETag"]})
    assert (same.status, same.body) == (206, b"st")
    other = raw.request("GET", path, headers={"range": "bytes=0-1", "if-range": OTHER})
    assert (other.status, other.body) == (200, b"stored")


def test_creating_only_if_nothing_is_there(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert get(s3, bucket) == b"first"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"third", IfNoneMatch="*")
    assert get(s3, bucket) == b"third"


def test_replacing_only_what_was_seen(s3, bucket, stored):
    s3.put_object(Bucket=bucket, Key="k", Body=b"next", IfMatch=stored["ETag"])
    assert get(s3, bucket) == b"next"
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"lost", IfMatch=stored["ETag"])
    assert get(s3, bucket) == b"next"


def test_replacing_what_is_not_there_answers_no_such_key(s3, bucket):
    with refused(404, "NoSuchKey"):
        s3.put_object(Bucket=bucket, Key="none", Body=b"x", IfMatch=OTHER)
    with refused(404):
        s3.head_object(Bucket=bucket, Key="none")


def test_a_condition_that_fails_on_a_large_body_keeps_the_old_object(s3, bucket, stored):
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x" * (3 << 20), IfNoneMatch="*")
    assert get(s3, bucket) == b"stored"


def test_deleting_only_what_was_seen(s3, bucket, stored):
    with refused(412, "PreconditionFailed"):
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=OTHER)
    assert get(s3, bucket) == b"stored"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=stored["ETag"])
    with refused(404):
        s3.head_object(Bucket=bucket, Key="k")


# Each is a change of "k", or, the copy, from it.
CHANGES = {
    "put": ("PUT", "k", {}),
    "copy": ("PUT", "copy", {"x-amz-copy-source": "%s/k"}),
    "delete": ("DELETE", "k", {}),
}


def change(raw, bucket, name, conditions):
    method, key, headers = CHANGES[name]
    headers = {header: value.replace("%s", bucket) for header, value in headers.items()}
    body = b"changed" if name == "put" else b""
    return raw.request(method, "/%s/%s" % (bucket, key), headers={**headers, **conditions}, body=body)


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_changing_only_what_has_not_changed_since(s3, raw, bucket, stored, name):
    if name == "copy":
        s3.put_object(Bucket=bucket, Key="copy", Body=b"old")
    dates = {sign: http_date(stored["LastModified"] + sign * HOUR) for sign in (-1, 1)}
    answer = change(raw, bucket, name, {"if-unmodified-since": dates[-1]})
    assert (answer.status, answer.code()) == (412, "PreconditionFailed")
    assert get(s3, bucket) == b"stored" and (name != "copy" or s3.head_object(Bucket=bucket, Key="copy")["ETag"] == etag(b"old"))
    # Of what was modified since, only reads ask.
    assert change(raw, bucket, name, {"if-unmodified-since": dates[1], "if-modified-since": dates[1]}).status in (200, 204)


def test_deleting_only_what_was_not_seen(s3, raw, bucket, stored):
    for condition in ("*", stored["ETag"], "%s, %s" % (OTHER, stored["ETag"])):
        answer = change(raw, bucket, "delete", {"if-none-match": condition})
        assert (answer.status, answer.code()) == (412, "PreconditionFailed")
    assert get(s3, bucket) == b"stored"
    assert change(raw, bucket, "delete", {"if-none-match": OTHER}).status == 204
    assert change(raw, bucket, "delete", {"if-none-match": "*"}).status == 204
    assert all_keys(s3, bucket) == []


@pytest.mark.parametrize("header", ["if-match", "if-none-match", "if-unmodified-since"])
def test_a_condition_on_a_change_that_has_none_is_refused(s3, raw, bucket, stored, header):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    value = http_date(stored["LastModified"]) if header == "if-unmodified-since" else stored["ETag"]
    for method, path, query, more in (
            ("PUT", "/%s/k", {"acl": ""}, {"x-amz-acl": "public-read"}), ("PUT", "/%s", {"acl": ""}, {"x-amz-acl": "public-read"}),
            ("POST", "/%s/new", {"uploads": ""}, {}), ("PUT", "/%s/k", {"uploadId": upload, "partNumber": "1"}, {}),
            ("DELETE", "/%s/k", {"uploadId": upload}, {}), ("DELETE", "/%s", {"cors": ""}, {}), ("DELETE", "/%s", {}, {})):
        answer = raw.request(method, path % bucket, query=query, headers={header: value, **more})
        assert (answer.status, answer.code()) == (501, "NotImplemented"), (method, path, query)
    assert s3.list_parts(Bucket=bucket, Key="k", UploadId=upload).get("Parts", []) == []
    assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
    assert len(s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == len(s3.get_bucket_acl(Bucket=bucket)["Grants"]) == 1


@pytest.mark.parametrize("writers", [8])
def test_one_of_many_creators_of_a_key_wins(s3, bucket, writers):
    def create(writer):
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % writer, IfNoneMatch="*")
            return writer
        except s3.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")
            return None

    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        for number in range(25):
            key = "race-%d" % number
            won = [writer for writer in pool.map(create, range(writers)) if writer is not None]
            assert len(won) == 1
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"%d" % won[0]


def test_counting_with_if_match_loses_no_step(s3, bucket):
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")

    def add_one(_):
        while True:
            seen = s3.get_object(Bucket=bucket, Key="counter")
            value = int(seen["Body"].read())
            try:
                s3.put_object(Bucket=bucket, Key="counter", Body=b"%d" % (value + 1), IfMatch=seen["ETag"])
                return
            except s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, range(80)))
    assert s3.get_object(Bucket=bucket, Key="counter")["Body"].read() == b"80"
    assert s3.head_object(Bucket=bucket, Key="counter")["ETag"] == etag(b"80")


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_an_empty_list_of_etags_has_nothing_that_matches(s3, raw, bucket, stored, name):
    for empty in ("", " ", ",", " , ,"):
        answer = change(raw, bucket, name, {"if-match": empty})
        # What a copy makes was not there yet.
        assert (answer.status, answer.code()) == ((404, "NoSuchKey") if name == "copy" else (412, "PreconditionFailed")), repr(empty)
    assert all_keys(s3, bucket) == ["k"] and get(s3, bucket) == b"stored"
    assert change(raw, bucket, name, {"if-none-match": ""}).status in (200, 204)


def test_an_empty_list_of_etags_on_reads_and_of_sources(s3, raw, bucket, stored):
    path = "/%s/k" % bucket
    assert raw.request("GET", path, headers={"if-match": ""}).status == 412
    assert raw.request("GET", path, headers={"if-none-match": ""}).body == b"stored"
    answer = change(raw, bucket, "copy", {"x-amz-copy-source-if-match": ""})
    assert (answer.status, answer.code()) == (412, "PreconditionFailed")
    assert all_keys(s3, bucket) == ["k"]
    assert change(raw, bucket, "copy", {"x-amz-copy-source-if-none-match": ""}).status == 200


@pytest.mark.parametrize("malformed", ['"abc', 'abc"', '"a"b', '"a" "b"', "a b", 'a"b', '"a b"', "W/", '*, "a"', '"a",*', '"a", "b'])
def test_what_is_no_list_of_etags_is_refused(s3, raw, bucket, stored, malformed):
    for header in ("if-match", "if-none-match"):
        for key in ("k", "new"):
            answer = raw.request("PUT", "/%s/%s" % (bucket, key), headers={header: malformed}, body=b"changed")
            assert (answer.status, answer.code()) == (400, "InvalidArgument"), (header, key)
        for name in ("copy", "delete"):
            assert change(raw, bucket, name, {header: malformed}).status == 400, (header, name)
        answer = change(raw, bucket, "copy", {"x-amz-copy-source-" + header: malformed})
        assert (answer.status, answer.code()) == (400, "InvalidArgument"), header
        assert raw.request("GET", "/%s/k" % bucket, headers={header: malformed}).status == 400, header
    assert all_keys(s3, bucket) == ["k"] and get(s3, bucket) == b"stored"


def test_a_tag_in_a_list_is_found_wherever_it_stands(raw, bucket, stored):
    bare = stored["ETag"].strip('"')
    for tags in (stored["ETag"], bare, '"a,b",' + stored["ETag"], "other ,\t" + bare, ",, %s ,," % stored["ETag"], '"a,b" , %s,"c"' % stored["ETag"]):
        assert raw.request("GET", "/%s/k" % bucket, headers={"if-match": tags}).status == 200, tags
        assert raw.request("GET", "/%s/k" % bucket, headers={"if-none-match": tags}).status == 304, tags
    for tags in ('"a,%s"' % bare, bare + "x", '"a,%s,b"' % bare):
        assert raw.request("GET", "/%s/k" % bucket, headers={"if-match": tags}).status == 412, tags
        assert raw.request("GET", "/%s/k" % bucket, headers={"if-none-match": tags}).status == 200, tags


def test_a_weak_tag_is_enough_to_see_nothing_new_but_not_to_change(s3, raw, bucket, stored):
    weak = "W/" + stored["ETag"]
    assert raw.request("GET", "/%s/k" % bucket, headers={"if-none-match": weak}).status == 304
    assert raw.request("GET", "/%s/k" % bucket, headers={"if-match": weak}).status == 412
    assert raw.request("GET", "/%s/k" % bucket, headers={"if-match": "%s, %s" % (weak, stored["ETag"])}).status == 200
    for name in ("put", "delete"):
        assert change(raw, bucket, name, {"if-match": weak}).status == 412
        assert change(raw, bucket, name, {"if-none-match": weak}).status == 412
    assert get(s3, bucket) == b"stored"
