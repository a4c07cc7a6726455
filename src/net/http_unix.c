/*
 * http_unix.c: a listener on a socket in the file system, for who may open it. One loop takes its connections: it is
 * for administration. [init] but for the handler on the loop
 */
#include "net/http_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

/* libuv takes any stream socket that listens for a TCP one, so the rest of the server need not know. */
enum rfs_err
http_server_listen_unix(struct http_server *s, const char *directory, const char *name, const struct http_door *door,
	char error[HTTP_ERROR_BYTES])
{
	int fd = bind_path(directory, name), rc = fd;

	if (fd >= 0)
		rc = listener_open(listener_new(s, door, NULL), fd);
	if (rc < 0) {
		snprintf(error, HTTP_ERROR_BYTES, "listen on %s/%s: %s", directory, name, strerror(-rc));
		return error_from_errno(-rc);
	}
	return RFS_OK;
}
