/*
 * http_shed.c: when bodies or headers wait for memory, those clients are let go that hold some and stand still. [loop]
 *
 * Without it a few hundred uploads that stop in the middle of a block, or answers that are not read, would keep all
 * memory of bodies until their time to idle is over, and for ever if a byte comes now and then; and thousands of
 * answers that are not read would take any amount.
 */
#include "net/http_int.h"

#define MOVE_BYTES ((size_t)64 * 1024)    /* as much, in or out, is moving */
#define STILL_MS 1000                     /* who moved within this time is not let go */
#define LITTLE_BYTES ((int64_t)64 * 1024) /* bodies so short that letting one go gains nothing */
#define LITTLE_STILL_MS 3000              /* even those, then: thousands of them hold all that there is */

void
turn_moved(struct http_turn *t, size_t bytes)
{
	t->moved_bytes += bytes;
	if (t->moved_bytes < MOVE_BYTES)
		return;
	t->moved_bytes = 0;
	t->moved_ms = uv_now(loop_uv(t->hl->loop));
}

void
turn_moves(struct http_turn *t)
{
	t->moved_bytes = 0;
	t->moved_ms = uv_now(loop_uv(t->hl->loop));
}

static bool
holds_little(const struct http_conn *c)
{
	const struct http_turn *t = c->turn;

	return t->out_bytes == 0 && c->held == 0 && !t->x.chunked && t->x.content_length < LITTLE_BYTES;
}

/* For how long a client has kept memory and not moved; 0: it does not. */
static uint64_t
still_ms(const struct http_conn *c)
{
	const struct http_turn *t = c->turn;
	uint64_t now = uv_now(loop_uv(c->hl->loop));

	if (c->state == CONN_HEADERS)
		return c->held || c->is_starved ? now - t->moved_ms : 0;
	if (c->state != CONN_EXCHANGE)
		return 0;
	/* Who waits for memory with much of his body here already may wait for others like him. */
	if (c->is_starved && c->held)
		return now - t->moved_ms;
	if (!conn_awaits_client(c) || (t->out_bytes == 0 && !t->body_admitted && !c->held))
		return 0;
	if (holds_little(c) && now - t->moved_ms < LITTLE_STILL_MS)
		return 0;
	return now - t->moved_ms;
}

/* Somebody waits for it; or answers, which never wait, hold far more than there is. */
static bool
is_needed(const struct http_budget *b)
{
	size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);

	return used / 2 >= b->limit || (atomic_load_explicit(&b->starved, memory_order_relaxed) && used >= b->limit);
}

/* The stillest go first, and who has stood still nearly as long: the others may be merely slow. */
void
http_loop_shed(struct http_loop *hl)
{
	struct http_budget *b = hl->server->budget;
	struct http_link *at, *next;
	uint64_t most = 0, enough;

	if (!is_needed(b))
		return;
	for (at = hl->conns.next; at != &hl->conns; at = at->next) {
		uint64_t ms = still_ms(CONN_OF(at, all));

		if (ms > most)
			most = ms;
	}
	enough = most / 4 * 3 > STILL_MS ? most / 4 * 3 : STILL_MS;
	for (at = hl->conns.next; at != &hl->conns; at = next) {
		next = at->next;
		if (still_ms(CONN_OF(at, all)) >= enough)
			conn_shed(CONN_OF(at, all));
	}
}
