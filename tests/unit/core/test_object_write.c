/*
 * Writing over an object's bytes: the blocks that stay are shared, what was never written is zeros and takes no room, two who write at once both succeed, and of what
 * fails nothing is left. That the bytes are right is what test_core_model is about.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dedup_help.h"

#define BLOCKS 20 /* two segments and a half */
#define BODY (BLOCKS * SMALL_BLOCK - 100)

static int
scene_open(void **state)
{
	struct test_store *t = calloc(1, sizeof(*t));

	store_open_on(t, "embedded", hooks_wrap);
	bucket_make(t, "box", false);
	blocks_resize(t, "box", SMALL_BLOCK, SMALL_SEGMENT);
	*state = t;
	return 0;
}

static int
scene_close(void **state)
{
	store_close(*state); /* the references are counted there */
	free(*state);
	return 0;
}

static enum rfs_err
write_with(struct test_store *t, const struct object_write_args *args, struct version *out)
{
	struct object_write_args own = *args;

	own.bucket = BYTES_LITERAL("box");
	return object_write(&t->core, store_request(t), &own, out);
}

static enum rfs_err
write_at(struct test_store *t, const char *key, uint64_t offset, struct bytes bytes)
{
	const struct object_write_args args = {.key = bytes_str(key), .offset = offset, .bytes = bytes};
	struct version version;

	return write_with(t, &args, &version);
}

static enum rfs_err
resize(struct test_store *t, const char *key, uint64_t size)
{
	const struct object_write_args args = {.key = bytes_str(key), .resize = true, .size = size};
	struct version version;

	return write_with(t, &args, &version);
}

/* The body after a write over it. */
static void
overwrite(struct bytes body, size_t offset, struct bytes bytes)
{
	memcpy((uint8_t *)body.data + offset, bytes.data, bytes.len);
}

static void
only_blocks_that_change_are_stored(void **state)
{
	struct test_store *t = *state;
	struct bytes body = body_make(BODY, 1), bytes = body_make(SMALL_BLOCK, 2);
	int before;

	put(t, "box", "a", body);
	before = atomic_load(&hooks.blocks);
	assert_int_equal(write_at(t, "a", 9 * SMALL_BLOCK + 5, bytes_sub(bytes, 0, 10)), RFS_OK);
	assert_int_equal(atomic_load(&hooks.blocks) - before, 1);
	overwrite(body, 9 * SMALL_BLOCK + 5, bytes_sub(bytes, 0, 10));
	verify(t, "box", "a", body);
	assert_int_equal(write_at(t, "a", SMALL_SEGMENT * SMALL_BLOCK - 1, bytes_sub(bytes, 0, 2)), RFS_OK);
	assert_int_equal(atomic_load(&hooks.blocks) - before, 3); /* on either side of a segment's end */
	overwrite(body, SMALL_SEGMENT * SMALL_BLOCK - 1, bytes_sub(bytes, 0, 2));
	verify(t, "box", "a", body);
	assert_int_equal(resize(t, "a", 3 * SMALL_BLOCK), RFS_OK);
	assert_int_equal(atomic_load(&hooks.blocks) - before, 3);
	verify(t, "box", "a", bytes_sub(body, 0, 3 * SMALL_BLOCK));
	body_free(body);
	body_free(bytes);
}

/* An object made of parts keeps those that do not change. */
static void
of_parts_only_those_that_change_are_stored(void **state)
{
	struct test_store *t = *state;
	struct bytes body = body_make(10 * MB + 100, 3);
	char id[33], etags[3][33];
	struct bytes upload = upload_begin(t, "box", "a", id);
	struct upload_part_claim parts[3];
	int before;

	for (uint32_t i = 0; i < 3; i++) {
		struct bytes part = bytes_sub(body, i * 5 * MB, 5 * MB);

		parts[i] = (struct upload_part_claim){.number = i + 1, .etag = part_put(t, "box", "a", upload, i + 1, part, etags[i])};
	}
	complete(t, "box", "a", upload, parts, 3);
	before = atomic_load(&hooks.blocks);
	assert_int_equal(write_at(t, "a", 5 * MB - 1, BYTES_LITERAL("xy")), RFS_OK);
	assert_int_equal(atomic_load(&hooks.blocks) - before, 2);
	overwrite(body, 5 * MB - 1, BYTES_LITERAL("xy"));
	verify(t, "box", "a", body);
	assert_int_equal(resize(t, "a", 5 * MB + 10), RFS_OK);
	verify(t, "box", "a", bytes_sub(body, 0, 5 * MB + 10));
	body_free(body);
}

static void
what_was_never_written_takes_no_room(void **state)
{
	struct test_store *t = *state;
	struct byte_range last = {.given = true, .suffix = true, .last = 2 * SMALL_BLOCK};
	uint8_t zeros[2 * SMALL_BLOCK] = {0}, *back = NULL;
	size_t len = 0;
	int before;

	put(t, "box", "a", BYTES_LITERAL("bytes"));
	before = atomic_load(&hooks.blocks);
	assert_int_equal(resize(t, "a", 64 * MB), RFS_OK);
	assert_int_equal(atomic_load(&hooks.blocks) - before, 1); /* the one that was shorter */
	assert_int_equal(store_get(t, "box", BYTES_LITERAL("a"), last, &back, &len), RFS_OK);
	assert_int_equal(len, sizeof(zeros));
	assert_memory_equal(back, zeros, len);
	free(back);
	/* What was cut off does not come back. */
	assert_int_equal(resize(t, "a", 2), RFS_OK);
	assert_int_equal(resize(t, "a", 5), RFS_OK);
	verify(t, "box", "a", bytes_of("by\0\0", 5));
	assert_int_equal(resize(t, "a", 0), RFS_OK);
	verify(t, "box", "a", bytes_of("", 0));
}

static void
what_is_said_of_an_object_stays_but_for_its_etag(void **state)
{
	struct test_store *t = *state;
	struct object_put_args args = {.bucket = BYTES_LITERAL("box"),
		.key = BYTES_LITERAL("a"),
		.size = 3,
		.content_type = BYTES_LITERAL("text/plain"),
		.acl = ACL_PUBLIC_READ,
		.store_checksum = true,
		.checksum = DIGEST_CRC32C};
	struct object_write_args over = {.key = BYTES_LITERAL("a"), .bytes = BYTES_LITERAL("x")};
	struct version before, after;

	assert_int_equal(store_put_with(t, store_request(t), &args, BYTES_LITERAL("abc"), &before), RFS_OK);
	over.conditions.if_match = BYTES_LITERAL("\"other\"");
	assert_int_equal(write_with(t, &over, &after), RFS_ERR_PRECONDITION_FAILED);
	over.conditions.if_match = BYTES_LITERAL("\"900150983cd24fb0d6963f7d28e17f72\"");
	assert_int_equal(write_with(t, &over, &after), RFS_OK);
	assert_int_equal(after.etag.len, 34);
	assert_int_equal(after.acl, ACL_PUBLIC_READ);
	assert_true(bytes_equal(after.content_type, args.content_type));
	assert_false(after.has_checksum);
	assert_memory_equal(after.object_id, before.object_id, OBJECT_ID_BYTES);
	assert_int_equal(write_with(t, &over, &after), RFS_ERR_PRECONDITION_FAILED);
	verify(t, "box", "a", BYTES_LITERAL("xbc"));
}

static void
what_cannot_be_written_is_refused(void **state)
{
	struct test_store *t = *state;

	put(t, "box", "a", BYTES_LITERAL("bytes"));
	put(t, "box", "d/", bytes_of(NULL, 0));
	assert_int_equal(write_at(t, "none", 0, BYTES_LITERAL("x")), RFS_ERR_NO_SUCH_KEY);
	assert_int_equal(write_at(t, "d/", 0, BYTES_LITERAL("x")), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(write_at(t, "a", OBJECT_BYTES_MAX, BYTES_LITERAL("x")), RFS_ERR_ENTITY_TOO_LARGE);
	assert_int_equal(write_at(t, "a", UINT64_MAX, BYTES_LITERAL("x")), RFS_ERR_ENTITY_TOO_LARGE);
	assert_int_equal(resize(t, "a", OBJECT_BYTES_MAX + 1), RFS_ERR_ENTITY_TOO_LARGE);
	verify(t, "box", "a", BYTES_LITERAL("bytes"));
}

/* --- races and failures ------------------------------------------------------------------------------------------- */

static bool
is_head(const struct batch *b)
{
	return batch_has(b, BATCH_PUT, TABLE_ENTRY);
}

static void
somebody_writes(void *data)
{
	struct test_store *t = data;
	struct request rq = {.arena = arena_new(65536), .door = "test", .who = t->rq.who, .may_block = true, .now_ns = t->rq.now_ns};
	const struct object_write_args args = {
		.bucket = BYTES_LITERAL("box"), .key = BYTES_LITERAL("a"), .offset = 2 * SMALL_BLOCK, .bytes = BYTES_LITERAL("theirs")};
	struct version version;

	assert_int_equal(object_write(&t->core, &rq, &args, &version), RFS_OK);
	arena_free(rq.arena);
}

static void
two_who_write_at_once_both_have(void **state)
{
	struct test_store *t = *state;
	struct bytes body = body_make(BODY, 4);

	put(t, "box", "a", body);
	hooks_arm(is_head, TABLE_DRIVER, somebody_writes, t);
	assert_int_equal(write_at(t, "a", 0, BYTES_LITERAL("ours")), RFS_OK);
	overwrite(body, 0, BYTES_LITERAL("ours"));
	overwrite(body, 2 * SMALL_BLOCK, BYTES_LITERAL("theirs"));
	verify(t, "box", "a", body);
	body_free(body);
}

/* Whatever call fails, the bytes are the old ones; and of what was written nothing is left. */
static void
a_write_that_fails_has_changed_nothing(void **state)
{
	static const enum fault_op ops[] = {FAULT_GET, FAULT_SCAN, FAULT_COMMIT, FAULT_PUT, FAULT_WAIT, FAULT_READ};
	struct test_store *t = *state;
	struct bytes body = body_make(BODY, 5), bytes = body_make(12 * SMALL_BLOCK, 6);
	size_t failed = 0;

	put(t, "box", "a", body);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		enum rfs_err err = RFS_ERR_IO;

		for (uint64_t n = 1; err; n++) {
			t->rules.op[ops[i]].error = RFS_ERR_IO;
			t->rules.op[ops[i]].fail_at = fault_calls(&t->drivers, ops[i]) + n;
			err = write_at(t, "a", 5 * SMALL_BLOCK + 7, bytes);
			t->rules.op[ops[i]].fail_at = 0;
			assert_true(err == RFS_OK || err == RFS_ERR_IO);
			failed += err != RFS_OK;
			if (!err)
				overwrite(body, 5 * SMALL_BLOCK + 7, bytes);
			verify(t, "box", "a", body);
			assert_true(n < 200);
		}
	}
	assert_true(failed > 10);
	body_free(body);
	body_free(bytes);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
	const struct CMUnitTest tests[] = {
		TEST(only_blocks_that_change_are_stored),
		TEST(of_parts_only_those_that_change_are_stored),
		TEST(what_was_never_written_takes_no_room),
		TEST(what_is_said_of_an_object_stays_but_for_its_etag),
		TEST(what_cannot_be_written_is_refused),
		TEST(two_who_write_at_once_both_have),
		TEST(a_write_that_fails_has_changed_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
