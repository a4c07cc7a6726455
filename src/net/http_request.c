/*
 * http_request.c: what a complete header block means: target, headers, and above all where the body ends (RFC 9112,
 * section 6). Whatever two implementations could read differently is refused: that is how requests are smuggled. [loop]
 */
#include "net/http_int.h"

/*
 * Lines end in CR LF, none is folded (RFC 9112, 5.2) or lacks a name before its colon (RFC 9110, 5.1; llhttp lets it
 * pass), and there are no control characters. Leading empty lines are allowed (2.2).
 */
static bool
block_is_clean(struct bytes raw)
{
	for (size_t i = bytes_find_control(raw, 0); i < raw.len; i = bytes_find_control(raw, i + 1)) {
		uint8_t c = raw.data[i];

		if (c == '\t')
			continue;
		if (c != '\r' || i + 1 == raw.len || raw.data[i + 1] != '\n')
			return false;
		i++;
		if (i + 1 < raw.len && memchr(" \t:", raw.data[i + 1], 3))
			return false;
	}
	return true;
}

static struct bytes
span_bytes(const struct http_turn *t, struct http_span span)
{
	return bytes_of(t->raw.data + span.at, span.len);
}

static struct bytes
trim(struct bytes v)
{
	while (v.len && (v.data[0] == ' ' || v.data[0] == '\t'))
		v = bytes_sub(v, 1, SIZE_MAX);
	while (v.len && (v.data[v.len - 1] == ' ' || v.data[v.len - 1] == '\t'))
		v.len--;
	return v;
}

/*
 * Has the header `at` come before? Names are compared only when a filter of 256 bits says that one like it was there:
 * `seen` is 0 before the first.
 */
static bool
is_repeated(const struct http_exchange *x, size_t at, uint64_t seen[4])
{
	struct bytes name = x->headers[at].name;
	unsigned mark = (unsigned)name.len;
	uint64_t bit;

	if (name.len)
		mark = (mark * 7 + name.data[name.len / 2]) * 13 + name.data[name.len - 1];
	bit = 1ull << (mark & 63);
	mark = mark >> 6 & 3;
	if (seen[mark] & bit)
		for (size_t i = 0; i < at; i++)
			if (bytes_equal(x->headers[i].name, name))
				return true;
	seen[mark] |= bit;
	return false;
}

static void
fill_headers(struct http_turn *t)
{
	struct http_exchange *x = &t->x;
	uint64_t seen[4] = {0};

	x->headers = ARENA_ARRAY(x->rq.arena, struct http_header, t->span_count);
	x->header_count = t->span_count;
	for (size_t i = 0; i < t->span_count; i++) {
		struct http_span name = t->spans[i].name;

		for (uint32_t k = name.at; k < name.at + name.len; k++)
			if (t->raw.data[k] >= 'A' && t->raw.data[k] <= 'Z')
				t->raw.data[k] |= 0x20;
		x->headers[i].name = span_bytes(t, name);
		x->headers[i].value = trim(span_bytes(t, t->spans[i].value));
		if (!x->repeats)
			x->repeats = is_repeated(x, i, seen);
	}
}

struct bytes
http_header_get(const struct http_exchange *x, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < x->header_count; i++)
		if (x->headers[i].name.len == len && memcmp(x->headers[i].name.data, name, len) == 0)
			return x->headers[i].value;
	return (struct bytes){0};
}

static size_t
header_count(const struct http_exchange *x, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < x->header_count; i++)
		count += bytes_equal_str(x->headers[i].name, name);
	return count;
}

/* Is `token` in the list (RFC 9110, 5.6.1) of any header of that name? */
static bool
header_has_token(const struct http_exchange *x, const char *name, const char *token)
{
	for (size_t i = 0; i < x->header_count; i++) {
		struct bytes value = x->headers[i].value;
		size_t from = 0, comma;

		if (!bytes_equal_str(x->headers[i].name, name))
			continue;
		do {
			comma = bytes_find(value, ',', from);
			if (bytes_equal_str_nocase(trim(bytes_sub(value, from, comma - from)), token))
				return true;
			from = comma + 1;
		} while (comma != SIZE_MAX);
	}
	return false;
}

/* RFC 9112, 3.2: origin-form, absolute-form (whose host then counts, not the header's), and "*" for OPTIONS. */
static bool
fill_target(struct http_turn *t)
{
	struct http_exchange *x = &t->x;
	struct bytes rest = x->target = span_bytes(t, t->url);
	size_t host, at;

	for (size_t i = 0; i < rest.len; i++)
		if (rest.data[i] <= ' ' || rest.data[i] == '#')
			return false;
	if (bytes_equal_str(rest, "*")) {
		x->path = rest;
		return t->parser.method == HTTP_OPTIONS;
	}
	host = bytes_equal_str_nocase(bytes_sub(rest, 0, 7), "http://")    ? 7
	       : bytes_equal_str_nocase(bytes_sub(rest, 0, 8), "https://") ? 8
									   : 0;
	if (host) {
		for (at = host; at < rest.len && rest.data[at] != '/' && rest.data[at] != '?'; at++)
			continue;
		for (size_t i = 0; i < x->header_count; i++)
			if (bytes_equal_str(x->headers[i].name, "host"))
				x->headers[i].value = bytes_sub(rest, host, at - host);
		if (at == host)
			return false;
		rest = bytes_sub(rest, at, SIZE_MAX);
	} else if (rest.len == 0 || rest.data[0] != '/') {
		return false;
	}
	at = bytes_find(rest, '?', 0);
	x->path = bytes_sub(rest, 0, at);
	if (x->path.len == 0)
		x->path = BYTES_LITERAL("/");
	if (at != SIZE_MAX)
		x->query = bytes_sub(rest, at + 1, SIZE_MAX);
	return true;
}

/* " HTTP/1.0" or " HTTP/1.1" stands behind the target: llhttp also reads other protocols and versions. */
static bool
fill_version(struct http_turn *t)
{
	struct bytes rest = bytes_sub(buf_bytes(&t->raw), t->url.at + t->url.len, SIZE_MAX);

	if (!bytes_starts_with(rest, BYTES_LITERAL(" HTTP/1.1\r\n")) &&
		!bytes_starts_with(rest, BYTES_LITERAL(" HTTP/1.0\r\n")))
		return false;
	t->x.minor = rest.data[8] - '0';
	return true;
}

/*
 * RFC 9112, 6.1: a coding that is not known is answered with 501. What names none, or has "chunked" anywhere but once
 * at the end, is not valid.
 */
static enum rfs_err
check_encoding(struct http_exchange *x, struct bytes value)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	enum rfs_err err = RFS_OK;
	size_t from = 0, comma;

	do {
		struct bytes coding;

		comma = bytes_find(value, ',', from);
		coding = trim(bytes_sub(value, from, comma - from));
		if (coding.len == 0 || memchr(token, coding.data[0], sizeof(token) - 1) == NULL)
			return RFS_ERR_BAD_HTTP;
		if (!bytes_equal_str_nocase(coding, "chunked"))
			err = request_fail(&x->rq, RFS_ERR_NOT_IMPLEMENTED, "The only transfer coding here is chunked");
		else if (comma != SIZE_MAX)
			return RFS_ERR_BAD_HTTP;
		from = comma + 1;
	} while (comma != SIZE_MAX);
	return err;
}

static enum rfs_err
fill_framing(struct http_turn *t)
{
	struct http_exchange *x = &t->x;
	size_t encodings = header_count(x, "transfer-encoding");
	size_t lengths = header_count(x, "content-length");
	uint64_t length;

	if (encodings + lengths > 1 || (encodings && x->minor == 0))
		return RFS_ERR_BAD_HTTP;
	if (encodings) {
		x->chunked = true;
		return check_encoding(x, http_header_get(x, "transfer-encoding"));
	}
	t->body_done = true;
	if (lengths) {
		if (!bytes_to_u64(http_header_get(x, "content-length"), &length) || length > INT64_MAX)
			return RFS_ERR_BAD_HTTP;
		x->content_length = t->body_left = (int64_t)length;
		t->body_done = length == 0;
	}
	return RFS_OK;
}

static void
fill_connection(struct http_turn *t)
{
	struct http_exchange *x = &t->x;
	struct bytes expect;

	x->keep_alive = x->minor == 1 ? !header_has_token(x, "connection", "close")
				      : header_has_token(x, "connection", "keep-alive");
	/* RFC 9110, 10.1.1: to be ignored in HTTP/1.0. What else is expected may be refused or ignored: Amazon S3 ignores
	 * it. */
	expect = http_header_get(x, "expect");
	if (x->minor == 1 && bytes_equal_str_nocase(expect, "100-continue"))
		t->expects_continue = true;
}

enum rfs_err
request_fill(struct http_turn *t)
{
	struct http_exchange *x = &t->x;
	enum rfs_err err;
	size_t hosts;

	if (!block_is_clean(buf_bytes(&t->raw)))
		return RFS_ERR_BAD_HTTP;
	x->method = bytes_str(llhttp_method_name((llhttp_method_t)t->parser.method));
	x->head_request = t->parser.method == HTTP_HEAD;
	fill_headers(t);
	if (t->parser.method == HTTP_CONNECT || !fill_version(t) || !fill_target(t))
		return RFS_ERR_BAD_HTTP;
	/* RFC 9112, 3.2: a request of HTTP/1.1 has exactly one. */
	hosts = header_count(x, "host");
	if (hosts > 1 || (hosts == 0 && x->minor == 1))
		return RFS_ERR_BAD_HTTP;
	if ((err = fill_framing(t)))
		return err;
	fill_connection(t);
	return RFS_OK;
}
