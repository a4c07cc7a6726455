/* preload.h: what the libraries that are preloaded into restfsd share: glibc's own functions, and which files lie below
 * a directory. [any] */
#ifndef TESTS_CRASH_PRELOAD_H
#define TESTS_CRASH_PRELOAD_H

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* glibc's own function. Looked up at each call: a few hundred nanoseconds beside a call of the kernel. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The mode of an open, where it has one. */
#define OPEN_MODE(flags, mode)               \
	mode_t mode = 0;                     \
	if ((flags)&O_CREAT) {               \
		va_list args;                \
		va_start(args, flags);       \
		mode = va_arg(args, mode_t); \
		va_end(args);                \
	}

static char root[PATH_BYTES];
static size_t root_len; /* 0: nothing is followed */

/* False: it is none. */
static inline bool
root_set(const char *directory)
{
	if (!directory || strlen(directory) >= sizeof(root))
		return false;
	strcpy(root, directory);
	root_len = strlen(root);
	return true;
}

static inline bool
is_below(const char *path)
{
	return root_len && strncmp(path, root, root_len) == 0 && (path[root_len] == '/' || path[root_len] == 0);
}

/* The absolute path of what a descriptor is open for; false: it is not below the root. */
static inline bool
descriptor_path(int fd, char out[PATH_BYTES])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_BYTES - 1);
	if (n < 0)
		return false;
	out[n] = 0;
	return is_below(out);
}

/* The same for a name in a directory. */
static inline bool
name_path(int directory, const char *name, char out[PATH_BYTES])
{
	size_t len;

	if (root_len == 0)
		return false;
	if (name[0] == '/') {
		snprintf(out, PATH_BYTES, "%s", name);
	} else if (directory == AT_FDCWD) {
		if (!getcwd(out, PATH_BYTES))
			return false;
		len = strlen(out);
		snprintf(out + len, PATH_BYTES - len, "/%s", name);
	} else {
		if (!descriptor_path(directory, out))
			return false;
		len = strlen(out);
		snprintf(out + len, PATH_BYTES - len, "/%s", name);
	}
	return is_below(out);
}

#endif
