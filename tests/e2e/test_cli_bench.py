"""restfs bench: what it reports, and that nothing of it stays."""
import json
import os
import signal
import subprocess
import xml.etree.ElementTree

import pytest

from daemon import PATIENCE_SECONDS, wait_until
from test_cli_data import RESTFS, Cli

OPERATIONS = ["put", "get", "head", "list", "delete"]


@pytest.fixture
def cli(daemon):
    return Cli(daemon)


def left_over(s3):
    return [b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].startswith("restfs-bench-")]


def test_every_operation_is_measured_and_nothing_stays(cli, s3, daemon, tmp_path):
    picture = tmp_path / "a.svg"
    report, = cli.json("bench", daemon.s3, "--duration=1s", "--clients=3", "--objects=60", "--size=10000", f"--svg={picture}")
    assert report["endpoint"] == daemon.s3 and report["clients"] == 3 and report["size"] == 10000
    assert [o["operation"] for o in report["operations"]] == OPERATIONS
    for o in report["operations"]:
        latency = o["latency_seconds"]
        assert o["count"] > 0 and o["errors"] == 0 and o["per_second"] == pytest.approx(o["count"] / o["seconds"], rel=0.01)
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99.9"] <= latency["max"] <= PATIENCE_SECONDS
        assert (o["bytes_per_second"] > 0) == (o["operation"] in ("put", "get"))
    by_name = {o["operation"]: o for o in report["operations"]}
    assert by_name["get"]["bytes_per_second"] == pytest.approx(10000 * by_name["get"]["per_second"], rel=0.01)
    assert by_name["delete"]["count"] <= 60
    assert left_over(s3) == []
    text = "".join(xml.etree.ElementTree.parse(picture).getroot().itertext())
    assert all(name in text for name in OPERATIONS) and daemon.s3 in text and "3 clients" in text
    numbers = [float(e.get(name)) for e in xml.etree.ElementTree.parse(picture).iter() for name in ("x", "x1", "x2", "cx", "y", "cy") if e.get(name)]
    assert all(0 <= number <= 820 for number in numbers)


def test_a_mix_in_a_bucket_that_is_there(cli, s3, bucket):
    s3.put_object(Bucket=bucket, Key="mine", Body=b"stays")
    shown = cli("bench", f"s3://{bucket}/some", "--duration=1", "--clients=2", "--objects=20", "--mix=put:1,get:3,list:1,delete:1")
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.split() and line.split()[0] in OPERATIONS}
    assert set(rows) == {"put", "get", "list", "delete"} and all(row[-1] == "0" and float(row[1]) > 0 for row in rows.values())
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["mine"]


def test_errors_are_counted_and_set_the_exit_code(daemon, cli, bucket):
    key = json.loads(subprocess.run([RESTFS, "--data", daemon.data, "key", "add", "root", f"--bucket={bucket}", "--prefix=mine/", "--json"],
                                    capture_output=True, check=True).stdout)
    limited = {"AWS_ACCESS_KEY_ID": key["access_key"], "AWS_SECRET_ACCESS_KEY": key["secret_key"]}
    assert "scope" in cli("bench", f"s3://{bucket}", "--duration=1", "--clients=2", status=1, environment=limited)
    assert "cannot make a bucket" in cli("bench", "--duration=1", status=1, environment=limited)


@pytest.mark.parametrize("arguments, says", [
    (["--mix=pit:3"], "--mix is as"), (["--mix=put:0"], "asks for nothing"), (["--mix=put:x"], "--mix is as"), (["photos"], "neither http"),
    (["--clients=0"], "--clients is from 1"), (["--duration=0"], "--duration is from"), (["--size=6G"], "at most 5G")])
def test_wrong_settings(cli, arguments, says):
    assert says in cli("bench", *arguments, status=2)


@pytest.mark.parametrize("name", ["nowhere/a.svg", ".", "a.svg/"])
def test_a_picture_that_cannot_be_written_is_known_before_anything_is_measured(cli, s3, daemon, tmp_path, name):
    assert f"cannot write {tmp_path}/{name}: " in cli("bench", daemon.s3, "--duration=1h", f"--svg={tmp_path}/{name}", status=1)
    assert left_over(s3) == []


def test_a_link_and_a_pipe_stay_what_they_are(cli, tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        assert f"cannot write {tmp_path}/{name}: " in cli("bench", "http://127.0.0.1:1", "--duration=1", f"--svg={tmp_path}/{name}", status=1)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "pipe").is_fifo() and not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("before", [None, "an older one"])
def test_of_a_picture_that_is_not_drawn_nothing_stays(cli, tmp_path, before):
    picture = tmp_path / "a.svg"
    if before:
        picture.write_text(before)
    assert "cannot make a bucket" in cli("bench", "http://127.0.0.1:1", "--duration=1", f"--svg={picture}", status=1)
    assert (picture.read_text() if picture.exists() else None) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_broken_off_it_cleans_up_and_shows_what_it_has(cli, s3, daemon, number):
    run = subprocess.Popen([RESTFS, "bench", daemon.s3, "--duration=1h", "--clients=2", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.environment)
    wait_until(lambda: any(s3.list_objects_v2(Bucket=name).get("KeyCount") > 2 for name in left_over(s3)))  # two may not have been answered yet
    run.send_signal(number)
    out, error = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0 and error == b""
    put, = json.loads(out)["operations"]
    assert put["operation"] == "put" and put["count"] > 0 and put["seconds"] < 3600
    assert left_over(s3) == []
