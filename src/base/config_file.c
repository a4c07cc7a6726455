/* config_file.c: see config_file.h. [init] */
#include "base/config_file.h"
#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 256

static bool walk_group(const config_setting_t *group, const char *prefix, const char *file,
	const struct config_visitor *visitor, char *error);

static struct config_value
value_of(const config_setting_t *s)
{
	struct config_value v = {.kind = CONFIG_VALUE_OTHER};

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_STRING:
		v.kind = CONFIG_VALUE_STRING;
		v.string = config_setting_get_string(s);
		break;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		v.kind = CONFIG_VALUE_INT;
		v.integer = config_setting_get_int64(s);
		break;
	case CONFIG_TYPE_BOOL:
		v.kind = CONFIG_VALUE_BOOL;
		v.boolean = config_setting_get_bool(s);
		break;
	default:
		break;
	}
	return v;
}

static bool
walk_setting(const config_setting_t *s, const char *prefix, const char *file, const struct config_visitor *visitor,
	char *error)
{
	const char *source = config_setting_source_file(s); /* set when it is an included file */
	char path[PATH_BYTES], place[CONFIG_ERROR_BYTES], why[CONFIG_ERROR_BYTES] = "";
	struct config_value v;
	bool ok;

	snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] ? "." : "", config_setting_name(s));
	snprintf(place, sizeof(place), "%s:%u", source ? source : file, (unsigned)config_setting_source_line(s));
	if (config_setting_is_group(s)) {
		ok = visitor->group(visitor->context, path, why);
		if (ok)
			return walk_group(s, path, file, visitor, error);
	} else {
		v = value_of(s);
		ok = visitor->value(visitor->context, path, &v, place, why);
	}
	if (!ok)
		snprintf(error, CONFIG_ERROR_BYTES, "%s:%u: %s", source ? source : file,
			(unsigned)config_setting_source_line(s), why);
	return ok;
}

static bool
walk_group(const config_setting_t *group, const char *prefix, const char *file, const struct config_visitor *visitor,
	char *error)
{
	int count = config_setting_length(group);

	for (int i = 0; i < count; i++) {
		if (!walk_setting(config_setting_get_elem(group, (unsigned)i), prefix, file, visitor, error))
			return false;
	}
	return true;
}

bool
config_file_load(const char *path, struct buf *text)
{
	uint8_t piece[4096];
	FILE *f = fopen(path, "r");
	size_t n;
	int saved;

	if (f == NULL)
		return false;
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_put(text, piece, n);
	saved = ferror(f) ? errno : 0;
	fclose(f);
	errno = saved;
	return saved == 0;
}

/* `text` ends with a NUL. */
static bool
walk_text(const char *text, const char *path, const char *folder, const struct config_visitor *visitor, char *error)
{
	const char *file;
	config_t c;
	bool ok = false;

	config_init(&c);
	if (folder)
		config_set_include_dir(&c, folder);
	if (config_read_string(&c, text) == CONFIG_TRUE) {
		ok = walk_group(config_root_setting(&c), "", path, visitor, error);
	} else {
		file = config_error_file(&c);
		snprintf(error, CONFIG_ERROR_BYTES, "%s:%d: %s", file ? file : path, config_error_line(&c),
			config_error_text(&c));
	}
	config_destroy(&c);
	return ok;
}

/* libconfig would take the text before one for all of it. */
static bool
has_no_nul(struct bytes text, const char *path, char *error)
{
	size_t at = bytes_find(text, '\0', 0), line = 1;

	if (at == SIZE_MAX)
		return true;
	for (size_t i = 0; i < at; i++)
		line += text.data[i] == '\n';
	snprintf(error, CONFIG_ERROR_BYTES, "%s:%zu: a NUL byte", path, line);
	return false;
}

bool
config_file_walk(const char *path, const struct config_visitor *visitor, char *error)
{
	const char *slash = strrchr(path, '/');
	/* Where @include looks: beside the file. */
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
	struct buf text;
	bool ok = false;

	buf_init(&text, NULL);
	if (config_file_load(path, &text)) {
		ok = has_no_nul(buf_bytes(&text), path, error) &&
		     config_includes_check(buf_bytes(&text), path, folder, error);
		buf_u8(&text, 0);
		ok = ok && walk_text((const char *)text.data, path, folder, visitor, error);
	} else {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: cannot be read: %s", path, strerror(errno));
	}
	buf_fini(&text);
	free(folder);
	return ok;
}
