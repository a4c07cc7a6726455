/*
 * store_digest.c: two numbers that say what a store holds, for tests: the same before and after whatever must not
 * change it. [worker]
 *
 *   meaning   what clients can see: buckets with owner, ACL and properties; keys with their bytes, metadata, owner and
 * ACL; open uploads and their parts; quotas; users, groups, keys. Not when, nor where, nor how it is stored: a copy of
 * all objects in another store has the same rows      every row with its serial, but where blocks lie and which numbers
 * were given: an index that was rebuilt has the same
 *
 * They mean something while nobody writes and the reaper has nothing to do.
 */
#include "core/core_int.h"
#include <stdlib.h>

#define PAGE 256

struct digesting {
	struct core *core;
	struct digester *sum;
	struct request page; /* of keys or rows; their memory stays while their contents are read */
	struct request item; /* of one of them */
	struct buf line;     /* what is added for it */
	struct store_digest *out;
};

static void
line_add(struct digesting *d)
{
	struct buf length;

	buf_init(&length, d->item.arena);
	buf_varint(&length, d->line.len);
	digester_update(d->sum, length.data, length.len);
	digester_update(d->sum, d->line.data, d->line.len);
	d->line.len = 0;
}

static void
line_text(struct digesting *d, const char *text)
{
	buf_field(&d->line, bytes_str(text));
}

static void
line_identity(struct digesting *d, uint64_t id)
{
	line_text(d, auth_identity(d->core->auth, &d->item, id)->name);
}

/* --- contents -------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
line_content(struct digesting *d, const struct bucket_row *bucket, const struct content *content)
{
	struct content_reader *reader;
	struct digester *sha256 = digester_new(DIGEST_BIT(DIGEST_SHA256));
	struct digest_value value;
	struct slice part = {0};
	enum rfs_err err;

	reader = content_reader_new(d->core->storage, &d->item, bucket, content, 0, content->size, false);
	while (!(err = content_read(reader, &part)) && part.len) {
		digester_update(sha256, part.data, part.len);
		slice_unref(&part);
	}
	content_reader_free(reader);
	digester_value(sha256, DIGEST_SHA256, &value);
	digester_free(sha256);
	buf_varint(&d->line, content->size);
	buf_put(&d->line, value.bytes, 32);
	d->out->bytes += content->size;
	return err;
}

static void
line_checksum(struct digesting *d, bool given, enum digest which, const struct digest_value *value)
{
	buf_u8(&d->line, given ? (uint8_t)which : 255);
	if (given)
		buf_put(&d->line, value->bytes, digest_size(which));
}

static void
line_properties(struct digesting *d, const struct version *v)
{
	line_identity(d, v->owner);
	buf_u8(&d->line, (uint8_t)v->acl);
	buf_field(&d->line, v->content_type);
	buf_varint(&d->line, v->property_count);
	for (size_t i = 0; i < v->property_count; i++) {
		buf_field(&d->line, v->properties[i].name);
		buf_field(&d->line, v->properties[i].value);
	}
}

static enum rfs_err
object_digest(struct digesting *d, const struct bucket_row *bucket, struct bytes key, const struct version *v)
{
	enum rfs_err err;

	arena_reset(d->item.arena);
	line_text(d, "object");
	buf_field(&d->line, key);
	line_properties(d, v);
	buf_field(&d->line, v->etag);
	buf_varint(&d->line, v->parts);
	line_checksum(d, v->has_checksum, v->checksum, &v->checksum_value);
	if ((err = line_content(d, bucket, &v->content)))
		return err;
	line_add(d);
	d->out->object_count++;
	return RFS_OK;
}

/* --- rows of a table ------------------------------------------------------------------------------------------------
 */

typedef enum rfs_err row_digest(struct digesting *d, const struct bucket_row *bucket, const struct row *row);

/* Keys from `from` on, up to `to`: pages in an arena of their own, for contents are read between. */
static enum rfs_err
rows_digest(struct digesting *d, const struct bucket_row *bucket, struct bytes from, struct bytes to, row_digest *each)
{
	struct request rq = {.arena = arena_new(16384), .door = "debug", .may_block = true};
	struct row_page page = {.more = true};
	struct buf next, end;
	enum rfs_err err = RFS_OK;

	buf_init(&next, NULL);
	buf_init(&end, NULL);
	buf_put_bytes(&next, from);
	buf_put_bytes(&end, to);
	while (!err && page.more) {
		arena_reset(rq.arena);
		err = metadata_scan(d->core->metadata, &rq, buf_bytes(&next), buf_bytes(&end), PAGE, false, &page);
		for (size_t i = 0; !err && i < page.count; i++)
			err = each(d, bucket, &page.rows[i]);
		if (!err && page.count) {
			next.len = 0;
			buf_put_bytes(&next, page.rows[page.count - 1].key);
			buf_u8(&next, 0);
		}
	}
	buf_fini(&next);
	buf_fini(&end);
	arena_free(rq.arena);
	return err;
}

static enum rfs_err
table_digest(struct digesting *d, const struct bucket_row *bucket, enum table table, row_digest *each)
{
	struct bytes none = bytes_of(NULL, 0);

	return rows_digest(d, bucket, key_table(d->item.arena, bucket->id, table, none),
		key_table(d->item.arena, bucket->id, table + 1, none), each);
}

/* --- uploads --------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
part_digest(struct digesting *d, const struct bucket_row *bucket, const struct row *row)
{
	struct part_row part;
	enum rfs_err err;

	arena_reset(d->item.arena);
	if ((err = part_decode(row->value, &part)))
		return err;
	line_text(d, "part");
	buf_varint(&d->line, part.number);
	buf_put(&d->line, part.md5, sizeof(part.md5));
	line_checksum(d, part.has_checksum, part.checksum, &part.checksum_value);
	if ((err = line_content(d, bucket, &part.content)))
		return err;
	line_add(d);
	return RFS_OK;
}

static enum rfs_err
upload_digest(struct digesting *d, const struct bucket_row *bucket, const struct row *row)
{
	uint8_t id[UPLOAD_ID_BYTES];
	struct upload_row upload;
	struct bytes key;
	enum rfs_err err;

	arena_reset(d->item.arena);
	if (!key_upload_split(d->item.arena, row->key, &key, id))
		return RFS_ERR_DAMAGED;
	if ((err = upload_decode(d->item.arena, row->value, &upload)))
		return err;
	line_text(d, "upload");
	buf_field(&d->line, key);
	buf_u8(&d->line, (uint8_t)upload.state);
	line_properties(d, &upload.version);
	line_add(d);
	return rows_digest(d, bucket, key_upload_part(d->item.arena, bucket->id, id, 0),
		key_upload_part(d->item.arena, bucket->id, id, UINT32_MAX), part_digest);
}

/* --- buckets --------------------------------------------------------------------------------------------------------
 */

/* A page of keys from `next` on, which moves behind them. */
static enum rfs_err
keys_digest(struct digesting *d, const struct bucket_row *bucket, struct buf *next, bool *more)
{
	struct bytes from = arena_copy(d->page.arena, buf_bytes(next));
	struct tree_walk *walk = tree_walk_new(d->core->metadata, &d->page, bucket, bytes_of(NULL, 0), from, false);
	struct tree_item item;
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; !err && i < PAGE && !(err = tree_walk_next(walk, &item)); i++) {
		next->len = 0;
		buf_put_bytes(next, item.key);
		buf_u8(next, 0);
		err = object_digest(d, bucket, item.key, &item.version);
	}
	*more = !err;
	return err == RFS_ERR_NOT_FOUND ? RFS_OK : err;
}

static enum rfs_err
quota_digest(struct digesting *d, const struct bucket_row *bucket, const struct row *row)
{
	uint64_t user = row->key.len == 17 ? load_be64(row->key.data + 9) : 0;

	arena_reset(d->item.arena);
	line_text(d, "quota");
	line_text(d, user == QUOTA_OF_BUCKET ? "" : auth_identity(d->core->auth, &d->item, user)->name);
	buf_field(&d->line, row->value);
	line_add(d);
	return RFS_OK;
}

static enum rfs_err
bucket_digest(struct digesting *d, const struct bucket_row *bucket)
{
	struct buf next;
	bool more = true;
	enum rfs_err err = RFS_OK;

	line_text(d, "bucket");
	buf_field(&d->line, bucket->name);
	line_identity(d, bucket->owner);
	buf_u8(&d->line, (uint8_t)bucket->acl);
	buf_u8(&d->line, bucket->compress);
	buf_u8(&d->line, bucket->deduplicate);
	buf_field(&d->line, bucket->cors);
	line_add(d);
	d->out->bucket_count++;
	buf_init(&next, NULL);
	while (!err && more) {
		arena_reset(d->page.arena);
		err = keys_digest(d, bucket, &next, &more);
	}
	buf_fini(&next);
	arena_reset(d->item.arena);
	if (err || (err = table_digest(d, bucket, TABLE_UPLOAD, upload_digest)))
		return err;
	return table_digest(d, bucket, TABLE_QUOTA, quota_digest);
}

/* By name, as the rows of names come. A name whose bucket is gone is none. */
static enum rfs_err
bucket_name_digest(struct digesting *d, const struct bucket_row *domain, const struct row *row)
{
	struct request rq = {.arena = arena_new(4096), .door = "debug", .may_block = true};
	struct bucket_row bucket;
	enum rfs_err err = bucket_find(d->core->metadata, &rq, bytes_sub(row->key, 9, row->key.len), &bucket);

	if (!err)
		err = bucket_digest(d, &bucket);
	arena_free(rq.arena);
	return err == RFS_ERR_NO_SUCH_BUCKET ? RFS_OK : err;
}

/* --- people ---------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
people_digest(struct digesting *d)
{
	struct bytes everybody = bytes_of(NULL, 0);
	const struct identity **users;
	struct group_info *groups;
	struct access_key_info *keys;
	size_t user_count, group_count, key_count;
	struct auth *auth = d->core->auth;
	enum rfs_err err;

	if ((err = auth_user_list(auth, &d->item, &users, &user_count)) ||
		(err = auth_group_list(auth, &d->item, &groups, &group_count)) ||
		(err = auth_key_list(auth, &d->item, everybody, &keys, &key_count)))
		return err;
	line_text(d, "people");
	for (size_t i = 0; i < user_count; i++) {
		line_text(d, users[i]->name);
		buf_u8(&d->line, users[i]->admin);
	}
	for (size_t i = 0; i < group_count; i++) {
		line_text(d, groups[i].group->name);
		for (size_t k = 0; k < groups[i].user_count; k++)
			line_text(d, groups[i].users[k]);
	}
	for (size_t i = 0; i < key_count; i++) {
		if (!keys[i].created_ns)
			continue; /* the root key comes from outside */
		buf_field(&d->line, keys[i].access_key);
		buf_field(&d->line, keys[i].user);
		buf_field(&d->line, keys[i].scope.bucket);
		buf_field(&d->line, keys[i].scope.prefix);
		buf_u8(&d->line, keys[i].scope.read_only);
	}
	line_add(d);
	return RFS_OK;
}

static enum rfs_err
meaning_digest(struct digesting *d)
{
	const struct bucket_row domain = {.id = DOMAIN_BUCKET};
	enum rfs_err err = people_digest(d);

	return err ? err : table_digest(d, &domain, TABLE_NAME, bucket_name_digest);
}

/* --- rows -----------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
each_row_digest(struct digesting *d, const struct bucket_row *all, const struct row *row)
{
	uint64_t bucket = load_be64(row->key.data);
	bool is_block = row->key.data[8] == TABLE_BLOCK;
	struct bytes value = row->value;
	struct run_row run;

	arena_reset(d->item.arena);
	if (row->key.data[8] == TABLE_DRIVER || row->key.data[8] == TABLE_DAMAGE ||
		bytes_equal(row->key, key_scrub(d->item.arena)) ||
		bytes_equal(row->key, key_table(d->item.arena, bucket, TABLE_SYSTEM, BYTES_LITERAL("numbers"))))
		return RFS_OK;
	if (is_block && !run_decode(value, &run))
		value.len -= (size_t)run.count * BLOCK_LOCATION_BYTES;
	buf_field(&d->line, row->key);
	buf_field(&d->line, value);
	buf_u64(&d->line, is_block ? 0 : row->serial); /* the moving of a block gives its row another */
	line_add(d);
	d->out->row_count++;
	d->out->purge_count += row->key.data[8] == TABLE_PURGE;
	return RFS_OK;
}

static enum rfs_err
all_rows_digest(struct digesting *d)
{
	struct bytes from = key_bucket(d->item.arena, DOMAIN_BUCKET), to = key_bucket(d->item.arena, UINT64_MAX);

	return rows_digest(d, NULL, from, to, each_row_digest);
}

enum rfs_err
store_digest(struct core *core, struct request *rq, struct store_digest *out)
{
	struct digesting d = {.core = core,
		.sum = digester_new(DIGEST_BIT(DIGEST_SHA256)),
		.page = {.arena = arena_new(16384), .door = rq->door, .may_block = true},
		.item = {.arena = arena_new(16384), .door = rq->door, .may_block = true},
		.out = out};
	enum rfs_err err;

	*out = (struct store_digest){0};
	buf_init(&d.line, NULL);
	if (!(err = meaning_digest(&d))) {
		digester_value(d.sum, DIGEST_SHA256, &out->meaning);
		digester_reset(d.sum, DIGEST_BIT(DIGEST_SHA256));
		arena_reset(d.item.arena);
		err = all_rows_digest(&d);
		digester_value(d.sum, DIGEST_SHA256, &out->rows);
	}
	buf_fini(&d.line);
	arena_free(d.page.arena);
	arena_free(d.item.arena);
	digester_free(d.sum);
	return err;
}
