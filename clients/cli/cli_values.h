/* cli_values.h: what the value of an option means. */
#ifndef CLIENTS_CLI_CLI_VALUES_H
#define CLIENTS_CLI_CLI_VALUES_H

#include "cli_arguments.h"
#include <jansson.h>
#include <stdint.h>
#include <time.h>

/* NULL: `problem` says what it must be, to follow the option's name. */
json_t *value_parse(const struct argument *a, const char *text, const char **problem);

/* 10, 10K, 10KiB, 10kb, 10KB: all of 1024. */
bool value_size(const char *text, uint64_t *out);
/* 90, 90s, 15m, 2h, 7d, 4w: in seconds. */
bool value_duration(const char *text, uint64_t *seconds);
/* A duration before `now`, or 2026-01-31, or 2026-01-31T12:00:00Z. */
bool value_when(const char *text, time_t now, int64_t *out);

#endif
