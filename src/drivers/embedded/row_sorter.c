/* row_sorter.c: see row_sorter.h. [apply] */
#include "drivers/embedded/row_sorter.h"
#include "base/arena.h"
#include "base/mutant.h"
#include <stdlib.h>

#define ARENA_FIRST ((size_t)16 * 1024)

void
row_sorter_init(struct row_sorter *s)
{
	*s = (struct row_sorter){.arena = arena_new(ARENA_FIRST)};
}

void
row_sorter_fini(struct row_sorter *s)
{
	arena_free(s->arena);
	free(s->rows);
	*s = (struct row_sorter){0};
}

static struct sorted_row *
row_add(struct row_sorter *s, struct bytes key)
{
	struct sorted_row *row;

	if (s->count == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 64;
		s->rows = xrealloc(s->rows, s->capacity * sizeof(*s->rows));
	}
	row = &s->rows[s->count];
	*row = (struct sorted_row){.key = key, .order = s->count};
	s->count++;
	return row;
}

uint8_t *
row_sorter_put(struct row_sorter *s, struct bytes key, size_t value_len)
{
	uint8_t *value = arena_alloc(s->arena, value_len);

	row_add(s, key)->value = bytes_of(value, value_len);
	return value;
}

void
row_sorter_delete(struct row_sorter *s, struct bytes key)
{
	row_add(s, key);
}

static int
compare(const void *a, const void *b)
{
	const struct sorted_row *x = a, *y = b;
	int order = bytes_compare(x->key, y->key);

	if (order)
		return order;
	return (x->order < y->order) != MUTANT("row-order-reversed") ? -1 : 1;
}

void
row_sorter_write(struct row_sorter *s, rocksdb_writebatch_t *wb)
{
	if (s->count > 1)
		qsort(s->rows, s->count, sizeof(*s->rows), compare);
	for (size_t i = 0; i < s->count; i++) {
		const struct sorted_row *row = &s->rows[i];

		if (row->value.data)
			rocksdb_writebatch_put(wb, (const char *)row->key.data, row->key.len,
				(const char *)row->value.data, row->value.len);
		else
			rocksdb_writebatch_delete(wb, (const char *)row->key.data, row->key.len);
	}
	s->count = 0;
	arena_reset(s->arena);
}
