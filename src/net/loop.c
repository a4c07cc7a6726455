/* loop.c: threads with a libuv loop each, and the way in for other threads: a lock-free stack, taken whole and
 * reversed. */
#include "net/loop.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/turn.h"
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_prepare_t before_wait;           /* the ends of a turn: timers are behind it, */
	uv_check_t after_wait;              /* or what was ready */
	_Atomic(struct loop_task *) posted; /* newest first */
	pthread_t thread;
	unsigned index;
};

struct loops {
	unsigned count;
	struct loop at[];
};

static _Thread_local struct loop *current;

static void
run_posted(struct loop *loop)
{
	struct loop_task *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
	struct loop_task *oldest = NULL, *next;

	for (; newest; newest = next) {
		next = newest->next;
		newest->next = oldest;
		oldest = newest;
	}
	for (; oldest; oldest = next) {
		next = oldest->next;
		oldest->fn(oldest->arg);
	}
}

static void
on_wake(uv_async_t *wake)
{
	run_posted(wake->data);
}

static void
before_wait(uv_prepare_t *prepare)
{
	turn_end();
}

static void
after_wait(uv_check_t *check)
{
	turn_end();
}

static void *
loop_main(void *arg)
{
	struct loop *loop = arg;
	char name[16];
	sigset_t all;

	/* Signals are the main thread's; a write to a closed socket must be an error here, not SIGPIPE. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	snprintf(name, sizeof(name), "loop-%u", loop->index);
	thread_role_set(THREAD_LOOP, name);
	current = loop;
	turns_begin();
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	return NULL;
}

static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	log_error(0, "%s: %s", what, uv_strerror(rc));
	abort();
}

struct loops *
loops_new(unsigned count)
{
	struct loops *l;

	/* libuv would abort, too, where it has no memory for its lists, but not say why. */
	must(uv_replace_allocator(xmalloc, xrealloc, xcalloc, free), "give libuv its memory");
	if (count == 0)
		count = uv_available_parallelism();
	l = xcalloc(1, sizeof(*l) + count * sizeof(l->at[0]));
	l->count = count;
	for (unsigned i = 0; i < count; i++) {
		struct loop *loop = &l->at[i];

		loop->index = i;
		must(uv_loop_init(&loop->uv), "open a network loop");
		must(uv_async_init(&loop->uv, &loop->wake, on_wake), "open a loop's wake-up");
		loop->wake.data = loop;
		must(uv_prepare_init(&loop->uv, &loop->before_wait), "watch a loop's turns");
		must(uv_prepare_start(&loop->before_wait, before_wait), "watch a loop's turns");
		must(uv_check_init(&loop->uv, &loop->after_wait), "watch a loop's turns");
		must(uv_check_start(&loop->after_wait, after_wait), "watch a loop's turns");
		must(-pthread_create(&loop->thread, NULL, loop_main, loop), "start a network thread");
	}
	return l;
}

unsigned
loops_count(const struct loops *l)
{
	return l->count;
}

struct loop *
loops_at(struct loops *l, unsigned index)
{
	assert(index < l->count);
	return &l->at[index];
}

static void
close_handles(void *arg)
{
	struct loop *loop = arg;

	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_close((uv_handle_t *)&loop->before_wait, NULL);
	uv_close((uv_handle_t *)&loop->after_wait, NULL);
}

void
loops_stop(struct loops *l)
{
	for (unsigned i = 0; i < l->count; i++)
		loop_post(&l->at[i], close_handles, &l->at[i]);
	for (unsigned i = 0; i < l->count; i++) {
		int rc;

		pthread_join(l->at[i].thread, NULL);
		rc = uv_loop_close(&l->at[i].uv);
		assert(rc == 0);
		assert(atomic_load(&l->at[i].posted) == NULL);
		(void)rc;
	}
}

void
loops_free(struct loops *l)
{
	free(l);
}

void
loop_post_task(struct loop *loop, struct loop_task *task)
{
	struct loop_task *newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);

	do {
		task->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(
		&loop->posted, &newest, task, memory_order_release, memory_order_relaxed));
	/* Who finds the stack empty wakes the loop; those after him ride along. */
	if (newest == NULL)
		uv_async_send(&loop->wake);
}

struct posted {
	struct loop_task task;
	void (*fn)(void *arg);
	void *arg;
};

static void
run_and_free(void *arg)
{
	struct posted p = *(struct posted *)arg;

	free(arg);
	p.fn(p.arg);
}

void
loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct posted *p = xmalloc(sizeof(*p));

	p->task.fn = run_and_free;
	p->task.arg = p;
	p->fn = fn;
	p->arg = arg;
	loop_post_task(loop, &p->task);
}

struct call {
	struct loop_task task;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void
run_call(void *arg)
{
	struct call *call = arg;

	call->fn(call->arg);
	sem_post(&call->done);
}

void
loop_call(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct call call = {.fn = fn, .arg = arg};

	ASSERT_MAY_BLOCK();
	call.task.fn = run_call;
	call.task.arg = &call;
	sem_init(&call.done, 0, 0);
	loop_post_task(loop, &call.task);
	while (sem_wait(&call.done) != 0)
		continue; /* a signal */
	sem_destroy(&call.done);
}

bool
loop_is_current(const struct loop *loop)
{
	return current == loop;
}

uv_loop_t *
loop_uv(struct loop *loop)
{
	return &loop->uv;
}
