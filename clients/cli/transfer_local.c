/* transfer_local.c: files, as transfers write them: under another name until they are whole. */
#include "transfer.h"
#include "base/clock.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define HASH_DIGITS 16
#define NAME_BYTES 224 /* of a file, to which hash and suffix may be put: names have 255 */

/* --- directories -------------------------------------------------------------------------------------------------- */

/* All above the last slash, as `mkdir -p` makes them: over links, too. */
static bool
folders_make(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')); at++) {
		int result;

		*at = '\0';
		result = mkdir(path, 0777);
		*at = '/';
		if (result != 0 && errno != EEXIST)
			return false;
	}
	return true;
}

static int
root_open(const char *path, size_t len, bool make)
{
	char text[PATH_BYTES];

	if (len == 0)
		return open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	memcpy(text, path, len);
	text[len] = '\0';
	return make && !folders_make(text) ? -1 : open(text, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool
is_link(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* The directory of that name. Closes the one that it is in. */
static int
folder_enter(int folder, const char *name, bool make)
{
	int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, saved;
	int fd = openat(folder, name, flags);

	if (fd < 0 && errno == ENOENT && make && (mkdirat(folder, name, 0777) == 0 || errno == EEXIST))
		fd = openat(folder, name, flags);
	saved = fd < 0 && errno == ENOTDIR && is_link(folder, name) ? ELOOP : errno;
	close(folder);
	errno = saved;
	return fd;
}

static size_t
folder_len(const char *path)
{
	return (size_t)(local_name(path) - path);
}

static int
folder_open(const char *path, size_t root_len, bool make)
{
	size_t len = folder_len(path), from = root_len ? root_len : len;
	char name[PATH_BYTES];
	int fd;

	if (len >= PATH_BYTES) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = root_open(path, from, make);
	while (fd >= 0 && from < len) {
		size_t name_len = strcspn(path + from, "/");

		memcpy(name, path + from, name_len);
		name[name_len] = '\0';
		fd = folder_enter(fd, name, make);
		from += name_len + 1;
	}
	return fd;
}

void
local_folder_close(struct worker *w)
{
	if (w->folder_fd >= 0)
		close(w->folder_fd);
	w->folder_fd = -1;
}

int
local_folder(struct worker *w, const char *path, size_t root_len)
{
	size_t len = folder_len(path);

	if (w->folder_fd >= 0 && w->folder_root_len == root_len && strncmp(w->folder, path, len) == 0 &&
		w->folder[len] == '\0')
		return w->folder_fd;
	local_folder_close(w);
	w->folder_fd = folder_open(path, root_len, true);
	if (w->folder_fd >= 0) {
		memcpy(w->folder, path, len);
		w->folder[len] = '\0';
		w->folder_root_len = root_len;
	}
	return w->folder_fd;
}

bool
local_remove(const char *path, size_t root_len, int flags)
{
	int folder = folder_open(path, root_len, false), saved;
	bool done = folder >= 0 && unlinkat(folder, local_name(path), flags) == 0;

	saved = errno;
	if (folder >= 0)
		close(folder);
	errno = saved;
	return done;
}

const char *
local_problem(int error)
{
	return error == ELOOP ? "a symbolic link is in the way, and below the target none is followed"
			      : strerror(error);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

const char *
local_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *
local_part_path(struct arena *arena, const char *path)
{
	const char *name = local_name(path);

	if (strlen(name) <= NAME_BYTES)
		return arena_printf(
			arena, "%s.%016" PRIx64 "%s", path, hash64(bytes_str(name), 0), TRANSFER_PART_SUFFIX);
	return arena_printf(arena, "%.*s.%016" PRIx64 "%s", (int)(name - path), path, hash64(bytes_str(name), 0),
		TRANSFER_PART_SUFFIX);
}

bool
local_is_part(const char *name)
{
	size_t len = strlen(name), tail = 1 + HASH_DIGITS + strlen(TRANSFER_PART_SUFFIX);
	char expected[1 + HASH_DIGITS + sizeof(TRANSFER_PART_SUFFIX)];

	if (len < tail || strcmp(name + len - strlen(TRANSFER_PART_SUFFIX), TRANSFER_PART_SUFFIX) != 0)
		return false;
	if (len == tail) /* of a name that is not in it */
		return name[0] == '.' && strspn(name + 1, "0123456789abcdef") == HASH_DIGITS;
	snprintf(expected, sizeof(expected), ".%016" PRIx64 "%s",
		hash64((struct bytes){(const uint8_t *)name, len - tail}, 0), TRANSFER_PART_SUFFIX);
	return strcmp(name + len - tail, expected) == 0;
}

bool
local_write(int fd, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

bool
local_finish(const struct transfer_options *o, int folder, int fd, const char *part, const char *name, int64_t mtime_ns)
{
	int64_t seconds = mtime_ns / NS_PER_SECOND - (mtime_ns % NS_PER_SECOND < 0);
	struct timespec times[2] = {
		{.tv_nsec = UTIME_NOW}, {.tv_sec = seconds, .tv_nsec = mtime_ns - seconds * NS_PER_SECOND}};
	bool done = futimens(fd, times) == 0 && (!o->sync_disk || fsync(fd) == 0);
	int saved = done ? 0 : errno;

	if (close(fd) != 0 && done) {
		done = false;
		saved = errno;
	}
	if (done && renameat(folder, part, folder, name) == 0)
		return true;
	errno = done ? errno : saved;
	return false;
}

int64_t
timespec_ns(const struct timespec *t)
{
	return t->tv_sec * NS_PER_SECOND + t->tv_nsec;
}

const char *
content_type_of(const char *path)
{
	static const char *const types[][2] = {{"html", "text/html"}, {"htm", "text/html"}, {"css", "text/css"},
		{"js", "text/javascript"}, {"txt", "text/plain"}, {"md", "text/markdown"}, {"csv", "text/csv"},
		{"xml", "application/xml"}, {"json", "application/json"}, {"pdf", "application/pdf"},
		{"zip", "application/zip"}, {"gz", "application/gzip"}, {"tar", "application/x-tar"},
		{"png", "image/png"}, {"jpg", "image/jpeg"}, {"jpeg", "image/jpeg"}, {"gif", "image/gif"},
		{"svg", "image/svg+xml"}, {"webp", "image/webp"}, {"ico", "image/vnd.microsoft.icon"},
		{"mp3", "audio/mpeg"}, {"mp4", "video/mp4"}, {"webm", "video/webm"}, {"wasm", "application/wasm"},
		{"woff2", "font/woff2"}, {"parquet", "application/vnd.apache.parquet"}};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(dot + 1, types[i][0]) == 0)
			return types[i][1];
	return NULL;
}

bool
local_name_is_safe(const char *name)
{
	for (;;) {
		size_t len = strcspn(name, "/");

		if (len == 0 || (len <= 2 && strncmp(name, "..", len) == 0))
			return false;
		if (!name[len])
			return true;
		name += len + 1;
	}
}

bool
text_is_utf8(const char *text)
{
	json_t *made = json_string(text);

	json_decref(made);
	return made != NULL;
}
