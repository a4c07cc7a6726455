/*
 * slice.h: payload bytes, immutable once shared, counted by reference. A copy of payload bytes has a comment that says why. [any]
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include "base/bytes.h"
#include <stdatomic.h>

/* What the slices of one piece of memory share. `release` runs when the last reference goes, on whatever thread drops it. */
struct slice_owner {
	atomic_uint references;
	void (*release)(struct slice_owner *owner);
};

struct slice {
	const uint8_t *data;
	size_t len;
	struct slice_owner *owner; /* NULL: static memory */
};

/* New memory with one reference. The creator may write through slice_writable until it shares the slice. NULL owner and data when `len` cannot be had. */
struct slice slice_new(size_t len);
uint8_t *slice_writable(struct slice *s);
/* A copy of the bytes. */
struct slice slice_copy(struct bytes v);
/* Another reference to the same bytes. */
struct slice slice_ref(struct slice s);
/* A reference to a part; [from, from + len) must lie inside. */
struct slice slice_part(struct slice s, size_t from, size_t len);
/* Drops the reference and empties the slice. */
void slice_unref(struct slice *s);
/* Moves the reference out of `s`. */
struct slice slice_take(struct slice *s);
static inline struct bytes
slice_bytes(struct slice s)
{
	return bytes_of(s.data, s.len);
}

#endif
