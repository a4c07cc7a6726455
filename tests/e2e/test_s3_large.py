"""Bodies larger than memory should be: the daemon passes them on in pieces. RESTFS_LARGE_MIB makes them larger; `make soak` sets 5 GiB."""
import contextlib
import hashlib
import http.client
import os

import pytest

import crowd
from crowd import MIB
from daemon import PATIENCE_SECONDS, Daemon
from raw_s3 import EMPTY_SHA256, RawS3

LARGE = int(os.environ.get("RESTFS_LARGE_MIB", "128")) * MIB
RAISED_MOST = 16 * MIB
SIGNATURE = ";chunk-signature=" + "0" * 64


@pytest.fixture(scope="module")
def store():
    daemon = Daemon().start()
    raw = RawS3(daemon)
    assert raw.request("PUT", "/bucket").status == 200
    assert raw.request("PUT", "/bucket/small", body=b"small").status == 200
    assert raw.request("GET", "/bucket/small").body == b"small"
    yield daemon
    raw.close()
    status, log = daemon.stop(), daemon.log()
    daemon.remove()
    assert status == 0, log


@contextlib.contextmanager
def memory_bounded(store):
    """Memory at its highest must not be more than RAISED_MOST above what it was."""
    before = store.memory_bytes()
    crowd.reset_peak(store)
    yield
    raised = crowd.peak_bytes(store) - before
    print("%d MiB raise memory by %.1f MiB" % (LARGE // MIB, raised / MIB))
    assert crowd.is_sanitized(store) or raised <= RAISED_MOST


class Content:
    """LARGE bytes that do not repeat or compress, made as they are needed."""

    def __init__(self):
        self.seed = os.urandom(MIB + LARGE // MIB)
        self.md5 = hashlib.md5()

    def blocks(self):
        for number in range(LARGE // MIB):
            block = self.seed[number:number + MIB]
            self.md5.update(block)
            yield block


def chunks(raw, headers, signature, blocks):
    """Each block as a signed chunk, and the last, empty one."""
    for block in blocks:
        signature = raw.chain("AWS4-HMAC-SHA256-PAYLOAD", headers["x-amz-date"], signature, EMPTY_SHA256, block)
        yield b"%x;chunk-signature=%s\r\n" % (len(block), signature.encode()) + block + b"\r\n"
    signature = raw.chain("AWS4-HMAC-SHA256-PAYLOAD", headers["x-amz-date"], signature, EMPTY_SHA256, b"")
    yield b"0;chunk-signature=%s\r\n\r\n" % signature.encode()


def put(raw, path, headers, blocks):
    connection = http.client.HTTPConnection(raw.host, raw.port, timeout=PATIENCE_SECONDS)
    connection.request("PUT", path, body=blocks, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200
    return answer.headers["etag"]


def get_md5(raw, path):
    """Of what a GET gives."""
    headers = {}
    raw.sign("GET", path, [], headers, "UNSIGNED-PAYLOAD")
    connection = http.client.HTTPConnection(raw.host, raw.port, timeout=PATIENCE_SECONDS)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200 and int(answer.headers["content-length"]) == LARGE
    md5, length = hashlib.md5(), 0
    while block := answer.read(MIB):
        md5.update(block)
        length += len(block)
    connection.close()
    assert length == LARGE
    return md5.hexdigest()


def put_plain(raw, path, content):
    headers = {"content-length": str(LARGE)}
    raw.sign("PUT", path, [], headers, "UNSIGNED-PAYLOAD")
    return put(raw, path, headers, content.blocks())


def put_signed_chunks(raw, path, content):
    count = LARGE // MIB
    length = count * len("%x%s\r\n\r\n" % (MIB, SIGNATURE)) + LARGE + len("0%s\r\n\r\n" % SIGNATURE)
    headers = {"content-length": str(length), "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(LARGE)}
    signature = raw.sign("PUT", path, [], headers, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    return put(raw, path, headers, chunks(raw, headers, signature, content.blocks()))


@pytest.mark.parametrize("way", [put_plain, put_signed_chunks])
def test_a_large_upload_and_download_raise_memory_little(store, way):
    raw = RawS3(store)
    content = Content()
    with memory_bounded(store):
        etag = way(raw, "/bucket/large", content)
    assert etag == '"%s"' % content.md5.hexdigest()
    with memory_bounded(store):
        assert get_md5(raw, "/bucket/large") == content.md5.hexdigest()
    assert raw.request("DELETE", "/bucket/large").status == 204
    raw.close()
