/* test_cli_parse.c: words of a command line against a table of the test's own. */
#include "cli.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

const struct cli_command cli_table[] = {
	{CLI_GROUP, "data", NULL, "", "", "Data"},
	{CLI_COMMAND, "copy", NULL,
		"SOURCE...:sources TARGET [-r|--recursive] [-p|--parallel=COUNT] [--include:+filters=GLOB...] "
		"[--exclude:+filters=GLOB...] [-h|--human] [--to=one|two] [--cache=on|off] [--name=TEXT...]",
		"", "Copy"},
	{CLI_OPTION, "--recursive", NULL, "", "", "Folders, too"},
	{CLI_COMMAND, "user add", "user.create", "NAME [OTHER]", "", "Add"},
	{CLI_COMMAND, "user ls", "user.list", "", "", "List"},
	{CLI_GROUP, "all", NULL, "", "", "All"},
	{CLI_GLOBAL, "", NULL, "[--data=DIR]", "", "Directory"},
	{CLI_GLOBAL, "", NULL, "[--json]", "", "JSON"},
	{CLI_GLOBAL, "", NULL, "[-h|--help]", "", "Help"},
	{CLI_OPTION, "--recursive", NULL, "", "", "Else"},
	{CLI_OPTION, "--parallel", NULL, "", "", "At once"},
};
const size_t cli_table_count = sizeof(cli_table) / sizeof(cli_table[0]);

bool
cli_fail(struct cli *cli, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cli->error, sizeof(cli->error), format, args);
	va_end(args);
	return false;
}

static struct cli cli;

static int
setup(void **state)
{
	cli = (struct cli){.arena = arena_new(1024), .data = "d"};
	return 0;
}

static int
teardown(void **state)
{
	json_decref(cli.params);
	arena_free(cli.arena);
	return 0;
}

/* Of words with a space between. */
static bool
parse(const char *line)
{
	char *words[32] = {"restfs"}, *text = arena_str(cli.arena, bytes_str(line)), *save = NULL;
	int count = 1;

	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		words[count++] = word;
	json_decref(cli.params);
	cli = (struct cli){.arena = cli.arena, .data = "d"};
	return cli_parse(&cli, count, words);
}

static void
assert_params(const char *expected)
{
	json_t *wanted = json_loads(expected, 0, NULL);

	assert_non_null(wanted);
	if (!json_equal(cli.params, wanted))
		fail_msg("%s is not %s", json_dumps(cli.params, 0), expected);
	json_decref(wanted);
}

static void
assert_wrong(const char *line, const char *says)
{
	assert_false(parse(line));
	if (!strstr(cli.error, says))
		fail_msg("%s: %s", line, cli.error);
}

static void
several_positional_arguments_leave_the_last_its_place(void **state)
{
	assert_true(parse("copy a b c t"));
	assert_params("{\"sources\": [\"a\", \"b\", \"c\"], \"target\": \"t\"}");
	assert_true(parse("copy a t"));
	assert_params("{\"sources\": [\"a\"], \"target\": \"t\"}");
	assert_wrong("copy a", "TARGET is missing");
	assert_wrong("copy", "SOURCE is missing");
	assert_wrong("user add a b c", "too many: c");
	assert_true(parse("copy -- -r --x"));
	assert_params("{\"sources\": [\"-r\"], \"target\": \"--x\"}");
}

static void
letters_stand_together_or_before_a_value(void **state)
{
	assert_true(parse("copy -rp5 a t"));
	assert_params("{\"sources\": [\"a\"], \"target\": \"t\", \"recursive\": true, \"parallel\": 5}");
	assert_true(parse("copy a t -p 2K -r"));
	assert_params("{\"sources\": [\"a\"], \"target\": \"t\", \"recursive\": true, \"parallel\": 2048}");
	assert_wrong("copy -rx a t", "no option -rx");
	assert_wrong("copy a t -p", "--parallel needs a value");
}

static void
filters_keep_their_order(void **state)
{
	assert_true(parse("copy --exclude=* --include *.c --exclude=b* a t --name=1 --name=2"));
	assert_params("{\"sources\": [\"a\"], \"target\": \"t\", \"filters\": [\"--exclude=*\", \"--include=*.c\", "
		      "\"--exclude=b*\"], \"name\": [\"1\", \"2\"]}");
}

static void
a_commands_own_option_goes_before_that_of_all(void **state)
{
	assert_true(parse("copy -h a t"));
	assert_false(cli.help);
	assert_params("{\"sources\": [\"a\"], \"target\": \"t\", \"human\": true}");
	assert_true(parse("user ls -h"));
	assert_true(cli.help);
	assert_true(parse("--json user --data=/x ls"));
	assert_true(cli.json);
	assert_string_equal(cli.data, "/x");
	assert_wrong("user ls --data=", "--data needs a value");
	assert_wrong("user ls --json=1", "--json takes no value");
}

static void
values_are_what_the_table_says(void **state)
{
	assert_true(parse("copy a t --to=two --cache=off"));
	assert_params("{\"sources\": [\"a\"], \"target\": \"t\", \"to\": \"two\", \"cache\": false}");
	assert_wrong("copy a t --to=three", "--to is one of one|two");
	assert_wrong("copy a t --to=on", "--to is one of one|two");
	assert_wrong("copy a t --cache=maybe", "--cache is on or off");
	assert_wrong("copy a t --parallel=many", "--parallel is a number");
	assert_wrong("copy a t --name=\xff", "--name is not UTF-8 text");
}

static void
slips_are_seen(void **state)
{
	assert_wrong("cpoy a", "did you mean \"copy\"?");
	assert_wrong("user lst", "did you mean \"user ls\"?");
	assert_wrong("usr ls", "did you mean \"user ls\"?");
	assert_wrong("user", "to do what?");
	assert_wrong("frobnicate", "there is no command \"frobnicate\"; see");
	assert_wrong("copy a t --recursiv", "did you mean --recursive?");
	assert_wrong("copy a t --whatever", "has no option --whatever; see");
	assert_wrong("", "what shall be done?");
	assert_true(parse("frobnicat --help") == false);
}

static void
what_is_said_of_an_option_is_the_commands_own_first(void **state)
{
	assert_string_equal(cli_option_text(cli_find("copy"), "--recursive"), "Folders, too");
	assert_string_equal(cli_option_text(cli_find("user add"), "--recursive"), "Else");
	assert_string_equal(cli_option_text(cli_find("copy"), "--parallel"), "At once");
	assert_string_equal(cli_option_text(cli_find("copy"), "--to"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(several_positional_arguments_leave_the_last_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(letters_stand_together_or_before_a_value, setup, teardown),
		cmocka_unit_test_setup_teardown(filters_keep_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_commands_own_option_goes_before_that_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(values_are_what_the_table_says, setup, teardown),
		cmocka_unit_test_setup_teardown(slips_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_said_of_an_option_is_the_commands_own_first, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
