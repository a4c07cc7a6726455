"""Copies: within a bucket and between buckets, with their own metadata or the source's, on conditions."""
import datetime
import random

import pytest

from s3_expect import all_keys, etag, refused

MIB = 1024 * 1024


@pytest.fixture
def other(s3, bucket):
    name = bucket + "-other"
    s3.create_bucket(Bucket=name)
    return name


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 256 * 1024 + 1, 5 * MIB + 3])
def test_a_copy_has_the_same_bytes_and_outlives_its_source(s3, bucket, other, size):
    body = random.Random(size).randbytes(size)
    s3.put_object(Bucket=bucket, Key="from", Body=body, Metadata={"a": "1"}, ContentType="text/x", CacheControl="no-cache")
    for target in (bucket, other):
        answer = s3.copy_object(Bucket=target, Key="to/it", CopySource={"Bucket": bucket, "Key": "from"})
        assert answer["CopyObjectResult"]["ETag"] == etag(body)
    s3.put_object(Bucket=bucket, Key="from", Body=b"changed")
    s3.delete_object(Bucket=bucket, Key="from")
    for target in (bucket, other):
        got = s3.get_object(Bucket=target, Key="to/it")
        assert got["Body"].read() == body
        assert (got["Metadata"], got["ContentType"], got["CacheControl"], got["ETag"]) == ({"a": "1"}, "text/x", "no-cache", etag(body))
        assert s3.get_object(Bucket=target, Key="to/it", Range="bytes=-1")["Body"].read() == body[-1:] if size else True


def test_metadata_are_replaced_when_that_is_said(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"old": "1"}, ContentType="text/old", CacheControl="no-cache")
    s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"}, MetadataDirective="REPLACE", Metadata={"new": "2"},
                   ContentType="text/new")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (b"x", {"new": "2"}, "text/new")
    assert "CacheControl" not in got


def test_metadata_given_without_a_directive_are_not_used(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x", Metadata={"old": "1"})
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from"}, Metadata={"new": "2"})
    assert s3.head_object(Bucket=bucket, Key="to")["Metadata"] == {"old": "1"}


def test_a_copy_to_itself_that_changes_nothing_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused(400, "InvalidRequest"):
        s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"})


@pytest.mark.parametrize("key", ["with space", "a+b", "a%20b", "\u00e4/\u65e5\u672c", "a//b", "..", "q?x=y&z", "folder/"])
def test_odd_keys_are_copied(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"odd")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    s3.copy_object(Bucket=bucket, Key=key + "2", CopySource={"Bucket": bucket, "Key": "copy"})
    assert s3.get_object(Bucket=bucket, Key=key + "2")["Body"].read() == b"odd"


def test_the_source_may_begin_with_a_slash_and_name_the_null_version(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x")
    for number, source in enumerate(("/%s/from", "%s/from", "%s/from?versionId=null", "/%s/from?versionId=null")):
        answer = raw.request("PUT", "/%s/to%d" % (bucket, number), headers={"x-amz-copy-source": source % bucket})
        assert answer.status == 200 and answer.root().tag == "CopyObjectResult"


@pytest.mark.parametrize("source, status, code", [
    ("{}/none", 404, "NoSuchKey"), ("no-such-bucket-at-all/k", 404, "NoSuchBucket"), ("nonsense", 400, "InvalidArgument"), ("", 400, "InvalidArgument"),
    ("{}/", 400, "InvalidArgument"), ("{}/%zz", 400, "InvalidArgument"),
])
def test_a_source_that_is_not_there_is_refused(raw, s3, bucket, source, status, code):
    answer = raw.request("PUT", "/%s/to" % bucket, headers={"x-amz-copy-source": source.format(bucket)})
    assert (answer.status, answer.code()) == (status, code)
    assert all_keys(s3, bucket) == []


def test_conditions_on_the_source(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x")
    head = s3.head_object(Bucket=bucket, Key="from")
    source, hour = {"Bucket": bucket, "Key": "from"}, datetime.timedelta(hours=1)
    for conditions in ({"CopySourceIfMatch": head["ETag"]}, {"CopySourceIfNoneMatch": '"other"'}, {"CopySourceIfModifiedSince": head["LastModified"] - hour},
                       {"CopySourceIfUnmodifiedSince": head["LastModified"]}):
        s3.copy_object(Bucket=bucket, Key="to", CopySource=source, **conditions)
    for conditions in ({"CopySourceIfMatch": '"other"'}, {"CopySourceIfNoneMatch": head["ETag"]}, {"CopySourceIfModifiedSince": head["LastModified"]},
                       {"CopySourceIfUnmodifiedSince": head["LastModified"] - hour}):
        with refused(412, "PreconditionFailed"):
            s3.copy_object(Bucket=bucket, Key="never", CopySource=source, **conditions)
    assert all_keys(s3, bucket) == ["from", "to"]


def test_conditions_on_the_target(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"new")
    source = {"Bucket": bucket, "Key": "from"}
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfNoneMatch="*")
    s3.put_object(Bucket=bucket, Key="from", Body=b"newer")
    with refused(412, "PreconditionFailed"):
        s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfMatch='"other"')
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == b"new"
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfMatch=etag(b"new"))
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == b"newer"


def test_a_copy_has_its_own_acl(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"x", ACL="public-read")
    source = {"Bucket": bucket, "Key": "from"}
    s3.copy_object(Bucket=bucket, Key="private", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="public", CopySource=source, ACL="public-read")
    assert raw.request("GET", "/%s/private" % bucket, anonymous=True).status == 403
    assert raw.request("GET", "/%s/public" % bucket, anonymous=True).body == b"x"


def test_a_chain_of_copies_keeps_its_bytes_when_the_links_go(s3, bucket):
    body = random.Random(1).randbytes(3 * MIB)
    s3.put_object(Bucket=bucket, Key="0", Body=body)
    for number in range(10):
        s3.copy_object(Bucket=bucket, Key=str(number + 1), CopySource={"Bucket": bucket, "Key": str(number)})
        s3.delete_object(Bucket=bucket, Key=str(number))
    assert all_keys(s3, bucket) == ["10"]
    assert s3.get_object(Bucket=bucket, Key="10")["Body"].read() == body
