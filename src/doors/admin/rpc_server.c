/*
 * rpc_server.c: server.*: the daemon itself. [worker]
 */
#include "base/clock.h"
#include "doors/admin/rpc_int.h"

enum rfs_err
rpc_server_info(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct metadata_driver *driver = metadata_driver(rpc->core->metadata);
	struct metadata_info info = {0};
	json_int_t uptime = (clock_monotonic_ns() - rpc->started_ns) / 1000000000;

	driver->ops->info(driver, &info);
	*result = json_pack("{s:s, s:I, s:s, s:{s:s, s:b, s:s?, s:I, s:I}}", "version", rpc->version, "uptime_seconds",
		uptime, "region", rpc->core->region, "store", "driver", info.name, "poisoned", info.poisoned, "failed", info.failed,
		"rows_estimate", (json_int_t)info.rows_estimate, "bytes_on_disk", (json_int_t)info.bytes_on_disk);
	return RFS_OK;
}

enum rfs_err
rpc_server_methods(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < rpc_method_count; i++) {
		const struct rpc_method *m = &rpc_methods[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", m->name, "params", m->params,
						    "result", m->result, "help", m->help));
	}
	*result = json_pack("{s:o}", "methods", list);
	return RFS_OK;
}
