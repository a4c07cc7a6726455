/* http_response.c: the door's answer: its headers and ours, and the framing of its body (RFC 9112, sections 6 and 7).
 * [loop] */
#include "net/http_int.h"
#include "base/log.h"
#include <stdio.h>

void
reply_continue(struct http_turn *t)
{
	static const struct bytes line = BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n");

	output_push(t, (struct slice){line.data, line.len, NULL}, false);
}

static bool
is_clean(struct bytes v)
{
	for (size_t i = bytes_find_control(v, 0); i < v.len; i = bytes_find_control(v, i + 1))
		if (v.data[i] != '\t')
			return false;
	return true;
}

void
http_reply_header(struct http_exchange *x, const char *name, struct bytes value)
{
	struct http_turn *t = turn_of(x);

	if (t->reply != REPLY_NONE || !is_clean(value)) {
		log_warn(x->rq.id, "answer header %s: dropped: %s", name,
			t->reply != REPLY_NONE ? "the answer has begun" : "control characters in its value");
		return;
	}
	buf_put_str(&t->head, name);
	buf_put(&t->head, ": ", 2);
	buf_put_bytes(&t->head, value);
	buf_put(&t->head, "\r\n", 2);
}

void
http_reply_header_printf(struct http_exchange *x, const char *name, const char *format, ...)
{
	struct buf value;
	va_list args;
	char text[256];
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(text)) {
		http_reply_header(x, name, bytes_of(text, (size_t)len));
		return;
	}
	buf_init(&value, NULL);
	buf_reserve(&value, (size_t)len + 1);
	va_start(args, format);
	vsnprintf((char *)value.data, (size_t)len + 1, format, args);
	va_end(args);
	http_reply_header(x, name, bytes_of(value.data, (size_t)len));
	buf_fini(&value);
}

/* Will the connection close after this answer? Decided when its headers are written, as they say so. */
static bool
must_close(const struct http_turn *t)
{
	if (!t->x.keep_alive || t->closes || t->body_error || atomic_load(&t->hl->server->stopping))
		return true;
	/* Who waits for 100 Continue may or may not send the body now; and a long rest is not worth reading. */
	return !t->body_done && (t->expects_continue || t->body_left > (int64_t)HTTP_DRAIN_BYTES);
}

static void
put_status(struct buf *b, int status)
{
	buf_put_bytes(b, BYTES_LITERAL("HTTP/1.1 "));
	buf_decimal(b, (uint64_t)status);
	buf_u8(b, ' ');
	buf_put_str(b, http_reason(status));
}

/* Status line and headers. `length` -1: no Content-Length. */
static void
begin(struct http_turn *t, int status, int64_t length)
{
	struct buf *b = &t->first;

	/* Who announces no body and wants to be asked for it all the same is asked: the aws of Debian 12, with an empty
	 * file, else takes the next answer on the connection for a part of this one, and stands still until it is
	 * closed. */
	if (t->expects_continue && t->x.content_length <= 0 && !t->x.chunked)
		reply_continue(t);
	t->closes = must_close(t);
	t->status = status;
	put_status(b, status);
	buf_put_bytes(b, BYTES_LITERAL("\r\nDate: "));
	buf_put_str(b, http_loop_date(t->hl));
	buf_put_bytes(b, BYTES_LITERAL("\r\nServer: restfs\r\n"));
	if (t->reply_chunked) {
		buf_put_str(b, "Transfer-Encoding: chunked\r\n");
	} else if (length >= 0) {
		buf_put_bytes(b, BYTES_LITERAL("Content-Length: "));
		buf_decimal(b, (uint64_t)length);
		buf_put_bytes(b, BYTES_LITERAL("\r\n"));
	}
	if (t->closes)
		buf_put_str(b, "Connection: close\r\n");
	else if (t->x.minor == 0)
		buf_put_str(b, "Connection: keep-alive\r\n");
	buf_put(&t->head, "\r\n", 2);
	t->reply = REPLY_BEGUN;
	/* Neither buffer changes before the turn ends. */
	output_push(t, (struct slice){b->data, b->len, NULL}, false);
	output_push(t, (struct slice){t->head.data, t->head.len, NULL}, false);
	conn_touch(t->conn);
}

static bool
may_begin(struct http_turn *t)
{
	assert(loop_is_current(t->hl->loop));
	if (t->reply == REPLY_NONE)
		return true;
	log_error(t->x.rq.id, "answer a request that has been answered: dropped");
	return false;
}

static bool
status_is_bodyless(int status)
{
	return status == 204 || status == 304;
}

void
http_reply(struct http_exchange *x, int status, struct slice body)
{
	struct http_turn *t = turn_of(x);

	if (may_begin(t)) {
		t->reply_bodyless = x->head_request || status_is_bodyless(status);
		begin(t, status, status_is_bodyless(status) ? -1 : (int64_t)body.len);
		if (!t->reply_bodyless)
			output_push(t, slice_take(&body), true);
		t->reply = REPLY_ENDED;
	}
	slice_unref(&body);
}

void
http_reply_head(struct http_exchange *x, int status, int64_t content_length)
{
	struct http_turn *t = turn_of(x);

	if (!may_begin(t))
		return;
	t->reply_bodyless = true;
	begin(t, status, status == 204 ? -1 : content_length);
	t->reply = REPLY_ENDED;
}

void
http_reply_begin(struct http_exchange *x, int status, int64_t content_length)
{
	struct http_turn *t = turn_of(x);

	if (!may_begin(t))
		return;
	t->reply_bodyless = x->head_request || status_is_bodyless(status);
	t->reply_left = content_length;
	if (content_length < 0 && !status_is_bodyless(status)) {
		if (x->minor == 1)
			t->reply_chunked = true;
		else
			t->closes = true; /* the end of the connection is the end of the body */
	}
	begin(t, status, status_is_bodyless(status) ? -1 : content_length);
}

static void
send_chunk(struct http_turn *t, struct slice part)
{
	char line[24];
	int len = snprintf(line, sizeof(line), "%zx\r\n", part.len);

	/* Copied: these few bytes have no other home until they are written. */
	output_push(t, slice_copy(bytes_of(line, (size_t)len)), false);
	output_push(t, part, true);
	output_push(t, (struct slice){(const uint8_t *)"\r\n", 2, NULL}, false);
}

void
http_reply_send(struct http_exchange *x, struct slice part)
{
	struct http_turn *t = turn_of(x);

	assert(loop_is_current(t->hl->loop));
	if (t->reply != REPLY_BEGUN || part.len == 0 || t->reply_bodyless) {
		slice_unref(&part);
		return;
	}
	if (t->reply_left >= 0 && (int64_t)part.len > t->reply_left) {
		log_error(x->rq.id, "send %zu bytes of an answer of which %lld are left: reset", part.len,
			(long long)t->reply_left);
		slice_unref(&part);
		http_reply_abort(x);
		return;
	}
	if (t->reply_left >= 0)
		t->reply_left -= (int64_t)part.len;
	if (t->reply_chunked)
		send_chunk(t, part);
	else
		output_push(t, part, true);
	conn_touch(t->conn);
}

void
http_reply_on_drain(struct http_exchange *x, size_t below, void (*cb)(struct http_exchange *x))
{
	struct http_turn *t = turn_of(x);

	assert(loop_is_current(t->hl->loop) && t->drain_cb == NULL && t->in_door);
	t->drain_below = below ? below : 1;
	t->drain_cb = cb;
	conn_touch(t->conn);
}

size_t
http_reply_unsent(const struct http_exchange *x)
{
	return turn_of(x)->out_bytes;
}

void
http_reply_end(struct http_exchange *x)
{
	struct http_turn *t = turn_of(x);

	assert(loop_is_current(t->hl->loop));
	if (t->reply != REPLY_BEGUN)
		return;
	if (t->reply_left > 0 && !t->reply_bodyless) {
		log_error(x->rq.id, "end an answer with %lld bytes missing: reset", (long long)t->reply_left);
		http_reply_abort(x);
		return;
	}
	if (t->reply_chunked && !t->reply_bodyless)
		output_push(t, (struct slice){(const uint8_t *)"0\r\n\r\n", 5, NULL}, false);
	t->reply = REPLY_ENDED;
	conn_touch(t->conn);
}

void
http_reply_abort(struct http_exchange *x)
{
	struct http_turn *t = turn_of(x);

	assert(loop_is_current(t->hl->loop));
	t->reply = REPLY_ENDED;
	t->reset = true;
	conn_touch(t->conn);
}

bool
http_replied(const struct http_exchange *x)
{
	return turn_of(x)->reply != REPLY_NONE;
}
