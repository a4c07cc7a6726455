"""`restfs fsck`: what it says of stores that are whole and of such as are not."""
import json
import subprocess

import pytest

from daemon import BINARY, Daemon, flip

BUCKET = "checked"
BODY = bytes(range(7, 256)) * 40  # found on the disk as it is, for it does not go through zstd


@pytest.fixture
def store():
    """A daemon that ends before the check, with objects in a bucket."""
    d = Daemon().start()
    s3 = d.client()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="whole", Body=b"whole")
    s3.put_object(Bucket=BUCKET, Key="dir/dam\naged", Body=BODY)
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "dir/dam\naged"})
    yield d
    d.finish()


def test_a_whole_store_has_no_findings(store):
    store.stop()
    assert store.fsck() == f"1 buckets, 3 objects of {2 * len(BODY) + 5} bytes, 2 blocks of {len(BODY) + 5 + 32} bytes: 0 findings\n"
    found = json.loads(store.fsck("--json"))
    assert found == {"findings": [], "buckets": 1, "objects": 3, "bytes": 2 * len(BODY) + 5, "blocks": 2, "stored_bytes": len(BODY) + 5 + 32}


def test_a_killed_store_is_recovered_first(store):
    store.kill()
    assert json.loads(store.fsck("--json", "--fast"))["objects"] == 3


def test_a_store_in_use_is_left_alone(store):
    done = subprocess.run([BINARY.replace("restfsd", "restfs"), "fsck", store.data], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "in use" in done.stderr
    assert store.client().get_object(Bucket=BUCKET, Key="whole")["Body"].read() == b"whole"


def test_where_no_store_is_none_is_made(tmp_path):
    done = subprocess.run([BINARY.replace("restfsd", "restfs"), "fsck", tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no store" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_damaged_bytes_are_told_by_bucket_and_key(store):
    store.damaged = True
    store.stop()
    flip(store, BODY)
    assert json.loads(store.fsck("--json", "--fast"))["findings"] == []
    found = json.loads(store.fsck("--json", status=1))["findings"]
    assert sorted((f["kind"], f["bucket"], f["key"]) for f in found) == [
        ("block-damaged", BUCKET, "copy"), ("block-damaged", BUCKET, "dir/dam\naged")]
    lines = store.fsck(status=1).splitlines()
    assert len(lines) == 3
    assert any(line.startswith(f"block-damaged {BUCKET}/copy: ") for line in lines)
    assert any(line.startswith(f"block-damaged {BUCKET}/dir/dam%0Aaged: ") for line in lines)
    assert lines[2].endswith("2 findings")
