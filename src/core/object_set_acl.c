/* object_set_acl.c: an object's canned ACL changes; nothing else of it does. [worker] */
#include "core/core_int.h"

enum rfs_err
object_set_acl(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, enum acl acl)
{
	struct batch *batch = batch_new(0);
	unsigned attempt = 0;
	enum rfs_err err;

	rq->need = SPACE_FREES;
	do {
		struct object_at at;
		struct bytes entry;
		const struct row *row;
		struct buf value;

		request_clear_error(rq);
		batch_reset(batch);
		if ((err = object_resolve(core, rq, bucket, key, OP_OBJECT_WRITE_ACL, &at)))
			break;
		if (!at.name.found) {
			err = RFS_ERR_NO_SUCH_KEY;
			break;
		}
		batch->bucket = at.bucket.id;
		bucket_check(batch, &at.bucket);
		at.name.head.acl = acl;
		buf_init(&value, batch->arena);
		version_encode(&value, &at.name.head);
		entry = object_entry(batch->arena, &at, &row);
		metadata_replace(batch, &at.bucket, entry, row, buf_bytes(&value));
		feed_append(batch, rq, &at.bucket, CHANGE_ACL, key, &at.name.head);
		err = metadata_commit(core->metadata, rq, batch);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(rq, attempt++));
	batch_free(batch);
	return err;
}
