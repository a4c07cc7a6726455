/* batch.c: building a batch; see batch.h. */
#include "drivers/batch.h"

#include <stdlib.h>

#define ARENA_FIRST 4096

struct batch *
batch_new(uint64_t bucket)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->arena = arena_new(ARENA_FIRST);
	b->bucket = bucket;
	return b;
}

static void
payloads_unref(struct batch *b)
{
	for (size_t i = 0; i < b->op_count; i++)
		for (size_t k = 0; k < b->ops[i].block_count; k++)
			for (size_t p = 0; p < b->ops[i].blocks[k].part_count; p++)
				slice_unref(&b->ops[i].blocks[k].parts[p]);
}

void
batch_reset(struct batch *b)
{
	payloads_unref(b);
	arena_reset(b->arena);
	b->op_count = 0;
	b->bytes = 0;
	b->overflow = false;
	b->error = RFS_OK;
	b->failed_op = 0;
	b->serial = 0;
	b->driver = NULL;
}

void
batch_free(struct batch *b)
{
	if (!b)
		return;
	payloads_unref(b);
	arena_free(b->arena);
	free(b->ops);
	free(b);
}

/* `key` and `slot_bytes` zeroed bytes behind it. */
static struct batch_op *
op_add(struct batch *b, enum batch_op_kind kind, struct bytes key, size_t slot_bytes, struct bytes value)
{
	struct batch_op *op;
	uint8_t *copy;

	if (b->op_count == b->op_capacity) {
		b->op_capacity = b->op_capacity ? b->op_capacity * 2 : 16;
		b->ops = xrealloc(b->ops, b->op_capacity * sizeof(*b->ops));
	}
	b->bytes += key.len + slot_bytes + value.len;
	if (b->op_count >= BATCH_MAX_OPS || b->bytes > BATCH_MAX_BYTES)
		b->overflow = true;
	copy = arena_zalloc(b->arena, key.len + slot_bytes);
	memcpy(copy, key.data, key.len);
	op = &b->ops[b->op_count++];
	*op = (struct batch_op){ .kind = kind, .slot = slot_bytes ? SLOT_SERIAL : SLOT_NONE, .key = bytes_of(copy, key.len + slot_bytes) };
	if (value.len)
		op->value = arena_copy(b->arena, value);
	return op;
}

struct batch_op *
batch_check(struct batch *b, struct bytes key, uint64_t serial)
{
	struct batch_op *op = op_add(b, BATCH_CHECK, key, 0, bytes_of(NULL, 0));

	op->number = serial;
	return op;
}

struct batch_op *
batch_put(struct batch *b, struct bytes key, struct bytes value)
{
	return op_add(b, BATCH_PUT, key, 0, value);
}

struct batch_op *
batch_delete(struct batch *b, struct bytes key)
{
	return op_add(b, BATCH_DELETE, key, 0, bytes_of(NULL, 0));
}

struct batch_op *
batch_delete_range(struct batch *b, struct bytes from, struct bytes to)
{
	return op_add(b, BATCH_DELETE_RANGE, from, 0, to);
}

struct batch_op *
batch_add(struct batch *b, struct bytes key, int64_t delta)
{
	struct batch_op *op = op_add(b, BATCH_ADD, key, 0, bytes_of(NULL, 0));

	op->delta = delta;
	return op;
}

struct batch_op *
batch_max(struct batch *b, struct bytes key, uint64_t value)
{
	struct batch_op *op = op_add(b, BATCH_MAX, key, 0, bytes_of(NULL, 0));

	op->number = value;
	return op;
}

struct batch_op *
batch_expect(struct batch *b, struct bytes key, int64_t min, int64_t max)
{
	struct batch_op *op = op_add(b, BATCH_EXPECT, key, 0, bytes_of(NULL, 0));

	op->min = min;
	op->max = max;
	return op;
}

struct batch_op *
batch_append(struct batch *b, struct bytes key_prefix, struct bytes value)
{
	return op_add(b, BATCH_APPEND, key_prefix, 8, value);
}

struct batch_op *
batch_put_slotted(struct batch *b, struct bytes key_prefix, enum batch_slot slot, struct bytes value)
{
	struct batch_op *op = op_add(b, BATCH_PUT, key_prefix, 8, value);

	op->slot = slot;
	return op;
}

struct batch_op *
batch_blocks(struct batch *b, struct bytes key, struct bytes value, const struct batch_block *blocks, size_t count)
{
	struct batch_op *op = op_add(b, BATCH_BLOCKS, key, 0, value);

	op->blocks = ARENA_ARRAY(b->arena, struct batch_block, count);
	op->block_count = count;
	for (size_t i = 0; i < count; i++) {
		op->blocks[i] = blocks[i];
		if (blocks[i].stored) {
			op->blocks[i].part_count = 0;
			continue;
		}
		op->blocks[i].parts = ARENA_ARRAY(b->arena, struct slice, blocks[i].part_count);
		for (size_t p = 0; p < blocks[i].part_count; p++)
			op->blocks[i].parts[p] = slice_ref(blocks[i].parts[p]);
	}
	return op;
}
