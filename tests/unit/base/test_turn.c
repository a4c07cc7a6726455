/* test_turn.c: what was deferred is done at the turn's end, in its order, and only by threads that have turns. */
#include "base/turn.h"
#include "unit.h"
#include <pthread.h>

static char done[8];
static size_t done_count;
static struct deferred later;

static void
note(void *arg)
{
	done[done_count++] = *(const char *)arg;
}

static void
note_and_defer(void *arg)
{
	note(arg);
	later = (struct deferred){.fn = note, .arg = "z"};
	assert_true(turn_defer(&later));
}

static void
what_was_deferred_is_done_in_its_order(void **state)
{
	struct deferred a = {.fn = note_and_defer, .arg = "a"}, b = {.fn = note, .arg = "b"};

	assert_false(turn_defer(&a));
	turns_begin();
	turn_end();
	assert_true(turn_defer(&a));
	assert_true(turn_defer(&b));
	assert_string_equal(done, "");
	turn_end();
	assert_string_equal(done, "abz");
	turn_end();
	assert_true(turn_defer(&b));
	turn_end();
	assert_string_equal(done, "abzb");
}

static void *
other_thread(void *arg)
{
	struct deferred d = {.fn = note, .arg = "o"};

	*(bool *)arg = turn_defer(&d);
	return NULL;
}

static void
another_thread_has_turns_of_its_own(void **state)
{
	pthread_t thread;
	bool deferred = true;

	assert_int_equal(pthread_create(&thread, NULL, other_thread, &deferred), 0);
	pthread_join(thread, NULL);
	assert_false(deferred);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_deferred_is_done_in_its_order),
		cmocka_unit_test(another_thread_has_turns_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
