"""What daemons said belongs to a failure: hooks of pytest, for a conftest to import."""
import pytest

from daemon import Daemon

DAEMONS_MOST = 3
LOG_END = 6000


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Those that ended in the tests before this one say nothing about it."""
    Daemon.known[:] = [daemon for daemon in Daemon.known if not daemon.removed]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for daemon in Daemon.known[-DAEMONS_MOST:]:
            report.sections.append((f"log of the daemon in {daemon.directory}", daemon.log()[-LOG_END:]))
