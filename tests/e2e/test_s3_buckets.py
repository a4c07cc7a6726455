"""Buckets: created, listed, looked at, removed; names; configurations that were never set."""
import datetime
import xml.etree.ElementTree

import pytest

from s3_expect import refused

NO_CONFIGURATION = [
    ("get_bucket_policy", "NoSuchBucketPolicy"),
    ("get_bucket_policy_status", "NoSuchBucketPolicy"),
    ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
    ("get_bucket_tagging", "NoSuchTagSet"),
    ("get_bucket_website", "NoSuchWebsiteConfiguration"),
    ("get_bucket_cors", "NoSuchCORSConfiguration"),
    ("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"),
    ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
    ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
    ("get_public_access_block", "NoSuchPublicAccessBlockConfiguration"),
    ("get_bucket_ownership_controls", "OwnershipControlsNotFoundError"),
]


def names(s3):
    return [item["Name"] for item in s3.list_buckets()["Buckets"]]


def test_a_created_bucket_is_listed_until_it_is_deleted(s3, bucket_name):
    assert bucket_name not in names(s3)
    assert s3.create_bucket(Bucket=bucket_name)["Location"] == "/" + bucket_name
    listed = {item["Name"]: item for item in s3.list_buckets()["Buckets"]}
    age = datetime.datetime.now(datetime.timezone.utc) - listed[bucket_name]["CreationDate"]
    assert abs(age) < datetime.timedelta(minutes=5)
    assert s3.head_bucket(Bucket=bucket_name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.delete_bucket(Bucket=bucket_name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert bucket_name not in names(s3)
    with refused(404, "404"):
        s3.head_bucket(Bucket=bucket_name)


def test_buckets_are_listed_by_name(s3, bucket_name):
    mine = [bucket_name + suffix for suffix in ("-c", "-a", "-b")]
    for name in mine:
        s3.create_bucket(Bucket=name)
    assert [name for name in names(s3) if name.startswith(bucket_name)] == sorted(mine)


def test_list_buckets_gives_pages_and_takes_a_prefix(s3, bucket_name):
    mine = ["%s-%d" % (bucket_name, number) for number in range(5)]
    for name in mine:
        s3.create_bucket(Bucket=name)
    seen, token, pages = [], {}, 0
    while True:
        page = s3.list_buckets(MaxBuckets=2, Prefix=bucket_name, **token)
        assert len(page["Buckets"]) <= 2
        seen += [item["Name"] for item in page["Buckets"]]
        pages += 1
        if "ContinuationToken" not in page:
            break
        token = {"ContinuationToken": page["ContinuationToken"]}
    assert (seen, pages) == (mine, 3)


def test_creating_ones_own_bucket_again_keeps_what_is_in_it(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"content")
    s3.create_bucket(Bucket=bucket)  # 200, as in us-east-1
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"content"


def test_the_first_region_has_no_name_in_locations(s3, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_another_location_is_refused(s3, bucket_name):
    with refused(400, "InvalidLocationConstraint") as caught:
        s3.create_bucket(Bucket=bucket_name, CreateBucketConfiguration={"LocationConstraint": "mars-north-7"})
    assert "is mars-north-7, and this store's region is us-east-1" in str(caught.value)
    assert bucket_name not in names(s3)


def test_a_bucket_that_holds_an_object_is_not_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/b", Body=b"")
    with refused(409, "BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="a/b")
    s3.delete_bucket(Bucket=bucket)
    with refused(404, "NoSuchBucket"):
        s3.list_objects_v2(Bucket=bucket)


def test_a_bucket_that_is_made_again_is_empty(s3, bucket):
    s3.put_object(Bucket=bucket, Key="old", Body=b"old")
    s3.delete_object(Bucket=bucket, Key="old")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="old")


@pytest.mark.parametrize("call, parameters", [
    ("list_objects", {}), ("list_objects_v2", {}), ("get_object", {"Key": "k"}), ("put_object", {"Key": "k"}), ("delete_object", {"Key": "k"}),
    ("delete_bucket", {}), ("get_bucket_location", {}), ("get_bucket_acl", {}), ("get_bucket_versioning", {}), ("list_object_versions", {}),
    ("delete_objects", {"Delete": {"Objects": [{"Key": "k"}]}}), ("list_multipart_uploads", {}), ("create_multipart_upload", {"Key": "k"}),
    ("copy_object", {"Key": "k", "CopySource": "no-such-bucket-either/k"}),
])
def test_every_operation_on_a_missing_bucket_answers_no_such_bucket(s3, bucket_name, call, parameters):
    with refused(404, "NoSuchBucket"):
        getattr(s3, call)(Bucket=bucket_name, **parameters)


@pytest.mark.parametrize("name", ["ab", "a" * 64, "Upper", "under_score", "-begins", "ends-", "two..dots", "192.168.1.1", "has space",
                                  "\u00fcmlaut"])
def test_names_that_are_no_bucket_names_are_refused(raw, name):
    answer = raw.request("PUT", "/" + name)
    assert (answer.status, answer.code()) == (400, "InvalidBucketName")
    assert b"3 to 63 lower-case letters, digits, dots and hyphens" in answer.body


@pytest.mark.parametrize("name", ["abc", "a" * 63, "0.dots.and-hyphens.9"])
def test_names_at_the_edges_are_bucket_names(raw, name):
    assert raw.request("PUT", "/" + name).status == 200
    assert raw.request("HEAD", "/" + name).status == 200
    assert raw.request("DELETE", "/" + name).status == 204


@pytest.mark.parametrize("call, code", NO_CONFIGURATION)
def test_a_configuration_that_was_never_set_is_said_to_be_missing(s3, bucket, call, code):
    with refused(404, code):
        getattr(s3, call)(Bucket=bucket)


@pytest.mark.parametrize("kind", ["analytics", "intelligent_tiering", "inventory", "metrics"])
def test_configurations_with_an_id_that_were_never_set(s3, bucket, kind):
    listed = getattr(s3, "list_bucket_%s_configurations" % kind)(Bucket=bucket)
    listed.pop("ResponseMetadata")
    assert listed == {"IsTruncated": False}
    with refused(404, "NoSuchConfiguration"):
        getattr(s3, "get_bucket_%s_configuration" % kind)(Bucket=bucket, Id="one")


@pytest.mark.parametrize("call", ["get_object_retention", "get_object_legal_hold"])
def test_an_object_of_a_bucket_without_object_lock(s3, raw, bucket, call):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with refused(400, "InvalidRequest"):
        getattr(s3, call)(Bucket=bucket, Key="k")
    with refused(404, "NoSuchKey"):
        getattr(s3, call)(Bucket=bucket, Key="none")
    answer = raw.request("GET", "/%s/k" % bucket, query={call[len("get_object_"):].replace("_", "-"): ""}, anonymous=True)
    assert (answer.status, answer.code()) == (403, "AccessDenied")


def test_configurations_that_are_empty_documents(s3, bucket):
    for call in ("get_bucket_versioning", "get_bucket_logging", "get_bucket_accelerate_configuration", "get_bucket_notification_configuration"):
        answer = getattr(s3, call)(Bucket=bucket)
        answer.pop("ResponseMetadata")
        assert answer == {}, call
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"


def test_a_new_bucket_is_its_owners_only(s3, bucket):
    acl = s3.get_bucket_acl(Bucket=bucket)
    assert [(grant["Grantee"]["ID"], grant["Permission"]) for grant in acl["Grants"]] == [(acl["Owner"]["ID"], "FULL_CONTROL")]
    assert acl["Owner"]["ID"] == s3.list_buckets()["Owner"]["ID"]


def test_errors_are_xml_that_names_the_resource_and_the_request(raw, bucket_name):
    answer = raw.request("GET", "/" + bucket_name)
    assert answer.headers["Content-Type"] == "application/xml"
    root = xml.etree.ElementTree.fromstring(answer.body)
    assert root.tag == "Error"
    assert root.findtext("Code") == "NoSuchBucket" and root.findtext("Message") and root.findtext("Resource")
    assert root.findtext("RequestId") and root.findtext("RequestId") == answer.headers["x-amz-request-id"]


def test_virtual_host_style_names_the_bucket_in_the_host(raw, s3, bucket):
    host = "%s.localhost:%d" % (bucket, raw.port)
    assert raw.request("PUT", "/in/host", headers={"host": host}, body=b"virtual").status == 200
    assert raw.request("GET", "/in/host", headers={"host": host}).body == b"virtual"
    assert s3.get_object(Bucket=bucket, Key="in/host")["Body"].read() == b"virtual"


@pytest.mark.parametrize("form", ["%s.LocalHost:%d", "%s.localhost.:%d"])
def test_hosts_have_no_case_and_may_end_in_a_dot(raw, s3, bucket, form):
    s3.put_object(Bucket=bucket, Key="k", Body=b"virtual")
    assert raw.request("GET", "/k", headers={"host": form % (bucket.upper(), raw.port)}).body == b"virtual"
