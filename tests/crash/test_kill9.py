"""What was acknowledged survives kill -9, whatever was under way; what was not is there whole or not at all."""
import concurrent.futures
import glob
import itertools
import os
import random
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from daemon import Daemon, wait_until
from workload import BUCKET, KINDS, SMALL_STORE, Client, judge, listing, possible, run, scrubs

ROUNDS = int(os.environ.get("RESTFS_ROUNDS", "10"))
RACES = int(os.environ.get("RESTFS_RACES", "1000"))
SEED = int(os.environ.get("RESTFS_SEED", "1"))
CLIENTS = 4


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
def test_acknowledged_operations_survive(damage, record_property):
    chance = random.Random(f"{damage.__name__} {SEED}")
    daemon = Daemon(*SMALL_STORE).start()
    state, kinds = {}, set()
    try:
        daemon.client().create_bucket(Bucket=BUCKET)
        for number in range(max(1, ROUNDS // 2)):
            clients = [Client(daemon, i, chance.random(), state, first=number * CLIENTS + i) for i in range(CLIENTS)]
            changes = run(clients, daemon, 0.2 + chance.random())
            kinds.update(kind for client in clients for kind in client.done)
            damage(daemon, chance)
            daemon.start()
            state = judge(daemon, possible(state, changes))
        assert ROUNDS < 4 or kinds == set(KINDS)
        record_property("kills", number + 1)
        record_property("rounds of the scrub beside kills", scrubs(daemon))
        daemon.kill()
        daemon.fsck()
    finally:
        daemon.finish()


def test_only_one_of_two_writers_creates_a_key(own_daemon, record_property):
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
    record_property("races of two writers", RACES)
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


def test_a_race_that_was_won_stays_won_after_a_kill(own_daemon, record_property):
    chance = random.Random(2)
    own_daemon.client().create_bucket(Bucket=BUCKET)
    record_property("kills in races", max(1, ROUNDS // 5))
    for _ in range(max(1, ROUNDS // 5)):
        racers = [Racer(own_daemon, number) for number in range(CLIENTS)]
        for racer in racers:
            racer.start()
        racers[0].join(0.2 + chance.random())
        wait_until(lambda: any(racer.won or not racer.is_alive() for racer in racers))
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
