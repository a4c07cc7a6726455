import itertools
import os
import random
import secrets
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from daemon import Daemon  # noqa: E402
from disks import disk, mounts  # noqa: E402, F401
from raw_s3 import RawS3  # noqa: E402
from reports import pytest_runtest_makereport, pytest_runtest_setup  # noqa: E402, F401

TEST_SECONDS = int(os.environ.get("RESTFS_TEST_SECONDS", "600"))

numbers = itertools.count()

# Whoever runs the tests in the background may ignore it, and what they start would too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def daemon():
    """One daemon for the tests that do not end it."""
    d = Daemon().start()
    yield d
    d.finish()


@pytest.fixture
def own_daemon():
    """A daemon that the test may kill."""
    d = Daemon().start()
    yield d
    d.finish()


@pytest.fixture
def s3(daemon):
    assert daemon.is_running(), "the daemon ended in an earlier test"
    yield daemon.client()
    assert daemon.is_running(), "the daemon ended in this test"


@pytest.fixture
def bucket(s3):
    """A new bucket; what is in it at the end goes with it."""
    name = f"test-{os.getpid()}-{next(numbers)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def bucket_name():
    """Of a bucket that is not there yet."""
    return "test-" + secrets.token_hex(8)


@pytest.fixture
def raw(daemon):
    """For requests that boto3 would not send."""
    client = RawS3(daemon)
    yield client
    client.close()


@pytest.fixture
def rng():
    """Random numbers whose seed a failure shows; RESTFS_SEED gives it again."""
    seed = int(os.environ.get("RESTFS_SEED") or secrets.randbits(32))
    print(f"RESTFS_SEED={seed}")
    return random.Random(seed)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test without an end fails, and the others go on."""
    def hang(number, frame):
        threads = [d.threads() for d in item.funcargs.values() if isinstance(d, Daemon)]
        raise TimeoutError("\n".join([f"no end after {TEST_SECONDS} seconds; the daemon's threads:"] + threads))

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(TEST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
