/*
 * s3_get.c: GetObject. A connection that breaks in the middle is no failure: the next one goes on where it broke, of
 * the same content (If-Match). What came is verified at its end.
 */
#include "s3/s3_client_int.h"
#include "base/hash.h"
#include <inttypes.h>
#include <stdlib.h>

#define PROGRESS_BYTES (64 * 1024) /* between two that broke off: less is none */

/* One call of s3_get. */
struct getting {
	struct s3_conn *conn;
	struct arena *arena;
	const struct s3_get *get;
	struct s3_info *info;
	const char *etag;          /* of what is being read; NULL: not known yet */
	bool has_begun;            /* get->begin was called */
	uint64_t expected;         /* bytes in all; UINT64_MAX: nobody said */
	uint64_t done;             /* bytes that `receive` has */
	struct digester *digester; /* NULL: what came cannot be verified */
	enum digest which;
	struct digest_value claimed;
};

/* --- what there is to verify with --------------------------------------------------------------------------------- */

static bool
claim_checksum(struct getting *g, const struct s3_answer *answer)
{
	static const struct {
		const char *header;
		enum digest which;
	} sums[] = {{"x-amz-checksum-crc64nvme", DIGEST_CRC64NVME}, {"x-amz-checksum-crc32c", DIGEST_CRC32C},
		{"x-amz-checksum-crc32", DIGEST_CRC32}, {"x-amz-checksum-sha256", DIGEST_SHA256},
		{"x-amz-checksum-sha1", DIGEST_SHA1}};
	const char *type = s3_answer_header(answer, "x-amz-checksum-type");

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		const char *text = s3_answer_header(answer, sums[i].header);

		g->which = sums[i].which;
		if (text && !(type && strcmp(type, "COMPOSITE") == 0) &&
			base64_decode(bytes_str(text), g->claimed.bytes, digest_size(g->which)))
			return true;
	}
	return false;
}

/* An ETag of 32 hex digits is the content's MD5, unless the server encrypts. */
static bool
claim_etag(struct getting *g)
{
	g->which = DIGEST_MD5;
	return !g->info->is_encrypted && hex_decode(bytes_str(g->info->etag), g->claimed.bytes, 16);
}

static bool
verify(struct getting *g)
{
	struct digest_value value;

	if (!g->digester)
		return true;
	digester_value(g->digester, g->which, &value);
	return memcmp(value.bytes, g->claimed.bytes, digest_size(g->which)) == 0 ||
	       s3_conn_fail(g->conn, "what came is not what the server's checksum says: it is damaged");
}

/* --- what comes --------------------------------------------------------------------------------------------------- */

static bool
fail_larger(struct getting *g)
{
	s3_conn_fail(g->conn, "the server sends more than it said");
	g->conn->failure.is_larger = g->get->has_size;
	return false;
}

static bool
is_sized(const struct s3_answer *answer)
{
	return s3_answer_header(answer, "content-length") || s3_answer_header(answer, "content-range");
}

static bool
is_whole(const struct s3_get *get, const struct s3_info *info)
{
	return get->offset == 0 && (get->length == 0 || get->length >= info->size);
}

/* Of an answer without a length: what was asked for. */
static uint64_t
expected_unsaid(const struct s3_get *get)
{
	if (get->length)
		return get->length;
	if (!get->has_size)
		return UINT64_MAX;
	return get->size > get->offset ? get->size - get->offset : 0;
}

static uint64_t
expected_said(const struct s3_get *get, uint64_t size)
{
	uint64_t left = size > get->offset ? size - get->offset : 0;

	return get->length && get->length < left ? get->length : left;
}

static bool
begin_first(struct getting *g, const struct s3_answer *answer)
{
	s3_info_read(g->arena, answer, g->info);
	g->has_begun = true;
	if (g->info->etag[0])
		g->etag = g->info->etag;
	g->expected = is_sized(answer) ? expected_said(g->get, g->info->size) : expected_unsaid(g->get);
	if (g->get->has_size && g->info->size > g->get->size)
		return fail_larger(g);
	if (is_whole(g->get, g->info) && (claim_checksum(g, answer) || claim_etag(g)))
		g->digester = digester_new(DIGEST_BIT(g->which));
	return !g->get->begin || g->get->begin(g->get->data, g->info);
}

/* RFC 9110, 14.4: "bytes 5-9/100" is what was asked for, if it begins there. */
static bool
is_asked_range(const struct getting *g, const struct s3_answer *answer)
{
	const char *range = s3_answer_header(answer, "content-range");

	return range && strncmp(range, "bytes ", 6) == 0 && strtoull(range + 6, NULL, 10) == g->get->offset + g->done;
}

static bool
on_begin(void *data, const struct s3_answer *answer)
{
	struct getting *g = data;
	const char *etag = s3_unquoted(g->arena, s3_answer_header(answer, "etag"));

	if ((g->get->offset > 0 || g->done > 0) && answer->status != 206)
		return s3_conn_fail(g->conn, "the server does not give parts of objects");
	if (answer->status == 206 && !is_asked_range(g, answer))
		return s3_conn_fail(g->conn, "the server gives another part of the object than was asked for");
	if (g->etag && etag[0] && strcmp(g->etag, etag) != 0)
		return s3_conn_fail(g->conn, "the object was replaced while it was read");
	return g->has_begun || begin_first(g, answer);
}

static bool
on_receive(void *data, struct bytes part)
{
	struct getting *g = data;

	if (part.len > g->expected - g->done)
		return fail_larger(g);
	if (g->digester)
		digester_update(g->digester, part.data, part.len);
	g->done += part.len;
	return g->get->receive(g->get->data, part);
}

static size_t
headers_make(const struct getting *g, struct s3_header out[3])
{
	uint64_t from = g->get->offset + g->done;
	size_t count = 0;

	out[count++] = (struct s3_header){"x-amz-checksum-mode", "ENABLED"};
	if (g->get->length)
		out[count++] = (struct s3_header){"range", arena_printf(g->arena, "bytes=%" PRIu64 "-%" PRIu64, from,
								   g->get->offset + g->get->length - 1)};
	else if (from > 0)
		out[count++] = (struct s3_header){"range", arena_printf(g->arena, "bytes=%" PRIu64 "-", from)};
	if (g->etag)
		out[count++] = (struct s3_header){"if-match", arena_printf(g->arena, "\"%s\"", g->etag)};
	return count;
}

static bool
attempt(struct getting *g, struct s3_outcome *outcome)
{
	struct s3_header headers[3];
	struct s3_request request = {.method = "GET",
		.bucket = g->get->bucket,
		.key = g->get->key,
		.headers = headers,
		.header_count = headers_make(g, headers),
		.begin = on_begin,
		.receive = on_receive,
		.data = g};
	struct s3_answer answer;

	s3_failure_clear(g->conn);
	if (!s3_attempt(g->conn, g->arena, &request, &answer, outcome))
		return false;
	if (g->expected == UINT64_MAX || g->done == g->expected)
		return true;
	outcome->may_repeat = true;
	return s3_conn_fail(g->conn, "the answer is shorter than the object");
}

bool
s3_get(struct s3_conn *conn, struct arena *arena, const struct s3_get *get, struct s3_info *out)
{
	struct getting g = {.conn = conn, .arena = arena, .get = get, .info = out, .etag = get->etag};
	struct s3_outcome outcome;
	unsigned tries = 0;
	uint64_t before = 0;
	bool done;

	while (!(done = attempt(&g, &outcome))) {
		if (g.done - before >= PROGRESS_BYTES) { /* it goes on */
			tries = 0;
			before = g.done;
		}
		if (!s3_rest(conn, tries++, &outcome))
			break;
	}
	done = done && verify(&g);
	digester_free(g.digester);
	return done;
}
