/* content_share.c: a copy within a bucket: a second content on the same blocks, for the price of references; see storage.h. [worker] */
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

/* Adds the index with parts up to `to`, and a reference to each block among those from `from` on. */
static enum rfs_err
parts_refer(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct batch *b, const struct part_ref *copy, size_t from, size_t to,
	const struct part_sums *sums, uint64_t data_id)
{
	struct buf index;
	enum rfs_err err = RFS_OK;

	for (size_t i = from; !err && i < to; i++)
		if (copy[i].content.kind == CONTENT_BLOCK)
			err = run_refer(s, rq, bucket->id, b, copy[i].content.block);
	buf_init(&index, b->arena);
	parts_encode(&index, copy, to, sums);
	batch_put(b, key_parts(b->arena, bucket->id, data_id), buf_bytes(&index));
	return err;
}

/*
 * Parts [from, to) of the copy: the index is written with them before their segments are shared, so that whatever stops us, the reaper finds all
 * that was taken.
 */
static enum rfs_err
parts_share_some(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct part_ref *source, struct part_ref *copy, size_t from,
	size_t to, const struct part_sums *sums, uint64_t data_id)
{
	struct batch *b = batch_new(bucket->id);
	unsigned attempt = 0;
	enum rfs_err err = RFS_OK;

	for (size_t i = from; !err && i < to; i++) {
		copy[i] = source[i];
		if (source[i].content.kind != CONTENT_EMPTY)
			err = metadata_number(s->metadata, rq, 1, &copy[i].content.data_id);
	}
	if (err)
		goto out;
	do {
		batch_reset(b);
		request_clear_error(rq);
		if (!(err = parts_refer(s, rq, bucket, b, copy, from, to, sums, data_id)))
			err = metadata_commit(s->metadata, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	for (size_t i = from; !err && i < to; i++)
		if (source[i].content.kind == CONTENT_SEGMENTS)
			err = segments_share(s, rq, bucket, &source[i].content, &copy[i].content);
out:
	batch_free(b);
	return err;
}

static enum rfs_err
parts_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from, const struct content *to)
{
	struct part_ref *source, *copy;
	struct part_sums sums;
	size_t count;
	enum rfs_err err;

	if ((err = content_parts(s, rq, bucket, from, &source, &count, &sums)))
		return err;
	copy = ARENA_ARRAY(rq->arena, struct part_ref, count + 1);
	for (size_t i = 0; !err && i < count; i += PARTS_AT_ONCE)
		err = parts_share_some(s, rq, bucket, source, copy, i, i + PARTS_AT_ONCE < count ? i + PARTS_AT_ONCE : count, &sums,
			to->data_id);
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
staged_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from, const struct content *to,
	uint64_t *staged_serial)
{
	struct batch *b = batch_new(bucket->id);
	enum rfs_err err;

	purge_put(b, bucket, PURGE_STAGED, to);
	err = metadata_commit(s->metadata, rq, b);
	*staged_serial = b->serial;
	batch_free(b);
	if (err)
		return err;
	err = from->kind == CONTENT_SEGMENTS ? segments_share(s, rq, bucket, from, to) : parts_share(s, rq, bucket, from, to);
	if (err)
		content_unshare(s, rq, bucket, to, *staged_serial);
	return err;
}

enum rfs_err
content_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct batch *b, const struct content *from, struct content_share *share)
{
	struct bytes key;
	enum rfs_err err = RFS_OK;

	if (share->staged_serial && !(share->from.data_id == from->data_id && share->from.kind == from->kind)) {
		content_unshare(s, rq, bucket, &share->content, share->staged_serial);
		share->staged_serial = 0;
	}
	if (!share->staged_serial) {
		share->from = share->content = *from;
		if (from->kind == CONTENT_EMPTY)
			return RFS_OK;
		if ((err = metadata_number(s->metadata, rq, 1, &share->content.data_id)))
			return err;
		if (from->kind == CONTENT_BLOCK)
			return run_refer(s, rq, bucket->id, b, from->block);
		storage_pin(s, from->data_id);
		err = staged_share(s, rq, bucket, from, &share->content, &share->staged_serial);
		storage_unpin(s, from->data_id);
		if (err) {
			share->staged_serial = 0;
			return err;
		}
	}
	key = key_purge(b->arena, bucket->id, share->content.data_id);
	batch_checked(batch_delete(b, key), share->staged_serial);
	return RFS_OK;
}

void
content_share_end(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct content_share *share, bool published)
{
	if (share->staged_serial && !published)
		content_unshare(s, rq, bucket, &share->content, share->staged_serial);
}
