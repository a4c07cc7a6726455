"""ls --uploads, rm --uploads: what is left of uploads that were broken off is found and removed."""
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from cli import Restfs
from daemon import wait_until
from raw_s3 import RawS3

MIB = 1024 * 1024
KEYS = ["a", "a/b", "a/c d", "ab", "z\u00e9&<%20>"]


@pytest.fixture
def restfs(daemon, tmp_path):
    return Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path)


@pytest.fixture
def begun(s3, bucket):
    """An upload of each key, with two parts; their names."""
    found = {}
    for key in KEYS:
        found[key] = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        for number in (1, 2):
            s3.upload_part(Bucket=bucket, Key=key, UploadId=found[key], PartNumber=number, Body=bytes(1000 * number))
    return found


def left(s3, bucket):
    return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def test_what_a_killed_pipe_left_is_listed_and_removed(restfs, s3, bucket):
    process = restfs.start("pipe", f"s3://{bucket}/backup.tar", "--part-size=5M", stdin=subprocess.PIPE)
    process.stdin.write(bytes(11 * MIB))
    process.stdin.flush()
    wait_until(lambda: left(s3, bucket) and len(s3.list_parts(Bucket=bucket, Key="backup.tar", UploadId=s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["UploadId"]).get("Parts", [])) == 2)
    process.kill()
    process.communicate()
    one, = restfs.lines("ls", "--uploads", f"s3://{bucket}")
    assert (one["bucket"], one["key"], one["parts"], one["bytes"]) == (bucket, "backup.tar", 2, 10 * MIB)
    assert restfs.run("ls", "-h", "--uploads", f"s3://{bucket}").decode().split()[2:] == ["10.0", "MiB", f"s3://{bucket}/backup.tar", one["upload"]]
    assert restfs.run("ls", f"s3://{bucket}") == b""
    assert restfs.run("rm", "--uploads", f"s3://{bucket}/backup.tar").decode() == f"removed s3://{bucket}/backup.tar  {one['upload']}\n"
    assert left(s3, bucket) == []


@pytest.mark.parametrize("path, listed", [("", KEYS), ("/", KEYS), ("/a", ["a", "a/b", "a/c d"]), ("/a/", ["a/b", "a/c d"]), ("/a*", ["a", "ab"]), ("/a/*", ["a/b", "a/c d"])])
def test_those_of_a_path_and_of_what_is_below_it_are_listed(restfs, bucket, begun, path, listed):
    assert [(row["key"], row["upload"]) for row in restfs.lines("ls", "--uploads", f"s3://{bucket}{path}")] == [(key, begun[key]) for key in listed]
    assert restfs.run("ls", "--uploads", "--names", f"s3://{bucket}{path}").decode().splitlines() == [f"s3://{bucket}/{key}" for key in listed]


def test_without_a_path_those_of_all_buckets_are_listed(restfs, s3, bucket, bucket_name, begun):
    s3.create_bucket(Bucket=bucket_name)
    s3.create_multipart_upload(Bucket=bucket_name, Key="x")
    assert {(bucket, "a"), (bucket_name, "x")} <= {(row["bucket"], row["key"]) for row in restfs.lines("ls", "--uploads")}


@pytest.mark.parametrize("words, gone", [
    (["/a"], ["a"]), (["-r", "/a"], ["a", "a/b", "a/c d"]), (["-r", "/a/"], ["a/b", "a/c d"]), (["-r", ""], KEYS), (["-r", "", "--older-than=1h"], []),
    (["/a", "--older-than=1h"], []), (["-r", "", "--include=a*"], ["a", "a/b", "a/c d", "ab"]), (["-r", "/a", "--exclude=b"], ["a", "a/c d"]),
    (["-f", "/nothing"], []), (["-r", "/nothing"], [])])
def test_those_that_are_meant_are_removed(restfs, s3, bucket, begun, words, gone):
    words = [f"s3://{bucket}{word}" if word in ("", "/") or word[0] == "/" else word for word in words]
    s3.put_object(Bucket=bucket, Key="a", Body=b"an object stays")
    assert [(row["key"], row["upload"], row["done"]) for row in restfs.lines("rm", "-n", "--uploads", *words)] == [(key, begun[key], "would remove") for key in gone]
    assert left(s3, bucket) == KEYS
    assert restfs.run("rm", "--uploads", *words).decode().splitlines() == [f"removed s3://{bucket}/{key}  {begun[key]}" for key in gone]
    assert left(s3, bucket) == [key for key in KEYS if key not in gone]
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"an object stays"


def test_what_is_not_there_is_said(restfs, s3, bucket, begun):
    for words in (["rm"], ["ls"]):
        restfs.run(*words, "--uploads", f"s3://{bucket}/b", status=1)
        assert "there is no upload of it" in restfs.stderr
    restfs.run("ls", "--uploads", f"s3://{bucket}/b*", status=1)
    for words in (["ls"], ["rm", "-r"]):
        restfs.run(*words, "--uploads", f"s3://{bucket}-not", status=1)
        assert "NoSuchBucket" in restfs.stderr
    restfs.run("rm", "--uploads", f"s3://{bucket}", status=2)
    restfs.run("rm", "-r", "--uploads", "--larger=1", f"s3://{bucket}", status=2)
    assert left(s3, bucket) == KEYS


def test_more_than_a_page_is_listed_and_removed(restfs, daemon, s3, bucket):
    def begin(numbers):
        raw = RawS3(daemon)
        for number in numbers:
            assert raw.request("POST", f"/{bucket}/\u00e9 {number // 3:04}", query={"uploads": ""}).status == 200
        raw.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda part: begin(range(part, 2100, 8)), range(8)))
    names = restfs.run("ls", "--uploads", "--names", f"s3://{bucket}").decode().splitlines()
    assert names == [f"s3://{bucket}/\u00e9 {number // 3:04}" for number in range(2100)]
    assert len(restfs.run("rm", "-r", "--uploads", f"s3://{bucket}").splitlines()) == 2100
    assert left(s3, bucket) == []
