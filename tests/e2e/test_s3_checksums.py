"""Digests of bodies: what the client says is verified, stored and given back; chunked uploads, signed and not."""
import base64
import hashlib

import awscrt.checksums
import pytest

from raw_s3 import crc32_base64
from s3_expect import all_keys, refused

MIB = 1024 * 1024
BODY = bytes(range(256)) * 1000
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def base64_of(number, size):
    return base64.b64encode(number.to_bytes(size, "big")).decode()


COMPUTE = {
    "CRC32": crc32_base64,
    "CRC32C": lambda body: base64_of(awscrt.checksums.crc32c(body), 4),
    "CRC64NVME": lambda body: base64_of(awscrt.checksums.crc64nvme(body), 8),
    "SHA1": lambda body: base64.b64encode(hashlib.sha1(body).digest()).decode(),
    "SHA256": lambda body: base64.b64encode(hashlib.sha256(body).digest()).decode(),
}
ALGORITHMS = sorted(COMPUTE)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 1, 65537, 3 * MIB + 1])
def test_a_checksum_is_verified_stored_and_given_back(s3, bucket, algorithm, size):
    body = (BODY * 13)[:size]
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    name, wanted = "Checksum" + algorithm, COMPUTE[algorithm](body)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (put[name], put["ChecksumType"]) == (head[name], head["ChecksumType"]) == (wanted, "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got[name], got["Body"].read()) == (wanted, body)
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == ([algorithm], "FULL_OBJECT")


def test_checksums_are_shown_only_when_asked_for_and_not_for_ranges(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="SHA256")
    path = "/%s/k" % bucket
    assert "x-amz-checksum-sha256" not in raw.request("HEAD", path).headers
    assert "x-amz-checksum-sha256" in raw.request("HEAD", path, headers={"x-amz-checksum-mode": "ENABLED"}).headers
    part = raw.request("GET", path, headers={"x-amz-checksum-mode": "ENABLED", "range": "bytes=0-9"})
    assert part.status == 206 and "x-amz-checksum-sha256" not in part.headers


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_checksum_stores_nothing(raw, s3, bucket, algorithm):
    header = "x-amz-checksum-" + algorithm.lower()
    wrong = COMPUTE[algorithm](b"something else")
    for body in (b"", b"small", BODY * 13):
        answer = raw.request("PUT", "/%s/k" % bucket, headers={header: wrong}, body=body)
        assert (answer.status, answer.code()) == (400, "BadDigest")
    assert all_keys(s3, bucket) == []


@pytest.mark.parametrize("value", ["", "AAAA", "not base64!", "AAAAAAA"])
def test_a_checksum_that_is_none_is_refused(raw, s3, bucket, value):
    answer = raw.request("PUT", "/%s/k" % bucket, headers={"x-amz-checksum-crc32": value}, body=b"x")
    assert answer.status == 400 and answer.code() in ("InvalidRequest", "BadDigest")
    assert all_keys(s3, bucket) == []


def test_two_checksums_at_once_are_refused(raw, s3, bucket):
    headers = {"x-amz-checksum-crc32": COMPUTE["CRC32"](BODY), "x-amz-checksum-sha1": COMPUTE["SHA1"](BODY)}
    answer = raw.request("PUT", "/%s/k" % bucket, headers=headers, body=BODY)
    assert (answer.status, answer.code()) == (400, "InvalidRequest")
    assert all_keys(s3, bucket) == []


def test_an_algorithm_that_is_not_known_is_refused(raw, s3, bucket):
    answer = raw.request("PUT", "/%s/k" % bucket, headers={"x-amz-sdk-checksum-algorithm": "MD17"}, body=b"x")
    assert (answer.status, answer.code()) == (400, "InvalidRequest")
    answer = raw.request("PUT", "/%s/k" % bucket, headers={"x-amz-checksum-md17": "AAAA"}, body=b"x")
    assert answer.status in (400, 501)
    assert all_keys(s3, bucket) == []


def test_a_copy_keeps_the_checksum_or_computes_another(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=BODY, ChecksumAlgorithm="CRC32C")
    source = {"Bucket": bucket, "Key": "from"}
    s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
    assert s3.head_object(Bucket=bucket, Key="same", ChecksumMode="ENABLED")["ChecksumCRC32C"] == COMPUTE["CRC32C"](BODY)
    copied = s3.copy_object(Bucket=bucket, Key="other", CopySource=source, ChecksumAlgorithm="SHA1")
    head = s3.head_object(Bucket=bucket, Key="other", ChecksumMode="ENABLED")
    assert copied["CopyObjectResult"]["ChecksumSHA1"] == head["ChecksumSHA1"] == COMPUTE["SHA1"](BODY)


def test_content_md5_is_verified(s3, raw, bucket):
    right = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"else").digest()).decode()
    s3.put_object(Bucket=bucket, Key="right", Body=BODY, ContentMD5=right)
    with refused(400, "BadDigest"):
        s3.put_object(Bucket=bucket, Key="wrong", Body=BODY, ContentMD5=wrong)
    for text in ("", "short", "x" * 24):
        answer = raw.request("PUT", "/%s/none" % bucket, headers={"content-md5": text}, body=BODY)
        assert (answer.status, answer.code()) == (400, "InvalidDigest")
    assert all_keys(s3, bucket) == ["right"]


@pytest.mark.parametrize("body", [b"", b"small", BODY * 13], ids=["empty", "small", "large"])
def test_a_body_other_than_the_signed_hash_stores_nothing(raw, s3, bucket, body):
    answer = raw.request("PUT", "/%s/k" % bucket, body=body, payload=hashlib.sha256(b"else").hexdigest())
    assert (answer.status, answer.code()) == (400, "XAmzContentSHA256Mismatch")
    assert all_keys(s3, bucket) == []


# --- aws-chunked


@pytest.mark.parametrize("mode", [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize("size, chunk", [(0, 8192), (1, 8192), (8192, 8192), (65536 + 1, 8192), (3 * MIB + 17, 65536), (9 * MIB, 4 * MIB)])
def test_a_chunked_upload_stores_the_decoded_bytes(raw, s3, bucket, mode, size, chunk):
    body = (BODY * 40)[:size]
    trailers = [("x-amz-checksum-crc32", crc32_base64(body))] if "TRAILER" in mode else []
    answer = raw.put_chunked("/%s/k" % bucket, body, chunk, mode, trailers)
    assert answer.status == 200, answer
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == body and "ContentEncoding" not in got
    assert got.get("ChecksumCRC32") == (crc32_base64(body) if trailers else got.get("ChecksumCRC32"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", [SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_a_trailing_checksum_is_verified(raw, s3, bucket, mode, algorithm):
    name = "x-amz-checksum-" + algorithm.lower()
    assert raw.put_chunked("/%s/right" % bucket, BODY, trailers=[(name, COMPUTE[algorithm](BODY))], mode=mode).status == 200
    answer = raw.put_chunked("/%s/wrong" % bucket, BODY, trailers=[(name, COMPUTE[algorithm](b"else"))], mode=mode)
    assert (answer.status, answer.code()) == (400, "BadDigest")
    assert all_keys(s3, bucket) == ["right"]


@pytest.mark.parametrize("spoiled", [0, 2, 4])
def test_a_chunk_that_was_changed_after_signing_stores_nothing(raw, s3, bucket, spoiled):
    def spoil(number, data):
        return data[:-1] + bytes([data[-1] ^ 1]) if number == spoiled else data

    answer = raw.put_chunked("/%s/k" % bucket, BODY[:40960], 8192, SIGNED, spoil=spoil)
    assert (answer.status, answer.code()) == (403, "SignatureDoesNotMatch")
    assert all_keys(s3, bucket) == []


@pytest.mark.parametrize("mode", [SIGNED, UNSIGNED_TRAILER])
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_decoded_length_that_is_not_the_bodys_stores_nothing(raw, s3, bucket, mode, difference):
    trailers = [("x-amz-checksum-crc32", crc32_base64(BODY))] if "TRAILER" in mode else []
    answer = raw.put_chunked("/%s/k" % bucket, BODY, mode=mode, trailers=trailers, decoded_length=len(BODY) + difference)
    assert answer.status == 400
    assert all_keys(s3, bucket) == []


def test_a_chunked_upload_without_its_decoded_length_is_refused(raw, s3, bucket):
    headers = {"content-encoding": "aws-chunked", "content-length": "5"}
    raw.sign("PUT", "/%s/k" % bucket, [], headers, UNSIGNED_TRAILER)
    answer = raw.send("PUT", "/%s/k" % bucket, headers, b"0\r\n\r\n")
    assert (answer.status, answer.code()) == (411, "MissingContentLength")
    assert all_keys(s3, bucket) == []


def test_an_encoding_beside_aws_chunked_is_kept(raw, s3, bucket):
    path = "/%s/k" % bucket
    headers = {"content-encoding": "gzip,aws-chunked", "x-amz-decoded-content-length": "3"}
    body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % crc32_base64(b"abc").encode()
    headers.update({"x-amz-trailer": "x-amz-checksum-crc32", "content-length": str(len(body))})
    raw.sign("PUT", path, [], headers, UNSIGNED_TRAILER)
    assert raw.send("PUT", path, headers, body).status == 200
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["ContentEncoding"], got["Body"].read()) == ("gzip", b"abc")


# What only the framing of a streaming payload could keep.
UNFRAMED = [{"x-amz-trailer": "x-amz-checksum-crc32"}, {"x-amz-trailer": ""}, {"x-amz-decoded-content-length": "1"}, {"x-amz-decoded-content-length": "99"},
            {"x-amz-decoded-content-length": ""}, {"content-encoding": "aws-chunked"}, {"content-encoding": "gzip, AWS-Chunked"}]


@pytest.mark.parametrize("payload", [None, "UNSIGNED-PAYLOAD"])
@pytest.mark.parametrize("headers", UNFRAMED)
def test_what_belongs_to_chunks_is_refused_of_a_body_without_them(raw, s3, bucket, headers, payload):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    for query in ({}, {"uploadId": upload, "partNumber": "1"}):
        answer = raw.request("PUT", "/%s/k" % bucket, query, headers, b"q", payload=payload)
        assert (answer.status, answer.code()) == (400, "InvalidRequest")
    keys = b"<Delete><Object><Key>k</Key></Object></Delete>"
    more = {"content-md5": base64.b64encode(hashlib.md5(keys).digest()).decode(), **headers}
    answer = raw.request("POST", "/%s" % bucket, {"delete": ""}, more, keys, payload=payload)
    assert (answer.status, answer.code()) == (400, "InvalidRequest")
    assert all_keys(s3, bucket) == [] and "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_a_trailer_of_http_is_no_trailer_of_s3(raw, s3, bucket):
    path = "/%s/k" % bucket
    headers = {"transfer-encoding": "chunked", "x-amz-trailer": "x-amz-checksum-crc32"}
    raw.sign("PUT", path, [], headers, "UNSIGNED-PAYLOAD")
    answer = raw.send("PUT", path, headers, b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32: AAAAAA==\r\n\r\n")
    assert (answer.status, answer.code()) == (400, "InvalidRequest")
    assert all_keys(s3, bucket) == []


@pytest.mark.parametrize("size", [5, 100000, 3 << 20])
@pytest.mark.parametrize("trailer", [b"x-amz-checksum-crc32: AAAAAA==", b"Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==", b"x-amz-meta-a:"])
@pytest.mark.parametrize("announced", [{}, {"trailer": "x-amz-checksum-crc32"}])
def test_a_trailer_of_http_is_not_passed_over(raw, s3, bucket, size, trailer, announced):
    path = "/%s/k" % bucket
    body = b"%x\r\n%s\r\n0\r\n" % (size, bytes(size))
    for end, status in ((trailer + b"\r\n\r\n", 501), (b"\r\n", 200)):
        headers = {"transfer-encoding": "chunked", **announced}
        raw.sign("PUT", path, [], headers, "UNSIGNED-PAYLOAD")
        answer = raw.send("PUT", path, headers, body + end)
        assert answer.status == status and (status == 200 or answer.code() == "NotImplemented")
        assert all_keys(s3, bucket) == ["k"] * (status == 200)


def test_an_empty_body_may_be_called_aws_chunked(raw, s3, bucket):
    assert raw.request("PUT", "/%s/k" % bucket, headers={"content-encoding": "aws-chunked"}).status == 200
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="k")
