/*
 * rpc_users.c: user.* and key.*: the auth manager's administration. [worker]
 */
#include "doors/admin/rpc_int.h"

static json_t *
user_json(const struct identity *user)
{
	return json_pack("{s:s, s:s, s:b}", "name", user->name, "id", user->display_id, "admin", user->admin);
}

enum rfs_err
rpc_user_create(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct bytes name = rpc_param_bytes(params, "name");
	const struct identity *user;
	enum rfs_err err;

	if ((err = auth_user_create(rpc->core->auth, rq, name, json_is_true(json_object_get(params, "admin")))))
		return err;
	if ((err = auth_user_find(rpc->core->auth, rq, name, &user)))
		return err;
	*result = user_json(user);
	return RFS_OK;
}

enum rfs_err
rpc_user_remove(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	return auth_user_remove(rpc->core->auth, rq, rpc_param_bytes(params, "name"));
}

enum rfs_err
rpc_user_list(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	const struct identity **users;
	json_t *list;
	size_t i, count;
	enum rfs_err err;

	if ((err = auth_user_list(rpc->core->auth, rq, &users, &count)))
		return err;
	list = json_array();
	for (i = 0; i < count; i++)
		json_array_append_new(list, user_json(users[i]));
	*result = json_pack("{s:o}", "users", list);
	return RFS_OK;
}

/* A key's limits give no rights: where its user has none, it is of no use. NULL: he has some. */
static const char *
key_warning(struct rpc *rpc, struct request *rq, struct bytes user, const struct bucket_row *bucket)
{
	const char *who = arena_str(rq->arena, user), *where = arena_str(rq->arena, bucket->name);
	const struct access_target target = {.bucket = bucket};
	struct request as_user = {.arena = rq->arena};

	if (auth_user_find(rpc->core->auth, rq, user, &as_user.who) ||
		!auth_check(rpc->core->auth, &as_user, &target, OP_OBJECT_WRITE))
		return NULL;
	return arena_printf(rq->arena,
		"%s has no more rights in %s than everybody, and a key gives none: restfs bucket set %s --owner=NAME "
		"does, "
		"for %s or a group with %s in it",
		who, where, where, who, who);
}

enum rfs_err
rpc_key_create(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct access_key_scope scope = {
		.bucket = rpc_param_bytes(params, "bucket"),
		.prefix = rpc_param_bytes(params, "prefix"),
		.read_only = json_is_true(json_object_get(params, "read_only")),
	};
	struct bytes user = rpc_param_bytes(params, "user"), access_key, secret;
	const char *warning = NULL;
	struct bucket_row bucket;
	enum rfs_err err;

	if (scope.bucket.len > 0 && (err = bucket_open(rpc->core, rq, scope.bucket, OP_BUCKET_READ, &bucket)))
		return err;
	if ((err = auth_key_create(rpc->core->auth, rq, user, &scope, rpc_param_bytes(params, "access_key"),
		     rpc_param_bytes(params, "secret_key"), &access_key, &secret)))
		return err;
	if (scope.bucket.len > 0)
		warning = key_warning(rpc, rq, user, &bucket);
	*result = json_pack("{s:s%, s:s%, s:s%, s:s?}", "access_key", access_key.data, access_key.len, "secret_key",
		secret.data, secret.len, "user", user.data, user.len, "warning", warning);
	return RFS_OK;
}

enum rfs_err
rpc_key_remove(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	return auth_key_remove(rpc->core->auth, rq, rpc_param_bytes(params, "access_key"));
}

enum rfs_err
rpc_key_list(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct access_key_info *keys;
	json_t *list;
	size_t i, count;
	enum rfs_err err;

	if ((err = auth_key_list(rpc->core->auth, rq, rpc_param_bytes(params, "user"), &keys, &count)))
		return err;
	list = json_array();
	for (i = 0; i < count; i++) {
		const struct access_key_info *key = &keys[i];

		json_array_append_new(
			list, json_pack("{s:s%, s:s%, s:o, s:o, s:b, s:o}", "access_key", key->access_key.data,
				      key->access_key.len, "user", key->user.data, key->user.len, "bucket",
				      rpc_json_text(rq->arena, key->scope.bucket), "prefix",
				      rpc_json_text(rq->arena, key->scope.prefix), "read_only", key->scope.read_only,
				      "created", rpc_json_time(key->created_ns)));
	}
	*result = json_pack("{s:o}", "keys", list);
	return RFS_OK;
}
