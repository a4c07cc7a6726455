/*
 * purge_reap.c: what a purge row names goes, and the row with it: contents, the rows of an upload that is over, the uploads of a bucket that was removed. [background]
 *
 * Contents of one block each go many in a batch; any other in batches of its own.
 */
#include "base/crash_point.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define REAP_PAGE 256
#define TOGETHER_MOST 64 /* contents of a batch: it is applied in one go, and others wait for that */

static enum rfs_err
segments_drop(struct storage *s, struct request *rq, uint64_t bucket, uint64_t data_id)
{
	enum rfs_err err = RFS_OK;
	bool more = true;

	while (!err && more) {
		struct drops drops = { .batch = batch_new(bucket) };
		struct row_page page;

		/* A row a batch: rows may name the same runs, whose EXPECTs would be judged together. */
		err = metadata_scan(s->metadata, rq, key_segment(rq->arena, bucket, data_id, 0), key_segment(rq->arena, bucket, data_id + 1, 0), 1, false,
			&page);
		more = !err && page.more;
		for (size_t i = 0; !err && i < page.count; i++) {
			struct segment_row segment;
			uint64_t runs[RUN_MAX_BLOCKS];
			size_t count;

			err = segment_decode(rq->arena, page.rows[i].value, &segment);
			count = err ? 0 : segment_runs(&segment, runs);
			for (size_t k = 0; !err && k < count; k++)
				err = run_drop(s, rq, bucket, &drops, runs[k], 1);
			batch_checked(batch_delete(drops.batch, page.rows[i].key), page.rows[i].serial);
		}
		if (!err && page.count)
			err = drops_commit(s, rq, &drops);
		crash_point(CRASH_SEGMENT_DROPPED);
		batch_free(drops.batch);
	}
	return err;
}

static enum rfs_err content_drop(struct storage *s, struct request *rq, uint64_t bucket, struct drops *drops, const struct content *c);

/* Parts that are the same block stand together. */
static int
by_block(const void *a, const void *b)
{
	const struct content *x = &((const struct part_ref *)a)->content, *y = &((const struct part_ref *)b)->content;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

static enum rfs_err
parts_drop(struct storage *s, struct request *rq, uint64_t bucket, struct drops *drops, const struct content *c)
{
	struct bytes key = key_parts(drops->batch->arena, bucket, c->data_id);
	struct part_ref *parts;
	struct row row;
	size_t count;
	enum rfs_err err;

	if ((err = metadata_get(s->metadata, rq, key, &row)) || !row.found)
		return err;
	err = parts_decode(rq->arena, row.value, &parts, &count, NULL);
	/*
	 * Segments go with their references, a batch each, so that doing it again does no harm. A block's reference has no row of its own: it is given back in the
	 * batch that removes the index, or a crash in between would give it back twice. Only the last part is so small that it is one block.
	 */
	if (!err)
		qsort(parts, count, sizeof(*parts), by_block);
	for (size_t i = 0, next; !err && i < count; i = next) {
		next = i + 1;
		while (next < count && parts[i].content.kind == CONTENT_BLOCK && by_block(&parts[i], &parts[next]) == 0)
			next++;
		err = parts[i].content.kind == CONTENT_BLOCK ? run_drop(s, rq, bucket, drops, parts[i].content.block, next - i)
							     : content_drop(s, rq, bucket, drops, &parts[i].content);
	}
	batch_checked(batch_delete(drops->batch, key), row.serial);
	return err;
}

/* Segments go in bounded batches of their own; the rest is added to the batch with which the content's last trace goes. */
static enum rfs_err
content_drop(struct storage *s, struct request *rq, uint64_t bucket, struct drops *drops, const struct content *c)
{
	switch (c->kind) {
	case CONTENT_EMPTY:
		return RFS_OK;
	case CONTENT_BLOCK:
		return run_drop(s, rq, bucket, drops, c->block, 1);
	case CONTENT_SEGMENTS:
		return segments_drop(s, rq, bucket, c->data_id);
	case CONTENT_PARTS:
		return parts_drop(s, rq, bucket, drops, c);
	}
	return RFS_ERR_DAMAGED;
}

/* The rows of an upload that is over, a page a batch; a part that was not used leaves its content to be purged: `more`. */
static enum rfs_err
upload_reap(struct storage *s, struct request *rq, uint64_t bucket, const uint8_t id[UPLOAD_ID_BYTES], struct reader used, bool *more)
{
	const struct bucket_row owner = { .id = bucket };
	struct row_page page = { .more = true };
	enum rfs_err err = RFS_OK;

	while (!err && page.more) {
		struct batch *b = batch_new(bucket);

		err = metadata_scan(s->metadata, rq, key_upload_part(rq->arena, bucket, id, 0), key_upload_part(rq->arena, bucket, id, UINT32_MAX), REAP_PAGE,
			false, &page);
		for (size_t i = 0; !err && i < page.count; i++) {
			struct part_row part;

			err = part_decode(page.rows[i].value, &part);
			if (!err && !purge_keeps_part(used, part.number)) {
				purge_add(b, &owner, &part.content);
				*more = true;
			}
			batch_checked(batch_delete(b, page.rows[i].key), page.rows[i].serial);
		}
		if (!err && page.count)
			err = metadata_commit(s->metadata, rq, b);
		batch_free(b);
	}
	return err;
}

/* A page of the uploads that were open when their bucket was removed: each is over, and purged in another round. `others`: there are some behind it. */
static enum rfs_err
uploads_end(struct storage *s, struct request *rq, uint64_t bucket, bool *others)
{
	struct bytes from = key_uploads(rq->arena, bucket, bytes_of(NULL, 0));
	struct row_page page;
	struct batch *b;
	uint64_t number;
	enum rfs_err err;

	*others = false;
	if ((err = metadata_scan(s->metadata, rq, from, key_after_prefix(rq->arena, from), REAP_PAGE, false, &page)) || !page.count)
		return err;
	if ((err = metadata_number(s->metadata, rq, (unsigned)page.count, &number)))
		return err;
	b = batch_new(bucket);
	for (size_t i = 0; !err && i < page.count; i++) {
		uint8_t id[UPLOAD_ID_BYTES];
		struct bytes name;

		if (!key_upload_split(rq->arena, page.rows[i].key, &name, id))
			err = RFS_ERR_DAMAGED;
		batch_checked(batch_delete(b, page.rows[i].key), page.rows[i].serial);
		purge_upload(b, bucket, number + i, id, NULL, 0);
	}
	if (!err)
		err = metadata_commit(s->metadata, rq, b);
	batch_free(b);
	*others = page.more;
	return err;
}

/* --- rounds --------------------------------------------------------------------------------------------------------------------------- */

/* A content of one block, and the row that names it. */
struct dead_block {
	const struct row *row;
	uint64_t block;
};

struct reap {
	struct storage *s;
	struct request *rq;
	uint64_t bucket;
	struct reap_round *round;
	struct counter_range past;               /* of the contents of the page that is at hand */
	struct dead_block blocks[TOGETHER_MOST]; /* of the page that is at hand */
	size_t block_count;
};

static void
round_failed(struct reap *r, enum rfs_err err)
{
	struct request *rq = r->rq;

	log_warn(rq->id, "reaping bucket number %llu: %s%s%s", (unsigned long long)r->bucket, error_face(err)->name, rq->detail ? ": " : "",
		rq->detail ? rq->detail : "");
	rq->detail = NULL;
	r->round->failed = true;
	/* A damaged row stays what it is, and a poisoned store takes nothing more: the next start tries again. */
	if (err != RFS_ERR_DAMAGED && err != RFS_ERR_POISONED)
		r->round->left = true;
}

/* What ends the round; what became of one row does not: those behind it are none the worse. */
static enum rfs_err
row_ended(struct reap *r, enum rfs_err err)
{
	if (err == RFS_ERR_CONFLICT) {
		r->round->left = true;
		return RFS_OK;
	}
	if (err == RFS_ERR_DAMAGED) {
		err = request_fail(r->rq, err, "reading a purge row");
		round_failed(r, err);
		return RFS_OK;
	}
	return err;
}

static int
by_number(const void *a, const void *b)
{
	const struct dead_block *x = a, *y = b;

	return x->block < y->block ? -1 : x->block > y->block;
}

/* Those that are the same block stand together: what a batch takes of one is judged at once. */
static enum rfs_err
blocks_drop(struct reap *r, const struct dead_block *blocks, size_t count)
{
	struct counter_range references;
	struct drops drops = {.batch = batch_new(r->bucket), .references = &references};
	enum rfs_err err = RFS_OK;

	counter_range_read(r->s->metadata, r->rq, r->bucket, COUNTER_REFERENCES, blocks[0].block,
		blocks[count - 1].block, &references);
	for (size_t i = 0, next; !err && i < count; i = next) {
		for (next = i; next < count && blocks[next].block == blocks[i].block; next++)
			batch_checked(batch_delete(drops.batch, blocks[next].row->key), blocks[next].row->serial);
		err = run_drop(r->s, r->rq, r->bucket, &drops, blocks[i].block, next - i);
	}
	if (!err)
		err = drops_commit(r->s, r->rq, &drops);
	if (!err)
		metric_add(METRIC_STORAGE_REAPED, (int64_t)count);
	batch_free(drops.batch);
	return err;
}

/* Those that were gathered go together; where that cannot be, each by itself, so that only who is the reason stays. */
static enum rfs_err
blocks_reap(struct reap *r)
{
	size_t count = r->block_count;
	enum rfs_err err;

	r->block_count = 0;
	if (!count)
		return RFS_OK;
	qsort(r->blocks, count, sizeof(*r->blocks), by_number);
	err = blocks_drop(r, r->blocks, count);
	if (count == 1 || (err != RFS_ERR_CONFLICT && err != RFS_ERR_DAMAGED))
		return row_ended(r, err);
	err = RFS_OK;
	for (size_t i = 0; !err && i < count; i++)
		err = row_ended(r, blocks_drop(r, &r->blocks[i], 1));
	return err;
}

/* Does nothing need it any more? One that is being read stays for another round. */
static enum rfs_err
content_is_free(struct reap *r, enum purge_state state, const struct content *content, bool *is_free)
{
	bool kept;
	enum rfs_err err;

	*is_free = false;
	if (state == PURGE_STAGED && content->data_id >= r->s->numbers_before && !MUTANT("staged-content-reaped"))
		return RFS_OK;
	if (storage_is_pinned(r->s, content->data_id)) {
		r->round->left = true;
		return RFS_OK;
	}
	err = past_has(r->s->metadata, r->rq, &r->past, content->data_id, &kept);
	*is_free = !err && !kept;
	return err;
}

/* Other than a content. `over`: nothing is left but the row. */
static enum rfs_err
others_reap(struct reap *r, enum purge_state state, struct reader *value, bool *over)
{
	bool others = false;
	struct bytes id;
	enum rfs_err err;

	if (state == PURGE_UPLOAD) {
		id = reader_bytes(value, UPLOAD_ID_BYTES);
		err = value->failed ? RFS_ERR_DAMAGED : upload_reap(r->s, r->rq, r->bucket, id.data, *value, &r->round->more);
	} else {
		err = uploads_end(r->s, r->rq, r->bucket, &others);
		r->round->more = true;
	}
	*over = !others;
	return err;
}

static enum rfs_err
row_reap(struct reap *r, const struct row *row)
{
	struct content content = { .kind = CONTENT_EMPTY };
	struct drops drops = { 0 };
	struct reader value;
	enum purge_state state;
	bool goes;
	enum rfs_err err;

	reader_init(&value, row->value);
	state = reader_u8(&value);
	if (state == PURGE_UPLOAD || state == PURGE_BUCKET)
		err = others_reap(r, state, &value, &goes);
	else if (!content_decode(&value, &content))
		err = RFS_ERR_DAMAGED;
	else
		err = content_is_free(r, state, &content, &goes);
	if (err || !goes)
		return err;
	if (content.kind == CONTENT_BLOCK) {
		r->blocks[r->block_count++] = (struct dead_block){ row, content.block };
		return r->block_count < TOGETHER_MOST ? RFS_OK : blocks_reap(r);
	}
	drops.batch = batch_new(r->bucket);
	err = content_drop(r->s, r->rq, r->bucket, &drops, &content);
	batch_checked(batch_delete(drops.batch, row->key), row->serial);
	if (!err)
		err = drops_commit(r->s, r->rq, &drops);
	if (!err)
		metric_add(METRIC_STORAGE_REAPED, 1);
	batch_free(drops.batch);
	return err;
}

/* The data id in a purge row's key. */
static uint64_t
purge_number(const struct row *row)
{
	return load_be64(row->key.data + 9);
}

/* What is in the request's arena goes with each page. */
void
purged_reap(struct storage *s, struct request *rq, uint64_t bucket, struct reap_round *round)
{
	struct reap r = { .s = s, .rq = rq, .bucket = bucket, .round = round };
	struct row_page page = { .more = true };
	uint64_t next = 0;
	enum rfs_err err = RFS_OK;

	while (!err && page.more && !reaper_stopping(s)) {
		enum rfs_err gathered;
		struct bytes end;

		arena_reset(rq->arena);
		end = key_table(rq->arena, bucket, TABLE_PURGE + 1, bytes_of(NULL, 0));
		err = metadata_scan(s->metadata, rq, key_purge(rq->arena, bucket, next), end, REAP_PAGE, false, &page);
		if (!err && page.count)
			counter_range_read(s->metadata, rq, bucket, COUNTER_PAST, purge_number(&page.rows[0]),
				purge_number(&page.rows[page.count - 1]), &r.past);
		for (size_t i = 0; !err && i < page.count; i++) {
			next = purge_number(&page.rows[i]) + 1;
			err = row_ended(&r, row_reap(&r, &page.rows[i]));
		}
		gathered = blocks_reap(&r); /* they are none the worse for what stands behind them */
		err = err ? err : gathered;
	}
	if (err)
		round_failed(&r, err);
}
