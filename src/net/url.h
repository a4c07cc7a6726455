/*
 * url.h: percent-encoding (RFC 3986, section 2) and query strings, as S3 reads and writes them. Pure functions. [any]
 *
 * S3 encodes every byte but A-Z a-z 0-9 - . _ ~ and writes hex digits in upper case (Amazon S3 API reference,
 * "Authenticating requests", UriEncode). In a query string '+' means a space; in a path it is itself.
 */
#ifndef NET_URL_H
#define NET_URL_H

#include "base/arena.h"
#include "base/bytes.h"

/* Into the arena, or the input itself where nothing is encoded. False: a '%' without two hex digits behind it. */
bool url_decode(struct arena *arena, struct bytes in, bool plus_is_space, struct bytes *out);

/* Appends; `keep_slash` leaves '/' as it is, as paths and keys want it. */
void url_encode(struct buf *out, struct bytes in, bool keep_slash);

/* One parameter of a query string, decoded. `?acl` and `?acl=` differ only in has_value. */
struct url_param {
	struct bytes name;
	struct bytes value;
	bool has_value;
};

struct url_query {
	struct url_param *params; /* in the order in which they came */
	size_t count;
};

/* Without the '?'. Empty pieces ("a&&b") are skipped. False: bad percent-encoding, or more than `limit` parameters. */
bool url_query_parse(struct arena *arena, struct bytes raw, size_t limit, struct url_query *out);

/* The first parameter of that exact name, or NULL. */
const struct url_param *url_query_find(const struct url_query *query, const char *name);

#endif
