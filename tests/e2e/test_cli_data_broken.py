"""What the client does when it is killed in the middle, and when a server breaks off or sends something else."""
import base64
import hashlib
import http.server
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading

import pytest

from cli import Restfs
from daemon import PATIENCE_SECONDS, wait_until

MIB = 1024 * 1024


@pytest.fixture
def restfs(daemon, tmp_path):
    return Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path)


def uploads(s3, bucket):
    return s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def parts(s3, bucket, key, upload):
    return {part["PartNumber"]: part["LastModified"] for part in s3.list_parts(Bucket=bucket, Key=key, UploadId=upload).get("Parts", [])}


def upload_is_gone_on_with(restfs, s3, bucket, key, upload, *words):
    """By that command, without a part that was there being sent again."""
    before = parts(s3, bucket, key, upload)
    seen = {}
    process = restfs.start(*words)

    def look():
        try:
            seen.update(parts(s3, bucket, key, upload))
        except s3.exceptions.NoSuchUpload:
            pass
        return process.poll() is not None

    wait_until(look)
    assert process.wait() == 0, process.communicate()
    assert {number: seen[number] for number in before} == before, "parts that were there were sent again"
    assert uploads(s3, bucket) == []


def kill_in_upload(restfs, s3, bucket, path):
    """The upload that is left, with some of its parts."""
    process = restfs.start("cp", path, f"s3://{bucket}/large", "--part-size=5M", "--parallel=1", "--limit-rate=20M")
    wait_until(lambda: process.poll() is not None or any(len(parts(s3, bucket, "large", u["UploadId"])) >= 2 for u in uploads(s3, bucket)))
    process.kill()
    process.communicate()
    upload, = uploads(s3, bucket)
    return upload["UploadId"]


def test_an_upload_that_was_killed_is_gone_on_with(restfs, s3, bucket, tmp_path, rng):
    body = rng.randbytes(40 * MIB)
    (tmp_path / "large").write_bytes(body)
    upload = kill_in_upload(restfs, s3, bucket, tmp_path / "large")
    upload_is_gone_on_with(restfs, s3, bucket, "large", upload, "cp", tmp_path / "large", f"s3://{bucket}/large", "--part-size=5M", "--parallel=1", "--limit-rate=20M")
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == body


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_says_that_the_same_command_goes_on(restfs, s3, bucket, tmp_path, rng, number):
    """And ends the script that it is in: the process ends by the signal."""
    (tmp_path / "large").write_bytes(rng.randbytes(40 * MIB))
    process = restfs.start("cp", tmp_path / "large", f"s3://{bucket}/large", "--part-size=5M", "--parallel=1", "--limit-rate=5M")
    wait_until(lambda: process.poll() is not None or uploads(s3, bucket))
    process.send_signal(number)
    said, complaints = process.communicate()
    assert (process.returncode, complaints) == (-number, b"") and said.endswith(b"; interrupted: the same command goes on from here\n")


def test_who_presses_ctrl_c_twice_is_not_kept_waiting(restfs, tmp_path):
    """A server that takes connections, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (tmp_path / "a").write_bytes(b"1")
        process = restfs.start("rm", "-r", "s3://bucket/a", f"--endpoint=http://127.0.0.1:{silent.getsockname()[1]}")
        silent.accept()[0].recv(1)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait() == -signal.SIGINT
        process.communicate()


def test_an_ignored_signal_stays_ignored(restfs, s3, bucket, tmp_path, rng):
    """As below nohup, or behind the & of a script."""
    (tmp_path / "large").write_bytes(rng.randbytes(20 * MIB))
    process = restfs.start("cp", tmp_path / "large", f"s3://{bucket}/large", "--part-size=5M", "--parallel=1", "--limit-rate=20M",
                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_until(lambda: process.poll() is not None or uploads(s3, bucket))
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0 and s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == 20 * MIB


def test_an_interrupted_mv_tells_all_that_it_moved(restfs, s3, bucket, tmp_path):
    """Of each object that is gone at the source it says so: what was sent is waited for."""
    (tmp_path / "t").mkdir()
    for number in range(4000):
        (tmp_path / "t" / f"{number:04d}").touch()
    restfs.run("sync", tmp_path / "t", f"s3://{bucket}/from")
    process = restfs.start("mv", "-rv", f"s3://{bucket}/from", f"s3://{bucket}/to")
    wait_until(lambda: process.poll() is not None or s3.list_objects_v2(Bucket=bucket, Prefix="to/").get("KeyCount", 0) > 100)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    left = len(restfs.run("ls", "-r", f"s3://{bucket}/from/").splitlines())
    told = re.search(rb"^moved: ([0-9]+) files", said, re.M)
    assert process.returncode == -signal.SIGINT and 0 < left < 4000 and int(told[1]) == 4000 - left == said.count(b"move s3:"), said[-300:]


def test_an_upload_of_another_file_is_left_alone(restfs, s3, bucket, tmp_path, rng):
    body = bytearray(rng.randbytes(40 * MIB))
    (tmp_path / "large").write_bytes(body)
    upload = kill_in_upload(restfs, s3, bucket, tmp_path / "large")
    body[3] ^= 1
    (tmp_path / "large").write_bytes(body)
    restfs.run("cp", tmp_path / "large", f"s3://{bucket}/large", "--part-size=5M")
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == body
    assert [u["UploadId"] for u in uploads(s3, bucket)] == [upload]


def test_two_uploads_of_one_file_at_once_do_not_share_one(restfs, s3, bucket, tmp_path, rng):
    body = rng.randbytes(20 * MIB)
    (tmp_path / "large").write_bytes(body)
    words = ("cp", tmp_path / "large", f"s3://{bucket}/large", "--part-size=5M", "--parallel=1")
    first = restfs.start(*words, "--limit-rate=10M")
    wait_until(lambda: first.poll() is not None or any(parts(s3, bucket, "large", u["UploadId"]) for u in uploads(s3, bucket)))
    first.send_signal(signal.SIGSTOP)
    begun = uploads(s3, bucket)
    restfs.run(*words)
    assert uploads(s3, bucket) == begun
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0, first.communicate()
    assert uploads(s3, bucket) == [] and s3.get_object(Bucket=bucket, Key="large")["Body"].read() == body


def part_of(path):
    """The file that `path` is in until it is whole; None: there is none."""
    return next(iter(path.parent.glob(f"{path.name}.*.restfs-part")), None)


def kill_in_download(restfs, s3, bucket, path, body):
    """What is left of it, from 10 MiB on."""
    s3.put_object(Bucket=bucket, Key="large", Body=body)
    process = restfs.start("cp", f"s3://{bucket}/large", path, "--part-size=5M", "--parallel=1", "--limit-rate=20M")
    wait_until(lambda: process.poll() is not None or (part_of(path) and part_of(path).read_bytes()[11 * MIB:11 * MIB + 64].strip(b"\0")))
    process.kill()
    process.communicate()
    return part_of(path)


@pytest.mark.parametrize("size, count", [(50000, 1000), (3 * MIB, 40), (40 * MIB, 3)])
def test_of_a_target_that_is_full_not_every_file_is_tried(restfs, s3, bucket, disk, size, count):
    for number in range(count):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=bytes(size))
    full = disk(disk.path / "full", 8)
    out = restfs.run("cp", "-r", f"s3://{bucket}", full, "--parallel=4", "--part-size=5M", status=1)
    lines = restfs.stderr.splitlines()
    assert 0 < len(lines) <= 5 and all(f" {full}/" in line and line.endswith(": cannot be written: No space left on device") for line in lines), lines
    assert b"given up, as there is no room: the same command goes on from here" in out


def test_who_interrupts_a_removal_is_told_what_is_gone(restfs, s3, bucket, tmp_path):
    for number in range(20000):
        (tmp_path / f"d{number % 20}").mkdir(exist_ok=True)
        (tmp_path / f"d{number % 20}" / str(number)).touch()
    for folder in tmp_path.glob("d*"):
        restfs.run("sync", folder, f"s3://{bucket}/{folder.name}")
    process = restfs.start("rm", "-r", f"s3://{bucket}/", "--parallel=2")
    wait_until(lambda: not s3.list_objects_v2(Bucket=bucket, Prefix="d0/0").get("KeyCount"))
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate()
    gone, left = len(out.splitlines()), len(restfs.run("ls", "-r", f"s3://{bucket}").splitlines())
    assert process.returncode == -signal.SIGINT and b"interrupted; what was removed was told" in errors
    assert 0 < gone < 20000 and gone + left == 20000


@pytest.mark.parametrize("command", [["mirror"], ["sync", "--delete"]])
def test_who_interrupts_a_mirror_that_removes_is_told_what_is_gone(restfs, s3, bucket, tmp_path, command):
    for name, count in (("before", 10000), ("now", 1)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number:04d}").touch()
    restfs.run("sync", tmp_path / "before", f"s3://{bucket}/t")
    process = restfs.start(*command, "-v", tmp_path / "now", f"s3://{bucket}/t")
    wait_until(lambda: process.poll() is not None or s3.list_objects_v2(Bucket=bucket, Prefix="t/0001").get("KeyCount") == 0)
    process.send_signal(signal.SIGINT)
    said, complaints = process.communicate()
    left = len(restfs.run("ls", "-r", f"s3://{bucket}/t/").splitlines())
    assert process.returncode == -signal.SIGINT and complaints == b"" and 1 < left < 10000
    assert said.count(b"remove s3:") == 10000 - left
    assert said.endswith(f"; removed: {10000 - left}; interrupted: the same command goes on from here\n".encode())


def test_a_removal_that_finds_nothing_to_remove_is_interrupted_too(fake):
    """Of a list that has no end."""
    def answer(request):
        fake.requests.append(request.command)
        number = len(fake.requests)
        request.reply(200, listing(content(f"{number:09d}"), f"<IsTruncated>true</IsTruncated><NextContinuationToken>t{number}</NextContinuationToken>"))

    fake.answer = answer
    process = fake.restfs.start("rm", "-r", "s3://bucket/", "--include=*.txt")
    wait_until(lambda: len(fake.requests) > 2)
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()
    assert set(fake.requests) == {"GET"}


def test_a_bench_that_is_interrupted_while_it_cleans_up_does_so(fake):
    may_go_on = threading.Event()

    def answer(request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fake.requests.append(request.command)
        if request.command == "GET":
            may_go_on.wait()
        request.reply(200, listing() if request.command == "GET" else b"", ETag=etag(body))

    fake.answer = answer
    process = fake.restfs.start("bench", "--duration=1", "--clients=1", "--mix=put:1")
    wait_until(lambda: process.poll() is not None or "GET" in fake.requests)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    may_go_on.set()
    said, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, b"") and b"\nput " in said and fake.requests[-1] == "DELETE"


def test_an_object_that_no_file_can_be_is_named(restfs, s3, bucket, tmp_path):
    for key, body in (("t/folder/", b""), ("t/full/", b"content"), ("t/file", b"1")):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    for words in (("cp", "-r"), ("sync",), ("mirror",), ("mv", "-r")):
        restfs.run(*words, f"s3://{bucket}/t", tmp_path / "down", status=1)
        assert "full/: its name is that of a directory, and it has content" in restfs.stderr and restfs.stderr.count("\n") == 1
    assert (tmp_path / "down" / "file").read_bytes() == b"1"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"] if o["Size"]] == ["t/full/"]
    s3.put_object(Bucket=bucket, Key="t/file", Body=b"1")
    restfs.run("diff", f"s3://{bucket}/t", tmp_path / "down", status=1)
    restfs.run("sync", f"s3://{bucket}/t", f"s3://{bucket}/u")
    assert s3.get_object(Bucket=bucket, Key="u/full/")["Body"].read() == b"content"


@pytest.mark.parametrize("is_up", [True, False])
def test_on_a_slow_link_too_what_was_sent_is_kept(restfs, s3, bucket, tmp_path, rng, is_up):
    """With as many parts at once as there are threads none of them would be whole for a long time."""
    body = rng.randbytes(64 * MIB)
    (tmp_path / "here").write_bytes(body)
    s3.put_object(Bucket=bucket, Key="there", Body=body)
    words = ("cp", tmp_path / "here", f"s3://{bucket}/up", "--part-size=5M") if is_up else ("cp", f"s3://{bucket}/there", tmp_path / "down", "--part-size=5M")
    for _ in range(12):  # 48 MiB a run; with all of 16 parts under way not one is whole
        process = restfs.start(*words, "--limit-rate=24M")
        try:
            process.wait(2)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    assert process.returncode == 0
    assert (s3.get_object(Bucket=bucket, Key="up")["Body"].read() if is_up else (tmp_path / "down").read_bytes()) == body


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_download_that_was_killed_is_gone_on_with(restfs, s3, bucket, tmp_path, rng, is_damaged):
    body = rng.randbytes(40 * MIB)
    words = ("cp", f"s3://{bucket}/large", tmp_path / "large", "--part-size=5M", "--parallel=1")
    part = kill_in_download(restfs, s3, bucket, tmp_path / "large", body)
    assert not (tmp_path / "large").exists() and part.read_bytes()[:10 * MIB] == body[:10 * MIB]
    if is_damaged:  # as a power cut may leave it
        with open(part, "r+b") as file:
            file.write(b"\0" * 100)
    restfs.run(*words)
    assert (tmp_path / "large").read_bytes() == body and not part.exists()


def test_what_is_named_like_a_part_is_like_anything_else(restfs, s3, bucket, tmp_path, rng):
    """Of two objects one took the other's place, of a user's file nothing was left, and uploads left it out without a word."""
    body = rng.randbytes(20 * MIB)
    s3.put_object(Bucket=bucket, Key="foo", Body=body)
    s3.put_object(Bucket=bucket, Key="foo.restfs-part", Body=b"precious")
    for number in range(3):
        to = tmp_path / str(number)
        to.mkdir()
        (to / "bar.restfs-part").write_bytes(b"mine")
        restfs.run("cp", "-r", f"s3://{bucket}", to)
        assert (to / "foo").read_bytes() == body and (to / "foo.restfs-part").read_bytes() == b"precious"
        assert (to / "bar.restfs-part").read_bytes() == b"mine" and len(list(to.iterdir())) == 3
    assert restfs.run("diff", f"s3://{bucket}", to, status=1).decode().splitlines() == [f"only in target: {to}/bar.restfs-part"]
    restfs.run("mirror", to, f"s3://{bucket}")
    assert s3.get_object(Bucket=bucket, Key="bar.restfs-part")["Body"].read() == b"mine"


def test_a_part_that_is_left_is_nobodys_file(restfs, s3, bucket, tmp_path, rng):
    down = tmp_path / "down"
    down.mkdir()
    part = kill_in_download(restfs, s3, bucket, down / "large", rng.randbytes(40 * MIB))
    (down / "other").write_bytes(b"1")
    restfs.run("sync", down, f"s3://{bucket}/up")
    assert f"{part}: left out: it is of a download that did not end" in restfs.stderr
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="up")["Contents"]] == ["up/other"]
    s3.put_object(Bucket=bucket, Key=f"parts/{part.name}", Body=b"x")
    before = part.read_bytes()
    for words in (("cp", "-r"), ("sync",), ("mv", "-r")):
        restfs.run(*words, f"s3://{bucket}/parts", down, status=1)
        assert "its name is that of a file which is not whole yet" in restfs.stderr
    assert part.read_bytes() == before and s3.get_object(Bucket=bucket, Key=f"parts/{part.name}")["Body"].read() == b"x"


def test_a_store_that_is_started_again_is_waited_for(own_daemon, tmp_path):
    restfs = Restfs(own_daemon.s3, own_daemon.access_key, own_daemon.secret_key, tmp_path)
    own_daemon.client().create_bucket(Bucket="again")
    (tmp_path / "up").mkdir()
    for number in range(1000):
        (tmp_path / "up" / f"{number}").write_bytes(b"x" * 1000)
    process = restfs.start("cp", "-r", tmp_path / "up", "s3://again", "--parallel=4", "--limit-rate=100K")
    wait_until(lambda: own_daemon.client().list_objects_v2(Bucket="again").get("KeyCount"))
    own_daemon.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(6)
    own_daemon.start("--s3", own_daemon.s3.removeprefix("http://"))
    assert process.communicate()[1] == b"" and process.returncode == 0
    assert own_daemon.client().list_objects_v2(Bucket="again")["KeyCount"] == 1000


def test_a_store_that_goes_before_its_first_answer_is_waited_for(own_daemon, tmp_path):
    """Of many threads one had a connection, and none an answer."""
    restfs = Restfs(own_daemon.s3, own_daemon.access_key, own_daemon.secret_key, tmp_path)
    own_daemon.client().create_bucket(Bucket="again")
    own_daemon.kill()
    address = own_daemon.s3.removeprefix("http://")
    (tmp_path / "up").mkdir()
    for number in range(100):
        (tmp_path / "up" / f"{number}").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", int(address.split(":")[1]))) as server:
        process = restfs.start("cp", "-r", tmp_path / "up", "s3://again", "--parallel=16")
        server.accept()[0].close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(6)
    own_daemon.start("--s3", address)
    assert process.communicate()[1] == b"" and process.returncode == 0
    assert own_daemon.client().list_objects_v2(Bucket="again")["KeyCount"] == 100


def test_of_a_store_that_has_gone_not_every_file_is_tried(own_daemon, tmp_path):
    restfs = Restfs(own_daemon.s3, own_daemon.access_key, own_daemon.secret_key, tmp_path)
    own_daemon.client().create_bucket(Bucket="gone")
    for number in range(3000):
        (tmp_path / f"up-{number % 10}").mkdir(exist_ok=True)
        (tmp_path / f"up-{number % 10}" / f"{number}").write_bytes(b"x" * 1000)
    process = restfs.start("cp", "-r", *sorted(tmp_path.glob("up-*")), "s3://gone", "--parallel=4", "--limit-rate=100K")
    wait_until(lambda: own_daemon.client().list_objects_v2(Bucket="gone").get("KeyCount"))
    own_daemon.kill()
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1 and b"given up, as the store does not answer: the same command goes on from here" in out
    assert len(errors.splitlines()) < 20, errors
    own_daemon.start()


@pytest.mark.parametrize("bucket_is_there, secret, why", [(False, None, "there is no such bucket"), (True, "wrong", "the store does not take the key")])
def test_what_no_file_is_taken_for_is_not_tried_with_every_file(restfs, bucket, tmp_path, bucket_is_there, secret, why):
    (tmp_path / "up").mkdir()
    for number in range(500):
        (tmp_path / "up" / f"{number}").write_bytes(b"x")
    if secret:
        restfs.environment["AWS_SECRET_ACCESS_KEY"] = secret
    out = restfs.run("cp", "-r", tmp_path / "up", f"s3://{bucket}" if bucket_is_there else "s3://not-there", "--parallel=4", status=1)
    assert out.endswith(f"; given up, as {why}: the same command goes on from here\n".encode())
    assert 0 < len(restfs.stderr.splitlines()) <= 4


# --- a server that lies ---------------------------------------------------------------------------------------------

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and a body are two writes

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.answer(self)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def reply(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if length is not None:
            self.close_connection = True


@pytest.fixture
def fake(tmp_path):
    """`answer` of it is what a test says; `.restfs` speaks to it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.restfs = Restfs(f"http://127.0.0.1:{server.server_port}", "key", "secret", tmp_path)
    server.requests = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def etag(body):
    return f'"{hashlib.md5(body).hexdigest()}"'


def test_a_download_that_breaks_off_goes_on_where_it_broke(fake, tmp_path):
    body = bytes(range(256)) * 4096

    def answer(request):
        start = int((request.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
        if request.command == "HEAD":
            return request.reply(200, body, ETag=etag(body))
        fake.requests.append((start, request.headers.get("If-Match")))
        rest = body[start:]
        headers = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        request.reply(206 if start else 200, rest[:300000], length=len(rest), ETag=etag(body), **headers)

    fake.answer = answer
    fake.restfs.run("cp", "s3://bucket/key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == body
    assert [start for start, _ in fake.requests] == [0, 300000, 600000, 900000]
    assert all(match == etag(body) for _, match in fake.requests[1:])


def test_where_a_file_cannot_be_put_nothing_is_left(fake, tmp_path):
    body = b"x" * MIB

    def answer(request):
        if request.command == "GET":
            (tmp_path / "file" / "in the way").mkdir(parents=True, exist_ok=True)
        request.reply(200, body, ETag=etag(body))

    fake.answer = answer
    fake.restfs.run("cp", "s3://bucket/key", tmp_path / "file", status=1)
    assert fake.restfs.stderr.count("\n") == 1 and "/file: cannot be written: Is a directory" in fake.restfs.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_store_without_room_ends_a_transfer(fake, tmp_path):
    (tmp_path / "up").mkdir()
    for number in range(200):
        (tmp_path / "up" / f"{number}").write_bytes(b"x")

    def answer(request):
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fake.requests.append(request.path)
        request.reply(507, b"<Error><Code>InsufficientStorage</Code><Message>The store is full</Message></Error>", Content_Type="application/xml")

    fake.answer = answer
    out = fake.restfs.run("cp", "-r", tmp_path / "up", "s3://bucket", "--parallel=4", status=1)
    assert b"; given up, as the store has no room: the same command goes on from here" in out
    assert 0 < fake.restfs.stderr.count("The store is full") <= 4 and len(set(fake.requests)) <= 4


def test_another_object_in_the_middle_is_refused(fake, tmp_path):
    body = b"x" * MIB

    def answer(request):
        if request.command == "HEAD":
            return request.reply(200, body, ETag='"one"')
        if request.headers.get("Range"):
            return request.reply(412)
        request.reply(200, body[:1000], length=len(body), ETag='"one"')

    fake.answer = answer
    fake.restfs.run("cp", "s3://bucket/key", tmp_path / "file", status=1)
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("headers", [{"ETag": etag(b"right")}, {"ETag": '"x-2"', "x_amz_checksum_crc64nvme": base64.b64encode(b"12345678").decode()},
                                     {"ETag": '"x-2"', "x_amz_checksum_sha256": base64.b64encode(hashlib.sha256(b"right").digest()).decode()}])
def test_content_that_is_not_what_its_checksum_says_is_refused(fake, tmp_path, headers):
    fake.answer = lambda request: request.reply(200, b"wrong", **headers)
    fake.restfs.run("cp", "s3://bucket/key", tmp_path / "file", status=1)
    assert "damaged" in fake.restfs.stderr
    assert [path.name for path in tmp_path.iterdir()] == []
    fake.restfs.run("cat", "s3://bucket/key", status=1)


@pytest.mark.parametrize("headers", [{"ETag": etag(b"something else")}, {"ETag": '"x"', "x_amz_checksum_crc64nvme": base64.b64encode(b"12345678").decode()}])
def test_a_store_that_keeps_something_else_is_seen(fake, tmp_path, headers):
    def answer(request):
        request.rfile.read(int(request.headers["Content-Length"]))
        request.reply(200, **headers)

    fake.answer = answer
    (tmp_path / "file").write_bytes(b"content")
    fake.restfs.run("mv", tmp_path / "file", "s3://bucket/key", status=1)
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_store_whose_objects_are_damaged_has_answered(fake, tmp_path):
    page = listing(*(content(f"{number:02}", 5) for number in range(30)))
    fake.answer = lambda request: request.reply(200, page) if "list-type" in request.path else request.reply(200, b"wrong", ETag=etag(b"right"))
    out = fake.restfs.run("cp", "-r", "s3://bucket", tmp_path / "to", "--parallel=4", status=1)
    assert out == b"downloaded: 0 files, 0 B; failed: 30\n" and fake.restfs.stderr.count("damaged") == 30


def test_a_store_that_says_what_is_the_same_has_answered(fake, tmp_path):
    """Between two requests that it does not answer."""
    (tmp_path / "up").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "up" / name).write_bytes(b"x")
    last = threading.Event()

    def answer(request):
        if request.command == "GET":
            return request.reply(200, listing("<Contents><Key>b</Key><Size>1</Size><ETag>&quot;x&quot;</ETag><LastModified>2020-01-01T00:00:00Z</LastModified></Contents>"))
        if request.command == "HEAD":
            last.wait(PATIENCE_SECONDS)
            return request.reply(200, length=1, ETag=etag(b"x"))
        if request.path.endswith("/c"):
            last.set()
        request.close_connection = True

    fake.answer = answer
    assert fake.restfs.run("sync", tmp_path / "up", "s3://bucket", "--parallel=2", status=1) == b"uploaded: 0 files, 0 B; the same: 1; failed: 2\n"


@pytest.mark.parametrize("status", [200, 301, 403])
def test_a_bucket_of_ones_own_is_there_already_whatever_the_store_answers(fake, status):
    fake.answer = lambda request: request.reply(*(status,) if request.command == "HEAD" else (409, b"<Error><Code>BucketAlreadyOwnedByYou</Code></Error>"))
    assert fake.restfs.run("mb", "s3://bucket") == b"already there s3://bucket\n"
    fake.answer = lambda request: request.reply(*(403,) if request.command == "HEAD" else (409, b"<Error><Code>BucketAlreadyExists</Code></Error>"))
    fake.restfs.run("mb", "s3://bucket", status=1)
    assert "BucketAlreadyExists" in fake.restfs.stderr


def test_a_busy_server_is_asked_again(fake, tmp_path):
    def answer(request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        fake.requests.append(body)
        if len(fake.requests) < 3:
            return request.reply(503, b"<Error><Code>SlowDown</Code><Message>slow</Message></Error>")
        request.reply(200, ETag=etag(body))

    fake.answer = answer
    fake.restfs.run("pipe", "s3://bucket/key", input=b"content")
    assert fake.requests == [b"content"] * 3


def test_a_refusal_is_not_repeated(fake):
    def answer(request):
        fake.requests.append(request.path)
        request.reply(403, b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>")

    fake.answer = answer
    fake.restfs.run("cat", "s3://bucket/key", status=1)
    assert fake.requests == ["/bucket/key"] and "AccessDenied: No" in fake.restfs.stderr


@pytest.mark.parametrize("host, is_signed", [("127.0.0.1", False), ("LOCALHOST", True)])
def test_bodies_are_signed_where_others_may_listen(fake, host, is_signed):
    def answer(request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        assert request.headers["x-amz-checksum-crc64nvme"]
        fake.requests.append(request.headers["x-amz-content-sha256"] == (hashlib.sha256(body).hexdigest() if is_signed else "UNSIGNED-PAYLOAD"))
        request.reply(200, ETag=etag(body))

    fake.answer = answer
    fake.restfs.environment["AWS_ENDPOINT_URL"] = f"http://{host}:{fake.server_port}"
    fake.restfs.run("pipe", "s3://bucket/key", input=b"content")
    assert fake.requests == [True]


def test_a_server_that_does_not_know_the_checksum_gets_none(fake, tmp_path, rng):
    stored = {}

    def answer(request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.command == "GET":
            request.reply(200, b"<ListMultipartUploadsResult/>")
        elif request.command == "POST" and request.path.endswith("?uploads"):
            knows = request.headers.get("x-amz-checksum-algorithm")
            request.reply(*(400, b"<Error><Code>InvalidArgument</Code></Error>") if knows else (200, b"<R><UploadId>u</UploadId></R>".replace(b"R", b"InitiateMultipartUploadResult")))
        elif request.command == "POST":
            assert b"Checksum" not in body and not request.headers.get("x-amz-checksum-crc64nvme")
            stored["whole"] = b"".join(stored[number] for number in range(1, len(stored) + 1))
            request.reply(200, b"<CompleteMultipartUploadResult/>")
        else:
            assert not request.headers.get("x-amz-checksum-crc64nvme")
            stored[int(request.path.split("partNumber=")[1].split("&")[0])] = body
            request.reply(200, ETag=etag(body))

    fake.answer = answer
    body = rng.randbytes(11 * MIB)
    (tmp_path / "file").write_bytes(body)
    fake.restfs.run("cp", tmp_path / "file", "s3://bucket/key", "--part-size=5M")
    assert stored["whole"] == body


@pytest.mark.parametrize("gib, part_size", [(1.5, None), (6, None), (6, "5G"), (2000, None)])
def test_copies_beyond_what_a_store_copies_at_once_go_in_parts(fake, gib, part_size):
    size = int(gib * 2**30) + 1
    ranges = {}

    def answer(request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.command == "HEAD":
            return request.reply(200, length=size, ETag='"source"')
        if request.command == "PUT":
            assert request.headers["x-amz-copy-source"] == "/bucket/key" and request.headers["x-amz-copy-source-if-match"] == '"source"'
            first, last = map(int, request.headers["x-amz-copy-source-range"].split("=")[1].split("-"))
            ranges[int(request.path.split("partNumber=")[1].split("&")[0])] = (first, last + 1)
            return request.reply(200, b"<CopyPartResult><ETag>&quot;x&quot;</ETag></CopyPartResult>")
        fake.requests.append(body.count(b"<Part>"))
        request.reply(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>" if "uploads" in request.path
                      else b"<CompleteMultipartUploadResult/>")

    fake.answer = answer
    fake.restfs.run("cp", "s3://bucket/key", "s3://bucket/to", *([f"--part-size={part_size}"] if part_size else []))
    spans = [ranges[number] for number in sorted(ranges)]
    assert spans[0][0] == 0 and spans[-1][1] == size and all(one[1] == two[0] for one, two in zip(spans, spans[1:]))
    assert max(end - start for start, end in spans) <= 5 * 2**30 and 1 < len(spans) <= 10000 and fake.requests == [0, len(spans)]


@pytest.mark.parametrize("status, has_checksum, is_kept", [(412, True, False), (403, True, False), (0, True, True), (0, False, False)])
def test_a_copy_in_parts_that_failed_is_kept_if_it_can_be_gone_on_with(fake, status, has_checksum, is_kept):
    """412: the source is another by now; 0: no answer, and no more by any."""
    checksum = {"x_amz_checksum_crc64nvme": base64.b64encode(b"12345678").decode()} if has_checksum else {}

    def answer(request):
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fake.requests.append(request.command)
        if request.command == "HEAD":
            return request.reply(200, length=12 * MIB, ETag='"source"', **checksum)
        if request.command == "GET":
            return request.reply(200, b"<ListMultipartUploadsResult/>")
        if request.command == "PUT" and not status:
            request.close_connection = True
            return request.connection.close()
        request.reply(status if request.command == "PUT" else 200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")

    fake.answer = answer
    fake.restfs.run("cp", "s3://bucket/key", "s3://bucket/to", "--part-size=5M", "--parallel=1", status=1)
    assert fake.requests.count("POST") == 1 and ("DELETE" not in fake.requests) == is_kept


def test_what_was_written_over_while_it_was_moved_stays(fake, tmp_path):
    def answer(request):
        fake.requests.append(request.command)
        request.reply(200, b"content", ETag=etag(b"content") if "GET" not in fake.requests or request.command == "GET" else etag(b"another"))

    fake.answer = answer
    fake.restfs.run("mv", "s3://bucket/key", tmp_path / "file", status=1)
    assert "stays" in fake.restfs.stderr and "DELETE" not in fake.requests
    assert (tmp_path / "file").read_bytes() == b"content"


# --- a server that means harm ---------------------------------------------------------------------------------------

ESCAPES = "%1b%5b2J%c2%9b2J%0a"  # ESC [ and CSI, which clear a screen, and a line's end


def listing(*elements):
    return ("<ListBucketResult><EncodingType>url</EncodingType>" + "".join(elements) + "</ListBucketResult>").encode()


def content(key, size=1):
    return f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;x&quot;</ETag></Contents>"


def common(prefix):
    return f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"


@pytest.mark.parametrize("command", ["ls", "tree", "du", "find", "rm"])
@pytest.mark.parametrize("element", [content("b"), content(""), common("b/"), common("folder/"), common("")])
def test_a_list_of_what_was_not_asked_for_is_refused(fake, command, element):
    """Names are shown from behind the prefix on; and a directory within itself has no end."""
    def answer(request):
        fake.requests.append(request.command)
        request.reply(200 if request.command == "GET" else 404, listing(element))

    fake.answer = answer
    fake.restfs.run(command, "s3://bucket/folder/", *(["-r"] if command == "rm" else []), status=1)
    assert "not asked for" in fake.restfs.stderr and "POST" not in fake.requests and "DELETE" not in fake.requests


@pytest.mark.parametrize("pages", [["a", "b"], ["", ""], ["a", ""]])
@pytest.mark.parametrize("words", [["ls", "-r"], ["du"], ["rm", "-r"], ["cp", "-r", "-n", "TO"], ["ls"]])
def test_a_list_that_leads_in_a_circle_is_refused(fake, tmp_path, words, pages):
    """Its tokens alternate, each of them another than the one before."""
    def answer(request):
        fake.requests.append(request.command)
        if request.command != "GET" or len(fake.requests) > 20:
            request.rfile.read(int(request.headers.get("Content-Length") or 0))
            return request.reply(200, b"<DeleteResult/>" if request.command == "POST" else listing(content("z")))
        number = "t1" in request.path
        request.reply(200, listing(content(pages[number]) if pages[number] else "", f"<IsTruncated>true</IsTruncated><NextContinuationToken>t{int(not number)}</NextContinuationToken>"))

    fake.answer = answer
    fake.restfs.run(*[word for word in words if word != "TO"], "s3://bucket/", *([tmp_path / "to"] if "TO" in words else []), status=1)
    assert "circle" in fake.restfs.stderr or "order of keys" in fake.restfs.stderr
    assert fake.requests.count("GET") <= 4


def test_a_list_that_repeats_itself_under_new_tokens_is_refused(fake):
    def answer(request):
        fake.requests.append(request.command)
        goes_on = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{len(fake.requests)}</NextContinuationToken>"
        request.reply(200, listing(content("a"), content("b"), goes_on if len(fake.requests) < 20 else ""))

    fake.answer = answer
    fake.restfs.run("ls", "s3://bucket/", status=1)
    assert "circle" in fake.restfs.stderr and len(fake.requests) == 2


def test_a_list_in_no_order_is_shown_whole(fake):
    """Directory buckets are listed like that; and a page may be empty."""
    pages = [["m", "c"], [], ["x", "a"], []]

    def answer(request):
        number = int(request.path.split("continuation-token=")[1].split("&")[0]) if "continuation-token" in request.path else 0
        goes_on = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{number + 1}</NextContinuationToken>" if number < 3 else ""
        request.reply(200, listing(*map(content, pages[number]), goes_on))

    fake.answer = answer
    assert [row["key"] for row in fake.restfs.lines("find", "s3://bucket/")] == ["m", "c", "x", "a"]


@pytest.mark.parametrize("words", [["ls"], ["ls", "-r"], ["find"], ["tree"], ["rm", "-rn"]])
def test_a_name_that_is_no_text_has_no_line_of_json_and_that_is_told(fake, words):
    fake.answer = lambda request: request.reply(200, listing(content("a"), content("b%FF"), content("c")))
    assert [json.loads(line)["key"] for line in fake.restfs.run("--json", *words, "s3://bucket", status=1).splitlines()] == ["a", "c"]
    assert fake.restfs.stderr == "restfs: a name is not UTF-8 and cannot be in JSON: what has it was left out\n"
    assert len(fake.restfs.run(*words, "s3://bucket").splitlines()) >= 3


@pytest.mark.parametrize("element, words", [(common("a/"), ["ls"]), ("", ["cp", "-r", "-n"])])
def test_a_list_of_nothing_under_ever_new_tokens_is_left(fake, tmp_path, element, words):
    """A new token costs a server nothing."""
    def answer(request):
        fake.requests.append(request.command)
        goes_on = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{len(fake.requests)}</NextContinuationToken>"
        request.reply(200, listing(element, goes_on if len(fake.requests) < 3000 else ""))

    fake.answer = answer
    fake.restfs.run(*words, "s3://bucket/", *([tmp_path / "to"] if "cp" in words else []), status=1)
    assert fake.restfs.stderr.startswith("restfs: ") and fake.restfs.stderr.endswith("the server's list has no end: 1000 pages, and no name\n")
    assert fake.restfs.stderr.count("\n") == 1 and 1000 <= len(fake.requests) <= 1001


def test_many_pages_without_a_name_are_no_error_if_one_comes_behind(fake):
    def answer(request):
        fake.requests.append(request.command)
        number = len(fake.requests)
        goes_on = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{number}</NextContinuationToken>" if number < 1600 else ""
        request.reply(200, listing(content(f"k{number}") if number % 800 == 0 else "", goes_on))

    fake.answer = answer
    assert [row["key"] for row in fake.restfs.lines("find", "s3://bucket/")] == ["k800", "k1600"]


def serve_uploads(fake, list_of, marks, parts=""):
    """A store whose list of `list_of` goes on as often as `marks(requests)` gives the marks of a next page."""
    def answer(request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fake.requests.append(request.command)
        more = marks(len(fake.requests))
        if request.command == "GET" and "uploadId" in request.path:
            return request.reply(200, f"<ListPartsResult>{more}{parts}</ListPartsResult>".encode())
        if request.command == "GET":
            upload = "<Upload><Key>key</Key><UploadId>u</UploadId></Upload>" if list_of == "parts" else ""
            return request.reply(200, f"<ListMultipartUploadsResult>{upload}{more if list_of == 'uploads' else ''}</ListMultipartUploadsResult>".encode())
        if request.command == "POST":
            return request.reply(200, b"<InitiateMultipartUploadResult><UploadId>new</UploadId></InitiateMultipartUploadResult>" if "uploads" in request.path
                                 else b"<CompleteMultipartUploadResult/>")
        request.reply(200, ETag=etag(body))

    fake.answer = answer


def next_page(upload, part):
    return f"<IsTruncated>true</IsTruncated><NextUploadIdMarker>{upload}</NextUploadIdMarker><NextPartNumberMarker>{part}</NextPartNumberMarker>"


@pytest.mark.parametrize("list_of", ["uploads", "parts"])
def test_lists_of_uploads_and_parts_that_go_on_under_ever_new_names_are_left(fake, tmp_path, list_of):
    serve_uploads(fake, list_of, lambda requests: next_page(requests, requests) if requests < 3000 else "")
    (tmp_path / "file").write_bytes(b"x" * 11 * MIB)
    fake.restfs.run("cp", tmp_path / "file", "s3://bucket/key", "--part-size=5M")
    assert fake.requests.count("GET") <= 101


@pytest.mark.parametrize("list_of", ["uploads", "parts"])
def test_lists_of_uploads_and_parts_that_have_no_end_are_left(fake, tmp_path, list_of):
    """Then an upload is begun as if there were none."""
    serve_uploads(fake, list_of, lambda requests: next_page("u", 1) if requests < 50 else "", "<Part><PartNumber>1</PartNumber><Size>7</Size></Part>")
    (tmp_path / "file").write_bytes(b"x" * 11 * MIB)
    fake.restfs.run("cp", tmp_path / "file", "s3://bucket/key", "--part-size=5M")
    assert fake.requests.count("GET") == {"uploads": 2, "parts": 3}[list_of]


class Bucket:
    """Lists `count` keys, a thousand a page, and deletes: `refuse(keys)` gives the keys that are not, or raises."""

    def __init__(self, fake, count, refuse):
        self.keys, self.refuse, self.lock = [f"k{number:05}" for number in range(count)], refuse, threading.Lock()
        self.gone, self.peers = set(), set()
        fake.answer = self.answer

    def answer(self, request):
        if request.command != "POST":
            after = int(request.path.split("continuation-token=")[1].split("&")[0]) if "continuation-token" in request.path else 0
            goes_on = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{after + 1000}</NextContinuationToken>" if after + 1000 < len(self.keys) else ""
            return request.reply(200, listing(*map(content, self.keys[after:after + 1000]), goes_on))
        keys = re.findall("<Key>(.*?)</Key>", request.rfile.read(int(request.headers["Content-Length"])).decode())
        kept = self.refuse(keys)
        if kept is None:
            return request.reply(403, b"<Error><Code>AccessDenied</Code><Message>No</Message></Error>")
        with self.lock:
            self.gone |= set(keys) - set(kept)
            self.peers.add(request.client_address)
        request.reply(200, ("<DeleteResult>" + "".join(f"<Error><Key>{key}</Key><Code>InternalError</Code><Message>kept {key}</Message></Error>" for key in kept) + "</DeleteResult>").encode())


def test_what_is_removed_goes_over_many_connections(fake):
    together = threading.Barrier(4)

    def refuse(keys):
        together.wait(PATIENCE_SECONDS)  # each waits for three others
        return []

    bucket = Bucket(fake, 8000, refuse)
    rows = fake.restfs.lines("rm", "-r", "--parallel=4", "s3://bucket/")
    assert bucket.gone == set(bucket.keys) == {row["key"] for row in rows} and len(rows) == 8000 and len(bucket.peers) == 4


@pytest.mark.parametrize("parallel", [1, 16])
def test_each_key_that_is_not_removed_is_told(fake, parallel):
    bucket = Bucket(fake, 5500, lambda keys: [key for key in keys if key.endswith("77")])
    kept = {key for key in bucket.keys if key.endswith("77")}
    shown = fake.restfs.run("rm", "-r", f"--parallel={parallel}", "s3://bucket/", status=1).decode().splitlines()
    assert set(shown) == {f"removed s3://bucket/{key}" for key in bucket.keys if key not in kept} and len(shown) == 5500 - len(kept)
    for key in kept:
        assert f"s3://bucket/{key}: kept {key}\n" in fake.restfs.stderr
    assert fake.restfs.stderr.endswith(f"{len(kept)} objects were not removed\n")


def test_a_refusal_ends_what_is_removed_at_once(fake):
    bucket = Bucket(fake, 100000, lambda keys: None if keys[0] == "k03000" else [])
    fake.restfs.run("rm", "-r", "--parallel=4", "s3://bucket/", status=1)
    assert fake.restfs.stderr == "restfs: s3://bucket: AccessDenied: No\n"
    assert "k03000" not in bucket.gone and len(bucket.gone) < 50000


def test_keys_that_lead_out_of_the_directory_are_not_written(fake, tmp_path):
    keys = ["../above", "/absolute", "a/../../above", "a//b", "./a", "a/."]
    names = sorted(f"x/{key}" for key in keys)
    fake.answer = lambda request: request.reply(200, listing(*map(content, names)) if "list-type" in request.path else b"x", ETag='"x"')
    (tmp_path / "target").mkdir()
    fake.restfs.run("cp", "-r", "s3://bucket/x/", tmp_path / "target", status=1)
    assert fake.restfs.stderr.count("no path below a directory") == len(keys)
    assert list((tmp_path / "target").rglob("*")) == [] and [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.fixture
def linked(tmp_path):
    """A target, and beside it a directory that a link in it leads to."""
    for name in ("target/deep", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside" / "precious").write_bytes(b"precious")
    for name in ("target/folder", "target/deep/folder"):
        (tmp_path / name).symlink_to(tmp_path / "outside")
    return tmp_path


@pytest.mark.parametrize("words, target", [(["cp", "-r"], "target"), (["sync"], "target/"), (["sync", "--follow"], "target"), (["mirror", "--follow"], "target")])
@pytest.mark.parametrize("size", [4, 12 * MIB])
def test_a_link_to_a_directory_below_the_target_is_not_followed(restfs, s3, bucket, linked, words, target, size):
    """Somebody else may have put it there. Nothing is written where it leads to, made, nor removed; the rest comes."""
    keys = ["deep/folder/precious", "deep/here", "folder/made/x", "folder/precious", "fine"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
    restfs.run(*words, "--part-size=5M", f"s3://{bucket}", linked / target if target[-1] != "/" else f"{linked}/{target}", status=1)
    refused = [line for line in restfs.stderr.splitlines() if line.endswith("a symbolic link is in the way, and below the target none is followed")]
    assert {name for name in keys if any(f"/{name}: " in line for line in refused)} == {key for key in keys if "folder" in key} and len(refused) == 3
    assert [path.name for path in (linked / "outside").rglob("*")] == ["precious"] and (linked / "outside" / "precious").read_bytes() == b"precious"
    assert (linked / "target" / "folder").is_symlink() and (linked / "target" / "deep" / "here").read_bytes() == (linked / "target" / "fine").read_bytes() == b"x" * size


@pytest.mark.parametrize("command", ["cp", "sync"])
def test_objects_that_stand_for_directories_make_none_over_a_link(restfs, s3, bucket, linked, command):
    s3.put_object(Bucket=bucket, Key="folder/made/", Body=b"")
    s3.put_object(Bucket=bucket, Key="x", Body=b"")
    restfs.run(command, *["-r"] * (command == "cp"), f"s3://{bucket}", linked / "target", status=int(command == "cp"))
    assert [path.name for path in (linked / "outside").rglob("*")] == ["precious"]


def test_what_a_link_in_the_target_leads_to_is_not_removed(restfs, s3, bucket, linked):
    s3.put_object(Bucket=bucket, Key="x", Body=b"")
    (linked / "target" / "deep" / "extra").write_bytes(b"")
    for _ in range(2):
        restfs.run("mirror", "--follow", f"s3://{bucket}", linked / "target")
        assert restfs.stderr.count("left out: it is a symbolic link\n") == 2
    assert sorted(path.name for path in linked.rglob("*")) == ["deep", "folder", "folder", "outside", "precious", "target", "x"]


def test_the_target_itself_and_what_is_above_it_may_be_links(restfs, s3, bucket, tmp_path):
    for key in ("a/b/c", "d"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for words, target in ((["cp", "-r"], "link"), (["sync"], "link/one"), (["mirror"], "link/one/../two/")):
        restfs.run(*words, f"s3://{bucket}", f"{tmp_path}/{target}")
    restfs.run("cp", f"s3://{bucket}/d", f"{tmp_path}/link/a/alone")
    restfs.run("cp", f"s3://{bucket}/d", f"{tmp_path}/link/more/than/this/")
    restfs.run("cp", "-r", f"s3://{bucket}/a", f"s3://{bucket}/a/b", tmp_path / "link" / "many")
    names = {"a/b/c", "d", "one/a/b/c", "one/d", "two/a/b/c", "two/d", "a/alone", "more/than/this/d", "many/a/b/c", "many/b/c"}
    assert {str(path.relative_to(tmp_path / "real")) for path in (tmp_path / "real").rglob("*") if path.is_file()} == names


def test_many_threads_have_the_files_that_they_need(restfs, s3, bucket, tmp_path):
    """A shell allows few, and more to who asks."""
    for number in range(120):
        s3.put_object(Bucket=bucket, Key=f"{number}/x", Body=b"x")
    process = restfs.start("sync", "--parallel=60", f"s3://{bucket}", tmp_path / "to", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096)))
    assert (process.communicate()[1], process.returncode) == (b"", 0) and len(list((tmp_path / "to").rglob("x"))) == 120


@pytest.mark.parametrize("size", [64 << 20, 0])
def test_a_link_in_place_of_the_part_file_is_not_followed(fake, restfs, s3, bucket, tmp_path, rng, size):
    """Somebody else may have put it there, who may write to the directory, but not to the file that it leads to."""
    fake.answer = lambda request: request.reply(200, b"evil", length=size if request.command == "HEAD" and size else None, ETag='"x"')
    (tmp_path / "precious").write_bytes(b"precious")
    part = kill_in_download(restfs, s3, bucket, tmp_path / "file", rng.randbytes(20 * MIB))
    part.unlink()
    part.symlink_to(tmp_path / "precious")
    fake.restfs.run("cp", "s3://bucket/key", tmp_path / "file", status=1)
    assert "cannot be written" in fake.restfs.stderr
    assert (tmp_path / "precious").read_bytes() == b"precious" and not (tmp_path / "file").exists()


@pytest.mark.parametrize("size", [2**63 - 1, 2**63, 2**64 - 1, 2**70])
def test_sizes_that_nothing_can_have_end_in_an_error(fake, tmp_path, size):
    def answer(request):
        if "list-type" in request.path:
            request.reply(200, listing(content("x", size), content("y", 2**60)))
        elif request.command == "HEAD":
            request.reply(200, ETag='"x"', Content_Range=f"bytes 0-0/{size}")
        else:
            request.reply(403)

    fake.answer = answer
    fake.restfs.run("cp", "-r", "s3://bucket/", tmp_path / "target", status=1)
    fake.restfs.run("cp", "-r", "s3://bucket/", "s3://other/", status=1)
    assert not any(path.is_file() and path.stat().st_size for path in (tmp_path / "target").rglob("*"))


def pour(request, status, body, total, **headers):
    """An answer without a length: it ends when the connection does, after `total` bytes or when nobody takes more."""
    request.close_connection = True
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    try:
        for at in range(0, total, len(body)):
            request.wfile.write(body[:total - at])
    except OSError:
        pass


@pytest.mark.parametrize("words, status", [(("ls", "s3://bucket/"), 200), (("ls", "s3://bucket/"), 403), (("ls",), 200), (("cat", "s3://bucket/key"), 403),
                                           (("mb", "s3://bucket"), 200), (("rm", "-f", "s3://bucket/key"), 200), (("cp", "s3://bucket/key", "s3://bucket/to"), 200)])
def test_a_small_answer_that_has_no_end_is_left(fake, words, status):
    """No list has 64 MiB, no error 1 MiB."""
    taken = []

    def answer(request):
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.command == "HEAD":
            return request.reply(200, length=7, ETag='"x"')
        request.close_connection = True
        request.send_response(status)
        request.end_headers()
        with pytest.raises(OSError):
            while len(taken) < 200:
                request.wfile.write(b" " * MIB)
                taken.append(MIB)

    fake.answer = answer
    fake.restfs.run(*words, status=1)
    assert f"the server's answer is too long ({status})\n" in fake.restfs.stderr and fake.restfs.stderr.count("\n") == 1
    assert len(taken) < (100 if status == 200 else 20)


@pytest.mark.parametrize("line", [b"HTTP/1.1 100 Continue\r\n\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"])
def test_a_head_that_has_no_end_is_left(fake, line):
    def answer(request):
        fake.requests.append(request.path)
        request.close_connection = True
        try:
            request.wfile.write(b"HTTP/1.1 200 OK\r\n" * line.startswith(b"X"))
            for _ in range(200):
                request.wfile.write(line * 1000)
        except OSError:
            pass

    fake.answer = answer
    fake.restfs.run("cat", "s3://bucket/key", status=1)
    assert "no end" in fake.restfs.stderr and len(fake.requests) == 1


@pytest.mark.parametrize("size, status", [(7 * MIB, 0), (0, 1), (7, 1), (2 * MIB, 1), (7 * MIB - 1, 1), (7 * MIB + 1, 1)])
def test_an_answer_without_a_length_has_what_the_object_has(fake, tmp_path, size, status):
    body = b"x" * MIB

    def answer(request):
        if request.command == "HEAD":
            return request.reply(200, length=size)
        if request.headers.get("Range"):
            return request.reply(416)
        pour(request, 200, body, 7 * MIB)

    fake.answer = answer
    fake.restfs.run("cp", "s3://bucket/key", tmp_path / "file", status=status)
    assert [path.name for path in tmp_path.iterdir()] == ([] if status else ["file"])
    assert status or (tmp_path / "file").read_bytes() == 7 * body
    assert status == 0 or "more than" in fake.restfs.stderr or size > 7 * MIB


@pytest.mark.parametrize("said", [8, 2 * MIB, 2**62])
def test_a_length_beyond_what_the_object_has_is_refused(fake, tmp_path, said):
    def answer(request):
        if request.command == "HEAD":
            return request.reply(200, b"content", ETag='"x"')
        request.send_response(200)
        request.send_header("Content-Length", str(said))
        request.end_headers()
        try:
            request.wfile.write(b"y" * min(said, 50 * MIB))
        except OSError:
            pass
        request.close_connection = True

    fake.answer = answer
    fake.restfs.run("cp", "s3://bucket/key", tmp_path / "file", status=1)
    assert "more than the 7 bytes" in fake.restfs.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_grew_since_it_was_listed_is_read_whole(fake, tmp_path):
    sizes = {"small": 3000, "large": 12 * MIB, "gone": 0}
    bodies = {key: bytes(range(200)) * (size // 200) for key, size in sizes.items()}

    def answer(request):
        if "list-type" in request.path:
            return request.reply(200, listing(content("gone", 64 * MIB), content("large", 5), content("small", 5)))
        body = bodies[request.path.split("/")[-1]]
        if request.command == "GET" and request.headers.get("Range"):
            first, last = map(int, request.headers["Range"].split("=")[1].split("-"))
            part = body[first:last + 1]
            return request.reply(206, part, ETag='"x"', Content_Range=f"bytes {first}-{first + len(part) - 1}/{len(body)}")
        request.reply(200, body, ETag='"x"')

    fake.answer = answer
    fake.restfs.run("cp", "-r", "--part-size=5M", "s3://bucket/", tmp_path / "to")
    assert {path.name: path.read_bytes() for path in (tmp_path / "to").iterdir()} == bodies


@pytest.mark.parametrize("is_sized", [False, True])
def test_parts_have_the_length_that_was_asked_for(fake, tmp_path, is_sized):
    def answer(request):
        if request.command == "HEAD":
            return request.reply(200, length=12 * MIB)
        first, last = map(int, request.headers["Range"].split("=")[1].split("-"))
        if is_sized:  # it became shorter, and nothing but this says so
            return request.reply(206, b"x" * MIB, Content_Range=f"bytes {first}-{first + MIB - 1}/{first + MIB}")
        pour(request, 206, b"x" * MIB, 50 * MIB, Content_Range=f"bytes {first}-{last}/{12 * MIB}")

    fake.answer = answer
    fake.restfs.run("cp", "--part-size=5M", "s3://bucket/key", tmp_path / "file", status=1)
    assert not (tmp_path / "file").exists()
    assert ("became shorter" if is_sized else "sends more than") in fake.restfs.stderr


@pytest.mark.parametrize("refusal", [dict(status=501), dict(status=400, body=b"<Error><Code>InvalidArgument</Code></Error>")])
@pytest.mark.parametrize("size", [5, 3 * MIB])
def test_a_store_that_does_not_know_the_checksum_gets_another(fake, tmp_path, refusal, size):
    stored = {}

    def answer(request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.command == "PUT":
            fake.requests.append(request.headers)
        if request.headers.get("x-amz-checksum-crc64nvme"):
            return request.reply(**refusal)
        assert base64.b64decode(request.headers["Content-MD5"]) == hashlib.md5(body).digest()
        stored[request.path] = body
        request.reply(200, ETag=etag(body))

    fake.answer = answer
    files = {name: os.urandom(size) for name in ("a", "b")}
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    fake.restfs.run("cp", "--parallel=1", tmp_path / "a", tmp_path / "b", "s3://bucket/")
    assert stored == {f"/bucket/{name}": body for name, body in files.items()}
    assert len(fake.requests) == 3, "it is asked once"


@pytest.mark.parametrize("place", ["bytes 0-99/12582912", "bytes 1-2/12582912", "items 5242880-10485759/12582912", None])
def test_another_part_than_was_asked_for_is_not_taken(fake, tmp_path, place):
    def answer(request):
        if request.command == "HEAD":
            return request.reply(200, length=12 * MIB)
        first, last = map(int, request.headers["Range"].split("=")[1].split("-"))
        right = first == 0 or request.headers["Range"] == "bytes=10485760-12582911"
        where = f"bytes {first}-{last}/{12 * MIB}" if right else place
        request.reply(206, b"x" * (last - first + 1), **({"Content_Range": where} if where else {}))

    fake.answer = answer
    fake.restfs.run("cp", "--part-size=5M", "s3://bucket/key", tmp_path / "file", status=1)
    assert "gives another part of the object than was asked for" in fake.restfs.stderr and not (tmp_path / "file").exists()


def test_who_does_not_say_what_he_stored_has_not_stored_it(fake, tmp_path):
    """As a web server that answers 200 to everything: mv would remove what is nowhere else."""
    fake.answer = lambda request: (request.rfile.read(int(request.headers.get("Content-Length") or 0)), request.reply(200))
    (tmp_path / "file").write_bytes(b"precious")
    fake.restfs.run("mv", tmp_path / "file", "s3://bucket/key", status=1)
    assert "does not say what it stored; what answered does not seem to be an S3 store" in fake.restfs.stderr
    assert (tmp_path / "file").read_bytes() == b"precious"


PAGE = b"<!DOCTYPE HTML>\n<html><body>Here it is</body></html>\n"


@pytest.mark.parametrize("words, status", [("ls", 200), ("ls s3://photos", 200), ("ls s3://photos", 404), ("du s3://photos", 404), ("cat s3://photos/a", 404),
                                           ("rm -r s3://photos/", 403), ("mb s3://photos", 501)])
def test_what_is_no_store_is_called_so(fake, words, status):
    fake.answer = lambda request: request.reply(status, PAGE, Content_Type="text/html")
    fake.restfs.run(*words.split(), status=1)
    assert "does not seem to be an S3 store" in fake.restfs.stderr and "no such object" not in fake.restfs.stderr


@pytest.mark.parametrize("words, reply", [("ls", dict(status=200, body=b"<", x_amz_request_id="1")), ("cat s3://photos/a", dict(status=404)),
                                          ("cat s3://photos/a", dict(status=301, body=PAGE)), ("cat s3://photos/a", dict(status=505, body=PAGE, x_amz_request_id="1")),
                                          ("stat s3://photos/a", dict(status=404, body=PAGE)), ("cat s3://photos/a", dict(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>"))])
def test_a_store_and_what_stands_before_one_are_not_called_another(fake, words, reply):
    fake.answer = lambda request: request.reply(**reply)
    fake.restfs.run(*words.split(), status=1)
    assert "seem" not in fake.restfs.stderr


def test_what_a_server_says_does_not_reach_the_terminal_as_it_is(fake):
    text = "\x9b2J"
    fake.answer = lambda request: request.reply(403, f"<Error><Code>A</Code><Message>{text}</Message></Error>".encode())
    fake.restfs.run("cat", "s3://bucket/key", status=1)
    assert "\\x9b2J" in fake.restfs.stderr and "\x9b" not in fake.restfs.stderr
    fake.answer = lambda request: request.reply(200, listing(content("x" + ESCAPES)) if "list-type" in request.path else b"x", ETag='"y"')
    shown = fake.restfs.run("cp", "-r", "--dry-run", "s3://bucket/", "s3://other/").decode()
    assert "x\\x1b[2J\\x9b2J\\x0a" in shown and "\x1b" not in shown and "\x9b" not in shown


def test_tables_of_the_administration_show_names_of_others_as_text(daemon, s3, bucket, tmp_path):
    s3.put_object(Bucket=bucket, Key="a\x1b[2J\x9b2J\nb", Body=b"")
    shown = Restfs(daemon.s3, "", "", tmp_path).run("--data", daemon.data, "feed", bucket).decode()
    assert "a\\x1b[2J\\x9b2J\\x0ab" in shown and "\x1b" not in shown and "\x9b" not in shown


def test_nobody_waits_longer_than_he_wants_to(fake):
    def answer(request):
        fake.requests.append(request.path)
        if len(fake.requests) == 1:
            return request.reply(503, Retry_After="-9223372036854775807")
        request.reply(200, b"x", ETag=etag(b"x"))

    fake.answer = answer
    assert fake.restfs.run("cat", "s3://bucket/key") == b"x" and len(fake.requests) == 2


def test_a_signature_goes_to_nobody_else(fake):
    """A redirection is not followed."""
    other = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            other.append(self.headers)
            self.send_error(404)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    for status in (301, 302, 307, 308):
        fake.answer = lambda request, status=status: request.reply(status, Location=f"http://127.0.0.1:{server.server_port}{request.path}")
        fake.restfs.run("cat", "s3://bucket/key", status=1)
    server.shutdown()
    server.server_close()
    assert other == []
