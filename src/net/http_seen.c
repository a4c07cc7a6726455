/* http_seen.c: requests under way, and those that have ended, for who looks on. */
#include "net/http_seen.h"
#include "base/clock.h"
#include "base/waits.h"
#include "net/http_int.h"
#include <stdlib.h>

#define TRACE_BYTES ((size_t)1024 * 1024)
#define TRACE_TIME_NS (2 * WAIT_MOST_MS * INT64_C(1000000)) /* that it is recorded after the last reader came */

/* Recorded while there is a ring. */
struct http_trace {
	atomic_bool on;
	struct waits *waits; /* [init] */
	pthread_mutex_t lock; /* the rest */
	struct ring *ring;    /* NULL: nobody reads */
	uint64_t last;        /* of rings before it */
	int64_t until_ns;     /* clock_monotonic_ns() */
};

#define TEXTS 6

/* A record is the struct, whose pointers mean nothing, and these one behind the other. */
static void
texts_of(struct http_seen *seen, struct bytes *list[TEXTS])
{
	list[0] = &seen->method;
	list[1] = &seen->path;
	list[2] = &seen->bucket;
	list[3] = &seen->key;
	list[4] = &seen->user;
	list[5] = &seen->peer;
}

/* --- what a request is ------------------------------------------------------------------------------------------- */

/* [loop]; `settled`: no worker has it. */
static void
seen_fill(struct http_turn *t, bool settled, struct http_seen *out)
{
	struct http_exchange *x = &t->x;
	size_t unsent = t->out_bytes < t->answered ? t->out_bytes : t->answered;

	*out = (struct http_seen){.id = x->rq.id,
		.door = x->rq.door,
		.method = x->method,
		.path = x->path,
		.peer = bytes_str(t->conn->peer),
		.began_ns = x->rq.now_ns,
		.duration_ns = clock_monotonic_ns() - x->started_ns,
		.received = t->received,
		.sent = t->answered - unsent,
		.length = x->content_length,
		.status = t->status};
	if (t->conn->listener->door.tell)
		t->conn->listener->door.tell(x, settled, out);
}

/* --- under way ---------------------------------------------------------------------------------------------------- */

struct looking {
	struct http_loop *hl;
	size_t left;
	http_seen_fn *fn;
	void *data;
};

/* [loop] */
static void
loop_look(void *arg)
{
	struct looking *l = arg;
	struct http_link *list = &l->hl->conns;

	for (struct http_link *at = list->next; at != list && l->left; at = at->next) {
		const struct http_conn *c = CONN_OF(at, all);
		struct http_seen seen;

		if (c->state != CONN_EXCHANGE || !c->turn->in_door)
			continue;
		seen_fill(c->turn, !c->turn->working, &seen);
		seen.does = conn_activity(c);
		l->fn(l->data, &seen);
		l->left--;
	}
}

void
http_server_live(struct http_server *s, size_t most, http_seen_fn *fn, void *data)
{
	struct looking l = {.left = most, .fn = fn, .data = data};

	for (unsigned i = 0; i < s->loop_count; i++) {
		l.hl = &s->at[i];
		loop_call(l.hl->loop, loop_look, &l);
	}
}

/* --- ended -------------------------------------------------------------------------------------------------------- */

struct http_trace *
trace_new(void)
{
	struct http_trace *trace = xcalloc(1, sizeof(*trace));

	pthread_mutex_init(&trace->lock, NULL);
	return trace;
}

void
trace_free(struct http_trace *trace)
{
	ring_free(trace->ring);
	pthread_mutex_destroy(&trace->lock);
	free(trace);
}

bool
trace_is_on(const struct http_trace *trace)
{
	return atomic_load_explicit(&trace->on, memory_order_relaxed);
}

static void
trace_end_locked(struct http_trace *trace)
{
	trace->last = ring_before(trace->ring, 0);
	ring_free(trace->ring);
	trace->ring = NULL;
	atomic_store(&trace->on, false);
}

void
turn_trace(struct http_turn *t)
{
	struct http_trace *trace = t->hl->server->trace;
	struct bytes parts[1 + TEXTS], *list[TEXTS];
	struct http_seen seen;
	bool wanted;

	if (t->x.unseen)
		return;
	seen_fill(t, true, &seen);
	parts[0] = bytes_of(&seen, sizeof(seen));
	texts_of(&seen, list);
	for (unsigned i = 0; i < TEXTS; i++)
		parts[i + 1] = *list[i];
	pthread_mutex_lock(&trace->lock);
	if (trace->ring && clock_monotonic_ns() > trace->until_ns)
		trace_end_locked(trace);
	wanted = trace->ring != NULL;
	if (wanted)
		ring_put(trace->ring, parts, 1 + TEXTS);
	pthread_mutex_unlock(&trace->lock);
	if (wanted && trace->waits)
		waits_raise(trace->waits, WAITS_TRACE);
}

static void
record_show(struct bytes record, http_seen_fn *fn, void *data)
{
	struct http_seen seen;
	struct bytes *list[TEXTS];
	size_t at = sizeof(seen);

	if (record.len < sizeof(seen)) /* cut: it was too long */
		return;
	memcpy(&seen, record.data, sizeof(seen));
	texts_of(&seen, list);
	for (unsigned i = 0; i < TEXTS; i++) {
		size_t len = list[i]->len;

		*list[i] = bytes_sub(record, at, len);
		at += len;
	}
	fn(data, &seen);
}

static struct ring *
trace_begin_locked(struct http_trace *trace)
{
	uint64_t number = ring_number_now();

	if (!trace->ring)
		trace->ring = ring_new(TRACE_BYTES, number > trace->last ? number : trace->last + 1);
	trace->until_ns = clock_monotonic_ns() + TRACE_TIME_NS;
	atomic_store(&trace->on, true);
	return trace->ring;
}

void
http_trace_read(struct http_server *s, const uint64_t *after, size_t bytes, struct wait *wait, http_seen_fn *fn, void *data, struct ring_page *page)
{
	struct http_trace *trace = s->trace;
	struct bytes records, record;
	struct ring *ring;
	struct buf out;

	buf_init(&out, NULL);
	if (wait && trace->waits)
		waits_arm(trace->waits, wait, WAITS_TRACE);
	pthread_mutex_lock(&trace->lock);
	ring = trace_begin_locked(trace);
	ring_read(ring, after ? *after : ring_before(ring, 0), bytes, &out, page);
	pthread_mutex_unlock(&trace->lock);
	records = buf_bytes(&out);
	while (ring_next(&records, &record))
		record_show(record, fn, data);
	buf_fini(&out);
}

void
http_server_set_waits(struct http_server *s, struct waits *waits)
{
	s->trace->waits = waits;
}
