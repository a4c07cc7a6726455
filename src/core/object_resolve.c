/* object_resolve.c: what most verbs begin with: the bucket, the name, the decision. [any] */
#include "core/core_int.h"

enum rfs_err
object_resolve(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, enum operation op, struct object_at *at)
{
	struct access_target target = { .bucket = &at->bucket, .name = key };
	enum rfs_err err;

	if ((err = bucket_find(core->metadata, rq, bucket, &at->bucket)))
		return err;
	if ((err = name_resolve(core->metadata, rq, &at->bucket, key, &at->name)))
		return err;
	target.version = object_head(at);
	err = auth_check(core->auth, rq, &target, op);
	/* Nobody is refused a thing that is not there, if he may know that it is not. */
	if (err == RFS_ERR_ACCESS_DENIED && op == OP_OBJECT_READ && !target.version && object_missing(core, rq, at) == RFS_ERR_NO_SUCH_KEY)
		return RFS_OK;
	return err;
}

const struct version *
object_head(const struct object_at *at)
{
	return at->name.found ? &at->name.head : NULL;
}

enum rfs_err
object_missing(struct core *core, struct request *rq, const struct object_at *at)
{
	struct access_target target = { .bucket = &at->bucket };

	return auth_check(core->auth, rq, &target, OP_BUCKET_LIST) == RFS_OK ? RFS_ERR_NO_SUCH_KEY : RFS_ERR_ACCESS_DENIED;
}
