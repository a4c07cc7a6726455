/*
 * data_du.c: `restfs du`: how much there is below a path; with --depth, also below each directory of so many levels.
 * Names come in order, so a directory is known to be over when one comes that is not in it: nothing is held but the
 * directories that are open.
 */
#include "data.h"

#define DEPTH_MAX 64

struct folder {
	size_t len; /* of its name, in `open` */
	uint64_t bytes, objects;
};

struct usage {
	struct data *d;
	const char *root;
	struct buf open; /* the name of the deepest that is open */
	struct folder folders[DEPTH_MAX + 1];
	size_t depth, most; /* folders[0] is the root */
	bool has_object;    /* of the path's own name, beside what is below it */
};

static void
folder_show(const struct usage *u, const struct folder *f, const char *name)
{
	char size[DATA_TEXT];

	if (u->d->cli->json) {
		cli_put_json(json_pack("{s:s, s:s, s:I, s:I}", "bucket", u->d->path.bucket, "prefix", name, "bytes",
			(json_int_t)f->bytes, "objects", (json_int_t)f->objects));
		return;
	}
	printf("%12s  %8llu  ", data_size(u->d, f->bytes, size), (unsigned long long)f->objects);
	data_put_path(u->d, u->d->path.bucket, name, "\n");
}

/* What it holds is its parent's, too. */
static void
folder_close(struct usage *u)
{
	struct folder *f = &u->folders[u->depth--];

	folder_show(u, f, arena_str(u->d->page, bytes_sub(buf_bytes(&u->open), 0, f->len)));
	u->folders[u->depth].bytes += f->bytes;
	u->folders[u->depth].objects += f->objects;
	u->open.len = u->folders[u->depth].len;
}

static bool
counted(void *arg, const char *name, const struct s3_object *o)
{
	struct usage *u = arg;
	const char *slash;

	while (u->depth > 0 && strncmp(name, (const char *)u->open.data, u->open.len) != 0)
		folder_close(u);
	while (u->depth < u->most && (slash = strchr(name + u->open.len, '/'))) {
		buf_put(&u->open, name + u->open.len, (size_t)(slash + 1 - name) - u->open.len);
		u->folders[++u->depth] = (struct folder){.len = u->open.len};
	}
	u->folders[u->depth].bytes += o->size;
	u->folders[u->depth].objects++;
	return true;
}

/* A path without a '/' may be an object's. */
static bool
object_usage(struct usage *u, const char *bucket)
{
	struct s3_info info;

	if (u->root == u->d->path.key || !u->root[0])
		return true;
	if (!s3_head(u->d->conn, u->d->page, bucket, u->d->path.key, &info))
		return s3_conn_is_missing(u->d->conn) || data_fail(u->d, NULL, NULL);
	u->folders[0].bytes += info.size;
	u->folders[0].objects++;
	return u->has_object = true;
}

static bool
root_show(const struct usage *u)
{
	const struct folder *root = &u->folders[0];

	if (u->root[0] && root->objects == 0)
		return cli_fail(u->d->cli, "%s: there is nothing", u->d->text);
	folder_show(u, root, u->has_object && root->objects == 1 ? u->d->path.key : u->root);
	return true;
}

static bool
bucket_usage(struct data *d, const char *bucket, const char *prefix)
{
	int64_t depth = cli_number(d->cli, "depth", 0);
	struct usage u = {.d = d, .root = prefix, .most = depth > DEPTH_MAX ? DEPTH_MAX : (size_t)depth};
	bool fine;

	buf_init(&u.open, NULL);
	buf_put_str(&u.open, prefix);
	u.folders[0].len = u.open.len;
	fine = object_usage(&u, bucket) && data_walk(d, bucket, prefix, false, counted, &u);
	while (fine && u.depth > 0)
		folder_close(&u);
	fine = fine && root_show(&u);
	buf_fini(&u.open);
	arena_reset(d->page);
	return fine;
}

/* A bucket, or all. */
static bool
is_counted(struct data *d)
{
	return (d->path.is_s3 && !d->path.bucket[0]) || data_is_in_bucket(d);
}

static bool
usage(struct data *d)
{
	struct s3_bucket *buckets;
	size_t count;

	if (d->path.bucket[0])
		return bucket_usage(d, d->path.bucket, data_folder(d));
	if (!s3_buckets_list(d->conn, d->cli->arena, &buckets, &count))
		return data_fail(d, NULL, NULL);
	for (size_t i = 0; i < count; i++) {
		d->path.bucket = buckets[i].name;
		if (!bucket_usage(d, d->path.bucket, ""))
			return false;
	}
	return true;
}

int
data_du(struct cli *cli)
{
	return data_each_path(cli, is_counted, usage);
}
