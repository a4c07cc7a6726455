/*
 * arena.h: the small things of one request, freed together. One owner thread at a time. [any]
 *
 * The daemon aborts when a small allocation fails; sizes that came from outside are checked against a limit before they get here.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"
#include <stdarg.h>

struct arena;

/* `first` is the size of the first chunk, kept across arena_reset; later chunks double. */
struct arena *arena_new(size_t first);
void arena_free(struct arena *a);
void arena_reset(struct arena *a);
/* Aligned to 16; not zeroed. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
#define ARENA_NEW(arena, type) ((type *)arena_zalloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_zalloc((arena), sizeof(type) * (count)))
struct bytes arena_copy(struct arena *a, struct bytes v);
/* NUL-terminated copy. */
char *arena_str(struct arena *a, struct bytes v);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *format, va_list args);
/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *a);

/* malloc and friends that abort, with a line in the log, when memory ends. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);

#endif
