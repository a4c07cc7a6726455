/*
 * http_describe.c: the server's state, for developers: connections, the requests under way, the memory of bodies and
 * the queue of the workers. Each loop tells its own part: what it must not look at is what a worker has of an exchange.
 */
#include "net/http_int.h"
#include "base/clock.h"
#include "base/dump.h"

struct describing {
	struct http_loop *hl;
	struct dump *out;
	size_t listed;
};

const char *
conn_activity(const struct http_conn *c)
{
	const struct http_turn *t = c->turn;

	if (c->is_starved)
		return "waits for memory";
	if (t->working)
		return "works"; /* or waits for a commit */
	if (t->body_cb)
		return "waits for the body";
	return t->out_bytes || t->writing ? "answers" : "waits";
}

/* Its query is not told: it may be signed. [loop] */
static void
request_describe(const struct http_conn *c, struct dump *out)
{
	const struct http_turn *t = c->turn;
	int64_t age = clock_wall_ns() - t->x.rq.now_ns;

	dump_object(out, NULL);
	dump_number(out, "id", t->x.rq.id);
	dump_text(out, "door", bytes_str(t->x.rq.door));
	dump_text(out, "method", t->x.method);
	dump_text(out, "path", t->x.path);
	dump_text(out, "peer", bytes_str(c->peer));
	dump_text(out, "does", bytes_str(conn_activity(c)));
	dump_number(out, "age_ms", age > 0 ? (uint64_t)age / 1000000 : 0);
	dump_number(out, "body_bytes_held", t->buffered);
	dump_number(out, "answer_bytes_unsent", t->out_bytes);
	dump_end(out);
}

/* [loop] */
static void
requests_describe(void *arg)
{
	struct describing *d = arg;
	struct http_link *list = &d->hl->conns;

	for (struct http_link *at = list->next; at != list && d->listed < DUMP_LIST_MOST; at = at->next) {
		const struct http_conn *c = CONN_OF(at, all);

		if (c->state != CONN_EXCHANGE || !c->turn->in_door)
			continue;
		request_describe(c, d->out);
		d->listed++;
	}
}

/* [loop] */
static void
connections_describe(void *arg)
{
	static const char *const names[] = {[CONN_IDLE] = "idle",
		[CONN_HEADERS] = "headers",
		[CONN_EXCHANGE] = "exchange",
		[CONN_DRAIN] = "drain",
		[CONN_LINGER] = "linger",
		[CONN_CLOSED] = "closed"};
	uint64_t counts[sizeof(names) / sizeof(names[0])] = {0};
	struct describing *d = arg;
	struct http_link *list = &d->hl->conns;

	for (struct http_link *at = list->next; at != list; at = at->next)
		counts[CONN_OF(at, all)->state]++;
	dump_object(d->out, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		dump_number(d->out, names[i], counts[i]);
	dump_end(d->out);
}

static void
each_loop(struct http_server *s, const char *name, void (*fn)(void *arg), struct dump *out)
{
	struct describing d = {.out = out};

	dump_list(out, name);
	for (unsigned i = 0; i < s->loop_count; i++) {
		d.hl = &s->at[i];
		loop_call(d.hl->loop, fn, &d);
	}
	dump_end(out);
}

void
http_server_describe(struct http_server *s, struct dump *out)
{
	dump_object(out, "body_memory");
	dump_number(out, "used", atomic_load(&s->budget->used));
	dump_number(out, "limit", s->budget->limit);
	dump_number(out, "connections_waiting", atomic_load(&s->budget->starved));
	dump_end(out);
	dump_object(out, "workers");
	workers_describe(s->workers, out);
	dump_end(out);
	dump_number(out, "connections", atomic_load(&s->connections));
	each_loop(s, "loops", connections_describe, out);
	each_loop(s, "requests", requests_describe, out);
}
