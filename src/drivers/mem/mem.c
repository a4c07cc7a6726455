/*
 * mem.c: the reference driver: rows in one sorted array, blocks in another, one lock, nothing on disk. What it does in a few lines is what the other drivers must do.
 *
 * [any], commit included: a batch is done before commit returns.
 */
#include "base/clock.h"
#include "drivers/driver.h"

#include <pthread.h>
#include <stdlib.h>

#define ID_LIFE_NS (600 * 1000000000LL)

struct mem_row {
	struct bytes key;
	struct bytes value;
	uint64_t serial; /* 0: a counter */
};

struct mem_bucket {
	uint64_t id;
	uint64_t serial;
	uint64_t last_feed;
};

struct mem_id {
	uint8_t id[16];
	uint64_t serial;
	int64_t until_ns;
};

struct mem {
	struct metadata_driver metadata;
	struct storage_driver storage;
	pthread_mutex_t lock; /* everything below */
	struct mem_row *rows;
	size_t row_count, row_capacity;
	struct mem_bucket *buckets;
	size_t bucket_count;
	struct mem_id *ids;
	size_t id_count;
	struct slice *blocks; /* a location is an index into this */
	size_t block_count, block_capacity;
};

static struct mem *
of_metadata(struct metadata_driver *d)
{
	return (struct mem *)d;
}

static struct mem *
of_storage(struct storage_driver *d)
{
	return (struct mem *)((char *)d - offsetof(struct mem, storage));
}

/* --- rows ---------------------------------------------------------------------------------------------------------------------- */

/* Index of the first row whose key is not below `key`. */
static size_t
row_find(const struct mem *m, struct bytes key)
{
	size_t low = 0, high = m->row_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (bytes_compare(m->rows[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct mem_row *
row_get(const struct mem *m, struct bytes key)
{
	size_t i = row_find(m, key);

	return i < m->row_count && bytes_equal(m->rows[i].key, key) ? &m->rows[i] : NULL;
}

static struct bytes
copy(struct bytes v)
{
	uint8_t *p = xmalloc(v.len + 1);

	if (v.len)
		memcpy(p, v.data, v.len);
	return bytes_of(p, v.len);
}

static void
row_put(struct mem *m, struct bytes key, struct bytes value, uint64_t serial)
{
	size_t i = row_find(m, key);

	if (i < m->row_count && bytes_equal(m->rows[i].key, key)) {
		free((void *)m->rows[i].value.data);
	} else {
		if (m->row_count == m->row_capacity) {
			m->row_capacity = m->row_capacity ? m->row_capacity * 2 : 64;
			m->rows = xrealloc(m->rows, m->row_capacity * sizeof(*m->rows));
		}
		memmove(&m->rows[i + 1], &m->rows[i], (m->row_count - i) * sizeof(*m->rows));
		m->row_count++;
		m->rows[i].key = copy(key);
	}
	m->rows[i].value = copy(value);
	m->rows[i].serial = serial;
}

static void
rows_remove(struct mem *m, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		free((void *)m->rows[i].key.data);
		free((void *)m->rows[i].value.data);
	}
	memmove(&m->rows[from], &m->rows[to], (m->row_count - to) * sizeof(*m->rows));
	m->row_count -= to - from;
}

static void
row_remove(struct mem *m, struct bytes key)
{
	size_t i = row_find(m, key);

	if (i < m->row_count && bytes_equal(m->rows[i].key, key))
		rows_remove(m, i, i + 1);
}

static int64_t
counter_get(const struct mem *m, struct bytes key)
{
	const struct mem_row *row = row_get(m, key);

	return row ? (int64_t)load_u64(row->value.data) : 0;
}

static void
counter_put(struct mem *m, struct bytes key, int64_t value)
{
	uint8_t bytes[8];

	if (value == 0) {
		row_remove(m, key);
		return;
	}
	store_u64(bytes, (uint64_t)value);
	row_put(m, key, bytes_of(bytes, 8), 0);
}

/* --- commit -------------------------------------------------------------------------------------------------------------------- */

static struct mem_bucket *
bucket_get(struct mem *m, uint64_t id)
{
	for (size_t i = 0; i < m->bucket_count; i++)
		if (m->buckets[i].id == id)
			return &m->buckets[i];
	m->buckets = xrealloc(m->buckets, (m->bucket_count + 1) * sizeof(*m->buckets));
	m->buckets[m->bucket_count] = (struct mem_bucket){ .id = id };
	return &m->buckets[m->bucket_count++];
}

/* The counter as this batch leaves it. */
static int64_t
counter_after(const struct mem *m, const struct batch *b, struct bytes key)
{
	int64_t value = counter_get(m, key);

	for (size_t i = 0; i < b->op_count; i++) {
		const struct batch_op *op = &b->ops[i];

		if ((op->kind != BATCH_ADD && op->kind != BATCH_MAX) || !bytes_equal(op->key, key))
			continue;
		if (op->kind == BATCH_ADD)
			value += op->delta;
		else if ((uint64_t)value < op->number)
			value = (int64_t)op->number;
	}
	return value;
}

static bool
conditions_fail(const struct mem *m, struct batch *b)
{
	for (size_t i = 0; i < b->op_count; i++) {
		const struct batch_op *op = &b->ops[i];
		bool holds = true;

		if (op->kind == BATCH_CHECK) {
			const struct mem_row *row = row_get(m, op->key);

			holds = (row ? row->serial : 0) == op->number;
		} else if (op->kind == BATCH_EXPECT) {
			int64_t value = counter_after(m, b, op->key);

			holds = value >= op->min && value <= op->max;
		}
		if (!holds) {
			b->failed_op = i;
			return true;
		}
	}
	return false;
}

static struct block_location
block_add(struct mem *m, const struct slice *parts, size_t count)
{
	struct block_location location = { 0 };
	size_t len = 0, at = 0;
	struct slice whole;

	for (size_t i = 0; i < count; i++)
		len += parts[i].len;
	whole = slice_new(len);
	for (size_t i = 0; i < count; at += parts[i].len, i++)
		memcpy(slice_writable(&whole) + at, parts[i].data, parts[i].len); /* the memory of the request must not be held */
	if (m->block_count == m->block_capacity) {
		m->block_capacity = m->block_capacity ? m->block_capacity * 2 : 64;
		m->blocks = xrealloc(m->blocks, m->block_capacity * sizeof(*m->blocks));
	}
	store_u64(location.bytes, m->block_count);
	m->blocks[m->block_count++] = whole;
	return location;
}

static void
blocks_apply(struct mem *m, const struct batch_op *op, uint64_t serial)
{
	struct buf value;

	buf_init(&value, NULL);
	buf_put_bytes(&value, op->value);
	for (size_t i = 0; i < op->block_count; i++) {
		const struct batch_block *block = &op->blocks[i];
		struct block_location location = block->stored ? block->location : block_add(m, block->parts, block->part_count);

		buf_put(&value, location.bytes, sizeof(location.bytes));
	}
	row_put(m, op->key, buf_bytes(&value), serial);
	buf_fini(&value);
}

static struct bytes
key_fill(struct arena *a, const struct batch_op *op, uint64_t serial)
{
	uint8_t *key;

	if (op->slot == SLOT_NONE)
		return op->key;
	key = (uint8_t *)arena_copy(a, op->key).data;
	store_be64(key + op->key.len - 8, op->slot == SLOT_SERIAL ? serial : ~serial);
	return bytes_of(key, op->key.len);
}

static void
op_apply(struct mem *m, struct batch *b, const struct batch_op *op, struct mem_bucket *bucket)
{
	struct bytes key = key_fill(b->arena, op, bucket->serial);
	struct buf value;

	switch (op->kind) {
	case BATCH_PUT:
		row_put(m, key, op->value, bucket->serial);
		break;
	case BATCH_DELETE:
		row_remove(m, key);
		break;
	case BATCH_DELETE_RANGE:
		if (bytes_compare(op->key, op->value) < 0)
			rows_remove(m, row_find(m, op->key), row_find(m, op->value));
		break;
	case BATCH_ADD:
		counter_put(m, key, counter_get(m, key) + op->delta);
		break;
	case BATCH_MAX:
		if ((uint64_t)counter_get(m, key) < op->number)
			counter_put(m, key, (int64_t)op->number);
		break;
	case BATCH_APPEND:
		buf_init(&value, NULL);
		buf_put_bytes(&value, op->value);
		buf_u64(&value, bucket->last_feed);
		row_put(m, key, buf_bytes(&value), bucket->serial);
		buf_fini(&value);
		bucket->last_feed = bucket->serial;
		break;
	case BATCH_BLOCKS:
		blocks_apply(m, op, bucket->serial);
		break;
	case BATCH_CHECK:
	case BATCH_EXPECT:
		break;
	}
}

static bool
id_is_set(const uint8_t id[16])
{
	static const uint8_t none[16];

	return memcmp(id, none, 16) != 0;
}

/* True: this batch was done before, and has its first result. */
static bool
id_known(struct mem *m, struct batch *b)
{
	int64_t now = clock_monotonic_ns();

	for (size_t i = 0; i < m->id_count; i++)
		if (memcmp(m->ids[i].id, b->id, 16) == 0 && m->ids[i].until_ns > now) {
			b->serial = m->ids[i].serial;
			return true;
		}
	return false;
}

static void
id_remember(struct mem *m, const struct batch *b)
{
	m->ids = xrealloc(m->ids, (m->id_count + 1) * sizeof(*m->ids));
	memcpy(m->ids[m->id_count].id, b->id, 16);
	m->ids[m->id_count].serial = b->serial;
	m->ids[m->id_count++].until_ns = clock_monotonic_ns() + ID_LIFE_NS;
}

static void
commit_locked(struct mem *m, struct batch *b)
{
	struct mem_bucket *bucket;

	b->error = RFS_OK;
	if (b->overflow) {
		b->error = RFS_ERR_LIMIT;
		return;
	}
	if (id_is_set(b->id) && id_known(m, b))
		return;
	if (conditions_fail(m, b)) {
		b->error = RFS_ERR_CONFLICT;
		return;
	}
	bucket = bucket_get(m, b->bucket);
	b->serial = ++bucket->serial;
	for (size_t i = 0; i < b->op_count; i++)
		op_apply(m, b, &b->ops[i], bucket);
	if (id_is_set(b->id))
		id_remember(m, b);
}

static void
mem_commit(struct metadata_driver *d, struct batch *b)
{
	struct mem *m = of_metadata(d);

	pthread_mutex_lock(&m->lock);
	commit_locked(m, b);
	pthread_mutex_unlock(&m->lock);
	b->done(b);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------- */

static void
row_out(struct request *rq, const struct mem_row *row, struct row *out)
{
	out->key = arena_copy(rq->arena, row->key);
	out->value = arena_copy(rq->arena, row->value);
	out->serial = row->serial;
	out->found = true;
}

static enum rfs_err
mem_get(struct metadata_driver *d, struct request *rq, struct bytes key, struct row *out)
{
	struct mem *m = of_metadata(d);
	const struct mem_row *row;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&m->lock);
	if ((row = row_get(m, key)))
		row_out(rq, row, out);
	pthread_mutex_unlock(&m->lock);
	return RFS_OK;
}

static enum rfs_err
mem_multi_get(struct metadata_driver *d, struct request *rq, const struct bytes *keys, size_t count, struct row *out)
{
	for (size_t i = 0; i < count; i++)
		(void)!mem_get(d, rq, keys[i], &out[i]);
	return RFS_OK;
}

static enum rfs_err
mem_scan(struct metadata_driver *d, struct request *rq, struct bytes from, struct bytes to, size_t limit, bool reverse, struct row_page *out)
{
	struct mem *m = of_metadata(d);
	size_t first, last, count;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&m->lock);
	first = row_find(m, from);
	last = row_find(m, to);
	count = last > first ? last - first : 0;
	out->more = count > limit;
	out->count = out->more ? limit : count;
	out->rows = ARENA_ARRAY(rq->arena, struct row, out->count + 1);
	for (size_t i = 0; i < out->count; i++)
		row_out(rq, &m->rows[reverse ? last - 1 - i : first + i], &out->rows[i]);
	pthread_mutex_unlock(&m->lock);
	return RFS_OK;
}

static void
mem_info(struct metadata_driver *d, struct metadata_info *out)
{
	struct mem *m = of_metadata(d);

	pthread_mutex_lock(&m->lock);
	*out = (struct metadata_info){ .name = "mem", .fused = true, .rows_estimate = m->row_count };
	pthread_mutex_unlock(&m->lock);
}

static void
mem_close(struct metadata_driver *d)
{
	struct mem *m = of_metadata(d);

	rows_remove(m, 0, m->row_count);
	for (size_t i = 0; i < m->block_count; i++)
		slice_unref(&m->blocks[i]);
	pthread_mutex_destroy(&m->lock);
	free(m->rows);
	free(m->buckets);
	free(m->ids);
	free(m->blocks);
	free(m);
}

/* --- blocks -------------------------------------------------------------------------------------------------------------------- */

static enum rfs_err
mem_put(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number, const struct slice *parts, size_t count, struct block_ticket *out)
{
	struct mem *m = of_storage(d);

	pthread_mutex_lock(&m->lock);
	*out = (struct block_ticket){ .number = number, .location = block_add(m, parts, count) };
	pthread_mutex_unlock(&m->lock);
	return RFS_OK;
}

static enum rfs_err
mem_wait(struct storage_driver *d, struct request *rq, const struct block_ticket *tickets, size_t count)
{
	return RFS_OK;
}

static enum rfs_err
mem_read(struct storage_driver *d, struct request *rq, uint64_t number, const struct block_location *location, uint64_t offset, size_t len, struct slice *out)
{
	struct mem *m = of_storage(d);
	uint64_t i = load_u64(location->bytes);
	enum rfs_err err = RFS_OK;

	pthread_mutex_lock(&m->lock);
	if (i >= m->block_count || !m->blocks[i].data)
		err = RFS_ERR_NOT_FOUND;
	else if (offset > m->blocks[i].len || len > m->blocks[i].len - offset)
		err = RFS_ERR_DAMAGED;
	else
		*out = slice_part(m->blocks[i], offset, len);
	pthread_mutex_unlock(&m->lock);
	return err;
}

static enum rfs_err
mem_remove(struct storage_driver *d, struct request *rq, uint64_t number, const struct block_location *location)
{
	struct mem *m = of_storage(d);
	uint64_t i = load_u64(location->bytes);

	pthread_mutex_lock(&m->lock);
	if (i < m->block_count)
		slice_unref(&m->blocks[i]);
	pthread_mutex_unlock(&m->lock);
	return RFS_OK;
}

/* Closed with the metadata side. */
static void
mem_storage_close(struct storage_driver *d)
{
}

static const struct metadata_ops mem_metadata_ops = {
	.get = mem_get,
	.multi_get = mem_multi_get,
	.scan = mem_scan,
	.commit = mem_commit,
	.info = mem_info,
	.close = mem_close,
};

static const struct storage_ops mem_storage_ops = {
	.put = mem_put,
	.wait = mem_wait,
	.get = mem_read,
	.remove = mem_remove,
	.close = mem_storage_close,
};

enum rfs_err
mem_open(const struct config *config, struct store_drivers *out, char *error)
{
	struct mem *m = xcalloc(1, sizeof(*m));

	m->metadata.ops = &mem_metadata_ops;
	m->storage.ops = &mem_storage_ops;
	pthread_mutex_init(&m->lock, NULL);
	*out = (struct store_drivers){ .metadata = &m->metadata, .storage = &m->storage };
	return RFS_OK;
}
