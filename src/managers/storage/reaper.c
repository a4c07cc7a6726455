/*
 * reaper.c: takes the rows and references of contents that no name holds any more, in bounded batches: purge rows say which. [background]
 *
 * A content that is being read waits until its readers are gone, one that a snapshot needs until that is. Staged contents are left alone, but for those
 * that a process before this one left behind.
 */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "base/thread.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define REAP_PAGE 256
#define REAP_WAIT_MOST 64 /* seconds between rounds that fail; others follow each other after one */

static enum rfs_err
segments_drop(struct storage *s, struct request *rq, uint64_t bucket, uint64_t data_id)
{
	enum rfs_err err = RFS_OK;
	bool more = true;

	while (!err && more) {
		struct batch *b = batch_new(bucket);
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
				err = run_drop(s, rq, bucket, b, runs[k], 1);
			batch_checked(batch_delete(b, page.rows[i].key), page.rows[i].serial);
		}
		if (!err && page.count)
			err = metadata_commit(s->metadata, rq, b);
		crash_point(CRASH_SEGMENT_DROPPED);
		batch_free(b);
	}
	return err;
}

static enum rfs_err content_drop(struct storage *s, struct request *rq, uint64_t bucket, struct batch *b, const struct content *c);

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
parts_drop(struct storage *s, struct request *rq, uint64_t bucket, struct batch *b, const struct content *c)
{
	struct bytes key = key_parts(b->arena, bucket, c->data_id);
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
		err = parts[i].content.kind == CONTENT_BLOCK ? run_drop(s, rq, bucket, b, parts[i].content.block, next - i)
							     : content_drop(s, rq, bucket, b, &parts[i].content);
	}
	batch_checked(batch_delete(b, key), row.serial);
	return err;
}

/* Segments go in bounded batches of their own; the rest is added to `b`, with which the content's last trace goes. */
static enum rfs_err
content_drop(struct storage *s, struct request *rq, uint64_t bucket, struct batch *b, const struct content *c)
{
	switch (c->kind) {
	case CONTENT_EMPTY:
		return RFS_OK;
	case CONTENT_BLOCK:
		return run_drop(s, rq, bucket, b, c->block, 1);
	case CONTENT_SEGMENTS:
		return segments_drop(s, rq, bucket, c->data_id);
	case CONTENT_PARTS:
		return parts_drop(s, rq, bucket, b, c);
	}
	return RFS_ERR_DAMAGED;
}

/* Is `number` among the parts whose contents live on? `r` stands before their count. */
static bool
part_lives(struct reader r, uint32_t number)
{
	uint64_t count = reader_varint(&r);

	while (count-- && !r.failed)
		if (reader_varint(&r) == number && !r.failed)
			return true;
	return false;
}

/* The rows of an upload that is over, a page a batch; a part that was not used leaves its content to be purged. */
static enum rfs_err
upload_reap(struct storage *s, struct request *rq, uint64_t bucket, const uint8_t id[UPLOAD_ID_BYTES], struct reader used)
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
			if (!err && !part_lives(used, part.number))
				purge_add(b, &owner, &part.content);
			batch_checked(batch_delete(b, page.rows[i].key), page.rows[i].serial);
		}
		if (!err && page.count)
			err = metadata_commit(s->metadata, rq, b);
		batch_free(b);
	}
	return err;
}

/* A page of the uploads that were open when their bucket was removed: each is over. `more`: there are others; the commit asks for another round. */
static enum rfs_err
uploads_end(struct storage *s, struct request *rq, uint64_t bucket, bool *more)
{
	struct bytes from = key_uploads(rq->arena, bucket, bytes_of(NULL, 0));
	struct row_page page;
	struct batch *b;
	uint64_t number;
	enum rfs_err err;

	*more = false;
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
	*more = page.more;
	return err;
}

/* `left`: it is being read, and stays for another round. */
static enum rfs_err
purge_reap(struct storage *s, struct request *rq, uint64_t bucket, const struct row *row, bool *left)
{
	struct content content;
	struct reader r;
	struct bytes id;
	struct batch *b = batch_new(bucket);
	uint8_t state;
	bool more, kept;
	enum rfs_err err = RFS_OK;

	reader_init(&r, row->value);
	state = reader_u8(&r);
	if (state == PURGE_UPLOAD) {
		id = reader_bytes(&r, UPLOAD_ID_BYTES);
		err = r.failed ? RFS_ERR_DAMAGED : upload_reap(s, rq, bucket, id.data, r);
	} else if (state == PURGE_BUCKET) {
		if ((err = uploads_end(s, rq, bucket, &more)) || more)
			goto out;
	} else if (!content_decode(&r, &content)) {
		err = RFS_ERR_DAMAGED;
	} else if (state == PURGE_STAGED && content.data_id >= s->numbers_before && !MUTANT("staged-content-reaped")) {
		goto out;
	} else if (storage_is_pinned(s, content.data_id)) {
		*left = true;
		goto out;
	} else if ((err = past_has(s->metadata, rq, bucket, content.data_id, &kept)) || kept) {
		goto out;
	} else {
		err = content_drop(s, rq, bucket, b, &content);
	}
	if (!err) {
		batch_checked(batch_delete(b, row->key), row->serial);
		err = metadata_commit(s->metadata, rq, b);
	}
	if (!err)
		metric_add(METRIC_STORAGE_REAPED, 1);
out:
	batch_free(b);
	return err == RFS_ERR_DAMAGED ? request_fail(rq, err, "reading a purge row") : err;
}

bool
reaper_stopping(struct storage *s)
{
	bool stopping;

	pthread_mutex_lock(&s->reaper_lock);
	stopping = s->stopping;
	pthread_mutex_unlock(&s->reaper_lock);
	return stopping;
}

/* What a round left to another one, and why. */
struct round {
	bool left;   /* for a reader, a lost race or a failure */
	bool failed; /* it is tried again, but not so soon */
};

static void
reap_failed(struct request *rq, uint64_t bucket, enum rfs_err err, struct round *round)
{
	log_warn(rq->id, "reaping bucket number %llu: %s%s%s", (unsigned long long)bucket, error_face(err)->name, rq->detail ? ": " : "",
		rq->detail ? rq->detail : "");
	rq->detail = NULL;
	round->failed = true;
	/* A damaged row stays what it is, and a poisoned store takes nothing more: the next start tries again. */
	if (err != RFS_ERR_DAMAGED && err != RFS_ERR_POISONED)
		round->left = true;
}

/* Which bucket it is at; 0: none. */
static void
reaper_at(struct storage *s, uint64_t bucket)
{
	pthread_mutex_lock(&s->reaper_lock);
	s->reaped += bucket == 0;
	s->reaping = bucket;
	pthread_mutex_unlock(&s->reaper_lock);
}

/* All purge rows of a bucket, once. What is in the request's arena goes with each page. */
static void
rows_reap(struct storage *s, struct request *rq, uint64_t bucket, struct round *round)
{
	struct row_page page = { .more = true };
	uint64_t next = 0;

	while (page.more && !reaper_stopping(s)) {
		struct bytes end;
		enum rfs_err err;

		arena_reset(rq->arena);
		end = key_table(rq->arena, bucket, TABLE_PURGE + 1, bytes_of(NULL, 0));
		err = metadata_scan(s->metadata, rq, key_purge(rq->arena, bucket, next), end, REAP_PAGE, false, &page);
		for (size_t i = 0; !err && i < page.count; i++) {
			next = load_be64(page.rows[i].key.data + 9) + 1;
			err = purge_reap(s, rq, bucket, &page.rows[i], &round->left);
			if (err == RFS_ERR_CONFLICT) {
				round->left = true;
				err = RFS_OK;
			} else if (err == RFS_ERR_DAMAGED) {
				reap_failed(rq, bucket, err, round); /* those behind it are none the worse */
				err = RFS_OK;
			}
		}
		if (err) {
			reap_failed(rq, bucket, err, round);
			return;
		}
	}
}

static void
bucket_reap(struct storage *s, struct request *rq, uint64_t bucket, struct round *round)
{
	reaper_at(s, bucket);
	rows_reap(s, rq, bucket, round);
	reaper_at(s, 0);
}

/* Every bucket of the store from `*bucket` on, also one that was removed: from one bucket's first key to the next's. False: to be gone on with. */
static bool
store_reap(struct storage *s, struct request *rq, uint64_t *bucket)
{
	while (!reaper_stopping(s)) {
		struct round round = { 0 };
		bool found;

		if (storage_bucket_from(s, rq, bucket, &found))
			return false;
		if (!found)
			return true;
		bucket_reap(s, rq, *bucket, &round);
		if (round.left)
			metadata_purge_note(s->metadata, *bucket);
		++*bucket;
		arena_reset(rq->arena);
	}
	return true;
}

static uint64_t
reaper_asked(struct storage *s, bool *pending)
{
	uint64_t asked;

	pthread_mutex_lock(&s->reaper_lock);
	asked = s->reap_asked;
	*pending = s->reap_answered != asked;
	pthread_mutex_unlock(&s->reaper_lock);
	return asked;
}

/* Whoever had asked by then is told, and others may. */
static void
reaper_wait(struct storage *s, uint64_t asked, unsigned seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&s->reaper_lock);
	s->reap_answered = asked;
	pthread_cond_broadcast(&s->reaper_done);
	if (!s->stopping && s->reap_asked == asked)
		pthread_cond_timedwait(&s->reaper_wake, &s->reaper_lock, &until);
	pthread_mutex_unlock(&s->reaper_lock);
}

void
reaper_finish(struct storage *s)
{
	uint64_t mine;

	ASSERT_MAY_BLOCK();
	pthread_mutex_lock(&s->reaper_lock);
	mine = ++s->reap_asked;
	pthread_cond_signal(&s->reaper_wake);
	while (!s->stopping && !s->shutting_down && s->reap_answered < mine)
		pthread_cond_wait(&s->reaper_done, &s->reaper_lock);
	pthread_mutex_unlock(&s->reaper_lock);
}

/* [background] One round over everything at the start, then one over each bucket that had something purged; and the feeds, now and then. */
void *
reaper_run(void *data)
{
	struct storage *s = data;
	struct request rq = { .arena = arena_new(65536), .door = "reaper", .may_block = true, .need = SPACE_FREES };
	struct feeds_round feeds = { 0 };
	uint64_t bucket, start = 1, asked = 0, first_left = 0;
	unsigned seconds = 1;
	bool started = false, pending = false;

	thread_role_set(THREAD_BACKGROUND, "reaper");
	while (!reaper_stopping(s)) {
		struct round round = { 0 };

		if (!first_left) /* else the others are gone through for those who had asked before */
			asked = reaper_asked(s, &pending);
		rq.now_ns = clock_wall_ns();
		rq.detail = NULL;
		arena_reset(rq.arena);
		if (!started)
			round.failed = !(started = store_reap(s, &rq, &start));
		feeds_reap(s, &rq, &feeds);
		if (metadata_purged(s->metadata, &bucket)) {
			bucket_reap(s, &rq, bucket, &round);
			if (!round.left && !round.failed)
				continue;
			if (round.left)
				metadata_purge_note(s->metadata, bucket); /* behind the others, and not at once */
			if (pending && !round.failed && bucket != first_left) { /* the others first: somebody waits */
				first_left = first_left ? first_left : bucket;
				continue;
			}
		}
		first_left = 0;
		seconds = !round.failed ? 1 : seconds < REAP_WAIT_MOST ? seconds * 2 : seconds;
		reaper_wait(s, asked, seconds);
	}
	arena_free(rq.arena);
	return NULL;
}
