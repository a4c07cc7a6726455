/* The references of a bucket that deduplicates stay right in races, crashes and random operations: over the driver that the argument names. */
#include "dedup_help.h"

/* --- races --------------------------------------------------------------------------------------------------------------------- */

struct race {
	struct test_store *t; /* with a request of its own */
	const char *bucket;
	const char *key;
	struct bytes body;
};

/* The same store, with requests of one's own. */
static void
store_own(const struct test_store *t, struct test_store *own)
{
	*own = *t;
	own->rq.arena = arena_new(65536);
	sem_init(&own->woken, 0, 0);
}

static struct race
race_of(struct test_store *t, struct test_store *own, const char *bucket, const char *key, struct bytes body)
{
	store_own(t, own);
	return (struct race){ .t = own, .bucket = bucket, .key = key, .body = body };
}

static bool
makes_hash(const struct batch *b)
{
	return batch_has(b, BATCH_PUT, TABLE_HASH);
}

static bool
names_block(const struct batch *b)
{
	return batch_has(b, BATCH_CHECK, TABLE_BLOCK) && !batch_has(b, BATCH_DELETE, TABLE_PURGE);
}

static bool
removes_block(const struct batch *b)
{
	return batch_has(b, BATCH_DELETE, TABLE_BLOCK);
}

static void
race_put(void *data)
{
	struct race *r = data;

	put(r->t, r->bucket, r->key, r->body);
}

/* The second writer's bytes are there when the first comes to commit: it refers to them. */
static void
of_two_writers_one_stores(void **state)
{
	static const size_t sizes[] = { 5000, 300 * KB, 5 * SMALL_BLOCK };
	struct test_store t, own;

	setup(&t, "two");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bytes body = body_make(sizes[i], 9 + i);
		struct race race = race_of(&t, &own, "two", "second", body);
		struct recount r;

		if (i == 2)
			blocks_resize(&t, "two", SMALL_BLOCK, SMALL_SEGMENT);
		hooks_arm(makes_hash, 0, race_put, &race);
		put(&t, "two", "first", body);
		r = bucket_recount(&t, "two");
		assert_int_equal(r.blocks, i == 2 ? 5 : 1);
		assert_int_equal(r.names, 2 * r.blocks);
		delete (&t, "two", "second");
		(void)bucket_recount(&t, "two");
		verify(&t, "two", "first", body);
		delete (&t, "two", "first");
		is_empty(&t, "two");
		arena_free(own.rq.arena);
		body_free(body);
	}
	store_close(&t);
}

/* Removes the object and waits until the reaper has taken its blocks. */
static void
race_reap(void *data)
{
	struct race *r = data;
	uint64_t bucket;

	delete (r->t, r->bucket, r->key);
	bucket = bucket_number(r->t, r->bucket);
	for (int i = 0; table_rows(r->t, bucket, TABLE_HASH).count; i++) {
		assert_true(i < SETTLE_ATTEMPTS);
		pthread_cond_signal(&r->t->core.storage->reaper_wake);
		sleep_ns(1000000);
		store_request(r->t);
	}
}

/* The writer has found the block, or half of that, and it is gone when he comes to commit: he stores the bytes, which he has kept. */
static void
a_block_that_goes_is_stored_again(void **state)
{
	static const size_t sizes[] = { 5000, 300 * KB, 5 * SMALL_BLOCK };
	struct test_store t, own;

	setup(&t, "goes");
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bytes body = body_make(sizes[i / 2], 20 + i);
		struct race race = race_of(&t, &own, "goes", "old", body);
		struct recount r;

		if (i == 4)
			blocks_resize(&t, "goes", SMALL_BLOCK, SMALL_SEGMENT);
		put(&t, "goes", "old", body);
		hooks_arm(i % 2 ? NULL : names_block, TABLE_BLOCK, race_reap, &race);
		put(&t, "goes", "new", body);
		r = bucket_recount(&t, "goes");
		assert_int_equal(r.blocks, i < 4 ? 1 : 5);
		assert_int_equal(r.hashes, r.blocks);
		assert_int_equal(r.names, r.blocks);
		verify(&t, "goes", "new", body);
		delete (&t, "goes", "new");
		is_empty(&t, "goes");
		arena_free(own.rq.arena);
		body_free(body);
	}
	store_close(&t);
}

/* The reaper has found no other reference, and there is one when it comes to commit: the block stays. */
static void
a_block_that_is_named_again_stays(void **state)
{
	static const size_t sizes[] = { 5000, 300 * KB, 5 * SMALL_BLOCK };
	struct test_store t, own;

	setup(&t, "stays");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct bytes body = body_make(sizes[i], 30 + i);
		struct race race = race_of(&t, &own, "stays", "new", body);
		struct recount r;
		int stored;

		if (i == 2)
			blocks_resize(&t, "stays", SMALL_BLOCK, SMALL_SEGMENT);
		put(&t, "stays", "old", body);
		stored = atomic_load(&hooks.blocks);
		hooks_arm(removes_block, 0, race_put, &race);
		delete (&t, "stays", "old");
		r = bucket_recount(&t, "stays");
		assert_int_equal(atomic_load(&hooks.blocks), stored);
		assert_int_equal(r.blocks, i < 2 ? 1 : 5);
		assert_int_equal(r.names, r.blocks);
		verify(&t, "stays", "new", body);
		delete (&t, "stays", "new");
		is_empty(&t, "stays");
		arena_free(own.rq.arena);
		body_free(body);
	}
	store_close(&t);
}

static bool
removes_many_blocks(const struct batch *b)
{
	size_t count = 0;

	for (size_t i = 0; i < b->op_count; i++)
		count += b->ops[i].kind == BATCH_DELETE && b->ops[i].key.data[8] == TABLE_BLOCK;
	return count >= 5;
}

/* Of contents that the reaper takes in one batch one is named again when it comes to commit: that one stays, and the others go. Two of them are one block. */
static void
what_is_reaped_together_does_not_hang_together(void **state)
{
	static const char *const keys[] = { "one", "same", "a", "b", "c", "old", "d", "e" };
	const size_t count = sizeof(keys) / sizeof(keys[0]);
	struct bytes bodies[sizeof(keys) / sizeof(keys[0])];
	struct test_store t, own;
	struct race race;
	struct recount r;

	setup(&t, "together");
	for (size_t i = 0; i < count; i++)
		bodies[i] = body_make(5000, 60 + (i == 1 ? 0 : i));
	race = race_of(&t, &own, "together", "new", bodies[5]);
	hooks_arm(removes_many_blocks, 0, race_put, &race);
	while (atomic_load(&hooks.armed)) { /* unless the reaper looks between two of the deletes */
		for (size_t i = 0; i < count; i++)
			put(&t, "together", keys[i], bodies[i]);
		for (size_t i = 0; i < count; i++)
			delete (&t, "together", keys[i]);
		r = bucket_recount(&t, "together");
	}
	assert_int_equal(r.blocks, 1);
	assert_int_equal(r.names, 1);
	verify(&t, "together", "new", bodies[5]);
	delete (&t, "together", "new");
	is_empty(&t, "together");
	arena_free(own.rq.arena);
	for (size_t i = 0; i < count; i++)
		body_free(bodies[i]);
	store_close(&t);
}

#define WRITERS 4
#define WRITER_KEYS 5
#define WRITER_BODIES 4
#define WRITER_STEPS 150

struct writer {
	struct test_store own;
	pthread_t thread;
	struct bytes *bodies;
	int has[WRITER_KEYS]; /* which body, from 1; 0: none */
	char keys[WRITER_KEYS][8];
};

static void *
writer_run(void *data)
{
	struct writer *w = data;

	for (int step = 0; step < WRITER_STEPS; step++) {
		size_t key = random_u64() % WRITER_KEYS, other = random_u64() % WRITER_KEYS;
		int body = (int)(random_u64() % WRITER_BODIES);

		switch (random_u64() % 4) {
		case 0:
		case 1:
			put(&w->own, "many", w->keys[key], w->bodies[body]);
			w->has[key] = body + 1;
			break;
		case 2:
			delete (&w->own, "many", w->keys[key]);
			w->has[key] = 0;
			break;
		default:
			if (!w->has[other] || key == other)
				break;
			copy(&w->own, "many", w->keys[other], "many", w->keys[key]);
			w->has[key] = w->has[other];
		}
		if (w->has[key])
			verify(&w->own, "many", w->keys[key], w->bodies[w->has[key] - 1]);
	}
	return NULL;
}

/* Few bodies, which share blocks, written and removed by many at once, with the reaper among them. */
static void
many_writers_of_equal_bytes(void **state)
{
	static const size_t sizes[WRITER_BODIES] = { 3000, 9 * SMALL_BLOCK + 1, 20 * SMALL_BLOCK, 300 * KB };
	struct bytes all = body_make(20 * SMALL_BLOCK, 40), bodies[WRITER_BODIES];
	static struct writer writers[WRITERS];
	struct test_store t;

	setup(&t, "many");
	blocks_resize(&t, "many", SMALL_BLOCK, SMALL_SEGMENT);
	for (int i = 0; i < WRITER_BODIES; i++)
		bodies[i] = bytes_of(all.data, sizes[i]);
	memset(writers, 0, sizeof(writers));
	for (int i = 0; i < WRITERS; i++) {
		struct writer *w = &writers[i];

		store_own(&t, &w->own);
		w->bodies = bodies;
		for (int k = 0; k < WRITER_KEYS; k++)
			snprintf(w->keys[k], sizeof(w->keys[k]), "%d-%d", i, k);
		assert_int_equal(pthread_create(&w->thread, NULL, writer_run, w), 0);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	(void)bucket_recount(&t, "many");
	for (int i = 0; i < WRITERS; i++) {
		for (int k = 0; k < WRITER_KEYS; k++) {
			if (writers[i].has[k])
				verify(&t, "many", writers[i].keys[k], bodies[writers[i].has[k] - 1]);
			delete (&t, "many", writers[i].keys[k]);
		}
		arena_free(writers[i].own.rq.arena);
	}
	is_empty(&t, "many");
	body_free(all);
	store_close(&t);
}

/* --- crashes ------------------------------------------------------------------------------------------------------------------- */

/* 22 blocks in three segments: those of the base, new ones, and each of them twice. */
static struct bytes
body_mix(struct bytes base, uint64_t seed)
{
	struct bytes fresh = body_make(11 * SMALL_BLOCK, seed);
	uint8_t *p = malloc(22 * SMALL_BLOCK);

	for (size_t i = 0; i < 11; i++) {
		memcpy(p + 2 * i * SMALL_BLOCK, base.data + i / 2 * SMALL_BLOCK, SMALL_BLOCK);
		memcpy(p + (2 * i + 1) * SMALL_BLOCK, fresh.data + i / 2 * SMALL_BLOCK, SMALL_BLOCK);
	}
	body_free(fresh);
	return bytes_of(p, 22 * SMALL_BLOCK);
}

static bool
has_crashed(const struct test_store *t)
{
	return fault_calls(&t->drivers, FAULT_COMMIT) >= t->rules.op[FAULT_COMMIT].fail_from;
}

/* Until the reaper is done, or has met the crash. */
static void
reaper_wait(struct test_store *t, const char *bucket)
{
	uint64_t number = bucket_number(t, bucket);

	for (int i = 0; !has_crashed(t) && table_rows(t, number, TABLE_PURGE).count; i++) {
		assert_true(i < SETTLE_ATTEMPTS);
		pthread_cond_signal(&t->core.storage->reaper_wake);
		sleep_ns(1000000);
		store_request(t);
	}
}

/* A process that ends before any of the commits that a PUT, a copy and their removal are made of leaves nothing dangling, and nothing behind. */
static void
a_crash_leaves_every_reference_right(void **state)
{
	struct bytes base = body_make(20 * SMALL_BLOCK, 50);
	struct test_store t;
	bool done = false;

	setup(&t, "crash");
	blocks_resize(&t, "crash", SMALL_BLOCK, SMALL_SEGMENT);
	put(&t, "crash", "base", base);
	for (uint64_t commits = 1; !done; commits++) {
		struct bytes body = body_mix(base, 51 + commits);
		struct object_copy_args args = {
			.from_bucket = BYTES_LITERAL("crash"), .from_key = BYTES_LITERAL("new"),
			.to = { .bucket = BYTES_LITERAL("crash"), .key = BYTES_LITERAL("copy") },
		};
		struct version version;
		enum rfs_err put_err, copy_err, delete_err;
		struct recount r;

		assert_true(commits < 100);
		restart(&t, commits);
		put_err = store_put(&t, "crash", BYTES_LITERAL("new"), body, NULL);
		copy_err = put_err ? put_err : object_copy(&t.core, store_request(&t), &args, &version);
		delete_err = copy_err ? copy_err : store_delete(&t, "crash", BYTES_LITERAL("new"));
		if (!delete_err)
			reaper_wait(&t, "crash");
		done = !has_crashed(&t);
		restart(&t, 0);
		r = bucket_recount(&t, "crash");
		verify(&t, "crash", "base", base);
		if (!copy_err)
			verify(&t, "crash", "copy", body);
		if (!put_err && delete_err)
			verify(&t, "crash", "new", body);
		if (put_err)
			assert_int_equal(r.blocks, 20);
		delete (&t, "crash", "new");
		delete (&t, "crash", "copy");
		r = bucket_recount(&t, "crash");
		assert_int_equal(r.blocks, 20);
		assert_int_equal(r.names, 20);
		body_free(body);
	}
	delete (&t, "crash", "base");
	is_empty(&t, "crash");
	body_free(base);
	store_close(&t);
}

/* --- a model ------------------------------------------------------------------------------------------------------------------- */

#define MODEL_KEYS 8
#define MODEL_PATTERNS 6
#define MODEL_BLOCKS 12

struct model_object {
	struct bytes body; /* data NULL: there is none */
};

/* Blocks from a small set, in any order; a tail perhaps. */
static struct bytes
model_body(void)
{
	size_t blocks = random_u64() % MODEL_BLOCKS, len = blocks * SMALL_BLOCK + (random_u64() % 3) * 1000;
	uint8_t *p = malloc(len + SMALL_BLOCK + 1);

	for (size_t i = 0; i <= blocks; i++)
		memset(p + i * SMALL_BLOCK, (int)(random_u64() % MODEL_PATTERNS), SMALL_BLOCK);
	return bytes_of(p, len);
}

static struct bytes
body_copy(struct bytes body)
{
	uint8_t *p = malloc(body.len + 1);

	memcpy(p, body.data, body.len);
	return bytes_of(p, body.len);
}

static void
model_set(struct model_object *o, struct bytes body)
{
	body_free(o->body);
	o->body = body;
}

static void
model_upload(struct test_store *t, const char *bucket, const char *key, struct model_object *object)
{
	struct upload_part_claim claim = { .number = 1 };
	struct bytes body = model_body(), unused = model_body(), upload;
	char id[33], etag[33];

	upload = upload_begin(t, bucket, key, id);
	part_put(t, bucket, key, upload, 1, unused, etag);
	claim.etag = part_put(t, bucket, key, upload, 1, body, etag);
	if (random_u64() % 3) {
		char other[33];

		part_put(t, bucket, key, upload, 2, unused, other);
		complete(t, bucket, key, upload, &claim, 1);
		model_set(object, body);
	} else {
		assert_int_equal(upload_abort(&t->core, store_request(t), bytes_str(bucket), bytes_str(key), upload), RFS_OK);
		body_free(body);
	}
	body_free(unused);
}

static void
model_step(struct test_store *t, struct model_object objects[2][MODEL_KEYS])
{
	static const char *buckets[2] = { "left", "right" };
	size_t b = random_u64() % 2, k = random_u64() % MODEL_KEYS, from_b = random_u64() % 2, from_k = random_u64() % MODEL_KEYS;
	struct model_object *object = &objects[b][k], *from = &objects[from_b][from_k];
	char key[4] = { 'k', (char)('a' + k) }, from_key[4] = { 'k', (char)('a' + from_k) };
	bool yes = random_u64() % 2;
	struct bucket_changes compress = { .compress = &yes };

	switch (random_u64() % 16) {
	default:
		model_set(object, model_body());
		put(t, buckets[b], key, object->body);
		break;
	case 0:
	case 1:
	case 2:
		delete (t, buckets[b], key);
		model_set(object, bytes_of(NULL, 0));
		break;
	case 3:
	case 4:
	case 5:
		if (!from->body.data || from == object)
			break;
		copy(t, buckets[from_b], from_key, buckets[b], key);
		model_set(object, body_copy(from->body));
		break;
	case 6:
	case 7:
		model_upload(t, buckets[b], key, object);
		break;
	case 8:
		dedup_set(t, buckets[b], random_u64() % 4 != 0);
		break;
	case 9:
		assert_int_equal(bucket_configure(&t->core, store_request(t), bytes_str(buckets[b]), &compress), RFS_OK);
	}
}

static void
model_compare(struct test_store *t, struct model_object objects[2][MODEL_KEYS])
{
	static const char *buckets[2] = { "left", "right" };

	for (size_t b = 0; b < 2; b++) {
		(void)bucket_recount(t, buckets[b]);
		for (size_t k = 0; k < MODEL_KEYS; k++) {
			char key[4] = { 'k', (char)('a' + k) };

			if (objects[b][k].body.data)
				verify(t, buckets[b], key, objects[b][k].body);
		}
	}
}

static void
random_operations_keep_every_reference_right(void **state)
{
	struct model_object objects[2][MODEL_KEYS] = { 0 };
	int steps = strcmp(driver, "mem") == 0 ? 1000 : 300;
	struct test_store t;

	setup(&t, "left");
	bucket_make(&t, "right", true);
	blocks_resize(&t, "left", SMALL_BLOCK, SMALL_SEGMENT);
	blocks_resize(&t, "right", SMALL_BLOCK, SMALL_SEGMENT);
	for (int step = 0; step < steps; step++) {
		model_step(&t, objects);
		if (step % 100 == 99)
			model_compare(&t, objects);
		if (step % 500 == 499)
			restart(&t, 0);
	}
	for (size_t k = 0; k < MODEL_KEYS; k++) {
		delete (&t, "left", (char[4]){ 'k', (char)('a' + k) });
		delete (&t, "right", (char[4]){ 'k', (char)('a' + k) });
		model_set(&objects[0][k], bytes_of(NULL, 0));
		model_set(&objects[1][k], bytes_of(NULL, 0));
	}
	is_empty(&t, "left");
	is_empty(&t, "right");
	store_close(&t);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_two_writers_one_stores),
		cmocka_unit_test(a_block_that_goes_is_stored_again),
		cmocka_unit_test(a_block_that_is_named_again_stays),
		cmocka_unit_test(what_is_reaped_together_does_not_hang_together),
		cmocka_unit_test(many_writers_of_equal_bytes),
		cmocka_unit_test(a_crash_leaves_every_reference_right),
		cmocka_unit_test(random_operations_keep_every_reference_right),
	};

	driver = argc > 1 ? argv[1] : "mem";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
