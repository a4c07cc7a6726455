/* rpc_log.c: log.*: what the daemon has to say, and how much of it. [worker] */
#include "base/log.h"
#include "base/ring.h"
#include "base/waits.h"
#include "doors/admin/rpc_int.h"

#define LINES_MOST 10000
#define LINES_USUAL 100
#define PAGE_BYTES ((size_t)256 * 1024) /* at once */

static json_t *
lines_json(struct request *rq, struct bytes records)
{
	json_t *list = json_array();
	struct bytes line;

	while (ring_next(&records, &line))
		json_array_append_new(list, rpc_json_text(rq->arena, line));
	return list;
}

enum rfs_err
rpc_log_read(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	const json_t *after = json_object_get(params, "after"), *lines = json_object_get(params, "lines");
	json_int_t most = json_is_integer(lines) ? json_integer_value(lines) : LINES_USUAL;
	struct ring *ring = log_ring();
	struct ring_page page;
	enum rfs_err err;
	struct buf out;
	bool waits;

	if (!ring)
		return request_fail(rq, RFS_ERR_NOT_IMPLEMENTED, "no log is kept here");
	if (most < 0 || most > LINES_MOST)
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "lines is 0 to %d", LINES_MOST);
	if ((err = rpc_wait_given(rq, params, &waits)))
		return err;
	waits = waits && rpc->waits && json_is_integer(after);
	if (waits)
		waits_arm(rpc->waits, rq->wait, WAITS_LOG);
	buf_init(&out, NULL);
	ring_read(ring, json_is_integer(after) ? (uint64_t)json_integer_value(after) : ring_before(ring, (uint64_t)most), json_is_integer(after) ? PAGE_BYTES : SIZE_MAX, &out, &page);
	if (waits && (page.count || page.lost || page.strange))
		waits_disarm(rq->wait);
	*result = json_pack("{s:o, s:I, s:o}", "lines", lines_json(rq, buf_bytes(&out)), "next", (json_int_t)page.next, "lost",
		page.strange ? json_null() : json_integer((json_int_t)page.lost));
	buf_fini(&out);
	return RFS_OK;
}

enum rfs_err
rpc_log_level(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	const char *level_text = json_string_value(json_object_get(params, "level"));
	const char *module = json_string_value(json_object_get(params, "module"));
	enum log_level level;

	if (!log_level_parse(level_text, &level))
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "level is error, warn, info or debug");
	if (!module)
		log_set_level(level);
	else if (!log_set_module_level(module, level))
		return request_fail(rq, RFS_ERR_LIMIT,
			"the module's name is too long, or 64 modules have a level of their own already");
	*result = json_pack("{s:s, s:s?}", "level", level_text, "module", module);
	return RFS_OK;
}
