"""ListMultipartUploads and ListParts, compared with what the Amazon S3 API reference says of them."""
import pytest

from s3_expect import refused


def begin(s3, bucket, *keys):
    """[(key, id)] in the order in which they are listed: by key, then by age."""
    made = [(key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in keys]
    return [made[at] for at in sorted(range(len(made)), key=lambda at: (made[at][0].encode(), at))]


def shown(page):
    return [(item["Key"], item["UploadId"]) for item in page.get("Uploads", [])], [item["Prefix"] for item in page.get("CommonPrefixes", [])]


def expected(uploads, prefix="", delimiter="", after=("", None)):
    """What is behind `after`, whole: markers are judged by key, what begins with a common prefix is one entry."""
    keys, prefixes = [], []
    for key, upload_id in uploads:
        behind = key.encode() > after[0].encode() or (key == after[0] and after[1] is not None and upload_id > after[1])
        if not key.startswith(prefix) or not behind:
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        if at < 0:
            keys.append((key, upload_id))
        elif key[:at + len(delimiter)] not in prefixes + [after[0]]:
            prefixes.append(key[:at + len(delimiter)])
    return keys, prefixes


def test_pages_of_any_size_hold_each_upload_once(s3, bucket):
    uploads = begin(s3, bucket, "b", "a", "b", "dir/1", "dir/2", "dir/sub/1", "e", "b", "dir", "\u00e9/1", "\u00e9/1")
    for prefix in ("", "dir", "dir/", "b", "none"):
        for delimiter in ("", "/", "r/"):
            for size in (1, 2, 3, 1000):
                seen, markers = ([], []), {}
                while True:
                    page = s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix, Delimiter=delimiter, MaxUploads=size, **markers)
                    for all_of, new in zip(seen, shown(page)):
                        all_of += new
                    assert page["MaxUploads"] == size and page["KeyMarker"] == markers.get("KeyMarker", "")
                    if not page["IsTruncated"]:
                        assert "NextKeyMarker" not in page
                        break
                    assert sum(map(len, shown(page))) == size
                    markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}
                assert seen == expected(uploads, prefix, delimiter), (prefix, delimiter, size)


def test_markers_may_be_any_text(s3, bucket):
    uploads = begin(s3, bucket, "a", "b", "b", "b", "c/1", "c/2", "d")
    ids = [upload_id for key, upload_id in uploads if key == "b"]

    def after(key, upload_id=None, delimiter=""):
        marker = {} if upload_id is None else {"UploadIdMarker": upload_id}
        return shown(s3.list_multipart_uploads(Bucket=bucket, KeyMarker=key, Delimiter=delimiter, **marker))

    for key in ("", "a", "aa", "b", "c/", "c/1", "d", "e"):
        for delimiter in ("", "/"):
            assert after(key, delimiter=delimiter) == expected(uploads, delimiter=delimiter, after=(key, None)), (key, delimiter)
    assert after("b", ids[0]) == expected(uploads, after=("b", ids[0]))
    assert after("b", ids[2]) == expected(uploads, after=("b", None))
    assert after("b", "0" * 32) == expected(uploads, after=("b", "0" * 32))
    assert after("b", "00" + "no id" * 6) == expected(uploads, after=("b", None))
    # Without a key there is nothing that the id could be in.
    assert shown(s3.list_multipart_uploads(Bucket=bucket, UploadIdMarker=ids[2])) == expected(uploads)


def test_names_are_encoded_when_that_is_asked_for(raw, s3, bucket):
    begin(s3, bucket, "a b+\u00e9", "d d/1")
    root = raw.request("GET", "/" + bucket, [("uploads", ""), ("encoding-type", "url"), ("delimiter", "/"), ("key-marker", "a a"), ("max-uploads", "1")]).root()
    assert root.findtext("EncodingType") == "url"
    assert root.findtext("Upload/Key") == root.findtext("NextKeyMarker") == "a%20b%2B%C3%A9"
    assert (root.findtext("KeyMarker"), root.findtext("Delimiter"), root.findtext("IsTruncated")) == ("a%20a", "/", "true")
    root = raw.request("GET", "/" + bucket, [("uploads", ""), ("encoding-type", "url"), ("delimiter", "/"), ("prefix", "d d")]).root()
    assert (root.findtext("CommonPrefixes/Prefix"), root.findtext("Prefix")) == ("d%20d/", "d%20d")
    answer = raw.request("GET", "/" + bucket, [("uploads", ""), ("encoding-type", "rot13")])
    assert (answer.status, answer.code()) == (400, "InvalidArgument")


@pytest.mark.parametrize("text", ["-1", "many", "99999999999999999999"])
def test_a_limit_that_is_no_number_is_refused(raw, s3, bucket, text):
    [(key, upload_id)] = begin(s3, bucket, "k")
    for path, query in (("", [("uploads", ""), ("max-uploads", text)]), ("/k", [("uploadId", upload_id), ("max-parts", text)]),
                        ("/k", [("uploadId", upload_id), ("part-number-marker", text)])):
        answer = raw.request("GET", "/" + bucket + path, query)
        assert (answer.status, answer.code()) == (400, "InvalidArgument"), query


def test_a_limit_of_zero_gives_nothing_and_is_not_truncated(s3, bucket):
    [(key, upload_id)] = begin(s3, bucket, "k")
    s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=b"x")
    page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=0)
    assert shown(page) == ([], []) and not page["IsTruncated"]
    page = s3.list_parts(Bucket=bucket, Key=key, UploadId=upload_id, MaxParts=0)
    assert "Parts" not in page and not page["IsTruncated"] and page["MaxParts"] == 0


def test_parts_are_listed_behind_their_marker(s3, bucket):
    [(key, upload_id)] = begin(s3, bucket, "k")
    name = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    for number in (9, 1, 4, 10000):
        s3.upload_part(PartNumber=number, Body=b"x" * number, **name)

    def page(**arguments):
        got = s3.list_parts(**name, **arguments)
        return [part["PartNumber"] for part in got.get("Parts", [])], got["IsTruncated"], got["NextPartNumberMarker"]

    assert page() == ([1, 4, 9, 10000], False, 10000)
    assert page(MaxParts=2) == ([1, 4], True, 4)
    assert page(MaxParts=2, PartNumberMarker=4) == ([9, 10000], False, 10000)
    assert page(PartNumberMarker=5) == ([9, 10000], False, 10000)
    assert page(PartNumberMarker=10000) == ([], False, 0)
    got = s3.list_parts(MaxParts=5000, **name)
    assert (got["MaxParts"], got["PartNumberMarker"], got["StorageClass"]) == (1000, 0, "STANDARD")
    assert got["Owner"]["ID"] == got["Initiator"]["ID"] == s3.list_buckets()["Owner"]["ID"]
    s3.abort_multipart_upload(**name)
    with refused(404, "NoSuchUpload"):
        s3.list_parts(**name)
