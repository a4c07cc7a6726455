/* store.h: a whole core over a driver, for tests of verbs. */
#ifndef TESTS_UNIT_CORE_STORE_H
#define TESTS_UNIT_CORE_STORE_H

#include "base/clock.h"
#include "base/config.h"
#include "core/core_int.h"
#include "fsck.h"
#include "managers/storage/storage.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct test_store {
	char dir[64];
	struct config config;
	struct fault_rules rules; /* of the driver's calls: none fails at first */
	struct store_drivers drivers;
	struct core core;
	struct request rq;
	sem_t woken;
	unsigned verbs;
	bool damaged; /* on purpose: its end is not to be clean */
	bool compacts; /* all the time */
	pthread_t compactor;
};

static inline void *
store_compact_always(void *data)
{
	struct storage *s = data;
	struct request rq = { .arena = arena_new(4096), .door = "test", .may_block = true };
	struct compaction_report report;
	enum rfs_err err;

	while (!(err = storage_compact(s, &rq, &report)))
		arena_reset(rq.arena);
	assert(err == RFS_ERR_SHUTTING_DOWN);
	arena_free(rq.arena);
	return NULL;
}

static inline void
store_wake(struct request *rq)
{
	struct test_store *t = (struct test_store *)((char *)rq - offsetof(struct test_store, rq));

	sem_post(&t->woken);
}

/* Every second writing verb is tried as a loop does it. */
static inline void
store_alternate(struct test_store *t)
{
	t->rq.may_block = t->verbs++ % 2;
}

/* Has the verb to be called again? As doors do: after the wake, or where it may block. */
static inline bool
store_again(struct test_store *t, enum rfs_err err)
{
	if (err == RFS_ERR_PENDING)
		sem_wait(&t->woken);
	else if (err == RFS_ERR_WOULD_BLOCK)
		t->rq.may_block = true;
	else
		return false;
	return true;
}

/* A daemon's managers, over drivers that are there. */
static inline void
store_start(struct test_store *t)
{
	char error[512];

	t->core.metadata = metadata_new(t->drivers.metadata);
	assert(auth_open(t->core.metadata, t->dir, "root-key", "root-secret", &t->core.auth, error) == RFS_OK);
	assert(storage_new(t->core.metadata, t->drivers.storage, &t->config, &t->core.storage) == RFS_OK);
	if (t->compacts)
		assert(pthread_create(&t->compactor, NULL, store_compact_always, t->core.storage) == 0);
	sem_init(&t->woken, 0, 0);
	t->rq = (struct request){
		.wake = store_wake,
		.arena = arena_new(65536), .door = "test", .who = auth_root(t->core.auth), .may_block = true, .now_ns = clock_wall_ns(),
	};
}

static inline void
store_stop(struct test_store *t)
{
	if (t->compacts) {
		storage_shut_down(t->core.storage);
		pthread_join(t->compactor, NULL);
	}
	storage_free(t->core.storage);
	auth_close(t->core.auth);
	metadata_free(t->core.metadata);
	arena_free(t->rq.arena);
}

/* What a test puts around the drivers. */
typedef void store_wrap(struct store_drivers *drivers);

/*
 * In a directory that is there. "small": embedded, with small volumes, compacted when the test says so; "compacted": all the time, whatever it gains.
 * `wrap` may be NULL.
 */
static inline void
store_open_in(struct test_store *t, const char *dir, const char *driver, store_wrap *wrap)
{
	bool is_mem = strcmp(driver, "mem") == 0;
	struct store_drivers inner;
	char error[512];

	memset(t, 0, sizeof(*t));
	snprintf(t->dir, sizeof(t->dir), "%s", dir);
	config_init(&t->config);
	assert(config_set(&t->config, "data", t->dir, error));
	t->compacts = strcmp(driver, "compacted") == 0;
	assert(config_set(&t->config, "journal.volume_bytes", t->compacts || strcmp(driver, "small") == 0 ? "1M" : "64M", error));
	assert(config_set(&t->config, "compaction.garbage_percent", t->compacts ? "1" : "10", error));
	assert(config_set(&t->config, "compaction.enabled", "false", error));
	assert((is_mem ? mem_open : embedded_open)(&t->config, &inner, error) == RFS_OK);
	if (wrap)
		wrap(&inner);
	fault_open(inner, &t->rules, &t->drivers);
	store_start(t);
}

static inline void
store_open_on(struct test_store *t, const char *driver, store_wrap *wrap)
{
	char dir[] = "/tmp/restfs-core-XXXXXX";

	assert(mkdtemp(dir));
	store_open_in(t, dir, driver, wrap);
}

static inline void
store_open(struct test_store *t)
{
	store_open_on(t, "mem", NULL);
}

static inline struct request *
store_request(struct test_store *t)
{
	arena_reset(t->rq.arena);
	t->rq.detail = NULL;
	t->rq.may_block = true;
	t->rq.now_ns = clock_wall_ns();
	return &t->rq;
}

/* With a bucket of root's; its number. */
static inline uint64_t
store_open_with(struct test_store *t, const char *driver, struct bytes bucket)
{
	struct bucket_create_args create = { .name = bucket };
	struct bucket_row row;

	store_open_on(t, driver, NULL);
	assert(bucket_create(&t->core, store_request(t), &create) == RFS_OK);
	assert(bucket_find(t->core.metadata, store_request(t), bucket, &row) == RFS_OK);
	return row.id;
}

/* Whatever a test did, the store is whole at its end. The directory stays. */
static inline void
store_shut(struct test_store *t)
{
	store_stop(t);
	memset(&t->rules, 0, sizeof(t->rules));
	assert(t->damaged || fsck_clean(&t->drivers));
	t->drivers.metadata->ops->close(t->drivers.metadata);
	config_fini(&t->config);
}

static inline void
store_close(struct test_store *t)
{
	char command[128];

	store_shut(t);
	snprintf(command, sizeof(command), "rm -rf %s", t->dir);
	assert(system(command) == 0);
}

/* An object, or a part of an upload. */
static inline enum rfs_err
store_put_with(struct test_store *t, struct request *rq, const struct object_put_args *args, struct bytes body, struct version *version)
{
	struct object_put *put;
	struct slice slice;
	enum rfs_err err;

	store_alternate(t);
	do
		err = object_put_begin(&t->core, rq, args, &put);
	while (store_again(t, err));
	if (err)
		return err;
	if (body.len > OBJECT_PUT_ON_LOOP)
		rq->may_block = true;
	slice = slice_copy(body);
	err = object_put_write(put, slice);
	slice_unref(&slice);
	if (err) {
		object_put_abort(put);
		return err;
	}
	do
		err = object_put_finish(put, NULL, 0, version);
	while (store_again(t, err));
	return err;
}

static inline enum rfs_err
store_put(struct test_store *t, const char *bucket, struct bytes key, struct bytes body, const struct conditions *c)
{
	struct object_put_args args = { .bucket = bytes_str(bucket), .key = key, .size = (int64_t)body.len };
	struct version version;

	if (c)
		args.conditions = *c;
	return store_put_with(t, store_request(t), &args, body, &version);
}

static inline enum rfs_err
store_delete(struct test_store *t, const char *bucket, struct bytes key)
{
	struct object_delete_args args = { .bucket = bytes_str(bucket), .key = key };
	struct request *rq = store_request(t);
	enum rfs_err err;
	bool removed;

	store_alternate(t);
	do
		err = object_delete(&t->core, rq, &args, &removed);
	while (store_again(t, err));
	return err;
}

static inline enum rfs_err
store_rename(struct test_store *t, const char *bucket, struct bytes from, struct bytes to)
{
	struct object_rename_args args = { .bucket = bytes_str(bucket), .from = from, .to = to };
	struct request *rq = store_request(t);
	enum rfs_err err;

	store_alternate(t);
	do
		err = object_rename(&t->core, rq, &args);
	while (store_again(t, err));
	return err;
}

/* The whole body into `out` (malloc'ed memory of *len bytes), in pieces of any size. */
static inline enum rfs_err
store_get(struct test_store *t, const char *bucket, struct bytes key, struct byte_range range, uint8_t **out, size_t *len)
{
	size_t piece = 65536 + random_u64() % (1024 * 1024);
	struct object_get_args args = { .bucket = bytes_str(bucket), .key = key, .range = range, .piece = piece };
	struct object_get get;
	struct slice part;
	enum rfs_err err = object_get_open(&t->core, store_request(t), &args, &get);

	if (err)
		return err;
	*out = malloc(get.length + 1);
	*len = 0;
	while (!(err = object_get_read(&get, &part)) && part.len) {
		assert(part.len <= piece);
		memcpy(*out + *len, part.data, part.len);
		*len += part.len;
		slice_unref(&part);
		piece = 65536 + random_u64() % (1024 * 1024);
		object_get_pieces(&get, piece);
	}
	assert(err || *len == get.length);
	object_get_close(&get);
	return err;
}

#endif
