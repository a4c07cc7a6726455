/*
 * s3_body.c: a request's body: what its headers claim of it, its framing taken off, its digests compared.
 *
 * Sources: Amazon S3 API reference, "PutObject" (Content-MD5, x-amz-checksum-*, x-amz-sdk-checksum-algorithm,
 * x-amz-trailer, x-amz-decoded-content-length). An object's digests are computed by core as the bytes pass; a
 * document's are computed here.
 */
#include "doors/s3/aws_chunked.h"
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"

static void
add_claim(struct s3_body *b, enum digest digest, const struct digest_value *value)
{
	b->digests |= DIGEST_BIT(digest);
	b->claims[b->claim_count].digest = digest;
	b->claims[b->claim_count++].value = *value;
}

static bool
is_streaming(const struct s3_exchange *ex)
{
	return ex->signature.payload == PAYLOAD_STREAMING_SIGNED ||
	       ex->signature.payload == PAYLOAD_STREAMING_SIGNED_TRAILER ||
	       ex->signature.payload == PAYLOAD_STREAMING_UNSIGNED_TRAILER;
}

static bool
may_have_trailer(const struct s3_exchange *ex)
{
	return ex->signature.payload == PAYLOAD_STREAMING_SIGNED_TRAILER ||
	       ex->signature.payload == PAYLOAD_STREAMING_UNSIGNED_TRAILER;
}

/*
 * What only the framing of a streaming payload could keep: refused, as nothing would look at it. An empty body may be
 * called aws-chunked: Amazon S3 takes the word off, and there is nothing to decode.
 */
static enum rfs_err
check_unframed(struct s3_exchange *ex)
{
	const char *header = NULL;

	if (s3_header(ex, "x-amz-trailer").data)
		header = "x-amz-trailer";
	else if (s3_header(ex, "x-amz-decoded-content-length").data)
		header = "x-amz-decoded-content-length";
	else if (ex->body.present && s3_has_aws_chunked(s3_header(ex, "content-encoding")))
		header = "Content-Encoding: aws-chunked";
	if (!header)
		return RFS_OK;
	return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
		"%s belongs to a body whose x-amz-content-sha256 begins with STREAMING-", header);
}

static enum rfs_err
plan_size(struct s3_exchange *ex, int64_t limit)
{
	struct s3_body *b = &ex->body;
	struct bytes decoded = s3_header(ex, "x-amz-decoded-content-length");
	uint64_t size;

	b->present = ex->http->chunked || ex->http->content_length > 0;
	b->is_chunked = is_streaming(ex) && (ex->http->chunked || ex->http->content_length >= 0);
	b->size = ex->http->content_length;
	if (!ex->http->chunked && b->size < 0 && ex->op->flags & S3_STREAM)
		return request_fail(
			ex->rq, RFS_ERR_MISSING_CONTENT_LENGTH, "You must provide the Content-Length HTTP header.");
	if (b->is_chunked && !decoded.len)
		return request_fail(ex->rq, RFS_ERR_MISSING_CONTENT_LENGTH,
			"You must provide the x-amz-decoded-content-length HTTP header.");
	if (b->is_chunked) {
		if (!bytes_to_u64(decoded, &size) || size > INT64_MAX)
			return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT,
				"x-amz-decoded-content-length is not a number of bytes");
		b->size = (int64_t)size;
	}
	if (b->size > limit)
		return request_fail(
			ex->rq, RFS_ERR_ENTITY_TOO_LARGE, "Your proposed upload exceeds the maximum allowed size");
	b->limit = (uint64_t)limit;
	return RFS_OK;
}

static enum rfs_err
plan_md5(struct s3_exchange *ex)
{
	struct bytes text = s3_header(ex, "content-md5");
	struct digest_value value = {0};

	if (!text.data)
		return RFS_OK;
	if (!base64_decode(text, value.bytes, digest_size(DIGEST_MD5)))
		return request_fail(ex->rq, RFS_ERR_INVALID_DIGEST, "The Content-MD5 you specified was invalid.");
	ex->body.has_md5 = true;
	add_claim(&ex->body, DIGEST_MD5, &value);
	return RFS_OK;
}

/* A value that is no checksum at all differs from the body's. */
static enum rfs_err
claim_checksum(struct s3_exchange *ex, const struct s3_checksum_name *name, struct bytes text)
{
	struct digest_value value;

	if (!s3_checksum_decode(name->digest, text, &value))
		return request_fail(ex->rq, RFS_ERR_BAD_DIGEST, "Value for %s header is invalid.", name->header);
	add_claim(&ex->body, name->digest, &value);
	return RFS_OK;
}

static enum rfs_err
only_one_checksum(struct s3_exchange *ex)
{
	if (ex->body.has_checksum)
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
	ex->body.has_checksum = true;
	return RFS_OK;
}

static enum rfs_err
plan_checksum_headers(struct s3_exchange *ex)
{
	enum rfs_err err;

	if (ex->op->flags & S3_OBJECT_CHECKSUM)
		return RFS_OK;
	for (enum digest d = 0; d < DIGEST_COUNT; d++) {
		const struct s3_checksum_name *name = s3_checksum_of(d);
		struct bytes text = name ? s3_header(ex, name->header) : (struct bytes){0};

		if (!text.data)
			continue;
		if ((err = only_one_checksum(ex)) || (err = claim_checksum(ex, name, text)))
			return err;
		ex->body.checksum = d;
	}
	return RFS_OK;
}

static enum rfs_err
plan_trailer(struct s3_exchange *ex)
{
	struct bytes text = s3_header(ex, "x-amz-trailer");
	const struct s3_checksum_name *name;
	enum rfs_err err;

	if (!text.data)
		return RFS_OK;
	name = s3_checksum_by_header(text);
	if (!name || !may_have_trailer(ex))
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"The value specified in the x-amz-trailer header is not supported");
	if ((err = only_one_checksum(ex)))
		return err;
	ex->body.checksum_in_trailer = true;
	ex->body.checksum = name->digest;
	ex->body.digests |= DIGEST_BIT(name->digest);
	return RFS_OK;
}

static enum rfs_err
plan_sdk_algorithm(struct s3_exchange *ex)
{
	struct bytes text = s3_header(ex, "x-amz-sdk-checksum-algorithm");
	const struct s3_checksum_name *name;

	if (!text.data)
		return RFS_OK;
	name = s3_checksum_by_algorithm(text);
	if (!name)
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
			"[CRC32, CRC32C, "
			"CRC64NVME, SHA1, SHA256]");
	if (!ex->body.has_checksum && !ex->body.has_md5)
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
			"x-amz-trailer headers "
			"were found.");
	if (ex->body.has_checksum && ex->body.checksum != name->digest)
		return request_fail(
			ex->rq, RFS_ERR_INVALID_REQUEST, "Value for x-amz-sdk-checksum-algorithm header is invalid.");
	return RFS_OK;
}

static void
decoder_make(struct s3_exchange *ex)
{
	struct aws_chunked_args args = {
		.payload = ex->signature.payload,
		.signing_key = ex->signing_key,
		.seed_signature = ex->signature.signature,
		.timestamp = ex->signature.timestamp,
		.scope = ex->signature.scope,
		.decoded_length = (uint64_t)ex->body.size,
		.trailer_names = s3_header(ex, "x-amz-trailer"),
	};

	ex->body.decoder = aws_chunked_new(ex->rq, &args);
}

enum rfs_err
s3_body_plan(struct s3_exchange *ex, int64_t limit)
{
	enum rfs_err err;

	ex->body = (struct s3_body){0};
	if ((err = plan_size(ex, limit)) || (!ex->body.is_chunked && (err = check_unframed(ex))) ||
		(err = plan_md5(ex)) || (err = plan_checksum_headers(ex)) || (err = plan_trailer(ex)) ||
		(err = plan_sdk_algorithm(ex)))
		return err;
	if (is_streaming(ex) && ex->signature.kind != SIGV4_HEADER &&
		ex->signature.payload != PAYLOAD_STREAMING_UNSIGNED_TRAILER)
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"Chunk signatures need a signature in the Authorization header to start from");
	if (ex->body.is_chunked)
		decoder_make(ex);
	buf_init(&ex->body.document, NULL);
	return RFS_OK;
}

static enum rfs_err
pass_on(void *context, struct slice part)
{
	struct s3_exchange *ex = context;

	ex->body.received += part.len;
	if (ex->body.received > ex->body.limit) {
		slice_unref(&part);
		return request_fail(
			ex->rq, RFS_ERR_ENTITY_TOO_LARGE, "Your proposed upload exceeds the maximum allowed size");
	}
	return ex->sink->write(ex, part);
}

enum rfs_err
s3_body_feed(struct s3_exchange *ex, struct slice piece)
{
	if (ex->body.decoder)
		return aws_chunked_feed(ex->body.decoder, piece, pass_on, ex);
	return pass_on(ex, slice_ref(piece));
}

enum rfs_err
s3_body_end(struct s3_exchange *ex)
{
	const struct s3_checksum_name *name = s3_checksum_of(ex->body.checksum);
	struct bytes value;
	enum rfs_err err;

	if (!ex->body.decoder)
		return RFS_OK;
	if ((err = aws_chunked_finish(ex->body.decoder)))
		return err;
	if (!ex->body.checksum_in_trailer)
		return RFS_OK;
	value = aws_chunked_trailer(ex->body.decoder, name->header);
	return claim_checksum(ex, name, value);
}

void
s3_body_free(struct s3_exchange *ex)
{
	if (ex->body.decoder)
		aws_chunked_free(ex->body.decoder);
	ex->body.decoder = NULL;
	buf_fini(&ex->body.document);
}

/* Every document changes something, which nobody may who is not known, whatever it says: he needs not send it. */
static enum rfs_err
document_begin(struct s3_exchange *ex)
{
	const struct access_target nothing = {0};

	if (ex->rq->who != auth_anonymous())
		return RFS_OK;
	return auth_check(ex->door->core->auth, ex->rq, &nothing, OP_BUCKET_CREATE);
}

static enum rfs_err
document_write(struct s3_exchange *ex, struct slice part)
{
	/* A copy: a parser wants a document in one piece. */
	buf_put_bytes(&ex->body.document, slice_bytes(part));
	slice_unref(&part);
	return RFS_OK;
}

static enum rfs_err
document_verify(struct s3_exchange *ex)
{
	struct s3_body *b = &ex->body;
	struct digester *digester;
	enum rfs_err err = RFS_OK;
	struct digest_value is;
	uint8_t payload[32];

	if (ex->signature.payload == PAYLOAD_SIGNED) {
		sha256(s3_document(ex), payload);
		if (memcmp(payload, ex->signature.payload_sha256, sizeof(payload)) != 0)
			return request_fail(ex->rq, RFS_ERR_CONTENT_SHA256_MISMATCH,
				"The provided 'x-amz-content-sha256' header does not match what was computed.");
	}
	if (b->claim_count == 0)
		return RFS_OK;
	digester = digester_new(b->digests);
	digester_update(digester, b->document.data, b->document.len);
	for (size_t i = 0; !err && i < b->claim_count; i++) {
		digester_value(digester, b->claims[i].digest, &is);
		if (memcmp(is.bytes, b->claims[i].value.bytes, digest_size(b->claims[i].digest)) != 0)
			err = request_fail(ex->rq, RFS_ERR_BAD_DIGEST,
				"The checksum you specified did not match what we received.");
	}
	digester_free(digester);
	return err;
}

static enum rfs_err
document_finish(struct s3_exchange *ex)
{
	enum rfs_err err = document_verify(ex);

	return err ? err : ex->op->run(ex);
}

static void
document_abort(struct s3_exchange *ex)
{
	buf_fini(&ex->body.document);
}

const struct s3_sink s3_document_sink = {document_begin, document_write, document_finish, document_abort, .on_loop = false};
