import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))

import pytest  # noqa: E402

from daemon import Daemon  # noqa: E402
from reports import pytest_runtest_makereport, pytest_runtest_setup  # noqa: E402, F401


@pytest.fixture
def own_daemon():
    d = Daemon().start()
    yield d
    d.finish()
