/* cli_values.c: what the value of an option means. */
#include "cli_values.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool
number_parse(const char *text, const char **end, uint64_t *out)
{
	char *stop;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*out = strtoull(text, &stop, 10);
	*end = stop;
	return errno == 0 && *out <= INT64_MAX;
}

bool
value_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGTPE";
	const char *end, *unit;

	if (!number_parse(text, &end, out))
		return false;
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		end++;
		for (const char *u = units; u <= unit; u++)
			if (__builtin_mul_overflow(*out, 1024, out) || *out > INT64_MAX)
				return false;
	}
	return strcasecmp(end, "") == 0 || strcasecmp(end, "B") == 0 || (unit && strcasecmp(end, "iB") == 0);
}

bool
value_duration(const char *text, uint64_t *seconds)
{
	static const struct {
		char letter;
		uint64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}, {'y', 31536000}};
	const char *end;

	if (!number_parse(text, &end, seconds))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (end[0] == units[i].letter && end[1] == '\0')
			return !__builtin_mul_overflow(*seconds, units[i].seconds, seconds) && *seconds <= INT64_MAX;
	return *end == '\0';
}

bool
value_when(const char *text, time_t now, int64_t *out)
{
	struct tm tm = {0};
	uint64_t seconds;
	const char *end;

	if (value_duration(text, &seconds)) {
		*out = (int64_t)now - (int64_t)seconds;
		return true;
	}
	end = strptime(text, "%Y-%m-%d", &tm);
	if (end && *end == 'T')
		end = strptime(end, "T%H:%M:%SZ", &tm);
	if (!end || *end != '\0')
		return false;
	*out = (int64_t)timegm(&tm);
	return true;
}

/* --- by the option's word ----------------------------------------------------------------------------------------- */

static bool
choice_has(const char *choices, const char *text)
{
	size_t len = strlen(text);

	for (const char *at = choices; *at; at += *at == '|') {
		size_t word = strcspn(at, "|");

		if (word == len && strncmp(at, text, len) == 0)
			return true;
		at += word;
	}
	return false;
}

static json_t *
choice_parse(const struct argument *a, const char *text, const char **problem)
{
	if (!choice_has(a->value, text)) {
		*problem = strcmp(a->value, "on|off") == 0 ? "is on or off" : "is one of";
		return NULL;
	}
	return strcmp(a->value, "on|off") == 0 ? json_boolean(strcmp(text, "on") == 0) : json_string(text);
}

json_t *
value_parse(const struct argument *a, const char *text, const char **problem)
{
	uint64_t number;
	int64_t when;

	if (argument_is_choice(a))
		return choice_parse(a, text, problem);
	if (strcmp(a->value, "COUNT") == 0 || strcmp(a->value, "SIZE") == 0) {
		*problem = "is a number, as 500, 10M or 2T";
		return value_size(text, &number) ? json_integer((json_int_t)number) : NULL;
	}
	if (strcmp(a->value, "DURATION") == 0) {
		*problem = "is a time, as 90s, 15m, 2h or 7d";
		return value_duration(text, &number) ? json_integer((json_int_t)number) : NULL;
	}
	if (strcmp(a->value, "WHEN") == 0) {
		*problem = "is how long ago, as 90s, 2h or 7d, or a date, as 2026-01-31 or 2026-01-31T12:00:00Z";
		return value_when(text, time(NULL), &when) ? json_integer((json_int_t)when) : NULL;
	}
	if ((strcmp(a->name, "BUCKET") == 0 || strcmp(a->value, "BUCKET") == 0) && strncmp(text, "s3://", 5) == 0) {
		*problem = "is the bucket's name alone, without s3://";
		return NULL;
	}
	*problem = "is not UTF-8 text";
	return json_string(text);
}
