/* config.c: options.def as a table; every value, from a file or the command line, goes through set_value. [init] */
#include "base/config.h"
#include "base/arena.h"
#include "base/config_check.h"
#include "base/config_file.h"
#include <stdio.h>
#include <stdlib.h>

enum option_type { OPTION_TYPE_STRING, OPTION_TYPE_INT, OPTION_TYPE_BOOL };
enum option_unit { UNIT_COUNT, UNIT_SIZE, UNIT_TIME };

struct option {
	const char *path;
	enum option_type type;
	enum option_unit unit;
	size_t offset; /* in struct config */
	enum config_kind kind;
	const char *words;
	const char *string;
	int64_t min, max, integer; /* `integer`: the default of an INT or, as 0 or 1, of a BOOL */
	const char *text;
};

static const struct option options[] = {
#define OPTION_STRING(field, path, kind, words, standard, text)                                                        \
	{path, OPTION_TYPE_STRING, UNIT_COUNT, offsetof(struct config, field), CONFIG_KIND_##kind, words, standard, 0, \
		0, 0, text},
#define OPTION_INT(field, path, unit, min, max, standard, text) \
	{path, OPTION_TYPE_INT, UNIT_##unit, offsetof(struct config, field), 0, "", NULL, min, max, standard, text},
#define OPTION_BOOL(field, path, standard, text) \
	{path, OPTION_TYPE_BOOL, UNIT_COUNT, offsetof(struct config, field), 0, "", NULL, 0, 1, standard, text},
#include "base/options.def"
#undef OPTION_STRING
#undef OPTION_INT
#undef OPTION_BOOL
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static const char *const type_names[] = {"text", "a number", "true or false"};

static void *
field(struct config *c, const struct option *o)
{
	return (char *)c + o->offset;
}

static void
set_string(struct config *c, const struct option *o, const char *value)
{
	char **at = field(c, o);

	free(*at);
	*at = xstrdup(value);
}

void
config_init(struct config *c)
{
	memset(c, 0, sizeof(*c));
	c->places = xcalloc(OPTION_COUNT, sizeof(*c->places));
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option *o = &options[i];

		switch (o->type) {
		case OPTION_TYPE_STRING:
			set_string(c, o, o->string);
			break;
		case OPTION_TYPE_INT:
			*(int64_t *)field(c, o) = o->integer;
			break;
		case OPTION_TYPE_BOOL:
			*(bool *)field(c, o) = o->integer;
			break;
		}
	}
}

void
config_fini(struct config *c)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (options[i].type == OPTION_TYPE_STRING)
			free(*(char **)field(c, &options[i]));
		if (c->places)
			free(c->places[i]);
	}
	free(c->places);
	memset(c, 0, sizeof(*c));
}

static const struct option *
option_find(const char *path)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (strcmp(options[i].path, path) == 0)
			return &options[i];
	}
	return NULL;
}

/* Sizes are in bytes, of 1024, times in milliseconds. */
static const struct unit {
	const char *name;
	enum option_unit of;
	int64_t factor;
} units[] = {
	{"", UNIT_COUNT, 1},
	{"K", UNIT_SIZE, INT64_C(1) << 10},
	{"M", UNIT_SIZE, INT64_C(1) << 20},
	{"G", UNIT_SIZE, INT64_C(1) << 30},
	{"T", UNIT_SIZE, INT64_C(1) << 40},
	{"ms", UNIT_TIME, 1},
	{"s", UNIT_TIME, 1000},
	{"m", UNIT_TIME, 60000},
	{"h", UNIT_TIME, 3600000},
	{"d", UNIT_TIME, 86400000},
};
#define UNITS (sizeof(units) / sizeof(units[0]))

/* Digits and, of what has units, one; KB and KiB are K. */
static bool
parse_number(const char *text, enum option_unit of, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t v;

	if (!bytes_to_u64(bytes_of(text, digits), &v) || v > INT64_MAX)
		return false;
	for (size_t i = 0; i < UNITS; i++) {
		size_t len = strlen(units[i].name);
		const char *rest = text + digits + len;

		if ((units[i].of != of && len) || strncmp(text + digits, units[i].name, len) != 0)
			continue;
		if (!*rest || (units[i].of == UNIT_SIZE && (strcmp(rest, "B") == 0 || strcmp(rest, "iB") == 0)))
			return !__builtin_mul_overflow((int64_t)v, units[i].factor, out);
	}
	return false;
}

static bool
parse_bool(const char *text, bool *out)
{
	static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};

	for (size_t i = 0; i < 4; i++) {
		*out = bytes_equal_str_nocase(bytes_str(text), yes[i]);
		if (*out || bytes_equal_str_nocase(bytes_str(text), no[i]))
			return true;
	}
	return false;
}

/* With the largest unit that leaves no fraction. */
static const char *
number_text(const struct option *o, int64_t n, char text[32])
{
	const struct unit *unit = &units[0];

	for (size_t i = 1; n && i < UNITS; i++)
		if (units[i].of == o->unit && n % units[i].factor == 0)
			unit = &units[i];
	snprintf(text, 32, "%lld%s", (long long)(n / unit->factor), unit->name);
	return text;
}

static bool
set_int(struct config *c, const struct option *o, const struct config_value *v, char *error)
{
	static const char *const with[] = {
		[UNIT_SIZE] = ", nor one with K, M, G or T", [UNIT_TIME] = ", nor one with ms, s, m, h or d"};
	char given[32], least[32], most[32];
	int64_t n = v->integer;

	if (v->kind == CONFIG_VALUE_STRING && !parse_number(v->string, o->unit, &n)) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: \"%.64s\" is not a number%s", o->path, v->string,
			o->unit == UNIT_COUNT ? "" : with[o->unit]);
		return false;
	}
	if (n < o->min || n > o->max) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: %s is not between %s and %s", o->path,
			number_text(o, n, given), number_text(o, o->min, least), number_text(o, o->max, most));
		return false;
	}
	*(int64_t *)field(c, o) = n;
	return true;
}

static bool
set_text(struct config *c, const struct option *o, const char *value, char *error)
{
	char legal[CONFIG_LEGAL_BYTES];

	if (!config_text_is_legal(o->kind, o->words, value)) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: \"%.64s\" is not %s", o->path, value,
			config_text_legal(o->kind, o->words, legal));
		return false;
	}
	set_string(c, o, value);
	return true;
}

static void
set_place(struct config *c, const struct option *o, const char *place)
{
	char **at = &c->places[o - options];

	free(*at);
	*at = place ? xstrdup(place) : NULL;
}

static bool
set_value(void *context, const char *path, const struct config_value *v, const char *place, char *error)
{
	const struct option *o = option_find(path);
	struct config *c = context;
	bool ok = false;

	if (o == NULL) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: there is no such option", path);
		return false;
	}
	set_place(c, o, place);
	switch (o->type) {
	case OPTION_TYPE_STRING:
		if (v->kind == CONFIG_VALUE_STRING)
			return set_text(c, o, v->string, error);
		break;
	case OPTION_TYPE_INT:
		if (v->kind == CONFIG_VALUE_INT || v->kind == CONFIG_VALUE_STRING)
			return set_int(c, o, v, error);
		break;
	case OPTION_TYPE_BOOL:
		ok = v->kind == CONFIG_VALUE_BOOL;
		if (ok)
			*(bool *)field(c, o) = v->boolean;
		break;
	}
	if (!ok)
		snprintf(error, CONFIG_ERROR_BYTES, "%s: must be %s", path, type_names[o->type]);
	return ok;
}

static bool
check_group(void *context, const char *path, char *error)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (strncmp(options[i].path, path, len) == 0 && options[i].path[len] == '.')
			return true;
	}
	snprintf(error, CONFIG_ERROR_BYTES, "%s: there is no such group of options", path);
	return false;
}

bool
config_read_file(struct config *c, const char *path, char *error)
{
	struct config_visitor visitor = {set_value, check_group, c};

	return config_file_walk(path, &visitor, error);
}

bool
config_set(struct config *c, const char *path, const char *value, char *error)
{
	struct config_value v = {.kind = CONFIG_VALUE_STRING, .string = value};
	const struct option *o = option_find(path);

	if (o && o->type == OPTION_TYPE_BOOL && parse_bool(value, &v.boolean))
		v.kind = CONFIG_VALUE_BOOL;
	return set_value(c, path, &v, NULL, error);
}

/* `path`: the option at which the reason stands. */
static bool
refuse(const struct config *c, const char *path, const char *why, char *error)
{
	const char *place = c->places[option_find(path) - options];

	snprintf(error, CONFIG_ERROR_BYTES, "%s%s%s: %s", place ? place : "", place ? ": " : "", path, why);
	return false;
}

bool
config_check(const struct config *c, char *error)
{
	const char *colon = strrchr(c->admin_listen, ':');

	if (!c->tls_certificate[0] != !c->tls_key[0])
		return refuse(c, c->tls_key[0] ? "tls.key" : "tls.certificate",
			"tls.certificate and tls.key must be set together", error);
	if (strcmp(c->s3_listen, c->admin_listen) == 0 && colon && strspn(colon + 1, "0") != strlen(colon + 1))
		return refuse(c, c->places[option_find("admin.listen") - options] ? "admin.listen" : "s3.listen",
			"s3.listen and admin.listen are the same address", error);
	return true;
}

/* Text inside libconfig's quotes. */
static void
put_quoted(struct buf *out, const char *s)
{
	buf_put_str(out, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_put_str(out, "\\");
		buf_put(out, s, 1);
	}
	buf_put_str(out, "\"");
}

static bool
is_default(const struct config *c, const struct option *o)
{
	switch (o->type) {
	case OPTION_TYPE_STRING:
		return strcmp(*(char *const *)field((struct config *)c, o), o->string) == 0;
	case OPTION_TYPE_INT:
		return *(int64_t *)field((struct config *)c, o) == o->integer;
	case OPTION_TYPE_BOOL:
		return *(bool *)field((struct config *)c, o) == (o->integer != 0);
	}
	return true;
}

static void
put_value(struct buf *out, const struct config *c, const struct option *o)
{
	const void *at = field((struct config *)c, o);
	char text[32];
	uint64_t number;

	switch (o->type) {
	case OPTION_TYPE_STRING:
		put_quoted(out, *(char *const *)at);
		break;
	case OPTION_TYPE_INT:
		/* For libconfig, what has a unit is text. */
		number_text(o, *(const int64_t *)at, text);
		buf_printf(out, bytes_to_u64(bytes_str(text), &number) ? "%s" : "\"%s\"", text);
		break;
	case OPTION_TYPE_BOOL:
		buf_put_str(out, *(const bool *)at ? "true" : "false");
		break;
	}
}

static void
help_option(struct buf *out, const struct config *c, const struct option *o, const char *indent, const char *name)
{
	char least[32], most[32], legal[CONFIG_LEGAL_BYTES];

	buf_printf(out, "%s# %s", indent, o->text);
	if (o->type == OPTION_TYPE_STRING)
		buf_printf(out, " (%s)", config_text_legal(o->kind, o->words, legal));
	if (o->type == OPTION_TYPE_INT)
		buf_printf(out, " (%s to %s)", number_text(o, o->min, least), number_text(o, o->max, most));
	buf_printf(out, "\n%s%s%s = ", indent, is_default(c, o) ? "# " : "", name);
	put_value(out, c, o);
	buf_put_str(out, ";\n");
}

static struct bytes
group_of(const struct option *o)
{
	struct bytes path = bytes_str(o->path);
	size_t dot = bytes_find(path, '.', 0);

	return bytes_sub(path, 0, dot == SIZE_MAX ? 0 : dot);
}

/* Defaults are commented out, so that a sample put in place keeps following them. */
void
config_help(struct buf *out, const struct config *c)
{
	struct bytes open = {0};

	buf_put_str(out, "# restfsd's options, each with its default. Sizes may be written as \"64K\", \"4M\", \"1G\"; "
			 "times are in\n"
			 "# milliseconds, or written as \"500ms\", \"30s\", \"5m\", \"12h\", \"7d\".\n\n");
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option *o = &options[i];
		struct bytes group = group_of(o);

		if (!bytes_equal(group, open)) {
			if (open.len)
				buf_put_str(out, "};\n");
			if (group.len)
				buf_printf(out, "%.*s = {\n", (int)group.len, (const char *)group.data);
			open = group;
		}
		help_option(out, c, o, group.len ? "  " : "", o->path + group.len + (group.len ? 1 : 0));
	}
	if (open.len)
		buf_put_str(out, "};\n");
}
