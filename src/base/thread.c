/* thread.c: the role of each thread, kept by the thread itself. [any] */
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
