"""Checksums of multipart uploads: of parts that come without one, or with another's, and of the whole as the client has it."""
import base64
import hashlib

import pytest

from raw_s3 import crc32_base64
from s3_expect import all_keys, refused

BODY = bytes(range(256)) * 100


def sha256(body):
    return hashlib.sha256(body).digest()


def text(digest):
    return base64.b64encode(digest).decode()


class Upload:
    """Of one part, BODY."""

    def __init__(self, s3, bucket, **arguments):
        self.s3 = s3
        self.name = {"Bucket": bucket, "Key": "k", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="k", **arguments)["UploadId"]}
        self.algorithm = {"ChecksumAlgorithm": arguments["ChecksumAlgorithm"]} if "ChecksumAlgorithm" in arguments else {}

    tells_checksums = True  # of the parts, when it is completed

    def part(self, **arguments):
        return self.s3.upload_part(PartNumber=1, Body=BODY, **{**self.algorithm, **self.name, **arguments})

    def parts(self):
        return self.s3.list_parts(**self.name).get("Parts", [])

    def complete(self, **arguments):
        fields = ["PartNumber", "ETag"] + (["Checksum" + algorithm for algorithm in self.algorithm.values()] if self.tells_checksums else [])
        parts = [{field: part[field] for field in fields} for part in self.parts()]
        return self.s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **self.name, **arguments)


def test_a_part_without_a_checksum_gets_one_of_the_uploads_kind(s3, raw, bucket):
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    answer = raw.request("PUT", "/%s/k" % bucket, query={"uploadId": upload.name["UploadId"], "partNumber": "1"}, body=BODY)
    assert (answer.status, answer.headers["x-amz-checksum-sha256"]) == (200, text(sha256(BODY)))
    assert upload.parts()[0]["ChecksumSHA256"] == text(sha256(BODY))
    assert upload.complete()["ChecksumSHA256"] == text(sha256(sha256(BODY))) + "-1"


@pytest.mark.parametrize("tells", [False, True])
def test_the_parts_checksums_may_be_told_again_at_the_end(s3, bucket, tells):
    """Amazon wants them of a composite upload; ceph's suite leaves them out."""
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    upload.part()
    upload.tells_checksums = tells
    assert upload.complete()["ChecksumSHA256"] == text(sha256(sha256(BODY))) + "-1"


@pytest.mark.parametrize("algorithm, compute", [("SHA256", lambda body: text(sha256(body))), ("CRC32", crc32_base64)])
def test_a_part_that_is_copied_gets_one_too(s3, bucket, algorithm, compute):
    s3.put_object(Bucket=bucket, Key="from", Body=b"<" + BODY + b">")
    upload = Upload(s3, bucket, ChecksumAlgorithm=algorithm)
    copied = s3.upload_part_copy(PartNumber=1, CopySource=bucket + "/from", CopySourceRange="bytes=1-%d" % len(BODY), **upload.name)["CopyPartResult"]
    listed = upload.parts()[0]
    field = "Checksum" + algorithm
    assert copied[field] == listed[field] == compute(BODY)
    assert (copied["ETag"], copied["LastModified"]) == (listed["ETag"], listed["LastModified"])
    assert upload.complete()[field].endswith("-1")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == BODY


def test_a_part_with_a_checksum_of_another_kind_is_refused(s3, bucket):
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    with refused(400, "InvalidRequest"):
        upload.part(ChecksumAlgorithm="CRC32")
    assert upload.parts() == []


@pytest.mark.parametrize("claim", ["bad", "", "-1", "RIGHT-2", "RIGHT-0", "RIGHT-", "RIGHT-a", "PART-1"])
def test_a_wrong_checksum_of_the_whole_completes_nothing(s3, bucket, claim):
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    upload.part()
    right = text(sha256(sha256(BODY)))
    with refused(400, "BadDigest"):
        upload.complete(ChecksumSHA256=claim.replace("RIGHT", right).replace("PART", text(sha256(BODY))))
    with refused(400, "BadDigest"):
        upload.complete(ChecksumCRC32=crc32_base64(BODY))
    assert all_keys(s3, bucket) == []
    assert upload.complete(ChecksumSHA256=right)["ChecksumSHA256"] == right + "-1"


def test_the_right_checksum_of_the_whole_may_say_how_many_parts_there_are(s3, bucket):
    right = text(sha256(sha256(BODY))) + "-1"
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    upload.part()
    tag = upload.parts()[0]["ETag"]
    assert upload.complete(ChecksumSHA256=right, ChecksumType="COMPOSITE")["ChecksumSHA256"] == right
    again = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": tag}]}, **upload.name}
    assert s3.complete_multipart_upload(ChecksumSHA256=right, **again)["ChecksumSHA256"] == right
    for other in ({"ChecksumSHA256": text(sha256(BODY))}, {"ChecksumSHA256": right[:-1] + "2"}, {"ChecksumType": "FULL_OBJECT"}):
        with refused(404, "NoSuchUpload"):
            s3.complete_multipart_upload(**again, **other)


@pytest.mark.parametrize("created, completed", [("COMPOSITE", "FULL_OBJECT"), ("FULL_OBJECT", "COMPOSITE")])
def test_a_completion_with_another_type_than_the_creation_is_refused(s3, bucket, created, completed):
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType=created)
    upload.part()
    with refused(400, "InvalidRequest"):
        upload.complete(ChecksumType=completed)
    with refused(400, "InvalidRequest"):
        upload.complete(ChecksumType="ELSE")
    assert all_keys(s3, bucket) == []
    assert upload.complete(ChecksumType=created)["ChecksumType"] == created


def test_a_checksum_that_is_first_told_at_the_end_is_verified_if_the_parts_have_it(s3, bucket):
    upload = Upload(s3, bucket)
    upload.part(ChecksumAlgorithm="CRC32")
    with refused(400, "BadDigest"):
        upload.complete(ChecksumCRC32=crc32_base64(b"else"))
    for other in ({"ChecksumCRC32C": crc32_base64(BODY)}, {"ChecksumSHA256": text(sha256(BODY))}, {"ChecksumType": "FULL_OBJECT"}):
        with refused(400, "InvalidRequest"):
            upload.complete(**other)
    assert all_keys(s3, bucket) == []
    upload.complete(ChecksumCRC32=crc32_base64(BODY), ChecksumType="FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (crc32_base64(BODY), "FULL_OBJECT")
