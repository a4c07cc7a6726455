/* cli_log.c: `restfs log`: the daemon's newest lines, those that follow, and how much it says. */
#include "cli.h"
#include <cli_names.def> /* made by meson.build */
#include <stdio.h>

#define WAIT_MS 25000

static bool
level_set(struct cli *cli, const char *level, const json_t *module)
{
	json_t *params = json_pack("{s:s, s:O*}", "level", level, "module", module), *result;

	result = cli_call(cli, "log.level", params);
	json_decref(params);
	json_decref(result);
	return result != NULL;
}

static void
lines_show(struct cli *cli, const json_t *result)
{
	const json_t *lines = json_object_get(result, "lines"), *line;
	size_t i;

	json_array_foreach(lines, i, line) {
		if (cli->json) {
			cli_put_json(json_pack("{s:O}", "line", line));
		} else {
			cli_put_text(stdout, json_string_value(line));
			putchar('\n');
		}
	}
}

static bool
follow(struct cli *cli, json_int_t after)
{
	bool done = true;

	while (done) {
		json_t *params = json_pack("{s:I, s:i}", "after", after, "wait_ms", WAIT_MS);
		json_t *result = cli_call_patiently(cli, "log.read", params);

		json_decref(params);
		if (!result)
			return false;
		cli_tell_lost(json_object_get(result, "lost"), "lines");
		lines_show(cli, result);
		after = json_integer_value(json_object_get(result, "next"));
		json_decref(result);
		done = cli_flush(cli);
	}
	return false;
}

static bool
read_newest(struct cli *cli)
{
	const json_t *lines = json_object_get(cli->params, "lines");
	json_t *params = json_pack("{s:O*}", "lines", lines), *result = cli_call_patiently(cli, "log.read", params);
	json_int_t next = json_integer_value(json_object_get(result, "next"));
	bool done = result != NULL;

	if (done)
		lines_show(cli, result);
	json_decref(params);
	json_decref(result);
	if (!done || !cli_flush(cli))
		return false;
	return !json_is_true(json_object_get(cli->params, "follow")) || follow(cli, next);
}

int
cli_log(struct cli *cli)
{
	const char *level = json_string_value(json_object_get(cli->params, "level"));
	const json_t *module = json_object_get(cli->params, "module");
	bool reads = !level || json_object_get(cli->params, "lines") || json_object_get(cli->params, "follow");

	if (module && !level) {
		cli_fail(cli, "--module says where --level is for: give both");
		return cli_complain(cli, EXIT_USAGE);
	}
	if (!cli_is_name(cli, "module", CLI_MODULES))
		return cli_complain(cli, EXIT_USAGE);
	if ((level && !level_set(cli, level, module)) || (reads && !read_newest(cli)))
		return cli_complain_refused(cli);
	return EXIT_DONE;
}
