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
	const uint8_t *data; /* NULL, and not empty: the bytes are in a file */
	size_t len;
	struct slice_owner *owner; /* NULL: static memory */
};

/* The owner of bytes that stay in a file, for a socket: who made it keeps the descriptor open until the release. Only who asked for such a slice gets one. */
struct slice_file {
	struct slice_owner owner;
	int fd;
	uint64_t offset; /* of the slice's first byte */
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
/* Where its bytes are; NULL: in memory. */
static inline const struct slice_file *
slice_file(const struct slice *s)
{
	return s->data == NULL && s->len ? (const struct slice_file *)(const void *)s->owner : NULL;
}
static inline struct bytes
slice_bytes(struct slice s)
{
	return bytes_of(s.data, s.len);
}

#endif
