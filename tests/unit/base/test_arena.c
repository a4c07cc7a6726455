/* Arenas and slices: who owns memory, and when it goes. */
#include "unit.h"
#include "base/arena.h"
#include "base/slice.h"

static void
pieces_are_aligned_and_do_not_overlap(void **state)
{
	struct arena *a = arena_new(100);
	uint8_t *pieces[200];
	size_t total = 0;

	for (int round = 0; round < 3; round++) {
		total = 0;
		for (int i = 0; i < 200; i++) {
			pieces[i] = arena_alloc(a, (size_t)i * 7);
			assert_int_equal((uintptr_t)pieces[i] % 16, 0);
			memset(pieces[i], i, (size_t)i * 7);
			total += (size_t)i * 7;
		}
		for (int i = 0; i < 200; i++) {
			for (int j = 0; j < i * 7; j++)
				assert_int_equal(pieces[i][j], i);
		}
		assert_int_equal(arena_used(a), total);
		arena_reset(a);
		assert_int_equal(arena_used(a), 0);
	}
	arena_free(a);
}

static void
large_and_small_pieces_fit(void **state)
{
	struct arena *a = arena_new(0);
	uint64_t *zeros;

	memset(arena_alloc(a, 5000000), 1, 5000000);
	zeros = ARENA_ARRAY(a, uint64_t, 1000);
	for (int i = 0; i < 1000; i++)
		assert_true(zeros[i] == 0);
	arena_free(a);
	arena_free(NULL);
}

static void
texts_are_copied(void **state)
{
	struct arena *a = arena_new(0);
	struct bytes v = arena_copy(a, BYTES_LITERAL("abc"));

	assert_true(bytes_equal_str(v, "abc"));
	assert_string_equal(arena_str(a, bytes_sub(v, 0, 2)), "ab");
	assert_string_equal(arena_str(a, bytes_of(NULL, 0)), "");
	assert_string_equal(arena_printf(a, "%0300d|%s", 0, "x") + 300, "|x");
	arena_free(a);
}

struct counted {
	struct slice_owner owner;
	int released;
};

static void
count_release(struct slice_owner *owner)
{
	((struct counted *)(void *)owner)->released++;
}

static void
the_last_reference_releases(void **state)
{
	struct counted c = {{1, count_release}, 0};
	struct slice whole = {(const uint8_t *)"hello", 5, &c.owner}, part, moved;

	part = slice_part(whole, 1, 3);
	assert_true(bytes_equal_str(slice_bytes(part), "ell"));
	moved = slice_take(&whole);
	assert_null(whole.owner);
	slice_unref(&whole);
	slice_unref(&moved);
	assert_int_equal(c.released, 0);
	assert_null(moved.data);
	slice_unref(&part);
	assert_int_equal(c.released, 1);
}

static void
new_slices_are_aligned_and_writable(void **state)
{
	struct slice s = slice_new(100000), copy, none = slice_new(0);

	assert_int_equal((uintptr_t)s.data % 16, 0);
	memset(slice_writable(&s), 7, s.len);
	copy = slice_copy(slice_bytes(s));
	assert_ptr_not_equal(copy.data, s.data);
	assert_true(bytes_equal(slice_bytes(copy), slice_bytes(s)));
	slice_unref(&s);
	slice_unref(&copy);
	slice_unref(&none);
}

static void
what_cannot_be_had_is_empty(void **state)
{
	struct slice s = slice_new(SIZE_MAX);

	assert_null(s.owner);
	assert_null(s.data);
}

static void
static_memory_needs_no_owner(void **state)
{
	struct slice s = {(const uint8_t *)"abc", 3, NULL}, again = slice_ref(s), part = slice_part(s, 3, 0);

	assert_int_equal(part.len, 0);
	slice_unref(&s);
	slice_unref(&again);
	slice_unref(&part);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
		cmocka_unit_test(large_and_small_pieces_fit),
		cmocka_unit_test(texts_are_copied),
		cmocka_unit_test(the_last_reference_releases),
		cmocka_unit_test(new_slices_are_aligned_and_writable),
		cmocka_unit_test(what_cannot_be_had_is_empty),
		cmocka_unit_test(static_memory_needs_no_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
