"""A minimal S3 client: Signature V4 written from the specification, over http.client, which sends exactly the path and headers it is given.

For what boto3 would not send, and, in the crash tests, for many small requests at little cost.
"""
import base64
import binascii
import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import socket
import ssl
import urllib.parse
import xml.etree.ElementTree

from daemon import PATIENCE_SECONDS

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-._~")


def hmac_sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def lines_of(value):
    """A header's lines: a list is sent as several."""
    return value if isinstance(value, (list, tuple)) else [value]


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def root(self):
        """The XML, with namespaces taken off."""
        tree = xml.etree.ElementTree.fromstring(self.body)
        for element in tree.iter():
            element.tag = element.tag.split("}")[-1]
        return tree

    def code(self):
        """S3's error code, "" where there is none."""
        if not self.body:
            return ""
        return self.root().findtext("Code") or ""

    def __repr__(self):
        return "<%d %r>" % (self.status, self.body[:300])


class RawS3:
    """One connection, opened again when the server has closed it. Not for several threads at once."""

    def __init__(self, daemon, access_key=None, secret_key=None, region="us-east-1"):
        address = urllib.parse.urlsplit(daemon.s3)
        self.host, self.port = address.hostname, address.port
        self.tls = address.scheme == "https"
        self.access_key = daemon.access_key if access_key is None else access_key
        self.secret_key = daemon.secret_key if secret_key is None else secret_key
        self.region = region
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def connect(self):
        """A bare TCP connection to the same door."""
        return socket.create_connection((self.host, self.port), timeout=PATIENCE_SECONDS)

    def host_header(self):
        return "%s:%d" % (self.host, self.port)

    # --- Signature V4 (Amazon S3 API reference, "Authenticating Requests") ---

    def signing_key(self, day):
        key = hmac_sha256(("AWS4" + self.secret_key).encode(), day)
        for part in (self.region, "s3", "aws4_request"):
            key = hmac_sha256(key, part)
        return key

    def scope(self, day):
        return "%s/%s/s3/aws4_request" % (day, self.region)

    def signature(self, method, path, query, headers, names, payload, stamp):
        canonical = "\n".join([
            method, path, "&".join("%s=%s" % (quote(k), quote(v)) for k, v in sorted(query)),
            "".join("%s:%s\n" % (name, ",".join(" ".join(line.split()) for line in lines_of(headers[name]))) for name in names), ";".join(names), payload])
        digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, self.scope(stamp[:8]), digest])
        return hmac_sha256(self.signing_key(stamp[:8]), text).hex()

    def sign(self, method, path, query, headers, payload, now=None):
        """Adds what a signed request carries to `headers` (whose names are in lower case); returns the signature."""
        stamp = (now or datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
        headers.setdefault("host", self.host_header())
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload
        names = sorted(name for name in headers if name not in ("content-length", "connection", "expect", "transfer-encoding"))
        signature = self.signature(method, path, query, headers, names, payload, stamp)
        headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s" % (
            self.access_key, self.scope(stamp[:8]), ";".join(names), signature)
        return signature

    def presign(self, method, path, query=(), expires=600, now=None, headers=None):
        """The path and query of a presigned request."""
        stamp = (now or datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
        headers = dict(headers or {}, host=self.host_header())
        names = sorted(headers)
        query = list(query) + [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", "%s/%s" % (self.access_key, self.scope(stamp[:8]))),
            ("X-Amz-Date", stamp), ("X-Amz-Expires", str(expires)), ("X-Amz-SignedHeaders", ";".join(names))]
        signature = self.signature(method, path, query, headers, names, "UNSIGNED-PAYLOAD", stamp)
        query.append(("X-Amz-Signature", signature))
        return path + "?" + "&".join("%s=%s" % (quote(k), quote(v)) for k, v in query)

    # --- requests ---

    def send(self, method, target, headers, body=b""):
        """As given: no signature, no changes. A connection that the server closed while it was idle is opened once again."""
        fresh = self.connection is None
        try:
            return self.send_once(method, target, headers, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()
            if fresh:
                raise
        return self.send_once(method, target, headers, body)

    def send_once(self, method, target, headers, body):
        if self.connection is None:
            if self.tls:
                self.connection = http.client.HTTPSConnection(self.host, self.port, timeout=PATIENCE_SECONDS,
                                                              context=ssl._create_unverified_context())
            else:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_SECONDS)
        try:
            self.connection.putrequest(method, target, skip_host="host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                for line in lines_of(value):
                    self.connection.putheader(name, line)
            self.connection.endheaders(body)
            response = self.connection.getresponse()
            answer = Response(response.status, response.headers, response.read())
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def request(self, method, path="/", query=(), headers=None, body=b"", now=None, payload=None, anonymous=False):
        """A signed request. `path` is not encoded yet."""
        path = quote(path, "/")
        query = list(query.items()) if isinstance(query, dict) else list(query)
        headers = {name.lower(): value for name, value in (headers or {}).items()}
        if body or method in ("PUT", "POST"):
            headers.setdefault("content-length", str(len(body)))
        if not anonymous:
            self.sign(method, path, query, headers, payload or hashlib.sha256(body).hexdigest(), now)
        target = path + ("?" + "&".join("%s=%s" % (quote(k), quote(v)) for k, v in query) if query else "")
        return self.send(method, target, headers, body)

    # --- aws-chunked ("Signature Calculations: Transferring Payload in Multiple Chunks") ---

    def put_chunked(self, path, body, *details, **more):
        """PutObject as aws-chunked; the details are those of `chunked`."""
        headers, payload = self.chunked(quote(path, "/"), body, *details, **more)
        return self.send("PUT", quote(path, "/"), headers, payload)

    def chunked(self, path, body, chunk=65536, mode="STREAMING-AWS4-HMAC-SHA256-PAYLOAD", trailers=(), headers=None, spoil=None, decoded_length=None):
        """Headers and payload of a PutObject as aws-chunked. `spoil(number, data)` may change a chunk after it was signed."""
        signed = mode.startswith("STREAMING-AWS4")
        headers = {name.lower(): value for name, value in (headers or {}).items()}
        headers["content-encoding"] = "aws-chunked"
        headers["x-amz-decoded-content-length"] = str(len(body) if decoded_length is None else decoded_length)
        if trailers:
            headers["x-amz-trailer"] = ",".join(name for name, _ in trailers)
        previous = self.sign("PUT", path, [], headers, mode)
        stamp = headers["x-amz-date"]
        encoded = []
        pieces = [body[at:at + chunk] for at in range(0, len(body), chunk)] + [b""]
        for number, piece in enumerate(pieces):
            extension = ""
            if signed:
                previous = self.chain("AWS4-HMAC-SHA256-PAYLOAD", stamp, previous, EMPTY_SHA256, piece)
                extension = ";chunk-signature=" + previous
            sent = spoil(number, piece) if spoil else piece
            encoded.append(b"%x%s\r\n" % (len(sent), extension.encode()))
            if piece:
                encoded.append(sent + b"\r\n")
        if trailers:
            lines = "".join("%s:%s\n" % pair for pair in trailers)
            encoded.append(lines.replace("\n", "\r\n").encode())
            if signed:
                last = self.chain("AWS4-HMAC-SHA256-TRAILER", stamp, previous, None, lines.encode())
                encoded.append(b"x-amz-trailer-signature:%s\r\n" % last.encode())
        encoded.append(b"\r\n")
        payload = b"".join(encoded)
        headers["content-length"] = str(len(payload))
        return headers, payload

    def chain(self, kind, stamp, previous, empty, data):
        parts = [kind, stamp, self.scope(stamp[:8]), previous] + ([empty] if empty else []) + [hashlib.sha256(data).hexdigest()]
        return hmac_sha256(self.signing_key(stamp[:8]), "\n".join(parts)).hex()


def crc32_base64(data):
    return base64.b64encode(binascii.crc32(data).to_bytes(4, "big")).decode()


def put_many(daemon, bucket, keys, connections=8):
    """Objects whose bodies are their keys, in a tenth of the time that boto3 takes."""
    keys = list(keys)

    def put(first):
        raw = RawS3(daemon)
        for key in keys[first::connections]:
            assert raw.request("PUT", f"/{bucket}/{key}", body=key.encode()).status == 200
        raw.close()

    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        list(pool.map(put, range(connections)))
