"""What an operator sees of a store that runs: `restfs status`, `top`, `trace`, `log`, and the metrics."""
import http.client
import json
import os
import pathlib
import pty
import re
import select
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from daemon import BUILD, PATIENCE_SECONDS, Daemon, die_with_parent, flip, wait_until

RESTFS = pathlib.Path(BUILD) / "restfs"
BUCKET = "seen"


@pytest.fixture
def daemon():
    one = Daemon().start()
    at = rpc(one, "request.trace")["next"]
    one.client().create_bucket(Bucket=BUCKET)
    wait_until(lambda: "CreateBucket" in [r["operation"] for r in rpc(one, "request.trace", after=at)["requests"]])  # told a moment behind its answer
    yield one
    one.finish()


def restfs(daemon, *arguments, code=0):
    done = subprocess.run([RESTFS, "--data", daemon.data, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


def rpc(daemon, method, **params):
    class Connection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(PATIENCE_SECONDS)
            self.sock.connect(str(daemon.data / "admin.sock"))

    connection = Connection("localhost")
    connection.request("POST", "/rpc", json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    got = json.loads(connection.getresponse().read())
    connection.close()
    return got["result"]


def status(daemon, code=0):
    return json.loads(restfs(daemon, "status", "--json", code=code))


class Follower:
    """A command that goes on, and the lines that it has shown."""

    def __init__(self, daemon, *arguments):
        self.lines, self.errors = [], []
        self.process = subprocess.Popen([RESTFS, "--data", daemon.data, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)
        self.readers = [threading.Thread(target=self.read, args=pair) for pair in [(self.process.stdout, self.lines), (self.process.stderr, self.errors)]]
        for reader in self.readers:
            reader.start()

    def read(self, stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))
        stream.close()

    def end(self):
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()


# --- status ---


def test_the_status_of_a_healthy_store(daemon):
    s3 = daemon.client()
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"12345")
    s3.put_object(Bucket=BUCKET, Key="b", Body=b"123")
    got = status(daemon)
    assert got["healthy"] and got["problems"] == [] and got["s3"] == daemon.s3 and got["admin"] == daemon.admin
    assert got["held"] == {"buckets": 1, "objects": 2, "bytes": 8, "at_least": False}
    assert got["store"]["volumes"] >= 1 and 0 < got["store"]["free_bytes"] < got["store"]["disk_bytes"] and got["store"]["bytes_on_disk"] > 0
    assert got["requests"]["total"] == 3 and got["memory_bytes"] > 1024 * 1024
    screen = restfs(daemon, "status")
    assert screen.count("\n") < 24 and "health    ok\n" in screen and "1 bucket, 2 objects, 8 B" in screen and "\x1b" not in screen
    assert restfs(daemon, "info").startswith("version")


def test_a_store_without_objects_is_not_shown_as_garbage():
    one = Daemon().start()
    restfs(one, "compact")
    assert 0 < status(one)["store"]["garbage_bytes"] < 1000  # what was logged, without the volume's head
    assert re.search(r"^volumes   1, of [0-9.]+ MiB; garbage \d+ B \(0 %\) as of the last look of compaction$", restfs(one, "status"), re.M)
    one.finish()


def test_rows_are_counted_as_they_are(daemon):
    s3 = daemon.client()

    def rows():
        return rpc(daemon, "server.info")["store"]["rows_estimate"]

    s3.put_object(Bucket=BUCKET, Key="a", Body=b"1")
    before = rows()
    for _ in range(100):
        s3.put_bucket_acl(Bucket=BUCKET, ACL="private")
    assert rows() == before + 100  # each is told in the feed
    for i in range(50):
        s3.put_object(Bucket=BUCKET, Key=f"b{i}", Body=b"1")
    assert rows() == before + 100 + 50 * 3  # an entry, a block and what the feed tells


def test_what_is_wrong_is_said_and_exits_with_1(daemon):
    body = os.urandom(100000)
    daemon.client().put_object(Bucket=BUCKET, Key="a", Body=body)
    daemon.kill()
    flip(daemon, body)
    daemon.damaged = True
    daemon.start()
    restfs(daemon, "verify", BUCKET, code=1)
    assert status(daemon, code=1)["problems"] == ["1 object is damaged: restfs scrub status names them"]
    assert "1 object is damaged" in restfs(daemon, "status", code=1)
    daemon.stop()
    restfs(daemon, "status", code=1)


# --- top ---


class Upload:
    """A PUT whose body stops half way."""

    def __init__(self, daemon, key, size, sent):
        url = daemon.client().generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key})
        host, port = daemon.s3.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE_SECONDS)
        self.socket.sendall(f"PUT {url[len(daemon.s3):]} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {size}\r\n\r\n".encode() + bytes(sent))


def live(daemon):
    return rpc(daemon, "request.list")["requests"]


def test_what_runs_now_is_shown(daemon):
    upload = Upload(daemon, "slow/key", 3000000, 2000000)
    wait_until(lambda: any(r["received"] == 2000000 and r["does"] == "waits for the body" for r in live(daemon)))  # before, a worker has the last of it
    (seen,) = [r for r in live(daemon) if r["door"] == "s3"]
    assert (seen["operation"], seen["bucket"], seen["key"], seen["user"], seen["peer"]) == ("PutObject", BUCKET, "slow/key", "root", "127.0.0.1")
    assert seen["length"] == 3000000 and seen["seconds"] > 0 and seen["does"] == "waits for the body"
    assert "X-Amz" not in json.dumps(seen)
    assert [r["id"] for r in json.loads(restfs(daemon, "top", "--once", "--json"))["requests"]] == [seen["id"]]
    plain = restfs(daemon, "top")
    assert "slow/key" in plain and "1 under way" in plain and "\x1b" not in plain
    upload.socket.close()
    wait_until(lambda: not [r for r in live(daemon) if r["door"] == "s3"])


def test_rates_are_those_since_the_last_look(daemon):
    s3, stop = daemon.client(), threading.Event()

    def load():
        while not stop.is_set():
            s3.put_object(Bucket=BUCKET, Key="a", Body=b"1")
            s3.get_object(Bucket=BUCKET, Key="a")["Body"].read()

    thread = threading.Thread(target=load)
    thread.start()
    try:
        got = json.loads(restfs(daemon, "top", "--json"))
    finally:
        stop.set()
        thread.join()
    rates = {o["operation"]: o for o in got["operations"]}
    assert rates.keys() == {"PutObject", "GetObject"}  # the bucket was made before the first look
    for rate in rates.values():
        assert rate["per_second"] > 0 and 0 < rate["mean"] < 60
        assert 0 < rate["p50"] <= rate["p99"] <= rate["p999"]
    assert got["sent_per_second"] > 0 and got["received_per_second"] > 0


def test_on_a_terminal_it_is_drawn_anew(daemon):
    ours, its = pty.openpty()
    process = subprocess.Popen([RESTFS, "--data", daemon.data, "top"], stdin=its, stdout=its, stderr=its, preexec_fn=die_with_parent)
    os.close(its)
    seen = b""
    while seen.count(b"\x1b[H\x1b[2J") < 2:
        assert select.select([ours], [], [], PATIENCE_SECONDS)[0]
        seen += os.read(ours, 65536)
    assert b"under way" in seen
    process.kill()
    process.wait()
    os.close(ours)


# --- trace ---


def traces(daemon):
    """How many wait for the next request."""
    return sum(r["operation"] == "request.trace" for r in live(daemon))


def traced(daemon, *arguments, others=0):
    """Begun, beside these others: what is asked from now on is recorded."""
    follower = Follower(daemon, "trace", "--json", *arguments)
    wait_until(lambda: traces(daemon) == others + 1)
    return follower


def requests(follower):
    return [json.loads(line) for line in list(follower.lines)]


def test_requests_are_told_as_they_end(daemon):
    trace = traced(daemon)
    s3 = daemon.client()
    s3.put_object(Bucket=BUCKET, Key="a/ b", Body=b"12345")
    s3.get_object(Bucket=BUCKET, Key="a/ b")["Body"].read()
    with pytest.raises(Exception):
        s3.get_object(Bucket=BUCKET, Key="none")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{daemon.s3}/{BUCKET}/a?secret=1")

    def ended():
        return [r for r in requests(trace) if r["door"] == "s3"]

    wait_until(lambda: len(ended()) >= 4)
    trace.end()
    told = {(r["operation"], r["key"]): r for r in ended()}
    assert len(told) == len(ended()) == 4
    put, get, none = [told.pop(key) for key in [("PutObject", "a/ b"), ("GetObject", "a/ b"), ("GetObject", "none")]]
    (nobody,) = told.values()
    assert (put["operation"], put["status"], put["bucket"], put["key"], put["received"] >= 5, put["user"]) == ("PutObject", 200, BUCKET, "a/ b", True, "root")
    assert (get["operation"], get["status"], get["sent"], get["peer"]) == ("GetObject", 200, 5, "127.0.0.1")
    assert (none["status"], none["key"]) == (404, "none") and nobody["status"] in (400, 403, 501)
    assert put["id"] < get["id"] and 0 < put["seconds"] < 60
    everything = "\n".join(trace.lines)
    assert "secret" not in everything and "Signature" not in everything and "AWS4" not in everything
    assert trace.errors == []


def test_a_trace_is_filtered(daemon):
    s3 = daemon.client()
    s3.create_bucket(Bucket="other")
    errors, other, slow = traced(daemon, "--errors"), traced(daemon, "--bucket=other", others=1), traced(daemon, "--slower=3600000", others=2)
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"1")
    s3.put_object(Bucket="other", Key="b", Body=b"1")
    with pytest.raises(Exception):
        s3.get_object(Bucket=BUCKET, Key="none")
    with pytest.raises(Exception):
        s3.get_object(Bucket="other", Key="none")
    wait_until(lambda: len(errors.lines) >= 2 and len(other.lines) >= 2)
    for follower in errors, other, slow:
        follower.end()
    assert [(r["bucket"], r["status"]) for r in requests(errors)] == [(BUCKET, 404), ("other", 404)]
    assert [(r["operation"], r["status"]) for r in requests(other)] == [("PutObject", 200), ("GetObject", 404)]
    assert slow.lines == []


@pytest.mark.parametrize("slower", [2**63 - 1, 2**62])
def test_a_time_that_cannot_be_counted_is_refused(daemon, slower):
    done = subprocess.run([RESTFS, "--data", daemon.data, "trace", f"--slower={slower}"], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode != 0 and "slower" in done.stderr


def ask_at_length(daemon, count):
    """Requests that are refused, each with a path of 4,000 characters: more than the rings have room for."""
    connection = http.client.HTTPConnection(daemon.s3.removeprefix("http://"), timeout=PATIENCE_SECONDS)
    for _ in range(count):
        connection.request("GET", "/" + BUCKET + "/" + "k" * 4000)
        connection.getresponse().read()
    connection.close()


def test_a_gap_in_a_trace_is_told(daemon):
    first = rpc(daemon, "request.trace")
    assert first["requests"] == [] and first["lost"] == 0
    ask_at_length(daemon, 400)
    count, lost, after = 0, 0, first["next"]
    while True:
        page = rpc(daemon, "request.trace", after=after)
        count += len(page["requests"])
        lost += page["lost"]
        after = page["next"]
        if not page["requests"]:
            break
    assert lost > 0 and count + lost == 400
    daemon.stop()
    daemon.start()
    assert rpc(daemon, "request.trace", after=after)["lost"] is None


def test_a_trace_goes_on_over_a_restart(daemon):
    trace = traced(daemon, "--bucket=" + BUCKET)
    daemon.kill()
    daemon.start()
    wait_until(lambda: traces(daemon) == 1)
    daemon.client().put_object(Bucket=BUCKET, Key="a", Body=b"1")
    wait_until(lambda: trace.lines)
    trace.end()
    assert "some requests may be missing" in "\n".join(trace.errors)


# --- log ---


@pytest.mark.parametrize("words, known", [(("trace", "--operation"), ["GetObject", "ListObjectsV2", "DeleteObjects", "user.create"]),
                                          (("log", "--level=warn", "--module"), ["s3_door", "embedded", "compaction", "scrub"])])
@pytest.mark.parametrize("name", ["getobject", "GetObj", "s3", "x y", "GetObject HeadObject", ""])
def test_names_that_do_not_exist_are_refused_with_those_that_do(daemon, words, known, name):
    done = subprocess.run([RESTFS, "--data", daemon.data, *words[:-1], f"{words[-1]}={name}"], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and set(known) <= set(done.stderr.split())


def test_the_log_is_shown_and_its_level_changes(daemon):
    follower = Follower(daemon, "log", "--follow", "--lines=0")
    wait_until(lambda: any(r["operation"] == "log.read" for r in live(daemon)))
    with pytest.raises(Exception):
        daemon.client().get_object(Bucket=BUCKET, Key="before")
    assert restfs(daemon, "log", "--level=debug", "--module=s3_door") == ""
    with pytest.raises(Exception):
        daemon.client().get_object(Bucket=BUCKET, Key="after")
    wait_until(lambda: any("after" in line for line in follower.lines))
    restfs(daemon, "log", "--level=error")
    restfs(daemon, "log", "--level=error", "--module=s3_door")
    follower.end()
    assert not any("before" in line for line in follower.lines)
    newest = restfs(daemon, "log").splitlines()
    assert newest == [line for line in daemon.log().splitlines() if line[:2] == "20"][-100:]
    assert restfs(daemon, "log", "--lines=1").splitlines() == newest[-1:]
    assert json.loads(restfs(daemon, "log", "--lines=1", "--json")) == {"line": newest[-1]}
    restfs(daemon, "log", "--module=x", code=2)
    restfs(daemon, "log", "--level=loud", code=2)


def test_the_log_is_bounded(daemon):
    restfs(daemon, "log", "--level=debug")
    first = rpc(daemon, "log.read")
    ask_at_length(daemon, 400)
    page = rpc(daemon, "log.read", after=first["next"])
    assert page["lost"] > 0
    assert sum(map(len, rpc(daemon, "log.read", lines=10000)["lines"])) <= 512 * 1024


# --- files ---


def test_nothing_of_a_store_is_for_others():
    """Also where the directory is, that somebody made before."""
    one = Daemon()
    one.data.mkdir(0o755)
    before = os.umask(0)
    try:
        one.start()
    finally:
        os.umask(before)
    one.client().create_bucket(Bucket=BUCKET)
    one.stop()
    files = [path for path in one.data.rglob("*") if not path.is_symlink()]
    assert len(files) > 5 and [(str(path), oct(path.stat().st_mode)) for path in files if path.stat().st_mode & 0o077] == []
    one.finish()


# --- metrics ---


def test_metrics_tell_operations_apart(daemon):
    s3 = daemon.client()
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"1")
    s3.list_objects_v2(Bucket=BUCKET)
    s3.list_objects(Bucket=BUCKET)
    with urllib.request.urlopen(daemon.admin + "/metrics") as answer:
        text = answer.read().decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    of = 'restfs_s3_request_seconds_count{operation="%s"}'
    assert [values[of % o] for o in ("PutObject", "ListObjects", "GetObject", "other")] == ["1", "2", "0", "1"]
    assert int(values["process_resident_memory_bytes"]) > 0 and int(values["process_open_fds"]) > 10
    assert abs(float(values["process_start_time_seconds"]) - os.stat(f"/proc/{daemon.process.pid}").st_ctime) < 60
    assert int(values["restfs_store_disk_bytes"]) > int(values["restfs_store_free_bytes"]) > 0
    assert int(values["restfs_http_received_bytes_total"]) > 0 and int(values["restfs_http_sent_bytes_total"]) > 0
