"""One call of a daemon fails, by its number (io_fault.c, memory_fault.c); what it is asked meanwhile, and what it may answer."""
import errno
import hashlib
import mmap
import os
import shutil
import signal
import struct
import subprocess

from botocore.exceptions import BotoCoreError, ClientError

from daemon import BUILD, PATIENCE_SECONDS, Daemon
from workload import BUCKET, judge

LIBRARIES = os.path.join(BUILD, "tests", "crash")
# Small volumes, so that new ones are begun on the way, and some can be given back.
OPTIONS = ("--set", "journal.volume_bytes=1M", "--set", "compaction.garbage_percent=1")
# As fault_plan.h has them.
KINDS = ("read", "write", "sync", "open", "rename", "allocate", "unlink", "memory")
SHORT = 2 ** 64 - 1
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EMFILE": errno.EMFILE, "EINTR": errno.EINTR, "ENOMEM": errno.ENOMEM, "half": SHORT}
LEAKS = {"descriptor": 1, "memory": 2}  # as fault_plan.h has them
HEAP_SLACK = 32 * 1024  # what is in use at an exit varies by some KiB
WORDS = struct.Struct("<Q")
# A clear error, at whichever door of the store something failed.
CLEAR = ("InternalError", "ServiceUnavailable", "InsufficientStorage", "SlowDown", "500", "503", "507")


class Plan:
    """The memory that is shared with the daemon."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as f:
            f.write(bytes(4096))
        with open(path, "r+b") as f:
            self.memory = mmap.mmap(f.fileno(), 4096)

    def word(self, index):
        return WORDS.unpack_from(self.memory, 8 * index)[0]

    def arm(self, kind, number, error):
        for index, value in enumerate([KINDS.index(kind), number, ERRORS[error], 0] + [0] * len(KINDS)):
            WORDS.pack_into(self.memory, 8 * index, value)

    def leak(self, what):
        """At its exit, the daemon has lost one of these."""
        WORDS.pack_into(self.memory, 8 * (4 + len(KINDS) + 3), LEAKS[what])

    def left(self):
        """Descriptors open and bytes of memory in use at the exit."""
        exited, descriptors, heap_bytes = (self.word(4 + len(KINDS) + index) for index in range(3))
        assert exited
        return descriptors, heap_bytes

    def struck(self):
        return self.word(3) > 0

    def calls(self, kind):
        return self.word(4 + KINDS.index(kind))


def environment(library, plan, daemon):
    return {"LD_PRELOAD": os.path.join(LIBRARIES, library + ".so"), "RESTFS_FAULT": plan.path, "RESTFS_FAULT_ROOT": str(daemon.data),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


class Asked:
    """What was asked for and told: key -> the contents that it may have, by their digests (None: it is not there)."""

    def __init__(self, daemon, states, gone):
        self.s3 = daemon.client(retries={"max_attempts": 0})
        self.data = daemon.data
        self.states = {key: set(digests) for key, digests in states.items()}
        self.gone = gone  # whether the daemon has ended: then nobody need answer
        self.errors = []

    def call(self, effects, call, *arguments, **keywords):
        """Its answer; None where it was told of an error, or of nothing. `effects`: key -> digest, of what it changes."""
        for key, digest in effects.items():
            self.states[key] = self.states.get(key, {None}) | {digest}
        try:
            answer = call(*arguments, **keywords)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            assert code in CLEAR, (call, keywords, error)
            self.errors.append(code)
            return None
        except BotoCoreError:
            assert self.gone(), "a request without an answer"
            return None
        self.states.update({key: {digest} for key, digest in effects.items()})
        return answer

    def put(self, key, body):
        self.call({key: digest_of(body)}, self.s3.put_object, Bucket=BUCKET, Key=key, Body=body)

    def get(self, key):
        try:
            answer = self.s3.get_object(Bucket=BUCKET, Key=key)
            found = digest_of(answer["Body"].read())
        except ClientError as error:
            code = error.response["Error"]["Code"]
            assert code in CLEAR + ("NoSuchKey",), error
            if code != "NoSuchKey":
                self.errors.append(code)
                return
            found = None
        except BotoCoreError:  # broken off: not the length that was announced
            self.errors.append("broken off")
            return
        assert found in self.states.get(key, {None}), f"{key} has other bytes"

    def copy(self, key, source):
        for digest in self.states[source]:
            self.call({key: digest}, self.s3.copy_object, Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source})

    def delete(self, key):
        self.call({key: None}, self.s3.delete_object, Bucket=BUCKET, Key=key)

    def delete_some(self, *keys):
        answer = self.call({}, self.s3.delete_objects, Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
        for key in keys:
            self.states[key].add(None)
        for item in answer.get("Deleted", []) if answer else []:
            self.states[item["Key"]] = {None}
        for item in answer.get("Errors", []) if answer else []:
            assert item["Code"] in CLEAR, item
            self.errors.append(item["Code"])

    def multipart(self, key, body):
        upload = self.call({}, self.s3.create_multipart_upload, Bucket=BUCKET, Key=key)
        part = upload and self.call({}, self.s3.upload_part, Bucket=BUCKET, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=body)
        if part:
            self.call({key: digest_of(body)}, self.s3.complete_multipart_upload, Bucket=BUCKET, Key=key, UploadId=upload["UploadId"],
                      MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})

    def list(self):
        answer = self.call({}, self.s3.list_objects_v2, Bucket=BUCKET)
        if answer:
            listed = {item["Key"] for item in answer.get("Contents", [])}
            for key, digests in self.states.items():
                assert None in digests or key in listed, f"{key} is not listed"
            assert listed <= {key for key, digests in self.states.items() if digests != {None}}

    def compact(self):
        """Blocks are moved, and a checkpoint is written; or it says that it could not."""
        done = subprocess.run([os.path.join(BUILD, "restfs"), "--data", self.data, "compact"], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == 0 or done.stderr.strip(), done
        if done.returncode:
            self.errors.append(done.stderr)

    def look(self):
        self.list()
        for key in list(self.states):
            self.get(key)

    def everything(self):
        """A request of each kind that reads or writes, on what is there and what is new."""
        self.get("old/large")
        self.put("new/small", body_of(100, 11))
        self.put("new/middle", body_of(40_000, 12))
        self.put("new/large", body_of(1_300_000, 13))
        self.put("new/large", body_of(1_600_000, 17))
        self.get("old/small")
        self.put("old/small", body_of(3000, 14))
        self.delete("old/alone/one")
        self.copy("copy", "old/large")
        self.multipart("parts", body_of(300_000, 15))
        self.list()
        self.delete_some("old/1", "old/2", "new/middle")
        self.put("new/journal", body_of(30_000, 16))
        self.compact()
        for key in list(self.states):
            self.get(key)


def body_of(size, number):
    return (hashlib.sha256(b"%d" % number).digest() * (size // 32 + 1))[:size]


def digest_of(body):
    return hashlib.sha256(body).hexdigest()


class Template:
    """A store whose daemon was killed, or stopped, from which each round begins."""

    def __init__(self, stopped=False):
        self.daemon = Daemon(*OPTIONS).start()
        self.daemon.client().create_bucket(Bucket=BUCKET)
        asked = Asked(self.daemon, {}, lambda: False)
        for number, (key, size) in enumerate({"old/small": 200, "old/1": 20_000, "old/2": 0, "old/alone/one": 5, "old/large": 2_500_000}.items()):
            asked.put(key, body_of(size, number))
        asked.get("old/small")
        self.states = asked.states
        self.heap_bytes = None  # in use at an exit when nothing has failed
        assert not stopped or self.daemon.stop() == 0
        self.daemon.kill()


def has_ended(daemon):
    """Now, or in a moment: its connections go before it."""
    try:
        daemon.process.wait(30)
        return True
    except subprocess.TimeoutExpired:
        return False


class Round:
    """A daemon of which the call of this kind and number fails, from its start to its end; an allocation, once it has started. And another one afterwards.
    `starting`: the start is all that there is to it, and allocations fail in it."""

    def __init__(self, template, kind, number, error, starting=False):
        self.template = template
        self.kind = kind
        self.daemon = Daemon(*OPTIONS)
        self.daemon.access_key, self.daemon.secret_key = template.daemon.access_key, template.daemon.secret_key
        shutil.copytree(template.daemon.data, self.daemon.data, ignore=shutil.ignore_patterns("*.sock"))
        self.plan = Plan(os.path.join(self.daemon.directory, "plan"))
        self.failure = (kind, number, error)
        self.starting = starting
        self.plan.arm(kind, 0 if kind == "memory" and not starting else number, error)
        self.errors = []

    def judge_left(self):
        """Of a daemon that ended by itself: nothing is open, and no more memory in use than without a failure."""
        descriptors, heap_bytes = self.plan.left()
        assert not descriptors, f"{descriptors} descriptors were left open"
        if self.template.heap_bytes is None:
            assert not self.plan.struck()
            self.template.heap_bytes = heap_bytes
        assert heap_bytes <= self.template.heap_bytes + HEAP_SLACK, f"{heap_bytes} bytes of memory were left, {self.template.heap_bytes} without a failure"

    def run(self):
        """What became of the call's failure: None, "not started", "aborted", or the errors that clients were told of."""
        aborts = self.kind == "memory"
        self.daemon.environment = environment("memory_fault" if aborts else "io_fault", self.plan, self.daemon)
        asked = None
        try:
            self.daemon.spawn()
            if self.daemon.wait_ready():
                self.plan.arm(*self.failure) if aborts and not self.starting else None
                self.calls = {kind: self.plan.calls(kind) for kind in KINDS}
                asked = Asked(self.daemon, self.template.states, lambda: aborts and has_ended(self.daemon))
                asked.look() if self.starting else asked.everything()
            status = self.daemon.process.poll()
            if status is None:
                status = self.daemon.stop() if asked or not has_ended(self.daemon) else self.daemon.process.returncode
            self.daemon.kill()
            struck = self.plan.struck()
            assert status == 0 or struck and (status == -signal.SIGABRT if status < 0 and aborts else status > 0 and not asked), f"it ended with {status}"
            assert status == 0 or [line for line in self.daemon.log().splitlines() if " INFO " not in line], "it did not say why"
            if status >= 0:
                self.judge_left()
            assert struck or not asked.errors
            self.daemon.environment = {}
            self.daemon.start()
            judge(self.daemon, asked.states if asked else self.template.states)
            assert self.daemon.stop() == 0
            self.daemon.fsck()
            return None if not struck else "aborted" if status < 0 else asked.errors if asked else "not started"
        except BaseException as error:
            error.add_note(f"call {self.plan.word(1)} of {self.plan.calls(self.kind)}, errors: {asked and asked.errors}\n{self.daemon.log()[-6000:]}")
            raise
        finally:
            self.daemon.remove()
