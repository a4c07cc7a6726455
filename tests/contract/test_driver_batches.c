/* test_driver_batches.c: batches as a whole: repeats, limits, commits that may not wait, and what a closed store keeps;
 * see contract.h. */
#include "contract.h"

static void
a_repeated_batch_gives_the_first_result(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	uint8_t id[16];
	uint64_t serial;

	batch_identify(b);
	memcpy(id, b->id, sizeof(id));
	batch_check(b, key_of(b, TABLE_ROWS, "a"), 0);
	batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("x"));
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 1);
	assert_int_equal(test_commit(s, b), RFS_OK);
	serial = b->serial;
	test_put(s, BUCKET, "b", "x");
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_int_equal(b->serial, serial);
	assert_int_equal(test_counter(s, BUCKET, "n"), 1);

	batch_reset(b);
	memcpy(b->id, id, sizeof(id));
	b->bucket = BUCKET + 1; /* an id is a bucket's */
	batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("x"));
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_true(test_get(s, BUCKET + 1, TABLE_ROWS, "a").found);
	batch_free(b);
}

static void
a_batch_beyond_the_limits_does_nothing(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	char *large = calloc(1, BATCH_MAX_BYTES), name[32];

	for (int i = 0; i < BATCH_MAX_OPS; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		batch_put(b, key_of(b, TABLE_ROWS, name), bytes_str("x"));
	}
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_reset(b);
	for (int i = 0; i < BATCH_MAX_OPS + 100; i++)
		batch_delete(b, key_of(b, TABLE_ROWS, "k1"));
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	assert_true(test_get(s, BUCKET, TABLE_ROWS, "k1").found);
	batch_reset(b);
	batch_put(b, key_of(b, TABLE_ROWS, "large"), bytes_of(large, BATCH_MAX_BYTES));
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "large").found);
	batch_reset(b);
	batch_put(b, key_of(b, TABLE_ROWS, "large"), bytes_of(large, BATCH_MAX_BYTES - 14));
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_int_equal(test_get(s, BUCKET, TABLE_ROWS, "large").value.len, BATCH_MAX_BYTES - 14);
	batch_free(b);
	free(large);
}

static void
a_key_of_another_bucket_is_refused(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);

	batch_put(b, test_key(b->arena, BUCKET + 1, TABLE_ROWS, "a"), bytes_str("x"));
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	assert_false(test_get(s, BUCKET + 1, TABLE_ROWS, "a").found);
	batch_reset(b);
	batch_delete_range(b, key_of(b, TABLE_ROWS, "a"), test_key(b->arena, BUCKET + 1, TABLE_ROWS, "b"));
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	batch_free(b);
}

/* The driver's own rows are there. */
static void
a_key_of_table_0_is_refused(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);

	batch_put(b, test_key(b->arena, BUCKET, 0, "s"), bytes_str("x"));
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	batch_reset(b);
	batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("x"));
	batch_add(b, test_key(b->arena, BUCKET, 0, "s"), 1);
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "a").found);
	batch_free(b);
}

/* Also of rows that are on the disk only. */
static void
a_commit_that_may_not_wait_ends_as_any_other(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	uint64_t serial;

	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 5);
	batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("1"));
	assert_int_equal(test_commit(s, b), RFS_OK);
	serial = b->serial;
	if (strcmp(kind, "embedded") == 0) {
		close_drivers(s);
		assert_int_equal(open_drivers(s), 0);
	}
	for (int good = 0; good <= 1; good++) {
		batch_reset(b);
		b->nowait = true;
		batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 2);
		batch_checked(batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("2")), serial + !good);
		assert_int_equal(test_commit(s, b), good ? RFS_OK : RFS_ERR_CONFLICT);
		assert_int_equal(test_counter(s, BUCKET, "n"), good ? 7 : 5);
	}
	assert_int_equal(test_get(s, BUCKET, TABLE_ROWS, "a").serial, serial + 1);
	batch_free(b);
}

static void
everything_is_there_after_closing_and_opening(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct slice payload = pattern(20000, 9);
	struct batch_block block = {.number = 900, .parts = &payload, .part_count = 1, .len = payload.len};
	struct row row;

	if (strcmp(kind, "embedded") != 0) {
		slice_unref(&payload);
		batch_free(b);
		skip();
	}
	for (int round = 1; round <= 3; round++) {
		batch_reset(b);
		batch_identify(b);
		batch_blocks(b, key_of(b, TABLE_ROWS, "block"), bytes_str("v"), &block, 1);
		batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 1);
		batch_append(b, key_of(b, TABLE_FEED, ""), bytes_str("f"));
		assert_int_equal(test_commit(s, b), RFS_OK);
		assert_int_equal(b->serial, round);
		close_drivers(s);
		assert_int_equal(open_drivers(s), 0);
		assert_int_equal(test_counter(s, BUCKET, "n"), round);
		row = test_get(s, BUCKET, TABLE_ROWS, "block");
		assert_int_equal(row.serial, round);
		assert_block(s, 900, row.value.data + 1, 20000, 9);
		assert_int_equal(test_commit(s, b), RFS_OK); /* the id is remembered */
		assert_int_equal(b->serial, round);
	}
	slice_unref(&payload);
	batch_free(b);
}

static void
a_faulty_call_fails_by_its_number_and_is_not_passed_on(void **state)
{
	struct store *s = *state;
	struct fault_rules rules = {0};
	struct store outer = *s;
	struct batch *b = batch_new(BUCKET);

	if (strcmp(kind, "fault") != 0) {
		batch_free(b);
		skip();
	}
	rules.op[FAULT_COMMIT].fail_at = 2;
	rules.op[FAULT_COMMIT].error = RFS_ERR_NO_SPACE;
	fault_open(s->drivers, &rules, &outer.drivers);
	test_put(&outer, BUCKET, "a", "1");
	batch_put(b, key_of(b, TABLE_ROWS, "b"), bytes_str("x"));
	assert_int_equal(test_commit(&outer, b), RFS_ERR_NO_SPACE);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "b").found);
	assert_int_equal(test_commit(&outer, b), RFS_OK);
	batch_free(b);
	s->drivers = outer.drivers;
	rules = (struct fault_rules){0};
	s->drivers.metadata->ops->close(s->drivers.metadata);
	assert_int_equal(open_drivers(s), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_repeated_batch_gives_the_first_result),
		TEST(a_batch_beyond_the_limits_does_nothing),
		TEST(a_key_of_another_bucket_is_refused),
		TEST(a_key_of_table_0_is_refused),
		TEST(a_commit_that_may_not_wait_ends_as_any_other),
		TEST(everything_is_there_after_closing_and_opening),
		TEST(a_faulty_call_fails_by_its_number_and_is_not_passed_on),
	};

	return cmocka_run_group_tests_name(contract_begin(argc, argv), tests, NULL, NULL);
}
