/*
 * salvage_files.c: which of the files of a damaged store are volumes, and of what: by what is in them, whatever their
 * names. Each gets its right name in the store that is being made, as another link to the same file. [init]
 *
 * A superblock that is lost is made again from the records: what they are bound to, the volume's generation, is found
 * by solving the checksums of their headers for it, and must be the same in all of them. Such a volume is copied, for
 * the files of the damaged store are never written to.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "drivers/embedded/salvage_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)4 * 1024 * 1024)
#define RECORD_PAYLOAD_MOST ((uint64_t)32 * 1024 * 1024) /* blocks have 8 MiB at most; a seal has an entry for each */

/* --- superblocks made again --------------------------------------------------------------------------------------- */

/* A file, through a window. */
struct view {
	int fd;
	uint64_t size, at, len;
	uint8_t *window;
};

/* NULL: beyond the end, or it cannot be read. */
static const uint8_t *
view_bytes(struct view *v, uint64_t offset, uint64_t len)
{
	if (len > v->size || offset > v->size - len || len > WINDOW_BYTES)
		return NULL;
	if (offset < v->at || offset + len > v->at + v->len) {
		v->at = offset;
		v->len = v->size - offset < WINDOW_BYTES ? v->size - offset : WINDOW_BYTES;
		if (!read_exactly(v->fd, v->window, v->len, offset)) {
			v->len = 0;
			return NULL;
		}
	}
	return v->window + (offset - v->at);
}

static bool
payload_matches(struct view *v, uint64_t offset, uint64_t length)
{
	uint64_t left = length, at = offset;
	const uint8_t *bytes;
	uint32_t crc = 0;

	while (left) {
		uint64_t piece = left < 65536 ? left : 65536;

		if ((bytes = view_bytes(v, at, piece)) == NULL)
			return false;
		crc = crc32c(crc, bytes, piece);
		at += piece;
		left -= piece;
	}
	bytes = view_bytes(v, at, record_padding(length) + RECORD_FOOTER_BYTES);
	return bytes && record_tail_matches(crc, length, bytes);
}

/* What looks like a record: its footer fits, and its header's checksum does with some generation. */
static bool
record_like(struct view *v, uint64_t offset, struct record_header *h, uint64_t *generation)
{
	const uint8_t *at = view_bytes(v, offset, RECORD_HEADER_BYTES);
	uint8_t header[RECORD_HEADER_BYTES];
	uint64_t length;

	if (at == NULL || at[4] < RECORD_BLOCK || at[4] > RECORD_SEAL || at[5] > RECORD_GROUP_LAST)
		return false;
	memcpy(header, at, sizeof(header));
	length = load_u32(header + 8);
	if (length > RECORD_PAYLOAD_MOST || record_bytes(length) > v->size - offset ||
		!payload_matches(v, offset + RECORD_HEADER_BYTES, length))
		return false;
	*generation = record_generation(header, offset);
	return record_header_decode(header, offset, *generation, h);
}

/* The generation that two records have, or the only one. */
static bool
generation_find(struct view *v, uint64_t *generation, struct record_header *first)
{
	uint64_t offset = SUPERBLOCK_BYTES, candidate;
	struct record_header h;
	bool found = false;

	while (offset + RECORD_HEADER_BYTES <= v->size) {
		if (!record_like(v, offset, &h, &candidate)) {
			offset += 8;
			continue;
		}
		if (found && candidate == *generation)
			return true;
		if (!found || first->type == RECORD_SEAL)
			*first = h;
		*generation = candidate;
		found = true;
		offset += record_bytes(h.length);
	}
	return found;
}

static bool
superblock_guess(struct salvage_file *f, int fd)
{
	struct view v = {.fd = fd, .size = f->size};
	struct record_header first = {0};
	bool found;

	if (f->size <= SUPERBLOCK_BYTES || f->named == 0)
		return false;
	v.window = xmalloc(WINDOW_BYTES);
	found = generation_find(&v, &f->super.generation, &first);
	free(v.window);
	if (!found)
		return false;
	f->is_made_up = true;
	f->super.number = f->named;
	f->super.created_ns = clock_wall_ns();
	f->super.kind = first.sequence || first.type == RECORD_EMPTY ? VOLUME_JOURNAL : VOLUME_BULK;
	if (f->super.kind == VOLUME_JOURNAL) {
		f->super.first_group = first.group ? first.group : 1;
		f->super.first_sequence = first.sequence + (first.type == RECORD_EMPTY); /* that of the batch before */
	}
	return true;
}

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
		       superblock_guess(f, fd);
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

/* The store that has most of them: files of another one may have been put among them. */
static void
choose_store(struct salvage *s)
{
	size_t best = 0;

	uuid_v7(s->store);
	for (size_t i = 0; i < s->file_count; i++) {
		size_t same = 0;

		for (size_t k = 0; k < s->file_count; k++)
			same += !s->files[i].is_made_up && !s->files[k].is_made_up &&
				memcmp(s->files[i].super.store, s->files[k].super.store, 16) == 0;
		if (same > best) {
			best = same;
			memcpy(s->store, s->files[i].super.store, 16);
		}
	}
}

/* By number; of several with one number first the one that is likely to be it. */
static int
compare_files(const void *a, const void *b)
{
	const struct salvage_file *x = a, *y = b;
	bool x_named = x->named == x->super.number, y_named = y->named == y->super.number;

	if (x->super.number != y->super.number)
		return x->super.number < y->super.number ? -1 : 1;
	if (x->is_made_up != y->is_made_up)
		return x->is_made_up - y->is_made_up;
	if (x_named != y_named)
		return y_named - x_named;
	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* --- into the store that is being made ---------------------------------------------------------------------------- */

static enum rfs_err
copy_with_superblock(const struct salvage_file *f, const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint64_t at = SUPERBLOCK_BYTES;
	uint8_t *bytes = xmalloc(WINDOW_BYTES);
	enum rfs_err err = in < 0 || out < 0 ? error_from_errno(errno) : RFS_OK;

	superblock_encode(&f->super, bytes);
	if (!err)
		err = write_all(out, &(struct iovec){bytes, SUPERBLOCK_BYTES}, 1, 0);
	while (!err && at < f->size) {
		uint64_t piece = f->size - at < WINDOW_BYTES ? f->size - at : WINDOW_BYTES;

		if (!read_exactly(in, bytes, piece, at))
			memset(bytes, 0, piece); /* no records there */
		err = write_all(out, &(struct iovec){bytes, piece}, 1, at);
		at += piece;
	}
	if (!err && fsync(out) != 0)
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
	choose_store(s);
	if (s->file_count)
		qsort(s->files, s->file_count, sizeof(*s->files), compare_files);
	for (size_t i = 0; i < s->file_count; i++) {
		struct salvage_file *f = &s->files[i];

		if (f->is_made_up)
			memcpy(f->super.store, s->store, 16);
		if (memcmp(f->super.store, s->store, 16) != 0)
			salvage_note(s, "file-foreign", "%s is a volume of another store", f->name);
		else if (f->super.number == last)
			salvage_note(
				s, "file-foreign", "%s is another volume %016llx", f->name, (unsigned long long)last);
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
