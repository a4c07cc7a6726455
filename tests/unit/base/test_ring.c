/* test_ring.c: the newest records are there, in order, and what is not is told. */
#include "base/ring.h"
#include "base/arena.h"
#include "unit.h"
#include <stdio.h>

#define BEFORE 1000

static void
put(struct ring *r, unsigned number)
{
	char text[16];
	struct bytes parts[2] = {bytes_str("record "), {0}};

	snprintf(text, sizeof(text), "%u", number);
	parts[1] = bytes_str(text);
	ring_put(r, parts, 2);
}

/* Reads, and sees that the records are those from `first` on; their count. */
static unsigned
expect(struct ring *r, uint64_t after, size_t bytes, unsigned first, struct ring_page *page)
{
	struct bytes all, record;
	unsigned count = 0;
	char text[32];
	struct buf out;

	buf_init(&out, NULL);
	ring_read(r, after, bytes, &out, page);
	all = buf_bytes(&out);
	for (; ring_next(&all, &record); count++) {
		snprintf(text, sizeof(text), "record %u", first + count);
		assert_true(bytes_equal_str(record, text));
	}
	assert_int_equal(count, page->count);
	buf_fini(&out);
	return count;
}

static void
test_records_are_read_in_order(void **state)
{
	struct ring *r = ring_new(1000, BEFORE);
	struct ring_page page;

	assert_int_equal(expect(r, BEFORE, 1000, 0, &page), 0);
	assert_int_equal(page.next, BEFORE);
	for (unsigned i = 1; i <= 3; i++)
		put(r, i);
	assert_int_equal(expect(r, BEFORE, 1000, 1, &page), 3);
	assert_true(page.next == BEFORE + 3 && !page.lost && !page.strange);
	assert_int_equal(expect(r, BEFORE + 1, 1, 2, &page), 1);
	assert_int_equal(page.next, BEFORE + 2);
	assert_int_equal(expect(r, page.next, 1000, 3, &page), 1);
	assert_int_equal(ring_before(r, 2), BEFORE + 1);
	assert_int_equal(ring_before(r, 20), BEFORE);
	ring_free(r);
}

static void
test_what_is_gone_is_counted(void **state)
{
	struct ring *r = ring_new(101, BEFORE); /* around the end at every byte */
	struct ring_page page;

	for (unsigned i = 1; i <= 500; i++) {
		uint64_t first;

		put(r, i);
		first = ring_before(r, 100) + 1 - BEFORE;
		expect(r, BEFORE + first / 2, 1000, (unsigned)first, &page);
		assert_int_equal(page.count, i + 1 - first);
		assert_int_equal(page.lost, first - 1 - first / 2);
		assert_true(i < 8 || (page.count >= 6 && page.count <= 9));
	}
	assert_int_equal(page.next, BEFORE + 500);
	ring_free(r);
}

static void
test_another_ring_is_strange(void **state)
{
	struct ring *r = ring_new(1000, BEFORE);
	struct ring_page page;

	put(r, 1);
	assert_int_equal(expect(r, BEFORE - 1, 1000, 1, &page), 1);
	assert_true(page.strange);
	assert_int_equal(expect(r, BEFORE + 2, 1000, 1, &page), 1);
	assert_true(page.strange && page.next == BEFORE + 1);
	ring_free(r);
}

static void
test_a_long_record_is_cut(void **state)
{
	struct ring *r = ring_new(400, BEFORE);
	struct bytes all, record, parts[2] = {bytes_str("abc"), bytes_of(xcalloc(1, 1000), 1000)};
	struct ring_page page;
	struct buf out;

	ring_put(r, parts, 2);
	buf_init(&out, NULL);
	ring_read(r, BEFORE, 1000, &out, &page);
	all = buf_bytes(&out);
	assert_true(ring_next(&all, &record));
	assert_int_equal(record.len, 100);
	assert_false(ring_next(&all, &record));
	buf_fini(&out);
	free((void *)parts[1].data);
	ring_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_are_read_in_order),
		cmocka_unit_test(test_what_is_gone_is_counted),
		cmocka_unit_test(test_another_ring_is_strange),
		cmocka_unit_test(test_a_long_record_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
