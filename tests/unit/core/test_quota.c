/* A quota holds exactly, also when many write at once; what takes away, or adds nothing, is never refused. */
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define WRITERS 6
#define KEYS 30 /* of each writer */
#define ALLOWED_OBJECTS 50
#define BODY_BYTES 1000
#define ALLOWED_BYTES 25500

static const char *driver;
static const struct bytes limited = { (const uint8_t *)"limited", 7 };
static struct test_store store;

static int
setup(void **state)
{
	store_open_with(&store, driver, limited);
	return 0;
}

static int
teardown(void **state)
{
	store_close(&store);
	return 0;
}

static void
limit(uint64_t user, uint64_t objects, uint64_t bytes)
{
	struct quota_changes changes = { &objects, &bytes };

	assert_int_equal(quota_set(&store.core, store_request(&store), limited, user, &changes), RFS_OK);
	store.rq.need = SPACE_ORDINARY;
}

static enum rfs_err
put(struct test_store *t, const char *key, size_t size)
{
	static const uint8_t zeros[4 * BODY_BYTES];

	return store_put(t, "limited", bytes_str(key), bytes_of(zeros, size), NULL);
}

static void
assert_usage(int64_t objects, int64_t bytes)
{
	struct bucket_usage usage;

	assert_int_equal(bucket_usage(&store.core, store_request(&store), limited, &usage), RFS_OK);
	assert_int_equal(usage.objects, objects);
	assert_int_equal(usage.bytes, bytes);
}

struct writer {
	struct test_store t;
	pthread_t thread;
	int number, written;
};

static void *
write_keys(void *data)
{
	struct writer *w = data;

	for (int i = 0; i < KEYS; i++) {
		enum rfs_err err;
		char key[32];

		snprintf(key, sizeof(key), "%d/%d", w->number, i);
		err = put(&w->t, key, BODY_BYTES);
		assert(err == RFS_OK || err == RFS_ERR_QUOTA_EXCEEDED);
		w->written += err == RFS_OK;
	}
	return NULL;
}

static int
write_together(void)
{
	struct writer writers[WRITERS];
	int written = 0;

	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .t = store, .number = i };
		writers[i].t.rq.arena = arena_new(65536);
		sem_init(&writers[i].t.woken, 0, 0);
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_keys, &writers[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		written += writers[i].written;
		arena_free(writers[i].t.rq.arena);
		sem_destroy(&writers[i].t.woken);
	}
	return written;
}

static void
so_many_objects_and_not_one_more(void **state)
{
	limit(QUOTA_OF_BUCKET, ALLOWED_OBJECTS, 0);
	assert_int_equal(write_together(), ALLOWED_OBJECTS);
	assert_usage(ALLOWED_OBJECTS, ALLOWED_OBJECTS * BODY_BYTES);
	assert_int_equal(put(&store, "more", 1), RFS_ERR_QUOTA_EXCEEDED);
	limit(QUOTA_OF_BUCKET, 0, 0);
	assert_int_equal(put(&store, "more", 1), RFS_OK);
}

static void
so_many_bytes_and_not_one_more(void **state)
{
	limit(QUOTA_OF_BUCKET, 0, ALLOWED_BYTES);
	assert_int_equal(write_together(), ALLOWED_BYTES / BODY_BYTES);
	assert_int_equal(put(&store, "more", 501), RFS_ERR_QUOTA_EXCEEDED);
	assert_int_equal(put(&store, "more", 500), RFS_OK);
	assert_usage(ALLOWED_BYTES / BODY_BYTES + 1, ALLOWED_BYTES);
}

static void
what_one_user_owns_is_limited_and_nobody_elses(void **state)
{
	const struct identity *anna;

	assert_int_equal(auth_user_create(store.core.auth, store_request(&store), BYTES_LITERAL("anna"), true), RFS_OK);
	assert_int_equal(auth_user_find(store.core.auth, store_request(&store), BYTES_LITERAL("anna"), &anna), RFS_OK);
	limit(anna->id, ALLOWED_OBJECTS, 0);
	store.rq.who = anna;
	assert_int_equal(write_together(), ALLOWED_OBJECTS);
	store.rq.who = auth_root(store.core.auth);
	assert_int_equal(put(&store, "more", 1), RFS_OK);
	/* What another writes over hers is no longer hers, and the other way round. */
	store.rq.who = anna;
	assert_int_equal(put(&store, "more", 1), RFS_ERR_QUOTA_EXCEEDED);
	store.rq.who = auth_root(store.core.auth);
	assert_int_equal(put(&store, "hers", 1), RFS_OK);
	limit(anna->id, ALLOWED_OBJECTS + 1, 0);
	store.rq.who = anna;
	assert_int_equal(put(&store, "hers", 2), RFS_OK);
	assert_int_equal(put(&store, "more", 1), RFS_ERR_QUOTA_EXCEEDED);
	store.rq.who = auth_root(store.core.auth);
	assert_int_equal(put(&store, "hers", 3), RFS_OK);
	store.rq.who = anna;
	assert_int_equal(put(&store, "more", 1), RFS_OK);
	store.rq.who = auth_root(store.core.auth);
}

static void
what_adds_nothing_is_not_refused(void **state)
{
	struct object_rename_args rename = { .bucket = limited, .from = BYTES_LITERAL("a"), .to = BYTES_LITERAL("c") };
	struct object_copy_args copy = { .from_bucket = limited, .from_key = BYTES_LITERAL("c"), .to = { .bucket = limited, .key = BYTES_LITERAL("d"), .size = -1 } };
	struct version version;

	assert_int_equal(put(&store, "a", 2 * BODY_BYTES), RFS_OK);
	assert_int_equal(put(&store, "b", 2 * BODY_BYTES), RFS_OK);
	limit(QUOTA_OF_BUCKET, 1, BODY_BYTES);
	assert_int_equal(put(&store, "a", 2 * BODY_BYTES + 1), RFS_ERR_QUOTA_EXCEEDED);
	assert_int_equal(put(&store, "a", 2 * BODY_BYTES), RFS_OK);
	assert_int_equal(put(&store, "a", BODY_BYTES), RFS_OK);
	assert_int_equal(object_rename(&store.core, store_request(&store), &rename), RFS_OK);
	assert_int_equal(object_copy(&store.core, store_request(&store), &copy, &version), RFS_ERR_QUOTA_EXCEEDED);
	assert_int_equal(object_set_acl(&store.core, store_request(&store), limited, BYTES_LITERAL("c"), ACL_PUBLIC_READ), RFS_OK);
	store.rq.need = SPACE_ORDINARY;
	assert_int_equal(store_delete(&store, "limited", BYTES_LITERAL("c")), RFS_OK);
	assert_int_equal(store_delete(&store, "limited", BYTES_LITERAL("b")), RFS_OK);
	assert_int_equal(put(&store, "a", BODY_BYTES), RFS_OK);
	assert_usage(1, BODY_BYTES);
}

static void
quotas_are_told_with_what_counts(void **state)
{
	struct quota_state *states;
	size_t count;

	limit(QUOTA_OF_BUCKET, 10, 0);
	limit(store.rq.who->id, 0, ALLOWED_BYTES);
	assert_int_equal(put(&store, "a", BODY_BYTES), RFS_OK);
	assert_int_equal(quota_list(&store.core, store_request(&store), limited, &states, &count), RFS_OK);
	assert_int_equal(count, 2);
	assert_int_equal(states[0].user, QUOTA_OF_BUCKET);
	assert_int_equal(states[0].quota.objects, 10);
	assert_int_equal(states[0].usage.objects, 1);
	assert_int_equal(states[1].user, store.rq.who->id);
	assert_int_equal(states[1].quota.bytes, ALLOWED_BYTES);
	assert_int_equal(states[1].usage.bytes, BODY_BYTES);
	store.rq.who = auth_anonymous();
	assert_int_equal(quota_list(&store.core, store_request(&store), limited, &states, &count), RFS_ERR_ACCESS_DENIED);
	store.rq.who = auth_root(store.core.auth);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(so_many_objects_and_not_one_more, setup, teardown),
		cmocka_unit_test_setup_teardown(so_many_bytes_and_not_one_more, setup, teardown),
		cmocka_unit_test_setup_teardown(what_one_user_owns_is_limited_and_nobody_elses, setup, teardown),
		cmocka_unit_test_setup_teardown(what_adds_nothing_is_not_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(quotas_are_told_with_what_counts, setup, teardown),
	};

	driver = argc > 1 ? argv[1] : "embedded";
	return cmocka_run_group_tests_name(driver, tests, NULL, NULL);
}
