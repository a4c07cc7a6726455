import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from daemon import Daemon  # noqa: E402

numbers = itertools.count()


@pytest.fixture(scope="session")
def daemon():
    """One daemon for the tests that do not end it."""
    d = Daemon().start()
    yield d
    status = d.stop()
    log = d.log()
    d.remove()
    assert status == 0, log


@pytest.fixture
def own_daemon():
    """A daemon that the test may kill."""
    d = Daemon().start()
    yield d
    d.remove()


@pytest.fixture
def s3(daemon):
    return daemon.client()


@pytest.fixture
def bucket(s3):
    """A new bucket; what is in it at the end goes with it."""
    name = f"test-{os.getpid()}-{next(numbers)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """The daemon's log belongs to a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for name in ("daemon", "own_daemon"):
            d = item.funcargs.get(name)
            if d and os.path.exists(d.log_path):
                report.sections.append((f"log of {name}", d.log()[-4000:]))
