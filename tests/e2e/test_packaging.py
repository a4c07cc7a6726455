"""What a package of restfs installs, as far as it can be judged without a machine of its own; tools/test-deb installs it in one."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from daemon import BINARY, BUILD, PATIENCE_SECONDS, ROOT, Daemon

LEAST_SAFE = 15  # tenths of the "exposure level" of systemd-analyze, of 100
NOT_OF_THE_PACKAGE = {"gcc", "libc6-dev", "ninja-build", "libcmocka-dev", "python3-venv", "ca-certificates"}  # build-essential, meson's, or for tests
OF_THE_PACKAGE = {"debhelper-compat", "node-llhttp"}


@pytest.fixture
def unit(tmp_path):
    """The unit, with the daemon that is tested in place of the one that would be installed."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    text = (pathlib.Path(BUILD) / "packaging" / "restfs.service").read_text()
    path = tmp_path / "restfs.service"
    path.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={os.path.abspath(BINARY)}", text, flags=re.M))
    return path


@pytest.mark.parametrize("word", ["--help-config", "--help", "--version"])
def test_output_that_cannot_be_written_is_told(word):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, word], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "restfsd: write the output: No space left on device\n")


def test_the_unit_is_right(unit):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "restfs" in line]
    assert done.returncode == 0 and said == [], done.stderr


def test_the_unit_is_shut_in(unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={LEAST_SAFE}", unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_that_is_installed_sets_the_directory_and_nothing_else():
    path = pathlib.Path(BUILD) / "packaging" / "restfs.conf"
    settings = [line for line in path.read_text().splitlines() if re.match(r"\s*[\w.]+ = [^{]", line)]
    assert settings == ['data = "/var/lib/restfs";']
    again = subprocess.run([BINARY, "--config", path, "--help-config"], capture_output=True, text=True)
    assert again.stdout == path.read_text()


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE_SECONDS)
        manager.bind(str(tmp_path / "notify"))
        daemon = Daemon()
        daemon.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        daemon.start()
        assert manager.recv(100) == b"READY=1"
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        assert daemon.stop() == 0
        assert manager.recv(100) == b"STOPPING=1"
        daemon.finish()


def test_the_health_of_a_container_is_asked_for_as_the_command_line_takes_it(daemon):
    dockerfile = (ROOT / "packaging" / "container" / "Dockerfile").read_text()
    program, *words = json.loads(re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", dockerfile, re.M)[1])
    assert program == "restfs" and "/var/lib/restfs" in words

    def healthy(directory):
        argv = [pathlib.Path(BUILD) / "restfs", *[str(directory) if word == "/var/lib/restfs" else word for word in words]]
        return subprocess.run(argv, capture_output=True).returncode == 0

    assert healthy(daemon.data)
    assert not healthy(daemon.data / "volumes")


def test_the_package_is_built_of_what_a_build_by_hand_needs():
    control = (ROOT / "packaging" / "deb" / "control").read_text()
    field = re.search(r"^Build-Depends:(.*(?:\n .*)*)", control, re.M)[1]
    of_package = {re.match(r"[\w.+-]+", word.strip())[0] for word in field.split(",")}
    script = (ROOT / "tools" / "install-deps").read_text()
    by_hand = set(re.search(r'^build="([^"]*)"', script, re.M)[1].split())
    assert of_package - OF_THE_PACKAGE == by_hand - NOT_OF_THE_PACKAGE


def test_packages_that_nobody_can_install_are_named_at_once(tmp_path):
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
    for tool in tmp_path.iterdir():
        tool.chmod(0o755)
    done = subprocess.run(["/bin/sh", ROOT / "tools" / "install-deps"], capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "") and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("install-deps: only root, or sudo, can install what is missing: gcc ")


def test_the_tables_in_the_documents_are_those_of_the_code():
    done = subprocess.run([ROOT / "tools" / "make-docs", "--check", BUILD], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
