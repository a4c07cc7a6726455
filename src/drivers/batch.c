/* batch.c: building a batch. The lists grow in the batch's own arena; a limit that is passed is remembered, not
 * reported. [any] */
#include "drivers/batch.h"
#include "base/clock.h"
#include <stdlib.h>

#define BATCH_ARENA_FIRST 4096
#define BATCH_FIRST_OPS 16

struct batch *
batch_new(uint64_t bucket)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->arena = arena_new(BATCH_ARENA_FIRST);
	b->bucket = bucket;
	return b;
}

void
batch_identify(struct batch *b)
{
	uuid_v7(b->id); /* by the kernel's generator: an id that comes twice would be answered without being written */
}

/* Payload slices are the only things that the arena does not own. */
static void
drop_payload(struct batch *b)
{
	for (size_t i = 0; i < b->op_count; i++)
		for (size_t k = 0; k < b->ops[i].block_count; k++)
			for (size_t p = 0; p < b->ops[i].blocks[k].part_count; p++)
				slice_unref(&b->ops[i].blocks[k].parts[p]);
}

void
batch_free(struct batch *b)
{
	if (b == NULL)
		return;
	drop_payload(b);
	arena_free(b->arena);
	free(b);
}

void
batch_reset(struct batch *b)
{
	struct batch kept = *b;

	drop_payload(b);
	arena_reset(b->arena);
	memset(b, 0, sizeof(*b));
	b->arena = kept.arena;
	b->bucket = kept.bucket;
	b->done = kept.done;
	b->done_data = kept.done_data;
}

/* The operations move when the list grows: a pointer to one is good until the next call. */
static struct batch_op *
op_new(struct batch *b, enum batch_op_kind kind, struct bytes key, struct bytes value)
{
	struct batch_op *op, *grown;

	if (b->op_count == b->op_capacity) {
		b->op_capacity = b->op_capacity ? b->op_capacity * 2 : BATCH_FIRST_OPS;
		grown = ARENA_ARRAY(b->arena, struct batch_op, b->op_capacity);
		if (b->op_count)
			memcpy(grown, b->ops, b->op_count * sizeof(*grown));
		b->ops = grown;
	}
	op = &b->ops[b->op_count];
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	b->bytes += key.len + value.len;
	if (b->op_count >= BATCH_MAX_OPS || b->bytes > BATCH_MAX_BYTES) {
		b->overflow = true; /* the slot is not counted, and the bytes are not copied */
		return op;
	}
	b->op_count++;
	op->key = arena_copy(b->arena, key);
	op->value = arena_copy(b->arena, value);
	return op;
}

struct batch_op *
batch_check(struct batch *b, struct bytes key, uint64_t serial)
{
	struct batch_op *op = op_new(b, BATCH_CHECK, key, bytes_of(NULL, 0));

	op->number = serial;
	return op;
}

struct batch_op *
batch_put(struct batch *b, struct bytes key, struct bytes value)
{
	return op_new(b, BATCH_PUT, key, value);
}

struct batch_op *
batch_delete(struct batch *b, struct bytes key)
{
	return op_new(b, BATCH_DELETE, key, bytes_of(NULL, 0));
}

struct batch_op *
batch_delete_range(struct batch *b, struct bytes from, struct bytes to)
{
	return op_new(b, BATCH_DELETE_RANGE, from, to);
}

struct batch_op *
batch_add(struct batch *b, struct bytes key, int64_t delta)
{
	struct batch_op *op = op_new(b, BATCH_ADD, key, bytes_of(NULL, 0));

	op->delta = delta;
	return op;
}

struct batch_op *
batch_max(struct batch *b, struct bytes key, uint64_t value)
{
	struct batch_op *op = op_new(b, BATCH_MAX, key, bytes_of(NULL, 0));

	op->number = value;
	return op;
}

struct batch_op *
batch_expect(struct batch *b, struct bytes key, int64_t min, int64_t max)
{
	struct batch_op *op = op_new(b, BATCH_EXPECT, key, bytes_of(NULL, 0));

	op->min = min;
	op->max = max;
	return op;
}

static struct batch_op *
op_slotted(struct batch *b, enum batch_op_kind kind, struct bytes key_prefix, enum batch_slot slot, struct bytes value)
{
	static const uint8_t empty[8];
	struct buf key;
	struct batch_op *op;

	buf_init(&key, b->arena);
	buf_put_bytes(&key, key_prefix);
	buf_put(&key, empty, sizeof(empty));
	op = op_new(b, kind, buf_bytes(&key), value);
	op->slot = slot;
	return op;
}

struct batch_op *
batch_put_slotted(struct batch *b, struct bytes key_prefix, enum batch_slot slot, struct bytes value)
{
	return op_slotted(b, BATCH_PUT, key_prefix, slot, value);
}

struct batch_op *
batch_append(struct batch *b, struct bytes key_prefix, struct bytes value)
{
	return op_slotted(b, BATCH_APPEND, key_prefix, SLOT_SERIAL, value);
}

struct batch_op *
batch_blocks(struct batch *b, struct bytes key, struct bytes value, const struct batch_block *blocks, size_t count)
{
	struct batch_op *op = op_new(b, BATCH_BLOCKS, key, value);
	struct batch_block *to;

	b->bytes += count * BLOCK_LOCATION_BYTES;
	if (b->bytes > BATCH_MAX_BYTES)
		b->overflow = true;
	if (b->overflow)
		return op;
	op->blocks = ARENA_ARRAY(b->arena, struct batch_block, count);
	op->block_count = count;
	for (size_t i = 0; i < count; i++) {
		to = &op->blocks[i];
		*to = blocks[i];
		if (blocks[i].part_count)
			to->parts = ARENA_ARRAY(b->arena, struct slice, blocks[i].part_count);
		for (size_t p = 0; p < blocks[i].part_count; p++)
			to->parts[p] = slice_ref(blocks[i].parts[p]);
	}
	return op;
}

static bool
key_is_of(uint64_t bucket, struct bytes key, size_t slot_bytes)
{
	return key.len >= 9 + slot_bytes && load_be64(key.data) == bucket && key.data[8] != 0;
}

bool
batch_owns(const struct batch *b, const struct batch_op *op)
{
	return key_is_of(b->bucket, op->key, op->slot == SLOT_NONE ? 0 : 8) &&
	       (op->kind != BATCH_DELETE_RANGE || key_is_of(b->bucket, op->value, 0));
}
