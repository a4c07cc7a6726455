/*
 * s3_request.c: what a request carries: who asks (Signature Version 4), headers, parameters, conditions, expected
 * owners.
 *
 * Sources: Amazon S3 API reference, "Authenticating Requests", "Common Request Headers"; RFC 9110, section 13.
 */
#include "base/clock.h"
#include "doors/s3/s3_int.h"
#include "managers/metadata/metadata.h"
#include <strings.h>

_Static_assert(sizeof(struct http_header) == sizeof(struct sigv4_header) &&
		       offsetof(struct http_header, name) == offsetof(struct sigv4_header, name) &&
		       offsetof(struct http_header, value) == offsetof(struct sigv4_header, value),
	"a request's headers are given to sigv4 as they are");

static bool
equal_nocase(struct bytes a, const char *b)
{
	return a.len == strlen(b) && strncasecmp((const char *)a.data, b, a.len) == 0;
}

struct bytes
s3_header(const struct s3_exchange *ex, const char *name)
{
	struct bytes value = http_header_get(ex->http, name);

	if (value.data || ex->signature.kind != SIGV4_QUERY || strncmp(name, "x-amz-", 6) != 0)
		return value;
	for (size_t i = 0; i < ex->query.count; i++)
		if (equal_nocase(ex->query.params[i].name, name))
			return ex->query.params[i].value.data ? ex->query.params[i].value : BYTES_LITERAL("");
	return value;
}

struct bytes
s3_param(const struct s3_exchange *ex, const char *name)
{
	const struct url_param *p = url_query_find(&ex->query, name);

	if (!p)
		return (struct bytes){0};
	return p->value.data ? p->value : BYTES_LITERAL("");
}

enum rfs_err
s3_param_number(struct s3_exchange *ex, const char *name, uint64_t min, uint64_t max, uint64_t *value)
{
	struct bytes text = s3_param(ex, name);

	if (!text.data)
		return RFS_OK;
	if (!bytes_to_u64(text, value) || *value < min || *value > max)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT,
			"Argument %s must be an integer between %llu and %llu", name, (unsigned long long)min,
			(unsigned long long)max);
	return RFS_OK;
}

enum rfs_err
s3_check_version_id(struct s3_exchange *ex, struct bytes id)
{
	if (!id.data || bytes_equal_str(id, "null"))
		return RFS_OK;
	if (id.len == 0)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Version id cannot be the empty string");
	if (id.len > 1024)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Invalid version id specified");
	for (size_t i = 0; i < id.len; i++)
		if (id.data[i] <= ' ' || id.data[i] >= 0x7F)
			return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Invalid version id specified");
	return request_fail(ex->rq, RFS_ERR_NO_SUCH_VERSION, "The specified version does not exist.");
}

/* The header `name`, or of a copy's source `prefix` and `name`. */
static struct bytes
prefixed_header(struct s3_exchange *ex, const char *prefix, const char *name)
{
	return s3_header(ex, prefix[0] ? arena_printf(ex->rq->arena, "%s%s", prefix, name) : name);
}

/* A date that cannot be read is as if it had not come (RFC 9110, 13.1.3). */
static int64_t
date_header(struct s3_exchange *ex, const char *prefix, const char *name)
{
	struct bytes text = prefixed_header(ex, prefix, name);
	int64_t ns;

	return text.data && (date_parse_http(text, &ns) || date_parse_iso8601(text, &ns)) ? ns : 0;
}

void
s3_conditions(struct s3_exchange *ex, const char *prefix, struct conditions *out)
{
	*out = (struct conditions){
		.if_match = prefixed_header(ex, prefix, "if-match"),
		.if_none_match = prefixed_header(ex, prefix, "if-none-match"),
		.if_modified_since_ns = date_header(ex, prefix, "if-modified-since"),
		.if_unmodified_since_ns = date_header(ex, prefix, "if-unmodified-since"),
	};
}

/* If-Modified-Since is of reads only (RFC 9110, 13.1.3). */
void
s3_write_conditions(struct s3_exchange *ex, struct conditions *out)
{
	s3_conditions(ex, "", out);
	out->if_modified_since_ns = 0;
}

static void
signing_init(struct s3_exchange *ex)
{
	ex->signing = (struct sigv4_request){
		.method = ex->http->method,
		.path = ex->http->path,
		.query = ex->http->query,
		.headers = ex->headers,
		.header_count = ex->header_count,
		.now_ns = ex->rq->now_ns,
		.over_tls = ex->rq->over_tls,
		.service = "s3",
		.region = bytes_str(ex->door->config->s3_region),
	};
}

/* A link whose life is out of bounds is as good as one that has expired: 403, and not 400 as other faults of a link. */
static bool
has_bad_expiry(const struct s3_exchange *ex)
{
	for (size_t i = 0; i < ex->query.count; i++) {
		struct bytes value = ex->query.params[i].value;
		uint64_t seconds;

		if (!equal_nocase(ex->query.params[i].name, "x-amz-expires"))
			continue;
		if (value.len && value.data[0] == '-')
			return bytes_to_u64(bytes_sub(value, 1, SIZE_MAX), &seconds);
		return bytes_to_u64(value, &seconds) && (seconds == 0 || seconds > SIGV4_EXPIRES_MAX);
	}
	return false;
}

enum rfs_err
s3_authenticate(struct s3_exchange *ex)
{
	struct request *rq = ex->rq;
	const struct identity *who = NULL;
	enum rfs_err err;

	signing_init(ex);
	if ((err = sigv4_parse(rq, &ex->signing, &ex->signature)))
		return err == RFS_ERR_AUTH_QUERY_ERROR && has_bad_expiry(ex) ? RFS_ERR_REQUEST_EXPIRED : err;
	if (ex->signature.kind == SIGV4_NONE) {
		rq->who = auth_anonymous();
		return RFS_OK;
	}
	if (ex->signature.security_token.len)
		return request_fail(rq, RFS_ERR_INVALID_TOKEN, "The provided token is malformed or otherwise invalid.");
	err = auth_signing_key(ex->door->core->auth, rq, ex->signature.access_key, ex->signature.date,
		ex->signature.region, ex->signature.service, ex->signing_key, &who);
	if (err)
		return err;
	if ((err = sigv4_verify(rq, &ex->signing, &ex->signature, ex->signing_key)))
		return err;
	rq->who = who;
	return RFS_OK;
}

/* The owner is named by the canonical id that ACLs and listings show, or by the user's name. */
enum rfs_err
s3_check_owner(struct s3_exchange *ex, const char *header, struct bytes bucket)
{
	struct bytes expected = s3_header(ex, header);
	const struct identity *owner;
	struct bucket_row row;
	enum rfs_err err;

	if (!expected.data || bucket.len == 0)
		return RFS_OK;
	if ((err = bucket_find(ex->door->core->metadata, ex->rq, bucket, &row)))
		return err;
	owner = auth_identity(ex->door->core->auth, ex->rq, row.owner);
	if (bytes_equal_str(expected, owner->display_id) || bytes_equal_str(expected, owner->name))
		return RFS_OK;
	return request_fail(ex->rq, RFS_ERR_ACCESS_DENIED, "Access Denied");
}
