/*
 * content_write.c: a body on its way in: digests, blocks, runs and segments; see storage.h. [worker]
 *
 *   buffering --- more than one block ---> staged (data id, staging row; a run of blocks is put, synced and committed as a segment at a time)
 *       \                                    /
 *        `---------- content_seal ---------'---> sealed, attached to a batch as often as the commit is tried
 *
 * A failure on the way leaves staged rows, which content_writer_free turns over to the reaper; those of a process that died are reaped at the next start.
 */
#include "base/config.h"
#include "base/metrics.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

struct content_writer {
	struct storage *storage;
	struct request *rq;
	struct bucket_row bucket;
	struct digester *whole;   /* over the body */
	struct digester *block_hash; /* SHA-256 of the block in hand, when `whole` does not give it */
	bool whole_has_sha256;

	struct slice *parts;      /* raw bytes of the block in hand */
	size_t part_count, part_capacity;
	size_t block_bytes;
	uint64_t size;

	struct deduplicator *dedup; /* of a bucket that deduplicates: it has the blocks, and run, tickets, segment and payload are not used */

	struct run_writer run;    /* of the segment in hand */
	uint64_t segment;         /* its number */

	bool staged;
	uint64_t staged_serial;   /* of the staging row */
	struct content content;

	struct payload payload;   /* sealed, one block that goes with the commit */
};

struct content_writer *
content_writer_new(struct storage *s, struct request *rq, const struct bucket_row *bucket, unsigned digests)
{
	struct content_writer *w = xcalloc(1, sizeof(*w));

	w->storage = s;
	w->rq = rq;
	w->bucket = *bucket;
	w->whole = digester_new(digests | DIGEST_BIT(DIGEST_MD5));
	w->whole_has_sha256 = digests & DIGEST_BIT(DIGEST_SHA256);
	w->block_hash = digester_new(DIGEST_BIT(DIGEST_SHA256));
	if (bucket->deduplicate)
		w->dedup = deduplicator_new(s, rq, &w->bucket);
	return w;
}

/* In the first block, the body's SHA-256 is the block's too. */
static bool
block_hash_is_whole(const struct content_writer *w)
{
	return w->whole_has_sha256 && w->size == w->block_bytes;
}

static void
block_sha256(struct content_writer *w, struct digest_value *out)
{
	digester_value(block_hash_is_whole(w) ? w->whole : w->block_hash, DIGEST_SHA256, out);
}

static void
block_clear(struct content_writer *w)
{
	for (size_t i = 0; i < w->part_count; i++)
		slice_unref(&w->parts[i]);
	w->part_count = 0;
	w->block_bytes = 0;
	digester_reset(w->block_hash, DIGEST_BIT(DIGEST_SHA256));
}

/* The block in hand as payload, its hash and sizes in the run. */
static void
block_frame(struct content_writer *w)
{
	struct digest_value hash;

	block_sha256(w, &hash);
	run_block_frame(w->storage, &w->run, w->parts, w->part_count, w->block_bytes, w->bucket.compress, hash.bytes, &w->payload);
}

static enum rfs_err
stage_begin(struct content_writer *w)
{
	struct batch *b;
	enum rfs_err err;

	if ((err = metadata_number(w->storage->metadata, w->rq, 1, &w->content.data_id)))
		return err;
	w->content.kind = CONTENT_SEGMENTS;
	b = batch_new(w->bucket.id);
	purge_put(b, &w->bucket, PURGE_STAGED, &w->content);
	err = metadata_commit(w->storage->metadata, w->rq, b);
	w->staged = !err;
	if (w->staged)
		metric_add(METRIC_STORAGE_STAGED, 1);
	w->staged_serial = b->serial;
	batch_free(b);
	return err;
}

/* Puts the block in hand through the storage driver, unless the bucket has it already. */
static enum rfs_err
block_put(struct content_writer *w)
{
	struct storage *s = w->storage;
	struct digest_value hash;
	enum rfs_err err = RFS_OK;

	if (w->dedup) {
		block_sha256(w, &hash);
		err = deduplicator_add(w->dedup, w->content.data_id, &hash, w->parts, w->part_count, w->block_bytes);
		block_clear(w);
		return err;
	}
	if (w->run.run.count == 0)
		err = metadata_number(s->metadata, w->rq, w->bucket.segment_blocks, &w->run.run.first);
	if (err)
		return err;
	block_frame(w);
	err = run_block_put(s, w->rq, w->bucket.id, &w->run, &w->payload);
	block_clear(w);
	return err;
}

/* The run in hand becomes a segment: synced, then its rows are committed under the staged data id. */
static enum rfs_err
segment_commit(struct content_writer *w)
{
	struct storage *s = w->storage;
	struct run_row *run = &w->run.run;
	struct extent extent = { .blocks = run->count, .first = run->first };
	struct segment_row segment = { .extents = &extent, .extent_count = 1 };
	struct batch *b;
	struct buf value;
	enum rfs_err err;

	if (w->dedup)
		return deduplicator_commit(w->dedup, w->content.data_id);
	if (!run->count)
		return RFS_OK;
	if ((err = run_wait(s, w->rq, &w->run)))
		return err;
	segment.bytes = (uint64_t)(run->count - 1) * run->block_size + run->last_size;
	b = batch_new(w->bucket.id);
	run_attach(b, w->bucket.id, &w->run);
	buf_init(&value, b->arena);
	segment_encode(&value, &segment);
	batch_put_slotted(b, key_segment(b->arena, w->bucket.id, w->content.data_id, w->segment), SLOT_SERIAL, buf_bytes(&value));
	err = metadata_commit(s->metadata, w->rq, b);
	batch_free(b);
	run_writer_fini(s, &w->run, !err);
	w->segment++;
	memset(&w->run, 0, sizeof(w->run));
	return err;
}

static enum rfs_err
block_full(struct content_writer *w)
{
	enum rfs_err err;

	if (!w->staged && (err = stage_begin(w)))
		return err;
	if ((err = block_put(w)))
		return err;
	return w->run.run.count == w->bucket.segment_blocks ? segment_commit(w) : RFS_OK;
}

/* The part that was added last. */
static void
part_digest(void *data)
{
	struct content_writer *w = data;
	const struct slice *part = &w->parts[w->part_count - 1];

	if (block_hash_is_whole(w))
		digester_update(w->whole, part->data, part->len);
	else
		digesters_update(w->whole, w->block_hash, part->data, part->len);
}

static void
block_add(struct content_writer *w, struct slice part)
{
	if (w->part_count == w->part_capacity) {
		w->part_capacity = w->part_capacity ? w->part_capacity * 2 : 8;
		w->parts = xrealloc(w->parts, w->part_capacity * sizeof(*w->parts));
	}
	w->parts[w->part_count++] = part;
	w->block_bytes += part.len;
	w->size += part.len;
	compute_run(w->storage->compute, part.len, part_digest, w);
}

enum rfs_err
content_write(struct content_writer *w, struct slice part)
{
	size_t at = 0;

	while (at < part.len) {
		size_t room, take;
		enum rfs_err err;

		/* A full block is stored only when more comes: an object of exactly one block stays one. */
		if (w->block_bytes == w->bucket.block_size && (err = block_full(w)))
			return err;
		room = w->bucket.block_size - w->block_bytes;
		take = part.len - at < room ? part.len - at : room;
		block_add(w, slice_part(part, at, take));
		at += take;
	}
	return RFS_OK;
}

/* One block: with the commit if it is small and the driver takes it so, else through the driver first. */
static enum rfs_err
single_seal(struct content_writer *w)
{
	struct storage *s = w->storage;
	struct digest_value hash;
	enum rfs_err err;

	if (!w->rq->may_block && (!s->fused || w->block_bytes + FRAME_TABLE_BYTES(w->block_bytes) > s->small_bytes))
		return RFS_ERR_WOULD_BLOCK;
	if ((err = metadata_number(s->metadata, w->rq, 1, &w->run.run.first)))
		return err;
	w->content = (struct content){ .kind = CONTENT_BLOCK, .data_id = w->run.run.first, .block = w->run.run.first };
	if (w->dedup) {
		block_sha256(w, &hash);
		deduplicator_keep(w->dedup, &hash, w->parts, w->part_count, w->block_bytes);
		return RFS_OK;
	}
	block_frame(w);
	if (s->fused && w->payload.bytes <= s->small_bytes)
		return RFS_OK;
	err = run_block_put(s, w->rq, w->bucket.id, &w->run, &w->payload);
	return err ? err : run_wait(s, w->rq, &w->run);
}

enum rfs_err
content_seal(struct content_writer *w)
{
	enum rfs_err err = RFS_OK;

	if (w->size == 0)
		w->content = (struct content){ .kind = CONTENT_EMPTY };
	else if (!w->staged)
		err = single_seal(w);
	else if (!(err = block_put(w)))
		err = segment_commit(w);
	w->content.size = w->size;
	return err;
}

uint64_t
content_size(const struct content_writer *w)
{
	return w->size;
}

void
content_digest(struct content_writer *w, enum digest which, struct digest_value *out)
{
	digester_value(w->whole, which, out);
}

enum rfs_err
content_attach(struct content_writer *w, struct batch *b, struct content *out)
{
	*out = w->content;
	if (w->content.kind == CONTENT_BLOCK && w->dedup)
		return deduplicator_attach(w->dedup, b, &out->block);
	if (w->content.kind == CONTENT_BLOCK && w->payload.slices) {
		struct batch_block block = {
			.number = w->run.run.first, .parts = w->payload.slices, .part_count = w->payload.count, .len = w->payload.bytes,
		};

		run_add(b, w->bucket.id, &w->run.run, &block);
	} else if (w->content.kind == CONTENT_BLOCK) {
		run_attach(b, w->bucket.id, &w->run);
	} else if (w->content.kind == CONTENT_SEGMENTS) {
		struct bytes key = key_purge(b->arena, w->bucket.id, w->content.data_id);

		batch_checked(batch_delete(b, key), w->staged_serial);
	}
	return RFS_OK;
}

/* What was staged is dead: the reaper takes it. If this fails the next start does it. */
static void
stage_abandon(struct content_writer *w)
{
	struct batch *b = batch_new(w->bucket.id);

	batch_check(b, key_purge(b->arena, w->bucket.id, w->content.data_id), w->staged_serial);
	purge_put(b, &w->bucket, PURGE_DEAD, &w->content);
	w->rq->need = SPACE_FREES;
	if (metadata_commit(w->storage->metadata, w->rq, b) == RFS_OK)
		metric_add(METRIC_STORAGE_ABANDONED, 1);
	batch_free(b);
}

void
content_writer_free(struct content_writer *w, bool published)
{
	if (!w)
		return;
	if (w->staged && !published)
		stage_abandon(w);
	run_writer_fini(w->storage, &w->run, published);
	block_clear(w);
	payload_clear(&w->payload);
	deduplicator_free(w->dedup, published);
	free(w->parts);
	digester_free(w->whole);
	digester_free(w->block_hash);
	free(w);
}
