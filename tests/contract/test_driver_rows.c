/* test_driver_rows.c: rows: reading, CHECKs, the order of changes, ranges, slots, scans; see contract.h. */
#include "contract.h"

static void
what_was_put_is_read_with_its_serial(void **state)
{
	struct store *s = *state;

	assert_false(test_get(s, BUCKET, TABLE_ROWS, "a").found);
	assert_int_equal(test_put(s, BUCKET, "a", "one"), 1);
	assert_int_equal(test_put(s, BUCKET, "b", ""), 2);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "a"), "one");
	assert_int_equal(test_get(s, BUCKET, TABLE_ROWS, "a").serial, 1);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "b"), "");
	assert_int_equal(test_put(s, BUCKET, "a", "two"), 3);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "a"), "two");
	assert_int_equal(test_get(s, BUCKET, TABLE_ROWS, "a").serial, 3);
}

static void
buckets_have_serials_of_their_own(void **state)
{
	struct store *s = *state;

	assert_int_equal(test_put(s, 1, "a", "x"), 1);
	assert_int_equal(test_put(s, 2, "a", "x"), 1);
	assert_int_equal(test_put(s, 0, "a", "x"), 1);
	assert_int_equal(test_put(s, 1, "a", "x"), 2);
}

static void
a_check_fails_unless_the_serial_is_the_rows(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	uint64_t serial = test_put(s, BUCKET, "a", "one");

	batch_put(b, key_of(b, TABLE_ROWS, "b"), bytes_str("x"));
	batch_check(b, key_of(b, TABLE_ROWS, "a"), serial + 1);
	assert_int_equal(test_commit(s, b), RFS_ERR_CONFLICT);
	assert_int_equal(b->failed_op, 1);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "b").found);

	batch_reset(b);
	batch_check(b, key_of(b, TABLE_ROWS, "a"), 0);
	assert_int_equal(test_commit(s, b), RFS_ERR_CONFLICT);
	assert_int_equal(b->failed_op, 0);

	batch_reset(b);
	batch_check(b, key_of(b, TABLE_ROWS, "none"), 4);
	assert_int_equal(test_commit(s, b), RFS_ERR_CONFLICT);

	batch_reset(b);
	batch_check(b, key_of(b, TABLE_ROWS, "a"), serial);
	batch_check(b, key_of(b, TABLE_ROWS, "b"), 0);
	batch_put(b, key_of(b, TABLE_ROWS, "b"), bytes_str("x"));
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_int_equal(b->serial, serial + 1); /* failures take no serial */
	batch_free(b);
}

static void
a_checked_change_fails_unless_the_serial_is_the_rows(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	uint64_t serial = test_put(s, BUCKET, "a", "one");

	batch_put(b, key_of(b, TABLE_ROWS, "b"), bytes_str("x"));
	batch_checked(batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("two")), 0);
	assert_int_equal(test_commit(s, b), RFS_ERR_CONFLICT);
	assert_int_equal(b->failed_op, 1);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "b").found);

	batch_reset(b);
	batch_checked(batch_delete(b, key_of(b, TABLE_ROWS, "a")), serial + 1);
	assert_int_equal(test_commit(s, b), RFS_ERR_CONFLICT);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "a"), "one");

	batch_reset(b);
	batch_checked(batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("two")), serial);
	batch_checked(batch_put(b, key_of(b, TABLE_ROWS, "new"), bytes_str("x")), 0);
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "a"), "two");
	batch_free(b);
}

static void
a_deleted_row_is_gone_and_need_not_have_been(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);

	test_put(s, BUCKET, "a", "one");
	batch_delete(b, key_of(b, TABLE_ROWS, "a"));
	batch_delete(b, key_of(b, TABLE_ROWS, "never"));
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "a").found);
	batch_reset(b);
	batch_check(b, key_of(b, TABLE_ROWS, "a"), 0);
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
}

static void
operations_take_effect_in_their_order(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);

	batch_put(b, key_of(b, TABLE_ROWS, "a"), bytes_str("1"));
	batch_put(b, key_of(b, TABLE_ROWS, "b"), bytes_str("1"));
	batch_delete_range(b, key_of(b, TABLE_ROWS, "a"), key_of(b, TABLE_ROWS, "c"));
	batch_put(b, key_of(b, TABLE_ROWS, "b"), bytes_str("2"));
	batch_put(b, key_of(b, TABLE_ROWS, "x"), bytes_str("1"));
	batch_delete(b, key_of(b, TABLE_ROWS, "y"));
	batch_put(b, key_of(b, TABLE_ROWS, "z"), bytes_str("1"));
	batch_delete(b, key_of(b, TABLE_ROWS, "x"));
	batch_put(b, key_of(b, TABLE_ROWS, "y"), bytes_str("2"));
	batch_put(b, key_of(b, TABLE_ROWS, "z"), bytes_str("2"));
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "a").found);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "b"), "2");
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "x").found);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "y"), "2");
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "z"), "2");
	batch_free(b);
}

static void
a_range_is_deleted_from_its_start_to_before_its_end(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);

	test_put(s, BUCKET, "a", "1");
	test_put(s, BUCKET, "b", "1");
	test_put(s, BUCKET, "c", "1");
	test_put(s, BUCKET, "d", "1");
	batch_delete_range(b, key_of(b, TABLE_ROWS, "b"), key_of(b, TABLE_ROWS, "d"));
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_true(test_get(s, BUCKET, TABLE_ROWS, "a").found);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "b").found);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "c").found);
	assert_true(test_get(s, BUCKET, TABLE_ROWS, "d").found);
	batch_free(b);
}

static void
slots_hold_the_serial_or_its_complement(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct row_page page;
	uint64_t serial;

	batch_put(b, key_of(b, TABLE_ROWS, "s........"), bytes_str("x"))->slot = SLOT_SERIAL;
	batch_put(b, key_of(b, TABLE_ROWS, "t........"), bytes_str("y"))->slot = SLOT_INVERTED;
	assert_int_equal(test_commit(s, b), RFS_OK);
	serial = b->serial;
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_ROWS, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_ROWS + 1, ""), 10, false, &page),
		RFS_OK);
	assert_int_equal(page.count, 2);
	assert_int_equal(load_be64(page.rows[0].key.data + 10), serial);
	assert_int_equal(load_be64(page.rows[1].key.data + 10), ~serial);
	assert_value(page.rows[1], "y");
	batch_free(b);
}

static struct row
get(struct store *s, struct bytes key)
{
	struct row row;

	assert_int_equal(s->drivers.metadata->ops->get(s->drivers.metadata, &s->rq, key, &row), RFS_OK);
	return row;
}

/* Rows of all kinds that a driver may keep the absence of. */
static void
what_was_looked_for_is_found_once_it_is_made(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct batch_block block = {.number = 7, .stored = true};
	struct buf slotted;

	buf_init(&slotted, s->rq.arena);
	buf_put_bytes(&slotted, test_key(s->rq.arena, BUCKET, TABLE_FEED, "f"));
	buf_be64(&slotted, 1); /* the serial that it will have */
	for (int i = 0; i < 2; i++) {
		assert_false(get(s, buf_bytes(&slotted)).found);
		assert_false(test_get(s, BUCKET, TABLE_ROWS, "put").found);
		assert_false(test_get(s, BUCKET, TABLE_ROWS, "blocks").found);
		assert_int_equal(test_counter(s, BUCKET, "n"), 0);
	}
	batch_append(b, key_of(b, TABLE_FEED, "f"), bytes_str("change"));
	batch_put(b, key_of(b, TABLE_ROWS, "put"), bytes_str("one"));
	batch_blocks(b, key_of(b, TABLE_ROWS, "blocks"), bytes_str("v"), &block, 1);
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 5);
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_int_equal(b->serial, 1);
	batch_free(b);
	assert_true(get(s, buf_bytes(&slotted)).found);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "put"), "one");
	assert_true(test_get(s, BUCKET, TABLE_ROWS, "blocks").found);
	assert_int_equal(test_counter(s, BUCKET, "n"), 5);
}

/* ... and may keep. */
static void
what_was_read_is_read_as_it_became(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);

	test_put(s, BUCKET, "put", "one");
	test_put(s, BUCKET, "deleted", "one");
	test_put(s, BUCKET, "ranged", "one");
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 5);
	assert_int_equal(test_commit(s, b), RFS_OK);
	for (int i = 0; i < 2; i++) {
		assert_value(test_get(s, BUCKET, TABLE_ROWS, "put"), "one");
		assert_value(test_get(s, BUCKET, TABLE_ROWS, "deleted"), "one");
		assert_value(test_get(s, BUCKET, TABLE_ROWS, "ranged"), "one");
		assert_int_equal(test_counter(s, BUCKET, "n"), 5);
	}
	batch_reset(b);
	batch_put(b, key_of(b, TABLE_ROWS, "put"), bytes_str("two"));
	batch_delete(b, key_of(b, TABLE_ROWS, "deleted"));
	batch_delete_range(b, key_of(b, TABLE_ROWS, "r"), key_of(b, TABLE_ROWS, "s"));
	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), -5);
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "put"), "two");
	assert_int_equal(test_get(s, BUCKET, TABLE_ROWS, "put").serial, b->serial);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "deleted").found);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "ranged").found);
	assert_int_equal(test_counter(s, BUCKET, "n"), 0);
	batch_free(b);
}

static struct row_page
scan(struct store *s, const char *from, const char *to, size_t limit, bool reverse)
{
	struct row_page page;

	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_ROWS, from),
				 test_key(s->rq.arena, BUCKET, TABLE_ROWS, to), limit, reverse, &page),
		RFS_OK);
	return page;
}

static void
assert_page(struct row_page page, const char *names, bool more)
{
	assert_int_equal(page.count, strlen(names));
	assert_int_equal(page.more, more);
	for (size_t i = 0; i < page.count; i++) {
		assert_int_equal(page.rows[i].key.len, 10);
		assert_int_equal(page.rows[i].key.data[9], names[i]);
		assert_true(page.rows[i].found);
		assert_int_equal(page.rows[i].value.data[0], names[i]);
	}
}

static void
a_scan_is_ordered_bounded_and_paged(void **state)
{
	struct store *s = *state;

	test_put(s, BUCKET, "d", "d");
	test_put(s, BUCKET, "b", "b");
	test_put(s, BUCKET, "a", "a");
	test_put(s, BUCKET, "c", "c");
	test_put(s, BUCKET + 1, "a", "z");
	assert_page(scan(s, "a", "d", 100, false), "abc", false);
	assert_page(scan(s, "a", "d", 100, true), "cba", false);
	assert_page(scan(s, "a", "d", 3, false), "abc", false);
	assert_page(scan(s, "a", "d", 2, false), "ab", true);
	assert_page(scan(s, "a", "dd", 2, true), "dc", true);
	assert_page(scan(s, "aa", "c", 2, true), "b", false);
	assert_page(scan(s, "x", "z", 2, false), "", false);
	assert_page(scan(s, "d", "a", 2, false), "", false);
}

static void
a_scan_shows_counters_and_multi_get_keeps_its_order(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct row_page page;
	struct row rows[3];
	struct bytes keys[3] = {test_key(s->rq.arena, BUCKET, TABLE_ROWS, "b"),
		test_key(s->rq.arena, BUCKET, TABLE_ROWS, "none"), test_key(s->rq.arena, BUCKET, TABLE_ROWS, "a")};

	batch_add(b, key_of(b, TABLE_COUNTERS, "n"), 9);
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_COUNTERS, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_COUNTERS + 1, ""), 10, false, &page),
		RFS_OK);
	assert_int_equal(page.count, 1);
	assert_int_equal(load_u64(page.rows[0].value.data), 9);
	test_put(s, BUCKET, "a", "1");
	test_put(s, BUCKET, "b", "2");
	assert_int_equal(s->drivers.metadata->ops->multi_get(s->drivers.metadata, &s->rq, keys, 3, rows), RFS_OK);
	assert_value(rows[0], "2");
	assert_false(rows[1].found);
	assert_value(rows[2], "1");
}

static void
a_read_that_may_not_block_answers_or_says_so(void **state)
{
	struct store *s = *state;
	struct row row;
	enum rfs_err err;

	test_put(s, BUCKET, "a", "1");
	s->rq.may_block = false;
	err = s->drivers.metadata->ops->get(
		s->drivers.metadata, &s->rq, test_key(s->rq.arena, BUCKET, TABLE_ROWS, "a"), &row);
	s->rq.may_block = true;
	assert_true(err == RFS_ERR_WOULD_BLOCK || (err == RFS_OK && row.found));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_read_with_its_serial),
		TEST(buckets_have_serials_of_their_own),
		TEST(a_check_fails_unless_the_serial_is_the_rows),
		TEST(a_checked_change_fails_unless_the_serial_is_the_rows),
		TEST(a_deleted_row_is_gone_and_need_not_have_been),
		TEST(operations_take_effect_in_their_order),
		TEST(a_range_is_deleted_from_its_start_to_before_its_end),
		TEST(slots_hold_the_serial_or_its_complement),
		TEST(what_was_looked_for_is_found_once_it_is_made),
		TEST(what_was_read_is_read_as_it_became),
		TEST(a_scan_is_ordered_bounded_and_paged),
		TEST(a_scan_shows_counters_and_multi_get_keeps_its_order),
		TEST(a_read_that_may_not_block_answers_or_says_so),
	};

	return cmocka_run_group_tests_name(contract_begin(argc, argv), tests, NULL, NULL);
}
