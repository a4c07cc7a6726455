/*
 * http_body.c: a request's body: received when the door asks, with some read-ahead, as counted slices. [loop]
 *
 * Bytes go into `fill`, memory of up to 256 KiB. A large body of known length is read there by the kernel itself; small
 * bodies and chunked ones are copied there, once, from the buffer that all connections of the loop share.
 */
#include "net/http_int.h"
#include <stdlib.h>

#define FILL_WORTH_KEEPING ((size_t)16 * 1024)

static void
ring_push(struct http_turn *t, struct slice s)
{
	if (t->slice_first + t->slice_count == t->slice_room && t->slice_first) {
		memmove(t->slices, t->slices + t->slice_first, t->slice_count * sizeof(s));
		t->slice_first = 0;
	}
	if (t->slice_count == t->slice_room) {
		t->slice_room = t->slice_room ? 2 * t->slice_room : 4;
		t->slices = xrealloc(t->slices, t->slice_room * sizeof(s));
	}
	t->slices[t->slice_first + t->slice_count++] = s;
}

/* Makes a slice of what `fill` holds and was not given. The rest of its memory is still filled, unless too little is
 * left. */
static void
seal(struct http_turn *t)
{
	struct http_fill *f = t->fill;
	struct slice s;
	bool last;

	if (f == NULL)
		return;
	last = f->size - t->fill_len < FILL_WORTH_KEEPING;
	if (t->fill_len == t->fill_given && !last)
		return;
	s = (struct slice){f->data + t->fill_given, t->fill_len - t->fill_given, &f->owner};
	t->fill_given = t->fill_len;
	if (last)
		t->fill = NULL;
	else
		s = slice_ref(s);
	if (s.len)
		ring_push(t, s);
	else
		slice_unref(&s);
}

/* Room for at least one more byte; false: no memory, and body_error says so. */
static bool
fill_more(struct http_turn *t, size_t coming)
{
	size_t size = HTTP_FILL_BYTES;

	if (t->fill && t->fill_len < t->fill->size)
		return true;
	seal(t);
	if (t->x.chunked)
		size = coming > FILL_WORTH_KEEPING ? HTTP_READ_BYTES : FILL_WORTH_KEEPING;
	else if (t->body_left < (int64_t)size)
		size = (size_t)t->body_left;
	t->fill = fill_new(t->hl->server->budget, size);
	t->fill_len = t->fill_given = 0;
	if (t->fill == NULL) {
		body_fail(t, RFS_ERR_SLOW_DOWN);
		return false;
	}
	if (!t->body_admitted)
		turn_moves(t);
	t->body_admitted = true;
	return true;
}

static void
received(struct http_turn *t, size_t len)
{
	turn_moved(t, len);
	t->received += len;
	if (t->x.chunked)
		return;
	t->body_left -= (int64_t)len;
	t->body_done = t->body_left == 0;
}

void
body_append(struct http_turn *t, const uint8_t *data, size_t len)
{
	if (t->drop_body) {
		t->dropped += len;
		received(t, len);
		return;
	}
	while (len && fill_more(t, len)) {
		size_t room = t->fill->size - t->fill_len;
		size_t n = len < room ? len : room;

		memcpy(t->fill->data + t->fill_len, data, n);
		t->fill_len += n;
		t->buffered += n;
		received(t, n);
		data += n;
		len -= n;
	}
}

bool
body_direct(struct http_turn *t, uint8_t **base, size_t *len)
{
	if (t->x.chunked || t->drop_body || t->body_error || t->body_left < HTTP_DIRECT_BYTES || !t->body_asked)
		return false;
	if (!body_wanted(t) || !fill_more(t, 0))
		return false;
	*base = t->fill->data + t->fill_len;
	*len = t->fill->size - t->fill_len; /* never more than body_left: the next request stays in the socket */
	return true;
}

void
body_direct_done(struct http_turn *t, size_t len)
{
	t->fill_len += len;
	t->buffered += len;
	received(t, len);
}

void
body_consume(struct http_turn *t, struct http_input *in)
{
	size_t n;

	if (t->x.chunked) {
		parse_chunks(t, in);
		return;
	}
	n = (int64_t)in->len < t->body_left ? in->len : (size_t)t->body_left;
	body_append(t, in->data, n);
	input_skip(in, n);
}

void
body_fail(struct http_turn *t, enum rfs_err error)
{
	if (!t->body_error)
		t->body_error = error;
	t->closes = true;
}

/* All of it came with the headers: read or not, it takes as much memory. */
static bool
is_here(const struct http_turn *t)
{
	return !t->x.chunked && t->body_left <= (int64_t)t->conn->in.len;
}

/*
 * A body begins only when there is memory; once begun, what its door asked for is read in any case, or all could wait
 * for each other. It begins with its first byte: thousands that are asked for while there is memory have none yet.
 */
bool
body_wanted(struct http_turn *t)
{
	const struct http_budget *b = t->hl->server->budget;

	if (t->body_done || t->body_error)
		return false;
	if (t->drop_body)
		return true;
	if (!t->body_asked)
		return false;
	if (!t->body_admitted && !is_here(t) && budget_exhausted_by_others(b, t->conn->held)) {
		http_loop_starve(t->conn);
		return false;
	}
	if (t->body_cb && t->buffered < t->body_min)
		return true;
	return t->buffered < HTTP_READ_AHEAD_BYTES && !budget_exhausted(b);
}

bool
body_ready(const struct http_turn *t)
{
	return t->buffered >= t->body_min || t->body_done || t->body_error;
}

void
body_fini(struct http_turn *t)
{
	if (t->fill)
		slice_unref(&(struct slice){t->fill->data, 0, &t->fill->owner});
	t->fill = NULL;
	for (size_t i = 0; i < t->slice_count; i++)
		slice_unref(&t->slices[t->slice_first + i]);
	t->slice_first = t->slice_count = 0;
	t->buffered = 0;
}

void
http_body_read(struct http_exchange *x, size_t min, void (*cb)(struct http_exchange *x))
{
	struct http_turn *t = turn_of(x);

	assert(loop_is_current(t->hl->loop) && t->body_cb == NULL && t->in_door);
	t->body_min = min ? min : 1;
	t->body_cb = cb;
	if (!t->body_asked && t->expects_continue) {
		t->expects_continue = false;
		/* RFC 9110, 10.1.1: not when some of the body has come without it. */
		if (t->conn->in.len == 0 && t->reply == REPLY_NONE)
			reply_continue(t);
	}
	t->body_asked = true;
	turn_moves(t);
	conn_touch(t->conn);
}

size_t
http_body_buffered(const struct http_exchange *x)
{
	return turn_of(x)->buffered;
}

size_t
http_body_take(struct http_exchange *x, struct slice *out, size_t max)
{
	struct http_turn *t = turn_of(x);
	size_t n;

	assert(loop_is_current(t->hl->loop));
	if (t->slice_count < max)
		seal(t);
	n = t->slice_count < max ? t->slice_count : max;
	for (size_t i = 0; i < n; i++) {
		out[i] = t->slices[t->slice_first + i];
		t->buffered -= out[i].len;
	}
	t->slice_first += n;
	t->slice_count -= n;
	if (t->slice_count == 0)
		t->slice_first = 0;
	conn_touch(t->conn);
	return n;
}

bool
http_body_ended(const struct http_exchange *x)
{
	return turn_of(x)->body_done;
}

enum rfs_err
http_body_error(const struct http_exchange *x)
{
	return turn_of(x)->body_error;
}
