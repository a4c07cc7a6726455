"""Objects: what was put is got, whole or in ranges, with its metadata, until it is overwritten or deleted."""
import base64
import datetime
import hashlib
import io
import random

import pytest

from raw_s3 import put_many
from s3_expect import all_keys, etag, refused

KIB = 1024
MIB = 1024 * KIB
EDGES = [4 * KIB, 64 * KIB, 256 * KIB, MIB, 2 * MIB, 8 * MIB]
SIZES = [0, 1, 15] + [edge + offset for edge in EDGES for offset in (-1, 0, 1)] + [3 * MIB + 7, 20 * MIB]


def content(size, seed=0):
    return random.Random(size * 1000003 + seed).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_an_object_of_any_size_is_got_as_it_was_put(s3, bucket, size):
    body = content(size)
    put = s3.put_object(Bucket=bucket, Key="object", Body=body)
    got = s3.get_object(Bucket=bucket, Key="object")
    head = s3.head_object(Bucket=bucket, Key="object")
    assert got["Body"].read() == body
    assert put["ETag"] == got["ETag"] == head["ETag"] == etag(body)
    assert got["ContentLength"] == head["ContentLength"] == size
    assert [(item["Size"], item["ETag"]) for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [(size, etag(body))]


def test_bytes_that_compress_well_are_got_as_they_were_put(s3, bucket):
    body = b"\0" * (3 * MIB + 1) + b"text " * 100000
    s3.put_object(Bucket=bucket, Key="zeros", Body=body)
    assert s3.get_object(Bucket=bucket, Key="zeros")["Body"].read() == body
    assert s3.get_object(Bucket=bucket, Key="zeros", Range="bytes=3145720-3145760")["Body"].read() == body[3145720:3145761]


@pytest.mark.parametrize("size", [1, 10, 64 * KIB + 3, 3 * MIB + 11])
def test_a_range_gives_these_bytes(s3, bucket, size):
    body = content(size)
    s3.put_object(Bucket=bucket, Key="object", Body=body)
    edges = [at for edge in (0, 1, size // 2, size - 1, 64 * KIB, MIB, 2 * MIB) for at in (edge - 1, edge, edge + 1) if 0 <= at < size]
    spans = [(first, last) for first in edges for last in edges if first <= last]
    for first, last in random.Random(size).sample(spans, min(40, len(spans))):
        got = s3.get_object(Bucket=bucket, Key="object", Range="bytes=%d-%d" % (first, last))
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"] == "bytes %d-%d/%d" % (first, last, size)
        assert got["Body"].read() == body[first:last + 1]


@pytest.mark.parametrize("text, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=5-", 5, 99), ("bytes=-1", 99, 99), ("bytes=-100", 0, 99), ("bytes=-1000", 0, 99), ("bytes=90-1000", 90, 99),
    ("bytes=99-99", 99, 99),
])
def test_ranges_that_are_open_or_longer_than_the_object(s3, bucket, text, first, last):
    body = content(100)
    s3.put_object(Bucket=bucket, Key="object", Body=body)
    got = s3.get_object(Bucket=bucket, Key="object", Range=text)
    assert (got["ContentRange"], got["ContentLength"]) == ("bytes %d-%d/100" % (first, last), last - first + 1)
    assert got["Body"].read() == body[first:last + 1]
    head = s3.head_object(Bucket=bucket, Key="object", Range=text)
    assert head["ContentLength"] == last - first + 1


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_outside_of_the_object_is_refused(s3, bucket, text):
    s3.put_object(Bucket=bucket, Key="object", Body=content(100))
    with refused(416, "InvalidRange") as error:
        s3.get_object(Bucket=bucket, Key="object", Range=text)
    answer = error.value.response
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-range"] == "bytes */100"
    assert (answer["Error"]["RangeRequested"], answer["Error"]["ActualObjectSize"]) == (text, "100")


def test_any_range_of_an_empty_object_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    with refused(416, "InvalidRange"):
        s3.get_object(Bucket=bucket, Key="empty", Range="bytes=0-0")


@pytest.mark.parametrize("text", ["bytes=0-1,5-6", "bytes=7-3", "bytes=a-b", "lines=0-1", "bytes 0-1", "bytes=-"])
def test_several_ranges_and_nonsense_give_the_whole(s3, bucket, text):
    body = content(100)
    s3.put_object(Bucket=bucket, Key="object", Body=body)
    got = s3.get_object(Bucket=bucket, Key="object", Range=text)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200 and "ContentRange" not in got
    assert got["Body"].read() == body


def test_an_overwrite_replaces_content_and_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=content(2 * MIB), Metadata={"old": "1"}, ContentType="text/old", CacheControl="no-cache")
    s3.put_object(Bucket=bucket, Key="object", Body=b"new", Metadata={"new": "2"})
    got = s3.get_object(Bucket=bucket, Key="object")
    assert got["Body"].read() == b"new"
    assert got["Metadata"] == {"new": "2"}
    assert got["ContentType"] == "binary/octet-stream" and "CacheControl" not in got
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 1


def test_a_get_that_began_before_an_overwrite_gives_the_old_content(s3, bucket):
    old, new = content(20 * MIB, 1), content(20 * MIB, 2)
    s3.put_object(Bucket=bucket, Key="object", Body=old)
    got = s3.get_object(Bucket=bucket, Key="object")
    first = got["Body"].read(MIB)
    s3.put_object(Bucket=bucket, Key="object", Body=new)
    assert hashlib.sha256(first + got["Body"].read()).digest() == hashlib.sha256(old).digest()
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == new


def test_a_get_that_began_before_a_delete_is_finished(s3, bucket):
    body = content(20 * MIB)
    s3.put_object(Bucket=bucket, Key="object", Body=body)
    got = s3.get_object(Bucket=bucket, Key="object")
    first = got["Body"].read(MIB)
    s3.delete_object(Bucket=bucket, Key="object")
    assert first + got["Body"].read() == body


def test_a_deleted_object_is_gone(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    assert s3.delete_object(Bucket=bucket, Key="object")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="object")
    with refused(404, "404"):
        s3.head_object(Bucket=bucket, Key="object")
    assert all_keys(s3, bucket) == []


def test_deleting_what_is_not_there_succeeds(s3, bucket):
    assert s3.delete_object(Bucket=bucket, Key="never/was")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_delete_objects_removes_up_to_a_thousand_in_one_call(daemon, s3, bucket):
    keys = ["many/%03d" % number for number in range(1000)]
    put_many(daemon, bucket, keys + ["other"])
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(item["Key"] for item in answer["Deleted"]) == keys and "Errors" not in answer
    assert all_keys(s3, bucket) == ["other"]


def test_delete_objects_takes_a_thousand_keys_of_the_longest_kind(s3, bucket):
    """Written down, five bytes each of their bytes."""
    keys = ["%04d" % number + "&" * 1020 for number in range(1000)]
    s3.put_object(Bucket=bucket, Key=keys[7], Body=b"")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(answer["Deleted"]) == 1000 and all_keys(s3, bucket) == []


def test_delete_objects_says_deleted_of_what_was_not_there(s3, bucket):
    s3.put_object(Bucket=bucket, Key="there <&> \u00e9", Body=b"")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "there <&> \u00e9"}, {"Key": "not there"}]})
    assert [item["Key"] for item in answer["Deleted"]] == ["there <&> \u00e9", "not there"]


def test_quiet_delete_objects_names_only_errors(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Quiet": True, "Objects": [{"Key": "k"}]})
    assert "Deleted" not in answer and "Errors" not in answer
    assert all_keys(s3, bucket) == []


def test_more_than_a_thousand_keys_in_delete_objects_are_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="0", Body=b"")
    with refused(400, "MalformedXML"):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": str(number)} for number in range(1001)]})
    assert all_keys(s3, bucket) == ["0"]


def test_xml_that_is_not_well_formed_deletes_nothing(s3, raw, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    body = b"<Delete><Object><Key>k</Key></Object>"
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = raw.request("POST", "/" + bucket, {"delete": ""}, {"content-md5": digest}, body)
    assert (answer.status, answer.code()) == (400, "MalformedXML")
    assert all_keys(s3, bucket) == ["k"]


def test_metadata_come_back_with_get_and_head(s3, bucket):
    expires = datetime.datetime(2031, 5, 4, 3, 2, 1, tzinfo=datetime.timezone.utc)
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", ContentType="text/plain; charset=utf-8", CacheControl="max-age=5",
                  ContentDisposition='attachment; filename="a b.txt"', ContentEncoding="gzip", ContentLanguage="de, en", Expires=expires,
                  Metadata={"one": "1", "with-hyphen": "a  b", "empty": ""})
    for answer in (s3.get_object(Bucket=bucket, Key="object"), s3.head_object(Bucket=bucket, Key="object")):
        assert answer["ContentType"] == "text/plain; charset=utf-8"
        assert answer["CacheControl"] == "max-age=5"
        assert answer["ContentDisposition"] == 'attachment; filename="a b.txt"'
        assert answer["ContentEncoding"] == "gzip"
        assert answer["ContentLanguage"] == "de, en"
        assert answer["ExpiresString"] == "Sun, 04 May 2031 03:02:01 GMT"
        assert {name: " ".join(value.split()) for name, value in answer["Metadata"].items()} == {"one": "1", "with-hyphen": "a b", "empty": ""}


def test_names_of_user_metadata_have_no_case(raw, bucket):
    raw.request("PUT", "/%s/object" % bucket, headers={"X-Amz-Meta-MiXed": "Value"}, body=b"x")
    assert raw.request("HEAD", "/%s/object" % bucket).headers["x-amz-meta-mixed"] == "Value"


def test_two_kib_of_user_metadata_are_kept_and_more_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="most", Body=b"", Metadata={"a": "x" * 2047})
    assert s3.head_object(Bucket=bucket, Key="most")["Metadata"] == {"a": "x" * 2047}
    with refused(400, "MetadataTooLarge"):
        s3.put_object(Bucket=bucket, Key="more", Body=b"", Metadata={"a": "x" * 2048})
    assert all_keys(s3, bucket) == ["most"]


def test_an_object_without_a_content_type_is_binary(raw, bucket):
    assert raw.request("PUT", "/%s/object" % bucket, body=b"x").status == 200
    assert raw.request("HEAD", "/%s/object" % bucket).headers["Content-Type"] == "binary/octet-stream"


def test_last_modified_is_now_and_the_same_everywhere(s3, bucket):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    after = datetime.datetime.now(datetime.timezone.utc)
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"]
    got = s3.get_object(Bucket=bucket, Key="object")["LastModified"]
    assert before <= got <= after
    assert listed.replace(microsecond=0) == got


def test_response_overrides_replace_the_objects_own_headers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", ContentType="text/plain", CacheControl="no-store")
    got = s3.get_object(Bucket=bucket, Key="object", ResponseContentType="image/png", ResponseCacheControl="private",
                        ResponseContentDisposition="inline", ResponseContentEncoding="br", ResponseContentLanguage="fr",
                        ResponseExpires=datetime.datetime(2030, 1, 1))
    assert (got["ContentType"], got["CacheControl"], got["ContentDisposition"], got["ContentEncoding"], got["ContentLanguage"]) == (
        "image/png", "private", "inline", "br", "fr")
    assert got["ResponseMetadata"]["HTTPHeaders"]["expires"].startswith("Tue, 01 Jan 2030")
    again = s3.get_object(Bucket=bucket, Key="object")
    assert (again["ContentType"], again["CacheControl"]) == ("text/plain", "no-store")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\x00", "a\x7f"])
def test_a_response_override_that_cannot_be_sent_is_refused(s3, bucket, value):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    with refused(400, "InvalidArgument"):
        s3.get_object(Bucket=bucket, Key="object", ResponseContentType=value)


def test_the_null_version_is_the_object_of_an_unversioned_bucket(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="object", VersionId="null")["Body"].read() == b"x"
    with refused(404, "NoSuchVersion"):
        s3.get_object(Bucket=bucket, Key="object", VersionId="PHtexPGjH2y.zBgT8LmB7wwLI2mpbz.k")
    s3.delete_object(Bucket=bucket, Key="object", VersionId="null")
    assert all_keys(s3, bucket) == []


def test_list_object_versions_shows_each_object_once_as_null(s3, bucket):
    for key in ("a", "b/c", "b/d"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 2)
    listed = s3.list_object_versions(Bucket=bucket)
    assert [(item["Key"], item["VersionId"], item["IsLatest"], item["Size"]) for item in listed["Versions"]] == [
        ("a", "null", True, 2), ("b/c", "null", True, 6), ("b/d", "null", True, 6)]
    assert "DeleteMarkers" not in listed
    page = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    assert page["IsTruncated"] and page["NextKeyMarker"] == "a"
    rest = s3.list_object_versions(Bucket=bucket, KeyMarker=page["NextKeyMarker"], VersionIdMarker=page["NextVersionIdMarker"], Delimiter="/")
    assert [item["Prefix"] for item in rest["CommonPrefixes"]] == ["b/"] and "Versions" not in rest


def test_the_standard_storage_class_is_taken_and_others_are_not(s3, bucket):
    s3.put_object(Bucket=bucket, Key="standard", Body=b"", StorageClass="STANDARD")
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD"
    with refused(501, "NotImplemented"):
        s3.put_object(Bucket=bucket, Key="cold", Body=b"", StorageClass="GLACIER")
    with refused(400, "InvalidStorageClass"):
        s3.put_object(Bucket=bucket, Key="nonsense", Body=b"", StorageClass="SOMETHING")
    assert all_keys(s3, bucket) == ["standard"]


def test_an_upload_that_ends_early_stores_nothing(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"before")
    for size in (10, 100 * KIB, 3 * MIB):
        headers = {"content-length": str(size)}
        raw.sign("PUT", "/%s/object" % bucket, [], headers, "UNSIGNED-PAYLOAD")
        with raw.connect() as connection:
            lines = ["PUT /%s/object HTTP/1.1" % bucket] + ["%s: %s" % pair for pair in headers.items()]
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + b"x" * (size - 1))
            connection.shutdown(1)
            while connection.recv(65536):
                pass
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"before"


def test_expect_100_continue_is_answered_before_the_body_is_sent(raw, s3, bucket):
    body = b"sent after the server said go on"
    headers = {"content-length": str(len(body)), "expect": "100-continue", "connection": "close"}
    raw.sign("PUT", "/%s/object" % bucket, [], headers, hashlib.sha256(body).hexdigest())
    with raw.connect() as connection:
        lines = ["PUT /%s/object HTTP/1.1" % bucket] + ["%s: %s" % pair for pair in headers.items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == body


def test_a_refused_upload_is_refused_before_its_body_is_sent(raw, bucket_name):
    headers = {"content-length": "1000000", "expect": "100-continue"}
    raw.sign("PUT", "/%s/object" % bucket_name, [], headers, "UNSIGNED-PAYLOAD")
    with raw.connect() as connection:
        lines = ["PUT /%s/object HTTP/1.1" % bucket_name] + ["%s: %s" % pair for pair in headers.items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_pipelined_requests_are_answered_in_their_order(raw, s3, bucket):
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=str(number), Body=b"content of %d;" % number)
    requests = []
    for number in range(20):
        headers = {"connection": "close"} if number == 19 else {}
        raw.sign("GET", "/%s/%d" % (bucket, number), [], headers, "UNSIGNED-PAYLOAD")
        requests.append("\r\n".join(["GET /%s/%d HTTP/1.1" % (bucket, number)] + ["%s: %s" % pair for pair in headers.items()]) + "\r\n\r\n")
    with raw.connect() as connection:
        connection.sendall("".join(requests).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    places = [answer.index(b"content of %d;" % number) for number in range(20)]
    assert answer.count(b"HTTP/1.1 200 ") == 20 and places == sorted(places)


def test_a_body_without_a_length_is_refused(raw, bucket):
    headers = {"connection": "close"}
    raw.sign("PUT", "/%s/object" % bucket, [], headers, "UNSIGNED-PAYLOAD")
    with raw.connect() as connection:
        lines = ["PUT /%s/object HTTP/1.1" % bucket] + ["%s: %s" % pair for pair in headers.items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b" 411 " in answer.split(b"\r\n")[0] and b"MissingContentLength" in answer


def test_uploads_and_downloads_of_files_by_the_transfer_manager(s3, bucket):
    body = content(20 * MIB + 5)
    s3.upload_fileobj(io.BytesIO(body), bucket, "big")
    out = io.BytesIO()
    s3.download_fileobj(bucket, "big", out)
    assert hashlib.sha256(out.getvalue()).digest() == hashlib.sha256(body).digest()


def test_a_stop_and_a_start_keep_everything(own_daemon):
    s3 = own_daemon.client()
    s3.create_bucket(Bucket="kept")
    s3.create_bucket(Bucket="empty")
    bodies = {"k%d" % size: content(size) for size in (0, 1, 4 * KIB, 300 * KIB, 5 * MIB)}
    for key, body in bodies.items():
        s3.put_object(Bucket="kept", Key=key, Body=body, Metadata={"size": str(len(body))}, ContentType="text/x-test", ACL="public-read")
    s3.put_object(Bucket="kept", Key="deleted", Body=b"x")
    s3.delete_object(Bucket="kept", Key="deleted")
    before = s3.list_objects_v2(Bucket="kept")["Contents"]
    assert own_daemon.stop() == 0
    s3 = own_daemon.start().client()
    assert [item["Name"] for item in s3.list_buckets()["Buckets"]] == ["empty", "kept"]
    assert s3.list_objects_v2(Bucket="kept")["Contents"] == before
    for key, body in bodies.items():
        got = s3.get_object(Bucket="kept", Key=key)
        assert got["Body"].read() == body
        assert (got["Metadata"], got["ContentType"]) == ({"size": str(len(body))}, "text/x-test")
        assert len(s3.get_object_acl(Bucket="kept", Key=key)["Grants"]) == 2
    s3.put_object(Bucket="kept", Key="later", Body=b"y")
    assert own_daemon.stop() == 0
    assert own_daemon.start().client().get_object(Bucket="kept", Key="later")["Body"].read() == b"y"
