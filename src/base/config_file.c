/* config_file.c: see config_file.h. [init] */
#include "base/config_file.h"
#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
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
	char path[PATH_BYTES], why[CONFIG_ERROR_BYTES] = "";
	struct config_value v;
	bool ok;

	snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] ? "." : "", config_setting_name(s));
	if (config_setting_is_group(s)) {
		ok = visitor->group(visitor->context, path, why);
		if (ok)
			return walk_group(s, path, file, visitor, error);
	} else {
		v = value_of(s);
		ok = visitor->value(visitor->context, path, &v, why);
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

/* Where @include looks: beside the file. */
static void
set_include_folder(config_t *c, const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];

	if (slash == NULL || (size_t)(slash - path) >= sizeof(folder))
		return;
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	config_set_include_dir(c, slash == path ? "/" : folder);
}

bool
config_file_walk(const char *path, const struct config_visitor *visitor, char *error)
{
	const char *file;
	config_t c;
	bool ok = false;

	config_init(&c);
	set_include_folder(&c, path);
	errno = 0;
	if (config_read_file(&c, path) == CONFIG_TRUE) {
		ok = walk_group(config_root_setting(&c), "", path, visitor, error);
	} else if (config_error_type(&c) == CONFIG_ERR_FILE_IO) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: cannot be read: %s", path,
			errno ? strerror(errno) : config_error_text(&c));
	} else {
		file = config_error_file(&c);
		snprintf(error, CONFIG_ERROR_BYTES, "%s:%d: %s", file ? file : path, config_error_line(&c),
			config_error_text(&c));
	}
	config_destroy(&c);
	return ok;
}
