"""`restfs salvage`: a store that was damaged serves what was intact, nothing else, and what is lost is named."""
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from daemon import BUILD, ROOT, Daemon, flip, wait_until

sys.path.insert(0, str(ROOT / "tests" / "format"))

import reader  # noqa: E402

ROUNDS = int(os.environ.get("RESTFS_ROUNDS", "3"))
EACH = 1 if "RESTFS_ROUNDS" in os.environ else 5
OBJECTS = 30
MIB = 1024 * 1024
RESTFS = os.path.join(BUILD, "restfs")
# What is lost without a name: rows that were in it may be older, or not there.
JOURNAL_LOST = {"batches-lost", "rows-lost", "bucket-lost", "bucket-name-lost", "directory-lost", "entry-stale", "identity-lost"}
# What fsck may say then, of objects that were named.
LEFT = {"block-damaged", "content-missing", "content-wrong"}


def noise(seed, size):
    return random.Random(seed).randbytes(size)


class Written:
    """What was put where: each key's bodies, the last one at the end, None when it was deleted."""

    def __init__(self):
        self.bodies = {}

    def put(self, s3, bucket, key, body):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        self.note(bucket, key, body)

    def note(self, bucket, key, body):
        self.bodies.setdefault((bucket, key), []).append(None if body is None else hashlib.sha256(body).digest())

    def current(self):
        return {key: bodies[-1] for key, bodies in self.bodies.items() if bodies[-1] is not None}


def write_all(daemon, written):
    s3 = daemon.client()
    for bucket in ("plain", "packed", "shared"):
        s3.create_bucket(Bucket=bucket)
    for bucket, option in (("packed", "--compress=on"), ("shared", "--deduplicate=on")):
        subprocess.run([RESTFS, "--data", daemon.data, "bucket", "set", bucket, option], check=True,
                       stdout=subprocess.DEVNULL)
    for i in range(OBJECTS):
        written.put(s3, "plain", f"dir{i % 7}/sub{i % 3}/object{i:03}", noise(i, 1000 + 3000 * i))
        written.put(s3, "packed", f"text{i:03}", f"line {i}\n".encode() * (i * 40 + 1))
        written.put(s3, "shared", f"copy{i:03}", noise(i % 5, 30000))
    for i in range(4):
        written.put(s3, "plain", f"large{i}", noise(1000 + i, 3 * MIB + i))
        written.put(s3, "shared", f"large{i}", noise(2000 + i % 2, 2 * MIB))
    upload = s3.create_multipart_upload(Bucket="plain", Key="parts")["UploadId"]
    parts = [noise(3000, 5 * MIB), noise(3001, 5 * MIB), noise(3002, 70000)]
    tags = [s3.upload_part(Bucket="plain", Key="parts", UploadId=upload, PartNumber=n + 1, Body=part)["ETag"] for n, part in enumerate(parts)]
    s3.complete_multipart_upload(Bucket="plain", Key="parts", UploadId=upload,
                                 MultipartUpload={"Parts": [{"PartNumber": n + 1, "ETag": tag} for n, tag in enumerate(tags)]})
    written.note("plain", "parts", b"".join(parts))
    for i in range(0, OBJECTS, 6):
        s3.delete_object(Bucket="packed", Key=f"text{i:03}")
        written.note("packed", f"text{i:03}", None)
        written.put(s3, "plain", f"dir{i % 7}/sub{i % 3}/object{i:03}", noise(i + 500, 700))
    s3.put_object(Bucket="plain", Key="empty", Body=b"")
    written.note("plain", "empty", b"")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store as a killed daemon leaves it, and what is in it."""
    written = Written()
    d = Daemon("--set", "journal.volume_bytes=3000000", directory=tmp_path_factory.mktemp("salvage")).start()
    write_all(d, written)
    d.kill()
    yield d, written
    d.damaged = True
    d.finish()


def copy(data, to):
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(data, to, ignore=shutil.ignore_patterns("*.sock", "reserve"))


def copy_of(first, directory):
    copy(first.data, directory / "data")
    d = Daemon(directory=directory)
    d.access_key, d.secret_key = first.access_key, first.secret_key
    d.damaged = True
    d.log_path.touch()
    return d


@pytest.fixture
def store(original, tmp_path):
    """A copy of it."""
    first, written = original
    d = copy_of(first, tmp_path)
    yield d, written
    d.finish()


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory):
    """As the original, but it has been compacted since, has a checkpoint and something behind it, a user, quotas, a reader, and an upload that goes on."""
    written = Written()
    d = Daemon("--set", "journal.volume_bytes=1500000", "--set", "compaction.garbage_percent=5", "--set", "compaction.enabled=false",
               directory=tmp_path_factory.mktemp("lived-in")).start()
    write_all(d, written)
    s3 = d.client()
    for words in (("user", "add", "anna"), ("key", "add", "anna", "--access-key=AKANNA12345678901234", "--secret-key=" + "s" * 40),
                  ("quota", "set", "plain", "--objects=10000"), ("quota", "set", "plain", "--user=anna", "--objects=5"),
                  ("cursor", "set", "plain", "reader", "--position=3")):
        assert isinstance(restfs(d, *words), dict), words
    upload = s3.create_multipart_upload(Bucket="plain", Key="goes on")["UploadId"]
    s3.upload_part(Bucket="plain", Key="goes on", UploadId=upload, PartNumber=1, Body=noise(77, 300000))
    for i in range(60):
        written.put(s3, "plain", f"garbage{i}", noise(9000 + i, 25000))
    for i in range(60):
        if i % 3:
            s3.delete_object(Bucket="plain", Key=f"garbage{i}")
            written.note("plain", f"garbage{i}", None)
    wait_until(lambda: isinstance(restfs(d, "compact"), dict) and list((d.data / "volumes").glob("*.checkpoint")))
    for i in range(30):
        written.put(s3, "plain", f"later{i}", noise(12000 + i, 9000 * (i % 7) + 5))
    for i in range(0, 30, 5):
        s3.delete_object(Bucket="plain", Key=f"later{i}")
        written.note("plain", f"later{i}", None)
    d.kill()
    yield d, written
    d.damaged = True
    d.finish()


@pytest.fixture
def lived(lived_in, tmp_path):
    """A copy of it."""
    first, written = lived_in
    d = copy_of(first, tmp_path)
    yield d, written
    d.finish()


def assert_lived(store, report):
    """What the store has besides objects, where no part of the journal is lost."""
    assert "anna" in [u["name"] for u in restfs(store, "user", "ls")["users"]]
    assert "AKANNA12345678901234" in json.dumps(restfs(store, "key", "ls"))
    quotas = {q["user"]: q for q in restfs(store, "quota", "ls", "plain")["quotas"]}
    held = store.client().get_paginator("list_objects_v2").paginate(Bucket="plain").search("length(Contents)")
    assert sorted(q["max_objects"] for q in quotas.values()) == [5, 10000] and sum(held) in [q["objects"] for q in quotas.values()]
    assert [c["name"] for c in restfs(store, "cursor", "ls", "plain")["cursors"]] == ["reader"]
    s3 = store.client()
    (upload,) = s3.list_multipart_uploads(Bucket="plain")["Uploads"]
    parts = s3.list_parts(Bucket="plain", Key="goes on", UploadId=upload["UploadId"]).get("Parts", [])
    assert [p["Size"] for p in parts] == ([] if any(f["kind"] == "part-lost" for f in report["findings"]) else [300000])


def objects(report):
    return sorted((f["kind"], f["key"]) for f in report["findings"] if f["kind"].startswith("object-"))


def salvage(store, *options, status=None):
    done = subprocess.run([RESTFS, "salvage", store.data, "--json", *options], capture_output=True, text=True)
    assert done.returncode in ((0, 1) if status is None else (status,)), (done.returncode, done.stdout[-2000:], done.stderr[-4000:])
    return json.loads(done.stdout)


def volumes(store):
    return sorted((store.data / "volumes").glob("*.vol"))


def served(store):
    """Each key that is listed: the digest of what GET gives, or None for an error."""
    s3 = store.client()
    found = {}
    for bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                try:
                    body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                    assert len(body) == item["Size"]
                    found[bucket, item["Key"]] = hashlib.sha256(body).digest()
                except (ClientError, BotoCoreError):
                    found[bucket, item["Key"]] = None
    return found


def verify(store, written, report, all_told=True, also=None):
    """What is served is what was once written there; what was neither damaged nor lost is what it was at the end, unless the end itself may be lost."""
    store.start()
    found = served(store)
    named = {(f["bucket"], f["key"]): f["kind"] for f in report["findings"] if f["kind"] in ("object-lost", "object-damaged")}
    everything = {digest for bodies in written.bodies.values() for digest in bodies}
    for place, digest in found.items():
        moved = place[0].startswith("salvaged-") or place[1].startswith("salvaged-")
        assert digest is None or digest in (everything if moved else written.bodies[place]), place
        assert (digest is None) == (named.get(place) == "object-damaged"), place
    if all_told and not any(f["kind"] in JOURNAL_LOST for f in report["findings"]):
        expected = {place: None if place in named else digest for place, digest in written.current().items()
                    if named.get(place) != "object-lost"}
        assert found == expected
        if also:
            also(store, report)
    s3 = store.client()
    s3.create_bucket(Bucket="new")  # numbers and serials go on
    s3.put_object(Bucket="new", Key="new", Body=noise(1, 2 * MIB))
    assert s3.get_object(Bucket="new", Key="new")["Body"].read() == noise(1, 2 * MIB)
    assert store.stop() == 0
    told = json.loads(subprocess.run([RESTFS, "fsck", store.data, "--json"], capture_output=True, text=True).stdout)["findings"]
    told = [f for f in told if f["kind"] not in LEFT or (f["bucket"], f["key"]) not in named]
    assert told == []
    return found


def test_nothing_is_lost_of_a_whole_store(store):
    d, written = store
    report = salvage(d, status=0)
    assert report["findings"] == [] and report["objects"] == len(written.current()) and report["lost"] == 0
    assert verify(d, written, report)
    assert d.fsck()
    shutil.rmtree(d.data / "index")  # its checkpoint is the store
    d.start()
    assert served(d).items() >= written.current().items()


def test_a_dry_run_changes_nothing(store):
    d, written = store
    flip(d, noise(7, 1000 + 3000 * 7))
    before = {path: path.stat().st_mtime_ns for path in (d.data / "volumes").iterdir()}
    report = salvage(d, "--dry-run", status=1)
    assert objects(report) == [("object-lost", "dir0/sub1/object007")]
    assert {path: path.stat().st_mtime_ns for path in (d.data / "volumes").iterdir()} == before
    assert not (d.data / "salvage").exists() and report["kept"] == ""


def test_of_damaged_bytes_the_object_is_named(store):
    d, written = store
    flip(d, noise(9, 1000 + 3000 * 9))
    flip(d, noise(1001, 3 * MIB + 1)[:50000], at=10)
    report = salvage(d, status=1)
    assert objects(report) == [("object-damaged", "large1"), ("object-lost", "dir2/sub0/object009")]
    found = verify(d, written, report)
    assert found["plain", "large1"] is None and ("plain", "dir2/sub0/object009") not in found


def test_a_lost_first_page_loses_nothing(store):
    d, written = store
    for path in volumes(d):
        path.chmod(0o600)
        with open(path, "r+b") as f:
            f.write(bytes(4096))
    report = salvage(d, status=1)
    assert {f["kind"] for f in report["findings"]} == {"volume-repaired"}
    verify(d, written, report)


def test_volumes_among_other_files_under_other_names(store):
    d, written = store
    paths = volumes(d)
    for path in paths:
        path.rename(path.with_suffix(".x"))
    for path, other in zip(paths, paths[1:] + paths[:1]):
        path.with_suffix(".x").rename(other)
    (d.data / "volumes" / "holiday.jpg").write_bytes(noise(1, 10000))
    (d.data / "volumes" / "00000000000000ff.vol").write_bytes(noise(2, 10000))
    report = salvage(d, status=1)
    assert {f["kind"] for f in report["findings"]} == {"volume-renamed", "file-foreign", "volume-lost"}
    verify(d, written, report)


def test_of_two_stores_the_right_one_is_salvaged_or_none(broken):
    """However many files of another there are; where names say nothing the caller has to choose."""
    written = written_by(broken, put("one", noise(1, 2000)), put("large", noise(2, 3 * MIB)))
    other = Daemon("--set", "journal.volume_bytes=1M").start()
    try:
        other.client().create_bucket(Bucket="theirs")
        for i in range(12):
            other.client().put_object(Bucket="theirs", Key=f"key{i}", Body=noise(i, 300000))
        other.kill()
        theirs = volumes(other)
        assert len(theirs) > len(volumes(broken))
        for path in theirs:
            shutil.copy(path, broken.data / "volumes" / f"copied-{path.name}")
        assert {f["kind"] for f in salvage(broken, status=1)["findings"]} == {"file-foreign"}
        shutil.rmtree(broken.data / "index")
        for path in theirs:
            if not (broken.data / "volumes" / path.name).exists():
                shutil.copy(path, broken.data / "volumes")
        before = sorted((path.name, path.stat().st_ino) for path in (broken.data / "volumes").iterdir())
        refused = salvage(broken, status=2)
        assert {f["kind"] for f in refused["findings"]} == {"store-found"} and len(refused["findings"]) == 2
        assert sorted((path.name, path.stat().st_ino) for path in (broken.data / "volumes").iterdir()) == before
        ours = volumes(broken)[0].read_bytes()[16:32].hex()
        assert any(ours in f["text"] for f in refused["findings"])
        report = salvage(broken, f"--store={ours}", status=1)
        assert {f["kind"] for f in report["findings"]} == {"file-foreign"}
        assert verify(broken, written, report) == written.current()
    finally:
        other.finish()


def test_volumes_missing_in_turn(store, tmp_path):
    d, written = store
    copy(d.data, tmp_path / "whole")
    for path in volumes(d)[::EACH]:
        copy(tmp_path / "whole", d.data)
        path.unlink()
        report = salvage(d, status=1)
        assert report["lost"] + report["damaged"] or any(f["kind"] in JOURNAL_LOST for f in report["findings"])
        verify(d, written, report)


def damage(d, rng):
    """One of any kind."""
    paths = [path for path in (d.data / "volumes").iterdir() if path.stat().st_size]
    path = rng.choice(paths)
    path.chmod(0o600)
    size = path.stat().st_size
    kind = rng.choice(["missing", "cut", "zeros", "noise", "flips", "copied", "renamed"])
    if kind == "missing":
        if len(paths) > 1:
            path.unlink()
    elif kind == "cut":
        os.truncate(path, rng.randrange(size))
    elif kind == "copied":
        to = path.with_name("%016x.vol" % rng.randrange(1, 20)) if rng.randrange(2) else path.with_suffix(".old")
        if to != path:
            shutil.copyfile(path, to)
    elif kind == "renamed":
        path.rename(path.with_name("%016x.vol" % rng.randrange(30, 90)))
    else:
        with open(path, "r+b") as f:
            for _ in range(10 if kind == "flips" else 1):
                f.seek(rng.randrange(size))
                f.write(rng.randbytes(1 if kind == "flips" else 20000) if kind != "zeros" else bytes(20000))
    return f"{kind} {path.name}"


def test_nothing_is_lost_of_a_whole_store_that_was_lived_in(lived):
    d, written = lived
    report = salvage(d, status=0)
    assert report["findings"] == []
    assert verify(d, written, report, also=assert_lived) == written.current()


def test_random_damage(lived, tmp_path, rng, record_property):
    record_property("stores damaged at random and salvaged", ROUNDS)
    d, written = lived
    copy(d.data, tmp_path / "whole")
    for number in range(ROUNDS):
        copy(tmp_path / "whole", d.data)
        if number % 2:  # it knows where the journal ended
            shutil.rmtree(d.data / "index")
        print(number, [damage(d, rng) for _ in range(rng.randint(1, 4))])
        verify(d, written, salvage(d), all_told=number % 2 == 0, also=assert_lived)


def test_a_salvaged_store_that_lost_its_checkpoint_is_not_begun_anew(store):
    """Its journal begins in the middle: from there on alone it would look like another store, which is nearly empty."""
    d, written = store
    salvage(d, status=0)
    assert d.start().stop() == 0
    shutil.rmtree(d.data / "index")
    for path in (d.data / "volumes").glob("*.checkpoint"):
        path.unlink()
    min(path for path in volumes(d) if path.read_bytes()[12] == 1).unlink()
    d.spawn()
    assert not d.wait_ready() and d.stop() == 1
    assert "the journal's first volume is missing" in d.log()
    verify(d, written, salvage(d))


def test_what_is_no_store_is_left_alone(tmp_path):
    done = subprocess.run([RESTFS, "salvage", tmp_path], capture_output=True, text=True)
    assert done.returncode == 2 and "not a store" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_in_use_is_left_alone(own_daemon):
    done = subprocess.run([RESTFS, "salvage", own_daemon.data], capture_output=True, text=True)
    assert done.returncode == 2 and "in use" in done.stderr


# --- batches that are lost: found in the journal by the reader of tests/format ------------------------------------------------------


def commits(d):
    """(file, offset, payload, tables of new rows) of each batch of the journal."""
    rows = reader.Rows()
    for path in volumes(d):
        volume = reader.Volume(path)
        at = reader.SUPERBLOCK
        while volume.kind == reader.JOURNAL and (record := volume.record(at)):
            if record[0][0] == reader.COMMIT:
                before = set(rows.rows)
                rows.apply(volume, at, record[0], record[1])
                yield path, at, record[1], {key[8] for key in rows.rows.keys() - before}
            at = record[2]


def lose(d, *batches):
    """Damages batches, each (which, text, table): the which-th of those that have this text in their COMMIT, and make a row of this table (None: any)."""
    all_commits = list(commits(d))
    for which, text, table in batches:
        path, at, _, _ = [commit for commit in all_commits if text in commit[2] and (table is None or table in commit[3])][which]
        spoil(path, at)


def spoil(path, at):
    path.chmod(0o600)
    with open(path, "r+b") as f:
        f.seek(at + 64)
        f.write(b"\xff")


def written_by(d, *steps):
    written = Written()
    s3 = d.start().client()
    s3.create_bucket(Bucket="first")
    for step in steps:
        step(s3, written)
    for i in range(5):  # nothing is lost at the end
        written.put(s3, "first", f"last{i}", noise(90 + i, 3000))
    d.kill()
    shutil.rmtree(d.data / "index")
    return written


def put(key, body):
    return lambda s3, written: written.put(s3, "first", key, body)


def delete(key):
    def step(s3, written):
        s3.delete_object(Bucket="first", Key=key)
        written.note("first", key, None)
    return step


@pytest.fixture
def broken():
    d = Daemon()
    d.damaged = True
    yield d
    d.finish()


def test_what_is_in_a_lost_directory_is_found_again(broken):
    written = written_by(broken, put("a/b/one", noise(1, 2000)), put("a/b/two", noise(2, 2000)), put("a/b/c/three", noise(3, 2000)))
    lose(broken, (0, b"a/b/one", None))
    report = salvage(broken, status=1)
    assert {"batches-lost", "directory-lost"} <= {f["kind"] for f in report["findings"]}
    found = verify(broken, written, report)
    inside = {key.split("/", 1)[1]: digest for (_, key), digest in found.items() if key.startswith("salvaged-")}
    assert inside == {"two": hashlib.sha256(noise(2, 2000)).digest(), "c/three": hashlib.sha256(noise(3, 2000)).digest()}
    assert len(found) == 2 + 5


def test_a_bucket_whose_row_is_lost_keeps_its_objects(broken):
    written = written_by(broken, put("one", noise(1, 2000)), put("large", noise(2, 3 * MIB + 5)))
    lose(broken, (0, b"first", 1))
    report = salvage(broken, status=1)
    assert "bucket-lost" in {f["kind"] for f in report["findings"]}
    assert verify(broken, written, report) == written.current()


def test_an_object_whose_removal_is_lost_is_there_again_or_is_lost(broken):
    written = written_by(broken, put("one", noise(1, 2000)), delete("one"), put("two", noise(2, 2000)), put("two", noise(3, 3000)))
    lose(broken, (1, b"one", None), (1, b"two", None))
    report = salvage(broken, status=1)
    found = verify(broken, written, report)
    assert {key for _, key in found} <= {"one", "two", *(f"last{i}" for i in range(5))} and len(found) >= 5


# --- readers of feeds ---------------------------------------------------------------------------------------------------------------


def restfs(d, *arguments):
    """What it answers, or the text of its error."""
    done = subprocess.run([RESTFS, "--data", d.data, *arguments, "--json"], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def test_readers_before_a_lost_change_are_told_that_it_is_gone(broken):
    written = written_by(broken, *(put(f"key{i}", noise(i, 2000)) for i in range(6)))
    broken.start()
    feed = restfs(broken, "feed", "first")
    restfs(broken, "cursor", "set", "first", "reader", f"--position={feed['changes'][3]['serial']}")
    assert broken.stop() == 0
    lose(broken, (0, b"key4", None))
    report = salvage(broken, status=1)
    verify(broken, written, report)
    broken.start()
    for change in feed["changes"]:
        assert "GONE" in restfs(broken, "feed", "first", f"--after={change['serial']}")
    assert "GONE" in restfs(broken, "feed", "first", "--cursor=reader")
    cursors = restfs(broken, "cursor", "ls", "first")
    assert cursors["pruned"] > feed["next"] and [c["gone"] for c in cursors["cursors"]] == [True]
    broken.client().put_object(Bucket="first", Key="behind", Body=b"1")
    changes = restfs(broken, "feed", "first", f"--after={cursors['pruned']}")["changes"]
    assert (changes[0]["kind"], changes[0]["door"]) == ("bucket", "salvage")
    assert [c["name"] for c in changes[1:]] == ["behind"]


def test_who_has_read_changes_that_are_lost_is_told_so(broken):
    """The end of the journal is cut off: nothing else is left that knows of it."""
    written_by(broken, *(put(f"key{i}", noise(i, 2000)) for i in range(3)))
    broken.start()
    feed = restfs(broken, "feed", "first")
    broken.kill()
    shutil.rmtree(broken.data / "index")
    path, at, _, _ = [commit for commit in commits(broken) if b"last3" in commit[2]][0]
    path.chmod(0o600)
    os.truncate(path, at)
    for newer in [other for other in volumes(broken) if other > path]:
        newer.unlink()
    salvage(broken)
    broken.start()
    for i in range(4):
        assert "GONE" in restfs(broken, "feed", "first", f"--after={feed['next']}")
        broken.client().put_object(Bucket="first", Key=f"new{i}", Body=b"1")
    pruned = restfs(broken, "cursor", "ls", "first")["pruned"]
    assert [c["name"] for c in restfs(broken, "feed", "first", f"--after={pruned}")["changes"][1:]] == [f"new{i}" for i in range(4)]


def test_the_feed_of_a_store_that_lost_no_changes_goes_on(broken):
    s3 = broken.start().client()
    s3.create_bucket(Bucket="first")
    for i in range(4):
        s3.put_object(Bucket="first", Key=f"key{i}", Body=noise(i, 2 * MIB))
    feed = restfs(broken, "feed", "first")
    assert broken.stop() == 0
    for i in (1, 2):
        for block in range(2):
            flip(broken, noise(i, 2 * MIB)[block * MIB:][:50000], at=10)
    report = salvage(broken, status=1)
    assert objects(report) == [("object-lost", "key1"), ("object-lost", "key2")]
    broken.start()
    after = restfs(broken, "feed", "first")["changes"]
    assert after[:len(feed["changes"])] == feed["changes"]
    assert [(c["kind"], c["name"]) for c in after[len(feed["changes"]):]] == [("bucket", "first"), ("delete", "key1"), ("delete", "key2")]


def test_nothing_of_a_salvaged_store_is_for_others(store):
    d, _ = store
    before = os.umask(0)
    try:
        salvage(d)
        d.fsck()
    finally:
        os.umask(before)
    d.start().stop()
    files = [path for path in d.data.rglob("*") if not path.is_symlink()]
    assert d.data / "index" in files and d.data / "damaged-1" in files
    assert [(str(path), oct(path.stat().st_mode)) for path in [d.data, *files] if path.stat().st_mode & 0o077] == []


def test_what_a_salvage_could_not_read_is_known_from_the_start(store):
    d, _ = store
    flip(d, noise(1001, 3 * MIB + 1)[:50000], at=10)
    assert objects(salvage(d, status=1)) == [("object-damaged", "large1")]
    d.start()
    known, = restfs(d, "scrub", "status")["damaged"]
    assert (known["bucket"], known["key"], known["found_by"]) == ("plain", "large1", "salvage")
    assert known["problem"] == "1048576 of its 3145729 bytes cannot be read"


def test_an_object_that_lost_a_part_of_its_rows_is_damaged(broken):
    written = written_by(broken, put("large", noise(1, 66 * MIB)))
    lose(broken, (0, b"", 5))
    report = salvage(broken, status=1)
    assert objects(report) == [("object-damaged", "large")]
    assert verify(broken, written, report)["first", "large"] is None


def test_what_an_object_is_made_of_is_not_purged(broken):
    """The batch that took a part off the list of what was being written is lost; the object that has the part is not."""
    parts = [noise(1, 5 * MIB), noise(2, 6 * MIB), noise(3, 5 * MIB)]

    def upload(s3, written):
        place = {"Bucket": "first", "Key": "parts"}
        place["UploadId"] = s3.create_multipart_upload(**place)["UploadId"]
        tags = [s3.upload_part(PartNumber=n + 1, Body=part, **place)["ETag"] for n, part in enumerate(parts)]
        s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": n + 1, "ETag": tag} for n, tag in enumerate(tags)]}, **place)
        written.note("first", "parts", b"".join(parts))

    written = written_by(broken, upload)
    lose(broken, (0, b"", 20), (1, b"", 20))
    report = salvage(broken, status=1)
    assert objects(report) == []
    assert verify(broken, written, report) == written.current()
    broken.start()  # the reaper of this start, too, leaves it
    assert served(broken).items() >= written.current().items()


def test_a_user_whose_creation_is_lost_is_as_his_key_was_made(broken):
    broken.start()
    for name in ("alice", "bob"):
        subprocess.run([RESTFS, "--data", broken.data, "user", "add", name], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([RESTFS, "--data", broken.data, "key", "add", name, f"--access-key=AK{name.upper()}123456789012", "--secret-key=" + "s" * 40],
                       check=True, stdout=subprocess.DEVNULL)
    written = Written()
    broken.client().create_bucket(Bucket="first")
    written.put(broken.client(), "first", "one", noise(1, 2000))
    broken.kill()
    shutil.rmtree(broken.data / "index")
    lose(broken, (0, b"alice", 13))
    report = salvage(broken, status=1)
    assert verify(broken, written, report) == written.current()
    broken.start()
    for what, name in (("user", "alice"), ("key", "AKALICE")):
        assert name in subprocess.run([RESTFS, "--data", broken.data, what, "ls"], check=True, capture_output=True, text=True).stdout


def test_batches_lost_at_random(store, tmp_path, rng, record_property):
    record_property("stores salvaged without some batches", max(2, ROUNDS // 2))
    d, written = store
    copy(d.data, tmp_path / "whole")
    places = [(path, at) for path, at, _, _ in commits(d)]
    for number in range(max(2, ROUNDS // 2)):
        copy(tmp_path / "whole", d.data)
        lost = rng.sample(range(len(places) - 1), rng.choice([1, 2, 5, 20, 100]))
        print(number, sorted(lost))
        for which in lost:
            spoil(*places[which])
        verify(d, written, salvage(d, status=1), all_told=False)
