/* quota.c: how much a bucket may hold, and a user in it: set and shown by administrators. [worker] */
#include "core/core_int.h"

static enum rfs_err
administrator_check(struct request *rq)
{
	return rq->who && rq->who->admin ? RFS_OK : request_fail(rq, RFS_ERR_ACCESS_DENIED, "quotas are set by administrators");
}

/* All of a bucket's quota rows; there are as many as users that have one. */
static enum rfs_err
quota_rows(struct core *core, struct request *rq, uint64_t bucket, struct bytes after, size_t limit, struct row_page *page)
{
	struct bytes all = key_table(rq->arena, bucket, TABLE_QUOTA, bytes_of(NULL, 0));

	return metadata_scan(core->metadata, rq, after.len ? key_after_prefix(rq->arena, after) : all, key_after_prefix(rq->arena, all), limit, false, page);
}

/* Is another left when this one goes? */
static enum rfs_err
others_left(struct core *core, struct request *rq, uint64_t bucket, struct bytes key, bool *left)
{
	struct row_page page;
	enum rfs_err err = quota_rows(core, rq, bucket, bytes_of(NULL, 0), 2, &page);

	*left = !err && (page.count > 1 || (page.count == 1 && !bytes_equal(page.rows[0].key, key)));
	return err;
}

static enum rfs_err
quota_build(struct core *core, struct request *rq, struct bytes name, uint64_t user, const struct quota_changes *changes, struct batch *b)
{
	struct bucket_row bucket;
	struct quota quota;
	struct bytes key;
	uint64_t serial;
	struct buf value;
	enum rfs_err err;

	if ((err = bucket_open(core, rq, name, OP_BUCKET_READ, &bucket)) ||
		(err = quota_get(core->metadata, rq, bucket.id, user, &quota, &serial)))
		return err;
	if (changes->objects)
		quota.objects = *changes->objects;
	if (changes->bytes)
		quota.bytes = *changes->bytes;
	key = key_quota(b->arena, bucket.id, user);
	b->bucket = bucket.id;
	bucket.quotas = true;
	if (quota.objects || quota.bytes) {
		buf_init(&value, b->arena);
		quota_encode(&value, &quota);
		batch_checked(batch_put(b, key, buf_bytes(&value)), serial);
	} else {
		batch_checked(batch_delete(b, key), serial);
		if ((err = others_left(core, rq, bucket.id, key, &bucket.quotas)))
			return err;
	}
	bucket_put(b, &bucket);
	feed_append_bucket(b, rq, &bucket, BYTES_LITERAL("quota"));
	return RFS_OK;
}

enum rfs_err
quota_set(struct core *core, struct request *rq, struct bytes name, uint64_t user, const struct quota_changes *changes)
{
	struct batch *b = batch_new(0);
	unsigned attempt = 0;
	enum rfs_err err;

	rq->need = SPACE_FREES;
	if (!(err = administrator_check(rq)))
		do {
			batch_reset(b);
			request_clear_error(rq);
			if ((err = quota_build(core, rq, name, user, changes, b)))
				break;
			err = metadata_commit(core->metadata, rq, b);
		} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(b);
	return err;
}

enum rfs_err
quota_list(struct core *core, struct request *rq, struct bytes name, struct quota_state **out, size_t *count)
{
	struct row_page page = { .more = true };
	struct bytes after = { 0 };
	struct bucket_row bucket;
	size_t room = 0;
	enum rfs_err err;

	*out = NULL;
	*count = 0;
	if ((err = administrator_check(rq)) || (err = bucket_open(core, rq, name, OP_BUCKET_READ, &bucket)))
		return err;
	while (page.more) {
		if ((err = quota_rows(core, rq, bucket.id, after, 1000, &page)))
			return err;
		for (size_t i = 0; i < page.count; i++) {
			struct quota_state *state;

			if (*count == room) {
				struct quota_state *grown = ARENA_ARRAY(rq->arena, struct quota_state, room = room ? 2 * room : 16);

				if (*count)
					memcpy(grown, *out, *count * sizeof(**out));
				*out = grown;
			}
			state = &(*out)[(*count)++];
			after = page.rows[i].key;
			state->user = load_be64(after.data + after.len - 8);
			if ((err = quota_decode(page.rows[i].value, &state->quota)) ||
				(err = usage_get(core->metadata, rq, bucket.id, state->user, &state->usage)))
				return err;
		}
	}
	return RFS_OK;
}
