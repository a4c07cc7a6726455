"""A volume's file that was lost while the store was stopped: what was in it is an error, and never other bytes."""
import os
import shutil
import subprocess

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from daemon import BINARY, Daemon

BUCKET = "lost"
BUCKETS = ["first", "second"]
MIB = 1 << 20
ROUNDS = int(os.environ.get("RESTFS_ROUNDS", "3"))
LOSSES = 4  # of one store


def restfs(daemon, *arguments):
    return subprocess.run([BINARY.replace("restfsd", "restfs"), "--data", daemon.data, *arguments], capture_output=True, text=True)


def volumes(daemon):
    return {path.name for path in (daemon.data / "volumes").glob("*.vol")}


def bulk(daemon):
    return {path for path in (daemon.data / "volumes").glob("*.vol") if path.read_bytes()[12] == 2}


def pieces(s3, key, size):
    """Whole, and in ranges that begin and end in the middle of frames and blocks."""
    yield lambda: s3.get_object(Bucket=BUCKET, Key=key)
    for first, last in ((0, 99), (65_530, 65_600), (MIB - 10, MIB + 10), (size // 2, size - 1)):
        yield lambda: s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={first}-{last}")


@pytest.fixture
def store():
    d = Daemon().start()
    d.damaged = True
    d.client().create_bucket(Bucket=BUCKET)
    yield d
    d.finish()


@pytest.mark.parametrize("size", [300_000, 8 * MIB])
@pytest.mark.parametrize("index", ["kept", "lost"])
def test_a_lost_volumes_number_is_not_given_again(store, size, index):
    before, after = os.urandom(size), os.urandom(size)
    s3 = store.client()
    s3.put_object(Bucket=BUCKET, Key="before", Body=before)
    store.stop()
    lost, = bulk(store)
    assert lost.name == max(volumes(store))
    lost.unlink()
    if index == "lost":
        shutil.rmtree(store.data / "index")
    s3 = store.start().client()
    s3.put_object(Bucket=BUCKET, Key="after", Body=after)
    assert lost.name not in volumes(store)
    for piece in pieces(s3, "before", size):
        with pytest.raises(ClientError):
            piece()
    assert s3.get_object(Bucket=BUCKET, Key="after")["Body"].read() == after
    store.stop()
    assert f"volume {lost.stem}" in store.fsck("--fast", status=1)


@pytest.mark.parametrize("size", [300_000, 8 * MIB])
def test_another_volume_under_the_name_of_a_lost_one_is_not_read(store, size):
    """As from a backup of another day: all of its checksums are right, and so is the store that it names."""
    early, late = os.urandom(size), os.urandom(size)
    s3 = store.client()
    s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    store.stop()
    copy = store.data.with_name(store.data.name + "-copy")
    shutil.copytree(store.data, copy)
    try:
        store.start().client().put_object(Bucket=BUCKET, Key="early", Body=early)
        store.stop()
        volume, = bulk(store)
        theirs = volume.read_bytes()
        shutil.rmtree(store.data)
        copy.rename(store.data)
        s3 = store.start().client()
        s3.put_object(Bucket=BUCKET, Key="one more", Body=b"1")  # so that the next block has a number of its own
        s3.put_object(Bucket=BUCKET, Key="late", Body=late)
        store.stop()
        ours, = bulk(store)
        assert ours.name == volume.name and ours.stat().st_size == len(theirs)
        ours.chmod(0o600)
        ours.write_bytes(theirs)
        s3 = store.start().client()
        for piece in pieces(s3, "late", size):
            with pytest.raises(ClientError):
                piece()
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@pytest.mark.parametrize("name", ["ffffffffffffffff.checkpoint", "ffffffffffffffff.vol", "0000000100000000.vol"])
def test_a_name_that_no_volume_has_is_none(store, name):
    """Numbers go on behind the highest, which is not this one."""
    s3 = store.client()
    s3.put_object(Bucket=BUCKET, Key="before", Body=b"before")
    store.stop()
    shutil.rmtree(store.data / "index")
    junk = store.data / "volumes" / name
    junk.write_bytes(b"junk")
    there = volumes(store)
    s3 = store.start().client()
    s3.put_object(Bucket=BUCKET, Key="after", Body=b"after")
    assert len(volumes(store) - there) == 1
    store.stop()
    done = restfs(store, "salvage", store.data)
    assert "0 damaged, 0 lost" in done.stdout and name in done.stdout
    s3 = store.start().client()
    for key in ("before", "after"):
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()


class Life:
    """Objects of a store that is written on, whatever it loses; each body ever written is another one."""

    def __init__(self, daemon, rng):
        self.daemon, self.rng, self.written = daemon, rng, {}

    def write(self, count):
        s3 = self.daemon.client()
        for _ in range(count):
            bucket, key = self.rng.choice(BUCKETS), f"k{self.rng.randrange(12)}"
            if self.rng.randrange(6) == 0:
                s3.delete_object(Bucket=bucket, Key=key)
                self.written[bucket, key] = None
                continue
            body = self.rng.randbytes(self.rng.choice([10, 4_000, 70_000, 300_000, MIB + 5, 3 * MIB]))
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            self.written[bucket, key] = body

    def lose(self):
        """Bulk volumes, and what is not in them: the index, with or without checkpoints, or volumes of the journal."""
        others = [path for path in (self.daemon.data / "volumes").glob("*.vol") if path.read_bytes()[12] == 1]
        names = [path for path in sorted(bulk(self.daemon)) if self.rng.randrange(2)]
        also = self.rng.randrange(4)
        if also == 0:
            names += [path for path in others if self.rng.randrange(4) == 0]
        elif also == 1:
            shutil.rmtree(self.daemon.data / "index")
        for path in names:
            path.unlink()
        return [path.name for path in names] + (["index"] if also == 1 else [])

    def verify(self):
        """Right bytes or an error; returns how many of each."""
        s3, seen = self.daemon.client(), [0, 0]
        for (bucket, key), body in self.written.items():
            size = len(body or b"")
            for first, last in ((0, size), (size // 3, size // 3 + 100), (size // 2, size)):
                try:
                    found = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={first}-{last}")["Body"].read()
                except (ClientError, ResponseStreamingError, IncompleteReadError):
                    seen[0] += 1
                    continue
                assert body is not None and found == body[first:last + 1], (bucket, key, first)
                seen[1] += 1
        return seen


def test_whatever_was_lost_no_other_bytes_are_read(rng, tmp_path, record_property):
    record_property("stores that lost volumes", ROUNDS)
    d = Daemon("--set", "journal.volume_bytes=2M", "--set", "compaction.garbage_percent=5", "--set", "compaction.enabled=false", directory=tmp_path)
    d.damaged = True
    wrong, right, refused = 0, 0, 0
    try:
        for _ in range(ROUNDS):
            shutil.rmtree(d.data, ignore_errors=True)
            life = Life(d.start(), rng)
            for bucket in BUCKETS:
                d.client().create_bucket(Bucket=bucket)
            for _ in range(LOSSES):
                life.write(15)
                if rng.randrange(2):
                    restfs(d, "compact")
                if rng.randrange(2):
                    d.stop()
                else:
                    d.kill()
                print(life.lose())
                d.spawn()
                if not d.wait_ready():  # it says what it misses
                    d.stop()
                    assert "missing" in d.log() or "damaged" in d.log()
                    refused += 1
                    break
                life.write(5)
                errors, reads = life.verify()
                wrong, right = wrong + errors, right + reads
            else:
                d.stop()
    finally:
        d.finish()
    assert right
    print(f"{wrong} errors, {right} right, {refused} starts refused")
