"""Any call of the daemon may fail: each request then ends with a clear error or a right result, and what was acknowledged is there after a restart.
A start in which it fails comes up right, or says why it does not. Nothing is leaked: see Round.judge_left; and by the sanitizer's own judgement.

By default a few numbers of each kind of call are chosen; with RESTFS_FAULTS=all it is each of them.
"""
import itertools
import os
import random

import pytest

from faults import KINDS, LEAKS, Asked, Plan, Round, Template, body_of, environment
from workload import BUCKET, judge

ALL = os.environ.get("RESTFS_FAULTS") == "all"
SEED = int(os.environ.get("RESTFS_SEED", "1"))
SANITIZED = "ASAN_OPTIONS" in os.environ
# Of each kind of call: what it may fail with.
FAILURES = [("read", "EIO"), ("read", "half"), ("read", "EINTR"), ("write", "EIO"), ("write", "ENOSPC"), ("write", "half"), ("sync", "EIO"),
            ("sync", "ENOSPC"), ("open", "EIO"), ("open", "EMFILE"), ("rename", "EIO"), ("rename", "ENOSPC"), ("allocate", "EIO"),
            ("allocate", "ENOSPC"), ("unlink", "EIO")]
# The calls go on with the rest, or once more: nobody notices.
HARMLESS = ("half", "EINTR")


@pytest.fixture(scope="module")
def template():
    made = Template()
    yield made
    made.daemon.remove()


@pytest.fixture(scope="module")
def counts(template):
    """How many calls of each kind there are when none fails."""
    found = {}
    for kind in ["read"] if SANITIZED else ["read", "memory"]:
        plain = Round(template, kind, 0, "EIO")
        assert plain.run() is None
        found.update({name: plain.plan.calls(name) for name in KINDS if name not in found or name == kind})
    assert all(found[name] for name in KINDS if name != "memory" or not SANITIZED)
    return found


def run(template, kind, number, error, **options):
    one = Round(template, kind, number, error, **options)
    try:
        return one.run()
    except BaseException as failure:
        failure.add_note(f"{kind} {number}, {error}")
        raise


@pytest.mark.parametrize("kind,error", FAILURES)
def test_a_call_that_fails_costs_a_clear_error_at_most(template, counts, kind, error, record_property):
    chance = random.Random(f"{kind} {error} {SEED}")
    numbers = range(1, counts[kind] + 3)
    numbers = numbers if ALL else chance.sample(numbers, 2)
    record_property("calls that failed, by number", len(numbers))
    for number in numbers:
        became = run(template, kind, number, error)
        assert error not in HARMLESS or not became, (number, became)


@pytest.mark.skipif(SANITIZED, reason="the sanitizer has an allocator of its own")
def test_an_allocation_that_fails_costs_a_clear_error_or_an_abort(template, counts, record_property):
    chance = random.Random(f"memory {SEED}")
    numbers = range(1, counts["memory"] + 3)
    numbers = numbers if ALL else chance.sample(numbers, 4)
    record_property("allocations that failed, by number", len(numbers))
    for number in numbers:
        run(template, "memory", number, "ENOMEM")


@pytest.fixture(scope="module", params=["killed", "stopped"])
def start(request):
    """A store, and how many calls of each kind a start on it makes."""
    template, calls = Template(stopped=request.param == "stopped"), {}
    for kind in ["read"] if SANITIZED else ["read", "memory"]:
        plain = Round(template, kind, 0, "EIO", starting=True)
        assert plain.run() is None
        calls.update({name: plain.calls[name] for name in KINDS if name not in calls or name == kind})
    yield template, calls
    template.daemon.remove()


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_fails_in_a_start_costs_that_start_at_most(start, kind, record_property):
    if SANITIZED and kind == "memory":
        pytest.skip("the sanitizer has an allocator of its own")
    template, calls = start
    errors = [error for failing, error in FAILURES if failing == kind] or ["ENOMEM"]
    choices = [(number, error) for number in range(1, calls[kind] + 1) for error in errors]
    choices = choices if ALL else random.Random(f"start {kind} {SEED}").sample(choices, 1)
    record_property("calls of a start that failed, by number", len(choices))
    for number, error in choices:
        became = run(template, kind, number, error, starting=True)
        assert error not in HARMLESS or not became, (number, became)


@pytest.mark.parametrize("what", ["descriptor"] if SANITIZED else LEAKS)
def test_a_leak_is_seen(template, counts, what):
    one = Round(template, "read", 0, "EIO")
    one.plan.leak(what)
    with pytest.raises(AssertionError, match="were left"):
        one.run()


def test_a_poisoned_store_does_not_say_that_something_is_not_there(own_daemon):
    """What failed may be found after the next start: who removes it to be sure is not told that it is done."""
    own_daemon.client().create_bucket(Bucket=BUCKET)
    own_daemon.stop()
    plan = Plan(os.path.join(own_daemon.directory, "plan"))
    plan.arm("sync", 0, "EIO")
    own_daemon.environment = environment("io_fault", plan, own_daemon)
    own_daemon.start()
    asked = Asked(own_daemon, {}, lambda: False)
    asked.put("before", body_of(10, 1))
    assert not asked.errors
    for number in itertools.count():
        plan.arm("sync", 1, "EIO")
        asked.put(f"failed/{number}", body_of(10, 2))
        if asked.errors:  # else it was another sync than the journal's that failed
            break
    asked.delete(f"failed/{number}")
    asked.delete_some(f"failed/{number}")
    assert asked.errors == ["ServiceUnavailable"] * 3
    own_daemon.stop()
    own_daemon.environment = {}
    own_daemon.start()
    judge(own_daemon, asked.states)
