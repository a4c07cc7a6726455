"""What somebody reads who made a mistake: one line that says what is wrong and what to do, and the right exit status."""
import concurrent.futures
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from daemon import BINARY as RESTFSD
from daemon import PATIENCE_SECONDS, ROOT, Daemon, wait_until
from s3_expect import refused

sys.path.insert(0, str(ROOT / "tests" / "crash"))

from faults import Plan, environment  # noqa: E402

RESTFS = pathlib.Path(RESTFSD).parent / "restfs"
WRONG_USAGE, NOT_STARTED, REFUSED = 2, 1, 1
NOBODY = 65534


def complaint(program, *arguments, status, environment=None, user=None):
    """The only line that it wrote, but for warnings and less in the log."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS, env={**os.environ, **(environment or {})}, user=user)
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
    (["--frob"], "there is no option --frob; see restfsd --help"), (["--data", "d", "-xyz"], "no option -xyz"), (["word"], "word"),
    (["--data"], "--data needs a value"), (["--set", "s3.listen"], "PATH=VALUE"), (["--set", "no.such=1"], "no.such"),
    (["--config", "/nowhere/file"], "/nowhere/file: cannot be read"), (["--set", "log.level=loud"], "error, warn, info or debug")])
def test_wrong_arguments_of_the_daemon(arguments, says):
    assert says in complaint(RESTFSD, *arguments, status=WRONG_USAGE)


def test_a_wrong_configuration_is_named_by_file_and_line(tmp_path):
    config = tmp_path / "bad.conf"
    for text, says in (("s3 = {\n  listen = \n", "bad.conf:"), ("log = {\n  level = 3;\n};\n", "bad.conf:2"), ("\nfrob = 1;\n", "bad.conf:2"),
                       ("log = {\n  level = \"loud\";\n};\n", 'bad.conf:2: log.level: "loud" is not error, warn, info or debug'),
                       ("s3 = {\n  listen = \"nonsense\";\n};\n", 'bad.conf:2: s3.listen: "nonsense" is not HOST:PORT'),
                       ("\ns3 = { domain = \"/?\"; };\n", "bad.conf:2: s3.domain"), ("\ns3 = { region = \"\"; };\n", "bad.conf:2: s3.region"),
                       ("data = \"\";\n", "bad.conf:1: data"), ("\n\ntls = { certificate = \"x\"; };\n", "bad.conf:3: tls.certificate: tls.certificate and tls.key must")):
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
    assert "as the data directory: No such file or directory (the directory that it lies in must be there)" in start_fails(tmp_path / "not" / "there")
    assert "is no store and holds other files: give an empty directory" in start_fails(tmp_path)


def test_a_store_that_another_process_has(own_daemon):
    says = f"in use by process {own_daemon.process.pid}, which has to stop first"
    assert says in start_fails(own_daemon.data)
    for command in ("fsck", "salvage"):
        assert says in complaint(RESTFS, command, own_daemon.data, status=WRONG_USAGE)


def test_a_master_key_that_is_missing_cut_or_anothers(data):
    key = data / "master.key"
    right = key.read_bytes()
    key.unlink()
    assert "master.key is missing" in start_fails(data)
    key.touch(0o600)
    for content, says in ((right[:5], "has 5 bytes, not 32"), (bytes(reversed(right)), "is not the one")):
        key.write_bytes(content)
        assert f"master.key {says}" in start_fails(data)


@pytest.mark.parametrize("environment, says", [
    ({"ACCESS": "root"}, "must be set together"), ({"SECRET": "long enough"}, "must be set together"), ({"ACCESS": "r", "SECRET": "longenough"}, "ACCESS_KEY must be 3 to"),
    ({"ACCESS": "root", "SECRET": "short"}, "SECRET_KEY must be 8 to")])
def test_a_root_key_that_cannot_be_one(tmp_path, environment, says):
    assert says in start_fails(tmp_path / "d", environment={f"RESTFS_ROOT_{name}_KEY": value for name, value in environment.items()})


@pytest.mark.parametrize("option", ["--s3", "--admin"])
def test_an_address_that_cannot_be_had(own_daemon, tmp_path, option):
    taken = own_daemon.s3.removeprefix("http://")
    assert f"cannot listen on {taken}: Address already in use; {option} gives another address" in start_fails(tmp_path / "d", option, taken)
    assert 'gives another address (make run has options in ARGS="...")' in start_fails(tmp_path / "d", option, taken, "--hints")
    for wrong in ("nonsense", "127.0.0.1:99999", "127.0.0.1:"):
        assert f'{option.removeprefix("--")}.listen: "{wrong}" is not HOST:PORT' in start_fails(tmp_path / "d", option, wrong, status=WRONG_USAGE)


def test_a_certificate_that_is_not_there(tmp_path):
    missing = tmp_path / "missing.pem"
    said = start_fails(tmp_path / "d", "--set", f"tls.certificate={missing}", "--set", f"tls.key={missing}")
    assert f"cannot read certificate {missing}: No such file or directory" in said
    assert "tls.certificate and tls.key must be set together" in start_fails(tmp_path / "d", "--set", f"tls.key={missing}", status=WRONG_USAGE)


def test_a_certificate_or_key_that_is_none(tmp_path):
    def make(name, *kind):
        command = ["openssl", "req", "-x509", "-nodes", "-newkey", *kind, "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem", "-subj", "/CN=a"]
        subprocess.run(command, check=True, capture_output=True)

    def says(certificate, key):
        return start_fails(tmp_path / "d", "--set", f"tls.certificate={tmp_path / certificate}", "--set", f"tls.key={tmp_path / key}")

    make("one", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    make("two", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    make("rsa", "rsa:2048")
    assert f"cannot read certificate {tmp_path}/one.key: there is none in it, as PEM" in says("one.key", "one.key")
    assert f"cannot use private key {tmp_path}/one.pem: there is none in it, as PEM" in says("one.pem", "one.pem")
    for other in ("two", "rsa"):
        assert f"cannot use private key {tmp_path}/{other}.key: it is not the certificate's" in says("one.pem", f"{other}.key")


@pytest.mark.parametrize("arguments, says", [
    ([], "--help"), (["--frob"], "--frob"), (["user"], "to do what"), (["user", "frob"], "user frob"), (["user", "add"], "NAME is missing"),
    (["user", "add", "a", "--frob"], "--frob"), (["user", "add", "a", "b"], "too many"), (["bucket", "info", "s3://b"], "name alone, without s3://"),
    (["key", "add", "a", "--bucket=s3://b"], "name alone, without s3://")])
def test_wrong_arguments_of_the_command_line(arguments, says):
    assert says in complaint(RESTFS, *arguments, status=WRONG_USAGE)


def test_a_source_that_is_not_there():
    assert "missing: cannot be read: No such file" in complaint(RESTFS, "mirror", "missing", "s3://b", status=REFUSED)


def test_a_store_that_is_not_there(data, tmp_path):
    assert "give it with --data" in complaint(RESTFS, "--data", tmp_path / "missing", "user", "ls", status=REFUSED)
    assert "does restfsd run on this directory? --data names another" in complaint(RESTFS, "--data", data, "user", "ls", status=REFUSED)


def test_keys_that_are_missing(own_daemon, tmp_path):
    own_daemon.client().create_bucket(Bucket="open")

    def refused(*words, status=REFUSED, **keys):
        files = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "AWS_ENDPOINT_URL": own_daemon.s3, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        return complaint(RESTFS, *words, status=status, environment=files | keys)

    for words in (("ls",), ("ls", "s3://open"), ("stat", "s3://open/a")):
        assert "no key was given: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile" in refused(*words)
    assert "no key was given" not in refused("ls", AWS_ACCESS_KEY_ID="NOBODYS", AWS_SECRET_ACCESS_KEY="wrong")
    assert "there is an access key, but no secret key" in refused("ls", status=WRONG_USAGE, AWS_ACCESS_KEY_ID=own_daemon.access_key)
    assert "there is a secret key, but no access key" in refused("ls", status=WRONG_USAGE, AWS_SECRET_ACCESS_KEY=own_daemon.secret_key)


def test_a_wrong_endpoint_or_key_over_the_network(own_daemon):
    key = {"AWS_ACCESS_KEY_ID": own_daemon.access_key, "AWS_SECRET_ACCESS_KEY": own_daemon.secret_key}

    def refused(url, **changes):
        return complaint(RESTFS, "--admin", url, "user", "ls", status=REFUSED, environment=key | changes)

    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in refused(own_daemon.admin, AWS_ACCESS_KEY_ID="")
    assert "INVALID_ACCESS_KEY_ID" in refused(own_daemon.admin, AWS_ACCESS_KEY_ID="NOBODYS")
    assert "SIGNATURE_MISMATCH" in refused(own_daemon.admin, AWS_SECRET_ACCESS_KEY="wrong")
    assert "does it want http://" in refused(own_daemon.admin.replace("http:", "https:"))
    assert "as an S3 door does: give --admin the administration's address" in refused(own_daemon.s3)
    assert "cannot speak TLS" in refused(own_daemon.admin.replace("http:", "https:"))
    assert "http://HOST:PORT or https://HOST:PORT" in refused("nonsense")
    admin = own_daemon.admin
    own_daemon.stop()
    assert "Connection refused" in refused(admin)


def test_data_without_an_endpoint_or_with_anothers_scheme(daemon):
    nothing_set = {name: "" for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "SSL_CERT_FILE")} | {"HOME": "/nonexistent", "XDG_CONFIG_HOME": ""}
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "NO_PROXY": "", "no_proxy": ""}

    def complained(option, environment):
        return complaint(RESTFS, "ls", *option, status=REFUSED, environment=environment)

    with concurrent.futures.ThreadPoolExecutor() as pool:  # each of them tries again for seconds
        none, given, other = pool.map(complained, [[], ["--endpoint=http://127.0.0.1:1"], ["--endpoint", daemon.s3.replace("http:", "https:")]],
                                      [nothing_set | nowhere, nothing_set, nothing_set])
    assert "no endpoint was given: --endpoint, or AWS_ENDPOINT_URL" in none
    assert "no endpoint" not in given
    assert "does it speak http://?" in other


def test_an_s3_client_at_the_address_of_administration(daemon, s3):
    daemon_s3, daemon.s3 = daemon.s3, daemon.admin
    try:
        with refused(400, "InvalidRequest") as caught:
            daemon.client().list_buckets()
    finally:
        daemon.s3 = daemon_s3
    assert "This is the address of administration; S3 has another" in str(caught.value)


def test_what_is_empty_is_not_shown_beside_other_answers(own_daemon):
    def shown(*arguments):
        return subprocess.run([RESTFS, "--data", own_daemon.data, *arguments], capture_output=True, text=True, check=True).stdout.split("\n")[0].split()

    own_daemon.client().create_bucket(Bucket="bucket")
    assert shown("verify", "bucket") == ["objects", "0"]
    assert shown("quota", "ls", "bucket")[0] == "user"


def test_a_store_that_takes_no_more_writes_says_what_failed(own_daemon):
    own_daemon.stop()
    plan = Plan(os.path.join(own_daemon.directory, "plan"))
    plan.arm("sync", 0, "EIO")
    own_daemon.environment = environment("io_fault", plan, own_daemon)
    own_daemon.start()
    assert urllib.request.urlopen(own_daemon.admin + "/health/ready").read() == b"ready\n"

    def is_refused():
        """That of the index's log, or of what is made ready for the journal, may be the sync that fails; then the next does too."""
        plan.arm("sync", 1, "EIO")
        return subprocess.run([RESTFS, "--data", own_daemon.data, "bucket", "add", f"b{next(numbers)}"], capture_output=True).returncode == REFUSED

    numbers = itertools.count(100)
    wait_until(is_refused)
    with pytest.raises(urllib.error.HTTPError) as unready:
        urllib.request.urlopen(own_daemon.admin + "/health/ready")
    assert unready.value.code == 503
    failed = re.match("poisoned: ((?:writing|zeroing) the (?:journal|index)) failed", unready.value.read().decode())[1]
    info = subprocess.run([RESTFS, "--data", own_daemon.data, "info"], capture_output=True, text=True).stdout
    assert f"store.failed            {failed}\n" in info
    own_daemon.stop()
    own_daemon.environment = {}
