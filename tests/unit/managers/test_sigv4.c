/* test_sigv4.c: Amazon's published examples (Amazon S3 API reference, "Signature Calculations"), and what must be
 * refused. */
#include "managers/auth/sigv4.h"
#include "base/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define MAY_24 (INT64_C(1369353600) * SECOND) /* 2013-05-24T00:00:00Z */
#define ACCESS_KEY "AKIAIOSFODNN7EXAMPLE"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SCOPE "20130524/us-east-1/s3/aws4_request"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define AUTHORIZATION(headers, signature) \
	"AWS4-HMAC-SHA256 Credential=" ACCESS_KEY "/" SCOPE ",SignedHeaders=" headers ",Signature=" signature
#define HOST                                             \
	{                                                \
		"host", "examplebucket.s3.amazonaws.com" \
	}
#define DATE                                     \
	{                                        \
		"x-amz-date", "20130524T000000Z" \
	}
#define EMPTY_BODY                                   \
	{                                            \
		"x-amz-content-sha256", EMPTY_SHA256 \
	}
#define LIST_SIGNATURE "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
#define LIST_AUTHORIZATION                                                                             \
	{                                                                                              \
		"authorization", AUTHORIZATION("host;x-amz-content-sha256;x-amz-date", LIST_SIGNATURE) \
	}
#define PRESIGNED_SIGNATURE "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
#define PRESIGNED(expires)                                                                                           \
	"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_" \
	"request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=" expires                                                 \
	"&X-Amz-SignedHeaders=host&X-Amz-Signature=" PRESIGNED_SIGNATURE

struct text_header {
	const char *name, *value;
};

struct example {
	const char *method, *path, *query;
	struct text_header headers[12];
	const char *service;
	const char *region;
	int64_t late_ns; /* the server's clock, after MAY_24 */
};

struct fixture {
	struct request rq;
	struct sigv4 s;
	struct sigv4_header headers[16];
	uint8_t key[32];
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->rq.arena = arena_new(4096);
	sigv4_signing_key(BYTES_LITERAL(SECRET), BYTES_LITERAL("20130524"), BYTES_LITERAL("us-east-1"),
		BYTES_LITERAL("s3"), f->key);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	arena_free(f->rq.arena);
	free(f);
	return 0;
}

static struct sigv4_request
request_of(struct fixture *f, const struct example *e)
{
	struct sigv4_request r = {
		.method = bytes_str(e->method ? e->method : "GET"),
		.path = bytes_str(e->path ? e->path : "/"),
		.query = bytes_str(e->query ? e->query : ""),
		.headers = f->headers,
		.now_ns = MAY_24 + e->late_ns,
		.service = e->service ? e->service : "s3",
		.region = bytes_str(e->region),
	};

	for (; e->headers[r.header_count].name; r.header_count++) {
		f->headers[r.header_count].name = bytes_str(e->headers[r.header_count].name);
		f->headers[r.header_count].value = bytes_str(e->headers[r.header_count].value);
	}
	return r;
}

static enum rfs_err
check(struct fixture *f, const struct example *e)
{
	struct sigv4_request r = request_of(f, e);
	enum rfs_err err = sigv4_parse(&f->rq, &r, &f->s);

	if (!err && f->s.kind != SIGV4_NONE)
		err = sigv4_verify(&f->rq, &r, &f->s, f->key);
	return err;
}

static void
amazons_get_object(void **state)
{
	struct example e = {.path = "/test.txt",
		.headers = {HOST, {"range", "bytes=0-9"}, EMPTY_BODY, DATE,
			{"authorization",
				AUTHORIZATION("host;range;x-amz-content-sha256;x-amz-date",
					"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")}}};
	struct fixture *f = *state;

	assert_int_equal(check(f, &e), RFS_OK);
	assert_int_equal(f->s.kind, SIGV4_HEADER);
	assert_int_equal(f->s.payload, PAYLOAD_SIGNED);
	assert_true(bytes_equal_str(f->s.access_key, ACCESS_KEY));
	assert_true(bytes_equal_str(f->s.scope, SCOPE));
	assert_true(f->s.time_ns == MAY_24);
}

static void
amazons_put_object(void **state)
{
	struct example e = {.method = "PUT",
		.path = "/test%24file.text",
		.headers = {HOST, {"date", "Fri, 24 May 2013 00:00:00 GMT"}, DATE,
			{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
			{"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
			{"authorization",
				AUTHORIZATION("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
					"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")}}};

	assert_int_equal(check(*state, &e), RFS_OK);
	e.path = "/test$file.text"; /* sent without the encoding that was signed */
	assert_int_equal(check(*state, &e), RFS_OK);
	e.headers[3].value = "   REDUCED_REDUNDANCY\t"; /* blanks around a value are not signed */
	assert_int_equal(check(*state, &e), RFS_OK);
}

static void
amazons_get_lifecycle(void **state)
{
	struct example e = {.query = "lifecycle",
		.headers = {HOST, EMPTY_BODY, DATE,
			{"authorization",
				AUTHORIZATION("host;x-amz-content-sha256;x-amz-date",
					"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")}}};

	assert_int_equal(check(*state, &e), RFS_OK);
	e.query = "lifecycle=";
	assert_int_equal(check(*state, &e), RFS_OK);
}

static void
amazons_list(void **state)
{
	struct example e = {.query = "max-keys=2&prefix=J", .headers = {HOST, EMPTY_BODY, DATE, LIST_AUTHORIZATION}};

	assert_int_equal(check(*state, &e), RFS_OK);
	e.query = "prefix=%4a&max%2Dkeys=2"; /* order and encoding do not matter */
	assert_int_equal(check(*state, &e), RFS_OK);
}

static void
amazons_presigned_url(void **state)
{
	struct example e = {.path = "/test.txt", .query = PRESIGNED("86400"), .headers = {HOST}};
	struct fixture *f = *state;

	assert_int_equal(check(f, &e), RFS_OK);
	assert_int_equal(f->s.kind, SIGV4_QUERY);
	assert_int_equal(f->s.payload, PAYLOAD_UNSIGNED);
	assert_int_equal(f->s.expires, 86400);
	e.late_ns = 86400 * SECOND;
	assert_int_equal(check(f, &e), RFS_OK);
	e.late_ns++;
	assert_int_equal(check(f, &e), RFS_ERR_REQUEST_EXPIRED);
	e.late_ns = -15 * 60 * SECOND - 1;
	assert_int_equal(check(f, &e), RFS_ERR_ACCESS_DENIED);
}

static void
amazons_streaming_seed(void **state)
{
	struct example e = {.method = "PUT",
		.path = "/examplebucket/chunkObject.txt",
		.headers = {{"host", "s3.amazonaws.com"}, DATE, {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
			{"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
			{"content-encoding", "aws-chunked"}, {"x-amz-decoded-content-length", "66560"},
			{"content-length", "66824"},
			{"authorization",
				AUTHORIZATION("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
					      "x-amz-decoded-content-length;x-amz-storage-class",
					"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")}}};
	struct fixture *f = *state;

	assert_int_equal(check(f, &e), RFS_OK);
	assert_int_equal(f->s.payload, PAYLOAD_STREAMING_SIGNED);
}

static void
what_was_changed_does_not_verify(void **state)
{
	const struct example good = {
		.query = "max-keys=2&prefix=J", .headers = {HOST, EMPTY_BODY, DATE, LIST_AUTHORIZATION}};
	struct example e = good;
	struct fixture *f = *state;

	e.method = "PUT";
	assert_int_equal(check(f, &e), RFS_ERR_SIGNATURE_MISMATCH);
	e = good;
	e.path = "//";
	assert_int_equal(check(f, &e), RFS_ERR_SIGNATURE_MISMATCH);
	e = good;
	e.query = "max-keys=2&prefix=K";
	assert_int_equal(check(f, &e), RFS_ERR_SIGNATURE_MISMATCH);
	e = good;
	e.query = "max-keys=2&prefix=J&x=";
	assert_int_equal(check(f, &e), RFS_ERR_SIGNATURE_MISMATCH);
	e = good;
	e.headers[0].value = "other.s3.amazonaws.com";
	assert_int_equal(check(f, &e), RFS_ERR_SIGNATURE_MISMATCH);
	e = good;
	e.headers[1].value = "UNSIGNED-PAYLOAD";
	assert_int_equal(check(f, &e), RFS_ERR_SIGNATURE_MISMATCH);
	e = good;
	e.headers[3].value = AUTHORIZATION("host;x-amz-content-sha256;x-amz-date", "34b48302");
	assert_int_equal(check(f, &e), RFS_ERR_SIGNATURE_MISMATCH);
	f->key[0] ^= 1;
	assert_int_equal(check(f, &good), RFS_ERR_SIGNATURE_MISMATCH);
	f->key[0] ^= 1;
	assert_int_equal(check(f, &good), RFS_OK);
}

static void
an_unsigned_amz_header_is_refused(void **state)
{
	struct example e = {.query = "max-keys=2&prefix=J",
		.headers = {HOST, EMPTY_BODY, DATE, LIST_AUTHORIZATION, {"x-amz-acl", "public-read"}}};
	struct example presigned = {.path = "/test.txt",
		.query = PRESIGNED("86400"),
		.headers = {HOST, {"x-amz-copy-source", "/secret/key"}}};

	assert_int_equal(check(*state, &e), RFS_ERR_ACCESS_DENIED);
	assert_int_equal(check(*state, &presigned), RFS_ERR_ACCESS_DENIED);
}

static void
an_unsigned_host_is_refused(void **state)
{
	struct example e = {
		.headers = {HOST, EMPTY_BODY, DATE, {"authorization", AUTHORIZATION("x-amz-date", LIST_SIGNATURE)}}};

	assert_int_equal(check(*state, &e), RFS_ERR_ACCESS_DENIED);
}

static void
a_clock_off_by_more_than_15_minutes_is_refused(void **state)
{
	struct example e = {.query = "max-keys=2&prefix=J", .headers = {HOST, EMPTY_BODY, DATE, LIST_AUTHORIZATION}};

	e.late_ns = SIGV4_SKEW_NS;
	assert_int_equal(check(*state, &e), RFS_OK);
	e.late_ns = SIGV4_SKEW_NS + 1;
	assert_int_equal(check(*state, &e), RFS_ERR_REQUEST_TIME_SKEWED);
	e.late_ns = -SIGV4_SKEW_NS - 1;
	assert_int_equal(check(*state, &e), RFS_ERR_REQUEST_TIME_SKEWED);
}

static void
no_credential_is_anonymous(void **state)
{
	struct example e = {.query = "prefix=a+b", .headers = {HOST}};
	struct fixture *f = *state;

	assert_int_equal(check(f, &e), RFS_OK);
	assert_int_equal(f->s.kind, SIGV4_NONE);
	assert_int_equal(f->s.payload, PAYLOAD_UNSIGNED);
	e.headers[1] = (struct text_header){"x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"};
	assert_int_equal(check(f, &e), RFS_OK);
	assert_int_equal(f->s.payload, PAYLOAD_STREAMING_UNSIGNED_TRAILER);
	e.headers[1].value = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
	assert_int_equal(check(f, &e), RFS_ERR_INVALID_REQUEST);
}

static void
malformed_authorization_is_refused(void **state)
{
	static const struct {
		const char *value;
		enum rfs_err err;
	} cases[] = {
		{"AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", RFS_ERR_INVALID_REQUEST},
		{"Basic YTpi", RFS_ERR_INVALID_ARGUMENT},
		{"", RFS_ERR_INVALID_ARGUMENT},
		{"AWS4-HMAC-SHA256", RFS_ERR_AUTH_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=" ACCESS_KEY "/" SCOPE, RFS_ERR_AUTH_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/b,SignedHeaders=host,Signature=00", RFS_ERR_AUTH_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=/" SCOPE ",SignedHeaders=host,Signature=00",
			RFS_ERR_AUTH_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws3,SignedHeaders=host,Signature=00",
			RFS_ERR_AUTH_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/ec2/aws4_request,SignedHeaders=host,Signature=00",
			RFS_ERR_AUTH_HEADER_MALFORMED},
		{"AWS4-HMAC-SHA256 Credential=a/20130523/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=00",
			RFS_ERR_AUTH_HEADER_MALFORMED},
		{AUTHORIZATION("host;host", LIST_SIGNATURE), RFS_ERR_AUTH_HEADER_MALFORMED},
		{AUTHORIZATION("host;;x-amz-date", LIST_SIGNATURE), RFS_ERR_AUTH_HEADER_MALFORMED},
		{AUTHORIZATION("", LIST_SIGNATURE), RFS_ERR_AUTH_HEADER_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct example e = {.headers = {HOST, EMPTY_BODY, DATE, {"authorization", cases[i].value}}};

		assert_int_equal(check(*state, &e), cases[i].err);
	}
}

static void
an_access_key_may_hold_slashes(void **state)
{
	struct example e = {.headers = {HOST, EMPTY_BODY, DATE,
				    {"authorization", "AWS4-HMAC-SHA256 Credential=team/key/" SCOPE
						      ", SignedHeaders=host;x-amz-date, Signature=00"}}};
	struct fixture *f = *state;

	assert_int_equal(check(f, &e), RFS_ERR_SIGNATURE_MISMATCH);
	assert_true(bytes_equal_str(f->s.access_key, "team/key"));
}

static void
a_region_is_checked_when_asked(void **state)
{
	struct example e = {.query = "max-keys=2&prefix=J", .headers = {HOST, EMPTY_BODY, DATE, LIST_AUTHORIZATION}};

	e.region = "us-east-1";
	assert_int_equal(check(*state, &e), RFS_OK);
	e.region = "eu-west-1";
	assert_int_equal(check(*state, &e), RFS_ERR_AUTH_HEADER_MALFORMED);
}

static void
malformed_presigned_urls_are_refused(void **state)
{
	static const char *const bad[] = {
		PRESIGNED("0"),
		PRESIGNED("604801"),
		PRESIGNED("-1"),
		PRESIGNED("x"),
		"X-Amz-Algorithm=AWS4-HMAC-SHA256",
		"X-Amz-Signature=00",
		"X%2DAmz-Signature=00",
		"X-Amz-Algorithm=AWS4-HMAC-SHA1&X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-Date=c&X-Amz-SignedHeaders="
		"host&X-Amz-Expires=1",
	};
	struct example e = {.path = "/test.txt", .headers = {HOST}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e.query = bad[i];
		assert_int_equal(check(*state, &e), RFS_ERR_AUTH_QUERY_ERROR);
	}
	e.query = PRESIGNED("86400") "&a=%zz";
	assert_int_equal(check(*state, &e), RFS_ERR_INVALID_URI);
	e.query = "AWSAccessKeyId=a&Signature=b&Expires=1";
	assert_int_equal(check(*state, &e), RFS_ERR_INVALID_REQUEST);
	e.query = PRESIGNED("86400");
	e.headers[1] = (struct text_header)LIST_AUTHORIZATION;
	assert_int_equal(check(*state, &e), RFS_ERR_INVALID_ARGUMENT);
}

static void
the_payload_header_is_needed_and_valid(void **state)
{
	struct example e = {.headers = {HOST, DATE, LIST_AUTHORIZATION}};

	assert_int_equal(check(*state, &e), RFS_ERR_INVALID_REQUEST);
	e.headers[3] = (struct text_header){"x-amz-content-sha256", "beef"};
	assert_int_equal(check(*state, &e), RFS_ERR_INVALID_ARGUMENT);
	e.headers[3].value = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
	assert_int_equal(check(*state, &e), RFS_ERR_NOT_IMPLEMENTED);
	e.headers[3].value = EMPTY_SHA256;
	e.headers[1] = (struct text_header){"date", "yesterday"};
	assert_int_equal(check(*state, &e), RFS_ERR_ACCESS_DENIED);
	/* Without x-amz-date the time that is signed is the Date's, also as botocore writes it: only the signature is not this one's. */
	e.headers[1].value = "Fri, 24 May 2013 00:00:00 -0000";
	assert_int_equal(check(*state, &e), RFS_ERR_SIGNATURE_MISMATCH);
	assert_true(((struct fixture *)*state)->s.time_ns == MAY_24);
}

static void
what_we_sign_verifies(void **state)
{
	struct fixture *f = *state;
	struct example e = {.method = "POST",
		.path = "/a%20b+c/%C3%A4//..",
		.query = "b=2&a=%2F&a=+&c",
		.headers = {{"content-type", "application/json"}, HOST, {"x-amz-meta-a", "  one   two "},
			{"x-amz-meta-a", "three"}},
		.service = "restfs-admin",
		.region = "local"};
	uint8_t body_sha256[32], key[32];
	struct sigv4_signed out;
	struct sigv4_request r;

	sha256(BYTES_LITERAL("{}"), body_sha256);
	r = request_of(f, &e);
	r.body_sha256 = body_sha256;
	assert_true(sigv4_sign(f->rq.arena, &r, BYTES_LITERAL("root"), BYTES_LITERAL("secret"), &out));
	e.headers[4] = (struct text_header){"authorization", out.authorization};
	e.headers[5] = (struct text_header){"x-amz-date", out.x_amz_date};
	e.headers[6] = (struct text_header){"x-amz-content-sha256", out.x_amz_content_sha256};
	r = request_of(f, &e);
	assert_int_equal(sigv4_parse(&f->rq, &r, &f->s), RFS_OK);
	sigv4_signing_key(BYTES_LITERAL("secret"), f->s.date, f->s.region, f->s.service, key);
	assert_int_equal(sigv4_verify(&f->rq, &r, &f->s, key), RFS_OK);
	assert_memory_equal(f->s.payload_sha256, body_sha256, 32);
	e.headers[3].value = "four";
	r = request_of(f, &e);
	assert_int_equal(sigv4_verify(&f->rq, &r, &f->s, key), RFS_ERR_SIGNATURE_MISMATCH);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(amazons_get_object),
		T(amazons_put_object),
		T(amazons_get_lifecycle),
		T(amazons_list),
		T(amazons_presigned_url),
		T(amazons_streaming_seed),
		T(what_was_changed_does_not_verify),
		T(an_unsigned_amz_header_is_refused),
		T(an_unsigned_host_is_refused),
		T(a_clock_off_by_more_than_15_minutes_is_refused),
		T(no_credential_is_anonymous),
		T(malformed_authorization_is_refused),
		T(an_access_key_may_hold_slashes),
		T(a_region_is_checked_when_asked),
		T(malformed_presigned_urls_are_refused),
		T(the_payload_header_is_needed_and_valid),
		T(what_we_sign_verifies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
