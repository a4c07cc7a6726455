/* A scan at the serial of a snapshot finds the rows that a scan found when it was taken: on any page, in both
 * directions. */
#include "hooks.h"
#include "past_help.h"
#include "recount.h"

#define SNAPSHOTS 60
#define KEYS 8

static const char *driver;
static const struct bytes bucket_name = {(const uint8_t *)"past", 4};
static struct test_store store;
static uint64_t bucket, state_of_chance;

static int
setup(void **state)
{
	struct bucket_create_args create = {.name = bucket_name};

	store_open_on(&store, driver, hooks_wrap);
	assert_int_equal(bucket_create(&store.core, store_request(&store), &create), RFS_OK);
	bucket = bucket_number(&store, "past");
	state_of_chance = 1;
	return 0;
}

static int
teardown(void **state)
{
	store_close(&store);
	return 0;
}

static uint32_t
chance(uint32_t below)
{
	state_of_chance = state_of_chance * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state_of_chance >> 33) % below;
}

/* Some are the beginning of others; bytes that are escaped in keys of the past. */
static struct bytes
key_of(uint32_t i)
{
	static const struct bytes keys[KEYS] = {BYTES_LITERAL("a"), BYTES_LITERAL("a\0"), BYTES_LITERAL("a\0\1"),
		BYTES_LITERAL("a\1"), BYTES_LITERAL("aa"), BYTES_LITERAL("a\xff"), BYTES_LITERAL("b"),
		BYTES_LITERAL("b\0\xff")};

	return keys[i];
}

static void
put(uint32_t key)
{
	assert_int_equal(store_put(&store, "past", key_of(key), BYTES_LITERAL("a body"), NULL), RFS_OK);
}

static uint64_t
snapshot(void)
{
	uint64_t serial = 0;

	assert_int_equal(snapshot_take(&store, "past", &serial), RFS_OK);
	return serial;
}

/* --- what there is, and what there was -----------------------------------------------------------------------------
 */

/* The entries of the root: from one key on, and before another. */
struct range {
	struct bytes from, to;
};

static struct range
range_of(struct arena *a, const struct bytes *from, const struct bytes *to)
{
	static const uint8_t root[OBJECT_ID_BYTES];
	struct bytes all = key_entry(a, bucket, root, bytes_of(NULL, 0));

	return (struct range){
		from ? key_entry(a, bucket, root, *from) : all,
		to ? key_entry(a, bucket, root, *to) : key_after_prefix(a, all),
	};
}

struct then {
	struct arena *arena;
	uint64_t serial;
	struct row_page rows;
};

static void
then_take(struct then *t)
{
	struct request rq = {.may_block = true};
	struct range all;

	rq.arena = t->arena = arena_new(4096);
	all = range_of(t->arena, NULL, NULL);
	assert_int_equal(metadata_scan(store.core.metadata, &rq, all.from, all.to, KEYS + 1, false, &t->rows), RFS_OK);
	t->serial = snapshot();
}

static void
assert_row(const struct row *row, const struct row *expected)
{
	assert_true(row->found);
	assert_true(bytes_equal(row->key, expected->key));
	assert_true(bytes_equal(row->value, expected->value));
	assert_int_equal(row->serial, expected->serial);
}

/* Of the rows of a range that there were. */
static void
assert_scanned(const struct then *t, struct range range, size_t limit, bool reverse)
{
	struct past_page page = {.more = true};
	size_t first = 0, end = t->rows.count, seen = 0, pages = 0;

	while (first < end && bytes_compare(t->rows.rows[first].key, range.from) < 0)
		first++;
	while (end > first && bytes_compare(t->rows.rows[end - 1].key, range.to) >= 0)
		end--;
	for (; page.more; pages++) {
		assert_true(pages <= 2 * KEYS + SNAPSHOTS * KEYS / limit);
		assert_int_equal(metadata_scan_at(store.core.metadata, &store.rq, range.from, range.to, t->serial,
					 limit, reverse, &page),
			RFS_OK);
		assert_true(page.count <= limit);
		for (size_t i = 0; i < page.count; i++, seen++) {
			assert_true(seen < end - first);
			assert_row(&page.rows[i], &t->rows.rows[reverse ? end - 1 - seen : first + seen]);
		}
		*(reverse ? &range.to : &range.from) = page.next;
	}
	assert_int_equal(seen, end - first);
}

static void
assert_range(const struct then *t, const struct bytes *from, const struct bytes *to)
{
	static const size_t limits[] = {1, 2, 3, 5, KEYS, 1000};

	for (size_t i = 0; i < 2 * sizeof(limits) / sizeof(limits[0]); i++) {
		store_request(&store);
		assert_scanned(t, range_of(store.rq.arena, from, to), limits[i / 2], i % 2);
	}
}

static void
assert_as_then(const struct then *t)
{
	assert_range(t, NULL, NULL);
	for (uint32_t i = 0; i < KEYS; i++) {
		struct bytes from = key_of(i), to = key_of(KEYS - 1 - i);

		assert_range(t, &from, NULL);
		assert_range(t, NULL, &from);
		assert_range(t, &from, &to);
	}
}

/* --- tests ---------------------------------------------------------------------------------------------------------
 */

static void
a_scan_at_a_serial_finds_what_there_was(void **state)
{
	static struct then taken[SNAPSHOTS];

	for (size_t i = 0; i < SNAPSHOTS; i++) {
		for (uint32_t changes = chance(6); changes; changes--) {
			uint32_t key = chance(KEYS);

			if (chance(3))
				put(key);
			else
				assert_int_equal(store_delete(&store, "past", key_of(key)), RFS_OK);
		}
		then_take(&taken[i]);
	}
	for (uint32_t i = 0; i < KEYS; i += 2)
		assert_int_equal(store_delete(&store, "past", key_of(i)), RFS_OK);
	for (size_t i = 0; i < SNAPSHOTS; i++) {
		assert_as_then(&taken[i]);
		arena_free(taken[i].arena);
	}
}

/* Behind all of them there is nothing that was there; each page comes to an end. */
static void
rows_of_one_key_are_many(void **state)
{
	struct then first, last;

	put(1);
	then_take(&first);
	for (size_t i = 0; i < SNAPSHOTS; i++) {
		put(0);
		(void)snapshot();
	}
	put(2);
	then_take(&last);
	assert_int_equal(store_delete(&store, "past", key_of(0)), RFS_OK);
	put(1);
	assert_as_then(&first);
	assert_as_then(&last);
	arena_free(first.arena);
	arena_free(last.arena);
}

static void
others_replace(void *data)
{
	struct test_store other = store;

	other.rq.arena = arena_new(4096);
	sem_init(&other.woken, 0, 0);
	assert(store_put(&other, "past", key_of(0), BYTES_LITERAL("new"), NULL) == RFS_OK);
	assert(store_delete(&other, "past", key_of(1)) == RFS_OK);
	sem_destroy(&other.woken);
	arena_free(other.rq.arena);
}

/* Before either of its reads: of what there is, and of what there was. */
static void
what_is_replaced_meanwhile_is_met_once(void **state)
{
	static const enum table tables[] = {TABLE_ENTRY, TABLE_PAST};

	for (size_t i = 0; i < 2; i++) {
		struct then t;

		for (uint32_t key = 0; key < 3; key++)
			put(key);
		then_take(&t);
		store_request(&store);
		hooks_arm(NULL, tables[i], others_replace, NULL);
		assert_scanned(&t, range_of(store.rq.arena, NULL, NULL), 10, false);
		assert_false(atomic_load(&hooks.armed));
		assert_as_then(&t);
		arena_free(t.arena);
	}
}

static void
a_damaged_key_of_the_past_is_told(void **state)
{
	struct batch *b;
	struct then t;
	struct past_page page;
	struct range all;

	then_take(&t);
	b = batch_new(bucket);
	batch_put(b, key_table(b->arena, bucket, TABLE_PAST, BYTES_LITERAL("\2no end")), BYTES_LITERAL("?"));
	assert_int_equal(metadata_commit(store.core.metadata, store_request(&store), b), RFS_OK);
	batch_free(b);
	all = range_of(store.rq.arena, NULL, NULL);
	all.from.len = 9; /* of the table */
	all.to = key_table(store.rq.arena, bucket, TABLE_ENTRY + 1, bytes_of(NULL, 0));
	assert_int_equal(metadata_scan_at(store.core.metadata, &store.rq, all.from, all.to, t.serial, 10, false, &page),
		RFS_ERR_DAMAGED);
	store.damaged = true;
	arena_free(t.arena);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_scan_at_a_serial_finds_what_there_was, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_of_one_key_are_many, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_replaced_meanwhile_is_met_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_key_of_the_past_is_told, setup, teardown),
	};

	driver = argc > 1 ? argv[1] : "embedded";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
