/*
 * content_deduplicate.c: the blocks of a body in a bucket that stores equal blocks once; see storage_int.h and docs/decisions/0004. [worker]
 *
 * A block's `hash` row is made and removed in the batch that makes and removes the block's own row, so it names a block that is there. Finding it is no
 * promise: until a commit has taken the reference, the reaper may take the block. Hence
 *
 *   found ------> its bytes stay in memory until that commit, which is made before more than KEEP_BYTES are kept
 *   not found --> it is put at once and its bytes are let go; if another writer commits the same bytes first, his block is referred to
 *
 * and each attempt to commit asks again.
 */
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define KEEP_BYTES ((size_t)1024 * 1024) /* a default block: no more than a writer has in hand without deduplication */

struct dedup_block {
	uint8_t sha256[32];
	uint32_t size;         /* raw */
	struct slice *parts;   /* raw bytes; NULL: let go */
	size_t part_count;
	uint64_t own;          /* the number that it gets when it has to be stored; 0: none yet */
	struct payload payload; /* framed, when it goes with the batch */
	uint32_t stored;        /* bytes of it, also when it has gone */
	bool put;              /* `own` is with the storage driver */
	struct block_ticket ticket;
	uint64_t number;       /* of the block that has the bytes, from the attempt to commit on */
};

struct deduplicator {
	struct storage *storage;
	struct request *rq;
	const struct bucket_row *bucket;
	struct dedup_block blocks[RUN_MAX_BLOCKS]; /* of the segment in hand */
	uint32_t count;
	uint32_t committed; /* of them; they are in the segment's row */
	size_t kept_bytes;  /* of the others */
	uint64_t segment;   /* its number */
	uint64_t serial;    /* of its row; 0: there is none yet */
};

struct deduplicator *
deduplicator_new(struct storage *s, struct request *rq, const struct bucket_row *bucket)
{
	struct deduplicator *d = xcalloc(1, sizeof(*d));

	d->storage = s;
	d->rq = rq;
	d->bucket = bucket;
	return d;
}

static void
slices_free(struct slice **slices, size_t *count)
{
	for (size_t i = 0; i < *count; i++)
		slice_unref(&(*slices)[i]);
	free(*slices);
	*slices = NULL;
	*count = 0;
}

static void
block_let_go(struct deduplicator *d, struct dedup_block *block)
{
	if (block->parts)
		d->kept_bytes -= block->size;
	slices_free(&block->parts, &block->part_count);
	payload_clear(&block->payload);
}

/* `named`: a batch was committed that names its bytes, or those of another writer. */
static void
block_settle(struct deduplicator *d, struct dedup_block *block, bool named)
{
	if (named && block->number == block->own)
		d->storage->driver->ops->settle(d->storage->driver, &block->ticket, 1);
	else
		blocks_abandon(d->storage, &block->ticket, 1);
	block_let_go(d, block);
}

void
deduplicator_free(struct deduplicator *d, bool published)
{
	if (!d)
		return;
	for (uint32_t i = 0; i < d->count; i++)
		block_settle(d, &d->blocks[i], published);
	free(d);
}

static struct dedup_block *
block_keep(struct deduplicator *d, const struct digest_value *sha256, const struct slice *parts, size_t count, size_t len)
{
	struct dedup_block *block = &d->blocks[d->count++];

	*block = (struct dedup_block){ .size = (uint32_t)len, .part_count = count };
	memcpy(block->sha256, sha256->bytes, 32);
	block->parts = xcalloc(count, sizeof(*parts));
	for (size_t i = 0; i < count; i++)
		block->parts[i] = slice_ref(parts[i]);
	d->kept_bytes += len;
	return block;
}

/* The first block of the segment with these bytes: perhaps itself. */
static struct dedup_block *
block_first(struct deduplicator *d, const struct dedup_block *block)
{
	struct dedup_block *at = d->blocks;

	while (memcmp(at->sha256, block->sha256, 32) != 0)
		at++;
	return at;
}

/* A number and a payload of its own. */
static enum rfs_err
block_frame(struct deduplicator *d, struct dedup_block *block)
{
	enum rfs_err err;

	if (block->payload.slices || block->put)
		return RFS_OK;
	if (!block->own && (err = metadata_number(d->storage->metadata, d->rq, 1, &block->own)))
		return err;
	payload_build(d->storage, block->parts, block->part_count, block->size, d->bucket->compress, &block->payload);
	block->stored = (uint32_t)block->payload.bytes;
	return RFS_OK;
}

static enum rfs_err
block_put(struct deduplicator *d, struct dedup_block *block)
{
	struct storage_driver *driver = d->storage->driver;
	enum rfs_err err;

	if (block->put)
		return RFS_OK;
	if (!d->rq->may_block)
		return RFS_ERR_WOULD_BLOCK;
	if ((err = block_frame(d, block)) || (err = driver->ops->put(driver, d->rq, d->bucket->id, block->own, block->payload.slices,
						     block->payload.count, &block->ticket)))
		return err;
	block->put = true;
	block_let_go(d, block);
	return RFS_OK;
}

/* Adds the block's row and its hash row, which the batch CHECKs to be as it was read. */
static void
block_make(struct deduplicator *d, struct dedup_block *block, struct batch *b, uint64_t hash_serial)
{
	struct run_row run = {
		.first = block->own, .count = 1, .block_size = block->size, .last_size = block->size, .hashed = true,
		.stored_sizes = { block->stored },
	};
	struct batch_block bytes = {
		.number = block->own, .stored = block->put, .location = block->ticket.location, .parts = block->payload.slices,
		.part_count = block->payload.count, .len = block->stored,
	};
	struct buf value;

	memcpy(run.sha256[0], block->sha256, 32);
	run_add(b, d->bucket->id, &run, &bytes);
	buf_init(&value, b->arena);
	hash_encode(&value, block->own);
	batch_checked(batch_put(b, key_hash(b->arena, d->bucket->id, block->sha256), buf_bytes(&value)), hash_serial);
	block->number = block->own;
}

/* Adds to the batch what makes the bytes be there: a reference, or the block. `with_batch`: small payloads go with it. */
static enum rfs_err
block_attach(struct deduplicator *d, struct dedup_block *block, struct batch *b, bool with_batch)
{
	struct storage *s = d->storage;
	struct hash_found found;
	enum rfs_err err;

	if ((err = hash_find(s, d->rq, d->bucket->id, block->sha256, block->size, &found)))
		return err;
	if (found.block) {
		run_refer_at(b, d->bucket->id, found.block, found.block_serial);
		block->number = found.block;
		return RFS_OK;
	}
	if (with_batch && (err = block_frame(d, block)))
		return err;
	if (!with_batch || !s->fused || block->stored > s->small_bytes) {
		if ((err = block_put(d, block)) || (err = s->driver->ops->wait(s->driver, d->rq, &block->ticket, 1)))
			return err;
	}
	block_make(d, block, b, found.hash_serial);
	return RFS_OK;
}

void
deduplicator_keep(struct deduplicator *d, const struct digest_value *sha256, const struct slice *parts, size_t count, size_t len)
{
	(void)block_keep(d, sha256, parts, count, len);
}

enum rfs_err
deduplicator_attach(struct deduplicator *d, struct batch *b, uint64_t *block)
{
	enum rfs_err err = block_attach(d, &d->blocks[0], b, true);

	*block = d->blocks[0].number;
	return err;
}

/* --- segments ------------------------------------------------------------------------------------------------------------------ */

/* Adds the segment's row, in place of the one with fewer blocks. */
static void
segment_put(struct deduplicator *d, struct batch *b, uint64_t data_id)
{
	struct extent extents[RUN_MAX_BLOCKS];
	struct segment_row segment = { .extents = extents, .extent_count = d->count };
	struct bytes key = key_segment(b->arena, d->bucket->id, data_id, d->segment);
	struct buf value;

	for (uint32_t i = 0; i < d->count; i++) {
		extents[i] = (struct extent){ .at = i, .blocks = 1, .first = d->blocks[i].number };
		segment.bytes += d->blocks[i].size;
	}
	buf_init(&value, b->arena);
	segment_encode(&value, &segment);
	batch_put_slotted(b, key, SLOT_SERIAL, buf_bytes(&value));
	if (d->serial) {
		buf_init(&value, b->arena);
		buf_put_bytes(&value, key);
		buf_be64(&value, d->serial);
		batch_checked(batch_delete(b, buf_bytes(&value)), d->serial);
	}
}

static enum rfs_err
segment_attach(struct deduplicator *d, struct batch *b, uint64_t data_id)
{
	enum rfs_err err = RFS_OK;

	for (uint32_t i = d->committed; !err && i < d->count; i++) {
		struct dedup_block *block = &d->blocks[i], *first = block_first(d, block);

		if (first == block)
			err = block_attach(d, block, b, false);
		else
			block->number = first->number;
	}
	if (!err)
		segment_put(d, b, data_id);
	return err;
}

enum rfs_err
deduplicator_commit(struct deduplicator *d, uint64_t data_id)
{
	struct batch *b;
	unsigned attempt = 0;
	enum rfs_err err;

	if (d->committed == d->count)
		return RFS_OK;
	b = batch_new(d->bucket->id);
	do {
		batch_reset(b);
		request_clear_error(d->rq);
		if (!(err = segment_attach(d, b, data_id)))
			err = metadata_commit(d->storage->metadata, d->rq, b);
	} while (err == RFS_ERR_CONFLICT && request_may_retry(d->rq, attempt++));
	if (!err) {
		for (uint32_t i = d->committed; i < d->count; i++)
			block_settle(d, &d->blocks[i], true);
		d->serial = b->serial;
		d->committed = d->count;
	}
	if (d->committed == d->bucket->segment_blocks) {
		d->segment++;
		d->serial = d->count = d->committed = 0;
	}
	batch_free(b);
	return err;
}

enum rfs_err
deduplicator_add(struct deduplicator *d, uint64_t data_id, const struct digest_value *sha256, const struct slice *parts, size_t count, size_t len)
{
	struct dedup_block *block = block_keep(d, sha256, parts, count, len);
	struct hash_found found;
	enum rfs_err err;

	if (block_first(d, block) != block) {
		block_let_go(d, block);
	} else {
		if ((err = hash_find(d->storage, d->rq, d->bucket->id, block->sha256, block->size, &found)))
			return err;
		if (!found.block && (err = block_put(d, block)))
			return err;
	}
	return d->count == d->bucket->segment_blocks || d->kept_bytes >= KEEP_BYTES ? deduplicator_commit(d, data_id) : RFS_OK;
}
