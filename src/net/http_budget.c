/* http_budget.c: memory of bodies, and of what else clients can make large, counted. Its slices may be kept by a cache
 * when the server is gone, so it is counted itself. [any] */
#include "net/http_int.h"
#include <stdlib.h>

struct http_budget *
budget_new(size_t limit)
{
	struct http_budget *b = xcalloc(1, sizeof(*b));

	atomic_init(&b->references, 1);
	b->limit = limit;
	return b;
}

void
budget_unref(struct http_budget *b)
{
	if (atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel) == 1)
		free(b);
}

void
budget_charge(struct http_budget *b, size_t len)
{
	atomic_fetch_add_explicit(&b->used, len, memory_order_relaxed);
}

void
budget_release(struct http_budget *b, size_t len)
{
	size_t before = atomic_fetch_sub_explicit(&b->used, len, memory_order_relaxed);

	assert(before >= len);
	(void)before;
	budget_freed(b, len);
}

void
budget_freed(struct http_budget *b, size_t len)
{
	atomic_fetch_add_explicit(&b->freed, len, memory_order_relaxed);
}

bool
budget_exhausted_by_others(const struct http_budget *b, size_t own)
{
	return atomic_load_explicit(&b->used, memory_order_relaxed) - own >= b->limit;
}

bool
budget_exhausted(const struct http_budget *b)
{
	return budget_exhausted_by_others(b, 0);
}

static void
fill_release(struct slice_owner *owner)
{
	struct http_fill *f = (struct http_fill *)(void *)owner;
	struct http_budget *b = f->budget;

	budget_release(b, f->size);
	free(f);
	budget_unref(b);
}

struct http_fill *
fill_new(struct http_budget *b, size_t size)
{
	struct http_fill *f = malloc(sizeof(*f) + size);

	if (f == NULL)
		return NULL;
	atomic_init(&f->owner.references, 1);
	f->owner.release = fill_release;
	f->budget = b;
	f->size = size;
	atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed);
	budget_charge(b, size);
	return f;
}
