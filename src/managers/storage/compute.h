/*
 * compute.h: what takes the processor for long (digests and compression of large bodies), in a few threads that give way to others.
 *
 * Workers are many, because they wait for disks. If all of them computed at once, the loops, which answer whoever asks for
 * little, would be one thread among sixty. So who is alone computes for himself, and when there are more, they have no more
 * threads than there are cores, at a lower priority: when nobody else wants the processor, they have all of it.
 */
#ifndef MANAGERS_STORAGE_COMPUTE_H
#define MANAGERS_STORAGE_COMPUTE_H

#include <stddef.h>

struct compute;

/* [init] */
struct compute *compute_new(void);
/* Nobody computes any more. [init] */
void compute_free(struct compute *c);
/*
 * Calls `fn`, which goes over so many bytes, and returns when it has returned. Whoever calls it with many bytes holds no lock
 * that a loop takes. [worker], of few bytes [any]
 */
void compute_run(struct compute *c, size_t bytes, void (*fn)(void *data), void *data);

#endif
