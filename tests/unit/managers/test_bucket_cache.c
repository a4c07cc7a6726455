/* test_bucket_cache.c: what is cached of buckets is forgotten, however many are reading it. */
#include "managers/metadata/metadata_int.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void *
forget(void *arg)
{
	bucket_forget_id(arg, 7);
	return NULL;
}

/* Each request of a busy store takes the lock for a moment, and there is always one that has it. */
static void
who_forgets_does_not_wait_for_those_who_come_after_him(void **state)
{
	struct metadata *m = metadata_new(NULL);
	pthread_t thread;

	assert_int_equal(pthread_rwlock_rdlock(&m->buckets_lock), 0);
	assert_int_equal(pthread_create(&thread, NULL, forget, m), 0);
	/* Until he has come. If later readers were let in then too, this would not end. */
	while (pthread_rwlock_tryrdlock(&m->buckets_lock) == 0) {
		pthread_rwlock_unlock(&m->buckets_lock);
		sched_yield();
	}
	assert_int_equal(m->buckets_epoch, 0);
	pthread_rwlock_unlock(&m->buckets_lock);
	pthread_join(thread, NULL);
	assert_int_equal(m->buckets_epoch, 1);
	metadata_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_forgets_does_not_wait_for_those_who_come_after_him),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
