/* rpc_quotas.c: quota.*: core's verbs, called by an administrator. [worker] */
#include "doors/admin/rpc_int.h"

static json_t *
limit_json(uint64_t limit)
{
	return limit ? json_integer((json_int_t)limit) : json_null();
}

static enum rfs_err
quotas_json(struct rpc *rpc, struct request *rq, struct bytes bucket, json_t **result)
{
	struct quota_state *states;
	json_t *list;
	size_t count;
	enum rfs_err err;

	if ((err = quota_list(rpc->core, rq, bucket, &states, &count)))
		return err;
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		const struct quota_state *s = &states[i];
		const char *user = s->user == QUOTA_OF_BUCKET ? "" : auth_identity(rpc->core->auth, rq, s->user)->name;

		json_array_append_new(list,
			json_pack("{s:s, s:o, s:I, s:o, s:I}", "user", user, "max_objects", limit_json(s->quota.objects), "objects",
				(json_int_t)s->usage.objects, "max_bytes", limit_json(s->quota.bytes), "bytes",
				(json_int_t)s->usage.bytes));
	}
	*result = json_pack("{s:o}", "quotas", list);
	return RFS_OK;
}

/* A limit that is given; false: it is below zero. */
static bool
limit_given(json_t *params, const char *name, uint64_t *value, const uint64_t **out)
{
	const json_t *given = json_object_get(params, name);

	if (!json_is_integer(given))
		return true;
	*value = (uint64_t)json_integer_value(given);
	*out = value;
	return json_integer_value(given) >= 0;
}

enum rfs_err
rpc_quota_set(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct bytes bucket = rpc_param_bytes(params, "bucket"), name = rpc_param_bytes(params, "user");
	struct quota_changes changes = {0};
	const struct identity *user;
	uint64_t objects, bytes, id = QUOTA_OF_BUCKET;
	enum rfs_err err;

	if (!limit_given(params, "max_objects", &objects, &changes.objects) || !limit_given(params, "max_bytes", &bytes, &changes.bytes))
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "a limit is a number, and 0 none");
	if (!changes.objects && !changes.bytes)
		return request_fail(
			rq, RFS_ERR_INVALID_PARAMS, "there is nothing to change: give a number of objects or of bytes");
	if (name.len > 0) {
		if ((err = auth_user_find(rpc->core->auth, rq, name, &user)))
			return err;
		id = user->id;
	}
	if ((err = quota_set(rpc->core, rq, bucket, id, &changes)))
		return err;
	return quotas_json(rpc, rq, bucket, result);
}

enum rfs_err
rpc_quota_list(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	return quotas_json(rpc, rq, rpc_param_bytes(params, "bucket"), result);
}
