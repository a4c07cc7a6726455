/* record.c: the bytes of superblocks, record headers and tails (docs/format/volume.md). [any] */
#include "base/hash.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"

static const uint8_t magic[8] = {'R', 'F', 'S', 'V', 'O', 'L', '\r', '\n'};

void
superblock_encode(const struct superblock *s, uint8_t out[SUPERBLOCK_BYTES])
{
	memset(out, 0, SUPERBLOCK_BYTES);
	memcpy(out, magic, 8);
	store_u32(out + 8, VOLUME_FORMAT);
	store_u32(out + 12, s->kind);
	memcpy(out + 16, s->store, 16);
	store_u64(out + 32, s->number);
	store_u64(out + 40, s->generation);
	store_u64(out + 48, s->predecessor);
	store_u64(out + 56, s->predecessor_end);
	store_u64(out + 64, s->first_group);
	store_u64(out + 72, s->first_sequence);
	store_u64(out + 80, (uint64_t)s->created_ns);
	store_u32(out + SUPERBLOCK_BYTES - 4, crc32c(0, out, SUPERBLOCK_BYTES - 4));
}

/* Numbers ascend along the journal, so that it has an end; all of it counts from 1. */
static bool
is_plausible(const struct superblock *s)
{
	if (s->number == 0)
		return false;
	if (s->kind == VOLUME_CHECKPOINT)
		return s->predecessor && s->predecessor < s->number && s->predecessor_end >= SUPERBLOCK_BYTES &&
		       s->predecessor_end % 8 == 0 && s->first_group < INT64_MAX && s->first_sequence < INT64_MAX;
	if (s->kind != VOLUME_JOURNAL)
		return true;
	if (s->first_group == 0 || s->first_group > INT64_MAX || s->first_sequence == 0 ||
		s->first_sequence > INT64_MAX)
		return false;
	return s->predecessor < s->number && (s->predecessor == 0 || s->predecessor_end >= SUPERBLOCK_BYTES);
}

enum rfs_err
superblock_decode(const uint8_t in[SUPERBLOCK_BYTES], struct superblock *out)
{
	uint32_t kind;

	if (load_u32(in + SUPERBLOCK_BYTES - 4) != crc32c(0, in, SUPERBLOCK_BYTES - 4))
		return RFS_ERR_DAMAGED;
	if (memcmp(in, magic, 8) != 0 || load_u32(in + 8) != VOLUME_FORMAT)
		return RFS_ERR_UNSUPPORTED_FORMAT;
	kind = load_u32(in + 12);
	if (kind < VOLUME_JOURNAL || kind > VOLUME_CHECKPOINT)
		return RFS_ERR_UNSUPPORTED_FORMAT;
	out->kind = (enum volume_kind)kind;
	memcpy(out->store, in + 16, 16);
	out->number = load_u64(in + 32);
	out->generation = load_u64(in + 40);
	out->predecessor = load_u64(in + 48);
	out->predecessor_end = load_u64(in + 56);
	out->first_group = load_u64(in + 64);
	out->first_sequence = load_u64(in + 72);
	out->created_ns = (int64_t)load_u64(in + 80);
	return is_plausible(out) ? RFS_OK : RFS_ERR_DAMAGED;
}

/* Bound to its place: an old record, or a copy of one, does not match elsewhere. */
static uint32_t
header_crc(const uint8_t in[RECORD_HEADER_BYTES], uint64_t offset, uint64_t generation)
{
	uint8_t bytes[RECORD_HEADER_BYTES - 4 + 16];

	memcpy(bytes, in + 4, RECORD_HEADER_BYTES - 4);
	store_u64(bytes + RECORD_HEADER_BYTES - 4, offset);
	store_u64(bytes + RECORD_HEADER_BYTES + 4, generation);
	return crc32c(0, bytes, sizeof(bytes));
}

uint64_t
record_generation(const uint8_t in[RECORD_HEADER_BYTES], uint64_t offset)
{
	uint32_t wanted = header_crc(in, offset, 0), rest, basis[32] = {0}, of[32] = {0}, bits = 0;

	/* A checksum is linear: each bit of the upper half of the generation adds its own 32 bits. Each is taken apart
	 * by those before it, until its highest bit is one that none of them has. */
	rest = wanted ^ load_u32(in);
	for (unsigned i = 0; i < 32; i++) {
		uint32_t vector = header_crc(in, offset, (uint64_t)1 << (32 + i)) ^ wanted, from = (uint32_t)1 << i;

		for (unsigned k = 32; k-- > 0 && vector;) {
			if (!(vector >> k & 1))
				continue;
			if (basis[k] == 0) {
				basis[k] = vector;
				of[k] = from;
				break;
			}
			vector ^= basis[k];
			from ^= of[k];
		}
	}
	for (unsigned k = 32; k-- > 0;) {
		if (!(rest >> k & 1) || basis[k] == 0)
			continue;
		rest ^= basis[k];
		bits ^= of[k];
	}
	return (uint64_t)bits << 32;
}

void
record_header_encode(
	const struct record_header *h, uint64_t offset, uint64_t generation, uint8_t out[RECORD_HEADER_BYTES])
{
	out[4] = h->type;
	out[5] = h->flags;
	memcpy(out + 6, &h->index, 2);
	store_u32(out + 8, h->length);
	store_u32(out + 12, h->count);
	store_u64(out + 16, h->sequence);
	store_u64(out + 24, h->group);
	store_u64(out + 32, h->bucket);
	store_u64(out + 40, h->number);
	store_u64(out + 48, h->previous_feed);
	store_u64(out + 56, (uint64_t)h->time_ns);
	store_u32(out, header_crc(out, offset, generation));
}

bool
record_header_decode(
	const uint8_t in[RECORD_HEADER_BYTES], uint64_t offset, uint64_t generation, struct record_header *out)
{
	if (in[4] < RECORD_BLOCK || in[4] > RECORD_CHECKPOINT ||
		(load_u32(in) != header_crc(in, offset, generation) && !MUTANT("header-checksums-ignored")))
		return false;
	out->type = in[4];
	out->flags = in[5];
	memcpy(&out->index, in + 6, 2);
	out->length = load_u32(in + 8);
	out->count = load_u32(in + 12);
	out->sequence = load_u64(in + 16);
	out->group = load_u64(in + 24);
	out->bucket = load_u64(in + 32);
	out->number = load_u64(in + 40);
	out->previous_feed = load_u64(in + 48);
	out->time_ns = (int64_t)load_u64(in + 56);
	return true;
}

uint64_t
record_padding(uint64_t length)
{
	return (8 - (length & 7)) & 7;
}

uint64_t
record_bytes(uint64_t length)
{
	return RECORD_HEADER_BYTES + length + record_padding(length) + RECORD_FOOTER_BYTES;
}

size_t
record_tail_encode(uint32_t crc, uint64_t length, uint8_t *out)
{
	size_t padding = record_padding(length);

	memset(out, 0, padding);
	store_u32(out + padding, crc32c(crc, out, padding));
	store_u32(out + padding + 4, (uint32_t)length);
	return padding + RECORD_FOOTER_BYTES;
}

bool
record_tail_matches(uint32_t crc, uint64_t length, const uint8_t *tail)
{
	uint8_t expected[7 + RECORD_FOOTER_BYTES];
	size_t size = record_tail_encode(crc, length, expected);

	return memcmp(expected, tail, size) == 0;
}

void
location_encode(uint32_t volume, uint32_t length, uint64_t payload_offset, struct block_location *out)
{
	store_u32(out->bytes, volume);
	store_u32(out->bytes + 4, length);
	store_u64(out->bytes + 8, payload_offset);
}

void
location_decode(const struct block_location *in, uint32_t *volume, uint32_t *length, uint64_t *payload_offset)
{
	*volume = load_u32(in->bytes);
	*length = load_u32(in->bytes + 4);
	*payload_offset = load_u64(in->bytes + 8);
}
