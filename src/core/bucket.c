/*
 * bucket.c: buckets: create, remove, open, list, configure.
 *
 * A bucket has a number, never used again, and a name. Its row lives in its own key space, its name in the domain's: two commits, ordered so that a crash
 * between them leaves at most a row without a name (create) or a name whose bucket is gone (remove); the latter is no bucket to anybody, and
 * a create takes the name over.
 */
#include "base/clock.h"
#include "core/core_int.h"

#define BUCKET_BLOCK_SIZE (1024 * 1024)

static bool
is_letter_or_digit(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Amazon S3 user guide, "Bucket naming rules". */
static bool
name_is_legal(struct bytes name)
{
	bool only_digits_and_dots = true;

	if (name.len < 3 || name.len > 63)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];

		if (!is_letter_or_digit(c) && c != '.' && c != '-')
			return false;
		if ((i == 0 || i + 1 == name.len) && !is_letter_or_digit(c))
			return false;
		if (i && (c == '.' || name.data[i - 1] == '.') && !is_letter_or_digit(c) && !is_letter_or_digit(name.data[i - 1]))
			return false; /* "..", ".-" and "-." */
		only_digits_and_dots = only_digits_and_dots && (c < 'a' && c != '-');
	}
	return !only_digits_and_dots;
}

static enum rfs_err
bucket_exists(struct core *core, struct request *rq, struct bytes name, uint64_t owner)
{
	struct bucket_row row;
	enum rfs_err err = bucket_find(core->metadata, rq, name, &row);

	if (err == RFS_ERR_NO_SUCH_BUCKET)
		return RFS_OK;
	if (err)
		return err;
	return row.owner == owner ? RFS_ERR_BUCKET_OWNED : RFS_ERR_BUCKET_EXISTS;
}

static enum rfs_err
row_make(struct core *core, struct request *rq, const struct bucket_row *bucket)
{
	struct batch *b = batch_new(bucket->id);
	struct buf value;
	enum rfs_err err;

	buf_init(&value, b->arena);
	bucket_row_encode(&value, bucket);
	batch_checked(batch_put(b, key_bucket(b->arena, bucket->id), buf_bytes(&value)), 0);
	feed_append_bucket(b, rq, bucket, BYTES_LITERAL("made"));
	err = metadata_commit(core->metadata, rq, b);
	batch_free(b);
	return err;
}

/* Points the name at the bucket, if it points nowhere or at one that is gone. CONFLICT: somebody else was faster. */
static enum rfs_err
name_make(struct core *core, struct request *rq, const struct bucket_row *bucket, const struct row *old)
{
	struct bytes key = key_table(rq->arena, DOMAIN_BUCKET, TABLE_NAME, bucket->name);
	struct batch *b = batch_new(DOMAIN_BUCKET);
	uint8_t id[8];
	enum rfs_err err;

	store_u64(id, bucket->id);
	batch_checked(batch_put(b, key, bytes_of(id, 8)), old->found ? old->serial : 0);
	err = metadata_commit(core->metadata, rq, b);
	batch_free(b);
	return err;
}

enum rfs_err
bucket_create(struct core *core, struct request *rq, const struct bucket_create_args *args)
{
	struct bucket_row bucket = {
		.name = args->name, .created_ns = rq->now_ns, .acl = args->acl, .block_size = BUCKET_BLOCK_SIZE, .segment_blocks = RUN_MAX_BLOCKS,
	};
	struct access_target target = { .name = args->name };
	unsigned attempt = 0;
	enum rfs_err err;

	if ((err = auth_check(core->auth, rq, &target, OP_BUCKET_CREATE)))
		return err;
	if (!name_is_legal(args->name))
		return RFS_ERR_INVALID_BUCKET_NAME;
	bucket.owner = args->owner ? args->owner : rq->who->id;
	do {
		struct row old;

		if ((err = metadata_get(core->metadata, rq, key_table(rq->arena, DOMAIN_BUCKET, TABLE_NAME, args->name), &old)) ||
			(err = bucket_exists(core, rq, args->name, bucket.owner)))
			break;
		if ((err = metadata_number(core->metadata, rq, 1, &bucket.id)) || (err = row_make(core, rq, &bucket)))
			break;
		err = name_make(core, rq, &bucket, &old);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	return err;
}

enum rfs_err
bucket_open(struct core *core, struct request *rq, struct bytes name, enum operation op, struct bucket_row *out)
{
	struct access_target target = { .bucket = out };
	enum rfs_err err = bucket_find(core->metadata, rq, name, out);

	return err ? err : auth_check(core->auth, rq, &target, op);
}

static enum rfs_err
has_entries(struct core *core, struct request *rq, const struct bucket_row *bucket, bool *any)
{
	struct row_page page;
	struct bytes from = key_table(rq->arena, bucket->id, TABLE_ENTRY, bytes_of(NULL, 0));
	enum rfs_err err = metadata_scan(core->metadata, rq, from, key_after_prefix(rq->arena, from), 1, false, &page);

	*any = !err && page.count;
	return err;
}

/*
 * The bucket's row says removed: from then on no batch's CHECK of it holds. Objects that came meanwhile are seen by the EXPECT. Uploads may be open,
 * as Amazon S3 allows: they end with the bucket, and the reaper takes them.
 */
static enum rfs_err
row_remove(struct core *core, struct request *rq, struct bytes name, struct bucket_row *bucket)
{
	struct batch *b = batch_new(0);
	unsigned attempt = 0;
	uint64_t purge;
	enum rfs_err err;

	do {
		bool any;

		batch_reset(b);
		if ((err = bucket_open(core, rq, name, OP_BUCKET_DELETE, bucket)) || (err = has_entries(core, rq, bucket, &any)))
			break;
		if (any) {
			err = RFS_ERR_BUCKET_NOT_EMPTY;
			break;
		}
		if ((err = metadata_number(core->metadata, rq, 1, &purge)))
			break;
		b->bucket = bucket->id;
		bucket->removed = true;
		bucket_put(b, bucket);
		purge_bucket(b, bucket->id, purge);
		batch_expect(b, key_counter(b->arena, bucket->id, COUNTER_OBJECTS, bytes_of(NULL, 0)), 0, 0);
		feed_append_bucket(b, rq, bucket, BYTES_LITERAL("removed"));
		err = metadata_commit(core->metadata, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(b);
	return err;
}

enum rfs_err
bucket_remove(struct core *core, struct request *rq, struct bytes name)
{
	struct bytes key = key_table(rq->arena, DOMAIN_BUCKET, TABLE_NAME, name);
	struct bucket_row bucket;
	struct batch *b;
	struct row row;
	enum rfs_err err;

	rq->need = SPACE_FREES;
	if ((err = row_remove(core, rq, name, &bucket)) || (err = metadata_get(core->metadata, rq, key, &row)))
		return err;
	if (!row.found || row.value.len != 8 || load_u64(row.value.data) != bucket.id)
		return RFS_OK; /* somebody has taken the name over already */
	b = batch_new(DOMAIN_BUCKET);
	batch_checked(batch_delete(b, key), row.serial);
	err = metadata_commit(core->metadata, rq, b);
	batch_free(b);
	return err == RFS_ERR_CONFLICT ? RFS_OK : err;
}

enum rfs_err
bucket_list(struct core *core, struct request *rq, struct bytes after, struct bytes prefix, size_t limit, struct bucket_row **out, size_t *count,
	bool *more)
{
	struct arena *a = rq->arena;
	struct access_target target = { 0 };
	struct bytes all = key_table(a, DOMAIN_BUCKET, TABLE_NAME, prefix);
	struct bytes next = all, end = key_after_prefix(a, all);
	struct row_page page = { .more = true };
	struct bucket_row *rows = ARENA_ARRAY(a, struct bucket_row, limit + 1);
	enum rfs_err err;

	*count = 0;
	*more = false;
	if ((err = auth_check(core->auth, rq, &target, OP_BUCKET_LIST_ALL)))
		return err;
	if (after.len && bytes_compare(after, prefix) >= 0) {
		struct buf b;

		buf_init(&b, a);
		buf_put_bytes(&b, key_table(a, DOMAIN_BUCKET, TABLE_NAME, after));
		buf_u8(&b, 0);
		next = buf_bytes(&b);
	}
	while (page.more && !*more) {
		if ((err = metadata_scan(core->metadata, rq, next, end, 256, false, &page)))
			return err;
		for (size_t i = 0; i < page.count && !*more; i++) {
			struct bytes name = bytes_sub(page.rows[i].key, 9, page.rows[i].key.len);
			struct buf b;

			buf_init(&b, a);
			buf_put_bytes(&b, page.rows[i].key);
			buf_u8(&b, 0);
			next = buf_bytes(&b);
			err = bucket_find(core->metadata, rq, name, &rows[*count]);
			if (err == RFS_ERR_NO_SUCH_BUCKET)
				continue;
			if (err)
				return err;
			target.bucket = &rows[*count];
			if (auth_check(core->auth, rq, &target, OP_BUCKET_LIST_ALL)) {
				request_clear_error(rq);
				continue;
			}
			*more = *count == limit;
			*count += !*more;
		}
	}
	*out = rows;
	return RFS_OK;
}

enum rfs_err
bucket_usage(struct core *core, struct request *rq, struct bytes name, struct bucket_usage *out)
{
	struct bucket_row bucket;
	enum rfs_err err;

	if ((err = bucket_open(core, rq, name, OP_BUCKET_READ, &bucket)) ||
		(err = metadata_counter(core->metadata, rq, key_counter(rq->arena, bucket.id, COUNTER_OBJECTS, bytes_of(NULL, 0)), &out->objects)))
		return err;
	return metadata_counter(core->metadata, rq, key_counter(rq->arena, bucket.id, COUNTER_BYTES, bytes_of(NULL, 0)), &out->bytes);
}

/* For the feed. */
static struct bytes
changed_words(struct arena *arena, const struct bucket_changes *changes)
{
	const struct {
		const void *given;
		const char *word;
	} all[] = {{changes->acl, "acl"}, {changes->cors, "cors"}, {changes->compress, "compress"},
		{changes->deduplicate, "deduplicate"}, {changes->owner, "owner"}};
	struct buf words;

	buf_init(&words, arena);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].given)
			buf_printf(&words, "%s%s", words.len ? "," : "", all[i].word);
	return buf_bytes(&words);
}

enum rfs_err
bucket_configure(struct core *core, struct request *rq, struct bytes name, const struct bucket_changes *changes)
{
	struct batch *b = batch_new(0);
	unsigned attempt = 0;
	enum rfs_err err;

	do {
		struct bucket_row bucket;

		batch_reset(b);
		if ((err = bucket_open(core, rq, name, OP_BUCKET_CONFIGURE, &bucket)))
			break;
		if (changes->acl)
			bucket.acl = *changes->acl;
		if (changes->cors)
			bucket.cors = *changes->cors;
		if (changes->compress)
			bucket.compress = *changes->compress;
		if (changes->deduplicate)
			bucket.deduplicate = *changes->deduplicate;
		if (changes->owner)
			bucket.owner = *changes->owner;
		b->bucket = bucket.id;
		bucket_put(b, &bucket);
		feed_append_bucket(b, rq, &bucket, changed_words(b->arena, changes));
		err = metadata_commit(core->metadata, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(b);
	return err;
}
