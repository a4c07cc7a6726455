"""Clients that work on a store and keep, outside of it, what they asked for and what they were told; and the judging of a store by that."""
import hashlib
import json
import os
import random
import re
import subprocess
import threading

from botocore.exceptions import BotoCoreError, ClientError

from daemon import BUILD, LOG_END, PATIENCE_SECONDS, wait_until

BUCKET = "crash"

RESTFS = os.path.join(BUILD, "restfs")

# So that blocks are moved, checkpoints made and volumes removed while the clients work.
SMALL_VOLUMES = ("--set", "journal.volume_bytes=1M", "--set", "compaction.garbage_percent=5")
# And everything is read for damage.
FAST_SCRUB = ("--set", "scrub.rate=1T")
# And changes leave the feed while new ones come.
KEPT_CHANGES = 40
SMALL_STORE = (*SMALL_VOLUMES, *FAST_SCRUB, "--set", f"feed.rows={KEPT_CHANGES}", "--set", "feed.interval=100ms")

# What clients do, and how often.
KINDS = {"put": 20, "overwrite": 15, "delete": 20, "delete_some": 5, "create": 15, "replace": 7, "copy": 10, "multipart": 8}


class Change:
    """A key's content (its digest; None: removed) from a moment between `start` and `end`; `end` None: nobody was told."""

    def __init__(self, key, digest, start):
        self.key = key
        self.digest = digest
        self.start = start
        self.end = None


class Client(threading.Thread):
    """Works on keys of its own until the daemon has gone. `position` says what the time is; any order will do."""

    def __init__(self, daemon, number, seed, state, position=lambda: 0, steps=None, first=0):
        super().__init__()
        self.s3 = daemon.client(retries={"max_attempts": 0})
        self.number = number
        self.chance = random.Random(seed)
        self.first = [list(KINDS)[(first + i) % len(KINDS)] for i in range(len(KINDS))]
        self.state = {key: digest for key, digest in state.items() if key.startswith(f"{number}/")}
        self.position = position
        self.steps = steps
        self.changes = []
        self.done = {}  # kind of step -> how many were acknowledged
        self.failure = None

    def run(self):
        try:
            while self.steps is None or sum(self.done.values()) < self.steps:
                kind = self.step()
                self.done[kind] = self.done.get(kind, 0) + 1
        except BotoCoreError:
            pass  # the daemon has gone
        except BaseException as error:  # an answer that should not have come
            self.failure = error

    def change(self, effects, call):
        """Calls what has these effects (key -> digest) and, once it was acknowledged, takes note."""
        start = self.position()
        changes = [Change(key, digest, start) for key, digest in effects.items()]
        self.changes += changes
        try:
            answer = call()
        except ClientError:
            self.changes = self.changes[:-len(changes)]  # refused: nothing happened
            raise
        end = self.position()
        for change in changes:
            change.end = end
        self.state.update(effects)
        return answer

    def step(self):
        """Each kind once, beginning with the `first`, then as it comes."""
        key = f"{self.number}/{self.chance.choice('abc')}/{self.chance.randrange(12)}"
        body = self.chance.randbytes(self.chance.choice([0, 10, 5000, 150_000, 300_000, 1_500_000]))
        kind = self.first.pop(0) if self.first else self.chance.choices(list(KINDS), KINDS.values())[0]
        getattr(self, kind)(key, body)
        return kind

    def delete(self, key, body):
        self.change({key: None}, lambda: self.s3.delete_object(Bucket=BUCKET, Key=key))

    def overwrite(self, key, body):
        self.put(self.chance.choice(self.there(key, b"to be overwritten")), body)

    def there(self, key, body):
        """The keys that are there; at least this one."""
        if not any(self.state.values()):
            self.put(key, body)
        return sorted(key for key, digest in self.state.items() if digest)

    def put(self, key, body, **conditions):
        self.change({key: hashlib.sha256(body).hexdigest()}, lambda: self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, **conditions))

    def put_if(self, key, body, holds, **conditions):
        """Accepted exactly when the condition holds for what this client, the only one that changes this key, was told last."""
        try:
            self.put(key, body, **conditions)
            assert holds, f"{key}: {conditions} was accepted"
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in ("PreconditionFailed", "NoSuchKey"):
                raise
            assert not holds, f"{key}: {conditions} was refused"

    def create(self, key, body):
        self.put_if(key, body, self.state.get(key) is None, IfNoneMatch="*")

    def replace(self, key, body):
        """With the ETag that it has, or one that it has not."""
        etag = '"00000000000000000000000000000000"'
        right = self.state.get(key) is not None and self.chance.random() < 0.7
        if right:
            etag = self.s3.head_object(Bucket=BUCKET, Key=key)["ETag"]
        self.put_if(key, body, right, IfMatch=etag)

    def copy(self, key, body):
        to = key + "-copy"
        sources = [there for there in self.there(key, body) if there != to]
        if not sources:
            self.put(key, body)
        source = self.chance.choice(sources or [key])
        self.change({to: self.state[source]}, lambda: self.s3.copy_object(
            Bucket=BUCKET, Key=to, CopySource={"Bucket": BUCKET, "Key": source}))

    def delete_some(self, key, body):
        self.there(key, body)
        keys = self.chance.sample(sorted(self.state), min(5, len(self.state)))
        answer = self.change({key: None for key in keys}, lambda: self.s3.delete_objects(
            Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]}))
        assert sorted(item["Key"] for item in answer["Deleted"]) == sorted(keys)

    def multipart(self, key, body):
        parts = [self.chance.randbytes(5 * 1024 * 1024), self.chance.randbytes(1000)]
        upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        if self.chance.random() < 0.2:
            self.s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
            return
        tags = [{"PartNumber": n, "ETag": self.s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=n, Body=b)["ETag"]}
                for n, b in enumerate(parts, 1)]
        self.change({key: hashlib.sha256(b"".join(parts)).hexdigest()}, lambda: self.s3.complete_multipart_upload(
            Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": tags}))


def possible(state, changes, cut=None):
    """key -> the contents that may be found at the moment `cut` (None: after everything), from what was there before and the clients' logs."""
    found = {key: {digest} for key, digest in state.items()}
    for change in changes:
        if cut is not None and change.start >= cut:
            continue
        if change.end is not None and (cut is None or change.end <= cut):
            found[change.key] = {change.digest}
        else:
            found[change.key] = found.get(change.key, {None}) | {change.digest}
    return found


def listing(s3):
    """key -> size."""
    found = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            assert not found or item["Key"] > list(found)[-1]
            found[item["Key"]] = item["Size"]
    return found


def content(s3, key):
    """Digest and size; (None, None): not there."""
    try:
        body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchKey", (key, error)
        return None, None
    return hashlib.sha256(body).hexdigest(), len(body)


def ask(daemon, *arguments):
    return subprocess.run([RESTFS, "--data", daemon.data, "--json", *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def tell(daemon, *arguments):
    """What administration says."""
    done = ask(daemon, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def usage(daemon):
    """The bucket's counters."""
    info = tell(daemon, "bucket", "info", BUCKET)
    return info["objects"], info["bytes"]


def feed(daemon):
    """The changes that are left, and whether any was pruned; while nobody changes anything it is pruned a few times at most."""
    while True:
        after = pruned = tell(daemon, "cursor", "ls", BUCKET)["pruned"]
        changes, more = [], True
        while more:
            done = ask(daemon, "feed", BUCKET, f"--after={after}")
            if done.returncode:
                assert "(GONE)" in done.stderr, done.stderr
                break
            page = json.loads(done.stdout)
            changes += page["changes"]
            after, more = page["next"], page["more"]
        else:
            return changes, pruned > 0


def judge_feed(daemon, listed, kept_changes):
    """The last change of each key is what was found. `kept_changes`: at least so many are left where any was pruned."""
    changes, pruned = feed(daemon)
    assert not pruned or len(changes) >= kept_changes, f"{len(changes)} changes are left"
    last = {change["name"]: change for change in changes if change["kind"] in ("put", "delete")}
    for key, change in last.items():
        found = ("put", listed[key]) if key in listed else ("delete", change["size"])
        assert (change["kind"], change["size"]) == found, f"{key}: the feed's last change is {change}, found was {found}"


def judge(daemon, states):
    """Every key is in a state that its client may find; listing, contents and counters agree. What was found: from now on the only state."""
    s3 = daemon.client()
    listed = listing(s3)
    assert set(listed) <= set(states), "keys that nobody made"
    found = {}
    for key, may_be in states.items():
        found[key], size = content(s3, key)
        assert found[key] in may_be, f"{key}: found {found[key]}, not one of {may_be}"
        assert listed.get(key) == size, f"{key}: listed with {listed.get(key)} bytes, not {size}"
    assert usage(daemon) == (len(listed), sum(listed.values()))
    judge_feed(daemon, listed, KEPT_CHANGES)
    return found


def scrubs(daemon):
    """How many rounds of the scrub have come to their end, over all its lives: none has found damage."""
    log = daemon.log()
    assert not re.search(r" is damaged, found by ", log), log[-LOG_END:]
    return len(re.findall(r"scrub: \d+ objects, \d+ bytes: 0 damaged", log))


class Upkeep(threading.Thread):
    """Has the store compacted and scrubbed until the daemon has gone."""

    def __init__(self, daemon):
        super().__init__()
        self.daemon_used = daemon

    def run(self):
        while all(ask(self.daemon_used, *words).returncode == 0 for words in (("scrub", "start"), ("compact",))):
            pass


def run(clients, daemon, seconds=None):
    """
    Until each has done something and the daemon is killed after that time; without one, until they are done and it is stopped. What they changed. The
    store is compacted and scrubbed all the while; before the first kill, a round of the scrub has ended.
    """
    upkeep = Upkeep(daemon)
    upkeep.start()
    for client in clients:
        client.start()
    if seconds is not None:
        clients[0].join(seconds)
        wait_until(lambda: all(client.done or not client.is_alive() for client in clients) and (scrubs(daemon) or not daemon.is_running()))
        assert daemon.is_running(), daemon.log()
        daemon.kill()
    for client in clients:
        client.join()
        if client.failure:
            raise client.failure
    if seconds is None:
        assert daemon.stop() == 0, daemon.log()
    upkeep.join()
    scrubs(daemon)
    return [change for client in clients for change in client.changes]
