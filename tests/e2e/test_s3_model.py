"""Every operation and every header of the S3 that botocore knows is sent, once, twice and empty: what is not built is refused, never ignored."""
import base64
import hashlib
import urllib.parse

import botocore.serialize
import botocore.session
import pytest

from s3_expect import all_keys

# Built: what they do is seen in the other files.
BUILT = {
    "AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateBucket", "CreateMultipartUpload", "DeleteBucket", "DeleteBucketCors",
    "DeleteObject", "DeleteObjects", "GetBucketAcl", "GetBucketCors", "GetBucketLocation", "GetObject", "GetObjectAcl", "GetObjectAttributes", "HeadBucket", "HeadObject",
    "ListBuckets", "ListMultipartUploads", "ListObjectVersions", "ListObjects", "ListObjectsV2", "ListParts", "PutBucketAcl", "PutBucketCors",
    "PutObject", "PutObjectAcl", "UploadPart", "UploadPartCopy",
}
# Not built; their configuration reads as one that was never set (test_s3_buckets.py).
UNSET = {
    "GetBucketAccelerateConfiguration", "GetBucketAnalyticsConfiguration", "GetBucketEncryption", "GetBucketIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration", "GetBucketLifecycle", "GetBucketLifecycleConfiguration", "GetBucketLogging", "GetBucketMetricsConfiguration",
    "GetBucketNotification", "GetBucketNotificationConfiguration", "GetBucketOwnershipControls", "GetBucketPolicy", "GetBucketPolicyStatus",
    "GetBucketReplication", "GetBucketRequestPayment", "GetBucketTagging", "GetBucketVersioning", "GetBucketWebsite", "GetObjectLegalHold",
    "GetObjectLockConfiguration", "GetObjectRetention", "GetObjectTagging", "GetPublicAccessBlock", "ListBucketAnalyticsConfigurations",
    "ListBucketIntelligentTieringConfigurations", "ListBucketInventoryConfigurations", "ListBucketMetricsConfigurations",
}
# That a bucket has no object lock is an error of who asks about an object's.
UNLOCKED = {"GetObjectLegalHold", "GetObjectRetention"}
# Not for an endpoint like ours: botocore sends them elsewhere.
ELSEWHERE = {"ListDirectoryBuckets", "WriteGetObjectResponse"}

MODEL = botocore.session.get_session().get_service_model("s3")
UNBUILT = sorted(set(MODEL.operation_names) - BUILT - UNSET - ELSEWHERE)
# Headers whose effect other tests see; those of a name ending in * by their beginning.
COMMON = {"x-amz-expected-bucket-owner", "content-length"}
CHECKSUMS = {"x-amz-sdk-checksum-algorithm", "x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1",
             "x-amz-checksum-sha256", "content-md5"}
OBJECT = {"x-amz-acl", "x-amz-storage-class", "x-amz-meta-", "cache-control", "content-disposition", "content-encoding", "content-language", "content-type",
          "expires"}
SOURCE = {"x-amz-copy-source", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match", "x-amz-copy-source-if-modified-since",
          "x-amz-copy-source-if-unmodified-since", "x-amz-source-expected-bucket-owner"}
READ_CONDITIONS = {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range", "x-amz-checksum-mode"}
WRITE_CONDITIONS = {"if-match", "if-none-match"}
HEADERS = {
    "PutObject": CHECKSUMS | OBJECT | WRITE_CONDITIONS,
    "GetObject": READ_CONDITIONS,
    "HeadObject": READ_CONDITIONS,
    "GetObjectAttributes": {"x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"},
    "CopyObject": OBJECT | SOURCE | WRITE_CONDITIONS | {"x-amz-metadata-directive", "x-amz-checksum-algorithm", "x-amz-tagging-directive"},
    "DeleteObject": {"if-match"},
    "DeleteObjects": CHECKSUMS,
    "CreateBucket": {"x-amz-acl"},
    "PutBucketAcl": CHECKSUMS | {"x-amz-acl"},
    "PutObjectAcl": CHECKSUMS | {"x-amz-acl"},
    "PutBucketCors": CHECKSUMS,
    "CreateMultipartUpload": OBJECT | {"x-amz-checksum-algorithm", "x-amz-checksum-type"},
    "UploadPart": CHECKSUMS,
    "UploadPartCopy": SOURCE | {"x-amz-copy-source-range"},
    "CompleteMultipartUpload": CHECKSUMS | WRITE_CONDITIONS | {"x-amz-checksum-type", "x-amz-mp-object-size"},
}
# Kept to by doing nothing: wishes about the answer's form, and leave to go past locks, of which there are none.
HARMLESS = {"x-amz-optional-object-attributes", "x-amz-bypass-governance-retention"}


def sample(shape):
    """The smallest value that botocore takes for a shape."""
    if shape.type_name == "structure" and shape.is_tagged_union:
        name, member = next(iter(shape.members.items()))
        return {name: sample(member)}
    if shape.type_name == "structure":
        return {member: sample(shape.members[member]) for member in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member)]
    if shape.type_name == "map":
        return {"a": "1"}
    if getattr(shape, "enum", None):
        return shape.enum[0]
    if shape.type_name == "string":
        return "x" * max(1, shape.metadata.get("min", 1))
    return {"integer": 1, "long": 1, "boolean": True, "timestamp": 0, "blob": b"x", "double": 1.0, "float": 1.0}[shape.type_name]


def parameters_of(operation, bucket):
    shape = MODEL.operation_model(operation).input_shape
    if shape is None:
        return {}
    parameters = sample(shape)
    if "Bucket" in shape.members:
        parameters["Bucket"] = bucket
    if "Key" in shape.members:
        parameters["Key"] = "k"
    return parameters


def call(s3, operation, parameters):
    """(status, code) of the answer."""
    method = {value: key for key, value in s3.meta.method_to_api_mapping.items()}[operation]
    try:
        answer = getattr(s3, method)(**parameters)
        return answer["ResponseMetadata"]["HTTPStatusCode"], ""
    except s3.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


def test_the_lists_here_name_what_botocore_has():
    assert BUILT | UNSET <= set(MODEL.operation_names) | {"GetBucketLifecycle", "GetBucketNotification"}
    assert not BUILT & UNSET


@pytest.mark.parametrize("operation", UNBUILT)
def test_an_operation_that_is_not_built_is_refused_and_changes_nothing(s3, bucket, operation):
    s3.put_object(Bucket=bucket, Key="k", Body=b"stays")
    assert call(s3, operation, parameters_of(operation, bucket)) == (501, "NotImplemented")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"stays"
    assert all_keys(s3, bucket) == ["k"]


@pytest.mark.parametrize("operation", sorted(UNSET & set(MODEL.operation_names)))
def test_what_was_never_set_reads_as_that(s3, bucket, operation):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    status, code = call(s3, operation, parameters_of(operation, bucket))
    if operation in UNLOCKED:
        assert (status, code) == (400, "InvalidRequest")
    else:
        assert status == 200 or (status == 404 and code not in ("NoSuchKey", "NoSuchBucket", "404"))


def unbuilt_headers(operation):
    """(member of the input, header) of all that this operation does not know here."""
    shape = MODEL.operation_model(operation).input_shape
    known = HEADERS.get(operation, set()) | COMMON | HARMLESS
    for name, member in (shape.members if shape else {}).items():
        header = member.serialization.get("name", "").lower()
        if member.serialization.get("location") in ("header", "headers") and header not in known:
            yield name, header


@pytest.fixture
def upload(s3, bucket):
    """An upload of one part, and an object to copy."""
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    tag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"part")["ETag"]
    s3.put_object(Bucket=bucket, Key="source", Body=b"source")
    return {"UploadId": upload_id, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": tag}]}, "PartNumber": 2, "Body": b"new",
            "CopySource": bucket + "/source"}


@pytest.mark.parametrize("operation", [operation for operation in sorted(BUILT) if any(unbuilt_headers(operation))])
def test_headers_that_are_not_built_are_refused_and_the_call_does_nothing(s3, bucket, bucket_name, upload, operation):
    shape = MODEL.operation_model(operation).input_shape
    parameters = parameters_of(operation, bucket)
    parameters.update({name: value for name, value in upload.items() if name in shape.members})
    if operation in ("GetObject", "GetObjectAttributes", "HeadObject", "DeleteObject", "GetObjectAcl", "PutObjectAcl"):
        parameters["Key"] = "source"
    if operation == "DeleteObjects":
        parameters["Delete"] = {"Objects": [{"Key": "source"}]}
    if operation in ("PutObjectAcl", "PutBucketAcl"):
        parameters["ACL"] = "public-read"
    if operation == "CreateBucket":
        parameters["Bucket"] = bucket_name + "-new"
    wanted = (501, "501" if operation.startswith("Head") else "NotImplemented")
    for member, header in unbuilt_headers(operation):
        # A customer's key must look like one: botocore computes the MD5 that belongs to it.
        value = "0" * 32 if member.endswith("SSECustomerKey") else sample(shape.members[member])
        assert call(s3, operation, {**parameters, member: value}) == wanted, header
        assert_untouched(s3, bucket, upload)
    assert bucket_name + "-new" not in [item["Name"] for item in s3.list_buckets()["Buckets"]]


def assert_untouched(s3, bucket, upload):
    assert all_keys(s3, bucket) == ["source"]
    assert [item["UploadId"] for item in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload["UploadId"]]
    assert [part["PartNumber"] for part in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload["UploadId"])["Parts"]] == [1]
    assert len(s3.get_object_acl(Bucket=bucket, Key="source")["Grants"]) == len(s3.get_bucket_acl(Bucket=bucket)["Grants"]) == 1


# --- headers that come twice, or without a value

# Joined: that all of their values count is seen in test_s3_repeats.py. What is not built of them is refused as when it comes once.
LISTS = {"if-match", "if-none-match", "cache-control", "content-encoding", "content-language", "x-amz-meta-", "x-amz-object-attributes",
         "x-amz-optional-object-attributes"}
# HTTP's own, whose rules for them are tested with the others of HTTP.
FRAMING = {"content-length"}
# What no value means. Of dates and ranges that cannot be read, RFC 9110 (13.1.3, 13.1.4, 14.2) wants them ignored; the others say nothing when they are empty.
EMPTY_IS_NONE = {"if-modified-since", "if-unmodified-since", "range", "x-amz-checksum-mode"} | HARMLESS
# None of no tags matches: the condition holds (test_s3_conditions.py).
EMPTY_IS_LIST = {"if-none-match", "x-amz-copy-source-if-none-match"}
# An empty property is a property: of an object's own headers, what is kept is what was sent.
EMPTY_IS_KEPT = OBJECT - {"x-amz-acl", "x-amz-storage-class"}


def header_members(operation):
    """(header, its member's shape) of all that this operation has."""
    shape = MODEL.operation_model(operation).input_shape
    for member in shape.members.values() if shape else ():
        if member.serialization.get("location") in ("header", "headers"):
            yield member.serialization["name"].lower(), member


def as_text(shape):
    value = sample(shape)
    if shape.type_name == "timestamp":
        return "Thu, 01 Jan 1970 00:00:00 GMT"
    if shape.type_name in ("list", "map"):
        return "x"
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


@pytest.fixture
def send(raw, s3, bucket, bucket_name, upload):
    """send(operation, headers): the least that the operation needs, and these headers."""
    def send_one(operation, headers):
        model = MODEL.operation_model(operation)
        members = model.input_shape.members if model.input_shape else {}
        parameters = parameters_of(operation, bucket)
        parameters.update({name: value for name, value in upload.items() if name in members})
        if operation in ("GetObject", "GetObjectAttributes", "HeadObject", "DeleteObject", "GetObjectAcl", "PutObjectAcl"):
            parameters["Key"] = "source"
        if operation in ("DeleteObjects", "PutBucketCors"):
            parameters.update({"DeleteObjects": {"Delete": {"Objects": [{"Key": "source"}]}},
                               "PutBucketCors": {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}}}[operation])
        if operation in ("PutObjectAcl", "PutBucketAcl"):
            parameters["ACL"] = "private"
        if operation == "CreateBucket":
            parameters["Bucket"] = bucket_name + "-new"
        made = botocore.serialize.create_serializer("rest-xml").serialize_to_request(parameters, model)
        path, _, query = made["url_path"].partition("?")
        start = "/" + parameters["Bucket"] if "Bucket" in parameters else ""
        if not path.startswith(start):
            path = start + path
        query = urllib.parse.parse_qsl(query, keep_blank_values=True) + [(name, str(value)) for name, value in made["query_string"].items()]
        body = made["body"] or b""
        if operation in ("DeleteObjects", "PutBucketCors"):
            made["headers"]["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        given = {name.lower(): str(value) for name, value in dict(made["headers"], **headers).items() if not isinstance(value, list)}
        given.update({name: value for name, value in headers.items() if isinstance(value, list)})
        return raw.request(made["method"], urllib.parse.unquote(path), query, given, body)

    return send_one


def assert_refused(answer, operation, header, wanted):
    assert (answer.status, answer.code()) == (wanted[0], "" if operation.startswith("Head") else wanted[1]), header


@pytest.mark.parametrize("operation", sorted(BUILT))
def test_a_header_that_comes_twice_is_refused_unless_it_is_a_list(s3, bucket, upload, send, operation):
    for header, member in header_members(operation):
        if header in LISTS | FRAMING:
            continue
        assert_refused(send(operation, {header: [as_text(member)] * 2}), operation, header, (400, "InvalidRequest"))
    assert_untouched(s3, bucket, upload)


@pytest.mark.parametrize("operation", sorted(BUILT))
def test_a_header_without_a_value_is_refused_unless_that_says_something(s3, bucket, upload, send, operation):
    for header, _ in header_members(operation):
        known = HEADERS.get(operation, set()) | COMMON | HARMLESS
        if header in FRAMING | EMPTY_IS_NONE | EMPTY_IS_LIST or (header in EMPTY_IS_KEPT and header in known):
            continue
        answer = send(operation, {header: ""})
        if header in known:
            assert 400 <= answer.status < 500, (header, answer)
        else:
            assert_refused(answer, operation, header, (501, "NotImplemented"))
    assert_untouched(s3, bucket, upload)
