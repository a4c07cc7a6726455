"""restfs sync, mirror and diff against the daemon."""
import os
import shutil
import time

import pytest

from cli import Restfs
from test_cli_data_copy import keys, make, read

TREE = 2000


@pytest.fixture
def restfs(daemon, tmp_path):
    return Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path)


def test_a_tree_of_small_files_up_and_down(restfs, s3, bucket, tmp_path):
    files = {f"{n % 7}/{n % 31}/file-{n}": (f"content of {n}\n" * (n % 50)).encode() for n in range(TREE)}
    make(tmp_path / "up", files)
    assert restfs.summary("sync", tmp_path / "up", f"s3://{bucket}/t")["files"] == TREE
    assert keys(s3, bucket) == {"t/" + name: len(content) for name, content in files.items()}
    again = restfs.summary("sync", tmp_path / "up", f"s3://{bucket}/t")
    assert (again["files"], again["same"]) == (0, TREE)
    assert restfs.summary("sync", f"s3://{bucket}/t", tmp_path / "down")["files"] == TREE
    assert read(tmp_path / "down") == files
    for one, other in ((f"s3://{bucket}/t", tmp_path / "down"), (tmp_path / "down", f"s3://{bucket}/t")):
        assert restfs.summary("sync", one, other)["files"] == 0
    restfs.run("diff", tmp_path / "down", f"s3://{bucket}/t", "--checksum")


def test_only_what_differs_is_transferred(restfs, s3, bucket, tmp_path):
    up = tmp_path / "up"
    make(up, {"same": b"1234", "size": b"1", "time": b"1234", "old": b"1234", "touched": b"1234"})
    restfs.run("sync", up, f"s3://{bucket}")
    make(up, {"size": b"22", "time": b"5678", "new": b"n", "old": b"5678"})
    os.utime(up / "old", (1, 1))
    os.chmod(up / "touched", 0o600)
    rows = restfs.lines("sync", up, f"s3://{bucket}", "-n")
    assert {row["to"].rsplit("/", 1)[1] for row in rows[:-1]} == {"size", "time", "old", "new"}
    restfs.run("sync", up, f"s3://{bucket}")
    for name, content in read(up).items():
        assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == content


def test_what_changed_there_comes_down(restfs, s3, bucket, tmp_path):
    down = tmp_path / "down"
    for key in ("same", "there", "here", "size"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1234")
    restfs.run("sync", f"s3://{bucket}", down)
    s3.put_object(Bucket=bucket, Key="there", Body=b"5678")
    s3.put_object(Bucket=bucket, Key="size", Body=b"1")
    (down / "here").write_bytes(b"abcd")
    os.utime(down / "here", (time.time() + 3600,) * 2)
    restfs.run("sync", f"s3://{bucket}", down)
    assert read(down) == {"same": b"1234", "there": b"5678", "here": b"1234", "size": b"1"}
    assert restfs.summary("sync", f"s3://{bucket}", down)["files"] == 0


def test_contents_are_compared_when_times_say_nothing(restfs, s3, bucket, tmp_path):
    make(tmp_path / "up", {"a": b"1234", "b": b"1234"})
    restfs.run("sync", tmp_path / "up", f"s3://{bucket}")
    before = os.stat(tmp_path / "up" / "a")
    (tmp_path / "up" / "a").write_bytes(b"5678")
    os.utime(tmp_path / "up" / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert restfs.summary("sync", tmp_path / "up", f"s3://{bucket}")["files"] == 0
    assert restfs.summary("sync", tmp_path / "up", f"s3://{bucket}", "--checksum")["files"] == 1
    os.utime(tmp_path / "up" / "a")
    assert restfs.summary("sync", tmp_path / "up", f"s3://{bucket}", "--checksum")["files"] == 0
    assert restfs.summary("sync", tmp_path / "up", f"s3://{bucket}", "--size-only")["files"] == 0


def test_what_the_source_has_not_goes_last(restfs, s3, bucket, tmp_path):
    up, path = tmp_path / "up", f"s3://{bucket}/t"
    make(up, {"keep": b"1", "d/e/gone": b"2", "d/f": b"3"})
    restfs.run("sync", up, path)
    s3.put_object(Bucket=bucket, Key="beside", Body=b"")
    s3.put_object(Bucket=bucket, Key="t/extra.log", Body=b"")
    restfs.run("sync", up, path)
    assert "t/extra.log" in keys(s3, bucket)
    assert restfs.summary("mirror", up, path, "--exclude=*.log")["removed"] == 0
    assert restfs.summary("mirror", up, path, "--larger=1")["removed"] == 0
    assert restfs.summary("mirror", up, path, "--older-than=1h")["removed"] == 0
    assert restfs.summary("mirror", up, path, "--smaller=1", "-n")["removed"] == 1
    assert restfs.summary("sync", up, path, "--delete", "-n")["removed"] == 1 and "t/extra.log" in keys(s3, bucket)
    assert restfs.summary("sync", up, path, "--delete")["removed"] == 1
    assert set(keys(s3, bucket)) == {"beside", "t/keep", "t/d/e/gone", "t/d/f"}
    restfs.run("sync", path, tmp_path / "down")
    s3.delete_object(Bucket=bucket, Key="t/d/e/gone")
    assert restfs.summary("mirror", path, tmp_path / "down")["removed"] == 1
    assert read(tmp_path / "down") == {"keep": b"1", "d/f": b"3"} and not (tmp_path / "down" / "d" / "e").exists()


def test_nothing_is_removed_when_something_failed_or_the_source_is_empty(restfs, s3, bucket, tmp_path):
    up, path = tmp_path / "up", f"s3://{bucket}"
    make(up, {"a": b"1"})
    restfs.run("sync", up, path)
    s3.put_object(Bucket=bucket, Key="extra", Body=b"")
    os.rename(up / "a", up / os.fsdecode(b"not-utf8-\xff"))
    restfs.run("mirror", up, path, status=1)
    assert "its name is not UTF-8, as a key has to be; rename it\n" in restfs.stderr
    assert set(keys(s3, bucket)) == {"a", "extra"}
    shutil.rmtree(up)
    restfs.run("mirror", up, path, status=1)
    up.mkdir()
    restfs.run("mirror", up, path, status=1)
    assert set(keys(s3, bucket)) == {"a", "extra"}
    make(tmp_path / "down", {"mine": b"1"})
    restfs.run("mirror", path + "/no-such-folder", tmp_path / "down", status=1)
    assert read(tmp_path / "down") == {"mine": b"1"}


@pytest.mark.parametrize("command", ["sync", "mirror", "diff"])
def test_a_mistyped_source_is_told(restfs, s3, bucket, tmp_path, command):
    path = f"s3://{bucket}"
    for target in (tmp_path / "new", path + "/copy"):
        restfs.run(command, path + "/mistyped", target, status=1)
        assert restfs.stderr == f"restfs: {path}/mistyped/: nothing is below it\n"
    assert not (tmp_path / "new").exists() or read(tmp_path / "new") == {}
    restfs.run(command, path, tmp_path / "new")  # an empty bucket
    (tmp_path / "empty").mkdir()
    restfs.run(command, tmp_path / "empty", path + "/empty")
    make(tmp_path / "up", {"d/a.txt": b"1"})
    restfs.run("sync", tmp_path / "up", path)
    restfs.run(command, path + "/d", tmp_path / "new", "--exclude=*.txt")  # there is something


def test_links_are_left_out_or_followed(restfs, s3, bucket, tmp_path):
    make(tmp_path / "other", {"x": b"x"})
    make(tmp_path / "up", {"a": b"a"})
    os.symlink(tmp_path / "other", tmp_path / "up" / "folder")
    os.symlink("a", tmp_path / "up" / "link")
    os.symlink("..", tmp_path / "up" / "loop")
    restfs.run("sync", tmp_path / "up", f"s3://{bucket}")
    assert set(keys(s3, bucket)) == {"a"} and restfs.stderr.count("symbolic link") == 3
    assert f" {tmp_path}/up/link: left out" in restfs.stderr
    os.unlink(tmp_path / "up" / "loop")
    restfs.run("sync", tmp_path / "up", f"s3://{bucket}", "--follow")
    assert set(keys(s3, bucket)) == {"a", "link", "folder/x"}
    os.symlink(".", tmp_path / "up" / "loop")
    restfs.run("sync", tmp_path / "up", f"s3://{bucket}", "--follow", status=1)


def test_diff_names_what_is_not_the_same(restfs, s3, bucket, tmp_path):
    make(tmp_path / "up", {"same": b"1", "size": b"1", "content": b"1", "mine": b"1"})
    restfs.run("sync", tmp_path / "up", f"s3://{bucket}")
    restfs.run("diff", tmp_path / "up", f"s3://{bucket}")
    s3.put_object(Bucket=bucket, Key="size", Body=b"22")
    s3.put_object(Bucket=bucket, Key="content", Body=b"2")
    s3.delete_object(Bucket=bucket, Key="mine")
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"")
    found = restfs.run("diff", "--checksum", f"s3://{bucket}", tmp_path / "up", status=1).decode().splitlines()
    assert sorted(found) == sorted([f"differs: s3://{bucket}/content", f"differs: s3://{bucket}/size", f"only in source: s3://{bucket}/theirs",
                                    f"only in target: {tmp_path}/up/mine"])
