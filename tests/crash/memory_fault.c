/*
 * memory_fault.c: a library to be preloaded: one allocation of the process fails, by its number (fault_plan.h).
 * RocksDB's are not counted, nor LZ4's for it: an exception that it does not expect, or no memory for a compression,
 * ends the process, in an abort or on the way to it. Nor OpenSSL's: what it fetches at its first use may end in a
 * fault. [any]
 */
#include "fault_plan.h"
#include <link.h>

/* glibc's own, without a look-up that would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static const char *const left_out[] = {"libstdc++", "librocksdb", "liblz4", "libcrypto", "libssl"};

/* Where their code is. */
#define RANGES_MAX 8
static struct {
	uintptr_t start, end;
} ranges[RANGES_MAX];
static size_t range_count;

static bool
is_left_out(const char *library)
{
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (strstr(library, left_out[i]))
			return true;
	return false;
}

static int
range_add(struct dl_phdr_info *info, size_t size, void *data)
{
	if (!is_left_out(info->dlpi_name))
		return 0;
	for (size_t i = 0; i < info->dlpi_phnum && range_count < RANGES_MAX; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		ranges[range_count].start = info->dlpi_addr + segment->p_vaddr;
		ranges[range_count].end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
		range_count++;
	}
	return 0;
}

static __attribute__((constructor)) void
fault_start(void)
{
	dl_iterate_phdr(range_add, NULL);
	plan_open();
}

static bool
strike(const void *caller)
{
	for (size_t i = 0; i < range_count; i++)
		if ((uintptr_t)caller >= ranges[i].start && (uintptr_t)caller < ranges[i].end)
			return false;
	return plan_strike(FAULT_MEMORY) != 0;
}

#define ALLOCATE(call)                                    \
	do {                                              \
		if (!strike(__builtin_return_address(0))) \
			return call;                      \
		errno = ENOMEM;                           \
		return NULL;                              \
	} while (0)

void *
malloc(size_t size)
{
	ALLOCATE(__libc_malloc(size));
}

void *
calloc(size_t count, size_t size)
{
	ALLOCATE(__libc_calloc(count, size));
}

void *
realloc(void *p, size_t size)
{
	ALLOCATE(__libc_realloc(p, size));
}

void *
memalign(size_t alignment, size_t size)
{
	ALLOCATE(__libc_memalign(alignment, size));
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	ALLOCATE(__libc_memalign(alignment, size));
}

int
posix_memalign(void **out, size_t alignment, size_t size)
{
	if (strike(__builtin_return_address(0)))
		return ENOMEM;
	*out = __libc_memalign(alignment, size);
	return *out ? 0 : ENOMEM;
}
