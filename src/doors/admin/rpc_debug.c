/*
 * rpc_debug.c: debug.*: for tests, and only where the option `debug` is on. [worker]
 */
#include "base/crash_point.h"
#include "base/dump.h"
#include "doors/admin/rpc_int.h"
#include "net/http.h"

static enum rfs_err
debug_allowed(struct rpc *rpc, struct request *rq)
{
	return rpc->faults ? RFS_OK
			   : request_fail(rq, RFS_ERR_ACCESS_DENIED,
				     "the option `debug` is off: start restfsd with --set debug=true");
}

static json_t *
digest_json(const struct digest_value *value)
{
	char hex[65];

	hex_encode(bytes_of(value->bytes, 32), hex);
	return json_string(hex);
}

enum rfs_err
rpc_debug_digest(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct store_digest digest;
	enum rfs_err err;

	if ((err = debug_allowed(rpc, rq)) || (err = store_digest(rpc->core, rq, &digest)))
		return err;
	*result = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "meaning", digest_json(&digest.meaning), "rows",
		digest_json(&digest.rows), "buckets", (json_int_t)digest.bucket_count, "objects",
		(json_int_t)digest.object_count, "bytes", (json_int_t)digest.bytes, "row_count",
		(json_int_t)digest.row_count, "purge_count", (json_int_t)digest.purge_count);
	return RFS_OK;
}

enum rfs_err
rpc_debug_dump(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct dump dump;
	struct buf text;
	enum rfs_err err;

	if ((err = debug_allowed(rpc, rq)))
		return err;
	buf_init(&text, rq->arena);
	dump_init(&dump, &text);
	if (rpc->server) {
		dump_object(&dump, "http");
		http_server_describe(rpc->server, &dump);
		dump_end(&dump);
	}
	store_describe(rpc->core, rq, &dump);
	dump_end(&dump);
	*result = json_loadb((const char *)text.data, text.len, 0, NULL);
	return *result ? RFS_OK : request_fail(rq, RFS_ERR_INTERNAL, "the dump is no JSON");
}

/* Which call from now on is meant; the next, where it is not said. */
static enum rfs_err
nth_of(struct request *rq, json_t *params, uint64_t *out)
{
	json_t *nth = json_object_get(params, "nth");
	json_int_t count = json_is_integer(nth) ? json_integer_value(nth) : 1;

	*out = (uint64_t)count;
	return count < 1 ? request_fail(rq, RFS_ERR_INVALID_PARAMS, "nth is 1 or more") : RFS_OK;
}

enum rfs_err
rpc_debug_crash(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct bytes point = rpc_param_bytes(params, "point");
	uint64_t nth;
	enum rfs_err err;

	if ((err = debug_allowed(rpc, rq)) || (err = nth_of(rq, params, &nth)))
		return err;
	if (!crash_point_arm(point, nth))
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "there is no such point; debug.points lists them");
	return RFS_OK;
}

enum rfs_err
rpc_debug_points(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < CRASH_POINT_COUNT; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "point", crash_point_name(i), "where", crash_point_text(i)));
	*result = json_pack("{s:o}", "points", list);
	return RFS_OK;
}

enum rfs_err
rpc_debug_fault(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	static const char *const operations[FAULT_OP_COUNT] = {[FAULT_GET] = "get",
		[FAULT_MULTI_GET] = "multi-get",
		[FAULT_SCAN] = "scan",
		[FAULT_COMMIT] = "commit",
		[FAULT_PUT] = "put",
		[FAULT_WAIT] = "wait",
		[FAULT_READ] = "read",
		[FAULT_REMOVE] = "remove",
		[FAULT_CHECKPOINT] = "checkpoint"};
	struct bytes operation = rpc_param_bytes(params, "operation");
	uint64_t nth;
	enum rfs_err err;

	if ((err = debug_allowed(rpc, rq)) || (err = nth_of(rq, params, &nth)))
		return err;
	for (unsigned op = 0; op < FAULT_OP_COUNT; op++)
		if (operations[op] && bytes_equal_str(operation, operations[op])) {
			rpc->faults->op[op].fail_at = fault_calls(rpc->drivers, op) + nth;
			return RFS_OK;
		}
	return request_fail(rq, RFS_ERR_INVALID_PARAMS,
		"operation is get, multi-get, scan, commit, put, wait, read, remove or checkpoint");
}

/* What no door does yet, for those tests that begin at a door. */
enum rfs_err
rpc_debug_write(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	json_t *offset = json_object_get(params, "offset"), *size = json_object_get(params, "size");
	struct object_write_args args = {.bucket = rpc_param_bytes(params, "bucket"),
		.key = rpc_param_bytes(params, "key"),
		.bytes = rpc_param_bytes(params, "text"),
		.offset = (uint64_t)json_integer_value(offset),
		.resize = size != NULL,
		.size = (uint64_t)json_integer_value(size)};
	struct version version;
	enum rfs_err err;

	if (json_integer_value(offset) < 0 || json_integer_value(size) < 0)
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "offset and size are not negative");
	if ((err = debug_allowed(rpc, rq)) || (err = object_write(rpc->core, rq, &args, &version)))
		return err;
	*result = json_pack("{s:o, s:I}", "etag", rpc_json_text(rq->arena, version.etag), "size", (json_int_t)version.content.size);
	return RFS_OK;
}
