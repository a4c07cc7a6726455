"""Every disk that a power cut can leave of a recorded piece of work, as far as the choices below go; each is judged by cut_judge.c, and what it finds
there by what clients had asked for and been told at that moment.

Behind each record of the trace (io_trace.c) the power goes. Of what was not synced all is lost, or all is there, or the names without the bytes, or the
bytes without the names; of the last write to a file of the store a part is there; of what a sync is about to make safe some pages are there, later ones
without earlier ones. The index, RocksDB's files, has lost less or more than the rest, or is gone: the journal alone must be the store. Disks with the
same content are judged once, and by the promises of all the moments at which they may be found.
"""
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

from daemon import BUILD
from power_cut import DROP, KEEP, PAGE, PAGES, SYNC_BEGIN, TORN, WRITE, Directory, File, apply

JUDGE = os.path.join(BUILD, "tests", "crash", "cut_judge")
INDEX = "data/index"
HEADER_BYTES, FOOTER_BYTES = 64, 8  # of a record of the journal
# What there is of the index, or of the rest.
LOST, KEPT, NAMES, BYTES, GONE = "lost", "kept", "names without bytes", "bytes without names", "gone"
THERE = "there"
PUT, DELETE = 1, 2  # kinds of changes


# --- disks ------------------------------------------------------------------------------------------------------------------------------------------


class Found:
    """Bytes of a file, and what tells them from others."""

    def __init__(self, data):
        self.data = data
        self.digest = hashlib.blake2b(data, digest_size=16).digest()


class Contents:
    """Files after so many of the operations on them. What was asked for last is kept, and gone on with."""

    def __init__(self):
        self.known = {}

    def after(self, node, count, of):
        """`of`: any name; for each of them the counts only grow."""
        at, data, found = self.known.get((id(node), of), (0, None, None))
        if data is None:
            data = bytearray(node.base)
        if found is None or at != count:
            for operation in node.operations[at:count]:
                apply(data, *operation)
            found = Found(data)
            self.known[id(node), of] = (count, data, found)
        return found

    def safe(self, node):
        return self.after(node, node.safe, LOST)

    def all(self, node):
        return self.after(node, len(node.operations), KEPT)

    def torn(self, node, length):
        """The last write is there up to this length."""
        kind, offset, _, written = node.operations[-1]
        data = bytearray(self.after(node, len(node.operations) - 1, "torn").data)
        apply(data, kind, offset, length, written[:length])
        return Found(data)

    def pages(self, node, chosen):
        """Of what is not safe, those pages for which `chosen` (number -> bool) is true, and the size."""
        data, after = bytearray(self.safe(node).data), self.all(node).data
        apply(data, None, 0, len(after), b"")
        for page in unsafe_pages(node):
            if chosen(page):
                data[page * PAGE:(page + 1) * PAGE] = after[page * PAGE:(page + 1) * PAGE]
        return Found(data)


def unsafe_pages(node):
    return sorted({page for kind, offset, length, _ in node.operations[node.safe:] if kind == WRITE
                   for page in range(offset // PAGE, (offset + length + PAGE - 1) // PAGE)})


def tears(node, thorough):
    """Where the last write may be torn: behind its first header, at a page, before its end."""
    kind, offset, length, _ = node.operations[-1]
    page, last = PAGE - offset % PAGE, length - (offset + length) % PAGE
    places = {HEADER_BYTES, page if page < length else length // 2, length - FOOTER_BYTES}
    return sorted(place for place in places | ({HEADER_BYTES // 2, length // 2, last} if thorough else set()) if 0 < place < length)


def page_choices(node):
    pages = unsafe_pages(node)
    return {
        "the first page": lambda page: page == pages[0],
        "all pages but the first": lambda page: page != pages[0],
        "all pages but the last": lambda page: page != pages[-1],
        "every second page": lambda page: pages.index(page) % 2 == 0,
        "the other half of the pages": lambda page: pages.index(page) % 2 == 1,
    } if len(pages) > 1 else {}


def tree_of(directory, names_kept, content, tree=None):
    """path -> what was found, None for a directory."""
    tree = {} if tree is None else tree
    for name, node in directory.names(None if names_kept else directory.safe).items():
        path = os.path.join(directory.path, name)
        if isinstance(node, Directory):
            tree[path] = None
            tree_of(node, names_kept, content, tree)
        else:
            tree[path] = content(node)
    return tree


def is_index(path):
    return path == INDEX or path.startswith(INDEX + "/")


def joined(store, index):
    """What is not the index of the one, and is of the other."""
    tree = {path: found for path, found in store.items() if not is_index(path)}
    if os.path.dirname(INDEX) in tree:
        tree.update((path, found) for path, found in index.items() if is_index(path))
    return tree


def digest_of(tree):
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted(tree):
        whole.update(b"%d %s %s" % (len(path), path.encode(), tree[path].digest if tree[path] else b"/"))
    return whole.digest()


def partial(disk, contents, record, thorough):
    """(what, the file, its bytes) of those in which one file of the store is there in part."""
    kind, inode = record[:2]
    node = disk.nodes.get(inode)
    if not isinstance(node, File) or is_index(node.path):
        return
    if kind == WRITE:
        for length in tears(node, thorough):
            yield f"{length} bytes of the last write", node, contents.torn(node, length)
    elif kind == SYNC_BEGIN:
        for what, chosen in page_choices(node).items():
            yield what, node, contents.pages(node, chosen)


def every_disk(disk, trace, thorough=False, forgets=lambda path: False):
    """(number of records, what it is, the disk) of each behind each record."""
    contents = Contents()
    others = {KEPT: contents.all, LOST: contents.safe}
    for count, record in enumerate(trace.records, 1):
        disk.take(*record, forgets)
        trees = {LOST: tree_of(disk.top, False, contents.safe), KEPT: tree_of(disk.top, True, contents.all),
                 NAMES: tree_of(disk.top, True, contents.safe), BYTES: tree_of(disk.top, False, contents.all), GONE: {}}
        for store, indexes in PAIRS.items():
            for index in indexes:
                yield count, f"{store}, the index {index}", joined(trees[store], trees[index])
        for what, node, found in partial(disk, contents, record, thorough):
            for other, index in PARTIAL_PAIRS[thorough]:
                tree = tree_of(disk.top, True, lambda one: found if one is node else others[other](one))
                yield count, f"{what} of {node.path}, the others {other}, the index {index}", joined(tree, trees[index])


# What is there of the store, and with which indexes that is looked at.
PAIRS = {LOST: [LOST, KEPT, NAMES, GONE], KEPT: [LOST, KEPT, GONE], NAMES: [LOST, KEPT], BYTES: [LOST, GONE]}
PARTIAL_PAIRS = [[(KEPT, KEPT), (LOST, GONE)], [(other, index) for other in (KEPT, LOST) for index in (LOST, KEPT, GONE)]]  # with and without `thorough`


def random_disks(disk, trace, chance, moments):
    """(number of records, what it is, the disk), one for each of these moments: each file and directory has lost what it may have, as it comes."""
    contents, taken = Contents(), 0
    for count in sorted(moments):
        for record in trace.records[taken:count]:
            disk.take(*record)
        taken = count
        losses = chance.choice([[DROP], [PAGES], [TORN], [DROP, KEEP, PAGES, TORN]])
        tree = random_tree(disk.top, contents, chance, losses)
        if chance.random() < 0.3:
            tree = joined(tree, {})
        yield count, f"at random, {losses}", tree


def random_tree(directory, contents, chance, losses, tree=None):
    tree = {} if tree is None else tree
    for name, node in directory.some_names(chance, chance.choice(losses)).items():
        path = os.path.join(directory.path, name)
        if isinstance(node, Directory):
            tree[path] = None
            random_tree(node, contents, chance, losses, tree)
            continue
        loss = chance.choice(losses)
        tree[path] = contents.all(node) if loss == KEEP else contents.safe(node)
        if loss in (PAGES, TORN) and len(node.operations) > node.safe:
            tree[path] = Found(node.partial(bytearray(tree[path].data), chance, loss))
    return tree


# --- judging ----------------------------------------------------------------------------------------------------------------------------------------


class Explorer:
    """Has each disk that is new judged, and holds what is found against what may be at each position of the trace at which the power may have gone."""

    def __init__(self, judges, verdict):
        self.judges = judges
        self.verdict = verdict  # (what was found, position) -> what is wrong with it
        self.answers = {}       # by the disk's digest
        self.waiting = collections.defaultdict(list)
        self.moments = 0        # at which one of the disks was looked at

    def run(self, disks, trace):
        for count, what, tree in disks:
            self.look(tree, trace.ends[count - 1], f"the power went behind record {count} of {len(trace.records)}: {what}")
        for digest in list(self.waiting):
            self.hold(digest)

    def look(self, tree, cut, what):
        digest = digest_of(tree)
        if digest not in self.answers:
            self.answers[digest] = self.judges.judge(digest.hex(), tree)
        self.waiting[digest].append((cut, what))
        self.moments += 1
        for judged in [other for other in self.waiting if self.answers[other].done()]:
            self.hold(judged)

    def hold(self, digest):
        found = self.answers[digest].result()
        for cut, what in self.waiting.pop(digest):
            wrong = self.verdict(found, cut)
            assert not wrong, what + "\n" + "\n".join(wrong)


def states_of(found):
    """name -> what is there, of what the judge tells."""
    states = {f"user {name}": THERE for name in found["users"] if name != "root"}
    states.update({f"key {name}": THERE for name in found["keys"] if name != "root-key"})
    for name, bucket in found["buckets"].items():
        states[f"bucket {name}"] = THERE
        states.update({f"{name}/{key}": sha256 for key, (_, sha256) in bucket["objects"].items()})
        states.update({f"upload {name}/{key}": THERE for key in bucket["uploads"]})
        states.update({f"quota {name}": ",".join(map(str, quota)) for quota in bucket["quotas"]})
        states.update({f"cursor {name}/{cursor}": position for cursor, position in bucket["feed"]["cursors"].items()})
    return states


def contradictions(found, kept_changes=0):
    """What is wrong with what was found, whatever was asked for. `kept_changes`: at least so many are left where any were pruned."""
    wrong = list(found["findings"])
    for name, bucket in found["buckets"].items():
        objects, feed = bucket["objects"], bucket["feed"]
        if bucket["usage"] != [len(objects), sum(size for size, _ in objects.values())]:
            wrong.append(f"{name}: counted are {bucket['usage']}")
        if feed["pruned"] and len(feed["changes"]) < kept_changes:
            wrong.append(f"{name}: only {len(feed['changes'])} changes are left")
        wrong += [f"{name}: changes that {cursor} has not seen are gone" for cursor, position in feed["cursors"].items() if feed["pruned"] > position]
        for key, (kind, size) in {key: (kind, size) for _, kind, key, size in feed["changes"] if kind in (PUT, DELETE)}.items():
            if (kind, size) != (PUT, objects[key][0]) if key in objects else kind != DELETE:
                wrong.append(f"{name}/{key}: the last change that the feed tells is {kind}, {size}")
    return wrong


def broken_promises(found, may_be, ignored=()):
    """`may_be`: name -> what of it may be found. `ignored`: how names begin that do not count."""
    states = states_of(found)
    wrong = [f"{name}: found {states.get(name)}, not one of {values}" for name, values in may_be.items() if states.get(name) not in values]
    return wrong + [f"{name}: nobody made it" for name in states if name not in may_be and not name.startswith(ignored)]


class Judges:
    """Processes that judge disks, each made in a directory in memory and removed again."""

    def __init__(self, options, count=None):
        self.count = count or os.cpu_count()
        self.pool = concurrent.futures.ThreadPoolExecutor(self.count)
        self.local = threading.local()
        self.room = threading.Semaphore(2 * self.count)
        self.options = options
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="restfs-cut-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.processes = []

    def judge(self, name, tree):
        """What will be found there, in time."""
        self.room.acquire()
        make(self.directory / name, tree)
        return self.pool.submit(self.ask, self.directory / name)

    def ask(self, root):
        try:
            if not hasattr(self.local, "process"):
                self.local.process = subprocess.Popen([JUDGE, *self.options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                self.processes.append(self.local.process)
            self.local.process.stdin.write(b"%s\n" % os.fsencode(root / "data"))
            self.local.process.stdin.flush()
            return json.loads(self.local.process.stdout.readline())
        finally:
            shutil.rmtree(root, ignore_errors=True)
            self.room.release()

    def close(self):
        self.pool.shutdown(cancel_futures=True)
        for process in self.processes:
            process.stdin.close()
            process.wait()
            process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def make(root, found):
    os.mkdir(root, 0o700)
    for path in sorted(found):
        if found[path] is None:
            os.mkdir(root / path, 0o700)
        else:
            fd = os.open(root / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            data = found[path].data
            end = len(data.rstrip(b"\0"))
            os.write(fd, memoryview(data)[:end])
            os.ftruncate(fd, len(data))
            os.close(fd)
