/* arena.c: chunks of doubling size; the first is kept across resets. [any] */
#include "base/arena.h"
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>

#define ARENA_ALIGN 16
#define ARENA_FIRST_LEAST 256
#define ARENA_CHUNK_MOST (1024 * 1024) /* doubling stops here; a larger single piece gets a chunk of its own size */

struct chunk {
	struct chunk *older;
	size_t size;
	size_t at;
	size_t unused; /* keeps `data` aligned */
	uint8_t data[];
};

struct arena {
	struct chunk *newest;
	size_t used;
};

_Static_assert(sizeof(struct chunk) % ARENA_ALIGN == 0, "data is aligned when the chunk is");

static void __attribute__((noreturn)) out_of_memory(size_t size)
{
	log_error(0, "allocate %zu bytes: out of memory", size);
	abort();
}

void *
xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (p == NULL)
		out_of_memory(size);
	return p;
}

void *
xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (p == NULL)
		out_of_memory(size);
	return p;
}

void *
xrealloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (p == NULL)
		out_of_memory(size);
	return p;
}

char *
xstrdup(const char *s)
{
	size_t size = strlen(s) + 1;

	return memcpy(xmalloc(size), s, size);
}

static struct chunk *
chunk_new(size_t size, struct chunk *older)
{
	struct chunk *k;

	if (size > SIZE_MAX - sizeof(*k))
		out_of_memory(size);
	k = xmalloc(sizeof(*k) + size);
	k->older = older;
	k->size = size;
	k->at = 0;
	return k;
}

struct arena *
arena_new(size_t first)
{
	struct arena *a = xmalloc(sizeof(*a));

	a->newest = chunk_new(first < ARENA_FIRST_LEAST ? ARENA_FIRST_LEAST : first, NULL);
	a->used = 0;
	return a;
}

void
arena_reset(struct arena *a)
{
	struct chunk *k;

	while ((k = a->newest)->older) {
		a->newest = k->older;
		free(k);
	}
	k->at = 0;
	a->used = 0;
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	arena_reset(a);
	free(a->newest);
	free(a);
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct chunk *k = a->newest;
	size_t take, next;
	void *p;

	if (size > SIZE_MAX / 2)
		out_of_memory(size);
	take = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (take > k->size - k->at) {
		next = k->size < ARENA_CHUNK_MOST / 2 ? k->size * 2 : ARENA_CHUNK_MOST;
		k = a->newest = chunk_new(take > next ? take : next, k);
	}
	p = k->data + k->at;
	k->at += take;
	a->used += size;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);

	return memset(p, 0, size);
}

struct bytes
arena_copy(struct arena *a, struct bytes v)
{
	uint8_t *p = arena_alloc(a, v.len);

	if (v.len)
		memcpy(p, v.data, v.len);
	return bytes_of(p, v.len);
}

char *
arena_str(struct arena *a, struct bytes v)
{
	char *p = arena_alloc(a, v.len + 1);

	if (v.len)
		memcpy(p, v.data, v.len);
	p[v.len] = '\0';
	return p;
}

char *
arena_vprintf(struct arena *a, const char *format, va_list args)
{
	va_list again;
	char *p;
	int len;

	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (len < 0)
		len = 0;
	p = arena_alloc(a, (size_t)len + 1);
	p[0] = '\0';
	vsnprintf(p, (size_t)len + 1, format, args);
	return p;
}

char *
arena_printf(struct arena *a, const char *format, ...)
{
	va_list args;
	char *p;

	va_start(args, format);
	p = arena_vprintf(a, format, args);
	va_end(args);
	return p;
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}
