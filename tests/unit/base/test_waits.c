/* test_waits.c: who waits is woken once: by what he waits for, his deadline, his own end, or the end of all; and
 * nothing between a look and the wait is lost. */
#include "base/waits.h"
#include "base/clock.h"
#include "base/thread.h"
#include "unit.h"

#define TOPIC 7
#define FAR_NS INT64_C(600000000000)

struct waiter {
	struct wait wait;
	atomic_uint woken;
	atomic_bool gone;
};

static void
woken(struct wait *w)
{
	atomic_fetch_add(&((struct waiter *)w)->woken, 1);
}

static void
waiter_init(struct waiter *w, int64_t in_ns)
{
	*w = (struct waiter){.wait = {.wake = woken, .gone = &w->gone, .deadline_ns = clock_monotonic_ns() + in_ns}};
}

static void
until_woken(struct waiter *w)
{
	while (!atomic_load(&w->woken))
		sleep_ns(100000);
}

static void
test_a_topic_wakes_its_own(void **state)
{
	struct waits *s = waits_new();
	struct waiter mine, other;

	waiter_init(&mine, FAR_NS);
	waiter_init(&other, FAR_NS);
	waits_arm(s, &mine.wait, TOPIC);
	waits_arm(s, &other.wait, TOPIC + 256);
	assert_true(waits_begin(&mine.wait) && waits_begin(&other.wait));
	assert_int_equal(waits_count(s), 2);
	waits_raise(s, TOPIC);
	assert_int_equal(atomic_load(&mine.woken), 1);
	assert_true(mine.wait.raised && !wait_is_armed(&mine.wait));
	assert_int_equal(atomic_load(&other.woken), 0);
	waits_stop(s);
	assert_int_equal(atomic_load(&other.woken), 1);
	assert_false(other.wait.raised);
	assert_int_equal(atomic_load(&mine.woken), 1);
	waits_free(s);
}

static void
test_nothing_is_lost_before_the_wait(void **state)
{
	struct waits *s = waits_new();
	struct waiter w;

	waiter_init(&w, FAR_NS);
	waits_arm(s, &w.wait, TOPIC);
	waits_raise(s, TOPIC);
	assert_false(waits_begin(&w.wait));
	assert_true(w.wait.raised);
	assert_int_equal(atomic_load(&w.woken), 0);
	waits_arm(s, &w.wait, TOPIC);
	waits_disarm(&w.wait);
	waits_disarm(&w.wait);
	waits_raise(s, TOPIC);
	assert_int_equal(waits_count(s), 0);
	waits_free(s);
}

static void
test_a_deadline_ends_a_wait(void **state)
{
	struct waits *s = waits_new();
	struct waiter late, far, now;

	waiter_init(&far, FAR_NS);
	waits_arm(s, &far.wait, TOPIC);
	assert_true(waits_begin(&far.wait));
	waiter_init(&now, 0);
	waits_arm(s, &now.wait, TOPIC);
	assert_false(waits_begin(&now.wait));
	waiter_init(&late, 20000000);
	waits_arm(s, &late.wait, TOPIC);
	if (waits_begin(&late.wait)) {
		until_woken(&late);
		assert_true(clock_monotonic_ns() >= late.wait.deadline_ns);
	}
	assert_false(late.wait.raised);
	atomic_store(&far.gone, true); /* looked for now and then */
	until_woken(&far);
	assert_false(far.wait.raised);
	waits_free(s);
}

static void
test_a_stop_is_for_good(void **state)
{
	struct waits *s = waits_new();
	struct waiter w;

	waits_stop(s);
	waiter_init(&w, FAR_NS);
	waits_arm(s, &w.wait, TOPIC);
	assert_false(waits_begin(&w.wait));
	waits_free(s);
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

#define ROUNDS 20000

struct race {
	struct waits *waits;
	atomic_uint made, seen;
};

static void *
raiser(void *arg)
{
	struct race *race = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned seen = atomic_load(&race->seen);

		atomic_fetch_add(&race->made, 1);
		waits_raise(race->waits, TOPIC);
		while (atomic_load(&race->seen) == seen && i % 2)
			sched_yield();
	}
	return NULL;
}

/* Were one lost, nobody would ever wake us: the far deadline is longer than any test. */
static void
test_a_race_loses_nothing(void **state)
{
	struct race race = {.waits = waits_new()};
	struct waiter w;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, raiser, &race), 0);
	while (atomic_load(&race.seen) < ROUNDS) {
		waiter_init(&w, FAR_NS);
		waits_arm(race.waits, &w.wait, TOPIC);
		if (atomic_load(&race.made) > atomic_load(&race.seen))
			waits_disarm(&w.wait);
		else if (waits_begin(&w.wait))
			while (!atomic_load(&w.woken))
				sched_yield();
		atomic_store(&race.seen, atomic_load(&race.made));
	}
	pthread_join(thread, NULL);
	waits_free(race.waits);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_topic_wakes_its_own),
		cmocka_unit_test(test_nothing_is_lost_before_the_wait),
		cmocka_unit_test(test_a_deadline_ends_a_wait),
		cmocka_unit_test(test_a_stop_is_for_good),
		cmocka_unit_test(test_a_race_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
