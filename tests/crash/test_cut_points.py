"""Every point at which the power can go while fixed pieces of work are done: what was acknowledged is there, the rest is there whole or not at all, and
restfs fsck finds nothing, on each disk that is left (cut_points.py).

The work is that of one client, with a few at once now and then, in some lives of a daemon: killed, killed in the middle of a commit, and stopped.
"""
import collections
import hashlib
import json
import os
import random
import subprocess
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from cut_points import DELETE, PUT, THERE, Explorer, Judges, broken_promises, contradictions, every_disk
from daemon import BUILD, wait_until
from power_cut import Disk, Trace
from traced import TracedDaemon
from workload import PATIENCE_SECONDS, Change, possible

THOROUGH = int(os.environ.get("RESTFS_POWER_ROUNDS", "1")) > 1
RESTFS = os.path.join(BUILD, "restfs")
BUCKET, SHARED, BRIEF = "cut", "shared", "brief"
KEPT_CHANGES = 12
# Small volumes, so that some are filled, emptied and removed; what happens by itself happens when the work asks for it.
VOLUMES, QUIET = "journal.volume_bytes=1M", ("compaction.enabled=false", "scrub.enabled=false")
OPTIONS = (VOLUMES, *QUIET, "compaction.garbage_percent=5", f"feed.rows={KEPT_CHANGES}", "feed.interval=100ms", "threads.loops=1", "threads.workers=4",
           "debug=true", "scrub.rate=1T")
JUDGE_OPTIONS = (VOLUMES, *QUIET, "feed.rows=0")


class Work:
    """A daemon whose disk is traced, what it was asked for, and when it told that it was done."""

    def __init__(self):
        self.daemon = TracedDaemon(*[word for option in OPTIONS for word in ("--set", option)])
        self.disk = Disk(self.daemon.root)
        self.chance = random.Random(1)
        self.changes = []
        self.s3 = None

    def start(self):
        self.daemon.start()
        self.s3 = self.daemon.client(retries={"max_attempts": 0})

    def change(self, effects, call, *arguments, **keywords):
        """Calls what has these effects: name -> what is there then (None: nothing)."""
        changes = [Change(name, value, self.daemon.position()) for name, value in effects.items()]
        self.changes += changes
        answer = call(*arguments, **keywords)
        end = self.daemon.position()
        for change in changes:
            change.end = end
        return answer

    def ask(self, *arguments):
        return subprocess.run([RESTFS, "--data", self.daemon.data, "--json", *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    def restfs(self, *arguments):
        done = self.ask(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    # --- steps

    def body(self, size):
        return self.chance.randbytes(size)

    def bucket(self, name):
        self.change({f"bucket {name}": THERE}, self.s3.create_bucket, Bucket=name)

    def put(self, key, body, bucket=BUCKET, **conditions):
        self.change({f"{bucket}/{key}": sha256(body)}, self.s3.put_object, Bucket=bucket, Key=key, Body=body, **conditions)

    def delete(self, *keys, bucket=BUCKET):
        if len(keys) == 1:
            self.change({f"{bucket}/{keys[0]}": None}, self.s3.delete_object, Bucket=bucket, Key=keys[0])
        else:
            self.change({f"{bucket}/{key}": None for key in keys}, self.s3.delete_objects, Bucket=bucket,
                        Delete={"Objects": [{"Key": key} for key in keys]})

    def copy(self, key, source, body):
        self.change({f"{BUCKET}/{key}": sha256(body)}, self.s3.copy_object, Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source})

    def upload(self, key, *parts, abort=False):
        name = f"upload {BUCKET}/{key}"
        upload = self.change({name: THERE}, self.s3.create_multipart_upload, Bucket=BUCKET, Key=key)["UploadId"]
        tags = [{"PartNumber": number, "ETag": self.s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=part)["ETag"]}
                for number, part in enumerate(parts, 1)]
        if abort:
            self.change({name: None}, self.s3.abort_multipart_upload, Bucket=BUCKET, Key=key, UploadId=upload)
        else:
            self.change({name: None, f"{BUCKET}/{key}": sha256(b"".join(parts))}, self.s3.complete_multipart_upload,
                        Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": tags})

    def together(self, *bodies):
        """Each its own key, in one group of the journal where they meet."""
        threads = [threading.Thread(target=self.put, args=(f"together/{number}", body)) for number, body in enumerate(bodies)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def ends(self):
        """Of the feed: the last change that is gone, and the last of all."""
        ends = self.restfs("cursor", "ls", BUCKET)
        return ends["pruned"], ends["last"]

    def pruned(self):
        """Until the feed is as short as it may be."""
        def kept():
            done = self.ask("feed", BUCKET, f"--after={self.ends()[0]}")
            return len(json.loads(done.stdout)["changes"]) if done.returncode == 0 else None  # pruned meanwhile

        wait_until(lambda: kept() == KEPT_CHANGES)

    def compact(self):
        """Until something could be given back: what was deleted is first to be reaped."""
        wait_until(lambda: self.restfs("compact")["volumes_removed"])

    def scrub(self):
        """A whole round, whose end is kept in a row."""
        self.restfs("scrub", "start")
        wait_until(lambda: not self.restfs("scrub", "status")["running"])
        status = self.restfs("scrub", "status")
        assert status["objects"] and status["finished"] and not status["damaged_in_round"]

    def die_writing(self, key, body):
        """The daemon ends when a group of the journal is written and not synced. Whoever reads after the next start can rely on what he sees."""
        self.restfs("debug", "crash", "group-written")
        with pytest.raises(BotoCoreError):
            self.put(key, body)
        wait_until(lambda: not self.daemon.is_running())
        self.daemon.kill()
        self.start()
        self.change({f"{BUCKET}/{key}": sha256(body)}, self.s3.get_object, Bucket=BUCKET, Key=key)


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def little(work):
    """What there is to a missing sync, once each."""
    work.start()
    work.bucket(BUCKET)
    for number in range(5):
        work.put(f"full/{number}", work.body(250_000))
    work.put("large", work.body(300_000))
    work.delete("full/0", "full/1", "full/2")
    work.compact()
    work.die_writing("small", work.body(100))
    work.put("large", work.body(400))


def everything(work):
    work.start()
    work.bucket(BUCKET)
    small, large = work.body(100), work.body(1_300_000)
    work.put("small", small)
    work.put("empty", b"")
    work.put("middle", work.body(40_000))
    work.put("large", large)
    work.put("d/x", work.body(5_000))
    work.change({"user anna": THERE}, work.restfs, "user", "add", "anna")
    work.change({"key annas-key": THERE}, work.restfs, "key", "add", "anna", "--access-key=annas-key")
    work.change({f"quota {BUCKET}": "100,50000000"}, work.restfs, "quota", "set", BUCKET, "--objects=100", "--bytes=50000000")
    work.copy("copy", "large", large)
    work.put("middle", work.body(300_000))
    work.put("small", work.body(120), IfMatch=f'"{hashlib.md5(small).hexdigest()}"')
    work.put("new", work.body(3_000), IfNoneMatch="*")
    work.delete("d/x")
    work.upload("given up", work.body(2000), abort=True)
    work.bucket(SHARED)
    work.restfs("bucket", "set", SHARED, "--deduplicate=on")
    work.put("one", small * 100, bucket=SHARED)
    work.put("two", small * 100, bucket=SHARED)
    work.delete("one", bucket=SHARED)
    for number in range(4):
        work.put(f"full/{number}", work.body(150_000))
    work.together(*[work.body(size) for size in (10, 20_000, 90_000, 400_000)])
    work.put("large", work.body(600_000))
    work.upload("parts", bytes(range(256)) * 20480, work.body(1000))
    work.delete("full/0", "full/1", "full/2", "parts", "copy")
    work.pruned()
    work.compact()
    work.scrub()
    work.put("behind the checkpoint", work.body(700))
    work.daemon.kill()

    work.start()
    work.put("small", work.body(90))
    position = work.ends()[1]
    work.change({f"cursor {BUCKET}/reader": position}, work.restfs, "cursor", "set", BUCKET, "reader", f"--position={position}")
    work.together(*[work.body(size) for size in (100, 200, 300_000, 400)])
    work.bucket(BRIEF)
    work.change({f"bucket {BRIEF}": None}, work.s3.delete_bucket, Bucket=BRIEF)
    work.delete("full/3", "large")
    for number in range(KEPT_CHANGES):
        work.put("again", work.body(number))
    wait_until(lambda: work.ends()[0] == position)
    work.change({f"cursor {BUCKET}/reader": None}, work.restfs, "cursor", "rm", BUCKET, "reader")
    work.pruned()
    work.compact()
    work.die_writing("d/y", work.body(800))
    assert work.daemon.stop() == 0, work.daemon.log()

    work.start()
    work.put("empty", work.body(1))
    work.delete("d/y")
    work.daemon.kill()


def feed_gaps(found, changes, cut):
    """Each change to a key that was acknowledged is told, and none that was not asked for."""
    asked, acknowledged = collections.Counter(), collections.Counter()
    for change in changes:
        asked[change.key] += change.start < cut
        acknowledged[change.key] += change.end is not None and change.end <= cut
    for name, bucket in found["buckets"].items():
        told = collections.Counter(f"{name}/{key}" for _, kind, key, _ in bucket["feed"]["changes"] if kind in (PUT, DELETE))
        for key in told | acknowledged if not bucket["feed"]["pruned"] else ():
            if key.startswith(name + "/") and not acknowledged[key] <= told[key] <= asked[key]:
                yield f"{key}: {told[key]} changes are told, {acknowledged[key]} of {asked[key]} were acknowledged"


@pytest.fixture
def work():
    work = Work()
    yield work
    work.daemon.remove()


@pytest.fixture
def judges():
    judges = Judges(JUDGE_OPTIONS)
    yield judges
    judges.close()


@pytest.mark.parametrize("steps", [little, everything])
def test_no_point_of_a_fixed_piece_of_work_loses_anything(work, judges, steps, record_property):
    steps(work)
    may_be = {}

    def verdict(found, cut):
        if "refused" in found:
            return [found["refused"]]
        if cut not in may_be:
            may_be[cut] = possible({}, work.changes, cut)
        return contradictions(found, KEPT_CHANGES) + broken_promises(found, may_be[cut]) + list(feed_gaps(found, work.changes, cut))

    trace = Trace(work.daemon.trace_path)
    explorer = Explorer(judges, verdict)
    explorer.run(every_disk(work.disk, trace, THOROUGH), trace)
    record_property("points of a power cut in fixed work", len(trace.records))
    record_property("disks that these leave", len(explorer.answers))
