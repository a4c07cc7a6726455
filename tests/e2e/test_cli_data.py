"""The commands for data: what they show and remove, in a pipe; and that they say what they do not find."""
import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon import BUILD, PATIENCE_SECONDS
from raw_s3 import RawS3

RESTFS = BUILD + "/restfs"
KEYS = ["a.txt", "b/c.txt", "b/d.txt", "b/e/f.jpg", "b2/x.jpg", "z"]


class Cli:
    def __init__(self, daemon):
        self.environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TZ": "UTC", "AWS_ENDPOINT_URL": daemon.s3,
                            "AWS_ACCESS_KEY_ID": daemon.access_key, "AWS_SECRET_ACCESS_KEY": daemon.secret_key}

    def __call__(self, *arguments, status=0, environment=None):
        """Standard output; of what fails, standard error."""
        done = subprocess.run([RESTFS, *arguments], capture_output=True, timeout=PATIENCE_SECONDS, env=self.environment | (environment or {}))
        out, error = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == status and "\033" not in out + error, done
        assert (error == "") == (status == 0) and all(line.startswith("restfs: ") for line in error.splitlines()), done
        return error if status else out

    def lines(self, *arguments, **keywords):
        return self(*arguments, **keywords).splitlines()

    def json(self, *arguments):
        return [json.loads(line) for line in self.lines("--json", *arguments)]


@pytest.fixture
def cli(daemon):
    return Cli(daemon)


@pytest.fixture
def full(s3, bucket):
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=f"one\ntwo\n{key}".encode(), Metadata={"colour": "red"})
    return f"s3://{bucket}"


def names(lines):
    return [line.split()[-1] for line in lines]


def test_buckets_are_made_listed_and_removed(cli, s3, bucket_name):
    path = f"s3://{bucket_name}"
    assert cli("mb", path, path + "-2") == f"made {path}\nmade {path}-2\n"
    assert cli("mb", path) == f"already there {path}\n" and cli.json("mb", path) == [{"bucket": bucket_name, "done": "already there"}]
    assert {path, path + "-2"} <= set(names(cli.lines("ls")))
    assert cli.lines("ls", "--names", path + "*") == [f"{path}/", f"{path}-2/"]
    s3.put_object(Bucket=bucket_name, Key="a", Body=b"")
    assert "--force" in cli("rb", path, status=1)
    assert cli.lines("rb", "-n", "--force", path) == [f"would remove {path}/a", f"would remove {path}"]
    assert cli("rb", "-q", "--force", path, path + "-2") == ""
    assert not {path, path + "-2"} & set(names(cli.lines("ls")))
    assert "NoSuchBucket" in cli("rb", path, status=1)


@pytest.mark.parametrize("path, says", [("photos", "no path in a store"), ("s3://", "which bucket"), ("s3:///a", "names no bucket"),
                                        ("s3://a/b", "nothing behind it")])
def test_what_is_no_bucket(cli, path, says):
    assert says in cli("mb", path, status=2)


@pytest.mark.parametrize("words, says", [
    (["ls", "FULL/a.txt", "s3:/one"], "no path in a store"), (["stat", "FULL/a.txt", "FULL"], "which object"), (["head", "FULL/a.txt", "FULL"], "which object"),
    (["cat", "FULL/a.txt", "FULL"], "is no object"), (["du", "FULL", "a"], "no path in a store"), (["tree", "FULL", "a"], "no path in a store"),
    (["find", "FULL", "a"], "no path in a store"), (["find", "FULL", "--name="], "needs a pattern"), (["share", "FULL/a.txt", "FULL"], "which object"),
    (["share", "--expires=8d", "FULL/a.txt"], "1s to 7d"), (["rm", "FULL/a.txt", "FULL"], "which object"), (["rm", "-r", "FULL/b", "a"], "no path in a store"),
    (["rm", "-r", "--parallel=0", "FULL/b"], "1 to 1024"), (["rm", "--older-than=1d", "FULL/a.txt"], "only of what -r removes"),
    (["rb", "--force", "FULL", "FULL/b"], "nothing behind it"), (["sync", "FULL", "FULL/b"], "in the other"), (["diff", "a", "b"], "neither a nor b")])
def test_of_wrong_usage_nothing_is_done(cli, s3, full, words, says):
    said = cli(*[word.replace("FULL", full) for word in words], status=2)
    assert says in said and said.count("\n") == 1
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=full[5:])["Contents"]] == KEYS


@pytest.mark.parametrize("words", [["sync", "/nonexistent/a", "FULL"], ["mirror", "/nonexistent/a", "FULL"], ["diff", "/nonexistent/a", "FULL"],
                                   ["cp", "/nonexistent/a", "FULL"], ["sync", "/etc/passwd", "FULL"]])
def test_a_source_that_is_not_there_is_no_wrong_usage(cli, full, words):
    done = subprocess.run([RESTFS, *[word.replace("FULL", full) for word in words]], capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=cli.environment)
    assert done.returncode == 1 and words[1] in done.stderr


@pytest.mark.parametrize("words, says", [(["quota", "set", "BUCKET"], "nothing to change"), (["bucket", "set", "BUCKET"], "nothing to change"),
                                         (["feed", "BUCKET", "--limit=0"], "limit is"), (["watch", "/x"], "which bucket"), (["log", "--lines=99999999"], "lines is 0")])
def test_what_the_administration_does_not_take_is_wrong_usage(cli, daemon, bucket, words, says):
    assert says in cli("--data", str(daemon.data), *[word.replace("BUCKET", bucket) for word in words], status=2)


@pytest.mark.parametrize("words", [["stat"], ["head"], ["cat"], ["rm"], ["rm", "-f"], ["rm", "-fn"], ["rm", "-r"], ["ls"], ["du"], ["tree"], ["find"]])
def test_a_bucket_that_is_not_there_is_named_as_what_is_missing(cli, bucket_name, words):
    said = cli(*words, f"s3://{bucket_name}/a", status=1)
    assert re.search("no (such )?bucket", said) and "object" not in said


def test_a_copy_out_of_a_bucket_that_is_not_there_says_so(cli, bucket_name, tmp_path):
    done = subprocess.run([RESTFS, "cp", f"s3://{bucket_name}/a", tmp_path], capture_output=True, text=True, timeout=PATIENCE_SECONDS, env=cli.environment)
    assert done.returncode == 1 and done.stderr == f"restfs: s3://{bucket_name}/a: there is no such bucket\n"


@pytest.mark.parametrize("below, options, shown", [
    ("", [], ["a.txt", "b/", "b2/", "z"]), ("/", [], ["a.txt", "b/", "b2/", "z"]), ("/b", [], ["c.txt", "d.txt", "e/"]), ("/b/", ["-r"], ["c.txt", "d.txt", "e/f.jpg"]),
    ("/a.txt", [], ["a.txt"]), ("/b*", [], ["b/", "b2/"]), ("/b*", ["-r"], []), ("/b/*.txt", [], ["c.txt", "d.txt"]), ("/*/*.jpg", [], ["b2/x.jpg"]),
    ("/**.jpg", ["-r"], ["b/e/f.jpg", "b2/x.jpg"])])
def test_a_level_a_directory_an_object_or_what_fits(cli, full, below, options, shown):
    if shown:
        assert names(cli.lines("ls", *options, full + below)) == shown
    else:
        assert "nothing fits" in cli("ls", *options, full + below, status=1)


def test_a_listing_has_times_and_sizes(cli, full):
    first, *_ = cli.lines("ls", full)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +13  a\.txt", first)
    assert " 13 B  a.txt" in cli.lines("ls", "-h", full)[0]
    assert [(o.get("key"), o.get("size"), o.get("prefix")) for o in cli.json("ls", full)] == [
        ("a.txt", 13, None), (None, None, "b/"), (None, None, "b2/"), ("z", 9, None)]
    assert cli.lines("ls", "--names", full + "/b/*") == [f"{full}/b/c.txt", f"{full}/b/d.txt", f"{full}/b/e/"]
    assert "no such object or directory" in cli("ls", full + "/nothing", status=1)
    assert "NoSuchBucket" in cli("ls", full + "-not", status=1)


def fill(daemon, bucket, numbers):
    raw = RawS3(daemon)
    for number in numbers:
        assert raw.request("PUT", f"/{bucket}/d{number % 3}/{number:04}", body=b"12").status == 200
    raw.close()


def test_more_than_a_page_is_listed_counted_and_removed(cli, daemon, s3, bucket):
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda part: fill(daemon, bucket, range(part, 2010, 12)), range(12)))
    path = f"s3://{bucket}"
    assert len(cli.lines("ls", "-r", path)) == 2010
    assert [line.split() for line in cli.lines("du", "--depth=1", path)] == [
        ["1340", "670", f"{path}/d{n}/"] for n in range(3)] + [["4020", "2010", path]]
    assert len(cli.lines("rm", "-r", path + "/d1", path + "/d2/")) == 1340
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, MaxKeys=2)["Contents"]] == ["d0/0000", "d0/0003"]
    assert cli("rb", "-q", "--force", path) == ""
    s3.create_bucket(Bucket=bucket)


def test_a_reader_that_has_enough_ends_a_listing(cli, full):
    done = subprocess.run(f"for i in 1 2 3; do {RESTFS} ls -r {full}; done | head -n 1", shell=True, capture_output=True, text=True,
                          env=cli.environment, timeout=PATIENCE_SECONDS)
    assert done.stderr == "" and done.stdout.count("\n") == 1


def test_names_are_shown_as_they_are_in_a_pipe(cli, s3, bucket):
    odd = "sp ace/\u00e4\u00f6/it's \"x\"&<>%20+\u20ac"
    s3.put_object(Bucket=bucket, Key=odd, Body=b"")
    assert cli("ls", "-r", "--names", f"s3://{bucket}") == f"s3://{bucket}/{odd}\n"
    assert cli.json("stat", f"s3://{bucket}/{odd}")[0]["key"] == odd
    assert cli("rm", f"s3://{bucket}/{odd}") == f"removed s3://{bucket}/{odd}\n"


def test_usage_and_tree(cli, full):
    assert [line.split()[0] for line in cli.lines("du", full)] == [str(sum(8 + len(key) for key in KEYS))]
    assert cli.json("du", "-d2", full + "/b") == [{"bucket": full[5:], "prefix": "b/e/", "bytes": 17, "objects": 1},
                                                  {"bucket": full[5:], "prefix": "b/", "bytes": 47, "objects": 3}]
    assert cli.lines("du", full + "/a.txt")[0].split()[:2] == ["13", "1"]
    assert cli.lines("tree", full)[1:] == ["|-- a.txt", "|-- b/", "|   |-- c.txt", "|   |-- d.txt", "|   `-- e/", "|       `-- f.jpg", "|-- b2/",
                                           "|   `-- x.jpg", "`-- z", "3 directories, 6 objects"]
    assert cli.lines("tree", "--depth=1", full)[1:] == ["|-- a.txt", "|-- b/", "|-- b2/", "`-- z", "2 directories, 2 objects"]


def test_a_path_is_an_objects_a_directorys_or_mistyped(cli, s3, full):
    bucket = full[5:]
    assert cli.lines("du", full + "/a.txt") == [f"{13:12}  {1:8}  {full}/a.txt"]
    assert cli.json("du", "-d3", full + "/a.txt") == [{"bucket": bucket, "prefix": "a.txt", "bytes": 13, "objects": 1}]
    assert cli.lines("tree", full + "/a.txt") == [full + "/a.txt", "0 directories, 1 object"]
    assert [row["key"] for row in cli.json("tree", full + "/a.txt")] == ["a.txt"]
    for command in ("du", "tree"):
        for path in ("/no", "/no/", "/a.txt/", "/b/c.txt/"):
            assert cli.lines(command, full + path, status=1) == [f"restfs: {full}{path}: there is nothing"]
    s3.put_object(Bucket=bucket, Key="b", Body=b"12345")  # beside the directory
    s3.put_object(Bucket=bucket, Key="marked/", Body=b"")
    assert cli.lines("du", full + "/b") == [f"{52:12}  {4:8}  {full}/b/"]
    assert cli.lines("du", full + "/marked/") == [f"{0:12}  {1:8}  {full}/marked/"]
    assert cli.lines("tree", full + "/marked") == [full + "/marked/", "0 directories, 0 objects"]


def test_an_empty_bucket_is_no_mistake(cli, s3, bucket):
    assert cli.lines("du", f"s3://{bucket}") == [f"{0:12}  {0:8}  s3://{bucket}"]
    assert cli.lines("tree", f"s3://{bucket}")[1:] == ["0 directories, 0 objects"]


def test_an_object_is_shown(cli, full):
    shown = cli("stat", full + "/a.txt")
    assert re.search(r"^size +13$", shown, re.M) and re.search(r"^metadata +colour=red$", shown, re.M)
    about, = cli.json("stat", full + "/a.txt")
    assert about["size"] == 13 and about["metadata"] == {"colour": "red"}
    assert cli.lines("stat", full + "/no", full + "/not", status=1) == [f"restfs: {full}/{key}: there is no such object" for key in ("no", "not")]


def test_how_an_object_begins(cli, s3, bucket):
    body = "".join(f"line {n}\n" for n in range(50000))
    s3.put_object(Bucket=bucket, Key="long", Body=body.encode())
    path = f"s3://{bucket}/long"
    assert cli("head", path) == body[:body.index("line 10\n")]
    assert cli("head", "-n", "30000", path) == body[:body.index("line 30000\n")]
    assert cli("head", "-c", "70001", path) == body[:70001]
    assert cli("head", "-n", "99999", path) == body
    assert cli("head", "-n0", path) == ""


def test_objects_are_removed_and_what_is_not_there_is_said(cli, s3, full):
    def left():
        return [o["Key"] for o in s3.list_objects_v2(Bucket=full[5:]).get("Contents", [])]

    assert f"{full}/nothing: there is no such object" in cli("rm", full + "/nothing", full + "/z", status=1)
    assert left() == KEYS[:-1]
    assert cli("rm", "--force", full + "/nothing", "-q") == ""
    assert cli("rm", "-f", full + "/nothing") == f"gone {full}/nothing\n" and cli.json("rm", "-f", full + "/nothing")[0]["done"] == "gone"
    assert cli("rm", "-fn", full + "/nothing", full + "/a.txt") == f"would remove {full}/a.txt\n"
    assert cli.lines("rm", "-rn", full + "/b") == [f"would remove {full}/{key}" for key in KEYS[1:4]]
    assert left() == KEYS[:-1]
    s3.put_object(Bucket=full[5:], Key="b", Body=b"beside the directory")
    assert cli.lines("rm", "-r", full + "/b") == [f"removed {full}/{key}" for key in ["b"] + KEYS[1:4]]
    assert left() == ["a.txt", "b2/x.jpg"]
    assert "there is nothing" in cli("rm", "-r", full + "/b", status=1)
    assert [o["done"] for o in cli.json("rm", "-r", full)] == ["removed"] * 2
    assert left() == []


def test_what_may_not_be_removed_is_said_and_the_rest_goes(cli, s3, daemon, full):
    """A key that may not write: all of it fails, one line each at most."""
    keys = json.loads(subprocess.run([RESTFS, "--data", daemon.data, "key", "add", "root", "--read-only", "--json"], capture_output=True, check=True).stdout)
    reader = {"AWS_ACCESS_KEY_ID": keys["access_key"], "AWS_SECRET_ACCESS_KEY": keys["secret_key"]}
    said = cli("rm", "-r", full + "/b", status=1, environment=reader)
    assert "may only read" in said and "3 objects were not removed" in said and len(s3.list_objects_v2(Bucket=full[5:])["Contents"]) == len(KEYS)


def test_shared_for_some_time(cli, s3, full):
    url = cli("share", "--expires=1h", full + "/a.txt").strip()
    assert "X-Amz-Expires=3600" in url and urllib.request.urlopen(url).read() == b"one\ntwo\na.txt"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url.replace("a.txt", "z"))
    up, = cli.json("share", "--upload", full + "/new")
    assert up["method"] == "PUT"
    urllib.request.urlopen(urllib.request.Request(up["url"], b"body", method="PUT"))
    assert s3.get_object(Bucket=full[5:], Key="new")["Body"].read() == b"body"


def test_a_store_that_is_not_there_or_a_wrong_key(cli, full):
    assert "SignatureDoesNotMatch" in cli("ls", status=1, environment={"AWS_SECRET_ACCESS_KEY": "wrong-secret"})
    cli("ls", "--endpoint=nonsense", status=2)


@pytest.mark.parametrize("options, found", [
    ([], KEYS), (["--name=*.jpg"], ["b/e/f.jpg", "b2/x.jpg"]), (["--name=*.txt", "--exclude=b"], ["a.txt"]), (["--name=b/*.txt"], ["b/c.txt", "b/d.txt"]),
    (["--exclude=*.*"], ["z"]), (["--larger=15"], ["b/e/f.jpg", "b2/x.jpg"]), (["--smaller=10"], ["z"]), (["--newer-than=1h"], KEYS), (["--older-than=1h"], []),
    (["--older-than=2000-01-01"], []), (["--name=?"], KEYS[1:4] + ["z"])])
def test_objects_are_found_by_name_size_and_age(cli, full, options, found):
    assert cli.lines("find", full, *options) == [f"{full}/{key}" for key in found]


def test_what_is_found_may_be_used_by_others(cli, full):
    assert cli("find", full + "/b", "-0").split("\0") == [f"{full}/{key}" for key in KEYS[1:4]] + [""]
    assert [o["key"] for o in cli.json("find", full + "/b/", "--name=d.txt", "-0")] == ["b/d.txt"]
    assert "is how long ago" in cli("find", full, "--newer-than=yesterday", status=2)


def test_filters_choose_what_is_removed(cli, full):
    assert cli.lines("rm", "-r", full, "--include=*.txt", "--exclude=d.*") == [f"removed {full}/{key}" for key in ("a.txt", "b/c.txt")]
    assert cli("rm", "-r", full, "--older-than=1d", "-q") == ""
    assert cli.lines("find", full) == [f"{full}/{key}" for key in KEYS[2:]]


@pytest.mark.parametrize("words", ["ls -r FULL", "cat FULL/long", "cp FULL/long -", "head -c 8M FULL/long", "find FULL", "--help"])
def test_a_reader_that_has_enough_hears_no_complaint(cli, daemon, s3, full, words):
    s3.put_object(Bucket=full[5:], Key="long", Body=b"line\n" * 2000000)
    done = subprocess.run(["bash", "-c", f'"$0" --data {daemon.data} {words.replace("FULL", full)} | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}', RESTFS],
                          capture_output=True, text=True, env=cli.environment, timeout=PATIENCE_SECONDS)
    # What fits into the pipe is written before its reader ends.
    assert done.stderr == "" and done.returncode in (0, 1)


@pytest.mark.parametrize("words", [["ls"], ["cat", "FULL/a.txt"], ["head", "FULL/a.txt"], ["stat", "FULL/a.txt"], ["user", "ls"]])
def test_what_is_printed_into_a_closed_output_goes_nowhere_else(cli, daemon, full, words):
    words = [word.replace("FULL", full) for word in words]
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', RESTFS, "--data", daemon.data, *words], capture_output=True, text=True, env=cli.environment,
                          timeout=PATIENCE_SECONDS)
    assert done.returncode == 1 and done.stderr.endswith("Bad file descriptor\n") and done.stderr.count("\n") == 1


def test_a_pipe_is_neither_waited_for_nor_replaced(cli, s3, full, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.symlink("pipe", tmp_path / "link")
    for name in ("pipe", "link"):
        for words in ([tmp_path / name, full], [full + "/a.txt", tmp_path / name]):
            done = subprocess.run([RESTFS, "cp", *words], capture_output=True, text=True, env=cli.environment, timeout=20)
            assert done.returncode == 1 and done.stderr.startswith(f"restfs: {tmp_path}/{name}: is no file")
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link").is_symlink() and sorted(os.listdir(tmp_path)) == ["link", "pipe"]


@pytest.mark.parametrize("size", [4, 11 * 1024 * 1024])
def test_of_a_file_that_cannot_have_its_name_nothing_stays(cli, s3, bucket, tmp_path, size):
    s3.put_object(Bucket=bucket, Key="a", Body=bytes(size))
    (tmp_path / "a" / "b").mkdir(parents=True)
    done = subprocess.run([RESTFS, "cp", "-r", "--part-size=5M", f"s3://{bucket}", tmp_path], capture_output=True, text=True, env=cli.environment, timeout=PATIENCE_SECONDS)
    assert done.returncode == 1 and done.stderr == f"restfs: {tmp_path}/a: cannot be written: Is a directory\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
