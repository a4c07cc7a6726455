"""What packaging/monitoring gives to Prometheus and Grafana fits the daemon, and docs/operations.md can be followed as it is written."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import urllib.request

import pytest

from daemon import BINARY, BUILD, PATIENCE_SECONDS, ROOT, Daemon

FILES = ROOT / "packaging" / "monitoring"
GUIDE = ROOT / "docs" / "operations.md"
NAME = re.compile(r"\b(?:restfs|process)_[a-z0-9_]+")
LABEL = re.compile(r'(\w+)(=~?)"([^"]*)"')
GIVEN = {"job", "instance"}  # by Prometheus


def alerts():
    """Name and expression of each rule: all that is read of the YAML, each expression on one line or, behind |-, on those that are further in."""
    text = (FILES / "restfs-alerts.yml").read_text()
    rules = re.findall(r"- alert: (\w+)\n +expr: (?:\|-\n((?: {10,}.*\n)+)|(.*)\n)", text)
    assert len(rules) == text.count("- alert:") > 10
    return [(name, block or line) for name, block, line in rules]


def panels():
    return json.loads((FILES / "restfs-dashboard.json").read_text())["panels"]


@pytest.fixture(scope="module")
def exposed(daemon):
    """Names, and the values of each label."""
    with urllib.request.urlopen(daemon.admin + "/metrics", timeout=PATIENCE_SECONDS) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    labels = {}
    for label, _, value in (found for line in lines for found in LABEL.findall(line)):
        labels.setdefault(label, set()).add(value)
    return {NAME.match(line).group() for line in lines}, labels


def check(expression, exposed):
    names, labels = exposed
    assert NAME.findall(expression) or expression.startswith("up{"), expression
    assert set(NAME.findall(expression)) <= names, expression
    for label, operator, value in LABEL.findall(expression):
        wanted = set(value.split("|")) if operator == "=~" else {value}
        assert label in GIVEN or wanted <= labels.get(label, set()), expression
    assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}"), expression


def test_alerts_are_of_metrics_that_there_are(exposed):
    for _, expression in alerts():
        check(expression, exposed)


def test_the_dashboard_shows_metrics_that_there_are(exposed):
    targets = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    assert len(targets) > 20
    for expression in targets:
        check(expression, exposed)
    assert len({panel["id"] for panel in panels()}) == len(panels())
    places = [(p["gridPos"]["x"] + x, p["gridPos"]["y"] + y) for p in panels() for x in range(p["gridPos"]["w"]) for y in range(p["gridPos"]["h"])]
    assert len(places) == len(set(places)) and max(x for x, _ in places) == 23


def test_each_alert_is_explained():
    explained = re.findall(r"^### (Restfs\w+)$", GUIDE.read_text(), re.MULTILINE)
    assert explained == [name for name, _ in alerts()]


@pytest.mark.skipif(not shutil.which("promtool"), reason="Debian's package prometheus has it")
def test_prometheus_takes_the_rules():
    subprocess.run(["promtool", "check", "config", FILES / "prometheus.yml"], check=True, cwd=FILES)


# Stands in for systemd: one service, whose store is where the package would have it.
SYSTEMCTL = """#!/bin/sh
set -e
stop() {{
	[ -e {pid} ] || return 0
	kill "$(cat {pid})"
	while [ -e "/proc/$(cat {pid})/exe" ]; do sleep 0.05; done # one that ended, and that nobody has asked for yet, has none
	rm {pid}
}}
start() {{
	: > {out} # the line of the one before is not this one's
	{daemon} --data {data} --s3 127.0.0.1:{port} --admin 127.0.0.1:0 > {out} 2>> {log} &
	echo $! > {pid}
	until grep -q ready {out}; do kill -0 $!; sleep 0.05; done
}}
case $1 in
stop) stop ;;
start) start ;;
restart) stop; start ;;
esac
"""


def test_the_guide_can_be_followed(tmp_path):
    first = Daemon().start()  # only for a port that is free, and keys
    port = first.s3.rsplit(":", 1)[1]
    first.finish()
    data, backup, tools = tmp_path / "restfs", tmp_path / "backup", tmp_path / "tools"
    backup.mkdir()
    tools.mkdir()
    words = dict(daemon=BINARY, data=data, port=port, pid=tmp_path / "pid", out=tmp_path / "out", log=tmp_path / "log")
    (tools / "systemctl").write_text(SYSTEMCTL.format(**words))
    (tools / "systemctl").chmod(0o755)
    environment = dict(os.environ, PATH=f"{tools}:{BUILD}:{os.environ['PATH']}", RESTFS_DATA=str(data), AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
                       AWS_REGION="us-east-1", AWS_ACCESS_KEY_ID=first.access_key, AWS_SECRET_ACCESS_KEY=first.secret_key,
                       RESTFS_ROOT_ACCESS_KEY=first.access_key, RESTFS_ROOT_SECRET_KEY=first.secret_key)

    def run(script):
        with open(tmp_path / "said", "wb") as said:  # a file: the daemon that it starts would hold a pipe open
            done = subprocess.run(["sh", "-ec", script], env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=PATIENCE_SECONDS)
        assert done.returncode == 0, (script, pathlib.Path(said.name).read_text(), words["log"].read_text()[-2000:])

    try:
        run("systemctl start restfs && restfs mb s3://photos && echo 1 | restfs pipe s3://photos/a")
        blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
        assert len(blocks) > 10
        for block in blocks:
            run(block.replace("/var/lib/restfs", str(data)).replace("/srv/backup", str(backup)))
    finally:
        run("systemctl stop restfs")
