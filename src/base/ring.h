/*
 * ring.h: the newest records of something that never ends, in bounded memory. Each has a number, one more than the one before it, so that a reader
 * who says how far he is misses nothing unseen. [any]
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include "base/bytes.h"

struct ring;

/* Numbers begin behind `number`: with the time in it, readers of an earlier ring are told from those of this one. */
struct ring *ring_new(size_t bytes, uint64_t number);
void ring_free(struct ring *r);
/* A number for ring_new: microseconds since 1970. */
uint64_t ring_number_now(void);

/* One record, in place of the oldest ones where there is no room. Longer than a quarter of the ring: it is cut. */
void ring_put(struct ring *r, const struct bytes *parts, size_t count);

struct ring_page {
	uint64_t next; /* the number of the last record that was read, or where the reader was: to be given as `after` */
	uint64_t lost; /* records behind `after` that are gone */
	bool strange;  /* `after` is of another ring: nobody knows what is missing, and it was read from the oldest record on */
	size_t count;
};
/* Records behind `after`, oldest first, about `bytes` of them: to `out` each as u32 length, bytes. */
void ring_read(struct ring *r, uint64_t after, size_t bytes, struct buf *out, struct ring_page *page);
/* The number behind which the newest `records` are. */
uint64_t ring_before(struct ring *r, uint64_t records);
/* Takes a record off what ring_read gave; false: there is none. */
bool ring_next(struct bytes *records, struct bytes *record);

#endif
