/*
 * admin_auth.c: who signed an administration request. [worker]
 *
 * Signature V4 in the Authorization header, for service "restfs" or "s3" and any region. The body's hash must be
 * signed: here a request is its body. A presigned URL carries no hash, and so is refused.
 */
#include "base/hash.h"
#include "doors/admin/admin_door_int.h"
#include "managers/auth/sigv4.h"

static const struct sigv4_header *
headers_copy(struct http_exchange *x)
{
	struct sigv4_header *headers = ARENA_ARRAY(x->rq.arena, struct sigv4_header, x->header_count);
	size_t i;

	for (i = 0; i < x->header_count; i++)
		headers[i] = (struct sigv4_header){x->headers[i].name, x->headers[i].value};
	return headers;
}

/* Does the credential's scope name S3? `aws` and its kin can sign for it; `restfs` signs for "restfs". */
static bool
is_signed_for_s3(struct http_exchange *x)
{
	struct bytes authorization = http_header_get(x, "authorization");
	static const char scope_end[] = "/s3/aws4_request";

	return authorization.data && memmem(authorization.data, authorization.len, scope_end, sizeof(scope_end) - 1);
}

enum rfs_err
admin_authenticate(struct admin_door *d, struct http_exchange *x, struct bytes body)
{
	struct request *rq = &x->rq;
	uint8_t digest[32], key[32];
	struct sigv4_request request = {
		.method = x->method,
		.path = x->path,
		.query = x->query,
		.headers = headers_copy(x),
		.header_count = x->header_count,
		.now_ns = rq->now_ns,
		.over_tls = rq->over_tls,
		.service = is_signed_for_s3(x) ? "s3" : "restfs",
		.body_sha256 = digest,
	};
	const struct identity *who;
	struct sigv4 signature;
	enum rfs_err err;

	sha256(body, digest);
	if ((err = sigv4_parse(rq, &request, &signature)))
		return err;
	if (signature.kind == SIGV4_NONE)
		return request_fail(
			rq, RFS_ERR_ACCESS_DENIED, "administration must be signed with an administrator's key");
	if (signature.payload != PAYLOAD_SIGNED)
		return request_fail(
			rq, RFS_ERR_MISSING_SECURITY_HEADER, "x-amz-content-sha256 must be the body's SHA-256");
	if (!bytes_equal_secret(bytes_of(signature.payload_sha256, 32), bytes_of(digest, 32)))
		return RFS_ERR_CONTENT_SHA256_MISMATCH;
	err = auth_signing_key(d->rpc.core->auth, rq, signature.access_key, signature.date, signature.region,
		signature.service, key, &who);
	if (err == RFS_OK)
		err = sigv4_verify(rq, &request, &signature, key);
	if (err == RFS_OK)
		rq->who = who;
	explicit_bzero(key, sizeof(key));
	return err;
}
