/* data.c: see data.h. */
#include "data.h"
#include "cli_progress.h"
#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static bool
open_all(struct data *d, struct cli *cli)
{
	*d = (struct data){.cli = cli, .human = cli_flag(cli, "human"), .terminal = isatty(STDOUT_FILENO)};
	d->client = cli_s3_open(cli);
	if (!d->client)
		return false;
	d->conn = s3_conn_new(d->client);
	d->page = arena_new(65536);
	return true;
}

static void
close_all(struct data *d)
{
	arena_free(d->page);
	s3_conn_free(d->conn);
	s3_client_free(d->client);
}

/* The path of that number; without any, all buckets. */
static bool
path_take(struct data *d, size_t number)
{
	const json_t *paths = json_object_get(d->cli->params, "paths");

	d->text = paths ? json_string_value(json_array_get(paths, number)) : "s3://";
	return cli_s3_path(d->cli, d->text, &d->path);
}

static int
paths_run(struct data *d, bool (*check)(struct data *d), bool (*run)(struct data *d))
{
	const json_t *paths = json_object_get(d->cli->params, "paths");
	size_t count = paths ? json_array_size(paths) : 1;
	int code = EXIT_DONE;

	for (size_t i = 0; i < count; i++)
		if (!path_take(d, i) || !check(d))
			return cli_complain(d->cli, EXIT_USAGE);
	for (size_t i = 0; i < count; i++) {
		if (path_take(d, i) && run(d))
			continue;
		fflush(stdout);
		code = cli_complain(d->cli, EXIT_REFUSED);
	}
	return code;
}

int
data_each_path(struct cli *cli, bool (*check)(struct data *d), bool (*run)(struct data *d))
{
	struct data d;
	int code;

	if (!open_all(&d, cli))
		return cli_complain(cli, EXIT_USAGE);
	code = paths_run(&d, check, run);
	close_all(&d);
	return code;
}

bool
data_fail(struct data *d, const char *bucket, const char *key)
{
	const char *text = s3_conn_failure(d->conn)->text;

	s3_missing_name(d->conn, bucket ? bucket : d->path.bucket);
	if (!bucket)
		return cli_fail(d->cli, "%s: %s", d->text, text);
	return cli_fail(d->cli, "s3://%s%s%s: %s", bucket, key[0] ? "/" : "", key, text);
}

bool
data_is_in_bucket(struct data *d)
{
	if (!d->path.is_s3)
		return cli_fail(d->cli, "%s: this is no path in a store (s3://BUCKET/KEY)", d->text);
	return d->path.bucket[0] || cli_fail(d->cli, "%s: which bucket? A path is s3://BUCKET/KEY", d->text);
}

bool
data_is_object(struct data *d)
{
	if (!data_is_in_bucket(d))
		return false;
	return d->path.key[0] || cli_fail(d->cli, "%s: which object? A path is s3://BUCKET/KEY", d->text);
}

const char *
data_folder(struct data *d)
{
	const char *key = d->path.key;
	size_t len = strlen(key);

	return len == 0 || key[len - 1] == '/' ? key : arena_printf(d->cli->arena, "%s/", key);
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

/* Both of a page's lists are in order: so are they together. */
static bool
page_each(const struct s3_list_page *page, data_each *each, void *arg)
{
	size_t o = 0, p = 0;

	while (o < page->count || p < page->prefix_count) {
		bool object = p == page->prefix_count ||
			      (o < page->count && strcmp(page->objects[o].key, page->prefixes[p]) < 0);

		if (object ? !each(arg, page->objects[o].key, &page->objects[o]) : !each(arg, page->prefixes[p], NULL))
			return false;
		o += object;
		p += !object;
	}
	return true;
}

/* Not in d->page: `each` may call what uses that. */
bool
data_walk(struct data *d, const char *bucket, const char *prefix, bool levels, data_each *each, void *arg)
{
	struct s3_listing listing = {.query = {bucket, prefix, .delimiter = levels ? "/" : NULL}};
	struct arena *arena = arena_new(65536);
	struct s3_list_page page;
	bool fine = true;

	while (fine && !listing.has_ended) {
		arena_reset(arena);
		fine = s3_listing_next(d->conn, arena, &listing, &page) || data_fail(d, bucket, prefix);
		fine = fine && page_each(&page, each, arg) && cli_flush(d->cli);
	}
	s3_listing_fini(&listing);
	arena_free(arena);
	return fine;
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

void
data_put_name(const struct data *d, const char *name)
{
	if (d->terminal)
		cli_put_text(stdout, name);
	else
		fputs(name, stdout);
}

void
data_put_path(const struct data *d, const char *bucket, const char *key, const char *end)
{
	printf("s3://%s%s", bucket, key[0] ? "/" : "");
	data_put_name(d, key);
	fputs(end, stdout);
}

const char *
data_size(const struct data *d, uint64_t size, char out[DATA_TEXT])
{
	if (d->human)
		progress_bytes((double)size, out, DATA_TEXT);
	else
		snprintf(out, DATA_TEXT, "%llu", (unsigned long long)size);
	return out;
}

const char *
data_time(int64_t ns, char out[DATA_TEXT])
{
	time_t seconds = (time_t)(ns / NS_PER_SECOND);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(out, DATA_TEXT, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(out, DATA_TEXT, "-");
	return out;
}

json_t *
data_object_json(const char *bucket, const struct s3_object *object)
{
	char modified[25];

	date_iso8601(object->modified_ns, modified);
	return json_pack("{s:s, s:s, s:I, s:s, s:s}", "bucket", bucket, "key", object->key, "size",
		(json_int_t)object->size, "modified", modified, "etag", object->etag);
}

json_t *
data_folder_json(const char *bucket, const char *prefix)
{
	return json_pack("{s:s, s:s}", "bucket", bucket, "prefix", prefix);
}
