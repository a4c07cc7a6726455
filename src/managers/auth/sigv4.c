/* sigv4.c: the canonical request, the string to sign, and the signature; verifying and making it. */
#include "managers/auth/sigv4_int.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "net/url.h"
#include <stdlib.h>

void
sigv4_signing_key(struct bytes secret, struct bytes date, struct bytes region, struct bytes service, uint8_t out[32])
{
	struct buf start;
	uint8_t of_date[32], of_region[32], of_service[32];

	buf_init(&start, NULL);
	buf_put_str(&start, "AWS4");
	buf_put_bytes(&start, secret);
	hmac_sha256(buf_bytes(&start), date, of_date);
	hmac_sha256(bytes_of(of_date, 32), region, of_region);
	hmac_sha256(bytes_of(of_region, 32), service, of_service);
	hmac_sha256(bytes_of(of_service, 32), BYTES_LITERAL("aws4_request"), out);
	explicit_bzero(of_date, sizeof(of_date));
	explicit_bzero(of_region, sizeof(of_region));
	explicit_bzero(of_service, sizeof(of_service));
	explicit_bzero(start.data, start.len);
	buf_fini(&start);
}

struct pair {
	struct bytes name;
	struct bytes value;
};

static int
pair_compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = bytes_compare(x->name, y->name);

	return order ? order : bytes_compare(x->value, y->value);
}

static struct bytes
encoded(struct arena *arena, struct bytes text)
{
	struct buf b;

	buf_init(&b, arena);
	url_encode(&b, text, false);
	return buf_bytes(&b);
}

/* Encoded names and values, sorted by name, then value; without the signature itself. */
static bool
canonical_query(struct arena *arena, struct buf *out, struct bytes raw, bool is_presigned)
{
	struct url_query query;
	struct pair *pairs;
	size_t count = 0;

	if (!url_query_parse(arena, raw, SIGV4_QUERY_PARAMS_MAX, &query))
		return false;
	pairs = ARENA_ARRAY(arena, struct pair, query.count + 1);
	for (size_t i = 0; i < query.count; i++) {
		if (is_presigned && bytes_equal_str(query.params[i].name, "X-Amz-Signature"))
			continue;
		pairs[count].name = encoded(arena, query.params[i].name);
		pairs[count++].value = encoded(arena, query.params[i].value);
	}
	qsort(pairs, count, sizeof(*pairs), pair_compare);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_u8(out, '&');
		buf_put_bytes(out, pairs[i].name);
		buf_u8(out, '=');
		buf_put_bytes(out, pairs[i].value);
	}
	return true;
}

/* Trimmed, and each run of blanks inside is one space. */
static void
put_header_value(struct buf *out, struct bytes value)
{
	bool is_started = false, is_blank = false;

	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];

		if (c == ' ' || c == '\t') {
			is_blank = true;
			continue;
		}
		if (is_blank && is_started)
			buf_u8(out, ' ');
		buf_u8(out, c);
		is_started = true;
		is_blank = false;
	}
}

/* "name:value\n"; headers that came several times are joined by commas; one that did not come has no value. */
static void
canonical_header(struct buf *out, const struct sigv4_request *r, struct bytes name)
{
	bool is_first = true;

	buf_put_bytes(out, name);
	buf_u8(out, ':');
	for (size_t i = 0; i < r->header_count; i++) {
		if (!bytes_equal(r->headers[i].name, name))
			continue;
		if (!is_first)
			buf_u8(out, ',');
		put_header_value(out, r->headers[i].value);
		is_first = false;
	}
	buf_u8(out, '\n');
}

/* False: the path or the query cannot be decoded. */
static bool
canonical_request(struct arena *arena, const struct sigv4_request *r, const struct sigv4 *s, struct buf *out)
{
	struct bytes path, rest = s->signed_headers;

	if (!url_decode(arena, r->path, false, &path))
		return false;
	buf_reserve(out, 1024);
	buf_put_bytes(out, r->method);
	buf_u8(out, '\n');
	url_encode(out, path.len ? path : BYTES_LITERAL("/"), true);
	buf_u8(out, '\n');
	if (!canonical_query(arena, out, r->query, s->kind == SIGV4_QUERY))
		return false;
	buf_u8(out, '\n');
	while (rest.len > 0)
		canonical_header(out, r, sigv4_take(&rest, ';'));
	buf_u8(out, '\n');
	buf_put_bytes(out, s->signed_headers);
	buf_u8(out, '\n');
	buf_put_bytes(out, s->payload_text);
	return true;
}

bool
sigv4_signature(struct arena *arena, const struct sigv4_request *r, const struct sigv4 *s,
	const uint8_t signing_key[32], char out[65])
{
	struct buf canonical, to_sign;
	uint8_t digest[32];
	char hex[65];

	buf_init(&canonical, arena);
	if (!canonical_request(arena, r, s, &canonical))
		return false;
	sha256(buf_bytes(&canonical), digest);
	hex_encode(bytes_of(digest, 32), hex);
	buf_init(&to_sign, arena);
	buf_reserve(&to_sign, 256);
	buf_put_str(&to_sign, SIGV4_ALGORITHM "\n");
	buf_put_bytes(&to_sign, s->timestamp);
	buf_u8(&to_sign, '\n');
	buf_put_bytes(&to_sign, s->scope);
	buf_u8(&to_sign, '\n');
	buf_put_str(&to_sign, hex);
	hmac_sha256(bytes_of(signing_key, 32), buf_bytes(&to_sign), digest);
	hex_encode(bytes_of(digest, 32), out);
	return true;
}

static bool
is_signed(struct bytes list, struct bytes name)
{
	while (list.len > 0) {
		if (bytes_equal(sigv4_take(&list, ';'), name))
			return true;
	}
	return false;
}

static enum rfs_err
headers_check(struct request *rq, const struct sigv4_request *r, const struct sigv4 *s)
{
	if (!is_signed(s->signed_headers, BYTES_LITERAL("host")))
		return request_fail(rq, RFS_ERR_ACCESS_DENIED, "the Host header is not signed");
	for (size_t i = 0; i < r->header_count; i++) {
		struct bytes name = r->headers[i].name;

		if (!bytes_starts_with(name, BYTES_LITERAL("x-amz-")) || bytes_equal_str(name, "x-amz-content-sha256"))
			continue;
		if (!is_signed(s->signed_headers, name))
			return request_fail(rq, RFS_ERR_ACCESS_DENIED,
				"There were headers present in the request which were not signed: %.*s", (int)name.len,
				(const char *)name.data);
	}
	return RFS_OK;
}

static enum rfs_err
time_check(struct request *rq, const struct sigv4_request *r, const struct sigv4 *s)
{
	int64_t age_ns = r->now_ns - s->time_ns;

	if (s->kind == SIGV4_QUERY) {
		if (age_ns < -SIGV4_SKEW_NS)
			return request_fail(rq, RFS_ERR_ACCESS_DENIED, "Request is not yet valid");
		if (age_ns > s->expires * NS_PER_SECOND)
			return request_fail(rq, RFS_ERR_REQUEST_EXPIRED, "Request has expired");
	} else if (age_ns > SIGV4_SKEW_NS || age_ns < -SIGV4_SKEW_NS) {
		return request_fail(rq, RFS_ERR_REQUEST_TIME_SKEWED,
			"The difference between the request time and the current time is too large");
	}
	return RFS_OK;
}

enum rfs_err
sigv4_verify(struct request *rq, const struct sigv4_request *r, const struct sigv4 *s, const uint8_t signing_key[32])
{
	char computed[65];
	enum rfs_err err;

	if ((err = time_check(rq, r, s)))
		return err;
	if ((err = headers_check(rq, r, s)))
		return err;
	if (!sigv4_signature(rq->arena, r, s, signing_key, computed))
		return request_fail(rq, RFS_ERR_INVALID_URI, "the path or the query string cannot be decoded");
	if ((s->signature.len != 64 || !bytes_equal_secret(bytes_str(computed), s->signature)) && !MUTANT("signature-ignored"))
		return request_fail(rq, RFS_ERR_SIGNATURE_MISMATCH,
			"The request signature we calculated does not match the signature you provided. Check your "
			"key and signing method");
	return RFS_OK;
}

static int
header_compare(const void *a, const void *b)
{
	return bytes_compare(((const struct sigv4_header *)a)->name, ((const struct sigv4_header *)b)->name);
}

/* r's headers and the two that signing adds, sorted. */
static struct sigv4_header *
headers_to_sign(struct arena *arena, const struct sigv4_request *r, const struct sigv4_signed *made, size_t *count)
{
	struct sigv4_header *headers = ARENA_ARRAY(arena, struct sigv4_header, r->header_count + 2);

	*count = r->header_count + 2;
	for (size_t i = 0; i < r->header_count; i++)
		headers[i] = r->headers[i];
	headers[*count - 2] = (struct sigv4_header){BYTES_LITERAL("x-amz-date"), bytes_str(made->x_amz_date)};
	headers[*count - 1] =
		(struct sigv4_header){BYTES_LITERAL("x-amz-content-sha256"), bytes_str(made->x_amz_content_sha256)};
	qsort(headers, *count, sizeof(*headers), header_compare);
	return headers;
}

static struct bytes
header_names(struct arena *arena, const struct sigv4_header *headers, size_t count)
{
	struct buf names;

	buf_init(&names, arena);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && bytes_equal(headers[i].name, headers[i - 1].name))
			continue;
		if (i > 0)
			buf_u8(&names, ';');
		buf_put_bytes(&names, headers[i].name);
	}
	return buf_bytes(&names);
}

static char *
authorization_text(struct arena *arena, struct bytes access_key, const struct sigv4 *s, const char *signature)
{
	struct buf text;

	buf_init(&text, arena);
	buf_put_str(&text, SIGV4_ALGORITHM " Credential=");
	buf_put_bytes(&text, access_key);
	buf_u8(&text, '/');
	buf_put_bytes(&text, s->scope);
	buf_put_str(&text, ", SignedHeaders=");
	buf_put_bytes(&text, s->signed_headers);
	buf_put_str(&text, ", Signature=");
	buf_put_str(&text, signature);
	buf_u8(&text, 0);
	return (char *)text.data;
}

bool
sigv4_sign(struct arena *arena, const struct sigv4_request *r, struct bytes access_key, struct bytes secret,
	struct sigv4_signed *out)
{
	struct sigv4_request full = *r;
	struct sigv4 s = {.kind = SIGV4_HEADER, .region = r->region, .service = bytes_str(r->service)};
	uint8_t key[32];
	char signature[65];
	bool is_ok;

	out->x_amz_date = arena_alloc(arena, 17);
	date_compact(r->now_ns, out->x_amz_date);
	out->x_amz_content_sha256 = arena_alloc(arena, 65);
	if (r->body_sha256)
		hex_encode(bytes_of(r->body_sha256, 32), out->x_amz_content_sha256);
	else
		memcpy(out->x_amz_content_sha256, SIGV4_UNSIGNED, sizeof(SIGV4_UNSIGNED));
	full.headers = headers_to_sign(arena, r, out, &full.header_count);
	s.signed_headers = header_names(arena, full.headers, full.header_count);
	s.payload_text = bytes_str(out->x_amz_content_sha256);
	s.timestamp = bytes_str(out->x_amz_date);
	s.scope = bytes_str(arena_printf(arena, "%.8s/%.*s/%s/aws4_request", out->x_amz_date, (int)r->region.len,
		(const char *)r->region.data, r->service));
	sigv4_signing_key(secret, bytes_sub(s.timestamp, 0, 8), s.region, s.service, key);
	is_ok = sigv4_signature(arena, &full, &s, key, signature);
	explicit_bzero(key, sizeof(key));
	out->authorization = authorization_text(arena, access_key, &s, is_ok ? signature : "");
	return is_ok;
}
