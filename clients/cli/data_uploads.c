/*
 * data_uploads.c: `restfs ls --uploads`, `restfs rm --uploads`: uploads in parts that were begun and not ended. They take
 * room, and no other list has them.
 */
#include "data_uploads.h"
#include "glob.h"
#include "transfer_filter.h"
#include "base/clock.h"

/* Those of the object that the path names, and with `below` those of what is below it; all of a bucket without a key. */
static bool
is_of_path(const char *key, const char *named, bool below)
{
	size_t len = strlen(named);

	if (strcmp(key, named) == 0)
		return true;
	return below && strncmp(key, named, len) == 0 && (len == 0 || named[len - 1] == '/' || key[len] == '/');
}

/* --- ls ----------------------------------------------------------------------------------------------------------- */

static uint64_t
parts_bytes(const struct s3_part *parts, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += parts[i].size;
	return bytes;
}

static void
upload_show(const struct data *d, const struct s3_upload *u, uint64_t bytes, size_t parts)
{
	char text[DATA_TEXT], started[25];

	date_iso8601(u->initiated_ns, started);
	if (d->cli->json) {
		cli_put_json(json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "bucket", u->bucket, "key", u->key, "upload",
			u->id, "started", started, "parts", (json_int_t)parts, "bytes", (json_int_t)bytes));
		return;
	}
	printf("%-19s  ", data_time(u->initiated_ns, text));
	printf("%12s  ", data_size(d, bytes, text));
	data_put_path(d, u->bucket, u->key, "  ");
	data_put_name(d, u->id);
	putchar('\n');
}

/* One that has ended since it was listed is none. */
static bool
upload_list(struct data *d, const struct s3_upload *u)
{
	struct s3_part *parts;
	size_t count;

	if (cli_flag(d->cli, "names") && !d->cli->json) {
		data_put_path(d, u->bucket, u->key, "\n");
		return true;
	}
	arena_reset(d->page);
	if (s3_parts_list(d->conn, d->page, u, &parts, &count))
		upload_show(d, u, parts_bytes(parts, count), count);
	else if (!s3_conn_is_missing(d->conn))
		return data_fail(d, u->bucket, u->key);
	return cli_flush(d->cli);
}

bool
data_uploads_list(struct data *d, const char *bucket)
{
	const char *key = d->path.key;
	size_t size = strlen(key) + 1, count;
	char *prefix = arena_alloc(d->cli->arena, size);
	bool is_pattern = strpbrk(key, "*?[") != NULL;
	struct s3_upload *uploads;
	bool any = false;

	if (is_pattern)
		glob_prefix(key, prefix, size);
	if (!s3_uploads_list(d->conn, d->cli->arena, bucket, is_pattern ? prefix : key, false, &uploads, &count))
		return data_fail(d, bucket, "");
	for (size_t i = 0; i < count; i++) {
		if (!(is_pattern ? glob_match(key, uploads[i].key) : is_of_path(uploads[i].key, key, true)))
			continue;
		if (!upload_list(d, &uploads[i]))
			return false;
		any = true;
	}
	return any || !key[0] || cli_fail(d->cli, "%s: there is no upload of it, nor of anything below it", d->text);
}

/* --- rm ----------------------------------------------------------------------------------------------------------- */

static bool
upload_remove(struct data *d, const struct s3_upload *u, bool dry_run)
{
	const char *done = dry_run ? "would remove" : "removed";

	if (!dry_run && !s3_upload_abort(d->conn, u)) {
		if (!s3_conn_is_missing(d->conn))
			return data_fail(d, u->bucket, u->key);
		done = "gone"; /* it has ended since it was listed */
	}
	if (d->cli->json)
		cli_put_json(json_pack("{s:s, s:s, s:s, s:s}", "bucket", u->bucket, "key", u->key, "upload", u->id,
			"done", done));
	else if (!d->cli->quiet) {
		printf("%s ", done);
		data_put_path(d, u->bucket, u->key, "  ");
		data_put_name(d, u->id);
		putchar('\n');
	}
	return cli_flush(d->cli);
}

/* Filters see names as rm -r does: from the directory on. */
static const char *
filtered_name(struct data *d, const char *key)
{
	const char *folder = data_folder(d);

	return strncmp(key, folder, strlen(folder)) == 0 ? key + strlen(folder) : key;
}

bool
data_uploads_remove(struct data *d)
{
	bool below = cli_flag(d->cli, "recursive"), dry_run = cli_flag(d->cli, "dry_run"), any = false;
	struct s3_upload *uploads;
	struct filter filter;
	size_t count;

	if (!filter_read(d->cli, &filter))
		return false;
	if (!s3_uploads_list(d->conn, d->cli->arena, d->path.bucket, d->path.key, !below, &uploads, &count))
		return data_fail(d, NULL, NULL);
	for (size_t i = 0; i < count; i++) {
		const struct s3_upload *u = &uploads[i];

		if (!is_of_path(u->key, d->path.key, below))
			continue;
		any = true;
		if (filter_takes(&filter, filtered_name(d, u->key), 0, u->initiated_ns) && !upload_remove(d, u, dry_run))
			return false;
	}
	return any || below || cli_flag(d->cli, "force") ||
	       cli_fail(d->cli, "%s: there is no upload of it (-r removes those of all below)", d->text);
}
