/*
 * Verbs against the reaper: what is deleted, and reaped in whole or in part, at the moment at which another verb is about to use it; and a reaper that is
 * interrupted. The moment is certain: a hook in the driver is where the other one steps in.
 */
#include "hooks.h"
#include "managers/storage/storage_int.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MB ((size_t)1024 * 1024)
#define LONG_BYTES (3 * MB + 1) /* several blocks: one segment */
#define PART_BYTES (5 * MB)
#define LAST_BYTES ((size_t)1000) /* a last part: one block */
#define WAIT_NS (INT64_C(60) * 1000000000)

static const struct bytes bucket_name = { (const uint8_t *)"races", 5 };

/* A store, and what steps in. */
struct scene {
	struct test_store t;
	uint64_t bucket;
	struct request other; /* of who steps in */
	const char *victim;   /* his object */
	uint64_t stop_at;     /* the reaper is held before this commit of his deletion; 0: it ends */
	sem_t held, go_on;
};

static uint64_t
bucket_make(struct test_store *t, struct bytes name)
{
	struct bucket_create_args create = { .name = name };
	struct bucket_row bucket;

	assert_int_equal(bucket_create(&t->core, store_request(t), &create), RFS_OK);
	assert_int_equal(bucket_find(t->core.metadata, store_request(t), name, &bucket), RFS_OK);
	return bucket.id;
}

static int
scene_open(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	store_open_on(&s->t, "mem", hooks_wrap);
	s->bucket = bucket_make(&s->t, bucket_name);
	s->other = s->t.rq;
	s->other.arena = arena_new(65536);
	sem_init(&s->held, 0, 0);
	sem_init(&s->go_on, 0, 0);
	*state = s;
	return 0;
}

static int
scene_close(void **state)
{
	struct scene *s = *state;

	sem_post(&s->go_on); /* where the test has failed before */
	arena_free(s->other.arena);
	store_close(&s->t);
	sem_destroy(&s->held);
	sem_destroy(&s->go_on);
	free(s);
	return 0;
}

/* Rows of a table; with a request of its own. */
static size_t
rows_count(struct scene *s, uint64_t bucket, enum table table)
{
	struct request rq = { .arena = arena_new(4096), .may_block = true };
	struct bytes from = key_table(rq.arena, bucket, table, bytes_of(NULL, 0));
	struct row_page page;

	assert_int_equal(metadata_scan(s->t.core.metadata, &rq, from, key_after_prefix(rq.arena, from), 100, false, &page), RFS_OK);
	arena_free(rq.arena);
	return page.count;
}

static void
reaper_wake(struct scene *s)
{
	struct storage *storage = s->t.core.storage;

	pthread_mutex_lock(&storage->reaper_lock);
	pthread_cond_signal(&storage->reaper_wake);
	pthread_mutex_unlock(&storage->reaper_lock);
	sleep_ns(100000);
}

/* Until the reaper has nothing to do in this bucket. */
static void
reap(struct scene *s, uint64_t bucket)
{
	int64_t until = clock_monotonic_ns() + WAIT_NS;

	while (rows_count(s, bucket, TABLE_PURGE)) {
		assert_true(clock_monotonic_ns() < until);
		reaper_wake(s);
	}
}

/* --- objects ------------------------------------------------------------------------------------------------------------------- */

static struct bytes
body_of(size_t size, uint8_t seed)
{
	uint8_t *body = malloc(size);

	for (size_t i = 0; i < size; i++)
		body[i] = (uint8_t)(seed + i * 2654435761u / 65536);
	return bytes_of(body, size);
}

static void
put_long(struct scene *s, struct bytes bucket, const char *key)
{
	struct object_put_args args = { .bucket = bucket, .key = bytes_str(key), .size = (int64_t)LONG_BYTES };
	struct bytes body = body_of(LONG_BYTES, 1);
	struct version version;

	assert_int_equal(store_put_with(&s->t, store_request(&s->t), &args, body, &version), RFS_OK);
	free((void *)body.data);
}

static void
upload_begin(struct scene *s, const char *key, char id[2 * UPLOAD_ID_BYTES + 1])
{
	struct upload_create_args create = { .bucket = bucket_name, .key = bytes_str(key) };
	struct bytes text;

	assert_int_equal(upload_create(&s->t.core, store_request(&s->t), &create, &text), RFS_OK);
	memcpy(id, text.data, text.len);
	id[text.len] = 0;
}

/* An object of parts of these sizes, whose upload has been reaped. */
static void
put_parts(struct scene *s, const char *key, const size_t *sizes, size_t count)
{
	struct upload_part_claim claims[4] = { 0 };
	struct upload_complete_args complete = { .bucket = bucket_name, .key = bytes_str(key), .parts = claims, .part_count = count, .size = -1 };
	char id[2 * UPLOAD_ID_BYTES + 1], etags[4][33];
	struct version version;

	upload_begin(s, key, id);
	for (size_t i = 0; i < count; i++) {
		struct object_put_args args = {
			.bucket = bucket_name, .key = complete.key, .size = (int64_t)sizes[i], .upload = bytes_str(id), .part_number = (uint32_t)i + 1,
		};
		struct bytes body = body_of(sizes[i], (uint8_t)i);

		assert_int_equal(store_put_with(&s->t, store_request(&s->t), &args, body, &version), RFS_OK);
		memcpy(etags[i], version.etag.data, 32);
		claims[i] = (struct upload_part_claim){ .number = (uint32_t)i + 1, .etag = bytes_of(etags[i], 32) };
		free((void *)body.data);
	}
	complete.upload = bytes_str(id);
	assert_int_equal(upload_complete(&s->t.core, store_request(&s->t), &complete, &version), RFS_OK);
	reap(s, s->bucket);
}

static enum rfs_err
copy(struct scene *s, const char *from, const char *to)
{
	struct object_copy_args args = {
		.from_bucket = bucket_name, .from_key = bytes_str(from), .to = { .bucket = bucket_name, .key = bytes_str(to), .size = -1 },
	};
	struct version version;

	return object_copy(&s->t.core, store_request(&s->t), &args, &version);
}

/* To its end; NO_SUCH_KEY where there is none. */
static enum rfs_err
read_whole(struct scene *s, const char *key, size_t *len)
{
	uint8_t *body = NULL;
	enum rfs_err err = store_get(&s->t, "races", bytes_str(key), (struct byte_range){ 0 }, &body, len);

	free(body);
	return err;
}

/* Nothing but the bucket's row, its feed and the driver's own rows. */
static void
assert_nothing_is_left(struct scene *s)
{
	static const enum table tables[] = { TABLE_ENTRY, TABLE_SEGMENT, TABLE_BLOCK, TABLE_COUNTER, TABLE_PURGE, TABLE_PARTS, TABLE_UPLOAD_PART };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		assert_int_equal(rows_count(s, s->bucket, tables[i]), 0);
}

/* --- who steps in -------------------------------------------------------------------------------------------------------------- */

static void
hold(void *data)
{
	struct scene *s = data;

	sem_post(&s->held);
	while (sem_wait(&s->go_on) != 0)
		;
}

/* Deletes the victim, and lets the reaper take it, or as much of it as the scene says. */
static void
delete_and_reap(void *data)
{
	struct scene *s = data;
	struct object_delete_args args = { .bucket = bucket_name, .key = bytes_str(s->victim) };
	struct fault_rules *rules = &s->t.rules;
	bool removed;

	if (s->stop_at) {
		rules->op[FAULT_COMMIT].before = hold;
		rules->op[FAULT_COMMIT].before_data = s;
		rules->op[FAULT_COMMIT].before_at = fault_calls(&s->t.drivers, FAULT_COMMIT) + 1 + s->stop_at;
	}
	assert_int_equal(object_delete(&s->t.core, &s->other, &args, &removed), RFS_OK);
	assert_true(removed);
	if (!s->stop_at) {
		reap(s, s->bucket);
		return;
	}
	while (sem_trywait(&s->held) != 0)
		reaper_wake(s);
}

static void
step_in_once_the_head_is_read(struct scene *s, const char *victim, uint64_t stop_at)
{
	s->victim = victim;
	s->stop_at = stop_at;
	hooks_arm_behind(TABLE_ENTRY, delete_and_reap, s);
}

static void
reaper_go_on(struct scene *s)
{
	sem_post(&s->go_on);
	reap(s, s->bucket);
}

/* --- copies and reads of what goes ------------------------------------------------------------------------------------------------ */

static void
a_copy_whose_source_is_reaped_before_it_is_pinned_is_refused(void **state)
{
	static const size_t sizes[] = { PART_BYTES, LAST_BYTES };
	struct scene *s = *state;
	size_t len;

	put_long(s, bucket_name, "long");
	step_in_once_the_head_is_read(s, "long", 0);
	assert_int_equal(copy(s, "long", "copy"), RFS_ERR_NO_SUCH_KEY);
	assert_int_equal(read_whole(s, "copy", &len), RFS_ERR_NO_SUCH_KEY);
	put_parts(s, "parts", sizes, 2);
	step_in_once_the_head_is_read(s, "parts", 0);
	assert_int_equal(copy(s, "parts", "copy"), RFS_ERR_NO_SUCH_KEY);
	reap(s, s->bucket);
	assert_nothing_is_left(s);
}

/* The first part's segment has gone, the second's has not. */
static void
a_copy_whose_source_is_half_reaped_is_refused(void **state)
{
	static const size_t sizes[] = { PART_BYTES, PART_BYTES };
	struct scene *s = *state;
	size_t len;

	put_parts(s, "parts", sizes, 2);
	step_in_once_the_head_is_read(s, "parts", 2);
	assert_int_equal(copy(s, "parts", "copy"), RFS_ERR_NO_SUCH_KEY);
	reaper_go_on(s);
	assert_int_equal(read_whole(s, "copy", &len), RFS_ERR_NO_SUCH_KEY);
	assert_nothing_is_left(s);
}

/* A reader of the second part finds its first bytes, and would not find the later ones. */
static void
a_read_of_what_is_being_reaped_does_not_begin(void **state)
{
	static const size_t sizes[] = { PART_BYTES, PART_BYTES };
	struct scene *s = *state;
	struct object_get_args args = { .bucket = bucket_name, .key = BYTES_LITERAL("parts"), .range = { .given = true, .open_ended = true, .first = PART_BYTES } };
	struct object_get get;
	struct slice piece;
	enum rfs_err err;

	put_parts(s, "parts", sizes, 2);
	step_in_once_the_head_is_read(s, "parts", 2);
	err = object_get_open(&s->t.core, store_request(&s->t), &args, &get);
	reaper_go_on(s);
	while (!err && !(err = object_get_read(&get, &piece)) && piece.len)
		slice_unref(&piece);
	assert_int_equal(err, RFS_ERR_NO_SUCH_KEY);
	assert_nothing_is_left(s);
}

static void
a_part_is_not_copied_from_what_is_being_reaped(void **state)
{
	static const size_t sizes[] = { PART_BYTES, PART_BYTES };
	struct scene *s = *state;
	char id[2 * UPLOAD_ID_BYTES + 1];
	struct upload_part_copy_args args = {
		.from_bucket = bucket_name, .from_key = BYTES_LITERAL("parts"),
		.range = { .given = true, .first = PART_BYTES, .last = 2 * PART_BYTES - 1 },
		.to = { .bucket = bucket_name, .key = BYTES_LITERAL("to"), .part_number = 1, .size = -1 },
	};
	struct version version;
	struct request *rq;

	put_parts(s, "parts", sizes, 2);
	upload_begin(s, "to", id);
	args.to.upload = bytes_str(id);
	rq = store_request(&s->t);
	step_in_once_the_head_is_read(s, "parts", 2);
	assert_int_equal(upload_part_copy(&s->t.core, rq, &args, &version), RFS_ERR_NO_SUCH_KEY);
	reaper_go_on(s);
	assert_nothing_is_left(s);
}

static void
what_is_being_read_is_reaped_when_its_readers_are_gone(void **state)
{
	static const size_t sizes[] = { PART_BYTES, PART_BYTES };
	struct scene *s = *state;
	struct object_get_args args = { .bucket = bucket_name, .key = BYTES_LITERAL("parts") };
	uint64_t other = bucket_make(&s->t, BYTES_LITERAL("other")), *noted;
	struct fault_rules *rules = &s->t.rules;
	struct arena *reading;
	struct object_get get;
	struct slice piece;
	enum rfs_err err;
	uint64_t len = 0;

	put_parts(s, "parts", sizes, 2);
	/* Of one block: putting these leaves nothing to the reaper, which so can only be held where it should be. */
	assert_int_equal(store_put(&s->t, "races", BYTES_LITERAL("small"), BYTES_LITERAL("body"), NULL), RFS_OK);
	assert_int_equal(store_put(&s->t, "other", BYTES_LITERAL("small"), BYTES_LITERAL("body"), NULL), RFS_OK);
	assert_int_equal(object_get_open(&s->t.core, store_request(&s->t), &args, &get), RFS_OK);
	reading = s->t.rq.arena;
	s->t.rq.arena = arena_new(65536);
	/* While the reaper is held in this bucket, another one has something to be reaped, and then this one again. */
	rules->op[FAULT_SCAN].before = hold;
	rules->op[FAULT_SCAN].before_data = s;
	rules->op[FAULT_SCAN].before_at = fault_calls(&s->t.drivers, FAULT_SCAN) + 1;
	assert_int_equal(store_delete(&s->t, "races", BYTES_LITERAL("small")), RFS_OK);
	while (sem_trywait(&s->held) != 0)
		reaper_wake(s);
	metadata_purged(s->t.core.metadata, &noted);
	free(noted);
	assert_int_equal(store_delete(&s->t, "other", BYTES_LITERAL("small")), RFS_OK);
	assert_int_equal(store_delete(&s->t, "races", BYTES_LITERAL("parts")), RFS_OK);
	sem_post(&s->go_on);
	reap(s, other); /* this bucket has to wait for the reader, and does not keep the other one waiting */
	while (!(err = object_get_read(&get, &piece)) && piece.len) {
		len += piece.len;
		slice_unref(&piece);
	}
	assert_int_equal(err, RFS_OK);
	assert_int_equal(len, 2 * PART_BYTES);
	object_get_close(&get);
	arena_free(reading);
	reap(s, s->bucket);
	assert_nothing_is_left(s);
}

/* --- a reaper that is interrupted -------------------------------------------------------------------------------------------------- */

/* The reaper's commits fail from the Nth on, until the rules are taken back. */
static void
reaper_fails_at(struct scene *s, uint64_t commit)
{
	s->t.rules.op[FAULT_COMMIT].fail_from = fault_calls(&s->t.drivers, FAULT_COMMIT) + 1 + commit;
}

/* True: it had as much to do. */
static bool
reaper_failed(struct scene *s)
{
	uint64_t at = s->t.rules.op[FAULT_COMMIT].fail_from;
	int64_t until = clock_monotonic_ns() + WAIT_NS;

	while (fault_calls(&s->t.drivers, FAULT_COMMIT) < at && rows_count(s, s->bucket, TABLE_PURGE)) {
		assert_true(clock_monotonic_ns() < until);
		reaper_wake(s);
	}
	return fault_calls(&s->t.drivers, FAULT_COMMIT) >= at;
}

/* Parts of segments, and a last one that is a block, shared with a copy: references are given back once, whichever commit is the last before a crash. */
static void
a_reaper_that_ends_anywhere_gives_references_back_once(void **state)
{
	static const size_t sizes[] = { PART_BYTES, PART_BYTES, LAST_BYTES };
	struct scene *s = *state;
	bool failed = true;
	size_t len;

	for (uint64_t commit = 1; failed; commit++) {
		put_parts(s, "parts", sizes, 3);
		assert_int_equal(copy(s, "parts", "copy"), RFS_OK);
		reaper_fails_at(s, commit);
		assert_int_equal(store_delete(&s->t, "races", BYTES_LITERAL("parts")), RFS_OK);
		failed = reaper_failed(s);
		store_stop(&s->t);
		s->t.rules = (struct fault_rules){ 0 };
		store_start(&s->t);
		reap(s, s->bucket);
		assert_int_equal(read_whole(s, "copy", &len), RFS_OK);
		assert_int_equal(len, 2 * PART_BYTES + LAST_BYTES);
		assert_int_equal(store_delete(&s->t, "races", BYTES_LITERAL("copy")), RFS_OK);
		reap(s, s->bucket);
		assert_nothing_is_left(s);
		assert_true(commit < 20);
	}
}

static void
a_reaper_that_fails_tries_again(void **state)
{
	struct scene *s = *state;
	struct fault_rules *rules = &s->t.rules;

	put_long(s, bucket_name, "long");
	reaper_fails_at(s, 2);
	assert_int_equal(store_delete(&s->t, "races", BYTES_LITERAL("long")), RFS_OK);
	assert_true(reaper_failed(s));
	rules->op[FAULT_COMMIT].fail_from = 0;
	reap(s, s->bucket);
	/* Reads fail, too: first when it looks for what is to be purged. */
	put_long(s, bucket_name, "long");
	rules->op[FAULT_SCAN].fail_at = fault_calls(&s->t.drivers, FAULT_SCAN) + 1;
	assert_int_equal(store_delete(&s->t, "races", BYTES_LITERAL("long")), RFS_OK);
	while (fault_calls(&s->t.drivers, FAULT_SCAN) < rules->op[FAULT_SCAN].fail_at)
		reaper_wake(s);
	reap(s, s->bucket);
	assert_nothing_is_left(s);
}

/* At the start it looks at every bucket, also when the first look fails. */
static void
a_start_whose_first_look_fails_reaps_what_was_left(void **state)
{
	struct scene *s = *state;

	put_long(s, bucket_name, "long");
	reaper_fails_at(s, 1);
	assert_int_equal(store_delete(&s->t, "races", BYTES_LITERAL("long")), RFS_OK);
	assert_true(reaper_failed(s));
	storage_free(s->t.core.storage);
	s->t.rules = (struct fault_rules){ 0 };
	s->t.rules.op[FAULT_SCAN].fail_at = fault_calls(&s->t.drivers, FAULT_SCAN) + 1;
	metadata_free(s->t.core.metadata);
	s->t.core.metadata = metadata_new(s->t.drivers.metadata); /* it knows of nothing that was purged */
	assert_int_equal(storage_new(s->t.core.metadata, s->t.drivers.storage, &s->t.config, &s->t.core.storage), RFS_OK);
	while (fault_calls(&s->t.drivers, FAULT_SCAN) < s->t.rules.op[FAULT_SCAN].fail_at)
		reaper_wake(s);
	reap(s, s->bucket);
	assert_nothing_is_left(s);
}

/* A removal is two commits, and a new one has its name before or after the second. */
static void
a_bucket_whose_removal_ends_anywhere_can_be_made_again(void **state)
{
	struct scene *s = *state;
	struct bytes name = BYTES_LITERAL("again");
	struct bucket_create_args create = { .name = name };
	struct bucket_row bucket;

	for (uint64_t commit = 0; commit < 4; commit++) {
		enum rfs_err err;

		bucket_make(&s->t, name);
		s->t.rules.op[FAULT_COMMIT].fail_from = fault_calls(&s->t.drivers, FAULT_COMMIT) + 1 + commit;
		err = bucket_remove(&s->t.core, store_request(&s->t), name);
		s->t.rules.op[FAULT_COMMIT].fail_from = 0;
		assert_true(err == RFS_OK || err == RFS_ERR_IO);
		err = bucket_create(&s->t.core, store_request(&s->t), &create);
		assert_true(err == RFS_OK || err == RFS_ERR_BUCKET_OWNED);
		assert_int_equal(bucket_find(s->t.core.metadata, store_request(&s->t), name, &bucket), RFS_OK);
		assert_int_equal(bucket_remove(&s->t.core, store_request(&s->t), name), RFS_OK);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
	const struct CMUnitTest tests[] = {
		TEST(a_copy_whose_source_is_reaped_before_it_is_pinned_is_refused),
		TEST(a_copy_whose_source_is_half_reaped_is_refused),
		TEST(a_read_of_what_is_being_reaped_does_not_begin),
		TEST(a_part_is_not_copied_from_what_is_being_reaped),
		TEST(what_is_being_read_is_reaped_when_its_readers_are_gone),
		TEST(a_reaper_that_ends_anywhere_gives_references_back_once),
		TEST(a_reaper_that_fails_tries_again),
		TEST(a_start_whose_first_look_fails_reaps_what_was_left),
		TEST(a_bucket_whose_removal_ends_anywhere_can_be_made_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
