/*
 * data_ls.c: `restfs ls`: buckets, or what is in one, a level or everything. A path without a '/' at its end is an
 * object, or a directory whose contents are meant; one with * or ? in it is a pattern of what is on its level.
 */
#include "data_uploads.h"
#include "cli_progress.h"
#include "glob.h"
#include "base/clock.h"

#define WILDCARDS "*?["

struct listing {
	struct data *d;
	const char *root;    /* what is not shown in front of names */
	const char *pattern; /* what a name must fit; NULL: any */
	bool names;
	uint64_t count;
};

static void
object_show(const struct listing *l, const char *name, const struct s3_object *o)
{
	char time[DATA_TEXT] = "", size[DATA_TEXT] = "";
	bool coloured = !o;

	if (o) {
		data_time(o->modified_ns, time);
		data_size(l->d, o->size, size);
	}
	printf("%-19s  %12s  %s", time, size, coloured ? cli_colour(stdout, COLOUR_BLUE) : "");
	data_put_name(l->d, name);
	printf("%s\n", coloured ? cli_colour(stdout, COLOUR_NONE) : "");
}

static bool
listed(void *arg, const char *name, const struct s3_object *o)
{
	struct listing *l = arg;
	size_t len = strlen(name);
	char *plain;

	plain = arena_str(l->d->page, bytes_of(name, len - (!o && len > 0)));
	if (l->pattern && strcmp(plain, l->pattern) != 0 && !glob_match(l->pattern, plain))
		return true;
	l->count++;
	if (l->d->cli->json)
		cli_put_json(o ? data_object_json(l->d->path.bucket, o) : data_folder_json(l->d->path.bucket, name));
	else if (l->names)
		data_put_path(l->d, l->d->path.bucket, name, "\n");
	else
		object_show(l, name + strlen(l->root), o);
	arena_reset(l->d->page);
	return true;
}

static bool
buckets_list(struct data *d, const char *pattern)
{
	struct s3_bucket *buckets;
	size_t count;

	if (!s3_buckets_list(d->conn, d->cli->arena, &buckets, &count))
		return data_fail(d, NULL, NULL);
	for (size_t i = 0; i < count; i++) {
		char text[DATA_TEXT], created[25];

		if (pattern[0] && !glob_match(pattern, buckets[i].name))
			continue;
		date_iso8601(buckets[i].created_ns, created);
		if (cli_flag(d->cli, "uploads")) {
			if (!data_uploads_list(d, buckets[i].name))
				return false;
		} else if (d->cli->json)
			cli_put_json(json_pack("{s:s, s:s}", "bucket", buckets[i].name, "created", created));
		else if (cli_flag(d->cli, "names"))
			printf("s3://%s/\n", buckets[i].name);
		else
			printf("%s  s3://%s\n", data_time(buckets[i].created_ns, text), buckets[i].name);
	}
	return true;
}

/* Of "a/b*": "a/" */
static const char *
folder_of(struct data *d, const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash ? arena_str(d->cli->arena, bytes_of(key, (size_t)(slash + 1 - key))) : "";
}

static bool
pattern_list(struct data *d, struct listing *l)
{
	const char *key = d->path.key;
	size_t size = strlen(key) + 1;
	char *prefix = arena_alloc(d->cli->arena, size);
	bool levels;

	glob_prefix(key, prefix, size);
	/* A wildcard in front of a '/' is looked for in all that is below. */
	levels = !strchr(key + strlen(prefix), '/') && !cli_flag(d->cli, "recursive");
	l->root = folder_of(d, prefix);
	l->pattern = key;
	return data_walk(d, d->path.bucket, prefix, levels, listed, l) &&
	       (l->count > 0 || l->names || cli_fail(d->cli, "%s: nothing fits that", d->text));
}

/* An object of that name, and what is below it. */
static bool
name_list(struct data *d, struct listing *l)
{
	const char *key = d->path.key;
	struct s3_info info;

	l->root = folder_of(d, key);
	if (s3_head(d->conn, d->cli->arena, d->path.bucket, key, &info)) {
		struct s3_object object = {
			.key = key, .size = info.size, .modified_ns = info.modified_ns, .etag = info.etag};

		listed(l, key, &object);
	} else if (!s3_conn_is_missing(d->conn)) {
		return data_fail(d, NULL, NULL);
	}
	l->root = data_folder(d);
	return data_walk(d, d->path.bucket, l->root, !cli_flag(d->cli, "recursive"), listed, l) &&
	       (l->count > 0 || cli_fail(d->cli, "%s: there is no such object or directory", d->text));
}

static bool
is_of_buckets(const struct data *d)
{
	return d->path.is_s3 && (!d->path.bucket[0] || strpbrk(d->path.bucket, WILDCARDS)) && !d->path.key[0];
}

static bool
is_listed(struct data *d)
{
	return is_of_buckets(d) || data_is_in_bucket(d);
}

static bool
list(struct data *d)
{
	struct listing l = {.d = d, .root = d->path.key, .names = cli_flag(d->cli, "names")};
	size_t len;

	if (is_of_buckets(d))
		return buckets_list(d, d->path.bucket);
	if (cli_flag(d->cli, "uploads"))
		return data_uploads_list(d, d->path.bucket);
	len = strlen(d->path.key);
	if (strpbrk(d->path.key, WILDCARDS))
		return pattern_list(d, &l);
	if (len > 0 && d->path.key[len - 1] != '/')
		return name_list(d, &l);
	return data_walk(d, d->path.bucket, d->path.key, !cli_flag(d->cli, "recursive"), listed, &l);
}

int
data_ls(struct cli *cli)
{
	return data_each_path(cli, is_listed, list);
}
