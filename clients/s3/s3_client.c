/* s3_client.c: clients, connections, and what all connections of a client share: the rate and the order to stop. */
#include "s3/s3_client_int.h"
#include "base/clock.h"
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RATE_BURST_NS (NS_PER_SECOND / 20) /* how much of an idle time may be caught up */
#define NAP_NS (NS_PER_SECOND / 5)         /* between two looks at whether it was stopped */
#define CONNECT_SECONDS 15L
#define SILENCE_SECONDS 300L /* without a byte: a server may think that long about a large upload's end */
#define BUFFER_BYTES (256 * 1024L)

static bool
is_loopback(const char *authority)
{
	return strncmp(authority, "127.", 4) == 0 || strncmp(authority, "[::1]", 5) == 0 ||
	       strcmp(authority, "localhost") == 0 || strncmp(authority, "localhost:", 10) == 0;
}

static const char *
text_copy(struct arena *arena, const char *text)
{
	return text ? arena_str(arena, bytes_str(text)) : NULL;
}

struct s3_client *
s3_client_new(const struct s3_profile *profile)
{
	struct s3_client *client = xcalloc(1, sizeof(*client));
	struct arena *arena = arena_new(1024);

	curl_global_init(CURL_GLOBAL_DEFAULT);
	client->arena = arena;
	client->profile = (struct s3_profile){
		.endpoint = text_copy(arena, profile->endpoint),
		.is_amazon = profile->is_amazon,
		.region = text_copy(arena, profile->region),
		.access_key = text_copy(arena, profile->access_key),
		.secret_key = text_copy(arena, profile->secret_key),
		.session_token = text_copy(arena, profile->session_token),
		.ca_bundle = text_copy(arena, profile->ca_bundle),
	};
	client->authority = strstr(client->profile.endpoint, "://") + 3;
	client->sign_payload = strncmp(client->profile.endpoint, "https:", 6) != 0 && !is_loopback(client->authority);
	pthread_mutex_init(&client->lock, NULL);
	return client;
}

void
s3_client_free(struct s3_client *client)
{
	if (!client)
		return;
	pthread_mutex_destroy(&client->lock);
	arena_free(client->arena);
	free(client);
	curl_global_cleanup();
}

void
s3_client_limit_rate(struct s3_client *client, uint64_t bytes_per_second)
{
	client->rate = bytes_per_second;
}

void
s3_client_stop(struct s3_client *client)
{
	atomic_store(&client->stopped, true);
}

/* The part behind the host; that of the scheme where there is none. */
static unsigned long
port_of(const char *endpoint)
{
	const char *host = strstr(endpoint, "://") + 3, *colon;

	host = *host == '[' ? host + strcspn(host, "]") : host;
	colon = strchr(host, ':');
	return colon ? strtoul(colon + 1, NULL, 10) : strncmp(endpoint, "https:", 6) == 0 ? 443 : 80;
}

static struct bytes
host_of(const struct s3_client *client)
{
	const char *host = client->authority;

	return is_loopback(host) ? BYTES_LITERAL("localhost")
				 : bytes_of(host, *host == '[' ? strcspn(host, "]") : strcspn(host, ":"));
}

bool
s3_client_is_same_store(const struct s3_client *a, const struct s3_client *b)
{
	struct bytes x = host_of(a), y = host_of(b);

	return port_of(a->profile.endpoint) == port_of(b->profile.endpoint) && x.len == y.len &&
	       strncasecmp((const char *)x.data, (const char *)y.data, x.len) == 0;
}

/* The time from which these bytes may go; those behind them wait for theirs. */
static int64_t
rate_turn(struct s3_client *client, size_t len)
{
	int64_t now = clock_monotonic_ns(), turn;

	pthread_mutex_lock(&client->lock);
	turn = client->rate_free_ns;
	if (turn < now - RATE_BURST_NS)
		turn = now - RATE_BURST_NS;
	client->rate_free_ns = turn + (int64_t)((double)len * 1e9 / (double)client->rate);
	pthread_mutex_unlock(&client->lock);
	return turn;
}

bool
s3_rate_take(struct s3_client *client, size_t len)
{
	int64_t turn, now;

	if (client->rate && len > 0) {
		turn = rate_turn(client, len);
		while ((now = clock_monotonic_ns()) < turn && !atomic_load(&client->stopped))
			sleep_ns(turn - now < NAP_NS ? turn - now : NAP_NS);
	}
	return !atomic_load_explicit(&client->stopped, memory_order_relaxed);
}

/* Looked at now and then while nothing comes. */
static int
on_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct s3_conn *conn = data;

	return !conn->unstopped && atomic_load_explicit(&conn->client->stopped, memory_order_relaxed);
}

/* What stays the same for all requests. */
static void
curl_prepare(struct s3_conn *conn)
{
	CURL *curl = conn->curl;

	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, conn->curl_error);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* a key may have ".." in it */
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SILENCE_SECONDS);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, conn);
	if (conn->client->profile.ca_bundle)
		curl_easy_setopt(curl, CURLOPT_CAINFO, conn->client->profile.ca_bundle);
}

struct s3_conn *
s3_conn_new(struct s3_client *client)
{
	struct s3_conn *conn = xcalloc(1, sizeof(*conn));

	conn->client = client;
	conn->curl = curl_easy_init();
	if (!conn->curl)
		abort(); /* memory has ended, as in xcalloc */
	conn->scratch = arena_new(8192);
	conn->small = arena_new(4096);
	curl_prepare(conn);
	return conn;
}

void
s3_conn_free(struct s3_conn *conn)
{
	if (!conn)
		return;
	curl_easy_cleanup(conn->curl);
	arena_free(conn->scratch);
	arena_free(conn->small);
	free(conn);
}

const struct s3_failure *
s3_conn_failure(const struct s3_conn *conn)
{
	return &conn->failure;
}

bool
s3_conn_is_missing(const struct s3_conn *conn)
{
	return conn->failure.status == 404 && !conn->failure.is_foreign;
}

const struct s3_client *
s3_conn_client(const struct s3_conn *conn)
{
	return conn->client;
}

int64_t
s3_conn_skew_ns(const struct s3_conn *conn)
{
	return conn->skew_ns;
}

bool
s3_conn_fail(struct s3_conn *conn, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(conn->failure.text, sizeof(conn->failure.text), format, args);
	va_end(args);
	conn->has_said = true;
	return false;
}
