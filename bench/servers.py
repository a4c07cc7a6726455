"""What the benchmarks share: figures of the machine, a store that is started for them, and the load generator on it."""
import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pwd
import re
import resource
import secrets
import select
import shutil
import signal
import socket
import subprocess
import time

TICK_US = 1000000 // os.sysconf("SC_CLK_TCK")
PATIENCE_SECONDS = 120
REGION = "us-east-1"
SMALL = 4096
running = []


class Failed(Exception):
    pass


def start(argv, **keywords):
    process = subprocess.Popen(argv, start_new_session=True, **keywords)
    running.append(process)
    return process


def stop(process, with_signal=signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(with_signal)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in running:
        running.remove(process)


def read_line(process, seconds=PATIENCE_SECONDS):
    """A line of its stdout, which is not buffered here."""
    line, deadline = b"", time.monotonic() + seconds
    while not line.endswith(b"\n"):
        ready = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))[0]
        byte = os.read(process.stdout.fileno(), 1) if ready else b""
        if not byte:
            raise Failed("%s: %s" % (process.args[0], "it ended" if ready else "no answer in time"))
        line += byte
    return line.decode().strip()


# ---- the machine ----

LOOK_SECONDS = 0.25
IDLE_SHARE = 0.04  # of a core


def cpu_of(pids):
    """User and system microseconds of processes, all their threads; none of them ends while we measure."""
    total = 0
    for pid in pids:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as file:
                total += int(file.read().split()[0])
    return total / 1000


def pin(server, core):
    for pid in server.pids():
        for thread in os.listdir("/proc/%d/task" % pid):
            os.sched_setaffinity(int(thread), {core})


def wait_idle(server, patience_seconds=10):
    """Until the server does next to nothing by itself, as what was written over is given back behind the answers; what it took, in microseconds."""
    began = now = cpu_of(server.pids())
    until = time.monotonic() + patience_seconds
    while time.monotonic() < until:
        before = now
        time.sleep(LOOK_SECONDS)
        now = cpu_of(server.pids())
        if now - before < IDLE_SHARE * LOOK_SECONDS * 1e6:
            break
    return now - began


def cpu_of_machine():
    """Microseconds in which a core was not idle."""
    with open("/proc/stat") as file:
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq) * TICK_US


def memory_of(pid):
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"^VmRSS:\s+(\d+)", file.read(), re.M).group(1)) * 1024


def disk_of(directory):
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            if name != "reserve":  # room that is kept, not used
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


# ---- the servers ----

def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Store:
    def __init__(self, binary, directory, *options):
        self.options = list(options)
        self.binary, self.data, self.log = binary, os.path.join(directory, "data"), os.path.join(directory, "restfsd.log")
        self.access_key, self.secret = "bench" + secrets.token_hex(6), secrets.token_hex(20)
        self.process = None

    def start(self):
        """Milliseconds until it said `ready`."""
        environment = dict(os.environ, RESTFS_ROOT_ACCESS_KEY=self.access_key, RESTFS_ROOT_SECRET_KEY=self.secret)
        with open(self.log, "ab") as log:
            began = time.monotonic()
            self.process = start([self.binary, "--data", self.data, "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0", *self.options],
                                 stdout=subprocess.PIPE, stderr=log, env=environment)
        line = read_line(self.process)
        took = (time.monotonic() - began) * 1000
        match = re.match(r"ready s3=http://127\.0\.0\.1:(\d+) ", line)
        if not match:
            raise Failed("restfsd said %r" % line)
        self.port = int(match.group(1))
        return took

    def stop(self, with_signal=signal.SIGTERM):
        stop(self.process, with_signal)
        self.process.stdout.close()

    def pids(self):
        return [self.process.pid]

    def make_bucket(self, name):
        when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": "127.0.0.1:%d" % self.port, "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
                   "x-amz-date": when}
        canonical = "PUT\n/%s\n\n%s\n%s\nUNSIGNED-PAYLOAD" % (
            name, "".join("%s:%s\n" % item for item in sorted(headers.items())), ";".join(sorted(headers)))
        scope = "%s/%s/s3/aws4_request" % (when[:8], REGION)
        text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (when, scope, hashlib.sha256(canonical.encode()).hexdigest())
        key = ("AWS4" + self.secret).encode()
        for part in scope.split("/") + [text]:
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            self.access_key, scope, ";".join(sorted(set(headers) - {"Authorization"})), key.hex())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        connection.request("PUT", "/" + name, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise Failed("making bucket %s: %d %s" % (name, answer.status, body.decode(errors="replace")))


class Nginx:
    """None of it remains: its files, log and pid are in `directory`."""

    def __init__(self, directory, objects, larges=None):
        """`objects` small files in the folder `small`, and one of so many bytes in each folder of `larges`."""
        self.port, self.directory = free_port(), directory
        bucket = os.path.join(directory, "files", "small")
        os.makedirs(bucket)
        for i in range(objects):
            with open(os.path.join(bucket, "k%08d" % i), "wb") as file:
                file.write(os.urandom(SMALL))
        for folder, size in (larges or {}).items():
            os.makedirs(os.path.join(directory, "files", folder))
            with open(os.path.join(directory, "files", folder, "k00000000"), "wb") as file:
                for _ in range(size >> 20):
                    file.write(os.urandom(1 << 20))
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "nginx.conf")) as file:
            text = file.read()
        # A cached file is an open one, in each worker.
        files = min(300000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        self.cached = min(200000, files // 2)
        words = {"FILES": files, "CACHED": self.cached, "WORKERS": len(os.sched_getaffinity(0)), "USER": pwd.getpwuid(os.getuid()).pw_name, "DIR": directory, "PORT": self.port}
        for word, value in words.items():
            text = text.replace("@%s@" % word, str(value))
        configuration = os.path.join(directory, "nginx.conf")
        with open(configuration, "w") as file:
            file.write(text)
        self.process = start([self.binary(), "-p", directory, "-c", configuration], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Failed("nginx did not start; see %s" % configuration)
                time.sleep(0.02)

    @staticmethod
    def binary():
        return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")

    @classmethod
    def is_there(cls):
        return cls.binary() is not None

    def pids(self):
        return [self.process.pid] + children_of(self.process.pid)


def load(build, server, operation, *arguments, seconds, signed=True, first=False):
    """
    Runs the load generator on a server; its report with the server's and the machine's CPU time. `first`: before all others on its core, so that it waits for
    the server and not for them, if we may.
    """
    argv = [os.path.join(build, "bench", "load"), operation, "--port", str(server.port), "--seconds", str(seconds), "--seed",
            str(secrets.randbits(60) | 1)] + [str(a) for a in arguments]
    if signed and isinstance(server, Store):
        argv += ["--access-key", server.access_key, "--secret", server.secret, "--region", REGION]
    client = start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        read_line(client)
        if first:
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(client.pid, os.SCHED_FIFO, os.sched_param(1))
        pids = server.pids()
        before, machine = cpu_of(pids), cpu_of_machine()
        client.stdin.write(b"go\n")
        client.stdin.flush()
        report = json.loads(read_line(client, seconds + PATIENCE_SECONDS))
        report["server_us"] = cpu_of(pids) - before
        report["machine_us"] = max(0, cpu_of_machine() - machine - report["cpu_us"])
    finally:
        stop(client)
        client.stdin.close()
        client.stdout.close()
    return report
