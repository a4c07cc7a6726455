"""A reader of stores, written from docs/format/ alone: it shares no code with restfs. `reader.py DATA` lists one.

Store(DATA) takes the newest checkpoint that is whole and the journal behind it, as recovery does, and gives buckets, keys and contents.
Everything is verified; what does not hold raises Damaged.
"""
import ctypes
import ctypes.util
import hashlib
import pathlib
import re
import struct
import sys

from awscrt import checksums

SUPERBLOCK = 4096
JOURNAL, BULK, CHECKPOINT = 1, 2, 3
BLOCK, COMMIT, EMPTY, SEAL, CHECKPOINT_RECORD = 1, 2, 3, 4, 5
HEADER = struct.Struct("<IBBHIIQQQQQQ")
SUPER = struct.Struct("<8sII16sQQQQQQQ")
FRAME = 65536
ROOT = bytes(16)


class Damaged(Exception):
    pass


def must(condition, what):
    if not condition:
        raise Damaged(what)


def crc32c(data, before=0):
    return checksums.crc32c(bytes(data), before)


class Zstd:
    def __init__(self):
        self.library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
        self.library.ZSTD_decompress.restype = ctypes.c_size_t
        self.library.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]

    def decompress(self, data, size):
        out = ctypes.create_string_buffer(size)
        must(self.library.ZSTD_decompress(out, size, data, len(data)) == size, "a zstd frame")
        return out.raw


class Fields:
    """Integers, varints and fields, one after another."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def bytes(self, count):
        must(0 <= count <= self.left(), "a value ends too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def u(self, count):
        return int.from_bytes(self.bytes(count), "little")

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def field(self):
        return self.bytes(self.varint())


# --- volumes --------------------------------------------------------------------------------------------------------


class Volume:
    def __init__(self, path):
        self.path = path
        self.data = path.read_bytes()
        must(len(self.data) >= SUPERBLOCK, f"{path.name} has no superblock")
        head = self.data[:SUPERBLOCK]
        must(crc32c(head[:-4]) == struct.unpack("<I", head[-4:])[0], f"the superblock of {path.name}")
        magic, version, self.kind, self.store, self.number, self.generation, self.before, self.before_end, self.group, self.sequence, _ = SUPER.unpack(
            head[:SUPER.size])
        must(magic == b"RFSVOL\r\n" and version == 2, f"{path.name} is of another kind")
        must(self.number == int(path.name.split(".")[0], 16), f"{path.name} is volume {self.number:x}")
        self.bound = struct.pack("<Q", self.generation)

    def header(self, offset):
        """None: there is no valid one. All fields but the checksum: type, flags, index, length, count, sequence, group, bucket, number, feed, time."""
        raw = self.data[offset:offset + 64]
        if len(raw) < 64 or raw[4] == 0:
            return None
        fields = HEADER.unpack(raw)
        return fields[1:] if fields[0] == crc32c(raw[4:] + struct.pack("<Q", offset) + self.bound) else None

    def record(self, offset):
        """(header, payload, offset behind it), or None."""
        header = self.header(offset)
        if header is None:
            return None
        length = header[3]
        padding = -length % 8
        end = offset + 64 + length + padding + 8
        if end > len(self.data):
            return None
        body = self.data[offset + 64:end - 8]
        crc, again = struct.unpack("<II", self.data[end - 8:end])
        if again != length or crc != crc32c(body) or any(body[length:]):
            return None
        return header, body[:length], end

    def seal(self):
        """Its entries, (bucket, number, offset, length); None: it has none."""
        if len(self.data) % 8:
            return None
        record = self.record(struct.unpack("<Q", self.data[-16:-8])[0])
        if not record or record[0][0] != SEAL or record[2] != len(self.data):
            return None
        payload = record[1]
        must(len(payload) % 32 == 8 and record[0][8] == len(payload) // 32, f"the seal of {self.path.name}")
        entries = [struct.unpack(">QQ", payload[at:at + 16]) + struct.unpack("<QI", payload[at + 16:at + 28]) for at in range(0, len(payload) - 8, 32)]
        must(entries == sorted(entries), f"the order of the seal of {self.path.name}")
        return entries


# --- rows -----------------------------------------------------------------------------------------------------------


class Rows:
    """What the batches have made: rows with their serials, counters, and each bucket's last serial and feed serial."""

    def __init__(self):
        self.rows = {}  # key: (value, serial)
        self.counters = {}
        self.states = {}
        self.serials = {}  # bucket: last serial

    def load(self, pairs):
        for key, value in pairs:
            tag = value[:1]
            if tag == b"r":
                self.rows[key] = (value[1:-8], struct.unpack("<Q", value[-8:])[0])
            elif tag == b"c":
                self.counters[key] = struct.unpack("<q", value[1:])[0]
            elif tag == b"s":
                self.states[struct.unpack(">Q", key[:8])[0]] = struct.unpack("<QQ", value[1:])
            else:
                must(tag == b"i", f"a row with the tag {tag}")

    def apply(self, volume, offset, header, payload):
        _, _, _, _, _, sequence, _, bucket, serial, previous_feed, _ = header
        f = Fields(payload)
        must(f.u(1) == 2, "the format of a COMMIT")
        f.bytes(16)
        feed = previous_feed
        counters = []
        must(serial == self.states.get(bucket, (0, 0))[0] + 1, f"batch {sequence} has serial {serial}")
        for _ in range(f.varint()):
            first, key = f.u(1), struct.pack(">Q", bucket) + f.field()
            kind, slot = first & 15, first >> 4
            must(slot <= 2, f"slot {slot}")
            if slot:
                key += struct.pack(">Q", serial if slot == 1 else serial ^ (2**64 - 1))
            if kind == 2:
                self.rows[key] = (f.field(), serial)
            elif kind == 3:
                self.rows.pop(key, None)
            elif kind == 4:
                end = key[:8] + f.field()
                for gone in [k for k in self.rows if key <= k < end]:
                    del self.rows[gone]
            elif kind == 5:
                delta = f.varint()
                counters.append((key, delta >> 1 ^ -(delta & 1), None))
            elif kind == 6:
                counters.append((key, None, f.varint()))
            elif kind == 8:
                must(slot == 1, "the slot of an APPEND")
                self.rows[key] = (f.field() + struct.pack("<Q", previous_feed), serial)
                feed = serial
            elif kind == 9:
                value = f.field()
                self.rows[key] = (value + b"".join(self.location(f, volume, offset) for _ in range(f.varint())), serial)
            else:
                raise Damaged(f"an operation of kind {kind}")
        must(f.left() == 0, "bytes behind a COMMIT")
        for key, delta, least in counters:
            value = self.counters.get(key, 0)
            value = value + delta if least is None else max(value, least)
            self.counters[key] = value
            if value == 0:
                del self.counters[key]
        self.states[bucket] = (serial, feed)

    @staticmethod
    def location(f, volume, commit):
        stored = f.u(1)
        f.varint()
        if stored:
            return f.bytes(16)
        record = commit - f.varint()
        return struct.pack("<IIQ", volume.number, f.varint(), record + 64)


def checkpoint_pairs(volume):
    """All pairs of a checkpoint; Damaged unless it is whole."""
    pairs, crc, offset, number, last = [], 0, SUPERBLOCK, 0, b""
    while True:
        record = volume.record(offset)
        must(record, f"checkpoint {volume.path.name} at {offset}")
        header, payload, offset = record
        must(header[0] == CHECKPOINT_RECORD and header[8] == number, f"checkpoint {volume.path.name}: record {number}")
        number += 1
        if header[1] & 1:
            break
        crc = crc32c(payload, crc)
        f = Fields(payload)
        while f.left():
            key, value = f.field(), f.field()
            must(key > last, "the order of a checkpoint")
            last = key
            pairs.append((key, value))
    must(struct.unpack("<QI", payload) == (len(pairs), crc) and offset == len(volume.data), f"the end of checkpoint {volume.path.name}")
    return pairs


# --- a store --------------------------------------------------------------------------------------------------------


class Store:
    def __init__(self, data):
        self.zstd = Zstd()
        self.volumes = {}
        self.checkpoints = []
        self.batches = 0
        self.from_checkpoint = 0
        self.rows = Rows()
        for path in sorted((pathlib.Path(data) / "volumes").iterdir()):
            if re.fullmatch(r"[0-9a-f]{16}\.vol", path.name):
                volume = Volume(path)
                self.volumes[volume.number] = volume
            elif re.fullmatch(r"[0-9a-f]{16}\.checkpoint", path.name):
                self.checkpoints.append(path)
        must(len({volume.store for volume in self.volumes.values()}) == 1, "volumes of several stores")
        self.read_journal(*self.begin())

    def begin(self):
        """Volume, offset, group and sequence behind the newest checkpoint that is whole; or the first volume's beginning."""
        self.reached = 0
        best = None
        for path in self.checkpoints:  # ascending
            try:
                volume = Volume(path)
                must(volume.kind == CHECKPOINT, "the kind of a checkpoint")
                self.reached = max(self.reached, volume.sequence)
                best = volume, checkpoint_pairs(volume)
            except Damaged:
                pass
        if best:
            volume, pairs = best
            self.from_checkpoint = len(pairs)
            self.rows.load(pairs)
            must(volume.before in self.volumes, f"volume {volume.before:x} is missing")
            return self.volumes[volume.before], volume.before_end, volume.group, volume.sequence
        first = [v for v in self.volumes.values() if v.kind == JOURNAL and v.before == 0]
        must(len(first) == 1, f"there are {len(first)} first volumes")
        return first[0], SUPERBLOCK, first[0].group - 1, first[0].sequence - 1

    def read_journal(self, volume, offset, group, sequence):
        journal = [v for v in self.volumes.values() if v.kind == JOURNAL and v.number >= volume.number]
        followers = {v.before: v for v in journal}
        complete, read = True, 1
        while True:
            follower = followers.get(volume.number)
            end = follower.before_end if follower else None
            while end is None or offset < end:
                batch = self.batch(volume, offset, group + complete, sequence)
                if batch is None:
                    break
                offset, header = batch
                group, sequence, complete = header[6], header[5], bool(header[1] & 1)
            if follower is None:
                break
            must(offset == end, f"volume {volume.number:x} ends at {offset} instead of {end}")
            must(follower.sequence == sequence + 1 and follower.group > group, f"volume {follower.number:x} does not follow")
            volume, offset, group, complete = follower, SUPERBLOCK, follower.group - 1, True
            read += 1
        torn = group + complete
        for at in range(offset, len(volume.data) - 63, 8):
            header = volume.header(at)
            must(header is None or header[6] <= torn, f"volume {volume.number:x} is damaged at {offset}, before group {torn}")
        must(volume.seal() is None, f"the successor of volume {volume.number:x} is missing")
        must(read == len(journal) and sequence >= self.reached, "a part of the journal is missing")

    def batch(self, volume, offset, group, sequence):
        """Applies the one at `offset`; (offset behind it, its last header), or None: there is none that is whole."""
        index, first = 0, None
        while True:
            record = volume.record(offset)
            if record is None:
                return None
            header, payload, end = record
            kind, _, at, _, count, number, of_group = header[:7]
            if at != index or of_group != group or number != sequence + (kind != EMPTY):
                return None
            if kind == EMPTY:
                return end, header
            if kind == COMMIT:
                if at + 1 != count:
                    return None
                self.rows.apply(volume, offset, header, payload)
                self.batches += 1
                return end, header
            if kind != BLOCK or (first and first != (count, header[7])):
                return None
            first = count, header[7]
            offset, index = end, index + 1

    # what is in it

    def table(self, bucket, number):
        """(rest of the key, value) of a bucket's table, in order."""
        prefix = struct.pack(">QB", bucket, number)
        return sorted((key[9:], value) for key, (value, _) in self.rows.rows.items() if key.startswith(prefix))

    def get(self, bucket, table, rest):
        row = self.rows.rows.get(struct.pack(">QB", bucket, table) + rest)
        must(row, f"a row of table {table}")
        return Fields(row[0])

    def buckets(self):
        """Name: Bucket."""
        found = {}
        for name, value in self.table(0, 19):
            bucket = Bucket(self, struct.unpack("<Q", value)[0])
            if not bucket.removed:
                must(bucket.name == name, f"the name of bucket {bucket.id}")
                found[name.decode()] = bucket
        return found


class Bucket:
    def __init__(self, store, number):
        self.store = store
        f = store.get(number, 1, b"")
        must(f.u(1) == 1, "the format of a bucket")
        self.id = f.u(8)
        f.bytes(8 + 8 + 8)
        self.block_size, self.segment_blocks = f.u(4), f.u(4)
        f.u(1)
        bits = f.u(1)
        self.removed = bool(bits & 1)
        self.name = f.field()
        must(self.id == number, "the number of a bucket")

    def keys(self):
        """Key: Version, of every object, in order."""
        below = {}
        for rest, value in self.store.table(self.id, 2):
            below.setdefault(rest[:16], []).append((rest[16:], Version(value)))
        found = {}

        def walk(directory, path):
            for name, version in below.pop(directory, []):
                if version.is_directory:
                    must(name.endswith(b"/"), "the name of a directory")
                    if version.is_marker:
                        found[path + name] = version
                    walk(version.id, path + name)
                else:
                    found[path + name] = version

        walk(ROOT, b"")
        must(not below, f"entries of directories that are not there: {list(below)}")
        return dict(sorted(found.items()))

    def counter(self, kind):
        return self.store.rows.counters.get(struct.pack(">QBB", self.id, 8, kind), 0)

    def read(self, content):
        data = b"".join(self.pieces(content))
        must(len(data) == content.size, f"a content has {len(data)} bytes instead of {content.size}")
        return data

    def pieces(self, content):
        if content.kind == 1:
            yield self.block(content.block, 0)
        elif content.kind == 2:
            span = self.block_size * self.segment_blocks
            segments = [(rest, value) for rest, value in self.store.table(self.id, 5) if rest[:8] == struct.pack(">Q", content.data)]
            must(len(segments) == -(-content.size // span), "the number of segments")
            for number, (rest, value) in enumerate(segments):
                must(struct.unpack(">Q", rest[8:16])[0] == number, "the numbers of segments")
                yield from self.segment(Fields(value))
        elif content.kind == 3:
            f = self.store.get(self.id, 18, struct.pack(">Q", content.data))
            must(f.u(1) == 1, "the format of parts")
            at = 0
            for _ in range(f.varint()):
                end = f.varint()
                part = Content(f)
                must(part.kind != 3 and part.size == end - at, "a part")
                at = end
                yield self.read(part)

    def segment(self, f):
        must(f.u(1) == 1, "the format of a segment")
        left = f.varint()
        at = 0
        for _ in range(f.varint()):
            first_block, blocks, run, skipped = f.varint(), f.varint(), f.varint(), f.varint()
            must(first_block == at, "the order of extents")
            at += blocks
            for i in range(blocks):
                block = self.block(run, skipped + i) if run else bytes(min(self.block_size, left))
                left -= len(block)
                yield block
        must(left == 0, "the bytes of a segment")

    def block(self, run, index):
        """The raw bytes of one block of a run."""
        f = self.store.get(self.id, 6, struct.pack(">Q", run))
        must(f.u(1) in (1, 2), "the format of a run")
        count, size, last = f.varint(), f.varint(), f.varint()
        blocks = [(f.varint(), f.bytes(32)) for _ in range(count)]
        locations = [struct.unpack("<IIQ", f.bytes(16)) for _ in range(count)]
        must(f.left() == 0 and index < count, "a run")
        volume, length, offset = locations[index]
        must(volume in self.store.volumes, f"volume {volume:x} is missing")
        record = self.store.volumes[volume].record(offset - 64)
        must(record and record[0][0] == BLOCK and record[0][8] == run + index and record[0][7] == self.id and length == len(record[1]) == blocks[index][0],
             f"block {run + index}")
        raw = self.frames(Fields(record[1]))
        must(len(raw) == (size if index + 1 < count else last) and hashlib.sha256(raw).digest() == blocks[index][1], f"the bytes of block {run + index}")
        return raw

    def frames(self, f):
        must(f.u(1) == 1 and f.u(1) == 0, "the format of frames")
        count, size = f.u(2), f.u(4)
        table = [(f.u(3), f.u(1), f.u(4)) for _ in range(count)]
        raw = []
        for i, (stored, codec, crc) in enumerate(table):
            data = f.bytes(stored)
            must(crc32c(data) == crc and codec in (0, 1), "a frame")
            wanted = min(FRAME, size - i * FRAME)
            raw.append(self.store.zstd.decompress(data, wanted) if codec else data)
            must(len(raw[-1]) == wanted, "the size of a frame")
        must(f.left() == 0, "bytes behind the frames")
        return b"".join(raw)


class Content:
    def __init__(self, f):
        self.kind = f.u(1)
        must(self.kind <= 3, "the kind of a content")
        self.size = self.data = self.block = 0
        if self.kind:
            self.size, self.data = f.varint(), f.varint()
        if self.kind == 1:
            self.block = f.varint()


class Version:
    def __init__(self, value):
        f = Fields(value)
        must(f.u(1) == 1, "the format of a version")
        self.id = f.bytes(16)
        flags = f.varint()
        self.is_directory, self.is_marker = bool(flags & 1), bool(flags & 2)
        self.modified_ns = f.u(8)
        f.varint()
        f.u(1)
        md5 = f.bytes(16) if f.u(1) else None
        self.content = Content(f)
        self.content_type, self.properties, etag = b"", {}, md5.hex().encode() if md5 else b""
        while f.left():
            tag, field = f.varint(), Fields(f.field())
            if tag == 1:
                self.content_type = field.data
            elif tag == 2:
                name = field.field()
                self.properties[name] = field.field()
            elif tag == 5:
                etag = field.data
        self.etag = etag.decode()


def main():
    store = Store(sys.argv[1])
    for name, bucket in store.buckets().items():
        for key, version in bucket.keys().items():
            print(name, key.decode(errors="backslashreplace"), version.content.size, hashlib.sha256(bucket.read(version.content)).hexdigest())


if __name__ == "__main__":
    main()
