"""restfs cp, mv, cat and pipe against the daemon."""
import os
import subprocess
import time

import pytest

from cli import RESTFS, Restfs
from daemon import Daemon

MIB = 1024 * 1024
ODD_NAMES = ["plain", "with space", "a+b", "50%", "q?x=1&y#z", "ünï/cödé", "tab\there", "new\nline", "quote\"'", "back\\slash", "~tilde", "*star[1]",
             "dots..", "...", "-dash", "emoji-\U0001f600", "<&>", "a;b,c", "%41", "x" * 250]


@pytest.fixture
def restfs(daemon, tmp_path):
    return Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path)


def make(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def keys(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {row["Key"]: row["Size"] for page in pages for row in page.get("Contents", [])}


def test_odd_names_and_empty_files_come_back(restfs, s3, bucket, tmp_path, rng):
    files = {name: name.encode() for name in ODD_NAMES}
    files.update({"empty": b"", "deep/er/and/deeper": b"x", "middle": rng.randbytes(3 * MIB + 1)})
    make(tmp_path / "up", files)
    summary = restfs.summary("cp", "-r", tmp_path / "up", f"s3://{bucket}/tree")
    assert summary["files"] == len(files) and summary["failed"] == 0
    assert keys(s3, bucket) == {"tree/" + name: len(content) for name, content in files.items()}
    assert s3.get_object(Bucket=bucket, Key="tree/a+b")["Body"].read() == b"a+b"
    restfs.run("cp", "-r", f"s3://{bucket}/tree/", tmp_path / "down")
    assert read(tmp_path / "down") == files
    for name in files:
        assert os.stat(tmp_path / "up" / name).st_mtime_ns == os.stat(tmp_path / "down" / name).st_mtime_ns


def test_one_file_goes_where_the_target_says(restfs, s3, bucket, tmp_path):
    make(tmp_path, {"file.txt": b"text"})
    for target in ("", "/", "/folder/", "/folder/other"):
        restfs.run("cp", tmp_path / "file.txt", f"s3://{bucket}{target}")
    assert set(keys(s3, bucket)) == {"file.txt", "folder/file.txt", "folder/other"}
    head = s3.head_object(Bucket=bucket, Key="folder/file.txt", ChecksumMode="ENABLED")
    assert head["ContentType"] == "text/plain" and head["ChecksumCRC64NVME"]
    (tmp_path / "into").mkdir()
    restfs.run("cp", f"s3://{bucket}/folder/other", tmp_path / "into")
    restfs.run("cp", f"s3://{bucket}/folder/other", tmp_path / "named")
    restfs.run("cp", f"s3://{bucket}/folder/other", f"s3://{bucket}/file.txt", tmp_path / "into")
    assert read(tmp_path / "into") == {"other": b"text", "file.txt": b"text"} and (tmp_path / "named").read_bytes() == b"text"


def test_a_file_whose_size_is_not_what_it_has_is_not_taken_for_empty(restfs, s3, bucket):
    restfs.run("cp", "/proc/version", f"s3://{bucket}/", status=1)
    assert restfs.stderr == "restfs: /proc/version: has more than its size says (restfs pipe takes it)\n" and keys(s3, bucket) == {}


def test_what_cannot_be_read_in_a_tree_is_named_with_its_path(restfs, bucket, tmp_path):
    (tmp_path / "up" / "sub").mkdir(parents=True)
    os.symlink("nowhere", tmp_path / "up" / "sub" / "link")
    (tmp_path / "up" / "sub" / os.fsdecode(b"\xff")).write_bytes(b"")
    restfs.run("cp", "-r", "--follow", tmp_path / "up", f"s3://{bucket}", status=1)
    assert all(line.startswith(f"restfs: {tmp_path}/up/sub/") for line in restfs.stderr.splitlines()) and len(restfs.stderr.splitlines()) == 2


def test_large_files_go_in_parts(restfs, s3, bucket, tmp_path, rng):
    body = rng.randbytes(23 * MIB + 77)
    make(tmp_path, {"large": body})
    restfs.run("cp", tmp_path / "large", f"s3://{bucket}/", "--part-size=5M")
    assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-5"')
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == body
    restfs.run("cp", f"s3://{bucket}/large", tmp_path / "back", "--part-size=5M")
    assert (tmp_path / "back").read_bytes() == body
    assert sorted(os.listdir(tmp_path)) == ["back", "large"]


def test_within_the_store_and_moves(restfs, s3, bucket, tmp_path):
    make(tmp_path / "up", {"a": b"a", "b/c": b"c"})
    restfs.run("mv", "-r", tmp_path / "up", f"s3://{bucket}/one")
    assert read(tmp_path / "up") == {}
    restfs.run("cp", "-r", f"s3://{bucket}/one", f"s3://{bucket}/two")
    restfs.run("mv", "-r", f"s3://{bucket}/one", f"s3://{bucket}/three")
    assert set(keys(s3, bucket)) == {"two/a", "two/b/c", "three/a", "three/b/c"}
    assert [row["action"] for row in restfs.lines("mv", "-n", f"s3://{bucket}/two/a", tmp_path / "a")] == ["move", "summary"]
    assert restfs.run("mv", "-v", f"s3://{bucket}/two/a", tmp_path / "a").decode() == f"move s3://{bucket}/two/a -> {tmp_path}/a\nmoved: 1 file, 1 B\n"
    assert "two/a" not in keys(s3, bucket) and (tmp_path / "a").read_bytes() == b"a"


def test_a_store_copies_large_objects_in_parts(restfs, s3, bucket, rng):
    body = rng.randbytes(23 * MIB + 77)
    s3.put_object(Bucket=bucket, Key="one", Body=body, ContentType="text/x", CacheControl="no-cache", ContentDisposition="inline", Metadata={"a": "b", "mtime": "1.5"})
    restfs.run("cp", f"s3://{bucket}/one", f"s3://{bucket}/two", "--part-size=5M")
    restfs.run("mv", f"s3://{bucket}/two", f"s3://{bucket}/three", "--part-size=5M")
    got = s3.get_object(Bucket=bucket, Key="three")
    assert got["ETag"].endswith('-5"') and got["Body"].read() == body and set(keys(s3, bucket)) == {"one", "three"}
    assert (got["ContentType"], got["CacheControl"], got["ContentDisposition"], got["Metadata"]) == ("text/x", "no-cache", "inline", {"a": "b", "mtime": "1.5"})
    restfs.run("cp", f"s3://{bucket}/one", f"s3://{bucket}/whole")
    assert "-" not in s3.head_object(Bucket=bucket, Key="whole")["ETag"]


def test_pipe_and_cat(restfs, s3, bucket, rng):
    for length in (0, 1, 5 * MIB, 17 * MIB + 5):
        body = rng.randbytes(length)
        restfs.run("pipe", f"s3://{bucket}/piped", "--part-size=5M", input=body)
        assert s3.get_object(Bucket=bucket, Key="piped")["Body"].read() == body
        assert restfs.run("cat", f"s3://{bucket}/piped", f"s3://{bucket}/piped") == body + body
    restfs.run("cp", "-", f"s3://{bucket}/dash", input=b"dash")
    assert restfs.run("cp", f"s3://{bucket}/dash", "-") == b"dash"


def test_dry_run_and_filters(restfs, s3, bucket, tmp_path):
    make(tmp_path / "up", {"a.txt": b"1", "b.bin": b"22", "d/c.txt": b"333", "d/skip/e.txt": b"4444"})
    rows = restfs.lines("cp", "-r", tmp_path / "up", f"s3://{bucket}/", "--include=*.txt", "--exclude=skip", "--dry-run")
    assert {row["to"] for row in rows[:-1]} == {f"s3://{bucket}/a.txt", f"s3://{bucket}/d/c.txt"}
    assert keys(s3, bucket) == {}
    restfs.run("cp", "-r", tmp_path / "up", f"s3://{bucket}/", "--exclude=*.txt", "--include=d/*.txt")
    assert set(keys(s3, bucket)) == {"b.bin", "d/c.txt"}
    restfs.run("cp", "-r", tmp_path / "up", f"s3://{bucket}/size", "--larger=1", "--smaller=4")
    assert {key for key in keys(s3, bucket) if key.startswith("size")} == {"size/b.bin", "size/d/c.txt"}
    os.utime(tmp_path / "up" / "a.txt", (0, 0))
    assert restfs.summary("cp", "-r", tmp_path / "up", f"s3://{bucket}/", "--older-than=1d", "-n")["files"] == 1
    assert restfs.summary("cp", "-r", tmp_path / "up", f"s3://{bucket}/", "--newer-than=1d", "-n")["files"] == 3


def test_what_cannot_be_done_is_said_in_one_line(restfs, bucket, tmp_path):
    make(tmp_path, {"file": b"x", "folder/y": b"y"})
    for words in (("cp", tmp_path / "none", f"s3://{bucket}/"), ("cp", tmp_path / "folder", f"s3://{bucket}/"), ("cp", f"s3://{bucket}/none", tmp_path),
                  ("cp", "-r", f"s3://{bucket}/none", tmp_path), ("cat", f"s3://{bucket}/none"), ("cp", tmp_path / "file", "s3://no-such-bucket/")):
        restfs.run(*words, status=1)
        assert restfs.stderr.startswith("restfs: ") and restfs.stderr.count("\n") == 1, restfs.stderr
    restfs.run("cp", tmp_path / "file", tmp_path / "other", status=2)
    assert not (tmp_path / "other").exists()


def test_keys_that_are_no_paths_stay_out(restfs, s3, bucket, tmp_path):
    for key in ("t/../../evil", "t//evil", "t/./evil", "t/fine", "t/folder/"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    restfs.run("cp", "-r", f"s3://{bucket}/t", tmp_path / "down" / "here", status=1)
    assert restfs.stderr.count("\n") == 3
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["down", "down/here", "down/here/fine", "down/here/folder"]


def test_over_tls_to_a_server_that_is_trusted(tmp_path, rng):
    certificate, key = tmp_path / "both.pem", tmp_path / "both.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    daemon = Daemon("--set", f"tls.certificate={certificate}", "--set", f"tls.key={key}")
    daemon.certificate = str(certificate)
    daemon.start()
    try:
        restfs = Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path)
        body = rng.randbytes(3 * MIB)
        restfs.run("mb", "s3://over-tls", status=1)
        assert "SSL_CERT_FILE names authorities to trust" in restfs.stderr and restfs.stderr.count("\n") == 1
        restfs.run("ls", f"--endpoint={daemon.s3.replace('https:', 'http:')}", status=1)
        assert "This address speaks TLS: use https://" in restfs.stderr
        for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
            restfs.environment.pop("AWS_CA_BUNDLE", None)
            restfs.environment[name] = str(certificate)
            restfs.run("mb" if name == "AWS_CA_BUNDLE" else "ls", "s3://over-tls")
        restfs.run("pipe", "s3://over-tls/key", input=body)
        assert restfs.run("cat", "s3://over-tls/key") == body
    finally:
        daemon.finish()


def test_a_large_file_that_is_refused_fails_once(daemon, restfs, s3, bucket, tmp_path, rng):
    """Though several of its parts may be refused."""
    make(tmp_path, {"large": rng.randbytes(40 * MIB)})
    subprocess.run([RESTFS, "--data", daemon.data, "quota", "set", bucket, "--bytes=1M"], check=True, capture_output=True)
    assert restfs.summary("cp", tmp_path / "large", f"s3://{bucket}", "--part-size=5M", status=1)["failed"] == 1
    assert restfs.stderr.count("QuotaExceeded") == 1


def test_in_clear_over_a_network_the_body_is_signed(daemon, restfs, s3, bucket, tmp_path, rng):
    make(tmp_path / "up", {"small": b"x" * 1000, "empty": b"", "middle": rng.randbytes(3 * MIB), "large": rng.randbytes(12 * MIB)})
    restfs.environment["AWS_ENDPOINT_URL"] = daemon.s3.replace("127.0.0.1", "LOCALHOST")  # which the client does not take for this machine
    restfs.run("cp", "-r", tmp_path / "up", f"s3://{bucket}", "--part-size=5M")
    for name, content in read(tmp_path / "up").items():
        assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == content


def test_the_rate_is_limited_for_all_together(restfs, s3, bucket, tmp_path, rng):
    make(tmp_path / "up", {str(n): rng.randbytes(MIB // 2) for n in range(8)})
    begun = time.monotonic()
    restfs.run("cp", "-r", tmp_path / "up", f"s3://{bucket}", "--limit-rate=8M")
    restfs.run("cp", "-r", f"s3://{bucket}", tmp_path / "down", "--limit-rate=8M")
    assert time.monotonic() - begun > 2 * (7 / 16 - 0.1)
    assert read(tmp_path / "down") == read(tmp_path / "up")


def test_what_would_be_copied_into_itself_is_refused(restfs, s3, bucket):
    for key in ("a", "t/b", "t/c/d"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    before = keys(s3, bucket)
    for words in (("mv", f"s3://{bucket}/a", f"s3://{bucket}/a"), ("cp", f"s3://{bucket}/a", f"s3://{bucket}/"), ("mv", "-r", f"s3://{bucket}/t", f"s3://{bucket}/t/c"),
                  ("cp", "-r", f"s3://{bucket}", f"s3://{bucket}/copy"), ("mv", "-r", f"s3://{bucket}/t", f"s3://{bucket}/t/")):
        restfs.run(*words, status=1)
    restfs.run("sync", f"s3://{bucket}", f"s3://{bucket}/t", status=2)
    assert keys(s3, bucket) == before
