/*
 * content_share.c: a copy within a bucket: a second content on the same blocks, for the price of references; or one of which only some bytes are changed. See
 * storage.h. [worker]
 */
#include "managers/storage/storage_int.h"

#define PARTS_AT_ONCE 64 /* the index of parts is written anew for each so many */

/* Adds a segment's row, and a reference to each run that it names. */
static enum rfs_err
segment_refer(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct batch *b, const struct row *row, uint64_t number,
	uint64_t data_id)
{
	struct segment_row segment;
	uint64_t runs[RUN_MAX_BLOCKS];
	size_t count;
	enum rfs_err err;

	if ((err = segment_decode(rq->arena, row->value, &segment)))
		return err;
	count = segment_runs(&segment, runs);
	for (size_t i = 0; !err && i < count; i++)
		err = run_refer(s, rq, bucket->id, b, runs[i]);
	batch_put_slotted(b, key_segment(b->arena, bucket->id, data_id, number), SLOT_SERIAL, row->value);
	return err;
}

/* Tries again when a run is moved meanwhile: else a long copy would have to begin anew each time. */
static enum rfs_err
segment_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct row *row, uint64_t number, uint64_t data_id)
{
	struct batch *b = batch_new(bucket->id);
	unsigned attempt = 0;
	enum rfs_err err;

	do {
		batch_reset(b);
		request_clear_error(rq);
		if (!(err = segment_refer(s, rq, bucket, b, row, number, data_id)))
			err = metadata_commit(s->metadata, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(b);
	return err;
}

/* Copies the segment rows of `from` under the data id of `to`, one bounded batch each. */
static enum rfs_err
segments_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from, const struct content *to)
{
	struct bytes next = key_segment(rq->arena, bucket->id, from->data_id, 0);
	struct bytes end = key_segment(rq->arena, bucket->id, from->data_id + 1, 0);
	struct row_page page = { .more = true };
	enum rfs_err err = RFS_OK;

	while (!err && page.more) {
		err = metadata_scan(s->metadata, rq, next, end, 64, false, &page);
		for (size_t i = 0; !err && i < page.count; i++) {
			uint64_t number = load_be64(page.rows[i].key.data + 17);

			err = segment_share(s, rq, bucket, &page.rows[i], number, to->data_id);
			next = key_segment(rq->arena, bucket->id, from->data_id, number + 1);
		}
	}
	return err;
}

/* Parts of a content, and those of another one that become of them. */
struct parts_plan {
	struct part_ref *source, *copy;
	struct content_change *changes;
	struct part_sums sums;
	size_t count;
	uint64_t data_id;
};

static struct content_change
change_within(const struct content_change *change, uint64_t start, uint64_t end)
{
	uint64_t last = change->offset + change->bytes.len;
	uint64_t first = change->offset > start ? change->offset : start;
	struct content_change part = {.size = end - start};

	last = last < end ? last : end;
	if (first < last) {
		part.offset = first - start;
		part.bytes = bytes_sub(change->bytes, (size_t)(first - change->offset), (size_t)(last - first));
	}
	return part;
}

/* Those behind the new size are left out, and the last one takes what the content grows by. A changed part has no checksum, so none of them has. */
static void
parts_change(struct parts_plan *p, const struct content_change *change)
{
	uint64_t start = 0;
	size_t i;

	for (i = 0; i < p->count && start < change->size; i++) {
		uint64_t end = p->source[i].end < change->size && i + 1 < p->count ? p->source[i].end : change->size;

		p->copy[i].end = end;
		p->changes[i] = change_within(change, start, end);
		start = end;
	}
	p->count = i;
	p->sums.given = false;
}

static bool
part_changes(const struct parts_plan *p, size_t i)
{
	return p->changes[i].bytes.len || p->changes[i].size != p->source[i].content.size;
}

/* Adds the index with parts up to `to`, and a reference to each block among those from `from` on. */
static enum rfs_err
parts_refer(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct batch *b, const struct parts_plan *p, size_t from, size_t to)
{
	struct buf index;
	enum rfs_err err = RFS_OK;

	for (size_t i = from; !err && i < to; i++)
		if (p->copy[i].content.kind == CONTENT_BLOCK)
			err = run_refer(s, rq, bucket->id, b, p->copy[i].content.block);
	buf_init(&index, b->arena);
	parts_encode(&index, p->copy, to, &p->sums);
	batch_put(b, key_parts(b->arena, bucket->id, p->data_id), buf_bytes(&index));
	return err;
}

/* The content of a part gets its number. */
static enum rfs_err
part_begin(struct storage *s, struct request *rq, struct parts_plan *p, size_t i)
{
	p->copy[i].content = p->source[i].content;
	if (part_changes(p, i))
		p->copy[i].content = (struct content){.kind = CONTENT_SEGMENTS, .size = p->changes[i].size};
	return p->copy[i].content.kind == CONTENT_EMPTY ? RFS_OK : metadata_number(s->metadata, rq, 1, &p->copy[i].content.data_id);
}

/* Its segments, once the index names it. */
static enum rfs_err
part_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct parts_plan *p, size_t i)
{
	const struct content *from = &p->source[i].content, *to = &p->copy[i].content;

	if (part_changes(p, i))
		return segments_change(s, rq, bucket, from, &p->changes[i], to->data_id);
	return to->kind == CONTENT_SEGMENTS ? segments_share(s, rq, bucket, from, to) : RFS_OK;
}

/*
 * Parts [from, to) of the copy: the index is written with them before their segments are shared, so that whatever stops us, the reaper finds all
 * that was taken.
 */
static enum rfs_err
parts_share_some(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct parts_plan *p, size_t from, size_t to)
{
	struct batch *b = batch_new(bucket->id);
	unsigned attempt = 0;
	enum rfs_err err = RFS_OK;

	for (size_t i = from; !err && i < to; i++)
		err = part_begin(s, rq, p, i);
	if (err)
		goto out;
	do {
		batch_reset(b);
		request_clear_error(rq);
		if (!(err = parts_refer(s, rq, bucket, b, p, from, to)))
			err = metadata_commit(s->metadata, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	for (size_t i = from; !err && i < to; i++)
		err = part_share(s, rq, bucket, p, i);
out:
	batch_free(b);
	return err;
}

static enum rfs_err
parts_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from, const struct content_change *change,
	const struct content *to)
{
	struct parts_plan p = {.data_id = to->data_id};
	enum rfs_err err;

	if ((err = content_parts(s, rq, bucket, from, &p.source, &p.count, &p.sums)))
		return err;
	p.copy = ARENA_ARRAY(rq->arena, struct part_ref, p.count + 1);
	p.changes = ARENA_ARRAY(rq->arena, struct content_change, p.count + 1);
	for (size_t i = 0; i < p.count; i++) {
		p.copy[i].end = p.source[i].end;
		p.changes[i] = (struct content_change){.size = p.source[i].content.size};
	}
	if (change)
		parts_change(&p, change);
	for (size_t i = 0; !err && i < p.count; i += PARTS_AT_ONCE)
		err = parts_share_some(s, rq, bucket, &p, i, i + PARTS_AT_ONCE < p.count ? i + PARTS_AT_ONCE : p.count);
	return err;
}

static void
content_unshare(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *content, uint64_t staged_serial)
{
	struct batch *b = batch_new(bucket->id);

	/* If this fails, the next start reaps it. */
	batch_check(b, key_purge(b->arena, bucket->id, content->data_id), staged_serial);
	purge_put(b, bucket, PURGE_DEAD, content);
	rq->need = SPACE_FREES;
	(void)!metadata_commit(s->metadata, rq, b);
	batch_free(b);
}

static enum rfs_err
rows_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from, const struct content_change *change,
	const struct content *to)
{
	if (from->kind == CONTENT_PARTS)
		return parts_share(s, rq, bucket, from, change, to);
	return change ? segments_change(s, rq, bucket, from, change, to->data_id) : segments_share(s, rq, bucket, from, to);
}

static enum rfs_err
staged_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content_change *change, struct content_share *share)
{
	struct batch *b = batch_new(bucket->id);
	enum rfs_err err;

	purge_put(b, bucket, PURGE_STAGED, &share->content);
	err = metadata_commit(s->metadata, rq, b);
	share->staged_serial = b->serial;
	batch_free(b);
	if (err) {
		share->staged_serial = 0;
		return err;
	}
	storage_pin(s, share->from.data_id);
	err = rows_share(s, rq, bucket, &share->from, change, &share->content);
	storage_unpin(s, share->from.data_id);
	if (err) {
		content_unshare(s, rq, bucket, &share->content, share->staged_serial);
		share->staged_serial = 0;
	}
	return err;
}

/* What one block has room for is written like any other body. */
static enum rfs_err
block_change(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content_change *change, struct content_share *share)
{
	enum rfs_err err;

	share->writer = content_writer_new(s, rq, bucket, 0);
	err = content_change_write(s, rq, bucket, &share->from, change, share->writer);
	return err ? err : content_seal(share->writer);
}

static enum rfs_err
share_begin(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from, const struct content_change *change,
	struct content_share *share)
{
	enum rfs_err err;

	share->from = share->content = *from;
	if (change && change->size <= bucket->block_size)
		return block_change(s, rq, bucket, change, share);
	if (change) {
		share->content.kind = from->kind == CONTENT_PARTS ? CONTENT_PARTS : CONTENT_SEGMENTS;
		share->content.size = change->size;
		share->content.block = 0;
	}
	if (share->content.kind == CONTENT_EMPTY)
		return RFS_OK;
	if ((err = metadata_number(s->metadata, rq, 1, &share->content.data_id)))
		return err;
	return share->content.kind == CONTENT_BLOCK ? RFS_OK : staged_share(s, rq, bucket, change, share);
}

static bool
is_begun(const struct content_share *share)
{
	return share->staged_serial || share->writer;
}

enum rfs_err
content_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct batch *b, const struct content *from,
	const struct content_change *change, struct content_share *share)
{
	enum rfs_err err;

	if (is_begun(share) && !(share->from.data_id == from->data_id && share->from.kind == from->kind))
		content_share_end(s, rq, bucket, share, false);
	if (!is_begun(share) && (err = share_begin(s, rq, bucket, from, change, share))) {
		content_share_end(s, rq, bucket, share, false);
		return err;
	}
	if (share->writer)
		return content_attach(share->writer, b, &share->content);
	if (share->content.kind == CONTENT_BLOCK)
		return run_refer(s, rq, bucket->id, b, from->block);
	if (share->staged_serial)
		batch_checked(batch_delete(b, key_purge(b->arena, bucket->id, share->content.data_id)), share->staged_serial);
	return RFS_OK;
}

void
content_share_end(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct content_share *share, bool published)
{
	if (share->staged_serial && !published)
		content_unshare(s, rq, bucket, &share->content, share->staged_serial);
	content_writer_free(share->writer, published);
	share->staged_serial = 0;
	share->writer = NULL;
}
