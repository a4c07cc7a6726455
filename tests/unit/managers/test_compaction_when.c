/* When compaction looks for garbage by itself, with the options as they come: what docs/trust.md says of the time after which space comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/config.h"
#include "base/metrics.h"
#include "managers/storage/compaction_int.h"

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define MIB ((uint64_t)1024 * 1024)
#define LAST (1000 * SECOND) /* when it looked last */

static struct storage storage;
static struct compaction compaction;
static uint64_t disk_bytes;

uint64_t __wrap_compaction_disk_bytes(struct compaction *c);

uint64_t
__wrap_compaction_disk_bytes(struct compaction *c)
{
	return disk_bytes;
}

/* A store of 1 GiB that has looked before, at which nothing was done since. */
static int
setup(void **state)
{
	struct config config;

	config_init(&config);
	atomic_store(&storage.dropped_bytes, 0);
	disk_bytes = 1024 * MIB;
	compaction = (struct compaction){ .storage = &storage,
		.enabled = config.compaction_enabled,
		.interval_ns = config.compaction_interval * 1000000,
		.volume_bytes = (uint64_t)config.journal_volume_bytes,
		.last_ns = LAST,
		.stored_bytes = disk_bytes };
	config_fini(&config);
	metric_set(METRIC_STORE_FULL, 0);
	return 0;
}

static int64_t
waits(bool first)
{
	int64_t at = compaction_look_at_ns(&compaction, first);

	return at == INT64_MAX ? at : at - LAST;
}

static void
test_a_store_at_rest_is_left_alone(void **state)
{
	assert_int_equal(waits(false), INT64_MAX);
	metric_set(METRIC_STORE_FULL, 1);
	assert_int_equal(waits(false), INT64_MAX);
}

static void
test_little_that_was_deleted_waits_ten_minutes(void **state)
{
	atomic_store(&storage.dropped_bytes, 1);
	assert_int_equal(waits(false), 10 * MINUTE);
	atomic_store(&storage.dropped_bytes, 128 * MIB - 1);
	assert_int_equal(waits(false), 10 * MINUTE);
}

static void
test_an_eighth_of_a_volume_waits_ten_seconds(void **state)
{
	atomic_store(&storage.dropped_bytes, 128 * MIB);
	assert_int_equal(waits(false), 10 * SECOND);
	assert_int_equal(waits(true), 10 * SECOND);
}

static void
test_of_a_large_store_it_is_a_thirty_second(void **state)
{
	compaction.stored_bytes = disk_bytes = 32 * 1024 * MIB;
	atomic_store(&storage.dropped_bytes, 1024 * MIB - 1);
	assert_int_equal(waits(false), 10 * MINUTE);
	atomic_store(&storage.dropped_bytes, 1024 * MIB);
	assert_int_equal(waits(false), 10 * SECOND);
}

static void
test_on_a_full_disk_anything_waits_ten_seconds(void **state)
{
	atomic_store(&storage.dropped_bytes, 1);
	metric_set(METRIC_STORE_FULL, 1);
	assert_int_equal(waits(false), 10 * SECOND);
}

static void
test_after_a_start_it_looks_within_a_minute(void **state)
{
	assert_int_equal(waits(true), MINUTE);
	atomic_store(&storage.dropped_bytes, 1);
	assert_int_equal(waits(true), MINUTE);
}

static void
test_much_that_was_written_waits_ten_seconds(void **state)
{
	disk_bytes = compaction.stored_bytes + 512 * MIB - 1;
	assert_int_equal(waits(false), INT64_MAX);
	disk_bytes++;
	assert_int_equal(waits(false), 10 * SECOND);
	compaction.stored_bytes = 4096 * MIB;
	disk_bytes = 5120 * MIB - 1;
	assert_int_equal(waits(false), INT64_MAX);
	disk_bytes++;
	assert_int_equal(waits(false), 10 * SECOND);
}

static void
test_a_long_look_is_followed_by_a_longer_rest(void **state)
{
	atomic_store(&storage.dropped_bytes, 1);
	compaction.looked_ns = 31 * SECOND;
	assert_int_equal(waits(false), 10 * MINUTE);
	compaction.looked_ns = 2 * MINUTE;
	assert_int_equal(waits(false), 38 * MINUTE);
	atomic_store(&storage.dropped_bytes, 128 * MIB);
	assert_int_equal(waits(false), 38 * MINUTE);
	metric_set(METRIC_STORE_FULL, 1);
	assert_int_equal(waits(false), 10 * SECOND);
}

static void
test_a_shorter_interval_is_the_longest_wait(void **state)
{
	compaction.interval_ns = SECOND;
	assert_int_equal(waits(true), SECOND);
	atomic_store(&storage.dropped_bytes, 1);
	assert_int_equal(waits(false), SECOND);
	atomic_store(&storage.dropped_bytes, 128 * MIB);
	assert_int_equal(waits(false), SECOND);
}

static void
test_what_is_switched_off_never_looks(void **state)
{
	compaction.enabled = false;
	atomic_store(&storage.dropped_bytes, 1024 * MIB);
	metric_set(METRIC_STORE_FULL, 1);
	assert_int_equal(waits(true), INT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_store_at_rest_is_left_alone, setup),
		cmocka_unit_test_setup(test_little_that_was_deleted_waits_ten_minutes, setup),
		cmocka_unit_test_setup(test_an_eighth_of_a_volume_waits_ten_seconds, setup),
		cmocka_unit_test_setup(test_of_a_large_store_it_is_a_thirty_second, setup),
		cmocka_unit_test_setup(test_on_a_full_disk_anything_waits_ten_seconds, setup),
		cmocka_unit_test_setup(test_after_a_start_it_looks_within_a_minute, setup),
		cmocka_unit_test_setup(test_much_that_was_written_waits_ten_seconds, setup),
		cmocka_unit_test_setup(test_a_long_look_is_followed_by_a_longer_rest, setup),
		cmocka_unit_test_setup(test_a_shorter_interval_is_the_longest_wait, setup),
		cmocka_unit_test_setup(test_what_is_switched_off_never_looks, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
