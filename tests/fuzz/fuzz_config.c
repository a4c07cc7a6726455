/*
 * fuzz_config.c: a configuration file; or, behind a '=', one "path=value" of the command line.
 *
 * Whatever comes, an error names file, line and reason, what is accepted is within the bounds of options.def, and what
 * was accepted is accepted again, written as a file and on the command line, with the same values.
 *
 * sources: src/base/*.c
 */
#include "base/config.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig loses a string when what follows it is no syntax. It never calls us: our own leaks are still seen. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

static char error[512];

static const char *
file_path(void)
{
	static char path[300];

	if (path[0] == '\0')
		snprintf(path, sizeof(path), "%s/restfs.conf", scratch_directory());
	return path;
}

static void
write_file(struct bytes text)
{
	FILE *f = fopen(file_path(), "w");

	if (f == NULL || fwrite(text.data, 1, text.len, f) != text.len || fclose(f) != 0)
		abort();
}

/* "file:line: reason"; included too deep, the file is named as the directive names it. */
static void
check_error(void)
{
	const char *at = strstr(error, "restfs.conf:");
	size_t digits;

	if (at == NULL)
		abort();
	at += strlen("restfs.conf");
	if (at != error + strlen(file_path()) && at != error + strlen("restfs.conf"))
		abort();
	digits = strspn(at + 1, "0123456789");
	if (digits == 0 || strncmp(at + 1 + digits, ": ", 2) != 0 || at[digits + 3] == '\0')
		abort();
}

static void
check_bounds(const struct config *c)
{
#define OPTION_STRING(field, path, kind, words, standard, text) \
	if (c->field == NULL)                                   \
		abort();
#define OPTION_INT(field, path, unit, min, max, standard, text)       \
	if (c->field < INT64_C(min) || c->field > INT64_C(max)) \
		abort();
#define OPTION_BOOL(field, path, standard, text)
#include "base/options.def"
#undef OPTION_STRING
#undef OPTION_INT
#undef OPTION_BOOL
}

static void
check_equal(const struct config *a, const struct config *b)
{
#define OPTION_STRING(field, path, kind, words, standard, text) \
	if (strcmp(a->field, b->field) != 0)                    \
		abort();
#define OPTION_INT(field, path, unit, min, max, standard, text) \
	if (a->field != b->field)                         \
		abort();
#define OPTION_BOOL(field, path, standard, text) \
	if (a->field != b->field)                \
		abort();
#include "base/options.def"
#undef OPTION_STRING
#undef OPTION_INT
#undef OPTION_BOOL
}

/* "group.name" as a file has it; each setting in a group of its own would be given twice. */
static void
put_name(struct buf *out, const char *path, struct bytes *group)
{
	const char *dot = strchr(path, '.');
	struct bytes own = bytes_of(path, dot ? (size_t)(dot - path) : 0);

	if (!bytes_equal(own, *group)) {
		if (group->len)
			buf_put_str(out, "};\n");
		if (own.len)
			buf_printf(out, "%.*s = {\n", (int)own.len, (const char *)own.data);
		*group = own;
	}
	buf_printf(out, "%s = ", dot ? dot + 1 : path);
}

static void
put_string(struct buf *out, const char *value)
{
	buf_put_str(out, "\"");
	for (; *value; value++)
		buf_printf(out, "\\x%02x", (uint8_t)*value);
	buf_put_str(out, "\";\n");
}

static void
put_file(struct buf *out, const struct config *c)
{
	struct bytes group = {0};

#define OPTION_STRING(field, path, kind, words, standard, text) \
	put_name(out, path, &group);                            \
	put_string(out, c->field);
#define OPTION_INT(field, path, unit, min, max, standard, text) \
	put_name(out, path, &group);                      \
	buf_printf(out, "%lldL;\n", (long long)c->field);
#define OPTION_BOOL(field, path, standard, text) \
	put_name(out, path, &group);             \
	buf_printf(out, "%s;\n", c->field ? "true" : "false");
#include "base/options.def"
#undef OPTION_STRING
#undef OPTION_INT
#undef OPTION_BOOL
	if (group.len)
		buf_put_str(out, "};\n");
}

static void
set_all(struct config *to, const struct config *from)
{
	char number[32];

#define OPTION_STRING(field, path, kind, words, standard, text) \
	if (!config_set(to, path, from->field, error))          \
		abort();
#define OPTION_INT(field, path, unit, min, max, standard, text)                 \
	snprintf(number, sizeof(number), "%lld", (long long)from->field); \
	if (!config_set(to, path, number, error))                         \
		abort();
#define OPTION_BOOL(field, path, standard, text)                      \
	if (!config_set(to, path, from->field ? "on" : "off", error)) \
		abort();
#include "base/options.def"
#undef OPTION_STRING
#undef OPTION_INT
#undef OPTION_BOOL
}

static void
check_accepted(const struct config *c)
{
	struct config again;
	struct buf text;

	check_bounds(c);
	buf_init(&text, NULL);
	put_file(&text, c);
	write_file(buf_bytes(&text));
	config_init(&again);
	if (!config_read_file(&again, file_path(), error))
		abort();
	check_equal(c, &again);
	config_fini(&again);
	config_init(&again);
	set_all(&again, c);
	check_equal(c, &again);
	config_fini(&again);
	buf_fini(&text);
}

/* "path=value" */
static bool
set_one(struct config *c, struct bytes text)
{
	size_t equals = bytes_find(text, '=', 0);
	struct buf path, value;
	bool ok;

	buf_init(&path, NULL);
	buf_init(&value, NULL);
	buf_put_bytes(&path, bytes_sub(text, 0, equals));
	buf_u8(&path, 0);
	if (equals != SIZE_MAX)
		buf_put_bytes(&value, bytes_sub(text, equals + 1, SIZE_MAX));
	buf_u8(&value, 0);
	error[0] = '\0';
	ok = config_set(c, (const char *)path.data, (const char *)value.data, error);
	if (!ok && error[0] == '\0')
		abort();
	buf_fini(&path);
	buf_fini(&value);
	return ok;
}

/* Only what is beside the file is included: other files of this machine are none of ours. */
static bool
includes_another(struct bytes text)
{
	const char *end = (const char *)text.data + text.len;

	for (const char *at = (const char *)text.data; (at = memmem(at, (size_t)(end - at), "@include", 8)); at += 8) {
		const char *name = at + 8;

		while (name < end && (*name == ' ' || *name == '\t'))
			name++;
		if (end - name < 13 || memcmp(name, "\"restfs.conf\"", 13) != 0)
			return true;
	}
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = bytes_of(data, size);
	struct config c;
	bool ok;

	if (includes_another(text))
		return 0;
	config_init(&c);
	memset(error, 0, sizeof(error));
	if (size && data[0] == '=') {
		ok = set_one(&c, bytes_sub(text, 1, SIZE_MAX));
	} else {
		write_file(text);
		ok = config_read_file(&c, file_path(), error);
		if (!ok)
			check_error();
	}
	if (ok)
		check_accepted(&c);
	config_fini(&c);
	return 0;
}
