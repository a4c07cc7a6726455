/*
 * compaction_move.c: moves the blocks that rows name out of a sealed volume; see storage_int.h. [background]
 *
 * A run's row is put again with the new places of its blocks, CHECKed to be as it was read: a run that is dropped or shared meanwhile is a lost race, and is
 * looked at again. Bytes are copied as they are stored; small ones go with the batch into the journal, others through the driver as a writer's do. What is in
 * memory of it need not survive: a crash leaves rows with either place, and blocks that no row names.
 */
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define RUNS_AT_ONCE 64
#define BYTES_AT_ONCE ((uint64_t)4 * 1024 * 1024) /* a batch takes no further run then */
#define ATTEMPTS 5

struct mover {
	struct storage *storage;
	struct request *rq;
	uint64_t volume;
	struct storage_block *blocks; /* of the volume, by bucket and number */
	size_t count;

	struct batch *batch;
	struct block_ticket *tickets; /* of what was put for the batch */
	size_t ticket_count, ticket_capacity;
	uint64_t batch_bytes, with_batch; /* moved by the batch; of them in it */
	uint64_t batch_blocks;
};

static void
batch_begin(struct mover *m, uint64_t bucket)
{
	if (m->batch)
		batch_free(m->batch);
	m->batch = batch_new(bucket);
	m->batch_bytes = m->batch_blocks = m->with_batch = 0;
	m->ticket_count = 0;
	request_clear_error(m->rq);
	arena_reset(m->rq->arena);
}

/* The run that a block of the volume belongs to, if there is a row that names the block in this place. */
static enum rfs_err
run_find(struct mover *m, const struct storage_block *block, struct row *row, struct run_row *run, bool *found)
{
	uint64_t low = block->number < RUN_MAX_BLOCKS ? 0 : block->number - RUN_MAX_BLOCKS + 1;
	struct bytes from = key_block(m->rq->arena, block->bucket, low), to = key_block(m->rq->arena, block->bucket, block->number + 1);
	struct row_page page;
	uint64_t index;
	enum rfs_err err;

	*found = false;
	if ((err = metadata_scan(m->storage->metadata, m->rq, from, to, 1, true, &page)) || !page.count)
		return err;
	*row = page.rows[0];
	if ((err = run_decode(row->value, run)))
		return request_fail(m->rq, err, "reading a row of blocks");
	run->first = load_be64(row->key.data + 9);
	index = block->number - run->first;
	*found = index < run->count && memcmp(run->locations + index * BLOCK_LOCATION_BYTES, block->location.bytes, BLOCK_LOCATION_BYTES) == 0;
	return RFS_OK;
}

/* A block's bytes get a place in the batch, or one of their own. Takes the payload. */
static enum rfs_err
block_place(struct mover *m, uint64_t number, struct slice *payload, struct batch_block *out)
{
	struct storage *s = m->storage;
	struct block_ticket *ticket;
	enum rfs_err err;

	m->batch_bytes += payload->len;
	m->batch_blocks++;
	if (s->fused && payload->len <= s->small_bytes && m->with_batch + payload->len <= BYTES_AT_ONCE) {
		*out = (struct batch_block){ .number = number, .parts = payload, .part_count = 1, .len = payload->len };
		m->with_batch += payload->len;
		return RFS_OK;
	}
	if (m->ticket_count == m->ticket_capacity) {
		m->ticket_capacity = m->ticket_capacity ? m->ticket_capacity * 2 : RUN_MAX_BLOCKS;
		m->tickets = xrealloc(m->tickets, m->ticket_capacity * sizeof(*m->tickets));
	}
	ticket = &m->tickets[m->ticket_count];
	err = s->driver->ops->put(s->driver, m->rq, m->batch->bucket, number, payload, 1, ticket);
	slice_unref(payload);
	if (err)
		return err;
	m->ticket_count++;
	*out = (struct batch_block){ .number = number, .stored = true, .location = ticket->location };
	return RFS_OK;
}

/* Adds the run's row with new places for those of its blocks that lie in the volume. DAMAGED: one cannot be read */
static enum rfs_err
run_add_moved(struct mover *m, const struct row *row, const struct run_row *run)
{
	struct storage_driver *d = m->storage->driver;
	struct batch_block blocks[RUN_MAX_BLOCKS];
	struct slice payloads[RUN_MAX_BLOCKS] = { 0 };
	enum rfs_err err = RFS_OK;

	for (uint32_t i = 0; !err && i < run->count; i++) {
		struct block_location location;
		uint64_t volume, bytes;

		memcpy(location.bytes, run->locations + (size_t)i * BLOCK_LOCATION_BYTES, BLOCK_LOCATION_BYTES);
		d->volumes->locate(&location, &volume, &bytes);
		if (volume != m->volume) {
			blocks[i] = (struct batch_block){ .number = run->first + i, .stored = true, .location = location };
			continue;
		}
		err = d->ops->get(d, m->rq, m->batch->bucket, run->first + i, &location, 0, run->stored_sizes[i], &payloads[i]);
		if (err) {
			log_error(m->rq->id, "compaction: block %llu of bucket number %llu stays in volume %016llx: %s",
				(unsigned long long)(run->first + i), (unsigned long long)m->batch->bucket, (unsigned long long)m->volume,
				error_face(err)->text);
			err = RFS_ERR_DAMAGED; /* whatever it is, the others can be moved */
		} else {
			err = block_place(m, run->first + i, &payloads[i], &blocks[i]);
		}
	}
	if (!err) {
		struct bytes value = bytes_of(row->value.data, (size_t)(run->locations - row->value.data));

		struct batch_op *op = batch_blocks(m->batch, row->key, value, blocks, run->count);

		if (!MUTANT("move-not-checked"))
			batch_checked(op, row->serial);
	}
	for (uint32_t i = 0; i < run->count; i++)
		slice_unref(&payloads[i]);
	return err;
}

/* Adds up to `limit` runs from block `*at` on, which moves behind them; all of one bucket. A damaged run ends the batch, or is passed over as its first. */
static enum rfs_err
batch_fill(struct mover *m, size_t *at, size_t limit, struct moved *out)
{
	uint64_t bucket = m->blocks[*at].bucket;

	batch_begin(m, bucket);
	for (size_t runs = 0; *at < m->count && m->blocks[*at].bucket == bucket && runs < limit && m->batch_bytes < BYTES_AT_ONCE;) {
		const struct storage_block *block = &m->blocks[*at];
		struct run_row run;
		struct row row;
		bool found;
		enum rfs_err err;

		if ((err = run_find(m, block, &row, &run, &found)))
			return err;
		if (!found) {
			++*at;
			continue;
		}
		err = run_add_moved(m, &row, &run);
		if (err == RFS_ERR_DAMAGED)
			out->damaged++;
		else if (err)
			return err;
		runs++;
		while (*at < m->count && m->blocks[*at].bucket == bucket && m->blocks[*at].number < run.first + run.count)
			++*at;
	}
	return RFS_OK;
}

static enum rfs_err
batch_commit(struct mover *m)
{
	struct storage_driver *d = m->storage->driver;
	enum rfs_err err = RFS_OK;

	if (m->ticket_count)
		err = d->ops->wait(d, m->rq, m->tickets, m->ticket_count);
	if (!err && m->batch->op_count)
		err = metadata_commit(m->storage->metadata, m->rq, m->batch);
	return err;
}

/* From block `*at` on, one batch; `limit` and `attempt` are kept between calls: after a lost race its runs go one by one. */
static enum rfs_err
batch_move(struct mover *m, size_t *at, size_t *limit, unsigned *attempt, struct moved *out)
{
	struct storage_driver *d = m->storage->driver;
	struct moved after = *out;
	size_t next = *at;
	enum rfs_err err;

	err = batch_fill(m, &next, *limit, &after);
	if (!err)
		err = batch_commit(m);
	if (err)
		blocks_abandon(m->storage, m->tickets, m->ticket_count);
	else
		d->ops->settle(d, m->tickets, m->ticket_count);
	if (err == RFS_ERR_CONFLICT && (*limit > 1 || ++*attempt < ATTEMPTS)) {
		*limit = 1;
		return RFS_OK;
	}
	if (err == RFS_ERR_CONFLICT) {
		after.lost++;
	} else if (err) {
		return err;
	} else {
		after.blocks += m->batch_blocks;
		after.bytes += m->batch_bytes;
		metric_add(METRIC_COMPACTION_MOVED, (int64_t)m->batch_bytes);
	}
	*out = after;
	*at = next;
	*limit = RUNS_AT_ONCE;
	*attempt = 0;
	return RFS_OK;
}

enum rfs_err
volume_move(struct storage *s, struct request *rq, uint64_t volume, move_pace *pace, void *data, struct moved *out)
{
	struct mover m = { .storage = s, .rq = rq, .volume = volume };
	uint64_t left = out->lost + out->damaged;
	size_t at = 0, limit = RUNS_AT_ONCE;
	unsigned attempt = 0;
	enum rfs_err err;

	err = s->driver->volumes->blocks(s->driver, rq, volume, &m.blocks, &m.count);
	while (!err && at < m.count) {
		err = batch_move(&m, &at, &limit, &attempt, out);
		if (!err && !pace(data, 2 * m.batch_bytes))
			err = RFS_ERR_CANCELLED;
	}
	metric_add(METRIC_COMPACTION_LEFT, (int64_t)(out->lost + out->damaged - left));
	if (m.batch)
		batch_free(m.batch);
	free(m.tickets);
	free(m.blocks);
	return err;
}
