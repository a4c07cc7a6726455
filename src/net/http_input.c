/*
 * http_input.c: what a connection has received and not yet used: bytes behind the request that is being answered, and a
 * header block that is not complete. [loop]
 *
 * A few kibibytes of it cost a connection what its turn does, and there is a limit of connections. What is more counts
 * as memory of bodies: when there is none, as little is read as may be kept, and who stands still or waits with much is
 * let go (http_shed.c).
 */
#include "net/http_int.h"
#include <stdlib.h>

void
input_skip(struct http_input *in, size_t len)
{
	assert(len <= in->len);
	in->data += len;
	in->len -= len;
	if (in->len == 0)
		input_clear(in);
}

void
input_clear(struct http_input *in)
{
	free(in->owned);
	*in = (struct http_input){0};
}

void
input_count(struct http_conn *c, size_t bytes)
{
	struct http_budget *b = c->hl->server->budget;

	if (bytes > c->held)
		budget_charge(b, bytes - c->held);
	else if (bytes < c->held)
		budget_release(b, c->held - bytes);
	c->held = bytes;
}

/* A copy, because the loop's buffer serves the next connection; at most HTTP_READ_BYTES, since reading stops while it
 * is there. */
static void
copy(struct http_input *in)
{
	in->owned = xmalloc(in->len);
	memcpy(in->owned, in->data, in->len);
	in->data = in->owned;
	in->size = in->len;
}

void
input_keep(struct http_conn *c)
{
	size_t bytes;

	if (c->in.len && !c->in.owned)
		copy(&c->in);
	bytes = c->in.size;
	if (c->tls)
		bytes += tls_stream_keep(c->tls);
	if (c->turn)
		bytes += c->turn->raw.capacity;
	input_count(c, bytes > HTTP_FREE_BYTES ? bytes - HTTP_FREE_BYTES : 0);
}

static bool
is_short(const struct http_conn *c)
{
	return budget_exhausted_by_others(c->hl->server->budget, c->held);
}

size_t
input_room(const struct http_conn *c)
{
	size_t kept;

	/* Nothing is wanted but to see the client go. */
	if (c->state == CONN_EXCHANGE && c->turn->body_done)
		return HTTP_SHORT_BYTES;
	if (!is_short(c))
		return HTTP_READ_BYTES;
	kept = c->state == CONN_HEADERS ? c->turn->raw.len : 0;
	return kept < HTTP_SHORT_BYTES ? HTTP_SHORT_BYTES - kept : 0;
}

bool
input_header_wanted(struct http_conn *c)
{
	if (input_room(c))
		return true;
	http_loop_starve(c);
	return false;
}
