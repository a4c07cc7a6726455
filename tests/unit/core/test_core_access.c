/* Who loses his access while a request of his is under way, does not have it at the end. */
#include "base/log.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char secret[] = "secret-of-anna";
static struct bytes anna = {(const uint8_t *)"anna", 4};
static struct bytes painters = {(const uint8_t *)"painters", 8};
static struct bytes bucket_name = {(const uint8_t *)"photos", 6};

/* As the door gets it. */
static const struct identity *
identity_of_key(struct test_store *t, const char *access_key, const struct access_key_scope *scope)
{
	struct request *rq = store_request(t);
	const struct identity *who;
	struct bytes key, given;
	uint8_t signing[32];

	assert_int_equal(
		auth_key_create(t->core.auth, rq, anna, scope, bytes_str(access_key), bytes_str(secret), &key, &given),
		RFS_OK);
	assert_int_equal(auth_signing_key(t->core.auth, rq, bytes_str(access_key), bytes_str("20260131"),
				 bytes_str("r"), bytes_str("s3"), signing, &who),
		RFS_OK);
	return who;
}

static void
user_remove(struct test_store *t)
{
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};

	assert_int_equal(auth_user_remove(t->core.auth, &rq, anna), RFS_OK);
	arena_free(rq.arena);
}

static void
key_remove(struct test_store *t)
{
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};

	assert_int_equal(auth_key_remove(t->core.auth, &rq, BYTES_LITERAL("key-of-anna")), RFS_OK);
	arena_free(rq.arena);
}

static void
group_leave(struct test_store *t)
{
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};

	assert_int_equal(auth_group_drop(t->core.auth, &rq, painters, anna), RFS_OK);
	arena_free(rq.arena);
}

/* A PUT of anna's, or of a part, in the middle of which `change` happens. */
static enum rfs_err
put_over(struct test_store *t, const struct identity *who, size_t size, struct bytes upload,
	void (*change)(struct test_store *t))
{
	struct object_put_args args = {.bucket = bucket_name,
		.key = BYTES_LITERAL("key"),
		.size = (int64_t)size,
		.upload = upload,
		.part_number = 1};
	struct request *rq = store_request(t);
	struct slice body = slice_new(size);
	struct object_put *put;
	struct version version;
	enum rfs_err err;

	rq->who = who;
	assert_int_equal(object_put_begin(&t->core, rq, &args, &put), RFS_OK);
	assert_int_equal(object_put_write(put, body), RFS_OK);
	slice_unref(&body);
	change(t);
	store_alternate(t);
	do
		err = object_put_finish(put, NULL, 0, &version);
	while (store_again(t, err));
	rq->who = auth_root(t->core.auth);
	return err;
}

static void
assert_nothing_there(struct test_store *t)
{
	struct object_list_args args = {.bucket = bucket_name, .limit = 10};
	struct object_list list;

	assert_int_equal(object_list(&t->core, store_request(t), &args, &list), RFS_OK);
	assert_int_equal(list.count, 0);
}

static const size_t sizes[] = {10, OBJECT_PUT_ON_LOOP, 3 * 1024 * 1024};

static void
a_put_of_a_user_removed_meanwhile_is_not_published(void **state)
{
	static const struct access_key_scope scope = {.prefix = {(const uint8_t *)"k", 1}};
	struct test_store *t = *state;

	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
		const struct identity *who = identity_of_key(t, "key-of-anna", i % 2 ? &scope : NULL);

		assert_int_equal(put_over(t, who, sizes[i / 2], bytes_of(NULL, 0), user_remove), RFS_ERR_ACCESS_DENIED);
		assert_int_equal(auth_user_create(t->core.auth, store_request(t), anna, true), RFS_OK);
	}
	assert_nothing_there(t);
}

static void
a_put_whose_key_is_removed_meanwhile_is_not_published(void **state)
{
	struct test_store *t = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		const struct identity *who = identity_of_key(t, "key-of-anna", NULL);

		assert_int_equal(put_over(t, who, sizes[i], bytes_of(NULL, 0), key_remove), RFS_ERR_ACCESS_DENIED);
	}
	assert_nothing_there(t);
}

static void
a_part_of_a_user_removed_meanwhile_is_refused(void **state)
{
	struct test_store *t = *state;
	struct upload_create_args create = {.bucket = bucket_name, .key = BYTES_LITERAL("key")};
	const struct identity *who = identity_of_key(t, "key-of-anna", NULL);
	struct request *rq = store_request(t);
	char text[2 * UPLOAD_ID_BYTES];
	struct upload_parts parts;
	struct bytes id;

	assert_int_equal(upload_create(&t->core, rq, &create, &id), RFS_OK);
	memcpy(text, id.data, sizeof(text));
	id = bytes_of(text, sizeof(text));
	assert_int_equal(put_over(t, who, 10, id, user_remove), RFS_ERR_ACCESS_DENIED);
	assert_int_equal(
		upload_list_parts(&t->core, store_request(t), bucket_name, create.key, id, 0, 10, &parts), RFS_OK);
	assert_int_equal(parts.count, 0);
}

static void
a_put_of_who_left_the_group_meanwhile_is_not_published(void **state)
{
	struct test_store *t = *state;
	const struct identity *group, *who = identity_of_key(t, "key-of-anna", NULL);
	struct bucket_create_args create = {.name = bucket_name};
	struct request *rq;

	assert_int_equal(bucket_remove(&t->core, store_request(t), bucket_name), RFS_OK);
	assert_int_equal(auth_group_create(t->core.auth, store_request(t), painters, &group), RFS_OK);
	rq = store_request(t);
	rq->who = group; /* as an administrator who makes it for them */
	assert_int_equal(bucket_create(&t->core, rq, &create), RFS_OK);
	rq->who = auth_root(t->core.auth);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_int_equal(auth_group_add(t->core.auth, store_request(t), painters, anna), RFS_OK);
		assert_int_equal(put_over(t, who, sizes[i], bytes_of(NULL, 0), group_leave), RFS_ERR_ACCESS_DENIED);
	}
	assert_nothing_there(t);
}

static int
open_with(void **state, bool admin)
{
	struct test_store *t = calloc(1, sizeof(*t));
	struct bucket_create_args create = {.name = bucket_name};

	store_open(t);
	*state = t;
	return auth_user_create(t->core.auth, store_request(t), anna, admin) ||
	       bucket_create(&t->core, store_request(t), &create);
}

static int
open_for_an_administrator(void **state)
{
	return open_with(state, true);
}

static int
open_for_a_user(void **state)
{
	return open_with(state, false);
}

static int
close_store(void **state)
{
	store_close(*state);
	free(*state);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_put_of_a_user_removed_meanwhile_is_not_published, open_for_an_administrator, close_store),
		cmocka_unit_test_setup_teardown(
			a_put_whose_key_is_removed_meanwhile_is_not_published, open_for_an_administrator, close_store),
		cmocka_unit_test_setup_teardown(
			a_part_of_a_user_removed_meanwhile_is_refused, open_for_an_administrator, close_store),
		cmocka_unit_test_setup_teardown(
			a_put_of_who_left_the_group_meanwhile_is_not_published, open_for_a_user, close_store),
	};

	log_init(LOG_ERROR, LOG_TEXT, STDERR_FILENO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
