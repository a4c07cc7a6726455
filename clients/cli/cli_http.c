/*
 * cli_http.c: one POST, over the store's socket, or over TCP, with or without TLS, signed. A connection a call.
 *
 * The answer ends with the connection; its Content-Length is checked against what came. Nothing else of HTTP is needed
 * to talk to our own daemon.
 */
#include "cli.h"
#include "base/clock.h"
#include "base/hash.h"
#include "managers/auth/sigv4.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (64 * 1024 * 1024)
#define TIMEOUT_SECONDS 60

struct connection {
	int fd;
	SSL_CTX *tls_context;
	SSL *tls;
};

/* http://HOST:PORT, taken apart. */
struct endpoint {
	bool tls;
	const char *host; /* without brackets */
	const char *port;
	const char *authority; /* as the Host header has it */
};

/* --- connecting --------------------------------------------------------------------------------------------------- */

/* Methods that answer when they have done their work, however long that takes. */
static const char *const patient_methods[] = {"store.compact", "bucket.verify", "debug.digest"};

static bool
is_patient(const struct cli *cli)
{
	for (size_t i = 0;
		cli->command && cli->command->method && i < sizeof(patient_methods) / sizeof(patient_methods[0]); i++)
		if (strcmp(cli->command->method, patient_methods[i]) == 0)
			return true;
	return false;
}

static void
timeouts_set(const struct cli *cli, int fd)
{
	struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
	int yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (is_patient(cli))
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
	else
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

/* Through the directory's descriptor: a socket's path may only have 107 bytes. */
static bool
connect_socket(struct cli *cli, struct connection *c)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int directory = open(cli->data, O_PATH | O_DIRECTORY | O_CLOEXEC), error;

	if (directory < 0)
		return cli_fail(cli, "cannot open the store's directory %s: %s (give it with --data)", cli->data,
			strerror(errno));
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/admin.sock", directory);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	timeouts_set(cli, c->fd);
	error = c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ? errno : 0;
	close(directory);
	if (error)
		return cli_fail(cli, "cannot reach the store through %s/admin.sock: %s (%s)", cli->data,
			strerror(error),
			error == EACCES ? "only its owner and root may" : "does restfsd run on this directory?");
	return true;
}

static bool
endpoint_parse(struct cli *cli, const char *url, struct endpoint *out)
{
	const char *at = strstr(url, "://"), *colon;
	size_t len;

	out->tls = strncmp(url, "https://", 8) == 0;
	if (!at || (!out->tls && strncmp(url, "http://", 7) != 0))
		return cli_fail(cli, "--admin is http://HOST:PORT or https://HOST:PORT, not %s", url);
	at += 3;
	len = strcspn(at, "/?#");
	out->authority = arena_str(cli->arena, bytes_of(at, len));
	colon = strrchr(out->authority, ':');
	if (!colon || !colon[1] || strchr(colon, ']') || colon == out->authority ||
		(at[len] && strcmp(at + len, "/") != 0))
		return cli_fail(cli, "--admin is http://HOST:PORT or https://HOST:PORT, not %s", url);
	out->port = colon + 1;
	len = (size_t)(colon - out->authority);
	if (out->authority[0] == '[' && out->authority[len - 1] == ']')
		out->host = arena_str(cli->arena, bytes_of(out->authority + 1, len - 2));
	else
		out->host = arena_str(cli->arena, bytes_of(out->authority, len));
	return true;
}

static bool
connect_tls(struct cli *cli, const struct endpoint *to, struct connection *c)
{
	X509_VERIFY_PARAM *verify;

	c->tls_context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_default_verify_paths(c->tls_context);
	SSL_CTX_set_verify(c->tls_context, SSL_VERIFY_PEER, NULL);
	c->tls = SSL_new(c->tls_context);
	verify = SSL_get0_param(c->tls);
	if (!X509_VERIFY_PARAM_set1_ip_asc(verify, to->host)) { /* no address: a name */
		ERR_clear_error();
		SSL_set1_host(c->tls, to->host);
		SSL_set_tlsext_host_name(c->tls, to->host);
	}
	SSL_set_fd(c->tls, c->fd);
	if (SSL_connect(c->tls) == 1)
		return true;
	if (SSL_get_verify_result(c->tls) != X509_V_OK)
		return cli_fail(cli,
			"the certificate of %s is not trusted: %s (SSL_CERT_FILE names authorities to trust)",
			to->authority, X509_verify_cert_error_string(SSL_get_verify_result(c->tls)));
	return cli_fail(cli, "cannot speak TLS with %s; does it want http://%s?", to->authority, to->authority);
}

static bool
connect_network(struct cli *cli, const struct endpoint *to, struct connection *c)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL, *a;
	int error = getaddrinfo(to->host, to->port, &hints, &found), connect_error = 0;

	if (error)
		return cli_fail(cli, "cannot find %s: %s", to->authority, gai_strerror(error));
	for (a = found; a && c->fd < 0; a = a->ai_next) {
		c->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (c->fd < 0)
			continue;
		timeouts_set(cli, c->fd);
		if (connect(c->fd, a->ai_addr, a->ai_addrlen) != 0) {
			connect_error = errno;
			close(c->fd);
			c->fd = -1;
		}
	}
	freeaddrinfo(found);
	if (c->fd < 0)
		return cli_fail(cli, "cannot connect to %s: %s", to->authority, strerror(connect_error));
	return !to->tls || connect_tls(cli, to, c);
}

static void
connection_close(struct connection *c)
{
	SSL_free(c->tls);
	SSL_CTX_free(c->tls_context);
	if (c->fd >= 0)
		close(c->fd);
}

/* --- request and answer ------------------------------------------------------------------------------------------- */

static bool
send_all(struct cli *cli, struct connection *c, struct bytes v)
{
	while (v.len > 0) {
		ssize_t n = c->tls ? SSL_write(c->tls, v.data, (int)v.len) : send(c->fd, v.data, v.len, MSG_NOSIGNAL);

		if (n <= 0 && !(n < 0 && !c->tls && errno == EINTR))
			return cli_fail(cli, "the connection broke while the request was being sent");
		if (n > 0)
			v = bytes_sub(v, (size_t)n, v.len);
	}
	return true;
}

static bool
receive_all(struct cli *cli, struct connection *c, struct buf *out)
{
	for (;;) {
		char part[65536];
		ssize_t n = c->tls ? SSL_read(c->tls, part, sizeof(part)) : recv(c->fd, part, sizeof(part), 0);

		if (n == 0 || (n < 0 && c->tls)) /* whether all came is seen by the length */
			return true;
		if (n < 0 && errno != EINTR)
			return cli_fail(cli, "the answer did not come: %s",
				errno == EAGAIN ? "it took too long" : strerror(errno));
		if (n > 0)
			buf_put(out, part, (size_t)n);
		if (out->len > ANSWER_MAX)
			return cli_fail(cli, "the answer is too long");
	}
}

/* The value of a header, or NULL: `head` is what stands before the empty line. */
static const char *
header_find(const char *head, const char *name)
{
	size_t len = strlen(name);
	const char *line;

	for (line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

static bool
answer_parse(struct cli *cli, struct bytes answer, struct bytes *body)
{
	const uint8_t *end = answer.len > 0 ? memmem(answer.data, answer.len, "\r\n\r\n", 4) : NULL;
	const char *head, *length;

	if (!end || answer.len < 12 || memcmp(answer.data, "HTTP/1.", 7) != 0)
		return cli_fail(cli, "the server closed the connection without an answer in HTTP");
	head = arena_str(cli->arena, bytes_of(answer.data, (size_t)(end - answer.data)));
	*body = bytes_sub(answer, (size_t)(end - answer.data) + 4, answer.len);
	length = header_find(head, "content-length");
	if (!length || strtoull(length, NULL, 10) != body->len)
		return cli_fail(cli, "the answer is not complete");
	if (header_find(head, "content-type") && strncmp(header_find(head, "content-type"), "application/xml", 15) == 0)
		return cli_fail(cli,
			"the server answered %.3s as an S3 door does: give --admin the administration's address",
			head + 9);
	if (!header_find(head, "content-type") ||
		strncmp(header_find(head, "content-type"), "application/json", 16) != 0)
		return cli_fail(cli, "the server answered %.3s: %.*s", head + 9,
			(int)strcspn((const char *)arena_str(cli->arena, *body), "\r\n"), (const char *)body->data);
	return true;
}

/* The three headers of a signature, as lines. */
static bool
sign(struct cli *cli, const struct endpoint *to, struct bytes body, const char **lines)
{
	const char *access_key = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
	uint8_t digest[32];
	struct sigv4_header host = {BYTES_LITERAL("host"), bytes_str(to->authority)};
	struct sigv4_request request = {
		.method = BYTES_LITERAL("POST"),
		.path = BYTES_LITERAL("/rpc"),
		.headers = &host,
		.header_count = 1,
		.now_ns = clock_wall_ns(),
		.service = "restfs",
		.region = BYTES_LITERAL("us-east-1"),
		.body_sha256 = digest,
	};
	struct sigv4_signed signature;

	if (!access_key || !access_key[0] || !secret || !secret[0])
		return cli_fail(cli, "--admin needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment");
	sha256(body, digest);
	if (!sigv4_sign(cli->arena, &request, bytes_str(access_key), bytes_str(secret), &signature))
		return cli_fail(cli, "the request cannot be signed");
	*lines = arena_printf(cli->arena, "Authorization: %s\r\nX-Amz-Date: %s\r\nX-Amz-Content-Sha256: %s\r\n",
		signature.authorization, signature.x_amz_date, signature.x_amz_content_sha256);
	return true;
}

bool
cli_post(struct cli *cli, struct bytes body, struct bytes *answer)
{
	struct endpoint to = {.authority = "localhost"};
	struct connection c = {.fd = -1};
	const char *lines = "";
	struct buf out, in;
	bool done = false;

	buf_init(&out, cli->arena);
	buf_init(&in, cli->arena);
	if (cli->admin && !(endpoint_parse(cli, cli->admin, &to) && sign(cli, &to, body, &lines)))
		goto out;
	if (!(cli->admin ? connect_network(cli, &to, &c) : connect_socket(cli, &c)))
		goto out;
	buf_printf(&out,
		"POST /rpc HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: "
		"%zu\r\nConnection: close\r\n%s\r\n",
		to.authority, body.len, lines);
	buf_put_bytes(&out, body);
	done = send_all(cli, &c, buf_bytes(&out)) && receive_all(cli, &c, &in) &&
	       answer_parse(cli, buf_bytes(&in), answer);
out:
	connection_close(&c);
	return done;
}
