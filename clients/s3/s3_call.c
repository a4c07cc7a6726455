/* s3_call.c: a request, repeated while that is of use, and the making of queries and paths. */
#include "s3/s3_client_int.h"
#include "base/clock.h"
#include "net/url.h"
#include <stdio.h>

#define REST_FIRST_NS (NS_PER_SECOND / 10)
#define REST_MAX_NS (10 * NS_PER_SECOND)
#define NAP_NS (NS_PER_SECOND / 5) /* between two looks at whether it was stopped */

void
s3_failure_clear(struct s3_conn *conn)
{
	conn->failure.status = 0;
	conn->failure.code[0] = conn->failure.text[0] = '\0';
	conn->failure.stopped = conn->failure.is_unanswered = conn->has_said = false;
	conn->failure.is_larger = conn->failure.is_foreign = false;
}

void
s3_failure_add(struct s3_conn *conn, const char *text)
{
	size_t len = strlen(conn->failure.text);

	snprintf(conn->failure.text + len, sizeof(conn->failure.text) - len, "%s", text);
}

/* Twice as long each time, and by chance up to half of it less, so that many clients do not come back together. */
static int64_t
rest_length(unsigned attempt, int64_t asked_ns)
{
	int64_t ns = REST_FIRST_NS << attempt;

	ns -= (int64_t)(random_u64() % (uint64_t)(ns / 2));
	if (ns < asked_ns)
		ns = asked_ns;
	return ns > REST_MAX_NS ? REST_MAX_NS : ns;
}

bool
s3_rest(struct s3_conn *conn, unsigned attempt, const struct s3_outcome *outcome)
{
	unsigned most = outcome->is_away && atomic_load(&conn->client->was_there) ? S3_ATTEMPTS_AWAY : S3_ATTEMPTS;
	int64_t end, now;

	if (!outcome->may_repeat || attempt + 1 >= most)
		return false;
	end = clock_monotonic_ns() + rest_length(attempt, outcome->wait_ns);
	while ((now = clock_monotonic_ns()) < end && !atomic_load(&conn->client->stopped))
		sleep_ns(end - now < NAP_NS ? end - now : NAP_NS);
	return !atomic_load(&conn->client->stopped);
}

bool
s3_request_do(struct s3_conn *conn, struct arena *arena, const struct s3_request *request, struct s3_answer *out)
{
	struct s3_outcome outcome;
	unsigned attempt = 0;

	do {
		s3_failure_clear(conn);
		if (s3_attempt(conn, arena, request, out, &outcome))
			return true;
	} while (s3_rest(conn, attempt++, &outcome));
	return false;
}

void
s3_query_put(struct buf *query, const char *name, const char *value)
{
	if (query->len > 0)
		buf_u8(query, '&');
	url_encode(query, bytes_str(name), false);
	if (!value)
		return;
	buf_u8(query, '=');
	url_encode(query, bytes_str(value), false);
}

const char *
s3_answer_header(const struct s3_answer *answer, const char *name)
{
	for (size_t i = 0; i < answer->header_count; i++)
		if (strcmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	return NULL;
}

struct bytes
s3_path_encoded(struct arena *arena, const char *bucket, const char *key)
{
	struct buf path;

	buf_init(&path, arena);
	buf_u8(&path, '/');
	if (bucket) {
		url_encode(&path, bytes_str(bucket), false);
		if (key) {
			buf_u8(&path, '/');
			url_encode(&path, bytes_str(key), true);
		}
	}
	return buf_bytes(&path);
}
