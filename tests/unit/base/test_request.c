/* Errors' faces, a request's detail and retries, and thread roles. */
#include "unit.h"
#include "base/clock.h"
#include "base/request.h"
#include "base/thread.h"
#include <errno.h>
#include <string.h>

static void
every_error_has_a_whole_face(void **state)
{
	static const enum rfs_err all[] = {
#define RFS_ERROR(name, number, text, retry, http, s3_code, swift, rpc, posix, ftp, ntstatus) RFS_ERR_##name,
#include "restfs/errors.def"
#undef RFS_ERROR
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const struct error_face *f = error_face(all[i]);

		assert_int_equal(f->error, all[i]);
		assert_true(strlen(f->name) > 0 && strlen(f->text) > 0 && strlen(f->s3_code) > 0);
		assert_in_range(f->http, 300, 599);
		assert_in_range(f->swift, 200, 599);
		assert_in_range(f->ftp, 400, 599);
		assert_true(f->rpc < 0 && f->posix > 0);
		assert_true((f->ntstatus & 0xc0000000) == 0xc0000000);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(all[i], all[j]);
	}
}

static void
well_known_faces(void **state)
{
	const struct error_face *f = error_face(RFS_ERR_NO_SUCH_KEY);

	assert_string_equal(f->name, "NO_SUCH_KEY");
	assert_string_equal(f->s3_code, "NoSuchKey");
	assert_int_equal(f->http, 404);
	assert_int_equal(f->posix, ENOENT);
	assert_int_equal(error_face(RFS_OK)->http, 200);
	assert_int_equal(error_face((enum rfs_err)99999)->error, RFS_ERR_INTERNAL);
	assert_int_equal(error_face((enum rfs_err) - 1)->error, RFS_ERR_INTERNAL);
	assert_int_equal(error_face((enum rfs_err)99)->error, RFS_ERR_INTERNAL);
	assert_int_equal(error_from_errno(ENOSPC), RFS_ERR_NO_SPACE);
	assert_int_equal(error_from_errno(EIO), RFS_ERR_IO);
	assert_int_equal(error_from_errno(12345), RFS_ERR_INTERNAL);
	assert_int_not_equal(error_from_errno(0), RFS_OK);
}

static void
the_first_detail_stays(void **state)
{
	struct request rq = {.arena = arena_new(0)};

	assert_int_equal(request_fail(&rq, RFS_ERR_IO, "read %s", "x"), RFS_ERR_IO);
	assert_int_equal(request_fail(&rq, RFS_ERR_INTERNAL, "get object"), RFS_ERR_INTERNAL);
	assert_string_equal(rq.detail, "read x");
	request_clear_error(&rq);
	assert_null(rq.detail);
	request_fail(&rq, RFS_ERR_IO, "again");
	assert_string_equal(rq.detail, "again");
	arena_free(rq.arena);
}

static void
retries_end_with_the_deadline_or_the_limit(void **state)
{
	struct request rq = {.may_block = true};
	int64_t start = clock_monotonic_ns();

	assert_true(request_may_retry(&rq, 0));
	assert_true(request_may_retry(&rq, 99));
	assert_true(clock_monotonic_ns() - start >= 2500000);
	assert_false(request_may_retry(&rq, 100));
	rq.deadline_ns = clock_monotonic_ns() - 1;
	assert_false(request_may_retry(&rq, 0));
	rq.deadline_ns = clock_monotonic_ns() + INT64_C(10000000000);
	assert_true(request_may_retry(&rq, 0));
}

static void *
take_a_role(void *name)
{
	assert_int_equal(thread_role_get(), THREAD_INIT);
	thread_role_set(THREAD_LOOP, "a name of more than 15 characters");
	assert_int_equal(pthread_getname_np(pthread_self(), name, 16), 0);
	ASSERT_LOOP();
	return NULL;
}

static void
a_role_belongs_to_its_thread(void **state)
{
	pthread_t thread;
	char name[16];

	assert_int_equal(pthread_create(&thread, NULL, take_a_role, name), 0);
	pthread_join(thread, NULL);
	assert_string_equal(name, "a name of more ");
	assert_int_equal(thread_role_get(), THREAD_INIT);
	ASSERT_MAY_BLOCK();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_a_whole_face),
		cmocka_unit_test(well_known_faces),
		cmocka_unit_test(the_first_detail_stays),
		cmocka_unit_test(retries_end_with_the_deadline_or_the_limit),
		cmocka_unit_test(a_role_belongs_to_its_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
