/*
 * content_change.c: a content with some bytes changed, as another one: blocks that do not change are named again, the others are made. [worker]
 *
 * Segment by segment, each in one batch, under a data id that a staging row names. What neither content nor change has is a hole where it fills a block, else zeros.
 * Blocks that are made are not looked for among those that a bucket has already, even if it deduplicates.
 */
#include "base/mutant.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

struct changer {
	struct storage *storage;
	struct request *rq;
	const struct bucket_row *bucket;
	const struct content *from;
	const struct content_change *change;
	uint64_t data_id; /* of the new one */
};

/* A segment of the new content. */
struct segment_plan {
	uint64_t number, bytes;
	struct segment_row old; /* what the old content has there */
	struct extent extents[RUN_MAX_BLOCKS];
	size_t count;
	struct run_writer made;
};

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

/* Those of the old content among [from, from + len) of the new one. */
static enum rfs_err
old_read(const struct changer *c, uint64_t from, size_t len, uint8_t *out)
{
	struct content_reader *reader;
	enum rfs_err err = RFS_OK;
	struct slice piece;

	if (from >= c->from->size)
		return RFS_OK;
	len = (size_t)least(len, c->from->size - from);
	reader = content_reader_new(c->storage, c->rq, c->bucket, c->from, from, len, false);
	while (!err && len) {
		if ((err = content_read(reader, &piece)))
			break;
		memcpy(out, piece.data, piece.len);
		out += piece.len;
		len -= piece.len;
		slice_unref(&piece);
	}
	content_reader_free(reader);
	return err;
}

/* Bytes [from, from + len) of the new content. */
static enum rfs_err
new_read(const struct changer *c, uint64_t from, size_t len, struct slice *out)
{
	const struct content_change *change = c->change;
	uint64_t first = from > change->offset ? from : change->offset;
	uint64_t end = least(from + len, change->offset + change->bytes.len);
	enum rfs_err err = RFS_OK;
	uint8_t *bytes;

	*out = slice_new(len);
	bytes = slice_writable(out);
	memset(bytes, 0, len);
	if ((first > from || end < from + len) && !MUTANT("old-bytes-forgotten"))
		err = old_read(c, from, len, bytes);
	if (!err && first < end)
		memcpy(bytes + (first - from), change->bytes.data + (first - change->offset), (size_t)(end - first));
	if (err)
		slice_unref(out);
	return err;
}

enum rfs_err
content_change_write(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from,
	const struct content_change *change, struct content_writer *w)
{
	const struct changer c = {.storage = s, .rq = rq, .bucket = bucket, .from = from, .change = change};
	struct slice bytes;
	enum rfs_err err = new_read(&c, 0, (size_t)change->size, &bytes);

	if (err)
		return err;
	err = content_write(w, bytes);
	slice_unref(&bytes);
	return err;
}

/* --- blocks ------------------------------------------------------------------------------------------------------- */

static bool
is_written(const struct content_change *change, uint64_t from, uint64_t len)
{
	return change->bytes.len && from < change->offset + change->bytes.len && change->offset < from + len;
}

/* Where the old content has block `at` of the segment; NULL: nowhere. */
static const struct extent *
old_extent(const struct segment_plan *plan, uint32_t at)
{
	for (size_t i = 0; i < plan->old.extent_count; i++)
		if (at >= plan->old.extents[i].at && at - plan->old.extents[i].at < plan->old.extents[i].blocks)
			return &plan->old.extents[i];
	return NULL;
}

/* Goes on with the last extent where it can. */
static void
extent_add(struct segment_plan *plan, uint64_t first, uint32_t skip)
{
	struct extent *last = plan->count ? &plan->extents[plan->count - 1] : NULL;
	uint32_t at = last ? last->at + last->blocks : 0;

	if (last && last->first == first && (!first || last->skip + last->blocks == skip))
		last->blocks++;
	else
		plan->extents[plan->count++] = (struct extent){.at = at, .blocks = 1, .first = first, .skip = skip};
}

/* Bytes [from, from + len) of the new content become the next block of the segment's own run. */
static enum rfs_err
block_make(const struct changer *c, struct segment_plan *plan, uint64_t from, size_t len)
{
	struct run_writer *made = &plan->made;
	struct payload payload = {0};
	uint8_t hash[32];
	struct slice bytes;
	enum rfs_err err;

	if (!made->run.count &&
		(err = metadata_number(c->storage->metadata, c->rq, c->bucket->segment_blocks, &made->run.first)))
		return err;
	if ((err = new_read(c, from, len, &bytes)))
		return err;
	sha256(slice_bytes(bytes), hash);
	run_block_frame(c->storage, made, &bytes, 1, len, c->bucket->compress, hash, &payload);
	slice_unref(&bytes);
	return run_block_put(c->storage, c->rq, c->bucket->id, made, &payload);
}

static enum rfs_err
block_plan(const struct changer *c, struct segment_plan *plan, uint32_t at)
{
	uint64_t size = c->bucket->block_size, from = plan->number * c->bucket->segment_blocks * size + at * size;
	uint64_t len = least(size, c->change->size - from), had = from < c->from->size ? least(size, c->from->size - from) : 0;
	const struct extent *old = old_extent(plan, at);
	enum rfs_err err;

	if (is_written(c->change, from, len) || (had && (had != len || !old))) {
		if ((err = block_make(c, plan, from, (size_t)len)))
			return err;
		extent_add(plan, plan->made.run.first, plan->made.run.count - 1);
	} else if (had && old->first) {
		extent_add(plan, old->first, old->skip + at - old->at);
	} else {
		extent_add(plan, 0, 0);
	}
	return RFS_OK;
}

/* --- segments ----------------------------------------------------------------------------------------------------- */

/* What the old content has there: nothing, if it ends before. A block of its own is a segment with one. */
static enum rfs_err
old_segment(const struct changer *c, struct segment_plan *plan)
{
	struct bytes key = key_segment(c->rq->arena, c->bucket->id, c->from->data_id, plan->number);
	struct row_page page;
	enum rfs_err err;

	if (c->from->kind == CONTENT_BLOCK && !plan->number) {
		plan->old = (struct segment_row){.extents = ARENA_NEW(c->rq->arena, struct extent), .extent_count = 1, .bytes = c->from->size};
		*plan->old.extents = (struct extent){.blocks = 1, .first = c->from->block};
	}
	if (c->from->kind != CONTENT_SEGMENTS)
		return RFS_OK;
	err = metadata_scan(c->storage->metadata, c->rq, key, key_after_prefix(c->rq->arena, key), 1, true, &page);
	if (err || !page.count)
		return err;
	return segment_decode(c->rq->arena, page.rows[0].value, &plan->old);
}

/* Adds the segment's row, a reference to each run that it names, and the run that was made for it. */
static enum rfs_err
segment_attach(const struct changer *c, const struct segment_plan *plan, struct batch *b)
{
	struct segment_row segment = {.extents = (struct extent *)plan->extents, .extent_count = plan->count, .bytes = plan->bytes};
	uint64_t runs[RUN_MAX_BLOCKS];
	size_t count = segment_runs(&segment, runs);
	enum rfs_err err = RFS_OK;
	struct buf value;

	for (size_t i = 0; !err && i < count; i++)
		if (runs[i] != plan->made.run.first && !MUTANT("shared-run-not-counted"))
			err = run_refer(c->storage, c->rq, c->bucket->id, b, runs[i]);
	if (plan->made.run.count)
		run_attach(b, c->bucket->id, &plan->made);
	buf_init(&value, b->arena);
	segment_encode(&value, &segment);
	batch_put_slotted(b, key_segment(b->arena, c->bucket->id, c->data_id, plan->number), SLOT_SERIAL, buf_bytes(&value));
	return err;
}

static enum rfs_err
segment_commit(const struct changer *c, const struct segment_plan *plan)
{
	struct batch *b = batch_new(c->bucket->id);
	unsigned attempt = 0;
	enum rfs_err err;

	do {
		batch_reset(b);
		request_clear_error(c->rq);
		if (!(err = segment_attach(c, plan, b)))
			err = metadata_commit(c->storage->metadata, c->rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(c->rq, attempt++));
	batch_free(b);
	return err;
}

static enum rfs_err
segment_change(const struct changer *c, struct segment_plan *plan)
{
	uint64_t size = c->bucket->block_size, span = size * c->bucket->segment_blocks;
	enum rfs_err err;

	plan->bytes = least(span, c->change->size - plan->number * span);
	err = old_segment(c, plan);
	for (uint32_t at = 0; !err && at * size < plan->bytes; at++)
		err = block_plan(c, plan, at);
	if (!err && plan->made.run.count)
		err = run_wait(c->storage, c->rq, &plan->made);
	if (!err)
		err = segment_commit(c, plan);
	run_writer_fini(c->storage, &plan->made, !err);
	return err;
}

enum rfs_err
segments_change(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from,
	const struct content_change *change, uint64_t data_id)
{
	const struct changer c = {
		.storage = s, .rq = rq, .bucket = bucket, .from = from, .change = change, .data_id = data_id};
	uint64_t span = (uint64_t)bucket->block_size * bucket->segment_blocks;
	struct segment_plan *plan = xcalloc(1, sizeof(*plan));
	enum rfs_err err = RFS_OK;

	for (uint64_t number = 0; !err && number * span < change->size; number++) {
		memset(plan, 0, sizeof(*plan));
		plan->number = number;
		err = segment_change(&c, plan);
	}
	free(plan);
	return err;
}
