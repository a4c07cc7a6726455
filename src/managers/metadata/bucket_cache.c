/*
 * bucket_cache.c: bucket rows by name. A row is forgotten by every commit that puts it and by every batch that failed because it had changed, so the
 * cache needs no time limit; a fill that raced with a forget is dropped (the epoch has moved).
 */
#include "managers/metadata/metadata_int.h"
#include <stdlib.h>

static size_t
slot_of(struct bytes name)
{
	return hash64(name, 0) % BUCKET_CACHE_SLOTS;
}

static struct bucket_cached *
cache_find_locked(struct metadata *m, struct bytes name)
{
	for (struct bucket_cached *c = m->buckets[slot_of(name)]; c; c = c->next)
		if (c->name_len == name.len && memcmp(c->name, name.data, name.len) == 0)
			return c;
	return NULL;
}

static void
cached_free(struct bucket_cached *c)
{
	free(c->name);
	free(c);
}

/* True, with the epoch to fill under when it is not there. */
static bool
cache_get(struct metadata *m, struct request *rq, struct bytes name, struct row *row, uint64_t *epoch)
{
	struct bucket_cached *c;

	pthread_rwlock_rdlock(&m->buckets_lock);
	*epoch = m->buckets_epoch;
	c = cache_find_locked(m, name);
	if (c)
		*row = (struct row){ .value = arena_copy(rq->arena, bytes_of(c->value, c->len)), .serial = c->serial, .found = true };
	pthread_rwlock_unlock(&m->buckets_lock);
	return c != NULL;
}

static void
cache_fill(struct metadata *m, struct bytes name, const struct row *row, uint64_t epoch)
{
	struct bucket_cached *c = xmalloc(sizeof(*c) + row->value.len);

	c->name = xmalloc(name.len + 1);
	memcpy(c->name, name.data, name.len);
	c->name_len = name.len;
	c->serial = row->serial;
	c->len = row->value.len;
	memcpy(c->value, row->value.data, row->value.len);
	pthread_rwlock_wrlock(&m->buckets_lock);
	if (m->buckets_epoch == epoch && !cache_find_locked(m, name)) {
		struct bucket_cached **slot = &m->buckets[slot_of(name)];

		c->next = *slot;
		*slot = c;
		c = NULL;
	}
	pthread_rwlock_unlock(&m->buckets_lock);
	if (c)
		cached_free(c);
}

void
bucket_forget_id(struct metadata *m, uint64_t id)
{
	pthread_rwlock_wrlock(&m->buckets_lock);
	m->buckets_epoch++;
	for (size_t i = 0; i < BUCKET_CACHE_SLOTS; i++) {
		struct bucket_cached **at = &m->buckets[i];

		while (*at) {
			struct bucket_cached *c = *at;
			struct bucket_row row;

			if (bucket_row_decode(bytes_of(c->value, c->len), &row) == RFS_OK && row.id != id) {
				at = &c->next;
				continue;
			}
			*at = c->next;
			cached_free(c);
		}
	}
	pthread_rwlock_unlock(&m->buckets_lock);
}

void
bucket_cache_free(struct metadata *m)
{
	for (size_t i = 0; i < BUCKET_CACHE_SLOTS; i++)
		while (m->buckets[i]) {
			struct bucket_cached *c = m->buckets[i];

			m->buckets[i] = c->next;
			cached_free(c);
		}
}

enum rfs_err
bucket_find(struct metadata *m, struct request *rq, struct bytes name, struct bucket_row *out)
{
	struct row row;
	uint64_t epoch;
	bool cached = cache_get(m, rq, name, &row, &epoch);
	enum rfs_err err;

	if (!cached) {
		if ((err = metadata_get(m, rq, key_table(rq->arena, DOMAIN_BUCKET, TABLE_NAME, name), &row)))
			return err;
		if (!row.found)
			return RFS_ERR_NO_SUCH_BUCKET;
		if (row.value.len != 8)
			return RFS_ERR_DAMAGED;
		if ((err = metadata_get(m, rq, key_bucket(rq->arena, load_u64(row.value.data)), &row)))
			return err;
		if (!row.found)
			return RFS_ERR_NO_SUCH_BUCKET;
	}
	if ((err = bucket_row_decode(row.value, out)))
		return request_fail(rq, err, "reading the row of bucket %.*s", (int)name.len, (const char *)name.data);
	out->serial = row.serial;
	/* Of one that is removed the name may be left, and lead to another next: nothing would have it forgotten. */
	if (out->removed)
		return RFS_ERR_NO_SUCH_BUCKET;
	if (!cached)
		cache_fill(m, name, &row, epoch);
	return RFS_OK;
}

void
bucket_put(struct batch *b, const struct bucket_row *bucket)
{
	struct buf value;

	buf_init(&value, b->arena);
	bucket_row_encode(&value, bucket);
	batch_checked(batch_put(b, key_bucket(b->arena, bucket->id), buf_bytes(&value)), bucket->serial);
}

void
bucket_check(struct batch *b, const struct bucket_row *bucket)
{
	batch_check(b, key_bucket(b->arena, bucket->id), bucket->serial);
}
