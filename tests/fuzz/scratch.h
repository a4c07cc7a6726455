/*
 * scratch.h: a directory of this process alone, for targets that need files: in $TMPDIR, which tests/fuzz/run sets to
 * a place in memory and removes afterwards.
 */
#ifndef FUZZ_SCRATCH_H
#define FUZZ_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

/* Made at the first call. */
static inline const char *
scratch_directory(void)
{
	static char path[256];
	const char *base = getenv("TMPDIR");

	if (path[0])
		return path;
	snprintf(path, sizeof(path), "%.200s/restfs-fuzz-XXXXXX", base ? base : "/tmp");
	if (mkdtemp(path) == NULL) {
		perror(path);
		abort();
	}
	return path;
}

#endif
