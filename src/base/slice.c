/* slice.c: counted references to payload bytes; the owner and the bytes of slice_new are one allocation. [any] */
#include "base/slice.h"
#include "base/arena.h"
#include <assert.h>
#include <stdlib.h>

/* Up to here the memory is always had: the daemon aborts on a failed small allocation. */
#define SLICE_SMALL ((size_t)64 * 1024)

struct slice_memory {
	struct slice_owner owner;
	_Alignas(16) uint8_t data[];
};

static void
memory_release(struct slice_owner *owner)
{
	free((struct slice_memory *)(void *)owner);
}

struct slice
slice_new(size_t len)
{
	struct slice_memory *m;

	if (len > SIZE_MAX - sizeof(*m))
		return (struct slice){0};
	m = len > SLICE_SMALL ? malloc(sizeof(*m) + len) : xmalloc(sizeof(*m) + len);
	if (m == NULL)
		return (struct slice){0};
	atomic_init(&m->owner.references, 1);
	m->owner.release = memory_release;
	return (struct slice){m->data, len, &m->owner};
}

uint8_t *
slice_writable(struct slice *s)
{
	assert(s->owner && atomic_load_explicit(&s->owner->references, memory_order_relaxed) == 1);
	return (uint8_t *)s->data;
}

struct slice
slice_copy(struct bytes v)
{
	struct slice s = slice_new(v.len);

	if (s.owner && v.len)
		memcpy(slice_writable(&s), v.data, v.len);
	return s;
}

struct slice
slice_ref(struct slice s)
{
	if (s.owner)
		atomic_fetch_add_explicit(&s.owner->references, 1, memory_order_relaxed);
	return s;
}

struct slice
slice_part(struct slice s, size_t from, size_t len)
{
	assert(from <= s.len && len <= s.len - from && slice_file(&s) == NULL);
	if (from)
		s.data += from;
	s.len = len;
	return slice_ref(s);
}

void
slice_unref(struct slice *s)
{
	struct slice_owner *owner = s->owner;
	unsigned before;

	*s = (struct slice){0};
	if (owner == NULL)
		return;
	/* Every use of the bytes on other threads comes before the release. */
	before = atomic_fetch_sub_explicit(&owner->references, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before == 1)
		owner->release(owner);
}

struct slice
slice_take(struct slice *s)
{
	struct slice taken = *s;

	*s = (struct slice){0};
	return taken;
}
