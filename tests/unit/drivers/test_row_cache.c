/* test_row_cache.c: what is given is what the index has, whatever changes meanwhile; and memory is bounded. */
#include "driver_help.h"
#include "drivers/embedded/row_cache.h"
#include <stdatomic.h>

#define BUCKET 5
#define CACHE_BYTES ((size_t)4 * 1024 * 1024)
#define KEYS 64
#define ROUNDS 20000
#define READERS 3

static struct arena *arena;

static int
setup(void **state)
{
	arena = arena_new(4096);
	*state = row_cache_new(CACHE_BYTES);
	return 0;
}

static int
teardown(void **state)
{
	row_cache_free(*state);
	arena_free(arena);
	return 0;
}

static struct bytes
row_key(const char *rest)
{
	return test_key(arena, BUCKET, TABLE_ROWS, rest);
}

static struct row
row_of(const char *value, uint64_t serial)
{
	return (struct row){.value = bytes_str(value), .serial = serial, .found = true};
}

/* A miss, which what the index has is put in after. */
static void
fill(struct row_cache *c, struct bytes key, struct row row)
{
	struct row_cache_place place;
	struct row none;

	assert_false(row_cache_get(c, arena, key, &none, &place));
	row_cache_put(c, key, &row, &place);
}

static bool
is_there(struct row_cache *c, struct bytes key)
{
	struct row_cache_place place;
	struct row row;

	return row_cache_get(c, arena, key, &row, &place);
}

static void
what_was_put_in_is_given(void **state)
{
	struct row_cache_place place;
	struct row row;

	fill(*state, row_key("a"), row_of("one", 3));
	fill(*state, row_key("none"), (struct row){0});
	assert_true(row_cache_get(*state, arena, row_key("a"), &row, &place));
	assert_true(row.found && bytes_equal_str(row.value, "one"));
	assert_int_equal(row.serial, 3);
	assert_true(row_cache_get(*state, NULL, row_key("a"), &row, &place));
	assert_int_equal(row.serial, 3);
	assert_true(row_cache_get(*state, arena, row_key("none"), &row, &place));
	assert_false(row.found);
	assert_int_equal(row.serial, 0);
	assert_false(is_there(*state, row_key("b")));
}

static void
of_what_changes_nothing_is_given_or_put_in_until_it_has(void **state)
{
	fill(*state, row_key("a"), row_of("one", 1));
	row_cache_change(*state, row_key("a"));
	assert_false(is_there(*state, row_key("a")));
	fill(*state, row_key("a"), row_of("one", 1));
	assert_false(is_there(*state, row_key("a")));
	row_cache_changed(*state);
	assert_false(is_there(*state, row_key("a")));
	fill(*state, row_key("a"), row_of("two", 2));
	assert_true(is_there(*state, row_key("a")));
}

static void
what_was_read_before_a_change_is_not_put_in_after_it(void **state)
{
	struct row old = row_of("one", 1), row;
	struct row_cache_place place;

	assert_false(row_cache_get(*state, arena, row_key("a"), &row, &place));
	row_cache_change(*state, row_key("a"));
	row_cache_changed(*state);
	row_cache_put(*state, row_key("a"), &old, &place);
	assert_false(is_there(*state, row_key("a")));
	/* Nor what was looked for during it. */
	row_cache_change(*state, row_key("a"));
	assert_false(row_cache_get(*state, arena, row_key("a"), &row, &place));
	row_cache_changed(*state);
	row_cache_put(*state, row_key("a"), &old, &place);
	assert_false(is_there(*state, row_key("a")));
}

static void
a_range_changes_what_is_in_it(void **state)
{
	struct row_cache_place before;
	struct row row, old = row_of("x", 1);

	fill(*state, row_key("a"), old);
	fill(*state, row_key("b"), old);
	fill(*state, row_key("bb"), old);
	fill(*state, row_key("c"), old);
	assert_false(row_cache_get(*state, arena, row_key("ba"), &row, &before));
	row_cache_change_range(*state, row_key("b"), row_key("c"));
	row_cache_changed(*state);
	row_cache_put(*state, row_key("ba"), &old, &before);
	assert_true(is_there(*state, row_key("a")));
	assert_false(is_there(*state, row_key("b")));
	assert_false(is_there(*state, row_key("ba")));
	assert_false(is_there(*state, row_key("bb")));
	assert_true(is_there(*state, row_key("c")));
}

/* Also where a stripe holds little. */
static void
memory_is_bounded_and_what_is_used_stays(void **state)
{
	size_t rows, bytes, kept = 0;
	char name[32], value[200];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = 0;
	fill(*state, row_key("used"), row_of(value, 1));
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		fill(*state, row_key(name), row_of(value, 1));
		kept += is_there(*state, row_key("used"));
		if (i % 1000 == 0)
			arena_reset(arena);
	}
	assert_int_equal(kept, 100000);
	row_cache_count(*state, &rows, &bytes);
	assert_in_range(bytes, CACHE_BYTES / 2, CACHE_BYTES);
	assert_in_range(rows, 1, CACHE_BYTES / 200);
}

static void
large_rows_and_the_drivers_own_are_not_kept(void **state)
{
	struct bytes own = test_key(arena, BUCKET, 0, "");
	struct row large = {.value = bytes_of(arena_zalloc(arena, 1 << 20), 1 << 20), .serial = 1, .found = true};

	fill(*state, row_key("large"), large);
	assert_false(is_there(*state, row_key("large")));
	own = bytes_of(memcpy(arena_zalloc(arena, 10), own.data, 8), 10); /* its table is 0 */
	fill(*state, own, row_of("own", 1));
	assert_false(is_there(*state, own));
}

static void
none_and_an_empty_one_keep_nothing(void **state)
{
	struct row_cache *empty = row_cache_new(0);

	fill(empty, row_key("a"), row_of("one", 1));
	assert_false(is_there(empty, row_key("a")));
	row_cache_change(empty, row_key("a"));
	row_cache_changed(empty);
	row_cache_free(empty);
	fill(NULL, row_key("a"), row_of("one", 1));
	row_cache_change(NULL, row_key("a"));
	row_cache_change_range(NULL, row_key("a"), row_key("b"));
	row_cache_changed(NULL);
	row_cache_free(NULL);
}

/* The index, as far as it matters: a number for each key, which only grows. */
struct world {
	struct row_cache *cache;
	_Atomic uint64_t numbers[KEYS];
	_Atomic uint64_t told[KEYS]; /* what somebody was told, or has read */
	atomic_bool ended;
};

static struct bytes
number_key(unsigned k, uint8_t out[10])
{
	store_be64(out, BUCKET);
	out[8] = TABLE_ROWS;
	out[9] = (uint8_t)k;
	return bytes_of(out, 10);
}

static void *
reader(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; !atomic_load(&w->ended); i++) {
		uint8_t memory[10];
		unsigned k = i % KEYS;
		struct bytes key = number_key(k, memory);
		uint64_t told = atomic_load(&w->told[k]);
		struct row_cache_place place;
		struct row row;

		if (!row_cache_get(w->cache, NULL, key, &row, &place)) {
			row = (struct row){.serial = atomic_load(&w->numbers[k]), .found = true};
			row_cache_put(w->cache, key, &row, &place);
		}
		assert_true(row.serial >= told);
		while (told < row.serial && !atomic_compare_exchange_weak(&w->told[k], &told, row.serial))
			;
	}
	return NULL;
}

static void
nobody_reads_what_is_older_than_what_somebody_has_read(void **state)
{
	struct world w = {.cache = *state};
	pthread_t threads[READERS];

	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &w), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint8_t memory[10];

		for (unsigned k = i % 7; k < KEYS; k += 7)
			row_cache_change(w.cache, number_key(k, memory));
		for (unsigned k = i % 7; k < KEYS; k += 7)
			atomic_fetch_add(&w.numbers[k], 1);
		row_cache_changed(w.cache);
	}
	atomic_store(&w.ended, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_in_is_given),
		TEST(of_what_changes_nothing_is_given_or_put_in_until_it_has),
		TEST(what_was_read_before_a_change_is_not_put_in_after_it),
		TEST(a_range_changes_what_is_in_it),
		TEST(memory_is_bounded_and_what_is_used_stays),
		TEST(large_rows_and_the_drivers_own_are_not_kept),
		TEST(none_and_an_empty_one_keep_nothing),
		TEST(nobody_reads_what_is_older_than_what_somebody_has_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
