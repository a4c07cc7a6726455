/* test_objects_delete.c: many keys at once: each has its own answer, also where another's commit fails or loses a race.
 */
#include "hooks.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define KEYS 300 /* more than are under way at a time */
#define KEY_BYTES 16
#define TOGETHER 16 /* that many at least are under way at a time */

static const char *driver;
static const struct bytes bucket_name = {(const uint8_t *)"many", 4};

struct scene {
	struct test_store t, other; /* `other`: the same store, by somebody else */
	struct object_deletion deletions[2 * KEYS];
	char keys[KEYS][KEY_BYTES];
};

/* Commits that remove a key wait here until so many of them have come. */
static struct {
	atomic_size_t until; /* 0: none waits */
	struct batch *held[TOGETHER];
	size_t count, passed;
} gate;

static void
gate_commit(struct metadata_driver *d, struct batch *b)
{
	if (!atomic_load(&gate.until) || !batch_has(b, BATCH_DELETE, TABLE_ENTRY)) {
		hooks_commit(d, b);
		return;
	}
	gate.held[gate.count++] = b;
	if (gate.count < atomic_load(&gate.until))
		return;
	for (size_t i = 0; i < gate.count; i++)
		hooks_commit(d, gate.held[i]);
	gate.count = 0;
	gate.passed++;
}

static void
gate_wrap(struct store_drivers *drivers)
{
	static struct metadata_ops ops;

	hooks_wrap(drivers);
	ops = *hooks.metadata.ops;
	ops.commit = gate_commit;
	hooks.metadata.ops = &ops;
}

static int
scene_open(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct bucket_create_args create = {.name = bucket_name};

	store_open_on(&s->t, driver, gate_wrap);
	assert_int_equal(bucket_create(&s->t.core, store_request(&s->t), &create), RFS_OK);
	for (size_t i = 0; i < KEYS; i++) {
		snprintf(s->keys[i], KEY_BYTES, i % 3 ? "%zu" : "d/%zu", i);
		assert_int_equal(store_put(&s->t, "many", bytes_str(s->keys[i]), BYTES_LITERAL("1"), NULL), RFS_OK);
		s->deletions[i].args = (struct object_delete_args){.bucket = bucket_name, .key = bytes_str(s->keys[i])};
	}
	s->other = s->t;
	s->other.rq.arena = arena_new(65536);
	sem_init(&s->other.woken, 0, 0);
	*state = s;
	return 0;
}

static int
scene_close(void **state)
{
	struct scene *s = *state;

	arena_free(s->other.rq.arena);
	store_close(&s->t); /* which is whole: the check of all rows */
	free(s);
	return 0;
}

static bool
is_there(struct scene *s, const char *key)
{
	uint8_t *body = NULL;
	size_t len;
	enum rfs_err err = store_get(&s->t, "many", bytes_str(key), (struct byte_range){0}, &body, &len);

	free(body);
	assert_true(err == RFS_OK || err == RFS_ERR_NO_SUCH_KEY);
	return err == RFS_OK;
}

static void
each_key_has_its_own_answer(void **state)
{
	struct scene *s = *state;
	struct object_deletion *d = s->deletions;

	memcpy(d + KEYS, d, KEYS * sizeof(*d)); /* all twice */
	d[0].error = d[KEYS].error = RFS_ERR_NOT_IMPLEMENTED;
	d[0].detail = "as it was";
	d[1].args.conditions.if_match = d[KEYS + 1].args.conditions.if_match = BYTES_LITERAL("\"another\"");
	d[2].args.key = d[KEYS + 2].args.key = BYTES_LITERAL("never");
	objects_delete(&s->t.core, store_request(&s->t), d, 2 * KEYS);
	assert_int_equal(d[0].error, RFS_ERR_NOT_IMPLEMENTED);
	assert_string_equal(d[0].detail, "as it was");
	assert_int_equal(d[1].error, RFS_ERR_PRECONDITION_FAILED);
	assert_int_equal(d[KEYS + 1].error, RFS_ERR_PRECONDITION_FAILED);
	for (size_t i = 2; i < KEYS; i++) {
		assert_int_equal(d[i].error, RFS_OK);
		assert_int_equal(d[KEYS + i].error, RFS_OK);
		assert_int_equal(d[i].removed + d[KEYS + i].removed, i > 2);
	}
	for (size_t i = 0; i < KEYS; i++)
		assert_int_equal(is_there(s, s->keys[i]), i <= 2);
}

/* Whoever committed one after another would wait for ever. */
static void
many_are_under_way_at_a_time(void **state)
{
	struct scene *s = *state;

	gate.passed = 0;
	atomic_store(&gate.until, TOGETHER);
	objects_delete(&s->t.core, store_request(&s->t), s->deletions, TOGETHER);
	atomic_store(&gate.until, 0);
	assert_int_equal(gate.passed, 1);
	for (size_t i = 0; i < TOGETHER; i++)
		assert_true(!s->deletions[i].error && s->deletions[i].removed);
}

static void
a_commit_that_fails_is_of_one_key(void **state)
{
	struct scene *s = *state;
	size_t failed = 0;

	s->t.rules.op[FAULT_COMMIT].fail_every = 7;
	objects_delete(&s->t.core, store_request(&s->t), s->deletions, KEYS);
	s->t.rules.op[FAULT_COMMIT].fail_every = 0;
	for (size_t i = 0; i < KEYS; i++) {
		assert_int_equal(is_there(s, s->keys[i]), s->deletions[i].error == RFS_ERR_IO);
		failed += s->deletions[i].error != RFS_OK;
	}
	assert_in_range(failed, 1, KEYS / 7 + 1);
}

static void
overwrite(void *data)
{
	struct scene *s = data;

	assert_int_equal(store_put(&s->other, "many", bytes_str(s->keys[1]), BYTES_LITERAL("2"), NULL), RFS_OK);
}

static void
what_loses_a_race_is_looked_at_again(void **state)
{
	struct scene *s = *state;
	char etag[] = "\"c4ca4238a0b923820dcc509a6f75849b\""; /* of "1" */

	hooks_arm_behind(TABLE_ENTRY, overwrite, s);
	objects_delete(&s->t.core, store_request(&s->t), s->deletions + 1, 1);
	assert_false(atomic_load(&hooks.armed));
	assert_true(!s->deletions[1].error && s->deletions[1].removed && !is_there(s, s->keys[1]));
	assert_int_equal(store_put(&s->t, "many", bytes_str(s->keys[1]), BYTES_LITERAL("1"), NULL), RFS_OK);
	s->deletions[1].args.conditions.if_match = bytes_str(etag);
	hooks_arm_behind(TABLE_ENTRY, overwrite, s);
	objects_delete(&s->t.core, store_request(&s->t), s->deletions + 1, KEYS - 1);
	assert_int_equal(s->deletions[1].error, RFS_ERR_PRECONDITION_FAILED);
	for (size_t i = 1; i < KEYS; i++)
		assert_int_equal(is_there(s, s->keys[i]), i == 1);
}

static void *
delete_all(void *data)
{
	struct scene *s = data;

	objects_delete(&s->other.core, store_request(&s->other), s->deletions + KEYS, KEYS);
	return NULL;
}

static void
of_two_who_delete_the_same_one_has_done_it(void **state)
{
	struct scene *s = *state;
	struct object_deletion *d = s->deletions;
	pthread_t thread;

	memcpy(d + KEYS, d, KEYS * sizeof(*d));
	assert_int_equal(pthread_create(&thread, NULL, delete_all, s), 0);
	objects_delete(&s->t.core, store_request(&s->t), d, KEYS);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (size_t i = 0; i < KEYS; i++) {
		assert_true(!d[i].error && !d[KEYS + i].error);
		assert_int_equal(d[i].removed + d[KEYS + i].removed, 1);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_key_has_its_own_answer, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(many_are_under_way_at_a_time, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(a_commit_that_fails_is_of_one_key, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(what_loses_a_race_is_looked_at_again, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(of_two_who_delete_the_same_one_has_done_it, scene_open, scene_close),
	};

	driver = argc > 1 ? argv[1] : "embedded";
	return cmocka_run_group_tests_name(driver, tests, NULL, NULL);
}
