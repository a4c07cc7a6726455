"""Many connections at once, from one thread: clients that send slowly, send too much, or never read."""
import http.client
import io
import socket
import ssl
import urllib.request

from daemon import PATIENCE_SECONDS, wait_until

KIB = 1024
MIB = 1024 * KIB


class Answer:
    """What came on a connection until it closed or was reset, and what of it is a first answer."""

    def __init__(self, data, ended):
        self.data = data
        self.ended = ended
        self.status = 0
        self.body = b""
        if data.startswith(b"HTTP/1.1 "):
            response = http.client.HTTPResponse(Bytes(data))
            response.begin()
            self.status, self.headers = response.status, response.headers
            self.body = response.read()

    def __repr__(self):
        return "<%s %r>" % (self.ended, self.data[:400])


class Bytes:
    """As http.client wants a socket."""

    def __init__(self, data):
        self.data = data

    def makefile(self, *_):
        return io.BytesIO(self.data)


def connect(raw, count=1, source=None, receive_bytes=None, context=None):
    """That many connections; `receive_bytes`: the kernel takes about as much before a client that does not read stops the daemon."""
    connections = []
    for _ in range(count):
        sock = socket.socket()
        sock.settimeout(PATIENCE_SECONDS)
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        if source:
            sock.bind((source, 0))
        sock.connect((raw.host, raw.port))
        connections.append(context.wrap_socket(sock) if context else sock)
    return connections


def close(connections):
    for sock in connections:
        sock.close()


def read_to_end(sock):
    """All that comes before the connection closes."""
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except ConnectionResetError:
        return Answer(data, "reset")
    finally:
        sock.close()
    return Answer(data, "closed")


def first_of_answer(sock, request):
    """The beginning of an answer's first line; nothing when the server has closed."""
    try:
        sock.sendall(request)
        return sock.recv(65536)[:12]
    except (BrokenPipeError, ConnectionResetError):
        return b""


def send_and_read(sock, data):
    """Sends, though the server may have closed before all was sent, then reads to the end."""
    try:
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return read_to_end(sock)


def send_all_it_takes(sock, data):
    """What the server takes at once, or until it closes."""
    sock.setblocking(False)
    try:
        while data:
            data = data[sock.send(data):]
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    sock.settimeout(PATIENCE_SECONDS)


def head_of(method, target, headers):
    """A request's line and headers as they are sent."""
    return ("%s %s HTTP/1.1\r\n" % (method, target) + "".join("%s: %s\r\n" % pair for pair in headers.items()) + "\r\n").encode()


def signed_head(raw, method, path, length=None, payload="UNSIGNED-PAYLOAD", query=(), **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if length is not None:
        headers["content-length"] = str(length)
    raw.sign(method, path, list(query), headers, payload)
    return head_of(method, path + ("?" + "&".join("%s=%s" % pair for pair in query) if query else ""), headers)


def metric(daemon, name):
    """A metric's value, by the daemon's own account."""
    with urllib.request.urlopen(daemon.admin + "/metrics", context=ssl._create_unverified_context()) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
    raise KeyError(name)


def connections_open(daemon):
    """But for the one that asks."""
    return metric(daemon, "restfs_http_connections") - 1


def wait_for_end_of_connections(daemon):
    wait_until(lambda: connections_open(daemon) <= 0)


def is_cut_off(sock, length):
    """The connection ends before that many bytes have come."""
    came = 0
    try:
        while part := sock.recv(65536):
            came += len(part)
    except (ConnectionResetError, ssl.SSLError):
        return True
    finally:
        sock.close()
    return came < length


def is_sanitized(daemon):
    """Then its memory says nothing about ours."""
    with open("/proc/%d/maps" % daemon.process.pid) as f:
        maps = f.read()
    return "libasan" in maps or "libtsan" in maps


def reset_peak(daemon):
    """From here on peak_bytes tells the most memory that was in use."""
    with open("/proc/%d/clear_refs" % daemon.process.pid, "w") as f:
        f.write("5")


def peak_bytes(daemon):
    with open("/proc/%d/status" % daemon.process.pid) as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB
    raise RuntimeError("no VmHWM")
