/*
 * commit.c: a batch's way from its caller to the committer's queue, and back to its owner.
 *
 *   embedded_commit: build the records -> take the latches -> commit_proceed: seen before? CHECKs hold? pin counters ->
 * enqueue
 *
 * Everything that needs the processor (copies, checksums) or a read happens here, on the caller's thread, so that the
 * committer only writes. [any, resume]
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"

/* A part up to this size is copied beside its header: one piece to write instead of three. Larger ones are referenced.
 */
#define COPY_MOST ((size_t)32 * 1024)
#define TAIL_MOST (7 + RECORD_FOOTER_BYTES)
#define ROW_SPARE ((uint64_t)40)

void
commit_finish(struct commit *c, enum rfs_err error, size_t failed_op)
{
	struct embedded *e = c->driver;
	struct batch *b = c->batch;

	latch_release(&e->latches, c);
	cells_unpin(&e->cells, c);
	space_used(e, c->promised);
	atomic_fetch_sub_explicit(&e->commits, 1, memory_order_relaxed);
	b->error = error;
	b->failed_op = failed_op;
	b->serial = error ? 0 : c->serial;
	b->driver = NULL;
	b->done(b); /* `c` is in the batch's arena: gone */
}

static size_t __attribute__((unused)) parts_len(const struct batch_block *block)
{
	size_t len = 0;

	for (size_t i = 0; i < block->part_count; i++)
		len += block->parts[i].len;
	return len;
}

static bool
is_payload(const struct batch_block *block)
{
	return !block->stored;
}

/* The batch's payload, and whether it is within the limits. */
static bool
measure(const struct batch *b, size_t *records, size_t *pieces)
{
	uint64_t payload = 0;

	*records = 1;
	*pieces = 2;
	if (b->overflow || b->op_count > BATCH_MAX_OPS || b->bytes > BATCH_MAX_BYTES)
		return false;
	for (size_t i = 0; i < b->op_count; i++) {
		if (!batch_owns(b, &b->ops[i]))
			return false;
		for (size_t k = 0; k < b->ops[i].block_count; k++) {
			const struct batch_block *block = &b->ops[i].blocks[k];

			if (!is_payload(block))
				continue;
			assert(parts_len(block) == block->len);
			payload += block->len;
			*records += 1;
			*pieces += block->part_count + 2;
			if (block->len > BATCH_MAX_BLOCK_BYTES || payload > BATCH_MAX_PAYLOAD_BYTES ||
				*records > BATCH_MAX_BLOCKS + 1)
				return false;
		}
	}
	return true;
}

/* What its rows take in the index, at most: keys, values and locations, and what goes with each row, and with the
 * batch. */
static uint64_t
rows_most(const struct batch *b)
{
	uint64_t bytes = b->bytes + (b->op_count + 4) * ROW_SPARE;

	for (size_t i = 0; i < b->op_count; i++)
		bytes += b->ops[i].block_count * BLOCK_LOCATION_BYTES;
	return bytes;
}

/* Adds bytes to the image; bytes that follow the last piece in memory join it. */
static void
image_add(struct commit *c, const void *data, size_t len)
{
	struct iovec *last = c->iov_count ? &c->iov[c->iov_count - 1] : NULL;

	c->image_bytes += len;
	if (last && (const uint8_t *)last->iov_base + last->iov_len == data)
		last->iov_len += len;
	else
		c->iov[c->iov_count++] = (struct iovec){(void *)data, len};
}

static void
record_begin(struct commit *c, enum record_type type, uint8_t *header, uint32_t length, uint64_t number, size_t count)
{
	struct commit_record *r = &c->records[c->record_count];

	r->header = header;
	r->offset = c->image_bytes;
	r->fields = (struct record_header){.type = (uint8_t)type,
		.index = (uint16_t)c->record_count,
		.length = length,
		.count = (uint32_t)count,
		.bucket = c->batch->bucket,
		.number = number};
	c->record_count++;
	image_add(c, header, RECORD_HEADER_BYTES);
}

static void
block_record(struct commit *c, const struct batch_block *block, size_t count)
{
	bool copied = block->len <= COPY_MOST;
	uint8_t *memory = arena_alloc(c->batch->arena, RECORD_HEADER_BYTES + (copied ? block->len : 0) + TAIL_MOST);
	uint8_t *at = memory + RECORD_HEADER_BYTES;
	uint32_t crc = 0;

	record_begin(c, RECORD_BLOCK, memory, (uint32_t)block->len, block->number, count);
	for (size_t p = 0; p < block->part_count; p++) {
		const struct slice *part = &block->parts[p];

		crc = crc32c(crc, part->data, part->len);
		if (!copied) {
			image_add(c, part->data, part->len);
			continue;
		}
		memcpy(at, part->data,
			part->len); /* a small payload is cheaper copied than written as a piece of its own */
		image_add(c, at, part->len);
		at += part->len;
	}
	image_add(c, at, record_tail_encode(crc, block->len, at));
}

/* The batch's bytes in the journal: its BLOCK records, then its COMMIT. Headers are completed by the committer. */
static void
build_image(struct commit *c, size_t records, size_t pieces)
{
	struct batch *b = c->batch;
	struct buf payload;
	uint8_t *memory;
	size_t len;

	c->records = ARENA_ARRAY(b->arena, struct commit_record, records);
	c->iov = ARENA_ARRAY(b->arena, struct iovec, pieces + 1);
	for (size_t i = 0; i < b->op_count; i++)
		for (size_t k = 0; k < b->ops[i].block_count; k++)
			if (is_payload(&b->ops[i].blocks[k]))
				block_record(c, &b->ops[i].blocks[k], records);
	buf_init(&payload, b->arena);
	buf_reserve(&payload, RECORD_HEADER_BYTES + b->bytes + b->op_count * 16 + TAIL_MOST + 64);
	memset(payload.data, 0, RECORD_HEADER_BYTES);
	payload.len = RECORD_HEADER_BYTES;
	commit_encode(b, c->records, c->image_bytes, &payload);
	len = payload.len - RECORD_HEADER_BYTES;
	buf_reserve(&payload, TAIL_MOST);
	memory = payload.data;
	record_begin(c, RECORD_COMMIT, memory, (uint32_t)len, 0, records);
	image_add(c, memory + RECORD_HEADER_BYTES,
		len + record_tail_encode(
			      crc32c(0, memory + RECORD_HEADER_BYTES, len), len, memory + RECORD_HEADER_BYTES + len));
}

/* CHECKed keys shared, changed ones exclusive, and the batch's id. Keys with a slot are new: nobody else can have them.
 */
static void
build_holds(struct commit *c)
{
	struct embedded *e = c->driver;
	struct batch *b = c->batch;
	struct latch_hold *hold;

	c->holds = ARENA_ARRAY(b->arena, struct latch_hold, b->op_count + 1);
	for (size_t i = 0; i < b->op_count; i++) {
		const struct batch_op *op = &b->ops[i];
		bool changes = op->kind == BATCH_PUT || op->kind == BATCH_DELETE || op->kind == BATCH_BLOCKS;

		if (op->slot != SLOT_NONE || (op->kind != BATCH_CHECK && !changes) || MUTANT("latches-ignored"))
			continue;
		hold = &c->holds[c->hold_count++];
		hold->hash = hash64(op->key, e->hash_seed);
		hold->exclusive = changes;
	}
	if (!batch_has_id(b))
		return;
	hold = &c->holds[c->hold_count++];
	hold->hash = hash64(bytes_of(b->id, sizeof(b->id)), e->hash_seed ^ b->bucket);
	hold->exclusive = true;
}

/* A batch that was committed in the last ten minutes answers what it answered then. */
static enum rfs_err
find_repeat(struct commit *c, bool nowait, bool *found)
{
	struct embedded *e = c->driver;
	uint64_t epoch = (uint64_t)(c->time_ns / BATCH_ID_EPOCH_NS), numbers[2];
	uint8_t key[ID_KEY_BYTES];
	enum rfs_err err;

	*found = false;
	if (!batch_has_id(c->batch) || MUTANT("repeats-ignored"))
		return RFS_OK;
	for (uint64_t back = 0; back <= 1 && !*found; back++) {
		key_batch_id(epoch - back, c->batch->bucket, c->batch->id, key);
		if ((err = index_numbers(&e->index, bytes_of(key, sizeof(key)), nowait, numbers, found)))
			return err;
	}
	if (*found)
		c->serial = numbers[0];
	return RFS_OK;
}

/* The row's serial; 0: no such row. A row that is not there is about to be made: that is not kept. */
static enum rfs_err
serial_of(struct commit *c, struct bytes key, bool nowait, uint64_t *serial)
{
	struct row_cache_place place;
	struct row row;
	enum rfs_err err = RFS_OK;

	if (!row_cache_get(c->driver->rows, NULL, key, &row, &place)) {
		err = index_get(&c->driver->index, c->batch->arena, key, nowait, &row);
		if (!err && row.found)
			row_cache_put(c->driver->rows, key, &row, &place);
	}
	*serial = row.serial;
	return err;
}

static enum rfs_err
verify_checks(struct commit *c, bool nowait, size_t *failed_op)
{
	struct batch *b = c->batch;
	enum rfs_err err;
	uint64_t serial;

	for (size_t i = 0; i < b->op_count; i++) {
		if (!batch_op_checks(&b->ops[i]))
			continue;
		if ((err = serial_of(c, b->ops[i].key, nowait, &serial)))
			return err;
		if (serial != b->ops[i].number && !MUTANT("checks-ignored")) {
			*failed_op = i;
			return RFS_ERR_CONFLICT;
		}
	}
	return RFS_OK;
}

static enum rfs_err
pin_kind(struct commit *c, bool expects, bool nowait)
{
	struct batch *b = c->batch;
	enum rfs_err err;

	for (size_t i = 0; i < b->op_count; i++) {
		enum batch_op_kind kind = b->ops[i].kind;
		struct cell *cell;

		if (expects ? kind != BATCH_EXPECT : kind != BATCH_ADD && kind != BATCH_MAX)
			continue;
		if ((err = cell_pin(&c->driver->cells, &c->driver->index, b->ops[i].key, nowait, &cell)))
			return err;
		c->uses[c->use_count++] = (struct counter_use){.cell = cell, .op = i};
	}
	return RFS_OK;
}

enum rfs_err
commit_pin(struct commit *c, bool nowait)
{
	struct batch *b = c->batch;
	uint8_t key[DRIVER_KEY_BYTES];
	enum rfs_err err;
	size_t count = 0;

	for (size_t i = 0; i < b->op_count; i++) {
		count += b->ops[i].kind == BATCH_ADD || b->ops[i].kind == BATCH_MAX || b->ops[i].kind == BATCH_EXPECT;
		c->has_append |= b->ops[i].kind == BATCH_APPEND;
	}
	c->uses = ARENA_ARRAY(b->arena, struct counter_use, count + 1);
	if ((err = pin_kind(c, false, nowait)) || (err = pin_kind(c, true, nowait)))
		return err;
	key_state(b->bucket, key);
	return cell_pin(&c->driver->cells, &c->driver->index, bytes_of(key, sizeof(key)), nowait, &c->bucket_cell);
}

static void
enqueue(void *commit)
{
	struct commit *c = commit;

	commit_enqueue(c->driver, c);
}

/* All that a loop has ready goes into one group. */
static void
enqueue_at_turn_end(struct commit *c)
{
	c->turn_end = (struct deferred){.fn = enqueue, .arg = c};
	if (!turn_defer(&c->turn_end))
		enqueue(c);
}

void
commit_proceed(struct commit *c, bool nowait)
{
	enum rfs_err err;
	size_t failed_op = 0;
	bool repeat = false;

	err = find_repeat(c, nowait, &repeat);
	if (!err && !repeat)
		err = verify_checks(c, nowait, &failed_op);
	if (!err && !repeat)
		err = commit_pin(c, nowait);
	if (err == RFS_ERR_WOULD_BLOCK) {
		cells_unpin(&c->driver->cells, c);
		latch_defer(&c->driver->latches, c);
	} else if (err || repeat)
		commit_finish(c, err, failed_op);
	else
		enqueue_at_turn_end(c);
}

void
embedded_commit(struct metadata_driver *d, struct batch *batch)
{
	struct embedded *e = (struct embedded *)(void *)d;
	struct commit *c = ARENA_NEW(batch->arena, struct commit);
	size_t records, pieces;
	enum rfs_err err;

	c->batch = batch;
	c->driver = e;
	c->time_ns = clock_wall_ns();
	batch->driver = c;
	atomic_fetch_add_explicit(&e->commits, 1, memory_order_relaxed);
	if (!measure(batch, &records, &pieces)) {
		commit_finish(c, RFS_ERR_LIMIT, 0);
		return;
	}
	if (atomic_load(&e->poisoned)) {
		commit_finish(c, RFS_ERR_POISONED, 0);
		return;
	}
	build_image(c, records, pieces);
	if ((err = space_admit(e, batch->need, c->image_bytes, rows_most(batch), &c->promised))) {
		commit_finish(c, err, 0);
		return;
	}
	build_holds(c);
	if (latch_acquire(&e->latches, c))
		commit_proceed(c, batch->nowait);
}
