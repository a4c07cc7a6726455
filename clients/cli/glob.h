/*
 * glob.h: patterns of keys, as a shell has them: `*` any characters but '/', `**` any characters, `?` one but '/',
 * `[a-z]` and `[!a-z]` one of a set,
 * `\` takes what follows as it is. An opening bracket without a closing one is itself. Bytes, not letters: `?` is one
 * byte of UTF-8.
 */
#ifndef CLIENTS_CLI_GLOB_H
#define CLIENTS_CLI_GLOB_H

#include <stdbool.h>
#include <stddef.h>

bool glob_match(const char *pattern, const char *text);
/* What every match begins with, into `out`, as far as `size` goes. */
void glob_prefix(const char *pattern, char *out, size_t size);

#endif
