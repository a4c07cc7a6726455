"""What an independent reader finds in the volumes is what the daemon serves: docs/format/ says all that is needed."""
import os
import random
import shutil
import subprocess

import pytest

from daemon import BUILD, Daemon, wait_until
from reader import Damaged, Store

MIB = 1024 * 1024
RESTFS = os.path.join(BUILD, "restfs")


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def write(d, seed):
    """Objects of every kind of content, changed and removed again."""
    s3 = d.client()
    for name in ("plain", "packed", "shared", "gone"):
        s3.create_bucket(Bucket=name)
    for name, option in (("packed", "--compress=on"), ("shared", "--deduplicate=on")):
        subprocess.run([RESTFS, "--data", d.data, "bucket", "set", name, option], check=True, stdout=subprocess.DEVNULL)
    for i in range(25):
        s3.put_object(Bucket="plain", Key=f"a/{i % 3}/b{i}", Body=noise(seed + i, i * 1700), ContentType="text/x", Metadata={"n": str(i)})
        s3.put_object(Bucket="packed", Key=f"text{i}", Body=f"line {i} ".encode() * (300 * i))
        s3.put_object(Bucket="shared", Key=f"same{i}", Body=noise(seed + i % 4, 40000))
    s3.put_object(Bucket="plain", Key="marker/", Body=b"")
    s3.put_object(Bucket="plain", Key="empty", Body=b"")
    s3.put_object(Bucket="plain", Key="large", Body=noise(seed, 3 * MIB + 12345))
    s3.put_object(Bucket="packed", Key="large", Body=b"0123456789abcdef" * 200000)
    for i in range(2):
        s3.put_object(Bucket="shared", Key=f"large{i}", Body=noise(seed, 2 * MIB) + bytes([i]) * 1000)
    upload = s3.create_multipart_upload(Bucket="plain", Key="parts")["UploadId"]
    parts = [noise(seed + 1, 6 * MIB), noise(seed + 2, 5 * MIB), noise(seed + 3, 100)]
    tags = [s3.upload_part(Bucket="plain", Key="parts", UploadId=upload, PartNumber=n + 1, Body=part)["ETag"] for n, part in enumerate(parts)]
    s3.complete_multipart_upload(Bucket="plain", Key="parts", UploadId=upload,
                                 MultipartUpload={"Parts": [{"PartNumber": n + 1, "ETag": tag} for n, tag in enumerate(tags)]})
    s3.copy_object(Bucket="plain", Key="copy", CopySource={"Bucket": "plain", "Key": "parts"})
    for key, *change in (("large", "--offset=1048570", "--text=over two blocks"), ("large", "--size=2M"), ("parts", "--offset=11M", "--text=in the second"),
                         ("a/1/b1", "--size=20M"), ("a/1/b1", "--offset=7M", "--text=between two holes")):
        subprocess.run([RESTFS, "--data", d.data, "debug", "write", "plain", key, *change], check=True, stdout=subprocess.DEVNULL)
    for i in range(0, 25, 4):
        s3.delete_object(Bucket="plain", Key=f"a/{i % 3}/b{i}")
        s3.put_object(Bucket="packed", Key=f"text{i}", Body=b"short")
    s3.delete_bucket(Bucket="gone")


def served(d):
    s3 = d.client()
    found = {}
    for bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        found[bucket] = {}
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                got = s3.get_object(Bucket=bucket, Key=item["Key"])
                found[bucket][item["Key"]] = got["Body"].read(), item["ETag"].strip('"'), got["ContentType"], got["Metadata"]
    return found


def read(data):
    store = Store(data)
    found = {}
    for name, bucket in store.buckets().items():
        keys = bucket.keys()
        found[name] = {key.decode(): (bucket.read(v.content), v.etag, v.content_type.decode() or "binary/octet-stream",
                                      {k.decode().removeprefix("x-amz-meta-"): value.decode() for k, value in v.properties.items()})
                       for key, v in keys.items()}
        assert (bucket.counter(1), bucket.counter(2)) == (len(keys), sum(v.content.size for v in keys.values()))
    return store, found


def check(d, expected):
    store, found = read(d.data)
    assert {name: list(keys) for name, keys in found.items()} == {name: list(keys) for name, keys in expected.items()}
    assert found == expected
    return store


def test_a_killed_store(own_store):
    d = own_store.start()
    write(d, 1)
    expected = served(d)
    d.kill()
    store = check(d, expected)
    assert store.batches > 100 and store.from_checkpoint == 0 and len(store.volumes) > 3


def test_a_store_with_a_checkpoint_in_place_of_its_journal(own_store):
    d = own_store.start()
    write(d, 2)
    s3 = d.client()
    for i in range(150):
        s3.put_object(Bucket="plain", Key=f"garbage{i}", Body=noise(i, 25000))
    s3.delete_objects(Bucket="plain", Delete={"Objects": [{"Key": f"garbage{i}"} for i in range(150)]})

    def has_checkpoint():  # when the reaper has been there
        subprocess.run([RESTFS, "--data", d.data, "compact"], check=True, stdout=subprocess.DEVNULL)
        return list((d.data / "volumes").glob("*.checkpoint"))

    wait_until(has_checkpoint)
    d.client().put_object(Bucket="plain", Key="later", Body=b"later")
    expected = served(d)
    assert d.stop() == 0
    store = check(d, expected)
    assert store.from_checkpoint > 100 and 0 < store.batches < 300  # of more than 500
    assert all(volume.seal() is not None for volume in store.volumes.values() if volume.path.stat().st_mode & 0o777 == 0o400)
    d.start()
    assert served(d) == expected


def test_what_is_damaged_is_not_read(own_store):
    d = own_store.start()
    write(d, 3)
    expected = served(d)
    d.kill()
    rng = random.Random(5)
    shutil.copytree(d.data / "volumes", d.directory / "whole" / "volumes")
    for _ in range(4):
        path = rng.choice(sorted((d.directory / "whole" / "volumes").glob("*.vol")))
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            found = read(d.directory / "whole")[1]
            for name, keys in found.items():  # it was in what nothing names, or in the end of the journal
                assert keys.items() <= expected[name].items()
        except Damaged:
            pass
        data[at:at + 1] = (d.data / "volumes" / path.name).read_bytes()[at:at + 1]
        path.write_bytes(data)
    check(d, expected)


@pytest.fixture
def own_store():
    d = Daemon("--set", "journal.volume_bytes=3000000", "--set", "debug=true")
    yield d
    d.finish()
