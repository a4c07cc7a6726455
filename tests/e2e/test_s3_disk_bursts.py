"""Somebody else takes all of the disk in one moment, in the middle of what the store does: nothing acknowledged is lost, reads go on, and room ends it without a restart."""
import hashlib
import os
import threading
import time

from botocore.exceptions import ClientError

from crowd import metric
from daemon import Daemon, wait_until

KIB = 1024
MIB = 1024 * KIB
BUCKET = "burst"
STANDSTILL_SECONDS = 1  # nobody is refused when all stand in a group that waits for room


def start(directory, *options):
    daemon = Daemon("--set", "journal.volume_bytes=8M", *options)
    daemon.data = directory / "data"
    daemon.start()
    s3 = daemon.client(retries={"max_attempts": 0})
    s3.create_bucket(Bucket=BUCKET)
    return daemon, s3


def burst(path):
    """Takes what is free, as fast as that can be done."""
    with open(path, "ab") as file:
        step = 64 * MIB
        while step >= 4 * KIB:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
            except OSError:
                step //= 2
    return path


def body_of(key, size):
    return (hashlib.sha256(key.encode()).digest() * (size // 32 + 1))[:size]


def refused_for_room(call, **arguments):
    """False: it was done. Any other error is none that a full disk may bring."""
    try:
        call(**arguments)
        return False
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InsufficientStorage", error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 507
        return True


class Writers:
    """Six, each with bodies of another size."""

    SIZES = (300, 60_000, 200_000, 250_000, 250_000, 2_000_000)

    def __init__(self, daemon):
        self.daemon = daemon
        self.done, self.problems, self.refusals = {}, [], 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(len(self.SIZES))]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        s3 = self.daemon.client(retries={"max_attempts": 0})
        count = 0
        try:
            while not self.stopping.is_set():
                key, size = f"{number}/{count % 8}", self.SIZES[number] + count
                if refused_for_room(s3.put_object, Bucket=BUCKET, Key=key, Body=body_of(f"{key} {size}", size)):
                    self.refusals += 1
                    time.sleep(0.02)
                else:
                    self.done[key] = size
                count += 1
        except Exception as error:
            self.problems.append(error)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def more_is_done(self):
        """Each writer's next object."""
        seen = dict(self.done)
        assert not self.problems, self.problems
        wait_until(lambda: self.problems or all(any(self.done[key] != seen.get(key) for key in list(self.done) if key.startswith(f"{number}/"))
                                                for number in range(len(self.SIZES))))
        assert not self.problems, self.problems


def judge(s3, done):
    for key, size in done.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body_of(f"{key} {size}", size), key


def test_in_the_middle_of_groups(disk):
    store = disk(disk.path / "disk", 256)
    daemon, s3 = start(store, "--set", "compaction.interval=500")
    writers = Writers(daemon)
    try:
        for _ in range(3):
            writers.more_is_done()
            refused = writers.refusals
            eaten = burst(store / "eaten")
            end = time.monotonic() + STANDSTILL_SECONDS
            wait_until(lambda: writers.problems or writers.refusals > refused + 12 or time.monotonic() > end)
            for key, size in list(writers.done.items())[:3]:
                assert len(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) >= Writers.SIZES[int(key[0])]
            assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] >= 6
            assert metric(daemon, "restfs_store_poisoned") == 0
            os.unlink(eaten)
        writers.more_is_done()
        writers.stop()
        assert metric(daemon, "restfs_store_poisoned") == 0
        judge(s3, writers.done)
        daemon.kill()
        daemon.start()
        judge(daemon.client(), writers.done)
    finally:
        writers.stop()
        daemon.finish()
