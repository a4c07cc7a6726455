"""What was acknowledged survives a power cut that loses whatever was not synced; what was not is there whole or not at all.

The daemon runs with io_trace preloaded; the clients note how far the trace had come when they asked and when they were told. From the trace the disk is
made as it would be had the power gone at any moment (power_cut.py), and judged by cut_judge.c, or a daemon is started on it. Moments and losses are chosen
at random; test_cut_points.py goes through all of them.
"""
import copy
import os
import random
import shutil

import pytest
from botocore.exceptions import ClientError

from cut_points import THERE, Explorer, Judges, broken_promises, contradictions, random_disks
from daemon import Daemon
from power_cut import CREATE, DROP, KEEP, MKDIR, PAGES, REMOVE, RENAME, SIZE, SYNC_BEGIN, SYNC_END, TORN, Disk, Trace
from traced import TracedDaemon
from workload import BUCKET, KEPT_CHANGES, KINDS, SMALL_STORE, Change, Client, content, judge, possible, run

ROUNDS = int(os.environ.get("RESTFS_POWER_ROUNDS", "1"))
SEED = int(os.environ.get("RESTFS_SEED", "1"))
DISKS, JUDGED = 2, 50 if ROUNDS > 1 else 10  # made of each trace: with a daemon started on them, and not
CLIENTS = 4
# Small volumes, so that new ones are begun while the clients work, and others emptied and removed below checkpoints.
OPTIONS = SMALL_STORE
JUDGE_OPTIONS = (SMALL_STORE[1], "feed.rows=0", "compaction.enabled=false", "scrub.enabled=false")


class Machine:
    """A store whose disk is traced since it was `disk`, and its clients' state since that was `state`. `changes`: since then."""

    def __init__(self):
        self.daemon = TracedDaemon(*OPTIONS)
        self.root, self.trace_path, self.position = self.daemon.root, self.daemon.trace_path, self.daemon.position
        self.made = None  # the trace's position when the bucket's creation was acknowledged
        self.kinds = set()
        self.begin(Disk(self.root), {})

    def begin(self, disk, state):
        self.disk, self.state, self.changes = disk, state, []
        self.daemon.begin_trace()

    def work(self, seed, steps=None, seconds=None):
        """Clients take so many steps each and the daemon is stopped, or it is killed after that time."""
        chance = random.Random(seed)
        self.daemon.start()
        if self.made is None:
            self.daemon.client().create_bucket(Bucket=BUCKET)
            self.made = self.position()
        state = self.resolve()
        clients = [Client(self.daemon, number, chance.random(), state, self.position, steps, first=2 * number) for number in range(CLIENTS)]
        self.changes += run(clients, self.daemon, seconds)
        self.kinds.update(kind for client in clients for kind in client.done)

    def resolve(self):
        """The only state, now: what a client reads that was not acknowledged stays, like what was."""
        states = possible(self.state, self.changes)
        for key in [key for key, may_be in states.items() if len(may_be) > 1]:
            change = Change(key, content(self.daemon.client(), key)[0], self.position())
            assert change.digest in states[key], key
            change.end = self.position()
            self.changes.append(change)
            states[key] = {change.digest}
        return {key: digest for key, (digest,) in states.items()}

    def cut(self, records, chance, loss, forgets=lambda path: False):
        """A daemon, not started, on what is left when the power goes behind these records."""
        other = Daemon(*OPTIONS)
        other.access_key, other.secret_key = self.daemon.access_key, self.daemon.secret_key
        self.disk.after(records, forgets).make(other.directory, chance, loss)
        return other

    def go_on_with(self, other, found):
        """The disk is from now on this one, which a power cut left; all of it is safe."""
        shutil.rmtree(self.daemon.data)
        shutil.move(other.data, self.daemon.data)
        self.made = 0
        self.begin(Disk(self.root), found)

    def killed(self, trace, count):
        """A machine whose disk is this one's when the process was killed behind so many records, and nothing was synced after that."""
        second = Machine()
        second.daemon.access_key, second.daemon.secret_key = self.daemon.access_key, self.daemon.secret_key
        disk, cut = self.disk.after(trace.records[:count]), trace.ends[count - 1]
        disk.make(second.root, random.Random(0), KEEP)
        second.begin(disk.moved(second.root), self.state)
        second.made = 0 if self.made is not None and self.made <= cut else None
        for change in self.changes:
            if change.start < cut:
                second.changes.append(Change(change.key, change.digest, 0))
                second.changes[-1].end = 0 if change.end is not None and change.end <= cut else None
        return second

    def judge(self, other, cut):
        """Starts it; what was found, the power having gone at this position of the trace."""
        other.start()
        if not has_bucket(other):
            assert self.made is None or self.made > cut, "the bucket has gone"
            return {}
        return judge(other, possible(self.state, self.changes, cut))

    def judge_many(self, trace, chance, judges):
        """Disks of as many moments, without a daemon; how many differ."""
        def verdict(found, cut):
            if "refused" in found:
                return [found["refused"]]
            may_be = {f"{BUCKET}/{key}": values for key, values in possible(self.state, self.changes, cut).items()}
            may_be[f"bucket {BUCKET}"] = {THERE} if self.made is not None and self.made <= cut else {None, THERE}
            return contradictions(found, KEPT_CHANGES) + broken_promises(found, may_be, ignored="upload ")

        explorer = Explorer(judges, verdict)
        explorer.run(random_disks(copy.deepcopy(self.disk), trace, chance, [moment(trace, chance) for _ in range(JUDGED)]), trace)
        return len(explorer.answers)

    def remove(self):
        self.daemon.remove()


def has_bucket(daemon):
    s3 = daemon.client()
    try:
        s3.head_bucket(Bucket=BUCKET)
        return True
    except ClientError:
        return False


@pytest.fixture
def machine():
    m = Machine()
    yield m
    m.remove()


@pytest.fixture
def judges():
    judges = Judges(JUDGE_OPTIONS)
    yield judges
    judges.close()


def moment(trace, chance):
    """How many records there are when the power goes: any number, or one at which it matters most what is safe."""
    if chance.random() < 0.3:
        return chance.randrange(len(trace.records)) + 1
    return max(1, chance.choice(trace.places(SYNC_BEGIN, SYNC_END, RENAME, REMOVE, CREATE, MKDIR, SIZE)) - chance.randrange(2))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_acknowledged_operations_survive_power_cuts(machine, judges, number, record_property):
    """Two lives, so that also what was recovered after a cut is cut; in each the daemon ends twice, the first time clean or killed, then killed."""
    chance = random.Random(f"power {SEED + number}")
    for life in range(2):
        machine.work(chance.random(), **({"steps": 10} if life == 0 else {"seconds": 0.3}))
        machine.work(chance.random(), seconds=0.3 + chance.random() / 2)
        trace = Trace(machine.trace_path)
        try:
            record_property("disks that power cuts at random moments leave", machine.judge_many(trace, chance, judges) + DISKS)
        except BaseException as error:
            error.add_note(f"RESTFS_SEED={SEED + number}, life {life}")
            raise
        for turn in range(DISKS):
            place = moment(trace, chance) if turn < DISKS - 1 else len(trace.records)
            loss = chance.choice([DROP, PAGES, TORN, lambda: chance.choice([DROP, KEEP, PAGES, TORN])])
            other = machine.cut(trace.records[:place], chance, loss)
            try:
                found = machine.judge(other, trace.ends[place - 1])
                other.kill()
                other.fsck()
                if turn == DISKS - 1:
                    machine.go_on_with(other, found)
            except BaseException as error:
                error.add_note(f"RESTFS_SEED={SEED + number}, life {life}, disk {turn}: the power went behind record {place} of {len(trace.records)}, "
                               f"loss {loss}\n{other.log()}")
                raise
            finally:
                other.remove()
    assert machine.kinds == set(KINDS)


def first_start(machine):
    """Killed where a name has just changed."""
    machine.daemon.start()
    machine.daemon.kill()
    trace = Trace(machine.trace_path)
    return trace, trace.places(MKDIR, RENAME)


def work(machine):
    """Killed where a group has just been written."""
    machine.work(SEED, seconds=0.3)
    trace = Trace(machine.trace_path)
    volumes = {record[1] for record in trace.records if record[0] == CREATE and b"/volumes/" in record[4]}
    return trace, [place for place in trace.places(SYNC_BEGIN) if trace.records[place - 1][1] in volumes]


@pytest.mark.parametrize("what", [first_start, work])
def test_what_a_killed_process_left_unsynced_is_safe_after_the_next_start(machine, what):
    """A process that finds a file cannot know whether the one that wrote it had come to the sync."""
    chance = random.Random(SEED)
    trace, places = what(machine)
    for count in places if ROUNDS > 1 else chance.sample(places, min(5, len(places))):
        second = machine.killed(trace, count)
        try:
            second.work(count, seconds=0.2)
            after = Trace(second.trace_path)
            other = second.cut(after.records, chance, DROP)
            try:
                second.judge(other, after.ends[-1])
            except BaseException as error:
                error.add_note(f"RESTFS_SEED={SEED}: killed behind record {count} of {len(trace.records)}: {trace.records[count - 1][:4]}\n{other.log()}")
                raise
            finally:
                other.remove()
        finally:
            second.remove()


FORGOTTEN = {
    "volumes": lambda path: path.startswith("data/volumes/"),
    "names of volumes": lambda path: path == "data/volumes",
    "the key": lambda path: path.startswith("data/master.key"),
}


@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_missing_sync_is_seen(machine, what):
    """The tests above can fail: had these files or names not been synced, something acknowledged would be missed."""
    machine.work(1, steps=10)
    trace = Trace(machine.trace_path)
    other = machine.cut(trace.records, random.Random(1), DROP, FORGOTTEN[what])
    try:
        with pytest.raises((AssertionError, RuntimeError, ClientError)):
            machine.judge(other, trace.ends[-1])
    finally:
        other.remove()
