/* http_loop.c: what the server keeps on each loop: shared buffers, the pool of turns, the ticks, and the list of
 * connections to look at. [loop] */
#include "net/http_int.h"
#include "base/clock.h"
#include <stdlib.h>

#define HUNGRY_MS 10

static void
on_prepare(uv_prepare_t *prepare)
{
	struct http_loop *hl = prepare->data;
	struct http_conn *c;

	while ((c = hl->dirty)) {
		hl->dirty = c->dirty_next;
		c->dirty_next = NULL;
		c->is_dirty = false;
		conn_advance(c);
	}
}

void
conn_touch(struct http_conn *c)
{
	struct http_loop *hl = c->hl;

	assert(loop_is_current(hl->loop));
	if (c->advancing || c->is_dirty)
		return;
	c->is_dirty = true;
	if (hl->dirty)
		hl->dirty_last->dirty_next = c;
	else
		hl->dirty = c;
	hl->dirty_last = c;
}

static void
on_tick(uv_timer_t *timer)
{
	struct http_loop *hl = timer->data;

	timer_tick(hl);
	http_loop_shed(hl);
	if (!http_loop_trim(hl) && hl->count == 0)
		uv_timer_stop(timer);
}

static void
unstarve(struct http_conn *c)
{
	c->is_starved = false;
	atomic_fetch_sub_explicit(&c->hl->server->budget->starved, 1, memory_order_relaxed);
}

/* Memory may have come free: whoever waited tries again, and comes back to the list if it has not. */
static void
on_hungry(uv_timer_t *timer)
{
	struct http_loop *hl = timer->data;
	struct http_conn *c, *next;

	if (budget_exhausted(hl->server->budget))
		return;
	uv_timer_stop(timer);
	c = hl->starved;
	hl->starved = NULL;
	for (; c; c = next) {
		next = c->starved_next;
		unstarve(c);
		conn_touch(c);
	}
}

void
http_loop_starve(struct http_conn *c)
{
	struct http_loop *hl = c->hl;

	if (c->is_starved)
		return;
	c->is_starved = true;
	atomic_fetch_add_explicit(&hl->server->budget->starved, 1, memory_order_relaxed);
	c->starved_next = hl->starved;
	hl->starved = c;
	uv_timer_start(&hl->hungry, on_hungry, HUNGRY_MS, HUNGRY_MS);
}

void
http_loop_unstarve(struct http_conn *c)
{
	struct http_conn **at = &c->hl->starved;

	if (!c->is_starved)
		return;
	while (*at != c)
		at = &(*at)->starved_next;
	*at = c->starved_next;
	unstarve(c);
}

static uint64_t
tick_ms(const struct http_options *o)
{
	int64_t least = o->header_time_ms < o->idle_time_ms ? o->header_time_ms : o->idle_time_ms;

	return least / 4 < 10 ? 10 : least / 4 > 500 ? 500 : (uint64_t)(least / 4);
}

void
http_loop_count(struct http_loop *hl, int change)
{
	hl->count += (size_t)change;
	if (hl->count == 1 && change == 1 && !uv_is_active((uv_handle_t *)&hl->tick)) {
		uint64_t ms = tick_ms(&hl->server->options);

		uv_timer_start(&hl->tick, on_tick, ms, ms);
	}
}

uint8_t *
http_loop_cipher(struct http_loop *hl)
{
	if (hl->cipher == NULL)
		hl->cipher = xmalloc(HTTP_READ_BYTES);
	return hl->cipher;
}

const char *
http_loop_date(struct http_loop *hl)
{
	int64_t now = clock_wall_ns();

	if (now / NS_PER_SECOND != hl->date_second) {
		hl->date_second = now / NS_PER_SECOND;
		date_http(now, hl->date);
	}
	return hl->date;
}

void
http_loop_open(struct http_loop *hl)
{
	uv_loop_t *uv = loop_uv(hl->loop);

	hl->plain = xmalloc(HTTP_READ_BYTES);
	link_init(&hl->conns);
	for (int i = 0; i < HTTP_TIMER_COUNT; i++)
		link_init(&hl->timers[i]);
	uv_prepare_init(uv, &hl->prepare);
	uv_timer_init(uv, &hl->tick);
	uv_timer_init(uv, &hl->hungry);
	hl->prepare.data = hl->tick.data = hl->hungry.data = hl;
	uv_prepare_start(&hl->prepare, on_prepare);
	for (int i = 0; i < HTTP_LOOP_HANDLES; i++)
		server_enter(hl->server);
}

static void
on_closed(uv_handle_t *handle)
{
	struct http_loop *hl = handle->data;

	server_leave(hl->server);
}

void
http_loop_close(struct http_loop *hl)
{
	assert(hl->count == 0 && hl->dirty == NULL);
	uv_close((uv_handle_t *)&hl->prepare, on_closed);
	uv_close((uv_handle_t *)&hl->tick, on_closed);
	uv_close((uv_handle_t *)&hl->hungry, on_closed);
}

void
http_loop_fini(struct http_loop *hl)
{
	struct http_turn *t;

	while ((t = hl->pool)) {
		hl->pool = t->next_free;
		turn_fini(t);
	}
	free(hl->plain);
	free(hl->cipher);
}
