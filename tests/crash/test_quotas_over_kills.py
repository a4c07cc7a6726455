"""Quotas over kill -9: what is counted is what is there, and the limit holds to the last object and byte."""
import concurrent.futures
import os
import random

import pytest
from botocore.exceptions import ClientError

from daemon import Daemon
from test_kill9 import lose_nothing, lose_the_index
from workload import BUCKET, SMALL_STORE, Client, judge, listing, possible, run, tell

ROUNDS = int(os.environ.get("RESTFS_ROUNDS", "10"))
SEED = int(os.environ.get("RESTFS_SEED", "1"))
OBJECTS, OF_ANNA, BYTES = 16, 6, 14_000_000
# Clients with an even number are the administrator, the others Anna, to whom the bucket belongs.
CLIENTS = 4


class Limited(Client):
    def __init__(self, daemon, number, seed, state, keys, first):
        super().__init__(daemon, number, seed, state, first=first)
        if number % 2:
            self.s3 = daemon.client(*keys, retries={"max_attempts": 0})

    def step(self):
        try:
            return super().step()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "QuotaExceeded", error
            return "refused"


def is_hers(key):
    return int(key.split("/")[0]) % 2 == 1


def counted(daemon):
    """user (nobody: all) -> (objects, bytes)"""
    return {quota["user"]: (quota["objects"], quota["bytes"]) for quota in tell(daemon, "quota", "ls", BUCKET)["quotas"]}


def there(daemon):
    listed = listing(daemon.client())
    hers = [size for key, size in listed.items() if is_hers(key)]
    return {"": (len(listed), sum(listed.values())), "anna": (len(hers), sum(hers))}


def is_refused(call, **arguments):
    try:
        call(Bucket=BUCKET, **arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "QuotaExceeded", error
        return True
    return False


def fill(daemon, number, keys, attempts):
    """Several at once; the keys that could be made."""
    s3 = daemon.client(*keys)
    names = [f"{number}/fill/{attempt}" for attempt in range(attempts)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        refused = list(pool.map(lambda name: is_refused(s3.put_object, Key=name, Body=b""), names))
    return [name for name, was_refused in zip(names, refused) if not was_refused]


def assert_exact(daemon, keys):
    """What may be added is what is missing to the limits, of objects and of bytes; and then it is as before."""
    s3, before = daemon.client(), there(daemon)
    more_of_anna = min(OF_ANNA - before["anna"][0], OBJECTS - before[""][0])
    made = fill(daemon, 1, keys, OF_ANNA + 2)
    assert len(made) == more_of_anna
    made += fill(daemon, 0, (), OBJECTS + 2)
    assert len(made) == OBJECTS - before[""][0]
    assert counted(daemon) == there(daemon)
    missing = BYTES - before[""][1]
    for key in made or [None]:  # an empty one, of which there may be none
        if key is not None and not is_hers(key):
            assert is_refused(s3.put_object, Key=key, Body=bytes(missing + 1))
            assert not is_refused(s3.put_object, Key=key, Body=bytes(missing))
            break
    for key in made:
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert counted(daemon) == there(daemon) == before


@pytest.mark.parametrize("damage", [lose_nothing, lose_the_index])
def test_quotas_hold_exactly_over_kills(damage, record_property):
    chance = random.Random(f"quota {damage.__name__} {SEED}")
    daemon = Daemon(*SMALL_STORE).start()
    state = {}
    try:
        tell(daemon, "user", "add", "anna")
        made = tell(daemon, "key", "add", "anna")
        keys = made["access_key"], made["secret_key"]
        tell(daemon, "bucket", "add", BUCKET, "--owner=anna")
        tell(daemon, "quota", "set", BUCKET, f"--objects={OBJECTS}", f"--bytes={BYTES}")
        tell(daemon, "quota", "set", BUCKET, "--user=anna", f"--objects={OF_ANNA}")
        for number in range(max(1, ROUNDS // 3)):
            clients = [Limited(daemon, i, chance.random(), state, keys, number * CLIENTS + i) for i in range(CLIENTS)]
            changes = run(clients, daemon, 0.3 + chance.random())
            damage(daemon, chance)
            daemon.start()
            state = judge(daemon, possible(state, changes))
            assert counted(daemon) == there(daemon)
            assert_exact(daemon, keys)
        record_property("kills with quotas", number + 1)
        daemon.kill()
        daemon.fsck()
    finally:
        daemon.finish()
