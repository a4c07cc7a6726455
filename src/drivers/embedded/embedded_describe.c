/*
 * embedded_describe.c: the driver's state, for developers (struct metadata_ops, `describe`): what is on its way, and
 * how far each part has come. Each lock is held for a moment, so parts may be of different moments. [worker]
 */
#include "base/clock.h"
#include "drivers/embedded/embedded_int.h"

static void
dump_position(struct dump *out, const char *name, const struct position *p)
{
	dump_object(out, name);
	dump_volume(out, "volume", p->volume);
	dump_number(out, "offset", p->offset);
	dump_number(out, "group", p->group);
	dump_number(out, "sequence", p->sequence);
	dump_end(out);
}

static void
dump_batch(struct dump *out, const struct commit *c)
{
	dump_object(out, NULL);
	dump_number(out, "bucket", c->batch->bucket);
	dump_number(out, "operations", c->batch->op_count);
	dump_number(out, "bytes", c->image_bytes);
	dump_number(out, "age_ms", (uint64_t)(clock_wall_ns() - c->time_ns) / 1000000);
	dump_end(out);
}

/* Those that wait for the committer; whoever waits for a latch is told by latch_describe. */
static void
describe_journal(struct embedded *e, struct dump *out)
{
	struct journal *j = &e->journal;
	struct position reached;
	size_t listed = 0;

	dump_object(out, "journal");
	dump_list(out, "queue");
	pthread_mutex_lock(&j->queue_lock);
	for (struct commit *c = j->queue; c && listed < DUMP_LIST_MOST; c = c->next, listed++)
		dump_batch(out, c);
	reached = j->reached;
	pthread_mutex_unlock(&j->queue_lock);
	dump_end(out);
	dump_position(out, "written", &reached);
	pthread_mutex_lock(&j->zero_lock);
	dump_number(out, "zeroed", j->zero_mark);
	pthread_mutex_unlock(&j->zero_lock);
	dump_end(out);
}

static void
describe_index(struct embedded *e, struct dump *out)
{
	struct position applied;
	size_t rows, bytes;
	bool found;

	dump_object(out, "index");
	if (!index_applied(&e->index, &applied, &found) && found)
		dump_position(out, "applied", &applied);
	pthread_mutex_lock(&e->applier.lock);
	dump_number(out, "groups_waiting", e->applier.pending);
	pthread_mutex_unlock(&e->applier.lock);
	dump_bool(out, "refused_a_write", atomic_load(&e->index.refused));
	pthread_mutex_lock(&e->flush_lock);
	dump_number(out, "bytes_unsynced", e->flush_pending);
	pthread_mutex_unlock(&e->flush_lock);
	row_cache_count(e->rows, &rows, &bytes);
	dump_number(out, "rows_cached", rows);
	dump_number(out, "bytes_cached", bytes);
	dump_end(out);
}

static void
describe_checkpoint(struct embedded *e, struct dump *out)
{
	struct checkpoint_info newest;

	checkpoint_newest(e, &newest);
	dump_object(out, "checkpoint");
	dump_volume(out, "newest", newest.number);
	dump_number(out, "bytes", newest.bytes);
	dump_number(out, "rows", newest.rows);
	dump_number(out, "sequence", newest.sequence);
	dump_volume(out, "journal_volume", newest.volume);
	dump_number(out, "journal_offset", newest.offset);
	dump_end(out);
}

static void
describe_counters(struct embedded *e, struct dump *out)
{
	struct cell_table *t = &e->cells;

	dump_object(out, "counters");
	pthread_mutex_lock(&t->lock);
	dump_number(out, "cells", t->count);
	dump_number(out, "pinned", t->count - t->unpinned_count);
	pthread_mutex_unlock(&t->lock);
	dump_end(out);
}

/* Open ones, and those that only wait for their tickets. */
static void
describe_bulk(struct embedded *e, struct dump *out)
{
	size_t listed = 0;

	dump_list(out, "bulk_volumes");
	pthread_mutex_lock(&e->bulk.lock);
	for (struct bulk_volume *v = e->bulk.volumes; v && listed < DUMP_LIST_MOST; v = v->next, listed++) {
		dump_object(out, NULL);
		dump_volume(out, "volume", v->number);
		dump_bool(out, "open", v->fd >= 0);
		dump_number(out, "offset", v->offset);
		dump_number(out, "writes_finished", v->written);
		dump_number(out, "writes_synced", v->synced);
		dump_number(out, "writes_under_way", v->writing);
		dump_number(out, "tickets", v->tickets);
		dump_bool(out, "syncing", v->syncing);
		dump_end(out);
	}
	pthread_mutex_unlock(&e->bulk.lock);
	dump_end(out);
}

static void
describe_open_volumes(struct embedded *e, struct dump *out)
{
	struct volume_cache *c = &e->cache;
	size_t pins = 0;

	dump_object(out, "volumes_open_for_reading");
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->count; i++)
		pins += c->list[i]->pins;
	dump_number(out, "count", c->count);
	dump_number(out, "reads_under_way", pins);
	pthread_mutex_unlock(&c->lock);
	dump_end(out);
}

static void
describe_space(struct embedded *e, struct dump *out)
{
	dump_object(out, "space");
	dump_number(out, "bytes_on_disk", atomic_load(&e->disk_bytes));
	dump_bool(out, "full", atomic_load(&e->space.full));
	dump_number(out, "credit", (uint64_t)atomic_load(&e->space.credit));
	pthread_mutex_lock(&e->space.lock);
	dump_number(out, "reserve", e->space.reserve);
	dump_number(out, "reserve_wanted", e->space.target);
	pthread_mutex_unlock(&e->space.lock);
	dump_end(out);
}

void
embedded_describe(struct metadata_driver *d, struct dump *out)
{
	struct embedded *e = (struct embedded *)(void *)d;

	dump_text(out, "name", BYTES_LITERAL("embedded"));
	dump_bool(out, "poisoned", atomic_load(&e->poisoned));
	if (atomic_load(&e->failed))
		dump_text(out, "failed", bytes_str(atomic_load(&e->failed)));
	dump_number(out, "batches_under_way", atomic_load(&e->commits));
	latch_describe(&e->latches, out);
	describe_journal(e, out);
	describe_index(e, out);
	describe_checkpoint(e, out);
	describe_counters(e, out);
	describe_bulk(e, out);
	sealer_describe(&e->sealer, out);
	describe_open_volumes(e, out);
	describe_space(e, out);
}
