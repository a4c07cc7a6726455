/*
 * salvage_files.c: which of the files of a damaged store are volumes, and of what: by what is in them, whatever their
 * names. Each gets its right name in the store that is being made, as another link to the same file. One whose
 * superblock was made again is copied, for the files of the damaged store are never written to. [init]
 */
#include "drivers/embedded/salvage_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)4 * 1024 * 1024)

/* --- the list ----------------------------------------------------------------------------------------------------- */

static bool
file_inspect(struct salvage *s, const char *directory, const char *name, struct salvage_file *f)
{
	uint8_t bytes[SUPERBLOCK_BYTES];
	char path[4096];
	struct stat st;
	bool good = false;
	int fd;

	*f = (struct salvage_file){0};
	snprintf(f->name, sizeof(f->name), "%s", name);
	if (!volume_parse_name(name, VOLUME_SUFFIX, &f->named))
		f->named = 0;
	snprintf(path, sizeof(path), "%.3800s/%s", directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		f->size = (uint64_t)st.st_size;
		good = (read_exactly(fd, bytes, sizeof(bytes), 0) && superblock_decode(bytes, &f->super) == RFS_OK) ||
		       salvage_guess(f, fd);
	}
	if (fd >= 0)
		close(fd);
	if (!good)
		salvage_note(s, f->named ? "volume-lost" : "file-foreign",
			"%s is not a volume, or nothing of it is left", name);
	return good;
}

static enum rfs_err
files_read(struct salvage *s, const char *directory)
{
	struct dirent *entry;
	uint64_t number;
	DIR *dir = opendir(directory);

	if (dir == NULL)
		return salvage_fail(s, error_from_errno(errno), "list %s: %s", directory, strerror(errno));
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			volume_parse_name(entry->d_name, VOLUME_MAKING_SUFFIX, &number))
			continue;
		if (s->file_count == s->file_capacity) {
			s->file_capacity = s->file_capacity ? 2 * s->file_capacity : 64;
			s->files = xrealloc(s->files, s->file_capacity * sizeof(*s->files));
		}
		if (file_inspect(s, directory, entry->d_name, &s->files[s->file_count]))
			s->file_count++;
		if (volume_parse_name(entry->d_name, VOLUME_SUFFIX, &number) ||
			volume_parse_name(entry->d_name, CHECKPOINT_SUFFIX, &number))
			s->number = number > s->number ? number : s->number;
	}
	closedir(dir);
	return RFS_OK;
}

/* By number; of several with one number first the one with most in it, then the one that is likely to be it. */
static int
compare_files(const void *a, const void *b)
{
	const struct salvage_file *x = a, *y = b;
	bool x_named = salvage_is_named(x), y_named = salvage_is_named(y);

	if (x->super.number != y->super.number)
		return x->super.number < y->super.number ? -1 : 1;
	if (x->record_bytes != y->record_bytes)
		return x->record_bytes < y->record_bytes ? 1 : -1;
	if (x->is_made_up != y->is_made_up)
		return x->is_made_up - y->is_made_up;
	if (x_named != y_named)
		return y_named - x_named;
	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return strcmp(x->name, y->name);
}

static bool
is_ours(const struct salvage *s, const struct salvage_file *f)
{
	return memcmp(f->super.store, s->store, 16) == 0;
}

/* Another of ours with the same number, rather one that has its superblock; NULL: there is none. */
static const struct salvage_file *
copy_of(const struct salvage *s, const struct salvage_file *f)
{
	const struct salvage_file *found = NULL;

	for (size_t i = 0; i < s->file_count; i++) {
		const struct salvage_file *other = &s->files[i];

		if (other != f && is_ours(s, other) && other->super.number == f->super.number &&
			(found == NULL || found->is_made_up))
			found = other;
	}
	return found;
}

/* Copies of a volume may each have their own damage: what counts is how many of their records are whole. */
static void
compare_copies(struct salvage *s, const char *directory)
{
	for (size_t i = 0; i < s->file_count; i++) {
		struct salvage_file *f = &s->files[i];
		const struct salvage_file *other = is_ours(s, f) ? copy_of(s, f) : NULL;

		if (other && f->is_made_up) /* then it has none of these records, if it only had the name */
			f->super = other->super;
		if (other)
			f->record_bytes = salvage_record_bytes(directory, f);
	}
}

/* --- into the store that is being made ---------------------------------------------------------------------------- */

static enum rfs_err
copy_with_superblock(const struct salvage_file *f, const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint64_t at = SUPERBLOCK_BYTES, known = 0;
	uint8_t *bytes = xmalloc(WINDOW_BYTES);
	enum rfs_err err = in < 0 || out < 0 ? error_from_errno(errno) : RFS_OK;

	superblock_encode(&f->super, bytes);
	if (!err)
		err = write_all(out, &(struct iovec){bytes, SUPERBLOCK_BYTES}, 1, 0);
	while (!err && (at = data_next(in, at, &known)) < f->size) {
		uint64_t piece = f->size - at < WINDOW_BYTES ? f->size - at : WINDOW_BYTES;

		if (!read_exactly(in, bytes, piece, at))
			memset(bytes, 0, piece); /* no records there */
		err = write_all(out, &(struct iovec){bytes, piece}, 1, at);
		at += piece;
	}
	if (!err && (ftruncate(out, (off_t)f->size) != 0 || fsync(out) != 0))
		err = error_from_errno(errno);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	free(bytes);
	return err;
}

static enum rfs_err
file_take(struct salvage *s, const struct salvage_file *f, const char *directory)
{
	const char *suffix = f->super.kind == VOLUME_CHECKPOINT ? CHECKPOINT_SUFFIX : VOLUME_SUFFIX;
	char from[4096], to[4096];
	enum rfs_err err = RFS_OK;

	snprintf(from, sizeof(from), "%.3800s/%s", directory, f->name);
	snprintf(to, sizeof(to), "%s/volumes/%016llx%s", s->made, (unsigned long long)f->super.number, suffix);
	if (f->is_made_up)
		salvage_note(s, "volume-repaired", "the superblock of volume %016llx is lost; its records are there",
			(unsigned long long)f->super.number);
	else if (f->named != f->super.number && f->super.kind != VOLUME_CHECKPOINT)
		salvage_note(s, "volume-renamed", "%s is volume %016llx", f->name, (unsigned long long)f->super.number);
	if (f->is_made_up || link(from, to) != 0) /* a file system without links: a copy */
		err = copy_with_superblock(f, from, to);
	return err ? salvage_fail(s, err, "take %s: %s", f->name, error_face(err)->text) : RFS_OK;
}

enum rfs_err
salvage_files(struct salvage *s)
{
	char directory[4096];
	uint64_t last = 0;
	enum rfs_err err;

	snprintf(directory, sizeof(directory), "%s/volumes", s->data);
	if ((err = files_read(s, directory)))
		return err;
	if ((err = salvage_choose(s)))
		return err;
	for (size_t i = 0; i < s->file_count; i++)
		if (s->files[i].is_made_up)
			memcpy(s->files[i].super.store, s->store, 16);
	compare_copies(s, directory);
	if (s->file_count)
		qsort(s->files, s->file_count, sizeof(*s->files), compare_files);
	for (size_t i = 0; i < s->file_count; i++) {
		struct salvage_file *f = &s->files[i];

		if (!is_ours(s, f))
			salvage_note(s, "file-foreign", "%s is a volume of another store", f->name);
		else if (f->super.number == last)
			salvage_note(s, "file-foreign", "%s is another copy of volume %016llx, with no more in it",
				f->name, (unsigned long long)last);
		else if (f->super.number > UINT32_MAX)
			salvage_note(s, "file-foreign", "%s has a number that no volume has", f->name);
		else if ((err = file_take(s, f, directory)))
			return err;
		else
			last = f->super.number;
	}
	s->number = last > s->number ? last : s->number;
	return last ? RFS_OK : salvage_fail(s, RFS_ERR_NOT_FOUND, "there is no volume in %s", directory);
}
