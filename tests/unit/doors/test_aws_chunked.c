/* test_aws_chunked.c: Amazon's published chunked uploads, cut everywhere, and what must be refused. */
#include "doors/s3/aws_chunked.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SEED "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
#define SEED_TRAILER "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
#define CHECKSUM "x-amz-checksum-crc32c"
#define TRAILER_SIGNATURE \
	"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"

struct fixture {
	struct request rq;
	uint8_t key[32];
	struct aws_chunked_args args;
	struct buf body; /* as sent */
	struct buf data; /* as decoded */
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->rq.arena = arena_new(4096);
	sigv4_signing_key(BYTES_LITERAL("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), BYTES_LITERAL("20130524"),
		BYTES_LITERAL("us-east-1"), BYTES_LITERAL("s3"), f->key);
	f->args = (struct aws_chunked_args){
		.payload = PAYLOAD_STREAMING_SIGNED,
		.signing_key = f->key,
		.seed_signature = BYTES_LITERAL(SEED),
		.timestamp = BYTES_LITERAL("20130524T000000Z"),
		.scope = BYTES_LITERAL("20130524/us-east-1/s3/aws4_request"),
		.decoded_length = 66560,
	};
	buf_init(&f->body, NULL);
	buf_init(&f->data, NULL);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	arena_free(f->rq.arena);
	buf_fini(&f->body);
	buf_fini(&f->data);
	free(f);
	return 0;
}

static enum rfs_err
keep(void *context, struct slice part)
{
	struct fixture *f = context;

	buf_put(&f->data, part.data, part.len);
	slice_unref(&part);
	return RFS_OK;
}

static enum rfs_err
refuse(void *context, struct slice part)
{
	slice_unref(&part);
	return RFS_ERR_NO_SPACE;
}

/* `step` bytes at a time. */
static enum rfs_err
decode(struct fixture *f, size_t step, const char *trailer, struct bytes *value)
{
	struct aws_chunked *d = aws_chunked_new(&f->rq, &f->args);
	enum rfs_err err = RFS_OK;

	f->data.len = 0;
	request_clear_error(&f->rq);
	for (size_t at = 0; at < f->body.len && !err; at += step) {
		size_t len = f->body.len - at < step ? f->body.len - at : step;
		struct slice in = slice_copy(bytes_of(f->body.data + at, len));

		err = aws_chunked_feed(d, in, keep, f);
		slice_unref(&in);
	}
	if (!err)
		err = aws_chunked_finish(d);
	if (trailer)
		*value = aws_chunked_trailer(d, trailer);
	aws_chunked_free(d);
	return err;
}

static void
put_as(struct buf *b, size_t len)
{
	buf_reserve(b, len);
	memset(b->data + b->len, 'a', len);
	b->len += len;
}

static void
body_chunk(struct fixture *f, const char *header, size_t len)
{
	buf_put_str(&f->body, header);
	buf_put_str(&f->body, "\r\n");
	put_as(&f->body, len);
	buf_put_str(&f->body, "\r\n");
}

static void
amazons_body(struct fixture *f)
{
	body_chunk(f, "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", 65536);
	body_chunk(f, "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", 1024);
	body_chunk(f, "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9", 0);
}

static void
amazons_body_with_trailer(struct fixture *f, const char *trailer)
{
	f->args.payload = PAYLOAD_STREAMING_SIGNED_TRAILER;
	f->args.seed_signature = BYTES_LITERAL(SEED_TRAILER);
	f->args.trailer_names = BYTES_LITERAL(" X-Amz-Checksum-CRC32C ");
	body_chunk(f, "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2", 65536);
	body_chunk(f, "400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7", 1024);
	buf_put_str(&f->body, "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n");
	buf_put_str(&f->body, trailer);
}

static void
unsigned_body(struct fixture *f, const char *text, uint64_t length)
{
	f->args.payload = PAYLOAD_STREAMING_UNSIGNED_TRAILER;
	f->args.decoded_length = length;
	f->body.len = 0;
	buf_put_str(&f->body, text);
}

static void
amazons_chunks_decode_however_they_are_cut(void **state)
{
	static const size_t steps[] = {1, 2, 3, 7, 84, 85, 86, 4096, 65536, 65621, 1 << 20};
	struct fixture *f = *state;

	amazons_body(f);
	assert_int_equal(f->body.len, 66824); /* the example's Content-Length */
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(decode(f, steps[i], NULL, NULL), RFS_OK);
		assert_int_equal(f->data.len, 66560);
	}
}

static void
amazons_trailer_is_read_and_verified(void **state)
{
	struct fixture *f = *state;
	struct bytes value;

	amazons_body_with_trailer(f, CHECKSUM ":sOO8/Q==\r\n" TRAILER_SIGNATURE);
	for (size_t step = 1; step < 5; step++) {
		assert_int_equal(decode(f, step, CHECKSUM, &value), RFS_OK);
		assert_true(bytes_equal_str(value, "sOO8/Q=="));
	}
	assert_int_equal(decode(f, 1000, "x-amz-checksum-sha1", &value), RFS_OK);
	assert_null(value.data);
}

/* minio-go ends the value with LF and writes an empty line before the signature. */
static void
minio_trailer_is_read(void **state)
{
	struct fixture *f = *state;

	amazons_body_with_trailer(f, CHECKSUM ":sOO8/Q==\n\r\n" TRAILER_SIGNATURE);
	assert_int_equal(decode(f, 1 << 20, NULL, NULL), RFS_OK);
	unsigned_body(f, "1\r\na\r\n0\r\n" CHECKSUM ":sOO8/Q==\n\r\n\r\n", 1);
	assert_int_equal(decode(f, 1, NULL, NULL), RFS_OK);
}

static void
a_changed_trailer_does_not_verify(void **state)
{
	struct fixture *f = *state;

	amazons_body_with_trailer(f, CHECKSUM ":sOO8/Q=A\r\n" TRAILER_SIGNATURE);
	assert_int_equal(decode(f, 1 << 20, NULL, NULL), RFS_ERR_SIGNATURE_MISMATCH);
}

static void
a_changed_chunk_does_not_verify(void **state)
{
	static const size_t places[] = {200, 65620, 65710, 66700};
	struct fixture *f = *state;

	amazons_body(f);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		f->body.data[places[i]] ^= 1;
		assert_int_not_equal(decode(f, 1 << 20, NULL, NULL), RFS_OK);
		f->body.data[places[i]] ^= 1;
	}
	f->body.data[66824 - 20] ^= 1; /* the last chunk's signature */
	assert_int_equal(decode(f, 1 << 20, NULL, NULL), RFS_ERR_SIGNATURE_MISMATCH);
}

static void
a_body_cut_short_is_incomplete(void **state)
{
	struct fixture *f = *state;

	amazons_body(f);
	for (size_t len = f->body.len - 100; len < 66824; len++) {
		f->body.len = len;
		assert_int_equal(decode(f, 1 << 20, NULL, NULL), RFS_ERR_INCOMPLETE_BODY);
	}
	f->body.len = 0;
	assert_int_equal(decode(f, 1, NULL, NULL), RFS_ERR_INCOMPLETE_BODY);
}

static void
another_length_than_announced_is_refused(void **state)
{
	struct fixture *f = *state;

	amazons_body(f);
	f->args.decoded_length = 66561;
	assert_int_equal(decode(f, 1 << 20, NULL, NULL), RFS_ERR_INCOMPLETE_BODY);
	f->args.decoded_length = 66559;
	assert_int_equal(decode(f, 1 << 20, NULL, NULL), RFS_ERR_INCOMPLETE_BODY);
	assert_int_equal(f->data.len, 65536);
	f->args.decoded_length = AWS_CHUNKED_LENGTH_UNKNOWN;
	assert_int_equal(decode(f, 1 << 20, NULL, NULL), RFS_OK);
}

static void
unsigned_chunks_decode(void **state)
{
	struct fixture *f = *state;
	struct bytes value;

	unsigned_body(f, "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 5);
	assert_int_equal(decode(f, 1, NULL, NULL), RFS_OK);
	assert_true(bytes_equal_str(buf_bytes(&f->data), "abcde"));
	unsigned_body(f, "0\r\n\r\n", 0);
	assert_int_equal(decode(f, 1, NULL, NULL), RFS_OK);
	f->args.trailer_names = BYTES_LITERAL("x-amz-checksum-crc32,x-amz-checksum-sha1");
	unsigned_body(f, "1\r\na\r\n0\r\nX-Amz-Checksum-SHA1: b \r\nx-amz-checksum-crc32:c\r\n\r\n", 1);
	assert_int_equal(decode(f, 1, "x-amz-checksum-sha1", &value), RFS_OK);
	assert_true(bytes_equal_str(value, "b"));
}

static void
malformed_framing_is_refused(void **state)
{
	static const char *const bad[] = {
		"\r\n",
		"3\nabc\r\n0\r\n\r\n",
		"3 \r\nabc\r\n0\r\n\r\n",
		"-1\r\nabc\r\n0\r\n\r\n",
		"0x3\r\nabc\r\n0\r\n\r\n",
		"10000000000000003\r\nabc\r\n0\r\n\r\n",
		"3\r\nabcd\r\n0\r\n\r\n",
		"3\r\nabc0\r\n\r\n",
		"3\r\nabc\n0\r\n\r\n",
		"0\r\nno colon\r\n\r\n",
		"0\r\n:value\r\n\r\n",
		"0\r\na b:value\r\n\r\n",
		"0\r\nunannounced:value\r\n\r\n",
		"0\r\n\r\nmore",
		"0\r\n\r\n\r\n\r\n\r\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned_body(f, bad[i], AWS_CHUNKED_LENGTH_UNKNOWN);
		assert_int_equal(decode(f, 1, NULL, NULL), RFS_ERR_INVALID_ARGUMENT);
		assert_int_equal(decode(f, 1 << 20, NULL, NULL), RFS_ERR_INVALID_ARGUMENT);
	}
	f->args.trailer_names = BYTES_LITERAL(CHECKSUM);
	unsigned_body(f, "0\r\n\r\n", 0);
	assert_int_equal(decode(f, 1, NULL, NULL), RFS_ERR_INVALID_ARGUMENT);
	unsigned_body(f, "0\r\n" CHECKSUM ":a\r\n" CHECKSUM ":a\r\n\r\n", 0);
	assert_int_equal(decode(f, 1, NULL, NULL), RFS_ERR_INVALID_ARGUMENT);
	f->args.payload = PAYLOAD_STREAMING_SIGNED;
	assert_int_equal(decode(f, 1, NULL, NULL), RFS_ERR_INVALID_ARGUMENT);
}

static void
long_lines_are_refused(void **state)
{
	struct fixture *f = *state;

	unsigned_body(f, "1;", 1);
	put_as(&f->body, AWS_CHUNKED_LINE_MAX);
	assert_int_equal(decode(f, 100, NULL, NULL), RFS_ERR_INVALID_ARGUMENT);
	unsigned_body(f, "0\r\n", 0);
	for (int i = 0; i < 20; i++) {
		buf_printf(&f->body, "a%d:", i);
		put_as(&f->body, 1000);
		buf_put_str(&f->body, "\r\n");
	}
	assert_int_equal(decode(f, 100, NULL, NULL), RFS_ERR_INVALID_ARGUMENT);
}

static void
an_error_is_repeated(void **state)
{
	struct fixture *f = *state;
	struct slice in = slice_copy(BYTES_LITERAL("1\r\na\r\n0\r\n\r\n"));
	struct aws_chunked *d;

	unsigned_body(f, "", 1);
	d = aws_chunked_new(&f->rq, &f->args);
	assert_int_equal(aws_chunked_feed(d, in, refuse, f), RFS_ERR_NO_SPACE);
	assert_int_equal(aws_chunked_feed(d, in, keep, f), RFS_ERR_NO_SPACE);
	assert_int_equal(aws_chunked_finish(d), RFS_ERR_NO_SPACE);
	assert_int_equal(f->data.len, 0);
	aws_chunked_free(d);
	slice_unref(&in);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(amazons_chunks_decode_however_they_are_cut),
		T(amazons_trailer_is_read_and_verified),
		T(minio_trailer_is_read),
		T(a_changed_trailer_does_not_verify),
		T(a_changed_chunk_does_not_verify),
		T(a_body_cut_short_is_incomplete),
		T(another_length_than_announced_is_refused),
		T(unsigned_chunks_decode),
		T(malformed_framing_is_refused),
		T(long_lines_are_refused),
		T(an_error_is_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
