/*
 * cut_judge.c OPTION=VALUE...: tells what a store holds that a power cut has left (cut_points.py makes it). For each
 * data directory that is named on standard input, a line of JSON: why it cannot be opened ("refused"), or what the
 * check of it finds, and its users, keys, buckets, objects (size and SHA-256 of what is read), counters, uploads and
 * feeds. Then something new is written, and the rows are checked again: numbers given before the cut must not be given
 * again.
 *
 * Each store is opened by a process of its own, which ends without closing it: a store's end is not what is judged
 * here, and takes long. Nothing is synced, nor room kept, for nothing of it need survive.
 */
#include "../unit/core/store.h"
#include "base/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define KEYS_MOST 1000
#define NEW_BUCKET "after-the-cut"

/* --- in front of glibc's ------------------------------------------------------------------------------------------ */

int
fsync(int fd)
{
	return 0;
}

int
fdatasync(int fd)
{
	return 0;
}

int
fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct stat st;

	if (mode != 0 || fstat(fd, &st) != 0 || st.st_size >= offset + len)
		return 0;
	return ftruncate(fd, offset + len);
}

int
fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	return fallocate(fd, mode, offset, len);
}

/* --- what is said ------------------------------------------------------------------------------------------------- */

static struct bytes
name_of(const char *text)
{
	return bytes_str(text);
}

static json_t *
text_of(struct bytes b)
{
	return json_stringn_nocheck((const char *)b.data, b.len);
}

/* What went wrong is part of the answer. */
static void
complain(json_t *out, const char *what, enum rfs_err err)
{
	char text[512];

	snprintf(text, sizeof(text), "%s: %s", what, error_face(err)->name);
	json_array_append_new(json_object_get(out, "findings"), json_string(text));
}

static void
finding_add(void *data, const struct check_finding *f)
{
	char text[1024];

	snprintf(text, sizeof(text), "fsck: %s %.*s/%.*s: %s", check_kind_name(f->kind), (int)f->bucket_name.len,
		(const char *)f->bucket_name.data, (int)f->key.len, (const char *)f->key.data, f->text);
	json_array_append_new(data, json_string_nocheck(text));
}

static void
check(struct test_store *t, bool fast, json_t *out)
{
	struct check_options options = {.fast = fast, .found = finding_add, .data = json_object_get(out, "findings")};
	struct check_totals totals;
	enum rfs_err err = check_store(&t->drivers, &options, &totals);

	if (err)
		complain(out, "the check did not come to its end", err);
}

/* --- what is there ------------------------------------------------------------------------------------------------ */

static json_t *
object_of(struct test_store *t, const char *bucket, struct bytes key, json_t *out)
{
	struct digester *sha256 = digester_new(DIGEST_BIT(DIGEST_SHA256));
	struct digest_value value;
	char hex[65];
	uint8_t *body = NULL;
	size_t len = 0;
	enum rfs_err err = store_get(t, bucket, key, (struct byte_range){0}, &body, &len);

	if (err)
		complain(out, "reading an object", err);
	digester_update(sha256, body, len);
	digester_value(sha256, DIGEST_SHA256, &value);
	digester_free(sha256);
	free(body);
	hex_encode(bytes_of(value.bytes, 32), hex);
	return json_pack("[I, s]", (json_int_t)len, err ? "" : hex);
}

static json_t *
objects_of(struct test_store *t, const char *bucket, json_t *out)
{
	struct object_list_args args = {.bucket = name_of(bucket), .limit = KEYS_MOST};
	json_t *objects = json_object();
	struct object_list list;
	char *keys[KEYS_MOST];
	enum rfs_err err = object_list(&t->core, store_request(t), &args, &list);

	if (err || list.more) {
		complain(out, "listing a bucket", err);
		return objects;
	}
	for (size_t i = 0; i < list.count; i++)
		keys[i] = strndup((const char *)list.items[i].key.data, list.items[i].key.len);
	for (size_t i = 0, count = list.count; i < count; i++) {
		json_object_set_new_nocheck(objects, keys[i], object_of(t, bucket, name_of(keys[i]), out));
		free(keys[i]);
	}
	return objects;
}

static json_t *
feed_of(struct test_store *t, const char *bucket, json_t *out)
{
	struct feed_read_args args = {.bucket = name_of(bucket), .limit = KEYS_MOST};
	json_t *changes = json_array(), *cursors = json_object();
	struct feed_cursor *cursor;
	struct feed_ends ends = {0};
	struct feed feed = {0};
	size_t count = 0;
	enum rfs_err err = feed_cursor_list(&t->core, store_request(t), name_of(bucket), &ends, &cursor, &count);

	for (size_t i = 0; !err && i < count; i++)
		json_object_setn_new_nocheck(cursors, (const char *)cursor[i].name.data, cursor[i].name.len,
			json_integer((json_int_t)cursor[i].row.position));
	args.after = ends.pruned;
	if (!err)
		err = feed_read(&t->core, store_request(t), &args, &feed);
	if (err || feed.more)
		complain(out, "reading a feed", err);
	for (size_t i = 0; i < feed.count; i++)
		json_array_append_new(changes,
			json_pack("[I, i, o, I]", (json_int_t)feed.changes[i].serial, (int)feed.changes[i].kind,
				text_of(feed.changes[i].name), (json_int_t)feed.changes[i].size));
	return json_pack("{s: I, s: I, s: o, s: o}", "pruned", (json_int_t)ends.pruned, "last", (json_int_t)ends.last,
		"changes", changes, "cursors", cursors);
}

static json_t *
uploads_of(struct test_store *t, const char *bucket, json_t *out)
{
	struct upload_list_args args = {.bucket = name_of(bucket), .limit = KEYS_MOST};
	json_t *uploads = json_array();
	struct upload_list list = {0};
	enum rfs_err err = upload_list(&t->core, store_request(t), &args, &list);

	if (err || list.more)
		complain(out, "listing uploads", err);
	for (size_t i = 0; i < list.count; i++)
		json_array_append_new(uploads, text_of(list.items[i].key));
	return uploads;
}

static json_t *
quotas_of(struct test_store *t, const char *bucket, json_t *out)
{
	json_t *quotas = json_array();
	struct quota_state *list;
	size_t count;
	enum rfs_err err = quota_list(&t->core, store_request(t), name_of(bucket), &list, &count);

	if (err)
		complain(out, "listing quotas", err);
	for (size_t i = 0; !err && i < count; i++)
		json_array_append_new(quotas,
			json_pack("[I, I]", (json_int_t)list[i].quota.objects, (json_int_t)list[i].quota.bytes));
	return quotas;
}

static json_t *
bucket_of(struct test_store *t, const char *name, json_t *out)
{
	struct bucket_usage usage = {0};
	enum rfs_err err = bucket_usage(&t->core, store_request(t), name_of(name), &usage);

	if (err)
		complain(out, "reading what a bucket holds", err);
	return json_pack("{s: [I, I], s: o, s: o, s: o, s: o}", "usage", (json_int_t)usage.objects,
		(json_int_t)usage.bytes, "objects", objects_of(t, name, out), "feed", feed_of(t, name, out), "uploads",
		uploads_of(t, name, out), "quotas", quotas_of(t, name, out));
}

static void
buckets_add(struct test_store *t, json_t *out)
{
	const struct bytes none = bytes_of(NULL, 0);
	json_t *buckets = json_object();
	struct bucket_row *rows;
	char *names[KEYS_MOST];
	size_t count = 0;
	bool more;
	enum rfs_err err = bucket_list(&t->core, store_request(t), none, none, KEYS_MOST, &rows, &count, &more);

	if (err)
		complain(out, "listing the buckets", err);
	for (size_t i = 0; i < count; i++)
		names[i] = strndup((const char *)rows[i].name.data, rows[i].name.len);
	for (size_t i = 0; i < count; i++) {
		json_object_set_new_nocheck(buckets, names[i], bucket_of(t, names[i], out));
		free(names[i]);
	}
	json_object_set_new(out, "buckets", buckets);
}

static void
users_add(struct test_store *t, json_t *out)
{
	json_t *users = json_array(), *keys = json_array();
	const struct identity **identities;
	struct access_key_info *infos;
	size_t count = 0, key_count = 0;
	enum rfs_err err = auth_user_list(t->core.auth, store_request(t), &identities, &count);

	for (size_t i = 0; !err && i < count; i++)
		json_array_append_new(users, json_string(identities[i]->name));
	if (!err)
		err = auth_key_list(t->core.auth, &t->rq, bytes_of(NULL, 0), &infos, &key_count);
	for (size_t i = 0; !err && i < key_count; i++)
		json_array_append_new(keys, text_of(infos[i].access_key));
	if (err)
		complain(out, "listing users", err);
	json_object_set_new(out, "users", users);
	json_object_set_new(out, "keys", keys);
}

/* --- what comes next ---------------------------------------------------------------------------------------------- */

/* A body that is the journal's, and one that is not: written, and read again. */
static void
write_something_new(struct test_store *t, json_t *out)
{
	static uint8_t body[300000];
	struct bucket_create_args args = {.name = name_of(NEW_BUCKET)};
	const size_t sizes[] = {3000, sizeof(body)};
	enum rfs_err err = bucket_create(&t->core, store_request(t), &args);

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 2654435761u >> 13); /* it does not compress to nothing */
	for (size_t i = 0; !err && i < 2; i++) {
		struct bytes key = name_of(i ? "large" : "small");
		uint8_t *read = NULL;
		size_t len = 0;

		if (!(err = store_put(t, NEW_BUCKET, key, bytes_of(body, sizes[i]), NULL)))
			err = store_get(t, NEW_BUCKET, key, (struct byte_range){0}, &read, &len);
		if (!err && (len != sizes[i] || memcmp(read, body, len) != 0))
			err = RFS_ERR_DAMAGED;
		free(read);
	}
	if (err)
		complain(out, "writing something new", err);
}

/* As a daemon does it. False: `error` says why not. */
static bool
managers_begin(struct test_store *t, char *error)
{
	t->core.metadata = metadata_new(t->drivers.metadata);
	if (auth_open(t->core.metadata, t->config.data, "root-key", "root-secret", &t->core.auth, error))
		return false;
	assert(storage_new(t->core.metadata, t->drivers.storage, &t->config, &t->core.storage) == RFS_OK);
	sem_init(&t->woken, 0, 0);
	t->rq = (struct request){.wake = store_wake,
		.arena = arena_new(65536),
		.door = "test",
		.who = auth_root(t->core.auth),
		.may_block = true,
		.now_ns = clock_wall_ns()};
	return true;
}

static json_t *
judge(struct test_store *t)
{
	char error[512] = "";
	json_t *out = json_pack("{s: []}", "findings");

	if (embedded_open(&t->config, &t->drivers, error)) {
		json_object_set_new(out, "refused", json_string(error));
		return out;
	}
	check(t, false, out);
	if (!managers_begin(t, error)) {
		json_object_set_new(out, "refused", json_string(error));
		return out;
	}
	buckets_add(t, out);
	users_add(t, out);
	write_something_new(t, out);
	storage_free(t->core.storage); /* with the reaper, who would change rows that are being checked */
	check(t, true, out);
	return out;
}

static void
judge_at(const char *path, char *const *options)
{
	static struct test_store t;
	char error[512], name[256];

	config_init(&t.config);
	assert(config_set(&t.config, "data", path, error));
	for (; *options; options++) {
		size_t len = strcspn(*options, "=");

		snprintf(name, sizeof(name), "%.*s", (int)len, *options);
		if (!config_set(&t.config, name, *options + len + 1, error)) {
			fprintf(stderr, "%s: %s\n", *options, error);
			abort();
		}
	}
	assert(json_dumpf(judge(&t), stdout, JSON_COMPACT) == 0 && printf("\n") == 1 && fflush(stdout) == 0);
}

int
main(int argc, char **argv)
{
	char path[4096];
	int status;

	log_init(LOG_ERROR, LOG_TEXT, STDERR_FILENO);
	while (fgets(path, sizeof(path), stdin)) {
		pid_t child = fork();

		path[strcspn(path, "\n")] = 0;
		if (child == 0) {
			judge_at(path, argv + 1);
			_exit(0);
		}
		assert(child > 0 && waitpid(child, &status, 0) == child);
		if (status != 0)
			printf("{\"refused\": \"the judge ended with status %d\"}\n", status);
		fflush(stdout);
	}
	return 0;
}
