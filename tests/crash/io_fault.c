/*
 * io_fault.c: a library to be preloaded: makes one call on files below a directory (RESTFS_FAULT_ROOT) fail, by its
 * number, or do half of what it was asked (fault_plan.h). [any]
 */
#include "fault_plan.h"
#include <sys/stat.h>
#include <sys/uio.h>

static __attribute__((constructor)) void
fault_start(void)
{
	if (root_set(getenv("RESTFS_FAULT_ROOT")))
		plan_open();
}

static bool
is_log(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && strcmp(name, "/LOG") == 0;
}

static uint64_t
strike_descriptor(enum fault_kind kind, int fd)
{
	char path[PATH_BYTES];
	int saved = errno;
	uint64_t error = plan && descriptor_path(fd, path) && !is_log(path) ? plan_strike(kind) : 0;

	errno = saved;
	return error;
}

static uint64_t
strike_name(enum fault_kind kind, int directory, const char *name)
{
	char path[PATH_BYTES];
	int saved = errno;
	uint64_t error = plan && name_path(directory, name, path) ? plan_strike(kind) : 0;

	errno = saved;
	return error;
}

/* --- bytes: a call on several pieces that is to do half of its work does that on copies of their descriptions --- */

#define PIECES_MAX 1024

/* The first half of the bytes, at least one. The number of pieces. */
static int
first_half(const struct iovec *iov, int count, struct iovec out[PIECES_MAX])
{
	size_t sum = 0, left;
	int pieces = 0;

	for (int i = 0; i < count; i++)
		sum += iov[i].iov_len;
	for (left = sum > 1 ? sum / 2 : sum; left && pieces < count; pieces++) {
		out[pieces] = iov[pieces];
		if (out[pieces].iov_len > left)
			out[pieces].iov_len = left;
		left -= out[pieces].iov_len;
	}
	return pieces;
}

/* What a call on bytes does: `call` is the same call on other pieces. */
#define TRANSFER(kind, fd, iov, count, call)                            \
	do {                                                            \
		struct iovec half[PIECES_MAX];                          \
		uint64_t error = strike_descriptor(kind, fd);           \
		if (error == FAULT_SHORT) {                             \
			const struct iovec *pieces = half;              \
			int piece_count = first_half(iov, count, half); \
			return call;                                    \
		} else if (error) {                                     \
			errno = (int)error;                             \
			return -1;                                      \
		} else {                                                \
			const struct iovec *pieces = iov;               \
			int piece_count = count;                        \
			return call;                                    \
		}                                                       \
	} while (0)

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	TRANSFER(FAULT_WRITE, fd, iov, count, NEXT(pwritev)(fd, pieces, piece_count, offset));
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
	return pwritev(fd, iov, count, offset);
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t offset)
{
	struct iovec all = {(void *)data, len};

	return pwritev(fd, &all, 1, offset);
}

ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	return pwrite(fd, data, len, offset);
}

ssize_t
write(int fd, const void *data, size_t len)
{
	struct iovec all = {(void *)data, len};

	TRANSFER(FAULT_WRITE, fd, &all, 1,
		(ssize_t)(piece_count ? NEXT(write)(fd, pieces[0].iov_base, pieces[0].iov_len) : 0));
}

ssize_t
preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	TRANSFER(FAULT_READ, fd, iov, count, NEXT(preadv2)(fd, pieces, piece_count, offset, flags));
}

ssize_t
preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
{
	return preadv2(fd, iov, count, offset, flags);
}

ssize_t
pread(int fd, void *data, size_t len, off_t offset)
{
	struct iovec all = {data, len};

	return preadv2(fd, &all, 1, offset, 0);
}

ssize_t
pread64(int fd, void *data, size_t len, off64_t offset)
{
	return pread(fd, data, len, offset);
}

ssize_t
read(int fd, void *data, size_t len)
{
	struct iovec all = {data, len};

	TRANSFER(FAULT_READ, fd, &all, 1,
		(ssize_t)(piece_count ? NEXT(read)(fd, pieces[0].iov_base, pieces[0].iov_len) : 0));
}

/* --- the others --------------------------------------------------------------------------------------------------- */

/* A call that works or does not. */
#define CALL(error, call)                 \
	do {                              \
		uint64_t failure = error; \
		if (!failure)             \
			return call;      \
		errno = (int)failure;     \
		return -1;                \
	} while (0)

int
fsync(int fd)
{
	CALL(strike_descriptor(FAULT_SYNC, fd), NEXT(fsync)(fd));
}

int
fdatasync(int fd)
{
	CALL(strike_descriptor(FAULT_SYNC, fd), NEXT(fdatasync)(fd));
}

int
ftruncate(int fd, off_t length)
{
	CALL(strike_descriptor(FAULT_ALLOCATE, fd), NEXT(ftruncate)(fd, length));
}

int
ftruncate64(int fd, off64_t length)
{
	return ftruncate(fd, length);
}

int
fallocate(int fd, int mode, off_t offset, off_t length)
{
	CALL(strike_descriptor(FAULT_ALLOCATE, fd), NEXT(fallocate)(fd, mode, offset, length));
}

int
fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	return fallocate(fd, mode, offset, length);
}

static int
open_at(int directory, const char *name, int flags, mode_t mode)
{
	CALL(strike_name(FAULT_OPEN, directory, name), NEXT(openat)(directory, name, flags, mode));
}

int
open(const char *name, int flags, ...)
{
	OPEN_MODE(flags, mode)
	return open_at(AT_FDCWD, name, flags, mode);
}

int
open64(const char *name, int flags, ...)
{
	OPEN_MODE(flags, mode)
	return open_at(AT_FDCWD, name, flags, mode);
}

int
openat(int directory, const char *name, int flags, ...)
{
	OPEN_MODE(flags, mode)
	return open_at(directory, name, flags, mode);
}

int
openat64(int directory, const char *name, int flags, ...)
{
	OPEN_MODE(flags, mode)
	return open_at(directory, name, flags, mode);
}

int
rename(const char *from, const char *to)
{
	CALL(strike_name(FAULT_RENAME, AT_FDCWD, to), NEXT(rename)(from, to));
}

int
unlink(const char *name)
{
	CALL(strike_name(FAULT_UNLINK, AT_FDCWD, name), NEXT(unlink)(name));
}

int
unlinkat(int directory, const char *name, int flags)
{
	CALL(strike_name(FAULT_UNLINK, directory, name), NEXT(unlinkat)(directory, name, flags));
}
