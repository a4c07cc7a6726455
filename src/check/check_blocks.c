/*
 * check_blocks.c: runs of blocks: who names them, how often, their hash rows; and their bytes; see check_int.h.
 *
 * Names are counted first; then the runs' rows, in order, are held against the counts and against the counters of their
 * references, which have the same order.
 */
#include "base/hash.h"
#include "check/check_int.h"
#include "managers/storage/storage.h"

/* --- who names a run
 * ----------------------------------------------------------------------------------------------------------- */

static enum rfs_err
block_note(struct check *c, const struct content *content, int count, void *data)
{
	struct tally_item *item = content->kind == CONTENT_BLOCK ? tally_at(data, tally_number(content->block)) : NULL;

	if (item)
		item->count += count;
	return RFS_OK;
}

static enum rfs_err
segments_note(struct check *c, struct tally *names)
{
	const struct row *row;
	struct check_rows rows;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_SEGMENT);
	while ((row = rows_next(&rows))) {
		uint64_t runs[RUN_MAX_BLOCKS];
		struct segment_row segment;
		size_t count = 0;

		if (!segment_decode(check_arena(c), row->value, &segment))
			count = segment_runs(&segment, runs);
		for (size_t i = 0; i < count; i++) {
			struct tally_item *item = tally_at(names, tally_number(runs[i]));

			if (item)
				item->count++;
		}
	}
	return rows_close(&rows);
}

enum rfs_err
blocks_named(struct check *c, struct tally *names)
{
	enum rfs_err err = check_owned(c, block_note, names);

	return err ? err : segments_note(c, names);
}

/* --- the runs
 * ------------------------------------------------------------------------------------------------------------------ */

/* The counters of references, beside the runs. */
struct counters {
	struct check_rows rows;
	const struct row *row;
};

static uint64_t
counter_number(const struct row *row)
{
	return row->key.len == 10 + 8 ? load_be64(row->key.data + 10) : 0;
}

/* The counter of a run; those before it are nobody's. */
static int64_t
counter_take(struct check *c, struct counters *counters, uint64_t first)
{
	int64_t value = 0;

	for (; counters->row && counter_number(counters->row) <= first; counters->row = rows_next(&counters->rows)) {
		if (counter_number(counters->row) == first && counters->row->value.len == 8)
			value = (int64_t)load_u64(counters->row->value.data);
		else
			check_found(c, CHECK_COUNTER_STRAY, bytes_of(NULL, 0),
				"references of block %llu are counted, which is not there",
				(unsigned long long)counter_number(counters->row));
	}
	return value;
}

static enum rfs_err
references_check(struct check *c, const struct tally *names, uint64_t first, int64_t counted)
{
	const struct tally_item *item = tally_find(names, tally_number(first));
	int64_t named = item ? item->count : 0;

	if (!named) {
		check_found(
			c, CHECK_BLOCK_STRAY, bytes_of(NULL, 0), "nothing names block %llu", (unsigned long long)first);
		return RFS_OK;
	}
	if (named == counted + 1)
		return RFS_OK;
	return suspect_add(c, SUSPECT_RUN, first, CHECK_REFERENCES_WRONG, false,
		"block %llu has %lld references, and %lld are counted", (unsigned long long)first, (long long)named,
		(long long)(counted + 1));
}

/* A block that was made with a hash row has it as long as it lives. */
static enum rfs_err
hash_check(struct check *c, const struct run_row *run)
{
	uint64_t block = 0;
	struct row row;
	enum rfs_err err = check_get(c, key_hash(c->rq.arena, c->bucket.id, run->sha256[0]), &row);

	if (err)
		return err;
	if (row.found && hash_decode(row.value, &block))
		return RFS_OK; /* reported with the hash rows */
	if (block == run->first)
		return RFS_OK;
	return suspect_add(c, SUSPECT_RUN, run->first, CHECK_HASH_WRONG, false, "block %llu has lost its hash row",
		(unsigned long long)run->first);
}

/* Fast: only whether its volume is there, and long enough. */
static enum rfs_err
block_check(struct check *c, const struct run_row *run, uint32_t index)
{
	const struct volume_ops *volumes = c->storage->volumes;
	struct block_location location;

	if (!c->options->fast)
		return block_verify(c->storage, &c->rq, c->bucket.id, run, index);
	if (!volumes)
		return RFS_OK;
	memcpy(location.bytes, run->locations + (size_t)index * BLOCK_LOCATION_BYTES, BLOCK_LOCATION_BYTES);
	return volumes->holds(c->storage, &c->rq, &location);
}

static enum rfs_err
bytes_check(struct check *c, const struct run_row *run)
{
	enum rfs_err err = RFS_OK;

	for (uint32_t i = 0; !err && i < run->count; i++) {
		enum rfs_err found;

		c->totals->blocks++;
		c->totals->block_bytes += run->stored_sizes[i];
		request_clear_error(&c->rq);
		if ((found = block_check(c, run, i)))
			err = suspect_add(c, SUSPECT_RUN, run->first, CHECK_BLOCK_DAMAGED, true, "%s",
				c->rq.detail ? c->rq.detail
					     : arena_printf(c->rq.arena, "block %llu: %s",
						       (unsigned long long)(run->first + i), error_face(found)->text));
	}
	return err;
}

/* `end`: of the numbers of the run before; becomes this one's. */
static enum rfs_err
run_check(struct check *c, const struct tally *names, const struct row *row, struct counters *counters, uint64_t *end)
{
	uint64_t first = row->key.len == 9 + 8 ? load_be64(row->key.data + 9) : 0;
	struct run_row run;
	enum rfs_err err;

	if (!first || run_decode(row->value, &run)) {
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "block %llu", (unsigned long long)first);
		(void)counter_take(c, counters, first);
		return RFS_OK;
	}
	run.first = first;
	if (first < *end || run.count > c->numbers || first > c->numbers - run.count)
		check_found(c, CHECK_NUMBER_WRONG, bytes_of(NULL, 0),
			"block %llu has a number that was never given, or is another's", (unsigned long long)first);
	*end = first + run.count;
	if ((err = references_check(c, names, first, counter_take(c, counters, first))))
		return err;
	if (run.hashed && (err = hash_check(c, &run)))
		return err;
	return bytes_check(c, &run);
}

/* Rows and counters of the runs of this round. */
static enum rfs_err
runs_check(struct check *c, const struct tally *names, uint64_t *end)
{
	struct arena *a = check_arena(c);
	uint8_t from[8], to[8];
	struct counters counters;
	struct check_rows rows;
	const struct row *row;
	enum rfs_err err = RFS_OK;

	store_be64(from, names->from.low);
	store_be64(to, names->more ? names->to.low : UINT64_MAX);
	rows_open(&rows, c, key_block(a, c->bucket.id, names->from.low), key_block(a, c->bucket.id, load_be64(to)));
	rows_open(&counters.rows, c, key_counter(a, c->bucket.id, COUNTER_REFERENCES, bytes_of(from, 8)),
		key_counter(a, c->bucket.id, COUNTER_REFERENCES, bytes_of(to, 8)));
	counters.row = rows_next(&counters.rows);
	while (!err && (row = rows_next(&rows))) {
		check_arena(c);
		err = run_check(c, names, row, &counters, end);
	}
	if (!err && !rows.err)
		(void)counter_take(c, &counters, UINT64_MAX);
	if (rows_close(&counters.rows))
		err = counters.rows.err;
	return rows_close(&rows) ? rows.err : err;
}

/* --- hash rows
 * ----------------------------------------------------------------------------------------------------------------- */

static enum rfs_err
hash_row_check(struct check *c, const struct row *hash)
{
	uint64_t block;
	struct run_row run;
	struct row row;
	enum rfs_err err;

	if (hash->key.len != 9 + 32 || hash_decode(hash->value, &block)) {
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "a hash row");
		return RFS_OK;
	}
	if ((err = check_get(c, key_block(c->rq.arena, c->bucket.id, block), &row)))
		return err;
	if (!row.found)
		check_found(c, CHECK_HASH_WRONG, bytes_of(NULL, 0), "a hash row names block %llu, which is not there",
			(unsigned long long)block);
	else if (!run_decode(row.value, &run) && (!run.hashed || memcmp(run.sha256[0], hash->key.data + 9, 32) != 0))
		return suspect_add(c, SUSPECT_RUN, block, CHECK_HASH_WRONG, false,
			"a hash row names block %llu, which has another hash", (unsigned long long)block);
	return RFS_OK;
}

static enum rfs_err
hashes_check(struct check *c)
{
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_HASH);
	while (!err && (row = rows_next(&rows))) {
		check_arena(c);
		err = hash_row_check(c, row);
	}
	return rows_close(&rows) ? rows.err : err;
}

enum rfs_err
check_blocks(struct check *c)
{
	struct tally names;
	uint64_t end = 0;
	enum rfs_err err;

	tally_init(&names, c->options->numbers);
	do {
		if (!(err = blocks_named(c, &names)))
			err = runs_check(c, &names, &end);
	} while (!err && tally_next(&names));
	tally_fini(&names);
	return err ? err : hashes_check(c);
}
