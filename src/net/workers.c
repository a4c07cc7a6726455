/* workers.c: one queue under one lock; a thread is started when more jobs wait than threads. */
#include "net/workers.h"
#include "base/arena.h"
#include "base/dump.h"
#include "base/log.h"
#include "base/thread.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct workers {
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t work;
	struct job *first, *last;
	unsigned waiting; /* jobs in the queue */
	unsigned idle;    /* threads in pthread_cond_wait */
	unsigned count;
	unsigned most;
	bool stopping;
	pthread_t threads[];
};

/* The next job, or NULL when the pool has stopped and the queue is empty. */
static struct job *
next_job(struct workers *w)
{
	struct job *job;

	pthread_mutex_lock(&w->lock);
	while (w->first == NULL && !w->stopping) {
		w->idle++;
		pthread_cond_wait(&w->work, &w->lock);
		w->idle--;
	}
	job = w->first;
	if (job) {
		w->first = job->next;
		if (w->first == NULL)
			w->last = NULL;
		w->waiting--;
	}
	pthread_mutex_unlock(&w->lock);
	return job;
}

static void *
worker_main(void *arg)
{
	struct workers *w = arg;
	struct job *job;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	thread_role_set(THREAD_WORKER, "worker");
	while ((job = next_job(w)))
		job->fn(job);
	return NULL;
}

struct workers *
workers_new(unsigned most)
{
	struct workers *w;

	assert(most > 0);
	w = xcalloc(1, sizeof(*w) + most * sizeof(w->threads[0]));
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	w->most = most;
	return w;
}

/* With none at all, jobs would wait forever; with some, the pool just stays smaller. */
static void
start_thread_locked(struct workers *w)
{
	int rc = pthread_create(&w->threads[w->count], NULL, worker_main, w);

	if (rc == 0) {
		w->count++;
		return;
	}
	log_error(0, "start worker thread %u: %s", w->count + 1, strerror(rc));
	if (w->count == 0)
		abort();
}

void
workers_run(struct workers *w, struct job *job)
{
	bool wake;

	job->next = NULL;
	pthread_mutex_lock(&w->lock);
	if (w->last)
		w->last->next = job;
	else
		w->first = job;
	w->last = job;
	w->waiting++;
	wake = w->idle > 0;
	if (w->waiting > w->idle && w->count < w->most && !w->stopping)
		start_thread_locked(w);
	pthread_mutex_unlock(&w->lock);
	if (wake)
		pthread_cond_signal(&w->work);
}

unsigned
workers_waiting(struct workers *w)
{
	unsigned waiting;

	pthread_mutex_lock(&w->lock);
	waiting = w->waiting;
	pthread_mutex_unlock(&w->lock);
	return waiting;
}

void
workers_describe(struct workers *w, struct dump *out)
{
	pthread_mutex_lock(&w->lock);
	dump_number(out, "threads", w->count);
	dump_number(out, "idle", w->idle);
	dump_number(out, "most", w->most);
	dump_number(out, "jobs_waiting", w->waiting);
	pthread_mutex_unlock(&w->lock);
}

void
workers_stop(struct workers *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->work);
	pthread_mutex_unlock(&w->lock);
	/* No thread is started from here on. */
	for (unsigned i = 0; i < w->count; i++)
		pthread_join(w->threads[i], NULL);
	assert(w->first == NULL);
}

void
workers_free(struct workers *w)
{
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
