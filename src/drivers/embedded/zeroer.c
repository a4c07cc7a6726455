/*
 * zeroer.c: writes zeros into the journal ahead of the committer, since a synced write into zeroed space costs half of
 * one into space that the file system has yet to give. It writes only at and above `zero_mark`, which it moves when the
 * zeros are synced.
 *
 * How far ahead grows with what was written since open, so that a small store stays small. [background]
 */
#include "base/log.h"
#include "drivers/embedded/embedded_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ZERO_STEP ((uint64_t)4 * 1024 * 1024) /* a group's sync may have to wait for one step's pages */
#define ZERO_PIECE ((uint64_t)256 * 1024)
#define AHEAD_LEAST ((uint64_t)2 * 1024 * 1024)
#define AHEAD_MOST ((uint64_t)64 * 1024 * 1024)

static uint64_t
page_round(uint64_t v)
{
	return (v + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* Where the mark should be; it moves when half of the way ahead is used up. */
static uint64_t
target_locked(const struct embedded *e)
{
	const struct journal *j = &e->journal;
	uint64_t offset = atomic_load(&j->offset), ahead = j->written, target;

	if (j->zero_wanted > j->zero_mark)
		return page_round(j->zero_wanted);
	ahead = ahead < AHEAD_LEAST ? AHEAD_LEAST : ahead > AHEAD_MOST ? AHEAD_MOST : ahead;
	if (ahead > e->volume_bytes / 4)
		ahead = e->volume_bytes / 4;
	/* Without syncs there is nothing to make cheaper. */
	if (e->unsynced || j->zero_error || atomic_load(&e->space.full) || j->zero_mark > offset + ahead / 2)
		return 0;
	target = page_round(offset + ahead);
	return target > e->volume_bytes ? page_round(e->volume_bytes) : target;
}

/*
 * Past the page cache where the file system allows it: the zeros are not copied, and a group's sync does not have to
 * write them. In pieces, so that the committer's write does not wait long for the file's lock.
 */
static enum rfs_err
write_zeros(int fd, uint64_t from, uint64_t len)
{
	static const _Alignas(PAGE_BYTES) uint8_t zeros[ZERO_PIECE];
	struct iovec iov;
	enum rfs_err err = RFS_OK;

	if (fallocate(fd, 0, (off_t)from, (off_t)len) != 0 && errno != EOPNOTSUPP)
		return error_from_errno(errno);
	for (uint64_t at = 0; at < len && !err; at += sizeof(zeros)) {
		iov = (struct iovec){(void *)zeros, len - at < sizeof(zeros) ? len - at : sizeof(zeros)};
		err = write_all(fd, &iov, 1, from + at);
	}
	if (!err && fdatasync(fd) != 0)
		err = RFS_ERR_POISONED;
	return err;
}

static void
zero_step_locked(struct embedded *e, uint64_t target)
{
	struct journal *j = &e->journal;
	uint64_t from = j->zero_mark, len = target - from;
	enum rfs_err err;

	if (len > ZERO_STEP)
		len = ZERO_STEP;
	j->zero_busy = true;
	pthread_mutex_unlock(&j->zero_lock);
	err = write_zeros(j->zero_fd, from, len);
	if (err && err != RFS_ERR_NO_SPACE) {
		log_error(
			0, "zero volume %08x at %llu: %s", j->volume, (unsigned long long)from, error_face(err)->text);
		embedded_poison(e, "zeroing the journal");
		err = RFS_ERR_POISONED;
	}
	pthread_mutex_lock(&j->zero_lock);
	j->zero_busy = false;
	j->zero_error = err;
	if (!err) {
		j->zero_mark = from + len;
		atomic_fetch_add(&e->disk_bytes, len);
	}
	pthread_cond_broadcast(&j->zero_done);
}

void *
zeroer_main(void *embedded)
{
	struct embedded *e = embedded;
	struct journal *j = &e->journal;
	uint64_t target;

	thread_role_set(THREAD_BACKGROUND, "zeroer");
	pthread_mutex_lock(&j->zero_lock);
	while (!j->zero_stop) {
		target = target_locked(e);
		if (j->zero_fd < 0 || target <= j->zero_mark || (j->zero_error && j->zero_wanted <= j->zero_mark))
			pthread_cond_wait(&j->zero_wake, &j->zero_lock);
		else
			zero_step_locked(e, target);
		if (j->zero_error) /* whoever waits is told; the next one that needs room tries again */
			j->zero_wanted = 0;
	}
	pthread_mutex_unlock(&j->zero_lock);
	return NULL;
}

enum rfs_err
zeroer_wait(struct embedded *e, uint64_t end)
{
	struct journal *j = &e->journal;
	enum rfs_err err = RFS_OK;

	pthread_mutex_lock(&j->zero_lock);
	j->written += end - atomic_load(&j->offset);
	if (end > j->zero_mark) {
		j->zero_error = RFS_OK;
		j->zero_wanted = end;
		pthread_cond_signal(&j->zero_wake);
		while (end > j->zero_mark && !j->zero_error)
			pthread_cond_wait(&j->zero_done, &j->zero_lock);
		err = end > j->zero_mark ? j->zero_error : RFS_OK;
	} else if (target_locked(e) > j->zero_mark) {
		pthread_cond_signal(&j->zero_wake);
	}
	pthread_mutex_unlock(&j->zero_lock);
	return err;
}

void
zeroer_switch(struct embedded *e, int fd, uint64_t mark)
{
	struct journal *j = &e->journal;
	char path[64];

	pthread_mutex_lock(&j->zero_lock);
	while (j->zero_busy)
		pthread_cond_wait(&j->zero_done, &j->zero_lock);
	if (j->zero_fd >= 0)
		close(j->zero_fd);
	/* Another open file, so that an error of the disk is reported to both. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	j->zero_fd = open(path, O_WRONLY | O_CLOEXEC | O_DIRECT);
	if (j->zero_fd < 0)
		j->zero_fd = open(path, O_WRONLY | O_CLOEXEC);
	j->zero_mark = mark;
	j->zero_wanted = 0;
	j->zero_error = RFS_OK;
	pthread_cond_signal(&j->zero_wake);
	pthread_mutex_unlock(&j->zero_lock);
}
