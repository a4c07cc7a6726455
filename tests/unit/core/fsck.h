/* fsck.h: the check of a whole store, for tests: at the end of each that uses store.h, and where it finds what is
 * expected. */
#ifndef TESTS_UNIT_CORE_FSCK_H
#define TESTS_UNIT_CORE_FSCK_H

#include "check/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was found, a line each: "kind bucket/key", in the order of their text. */
struct fsck {
	char *lines[256];
	size_t count;
	struct check_totals totals;
};

static inline void
fsck_note(void *data, const struct check_finding *f)
{
	struct fsck *fsck = data;
	char line[1400];

	snprintf(line, sizeof(line), "%s %.*s/%.*s", check_kind_name(f->kind), (int)f->bucket_name.len,
		(const char *)f->bucket_name.data, (int)f->key.len, (const char *)f->key.data);
	fprintf(stderr, "fsck: %s: %s\n", line, f->text);
	if (fsck->count < sizeof(fsck->lines) / sizeof(fsck->lines[0]))
		fsck->lines[fsck->count++] = strdup(line);
}

static inline int
fsck_by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Nobody may change the store meanwhile, also not a reaper. `numbers`: see check_options. */
static inline enum rfs_err
fsck_run(const struct store_drivers *drivers, size_t numbers, struct fsck *out)
{
	struct check_options options = {.numbers = numbers, .found = fsck_note, .data = out};
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	err = check_store(drivers, &options, &out->totals);
	qsort(out->lines, out->count, sizeof(out->lines[0]), fsck_by_text);
	return err;
}

static inline void
fsck_free(struct fsck *fsck)
{
	for (size_t i = 0; i < fsck->count; i++)
		free(fsck->lines[i]);
}

/* Nothing is found. */
static inline bool
fsck_clean(const struct store_drivers *drivers)
{
	struct fsck fsck;
	bool clean = fsck_run(drivers, 0, &fsck) == RFS_OK && fsck.count == 0;

	fsck_free(&fsck);
	return clean;
}

#endif
