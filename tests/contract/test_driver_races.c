/* test_driver_races.c: many at once; see contract.h. */
#include "contract.h"

#define THREADS 8

struct worker {
	struct store *store;
	pthread_t thread;
	unsigned index, count;
	unsigned passed, refused;
};

static void
run_workers(struct store *s, void *(*main)(void *), unsigned count, struct worker *workers)
{
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.store = s, .index = i, .count = count};
		pthread_create(&workers[i].thread, NULL, main, &workers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void *
take_seats(void *arg)
{
	struct worker *w = arg;
	struct batch *b = batch_new(BUCKET);

	for (unsigned i = 0; i < w->count; i++) {
		batch_reset(b);
		batch_add(b, key_of(b, TABLE_COUNTERS, "seats"), 1);
		batch_append(b, key_of(b, TABLE_FEED, ""), bytes_str("seat"));
		batch_expect(b, key_of(b, TABLE_COUNTERS, "seats"), 0, 100);
		if (test_commit(w->store, b) == RFS_OK)
			w->passed++;
		else if (b->error == RFS_ERR_CONFLICT && b->failed_op == 2)
			w->refused++;
	}
	batch_free(b);
	return NULL;
}

static void
exactly_as_many_as_expected_get_through(void **state)
{
	struct store *s = *state;
	struct worker workers[THREADS];
	unsigned passed = 0, refused = 0;
	struct row_page page;

	run_workers(s, take_seats, 40, workers);
	for (unsigned i = 0; i < THREADS; i++) {
		passed += workers[i].passed;
		refused += workers[i].refused;
	}
	assert_int_equal(passed, 100);
	assert_int_equal(refused, THREADS * 40 - 100);
	assert_int_equal(test_counter(s, BUCKET, "seats"), 100);
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_FEED, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_FEED + 1, ""), 1000, false, &page),
		RFS_OK);
	assert_int_equal(page.count, 100);
	for (size_t i = 0; i < page.count; i++) { /* no gaps: each names the one before it */
		assert_int_equal(load_be64(page.rows[i].key.data + 9), i + 1);
		assert_int_equal(load_u64(page.rows[i].value.data + 4), i);
	}
}

/* Reads a number, writes it plus one under a CHECK, and reads its own write. */
static void *
increment(void *arg)
{
	struct worker *w = arg;
	struct store *s = w->store;
	struct request rq = {.arena = arena_new(4096), .may_block = true};
	struct batch *b = batch_new(BUCKET);
	struct row row;
	uint8_t number[8];

	while (w->passed < w->count) {
		arena_reset(rq.arena);
		batch_reset(b);
		if (s->drivers.metadata->ops->get(s->drivers.metadata, &rq, key_of(b, TABLE_ROWS, "n"), &row))
			break;
		store_u64(number, (row.found ? load_u64(row.value.data) : 0) + 1);
		batch_check(b, key_of(b, TABLE_ROWS, "n"), row.serial);
		batch_put(b, key_of(b, TABLE_ROWS, "n"), bytes_of(number, 8));
		if (test_commit(s, b)) {
			w->refused++;
			continue;
		}
		w->passed++;
		if (s->drivers.metadata->ops->get(s->drivers.metadata, &rq, key_of(b, TABLE_ROWS, "n"), &row) ||
			!row.found || row.serial < b->serial || load_u64(row.value.data) < load_u64(number))
			break;
	}
	batch_free(b);
	arena_free(rq.arena);
	return NULL;
}

static void
checked_increments_lose_nothing(void **state)
{
	struct store *s = *state;
	struct worker workers[THREADS];
	struct row row;

	run_workers(s, increment, 30, workers);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(workers[i].passed, 30);
	row = test_get(s, BUCKET, TABLE_ROWS, "n");
	assert_int_equal(load_u64(row.value.data), THREADS * 30);
	assert_int_equal(row.serial, THREADS * 30);
}

/* Batches over overlapping keys in different orders, shared and exclusive: none waits for ever. */
static void *
overlap(void *arg)
{
	struct worker *w = arg;
	struct batch *b = batch_new(BUCKET);
	char name[8];

	for (unsigned i = 0; i < w->count; i++) {
		batch_reset(b);
		batch_check(b, key_of(b, TABLE_ROWS, "shared"), 0);
		for (unsigned k = 0; k < 6; k++) {
			snprintf(name, sizeof(name), "%u", (w->index * 7 + i * 3 + k * 5) % 11);
			batch_put(b, key_of(b, TABLE_ROWS, name), bytes_str(name));
		}
		batch_add(b, key_of(b, TABLE_COUNTERS, "all"), 1);
		if (test_commit(w->store, b) == RFS_OK)
			w->passed++;
	}
	batch_free(b);
	return NULL;
}

static void
overlapping_batches_all_finish(void **state)
{
	struct store *s = *state;
	struct worker workers[THREADS];

	run_workers(s, overlap, 50, workers);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(workers[i].passed, 50);
	assert_int_equal(test_counter(s, BUCKET, "all"), THREADS * 50);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(exactly_as_many_as_expected_get_through),
		TEST(checked_increments_lose_nothing),
		TEST(overlapping_batches_all_finish),
	};

	return cmocka_run_group_tests_name(contract_begin(argc, argv), tests, NULL, NULL);
}
