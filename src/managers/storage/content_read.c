/*
 * content_read.c: from a content to its bytes: part, segment, extent, run, block, frames; see storage.h.
 *
 * Each step either moves the reader and gives bytes, or fails and leaves it where it was, so that a WOULD_BLOCK is answered by calling again on a worker.
 */
#include "base/mutant.h"
#include "managers/storage/storage_int.h"

#define PIECE_BYTES (2 * FRAME_BYTES) /* given at once, unless content_reader_pieces has said otherwise */
#define FILE_CONTENT_BYTES ((size_t)2 << 20) /* of less, a copy that stays in the processor's cache costs less than the file's pages */
#define WHOLE_PAYLOAD_BYTES (FRAME_BYTES + 4096) /* payloads up to this are read in one go, whatever part is wanted */

struct content_reader {
	struct storage *storage;
	struct request *rq;
	struct bucket_row bucket;
	struct content content;
	uint64_t at, end;
	bool to_socket; /* bytes may stay in their file */
	size_t piece;   /* bytes given at once; of a file, which holds no memory, twice as many */

	struct part_ref *parts; /* CONTENT_PARTS, once read */
	size_t part_count;

	uint64_t segment_data_id, segment_number; /* whose rows these are, when segment.extents is set */
	struct segment_row segment;
	uint64_t table_block;   /* number of the block whose frames `table` describes; 0: none */

	/* From here on not cleared when it is made: they are large, and most objects use little of them. */
	struct run_row run;     /* run.first != 0: read */
	struct frame_table table;
};

struct content_reader *
content_reader_new(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *content, uint64_t offset,
	uint64_t length, bool to_socket)
{
	struct content_reader *r = arena_alloc(rq->arena, sizeof(*r));

	memset(r, 0, offsetof(struct content_reader, run));
	r->run.first = 0;
	r->storage = s;
	r->rq = rq;
	r->bucket = *bucket;
	r->content = *content;
	r->at = offset;
	r->end = offset + length;
	r->piece = PIECE_BYTES;
	r->to_socket = to_socket && s->driver->ops->get_file && content->size >= FILE_CONTENT_BYTES;
	storage_pin(s, content->data_id);
	return r;
}

void
content_reader_pieces(struct content_reader *r, size_t bytes)
{
	r->piece = bytes < FRAME_BYTES ? FRAME_BYTES : bytes - bytes % FRAME_BYTES;
}

void
content_reader_free(struct content_reader *r)
{
	if (r)
		storage_unpin(r->storage, r->content.data_id);
}

static enum rfs_err
run_read(struct content_reader *r, uint64_t first)
{
	struct row row;
	enum rfs_err err;

	if (r->run.first == first)
		return RFS_OK;
	r->run.first = 0;
	if ((err = metadata_get(r->storage->metadata, r->rq, key_block(r->rq->arena, r->bucket.id, first), &row)))
		return err;
	if (!row.found)
		return RFS_ERR_NOT_FOUND;
	if ((err = run_decode(row.value, &r->run)))
		return request_fail(r->rq, err, "reading the row of block %llu", (unsigned long long)first);
	r->run.first = first;
	r->run.serial = row.serial;
	return RFS_OK;
}

/* The row is read again: its blocks have been moved since. DAMAGED: this one has not */
static enum rfs_err
run_read_again(struct content_reader *r, uint32_t index, const struct block_location *missing)
{
	uint64_t first = r->run.first;
	enum rfs_err err;

	r->run.first = 0;
	if ((err = run_read(r, first)))
		return err;
	if (index >= r->run.count || memcmp(r->run.locations + (size_t)index * BLOCK_LOCATION_BYTES, missing->bytes, BLOCK_LOCATION_BYTES) == 0)
		return request_fail(r->rq, RFS_ERR_DAMAGED, "the volume of block %llu is missing", (unsigned long long)(first + index));
	return RFS_OK;
}

/* Some bytes of a block's payload, as the driver has them. */
static enum rfs_err
payload_get(struct content_reader *r, uint32_t index, uint64_t offset, size_t len, struct slice *out)
{
	struct storage_driver *d = r->storage->driver;
	struct block_location location;
	enum rfs_err err;

	do {
		memcpy(location.bytes, r->run.locations + (size_t)index * BLOCK_LOCATION_BYTES, BLOCK_LOCATION_BYTES);
		err = d->ops->get(d, r->rq, r->bucket.id, r->run.first + index, &location, offset, len, out);
	} while (err == RFS_ERR_NOT_FOUND && !MUTANT("moved-block-not-found") && !(err = run_read_again(r, index, &location)));
	return err;
}

static enum rfs_err
damaged(struct content_reader *r, uint32_t index)
{
	return request_fail(r->rq, RFS_ERR_DAMAGED, "block %llu of bucket %.*s does not match its checksum",
		(unsigned long long)(r->run.first + index), (int)r->bucket.name.len, (const char *)r->bucket.name.data);
}

/* The table of a block's frames; `whole` is its payload when that was read along, else empty. */
static enum rfs_err
table_get(struct content_reader *r, uint32_t index, uint32_t raw, bool all, struct slice *whole)
{
	size_t stored = r->run.stored_sizes[index], table_bytes = FRAME_TABLE_BYTES(raw);
	struct slice head = { 0 };
	enum rfs_err err;

	if (!all && r->table_block == r->run.first + index)
		return RFS_OK;
	r->table_block = 0;
	if (stored < table_bytes)
		return RFS_ERR_DAMAGED;
	if ((err = payload_get(r, index, 0, all ? stored : table_bytes, &head)))
		return err;
	if (!frame_table_decode(bytes_of(head.data, table_bytes), stored, &r->table) || r->table.raw_size != raw)
		err = RFS_ERR_DAMAGED;
	else
		r->table_block = r->run.first + index;
	if (!err && all)
		*whole = slice_take(&head);
	slice_unref(&head);
	return err;
}

struct frames_wanted {
	const struct frame_table *table;
	uint32_t first, last;
};

static bool
frames_right(void *data, struct bytes payload)
{
	const struct frames_wanted *wanted = data;

	return frames_match(wanted->table, wanted->first, wanted->last, payload) || MUTANT("checksums-ignored-in-files");
}

/* Whole frames that are stored as they are, from their file. NOT_FOUND: not in this way. */
static enum rfs_err
file_read(struct content_reader *r, uint32_t index, uint32_t raw, size_t from, size_t len, struct slice *out)
{
	struct storage_driver *d = r->storage->driver;
	struct frames_wanted wanted = { &r->table, (uint32_t)(from / FRAME_BYTES), 0 };
	struct block_location location;

	if (len > 2 * r->piece)
		len = 2 * r->piece;
	if (from % FRAME_BYTES || (from + len < raw && len % FRAME_BYTES) || len < FRAME_BYTES)
		return RFS_ERR_NOT_FOUND;
	wanted.last = (uint32_t)((from + len - 1) / FRAME_BYTES);
	if (!frames_are_plain(wanted.table, wanted.first, wanted.last))
		return RFS_ERR_NOT_FOUND;
	memcpy(location.bytes, r->run.locations + (size_t)index * BLOCK_LOCATION_BYTES, BLOCK_LOCATION_BYTES);
	return d->ops->get_file(d, r->rq, &location, wanted.table->frame[wanted.first].offset, len, frames_right, &wanted, out);
}

/* Raw bytes [from, from + len) of a block of the run in hand; at most a piece, ending where a frame does. */
static enum rfs_err
block_read(struct content_reader *r, uint32_t index, size_t from, size_t len, struct slice *out)
{
	uint32_t raw = index + 1 < r->run.count ? r->run.block_size : r->run.last_size, first, last;
	struct slice whole = { 0 }, frames = { 0 };
	size_t start, end;
	enum rfs_err err;

	if (index >= r->run.count || from >= raw)
		return damaged(r, index);
	if (len > raw - from)
		len = raw - from;
	if (r->to_socket && len > WHOLE_PAYLOAD_BYTES) {
		err = table_get(r, index, raw, false, &whole);
		if (!err)
			err = file_read(r, index, raw, from, len, out);
		if (err != RFS_ERR_NOT_FOUND)
			return err == RFS_ERR_DAMAGED ? damaged(r, index) : err;
	}
	if (len > r->piece - from % FRAME_BYTES)
		len = r->piece - from % FRAME_BYTES;
	first = (uint32_t)(from / FRAME_BYTES);
	last = (uint32_t)((from + len - 1) / FRAME_BYTES);
	if ((err = table_get(r, index, raw, len == raw || r->run.stored_sizes[index] <= WHOLE_PAYLOAD_BYTES, &whole)))
		return err == RFS_ERR_DAMAGED ? damaged(r, index) : err;
	start = r->table.frame[first].offset;
	end = r->table.frame[last].offset + r->table.frame[last].stored;
	if (whole.data)
		frames = slice_part(whole, start, end - start);
	else if ((err = payload_get(r, index, start, end - start, &frames)))
		return err;
	/* A whole payload was checked by the driver, against the record's checksum; a part is checked frame by frame. */
	err = frames_decode(&r->table, first, last, frames, !whole.data, from - (size_t)first * FRAME_BYTES, len, out);
	slice_unref(&frames);
	slice_unref(&whole);
	return err == RFS_ERR_DAMAGED ? damaged(r, index) : err;
}

static enum rfs_err
segment_read(struct content_reader *r, uint64_t data_id, uint64_t number)
{
	struct bytes key = key_segment(r->rq->arena, r->bucket.id, data_id, number);
	struct row_page page;
	enum rfs_err err;

	if (r->segment.extents && r->segment_data_id == data_id && r->segment_number == number)
		return RFS_OK;
	/* Newest first. Only whole segments are written, so the newest is the segment. */
	err = metadata_scan(r->storage->metadata, r->rq, key, key_after_prefix(r->rq->arena, key), 1, true, &page);
	if (err)
		return err;
	if (!page.count)
		return RFS_ERR_NOT_FOUND;
	if ((err = segment_decode(r->rq->arena, page.rows[0].value, &r->segment)))
		return err;
	r->segment_data_id = data_id;
	r->segment_number = number;
	return RFS_OK;
}

/* `left`: of the hole */
static enum rfs_err
hole_read(const struct content_reader *r, uint64_t left, uint64_t len, struct slice *out)
{
	len = len < left ? len : left;
	*out = slice_new(len < r->piece ? (size_t)len : r->piece);
	memset(slice_writable(out), 0, out->len);
	return RFS_OK;
}

static enum rfs_err
segments_read(struct content_reader *r, const struct content *c, uint64_t at, uint64_t len, struct slice *out)
{
	uint64_t span = (uint64_t)r->bucket.block_size * r->bucket.segment_blocks;
	uint32_t block = (uint32_t)(at % span / r->bucket.block_size);
	size_t offset = at % r->bucket.block_size;
	enum rfs_err err;

	if ((err = segment_read(r, c->data_id, at / span)))
		return err;
	for (size_t i = 0; i < r->segment.extent_count; i++) {
		const struct extent *e = &r->segment.extents[i];

		if (block < e->at || block - e->at >= e->blocks)
			continue;
		if (!e->first)
			return hole_read(r, (uint64_t)(e->at + e->blocks - block) * r->bucket.block_size - offset, len, out);
		if ((err = run_read(r, e->first)))
			return err;
		return block_read(r, block - e->at + e->skip, offset, len < r->bucket.block_size ? len : r->bucket.block_size, out);
	}
	return request_fail(r->rq, RFS_ERR_DAMAGED, "segment %llu of data %llu has no block %u", (unsigned long long)(at / span),
		(unsigned long long)c->data_id, block);
}

enum rfs_err
content_parts(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *content, struct part_ref **parts, size_t *count,
	struct part_sums *sums)
{
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(s->metadata, rq, key_parts(rq->arena, bucket->id, content->data_id), &row)))
		return err;
	return row.found ? parts_decode(rq->arena, row.value, parts, count, sums) : RFS_ERR_NOT_FOUND;
}

enum rfs_err
content_part_list(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *content, uint32_t after, size_t limit,
	struct part_info **out, size_t *count, size_t *total)
{
	struct part_ref whole = { .end = content->size }, *parts = &whole;
	struct part_sums sums = { 0 };
	enum rfs_err err;

	*total = 1;
	*count = 0;
	if (content->kind == CONTENT_PARTS && (err = content_parts(s, rq, bucket, content, &parts, total, &sums)))
		return err;
	if (after < *total)
		*count = *total - after < limit ? *total - after : limit;
	*out = ARENA_ARRAY(rq->arena, struct part_info, *count + 1);
	for (size_t i = 0; i < *count; i++) {
		struct part_info *info = &(*out)[i];
		size_t at = after + i;

		info->number = (uint32_t)at + 1;
		info->offset = at ? parts[at - 1].end : 0;
		info->length = parts[at].end - info->offset;
		info->has_checksum = sums.given;
		info->checksum = sums.digest;
		if (sums.given)
			memcpy(info->checksum_value.bytes, sums.values + at * digest_size(sums.digest), digest_size(sums.digest));
	}
	return RFS_OK;
}

/* The block or segments that hold byte `at`; `at` becomes an offset in it, `len` is clipped to it. */
static enum rfs_err
leaf_find(struct content_reader *r, struct content *leaf, uint64_t *at, uint64_t *len)
{
	size_t low = 0, high;
	uint64_t start;
	enum rfs_err err;

	*leaf = r->content;
	if (r->content.kind != CONTENT_PARTS)
		return RFS_OK;
	if (!r->parts && (err = content_parts(r->storage, r->rq, &r->bucket, &r->content, &r->parts, &r->part_count, NULL)))
		return err;
	for (high = r->part_count; low < high;) {
		size_t middle = (low + high) / 2;

		if (r->parts[middle].end <= *at)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == r->part_count)
		return RFS_ERR_DAMAGED;
	start = low ? r->parts[low - 1].end : 0;
	if (*len > r->parts[low].end - *at)
		*len = r->parts[low].end - *at;
	*at -= start;
	*leaf = r->parts[low].content;
	return RFS_OK;
}

enum rfs_err
content_read(struct content_reader *r, struct slice *out)
{
	uint64_t at = r->at, len = r->end - r->at;
	struct content leaf;
	enum rfs_err err;

	*out = (struct slice){ 0 };
	if (!len)
		return RFS_OK;
	if ((err = leaf_find(r, &leaf, &at, &len)))
		return err;
	if (leaf.kind == CONTENT_BLOCK) {
		if (!(err = run_read(r, leaf.block)))
			err = block_read(r, 0, at, len, out);
	} else if (leaf.kind == CONTENT_SEGMENTS) {
		err = segments_read(r, &leaf, at, len, out);
	} else {
		err = RFS_ERR_DAMAGED;
	}
	if (!err)
		r->at += out->len;
	return err;
}
