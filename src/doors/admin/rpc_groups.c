/*
 * rpc_groups.c: group.*: the auth manager's administration. [worker]
 */
#include "doors/admin/rpc_int.h"

static json_t *
group_json(const struct group_info *info)
{
	json_t *users = json_array();

	for (size_t i = 0; i < info->user_count; i++)
		json_array_append_new(users, json_string(info->users[i]));
	return json_pack("{s:s, s:s, s:o}", "name", info->group->name, "id", info->group->display_id, "users", users);
}

enum rfs_err
rpc_group_create(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct group_info info = {0};
	enum rfs_err err;

	if ((err = auth_group_create(rpc->core->auth, rq, rpc_param_bytes(params, "name"), &info.group)))
		return err;
	*result = group_json(&info);
	return RFS_OK;
}

enum rfs_err
rpc_group_remove(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	return auth_group_remove(rpc->core->auth, rq, rpc_param_bytes(params, "name"));
}

enum rfs_err
rpc_group_list(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct group_info *groups;
	json_t *list;
	size_t count;
	enum rfs_err err;

	if ((err = auth_group_list(rpc->core->auth, rq, &groups, &count)))
		return err;
	list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, group_json(&groups[i]));
	*result = json_pack("{s:o}", "groups", list);
	return RFS_OK;
}

enum rfs_err
rpc_group_add_user(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	return auth_group_add(rpc->core->auth, rq, rpc_param_bytes(params, "group"), rpc_param_bytes(params, "user"));
}

enum rfs_err
rpc_group_remove_user(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	return auth_group_drop(rpc->core->auth, rq, rpc_param_bytes(params, "group"), rpc_param_bytes(params, "user"));
}
