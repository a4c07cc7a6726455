/* cli_http.c: one POST by libcurl, over the store's socket, or over the network, signed. A connection a call. */
#include "cli.h"
#include "base/clock.h"
#include "base/hash.h"
#include "managers/auth/sigv4.h"
#include "s3/s3_client.h"
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ANSWER_MAX (64 * 1024 * 1024)
#define TIMEOUT_SECONDS 60

struct call {
	struct cli *cli;
	CURL *curl;
	struct curl_slist *headers;
	const char *authority; /* HOST:PORT, as the Host header has it */
	struct buf answer;
	int directory; /* the store's, through which its socket is reached; -1: over the network */
	char problem[CURL_ERROR_SIZE];
};

/* --- where it goes ------------------------------------------------------------------------------------------------ */

static bool
header_put(struct call *c, const char *line)
{
	struct curl_slist *longer = curl_slist_append(c->headers, line);

	if (!longer)
		return cli_fail(c->cli, "there is no memory");
	c->headers = longer;
	return true;
}

/* Through the directory's descriptor: a socket's path may only have 107 bytes. */
static bool
socket_take(struct call *c)
{
	const char *data = c->cli->data;

	c->directory = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->directory < 0)
		return cli_fail(c->cli, "cannot open the store's directory %s: %s (give it with --data)", data,
			strerror(errno));
	curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH,
		arena_printf(c->cli->arena, "/proc/self/fd/%d/admin.sock", c->directory));
	curl_easy_setopt(c->curl, CURLOPT_URL, "http://localhost/rpc");
	return true;
}

static bool
authority_take(struct call *c, const char *url)
{
	const char *at = strstr(url, "://"), *colon;
	size_t len;

	if (!at || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		return false;
	at += 3;
	len = strcspn(at, "/?#@");
	c->authority = arena_str(c->cli->arena, bytes_of(at, len));
	colon = strrchr(c->authority, ':');
	return colon && colon[1] && !strchr(colon, ']') && colon != c->authority &&
	       (at[len] == '\0' || strcmp(at + len, "/") == 0);
}

/* The administrator's key comes from where those of data come from. */
static bool
sign(struct call *c, struct bytes body)
{
	struct arena *arena = c->cli->arena;
	struct sigv4_header host = {BYTES_LITERAL("host"), bytes_str(c->authority)};
	struct sigv4_request request = {
		.method = BYTES_LITERAL("POST"),
		.path = BYTES_LITERAL("/rpc"),
		.headers = &host,
		.header_count = 1,
		.now_ns = clock_wall_ns(),
		.service = "restfs",
		.region = BYTES_LITERAL("us-east-1"),
	};
	char error[S3_ERROR_BYTES];
	struct sigv4_signed signature;
	struct s3_profile profile;
	uint8_t digest[32];

	if (!s3_profile_load(arena, c->cli->profile, c->cli->admin, &profile, error))
		return cli_fail(c->cli, "%s", error);
	if (!profile.access_key)
		return cli_fail(c->cli, "--admin needs an administrator's key: AWS_ACCESS_KEY_ID and "
					"AWS_SECRET_ACCESS_KEY in the environment, or a --profile");
	sha256(body, digest);
	request.body_sha256 = digest;
	if (!sigv4_sign(arena, &request, bytes_str(profile.access_key), bytes_str(profile.secret_key), &signature))
		return cli_fail(c->cli, "the request cannot be signed");
	if (profile.ca_bundle)
		curl_easy_setopt(c->curl, CURLOPT_CAINFO, profile.ca_bundle);
	return header_put(c, arena_printf(arena, "Host: %s", c->authority)) &&
	       header_put(c, arena_printf(arena, "Authorization: %s", signature.authorization)) &&
	       header_put(c, arena_printf(arena, "X-Amz-Date: %s", signature.x_amz_date)) &&
	       header_put(c, arena_printf(arena, "X-Amz-Content-Sha256: %s", signature.x_amz_content_sha256));
}

static bool
network_take(struct call *c, struct bytes body)
{
	const char *trusted = getenv("SSL_CERT_FILE");

	if (!authority_take(c, c->cli->admin))
		return cli_fail(c->cli, "--admin is http://HOST:PORT or https://HOST:PORT, not %s", c->cli->admin);
	if (!sign(c, body))
		return false;
	if (trusted && trusted[0] && !c->cli->profile) /* what a profile that was named has goes before it */
		curl_easy_setopt(c->curl, CURLOPT_CAINFO, trusted);
	curl_easy_setopt(c->curl, CURLOPT_URL,
		arena_printf(c->cli->arena, "%s%srpc", c->cli->admin,
			c->cli->admin[strlen(c->cli->admin) - 1] == '/' ? "" : "/"));
	return true;
}

/* --- request and answer ------------------------------------------------------------------------------------------- */

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

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct call *c = arg;

	buf_put(&c->answer, data, size * count);
	return c->answer.len > ANSWER_MAX ? 0 : size * count;
}

static void
options_set(struct call *c, struct bytes body)
{
	CURL *curl = c->curl;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->problem);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, c->headers);
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)body.data);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)TIMEOUT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, is_patient(c->cli) ? 0L : (long)TIMEOUT_SECONDS);
}

static bool
connect_failed(struct call *c)
{
	long number = 0;

	curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &number);
	if (c->directory < 0)
		return cli_fail(
			c->cli, "cannot connect to %s: %s", c->authority, number ? strerror((int)number) : c->problem);
	return cli_fail(c->cli, "cannot reach the store through %s/admin.sock: %s (%s)", c->cli->data,
		strerror((int)number),
		number == EACCES ? "only its owner and root may"
				 : "does restfsd run on this directory? --data names another");
}

static bool
tls_failed(struct call *c)
{
	long reason = X509_V_OK;

	curl_easy_getinfo(c->curl, CURLINFO_SSL_VERIFYRESULT, &reason);
	return cli_fail(c->cli, "the certificate of %s is not trusted: %s (SSL_CERT_FILE names authorities to trust)",
		c->authority, reason != X509_V_OK ? X509_verify_cert_error_string(reason) : c->problem);
}

/* What libcurl's code means to whoever typed the command. */
static bool
call_failed(struct call *c, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return connect_failed(c);
	case CURLE_COULDNT_RESOLVE_HOST:
		return cli_fail(c->cli, "cannot find %s: %s", c->authority, c->problem);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return tls_failed(c);
	case CURLE_SSL_CONNECT_ERROR:
		return cli_fail(
			c->cli, "cannot speak TLS with %s; does it want http://%s?", c->authority, c->authority);
	case CURLE_PARTIAL_FILE:
		return cli_fail(c->cli, "the answer is not complete");
	case CURLE_OPERATION_TIMEDOUT:
		return cli_fail(c->cli, "the answer did not come: it took too long");
	case CURLE_WRITE_ERROR:
		return cli_fail(c->cli, "the answer is too long");
	case CURLE_GOT_NOTHING:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return cli_fail(c->cli, "the server closed the connection without an answer in HTTP");
	default:
		return cli_fail(
			c->cli, "the answer did not come: %s", c->problem[0] ? c->problem : curl_easy_strerror(code));
	}
}

static bool
answer_check(struct call *c)
{
	const char *type = NULL, *text = arena_str(c->cli->arena, buf_bytes(&c->answer));
	long status = 0;

	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(c->curl, CURLINFO_CONTENT_TYPE, &type);
	if (type && strncmp(type, "application/xml", 15) == 0)
		return cli_fail(c->cli,
			"the server answered %ld as an S3 door does: give --admin the administration's address",
			status);
	if (!type || strncmp(type, "application/json", 16) != 0)
		return cli_fail(c->cli, "the server answered %ld: %.*s", status, (int)strcspn(text, "\r\n"), text);
	return true;
}

bool
cli_post(struct cli *cli, struct bytes body, struct bytes *answer)
{
	struct call c = {.cli = cli, .curl = curl_easy_init(), .directory = -1};
	bool fine = c.curl || cli_fail(cli, "there is no memory");
	CURLcode code;

	buf_init(&c.answer, cli->arena);
	fine = fine && header_put(&c, "Content-Type: application/json") && header_put(&c, "Expect:") &&
	       (cli->admin ? network_take(&c, body) : socket_take(&c));
	if (fine) {
		options_set(&c, body);
		code = curl_easy_perform(c.curl);
		fine = code == CURLE_OK ? answer_check(&c) : call_failed(&c, code);
	}
	*answer = buf_bytes(&c.answer);
	curl_easy_cleanup(c.curl);
	curl_slist_free_all(c.headers);
	if (c.directory >= 0)
		close(c.directory);
	return fine;
}
