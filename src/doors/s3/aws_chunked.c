/* aws_chunked.c: see aws_chunked.h. */
#include "doors/s3/aws_chunked.h"
#include "base/hash.h"
#include "base/mutant.h"

enum state {
	STATE_SIZE,     /* in a chunk's header line */
	STATE_DATA,     /* in its data */
	STATE_DATA_END, /* in the CRLF behind it */
	STATE_LAST_END, /* in the CRLF behind the header of the last chunk, which has no data */
	STATE_TRAILER,  /* in the lines behind the last chunk */
	STATE_DONE,     /* only line ends may follow */
};

/* minio-go sends one empty line more than the format has. */
#define DONE_BYTES_MAX 4
#define TRAILERS_MAX 32
#define SIZE_DIGITS_MAX 16
#define CHUNK_SIGNATURE ";chunk-signature="
#define TRAILER_SIGNATURE "x-amz-trailer-signature"

struct trailer {
	struct bytes name;
	struct bytes value;
};

struct aws_chunked {
	struct request *rq;
	struct aws_chunked_args args;
	uint8_t signing_key[32];
	enum state state;
	enum rfs_err error;        /* the first; repeated ever after */
	struct digester *digester; /* of the current chunk's data; NULL: chunks are not signed */
	struct buf line;           /* the header or trailer line that is not complete yet */
	uint64_t left;             /* of the current chunk's data */
	uint64_t total;            /* data seen */
	char previous[65];         /* the signature that the next one is chained to */
	char announced[65];        /* the current chunk's, as sent */
	struct trailer trailers[TRAILERS_MAX];
	size_t trailer_count;
	size_t trailer_bytes;
	size_t end_bytes; /* of a CRLF, or behind the end */
};

struct aws_chunked *
aws_chunked_new(struct request *rq, const struct aws_chunked_args *args)
{
	struct aws_chunked *d = ARENA_NEW(rq->arena, struct aws_chunked);

	d->rq = rq;
	d->args = *args;
	d->args.signing_key = d->signing_key;
	buf_init(&d->line, rq->arena);
	if (args->payload == PAYLOAD_STREAMING_UNSIGNED_TRAILER)
		return d;
	memcpy(d->signing_key, args->signing_key, 32);
	d->digester = digester_new(DIGEST_BIT(DIGEST_SHA256));
	if (args->seed_signature.len == 64)
		memcpy(d->previous, args->seed_signature.data, 64);
	return d;
}

void
aws_chunked_free(struct aws_chunked *d)
{
	if (!d)
		return;
	digester_free(d->digester);
	d->digester = NULL;
	explicit_bzero(d->signing_key, sizeof(d->signing_key));
}

static bool
is_signed(const struct aws_chunked *d)
{
	return d->digester != NULL;
}

static bool
has_trailer(const struct aws_chunked *d)
{
	return d->args.payload != PAYLOAD_STREAMING_SIGNED;
}

/* Compares with HMAC(key, algorithm, time, scope, previous signature, `hashes`), and chains on. */
static enum rfs_err
signature_check(struct aws_chunked *d, const char *algorithm, const char *hashes, struct bytes sent, const char *what)
{
	struct buf to_sign;
	uint8_t mac[32];

	buf_init(&to_sign, NULL);
	buf_reserve(&to_sign, 512);
	buf_put_str(&to_sign, algorithm);
	buf_u8(&to_sign, '\n');
	buf_put_bytes(&to_sign, d->args.timestamp);
	buf_u8(&to_sign, '\n');
	buf_put_bytes(&to_sign, d->args.scope);
	buf_u8(&to_sign, '\n');
	buf_put_str(&to_sign, d->previous);
	buf_u8(&to_sign, '\n');
	buf_put_str(&to_sign, hashes);
	hmac_sha256(bytes_of(d->signing_key, 32), buf_bytes(&to_sign), mac);
	buf_fini(&to_sign);
	hex_encode(bytes_of(mac, 32), d->previous);
	if ((sent.len != 64 || !bytes_equal_secret(sent, bytes_of(d->previous, 64))) && !MUTANT("chunk-signature-ignored"))
		return request_fail(d->rq, RFS_ERR_SIGNATURE_MISMATCH, "the signature of the %s does not match", what);
	return RFS_OK;
}

/* Of the chunk whose data is complete. */
static enum rfs_err
chunk_check(struct aws_chunked *d)
{
	static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
	struct digest_value digest;
	char hashes[sizeof(empty) + 64];

	if (!is_signed(d))
		return RFS_OK;
	digester_value(d->digester, DIGEST_SHA256, &digest);
	memcpy(hashes, empty, sizeof(empty) - 1);
	hex_encode(bytes_of(digest.bytes, 32), hashes + sizeof(empty) - 1);
	return signature_check(d, "AWS4-HMAC-SHA256-PAYLOAD", hashes, bytes_str(d->announced), "chunk");
}

static enum rfs_err
framing_fail(struct aws_chunked *d, const char *what)
{
	return request_fail(d->rq, RFS_ERR_INVALID_ARGUMENT, "the aws-chunked body is malformed: %s", what);
}

/* Hex digits up to the end or ';'. The rest of the line stays in `line`. */
static bool
size_parse(struct bytes *line, uint64_t *size)
{
	size_t digits = 0;

	*size = 0;
	while (line->len > 0 && line->data[0] != ';') {
		int value = hex_digit(line->data[0]);

		if (value < 0 || ++digits > SIZE_DIGITS_MAX)
			return false;
		*size = *size << 4 | (uint64_t)value;
		*line = bytes_sub(*line, 1, line->len - 1);
	}
	return digits > 0;
}

/* The header of a chunk: size, and the signature that its data must have. */
static enum rfs_err
size_line(struct aws_chunked *d, struct bytes line)
{
	struct bytes prefix = BYTES_LITERAL(CHUNK_SIGNATURE);

	if (!size_parse(&line, &d->left))
		return framing_fail(d, "a chunk's size is not a hexadecimal number");
	if (is_signed(d)) {
		if (line.len != prefix.len + 64 || !bytes_starts_with(line, prefix))
			return framing_fail(d, "a chunk has no chunk-signature");
		memcpy(d->announced, line.data + prefix.len, 64);
		digester_reset(d->digester, DIGEST_BIT(DIGEST_SHA256));
	}
	if (d->left > d->args.decoded_length - d->total)
		return request_fail(d->rq, RFS_ERR_INCOMPLETE_BODY,
			"the chunks hold more than the x-amz-decoded-content-length of %llu bytes",
			(unsigned long long)d->args.decoded_length);
	d->end_bytes = 0;
	if (d->left > 0) {
		d->state = STATE_DATA;
		return RFS_OK;
	}
	d->state = has_trailer(d) ? STATE_TRAILER : STATE_LAST_END;
	return chunk_check(d);
}

/* "AWS4-HMAC-SHA256-TRAILER" signs "name:value\n" of each trailer, in the order in which they came. */
static enum rfs_err
trailer_check(struct aws_chunked *d, struct bytes sent)
{
	struct buf canonical;
	uint8_t digest[32];
	char hex[65];

	buf_init(&canonical, NULL);
	for (size_t i = 0; i < d->trailer_count; i++) {
		buf_put_bytes(&canonical, d->trailers[i].name);
		buf_u8(&canonical, ':');
		buf_put_bytes(&canonical, d->trailers[i].value);
		buf_u8(&canonical, '\n');
	}
	sha256(buf_bytes(&canonical), digest);
	buf_fini(&canonical);
	hex_encode(bytes_of(digest, 32), hex);
	return signature_check(d, "AWS4-HMAC-SHA256-TRAILER", hex, sent, "trailer");
}

static struct bytes
trim(struct bytes v)
{
	while (v.len > 0 && (v.data[0] == ' ' || v.data[0] == '\t'))
		v = bytes_sub(v, 1, v.len - 1);
	while (v.len > 0 && (v.data[v.len - 1] == ' ' || v.data[v.len - 1] == '\t'))
		v.len--;
	return v;
}

/* Lower case, of the letters that a header's name has; empty: not a name. */
static struct bytes
trailer_name(struct aws_chunked *d, struct bytes text)
{
	uint8_t *name = arena_alloc(d->rq->arena, text.len + 1);

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (c <= ' ' || c >= 0x7F)
			return bytes_of(NULL, 0);
		name[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
	}
	return bytes_of(name, text.len);
}

static struct trailer *
trailer_find(const struct aws_chunked *d, struct bytes name)
{
	for (size_t i = 0; i < d->trailer_count; i++) {
		if (bytes_equal(d->trailers[i].name, name))
			return (struct trailer *)&d->trailers[i];
	}
	return NULL;
}

/* Each trailer that x-amz-trailer names must have come, once, and no other. */
static enum rfs_err
trailers_check(struct aws_chunked *d)
{
	struct bytes names = d->args.trailer_names;
	size_t named = 0;

	while (names.len > 0) {
		size_t comma = bytes_find(names, ',', 0);
		struct bytes name = trim(comma == SIZE_MAX ? names : bytes_sub(names, 0, comma));

		names = comma == SIZE_MAX ? bytes_of(NULL, 0) : bytes_sub(names, comma + 1, names.len - comma - 1);
		if (name.len == 0)
			continue;
		if (!trailer_find(d, trailer_name(d, name)))
			return framing_fail(d, "a trailer that x-amz-trailer names did not come");
		named++;
	}
	if (named != d->trailer_count)
		return framing_fail(d, "a trailer came that x-amz-trailer does not name");
	return RFS_OK;
}

static enum rfs_err
trailers_end(struct aws_chunked *d)
{
	d->state = STATE_DONE;
	d->end_bytes = 0;
	return trailers_check(d);
}

/* One line without its end. Signed trailers end with their signature, unsigned ones with an empty line. */
static enum rfs_err
trailer_line(struct aws_chunked *d, struct bytes line)
{
	size_t colon = bytes_find(line, ':', 0);
	struct trailer *t = &d->trailers[d->trailer_count];
	enum rfs_err err;

	if (line.len == 0)
		return is_signed(d) ? RFS_OK : trailers_end(d);
	if (colon == SIZE_MAX || colon == 0)
		return framing_fail(d, "a trailer is not \"name:value\"");
	if (d->trailer_count == TRAILERS_MAX)
		return framing_fail(d, "there are too many trailers");
	t->name = trailer_name(d, bytes_sub(line, 0, colon));
	t->value = trim(arena_copy(d->rq->arena, bytes_sub(line, colon + 1, line.len - colon - 1)));
	if (t->name.len == 0)
		return framing_fail(d, "a trailer's name is not valid");
	if (is_signed(d) && bytes_equal_str(t->name, TRAILER_SIGNATURE)) {
		err = trailer_check(d, t->value);
		return err ? err : trailers_end(d);
	}
	if (trailer_find(d, t->name))
		return framing_fail(d, "a trailer came twice");
	d->trailer_count++;
	return RFS_OK;
}

/* A trailer's line may end in LF alone: minio-go signs and sends it so. */
static enum rfs_err
line_complete(struct aws_chunked *d)
{
	struct bytes line = buf_bytes(&d->line);
	bool has_return = line.len > 0 && line.data[line.len - 1] == '\r';
	enum rfs_err err;

	if (has_return)
		line.len--;
	if (d->state == STATE_TRAILER)
		err = trailer_line(d, line);
	else if (has_return)
		err = size_line(d, line);
	else
		err = framing_fail(d, "a chunk's header does not end in CRLF");
	d->line.len = 0;
	return err;
}

/* Takes bytes up to a line's end, or all. */
static enum rfs_err
line_feed(struct aws_chunked *d, struct bytes in, size_t *used)
{
	const uint8_t *end = memchr(in.data, '\n', in.len);
	size_t len = end ? (size_t)(end - in.data) : in.len;
	size_t limit = d->state == STATE_TRAILER ? AWS_CHUNKED_TRAILER_MAX - d->trailer_bytes : AWS_CHUNKED_LINE_MAX;

	if (len >= limit || d->line.len >= limit - len)
		return framing_fail(d, "a line is too long");
	buf_put(&d->line, in.data, len);
	*used = len;
	if (!end)
		return RFS_OK;
	*used = len + 1;
	if (d->state == STATE_TRAILER)
		d->trailer_bytes += d->line.len + 1;
	return line_complete(d);
}

static enum rfs_err
data_feed(struct aws_chunked *d, struct slice in, size_t at, aws_chunked_sink sink, void *context, size_t *used)
{
	size_t len = in.len - at < d->left ? in.len - at : (size_t)d->left;
	enum rfs_err err;

	if (is_signed(d))
		digester_update(d->digester, in.data + at, len);
	*used = len;
	d->left -= len;
	d->total += len;
	if ((err = sink(context, slice_part(in, at, len))))
		return err;
	if (d->left > 0)
		return RFS_OK;
	d->state = STATE_DATA_END;
	return chunk_check(d);
}

/* The CRLF behind a chunk. */
static enum rfs_err
end_feed(struct aws_chunked *d, uint8_t c)
{
	if (c != "\r\n"[d->end_bytes])
		return framing_fail(d, "a chunk's data does not end in CRLF");
	if (++d->end_bytes < 2)
		return RFS_OK;
	d->end_bytes = 0;
	d->state = d->state == STATE_LAST_END ? STATE_DONE : STATE_SIZE;
	return RFS_OK;
}

enum rfs_err
aws_chunked_feed(struct aws_chunked *d, struct slice in, aws_chunked_sink sink, void *context)
{
	size_t at = 0;

	while (at < in.len && d->error == RFS_OK) {
		size_t used = 1;

		switch (d->state) {
		case STATE_SIZE:
		case STATE_TRAILER:
			d->error = line_feed(d, bytes_of(in.data + at, in.len - at), &used);
			break;
		case STATE_DATA:
			d->error = data_feed(d, in, at, sink, context, &used);
			break;
		case STATE_DATA_END:
		case STATE_LAST_END:
			d->error = end_feed(d, in.data[at]);
			break;
		case STATE_DONE:
			if ((in.data[at] != '\r' && in.data[at] != '\n') || ++d->end_bytes > DONE_BYTES_MAX)
				d->error = framing_fail(d, "there is something behind its end");
			break;
		}
		at += used;
	}
	return d->error;
}

enum rfs_err
aws_chunked_finish(struct aws_chunked *d)
{
	if (d->error)
		return d->error;
	if (d->state != STATE_DONE)
		d->error = request_fail(
			d->rq, RFS_ERR_INCOMPLETE_BODY, "the aws-chunked body stops before its last chunk");
	else if (d->args.decoded_length != AWS_CHUNKED_LENGTH_UNKNOWN && d->total != d->args.decoded_length)
		d->error = request_fail(d->rq, RFS_ERR_INCOMPLETE_BODY,
			"the chunks hold %llu bytes and x-amz-decoded-content-length says %llu",
			(unsigned long long)d->total, (unsigned long long)d->args.decoded_length);
	return d->error;
}

struct bytes
aws_chunked_trailer(const struct aws_chunked *d, const char *name)
{
	const struct trailer *t = trailer_find(d, bytes_str(name));

	return t ? t->value : bytes_of(NULL, 0);
}
