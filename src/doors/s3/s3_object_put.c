/* s3_object_put.c: PutObject and UploadPart (Amazon S3 API reference): a body into core. */
#include "doors/s3/s3_int.h"

struct put_state {
	struct object_put_args args;
	struct object_put *put;
	struct version version;
};

static enum rfs_err
put_begin(struct s3_exchange *ex)
{
	struct put_state *state = ex->state;

	return object_put_begin(ex->door->core, ex->rq, &state->args, &state->put);
}

static enum rfs_err
put_write(struct s3_exchange *ex, struct slice part)
{
	struct put_state *state = ex->state;
	enum rfs_err err = object_put_write(state->put, part); /* takes references of its own */

	slice_unref(&part);
	return err;
}

static enum rfs_err
put_finish(struct s3_exchange *ex)
{
	struct put_state *state = ex->state;
	enum rfs_err err;

	err = object_put_finish(state->put, ex->body.claims, ex->body.claim_count, &state->version);
	if (err == RFS_ERR_WOULD_BLOCK || err == RFS_ERR_PENDING)
		return err;
	state->put = NULL;
	if (err)
		return err;
	s3_write_etag(ex, &state->version);
	s3_write_checksum(ex, &state->version);
	return RFS_OK;
}

static void
put_abort(struct s3_exchange *ex)
{
	struct put_state *state = ex->state;

	object_put_abort(state->put);
	state->put = NULL;
}

static const struct s3_sink put_sink = {put_begin, put_write, put_finish, put_abort, .on_loop = true};

/* What the headers say of the body, for both. */
static struct object_put_args *
put_prepare(struct s3_exchange *ex)
{
	struct put_state *state = ARENA_NEW(ex->rq->arena, struct put_state);
	struct object_put_args *args = &state->args;

	ex->state = state;
	ex->sink = &put_sink;
	args->bucket = ex->bucket;
	args->key = ex->key;
	args->size = ex->body.size;
	args->digests = ex->body.digests & ~DIGEST_BIT(DIGEST_MD5);
	if (ex->signature.payload == PAYLOAD_SIGNED) {
		args->payload_sha256_known = true;
		memcpy(args->payload_sha256.bytes, ex->signature.payload_sha256, sizeof(ex->signature.payload_sha256));
	}
	args->store_checksum = ex->body.has_checksum;
	args->checksum = ex->body.checksum;
	return args;
}

/* [any] Reads the headers; the body then goes into the sink. */
enum rfs_err
s3_put_object(struct s3_exchange *ex)
{
	struct object_put_args *args = put_prepare(ex);

	s3_write_conditions(ex, &args->conditions);
	return s3_read_metadata(ex, args);
}

/* [any] */
enum rfs_err
s3_upload_part(struct s3_exchange *ex)
{
	struct object_put_args *args = put_prepare(ex);

	return s3_read_part_name(ex, &args->upload, &args->part_number);
}
