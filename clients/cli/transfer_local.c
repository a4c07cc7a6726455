/* transfer_local.c: files, as transfers write them: under another name until they are whole. */
#include "transfer.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
#define NAME_BYTES 240 /* of a file, to which the suffix may be put: names have 255 */

static bool
folders_make(const char *path)
{
	char text[4096];
	size_t len = strlen(path);

	if (len >= sizeof(text)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(text, path, len + 1);
	for (char *at = text + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		if (mkdir(text, 0777) != 0 && errno != EEXIST)
			return false;
		*at = '/';
	}
	return true;
}

bool
local_folders_make(struct worker *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) + 1 : 0;

	if (len == 0 || (strncmp(w->folder, path, len) == 0 && w->folder[len] == '\0'))
		return true;
	if (!folders_make(path))
		return false;
	memcpy(w->folder, path, len);
	w->folder[len] = '\0';
	return true;
}

const char *
local_part_path(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (strlen(name) <= NAME_BYTES)
		return arena_printf(arena, "%s%s", path, TRANSFER_PART_SUFFIX);
	return arena_printf(arena, "%.*s%016" PRIx64 "%s", (int)(name - path), path, hash64(bytes_str(name), 0),
		TRANSFER_PART_SUFFIX);
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
local_finish(const struct transfer_options *o, int fd, const char *part, const char *path, int64_t mtime_ns)
{
	int64_t seconds = mtime_ns / SECOND_NS - (mtime_ns % SECOND_NS < 0);
	struct timespec times[2] = {
		{.tv_nsec = UTIME_NOW}, {.tv_sec = seconds, .tv_nsec = mtime_ns - seconds * SECOND_NS}};
	bool done = futimens(fd, times) == 0 && (!o->sync_disk || fsync(fd) == 0);
	int saved = done ? 0 : errno;

	if (close(fd) != 0 && done) {
		done = false;
		saved = errno;
	}
	if (done && rename(part, path) == 0)
		return true;
	errno = done ? errno : saved;
	return false;
}

int64_t
timespec_ns(const struct timespec *t)
{
	return t->tv_sec * SECOND_NS + t->tv_nsec;
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
