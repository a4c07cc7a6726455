/*
 * row_sorter.h: the rows of a group, by key. RocksDB's table in memory finds the place of a row at once when it is
 * right behind the row before: for the changes, the blocks and the names that a group of puts makes. Of one key the
 * order stays.
 */
#ifndef DRIVERS_EMBEDDED_ROW_SORTER_H
#define DRIVERS_EMBEDDED_ROW_SORTER_H

#include "base/bytes.h"
#include <rocksdb/c.h>

struct sorted_row {
	struct bytes key, value; /* data NULL: it is deleted */
	size_t order;
};

/* One owner at a time. Keys are the caller's, until row_sorter_write. */
struct row_sorter {
	struct arena *arena; /* of the values */
	struct sorted_row *rows;
	size_t count, capacity;
};

void row_sorter_init(struct row_sorter *s);
void row_sorter_fini(struct row_sorter *s);
/* Where the caller writes the value. */
uint8_t *row_sorter_put(struct row_sorter *s, struct bytes key, size_t value_len);
void row_sorter_delete(struct row_sorter *s, struct bytes key);
/* Moves them all to a write. */
void row_sorter_write(struct row_sorter *s, rocksdb_writebatch_t *wb);

#endif
