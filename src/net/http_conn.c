/*
 * http_conn.c: a connection's socket and its states (drawn in http_int.h). Nothing here knows what a header or a chunk
 * is. [loop]
 *
 * conn_advance is the only place where states follow from one another: it takes steps until none changes anything, then
 * decides what to wait for.
 */
#include "net/http_int.h"
#include "base/metrics.h"
#include <stdlib.h>
#include <sys/socket.h>

#define TLS_BYTES ((size_t)16 * 1024) /* about what OpenSSL holds for a connection */

static void
call_end(struct http_turn *t)
{
	if (!t->in_door)
		return;
	t->in_door = false;
	if (trace_is_on(t->hl->server->trace))
		turn_trace(t);
	if (t->conn->listener->door.end)
		t->conn->listener->door.end(&t->x);
}

static void
drop_turn(struct http_conn *c)
{
	struct http_turn *t = c->turn;

	c->turn = NULL;
	if (t)
		turn_free(t);
}

static void
begin_linger(struct http_conn *c)
{
	drop_turn(c);
	input_clear(&c->in);
	c->state = CONN_LINGER;
	if (c->tls)
		tls_stream_shutdown(c->tls);
}

/* The answer is with the kernel and nothing holds the turn. */
static void
finish_exchange(struct http_conn *c)
{
	struct http_turn *t = c->turn;
	bool keep = t->x.keep_alive && !t->closes && !t->body_error && !atomic_load(&c->hl->server->stopping);

	call_end(t);
	c->served = true;
	t->body_cb = NULL;
	t->drain_cb = NULL;
	if (!keep || (!t->body_done && t->body_left > (int64_t)HTTP_DRAIN_BYTES)) {
		begin_linger(c);
	} else if (!t->body_done) {
		t->drop_body = true;
		body_fini(t);
		c->state = CONN_DRAIN;
	} else {
		drop_turn(c);
		c->state = CONN_IDLE;
	}
}

static bool
step_headers(struct http_conn *c)
{
	struct http_turn *t;
	enum rfs_err err;

	if (c->in.len == 0) {
		if (c->eof)
			conn_close(c, false);
		return c->eof;
	}
	if (c->state == CONN_IDLE) {
		c->turn = turn_new(c);
		turn_moves(c->turn);
		c->state = CONN_HEADERS;
		timer_set(c, HTTP_TIMER_HEADER, true);
	}
	t = c->turn;
	if (!parse_input(t, &c->in))
		return true;
	err = t->parse_error;
	if (!err)
		err = request_fill(t);
	c->state = CONN_EXCHANGE;
	if (err)
		turn_refuse(t, err);
	else
		turn_begin(t);
	return true;
}

/* The door's callbacks wait until its work is done: the worker owns the exchange. */
static bool
step_callbacks(struct http_turn *t)
{
	void (*cb)(struct http_exchange * x);

	if (t->working)
		return false;
	if (t->body_cb && body_ready(t)) {
		cb = t->body_cb;
		t->body_cb = NULL;
	} else if (t->drain_cb && (t->out_bytes < t->drain_below || atomic_load(&t->x.gone))) {
		cb = t->drain_cb;
		t->drain_cb = NULL;
	} else {
		return false;
	}
	cb(&t->x);
	return true;
}

static bool
step_exchange(struct http_conn *c)
{
	struct http_turn *t = c->turn;

	if (t->reset) {
		conn_close(c, true);
		return true;
	}
	if (c->in.len && body_wanted(t)) {
		body_consume(t, &c->in);
		return true;
	}
	if (c->eof && c->in.len == 0 && t->body_asked && !t->body_done && !t->body_error) {
		body_fail(t, RFS_ERR_INCOMPLETE_BODY);
		return true;
	}
	if (step_callbacks(t))
		return true;
	if (t->reply != REPLY_ENDED || t->out_bytes || t->working || t->holds)
		return false;
	finish_exchange(c);
	return true;
}

static bool
step_drain(struct http_conn *c)
{
	struct http_turn *t = c->turn;

	if (c->in.len && !t->body_done)
		body_consume(t, &c->in);
	if (t->body_error || t->dropped > HTTP_DRAIN_BYTES) {
		begin_linger(c);
		return true;
	}
	if (t->body_done) {
		drop_turn(c);
		c->state = CONN_IDLE;
		return true;
	}
	if (c->eof)
		conn_close(c, false);
	return c->eof;
}

/* What the client still sends is dropped, so that closing does not reset the connection under an answer that it has yet
 * to read. */
static bool
step_linger(struct http_conn *c)
{
	uv_os_fd_t fd;

	input_clear(&c->in);
	if (!c->fin_sent && uv_stream_get_write_queue_size(&c->stream) == 0) {
		c->fin_sent = true;
		if (uv_fileno(&c->handle, &fd) == 0)
			shutdown(fd, SHUT_WR);
	}
	if (c->eof)
		conn_close(c, false);
	return c->eof;
}

static bool
step_closed(struct http_conn *c)
{
	struct http_turn *t = c->turn;

	if (t == NULL)
		return false;
	if (t->body_cb)
		body_fail(t, RFS_ERR_CANCELLED);
	if (step_callbacks(t))
		return true;
	if (t->working || t->holds)
		return false;
	call_end(t);
	/* Until then a write may still read its slices. */
	if (c->handle_closed)
		drop_turn(c);
	return false;
}

static void
note_end(struct http_conn *c)
{
	c->eof = true;
	if (c->turn)
		atomic_store(&c->turn->x.ended, true);
}

/* Plain bytes out of TLS, when there is a use for them. */
static bool
wants_input(struct http_conn *c)
{
	struct http_turn *t = c->turn;

	if (c->eof || c->in.len)
		return false;
	if (c->state == CONN_HEADERS)
		return input_header_wanted(c);
	/* With its body complete, a request that is being answered still reads, to see the client go. */
	return c->state != CONN_EXCHANGE || t->body_done || t->body_error || body_wanted(t);
}

static bool
step_tls(struct http_conn *c)
{
	int n;

	if (!wants_input(c))
		return false;
	n = tls_stream_read(c->tls, c->hl->plain, input_room(c));
	if (n > 0)
		c->in = (struct http_input){c->hl->plain, (size_t)n, NULL, 0};
	else if (n == -1)
		note_end(c);
	else if (n < 0 && output_flush(c)) /* the alert, if any */
		conn_close(c, false);
	else if (n < 0)
		conn_close(c, true);
	return n != 0;
}

static bool
step(struct http_conn *c)
{
	if (c->state == CONN_CLOSED)
		return step_closed(c);
	if (c->tls && step_tls(c))
		return true;
	if (!output_flush(c)) {
		conn_close(c, false);
		return true;
	}
	switch (c->state) {
	case CONN_IDLE:
	case CONN_HEADERS:
		return step_headers(c);
	case CONN_EXCHANGE:
		return step_exchange(c);
	case CONN_DRAIN:
		return step_drain(c);
	default:
		return step_linger(c);
	}
}

static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct http_conn *c = handle->data;
	uint8_t *base = c->hl->plain;
	size_t len = input_room(c);

	if (c->tls)
		base = http_loop_cipher(c->hl);
	else if (c->state == CONN_EXCHANGE)
		body_direct(c->turn, &base, &len);
	*buf = uv_buf_init((char *)base, (unsigned)len);
}

/* What comes too slowly does not put off the end, nor does what is no request: pieces of a TLS record. */
static void
came(struct http_conn *c, size_t bytes)
{
	const struct http_options *o = &c->hl->server->options;

	if (c->timer != HTTP_TIMER_IDLE || c->state != CONN_EXCHANGE)
		return;
	c->came += bytes;
	if (c->came >= o->body_rate * (size_t)o->idle_time_ms / 1000)
		timer_set(c, HTTP_TIMER_IDLE, true);
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct http_conn *c = stream->data;
	const uint8_t *data = (const uint8_t *)buf->base;

	if (n == 0)
		return;
	if (n == UV_EOF) {
		note_end(c);
	} else if (n < 0 && n != UV_ENOBUFS) { /* that is on_alloc's: wait for memory */
		conn_close(c, false);
	} else if (n > 0) {
		metric_add(METRIC_HTTP_RECEIVED, n);
		came(c, (size_t)n);
		if (c->tls)
			tls_stream_feed(c->tls, data, (size_t)n);
		else if (data == c->hl->plain)
			c->in = (struct http_input){data, (size_t)n, NULL, 0};
		else
			body_direct_done(c->turn, (size_t)n);
	}
	conn_advance(c);
}

static bool
awaits_reader(const struct http_conn *c)
{
	return c->turn->out_bytes || c->cipher_writing;
}

bool
conn_awaits_client(const struct http_conn *c)
{
	const struct http_turn *t = c->turn;

	return awaits_reader(c) || (t->body_cb && !t->working && !c->is_starved);
}

static enum http_timer
timer_wanted(struct http_conn *c)
{
	switch (c->state) {
	case CONN_IDLE:
		return c->served ? HTTP_TIMER_IDLE : HTTP_TIMER_HEADER;
	case CONN_HEADERS:
		return HTTP_TIMER_HEADER;
	case CONN_EXCHANGE:
		if (awaits_reader(c))
			return HTTP_TIMER_OUTPUT;
		return conn_awaits_client(c) ? HTTP_TIMER_IDLE : HTTP_TIMER_NONE;
	default:
		return HTTP_TIMER_LINGER;
	}
}

/* Nothing more follows from what is known: decides what to wait for. */
static void
settle(struct http_conn *c)
{
	enum http_timer timer;
	bool read;

	input_keep(c);
	read = wants_input(c) && !(c->tls && tls_stream_has_input(c->tls));
	if (read && !c->reading)
		read = uv_read_start(&c->stream, on_alloc, on_read) == 0;
	else if (!read && c->reading)
		uv_read_stop(&c->stream);
	c->reading = read;
	timer = timer_wanted(c);
	if (timer == HTTP_TIMER_OUTPUT && c->timer != timer)
		c->looks = 0;
	timer_set(c, timer, false);
}

static void
conn_free(struct http_conn *c)
{
	struct http_server *s = c->hl->server;

	http_loop_count(c->hl, -1);
	budget_freed(s->budget, sizeof(*c));
	free(c);
	server_leave(s);
}

void
conn_advance(struct http_conn *c)
{
	if (c->advancing)
		return;
	c->advancing = true;
	while (step(c))
		continue;
	c->advancing = false;
	if (c->state != CONN_CLOSED)
		settle(c);
	else if (c->handle_closed && c->turn == NULL && !c->is_dirty)
		conn_free(c);
}

static void
on_closed(uv_handle_t *handle)
{
	struct http_conn *c = handle->data;

	c->handle_closed = true;
	if (c->counted)
		peers_leave(c->hl->server->peers, c->address);
	atomic_fetch_sub(&c->listener->connections, 1);
	atomic_fetch_sub(&c->hl->server->connections, 1);
	metric_add(METRIC_HTTP_CONNECTIONS, -1);
	if (c->tls)
		budget_freed(c->hl->server->budget, TLS_BYTES);
	tls_stream_free(c->tls);
	c->tls = NULL;
	conn_advance(c);
}

void
conn_close(struct http_conn *c, bool reset)
{
	if (c->state == CONN_CLOSED)
		return;
	c->state = CONN_CLOSED;
	c->reading = false;
	timer_set(c, HTTP_TIMER_NONE, false);
	link_remove(&c->all);
	input_clear(&c->in);
	input_count(c, 0);
	http_loop_unstarve(c);
	if (c->turn) {
		atomic_store(&c->turn->x.gone, true);
		atomic_store(&c->turn->x.ended, true);
	}
	if (!reset || uv_tcp_close_reset(&c->tcp, on_closed) != 0)
		uv_close(&c->handle, on_closed);
}

/* Writing counts as progress when the kernel has taken anything since the last look. */
static void
look_at_output(struct http_conn *c)
{
	size_t queued = uv_stream_get_write_queue_size(&c->stream);

	if (queued != c->queue_seen)
		c->looks = 0;
	c->queue_seen = queued;
	if (++c->looks > HTTP_OUTPUT_LOOKS)
		conn_close(c, true);
	else
		timer_set(c, HTTP_TIMER_OUTPUT, true);
}

static void
exchange_timeout(struct http_conn *c)
{
	if (awaits_reader(c))
		look_at_output(c);
	else
		body_fail(c->turn, RFS_ERR_REQUEST_TIMEOUT);
}

static void
refuse_headers(struct http_conn *c, enum rfs_err error)
{
	c->state = CONN_EXCHANGE;
	turn_refuse(c->turn, error);
}

void
conn_timeout(struct http_conn *c)
{
	switch (c->state) {
	case CONN_HEADERS:
		refuse_headers(c, RFS_ERR_REQUEST_TIMEOUT);
		break;
	case CONN_EXCHANGE:
		exchange_timeout(c);
		break;
	default:
		conn_close(c, false);
	}
	conn_advance(c);
}

void
conn_shed(struct http_conn *c)
{
	metric_add(METRIC_HTTP_SHED, 1);
	if (c->state == CONN_HEADERS)
		refuse_headers(c, RFS_ERR_SLOW_DOWN);
	else if (awaits_reader(c))
		conn_close(c, true);
	else
		body_fail(c->turn, RFS_ERR_SLOW_DOWN);
	conn_advance(c);
}

void
conn_stop(struct http_conn *c)
{
	if (c->state == CONN_IDLE || c->state == CONN_HEADERS) {
		conn_close(c, false);
		conn_advance(c);
	}
}
