/* object_delete.c: a DELETE, whatever door it came through. [worker] */
#include "core/core_int.h"

enum rfs_err
object_delete(struct core *core, struct request *rq, const struct object_delete_args *args, bool *removed)
{
	struct batch *batch = NULL;
	unsigned attempt = 0;
	enum rfs_err err;

	*removed = false;
	do {
		struct object_at at;

		request_clear_error(rq);
		if ((err = object_resolve(core, rq, args->bucket, args->key, OP_OBJECT_DELETE, &at)))
			break;
		if ((err = conditions_hold(rq, &args->conditions, object_head(&at), false)))
			break;
		if (!at.name.found)
			break;
		if (!batch)
			batch = batch_new(at.bucket.id);
		batch_reset(batch);
		batch->bucket = at.bucket.id;
		bucket_check(batch, &at.bucket);
		if ((err = name_remove(core->metadata, rq, batch, &at.bucket, &at.name)))
			break;
		feed_append(batch, rq, &at.bucket, CHANGE_DELETE, args->key, &at.name.head);
		err = metadata_commit(core->metadata, rq, batch);
		*removed = !err;
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	if (batch)
		batch_free(batch);
	return err;
}
