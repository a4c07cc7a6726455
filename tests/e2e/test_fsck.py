"""`restfs fsck`: what it says of stores that are whole and of such as are not."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from daemon import BINARY, PATIENCE_SECONDS, Daemon, flip, wait_until

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
    store.client().create_bucket(Bucket="removed")
    store.client().delete_bucket(Bucket="removed")
    store.stop()
    assert store.fsck() == f"1 bucket, 3 objects of {2 * len(BODY) + 5} bytes, 2 blocks of {len(BODY) + 5 + 32} bytes: 0 findings\n"
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
        ("block-damaged", BUCKET, "copy"), ("block-damaged", BUCKET, "dir/dam\naged"), ("volume-damaged", "", "")]
    lines = store.fsck(status=1).splitlines()
    assert len(lines) == 4
    assert any(line.startswith(f"block-damaged {BUCKET}/copy: ") for line in lines)
    assert any(line.startswith(f"block-damaged {BUCKET}/dir/dam%0Aaged: ") for line in lines)
    assert lines[3].endswith("3 findings")


def bulk_volume(daemon):
    volume, = (path for path in (daemon.data / "volumes").glob("*.vol") if path.read_bytes()[12] == 2)
    return volume


@pytest.mark.parametrize("loss", ["missing", "cut"])
def test_a_volume_that_is_missing_or_too_short_is_found_without_reading_it(store, loss):
    store.damaged = True
    store.client().put_object(Bucket=BUCKET, Key="large", Body=bytes(2_000_000))
    store.stop()
    volume = bulk_volume(store)
    if loss == "missing":
        volume.unlink()
    else:
        os.truncate(volume, volume.stat().st_size // 2)
    found = json.loads(store.fsck("--json", "--fast", status=1))["findings"]
    assert {(f["kind"], f["key"]) for f in found} == {("block-damaged", "large")}
    assert all(volume.stem in f["text"] for f in found)


@pytest.mark.parametrize("loss", ["missing", "another"])
def test_a_copy_that_would_not_start_without_its_key_is_told(store, loss):
    store.damaged = True
    store.stop()
    key = store.data / "master.key"
    key.unlink()
    if loss == "another":
        key.write_bytes(os.urandom(32))
    finding, = json.loads(store.fsck("--json", "--fast", status=1))["findings"]
    assert finding["kind"] == "master-key-wrong" and str(key) in finding["text"]
    assert key.exists() == (loss == "another")  # none is made


def owners(directory):
    return {path.lstat().st_uid for path in [directory, *directory.rglob("*")]}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")
@pytest.mark.parametrize("command, status", [("fsck", 0), ("salvage", 0)])
def test_root_leaves_a_store_to_its_owner(command, status):
    """What root made in it the daemon, which is another user, could not open."""
    nobody = 65534
    d = Daemon().start()
    place = pathlib.Path(tempfile.mkdtemp())  # where others may come, too
    try:
        d.client().create_bucket(Bucket=BUCKET)
        d.client().put_object(Bucket=BUCKET, Key="key", Body=BODY)
        d.kill()
        d.damaged = True
        shutil.rmtree(d.data / "index")
        place.chmod(0o755)
        data = place / "data"
        shutil.copytree(d.data, data, ignore=shutil.ignore_patterns("*.sock"))
        for path in [data, *data.rglob("*")]:
            os.chown(path, nobody, nobody)
        done = subprocess.run([BINARY.replace("restfsd", "restfs"), command, data], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == status, done.stdout + done.stderr
        assert owners(data) == {nobody}
        place.chmod(0o700)
        done = subprocess.run([BINARY.replace("restfsd", "restfs"), command, data], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == 2 and f"Permission denied (for user {nobody})" in done.stderr
    finally:
        shutil.rmtree(place)
        d.remove()


@pytest.mark.parametrize("command", ["fsck", "salvage"])
def test_a_file_is_no_store(tmp_path, command):
    (tmp_path / "file").touch()
    done = subprocess.run([BINARY.replace("restfsd", "restfs"), command, tmp_path / "file"], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (done.returncode, done.stderr) == (2, f"restfs: {tmp_path}/file: Not a directory\n")


def test_a_damaged_checkpoint_is_found_before_it_is_needed():
    d = Daemon("--set", "journal.volume_bytes=1048576", "--set", "journal.small_block_bytes=1048576").start()
    try:
        s3 = d.client()
        s3.create_bucket(Bucket=BUCKET)
        for number in range(12):
            s3.put_object(Bucket=BUCKET, Key=str(number % 2), Body=bytes([number]) * 500_000)

        def compacted():
            subprocess.run([BINARY.replace("restfsd", "restfs"), "--data", d.data, "compact"], check=True, timeout=PATIENCE_SECONDS, stdout=subprocess.DEVNULL)
            return list((d.data / "volumes").glob("*.checkpoint"))

        wait_until(compacted)  # the reaper comes first
        d.stop()
        assert json.loads(d.fsck("--json"))["findings"] == []
        checkpoint, = (d.data / "volumes").glob("*.checkpoint")
        data = bytearray(checkpoint.read_bytes())
        data[len(data) // 2] ^= 1
        checkpoint.chmod(0o600)
        checkpoint.write_bytes(data)
        found = json.loads(d.fsck("--json", status=1))["findings"]
        assert {f["kind"] for f in found} == {"volume-damaged"}
        assert any(f["text"] == f"volume {checkpoint.stem}: the checkpoint is damaged" for f in found)
        assert any("it is not there" in f["text"] for f in found)  # what only the checkpoint still has
        d.damaged = True
    finally:
        d.finish()
