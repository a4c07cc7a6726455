"""A volume's file that was lost while the store was stopped: what was in it is an error, and never other bytes."""
import os
import shutil

import pytest
from botocore.exceptions import ClientError

from daemon import Daemon

BUCKET = "lost"
MIB = 1 << 20


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
