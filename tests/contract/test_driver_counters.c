/* test_driver_counters.c: counters and the feed; see contract.h. */
#include "contract.h"

static void
feed_rows_carry_the_previous_feed_serial(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct row_page page;
	uint64_t first, second;

	batch_append(b, key_of(b, TABLE_FEED, ""), bytes_str("one"));
	assert_int_equal(test_commit(s, b), RFS_OK);
	first = b->serial;
	test_put(s, BUCKET, "between", "x");
	batch_reset(b);
	batch_append(b, key_of(b, TABLE_FEED, ""), bytes_str("two"));
	assert_int_equal(test_commit(s, b), RFS_OK);
	second = b->serial;
	assert_int_equal(second, first + 2);
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_FEED, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_FEED + 1, ""), 10, false, &page),
		RFS_OK);
	assert_int_equal(page.count, 2);
	assert_int_equal(load_be64(page.rows[0].key.data + 9), first);
	assert_int_equal(page.rows[0].value.len, 3 + 8);
	assert_int_equal(load_u64(page.rows[0].value.data + 3), 0);
	assert_int_equal(load_be64(page.rows[1].key.data + 9), second);
	assert_memory_equal(page.rows[1].value.data, "two", 3);
	assert_int_equal(load_u64(page.rows[1].value.data + 3), first);
	assert_int_equal(page.rows[1].serial, second);
	batch_free(b);
}

static void
counters_add_and_vanish_at_zero(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);

	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 5);
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), -2);
	batch_add(b, key_of(b, TABLE_COUNTERS, "m"), -7);
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_int_equal(test_counter(s, BUCKET, "n"), 3);
	assert_int_equal(test_counter(s, BUCKET, "m"), -7);
	batch_reset(b);
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), -3);
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_false(test_get(s, BUCKET, TABLE_COUNTERS, "n").found);
	batch_reset(b);
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 1);
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_int_equal(test_counter(s, BUCKET, "n"), 1);
	batch_free(b);
}

static void
the_larger_of_a_max_stays(void **state)
{
	static const uint64_t values[] = {10, 7, UINT64_MAX - 1, 12};
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);

	for (size_t i = 0; i < 4; i++) {
		batch_reset(b);
		batch_max(b, key_of(b, TABLE_COUNTERS, "t"), values[i]);
		assert_int_equal(test_commit(s, b), RFS_OK);
		assert_true((uint64_t)test_counter(s, BUCKET, "t") == (i < 2 ? 10 : UINT64_MAX - 1));
	}
	batch_free(b);
}

static void
an_expect_sees_this_batchs_adds_and_undoes_them(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	uint64_t serial;

	batch_expect(b, key_of(b, TABLE_COUNTERS, "n"), 3, 3); /* before its ADD in the list, after it in effect */
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 3);
	assert_int_equal(test_commit(s, b), RFS_OK);
	serial = b->serial;

	batch_reset(b);
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 1);
	batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("x"));
	batch_expect(b, key_of(b, TABLE_COUNTERS, "n"), 0, 3);
	assert_int_equal(test_commit(s, b), RFS_ERR_CONFLICT);
	assert_int_equal(b->failed_op, 2);
	assert_int_equal(test_counter(s, BUCKET, "n"), 3);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "a").found);

	batch_reset(b);
	batch_expect(b, key_of(b, TABLE_COUNTERS, "none"), 0, 0);
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), -3);
	batch_expect(b, key_of(b, TABLE_COUNTERS, "n"), 0, 0);
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_int_equal(b->serial, serial + 1); /* the failure took none */
	assert_false(test_get(s, BUCKET, TABLE_COUNTERS, "n").found);
	batch_free(b);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(feed_rows_carry_the_previous_feed_serial),
		TEST(counters_add_and_vanish_at_zero),
		TEST(the_larger_of_a_max_stays),
		TEST(an_expect_sees_this_batchs_adds_and_undoes_them),
	};

	return cmocka_run_group_tests_name(contract_begin(argc, argv), tests, NULL, NULL);
}
