"""Somebody else takes all of the disk in one moment, in the middle of what the store does: nothing acknowledged is lost, reads go on, and room ends it without a restart."""
import hashlib
import json
import os
import subprocess
import threading
import time

from botocore.exceptions import ClientError

from crowd import metric
from daemon import BUILD, PATIENCE_SECONDS, Daemon, wait_until
from disks import free_bytes

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


def burst(path, left=0):
    """Takes what is free, but for so much, as fast as that can be done."""
    with open(path, "ab") as file:
        step = 64 * MIB
        while step >= 4 * KIB:
            try:
                if free_bytes(path) < left + step:
                    raise OSError
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
            except OSError:
                step //= 2
    return path


def body_of(key, size):
    return (hashlib.sha256(key.encode()).digest() * (size // 32 + 1))[:size]


def long_text(key, size):
    """That does not become much smaller when it is compressed, so that rows take room."""
    return "".join(hashlib.sha256(f"{key} {number}".encode()).hexdigest() for number in range(size // 64))


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


def log_bytes(daemon):
    """What the index has in memory, as it is in its log."""
    return sum(path.stat().st_size for path in (daemon.data / "index").glob("*.log"))


class Sharers:
    """Six that write objects with long rows; and then change the access to them, which goes on when the disk is full, and writes their rows anew."""

    COUNT = 6

    def __init__(self, daemon):
        self.daemon = daemon
        self.objects = []
        self.granted, self.changes, self.problems = {}, 0, []
        self.stopping = threading.Event()
        self.threads = []

    def all_begin(self, what, *arguments):
        self.threads = [threading.Thread(target=self.run, args=(what, number, *arguments)) for number in range(self.COUNT)]
        for thread in self.threads:
            thread.start()

    def run(self, what, number, *arguments):
        try:
            what(self.daemon.client(retries={"max_attempts": 0}), number, *arguments)
        except Exception as error:
            self.problems.append(error)

    def fill_memory(self, size):
        """The index has so much in memory, and nobody writes any more."""
        self.all_begin(self.write, size)
        self.join()
        assert not self.problems, self.problems

    def write(self, s3, number, size):
        count = 0
        while log_bytes(self.daemon) < size:
            key = long_text(f"key {number} {count}", 900)
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"body", Metadata={"text": long_text(f"text {key}", 1900)})
            self.objects.append(key)
            count += 1

    def share(self, s3, number):
        """Each changes objects of its own, one after the other: what was answered last is what is there."""
        own = self.objects[number::self.COUNT]
        count = 0
        while not self.stopping.is_set():
            key, acl = own[count % len(own)], ("public-read", "private")[count // len(own) % 2]
            if refused_for_room(s3.put_object_acl, Bucket=BUCKET, Key=key, ACL=acl):
                time.sleep(0.02)
                continue
            self.granted[key] = acl
            self.changes += 1
            count += 1

    def more_is_done(self):
        seen = self.changes
        wait_until(lambda: self.problems or self.changes > seen + 50)
        assert not self.problems, self.problems

    def join(self):
        for thread in self.threads:
            thread.join()

    def stop(self):
        self.stopping.set()
        self.join()

    def judge(self, s3):
        for key in self.objects[::16]:
            answer = s3.get_object(Bucket=BUCKET, Key=key)
            assert answer["Body"].read() == b"body" and answer["Metadata"] == {"text": long_text(f"text {key}", 1900)}
        for key, acl in self.granted.items():
            is_public = any("URI" in grant["Grantee"] for grant in s3.get_object_acl(Bucket=BUCKET, Key=key)["Grants"])
            assert is_public == (acl == "public-read"), key


def test_in_the_middle_of_a_flush_of_the_index(disk):
    """There is room for each write, and none for the table that the index makes of them: they wait, and go on with room."""
    store = disk(disk.path / "disk", 192)
    (store / "data" / "volumes").mkdir(parents=True)
    index = disk(store / "data" / "index", 64)
    daemon, s3 = start(store, "--set", "compaction.enabled=false", "--set", "index.buffer_bytes=4M")
    sharers = Sharers(daemon)
    try:
        sharers.fill_memory(3 * MIB)
        eaten = burst(index / "eaten", 2 * MIB)
        sharers.all_begin(sharers.share)
        wait_until(lambda: sharers.problems or "the index has no room for a table" in daemon.log())
        assert not sharers.problems, sharers.problems
        burst(eaten)
        for key in sharers.objects[:10]:
            assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"body"
        assert s3.list_objects_v2(Bucket=BUCKET, MaxKeys=100)["KeyCount"] == 100
        assert metric(daemon, "restfs_store_poisoned") == 0
        os.unlink(eaten)
        sharers.more_is_done()
        wait_until(lambda: not refused_for_room(s3.put_object, Bucket=BUCKET, Key="small", Body=b"x"))
        sharers.stop()
        assert not sharers.problems, sharers.problems
        assert metric(daemon, "restfs_store_poisoned") == 0
        sharers.judge(s3)
        daemon.kill()
        daemon.start()
        sharers.judge(daemon.client())
    finally:
        sharers.stop()
        daemon.finish()


class Deleters:
    """Six, each of whom asks for 500 keys of a kilobyte to be deleted in one request, which has many commits under way."""

    COUNT, KEYS = 6, 500

    def __init__(self, daemon):
        self.daemon = daemon
        self.deleted, self.refused, self.problems = [], [], []

    def all_do(self, what):
        threads = [threading.Thread(target=self.run, args=(what, number)) for number in range(self.COUNT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.problems, self.problems

    def run(self, what, number):
        try:
            what(self.daemon.client(retries={"max_attempts": 0}), [long_text(f"key {number} {key}", 1000) for key in range(self.KEYS)])
        except Exception as error:
            self.problems.append(error)

    def write(self, s3, keys):
        for key in keys:
            s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())

    def delete(self, s3, keys):
        answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
        assert all(error["Code"] == "InsufficientStorage" for error in answer.get("Errors", ()))
        self.deleted += [item["Key"] for item in answer.get("Deleted", ())]
        self.refused += [item["Key"] for item in answer.get("Errors", ())]

    def judge(self, s3):
        listed = [item["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET) for item in page.get("Contents", ())]
        assert listed == sorted(self.refused)
        for key in listed[::100]:
            assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()


def test_many_deletes_at_once_come_to_the_end_of_the_reserve(disk):
    """What was admitted has room together: nobody waits for somebody who frees some, and who is refused is told so."""
    store = disk(disk.path / "disk", 96)
    daemon, s3 = start(store, "--set", "compaction.enabled=false")
    deleters = Deleters(daemon)
    try:
        deleters.all_do(deleters.write)
        wait_until((daemon.data / "reserve").exists)
        eaten = burst(store / "eaten")
        deleters.all_do(deleters.delete)
        assert deleters.deleted and deleters.refused
        assert metric(daemon, "restfs_store_poisoned") == 0
        deleters.judge(s3)
        os.unlink(eaten)
        daemon.kill()
        daemon.start()
        deleters.judge(daemon.client())
    finally:
        daemon.finish()


def restfs(daemon, *words):
    """None: it was refused."""
    done = subprocess.run([os.path.join(BUILD, "restfs"), "--data", daemon.data, *words, "--json"], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0 or "NO_SPACE" in done.stderr, done.stderr
    return json.loads(done.stdout) if done.returncode == 0 else None


def volume_bytes(daemon):
    return sum(path.stat().st_size for path in (daemon.data / "volumes").iterdir())


def test_in_the_middle_of_a_move_of_compaction(disk):
    """And the checkpoint behind it finds no room either. What was moved, or not, is there; with room compaction comes to its end."""
    store = disk(disk.path / "disk", 128)
    daemon, s3 = start(store, "--set", "debug=true", "--set", "compaction.rate=400000", "--set", "compaction.interval=100")
    sizes = {f"key {number}": 90_000 + number for number in range(120)}
    live = dict(list(sizes.items())[::3])
    try:
        for key, size in sizes.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body_of(f"{key} {size}", size))
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in sizes if key not in live]})
        wait_until(lambda: restfs(daemon, "debug", "dump")["storage"]["compaction"]["step"] == "move")
        eaten = burst(store / "eaten")
        restfs(daemon, "compact")  # at once
        burst(eaten)
        judge(s3, live)
        assert metric(daemon, "restfs_store_poisoned") == 0
        os.unlink(eaten)
        wait_until(lambda: not refused_for_room(s3.put_object, Bucket=BUCKET, Key="small", Body=b"x"))
        wait_until(lambda: restfs(daemon, "compact") and volume_bytes(daemon) < 2 * sum(live.values()))
        assert metric(daemon, "restfs_store_poisoned") == 0
        judge(s3, live)
        daemon.kill()
        daemon.start()
        judge(daemon.client(), live)
    finally:
        daemon.finish()
