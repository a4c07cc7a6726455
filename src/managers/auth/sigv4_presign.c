/* sigv4_presign.c: the signature in the query string, for who has no key. */
#include "managers/auth/sigv4_int.h"
#include "base/clock.h"
#include "base/hash.h"
#include "net/url.h"

static void
param_put(struct buf *query, const char *name, struct bytes value)
{
	if (query->len > 0)
		buf_u8(query, '&');
	buf_put_str(query, name);
	buf_u8(query, '=');
	url_encode(query, value, false);
}

/* All parameters but the signature. */
static struct bytes
query_make(struct arena *arena, const struct sigv4_request *r, const struct sigv4 *s, struct bytes access_key,
	struct bytes token, uint32_t expires)
{
	struct buf query;

	buf_init(&query, arena);
	buf_put_bytes(&query, r->query);
	param_put(&query, "X-Amz-Algorithm", BYTES_LITERAL(SIGV4_ALGORITHM));
	param_put(&query, "X-Amz-Credential",
		bytes_str(arena_printf(arena, "%.*s/%.*s", (int)access_key.len, (const char *)access_key.data,
			(int)s->scope.len, (const char *)s->scope.data)));
	param_put(&query, "X-Amz-Date", s->timestamp);
	param_put(&query, "X-Amz-Expires", bytes_str(arena_printf(arena, "%u", expires)));
	param_put(&query, "X-Amz-SignedHeaders", BYTES_LITERAL("host"));
	if (token.data)
		param_put(&query, "X-Amz-Security-Token", token);
	return buf_bytes(&query);
}

char *
sigv4_presign(struct arena *arena, const struct sigv4_request *r, struct bytes access_key, struct bytes secret,
	struct bytes token, uint32_t expires)
{
	struct sigv4 s = {.kind = SIGV4_QUERY,
		.signed_headers = BYTES_LITERAL("host"),
		.payload_text = BYTES_LITERAL(SIGV4_UNSIGNED)};
	struct sigv4_request full = *r;
	char date[17], signature[65];
	uint8_t key[32];
	bool is_ok;

	date_compact(r->now_ns, date);
	s.timestamp = bytes_str(date);
	s.scope = bytes_str(arena_printf(arena, "%.8s/%.*s/%s/aws4_request", date, (int)r->region.len,
		(const char *)r->region.data, r->service));
	full.query = query_make(arena, r, &s, access_key, token, expires);
	sigv4_signing_key(secret, bytes_of(date, 8), r->region, bytes_str(r->service), key);
	is_ok = sigv4_signature(arena, &full, &s, key, signature);
	explicit_bzero(key, sizeof(key));
	if (!is_ok)
		return NULL;
	return arena_printf(
		arena, "%.*s&X-Amz-Signature=%s", (int)full.query.len, (const char *)full.query.data, signature);
}
