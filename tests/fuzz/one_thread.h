/*
 * one_thread.h: loop.h and workers.h with everything on the calling thread, in place of loop.c and workers.c: what was
 * posted or queued runs when the target says so. So a run depends on its input alone. Included once, by a target.
 */
#ifndef FUZZ_ONE_THREAD_H
#define FUZZ_ONE_THREAD_H

#include "base/arena.h"
#include "net/loop.h"
#include "net/workers.h"
#include <stdlib.h>

struct loop {
	uv_loop_t uv;
	struct loop_task *first, **last;
};

struct loops {
	struct loop at;
};

struct workers {
	struct job *first, **last;
};

struct loops *
loops_new(unsigned count)
{
	struct loops *l = xcalloc(1, sizeof(*l));

	l->at.last = &l->at.first;
	if (uv_loop_init(&l->at.uv) != 0)
		abort();
	return l;
}

unsigned
loops_count(const struct loops *l)
{
	return 1;
}

struct loop *
loops_at(struct loops *l, unsigned index)
{
	return &l->at;
}

void
loop_post_task(struct loop *loop, struct loop_task *task)
{
	task->next = NULL;
	*loop->last = task;
	loop->last = &task->next;
}

void
loop_call(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	fn(arg);
}

bool
loop_is_current(const struct loop *loop)
{
	return true;
}

uv_loop_t *
loop_uv(struct loop *loop)
{
	return &loop->uv;
}

struct workers *
workers_new(unsigned most)
{
	struct workers *w = xcalloc(1, sizeof(*w));

	w->last = &w->first;
	return w;
}

void
workers_run(struct workers *w, struct job *job)
{
	job->next = NULL;
	*w->last = job;
	w->last = &job->next;
}

unsigned
workers_waiting(struct workers *w)
{
	return 0;
}

void
workers_describe(struct workers *w, struct dump *out)
{
}

/* One turn of the loop, and what was posted or queued before it; false: nothing was. */
static inline bool
one_thread_turn(struct loop *loop, struct workers *w)
{
	struct loop_task *task = loop->first, *next_task;
	struct job *job = w->first, *next_job;
	bool some = task || job;

	loop->first = NULL;
	loop->last = &loop->first;
	w->first = NULL;
	w->last = &w->first;
	for (; job; job = next_job) {
		next_job = job->next;
		job->fn(job);
	}
	for (; task; task = next_task) {
		next_task = task->next;
		task->fn(task->arg);
	}
	uv_run(&loop->uv, UV_RUN_NOWAIT);
	return some;
}

#endif
