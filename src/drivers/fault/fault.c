/* fault.c: a layer that makes calls fail or wait, by number, and passes the others on. For tests. [any] */
#include "base/clock.h"
#include "drivers/driver.h"
#include <stdatomic.h>
#include <stdlib.h>

struct fault {
	struct metadata_driver metadata;
	struct storage_driver storage;
	struct metadata_ops metadata_ops; /* without what the wrapped one does not offer */
	struct storage_ops storage_ops;
	struct volume_ops volumes;
	struct store_drivers inner;
	struct fault_rules *rules;
	atomic_uint_fast64_t calls[FAULT_OP_COUNT];
};

static struct fault *
fault_of(struct metadata_driver *d)
{
	return (struct fault *)(void *)d;
}

static struct fault *
fault_of_storage(struct storage_driver *d)
{
	return (struct fault *)(void *)((char *)d - offsetof(struct fault, storage));
}

/* What the rules say of this call; waits if they say so. */
static enum rfs_err
fault_strike(struct fault *f, enum fault_op op)
{
	uint64_t call = atomic_fetch_add(&f->calls[op], 1) + 1;
	uint64_t at, from, every;

	if (f->rules == NULL)
		return RFS_OK;
	at = f->rules->op[op].fail_at;
	from = f->rules->op[op].fail_from;
	every = f->rules->op[op].fail_every;
	if (f->rules->op[op].delay_ns > 0)
		sleep_ns(f->rules->op[op].delay_ns);
	if (f->rules->op[op].before_at == call)
		f->rules->op[op].before(f->rules->op[op].before_data);
	if ((at && call == at) || (from && call >= from) || (every && call % every == 0))
		return f->rules->op[op].error ? f->rules->op[op].error : RFS_ERR_IO;
	return RFS_OK;
}

static enum rfs_err
fault_get(struct metadata_driver *d, struct request *rq, struct bytes key, struct row *out)
{
	struct fault *f = fault_of(d);
	enum rfs_err err = fault_strike(f, FAULT_GET);

	return err ? request_fail(rq, err, "get: a fault was injected")
		   : f->inner.metadata->ops->get(f->inner.metadata, rq, key, out);
}

static enum rfs_err
fault_multi_get(struct metadata_driver *d, struct request *rq, const struct bytes *keys, size_t count, struct row *out)
{
	struct fault *f = fault_of(d);
	enum rfs_err err = fault_strike(f, FAULT_MULTI_GET);

	return err ? request_fail(rq, err, "multi_get: a fault was injected")
		   : f->inner.metadata->ops->multi_get(f->inner.metadata, rq, keys, count, out);
}

static enum rfs_err
fault_scan(struct metadata_driver *d, struct request *rq, struct bytes from, struct bytes to, size_t limit,
	bool reverse, struct row_page *out)
{
	struct fault *f = fault_of(d);
	enum rfs_err err = fault_strike(f, FAULT_SCAN);

	return err ? request_fail(rq, err, "scan: a fault was injected")
		   : f->inner.metadata->ops->scan(f->inner.metadata, rq, from, to, limit, reverse, out);
}

static void
fault_commit(struct metadata_driver *d, struct batch *batch)
{
	struct fault *f = fault_of(d);
	enum rfs_err err = fault_strike(f, FAULT_COMMIT);

	if (!err) {
		f->inner.metadata->ops->commit(f->inner.metadata, batch);
		return;
	}
	batch->error = err;
	batch->failed_op = 0;
	batch->serial = 0;
	batch->done(batch);
}

static void
fault_info(struct metadata_driver *d, struct metadata_info *out)
{
	struct fault *f = fault_of(d);

	f->inner.metadata->ops->info(f->inner.metadata, out);
}

static enum rfs_err
fault_checkpoint(struct metadata_driver *d, struct request *rq, bool (*go_on)(void *data, uint64_t bytes), void *data,
	struct checkpoint_info *out)
{
	struct fault *f = fault_of(d);
	enum rfs_err err = fault_strike(f, FAULT_CHECKPOINT);

	return err ? request_fail(rq, err, "checkpoint: a fault was injected")
		   : f->inner.metadata->ops->checkpoint(f->inner.metadata, rq, go_on, data, out);
}

static void
fault_describe(struct metadata_driver *d, struct dump *out)
{
	struct fault *f = fault_of(d);

	f->inner.metadata->ops->describe(f->inner.metadata, out);
}

static void
fault_close(struct metadata_driver *d)
{
	struct fault *f = fault_of(d);

	f->inner.metadata->ops->close(f->inner.metadata);
	free(f);
}

static enum rfs_err
fault_put(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number, const struct slice *parts,
	size_t count, struct block_ticket *out)
{
	struct fault *f = fault_of_storage(d);
	enum rfs_err err = fault_strike(f, FAULT_PUT);

	return err ? request_fail(rq, err, "put: a fault was injected")
		   : f->inner.storage->ops->put(f->inner.storage, rq, bucket, number, parts, count, out);
}

static enum rfs_err
fault_wait(struct storage_driver *d, struct request *rq, const struct block_ticket *tickets, size_t count)
{
	struct fault *f = fault_of_storage(d);
	enum rfs_err err = fault_strike(f, FAULT_WAIT);

	return err ? request_fail(rq, err, "wait: a fault was injected")
		   : f->inner.storage->ops->wait(f->inner.storage, rq, tickets, count);
}

static void
fault_settle(struct storage_driver *d, struct block_ticket *tickets, size_t count)
{
	struct fault *f = fault_of_storage(d);

	f->inner.storage->ops->settle(f->inner.storage, tickets, count);
}

static enum rfs_err
fault_read(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number,
	const struct block_location *location, uint64_t offset, size_t len, struct slice *out)
{
	struct fault *f = fault_of_storage(d);
	enum rfs_err err = fault_strike(f, FAULT_READ);

	return err ? request_fail(rq, err, "read: a fault was injected")
		   : f->inner.storage->ops->get(f->inner.storage, rq, bucket, number, location, offset, len, out);
}

static enum rfs_err
fault_read_file(struct storage_driver *d, struct request *rq, const struct block_location *location, uint64_t offset,
	size_t len, bool (*right)(void *data, struct bytes bytes), void *data, struct slice *out)
{
	struct fault *f = fault_of_storage(d);
	enum rfs_err err = fault_strike(f, FAULT_READ);

	return err ? request_fail(rq, err, "read: a fault was injected")
		   : f->inner.storage->ops->get_file(
			     f->inner.storage, rq, location, offset, len, right, data, out);
}

static enum rfs_err
fault_remove(struct storage_driver *d, struct request *rq, uint64_t number, const struct block_location *location)
{
	struct fault *f = fault_of_storage(d);
	enum rfs_err err = fault_strike(f, FAULT_REMOVE);

	return err ? request_fail(rq, err, "remove: a fault was injected")
		   : f->inner.storage->ops->remove(f->inner.storage, rq, number, location);
}

/* The wrapper goes with the metadata table's close, which comes after this one. */
static void
fault_storage_close(struct storage_driver *d)
{
	struct fault *f = fault_of_storage(d);

	f->inner.storage->ops->close(f->inner.storage);
}

static const struct metadata_ops metadata_ops = {
	.get = fault_get,
	.multi_get = fault_multi_get,
	.scan = fault_scan,
	.commit = fault_commit,
	.info = fault_info,
	.checkpoint = fault_checkpoint,
	.describe = fault_describe,
	.close = fault_close,
};

static const struct storage_ops storage_ops = {
	.put = fault_put,
	.wait = fault_wait,
	.settle = fault_settle,
	.get = fault_read,
	.get_file = fault_read_file,
	.remove = fault_remove,
	.close = fault_storage_close,
};

/* --- volumes: their removal may fail, the rest is passed on ------------------------------------------------------- */

static enum rfs_err
fault_holds(struct storage_driver *d, struct request *rq, const struct block_location *location)
{
	struct storage_driver *inner = fault_of_storage(d)->inner.storage;

	return inner->volumes->holds(inner, rq, location);
}

static enum rfs_err
fault_list(struct storage_driver *d, struct request *rq, struct storage_volume **out, size_t *count)
{
	struct storage_driver *inner = fault_of_storage(d)->inner.storage;

	return inner->volumes->list(inner, rq, out, count);
}

static enum rfs_err
fault_blocks(struct storage_driver *d, struct request *rq, uint64_t number, struct storage_block **out, size_t *count)
{
	struct storage_driver *inner = fault_of_storage(d)->inner.storage;

	return inner->volumes->blocks(inner, rq, number, out, count);
}

static void
fault_limits(struct storage_driver *d, struct volume_limits *out)
{
	struct storage_driver *inner = fault_of_storage(d)->inner.storage;

	inner->volumes->limits(inner, out);
}

static enum rfs_err
fault_seal(struct storage_driver *d, struct request *rq, uint64_t number)
{
	struct storage_driver *inner = fault_of_storage(d)->inner.storage;

	return inner->volumes->seal(inner, rq, number);
}

static enum rfs_err
fault_volume_remove(struct storage_driver *d, struct request *rq, uint64_t number, uint64_t *freed)
{
	struct fault *f = fault_of_storage(d);
	enum rfs_err err = fault_strike(f, FAULT_REMOVE);

	return err ? request_fail(rq, err, "remove a volume: a fault was injected")
		   : f->inner.storage->volumes->remove(f->inner.storage, rq, number, freed);
}

static enum rfs_err
fault_volumes_verify(struct storage_driver *d, struct request *rq,
	void (*found)(void *data, uint64_t volume, const char *text), void *data)
{
	struct storage_driver *inner = fault_of_storage(d)->inner.storage;

	return inner->volumes->verify(inner, rq, found, data);
}

void
fault_open(struct store_drivers inner, struct fault_rules *rules, struct store_drivers *out)
{
	struct fault *f = xcalloc(1, sizeof(*f));

	f->metadata_ops = metadata_ops;
	if (inner.metadata->ops->checkpoint == NULL)
		f->metadata_ops.checkpoint = NULL;
	if (inner.metadata->ops->describe == NULL)
		f->metadata_ops.describe = NULL;
	f->metadata.ops = &f->metadata_ops;
	f->storage_ops = storage_ops;
	if (inner.storage->ops->get_file == NULL)
		f->storage_ops.get_file = NULL;
	f->storage.ops = &f->storage_ops;
	if (inner.storage->volumes) {
		f->volumes = (struct volume_ops){.locate = inner.storage->volumes->locate,
			.holds = fault_holds,
			.limits = fault_limits,
			.list = fault_list,
			.blocks = fault_blocks,
			.seal = fault_seal,
			.remove = fault_volume_remove,
			.verify = inner.storage->volumes->verify ? fault_volumes_verify : NULL};
		f->storage.volumes = &f->volumes;
	}
	f->inner = inner;
	f->rules = rules;
	*out = (struct store_drivers){&f->metadata, &f->storage};
}

uint64_t
fault_calls(const struct store_drivers *wrapped, enum fault_op op)
{
	return atomic_load(&fault_of(wrapped->metadata)->calls[op]);
}
