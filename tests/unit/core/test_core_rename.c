/* Directories move while others write below them: nothing is lost, nothing is there twice, no two moves make a loop; and keys that moves make long are found. */
#include "store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define WRITERS 3
#define KEYS 250 /* of each writer */
#define LOOPS 300

static struct bytes bucket_name;

/* A thread's own request over the same store. */
static struct test_store
thread_store(const struct test_store *shared)
{
	struct test_store t = *shared;

	t.rq.arena = arena_new(65536);
	return t;
}

struct writer {
	struct test_store t;
	int number;
	int moved;
};

static void *
write_keys(void *arg)
{
	struct writer *w = arg;
	char key[32];

	sem_init(&w->t.woken, 0, 0);
	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "a/%sk%d-%d", i % 3 ? "" : "deep/er/", w->number, i);
		assert(store_put(&w->t, "moves", bytes_str(key), BYTES_LITERAL("x"), NULL) == RFS_OK);
		sleep_ns(100000); /* so that moves come in between */
	}
	return NULL;
}

static atomic_bool stop;

/* What is written to a/ goes to ever new places, some of them below each other. */
static void *
move_directories(void *arg)
{
	struct writer *w = arg;
	int moved = 0;

	sem_init(&w->t.woken, 0, 0);
	while (!atomic_load(&stop)) {
		struct bytes from = random_u64() % 4 ? BYTES_LITERAL("a/") : BYTES_LITERAL("a/deep/");
		char to[32];
		enum rfs_err err;

		snprintf(to, sizeof(to), moved % 3 ? "to%d/%d/" : "to%d/above/%d/", w->number, moved);
		err = store_rename(&w->t, "moves", from, bytes_str(to));
		assert(err == RFS_OK || err == RFS_ERR_NO_SUCH_KEY);
		moved += err == RFS_OK;
	}
	w->moved = moved;
	return NULL;
}

/* The part of a key behind its last slash, counted. */
static size_t
list_leaves(struct test_store *t, unsigned char seen[WRITERS][KEYS])
{
	struct object_list_args args = { .bucket = bucket_name, .limit = 1000 };
	struct object_list list = { .more = true };
	char after[64] = "";
	size_t n = 0;

	while (list.more) {
		args.after = bytes_str(after);
		assert_int_equal(object_list(&t->core, store_request(t), &args, &list), RFS_OK);
		for (size_t i = 0; i < list.count; i++, n++) {
			char key[64];
			int writer, number;

			snprintf(key, sizeof(key), "%.*s", (int)list.items[i].key.len, (const char *)list.items[i].key.data);
			assert_int_equal(sscanf(strrchr(key, '/') + 1, "k%d-%d", &writer, &number), 2);
			seen[writer][number]++;
		}
		if (list.more)
			snprintf(after, sizeof(after), "%.*s", (int)list.next.len, (const char *)list.next.data);
	}
	return n;
}

static void
remove_keys(struct test_store *t)
{
	struct object_list_args args = { .bucket = bucket_name, .limit = 1000 };
	struct object_list list = { .more = true };

	while (list.more) {
		struct bytes keys[1000];

		assert_int_equal(object_list(&t->core, store_request(t), &args, &list), RFS_OK);
		for (size_t i = 0; i < list.count; i++) {
			keys[i].data = memcpy(malloc(list.items[i].key.len), list.items[i].key.data, list.items[i].key.len);
			keys[i].len = list.items[i].key.len;
		}
		for (size_t i = 0; i < list.count; i++) {
			assert_int_equal(store_delete(t, "moves", keys[i]), RFS_OK);
			free((void *)keys[i].data);
		}
	}
}

static void
remove_all(struct test_store *t)
{
	remove_keys(t);
	/* EXPECTs that no entry and no object is left: a count that is off by one shows here. */
	assert_int_equal(bucket_remove(&t->core, store_request(t), bucket_name), RFS_OK);
}

static void
writes_below_a_moving_directory_are_all_found_once(void **state)
{
	struct test_store *t = *state;
	static unsigned char seen[WRITERS][KEYS];
	struct writer writers[WRITERS], movers[2];
	pthread_t threads[WRITERS + 2];
	struct bucket_usage usage;

	atomic_store(&stop, false);
	for (int i = 0; i < 2; i++) {
		movers[i] = (struct writer){ .t = thread_store(t), .number = i };
		pthread_create(&threads[WRITERS + i], NULL, move_directories, &movers[i]);
	}
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .t = thread_store(t), .number = i };
		pthread_create(&threads[i], NULL, write_keys, &writers[i]);
	}
	for (int i = 0; i < WRITERS + 2; i++) {
		if (i == WRITERS)
			atomic_store(&stop, true);
		pthread_join(threads[i], NULL);
		arena_free(i < WRITERS ? writers[i].t.rq.arena : movers[i - WRITERS].t.rq.arena);
	}
	assert_true(movers[0].moved + movers[1].moved > 10);
	assert_int_equal(list_leaves(t, seen), WRITERS * KEYS);
	for (int w = 0; w < WRITERS; w++)
		for (int k = 0; k < KEYS; k++)
			assert_int_equal(seen[w][k], 1);
	assert_int_equal(bucket_usage(&t->core, store_request(t), bucket_name, &usage), RFS_OK);
	assert_int_equal(usage.objects, WRITERS * KEYS);
	remove_all(t);
}

struct mover {
	struct test_store t;
	const char *from, *to;
	pthread_barrier_t *start;
	enum rfs_err err;
};

static void *
move_one(void *arg)
{
	struct mover *m = arg;

	sem_init(&m->t.woken, 0, 0);
	pthread_barrier_wait(m->start);
	m->err = store_rename(&m->t, "moves", bytes_str(m->from), bytes_str(m->to));
	return NULL;
}

/* x into y beside y into x: the second finds the first moved, or in its way, and nothing ever lies in itself. */
static void
two_moves_make_no_loop(void **state)
{
	struct test_store *t = *state;
	static unsigned char seen[WRITERS][KEYS];
	struct mover movers[2] = { { .from = "x/", .to = "y/deep/x/" }, { .from = "y/", .to = "x/deep/y/" } };
	pthread_barrier_t start;
	pthread_t threads[2];

	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < LOOPS; i++) {
		assert_int_equal(store_put(t, "moves", BYTES_LITERAL("x/deep/k0-0"), BYTES_LITERAL("x"), NULL), RFS_OK);
		assert_int_equal(store_put(t, "moves", BYTES_LITERAL("y/deep/k0-1"), BYTES_LITERAL("x"), NULL), RFS_OK);
		for (int k = 0; k < 2; k++) {
			movers[k].t = thread_store(t);
			movers[k].start = &start;
			pthread_create(&threads[k], NULL, move_one, &movers[k]);
		}
		for (int k = 0; k < 2; k++) {
			pthread_join(threads[k], NULL);
			arena_free(movers[k].t.rq.arena);
		}
		assert_true(movers[0].err == RFS_OK || movers[1].err == RFS_OK);
		assert_int_equal(list_leaves(t, seen), 2);
		remove_keys(t);
	}
	pthread_barrier_destroy(&start);
	remove_all(t);
}

/* --- keys that become longer than keys that are given --------------------------------------------------------------------------- */

#define LONG 990

/* `before`, LONG times `c`, `after`; of the request's arena or static memory. */
static struct bytes
long_key(const char *before, char c, const char *after)
{
	static char keys[8][8192];
	static unsigned next;
	char *key = keys[next++ % 8], many[LONG + 1];

	memset(many, c, LONG);
	many[LONG] = 0;
	snprintf(key, sizeof(keys[0]), "%s%s%s", before, many, after);
	return bytes_str(key);
}

static struct bytes
joined(struct bytes a, struct bytes b)
{
	static char keys[8][8192];
	static unsigned next;
	char *key = keys[next++ % 8];

	snprintf(key, sizeof(keys[0]), "%.*s%.*s", (int)a.len, (const char *)a.data, (int)b.len, (const char *)b.data);
	return bytes_str(key);
}

static enum rfs_err
get_err(struct test_store *t, struct bytes key)
{
	uint8_t *body = NULL;
	size_t len = 0;
	enum rfs_err err = store_get(t, "moves", key, (struct byte_range){ 0 }, &body, &len);

	assert_true(err || (len == 1 && *body == 'x'));
	free(body);
	return err;
}

/* All keys, a page of one at a time, are these. */
static void
assert_listed(struct test_store *t, const struct bytes *keys, size_t count)
{
	struct object_list_args args = { .bucket = bucket_name, .limit = 1 };
	struct object_list list = { .more = true };
	static char after[8192];
	size_t n = 0;

	for (; list.more; n++) {
		assert_int_equal(object_list(&t->core, store_request(t), &args, &list), RFS_OK);
		assert_true(n < count && list.count == 1 && bytes_equal(list.items[0].key, keys[n]));
		snprintf(after, sizeof(after), "%.*s", (int)list.next.len, (const char *)list.next.data);
		args.after = bytes_str(after);
	}
	assert_int_equal(n, count);
}

static enum rfs_err
copy(struct test_store *t, struct bytes from, struct bytes to)
{
	struct object_copy_args args = { .from_bucket = bucket_name, .from_key = from, .to = { .bucket = bucket_name, .key = to, .size = -1 } };
	struct version version;

	return object_copy(&t->core, store_request(t), &args, &version);
}

static void
what_a_move_gives_a_longer_key_is_found_by_it(void **state)
{
	struct test_store *t = *state;
	struct bytes moved = long_key("m/", 'm', "/a/"), leaf = joined(moved, long_key("", 'k', "")), beside = joined(moved, BYTES_LITERAL("b"));
	struct bytes inner = joined(moved, long_key("", 'i', "/")), deep = joined(inner, BYTES_LITERAL("deep"));
	struct bytes missing = joined(moved, long_key("", 'n', ""));

	assert_int_equal(store_put(t, "moves", long_key("a/", 'k', ""), BYTES_LITERAL("x"), NULL), RFS_OK);
	assert_int_equal(store_put(t, "moves", long_key("a/", 'i', "/deep"), BYTES_LITERAL("x"), NULL), RFS_OK);
	assert_int_equal(store_put(t, "moves", BYTES_LITERAL("a/b"), BYTES_LITERAL("x"), NULL), RFS_OK);
	assert_int_equal(store_rename(t, "moves", BYTES_LITERAL("a/"), moved), RFS_OK);
	assert_true(leaf.len > KEY_MADE_BYTES && beside.len < KEY_MADE_BYTES);
	assert_listed(t, (struct bytes[]){ beside, deep, leaf }, 3);
	assert_int_equal(get_err(t, leaf), RFS_OK);
	assert_int_equal(get_err(t, deep), RFS_OK);
	assert_int_equal(store_put(t, "moves", leaf, BYTES_LITERAL("x"), NULL), RFS_OK); /* in its place */
	/* Nothing new is made there. */
	assert_int_equal(get_err(t, missing), RFS_ERR_KEY_TOO_LONG);
	assert_int_equal(store_put(t, "moves", missing, BYTES_LITERAL("x"), NULL), RFS_ERR_KEY_TOO_LONG);
	assert_int_equal(copy(t, beside, missing), RFS_ERR_KEY_TOO_LONG);
	assert_int_equal(store_rename(t, "moves", beside, missing), RFS_ERR_KEY_TOO_LONG);
	assert_int_equal(store_rename(t, "moves", inner, joined(missing, BYTES_LITERAL("/"))), RFS_ERR_KEY_TOO_LONG);
	/* But from there to where it may. */
	assert_int_equal(copy(t, leaf, BYTES_LITERAL("copy")), RFS_OK);
	assert_int_equal(store_rename(t, "moves", leaf, BYTES_LITERAL("leaf")), RFS_OK);
	assert_int_equal(store_rename(t, "moves", inner, BYTES_LITERAL("inner/")), RFS_OK);
	assert_listed(t, (struct bytes[]){ BYTES_LITERAL("copy"), BYTES_LITERAL("inner/deep"), BYTES_LITERAL("leaf"), beside }, 4);
	remove_all(t);
}

static void
a_longer_key_is_removed_by_it_and_its_directories_with_it(void **state)
{
	struct test_store *t = *state;

	assert_int_equal(store_put(t, "moves", long_key("a/", 'i', "/deep"), BYTES_LITERAL("x"), NULL), RFS_OK);
	assert_int_equal(store_put(t, "moves", long_key("a/", 'k', ""), BYTES_LITERAL("x"), NULL), RFS_OK);
	assert_int_equal(store_rename(t, "moves", BYTES_LITERAL("a/"), long_key("m/", 'm', "/a/")), RFS_OK);
	remove_all(t);
}

/* Moved again and again, each time by a short name into a long one. */
static void
keys_too_long_to_be_given_are_listed_and_come_back(void **state)
{
	struct test_store *t = *state;
	struct bytes key = BYTES_LITERAL("d0/key");
	char from[8], after[8];

	assert_int_equal(store_put(t, "moves", key, BYTES_LITERAL("x"), NULL), RFS_OK);
	for (int i = 0; i < 5; i++) {
		char before[8];

		snprintf(from, sizeof(from), "d%d/", i);
		snprintf(after, sizeof(after), "/d%d/", i);
		snprintf(before, sizeof(before), "d%d/", i + 1);
		assert_int_equal(store_rename(t, "moves", bytes_str(from), long_key(before, 'l', after)), RFS_OK);
		key = joined(long_key(before, 'l', "/"), key);
		assert_listed(t, &key, 1);
		assert_int_equal(get_err(t, key), key.len > KEY_FOUND_BYTES ? RFS_ERR_KEY_TOO_LONG : RFS_OK);
	}
	assert_true(key.len > KEY_FOUND_BYTES);
	assert_int_equal(store_rename(t, "moves", joined(long_key("d5/", 'l', "/d4/"), long_key("", 'l', "/d3/")), BYTES_LITERAL("d/")), RFS_OK);
	key = joined(BYTES_LITERAL("d/"), bytes_sub(key, 2 * (LONG + 7) - 3, key.len));
	assert_listed(t, &key, 1);
	assert_int_equal(get_err(t, key), RFS_OK);
	remove_all(t);
}

/* Nobody learns which keys are there because they are long. */
static void
a_longer_key_is_hidden_from_who_may_not_list(void **state)
{
	struct test_store *t = *state;
	struct bytes moved = long_key("m/", 'm', "/a/"), there = joined(moved, long_key("", 'k', "")), missing = joined(moved, long_key("", 'n', ""));
	struct object_get_args args = { .bucket = bucket_name, .key = there, .head_only = true };
	struct request *rq;
	struct object_get get;

	assert_int_equal(store_put(t, "moves", long_key("a/", 'k', ""), BYTES_LITERAL("x"), NULL), RFS_OK);
	assert_int_equal(store_rename(t, "moves", BYTES_LITERAL("a/"), moved), RFS_OK);
	rq = store_request(t);
	rq->who = auth_anonymous();
	assert_int_equal(object_get_open(&t->core, rq, &args, &get), RFS_ERR_ACCESS_DENIED);
	args.key = missing;
	assert_int_equal(object_get_open(&t->core, rq, &args, &get), RFS_ERR_ACCESS_DENIED);
	args.key = joined(missing, joined(missing, missing));
	assert_true(args.key.len > KEY_FOUND_BYTES);
	assert_int_equal(object_get_open(&t->core, rq, &args, &get), RFS_ERR_ACCESS_DENIED);
	rq->who = auth_root(t->core.auth);
	remove_all(t);
}

static int
open_store(void **state)
{
	struct test_store *t = calloc(1, sizeof(*t));
	struct bucket_create_args create = { .name = bucket_name = BYTES_LITERAL("moves") };

	store_open(t);
	*state = t;
	return bucket_create(&t->core, store_request(t), &create) != RFS_OK;
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
		cmocka_unit_test_setup_teardown(writes_below_a_moving_directory_are_all_found_once, open_store, close_store),
		cmocka_unit_test_setup_teardown(two_moves_make_no_loop, open_store, close_store),
		cmocka_unit_test_setup_teardown(what_a_move_gives_a_longer_key_is_found_by_it, open_store, close_store),
		cmocka_unit_test_setup_teardown(a_longer_key_is_removed_by_it_and_its_directories_with_it, open_store, close_store),
		cmocka_unit_test_setup_teardown(keys_too_long_to_be_given_are_listed_and_come_back, open_store, close_store),
		cmocka_unit_test_setup_teardown(a_longer_key_is_hidden_from_who_may_not_list, open_store, close_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
