/* What the reaper leaves alone. */
#include "hooks.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MB ((size_t)1024 * 1024)

static void
gate_pass(void *data)
{
	while (sem_wait(data) != 0)
		;
}

/* The round over the whole store, in which the reaper takes what a process before this one was writing, comes upon what this one writes. */
static void
what_is_being_written_outlives_the_first_round(void **state)
{
	struct bucket_create_args create = { .name = BYTES_LITERAL("first") };
	struct object_put_args args = { .bucket = create.name, .key = BYTES_LITERAL("k"), .size = 3 * MB };
	struct object_put *put;
	struct version version;
	struct test_store t;
	struct slice body;
	sem_t gate;

	sem_init(&gate, 0, 0);
	hooks_arm(NULL, TABLE_DRIVER, gate_pass, &gate); /* where it looks for the store's first bucket */
	store_open_on(&t, "mem", hooks_wrap);
	assert_int_equal(bucket_create(&t.core, store_request(&t), &create), RFS_OK);
	assert_int_equal(object_put_begin(&t.core, store_request(&t), &args, &put), RFS_OK);
	body = slice_new(3 * MB);
	memset(slice_writable(&body), 1, body.len);
	assert_int_equal(object_put_write(put, body), RFS_OK);
	slice_unref(&body);
	sem_post(&gate);
	while (atomic_load(&hooks.reads[TABLE_DRIVER]) < 2) /* for the one behind this one */
		sleep_ns(1000000);
	assert_int_equal(object_put_finish(put, NULL, 0, &version), RFS_OK);
	store_close(&t);
	sem_destroy(&gate);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_being_written_outlives_the_first_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
