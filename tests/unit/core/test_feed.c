/* A feed tells every change, or says that it does not; what cursors keep stays, and all else goes when it is too old or
 * too much. */
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define STEP_ROWS 1024 /* of feed_prune.c */
#define SECOND_NS INT64_C(1000000000)

static const char *driver;
static const struct bytes fed = {(const uint8_t *)"fed", 3};
static struct test_store store;
static uint64_t bucket;

static int
setup(void **state)
{
	bucket = store_open_with(&store, driver, fed);
	return 0;
}

static int
teardown(void **state)
{
	store_close(&store);
	return 0;
}

/* Of any time, and nothing else. Thread-safe. */
static void
tell(const char *name, int64_t time_ns)
{
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true, .now_ns = time_ns};
	struct bucket_row row = {.id = bucket};
	struct batch *b = batch_new(bucket);

	feed_append(b, &rq, &row, CHANGE_PUT, bytes_str(name), NULL);
	assert(metadata_commit(store.core.metadata, &rq, b) == RFS_OK);
	batch_free(b);
	arena_free(rq.arena);
}

static void
tell_many(int count, int64_t time_ns)
{
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%d", i);
		tell(name, time_ns);
	}
}

static enum rfs_err
read_after(struct request *rq, uint64_t after, size_t limit, struct feed *out)
{
	struct feed_read_args args = {.bucket = fed, .after = after, .limit = limit};

	return feed_read(&store.core, rq, &args, out);
}

/* All of it. `first`: serial of its first change, or 0. */
static size_t
feed_count(uint64_t after, uint64_t *first)
{
	struct feed feed = {.next = after, .more = true};
	size_t count = 0;

	*first = 0;
	while (feed.more) {
		assert_int_equal(read_after(store_request(&store), feed.next, 100, &feed), RFS_OK);
		if (!count && feed.count)
			*first = feed.changes[0].serial;
		count += feed.count;
	}
	return count;
}

static struct feed_ends
feed_ends(void)
{
	struct feed_cursor *cursors;
	struct feed_ends ends;
	size_t count;

	assert_int_equal(feed_cursor_list(&store.core, store_request(&store), fed, &ends, &cursors, &count), RFS_OK);
	return ends;
}

static enum rfs_err
prune_at(const struct feed_limits *limits, int64_t now_ns)
{
	struct request rq = {
		.arena = arena_new(65536), .door = "test", .may_block = true, .need = SPACE_FREES, .now_ns = now_ns};
	bool more = true;
	enum rfs_err err = RFS_OK;

	while (more && !err) {
		arena_reset(rq.arena);
		err = feed_prune(store.core.metadata, &rq, bucket, limits, &more);
	}
	arena_free(rq.arena);
	return err;
}

static void
prune(uint64_t rows, int64_t age_ns, int64_t cursor_ns, int64_t now_ns)
{
	struct feed_limits limits = {rows, age_ns, cursor_ns};

	assert_int_equal(prune_at(&limits, now_ns), RFS_OK);
}

static enum rfs_err
cursor_set(const char *name, uint64_t position)
{
	return feed_cursor_set(&store.core, store_request(&store), fed, bytes_str(name), position);
}

/* --- what goes, and what is told then
 * --------------------------------------------------------------------------------------------- */

static void
so_many_changes_are_kept(void **state)
{
	struct feed feed;
	uint64_t first;

	tell_many(50, 1);
	prune(51, 0, 0, 2); /* the bucket's own is one */
	assert_int_equal(feed_count(0, &first), 51);
	prune(20, 0, 0, 2);
	assert_int_equal(read_after(store_request(&store), 0, 100, &feed), RFS_ERR_GONE);
	assert_int_equal(read_after(store_request(&store), feed_ends().pruned - 1, 100, &feed), RFS_ERR_GONE);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 20);
	tell_many(5, 1);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 25);
	prune(20, 0, 0, 2);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 20);
	prune(1, 0, 0, 2);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 1);
	assert_int_equal(first, feed_ends().last);
}

/* Serials without a change do not count. */
static void
changes_are_counted_and_not_serials(void **state)
{
	uint64_t first;

	for (int i = 0; i < 30; i++) {
		tell("told", 1);
		assert_int_equal(cursor_set("nobodys", 0), RFS_OK);
	}
	assert_int_equal(feed_cursor_remove(&store.core, store_request(&store), fed, BYTES_LITERAL("nobodys")), RFS_OK);
	prune(31, 0, 0, 2);
	assert_int_equal(feed_count(0, &first), 31);
	prune(30, 0, 0, 2);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 30);
}

/* Counting and removing take several steps, and remember how far they are. Syncs would only take time. */
static void
a_long_feed_is_pruned_in_steps(void **state)
{
	const int changes = 3 * STEP_ROWS;
	uint64_t first;

	if (strcmp(driver, "mem") != 0)
		skip();
	tell_many(changes - 1, 1);
	prune((uint64_t)changes - 10, 0, 0, 2);
	assert_int_equal(feed_count(feed_ends().pruned, &first), changes - 10);
	tell_many(10, 1);
	prune(STEP_ROWS / 2, 0, 0, 2);
	assert_int_equal(feed_count(feed_ends().pruned, &first), STEP_ROWS / 2);
	prune(0, 1, 0, INT64_MAX);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 0);
	assert_true(feed_ends().pruned == feed_ends().last && feed_ends().last);
}

static void
what_is_too_old_goes(void **state)
{
	const int64_t begin = store.rq.now_ns + SECOND_NS;
	uint64_t first;

	tell_many(10, begin);
	tell_many(10, begin + 5 * SECOND_NS);
	prune(0, 10 * SECOND_NS, 0, begin + 10 * SECOND_NS - 1);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 20);
	prune(0, 10 * SECOND_NS, 0, begin + 10 * SECOND_NS);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 10);
	prune(0, 0, 0, begin + 100 * SECOND_NS);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 10);
	prune(0, 10 * SECOND_NS, 0, begin + 15 * SECOND_NS);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 0);
	tell("later", begin + 16 * SECOND_NS);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 1);
}

static void
a_clock_that_was_wrong_does_not_keep_a_feed(void **state)
{
	const int64_t begin = store.rq.now_ns + SECOND_NS;
	uint64_t first;

	tell("of next year", begin + 365 * 86400 * SECOND_NS);
	tell_many(3, begin);
	tell("of next year", begin + 365 * 86400 * SECOND_NS);
	prune(0, 10 * SECOND_NS, 0, begin + 10 * SECOND_NS);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 1);
}

/* --- cursors
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void
what_is_behind_a_cursor_stays_until_it_is_too_old(void **state)
{
	struct feed_read_args args = {.bucket = fed, .cursor = BYTES_LITERAL("slow"), .limit = 100};
	uint64_t first, position;
	struct feed feed;
	int64_t set_ns;

	tell_many(20, 1);
	assert_int_equal(read_after(store_request(&store), 0, 5, &feed), RFS_OK);
	position = feed.next;
	assert_int_equal(cursor_set("slow", position), RFS_OK);
	assert_int_equal(cursor_set("fast", feed_ends().last), RFS_OK);
	set_ns = store.rq.now_ns;
	prune(3, 1, SECOND_NS, set_ns);
	assert_int_equal(feed_ends().pruned, position);
	assert_int_equal(feed_read(&store.core, store_request(&store), &args, &feed), RFS_OK);
	assert_int_equal(feed.count, 16);
	/* One that is set again is as good as new. */
	assert_int_equal(cursor_set("slow", position), RFS_OK);
	set_ns = store.rq.now_ns;
	prune(3, 0, SECOND_NS, set_ns + SECOND_NS - 1);
	assert_int_equal(feed_ends().pruned, position);
	prune(3, 0, 0, INT64_MAX);
	assert_int_equal(feed_ends().pruned, position);
	prune(3, 0, SECOND_NS, set_ns + SECOND_NS);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 3);
	assert_int_equal(feed_read(&store.core, store_request(&store), &args, &feed), RFS_ERR_GONE);
	assert_int_equal(cursor_set("slow", position), RFS_ERR_GONE);
	/* What came too late keeps nothing, whatever its age. */
	tell_many(2, 1);
	assert_int_equal(feed_cursor_remove(&store.core, store_request(&store), fed, BYTES_LITERAL("fast")), RFS_OK);
	prune(3, 0, 0, INT64_MAX);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 3);
	assert_int_equal(cursor_set("slow", feed_ends().pruned), RFS_OK);
}

static void
cursors_are_named_placed_and_removed(void **state)
{
	struct feed_cursor *cursors;
	struct feed_ends ends;
	struct feed feed;
	size_t count;
	char longest[65 + 1] = "";

	tell_many(3, 1);
	ends = feed_ends();
	assert_int_equal(cursor_set("b", ends.last + 1), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(read_after(store_request(&store), ends.last + 1, 1, &feed), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(cursor_set("", 0), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(cursor_set("a/b", 0), RFS_ERR_INVALID_ARGUMENT);
	memset(longest, 'l', 65);
	assert_int_equal(cursor_set(longest, 0), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(cursor_set(longest + 1, 0), RFS_OK);
	assert_int_equal(cursor_set("b", ends.last), RFS_OK);
	assert_int_equal(cursor_set("b", 1), RFS_OK);
	assert_int_equal(feed_cursor_list(&store.core, store_request(&store), fed, &ends, &cursors, &count), RFS_OK);
	assert_int_equal(count, 2);
	assert_true(bytes_equal_str(cursors[0].name, "b") && cursors[0].row.position == 1);
	assert_int_equal(feed_cursor_remove(&store.core, store_request(&store), fed, BYTES_LITERAL("b")), RFS_OK);
	assert_int_equal(
		feed_cursor_remove(&store.core, store_request(&store), fed, BYTES_LITERAL("b")), RFS_ERR_NOT_FOUND);
}

/* Set while a pruning that has not seen it is about to commit. */
static void
cursor_set_meanwhile(void *data)
{
	struct request rq = {.arena = arena_new(65536),
		.door = "test",
		.who = store.rq.who,
		.may_block = true,
		.now_ns = *(int64_t *)data};

	assert_int_equal(feed_cursor_set(&store.core, &rq, fed, BYTES_LITERAL("late"), 5), RFS_OK);
	arena_free(rq.arena);
}

static void
a_cursor_that_was_set_keeps_what_is_behind_it_at_once(void **state)
{
	int64_t now_ns = clock_wall_ns();

	tell_many(20, 1);
	store.rules.op[FAULT_COMMIT].before = cursor_set_meanwhile;
	store.rules.op[FAULT_COMMIT].before_data = &now_ns;
	store.rules.op[FAULT_COMMIT].before_at = fault_calls(&store.drivers, FAULT_COMMIT) + 1;
	prune(3, 0, SECOND_NS, now_ns);
	assert_int_equal(feed_ends().pruned, 5);
}

/* --- who sees what
 * ---------------------------------------------------------------------------------------------------------------- */

static size_t
feed_of(const char *prefix, struct feed *feed)
{
	struct feed_read_args args = {.bucket = fed, .prefix = bytes_str(prefix), .limit = 100};

	assert_int_equal(feed_read(&store.core, store_request(&store), &args, feed), RFS_OK);
	assert_false(feed->more);
	return feed->count;
}

static void
assert_change(const struct change_row *change, enum change_kind kind, const char *name, const char *new_name)
{
	assert_int_equal(change->kind, kind);
	assert_true(bytes_equal_str(change->name, name) && bytes_equal_str(change->new_name, new_name));
}

static void
a_prefix_shows_what_is_below_it_and_no_other_name(void **state)
{
	struct feed feed;
	uint64_t last;

	assert_int_equal(store_put(&store, "fed", BYTES_LITERAL("a/x/1"), BYTES_LITERAL("1"), NULL), RFS_OK);
	assert_int_equal(store_put(&store, "fed", BYTES_LITERAL("b/secret"), BYTES_LITERAL("2"), NULL), RFS_OK);
	assert_int_equal(store_rename(&store, "fed", BYTES_LITERAL("a/x/1"), BYTES_LITERAL("b/1")), RFS_OK);
	assert_int_equal(store_rename(&store, "fed", BYTES_LITERAL("b/secret"), BYTES_LITERAL("a/x/2")), RFS_OK);
	assert_int_equal(store_rename(&store, "fed", BYTES_LITERAL("a/"), BYTES_LITERAL("c/")), RFS_OK);
	assert_int_equal(store_delete(&store, "fed", BYTES_LITERAL("b/1")), RFS_OK);
	last = feed_ends().last;
	assert_int_equal(feed_of("", &feed), 7);
	assert_int_equal(feed_of("a/x/", &feed), 4);
	assert_change(&feed.changes[0], CHANGE_PUT, "a/x/1", "");
	assert_change(&feed.changes[1], CHANGE_RENAME, "a/x/1", "");
	assert_change(&feed.changes[2], CHANGE_RENAME, "", "a/x/2");
	assert_change(&feed.changes[3], CHANGE_RENAME, "a/", "");
	assert_int_equal(feed.next, last);
	assert_int_equal(feed_of("nothing", &feed), 0);
	assert_int_equal(feed.next, last);
}

/* A page ends before the change that it has no room for, and no change is told twice. */
static void
pages_of_a_prefix_follow_each_other(void **state)
{
	struct feed_read_args args = {.bucket = fed, .prefix = BYTES_LITERAL("1"), .limit = 4};
	struct feed feed = {.more = true};
	size_t count = 0;

	tell_many(120, 1);
	while (feed.more) {
		args.after = feed.next;
		assert_int_equal(feed_read(&store.core, store_request(&store), &args, &feed), RFS_OK);
		assert_true(feed.count <= 4 && (feed.count == 4 || !feed.more));
		for (size_t i = 0; i < feed.count; i++)
			assert_true(feed.changes[i].serial > args.after &&
				    bytes_starts_with(feed.changes[i].name, args.prefix));
		count += feed.count;
	}
	assert_int_equal(count, 1 + 10 + 20);
}

static void
assert_may(const struct identity *who, const char *prefix, bool reads, bool sets)
{
	struct feed_read_args args = {.bucket = fed, .prefix = bytes_str(prefix), .limit = 1};
	struct request *rq = store_request(&store);
	struct feed_cursor *cursors;
	struct feed_ends ends;
	struct feed feed;
	size_t count;

	rq->who = who;
	assert_int_equal(feed_read(&store.core, rq, &args, &feed), reads ? RFS_OK : RFS_ERR_ACCESS_DENIED);
	assert_int_equal(feed_cursor_list(&store.core, rq, fed, &ends, &cursors, &count),
		reads && !*prefix ? RFS_OK : RFS_ERR_ACCESS_DENIED);
	assert_int_equal(
		feed_cursor_set(&store.core, rq, fed, BYTES_LITERAL("mine"), 0), sets ? RFS_OK : RFS_ERR_ACCESS_DENIED);
	assert_int_equal(
		feed_cursor_remove(&store.core, rq, fed, BYTES_LITERAL("mine")), sets ? RFS_OK : RFS_ERR_ACCESS_DENIED);
	rq->who = auth_root(store.core.auth);
}

static void
a_feed_is_for_who_may_list_and_is_not_everybody(void **state)
{
	const struct identity *root = auth_root(store.core.auth);
	struct identity limited = *root, reader = *root;
	const enum acl everybody = ACL_PUBLIC_READ;
	const struct bucket_changes changes = {.acl = &everybody};

	limited.scope_prefix = "a/";
	reader.scope_read_only = true;
	assert_int_equal(bucket_configure(&store.core, store_request(&store), fed, &changes), RFS_OK);
	assert_may(root, "", true, true);
	assert_may(&reader, "", true, false);
	assert_may(&limited, "a/b", true, false);
	assert_may(&limited, "", false, false);
	assert_may(&limited, "b/", false, false);
	assert_may(auth_anonymous(), "", false, false);
}

/* --- at the same time
 * ------------------------------------------------------------------------------------------------------------- */

#define WRITERS 8
#define TOLD 20 /* by each */

static void *
write_changes(void *data)
{
	tell_many(*(int *)data, 1);
	return NULL;
}

/* So many by each writer. */
static void
write_together(int count)
{
	pthread_t writers[WRITERS];

	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_changes, &count), 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
}

struct follower {
	const char *cursor; /* NULL: none */
	size_t seen, gone;
};

/* Every change once, or GONE: until all are told. */
static void *
follow(void *data)
{
	struct request rq = {.arena = arena_new(65536), .door = "test", .who = store.rq.who, .may_block = true};
	struct follower *f = data;
	struct feed feed = {0};
	uint64_t last = 0;

	while (!feed.count || !bytes_equal_str(feed.changes[feed.count - 1].name, "end")) {
		uint64_t after = feed.next;
		enum rfs_err err;

		arena_reset(rq.arena);
		rq.now_ns = clock_wall_ns();
		err = read_after(&rq, after, 7, &feed);
		if (err == RFS_ERR_GONE) {
			struct feed_state pruned;

			f->gone++;
			assert(feed_state_get(store.core.metadata, &rq, bucket, &pruned) == RFS_OK &&
				pruned.pruned > after);
			feed = (struct feed){.next = pruned.pruned};
			last = 0;
			continue;
		}
		assert(err == RFS_OK);
		for (size_t i = 0; i < feed.count; i++) {
			assert(!last || feed.changes[i].previous == last);
			last = feed.changes[i].serial;
		}
		f->seen += feed.count;
		if (f->cursor && feed.count)
			assert(feed_cursor_set(&store.core, &rq, fed, bytes_str(f->cursor), feed.next) == RFS_OK);
	}
	arena_free(rq.arena);
	return NULL;
}

static void *
prune_always(void *data)
{
	const struct feed_limits limits = {5, 0, 3600 * SECOND_NS};
	atomic_bool *stop = data;

	while (!atomic_load(stop))
		assert(prune_at(&limits, clock_wall_ns()) == RFS_OK);
	return NULL;
}

static void
readers_miss_nothing_while_others_write_and_prune(void **state)
{
	struct follower steady = {.cursor = "steady"}, casual = {0};
	pthread_t pruner, readers[2];
	atomic_bool stop = false;

	assert_int_equal(cursor_set("steady", 0), RFS_OK);
	assert_int_equal(pthread_create(&pruner, NULL, prune_always, &stop), 0);
	assert_int_equal(pthread_create(&readers[0], NULL, follow, &steady), 0);
	assert_int_equal(pthread_create(&readers[1], NULL, follow, &casual), 0);
	write_together(TOLD);
	tell("end", 1);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	atomic_store(&stop, true);
	pthread_join(pruner, NULL);
	assert_int_equal(steady.gone, 0);
	assert_int_equal(steady.seen, 1 + WRITERS * TOLD + 1);
	assert_true(casual.seen <= steady.seen && casual.seen >= 5);
	prune(5, 0, 3600 * SECOND_NS, clock_wall_ns());
	assert_true(feed_ends().pruned > 0);
}

/* --- ends in between
 * -------------------------------------------------------------------------------------------------------------- */

/* The process ends at some commit of a pruning, after which another begins. */
static void
a_pruning_that_was_cut_off_leaves_a_whole_feed(void **state)
{
	const struct feed_limits limits = {7, 0, 0};
	bool done = false;
	uint64_t first;

	write_together(STEP_ROWS / WRITERS + 5);
	for (uint64_t commits = 1; !done; commits++) {
		store.rules.op[FAULT_COMMIT].fail_from = fault_calls(&store.drivers, FAULT_COMMIT) + commits;
		done = prune_at(&limits, 2) == RFS_OK;
		if (strcmp(driver, "mem") != 0) {
			char dir[sizeof(store.dir)];

			snprintf(dir, sizeof(dir), "%s", store.dir);
			store_shut(&store); /* which checks it */
			store_open_in(&store, dir, driver, NULL);
		} else {
			store.rules.op[FAULT_COMMIT].fail_from = 0;
			assert_true(fsck_clean(&store.drivers));
		}
		assert_true(feed_count(feed_ends().pruned, &first) >= limits.rows);
		assert_true(!done || commits > 2);
		tell("more", 1);
	}
	assert_int_equal(feed_count(feed_ends().pruned, &first), limits.rows + 1);
}

/* What the reaper does by itself. */
static void
feeds_are_pruned_by_themselves(void **state)
{
	char error[512];
	uint64_t first;

	if (strcmp(driver, "mem") != 0)
		skip(); /* it would be the same */
	tell_many(30, clock_wall_ns());
	store_stop(&store);
	assert_true(config_set(&store.config, "feed.rows", "10", error) &&
		    config_set(&store.config, "feed.interval", "100ms", error));
	store_start(&store);
	while (feed_ends().pruned == 0)
		usleep(10000);
	assert_int_equal(feed_count(feed_ends().pruned, &first), 10);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(so_many_changes_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_are_counted_and_not_serials, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_feed_is_pruned_in_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_too_old_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_that_was_wrong_does_not_keep_a_feed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_behind_a_cursor_stays_until_it_is_too_old, setup, teardown),
		cmocka_unit_test_setup_teardown(cursors_are_named_placed_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cursor_that_was_set_keeps_what_is_behind_it_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_prefix_shows_what_is_below_it_and_no_other_name, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_of_a_prefix_follow_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(a_feed_is_for_who_may_list_and_is_not_everybody, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_miss_nothing_while_others_write_and_prune, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pruning_that_was_cut_off_leaves_a_whole_feed, setup, teardown),
		cmocka_unit_test_setup_teardown(feeds_are_pruned_by_themselves, setup, teardown),
	};

	driver = argc > 1 ? argv[1] : "embedded";
	return cmocka_run_group_tests_name(driver, tests, NULL, NULL);
}
