/*
 * test_drivers.c: what driver.h and batch.h promise, for every driver: run with "embedded", "mem" or "fault" (no rules,
 * over mem).
 */
#include "driver_help.h"

#define BUCKET 7
#define THREADS 8

static const char *kind;

static int
open_drivers(struct store *s)
{
	struct store_drivers inner;
	char error[512];

	if (strcmp(kind, "embedded") == 0)
		return embedded_open(&s->config, &s->drivers, error);
	if (strcmp(kind, "mem") == 0)
		return mem_open(&s->config, &s->drivers, error);
	if (mem_open(&s->config, &inner, error))
		return -1;
	fault_open(inner, NULL, &s->drivers);
	return 0;
}

static void
close_drivers(struct store *s)
{
	s->drivers.storage->ops->close(s->drivers.storage);
	s->drivers.metadata->ops->close(s->drivers.metadata);
}

static int
setup(void **state)
{
	struct store *s = calloc(1, sizeof(*s));

	store_init(s, "1M");
	*state = s;
	return open_drivers(s);
}

static int
teardown(void **state)
{
	struct store *s = *state;

	close_drivers(s);
	store_fini(s);
	free(s);
	return 0;
}

static struct bytes
key_of(struct batch *b, uint8_t table, const char *rest)
{
	return test_key(b->arena, b->bucket, table, rest);
}

static void
assert_value(struct row row, const char *value)
{
	assert_true(row.found);
	assert_int_equal(row.value.len, strlen(value));
	assert_memory_equal(row.value.data, value, strlen(value));
}

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
	assert_int_equal(test_commit(s, b), RFS_OK);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "a").found);
	assert_value(test_get(s, BUCKET, TABLE_ROWS, "b"), "2");
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

/* Bytes that differ from place to place. */
static struct slice
pattern(size_t len, unsigned seed)
{
	struct slice s = slice_new(len);

	for (size_t i = 0; i < len; i++)
		slice_writable(&s)[i] = (uint8_t)(i * 31 + seed + (i >> 9));
	return s;
}

static void
payload_beyond_the_limits_does_nothing(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct slice payload = slice_new(BATCH_MAX_BLOCK_BYTES + 1);
	struct batch_block blocks[9];

	memset(slice_writable(&payload), 'p', payload.len);
	blocks[0] = (struct batch_block){.number = 1, .parts = &payload, .part_count = 1, .len = payload.len};
	batch_blocks(b, key_of(b, TABLE_ROWS, "a"), bytes_str("v"), blocks, 1);
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	batch_reset(b);
	payload.len = BATCH_MAX_BLOCK_BYTES;
	for (unsigned i = 0; i < 9; i++)
		blocks[i] =
			(struct batch_block){.number = 1 + i, .parts = &payload, .part_count = 1, .len = payload.len};
	batch_blocks(b, key_of(b, TABLE_ROWS, "a"), bytes_str("v"), blocks, 9);
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "a").found);
	batch_reset(b);
	batch_blocks(b, key_of(b, TABLE_ROWS, "a"), bytes_str("v"), blocks, 8);
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
	slice_unref(&payload);
}

static void
assert_block(struct store *s, uint64_t number, const uint8_t *location, size_t len, unsigned seed)
{
	struct storage_driver *d = s->drivers.storage;
	struct slice whole, part, expected = pattern(len, seed);
	struct block_location at;

	memcpy(at.bytes, location, sizeof(at.bytes));
	assert_int_equal(d->ops->get(d, &s->rq, number, &at, 0, len, &whole), RFS_OK);
	assert_int_equal(whole.len, len);
	assert_memory_equal(whole.data, expected.data, len);
	if (len > 10) {
		assert_int_equal(d->ops->get(d, &s->rq, number, &at, 5, len - 9, &part), RFS_OK);
		assert_memory_equal(part.data, expected.data + 5, len - 9);
		slice_unref(&part);
	}
	slice_unref(&whole);
	slice_unref(&expected);
}

static void
payload_that_went_with_a_commit_is_read_back(void **state)
{
	static const size_t sizes[] = {1, 8, 4096, 32769, 300001};
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct batch_block blocks[5] = {0};
	struct slice parts[5][2];
	struct row row;

	for (unsigned i = 0; i < 5; i++) {
		struct slice whole = pattern(sizes[i], i);

		parts[i][0] = slice_part(whole, 0, sizes[i] / 3);
		parts[i][1] = slice_part(whole, sizes[i] / 3, sizes[i] - sizes[i] / 3);
		blocks[i] =
			(struct batch_block){.number = 100 + i, .parts = parts[i], .part_count = 2, .len = sizes[i]};
		slice_unref(&whole);
	}
	batch_blocks(b, key_of(b, TABLE_ROWS, "one"), bytes_str("v"), blocks, 4);
	batch_put(b, key_of(b, TABLE_ROWS, "x"), bytes_str("y"));
	batch_blocks(b, key_of(b, TABLE_ROWS, "two"), bytes_str("w"), blocks + 4, 1);
	for (unsigned i = 0; i < 5; i++) {
		slice_unref(&parts[i][0]);
		slice_unref(&parts[i][1]);
	}
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
	row = test_get(s, BUCKET, TABLE_ROWS, "one");
	assert_int_equal(row.value.len, 1 + 4 * BLOCK_LOCATION_BYTES);
	for (unsigned i = 0; i < 4; i++)
		assert_block(s, 100 + i, row.value.data + 1 + i * BLOCK_LOCATION_BYTES, sizes[i], i);
	row = test_get(s, BUCKET, TABLE_ROWS, "two");
	assert_int_equal(row.value.len, 1 + BLOCK_LOCATION_BYTES);
	assert_block(s, 104, row.value.data + 1, sizes[4], 4);
}

static void
stored_blocks_are_read_back_and_named_by_a_row(void **state)
{
	struct store *s = *state;
	struct storage_driver *d = s->drivers.storage;
	struct block_ticket tickets[6];
	struct batch *b = batch_new(BUCKET);
	struct batch_block block;
	struct row row;

	for (unsigned i = 0; i < 6; i++) { /* more than one volume of the embedded driver */
		struct slice payload = pattern(300000 + i, i);
		struct slice parts[2] = {slice_part(payload, 0, 77), slice_part(payload, 77, payload.len - 77)};

		assert_int_equal(d->ops->put(d, &s->rq, BUCKET, 500 + i, parts, 2, &tickets[i]), RFS_OK);
		assert_int_equal(tickets[i].number, 500 + i);
		slice_unref(&parts[0]);
		slice_unref(&parts[1]);
		slice_unref(&payload);
	}
	assert_int_equal(d->ops->wait(d, &s->rq, tickets, 6), RFS_OK);
	for (unsigned i = 0; i < 6; i++)
		assert_block(s, 500 + i, tickets[i].location.bytes, 300000 + i, i);
	block = (struct batch_block){.number = 502, .stored = true, .location = tickets[2].location, .len = 300002};
	batch_blocks(b, key_of(b, TABLE_ROWS, "stored"), bytes_str("vv"), &block, 1);
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
	row = test_get(s, BUCKET, TABLE_ROWS, "stored");
	assert_int_equal(row.value.len, 2 + BLOCK_LOCATION_BYTES);
	assert_block(s, 502, row.value.data + 2, 300002, 2);
	assert_int_equal(d->ops->remove(d, &s->rq, 502, &tickets[2].location), RFS_OK);
}

/* ---- concurrency ---- */

struct worker {
	struct store *store;
	pthread_t thread;
	unsigned index, count;
	unsigned passed, refused;
};

static void
run_workers(struct store *s, void *(*main)(void *), unsigned count, struct worker *workers)
{
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.store = s, .index = i, .count = count};
		pthread_create(&workers[i].thread, NULL, main, &workers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void *
take_seats(void *arg)
{
	struct worker *w = arg;
	struct batch *b = batch_new(BUCKET);

	for (unsigned i = 0; i < w->count; i++) {
		batch_reset(b);
		batch_add(b, key_of(b, TABLE_COUNTERS, "seats"), 1);
		batch_append(b, key_of(b, TABLE_FEED, ""), bytes_str("seat"));
		batch_expect(b, key_of(b, TABLE_COUNTERS, "seats"), 0, 100);
		if (test_commit(w->store, b) == RFS_OK)
			w->passed++;
		else if (b->error == RFS_ERR_CONFLICT && b->failed_op == 2)
			w->refused++;
	}
	batch_free(b);
	return NULL;
}

static void
exactly_as_many_as_expected_get_through(void **state)
{
	struct store *s = *state;
	struct worker workers[THREADS];
	unsigned passed = 0, refused = 0;
	struct row_page page;

	run_workers(s, take_seats, 40, workers);
	for (unsigned i = 0; i < THREADS; i++) {
		passed += workers[i].passed;
		refused += workers[i].refused;
	}
	assert_int_equal(passed, 100);
	assert_int_equal(refused, THREADS * 40 - 100);
	assert_int_equal(test_counter(s, BUCKET, "seats"), 100);
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_FEED, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_FEED + 1, ""), 1000, false, &page),
		RFS_OK);
	assert_int_equal(page.count, 100);
	for (size_t i = 0; i < page.count; i++) { /* no gaps: each names the one before it */
		assert_int_equal(load_be64(page.rows[i].key.data + 9), i + 1);
		assert_int_equal(load_u64(page.rows[i].value.data + 4), i);
	}
}

/* Reads a number, writes it plus one under a CHECK, and reads its own write. */
static void *
increment(void *arg)
{
	struct worker *w = arg;
	struct store *s = w->store;
	struct request rq = {.arena = arena_new(4096), .may_block = true};
	struct batch *b = batch_new(BUCKET);
	struct row row;
	uint8_t number[8];

	while (w->passed < w->count) {
		arena_reset(rq.arena);
		batch_reset(b);
		if (s->drivers.metadata->ops->get(s->drivers.metadata, &rq, key_of(b, TABLE_ROWS, "n"), &row))
			break;
		store_u64(number, (row.found ? load_u64(row.value.data) : 0) + 1);
		batch_check(b, key_of(b, TABLE_ROWS, "n"), row.serial);
		batch_put(b, key_of(b, TABLE_ROWS, "n"), bytes_of(number, 8));
		if (test_commit(s, b)) {
			w->refused++;
			continue;
		}
		w->passed++;
		if (s->drivers.metadata->ops->get(s->drivers.metadata, &rq, key_of(b, TABLE_ROWS, "n"), &row) ||
			!row.found || row.serial < b->serial || load_u64(row.value.data) < load_u64(number))
			break;
	}
	batch_free(b);
	arena_free(rq.arena);
	return NULL;
}

static void
checked_increments_lose_nothing(void **state)
{
	struct store *s = *state;
	struct worker workers[THREADS];
	struct row row;

	run_workers(s, increment, 30, workers);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(workers[i].passed, 30);
	row = test_get(s, BUCKET, TABLE_ROWS, "n");
	assert_int_equal(load_u64(row.value.data), THREADS * 30);
	assert_int_equal(row.serial, THREADS * 30);
}

/* Batches over overlapping keys in different orders, shared and exclusive: none waits for ever. */
static void *
overlap(void *arg)
{
	struct worker *w = arg;
	struct batch *b = batch_new(BUCKET);
	char name[8];

	for (unsigned i = 0; i < w->count; i++) {
		batch_reset(b);
		batch_check(b, key_of(b, TABLE_ROWS, "shared"), 0);
		for (unsigned k = 0; k < 6; k++) {
			snprintf(name, sizeof(name), "%u", (w->index * 7 + i * 3 + k * 5) % 11);
			batch_put(b, key_of(b, TABLE_ROWS, name), bytes_str(name));
		}
		batch_add(b, key_of(b, TABLE_COUNTERS, "all"), 1);
		if (test_commit(w->store, b) == RFS_OK)
			w->passed++;
	}
	batch_free(b);
	return NULL;
}

static void
overlapping_batches_all_finish(void **state)
{
	struct store *s = *state;
	struct worker workers[THREADS];

	run_workers(s, overlap, 50, workers);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(workers[i].passed, 50);
	assert_int_equal(test_counter(s, BUCKET, "all"), THREADS * 50);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_read_with_its_serial),
		TEST(buckets_have_serials_of_their_own),
		TEST(a_check_fails_unless_the_serial_is_the_rows),
		TEST(a_checked_change_fails_unless_the_serial_is_the_rows),
		TEST(a_deleted_row_is_gone_and_need_not_have_been),
		TEST(operations_take_effect_in_their_order),
		TEST(a_range_is_deleted_from_its_start_to_before_its_end),
		TEST(slots_hold_the_serial_or_its_complement),
		TEST(feed_rows_carry_the_previous_feed_serial),
		TEST(counters_add_and_vanish_at_zero),
		TEST(the_larger_of_a_max_stays),
		TEST(an_expect_sees_this_batchs_adds_and_undoes_them),
		TEST(a_repeated_batch_gives_the_first_result),
		TEST(a_batch_beyond_the_limits_does_nothing),
		TEST(a_key_of_another_bucket_is_refused),
		TEST(payload_beyond_the_limits_does_nothing),
		TEST(a_scan_is_ordered_bounded_and_paged),
		TEST(a_scan_shows_counters_and_multi_get_keeps_its_order),
		TEST(payload_that_went_with_a_commit_is_read_back),
		TEST(stored_blocks_are_read_back_and_named_by_a_row),
		TEST(exactly_as_many_as_expected_get_through),
		TEST(checked_increments_lose_nothing),
		TEST(overlapping_batches_all_finish),
		TEST(a_read_that_may_not_block_answers_or_says_so),
		TEST(a_commit_that_may_not_wait_ends_as_any_other),
		TEST(everything_is_there_after_closing_and_opening),
		TEST(a_faulty_call_fails_by_its_number_and_is_not_passed_on),
	};

	kind = argc > 1 ? argv[1] : "embedded";
	log_init(LOG_ERROR, LOG_TEXT, 2);
	return cmocka_run_group_tests_name(kind, tests, NULL, NULL);
}
