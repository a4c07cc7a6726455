/*
 * rpc.c: JSON-RPC 2.0: requests, batches, notifications, errors. [worker]
 */
#include "doors/admin/rpc_int.h"
#include "base/log.h"
#include "base/waits.h"
#include <stdlib.h>

const struct rpc_method rpc_methods[] = {
#define METHOD(name, handler, params, result, help) {name, handler, params, result, help},
#include "doors/admin/methods.def"
#undef METHOD
};
const size_t rpc_method_count = sizeof(rpc_methods) / sizeof(rpc_methods[0]);

static const struct rpc_method *
method_find(const char *name)
{
	size_t i;

	for (i = 0; i < rpc_method_count; i++)
		if (strcmp(rpc_methods[i].name, name) == 0)
			return &rpc_methods[i];
	return NULL;
}

/* Takes the reference to `result`. */
static json_t *
answer_result(json_t *id, json_t *result)
{
	return json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "result", result ? result : json_object(), "id", id);
}

static json_t *
answer_error(struct request *rq, json_t *id, enum rfs_err err)
{
	const struct error_face *face = error_face(err);
	const char *text = rq->detail ? rq->detail : face->text;
	json_t *message = rpc_json_text(rq->arena, bytes_str(text));

	return json_pack("{s:s, s:{s:i, s:o, s:{s:s}}, s:O}", "jsonrpc", "2.0", "error", "code", face->rpc, "message",
		message, "data", "name", face->name, "id", id);
}

static enum rfs_err
method_run(struct rpc *rpc, struct request *rq, const char *name, json_t *given, json_t **result)
{
	const struct rpc_method *method = method_find(name);
	json_t *params = NULL;
	enum rfs_err err;

	if (!rq->who || !rq->who->admin || identity_is_scoped(rq->who) || identity_is_removed(rq->who))
		return request_fail(rq, RFS_ERR_ACCESS_DENIED,
			"administration needs the key of an administrator, one that is not limited");
	if (!method)
		return request_fail(rq, RFS_ERR_NO_SUCH_METHOD, "there is no method \"%s\"; see server.methods", name);
	if ((err = rpc_params_check(rq, method->params, given, &params)))
		return err;
	rq->operation = method->name;
	err = method->handler(rpc, rq, params, result);
	if (err && rq->wait)
		waits_disarm(rq->wait);
	if (err)
		log_info(rq->id, "%s called by %s: %s", method->name, rq->who->name,
			rq->detail ? rq->detail : error_face(err)->name);
	json_decref(params);
	return err;
}

/* A request object: version, a method's name, perhaps params (object or array) and id (text, number or null); nothing
 * else matters. */
static bool
call_is_valid(json_t *call)
{
	const char *version = json_string_value(json_object_get(call, "jsonrpc"));
	json_t *params = json_object_get(call, "params"), *id = json_object_get(call, "id");

	if (!json_is_object(call) || !version || strcmp(version, "2.0") != 0 ||
		!json_is_string(json_object_get(call, "method")))
		return false;
	if (params && !json_is_object(params) && !json_is_array(params))
		return false;
	return !id || json_is_string(id) || json_is_number(id) || json_is_null(id);
}

/* One answer, or NULL for a notification: a new reference. */
static json_t *
call_answer(struct rpc *rpc, struct request *rq, json_t *call)
{
	json_t *id = json_object_get(call, "id"), *result = NULL, *answer;
	enum rfs_err err;

	request_clear_error(rq);
	if (!call_is_valid(call)) {
		request_fail(rq, RFS_ERR_INVALID_REQUEST, "this is not a JSON-RPC 2.0 request");
		return answer_error(rq, json_null(), RFS_ERR_INVALID_REQUEST);
	}
	err = method_run(
		rpc, rq, json_string_value(json_object_get(call, "method")), json_object_get(call, "params"), &result);
	if (!id) {
		json_decref(result);
		return NULL;
	}
	answer = err ? answer_error(rq, id, err) : answer_result(id, result);
	if (err)
		json_decref(result);
	return answer;
}

/* NULL: nothing to answer. */
static json_t *
batch_answer(struct rpc *rpc, struct request *rq, json_t *calls)
{
	size_t i, count = json_array_size(calls);
	json_t *answers, *answer;

	if (count == 0 || count > RPC_BATCH_MAX) {
		request_fail(rq, RFS_ERR_INVALID_REQUEST, "a batch has 1 to %d requests", RPC_BATCH_MAX);
		return answer_error(rq, json_null(), RFS_ERR_INVALID_REQUEST);
	}
	answers = json_array();
	rq->wait = NULL; /* those behind it would wait, too */
	for (i = 0; i < count; i++)
		if ((answer = call_answer(rpc, rq, json_array_get(calls, i))))
			json_array_append_new(answers, answer);
	if (json_array_size(answers) > 0)
		return answers;
	json_decref(answers);
	return NULL;
}

static int
dump(const char *data, size_t len, void *out)
{
	buf_put(out, data, len);
	return 0;
}

static void
answer_write(json_t *answer, struct buf *out)
{
	json_dump_callback(answer, dump, out, JSON_COMPACT);
	buf_put_str(out, "\n");
	json_decref(answer);
}

bool
rpc_answer(struct rpc *rpc, struct request *rq, struct bytes text, struct buf *out)
{
	json_error_t error;
	json_t *call, *answer;

	call = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!call) {
		request_clear_error(rq);
		request_fail(rq, RFS_ERR_PARSE_ERROR, "the request is not valid JSON: %s", error.text);
		answer = answer_error(rq, json_null(), RFS_ERR_PARSE_ERROR);
	} else
		answer = json_is_array(call) ? batch_answer(rpc, rq, call) : call_answer(rpc, rq, call);
	json_decref(call);
	if (!answer)
		return false;
	answer_write(answer, out);
	return true;
}

void
rpc_answer_error(struct request *rq, enum rfs_err error, struct buf *out)
{
	answer_write(answer_error(rq, json_null(), error), out);
}
