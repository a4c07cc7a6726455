/*
 * turn.h: what a thread with an event loop puts off to the end of its turn, when all that was ready has been looked at.
 *
 * A loop that finds ten requests ready would otherwise wake another thread with the first of them; that thread would
 * begin with this one alone, and the nine others would wait until it is done with it.
 */
#ifndef BASE_TURN_H
#define BASE_TURN_H

#include <stdbool.h>

/* In what it is about; kept until `fn` is called. */
struct deferred {
	void (*fn)(void *arg);
	void *arg;
	struct deferred *next;
};

/* This thread has turns, and calls turn_end at the end of each. [loop] */
void turns_begin(void);
/* Calls what was deferred, in its order, also what is deferred by that. [loop] */
void turn_end(void);
/* False: this thread has no turns, so the caller does it himself. [any] */
bool turn_defer(struct deferred *d);

#endif
