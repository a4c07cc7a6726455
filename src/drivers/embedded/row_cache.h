/*
 * row_cache.h: rows that were read, in memory, in front of RocksDB, which takes 2 to 4 us for one that it has in memory
 * too. That there is no such row is kept as well: who makes one looks twice. Keys are spread over stripes, each with
 * its lock, its epoch and its share of the memory.
 *
 * Invariants:
 * 1. What is given is what RocksDB would give at some moment of the call. Before a row changes in RocksDB,
 * row_cache_change takes it out and closes its stripe: nothing of a closed stripe is given, and nothing is put into it.
 * row_cache_changed, after the write, opens the stripes. So nobody reads an older row than somebody else has read
 * already, be it with a scan, which knows nothing of the cache.
 * 2. What was read from RocksDB before a change is not put in after it: opening a stripe moves its epoch, and
 * row_cache_put drops what was read under another.
 * 3. Every write to RocksDB of an open store goes through apply.c, which changes every key that it writes, its slot
 * filled. Rows of the driver's own table (0) are neither kept nor changed.
 */
#ifndef DRIVERS_EMBEDDED_ROW_CACHE_H
#define DRIVERS_EMBEDDED_ROW_CACHE_H

#include "drivers/driver.h"

struct row_cache;

/* What a miss was; given back with the row. */
struct row_cache_place {
	uint64_t hash;
	uint64_t epoch;
	bool closed; /* not to be kept */
};

/* `bytes` of memory at most, rows and their keeping; 0: keeps nothing. Everywhere below, NULL is a cache that keeps
 * nothing. [init] */
struct row_cache *row_cache_new(size_t bytes);
void row_cache_free(struct row_cache *c);

/* True: `out` is filled, its memory is the arena's; with NULL it has no value, only its serial. [any] */
bool row_cache_get(
	struct row_cache *c, struct arena *arena, struct bytes key, struct row *out, struct row_cache_place *place);
/* A row, found or not, that was read after row_cache_get had missed it. [any] */
void row_cache_put(struct row_cache *c, struct bytes key, const struct row *row, const struct row_cache_place *place);

/* The rows that are about to change: a key, or all from `from` to before `to`. [apply] */
void row_cache_change(struct row_cache *c, struct bytes key);
void row_cache_change_range(struct row_cache *c, struct bytes from, struct bytes to);
/* They have changed, or never will. [apply] */
void row_cache_changed(struct row_cache *c);

/* For developers. [any] */
void row_cache_count(struct row_cache *c, size_t *rows, size_t *bytes);

#endif
