/* sigv4_parse.c: finds the credential of a request, in its Authorization header or in its query, and reads it. */
#include "managers/auth/sigv4_int.h"
#include "base/clock.h"
#include "base/hash.h"
#include "net/url.h"

#define ACCESS_KEY_MAX 128

const struct sigv4_header *
sigv4_header_find(const struct sigv4_request *r, const char *name)
{
	for (size_t i = 0; i < r->header_count; i++) {
		if (bytes_equal_str(r->headers[i].name, name))
			return &r->headers[i];
	}
	return NULL;
}

struct bytes
sigv4_take(struct bytes *rest, uint8_t separator)
{
	size_t at = bytes_find(*rest, separator, 0);
	struct bytes taken = at == SIZE_MAX ? *rest : bytes_sub(*rest, 0, at);

	*rest = at == SIZE_MAX ? bytes_sub(*rest, rest->len, 0) : bytes_sub(*rest, at + 1, rest->len - at - 1);
	return taken;
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

/* What was sent, for an error's text. */
#define SHOW(v) (int)((v).len < 200 ? (v).len : 200), (const char *)(v).data

/* Cuts "/component" off the end of `rest`. An access key may hold '/', so the scope is read from its end. */
static bool
take_last(struct bytes *rest, struct bytes *component)
{
	for (size_t i = rest->len; i > 0; i--) {
		if (rest->data[i - 1] != '/')
			continue;
		*component = bytes_sub(*rest, i, rest->len - i);
		rest->len = i - 1;
		return true;
	}
	return false;
}

/* access-key/date/region/service/aws4_request */
static enum rfs_err
credential_parse(struct request *rq, struct bytes text, enum rfs_err malformed, struct sigv4 *out)
{
	struct bytes rest = text, terminator;

	if (!take_last(&rest, &terminator) || !take_last(&rest, &out->service) || !take_last(&rest, &out->region) ||
		!take_last(&rest, &out->date) || rest.len == 0 || rest.len > ACCESS_KEY_MAX)
		return request_fail(rq, malformed,
			"the Credential is malformed; expecting "
			"\"<access-key>/YYYYMMDD/<region>/<service>/aws4_request\"");
	if (!bytes_equal_str(terminator, "aws4_request"))
		return request_fail(
			rq, malformed, "the Credential ends in \"%.*s\"; expecting \"aws4_request\"", SHOW(terminator));
	out->access_key = rest;
	out->scope = bytes_sub(text, rest.len + 1, text.len - rest.len - 1);
	return RFS_OK;
}

/* The scope must be of this service, region and day. */
static enum rfs_err
scope_check(struct request *rq, const struct sigv4_request *r, enum rfs_err malformed, const struct sigv4 *s)
{
	if (!bytes_equal_str(s->service, r->service))
		return request_fail(
			rq, malformed, "the service \"%.*s\" is wrong; expecting \"%s\"", SHOW(s->service), r->service);
	if (r->region.data && !bytes_equal(s->region, r->region))
		return request_fail(rq, malformed, "the region '%.*s' is wrong; expecting '%.*s'", SHOW(s->region),
			SHOW(r->region));
	if (!bytes_equal(s->date, bytes_sub(s->timestamp, 0, 8)))
		return request_fail(rq, malformed,
			"Invalid credential date \"%.*s\". This date is not the same as X-Amz-Date: \"%.*s\"",
			SHOW(s->date), 8, (const char *)s->timestamp.data);
	return RFS_OK;
}

/* A list such as "host;x-amz-date": bounded, without repetition, or a long header would be hashed once for each time
 * that it is named. */
static bool
signed_headers_are_sane(struct bytes list)
{
	struct bytes seen[SIGV4_SIGNED_HEADERS_MAX];
	size_t count = 0;

	while (list.len > 0) {
		struct bytes name = sigv4_take(&list, ';');

		if (name.len == 0 || count == SIGV4_SIGNED_HEADERS_MAX)
			return false;
		for (size_t i = 0; i < count; i++) {
			if (bytes_equal(seen[i], name))
				return false;
		}
		seen[count++] = name;
	}
	return count > 0;
}

static enum rfs_err
payload_parse(struct request *rq, struct bytes text, struct sigv4 *out)
{
	static const struct {
		const char *text;
		enum sigv4_payload payload;
	} names[] = {
		{SIGV4_UNSIGNED, PAYLOAD_UNSIGNED},
		{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", PAYLOAD_STREAMING_SIGNED},
		{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", PAYLOAD_STREAMING_SIGNED_TRAILER},
		{"STREAMING-UNSIGNED-PAYLOAD-TRAILER", PAYLOAD_STREAMING_UNSIGNED_TRAILER},
	};

	out->payload_text = text;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (bytes_equal_str(text, names[i].text)) {
			out->payload = names[i].payload;
			return RFS_OK;
		}
	}
	if (bytes_starts_with(text, BYTES_LITERAL("STREAMING-AWS4-ECDSA-")))
		return request_fail(rq, RFS_ERR_NOT_IMPLEMENTED, "Signature Version 4A is not supported");
	if (!hex_decode(text, out->payload_sha256, sizeof(out->payload_sha256)))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT,
			"x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
			"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid "
			"sha256 value");
	out->payload = PAYLOAD_SIGNED;
	return RFS_OK;
}

/* Without x-amz-content-sha256: what that means depends on who signed, and how. */
static enum rfs_err
payload_default(struct request *rq, const struct sigv4_request *r, struct sigv4 *out)
{
	char *hex;

	if (out->kind != SIGV4_HEADER) {
		out->payload = PAYLOAD_UNSIGNED;
		out->payload_text = BYTES_LITERAL(SIGV4_UNSIGNED);
		return RFS_OK;
	}
	if (strcmp(r->service, "s3") == 0 || !r->body_sha256)
		return request_fail(
			rq, RFS_ERR_INVALID_REQUEST, "Missing required header for this request: x-amz-content-sha256");
	hex = arena_alloc(rq->arena, 65);
	hex_encode(bytes_of(r->body_sha256, 32), hex);
	memcpy(out->payload_sha256, r->body_sha256, 32);
	out->payload = PAYLOAD_SIGNED;
	out->payload_text = bytes_str(hex);
	return RFS_OK;
}

static enum rfs_err
payload_find(struct request *rq, const struct sigv4_request *r, const struct url_query *query, struct sigv4 *out)
{
	const struct sigv4_header *header = sigv4_header_find(r, "x-amz-content-sha256");
	const struct url_param *param = NULL;
	enum rfs_err err;

	if (out->kind == SIGV4_QUERY)
		param = url_query_find(query, "X-Amz-Content-Sha256");
	if (!param && !header)
		return payload_default(rq, r, out);
	err = payload_parse(rq, param ? param->value : trim(header->value), out);
	if (err)
		return err;
	if (out->kind == SIGV4_NONE &&
		(out->payload == PAYLOAD_STREAMING_SIGNED || out->payload == PAYLOAD_STREAMING_SIGNED_TRAILER))
		return request_fail(rq, RFS_ERR_INVALID_REQUEST, "a body in signed chunks needs a signed request");
	return RFS_OK;
}

/* x-amz-date, or else Date in either form. */
static enum rfs_err
header_time(struct request *rq, const struct sigv4_request *r, struct sigv4 *out)
{
	const struct sigv4_header *header = sigv4_header_find(r, "x-amz-date");
	char *text = arena_alloc(rq->arena, 17);
	struct bytes value;

	if (!header)
		header = sigv4_header_find(r, "date");
	value = header ? trim(header->value) : bytes_of(NULL, 0);
	if (!header || (!date_parse_compact(value, &out->time_ns) && !date_parse_http(value, &out->time_ns)))
		return request_fail(
			rq, RFS_ERR_ACCESS_DENIED, "AWS authentication requires a valid Date or x-amz-date header");
	date_compact(out->time_ns, text);
	out->timestamp = bytes_str(text);
	return RFS_OK;
}

/* "Credential=..., SignedHeaders=..., Signature=...", in any order. */
static enum rfs_err
header_fields(struct request *rq, struct bytes rest, struct sigv4 *out)
{
	struct bytes credential = {0};

	while (rest.len > 0) {
		struct bytes value = trim(sigv4_take(&rest, ','));
		struct bytes name = sigv4_take(&value, '=');

		if (bytes_equal_str(name, "Credential"))
			credential = value;
		else if (bytes_equal_str(name, "SignedHeaders"))
			out->signed_headers = value;
		else if (bytes_equal_str(name, "Signature"))
			out->signature = value;
	}
	if (credential.len == 0)
		return request_fail(rq, RFS_ERR_AUTH_HEADER_MALFORMED, "the Authorization header has no Credential");
	if (!signed_headers_are_sane(out->signed_headers))
		return request_fail(
			rq, RFS_ERR_AUTH_HEADER_MALFORMED, "the Authorization header needs a valid SignedHeaders");
	if (out->signature.len == 0)
		return request_fail(rq, RFS_ERR_AUTH_HEADER_MALFORMED, "the Authorization header has no Signature");
	return credential_parse(rq, credential, RFS_ERR_AUTH_HEADER_MALFORMED, out);
}

static enum rfs_err
header_parse(struct request *rq, const struct sigv4_request *r, struct bytes value, struct sigv4 *out)
{
	const struct sigv4_header *token = sigv4_header_find(r, "x-amz-security-token");
	struct bytes rest = trim(value);
	struct bytes algorithm = sigv4_take(&rest, ' ');
	enum rfs_err err;

	out->kind = SIGV4_HEADER;
	if (bytes_equal_str(algorithm, "AWS"))
		return request_fail(rq, RFS_ERR_INVALID_REQUEST,
			"The authorization mechanism you have provided is not supported. Please use " SIGV4_ALGORITHM);
	if (!bytes_equal_str(algorithm, SIGV4_ALGORITHM))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "Unsupported Authorization Type");
	if ((err = header_fields(rq, rest, out)))
		return err;
	if ((err = header_time(rq, r, out)))
		return err;
	if (token)
		out->security_token = trim(token->value);
	return scope_check(rq, r, RFS_ERR_AUTH_HEADER_MALFORMED, out);
}

static enum rfs_err
query_expires(struct request *rq, struct bytes text, struct sigv4 *out)
{
	uint64_t seconds;

	if (!bytes_to_u64(text, &seconds))
		return request_fail(rq, RFS_ERR_AUTH_QUERY_ERROR, "X-Amz-Expires should be a number");
	if (seconds < 1 || seconds > SIGV4_EXPIRES_MAX)
		return request_fail(rq, RFS_ERR_AUTH_QUERY_ERROR,
			"X-Amz-Expires must be between 1 and %d seconds (a week)", SIGV4_EXPIRES_MAX);
	out->expires = (uint32_t)seconds;
	return RFS_OK;
}

static enum rfs_err
query_parse(struct request *rq, const struct sigv4_request *r, const struct url_query *query, struct sigv4 *out)
{
	const struct url_param *algorithm = url_query_find(query, "X-Amz-Algorithm");
	const struct url_param *credential = url_query_find(query, "X-Amz-Credential");
	const struct url_param *signature = url_query_find(query, "X-Amz-Signature");
	const struct url_param *date = url_query_find(query, "X-Amz-Date");
	const struct url_param *headers = url_query_find(query, "X-Amz-SignedHeaders");
	const struct url_param *expires = url_query_find(query, "X-Amz-Expires");
	const struct url_param *token = url_query_find(query, "X-Amz-Security-Token");
	enum rfs_err err;

	out->kind = SIGV4_QUERY;
	if (!algorithm || !credential || !signature || !date || !headers || !expires)
		return request_fail(rq, RFS_ERR_AUTH_QUERY_ERROR,
			"Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
			"X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters");
	if (!bytes_equal_str(algorithm->value, SIGV4_ALGORITHM))
		return request_fail(
			rq, RFS_ERR_AUTH_QUERY_ERROR, "X-Amz-Algorithm only supports \"" SIGV4_ALGORITHM "\"");
	if ((err = query_expires(rq, expires->value, out)))
		return err;
	if (!date_parse_compact(date->value, &out->time_ns))
		return request_fail(rq, RFS_ERR_AUTH_QUERY_ERROR,
			"X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
	if (!signed_headers_are_sane(headers->value))
		return request_fail(rq, RFS_ERR_AUTH_QUERY_ERROR, "X-Amz-SignedHeaders is not a valid list");
	if ((err = credential_parse(rq, credential->value, RFS_ERR_AUTH_QUERY_ERROR, out)))
		return err;
	out->timestamp = date->value;
	out->signed_headers = headers->value;
	out->signature = signature->value;
	if (token)
		out->security_token = token->value;
	return scope_check(rq, r, RFS_ERR_AUTH_QUERY_ERROR, out);
}

/* The query is decoded only when it may hold a credential: most requests sign in a header. */
static bool
query_may_sign(struct bytes query)
{
	return query.data && (memmem(query.data, query.len, "X-Amz-", 6) != NULL ||
				     memmem(query.data, query.len, "AWSAccessKeyId", 14) != NULL ||
				     memchr(query.data, '%', query.len) != NULL);
}

enum rfs_err
sigv4_parse(struct request *rq, const struct sigv4_request *r, struct sigv4 *out)
{
	const struct sigv4_header *authorization = sigv4_header_find(r, "authorization");
	struct url_query query = {0};
	bool is_query, is_query_v2;
	enum rfs_err err = RFS_OK;

	*out = (struct sigv4){.kind = SIGV4_NONE};
	if (query_may_sign(r->query) && !url_query_parse(rq->arena, r->query, SIGV4_QUERY_PARAMS_MAX, &query))
		return request_fail(rq, RFS_ERR_INVALID_URI, "the query string cannot be decoded");
	is_query = url_query_find(&query, "X-Amz-Algorithm") || url_query_find(&query, "X-Amz-Credential") ||
		   url_query_find(&query, "X-Amz-Signature");
	is_query_v2 = url_query_find(&query, "AWSAccessKeyId") && url_query_find(&query, "Signature");
	if (authorization && (is_query || is_query_v2))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT,
			"Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
			"string parameter or the Authorization header should be specified");
	if (is_query_v2)
		return request_fail(rq, RFS_ERR_INVALID_REQUEST,
			"The authorization mechanism you have provided is not supported. Please use " SIGV4_ALGORITHM);
	if (is_query)
		err = query_parse(rq, r, &query, out);
	else if (authorization)
		err = header_parse(rq, r, authorization->value, out);
	return err ? err : payload_find(rq, r, &query, out);
}
