/*
 * http_trim.c: what a crowd of clients held goes back to the system when it has gone. [loop]
 *
 * The allocator keeps what is freed between what is not, and of each thread's heap gives back only its end: tens of
 * megabytes after thousands of connections. Asking it costs milliseconds, so it is asked on a worker, after much was
 * freed and when little is.
 */
#include "net/http_int.h"
#include <malloc.h>
#include <stdlib.h>

#define TRIM_BYTES ((size_t)8 * 1024 * 1024) /* freed since the last time */
#define QUIET_BYTES ((size_t)256 * 1024)     /* between two ticks */

/* [worker] */
static void
trim(struct job *job)
{
	free(job);
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

bool
http_loop_trim(struct http_loop *hl)
{
	atomic_size_t *freed = &hl->server->budget->freed;
	size_t now = atomic_load_explicit(freed, memory_order_relaxed), before = hl->freed_seen;
	struct job *job;

	hl->freed_seen = now;
	if (now < TRIM_BYTES)
		return false;
	/* One loop's tick does it for all; less than before: another's has. */
	if (now < before || now - before > QUIET_BYTES || !atomic_compare_exchange_strong(freed, &now, 0))
		return true;
	job = xmalloc(sizeof(*job)); /* not the server's, which may end first */
	job->fn = trim;
	workers_run(hl->server->workers, job);
	return false;
}
