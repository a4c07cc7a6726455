/*
 * object_copy.c: a server-side copy. Within a bucket the new object refers to the same blocks; from another bucket the bytes are read and put, for blocks belong
 * to a bucket's pool. [worker]
 */
#include "core/core_int.h"
#include "managers/storage/scrub.h"

static bool
is_same_name(const struct object_copy_args *args)
{
	return bytes_equal(args->from_bucket, args->to.bucket) && bytes_equal(args->from_key, args->to.key);
}

/* The copy's own description: the source's, or what the caller gave. */
static void
version_describe(struct request *rq, const struct object_copy_args *args, const struct version *from, struct version *to)
{
	*to = *from;
	to->owner = rq->who ? rq->who->id : IDENTITY_NOBODY;
	to->acl = args->to.acl;
	if (args->replace_metadata) {
		to->content_type = args->to.content_type;
		to->properties = args->to.properties;
		to->property_count = args->to.property_count;
		to->unknown = bytes_of(NULL, 0);
	}
}

/* Nothing is read of what is referred to; but damage that is known is told, as a GET would. */
static enum rfs_err
whole_as_known(struct core *core, struct request *rq, const struct object_at *from)
{
	if (!damage_is_known(core->storage, from->bucket.id, from->name.head.content.data_id))
		return RFS_OK;
	return request_fail(rq, RFS_ERR_DAMAGED, "what is to be copied is damaged");
}

static enum rfs_err
copy_within(struct core *core, struct request *rq, const struct object_copy_args *args, struct version *out)
{
	struct batch *batch = batch_new(0);
	struct content_share share = { 0 };
	struct object_at from, to = { 0 };
	const struct row *row;
	struct bytes entry;
	unsigned attempt = 0;
	enum rfs_err err;

	do {

		request_clear_error(rq);
		batch_reset(batch);
		if ((err = object_resolve(core, rq, args->from_bucket, args->from_key, OP_OBJECT_READ, &from)))
			break;
		if (!from.name.found) {
			err = RFS_ERR_NO_SUCH_KEY;
			break;
		}
		if ((err = conditions_hold(rq, &args->from_conditions, &from.name.head, false)) ||
			(err = object_resolve(core, rq, args->to.bucket, args->to.key, OP_OBJECT_WRITE, &to)) ||
			(err = conditions_hold(rq, &args->to.conditions, object_head(&to), false)))
			break;
		batch->bucket = to.bucket.id;
		bucket_check(batch, &to.bucket);
		/* The source is still there when the copy is: so nothing of it was reaped meanwhile. */
		entry = object_entry(batch->arena, &from, &row);
		batch_check(batch, entry, row->serial);
		version_describe(rq, args, &from.name.head, out);
		/* Onto itself the content stays: only what is said of it changes. */
		if (!is_same_name(args)) {
			if ((err = whole_as_known(core, rq, &from)))
				break;
			err = content_share(core->storage, rq, &to.bucket, batch, &from.name.head.content, NULL, &share);
			out->content = share.content;
		}
		if (err == RFS_ERR_NOT_FOUND)
			err = RFS_ERR_CONFLICT; /* the source was replaced meanwhile: read it again */
		if (!err)
			err = name_put(core->metadata, rq, batch, &to.bucket, &to.name, out);
		if (!err) {
			feed_append(batch, rq, &to.bucket, CHANGE_PUT, args->to.key, out);
			err = metadata_commit(core->metadata, rq, batch);
			out->serial = batch->serial;
		}
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	content_share_end(core->storage, rq, &to.bucket, &share, err == RFS_OK);
	batch_free(batch);
	return err;
}

enum rfs_err
object_pass(struct object_get *get, struct object_put *put)
{
	enum rfs_err err;

	for (;;) {
		struct slice part;

		if ((err = object_get_read(get, &part)) || !part.len)
			return err;
		err = object_put_write(put, part);
		slice_unref(&part);
		if (err)
			return err;
	}
}

static enum rfs_err
copy_across(struct core *core, struct request *rq, const struct object_copy_args *args, struct version *out)
{
	struct object_get_args from = { .bucket = args->from_bucket, .key = args->from_key };
	struct object_put_args to = args->to;
	struct object_put *put = NULL;
	struct object_get get;
	enum rfs_err err;

	if ((err = object_get_open(core, rq, &from, &get)))
		return err;
	to.size = (int64_t)get.version.content.size;
	if (!args->replace_metadata) {
		to.content_type = get.version.content_type;
		to.properties = get.version.properties;
		to.property_count = get.version.property_count;
	}
	if (get.version.has_checksum && !to.store_checksum) {
		to.store_checksum = true;
		to.checksum = get.version.checksum;
	}
	if (!(err = conditions_hold(rq, &args->from_conditions, &get.version, false)) && !(err = object_put_begin(core, rq, &to, &put)))
		err = object_pass(&get, put);
	object_get_close(&get);
	if (err) {
		object_put_abort(put);
		return err;
	}
	return object_put_finish(put, NULL, 0, out);
}

enum rfs_err
object_copy(struct core *core, struct request *rq, const struct object_copy_args *args, struct version *out)
{
	if (is_same_name(args) && !args->replace_metadata)
		return request_fail(rq, RFS_ERR_INVALID_REQUEST,
			"a copy of an object to itself must change something of it");
	if (bytes_equal(args->from_bucket, args->to.bucket) && !args->to.store_checksum)
		return copy_within(core, rq, args, out);
	return copy_across(core, rq, args, out);
}
