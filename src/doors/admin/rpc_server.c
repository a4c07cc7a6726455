/*
 * rpc_server.c: server.*: the daemon itself. [worker]
 */
#include "base/clock.h"
#include "doors/admin/rpc_int.h"

#define ROWS_COUNTED 10000
#define ROWS_PAGE 1000

/* The driver's estimate has what was written over or removed, which of a small store is most: one of few rows is
 * counted. */
static enum rfs_err
rows_count(struct metadata_driver *driver, struct request *rq, uint64_t *rows)
{
	const struct bytes none = bytes_of(NULL, 0), end = key_bucket(rq->arena, UINT64_MAX);
	struct request page_rq = {.arena = arena_new(65536), .door = rq->door, .may_block = true};
	struct row_page page = {.more = true};
	uint64_t count = 0;
	struct buf next;
	enum rfs_err err = RFS_OK;

	buf_init(&next, NULL);
	buf_put_bytes(&next, key_table(rq->arena, DOMAIN_BUCKET, TABLE_BUCKET, none));
	while (!err && page.more && count < ROWS_COUNTED) {
		arena_reset(page_rq.arena);
		err = driver->ops->scan(driver, &page_rq, buf_bytes(&next), end, ROWS_PAGE, false, &page);
		count += page.count;
		if (!err && page.count) {
			next.len = 0;
			buf_put_bytes(&next, page.rows[page.count - 1].key);
			buf_u8(&next, 0);
		}
	}
	buf_fini(&next);
	arena_free(page_rq.arena);
	if (!err && !page.more)
		*rows = count;
	return err;
}

enum rfs_err
rpc_server_info(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct metadata_driver *driver = metadata_driver(rpc->core->metadata);
	struct metadata_info info = {0};
	json_int_t uptime = (clock_monotonic_ns() - rpc->started_ns) / NS_PER_SECOND;
	enum rfs_err err;

	driver->ops->info(driver, &info);
	if ((err = rows_count(driver, rq, &info.rows_estimate)))
		return err;
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
