/*
 * sigv4.h: AWS Signature Version 4, verified and made. Pure functions over a description of a request: no I/O, no
 * state. [any]
 *
 * Used by the S3 and admin doors, and by the command line as a client. The caller finds the secret of `access_key`
 * between sigv4_parse and sigv4_verify, and may cache the signing key by (access key, date, region, service): it costs
 * four HMACs.
 *
 * Rules: Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)": canonical request, query
 * parameters, chunked uploads. The path is encoded once and never normalised. Every x-amz-* header that came must be
 * signed, in presigned requests too: or the holder of a presigned PUT could add x-amz-copy-source. x-amz-content-sha256
 * needs not be listed: its value is signed in any case.
 */
#ifndef MANAGERS_AUTH_SIGV4_H
#define MANAGERS_AUTH_SIGV4_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/request.h"

#define SIGV4_SKEW_NS (15 * 60 * NS_PER_SECOND)       /* how far a client's clock may be off */
#define SIGV4_EXPIRES_MAX 604800                      /* seconds: seven days */

struct sigv4_header {
	struct bytes name; /* lower case */
	struct bytes value;
};

struct sigv4_request {
	struct bytes method;
	struct bytes path;  /* raw, percent-encoded as sent, without the query */
	struct bytes query; /* raw, without the '?' */
	const struct sigv4_header *headers;
	size_t header_count;
	int64_t now_ns;
	bool over_tls;              /* not looked at: S3 takes unsigned payloads in clear, too */
	const char *service;        /* "s3", "restfs-admin": what the scope must name */
	struct bytes region;        /* what the scope must name; data NULL: any */
	const uint8_t *body_sha256; /* of the whole body, where the door has it already: stands in for a missing
				       x-amz-content-sha256 of services other than s3; NULL: not known */
};

enum sigv4_kind {
	SIGV4_NONE,   /* no credential: anonymous */
	SIGV4_HEADER, /* Authorization: AWS4-HMAC-SHA256 ... */
	SIGV4_QUERY,  /* ?X-Amz-Algorithm=...: presigned */
};

/* What x-amz-content-sha256 promises about the body. The door keeps it to that. */
enum sigv4_payload {
	PAYLOAD_UNSIGNED,                   /* UNSIGNED-PAYLOAD, or none given with a presigned request */
	PAYLOAD_SIGNED,                     /* payload_sha256 must be the body's */
	PAYLOAD_STREAMING_SIGNED,           /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
	PAYLOAD_STREAMING_SIGNED_TRAILER,   /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER */
	PAYLOAD_STREAMING_UNSIGNED_TRAILER, /* STREAMING-UNSIGNED-PAYLOAD-TRAILER */
};

/* Views into the request, or its arena. */
struct sigv4 {
	enum sigv4_kind kind;
	struct bytes access_key;
	struct bytes date; /* YYYYMMDD, of the scope */
	struct bytes region;
	struct bytes service;
	struct bytes scope;          /* date/region/service/aws4_request */
	struct bytes timestamp;      /* YYYYMMDDTHHMMSSZ, as in the string to sign */
	struct bytes signed_headers; /* a;b;c, as sent */
	struct bytes signature;      /* 64 hex digits: also the seed of a chunked body's signatures */
	struct bytes security_token; /* x-amz-security-token; empty: none */
	int64_t time_ns;             /* timestamp */
	uint32_t expires;            /* seconds; SIGV4_QUERY only */
	enum sigv4_payload payload;
	struct bytes payload_text;  /* as it stands in the canonical request */
	uint8_t payload_sha256[32]; /* PAYLOAD_SIGNED only */
};

/*
 * Finds the credential, if any: out->kind NONE is a success. Also without a credential, `payload` says how the body is
 * framed. Errors: AUTH_HEADER_MALFORMED, AUTH_QUERY_ERROR, INVALID_ARGUMENT (both forms at once, a bad
 * x-amz-content-sha256), INVALID_REQUEST (Signature Version 2, missing x-amz-content-sha256), ACCESS_DENIED (no date),
 * NOT_IMPLEMENTED (Version 4A), INVALID_URI (a query that cannot be decoded).
 */
RFS_MUST_CHECK enum rfs_err sigv4_parse(struct request *rq, const struct sigv4_request *r, struct sigv4 *out);

/* `date` is YYYYMMDD. */
void sigv4_signing_key(
	struct bytes secret, struct bytes date, struct bytes region, struct bytes service, uint8_t out[32]);

/*
 * Looks at the time, then compares the signature, in constant time. `s` came from sigv4_parse of the same `r` with kind
 * HEADER or QUERY. May be repeated. Errors: SIGNATURE_MISMATCH, REQUEST_TIME_SKEWED, REQUEST_EXPIRED, ACCESS_DENIED
 * (headers not signed, not yet valid), INVALID_URI (a path or query that cannot be decoded).
 */
RFS_MUST_CHECK enum rfs_err sigv4_verify(
	struct request *rq, const struct sigv4_request *r, const struct sigv4 *s, const uint8_t signing_key[32]);

/* A client's three headers, NUL-terminated, in the arena. */
struct sigv4_signed {
	char *authorization;
	char *x_amz_date;
	char *x_amz_content_sha256;
};

/*
 * Signs with the Authorization header, all of r->headers (host must be among them; x-amz-date and x-amz-content-sha256
 * must not: they are made here) and r->body_sha256 (NULL: UNSIGNED-PAYLOAD), at r->now_ns, for r->region and
 * r->service. False: path or query cannot be decoded.
 */
RFS_MUST_CHECK bool sigv4_sign(struct arena *arena, const struct sigv4_request *r, struct bytes access_key,
	struct bytes secret, struct sigv4_signed *out);

/*
 * The query string of a presigned URL, NUL-terminated, in the arena: r's method, path and query, its one header host,
 * for `expires` seconds (1 to SIGV4_EXPIRES_MAX) from r->now_ns. `token`: x-amz-security-token; data NULL: none. NULL:
 * path or query cannot be decoded.
 */
char *sigv4_presign(struct arena *arena, const struct sigv4_request *r, struct bytes access_key, struct bytes secret,
	struct bytes token, uint32_t expires);

#endif
