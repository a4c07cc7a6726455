/* rpc_requests.c: request.*: what is asked of the store now, what was a moment ago, and how long it took. [worker] */
#include "base/metrics.h"
#include "base/waits.h"
#include "doors/admin/rpc_int.h"
#include "net/http_seen.h"
#include <math.h>

#define LIVE_MOST 1000
#define TRACE_BYTES ((size_t)256 * 1024) /* of records, at once */

/* Where those are collected that the caller wants; loops add one after the other. */
struct collecting {
	struct request *rq;
	json_t *list;
	struct bytes bucket, user, operation; /* empty: any */
	bool errors;
	int64_t slower_ns;
};

static json_t *
text_or_null(struct request *rq, struct bytes text)
{
	return text.len ? rpc_json_text(rq->arena, text) : json_null();
}

static json_t *
seen_json(struct request *rq, const struct http_seen *seen)
{
	char id[17];

	snprintf(id, sizeof(id), "%016llX", (unsigned long long)seen->id);
	return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:I, s:I}", "id", id, "door", seen->door, "operation",
		seen->operation, "method", rpc_json_text(rq->arena, seen->method), "path", rpc_json_text(rq->arena, seen->path), "bucket",
		text_or_null(rq, seen->bucket), "key", text_or_null(rq, seen->key), "user", text_or_null(rq, seen->user), "peer",
		text_or_null(rq, seen->peer), "began", rpc_json_time(seen->began_ns), "seconds", (double)seen->duration_ns / 1e9, "received",
		(json_int_t)seen->received, "sent", (json_int_t)seen->sent);
}

static enum rfs_err
server_known(struct rpc *rpc, struct request *rq)
{
	return rpc->server ? RFS_OK : request_fail(rq, RFS_ERR_NOT_IMPLEMENTED, "no server is known here");
}

/* --- under way ---------------------------------------------------------------------------------------------------- */

/* [loop]: the caller waits for it, and touches none of this meanwhile. */
static void
live_add(void *data, const struct http_seen *seen)
{
	struct collecting *c = data;
	json_t *json;

	if (seen->id == c->rq->id)
		return;
	json = seen_json(c->rq, seen);
	json_object_set_new(json, "does", json_string(seen->does));
	json_object_set_new(json, "length", seen->length < 0 ? json_null() : json_integer(seen->length));
	json_array_append_new(c->list, json);
}

enum rfs_err
rpc_request_list(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	struct collecting c = {.rq = rq};
	enum rfs_err err = server_known(rpc, rq);

	if (err)
		return err;
	c.list = json_array();
	http_server_live(rpc->server, LIVE_MOST, live_add, &c);
	*result = json_pack("{s:o}", "requests", c.list);
	return RFS_OK;
}

/* --- ended -------------------------------------------------------------------------------------------------------- */

static bool
is_wanted(const struct collecting *c, const struct http_seen *seen)
{
	if (c->bucket.len && !bytes_equal(c->bucket, seen->bucket))
		return false;
	if (c->user.len && !bytes_equal(c->user, seen->user))
		return false;
	if (c->operation.len && !(seen->operation && bytes_equal_str(c->operation, seen->operation)))
		return false;
	if (c->errors && seen->status && seen->status < 400)
		return false;
	return seen->duration_ns >= c->slower_ns;
}

static void
trace_add(void *data, const struct http_seen *seen)
{
	struct collecting *c = data;
	json_t *json;

	if (!is_wanted(c, seen))
		return;
	json = seen_json(c->rq, seen);
	json_object_set_new(json, "status", seen->status ? json_integer(seen->status) : json_null());
	json_array_append_new(c->list, json);
}

enum rfs_err
rpc_request_trace(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	const json_t *after = json_object_get(params, "after"), *slower = json_object_get(params, "slower_ms");
	struct collecting c = {.rq = rq,
		.bucket = rpc_param_bytes(params, "bucket"),
		.user = rpc_param_bytes(params, "user"),
		.operation = rpc_param_bytes(params, "operation"),
		.errors = json_is_true(json_object_get(params, "errors"))};
	json_int_t slower_ms = json_is_integer(slower) ? json_integer_value(slower) : 0;
	uint64_t number = json_is_integer(after) ? (uint64_t)json_integer_value(after) : 0;
	struct ring_page page;
	enum rfs_err err;
	bool waits;

	if (__builtin_mul_overflow(slower_ms, 1000000, &c.slower_ns))
		return request_fail(rq, RFS_ERR_INVALID_PARAMS, "slower_ms is too large");
	if ((err = server_known(rpc, rq)) || (err = rpc_wait_given(rq, params, &waits)))
		return err;
	c.list = json_array();
	http_trace_read(rpc->server, json_is_integer(after) ? &number : NULL, TRACE_BYTES, waits ? rq->wait : NULL, trace_add, &c, &page);
	if (waits && (page.count || page.lost || page.strange || !json_is_integer(after)))
		waits_disarm(rq->wait);
	*result = json_pack("{s:o, s:I, s:o}", "requests", c.list, "next", (json_int_t)page.next, "lost",
		page.strange ? json_null() : json_integer((json_int_t)page.lost));
	return RFS_OK;
}

/* --- times -------------------------------------------------------------------------------------------------------- */

/* operation="GetObject" */
static json_t *
operation_name(enum metric m)
{
	const char *labels = metric_labels(m), *at = strchr(labels, '"') + 1;

	return json_stringn(at, strcspn(at, "\""));
}

static json_t *
operation_json(enum metric m)
{
	int64_t counts[METRIC_BUCKETS], sum_ns, count = 0;
	json_t *list = json_array();

	metric_buckets(m, counts, &sum_ns);
	for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
		json_array_append_new(list, json_integer((json_int_t)counts[i]));
		count += counts[i];
	}
	return json_pack("{s:o, s:I, s:f, s:o}", "operation", operation_name(m), "count", (json_int_t)count, "seconds", (double)sum_ns / 1e9,
		"buckets", list);
}

enum rfs_err
rpc_request_times(struct rpc *rpc, struct request *rq, json_t *params, json_t **result)
{
	json_t *operations = json_array(), *bounds = json_array();

	for (int m = METRIC_S3_GET_OBJECT; m <= METRIC_S3_OTHER; m++)
		json_array_append_new(operations, operation_json((enum metric)m));
	for (unsigned i = 0; i < METRIC_BUCKETS; i++)
		json_array_append_new(bounds, isinf(metric_bound(i)) ? json_null() : json_real(metric_bound(i)));
	*result = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I}", "operations", operations, "bounds", bounds, "received",
		(json_int_t)metric_get(METRIC_HTTP_RECEIVED), "sent", (json_int_t)metric_get(METRIC_HTTP_SENT), "errors_4xx",
		(json_int_t)metric_get(METRIC_S3_ERRORS_4XX), "errors_5xx", (json_int_t)metric_get(METRIC_S3_ERRORS_5XX));
	return RFS_OK;
}
