/* upload.c: multipart uploads: begun, given up, listed. [worker] for what writes. */
#include "base/clock.h"
#include "core/core_int.h"

enum rfs_err
upload_resolve(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, struct bytes upload, enum operation op, struct upload_at *at)
{
	struct access_target target = { .bucket = &at->bucket, .name = key };
	struct row row;
	enum rfs_err err;

	if ((err = bucket_find(core->metadata, rq, bucket, &at->bucket)) || (err = auth_check(core->auth, rq, &target, op)))
		return err;
	if (upload.len != 2 * UPLOAD_ID_BYTES || !hex_decode(upload, at->id, UPLOAD_ID_BYTES))
		return RFS_ERR_NO_SUCH_UPLOAD;
	at->key = key_upload(rq->arena, at->bucket.id, key, at->id);
	if ((err = metadata_get(core->metadata, rq, at->key, &row)))
		return err;
	if (!row.found)
		return RFS_ERR_NO_SUCH_UPLOAD;
	if ((err = upload_decode(rq->arena, row.value, &at->upload)))
		return request_fail(rq, err, "reading the row of an upload");
	at->row = row;
	at->upload.serial = row.serial;
	return RFS_OK;
}

struct bytes
upload_id_text(struct request *rq, const uint8_t id[UPLOAD_ID_BYTES])
{
	char *text = arena_alloc(rq->arena, 2 * UPLOAD_ID_BYTES + 1);

	hex_encode(bytes_of(id, UPLOAD_ID_BYTES), text);
	return bytes_of(text, 2 * UPLOAD_ID_BYTES);
}

enum rfs_err
upload_create(struct core *core, struct request *rq, const struct upload_create_args *args, struct bytes *id_out)
{
	struct upload_row upload = {
		.created_ns = rq->now_ns, .has_checksum = args->has_checksum, .checksum = args->checksum, .checksum_type = args->checksum_type,
	};
	struct batch *b = batch_new(0);
	uint8_t id[UPLOAD_ID_BYTES];
	unsigned attempt = 0;
	enum rfs_err err;

	uuid_v7(id);
	upload.version.acl = args->acl;
	upload.version.content_type = args->content_type;
	upload.version.properties = args->properties;
	upload.version.property_count = args->property_count;
	upload.version.owner = rq->who ? rq->who->id : IDENTITY_NOBODY;
	do {
		struct object_at at;
		struct bytes key;
		struct buf value;

		batch_reset(b);
		request_clear_error(rq);
		if ((err = object_resolve(core, rq, args->bucket, args->key, OP_OBJECT_WRITE, &at)))
			break;
		b->bucket = at.bucket.id;
		bucket_check(b, &at.bucket);
		key = key_upload(b->arena, at.bucket.id, args->key, id);
		buf_init(&value, b->arena);
		upload_encode(&value, &upload);
		batch_checked(batch_put(b, key, buf_bytes(&value)), 0);
		err = metadata_commit(core->metadata, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(b);
	*id_out = upload_id_text(rq, id);
	return err;
}

enum rfs_err
upload_end(struct core *core, struct request *rq, struct batch *b, const struct upload_at *at, const struct upload_part_claim *used, size_t used_count)
{
	uint32_t *live = ARENA_ARRAY(b->arena, uint32_t, used_count);
	uint64_t number;
	enum rfs_err err;

	if ((err = metadata_number(core->metadata, rq, 1, &number)))
		return err;
	for (size_t i = 0; i < used_count; i++)
		live[i] = used[i].number;
	batch_checked(batch_delete(b, at->key), at->row.serial);
	purge_upload(b, at->bucket.id, number, at->id, live, used_count);
	return RFS_OK;
}

enum rfs_err
upload_abort(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, struct bytes upload)
{
	struct batch *b = batch_new(0);
	unsigned attempt = 0;
	enum rfs_err err;

	rq->need = SPACE_FREES;
	do {
		struct upload_at at;

		batch_reset(b);
		request_clear_error(rq);
		if ((err = upload_resolve(core, rq, bucket, key, upload, OP_OBJECT_WRITE, &at)))
			break;
		b->bucket = at.bucket.id;
		bucket_check(b, &at.bucket);
		if ((err = upload_end(core, rq, b, &at, NULL, 0)))
			break;
		err = metadata_commit(core->metadata, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(b);
	return err;
}

enum rfs_err
upload_list_parts(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, struct bytes upload, uint32_t after, size_t limit,
	struct upload_parts *out)
{
	struct upload_at at;
	struct row_page page = { 0 };
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	if ((err = upload_resolve(core, rq, bucket, key, upload, OP_OBJECT_WRITE, &at)))
		return err;
	out->upload = at.upload;
	if (limit && after < UINT32_MAX)
		err = metadata_scan(core->metadata, rq, key_upload_part(rq->arena, at.bucket.id, at.id, after + 1),
			key_upload_part(rq->arena, at.bucket.id, at.id, UINT32_MAX), limit, false, &page);
	if (err)
		return err;
	out->parts = ARENA_ARRAY(rq->arena, struct part_row, page.count + 1);
	out->more = page.more;
	for (; out->count < page.count; out->count++) {
		if ((err = part_decode(page.rows[out->count].value, &out->parts[out->count])))
			return request_fail(rq, err, "reading the row of a part");
		out->parts[out->count].serial = page.rows[out->count].serial;
	}
	return RFS_OK;
}

/* --- listing uploads ----------------------------------------------------------------------------------------------------------- */

static struct bytes
first_upload(struct request *rq, const struct bucket_row *bucket, const struct upload_list_args *args)
{
	uint8_t id[UPLOAD_ID_BYTES];
	struct bytes from;

	if (!args->key_after.len)
		return key_uploads(rq->arena, bucket->id, args->prefix);
	if (!hex_decode(args->id_after, id, UPLOAD_ID_BYTES))
		memset(id, 255, sizeof(id)); /* a marker that is no id, or was not given, is behind every one of them */
	from = key_after_prefix(rq->arena, key_upload(rq->arena, bucket->id, args->key_after, id));
	return bytes_compare(from, key_uploads(rq->arena, bucket->id, args->prefix)) > 0 ? from : key_uploads(rq->arena, bucket->id, args->prefix);
}

/* One row as an item. `next` moves behind it, or behind all that its common prefix covers. */
static enum rfs_err
upload_item(struct request *rq, const struct bucket_row *bucket, const struct upload_list_args *args, const struct row *row, struct upload_list_item *item,
	struct bytes *next)
{
	uint8_t id[UPLOAD_ID_BYTES];
	size_t end;

	memset(item, 0, sizeof(*item));
	if (!key_upload_split(rq->arena, row->key, &item->key, id))
		return RFS_ERR_DAMAGED;
	end = common_prefix_end(args->prefix, args->delimiter, item->key);
	if (end) {
		item->is_prefix = true;
		item->key = bytes_sub(item->key, 0, end);
		*next = key_after_prefix(rq->arena, key_uploads(rq->arena, bucket->id, item->key));
		return RFS_OK;
	}
	*next = key_after_prefix(rq->arena, row->key);
	item->id = upload_id_text(rq, id);
	return upload_decode(rq->arena, row->value, &item->upload);
}

enum rfs_err
upload_list(struct core *core, struct request *rq, const struct upload_list_args *args, struct upload_list *out)
{
	struct bucket_row bucket;
	struct bytes next, end;
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	if ((err = bucket_open_listing(core, rq, args->bucket, args->prefix, &bucket)))
		return err;
	out->items = ARENA_ARRAY(rq->arena, struct upload_list_item, args->limit + 1);
	next = first_upload(rq, &bucket, args);
	end = key_after_prefix(rq->arena, key_uploads(rq->arena, bucket.id, args->prefix));
	while (args->limit) {
		struct row_page page;

		err = metadata_scan(core->metadata, rq, next, end, 1, false, &page);
		if (err || !page.count)
			return err;
		if (out->count == args->limit) {
			out->more = true;
			return RFS_OK;
		}
		if ((err = upload_item(rq, &bucket, args, &page.rows[0], &out->items[out->count], &next)))
			return request_fail(rq, err, "reading the row of an upload");
		/* A common prefix that is the marker was the last of an earlier page. */
		if (!out->items[out->count].is_prefix || !bytes_equal(out->items[out->count].key, args->key_after))
			out->count++;
	}
	return RFS_OK;
}
