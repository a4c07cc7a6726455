/* test_auth_groups.c: groups, their members, and what a group's bucket lets them do. */
#include "auth_fixture.h"
#include <pthread.h>

static struct bytes painters = {(const uint8_t *)"painters", 8};
static struct bytes anna = {(const uint8_t *)"anna", 4};

/* A bucket that the group owns. */
static struct bucket_row
group_bucket(struct fixture *f, const struct identity **group)
{
	assert_int_equal(auth_group_create(f->auth, &f->rq, painters, group), RFS_OK);
	return (struct bucket_row){.id = 3, .name = bytes_str("photos"), .owner = (*group)->id};
}

static bool
may(struct fixture *f, const struct identity *who, const struct bucket_row *bucket, enum operation op)
{
	struct access_target target = {.bucket = bucket, .name = bytes_str("a")};

	f->rq.who = who;
	request_clear_error(&f->rq);
	return auth_check(f->auth, &f->rq, &target, op) == RFS_OK;
}

static bool
may_all(struct fixture *f, const struct identity *who, const struct bucket_row *bucket, bool expected)
{
	for (enum operation op = OP_BUCKET_DELETE; op <= OP_OBJECT_WRITE_ACL; op++)
		if (may(f, who, bucket, op) != expected)
			return false;
	return may(f, who, bucket, OP_BUCKET_LIST_ALL) == expected;
}

static size_t
users_of(struct fixture *f, const char *names)
{
	struct group_info *groups;
	size_t count;
	char text[256] = "";

	assert_int_equal(auth_group_list(f->auth, &f->rq, &groups, &count), RFS_OK);
	assert_true(count > 0);
	for (size_t i = 0; i < groups[0].user_count; i++) {
		strcat(text, i ? "," : "");
		strcat(text, groups[0].users[i]);
	}
	assert_string_equal(text, names);
	return count;
}

static void
test_members_may_what_an_owner_may(void **state)
{
	struct fixture *f = *state;
	const struct identity *member, *other, *group;
	struct bucket_row bucket, another;

	make_user(f, "anna", &member);
	make_user(f, "bert", &other);
	bucket = group_bucket(f, &group);
	another = bucket;
	another.owner = other->id;
	assert_true(may_all(f, member, &bucket, false));
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, anna), RFS_OK);
	assert_true(may_all(f, member, &bucket, true));
	assert_true(may_all(f, other, &bucket, false));
	assert_true(may_all(f, auth_anonymous(), &bucket, false));
	assert_true(may_all(f, member, &another, false));
	assert_int_equal(auth_group_drop(f->auth, &f->rq, painters, anna), RFS_OK);
	assert_true(may_all(f, member, &bucket, false));
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, anna), RFS_OK);
	assert_int_equal(auth_group_remove(f->auth, &f->rq, painters), RFS_OK);
	assert_true(may_all(f, member, &bucket, false));
	assert_string_equal(auth_identity(f->auth, &f->rq, bucket.owner)->name, "unknown");
}

static void
test_a_limited_key_of_a_member_stays_limited(void **state)
{
	struct fixture *f = *state;
	const struct identity *member, *group;
	struct access_key_scope scope = {.read_only = true};
	struct bytes key, secret;
	uint8_t signing[32];
	struct bucket_row bucket;

	make_user(f, "anna", &member);
	bucket = group_bucket(f, &group);
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, anna), RFS_OK);
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, anna, &scope, (struct bytes){0}, (struct bytes){0}, &key, &secret),
		RFS_OK);
	assert_int_equal(auth_signing_key(f->auth, &f->rq, key, bytes_str("20260131"), bytes_str("r"), bytes_str("s3"),
				 signing, &member),
		RFS_OK);
	assert_true(may(f, member, &bucket, OP_OBJECT_READ));
	assert_false(may(f, member, &bucket, OP_OBJECT_WRITE));
}

static void
test_a_restart_finds_groups_and_members(void **state)
{
	struct fixture *f = *state;
	const struct identity *member, *group;
	struct bucket_row bucket;

	make_user(f, "anna", &member);
	make_user(f, "bert", &member);
	bucket = group_bucket(f, &group);
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, bytes_str("bert")), RFS_OK);
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, anna), RFS_OK);
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, anna), RFS_OK); /* again */
	reopen(f);
	assert_int_equal(users_of(f, "anna,bert"), 1);
	assert_int_equal(auth_user_find(f->auth, &f->rq, anna, &member), RFS_OK);
	assert_true(may_all(f, member, &bucket, true));
	assert_int_equal(auth_group_drop(f->auth, &f->rq, painters, anna), RFS_OK);
	reopen(f);
	assert_int_equal(users_of(f, "bert"), 1);
	assert_int_equal(auth_user_find(f->auth, &f->rq, anna, &member), RFS_OK);
	assert_true(may_all(f, member, &bucket, false));
	assert_int_equal(auth_group_remove(f->auth, &f->rq, painters), RFS_OK);
	reopen(f);
	assert_int_equal(auth_group_remove(f->auth, &f->rq, painters), RFS_ERR_NO_SUCH_GROUP);
}

/* Somebody else of the same name is another one. */
static void
test_a_removed_user_is_no_member_any_more(void **state)
{
	struct fixture *f = *state;
	struct identity_rows rows;
	const struct identity *member, *group;
	struct bucket_row bucket;

	make_user(f, "anna", &member);
	bucket = group_bucket(f, &group);
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, anna), RFS_OK);
	assert_int_equal(auth_user_remove(f->auth, &f->rq, anna), RFS_OK);
	users_of(f, "");
	make_user(f, "anna", &member);
	assert_true(may_all(f, member, &bucket, false));
	users_of(f, "");
	assert_int_equal(auth_group_drop(f->auth, &f->rq, painters, anna), RFS_ERR_NO_SUCH_USER);
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, anna), RFS_OK);
	users_of(f, "anna");
	/* And the row that was written again does not name him any more. */
	assert_int_equal(identity_read(f->auth, &f->rq, painters, true, &rows), RFS_OK);
	assert_int_equal(rows.identity.users.count, 1);
}

static void
test_a_group_is_no_user(void **state)
{
	struct fixture *f = *state;
	const struct identity *group, *found, **users;
	struct bytes none = {0}, key, secret;
	size_t count;

	make_user(f, "anna", &found);
	group_bucket(f, &group);
	assert_int_equal(auth_user_find(f->auth, &f->rq, painters, &found), RFS_ERR_NO_SUCH_USER);
	assert_int_equal(auth_owner_find(f->auth, &f->rq, painters, &found), RFS_OK);
	assert_int_equal(found->id, group->id);
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, painters, NULL, none, none, &key, &secret), RFS_ERR_NO_SUCH_USER);
	assert_int_equal(auth_user_remove(f->auth, &f->rq, painters), RFS_ERR_NO_SUCH_USER);
	assert_int_equal(auth_group_remove(f->auth, &f->rq, anna), RFS_ERR_NO_SUCH_GROUP);
	assert_int_equal(auth_group_add(f->auth, &f->rq, painters, painters), RFS_ERR_NO_SUCH_USER);
	assert_int_equal(auth_group_add(f->auth, &f->rq, anna, anna), RFS_ERR_NO_SUCH_GROUP);
	assert_int_equal(auth_group_add(f->auth, &f->rq, bytes_str("nobody"), anna), RFS_ERR_NO_SUCH_GROUP);
	assert_int_equal(auth_group_create(f->auth, &f->rq, anna, &found), RFS_ERR_USER_EXISTS);
	assert_int_equal(auth_user_create(f->auth, &f->rq, painters, false), RFS_ERR_USER_EXISTS);
	assert_int_equal(auth_group_create(f->auth, &f->rq, bytes_str("root"), &found), RFS_ERR_USER_EXISTS);
	assert_int_equal(auth_group_create(f->auth, &f->rq, bytes_str("a b"), &found), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(auth_user_list(f->auth, &f->rq, &users, &count), RFS_OK);
	assert_int_equal(count, 2);
}

/* --- changes during a listing ------------------------------------------------------------------------------------- */

/* Where this program takes a lock for reading, it steps in front of the `strike_at`th time, without the lock. */
static struct fixture *watched;
static unsigned locks, strike_at;

int __real_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);

int
__wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	struct fixture *f = watched;

	if (f && ++locks == strike_at) {
		watched = NULL;
		assert_int_equal(auth_group_add(f->auth, &f->rq, bytes_str("group0"), bytes_str("bert")), RFS_OK);
		assert_int_equal(auth_group_drop(f->auth, &f->rq, bytes_str("group2"), anna), RFS_OK);
	}
	return __real_pthread_rwlock_rdlock(lock);
}

/* A listing of many groups and users must not keep a change, and everybody's requests behind it, waiting until it ends.
 */
static void
test_a_change_waits_for_one_group_of_a_listing_at_most(void **state)
{
	struct fixture *f = *state;
	const struct identity *group, *user;
	struct group_info *groups;
	char name[16];
	size_t count;

	make_user(f, "bert", &user);
	make_user(f, "anna", &user);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "group%d", i);
		assert_int_equal(auth_group_create(f->auth, &f->rq, bytes_str(name), &group), RFS_OK);
		assert_int_equal(auth_group_add(f->auth, &f->rq, bytes_str(name), anna), RFS_OK);
	}
	watched = f;
	locks = strike_at = 0;
	assert_int_equal(auth_group_list(f->auth, &f->rq, &groups, &count), RFS_OK);
	strike_at = locks; /* the last one that it takes */
	locks = 0;
	assert_int_equal(auth_group_list(f->auth, &f->rq, &groups, &count), RFS_OK);
	assert_null(watched);
	assert_int_equal(groups[0].user_count, 1); /* it was read before */
	assert_int_equal(groups[1].user_count, 1);
	assert_int_equal(groups[2].user_count, 0);
	users_of(f, "anna,bert");
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

#define JOINERS 4
#define JOINS 20

struct joiner {
	struct fixture *f;
	int number;
};

static void *
join_and_leave(void *arg)
{
	struct joiner *j = arg;
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};
	char name[16];

	snprintf(name, sizeof(name), "user%d", j->number);
	for (int i = 0; i < JOINS; i++) {
		assert(auth_group_add(j->f->auth, &rq, painters, bytes_str(name)) == RFS_OK);
		if (i + 1 < JOINS || j->number % 2)
			assert(auth_group_drop(j->f->auth, &rq, painters, bytes_str(name)) == RFS_OK);
		arena_reset(rq.arena);
	}
	arena_free(rq.arena);
	return NULL;
}

/* Who committed first may be the last to tell. */
static void
test_an_older_list_does_not_replace_a_newer_one(void **state)
{
	struct fixture *f = *state;
	uint64_t both[] = {100, 200};
	struct user_set newer = {both, 2}, older = {both, 1};
	const struct identity *group;

	group_bucket(f, &group);
	pthread_rwlock_wrlock(&f->auth->lock);
	group_set_locked(f->auth, group->id, painters, &newer, 1000);
	group_set_locked(f->auth, group->id, painters, &older, 999);
	pthread_rwlock_unlock(&f->auth->lock);
	assert_true(group_has(f->auth, group->id, 200));
	assert_false(group_has(f->auth, group->id, 150));
}

static void
test_changes_at_once_are_all_kept(void **state)
{
	struct fixture *f = *state;
	struct joiner joiners[JOINERS];
	pthread_t threads[JOINERS];
	const struct identity *group, *user;
	char name[16];

	group_bucket(f, &group);
	for (int i = 0; i < JOINERS; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		make_user(f, name, &user);
		joiners[i] = (struct joiner){f, i};
	}
	for (int i = 0; i < JOINERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, join_and_leave, &joiners[i]), 0);
	for (int i = 0; i < JOINERS; i++)
		pthread_join(threads[i], NULL);
	users_of(f, "user0,user2");
	reopen(f);
	users_of(f, "user0,user2");
}

static void
test_damaged_rows_of_groups_are_errors(void **state)
{
	struct fixture *f = *state;
	uint64_t ids[] = {2, 300, 70000};
	struct identity_row row = {.name = painters, .group = true, .users = {ids, 3}}, out;
	struct buf b;

	buf_init(&b, f->rq.arena);
	identity_row_encode(&b, &row);
	assert_int_equal(identity_row_decode(f->rq.arena, buf_bytes(&b), &out), RFS_OK);
	assert_true(out.group && out.users.count == 3 && out.users.ids[2] == 70000);
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(identity_row_decode(f->rq.arena, bytes_of(b.data, len), &out), RFS_ERR_DAMAGED);
	ids[1] = 2;
	b.len = 0;
	identity_row_encode(&b, &row);
	assert_int_equal(identity_row_decode(f->rq.arena, buf_bytes(&b), &out), RFS_ERR_DAMAGED);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_members_may_what_an_owner_may),
		TEST(test_a_limited_key_of_a_member_stays_limited),
		TEST(test_a_restart_finds_groups_and_members),
		TEST(test_a_removed_user_is_no_member_any_more),
		TEST(test_a_group_is_no_user),
		TEST(test_an_older_list_does_not_replace_a_newer_one),
		TEST(test_a_change_waits_for_one_group_of_a_listing_at_most),
		TEST(test_changes_at_once_are_all_kept),
		TEST(test_damaged_rows_of_groups_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
