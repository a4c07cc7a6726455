"""--json: whatever the command, each line of its standard output is an object."""
import json

import pytest

from cli import Restfs
from daemon import PATIENCE_SECONDS, Daemon, flip
from test_cli_help import COMMANDS

CONTENT = {"cat", "head", "pipe"}  # print what is in objects, or nothing
# In this order, in one store: what it needs is there by then.
CALLS = """
mb s3://one s3://two
cp FILE s3://one/a
cp -r DIR s3://one/dir
mv -n s3://one/a s3://one/b
sync DIR s3://two
diff DIR s3://one
mirror -n DIR s3://one
ls
ls s3://one
ls --names s3://one
find -0 s3://one
stat s3://one/a
du -d1 s3://one
tree s3://one
share s3://one/a
rm -n s3://one/a
rm -r s3://one/dir
user add anna
user ls
group add family
group join family anna
group ls
group leave family anna
group rm family
key add anna --access-key=AKANNA
key ls
key rm AKANNA
user rm anna
bucket add three
bucket ls
bucket info three
bucket set three --compress=on
compact
quota set one --bytes=1G
quota ls one
verify one
scrub start
scrub status
feed one
cursor set one me --position=1
watch one --cursor=me --once
cursor ls one
cursor rm one me
bucket rm three
status
info
top --once
log --lines=5
bench --duration=1s --clients=1 --size=10 --objects=10
debug digest
debug dump
debug points
debug fault none
debug write one a --text=x
rb --force s3://two
debug crash none
""".strip().splitlines()
# Of one that does not end: test_operate.py. Those of a store that nobody serves: below.
ELSEWHERE = {"trace", "fsck", "salvage"}


def command_of(call):
    words = call.split()
    return " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    directory = tmp_path_factory.mktemp("json")
    daemon = Daemon("--set", "debug=true").start()
    daemon.restfs = Restfs(daemon.s3, daemon.access_key, daemon.secret_key, directory)
    (directory / "file").write_bytes(b"text")
    (directory / "dir").mkdir()
    (directory / "dir" / "c").write_bytes(b"more")
    daemon.words = {"FILE": directory / "file", "DIR": directory / "dir"}
    yield daemon
    daemon.finish()


def objects(text):
    lines = text.decode().split("\n")
    assert lines.pop() == ""
    found = [json.loads(line) for line in lines]
    assert all(isinstance(one, dict) for one in found), text
    return found


def test_all_commands_are_here():
    assert {command_of(call) for call in CALLS} | CONTENT | ELSEWHERE == set(COMMANDS)


def test_each_line_is_an_object(store):
    for call in CALLS:
        process = store.restfs.start("--json", "--data", store.data, *[store.words.get(word, word) for word in call.split()])
        out, error = process.communicate(timeout=PATIENCE_SECONDS)
        assert bool(objects(out)) != (process.returncode != 0 and bool(error)), (call, process.returncode, out, error)
        # There is no point and no operation of that name, and one tree has more than the other.
        assert process.returncode == 0 or command_of(call) in ("debug crash", "debug fault", "diff"), (call, process.returncode, error)


@pytest.mark.parametrize("command", ["fsck", "salvage"])
def test_what_is_found_in_a_store_is_one_object(command, rng, tmp_path):
    daemon, body = Daemon().start(), rng.randbytes(100000)
    daemon.client().create_bucket(Bucket="bucket")
    for key in ("key", "other"):
        daemon.client().put_object(Bucket="bucket", Key=key, Body=body)
    daemon.stop()
    daemon.damaged = True
    flip(daemon, body[:1000])
    found, = objects(Restfs("http://127.0.0.1:1", "a", "b", tmp_path).run("--json", command, daemon.data, status=1))
    assert len(found["findings"]) > 1
    daemon.finish()
