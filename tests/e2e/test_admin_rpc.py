"""Administration: health, metrics, JSON-RPC over the network and over the socket, and `restfs` as a person uses it."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

from daemon import BINARY as RESTFSD
from daemon import PATIENCE_SECONDS, Daemon

RESTFS = pathlib.Path(RESTFSD).parent / "restfs"


class Store(Daemon):
    """A daemon that makes its own root key."""

    def __init__(self, directory):
        super().__init__(directory=directory, root_key=False)

    def root(self):
        lines = (self.data / "root-credentials").read_text().splitlines()
        fields = dict(line.split("=", 1) for line in lines)
        return fields["access_key"], fields["secret_key"]

    def get(self, path, method="GET", body=None, headers=None):
        at = urllib.parse.urlsplit(self.admin)
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def signed(self, body, key, service="restfs"):
        """A POST of these bytes to /rpc, signed by botocore."""
        request = botocore.awsrequest.AWSRequest("POST", self.admin + "/rpc", data=body)
        signer = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
        signer(botocore.credentials.Credentials(*key), service, "us-east-1").add_auth(request)
        return self.get("/rpc", "POST", body, dict(request.headers))

    def rpc(self, method, key=None, service="restfs", **params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        status, _, answer = self.signed(body, key or self.root(), service)
        return status, json.loads(answer)

    def restfs(self, *arguments, code=0, environment=None):
        done = subprocess.run([RESTFS, "--data", self.data, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS,
                              env={**os.environ, **(environment or {})})
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        if code:
            assert done.stderr.startswith("restfs: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stdout if code == 0 else done.stderr


@pytest.fixture
def stopped(tmp_path):
    store = Store(tmp_path)
    yield store
    store.finish()


@pytest.fixture
def store(stopped):
    return stopped.start()


def denied(call, *args, **kwargs):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*args, **kwargs)
    return caught.value.response["Error"]["Code"]


# --- health and metrics


def test_health_and_metrics_need_no_key(store):
    assert store.get("/health/live")[0] == 200
    assert store.get("/health/ready")[0] == 200
    status, headers, body = store.get("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE restfs_http_connections gauge" in body
    status, headers, body = store.get("/metrics", "HEAD")
    assert status == 200 and body == b"" and int(headers["Content-Length"]) > 0


def test_other_paths_and_methods_are_refused(store):
    assert store.get("/")[0] == 404
    assert store.get("/health/live/")[0] == 404
    assert store.get("/rpc")[0] == 405
    status, headers, _ = store.get("/metrics", "POST", b"")
    assert status == 405 and headers["Allow"] == "GET, HEAD"


# --- who may call


def test_a_call_must_be_signed_by_an_administrator(store):
    body = b'{"jsonrpc":"2.0","id":1,"method":"user.list"}'
    status, _, answer = store.get("/rpc", "POST", body)
    assert status == 403 and json.loads(answer)["error"]["data"]["name"] == "ACCESS_DENIED"
    access_key, secret_key = store.root()
    assert store.rpc("user.list")[0] == 200
    assert store.rpc("user.list", service="s3")[0] == 200
    assert store.rpc("user.list", service="ec2")[0] == 400
    assert store.rpc("user.list", key=(access_key, "x" + secret_key))[0] == 403
    assert store.rpc("user.list", key=("NOSUCHKEY", secret_key))[1]["error"]["data"]["name"] == "INVALID_ACCESS_KEY_ID"


def test_another_body_than_the_signed_one_is_refused(store):
    body = b'{"jsonrpc":"2.0","id":1,"method":"user.list"}'
    request = botocore.awsrequest.AWSRequest("POST", store.admin + "/rpc", data=body)
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(*store.root()), "restfs", "us-east-1").add_auth(request)
    other = body.replace(b"user.list", b"key.list ")
    assert store.get("/rpc", "POST", other, dict(request.headers))[0] == 403
    request = botocore.awsrequest.AWSRequest("POST", store.admin + "/rpc", data=body)
    botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(*store.root()), "s3", "us-east-1").add_auth(request)
    assert store.get("/rpc", "POST", other, dict(request.headers))[0] == 400


@pytest.mark.parametrize("name", ["Authorization", "X-Amz-Date"])
def test_a_call_whose_signature_comes_twice_is_refused(store, name):
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "user.list"}'
    request = botocore.awsrequest.AWSRequest("POST", store.admin + "/rpc", data=body)
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(*store.root()), "restfs", "us-east-1").add_auth(request)
    headers = dict(request.headers)
    assert store.get("/rpc", "POST", body, headers)[0] == 200
    status, _, answer = store.get("/rpc", "POST", body, {**headers, name.lower(): headers[name]})
    assert status == 400 and answer.startswith(b"INVALID_REQUEST: a header that has one value came more than once: " + name.lower().encode())


def test_an_unsigned_payload_is_refused(store):
    body = b'{"jsonrpc":"2.0","id":1,"method":"user.list"}'
    request = botocore.awsrequest.AWSRequest("POST", store.admin + "/rpc", data=body)
    request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(*store.root()), "restfs", "us-east-1").add_auth(request)
    assert store.get("/rpc", "POST", body, dict(request.headers))[0] == 400


def test_users_and_limited_keys_of_administrators_may_not_administer(store):
    store.rpc("user.create", name="anna")
    store.rpc("user.create", name="boss", admin=True)
    store.rpc("bucket.create", name="photos")

    def make(**params):
        result = store.rpc("key.create", **params)[1]["result"]
        return result["access_key"], result["secret_key"]

    assert store.rpc("user.list", key=make(user="boss"))[1]["result"]["users"]
    for key in (make(user="anna"), make(user="boss", read_only=True), make(user="boss", bucket="photos"), make(user="root", prefix="a/")):
        assert store.rpc("user.list", key=key)[1]["error"]["data"]["name"] == "ACCESS_DENIED"


def test_the_socket_is_private_and_needs_no_key(store):
    path = store.data / "admin.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    body = b'[{"jsonrpc":"2.0","id":"x","method":"user.list"},{"jsonrpc":"2.0","id":2,"method":"no.such"}]'
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"POST /rpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    first, second = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert first["id"] == "x" and first["result"]["users"][0]["name"] == "root"
    assert second["error"]["code"] == -32601


# --- limits and JSON-RPC


def test_bodies_are_limited_and_must_have_a_length(store):
    big = b" " * (1024 * 1024 + 1)
    assert store.get("/rpc", "POST", big)[0] == 400

    def pieces():
        for _ in range(20):
            yield b" " * 65536

    assert store.get("/rpc", "POST", pieces(), {"Transfer-Encoding": "chunked"})[0] == 400
    at = urllib.parse.urlsplit(store.admin)
    with socket.create_connection((at.hostname, at.port)) as s:
        s.sendall(b"POST /rpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert s.recv(65536).startswith(b"HTTP/1.1 411 ")
    largest = b'{"jsonrpc":"2.0","id":1,"method":"user.list"}'.ljust(1024 * 1024)
    assert store.signed(largest, store.root())[0] == 200


def test_notifications_have_no_body(store):
    status, _, answer = store.signed(b'{"jsonrpc":"2.0","method":"user.create","params":{"name":"anna"}}', store.root())
    assert status == 204 and answer == b""
    assert "anna" in store.restfs("user", "ls")


def test_text_that_is_not_json_is_a_parse_error(store):
    assert json.loads(store.signed(b"{", store.root())[2])["error"]["code"] == -32700


# --- restfs


def test_a_user_and_his_key_work_until_they_are_removed(store):
    store.restfs("user", "add", "anna")
    key = json.loads(store.restfs("key", "add", "anna", "--json"))
    key = key["access_key"], key["secret_key"]
    s3 = store.client(*key)
    s3.create_bucket(Bucket="photos")
    s3.put_object(Bucket="photos", Key="a", Body=b"bytes")
    rows = store.restfs("bucket", "ls").splitlines()
    assert rows[0].split() == ["name", "owner", "acl", "created"] and rows[1].split()[:3] == ["photos", "anna", "private"]
    info = json.loads(store.restfs("--json", "bucket", "info", "photos"))
    assert info["objects"] == 1 and info["bytes"] == 5
    store.restfs("key", "rm", key[0])
    assert denied(s3.get_object, Bucket="photos", Key="a") == "InvalidAccessKeyId"
    again = json.loads(store.restfs("key", "add", "anna", "--json"))
    s3 = store.client(again["access_key"], again["secret_key"])
    assert s3.get_object(Bucket="photos", Key="a")["Body"].read() == b"bytes"
    store.restfs("user", "rm", "anna")
    assert denied(s3.get_object, Bucket="photos", Key="a") == "InvalidAccessKeyId"
    assert "unknown" in store.restfs("bucket", "ls")


def test_a_bucket_is_given_to_somebody_else(store):
    for name in ("anna", "bert"):
        store.restfs("user", "add", name)
    anna, bert = (json.loads(store.restfs("key", "add", name, "--json")) for name in ("anna", "bert"))
    anna, bert = (store.client(k["access_key"], k["secret_key"]) for k in (anna, bert))
    anna.create_bucket(Bucket="photos")
    anna.put_object(Bucket="photos", Key="a", Body=b"bytes")
    assert denied(bert.get_object, Bucket="photos", Key="a") == "AccessDenied"
    assert "NO_SUCH_USER" in store.restfs("bucket", "set", "photos", "--owner=nobody", code=1)
    store.restfs("bucket", "set", "photos", "--owner=bert")
    assert bert.get_object(Bucket="photos", Key="a")["Body"].read() == b"bytes"
    bert.put_object(Bucket="photos", Key="b", Body=b"his")
    assert [b["Name"] for b in bert.list_buckets()["Buckets"]] == ["photos"]
    for call in (anna.get_object, anna.delete_object):
        assert denied(call, Bucket="photos", Key="a") == "AccessDenied"
    assert anna.list_buckets()["Buckets"] == []


def test_members_share_what_their_group_owns(store):
    for name in ("anna", "bert"):
        store.restfs("user", "add", name)
    anna, bert = (json.loads(store.restfs("key", "add", name, "--json")) for name in ("anna", "bert"))
    anna, bert = (store.client(k["access_key"], k["secret_key"]) for k in (anna, bert))
    store.restfs("group", "add", "painters")
    assert "USER_EXISTS" in store.restfs("group", "add", "anna", code=1)
    store.restfs("bucket", "add", "photos", "--owner=painters")
    assert store.restfs("bucket", "ls").splitlines()[1].split()[:2] == ["photos", "painters"]
    assert denied(anna.put_object, Bucket="photos", Key="a", Body=b"1") == "AccessDenied"
    store.restfs("group", "join", "painters", "anna")
    store.restfs("group", "join", "painters", "bert")
    assert store.restfs("group", "ls").splitlines()[1].split()[:2] == ["painters", "anna,bert"]
    anna.put_object(Bucket="photos", Key="a", Body=b"1")
    assert bert.get_object(Bucket="photos", Key="a")["Body"].read() == b"1"
    assert [b["Name"] for b in bert.list_buckets()["Buckets"]] == ["photos"]
    bert.put_object(Bucket="photos", Key="his", Body=b"2")
    owner = anna.get_object_acl(Bucket="photos", Key="his")["Owner"]
    assert owner["DisplayName"] == "painters" and owner == anna.get_bucket_acl(Bucket="photos")["Owner"]
    store.restfs("group", "leave", "painters", "bert")
    assert denied(bert.get_object, Bucket="photos", Key="a") == "AccessDenied"
    # What he wrote is the group's as everything else is.
    for call in (bert.get_object, bert.get_object_acl, bert.delete_object):
        assert denied(call, Bucket="photos", Key="his") == "AccessDenied"
    assert denied(bert.put_object_acl, Bucket="photos", Key="his", ACL="public-read") == "AccessDenied"
    assert anna.get_object(Bucket="photos", Key="his")["Body"].read() == b"2"
    assert "NO_SUCH_USER" in store.restfs("group", "leave", "painters", "bert", code=1)
    store.restfs("group", "rm", "painters")
    assert denied(anna.put_object, Bucket="photos", Key="b", Body=b"2") == "AccessDenied"
    assert denied(anna.get_object, Bucket="photos", Key="a") == "AccessDenied"  # also what she wrote
    assert "NO_SUCH_GROUP" in store.restfs("group", "rm", "painters", code=1)


def test_quotas_are_set_shown_and_kept(store):
    store.restfs("user", "add", "anna")
    key = json.loads(store.restfs("key", "add", "anna", "--json"))
    anna = store.client(key["access_key"], key["secret_key"])
    store.restfs("bucket", "add", "limited", "--owner=anna")
    store.restfs("quota", "set", "limited", "--bytes=10K")
    store.restfs("quota", "set", "limited", "--user=anna", "--objects", "2")
    anna.put_object(Bucket="limited", Key="a", Body=b"1" * 4096)
    assert denied(anna.put_object, Bucket="limited", Key="b", Body=b"1" * 8192) == "QuotaExceeded"
    upload = anna.create_multipart_upload(Bucket="limited", Key="b")["UploadId"]
    assert denied(anna.upload_part, Bucket="limited", Key="b", UploadId=upload, PartNumber=1, Body=b"1" * 10240) == "QuotaExceeded"
    parts = [{"PartNumber": n, "ETag": anna.upload_part(Bucket="limited", Key="b", UploadId=upload, PartNumber=n, Body=body)["ETag"]}
             for n, body in enumerate([b"1" * 5000], 1)]
    anna.complete_multipart_upload(Bucket="limited", Key="b", UploadId=upload, MultipartUpload={"Parts": parts})
    assert denied(anna.put_object, Bucket="limited", Key="c", Body=b"1") == "QuotaExceeded"
    assert denied(anna.copy_object, Bucket="limited", Key="c", CopySource="limited/a") == "QuotaExceeded"
    anna.copy_object(Bucket="limited", Key="b", CopySource="limited/a")
    lines = store.restfs("quota", "ls", "limited").splitlines()
    assert [line.split() for line in lines] == [["user", "max_objects", "objects", "max_bytes", "bytes"],
                                               ["-", "-", "2", "10240", "8192"], ["anna", "2", "2", "-", "8192"]]
    store.restfs("quota", "set", "limited", "--user=anna", "--objects=0")
    anna.put_object(Bucket="limited", Key="c", Body=b"1")
    assert "is a number" in store.restfs("quota", "set", "limited", "--bytes=many", code=2)
    assert "NO_SUCH_USER" in store.restfs("quota", "set", "limited", "--user=nobody", "--bytes=1", code=1)
    assert "NO_SUCH_BUCKET" in store.restfs("quota", "ls", "unlimited", code=1)


def test_a_key_for_a_bucket_in_which_its_user_has_no_rights_is_told(store):
    for name in ("anna", "bert"):
        store.restfs("user", "add", name)
    store.rpc("user.create", name="boss", admin=True)
    store.restfs("group", "add", "family")
    store.restfs("group", "join", "family", "bert")
    store.restfs("bucket", "add", "photos")
    store.restfs("bucket", "add", "videos", "--owner=family", "--acl=public-read")

    def said(user, *options):
        done = subprocess.run([RESTFS, "--data", store.data, "key", "add", user, *options], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == 0 and "secret_key" in done.stdout and "warning" not in done.stdout
        return done.stderr

    for bucket in ("photos", "videos"):
        assert said("anna", f"--bucket={bucket}", "--prefix=a/") == (
            f"restfs: anna has no more rights in {bucket} than everybody, and a key gives none: restfs bucket set {bucket} --owner=NAME does, for anna or a group with anna in it\n")
    assert said("bert", "--bucket=photos") and not said("bert", "--bucket=videos")
    assert said("boss", "--bucket=photos") == said("root", "--bucket=photos") == said("anna") == ""
    store.restfs("bucket", "set", "photos", "--owner=anna")
    assert said("anna", "--bucket=photos", "--read-only") == ""
    told = json.loads(store.restfs("--json", "key", "add", "bert", "--bucket=photos"))
    assert told["warning"].startswith("bert has no more rights in photos than everybody") and told["secret_key"]


def test_limited_keys_are_limited_at_the_s3_door(store):
    store.restfs("user", "add", "anna")
    store.restfs("bucket", "add", "photos", "--owner=anna")
    full = json.loads(store.restfs("key", "add", "anna", "--json"))
    limited = json.loads(store.restfs("key", "add", "anna", "--bucket=photos", "--prefix=in/", "--json"))
    reader = json.loads(store.restfs("key", "add", "anna", "--read-only", "--json"))
    full, limited, reader = (store.client(k["access_key"], k["secret_key"]) for k in (full, limited, reader))
    full.create_bucket(Bucket="videos")
    full.put_object(Bucket="photos", Key="out/a", Body=b"1")
    limited.put_object(Bucket="photos", Key="in/a", Body=b"2")
    assert limited.get_object(Bucket="photos", Key="in/a")["Body"].read() == b"2"
    assert denied(limited.get_object, Bucket="photos", Key="out/a") == "AccessDenied"
    assert denied(limited.put_object, Bucket="photos", Key="out/b", Body=b"") == "AccessDenied"
    assert denied(limited.put_object, Bucket="videos", Key="in/b", Body=b"") == "AccessDenied"
    assert denied(limited.list_objects_v2, Bucket="photos") == "AccessDenied"
    assert denied(limited.copy_object, Bucket="photos", Key="in/c", CopySource="photos/out/a") == "AccessDenied"
    assert denied(limited.create_bucket, Bucket="others") == "AccessDenied"
    assert [b["Name"] for b in limited.list_buckets()["Buckets"]] == ["photos"]
    assert [b["Name"] for b in full.list_buckets()["Buckets"]] == ["photos", "videos"]
    assert reader.get_object(Bucket="photos", Key="out/a")["Body"].read() == b"1"
    assert denied(reader.put_object, Bucket="photos", Key="b", Body=b"") == "AccessDenied"
    assert denied(reader.delete_object, Bucket="photos", Key="in/a") == "AccessDenied"
    assert denied(reader.delete_bucket, Bucket="videos") == "AccessDenied"


def test_strangers_see_only_what_is_public(store):
    store.restfs("user", "add", "anna")
    store.restfs("user", "add", "bert")
    anna, bert = (json.loads(store.restfs("key", "add", name, "--json")) for name in ("anna", "bert"))
    anna, bert = (store.client(k["access_key"], k["secret_key"]) for k in (anna, bert))
    anna.create_bucket(Bucket="photos")
    anna.put_object(Bucket="photos", Key="mine", Body=b"1")
    anna.put_object(Bucket="photos", Key="open", Body=b"2", ACL="public-read")
    assert denied(bert.get_object, Bucket="photos", Key="mine") == "AccessDenied"
    assert denied(bert.get_object, Bucket="photos", Key="missing") == "AccessDenied"
    assert bert.get_object(Bucket="photos", Key="open")["Body"].read() == b"2"
    assert denied(bert.list_objects_v2, Bucket="photos") == "AccessDenied"
    store.restfs("bucket", "set", "photos", "--acl=public-read")
    assert [o["Key"] for o in bert.list_objects_v2(Bucket="photos")["Contents"]] == ["mine", "open"]
    assert denied(bert.get_object, Bucket="photos", Key="missing") == "NoSuchKey"
    assert denied(bert.get_object, Bucket="photos", Key="mine") == "AccessDenied"
    assert [b["Name"] for b in bert.list_buckets()["Buckets"]] == []


def test_errors_are_one_line_and_set_the_exit_code(store):
    assert "USER_EXISTS" in (store.restfs("user", "add", "root", code=1))
    assert "NO_SUCH_USER" in store.restfs("key", "add", "nobody", code=1)
    assert "NO_SUCH_BUCKET" in store.restfs("bucket", "info", "nope", code=1)
    assert "NO_SUCH_ACCESS_KEY" in store.restfs("key", "rm", "nope", code=1)
    assert "on or off" in store.restfs("bucket", "set", "x", "--compress=maybe", code=2)
    assert "NAME is missing" in store.restfs("user", "add", code=2)
    assert "no command" in store.restfs("user", "frob", code=2)
    store.restfs(code=2)
    assert "restfs user add NAME" in store.restfs("user", "--help")
    assert "does restfsd run" in store.restfs("--data", store.data / "volumes", "user", "ls", code=1)


def test_restfs_over_the_network_signs(store):
    access_key, secret_key = store.root()
    environment = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    assert "root" in store.restfs("--admin", store.admin, "user", "ls", environment=environment)
    environment["AWS_SECRET_ACCESS_KEY"] = "wrong-secret"
    assert "SIGNATURE_MISMATCH" in store.restfs("--admin", store.admin, "user", "ls", code=1, environment=environment)


def test_the_key_of_an_administrator_may_be_a_profiles(store, tmp_path):
    access_key, secret_key = store.root()
    (tmp_path / "restfs").mkdir()
    (tmp_path / "restfs" / "config").write_text(f'profiles = {{ home = {{ access_key = "{access_key}"; secret_key = "{secret_key}"; }}; }};\n')
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": ""}
    assert "root" in store.restfs("--admin", store.admin, "--profile=home", "user", "ls", environment=environment)
    assert "administrator's key" in store.restfs("--admin", store.admin, "user", "ls", code=1, environment=environment)
    assert "there is no profile work" in store.restfs("--admin", store.admin, "--profile=work", "user", "ls", code=1, environment=environment)


def test_administration_over_tls_trusts_whom_it_is_told_to(stopped, tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", certificate, "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    stopped.start("--set", f"tls.certificate={certificate}", "--set", f"tls.key={key}")
    access_key, secret_key = stopped.root()
    environment = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "AWS_CA_BUNDLE": "", "SSL_CERT_FILE": ""}
    assert "root" in stopped.restfs("--admin", stopped.admin, "user", "ls", environment=environment | {"SSL_CERT_FILE": str(certificate)})
    assert "root" in stopped.restfs("--admin", stopped.admin + "/", "user", "ls", environment=environment | {"AWS_CA_BUNDLE": str(certificate)})
    assert "is not trusted" in stopped.restfs("--admin", stopped.admin, "user", "ls", code=1, environment=environment)
    # A profile that is named goes before the environment.
    (tmp_path / "restfs").mkdir()
    (tmp_path / "restfs" / "config").write_text(f'profiles: {{ home: {{ ca_bundle = "{certificate}"; }}; }};')
    named = environment | {"XDG_CONFIG_HOME": str(tmp_path), "SSL_CERT_FILE": str(key)}
    assert "root" in stopped.restfs("--admin", stopped.admin, "--profile=home", "user", "ls", environment=named)
    # The name in it is not this one.
    other = stopped.admin.replace("127.0.0.1", "localhost")
    assert "is not trusted" in stopped.restfs("--admin", other, "user", "ls", code=1, environment=environment | {"SSL_CERT_FILE": str(certificate)})


def test_a_long_path_to_the_data_directory_works():
    top = pathlib.Path(tempfile.mkdtemp())
    try:
        deep = top / ("d" * 100) / ("e" * 100)
        deep.mkdir(parents=True)
        store = Store(deep).start()
        assert "root" in store.restfs("user", "ls")
        store.finish()
    finally:
        shutil.rmtree(top)


# --- the daemon


def test_a_restart_finds_users_keys_and_the_root_key(store):
    store.restfs("user", "add", "anna", "--administrator")
    users, keys, root = store.restfs("user", "ls"), store.restfs("key", "ls"), store.root()
    assert store.stop() == 0
    assert not (store.data / "admin.sock").exists()
    store.start()
    assert (store.restfs("user", "ls"), store.restfs("key", "ls"), store.root()) == (users, keys, root)
    store.kill()
    store.start()
    assert (store.restfs("user", "ls"), store.restfs("key", "ls"), store.root()) == (users, keys, root)


def test_the_root_key_may_come_from_the_environment(stopped):
    stopped.access_key, stopped.secret_key = "my-root", "my-secret-key"
    stopped.start()
    assert stopped.rpc("user.list", key=("my-root", "my-secret-key"))[0] == 200
    assert not (stopped.data / "root-credentials").exists()
    assert stopped.stop(signal.SIGINT) == 0


def test_secret_files_are_private(store):
    for name in ("master.key", "root-credentials"):
        assert stat.S_IMODE((store.data / name).stat().st_mode) == 0o600


def test_wrong_arguments_and_options_end_with_2(tmp_path):
    def run(*arguments):
        return subprocess.run([RESTFSD, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS, cwd=tmp_path)

    for arguments in (["--frob"], ["word"], ["--set", "log.level"], ["--set", "no.such=1"], ["--set", "threads.workers=0"],
                      ["--set", "log.level=loud"], ["--config", "missing.conf"]):
        done = run(*arguments)
        assert done.returncode == 2 and done.stdout == "" and "restfsd" in done.stderr, arguments
    (tmp_path / "bad.conf").write_text('s3 = {\n  listne = "x";\n};\n')
    assert "bad.conf:2" in run("--config", "bad.conf").stderr
    assert not (tmp_path / "data").exists()
    assert run("--version").stdout.startswith("restfsd ")
    assert "http.idle_time" in run("--help-config").stdout or "idle_time" in run("--help-config").stdout


def test_a_second_daemon_and_a_foreign_directory_are_refused(store, tmp_path):
    def run(data):
        return subprocess.run([RESTFSD, "--data", data, "--s3", "127.0.0.1:0", "--admin", "127.0.0.1:0"], capture_output=True,
                              text=True, timeout=PATIENCE_SECONDS)

    assert run(store.data).returncode == 1
    assert "root" in store.restfs("user", "ls")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    assert run(foreign).returncode == 1
    assert [p.name for p in foreign.iterdir()] == ["letter.txt"]


def test_a_port_in_use_ends_with_1(store):
    taken = store.admin.removeprefix("http://")
    done = subprocess.run([RESTFSD, "--data", store.data.parent / "other", "--s3", "127.0.0.1:0", "--admin", taken],
                          capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 1 and done.stdout == "" and taken in done.stderr


def test_hangup_reads_the_log_level_again(stopped, tmp_path):
    config = tmp_path / "restfsd.conf"
    config.write_text('log = { level = "error"; };\n')
    stopped.start("--config", config)
    stopped.restfs("user", "add", "anna")
    assert "anna" not in stopped.log()
    config.write_text('log = { level = "info"; };\n')
    stopped.process.send_signal(signal.SIGHUP)
    for number in range(200):
        stopped.restfs("user", "add", f"u{number}")
        if "user u" in stopped.log():
            break
    else:
        pytest.fail("the level was not read again")
    assert stopped.stop() == 0


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:0", "*:0", ":0"])
def test_what_is_listened_on_is_told_and_the_hints_can_be_followed(stopped, listen):
    stopped.start("--hints", "--s3", listen, "--admin", listen)
    everywhere = not listen.startswith("127")
    port = stopped.s3.rpartition(":")[2]
    endpoint = f"http://127.0.0.1:{port}" if everywhere else None
    assert stopped.s3 == f"http://{'0.0.0.0' if everywhere else '127.0.0.1'}:{port}"
    status = json.loads(stopped.restfs("--json", "status"))
    assert (status["s3"], status["admin"]) == (stopped.s3, stopped.admin)
    text = ""
    while "curl --" not in text:
        text += stopped.process.stdout.readline().decode()
    access_key, secret_key = stopped.root()
    assert f"endpoint    {endpoint or stopped.s3}" in text and access_key in text and secret_key in text
    restfs, curl = (next(line.strip() for line in text.splitlines() if word in line) for word in ("restfs --data", "curl --"))
    assert subprocess.run(restfs, shell=True, capture_output=True, timeout=PATIENCE_SECONDS).returncode == 0
    assert b"ListAllMyBucketsResult" in subprocess.run(curl, shell=True, capture_output=True, timeout=PATIENCE_SECONDS).stdout
    assert stopped.stop() == 0
