"""The daemon ends at each named point of a commit, of a volume's life and of background work: what was acknowledged is there, and the store is whole."""
import os
import pathlib
import random
import re
import subprocess

import pytest

from daemon import BINARY, PATIENCE_SECONDS, ROOT, Daemon, wait_until
from workload import BUCKET, FAST_SCRUB, Client, judge, possible, scrubs

ROUNDS = int(os.environ.get("RESTFS_ROUNDS", "10"))
POINTS = re.findall(r'^CRASH_POINT\(\w+, "([a-z-]+)"', (ROOT / "src/base/crash_points.def").read_text(), re.M)
# Those that take part in most; all of them in `make soak`.
FEW = ["group-synced", "segment-dropped", "blocks-moved", "volume-removed", "checkpoint-named"]
# Small volumes and large blocks in the journal, so that there is something to give back soon.
OPTIONS = ("--set", "debug=true", "--set", "journal.volume_bytes=1048576", "--set", "journal.small_block_bytes=1048576", *FAST_SCRUB)
CLIENTS = 3


def restfs(daemon, *arguments):
    """Its answer may not come: the daemon ends."""
    return subprocess.run([pathlib.Path(BINARY).parent / "restfs", "--data", daemon.data, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("point", POINTS if ROUNDS > 10 else FEW)
@pytest.mark.parametrize("number", range(max(1, ROUNDS // 100)))
def test_a_crash_at_a_named_point_loses_nothing(point, number, record_property):
    chance = random.Random(f"{point} {number}")
    daemon = Daemon(*OPTIONS).start()
    try:
        daemon.client().create_bucket(Bucket=BUCKET)
        clients = [Client(daemon, number, chance.random(), {}, first=3 * number) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        wait_until(lambda: all(sum(client.done.values()) > 4 or not client.is_alive() for client in clients))
        restfs(daemon, "scrub", "start")
        wait_until(lambda: scrubs(daemon) or not daemon.is_running())
        armed = restfs(daemon, "debug", "crash", point)
        if armed.returncode != 0:  # its end came before the answer; a moment after its connections' end it can be seen
            wait_until(lambda: not daemon.is_running())
        wait_until(lambda: not daemon.is_running() or restfs(daemon, "scrub", "start") and restfs(daemon, "compact").returncode is None)
        record_property("crashes at named points", 1)
        daemon.kill()
        for client in clients:
            client.join()
            if client.failure:
                raise client.failure
        daemon.start()
        assert scrubs(daemon)
        judge(daemon, possible({}, [change for client in clients for change in client.changes]))
        daemon.kill()
        daemon.fsck()
    finally:
        daemon.finish()


def test_what_is_for_tests_is_off_unless_asked_for(own_daemon):
    for arguments in (("digest",), ("crash", "group-built")):
        done = restfs(own_daemon, "debug", *arguments)
        assert done.returncode == 1 and "the option `debug` is off" in done.stderr
    assert own_daemon.is_running()
