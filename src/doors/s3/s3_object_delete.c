/* s3_object_delete.c: DeleteObject (Amazon S3 API reference). */
#include "doors/s3/s3_int.h"

enum rfs_err
s3_delete_object(struct s3_exchange *ex)
{
	struct object_delete_args args = {.bucket = ex->bucket, .key = ex->key};
	bool removed = false;
	enum rfs_err err;

	if ((err = s3_check_version_id(ex, s3_param(ex, "versionId"))))
		return err;
	s3_write_conditions(ex, &args.conditions);
	err = object_delete(ex->door->core, ex->rq, &args, &removed);
	/* A condition on what is not there: nothing is left to delete. */
	if (err && err != RFS_ERR_NO_SUCH_KEY)
		return err;
	ex->reply.status = 204;
	return RFS_OK;
}
