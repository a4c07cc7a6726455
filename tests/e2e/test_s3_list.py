"""Listings, compared with a model of what Amazon's S3 answers."""
import concurrent.futures
import urllib.parse

import pytest

from raw_s3 import put_many
from s3_expect import all_keys, refused


class Model:
    """ListObjectsV2 over a set of keys (Amazon S3 API reference)."""

    def __init__(self, keys):
        self.keys = sorted(keys, key=str.encode)

    def page(self, prefix="", delimiter="", after="", max_keys=1000):
        """(keys, common prefixes, is truncated, the last that was listed). What begins with a common prefix is one entry, the prefix."""
        keys, prefixes, last = [], [], after
        for key in self.keys:
            if not key.startswith(prefix):
                continue
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            item = key[:at + len(delimiter)] if at >= 0 else key
            if item.encode() <= last.encode():
                continue
            if len(keys) + len(prefixes) == max_keys:
                return keys, prefixes, True, last
            (prefixes if at >= 0 else keys).append(item)
            last = item
        return keys, prefixes, False, last


def put_all(s3, bucket, keys):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b""), keys))


def shown(page):
    return [item["Key"] for item in page.get("Contents", [])], [item["Prefix"] for item in page.get("CommonPrefixes", [])]


def random_key(rng):
    return "".join(rng.choice("ab/.!\u00e9") for _ in range(rng.randint(1, 7)))


def walk_v2(s3, bucket, model, rng, prefix, delimiter):
    parameters = {"Bucket": bucket, "Prefix": prefix}
    if delimiter:
        parameters["Delimiter"] = delimiter
    after, pages = "", 0
    while True:
        max_keys = rng.choice([1, 2, 3, 7, 100])
        page = s3.list_objects_v2(MaxKeys=max_keys, **parameters)
        keys, prefixes, truncated, after = model.page(prefix, delimiter, after, max_keys)
        assert shown(page) == (keys, prefixes), (parameters, after, max_keys)
        assert page["IsTruncated"] == truncated
        assert page["KeyCount"] == len(keys) + len(prefixes)
        if not truncated:
            assert "NextContinuationToken" not in page
            return pages
        parameters["ContinuationToken"] = page["NextContinuationToken"]
        pages += 1


def walk_v1(s3, bucket, model, rng, prefix, delimiter):
    parameters = {"Bucket": bucket, "Prefix": prefix}
    if delimiter:
        parameters["Delimiter"] = delimiter
    after = ""
    while True:
        max_keys = rng.choice([1, 2, 5, 100])
        page = s3.list_objects(MaxKeys=max_keys, **parameters)
        keys, prefixes, truncated, after = model.page(prefix, delimiter, after, max_keys)
        assert shown(page) == (keys, prefixes), (parameters, after, max_keys)
        assert page["IsTruncated"] == truncated
        if not truncated:
            return
        if delimiter:
            assert page["NextMarker"] == after
        else:
            assert page["Contents"][-1]["Key"] == after
        parameters["Marker"] = after


def test_random_listings_answer_as_the_model_does(s3, bucket, rng):
    keys = {random_key(rng) for _ in range(150)}
    put_all(s3, bucket, keys)
    for round_number in range(60):
        model = Model(keys)
        prefix = rng.choice(["", "", random_key(rng), random_key(rng)[:2], rng.choice(sorted(keys))])
        delimiter = rng.choice(["", "/", "/", "a", ".a", "\u00e9"])
        walk_v2(s3, bucket, model, rng, prefix, delimiter)
        walk_v1(s3, bucket, model, rng, prefix, delimiter)
        gone = rng.choice(sorted(keys))
        keys.remove(gone)
        s3.delete_object(Bucket=bucket, Key=gone)
        new = random_key(rng)
        keys.add(new)
        s3.put_object(Bucket=bucket, Key=new, Body=b"")


def test_start_after_and_marker_may_be_any_text(s3, bucket, rng):
    keys = {random_key(rng) for _ in range(100)}
    put_all(s3, bucket, keys)
    model = Model(keys)
    for _ in range(60):
        after, prefix = random_key(rng), rng.choice(["", "a", "/", "\u00e9"])
        wanted = model.page(prefix, "", after, 1000)
        assert shown(s3.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=after)) == wanted[:2]
        assert shown(s3.list_objects(Bucket=bucket, Prefix=prefix, Marker=after)) == wanted[:2]


def test_what_begins_inside_a_common_prefix_shows_the_rest_as_that_prefix(s3, bucket):
    put_all(s3, bucket, ["a", "d/1", "d/2", "e"])
    for after, wanted in (("a", (["e"], ["d/"])), ("d", (["e"], ["d/"])), ("d/1", (["e"], ["d/"])), ("d/2", (["e"], [])), ("d/", (["e"], []))):
        assert shown(s3.list_objects_v2(Bucket=bucket, Delimiter="/", StartAfter=after)) == wanted, after
        assert shown(s3.list_objects(Bucket=bucket, Delimiter="/", Marker=after)) == wanted, after


def test_more_than_a_thousand_keys_come_in_pages(daemon, s3, bucket):
    keys = ["n/%04d" % number for number in range(1005)]
    put_many(daemon, bucket, keys)
    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
    assert (first["KeyCount"], first["IsTruncated"], first["MaxKeys"]) == (1000, True, 1000)
    assert all_keys(s3, bucket) == keys
    assert all_keys(s3, bucket, PaginationConfig={"PageSize": 17}) == keys


def test_max_keys_of_zero_gives_nothing_and_is_not_truncated(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


@pytest.mark.parametrize("text", ["-1", "many", "99999999999999999999"])
def test_max_keys_that_is_no_number_is_refused(raw, bucket, text):
    for query in ({"max-keys": text}, {"max-keys": text, "list-type": "2"}):
        answer = raw.request("GET", "/" + bucket, query)
        assert (answer.status, answer.code()) == (400, "InvalidArgument")


def test_an_empty_max_keys_is_the_default(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    root = raw.request("GET", "/" + bucket, {"max-keys": ""}).root()
    assert root.findtext("MaxKeys") == "1000" and root.findtext("Contents/Key") == "k"


def test_a_continuation_token_of_nobody_is_refused(s3, bucket):
    with refused(400, "InvalidArgument"):
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="not one of ours")


def test_the_answer_repeats_what_was_asked(s3, bucket):
    page = s3.list_objects_v2(Bucket=bucket, Prefix="p", Delimiter="/", StartAfter="s", MaxKeys=3)
    assert (page["Name"], page["Prefix"], page["Delimiter"], page["StartAfter"], page["MaxKeys"]) == (bucket, "p", "/", "s", 3)
    page = s3.list_objects(Bucket=bucket, Prefix="p", Delimiter="/", Marker="m", MaxKeys=3)
    assert (page["Name"], page["Prefix"], page["Delimiter"], page["Marker"], page["MaxKeys"]) == (bucket, "p", "/", "m", 3)


def test_encoding_type_url_encodes_keys_prefixes_and_delimiter(raw, bucket):
    for key in ("a b+c/\u00e9", "a b", "x\x01y"):
        assert raw.request("PUT", "/%s/%s" % (bucket, key)).status == 200
    root = raw.request("GET", "/" + bucket, {"list-type": "2", "encoding-type": "url", "delimiter": "/", "prefix": ""}).root()
    assert root.findtext("EncodingType") == "url"
    assert [urllib.parse.unquote_plus(element.text) for element in root.findall("Contents/Key")] == ["a b", "x\x01y"]
    assert all(" " not in element.text and "\x01" not in element.text for element in root.findall("Contents/Key"))
    assert [urllib.parse.unquote_plus(element.text) for element in root.findall("CommonPrefixes/Prefix")] == ["a b+c/"]
    answer = raw.request("GET", "/" + bucket, {"encoding-type": "rot13"})
    assert (answer.status, answer.code()) == (400, "InvalidArgument")


def test_without_encoding_type_keys_are_xml_text(raw, bucket):
    raw.request("PUT", "/%s/%s" % (bucket, "<a> & \"b\" \u00e9"))
    root = raw.request("GET", "/" + bucket, {"list-type": "2"}).root()
    assert root.findtext("Contents/Key") == "<a> & \"b\" \u00e9" and root.find("EncodingType") is None


def test_the_owner_is_shown_when_it_is_asked_for(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    owner = s3.list_buckets()["Owner"]["ID"]
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"]["ID"] == owner
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"] == owner


def test_folders_are_skipped_over_not_walked_through(s3, bucket):
    keys = ["big/%03d" % number for number in range(300)] + ["small", "zoo/1"]
    put_all(s3, bucket, keys)
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=2)
    assert shown(page) == (["small"], ["big/"])
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", ContinuationToken=page["NextContinuationToken"])
    assert shown(page) == ([], ["zoo/"]) and not page["IsTruncated"]


def test_a_listing_while_others_write_shows_what_was_there_all_the_time(s3, bucket):
    kept = ["keep/%03d" % number for number in range(200)]
    put_all(s3, bucket, kept)

    def disturb(worker):
        for number in range(60):
            s3.put_object(Bucket=bucket, Key="keep/%03d.%d" % (number * 3, worker), Body=b"")
            s3.delete_object(Bucket=bucket, Key="keep/%03d.%d" % (number * 3, worker))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(disturb, worker) for worker in range(3)]
        while not all(writer.done() for writer in writers):
            seen = all_keys(s3, bucket, PaginationConfig={"PageSize": 13})
            assert seen == sorted(set(seen))
            assert [key for key in seen if "." not in key] == kept
        for writer in writers:
            writer.result()
    assert all_keys(s3, bucket) == kept
