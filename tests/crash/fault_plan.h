/* fault_plan.h: which call fails, and how: memory that a test (faults.py) shares with io_fault.c and memory_fault.c in
 * the process under test. [any] */
#ifndef TESTS_CRASH_FAULT_PLAN_H
#define TESTS_CRASH_FAULT_PLAN_H

#include "preload.h"
#include <errno.h>
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

#define FAULT_SHORT UINT64_MAX /* in place of an errno: half of the bytes */

struct fault_plan {
	_Atomic uint64_t kind;
	_Atomic uint64_t at;    /* the call of that kind that fails, from 1; 0: none does */
	_Atomic uint64_t error; /* errno, or FAULT_SHORT */
	_Atomic uint64_t struck;
	_Atomic uint64_t calls[FAULT_KINDS];
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
