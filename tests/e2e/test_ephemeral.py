"""restfsd --ephemeral: a store that goes with its process; and clients/python, which starts it for the tests of others."""
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import urllib.request

import pytest

from daemon import BINARY, PATIENCE_SECONDS, ROOT, Daemon, die_with_parent, wait_until

CLIENT = ROOT / "clients" / "python"
sys.path.insert(0, str(CLIENT))
sys.path.insert(0, str(ROOT / "tests" / "crash"))

from faults import Plan, environment  # noqa: E402
from restfs_testing import Restfs, RestfsError  # noqa: E402


class Ephemeral:
    """A process whose store lies in a directory of the test, where no other test's is."""

    def __init__(self, parent, *options, stdin=subprocess.DEVNULL):
        self.parent = parent
        self.log = open(parent / "log", "ab")
        self.process = subprocess.Popen([BINARY, "--ephemeral", "--data", parent, *options], stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=self.log, preexec_fn=die_with_parent)
        self.line = self.process.stdout.readline().decode()

    def end(self, number=None):
        if number:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE_SECONDS)
        self.process.stdout.close()
        self.log.close()
        return status


def stores(parent):
    return sorted(path.name for path in parent.iterdir() if path.is_dir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_after_a_stop(tmp_path, number):
    store = Ephemeral(tmp_path)
    assert store.line.startswith("ready s3=http://127.0.0.1:")
    assert len(stores(tmp_path)) == 1
    assert store.end(number) == 0
    assert stores(tmp_path) == []


def test_who_asks_it_twice_to_stop_does_not_end_it_in_the_middle(tmp_path):
    for _ in range(5):
        store = Ephemeral(tmp_path)
        while store.process.poll() is None:  # timeout(1) sends two, one behind the other
            store.process.send_signal(signal.SIGTERM)
        assert store.end() == 0
    assert stores(tmp_path) == []


def test_it_stops_with_who_started_it(tmp_path):
    store = Ephemeral(tmp_path, "--stop-at-eof", stdin=subprocess.PIPE)
    store.process.stdin.write(b"what is written there is not looked at")
    store.process.stdin.flush()
    store.process.stdin.close()
    assert store.end() == 0
    assert stores(tmp_path) == []


def test_what_cannot_start_leaves_nothing(tmp_path):
    first = Ephemeral(tmp_path)
    taken = first.line.split("s3=http://")[1].split()[0]
    second = Ephemeral(tmp_path, "--s3", taken)
    assert second.line == "" and second.end() == 1
    assert len(stores(tmp_path)) == 1
    assert first.end(signal.SIGTERM) == 0


def test_the_next_one_removes_what_a_killed_one_left_and_nothing_else(tmp_path):
    running = Ephemeral(tmp_path)
    killed = Ephemeral(tmp_path)
    assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    assert len(stores(tmp_path)) == 2
    (tmp_path / "restfs-ephemeral-linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("not ours")
    (tmp_path / "restfs-ephemeral-saved-today").mkdir()  # a copy that somebody made
    beginning = tmp_path / "restfs-ephemeral-locked"  # by somebody who is about to use it
    beginning.mkdir()
    held = os.open(beginning, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    before = set(stores(tmp_path))
    third = Ephemeral(tmp_path)
    after = set(stores(tmp_path))
    assert len(before - after) == 1 and len(after - before) == 1
    assert beginning.exists() and (tmp_path / "elsewhere" / "file").exists()
    assert third.end(signal.SIGTERM) == 0
    assert running.process.poll() is None
    assert running.end(signal.SIGTERM) == 0
    os.close(held)
    assert stores(tmp_path) == ["elsewhere", "restfs-ephemeral-linked", "restfs-ephemeral-locked", "restfs-ephemeral-saved-today"]


def test_many_that_start_at_once_leave_each_other_alone(tmp_path):
    """Each looks for leftovers while the others make their directories."""
    script = f'for i in 1 2 3 4 5 6 7 8 9 10; do "{BINARY}" --ephemeral --stop-at-eof --data "{tmp_path}" </dev/null || exit 1; done'
    shells = [subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent) for _ in range(4)]
    ends = [shell.communicate() + (shell.returncode,) for shell in shells]
    assert [(errors.decode(), status) for _, errors, status in ends if status != 0] == []
    assert stores(tmp_path) == []


@pytest.mark.parametrize("options, synced", [((), True), (("--set", "journal.sync=false"), False)])
def test_only_without_journal_sync_nothing_waits_for_the_disk(options, synced):
    """That, --ephemeral sets."""
    daemon = Daemon(*options)
    plan = Plan(os.path.join(daemon.directory, "plan"))
    daemon.environment = environment("io_fault", plan, daemon)
    daemon.start()
    s3 = daemon.client()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="large", Body=bytes(3 << 20))  # begins a volume, whose name is synced
    plan.arm("sync", 0, "EIO")
    for i in range(20):
        s3.put_object(Bucket="bucket", Key=str(i), Body=b"small")
    s3.put_object(Bucket="bucket", Key="large", Body=bytes(3 << 20))
    assert (plan.calls("sync") > 20) if synced else (plan.calls("sync") == 0)
    daemon.environment = {}
    daemon.finish()


def test_a_python_program_gets_a_store_and_its_keys():
    with Restfs(binary=BINARY) as store:
        s3 = store.client()
        s3.create_bucket(Bucket="photos")
        s3.put_object(Bucket="photos", Key="a", Body=b"x")
        assert s3.get_object(Bucket="photos", Key="a")["Body"].read() == b"x"
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": "a"})
        assert urllib.request.urlopen(url).read() == b"x"
        assert store.environment()["AWS_ENDPOINT_URL"] == store.endpoint
        process = store._process
    assert process.returncode == 0 and store.endpoint is None


def test_a_python_program_is_told_why_there_is_no_store(tmp_path):
    with pytest.raises(RestfsError, match="ended with status 2:\n.*there is no option --no-such"):
        Restfs("--no-such", binary=BINARY).start()
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\ncat >&2\n")
    sleeper.chmod(0o755)
    with pytest.raises(RestfsError, match="did not get ready in 0.1 s"):
        Restfs(binary=str(sleeper), timeout=0.1).start()
    with pytest.raises(RestfsError, match="cannot be run"):
        Restfs(binary=str(tmp_path / "nothing")).start()


def test_a_python_program_that_is_killed_leaves_no_store(tmp_path):
    """However it ends, the pipe does."""
    program = f"import os, signal, restfs_testing as t; t.Restfs('--data', {str(tmp_path)!r}, binary={BINARY!r}).start(); os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", program], env=dict(os.environ, PYTHONPATH=str(CLIENT)), stderr=subprocess.PIPE)
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: stores(tmp_path) == [])


def test_fixtures_of_pytest(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "def test_it(restfs, restfs_client, restfs_bucket):\n"
        "    restfs_client.put_object(Bucket=restfs_bucket, Key='a', Body=b'x')\n"
        "    assert restfs.endpoint.startswith('http://127.0.0.1:')\n")
    environment = dict(os.environ, PYTHONPATH=str(CLIENT), RESTFSD=BINARY)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "restfs_testing.plugin", "-p", "no:cacheprovider", pathlib.Path(tmp_path)],
                          env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout
