"""What was deleted leaves the disk: at once with `restfs compact`, else by itself; what was not is served all the while."""
import json
import os
import random
import subprocess
import threading
import urllib.request

import pytest

from daemon import BUILD, PATIENCE_SECONDS, Daemon, wait_until

RESTFS = os.path.join(BUILD, "restfs")
BUCKET = "space"
VOLUMES = ("--set", "journal.volume_bytes=4M")
SMALL, LARGE = 20_000, 1_500_000  # in the journal; in bulk volumes


@pytest.fixture
def start():
    daemons = []

    def start_one(*options):
        daemons.append(Daemon(*VOLUMES, *options).start())
        daemons[-1].client().create_bucket(Bucket=BUCKET)
        return daemons[-1]

    yield start_one
    for daemon in daemons:
        daemon.finish()


def disk_bytes(daemon):
    """As `du` counts: volumes may go meanwhile."""
    return int(subprocess.run(["du", "-s", "-B1", daemon.data / "volumes"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split()[0])


def compact(daemon, *options):
    done = subprocess.run([RESTFS, "--data", daemon.data, "compact", *options], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def body_of(key):
    size = LARGE if key.startswith("large") else SMALL
    return random.Random(key).randbytes(size)


def put_all(daemon):
    keys = [f"large/{i}" for i in range(10)] + [f"small/{i}" for i in range(150)]
    s3 = daemon.client()
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body_of(key))
    return keys


def delete_but(daemon, keys, each):
    """Each so many stay."""
    kept = keys[::each]
    gone = [key for key in keys if key not in kept]
    daemon.client().delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in gone]})
    wait_until(lambda: metric(daemon, "restfs_storage_reaped_total") >= len(gone))
    return kept


def metric(daemon, name):
    text = urllib.request.urlopen(daemon.admin + "/metrics", timeout=PATIENCE_SECONDS).read().decode()
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in text.splitlines() if line.startswith(name))


def assert_served(daemon, keys):
    s3 = daemon.client()
    for key in keys:
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body_of(key)


def test_compact_gives_back_what_was_deleted(start):
    daemon = start("--set", "compaction.enabled=false")
    kept = delete_but(daemon, put_all(daemon), 10)
    before = disk_bytes(daemon)
    told = json.loads(compact(daemon, "--json"))
    after = disk_bytes(daemon)
    assert told["volumes_removed"] > 0 and told["checkpoint_bytes"] > 0
    assert before - after > 8_000_000, (before, after, told)
    assert metric(daemon, "restfs_compaction_freed_bytes_total") == told["bytes_freed"]
    assert metric(daemon, "restfs_store_live_bytes") == told["live_bytes"] >= sum(len(body_of(key)) for key in kept)
    assert "bytes_freed" in compact(daemon)
    assert_served(daemon, kept)
    daemon.kill()
    daemon.start()
    assert_served(daemon, kept)


def test_compact_gives_back_what_was_deleted_a_moment_ago(start):
    daemon = start("--set", "compaction.enabled=false")
    keys = put_all(daemon)
    before = disk_bytes(daemon)
    daemon.client().delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert json.loads(compact(daemon, "--json"))["volumes_removed"] > 0
    assert disk_bytes(daemon) < before / 4


def test_space_comes_back_by_itself(start):
    daemon = start("--set", "compaction.interval=200")
    kept = delete_but(daemon, put_all(daemon), 5)
    wait_until(lambda: disk_bytes(daemon) < 12_000_000)
    assert_served(daemon, kept)


def test_who_reads_while_it_is_compacted_gets_every_byte(start):
    daemon = start("--set", "compaction.enabled=false", "--set", "compaction.garbage_percent=1")
    kept = delete_but(daemon, put_all(daemon), 2)
    done = threading.Event()
    failures = []

    def read():
        try:
            while not done.is_set():
                assert_served(daemon, kept[::7])
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for each in range(3):
        compact(daemon)
        key = f"large/more{each}"
        daemon.client().put_object(Bucket=BUCKET, Key=key, Body=body_of(key))
        daemon.client().delete_object(Bucket=BUCKET, Key=key)
    done.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert_served(daemon, kept)
