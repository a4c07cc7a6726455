/* hooks.h: drivers whose calls a test counts, or steps in front of by what they are about: what makes a race certain. By their number: fault_rules. */
#ifndef TESTS_UNIT_CORE_HOOKS_H
#define TESTS_UNIT_CORE_HOOKS_H

#include "drivers/driver.h"
#include "managers/metadata/keys.h"

#include <stdatomic.h>
#include <stdlib.h>

struct hooks {
	struct metadata_driver metadata;
	struct storage_driver storage;
	struct store_drivers inner;

	/* Called once, on the thread of the first commit that `matches`, or of the first get or scan in `table`, before the driver sees it. */
	bool (*matches)(const struct batch *b); /* NULL: it is a read */
	enum table table;
	bool behind; /* instead: after that commit (of a driver that answers at once), or the first get in `table`, before its caller goes on */
	void (*before)(void *data);
	void *data;
	atomic_bool armed;

	atomic_bool no_room; /* for what is moved */
	atomic_int blocks;       /* payloads that were put or went with a batch that was committed */
	atomic_int reads[256]; /* gets and scans, by table */
};

static struct hooks hooks;

static inline bool
batch_has(const struct batch *b, enum batch_op_kind kind, enum table table)
{
	for (size_t i = 0; i < b->op_count; i++)
		if (b->ops[i].kind == kind && b->ops[i].key.data[8] == table)
			return true;
	return false;
}

static inline void
hooks_arm(bool (*matches)(const struct batch *b), enum table table, void (*before)(void *data), void *data)
{
	hooks.matches = matches;
	hooks.table = table;
	hooks.behind = false;
	hooks.before = before;
	hooks.data = data;
	atomic_store(&hooks.armed, true);
}

static inline void
hooks_arm_behind(enum table table, void (*after)(void *data), void *data)
{
	hooks_arm(NULL, table, after, data);
	hooks.behind = true;
}

static inline void
hooks_arm_behind_commit(bool (*matches)(const struct batch *b), void (*after)(void *data), void *data)
{
	hooks_arm(matches, TABLE_DRIVER, after, data);
	hooks.behind = true;
}

/* Of those whom it concerns at once, one steps in front. */
static inline void
hooks_strike(void)
{
	bool armed = true;

	if (atomic_compare_exchange_strong(&hooks.armed, &armed, false))
		hooks.before(hooks.data);
}

static inline void
hooks_commit(struct metadata_driver *d, struct batch *b)
{
	bool strikes = atomic_load(&hooks.armed) && hooks.matches && hooks.matches(b), behind = strikes && hooks.behind;

	if (strikes && !behind)
		hooks_strike();
	for (size_t i = 0; i < b->op_count; i++)
		for (size_t k = 0; k < b->ops[i].block_count; k++)
			atomic_fetch_add(&hooks.blocks, !b->ops[i].blocks[k].stored);
	hooks.inner.metadata->ops->commit(hooks.inner.metadata, b);
	if (strikes && behind)
		hooks_strike();
}

static inline void
hooks_read_of(struct bytes key)
{
	if (atomic_load(&hooks.armed) && !hooks.matches && !hooks.behind && key.data[8] == hooks.table)
		hooks_strike();
	atomic_fetch_add(&hooks.reads[key.data[8]], 1);
}

static inline enum rfs_err
hooks_get(struct metadata_driver *d, struct request *rq, struct bytes key, struct row *out)
{
	enum rfs_err err;

	hooks_read_of(key);
	err = hooks.inner.metadata->ops->get(hooks.inner.metadata, rq, key, out);
	if (atomic_load(&hooks.armed) && hooks.behind && key.data[8] == hooks.table)
		hooks_strike();
	return err;
}

static inline enum rfs_err
hooks_multi_get(struct metadata_driver *d, struct request *rq, const struct bytes *keys, size_t count, struct row *out)
{
	return hooks.inner.metadata->ops->multi_get(hooks.inner.metadata, rq, keys, count, out);
}

static inline enum rfs_err
hooks_scan(struct metadata_driver *d, struct request *rq, struct bytes from, struct bytes to, size_t limit, bool reverse, struct row_page *out)
{
	hooks_read_of(from);
	return hooks.inner.metadata->ops->scan(hooks.inner.metadata, rq, from, to, limit, reverse, out);
}

static inline void
hooks_info(struct metadata_driver *d, struct metadata_info *out)
{
	hooks.inner.metadata->ops->info(hooks.inner.metadata, out);
}

static inline enum rfs_err
hooks_checkpoint(struct metadata_driver *d, struct request *rq, bool (*go_on)(void *data, uint64_t bytes), void *data, struct checkpoint_info *out)
{
	return hooks.inner.metadata->ops->checkpoint(hooks.inner.metadata, rq, go_on, data, out);
}

static inline void
hooks_close(struct metadata_driver *d)
{
	hooks.inner.metadata->ops->close(hooks.inner.metadata);
}

static inline enum rfs_err
hooks_put(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number, const struct slice *parts, size_t count,
	struct block_ticket *out)
{
	atomic_fetch_add(&hooks.blocks, 1);
	return hooks.inner.storage->ops->put(hooks.inner.storage, rq, bucket, number, parts, count, out);
}

static inline enum rfs_err
hooks_wait(struct storage_driver *d, struct request *rq, const struct block_ticket *tickets, size_t count)
{
	return hooks.inner.storage->ops->wait(hooks.inner.storage, rq, tickets, count);
}

static inline void
hooks_settle(struct storage_driver *d, struct block_ticket *tickets, size_t count)
{
	hooks.inner.storage->ops->settle(hooks.inner.storage, tickets, count);
}

static inline enum rfs_err
hooks_read(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number, const struct block_location *location,
	uint64_t offset, size_t len, struct slice *out)
{
	return hooks.inner.storage->ops->get(hooks.inner.storage, rq, bucket, number, location, offset, len, out);
}

static inline void
hooks_limits(struct storage_driver *d, struct volume_limits *out)
{
	hooks.inner.storage->volumes->limits(hooks.inner.storage, out);
	if (atomic_load(&hooks.no_room))
		out->room = 0;
}

static inline enum rfs_err
hooks_list(struct storage_driver *d, struct request *rq, struct storage_volume **out, size_t *count)
{
	return hooks.inner.storage->volumes->list(hooks.inner.storage, rq, out, count);
}

static inline enum rfs_err
hooks_blocks(struct storage_driver *d, struct request *rq, uint64_t number, struct storage_block **out, size_t *count)
{
	return hooks.inner.storage->volumes->blocks(hooks.inner.storage, rq, number, out, count);
}

static inline enum rfs_err
hooks_seal(struct storage_driver *d, struct request *rq, uint64_t number)
{
	return hooks.inner.storage->volumes->seal(hooks.inner.storage, rq, number);
}

static inline enum rfs_err
hooks_volume_remove(struct storage_driver *d, struct request *rq, uint64_t number, uint64_t *freed)
{
	return hooks.inner.storage->volumes->remove(hooks.inner.storage, rq, number, freed);
}

/* A store_wrap. */
static inline void
hooks_wrap(struct store_drivers *drivers)
{
	static struct metadata_ops metadata_ops = {
		.get = hooks_get, .multi_get = hooks_multi_get, .scan = hooks_scan, .commit = hooks_commit, .info = hooks_info, .close = hooks_close,
	};
	static struct volume_ops volume_ops = { .limits = hooks_limits, .list = hooks_list, .blocks = hooks_blocks, .seal = hooks_seal, .remove = hooks_volume_remove };
	static const struct storage_ops storage_ops = { .put = hooks_put, .wait = hooks_wait, .settle = hooks_settle, .get = hooks_read };

	hooks.inner = *drivers;
	metadata_ops.checkpoint = drivers->metadata->ops->checkpoint ? hooks_checkpoint : NULL;
	hooks.metadata.ops = &metadata_ops;
	hooks.storage.ops = &storage_ops;
	hooks.storage.volumes = NULL;
	if (drivers->storage->volumes) {
		volume_ops.locate = drivers->storage->volumes->locate;
		hooks.storage.volumes = &volume_ops;
	}
	atomic_store(&hooks.no_room, false);
	atomic_store(&hooks.blocks, 0);
	for (size_t i = 0; i < 256; i++)
		atomic_store(&hooks.reads[i], 0);
	*drivers = (struct store_drivers){ &hooks.metadata, &hooks.storage };
}

#endif
