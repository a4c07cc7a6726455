/*
 * checkpoint.c: an image of the index as of one position of the journal, in a volume of its own (docs/format/volume.md,
 * "CHECKPOINT"). With it the journal before that position is not needed to rebuild the index, and may be removed.
 *
 * It is written under a temporary name, synced, made read-only and renamed, so that one with a checkpoint's name is
 * whole, or damaged; only then older ones go. Whoever reads one verifies all of it first: a row from a checkpoint that
 * turns out to be cut short is never used.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include "base/crash_point.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_BYTES ((size_t)1024 * 1024)          /* a record is full when it has as many */
#define RECORD_BYTES_MOST ((size_t)4 * 1024 * 1024) /* a row more: a batch's keys and values are within 1 MiB */
#define SYNC_BYTES ((uint64_t)8 * 1024 * 1024)      /* or one long sync would be in the way of the journal's */
#define TRAILER_BYTES 12

void
checkpoints_init(struct checkpoints *c)
{
	pthread_mutex_init(&c->making, NULL);
	pthread_mutex_init(&c->lock, NULL);
}

void
checkpoints_fini(struct checkpoints *c)
{
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->making);
}

void
checkpoint_newest(struct embedded *e, struct checkpoint_info *out)
{
	pthread_mutex_lock(&e->checkpoints.lock);
	*out = e->checkpoints.newest;
	pthread_mutex_unlock(&e->checkpoints.lock);
}

static void
remember(struct embedded *e, const struct checkpoint_info *info, bool is_verified)
{
	pthread_mutex_lock(&e->checkpoints.lock);
	e->checkpoints.newest = *info;
	e->checkpoints.is_verified = is_verified;
	pthread_mutex_unlock(&e->checkpoints.lock);
}

static struct checkpoint_info
info_of(const struct superblock *s, uint64_t bytes, uint64_t rows)
{
	return (struct checkpoint_info){.number = s->number,
		.bytes = bytes,
		.rows = rows,
		.sequence = s->first_sequence,
		.volume = s->predecessor,
		.offset = s->predecessor_end};
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

struct writer {
	int fd;
	struct superblock super;
	uint64_t offset, synced;
	uint64_t records, rows;
	uint32_t crc; /* of all payloads of rows */
	struct buf payload;
	int64_t now_ns;
};

/* What has been gathered, as a record. */
static enum rfs_err
write_record(struct writer *w, uint8_t flags)
{
	struct record_header h = {.type = RECORD_CHECKPOINT,
		.flags = flags,
		.count = 1,
		.number = w->records++,
		.length = (uint32_t)w->payload.len,
		.time_ns = w->now_ns};
	uint8_t header[RECORD_HEADER_BYTES], tail[7 + RECORD_FOOTER_BYTES];
	uint32_t crc = crc32c(0, w->payload.data, w->payload.len);
	struct iovec iov[3] = {{header, sizeof(header)}, {w->payload.data, w->payload.len}, {tail, 0}};
	enum rfs_err err;

	iov[2].iov_len = record_tail_encode(crc, h.length, tail);
	record_header_encode(&h, w->offset, w->super.generation, header);
	if ((err = write_all(w->fd, iov, 3, w->offset)))
		return err;
	w->offset += record_bytes(h.length);
	if (w->offset - w->synced >= SYNC_BYTES) {
		if (fdatasync(w->fd) != 0)
			return error_from_errno(errno);
		w->synced = w->offset;
	}
	w->payload.len = 0;
	return RFS_OK;
}

static enum rfs_err
write_rows_record(struct embedded *e, struct writer *w)
{
	enum rfs_err err;

	if ((err = space_admit(e, SPACE_COMPACTS, record_bytes(w->payload.len), 0, NULL)))
		return err;
	w->crc = crc32c(w->crc, w->payload.data, w->payload.len);
	return write_record(w, 0);
}

static enum rfs_err
write_trailer(struct writer *w)
{
	buf_u64(&w->payload, w->rows);
	buf_u32(&w->payload, w->crc);
	return write_record(w, RECORD_GROUP_LAST);
}

/* The memory of a batch that nobody will repeat any more. */
static bool
is_old_batch_id(struct bytes key, uint64_t epoch)
{
	return key.len == ID_KEY_BYTES && load_be64(key.data) == 0 && key.data[8] == 0 && key.data[9] == ROW_TAG_ID &&
	       load_be64(key.data + 10) + 1 < epoch;
}

static enum rfs_err
write_rows(struct embedded *e, struct writer *w, struct index_walk *walk, bool (*go_on)(void *data, uint64_t bytes),
	void *data)
{
	uint64_t epoch = (uint64_t)(w->now_ns / BATCH_ID_EPOCH_NS);
	struct bytes key, value;
	enum rfs_err err;

	while (index_walk_next(walk, &key, &value)) {
		if (is_old_batch_id(key, epoch))
			continue;
		buf_field(&w->payload, key);
		buf_field(&w->payload, value);
		w->rows++;
		if (w->payload.len < RECORD_BYTES)
			continue;
		if ((err = write_rows_record(e, w)))
			return err;
		if (go_on && !go_on(data, w->offset))
			return RFS_ERR_CANCELLED;
	}
	return w->payload.len ? write_rows_record(e, w) : RFS_OK;
}

static enum rfs_err
write_superblock(struct writer *w)
{
	uint8_t bytes[SUPERBLOCK_BYTES];
	struct iovec iov = {bytes, sizeof(bytes)};

	superblock_encode(&w->super, bytes);
	w->offset = SUPERBLOCK_BYTES;
	return write_all(w->fd, &iov, 1, 0);
}

/* The file, whole and synced, under its temporary name. */
static enum rfs_err
write_file(struct embedded *e, struct writer *w, struct index_walk *walk, bool (*go_on)(void *data, uint64_t bytes),
	void *data)
{
	char path[4096];
	enum rfs_err err;

	w->fd = open(volume_path(e, w->super.number, VOLUME_MAKING_SUFFIX, path),
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (w->fd < 0)
		err = error_from_errno(errno);
	else if (!(err = write_superblock(w)))
		err = write_rows(e, w, walk, go_on, data);
	if (index_walk_close(walk) && !err)
		err = RFS_ERR_IO;
	if (!err)
		err = write_trailer(w);
	if (!err && (fchmod(w->fd, 0400) != 0 || (!MUTANT("checkpoint-not-synced") && fsync(w->fd) != 0)))
		err = error_from_errno(errno);
	return err;
}

/* Those that the new one replaces. Any that stays is no harm: the newest counts. */
static void
remove_older(struct embedded *e, uint64_t number)
{
	char path[4096];
	struct dirent *entry;
	struct stat st;
	uint64_t older;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/volumes", e->data);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (!volume_parse_name(entry->d_name, CHECKPOINT_SUFFIX, &older) || older >= number)
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			atomic_fetch_sub(&e->disk_bytes, (uint64_t)st.st_size);
	}
	if (dir)
		closedir(dir);
}

static enum rfs_err
make_locked(struct embedded *e, bool (*go_on)(void *data, uint64_t bytes), void *data, struct checkpoint_info *out)
{
	struct writer w = {.fd = -1, .super = {.kind = VOLUME_CHECKPOINT}, .now_ns = clock_wall_ns()};
	struct checkpoint_info before;
	struct index_walk *walk;
	struct position at;
	char path[4096];
	enum rfs_err err;

	/* About as large as the one before it: where there is no room for that, nothing of the reserve is given up in vain. */
	checkpoint_newest(e, &before);
	if ((err = space_admit(e, SPACE_COMPACTS, before.bytes, 0, NULL)) ||
		(err = index_walk_open(&e->index, &at, &walk)))
		return err;
	w.super.number = volume_next_number(e);
	w.super.predecessor = at.volume;
	w.super.predecessor_end = at.offset;
	w.super.first_group = at.group;
	w.super.first_sequence = at.sequence;
	w.super.created_ns = w.now_ns;
	memcpy(w.super.store, e->store, 16);
	random_bytes(&w.super.generation, sizeof(w.super.generation));
	buf_init(&w.payload, NULL);
	err = write_file(e, &w, walk, go_on, data);
	/* The index on the disk must not be older: the journal that it would need may be removed. */
	if (!err && !(err = index_flush_wal(&e->index)))
		err = volume_publish(e, w.super.number, CHECKPOINT_SUFFIX);
	crash_point(CRASH_CHECKPOINT_NAMED);
	if (err && w.fd >= 0)
		unlink(volume_path(e, w.super.number, VOLUME_MAKING_SUFFIX, path));
	if (w.fd >= 0) {
		posix_fadvise(w.fd, 0, 0, POSIX_FADV_DONTNEED); /* the cache is for blocks */
		close(w.fd);
	}
	buf_fini(&w.payload);
	*out = info_of(&w.super, w.offset, w.rows);
	return err;
}

enum rfs_err
checkpoint_make(struct metadata_driver *d, struct request *rq, bool (*go_on)(void *data, uint64_t bytes), void *data,
	struct checkpoint_info *out)
{
	struct embedded *e = (struct embedded *)(void *)d;
	int64_t start = clock_monotonic_ns();
	enum rfs_err err;

	ASSERT_MAY_BLOCK();
	if (atomic_load(&e->poisoned))
		return RFS_ERR_POISONED;
	pthread_mutex_lock(&e->checkpoints.making);
	err = make_locked(e, go_on, data, out);
	if (!err) {
		atomic_fetch_add(&e->disk_bytes, out->bytes);
		remember(e, out, true);
		remove_older(e, out->number);
	}
	pthread_mutex_unlock(&e->checkpoints.making);
	if (err)
		return request_fail(rq, err, "make a checkpoint");
	log_info(0, "checkpoint %016llx: %llu rows in %llu bytes, in %lld ms", (unsigned long long)out->number,
		(unsigned long long)out->rows, (unsigned long long)out->bytes,
		(long long)((clock_monotonic_ns() - start) / 1000000));
	return RFS_OK;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct reading {
	int fd;
	const struct volume_info *info;
	uint64_t offset;
	uint64_t records, rows;
	uint32_t crc;
	bool any; /* records are taken as they come, whatever is missing between them */
	struct buf payload, last_key;
};

/* The record at `offset`, into `payload`; false: it is damaged, or not the next one. */
static bool
read_record(struct reading *r, struct record_header *h)
{
	uint8_t header[RECORD_HEADER_BYTES];
	size_t rest;

	if (!read_exactly(r->fd, header, sizeof(header), r->offset) ||
		!record_header_decode(header, r->offset, r->info->super.generation, h) ||
		h->type != RECORD_CHECKPOINT || (h->number != r->records && !r->any) || h->length > RECORD_BYTES_MOST)
		return false;
	rest = record_bytes(h->length) - sizeof(header);
	r->payload.len = 0;
	buf_reserve(&r->payload, rest);
	if (!read_exactly(r->fd, r->payload.data, rest, r->offset + sizeof(header)) ||
		!record_tail_matches(crc32c(0, r->payload.data, h->length), h->length, r->payload.data + h->length))
		return false;
	r->payload.len = h->length;
	r->offset += record_bytes(h->length);
	r->records = h->number + 1;
	return true;
}

/* As the driver itself writes them; what it reads from its index is not examined again. */
static bool
row_is_well_formed(struct bytes key, struct bytes value)
{
	if (key.len < 9 || value.len == 0)
		return false;
	switch (value.data[0]) {
	case ROW_TAG_ROW:
	case ROW_TAG_COUNTER:
		return value.len >= 9;
	case ROW_TAG_STATE:
	case ROW_TAG_ID:
		return value.len == 17;
	default:
		return false;
	}
}

static enum rfs_err
read_rows(struct reading *r, checkpoint_row row, void *data)
{
	struct bytes key, value;
	struct reader reader;
	enum rfs_err err = RFS_OK;

	reader_init(&reader, buf_bytes(&r->payload));
	while (reader_left(&reader) && !err) {
		key = reader_field(&reader);
		value = reader_field(&reader);
		if (reader.failed || !row_is_well_formed(key, value) ||
			bytes_compare(key, buf_bytes(&r->last_key)) <= 0)
			return RFS_ERR_DAMAGED;
		r->last_key.len = 0;
		buf_put_bytes(&r->last_key, key);
		r->rows++;
		if (row)
			err = row(data, key, value);
	}
	r->crc = crc32c(r->crc, r->payload.data, r->payload.len);
	return err;
}

static enum rfs_err
read_file(struct reading *r, checkpoint_row row, void *data)
{
	struct record_header h;
	enum rfs_err err;

	for (;;) {
		if (!read_record(r, &h))
			return RFS_ERR_DAMAGED;
		if (h.flags & RECORD_GROUP_LAST)
			break;
		if ((err = read_rows(r, row, data)))
			return err;
	}
	if (r->payload.len != TRAILER_BYTES || load_u64(r->payload.data) != r->rows ||
		load_u32(r->payload.data + 8) != r->crc || r->offset != r->info->size)
		return RFS_ERR_DAMAGED;
	return RFS_OK;
}

enum rfs_err
checkpoint_read(struct embedded *e, const struct volume_info *info, checkpoint_row row, void *data, uint64_t *rows)
{
	struct reading r = {.info = info, .offset = SUPERBLOCK_BYTES};
	char path[4096];
	enum rfs_err err;

	r.fd = open(volume_path(e, info->super.number, CHECKPOINT_SUFFIX, path), O_RDONLY | O_CLOEXEC);
	if (r.fd < 0)
		return error_from_errno(errno);
	buf_init(&r.payload, NULL);
	buf_init(&r.last_key, NULL);
	err = read_file(&r, row, data);
	*rows = r.rows;
	buf_fini(&r.last_key);
	buf_fini(&r.payload);
	close(r.fd);
	return err;
}

uint64_t
checkpoint_floor(struct embedded *e)
{
	struct volume_info info = {0};
	struct checkpoint_info newest;
	uint64_t rows;
	bool is_verified;

	ASSERT_MAY_BLOCK();
	pthread_mutex_lock(&e->checkpoints.making); /* or it might be removed while it is read */
	pthread_mutex_lock(&e->checkpoints.lock);
	newest = e->checkpoints.newest;
	is_verified = e->checkpoints.is_verified;
	pthread_mutex_unlock(&e->checkpoints.lock);
	if (newest.number && !is_verified) {
		is_verified = volume_read_superblock(e, newest.number, CHECKPOINT_SUFFIX, &info) == RFS_OK &&
			      checkpoint_read(e, &info, NULL, NULL, &rows) == RFS_OK;
		newest = is_verified ? info_of(&info.super, info.size, rows) : (struct checkpoint_info){0};
		remember(e, &newest, is_verified);
	}
	pthread_mutex_unlock(&e->checkpoints.making);
	return newest.volume;
}

/* --- loading ------------------------------------------------------------------------------------------------------ */

struct loading {
	struct embedded *e;
	rocksdb_writebatch_t *wb;
	size_t bytes;
};

static enum rfs_err
load_flush(struct loading *l)
{
	enum rfs_err err = index_write(&l->e->index, l->wb);

	rocksdb_writebatch_clear(l->wb);
	l->bytes = 0;
	return err;
}

static enum rfs_err
load_row(void *data, struct bytes key, struct bytes value)
{
	struct loading *l = data;

	rocksdb_writebatch_put(l->wb, (const char *)key.data, key.len, (const char *)value.data, value.len);
	l->bytes += key.len + value.len;
	return l->bytes < RECORD_BYTES ? RFS_OK : load_flush(l);
}

/* The position comes last: without it the index counts as lost, and is loaded again. */
static enum rfs_err
load_index(struct embedded *e, const struct volume_info *info, uint64_t *rows)
{
	const struct superblock *s = &info->super;
	struct position at = {.volume = s->predecessor,
		.offset = s->predecessor_end,
		.group = s->first_group,
		.sequence = s->first_sequence};
	struct loading l = {.e = e, .wb = rocksdb_writebatch_create()};
	enum rfs_err err;

	memcpy(at.store, e->store, 16);
	if (!(err = index_clear(&e->index)) && !(err = checkpoint_read(e, info, load_row, &l, rows)) &&
		!(err = load_flush(&l)))
		err = apply_position(e, &at);
	rocksdb_writebatch_destroy(l.wb);
	return err;
}

/* --- what is left of one ------------------------------------------------------------------------------------------ */

/* There are no rows from behind `last` (empty: from the beginning) up to and with `key` (empty: to the end) but those
 * that come. */
static void
clear_between(rocksdb_writebatch_t *wb, struct bytes last, struct bytes key)
{
	uint8_t end[64];
	struct buf from, to;

	memset(end, 0xff, sizeof(end));
	buf_init(&from, NULL);
	buf_init(&to, NULL);
	buf_put_bytes(&from, last);
	buf_put_bytes(&to, key.len ? key : bytes_of(end, sizeof(end)));
	buf_u8(&from, 0);
	buf_u8(&to, 0);
	rocksdb_writebatch_delete_range(
		wb, (const char *)from.data, last.len ? from.len : 0, (const char *)to.data, to.len);
	buf_fini(&from);
	buf_fini(&to);
}

/* The rows of one record, in place of what is in their range; `follows`: the record before it was read too. */
static enum rfs_err
overlay_record(struct embedded *e, struct reading *r, const struct record_header *h, bool follows)
{
	rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
	struct bytes none = bytes_of(NULL, 0), first;
	struct reader reader;
	struct buf before;
	enum rfs_err err;

	buf_init(&before, NULL);
	reader_init(&reader, buf_bytes(&r->payload));
	first = reader_field(&reader);
	buf_put_bytes(&before, follows ? buf_bytes(&r->last_key) : first);
	if (!follows)
		r->last_key.len = 0;
	if (h->flags & RECORD_GROUP_LAST) {
		if (follows)
			clear_between(wb, buf_bytes(&before), none);
		err = index_write(&e->index, wb);
	} else if (!(err = read_rows(r, NULL, NULL))) {
		clear_between(wb, follows || h->number ? buf_bytes(&before) : none, buf_bytes(&r->last_key));
		reader_init(&reader, buf_bytes(&r->payload));
		while (reader_left(&reader)) {
			struct bytes key = reader_field(&reader), value = reader_field(&reader);

			rocksdb_writebatch_put(
				wb, (const char *)key.data, key.len, (const char *)value.data, value.len);
		}
		err = index_write(&e->index, wb);
	}
	buf_fini(&before);
	rocksdb_writebatch_destroy(wb);
	return err;
}

enum rfs_err
checkpoint_overlay(struct embedded *e, const struct volume_info *info)
{
	struct reading r = {.info = info, .offset = SUPERBLOCK_BYTES, .any = true};
	struct record_header h;
	bool follows = true;
	char path[4096];
	enum rfs_err err = RFS_OK;

	r.fd = open(volume_path(e, info->super.number, CHECKPOINT_SUFFIX, path), O_RDONLY | O_CLOEXEC);
	if (r.fd < 0)
		return error_from_errno(errno);
	buf_init(&r.payload, NULL);
	buf_init(&r.last_key, NULL);
	while (!err && r.offset + RECORD_HEADER_BYTES <= info->size) {
		if (!read_record(&r, &h)) {
			r.offset += 8;
			follows = false;
			continue;
		}
		err = overlay_record(e, &r, &h, follows);
		follows = err != RFS_ERR_DAMAGED;
		err = err == RFS_ERR_DAMAGED ? RFS_OK : err;
	}
	buf_fini(&r.last_key);
	buf_fini(&r.payload);
	close(r.fd);
	return err;
}

static bool
is_usable(const struct embedded *e, const struct volume_info *info)
{
	return info->super.kind == VOLUME_CHECKPOINT && !info->damaged && memcmp(info->super.store, e->store, 16) == 0;
}

const struct volume_info *
checkpoint_find(const struct embedded *e, const struct volume_info *list, size_t count, uint64_t below)
{
	while (count-- > 0)
		if (list[count].super.number < below && is_usable(e, &list[count]))
			return &list[count];
	return NULL;
}

enum rfs_err
checkpoint_load(struct embedded *e, const struct volume_info *list, size_t count, uint64_t least, bool *found)
{
	const struct volume_info *info = NULL;
	struct checkpoint_info loaded;
	uint64_t rows, below = UINT64_MAX;
	enum rfs_err err;

	*found = false;
	while ((info = checkpoint_find(e, list, count, below)) && info->super.first_sequence >= least) {
		below = info->super.number;
		err = checkpoint_read(e, info, NULL, NULL, &rows);
		if (!err || MUTANT("checkpoint-not-verified")) {
			if ((err = load_index(e, info, &rows)))
				return err;
			log_info(0, "the index was loaded from checkpoint %016llx: %llu rows",
				(unsigned long long)below, (unsigned long long)rows);
			loaded = info_of(&info->super, info->size, rows);
			remember(e, &loaded, true);
			*found = true;
			return RFS_OK;
		}
		log_warn(0, "checkpoint %016llx is not used: %s", (unsigned long long)below, error_face(err)->text);
	}
	return RFS_OK;
}

void
checkpoint_found(struct embedded *e, const struct volume_info *list, size_t count)
{
	const struct volume_info *info = checkpoint_find(e, list, count, UINT64_MAX);
	struct checkpoint_info found;

	if (info == NULL)
		return;
	found = info_of(&info->super, info->size, 0);
	remember(e, &found, false);
}
