/* Keys put, overwritten, renamed and removed at random agree with a sorted list of keys: by listing with any prefix and delimiter, by content, by counters. */
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MODEL_KEYS 1000

struct model_key {
	char key[32];
	char body[40];
	bool there;
};

struct model {
	struct model_key keys[MODEL_KEYS];
	size_t count;
};

static int
by_key(const void *a, const void *b)
{
	return bytes_compare(bytes_str(((const struct model_key *)a)->key), bytes_str(((const struct model_key *)b)->key));
}

/* Every key of up to five characters from a small alphabet is likely to come again. */
static void
random_key(char *out)
{
	static const char alphabet[] = "ab/!0";
	size_t len = 1 + random_u64() % 5;

	for (size_t i = 0; i < len; i++)
		out[i] = alphabet[random_u64() % (sizeof(alphabet) - 1)];
	out[len] = 0;
}

static struct model_key *
model_find(struct model *m, const char *key)
{
	for (size_t i = 0; i < m->count; i++)
		if (strcmp(m->keys[i].key, key) == 0)
			return &m->keys[i];
	if (m->count == MODEL_KEYS)
		return NULL;
	strcpy(m->keys[m->count].key, key);
	return &m->keys[m->count++];
}

/* What S3 lists, computed from the sorted keys alone. */
static size_t
model_list(const struct model *m, const char *prefix, const char *delimiter, char out[][32])
{
	size_t n = 0;

	for (size_t i = 0; i < m->count; i++) {
		const char *key = m->keys[i].key, *at;
		char item[32];

		if (!m->keys[i].there || strncmp(key, prefix, strlen(prefix)) != 0)
			continue;
		strcpy(item, key);
		at = *delimiter ? strstr(key + strlen(prefix), delimiter) : NULL;
		if (at)
			item[at - key + (long)strlen(delimiter)] = 0;
		if (at && n && strcmp(out[n - 1], item) == 0)
			continue;
		strcpy(out[n++], item);
	}
	return n;
}

static void
list_and_compare(struct test_store *t, const struct model *m, const char *prefix, const char *delimiter, size_t page)
{
	static char expected[MODEL_KEYS][32];
	size_t count = model_list(m, prefix, delimiter, expected), seen = 0;
	struct object_list_args args = { .bucket = BYTES_LITERAL("model"), .prefix = bytes_str(prefix), .delimiter = bytes_str(delimiter), .limit = page };
	struct object_list list = { .more = true };
	char after[32] = "";

	while (list.more) {
		args.after = bytes_str(after);
		assert_int_equal(object_list(&t->core, store_request(t), &args, &list), RFS_OK);
		for (size_t i = 0; i < list.count; i++, seen++) {
			if (seen >= count || !bytes_equal_str(list.items[i].key, expected[seen]))
				fail_msg("prefix \"%s\" delimiter \"%s\" page %zu after \"%s\": item %zu is \"%.*s\", not \"%s\"", prefix, delimiter, page, after,
					seen, (int)list.items[i].key.len, list.items[i].key.data, seen < count ? expected[seen] : "(end)");
		}
		if (list.more) {
			memcpy(after, list.next.data, list.next.len);
			after[list.next.len] = 0;
		}
	}
	assert_int_equal(seen, count);
}

static void
compare_all(struct test_store *t, struct model *m)
{
	static const char *prefixes[] = { "", "a", "a/", "a/b", "/", "b!", "0/", "a//", "zz" };
	static const char *delimiters[] = { "", "/", "b", "/a" };
	int64_t objects = 0, bytes = 0;
	struct bucket_usage usage;

	qsort(m->keys, m->count, sizeof(m->keys[0]), by_key);
	for (size_t p = 0; p < 9; p++)
		for (size_t d = 0; d < 4; d++)
			list_and_compare(t, m, prefixes[p], delimiters[d], 1 + random_u64() % 5);
	list_and_compare(t, m, "", "", 1000);
	for (size_t i = 0; i < m->count; i++) {
		uint8_t *body = NULL;
		size_t len = 0;
		enum rfs_err err = store_get(t, "model", bytes_str(m->keys[i].key), (struct byte_range){ 0 }, &body, &len);

		assert_int_equal(err, m->keys[i].there ? RFS_OK : RFS_ERR_NO_SUCH_KEY);
		if (!err) {
			assert_int_equal(len, strlen(m->keys[i].body));
			assert_memory_equal(body, m->keys[i].body, len);
			free(body);
			objects++;
			bytes += (int64_t)len;
		}
	}
	assert_int_equal(bucket_usage(&t->core, store_request(t), BYTES_LITERAL("model"), &usage), RFS_OK);
	assert_int_equal(usage.objects, objects);
	assert_int_equal(usage.bytes, bytes);
}

/* Nothing is left of directories and counters once every key is gone. */
static void
empty_and_compare(struct test_store *t, struct model *m)
{
	struct bucket_row bucket;
	struct row_page page;
	struct request *rq;

	for (size_t i = 0; i < m->count; i++)
		assert_int_equal(store_delete(t, "model", bytes_str(m->keys[i].key)), RFS_OK);
	rq = store_request(t);
	assert_int_equal(bucket_find(t->core.metadata, rq, BYTES_LITERAL("model"), &bucket), RFS_OK);
	for (enum table table = TABLE_ENTRY; table <= TABLE_COUNTER; table++) {
		struct bytes from = key_table(rq->arena, bucket.id, table, bytes_of(NULL, 0));

		if (table == TABLE_BLOCK)
			continue; /* the reaper's, in its own time */
		assert_int_equal(metadata_scan(t->core.metadata, rq, from, key_after_prefix(rq->arena, from), 10, false, &page), RFS_OK);
		assert_int_equal(page.count, 0);
	}
	assert_int_equal(bucket_remove(&t->core, store_request(t), BYTES_LITERAL("model")), RFS_OK);
}

/* A key that is there, or a directory on its path. */
static bool
known_name(const struct model *m, char *out)
{
	const char *slash;

	for (int tries = 0; tries < 50 && m->count; tries++) {
		const struct model_key *key = &m->keys[random_u64() % m->count];

		if (!key->there)
			continue;
		strcpy(out, key->key);
		slash = strchr(out + random_u64() % strlen(out), '/');
		if (slash && random_u64() % 2)
			out[slash - out + 1] = 0;
		return true;
	}
	return false;
}

static bool
is_directory(const char *key)
{
	return key[strlen(key) - 1] == '/';
}

/* How many keys begin so; the marker of that name not counted, when it is to be `empty`. */
static size_t
below(const struct model *m, const char *prefix, bool empty)
{
	size_t n = 0;

	for (size_t i = 0; i < m->count; i++) {
		const struct model_key *key = &m->keys[i];

		if (key->there && strncmp(key->key, prefix, strlen(prefix)) == 0)
			n += !(empty && strcmp(key->key, prefix) == 0 && key->body[0] == 0);
	}
	return n;
}

static enum rfs_err
rename_expected(struct model *m, const char *from, const char *to)
{
	if (is_directory(from) != is_directory(to))
		return RFS_ERR_INVALID_ARGUMENT;
	if (is_directory(from) ? !below(m, from, false) : !model_find(m, from)->there)
		return RFS_ERR_NO_SUCH_KEY;
	if (strcmp(from, to) == 0 || !is_directory(from))
		return RFS_OK;
	if (strncmp(to, from, strlen(from)) == 0)
		return RFS_ERR_INVALID_ARGUMENT;
	return below(m, to, true) ? RFS_ERR_NOT_EMPTY : RFS_OK;
}

static void
model_rename(struct model *m, const char *from, const char *to)
{
	size_t count = m->count;

	if (is_directory(from))
		model_find(m, to)->there = false;
	for (size_t i = 0; i < count; i++) {
		struct model_key *key = &m->keys[i], *new_key;
		char name[32];

		if (!key->there || (is_directory(from) ? strncmp(key->key, from, strlen(from)) : strcmp(key->key, from)) != 0)
			continue;
		snprintf(name, sizeof(name), "%s%s", to, key->key + strlen(from));
		new_key = model_find(m, name);
		assert(new_key);
		strcpy(new_key->body, key->body);
		new_key->there = true;
		key->there = false;
	}
}

static void
rename_and_compare(struct test_store *t, struct model *m)
{
	char from[32], to[32];
	enum rfs_err expected;

	if (!known_name(m, from) || random_u64() % 10 == 0)
		random_key(from);
	random_key(to);
	if (random_u64() % 10 && is_directory(from) != is_directory(to))
		strcpy(to + strlen(to) - 1, is_directory(from) ? "/" : "b");
	/* Room for every new name in the list and in a name. */
	if (m->count + m->count / 2 >= MODEL_KEYS || strlen(from) > 12 || !model_find(m, from) || !model_find(m, to))
		return;
	for (size_t i = 0; i < m->count; i++)
		if (m->keys[i].there && strlen(m->keys[i].key) > 20)
			return;
	expected = rename_expected(m, from, to);
	assert_int_equal(store_rename(t, "model", bytes_str(from), bytes_str(to)), expected);
	if (!expected && strcmp(from, to) != 0)
		model_rename(m, from, to);
}

static void
random_operations_agree_with_a_sorted_list(void **state)
{
	struct test_store t;
	struct bucket_create_args create = { .name = BYTES_LITERAL("model") };
	static struct model m;

	memset(&m, 0, sizeof(m));
	store_open(&t);
	assert_int_equal(bucket_create(&t.core, store_request(&t), &create), RFS_OK);
	for (int step = 0; step < 3000; step++) {
		char text[32];
		struct model_key *key;

		if (random_u64() % 4 == 0)
			rename_and_compare(&t, &m);
		random_key(text);
		if (!(key = model_find(&m, text)))
			continue;
		if (random_u64() % 3) {
			snprintf(key->body, sizeof(key->body), "%.*s", (int)(random_u64() % 20), "the body of this object is this text");
			assert_int_equal(store_put(&t, "model", bytes_str(text), bytes_str(key->body), NULL), RFS_OK);
			key->there = true;
		} else {
			assert_int_equal(store_delete(&t, "model", bytes_str(text)), RFS_OK);
			key->there = false;
		}
		if (step % 100 == 99)
			compare_all(&t, &m);
	}
	empty_and_compare(&t, &m);
	store_close(&t);
}

/* Sizes around every border of frames, small blocks, blocks and segments come back, whole and in ranges. */
static void
bodies_of_all_sizes_come_back(void **state)
{
	static const size_t sizes[] = { 1, 65535, 65536, 65537, 262143, 262144, 262145, 1048575, 1048576, 1048577, 3 * 1048576, 67 * 1048576 + 5 };
	struct bucket_create_args create = { .name = BYTES_LITERAL("sizes") };
	struct test_store t;

	store_open(&t);
	for (int compress = 0; compress < 2; compress++) {
		bool yes = compress;
		struct bucket_changes changes = { .compress = &yes };

		if (!compress)
			assert_int_equal(bucket_create(&t.core, store_request(&t), &create), RFS_OK);
		assert_int_equal(bucket_configure(&t.core, store_request(&t), create.name, &changes), RFS_OK);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint8_t *body = malloc(sizes[i]), *back = NULL;
			size_t len = 0;
			struct byte_range whole = { 0 }, part = { .given = true };

			for (size_t k = 0; k < sizes[i]; k++)
				body[k] = (uint8_t)(compress ? k >> 9 : k * 2654435761u >> 13);
			assert_int_equal(store_put(&t, "sizes", BYTES_LITERAL("dir/body"), bytes_of(body, sizes[i]), NULL), RFS_OK);
			assert_int_equal(store_get(&t, "sizes", BYTES_LITERAL("dir/body"), whole, &back, &len), RFS_OK);
			assert_int_equal(len, sizes[i]);
			assert_int_equal(memcmp(back, body, len), 0);
			free(back);
			for (int r = 0; r < 20; r++) {
				part.first = random_u64() % sizes[i];
				part.last = part.first + random_u64() % 200000;
				assert_int_equal(store_get(&t, "sizes", BYTES_LITERAL("dir/body"), part, &back, &len), RFS_OK);
				assert_int_equal(len, (part.last < sizes[i] ? part.last + 1 : sizes[i]) - part.first);
				assert_int_equal(memcmp(back, body + part.first, len), 0);
				free(back);
			}
			free(body);
		}
	}
	store_close(&t);
}

/* Replaced rows stay readable at the serial at which a snapshot was taken. */
static void
rows_are_kept_for_a_snapshot(void **state)
{
	struct bucket_create_args create = { .name = BYTES_LITERAL("past") };
	struct bucket_row bucket;
	struct test_store t;
	struct row row;
	struct version version;
	struct request *rq;
	struct batch *b;
	struct buf value;
	struct bytes key;
	uint64_t snapshot;

	store_open(&t);
	assert_int_equal(bucket_create(&t.core, store_request(&t), &create), RFS_OK);
	assert_int_equal(store_put(&t, "past", BYTES_LITERAL("k"), BYTES_LITERAL("old body"), NULL), RFS_OK);
	rq = store_request(&t);
	assert_int_equal(bucket_find(t.core.metadata, rq, create.name, &bucket), RFS_OK);
	b = batch_new(bucket.id);
	bucket_check(b, &bucket);
	buf_init(&value, b->arena);
	bucket.last_snapshot = snapshot = 2; /* the PUT's serial: the bucket's row took the first */
	bucket_row_encode(&value, &bucket);
	batch_put(b, key_bucket(b->arena, bucket.id), buf_bytes(&value));
	feed_append(b, rq, &bucket, CHANGE_BUCKET, bucket.name, NULL);
	assert_int_equal(metadata_commit(t.core.metadata, rq, b), RFS_OK);
	batch_free(b);
	assert_int_equal(store_put(&t, "past", BYTES_LITERAL("k"), BYTES_LITERAL("new"), NULL), RFS_OK);
	assert_int_equal(store_delete(&t, "past", BYTES_LITERAL("k")), RFS_OK);
	rq = store_request(&t);
	key = key_entry(rq->arena, bucket.id, (const uint8_t[16]){ 0 }, BYTES_LITERAL("k"));
	assert_int_equal(metadata_get(t.core.metadata, rq, key, &row), RFS_OK);
	assert_false(row.found);
	assert_int_equal(metadata_get_at(t.core.metadata, rq, key, snapshot, &row), RFS_OK);
	assert_true(row.found);
	assert_int_equal(version_decode(rq->arena, row.value, &version), RFS_OK);
	assert_int_equal(version.content.size, 8);
	assert_int_equal(metadata_get_at(t.core.metadata, rq, key, snapshot - 1, &row), RFS_OK);
	assert_false(row.found);
	store_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_a_sorted_list),
		cmocka_unit_test(bodies_of_all_sizes_come_back),
		cmocka_unit_test(rows_are_kept_for_a_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
