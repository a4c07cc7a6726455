"""Multipart uploads through boto3."""
import hashlib
import os

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

MIB = 1024 * 1024


def code(error):
    return error.value.response["Error"]["Code"]


def upload(s3, bucket, key, parts, **arguments):
    made = s3.create_multipart_upload(Bucket=bucket, Key=key, **arguments)
    done = []
    for number, body in parts:
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=made["UploadId"], PartNumber=number, Body=body)
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    return made["UploadId"], done


def test_parts_become_one_object(s3, bucket):
    parts = [(1, os.urandom(5 * MIB)), (2, os.urandom(6 * MIB + 1)), (7, os.urandom(100))]
    upload_id, done = upload(s3, bucket, "dir/k", parts, Metadata={"a": "b"}, ContentType="text/x")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    answer = s3.complete_multipart_upload(Bucket=bucket, Key="dir/k", UploadId=upload_id, MultipartUpload={"Parts": done})
    body = b"".join(b for _, b in parts)
    sums = b"".join(hashlib.md5(b).digest() for _, b in parts)
    assert answer["ETag"] == f'"{hashlib.md5(sums).hexdigest()}-3"'
    got = s3.get_object(Bucket=bucket, Key="dir/k")
    assert got["Body"].read() == body
    assert (got["Metadata"], got["ContentType"]) == ({"a": "b"}, "text/x")
    edge = 5 * MIB - 10
    assert s3.get_object(Bucket=bucket, Key="dir/k", Range=f"bytes={edge}-{edge + 99}")["Body"].read() == body[edge:edge + 100]
    part = s3.get_object(Bucket=bucket, Key="dir/k", PartNumber=2)
    assert part["Body"].read() == parts[1][1]
    assert part["PartsCount"] == 3
    with pytest.raises(ClientError) as error:
        s3.list_parts(Bucket=bucket, Key="dir/k", UploadId=upload_id)
    assert code(error) == "NoSuchUpload"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/dir/k")
    s3.delete_object(Bucket=bucket, Key="dir/k")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body


def test_lists_that_do_not_hold_are_refused_and_the_upload_goes_on(s3, bucket):
    upload_id, done = upload(s3, bucket, "k", [(1, b"x" * 5 * MIB), (2, b"y" * MIB), (3, b"z")])

    def complete(parts):
        return s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": parts})

    for parts, want in (([done[1], done[0]], "InvalidPartOrder"), ([done[0], {"PartNumber": 9, "ETag": done[0]["ETag"]}], "InvalidPart"),
                        ([{"PartNumber": 1, "ETag": done[1]["ETag"]}], "InvalidPart"), (done, "EntityTooSmall")):
        with pytest.raises(ClientError) as error:
            complete(parts)
        assert code(error) == want
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=3, Body=b"another")
    complete(done[:2])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x" * 5 * MIB + b"y" * MIB


def test_part_is_replaced_by_a_later_one(s3, bucket):
    upload_id, _ = upload(s3, bucket, "k", [(1, b"first")])
    tag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"second")["ETag"]
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_abort_forgets_the_upload(s3, bucket):
    upload_id, done = upload(s3, bucket, "k", [(1, b"first")])
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id)
    for call in (lambda: s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=2, Body=b""),
                 lambda: s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": done}),
                 lambda: s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id)):
        with pytest.raises(ClientError) as error:
            call()
        assert code(error) == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


def test_parts_and_uploads_are_listed(s3, bucket):
    upload_id, done = upload(s3, bucket, "a/k", [(n, bytes([n])) for n in range(1, 8)])
    others = [s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("a/k", "b/1", "b/2", "c")]
    pages, marker = [], 0
    while True:
        page = s3.list_parts(Bucket=bucket, Key="a/k", UploadId=upload_id, MaxParts=3, PartNumberMarker=marker)
        pages += [(p["PartNumber"], p["Size"], p["ETag"]) for p in page["Parts"]]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
    assert pages == [(d["PartNumber"], 1, d["ETag"]) for d in done]
    found, markers = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **markers)
        found += [(u["Key"], u["UploadId"]) for u in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert found == [("a/k", upload_id), ("a/k", others[0]), ("b/1", others[1]), ("b/2", others[2]), ("c", others[3])]
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in page["CommonPrefixes"]] == ["a/", "b/"]
    assert [u["Key"] for u in page["Uploads"]] == ["c"]


def test_part_is_copied_from_a_range(s3, bucket):
    body = os.urandom(6 * MIB)
    s3.put_object(Bucket=bucket, Key="from", Body=body)
    upload_id, _ = upload(s3, bucket, "to", [])
    tags = []
    for number, text in ((1, f"bytes=0-{5 * MIB - 1}"), (2, f"bytes={5 * MIB}-{6 * MIB - 1}")):
        answer = s3.upload_part_copy(Bucket=bucket, Key="to", UploadId=upload_id, PartNumber=number, CopySource=f"{bucket}/from", CopySourceRange=text)
        tags.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="to", UploadId=upload_id, MultipartUpload={"Parts": tags})
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == body


@pytest.mark.parametrize("algorithm, kind", [("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE"), ("CRC32C", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT")])
def test_checksums_of_uploads(s3, bucket, algorithm, kind):
    parts = [os.urandom(5 * MIB), os.urandom(77)]
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    done = []
    for number, body in enumerate(parts, 1):
        answer = s3.upload_part(Bucket=bucket, Key="k", UploadId=made["UploadId"], PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        done.append({"PartNumber": number, "ETag": answer["ETag"], f"Checksum{algorithm}": answer[f"Checksum{algorithm}"]})
    answer = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=made["UploadId"], MultipartUpload={"Parts": done})
    s3.put_object(Bucket=bucket, Key="whole", Body=b"".join(parts), ChecksumAlgorithm=algorithm)
    whole = s3.head_object(Bucket=bucket, Key="whole", ChecksumMode="ENABLED")[f"Checksum{algorithm}"]
    if kind == "FULL_OBJECT":
        assert answer[f"Checksum{algorithm}"] == whole
    else:
        assert answer[f"Checksum{algorithm}"].endswith("-2")
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == b"".join(parts)


def test_transfer_manager_with_many_parts(s3, bucket, tmp_path):
    body = os.urandom(40 * MIB + 5)
    path = tmp_path / "file"
    path.write_bytes(body)
    s3.upload_file(str(path), bucket, "k", Config=TransferConfig(multipart_threshold=MIB, multipart_chunksize=5 * MIB, max_concurrency=4))
    s3.download_file(bucket, "k", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == body


def test_completing_again_answers_as_the_first_time(s3, bucket):
    """What a client does whose answer was lost. Once the object is another, the upload is gone."""
    upload_id, done = upload(s3, bucket, "k", [(1, b"part")])
    name = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    first = s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **name)
    assert s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **name)["ETag"] == first["ETag"]
    other = [{"PartNumber": 1, "ETag": hashlib.md5(b"other").hexdigest()}]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(MultipartUpload={"Parts": other}, **name)
    assert code(error) == "NoSuchUpload"
    s3.put_object(Bucket=bucket, Key="k", Body=b"part")
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **name)
    assert code(error) == "NoSuchUpload"
