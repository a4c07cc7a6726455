"""What was changed in a bucket is told in order; what is too much leaves the feed by itself, and whoever comes too late is told so."""
import json
import pathlib
import subprocess

import pytest

from daemon import BINARY, PATIENCE_SECONDS, Daemon, wait_until

RESTFS = pathlib.Path(BINARY).parent / "restfs"
KEPT = 10


@pytest.fixture
def daemon():
    one = Daemon("--set", f"feed.rows={KEPT}", "--set", "feed.interval=100ms").start()
    one.client().create_bucket(Bucket="fed")
    yield one
    one.finish()


def restfs(daemon, *arguments, code=0):
    done = subprocess.run([RESTFS, "--data", daemon.data, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def told(daemon, *arguments):
    return json.loads(restfs(daemon, *arguments, "--json"))


def put(daemon, *keys):
    s3 = daemon.client()
    for key in keys:
        s3.put_object(Bucket="fed", Key=key, Body=b"1")


def test_it_is_told_what_of_a_bucket_was_changed(daemon):
    s3 = daemon.client()
    told(daemon, "user", "add", "anna")
    s3.put_bucket_acl(Bucket="fed", ACL="public-read")
    s3.put_bucket_cors(Bucket="fed", CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    s3.delete_bucket_cors(Bucket="fed")
    told(daemon, "bucket", "set", "fed", "--compress=on", "--deduplicate=on", "--owner=anna")
    told(daemon, "quota", "set", "fed", "--objects=5")
    put(daemon, "a")
    changes = told(daemon, "feed", "fed")["changes"]
    assert [(c["kind"], c["changed"]) for c in changes] == [
        ("bucket", "made"), ("bucket", "acl"), ("bucket", "cors"), ("bucket", "cors"), ("bucket", "compress,deduplicate,owner"), ("bucket", "quota"), ("put", None)]
    shown = subprocess.run([RESTFS, "--data", daemon.data, "watch", "fed", "--after=0", "--once"], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[1].endswith("  root  fed: acl") and shown.splitlines()[-1].endswith("  root  a")
    run = ["watch", "fed", "--after=0", "--once", "--exec=echo $RESTFS_KIND:$RESTFS_CHANGED"]
    assert subprocess.run([RESTFS, "--data", daemon.data, *run], capture_output=True, text=True, check=True).stdout.split()[3:] == [
        "bucket:cors", "bucket:compress,deduplicate,owner", "bucket:quota", "put:"]


def test_changes_are_told_in_order(daemon):
    put(daemon, "a/1", "b/2")
    daemon.client().delete_object(Bucket="fed", Key="a/1")
    feed = told(daemon, "feed", "fed")
    assert [(c["kind"], c["name"], c["size"]) for c in feed["changes"]] == [
        ("bucket", "fed", 0), ("put", "a/1", 1), ("put", "b/2", 1), ("delete", "a/1", 1)]
    assert {c["who"] for c in feed["changes"]} == {"root"} and {c["door"] for c in feed["changes"]} == {"s3"}
    assert not feed["more"] and feed["next"] == feed["changes"][-1]["serial"]
    assert told(daemon, "feed", "fed", f"--after={feed['next']}")["changes"] == []
    page = told(daemon, "feed", "fed", "--limit=2")
    assert [c["name"] for c in page["changes"]] == ["fed", "a/1"] and page["more"]
    rest = told(daemon, "feed", "fed", f"--after={page['next']}")
    assert page["changes"] + rest["changes"] == feed["changes"]
    assert [c["name"] for c in told(daemon, "feed", "fed", "--prefix=a/")["changes"]] == ["a/1", "a/1"]
    lines = [line.split() for line in restfs(daemon, "feed", "fed").splitlines()]
    assert lines[0] == ["serial", "kind", "name", "new_name", "changed", "size", "time", "who"] and lines[1][1:5] == ["bucket", "fed", "-", "made"] and lines[4][1:4] == ["delete", "a/1", "-"]
    assert "NO_SUCH_BUCKET" in restfs(daemon, "feed", "hungry", code=1)
    assert "INVALID_ARGUMENT" in restfs(daemon, "feed", "fed", f"--after={feed['next'] + 1}", code=1)
    assert "INVALID_PARAMS" in restfs(daemon, "feed", "fed", "--limit=1001", code=2)


def test_a_cursor_keeps_what_else_goes(daemon):
    position = told(daemon, "cursor", "ls", "fed")["last"]
    (cursor,) = told(daemon, "cursor", "set", "fed", "backup", f"--position={position}")["cursors"]
    assert (cursor["name"], cursor["position"], cursor["gone"]) == ("backup", position, False)
    put(daemon, *(f"key/{i:02}" for i in range(2 * KEPT)))
    wait_until(lambda: told(daemon, "cursor", "ls", "fed")["pruned"] == position)
    daemon.kill()
    daemon.start()
    feed = told(daemon, "feed", "fed", "--cursor=backup")
    assert [c["name"] for c in feed["changes"]] == [f"key/{i:02}" for i in range(2 * KEPT)]
    restfs(daemon, "cursor", "rm", "fed", "backup")
    assert "NOT_FOUND" in restfs(daemon, "feed", "fed", "--cursor=backup", code=1)
    wait_until(lambda: told(daemon, "cursor", "ls", "fed")["pruned"] == feed["changes"][KEPT - 1]["serial"])
    assert "GONE" in restfs(daemon, "feed", "fed", f"--after={position}", code=1)
    assert "GONE" in restfs(daemon, "cursor", "set", "fed", "backup", f"--position={position}", code=1)
    left = told(daemon, "feed", "fed", f"--after={told(daemon, 'cursor', 'ls', 'fed')['pruned']}")
    assert [c["name"] for c in left["changes"]] == [f"key/{i:02}" for i in range(KEPT, 2 * KEPT)]
