"""Multipart uploads at their edges: numbers, conditions, repetitions, races, restarts."""
import base64
import concurrent.futures
import hashlib
import random

import pytest

from raw_s3 import RawS3
from s3_expect import all_keys, refused

MIB = 1024 * 1024


class Upload:
    def __init__(self, s3, bucket, key="k", **arguments):
        self.s3 = s3
        self.name = {"Bucket": bucket, "Key": key, "UploadId": s3.create_multipart_upload(Bucket=bucket, Key=key, **arguments)["UploadId"]}
        self.parts = {}

    def part(self, number, body, **arguments):
        self.parts[number] = self.s3.upload_part(PartNumber=number, Body=body, **self.name, **arguments)["ETag"]

    def list(self):
        return {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in sorted(self.parts.items())]}

    def complete(self, **arguments):
        return self.s3.complete_multipart_upload(**{"MultipartUpload": self.list(), **self.name, **arguments})

    def abort(self):
        return self.s3.abort_multipart_upload(**self.name)


@pytest.fixture
def upload(s3, bucket):
    return Upload(s3, bucket)


@pytest.mark.parametrize("number", [0, 10001, -1])
def test_parts_are_numbered_from_1_to_10000(upload, number):
    with refused(400, "InvalidArgument"):
        upload.part(number, b"x")
    upload.part(1, b"first")
    upload.part(10000, b"last")
    assert [part["PartNumber"] for part in upload.s3.list_parts(**upload.name)["Parts"]] == [1, 10000]


def test_thousands_of_parts_are_listed_in_pages(daemon, s3, bucket):
    """UploadPartCopy of a small object: what counts here is their number."""
    many = Upload(s3, bucket)
    s3.put_object(Bucket=bucket, Key="from", Body=b"x")

    def copy(first):
        raw = RawS3(daemon)  # boto3 takes ten times as long for a request
        for number in range(first, 2501, 8):
            query = [("partNumber", str(number)), ("uploadId", many.name["UploadId"])]
            answer = raw.request("PUT", f"/{bucket}/k", query, {"x-amz-copy-source": f"{bucket}/from"})
            many.parts[number] = answer.root().findtext("ETag")
        raw.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(copy, range(1, 9)))
    listed = [part["PartNumber"] for page in s3.get_paginator("list_parts").paginate(**many.name) for part in page["Parts"]]
    assert listed == list(range(1, 2501))
    with refused(400, "EntityTooSmall"):
        many.complete()
    many.abort()
    assert all_keys(s3, bucket) == ["from"]


def test_an_upload_that_is_not_there(s3, bucket):
    name = {"Bucket": bucket, "Key": "k", "UploadId": "never-begun"}
    for call in (lambda: s3.upload_part(PartNumber=1, Body=b"x", **name), lambda: s3.list_parts(**name), lambda: s3.abort_multipart_upload(**name),
                 lambda: s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}, **name)):
        with refused(404, "NoSuchUpload"):
            call()


def test_an_upload_belongs_to_its_key(s3, bucket, upload):
    upload.part(1, b"x")
    with refused(404, "NoSuchUpload"):
        s3.upload_part(**{**upload.name, "Key": "other"}, PartNumber=1, Body=b"x")
    with refused(404, "NoSuchUpload"):
        upload.complete(Key="other")
    upload.complete()
    assert all_keys(s3, bucket) == ["k"]


def test_a_list_without_parts_is_refused(raw, upload, bucket):
    for body in (b"", b"<CompleteMultipartUpload/>", b"<CompleteMultipartUpload></CompleteMultipartUpload>", b"nonsense"):
        answer = raw.request("POST", "/%s/k" % bucket, {"uploadId": upload.name["UploadId"]}, body=body)
        assert answer.status == 400 and answer.code() in ("MalformedXML", "InvalidRequest", "MissingRequestBodyError")


def test_etags_may_come_without_quotes(upload, s3, bucket):
    upload.part(1, b"x")
    upload.complete(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": upload.parts[1].strip('"')}]})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_a_part_with_a_wrong_digest_is_not_kept(upload):
    wrong = base64.b64encode(hashlib.md5(b"else").digest()).decode()
    with refused(400, "BadDigest"):
        upload.part(1, b"x", ContentMD5=wrong)
    with refused(400, "BadDigest"):
        upload.part(1, b"x" * 3 * MIB, ChecksumSHA256=base64.b64encode(hashlib.sha256(b"else").digest()).decode())
    assert "Parts" not in upload.s3.list_parts(**upload.name)


def test_completing_again_gives_the_same_answer_while_the_object_stands(upload, s3, bucket):
    upload.part(1, b"x")
    first = upload.complete()
    assert upload.complete()["ETag"] == first["ETag"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    s3.put_object(Bucket=bucket, Key="k", Body=b"later")
    with refused(404, "NoSuchUpload"):
        upload.complete()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"later"


def test_many_who_complete_at_once_make_one_object(s3, bucket):
    body = random.Random(5).randbytes(5 * MIB)
    for turn in range(5):
        upload = Upload(s3, bucket, "k%d" % turn)
        upload.part(1, body)
        upload.part(2, b"end")

        def complete(_):
            try:
                return upload.complete()["ETag"]
            except s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] in ("NoSuchUpload", "OperationAborted", "ConditionalRequestConflict"), error
                return None

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            tags = {tag for tag in pool.map(complete, range(4)) if tag}
        assert len(tags) == 1
        assert s3.get_object(Bucket=bucket, Key="k%d" % turn)["Body"].read() == body + b"end"


def test_completing_and_aborting_at_once_end_in_one_of_both(s3, bucket):
    for turn in range(20):
        upload = Upload(s3, bucket, "k%d" % turn)
        upload.part(1, b"%d" % turn)

        def attempt(what):
            try:
                what()
                return True
            except s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] in ("NoSuchUpload", "OperationAborted"), error
                return False

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            completed, aborted = pool.map(attempt, (upload.complete, upload.abort))
        assert completed or aborted
        assert ("k%d" % turn in all_keys(s3, bucket)) == completed
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_conditions_are_judged_when_it_is_completed(s3, bucket):
    first, second = Upload(s3, bucket), Upload(s3, bucket)
    first.part(1, b"first")
    second.part(1, b"second")
    first.complete(IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        second.complete(IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"
    second.complete(IfMatch=s3.head_object(Bucket=bucket, Key="k")["ETag"])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_a_size_that_was_promised_is_checked(upload, s3, bucket):
    upload.part(1, b"12345")
    with refused(400):
        upload.complete(MpuObjectSize=6)
    assert all_keys(s3, bucket) == []
    upload.complete(MpuObjectSize=5)
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 5


def test_open_uploads_are_no_objects_and_go_with_their_abort(upload, s3, bucket):
    upload.part(1, b"x" * MIB)
    assert all_keys(s3, bucket) == []
    with refused(404):
        s3.head_object(Bucket=bucket, Key="k")
    upload.abort()
    s3.delete_bucket(Bucket=bucket)


def test_a_bucket_goes_with_its_open_uploads(upload, s3, bucket):
    upload.part(1, b"x" * 5 * MIB)
    s3.delete_bucket(Bucket=bucket)
    for call in (lambda: upload.part(2, b"y"), upload.complete, lambda: s3.list_parts(**upload.name)):
        with refused(404, "NoSuchBucket"):
            call()
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    with refused(404, "NoSuchUpload"):
        upload.complete()


def test_an_upload_overwrites_and_is_overwritten(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    upload = Upload(s3, bucket)
    upload.part(1, b"x" * 5 * MIB)
    upload.part(2, b"y")
    s3.put_object(Bucket=bucket, Key="k", Body=b"between")
    upload.complete()
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 5 * MIB + 1
    s3.put_object(Bucket=bucket, Key="k", Body=b"after")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"after"


def test_ranges_across_parts(s3, bucket):
    chance = random.Random(9)
    bodies = [chance.randbytes(size) for size in (5 * MIB, 5 * MIB + 1, 6 * MIB - 3, 100)]
    upload = Upload(s3, bucket)
    for number, body in enumerate(bodies, 1):
        upload.part(number, body)
    upload.complete()
    whole = b"".join(bodies)
    edges = [sum(map(len, bodies[:count])) for count in range(1, 4)]
    spans = [(edge - 1, edge) for edge in edges] + [(edge, edge) for edge in edges] + [(edges[0] - 1, edges[2] + 1), (0, len(whole) - 1)]
    spans += [tuple(sorted(chance.sample(range(len(whole)), 2))) for _ in range(10)]
    for first, last in spans:
        got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=%d-%d" % (first, last))
        assert got["Body"].read() == whole[first:last + 1]


def test_parts_are_read_by_number(s3, bucket):
    upload = Upload(s3, bucket)
    upload.part(3, b"a" * 5 * MIB)
    upload.part(7, b"b" * 10)
    upload.complete()
    head = s3.head_object(Bucket=bucket, Key="k", PartNumber=2)
    assert (head["PartsCount"], head["ContentLength"]) == (2, 10)
    assert s3.get_object(Bucket=bucket, Key="k", PartNumber=2)["Body"].read() == b"b" * 10
    with refused(400, "InvalidPart"):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=3)


def test_an_open_upload_survives_a_stop_and_a_kill(own_daemon):
    s3 = own_daemon.client()
    s3.create_bucket(Bucket="open")
    upload = Upload(s3, "open", Metadata={"a": "1"}, ContentType="text/x")
    body = random.Random(3).randbytes(5 * MIB)
    upload.part(1, body)
    assert own_daemon.stop() == 0
    upload.s3 = own_daemon.start().client()
    upload.part(2, b"after the stop")
    own_daemon.kill()
    s3 = upload.s3 = own_daemon.start().client()
    assert [part["PartNumber"] for part in s3.list_parts(**upload.name)["Parts"]] == [1, 2]
    upload.complete()
    own_daemon.kill()
    got = own_daemon.start().client().get_object(Bucket="open", Key="k")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body + b"after the stop", {"a": "1"}, "text/x")
