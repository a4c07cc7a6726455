/*
 * Compaction: what was deleted leaves the disk, and nothing else does: whoever reads, writes or copies meanwhile, and whatever call of it is the last before
 * a crash. Races by the dozen: test_concurrency with "compacted".
 */
#include "dedup_help.h"
#include "managers/storage/scrub.h"
#include <dirent.h>
#include <sys/stat.h>

#define LARGE (300 * KB) /* too large for the journal */
#define SMALL ((size_t)30000) /* goes into the journal */
#define OBJECTS 12

struct object {
	char key[16];
	struct bytes body;
};

struct scene {
	struct test_store t;
	struct object objects[OBJECTS]; /* body.len 0: it was deleted */
};

static int
scene_open(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	driver = "small";
	setup(&s->t, "box");
	dedup_set(&s->t, "box", false);
	*state = s;
	return 0;
}

static int
scene_close(void **state)
{
	struct scene *s = *state;

	for (size_t i = 0; i < OBJECTS; i++)
		body_free(s->objects[i].body);
	store_close(&s->t);
	free(s);
	return 0;
}

/* The store is opened anew; perhaps without its index: from a checkpoint, if there is one, and the journal. */
static void
scene_reopen(struct scene *s, bool lose_index)
{
	char dir[64], command[128];

	strcpy(dir, s->t.dir);
	store_shut(&s->t);
	snprintf(command, sizeof(command), "rm -rf %s/index", dir);
	assert_int_equal(lose_index ? system(command) : 0, 0);
	store_open_in(&s->t, dir, driver, hooks_wrap);
}

/* What the store's volumes take. */
static uint64_t
volume_bytes(struct scene *s, size_t *count)
{
	char path[128];
	struct dirent *entry;
	uint64_t bytes = 0;
	struct stat st;
	DIR *dir;

	*count = 0;
	snprintf(path, sizeof(path), "%s/volumes", s->t.dir);
	assert_non_null(dir = opendir(path));
	while ((entry = readdir(dir))) {
		if (!strstr(entry->d_name, ".vol"))
			continue;
		assert_int_equal(fstatat(dirfd(dir), entry->d_name, &st, 0), 0);
		bytes += (uint64_t)st.st_size;
		++*count;
	}
	closedir(dir);
	return bytes;
}

static enum rfs_err
compact_as(struct test_store *t, struct compaction_report *report)
{
	return storage_compact(t->core.storage, store_request(t), report);
}

static struct compaction_report
compact(struct scene *s)
{
	struct compaction_report report;

	assert_int_equal(compact_as(&s->t, &report), RFS_OK);
	return report;
}

/* Objects of every size class, whose blocks lie beside each other in several volumes. */
static void
objects_put(struct scene *s)
{
	static const size_t sizes[] = { LARGE, 20 * LARGE / 10, 5000 };

	for (size_t i = 0; i < OBJECTS; i++) {
		struct object *o = &s->objects[i];

		snprintf(o->key, sizeof(o->key), "d/%zu", i);
		body_free(o->body);
		o->body = body_make(sizes[i % 3] + i, 100 + i);
		put(&s->t, "box", o->key, o->body);
	}
}

static void
object_delete_at(struct scene *s, size_t i)
{
	delete (&s->t, "box", s->objects[i].key);
	body_free(s->objects[i].body);
	s->objects[i].body = bytes_of(NULL, 0);
}

/* The reaper has been there, and has left what is being written. */
static void
most_deleted_but(struct scene *s, size_t staged)
{
	uint64_t bucket = bucket_number(&s->t, "box");

	for (size_t i = 0; i < OBJECTS; i++)
		if (i % 4)
			object_delete_at(s, i);
	for (int i = 0; store_request(&s->t) && table_rows(&s->t, bucket, TABLE_PURGE).count > staged; i++) {
		assert_true(i < SETTLE_ATTEMPTS);
		pthread_cond_signal(&s->t.core.storage->reaper_wake);
		sleep_ns(1000000);
	}
}

/* Small ones, of which a few stay: enough for some volumes of the journal. */
static void
smalls_put_and_deleted(struct scene *s, size_t count)
{
	char key[16];

	for (size_t i = 0; i < count; i++) {
		struct bytes body = body_make(SMALL, i);

		snprintf(key, sizeof(key), "s/%zu", i);
		put(&s->t, "box", key, body);
		body_free(body);
	}
	for (size_t i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "s/%zu", i);
		if (i % 10)
			delete (&s->t, "box", key);
	}
	bucket_settle(&s->t, bucket_number(&s->t, "box"));
}

static void
smalls_verify(struct scene *s, size_t count)
{
	char key[16];

	for (size_t i = 0; i < count; i += 10) {
		struct bytes body = body_make(SMALL, i);

		snprintf(key, sizeof(key), "s/%zu", i);
		verify(&s->t, "box", key, body);
		body_free(body);
	}
}

/* All but each fourth. */
static void
most_deleted(struct scene *s)
{
	most_deleted_but(s, 0);
}

static void
objects_verify(struct scene *s)
{
	for (size_t i = 0; i < OBJECTS; i++)
		if (s->objects[i].body.len)
			verify(&s->t, "box", s->objects[i].key, s->objects[i].body);
	(void)bucket_recount(&s->t, "box");
}

/* --- space ------------------------------------------------------------------------------------------------------------------------ */

static void
space_of_what_was_deleted_comes_back(void **state)
{
	struct scene *s = *state;
	struct compaction_report report;
	uint64_t before, after;
	size_t many, few;

	blocks_resize(&s->t, "box", 300 * KB, 4);
	objects_put(s);
	most_deleted(s);
	before = volume_bytes(s, &many);
	report = compact(s);
	after = volume_bytes(s, &few);
	assert_true(report.volumes_removed >= 3);
	assert_true(report.bytes_moved > 0);
	assert_true(before - after > 2 * MB);
	assert_true(report.garbage_bytes + report.live_bytes <= after);
	objects_verify(s);
	scene_reopen(s, false);
	objects_verify(s);
	scene_reopen(s, true);
	objects_verify(s);
	/* Soon nothing is left to gain: blocks are not moved about. */
	for (int i = 0; compact(s).blocks_moved; i++)
		assert_true(i < 4);
	for (size_t i = 0; i < OBJECTS; i += 4)
		object_delete_at(s, i);
	bucket_settle(&s->t, bucket_number(&s->t, "box"));
	assert_true(compact(s).volumes_removed > 0);
	assert_int_equal(compact(s).live_bytes, 0);
}

/* Half moved it would only take room. What is empty goes all the same. */
static void
what_finds_no_room_is_not_begun(void **state)
{
	struct scene *s = *state;
	struct compaction_report report;

	blocks_resize(&s->t, "box", 300 * KB, 4);
	objects_put(s);
	most_deleted(s);
	atomic_store(&hooks.no_room, true);
	report = compact(s);
	assert_int_equal(report.blocks_moved, 0);
	assert_true(report.volumes_without_room > 0);
	objects_verify(s);
	for (size_t i = 0; i < OBJECTS; i += 4)
		object_delete_at(s, i);
	bucket_settle(&s->t, bucket_number(&s->t, "box"));
	assert_true(compact(s).volumes_removed > 0);
	atomic_store(&hooks.no_room, false);
	assert_int_equal(compact(s).volumes_without_room, 0);
}

/* Its volumes go when their blocks were moved, and a checkpoint has what else they held. */
static void
the_journals_space_comes_back(void **state)
{
	struct scene *s = *state;
	struct compaction_report report;
	struct metadata_info info;
	uint64_t before;
	size_t count;

	smalls_put_and_deleted(s, 100);
	before = volume_bytes(s, &count);
	report = compact(s);
	assert_true(report.checkpoint_bytes > 0);
	assert_true(report.volumes_removed >= 3);
	assert_true(report.blocks_moved >= 10);
	assert_true(before - volume_bytes(s, &count) > 2 * MB);
	s->t.drivers.metadata->ops->info(s->t.drivers.metadata, &info);
	assert_true(info.checkpoint.number > 0);
	smalls_verify(s, 100);
	scene_reopen(s, false);
	smalls_verify(s, 100);
	scene_reopen(s, true);
	smalls_verify(s, 100);
	/* It goes on from a store whose first volumes are not there. */
	smalls_put_and_deleted(s, 100);
	assert_true(compact(s).volumes_removed >= 3);
	smalls_verify(s, 100);
	scene_reopen(s, true);
	smalls_verify(s, 100);
}

/* Numbers of volumes that went are not given again, or a stale place might mean other bytes. */
static void
numbers_of_volumes_are_not_used_again(void **state)
{
	struct scene *s = *state;
	struct storage_volume *list;
	uint64_t highest;
	size_t count;

	objects_put(s);
	for (size_t i = 0; i < OBJECTS; i++)
		object_delete_at(s, i);
	bucket_settle(&s->t, bucket_number(&s->t, "box"));
	assert_int_equal(s->t.drivers.storage->volumes->list(s->t.drivers.storage, store_request(&s->t), &list, &count), RFS_OK);
	highest = list[count - 1].number;
	free(list);
	compact(s);
	for (int lose_index = 0; lose_index < 2; lose_index++) {
		scene_reopen(s, lose_index);
		objects_put(s);
		assert_int_equal(
			s->t.drivers.storage->volumes->list(s->t.drivers.storage, store_request(&s->t), &list, &count), RFS_OK);
		for (size_t i = 0; i < count; i++)
			assert_true(list[i].number > highest || list[i].has_batches);
		free(list);
	}
}

/* --- who is in between ------------------------------------------------------------------------------------------------------------- */

/* Its first blocks are stored and no row names them yet, when all that lies around them goes. */
static void
what_is_being_written_keeps_its_volume(void **state)
{
	struct scene *s = *state;
	struct bytes body = body_make(5 * LARGE, 7);
	struct object_put_args args = { .bucket = BYTES_LITERAL("box"), .key = BYTES_LITERAL("slow"), .size = (int64_t)body.len };
	struct arena *writing;
	struct object_put *put;
	struct version version;
	struct slice slice = slice_copy(bytes_of(body.data, 3 * LARGE));

	blocks_resize(&s->t, "box", LARGE, 8);
	assert_int_equal(object_put_begin(&s->t.core, store_request(&s->t), &args, &put), RFS_OK);
	assert_int_equal(object_put_write(put, slice), RFS_OK);
	slice_unref(&slice);
	writing = s->t.rq.arena;
	s->t.rq.arena = arena_new(65536);
	objects_put(s);
	most_deleted_but(s, 1);
	assert_true(compact(s).volumes_removed > 0);
	assert_true(atomic_load(&s->t.core.storage->dropped_bytes) > 0); /* its volume is looked at again */
	arena_free(s->t.rq.arena);
	s->t.rq.arena = writing;
	slice = slice_copy(bytes_of(body.data + 3 * LARGE, 2 * LARGE));
	assert_int_equal(object_put_write(put, slice), RFS_OK);
	slice_unref(&slice);
	assert_int_equal(object_put_finish(put, NULL, 0, &version), RFS_OK);
	verify(&s->t, "box", "slow", body);
	compact(s);
	assert_int_equal(atomic_load(&s->t.core.storage->dropped_bytes), 0);
	verify(&s->t, "box", "slow", body);
	body_free(body);
}

/* What it stored and gave up is garbage: it is looked for as what was deleted is, and goes. */
static void
given_up_leaves(struct scene *s, bool deduplicate)
{
	struct object_put_args args = { .bucket = BYTES_LITERAL("box"), .key = BYTES_LITERAL("k"), .size = (int64_t)(5 * LARGE) };
	struct object_put *put;
	struct bytes body = body_make(5 * LARGE, 7);
	struct slice slice = slice_copy(body);
	size_t count;

	body_free(body);
	dedup_set(&s->t, "box", deduplicate);
	atomic_store(&s->t.core.storage->dropped_bytes, 0);
	blocks_resize(&s->t, "box", LARGE, 8);
	assert_int_equal(object_put_begin(&s->t.core, store_request(&s->t), &args, &put), RFS_OK);
	assert_int_equal(object_put_write(put, slice), RFS_OK);
	slice_unref(&slice);
	assert_int_equal(atomic_load(&s->t.core.storage->dropped_bytes), 0);
	object_put_abort(put);
	bucket_settle(&s->t, bucket_number(&s->t, "box"));
	assert_true(atomic_load(&s->t.core.storage->dropped_bytes) >= 4 * LARGE); /* the last is stored when more comes */
	assert_int_equal(compact(s).live_bytes, 0);
	assert_true(volume_bytes(s, &count) < LARGE);
}

static void
what_was_given_up_leaves(void **state)
{
	given_up_leaves(*state, false);
	given_up_leaves(*state, true);
}

struct step_in {
	struct scene *scene;
	struct test_store own; /* the store, with a request of its own */
	uint64_t removed;
};

static void
compact_between(void *data)
{
	struct step_in *step = data;
	struct compaction_report report;

	assert_int_equal(compact_as(&step->own, &report), RFS_OK);
	step->removed += report.volumes_removed;
}

static void
step_in_begin(struct step_in *step, struct scene *s)
{
	*step = (struct step_in){ .scene = s, .own = s->t };
	step->own.rq.arena = arena_new(65536);
	sem_init(&step->own.woken, 0, 0);
}

static void
step_in_end(struct step_in *step)
{
	arena_free(step->own.rq.arena);
	sem_destroy(&step->own.woken);
}

/* He has read where a block is, when it is moved and its volume goes; also between two pieces that he reads. */
static void
a_reader_finds_what_was_moved(void **state)
{
	struct scene *s = *state;
	struct object_get_args args = { .bucket = BYTES_LITERAL("box"), .key = BYTES_LITERAL("d/4") };
	struct step_in step;
	struct object_get get;
	struct slice piece;
	size_t len = 0;
	enum rfs_err err;

	blocks_resize(&s->t, "box", LARGE, 8);
	objects_put(s);
	most_deleted(s);
	step_in_begin(&step, s);
	hooks_arm_behind(TABLE_BLOCK, compact_between, &step);
	verify(&s->t, "box", "d/4", s->objects[4].body);
	assert_true(step.removed > 0);
	object_delete_at(s, 0);
	object_delete_at(s, 8);
	step.removed = 0;
	bucket_settle(&s->t, bucket_number(&s->t, "box"));
	assert_int_equal(object_get_open(&s->t.core, store_request(&s->t), &args, &get), RFS_OK);
	while (!(err = object_get_read(&get, &piece)) && piece.len) {
		assert_memory_equal(piece.data, s->objects[4].body.data + len, piece.len);
		if (len == 0)
			compact_between(&step);
		len += piece.len;
		slice_unref(&piece);
	}
	assert_int_equal(err, RFS_OK);
	assert_int_equal(len, s->objects[4].body.len);
	assert_true(step.removed > 0);
	object_get_close(&get);
	step_in_end(&step);
}

static bool
refers(const struct batch *b)
{
	return batch_has(b, BATCH_ADD, TABLE_COUNTER) && batch_has(b, BATCH_CHECK, TABLE_BLOCK) && !batch_has(b, BATCH_DELETE, TABLE_PURGE);
}

static void
a_copy_of_what_is_moved_meanwhile_succeeds(void **state)
{
	struct scene *s = *state;
	struct step_in step;

	blocks_resize(&s->t, "box", LARGE, 8);
	objects_put(s);
	most_deleted(s);
	step_in_begin(&step, s);
	hooks_arm(refers, 0, compact_between, &step);
	copy(&s->t, "box", "d/4", "box", "copy");
	assert_true(step.removed > 0);
	verify(&s->t, "box", "copy", s->objects[4].body);
	objects_verify(s);
	delete (&s->t, "box", "copy");
	objects_verify(s);
	step_in_end(&step);
}

static bool
moves(const struct batch *b)
{
	for (size_t i = 0; i < b->op_count; i++)
		if (b->ops[i].kind == BATCH_BLOCKS && b->ops[i].checked && b->ops[i].number)
			return true;
	return false;
}

static void
delete_between(void *data)
{
	struct step_in *step = data;

	assert_int_equal(store_delete(&step->own, "box", bytes_str("d/4")), RFS_OK);
	bucket_settle(&step->own, bucket_number(&step->own, "box"));
}

/* The batch that would move it is a lost race; those that lie beside it are moved all the same. */
static void
what_is_deleted_while_it_is_moved_stays_deleted(void **state)
{
	struct scene *s = *state;
	struct step_in step;

	blocks_resize(&s->t, "box", LARGE, 8);
	objects_put(s);
	most_deleted(s);
	step_in_begin(&step, s);
	hooks_arm(moves, 0, delete_between, &step);
	assert_true(compact(s).volumes_removed > 0);
	assert_false(atomic_load(&hooks.armed));
	body_free(s->objects[4].body);
	s->objects[4].body = bytes_of(NULL, 0);
	objects_verify(s);
	compact(s);
	objects_verify(s);
	step_in_end(&step);
}

/* --- crashes ---------------------------------------------------------------------------------------------------------------------- */

/* The Nth call of a kind, and all after it, fail, as if the process had ended there; then another one opens the store. */
static bool
compact_until(struct scene *s, enum fault_op op, uint64_t call)
{
	struct compaction_report report;
	enum rfs_err err;

	s->t.rules.op[op].fail_from = fault_calls(&s->t.drivers, op) + call;
	err = compact_as(&s->t, &report);
	scene_reopen(s, call % 2);
	objects_verify(s);
	return err == RFS_OK;
}

static void
whatever_call_is_the_last_nothing_is_lost(void **state)
{
	static const enum fault_op ops[] = { FAULT_COMMIT, FAULT_PUT, FAULT_WAIT, FAULT_REMOVE, FAULT_CHECKPOINT };
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		uint64_t call = 1;

		blocks_resize(&s->t, "box", LARGE, 2);
		objects_put(s);
		most_deleted(s);
		smalls_put_and_deleted(s, 40);
		while (!compact_until(s, ops[i], call))
			assert_true(++call < 100);
		assert_true(call > 1);
		compact(s);
		objects_verify(s);
		smalls_verify(s, 40);
	}
}

/* Until the scrub, which was asked to, has found out whose the block is. */
static void
damage_is_named(struct scene *s, const char *key)
{
	struct damage_info *list;
	size_t count = 0;

	for (int i = 0; !count; i++) {
		assert_true(i < SETTLE_ATTEMPTS);
		sleep_ns(1000000);
		assert_int_equal(damage_list(s->t.core.storage, store_request(&s->t), &list, &count), RFS_OK);
	}
	assert_true(bytes_equal_str(list[0].key, key));
}

/* A block that cannot be read stays where it is, and whose it is is told; all others leave. */
static void
a_damaged_block_keeps_its_volume(void **state)
{
	struct scene *s = *state;

	blocks_resize(&s->t, "box", LARGE, 8);
	objects_put(s);
	most_deleted(s);
	s->t.rules.op[FAULT_READ].error = RFS_ERR_DAMAGED;
	s->t.rules.op[FAULT_READ].fail_from = fault_calls(&s->t.drivers, FAULT_READ) + 1;
	assert_int_equal(compact(s).blocks_moved, 0);
	damage_is_named(s, "d/0");
	s->t.rules.op[FAULT_READ].fail_from = 0;
	objects_verify(s);
	assert_true(compact(s).blocks_moved > 0);
	objects_verify(s);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
	const struct CMUnitTest tests[] = {
		TEST(space_of_what_was_deleted_comes_back),
		TEST(what_finds_no_room_is_not_begun),
		TEST(the_journals_space_comes_back),
		TEST(numbers_of_volumes_are_not_used_again),
		TEST(what_is_being_written_keeps_its_volume),
		TEST(what_was_given_up_leaves),
		TEST(a_reader_finds_what_was_moved),
		TEST(a_copy_of_what_is_moved_meanwhile_succeeds),
		TEST(what_is_deleted_while_it_is_moved_stays_deleted),
		TEST(whatever_call_is_the_last_nothing_is_lost),
		TEST(a_damaged_block_keeps_its_volume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
