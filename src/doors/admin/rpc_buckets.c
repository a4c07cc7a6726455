/*
 * rpc_buckets.c: bucket.*: core's verbs, called by an administrator. [worker]
 */
#include "doors/admin/rpc_int.h"

#define BUCKETS_MAX 1000

static json_t *
bucket_json(struct rpc *rpc, struct request *rq, const struct bucket_row *bucket)
{
	const struct identity *owner = auth_identity(rpc->core->auth, rq, bucket->owner);

	return json_pack("{s:o, s:s, s:o, s:s}", "name", rpc_json_text(rq->arena, bucket->name), "owner", owner->name,
		"created", rpc_json_time(bucket->created_ns), "acl", rpc_acl_name(bucket->acl));
}

static json_t *
bucket_json_whole(struct rpc *rpc, struct request *rq, const struct bucket_row *bucket)
{
	json_t *json = bucket_json(rpc, rq, bucket);

	json_object_set_new(json, "compress", json_boolean(bucket->compress));
	json_object_set_new(json, "deduplicate", json_boolean(bucket->deduplicate));
	json_object_set_new(json, "block_size", json_integer(bucket->block_size));
	return json;
}

/* Only administrators come here, who may give it to anybody, also to a group. */
enum rfs_err
rpc_bucket_create(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct bucket_create_args args = {.name = rpc_param_bytes(params, "name"), .acl = ACL_PRIVATE};
	struct bytes owner_name = rpc_param_bytes(params, "owner");
	const struct identity *owner = rq->who;
	enum rfs_err err;

	if (json_is_string(json_object_get(params, "acl")) && (err = rpc_param_acl(rq, params, &args.acl)))
		return err;
	if (owner_name.len > 0 && (err = auth_owner_find(rpc->core->auth, rq, owner_name, &owner)))
		return err;
	args.owner = owner->id;
	if ((err = bucket_create(rpc->core, rq, &args)))
		return err;
	*result = json_pack("{s:o, s:s}", "name", rpc_json_text(rq->arena, args.name), "owner", owner->name);
	return RFS_OK;
}

enum rfs_err
rpc_bucket_remove(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	return bucket_remove(rpc->core, rq, rpc_param_bytes(params, "name"));
}

enum rfs_err
rpc_bucket_list(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct bytes after = rpc_param_bytes(params, "after"), prefix = rpc_param_bytes(params, "prefix");
	json_t *limit = json_object_get(params, "limit"), *list;
	json_int_t most = json_is_integer(limit) ? json_integer_value(limit) : BUCKETS_MAX;
	struct bucket_row *buckets;
	size_t i, count;
	bool more;
	enum rfs_err err;

	if (most < 1 || most > BUCKETS_MAX)
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "limit is 1 to %d", BUCKETS_MAX);
	if ((err = bucket_list(rpc->core, rq, after, prefix, (size_t)most, &buckets, &count, &more)))
		return err;
	list = json_array();
	for (i = 0; i < count; i++)
		json_array_append_new(list, bucket_json(rpc, rq, &buckets[i]));
	*result = json_pack("{s:o, s:b}", "buckets", list, "more", more);
	return RFS_OK;
}

enum rfs_err
rpc_bucket_info(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct bytes name = rpc_param_bytes(params, "name");
	struct bucket_row bucket;
	struct bucket_usage usage;
	enum rfs_err err;

	if ((err = bucket_open(rpc->core, rq, name, OP_BUCKET_READ, &bucket)))
		return err;
	if ((err = bucket_usage(rpc->core, rq, name, &usage)))
		return err;
	*result = bucket_json_whole(rpc, rq, &bucket);
	json_object_set_new(*result, "objects", json_integer(usage.objects));
	json_object_set_new(*result, "bytes", json_integer(usage.bytes));
	return RFS_OK;
}

enum rfs_err
rpc_bucket_set(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	json_t *compress_given = json_object_get(params, "compress"),
	       *deduplicate_given = json_object_get(params, "deduplicate");
	bool compress = json_is_true(compress_given), deduplicate = json_is_true(deduplicate_given);
	struct bytes name = rpc_param_bytes(params, "name"), owner_name = rpc_param_bytes(params, "owner");
	struct bucket_changes changes = {0};
	const struct identity *owner;
	struct bucket_row bucket;
	enum acl acl;
	enum rfs_err err;

	if (json_is_string(json_object_get(params, "acl"))) {
		if ((err = rpc_param_acl(rq, params, &acl)))
			return err;
		changes.acl = &acl;
	}
	if (json_is_boolean(compress_given))
		changes.compress = &compress;
	if (json_is_boolean(deduplicate_given))
		changes.deduplicate = &deduplicate;
	if (owner_name.len > 0) {
		if ((err = auth_owner_find(rpc->core->auth, rq, owner_name, &owner)))
			return err;
		changes.owner = &owner->id;
	}
	if (!changes.acl && !changes.compress && !changes.deduplicate && !changes.owner)
		return request_fail(rq, RFS_ERR_INVALID_PARAMS,
			"there is nothing to change: give acl, compress, deduplicate or owner");
	if ((err = bucket_configure(rpc->core, rq, name, &changes)))
		return err;
	if ((err = bucket_open(rpc->core, rq, name, OP_BUCKET_READ, &bucket)))
		return err;
	*result = bucket_json_whole(rpc, rq, &bucket);
	return RFS_OK;
}
