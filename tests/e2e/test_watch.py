"""A bucket's changes as they happen: `restfs watch`, and feed.read that waits."""
import http.client
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest

from daemon import BINARY, BUILD, PATIENCE_SECONDS, Daemon, die_with_parent, wait_until

RESTFS = pathlib.Path(BUILD) / "restfs"
BUCKET = "seen"
FAR_MS = 60000


@pytest.fixture
def daemon():
    one = Daemon().start()
    one.client().create_bucket(Bucket=BUCKET)
    yield one
    one.finish()


def put(daemon, *keys):
    s3 = daemon.client()
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")


def restfs(daemon, *arguments, code=0):
    done = subprocess.run([RESTFS, "--data", daemon.data, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def last(daemon):
    return json.loads(restfs(daemon, "cursor", "ls", BUCKET, "--json"))["last"]


class Connection(http.client.HTTPConnection):
    """To the socket in the data directory, where no key is needed."""

    def __init__(self, daemon):
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self.path = str(daemon.data / "admin.sock")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(self.path)


def ask(connection, *calls):
    """Sends JSON-RPC calls, as a batch where there are several."""
    calls = [{"jsonrpc": "2.0", "id": i, "method": method, "params": params} for i, (method, params) in enumerate(calls)]
    connection.request("POST", "/rpc", json.dumps(calls if len(calls) > 1 else calls[0]))


def answer(connection):
    got = json.loads(connection.getresponse().read())
    return got if isinstance(got, list) else got.get("result") or got["error"]


def read_waits(daemon, after, **more):
    connection = Connection(daemon)
    ask(connection, ("feed.read", {"bucket": BUCKET, "after": after, "wait_ms": FAR_MS, **more}))
    return connection


def waiting(daemon):
    """Calls that wait, as the daemon sees them."""
    return sum(r["does"] == "works" and r["path"] == "/rpc" for r in json.loads(restfs(daemon, "debug", "dump", "--json"))["http"]["requests"]) - 1


@pytest.fixture
def debugged():
    one = Daemon("--set", "debug=true").start()
    one.client().create_bucket(Bucket=BUCKET)
    yield one
    one.finish()


# --- feed.read ---


def test_a_read_waits_for_the_next_change(debugged):
    waits = read_waits(debugged, last(debugged))
    wait_until(lambda: waiting(debugged) == 1)
    put(debugged, "a")
    got = answer(waits)
    assert [c["name"] for c in got["changes"]] == ["a"] and got["next"] == got["changes"][-1]["serial"]
    waits.close()


def test_a_read_with_a_prefix_sleeps_through_other_changes(debugged):
    waits = read_waits(debugged, last(debugged), prefix="b/")
    wait_until(lambda: waiting(debugged) == 1)
    put(debugged, "a/1", "a/2", "b/3")
    assert [c["name"] for c in answer(waits)["changes"]] == ["b/3"]
    waits.close()


def test_a_read_ends_when_its_time_is_up(daemon):
    serial = last(daemon)
    connection = Connection(daemon)
    ask(connection, ("feed.read", {"bucket": BUCKET, "after": serial, "wait_ms": 50}))
    assert answer(connection) == {"changes": [], "next": serial, "more": False}
    ask(connection, ("feed.read", {"bucket": BUCKET, "wait_ms": FAR_MS}))
    assert answer(connection)["next"] == serial  # there is something: it does not wait
    ask(connection, *[("feed.read", {"bucket": BUCKET, "after": serial, "wait_ms": FAR_MS})] * 2)
    assert [a["result"]["changes"] for a in answer(connection)] == [[], []]  # a batch never waits
    for bad in -1, FAR_MS + 1:
        ask(connection, ("feed.read", {"bucket": BUCKET, "wait_ms": bad}))
        assert answer(connection)["data"]["name"] == "INVALID_PARAMS"
    connection.close()


def test_a_bucket_that_goes_ends_the_wait(debugged):
    waits = read_waits(debugged, last(debugged))
    wait_until(lambda: waiting(debugged) == 1)
    debugged.client().delete_bucket(Bucket=BUCKET)
    assert answer(waits)["data"]["name"] == "NO_SUCH_BUCKET"
    waits.close()


def test_many_wait_without_a_thread_each(debugged):
    many = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * many)), hard))
    put(debugged, "warm")
    threads = len(os.listdir(f"/proc/{debugged.process.pid}/task"))
    serial = last(debugged)
    all_of_them = [read_waits(debugged, serial) for _ in range(many)]
    # the dump lists no more than a thousand requests of each loop
    wait_until(lambda: waiting(debugged) >= many - 1)
    assert len(os.listdir(f"/proc/{debugged.process.pid}/task")) <= threads + 64
    gone, others = all_of_them[:many // 2], all_of_them[many // 2:]
    for connection in gone:
        connection.close()
    put(debugged, "a")
    for connection in others:
        assert [c["name"] for c in answer(connection)["changes"]] == ["a"]
        connection.close()
    wait_until(lambda: waiting(debugged) == 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_goes_without_a_change_leaves_no_place_taken(debugged):
    begun = time.monotonic()
    for end in (lambda connection: connection.close(), lambda connection: connection.sock.shutdown(socket.SHUT_WR)):
        waits = read_waits(debugged, last(debugged))
        wait_until(lambda: waiting(debugged) == 1)
        end(waits)
        wait_until(lambda: waiting(debugged) == 0)
    assert answer(waits)["changes"] == []  # who only sends no more is answered
    waits.close()
    assert time.monotonic() - begun < FAR_MS / 1000, "it was waited until the time was up"


def test_a_stop_does_not_wait_for_who_waits(debugged):
    waits = read_waits(debugged, last(debugged))
    wait_until(lambda: waiting(debugged) == 1)
    assert debugged.stop() == 0
    assert answer(waits)["changes"] == []
    waits.close()


# --- restfs watch ---


class Watch:
    """`restfs watch` and what it has said."""

    def __init__(self, daemon, *arguments):
        self.lines = []
        self.process = subprocess.Popen([RESTFS, "--data", daemon.data, "watch", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def keys(self):
        return [json.loads(line)["name"] for line in list(self.lines)]

    def end(self, number=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        self.reader.join()
        self.error = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.mark.parametrize("pattern,wanted", [
    (BUCKET, ["a/1.jpg", "a/b/2.jpg", "a/3.txt", "c/4.jpg", "a/1.jpg"]),
    (f"{BUCKET}/a/*.jpg", ["a/1.jpg", "a/1.jpg"]),
    (f"s3://{BUCKET}/a/**.jpg", ["a/1.jpg", "a/b/2.jpg", "a/1.jpg"]),
    (f"{BUCKET}/?/[1-3].*", ["a/1.jpg", "a/3.txt", "a/1.jpg"]),
])
def test_what_fits_the_pattern_is_told(daemon, pattern, wanted):
    serial = last(daemon)
    put(daemon, "a/1.jpg", "a/b/2.jpg", "a/3.txt", "c/4.jpg")
    daemon.client().delete_object(Bucket=BUCKET, Key="a/1.jpg")
    lines = restfs(daemon, "watch", pattern, f"--after={serial}", "--once", "--json").splitlines()
    assert [json.loads(line)["name"] for line in lines] == wanted
    assert [json.loads(line)["kind"] for line in lines][-1] == "delete"
    plain = restfs(daemon, "watch", pattern, f"--after={serial}", "--once").splitlines()
    assert [line.split()[-1] for line in plain] == wanted and plain[0].split()[1:4] == ["put", "1", "root"]


def test_a_name_cannot_write_on_the_terminal(daemon):
    serial = last(daemon)
    put(daemon, "a\x1b[2Jb\nc")
    assert restfs(daemon, "watch", BUCKET, f"--after={serial}", "--once").endswith("  a\\x1b[2Jb\\x0ac\n")


def test_a_watch_begins_now(daemon):
    put(daemon, "before")
    watch = Watch(daemon, BUCKET, "--json")
    n = 0
    while not watch.lines:  # nobody says when it has begun: changes go on until one is seen
        put(daemon, f"after/{n}")
        n += 1
    assert watch.keys()[0].startswith("after/")
    watch.end()


def test_nothing_is_missed_over_restarts_of_both_sides(daemon):
    cursor = [f"{BUCKET}/k/*", "--cursor=reader", "--json"]
    restfs(daemon, "watch", *cursor, "--once")  # makes it
    seen, keys = [], [f"k/{i:03}" for i in range(60)]
    watch = Watch(daemon, *cursor)
    for i, key in enumerate(keys):
        put(daemon, "other", key)
        if i == 10:
            wait_until(lambda: len(watch.lines) > 5)
            daemon.kill()
            daemon.start()
        if i % 20 == 15:  # kill -9 of the reader, with or without something on its way
            watch.end()
            seen += watch.keys()
            watch = Watch(daemon, *cursor)
        if i == 40:
            daemon.stop()
            daemon.start()
    wait_until(lambda: watch.keys()[-1:] == keys[-1:])
    watch.end(signal.SIGTERM)
    seen += watch.keys()
    assert sorted(set(seen)) == keys
    # what came twice came again from a place on, in order
    again = [i for i in range(1, len(seen)) if seen[i] != f"k/{int(seen[i - 1][2:]) + 1:03}"]
    assert len(again) <= 3 and all(seen[i] <= seen[i - 1] for i in again)
    assert restfs(daemon, "watch", *cursor, "--once").splitlines()[:1] in ([], [watch.lines[-1].rstrip("\n")])


def test_without_a_kill_each_change_comes_once(daemon):
    cursor = [BUCKET, "--cursor=reader", "--json"]
    restfs(daemon, "watch", *cursor, "--once")
    watch = Watch(daemon, *cursor)
    keys = [f"{i:03}" for i in range(50)]
    put(daemon, *keys)
    daemon.stop()
    daemon.start()
    put(daemon, "last")
    wait_until(lambda: watch.keys()[-1:] == ["last"])
    watch.end()
    assert watch.keys() == keys + ["last"]
    assert watch.error.count("trying again") <= 1 and watch.error.count("\n") == 2 * watch.error.count("trying again")


def test_a_watch_that_was_never_answered_ends(daemon):
    daemon.stop()
    assert "does restfsd run" in restfs(daemon, "watch", BUCKET, code=1)
    daemon.start()
    assert "NO_SUCH_BUCKET" in restfs(daemon, "watch", "nothing/here", code=1)
    assert "which bucket" in restfs(daemon, "watch", "/here", code=2)


def test_a_command_runs_for_each_change(daemon, tmp_path):
    out = tmp_path / "out"
    cursor = [BUCKET, "--cursor=doer", "--once"]
    restfs(daemon, "watch", *cursor)
    put(daemon, "a b", "c'd", "e")
    failing = f'test "$RESTFS_KEY" != e && echo "$RESTFS_KIND $RESTFS_BUCKET $RESTFS_KEY $RESTFS_SIZE $RESTFS_WHO" >> {out}'
    error = restfs(daemon, "watch", *cursor, f"--exec={failing}", code=1)
    assert 'ended with 1 for "put e"' in error and "the cursor stands before it" in error
    assert out.read_text().splitlines() == [f"put {BUCKET} a b 1 root", f"put {BUCKET} c'd 1 root"]
    restfs(daemon, "watch", *cursor, f"--exec=echo $RESTFS_KEY >> {out}")
    assert out.read_text().splitlines()[2:] == ["e"]
    restfs(daemon, "watch", *cursor, "--exec=false")  # there is nothing left to do


def test_who_comes_too_late_is_told_what_to_do():
    daemon = Daemon("--set", "feed.rows=5", "--set", "feed.interval=100ms", "--set", "feed.cursor_time=1ms").start()
    try:
        daemon.client().create_bucket(Bucket=BUCKET)
        restfs(daemon, "watch", BUCKET, "--cursor=late", "--once")
        put(daemon, *map(str, range(20)))
        wait_until(lambda: json.loads(restfs(daemon, "cursor", "ls", BUCKET, "--json"))["cursors"][0]["gone"])

        def is_pruned():  # also of what came last
            position = re.search(r"--position=(\d+)", restfs(daemon, "watch", BUCKET, "--cursor=late", code=1))[1]
            return len(json.loads(restfs(daemon, "feed", BUCKET, f"--after={position}", "--json"))["changes"]) == 5

        wait_until(is_pruned)
        error = restfs(daemon, "watch", BUCKET, "--cursor=late", code=1)
        assert "have left the feed" in error and error.count("\n") == 1
        words = error[error.index("restfs cursor set"):error.index(", and watch again")].split()
        restfs(daemon, *words[1:])
        assert len(restfs(daemon, "watch", BUCKET, "--cursor=late", "--once").splitlines()) == 5
        assert "--after=" in restfs(daemon, "watch", BUCKET, "--after=1", "--once", code=1)
    finally:
        daemon.finish()
