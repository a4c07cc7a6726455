/*
 * counters.c: the committer's table of counters and bucket states, in memory.
 *
 * A worker pins a cell before it reads the row, so no older value can overwrite a newer one: while anyone pins it, the
 * cell stays and only the committer changes it; pins drop after the value is applied; only unpinned cells are evicted,
 * and what RocksDB holds is then the last value.
 */
#include "base/hash.h"
#include "drivers/embedded/embedded_int.h"
#include <stdlib.h>

#define CELL_SLOTS 4096
#define CELLS_UNPINNED 16384

void
cell_table_init(struct cell_table *t)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->slot_count = CELL_SLOTS;
	t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
	t->unpinned.older = t->unpinned.newer = &t->unpinned;
}

void
cell_table_fini(struct cell_table *t)
{
	for (size_t i = 0; i < t->slot_count; i++) {
		struct cell *next;

		for (struct cell *cell = t->slots[i]; cell; cell = next) {
			next = cell->chain;
			free(cell);
		}
	}
	free(t->slots);
	pthread_mutex_destroy(&t->lock);
}

/* The list head's `newer` is the oldest cell. */
static void
list_remove_locked(struct cell_table *t, struct cell *cell)
{
	cell->older->newer = cell->newer;
	cell->newer->older = cell->older;
	t->unpinned_count--;
}

static void
list_append_locked(struct cell_table *t, struct cell *cell)
{
	cell->newer = &t->unpinned;
	cell->older = t->unpinned.older;
	cell->older->newer = cell;
	t->unpinned.older = cell;
	t->unpinned_count++;
}

static void
evict_locked(struct cell_table *t)
{
	struct cell *cell = t->unpinned.newer, **at;

	list_remove_locked(t, cell);
	for (at = &t->slots[cell->hash % t->slot_count]; *at != cell; at = &(*at)->chain)
		;
	*at = cell->chain;
	t->count--;
	free(cell);
}

static struct cell *
find_or_add_locked(struct cell_table *t, struct bytes key, uint64_t hash)
{
	struct cell **slot = &t->slots[hash % t->slot_count], *cell;

	for (cell = *slot; cell; cell = cell->chain)
		if (cell->hash == hash && cell->key_len == key.len && memcmp(cell->key, key.data, key.len) == 0)
			break;
	if (cell == NULL) {
		cell = xcalloc(1, sizeof(*cell) + key.len);
		cell->hash = hash;
		cell->key_len = key.len;
		memcpy(cell->key, key.data, key.len);
		cell->chain = *slot;
		*slot = cell;
		t->count++;
	} else if (cell->pins == 0) {
		list_remove_locked(t, cell);
	}
	cell->pins++;
	return cell;
}

static void
unpin_locked(struct cell_table *t, struct cell *cell)
{
	if (--cell->pins)
		return;
	list_append_locked(t, cell);
	if (t->unpinned_count > CELLS_UNPINNED)
		evict_locked(t);
}

enum rfs_err
cell_pin(struct cell_table *t, struct index *ix, struct bytes key, bool nowait, struct cell **out)
{
	uint64_t hash = hash64(key, 0), numbers[2];
	struct cell *cell;
	enum rfs_err err;
	bool found, loaded;

	pthread_mutex_lock(&t->lock);
	cell = find_or_add_locked(t, key, hash);
	loaded = cell->loaded;
	pthread_mutex_unlock(&t->lock);
	if (!loaded) {
		err = index_numbers(ix, key, nowait, numbers, &found);
		pthread_mutex_lock(&t->lock);
		if (err) {
			unpin_locked(t, cell);
		} else if (!cell->loaded) {
			cell->value = numbers[0];
			cell->feed = numbers[1];
			cell->loaded = true;
		}
		pthread_mutex_unlock(&t->lock);
		if (err)
			return err;
	}
	*out = cell;
	return RFS_OK;
}

void
cells_unpin(struct cell_table *t, struct commit *c)
{
	if (c->use_count == 0 && c->bucket_cell == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < c->use_count; i++)
		unpin_locked(t, c->uses[i].cell);
	if (c->bucket_cell)
		unpin_locked(t, c->bucket_cell);
	pthread_mutex_unlock(&t->lock);
	c->use_count = 0;
	c->bucket_cell = NULL;
}
