/*
 * apply.c: a synced group becomes one RocksDB write, and its batches are given back to their owners: on the apply
 * thread, or on the committer's when it has nothing else to do, which saves the way to another thread and back.
 *
 * RocksDB gets absolute values of counters, and of a counter changed several times in a group only the last. The write is
 * sorted by key (row_sorter.c); what happens to one key, or around the removal of a range, stays in the order of the log. [apply]
 */
#include "base/log.h"
#include "drivers/embedded/embedded_int.h"
#include "base/crash_point.h"
#include "base/mutant.h"
#include <stdlib.h>
#include <time.h>

/* Groups synced and not yet applied; the committer waits at this many. */
#define GROUPS_PENDING 8

#define PARTS_MOST 4

/* Pieces of a value. */
struct parts {
	const char *data[PARTS_MOST];
	size_t len[PARTS_MOST];
	int count;
};

static void
parts_add(struct parts *p, const void *data, size_t len)
{
	p->data[p->count] = data;
	p->len[p->count++] = len;
}

/* The key, its slot filled. */
static struct bytes
key_whole(const struct commit *c, const struct batch_op *op)
{
	struct bytes key = op->key;

	if (op->slot == SLOT_NONE)
		return key;
	key = arena_copy(c->batch->arena, key);
	store_be64((uint8_t *)key.data + key.len - 8, op->slot == SLOT_SERIAL ? c->serial : ~c->serial);
	return key;
}

/* Each row that a batch changes goes through one of these three: what is cached of it ends here. */
static void
row_put(struct embedded *e, struct bytes key, const struct parts *parts)
{
	size_t len = 0;
	uint8_t *value, *at;

	row_cache_change(e->rows, key);
	for (int i = 0; i < parts->count; i++)
		len += parts->len[i];
	value = at = row_sorter_put(&e->applier.sorter, key, len);
	for (int i = 0; i < parts->count; at += parts->len[i++])
		if (parts->len[i])
			memcpy(at, parts->data[i], parts->len[i]);
	assert(at == value + len);
}

static void
row_delete(struct embedded *e, struct bytes key)
{
	row_cache_change(e->rows, key);
	row_sorter_delete(&e->applier.sorter, key);
}

static void
row_delete_range(struct embedded *e, struct bytes from, struct bytes to)
{
	row_cache_change_range(e->rows, from, to);
	if (!MUTANT("rows-pass-ranges"))
		row_sorter_write(&e->applier.sorter, e->applier.wb); /* what came before it stays before it */
	rocksdb_writebatch_delete_range(
		e->applier.wb, (const char *)from.data, from.len, (const char *)to.data, to.len);
}

/* The places of a BLOCKS operation's blocks; those that went with the batch lie before its COMMIT, in order. */
static uint8_t *
block_locations(const struct commit *c, const struct batch_op *op, size_t *record)
{
	uint8_t *out = xmalloc(op->block_count * BLOCK_LOCATION_BYTES + 1);
	struct block_location location;

	for (size_t i = 0; i < op->block_count; i++) {
		if (op->blocks[i].stored) {
			location = op->blocks[i].location;
			if (!MUTANT("lost-volumes-forgotten"))
				volume_numbers_from(c->driver, (uint64_t)load_u32(location.bytes) + 1); /* when recovered */
		} else {
			location_encode(c->volume, c->records[*record].fields.length,
				c->offset + c->records[*record].offset + RECORD_HEADER_BYTES, &location);
			(*record)++;
		}
		memcpy(out + i * BLOCK_LOCATION_BYTES, location.bytes, BLOCK_LOCATION_BYTES);
	}
	return out;
}

static void
apply_row(struct embedded *e, const struct commit *c, const struct batch_op *op, size_t *record)
{
	static const char tag = ROW_TAG_ROW;
	uint8_t serial[8], feed[8], *locations = NULL;
	struct parts value = {.count = 0};

	parts_add(&value, &tag, 1);
	parts_add(&value, op->value.data, op->value.len);
	if (op->kind == BATCH_APPEND) {
		store_u64(feed, c->previous_feed);
		parts_add(&value, feed, 8);
	} else if (op->kind == BATCH_BLOCKS) {
		locations = block_locations(c, op, record);
		parts_add(&value, locations, op->block_count * BLOCK_LOCATION_BYTES);
	}
	store_u64(serial, c->serial);
	parts_add(&value, serial, 8);
	row_put(e, key_whole(c, op), &value);
	free(locations);
}

static void
apply_counters(struct embedded *e, const struct commit *c)
{
	uint8_t value[9] = {ROW_TAG_COUNTER};
	struct parts parts = {.data = {(const char *)value}, .len = {sizeof(value)}, .count = 1};

	for (size_t i = 0; i < c->use_count; i++) {
		const struct counter_use *use = &c->uses[i];
		struct bytes key = c->batch->ops[use->op].key;

		if (use->superseded || c->batch->ops[use->op].kind == BATCH_EXPECT)
			continue;
		if (use->value == 0) {
			row_delete(e, key);
			continue;
		}
		store_u64(value + 1, use->value);
		row_put(e, key, &parts);
	}
}

/* The memory of the batch's id; ids of epochs before the last are forgotten when an epoch begins. */
static void
apply_id(struct embedded *e, const struct commit *c)
{
	uint64_t epoch = (uint64_t)(c->time_ns / BATCH_ID_EPOCH_NS);
	uint8_t value[17] = {ROW_TAG_ID}, from[ID_KEY_BYTES], to[ID_KEY_BYTES];
	static const uint8_t none[16];

	if (epoch > e->applier.epoch) {
		e->applier.epoch = epoch;
		key_batch_id(0, 0, none, from);
		key_batch_id(epoch - 1, 0, none, to);
		rocksdb_writebatch_delete_range(
			e->applier.wb, (const char *)from, sizeof(from), (const char *)to, sizeof(to));
	}
	store_u64(value + 1, c->serial);
	store_u64(value + 9, (uint64_t)c->time_ns);
	key_batch_id(epoch, c->batch->bucket, c->batch->id, from);
	rocksdb_writebatch_put(e->applier.wb, (const char *)from, sizeof(from), (const char *)value, sizeof(value));
}

static void
apply_own_rows(struct embedded *e, const struct commit *c)
{
	uint8_t state[DRIVER_KEY_BYTES], value[17] = {ROW_TAG_STATE};

	if (batch_has_id(c->batch))
		apply_id(e, c);
	if (c->bucket_superseded)
		return;
	store_u64(value + 1, c->serial);
	store_u64(value + 9, c->has_append ? c->serial : c->previous_feed);
	key_state(c->batch->bucket, state);
	rocksdb_writebatch_put(e->applier.wb, (const char *)state, sizeof(state), (const char *)value, sizeof(value));
}

static void
apply_commit(struct embedded *e, const struct commit *c)
{
	size_t record = 0;

	for (size_t i = 0; i < c->batch->op_count; i++) {
		const struct batch_op *op = &c->batch->ops[i];

		switch (op->kind) {
		case BATCH_PUT:
		case BATCH_APPEND:
		case BATCH_BLOCKS:
			apply_row(e, c, op, &record);
			break;
		case BATCH_DELETE:
			row_delete(e, op->key);
			break;
		case BATCH_DELETE_RANGE:
			row_delete_range(e, op->key, op->value);
			break;
		default:
			break;
		}
	}
	apply_counters(e, c);
	apply_own_rows(e, c);
}

/* Behind the rows that it goes with, which may name volumes. */
static void
put_position(struct embedded *e, const struct position *p)
{
	struct position position = *p;

	position.next_volume = atomic_load(&e->next_volume);
	index_put_applied(e->applier.wb, &position);
}

/* The rows, which may be far less than the group: blocks are in the journal alone. Returns their bytes. */
static size_t
gather_rows(struct embedded *e, struct group *g)
{
	size_t bytes;

	rocksdb_writebatch_clear(e->applier.wb);
	for (struct commit *c = g->first; c; c = c->next)
		if (!c->error)
			apply_commit(e, c);
	row_sorter_write(&e->applier.sorter, e->applier.wb);
	put_position(e, &g->position);
	(void)rocksdb_writebatch_data(e->applier.wb, &bytes);
	return bytes;
}

enum rfs_err
apply_write(struct embedded *e, struct group *g)
{
	enum rfs_err err;

	(void)gather_rows(e, g);
	err = index_write(&e->index, e->applier.wb);
	row_cache_changed(e->rows);
	return err;
}

enum rfs_err
apply_position(struct embedded *e, const struct position *p)
{
	rocksdb_writebatch_clear(e->applier.wb);
	put_position(e, p);
	return index_write(&e->index, e->applier.wb);
}

void
apply_enqueue(struct embedded *e, struct group *g)
{
	struct applier *a = &e->applier;

	g->next = NULL;
	pthread_mutex_lock(&a->lock);
	while (a->pending >= GROUPS_PENDING)
		pthread_cond_wait(&a->room, &a->lock);
	*a->tail = g;
	a->tail = &g->next;
	a->pending++;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

static struct group *
next_group(struct applier *a)
{
	struct group *g;

	pthread_mutex_lock(&a->lock);
	while (a->queue == NULL && !a->stop)
		pthread_cond_wait(&a->wake, &a->lock);
	g = a->queue;
	if (g) {
		a->queue = g->next;
		if (a->queue == NULL)
			a->tail = &a->queue;
	}
	pthread_mutex_unlock(&a->lock);
	return g;
}

static void
group_done(struct embedded *e, struct group *g, enum rfs_err err)
{
	struct applier *a = &e->applier;
	struct commit *next;

	for (struct commit *c = g->first; c; c = next) {
		next = c->next;
		commit_finish(c, c->error ? c->error : err, c->failed_op);
	}
	pthread_mutex_lock(&a->lock);
	if (--a->pending == 0)
		atomic_store_explicit(&e->space.applying_waits, false, memory_order_relaxed);
	pthread_cond_signal(&a->room);
	pthread_mutex_unlock(&a->lock);
	if (g->rotates)
		journal_rotated(e);
	free(g);
}

/* What one of its batches may take of the reserve, all may: they wait for each other. */
static enum space_need
group_need(const struct group *g)
{
	enum space_need need = SPACE_ORDINARY;

	for (const struct commit *c = g->first; c; c = c->next)
		if (!c->error && c->batch->need > need)
			need = c->batch->need;
	return need;
}

/* NO_SPACE: there is none yet, and nothing was done. Behind a table that found none, as much has to be free as RocksDB
 * wants before it tries again. */
static enum rfs_err
write_if_room(struct embedded *e, enum space_need need, uint64_t *bytes)
{
	struct index *ix = &e->index;
	enum rfs_err err;

	if (!space_for_index(e, need, *bytes))
		return RFS_ERR_NO_SPACE;
	err = index_write(ix, e->applier.wb);
	if (err == RFS_ERR_NO_SPACE && !atomic_load(&ix->refused) && *bytes < ix->buffer_bytes) {
		log_warn(0, "the index has no room for a table: writes wait until %llu MiB are free on its disk",
			(unsigned long long)(ix->buffer_bytes >> 20));
		*bytes = ix->buffer_bytes;
	}
	return err;
}

/* The group is durable, and there is no room for it in the index, or for a table that the index has to make: it waits
 * for some, and so does whoever wrote it. */
static enum rfs_err
apply_when_room(struct embedded *e, struct group *g)
{
	static const struct timespec pause = {.tv_nsec = 100000000};
	uint64_t bytes = 2 * gather_rows(e, g) + INDEX_SPARE;
	enum space_need need = group_need(g);
	enum rfs_err err;

	while ((err = write_if_room(e, need, &bytes)) == RFS_ERR_NO_SPACE && !atomic_load(&e->index.refused) &&
		!atomic_load(&e->closing)) {
		atomic_store(&e->space.applying_waits, true);
		nanosleep(&pause, NULL);
	}
	row_cache_changed(e->rows);
	return err;
}

static void
apply_group(struct embedded *e, struct group *g)
{
	struct applier *a = &e->applier;
	enum rfs_err err = RFS_OK;

	if (g->journalled && !a->failed && (err = apply_when_room(e, g))) {
		/* What is in the journal is committed: it shows after the next open. Nothing may be applied
		 * behind a gap. It is not tried again: after a write of its log that failed RocksDB takes none
		 * until it is opened anew, which applies the journal from the last row that it has. */
		log_error(
			0, "apply group %llu: the index takes no writes", (unsigned long long)g->position.group);
		embedded_poison(e, "writing the index");
		a->failed = true;
	}
	if (a->failed)
		err = RFS_ERR_POISONED;
	else if (g->journalled)
		embedded_applied(e, g->bytes);
	crash_point(CRASH_GROUP_APPLIED);
	group_done(e, g, err);
}

void *
apply_main(void *embedded)
{
	struct embedded *e = embedded;
	struct group *g;

	thread_role_set(THREAD_APPLY, "apply");
	while ((g = next_group(&e->applier)))
		apply_group(e, g);
	return NULL;
}

bool
apply_at_once(struct embedded *e, struct group *g)
{
	struct applier *a = &e->applier;
	bool is_next;

	pthread_mutex_lock(&a->lock);
	is_next = a->pending == 0;
	a->pending += is_next;
	pthread_mutex_unlock(&a->lock);
	if (is_next)
		apply_group(e, g);
	return is_next;
}
