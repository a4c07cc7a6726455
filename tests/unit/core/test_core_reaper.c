/* What the reaper leaves alone, and what it takes together. */
#include "hooks.h"
#include "recount.h"

#define MB ((size_t)1024 * 1024)

static void
gate_pass(void *data)
{
	while (sem_wait(data) != 0)
		;
}

/* The round over the whole store, in which the reaper takes what a process before this one was writing, comes upon what this one writes. */
static void
what_is_being_written_outlives_the_first_round(void **state)
{
	struct bucket_create_args create = { .name = BYTES_LITERAL("first") };
	struct object_put_args args = { .bucket = create.name, .key = BYTES_LITERAL("k"), .size = 3 * MB };
	struct object_put *put;
	struct version version;
	struct test_store t;
	struct slice body;
	sem_t gate;

	sem_init(&gate, 0, 0);
	hooks_arm(NULL, TABLE_DRIVER, gate_pass, &gate); /* where it looks for the store's first bucket */
	store_open_on(&t, "mem", hooks_wrap);
	assert_int_equal(bucket_create(&t.core, store_request(&t), &create), RFS_OK);
	assert_int_equal(object_put_begin(&t.core, store_request(&t), &args, &put), RFS_OK);
	body = slice_new(3 * MB);
	memset(slice_writable(&body), 1, body.len);
	assert_int_equal(object_put_write(put, body), RFS_OK);
	slice_unref(&body);
	sem_post(&gate);
	while (atomic_load(&hooks.reads[TABLE_DRIVER]) < 2) /* for the one behind this one */
		sleep_ns(1000000);
	assert_int_equal(object_put_finish(put, NULL, 0, &version), RFS_OK);
	store_close(&t);
	sem_destroy(&gate);
}

static void
bucket_fill(struct test_store *t, const char *name, int count)
{
	struct bucket_create_args create = { .name = bytes_str(name) };
	char key[16];

	store_open_on(t, "mem", NULL);
	assert_int_equal(bucket_create(&t->core, store_request(t), &create), RFS_OK);
	for (int i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "%03d", i);
		assert_int_equal(store_put(t, name, bytes_str(key), BYTES_LITERAL("body"), NULL), RFS_OK);
	}
}

static void
bucket_empty(struct test_store *t, const char *name, int count)
{
	char key[16];

	for (int i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "%03d", i);
		assert_int_equal(store_delete(t, name, bytes_str(key)), RFS_OK);
	}
}

static void
small_ones_go_many_in_a_batch(void **state)
{
	struct test_store t;
	uint64_t bucket, before;

	bucket_fill(&t, "small", 200);
	bucket = bucket_number(&t, "small");
	before = fault_calls(&t.drivers, FAULT_COMMIT);
	bucket_empty(&t, "small", 200);
	bucket_settle(&t, bucket);
	assert_int_equal(table_rows(&t, bucket, TABLE_BLOCK).count, 0);
	/* Of the reaper four would do; it looks once a second, so that a slow machine sees some more. */
	assert_in_range(fault_calls(&t.drivers, FAULT_COMMIT) - before, 200 + 4, 200 + 100);
	store_close(&t);
}

static _Atomic uint64_t *dropped_bytes;

static bool
removes_blocks(const struct batch *b)
{
	return batch_has(b, BATCH_DELETE, TABLE_BLOCK);
}

static void
dropped_look(void *data)
{
	uint64_t *counted = data;

	*counted = atomic_load(dropped_bytes);
}

/* Compaction, which looks when something was dropped, and forgets then how much, must find it gone. */
static void
what_is_dropped_is_counted_when_it_has_gone(void **state)
{
	struct bucket_create_args create = { .name = BYTES_LITERAL("count") };
	struct test_store t;
	uint64_t before = 1;

	store_open_on(&t, "mem", hooks_wrap);
	dropped_bytes = &t.core.storage->dropped_bytes;
	assert_int_equal(bucket_create(&t.core, store_request(&t), &create), RFS_OK);
	assert_int_equal(store_put(&t, "count", BYTES_LITERAL("k"), BYTES_LITERAL("body"), NULL), RFS_OK);
	hooks_arm(removes_blocks, 0, dropped_look, &before);
	assert_int_equal(store_delete(&t, "count", BYTES_LITERAL("k")), RFS_OK);
	bucket_settle(&t, bucket_number(&t, "count"));
	assert_false(atomic_load(&hooks.armed));
	assert_int_equal(before, 0);
	assert_in_range(atomic_load(dropped_bytes), 4, 4096);
	store_close(&t);
}

static enum rfs_err
scan_no_segments(struct metadata_driver *d, struct request *rq, struct bytes from, struct bytes to, size_t limit, bool reverse, struct row_page *page)
{
	if (strcmp(rq->door, "reaper") == 0 && from.data[8] == TABLE_SEGMENT)
		return RFS_ERR_IO;
	return hooks.inner.metadata->ops->scan(hooks.inner.metadata, rq, from, to, limit, reverse, page);
}

static void
wrap_no_segments(struct store_drivers *drivers)
{
	static struct metadata_ops ops;

	hooks_wrap(drivers);
	ops = *hooks.metadata.ops;
	ops.scan = scan_no_segments;
	hooks.metadata.ops = &ops;
}

/* Until the reaper has left as many rows. */
static void
purge_rows_come_to(struct test_store *t, uint64_t bucket, size_t count)
{
	for (int i = 0; store_request(t) && table_rows(t, bucket, TABLE_PURGE).count > count; i++) {
		assert_true(i < SETTLE_ATTEMPTS);
		pthread_cond_signal(&t->core.storage->reaper_wake);
		sleep_ns(1000000);
	}
}

/* The small ones before it in its page, which wait to go together. */
static void
one_that_cannot_be_read_keeps_none_of_those_before_it(void **state)
{
	static const char *const keys[] = { "s1", "s2", "large" };
	struct bucket_create_args create = { .name = BYTES_LITERAL("before") };
	uint8_t *body = calloc(1, 3 * MB);
	struct test_store t;
	uint64_t bucket;

	store_open_on(&t, "mem", wrap_no_segments);
	t.damaged = true;
	assert_int_equal(bucket_create(&t.core, store_request(&t), &create), RFS_OK);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(store_put(&t, "before", bytes_str(keys[i]), bytes_of(body, i < 2 ? 4 : 3 * MB), NULL), RFS_OK);
	bucket = bucket_number(&t, "before");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(store_delete(&t, "before", bytes_str(keys[i])), RFS_OK);
	purge_rows_come_to(&t, bucket, 1);
	assert_int_equal(table_rows(&t, bucket, TABLE_PURGE).count, 1);
	store_close(&t);
	free(body);
}

/* A block's row that cannot be read. */
static void
block_damage(struct test_store *t, uint64_t bucket, size_t at)
{
	struct row_page page = table_rows(t, bucket, TABLE_BLOCK);
	struct batch *b = batch_new(bucket);

	batch_put(b, page.rows[at].key, BYTES_LITERAL("?"));
	assert_int_equal(metadata_commit(t->core.metadata, &t->rq, b), RFS_OK);
	batch_free(b);
}

static void
a_damaged_one_keeps_none_of_the_others(void **state)
{
	struct test_store t;
	uint64_t bucket;

	bucket_fill(&t, "damaged", 20);
	t.damaged = true;
	bucket = bucket_number(&t, "damaged");
	block_damage(&t, bucket, 7);
	bucket_empty(&t, "damaged", 20);
	purge_rows_come_to(&t, bucket, 1);
	assert_int_equal(table_rows(&t, bucket, TABLE_BLOCK).count, 1);
	store_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_being_written_outlives_the_first_round),
		cmocka_unit_test(small_ones_go_many_in_a_batch),
		cmocka_unit_test(what_is_dropped_is_counted_when_it_has_gone),
		cmocka_unit_test(one_that_cannot_be_read_keeps_none_of_those_before_it),
		cmocka_unit_test(a_damaged_one_keeps_none_of_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
