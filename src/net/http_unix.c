/*
 * http_unix.c: a listener on a socket in the file system, for who may open it. One loop takes its connections: it is
 * for administration. [init] but for the handler on the loop
 */
#include "net/http_int.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

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

/* libuv takes any stream socket that listens for a TCP one, so that the rest of the server need not know. */
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

/*
 * A socket bound to directory/name, or -errno. Through the directory's descriptor, because an address has room for 107
 * bytes only. The mode is the socket's before it has a name: there is no moment in which others could open it.
 */
static int
bind_path(const char *directory, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1, error = 0;

	if (at < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", at, name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || fchmod(fd, 0600) != 0 || (unlinkat(at, name, 0) != 0 && errno != ENOENT) ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		error = errno;
	close(at);
	if (error && fd >= 0)
		close(fd);
	return error ? -error : fd;
}

enum rfs_err
http_server_listen_unix(struct http_server *s, const char *directory, const char *name, const struct http_door *door)
{
	struct http_listener *l = xcalloc(1, sizeof(*l) + s->loop_count * sizeof(l->acceptors[0]));
	struct open_acceptor open = {.acceptor = &l->acceptors[0], .fd = bind_path(directory, name)};

	l->server = s;
	l->door = *door;
	l->next = s->listeners;
	s->listeners = l;
	l->acceptors[0].hl = &s->at[0];
	l->acceptors[0].listener = l;
	open.rc = open.fd;
	if (open.fd >= 0) {
		loop_call(s->at[0].loop, open_acceptor, &open);
		l->opened = 1;
	}
	if (open.rc < 0) {
		log_error(0, "listen on %s/%s for door %s: %s", directory, name, door->name, strerror(-open.rc));
		return error_from_errno(-open.rc);
	}
	return RFS_OK;
}
