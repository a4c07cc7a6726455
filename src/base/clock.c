/* clock.c: clocks, random numbers, version 7 identifiers and the texts of dates. [any] */
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define SECONDS_PER_DAY INT64_C(86400)

/* A date in the proleptic Gregorian calendar, UTC. */
struct civil {
	int64_t year;
	unsigned month, day; /* from 1 */
	unsigned hour, minute, second;
	unsigned weekday; /* 0: Sunday */
	unsigned ms;
};

static const char *const weekdays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static int64_t
clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

int64_t
clock_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t
clock_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

struct timespec
clock_timespec(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / NS_PER_SECOND, .tv_nsec = ns % NS_PER_SECOND};
}

void
sleep_ns(int64_t ns)
{
	struct timespec t = clock_timespec(ns);

	ASSERT_MAY_BLOCK();
	if (ns <= 0)
		return;
	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		continue;
}

void
random_bytes(void *out, size_t len)
{
	uint8_t *at = out;

	while (len) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno != EINTR) {
			log_error(0, "read random bytes from the kernel: %s", strerror(errno));
			abort();
		}
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}

/* SplitMix64 on a state of each thread's own. */
uint64_t
random_u64(void)
{
	static _Thread_local uint64_t state;
	static _Thread_local bool seeded;
	uint64_t v;

	if (!seeded) {
		random_bytes(&state, sizeof(state));
		seeded = true;
	}
	v = state += UINT64_C(0x9e3779b97f4a7c15);
	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31;
}

void
uuid_v7(uint8_t out[16])
{
	uint64_t ms = (uint64_t)(clock_wall_ns() / 1000000);

	random_bytes(out + 6, 10);
	out[0] = (uint8_t)(ms >> 40);
	out[1] = (uint8_t)(ms >> 32);
	out[2] = (uint8_t)(ms >> 24);
	out[3] = (uint8_t)(ms >> 16);
	out[4] = (uint8_t)(ms >> 8);
	out[5] = (uint8_t)ms;
	out[6] = (uint8_t)((out[6] & 0x0f) | 0x70); /* version 7 */
	out[8] = (uint8_t)((out[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
}

void
uuid_format(const uint8_t id[16], char out[37])
{
	char digits[33];

	hex_encode(bytes_of(id, 16), digits);
	snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12, digits + 16, digits + 20);
}

/*
 * Days since 1970-01-01. Years begin in March here, so that the leap day is a year's last and the lengths of the months
 * before it follow (153 * month + 2) / 5; 400 years are 146097 days.
 */
static int64_t
days_from_civil(int64_t year, unsigned month, unsigned day)
{
	int64_t era, year_of_era, day_of_year;

	year -= month <= 2;
	era = (year >= 0 ? year : year - 399) / 400;
	year_of_era = year - era * 400;
	day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static struct civil
civil_from_ns(int64_t ns)
{
	struct civil c;
	int64_t seconds = ns / NS_PER_SECOND, rest = ns % NS_PER_SECOND;
	int64_t days, era, day_of_era, year_of_era, day_of_year, month, in_day;

	if (rest < 0) {
		rest += NS_PER_SECOND;
		seconds--;
	}
	days = seconds / SECONDS_PER_DAY;
	in_day = seconds % SECONDS_PER_DAY;
	if (in_day < 0) {
		in_day += SECONDS_PER_DAY;
		days--;
	}
	c.weekday = (unsigned)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	c.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
	c.month = (unsigned)(month < 10 ? month + 3 : month - 9);
	c.year = era * 400 + year_of_era + (c.month <= 2);
	c.hour = (unsigned)(in_day / 3600);
	c.minute = (unsigned)(in_day / 60 % 60);
	c.second = (unsigned)(in_day % 60);
	c.ms = (unsigned)(rest / 1000000);
	return c;
}

static bool
civil_to_seconds(const struct civil *c, int64_t *seconds)
{
	static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;

	/* A second of 60 is a leap second: it counts as the next one. */
	if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > lengths[c->month - 1] ||
		(c->month == 2 && c->day == 29 && !leap) || c->hour > 23 || c->minute > 59 || c->second > 60)
		return false;
	*seconds = days_from_civil(c->year, c->month, c->day) * SECONDS_PER_DAY + c->hour * 3600 + c->minute * 60 +
		   c->second;
	return true;
}

static bool
seconds_to_ns(int64_t seconds, int64_t fraction_ns, int64_t *ns)
{
	int64_t v;

	if (__builtin_mul_overflow(seconds, NS_PER_SECOND, &v) || __builtin_add_overflow(v, fraction_ns, &v))
		return false;
	*ns = v;
	return true;
}

/* The last `count` digits of `v`. printf takes longer for an answer's date than all else in its head. */
static void
put_digits(char *at, uint64_t v, unsigned count)
{
	for (; count > 0; v /= 10)
		at[--count] = (char)('0' + v % 10);
}

/* "hh:mm:ss" */
static void
put_time(char *at, const struct civil *c)
{
	put_digits(at, c->hour, 2);
	put_digits(at + 3, c->minute, 2);
	put_digits(at + 6, c->second, 2);
	at[2] = at[5] = ':';
}

void
date_iso8601(int64_t ns, char out[25])
{
	struct civil c = civil_from_ns(ns);

	memcpy(out, "0000-00-00T00:00:00.000Z", 25);
	put_digits(out, (uint64_t)c.year, 4);
	put_digits(out + 5, c.month, 2);
	put_digits(out + 8, c.day, 2);
	put_time(out + 11, &c);
	put_digits(out + 20, c.ms, 3);
}

void
date_http(int64_t ns, char out[30])
{
	struct civil c = civil_from_ns(ns);

	memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", 30);
	memcpy(out, weekdays[c.weekday], 3);
	put_digits(out + 5, c.day, 2);
	memcpy(out + 8, months + 3 * (c.month - 1), 3);
	put_digits(out + 12, (uint64_t)c.year, 4);
	put_time(out + 17, &c);
}

void
date_compact(int64_t ns, char out[17])
{
	struct civil c = civil_from_ns(ns);

	memcpy(out, "00000000T000000Z", 17);
	put_digits(out, (uint64_t)c.year, 4);
	put_digits(out + 4, c.month, 2);
	put_digits(out + 6, c.day, 2);
	put_digits(out + 9, c.hour, 2);
	put_digits(out + 11, c.minute, 2);
	put_digits(out + 13, c.second, 2);
}

/* What is left of a date's text; each take_ function moves past what it found, or answers false. */
static bool
take_number(struct bytes *text, unsigned digits, unsigned *out)
{
	unsigned v = 0, i;

	if (text->len < digits)
		return false;
	for (i = 0; i < digits; i++) {
		if (text->data[i] < '0' || text->data[i] > '9')
			return false;
		v = v * 10 + (text->data[i] - '0');
	}
	*text = bytes_sub(*text, digits, SIZE_MAX);
	*out = v;
	return true;
}

static bool
take_str(struct bytes *text, const char *s)
{
	struct bytes v = bytes_str(s);

	if (!bytes_starts_with(*text, v))
		return false;
	*text = bytes_sub(*text, v.len, SIZE_MAX);
	return true;
}

static bool
take_month(struct bytes *text, unsigned *out)
{
	for (unsigned i = 0; i < 12 && text->len >= 3; i++) {
		if (memcmp(text->data, months + 3 * i, 3) == 0) {
			*text = bytes_sub(*text, 3, SIZE_MAX);
			*out = i + 1;
			return true;
		}
	}
	return false;
}

static bool
take_year(struct bytes *text, struct civil *c)
{
	unsigned year;

	if (!take_number(text, 4, &year))
		return false;
	c->year = year;
	return true;
}

static bool
take_time(struct bytes *text, struct civil *c, const char *separator)
{
	return take_number(text, 2, &c->hour) && take_str(text, separator) && take_number(text, 2, &c->minute) &&
	       take_str(text, separator) && take_number(text, 2, &c->second);
}

bool
date_parse_compact(struct bytes text, int64_t *ns)
{
	struct civil c = {0};
	int64_t seconds;

	return take_year(&text, &c) && take_number(&text, 2, &c.month) && take_number(&text, 2, &c.day) &&
	       take_str(&text, "T") && take_time(&text, &c, "") && take_str(&text, "Z") && text.len == 0 &&
	       civil_to_seconds(&c, &seconds) && seconds_to_ns(seconds, 0, ns);
}

/* RFC 9110 says GMT; mail's names of the same zone (RFC 5322, 3.3) come from clients that use a mail library, botocore among them. */
static bool
take_zone(struct bytes *text)
{
	return take_str(text, " GMT") || take_str(text, " -0000") || take_str(text, " +0000");
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool
parse_imf_fixdate(struct bytes text, struct civil *c)
{
	return take_str(&text, ", ") && take_number(&text, 2, &c->day) && take_str(&text, " ") &&
	       take_month(&text, &c->month) && take_str(&text, " ") && take_year(&text, c) && take_str(&text, " ") &&
	       take_time(&text, c, ":") && take_zone(&text) && text.len == 0;
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool
parse_rfc850(struct bytes text, struct civil *c)
{
	unsigned year;
	int64_t this_year = civil_from_ns(clock_wall_ns()).year;

	if (!(take_str(&text, ", ") && take_number(&text, 2, &c->day) && take_str(&text, "-") &&
		    take_month(&text, &c->month) && take_str(&text, "-") && take_number(&text, 2, &year) &&
		    take_str(&text, " ") && take_time(&text, c, ":") && take_str(&text, " GMT") && text.len == 0))
		return false;
	/* RFC 9110, 5.6.7: what seems more than 50 years ahead is the most recent past year with those digits. */
	c->year = this_year - this_year % 100 + year;
	if (c->year > this_year + 50)
		c->year -= 100;
	return true;
}

/* Sun Nov  6 08:49:37 1994 */
static bool
parse_asctime(struct bytes text, struct civil *c)
{
	return take_str(&text, " ") && take_month(&text, &c->month) && take_str(&text, " ") &&
	       (take_str(&text, " ") ? take_number(&text, 1, &c->day) : take_number(&text, 2, &c->day)) &&
	       take_str(&text, " ") && take_time(&text, c, ":") && take_str(&text, " ") && take_year(&text, c) &&
	       text.len == 0;
}

bool
date_parse_http(struct bytes text, int64_t *ns)
{
	for (unsigned i = 0; i < 7; i++) {
		struct bytes day = bytes_str(weekdays[i]);
		struct civil c = {0};
		int64_t seconds;
		bool ok;

		if (bytes_starts_with(text, day)) {
			ok = parse_rfc850(bytes_sub(text, day.len, SIZE_MAX), &c);
		} else if (bytes_starts_with(text, bytes_sub(day, 0, 3))) {
			struct bytes rest = bytes_sub(text, 3, SIZE_MAX);

			ok = parse_imf_fixdate(rest, &c) || parse_asctime(rest, &c);
		} else {
			continue;
		}
		return ok && civil_to_seconds(&c, &seconds) && seconds_to_ns(seconds, 0, ns);
	}
	return false;
}

/* Digits after the point; those beyond the ninth are dropped. */
static bool
take_fraction(struct bytes *text, int64_t *fraction_ns)
{
	int64_t unit = NS_PER_SECOND / 10;
	unsigned digit;

	*fraction_ns = 0;
	if (!take_str(text, "."))
		return true;
	if (!take_number(text, 1, &digit))
		return false;
	do {
		*fraction_ns += digit * unit;
		unit /= 10;
	} while (take_number(text, 1, &digit));
	return true;
}

static bool
take_offset(struct bytes *text, int64_t *offset)
{
	unsigned hour, minute;
	bool east;

	*offset = 0;
	if (take_str(text, "Z"))
		return true;
	east = take_str(text, "+");
	if (!east && !take_str(text, "-"))
		return false;
	if (!take_number(text, 2, &hour))
		return false;
	take_str(text, ":");
	if (!take_number(text, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*offset = (int64_t)(hour * 3600 + minute * 60) * (east ? 1 : -1);
	return true;
}

bool
date_parse_iso8601(struct bytes text, int64_t *ns)
{
	struct civil c = {0};
	int64_t seconds, fraction_ns, offset;

	return take_year(&text, &c) && take_str(&text, "-") && take_number(&text, 2, &c.month) &&
	       take_str(&text, "-") && take_number(&text, 2, &c.day) && take_str(&text, "T") &&
	       take_time(&text, &c, ":") && take_fraction(&text, &fraction_ns) && take_offset(&text, &offset) &&
	       text.len == 0 && civil_to_seconds(&c, &seconds) && seconds_to_ns(seconds - offset, fraction_ns, ns);
}
