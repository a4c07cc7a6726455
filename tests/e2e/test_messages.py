"""What somebody reads who made a mistake: one line that says what is wrong and what to do, and the right exit status."""
import os
import pathlib
import shutil
import subprocess

import pytest

from daemon import BINARY as RESTFSD
from daemon import Daemon

RESTFS = pathlib.Path(RESTFSD).parent / "restfs"
WRONG_USAGE, NOT_STARTED, REFUSED = 2, 1, 1
NOBODY = 65534


def complaint(program, *arguments, status, environment=None, user=None):
    """The only line that it wrote, but for warnings and less in the log."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **(environment or {})}, user=user)
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line and " WARN " not in line]
    assert done.returncode == status, done
    assert done.stdout == "" and len(lines) == 1 and pathlib.Path(program).name in lines[0], done
    return lines[0]


@pytest.fixture
def data(tmp_path):
    """Where a daemon has been."""
    d = Daemon(directory=tmp_path, root_key=False).start()
    assert d.stop() == 0
    return d.data


def start_fails(data, *options, status=NOT_STARTED, **keywords):
    return complaint(RESTFSD, "--data", data, "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0", *options, status=status, **keywords)


@pytest.mark.parametrize("arguments, says", [
    (["--frob"], "--frob"), (["word"], "word"), (["--data"], "--data"), (["--set", "s3.listen"], "PATH=VALUE"), (["--set", "no.such=1"], "no.such"),
    (["--config", "/nowhere/file"], "/nowhere/file: cannot be read"), (["--set", "log.level=loud"], "error, warn, info or debug")])
def test_wrong_arguments_of_the_daemon(arguments, says):
    assert says in complaint(RESTFSD, *arguments, status=WRONG_USAGE)


def test_a_wrong_configuration_is_named_by_file_and_line(tmp_path):
    config = tmp_path / "bad.conf"
    for text, says in (("s3 = {\n  listen = \n", "bad.conf:"), ("log = {\n  level = 3;\n};\n", "bad.conf:2"), ("\nfrob = 1;\n", "bad.conf:2")):
        config.write_text(text)
        assert says in complaint(RESTFSD, "--config", config, status=WRONG_USAGE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_belongs_to_another_user(own_daemon):
    """With a copy of the programs, as the build may lie where others cannot reach it."""
    place = own_daemon.directory
    place.chmod(0o755)
    for program in (RESTFSD, RESTFS):
        shutil.copy(program, place)
    assert "cannot reach the store" in complaint(place / "restfs", "--data", own_daemon.data, "user", "ls", status=REFUSED, user=NOBODY)
    own_daemon.stop()
    said = complaint(place / "restfsd", "--data", own_daemon.data, status=NOT_STARTED, user=NOBODY)
    assert f"cannot use {own_daemon.data} as the data directory: Permission denied (for user {NOBODY})" in said
    config = place / "secret.conf"
    config.touch(0o600)
    assert "Permission denied" in complaint(place / "restfsd", "--config", config, status=WRONG_USAGE, user=NOBODY)


def test_a_data_directory_that_cannot_be_one(tmp_path):
    (tmp_path / "file").touch()
    assert "as the data directory: Not a directory" in start_fails(tmp_path / "file")
    assert "as the data directory: No such file or directory" in start_fails("/proc/nowhere/deep")


def test_a_store_that_another_process_has(own_daemon):
    assert f"in use by process {own_daemon.process.pid}" in start_fails(own_daemon.data)


def test_a_master_key_that_is_missing_cut_or_anothers(data):
    key = data / "master.key"
    right = key.read_bytes()
    key.unlink()
    assert "master.key is missing" in start_fails(data)
    key.touch(0o600)
    for content, says in ((right[:5], "has 5 bytes, not 32"), (bytes(reversed(right)), "is not the one")):
        key.write_bytes(content)
        assert f"master.key {says}" in start_fails(data)


@pytest.mark.parametrize("option", ["--s3", "--admin"])
def test_an_address_that_cannot_be_had(own_daemon, tmp_path, option):
    taken = own_daemon.s3.removeprefix("http://")
    assert f"cannot listen on {taken}: Address already in use; {option} gives another address" in start_fails(tmp_path / "d", option, taken)
    for wrong in ("nonsense", "127.0.0.1:99999", "127.0.0.1:"):
        assert f'cannot listen on "{wrong}": not HOST:PORT' in start_fails(tmp_path / "d", option, wrong)


def test_a_certificate_that_is_not_there(tmp_path):
    missing = tmp_path / "missing.pem"
    said = start_fails(tmp_path / "d", "--set", f"tls.certificate={missing}", "--set", f"tls.key={missing}")
    assert f"cannot read certificate {missing}: No such file or directory" in said
    assert "tls.certificate and tls.key must be set together" in start_fails(tmp_path / "d", "--set", f"tls.key={missing}")


@pytest.mark.parametrize("arguments, says", [
    ([], "--help"), (["--frob"], "--frob"), (["user"], "to do what"), (["user", "frob"], "user frob"), (["user", "add"], "NAME is missing"),
    (["user", "add", "a", "--frob"], "--frob"), (["user", "add", "a", "b"], "too many")])
def test_wrong_arguments_of_the_command_line(arguments, says):
    assert says in complaint(RESTFS, *arguments, status=WRONG_USAGE)


def test_a_store_that_is_not_there(data, tmp_path):
    assert "give it with --data" in complaint(RESTFS, "--data", tmp_path / "missing", "user", "ls", status=REFUSED)
    assert "does restfsd run on this directory?" in complaint(RESTFS, "--data", data, "user", "ls", status=REFUSED)


def test_a_wrong_endpoint_or_key_over_the_network(own_daemon):
    key = {"AWS_ACCESS_KEY_ID": own_daemon.access_key, "AWS_SECRET_ACCESS_KEY": own_daemon.secret_key}

    def refused(url, **changes):
        return complaint(RESTFS, "--admin", url, "user", "ls", status=REFUSED, environment=key | changes)

    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in refused(own_daemon.admin, AWS_ACCESS_KEY_ID="")
    assert "INVALID_ACCESS_KEY_ID" in refused(own_daemon.admin, AWS_ACCESS_KEY_ID="NOBODYS")
    assert "SIGNATURE_MISMATCH" in refused(own_daemon.admin, AWS_SECRET_ACCESS_KEY="wrong")
    assert "as an S3 door does: give --admin the administration's address" in refused(own_daemon.s3)
    assert "cannot speak TLS" in refused(own_daemon.admin.replace("http:", "https:"))
    assert "http://HOST:PORT or https://HOST:PORT" in refused("nonsense")
    admin = own_daemon.admin
    own_daemon.stop()
    assert "Connection refused" in refused(admin)
