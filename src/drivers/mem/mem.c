/*
 * mem.c: the reference driver: rows in one sorted array, blocks in memory, one lock. Nothing survives its closing.
 *
 * Written to be read beside driver.h: where another driver differs from this one, one of the two is wrong. [any]
 */
#include "base/clock.h"
#include "drivers/driver.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define REPEAT_NS (600 * NS_PER_SECOND)

struct mem_row {
	struct bytes key, value; /* malloc'ed, one piece, at key.data */
	uint64_t serial;
};

struct mem_bucket {
	uint64_t bucket, serial, feed;
};

struct mem_repeat {
	uint64_t bucket, serial;
	uint8_t id[16];
	int64_t time_ns;
};

struct mem_block {
	uint64_t bucket, number;
	struct slice payload;
};

struct mem {
	struct metadata_driver metadata;
	struct storage_driver storage;
	pthread_mutex_t lock;
	struct mem_row *rows;
	size_t row_count, row_capacity;
	struct mem_bucket *buckets;
	size_t bucket_count;
	struct mem_repeat *repeats; /* oldest first */
	size_t repeat_count, repeat_capacity;
	struct mem_block *blocks; /* a location is an index */
	size_t block_count, block_capacity;
	size_t tickets; /* not given back */
};

static struct mem *
mem_of(struct metadata_driver *d)
{
	return (struct mem *)(void *)d;
}

static struct mem *
mem_of_storage(struct storage_driver *d)
{
	return (struct mem *)(void *)((char *)d - offsetof(struct mem, storage));
}

/* The first row with a key >= `key`. */
static size_t
lower_bound(const struct mem *m, struct bytes key)
{
	size_t low = 0, high = m->row_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (bytes_compare(m->rows[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct mem_row *
row_find(const struct mem *m, struct bytes key)
{
	size_t at = lower_bound(m, key);

	return at < m->row_count && bytes_equal(m->rows[at].key, key) ? &m->rows[at] : NULL;
}

static void
rows_delete(struct mem *m, size_t from, size_t to)
{
	if (from == to)
		return;
	for (size_t i = from; i < to; i++)
		free((void *)m->rows[i].key.data);
	memmove(m->rows + from, m->rows + to, (m->row_count - to) * sizeof(*m->rows));
	m->row_count -= to - from;
}

static void
row_delete(struct mem *m, struct bytes key)
{
	struct mem_row *row = row_find(m, key);

	if (row)
		rows_delete(m, (size_t)(row - m->rows), (size_t)(row - m->rows) + 1);
}

static void
row_put(struct mem *m, struct bytes key, struct bytes value, uint64_t serial)
{
	size_t at;
	uint8_t *memory;

	row_delete(m, key);
	at = lower_bound(m, key);
	if (m->row_count == m->row_capacity) {
		m->row_capacity = m->row_capacity ? m->row_capacity * 2 : 256;
		m->rows = xrealloc(m->rows, m->row_capacity * sizeof(*m->rows));
	}
	memmove(m->rows + at + 1, m->rows + at, (m->row_count - at) * sizeof(*m->rows));
	m->row_count++;
	memory = xmalloc(key.len + value.len);
	memcpy(memory, key.data, key.len);
	if (value.len)
		memcpy(memory + key.len, value.data, value.len);
	m->rows[at] = (struct mem_row){bytes_of(memory, key.len), bytes_of(memory + key.len, value.len), serial};
}

static void
row_copy(struct request *rq, const struct mem_row *from, bool with_key, struct row *out)
{
	*out = (struct row){.value = arena_copy(rq->arena, from->value), .serial = from->serial, .found = true};
	if (with_key)
		out->key = arena_copy(rq->arena, from->key);
}

static enum rfs_err
mem_multi_get(struct metadata_driver *d, struct request *rq, const struct bytes *keys, size_t count, struct row *out)
{
	struct mem *m = mem_of(d);
	const struct mem_row *row;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < count; i++) {
		out[i] = (struct row){0};
		row = row_find(m, keys[i]);
		if (row)
			row_copy(rq, row, false, &out[i]);
	}
	pthread_mutex_unlock(&m->lock);
	return RFS_OK;
}

static enum rfs_err
mem_get(struct metadata_driver *d, struct request *rq, struct bytes key, struct row *out)
{
	return mem_multi_get(d, rq, &key, 1, out);
}

static enum rfs_err
mem_scan(struct metadata_driver *d, struct request *rq, struct bytes from, struct bytes to, size_t limit, bool reverse,
	struct row_page *out)
{
	struct mem *m = mem_of(d);
	size_t first, end, all;

	pthread_mutex_lock(&m->lock);
	first = lower_bound(m, from);
	end = lower_bound(m, to);
	all = end > first ? end - first : 0;
	out->count = all < limit ? all : limit;
	out->more = all > out->count;
	out->rows = ARENA_ARRAY(rq->arena, struct row, out->count + 1);
	for (size_t i = 0; i < out->count; i++)
		row_copy(rq, &m->rows[reverse ? end - 1 - i : first + i], true, &out->rows[i]);
	pthread_mutex_unlock(&m->lock);
	return RFS_OK;
}

static uint64_t
counter_value(const struct mem *m, struct bytes key)
{
	const struct mem_row *row = row_find(m, key);

	return row && row->value.len == 8 ? load_u64(row->value.data) : 0;
}

/* A counter with this batch's changes. */
static uint64_t
counter_after(const struct mem *m, const struct batch *b, struct bytes key)
{
	uint64_t value = counter_value(m, key);

	for (size_t i = 0; i < b->op_count; i++) {
		if (!bytes_equal(b->ops[i].key, key))
			continue;
		if (b->ops[i].kind == BATCH_ADD)
			value += (uint64_t)b->ops[i].delta;
		else if (b->ops[i].kind == BATCH_MAX && b->ops[i].number > value)
			value = b->ops[i].number;
	}
	return value;
}

static bool
conditions_hold(const struct mem *m, const struct batch *b, size_t *failed_op)
{
	const struct mem_row *row;
	int64_t value;

	for (size_t i = 0; i < b->op_count; i++) {
		*failed_op = i;
		row = row_find(m, b->ops[i].key);
		if (batch_op_checks(&b->ops[i]) && (row ? row->serial : 0) != b->ops[i].number)
			return false;
	}
	for (size_t i = 0; i < b->op_count; i++) {
		*failed_op = i;
		if (b->ops[i].kind != BATCH_EXPECT)
			continue;
		value = (int64_t)counter_after(m, b, b->ops[i].key);
		if (value < b->ops[i].min || value > b->ops[i].max)
			return false;
	}
	*failed_op = 0;
	return true;
}

static struct mem_bucket *
bucket_state(struct mem *m, uint64_t bucket)
{
	for (size_t i = 0; i < m->bucket_count; i++)
		if (m->buckets[i].bucket == bucket)
			return &m->buckets[i];
	m->buckets = xrealloc(m->buckets, (m->bucket_count + 1) * sizeof(*m->buckets));
	m->buckets[m->bucket_count] = (struct mem_bucket){.bucket = bucket};
	return &m->buckets[m->bucket_count++];
}

static void
block_add(struct mem *m, uint64_t bucket, uint64_t number, const struct slice *parts, size_t count,
	struct block_location *out)
{
	struct slice payload;
	size_t len = 0, at = 0;

	for (size_t i = 0; i < count; i++)
		len += parts[i].len;
	payload = slice_new(len);
	for (size_t i = 0; i < count; at += parts[i++].len) /* the caller's parts go away; this is the store */
		memcpy(slice_writable(&payload) + at, parts[i].data, parts[i].len);
	if (m->block_count == m->block_capacity) {
		m->block_capacity = m->block_capacity ? m->block_capacity * 2 : 64;
		m->blocks = xrealloc(m->blocks, m->block_capacity * sizeof(*m->blocks));
	}
	memset(out, 0, sizeof(*out));
	store_u64(out->bytes, m->block_count);
	m->blocks[m->block_count++] = (struct mem_block){bucket, number, payload};
}

/* PUT, APPEND, BLOCKS: a value, and what the driver stores behind it. */
static void
apply_row(struct mem *m, const struct batch_op *op, const struct mem_bucket *state, uint64_t serial, struct buf *key,
	struct buf *value)
{
	struct block_location location;

	key->len = value->len = 0;
	buf_put_bytes(key, op->key);
	if (op->slot != SLOT_NONE)
		store_be64(key->data + key->len - 8, op->slot == SLOT_SERIAL ? serial : ~serial);
	buf_put_bytes(value, op->value);
	if (op->kind == BATCH_APPEND)
		buf_u64(value, state->feed);
	for (size_t i = 0; i < op->block_count; i++) {
		location = op->blocks[i].location;
		if (!op->blocks[i].stored)
			block_add(m, state->bucket, op->blocks[i].number, op->blocks[i].parts, op->blocks[i].part_count,
				&location);
		buf_put(value, location.bytes, sizeof(location.bytes));
	}
	row_put(m, buf_bytes(key), buf_bytes(value), serial);
}

static void
apply_op(struct mem *m, const struct batch_op *op, const struct mem_bucket *state, uint64_t serial, struct buf *key,
	struct buf *value)
{
	uint8_t counter[8];
	uint64_t number;

	switch (op->kind) {
	case BATCH_PUT:
	case BATCH_APPEND:
	case BATCH_BLOCKS:
		apply_row(m, op, state, serial, key, value);
		break;
	case BATCH_DELETE:
		row_delete(m, op->key);
		break;
	case BATCH_DELETE_RANGE:
		if (bytes_compare(op->key, op->value) < 0)
			rows_delete(m, lower_bound(m, op->key), lower_bound(m, op->value));
		break;
	case BATCH_ADD:
	case BATCH_MAX:
		number = counter_value(m, op->key);
		number = op->kind == BATCH_ADD ? number + (uint64_t)op->delta
			 : op->number > number ? op->number
					       : number;
		store_u64(counter, number);
		if (number)
			row_put(m, op->key, bytes_of(counter, 8), 0);
		else
			row_delete(m, op->key);
		break;
	default:
		break;
	}
}

static void
remember(struct mem *m, const struct batch *b, uint64_t serial)
{
	if (!batch_has_id(b))
		return;
	if (m->repeat_count == m->repeat_capacity) {
		m->repeat_capacity = m->repeat_capacity ? m->repeat_capacity * 2 : 64;
		m->repeats = xrealloc(m->repeats, m->repeat_capacity * sizeof(*m->repeats));
	}
	m->repeats[m->repeat_count] =
		(struct mem_repeat){.bucket = b->bucket, .serial = serial, .time_ns = clock_monotonic_ns()};
	memcpy(m->repeats[m->repeat_count++].id, b->id, sizeof(b->id));
}

static bool
find_repeat(const struct mem *m, const struct batch *b, uint64_t *serial)
{
	int64_t oldest = clock_monotonic_ns() - REPEAT_NS;

	if (!batch_has_id(b))
		return false;
	for (size_t i = m->repeat_count; i-- > 0 && m->repeats[i].time_ns >= oldest;)
		if (m->repeats[i].bucket == b->bucket && memcmp(m->repeats[i].id, b->id, sizeof(b->id)) == 0) {
			*serial = m->repeats[i].serial;
			return true;
		}
	return false;
}

static enum rfs_err
commit_locked(struct mem *m, struct batch *b)
{
	struct mem_bucket *state;
	struct buf key, value;
	bool has_append = false;

	if (find_repeat(m, b, &b->serial))
		return RFS_OK;
	if (!conditions_hold(m, b, &b->failed_op))
		return RFS_ERR_CONFLICT;
	state = bucket_state(m, b->bucket);
	b->serial = ++state->serial;
	buf_init(&key, NULL);
	buf_init(&value, NULL);
	for (size_t i = 0; i < b->op_count; i++) {
		apply_op(m, &b->ops[i], state, b->serial, &key, &value);
		has_append |= b->ops[i].kind == BATCH_APPEND;
	}
	if (has_append)
		state->feed = b->serial;
	buf_fini(&key);
	buf_fini(&value);
	remember(m, b, b->serial);
	return RFS_OK;
}

static bool
within_limits(const struct batch *b)
{
	size_t blocks = 0;
	uint64_t payload = 0;

	if (b->overflow || b->op_count > BATCH_MAX_OPS || b->bytes > BATCH_MAX_BYTES)
		return false;
	for (size_t i = 0; i < b->op_count; i++) {
		if (!batch_owns(b, &b->ops[i]))
			return false;
		for (size_t k = 0; k < b->ops[i].block_count; k++) {
			if (b->ops[i].blocks[k].stored)
				continue;
			blocks++;
			payload += b->ops[i].blocks[k].len;
			if (b->ops[i].blocks[k].len > BATCH_MAX_BLOCK_BYTES)
				return false;
		}
	}
	return blocks <= BATCH_MAX_BLOCKS && payload <= BATCH_MAX_PAYLOAD_BYTES;
}

static void
mem_commit(struct metadata_driver *d, struct batch *batch)
{
	struct mem *m = mem_of(d);

	batch->failed_op = 0;
	batch->serial = 0;
	batch->error = RFS_ERR_LIMIT;
	if (within_limits(batch)) {
		pthread_mutex_lock(&m->lock);
		batch->error = commit_locked(m, batch);
		pthread_mutex_unlock(&m->lock);
	}
	batch->done(batch);
}

static void
mem_info(struct metadata_driver *d, struct metadata_info *out)
{
	struct mem *m = mem_of(d);

	pthread_mutex_lock(&m->lock);
	*out = (struct metadata_info){.name = "mem", .fused = true, .rows_estimate = m->row_count};
	pthread_mutex_unlock(&m->lock);
}

static void
mem_close(struct metadata_driver *d)
{
	struct mem *m = mem_of(d);

	assert(m->tickets == 0); /* whoever puts gives back */
	rows_delete(m, 0, m->row_count);
	for (size_t i = 0; i < m->block_count; i++)
		slice_unref(&m->blocks[i].payload);
	free(m->rows);
	free(m->buckets);
	free(m->repeats);
	free(m->blocks);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static enum rfs_err
mem_put(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number, const struct slice *parts,
	size_t count, struct block_ticket *out)
{
	struct mem *m = mem_of_storage(d);

	pthread_mutex_lock(&m->lock);
	*out = (struct block_ticket){.number = number, .sequence = 1};
	block_add(m, bucket, number, parts, count, &out->location);
	m->tickets++;
	pthread_mutex_unlock(&m->lock);
	return RFS_OK;
}

static enum rfs_err
mem_wait(struct storage_driver *d, struct request *rq, const struct block_ticket *tickets, size_t count)
{
	return RFS_OK;
}

static void
mem_settle(struct storage_driver *d, struct block_ticket *tickets, size_t count)
{
	struct mem *m = mem_of_storage(d);

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < count; i++) {
		m->tickets -= tickets[i].sequence != 0;
		tickets[i].sequence = 0;
	}
	pthread_mutex_unlock(&m->lock);
}

static enum rfs_err
mem_read(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number,
	const struct block_location *location, uint64_t offset, size_t len, struct slice *out)
{
	struct mem *m = mem_of_storage(d);
	uint64_t index = load_u64(location->bytes);
	enum rfs_err err = RFS_OK;

	*out = (struct slice){0};
	pthread_mutex_lock(&m->lock);
	if (index >= m->block_count)
		err = RFS_ERR_NOT_FOUND;
	else if (m->blocks[index].number != number || m->blocks[index].bucket != bucket)
		err = RFS_ERR_DAMAGED;
	else if (offset > m->blocks[index].payload.len || len > m->blocks[index].payload.len - offset)
		err = RFS_ERR_INTERNAL;
	else
		*out = slice_part(m->blocks[index].payload, offset, len);
	pthread_mutex_unlock(&m->lock);
	return err ? request_fail(rq, err, "block %llu: %s", (unsigned long long)number, error_face(err)->text)
		   : RFS_OK;
}

static enum rfs_err
mem_remove(struct storage_driver *d, struct request *rq, uint64_t number, const struct block_location *location)
{
	return RFS_OK;
}

/* Its end comes with the metadata table's. */
static void
mem_storage_close(struct storage_driver *d)
{
}

static const struct metadata_ops metadata_ops = {
	.get = mem_get,
	.multi_get = mem_multi_get,
	.scan = mem_scan,
	.commit = mem_commit,
	.info = mem_info,
	.close = mem_close,
};

static const struct storage_ops storage_ops = {
	.put = mem_put,
	.wait = mem_wait,
	.settle = mem_settle,
	.get = mem_read,
	.remove = mem_remove,
	.close = mem_storage_close,
};

enum rfs_err
mem_open(const struct config *config, struct store_drivers *out, char *error)
{
	struct mem *m = xcalloc(1, sizeof(*m));

	m->metadata.ops = &metadata_ops;
	m->storage.ops = &storage_ops;
	pthread_mutex_init(&m->lock, NULL);
	*out = (struct store_drivers){&m->metadata, &m->storage};
	return RFS_OK;
}
