"""A store that takes no writes says so wherever an operator looks: `restfs status`, its log, /health, the metrics."""
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from cli import RESTFS
from crowd import metric
from daemon import PATIENCE_SECONDS, ROOT, Daemon, wait_until
from disks import eat

sys.path.insert(0, str(ROOT / "tests" / "crash"))

from faults import Plan, environment  # noqa: E402

BUCKET = "seen"
WELL = (200, "ready\n")


@pytest.fixture
def faulty(tmp_path):
    """A daemon, and the plan by which its calls fail."""
    one = Daemon()
    plan = Plan(tmp_path / "plan")
    one.environment = environment("io_fault", plan, one)
    one.start()
    one.client().create_bucket(Bucket=BUCKET)
    yield one, plan
    one.finish()


def restfs(daemon, *words, code=0):
    done = subprocess.run([RESTFS, "--data", daemon.data, *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done


def status(daemon, code):
    return json.loads(restfs(daemon, "status", "--json", code=code).stdout)


def health(daemon, name="ready"):
    try:
        with urllib.request.urlopen(f"{daemon.admin}/health/{name}", timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def refusal(s3, key="new"):
    """The code with which a small object is refused; None: it was taken."""
    try:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        return None
    except ClientError as error:
        return error.response["Error"]["Code"]


def errors(daemon):
    return [line for line in restfs(daemon, "log", "--lines=10000").stdout.splitlines() if re.match(r"\S+ error ", line, re.IGNORECASE)]


def poison(plan, s3):
    """Another sync than the journal's may be the one that fails; then the next does too."""
    def is_poisoned():
        plan.arm("sync", 1, "EIO")
        return refusal(s3) == "ServiceUnavailable"

    wait_until(is_poisoned)
    plan.arm("sync", 0, "EIO")


def test_a_store_whose_sync_failed_says_so_until_a_restart(faulty):
    daemon, plan = faulty
    s3 = daemon.client(retries={"max_attempts": 0})
    s3.put_object(Bucket=BUCKET, Key="before", Body=b"12345")
    assert status(daemon, code=0)["healthy"] and health(daemon) == WELL and metric(daemon, "restfs_store_poisoned") == 0 and errors(daemon) == []
    poison(plan, s3)
    got = status(daemon, code=1)
    (problem,) = got["problems"]
    failed = re.fullmatch(r"((?:writing|zeroing) the (?:journal|index)) failed: nothing is written until a restart; reads go on \(restfs log says why\)", problem)[1]
    assert not got["healthy"] and got["held"]["objects"] >= 1
    assert f"\nhealth    {problem}\n" in restfs(daemon, "status", code=1).stdout
    assert health(daemon) == (503, f"poisoned: {failed} failed, the log says why; nothing is written until a restart, reads go on\n")
    assert health(daemon, "live") == (200, "live\n")
    assert metric(daemon, "restfs_store_poisoned") == 1 and metric(daemon, "restfs_store_full") == 0
    assert any(f"{failed} failed: the store takes no more writes until it is opened again" in line for line in errors(daemon))
    assert len(errors(daemon)) >= 2, "what failed, and what follows from it"
    assert s3.get_object(Bucket=BUCKET, Key="before")["Body"].read() == b"12345"
    refused = restfs(daemon, "user", "add", "somebody", code=1)
    assert refused.stdout == "" and "restart" in refused.stderr, refused.stderr
    refused = restfs(daemon, "compact", code=1)  # although there is nothing to do
    assert refused.stdout == "" and "restart" in refused.stderr, refused.stderr
    daemon.stop()
    daemon.environment = {}
    daemon.start()
    assert status(daemon, code=0)["problems"] == [] and health(daemon) == WELL and metric(daemon, "restfs_store_poisoned") == 0
    assert refusal(daemon.client()) is None


def test_a_store_whose_disk_is_full_says_so_until_there_is_room(disk):
    store = disk(disk.path / "disk", 192)
    daemon = Daemon("--set", "journal.volume_bytes=8000000")
    daemon.data = store / "data"
    daemon.start()
    s3 = daemon.client()
    try:
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="before", Body=b"12345")
        wait_until((daemon.data / "reserve").exists)
        assert status(daemon, code=0)["healthy"] and metric(daemon, "restfs_store_full") == 0
        eaten = eat(store / "eaten")
        wait_until(lambda: metric(daemon, "restfs_store_full") == 1)
        problem = "the disk is full: writes are refused; reads and deletes go on"
        got = status(daemon, code=1)
        assert got["problems"] == [problem] and not got["healthy"]
        assert got["store"]["free_bytes"] < 0.1 * got["store"]["disk_bytes"] and got["store"]["reserve_bytes"] > 0
        assert f"\nhealth    {problem}\n" in restfs(daemon, "status", code=1).stdout
        assert health(daemon) == WELL, "reads and deletes go on"
        assert metric(daemon, "restfs_store_poisoned") == 0
        assert any("the disk is full (" in line for line in errors(daemon))
        assert refusal(s3) == "InsufficientStorage"
        assert s3.get_object(Bucket=BUCKET, Key="before")["Body"].read() == b"12345"
        restfs(daemon, "user", "add", "somebody")  # the reserve is for administration too
        s3.delete_object(Bucket=BUCKET, Key="before")
        os.unlink(eaten)
        wait_until(lambda: metric(daemon, "restfs_store_full") == 0)
        assert status(daemon, code=0)["problems"] == [] and refusal(s3) is None
    finally:
        daemon.finish()


@pytest.mark.parametrize("synced", [True, False])
def test_a_store_that_does_not_sync_warns_of_it_once(tmp_path, synced):
    """Its groups are timed all the same; and nobody takes it for unwell."""
    daemon = Daemon(*([] if synced else ["--set", "journal.sync=false"]))
    plan = Plan(tmp_path / "plan")
    daemon.environment = environment("io_fault", plan, daemon)
    daemon.start()
    s3 = daemon.client()
    s3.create_bucket(Bucket=BUCKET)
    plan.arm("sync", 0, "EIO")
    before = metric(daemon, "restfs_journal_sync_seconds_count")
    for number in range(5):
        s3.put_object(Bucket=BUCKET, Key=str(number), Body=b"x")
    assert metric(daemon, "restfs_journal_sync_seconds_count") >= before + 5
    assert (plan.calls("sync") >= 5) == synced
    warnings = [line for line in daemon.log().splitlines() if "journal.sync is false: a power cut may take anything that is stored" in line]
    assert len(warnings) == (0 if synced else 1)
    assert status(daemon, code=0)["healthy"] and health(daemon) == WELL
    daemon.environment = {}
    daemon.finish()
