/* fault_plan.h: which call fails, and how: memory that a test (faults.py) shares with io_fault.c and memory_fault.c in
 * the process under test. [any] */
#ifndef TESTS_CRASH_FAULT_PLAN_H
#define TESTS_CRASH_FAULT_PLAN_H

#include "preload.h"
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum fault_kind {
	FAULT_READ, /* of a file below the root, as all but the last are */
	FAULT_WRITE,
	FAULT_SYNC, /* of a file or directory */
	FAULT_OPEN,
	FAULT_RENAME,
	FAULT_ALLOCATE, /* fallocate, ftruncate */
	FAULT_UNLINK,
	FAULT_MEMORY, /* any allocation */
	FAULT_KINDS,
};

enum fault_leak { LEAK_NOTHING, LEAK_DESCRIPTOR, LEAK_MEMORY };

#define LEAK_BYTES (64 << 10)

#define FAULT_SHORT UINT64_MAX /* in place of an errno: half of the bytes */

struct fault_plan {
	_Atomic uint64_t kind;
	_Atomic uint64_t at;    /* the call of that kind that fails, from 1; 0: none does */
	_Atomic uint64_t error; /* errno, or FAULT_SHORT */
	_Atomic uint64_t struck;
	_Atomic uint64_t calls[FAULT_KINDS];

	/* Told when the process exits by itself. */
	_Atomic uint64_t exited;
	_Atomic uint64_t left_open;  /* descriptors, without the standard three */
	_Atomic uint64_t heap_bytes; /* in use */

	_Atomic uint64_t leak; /* enum fault_leak: what is lost on purpose */
};

static struct fault_plan *plan;

/* RESTFS_FAULT is the file that is shared. */
static inline void
plan_open(void)
{
	const char *path = getenv("RESTFS_FAULT");
	int fd = path ? NEXT(open)(path, O_RDWR | O_CLOEXEC) : -1;
	void *memory;

	if (fd < 0)
		return;
	memory = NEXT(mmap)(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		abort();
	close(fd);
	plan = memory;
}

/* How many descriptors are open beside the standard three; each is named on standard error. */
static inline uint64_t
count_open(void)
{
	DIR *directory = opendir("/proc/self/fd");
	char target[PATH_BYTES];
	struct dirent *entry;
	uint64_t count = 0;
	ssize_t n;

	if (!directory)
		abort();
	while ((entry = readdir(directory))) {
		int fd = atoi(entry->d_name);

		if (fd <= STDERR_FILENO || fd == dirfd(directory))
			continue;
		n = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target));
		dprintf(STDERR_FILENO, "left open: %d, %.*s\n", fd, (int)(n < 0 ? 0 : n), target);
		count++;
	}
	closedir(directory);
	return count;
}

/* What is left when all should have been given back. libuv has a pipe for the whole process, which it closes in a
 * destructor of its own, after this one. */
static __attribute__((destructor)) void
plan_close(void)
{
	void (*uv_shutdown)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "uv_library_shutdown");
	struct fault_plan *told = plan;
	struct mallinfo2 heap;

	if (!told)
		return;
	plan = NULL; /* what is called from here on does not fail */
	if (uv_shutdown)
		uv_shutdown();
	if (told->leak == LEAK_DESCRIPTOR && dup(STDERR_FILENO) < 0)
		abort();
	if (told->leak == LEAK_MEMORY)
		memset(malloc(LEAK_BYTES), 1, LEAK_BYTES);
	told->left_open = count_open();
	heap = mallinfo2();
	told->heap_bytes = heap.uordblks + heap.hblkhd;
	told->exited = 1;
}

/* Counts a call. 0: it goes on; else what it fails with. */
static inline uint64_t
plan_strike(enum fault_kind kind)
{
	uint64_t call;

	if (!plan)
		return 0;
	call = atomic_fetch_add(&plan->calls[kind], 1) + 1;
	if (atomic_load(&plan->kind) != kind || atomic_load(&plan->at) != call)
		return 0;
	atomic_fetch_add(&plan->struck, 1);
	return atomic_load(&plan->error);
}

#endif
