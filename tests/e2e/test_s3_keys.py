"""Keys: every legal one names its own object, whatever it looks like."""
import pytest

from s3_expect import all_keys, refused

ODD = [
    "plain", "with space", " leading", "trailing ", "a//b", "//", "/", "/a", "a/", "a///", ".", "..", "a/./b", "a/../b", "../../etc/passwd",
    "\u00e4\u00f6\u00fc\u00df", "\u65e5\u672c\u8a9e/\u30ad\u30fc", "\U0001f600", "e\u0301", "\u00e9", "a+b", "a%20b", "%", "%zz", "%00", "a?b", "a&b=c", "a#b", "a;b",
    "a:b", "a@b", "a,b", "a'b", 'a"b', "a\\b", "a*b", "a~b", "a|b", "a<b>c", "a[b]{c}", "$HOME", "`id`", "^", "=", "!()", "tab\there",
    "line\nfeed", "return\rhere", "\x01\x1f\x7f", "\u200b\ufeff", "con.", "x" * 255, "y" * 256 + "/" + "z" * 256,
]


@pytest.mark.parametrize("key", ODD, ids=[ascii(key)[1:41] for key in ODD])
def test_an_odd_key_names_its_object(s3, raw, bucket, key):
    assert raw.request("PUT", "/%s/%s" % (bucket, key), body=b"one").status == 200
    assert raw.request("GET", "/%s/%s" % (bucket, key)).body == b"one"
    s3.put_object(Bucket=bucket, Key=key, Body=b"two")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"two"
    assert all_keys(s3, bucket) == [key]
    answer = raw.request("DELETE", "/%s/%s" % (bucket, key))
    assert answer.status == 204
    assert all_keys(s3, bucket) == []


def test_all_odd_keys_are_there_at_once_in_the_order_of_their_bytes(s3, raw, bucket):
    for key in ODD:
        assert raw.request("PUT", "/%s/%s" % (bucket, key), body=key.encode()).status == 200
    assert all_keys(s3, bucket) == sorted(ODD, key=str.encode)
    for key in ODD:
        assert raw.request("GET", "/%s/%s" % (bucket, key)).body == key.encode()
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ODD if key.isprintable()]})
    assert "Errors" not in answer
    assert all_keys(s3, bucket) == sorted((key for key in ODD if not key.isprintable()), key=str.encode)


@pytest.mark.parametrize("key", ["k" * 1024, "\u00e9" * 512, "/".join(["d"] * 512) + "/", "a/" * 511 + "bc"])
def test_a_key_of_1024_bytes_is_the_longest(s3, raw, bucket, key):
    assert len(key.encode()) == 1024
    assert raw.request("PUT", "/%s/%s" % (bucket, key), body=b"x").status == 200
    assert all_keys(s3, bucket) == [key]
    with refused(400, "KeyTooLongError"):
        s3.put_object(Bucket=bucket, Key=key + "x", Body=b"x")
    for longer in (key + "x", key * 4, key * 4 + "x"):
        with refused(400, "KeyTooLongError"):
            s3.get_object(Bucket=bucket, Key=longer)
        with refused(400, "KeyTooLongError"):
            s3.create_multipart_upload(Bucket=bucket, Key=longer)
        with refused(400, "KeyTooLongError"):
            s3.delete_object(Bucket=bucket, Key=longer)
    assert all_keys(s3, bucket) == [key]


@pytest.mark.parametrize("path", ["%ff", "a%c3", "%ed%a0%80", "%c0%af"])
def test_bytes_that_are_not_utf_8_are_refused(raw, bucket, path):
    target = "/%s/%s" % (bucket, path)
    headers = {"content-length": "0"}
    raw.sign("PUT", target.upper().replace(bucket.upper(), bucket).replace("A%", "a%"), [], headers, "UNSIGNED-PAYLOAD")
    answer = raw.send("PUT", target, headers)
    assert answer.status == 400


def test_a_key_beside_keys_below_it(s3, bucket):
    for key in ("a", "a/b", "a/", "a/b/c", "a/b/"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in ("a", "a/b", "a/", "a/b/c", "a/b/"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert all_keys(s3, bucket) == ["a", "a/", "a/b", "a/b/", "a/b/c"]
    s3.delete_object(Bucket=bucket, Key="a")
    assert all_keys(s3, bucket) == ["a/", "a/b", "a/b/", "a/b/c"]
    s3.delete_object(Bucket=bucket, Key="a/b/")
    s3.delete_object(Bucket=bucket, Key="a/")
    assert all_keys(s3, bucket) == ["a/b", "a/b/c"]
    s3.put_object(Bucket=bucket, Key="a", Body=b"again")
    assert s3.get_object(Bucket=bucket, Key="a/b/c")["Body"].read() == b"a/b/c"


def test_a_marker_keeps_its_metadata_and_stays_until_it_is_deleted(s3, bucket):
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"", ContentType="application/x-directory", Metadata={"mode": "493"})
    s3.put_object(Bucket=bucket, Key="folder/file", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="folder/file")
    head = s3.head_object(Bucket=bucket, Key="folder/")
    assert (head["ContentType"], head["Metadata"], head["ContentLength"]) == ("application/x-directory", {"mode": "493"}, 0)
    assert all_keys(s3, bucket) == ["folder/"]
    s3.delete_object(Bucket=bucket, Key="folder/")
    assert all_keys(s3, bucket) == []
    s3.delete_bucket(Bucket=bucket)


def test_a_marker_with_bytes_in_it(s3, bucket):
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"not empty")
    assert s3.get_object(Bucket=bucket, Key="folder/")["Body"].read() == b"not empty"
    s3.put_object(Bucket=bucket, Key="folder/", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="folder/")["Body"].read() == b""
    assert all_keys(s3, bucket) == ["folder/"]
    s3.delete_object(Bucket=bucket, Key="folder/")
    assert all_keys(s3, bucket) == []


def test_folders_that_nobody_made_are_no_objects_and_vanish_when_empty(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/b/c/d", Body=b"x")
    for key in ("a", "a/", "a/b", "a/b/", "a/b/c/"):
        with refused(404, "NoSuchKey"):
            s3.get_object(Bucket=bucket, Key=key)
    s3.delete_object(Bucket=bucket, Key="a/b/c/d")
    assert s3.list_objects_v2(Bucket=bucket, Delimiter="/").get("CommonPrefixes") is None
    s3.delete_bucket(Bucket=bucket)


def test_a_thousand_levels_do_not_hurt(s3, raw, bucket):
    key = "/" * 1024
    assert raw.request("PUT", "/%s/%s" % (bucket, key), body=b"deep").status == 200
    assert raw.request("GET", "/%s/%s" % (bucket, key)).body == b"deep"
    assert raw.request("DELETE", "/%s/%s" % (bucket, key)).status == 204
    assert all_keys(s3, bucket) == []
