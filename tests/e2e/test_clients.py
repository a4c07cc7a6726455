"""Clients that others wrote, with real files: a source tree of thousands of files, odd names, a large file; each must bring back what it took."""
import filecmp
import os
import pathlib
import shutil
import subprocess

import pytest

from daemon import Daemon, wait_until

TREE = pathlib.Path("/usr/include")
ODD_NAMES = ["plain", "with space", "ünïcödé", "plus+and%25", "quote'\"&", "ключ/鍵", "deep/er/and/deeper/file", "-dash", "a=b&c"]
LARGE_MIB = int(os.environ.get("RESTFS_LARGE_MIB", "64"))
PATIENCE = 280 + LARGE_MIB // 4


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


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Thousands of real files, some with odd names, one of 40 MiB; no links, which object stores do not have."""
    where = tmp_path_factory.mktemp("tree")
    count = 0
    for path in sorted(TREE.rglob("*")):
        if path.is_file() and not path.is_symlink() and count < 2000:
            target = where / "include" / path.relative_to(TREE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            count += 1
    for name in ODD_NAMES:
        (where / "odd" / name).parent.mkdir(parents=True, exist_ok=True)
        (where / "odd" / name).write_text(name)
    (where / "empty").write_bytes(b"")
    (where / "large").write_bytes(os.urandom(1 << 20) * 40)
    assert count > 500
    return where


def assert_same(left, right):
    """Both trees have the same files with the same bytes."""
    files = [sorted(str(p.relative_to(side)) for p in pathlib.Path(side).rglob("*") if p.is_file()) for side in (left, right)]
    assert files[0] == files[1]
    _, different, errors = filecmp.cmpfiles(left, right, files[0], shallow=False)
    assert not different and not errors


def aws_environment(daemon):
    return {"AWS_ACCESS_KEY_ID": daemon.access_key, "AWS_SECRET_ACCESS_KEY": daemon.secret_key, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null"}


def test_aws_cli(daemon, bucket, tree, tmp_path):
    aws = [program("aws", "/usr/bin/aws"), "--endpoint-url", daemon.s3, "s3"]
    env = aws_environment(daemon)
    run(*aws, "sync", "--quiet", tree, f"s3://{bucket}/t", env=env)
    run(*aws, "sync", "--quiet", f"s3://{bucket}/t", tmp_path / "back", env=env)
    assert_same(tree, tmp_path / "back")
    assert "large" in run(*aws, "ls", f"s3://{bucket}/t/", env=env)
    run(*aws, "mv", f"s3://{bucket}/t/large", f"s3://{bucket}/moved", env=env)
    run(*aws, "cp", "--quiet", f"s3://{bucket}/moved", tmp_path / "moved", env=env)
    assert filecmp.cmp(tree / "large", tmp_path / "moved", shallow=False)
    run(*aws, "rm", "--quiet", "--recursive", f"s3://{bucket}", env=env)
    run(*aws, "rb", f"s3://{bucket}", env=env)


def s3cmd_configuration(daemon, directory):
    config = directory / "s3cfg"
    host = daemon.s3.split("//")[1]
    config.write_text(f"[default]\naccess_key = {daemon.access_key}\nsecret_key = {daemon.secret_key}\nhost_base = {host}\nhost_bucket = {host}\nuse_https = False\n")
    return config


def test_s3cmd(daemon, bucket, tree, tmp_path):
    s3cmd = [program("s3cmd"), "-c", s3cmd_configuration(daemon, tmp_path), "--no-progress"]
    run(*s3cmd, "sync", f"{tree}/odd/", f"s3://{bucket}/odd/")
    run(*s3cmd, "put", "--multipart-chunk-size-mb=5", tree / "large", f"s3://{bucket}/large")
    os.mkdir(tmp_path / "back")
    run(*s3cmd, "sync", f"s3://{bucket}/odd/", f"{tmp_path}/back/")
    assert_same(tree / "odd", tmp_path / "back")
    run(*s3cmd, "get", f"s3://{bucket}/large", tmp_path / "large")
    assert filecmp.cmp(tree / "large", tmp_path / "large", shallow=False)
    run(*s3cmd, "cp", f"s3://{bucket}/large", f"s3://{bucket}/copy")
    assert "copy" in run(*s3cmd, "ls", f"s3://{bucket}")
    run(*s3cmd, "del", "--recursive", "--force", f"s3://{bucket}")
    run(*s3cmd, "rb", f"s3://{bucket}")


def rclone_environment(daemon):
    return {"RCLONE_CONFIG": "/dev/null", "RCLONE_CONFIG_R_TYPE": "s3", "RCLONE_CONFIG_R_PROVIDER": "Other", "RCLONE_CONFIG_R_ENDPOINT": daemon.s3,
            "RCLONE_CONFIG_R_ACCESS_KEY_ID": daemon.access_key, "RCLONE_CONFIG_R_SECRET_ACCESS_KEY": daemon.secret_key, "RCLONE_S3_CHUNK_SIZE": "5M",
            "RCLONE_S3_UPLOAD_CUTOFF": "10M"}


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


def test_restic(daemon, bucket, tree, tmp_path):
    restic = program("restic")
    env = restic_environment(daemon, bucket, tmp_path)
    run(restic, "init", env=env)
    run(restic, "backup", tree, env=env)
    run(restic, "check", "--read-data", env=env)
    run(restic, "restore", "latest", "--target", tmp_path / "back", env=env)
    assert_same(tree, tmp_path / "back" / tree.relative_to("/"))
    run(restic, "forget", "--prune", "--keep-last", "1", env=env)


def large_file(path):
    """LARGE_MIB of bytes that do not repeat."""
    seed = os.urandom((1 << 20) + LARGE_MIB)
    with open(path, "wb") as f:
        for number in range(LARGE_MIB):
            f.write(seed[number:number + (1 << 20)])
    return path


def copy_by_aws(daemon, source, target):
    run(program("aws", "/usr/bin/aws"), "--endpoint-url", daemon.s3, "s3", "cp", "--quiet", source, target, env=aws_environment(daemon))


def copy_by_rclone(daemon, source, target):
    source, target = (str(name).replace("s3://", "r:") for name in (source, target))
    run(program("rclone"), "copyto", source, target, env=rclone_environment(daemon))


@pytest.mark.parametrize("copy", [copy_by_aws, copy_by_rclone])
def test_a_large_file_goes_up_in_parts_and_comes_back_the_same(daemon, bucket, s3, tmp_path, copy):
    path = large_file(tmp_path / "file")
    copy(daemon, path, f"s3://{bucket}/file")
    head = s3.head_object(Bucket=bucket, Key="file")
    assert head["ContentLength"] == LARGE_MIB << 20 and "-" in head["ETag"]
    copy(daemon, f"s3://{bucket}/file", tmp_path / "back")
    assert filecmp.cmp(path, tmp_path / "back", shallow=False)
    path.unlink()
    (tmp_path / "back").unlink()


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="there is no /dev/fuse")
def test_s3fs(daemon, bucket, tree, tmp_path):
    s3fs = program("s3fs")
    mount = tmp_path / "mount"
    mount.mkdir()
    secret = tmp_path / "passwd"
    secret.write_text(f"{daemon.access_key}:{daemon.secret_key}")
    secret.chmod(0o600)
    process = subprocess.Popen([s3fs, bucket, str(mount), "-f", "-o", f"url={daemon.s3},use_path_request_style,passwd_file={secret},multipart_size=5"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: os.path.ismount(mount))
        shutil.copytree(tree / "odd", mount / "odd")
        shutil.copyfile(tree / "large", mount / "large")
        assert_same(tree / "odd", mount / "odd")
        assert filecmp.cmp(tree / "large", mount / "large", shallow=False)
        os.rename(mount / "large", mount / "odd" / "renamed")
        assert os.path.getsize(mount / "odd" / "renamed") == os.path.getsize(tree / "large")
        with open(mount / "odd" / "plain", "a") as f:
            f.write(" and more")
        assert (mount / "odd" / "plain").read_text() == "plain and more"
        shutil.rmtree(mount / "odd")
        assert os.listdir(mount) == []
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=False)
        process.wait(30)


@pytest.fixture(scope="module")
def tls_daemon(tmp_path_factory):
    """It speaks TLS only, with a certificate that a client must be told of, and has the bucket "secure"."""
    where = tmp_path_factory.mktemp("tls")
    key, certificate = where / "key.pem", where / "cert.pem"
    run(program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    daemon = Daemon("--set", f"tls.certificate={certificate}", "--set", f"tls.key={key}").start()
    assert daemon.s3.startswith("https://")
    daemon.certificate = str(certificate)
    daemon.client(verify=daemon.certificate).create_bucket(Bucket="secure")
    yield daemon
    daemon.finish()


def test_boto3_over_tls(tls_daemon, tmp_path):
    s3 = tls_daemon.client(verify=tls_daemon.certificate)
    for size in (0, 100_000, 12 << 20):
        body = os.urandom(size)
        s3.put_object(Bucket="secure", Key="k", Body=body)
        assert s3.get_object(Bucket="secure", Key="k")["Body"].read() == body
    path = tmp_path / "file"
    path.write_bytes(os.urandom(20 << 20))
    s3.upload_file(str(path), "secure", "file")
    s3.download_file("secure", "file", str(tmp_path / "back"))
    assert filecmp.cmp(path, tmp_path / "back", shallow=False)


def test_aws_cli_over_tls(tls_daemon, tree, tmp_path):
    aws = [program("aws", "/usr/bin/aws"), "--endpoint-url", tls_daemon.s3, "--ca-bundle", tls_daemon.certificate, "s3"]
    env = aws_environment(tls_daemon)
    run(*aws, "sync", "--quiet", tree / "odd", "s3://secure/aws/odd", env=env)
    run(*aws, "cp", "--quiet", tree / "large", "s3://secure/aws/large", env=env)
    run(*aws, "cp", "--quiet", "--recursive", "s3://secure/aws", tmp_path, env=env)
    assert_same(tree / "odd", tmp_path / "odd")
    assert filecmp.cmp(tree / "large", tmp_path / "large", shallow=False)


def test_s3cmd_over_tls(tls_daemon, tree, tmp_path):
    s3cmd = [program("s3cmd"), "-c", s3cmd_configuration(tls_daemon, tmp_path), "--no-progress", f"--ca-certs={tls_daemon.certificate}", "--ssl"]
    back = tmp_path / "back"
    back.mkdir()
    run(*s3cmd, "sync", f"{tree}/odd/", "s3://secure/s3cmd/")
    run(*s3cmd, "sync", "s3://secure/s3cmd/", f"{back}/")
    assert_same(tree / "odd", back)


def test_rclone_over_tls(tls_daemon, tree, tmp_path):
    rclone, env = program("rclone"), rclone_environment(tls_daemon) | {"RCLONE_CA_CERT": tls_daemon.certificate}
    run(rclone, "copy", tree / "odd", "r:secure/rclone/odd", env=env)
    run(rclone, "copy", tree / "large", "r:secure/rclone", env=env)
    run(rclone, "copy", "r:secure/rclone", tmp_path, env=env)
    assert_same(tree / "odd", tmp_path / "odd")
    assert filecmp.cmp(tree / "large", tmp_path / "large", shallow=False)


def test_restic_over_tls(tls_daemon, tree, tmp_path):
    restic, env = [program("restic"), "--cacert", tls_daemon.certificate], restic_environment(tls_daemon, "secure", tmp_path)
    run(*restic, "init", env=env)
    run(*restic, "backup", tree / "odd", env=env)
    run(*restic, "check", "--read-data", env=env)
    run(*restic, "restore", "latest", "--target", tmp_path / "back", env=env)
    assert_same(tree / "odd", tmp_path / "back" / (tree / "odd").relative_to("/"))
