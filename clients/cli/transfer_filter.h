/* transfer_filter.h: which of many files a command is about. */
#ifndef CLIENTS_CLI_TRANSFER_FILTER_H
#define CLIENTS_CLI_TRANSFER_FILTER_H

#include "cli.h"

struct filter_rule {
	bool include;
	const char *pattern;
};

struct filter {
	struct filter_rule *rules; /* the last that fits decides */
	size_t rule_count;
	int64_t newer_ns, older_ns; /* INT64_MIN, INT64_MAX: any */
	uint64_t larger, smaller;   /* 0, UINT64_MAX: any */
};

/* --include, or --name, and --exclude (the list `filters`), --newer-than, --older-than, --larger, --smaller. */
bool filter_read(struct cli *cli, struct filter *out);
/*
 * By the name alone: its path below the root. A pattern without '/' fits a name of one level, a file's or a directory's
 * above it; one with '/' fits the path from the root, or that of a directory above it. What no rule fits is taken,
 * unless the first rule is an --include.
 */
bool filter_name(const struct filter *f, const char *name);
/* Nothing below that directory (its path ends in '/') is taken. */
bool filter_prunes(const struct filter *f, const char *folder);
bool filter_takes(const struct filter *f, const char *name, uint64_t size, int64_t mtime_ns);

#endif
