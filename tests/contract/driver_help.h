/* driver_help.h: what tests of drivers share: temporary stores, keys, and a commit that waits. */
#ifndef TESTS_CONTRACT_DRIVER_HELP_H
#define TESTS_CONTRACT_DRIVER_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "drivers/driver.h"
#include <ftw.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TABLE_ROWS 2
#define TABLE_COUNTERS 8
#define TABLE_FEED 16

struct store {
	char directory[256];
	struct config config;
	struct store_drivers drivers;
	struct request rq;
};

static inline int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	return remove(path);
}

static inline void
remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void
store_init(struct store *s, const char *volume_bytes)
{
	const char *base = getenv("TMPDIR");
	char error[512];

	memset(s, 0, sizeof(*s));
	snprintf(s->directory, sizeof(s->directory), "%.200s/restfs-test-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(s->directory));
	config_init(&s->config);
	assert_true(config_set(&s->config, "data", s->directory, error));
	assert_true(config_set(&s->config, "journal.volume_bytes", volume_bytes, error));
	s->rq.arena = arena_new(4096);
	s->rq.may_block = true;
}

static inline void
store_fini(struct store *s)
{
	arena_free(s->rq.arena);
	config_fini(&s->config);
	remove_tree(s->directory);
}

static inline struct bytes
test_key(struct arena *a, uint64_t bucket, uint8_t table, const char *rest)
{
	struct buf b;

	buf_init(&b, a);
	buf_be64(&b, bucket);
	buf_u8(&b, table);
	buf_put_str(&b, rest);
	return buf_bytes(&b);
}

static inline void
test_done(struct batch *b)
{
	sem_post(b->done_data);
}

/* Commits and waits for `done`. */
static inline enum rfs_err
test_commit(struct store *s, struct batch *b)
{
	sem_t sem;

	sem_init(&sem, 0, 0);
	b->done = test_done;
	b->done_data = &sem;
	s->drivers.metadata->ops->commit(s->drivers.metadata, b);
	while (sem_wait(&sem) != 0)
		;
	sem_destroy(&sem);
	return b->error;
}

static inline struct row
test_get(struct store *s, uint64_t bucket, uint8_t table, const char *rest)
{
	struct row row;

	assert_int_equal(s->drivers.metadata->ops->get(
				 s->drivers.metadata, &s->rq, test_key(s->rq.arena, bucket, table, rest), &row),
		RFS_OK);
	return row;
}

static inline int64_t
test_counter(struct store *s, uint64_t bucket, const char *rest)
{
	struct row row = test_get(s, bucket, TABLE_COUNTERS, rest);

	if (!row.found)
		return 0;
	assert_int_equal(row.value.len, 8);
	assert_int_equal(row.serial, 0);
	return (int64_t)load_u64(row.value.data);
}

/* One row, put; returns its serial. */
static inline uint64_t
test_put(struct store *s, uint64_t bucket, const char *rest, const char *value)
{
	struct batch *b = batch_new(bucket);
	uint64_t serial;

	batch_put(b, test_key(b->arena, bucket, TABLE_ROWS, rest), bytes_str(value));
	assert_int_equal(test_commit(s, b), RFS_OK);
	serial = b->serial;
	batch_free(b);
	return serial;
}

#endif
