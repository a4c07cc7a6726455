/*
 * commit_codec.c: a batch as the payload of its COMMIT record, and back (docs/format/volume.md). The decoder reads what
 * a disk gave: every length is checked, and that no key is the driver's own. Keys are stored without their bucket, which
 * the record's header has, and without the place of a serial. [any]
 */
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"

#define COMMIT_FORMAT 2
#define KEY_BUCKET_BYTES 8
#define KEY_SLOT_BYTES 8
#define OP_SLOT_SHIFT 4 /* the lower half of an operation's first byte is its kind */

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

static void
key_encode(struct bytes key, enum batch_slot slot, struct buf *out)
{
	size_t slot_bytes = slot == SLOT_NONE ? 0 : KEY_SLOT_BYTES;

	buf_field(out, bytes_sub(key, KEY_BUCKET_BYTES, key.len - KEY_BUCKET_BYTES - slot_bytes));
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
		buf_u8(out, (uint8_t)((unsigned)op->kind | (unsigned)op->slot << OP_SLOT_SHIFT));
		key_encode(op->key, op->slot, out);
		if (op->kind == BATCH_ADD)
			buf_varint(out, zigzag(op->delta));
		else if (op->kind == BATCH_MAX)
			buf_varint(out, op->number);
		else if (op->kind == BATCH_DELETE_RANGE)
			key_encode(op->value, SLOT_NONE, out);
		else if (op->kind != BATCH_DELETE)
			buf_field(out, op->value);
		if (op->kind == BATCH_BLOCKS)
			blocks_encode(op, &blocks, commit_offset, out);
	}
}

/* In the batch's arena. */
static struct bytes
key_decode(struct reader *r, unsigned slot, struct batch *b)
{
	struct bytes rest = reader_field(r);
	size_t slot_bytes = slot == SLOT_NONE ? 0 : KEY_SLOT_BYTES, len = KEY_BUCKET_BYTES + rest.len + slot_bytes;
	uint8_t *key;

	if (r->failed)
		return rest;
	key = ARENA_ARRAY(b->arena, uint8_t, len);
	store_be64(key, b->bucket);
	if (rest.len)
		memcpy(key + KEY_BUCKET_BYTES, rest.data, rest.len);
	memset(key + len - slot_bytes, 0, slot_bytes);
	return bytes_of(key, len);
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
	uint8_t first = reader_u8(r);
	unsigned kind = first & ((1U << OP_SLOT_SHIFT) - 1), slot = first >> OP_SLOT_SHIFT;
	struct bytes key = key_decode(r, slot, b), value = none;
	struct batch_op *op;

	if (kind == BATCH_DELETE_RANGE)
		value = key_decode(r, SLOT_NONE, b);
	else if (kind == BATCH_PUT || kind == BATCH_APPEND || kind == BATCH_BLOCKS)
		value = reader_field(r);
	if (r->failed || slot > SLOT_INVERTED || (kind == BATCH_APPEND && slot != SLOT_SERIAL))
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
		/* It puts its slot there itself. */
		batch_append(b, bytes_sub(key, 0, key.len - KEY_SLOT_BYTES), value);
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
