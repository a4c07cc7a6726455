"""Is there an order in which these operations could have happened one after the other, each between its call and its answer?

Written from what S3 promises, knowing nothing of the store: a bucket is a tuple of ETags, one for each key (None: it is not there). The check follows
the history event by event and keeps every state that the bucket may be in, with the operations under way that have taken effect in it already (Lowe,
"Testing for linearizability", 2017: just-in-time linearization). An operation without an answer has happened at any time until the process ended, or
never: the process that is killed takes what it has not done along.
"""
import collections

# What an operation was told.
DONE = "done"            # a change; what it read is in `seen`
REFUSED = "refused"      # its condition did not hold; of a read: for what is there
NOTHING = "nothing"      # it was turned away, whatever the state: it has done nothing
UNANSWERED = "unanswered"

CALL, ANSWER, END = "call", "answer", "end"


class Operation:
    """`key`: the place of a key in the state; of a listing, its places. `etag`: what a put leaves. `condition`: None, "absent", the ETag that is asked for, or
    unlike() one."""

    def __init__(self, kind, key, etag=None, condition=None, client=None):
        self.kind = kind
        self.key = key
        self.etag = etag
        self.condition = condition
        self.client = client
        self.told = UNANSWERED
        self.seen = None  # of a read: an ETag, or None; of a listing: a function that says whether a state looks so, and its description

    def __repr__(self):
        words = [self.kind, str(self.key), self.etag, self.condition and f"if {self.condition}", "->", self.told, self.seen]
        return f"client {self.client}: " + " ".join(str(word) for word in words if word is not None)


UNLIKE = "other than "


def unlike(etag):
    """The condition that there is something else than this, or nothing."""
    return UNLIKE + etag


def holds(operation, state):
    condition, found = operation.condition, state[operation.key]
    if condition is None or operation.kind == "delete" and found is None:  # of what is not there S3 says that it is removed, whatever the condition
        return True
    if condition == "absent":
        return found is None
    if condition.startswith(UNLIKE):
        return found != condition[len(UNLIKE):]
    return found == condition


def changed(operation, state):
    after = list(state)
    after[operation.key] = operation.etag if operation.kind == "put" else None
    return tuple(after)


def could_read(operation, found, good):
    """Of what is not there a reader is told that, whatever his condition."""
    if operation.told == REFUSED:
        return found is not None and not good
    return operation.seen == found and (good or found is None)


def effect(operation, state):
    """The state after it, or None where it could not have been told what it was."""
    told, kind = operation.told, operation.kind
    if told == NOTHING:
        return state
    if kind == "read":
        return state if told == UNANSWERED or could_read(operation, state[operation.key], holds(operation, state)) else None
    if kind == "list":
        return state if told == UNANSWERED or operation.seen.looks_so(state) else None
    if told == UNANSWERED:
        return changed(operation, state) if holds(operation, state) else state
    if told == REFUSED:
        return None if holds(operation, state) else state
    return changed(operation, state) if holds(operation, state) else None


class Listed:
    """A listing: key's place -> ETag of those that it shows; `some`: places of which at least one is there, and `none`: of which none is."""

    def __init__(self, shown, covers, some=(), none=()):
        self.shown = shown
        self.covers = covers
        self.some = some
        self.none = none

    def looks_so(self, state):
        if any(state[place] != self.shown.get(place) for place in self.covers):
            return False
        if self.some and all(state[place] is None for place in self.some):
            return False
        return all(state[place] is None for place in self.none)

    def __repr__(self):
        return f"{self.shown} of {self.covers}, some of {self.some}, none of {self.none}"


class NotLinearizable(AssertionError):
    pass


def successors(configuration, pending):
    """Each of the operations under way that has not had its effect may be the next to have it."""
    state, happened = configuration
    for number, operation in pending.items():
        if number not in happened:
            after = effect(operation, state)
            if after is not None:
                yield number, (after, happened | {number})


def answered(configurations, pending, last):
    """Those in which `last` has happened, by then; what happens after it is left for later."""
    found, seen, todo = set(), set(configurations), list(configurations)
    while todo:
        configuration = todo.pop()
        if last in configuration[1]:
            found.add((configuration[0], configuration[1] - {last}))
            continue
        for number, after in successors(configuration, pending):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return found


def ended(configurations, pending):
    """Any of the operations under way has happened, in any order, or has not."""
    seen, todo = set(configurations), list(configurations)
    while todo:
        for _, after in successors(todo.pop(), pending):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return {(state, frozenset()) for state, _ in seen}


def check(events, states):
    """Goes through (CALL, operation), (ANSWER, operation) and (END, None) from any of these states; the states that the bucket may be in afterwards."""
    configurations = {(state, frozenset()) for state in states}
    pending, numbers, recent = {}, {}, collections.deque(maxlen=40)
    for index, (event, operation) in enumerate(events):
        recent.append(f"{index}: {event} {operation}")
        before = configurations
        if event == CALL:
            numbers[operation] = index
            pending[index] = operation
            continue
        if event == ANSWER:
            number = numbers.pop(operation)
            configurations = answered(configurations, pending, number)
            del pending[number]
        else:
            configurations = ended(configurations, pending)
            pending, numbers = {}, {}
        if not configurations:
            raise NotLinearizable("\n".join(["no order explains the last of:", *recent, "before it the bucket could be:",
                                             *sorted({str(state) for state, _ in before})[:20]]))
    return {state for state, _ in ended(configurations, pending)}
