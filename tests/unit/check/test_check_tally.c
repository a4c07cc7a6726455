/* Counting in rounds: whatever the limit, each key is counted whole, in exactly one round. */
#include "check/check_int.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#define KEYS 1000

/* Keys in no order, each as often as its remainder says. */
static void
count_all(struct tally *t)
{
	for (uint64_t i = 0; i < 7 * KEYS; i++) {
		uint64_t key = i * 7919 % KEYS;
		struct tally_item *item = i / KEYS <= key % 7 ? tally_at(t, (struct tally_key){key % 3, key}) : NULL;

		if (item)
			item->count++;
	}
}

static void
rounds_cover_everything_once(size_t most)
{
	bool seen[KEYS] = {false};
	struct tally t;
	size_t rounds = 0;

	tally_init(&t, most);
	do {
		count_all(&t);
		assert_true(t.count <= most);
		for (uint64_t key = 0; key < KEYS; key++) {
			struct tally_key k = {key % 3, key};
			struct tally_item *item = tally_find(&t, k);

			assert_int_equal(item != NULL, tally_covers(&t, k));
			if (!item)
				continue;
			assert_false(seen[key]);
			seen[key] = true;
			assert_int_equal(item->count, key % 7 + 1);
		}
		rounds++;
	} while (tally_next(&t));
	for (size_t key = 0; key < KEYS; key++)
		assert_true(seen[key]);
	assert_int_equal(rounds == 1, most >= KEYS);
	tally_fini(&t);
}

static void
each_key_is_counted_in_one_round(void **state)
{
	static const size_t limits[] = {2, 3, 10, 999, 1000, 100000};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		rounds_cover_everything_once(limits[i]);
}

static void
nothing_is_one_round(void **state)
{
	struct tally t;

	tally_init(&t, 2);
	assert_null(tally_find(&t, tally_number(1)));
	assert_true(tally_covers(&t, tally_number(1)));
	assert_false(tally_next(&t));
	tally_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_is_counted_in_one_round),
		cmocka_unit_test(nothing_is_one_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
