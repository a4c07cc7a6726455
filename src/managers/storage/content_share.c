/* content_share.c: a copy within a bucket: a second content on the same blocks, for the price of references; see storage.h. [worker] */
#include "managers/storage/storage_int.h"

static struct bytes
references_key(struct arena *a, const struct bucket_row *bucket, uint64_t first)
{
	uint8_t number[8];

	store_be64(number, first);
	return key_counter(a, bucket->id, COUNTER_REFERENCES, bytes_of(number, 8));
}

/* One more reference to a run that is there. NOT_FOUND: it has gone. */
static enum rfs_err
run_refer(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct batch *b, uint64_t first)
{
	struct bytes key = key_block(b->arena, bucket->id, first);
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(s->metadata, rq, key, &row)))
		return err;
	if (!row.found)
		return RFS_ERR_NOT_FOUND;
	batch_check(b, key, row.serial);
	batch_add(b, references_key(b->arena, bucket, first), 1);
	return RFS_OK;
}

static enum rfs_err
segment_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct row *row, uint64_t number, uint64_t data_id)
{
	struct segment_row segment;
	struct batch *b = batch_new(bucket->id);
	enum rfs_err err = segment_decode(rq->arena, row->value, &segment);

	for (size_t i = 0; !err && i < segment.extent_count; i++)
		err = run_refer(s, rq, bucket, b, segment.extents[i].first);
	if (!err) {
		batch_put_slotted(b, key_segment(b->arena, bucket->id, data_id, number), SLOT_SERIAL, row->value);
		err = metadata_commit(s->metadata, rq, b);
	}
	batch_free(b);
	return err;
}

/* Copies the segment rows of `from` under a staged data id, one bounded batch each. */
static enum rfs_err
segments_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from, const struct content *to,
	uint64_t *staged_serial)
{
	struct batch *b = batch_new(bucket->id);
	struct bytes next = key_segment(rq->arena, bucket->id, from->data_id, 0);
	struct bytes end = key_segment(rq->arena, bucket->id, from->data_id + 1, 0);
	struct row_page page = { .more = true };
	enum rfs_err err;

	purge_row(b, bucket, PURGE_STAGED, to);
	err = metadata_commit(s->metadata, rq, b);
	*staged_serial = b->serial;
	batch_free(b);
	while (!err && page.more) {
		if ((err = metadata_scan(s->metadata, rq, next, end, 64, false, &page)))
			break;
		for (size_t i = 0; !err && i < page.count; i++) {
			uint64_t number = load_be64(page.rows[i].key.data + 17);

			err = segment_share(s, rq, bucket, &page.rows[i], number, to->data_id);
			next = key_segment(rq->arena, bucket->id, from->data_id, number + 1);
		}
	}
	return err;
}

enum rfs_err
content_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct batch *b, const struct content *from, struct content *out)
{
	uint64_t staged_serial;
	struct bytes key;
	enum rfs_err err;

	*out = *from;
	if (from->kind == CONTENT_EMPTY)
		return RFS_OK;
	if (from->kind == CONTENT_PARTS)
		return request_fail(rq, RFS_ERR_NOT_IMPLEMENTED, "copying an object that was made of parts");
	if ((err = metadata_number(s->metadata, rq, 1, &out->data_id)))
		return err;
	if (from->kind == CONTENT_BLOCK)
		return run_refer(s, rq, bucket, b, from->block);
	storage_pin(s, from->data_id);
	err = segments_share(s, rq, bucket, from, out, &staged_serial);
	storage_unpin(s, from->data_id);
	if (err)
		return err;
	key = key_purge(b->arena, bucket->id, out->data_id);
	batch_check(b, key, staged_serial);
	batch_delete(b, key);
	return RFS_OK;
}
