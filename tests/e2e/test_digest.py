"""`restfs debug`. The digest: the same before and after what must not change what a store holds, another after what does."""
import json
import shutil
import socket
import subprocess
import urllib.parse

import pytest
from botocore.exceptions import ClientError

from daemon import BINARY, PATIENCE_SECONDS, Daemon, wait_until

OPTIONS = ("--set", "debug=true", "--set", "journal.volume_bytes=1048576")


def restfs(daemon, *arguments):
    done = subprocess.run([BINARY.replace("restfsd", "restfs"), "--data", daemon.data, "--json", *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def digest(daemon):
    """Once the reaper has done what there was to do."""
    found = {}

    def at_rest():
        found.update(restfs(daemon, "debug", "digest"))
        return found["purge_count"] == 0

    wait_until(at_rest)
    return found


def body(number):
    """Some go to the journal, some to a volume of blocks."""
    return bytes([number]) * (400_000 if number > 7 else number * 1000)


def fill(daemon):
    s3 = daemon.client()
    for bucket in ("one", "two"):
        s3.create_bucket(Bucket=bucket)
        for number in range(20):
            s3.put_object(Bucket=bucket, Key=f"dir{number % 3}/{number}", Body=body(number), Metadata={"number": str(number)})
        s3.put_object(Bucket=bucket, Key="marker/", Body=b"")
        upload = s3.create_multipart_upload(Bucket=bucket, Key="open")["UploadId"]
        s3.upload_part(Bucket=bucket, Key="open", UploadId=upload, PartNumber=1, Body=b"part")
        for number in range(0, 20, 2):
            s3.delete_object(Bucket=bucket, Key=f"dir{number % 3}/{number}")
    restfs(daemon, "bucket", "set", "two", "--deduplicate=on")
    restfs(daemon, "user", "add", "anna")


@pytest.fixture
def store():
    d = Daemon(*OPTIONS).start()
    yield d
    d.finish()


def test_what_must_not_change_the_store_does_not(store):
    fill(store)
    before = digest(store)
    assert (before["buckets"], before["objects"]) == (2, 22)
    assert restfs(store, "compact")["blocks_moved"] > 0
    assert digest(store) == before
    store.kill()
    store.start()
    assert digest(store) == before
    store.stop()
    shutil.rmtree(store.data / "index")
    store.start()
    assert digest(store) == before
    restfs(store, "scrub", "start")
    wait_until(lambda: not restfs(store, "scrub", "status")["running"])
    assert digest(store) == before


def test_two_stores_with_the_same_objects_mean_the_same(store):
    other = Daemon(*OPTIONS).start()
    try:
        fill(store)
        fill(other)
        other.client().delete_bucket(Bucket=make_bucket(other, "gone"))
        a, b = digest(store), digest(other)
        assert a["meaning"] == b["meaning"]
        assert a["rows"] != b["rows"]
    finally:
        other.finish()


def make_bucket(daemon, name):
    daemon.client().create_bucket(Bucket=name)
    return name


CHANGES = {
    "bytes": lambda s3: s3.put_object(Bucket="one", Key="dir1/1", Body=b"\2" * 1000, Metadata={"number": "1"}),
    "metadata": lambda s3: s3.put_object(Bucket="one", Key="dir1/1", Body=body(1), Metadata={"number": "2"}),
    "acl": lambda s3: s3.put_object_acl(Bucket="one", Key="dir1/1", ACL="public-read"),
    "delete": lambda s3: s3.delete_object(Bucket="one", Key="dir1/1"),
    "marker": lambda s3: s3.delete_object(Bucket="one", Key="marker/"),
    "bucket": lambda s3: s3.create_bucket(Bucket="three"),
    "upload": lambda s3: s3.create_multipart_upload(Bucket="one", Key="open"),
    "bucket's acl": lambda s3: s3.put_bucket_acl(Bucket="one", ACL="public-read"),
}


def test_what_changes_the_store_changes_both(store):
    fill(store)
    before = digest(store)
    store.client().put_object(Bucket="one", Key="dir1/1", Body=body(1), Metadata={"number": "1"})
    now = digest(store)
    assert now["meaning"] == before["meaning"], "the same again"
    assert now["rows"] != before["rows"], "the same again"
    seen = {kind: {now[kind]} for kind in ("meaning", "rows")}
    for what in CHANGES:
        CHANGES[what](store.client())
        now = digest(store)
        for kind in seen:
            assert now[kind] not in seen[kind], (what, kind)
            seen[kind].add(now[kind])


def test_an_armed_fault_strikes_once_and_changes_nothing(store):
    s3 = store.client(retries={"max_attempts": 0})
    s3.create_bucket(Bucket="one")
    s3.put_object(Bucket="one", Key="key", Body=body(1))
    before = digest(store)
    for operation, call in (("commit", lambda: s3.put_object(Bucket="one", Key="key", Body=body(2))),
                            ("put", lambda: s3.put_object(Bucket="one", Key="key", Body=body(16))),
                            ("wait", lambda: s3.put_object(Bucket="one", Key="key", Body=body(17))),
                            ("read", lambda: s3.get_object(Bucket="one", Key="key"))):
        restfs(store, "debug", "fault", operation)
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500, operation
        assert digest(store) == before, operation
    assert s3.get_object(Bucket="one", Key="key")["Body"].read() == body(1)


# --- the dump -----------------------------------------------------------------------------------------------------------------------


def test_a_dump_tells_what_is_under_way(store):
    s3 = store.client()
    s3.create_bucket(Bucket="one")
    for number in range(6):
        s3.put_object(Bucket="one", Key=f"small{number}", Body=body(3))
    s3.put_object(Bucket="one", Key="large", Body=bytes(3_000_000))
    restfs(store, "compact")
    # Somebody who reads slowly: an answer stays under way, and its content pinned.
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "one", "Key": "huge"})
    s3.put_object(Bucket="one", Key="huge", Body=bytes(30_000_000))
    place = urllib.parse.urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as slow:
        slow.sendall(f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        assert slow.recv(12) == b"HTTP/1.1 200"
        dump = restfs(store, "debug", "dump")
    (request,) = [r for r in dump["http"]["requests"] if r["door"] == "s3"]
    assert (request["method"], request["path"]) == ("GET", "/one/huge") and request["age_ms"] >= 0
    assert [pin["readers"] for pin in dump["storage"]["pinned_contents"]] == [1]
    text = json.dumps(dump)
    assert store.secret_key not in text and "Signature" not in text

    def at_rest():
        dump.update(restfs(store, "debug", "dump"))
        driver = dump["driver"]
        return not dump["storage"]["pinned_contents"] and not driver["batches_under_way"] and driver["journal"]["written"] == driver["index"]["applied"]

    wait_until(at_rest)
    assert dump["http"]["body_memory"]["used"] <= dump["http"]["body_memory"]["limit"]
    driver, volumes = dump["driver"], dump["storage"]["volumes"]
    assert driver["poisoned"] is False and driver["journal"]["queue"] == []
    assert driver["journal"]["written"]["volume"] in [v["volume"] for v in volumes]
    assert 0 < sum(v.get("live_bytes", 0) for v in volumes) <= sum(v["bytes"] for v in volumes)
    assert driver["latches"] == {"held_shared": 0, "held_exclusive": 0, "batches_parked": 0, "batches_to_resume": 0}


def test_a_dump_is_for_developers():
    d = Daemon().start()
    try:
        done = subprocess.run([BINARY.replace("restfsd", "restfs"), "--data", d.data, "debug", "dump"], capture_output=True, text=True)
        assert done.returncode != 0 and "ACCESS_DENIED" in done.stderr
    finally:
        d.finish()
