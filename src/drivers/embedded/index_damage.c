/*
 * index_damage.c: an index whose bytes fail RocksDB's checksums. The store goes on with what can be read of it, and the
 * file DATA/index-damaged has the next open make it anew, as one that is lost. How far the index had come is then in
 * that file: without it, nothing would say that the journal's end is lost too.
 *
 *   found: the mark --next open--> the position in it --> no files in index/ --> checkpoint, journal --> no mark
 *
 * Wherever that is interrupted the mark is there, and the open after it begins anew.
 */
#include "base/log.h"
#include "base/metrics.h"
#include "drivers/embedded/embedded_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK INDEX_DAMAGE_MARK
#define MARK_BYTES 512
#define STORE_TEXT 33
/* For printf and scanf. */
#define POSITION(u64, s) \
	"volume %" u64 ", offset %" u64 ", group %" u64 ", batch %" u64 ", next volume %" u64 ", store %" s "\n"

/* Durably, and whole or as it was. */
static enum rfs_err
mark_write(const char *data, const char *text)
{
	char path[4096], made[4096];
	int fd;
	enum rfs_err err = RFS_OK;

	snprintf(path, sizeof(path), "%.4000s/" MARK, data);
	snprintf(made, sizeof(made), "%.4000s/" MARK ".new", data);
	fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, &(struct iovec){(void *)(uintptr_t)text, strlen(text)}, 1, 0) || fsync(fd) != 0 ||
		rename(made, path) != 0)
		err = error_from_errno(errno);
	if (fd >= 0)
		close(fd);
	return err ? err : sync_directory(data);
}

/* Its first line; false: there is none. */
static bool
mark_read(const char *data, char out[MARK_BYTES])
{
	char path[4096];
	FILE *file;

	out[0] = 0;
	snprintf(path, sizeof(path), "%.4000s/" MARK, data);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	if (fgets(out, MARK_BYTES, file) == NULL)
		out[0] = 0;
	fclose(file);
	return true;
}

void
index_damage_found(struct index *ix, const char *what)
{
	if (ix->data == NULL || atomic_exchange(&ix->damaged, true))
		return;
	metric_set(METRIC_INDEX_DAMAGED, 1);
	log_error(0, "the index is damaged: the next start makes it anew from the journal");
	if (!index_damage_is_marked(ix->data) && mark_write(ix->data, what))
		log_error(0, "mark the index as damaged: remove %s/index before the next start", ix->data);
}

bool
index_damage_is_marked(const char *data)
{
	char text[MARK_BYTES];

	return mark_read(data, text);
}

bool
index_damage_position(const char *data, struct position *out)
{
	char text[MARK_BYTES], store[STORE_TEXT];

	*out = (struct position){0};
	return mark_read(data, text) &&
	       sscanf(text, POSITION(SCNu64, "32s"), &out->volume, &out->offset, &out->group, &out->sequence,
		       &out->next_volume, store) == 6 &&
	       hex_decode(bytes_of(store, strlen(store)), out->store, sizeof(out->store));
}

/* What is left of it may say it; else nothing does. */
static enum rfs_err
keep_position(const char *data, const char *index, struct position *out)
{
	char text[MARK_BYTES], store[STORE_TEXT];

	if (index_damage_position(data, out))
		return RFS_OK;
	if (!index_peek(index, out)) {
		*out = (struct position){0};
		return RFS_OK;
	}
	hex_encode(bytes_of(out->store, sizeof(out->store)), store);
	snprintf(text, sizeof(text), POSITION(PRIu64, "s"), out->volume, out->offset, out->group, out->sequence,
		out->next_volume, store);
	return mark_write(data, text);
}

/* RocksDB has its files side by side; a directory is somebody else's. */
static enum rfs_err
remove_files(const char *path)
{
	struct dirent *entry;
	struct stat st;
	DIR *directory = opendir(path);
	enum rfs_err err = RFS_OK;

	if (directory == NULL)
		return errno == ENOENT ? RFS_OK : error_from_errno(errno);
	while (!err && (entry = readdir(directory)))
		if (fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
			unlinkat(dirfd(directory), entry->d_name, 0) != 0)
			err = error_from_errno(errno);
	closedir(directory);
	return err;
}

enum rfs_err
index_damage_begin(const char *data, const char *index, bool *is_marked, struct position *before, char *error)
{
	enum rfs_err err;

	*before = (struct position){0};
	*is_marked = index_damage_is_marked(data);
	if (!*is_marked)
		return RFS_OK;
	log_warn(0, "the index was damaged: it is made anew from the journal");
	if ((err = keep_position(data, index, before)) || (err = remove_files(index)))
		snprintf(error, ERROR_BYTES, "make the damaged index %.400s anew: %s", index, error_face(err)->text);
	return err;
}

enum rfs_err
index_damage_end(const char *data)
{
	char path[4096];

	snprintf(path, sizeof(path), "%.4000s/" MARK, data);
	if (unlink(path) != 0)
		return error_from_errno(errno);
	return sync_directory(data);
}
