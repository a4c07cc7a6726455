/* test_auth.c: identities, access keys, their files and the decision, over the mem driver. */
#include "auth_fixture.h"
#include "base/hash.h"
#include "base/log.h"
#include "managers/auth/sigv4.h"
#include <pthread.h>
#include <sys/stat.h>

static enum rfs_err
signing_key(struct fixture *f, struct bytes access_key, uint8_t out[32], const struct identity **who)
{
	return auth_signing_key(
		f->auth, &f->rq, access_key, bytes_str("20260131"), bytes_str("us-east-1"), bytes_str("s3"), out, who);
}

static void
expect_signing_key(struct fixture *f, struct bytes access_key, struct bytes secret, const char *user)
{
	const struct identity *who;
	uint8_t expected[32], got[32];
	int i;

	sigv4_signing_key(secret, bytes_str("20260131"), bytes_str("us-east-1"), bytes_str("s3"), expected);
	for (i = 0; i < 2; i++) { /* computed, then remembered */
		assert_int_equal(signing_key(f, access_key, got, &who), RFS_OK);
		assert_memory_equal(got, expected, 32);
		assert_string_equal(who->name, user);
	}
}

static void
path_of(struct fixture *f, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", f->data, name);
}

static void
file_write(struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	path_of(f, name, path);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* --- files ---------------------------------------------------------------------------------------------------------
 */

static void
test_the_files_are_private_and_stay(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"master.key", "root-credentials"};
	char path[128], before[ACCESS_KEY_MAX + 1];
	char secret[AUTH_SECRET_SIZE], again[AUTH_SECRET_SIZE];
	struct stat st;
	size_t i;

	for (i = 0; i < 2; i++) {
		path_of(f, names[i], path);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	snprintf(before, sizeof(before), "%s", auth_root_access_key(f->auth));
	assert_int_equal(strlen(before), GENERATED_ACCESS_KEY);
	assert_true(auth_root_secret(f->auth, secret));
	assert_int_equal(strlen(secret), GENERATED_SECRET);
	reopen(f);
	assert_string_equal(auth_root_access_key(f->auth), before);
	assert_true(auth_root_secret(f->auth, again));
	assert_string_equal(secret, again);
	expect_signing_key(f, bytes_str(before), bytes_str(secret), "root");
}

static void
test_a_given_root_key_stands_over_the_file(void **state)
{
	struct fixture *f = *state;
	const struct identity *who;
	uint8_t key[32];

	auth_close(f->auth);
	f->auth = NULL;
	assert_int_equal(auth_open(f->metadata, f->data, "given-key", "given-secret", &f->auth, f->error), RFS_OK);
	expect_signing_key(f, bytes_str("given-key"), bytes_str("given-secret"), "root");
	assert_true(auth_root(f->auth)->admin);
	reopen(f);
	assert_int_equal(signing_key(f, bytes_str("given-key"), key, &who), RFS_ERR_INVALID_ACCESS_KEY_ID);
}

static void
test_half_a_root_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct auth *other = NULL;

	assert_int_equal(
		auth_open(f->metadata, f->data, "given-key", NULL, &other, f->error), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(
		auth_open(f->metadata, f->data, NULL, "given-secret", &other, f->error), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(
		auth_open(f->metadata, f->data, "a/b", "given-secret", &other, f->error), RFS_ERR_INVALID_ARGUMENT);
	assert_null(other);
	assert_true(f->error[0]);
}

static void
test_a_lost_or_foreign_master_key_stops_the_start(void **state)
{
	struct fixture *f = *state;
	struct auth *other = NULL;
	char path[128], kept[140];

	path_of(f, "master.key", path);
	snprintf(kept, sizeof(kept), "%s.kept", path);
	assert_int_equal(rename(path, kept), 0);
	assert_int_equal(auth_open(f->metadata, f->data, NULL, NULL, &other, f->error), RFS_ERR_NOT_FOUND);
	assert_int_not_equal(access(path, F_OK), 0);
	file_write(f, "master.key", "01234567890123456789012345678901");
	assert_int_equal(auth_open(f->metadata, f->data, NULL, NULL, &other, f->error), RFS_ERR_DAMAGED);
	file_write(f, "master.key", "short");
	assert_int_equal(auth_open(f->metadata, f->data, NULL, NULL, &other, f->error), RFS_ERR_DAMAGED);
	assert_int_equal(rename(kept, path), 0);
	reopen(f);
}

static void
test_a_bad_credentials_file_names_its_line(void **state)
{
	struct fixture *f = *state;
	struct auth *other = NULL;

	file_write(f, "root-credentials", "# mine\naccess_key=abc\nsecret_key=short\n");
	assert_int_equal(auth_open(f->metadata, f->data, NULL, NULL, &other, f->error), RFS_ERR_INVALID_ARGUMENT);
	assert_non_null(strstr(f->error, "root-credentials:3"));
	file_write(f, "root-credentials", "access_key=abc\n");
	assert_int_equal(auth_open(f->metadata, f->data, NULL, NULL, &other, f->error), RFS_ERR_INVALID_ARGUMENT);
	file_write(f, "root-credentials", "access_key = abc \r\nsecret_key = long-enough \n");
	reopen(f);
	expect_signing_key(f, bytes_str("abc"), bytes_str("long-enough"), "root");
}

/* --- users and keys ------------------------------------------------------------------------------------------------
 */

static void
test_users_survive_a_restart_with_number_and_id(void **state)
{
	struct fixture *f = *state;
	const struct identity *anna, *again, **list;
	char display_id[65];
	uint64_t id;
	size_t count;

	make_user(f, "anna", &anna);
	assert_int_equal(strlen(anna->display_id), 64);
	assert_string_not_equal(anna->display_id, auth_root(f->auth)->display_id);
	assert_true(anna->id > IDENTITY_ROOT);
	assert_false(anna->admin);
	strcpy(display_id, anna->display_id);
	id = anna->id;
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_str("boss"), true), RFS_OK);
	reopen(f);
	assert_int_equal(auth_user_find(f->auth, &f->rq, bytes_str("anna"), &again), RFS_OK);
	assert_int_equal(again->id, id);
	assert_string_equal(again->display_id, display_id);
	assert_ptr_equal(auth_identity(f->auth, &f->rq, id), again);
	assert_int_equal(auth_user_list(f->auth, &f->rq, &list, &count), RFS_OK);
	assert_int_equal(count, 3);
	assert_string_equal(list[0]->name, "root");
	assert_string_equal(list[1]->name, "anna");
	assert_string_equal(list[2]->name, "boss");
	assert_true(list[2]->admin);
}

static void
test_user_names_are_checked_and_unique(void **state)
{
	struct fixture *f = *state;
	char long_name[USER_NAME_MAX + 2];
	const struct identity *who;

	memset(long_name, 'a', sizeof(long_name));
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_str(""), false), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_str("a b"), false), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_of(long_name, USER_NAME_MAX + 1), false),
		RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_of(long_name, USER_NAME_MAX), false), RFS_OK);
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_str("root"), false), RFS_ERR_USER_EXISTS);
	make_user(f, "anna", &who);
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_str("anna"), true), RFS_ERR_USER_EXISTS);
	assert_int_equal(auth_user_remove(f->auth, &f->rq, bytes_str("nobody")), RFS_ERR_NO_SUCH_USER);
	assert_int_equal(auth_user_remove(f->auth, &f->rq, bytes_str("root")), RFS_ERR_INVALID_ARGUMENT);
}

static void
test_a_removed_user_loses_his_keys_at_once_and_for_good(void **state)
{
	struct fixture *f = *state;
	const struct identity *anna, *again, *who;
	struct bytes cached, uncached, secret, name = bytes_str("anna");
	char cached_text[32], uncached_text[32];
	uint8_t key[32];
	uint64_t id;

	make_user(f, "anna", &anna);
	id = anna->id;
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, name, NULL, (struct bytes){0}, (struct bytes){0}, &cached, &secret),
		RFS_OK);
	snprintf(cached_text, sizeof(cached_text), "%.*s", (int)cached.len, cached.data);
	expect_signing_key(f, cached, secret, "anna");
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, name, NULL, (struct bytes){0}, (struct bytes){0}, &uncached, &secret),
		RFS_OK);
	snprintf(uncached_text, sizeof(uncached_text), "%.*s", (int)uncached.len, uncached.data);
	assert_int_equal(auth_user_remove(f->auth, &f->rq, name), RFS_OK);
	assert_string_equal(anna->name, "anna"); /* who holds it still may */
	assert_int_equal(signing_key(f, bytes_str(cached_text), key, &who), RFS_ERR_INVALID_ACCESS_KEY_ID);
	assert_int_equal(signing_key(f, bytes_str(uncached_text), key, &who), RFS_ERR_INVALID_ACCESS_KEY_ID);
	assert_string_equal(auth_identity(f->auth, &f->rq, id)->name, "unknown");
	assert_string_equal(auth_identity(f->auth, &f->rq, id)->display_id, anna->display_id);
	make_user(f, "anna", &again);
	assert_true(again->id != id);
	reopen(f);
	assert_int_equal(signing_key(f, bytes_str(cached_text), key, &who), RFS_ERR_INVALID_ACCESS_KEY_ID);
	assert_string_equal(auth_identity(f->auth, &f->rq, id)->name, "unknown");
}

static void
test_removing_a_user_with_thousands_of_keys_takes_several_batches(void **state)
{
	struct fixture *f = *state;
	const struct identity *who;
	struct bytes access_key, secret;
	struct access_key_info *keys;
	size_t i, count;

	make_user(f, "anna", &who);
	make_user(f, "bert", &who);
	for (i = 0; i < 2100; i++)
		assert_int_equal(auth_key_create(f->auth, &f->rq, bytes_str(i % 30 ? "anna" : "bert"), NULL,
					 (struct bytes){0}, (struct bytes){0}, &access_key, &secret),
			RFS_OK);
	assert_int_equal(auth_user_remove(f->auth, &f->rq, bytes_str("anna")), RFS_OK);
	assert_int_equal(auth_key_list(f->auth, &f->rq, (struct bytes){0}, &keys, &count), RFS_OK);
	assert_int_equal(count, 70 + 1); /* and root's */
}

static void
test_keys_are_made_listed_and_removed(void **state)
{
	struct fixture *f = *state;
	struct access_key_scope scope = {
		.bucket = bytes_str("photos"), .prefix = bytes_str("2026/"), .read_only = true};
	struct bytes given = bytes_str("my-key"), secret = bytes_str("my-secret"), made, made_secret;
	const struct identity *anna, *who;
	struct access_key_info *keys;
	uint8_t key[32];
	size_t count;

	make_user(f, "anna", &anna);
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, bytes_str("anna"), &scope, given, secret, &made, &made_secret),
		RFS_OK);
	assert_true(bytes_equal(made, given) && bytes_equal(made_secret, secret));
	assert_int_equal(auth_key_create(f->auth, &f->rq, bytes_str("anna"), NULL, given, secret, &made, &made_secret),
		RFS_ERR_EXISTS);
	expect_signing_key(f, given, secret, "anna");
	assert_int_equal(signing_key(f, given, key, &who), RFS_OK);
	assert_int_equal(who->id, anna->id);
	assert_string_equal(who->scope_bucket, "photos");
	assert_string_equal(who->scope_prefix, "2026/");
	assert_true(who->scope_read_only && identity_is_scoped(who));
	assert_int_equal(auth_key_list(f->auth, &f->rq, bytes_str("anna"), &keys, &count), RFS_OK);
	assert_int_equal(count, 1);
	assert_true(bytes_equal(keys[0].access_key, given) && bytes_equal_str(keys[0].user, "anna"));
	assert_true(bytes_equal_str(keys[0].scope.prefix, "2026/") && keys[0].created_ns == f->rq.now_ns);
	assert_int_equal(auth_key_remove(f->auth, &f->rq, given), RFS_OK);
	assert_int_equal(signing_key(f, given, key, &who), RFS_ERR_INVALID_ACCESS_KEY_ID);
	assert_int_equal(auth_key_remove(f->auth, &f->rq, given), RFS_ERR_NO_SUCH_ACCESS_KEY);
	assert_int_equal(auth_key_list(f->auth, &f->rq, bytes_str("anna"), &keys, &count), RFS_OK);
	assert_int_equal(count, 0);
}

static void
test_a_key_made_again_has_only_its_new_secret(void **state)
{
	struct fixture *f = *state;
	struct bytes name = bytes_str("anna"), text = bytes_str("same-key"), key, secret;
	const struct identity *who;

	make_user(f, "anna", &who);
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, name, NULL, text, bytes_str("first-secret"), &key, &secret), RFS_OK);
	expect_signing_key(f, text, bytes_str("first-secret"), "anna");
	assert_int_equal(auth_key_remove(f->auth, &f->rq, text), RFS_OK);
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, name, NULL, text, bytes_str("second-secret"), &key, &secret), RFS_OK);
	expect_signing_key(f, text, bytes_str("second-secret"), "anna");
	reopen(f);
	expect_signing_key(f, text, bytes_str("second-secret"), "anna");
}

static void
test_the_root_key_is_nobodys_to_take_or_remove(void **state)
{
	struct fixture *f = *state;
	struct bytes root = bytes_str(auth_root_access_key(f->auth)), key, secret;

	assert_int_equal(auth_key_remove(f->auth, &f->rq, root), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, bytes_str("root"), NULL, root, (struct bytes){0}, &key, &secret),
		RFS_ERR_EXISTS);
	assert_int_equal(auth_key_create(f->auth, &f->rq, bytes_str("root"), NULL, (struct bytes){0}, (struct bytes){0},
				 &key, &secret),
		RFS_OK);
	expect_signing_key(f, key, secret, "root");
}

static void
test_arguments_of_keys_are_checked(void **state)
{
	struct fixture *f = *state;
	struct bytes none = {0}, key, secret, root = bytes_str("root");
	struct access_key_scope zero = {.prefix = bytes_of("a\0b", 3)};

	assert_int_equal(auth_key_create(f->auth, &f->rq, bytes_str("x"), NULL, none, none, &key, &secret),
		RFS_ERR_NO_SUCH_USER);
	assert_int_equal(auth_key_create(f->auth, &f->rq, root, NULL, bytes_str("a/b"), none, &key, &secret),
		RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(auth_key_create(f->auth, &f->rq, root, NULL, bytes_str("ab"), none, &key, &secret),
		RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(auth_key_create(f->auth, &f->rq, root, NULL, none, bytes_str("short"), &key, &secret),
		RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, root, &zero, none, none, &key, &secret), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(auth_key_remove(f->auth, &f->rq, bytes_str("a/b")), RFS_ERR_NO_SUCH_ACCESS_KEY);
}

/* An attacker may choose the region: it must not make another region's signing key be remembered under an honest name.
 */
static void
test_a_zero_byte_in_the_region_poisons_nothing(void **state)
{
	struct fixture *f = *state;
	char secret[AUTH_SECRET_SIZE];
	struct bytes root = bytes_str(auth_root_access_key(f->auth));
	const struct identity *who;
	uint8_t key[32];

	assert_true(auth_root_secret(f->auth, secret));
	assert_int_equal(auth_signing_key(f->auth, &f->rq, root, bytes_str("20260131"), bytes_str("us-east-1"),
				 bytes_of("s3\0x", 4), key, &who),
		RFS_OK);
	expect_signing_key(f, root, bytes_str(secret), "root");
}

static void
test_secrets_are_not_in_rows(void **state)
{
	struct fixture *f = *state;
	struct bytes access_key, secret;
	struct row row;

	assert_int_equal(auth_key_create(f->auth, &f->rq, bytes_str("root"), NULL, (struct bytes){0}, (struct bytes){0},
				 &access_key, &secret),
		RFS_OK);
	assert_int_equal(metadata_get(f->metadata, &f->rq, token_row_key(f->rq.arena, access_key), &row), RFS_OK);
	assert_true(row.found);
	assert_null(memmem(row.value.data, row.value.len, secret.data, secret.len));
}

static void
test_damaged_rows_are_errors(void **state)
{
	struct fixture *f = *state;
	struct identity_row identity;
	struct token_row token = {.identity = 7, .sealed = bytes_of("0123456789012345678901234567890123456789", 40)},
			 out;
	struct buf b;
	size_t len;

	assert_int_equal(identity_row_decode(f->rq.arena, (struct bytes){0}, &identity), RFS_ERR_DAMAGED);
	assert_int_equal(identity_row_decode(f->rq.arena, bytes_of("\2\0\1a", 4), &identity), RFS_ERR_DAMAGED);
	buf_init(&b, NULL);
	token_row_encode(&b, &token);
	for (len = 0; len < b.len; len++)
		assert_int_equal(token_row_decode(bytes_of(b.data, len), &out), RFS_ERR_DAMAGED);
	assert_int_equal(token_row_decode(buf_bytes(&b), &out), RFS_OK);
	buf_fini(&b);
}

/* --- threads -------------------------------------------------------------------------------------------------------
 */

struct user_of_key {
	struct fixture *f;
	_Atomic bool stop;
};

static void *
use_key(void *arg)
{
	struct user_of_key *u = arg;
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};

	while (!u->stop) {
		const struct identity *who;
		uint8_t key[32];
		enum rfs_err err = auth_signing_key(u->f->auth, &rq, bytes_str("raced-key"), bytes_str("20260131"),
			bytes_str("r"), bytes_str("s3"), key, &who);

		assert(err == RFS_OK ? strcmp(who->name, "anna") == 0 : err == RFS_ERR_INVALID_ACCESS_KEY_ID);
		arena_reset(rq.arena);
	}
	arena_free(rq.arena);
	return NULL;
}

static void
test_a_removed_key_is_refused_while_others_use_it(void **state)
{
	struct fixture *f = *state;
	struct user_of_key u = {.f = f};
	const struct identity *anna, *who;
	struct bytes access_key, secret;
	pthread_t threads[4];
	uint8_t key[32];
	int i;

	make_user(f, "anna", &anna);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, use_key, &u);
	for (i = 0; i < 300; i++) {
		assert_int_equal(auth_key_create(f->auth, &f->rq, bytes_str("anna"), NULL, bytes_str("raced-key"),
					 (struct bytes){0}, &access_key, &secret),
			RFS_OK);
		assert_int_equal(auth_key_remove(f->auth, &f->rq, bytes_str("raced-key")), RFS_OK);
		assert_int_equal(auth_signing_key(f->auth, &f->rq, bytes_str("raced-key"), bytes_str("20260131"),
					 bytes_str("r"), bytes_str("s3"), key, &who),
			RFS_ERR_INVALID_ACCESS_KEY_ID);
	}
	u.stop = true;
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

/* --- the decision --------------------------------------------------------------------------------------------------
 */

#define OPS 12

/* A letter an operation, in the order of enum operation: 'y' allowed, '-' denied. */
static void
expect_ops(struct fixture *f, const struct identity *who, const struct access_target *target, const char *expected)
{
	char got[OPS + 1] = {0};
	int op;

	for (op = 0; op < OPS; op++) {
		f->rq.who = who;
		request_clear_error(&f->rq);
		got[op] = auth_check(f->auth, &f->rq, target, (enum operation)op) == RFS_OK ? 'y' : '-';
	}
	assert_string_equal(got, expected);
}

static void
test_the_decision_is_the_table_of_rules(void **state)
{
	struct fixture *f = *state;
	struct bucket_row bucket = {.id = 3, .name = bytes_str("photos"), .owner = 100};
	struct bucket_row public_bucket = {.id = 4, .name = bytes_str("photos"), .owner = 100, .acl = ACL_PUBLIC_READ};
	struct version mine = {.owner = 100}, open = {.owner = 100, .acl = ACL_PUBLIC_READ}, other = {.owner = 200};
	struct access_target none = {0}, in_bucket = {.bucket = &bucket, .name = bytes_str("a")};
	struct access_target missing_public = {.bucket = &public_bucket, .name = bytes_str("a")};
	struct access_target object = {.bucket = &bucket, .name = bytes_str("a"), .version = &mine};
	struct access_target opened = {.bucket = &bucket, .name = bytes_str("a"), .version = &open};
	struct access_target anothers = {.bucket = &bucket, .name = bytes_str("a"), .version = &other};
	struct identity owner = {.id = 100, .name = "owner"}, stranger = {.id = 200, .name = "stranger"};
	const struct identity *nobody = auth_anonymous(), *root = auth_root(f->auth);

	/*                                          list-all create delete read list configure feed | read write delete
	 * read-acl write-acl */
	expect_ops(f, root, &none, "yyyyyyyyyyyy");
	expect_ops(f, &owner, &none, "yy----------");
	expect_ops(f, nobody, &none, "------------");
	expect_ops(f, NULL, &none, "------------");
	expect_ops(f, root, &object, "yyyyyyyyyyyy");
	expect_ops(f, &owner, &object, "yyyyyyyyyyyy");
	expect_ops(f, &owner, &anothers, "yyyyyyyyyyyy");
	expect_ops(f, &stranger, &in_bucket, "------------");
	expect_ops(f, &stranger, &object, "------------");
	expect_ops(f, &stranger, &opened, "-------y----");
	expect_ops(f, nobody, &opened, "-------y----");
	expect_ops(f, nobody, &object, "------------");
	expect_ops(f, &stranger, &anothers, "------------"); /* he wrote it, and that gives him nothing */
	expect_ops(f, nobody, &missing_public, "---yy--y----");
}

static void
test_scopes_limit_owners_and_administrators_alike(void **state)
{
	struct fixture *f = *state;
	struct bucket_row bucket = {.id = 3, .name = bytes_str("photos"), .owner = 100};
	struct bucket_row elsewhere = {.id = 4, .name = bytes_str("photo"), .owner = 100, .acl = ACL_PUBLIC_READ};
	struct version version = {.owner = 100, .acl = ACL_PUBLIC_READ};
	struct access_target none = {0}, inside = {.bucket = &bucket, .name = bytes_str("2026/x"), .version = &version};
	struct access_target outside = {.bucket = &bucket, .name = bytes_str("2025/x"), .version = &version};
	struct access_target whole_list = {.bucket = &bucket};
	struct access_target other_bucket = {.bucket = &elsewhere, .name = bytes_str("2026/x"), .version = &version};
	struct identity reads = {.id = 100, .name = "a", .scope_read_only = true};
	struct identity admin_reads = {.id = 1, .name = "r", .admin = true, .scope_read_only = true};
	struct identity in_bucket = {.id = 100, .name = "a", .scope_bucket = "photos"};
	struct identity in_prefix = {.id = 100, .name = "a", .scope_bucket = "photos", .scope_prefix = "2026/"};

	expect_ops(f, &reads, &inside, "y--yy-yy--y-");
	expect_ops(f, &admin_reads, &inside, "y--yy-yy--y-");
	expect_ops(f, &admin_reads, &none, "y--yy-yy--y-");
	expect_ops(f, &in_bucket, &inside, "yyyyyyyyyyyy");
	expect_ops(f, &in_bucket, &other_bucket, "------------");
	expect_ops(f, &in_bucket, &none, "y-----------");
	expect_ops(f, &in_prefix, &inside, "y--yy-yyyyyy");
	expect_ops(f, &in_prefix, &outside, "y--y--------");
	expect_ops(f, &in_prefix, &whole_list, "y--y--------");
	expect_ops(f, &in_prefix, &other_bucket, "------------");
}

/* --- changes told out of order -------------------------------------------------------------------------------------
 */

static bool
makes_identity(const struct batch *b)
{
	return batch_has(b, BATCH_PUT, TABLE_IDENTITY);
}

static void
remove_anna(void *data)
{
	struct fixture *f = data;
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};

	assert_int_equal(auth_user_remove(f->auth, &rq, bytes_str("anna")), RFS_OK);
	arena_free(rq.arena);
}

static void
remove_group(void *data)
{
	struct fixture *f = data;
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};

	assert_int_equal(auth_group_remove(f->auth, &rq, bytes_str("painters")), RFS_OK);
	arena_free(rq.arena);
}

static void
test_a_user_removed_before_his_creation_returned_stays_removed(void **state)
{
	struct fixture *f = *state;
	const struct identity *who, **list;
	struct bytes key, secret;
	size_t count;

	hooks_arm_behind_commit(makes_identity, remove_anna, f);
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_str("anna"), true), RFS_OK);
	assert_false(atomic_load(&hooks.armed));
	assert_int_equal(auth_user_find(f->auth, &f->rq, bytes_str("anna"), &who), RFS_ERR_NO_SUCH_USER);
	assert_int_equal(auth_user_list(f->auth, &f->rq, &list, &count), RFS_OK);
	assert_int_equal(count, 1);
	assert_int_equal(auth_key_create(f->auth, &f->rq, bytes_str("anna"), NULL, (struct bytes){0}, (struct bytes){0},
				 &key, &secret),
		RFS_ERR_NO_SUCH_USER);
	make_user(f, "anna", &who);
	assert_false(who->admin || identity_is_removed(who));
}

/* The same of a group, which its creator is told of nevertheless. */
static void
test_a_group_removed_before_its_creation_returned_stays_removed(void **state)
{
	struct fixture *f = *state;
	const struct identity *group, *found;

	hooks_arm_behind_commit(makes_identity, remove_group, f);
	assert_int_equal(auth_group_create(f->auth, &f->rq, bytes_str("painters"), &group), RFS_OK);
	assert_int_equal(auth_owner_find(f->auth, &f->rq, bytes_str("painters"), &found), RFS_ERR_NO_SUCH_USER);
	assert_int_equal(atomic_load(&f->auth->group_count), 0);
}

/* --- who is removed while he asks --------------------------------------------------------------------------------- */

static void
test_who_is_removed_meanwhile_is_refused_also_by_his_limited_keys(void **state)
{
	struct fixture *f = *state;
	struct access_key_scope scope = {.read_only = true};
	struct bucket_row bucket = {.id = 3, .name = bytes_str("photos"), .acl = ACL_PUBLIC_READ};
	struct version open = {.acl = ACL_PUBLIC_READ};
	struct access_target none = {0}, target = {.bucket = &bucket, .name = bytes_str("a"), .version = &open};
	struct bytes name = bytes_str("anna"), key, secret, limited;
	const struct identity *anna, *whole, *part, *again;
	uint8_t signing[32];

	make_user(f, "anna", &anna);
	bucket.owner = anna->id;
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, name, NULL, bytes_str("whole"), (struct bytes){0}, &key, &secret),
		RFS_OK);
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, name, &scope, bytes_str("part"), (struct bytes){0}, &limited, &secret),
		RFS_OK);
	assert_int_equal(signing_key(f, key, signing, &whole), RFS_OK);
	assert_int_equal(signing_key(f, limited, signing, &part), RFS_OK);
	assert_ptr_not_equal(part, whole);
	expect_ops(f, whole, &target, "yyyyyyyyyyyy");
	expect_ops(f, part, &target, "y--yy-yy--y-");
	assert_int_equal(auth_user_remove(f->auth, &f->rq, name), RFS_OK);
	make_user(f, "anna", &again);
	expect_ops(f, whole, &target, "------------");
	expect_ops(f, part, &target, "------------");
	expect_ops(f, whole, &none, "------------");
	expect_ops(f, again, &none, "yy----------");
	expect_ops(f, auth_anonymous(), &target, "---yy--y----");
	assert_true(identity_is_removed(auth_identity(f->auth, &f->rq, anna->id)));
	assert_false(identity_is_removed(auth_root(f->auth)));
}

static void
test_whose_key_is_removed_meanwhile_is_refused_and_his_other_keys_are_not(void **state)
{
	struct fixture *f = *state;
	const struct access_key_scope scopes[] = {{.read_only = false}, {.read_only = true}};
	struct bucket_row bucket = {.id = 3, .name = bytes_str("photos"), .acl = ACL_PUBLIC_READ};
	struct version open = {.acl = ACL_PUBLIC_READ};
	struct access_target target = {.bucket = &bucket, .name = bytes_str("a"), .version = &open};
	struct bytes name = bytes_str("anna"), access_key = bytes_str("first"), key, secret;
	const struct identity *anna, *first, *other, *again;
	uint8_t signing[32];

	make_user(f, "anna", &anna);
	bucket.owner = anna->id;
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, name, NULL, bytes_str("other"), (struct bytes){0}, &key, &secret),
		RFS_OK);
	assert_int_equal(signing_key(f, key, signing, &other), RFS_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(auth_key_create(f->auth, &f->rq, name, &scopes[i], access_key, (struct bytes){0}, &key,
					 &secret),
			RFS_OK);
		assert_int_equal(signing_key(f, access_key, signing, &first), RFS_OK);
		expect_ops(f, first, &target, i ? "y--yy-yy--y-" : "yyyyyyyyyyyy");
		assert_int_equal(auth_key_remove(f->auth, &f->rq, access_key), RFS_OK);
		expect_ops(f, first, &target, "------------");
		assert_true(identity_is_removed(first));
	}
	expect_ops(f, other, &target, "yyyyyyyyyyyy");
	assert_int_equal(
		auth_key_create(f->auth, &f->rq, name, NULL, access_key, (struct bytes){0}, &key, &secret), RFS_OK);
	assert_int_equal(signing_key(f, access_key, signing, &again), RFS_OK);
	expect_ops(f, again, &target, "yyyyyyyyyyyy");
	expect_ops(f, first, &target, "------------");
}

struct asker {
	struct fixture *f;
	const struct identity *who;
	struct bucket_row bucket;
	_Atomic bool removed; /* set when auth_user_remove has returned */
};

static void *
ask(void *arg)
{
	struct asker *asker = arg;
	struct access_target target = {.bucket = &asker->bucket};
	struct request rq = {.arena = arena_new(4096), .door = "test", .who = asker->who};
	enum rfs_err err;
	bool removed;

	do {
		removed = asker->removed;
		arena_reset(rq.arena);
		rq.detail = NULL;
		err = auth_check(asker->f->auth, &rq, &target, OP_OBJECT_WRITE);
		assert(!removed || err == RFS_ERR_ACCESS_DENIED);
	} while (!removed);
	arena_free(rq.arena);
	return NULL;
}

static void
test_nobody_is_allowed_anything_after_his_removal_returned(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		struct asker asker = {.f = f, .bucket = {.id = 3, .name = bytes_str("photos")}};
		pthread_t threads[2];

		make_user(f, "anna", &asker.who);
		asker.bucket.owner = asker.who->id;
		for (int k = 0; k < 2; k++)
			assert_int_equal(pthread_create(&threads[k], NULL, ask, &asker), 0);
		assert_int_equal(auth_user_remove(f->auth, &f->rq, bytes_str("anna")), RFS_OK);
		asker.removed = true;
		for (int k = 0; k < 2; k++)
			pthread_join(threads[k], NULL);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_files_are_private_and_stay),
		TEST(test_a_given_root_key_stands_over_the_file),
		TEST(test_half_a_root_key_is_refused),
		TEST(test_a_lost_or_foreign_master_key_stops_the_start),
		TEST(test_a_bad_credentials_file_names_its_line),
		TEST(test_users_survive_a_restart_with_number_and_id),
		TEST(test_user_names_are_checked_and_unique),
		TEST(test_a_removed_user_loses_his_keys_at_once_and_for_good),
		TEST(test_removing_a_user_with_thousands_of_keys_takes_several_batches),
		TEST(test_keys_are_made_listed_and_removed),
		TEST(test_a_key_made_again_has_only_its_new_secret),
		TEST(test_the_root_key_is_nobodys_to_take_or_remove),
		TEST(test_arguments_of_keys_are_checked),
		TEST(test_a_zero_byte_in_the_region_poisons_nothing),
		TEST(test_secrets_are_not_in_rows),
		TEST(test_damaged_rows_are_errors),
		TEST(test_a_removed_key_is_refused_while_others_use_it),
		TEST(test_the_decision_is_the_table_of_rules),
		TEST(test_scopes_limit_owners_and_administrators_alike),
		TEST(test_a_user_removed_before_his_creation_returned_stays_removed),
		TEST(test_a_group_removed_before_its_creation_returned_stays_removed),
		TEST(test_who_is_removed_meanwhile_is_refused_also_by_his_limited_keys),
		TEST(test_whose_key_is_removed_meanwhile_is_refused_and_his_other_keys_are_not),
		TEST(test_nobody_is_allowed_anything_after_his_removal_returned),
	};

	log_init(LOG_ERROR, LOG_TEXT, STDERR_FILENO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
