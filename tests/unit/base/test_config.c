/* Options from files and the command line, and what their errors say. */
#include "unit.h"
#include "base/config.h"
#include "base/log.h"
#include <stdio.h>
#include <unistd.h>

static char path[80];
static char error[512];

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
setup(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/test_config.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int
teardown(void **state)
{
	return unlink(path);
}

static void
a_file_overrides_defaults(void **state)
{
	struct config c;

	config_init(&c);
	assert_string_equal(c.s3_region, "us-east-1");
	assert_int_equal(c.http_idle_time, 60000);
	write_file("# a comment\ndata = \"/srv\";\ns3 = { region = \"eu\"; };\nhttp = { idle_time = \"30s\"; "
		   "header_bytes = \"64K\";\n"
		   " header_time = 500; body_memory = 1099511627776L; };\njournal = { volume_bytes = \"1GiB\"; };\n"
		   "index = { cache_bytes = \"2MB\"; };\n");
	assert_true(config_read_file(&c, path, error));
	assert_string_equal(c.data, "/srv");
	assert_string_equal(c.s3_region, "eu");
	assert_int_equal(c.http_idle_time, 30000);
	assert_int_equal(c.http_header_bytes, 65536);
	assert_int_equal(c.http_header_time, 500);
	assert_true(c.http_body_memory == INT64_C(1099511627776));
	assert_int_equal(c.journal_volume_bytes, 1 << 30);
	assert_int_equal(c.index_cache_bytes, 2 << 20);
	config_fini(&c);
}

static void
expect_error(const char *text, int line, const char *says)
{
	struct config c;
	char place[100];

	config_init(&c);
	write_file(text);
	error[0] = '\0';
	assert_false(config_read_file(&c, path, error));
	snprintf(place, sizeof(place), "%s:%d: ", path, line);
	assert_memory_equal(error, place, strlen(place));
	assert_non_null(strstr(error, says));
	config_fini(&c);
}

static void
errors_name_file_line_and_option(void **state)
{
	expect_error("\n\ns3 = { colour = 1; };\n", 3, "s3.colour");
	expect_error("s4 = { };\n", 1, "s4");
	expect_error("http = { idle_time = \"60\"; };\n", 1, "60ms is not between 100ms and 1d");
	expect_error("http = { idle_time = \"60sB\"; };\n", 1, "is not a number");
	expect_error("index = { cache_bytes = \"1MiBs\"; };\n", 1, "is not a number");
	expect_error("data = { };\n", 1, "data");
	expect_error("\ndata = 5;\n", 2, "must be text");
	expect_error("http = 5;\n", 1, "http");
	expect_error("http = {\n idle_time = \"30 parsecs\"; };\n", 2, "30 parsecs");
	expect_error("http = {\n idle_time = true; };\n", 2, "must be a number");
	expect_error("threads = { workers = 0; };\n", 1, "between 1 and 1024");
	expect_error("threads = { workers = \"9999999999T\"; };\n", 1, "threads.workers");
	expect_error("s3 = {\n", 2, "syntax");
	expect_error("\nlog = { level = \"loud\"; };\n", 2, "log.level: \"loud\" is not error, warn, info or debug");
	expect_error("log = {\n format = \"jso\"; };\n", 2, "log.format: \"jso\" is not text or json");
	expect_error("data = \"\";\n", 1, "data: \"\" is not a path");
}

/* Of one option: the values that are refused on the command line and, with its place, in a file, and those that are
 * not. */
static void
expect_legal(const char *group, const char *name, const char *const *bad, const char *const *good)
{
	struct config c;
	char option[64], text[600];

	snprintf(option, sizeof(option), "%s.%s", group, name);
	config_init(&c);
	for (; *bad; bad++) {
		if (config_set(&c, option, *bad, error))
			fail_msg("%s: %s", option, *bad);
		snprintf(text, sizeof(text), "\n%s = {\n%s = \"%s\"; };\n", group, name, *bad);
		expect_error(text, 3, option);
	}
	for (; *good; good++) {
		if (!config_set(&c, option, *good, error))
			fail_msg("%s", error);
	}
	config_fini(&c);
}

static void
text_is_legal_by_its_kind(void **state)
{
	static const char longest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char label_too_long[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x";

	expect_legal("s3", "listen",
		(const char *[]){"", "nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "h:65536", "h:-1",
			"h:+1", "h: 1", "h:1x", "h:000001", "a b:1", "a/b:1", "http://h:1", "[::1:1", "[]:1", "[h]:1",
			"[::1]]:1", "a:b:1", "**:1", NULL},
		(const char *[]){":0", "*:1", "127.0.0.1:65535", "[::1]:9000", "[fe80::1%eth0]:9000", "::1:9000",
			":::9000", "store.example.org:80", "a_b:1", NULL});
	expect_legal("s3", "region",
		(const char *[]){"", "a/b c", "a/b", "a b", "a,b", "\xc3\xa9", label_too_long, NULL},
		(const char *[]){"us-east-1", "a", "Home_1.x", longest, NULL});
	expect_legal("s3", "domain",
		(const char *[]){"/?", "a b", ".", ".a", "a.", "a..b", "-a", "a-.b", "a:9000", "127.0.0.1", "*.a",
			label_too_long, NULL},
		(const char *[]){"", "s3.example.org", "localhost", "a-b.c_d", "1.example", longest, NULL});
}

static void
each_level_of_the_log_is_a_word(void **state)
{
	static const char *const words[] = {"error", "warn", "info", "debug"};
	enum log_level level;
	struct config c;

	config_init(&c);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_true(config_set(&c, "log.level", words[i], error) && log_level_parse(c.log_level, &level));
	assert_false(config_set(&c, "log.level", "error warn", error));
	assert_false(config_set(&c, "log.level", "", error));
	assert_false(config_set(&c, "log.level", "inf", error));
	config_fini(&c);
}

/* And what it had stays. */
static void
a_number_has_the_units_of_its_option(void **state)
{
	struct config c;

	config_init(&c);
	assert_false(config_set(&c, "feed.rows", "1d", error));
	assert_false(config_set(&c, "http.connections", "10K", error));
	assert_string_equal(error, "http.connections: \"10K\" is not a number");
	assert_false(config_set(&c, "http.idle_time", "1K", error));
	assert_string_equal(error, "http.idle_time: \"1K\" is not a number, nor one with ms, s, m, h or d");
	assert_false(config_set(&c, "http.header_bytes", "5m", error));
	assert_non_null(strstr(error, "nor one with K, M, G or T"));
	assert_int_equal(c.http_idle_time, 60000);
	config_fini(&c);
}

/* Read after the defaults; `place`: where the error says it is, NULL: nowhere. */
static void
expect_together(const char *text, const char *option, const char *value, const char *place, const char *says)
{
	struct config c;
	char whole[160];

	config_init(&c);
	write_file(text);
	assert_true(config_read_file(&c, path, error));
	assert_true(option == NULL || config_set(&c, option, value, error));
	error[0] = '\0';
	assert_int_equal(config_check(&c, error), says == NULL);
	snprintf(whole, sizeof(whole), "%s%s", place ? path : "", place ? place : "");
	if (says)
		assert_memory_equal(error, whole, strlen(whole));
	if (says && !strstr(error + strlen(whole), says))
		fail_msg("%s", error);
	config_fini(&c);
}

static void
options_that_do_not_go_together_name_the_place_of_one(void **state)
{
	const char *certificate = "\ntls = {\n certificate = \"a\"; };\n", *key = "tls = { key = \"a\"; };\n";
	const char *same = "s3 = { listen = \"h:1\"; };\nadmin = { listen = \"h:1\"; };\n";

	expect_together("", NULL, NULL, NULL, NULL);
	expect_together(certificate, NULL, NULL, ":3: tls.certificate: ", "must be set together");
	expect_together(key, NULL, NULL, ":1: tls.key: ", "must be set together");
	expect_together(key, "tls.certificate", "b", NULL, NULL);
	expect_together(certificate, "tls.certificate", "", NULL, NULL);
	expect_together(certificate, "tls.certificate", "b", NULL, "tls.certificate: tls.certificate and");
	expect_together(same, NULL, NULL, ":2: admin.listen: ", "the same address");
	expect_together(same, "admin.listen", "h:1", ":1: s3.listen: ", "the same address");
	expect_together(same, "admin.listen", "h:2", NULL, NULL);
	expect_together("s3 = { listen = \"h:00\"; };\nadmin = { listen = \"h:00\"; };\n", NULL, NULL, NULL, NULL);
}

/* Beside the file, with the same name and an end. */
static void
write_included(const char *text)
{
	char whole[80];

	strcpy(whole, path);
	strcat(path, ".inc");
	write_file(text);
	strcpy(path, whole);
}

static int
teardown_included(void **state)
{
	char other[100];

	snprintf(other, sizeof(other), "%s.inc", path);
	return unlink(other) || teardown(state);
}

/* `format` has a %s for the name of the file beside it. */
static const char *
including(const char *format)
{
	static char text[512];
	char name[100];

	snprintf(name, sizeof(name), "%s.inc", strrchr(path, '/') + 1);
	snprintf(text, sizeof(text), format, name);
	return text;
}

static void
expect_included_error(const char *included, const char *text, const char *place, const char *says)
{
	struct config c;
	char whole[160];

	write_included(included);
	config_init(&c);
	write_file(text);
	error[0] = '\0';
	assert_false(config_read_file(&c, path, error));
	snprintf(whole, sizeof(whole), "%s%s", strrchr(path, '/') + 1, place);
	assert_non_null(strstr(error, whole));
	assert_non_null(strstr(error, says));
	config_fini(&c);
}

static void
what_is_included_counts(void **state)
{
	struct config c;

	config_init(&c);
	write_included("region = \"eu\";\n");
	write_file(including("# @include \"\n/*\n@include \"none\n*/ data = \"\n@include \\\"\";//\n"
			     "s3 = {\n \t@include \"%s\" listen = \":1\";\n};\nlog = { level = \"debug\"; };\n"));
	error[0] = '\0';
	config_read_file(&c, path, error);
	assert_string_equal(error, "");
	assert_string_equal(c.s3_region, "eu");
	assert_string_equal(c.s3_listen, ":1");
	assert_string_equal(c.data, "\n@include \"");
	assert_string_equal(c.log_level, "debug");
	config_fini(&c);
}

static void
an_include_that_is_none_is_an_error(void **state)
{
	const char *good = "region = \"eu\";\n";

	expect_included_error(good, including("data = \"x\";\n@include \"%s\ndata = 5;\n"), ":2: ", "closing quote");
	expect_included_error(good, including("data = \"a\nb\";\n@include \"%s"), ":3: ", "closing quote");
	expect_included_error(good, "\n\n@include \"/tmp\"\n", ":3: ", "not a file");
	expect_included_error(good, "@include \"../tmp/\"\n", ":1: ", "not a file");
	expect_included_error(good, "\n@include \"no/such\"\n", ":2: ", "No such file");
	expect_included_error(
		"\n@include \"x\n", including("s3 = {\n@include \"%s\"\n};\n"), ".inc:2: ", "closing quote");
	expect_included_error("colour = 1;\n", including("s3 = {\n@include \"%s\"\n};\n"), ".inc:1: ", "s3.colour");
}

static void
a_file_that_includes_itself_is_an_error(void **state)
{
	const char *name = strrchr(path, '/') + 1;
	char text[256];

	snprintf(text, sizeof(text), "\n@include \"%s\"\n@include \"%s\"\n", name, name);
	expect_error(text, 2, "too deep");
}

static void
a_nul_does_not_end_a_file(void **state)
{
	struct config c;
	FILE *f = fopen(path, "w");

	fwrite("\ndata = \"x\";\0\nnonsense", 1, 23, f);
	fclose(f);
	config_init(&c);
	assert_false(config_read_file(&c, path, error));
	assert_non_null(strstr(error, ":2: a NUL byte"));
	config_fini(&c);
}

static void
a_missing_file_is_an_error(void **state)
{
	struct config c;

	config_init(&c);
	assert_false(config_read_file(&c, "/nonexistent/restfs.conf", error));
	assert_non_null(strstr(error, "/nonexistent/restfs.conf"));
	assert_false(config_read_file(&c, "/tmp", error));
	assert_non_null(strstr(error, "/tmp: cannot be read: Is a directory"));
	config_fini(&c);
}

static void
the_command_line_sets_options(void **state)
{
	struct config c;

	config_init(&c);
	assert_true(config_set(&c, "http.idle_time", "5m", error));
	assert_int_equal(c.http_idle_time, 300000);
	assert_true(config_set(&c, "journal.volume_bytes", "4M", error));
	assert_int_equal(c.journal_volume_bytes, 4194304);
	assert_true(config_set(&c, "data", "x", error));
	assert_true(config_set(&c, "data", "y", error));
	assert_string_equal(c.data, "y");
	assert_false(config_set(&c, "no.such", "1", error));
	assert_non_null(strstr(error, "no.such"));
	assert_false(config_set(&c, "threads.workers", "-1", error));
	assert_false(config_set(&c, "threads.workers", "", error));
	assert_int_equal(c.threads_workers, 64);
	config_fini(&c);
}

/* Every value line is a comment; without its mark the sample must still be a valid file that changes nothing. */
static void
the_sample_is_valid_as_it_is_and_uncommented(void **state)
{
	struct config c, standard;
	struct buf help;
	char *line, *save = NULL, *text;
	FILE *f;

	config_init(&c);
	config_init(&standard);
	buf_init(&help, NULL);
	config_help(&help, &standard);
	buf_u8(&help, 0);
	text = (char *)help.data;
	write_file(text);
	assert_true(config_read_file(&c, path, error));
	f = fopen(path, "w");
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *mark = strchr(line, '#');

		if (mark && line[strlen(line) - 1] == ';')
			*mark = ' ';
		fprintf(f, "%s\n", line);
	}
	fclose(f);
	error[0] = '\0';
	config_read_file(&c, path, error);
	assert_string_equal(error, "");
#define OPTION_STRING(field, option, kind, words, value, about) assert_string_equal(c.field, standard.field);
#define OPTION_INT(field, option, unit, min, max, value, about) assert_true(c.field == standard.field);
#define OPTION_BOOL(field, option, value, about) assert_true(c.field == standard.field);
#include "base/options.def"
#undef OPTION_STRING
#undef OPTION_INT
#undef OPTION_BOOL
	buf_fini(&help);
	config_fini(&c);
	config_fini(&standard);
}

/* What is set stands uncommented in the sample, and nothing else. */
static void
the_sample_has_what_is_set(void **state)
{
	struct config c, again, standard;
	struct buf help;

	config_init(&c);
	config_init(&again);
	config_init(&standard);
	buf_init(&help, NULL);
	assert_true(config_set(&c, "data", "/var/lib/\"x\"", error));
	assert_true(config_set(&c, "http.idle_time", "5m", error));
	assert_true(config_set(&c, "scrub.enabled", "false", error));
	config_help(&help, &c);
	buf_u8(&help, 0);
	write_file((char *)help.data);
	assert_true(config_read_file(&again, path, error));
	assert_string_equal(again.data, "/var/lib/\"x\"");
	assert_int_equal(again.http_idle_time, 300000);
	assert_false(again.scrub_enabled);
	assert_int_equal(again.scrub_rate, standard.scrub_rate);
	assert_non_null(strstr((char *)help.data, "  # rate = \"16M\";"));
	buf_fini(&help);
	config_fini(&c);
	config_fini(&again);
	config_fini(&standard);
}

static void
defaults_lie_within_their_bounds(void **state)
{
#define OPTION_STRING(field, option, kind, words, value, about)
#define OPTION_INT(field, option, unit, min, max, value, about) assert_true((min) <= (value) && (value) <= (max));
#define OPTION_BOOL(field, option, value, about)
#include "base/options.def"
#undef OPTION_STRING
#undef OPTION_INT
#undef OPTION_BOOL
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_overrides_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_name_file_line_and_option, setup, teardown),
		cmocka_unit_test_setup_teardown(text_is_legal_by_its_kind, setup, teardown),
		cmocka_unit_test(each_level_of_the_log_is_a_word),
		cmocka_unit_test(a_number_has_the_units_of_its_option),
		cmocka_unit_test_setup_teardown(options_that_do_not_go_together_name_the_place_of_one, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_included_counts, setup, teardown_included),
		cmocka_unit_test_setup_teardown(an_include_that_is_none_is_an_error, setup, teardown_included),
		cmocka_unit_test_setup_teardown(a_file_that_includes_itself_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_nul_does_not_end_a_file, setup, teardown),
		cmocka_unit_test(a_missing_file_is_an_error),
		cmocka_unit_test(the_command_line_sets_options),
		cmocka_unit_test_setup_teardown(the_sample_is_valid_as_it_is_and_uncommented, setup, teardown),
		cmocka_unit_test_setup_teardown(the_sample_has_what_is_set, setup, teardown),
		cmocka_unit_test(defaults_lie_within_their_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
