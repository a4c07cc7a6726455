"""Clients that others wrote, over HTTP and over TLS, with real files: a source tree of more files than a page of a listing has, odd names, a
large file; each must bring back what it took. Over TLS the tree is smaller: what is new there is below the requests."""
import contextlib
import filecmp
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from daemon import Daemon, wait_until

TREE = pathlib.Path("/usr/include")
TREE_FILES = os.environ.get("RESTFS_TREE_FILES")
HTTP_FILES, TLS_FILES = (int(TREE_FILES or count) for count in (2000, 200))
ODD_NAMES = ["plain", "with space", "ünïcödé", "plus+and%25", "quote'\"&", "ключ/鍵", "deep/er/and/deeper/file", "-dash", "a=b&c"]
LARGE_MIB = int(os.environ.get("RESTFS_LARGE_MIB", "40"))
PATIENCE = 280 + LARGE_MIB // 4 + HTTP_FILES // 50


def run(*command, env=None, cwd=None):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RCLONE_", "RESTIC_"))}
    done = subprocess.run([str(c) for c in command], env=environment | (env or {}), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout.decode(errors='replace')[-3000:]}"
    return done.stdout.decode(errors="replace")


def program(name, path=None):
    found = path if path and os.path.exists(path) else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="module")
def tree(daemon, tmp_path_factory):
    """Real files, some with odd names, one of 40 MiB; no links, which object stores do not have."""
    most = TLS_FILES if daemon.certificate else HTTP_FILES
    where = tmp_path_factory.mktemp("tree")
    count = 0
    for path in sorted(TREE.rglob("*")):
        if path.is_file() and not path.is_symlink() and count < most:
            target = where / "include" / path.relative_to(TREE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            count += 1
    for name in ODD_NAMES:
        (where / "odd" / name).parent.mkdir(parents=True, exist_ok=True)
        (where / "odd" / name).write_text(name)
    (where / "empty").write_bytes(b"")
    (where / "large").write_bytes(os.urandom(1 << 20) * 40)
    assert count >= min(most, 500)
    return where


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a certificate that nobody trusts who is not told to, and its key."""
    where = tmp_path_factory.mktemp("tls") / "both.pem"
    run(program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", where.with_suffix(".key"), "-out", where,
        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    return where


@pytest.fixture(scope="module", params=["http", "tls"])
def daemon(request):
    """In place of the one that other modules share: every test is run with both."""
    if request.param == "http":
        daemon = Daemon()
    else:
        certificate = request.getfixturevalue("certificate")
        daemon = Daemon("--set", f"tls.certificate={certificate}", "--set", f"tls.key={certificate.with_suffix('.key')}")
        daemon.certificate = str(certificate)
    daemon.start()
    assert daemon.s3.startswith("https://" if daemon.certificate else "http://")
    yield daemon
    daemon.finish()


def assert_same(left, right):
    """Both trees have the same files with the same bytes."""
    files = [sorted(str(p.relative_to(side)) for p in pathlib.Path(side).rglob("*") if p.is_file()) for side in (left, right)]
    assert files[0] == files[1]
    _, different, errors = filecmp.cmpfiles(left, right, files[0], shallow=False)
    assert not different and not errors


def aws_environment(daemon):
    return {"AWS_ACCESS_KEY_ID": daemon.access_key, "AWS_SECRET_ACCESS_KEY": daemon.secret_key, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null"}


def aws_command(daemon):
    trust = ["--ca-bundle", daemon.certificate] if daemon.certificate else []
    return [program("aws", "/usr/bin/aws"), "--endpoint-url", daemon.s3, *trust, "s3"]


def test_aws_cli(daemon, bucket, tree, tmp_path):
    aws, env = aws_command(daemon), aws_environment(daemon)
    run(*aws, "sync", "--quiet", tree, f"s3://{bucket}/t", env=env)
    run(*aws, "sync", "--quiet", f"s3://{bucket}/t", tmp_path / "back", env=env)
    assert_same(tree, tmp_path / "back")
    assert "large" in run(*aws, "ls", f"s3://{bucket}/t/", env=env)
    run(*aws, "mv", f"s3://{bucket}/t/large", f"s3://{bucket}/moved", env=env)
    run(*aws, "cp", "--quiet", f"s3://{bucket}/moved", tmp_path / "moved", env=env)
    assert filecmp.cmp(tree / "large", tmp_path / "moved", shallow=False)
    run(*aws, "rm", "--quiet", "--recursive", f"s3://{bucket}", env=env)
    run(*aws, "rb", f"s3://{bucket}", env=env)


def s3cmd_command(daemon, directory):
    config = directory / "s3cfg"
    host = daemon.s3.split("//")[1]
    trust = f"use_https = True\nca_certs_file = {daemon.certificate}" if daemon.certificate else "use_https = False"
    config.write_text(f"[default]\naccess_key = {daemon.access_key}\nsecret_key = {daemon.secret_key}\nhost_base = {host}\nhost_bucket = {host}\n{trust}\n")
    return [program("s3cmd"), "-c", config, "--no-progress"]


def test_s3cmd(daemon, bucket, tree, tmp_path):
    s3cmd = s3cmd_command(daemon, tmp_path)
    run(*s3cmd, "sync", "--multipart-chunk-size-mb=5", f"{tree}/", f"s3://{bucket}/t/")
    os.mkdir(tmp_path / "back")
    run(*s3cmd, "sync", f"s3://{bucket}/t/", f"{tmp_path}/back/")
    assert_same(tree, tmp_path / "back")
    assert "upload" not in run(*s3cmd, "sync", f"{tree}/", f"s3://{bucket}/t/")
    run(*s3cmd, "cp", f"s3://{bucket}/t/large", f"s3://{bucket}/copy")
    assert "copy" in run(*s3cmd, "ls", f"s3://{bucket}")
    run(*s3cmd, "get", f"s3://{bucket}/copy", tmp_path / "large")
    assert filecmp.cmp(tree / "large", tmp_path / "large", shallow=False)
    run(*s3cmd, "del", "--recursive", "--force", f"s3://{bucket}")
    run(*s3cmd, "rb", f"s3://{bucket}")


def rclone_environment(daemon):
    return {"RCLONE_CONFIG": "/dev/null", "RCLONE_CONFIG_R_TYPE": "s3", "RCLONE_CONFIG_R_PROVIDER": "Other", "RCLONE_CONFIG_R_ENDPOINT": daemon.s3,
            "RCLONE_CONFIG_R_ACCESS_KEY_ID": daemon.access_key, "RCLONE_CONFIG_R_SECRET_ACCESS_KEY": daemon.secret_key, "RCLONE_S3_CHUNK_SIZE": "5M",
            "RCLONE_S3_UPLOAD_CUTOFF": "10M"} | ({"RCLONE_CA_CERT": daemon.certificate} if daemon.certificate else {})


def test_rclone(daemon, bucket, tree, tmp_path):
    env = rclone_environment(daemon)
    rclone = program("rclone")
    run(rclone, "copy", "--transfers", "8", tree, f"r:{bucket}/t", env=env)
    run(rclone, "check", "--download", tree, f"r:{bucket}/t", env=env)
    run(rclone, "copy", f"r:{bucket}/t", tmp_path / "back", env=env)
    assert_same(tree, tmp_path / "back")
    run(rclone, "moveto", f"r:{bucket}/t/odd", f"r:{bucket}/elsewhere", env=env)
    run(rclone, "check", "--download", tree / "odd", f"r:{bucket}/elsewhere", env=env)
    run(rclone, "purge", f"r:{bucket}", env=env)


def restic_environment(daemon, bucket, directory):
    return {"AWS_ACCESS_KEY_ID": daemon.access_key, "AWS_SECRET_ACCESS_KEY": daemon.secret_key, "RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": f"s3:{daemon.s3}/{bucket}",
            "RESTIC_CACHE_DIR": str(directory / "cache")}


def restic_command(daemon):
    return [program("restic"), *(["--cacert", daemon.certificate] if daemon.certificate else [])]


def test_restic(daemon, bucket, tree, tmp_path):
    restic = restic_command(daemon)
    env = restic_environment(daemon, bucket, tmp_path)
    run(*restic, "init", env=env)
    run(*restic, "backup", tree, env=env)
    run(*restic, "check", "--read-data", env=env)
    run(*restic, "restore", "latest", "--target", tmp_path / "back", env=env)
    assert_same(tree, tmp_path / "back" / tree.relative_to("/"))
    run(*restic, "forget", "--prune", "--keep-last", "1", env=env)


def large_file(path):
    """LARGE_MIB of bytes that do not repeat."""
    seed = os.urandom((1 << 20) + LARGE_MIB)
    with open(path, "wb") as f:
        for number in range(LARGE_MIB):
            f.write(seed[number:number + (1 << 20)])
    return path


def copy_by_aws(daemon, source, target):
    run(*aws_command(daemon), "cp", "--quiet", source, target, env=aws_environment(daemon))


def copy_by_rclone(daemon, source, target):
    source, target = (str(name).replace("s3://", "r:") for name in (source, target))
    run(program("rclone"), "copyto", source, target, env=rclone_environment(daemon))


def copy_by_s3cmd(daemon, source, target):
    with tempfile.TemporaryDirectory() as directory:
        run(*s3cmd_command(daemon, pathlib.Path(directory)), "get" if str(source).startswith("s3://") else "put", source, target)


def copy_by_boto3(daemon, source, target):
    s3 = daemon.client()
    if str(source).startswith("s3://"):
        s3.download_file(*source[len("s3://"):].split("/", 1), str(target))
    else:
        s3.upload_file(str(source), *target[len("s3://"):].split("/", 1))


@pytest.mark.parametrize("copy", [copy_by_aws, copy_by_rclone, copy_by_s3cmd, copy_by_boto3])
def test_a_large_file_goes_up_in_parts_and_comes_back_the_same(daemon, bucket, s3, tmp_path, copy):
    path = large_file(tmp_path / "file")
    copy(daemon, path, f"s3://{bucket}/file")
    head = s3.head_object(Bucket=bucket, Key="file")
    assert head["ContentLength"] == LARGE_MIB << 20 and "-" in head["ETag"]
    copy(daemon, f"s3://{bucket}/file", tmp_path / "back")
    assert filecmp.cmp(path, tmp_path / "back", shallow=False)
    path.unlink()
    (tmp_path / "back").unlink()


def test_a_large_file_by_restic(daemon, bucket, tmp_path):
    path = large_file(tmp_path / "file")
    restic = restic_command(daemon)
    env = restic_environment(daemon, bucket, tmp_path)
    run(*restic, "init", env=env)
    run(*restic, "backup", path, env=env)
    run(*restic, "restore", "latest", "--target", tmp_path / "back", env=env)
    back = tmp_path / "back" / path.relative_to("/")
    assert filecmp.cmp(path, back, shallow=False)
    path.unlink()
    back.unlink()


def test_boto3(s3, bucket, tmp_path):
    for size in (0, 100_000, 12 << 20):
        body = os.urandom(size)
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    path = tmp_path / "file"
    path.write_bytes(os.urandom(20 << 20))
    s3.upload_file(str(path), bucket, "file")
    s3.download_file(bucket, "file", str(tmp_path / "back"))
    assert filecmp.cmp(path, tmp_path / "back", shallow=False)


@contextlib.contextmanager
def mounted_by_s3fs(daemon, bucket, directory):
    mount, secret = directory / "mount", directory / "passwd"
    mount.mkdir()
    secret.write_text(f"{daemon.access_key}:{daemon.secret_key}")
    secret.chmod(0o600)
    env = os.environ | ({"CURL_CA_BUNDLE": daemon.certificate} if daemon.certificate else {})
    process = subprocess.Popen([program("s3fs"), bucket, str(mount), "-f", "-o", f"url={daemon.s3},use_path_request_style,passwd_file={secret},multipart_size=5"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    try:
        wait_until(lambda: os.path.ismount(mount))
        yield mount
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=False)
        process.terminate()  # somebody else's mount namespace may hold a copy of the mount, for which it would stay
        process.wait(30)


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="there is no /dev/fuse")
def test_s3fs(daemon, bucket, tree, tmp_path):
    with mounted_by_s3fs(daemon, bucket, tmp_path) as mount:
        shutil.copytree(tree, mount / "t", copy_function=shutil.copyfile)
        assert_same(tree, mount / "t")
        os.rename(mount / "t" / "large", mount / "t" / "odd" / "renamed")
        assert os.path.getsize(mount / "t" / "odd" / "renamed") == os.path.getsize(tree / "large")
        with open(mount / "t" / "odd" / "plain", "a") as f:
            f.write(" and more")
        assert (mount / "t" / "odd" / "plain").read_text() == "plain and more"
        shutil.rmtree(mount / "t")
        assert os.listdir(mount) == []


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="there is no /dev/fuse")
def test_a_large_file_by_s3fs(daemon, bucket, s3, tmp_path):
    path = large_file(tmp_path / "file")
    with mounted_by_s3fs(daemon, bucket, tmp_path) as mount:
        shutil.copyfile(path, mount / "file")
    assert "-" in s3.head_object(Bucket=bucket, Key="file")["ETag"]
    (tmp_path / "mount").rmdir()
    with mounted_by_s3fs(daemon, bucket, tmp_path) as mount:
        assert filecmp.cmp(path, mount / "file", shallow=False)
    path.unlink()
