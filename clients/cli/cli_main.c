/*
 * cli_main.c: `restfs`: administers a store. Exit codes: 0 done, 1 refused or not reached, 2 wrong arguments;
 * `fsck` and `salvage` have their own.
 */
#include "cli.h"
#include "cli_interrupt.h"
#include "cli_progress.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DATA_OF_PACKAGE "/var/lib/restfs"

#ifndef RESTFS_VERSION
#define RESTFS_VERSION "unknown"
#endif

bool
cli_fail(struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cli->error, sizeof(cli->error), format, args);
	va_end(args);
	return false;
}

bool
cli_is_name(struct cli *cli, const char *param, const char *names)
{
	const char *name = json_string_value(json_object_get(cli->params, param)), *at = names;
	size_t len = name ? strlen(name) : 0;

	if (!name)
		return true;
	for (; *at; at += strcspn(at, " "), at += *at == ' ')
		if (len > 0 && strcspn(at, " ") == len && strncmp(at, name, len) == 0)
			return true;
	return cli_fail(cli, "--%s: there is none of this name; there are %s", param, names);
}

int
cli_complain(const struct cli *cli, int code)
{
	fprintf(stderr, "%srestfs:%s ", cli_colour(stderr, COLOUR_RED), cli_colour(stderr, COLOUR_NONE));
	cli_put_text(stderr, cli->error); /* names and servers' texts are in it */
	fputc('\n', stderr);
	return code;
}

int
cli_complain_refused(const struct cli *cli)
{
	return cli_complain(cli, strcmp(cli->error_name, "INVALID_PARAMS") == 0 ? EXIT_USAGE : EXIT_REFUSED);
}

/* In the table's order: what is done here has a function. */
static int (*const functions[])(struct cli *) = {
#define GROUP(name, title) NULL,
#define COMMAND(words, method, arguments, show, help) NULL,
#define LOCAL_COMMAND(words, function, arguments, help) function,
#define ABOUT(text) NULL,
#define EXAMPLE(line, text) NULL,
#define OPTION(name, text) NULL,
#define GLOBAL(argument, text) NULL,
#include "commands.def"
};

/* The list of buckets may come in pages: the next one begins behind the last name. A feed is as long as it is: a page.
 */
static json_t *
call_all_pages(struct cli *cli)
{
	json_t *all = cli_call(cli, cli->command->method, cli->params), *page = all;

	while (page && json_is_true(json_object_get(page, "more")) && json_object_get(page, "buckets")) {
		json_t *list = json_object_get(all, "buckets"), *last = json_array_get(list, json_array_size(list) - 1);

		json_object_set(cli->params, "after", json_object_get(last, "name"));
		json_object_del(all, "more");
		page = cli_call(cli, cli->command->method, cli->params);
		if (!page) {
			json_decref(all);
			return NULL;
		}
		json_array_extend(list, json_object_get(page, "buckets"));
		json_object_set(all, "more", json_object_get(page, "more"));
		json_decref(page);
		page = all;
	}
	return all;
}

/* It was done, and is perhaps not what was meant. */
static void
warning_show(const json_t *result)
{
	const char *warning = json_string_value(json_object_get(result, "warning"));

	if (!warning)
		return;
	fputs("restfs: ", stderr);
	cli_put_text(stderr, warning);
	fputc('\n', stderr);
}

static int
run(struct cli *cli, int argc, char **argv)
{
	json_t *result;
	int code;

	if (!cli_parse(cli, argc, argv))
		return cli_complain(cli, EXIT_USAGE);
	if (cli->help || cli->version) {
		if (cli->version)
			printf("restfs %s\n", RESTFS_VERSION);
		else
			cli_help(cli);
		return EXIT_DONE;
	}
	if (!cli->command->method)
		return functions[cli->command - cli_table](cli);
	result = call_all_pages(cli);
	if (!result)
		return cli_complain_refused(cli);
	cli_show(cli, result);
	warning_show(result);
	/* Who asks whether all is well has to be told by the code, too. */
	code = strcmp(cli->command->method, "bucket.verify") == 0 &&
			       json_array_size(json_object_get(result, "damaged")) > 0
		       ? EXIT_REFUSED
		       : EXIT_DONE;
	json_decref(result);
	return code;
}

/* Where a store is that somebody runs by hand, or the one of the package. */
static const char *
data_default(void)
{
	const char *given = getenv("RESTFS_DATA");

	if (given && given[0])
		return given;
	return access("./data", F_OK) != 0 && access(DATA_OF_PACKAGE, F_OK) == 0 ? DATA_OF_PACKAGE : "./data";
}

/* What is closed is not free for a file or a connection of ours, which then would get what is printed: it can be
 * neither written to nor read from. */
static void
standard_files_hold(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int
main(int argc, char **argv)
{
	struct cli cli = {.arena = arena_new(65536)};
	int code;

	standard_files_hold();
	signal(SIGPIPE, SIG_IGN);
	cli.data = data_default();
	code = run(&cli, argc, argv);
	if (cli_json_has_holes() && code == EXIT_DONE)
		code = EXIT_REFUSED;
	if (!cli_flush(&cli) && code == EXIT_DONE)
		code = cli_complain(&cli, EXIT_REFUSED);
	if (code != EXIT_DONE)
		interrupt_end();
	json_decref(cli.params);
	if (cli.scratch)
		arena_free(cli.scratch);
	arena_free(cli.arena);
	return code;
}
