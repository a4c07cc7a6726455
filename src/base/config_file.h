/*
 * config_file.h: reading a file of libconfig's format, for config.c only. It knows nothing of our options, and its
 * users nothing of libconfig, whose names are also ours. [init]
 */
#ifndef BASE_CONFIG_FILE_H
#define BASE_CONFIG_FILE_H

#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_ERROR_BYTES 512

enum config_value_kind { CONFIG_VALUE_STRING, CONFIG_VALUE_INT, CONFIG_VALUE_BOOL, CONFIG_VALUE_OTHER };

struct config_value {
	enum config_value_kind kind;
	const char *string; /* the file's; gone after the visit */
	int64_t integer;
	bool boolean;
};

struct config_visitor {
	/* False, with a text in `error` (without file and line): stop. `path` is dotted; `place` is "file:line", gone
	 * after the visit. */
	bool (*value)(
		void *context, const char *path, const struct config_value *value, const char *place, char *error);
	bool (*group)(void *context, const char *path, char *error);
	void *context;
};

/* Shows every setting of the file, in its order. False: `error` (CONFIG_ERROR_BYTES) begins with "file:line: ", or "file: " when it cannot be read. */
bool config_file_walk(const char *path, const struct config_visitor *visitor, char *error);

/* A file's whole text; false: errno. */
bool config_file_load(const char *path, struct buf *text);
/*
 * config_include.c: that every @include of the text, and of what it includes, names a file and ends on its line. `folder`: where
 * names begin that do not begin with a slash; NULL: here. False: `error` as above.
 */
bool config_includes_check(struct bytes text, const char *file, const char *folder, char *error);

#endif
