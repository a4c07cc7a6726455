/*
 * http_server.c: listeners, a socket for each loop on one port (SO_REUSEPORT), and the server's start and end. [init]
 * but for the handlers on loops
 */
#include "net/http_int.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 1024

void
http_options_from(struct http_options *o, const struct config *c)
{
	*o = (struct http_options){
		.header_bytes = (size_t)c->http_header_bytes,
		.header_count = (size_t)c->http_header_count,
		.header_time_ms = c->http_header_time,
		.idle_time_ms = c->http_idle_time,
		.body_rate = (size_t)c->http_body_rate,
		.connections = (size_t)c->http_connections,
		.connections_per_address = (size_t)c->http_connections_per_address,
		.body_memory = (size_t)c->http_body_memory,
	};
}

void
server_enter(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->live++;
	pthread_mutex_unlock(&s->lock);
}

void
server_leave(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	if (--s->live <= s->wanted)
		pthread_cond_broadcast(&s->ended);
	pthread_mutex_unlock(&s->lock);
}

static void
open_loop(void *arg)
{
	http_loop_open(arg);
}

struct http_server *
http_server_new(struct loops *loops, struct workers *workers, const struct http_options *options)
{
	unsigned count = loops_count(loops);
	struct http_server *s = xcalloc(1, sizeof(*s) + count * sizeof(s->at[0]));
	pthread_condattr_t monotonic;

	s->loops = loops;
	s->workers = workers;
	s->options = *options;
	s->budget = budget_new(options->body_memory);
	s->peers = peers_new();
	s->trace = trace_new();
	s->loop_count = count;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (unsigned i = 0; i < count; i++) {
		s->at[i].server = s;
		s->at[i].loop = loops_at(loops, i);
		loop_call(s->at[i].loop, open_loop, &s->at[i]);
	}
	return s;
}

static void
on_connection(uv_stream_t *stream, int status)
{
	struct http_acceptor *a = stream->data;

	if (status == 0)
		conn_open(a);
	else
		log_warn(0, "accept a connection of door %s: %s", a->listener->door.name, uv_strerror(status));
}

struct open_acceptor {
	struct http_acceptor *acceptor;
	int fd;
	int rc;
};

static void
open_acceptor(void *arg)
{
	struct open_acceptor *open = arg;
	struct http_acceptor *a = open->acceptor;

	uv_tcp_init(loop_uv(a->hl->loop), &a->tcp);
	a->tcp.data = a;
	server_enter(a->hl->server);
	open->rc = uv_tcp_open(&a->tcp, open->fd);
	if (open->rc == 0)
		open->rc = uv_listen((uv_stream_t *)&a->tcp, BACKLOG, on_connection);
	else
		close(open->fd);
}

struct http_listener *
listener_new(struct http_server *s, const struct http_door *door, struct tls_context *tls)
{
	struct http_listener *l = xcalloc(1, sizeof(*l) + s->loop_count * sizeof(l->acceptors[0]));

	l->server = s;
	l->door = *door;
	l->tls = tls;
	/* On the list at once: what was opened before an error is closed by http_server_stop. */
	l->next = s->listeners;
	s->listeners = l;
	return l;
}

int
listener_open(struct http_listener *l, int fd)
{
	struct http_acceptor *a = &l->acceptors[l->opened];
	struct open_acceptor open = {.acceptor = a, .fd = fd};

	a->hl = &l->server->at[l->opened++];
	a->listener = l;
	loop_call(a->hl->loop, open_acceptor, &open);
	return open.rc;
}

/* A socket bound to the address, or -errno. */
static int
bind_socket(const struct addrinfo *ai, bool shared)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, saved;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if ((shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
		bind(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
		saved = errno;
		close(fd);
		return -saved;
	}
	return fd;
}

/* "host:port", "[v6]:port", ":port" */
static struct addrinfo *
resolve(const char *address, char error[HTTP_ERROR_BYTES])
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	const char *colon = strrchr(address, ':');
	char host[256];
	size_t len;
	int rc;

	/* getaddrinfo would take the port modulo 65536. */
	if (colon == NULL || colon[1] == '\0' || (size_t)(colon - address) >= sizeof(host) ||
		strtoul(colon + 1, NULL, 10) > UINT16_MAX) {
		snprintf(error, HTTP_ERROR_BYTES, "listen on \"%s\": not HOST:PORT", address);
		return NULL;
	}
	len = (size_t)(colon - address);
	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	memcpy(host, address, len);
	host[len] = '\0';
	rc = getaddrinfo(len && strcmp(host, "*") != 0 ? host : NULL, colon + 1, &hints, &found);
	if (rc != 0) {
		snprintf(error, HTTP_ERROR_BYTES, "listen on \"%s\": %s", address, gai_strerror(rc));
		return NULL;
	}
	return found;
}

static unsigned *
port_of(struct sockaddr *sa, unsigned *port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)sa;

	*port = ntohs(sa->sa_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
	return port;
}

/* The first socket finds the port that the others share. 0 or -errno. */
static int
listen_everywhere(struct http_server *s, struct http_listener *l, struct addrinfo *ai, unsigned *port)
{
	socklen_t len = ai->ai_addrlen;
	int probe, fd, rc;

	/*
	 * With SO_REUSEPORT another process of ours on the same port would go unnoticed and share its connections, so
	 * the port is first taken without it. (Port 0 never picks a shared one.)
	 */
	if (*port_of(ai->ai_addr, port) != 0) {
		probe = bind_socket(ai, false);
		if (probe < 0)
			return probe;
		close(probe);
	}
	for (unsigned i = 0; i < s->loop_count; i++) {
		fd = bind_socket(ai, true);
		if (fd < 0)
			return fd;
		if (i == 0)
			getsockname(fd, ai->ai_addr, &len);
		if ((rc = listener_open(l, fd)) != 0)
			return rc;
	}
	port_of(ai->ai_addr, port);
	return 0;
}

enum rfs_err
http_server_listen(struct http_server *s, const char *address, const struct http_door *door, struct tls_context *tls,
	unsigned *port, char error[HTTP_ERROR_BYTES])
{
	struct addrinfo *found = resolve(address, error);
	struct http_listener *l;
	unsigned bound;
	int rc;

	if (found == NULL)
		return RFS_ERR_INVALID_ARGUMENT;
	l = listener_new(s, door, tls);
	rc = listen_everywhere(s, l, found, &bound);
	freeaddrinfo(found);
	if (rc != 0) {
		snprintf(error, HTTP_ERROR_BYTES, "listen on %s: %s", address, strerror(-rc));
		return error_from_errno(-rc);
	}
	if (port)
		*port = bound;
	return RFS_OK;
}

static void
on_acceptor_closed(uv_handle_t *handle)
{
	struct http_acceptor *a = handle->data;

	server_leave(a->hl->server);
}

static void
for_each_conn(struct http_loop *hl, void (*fn)(struct http_conn *c))
{
	struct http_link *at, *next;

	/* fn may take its own connection off the list, and no other. */
	for (at = hl->conns.next; at != &hl->conns; at = next) {
		next = at->next;
		fn(CONN_OF(at, all));
	}
}

static void
stop_accepting(void *arg)
{
	struct http_loop *hl = arg;
	struct http_server *s = hl->server;

	for (struct http_listener *l = s->listeners; l; l = l->next)
		if (hl - s->at < (ptrdiff_t)l->opened)
			uv_close((uv_handle_t *)&l->acceptors[hl - s->at].tcp, on_acceptor_closed);
	for_each_conn(hl, conn_stop);
}

static void
cut(struct http_conn *c)
{
	conn_close(c, true);
	conn_advance(c);
}

static void
cut_connections(void *arg)
{
	for_each_conn(arg, cut);
}

static void
close_loop(void *arg)
{
	http_loop_close(arg);
}

/* Waits until at most `left` handles live; `ms` below 0: for ever. */
static void
wait_for(struct http_server *s, size_t left, int64_t ms)
{
	int64_t until = clock_monotonic_ns() + ms * 1000000;
	struct timespec at = clock_timespec(until);

	pthread_mutex_lock(&s->lock);
	while (s->live > left) {
		s->wanted = left;
		if (ms < 0)
			pthread_cond_wait(&s->ended, &s->lock);
		else if (pthread_cond_timedwait(&s->ended, &s->lock, &at) == ETIMEDOUT)
			break;
	}
	pthread_mutex_unlock(&s->lock);
}

static void
call_everywhere(struct http_server *s, void (*fn)(void *arg))
{
	for (unsigned i = 0; i < s->loop_count; i++)
		loop_call(s->at[i].loop, fn, &s->at[i]);
}

void
http_server_stop(struct http_server *s, int64_t grace_ms)
{
	size_t own = HTTP_LOOP_HANDLES * (size_t)s->loop_count;

	atomic_store(&s->stopping, true);
	call_everywhere(s, stop_accepting);
	wait_for(s, own, grace_ms);
	call_everywhere(s, cut_connections);
	wait_for(s, own, -1);
	call_everywhere(s, close_loop);
	wait_for(s, 0, -1);
}

void
http_server_free(struct http_server *s)
{
	struct http_listener *l;

	while ((l = s->listeners)) {
		s->listeners = l->next;
		free(l);
	}
	for (unsigned i = 0; i < s->loop_count; i++)
		http_loop_fini(&s->at[i]);
	peers_free(s->peers);
	trace_free(s->trace);
	budget_unref(s->budget);
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

unsigned
http_server_queue(struct http_server *s)
{
	return workers_waiting(s->workers);
}
