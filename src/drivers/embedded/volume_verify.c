/*
 * volume_verify.c: every record of every volume, front to back, for damage: driver.h, struct volume_ops. What a
 * rebuilding of the index would stumble over is found here before it is needed. [worker]
 *
 * Blocks in bulk volumes, and in journal volumes that a checkpoint covers, are left to who reads rows: what no row
 * names may be anything.
 */
#include "drivers/embedded/embedded_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP 8 /* records lie at multiples of it */

struct verifying {
	struct embedded *e;
	void (*found)(void *data, uint64_t volume, const char *text);
	void *data;
	struct volume_info *list;
	size_t count;
	struct position end; /* of the journal: what is behind it is not written yet */
	uint64_t floor;      /* journal volumes below it may be missing */
};

static void tell(struct verifying *v, uint64_t volume, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
tell(struct verifying *v, uint64_t volume, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	v->found(v->data, volume, text);
}

static const struct volume_info *
volume_find(const struct verifying *v, uint64_t number)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->list[i].super.number == number && v->list[i].super.kind == VOLUME_JOURNAL)
			return &v->list[i];
	return NULL;
}

/* Where a journal volume's records end: its successor says so, or its seal; the last one is still being written. */
static uint64_t
journal_end(const struct verifying *v, const struct volume_info *info, int fd)
{
	uint64_t offset;
	uint32_t length;

	if (info->super.number == v->end.volume)
		return v->end.offset;
	if (info->super.number > v->end.volume)
		return SUPERBLOCK_BYTES;
	for (size_t i = 0; i < v->count; i++)
		if (v->list[i].super.kind == VOLUME_JOURNAL && v->list[i].super.predecessor == info->super.number)
			return v->list[i].super.predecessor_end;
	return seal_find(fd, info->size, info->super.generation, &offset, &length) ? offset : info->size;
}

/* Behind a record that is damaged: the next one, by what its header says, or by looking for another. */
static uint64_t
record_behind(struct scan *s, uint64_t offset, uint64_t end, enum rfs_err *err)
{
	struct record_header h;
	const uint8_t *at = scan_bytes(s, offset, RECORD_HEADER_BYTES, err);

	if (at && record_header_decode(at, offset, s->info->super.generation, &h))
		return offset + record_bytes(h.length);
	for (offset += STEP; !*err && offset + RECORD_HEADER_BYTES <= end; offset += STEP)
		if ((at = scan_bytes(s, offset, RECORD_HEADER_BYTES, err)) &&
			record_header_decode(at, offset, s->info->super.generation, &h))
			return offset;
	return end;
}

/* Batches follow each other without a gap. `next` 0: nobody knows, for something is damaged. */
static void
sequence_verify(
	struct verifying *v, const struct scan *s, const struct record_header *h, uint64_t offset, uint64_t *next)
{
	bool ends = (uint32_t)h->index + 1 == h->count;

	if (h->type == RECORD_EMPTY)
		return;
	if (*next && h->sequence != *next)
		tell(v, s->info->super.number, "at %llu batch %llu comes where %llu should", (unsigned long long)offset,
			(unsigned long long)h->sequence, (unsigned long long)*next);
	*next = ends ? h->sequence + 1 : h->sequence;
}

static enum rfs_err
journal_verify(struct verifying *v, struct scan *s, struct volume_info *info)
{
	uint64_t offset = SUPERBLOCK_BYTES, end, next = info->super.first_sequence;
	enum rfs_err err = scan_open(s, info);

	if (err)
		return err;
	end = journal_end(v, info, s->fd);
	while (!err && offset < end) {
		struct record_header h;
		struct bytes payload;

		if (scan_record(s, offset, &h, &payload, &err)) {
			sequence_verify(v, s, &h, offset, &next);
			offset += record_bytes(h.length);
		} else if (!err) {
			tell(v, info->super.number, "the record at %llu is damaged", (unsigned long long)offset);
			next = 0;
			offset = record_behind(s, offset, end, &err);
		}
	}
	if (!err && offset != end)
		tell(v, info->super.number, "its records end at %llu instead of %llu", (unsigned long long)offset,
			(unsigned long long)end);
	return err;
}

/* One that has none yet is being written, or was when its process ended. */
static enum rfs_err
seal_verify(struct verifying *v, const struct volume_info *info)
{
	uint8_t *entries = NULL;
	char path[4096];
	size_t count;
	enum rfs_err err;
	int fd = open(volume_path(v->e, info->super.number, VOLUME_SUFFIX, path), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return RFS_ERR_IO;
	err = seal_read(fd, info->size, info->super.generation, &entries, &count);
	free(entries);
	close(fd);
	if (err == RFS_ERR_DAMAGED)
		tell(v, info->super.number, "its seal is damaged");
	return err == RFS_ERR_DAMAGED || err == RFS_ERR_NOT_FOUND ? RFS_OK : err;
}

static enum rfs_err
checkpoint_verify(struct verifying *v, const struct volume_info *info)
{
	uint64_t rows;
	enum rfs_err err = info->damaged ? RFS_ERR_DAMAGED : checkpoint_read(v->e, info, NULL, NULL, &rows);

	if (err == RFS_ERR_DAMAGED)
		tell(v, info->super.number, "the checkpoint is damaged");
	return err == RFS_ERR_DAMAGED ? RFS_OK : err;
}

static enum rfs_err
one_verify(struct verifying *v, struct scan *s, struct volume_info *info)
{
	uint64_t before = info->super.predecessor;
	enum rfs_err err;

	if (info->super.kind == VOLUME_CHECKPOINT)
		return checkpoint_verify(v, info);
	if ((err = seal_verify(v, info)) || info->super.kind != VOLUME_JOURNAL)
		return err;
	if (info->super.number < v->floor)
		return RFS_OK; /* its blocks may matter, its batches do not: they are in a checkpoint that is whole */
	if (before >= v->floor && before && !volume_find(v, before))
		tell(v, before, "it is not there, and volume %016llx follows it",
			(unsigned long long)info->super.number);
	return journal_verify(v, s, info);
}

enum rfs_err
volumes_verify(struct storage_driver *d, struct request *rq,
	void (*found)(void *data, uint64_t volume, const char *text), void *data)
{
	struct verifying v = {.e = embedded_of_storage(d), .found = found, .data = data};
	char error[ERROR_BYTES] = "";
	struct scan scan;
	bool any;
	enum rfs_err err;

	if ((err = index_applied(&v.e->index, &v.end, &any)))
		return request_fail(rq, err, "look how far the index is");
	v.floor = checkpoint_floor(v.e);
	if ((err = volume_list(v.e, &v.list, &v.count, error))) {
		tell(&v, 0, "%.200s", error);
		err = err == RFS_ERR_DAMAGED || err == RFS_ERR_UNSUPPORTED_FORMAT ? RFS_OK : err;
	}
	scan_init(&scan, v.e, error);
	for (size_t i = 0; i < v.count && !err; i++)
		if ((err = one_verify(&v, &scan, &v.list[i])) == RFS_ERR_IO) {
			tell(&v, v.list[i].super.number, "it cannot be read");
			err = RFS_OK;
		}
	scan_fini(&scan);
	free(v.list);
	return err;
}
