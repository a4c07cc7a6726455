/*
 * http_parse.c: llhttp at work: a request's header block into spans, and chunks into body bytes. [loop]
 *
 * The header block is gathered in one piece, up to its empty line, and parsed as it grows; so a header is a view into
 * it however the network split it, and what follows the block is never copied.
 */
#include "net/http_int.h"

#define RAW_FIRST_BYTES 1024
#define SPANS_FIRST 16

/* Bytes of `in` up to the end of the first empty line, which may have begun in `raw`; all of them when there is none.
 */
static size_t
block_length(const struct buf *raw, const struct http_input *in)
{
	uint8_t edge[6];
	size_t before = raw->len < 3 ? raw->len : 3;
	size_t after = in->len < 3 ? in->len : 3;
	const uint8_t *at;

	if (before) {
		memcpy(edge, raw->data + raw->len - before, before);
		memcpy(edge + before, in->data, after);
		at = memmem(edge, before + after, "\r\n\r\n", 4);
		if (at)
			return (size_t)(at - edge) + 4 - before;
	}
	at = memmem(in->data, in->len, "\r\n\r\n", 4);
	return at ? (size_t)(at - in->data) + 4 : in->len;
}

static void
span_extend(struct http_turn *t, struct http_span *span, const char *at, size_t len)
{
	uint32_t from = (uint32_t)((const uint8_t *)at - t->raw.data);

	if (span->len == 0)
		span->at = from;
	span->len = from + (uint32_t)len - span->at;
}

static int
fail(struct http_turn *t, enum rfs_err error)
{
	t->parse_error = error;
	return HPE_USER;
}

static int
on_url(llhttp_t *parser, const char *at, size_t len)
{
	struct http_turn *t = parser->data;

	span_extend(t, &t->url, at, len);
	return 0;
}

/* Chunk extensions mean nothing to us, and trailers little; endless ones are refused. */
static int
count_overhead(llhttp_t *parser, const char *at, size_t len)
{
	struct http_turn *t = parser->data;

	t->overhead += len;
	return t->overhead > t->hl->server->options.header_bytes ? HPE_USER : 0;
}

static struct http_header_span *
header_add(struct http_turn *t)
{
	if (t->span_count == t->span_room) {
		size_t room = t->span_room ? 2 * t->span_room : SPANS_FIRST;
		struct http_header_span *spans = ARENA_ARRAY(t->x.rq.arena, struct http_header_span, room);

		if (t->span_count)
			memcpy(spans, t->spans, t->span_count * sizeof(*spans));
		t->spans = spans;
		t->span_room = room;
	}
	return &t->spans[t->span_count++];
}

static int
on_header_field(llhttp_t *parser, const char *at, size_t len)
{
	struct http_turn *t = parser->data;

	if (t->headers_done)
		return count_overhead(parser, at, len);
	if (!t->in_name) {
		if (t->span_count == t->hl->server->options.header_count)
			return fail(t, RFS_ERR_TOO_LARGE_HEADERS);
		header_add(t);
		t->in_name = true;
	}
	span_extend(t, &t->spans[t->span_count - 1].name, at, len);
	return 0;
}

static int
on_header_field_complete(llhttp_t *parser)
{
	struct http_turn *t = parser->data;

	t->in_name = false;
	if (t->headers_done && !t->drop_body && t->conn->listener->door.refuses_trailers) {
		body_fail(t, RFS_ERR_NOT_IMPLEMENTED);
		return HPE_USER;
	}
	return 0;
}

static int
on_header_value(llhttp_t *parser, const char *at, size_t len)
{
	struct http_turn *t = parser->data;

	if (t->headers_done)
		return count_overhead(parser, at, len);
	if (t->span_count)
		span_extend(t, &t->spans[t->span_count - 1].value, at, len);
	return 0;
}

/* Paused here, so that the door decides about the body; llhttp goes on only to undo chunks. */
static int
on_headers_complete(llhttp_t *parser)
{
	struct http_turn *t = parser->data;

	t->headers_done = true;
	return HPE_PAUSED;
}

static int
on_chunk_header(llhttp_t *parser)
{
	struct http_turn *t = parser->data;

	t->overhead = 0;
	return 0;
}

static int
on_body(llhttp_t *parser, const char *at, size_t len)
{
	struct http_turn *t = parser->data;

	body_append(t, (const uint8_t *)at, len);
	return t->body_error ? HPE_USER : 0;
}

static int
on_message_complete(llhttp_t *parser)
{
	struct http_turn *t = parser->data;

	t->body_done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_field_complete = on_header_field_complete,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_chunk_extension_name = count_overhead,
	.on_chunk_extension_value = count_overhead,
	.on_chunk_header = on_chunk_header,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

void
parse_init(struct http_turn *t)
{
	llhttp_init(&t->parser, HTTP_REQUEST, &settings);
	t->parser.data = t;
	buf_reserve(&t->raw, RAW_FIRST_BYTES);
}

/* All that may come has come, and the block goes on. No header has begun: then it is the URI (RFC 9112, 3). */
static enum rfs_err
excess(const struct http_turn *t)
{
	return t->url.len && t->span_count == 0 ? RFS_ERR_URI_TOO_LONG : RFS_ERR_TOO_LARGE_HEADERS;
}

bool
parse_input(struct http_turn *t, struct http_input *in)
{
	size_t limit = t->hl->server->options.header_bytes;

	while (in->len && !t->headers_done && !t->parse_error) {
		size_t n = block_length(&t->raw, in);
		size_t from = t->raw.len;
		bool exceeds = n > limit - from;
		llhttp_errno_t rc;

		if (exceeds)
			n = limit - from;
		buf_put(&t->raw, in->data, n);
		input_skip(in, n);
		rc = llhttp_execute(&t->parser, (const char *)t->raw.data + from, n);
		/* Complete before our own end of the block: a line that ended in a bare LF. */
		if (t->headers_done && llhttp_get_error_pos(&t->parser) != (const char *)t->raw.data + t->raw.len)
			t->parse_error = RFS_ERR_BAD_HTTP;
		else if (rc != HPE_OK && !t->headers_done && !t->parse_error)
			t->parse_error = RFS_ERR_BAD_HTTP;
		if (exceeds && !t->parse_error)
			t->parse_error = excess(t);
	}
	return t->headers_done || t->parse_error;
}

void
parse_chunks(struct http_turn *t, struct http_input *in)
{
	llhttp_errno_t rc;

	if (llhttp_get_errno(&t->parser) == HPE_PAUSED)
		llhttp_resume(&t->parser);
	rc = llhttp_execute(&t->parser, (const char *)in->data, in->len);
	if (t->body_done) {
		input_skip(in, (size_t)((const uint8_t *)llhttp_get_error_pos(&t->parser) - in->data));
		return;
	}
	if (rc != HPE_OK)
		body_fail(t, RFS_ERR_BAD_HTTP);
	input_clear(in);
}
