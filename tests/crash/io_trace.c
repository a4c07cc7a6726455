/*
 * io_trace.c: a library to be preloaded: writes down, in order, what a process does to the files below a directory, so
 * that the disk as a power cut would leave it can be made afterwards (power_cut.py). The process works as without it.
 * [any]
 *
 * RESTFS_TRACE_ROOT is the directory, RESTFS_TRACE the file that records are appended to; several processes, one after
 * the other, may share it. A record is appended by one writev, after what it tells has happened and before the call
 * returns. A sync has two: what was recorded before the first is durable once the second is there.
 *
 * Not followed, for the store needs none of it on the disk: files of stdio (RocksDB's LOG).
 */
#include "preload.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define TRACE_MAGIC 0x43525452u
#define FILES_MAX 65536

enum trace_kind {
	TRACE_MKDIR = 1,   /* path; file: the directory */
	TRACE_CREATE,      /* path */
	TRACE_WRITE,       /* offset, the bytes */
	TRACE_ZEROS,       /* offset, length: a write of zeros, without its bytes */
	TRACE_SIZE,        /* length: cut or extended to it */
	TRACE_ALLOCATE,    /* length: the file is at least so long */
	TRACE_SYNC_BEGIN,  /* offset: the thread */
	TRACE_SYNC_END,    /* offset: the thread */
	TRACE_RENAME,      /* path, zero byte, path */
	TRACE_REMOVE,      /* path */
	TRACE_UNSUPPORTED, /* name of a call whose effect is not followed */
};

struct trace_record {
	uint32_t magic;
	uint32_t kind;
	uint64_t file; /* inode number */
	uint64_t offset;
	uint64_t length;
	uint64_t payload; /* bytes that follow */
};

static int trace_fd = -1;
static _Atomic uint64_t files[FILES_MAX]; /* by descriptor: inode number of what is below the root, else 0 */

static __attribute__((constructor)) void
trace_start(void)
{
	const char *path = getenv("RESTFS_TRACE");

	if (!path || !root_set(getenv("RESTFS_TRACE_ROOT")))
		return;
	trace_fd = NEXT(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (trace_fd < 0)
		abort();
}

static void
trace_append(
	enum trace_kind kind, uint64_t file, uint64_t offset, uint64_t length, const void *payload, size_t payload_len)
{
	struct trace_record record = {TRACE_MAGIC, kind, file, offset, length, payload_len};
	struct iovec iov[2] = {{&record, sizeof(record)}, {(void *)payload, payload_len}};
	int saved = errno;

	/* A trace with a hole would prove nothing. */
	if (NEXT(writev)(trace_fd, iov, 2) != (ssize_t)(sizeof(record) + payload_len))
		abort();
	errno = saved;
}

static void
trace_path(enum trace_kind kind, uint64_t file, const char *path)
{
	trace_append(kind, file, 0, 0, path, strlen(path));
}

/* --- which files
 * ------------------------------------------------------------------------------------------------------------- */

static uint64_t
descriptor_file(int fd)
{
	return trace_fd >= 0 && fd >= 0 && fd < FILES_MAX ? files[fd] : 0;
}

static uint64_t
inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static int
opened(int fd, int flags, bool existed)
{
	char path[PATH_BYTES];
	struct stat st;

	if (fd < 0 || trace_fd < 0)
		return fd;
	if (fd >= FILES_MAX || fstat(fd, &st) != 0)
		abort();
	files[fd] = 0;
	if (!descriptor_path(fd, path))
		return fd;
	files[fd] = st.st_ino;
	if (!existed)
		trace_path(TRACE_CREATE, st.st_ino, path);
	else if (flags & O_TRUNC)
		trace_append(TRACE_SIZE, st.st_ino, 0, 0, NULL, 0);
	return fd;
}

static int
open_traced(int directory, const char *name, int flags, mode_t mode)
{
	char path[PATH_BYTES];
	bool existed = !(flags & O_CREAT) || !name_path(directory, name, path) || inode_of(path) != 0;

	return opened(NEXT(openat)(directory, name, flags, mode), flags, existed);
}

int
open(const char *name, int flags, ...)
{
	OPEN_MODE(flags, mode)
	return open_traced(AT_FDCWD, name, flags, mode);
}

int
open64(const char *name, int flags, ...)
{
	OPEN_MODE(flags, mode)
	return open_traced(AT_FDCWD, name, flags, mode);
}

int
openat(int directory, const char *name, int flags, ...)
{
	OPEN_MODE(flags, mode)
	return open_traced(directory, name, flags, mode);
}

int
openat64(int directory, const char *name, int flags, ...)
{
	OPEN_MODE(flags, mode)
	return open_traced(directory, name, flags, mode);
}

int
close(int fd)
{
	if (fd >= 0 && fd < FILES_MAX)
		files[fd] = 0;
	return NEXT(close)(fd);
}

/* --- bytes
 * -------------------------------------------------------------------------------------------------------------------
 */

static void
written(uint64_t file, uint64_t offset, const uint8_t *data, size_t len)
{
	if (len && data[0] == 0 && memcmp(data, data + 1, len - 1) == 0)
		trace_append(TRACE_ZEROS, file, offset, len, NULL, 0);
	else if (len)
		trace_append(TRACE_WRITE, file, offset, len, data, len);
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t offset)
{
	ssize_t n = NEXT(pwrite)(fd, data, len, offset);

	if (n > 0 && descriptor_file(fd))
		written(descriptor_file(fd), (uint64_t)offset, data, (size_t)n);
	return n;
}

ssize_t
pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	return pwrite(fd, data, len, offset);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	ssize_t n = NEXT(pwritev)(fd, iov, count, offset);
	size_t at = 0, take;
	uint8_t *data;

	if (n <= 0 || !descriptor_file(fd))
		return n;
	data = malloc((size_t)n);
	for (int i = 0; i < count && at < (size_t)n; i++, at += take) {
		take = iov[i].iov_len < (size_t)n - at ? iov[i].iov_len : (size_t)n - at;
		memcpy(data + at, iov[i].iov_base, take);
	}
	written(descriptor_file(fd), (uint64_t)offset, data, (size_t)n);
	free(data);
	return n;
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
	return pwritev(fd, iov, count, offset);
}

/* One thread writes a file so, or the place would be somebody else's. */
ssize_t
write(int fd, const void *data, size_t len)
{
	ssize_t n = NEXT(write)(fd, data, len);

	if (n > 0 && descriptor_file(fd))
		written(descriptor_file(fd), (uint64_t)(lseek(fd, 0, SEEK_CUR) - n), data, (size_t)n);
	return n;
}

ssize_t
writev(int fd, const struct iovec *iov, int count)
{
	if (descriptor_file(fd))
		trace_path(TRACE_UNSUPPORTED, descriptor_file(fd), "writev");
	return NEXT(writev)(fd, iov, count);
}

int
ftruncate(int fd, off_t length)
{
	int failed = NEXT(ftruncate)(fd, length);

	if (!failed && descriptor_file(fd))
		trace_append(TRACE_SIZE, descriptor_file(fd), 0, (uint64_t)length, NULL, 0);
	return failed;
}

int
ftruncate64(int fd, off64_t length)
{
	return ftruncate(fd, length);
}

int
truncate(const char *name, off_t length)
{
	char path[PATH_BYTES];
	int failed = NEXT(truncate)(name, length);

	if (!failed && name_path(AT_FDCWD, name, path))
		trace_append(TRACE_SIZE, inode_of(path), 0, (uint64_t)length, NULL, 0);
	return failed;
}

int
truncate64(const char *name, off64_t length)
{
	return truncate(name, length);
}

/* With other modes the bytes below the file's size stay what they were: RocksDB gives back what lies behind it. */
int
fallocate(int fd, int mode, off_t offset, off_t length)
{
	int failed = NEXT(fallocate)(fd, mode, offset, length);

	if (!failed && descriptor_file(fd) && mode == 0)
		trace_append(TRACE_ALLOCATE, descriptor_file(fd), 0, (uint64_t)(offset + length), NULL, 0);
	return failed;
}

int
fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	return fallocate(fd, mode, offset, length);
}

void *
mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && descriptor_file(fd))
		trace_path(TRACE_UNSUPPORTED, descriptor_file(fd), "mmap");
	return NEXT(mmap)(at, len, protection, flags, fd, offset);
}

void *
mmap64(void *at, size_t len, int protection, int flags, int fd, off64_t offset)
{
	return mmap(at, len, protection, flags, fd, offset);
}

static int
sync_traced(int fd, int (*call)(int))
{
	uint64_t file = descriptor_file(fd);
	int failed;

	if (file)
		trace_append(TRACE_SYNC_BEGIN, file, (uint64_t)gettid(), 0, NULL, 0);
	failed = call(fd);
	if (file && !failed)
		trace_append(TRACE_SYNC_END, file, (uint64_t)gettid(), 0, NULL, 0);
	return failed;
}

int
fsync(int fd)
{
	return sync_traced(fd, NEXT(fsync));
}

int
fdatasync(int fd)
{
	return sync_traced(fd, NEXT(fdatasync));
}

/* --- names
 * -------------------------------------------------------------------------------------------------------------------
 */

int
mkdir(const char *name, mode_t mode)
{
	char path[PATH_BYTES];
	int failed = NEXT(mkdir)(name, mode);

	if (!failed && name_path(AT_FDCWD, name, path))
		trace_path(TRACE_MKDIR, inode_of(path), path);
	return failed;
}

static int
removed(int failed, int directory, const char *name)
{
	char path[PATH_BYTES];

	if (!failed && name_path(directory, name, path))
		trace_path(TRACE_REMOVE, 0, path);
	return failed;
}

int
unlink(const char *name)
{
	return removed(NEXT(unlink)(name), AT_FDCWD, name);
}

int
unlinkat(int directory, const char *name, int flags)
{
	return removed(NEXT(unlinkat)(directory, name, flags), directory, name);
}

int
rmdir(const char *name)
{
	return removed(NEXT(rmdir)(name), AT_FDCWD, name);
}

int
renameat(int from_directory, const char *from, int to_directory, const char *to)
{
	char paths[2 * PATH_BYTES], other[PATH_BYTES];
	int failed = NEXT(renameat)(from_directory, from, to_directory, to);
	size_t len;

	if (failed || !name_path(from_directory, from, paths) || !name_path(to_directory, to, other))
		return failed;
	len = strlen(paths) + 1;
	strcpy(paths + len, other);
	trace_append(TRACE_RENAME, inode_of(other), 0, 0, paths, len + strlen(other));
	return failed;
}

int
rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int
link(const char *from, const char *to)
{
	char path[PATH_BYTES];

	if (name_path(AT_FDCWD, to, path))
		trace_path(TRACE_UNSUPPORTED, 0, "link");
	return NEXT(link)(from, to);
}
