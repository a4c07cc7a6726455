/* metadata.c: rows, commits, numbers, and the one function that replaces a row. */
#include "managers/metadata/metadata_int.h"
#include "base/dump.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "base/thread.h"
#include "base/waits.h"
#include <stdlib.h>

#define COUNTERS_APART \
	4096 /* numbers of a range: the scan meets no more counters, nor marks of those that were removed */
#define COUNTERS_PAGE 64
#define NUMBER_LEASE 65536 /* numbers taken by one commit; those left at a crash are never used */

struct metadata *
metadata_new(struct metadata_driver *driver)
{
	struct metadata *m = xcalloc(1, sizeof(*m));

	m->driver = driver;
	rwlock_init(&m->buckets_lock);
	pthread_mutex_init(&m->numbers_lock, NULL);
	pthread_cond_init(&m->numbers_leased, NULL);
	pthread_mutex_init(&m->purged_lock, NULL);
	return m;
}

void
metadata_free(struct metadata *m)
{
	if (!m)
		return;
	bucket_cache_free(m);
	pthread_rwlock_destroy(&m->buckets_lock);
	pthread_mutex_destroy(&m->numbers_lock);
	pthread_cond_destroy(&m->numbers_leased);
	pthread_mutex_destroy(&m->purged_lock);
	free(m->purged);
	free(m);
}

void
metadata_set_waits(struct metadata *m, struct waits *waits)
{
	m->waits = waits;
}

struct metadata_driver *
metadata_driver(struct metadata *m)
{
	return m->driver;
}

void
metadata_describe(struct metadata *m, struct dump *out)
{
	pthread_mutex_lock(&m->numbers_lock);
	dump_number(out, "next_number", m->numbers_next);
	dump_number(out, "numbers_leased", m->numbers_end - m->numbers_next);
	pthread_mutex_unlock(&m->numbers_lock);
	dump_list(out, "buckets_to_reap");
	pthread_mutex_lock(&m->purged_lock);
	for (size_t i = 0; i < m->purged_count && i < DUMP_LIST_MOST; i++)
		dump_number(out, NULL, m->purged[i]);
	pthread_mutex_unlock(&m->purged_lock);
	dump_end(out);
}

enum rfs_err
metadata_get(struct metadata *m, struct request *rq, struct bytes key, struct row *out)
{
	return m->driver->ops->get(m->driver, rq, key, out);
}

enum rfs_err
metadata_scan(struct metadata *m, struct request *rq, struct bytes from, struct bytes to, size_t limit, bool reverse, struct row_page *out)
{
	return m->driver->ops->scan(m->driver, rq, from, to, limit, reverse, out);
}

static enum rfs_err
counter_decode(const struct row *row, int64_t *out)
{
	if (row->found && row->value.len != 8)
		return RFS_ERR_DAMAGED;
	*out = row->found ? (int64_t)load_u64(row->value.data) : 0;
	return RFS_OK;
}

enum rfs_err
metadata_counter(struct metadata *m, struct request *rq, struct bytes key, int64_t *out)
{
	struct row row;
	enum rfs_err err = metadata_get(m, rq, key, &row);

	return err ? err : counter_decode(&row, out);
}

static uint64_t
counter_number(const struct row *row)
{
	return load_be64(row->key.data + row->key.len - 8);
}

void
counter_range_read(struct metadata *m, struct request *rq, uint64_t bucket, enum counter kind, uint64_t first,
	uint64_t last, struct counter_range *out)
{
	struct row_page page;

	*out = (struct counter_range){.bucket = bucket, .kind = kind, .first = first, .end = first};
	if (first == last || last - first >= COUNTERS_APART ||
		metadata_scan(m, rq, key_counter_of(rq->arena, bucket, kind, first),
			key_counter_of(rq->arena, bucket, kind, last + 1), COUNTERS_PAGE, false, &page))
		return;
	out->page = page;
	out->end = last + 1;
	if (page.more && !MUTANT("counter-range-cut-short"))
		out->end = counter_number(&page.rows[page.count - 1]) + 1;
}

enum rfs_err
counter_range_get(
	struct metadata *m, struct request *rq, const struct counter_range *known, uint64_t number, int64_t *out)
{
	size_t low = 0, high = known->page.count;

	if (number < known->first || number >= known->end)
		return metadata_counter(m, rq, key_counter_of(rq->arena, known->bucket, known->kind, number), out);
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (counter_number(&known->page.rows[middle]) < number)
			low = middle + 1;
		else
			high = middle;
	}
	*out = 0;
	if (low < known->page.count && counter_number(&known->page.rows[low]) == number)
		return counter_decode(&known->page.rows[low], out);
	return RFS_OK;
}

/* --- commits ------------------------------------------------------------------------------------------------------------------- */

struct commit_wait {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void
commit_done(struct batch *b)
{
	struct commit_wait *wait = b->done_data;

	pthread_mutex_lock(&wait->lock);
	wait->done = true;
	pthread_cond_signal(&wait->cond);
	pthread_mutex_unlock(&wait->lock);
}

void
metadata_purge_note(struct metadata *m, uint64_t bucket)
{
	size_t low = 0, high;

	pthread_mutex_lock(&m->purged_lock);
	for (high = m->purged_count; low < high;) {
		size_t middle = (low + high) / 2;

		if (m->purged[middle] < bucket)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == m->purged_count || m->purged[low] != bucket) {
		if (m->purged_count == m->purged_capacity) {
			m->purged_capacity = m->purged_capacity ? m->purged_capacity * 2 : 16;
			m->purged = xrealloc(m->purged, m->purged_capacity * sizeof(*m->purged));
		}
		memmove(m->purged + low + 1, m->purged + low, (m->purged_count++ - low) * sizeof(*m->purged));
		m->purged[low] = bucket;
	}
	pthread_mutex_unlock(&m->purged_lock);
}

size_t
metadata_purged(struct metadata *m, uint64_t **buckets)
{
	size_t count;

	pthread_mutex_lock(&m->purged_lock);
	*buckets = m->purged;
	count = m->purged_count;
	m->purged = NULL;
	m->purged_count = m->purged_capacity = 0;
	pthread_mutex_unlock(&m->purged_lock);
	return count;
}

static bool
is_table(const struct batch_op *op, enum table table)
{
	return op->kind == BATCH_PUT && op->key.len > 8 && op->key.data[8] == table;
}

/* What a commit means to the bucket cache, the reaper and who watches a feed: kept true here, and only here. */
static void
commit_noted(struct metadata *m, const struct batch *batch)
{
	if (batch->error == RFS_ERR_CONFLICT) {
		metric_add(METRIC_COMMIT_CONFLICTS, 1);
		if (batch->failed_op < batch->op_count && batch->ops[batch->failed_op].key.data[8] == TABLE_BUCKET)
			bucket_forget_id(m, batch->bucket);
		return;
	}
	if (batch->error)
		return;
	for (size_t i = 0; i < batch->op_count; i++) {
		if (is_table(&batch->ops[i], TABLE_BUCKET))
			bucket_forget_id(m, batch->bucket);
		else if (is_table(&batch->ops[i], TABLE_PURGE))
			metadata_purge_note(m, batch->bucket);
		else if (batch->ops[i].kind == BATCH_APPEND && m->waits && !MUTANT("watchers-not-woken"))
			waits_raise(m->waits, batch->bucket);
	}
}

enum rfs_err
metadata_commit(struct metadata *m, struct request *rq, struct batch *batch)
{
	struct commit_wait wait = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

	ASSERT_MAY_BLOCK();
	batch->need = rq->need;
	batch->nowait = false;
	batch->done = commit_done;
	batch->done_data = &wait;
	m->driver->ops->commit(m->driver, batch);
	pthread_mutex_lock(&wait.lock);
	while (!wait.done)
		pthread_cond_wait(&wait.cond, &wait.lock);
	pthread_mutex_unlock(&wait.lock);
	pthread_cond_destroy(&wait.cond);
	pthread_mutex_destroy(&wait.lock);
	return metadata_commit_end(m, batch);
}

static void
commit_wake(struct batch *b)
{
	struct request *rq = b->done_data;

	rq->wake(rq);
}

void
metadata_commit_begin(struct metadata *m, struct request *rq, struct batch *batch)
{
	assert(rq->wake);
	batch->need = rq->need;
	batch->done = commit_wake;
	batch->done_data = rq;
	batch->nowait = !rq->may_block;
	m->driver->ops->commit(m->driver, batch);
}

enum rfs_err
metadata_commit_end(struct metadata *m, struct batch *batch)
{
	commit_noted(m, batch);
	if (batch->error == RFS_ERR_CONFLICT && batch->failed_op < batch->op_count && batch->ops[batch->failed_op].tag == TAG_QUOTA)
		return RFS_ERR_QUOTA_EXCEEDED;
	return MUTANT("commit-errors-ignored") ? RFS_OK : batch->error;
}

enum rfs_err
metadata_writable(struct metadata *m)
{
	struct metadata_info info;

	m->driver->ops->info(m->driver, &info);
	return info.poisoned ? RFS_ERR_POISONED : RFS_OK;
}

/* --- numbers ------------------------------------------------------------------------------------------------------------------- */

/* The first number that nobody has leased. */
static enum rfs_err
numbers_row(struct metadata *m, struct request *rq, struct row *row, uint64_t *next)
{
	enum rfs_err err = metadata_get(m, rq, key_table(rq->arena, DOMAIN_BUCKET, TABLE_SYSTEM, BYTES_LITERAL("numbers")), row);

	if (!err && row->found && row->value.len != 8)
		err = RFS_ERR_DAMAGED;
	if (!err)
		*next = row->found ? load_u64(row->value.data) : 1;
	return err;
}

enum rfs_err
metadata_numbers_before(struct metadata *m, struct request *rq, uint64_t *out)
{
	struct row row;

	return numbers_row(m, rq, &row, out);
}

static enum rfs_err
numbers_lease(struct metadata *m, struct request *rq, unsigned count, uint64_t *first)
{
	struct bytes key = key_table(rq->arena, DOMAIN_BUCKET, TABLE_SYSTEM, BYTES_LITERAL("numbers"));
	struct batch *b = batch_new(DOMAIN_BUCKET);
	enum rfs_err err;
	unsigned attempt = 0;

	do {
		struct row row;
		uint8_t value[8];

		batch_reset(b);
		if ((err = numbers_row(m, rq, &row, first)))
			break;
		store_u64(value, *first + NUMBER_LEASE + count);
		batch_checked(batch_put(b, key, bytes_of(value, 8)), row.serial);
		err = metadata_commit(m, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(b);
	return err;
}

/* One caller leases, with the lock free meanwhile; others wait for it. */
static enum rfs_err
numbers_more_locked(struct metadata *m, struct request *rq, unsigned count)
{
	enum rfs_err err;
	uint64_t next;

	if (m->numbers_leasing) {
		pthread_cond_wait(&m->numbers_leased, &m->numbers_lock);
		return RFS_OK;
	}
	m->numbers_leasing = true;
	pthread_mutex_unlock(&m->numbers_lock);
	err = numbers_lease(m, rq, count, &next);
	pthread_mutex_lock(&m->numbers_lock);
	m->numbers_leasing = false;
	pthread_cond_broadcast(&m->numbers_leased);
	if (!err) {
		m->numbers_next = next;
		m->numbers_end = next + NUMBER_LEASE + count;
	}
	return err;
}

enum rfs_err
metadata_number(struct metadata *m, struct request *rq, unsigned count, uint64_t *first)
{
	enum rfs_err err = RFS_OK;

	pthread_mutex_lock(&m->numbers_lock);
	while (!err && m->numbers_end - m->numbers_next < count)
		err = rq->may_block ? numbers_more_locked(m, rq, count) : RFS_ERR_WOULD_BLOCK;
	if (!err) {
		*first = m->numbers_next;
		m->numbers_next += count;
	}
	pthread_mutex_unlock(&m->numbers_lock);
	return err;
}

/* --- the replacing of rows ----------------------------------------------------------------------------------------------------- */

void
metadata_replace(struct batch *b, const struct bucket_row *bucket, struct bytes key, const struct row *old, struct bytes value)
{
	if (old->found && old->serial <= bucket->last_snapshot && !MUTANT("past-row-forgotten"))
		past_keep(b, bucket, key, old);
	if (value.data)
		batch_checked(batch_put(b, key, value), old->found ? old->serial : 0);
	else if (old->found)
		batch_checked(batch_delete(b, key), old->serial);
	else
		batch_check(b, key, 0);
}

/* --- purge ------------------------------------------------------------------------------------------------------------ */

void
purge_put(struct batch *b, const struct bucket_row *bucket, enum purge_state state, const struct content *content)
{
	struct buf value;

	buf_init(&value, b->arena);
	buf_u8(&value, (uint8_t)state);
	content_encode(&value, content);
	batch_put(b, key_purge(b->arena, bucket->id, content->data_id), buf_bytes(&value));
}

void
purge_add(struct batch *b, const struct bucket_row *bucket, const struct content *content)
{
	if (content->kind != CONTENT_EMPTY && !MUTANT("purge-row-forgotten"))
		purge_put(b, bucket, PURGE_DEAD, content);
}

void
purge_upload(struct batch *b, uint64_t bucket, uint64_t number, const uint8_t id[UPLOAD_ID_BYTES], const uint32_t *live, size_t live_count)
{
	struct buf value;

	buf_init(&value, b->arena);
	buf_u8(&value, PURGE_UPLOAD);
	buf_put(&value, id, UPLOAD_ID_BYTES);
	buf_varint(&value, live_count);
	for (size_t i = 0; i < live_count; i++)
		buf_varint(&value, live[i]);
	batch_put(b, key_purge(b->arena, bucket, number), buf_bytes(&value));
}

bool
purge_keeps_part(struct reader live, uint32_t number)
{
	uint64_t count = reader_varint(&live);

	while (count-- && !live.failed)
		if (reader_varint(&live) == number && !live.failed)
			return true;
	return false;
}

void
purge_bucket(struct batch *b, uint64_t bucket, uint64_t number)
{
	uint8_t state = PURGE_BUCKET;

	batch_put(b, key_purge(b->arena, bucket, number), bytes_of(&state, 1));
}
