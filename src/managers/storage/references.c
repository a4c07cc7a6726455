/*
 * references.c: who names a run of blocks, and which block has a hash.
 *
 * References are taken with the batch that names the run, and given back with the one that removes the name: one for each segment row that names the run,
 * however often, and for each content of one block. The first is the run's own row; those beyond it are counted (docs/decisions/0003). A block that was made
 * with a hash row takes it along (docs/decisions/0004).
 */
#include "managers/storage/storage_int.h"
#include "base/mutant.h"

static struct bytes
references_key(struct arena *a, uint64_t bucket, uint64_t first)
{
	return key_counter_of(a, bucket, COUNTER_REFERENCES, first);
}

size_t
segment_runs(const struct segment_row *segment, uint64_t runs[RUN_MAX_BLOCKS])
{
	size_t count = 0;

	for (size_t i = 0; i < segment->extent_count; i++) {
		uint64_t first = segment->extents[i].first;
		size_t at = 0;

		while (at < count && runs[at] != first)
			at++;
		if (first && at == count)
			runs[count++] = first;
	}
	return count;
}

void
run_refer_at(struct batch *b, uint64_t bucket, uint64_t first, uint64_t serial)
{
	batch_check(b, key_block(b->arena, bucket, first), serial);
	batch_add(b, references_key(b->arena, bucket, first), MUTANT("reference-counted-twice") ? 2 : 1);
}

enum rfs_err
run_refer(struct storage *s, struct request *rq, uint64_t bucket, struct batch *b, uint64_t first)
{
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(s->metadata, rq, key_block(rq->arena, bucket, first), &row)))
		return err;
	if (!row.found)
		return RFS_ERR_NOT_FOUND;
	run_refer_at(b, bucket, first, row.serial);
	return RFS_OK;
}

void
run_add(struct batch *b, uint64_t bucket, const struct run_row *run, const struct batch_block *blocks)
{
	struct buf value;

	buf_init(&value, b->arena);
	run_encode(&value, run);
	batch_checked(batch_blocks(b, key_block(b->arena, bucket, run->first), buf_bytes(&value), blocks, run->count), 0);
}

/* Adds the removal of the hash row of a run that goes, if it still is the one that it names. */
static enum rfs_err
hash_drop(struct storage *s, struct request *rq, uint64_t bucket, struct batch *b, uint64_t first, const struct run_row *run)
{
	struct bytes key = key_hash(b->arena, bucket, run->sha256[0]);
	struct row row;
	uint64_t named;
	enum rfs_err err;

	if ((err = metadata_get(s->metadata, rq, key, &row)) || !row.found)
		return err;
	if ((err = hash_decode(row.value, &named)))
		return err;
	if (named == first)
		batch_checked(batch_delete(b, key), row.serial);
	return RFS_OK;
}

enum rfs_err
run_drop(struct storage *s, struct request *rq, uint64_t bucket, struct drops *drops, uint64_t first, size_t count)
{
	struct batch *b = drops->batch;
	struct bytes key = key_block(b->arena, bucket, first), counter = references_key(b->arena, bucket, first);
	int64_t others, drop = (int64_t)count;
	struct run_row run;
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(s->metadata, rq, key, &row)))
		return err;
	err = drops->references ? counter_range_get(s->metadata, rq, drops->references, first, &others)
				: metadata_counter(s->metadata, rq, counter, &others);
	if (err)
		return err;
	if (!row.found)
		return RFS_OK;
	batch_check(b, key, row.serial);
	if (others >= drop) {
		batch_add(b, counter, MUTANT("reference-not-given-back") ? 0 : -drop);
		batch_expect(b, counter, 0, INT64_MAX);
		return RFS_OK;
	}
	if (drop > 1)
		batch_add(b, counter, 1 - drop);
	if (!MUTANT("references-not-looked-at-again"))
		batch_expect(b, counter, 0, 0);
	batch_delete(b, key);
	if ((err = run_decode(row.value, &run)))
		return err;
	for (uint32_t i = 0; i < run.count; i++)
		drops->bytes += run.stored_sizes[i];
	return run.hashed ? hash_drop(s, rq, bucket, b, first, &run) : RFS_OK;
}

enum rfs_err
drops_commit(struct storage *s, struct request *rq, const struct drops *drops)
{
	enum rfs_err err = metadata_commit(s->metadata, rq, drops->batch);

	if (!err)
		atomic_fetch_add(&s->dropped_bytes, drops->bytes);
	return err;
}

void
blocks_abandon(struct storage *s, struct block_ticket *tickets, size_t count)
{
	const struct volume_ops *volumes = s->driver->volumes;
	uint64_t volume, bytes, all = 0;

	for (size_t i = 0; volumes && i < count; i++) {
		if (!tickets[i].sequence)
			continue;
		volumes->locate(&tickets[i].location, &volume, &bytes);
		all += bytes;
	}
	s->driver->ops->settle(s->driver, tickets, count);
	atomic_fetch_add(&s->dropped_bytes, all);
}

enum rfs_err
hash_find(struct storage *s, struct request *rq, uint64_t bucket, const uint8_t sha256[32], uint32_t size, struct hash_found *out)
{
	struct run_row run;
	struct row row;
	uint64_t block;
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	if ((err = metadata_get(s->metadata, rq, key_hash(rq->arena, bucket, sha256), &row)) || !row.found)
		return err;
	if ((err = hash_decode(row.value, &block)))
		return request_fail(rq, err, "reading a hash row");
	out->hash_serial = row.serial;
	if ((err = metadata_get(s->metadata, rq, key_block(rq->arena, bucket, block), &row)) || !row.found)
		return err; /* both rows went since: what is built on it meets a CONFLICT */
	if ((err = run_decode(row.value, &run)))
		return request_fail(rq, err, "reading the row of block %llu", (unsigned long long)block);
	if ((run.count != 1 || run.last_size != size || memcmp(run.sha256[0], sha256, 32) != 0) && !MUTANT("hash-row-believed"))
		return request_fail(rq, RFS_ERR_DAMAGED, "a hash row names block %llu, which has other bytes", (unsigned long long)block);
	out->block = block;
	out->block_serial = row.serial;
	return RFS_OK;
}
