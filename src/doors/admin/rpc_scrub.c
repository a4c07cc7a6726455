/*
 * rpc_scrub.c: scrub.* and bucket.verify: what is damaged? [worker]
 */
#include "doors/admin/rpc_int.h"
#include "managers/storage/scrub.h"

static json_t *
damage_json(struct request *rq, const struct damage_info *d)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:o}", "bucket", rpc_json_text(rq->arena, d->bucket), "key",
		rpc_json_text(rq->arena, d->key), "problem", d->text, "found_by", d->found_by, "found",
		rpc_json_time(d->found_ns));
}

static json_t *
damages_json(struct request *rq, const struct damage_info *list, size_t count)
{
	json_t *json = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(json, damage_json(rq, &list[i]));
	return json;
}

enum rfs_err
rpc_bucket_verify(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct verify_report report;
	struct bucket_row bucket;
	enum rfs_err err;

	if ((err = bucket_open(rpc->core, rq, rpc_param_bytes(params, "name"), OP_BUCKET_READ, &bucket)) ||
		(err = bucket_verify(rpc->core->storage, rq, &bucket, &report)))
		return err;
	*result = json_pack("{s:I, s:I, s:I, s:o}", "objects", (json_int_t)report.objects, "bytes",
		(json_int_t)report.bytes, "damaged_objects", (json_int_t)report.damaged, "damaged",
		damages_json(rq, report.list, report.damaged < VERIFY_LISTED ? report.damaged : VERIFY_LISTED));
	return RFS_OK;
}

enum rfs_err
rpc_scrub_status(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct storage *storage = rpc->core->storage;
	struct scrub_status status;
	struct damage_info *list;
	size_t count;
	enum rfs_err err;

	if ((err = damage_list(storage, rq, &list, &count)))
		return err;
	scrub_status(storage, &status);
	*result = json_pack("{s:b, s:o, s:o, s:s, s:I, s:I, s:I, s:o}", "running", status.running, "started",
		rpc_json_time(status.started_ns), "finished", rpc_json_time(status.finished_ns), "bucket",
		status.bucket, "objects", (json_int_t)status.objects, "bytes", (json_int_t)status.bytes,
		"damaged_in_round", (json_int_t)status.damaged, "damaged", damages_json(rq, list, count));
	return RFS_OK;
}

enum rfs_err
rpc_scrub_start(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	scrub_start(rpc->core->storage);
	return rpc_scrub_status(rpc, rq, params, result);
}
