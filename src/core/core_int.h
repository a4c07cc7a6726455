/* core_int.h: what the verbs share. */
#ifndef CORE_CORE_INT_H
#define CORE_CORE_INT_H

#include "core/core.h"
#include "managers/storage/storage.h"

/* Resolves a key in a bucket and asks whether the caller may: what most verbs begin with. Attempts after the first read everything again. */
struct object_at {
	struct bucket_row bucket;
	struct name_ref name;
};
enum rfs_err object_resolve(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, enum operation op, struct object_at *at)
	RFS_MUST_CHECK;
/* The head for conditions: NULL when there is none. */
const struct version *object_head(const struct object_at *at);
/* The error for a key that is not there: NO_SUCH_KEY only to those who may list the bucket, as S3 has it. */
enum rfs_err object_missing(struct core *core, struct request *rq, const struct object_at *at);

#endif
