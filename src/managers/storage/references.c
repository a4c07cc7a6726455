/*
 * references.c: who names a run of blocks: references are taken with the batch that names it, and given back with the one that removes the name.
 *
 * One reference for each segment row that names the run, however often, and for each content of one block. The first is the run's own row; those beyond it
 * are counted (docs/decisions/0003).
 */
#include "managers/storage/storage_int.h"

static struct bytes
references_key(struct arena *a, uint64_t bucket, uint64_t first)
{
	uint8_t number[8];

	store_be64(number, first);
	return key_counter(a, bucket, COUNTER_REFERENCES, bytes_of(number, 8));
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

enum rfs_err
run_refer(struct storage *s, struct request *rq, uint64_t bucket, struct batch *b, uint64_t first)
{
	struct bytes key = key_block(b->arena, bucket, first);
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(s->metadata, rq, key, &row)))
		return err;
	if (!row.found)
		return RFS_ERR_NOT_FOUND;
	batch_check(b, key, row.serial);
	batch_add(b, references_key(b->arena, bucket, first), 1);
	return RFS_OK;
}

enum rfs_err
run_drop(struct storage *s, struct request *rq, uint64_t bucket, struct batch *b, uint64_t first, size_t count)
{
	struct bytes key = key_block(b->arena, bucket, first), counter = references_key(b->arena, bucket, first);
	int64_t others, drop = (int64_t)count;
	struct row row;
	enum rfs_err err;

	if ((err = metadata_get(s->metadata, rq, key, &row)) || (err = metadata_counter(s->metadata, rq, counter, &others)))
		return err;
	if (!row.found)
		return RFS_OK;
	batch_check(b, key, row.serial);
	if (others >= drop) {
		batch_add(b, counter, -drop);
		batch_expect(b, counter, 0, INT64_MAX);
		return RFS_OK;
	}
	if (drop > 1)
		batch_add(b, counter, 1 - drop);
	batch_expect(b, counter, 0, 0);
	batch_delete(b, key);
	return RFS_OK;
}
