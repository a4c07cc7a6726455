/* test_compute.c: who computes alone does it himself; beside others it is done by few threads, which give way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/thread.h"
#include "managers/storage/compute.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define LITTLE 1024
#define MUCH ((size_t)64 * 1024)
#define CALLERS 16
#define CALLS 200

struct where {
	pthread_t thread;
	int nice;
};

static int
setup(void **state)
{
	*state = compute_new();
	return 0;
}

static int
teardown(void **state)
{
	compute_free(*state);
	return 0;
}

static void
note_where(void *data)
{
	*(struct where *)data = (struct where){pthread_self(), getpriority(PRIO_PROCESS, 0)};
}

static void
who_is_alone_does_it_himself(void **state)
{
	struct where where;

	compute_run(*state, MUCH, note_where, &where);
	assert_true(pthread_equal(where.thread, pthread_self()));
}

struct holder {
	struct compute *compute;
	sem_t begun, go_on;
};

static void
hold(void *data)
{
	struct holder *h = data;

	sem_post(&h->begun);
	sem_wait(&h->go_on);
}

static void *
hold_main(void *data)
{
	struct holder *h = data;

	compute_run(h->compute, MUCH, hold, h);
	return NULL;
}

static void
beside_another_much_is_handed_over_to_who_gives_way(void **state)
{
	struct holder h = {.compute = *state};
	struct where much, little;
	pthread_t other;

	sem_init(&h.begun, 0, 0);
	sem_init(&h.go_on, 0, 0);
	assert_int_equal(pthread_create(&other, NULL, hold_main, &h), 0);
	sem_wait(&h.begun);
	compute_run(*state, MUCH, note_where, &much);
	compute_run(*state, LITTLE, note_where, &little);
	sem_post(&h.go_on);
	pthread_join(other, NULL);
	sem_destroy(&h.begun);
	sem_destroy(&h.go_on);
	assert_false(pthread_equal(much.thread, pthread_self()) || pthread_equal(much.thread, other));
	assert_true(much.nice > little.nice || little.nice == 19);
	assert_true(pthread_equal(little.thread, pthread_self()));
}

static atomic_uint computing, most, done;

static void
count(void *data)
{
	unsigned now = atomic_fetch_add(&computing, 1) + 1, seen = atomic_load(&most);

	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	sched_yield();
	++*(unsigned *)data;
	atomic_fetch_sub(&computing, 1);
}

static void *
call_often(void *compute)
{
	for (unsigned i = 0; i < CALLS; i++) {
		unsigned calls = 0;

		compute_run(compute, MUCH, count, &calls);
		atomic_fetch_add(&done, calls);
	}
	return NULL;
}

static void
many_are_done_once_each_by_few(void **state)
{
	pthread_t callers[CALLERS];
	cpu_set_t cores;

	assert_int_equal(sched_getaffinity(0, sizeof(cores), &cores), 0);
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&callers[i], NULL, call_often, *state), 0);
	for (unsigned i = 0; i < CALLERS; i++)
		pthread_join(callers[i], NULL);
	assert_int_equal(atomic_load(&done), CALLERS * CALLS);
	assert_in_range(atomic_load(&most), 1, (unsigned)CPU_COUNT(&cores) + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_is_alone_does_it_himself, setup, teardown),
		cmocka_unit_test_setup_teardown(beside_another_much_is_handed_over_to_who_gives_way, setup, teardown),
		cmocka_unit_test_setup_teardown(many_are_done_once_each_by_few, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
