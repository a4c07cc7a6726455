/*
 * loop.h: the network threads. Each runs one libuv loop and owns every handle on it; other threads reach it only through
 * loop_post and loop_call.
 *
 * Used by net itself, by doors (to come back to an exchange's loop) and by the daemon (start and stop).
 * Invariants: a handle is touched by its loop's thread alone; a posted function runs exactly once, in the order of posting by
 * one thread; whoever opened handles closes them before loops_stop (asserted: the uv loop closes clean).
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <uv.h>

struct loop;
struct loops;

/* Starts `count` threads; 0: one per core. [init] */
struct loops *loops_new(unsigned count);
unsigned loops_count(const struct loops *l);
struct loop *loops_at(struct loops *l, unsigned index);
/* Ends the loops once what was posted before has run, and joins their threads. No handles but ours may be open, and no thread may still be posting. [init] */
void loops_stop(struct loops *l);
/* After loops_stop. [init] */
void loops_free(struct loops *l);

/* Runs fn(arg) on the loop's thread, never inside this call. A batch of posts costs one wake-up. [any] */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);

/* The same without an allocation: the task's memory is the caller's, and is the loop's until `fn` starts. */
struct loop_task {
	void (*fn)(void *arg);
	void *arg;
	struct loop_task *next; /* private */
};
void loop_post_task(struct loop *loop, struct loop_task *task);

/* Runs fn(arg) on the loop's thread and waits for its end. [any], but not a loop's thread */
void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg);

bool loop_is_current(const struct loop *loop);
/* For handles of one's own, on the loop's thread only. */
uv_loop_t *loop_uv(struct loop *loop);

#endif
