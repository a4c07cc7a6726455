"""An index whose bytes changed on the disk: it is told, nothing wrong is served, and the next start makes it anew."""
import json
import os
import random
import shutil
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from daemon import BUILD, Daemon
from crowd import metric

BUCKET = "rows"
OBJECTS = {f"{number:04d}-{'k' * 300}": b"%d" % number for number in range(400)}
ROUNDS = int(os.environ.get("RESTFS_ROUNDS", "10"))
STEP = 1000  # bytes from one that is turned over to the next: each block has some


def restfs(daemon, *words, code=0):
    done = subprocess.run([os.path.join(BUILD, "restfs"), "--data", daemon.data, *words], capture_output=True, text=True)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done


def mark(daemon):
    return daemon.data / "index-damaged"


def files(daemon, pattern):
    found = sorted((daemon.data / "index").glob(pattern))
    assert found, pattern
    return found


def spoil(path, first=STEP, end=None):
    content = bytearray(path.read_bytes())
    for at in range(first, end or len(content), STEP):
        content[at] ^= 16
    path.write_bytes(content)


def spoil_rows(daemon):
    """Some of the objects', and not what opening reads."""
    table = max(files(daemon, "*.sst"), key=lambda path: path.stat().st_size)
    spoil(table, first=table.stat().st_size // 4, end=table.stat().st_size // 2)


def spoil_all(daemon):
    for table in files(daemon, "*.sst"):
        spoil(table)


def read(daemon):
    """What is there of the objects; what fails is left out."""
    s3, got = daemon.client(retries={"max_attempts": 0}), {}
    for key in OBJECTS:
        try:
            got[key] = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500, error
    return got


def is_whole(daemon, objects=None):
    """All objects are there and can be listed, and nothing is left of the damage."""
    assert not mark(daemon).exists()
    assert json.loads(restfs(daemon, "status", "--json").stdout)["healthy"] and metric(daemon, "restfs_index_damaged") == 0
    pages = daemon.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == sorted(objects or OBJECTS)
    return read(daemon) == OBJECTS


@pytest.fixture
def store():
    """Stopped: its rows are in tables."""
    d = Daemon().start()
    s3 = d.client()
    s3.create_bucket(Bucket=BUCKET)
    for key, body in OBJECTS.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    d.stop()
    yield d
    d.finish()


def test_damage_is_told_and_the_next_start_makes_the_index_anew(store):
    spoil_rows(store)
    store.start()
    got = read(store)
    assert got.items() < OBJECTS.items(), "some fail, and none is wrong"
    store.client().put_object(Bucket=BUCKET, Key="zzz", Body=b"written meanwhile")
    told = json.loads(restfs(store, "status", "--json", code=1).stdout)
    assert not told["healthy"] and told["problems"] == [
        "the index is damaged: what it cannot read fails until a restart, which makes it anew from the journal"]
    assert metric(store, "restfs_index_damaged") == 1 and mark(store).exists()
    assert "the index is damaged: the next start makes it anew from the journal" in store.log()
    store.stop()
    store.start()
    assert "the index was damaged: it is made anew from the journal" in store.log()
    assert is_whole(store, [*OBJECTS, "zzz"])
    store.stop()
    assert len(store.start().log().split("it is made anew")) == 2, "once"
    assert is_whole(store, [*OBJECTS, "zzz"])


def test_it_is_made_anew_behind_a_checkpoint_too(store):
    store.options = ["--set", "journal.volume_bytes=1500000", "--set", "compaction.enabled=false"]
    s3 = store.start().client()
    for _ in range(200):
        s3.put_object(Bucket=BUCKET, Key="garbage", Body=os.urandom(20000))
    s3.delete_object(Bucket=BUCKET, Key="garbage")
    restfs(store, "compact")
    store.stop()
    assert list((store.data / "volumes").glob("*.checkpoint"))
    spoil_rows(store)
    store.start()
    assert read(store) != OBJECTS
    store.kill()
    store.start()
    assert is_whole(store)


def spoil_manifest(daemon):
    for path in files(daemon, "MANIFEST-*"):
        spoil(path, first=20)


def remove_tables(daemon):
    for path in files(daemon, "*.sst"):
        path.unlink()


def cut_tables(daemon):
    for path in files(daemon, "*.sst"):
        os.truncate(path, path.stat().st_size // 2)


def remove_manifest(daemon):
    for path in files(daemon, "MANIFEST-*"):
        path.unlink()


def spoil_current(daemon):
    (daemon.data / "index" / "CURRENT").write_text("MANIFEST-99\n")


@pytest.mark.parametrize("damage", [spoil_all, spoil_manifest, remove_tables, cut_tables, remove_manifest, spoil_current])
def test_an_index_that_does_not_open_is_made_anew_at_once(store, damage):
    damage(store)
    store.start()
    assert is_whole(store)


@pytest.mark.parametrize("left", ["all", "no CURRENT", "nothing"])
@pytest.mark.parametrize("told", ["Corruption: block checksum mismatch", ""])
def test_making_it_anew_may_be_interrupted(store, left, told):
    """While the files go; also where nothing says how far the index had come."""
    for path in files(store, "*" if left == "nothing" else "CURRENT" if left == "no CURRENT" else "LOCK"):
        path.unlink()
    mark(store).write_text(told)
    mark(store).with_name("index-damaged.new").write_text("volu")
    store.start()
    assert is_whole(store)


def test_making_it_anew_may_be_killed_at_any_moment(store):
    spoil_rows(store)
    store.start()
    read(store)
    store.kill()
    for _ in range(10):
        store.spawn()
        time.sleep(random.uniform(0, 0.05))
        store.kill()
    store.start()
    assert is_whole(store)


def test_a_journal_whose_end_is_lost_with_the_index_is_not_served(store):
    """Only the damaged index knows that there was more: what it says is kept while it is made anew."""
    journal = max((store.data / "volumes").glob("*.vol"))
    store.start()
    store.client().put_object(Bucket=BUCKET, Key="last", Body=b"acknowledged")
    store.kill()
    lost = max((store.data / "volumes").glob("*.vol"))
    assert lost >= journal
    store.start()  # a volume of its own, as after each kill
    store.client().put_object(Bucket=BUCKET, Key="really last", Body=b"acknowledged")
    store.stop()
    spoil_rows(store)
    store.start()
    read(store)
    store.stop()
    assert mark(store).exists()
    kept = store.directory / "kept"
    shutil.copytree(store.data, kept)
    last = max((store.data / "volumes").glob("*.vol"))
    os.truncate(last, 4096)  # its superblock
    with pytest.raises(RuntimeError, match="the journal ends at batch [0-9]+, but the index that was damaged had batch [0-9]+"):
        store.start()
    with pytest.raises(RuntimeError, match="the index that was damaged had batch"):
        store.start()
    assert mark(store).read_text().startswith("volume ")
    done = restfs(store, "salvage", str(store.data), code=1)
    assert "lost" in done.stdout and not mark(store).exists()
    shutil.rmtree(store.data)
    kept.rename(store.data)
    store.start()
    assert is_whole(store, [*OBJECTS, "last", "really last"])


def test_no_store_is_begun_in_place_of_one_whose_volumes_are_gone(store):
    spoil_manifest(store)
    volumes = store.data / "volumes"
    volumes.rename(store.directory / "elsewhere")
    volumes.mkdir()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the journal's volumes are missing"):
            store.start()
    volumes.rmdir()
    (store.directory / "elsewhere").rename(volumes)
    store.start()
    assert is_whole(store)


def test_fsck_says_that_it_is_the_index(store):
    spoil_rows(store)
    done = restfs(store, "fsck", str(store.data), code=2)
    assert "the index is damaged" in done.stderr and "run it again" in done.stderr, done.stderr
    assert "0 findings" in store.fsck()
    store.start()
    assert is_whole(store)


def test_an_index_on_a_disk_of_its_own(store, disk):
    kept = store.directory / "kept"
    (store.data / "index").rename(kept)
    mounted = disk(store.data / "index", 64)
    for path in kept.iterdir():
        shutil.copy(path, mounted)
    (mounted / "lost+found").mkdir()
    spoil_rows(store)
    store.start()
    read(store)
    store.stop()
    store.start()
    assert is_whole(store) and (mounted / "lost+found").exists()
    store.stop()
    shutil.rmtree(kept)


def damage_at_random(daemon, random):
    """What is named there is all that RocksDB reads; its log and its LOCK are written anew."""
    path = random.choice([path for pattern in ("*.sst", "*.sst", "*.sst", "*.log", "MANIFEST-*", "CURRENT", "OPTIONS-*") for path in (daemon.data / "index").glob(pattern)])
    size = path.stat().st_size
    how = random.choice(["bits", "bits", "zeros", "cut", "gone"])
    if how == "gone":
        path.unlink()
    elif how == "cut":
        os.truncate(path, random.randrange(size) if size else 0)
    elif size:
        content = bytearray(path.read_bytes())
        for _ in range(random.choice([1, 3, 30])):
            at = random.randrange(size)
            content[at:at + (512 if how == "zeros" else 1)] = bytes(min(512, size - at)) if how == "zeros" else bytes([content[at] ^ 1 << random.randrange(8)])
        path.write_bytes(content)
    return f"{path.name} {how}"


def test_random_damage(store):
    """Nothing wrong is served, whatever is damaged, and nothing is lost; what is written meanwhile is there."""
    seed = int(os.environ.get("RESTFS_SEED", random.randrange(1 << 32)))
    chance, written, told = random.Random(seed), dict(OBJECTS), []
    print(f"RESTFS_SEED={seed}")
    for number in range(ROUNDS):
        told.append([damage_at_random(store, chance) for _ in range(chance.choice([1, 1, 1, 4]))])
        store.start()
        s3 = store.client(retries={"max_attempts": 0})
        for key in chance.sample(sorted(written), 100):
            try:
                assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == written[key], (key, told)
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500 and mark(store).exists(), (key, error, told)
        for key in (f"new-{number}", chance.choice(sorted(OBJECTS))):
            try:
                s3.put_object(Bucket=BUCKET, Key=key, Body=b"%d" % number)
                written[key] = b"%d" % number
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 and mark(store).exists(), (key, error, told)
                written.pop(key, None)  # either
        chance.choice([store.stop, store.kill])()
    if subprocess.run([os.path.join(BUILD, "restfs"), "fsck", store.data], capture_output=True).returncode:
        store.fsck()
    s3 = store.start().client()
    for key, body in written.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body, (key, told)
