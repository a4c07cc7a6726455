/*
 * s3_cors.c: a bucket's CORS rules: set, read, removed, and applied to preflights and to requests that have an Origin.
 *
 * Sources: Amazon S3 user guide, "Using cross-origin resource sharing (CORS)"; Fetch standard, section 3.2. The first
 * rule whose origin, method and (in a preflight) headers fit decides. The bucket keeps the document as it was sent.
 */
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"
#include "managers/metadata/metadata.h"
#include <strings.h>

enum rfs_err
s3_put_bucket_cors(struct s3_exchange *ex)
{
	struct bytes document = s3_document(ex);
	struct bucket_changes changes = {.cors = &document};
	struct s3_cors rules;
	enum rfs_err err;

	if ((err = s3_xml_read_cors(ex->rq, document, &rules)))
		return err;
	return bucket_configure(ex->door->core, ex->rq, ex->bucket, &changes);
}

enum rfs_err
s3_get_bucket_cors(struct s3_exchange *ex)
{
	struct bucket_row row;
	enum rfs_err err;

	if ((err = bucket_open(ex->door->core, ex->rq, ex->bucket, OP_BUCKET_CONFIGURE, &row)))
		return err;
	if (row.cors.len == 0)
		return RFS_ERR_NO_SUCH_CORS;
	s3_reply_header(ex, "Content-Type", BYTES_LITERAL("application/xml"));
	buf_put_bytes(&ex->reply.document, row.cors);
	return RFS_OK;
}

enum rfs_err
s3_delete_bucket_cors(struct s3_exchange *ex)
{
	struct bytes none = BYTES_LITERAL("");
	struct bucket_changes changes = {.cors = &none};
	enum rfs_err err = bucket_configure(ex->door->core, ex->rq, ex->bucket, &changes);

	if (!err)
		ex->reply.status = 204;
	return err;
}

/* With at most one '*' in the pattern. */
static bool
matches(struct bytes pattern, struct bytes text, bool any_case)
{
	size_t star = bytes_find(pattern, '*', 0), tail;
	int (*compare)(const char *, const char *, size_t) = any_case ? strncasecmp : strncmp;

	if (star == SIZE_MAX)
		return pattern.len == text.len &&
		       compare((const char *)pattern.data, (const char *)text.data, text.len) == 0;
	tail = pattern.len - star - 1;
	return text.len >= star + tail && compare((const char *)pattern.data, (const char *)text.data, star) == 0 &&
	       compare((const char *)pattern.data + star + 1, (const char *)text.data + text.len - tail, tail) == 0;
}

static bool
any_matches(const struct bytes *patterns, size_t count, struct bytes text, bool any_case, struct bytes *which)
{
	for (size_t i = 0; i < count; i++) {
		if (matches(patterns[i], text, any_case)) {
			*which = patterns[i];
			return true;
		}
	}
	return false;
}

/* Each name of a list with commas is allowed. `out`: the names as Amazon S3 gives them back, in lower case. */
static bool
headers_match(struct arena *arena, const struct s3_cors_rule *rule, struct bytes list, struct bytes *out)
{
	size_t at = 0;
	struct bytes which;
	struct buf names;

	buf_init(&names, arena);
	while (at < list.len) {
		size_t comma = bytes_find(list, ',', at);
		size_t end = comma == SIZE_MAX ? list.len : comma;
		struct bytes name = s3_trim(bytes_sub(list, at, end - at));

		at = end + 1;
		if (!name.len)
			continue;
		if (!any_matches(rule->headers, rule->header_count, name, true, &which))
			return false;
		if (names.len)
			buf_put_str(&names, ", ");
		buf_put_bytes(&names, s3_lower(arena, name));
	}
	*out = buf_bytes(&names);
	return true;
}

static struct bytes
join(struct arena *arena, const struct bytes *words, size_t count)
{
	struct buf b;

	buf_init(&b, arena);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_put_str(&b, ", ");
		buf_put_bytes(&b, words[i]);
	}
	return buf_bytes(&b);
}

static void
answer_from(struct s3_exchange *ex, const struct s3_cors_rule *rule, struct bytes origin, struct bytes pattern,
	struct bytes headers)
{
	ex->cors = (struct s3_cors_answer){
		.allowed = true,
		.any_origin = bytes_equal_str(pattern, "*"),
		.origin = origin,
		.methods = join(ex->rq->arena, rule->methods, rule->method_count),
		.headers = headers,
		.expose = join(ex->rq->arena, rule->expose_headers, rule->expose_header_count),
		.max_age_seconds = rule->max_age_seconds,
	};
}

static enum rfs_err
apply_rules(struct s3_exchange *ex, struct bytes document)
{
	struct bytes origin = s3_header(ex, "origin"), headers = {0}, allowed, pattern, which;
	struct bytes method = s3_header(ex, "access-control-request-method");
	struct s3_cors cors;
	enum rfs_err err;

	if ((err = s3_xml_read_cors(ex->rq, document, &cors)))
		return err;
	if (!method.data)
		method = ex->http->method;
	if (ex->method == S3_OPTIONS)
		headers = s3_header(ex, "access-control-request-headers");
	for (size_t i = 0; i < cors.count; i++) {
		const struct s3_cors_rule *rule = &cors.rules[i];

		if (!any_matches(rule->origins, rule->origin_count, origin, false, &pattern) ||
			!any_matches(rule->methods, rule->method_count, method, false, &which) ||
			!headers_match(ex->rq->arena, rule, headers, &allowed))
			continue;
		answer_from(ex, rule, origin, pattern, allowed);
		break;
	}
	return RFS_OK;
}

enum rfs_err
s3_cors_look_up(struct s3_exchange *ex)
{
	struct bucket_row row;
	enum rfs_err err;

	if (ex->cors_known || ex->bucket.len == 0 || !s3_header(ex, "origin").len)
		return RFS_OK;
	err = bucket_find(ex->door->core->metadata, ex->rq, ex->bucket, &row);
	if (err == RFS_ERR_WOULD_BLOCK)
		return err;
	if (!err && row.cors.len)
		err = apply_rules(ex, row.cors);
	if (err)
		request_clear_error(ex->rq); /* the operation itself will meet it */
	ex->cors_known = true;
	return RFS_OK;
}

void
s3_cors_write(struct s3_exchange *ex)
{
	const struct s3_cors_answer *c = &ex->cors;
	struct http_exchange *x = ex->http;

	if (!c->allowed)
		return;
	http_reply_header(x, "Access-Control-Allow-Origin", c->any_origin ? BYTES_LITERAL("*") : c->origin);
	http_reply_header(x, "Access-Control-Allow-Methods", c->methods);
	if (c->headers.len)
		http_reply_header(x, "Access-Control-Allow-Headers", c->headers);
	if (c->expose.len)
		http_reply_header(x, "Access-Control-Expose-Headers", c->expose);
	if (c->max_age_seconds >= 0)
		http_reply_header_printf(x, "Access-Control-Max-Age", "%lld", (long long)c->max_age_seconds);
	if (!c->any_origin)
		http_reply_header(x, "Access-Control-Allow-Credentials", BYTES_LITERAL("true"));
	http_reply_header(
		x, "Vary", BYTES_LITERAL("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"));
}

/* OPTIONS: never authenticated, as browsers do not sign it. */
enum rfs_err
s3_preflight(struct s3_exchange *ex)
{
	struct bytes method = s3_header(ex, "access-control-request-method"), which;
	static const struct bytes methods[] = {{(const uint8_t *)"GET", 3}, {(const uint8_t *)"PUT", 3},
		{(const uint8_t *)"POST", 4}, {(const uint8_t *)"DELETE", 6}, {(const uint8_t *)"HEAD", 4}};
	struct bucket_row row;
	enum rfs_err err;

	if (!s3_header(ex, "origin").len)
		return request_fail(
			ex->rq, RFS_ERR_BAD_HTTP, "Insufficient information. Origin request header needed.");
	if (!method.data)
		method = BYTES_LITERAL("null"); /* for the message */
	if (!any_matches(methods, sizeof(methods) / sizeof(methods[0]), method, false, &which))
		return request_fail(ex->rq, RFS_ERR_BAD_HTTP, "Invalid Access-Control-Request-Method: %.*s",
			(int)method.len, (const char *)method.data);
	if ((err = bucket_find(ex->door->core->metadata, ex->rq, ex->bucket, &row)))
		return err;
	if (row.cors.len == 0)
		return request_fail(
			ex->rq, RFS_ERR_CORS_FORBIDDEN, "CORSResponse: CORS is not enabled for this bucket.");
	if (!ex->cors.allowed)
		return request_fail(ex->rq, RFS_ERR_CORS_FORBIDDEN, "CORSResponse: This CORS request is not allowed.");
	return RFS_OK;
}
