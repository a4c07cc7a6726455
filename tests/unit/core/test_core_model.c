/*
 * Random operations of every verb that core has agree with a simple model in memory: see model.h. After each of them a
 * listing, counters, quotas, uploads and the feed are compared, every few of them also the bytes, and what rows were at
 * the serials of snapshots; in between the store is killed, also in the middle of an operation, with its index or
 * without, compacted, and whatever else it does by itself is made to happen. In some scripts compaction empties every
 * volume after each operation, and all is compared behind it.
 *
 * A script that fails is made short and printed. RESTFS_SCRIPT=FILE runs such a script again. RESTFS_ROUNDS=N says how
 * many scripts there are, by themselves always the same; then they are others each time, unless RESTFS_SEED=N says
 * where to begin. RESTFS_SHRINK_SECONDS=N: how long to look for a shorter one, 0: not at all.
 */
#include "base/log.h"
#include "model.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ROUNDS 8
#define OPERATIONS 250

/* What the environment says, or else `otherwise`. */
static uint64_t
setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void
report(const struct model_run *run, const struct model_script *script, uint64_t seed)
{
	struct model_script *small;

	fprintf(stderr, "seed %llu, operation %zu of %zu: %s\n", (unsigned long long)seed, run->next + 1, script->count,
		run->problem);
	if (run->next < script->count)
		op_print(stderr, &script->ops[run->next]);
	if (!setting("RESTFS_SHRINK_SECONDS", 1))
		return;
	small = script_shrink(script, run->next);
	fprintf(stderr, "# RESTFS_SCRIPT, %zu operations:\n", small->count);
	script_print(stderr, small);
	free(small);
}

static void
run_add(struct model_run *all, const struct model_run *run)
{
	all->crashes += run->crashes;
	all->past_reads += run->past_reads;
	all->past_listings += run->past_listings;
	all->compactions += run->compactions;
	all->blocks_moved += run->blocks_moved;
}

static void
scripts_are_run(void)
{
	uint64_t rounds = setting("RESTFS_ROUNDS", ROUNDS), seed;
	struct model_run *run = run_new(), all = {0};

	random_bytes(&seed, sizeof(seed));
	seed = setting("RESTFS_SEED", getenv("RESTFS_ROUNDS") ? seed >> 32 : 1);
	for (uint64_t round = 0; round < rounds; round++) {
		struct model_script *script = script_make(seed + round, OPERATIONS);

		if (!run_script(run, script, false)) {
			report(run, script, seed + round);
			fail_msg("store and model differ");
		}
		run_add(&all, run);
		free(script);
	}
	print_message(
		"done: %llu operations, %llu of them crashes; %llu reads and %llu listings at an old serial; %llu "
		"compactions of every volume, which moved %llu blocks\n",
		(unsigned long long)rounds * OPERATIONS, (unsigned long long)all.crashes,
		(unsigned long long)all.past_reads, (unsigned long long)all.past_listings,
		(unsigned long long)all.compactions, (unsigned long long)all.blocks_moved);
	run_free(run);
}

static void
a_script_is_run_again(const char *path)
{
	struct model_run *run = run_new();
	struct model_script *script;
	FILE *in = fopen(path, "r");
	size_t line;
	bool agrees;

	assert_non_null(in);
	script = script_read(in, &line);
	fclose(in);
	if (!script)
		fail_msg("%s:%zu is no operation", path, line);
	agrees = run_script(run, script, true);
	if (!agrees)
		fail_msg("operation %zu of %zu: %s", run->next + 1, script->count, run->problem);
	free(script);
	run_free(run);
}

static void
random_operations_agree_with_a_model(void **state)
{
	const char *path = getenv("RESTFS_SCRIPT");

	if (path)
		a_script_is_run_again(path);
	else
		scripts_are_run();
}

/* Sizes around every border of frames, small blocks, blocks and segments come back, whole and in ranges. */
static void
bodies_of_all_sizes_come_back(void **state)
{
	static const size_t sizes[] = {1, 65535, 65536, 65537, 262143, 262144, 262145, 1048575, 1048576, 1048577,
		3 * 1048576, 67 * 1048576 + 5};
	struct bucket_create_args create = {.name = BYTES_LITERAL("sizes")};
	struct test_store t;

	store_open(&t);
	for (int compress = 0; compress < 2; compress++) {
		bool yes = compress;
		struct bucket_changes changes = {.compress = &yes};

		if (!compress)
			assert_int_equal(bucket_create(&t.core, store_request(&t), &create), RFS_OK);
		assert_int_equal(bucket_configure(&t.core, store_request(&t), create.name, &changes), RFS_OK);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint8_t *body = malloc(sizes[i]), *back = NULL;
			size_t len = 0;
			struct byte_range whole = {0}, part = {.given = true};

			for (size_t k = 0; k < sizes[i]; k++)
				body[k] = (uint8_t)(compress ? k >> 9 : k * 2654435761u >> 13);
			assert_int_equal(
				store_put(&t, "sizes", BYTES_LITERAL("dir/body"), bytes_of(body, sizes[i]), NULL),
				RFS_OK);
			assert_int_equal(store_get(&t, "sizes", BYTES_LITERAL("dir/body"), whole, &back, &len), RFS_OK);
			assert_int_equal(len, sizes[i]);
			assert_int_equal(memcmp(back, body, len), 0);
			free(back);
			for (int r = 0; r < 20; r++) {
				part.first = random_u64() % sizes[i];
				part.last = part.first + random_u64() % 200000;
				assert_int_equal(
					store_get(&t, "sizes", BYTES_LITERAL("dir/body"), part, &back, &len), RFS_OK);
				assert_int_equal(len, (part.last < sizes[i] ? part.last + 1 : sizes[i]) - part.first);
				assert_int_equal(memcmp(back, body + part.first, len), 0);
				free(back);
			}
			free(body);
		}
	}
	store_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_a_model),
		cmocka_unit_test(bodies_of_all_sizes_come_back),
	};

	log_init(LOG_ERROR, LOG_TEXT, getenv("RESTFS_TEST_LOG") ? 2 : open("/dev/null", O_WRONLY));
	if (getenv("RESTFS_SCRIPT"))
		cmocka_set_test_filter("random_*");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
