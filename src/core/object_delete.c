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

static enum rfs_err
deletion_build(struct core *core, struct request *rq, void *verb, struct batch *b)
{
	struct object_deletion *deletion = verb;

	return deletion->error ? deletion->error : delete_build(core, rq, &deletion->args, b);
}

static void
deletion_ended(void *verb, struct request *rq, enum rfs_err err, uint64_t serial)
{
	struct object_deletion *deletion = verb;

	if (deletion->error)
		return;
	deletion->error = err;
	deletion->detail = rq->detail;
	deletion->removed = serial != 0;
}

void
objects_delete(struct core *core, struct request *rq, struct object_deletion *deletions, size_t count)
{
	rq->need = SPACE_FREES;
	publish_many(core, rq, deletion_build, deletion_ended, deletions, count, sizeof(*deletions));
}
