/* data_rm.c: `restfs rm`: an object, or everything below a path, a thousand with a request, and several at once. */
#include "cli_interrupt.h"
#include "data_remover.h"
#include "data_uploads.h"
#include "transfer_filter.h"

#define PARALLEL_DEFAULT 16
#define PARALLEL_MAX 1024

struct removal {
	struct data *d;
	const char *bucket, *root;
	bool dry_run;
	struct filter filter;
	struct remover *remover;
	struct key_batch *batch; /* that is being filled; NULL: none */
	const char *refusal;     /* of a whole batch: no more are sent; NULL: none */
	uint64_t seen, failed;
};

static void
said(const struct removal *r, const char *key, const char *what)
{
	if (r->d->cli->json)
		cli_put_json(json_pack("{s:s, s:s, s:s}", "bucket", r->bucket, "key", key, "done", what));
	else if (!r->d->cli->quiet) {
		printf("%s ", what);
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

static void
complain(struct removal *r, const char *key, const char *text)
{
	cli_fail(r->d->cli, "s3://%s/%s: %s", r->bucket, key, text);
	fflush(stdout);
	cli_complain(r->d->cli, EXIT_REFUSED);
	r->failed++;
}

/* Tells of a batch that has ended, and frees it. */
static void
batch_tell(struct removal *r, struct key_batch *b)
{
	for (size_t i = 0; i < b->count && !b->is_refused; i++)
		if (b->failed == 0 || !is_among(b->keys[i], b->failures, b->failed))
			said(r, b->keys[i], r->dry_run ? "would remove" : "removed");
	for (size_t i = 0; i < b->failed; i++)
		complain(r, b->failures[i].key, b->failures[i].text);
	if (b->is_refused && !r->refusal) {
		r->refusal = arena_str(r->d->cli->arena, bytes_str(b->text));
		remover_stop(r->remover);
	}
	key_batch_free(b);
}

/* Those that have ended, until no more than `most` are under way. */
static bool
batches_tell(struct removal *r, size_t most)
{
	struct key_batch *b;

	while ((b = remover_take(r->remover, most)))
		batch_tell(r, b);
	return !r->refusal;
}

static bool
removal_flush(struct removal *r)
{
	struct key_batch *b = r->batch;

	r->batch = NULL;
	if (!b)
		return true;
	if (r->dry_run) {
		batch_tell(r, b);
		return true;
	}
	remover_push(r->remover, b);
	return batches_tell(r, remover_room(r->remover));
}

static bool
removal_add(void *arg, const char *name, const struct s3_object *object)
{
	struct removal *r = arg;

	if (interrupt_came()) /* what is under way is told of before the end */
		return cli_fail(r->d->cli, "s3://%s: interrupted; what was removed was told", r->bucket);
	if (!filter_takes(&r->filter, name + strlen(r->root), object->size, object->modified_ns))
		return true;
	r->seen++;
	if (!r->batch)
		r->batch = key_batch_new();
	r->batch->keys[r->batch->count++] = arena_str(r->batch->arena, bytes_str(name));
	return r->batch->count < S3_DELETE_MAX || removal_flush(r);
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

/* All that was found. False: `error`. */
static bool
removal_run(struct removal *r, const char *key)
{
	bool fine = !key || removal_add_named(r, key);

	fine = fine && data_walk(r->d, r->bucket, r->root, false, removal_add, r) && removal_flush(r);
	batches_tell(r, 0);
	key_batch_free(r->batch);
	if (r->refusal)
		return cli_fail(r->d->cli, "s3://%s: %s", r->bucket, r->refusal);
	return fine;
}

/* `key` not NULL: that object, too, if it is there. */
static bool
remove_below(struct data *d, const char *bucket, const char *prefix, const char *key, bool dry_run)
{
	struct removal r = {.d = d, .bucket = bucket, .root = prefix, .dry_run = dry_run};
	int64_t parallel = cli_number(d->cli, "parallel", PARALLEL_DEFAULT);
	bool fine;

	if (!filter_read(d->cli, &r.filter))
		return false;
	r.remover = remover_new(d->client, bucket, (unsigned)parallel);
	interrupt_catch(NULL, NULL);
	fine = removal_run(&r, key);
	interrupt_release();
	remover_free(r.remover);
	if (fine && r.failed > 0)
		return cli_fail(d->cli, "%s: %s not removed", d->text,
			cli_counted(d->cli->arena, r.failed, "object was", "objects were"));
	if (fine && key && r.seen == 0 && !cli_flag(d->cli, "force"))
		return cli_fail(d->cli, "%s: there is nothing", d->text);
	return fine;
}

bool
data_empty_bucket(struct data *d, const char *bucket, bool dry_run)
{
	return remove_below(d, bucket, "", NULL, dry_run);
}

/* To S3, what is not there is removed already; people want to be told that they mistyped. By force it is not looked
 * at: then nobody knows whether it was there. */
static bool
remove_object(struct data *d, bool dry_run)
{
	struct removal r = {.d = d, .bucket = d->path.bucket, .dry_run = dry_run};
	bool force = cli_flag(d->cli, "force");
	struct s3_info info;

	if ((!force || dry_run) && !s3_head(d->conn, d->page, d->path.bucket, d->path.key, &info)) {
		if (!s3_missing_name(d->conn, d->path.bucket))
			return data_fail(d, NULL, NULL);
		return force || cli_fail(d->cli, "%s: there is no such object (-r removes what is below)", d->text);
	}
	if (!dry_run && !s3_delete(d->conn, d->path.bucket, d->path.key))
		return data_fail(d, NULL, NULL);
	said(&r, d->path.key, dry_run ? "would remove" : force ? "gone" : "removed");
	return true;
}

static bool
is_removed(struct data *d)
{
	static const char *const filters[] = {"filters", "newer_than", "older_than", "larger", "smaller"};
	int64_t parallel = cli_number(d->cli, "parallel", PARALLEL_DEFAULT);
	struct filter filter;

	if (parallel < 1 || parallel > PARALLEL_MAX)
		return cli_fail(d->cli, "--parallel is 1 to %d", PARALLEL_MAX);
	if (cli_flag(d->cli, "uploads") &&
		(json_object_get(d->cli->params, "larger") || json_object_get(d->cli->params, "smaller")))
		return cli_fail(d->cli, "%s: uploads are not chosen by their size", d->text);
	if (cli_flag(d->cli, "recursive"))
		return data_is_in_bucket(d) && filter_read(d->cli, &filter);
	if (cli_flag(d->cli, "uploads"))
		return data_is_object(d) && filter_read(d->cli, &filter);
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		if (json_object_get(d->cli->params, filters[i]))
			return cli_fail(d->cli, "%s: only of what -r removes can some be chosen", d->text);
	return data_is_object(d);
}

static bool
remove_path(struct data *d)
{
	bool dry_run = cli_flag(d->cli, "dry_run");
	const char *folder;

	if (cli_flag(d->cli, "uploads"))
		return data_uploads_remove(d);
	if (!cli_flag(d->cli, "recursive"))
		return remove_object(d, dry_run);
	folder = data_folder(d);
	return remove_below(d, d->path.bucket, folder, folder == d->path.key ? NULL : d->path.key, dry_run);
}

int
data_rm(struct cli *cli)
{
	return data_each_path(cli, is_removed, remove_path);
}
