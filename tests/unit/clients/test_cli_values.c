/* test_cli_values.c: sizes, times, and how progress looks. */
#include "cli_progress.h"
#include "cli_values.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void
sizes_have_units_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {{"0", 0}, {"10", 10}, {"10K", 10240}, {"10KiB", 10240}, {"10kb", 10240}, {"10B", 10},
		{"2T", 2ULL << 40}};
	static const char *const bad[] = {
		"", "K", "-1", "+1", " 1", "1KK", "1.5K", "1iB", "9999999P", "99999999999999999999"};
	uint64_t value;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(value_size(good[i].text, &value));
		assert_int_equal(value, good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (value_size(bad[i], &value))
			fail_msg("\"%s\" is taken", bad[i]);
}

static void
times_are_durations_or_dates(void **state)
{
	static const char *const bad[] = {"", "h", "1x", "1hh", "2026-13-01", "2026-01-31T12:00", "2026-01-31x"};
	uint64_t seconds;
	int64_t when;

	assert_true(value_duration("90", &seconds) && seconds == 90);
	assert_true(value_duration("15m", &seconds) && seconds == 900);
	assert_true(value_duration("7d", &seconds) && seconds == 604800);
	assert_false(value_duration("9223372036854775807w", &seconds));
	assert_true(value_when("1h", 10000, &when) && when == 6400);
	assert_true(value_when("2026-01-31", 0, &when) && when == 1769817600);
	assert_true(value_when("2026-01-31T12:00:01Z", 0, &when) && when == 1769860801);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (value_when(bad[i], 0, &when))
			fail_msg("\"%s\" is taken", bad[i]);
}

static void
assert_drawn(struct progress_state state, size_t width, const char *expected)
{
	char line[512];

	progress_draw(&state, width, line, sizeof(line));
	assert_string_equal(line, expected);
	assert_true(strlen(line) <= width);
}

static void
progress_fits_its_terminal(void **state)
{
	struct progress_state half = {"photos", 512 << 20, 1 << 30, 100 << 20};

	assert_drawn(half, 70, "photos  [=========>        ]   50%  512 MiB / 1.0 GiB  100 MiB/s  0:05");
	assert_drawn(half, 50, "photos   50%  512 MiB / 1.0 GiB  100 MiB/s  0:05");
	assert_drawn(half, 20, " 50%  512 MiB / 1.0 ");
	assert_drawn((struct progress_state){"x", 17, 0, 2}, 70, "x  17 B  2 B/s");
	assert_drawn((struct progress_state){"x", 10, 10, 0}, 60,
		"x  [=======================]  100%  10 B / 10 B  0 B/s  -:--");
	assert_drawn((struct progress_state){"x", 0, 7200, 1}, 40, "x    0%  0 B / 7.0 KiB  1 B/s  2:00:00");
	/* More than was said: no bar runs over its end. */
	assert_drawn((struct progress_state){"x", 11, 10, 1}, 36, "x  100%  11 B / 10 B  1 B/s  -:--");
}

static void
bytes_are_short(void **state)
{
	char text[24];

	progress_bytes(999, text, sizeof(text));
	assert_string_equal(text, "999 B");
	progress_bytes(1000, text, sizeof(text));
	assert_string_equal(text, "1.0 KiB");
	progress_bytes(1536.0 * 1024, text, sizeof(text));
	assert_string_equal(text, "1.5 MiB");
	progress_bytes(1.8e19, text, sizeof(text));
	assert_string_equal(text, "15.6 EiB");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_have_units_of_1024),
		cmocka_unit_test(times_are_durations_or_dates),
		cmocka_unit_test(progress_fits_its_terminal),
		cmocka_unit_test(bytes_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
