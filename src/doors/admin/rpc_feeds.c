/* rpc_feeds.c: feed.* and cursor.*: core's verbs, called by an administrator. [worker] */
#include "doors/admin/rpc_int.h"

#define CHANGES_MAX 1000

static const char *
kind_name(enum change_kind kind)
{
	static const char *const names[] = {
		[CHANGE_PUT] = "put",
		[CHANGE_DELETE] = "delete",
		[CHANGE_RENAME] = "rename",
		[CHANGE_BUCKET] = "bucket",
		[CHANGE_ACL] = "acl",
	};

	return kind >= CHANGE_PUT && kind <= CHANGE_ACL ? names[kind] : "unknown";
}

static json_t *
change_json(struct rpc *rpc, struct request *rq, const struct change_row *change)
{
	char object[2 * OBJECT_ID_BYTES + 1];

	hex_encode(bytes_of(change->object_id, OBJECT_ID_BYTES), object);
	return json_pack("{s:I, s:s, s:o, s:o, s:o, s:I, s:s, s:o, s:s, s:o}", "serial", (json_int_t)change->serial,
		"kind", kind_name(change->kind), "name", rpc_json_text(rq->arena, change->name), "new_name",
		change->kind == CHANGE_RENAME ? rpc_json_text(rq->arena, change->new_name) : json_null(), "changed",
		change->kind == CHANGE_BUCKET && change->changed.len ? rpc_json_text(rq->arena, change->changed)
								     : json_null(),
		"size", (json_int_t)change->size, "object", object, "time", rpc_json_time(change->time_ns), "who",
		auth_identity(rpc->core->auth, rq, change->who)->name, "door", rpc_json_text(rq->arena, change->door));
}

/* A serial that is given; false: it is below zero. */
static bool
serial_given(json_t *params, const char *name, uint64_t *out)
{
	const json_t *given = json_object_get(params, name);

	*out = json_is_integer(given) ? (uint64_t)json_integer_value(given) : 0;
	return (int64_t)*out >= 0;
}

enum rfs_err
rpc_feed_read(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct feed_read_args args = {.bucket = rpc_param_bytes(params, "bucket"),
		.prefix = rpc_param_bytes(params, "prefix"),
		.cursor = rpc_param_bytes(params, "cursor")};
	const json_t *limit = json_object_get(params, "limit");
	json_int_t most = json_is_integer(limit) ? json_integer_value(limit) : CHANGES_MAX;
	struct feed feed;
	json_t *list;
	enum rfs_err err;

	if (most < 1 || most > CHANGES_MAX)
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "limit is 1 to %d", CHANGES_MAX);
	if (!serial_given(params, "after", &args.after))
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "after is a serial, or 0");
	if (args.after && args.cursor.len)
		return request_fail(
			rq, RFS_ERR_INVALID_PARAMS, "reading begins after a serial or behind a cursor, not both");
	args.limit = (size_t)most;
	if ((err = rpc_wait_given(rq, params, &args.wait)) || (err = feed_read(rpc->core, rq, &args, &feed)))
		return err;
	list = json_array();
	for (size_t i = 0; i < feed.count; i++)
		json_array_append_new(list, change_json(rpc, rq, &feed.changes[i]));
	*result = json_pack("{s:o, s:I, s:b}", "changes", list, "next", (json_int_t)feed.next, "more", feed.more);
	return RFS_OK;
}

enum rfs_err
rpc_cursor_list(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct feed_cursor *cursors;
	struct feed_ends ends;
	json_t *list;
	size_t count;
	enum rfs_err err;

	if ((err = feed_cursor_list(rpc->core, rq, rpc_param_bytes(params, "bucket"), &ends, &cursors, &count)))
		return err;
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		const struct cursor_row *row = &cursors[i].row;

		json_array_append_new(
			list, json_pack("{s:o, s:I, s:o, s:b}", "name", rpc_json_text(rq->arena, cursors[i].name),
				      "position", (json_int_t)row->position, "set", rpc_json_time(row->moved_ns),
				      "gone", row->position < ends.pruned));
	}
	*result = json_pack(
		"{s:I, s:I, s:o}", "pruned", (json_int_t)ends.pruned, "last", (json_int_t)ends.last, "cursors", list);
	return RFS_OK;
}

enum rfs_err
rpc_cursor_set(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	uint64_t position;
	enum rfs_err err;

	if (!serial_given(params, "position", &position))
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "position is a serial, or 0");
	err = feed_cursor_set(
		rpc->core, rq, rpc_param_bytes(params, "bucket"), rpc_param_bytes(params, "name"), position);
	return err ? err : rpc_cursor_list(rpc, rq, params, result);
}

enum rfs_err
rpc_cursor_remove(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	return feed_cursor_remove(rpc->core, rq, rpc_param_bytes(params, "bucket"), rpc_param_bytes(params, "name"));
}
