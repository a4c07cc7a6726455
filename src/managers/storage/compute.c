/* compute.c: a queue, and threads that take from it; see compute.h. */
#include "managers/storage/compute.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/thread.h"
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Added to the process's own: beside a loop that never rests, about a thirtieth of a core. */
#define NICE 15
/* To hand over less would cost as much as to do it. */
#define LEAST_BYTES ((size_t)32 * 1024)

struct task {
	void (*fn)(void *data);
	void *data;
	sem_t done;
	struct task *next;
};

struct compute {
	atomic_uint inside; /* who is in compute_run, with much */
	pthread_mutex_t lock; /* below */
	pthread_cond_t work;
	struct task *first, **last;
	bool stopping;
	unsigned count; /* [init] */
	pthread_t threads[];
};

static struct task *
next_task(struct compute *c)
{
	struct task *task;

	pthread_mutex_lock(&c->lock);
	while (c->first == NULL && !c->stopping)
		pthread_cond_wait(&c->work, &c->lock);
	task = c->first;
	if (task && (c->first = task->next) == NULL)
		c->last = &c->first;
	pthread_mutex_unlock(&c->lock);
	return task;
}

static void *
compute_main(void *arg)
{
	struct task *task;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	thread_role_set(THREAD_WORKER, "compute");
	errno = 0;
	if (nice(NICE) == -1 && errno) /* on Linux this is the thread's own priority */
		log_warn(0, "lower the priority of a thread that computes: %s", strerror(errno));
	while ((task = next_task(arg))) {
		task->fn(task->data);
		sem_post(&task->done);
	}
	return NULL;
}

static unsigned
cores(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

struct compute *
compute_new(void)
{
	unsigned count = cores();
	struct compute *c = xcalloc(1, sizeof(*c) + count * sizeof(c->threads[0]));

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	c->last = &c->first;
	for (; c->count < count; c->count++) {
		int rc = pthread_create(&c->threads[c->count], NULL, compute_main, c);

		if (rc == 0)
			continue;
		log_error(0, "start thread %u of those that compute: %s", c->count + 1, strerror(rc));
		if (c->count == 0)
			abort(); /* whoever computes would wait for ever */
		break;
	}
	return c;
}

void
compute_free(struct compute *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	assert(c->first == NULL);
	c->stopping = true;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->count; i++)
		pthread_join(c->threads[i], NULL);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void
hand_over(struct compute *c, struct task *task)
{
	sem_init(&task->done, 0, 0);
	pthread_mutex_lock(&c->lock);
	*c->last = task;
	c->last = &task->next;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->lock);
	while (sem_wait(&task->done) != 0)
		; /* a signal */
	sem_destroy(&task->done);
}

void
compute_run(struct compute *c, size_t bytes, void (*fn)(void *data), void *data)
{
	struct task task = { .fn = fn, .data = data };

	if (bytes <= LEAST_BYTES) {
		fn(data);
		return;
	}
	ASSERT_MAY_BLOCK();
	if (atomic_fetch_add(&c->inside, 1) == 0)
		fn(data); /* it has the bytes in its cache */
	else
		hand_over(c, &task);
	atomic_fetch_sub(&c->inside, 1);
}
