"""restfs sync, mirror and diff between buckets and prefixes of one store, which copies by itself."""
import time

import pytest

from cli import Restfs
from test_cli_data_copy import ODD_NAMES, keys

MIB = 1024 * 1024


@pytest.fixture
def restfs(daemon, tmp_path):
    return Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path)


@pytest.fixture
def other(s3, bucket):
    s3.create_bucket(Bucket=bucket + "-other")
    return bucket + "-other"


def put(s3, bucket, objects):
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="CRC64NVME")


def contents(s3, bucket, prefix=""):
    return {key[len(prefix):]: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys(s3, bucket) if key.startswith(prefix)}


def in_parts(s3, bucket, key, body, size):
    """Stored with parts of `size`, which its ETag is of."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="CRC64NVME")["UploadId"]
    made = []
    for n in range((len(body) + size - 1) // size):
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=n + 1, Body=body[n * size:(n + 1) * size], ChecksumAlgorithm="CRC64NVME")
        made.append({"PartNumber": n + 1, "ETag": part["ETag"], "ChecksumCRC64NVME": part["ChecksumCRC64NVME"]})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": made})


def counts(summary):
    return tuple(summary[name] for name in ("files", "same", "removed", "failed"))


@pytest.mark.parametrize("source, target", [("", ""), ("one", "two"), ("one/", ""), ("", "deep/er/"), ("t", "t2"), ("t2", "t")])
def test_from_bucket_to_bucket_by_what_differs(restfs, s3, bucket, other, source, target):
    """All names, objects that stand for directories among them, whatever the prefixes are."""
    below = [prefix + "/" if prefix and not prefix.endswith("/") else prefix for prefix in (source, target)]
    names = {name: name.encode() for name in [*ODD_NAMES, "d/e/f", "folder/"]} | {"empty": b""}
    put(s3, bucket, {below[0] + name: body for name, body in names.items()})
    put(s3, other, {below[1] + "mine": b"mine"})
    words = (f"s3://{bucket}/{source}", f"s3://{other}/{target}", "--parallel=7")
    assert counts(restfs.summary("sync", *words)) == (len(names), 0, 0, 0)
    assert contents(s3, other, below[1]) == names | {"mine": b"mine"}
    assert counts(restfs.summary("sync", *words)) == (0, len(names), 0, 0)
    put(s3, bucket, {below[0] + "plain": b"other", below[0] + "empty": b"longer"})
    assert counts(restfs.summary("sync", *words)) == (2, len(names) - 2, 0, 0)
    restfs.run("diff", *words, status=1)
    assert counts(restfs.summary("mirror", *words)) == (0, len(names), 1, 0)
    assert contents(s3, other, below[1]) == contents(s3, bucket, below[0])
    restfs.run("diff", *words)


def test_nothing_is_done_in_a_dry_run_and_each_line_says_what_would_be(restfs, s3, bucket, other):
    put(s3, bucket, {"p/new": b"1", "p/changed": b"22", "p/same": b"3"})
    put(s3, other, {"changed": b"x", "same": b"3", "extra": b"4"})
    before = contents(s3, other)
    words = ("sync", f"s3://{bucket}/p", f"s3://{other}", "--delete")
    lines = restfs.lines(*words, "-n")
    copy = {row["from"]: (row["to"], row["bytes"], row["dry_run"]) for row in lines if row["action"] == "copy"}
    assert copy == {f"s3://{bucket}/p/new": (f"s3://{other}/new", 1, True), f"s3://{bucket}/p/changed": (f"s3://{other}/changed", 2, True)}
    assert [row["path"] for row in lines if row["action"] == "remove"] == [f"s3://{other}/extra"] and counts(lines[-1]) == (2, 1, 1, 0)
    assert contents(s3, other) == before
    assert {row["action"]: row["dry_run"] for row in restfs.lines(*words)} == {"copy": False, "remove": False, "summary": False}
    assert contents(s3, other) == contents(s3, bucket, "p/")


def test_filters_choose_what_is_copied_and_what_is_removed(restfs, s3, bucket, other):
    put(s3, bucket, {"a.txt": b"1", "b.bin": b"22", "d/c.txt": b"333"})
    put(s3, other, {"x.txt": b"", "x.bin": b""})
    restfs.run("mirror", f"s3://{bucket}", f"s3://{other}", "--include=*.txt")
    assert set(keys(s3, other)) == {"a.txt", "d/c.txt", "x.bin"}
    restfs.run("sync", f"s3://{bucket}", f"s3://{other}", "--larger=1", "--smaller=3", "--newer-than=1d")
    assert set(keys(s3, other)) == {"a.txt", "d/c.txt", "x.bin", "b.bin"}
    assert restfs.summary("sync", f"s3://{bucket}", f"s3://{other}/old", "--older-than=1d")["files"] == 0


def test_all_that_an_object_keeps_comes_along(restfs, s3, bucket, other):
    kept = {"ContentType": "text/x", "CacheControl": "no-cache", "Metadata": {"a": "b", "mtime": "1.5"}}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 11 * MIB, **kept)
    for target, options in ((f"s3://{other}/whole", ()), (f"s3://{other}/parts", ("--part-size=5M",))):
        restfs.run("sync", f"s3://{bucket}", target, *options)
    for key, parts in (("whole/k", False), ("parts/k", True)):
        got = s3.get_object(Bucket=other, Key=key)
        assert {name: got[name] for name in kept} == kept and got["Body"].read() == b"x" * 11 * MIB and ("-" in got["ETag"]) == parts


def test_where_etags_are_of_parts_checksums_decide(restfs, s3, bucket, other, rng):
    body, another = rng.randbytes(6 * MIB), rng.randbytes(6 * MIB)
    words = ("sync", f"s3://{bucket}", f"s3://{other}", "-n")
    in_parts(s3, bucket, "k", body, 5 * MIB)
    put(s3, other, {"k": body})
    assert counts(restfs.summary(*words)) == (0, 1, 0, 0) == counts(restfs.summary(*words, "--checksum"))
    put(s3, other, {"k": another})  # which somebody put there since
    assert counts(restfs.summary(*words)) == (1, 0, 0, 0) == counts(restfs.summary(*words, "--checksum"))
    restfs.run("diff", "--checksum", *words[1:3], status=1)
    in_parts(s3, bucket, "k", body, 5 * MIB)
    assert counts(restfs.summary(*words)) == (1, 0, 0, 0)
    put(s3, other, {"k": body})
    in_parts(s3, bucket, "k", body, 5 * MIB)  # the same again: the younger one is the source
    assert counts(restfs.summary(*words)) == (0, 1, 0, 0)
    restfs.run("diff", *words[1:3])


@pytest.mark.parametrize("command", ["sync", "mirror", "diff"])
@pytest.mark.parametrize("source, target", [("", ""), ("t", "t"), ("t/", "t"), ("", "t"), ("t", ""), ("t", "t/u"), ("t/u/", "t/")])
def test_of_source_and_target_none_is_in_the_other(restfs, s3, bucket, command, source, target):
    put(s3, bucket, {"t/u/a": b"1", "t/b": b"2", "c": b"3"})
    before = contents(s3, bucket)
    assert restfs.run(command, f"s3://{bucket}/{source}", f"s3://{bucket}/{target}", status=2) == b""
    assert restfs.stderr == "restfs: one of source and target is in the other\n" and contents(s3, bucket) == before


# --- copies in parts that were cut off ---


def begun(s3, source, target, parts, size):
    """An upload with these parts of the source, as a copy that was killed leaves it, begun a second after its source was stored."""
    time.sleep(1.1)
    upload = s3.create_multipart_upload(Bucket=target, Key="k", ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")["UploadId"]
    for number in parts:
        s3.upload_part_copy(Bucket=target, Key="k", UploadId=upload, PartNumber=number, CopySource={"Bucket": source, "Key": "k"},
                            CopySourceRange=f"bytes={(number - 1) * size}-{number * size - 1}")
    return upload


def uploads(s3, bucket):
    return [upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


WORDS = ("--part-size=5M", "--parallel=3")


def test_a_copy_that_was_killed_is_gone_on_with(restfs, s3, bucket, other, rng):
    body = rng.randbytes(23 * MIB)
    put(s3, bucket, {"k": body})
    upload = begun(s3, bucket, other, [1, 3, 4], 5 * MIB)
    assert uploads(s3, other) == [upload]
    assert counts(restfs.summary("sync", f"s3://{bucket}", f"s3://{other}", *WORDS)) == (1, 0, 0, 0)
    assert uploads(s3, other) == [], "another upload was begun"
    assert contents(s3, other) == {"k": body} and s3.head_object(Bucket=other, Key="k")["ETag"].endswith('-5"')


@pytest.mark.parametrize("which", ["empty", "size", "number", "older"])
def test_an_upload_that_cannot_be_of_this_object_is_left_alone(restfs, s3, bucket, other, rng, which):
    body = rng.randbytes(23 * MIB)
    put(s3, bucket, {"k": body})
    upload = begun(s3, bucket, other, {"empty": [], "number": [1, 4]}.get(which, [1]), 6 * MIB if which == "size" else 5 * MIB)
    if which == "number":
        s3.upload_part(Bucket=other, Key="k", UploadId=upload, PartNumber=6, Body=body[:5 * MIB], ChecksumAlgorithm="CRC64NVME")
    if which == "older":
        body = rng.randbytes(23 * MIB)
        put(s3, bucket, {"k": body})
    restfs.run("sync", f"s3://{bucket}", f"s3://{other}", *WORDS)
    assert uploads(s3, other) == [upload] and contents(s3, other) == {"k": body}


def test_parts_of_something_else_are_seen_at_the_end_and_removed(restfs, s3, bucket, other, rng):
    body, third = rng.randbytes(23 * MIB), bucket + "-third"
    s3.create_bucket(Bucket=third)
    put(s3, bucket, {"k": body})
    put(s3, third, {"k": rng.randbytes(23 * MIB)})
    begun(s3, third, other, [2], 5 * MIB)
    words = ("sync", f"s3://{bucket}", f"s3://{other}", *WORDS)
    assert counts(restfs.summary(*words, status=1)) == (0, 0, 0, 1)
    assert restfs.stderr == f"restfs: s3://{bucket}/k: its parts on the server are not what its checksum says, and were removed: copy it again\n"
    assert uploads(s3, other) == [] and contents(s3, other) == {}
    restfs.run(*words)
    assert contents(s3, other) == {"k": body}


def test_what_fails_is_said_and_nothing_is_removed(daemon, restfs, s3, bucket, other):
    put(s3, bucket, {"a": b"1"})
    put(s3, other, {"extra": b"2"})
    for source, target in ((f"s3://{bucket}/none", f"s3://{other}"), (f"s3://{bucket}-none", f"s3://{other}"), (f"s3://{bucket}", f"s3://{other}-none")):
        restfs.run("mirror", source, target, status=1)
        assert restfs.stderr.startswith("restfs: ") and contents(s3, other) == {"extra": b"2"}
    restfs.run("--data", daemon.data, "quota", "set", other, "--objects=1")
    assert counts(restfs.summary("mirror", f"s3://{bucket}", f"s3://{other}", status=1)) == (0, 0, 0, 2)
    assert "QuotaExceeded" in restfs.stderr and contents(s3, other) == {"extra": b"2"}
