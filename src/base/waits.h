/*
 * waits.h: callers that wait for something to happen, without a thread each: a topic is a number, and raising it wakes
 * who waits for it.
 *
 *   waits_arm -> look -> found: waits_disarm
 *                     -> nothing: waits_begin -> wake(), once: raised, past its deadline, its caller gone, or stopped
 *
 * To arm before one looks is what loses nothing: what is raised between the look and waits_begin makes that answer
 * false. Raising a topic that nobody waits for costs a load. One thread watches deadlines and callers that are gone,
 * about once a second. [any] but where it says otherwise.
 */
#ifndef BASE_WAITS_H
#define BASE_WAITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct waits;

/* Topics beside the numbers of buckets. */
#define WAITS_LOG UINT64_MAX
#define WAITS_TRACE (UINT64_MAX - 1)

#define WAIT_MOST_MS 60000 /* that a caller from outside may ask for */

/* The caller's memory: from waits_arm until waits_disarm, or until waits_begin was false, or wake() was called. */
struct wait {
	void (*wake)(
		struct wait *w); /* set by the caller; called without a lock, perhaps before waits_begin has returned */
	const atomic_bool *gone; /* set by the caller: true wakes it. NULL: never */
	int64_t deadline_ns;     /* set by the caller: clock_monotonic_ns() */

	/* Private, under the lock of the waits. */
	struct waits *waits; /* NULL: not armed */
	uint64_t topic;
	bool raised, begun;
	struct wait *prev, *next;
};

/* [init] */
struct waits *waits_new(void);
/* Nobody may be armed. [init] */
void waits_free(struct waits *s);
/* Wakes everybody; nobody waits from now on. */
void waits_stop(struct waits *s);

void waits_arm(struct waits *s, struct wait *w, uint64_t topic);
/* Of one that was never begun; one that is not armed stays so. */
void waits_disarm(struct wait *w);
static inline bool
wait_is_armed(const struct wait *w)
{
	return w->waits != 0;
}
/* True: wake() will be called. False: it will not, for the topic was raised meanwhile, or time is up; it is no longer
 * armed. */
bool waits_begin(struct wait *w);
void waits_raise(struct waits *s, uint64_t topic);
/* That wait, for debugging and tests. */
unsigned waits_count(struct waits *s);

#endif
