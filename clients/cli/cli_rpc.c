/*
 * cli_rpc.c: one JSON-RPC 2.0 call.
 */
#include "cli.h"
#include <stdlib.h>

/* The error's sentence, and its name. */
static void
error_take(struct cli *cli, json_t *error)
{
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *name = json_string_value(json_object_get(json_object_get(error, "data"), "name"));

	snprintf(cli->error_name, sizeof(cli->error_name), "%s", name ? name : "UNKNOWN");
	cli_fail(cli, "%s%s%s%s", message ? message : "the server refused without saying why", name ? " (" : "",
		name ? name : "", name ? ")" : "");
}

json_t *
cli_call(struct cli *cli, const char *method, json_t *params)
{
	json_t *call = json_pack("{s:s, s:i, s:s, s:O}", "jsonrpc", "2.0", "id", 1, "method", method, "params", params);
	char *text = json_dumps(call, JSON_COMPACT);
	json_t *answer = NULL, *result = NULL, *error;
	struct bytes body;
	json_error_t where;

	cli->error_name[0] = '\0';
	if (!cli_post(cli, bytes_str(text), &body))
		goto out;
	answer = json_loadb((const char *)body.data, body.len, 0, &where);
	error = json_object_get(answer, "error");
	result = json_incref(json_object_get(answer, "result"));
	if (error)
		error_take(cli, error);
	else if (!result)
		cli_fail(cli, "this is no restfs administration: its answer is not JSON-RPC");
out:
	json_decref(answer);
	json_decref(call);
	free(text);
	return result;
}
