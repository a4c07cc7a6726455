/* object_delete.c: a DELETE, whatever door it came through. */
#include "core/core_int.h"

static enum rfs_err
delete_build(struct core *core, struct request *rq, void *verb, struct batch *b)
{
	const struct object_delete_args *args = verb;
	struct object_at at;
	enum rfs_err err;

	if ((err = object_resolve(core, rq, args->bucket, args->key, OP_OBJECT_DELETE, &at)))
		return err;
	if ((err = conditions_hold(rq, &args->conditions, object_head(&at), false)) || !at.name.found)
		return err;
	b->bucket = at.bucket.id;
	bucket_check(b, &at.bucket);
	if ((err = name_remove(core->metadata, rq, b, &at.bucket, &at.name)))
		return err;
	feed_append(b, rq, &at.bucket, CHANGE_DELETE, args->key, &at.name.head);
	return RFS_OK;
}

enum rfs_err
object_delete(struct core *core, struct request *rq, const struct object_delete_args *args, bool *removed)
{
	struct object_delete_args verb = *args;
	uint64_t serial = 0;
	enum rfs_err err;

	rq->need = SPACE_FREES;
	err = publish(core, rq, delete_build, &verb, &serial);

	*removed = serial != 0;
	return err;
}
