/* http_accept.c: a connection's beginning: its address, and whether there is room for it. [loop] */
#include "net/http_int.h"
#include "base/metrics.h"
#include <arpa/inet.h>

#define ALWAYS 16    /* connections that each listener may have, whatever the others have */
#define TOLD_MOST 64 /* beyond the server's most that still get an answer */

/* IPv4 as IPv6-mapped, so that one table holds both. */
static void
read_address(struct http_conn *c)
{
	struct sockaddr_storage sa = {0};
	int len = sizeof(sa);
	const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&sa;
	const struct sockaddr_in *v4 = (struct sockaddr_in *)&sa;

	uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&sa, &len);
	if (sa.ss_family == AF_INET6) {
		memcpy(c->address, &v6->sin6_addr, 16);
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
			inet_ntop(AF_INET, c->address + 12, c->peer, sizeof(c->peer));
		else
			inet_ntop(AF_INET6, c->address, c->peer, sizeof(c->peer));
	} else if (sa.ss_family == AF_INET) {
		c->address[10] = c->address[11] = 0xff;
		memcpy(c->address + 12, &v4->sin_addr, 4);
		inet_ntop(AF_INET, &v4->sin_addr, c->peer, sizeof(c->peer));
	}
}

/* A connection too many is told so, unless those are too many as well, or it would take a handshake. */
static void
admit(struct http_conn *c)
{
	const struct http_options *o = &c->hl->server->options;
	size_t count = atomic_load(&c->listener->connections), all = atomic_load(&c->hl->server->connections);
	size_t most = o->connections_in_all ? o->connections_in_all : SIZE_MAX - TOLD_MOST;

	c->counted = peers_enter(c->hl->server->peers, c->address, o->connections_per_address);
	if (count <= o->connections && (all <= most || count <= ALWAYS) && c->counted)
		return;
	if (c->tls || count > o->connections + o->connections / 8 + 8 || all > most + TOLD_MOST) {
		metric_add(METRIC_HTTP_REFUSED, 1);
		conn_close(c, false);
		return;
	}
	c->turn = turn_new(c);
	c->state = CONN_EXCHANGE;
	turn_refuse(c->turn, RFS_ERR_SLOW_DOWN);
}

void
conn_open(struct http_acceptor *acceptor)
{
	struct http_conn *c = xcalloc(1, sizeof(*c));
	struct http_loop *hl = acceptor->hl;

	c->hl = hl;
	c->listener = acceptor->listener;
	uv_tcp_init(loop_uv(hl->loop), &c->tcp);
	c->tcp.data = c;
	link_init(&c->time);
	link_append(&hl->conns, &c->all);
	server_enter(hl->server);
	http_loop_count(hl, 1);
	metric_add(METRIC_HTTP_CONNECTIONS, 1);
	atomic_fetch_add(&c->listener->connections, 1);
	atomic_fetch_add(&hl->server->connections, 1);
	if (uv_accept((uv_stream_t *)&acceptor->tcp, &c->stream) != 0) {
		conn_close(c, false);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	read_address(c);
	if (c->listener->tls && (c->tls = tls_stream_new(c->listener->tls)) == NULL) {
		conn_close(c, false);
		return;
	}
	admit(c);
	conn_advance(c);
}
