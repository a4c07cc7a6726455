/* Dates, identifiers and random numbers. */
#include "unit.h"
#include "base/clock.h"
#include <time.h>

#define NS INT64_C(1000000000)

static void
dates_are_written(void **state)
{
	char iso[25], http[30], compact[17];
	int64_t ns = 784111777 * NS + 123999999;

	date_iso8601(ns, iso);
	date_http(ns, http);
	date_compact(ns, compact);
	assert_string_equal(iso, "1994-11-06T08:49:37.123Z");
	assert_string_equal(http, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_string_equal(compact, "19941106T084937Z");
	date_iso8601(-1, iso);
	assert_string_equal(iso, "1969-12-31T23:59:59.999Z");
}

static void
the_calendar_agrees_with_the_c_library(void **state)
{
	for (int64_t seconds = -9000000000; seconds < 9000000000; seconds += 8640013) {
		time_t t = seconds;
		struct tm tm;
		char ours[30], theirs[30];
		int64_t back;

		gmtime_r(&t, &tm);
		strftime(theirs, sizeof(theirs), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		date_http(seconds * NS, ours);
		assert_string_equal(ours, theirs);
		assert_true(date_parse_http(bytes_str(ours), &back));
		assert_true(back == seconds * NS);
	}
}

static void
the_forms_of_http_dates_are_read(void **state)
{
	static const char *const same[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Sun, 06 Nov 1994 08:49:37 -0000", "Sun, 06 Nov 1994 08:49:37 +0000"};
	static const char *const wrong[] = {"", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Xun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +0100", "Sun Nov 6 08:49:37 1994",
		"Sun, 06 Nov 9999 08:49:37 GMT"};
	int64_t ns;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_true(date_parse_http(bytes_str(same[i]), &ns));
		assert_true(ns == 784111777 * NS);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(date_parse_http(bytes_str(wrong[i]), &ns));
}

static void
compact_dates_are_read_strictly(void **state)
{
	int64_t ns;

	assert_true(date_parse_compact(BYTES_LITERAL("20240229T120000Z"), &ns));
	assert_true(ns == 1709208000 * NS);
	assert_false(date_parse_compact(BYTES_LITERAL("20230229T120000Z"), &ns));
	assert_false(date_parse_compact(BYTES_LITERAL("20240229T120000"), &ns));
	assert_false(date_parse_compact(BYTES_LITERAL("20240229T120000Zx"), &ns));
	assert_false(date_parse_compact(BYTES_LITERAL("20241329T120000Z"), &ns));
	assert_false(date_parse_compact(BYTES_LITERAL("2024-229T120000Z"), &ns));
}

static void
iso_dates_have_fractions_and_offsets(void **state)
{
	int64_t ns;

	assert_true(date_parse_iso8601(BYTES_LITERAL("1994-11-06T08:49:37Z"), &ns));
	assert_true(ns == 784111777 * NS);
	assert_true(date_parse_iso8601(BYTES_LITERAL("1994-11-06T08:49:37.5Z"), &ns));
	assert_true(ns == 784111777 * NS + NS / 2);
	assert_true(date_parse_iso8601(BYTES_LITERAL("1994-11-06T08:49:37.1234567891234Z"), &ns));
	assert_true(ns == 784111777 * NS + 123456789);
	assert_true(date_parse_iso8601(BYTES_LITERAL("1994-11-06T10:49:37+02:00"), &ns));
	assert_true(ns == 784111777 * NS);
	assert_true(date_parse_iso8601(BYTES_LITERAL("1994-11-06T03:19:37.000-0530"), &ns));
	assert_true(ns == 784111777 * NS);
	assert_false(date_parse_iso8601(BYTES_LITERAL("1994-11-06T08:49:37"), &ns));
	assert_false(date_parse_iso8601(BYTES_LITERAL("1994-11-06T08:49:37.Z"), &ns));
	assert_false(date_parse_iso8601(BYTES_LITERAL("1994-11-06"), &ns));
	assert_false(date_parse_iso8601(BYTES_LITERAL("9999-11-06T08:49:37Z"), &ns));
}

static void
version_7_identifiers_carry_the_time(void **state)
{
	int64_t before = clock_wall_ns() / 1000000, ms;
	uint8_t id[16], other[16];
	char text[37];

	uuid_v7(id);
	uuid_v7(other);
	assert_memory_not_equal(id, other, 16);
	ms = (int64_t)(load_be64(id) >> 16);
	assert_true(ms >= before && ms <= clock_wall_ns() / 1000000);
	assert_int_equal(id[6] >> 4, 7);
	assert_int_equal(id[8] >> 6, 2);
	uuid_format((const uint8_t *)"\x01\x23\x45\x67\x89\xab\x7d\xef\x80\x01\x02\x03\x04\x05\x06\x07", text);
	assert_string_equal(text, "01234567-89ab-7def-8001-020304050607");
}

static void
random_numbers_do_not_repeat(void **state)
{
	uint64_t a, b;

	random_bytes(&a, 8);
	random_bytes(&b, 8);
	assert_true(a != b);
	assert_true(random_u64() != random_u64());
}

static void
sleeping_takes_at_least_the_time(void **state)
{
	int64_t start = clock_monotonic_ns();

	sleep_ns(2000000);
	assert_true(clock_monotonic_ns() - start >= 2000000);
	sleep_ns(-5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_written),
		cmocka_unit_test(the_calendar_agrees_with_the_c_library),
		cmocka_unit_test(the_forms_of_http_dates_are_read),
		cmocka_unit_test(compact_dates_are_read_strictly),
		cmocka_unit_test(iso_dates_have_fractions_and_offsets),
		cmocka_unit_test(version_7_identifiers_carry_the_time),
		cmocka_unit_test(random_numbers_do_not_repeat),
		cmocka_unit_test(sleeping_takes_at_least_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
