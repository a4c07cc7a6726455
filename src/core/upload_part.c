/* upload_part.c: a part's bytes become a part: the end of an object_put that has an upload, and parts copied from objects. [worker] */
#include "core/core_int.h"

/* The new row, in place of an older part with the same number, whose content nobody names any more. */
static enum rfs_err
part_replace(struct core *core, struct request *rq, struct batch *b, const struct upload_at *at, const struct part_row *part)
{
	struct bytes key = key_upload_part(b->arena, at->bucket.id, at->id, part->number);
	struct part_row old;
	struct buf value;
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(core->metadata, rq, key, &row)))
		return err;
	if (row.found) {
		if ((err = part_decode(row.value, &old)))
			return err;
		purge_add(b, &at->bucket, &old.content);
	}
	buf_init(&value, b->arena);
	part_encode(&value, part);
	batch_checked(batch_put(b, key, buf_bytes(&value)), row.found ? row.serial : 0);
	return RFS_OK;
}

enum rfs_err
upload_part_publish(struct core *core, struct request *rq, const struct object_put_args *args, struct content_writer *writer, const struct version *version)
{
	struct part_row part = {
		.number = args->part_number, .modified_ns = rq->now_ns, .has_checksum = version->has_checksum, .checksum = version->checksum,
		.checksum_value = version->checksum_value,
	};
	struct digest_value md5_value;
	struct batch *b;
	unsigned attempt = 0;
	enum rfs_err err;

	if (!rq->may_block)
		return RFS_ERR_WOULD_BLOCK;
	b = batch_new(0);
	content_digest(writer, DIGEST_MD5, &md5_value);
	memcpy(part.md5, md5_value.bytes, 16);
	do {
		struct upload_at at;

		batch_reset(b);
		request_clear_error(rq);
		if ((err = upload_resolve(core, rq, args->bucket, args->key, args->upload, OP_OBJECT_WRITE, &at)))
			break;
		if (at.upload.state != UPLOAD_OPEN) {
			err = request_fail(rq, RFS_ERR_CONDITIONAL_CONFLICT, "the upload is being completed");
			break;
		}
		b->bucket = at.bucket.id;
		bucket_check(b, &at.bucket);
		batch_check(b, at.key, at.row.serial);
		if ((err = content_attach(writer, b, &part.content)) || (err = part_replace(core, rq, b, &at, &part)))
			break;
		err = metadata_commit(core->metadata, rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(b);
	return err;
}

enum rfs_err
upload_part_copy(struct core *core, struct request *rq, const struct upload_part_copy_args *args, struct version *out)
{
	struct object_get_args from = { .bucket = args->from_bucket, .key = args->from_key, .range = args->range };
	struct object_put_args to = args->to;
	struct object_put *put = NULL;
	struct object_get get;
	enum rfs_err err;

	if ((err = object_get_open(core, rq, &from, &get)))
		return err;
	to.size = (int64_t)get.length;
	/* Here a range must lie inside the object; reads only clip it. */
	if (args->range.given && args->range.last >= get.version.content.size)
		err = RFS_ERR_INVALID_RANGE;
	if (!err && !(err = conditions_hold(rq, &args->from_conditions, &get.version, false)) && !(err = object_put_begin(core, rq, &to, &put)))
		err = object_pass(&get, put);
	object_get_close(&get);
	if (err) {
		object_put_abort(put);
		return err;
	}
	return object_put_finish(put, NULL, 0, out);
}
