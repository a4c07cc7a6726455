/* object_resolve.c: what most verbs begin with: the bucket, the name, the decision. [any] */
#include "core/core_int.h"

enum rfs_err
object_authorise(struct core *core, struct request *rq, const struct object_at *at, enum operation op)
{
	struct access_target target = { .bucket = &at->bucket, .name = at->name.key, .version = object_head(at) };

	return auth_check(core->auth, rq, &target, op);
}

enum rfs_err
object_resolve(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, enum operation op, struct object_at *at)
{
	enum rfs_err err, denied;

	if ((err = bucket_find(core->metadata, rq, bucket, &at->bucket)))
		return err;
	err = name_resolve(core->metadata, rq, &at->bucket, key, &at->name);
	if (err && err != RFS_ERR_KEY_TOO_LONG)
		return err;
	/* KEY_TOO_LONG says that nothing is there: not to who may not know. */
	denied = object_authorise(core, rq, at, op);
	return denied ? denied : err;
}

const struct version *
object_head(const struct object_at *at)
{
	return at->name.found ? &at->name.head : NULL;
}

struct bytes
object_entry(struct arena *arena, const struct object_at *at, const struct row **row)
{
	const struct name_dir *dir = at->name.is_marker ? &at->name.dirs[at->name.dir_count - 1] : NULL;

	*row = dir ? &dir->row : &at->name.row;
	return dir ? key_entry(arena, at->bucket.id, dir->parent, dir->name) : key_entry(arena, at->bucket.id, at->name.parent, at->name.name);
}

enum rfs_err
bucket_open_listing(struct core *core, struct request *rq, struct bytes name, struct bytes prefix, struct bucket_row *out)
{
	struct access_target target = { .bucket = out, .name = prefix };
	enum rfs_err err = bucket_find(core->metadata, rq, name, out);

	return err ? err : auth_check(core->auth, rq, &target, OP_BUCKET_LIST);
}
