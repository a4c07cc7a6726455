/* test_loop.c: loops and workers: everything that is handed over runs once, in order, on the right thread. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/thread.h"
#include "net/loop.h"
#include "net/workers.h"
#include <stdatomic.h>
#include <stdlib.h>

#define POSTERS 4
#define POSTS 20000

struct poster {
	struct loop *loop;
	pthread_t thread;
	unsigned next; /* what the loop expects from this thread */
};

struct post {
	struct poster *poster;
	unsigned number;
};

static void
check_order(void *arg)
{
	struct post *p = arg;

	assert_true(thread_role_get() == THREAD_LOOP && loop_is_current(p->poster->loop));
	assert_int_equal(p->number, p->poster->next);
	p->poster->next++;
	free(p);
}

static void *
post_all(void *arg)
{
	struct poster *poster = arg;

	for (unsigned i = 0; i < POSTS; i++) {
		struct post *p = xmalloc(sizeof(*p));

		*p = (struct post){poster, i};
		loop_post(poster->loop, check_order, p);
	}
	return NULL;
}

static void
posts_run_once_and_in_order(void **state)
{
	struct loops *loops = loops_new(2);
	struct poster posters[POSTERS] = {0};

	assert_int_equal(loops_count(loops), 2);
	for (int i = 0; i < POSTERS; i++) {
		posters[i].loop = loops_at(loops, (unsigned)i % 2);
		pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
	}
	for (int i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	loops_stop(loops); /* runs what was posted before */
	for (int i = 0; i < POSTERS; i++)
		assert_int_equal(posters[i].next, POSTS);
	loops_free(loops);
}

static void
set_flag(void *arg)
{
	*(bool *)arg = true;
}

static void
call_waits_for_its_end(void **state)
{
	struct loops *loops = loops_new(1);

	for (int i = 0; i < 1000; i++) {
		bool flag = false;

		loop_call(loops_at(loops, 0), set_flag, &flag);
		assert_true(flag);
	}
	loops_stop(loops);
	loops_free(loops);
}

struct counted {
	struct job job;
	atomic_uint *done;
	pthread_barrier_t *together;
};

static void
count_job(struct job *job)
{
	struct counted *c = (struct counted *)job;

	assert_true(thread_role_get() == THREAD_WORKER);
	if (c->together)
		pthread_barrier_wait(c->together);
	atomic_fetch_add(c->done, 1);
	free(c);
}

static void
run(struct workers *w, atomic_uint *done, pthread_barrier_t *together)
{
	struct counted *c = xcalloc(1, sizeof(*c));

	c->job.fn = count_job;
	c->done = done;
	c->together = together;
	workers_run(w, &c->job);
}

static void
workers_run_all_jobs_before_they_stop(void **state)
{
	struct workers *w = workers_new(4);
	atomic_uint done = 0;

	for (int i = 0; i < 10000; i++)
		run(w, &done, NULL);
	workers_stop(w);
	assert_int_equal(workers_waiting(w), 0);
	workers_free(w);
	assert_int_equal(atomic_load(&done), 10000);
}

/* Each waits for all others: one after the other they would never end. */
static void
workers_wait_side_by_side(void **state)
{
	struct workers *w = workers_new(16);
	pthread_barrier_t together;
	atomic_uint done = 0;

	pthread_barrier_init(&together, NULL, 16);
	for (int i = 0; i < 16; i++)
		run(w, &done, &together);
	workers_stop(w);
	workers_free(w);
	assert_int_equal(atomic_load(&done), 16);
	pthread_barrier_destroy(&together);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posts_run_once_and_in_order),
		cmocka_unit_test(call_waits_for_its_end),
		cmocka_unit_test(workers_run_all_jobs_before_they_stop),
		cmocka_unit_test(workers_wait_side_by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
