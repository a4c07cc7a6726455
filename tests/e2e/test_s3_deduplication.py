"""A bucket that stores equal blocks once: turned on by an administrator, seen in what is written to the volumes."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import urllib.request

import botocore.exceptions

from daemon import BINARY, PATIENCE_SECONDS, wait_until
from raw_s3 import RawS3

RESTFS = pathlib.Path(BINARY).parent / "restfs"
MIB = 1024 * 1024
ROWS = 64 * 1024  # what rows may cost, with room
MANY_PARTS = int(os.environ.get("RESTFS_PARTS", "100"))


def restfs(daemon, *arguments):
    return subprocess.run([RESTFS, "--data", daemon.data, *arguments], check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS).stdout


def deduplicate(daemon, bucket, state="on"):
    restfs(daemon, "bucket", "set", bucket, f"--deduplicate={state}")


def volumes_written(daemon):
    """Bytes of bulk volumes, which are as long as what is in them, and bytes that went to the journal, which is the first volume here."""
    bulk = sum(path.stat().st_size for path in (pathlib.Path(daemon.data) / "volumes").iterdir() if int(path.stem, 16) > 1)
    with urllib.request.urlopen(daemon.admin + "/metrics") as answer:
        return bulk + int(float(re.search(rb"^restfs_journal_bytes_total (\S+)$", answer.read(), re.M).group(1)))


class Written:
    """`with Written(daemon) as w`: w.bytes afterwards."""

    def __init__(self, daemon):
        self.daemon = daemon

    def __enter__(self):
        self.before = volumes_written(self.daemon)
        return self

    def __exit__(self, *error):
        self.bytes = volumes_written(self.daemon) - self.before


def body(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def stored_anew(daemon, s3, bucket, content):
    """Nothing has the blocks of `content` any more: behind the reaper, for which `compact` waits, they have to be written again."""
    restfs(daemon, "compact")
    with Written(daemon) as w:
        s3.put_object(Bucket=bucket, Key="anew", Body=content)
    s3.delete_object(Bucket=bucket, Key="anew")
    assert w.bytes >= len(content)


def test_equal_bodies_take_the_space_of_one(own_daemon, bucket_name, rng):
    s3 = own_daemon.client()
    s3.create_bucket(Bucket=bucket_name)
    for size in (10_000, 300_000, 3 * MIB + 17):
        content = rng.randbytes(size)
        for state, times in (("off", 2), ("on", 1), ("on", 0), ("off", 1), ("on", 0)):
            deduplicate(own_daemon, bucket_name, state)
            with Written(own_daemon) as w:
                s3.put_object(Bucket=bucket_name, Key=f"{size}-1", Body=content)
                if state == "off" and times == 2:
                    s3.put_object(Bucket=bucket_name, Key=f"{size}-2", Body=content)
                if state == "on" and times == 1:  # its blocks stay, however soon those that are replaced go
                    s3.put_object(Bucket=bucket_name, Key=f"{size}-3", Body=content)
            assert times * size <= w.bytes < times * size + ROWS, (size, state, times)
        assert body(s3, bucket_name, f"{size}-1") == body(s3, bucket_name, f"{size}-2") == content
    assert re.search(r"^deduplicate +yes$", restfs(own_daemon, "bucket", "info", bucket_name), re.M)


def test_copies_and_parts_are_references(own_daemon, bucket_name, rng):
    s3 = own_daemon.client()
    other = bucket_name + "-other"
    part, tail = rng.randbytes(5 * MIB), rng.randbytes(1000)
    for name in (bucket_name, other):
        s3.create_bucket(Bucket=name)
        deduplicate(own_daemon, name)
    s3.put_object(Bucket=bucket_name, Key="part", Body=part)
    with Written(own_daemon) as w:
        upload = s3.create_multipart_upload(Bucket=bucket_name, Key="big")["UploadId"]
        parts = [{"PartNumber": i + 1, "ETag": s3.upload_part(Bucket=bucket_name, Key="big", UploadId=upload, PartNumber=i + 1, Body=b)["ETag"]}
                 for i, b in enumerate([part, part, tail])]
        parts.append({"PartNumber": 4, "ETag": s3.upload_part_copy(
            Bucket=bucket_name, Key="big", UploadId=upload, PartNumber=4, CopySource=f"{bucket_name}/part")["CopyPartResult"]["ETag"]})
        del parts[2]
        s3.complete_multipart_upload(Bucket=bucket_name, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
        s3.copy_object(Bucket=bucket_name, Key="copy", CopySource=f"{bucket_name}/big")
    assert w.bytes < ROWS
    with Written(own_daemon) as w:  # buckets share nothing, and three equal parts are one
        s3.copy_object(Bucket=other, Key="copy", CopySource=f"{bucket_name}/big")
    assert len(part) <= w.bytes < len(part) + ROWS
    for key in ("part", "big"):
        s3.delete_object(Bucket=bucket_name, Key=key)
    assert body(s3, bucket_name, "copy") == body(s3, other, "copy") == 3 * part
    s3.delete_object(Bucket=bucket_name, Key="copy")
    stored_anew(own_daemon, s3, bucket_name, part)
    assert body(s3, other, "copy") == 3 * part


def test_compression_and_deduplication_go_together(own_daemon, bucket_name, rng):
    s3 = own_daemon.client()
    content = rng.randbytes(MIB).hex().encode()
    s3.create_bucket(Bucket=bucket_name)
    restfs(own_daemon, "bucket", "set", bucket_name, "--compress=on", "--deduplicate=on")
    with Written(own_daemon) as first:
        s3.put_object(Bucket=bucket_name, Key="a", Body=content)
    assert ROWS < first.bytes < len(content) * 3 // 4
    with Written(own_daemon) as second:
        s3.put_object(Bucket=bucket_name, Key="b", Body=content)
    assert second.bytes < ROWS
    s3.delete_object(Bucket=bucket_name, Key="a")
    assert body(s3, bucket_name, "b") == content
    assert s3.get_object(Bucket=bucket_name, Key="b", Range="bytes=1048000-1050000")["Body"].read() == content[1048000:1050001]


def test_a_killed_daemon_leaves_every_reference_right(own_daemon, bucket_name, rng):
    """Few bodies with blocks in common, put and deleted by several clients under kills: what was acknowledged is there, and all goes with the last name."""
    blocks = [rng.randbytes(MIB) for _ in range(4)]
    bodies = [blocks[0][:5000], blocks[0][:300_000], b"".join(blocks), b"".join(blocks[::-1]) + blocks[1], blocks[2] * 3 + b"tail"]
    own_daemon.client().create_bucket(Bucket=bucket_name)
    deduplicate(own_daemon, bucket_name)
    states = {}  # of a key: what it may hold
    answers = []

    def client(number, seed):
        s3 = own_daemon.client(retries={"max_attempts": 0})
        random = type(rng)(seed)
        while True:
            key = f"{number}-{random.randrange(3)}"
            want = random.choice(bodies + [None])
            states[key] = states.get(key, {None}) | {want}
            try:
                if want is None:
                    s3.delete_object(Bucket=bucket_name, Key=key)
                else:
                    s3.put_object(Bucket=bucket_name, Key=key, Body=want)
            except botocore.exceptions.BotoCoreError:  # the connection; an error answer is a failure
                return
            states[key] = {want}
            answers.append(key)

    for _ in range(3):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(client, number, rng.random()) for number in range(4)]
            enough = len(answers) + rng.randrange(20, 80)
            wait_until(lambda: len(answers) >= enough)
            own_daemon.kill()
            for r in running:
                r.result()
        own_daemon.start()
        s3 = own_daemon.client()
        for key, may in states.items():
            try:
                now = body(s3, bucket_name, key)
            except s3.exceptions.NoSuchKey:
                now = None
            assert now in may, key
            states[key] = {now}
    for key in states:
        s3.delete_object(Bucket=bucket_name, Key=key)
    stored_anew(own_daemon, s3, bucket_name, b"".join(blocks))
    stored_anew(own_daemon, s3, bucket_name, bodies[0])


def test_many_parts_that_are_equal_become_one_object(own_daemon, bucket_name):
    s3 = own_daemon.client()
    s3.create_bucket(Bucket=bucket_name)
    deduplicate(own_daemon, bucket_name)
    part = os.urandom(5 * MIB)
    name = {"Bucket": bucket_name, "Key": "k"}
    s3.put_object(Bucket=bucket_name, Key="from", Body=part)
    name["UploadId"] = s3.create_multipart_upload(**name)["UploadId"]

    def copy(first):
        raw, tags = RawS3(own_daemon), {}
        for number in range(first, MANY_PARTS + 1, 4):
            answer = raw.request("PUT", f"/{bucket_name}/k", [("partNumber", str(number)), ("uploadId", name["UploadId"])],
                                 {"x-amz-copy-source": f"{bucket_name}/from"})
            tags[number] = answer.root().findtext("ETag")
        raw.close()
        return tags

    with Written(own_daemon) as written, concurrent.futures.ThreadPoolExecutor(4) as pool:
        tags = {number: tag for some in pool.map(copy, range(1, 5)) for number, tag in some.items()}
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(tags.items())]
        s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **name)
    assert written.bytes < MIB + MANY_PARTS * ROWS
    size, end = MANY_PARTS * len(part), (MANY_PARTS - 1) * len(part)
    assert s3.head_object(Bucket=bucket_name, Key="k")["ContentLength"] == size
    across = s3.get_object(Bucket=bucket_name, Key="k", Range=f"bytes={end - 100}-{end + 99}")["Body"].read()
    assert across == part[-100:] + part[:100]
