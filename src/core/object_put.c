/*
 * object_put.c: a PUT, whatever door it came through: begin (may he, do the conditions hold), write (bytes to blocks), finish (verify, publish).
 *
 * The conditions are judged early, so that a refusal comes before the body, and hold for the head that the commit CHECKs.
 */
#include "core/core_int.h"
#include "base/mutant.h"

#include <stdlib.h>

struct object_put {
	struct core *core;
	struct request *rq;
	struct object_put_args args;
	struct object_at at; /* as `begin` found it; without an upload */
	bool at_is_new;      /* the first attempt to publish may build on it: its commit CHECKs what was read */
	struct bucket_row bucket;
	unsigned digests;
	struct content_writer *writer; /* NULL until there are bytes: who is slow to send any holds little */
	struct version *version;
	bool sealed;
};

/* May he, and does he want to. */
static enum rfs_err
name_judge(struct core *core, struct request *rq, const struct object_put_args *args, struct object_at *at)
{
	enum rfs_err err = object_resolve(core, rq, args->bucket, args->key, OP_OBJECT_WRITE, at);

	return err ? err : conditions_hold(rq, &args->conditions, object_head(at), false);
}

/* Each part has a checksum of the kind that the upload was created with: the whole's is made of them. */
static enum rfs_err
part_checksum_choose(struct request *rq, const struct upload_row *upload, struct object_put_args *args)
{
	if (!upload->has_checksum)
		return RFS_OK;
	if (args->store_checksum && args->checksum != upload->checksum)
		return request_fail(rq, RFS_ERR_INVALID_REQUEST, "the part's checksum is not of the kind that the upload was created with");
	args->store_checksum = true;
	args->checksum = upload->checksum;
	return RFS_OK;
}

/* Before the body comes. */
static enum rfs_err
target_judge(struct core *core, struct request *rq, struct object_put_args *args, struct object_at *at)
{
	struct upload_at upload;
	enum rfs_err err;

	if (args->upload.len) {
		if (args->part_number < 1 || args->part_number > UPLOAD_PARTS_MAX)
			return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "a part number is between 1 and %d", UPLOAD_PARTS_MAX);
		err = upload_resolve(core, rq, args->bucket, args->key, args->upload, OP_OBJECT_WRITE, &upload);
		at->bucket = upload.bucket;
		return err ? err : part_checksum_choose(rq, &upload.upload, args);
	}
	return name_judge(core, rq, args, at);
}

/* Of an upload nothing is counted before it is complete, but what does not fit even alone need not come. */
static int64_t
size_gained(const struct object_put_args *args, const struct object_at *at)
{
	return args->upload.len || !object_head(at) ? args->size : args->size - (int64_t)object_head(at)->content.size;
}

enum rfs_err
object_put_begin(struct core *core, struct request *rq, const struct object_put_args *asked, struct object_put **out)
{
	struct object_put_args own = *asked, *args = &own;
	struct object_at at;
	struct object_put *put;
	unsigned digests = args->digests;
	enum rfs_err err;

	if ((err = target_judge(core, rq, args, &at)) ||
		(err = quota_admits(core->metadata, rq, &at.bucket, rq->who ? rq->who->id : IDENTITY_NOBODY, size_gained(args, &at))))
		return err;
	if (args->payload_sha256_known)
		digests |= DIGEST_BIT(DIGEST_SHA256);
	if (args->store_checksum)
		digests |= DIGEST_BIT(args->checksum);
	put = xcalloc(1, sizeof(*put));
	put->core = core;
	put->rq = rq;
	put->args = *args;
	put->at = at;
	put->at_is_new = args->size >= 0 && args->size <= OBJECT_PUT_ON_LOOP; /* it will not be long */
	put->bucket = at.bucket;
	put->digests = digests;
	*out = put;
	return RFS_OK;
}

static void
writer_need(struct object_put *put)
{
	if (put->writer == NULL)
		put->writer = content_writer_new(put->core->storage, put->rq, &put->bucket, put->digests);
}

enum rfs_err
object_put_write(struct object_put *put, struct slice part)
{
	writer_need(put);
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
		if (memcmp(value.bytes, put->args.payload_sha256.bytes, 32) != 0 && !MUTANT("body-hash-ignored"))
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
	v->modified_ns = rq->now_ns; /* a part's; an object's is that of its commit */
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
version_build(struct core *core, struct request *rq, void *verb, struct batch *b)
{
	struct object_put *put = verb;
	struct object_at *at = &put->at;
	enum rfs_err err;

	/* The first attempt builds on what `begin` read, which may have been a while ago for who asks. */
	err = put->at_is_new ? object_authorise(core, rq, at, OP_OBJECT_WRITE) : name_judge(core, rq, &put->args, at);
	if (err)
		return err;
	put->at_is_new = false;
	if (at->bucket.id != put->bucket.id)
		return RFS_ERR_NO_SUCH_BUCKET; /* removed and made again while the body came */
	b->bucket = at->bucket.id;
	bucket_check(b, &at->bucket);
	if ((err = content_attach(put->writer, b, &put->version->content)) ||
		(err = name_put(core->metadata, rq, b, &at->bucket, &at->name, put->version)))
		return err;
	feed_append(b, rq, &at->bucket, CHANGE_PUT, put->args.key, put->version);
	return RFS_OK;
}

static enum rfs_err
put_seal(struct object_put *put, const struct digest_claim *claims, size_t claim_count)
{
	enum rfs_err err;

	if ((err = claims_verify(put, claims, claim_count)) || (err = content_seal(put->writer)))
		return err;
	version_describe(put, put->version);
	put->sealed = true;
	return RFS_OK;
}

enum rfs_err
object_put_finish(struct object_put *put, const struct digest_claim *claims, size_t claim_count, struct version *out)
{
	enum rfs_err err = RFS_OK;

	put->version = out;
	writer_need(put);
	if (!put->sealed)
		err = put_seal(put, claims, claim_count);
	if (!err && put->args.upload.len)
		err = upload_part_publish(put->core, put->rq, &put->args, put->writer, out);
	else if (!err)
		err = publish(put->core, put->rq, version_build, put, &out->serial);
	if (err == RFS_ERR_WOULD_BLOCK || err == RFS_ERR_PENDING)
		return err;
	content_writer_free(put->writer, err == RFS_OK);
	free(put);
	return err;
}

void
object_put_abort(struct object_put *put)
{
	if (!put)
		return;
	if (put->writer)
		content_writer_free(put->writer, false);
	free(put);
}
