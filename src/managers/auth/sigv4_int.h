/* sigv4_int.h: shared by the parts of sigv4: reading the credential (sigv4_parse.c), computing the signature
 * (sigv4.c), and of presigned URLs (sigv4_presign.c). */
#ifndef MANAGERS_AUTH_SIGV4_INT_H
#define MANAGERS_AUTH_SIGV4_INT_H

#include "managers/auth/sigv4.h"

#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_QUERY_PARAMS_MAX 256
#define SIGV4_SIGNED_HEADERS_MAX 128

/* The first header of that name, or NULL. */
const struct sigv4_header *sigv4_header_find(const struct sigv4_request *r, const char *name);
/* Cuts the text before the next `separator` off the front of `rest`; the last one takes all. */
struct bytes sigv4_take(struct bytes *rest, uint8_t separator);
/* The signature, as 64 hex digits and a NUL. False: path or query cannot be decoded. */
bool sigv4_signature(struct arena *arena, const struct sigv4_request *r, const struct sigv4 *s,
	const uint8_t signing_key[32], char out[65]);

#endif
