/* http_timer.c: deadlines of connections: a list for each kind, sorted because its time is one constant; a coarse tick
 * looks at the heads. [loop] */
#include "net/http_int.h"

static uint64_t
timer_ms(const struct http_loop *hl, enum http_timer kind)
{
	switch (kind) {
	case HTTP_TIMER_HEADER:
		return (uint64_t)hl->server->options.header_time_ms;
	case HTTP_TIMER_IDLE:
		return (uint64_t)hl->server->options.idle_time_ms;
	case HTTP_TIMER_OUTPUT:
		return (uint64_t)hl->server->options.idle_time_ms / HTTP_OUTPUT_LOOKS;
	default:
		return HTTP_LINGER_MS;
	}
}

void
timer_set(struct http_conn *c, enum http_timer kind, bool refresh)
{
	if (kind == c->timer && !refresh)
		return;
	link_remove(&c->time);
	c->timer = kind;
	c->came = 0;
	if (kind == HTTP_TIMER_NONE)
		return;
	c->deadline_ms = uv_now(loop_uv(c->hl->loop)) + timer_ms(c->hl, kind);
	link_append(&c->hl->timers[kind], &c->time);
}

void
timer_tick(struct http_loop *hl)
{
	uint64_t now = uv_now(loop_uv(hl->loop));

	for (int kind = HTTP_TIMER_NONE + 1; kind < HTTP_TIMER_COUNT; kind++) {
		struct http_link *list = &hl->timers[kind];

		while (list->next != list) {
			struct http_conn *c = CONN_OF(list->next, time);

			if (c->deadline_ms > now)
				break;
			timer_set(c, HTTP_TIMER_NONE, false);
			conn_timeout(c);
		}
	}
}
