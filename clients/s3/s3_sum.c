/* s3_sum.c: checksums of what is sent, and whether the server has that. */
#include "s3/s3_client_int.h"
#include "base/hash.h"
#include <stdlib.h>
#include <errno.h>
#include <unistd.h>

#define PIECE_BYTES (128 * 1024) /* read again when it is sent; stays in the processor's cache meanwhile */

/* Shows a body to `use`, piece by piece. */
static bool
body_walk(struct s3_conn *conn, const struct s3_body *body, void (*use)(void *data, const void *piece, size_t len),
	void *data)
{
	uint64_t done = 0;
	uint8_t *piece;

	if (body->bytes.data) {
		use(data, body->bytes.data, body->bytes.len);
		return true;
	}
	piece = xmalloc(PIECE_BYTES);
	while (done < body->len) {
		size_t want = body->len - done < PIECE_BYTES ? (size_t)(body->len - done) : PIECE_BYTES;
		ssize_t n = pread(body->fd, piece, want, (off_t)(body->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			s3_conn_fail(conn,
				n < 0 ? "the file cannot be read: %s" : "the file became shorter while it was read",
				strerror(errno));
			break;
		}
		use(data, piece, (size_t)n);
		done += (uint64_t)n;
	}
	free(piece);
	return done == body->len;
}

static void
crc_use(void *data, const void *piece, size_t len)
{
	uint64_t *crc = data;

	*crc = crc64nvme(*crc, piece, len);
}

static void
digester_use(void *data, const void *piece, size_t len)
{
	digester_update(data, piece, len);
}

const char *
s3_body_crc64nvme(struct s3_conn *conn, struct arena *arena, const struct s3_body *body)
{
	char *text = arena_alloc(arena, 13);
	uint64_t crc = 0;
	uint8_t bytes[8];

	s3_failure_clear(conn);
	if (body->crc64nvme)
		return body->crc64nvme;
	if (!body_walk(conn, body, crc_use, &crc))
		return NULL;
	store_be64(bytes, crc);
	base64_encode(bytes_of(bytes, 8), text);
	return text;
}

static bool
body_digest(struct s3_conn *conn, const struct s3_body *body, enum digest which, struct digest_value *out)
{
	struct digester *d = digester_new(DIGEST_BIT(which));
	bool done = body_walk(conn, body, digester_use, d);

	if (done)
		digester_value(d, which, out);
	digester_free(d);
	return done;
}

bool
s3_body_sha256(struct s3_conn *conn, const struct s3_body *body, uint8_t out[32])
{
	struct digest_value value;

	if (!body_digest(conn, body, DIGEST_SHA256, &value))
		return false;
	memcpy(out, value.bytes, 32);
	return true;
}

const char *
s3_body_md5(struct s3_conn *conn, struct arena *arena, const struct s3_body *body)
{
	char *text = arena_alloc(arena, 25);
	struct digest_value value;

	if (!body_digest(conn, body, DIGEST_MD5, &value))
		return NULL;
	base64_encode(bytes_of(value.bytes, 16), text);
	return text;
}

bool
s3_stored_verify(
	struct s3_conn *conn, const struct s3_body *body, const struct s3_answer *answer, const char *crc64nvme)
{
	const char *said = s3_answer_header(answer, "x-amz-checksum-crc64nvme");
	const char *etag = s3_unquoted(conn->scratch, s3_answer_header(answer, "etag"));
	struct digest_value value;
	uint8_t md5_said[16];

	if (!said && !etag[0]) {
		s3_conn_fail(conn, "the server does not say what it stored");
		s3_foreign_say(conn, answer);
		return false;
	}
	if (said)
		return strcmp(said, crc64nvme) == 0 ||
		       s3_conn_fail(conn, "the server stored something else than was sent: its checksum differs");
	/* With encryption by the server an ETag of that form is no MD5. */
	if (!hex_decode(bytes_str(etag), md5_said, 16) || s3_answer_header(answer, "x-amz-server-side-encryption"))
		return true;
	if (!body_digest(conn, body, DIGEST_MD5, &value))
		return false;
	return memcmp(value.bytes, md5_said, 16) == 0 ||
	       s3_conn_fail(conn, "the server stored something else than was sent: its ETag is not the MD5");
}
