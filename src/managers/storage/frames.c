/*
 * frames.c: a block's payload: a table, then frames of 64 KiB of raw bytes, each stored plain or compressed.
 *
 *   table := format (1) flags (1, zero) frame count (2) raw size (4), then for each frame: stored bytes (3) codec (1) CRC32C of the stored bytes (4)
 *
 * docs/format/volume.md has the same, for readers of volumes. [any]
 */
#include "managers/storage/storage_int.h"
#include <zstd.h>

#define FRAME_FORMAT 1
#define COMPRESS_LEVEL 3
#define COMPRESS_MIN_BYTES 512 /* below, nothing is gained */

enum codec { CODEC_PLAIN = 0, CODEC_ZSTD = 1 };

size_t
frames_slices_max(size_t count, size_t len)
{
	return 1 + count + (len + FRAME_BYTES - 1) / FRAME_BYTES * 2;
}

/* Walks a list of slices. */
struct cursor {
	const struct slice *parts;
	size_t index;
	size_t offset;
};

/* References to the next `len` bytes; returns how many slices. */
static size_t
cursor_take(struct cursor *c, size_t len, struct slice *out)
{
	size_t n = 0;

	while (len) {
		const struct slice *part = &c->parts[c->index];
		size_t take = part->len - c->offset < len ? part->len - c->offset : len;

		if (take)
			out[n++] = slice_part(*part, c->offset, take);
		c->offset += take;
		len -= take;
		if (c->offset == part->len) {
			c->index++;
			c->offset = 0;
		}
	}
	return n;
}

/* Compressed bytes of a frame when that saves an eighth or more; an empty slice otherwise. Copies a frame that lies in several slices, for zstd takes one. */
static struct slice
frame_compress(const struct slice *parts, size_t count, size_t len)
{
	struct slice out = slice_new(len), plain = { 0 };
	const void *source = parts[0].data;
	size_t at = 0, size;

	if (count > 1) {
		plain = slice_new(len);
		for (size_t i = 0; i < count; at += parts[i].len, i++)
			memcpy(slice_writable(&plain) + at, parts[i].data, parts[i].len);
		source = plain.data;
	}
	size = ZSTD_compress(slice_writable(&out), len - len / 8, source, len, COMPRESS_LEVEL);
	slice_unref(&plain);
	if (ZSTD_isError(size)) {
		slice_unref(&out);
		return (struct slice){ 0 };
	}
	out.len = size;
	return out;
}

static void
table_entry(uint8_t *entry, size_t stored, enum codec codec, uint32_t crc)
{
	store_u32(entry, (uint32_t)stored | (uint32_t)codec << 24);
	store_u32(entry + 4, crc);
}

size_t
frames_build(const struct slice *parts, size_t count, size_t len, bool compress, struct slice *out, size_t *stored)
{
	struct cursor cursor = { parts, 0, 0 };
	size_t frames = (len + FRAME_BYTES - 1) / FRAME_BYTES, n = 1;
	uint8_t *table;

	out[0] = slice_new(FRAME_TABLE_BYTES(len));
	table = slice_writable(&out[0]);
	store_u32(table, FRAME_FORMAT | (uint32_t)frames << 16);
	store_u32(table + 4, (uint32_t)len);
	*stored = out[0].len;
	for (size_t i = 0; i < frames; i++) {
		size_t raw = len - i * FRAME_BYTES < FRAME_BYTES ? len - i * FRAME_BYTES : FRAME_BYTES;
		size_t slices = cursor_take(&cursor, raw, &out[n]), size = raw;
		enum codec codec = CODEC_PLAIN;
		uint32_t crc = 0;

		if (compress && raw >= COMPRESS_MIN_BYTES) {
			struct slice small = frame_compress(&out[n], slices, raw);

			if (small.data) {
				for (size_t k = 0; k < slices; k++)
					slice_unref(&out[n + k]);
				out[n] = small;
				slices = 1;
				size = small.len;
				codec = CODEC_ZSTD;
			}
		}
		for (size_t k = 0; k < slices; k++)
			crc = crc32c(crc, out[n + k].data, out[n + k].len);
		table_entry(table + FRAME_TABLE_HEAD + i * FRAME_TABLE_ENTRY, size, codec, crc);
		n += slices;
		*stored += size;
	}
	return n;
}

bool
frame_table_decode(struct bytes head, size_t payload_bytes, struct frame_table *out)
{
	struct reader r;
	size_t at;

	reader_init(&r, head);
	if (reader_u8(&r) != FRAME_FORMAT || reader_u8(&r) != 0)
		return false;
	out->count = reader_u16(&r);
	out->raw_size = reader_u32(&r);
	if (r.failed || out->count > FRAMES_MAX || out->count != (out->raw_size + (size_t)FRAME_BYTES - 1) / FRAME_BYTES)
		return false;
	at = FRAME_TABLE_BYTES(out->raw_size);
	for (uint32_t i = 0; i < out->count; i++) {
		uint32_t word = reader_u32(&r);

		out->frame[i].offset = (uint32_t)at;
		out->frame[i].stored = word & 0xffffff;
		out->frame[i].codec = (uint8_t)(word >> 24);
		out->frame[i].crc = reader_u32(&r);
		if (out->frame[i].codec > CODEC_ZSTD || out->frame[i].stored > FRAME_BYTES)
			return false;
		at += out->frame[i].stored;
	}
	return !r.failed && at == payload_bytes;
}

static uint32_t
frame_raw_size(const struct frame_table *t, uint32_t i)
{
	return i + 1 < t->count ? FRAME_BYTES : t->raw_size - i * FRAME_BYTES;
}

bool
frames_match(const struct frame_table *t, uint32_t first, uint32_t last, struct bytes payload)
{
	size_t at = 0;

	for (uint32_t i = first; i <= last; i++) {
		if (crc32c(0, payload.data + at, t->frame[i].stored) != t->frame[i].crc)
			return false;
		at += t->frame[i].stored;
	}
	return true;
}

bool
frames_are_plain(const struct frame_table *t, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		if (t->frame[i].codec != CODEC_PLAIN || t->frame[i].stored != frame_raw_size(t, i))
			return false;
	return true;
}

enum rfs_err
frames_decode(const struct frame_table *t, uint32_t first, uint32_t last, struct slice payload, bool verify, size_t from, size_t len, struct slice *out)
{
	size_t at = 0, raw = 0;
	struct slice decoded;

	if (verify && !frames_match(t, first, last, slice_bytes(payload)))
		return RFS_ERR_DAMAGED;
	for (uint32_t i = first; i <= last; i++) {
		if (t->frame[i].codec == CODEC_PLAIN && t->frame[i].stored != frame_raw_size(t, i))
			return RFS_ERR_DAMAGED;
		raw += frame_raw_size(t, i);
	}
	if (from + len > raw)
		return RFS_ERR_DAMAGED;
	if (frames_are_plain(t, first, last)) {
		*out = slice_part(payload, from, len);
		return RFS_OK;
	}
	decoded = slice_new(raw);
	if (!decoded.data)
		return RFS_ERR_INTERNAL;
	at = raw = 0;
	for (uint32_t i = first; i <= last; i++) {
		uint32_t size = frame_raw_size(t, i);
		uint8_t *to = slice_writable(&decoded) + raw;

		if (t->frame[i].codec == CODEC_PLAIN) {
			memcpy(to, payload.data + at, size); /* beside compressed frames: the answer is one slice */
		} else if (ZSTD_decompress(to, size, payload.data + at, t->frame[i].stored) != size) {
			slice_unref(&decoded);
			return RFS_ERR_DAMAGED;
		}
		at += t->frame[i].stored;
		raw += size;
	}
	*out = slice_part(decoded, from, len);
	slice_unref(&decoded);
	return RFS_OK;
}
