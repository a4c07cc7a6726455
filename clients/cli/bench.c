/*
 * bench.c: `restfs bench`: the operations one after another, or a mix of them. What it puts lies in a bucket of its
 * own, or below a name of its own, and is removed at the end, also when it is broken off.
 */
#include "bench.h"
#include "base/clock.h"
#include "cli_interrupt.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE 4096
#define CLIENTS 16
#define CLIENTS_MAX 1000
#define SECONDS 10
#define OBJECTS 10000
#define OBJECTS_BYTES (UINT64_C(4) << 30) /* fewer, if they are large */
#define SIZE_MAX_BYTES (UINT64_C(5) << 30)

static struct bench_clients *running;

static void
on_interrupt(void *clients)
{
	bench_stop(clients);
}

/* --- what is to be done ------------------------------------------------------------------------------------------- */

static bool
weight_parse(struct cli *cli, const char *text, unsigned weights[BENCH_OPERATIONS])
{
	for (unsigned i = 0; i < BENCH_OPERATIONS; i++) {
		size_t len = strlen(bench_names[i]);
		char *end;
		unsigned long weight;

		if (strncmp(text, bench_names[i], len) != 0 || (text[len] != ':' && text[len] != '\0'))
			continue;
		weight = text[len] ? strtoul(text + len + 1, &end, 10) : 1;
		if (text[len] && (end == text + len + 1 || *end || weight > 1000))
			break;
		weights[i] = (unsigned)weight;
		return true;
	}
	return cli_fail(cli, "--mix is as put:20,get:70,head:5,list:3,delete:2, not %s", text);
}

/* "put:20,get:80" */
static bool
mix_parse(struct cli *cli, const char *text, unsigned weights[BENCH_OPERATIONS])
{
	char *words = arena_str(cli->arena, bytes_str(text)), *save = NULL;
	unsigned all = 0;

	for (char *word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save))
		if (!weight_parse(cli, word, weights))
			return false;
	for (unsigned i = 0; i < BENCH_OPERATIONS; i++)
		all += weights[i];
	return all > 0 || cli_fail(cli, "--mix asks for nothing");
}

static bool
numbers_take(struct cli *cli, struct bench_setting *s)
{
	int64_t clients = cli_number(cli, "clients", CLIENTS);
	uint64_t objects;

	s->size = (uint64_t)cli_number(cli, "size", SIZE);
	s->seconds = (uint64_t)cli_number(cli, "duration", SECONDS);
	objects = s->size && OBJECTS_BYTES / s->size < OBJECTS ? OBJECTS_BYTES / s->size : OBJECTS;
	objects = (uint64_t)cli_number(cli, "objects", (int64_t)objects);
	if (clients < 1 || clients > CLIENTS_MAX)
		return cli_fail(cli, "--clients is from 1 to %d", CLIENTS_MAX);
	if (s->size > SIZE_MAX_BYTES)
		return cli_fail(cli, "--size is at most 5G: objects are put with one request");
	if (s->seconds < 1 || s->seconds > 86400)
		return cli_fail(cli, "--duration is from 1s to 1d");
	s->clients = (unsigned)clients;
	s->objects = objects / s->clients ? objects / s->clients : 1;
	return true;
}

/* http://HOST:PORT, or s3://BUCKET/PREFIX of the endpoint that the profile has. */
static bool
store_take(struct cli *cli, struct bench_setting *s)
{
	const char *text = cli_text(cli, "store");
	char error[S3_ERROR_BYTES];
	struct s3_profile profile;
	struct s3_path path = {0};

	if (text && strstr(text, "://") && strncmp(text, "s3://", 5) != 0)
		cli->endpoint = text;
	else if (text && !cli_s3_path(cli, text, &path))
		return false;
	else if (text && !path.is_s3)
		return cli_fail(cli, "%s is neither http://HOST:PORT nor s3://BUCKET", text);
	if (!s3_profile_load(cli->arena, cli->profile, cli->endpoint, &profile, error))
		return cli_fail(cli, "%s", error);
	s->client = s3_client_new(&profile);
	s->endpoint = profile.endpoint;
	s->bucket = path.bucket && path.bucket[0] ? path.bucket : NULL;
	s->prefix = s->bucket ? arena_printf(cli->arena, "%s%srestfs-bench-%016llx/", path.key, path.key[0] ? "/" : "",
					(unsigned long long)random_u64())
			      : "";
	return true;
}

/* What would only be seen at the end. Nothing stays of it, and what is there stays as it is. */
static bool
svg_check(struct cli *cli)
{
	const char *svg = cli_text(cli, "svg");
	bool is_new = false;
	int fd;

	if (!svg)
		return true;
	fd = open(svg, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		fd = open(svg, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); /* a link to nothing is none of ours */
		is_new = fd >= 0;
	}
	if (fd < 0)
		return cli_fail(cli, "cannot write %s: %s", svg, strerror(errno));
	close(fd);
	if (is_new)
		unlink(svg);
	return true;
}

/* --- the store's part --------------------------------------------------------------------------------------------- */

/* A bucket of its own; false: `error`. */
static bool
bucket_make(struct bench_setting *s, bool *made)
{
	struct s3_conn *conn;
	bool fine;

	*made = false;
	if (s->bucket)
		return true;
	s->bucket = arena_printf(s->cli->arena, "restfs-bench-%016llx", (unsigned long long)random_u64());
	conn = s3_conn_new(s->client);
	fine = s3_bucket_create(conn, s->bucket) ||
	       cli_fail(s->cli, "cannot make a bucket at %s: %s (s3://BUCKET names one that is there)", s->endpoint,
		       s3_conn_failure(conn)->text);
	s3_conn_free(conn);
	*made = fine;
	return fine;
}

/* A page at a time; all of what is below the prefix is its own. */
static bool
remove_all(struct s3_conn *conn, struct arena *arena, const struct bench_setting *s)
{
	struct s3_list_query query = {.bucket = s->bucket, .prefix = s->prefix};
	struct s3_list_page page;
	bool fine;

	do {
		struct s3_delete_failure *failures;
		size_t failed = 0;
		const char **keys;

		arena_reset(arena);
		page = (struct s3_list_page){0};
		fine = s3_list(conn, arena, &query, NULL, &page);
		keys = ARENA_ARRAY(arena, const char *, page.count + 1);
		for (size_t i = 0; fine && i < page.count; i++)
			keys[i] = page.objects[i].key;
		fine = fine && (page.count == 0 ||
				       (s3_delete_many(conn, arena, s->bucket, keys, page.count, &failures, &failed) &&
					       failed == 0));
	} while (fine && page.count > 0);
	return fine;
}

/* With a client that was not stopped. */
static bool
clean_up(const struct bench_setting *s, bool made)
{
	struct s3_client *client = cli_s3_open(s->cli);
	struct arena *arena = arena_new(65536);
	struct s3_conn *conn;
	bool fine;

	if (!client)
		return false;
	conn = s3_conn_new(client);
	fine = remove_all(conn, arena, s) && (!made || s3_bucket_remove(conn, s->bucket));
	if (!fine)
		cli_fail(s->cli, "cannot remove s3://%s/%s: %s", s->bucket, s->prefix, s3_conn_failure(conn)->text);
	s3_conn_free(conn);
	s3_client_free(client);
	arena_free(arena);
	return fine;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static bool
phases_run(const struct bench_setting *s, const unsigned *mix, struct bench_results *results)
{
	unsigned one[BENCH_OPERATIONS];
	bool fine = true;

	if (mix) {
		/* Puts and lists need nothing that is there before. */
		fine = !(mix[BENCH_GET] || mix[BENCH_HEAD] || mix[BENCH_DELETE]) || bench_fill(running);
		if (fine)
			bench_phase(running, "mix", mix, results);
		return fine;
	}
	for (unsigned i = 0; fine && i < BENCH_OPERATIONS && !bench_is_stopped(running); i++) {
		memset(one, 0, sizeof(one));
		one[i] = 1;
		if (i == BENCH_GET)
			fine = bench_fill(running);
		if (fine)
			bench_phase(running, bench_names[i], one, results);
	}
	return fine;
}

static bool
reports_make(const struct bench_setting *s, const struct bench_results *results)
{
	const char *svg = cli_text(s->cli, "svg");

	if (s->cli->json)
		bench_report_json(s, results);
	else
		bench_report_text(s, results);
	return !svg || bench_report_svg(s, results, svg) ||
	       cli_fail(s->cli, "cannot write %s: %s", svg, strerror(errno));
}

static bool
measure(struct bench_setting *s, const unsigned *mix, struct bench_results *results)
{
	char error[sizeof(s->cli->error)];
	bool made, fine, cleaned;

	if (!bucket_make(s, &made))
		return false;
	running = bench_clients_new(s);
	interrupt_catch(on_interrupt, running);
	fine = phases_run(s, mix, results);
	fine = fine && reports_make(s, results);
	memcpy(error, s->cli->error, sizeof(error));
	cleaned = clean_up(s, made);
	interrupt_release(); /* not before: it takes as long as there are objects */
	bench_clients_free(running);
	if (cleaned)
		return fine;
	if (!fine) /* the first is the cause */
		memcpy(s->cli->error, error, sizeof(error));
	return false;
}

static uint64_t
errors_of(const struct bench_results *results)
{
	uint64_t errors = 0;

	for (size_t i = 0; i < results->count; i++)
		errors += results->list[i].errors;
	return errors;
}

int
bench_main(struct cli *cli)
{
	struct bench_setting s = {.cli = cli};
	const char *mix = cli_text(cli, "mix");
	unsigned weights[BENCH_OPERATIONS] = {0};
	struct bench_results results = {0};
	int code = EXIT_DONE;

	if ((mix && !mix_parse(cli, mix, weights)) || !numbers_take(cli, &s) || !store_take(cli, &s))
		return cli_complain(cli, EXIT_USAGE);
	if (!svg_check(cli) || !measure(&s, mix ? weights : NULL, &results))
		code = cli_complain(cli, EXIT_REFUSED);
	else if (errors_of(&results) > 0)
		code = EXIT_REFUSED;
	s3_client_free(s.client);
	free(results.list);
	return code;
}
