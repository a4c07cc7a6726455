/* turn.c: a list, of each thread its own; see turn.h. */
#include "base/turn.h"
#include <stddef.h>

static _Thread_local struct {
	struct deferred *first, **last; /* `last` is NULL: a thread without turns */
} turn;

void
turns_begin(void)
{
	turn.last = &turn.first;
}

void
turn_end(void)
{
	struct deferred *d;

	while ((d = turn.first)) {
		turn.first = d->next;
		if (turn.first == NULL)
			turn.last = &turn.first;
		d->fn(d->arg);
	}
}

bool
turn_defer(struct deferred *d)
{
	if (turn.last == NULL)
		return false;
	d->next = NULL;
	*turn.last = d;
	turn.last = &d->next;
	return true;
}
