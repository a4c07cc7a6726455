"""A restfsd of one's own: free ports, a directory of its own, ended by its process id."""
import ctypes
import os
import pathlib
import re
import resource
import secrets
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import boto3
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("RESTFSD", str(ROOT / "build" / "restfsd"))
BUILD = os.environ.get("RESTFS_BUILD", os.path.dirname(os.path.abspath(BINARY)))  # where the command line and libraries for tests are
PATIENCE_SECONDS = 120  # after which what is waited for has failed, also on a machine with much else to do
LOG_END = 8000
PR_SET_PDEATHSIG = 1
SANITIZER_REPORT = re.compile(r"(ERROR|WARNING): \w+Sanitizer|: runtime error: ")


sessions = threading.local()


def session():
    """One a thread: it keeps the description of the service, which takes longer to read than most tests take."""
    if not hasattr(sessions, "own"):
        sessions.own = boto3.session.Session()
    return sessions.own


def die_with_parent(files=None):
    """A run of tests that is killed leaves no daemon behind. `files`: as many may be open."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


class Daemon:
    """Started by start(); may be killed and started again on the same data; ended by finish()."""

    known = []  # those that are there, and those that this test removed

    def __init__(self, *options, directory=None, root_key=True, files=None):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="restfs-test-"))
        self.data = self.directory / "data"
        self.log_path = self.directory / "log"
        self.access_key = self.secret_key = None
        if root_key:
            self.access_key = "AK" + secrets.token_hex(9).upper()
            self.secret_key = secrets.token_hex(20)
        self.options = list(options)
        self.environment = {}
        self.files = files
        self.certificate = None  # with TLS: the file that clients must be told of
        self.damaged = False  # on purpose: its end is not to be whole
        self.process = None
        self.s3 = self.admin = None
        self.removed = False
        self.last_words = ""
        Daemon.known.append(self)

    def spawn(self, *options):
        """Without waiting until it is ready."""
        env = dict(os.environ, **self.environment)
        if self.access_key:
            env.update(RESTFS_ROOT_ACCESS_KEY=self.access_key, RESTFS_ROOT_SECRET_KEY=self.secret_key)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "--data", self.data, "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0", *self.options, *options],
                stdout=subprocess.PIPE, stderr=log, env=env, start_new_session=True, preexec_fn=lambda: die_with_parent(self.files))

    def wait_ready(self):
        """False: it said something else, or nothing."""
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)
        line = self.process.stdout.readline().decode() if ready else ""
        match = re.fullmatch(r"ready s3=(https?://[0-9.]+:\d+) admin=(https?://[0-9.]+:\d+)\n", line)
        if match:
            self.s3, self.admin = match.groups()
        return match is not None

    def start(self, *options):
        """With the options of this object, and these for this start."""
        self.spawn(*options)
        if not self.wait_ready():
            self.kill()
            raise RuntimeError(f"restfsd did not start\n{self.log()}")
        return self

    def log(self):
        if self.removed or not os.path.exists(self.log_path):
            return self.last_words
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def threads(self):
        """What each thread waits for: to tell why it hangs."""
        rows = []
        for task in sorted(pathlib.Path(f"/proc/{self.process.pid}/task").glob("*")) if self.is_running() else []:
            rows.append(" ".join([task.name] + [(task / name).read_text().strip() for name in ("comm", "wchan", "syscall") if os.access(task / name, os.R_OK)]))
        return "\n".join(rows)

    def kill(self):
        """As a power cut would end it, but for the disk's memory."""
        if self.is_running():
            os.killpg(self.process.pid, signal.SIGKILL)
        self._reap()

    def stop(self, number=signal.SIGTERM):
        """Clean; returns the exit status, also of one that had ended by itself."""
        status = self.process.poll()
        if status is None:
            self.process.send_signal(number)
            try:
                status = self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                with open(self.log_path, "a") as log:
                    log.write(f"the daemon did not stop; its threads:\n{self.threads()}\n")
                os.killpg(self.process.pid, signal.SIGKILL)
        self._reap()
        return status

    def _reap(self):
        if self.process:
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def finish(self):
        """The end of a daemon: one that still runs must stop clean, without a leak, and leave a store that is whole."""
        status = self.stop() if self.process else 0
        log = self.log()
        try:
            assert status == 0, f"the daemon ended with {status}; its log ends:\n{log[-LOG_END:]}"
            if os.path.exists(os.path.join(self.data, "volumes")) and not self.damaged:
                self.fsck("--fast")
        finally:
            self.remove()

    def fsck(self, *options, status=0):
        """What `restfs fsck` says of the store, whose daemon has ended."""
        done = subprocess.run([os.path.join(BUILD, "restfs"), "fsck", self.data, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == status, f"restfs fsck {' '.join(options)}: {done.returncode}\n{done.stdout[-LOG_END:]}{done.stderr[-LOG_END:]}"
        return done.stdout

    def remove(self):
        """The end of a daemon that may be in any state; what a sanitizer said is not lost."""
        self.kill()
        log = self.log()
        self.last_words = log[-LOG_END:]
        self.removed = True
        shutil.rmtree(self.directory, ignore_errors=True)
        report = SANITIZER_REPORT.search(log)
        assert not report, log[report.start():][:LOG_END]

    def client(self, access_key=None, secret_key=None, verify=None, **config):
        config.setdefault("signature_version", "s3v4")
        config.setdefault("retries", {"max_attempts": 1})
        config.setdefault("s3", {"addressing_style": "path"})
        config.setdefault("read_timeout", PATIENCE_SECONDS)
        return session().client(
            "s3", endpoint_url=self.s3, region_name="us-east-1", verify=verify or self.certificate, aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key, config=Config(**config))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")


def wait_until(what):
    """Polls a condition; the only way in which a test waits."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true in {PATIENCE_SECONDS} s")
        time.sleep(0.01)


def flip(daemon, body, at=100):
    """Turns a bit over in the bytes of a body, where they lie on the disk; they must be there once."""
    places = [(path, place) for path in sorted((daemon.data / "volumes").glob("*.vol")) for place in [path.read_bytes().find(body)] if place >= 0]
    (path, place), = places
    path.chmod(0o600)
    with open(path, "r+b") as f:
        f.seek(place + at)
        byte = f.read(1)[0]
        f.seek(place + at)
        f.write(bytes([byte ^ 4]))
