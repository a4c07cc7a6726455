/*
 * commit_codec.c: a batch as the payload of its COMMIT record, and back (docs/format/volume.md). The decoder reads what
 * a disk gave: every length is checked, and that no key is another bucket's or the driver's own. [any]
 */
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"

#define COMMIT_FORMAT 1

static uint64_t
zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static int64_t
unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static bool
is_journalled(const struct batch_op *op)
{
	return op->kind != BATCH_CHECK && op->kind != BATCH_EXPECT;
}

static void
blocks_encode(const struct batch_op *op, const struct commit_record **record, uint64_t commit_offset, struct buf *out)
{
	buf_varint(out, op->block_count);
	for (size_t i = 0; i < op->block_count; i++) {
		const struct batch_block *block = &op->blocks[i];

		buf_u8(out, block->stored);
		buf_varint(out, block->number);
		if (block->stored) {
			buf_put(out, block->location.bytes, BLOCK_LOCATION_BYTES);
			continue;
		}
		buf_varint(out, commit_offset - (*record)->offset);
		buf_varint(out, block->len);
		(*record)++;
	}
}

void
commit_encode(const struct batch *b, const struct commit_record *blocks, uint64_t commit_offset, struct buf *out)
{
	size_t count = 0;

	for (size_t i = 0; i < b->op_count; i++)
		count += is_journalled(&b->ops[i]);
	buf_u8(out, COMMIT_FORMAT);
	buf_put(out, b->id, sizeof(b->id));
	buf_varint(out, count);
	for (size_t i = 0; i < b->op_count; i++) {
		const struct batch_op *op = &b->ops[i];

		if (!is_journalled(op))
			continue;
		buf_u8(out, (uint8_t)op->kind);
		buf_u8(out, (uint8_t)op->slot);
		buf_field(out, op->key);
		if (op->kind == BATCH_ADD)
			buf_varint(out, zigzag(op->delta));
		else if (op->kind == BATCH_MAX)
			buf_varint(out, op->number);
		else if (op->kind != BATCH_DELETE)
			buf_field(out, op->value);
		if (op->kind == BATCH_BLOCKS)
			blocks_encode(op, &blocks, commit_offset, out);
	}
}

static struct batch_op *
blocks_decode(struct reader *r, uint32_t volume, uint64_t commit_offset, struct batch *b, struct bytes key,
	struct bytes value)
{
	uint64_t count = reader_varint(r), back, len;
	struct batch_block *blocks;
	struct bytes stored;

	if (r->failed || count > reader_left(r)) /* each takes more than a byte */
		return NULL;
	blocks = ARENA_ARRAY(b->arena, struct batch_block, count ? count : 1);
	for (uint64_t i = 0; i < count; i++) {
		bool is_stored = reader_u8(r) != 0;

		blocks[i].number = reader_varint(r);
		blocks[i].stored = true;
		if (is_stored) {
			stored = reader_bytes(r, BLOCK_LOCATION_BYTES);
			if (r->failed)
				return NULL;
			memcpy(blocks[i].location.bytes, stored.data, BLOCK_LOCATION_BYTES);
			continue;
		}
		back = reader_varint(r);
		len = reader_varint(r);
		if (r->failed || len > BATCH_MAX_BLOCK_BYTES || back > commit_offset || back < record_bytes(len))
			return NULL;
		location_encode(volume, (uint32_t)len, commit_offset - back + RECORD_HEADER_BYTES, &blocks[i].location);
	}
	return r->failed ? NULL : batch_blocks(b, key, value, blocks, count);
}

static bool
op_decode(struct reader *r, uint32_t volume, uint64_t commit_offset, struct batch *b)
{
	static const struct bytes none;
	uint8_t kind = reader_u8(r), slot = reader_u8(r);
	struct bytes key = reader_field(r), value = none;
	struct batch_op *op;

	if (kind != BATCH_ADD && kind != BATCH_MAX && kind != BATCH_DELETE)
		value = kind == BATCH_CHECK || kind == BATCH_EXPECT ? none : reader_field(r);
	/* APPEND puts its slot there itself. */
	if (r->failed || slot > SLOT_INVERTED || (kind == BATCH_APPEND && (slot != SLOT_SERIAL || key.len < 17)))
		return false;
	switch (kind) {
	case BATCH_PUT:
		batch_put(b, key, value)->slot = (enum batch_slot)slot;
		return true;
	case BATCH_DELETE:
		batch_delete(b, key);
		return true;
	case BATCH_DELETE_RANGE:
		batch_delete_range(b, key, value);
		return true;
	case BATCH_ADD:
		batch_add(b, key, unzigzag(reader_varint(r)));
		return !r->failed;
	case BATCH_MAX:
		batch_max(b, key, reader_varint(r));
		return !r->failed;
	case BATCH_APPEND:
		batch_append(b, bytes_sub(key, 0, key.len - 8), value);
		return true;
	case BATCH_BLOCKS:
		op = blocks_decode(r, volume, commit_offset, b, key, value);
		if (op)
			op->slot = (enum batch_slot)slot;
		return op != NULL;
	default:
		return false;
	}
}

bool
commit_decode(struct bytes payload, uint32_t volume, uint64_t commit_offset, struct batch *out)
{
	struct reader r;
	struct bytes id;
	uint64_t count;

	reader_init(&r, payload);
	if (reader_u8(&r) != COMMIT_FORMAT)
		return false;
	id = reader_bytes(&r, sizeof(out->id));
	count = reader_varint(&r);
	if (r.failed || count > BATCH_MAX_OPS)
		return false;
	memcpy(out->id, id.data, sizeof(out->id));
	for (uint64_t i = 0; i < count; i++)
		if (!op_decode(&r, volume, commit_offset, out) || out->overflow ||
			(!batch_owns(out, &out->ops[out->op_count - 1]) && !MUTANT("foreign-keys-recovered")))
			return false;
	return !r.failed && reader_left(&r) == 0;
}
