"""SIGHUP: the certificate and the configuration file are read again; what is wrong is logged, and what was there stays."""
import http.client
import signal
import ssl
import subprocess
import urllib.parse

import pytest

from daemon import PATIENCE_SECONDS, Daemon, wait_until
from raw_s3 import RawS3

CERTIFICATE_READ = "the certificate was read again"
CERTIFICATE_KEPT = "the old certificate stays: "
CONFIGURATION_KEPT = "the configuration cannot be read again"


def make_pair(directory, name):
    """A key and its own certificate: (certificate, key)."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", f"/CN={name}"], check=True, capture_output=True)
    return certificate.read_text(), key.read_text()


@pytest.fixture
def place(tmp_path):
    """Where a daemon's certificate and key are, and its configuration; what is put there counts from the next SIGHUP on."""
    return tmp_path


@pytest.fixture
def daemon(place):
    put(place, *make_pair(place, "first"))
    write_level(place, "info")
    patient = [word for name in ("header_time", "idle_time") for word in ("--set", f"http.{name}=1h")]
    one = Daemon("--config", place / "restfs.conf", *patient, "--set", f"tls.certificate={place / 'certificate'}", "--set", f"tls.key={place / 'key'}").start()
    yield one
    one.finish()


def put(place, certificate, key):
    (place / "certificate").write_text(certificate)
    (place / "key").write_text(key)


def write_level(place, level):
    (place / "restfs.conf").write_text('\nlog = {\n  level = "%s";\n};\n' % level)


def hang_up(daemon, says):
    """Until the log has one line more that says so."""
    before = daemon.log().count(says)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count(says) > before)


def shown(url):
    """The certificate that a new connection gets."""
    address = urllib.parse.urlsplit(url)
    return ssl.get_server_certificate((address.hostname, address.port), timeout=PATIENCE_SECONDS)


def is_shown(daemon, pair):
    return [shown(url).strip() == pair[0].strip() for url in (daemon.s3, daemon.admin)] == [True, True]


def test_a_renewed_certificate_is_shown_on_both_ports_and_open_connections_go_on(daemon, place):
    raw = RawS3(daemon)
    assert raw.request("PUT", "/bucket").status == 200
    socket_before = raw.connection.sock
    admin = http.client.HTTPSConnection(urllib.parse.urlsplit(daemon.admin).netloc, context=ssl._create_unverified_context(), timeout=PATIENCE_SECONDS)
    admin.connect()
    first = socket_before.getpeercert(True)
    second = make_pair(place, "second")
    assert not is_shown(daemon, second)
    put(place, *second)
    hang_up(daemon, CERTIFICATE_READ)
    assert is_shown(daemon, second)
    assert raw.request("PUT", "/bucket/key", body=b"x" * 100000).status == 200
    assert raw.connection.sock is socket_before and socket_before.getpeercert(True) == first
    admin_socket = admin.sock
    admin.request("GET", "/health/ready")
    assert admin.getresponse().read() == b"ready\n" and admin.sock is admin_socket
    admin.close()
    raw.close()


def test_a_broken_or_mismatched_pair_is_logged_and_the_old_one_stays(daemon, place):
    first = (place / "certificate").read_text(), (place / "key").read_text()
    second = make_pair(place, "second")
    for pair, says in (((second[0], first[1]), f"cannot use private key {place / 'key'}: it is not the certificate's"),
                       (("nonsense", second[1]), f"cannot read certificate {place / 'certificate'}"),
                       ((second[0], second[1][:60]), f"cannot use private key {place / 'key'}"),
                       ((second[0][:-60], second[1]), f"cannot read certificate {place / 'certificate'}")):
        put(place, *pair)
        hang_up(daemon, CERTIFICATE_KEPT + says)
        assert is_shown(daemon, first)
    put(place, *first)
    (place / "key").unlink()
    hang_up(daemon, f"{CERTIFICATE_KEPT}cannot use private key {place / 'key'}: No such file or directory")
    assert is_shown(daemon, first)
    put(place, *second)
    hang_up(daemon, CERTIFICATE_READ)
    assert is_shown(daemon, second)


def test_a_wrong_level_is_logged_by_file_and_line_and_the_old_one_stays(daemon, place):
    write_level(place, "loud")
    hang_up(daemon, f'{CONFIGURATION_KEPT}, and stays as it was: {place / "restfs.conf"}:3: log.level: "loud" is not error, warn, info or debug')
    hang_up(daemon, CERTIFICATE_READ)  # of the level info
    write_level(place, "debug")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: RawS3(daemon).request("GET", "/no-such-bucket").status == 404 and " DEBUG " in daemon.log())
