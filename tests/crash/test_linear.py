"""Conditional PUT, DELETE, GET, HEAD and LIST by several clients at once, also over kill -9: what they were told has an order (linear.py)."""
import hashlib
import http.client
import itertools
import os
import random
import threading

import pytest

from daemon import wait_until
from linear import ANSWER, CALL, DONE, END, NOTHING, REFUSED, UNANSWERED, Listed, NotLinearizable, Operation, check, unlike
from raw_s3 import RawS3

ROUNDS = int(os.environ.get("RESTFS_LINEAR_ROUNDS", "2"))
SEED = int(os.environ.get("RESTFS_SEED", "1"))
CLIENTS = 6
STEPS = 100  # of each client in a round
BUCKET = "linear"
# Two in the root and two in a directory, which comes and goes with them.
KEYS = ["a", "b", "d/x", "d/y"]
ABSENT = (None,) * len(KEYS)


class History:
    """Events in the order in which they happened; list.append is one step of the interpreter."""

    def __init__(self):
        self.events = []

    def call(self, operation):
        self.events.append((CALL, operation))

    def answer(self, operation, told, seen=None):
        operation.told, operation.seen = told, seen
        self.events.append((ANSWER, operation))

    def end(self):
        self.events.append((END, None))


class Connection(RawS3):
    def send(self, method, target, headers, body=b""):
        """Once: what was sent twice might happen twice."""
        return self.send_once(method, target, headers, body)


class Client(threading.Thread):
    """Works on the keys that all work on, until the daemon has gone or it has done its steps."""

    def __init__(self, daemon, number, seed, history, steps=None):
        super().__init__()
        self.number = number
        self.connection = Connection(daemon)
        self.chance = random.Random(seed)
        self.history = history
        self.steps = steps
        self.known = {}  # place -> an ETag that it had once
        self.done = 0
        self.failure = None
        self.kinds = {self.put: 4, self.create: 6, self.replace: 8, self.delete: 4, self.delete_if: 5, self.get: 3, self.get_if: 3, self.get_unless: 3,
                      self.head: 2, self.list_root: 3, self.list_directory: 3}

    def run(self):
        try:
            while self.steps is None or self.done < self.steps:
                kind = self.chance.choices(list(self.kinds), self.kinds.values())[0]
                kind(self.chance.randrange(len(KEYS)))
                self.done += 1
        except (http.client.HTTPException, OSError):
            pass  # the daemon has gone
        except BaseException as error:
            self.failure = error
        finally:
            self.connection.close()

    def ask(self, operation, method, path, query=(), headers=None, body=b""):
        operation.client = self.number
        self.history.call(operation)
        answer = self.connection.request(method, path, query, headers, body)
        assert answer.status < 500, (operation, answer)
        return answer

    def change(self, operation, method, headers=None, body=b""):
        answer = self.ask(operation, method, f"/{BUCKET}/{KEYS[operation.key]}", headers=headers, body=body)
        code = answer.code() if answer.status >= 300 else ""
        assert answer.status < 300 or code in ("PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict"), (operation, answer)
        self.history.answer(operation, DONE if answer.status < 300 else NOTHING if code == "ConditionalRequestConflict" else REFUSED)
        return answer

    def put(self, place, condition=None, headers=None):
        body = self.chance.randbytes(self.chance.choice([16, 16, 16, 16, 40_000, 300_000]))
        operation = Operation("put", place, hashlib.md5(body).hexdigest(), condition)
        answer = self.change(operation, "PUT", headers, body)
        if operation.told == DONE:
            assert answer.headers["ETag"] == f'"{operation.etag}"'
            self.known[place] = operation.etag

    def create(self, place):
        self.put(place, "absent", {"if-none-match": "*"})

    def seen_once(self, place):
        return self.known.get(place, hashlib.md5(b"").hexdigest())

    def replace(self, place):
        etag = self.seen_once(place)
        self.put(place, etag, {"if-match": f'"{etag}"'})

    def delete(self, place):
        self.change(Operation("delete", place), "DELETE")

    def delete_if(self, place):
        etag = self.seen_once(place)
        self.change(Operation("delete", place, condition=etag), "DELETE", {"if-match": f'"{etag}"'})

    def read(self, place, method, condition=None, headers=None, refusal=None):
        """`refusal`: the status by which the condition is refused."""
        operation = Operation("read", place, condition=condition)
        answer = self.ask(operation, method, f"/{BUCKET}/{KEYS[place]}", headers=headers)
        assert answer.status in (200, 404, refusal), (operation, answer)
        etag = answer.headers["ETag"].strip('"') if answer.status == 200 else None
        self.history.answer(operation, REFUSED if answer.status == refusal else DONE, etag)
        self.known[place] = etag or self.seen_once(place)
        return answer, etag

    def get(self, place, *condition):
        answer, etag = self.read(place, "GET", *condition)
        assert etag is None or hashlib.md5(answer.body).hexdigest() == etag, f"{KEYS[place]}: other bytes than its ETag's"

    def get_if(self, place):
        etag = self.seen_once(place)
        self.get(place, etag, {"if-match": f'"{etag}"'}, 412)

    def get_unless(self, place):
        etag = self.seen_once(place)
        self.get(place, unlike(etag), {"if-none-match": f'"{etag}"'}, 304)

    def head(self, place):
        self.read(place, "HEAD")

    def listing(self, prefix, covers):
        operation = Operation("list", prefix)
        answer = self.ask(operation, "GET", f"/{BUCKET}", [("list-type", "2"), ("prefix", prefix), ("delimiter", "/")])
        assert answer.status == 200, answer
        root = answer.root()
        shown = {KEYS.index(item.findtext("Key")): item.findtext("ETag").strip('"') for item in root.iter("Contents")}
        return operation, root, Listed(shown, covers)

    def list_root(self, place):
        """One page of one directory is what was there at one moment; "d/" is in it as long as there is anything below."""
        operation, root, listed = self.listing("", [0, 1])
        below = [item.findtext("Prefix") for item in root.iter("CommonPrefixes")]
        assert below in ([], ["d/"]), below
        listed.some, listed.none = ([2, 3], []) if below else ([], [2, 3])
        self.history.answer(operation, DONE, listed)

    def list_directory(self, place):
        operation, _, listed = self.listing("d/", [2, 3])
        self.history.answer(operation, DONE, listed)


def work(daemon, chance, history, steps=None):
    clients = [Client(daemon, number, chance.random(), history, steps) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


def join(clients):
    for client in clients:
        client.join()
        if client.failure:
            raise client.failure


def test_what_clients_are_told_has_an_order(own_daemon, record_property):
    record_property("operations whose order was looked for", ROUNDS * CLIENTS * STEPS)
    chance, states = random.Random(f"order {SEED}"), {ABSENT}
    own_daemon.client().create_bucket(Bucket=BUCKET)
    for _ in range(ROUNDS):
        history = History()
        join(work(own_daemon, chance, history, STEPS))
        states = check(history.events, states)
        assert own_daemon.is_running()
        assert len(history.events) == 2 * CLIENTS * STEPS


def test_what_clients_are_told_has_an_order_over_kills(own_daemon, record_property):
    record_property("histories over kills whose order was looked for", ROUNDS)
    chance, states = random.Random(f"kills {SEED}"), {ABSENT}
    own_daemon.client().create_bucket(Bucket=BUCKET)
    for _ in range(ROUNDS):
        history = History()
        clients = work(own_daemon, chance, history)
        clients[0].join(chance.random() / 2)  # a random point, nothing that is waited for
        wait_until(lambda: any(client.done > 5 or not client.is_alive() for client in clients))
        assert own_daemon.is_running(), own_daemon.log()
        own_daemon.kill()
        join(clients)
        history.end()
        own_daemon.start()
        join(work(own_daemon, chance, history, 10))
        states = check(history.events, states)


# --- the checker itself -----------------------------------------------------------------------------------------------------------------


def put(etag, condition=None, told=DONE, key=0):
    operation = Operation("put", key, etag, condition)
    operation.told = told
    return operation


def delete(told=DONE, condition=None):
    operation = Operation("delete", 0, condition=condition)
    operation.told = told
    return operation


def read(etag, key=0, condition=None, told=DONE):
    operation = Operation("read", key, condition=condition)
    operation.told, operation.seen = told, etag
    return operation


def listed(*etags):
    operation = Operation("list", "")
    operation.told, operation.seen = DONE, Listed({place: etag for place, etag in enumerate(etags) if etag}, range(len(etags)))
    return operation


def after(*operations):
    """One after the other."""
    return [event for operation in operations for event in ((CALL, operation), (ANSWER, operation))]


def during(operation, *events):
    return [(CALL, operation), *events, (ANSWER, operation)]


def unanswered(operation):
    operation.told = UNANSWERED
    return [(CALL, operation)]


STOP = [(END, None)]

HISTORIES = {
    "a write is read": (True, after(put("1"), read("1"))),
    "a stale read": (False, after(put("1"), put("2"), read("1"))),
    "a read beside a write sees either": (True, during(put("1"), *after(read(None), read("1")))),
    "a read beside a write goes back": (False, during(put("1"), *after(read("1"), read(None)))),
    "one of two creations": (True, during(put("1", "absent"), *after(put("2", "absent", REFUSED), read("1")))),
    "two creations": (False, during(put("1", "absent"), *after(put("2", "absent"), read("2")))),
    "two creations and a removal": (True, during(put("1", "absent"), *after(put("2", "absent"), delete()))),
    "a creation refused for nothing": (False, after(delete(), put("1", "absent", REFUSED))),
    "a replacement of what was seen": (True, after(put("1"), put("2", "1"), read("2"))),
    "a replacement of what has gone": (False, after(put("1"), put("2"), put("3", "1"))),
    "two replacements of one": (False, after(put("1")) + during(put("2", "1"), *after(put("3", "1")))),
    "a removal of what was seen": (True, after(put("1"), delete(condition="1"), read(None))),
    "a removal of something else": (False, after(put("1"), put("2"), delete(condition="1"))),
    "a removal refused for nothing": (False, after(put("1"), delete(REFUSED, "1"))),
    "a removal refused that has happened": (False, after(put("1"), delete(REFUSED, "2"), read(None))),
    "a removal of what is not there": (True, after(delete(condition="1"), put("1"), delete(condition="1"), delete(condition="1"))),
    "a removal of what is not there, refused": (False, after(delete(REFUSED, "1"))),
    "a removal beside one that is refused": (False, after(put("1")) + during(delete(condition="1"), *after(delete(REFUSED, "1")))),
    "a removal beside another write": (True, after(put("1")) + during(delete(REFUSED, "1"), *after(put("2")))),
    "no answer to a removal, and it happened": (True, after(put("1")) + unanswered(delete(condition="1")) + STOP + after(read(None))),
    "no answer to a removal of something else": (False, after(put("1")) + unanswered(delete(condition="2")) + STOP + after(read(None))),
    "a read of what was asked for": (True, after(put("1"), read("1", condition="1"))),
    "a read of something else than was asked for": (False, after(put("2"), read("2", condition="1"))),
    "a read refused for something else": (True, after(put("2"), read(None, condition="1", told=REFUSED))),
    "a read refused for nothing": (False, after(put("1"), read(None, condition="1", told=REFUSED))),
    "a read refused of what is not there": (False, after(read(None, condition="1", told=REFUSED))),
    "a read of what has changed": (True, after(put("2"), read("2", condition=unlike("1")))),
    "a read of what has not changed": (False, after(put("1"), read("1", condition=unlike("1")))),
    "not changed": (True, after(put("1"), read(None, condition=unlike("1"), told=REFUSED))),
    "not changed, but it has": (False, after(put("1"), put("2"), read(None, condition=unlike("1"), told=REFUSED))),
    "not changed, but it has gone": (False, after(put("1"), delete(), read(None, condition=unlike("1"), told=REFUSED))),
    "nothing is there, whatever the condition": (True, after(read(None, condition="1"), read(None, condition=unlike("1")))),
    "one turned away has done nothing": (True, after(put("1", "absent", NOTHING), read(None))),
    "one turned away has done something": (False, after(put("1", "absent", NOTHING), read("1"))),
    "no answer, and it never happened": (True, unanswered(put("1")) + STOP + after(read(None), read(None))),
    "no answer, and it had happened": (True, unanswered(put("1")) + STOP + after(read("1"), read("1"))),
    "no answer, and it happens after the end": (False, unanswered(put("1")) + STOP + after(read(None), read("1"))),
    "no answer, and it was seen and lost": (False, unanswered(put("1")) + after(read("1")) + STOP + after(read(None))),
    "no answer to two": (True, unanswered(put("1")) + unanswered(put("2")) + STOP + after(read("1"))),
    "an acknowledged one is lost": (False, after(put("1")) + STOP + after(read(None))),
    "no answer, and its condition did not hold": (False, after(put("1")) + unanswered(put("2", "absent")) + STOP + after(read("2"))),
    "a listing of one moment": (True, during(listed("1", None), *after(put("1"), put("2", key=1)))),
    "a listing of two moments": (False, during(listed(None, "2"), *after(put("1"), put("2", key=1)))),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_checker_tells(name):
    good, events = HISTORIES[name]
    if good:
        assert check(events, {(None, None)})
    else:
        with pytest.raises(NotLinearizable):
            check(events, {(None, None)})


def happens_before(events):
    """Pairs of operations of which the first was answered before the second was called."""
    pairs, over = set(), []
    for event, operation in events:
        if event == ANSWER:
            over.append(operation)
        else:
            pairs.update((first, operation) for first in over)
    return pairs


def has_order(operations, pairs):
    """By trying every one, with a model of its own."""
    for order in itertools.permutations(operations):
        if any((later, earlier) in pairs for earlier, later in itertools.combinations(order, 2)):
            continue
        value, good = None, True
        for operation in order:
            fits = (operation.condition in (None, value) or (operation.condition == "absent" and value is None)
                    or operation.condition == unlike("1") and value != "1" or operation.kind == "delete" and value is None)
            if operation.kind == "read":
                answer = (DONE, value) if fits or value is None else (REFUSED, None)
                good = good and (operation.told, operation.seen) == answer
                continue
            good = good and fits == (operation.told == DONE)
            if fits and operation.told == DONE:
                value = operation.etag if operation.kind == "put" else None
        if good:
            return True
    return False


def test_the_checker_agrees_with_trying_every_order():
    chance, verdicts = random.Random(SEED), []
    for _ in range(800):
        operations = [chance.choice([
            lambda: put(str(number), chance.choice([None, "absent", "1"]), chance.choice([DONE, DONE, REFUSED])),
            lambda: read(chance.choice([None, "0", "1", "2"])),
            lambda: read(None, condition=unlike("1"), told=REFUSED),
            lambda: read(chance.choice([None, "0", "2"]), condition=chance.choice(["1", unlike("1"), unlike("1")])),
            lambda: delete(chance.choice([DONE, DONE, DONE, REFUSED]), "1"), delete])() for number in range(5)]
        for operation in operations:  # without a condition nothing is refused
            operation.told = DONE if operation.condition is None else operation.told
        events, called, answered = [], [], []
        while len(answered) < len(operations):
            under_way = [operation for operation in called if operation not in answered]
            if len(called) < len(operations) and (not under_way or chance.random() < 0.6):
                called.append(operations[len(called)])
                events.append((CALL, called[-1]))
            else:
                answered.append(chance.choice(under_way))
                events.append((ANSWER, answered[-1]))
        try:
            verdict = bool(check(events, {(None,)}))
        except NotLinearizable:
            verdict = False
        assert verdict == has_order(operations, happens_before(events)), events
        verdicts.append(verdict)
    assert 40 < sum(verdicts) < 360
