/*
 * config.h: the daemon's options. options.def is the only list: type, bounds, default and text; from it come the
 * parser, the checks, `restfsd --help-config` and the reference page.
 *
 * The file is libconfig's format. An unknown option, a wrong type or a value that is not legal is an error that names
 * file and line.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/bytes.h"

/* Strings are owned by the config; sizes in bytes; times in milliseconds unless the name says otherwise. */
struct config {
#define OPTION_STRING(field, path, kind, words, standard, text) char *field;
#define OPTION_INT(field, path, unit, min, max, standard, text) int64_t field;
#define OPTION_BOOL(field, path, standard, text) bool field;
#include "base/options.def"
#undef OPTION_STRING
#undef OPTION_INT
#undef OPTION_BOOL
	char **places; /* of each option the "file:line" that it was read at; NULL: it was not read from a file */
};

/*
 * libconfig exports functions of two of these names; ours are linked under others, and no file includes both headers (config_file.c
 * stands between).
 */
void config_init(struct config *c) __asm__("restfs_config_init"); /* all defaults */
void config_fini(struct config *c);
/* False: `error` (size 512) says what, with "file:line: ". Sizes may be written as 65536 or "64K", "4M", "1G"; times as 500 or "500ms", "30s", "5m". */
bool config_read_file(struct config *c, const char *path, char *error) __asm__("restfs_config_read_file");
/* "path" = "value", as from the command line. */
bool config_set(struct config *c, const char *path, const char *value, char *error);
/* After all was read: do options go together? False: `error` names one that does not, with "file:line: " if it was read
 * from a file. */
bool config_check(const struct config *c, char *error);
/* A commented sample of every option; what in `c` is not the default is set in it. */
void config_help(struct buf *out, const struct config *c);

#endif
