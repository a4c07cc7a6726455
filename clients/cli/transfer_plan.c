/* transfer_plan.c: see transfer_plan.h. */
#include "transfer_plan.h"
#include "base/clock.h"
#include <sys/stat.h>

bool
place_read(struct cli *cli, const char *text, struct place *out)
{
	struct s3_path path;

	if (!cli_s3_path(cli, text, &path))
		return false;
	if (path.is_s3 && !path.bucket[0])
		return cli_fail(cli, "%s names no bucket: a path is s3://BUCKET/KEY", text);
	if (!path.is_s3 && !path.local[0])
		return cli_fail(cli, "an empty path leads nowhere");
	*out = path.is_s3 ? (struct place){path.bucket, path.key} : (struct place){NULL, path.local};
	return true;
}

void
place_make_tree(struct cli *cli, struct place *place)
{
	size_t len = strlen(place->root);

	if (len > 0 && place->root[len - 1] != '/')
		place->root = arena_printf(cli->arena, "%s/", place->root);
}

bool
place_is_local_folder(const struct place *place)
{
	struct stat st;

	return !place->bucket && stat(place->root, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *
place_base(struct cli *cli, const struct place *place)
{
	size_t end = strlen(place->root), from;

	while (end > 0 && place->root[end - 1] == '/')
		end--;
	for (from = end; from > 0 && place->root[from - 1] != '/';)
		from--;
	return end             ? arena_str(cli->arena, bytes_of(place->root + from, end - from))
	       : place->bucket ? place->bucket
			       : "";
}

const char *
place_join(struct arena *arena, const struct place *place, const char *name)
{
	return arena_printf(arena, "%s%s", place->root, name);
}

bool
place_overlaps(const struct place *from, const struct place *to)
{
	struct bytes a = bytes_str(from->root), b = bytes_str(to->root);

	return from->bucket && to->bucket && strcmp(from->bucket, to->bucket) == 0 &&
	       (bytes_starts_with(a, b) || bytes_starts_with(b, a));
}

bool
place_kind(struct cli *cli, const struct place *from, const struct place *to, enum transfer_kind *out)
{
	*out = !from->bucket ? TRANSFER_UPLOAD : to->bucket ? TRANSFER_COPY : TRANSFER_DOWNLOAD;
	return from->bucket || to->bucket ||
	       cli_fail(cli, "neither %s nor %s is in a store: write s3://BUCKET/KEY", from->root, to->root);
}

/* 0: it is not listed. */
static int64_t
bucket_created_ns(struct s3_client *client, const char *bucket)
{
	struct s3_conn *conn = s3_conn_new(client);
	struct arena *arena = arena_new(4096);
	struct s3_bucket *buckets;
	int64_t created_ns = 0;
	size_t count;

	if (s3_buckets_list(conn, arena, &buckets, &count))
		while (count-- > 0)
			if (strcmp(buckets[count].name, bucket) == 0)
				created_ns = buckets[count].created_ns;
	arena_free(arena);
	s3_conn_free(conn);
	return created_ns;
}

static bool
objects_are_alike(const struct s3_object *a, const struct s3_object *b)
{
	return strcmp(a->key, b->key) == 0 && strcmp(a->etag, b->etag) == 0 && a->modified_ns == b->modified_ns;
}

/* What is first in both buckets. Where one cannot be listed, they may be. */
static bool
are_alike(const struct transfer *t)
{
	struct s3_list_query query = {.bucket = t->from_bucket};
	struct s3_conn *from = s3_conn_new(t->from_client), *to = s3_conn_new(t->client);
	struct arena *arena = arena_new(65536);
	struct s3_list_page a = {0}, b = {0};
	bool alike = true;

	if (s3_list(from, arena, &query, NULL, &a) && s3_list(to, arena, &query, NULL, &b)) {
		alike = a.count == b.count && a.count > 0;
		for (size_t i = 0; alike && i < a.count; i++)
			alike = objects_are_alike(&a.objects[i], &b.objects[i]);
	}
	arena_free(arena);
	s3_conn_free(from);
	s3_conn_free(to);
	return alike;
}

/* Two endpoints may be two names of one store: then a bucket of one name was made at one time. */
static bool
is_one_store(const struct transfer *t)
{
	int64_t created_ns;

	if (s3_client_is_same_store(t->client, t->from_client))
		return true;
	if (strcmp(t->from_bucket, t->to_bucket) != 0 || !(created_ns = bucket_created_ns(t->client, t->to_bucket)) ||
		created_ns != bucket_created_ns(t->from_client, t->from_bucket))
		return false;
	return created_ns % NS_PER_SECOND != 0 || are_alike(t);
}

/* Of what is downloaded the source's store is the only one. */
static bool
clients_open(struct transfer *t)
{
	bool has_own = cli_s3_has_source(t->cli);

	if (has_own && t->kind == TRANSFER_UPLOAD)
		return cli_fail(t->cli, SOURCE_IS_LOCAL);
	if (has_own && !(t->from_client = cli_s3_open_source(t->cli)))
		return false;
	t->client = has_own && t->kind == TRANSFER_DOWNLOAD ? t->from_client : cli_s3_open(t->cli);
	if (!t->client) {
		s3_client_free(t->from_client);
		return false;
	}
	if (!has_own)
		t->from_client = t->client;
	else if (t->kind == TRANSFER_COPY)
		t->kind = TRANSFER_RELAY;
	return true;
}

bool
transfer_open(struct transfer *t, struct cli *cli, const struct transfer_options *options, const struct place *from,
	const struct place *to)
{
	*t = (struct transfer){.cli = cli, .options = options, .from_bucket = from->bucket, .to_bucket = to->bucket};
	if (!place_kind(cli, from, to, &t->kind) || !clients_open(t))
		return false;
	s3_client_limit_rate(t->client, (uint64_t)cli_number(cli, "limit_rate", 0));
	s3_client_limit_rate(t->from_client, (uint64_t)cli_number(cli, "limit_rate", 0));
	t->is_in_one_store = from->bucket && to->bucket && is_one_store(t);
	return true;
}

void
transfer_close(struct transfer *t)
{
	if (t->from_client != t->client)
		s3_client_free(t->from_client);
	s3_client_free(t->client);
}
