/* http_turn.c: one request with its answer: its pool, its way into the door, and its steps on workers. [loop] but for
 * work_run */
#include "net/http_int.h"
#include "base/clock.h"
#include "base/metrics.h"
#include <stdlib.h>

#define TURN_ARENA_BYTES 4096 /* most requests' headers and small things; kept in the pool */
#define TURN_POOL_MOST 64     /* a loop */
#define TURNS_QUIET 4         /* under way on a loop that is quiet */
#define TURN_KEEP_BYTES 16384 /* answer headers larger than this are not kept in the pool */

static struct http_turn *
turn_make(void)
{
	struct http_turn *t = xcalloc(1, sizeof(*t));

	t->x.rq.arena = arena_new(TURN_ARENA_BYTES);
	buf_init(&t->raw, NULL);
	return t;
}

static void
work_finished(void *arg)
{
	struct http_turn *t = arg;
	struct http_conn *c = t->conn;

	assert(t->working);
	t->working = false;
	t->x.rq.may_block = false;
	t->work_done(&t->x);
	conn_advance(c);
}

static void
turn_wake(struct request *rq)
{
	struct http_turn *t = (struct http_turn *)((char *)rq - offsetof(struct http_turn, x.rq));

	loop_post_task(t->hl->loop, &t->task);
}

struct http_turn *
turn_new(struct http_conn *c)
{
	static atomic_uint_fast64_t last_id;
	struct http_loop *hl = c->hl;
	struct http_turn *t = hl->pool;

	if (t) {
		hl->pool = t->next_free;
		hl->pooled--;
	} else {
		t = turn_make();
	}
	atomic_fetch_add_explicit(&hl->turns, 1, memory_order_relaxed);
	t->next_free = NULL;
	t->conn = c;
	t->hl = hl;
	t->reply_left = -1;
	t->x.content_length = -1;
	t->x.minor = 1;
	t->x.door_data = c->listener->door.data;
	t->x.rq.id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	t->x.rq.door = c->listener->door.name;
	t->x.rq.peer = bytes_str(c->peer);
	t->x.rq.over_tls = c->tls != NULL;
	t->x.rq.now_ns = clock_wall_ns();
	t->x.rq.wake = turn_wake;
	t->task.fn = work_finished;
	t->task.arg = t;
	parse_init(t);
	return t;
}

void
turn_fini(struct http_turn *t)
{
	arena_free(t->x.rq.arena);
	buf_fini(&t->raw);
	buf_fini(&t->head);
	buf_fini(&t->first);
	free(t->slices);
	free(t->parts);
	free(t);
}

void
turn_free(struct http_turn *t)
{
	struct http_loop *hl = t->hl;
	struct http_turn clean = {0};

	assert(!t->working && t->holds == 0 && t->writing == 0 && !t->in_door);
	atomic_fetch_sub_explicit(&hl->turns, 1, memory_order_relaxed);
	body_fini(t);
	output_clear(t);
	if (hl->pooled == TURN_POOL_MOST || t->head.capacity > TURN_KEEP_BYTES || t->raw.capacity > HTTP_SHORT_BYTES) {
		budget_freed(hl->server->budget, sizeof(*t) + TURN_ARENA_BYTES + t->raw.capacity);
		turn_fini(t);
		return;
	}
	arena_reset(t->x.rq.arena);
	/* What the pool keeps is memory, never contents. */
	clean.x.rq.arena = t->x.rq.arena;
	clean.raw = t->raw;
	clean.head = t->head;
	clean.first = t->first;
	clean.raw.len = clean.head.len = clean.first.len = 0;
	clean.slices = t->slices;
	clean.slice_room = t->slice_room;
	clean.parts = t->parts;
	clean.part_room = t->part_room;
	clean.next_free = hl->pool;
	*t = clean;
	hl->pool = t;
	hl->pooled++;
}

/* Without a body to read, and with nothing after it. */
static void
make_last(struct http_turn *t)
{
	t->body_done = true;
	t->closes = true;
	t->x.keep_alive = false;
	t->expects_continue = false;
}

void
turn_refuse(struct http_turn *t, enum rfs_err error)
{
	metric_add(METRIC_HTTP_REFUSED, 1);
	make_last(t);
	t->x.started_ns = clock_monotonic_ns();
	t->conn->listener->door.refuse(&t->x, error);
	if (t->reply != REPLY_ENDED)
		t->reset = true;
	if (trace_is_on(t->hl->server->trace))
		turn_trace(t);
}

void
turn_begin(struct http_turn *t)
{
	metric_add(METRIC_HTTP_REQUESTS, 1);
	t->x.started_ns = clock_monotonic_ns();
	t->x.rq.now_ns = clock_wall_ns(); /* the turn began with the first byte, which may be a while ago */
	atomic_store(&t->x.ended, t->conn->eof);
	t->in_door = true;
	t->conn->listener->door.request(&t->x);
}

struct loop *
http_loop(struct http_exchange *x)
{
	return turn_of(x)->hl->loop;
}

bool
http_is_quiet(struct http_exchange *x)
{
	const struct http_loop *hl = turn_of(x)->hl;

	return atomic_load_explicit(&hl->turns, memory_order_relaxed) <= TURNS_QUIET && !budget_exhausted(hl->server->budget);
}

static void
work_run(struct job *job)
{
	struct http_turn *t = (struct http_turn *)((char *)job - offsetof(struct http_turn, job));

	t->work_fn(&t->x);
	loop_post_task(t->hl->loop, &t->task);
}

void
http_suspend(struct http_exchange *x, void (*done)(struct http_exchange *x))
{
	struct http_turn *t = turn_of(x);

	assert(loop_is_current(t->hl->loop) && !t->working && t->in_door);
	t->working = true;
	t->work_done = done;
}

void
http_work(struct http_exchange *x, void (*fn)(struct http_exchange *x), void (*done)(struct http_exchange *x))
{
	struct http_turn *t = turn_of(x);

	http_suspend(x, done);
	t->work_fn = fn;
	t->job.fn = work_run;
	x->rq.may_block = true;
	workers_run(t->hl->server->workers, &t->job);
}

void
http_hold(struct http_exchange *x)
{
	struct http_turn *t = turn_of(x);

	assert(loop_is_current(t->hl->loop) && t->in_door);
	t->holds++;
}

void
http_release(struct http_exchange *x)
{
	struct http_turn *t = turn_of(x);

	assert(loop_is_current(t->hl->loop) && t->holds > 0);
	t->holds--;
	conn_touch(t->conn);
}
