"""Damage under a running daemon: never given to anybody, told by bucket and key, found by reads, `restfs verify` and the scrub."""
import json
import mmap
import os
import random
import re
import subprocess
import urllib.request

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from daemon import BUILD, PATIENCE_SECONDS, flip, wait_until

BUCKET = "scrubbed"
SMALL = random.Random(1).randbytes(5000)
LARGE = random.Random(2).randbytes(3 * 1048576 + 77)
KEY = "dir/ein schlüssel"


@pytest.fixture
def store(own_daemon):
    s3 = own_daemon.client()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="whole", Body=b"whole")
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=SMALL)
    s3.put_object(Bucket=BUCKET, Key="large", Body=LARGE)
    return own_daemon


def restfs(daemon, *arguments, status=0):
    done = subprocess.run([os.path.join(BUILD, "restfs"), "--data", daemon.data, "--json", *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def metric(daemon, name):
    with urllib.request.urlopen(daemon.admin + "/metrics") as answer:
        return int(re.search(rf"^{name} (\d+)$", answer.read().decode(), re.M).group(1))


def damage(daemon, body, at=100):
    daemon.damaged = True
    flip(daemon, body, at)


def get(daemon, key, **options):
    return daemon.client().get_object(Bucket=BUCKET, Key=key, **options)["Body"].read()


def known(daemon):
    return [(d["bucket"], d["key"], d["found_by"]) for d in restfs(daemon, "scrub", "status")["damaged"]]


def test_a_whole_bucket_is_verified(store):
    assert restfs(store, "verify", BUCKET) == {
        "objects": 3, "bytes": 5 + 16 + len(SMALL) + 16 + len(LARGE) + 4 * 8 + 8 * ((len(LARGE) + 65535) // 65536), "damaged_objects": 0, "damaged": []}
    assert known(store) == []
    assert metric(store, "restfs_damaged_objects") == 0


def test_a_bucket_has_the_sizes_of_its_objects_and_verify_read_blocks(store):
    """As the help of both says: compressed, once for each object that has a block, and parts of uploads too."""
    s3, name, body = store.client(), "counted", os.urandom(300000)
    s3.create_bucket(Bucket=name)

    def counted():
        info, verified = restfs(store, "bucket", "info", name), restfs(store, "verify", name)
        return (info["objects"], info["bytes"]), (verified["objects"], verified["bytes"])

    s3.put_object(Bucket=name, Key="a", Body=body)
    (objects, size), (seen, once) = counted()
    assert (objects, size, seen) == (1, len(body), 1) and len(body) < once < len(body) + 100
    s3.copy_object(Bucket=name, Key="copy", CopySource=f"{name}/a")
    assert counted() == ((2, 2 * len(body)), (2, 2 * once))
    upload = s3.create_multipart_upload(Bucket=name, Key="upload")["UploadId"]
    s3.upload_part(Bucket=name, Key="upload", UploadId=upload, PartNumber=1, Body=body)
    assert counted() == ((2, 2 * len(body)), (2, 3 * once))
    restfs(store, "bucket", "set", name, "--compress=on")
    s3.put_object(Bucket=name, Key="b", Body=b"compress" * 100000)
    (objects, size), (seen, read) = counted()
    assert (objects, size, seen) == (3, 2 * len(body) + 800000, 3) and 3 * once < read < 3 * once + 80000
    for words, said in [(("bucket", "info"), "as clients read them"), (("verify",), "what was read of the disk"), (("scrub", "status"), "bytes as in verify")]:
        done = subprocess.run([os.path.join(BUILD, "restfs"), *words, "--help"], capture_output=True, text=True, check=True)
        assert said in " ".join(done.stdout.split()), done.stdout


def test_damaged_bytes_are_not_served_and_the_read_tells(store):
    damage(store, SMALL)
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            get(store, KEY)
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert re.fullmatch("block [0-9]+: The stored data fails its checksum", error.value.response["Error"]["Message"])
    assert known(store) == [(BUCKET, KEY, "read")]
    assert metric(store, "restfs_damaged_objects") == 1
    assert store.log().count(f"object {BUCKET}/{KEY} is damaged, found by a read") == 1
    assert get(store, "whole") == b"whole"


def test_a_large_object_is_given_up_to_its_damage(store):
    damage(store, LARGE[2 * 1048576:2 * 1048576 + 60000])
    assert get(store, "large", Range="bytes=0-1999999") == LARGE[:2000000]
    assert known(store) == []
    with pytest.raises((BotoCoreError, ClientError)):
        get(store, "large")
    assert known(store) == [(BUCKET, "large", "read")]
    with pytest.raises((BotoCoreError, ClientError)):
        get(store, "large", Range="bytes=2097200-2097300")


def test_a_copy_of_damaged_bytes_is_refused(store):
    damage(store, SMALL)
    s3 = store.client()
    s3.create_bucket(Bucket="other")
    with pytest.raises(ClientError):
        s3.copy_object(Bucket="other", Key="copy", CopySource={"Bucket": BUCKET, "Key": KEY})
    assert known(store) == [(BUCKET, KEY, "read")]
    assert "Contents" not in s3.list_objects_v2(Bucket="other")


def test_verify_names_what_is_damaged(store):
    damage(store, SMALL)
    damage(store, LARGE[1048576 + 700000:1048576 + 800000])
    found = restfs(store, "verify", BUCKET, status=1)
    assert found["objects"] == 3
    assert found["damaged_objects"] == 2
    assert sorted((d["bucket"], d["key"]) for d in found["damaged"]) == [(BUCKET, KEY), (BUCKET, "large")]
    assert sorted(known(store)) == [(BUCKET, KEY, "verify"), (BUCKET, "large", "verify")]
    text = subprocess.run([os.path.join(BUILD, "restfs"), "--data", store.data, "verify", BUCKET], capture_output=True, text=True).stdout
    assert KEY in text and re.search(r"^damaged_objects +2$", text, re.M)


def test_the_scrub_finds_damage_and_forgets_what_was_replaced(store):
    damage(store, SMALL)
    restfs(store, "scrub", "start")
    wait_until(lambda: not restfs(store, "scrub", "status")["running"])
    status = restfs(store, "scrub", "status")
    assert (status["objects"], status["damaged_in_round"]) == (3, 1)
    assert status["finished"] is not None
    text = subprocess.run([os.path.join(BUILD, "restfs"), "--data", store.data, "scrub", "status"], capture_output=True, text=True).stdout
    assert re.search(r"^damaged_in_round +1$", text, re.M) and KEY in text
    assert known(store) == [(BUCKET, KEY, "scrub")]
    assert metric(store, "restfs_scrub_rounds_total") == 1
    assert metric(store, "restfs_scrub_objects_total") == 3
    store.client().put_object(Bucket=BUCKET, Key=KEY, Body=SMALL)
    assert known(store) == []
    assert metric(store, "restfs_damaged_objects") == 0
    assert restfs(store, "verify", BUCKET)["damaged"] == []


def test_a_volume_that_is_not_there_is_told_before_it_is_read(store):
    store.damaged = True
    store.kill()
    store.start().stop()  # with another volume behind it
    volume, = (path for path in (store.data / "volumes").glob("*.vol") if path.read_bytes()[12] == 2)
    volume.unlink()
    store.start()
    restfs(store, "compact")
    assert metric(store, "restfs_store_missing_volumes") == 1
    assert any("not there" in problem for problem in restfs(store, "status", status=1)["problems"])
    assert f"volume {volume.stem} is not there" in store.log()


def test_the_scrub_begins_by_itself_and_again(own_daemon):
    own_daemon.stop()
    own_daemon.start("--set", "scrub.interval=100")
    wait_until(lambda: metric(own_daemon, "restfs_scrub_rounds_total") >= 2)


def bytes_from_disk(pid):
    with open(f"/proc/{pid}/io") as f:
        return int(re.search(r"^read_bytes: (\d+)$", f.read(), re.M).group(1))


def can_be_read_directly(path):
    """And is that counted?"""
    page = mmap.mmap(-1, 4096)
    before = bytes_from_disk("self")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return False
    os.readv(fd, [page])
    os.close(fd)
    return bytes_from_disk("self") > before


def test_damage_is_looked_for_on_the_disk_and_not_in_memory(store):
    if not can_be_read_directly(next((store.data / "volumes").glob("*.vol"))):
        pytest.skip("this file system keeps files in memory")
    assert get(store, "large") == LARGE  # the page cache has it
    for begin in (("verify", BUCKET), ("scrub", "start")):
        before = bytes_from_disk(store.process.pid)
        restfs(store, *begin)
        wait_until(lambda: not restfs(store, "scrub", "status")["running"])
        assert bytes_from_disk(store.process.pid) - before >= len(LARGE) + len(SMALL)


def test_the_last_round_is_told_after_a_restart(store):
    restfs(store, "scrub", "start")
    wait_until(lambda: not restfs(store, "scrub", "status")["running"])
    status = restfs(store, "scrub", "status")
    store.kill()
    store.start()
    assert restfs(store, "scrub", "status") == status
    assert (status["objects"], status["damaged_in_round"]) == (3, 0) and status["finished"]


def find(daemon, how):
    """As many objects as are damaged."""
    if how == "read":
        with pytest.raises(ClientError):
            get(daemon, KEY)
    elif how == "verify":
        restfs(daemon, "verify", BUCKET, status=1)
    else:
        restfs(daemon, "scrub", "start")
        wait_until(lambda: not restfs(daemon, "scrub", "status")["running"])


@pytest.mark.parametrize("how", ["read", "verify", "scrub"])
def test_what_is_damaged_is_known_after_a_restart(store, how):
    damage(store, SMALL)
    find(store, how)
    told = restfs(store, "scrub", "status")["damaged"]
    assert [d["found_by"] for d in told] == [how]
    store.stop() if how == "read" else store.kill()  # what readers find is written a second later
    store.start()
    assert metric(store, "restfs_damaged_objects") == 1  # which alerts read
    assert restfs(store, "scrub", "status")["damaged"] == told
    assert restfs(store, "status", status=1)["problems"] == ["1 object is damaged: restfs scrub status names them"]
    store.client().put_object_acl(Bucket=BUCKET, Key=KEY, ACL="public-read")  # of which its bytes do not get better
    assert known(store) == [(BUCKET, KEY, how)]
    store.client().put_object(Bucket=BUCKET, Key=KEY, Body=SMALL)
    wait_until(lambda: metric(store, "restfs_damaged_objects") == 0)  # nobody has to ask
    store.stop()
    store.start()
    assert known(store) == []
    assert restfs(store, "status")["healthy"]


@pytest.mark.parametrize("how", ["verify", "scrub"])
def test_what_can_be_read_again_is_damaged_no_more(store, how):
    damage(store, SMALL)
    damage(store, LARGE[:60000])
    restfs(store, "verify", BUCKET, status=1)
    store.kill()
    flip(store, LARGE[200:60000], at=-100)  # the bit goes back
    store.start()
    assert len(known(store)) == 2
    find(store, how) if how == "scrub" else restfs(store, "verify", BUCKET, status=1)
    assert known(store) == [(BUCKET, KEY, "verify")]
    assert f"object {BUCKET}/large can be read again" in store.log()
    store.kill()
    store.start()
    assert known(store) == [(BUCKET, KEY, "verify")]


def test_what_is_known_to_be_damaged_is_not_copied(store):
    s3 = store.client()
    damage(store, SMALL)
    restfs(store, "verify", BUCKET, status=1)
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": KEY})
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [KEY, "large", "whole"]
    s3.copy_object(Bucket=BUCKET, Key=KEY, CopySource={"Bucket": BUCKET, "Key": KEY}, MetadataDirective="REPLACE", Metadata={"state": "damaged"})
    assert s3.head_object(Bucket=BUCKET, Key=KEY)["Metadata"] == {"state": "damaged"}
    assert known(store) == [(BUCKET, KEY, "verify")]
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "large"})
    assert get(store, "copy") == LARGE


def test_what_is_known_to_be_damaged_becomes_no_part_of_an_object(store):
    s3 = store.client()
    upload = {"Bucket": BUCKET, "Key": "upload", "UploadId": s3.create_multipart_upload(Bucket=BUCKET, Key="upload")["UploadId"]}
    body = random.Random(3).randbytes(5000)
    parts = {"Parts": [{"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=body)["ETag"]}]}
    damage(store, body)
    assert [d["key"] for d in restfs(store, "verify", BUCKET, status=1)["damaged"]] == ["upload"]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert error.value.response["Error"]["Code"] == "InvalidPart" and "part 1 is damaged" in error.value.response["Error"]["Message"]
    assert known(store) == [(BUCKET, "upload", "verify")]
    s3.upload_part(**upload, PartNumber=1, Body=body)
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert get(store, "upload") == body and known(store) == []


def test_a_slow_scrub_does_not_keep_the_daemon(store):
    """At 4 KiB a second it would take a quarter of an hour."""
    store.stop()
    store.start("--set", "scrub.rate=4096", "--set", "scrub.verify_rate=4096")
    restfs(store, "scrub", "start")
    with subprocess.Popen([os.path.join(BUILD, "restfs"), "--data", store.data, "verify", BUCKET], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as verify:
        wait_until(lambda: restfs(store, "scrub", "status")["bytes"] > 0)
        assert store.stop() == 0
        assert verify.wait(PATIENCE_SECONDS) == 1
