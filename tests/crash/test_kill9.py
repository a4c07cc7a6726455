"""What was acknowledged survives kill -9, whatever was under way; what was not is there whole or not at all."""
import concurrent.futures
import glob
import hashlib
import itertools
import os
import random
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from daemon import Daemon

ROUNDS = int(os.environ.get("RESTFS_ROUNDS", "10"))
RACES = int(os.environ.get("RESTFS_RACES", "1000"))
CLIENTS = 4
BUCKET = "crash"


class Client(threading.Thread):
    """Works on keys of its own, and keeps, outside the store, what it was told: for each key the states that may be found."""

    def __init__(self, daemon, number, seed, known):
        super().__init__()
        self.s3 = daemon.client(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20)
        self.number = number
        self.chance = random.Random(seed)
        self.known = known  # key -> set of possible contents (None: not there); one element once acknowledged
        self.done = 0
        self.failure = None

    def run(self):
        try:
            while True:
                self.step()
                self.done += 1
        except BotoCoreError:
            pass  # the daemon has gone
        except BaseException as error:  # an answer that should not have come
            self.failure = error

    def step(self):
        key = f"{self.number}/{self.chance.choice('abc')}/{self.chance.randrange(12)}"
        before = self.known.get(key, {None})
        kind = self.chance.random()
        size = self.chance.choice([0, 10, 5000, 300_000, 1_500_000])
        body = self.chance.randbytes(size)
        digest = hashlib.sha256(body).hexdigest()
        if kind < 0.2:
            self.known[key] = before | {None}
            self.s3.delete_object(Bucket=BUCKET, Key=key)
            self.known[key] = {None}
        elif kind < 0.4:
            self.known[key] = before | {digest}
            try:
                self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, IfNoneMatch="*")
                assert None in before
                self.known[key] = {digest}
            except ClientError as error:
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
                assert before != {None}
                self.known[key] = before - {None} or before
        elif kind < 0.5 and len(before) == 1 and None not in before:
            (only,) = before
            copy = key + "-copy"
            self.known[copy] = self.known.get(copy, {None}) | {only}
            self.s3.copy_object(Bucket=BUCKET, Key=copy, CopySource={"Bucket": BUCKET, "Key": key})
            self.known[copy] = {only}
        elif kind < 0.6:
            self.multipart(key, before)
        elif kind < 0.65:
            self.delete_some()
        else:
            self.known[key] = before | {digest}
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
            self.known[key] = {digest}

    def delete_some(self):
        keys = self.chance.sample(sorted(self.known), min(5, len(self.known)))
        if not keys:
            return
        for key in keys:
            self.known[key] = self.known[key] | {None}
        answer = self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
        assert sorted(item["Key"] for item in answer["Deleted"]) == sorted(keys)
        for key in keys:
            self.known[key] = {None}

    def multipart(self, key, before):
        parts = [self.chance.randbytes(5 * 1024 * 1024), self.chance.randbytes(1000)]
        digest = hashlib.sha256(b"".join(parts)).hexdigest()
        upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        tags = [{"PartNumber": n, "ETag": self.s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=n, Body=b)["ETag"]}
                for n, b in enumerate(parts, 1)]
        self.known[key] = before | {digest}
        self.s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": tags})
        self.known[key] = {digest}


def listing(s3):
    keys = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        keys += [o["Key"] for o in page.get("Contents", [])]
    return keys


def judge(s3, known):
    """Every key is in a state that its client may find; from now on that is its only one."""
    keys = listing(s3)
    assert keys == sorted(keys)
    assert set(keys) <= set(known)
    for key, states in known.items():
        try:
            found = hashlib.sha256(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).hexdigest()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchKey"
            found = None
        assert found in states, key
        assert (key in keys) == (found is not None), key
        known[key] = {found}


def lose_nothing(daemon, chance):
    """kill -9 and nothing more."""


def lose_the_index_log(daemon, chance):
    """What RocksDB had not synced of its own log is gone: the journal has it."""
    for path in glob.glob(os.path.join(daemon.data, "index", "*.log")):
        os.truncate(path, chance.randrange(os.path.getsize(path) + 1))


def lose_the_index(daemon, chance):
    """All of RocksDB is gone: the journal is the store."""
    for path in glob.glob(os.path.join(daemon.data, "index", "*")):
        os.unlink(path)
    os.rmdir(os.path.join(daemon.data, "index"))


def die_while_recovering(daemon, chance):
    """Recovery, too, may be interrupted anywhere, and is then begun again."""
    for _ in range(3):
        daemon.spawn()
        time.sleep(chance.random() * 0.05)  # a random point, nothing that is waited for
        daemon.kill()


def tear_the_tail(daemon, chance):
    """A group that was being written is there in part: bytes behind the last record that was acknowledged."""
    path = max(glob.glob(os.path.join(daemon.data, "volumes", "*.vol")), key=journal_number)
    with open(path, "r+b") as f:
        data = f.read()
        end = len(data.rstrip(b"\0"))
        f.seek((end + 7) // 8 * 8 + 8)
        f.write(chance.randbytes(chance.randrange(1, 5000)))


def journal_number(path):
    """Volumes of the journal before others; docs/format/volume.md: the superblock's kind is a u32 behind magic, format and store."""
    with open(path, "rb") as f:
        head = f.read(64)
    return (is_journal(head), path)


def is_journal(head):
    return head[KIND_AT] == 1


KIND_AT = 12


@pytest.mark.parametrize("damage", [lose_nothing, lose_the_index_log, lose_the_index, tear_the_tail, die_while_recovering])
def test_acknowledged_operations_survive(damage):
    chance = random.Random(f"{damage.__name__} 1")
    daemon = Daemon().start()
    known = [{} for _ in range(CLIENTS)]
    done = 0
    try:
        daemon.client().create_bucket(Bucket=BUCKET)
        for number in range(max(1, ROUNDS // 2)):
            clients = [Client(daemon, i, chance.random(), known[i]) for i in range(CLIENTS)]
            for client in clients:
                client.start()
            clients[0].join(0.2 + chance.random())
            assert daemon.is_running(), daemon.log()
            daemon.kill()
            for client in clients:
                client.join()
                if client.failure:
                    raise client.failure
            done += sum(client.done for client in clients)
            damage(daemon, chance)
            daemon.start()
            judge(daemon.client(), {k: v for part in known for k, v in part.items()})
            for part in known:
                judge_part(daemon.client(), part)
        assert done > CLIENTS, "too little was acknowledged to say anything"
    finally:
        daemon.remove()


def judge_part(s3, part):
    """Later rounds know which of the possible states it was."""
    for key, states in part.items():
        if len(states) == 1:
            continue
        try:
            part[key] = {hashlib.sha256(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).hexdigest()}
        except ClientError:
            part[key] = {None}


def test_only_one_of_two_writers_creates_a_key(own_daemon):
    own_daemon.client().create_bucket(Bucket=BUCKET)
    barrier = threading.Barrier(2)

    def race(me):
        s3, wins = own_daemon.client(retries={"max_attempts": 0}), []
        try:
            for number in range(RACES):
                barrier.wait()
                try:
                    s3.put_object(Bucket=BUCKET, Key=f"r/{number % 7}/{number}", Body=b"%d" % me, IfNoneMatch="*")
                    wins.append(number)
                except ClientError as error:
                    assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")
        except BaseException:
            barrier.abort()  # the other does not wait for one who failed
            raise
        return wins

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wins = [future.result() for future in [pool.submit(race, me) for me in (0, 1)]]
    assert sorted(wins[0] + wins[1]) == list(range(RACES))
    s3 = own_daemon.client()
    for me in (0, 1):
        for number in wins[me]:
            assert s3.get_object(Bucket=BUCKET, Key=f"r/{number % 7}/{number}")["Body"].read() == b"%d" % me


class Racer(threading.Thread):
    """Creates the keys that all racers create, one after the other, and keeps which it was told it had won."""

    def __init__(self, daemon, number):
        super().__init__()
        self.s3 = daemon.client(retries={"max_attempts": 0})
        self.number = number
        self.won = []
        self.failure = None

    def run(self):
        try:
            for turn in itertools.count():
                try:
                    self.s3.put_object(Bucket=BUCKET, Key=f"race/{turn}", Body=b"%d" % self.number, IfNoneMatch="*")
                    self.won.append(turn)
                except ClientError as error:
                    assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")
        except BotoCoreError:
            pass  # the daemon has gone
        except BaseException as error:
            self.failure = error


def test_a_race_that_was_won_stays_won_after_a_kill(own_daemon):
    chance = random.Random(2)
    own_daemon.client().create_bucket(Bucket=BUCKET)
    for _ in range(max(1, ROUNDS // 5)):
        racers = [Racer(own_daemon, number) for number in range(CLIENTS)]
        for racer in racers:
            racer.start()
        racers[0].join(0.2 + chance.random())
        assert own_daemon.is_running(), own_daemon.log()
        own_daemon.kill()
        for racer in racers:
            racer.join()
            if racer.failure:
                raise racer.failure
        winners = [(turn, racer.number) for racer in racers for turn in racer.won]
        assert winners and len(dict(winners)) == len(winners)
        s3 = own_daemon.start().client()
        for turn, number in winners:
            assert s3.get_object(Bucket=BUCKET, Key=f"race/{turn}")["Body"].read() == b"%d" % number
        for key in listing(s3):
            s3.delete_object(Bucket=BUCKET, Key=key)
