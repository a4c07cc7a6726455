/* object_rename.c: a new name for an object or a directory: one commit, whatever is below it. */
#include "core/core_int.h"

/* To take an object's old name away and give its bytes a new one needs both rights. */
static enum rfs_err
source_resolve(struct core *core, struct request *rq, const struct object_rename_args *args, struct object_at *at)
{
	enum rfs_err err;

	if ((err = object_resolve(core, rq, args->bucket, args->from, OP_OBJECT_DELETE, at)))
		return err;
	if ((err = object_authorise(core, rq, at, OP_OBJECT_READ)))
		return err;
	return conditions_hold(rq, &args->from_conditions, object_head(at), false);
}

static enum rfs_err
rename_build(struct core *core, struct request *rq, void *verb, struct batch *b)
{
	const struct object_rename_args *args = verb;
	const struct version *moved;
	struct object_at from, to;
	enum rfs_err err;

	if ((err = source_resolve(core, rq, args, &from)) || (err = object_resolve(core, rq, args->bucket, args->to, OP_OBJECT_WRITE, &to)) ||
		(err = conditions_hold(rq, &args->conditions, object_head(&to), false)))
		return err;
	if (from.bucket.serial != to.bucket.serial)
		return RFS_ERR_CONFLICT;
	if (bytes_equal(args->from, args->to))
		return from.name.found || (name_is_directory(args->from) && from.name.dirs[from.name.dir_count - 1].row.found) ? RFS_OK : RFS_ERR_NO_SUCH_KEY;
	b->bucket = to.bucket.id;
	if (name_is_directory(args->from))
		bucket_put(b, &to.bucket);
	else
		bucket_check(b, &to.bucket);
	if ((err = name_move(core->metadata, rq, b, &to.bucket, &from.name, &to.name, &moved)))
		return err;
	feed_append_rename(b, rq, &to.bucket, args->from, args->to, moved);
	return RFS_OK;
}

enum rfs_err
object_rename(struct core *core, struct request *rq, const struct object_rename_args *args)
{
	struct object_rename_args verb = *args;
	uint64_t serial;

	return publish(core, rq, rename_build, &verb, &serial);
}
