/* What a snapshot needs: rows as they were at its serial, and their bytes. */
#include "check/repair.h"
#include "past_help.h"
#include "recount.h"

#define MANY 200

static const struct bytes bucket_name = {(const uint8_t *)"past", 4};
static struct test_store store;

static int
setup(void **state)
{
	store_open_with(&store, "small", bucket_name);
	return 0;
}

static int
teardown(void **state)
{
	store_close(&store);
	return 0;
}

static void
put(const char *key, const char *body)
{
	assert_int_equal(store_put(&store, "past", bytes_str(key), bytes_str(body), NULL), RFS_OK);
}

static void delete (const char *key)
{
	assert_int_equal(store_delete(&store, "past", bytes_str(key)), RFS_OK);
}

static uint64_t
snapshot(void)
{
	uint64_t serial = 0;

	assert_int_equal(snapshot_take(&store, "past", &serial), RFS_OK);
	return serial;
}

/* NULL: there was nothing. */
static void
assert_was(const char *key, uint64_t serial, const char *body)
{
	struct content_reader *reader;
	struct bucket_row bucket;
	struct version v;
	struct slice bytes;
	bool found;

	assert_int_equal(bucket_find(store.core.metadata, store_request(&store), bucket_name, &bucket), RFS_OK);
	assert_int_equal(head_at(&store, &bucket, serial, bytes_str(key), &v, &found), RFS_OK);
	assert_int_equal(found, body != NULL);
	if (!body)
		return;
	reader = content_reader_new(store.core.storage, &store.rq, &bucket, &v.content, 0, v.content.size, false);
	assert_int_equal(content_read(reader, &bytes), RFS_OK);
	assert_int_equal(bytes.len, strlen(body));
	assert_memory_equal(bytes.data, body, bytes.len);
	slice_unref(&bytes);
	content_reader_free(reader);
}

/* Of a bucket in which nothing is left for the reaper but what a snapshot needs, which is `kept`. */
static void
assert_reaped(size_t kept)
{
	uint64_t bucket = bucket_number(&store, "past");
	struct row_page page = {0};

	for (int i = 0; i < SETTLE_ATTEMPTS; i++) {
		store_request(&store);
		page = table_rows(&store, bucket, TABLE_PURGE);
		if (page.count <= kept)
			break;
		pthread_cond_signal(&store.core.storage->reaper_wake);
		sleep_ns(1000000);
	}
	assert_int_equal(page.count, kept);
}

static void
rows_are_kept_for_a_snapshot(void **state)
{
	uint64_t serial;

	put("k", "old body");
	serial = snapshot();
	put("k", "new");
	delete ("k");
	assert_was("k", serial, "old body");
	assert_was("k", serial - 2, NULL); /* the PUT's is one before */
}

static void
what_was_removed_before_a_snapshot_is_not_in_it(void **state)
{
	uint64_t first, second, third;

	put("d/k", "old body");
	first = snapshot();
	delete ("d/k");
	second = snapshot();
	put("d/k", "again");
	third = snapshot();
	delete ("d/k");
	assert_was("d/k", first, "old body");
	assert_was("d/k", second, NULL);
	assert_was("d/k", third, "again");
}

/* A content has several names of the past, and one that was never kept. */
static void
bytes_are_kept_for_a_snapshot(void **state)
{
	struct compaction_report report;
	uint64_t first, second;

	put("a", "old body");
	first = snapshot();
	assert_int_equal(store_rename(&store, "past", BYTES_LITERAL("a"), BYTES_LITERAL("b")), RFS_OK);
	second = snapshot();
	assert_int_equal(store_rename(&store, "past", BYTES_LITERAL("b"), BYTES_LITERAL("c")), RFS_OK);
	delete ("c");
	put("d", "never kept");
	delete ("d");
	assert_reaped(1);
	assert_int_equal(storage_compact(store.core.storage, store_request(&store), &report), RFS_OK);
	assert_was("a", first, "old body");
	assert_was("a", second, NULL);
	assert_was("b", second, "old body");
	assert_was("d", second, NULL);
}

/* More than the reaper looks at together, among them contents that other names have. */
static void
bytes_of_many_are_kept_for_a_snapshot(void **state)
{
	struct compaction_report report;
	char key[16], name[16];
	uint64_t serial;

	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "k%03d", i);
		put(key, key);
	}
	serial = snapshot();
	put("never", "kept");
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "k%03d", i);
		snprintf(name, sizeof(name), "r%03d", i);
		if (i % 2)
			assert_int_equal(store_rename(&store, "past", bytes_str(key), bytes_str(name)), RFS_OK);
		else
			delete (key);
	}
	delete ("never");
	assert_reaped(MANY / 2);
	assert_int_equal(storage_compact(store.core.storage, store_request(&store), &report), RFS_OK);
	assert_reaped(MANY / 2);
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "k%03d", i);
		assert_was(key, serial, key);
	}
}

/* Its end counts them: see store_close. What was put after the snapshot is not kept. */
static void
what_no_snapshot_needs_is_reaped(void **state)
{
	(void)snapshot();
	put("a", "new");
	put("a", "newer");
	delete ("a");
	assert_reaped(0);
}

static void
batch_apply(struct batch *b)
{
	assert_int_equal(metadata_commit(store.core.metadata, &store.rq, b), RFS_OK);
	batch_free(b);
}

/* The purge row that holds the bytes of the key's past content, which nothing else owns, and how often they are named.
 */
static void
content_lose(const char *key, uint64_t serial)
{
	struct bucket_row bucket;
	struct version v;
	struct batch *b;
	bool found;

	assert_int_equal(bucket_find(store.core.metadata, store_request(&store), bucket_name, &bucket), RFS_OK);
	assert_int_equal(head_at(&store, &bucket, serial, bytes_str(key), &v, &found), RFS_OK);
	assert_true(found);
	b = batch_new(bucket.id);
	batch_delete(b, key_purge(b->arena, bucket.id, v.content.data_id));
	batch_apply(b);
}

static void
counter_change(uint64_t data_id)
{
	uint64_t bucket = bucket_number(&store, "past");
	struct batch *b = batch_new(bucket);
	uint8_t number[8];

	store_be64(number, data_id);
	batch_add(b, key_counter(b->arena, bucket, COUNTER_PAST, bytes_of(number, 8)), 3);
	batch_apply(b);
}

static void
nothing_told(void *data, const struct repair_finding *finding)
{
}

/* After a salvage: what can be read of the past stays. Its end counts. */
static void
the_past_is_repaired(void **state)
{
	struct repair_totals totals;
	struct bucket_row bucket;
	struct version kept;
	uint64_t serial;
	bool found;

	put("kept", "some bytes");
	put("lost", "other bytes");
	serial = snapshot();
	delete ("kept");
	delete ("lost");
	content_lose("lost", serial);
	assert_int_equal(bucket_find(store.core.metadata, store_request(&store), bucket_name, &bucket), RFS_OK);
	assert_int_equal(head_at(&store, &bucket, serial, BYTES_LITERAL("kept"), &kept, &found), RFS_OK);
	counter_change(kept.content.data_id);
	counter_change(1);
	store_stop(&store);
	assert_false(fsck_clean(&store.drivers));
	assert_int_equal(repair_store(&store.drivers, nothing_told, NULL, &totals), RFS_OK);
	assert_true(fsck_clean(&store.drivers));
	store_start(&store);
	assert_was("kept", serial, "some bytes");
	assert_was("lost", serial, NULL);
	assert_reaped(1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rows_are_kept_for_a_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_removed_before_a_snapshot_is_not_in_it, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_are_kept_for_a_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_of_many_are_kept_for_a_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(what_no_snapshot_needs_is_reaped, setup, teardown),
		cmocka_unit_test_setup_teardown(the_past_is_repaired, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
