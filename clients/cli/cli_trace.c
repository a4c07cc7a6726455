/* cli_trace.c: `restfs trace`: requests as they end. */
#include "cli.h"
#include <cli_names.def> /* made by meson.build */
#include "cli_progress.h"
#include "base/clock.h"
#include <stdio.h>

#define WAIT_MS 25000
#define GATHER_NS 50000000 /* between two looks: requests come together, not one by one */

/* "restfs/key", as far as it is known; else the path. */
static void
place_show(FILE *out, const json_t *request)
{
	const char *bucket = json_string_value(json_object_get(request, "bucket")), *key = json_string_value(json_object_get(request, "key"));
	const char *path = json_string_value(json_object_get(request, "path"));

	cli_put_text(out, bucket ? bucket : path && path[0] ? path : "-");
	if (bucket && key) {
		putc('/', out);
		cli_put_text(out, key);
	}
}

static const char *
text_or(const json_t *request, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(request, name));

	return text && text[0] ? text : otherwise;
}

void
cli_show_request(FILE *out, const json_t *request)
{
	double received = json_number_value(json_object_get(request, "received")), sent = json_number_value(json_object_get(request, "sent"));
	char bytes[CLI_NUMBER_BYTES], time[CLI_NUMBER_BYTES];

	progress_bytes(received > sent ? received : sent, bytes, sizeof(bytes));
	cli_time_text(json_number_value(json_object_get(request, "seconds")), time);
	fprintf(out, "%-12s  %-14s  %9s  %8s  ", text_or(request, "door", "-"),
		text_or(request, "operation", text_or(request, "method", "-")), bytes, time);
	fprintf(out, "%-10s  %-15s  %s  ", text_or(request, "user", "-"), text_or(request, "peer", "local"),
		text_or(request, "id", "-"));
	place_show(out, request);
	putc('\n', out);
}

static void
ended_show(struct cli *cli, const json_t *request)
{
	const json_t *status = json_object_get(request, "status");
	bool failed = !json_is_integer(status) || json_integer_value(status) >= 400;

	if (cli->json) {
		cli_put_json(json_incref((json_t *)request));
		return;
	}
	printf("%s  %s", text_or(request, "began", "-"), failed ? cli_colour(stdout, COLOUR_RED) : "");
	if (json_is_integer(status))
		printf("%lld", (long long)json_integer_value(status));
	else
		printf("---"); /* the connection went away before */
	printf("%s  ", failed ? cli_colour(stdout, COLOUR_NONE) : "");
	cli_show_request(stdout, request);
}

/* Says that something is missing, where anything is. */
void
cli_tell_lost(const json_t *lost, const char *what)
{
	long long count = json_integer_value(lost);

	if (json_is_null(lost))
		fprintf(stderr, "restfs: the server was started anew, or stopped keeping them: some %s may be missing here\n", what);
	else if (count > 0)
		fprintf(stderr, "restfs: %lld %s are missing here: they came faster than they were read\n", count, what);
}

static bool
trace(struct cli *cli, json_t *params)
{
	json_t *result, *request;
	size_t i;

	while ((result = cli_call_patiently(cli, "request.trace", params))) {
		cli_tell_lost(json_object_get(result, "lost"), "requests");
		json_array_foreach(json_object_get(result, "requests"), i, request)
			ended_show(cli, request);
		json_object_set(params, "after", json_object_get(result, "next"));
		json_decref(result);
		if (!cli_flush(cli))
			return false;
		sleep_ns(GATHER_NS);
	}
	return false;
}

int
cli_trace(struct cli *cli)
{
	json_t *params;

	if (!cli_is_name(cli, "operation", CLI_OPERATIONS))
		return cli_complain(cli, EXIT_USAGE);
	params = json_copy(cli->params);

	json_object_set_new(params, "wait_ms", json_integer(WAIT_MS));
	(void)trace(cli, params);
	json_decref(params);
	return cli_complain_refused(cli);
}
