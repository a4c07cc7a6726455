"""CORS: rules, preflights, and the headers of answers (Amazon S3 user guide, "Using cross-origin resource sharing")."""
import pytest

from s3_expect import refused

VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def set_rules(s3, bucket, *rules):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": list(rules)})


def allowed(answer):
    """The CORS headers of an answer, without their common beginning."""
    begin = "access-control-"
    return {name.lower()[len(begin):]: value for name, value in answer.headers.items() if name.lower().startswith(begin)}


def preflight(raw, bucket, origin="https://www.example.org", method="GET", headers=None):
    sent = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers is not None:
        sent["Access-Control-Request-Headers"] = headers
    return raw.request("OPTIONS", "/%s/k" % bucket, headers={name: value for name, value in sent.items() if value}, anonymous=True)


def test_rules_are_kept_until_they_are_deleted(s3, bucket):
    rules = [{"ID": "one", "AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example.org"], "AllowedHeaders": ["x-*"],
              "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 3000},
             {"AllowedMethods": ["HEAD"], "AllowedOrigins": ["*"]}]
    set_rules(s3, bucket, *rules)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    s3.delete_bucket_cors(Bucket=bucket)
    with refused(404, "NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=bucket)
    s3.delete_bucket_cors(Bucket=bucket)


@pytest.mark.parametrize("rule, code", [
    ({"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}, "InvalidRequest"),
    ({"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.*.org"]}, "InvalidRequest"),
    ({"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "AllowedHeaders": ["x-*-*"]}, "InvalidRequest"),
    ({"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "ExposeHeaders": ["*"]}, "InvalidRequest"),
    ({"AllowedMethods": [], "AllowedOrigins": ["*"]}, "MalformedXML"),
    ({"AllowedMethods": ["GET"], "AllowedOrigins": []}, "MalformedXML"),
    ({"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "ID": "x" * 256}, "MalformedXML"),
])
def test_rules_that_cannot_be_are_refused(s3, bucket, rule, code):
    good = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
    set_rules(s3, bucket, good)
    with refused(400, code):
        set_rules(s3, bucket, good, rule)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [good]


def test_a_hundred_rules_are_the_most(s3, bucket):
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
    set_rules(s3, bucket, *[rule] * 100)
    with refused(400, "MalformedXML"):
        set_rules(s3, bucket, *[rule] * 101)


def test_a_preflight_is_answered_by_the_first_rule_that_fits(raw, s3, bucket):
    set_rules(s3, bucket,
              {"AllowedMethods": ["PUT", "DELETE"], "AllowedOrigins": ["https://*.example.org"], "AllowedHeaders": ["x-amz-*", "Content-Type"],
               "ExposeHeaders": ["ETag", "x-amz-request-id"], "MaxAgeSeconds": 60},
              {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]})
    answer = preflight(raw, bucket, method="PUT", headers="X-Amz-Date, content-type,x-amz-META-a")
    assert (answer.status, answer.body, answer.headers["Vary"]) == (200, b"", VARY)
    assert allowed(answer) == {"allow-origin": "https://www.example.org", "allow-methods": "PUT, DELETE", "allow-credentials": "true",
                               "allow-headers": "x-amz-date, content-type, x-amz-meta-a", "expose-headers": "ETag, x-amz-request-id", "max-age": "60"}
    answer = preflight(raw, bucket, origin="http://elsewhere.net")
    assert allowed(answer) == {"allow-origin": "*", "allow-methods": "GET"}


@pytest.mark.parametrize("question", [
    {"origin": "https://example.org"}, {"origin": "http://www.example.org"}, {"origin": "https://www.example.org.net"}, {"method": "PUT"},
    {"headers": "x-other"}, {"headers": "x-amz-date, x-other"},
])
def test_what_no_rule_allows_is_forbidden(raw, s3, bucket, question):
    set_rules(s3, bucket, {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example.org"], "AllowedHeaders": ["x-amz-*"]})
    assert preflight(raw, bucket, headers="x-amz-date").status == 200
    answer = preflight(raw, bucket, **question)
    assert (answer.status, answer.code(), allowed(answer)) == (403, "AccessForbidden", {})


def test_a_preflight_that_says_too_little_is_refused(raw, s3, bucket, bucket_name):
    assert (preflight(raw, bucket).status, preflight(raw, bucket).code()) == (403, "AccessForbidden")  # no rules at all
    set_rules(s3, bucket, {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]})
    for question in ({"origin": None}, {"method": None}, {"method": "PATCH"}, {"method": "get"}):
        answer = preflight(raw, bucket, **question)
        assert (answer.status, answer.code()) == (400, "BadRequest"), question
    answer = preflight(raw, bucket_name)
    assert (answer.status, answer.code()) == (404, "NoSuchBucket")


def test_answers_name_the_origin_that_is_allowed(raw, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    set_rules(s3, bucket, {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://a.org"], "ExposeHeaders": ["ETag"]})
    expected = {"allow-origin": "https://a.org", "allow-methods": "GET", "allow-credentials": "true", "expose-headers": "ETag"}
    answer = raw.request("GET", "/%s/k" % bucket, headers={"Origin": "https://a.org"})
    assert (answer.body, allowed(answer), answer.headers["Vary"]) == (b"body", expected, VARY)
    for path, headers, status in (("/k", {"Origin": "https://b.org"}, 200), ("/k", {}, 200)):
        answer = raw.request("GET", "/" + bucket + path, headers=headers)
        assert (answer.status, allowed(answer)) == (status, {})
    answer = raw.request("PUT", "/%s/k" % bucket, headers={"Origin": "https://a.org"}, body=b"new")
    assert (answer.status, allowed(answer)) == (200, {})
    # A page may read the error, too.
    answer = raw.request("GET", "/%s/missing" % bucket, headers={"Origin": "https://a.org"})
    assert (answer.status, allowed(answer)) == (404, expected)
    answer = raw.request("GET", "/%s/k" % bucket, headers={"Origin": "https://a.org"}, anonymous=True)
    assert (answer.status, allowed(answer)) == (403, expected)
