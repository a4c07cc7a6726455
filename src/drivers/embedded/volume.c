/*
 * volume.c: volume files: their making, their listing, and the cache of those open for reading.
 *
 * A volume is made under a temporary name with its superblock and its first zeros, synced, renamed, and the directory
 * is synced: so a file ending in .vol has a superblock, and one that fails its checksum is damage. [any, may block]
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
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VOLUMES_OPEN 256
#define VOLUMES_MOST UINT32_MAX /* a location keeps 32 bits of the number */

char *
volume_path(const struct embedded *e, uint64_t number, const char *suffix, char out[4096])
{
	snprintf(out, 4096, "%s/volumes/%016llx%s", e->data, (unsigned long long)number, suffix);
	return out;
}

enum rfs_err
sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum rfs_err err = RFS_OK;

	if (fd < 0 || (!MUTANT("directory-not-synced") && fsync(fd) != 0)) {
		err = error_from_errno(errno);
		log_error(0, "sync directory %s: %s", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return err;
}

enum rfs_err
write_all(int fd, struct iovec *iov, size_t count, uint64_t offset)
{
	ssize_t n;

	while (count) {
		n = pwritev(fd, iov, count > IOV_MAX ? IOV_MAX : (int)count, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_from_errno(errno);
		offset += (uint64_t)n;
		while (count && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			count--;
		}
		if (count && n > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return RFS_OK;
}

bool
read_exactly(int fd, void *out, size_t len, uint64_t offset)
{
	while (len) {
		ssize_t n = pread(fd, out, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		out = (uint8_t *)out + n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

uint64_t
data_next(int fd, uint64_t offset, uint64_t *known)
{
	off_t data, hole;

	if (offset < *known)
		return offset;
	data = lseek(fd, (off_t)offset, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return INT64_MAX;
	if (data < 0) { /* a file system that cannot tell */
		*known = UINT64_MAX;
		return offset;
	}
	hole = lseek(fd, data, SEEK_HOLE);
	*known = hole > data ? (uint64_t)hole : (uint64_t)data + PAGE_BYTES;
	return (uint64_t)data > offset ? (uint64_t)data / 8 * 8 : offset;
}

static enum rfs_err
write_first_bytes(int fd, const struct superblock *s, uint64_t zeros)
{
	uint8_t *bytes = xcalloc(1, SUPERBLOCK_BYTES + zeros);
	struct iovec iov = {bytes, SUPERBLOCK_BYTES + zeros};
	enum rfs_err err;

	superblock_encode(s, bytes);
	err = write_all(fd, &iov, 1, 0);
	free(bytes);
	if (!err && !MUTANT("superblock-not-synced") && fsync(fd) != 0)
		err = error_from_errno(errno);
	return err;
}

enum rfs_err
volume_publish(struct embedded *e, uint64_t number, const char *suffix)
{
	char making[4096], path[4096], directory[4096];

	volume_path(e, number, VOLUME_MAKING_SUFFIX, making);
	volume_path(e, number, suffix, path);
	snprintf(directory, sizeof(directory), "%s/volumes", e->data);
	if (access(path, F_OK) == 0)
		return RFS_ERR_IO; /* whatever it is, it is not written over */
	if (rename(making, path) != 0)
		return error_from_errno(errno);
	if (!sync_directory(directory)) {
		crash_point(CRASH_VOLUME_NAMED);
		return RFS_OK;
	}
	unlink(path);
	return RFS_ERR_IO; /* never NO_SPACE: nobody knows whether the name is there */
}

enum rfs_err
volume_create(struct embedded *e, const struct superblock *s, uint64_t zeros, int *fd)
{
	char making[4096];
	enum rfs_err err;

	*fd = -1;
	if (s->number > VOLUMES_MOST)
		return RFS_ERR_LIMIT;
	volume_path(e, s->number, VOLUME_MAKING_SUFFIX, making);
	*fd = open(making, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (*fd < 0)
		err = error_from_errno(errno);
	else if (!(err = write_first_bytes(*fd, s, zeros)))
		err = volume_publish(e, s->number, VOLUME_SUFFIX);
	if (err) {
		log_error(0, "create volume %016llx: %s", (unsigned long long)s->number, error_face(err)->text);
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		unlink(making);
		return err;
	}
	atomic_fetch_add(&e->disk_bytes, SUPERBLOCK_BYTES + zeros);
	return RFS_OK;
}

uint64_t
volume_next_number(struct embedded *e)
{
	return atomic_fetch_add(&e->next_volume, 1);
}

void
volume_numbers_from(struct embedded *e, uint64_t least)
{
	uint64_t next = atomic_load(&e->next_volume);

	while (next < least && !atomic_compare_exchange_weak(&e->next_volume, &next, least))
		;
}

enum rfs_err
volume_open(struct embedded *e, uint64_t number, const char *suffix, int *fd, struct superblock *s)
{
	uint8_t bytes[SUPERBLOCK_BYTES];
	char path[4096];

	*fd = open(volume_path(e, number, suffix, path), O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT ? RFS_ERR_NOT_FOUND : error_from_errno(errno);
	errno = 0; /* stays so at the file's end */
	if (!read_exactly(*fd, bytes, sizeof(bytes), 0))
		return errno ? error_from_errno(errno) : RFS_ERR_DAMAGED;
	return superblock_decode(bytes, s);
}

static int
compare_info(const void *a, const void *b)
{
	uint64_t x = ((const struct volume_info *)a)->super.number, y = ((const struct volume_info *)b)->super.number;

	return x < y ? -1 : x > y;
}

enum rfs_err
volume_read_superblock(struct embedded *e, uint64_t number, const char *suffix, struct volume_info *out)
{
	struct stat st;
	enum rfs_err err;
	int fd;

	*out = (struct volume_info){0};
	err = volume_open(e, number, suffix, &fd, &out->super);
	if (!err && fstat(fd, &st) != 0)
		err = error_from_errno(errno);
	if (!err)
		out->size = (uint64_t)st.st_size;
	if (fd >= 0)
		close(fd);
	return err;
}

static enum rfs_err
volume_inspect(struct embedded *e, uint64_t number, struct volume_info *info, char *error)
{
	enum rfs_err err = volume_read_superblock(e, number, VOLUME_SUFFIX, info);
	int failed = errno;

	if (err == RFS_ERR_IO) {
		snprintf(error, ERROR_BYTES, "superblock of volume %016llx: %s", (unsigned long long)number,
			strerror(failed));
	} else if (err) {
		snprintf(error, ERROR_BYTES, "superblock of volume %016llx: %s", (unsigned long long)number,
			error_face(err)->text);
	} else if (info->super.number != number || info->super.kind == VOLUME_CHECKPOINT ||
		   (e->has_store && memcmp(info->super.store, e->store, 16) != 0)) {
		snprintf(error, ERROR_BYTES, "volume %016llx belongs to another place or store",
			(unsigned long long)number);
		err = RFS_ERR_DAMAGED;
	} else {
		memcpy(e->store, info->super.store, 16);
		e->has_store = true;
	}
	return err;
}

/* One that is damaged is listed as such: the store may not need it. It says nothing of whose store this is. */
static void
checkpoint_inspect(struct embedded *e, uint64_t number, struct volume_info *info)
{
	info->damaged = volume_read_superblock(e, number, CHECKPOINT_SUFFIX, info) != RFS_OK ||
			info->super.number != number || info->super.kind != VOLUME_CHECKPOINT;
	if (!info->damaged)
		return;
	log_warn(0, "checkpoint %016llx is damaged", (unsigned long long)number);
	info->super = (struct superblock){.number = number, .kind = VOLUME_CHECKPOINT};
}

bool
volume_parse_name(const char *name, const char *suffix, uint64_t *number)
{
	uint8_t id[8];

	if (strlen(name) != 16 + strlen(suffix) || strcmp(name + 16, suffix) != 0 ||
		!hex_decode(bytes_of(name, 16), id, 8))
		return false;
	*number = load_be64(id);
	return *number <= VOLUMES_MOST;
}

enum rfs_err
volume_list(struct embedded *e, struct volume_info **out, size_t *count, char *error)
{
	char path[4096];
	struct dirent *entry;
	enum rfs_err err = RFS_OK;
	uint64_t number;
	DIR *dir;

	*out = NULL;
	*count = 0;
	snprintf(path, sizeof(path), "%s/volumes", e->data);
	dir = opendir(path);
	if (dir == NULL) {
		snprintf(error, ERROR_BYTES, "list %.400s: %s", path, strerror(errno));
		return error_from_errno(errno);
	}
	while (!err && (entry = readdir(dir))) {
		bool is_checkpoint = volume_parse_name(entry->d_name, CHECKPOINT_SUFFIX, &number);

		if (volume_parse_name(entry->d_name, VOLUME_MAKING_SUFFIX, &number)) {
			unlinkat(dirfd(dir), entry->d_name, 0);
		} else if (is_checkpoint || volume_parse_name(entry->d_name, VOLUME_SUFFIX, &number)) {
			*out = xrealloc(*out, (*count + 1) * sizeof(**out));
			if (is_checkpoint)
				checkpoint_inspect(e, number, &(*out)[*count]);
			else
				err = volume_inspect(e, number, &(*out)[*count], error);
			*count += 1;
		}
	}
	closedir(dir);
	if (*count)
		qsort(*out, *count, sizeof(**out), compare_info);
	return err;
}

void
volume_cache_init(struct volume_cache *c)
{
	memset(c, 0, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
}

static void
volume_close(struct volume *v)
{
	if (v->window)
		munmap(v->window, VOLUME_WINDOW_BYTES);
	close(v->fd);
	free(v);
}

void
volume_cache_fini(struct volume_cache *c)
{
	for (size_t i = 0; i < c->count; i++)
		volume_close(c->list[i]);
	free(c->list);
	pthread_mutex_destroy(&c->lock);
}

static struct volume *
cache_find_locked(struct volume_cache *c, uint32_t number)
{
	for (size_t i = c->count; i-- > 0;) /* the newest are asked for most */
		if (c->list[i]->number == number)
			return c->list[i];
	return NULL;
}

static void
cache_take_locked(struct volume_cache *c, size_t at)
{
	memmove(c->list + at, c->list + at + 1, (c->count - at - 1) * sizeof(*c->list));
	c->count--;
}

static void
cache_evict_locked(struct volume_cache *c)
{
	size_t oldest = SIZE_MAX;

	if (c->count < VOLUMES_OPEN)
		return;
	for (size_t i = 0; i < c->count; i++)
		if (c->list[i]->pins == 0 && (oldest == SIZE_MAX || c->list[i]->used < c->list[oldest]->used))
			oldest = i;
	if (oldest == SIZE_MAX)
		return;
	volume_close(c->list[oldest]);
	cache_take_locked(c, oldest);
}

static struct volume *
cache_add_locked(struct volume_cache *c, uint32_t number, int fd, uint64_t generation)
{
	struct volume *v = xcalloc(1, sizeof(*v));

	cache_evict_locked(c);
	v->number = number;
	v->fd = fd;
	v->generation = generation;
	if (c->count == c->capacity) {
		c->capacity = c->capacity ? c->capacity * 2 : 16;
		c->list = xrealloc(c->list, c->capacity * sizeof(*c->list));
	}
	c->list[c->count++] = v;
	return v;
}

static bool
is_removed(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

enum rfs_err
volume_pin(struct embedded *e, uint32_t number, bool may_block, struct volume **out)
{
	struct volume_cache *c = &e->cache;
	struct superblock s;
	struct volume *v;
	enum rfs_err err;
	int fd = -1;

	pthread_mutex_lock(&c->lock);
	v = cache_find_locked(c, number);
	if (v == NULL) {
		pthread_mutex_unlock(&c->lock);
		if (!may_block)
			return RFS_ERR_WOULD_BLOCK;
		if ((err = volume_open(e, number, VOLUME_SUFFIX, &fd, &s))) {
			if (fd >= 0)
				close(fd);
			return err;
		}
		pthread_mutex_lock(&c->lock);
		v = cache_find_locked(c, number);
		if (v == NULL && is_removed(fd)) { /* since it was opened: volume_drop found nothing to drop */
			pthread_mutex_unlock(&c->lock);
			close(fd);
			return RFS_ERR_NOT_FOUND;
		}
		if (v == NULL) {
			v = cache_add_locked(c, number, fd, s.generation);
			fd = -1;
		}
	}
	v->pins++;
	v->used = ++c->tick;
	pthread_mutex_unlock(&c->lock);
	if (fd >= 0)
		close(fd);
	*out = v;
	return RFS_OK;
}

void
volume_unpin(struct embedded *e, struct volume *v)
{
	bool last;

	pthread_mutex_lock(&e->cache.lock);
	last = --v->pins == 0 && v->dropped;
	pthread_mutex_unlock(&e->cache.lock);
	if (last)
		volume_close(v);
}

static bool
window_has(const struct volume *v, uint64_t offset, size_t len)
{
	return v->window && offset >= v->window_offset && offset + len <= v->window_offset + VOLUME_WINDOW_BYTES;
}

static void
window_move(struct volume *v, uint64_t offset)
{
	void *window;

	if (v->window)
		munmap(v->window, VOLUME_WINDOW_BYTES);
	v->window_offset = offset - offset % VOLUME_WINDOW_ALIGN;
	window = mmap(NULL, VOLUME_WINDOW_BYTES, PROT_READ, MAP_SHARED, v->fd, (off_t)v->window_offset);
	v->window = window == MAP_FAILED ? NULL : window;
}

uint8_t *
volume_look(struct embedded *e, struct volume *v, uint64_t offset, size_t len)
{
	uint8_t *at = NULL;

	pthread_mutex_lock(&e->cache.lock);
	if (!window_has(v, offset, len) && !v->window_users)
		window_move(v, offset);
	if (window_has(v, offset, len)) {
		v->window_users++;
		at = v->window + (offset - v->window_offset);
	}
	pthread_mutex_unlock(&e->cache.lock);
	return at;
}

void
volume_look_end(struct embedded *e, struct volume *v, uint8_t *at, size_t len)
{
	/* A fault brings in its neighbours too, which lie in the same part. */
	size_t from = (size_t)(at - v->window) / VOLUME_WINDOW_ALIGN * VOLUME_WINDOW_ALIGN;
	size_t end = ((size_t)(at - v->window) + len + VOLUME_WINDOW_ALIGN - 1) / VOLUME_WINDOW_ALIGN * VOLUME_WINDOW_ALIGN;

	madvise(v->window + from, end - from, MADV_DONTNEED);
	pthread_mutex_lock(&e->cache.lock);
	v->window_users--;
	pthread_mutex_unlock(&e->cache.lock);
}

void
volume_drop(struct embedded *e, uint64_t number)
{
	struct volume_cache *c = &e->cache;
	struct volume *v = NULL;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->count && v == NULL; i++) {
		if (c->list[i]->number != number)
			continue;
		v = c->list[i];
		v->dropped = true;
		cache_take_locked(c, i);
	}
	if (v && v->pins)
		v = NULL;
	pthread_mutex_unlock(&c->lock);
	if (v)
		volume_close(v);
}
