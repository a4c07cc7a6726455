/*
 * rpc_store.c: store.*: what is done with the store as a whole. [worker]
 */
#include "doors/admin/rpc_int.h"
#include "managers/storage/storage.h"

enum rfs_err
rpc_store_compact(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct compaction_report r;
	enum rfs_err err = storage_compact(rpc->core->storage, rq, &r);

	if (err)
		return err;
	*result = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "volumes_removed", (json_int_t)r.volumes_removed,
		"bytes_freed", (json_int_t)r.bytes_freed, "blocks_moved", (json_int_t)r.blocks_moved, "bytes_moved",
		(json_int_t)r.bytes_moved, "checkpoint_bytes", (json_int_t)r.checkpoint_bytes, "live_bytes",
		(json_int_t)r.live_bytes, "garbage_bytes", (json_int_t)r.garbage_bytes, "volumes_without_room", (json_int_t)r.volumes_without_room);
	return RFS_OK;
}
