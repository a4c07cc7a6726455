/* recount.h: the references of a bucket counted anew, from the rows that name blocks, against what the store has counted. */
#ifndef TESTS_UNIT_CORE_RECOUNT_H
#define TESTS_UNIT_CORE_RECOUNT_H

#include "managers/storage/storage_int.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define RECOUNT_MAX 65536
#define SETTLE_ATTEMPTS 60000

struct recount {
	uint64_t blocks; /* rows of runs */
	uint64_t hashes; /* hash rows */
	uint64_t names;  /* rows and contents that name a run */
	uint64_t segments;
	uint64_t counters; /* runs with more than one reference */
	uint64_t bytes;  /* payload bytes of all runs */
};

struct recount_names {
	uint64_t runs[RECOUNT_MAX];     /* each time that one is named */
	uint64_t data_ids[RECOUNT_MAX]; /* contents that have segments, or parts */
	size_t run_count, data_count;
};

static inline uint64_t
bucket_number(struct test_store *t, const char *name)
{
	struct bucket_row bucket;

	assert_int_equal(bucket_find(t->core.metadata, store_request(t), bytes_str(name), &bucket), RFS_OK);
	return bucket.id;
}

/* All rows of a table. */
static inline struct row_page
table_rows(struct test_store *t, uint64_t bucket, enum table table)
{
	struct arena *a = t->rq.arena;
	struct bytes from = key_table(a, bucket, table, bytes_of(NULL, 0)), to = key_table(a, bucket, table + 1, bytes_of(NULL, 0));
	struct row_page page;

	assert_int_equal(metadata_scan(t->core.metadata, &t->rq, from, to, RECOUNT_MAX, false, &page), RFS_OK);
	assert_false(page.more);
	return page;
}

/* Until the reaper has nothing to do in the bucket. */
static inline void
bucket_settle(struct test_store *t, uint64_t bucket)
{
	for (int i = 0; i < SETTLE_ATTEMPTS; i++) {
		store_request(t);
		if (!table_rows(t, bucket, TABLE_PURGE).count)
			return;
		pthread_cond_signal(&t->core.storage->reaper_wake); /* else it looks once a second */
		sleep_ns(1000000);
	}
	fail_msg("the reaper does not come to an end");
}

static inline void
content_names(struct recount_names *n, const struct content *c)
{
	assert_true(n->run_count < RECOUNT_MAX && n->data_count < RECOUNT_MAX);
	if (c->kind == CONTENT_BLOCK)
		n->runs[n->run_count++] = c->block;
	else if (c->kind != CONTENT_EMPTY)
		n->data_ids[n->data_count++] = c->data_id;
}

static inline int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static inline bool
names_data(const struct recount_names *n, uint64_t data_id)
{
	for (size_t i = 0; i < n->data_count; i++)
		if (n->data_ids[i] == data_id)
			return true;
	return false;
}

static inline void
names_of_contents(struct test_store *t, uint64_t bucket, struct recount_names *n)
{
	struct row_page page = table_rows(t, bucket, TABLE_ENTRY);

	for (size_t i = 0; i < page.count; i++) {
		struct version v;

		assert_int_equal(version_decode(t->rq.arena, page.rows[i].value, &v), RFS_OK);
		content_names(n, &v.content);
	}
	page = table_rows(t, bucket, TABLE_UPLOAD_PART);
	for (size_t i = 0; i < page.count; i++) {
		struct part_row part;

		assert_int_equal(part_decode(page.rows[i].value, &part), RFS_OK);
		content_names(n, &part.content);
	}
	page = table_rows(t, bucket, TABLE_PARTS);
	for (size_t i = 0; i < page.count; i++) {
		struct part_ref *parts;
		size_t count;

		assert_true(names_data(n, load_be64(page.rows[i].key.data + 9)));
		assert_int_equal(parts_decode(t->rq.arena, page.rows[i].value, &parts, &count, NULL), RFS_OK);
		for (size_t k = 0; k < count; k++)
			content_names(n, &parts[k].content);
	}
}

/* A segment's row holds a reference to each run that it names, however often it does. */
static inline size_t
names_of_segments(struct test_store *t, uint64_t bucket, struct recount_names *n)
{
	struct row_page page = table_rows(t, bucket, TABLE_SEGMENT);

	for (size_t i = 0; i < page.count; i++) {
		struct segment_row segment;
		size_t before = n->run_count;

		assert_true(names_data(n, load_be64(page.rows[i].key.data + 9)));
		assert_int_equal(segment_decode(t->rq.arena, page.rows[i].value, &segment), RFS_OK);
		for (size_t k = 0; k < segment.extent_count; k++) {
			bool known = false;

			for (size_t at = before; at < n->run_count && !known; at++)
				known = n->runs[at] == segment.extents[k].first;
			if (!known)
				n->runs[n->run_count++] = segment.extents[k].first;
		}
	}
	return page.count;
}

static inline void
hash_verify(struct test_store *t, uint64_t bucket, const struct row *row)
{
	struct row block;
	struct run_row run;
	uint64_t number;

	assert_int_equal(row->key.len, 9 + 32);
	assert_int_equal(hash_decode(row->value, &number), RFS_OK);
	assert_int_equal(metadata_get(t->core.metadata, &t->rq, key_block(t->rq.arena, bucket, number), &block), RFS_OK);
	if (!block.found)
		fail_msg("a hash row names block %llu, which is not there", (unsigned long long)number);
	assert_int_equal(run_decode(block.value, &run), RFS_OK);
	assert_true(run.hashed);
	assert_int_equal(run.count, 1);
	assert_memory_equal(run.sha256[0], row->key.data + 9, 32);
}

/* Each run that is named has a row and the references beyond the first counted; no other run has; hash rows name what is there. */
static inline struct recount
bucket_recount(struct test_store *t, const char *name)
{
	static struct recount_names n;
	struct recount out = { 0 };
	uint64_t bucket = bucket_number(t, name), hashed = 0, counters = 0;
	struct row_page page;
	size_t at = 0;

	bucket_settle(t, bucket);
	store_request(t);
	n.run_count = n.data_count = 0;
	names_of_contents(t, bucket, &n);
	out.segments = names_of_segments(t, bucket, &n);
	out.names = n.run_count;
	qsort(n.runs, n.run_count, sizeof(n.runs[0]), compare_u64);
	page = table_rows(t, bucket, TABLE_BLOCK);
	out.blocks = page.count;
	for (size_t i = 0; i < page.count; i++) {
		uint64_t number = load_be64(page.rows[i].key.data + 9);
		int64_t named = 0, counted;
		struct run_row run;
		uint8_t rest[8];

		store_be64(rest, number);
		assert_int_equal(run_decode(page.rows[i].value, &run), RFS_OK);
		hashed += run.hashed;
		for (uint32_t k = 0; k < run.count; k++)
			out.bytes += run.stored_sizes[k];
		assert_int_equal(metadata_counter(t->core.metadata, &t->rq, key_counter(t->rq.arena, bucket, COUNTER_REFERENCES, bytes_of(rest, 8)),
					 &counted),
			RFS_OK);
		if (at < n.run_count && n.runs[at] < number)
			fail_msg("block %llu is named and not there", (unsigned long long)n.runs[at]);
		for (; at < n.run_count && n.runs[at] == number; at++)
			named++;
		if (named != counted + 1)
			fail_msg("block %llu is named %lld times, and counted %lld and its row", (unsigned long long)number, (long long)named,
				(long long)counted);
		out.counters += counted != 0;
	}
	if (at < n.run_count)
		fail_msg("block %llu is named and not there", (unsigned long long)n.runs[at]);
	page = table_rows(t, bucket, TABLE_COUNTER);
	for (size_t i = 0; i < page.count; i++)
		counters += page.rows[i].key.data[9] == COUNTER_REFERENCES;
	assert_int_equal(counters, out.counters);
	page = table_rows(t, bucket, TABLE_HASH);
	out.hashes = page.count;
	assert_int_equal(out.hashes, hashed);
	for (size_t i = 0; i < page.count; i++)
		hash_verify(t, bucket, &page.rows[i]);
	return out;
}

#endif
