/* rpc_status.c: server.status: the whole on one screen. [worker] */
#include "base/clock.h"
#include "base/metrics.h"
#include "base/process.h"
#include "doors/admin/rpc_int.h"
#include "managers/storage/scrub.h"
#include "net/http_seen.h"
#include <stdlib.h>

#define BUCKETS_PAGE 1000
#define BUCKETS_MOST 100000 /* that are counted */

/* What is in all buckets. */
struct held {
	json_int_t buckets, objects, bytes;
	bool more; /* it was not counted to the end */
};

static enum rfs_err
page_add(struct rpc *rpc, struct request *rq, struct bytes *after, bool *more, struct held *out)
{
	struct bucket_row *list;
	struct bucket_usage usage;
	size_t count;
	enum rfs_err err = bucket_list(rpc->core, rq, *after, bytes_of(NULL, 0), BUCKETS_PAGE, &list, &count, more);

	for (size_t i = 0; !err && i < count; i++) {
		err = bucket_usage(rpc->core, rq, list[i].name, &usage);
		*after = list[i].name;
		if (err == RFS_ERR_NO_SUCH_BUCKET) { /* it went meanwhile */
			request_clear_error(rq);
			err = RFS_OK;
			continue;
		}
		out->buckets++;
		out->objects += usage.objects;
		out->bytes += usage.bytes;
	}
	return err;
}

static enum rfs_err
held_count(struct rpc *rpc, struct request *rq, struct held *out)
{
	struct bytes after = {0};
	enum rfs_err err;

	*out = (struct held){.more = true};
	do
		err = page_add(rpc, rq, &after, &out->more, out);
	while (!err && out->more && out->buckets < BUCKETS_MOST);
	return err;
}

static json_t *
volumes_json(struct rpc *rpc, struct request *rq, const struct metadata_info *info)
{
	const struct store_drivers *drivers = rpc->drivers;
	struct storage_volume *list = NULL;
	size_t count = 0;

	if (drivers && drivers->storage->volumes && drivers->storage->volumes->list(drivers->storage, rq, &list, &count)) {
		request_clear_error(rq);
		count = 0;
	}
	free(list);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "volumes", (json_int_t)count, "bytes_on_disk", (json_int_t)info->bytes_on_disk,
		"disk_bytes", (json_int_t)metric_get(METRIC_STORE_DISK_BYTES), "free_bytes", (json_int_t)metric_get(METRIC_STORE_FREE_BYTES),
		"reserve_bytes", (json_int_t)metric_get(METRIC_STORE_RESERVE_BYTES), "live_bytes",
		(json_int_t)(metric_get(METRIC_STORE_LIVE_BULK) + metric_get(METRIC_STORE_LIVE_JOURNAL)), "garbage_bytes",
		(json_int_t)(metric_get(METRIC_STORE_GARBAGE_BULK) + metric_get(METRIC_STORE_GARBAGE_JOURNAL)));
}

static json_t *
requests_json(struct rpc *rpc)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "total", (json_int_t)metric_get(METRIC_S3_REQUESTS), "errors_4xx",
		(json_int_t)metric_get(METRIC_S3_ERRORS_4XX), "errors_5xx", (json_int_t)metric_get(METRIC_S3_ERRORS_5XX), "received",
		(json_int_t)metric_get(METRIC_HTTP_RECEIVED), "sent", (json_int_t)metric_get(METRIC_HTTP_SENT), "connections",
		(json_int_t)metric_get(METRIC_HTTP_CONNECTIONS));
}

static json_t *
scrub_json(struct rpc *rpc, size_t damaged)
{
	struct scrub_status s;

	scrub_status(rpc->core->storage, &s);
	return json_pack("{s:b, s:o, s:o, s:I}", "running", s.running, "started", rpc_json_time(s.started_ns), "finished",
		rpc_json_time(s.finished_ns), "damaged_objects", (json_int_t)damaged);
}

/* Worst first; empty: it is healthy. */
static json_t *
problems_json(struct request *rq, const struct metadata_info *info, size_t damaged)
{
	json_t *list = json_array();

	if (info->poisoned)
		json_array_append_new(list, json_string(arena_printf(rq->arena,
						    "%s failed: nothing is written until a restart; reads go on (restfs log says why)", info->failed)));
	if (metric_get(METRIC_STORE_FULL))
		json_array_append_new(list, json_string("the disk is full: writes are refused; reads and deletes go on"));
	if (metric_get(METRIC_STORE_MISSING_VOLUMES))
		json_array_append_new(list, json_string(arena_printf(rq->arena,
						    "volumes that are needed are not there, or cannot be read: %lld (restfs log names them, restfs verify what was in them)",
						    (long long)metric_get(METRIC_STORE_MISSING_VOLUMES))));
	if (info->damaged)
		json_array_append_new(list, json_string("the index is damaged: what it cannot read fails until a "
							"restart, which makes it anew from the journal"));
	if (damaged)
		json_array_append_new(list, json_string(arena_printf(rq->arena, "%zu object%s damaged: restfs scrub status names them", damaged,
						    damaged == 1 ? " is" : "s are")));
	return list;
}

/* What a damaged index does not let it count is left out: that it is damaged is said. */
static enum rfs_err
unless_damaged(struct request *rq, enum rfs_err err)
{
	if (err != RFS_ERR_DAMAGED)
		return err;
	request_clear_error(rq);
	return RFS_OK;
}

enum rfs_err
rpc_server_status(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct metadata_driver *driver = metadata_driver(rpc->core->metadata);
	struct metadata_info info = {0};
	struct damage_info *damages;
	struct held held;
	json_t *problems;
	size_t damaged = 0;
	enum rfs_err err;

	if ((err = unless_damaged(rq, held_count(rpc, rq, &held))) ||
		(err = unless_damaged(rq, damage_list(rpc->core->storage, rq, &damages, &damaged))))
		return err;
	driver->ops->info(driver, &info);
	problems = problems_json(rq, &info, damaged);
	*result = json_pack("{s:s, s:I, s:s, s:s?, s:s?, s:b, s:o, s:{s:I, s:I, s:I, s:b}, s:o, s:o, s:o, s:I}",
		"version", rpc->version, "uptime_seconds",
		(json_int_t)((clock_monotonic_ns() - rpc->started_ns) / NS_PER_SECOND), "region", rpc->core->region,
		"s3", rpc->endpoints[0], "admin", rpc->endpoints[1], "healthy", json_array_size(problems) == 0,
		"problems", problems, "held", "buckets", held.buckets, "objects", held.objects, "bytes", held.bytes,
		"at_least", held.more, "store", volumes_json(rpc, rq, &info), "scrub", scrub_json(rpc, damaged),
		"requests", requests_json(rpc), "memory_bytes", (json_int_t)process_memory_bytes());
	return RFS_OK;
}
