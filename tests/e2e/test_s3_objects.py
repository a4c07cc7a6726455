"""Objects through boto3: what is put is what is got, in every size and under every name."""
import base64
import hashlib
import json
import os
import random
import subprocess
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from daemon import BINARY

KIB = 1024
MIB = 1024 * KIB
SIZES = [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7, 20 * MIB]
KEYS = ["plain", "with space", "plus+and%25", "ünïcödé/ключ/鍵", "a//b", "/leading", "trailing/", ".", "..", "a/../b", "quote'\"<>&", "x" * 1024,
        "q?x=1", "h#ash", "tilde~(par)!*", "new\nline", "tab\tin it"]


def code(error):
    return error.value.response["Error"]["Code"], error.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("size", SIZES)
def test_body_comes_back(s3, bucket, size):
    body = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["ContentLength"] == size
    assert got["Body"].read() == body
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == size


@pytest.mark.parametrize("key", KEYS)
def test_key_is_kept_as_it_is(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key=key)
    assert code(error) == ("NoSuchKey", 404)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_key_of_1025_bytes_is_too_long(s3, bucket):
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="x" * 1025, Body=b"")
    assert code(error) == ("KeyTooLongError", 400)


def test_file_and_directory_of_one_name_live_side_by_side(s3, bucket):
    for key in ("a", "a/", "a/b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"" if key == "a/" else key.encode())
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "a/", "a/b"]
    s3.delete_object(Bucket=bucket, Key="a/")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "a/b"]


def test_overwrite_replaces_all_of_an_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 3 * MIB, Metadata={"one": "1"}, ContentType="text/one")
    s3.put_object(Bucket=bucket, Key="k", Body=b"short", Metadata={"two": "2"})
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"short"
    assert got["Metadata"] == {"two": "2"}
    assert got["ContentType"] == "binary/octet-stream"


@pytest.mark.parametrize("header, want", [
    ("bytes=0-9", (0, 10)), ("bytes=5-", (5, 100)), ("bytes=-7", (93, 100)), ("bytes=90-200", (90, 100)), ("bytes=-200", (0, 100)), ("bytes=99-99", (99, 100)),
])
def test_range(s3, bucket, header, want):
    body = bytes(range(100))
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    got = s3.get_object(Bucket=bucket, Key="k", Range=header)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read() == body[want[0]:want[1]]
    assert got["ContentRange"] == f"bytes {want[0]}-{want[1] - 1}/100"


def test_range_beyond_the_end_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=5-")
    assert code(error) == ("InvalidRange", 416)


def test_ranges_of_a_large_object(s3, bucket):
    body = os.urandom(5 * MIB + 123)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    chance = random.Random(1)
    for _ in range(20):
        first = chance.randrange(len(body))
        last = min(len(body) - 1, first + chance.randrange(2 * MIB))
        assert s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")["Body"].read() == body[first:last + 1]


def test_conditional_reads(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag)["Body"].read() == b"1"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", IfMatch='"other"')
    assert code(error) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=etag)
    assert code(error)[1] == 304


def test_conditional_writes(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert code(error) == ("PreconditionFailed", 412)
    s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"4", IfMatch=etag)
    assert code(error) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="missing", Body=b"5", IfMatch=etag)
    assert code(error) == ("NoSuchKey", 404)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"


def test_metadata_and_headers_come_back(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ContentType="text/x", CacheControl="no-store", ContentDisposition="attachment", ContentEncoding="gzip",
                  ContentLanguage="de", Metadata={"colour": "blue", "empty": ""})
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentType"], head["CacheControl"], head["ContentDisposition"], head["ContentEncoding"], head["ContentLanguage"]) == (
        "text/x", "no-store", "attachment", "gzip", "de")
    assert head["Metadata"] == {"colour": "blue", "empty": ""}
    got = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="text/y", ResponseCacheControl="max-age=1")
    assert (got["ContentType"], got["CacheControl"]) == ("text/y", "max-age=1")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksum_is_verified_and_kept(s3, bucket, algorithm):
    for size in (0, 10, 2 * MIB):
        s3.put_object(Bucket=bucket, Key="k", Body=os.urandom(size), ChecksumAlgorithm=algorithm)
        head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert head[f"Checksum{algorithm}"]
        assert head["ChecksumType"] == "FULL_OBJECT"
    with pytest.raises(ClientError) as error:
        wrong = base64.b64encode(bytes({"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}[algorithm])).decode()
        s3.put_object(Bucket=bucket, Key="other", Body=b"body", **{f"Checksum{algorithm}": wrong})
    assert code(error) == ("BadDigest", 400)
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="other")


def test_content_md5_is_verified(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ContentMD5=base64.b64encode(hashlib.md5(b"body").digest()).decode())
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"body", ContentMD5=base64.b64encode(hashlib.md5(b"else").digest()).decode())
    assert code(error) == ("BadDigest", 400)


@pytest.mark.parametrize("size", [0, 5, 300 * KIB, 5 * MIB])
def test_copy_within_and_across_buckets(s3, bucket, size):
    body = os.urandom(size)
    other = bucket + "-other"
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=bucket, Key="from", Body=body, Metadata={"a": "1"})
    for target in (bucket, other):
        s3.copy_object(Bucket=target, Key="to", CopySource={"Bucket": bucket, "Key": "from"})
    s3.delete_object(Bucket=bucket, Key="from")
    for target in (bucket, other):
        got = s3.get_object(Bucket=target, Key="to")
        assert got["Body"].read() == body
        assert got["Metadata"] == {"a": "1"}
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "to"}, Metadata={"b": "2"}, MetadataDirective="REPLACE")
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["Body"].read(), got["Metadata"]) == (body, {"b": "2"})
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "to"})
    assert code(error) == ("InvalidRequest", 400)


def test_delete_objects(s3, bucket):
    for i in range(20):
        s3.put_object(Bucket=bucket, Key=f"d/{i}", Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"d/{i}"} for i in range(15)] + [{"Key": "never/was"}]})
    assert len(answer["Deleted"]) == 16
    assert len(s3.list_objects_v2(Bucket=bucket)["Contents"]) == 5


def list_all(s3, bucket, **arguments):
    keys, prefixes, token = [], [], {}
    while True:
        page = s3.list_objects_v2(Bucket=bucket, **arguments, **token)
        keys += [o["Key"] for o in page.get("Contents", [])]
        prefixes += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        assert page["KeyCount"] == len(page.get("Contents", [])) + len(page.get("CommonPrefixes", []))
        if not page["IsTruncated"]:
            return keys, prefixes
        token = {"ContinuationToken": page["NextContinuationToken"]}


def test_listings_agree_with_a_model(s3, bucket):
    chance = random.Random(7)
    keys = {"".join(chance.choice("ab/-") for _ in range(chance.randint(1, 6))) for _ in range(150)}
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for _ in range(60):
        prefix = "".join(chance.choice("ab/") for _ in range(chance.randint(0, 2)))
        delimiter = chance.choice(["", "/", "b", "-a"])
        after = chance.choice(["", chance.choice(sorted(keys))])
        want_keys, want_prefixes = [], []
        for key in sorted(keys):
            if not key.startswith(prefix) or key <= after:
                continue
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                want_keys.append(key)
            elif key[:end + len(delimiter)] not in want_prefixes and not after.startswith(key[:end + len(delimiter)]):
                want_prefixes.append(key[:end + len(delimiter)])
        if any(after.startswith(p) and after != p for p in [k[:k.find(delimiter, len(prefix)) + len(delimiter)] for k in keys
                                                            if delimiter and k.startswith(prefix) and k.find(delimiter, len(prefix)) >= 0]):
            continue  # what a start inside a common prefix means is not the same in all of S3's own listings
        got = list_all(s3, bucket, Prefix=prefix, Delimiter=delimiter, StartAfter=after, MaxKeys=chance.choice([1, 3, 1000]))
        assert got == (want_keys, want_prefixes), (prefix, delimiter, after)


def test_list_v1_pages_with_markers(s3, bucket):
    keys = [f"k{i:03d}" for i in range(25)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    got, marker = [], ""
    while True:
        page = s3.list_objects(Bucket=bucket, MaxKeys=10, Marker=marker)
        got += [o["Key"] for o in page["Contents"]]
        if not page["IsTruncated"]:
            break
        marker = got[-1]
    assert got == keys
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(v["Key"], v["VersionId"], v["IsLatest"]) for v in versions] == [(k, "null", True) for k in keys]


def test_buckets(s3, bucket):
    assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=bucket)
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.put_object(Bucket=bucket, Key="deep/down/k", Body=b"")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert code(error) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="deep/down/k")
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as error:
        s3.head_bucket(Bucket=bucket)
    assert code(error)[1] == 404
    s3.create_bucket(Bucket=bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_wrong_credentials_are_refused(daemon, bucket):
    with pytest.raises(ClientError) as error:
        daemon.client(secret_key="wrong").list_objects_v2(Bucket=bucket)
    assert code(error) == ("SignatureDoesNotMatch", 403)
    with pytest.raises(ClientError) as error:
        daemon.client(access_key="NOSUCHKEY").list_objects_v2(Bucket=bucket)
    assert code(error) == ("InvalidAccessKeyId", 403)


def test_anonymous_reads_only_what_is_public(daemon, s3, bucket):
    s3.put_object(Bucket=bucket, Key="private", Body=b"no")
    s3.put_object(Bucket=bucket, Key="public", Body=b"yes", ACL="public-read")
    assert urllib.request.urlopen(f"{daemon.s3}/{bucket}/public").read() == b"yes"
    for path, method in ((f"{bucket}/private", "GET"), (bucket, "GET"), (f"{bucket}/new", "PUT"), (f"{bucket}/public", "DELETE"), ("", "GET")):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(f"{daemon.s3}/{path}", method=method, data=b"x" if method == "PUT" else None))
        assert error.value.code == 403
    assert s3.get_object(Bucket=bucket, Key="public")["Body"].read() == b"yes"


def test_presigned_urls(s3, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "p"})
    assert urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=b"presigned")).status == 200
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "p"})
    assert urllib.request.urlopen(url).read() == b"presigned"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(url.replace("/p?", "/q?"))
    assert error.value.code == 403


@pytest.mark.parametrize("operation, arguments", [
    ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
    ("put_bucket_tagging", {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}),
    ("put_bucket_policy", {"Policy": "{}"}),
    ("put_bucket_encryption", {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}}),
    ("put_object", {"Key": "k", "Body": b"", "ServerSideEncryption": "AES256"}),
    ("put_object", {"Key": "k", "Body": b"", "Tagging": "a=b"}),
    ("put_object", {"Key": "k", "Body": b"", "StorageClass": "GLACIER"}),
])
def test_what_is_not_built_says_so(s3, bucket, operation, arguments):
    with pytest.raises(ClientError) as error:
        getattr(s3, operation)(Bucket=bucket, **arguments)
    assert code(error)[1] in (400, 501)
    assert code(error)[0] in ("NotImplemented", "InvalidStorageClass")
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k")


def test_settings_that_are_not_set_read_as_at_amazon(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert len(s3.get_bucket_acl(Bucket=bucket)["Grants"]) == 1
    for operation, want in (("get_bucket_policy", "NoSuchBucketPolicy"), ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
                            ("get_bucket_tagging", "NoSuchTagSet"), ("get_bucket_cors", "NoSuchCORSConfiguration")):
        with pytest.raises(ClientError) as error:
            getattr(s3, operation)(Bucket=bucket)
        assert code(error) == (want, 404)


def test_cors(daemon, s3, bucket):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example.org"]}]})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"][0]["AllowedMethods"] == ["GET"]
    ask = urllib.request.Request(f"{daemon.s3}/{bucket}/k", method="OPTIONS",
                                 headers={"Origin": "https://www.example.org", "Access-Control-Request-Method": "GET"})
    assert urllib.request.urlopen(ask).headers["Access-Control-Allow-Origin"] == "https://www.example.org"
    ask.add_header("Origin", "https://elsewhere.org")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(ask)
    assert error.value.code == 403
    s3.delete_bucket_cors(Bucket=bucket)


def test_everything_is_there_after_a_restart(own_daemon):
    s3 = own_daemon.client()
    s3.create_bucket(Bucket="again")
    bodies = {f"k/{size}": os.urandom(size) for size in SIZES}
    for key, body in bodies.items():
        s3.put_object(Bucket="again", Key=key, Body=body)
    assert own_daemon.stop() == 0
    s3 = own_daemon.start().client()
    assert sorted(o["Key"] for o in s3.list_objects_v2(Bucket="again")["Contents"]) == sorted(bodies)
    for key, body in bodies.items():
        assert s3.get_object(Bucket="again", Key=key)["Body"].read() == body


def test_limited_key_lists_and_reads_only_its_prefix(daemon, s3, bucket):
    binary = os.path.join(os.path.dirname(BINARY), "restfs")
    made = json.loads(subprocess.run([binary, "--data", daemon.data, "--json", "key", "add", "root", f"--bucket={bucket}", "--prefix=mine/", "--read-only"],
                                     check=True, capture_output=True).stdout)
    limited = daemon.client(access_key=made["access_key"], secret_key=made["secret_key"])
    for key in ("mine/1", "other/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert [o["Key"] for o in limited.list_objects_v2(Bucket=bucket, Prefix="mine/")["Contents"]] == ["mine/1"]
    assert limited.get_object(Bucket=bucket, Key="mine/1")["Body"].read() == b"mine/1"
    for call in (lambda: limited.list_objects_v2(Bucket=bucket), lambda: limited.get_object(Bucket=bucket, Key="other/1"),
                 lambda: limited.get_object(Bucket=bucket, Key="other/none"), lambda: limited.put_object(Bucket=bucket, Key="mine/2", Body=b""),
                 lambda: limited.delete_object(Bucket=bucket, Key="mine/1"), lambda: limited.copy_object(Bucket=bucket, Key="mine/3", CopySource=f"{bucket}/other/1"),
                 lambda: limited.create_multipart_upload(Bucket=bucket, Key="mine/4")):
        with pytest.raises(ClientError) as error:
            call()
        assert code(error) == ("AccessDenied", 403)
    with pytest.raises(ClientError) as error:
        limited.get_object(Bucket=bucket, Key="mine/none")
    assert code(error) == ("NoSuchKey", 404)
