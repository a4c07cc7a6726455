/*
 * usage.c: what a bucket holds, and each user's part of it, is counted; and how much of both is allowed.
 *
 * A batch that adds objects or bytes EXPECTs the counters to be within the limits after it: two that fit only one by one
 * cannot both succeed. What takes away, or only rewrites, is never refused. The bucket's row says whether it has quotas
 * at all; so a bucket without one costs nothing but the counting.
 */
#include "base/mutant.h"
#include "managers/metadata/metadata_int.h"

/* Of a move, which gains before it loses, too. */
int64_t
batch_added(const struct batch *b, struct bytes counter)
{
	int64_t sum = 0;

	for (size_t i = 0; i < b->op_count; i++)
		if (b->ops[i].kind == BATCH_ADD && bytes_equal(b->ops[i].key, counter))
			sum += b->ops[i].delta;
	return sum;
}

struct usage_keys {
	struct bytes objects, bytes;
};

static struct usage_keys
usage_keys(struct arena *a, uint64_t bucket, uint64_t user)
{
	uint8_t id[8];
	struct bytes rest = bytes_of(id, user == QUOTA_OF_BUCKET ? 0 : 8);

	store_be64(id, user);
	return (struct usage_keys){
		.objects = key_counter(a, bucket, user == QUOTA_OF_BUCKET ? COUNTER_OBJECTS : COUNTER_USER_OBJECTS, rest),
		.bytes = key_counter(a, bucket, user == QUOTA_OF_BUCKET ? COUNTER_BYTES : COUNTER_USER_BYTES, rest),
	};
}

static void
usage_add_to(struct batch *b, uint64_t bucket, uint64_t user, int64_t objects, int64_t bytes)
{
	struct usage_keys keys = usage_keys(b->arena, bucket, user);

	if (objects)
		batch_add(b, keys.objects, objects);
	if (bytes && !MUTANT("bytes-not-counted"))
		batch_add(b, keys.bytes, bytes);
}

void
usage_add(struct batch *b, const struct bucket_row *bucket, uint64_t owner, int64_t objects, int64_t bytes)
{
	usage_add_to(b, bucket->id, QUOTA_OF_BUCKET, objects, bytes);
	if (owner != IDENTITY_NOBODY)
		usage_add_to(b, bucket->id, owner, objects, bytes);
}

enum rfs_err
usage_get(struct metadata *m, struct request *rq, uint64_t bucket, uint64_t user, struct usage *out)
{
	struct usage_keys keys = usage_keys(rq->arena, bucket, user);
	enum rfs_err err = metadata_counter(m, rq, keys.objects, &out->objects);

	return err ? err : metadata_counter(m, rq, keys.bytes, &out->bytes);
}

enum rfs_err
quota_get(struct metadata *m, struct request *rq, uint64_t bucket, uint64_t user, struct quota *out, uint64_t *serial)
{
	struct row row;
	enum rfs_err err;

	*out = (struct quota){0};
	*serial = 0;
	if ((err = metadata_get(m, rq, key_quota(rq->arena, bucket, user), &row)) || !row.found)
		return err;
	*serial = row.serial;
	return quota_decode(row.value, out);
}

static void
limit_expect(struct batch *b, struct bytes counter, uint64_t limit)
{
	if (limit && batch_added(b, counter) > 0)
		batch_expect(b, counter, INT64_MIN, limit > INT64_MAX ? INT64_MAX : (int64_t)limit)->tag = TAG_QUOTA;
}

static enum rfs_err
quota_expect_of(struct metadata *m, struct request *rq, struct batch *b, uint64_t bucket, uint64_t user)
{
	struct usage_keys keys = usage_keys(b->arena, bucket, user);
	struct quota quota;
	uint64_t serial;
	enum rfs_err err;

	if (batch_added(b, keys.objects) <= 0 && batch_added(b, keys.bytes) <= 0)
		return RFS_OK;
	if ((err = quota_get(m, rq, bucket, user, &quota, &serial)))
		return err;
	batch_check(b, key_quota(b->arena, bucket, user), serial);
	limit_expect(b, keys.objects, quota.objects);
	limit_expect(b, keys.bytes, quota.bytes);
	return RFS_OK;
}

enum rfs_err
quota_expect(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, uint64_t owner)
{
	enum rfs_err err;

	if (!bucket->quotas)
		return RFS_OK;
	err = quota_expect_of(m, rq, b, bucket->id, QUOTA_OF_BUCKET);
	return err || owner == IDENTITY_NOBODY ? err : quota_expect_of(m, rq, b, bucket->id, owner);
}

static enum rfs_err
quota_admits_of(struct metadata *m, struct request *rq, uint64_t bucket, uint64_t user, uint64_t bytes)
{
	struct quota quota;
	struct usage usage;
	uint64_t serial;
	enum rfs_err err;

	if ((err = quota_get(m, rq, bucket, user, &quota, &serial)) || !quota.bytes)
		return err;
	if ((err = usage_get(m, rq, bucket, user, &usage)))
		return err;
	return usage.bytes + (int64_t)bytes > (int64_t)quota.bytes ? RFS_ERR_QUOTA_EXCEEDED : RFS_OK;
}

enum rfs_err
quota_admits(struct metadata *m, struct request *rq, const struct bucket_row *bucket, uint64_t owner, int64_t bytes)
{
	enum rfs_err err;

	if (!bucket->quotas || bytes <= 0)
		return RFS_OK;
	err = quota_admits_of(m, rq, bucket->id, QUOTA_OF_BUCKET, (uint64_t)bytes);
	return err || owner == IDENTITY_NOBODY ? err : quota_admits_of(m, rq, bucket->id, owner, (uint64_t)bytes);
}
