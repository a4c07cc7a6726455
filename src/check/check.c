/* check.c: a store, bucket by bucket; see check.h. */
#include "check/check_int.h"
#include <stdio.h>
#include <stdlib.h>

#define NUMBERS_DEFAULT (1024 * 1024)
#define TABLES 256

/* --- rows of a kind that is not known
 * -------------------------------------------------------------------------------------------- */

/* Keys of the bucket from one table, or kind of counter, to another. */
static enum rfs_err
unknown_report(struct check *c, struct bytes from, struct bytes to)
{
	const struct row *row;
	struct check_rows rows;

	rows_open(&rows, c, from, to);
	while ((row = rows_next(&rows)))
		check_found(c, CHECK_ROW_UNKNOWN, bytes_of(NULL, 0), "a row of table %u, %u", row->key.data[8],
			row->key.len > 9 ? row->key.data[9] : 0);
	return rows_close(&rows);
}

/* Tables between those that this bucket may have; table 0 is the driver's. `known` ends with 0. */
static enum rfs_err
tables_check(struct check *c, const enum table *known)
{
	const struct bytes none = bytes_of(NULL, 0);
	unsigned from = 1;
	enum rfs_err err;

	do {
		unsigned to = *known ? *known : TABLES - 1;

		if (from < to && (err = unknown_report(c, key_table(check_arena(c), c->bucket.id, from, none),
					  key_table(c->rq.arena, c->bucket.id, to, none))))
			return err;
		from = to + 1;
	} while (*known++);
	return RFS_OK;
}

static enum rfs_err
counters_check(struct check *c)
{
	struct arena *a = check_arena(c);
	const struct bytes none = bytes_of(NULL, 0);
	enum rfs_err err;

	if ((err = unknown_report(c, key_counter(a, c->bucket.id, COUNTER_REFERENCES + 1, none),
		     key_counter(a, c->bucket.id, COUNTER_USER_OBJECTS, none))))
		return err;
	a = check_arena(c);
	return unknown_report(c, key_counter(a, c->bucket.id, COUNTER_PAST + 1, none),
		key_table(a, c->bucket.id, TABLE_COUNTER + 1, none));
}

/* --- a bucket
 * ------------------------------------------------------------------------------------------------------------------ */

static enum rfs_err
bucket_read(struct check *c, uint64_t id)
{
	const struct bytes none = bytes_of(NULL, 0);
	struct row row;
	enum rfs_err err;

	c->bucket = (struct bucket_row){.id = id};
	c->bucket_name[0] = 0;
	if ((err = check_get(c, key_bucket(check_arena(c), id), &row)))
		return err;
	c->unread = bucket_row_decode(row.value, &c->bucket) || c->bucket.id != id || !c->bucket.block_size ||
		    !c->bucket.segment_blocks;
	if (!row.found)
		check_found(c, CHECK_BUCKET_WRONG, none, "bucket number %llu has rows, but none of its own",
			(unsigned long long)id);
	else if (c->unread)
		check_found(c, CHECK_ROW_DAMAGED, none, "the row of bucket number %llu", (unsigned long long)id);
	snprintf(c->bucket_name, sizeof(c->bucket_name), "%.*s", (int)c->bucket.name.len,
		(const char *)c->bucket.name.data);
	c->bucket.id = id;
	c->bucket.serial = row.serial;
	c->bucket.name = bytes_str(c->bucket_name);
	c->bucket.cors = c->bucket.unknown = none; /* they do not live as long */
	/* What no row tells is only not to be zero. */
	c->bucket.block_size = c->bucket.block_size ? c->bucket.block_size : 1024 * 1024;
	c->bucket.segment_blocks = c->bucket.segment_blocks ? c->bucket.segment_blocks : RUN_MAX_BLOCKS;
	if (id >= c->numbers)
		check_found(c, CHECK_NUMBER_WRONG, none, "bucket number %llu was never given", (unsigned long long)id);
	return RFS_OK;
}

/* A bucket that is made has its row first, and then its name: without that, nothing can be in it. */
static enum rfs_err
bucket_name_check(struct check *c)
{
	struct row row;
	enum rfs_err err;

	if (c->unread || c->bucket.removed || !c->entries)
		return RFS_OK;
	if ((err = check_get(c, key_table(check_arena(c), DOMAIN_BUCKET, TABLE_NAME, c->bucket.name), &row)))
		return err;
	if (!row.found || row.value.len != 8 || load_u64(row.value.data) != c->bucket.id)
		check_found(
			c, CHECK_BUCKET_WRONG, bytes_of(NULL, 0), "the bucket has objects, and no name leads to it");
	return RFS_OK;
}

static enum rfs_err
bucket_check(struct check *c, uint64_t id)
{
	static const enum table known[] = {TABLE_BUCKET, TABLE_ENTRY, TABLE_SEGMENT, TABLE_BLOCK, TABLE_HASH,
		TABLE_COUNTER, TABLE_UPLOAD, TABLE_PURGE, TABLE_PAST, TABLE_FEED, TABLE_PARTS, TABLE_UPLOAD_PART,
		TABLE_QUOTA, TABLE_FEED_STATE, TABLE_CURSOR, 0};
	enum rfs_err err;

	if ((err = bucket_read(c, id)))
		return err;
	c->totals->buckets += !c->bucket.removed;
	if ((err = tables_check(c, known)) || (err = counters_check(c)) || (err = check_feed(c)))
		return err;
	check_arena(c);
	if (c->bucket.serial && (err = check_fed(c, bytes_of(NULL, 0), c->bucket.serial)))
		return err;
	if ((err = check_tree(c)) || (err = bucket_name_check(c)) || (err = check_uploads(c)) ||
		(err = check_owners(c)) || (err = check_past(c)) || (err = check_blocks(c)))
		return err;
	return suspects_resolve(c);
}

/* --- the store
 * ----------------------------------------------------------------------------------------------------------------- */

static enum rfs_err
domain_check(struct check *c)
{
	static const enum table known[] = {TABLE_IDENTITY, TABLE_TOKEN, TABLE_SYSTEM, TABLE_NAME, TABLE_DAMAGE, 0};
	struct row row;
	enum rfs_err err;

	if ((err = check_get(
		     c, key_table(check_arena(c), DOMAIN_BUCKET, TABLE_SYSTEM, BYTES_LITERAL("numbers")), &row)))
		return err;
	c->numbers = row.found && row.value.len == 8 ? load_u64(row.value.data) : 1;
	if ((err = tables_check(c, known)))
		return err;
	return check_domain(c);
}

/* The first bucket at or behind `id` that has a row; 0: none. */
static enum rfs_err
bucket_behind(struct check *c, uint64_t id, uint64_t *out)
{
	const struct bytes none = bytes_of(NULL, 0);
	struct arena *a = check_arena(c);
	struct row_page page;
	enum rfs_err err = c->metadata->ops->scan(c->metadata, &c->rq, key_table(a, id, TABLE_BUCKET, none),
		key_table(a, UINT64_MAX, TABLE_DRIVER, none), 1, false, &page);

	*out = !err && page.count ? load_be64(page.rows[0].key.data) : 0;
	return err;
}

enum rfs_err
check_store(const struct store_drivers *drivers, const struct check_options *options, struct check_totals *totals)
{
	struct check_options used = *options;
	struct check *c = xcalloc(1, sizeof(*c));
	uint64_t bucket = 1;
	enum rfs_err err;

	*totals = (struct check_totals){0};
	used.numbers = options->numbers ? options->numbers : NUMBERS_DEFAULT;
	c->metadata = drivers->metadata;
	c->storage = drivers->storage;
	c->options = &used;
	c->totals = totals;
	c->rq = (struct request){.arena = arena_new(65536), .door = "check", .may_block = true};
	if (!(err = domain_check(c)) && !(err = bucket_behind(c, 1, &bucket)))
		for (; !err && bucket; err = err ? err : bucket_behind(c, bucket + 1, &bucket))
			err = bucket_check(c, bucket);
	if (!err)
		err = check_volumes(c);
	while (c->suspect_count) /* an error came between */
		free(c->suspects[--c->suspect_count].text);
	arena_free(c->rq.arena);
	free(c);
	return err;
}
