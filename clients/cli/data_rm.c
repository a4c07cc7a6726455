/* data_rm.c: `restfs rm`: an object, or everything below a path, a thousand with a request. */
#include "data.h"
#include "transfer_filter.h"

struct removal {
	struct data *d;
	const char *bucket, *root;
	bool dry_run;
	struct filter filter;
	struct arena *arena;
	const char *keys[S3_DELETE_MAX];
	size_t count;
	uint64_t seen, failed;
};

static void
said(const struct removal *r, const char *key)
{
	if (r->d->cli->json)
		data_put_json(json_pack("{s:s, s:s, s:s}", "bucket", r->bucket, "key", key, "done",
			r->dry_run ? "would remove" : "removed"));
	else if (!r->d->cli->quiet) {
		printf("%s ", r->dry_run ? "would remove" : "removed");
		data_put_path(r->d, r->bucket, key, "\n");
	}
}

static bool
is_among(const char *key, const struct s3_delete_failure *failures, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(failures[i].key, key) == 0)
			return true;
	return false;
}

static bool
removal_flush(struct removal *r)
{
	struct s3_delete_failure *failures = NULL;
	size_t failed = 0;

	if (r->count > 0 && !r->dry_run &&
		!s3_delete_many(r->d->conn, r->arena, r->bucket, r->keys, r->count, &failures, &failed))
		return data_fail(r->d, r->bucket, "");
	for (size_t i = 0; i < r->count; i++)
		if (!is_among(r->keys[i], failures, failed))
			said(r, r->keys[i]);
	for (size_t i = 0; i < failed; i++) {
		cli_fail(r->d->cli, "s3://%s/%s: %s", r->bucket, failures[i].key, failures[i].text);
		fflush(stdout);
		cli_complain(r->d->cli, EXIT_REFUSED);
	}
	r->failed += failed;
	r->count = 0;
	arena_reset(r->arena);
	return true;
}

static bool
removal_add(void *arg, const char *name, const struct s3_object *object)
{
	struct removal *r = arg;

	if (!filter_takes(&r->filter, name + strlen(r->root), object->size, object->modified_ns))
		return true;
	r->seen++;
	r->keys[r->count++] = arena_str(r->arena, bytes_str(name));
	return r->count < S3_DELETE_MAX || removal_flush(r);
}

/* The object itself that the path names, before what is below it; it may not be there. */
static bool
removal_add_named(struct removal *r, const char *key)
{
	struct s3_object object = {.key = key};
	const char *root = r->root;
	struct s3_info info;

	if (!s3_head(r->d->conn, r->d->page, r->bucket, key, &info))
		return s3_conn_is_missing(r->d->conn) || data_fail(r->d, r->bucket, key);
	object.size = info.size;
	object.modified_ns = info.modified_ns;
	r->root = "";
	removal_add(r, key, &object);
	r->root = root;
	return true;
}

/* `key` not NULL: that object, too, if it is there. */
static bool
remove_below(struct data *d, const char *bucket, const char *prefix, const char *key, bool dry_run)
{
	struct removal r = {.d = d, .bucket = bucket, .root = prefix, .dry_run = dry_run, .arena = arena_new(65536)};
	bool fine = filter_read(d->cli, &r.filter) && (!key || removal_add_named(&r, key));

	fine = fine && data_walk(d, bucket, prefix, false, removal_add, &r) && removal_flush(&r);
	arena_free(r.arena);
	if (fine && r.failed > 0)
		return cli_fail(d->cli, "%s: %llu objects were not removed", d->text, (unsigned long long)r.failed);
	if (fine && key && r.seen == 0 && !cli_flag(d->cli, "force"))
		return cli_fail(d->cli, "%s: there is nothing", d->text);
	return fine;
}

bool
data_empty_bucket(struct data *d, const char *bucket, bool dry_run)
{
	return remove_below(d, bucket, "", NULL, dry_run);
}

/* To S3, what is not there is removed already; people want to be told that they mistyped. */
static bool
remove_object(struct data *d, bool dry_run)
{
	struct removal r = {.d = d, .bucket = d->path.bucket, .dry_run = dry_run};
	bool force = cli_flag(d->cli, "force");
	struct s3_info info;

	if (!data_is_object(d))
		return false;
	if (!force && !s3_head(d->conn, d->page, d->path.bucket, d->path.key, &info)) {
		if (!s3_conn_is_missing(d->conn))
			return data_fail(d, NULL, NULL);
		return cli_fail(d->cli, "%s: there is no such object (-r removes what is below)", d->text);
	}
	if (!dry_run && !s3_delete(d->conn, d->path.bucket, d->path.key))
		return data_fail(d, NULL, NULL);
	said(&r, d->path.key);
	return true;
}

static bool
remove_path(struct data *d)
{
	bool dry_run = cli_flag(d->cli, "dry_run");
	const char *folder;

	if (!data_is_in_bucket(d))
		return false;
	if (!cli_flag(d->cli, "recursive"))
		return remove_object(d, dry_run);
	folder = data_folder(d);
	return remove_below(d, d->path.bucket, folder, folder == d->path.key ? NULL : d->path.key, dry_run);
}

int
data_rm(struct cli *cli)
{
	return data_each_path(cli, remove_path);
}
