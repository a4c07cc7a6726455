/* bench_run.c: the clients of a measurement: a thread each, with a connection and objects of its own. */
#include "bench.h"
#include "cli_progress.h"
#include "base/clock.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define HOPELESS_ERRORS 10
#define STAMP_EVERY 65536 /* no two objects have such a piece in common */

const char *const bench_names[BENCH_OPERATIONS] = {
	[BENCH_PUT] = "put",
	[BENCH_GET] = "get",
	[BENCH_HEAD] = "head",
	[BENCH_LIST] = "list",
	[BENCH_DELETE] = "delete",
};

struct bench_client {
	struct bench_clients *all;
	unsigned number;
	pthread_t thread;
	struct s3_conn *conn;
	struct arena *arena; /* of one request */
	uint8_t *body;
	uint64_t first, next; /* its objects have these numbers: [first, next) */
	uint64_t replaced;    /* how often an old one was put again */
	uint64_t received;
	struct bench_result results[BENCH_OPERATIONS];
};

struct bench_clients {
	const struct bench_setting *setting;
	struct bench_client *list;
	unsigned weights[BENCH_OPERATIONS], weight;
	uint64_t puts; /* of each, when there is no end by time */
	int64_t end_ns;
	atomic_bool stopped;
};

static const char *
key_make(const struct bench_client *c, uint64_t number)
{
	return arena_printf(c->arena, "%s%03u/%010llu", c->all->setting->prefix, c->number, (unsigned long long)number);
}

/* --- operations: each false after an error that the connection knows ---------------------------------------------- */

static void
body_stamp(struct bench_client *c)
{
	for (uint64_t at = 0; at + 8 <= c->all->setting->size; at += STAMP_EVERY)
		store_u64(c->body + at, random_u64());
}

static bool
do_put(struct bench_client *c, uint64_t *bytes)
{
	const struct bench_setting *s = c->all->setting;
	uint64_t number = c->next - c->first < s->objects ? c->next : c->first + c->replaced++ % s->objects;
	struct s3_put put = {.bucket = s->bucket, .key = key_make(c, number), .mtime_ns = INT64_MIN};
	struct s3_body body = {.bytes = bytes_of(c->body, s->size), .len = s->size};

	body_stamp(c);
	if (!s3_put(c->conn, c->arena, &put, &body))
		return false;
	c->next += number == c->next;
	*bytes = s->size;
	return true;
}

static uint64_t
any_number(const struct bench_client *c)
{
	return c->first + random_u64() % (c->next - c->first);
}

static bool
receive(void *data, struct bytes part)
{
	struct bench_client *c = data;

	c->received += part.len;
	return true;
}

static bool
do_get(struct bench_client *c, uint64_t *bytes)
{
	struct s3_get get = {
		.bucket = c->all->setting->bucket, .key = key_make(c, any_number(c)), .receive = receive, .data = c};
	struct s3_info info;

	c->received = 0;
	if (!s3_get(c->conn, c->arena, &get, &info))
		return false;
	*bytes = c->received;
	return true;
}

static bool
do_head(struct bench_client *c, uint64_t *bytes)
{
	struct s3_info info;

	return s3_head(c->conn, c->arena, c->all->setting->bucket, key_make(c, any_number(c)), &info);
}

static bool
do_list(struct bench_client *c, uint64_t *bytes)
{
	struct s3_list_query query = {.bucket = c->all->setting->bucket,
		.prefix = arena_printf(c->arena, "%s%03u/", c->all->setting->prefix, c->number)};
	struct s3_list_page page = {0};

	return s3_list(c->conn, c->arena, &query, NULL, &page);
}

static bool
do_delete(struct bench_client *c, uint64_t *bytes)
{
	return s3_delete(c->conn, c->all->setting->bucket, key_make(c, c->first)) && ++c->first;
}

static bool (*const operations[BENCH_OPERATIONS])(struct bench_client *c, uint64_t *bytes) = {
	[BENCH_PUT] = do_put,
	[BENCH_GET] = do_get,
	[BENCH_HEAD] = do_head,
	[BENCH_LIST] = do_list,
	[BENCH_DELETE] = do_delete,
};

/* --- a client ----------------------------------------------------------------------------------------------------- */

static enum bench_operation
operation_choose(const struct bench_clients *all)
{
	unsigned at = (unsigned)(random_u64() % all->weight);

	for (unsigned i = 0; i < BENCH_OPERATIONS; i++) {
		if (at < all->weights[i])
			return (enum bench_operation)i;
		at -= all->weights[i];
	}
	return BENCH_PUT;
}

static void
operation_do(struct bench_client *c, enum bench_operation operation)
{
	struct bench_result *r = &c->results[operation];
	int64_t begin = clock_monotonic_ns();
	uint64_t bytes = 0;

	if (operations[operation](c, &bytes)) {
		histogram_add(&r->latency, (uint64_t)(clock_monotonic_ns() - begin));
		r->bytes += bytes;
		progress_add(bytes);
	} else if (!s3_conn_failure(c->conn)->stopped) {
		if (r->errors++ == 0)
			snprintf(r->error, sizeof(r->error), "%s", s3_conn_failure(c->conn)->text);
	}
	arena_reset(c->arena);
}

/* Nothing has worked, again and again: there is nothing to measure. */
static bool
is_hopeless(const struct bench_client *c)
{
	uint64_t done = 0, errors = 0;

	for (unsigned i = 0; i < BENCH_OPERATIONS; i++) {
		done += c->results[i].latency.count;
		errors += c->results[i].errors;
	}
	return done == 0 && errors >= HOPELESS_ERRORS;
}

static bool
is_over(const struct bench_client *c)
{
	const struct bench_clients *all = c->all;

	if (atomic_load(&all->stopped) || is_hopeless(c))
		return true;
	if (!all->end_ns)
		return c->next - c->first >= all->puts || c->results[BENCH_PUT].errors > 0;
	return clock_monotonic_ns() >= all->end_ns;
}

/* What needs an object where there is none waits for a put, if one can come. */
static void *
client_run(void *arg)
{
	struct bench_client *c = arg;

	while (!is_over(c)) {
		enum bench_operation operation = operation_choose(c->all);

		if (c->next == c->first && operation != BENCH_PUT && operation != BENCH_LIST) {
			if (!c->all->weights[BENCH_PUT])
				break;
			operation = BENCH_PUT;
		}
		operation_do(c, operation);
	}
	return NULL;
}

static void
clients_run(struct bench_clients *all, const unsigned weights[BENCH_OPERATIONS])
{
	unsigned count = all->setting->clients, started;

	all->weight = 0;
	for (unsigned i = 0; i < BENCH_OPERATIONS; i++)
		all->weight += all->weights[i] = weights[i];
	for (started = 0; started < count; started++) {
		memset(all->list[started].results, 0, sizeof(all->list[started].results));
		if (pthread_create(&all->list[started].thread, NULL, client_run, &all->list[started]) != 0)
			break;
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(all->list[i].thread, NULL);
}

/* --- for others --------------------------------------------------------------------------------------------------- */

struct bench_clients *
bench_clients_new(const struct bench_setting *setting)
{
	struct bench_clients *all = xcalloc(1, sizeof(*all));

	all->setting = setting;
	all->list = xcalloc(setting->clients, sizeof(*all->list));
	for (unsigned i = 0; i < setting->clients; i++) {
		struct bench_client *c = &all->list[i];

		c->all = all;
		c->number = i;
		c->conn = s3_conn_new(setting->client);
		c->arena = arena_new(16384);
		c->body = xmalloc(setting->size ? setting->size : 1);
		random_bytes(c->body, setting->size);
	}
	return all;
}

void
bench_clients_free(struct bench_clients *all)
{
	for (unsigned i = 0; i < all->setting->clients; i++) {
		s3_conn_free(all->list[i].conn);
		arena_free(all->list[i].arena);
		free(all->list[i].body);
	}
	free(all->list);
	free(all);
}

static void
results_add(struct bench_clients *all, const char *name, enum bench_operation operation, double seconds,
	struct bench_results *results)
{
	struct bench_result *r;

	results->list = xrealloc(results->list, (results->count + 1) * sizeof(*results->list));
	r = &results->list[results->count++];
	memset(r, 0, sizeof(*r));
	r->phase = name;
	r->operation = operation;
	r->seconds = seconds;
	for (unsigned i = 0; i < all->setting->clients; i++) {
		const struct bench_result *one = &all->list[i].results[operation];

		histogram_merge(&r->latency, &one->latency);
		r->bytes += one->bytes;
		r->errors += one->errors;
		if (!r->error[0])
			memcpy(r->error, one->error, sizeof(r->error));
	}
}

void
bench_phase(struct bench_clients *all, const char *name, const unsigned weights[BENCH_OPERATIONS],
	struct bench_results *results)
{
	int64_t begin = clock_monotonic_ns();
	double seconds;

	all->end_ns = begin + (int64_t)all->setting->seconds * NS_PER_SECOND;
	progress_begin(name, PROGRESS_UNKNOWN, !all->setting->cli->quiet);
	clients_run(all, weights);
	progress_end();
	seconds = (double)(clock_monotonic_ns() - begin) / 1e9;
	for (unsigned i = 0; i < BENCH_OPERATIONS; i++)
		if (weights[i])
			results_add(all, name, (enum bench_operation)i, seconds, results);
}

bool
bench_fill(struct bench_clients *all)
{
	static const unsigned puts[BENCH_OPERATIONS] = {[BENCH_PUT] = 1};
	const struct bench_setting *s = all->setting;
	uint64_t missing = 0;

	for (unsigned i = 0; i < s->clients; i++)
		missing += s->objects - (all->list[i].next - all->list[i].first);
	all->end_ns = 0;
	all->puts = s->objects;
	progress_begin("objects to read", missing * s->size, !s->cli->quiet);
	clients_run(all, puts);
	progress_end();
	for (unsigned i = 0; i < s->clients; i++)
		if (all->list[i].results[BENCH_PUT].errors > 0)
			return cli_fail(
				s->cli, "cannot put objects to read: %s", all->list[i].results[BENCH_PUT].error);
	return true;
}

void
bench_stop(struct bench_clients *all)
{
	atomic_store(&all->stopped, true);
	s3_client_stop(all->setting->client);
}

bool
bench_is_stopped(const struct bench_clients *all)
{
	return atomic_load(&all->stopped);
}
