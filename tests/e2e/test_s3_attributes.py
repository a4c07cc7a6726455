"""GetObjectAttributes, and parts read by number with what is said of them."""
import base64
import hashlib
import zlib

import pytest

from s3_expect import refused

MIB = 1024 * 1024
ALL = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
BODIES = [b"a" * 5 * MIB, b"b" * (5 * MIB + 1), b"c" * 10]


def sha256(body):
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def crc32(body):
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def upload(s3, bucket, key="k", bodies=BODIES, numbers=None, **arguments):
    """The answer of the completion. Numbers have gaps: parts are counted when they are one object."""
    numbers = numbers or [2 * i + 1 for i in range(len(bodies))]
    name = {"Bucket": bucket, "Key": key, "UploadId": s3.create_multipart_upload(Bucket=bucket, Key=key, **arguments)["UploadId"]}
    algorithm = {"ChecksumAlgorithm": arguments["ChecksumAlgorithm"]} if arguments else {}
    done = []
    for number, body in zip(numbers, bodies):
        part = s3.upload_part(PartNumber=number, Body=body, **name, **algorithm)
        done.append({"PartNumber": number, **{field: value for field, value in part.items() if field == "ETag" or field.startswith("Checksum")}})
    return s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **name)


@pytest.fixture
def bare(daemon):
    """A client that adds no checksums of its own."""
    return daemon.client(request_checksum_calculation="when_required", response_checksum_validation="when_required")


def test_what_was_put_in_one_piece(s3, bare, bucket):
    bare.put_object(Bucket=bucket, Key="k", Body=b"body")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL)
    assert (got["ETag"], got["ObjectSize"], got["StorageClass"]) == (hashlib.md5(b"body").hexdigest(), 4, "STANDARD")
    assert "Checksum" not in got and "ObjectParts" not in got and "VersionId" not in got and "DeleteMarker" not in got
    assert got["LastModified"] == s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ChecksumAlgorithm="SHA256")
    got = s3.get_object_attributes(Bucket=bucket, Key="k", VersionId="null", ObjectAttributes=["Checksum"])
    assert got["Checksum"] == {"ChecksumSHA256": sha256(b"body"), "ChecksumType": "FULL_OBJECT"}
    assert not {"ETag", "ObjectSize", "StorageClass"} & set(got)


@pytest.mark.parametrize("algorithm, kind, digest", [("SHA256", "COMPOSITE", sha256), ("CRC32", "COMPOSITE", crc32), ("CRC32", "FULL_OBJECT", crc32)])
def test_parts_and_their_checksums(s3, bucket, algorithm, kind, digest):
    field = "Checksum" + algorithm
    made = upload(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    got = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL)
    assert '"%s"' % got["ETag"] == made["ETag"] and got["ObjectSize"] == sum(map(len, BODIES))
    assert got["Checksum"] == {field: made[field], "ChecksumType": kind}
    if kind == "FULL_OBJECT":
        assert made[field] == digest(b"".join(BODIES))
    parts = got["ObjectParts"]
    assert (parts["TotalPartsCount"], parts["IsTruncated"], parts["MaxParts"], parts["PartNumberMarker"]) == (3, False, 1000, 0)
    assert parts["Parts"] == [{"PartNumber": i, "Size": len(body), field: digest(body)} for i, body in enumerate(BODIES, 1)]
    for number, body in enumerate(BODIES, 1):
        part = s3.head_object(Bucket=bucket, Key="k", PartNumber=number, ChecksumMode="ENABLED")
        assert (part[field], part["ChecksumType"], part["PartsCount"], part["ContentLength"]) == (digest(body), kind, 3, len(body))
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[field] == made[field]


def test_a_copy_has_the_parts_of_its_source(s3, bucket):
    upload(s3, bucket, ChecksumAlgorithm="SHA256")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=bucket + "/k")
    s3.delete_object(Bucket=bucket, Key="k")
    parts = s3.get_object_attributes(Bucket=bucket, Key="copy", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert [part["ChecksumSHA256"] for part in parts["Parts"]] == [sha256(body) for body in BODIES]


def test_parts_come_in_pages(bare, bucket):
    upload(bare, bucket)

    def page(**arguments):
        return bare.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"], **arguments)["ObjectParts"]

    first = page(MaxParts=2)
    assert [part["PartNumber"] for part in first["Parts"]] == [1, 2]
    assert (first["IsTruncated"], first["NextPartNumberMarker"], first["MaxParts"], first["TotalPartsCount"]) == (True, 2, 2, 3)
    assert not any(field.startswith("Checksum") for part in first["Parts"] for field in part)
    rest = page(MaxParts=2, PartNumberMarker=2)
    assert ([part["PartNumber"] for part in rest["Parts"]], rest["IsTruncated"], rest["PartNumberMarker"]) == ([3], False, 2)
    for nothing in (page(PartNumberMarker=3), page(PartNumberMarker=10000), page(MaxParts=0)):
        assert "Parts" not in nothing and nothing["IsTruncated"] is False and nothing["TotalPartsCount"] == 3


def test_an_upload_of_one_empty_part(bare, bucket):
    upload(bare, bucket, bodies=[b""])
    got = bare.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "ObjectSize"])
    assert (got["ObjectSize"], got["ObjectParts"]["Parts"]) == (0, [{"PartNumber": 1, "Size": 0}])


def test_a_part_of_an_object_is_a_range_of_it(s3, bucket):
    upload(s3, bucket)
    part = s3.get_object(Bucket=bucket, Key="k", PartNumber=3)
    start = len(BODIES[0]) + len(BODIES[1])
    assert part["Body"].read() == BODIES[2]
    assert part["ContentRange"] == "bytes %d-%d/%d" % (start, start + 9, start + 10)
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    for number in (4, 10000):
        with refused(400, "InvalidPart"):
            s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        with refused(400):
            s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
    for number in (0, 10001):
        with refused(400, "InvalidArgument"):
            s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
    with refused(400, "InvalidRequest"):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=1, Range="bytes=0-1")


def test_an_object_without_parts_is_its_first_part(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    part = s3.get_object(Bucket=bucket, Key="k", PartNumber=1)
    assert (part["Body"].read(), part["ContentRange"]) == (b"body", "bytes 0-3/4") and "PartsCount" not in part
    with refused(400, "InvalidPart"):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    part = s3.get_object(Bucket=bucket, Key="empty", PartNumber=1)
    assert (part["Body"].read(), part["ResponseMetadata"]["HTTPStatusCode"]) == (b"", 200) and "ContentRange" not in part


@pytest.mark.parametrize("headers, code", [
    ({}, "InvalidRequest"), ({"x-amz-object-attributes": ""}, "InvalidRequest"), ({"x-amz-object-attributes": "Etag"}, "InvalidArgument"),
    ({"x-amz-object-attributes": "ETag,"}, None), ({"x-amz-object-attributes": "ETag,,ObjectSize"}, "InvalidArgument"),
    ({"x-amz-object-attributes": " ETag , ObjectSize"}, None), ({"x-amz-object-attributes": "ETag", "x-amz-max-parts": "many"}, "InvalidArgument"),
    ({"x-amz-object-attributes": "ETag", "x-amz-part-number-marker": "-1"}, "InvalidArgument"),
    ({"x-amz-object-attributes": "ETag", "x-amz-request-payer": "requester"}, "NotImplemented"),
])
def test_what_is_asked_for_is_checked(raw, s3, bucket, headers, code):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    answer = raw.request("GET", "/%s/k" % bucket, [("attributes", "")], headers=headers)
    assert answer.status == (200 if code is None else 501 if code == "NotImplemented" else 400), answer.body
    assert code is None or ("<Code>%s</Code>" % code).encode() in answer.body


def test_a_missing_object_has_none(s3, bucket):
    with refused(404, "NoSuchKey"):
        s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL)
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with refused(404, "NoSuchVersion"):
        s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=ALL, VersionId="other")
