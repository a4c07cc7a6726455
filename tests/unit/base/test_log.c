/* Lines of the log, and which are written. */
#include "unit.h"
#include "base/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>

static int ends[2];
static char line[65536];

static int
setup(void **state)
{
	return pipe(ends);
}

static int
teardown(void **state)
{
	close(ends[0]);
	close(ends[1]);
	log_init(LOG_INFO, LOG_TEXT, STDERR_FILENO);
	return 0;
}

static const char *
last_line(void)
{
	ssize_t n = read(ends[0], line, sizeof(line) - 1);

	assert_true(n > 0);
	line[n] = '\0';
	return line;
}

static void
a_text_line_has_time_level_module_and_request(void **state)
{
	log_init(LOG_INFO, LOG_TEXT, ends[1]);
	errno = 77;
	log_info(0x1f, "put %s: %d bytes", "key", 5);
	assert_int_equal(errno, 77);
	assert_string_equal(last_line() + 24, " INFO  test_log request=000000000000001f put key: 5 bytes\n");
	assert_int_equal(line[10], 'T');
	assert_int_equal(line[23], 'Z');
	log_error(0, "no request");
	assert_string_equal(last_line() + 24, " ERROR test_log no request\n");
}

static void
nothing_from_outside_forges_a_line(void **state)
{
	log_init(LOG_INFO, LOG_TEXT, ends[1]);
	log_info(0, "%s",
		"a\nb\r\x1b[31m\x7f\xc2\x9b"
		"31m h\xc3\xa9 \xff\xed\xa0\x80 \xc3");
	assert_string_equal(last_line() + 24,
		" INFO  test_log a\\nb\\x0d\\x1b[31m\\x7f\\xc2\\x9b31m h\xc3\xa9 \\xff\\xed\\xa0\\x80 \\xc3\n");
}

static void
a_json_line_is_json(void **state)
{
	json_t *object;

	log_init(LOG_INFO, LOG_JSON, ends[1]);
	log_warn(0xab, "%s", "quote \" slash \\ newline \n bad \xff end");
	object = json_loads(last_line(), 0, NULL);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "level")), "warn");
	assert_string_equal(json_string_value(json_object_get(object, "module")), "test_log");
	assert_string_equal(json_string_value(json_object_get(object, "request")), "00000000000000ab");
	assert_string_equal(
		json_string_value(json_object_get(object, "message")), "quote \" slash \\ newline \n bad \xc3\xbf end");
	json_decref(object);
}

static void
a_long_message_is_cut_and_stays_one_line(void **state)
{
	static char message[20000];

	memset(message, '\n', sizeof(message) - 1);
	log_init(LOG_INFO, LOG_JSON, ends[1]);
	log_info(0, "%s", message);
	last_line();
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_non_null(strstr(line, "...\"}\n"));
}

static void
levels_hold_for_all_or_for_a_module(void **state)
{
	enum log_level level;

	log_set_level(LOG_WARN);
	assert_true(log_enabled("../src/a/journal.c", LOG_WARN));
	assert_false(log_enabled("../src/a/journal.c", LOG_INFO));
	assert_true(log_set_module_level("journal", LOG_DEBUG));
	assert_true(log_enabled("../src/a/journal.c", LOG_DEBUG));
	assert_false(log_enabled("../src/a/journals.c", LOG_INFO));
	assert_true(log_set_module_level("journal", LOG_ERROR));
	assert_false(log_enabled("journal.c", LOG_WARN));
	assert_false(log_set_module_level("", LOG_ERROR));
	assert_false(log_set_module_level("a_name_that_is_longer_than_any_module_has", LOG_ERROR));
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_false(log_level_parse("loud", &level));
}

static void
there_is_room_for_64_modules(void **state)
{
	char name[16];
	int rooms = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		rooms += log_set_module_level(name, LOG_INFO);
	}
	assert_in_range(rooms, 62, 64); /* other tests took one */
	assert_true(log_set_module_level("m0", LOG_WARN));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_text_line_has_time_level_module_and_request, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_from_outside_forges_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(a_json_line_is_json, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_message_is_cut_and_stays_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(levels_hold_for_all_or_for_a_module, setup, teardown),
		cmocka_unit_test_setup_teardown(there_is_room_for_64_modules, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
