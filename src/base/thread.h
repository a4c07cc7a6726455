/*
 * thread.h: what a thread may do, asserted in debug builds.
 *
 * [init] before the threads start; [loop] its owner only, never blocks; [worker] may block, never on a socket; [any].
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <assert.h>
#include <pthread.h>

enum thread_role { THREAD_INIT, THREAD_LOOP, THREAD_WORKER, THREAD_COMMITTER, THREAD_APPLY, THREAD_BACKGROUND };

/* Once, at a thread's start; also names it for tools (15 characters). */
void thread_role_set(enum thread_role role, const char *name);
enum thread_role thread_role_get(void);

/*
 * A lock whose writers go before readers that come after them: where readers come with every request, a change would
 * wait for ever otherwise. Who has it for reading must not take it again: he would wait for a writer who waits for him.
 */
void rwlock_init(pthread_rwlock_t *lock);

#define ASSERT_MAY_BLOCK() assert(thread_role_get() != THREAD_LOOP)
#define ASSERT_LOOP() assert(thread_role_get() == THREAD_LOOP)

#endif
