"""cp, mv, sync, mirror and diff from one store to another: --source-profile and --source-endpoint."""
import base64
import hashlib
import http.server
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from cli import RESTFS, Restfs
from daemon import Daemon, wait_until
from test_cli_data_broken import Handler, etag, fake, parts, upload_is_gone_on_with, uploads  # noqa: F401
from test_cli_data_copy import ODD_NAMES
from test_cli_data_sync_store import contents, counts, in_parts, put

MIB = 1024 * 1024
OLD = "--source-profile=old"


@pytest.fixture(scope="module")
def old():
    """The store that everything comes from."""
    d = Daemon().start()
    yield d
    d.finish()


@pytest.fixture
def restfs(daemon, old, tmp_path):
    tool = Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path)
    profile_write(tmp_path, old.s3, old.access_key, old.secret_key)
    tool.environment["TMPDIR"] = str(tmp_path / "spool")
    (tmp_path / "spool").mkdir()
    yield tool
    assert list((tmp_path / "spool").iterdir()) == []


def profile_write(home, endpoint, access_key, secret_key):
    (home / ".config/restfs").mkdir(parents=True, exist_ok=True)
    (home / ".config/restfs/config").write_text(
        f'profiles: {{ old: {{ endpoint = "{endpoint}"; access_key = "{access_key}"; secret_key = "{secret_key}"; }}; }};')


@pytest.fixture
def source(old):
    return old.client()


@pytest.fixture
def box(source, bucket):
    """A bucket of the same name in the other store."""
    source.create_bucket(Bucket=bucket)
    return bucket


def heads(s3, bucket, key):
    head = s3.head_object(Bucket=bucket, Key=key)
    return {name: head.get(name) for name in ("ContentType", "CacheControl", "Metadata", "ContentLength", "ETag")}


def test_a_bucket_comes_from_another_store_by_what_differs(restfs, s3, source, box):
    names = {name: name.encode() for name in [*ODD_NAMES, "d/e/f", "folder/"]} | {"empty": b"", "large": os.urandom(3 * MIB)}
    put(source, box, names)
    put(s3, box, {"mine": b"mine", "plain": b"other"})
    words = (f"s3://{box}", f"s3://{box}", OLD)
    assert counts(restfs.summary("sync", *words)) == (len(names), 0, 0, 0)
    assert contents(s3, box) == names | {"mine": b"mine"}
    assert counts(restfs.summary("sync", *words)) == (0, len(names), 0, 0)
    restfs.run("diff", *words, status=1)
    assert counts(restfs.summary("mirror", *words, "--parallel=3")) == (0, len(names), 1, 0)
    restfs.run("diff", "--checksum", *words)
    assert contents(s3, box) == names == contents(source, box)


def test_the_endpoint_alone_is_enough_where_the_keys_are_the_same(daemon, s3, box, source, old, tmp_path):
    source.put_object(Bucket=box, Key="k", Body=b"1", ACL="public-read")
    Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path).run("cp", f"s3://{box}/k", f"s3://{box}/k", f"--source-endpoint={old.s3}", status=1)
    other = Restfs(daemon.s3, daemon.access_key, daemon.secret_key, tmp_path)
    other.environment.update(AWS_ENDPOINT_URL=old.s3, AWS_ACCESS_KEY_ID=old.access_key, AWS_SECRET_ACCESS_KEY=old.secret_key)
    other.run("cp", f"s3://{box}/k", tmp_path / "k", f"--source-endpoint={old.s3}")  # a download has one store
    assert (tmp_path / "k").read_bytes() == b"1"


def test_stdout_is_a_target(restfs, s3, source, box):
    put(source, box, {"k": b"old"})
    put(s3, box, {"k": b"new"})
    assert (restfs.run("cp", f"s3://{box}/k", "-", OLD), restfs.run("cp", f"s3://{box}/k", "-")) == (b"old", b"new")


@pytest.mark.parametrize("size", [0, 1, 1 * MIB, 1 * MIB + 1, 17 * MIB])
@pytest.mark.parametrize("checksum", ["CRC32", "CRC64NVME"])
def test_objects_keep_what_they_have(restfs, s3, source, box, size, checksum):
    body = os.urandom(size)
    source.put_object(Bucket=box, Key="k", Body=body, ChecksumAlgorithm=checksum, ContentType="text/x", CacheControl="no-cache", Metadata={"a": "b", "mtime": "1.5"})
    restfs.run("cp", f"s3://{box}/k", f"s3://{box}/new", OLD)
    assert s3.get_object(Bucket=box, Key="new")["Body"].read() == body
    before, after = heads(source, box, "k"), heads(s3, box, "new")
    if size > 16 * MIB and checksum == "CRC64NVME":  # in parts, for their checksums verify the whole
        before["ETag"] = after["ETag"] = None
    assert before == after and uploads(s3, box) == []


def with_sha1(s3, bucket, key, body, sizes):
    """In parts of these sizes, with checksums of the parts alone."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="SHA1")["UploadId"]
    made = []
    for n, size in enumerate(sizes, 1):
        piece, body = body[:size], body[size:]
        sha1 = base64.b64encode(hashlib.sha1(piece).digest()).decode()
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=n, Body=piece, ChecksumSHA1=sha1)
        made.append({"PartNumber": n, "ETag": answer["ETag"], "ChecksumSHA1": sha1})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": made})


@pytest.mark.parametrize("sizes", [[7 * MIB] * 5 + [3], [6 * MIB] * 2, [5 * MIB, 1], [9]])
def test_an_object_in_parts_keeps_them_and_its_etag(restfs, s3, source, box, sizes):
    body = os.urandom(sum(sizes))
    with_sha1(source, box, "k", body, sizes)
    words = (f"s3://{box}", f"s3://{box}", OLD)
    restfs.run("sync", *words)
    assert heads(s3, box, "k") == heads(source, box, "k") and s3.get_object(Bucket=box, Key="k")["Body"].read() == body
    assert counts(restfs.summary("sync", "--checksum", *words)) == (0, 1, 0, 0)


@pytest.mark.parametrize("sizes, options", [([6 * MIB, 5 * MIB, 8 * MIB, 1], ()), ([6 * MIB, 5 * MIB, 7 * MIB, 1], ("--part-size=5M",))])
def test_parts_of_several_sizes_come_too(restfs, s3, source, box, sizes, options):
    """Those that look as if they were of one size are refused at the end, with what to do."""
    body = os.urandom(sum(sizes))
    with_sha1(source, box, "k", body, sizes)
    if options:
        restfs.run("cp", f"s3://{box}/k", f"s3://{box}/", OLD, status=1)
        assert "copy it again (with --part-size, if it came in parts of several sizes)" in restfs.stderr
        assert contents(s3, box) == {} and uploads(s3, box) == []
    restfs.run("cp", f"s3://{box}/k", f"s3://{box}/", OLD, *options)
    assert s3.get_object(Bucket=box, Key="k")["Body"].read() == body
    assert counts(restfs.summary("sync", f"s3://{box}", f"s3://{box}", OLD, "-n", "--size-only")) == (0, 1, 0, 0)


@pytest.mark.parametrize("same", [True, False])
def test_objects_of_which_no_checksum_is_known_are_read(restfs, s3, source, box, same):
    body = os.urandom(11 * MIB)
    with_sha1(source, box, "k", body, [6 * MIB, 5 * MIB])
    with_sha1(s3, box, "k", body if same else body[:-1] + bytes([body[-1] ^ 1]), [5 * MIB, 6 * MIB])
    words = (f"s3://{box}", f"s3://{box}", OLD)
    restfs.run("diff", "--checksum", *words, status=0 if same else 1)
    assert counts(restfs.summary("sync", "--checksum", *words)) == ((0, 1, 0, 0) if same else (1, 0, 0, 0))


@pytest.mark.parametrize("make", [lambda *all: put(all[0], all[1], {"k": all[2]}), lambda *all: with_sha1(*all[:2], "k", all[2], [5 * MIB] * 8)])
def test_one_that_was_killed_is_gone_on_with(restfs, s3, source, box, make):
    body = os.urandom(40 * MIB)
    make(source, box, body)
    time.sleep(2.5)  # what was begun in the second of the object may be of another
    words = ("cp", f"s3://{box}/k", f"s3://{box}/k", OLD, "--parallel=1", "--limit-rate=20M")
    process = restfs.start(*words)
    wait_until(lambda: process.poll() is not None or any(len(parts(s3, box, "k", u["UploadId"])) >= 2 for u in uploads(s3, box)))
    process.kill()
    process.communicate()
    upload, = uploads(s3, box)
    upload_is_gone_on_with(restfs, s3, box, "k", upload["UploadId"], *words)
    assert s3.get_object(Bucket=box, Key="k")["Body"].read() == body


def test_ctrl_c_says_that_the_same_command_goes_on(restfs, s3, source, box):
    put(source, box, {"k": os.urandom(40 * MIB)})
    process = restfs.start("cp", f"s3://{box}/k", f"s3://{box}/k", OLD, "--limit-rate=5M")
    wait_until(lambda: process.poll() is not None or uploads(s3, box))
    process.send_signal(signal.SIGINT)
    said, complaints = process.communicate()
    assert (process.returncode, complaints) == (-signal.SIGINT, b"") and said.endswith(b"; interrupted: the same command goes on from here\n")


def test_mv_takes_from_one_store_and_gives_to_the_other(restfs, s3, source, box):
    objects = {"a": b"1", "d/b": os.urandom(18 * MIB)}
    put(source, box, objects)
    restfs.run("mv", "-r", f"s3://{box}/", f"s3://{box}/", OLD)
    assert contents(s3, box) == objects and contents(source, box) == {}


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "127.1", "2130706433"])
@pytest.mark.parametrize("words, status", [(("mv", "-r", "s3://{0}/", "s3://{0}/"), 1), (("cp", "-r", "s3://{0}/", "s3://{0}/z/"), 1), (("mirror", "s3://{0}/d/", "s3://{0}/"), 2),
                                           (("mv", "s3://{0}/a", "s3://{0}/a"), 1)])
def test_two_names_of_one_store_are_known_to_be_one(restfs, s3, box, daemon, tmp_path, name, words, status):
    profile_write(tmp_path, daemon.s3.replace("127.0.0.1", name), daemon.access_key, daemon.secret_key)
    put(s3, box, {"a": b"1", "d/b": b"2"})
    before = contents(s3, box)
    restfs.run(*(word.format(box) for word in words), OLD, status=status)
    assert "one of source and target is in the other" in restfs.stderr or "is source and target" in restfs.stderr
    assert contents(s3, box) == before


def test_who_may_not_list_buckets_loses_nothing_by_a_second_name(restfs, s3, box, daemon, tmp_path):
    made = subprocess.run([RESTFS, "--data", daemon.data, "key", "add", "root", f"--bucket={box}", "--prefix=d/", "--json"], capture_output=True, check=True).stdout
    key = json.loads(made)
    profile_write(tmp_path, daemon.s3.replace("127.0.0.1", "127.1"), key["access_key"], key["secret_key"])
    put(s3, box, {"d/a": b"1", "d/b": os.urandom(18 * MIB)})
    before = contents(s3, box)
    restfs.run("mv", "-r", f"s3://{box}/d/", f"s3://{box}/d/", OLD, status=1)
    assert contents(s3, box) == before


@pytest.mark.parametrize("words", [("cp", "s3://{0}/a", "s3://{0}/a"), ("mv", "s3://{0}/a", "s3://{0}/a"), ("cp", "-r", "s3://{0}/", "s3://{0}/t/"), ("sync", "s3://{0}", "s3://{0}")])
def test_one_endpoint_is_one_store_whatever_its_keys_are(restfs, s3, box, daemon, tmp_path, words):
    profile_write(tmp_path, daemon.s3, daemon.access_key, daemon.secret_key)
    put(s3, box, {"a": b"1"})
    restfs.run(*(word.format(box) for word in words), OLD, status=2 if words[0] == "sync" else 1)
    assert contents(s3, box) == {"a": b"1"}


@pytest.mark.parametrize("words", [("cp", "s3://{0}/a/x", "s3://{0}/b/x", "s3://{0}/t/"), ("mv", "-r", "s3://{0}/a/x", "s3://{0}/b/x", "s3://{0}/t/"),
                                   ("mv", "{1}/a/x", "{1}/b/x", "s3://{0}/t/")])
def test_two_sources_cannot_have_one_name(restfs, s3, box, tmp_path, words):
    put(s3, box, {"a/x": b"1", "b/x": b"2"})
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(name.encode())
    restfs.run(*(word.format(box, tmp_path) for word in words), status=2)
    assert "two of the sources would have the name x below the target" in restfs.stderr
    assert contents(s3, box) == {"a/x": b"1", "b/x": b"2"} and (tmp_path / "a/x").exists() and (tmp_path / "b/x").exists()


def test_many_headers_come_along(restfs, s3, source, box):
    metadata = {f"m{i}": str(i) for i in range(64)}
    source.put_object(Bucket=box, Key="k", Body=b"1", Metadata=metadata, CacheControl="no-cache")
    restfs.run("cp", f"s3://{box}/k", f"s3://{box}/k", OLD)
    head = s3.head_object(Bucket=box, Key="k")
    assert (head["Metadata"], head["CacheControl"]) == (metadata, "no-cache")


def test_what_was_replaced_while_it_was_copied_is_copied_again(restfs, s3, source, box):
    """The copy is younger than its source, and is another: times say nothing."""
    put(source, box, {"k": os.urandom(18 * MIB)})
    restfs.run("sync", f"s3://{box}", f"s3://{box}", OLD)
    put(source, box, {"k": os.urandom(18 * MIB)})
    time.sleep(2.5)
    in_parts(s3, box, "k", contents(s3, box)["k"], 8 * MIB)
    assert counts(restfs.summary("sync", f"s3://{box}", f"s3://{box}", OLD)) == (1, 0, 0, 0)
    assert contents(s3, box) == contents(source, box)


def test_who_refuses_is_told(restfs, s3, source, box, old, daemon, tmp_path):
    put(source, box, {"a": b"1"})
    words = ("cp", f"s3://{box}/a", f"s3://{box}/a", OLD)
    restfs.environment["AWS_SECRET_ACCESS_KEY"] = "wrong"
    restfs.run(*words, status=1)
    assert "a: at the target: SignatureDoesNotMatch" in restfs.stderr
    restfs.environment["AWS_SECRET_ACCESS_KEY"] = daemon.secret_key
    profile_write(tmp_path, old.s3, old.access_key, "wrong")
    restfs.run("sync", f"s3://{box}", f"s3://{box}", OLD, status=1)
    assert f"s3://{box}/: at the source: SignatureDoesNotMatch" in restfs.stderr and contents(s3, box) == {}


def test_a_local_source_has_no_store(restfs, box, tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    restfs.run("cp", tmp_path / "file", f"s3://{box}/", OLD, status=2)
    assert "--source-endpoint and --source-profile are of a store, and the source is local" in restfs.stderr
    restfs.run("cp", "-", f"s3://{box}/k", OLD, input=b"1", status=2)
    assert "and the source is local" in restfs.stderr
    restfs.run("cp", f"s3://{box}/a", f"s3://{box}/", "--source-profile=nobody", status=2)
    assert "nobody" in restfs.stderr


def test_where_nothing_can_be_spooled_it_is_given_up(restfs, s3, source, box, tmp_path):
    put(source, box, {"a": b"1", "k": os.urandom(18 * MIB), "l": os.urandom(2 * MIB)})
    restfs.environment["TMPDIR"] = str(tmp_path / "nowhere")
    assert restfs.summary("cp", f"s3://{box}/k", f"s3://{box}/k", OLD, status=1)["failed"] == 1
    restfs.run("sync", f"s3://{box}", f"s3://{box}", OLD, status=1)
    assert f"{tmp_path}/nowhere: cannot be written: No such file or directory" in restfs.stderr
    assert uploads(s3, box) == []
    assert contents(s3, box) == {"a": b"1"}
    restfs.environment["TMPDIR"] = str(tmp_path / "spool")
    restfs.run("sync", f"s3://{box}", f"s3://{box}", OLD)
    restfs.run("diff", "--checksum", f"s3://{box}", f"s3://{box}", OLD)


@pytest.fixture
def liar(restfs, tmp_path):
    """A source whose bytes, above a place, are not those that its ETag is of."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    profile_write(tmp_path, f"http://127.0.0.1:{server.server_port}", "key", "secret")
    yield server
    server.shutdown()
    server.server_close()


def listing(*objects):
    rows = "".join(f"<Contents><Key>{key}</Key><Size>1</Size><ETag>&quot;{tag}&quot;</ETag><LastModified>2026-11-01T10:00:00.000Z</LastModified></Contents>" for key, tag in objects)
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"


@pytest.mark.parametrize("theirs, status", [((), 0), ((("k", "two"),), 0), ((("k", "one"), ("l", "one")), 0), ((("k", "one"),), 1)])
def test_buckets_that_were_made_in_one_second_are_of_one_store_if_they_hold_the_same(fake, liar, restfs, theirs, status):
    def answer(objects):
        def give(request):
            if request.path == "/":
                return request.reply(200, b"<ListAllMyBucketsResult><Buckets><Bucket><Name>twin</Name><CreationDate>2026-11-01T10:00:00.000Z</CreationDate>"
                                          b"</Bucket></Buckets></ListAllMyBucketsResult>", x_amz_request_id="1")
            if "list-type" in request.path:
                return request.reply(200, listing(*objects).encode(), x_amz_request_id="1")
            request.reply(200, b"1", ETag='"one"', Last_Modified="Sun, 01 Nov 2026 10:00:00 GMT")
        return give

    liar.answer, fake.answer = answer((("k", "one"),)), answer(theirs)
    fake.restfs.environment["HOME"] = restfs.environment["HOME"]
    fake.restfs.run("cp", "-n", "s3://twin/k", "s3://twin/k", OLD, status=status)
    assert ("is source and target" in fake.restfs.stderr) == (status == 1)


def answer_of(body, tag, part_size, damaged_at):
    sent = bytearray(body)
    if damaged_at is not None:
        sent[damaged_at] ^= 1

    def answer(request):
        start, end = 0, len(body)
        if "partNumber=" in request.path:
            start = (int(request.path.split("partNumber=")[1].split("&")[0]) - 1) * part_size
            end = min(start + part_size, len(body))
        elif request.headers.get("Range"):
            start, end = (int(place) for place in request.headers["Range"].split("=")[1].split("-"))
            end += 1
        is_part = end - start < len(body)
        headers = {"Content_Range": f"bytes {start}-{end - 1}/{len(body)}"} if is_part else {}
        request.reply(206 if is_part else 200, bytes(sent[start:end]), ETag=tag, Last_Modified="Sun, 01 Nov 2026 10:00:00 GMT", **headers)

    return answer


@pytest.mark.parametrize("size", [1000, 18 * MIB])
def test_damage_on_the_way_is_not_stored(restfs, s3, box, liar, size):
    body = os.urandom(size)
    liar.answer = answer_of(body, etag(body), 0, size // 2)
    restfs.run("cp", f"s3://{box}/k", f"s3://{box}/k", OLD, status=1)
    assert "k: at the source: what came is not what the server's checksum says: it is damaged" in restfs.stderr
    assert contents(s3, box) == {} and uploads(s3, box) == []


@pytest.mark.parametrize("listed", [18 * MIB + 1, 18 * MIB - 1, 1000, 18 * MIB])
@pytest.mark.parametrize("sent", [1000, 18 * MIB])
def test_a_source_that_says_several_sizes_loses_nothing(restfs, s3, box, liar, listed, sent):
    """Of an object that nothing verifies: by HEAD and GET it is `sent` bytes, by the list `listed`."""
    removed, body = [], os.urandom(sent)

    def answer(request):
        if request.command == "DELETE":
            removed.append(request.path)
        if "list-type" not in request.path:
            return answer_of(body, '"odd"', 0, None)(request)
        request.reply(200, f"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>{listed}</Size><ETag>&quot;odd&quot;</ETag>"
                           "<LastModified>2026-11-01T10:00:00.000Z</LastModified></Contents></ListBucketResult>".encode(), x_amz_request_id="1")

    liar.answer = answer
    restfs.run("mv", "-r", f"s3://{box}/", f"s3://{box}/", OLD, status=0 if sent == listed else 1)
    assert len(removed) == (sent == listed)
    assert contents(s3, box) == ({"k": body} if removed else {}) and uploads(s3, box) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_an_etag_of_parts_shows_damage_on_the_way(restfs, s3, box, liar, damaged):
    body = os.urandom(18 * MIB)
    pieces = [body[at:at + 7 * MIB] for at in range(0, len(body), 7 * MIB)]
    tag = f'"{hashlib.md5(b"".join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()}-{len(pieces)}"'
    if not damaged:  # then it is whole where it comes from
        body = body[:8 * MIB] + bytes([body[8 * MIB] ^ 1]) + body[8 * MIB + 1:]
    liar.answer = answer_of(body, tag, 7 * MIB, 8 * MIB)
    restfs.run("cp", f"s3://{box}/k", f"s3://{box}/k", OLD, status=1 if damaged else 0)
    if damaged:
        assert "k: its parts on the server are not what its checksum says, and were removed: copy it again" in restfs.stderr
        assert contents(s3, box) == {}
    else:
        assert s3.head_object(Bucket=box, Key="k")["ETag"] == tag
    assert uploads(s3, box) == []
