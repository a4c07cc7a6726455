/* thread.c: the role of each thread, kept by the thread itself, and locks. [any] */
#include "base/thread.h"
#include <stdio.h>

static _Thread_local enum thread_role role = THREAD_INIT;

void
thread_role_set(enum thread_role new_role, const char *name)
{
	char title[16]; /* the kernel's limit, with the NUL */

	role = new_role;
	snprintf(title, sizeof(title), "%s", name);
#ifdef __APPLE__
	pthread_setname_np(title);
#else
	pthread_setname_np(pthread_self(), title);
#endif
}

enum thread_role
thread_role_get(void)
{
	return role;
}

void
rwlock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
#ifdef __GLIBC__
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}
