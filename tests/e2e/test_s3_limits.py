"""Clients that are slow, break off, send too much or nonsense, or never read: they get the error that fits or are cut off, and others are served."""
import os
import select
import socket
import ssl
import struct
import subprocess
import sys

import pytest

import crowd
from crowd import KIB, MIB
from daemon import Daemon, die_with_parent, wait_until
from raw_s3 import RawS3

SLOW_CLIENTS = 1000
IDLE_CLIENTS = 19000
BURST_CLIENTS = 3000
UNREAD_MOST = 256 * KIB
IDLE_MOST = 1 * KIB
MEMORY_MOST = 60 * MIB
FLOOD = 4 * MIB


@pytest.fixture
def start():
    """Daemons with options of the test's own, which are stopped clean at the end."""
    daemons = []

    def start_one(files=None, **options):
        arguments = [word for name, value in options.items() for word in ("--set", "%s=%s" % (name.replace("__", "."), value))]
        daemons.append(Daemon(*arguments, files=files))
        return daemons[-1].start()

    yield start_one
    for d in daemons:
        d.finish()


@pytest.fixture(scope="module")
def one_daemon():
    """With an empty bucket, for tests that leave it as they found it."""
    daemon = Daemon().start()
    new_bucket(daemon).close()
    yield daemon
    daemon.finish()


def new_bucket(daemon, name="bucket"):
    raw = RawS3(daemon)
    assert raw.request("PUT", "/" + name).status == 200
    return raw


def assert_served(daemon, key="served", body=b"others are served"):
    """Over a connection of its own."""
    other = RawS3(daemon)
    assert other.request("PUT", "/bucket/" + key, body=body).status == 200
    got = other.request("GET", "/bucket/" + key)
    assert got.status == 200 and got.body == body
    other.close()


def keys(raw):
    root = raw.request("GET", "/bucket", {"list-type": "2"}).root()
    return [element.findtext("Key") for element in root.iter("Contents")]


# --- slow senders


def send_bytewise(connections, texts, count, meanwhile):
    """`count` bytes of each text on its connection, one at a time, round and round; `meanwhile` runs between the rounds."""
    for at in range(count):
        for sock, text in zip(connections, texts):
            if at < len(text):
                sock.send(text[at:at + 1])
        meanwhile(at)


def test_a_thousand_clients_that_send_their_headers_bytewise_delay_nobody(start):
    daemon = start(threads__workers=2, threads__loops=1, http__header_time="1h", http__idle_time="1h")
    raw = new_bucket(daemon)
    connections = crowd.connect(raw, SLOW_CLIENTS)
    texts = [crowd.signed_head(raw, "PUT", "/bucket/slow-%d" % i, 0) for i in range(SLOW_CLIENTS)]
    send_bytewise(connections, texts, 10, lambda at: assert_served(daemon))
    assert crowd.connections_open(daemon) >= SLOW_CLIENTS
    assert keys(raw) == ["served"]
    for sock, text in zip(connections, texts):
        sock.send(text[10:])
    for sock in connections:
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert len(keys(raw)) == 1000
    crowd.close(connections)


@pytest.mark.parametrize("length", [40, 3 * MIB])
def test_a_thousand_clients_that_send_their_bodies_bytewise_delay_nobody(start, length):
    """One size is stored in one step when it is complete, the other in steps, the first of which comes before the body."""
    daemon = start(threads__workers=2, threads__loops=1, http__header_time="1h", http__idle_time="1h")
    raw = new_bucket(daemon)
    connections = crowd.connect(raw, SLOW_CLIENTS)
    for i, sock in enumerate(connections):
        sock.send(crowd.signed_head(raw, "PUT", "/bucket/slow-%d" % i, length))
    body = bytes(range(40))
    send_bytewise(connections, [body] * SLOW_CLIENTS, 10, lambda at: assert_served(daemon, body=os.urandom(2 * MIB) if at == 5 else b"small"))
    assert crowd.connections_open(daemon) >= SLOW_CLIENTS
    assert keys(raw) == ["served"]
    if length == len(body):
        for sock in connections:
            sock.send(body[10:])
        for sock in connections:
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert raw.request("GET", "/bucket/slow-999").body == body
    crowd.close(connections)
    wait_until(lambda: crowd.connections_open(daemon) < 100)


def test_uploads_that_stand_still_do_not_keep_the_memory_of_bodies(start):
    """Each holds most of a block, all together more than there is; who waits for memory gets what the slowest held."""
    daemon = start(http__body_memory="8M", http__idle_time="1h")
    raw = new_bucket(daemon)
    stuck = crowd.connect(raw, 40)
    for i, sock in enumerate(stuck):
        sock.sendall(crowd.signed_head(raw, "PUT", "/bucket/stuck-%d" % i, 4 * MIB))
    for sock in stuck:
        sock.setblocking(False)
        left = 900 * KIB
        while left > 0:
            try:
                left -= sock.send(b"s" * min(left, 64 * KIB))
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                break
    for size in (1, 100 * KIB, 3 * MIB):
        assert_served(daemon, body=os.urandom(size))
    assert keys(raw) == ["served"]
    crowd.close(stuck)


def test_small_uploads_that_stand_still_do_not_keep_the_memory_of_bodies(start):
    daemon = start(http__body_memory="1M", http__idle_time="1h")
    raw = new_bucket(daemon)
    stuck = crowd.connect(raw, 40)
    for i, sock in enumerate(stuck):
        sock.sendall(crowd.signed_head(raw, "PUT", "/bucket/stuck-%d" % i, 60 * KIB) + b"s")
    wait_until(lambda: crowd.connections_open(daemon) >= len(stuck))
    for size in (1, 100 * KIB, 3 * MIB):
        assert_served(daemon, body=os.urandom(size))
    assert keys(raw) == ["served"]
    crowd.close(stuck)


@pytest.mark.parametrize("method, path, query, length", [("PUT", "/bucket/large", (), MIB), ("POST", "/bucket", [("delete", "")], 2 * MIB)])
def test_bodies_that_are_asked_for_at_once_hold_no_more_than_their_memory(start, method, path, query, length):
    """All heads come before the first byte of a body; then all but the end of each."""
    daemon = start(http__body_memory="4M", http__idle_time="1h")
    raw = new_bucket(daemon)
    connections = crowd.connect(raw, 200)
    for sock in connections:
        sock.sendall(crowd.signed_head(raw, method, path, length, query=query))
    assert_served(daemon)
    before = daemon.memory_bytes()
    crowd.reset_peak(daemon)
    for sock in connections:
        crowd.send_all_it_takes(sock, b"<" * (length - 1))
    assert_served(daemon, body=os.urandom(3 * MIB))
    assert crowd.is_sanitized(daemon) or crowd.peak_bytes(daemon) - before < 80 * MIB
    crowd.close(connections)


# --- limits of time


def assert_timed_out(answer):
    assert answer.status == 400 and answer.ended == "closed", answer
    assert b"<Code>RequestTimeout</Code>" in answer.body
    assert answer.headers["connection"] == "close" and answer.headers["content-type"] == "application/xml"
    assert len(answer.data.split(b"HTTP/1.1 ")) == 2


@pytest.mark.parametrize("bytewise", [False, True])
def test_headers_that_take_too_long_are_told_so(start, bytewise):
    daemon = start(http__header_time="1s", http__idle_time="1h")
    raw = new_bucket(daemon)
    sock, = crowd.connect(raw)
    sock.send(b"GET /bucket HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    if bytewise:
        # What comes meanwhile does not prolong the time; sending ends when the server has closed.
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            wait_until(lambda: not sock.send(b"x"))
        return
    assert_timed_out(crowd.read_to_end(sock))
    assert_served(daemon)


def test_bodies_that_stand_still_are_told_so(start):
    daemon = start(http__header_time="1h", http__idle_time="1s")
    raw = new_bucket(daemon)
    kinds = ["plain", "small", "aws-chunked", "chunked", "part", "document"]
    connections = crowd.connect(raw, len(kinds))
    for kind, sock in zip(kinds, connections):
        sock.sendall(begun_upload(raw, kind))
    for sock in connections:
        assert_timed_out(crowd.read_to_end(sock))
    assert_served(daemon)
    assert keys(raw) == ["served"]


def test_bodies_that_trickle_are_told_so(start):
    """Large and small; a body that comes fast enough is not."""
    daemon = start(http__idle_time="1s", http__body_rate="100K")
    raw = new_bucket(daemon)
    connections = crowd.connect(raw, 2)
    for sock, length in zip(connections, (100 * KIB, 5 * MIB)):
        sock.sendall(crowd.signed_head(raw, "PUT", "/bucket/slow", length))
    wait_until(lambda: [sock.send(b"s") for sock in connections] and all(select.select([sock], [], [], 0.02)[0] for sock in connections))
    for sock in connections:
        assert_timed_out(crowd.read_to_end(sock))
    assert_served(daemon, body=os.urandom(3 * MIB))


def test_a_connection_may_idle_for_as_long_as_is_set(start):
    """Before its first request by the time for headers, between two by the time for idling; nothing is said, as nothing was asked."""
    daemon = start(http__header_time="1s", http__idle_time="1h")
    raw = new_bucket(daemon)
    sock, = crowd.connect(raw)
    assert crowd.read_to_end(sock).data == b""
    assert raw.connection.sock.fileno() >= 0 and raw.request("GET", "/bucket").status == 200
    daemon = start(http__header_time="1h", http__idle_time="1s")
    raw = new_bucket(daemon)
    assert crowd.read_to_end(raw.connection.sock).data == b""
    raw.close()
    assert_served(daemon)


# --- uploads that break off


def begun_upload(raw, kind, size=5 * MIB, sent=3 * MIB):
    """The beginning of an upload that another would end."""
    if kind == "plain":
        return crowd.signed_head(raw, "PUT", "/bucket/broken", size) + b"b" * sent
    if kind == "small":
        return crowd.signed_head(raw, "PUT", "/bucket/broken", 1000) + b"b" * 999
    if kind == "chunked":
        return crowd.signed_head(raw, "PUT", "/bucket/broken", transfer_encoding="chunked") + b"%x\r\n" % size + b"b" * sent
    if kind == "part":
        upload = raw.request("POST", "/bucket/broken", {"uploads": ""}).root().findtext("UploadId")
        return crowd.signed_head(raw, "PUT", "/bucket/broken", size, query=[("partNumber", "1"), ("uploadId", upload)]) + b"b" * sent
    if kind == "document":
        return crowd.signed_head(raw, "POST", "/bucket", 1000, query=[("delete", "")]) + b"<Delete>"
    headers, payload = raw.chunked("/bucket/broken", b"b" * size)
    return crowd.head_of("PUT", "/bucket/broken", headers) + payload[:sent]


def uploaded_parts(raw):
    uploads = [element.findtext("UploadId") for element in raw.request("GET", "/bucket", {"uploads": ""}).root().iter("Upload")]
    return sum(len(list(raw.request("GET", "/bucket/broken", {"uploadId": upload}).root().iter("Part"))) for upload in uploads)


@pytest.mark.parametrize("end", ["shutdown", "close", "reset"])
def test_uploads_that_break_off_leave_nothing(one_daemon, end):
    raw = RawS3(one_daemon)
    before = storage_counters(one_daemon)
    kinds = ["plain", "small", "aws-chunked", "chunked", "part"]
    connections = crowd.connect(raw, len(kinds))
    for kind, sock in zip(kinds, connections):
        sock.sendall(begun_upload(raw, kind))
    staged = len(kinds) - 1
    wait_until(lambda: storage_counters(one_daemon)["staged"] == before["staged"] + staged)
    for kind, sock in zip(kinds, connections):
        if end == "shutdown":
            sock.shutdown(socket.SHUT_WR)
            answer = crowd.read_to_end(sock)
            assert answer.status == 400 and b"<Code>IncompleteBody</Code>" in answer.body, (kind, answer)
        elif end == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    wait_until(lambda: storage_counters(one_daemon) == {name: count + staged for name, count in before.items()})
    assert raw.request("GET", "/bucket/broken").code() == "NoSuchKey"
    assert keys(raw) == [] and uploaded_parts(raw) == 0
    raw.close()


def storage_counters(daemon):
    return {name: crowd.metric(daemon, "restfs_storage_%s_total" % name) for name in ("staged", "abandoned", "reaped")}


# --- clients that never read


@pytest.mark.parametrize("tls, count", [(False, 200), (True, 100)])
def test_clients_that_never_read_hold_little_and_are_cut_off(start, tmp_path, tls, count):
    daemon = start(http__idle_time="1s", **(certificate_options(tmp_path) if tls else {}))
    raw = new_bucket(daemon)
    body = os.urandom(16 * MIB)
    assert raw.request("PUT", "/bucket/large", body=body).status == 200
    assert raw.request("GET", "/bucket/large").body == body
    raw.close()
    before = daemon.memory_bytes()
    crowd.reset_peak(daemon)
    connections = crowd.connect(raw, count, receive_bytes=4 * KIB, context=ssl._create_unverified_context() if tls else None)
    for sock in connections:
        sock.sendall(crowd.signed_head(raw, "GET", "/bucket/large"))
    assert_served(daemon)
    crowd.wait_for_end_of_connections(daemon)
    grown = crowd.peak_bytes(daemon) - before
    print("%d KiB for each of %d clients that never read" % (grown / count / KIB, count))
    assert crowd.is_sanitized(daemon) or grown <= count * UNREAD_MOST
    for sock in connections:
        assert crowd.is_cut_off(sock, len(body))


def test_answers_that_nobody_reads_do_not_keep_the_memory_of_bodies(start):
    """Together they hold more than there is; an upload gets it all the same."""
    daemon = start(http__body_memory="2M", http__idle_time="1h")
    raw = new_bucket(daemon)
    assert raw.request("PUT", "/bucket/large", body=os.urandom(16 * MIB)).status == 200
    connections = crowd.connect(raw, 40, receive_bytes=4 * KIB)
    for sock in connections:
        sock.sendall(crowd.signed_head(raw, "GET", "/bucket/large"))
    for sock in connections:
        assert sock.recv(1, socket.MSG_PEEK)
    for size in (1, 100 * KIB, 3 * MIB):
        assert_served(daemon, body=os.urandom(size))
    crowd.close(connections)


def certificate_options(directory):
    key, certificate = directory / "key.pem", directory / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    return {"tls__certificate": certificate, "tls__key": key}


# --- refused before the body


@pytest.mark.parametrize("expect", [False, True])
@pytest.mark.parametrize("length", [1, 20 * KIB, MIB, 20 * MIB])
def test_what_the_headers_refuse_is_refused_before_a_byte_of_the_body(one_daemon, length, expect):
    """Nothing else is sent, and nothing asked for: the answer comes all the same."""
    raw = RawS3(one_daemon)
    headers = {"expect": "100-continue"} if expect else {}
    unsigned = {"Host": "x", "Content-Length": length, **headers}
    document = min(length, MIB)
    unknown = crowd.signed_head(raw, "PUT", "/bucket/x", length, **headers).replace(one_daemon.access_key.encode(), b"AK" + b"0" * 18)
    heads = {
        "nobody": (403, "AccessDenied", crowd.head_of("PUT", "/bucket/x", unsigned)),
        "nobody, chunked": (403, "AccessDenied", crowd.head_of("PUT", "/bucket/x", {"Host": "x", "Transfer-Encoding": "chunked", **headers})),
        "nobody's part": (403, "AccessDenied", crowd.head_of("PUT", "/bucket/x?partNumber=1&uploadId=none", unsigned)),
        "nobody's document": (403, "AccessDenied", crowd.head_of("POST", "/bucket?delete", {**unsigned, "Content-Length": document})),
        "no such key": (403, "InvalidAccessKeyId", unknown),
        "malformed": (400, None, crowd.head_of("PUT", "/bucket/x", {**unsigned, "Authorization": "AWS4-HMAC-SHA256 nonsense"})),
        "no such bucket": (404, "NoSuchBucket", crowd.signed_head(raw, "PUT", "/no-bucket/x", length, **headers)),
        "no such upload": (404, "NoSuchUpload", crowd.signed_head(raw, "PUT", "/bucket/x", length, query=[("partNumber", "1"), ("uploadId", "none")], **headers)),
        "a condition": (404, "NoSuchKey", crowd.signed_head(raw, "PUT", "/bucket/x", length, if_match="x", **headers)),
    }
    connections = crowd.connect(raw, len(heads))
    for sock, (_, _, head) in zip(connections, heads.values()):
        sock.sendall(head)
    for sock, (name, (status, code, _)) in zip(connections, heads.items()):
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 %d " % status), (name, answer)
        assert code is None or b"<Code>%s</Code>" % code.encode() in answer, (name, answer)
    crowd.close(connections)
    raw.close()


# --- too much, and nonsense


def assert_refused(answer, status, code):
    assert (answer.status, answer.ended) == (status, "closed"), answer
    assert answer.headers["connection"] == "close" and answer.headers["content-type"] == "application/xml"
    assert b"<Code>%s</Code>" % code.encode() in answer.body and b"<RequestId>" in answer.body
    assert answer.data.count(b"HTTP/1.1 ") == 1


FLOODS = {
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(20000)) + b"\r\n",
    "just too many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(100)) + b"\r\n",
    "a large header": b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 70 * KIB + b"\r\n\r\n",
    "an endless header": b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: " + b"x" * FLOOD,
    "an endless name": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x" * FLOOD,
    "a long target": b"GET /" + b"x" * 70 * KIB + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "an endless target": b"GET /bucket/" + b"x" * FLOOD,
    "an endless query": b"GET /bucket?" + b"x=y&" * (FLOOD // 4),
}
LONG_TARGETS = ("a long target", "an endless target", "an endless query")

NONSENSE = {
    "no HTTP": b"hello, is this a store?\r\n\r\n",
    "binary": bytes(range(1, 256)) * 20,
    "zeros": b"\0" * 10000,
    "a TLS hello": bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2,
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no method": b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: x\r\nwhat\r\n\r\n",
    "two lengths": b"PUT /bucket/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length and chunks": b"PUT /bucket/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a negative length": b"PUT /bucket/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length beyond numbers": b"PUT /bucket/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_headers_is_refused(one_daemon, name):
    raw = RawS3(one_daemon)
    sock, = crowd.connect(raw)
    uri = name in LONG_TARGETS
    assert_refused(crowd.send_and_read(sock, FLOODS[name]), 414 if uri else 431, "InvalidURI" if uri else "RequestHeaderSectionTooLarge")
    assert_served(one_daemon)
    raw.request("DELETE", "/bucket/served")


def test_floods_of_headers_hold_no_memory(one_daemon):
    """As many at once as would hold a hundred times as much if all were kept."""
    raw = RawS3(one_daemon)
    crowd.reset_peak(one_daemon)
    before = one_daemon.memory_bytes()
    for name, flood in FLOODS.items():
        connections = crowd.connect(raw, 50)
        for sock in connections:
            crowd.send_all_it_takes(sock, flood)
        for sock in connections:
            assert crowd.read_to_end(sock).status == (414 if name in LONG_TARGETS else 431), name
    assert crowd.is_sanitized(one_daemon) or crowd.peak_bytes(one_daemon) - before < 50 * 256 * KIB


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(one_daemon, name):
    raw = RawS3(one_daemon)
    sock, = crowd.connect(raw)
    sock.sendall(NONSENSE[name])
    assert_refused(crowd.read_to_end(sock), 400, "BadRequest")
    assert_served(one_daemon)
    raw.request("DELETE", "/bucket/served")


def test_a_transfer_coding_that_is_not_known_is_not_implemented(one_daemon):
    raw = RawS3(one_daemon)
    for coding in ("gzip, chunked", "gzip", "x"):
        sock, = crowd.connect(raw)
        sock.sendall(crowd.head_of("PUT", "/bucket/x", {"Host": "x", "Transfer-Encoding": coding}))
        assert_refused(crowd.read_to_end(sock), 501, "NotImplemented")
    assert keys(raw) == []


@pytest.mark.parametrize("path, methods", [("/", "GET"), ("/bucket", "GET, HEAD, PUT, POST, DELETE, OPTIONS"), ("/bucket/key", "GET, HEAD, PUT, POST, DELETE, OPTIONS")])
def test_a_method_that_is_not_allowed_is_told_which_are(one_daemon, path, methods):
    raw = RawS3(one_daemon)
    for method in ("PATCH", "TRACE") + (("PUT", "HEAD", "OPTIONS") if path == "/" else ()):
        answer = raw.request(method, path)
        assert (answer.status, answer.headers.get("allow")) == (405, methods), method
        assert method == "HEAD" or answer.code() == "MethodNotAllowed"


def test_plain_http_and_nonsense_at_a_tls_port_end_the_connection(start, tmp_path):
    daemon = start(http__header_time="1s", **certificate_options(tmp_path))
    raw = new_bucket(daemon)
    plain = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    for data in (plain, *NONSENSE.values()):
        sock, = crowd.connect(raw)
        sock.sendall(data)
        answer = crowd.read_to_end(sock)
        assert answer.status == 400 and b"speaks TLS" in answer.body if answer.status or data == plain else b"HTTP/1.1" not in answer.data, data
    assert_served(daemon)


@pytest.mark.parametrize("bad", [b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", FLOODS["just too many headers"]])
def test_of_pipelined_requests_those_before_a_bad_one_are_answered(one_daemon, bad):
    raw = RawS3(one_daemon)
    good = [crowd.signed_head(raw, "PUT", "/bucket/pipelined-%d" % i, 5) + b"hello" for i in range(3)]
    sock, = crowd.connect(raw)
    sock.sendall(good[0] + good[1] + bad + good[2])
    data = crowd.read_to_end(sock).data
    answers = data.split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200", b"200", b"431" if b"X-1" in bad else b"400"], data
    assert b"Connection: close" in answers[2] and b"<Error>" in answers[2]
    assert keys(raw) == ["pipelined-0", "pipelined-1"]
    for key in keys(raw):
        raw.request("DELETE", "/bucket/" + key)


# --- many connections

IDLER = """
import socket, sys
host, port, source, count, request = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5].encode()
kept = []
for _ in range(count):
    sock = socket.socket()
    sock.bind((source, 0))
    sock.connect((host, port))
    kept.append(sock)
for sock in kept:
    sock.sendall(request)
    data = b""
    while b"</Error>" not in data:
        part = sock.recv(4096)
        assert part, data
        data += part
print("idle", flush=True)
sys.stdin.read()
for sock in kept:
    sock.setblocking(False)
    try:
        sys.exit("an answer or an end that nobody asked for: %r" % sock.recv(1))
    except BlockingIOError:
        pass
"""


def test_nineteen_thousand_idle_connections_leave_room_and_memory_for_others(start):
    """Each has had an answer before it idles. Their clients are processes with addresses of their own."""
    daemon = start(http__idle_time="1h")
    raw = new_bucket(daemon)
    assert_served(daemon)
    request = "GET /no-bucket HTTP/1.1\r\nHost: x\r\n\r\n"
    raw.close()
    crowd.wait_for_end_of_connections(daemon)
    before = daemon.memory_bytes()
    share = IDLE_CLIENTS // 5
    clients = [subprocess.Popen([sys.executable, "-c", IDLER, raw.host, str(raw.port), "127.0.1.%d" % (i + 1), str(share), request],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=die_with_parent) for i in range(5)]
    try:
        assert [client.stdout.readline() for client in clients] == [b"idle\n"] * 5
        assert crowd.connections_open(daemon) >= IDLE_CLIENTS
        grown = daemon.memory_bytes() - before
        print("%d bytes for each of %d idle connections" % (grown / IDLE_CLIENTS, IDLE_CLIENTS))
        assert crowd.is_sanitized(daemon) or (grown <= IDLE_CLIENTS * IDLE_MOST and daemon.memory_bytes() <= MEMORY_MOST)
        assert_served(daemon, body=os.urandom(3 * MIB))
        assert keys(raw) == ["served"]
        raw.close()
    finally:
        ends = [client.communicate()[0] for client in clients]
    assert [client.returncode for client in clients] == [0] * 5, ends
    crowd.wait_for_end_of_connections(daemon)


def test_memory_of_many_requests_at_once_goes_back_to_the_system(start):
    """When they have been answered, though their clients stay."""
    daemon = start(http__idle_time="1h", http__header_time="1h")
    raw = new_bucket(daemon)
    assert_served(daemon)
    before = daemon.memory_bytes()
    connections = crowd.connect(raw, BURST_CLIENTS)
    for sock in connections:
        sock.sendall(b"GET /bucket/none HTTP/1.1\r\nHost: x\r\n")
    assert_served(daemon)
    print("%d bytes for each of %d headers" % ((daemon.memory_bytes() - before) / BURST_CLIENTS, BURST_CLIENTS))
    assert {crowd.first_of_answer(sock, b"\r\n") for sock in connections} == {b"HTTP/1.1 403"}
    wait_until(lambda: crowd.is_sanitized(daemon) or daemon.memory_bytes() - before < BURST_CLIENTS * 2 * KIB)
    crowd.close(connections)


def test_connections_never_take_the_files_that_the_store_needs(start):
    """Of those too many the first are told so; the store, those who were there before, and administration go on."""
    files = 600
    daemon = start(files=files)
    raw = new_bucket(daemon)
    request = b"GET /no-bucket HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
    first = crowd.connect(raw, files // 3)
    assert {crowd.first_of_answer(sock, request) for sock in first} == {b"HTTP/1.1 404"}
    others = crowd.connect(raw, files)
    answers = [crowd.first_of_answer(sock, request) for sock in others]
    assert set(answers) == {b"HTTP/1.1 404", b"HTTP/1.1 503", b""}
    assert answers.count(b"HTTP/1.1 404") < files // 2 - len(first)
    assert {crowd.first_of_answer(sock, request) for sock in first} == {b"HTTP/1.1 404"}
    assert raw.request("PUT", "/bucket/large", body=os.urandom(8 * MIB)).status == 200
    assert crowd.metric(daemon, "restfs_store_poisoned") == 0
    crowd.close(first + others)
    wait_until(lambda: crowd.connections_open(daemon) < 10)
    assert_served(daemon)
