/* test_bench_histogram.c: shares of what was counted, to the width of a bucket. */
#include "bench_histogram.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static int
setup(void **state)
{
	*state = calloc(2, sizeof(struct histogram));
	return 0;
}

static int
teardown(void **state)
{
	free(*state);
	return 0;
}

/* Not below the value, and not more than a bucket above it. */
static void
assert_near(uint64_t found, uint64_t value)
{
	assert_in_range(found, value, value + value / HISTOGRAM_STEPS + 1);
}

static void
every_value_is_found_again(void **state)
{
	for (uint64_t value = 0; value < UINT64_C(1) << 62; value = value < 100 ? value + 1 : value + value / 7) {
		struct histogram *h = *state;

		*h = (struct histogram){0};
		histogram_add(h, value);
		histogram_add(h, UINT64_MAX >> 2);
		assert_near(histogram_at(h, 0.5), value);
	}
}

static void
shares_are_of_all(void **state)
{
	struct histogram *h = *state;

	assert_int_equal(histogram_at(h, 0.99), 0);
	for (uint64_t value = 1; value <= 100000; value++)
		histogram_add(h, value);
	assert_near(histogram_at(h, 0.5), 50000);
	assert_near(histogram_at(h, 0.9), 90000);
	assert_near(histogram_at(h, 0.99), 99000);
	assert_int_equal(histogram_at(h, 1), 100000);
	assert_int_equal(histogram_at(h, 0), 1);
	assert_int_equal(h->sum, UINT64_C(100000) * 100001 / 2);
}

static void
two_are_added_up(void **state)
{
	struct histogram *h = *state;

	for (int i = 0; i < 99; i++)
		histogram_add(&h[0], 10);
	histogram_add(&h[1], 5000);
	histogram_merge(&h[0], &h[1]);
	assert_int_equal(h->count, 100);
	assert_int_equal(histogram_at(h, 0.99), 10);
	assert_int_equal(histogram_at(h, 0.999), 5000);
	assert_int_equal(h->max, 5000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_value_is_found_again, setup, teardown),
		cmocka_unit_test_setup_teardown(shares_are_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(two_are_added_up, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
