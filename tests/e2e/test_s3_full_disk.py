"""A full disk: writes are refused with 507, everything else goes on, and room ends it without a restart."""
import os
import subprocess
import threading

import pytest
from botocore.exceptions import ClientError

from crowd import metric
from daemon import BINARY, Daemon, wait_until
from disks import eat

MIB = 1024 * 1024
SMALL_VOLUMES = ("--set", "journal.volume_bytes=8000000")


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "InsufficientStorage"
    assert caught.value.response["Error"]["Message"] == "The storage is full"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507


def body(number, size=MIB):
    return (b"%08d" % number) * (size // 8)


def put_until_full(s3, size=MIB, most=1000):
    for number in range(most):
        try:
            s3.put_object(Bucket="full", Key=f"{size}/{number}", Body=body(number, size))
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InsufficientStorage", error
            assert error.response["Error"]["Message"] == "The storage is full"
            return number
    raise AssertionError("the disk did not become full")


def works(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InsufficientStorage", error
        return False
    return True


def assert_all_there(s3, count, size=MIB):
    listed = [item for page in s3.get_paginator("list_objects_v2").paginate(Bucket="full", Prefix=f"{size}/") for item in page.get("Contents", ())]
    assert len(listed) == count
    for number in (0, count // 2, count - 1):
        assert s3.get_object(Bucket="full", Key=f"{size}/{number}")["Body"].read() == body(number, size)


def start(directory, *options):
    daemon = Daemon(*SMALL_VOLUMES, "--set", "log.level=info", *options)
    daemon.data = directory / "data"
    daemon.start()
    return daemon, daemon.client()


def test_writes_stop_before_the_disk_is_full_and_everything_else_goes_on(disk):
    store = disk(disk.path / "disk", 96)
    daemon, s3 = start(store)
    try:
        s3.create_bucket(Bucket="full")
        count = put_until_full(s3)
        put_until_full(s3, 8192)
        assert count > 40
        refused(s3.put_object, Bucket="full", Key="small", Body=b"x")
        refused(s3.put_object, Bucket="full", Key="large", Body=b"x" * (4 * MIB))
        refused(s3.copy_object, Bucket="full", Key="copy", CopySource="full/%d/0" % MIB)
        assert metric(daemon, "restfs_store_full") == 1
        assert metric(daemon, "restfs_store_poisoned") == 0
        assert_all_there(s3, count)
        s3.put_object_acl(Bucket="full", Key=f"{MIB}/0", ACL="public-read")
        for number in range(count // 2, count):
            s3.delete_object(Bucket="full", Key=f"{MIB}/{number}")
        assert len(s3.list_objects_v2(Bucket="full").get("Contents", ())) == count // 2
        subprocess.run(["mount", "-o", "remount,size=192m", store], check=True)
        wait_until(lambda: works(s3.put_object, Bucket="full", Key="small", Body=b"x"))
        s3.put_object(Bucket="full", Key="large", Body=b"x" * (4 * MIB))
        assert metric(daemon, "restfs_store_full") == 0
    finally:
        daemon.finish()


@pytest.mark.parametrize("size", [MIB, 100_000])
def test_what_was_deleted_makes_room_by_itself(disk, size):
    """From bulk volumes; and from the journal, which takes a checkpoint."""
    store = disk(disk.path / "disk", 96)
    daemon, s3 = start(store, "--set", "compaction.interval=500")
    try:
        s3.create_bucket(Bucket="full")
        count = put_until_full(s3, size)
        for number in range(count):
            if number % 4:
                s3.delete_object(Bucket="full", Key=f"{size}/{number}")
        for number in range(8):
            wait_until(lambda: works(s3.put_object, Bucket="full", Key=f"large/{number}", Body=body(number, 4 * MIB)))
        assert metric(daemon, "restfs_store_poisoned") == 0
        for number in range(0, count, 4):
            assert s3.get_object(Bucket="full", Key=f"{size}/{number}")["Body"].read() == body(number, size)
    finally:
        daemon.finish()


def test_deletes_and_a_start_find_room_in_the_reserve_when_others_took_all(disk):
    store = disk(disk.path / "disk", 256)
    daemon, s3 = start(store)
    try:
        s3.create_bucket(Bucket="full")
        for number in range(300):
            s3.put_object(Bucket="full", Key=f"8192/{number}", Body=body(number, 8192))
        wait_until((daemon.data / "reserve").exists)
        eaten = eat(store / "eaten")
        wait_until(lambda: metric(daemon, "restfs_store_full") == 1)
        refused(s3.put_object, Bucket="full", Key="small", Body=b"x")
        for number in range(100, 300):
            s3.delete_object(Bucket="full", Key=f"8192/{number}")
        assert_all_there(s3, 100, 8192)
        daemon.kill()
        eat(store / "eaten-too")
        daemon.start()
        s3 = daemon.client()
        assert_all_there(s3, 100, 8192)
        eat(store / "eaten-again", 8 * MIB)  # the start gave back what the index had set aside for its log
        wait_until(lambda: metric(daemon, "restfs_store_full") == 1)
        refused(s3.put_object, Bucket="full", Key="small", Body=b"x")
        s3.delete_object(Bucket="full", Key="8192/99")
        for path in (eaten, store / "eaten-too", store / "eaten-again"):
            os.unlink(path)
        wait_until(lambda: works(s3.put_object, Bucket="full", Key="small", Body=b"x"))
        assert_all_there(s3, 99, 8192)
        assert metric(daemon, "restfs_store_poisoned") == 0
    finally:
        daemon.finish()


@pytest.mark.parametrize("left", [0, 1, 4])
def test_a_store_that_finds_no_room_to_begin_says_so(disk, left):
    store = disk(disk.path / "disk", 60 + left)
    os.truncate(eat(store / "eaten"), 60 * MIB)
    arguments = [BINARY, "--data", store / "data", "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("restfsd: the disk is full: to "), done.stderr


def test_the_disk_of_the_index_fills_first(disk):
    store = disk(disk.path / "disk", 256)
    (store / "data").mkdir()
    (store / "data" / "volumes").mkdir()
    index = disk(store / "data" / "index", 64)
    daemon, s3 = start(store)
    done, stop = [], threading.Event()

    def write():
        own = daemon.client()
        number = 0
        while not stop.is_set():
            if works(own.put_object, Bucket="full", Key=f"8/{number}", Body=body(number, 8)):
                done.append(number)
                number += 1

    writer = threading.Thread(target=write)
    try:
        s3.create_bucket(Bucket="full")
        writer.start()
        wait_until(lambda: len(done) > 50)
        eaten = eat(index / "eaten")
        wait_until(lambda: metric(daemon, "restfs_store_full") == 1)
        refused(s3.put_object, Bucket="full", Key="small", Body=b"x")
        os.unlink(eaten)
        seen = len(done)
        wait_until(lambda: len(done) > seen + 50)
        stop.set()
        writer.join()
        assert metric(daemon, "restfs_store_poisoned") == 0
        assert_all_there(s3, len(done), 8)
        daemon.kill()
        eaten = eat(index / "eaten")
        daemon.spawn()
        assert not daemon.wait_ready() and daemon.process.wait() == 1
        assert "the disk is full: to open the store takes" in daemon.log()
        daemon.kill()
        os.unlink(eaten)
        daemon.start()
        assert_all_there(daemon.client(), len(done), 8)
    finally:
        stop.set()
        writer.join()
        daemon.finish()


def test_volumes_of_a_small_disk_are_small(disk):
    """So that what is left in them finds room in the reserve: half of what is there goes, evenly, and its room comes back."""
    store = disk(disk.path / "disk", 192)
    daemon, s3 = start(store, "--set", "journal.volume_bytes=1073741824", "--set", "compaction.interval=500")
    try:
        s3.create_bucket(Bucket="full")
        count = put_until_full(s3)
        for number in range(0, count, 2):
            s3.delete_object(Bucket="full", Key=f"{MIB}/{number}")
        for number in range(8):
            wait_until(lambda: works(s3.put_object, Bucket="full", Key=f"large/{number}", Body=body(number, 4 * MIB)))
        for number in range(1, count, 2):
            s3.delete_object(Bucket="full", Key=f"{MIB}/{number}")
        assert metric(daemon, "restfs_store_poisoned") == 0
    finally:
        daemon.finish()
