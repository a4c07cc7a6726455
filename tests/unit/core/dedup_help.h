/* dedup_help.h: what tests of deduplication share: a store with hooks, buckets with small blocks, bodies, and verbs that must succeed. */
#ifndef TESTS_UNIT_CORE_DEDUP_HELP_H
#define TESTS_UNIT_CORE_DEDUP_HELP_H

#include "hooks.h"
#include "recount.h"

#define KB ((size_t)1024)
#define MB (KB * 1024)
#define SMALL_BLOCK (32 * KB) /* what a loop puts is one block */
#define SMALL_SEGMENT 8

static const char *driver;

static inline void
dedup_set(struct test_store *t, const char *name, bool yes)
{
	struct bucket_changes changes = { .deduplicate = &yes };

	assert_int_equal(bucket_configure(&t->core, store_request(t), bytes_str(name), &changes), RFS_OK);
}

static inline void
bucket_make(struct test_store *t, const char *name, bool deduplicate)
{
	struct bucket_create_args create = { .name = bytes_str(name) };

	assert_int_equal(bucket_create(&t->core, store_request(t), &create), RFS_OK);
	if (deduplicate)
		dedup_set(t, name, true);
}

/* So that a small body has many blocks and segments. */
static inline void
blocks_resize(struct test_store *t, const char *name, uint32_t block_size, uint32_t segment_blocks)
{
	struct request *rq = store_request(t);
	struct bucket_row bucket;
	struct batch *b;
	struct buf value;

	assert_int_equal(bucket_find(t->core.metadata, rq, bytes_str(name), &bucket), RFS_OK);
	bucket.block_size = block_size;
	bucket.segment_blocks = segment_blocks;
	b = batch_new(bucket.id);
	buf_init(&value, b->arena);
	bucket_row_encode(&value, &bucket);
	batch_checked(batch_put(b, key_bucket(b->arena, bucket.id), buf_bytes(&value)), bucket.serial);
	feed_append(b, rq, &bucket, CHANGE_BUCKET, bucket.name, NULL);
	assert_int_equal(metadata_commit(t->core.metadata, rq, b), RFS_OK);
	batch_free(b);
}

static inline void
setup(struct test_store *t, const char *bucket)
{
	store_open_on(t, driver, hooks_wrap);
	bucket_make(t, bucket, true);
}

/* The managers end and begin again; the drivers stay. Of the commits from then on, the Nth and all later ones fail; 0: none. */
static inline void
restart(struct test_store *t, uint64_t fail_from)
{
	store_stop(t); /* nobody looks at the rules */
	t->rules.op[FAULT_COMMIT].fail_from = fail_from ? fault_calls(&t->drivers, FAULT_COMMIT) + fail_from : 0;
	store_start(t);
}

/* Bytes that no other seed has, and that do not compress. */
static inline struct bytes
body_make(size_t len, uint64_t seed)
{
	uint8_t *p = malloc(len + 8);
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < len; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, 8);
	}
	return bytes_of(p, len);
}

static inline void
body_free(struct bytes body)
{
	free((void *)body.data);
}

static inline void
put(struct test_store *t, const char *bucket, const char *key, struct bytes body)
{
	assert_int_equal(store_put(t, bucket, bytes_str(key), body, NULL), RFS_OK);
}

static inline void
verify(struct test_store *t, const char *bucket, const char *key, struct bytes body)
{
	uint8_t *back = NULL;
	size_t len = 0;

	assert_int_equal(store_get(t, bucket, bytes_str(key), (struct byte_range){ 0 }, &back, &len), RFS_OK);
	assert_int_equal(len, body.len);
	assert_int_equal(memcmp(back, body.data, len), 0);
	free(back);
}

static inline void
delete(struct test_store *t, const char *bucket, const char *key)
{
	assert_int_equal(store_delete(t, bucket, bytes_str(key)), RFS_OK);
}

static inline void
copy(struct test_store *t, const char *from, const char *from_key, const char *to, const char *to_key)
{
	struct object_copy_args args = {
		.from_bucket = bytes_str(from), .from_key = bytes_str(from_key), .to = { .bucket = bytes_str(to), .key = bytes_str(to_key) },
	};
	struct version version;

	assert_int_equal(object_copy(&t->core, store_request(t), &args, &version), RFS_OK);
}

static inline void
is_empty(struct test_store *t, const char *bucket)
{
	struct recount r = bucket_recount(t, bucket);

	assert_int_equal(r.blocks + r.hashes + r.names + r.segments + r.counters, 0);
}

static inline struct bytes
part_put(struct test_store *t, const char *bucket, const char *key, struct bytes upload, uint32_t number, struct bytes body, char etag[33])
{
	struct object_put_args args = {
		.bucket = bytes_str(bucket), .key = bytes_str(key), .size = (int64_t)body.len, .upload = upload, .part_number = number,
	};
	struct version version;

	assert_int_equal(store_put_with(t, store_request(t), &args, body, &version), RFS_OK);
	memcpy(etag, version.etag.data, 32);
	etag[32] = 0;
	return bytes_of(etag, 32);
}

static inline struct bytes
upload_begin(struct test_store *t, const char *bucket, const char *key, char id[33])
{
	struct upload_create_args args = { .bucket = bytes_str(bucket), .key = bytes_str(key) };
	struct bytes made;

	assert_int_equal(upload_create(&t->core, store_request(t), &args, &made), RFS_OK);
	memcpy(id, made.data, 32);
	id[32] = 0;
	return bytes_of(id, 32);
}

static inline void
complete(struct test_store *t, const char *bucket, const char *key, struct bytes upload, struct upload_part_claim *parts, size_t count)
{
	struct upload_complete_args args = {
		.bucket = bytes_str(bucket), .key = bytes_str(key), .upload = upload, .parts = parts, .part_count = count, .size = -1,
	};
	struct version version;

	assert_int_equal(upload_complete(&t->core, store_request(t), &args, &version), RFS_OK);
}

#endif
