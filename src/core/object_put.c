/*
 * object_put.c: a PUT, whatever door it came through: begin (may he, do the conditions hold), write (bytes to blocks), finish (verify, publish).
 *
 * The conditions are judged twice: early, so that a refusal comes before the body, and against the head that the commit CHECKs. [worker]
 */
#include "core/core_int.h"

#include <stdlib.h>

struct object_put {
	struct core *core;
	struct request *rq;
	struct object_put_args args;
	struct bucket_row bucket;
	struct content_writer *writer;
};

/* May he, and does it make sense: before the body comes. */
static enum rfs_err
target_judge(struct core *core, struct request *rq, const struct object_put_args *args, struct bucket_row *bucket)
{
	struct object_at at;
	struct upload_at upload;
	enum rfs_err err;

	if (args->upload.len) {
		if (args->part_number < 1 || args->part_number > UPLOAD_PARTS_MAX)
			return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "a part number is between 1 and %d", UPLOAD_PARTS_MAX);
		err = upload_resolve(core, rq, args->bucket, args->key, args->upload, OP_OBJECT_WRITE, &upload);
		*bucket = upload.bucket;
		return err;
	}
	if ((err = object_resolve(core, rq, args->bucket, args->key, OP_OBJECT_WRITE, &at)))
		return err;
	*bucket = at.bucket;
	return conditions_hold(rq, &args->conditions, object_head(&at), false);
}

enum rfs_err
object_put_begin(struct core *core, struct request *rq, const struct object_put_args *args, struct object_put **out)
{
	struct bucket_row bucket;
	struct object_put *put;
	unsigned digests = args->digests;
	enum rfs_err err;

	if ((err = target_judge(core, rq, args, &bucket)))
		return err;
	if (args->payload_sha256_known)
		digests |= DIGEST_BIT(DIGEST_SHA256);
	if (args->store_checksum)
		digests |= DIGEST_BIT(args->checksum);
	put = xcalloc(1, sizeof(*put));
	put->core = core;
	put->rq = rq;
	put->args = *args;
	put->bucket = bucket;
	put->writer = content_writer_new(core->storage, rq, &bucket, digests);
	*out = put;
	return RFS_OK;
}

enum rfs_err
object_put_write(struct object_put *put, struct slice part)
{
	return content_write(put->writer, part);
}

static enum rfs_err
claims_verify(struct object_put *put, const struct digest_claim *claims, size_t count)
{
	struct digest_value value;

	if (put->args.size >= 0 && content_size(put->writer) != (uint64_t)put->args.size)
		return RFS_ERR_INCOMPLETE_BODY;
	if (put->args.payload_sha256_known) {
		content_digest(put->writer, DIGEST_SHA256, &value);
		if (memcmp(value.bytes, put->args.payload_sha256.bytes, 32) != 0)
			return RFS_ERR_CONTENT_SHA256_MISMATCH;
	}
	for (size_t i = 0; i < count; i++) {
		content_digest(put->writer, claims[i].digest, &value);
		if (memcmp(value.bytes, claims[i].value.bytes, digest_size(claims[i].digest)) != 0)
			return RFS_ERR_BAD_DIGEST;
	}
	return RFS_OK;
}

/* What the new head says of itself, but for where its bytes are. */
static void
version_describe(struct object_put *put, struct version *v)
{
	struct request *rq = put->rq;
	struct digest_value md5_value;
	char *etag = arena_alloc(rq->arena, 33);

	memset(v, 0, sizeof(*v));
	content_digest(put->writer, DIGEST_MD5, &md5_value);
	hex_encode(bytes_of(md5_value.bytes, 16), etag);
	v->etag = bytes_of(etag, 32);
	v->owner = rq->who ? rq->who->id : IDENTITY_NOBODY;
	v->acl = put->args.acl;
	v->content_type = put->args.content_type;
	v->properties = put->args.properties;
	v->property_count = put->args.property_count;
	if (put->args.store_checksum) {
		v->has_checksum = true;
		v->checksum = put->args.checksum;
		v->checksum_type = CHECKSUM_FULL_OBJECT;
		content_digest(put->writer, v->checksum, &v->checksum_value);
	}
}

static enum rfs_err
version_publish(struct object_put *put, struct version *version)
{
	struct core *core = put->core;
	struct request *rq = put->rq;
	struct batch *batch = batch_new(put->bucket.id);
	unsigned attempt = 0;
	enum rfs_err err;

	do {
		struct object_at at;

		batch_reset(batch);
		request_clear_error(rq);
		if ((err = object_resolve(core, rq, put->args.bucket, put->args.key, OP_OBJECT_WRITE, &at)))
			break;
		if (at.bucket.id != put->bucket.id) {
			err = RFS_ERR_NO_SUCH_BUCKET; /* removed and made again while the body came */
			break;
		}
		if ((err = conditions_hold(rq, &put->args.conditions, object_head(&at), false)))
			break;
		bucket_check(batch, &at.bucket);
		content_attach(put->writer, batch, &version->content);
		if ((err = name_put(core->metadata, rq, batch, &at.bucket, &at.name, version)))
			break;
		feed_append(batch, rq, &at.bucket, CHANGE_PUT, put->args.key, version);
		err = metadata_commit(core->metadata, rq, batch);
		version->serial = batch->serial;
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(batch);
	return err;
}

enum rfs_err
object_put_finish(struct object_put *put, const struct digest_claim *claims, size_t claim_count, struct version *out)
{
	enum rfs_err err;

	if ((err = claims_verify(put, claims, claim_count)))
		goto out;
	if ((err = content_seal(put->writer)))
		goto out;
	version_describe(put, out);
	err = put->args.upload.len ? upload_part_publish(put->core, put->rq, &put->args, put->writer, out) : version_publish(put, out);
out:
	content_writer_free(put->writer, err == RFS_OK);
	free(put);
	return err;
}

void
object_put_abort(struct object_put *put)
{
	if (!put)
		return;
	content_writer_free(put->writer, false);
	free(put);
}
