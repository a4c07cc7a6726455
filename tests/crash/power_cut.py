"""The disk as a power cut leaves it, made from a trace of what was done to it (io_trace.c).

What a file system promises is taken at its word and no further. Bytes and size of a file are safe when a sync of that file, begun after they were
written, has ended; a name is safe when its directory was synced so. Of what is not safe, anything may be there: nothing, all, any of its 4 KiB pages
each in any state that it went through, the beginning of the last write. Names of one directory are lost from the last one back.
"""
import copy
import os
import struct

PAGE = 4096
MAGIC = 0x43525452
HEADER = struct.Struct("<IIQQQQ")
MKDIR, CREATE, WRITE, ZEROS, SIZE, ALLOCATE, SYNC_BEGIN, SYNC_END, RENAME, REMOVE, UNSUPPORTED = range(1, 12)

# What becomes of what was not synced. KEEP: the process was killed, and the power stayed.
DROP, KEEP, PAGES, TORN = "drop", "keep", "pages", "torn"


class Trace:
    """The records of a trace file: (kind, inode number, offset, length, payload)."""

    def __init__(self, path):
        self.records = []
        self.ends = []  # the file's size when each record was there
        with open(path, "rb") as f:
            data = f.read()
        at = 0
        while at + HEADER.size <= len(data):
            magic, kind, inode, offset, length, payload = HEADER.unpack_from(data, at)
            if magic != MAGIC or at + HEADER.size + payload > len(data):
                break  # the process was killed while it wrote this one
            at += HEADER.size + payload
            self.records.append((kind, inode, offset, length, data[at - payload:at]))
            self.ends.append(at)

    def places(self, *kinds):
        """How many records there were when one of these kinds had just been added."""
        return [i + 1 for i, record in enumerate(self.records) if record[0] in kinds]


class File:
    """Operations on the bytes, in order; the first `safe` of them are durable."""

    def __init__(self, path, content=b""):
        self.path = path
        self.base = content
        self.operations = []  # (kind, offset, length, bytes)
        self.safe = 0
        self.syncing = {}

    def content(self, chance, loss):
        data = bytearray(self.base)
        for operation in self.operations if loss == KEEP else self.operations[:self.safe]:
            apply(data, *operation)
        return self.partial(data, chance, loss)

    def partial(self, data, chance, loss):
        """What is safe, and some of what is not."""
        unsafe = self.operations[self.safe:]
        if loss == PAGES:
            apply_pages(data, unsafe, chance)
        elif loss == TORN and unsafe:
            apply_torn(data, unsafe[:chance.randrange(len(unsafe)) + 1], chance)
        return data


class Directory:
    """Names, and the changes to them; the first `safe` of these are durable."""

    def __init__(self, path):
        self.path = path
        self.base = {}
        self.operations = []  # (name that goes or None, name that comes or None, its node)
        self.safe = 0
        self.syncing = {}

    def names(self, count=None):
        names = dict(self.base)
        for gone, come, node in self.operations[:count]:
            names.pop(gone, None)
            if come is not None:
                names[come] = node
        return names

    def some_names(self, chance, loss):
        count = len(self.operations)
        if loss != KEEP:
            count = self.safe if loss == DROP else chance.randrange(self.safe, count + 1)
        return self.names(count)


def apply(data, kind, offset, length, written):
    if kind in (WRITE, ZEROS):
        data.extend(bytes(max(0, offset - len(data))))
        data[offset:offset + length] = written if kind == WRITE else bytes(length)
    else:
        if kind == SIZE:
            del data[length:]
        data.extend(bytes(max(0, length - len(data))))


def apply_torn(data, operations, chance):
    """The last is not complete."""
    for operation in operations[:-1]:
        apply(data, *operation)
    kind, offset, length, written = operations[-1]
    if kind in (WRITE, ZEROS):
        length = chance.randrange(length + 1)
        apply(data, kind, offset, length, written[:length])


def apply_pages(data, operations, chance):
    """Each page, and the size, is as it was after some number of the operations."""
    size, size_until, page_until = len(data), chance.randrange(len(operations) + 1), {}
    for index, (kind, offset, length, written) in enumerate(operations):
        if kind in (WRITE, ZEROS):
            for page in range(offset // PAGE, (offset + length + PAGE - 1) // PAGE):
                if page not in page_until:
                    page_until[page] = chance.choice([0, chance.randrange(len(operations) + 1), len(operations)])
                if index < page_until[page]:
                    start, end = max(offset, page * PAGE), min(offset + length, (page + 1) * PAGE)
                    apply(data, kind, start, end - start, written[start - offset:end - offset])
        if index < size_until:
            if kind == SIZE:
                apply(data, kind, offset, length, written)
            size = length if kind == SIZE else max(size, offset + length)
    apply(data, SIZE, 0, size, b"")


class Disk:
    """Files and directories below `root`, what was done to them and what of that is safe. As of now, all is."""

    def __init__(self, root):
        self.nodes = {}  # by inode number
        self.top = Directory("")
        self.root = root
        self.load(self.top, root)

    def load(self, directory, path):
        self.nodes[os.stat(path).st_ino] = directory
        for entry in os.scandir(path):
            inner = os.path.join(directory.path, entry.name)
            if entry.is_dir():
                directory.base[entry.name] = Directory(inner)
                self.load(directory.base[entry.name], entry.path)
            elif entry.is_file():
                with open(entry.path, "rb") as f:
                    directory.base[entry.name] = self.nodes[entry.inode()] = File(inner, f.read())

    def after(self, records, forgets=lambda path: False):
        """This disk after these records. `forgets` (path -> bool): files and directories whose syncs are taken not to have happened."""
        disk = copy.deepcopy(self)
        for record in records:
            disk.take(*record, forgets)
        return disk

    def take(self, kind, inode, offset, length, payload, forgets=lambda path: False):
        if kind in (MKDIR, CREATE):
            path = self.relative(payload)
            self.nodes[inode] = Directory(path) if kind == MKDIR else File(path)
            self.rename(None, self.nodes[inode], path)
        elif kind in (WRITE, ZEROS, SIZE, ALLOCATE):
            self.nodes[inode].operations.append((kind, offset, length, payload))
        elif kind == SYNC_BEGIN:
            self.nodes[inode].syncing[offset] = len(self.nodes[inode].operations)
        elif kind == SYNC_END:
            node = self.nodes[inode]
            if not forgets(node.path):
                node.safe = max(node.safe, node.syncing[offset])
        elif kind == RENAME:
            old, new = map(self.relative, payload.split(b"\0"))
            if self.find(old):  # what stdio writes is not followed
                self.rename(old, self.find(old), new)
        elif kind == REMOVE:
            path = self.relative(payload)
            if self.find(path):
                self.find(os.path.dirname(path)).operations.append((os.path.basename(path), None, None))
        else:
            raise AssertionError("not followed: " + payload.decode())

    def differences(self):
        """Records of what the files below the root have, and those of this disk have not, as if it had just been written; not of names."""
        records = []
        for inode, node in self.nodes.items():
            path = os.path.join(self.root, node.path)
            if isinstance(node, Directory) or not os.path.exists(path) or os.stat(path).st_ino != inode:
                continue
            with open(path, "rb") as f:
                is_there = f.read()
            known = bytes(node.content(None, KEEP))
            if known == is_there:
                continue
            first = len(os.path.commonprefix([known, is_there]))
            if len(is_there) < len(known):
                records.append(HEADER.pack(MAGIC, SIZE, inode, 0, len(is_there), 0))
            if first < len(is_there):
                records.append(HEADER.pack(MAGIC, WRITE, inode, first, len(is_there) - first, len(is_there) - first) + is_there[first:])
        return b"".join(records)

    def relative(self, path):
        return os.path.relpath(path.decode(), self.root)

    def rename(self, old, node, new):
        assert old is None or os.path.dirname(old) == os.path.dirname(new)
        self.find(os.path.dirname(new)).operations.append((old and os.path.basename(old), os.path.basename(new), node))
        node.path = new

    def find(self, path):
        node = self.top
        for name in path.split("/") if path else []:
            node = node and node.names().get(name)
        return node

    def make(self, root, chance, loss):
        """Writes what is left below the directory `root`. `loss`: one for everything, or a function that is asked for each file and directory."""
        write_tree(self.top, root, chance, loss if callable(loss) else lambda: loss)

    def moved(self, root):
        """This disk, kept as it was, and by make() now also below `root`: the next trace is one of that."""
        disk = copy.deepcopy(self)
        disk.root, disk.nodes = root, {}
        disk.adopt(disk.top, root)
        return disk

    def adopt(self, directory, path):
        self.nodes[os.stat(path).st_ino] = directory
        for name, node in directory.names().items():
            inner = os.path.join(path, name)
            if isinstance(node, Directory):
                self.adopt(node, inner)
            else:
                self.nodes[os.stat(inner).st_ino] = node


def write_tree(directory, target, chance, loss):
    os.makedirs(target, mode=0o700, exist_ok=True)
    for name, node in directory.some_names(chance, loss()).items():
        path = os.path.join(target, name)
        if isinstance(node, Directory):
            write_tree(node, path, chance, loss)
            continue
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(node.content(chance, loss()))
