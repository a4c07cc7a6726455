/*
 * fuzz_aws_chunked.c: a chunked body behind two bytes: the kind of payload, and how long the pieces are that it comes
 * in.
 *
 * However it is cut, the answer and the bytes are the same.
 *
 * sources: src/base/*.c src/net/url.c src/managers/auth/sigv4.c src/managers/auth/sigv4_parse.c
 * sources: src/doors/s3/aws_chunked.c
 */
#include "doors/s3/aws_chunked.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rfs_err
keep(void *context, struct slice part)
{
	buf_put(context, part.data, part.len);
	slice_unref(&part);
	return RFS_OK;
}

static enum rfs_err
decode(struct bytes body, size_t step, enum sigv4_payload payload, struct buf *out)
{
	struct request rq = {.arena = arena_new(4096)};
	uint8_t key[32];
	struct aws_chunked_args args = {
		.payload = payload,
		.signing_key = key,
		.seed_signature = BYTES_LITERAL("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"),
		.timestamp = BYTES_LITERAL("20130524T000000Z"),
		.scope = BYTES_LITERAL("20130524/us-east-1/s3/aws4_request"),
		.decoded_length = AWS_CHUNKED_LENGTH_UNKNOWN,
		.trailer_names = BYTES_LITERAL("x-amz-checksum-crc32c"),
	};
	struct aws_chunked *d;
	enum rfs_err err = RFS_OK;

	sigv4_signing_key(BYTES_LITERAL("secret"), BYTES_LITERAL("20130524"), BYTES_LITERAL("us-east-1"),
		BYTES_LITERAL("s3"), key);
	d = aws_chunked_new(&rq, &args);
	for (size_t at = 0; at < body.len && !err; at += step) {
		struct slice in = slice_copy(bytes_sub(body, at, step));

		err = aws_chunked_feed(d, in, keep, out);
		slice_unref(&in);
	}
	if (!err)
		err = aws_chunked_finish(d);
	aws_chunked_free(d);
	arena_free(rq.arena);
	return err;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes body = bytes_of(data, size);
	struct buf whole, cut;
	enum sigv4_payload payload;

	if (size < 2)
		return 0;
	payload = PAYLOAD_STREAMING_SIGNED + data[0] % 3;
	body = bytes_sub(body, 2, size - 2);
	buf_init(&whole, NULL);
	buf_init(&cut, NULL);
	if (decode(body, size, payload, &whole) != decode(body, 1 + data[1] % 64, payload, &cut))
		abort();
	if (!bytes_equal(buf_bytes(&whole), buf_bytes(&cut)))
		abort();
	buf_fini(&whole);
	buf_fini(&cut);
	return 0;
}
