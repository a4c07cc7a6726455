/* repair.c: a store, bucket by bucket; see repair.h. */
#include "base/clock.h"
#include "base/identity.h"
#include "check/repair_int.h"
#include "managers/auth/auth_rows.h"
#include "managers/metadata/metadata.h"
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_OPS 1000
#define BATCH_BYTES (256 * 1024)
#define BLOCK_BYTES_DEFAULT (1024 * 1024)

/* --- what the others use ------------------------------------------------------------------------------------------ */

void
repair_tell(struct repair *r, const char *name, struct bytes key, const char *format, ...)
{
	char text[512];
	struct repair_finding finding = {.name = name, .bucket_name = r->check.bucket.name, .key = key, .text = text};
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	r->totals->findings++;
	r->told(r->told_data, &finding);
}

static void
on_done(struct batch *b)
{
	sem_post(b->done_data);
}

enum rfs_err
repair_commit(struct repair *r)
{
	struct batch *b = r->batch;
	enum rfs_err err;
	sem_t done;

	r->batch = NULL;
	if (b == NULL)
		return RFS_OK;
	sem_init(&done, 0, 0);
	b->done = on_done;
	b->done_data = &done;
	r->check.metadata->ops->commit(r->check.metadata, b);
	while (sem_wait(&done) != 0)
		;
	sem_destroy(&done);
	err = b->error;
	batch_free(b);
	return err;
}

struct batch *
repair_batch(struct repair *r, uint64_t bucket, enum rfs_err *err)
{
	*err = RFS_OK;
	if (r->batch &&
		(r->batch->bucket != bucket || r->batch->op_count >= BATCH_OPS || r->batch->bytes >= BATCH_BYTES))
		*err = repair_commit(r);
	if (r->batch == NULL)
		r->batch = batch_new(bucket);
	return *err ? NULL : r->batch;
}

enum rfs_err
repair_delete(struct repair *r, struct bytes key)
{
	enum rfs_err err;
	struct batch *b = repair_batch(r, load_be64(key.data), &err);

	if (b)
		batch_delete(b, key);
	return err;
}

/* By the difference to what it is. */
enum rfs_err
repair_counter(struct repair *r, struct bytes key, int64_t wanted)
{
	struct batch *b;
	int64_t value;
	enum rfs_err err = check_counter(&r->check, key, &value);

	if (err || value == wanted)
		return err;
	if ((b = repair_batch(r, load_be64(key.data), &err)))
		batch_add(b, key, (int64_t)((uint64_t)wanted - (uint64_t)value));
	return err;
}

enum rfs_err
repair_rows(struct repair *r, enum table table, repair_row *each, void *data)
{
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	check_arena(&r->check);
	rows_open_table(&rows, &r->check, table);
	while (!err && (row = rows_next(&rows)))
		err = each(r, row, data);
	if (rows_close(&rows))
		err = rows.err;
	return err ? err : repair_commit(r);
}

void
repair_number(struct repair *r, uint64_t number)
{
	if (number > r->number && number < UINT64_MAX / 2)
		r->number = number;
}

/* --- a bucket's own row ------------------------------------------------------------------------------------------- */

/* The name that leads to a bucket, else one made from its number. */
static enum rfs_err
name_find(struct repair *r, uint64_t id, char out[64])
{
	struct check *c = &r->check;
	const struct row *row;
	struct check_rows rows;

	snprintf(out, 64, "salvaged-%llu", (unsigned long long)id);
	c->bucket.id = DOMAIN_BUCKET;
	rows_open_table(&rows, c, TABLE_NAME);
	while ((row = rows_next(&rows)))
		if (row->value.len == 8 && load_u64(row->value.data) == id && check_rest(row).len < 64)
			snprintf(out, 64, "%.*s", (int)check_rest(row).len, (const char *)check_rest(row).data);
	c->bucket.id = id;
	return rows_close(&rows);
}

/* Blocks of one size are in runs of several. */
static enum rfs_err
block_size_find(struct repair *r, uint32_t *out)
{
	const struct row *row;
	struct check_rows rows;
	struct run_row run;

	*out = BLOCK_BYTES_DEFAULT;
	rows_open_table(&rows, &r->check, TABLE_BLOCK);
	while ((row = rows_next(&rows)))
		if (!run_decode(row->value, &run) && run.count > 1 && run.block_size)
			*out = run.block_size;
	return rows_close(&rows);
}

/* Has the bucket in hand a row in a table from `from` on, before `to`? */
static enum rfs_err
has_rows(struct repair *r, unsigned from, unsigned to, bool *has)
{
	struct check *c = &r->check;
	const struct bytes none = bytes_of(NULL, 0);
	struct row_page page;
	enum rfs_err err = c->metadata->ops->scan(c->metadata, &c->rq, key_table(c->rq.arena, c->bucket.id, from, none),
		key_table(c->rq.arena, c->bucket.id, to, none), 1, false, &page);

	*has = !err && page.count;
	return err;
}

static enum rfs_err
bucket_make(struct repair *r, uint64_t id)
{
	struct bucket_row made = {
		.id = id, .owner = IDENTITY_ROOT, .created_ns = r->check.rq.now_ns, .segment_blocks = RUN_MAX_BLOCKS};
	struct check *c = &r->check;
	struct buf value;
	struct batch *b;
	bool has_any;
	enum rfs_err err;

	check_arena(c);
	c->bucket = made;
	if ((err = name_find(r, id, c->bucket_name)) || (err = block_size_find(r, &made.block_size)) ||
		(err = has_rows(r, TABLE_BUCKET, UINT8_MAX, &has_any)) ||
		(err = has_rows(r, TABLE_QUOTA, TABLE_QUOTA + 1, &made.quotas)))
		return err;
	made.removed = !has_any; /* but the driver's own */
	made.name = bytes_str(c->bucket_name);
	c->bucket = made;
	if ((b = repair_batch(r, id, &err)) == NULL)
		return err;
	buf_init(&value, b->arena);
	bucket_row_encode(&value, &made);
	batch_put(b, key_bucket(b->arena, id), buf_bytes(&value));
	feed_append_bucket(b, &c->rq, &made, BYTES_LITERAL("salvaged"));
	repair_tell(r, "bucket-lost", bytes_of(NULL, 0),
		"the row of bucket number %llu is lost: who owned it, and what it was set to", (unsigned long long)id);
	return repair_commit(r);
}

static enum rfs_err
bucket_open(struct repair *r, uint64_t id)
{
	struct check *c = &r->check;
	struct row row;
	enum rfs_err err;

	c->bucket = (struct bucket_row){.id = id};
	if ((err = check_get(c, key_bucket(check_arena(c), id), &row)))
		return err;
	if (!row.found || bucket_row_decode(row.value, &c->bucket) || c->bucket.id != id || !c->bucket.block_size ||
		!c->bucket.segment_blocks)
		return bucket_make(r, id);
	snprintf(c->bucket_name, sizeof(c->bucket_name), "%.*s", (int)c->bucket.name.len,
		(const char *)c->bucket.name.data);
	c->bucket.name = bytes_str(c->bucket_name);
	c->bucket.cors = c->bucket.unknown = bytes_of(NULL, 0);
	return RFS_OK;
}

/* A bucket that is there has a name that leads to it. */
static enum rfs_err
bucket_name_repair(struct repair *r)
{
	struct check *c = &r->check;
	struct batch *b;
	uint8_t id[8];
	struct row row;
	struct bytes key = key_table(check_arena(c), DOMAIN_BUCKET, TABLE_NAME, c->bucket.name);
	enum rfs_err err = check_get(c, key, &row);

	if (err || c->bucket.removed || (row.found && row.value.len == 8 && load_u64(row.value.data) == c->bucket.id))
		return err;
	if (row.found) {
		repair_tell(r, "bucket-name-lost", bytes_of(NULL, 0), "its name is another bucket's");
		return RFS_OK;
	}
	store_u64(id, c->bucket.id);
	if ((b = repair_batch(r, DOMAIN_BUCKET, &err)))
		batch_put(b, key, bytes_of(id, 8));
	return err;
}

static enum rfs_err
bucket_repair(struct repair *r, uint64_t id)
{
	struct check *c = &r->check;
	enum rfs_err err;

	repair_number(r, id);
	if ((err = bucket_open(r, id)))
		return err;
	r->totals->buckets += !c->bucket.removed;
	c->entries = UINT64_MAX;
	if ((err = repair_feed(r)) || (err = repair_places(r)) || (err = repair_owners(r)) ||
		(err = repair_objects(r)) || (err = repair_strays(r)) || (err = repair_blocks(r)) ||
		(err = repair_past(r)) || (err = repair_counters(r)) || (err = bucket_name_repair(r)))
		return err;
	return repair_commit(r);
}

/* --- bucket 0 ----------------------------------------------------------------------------------------------------- */

static enum rfs_err
identity_is_there(struct repair *r, uint64_t id, bool *there)
{
	struct row row;
	enum rfs_err err = check_get(&r->check, identity_row_key(r->check.rq.arena, id), &row);

	*there = id == IDENTITY_ROOT || (!err && row.found);
	return err;
}

/* Keys and names of somebody who is not there go: they open nothing. */
static enum rfs_err
leads_nowhere(struct repair *r, const struct row *row, bool *nowhere)
{
	const struct bytes user = BYTES_LITERAL("user/");
	struct check *c = &r->check;
	struct token_row token;
	struct row found;
	bool there = true;
	enum rfs_err err = RFS_OK;

	if (row->key.data[8] == TABLE_TOKEN && !token_row_decode(row->value, &token))
		err = identity_is_there(r, token.identity, &there);
	else if (row->key.data[8] == TABLE_SYSTEM && bytes_starts_with(check_rest(row), user) && row->value.len == 8)
		err = identity_is_there(r, load_u64(row->value.data), &there);
	else if (row->key.data[8] == TABLE_NAME && row->value.len == 8 &&
		 !(err = check_get(c, key_bucket(c->rq.arena, load_u64(row->value.data)), &found)))
		there = found.found;
	*nowhere = !there;
	return err;
}

/* Somebody whose name does not lead to him any more. */
static enum rfs_err
identity_name_repair(struct repair *r, const struct row *row)
{
	struct check *c = &r->check;
	struct identity_row identity;
	struct batch *b;
	struct row name;
	uint8_t id[8];
	enum rfs_err err;

	if (row->key.len != 9 + 8 || identity_row_decode(c->rq.arena, row->value, &identity))
		return RFS_OK;
	repair_number(r, load_be64(row->key.data + 9));
	if ((err = check_get(c, identity_name_key(c->rq.arena, identity.name), &name)) || name.found)
		return err;
	store_u64(id, load_be64(row->key.data + 9));
	if ((b = repair_batch(r, DOMAIN_BUCKET, &err)))
		batch_put(b, identity_name_key(c->rq.arena, identity.name), bytes_of(id, 8));
	return err;
}

static enum rfs_err
domain_table_repair(struct repair *r, enum table table)
{
	struct check *c = &r->check;
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	check_arena(c);
	rows_open_table(&rows, c, table);
	while (!err && (row = rows_next(&rows))) {
		bool nowhere;

		check_arena(c);
		if (table == TABLE_IDENTITY) {
			err = identity_name_repair(r, row);
		} else if (!(err = leads_nowhere(r, row, &nowhere)) && nowhere) {
			struct bytes name = check_rest(row);

			repair_tell(r, table == TABLE_NAME ? "bucket-lost" : "identity-lost", bytes_of(NULL, 0),
				"%s %.*s leads to nothing that is there",
				table == TABLE_TOKEN ? "access key" : "the name", (int)name.len,
				(const char *)name.data);
			err = repair_delete(r, row->key);
		}
	}
	return rows_close(&rows) ? rows.err : err;
}

static enum rfs_err
domain_repair(struct repair *r)
{
	static const enum table tables[] = {TABLE_IDENTITY, TABLE_TOKEN, TABLE_SYSTEM, TABLE_NAME};
	enum rfs_err err = RFS_OK;

	r->check.bucket = (struct bucket_row){.id = DOMAIN_BUCKET};
	r->check.bucket_name[0] = 0;
	for (size_t i = 0; !err && i < sizeof(tables) / sizeof(tables[0]); i++)
		err = domain_table_repair(r, tables[i]);
	return err ? err : repair_commit(r);
}

/* Numbers that may be in use are not given again. */
static enum rfs_err
numbers_repair(struct repair *r)
{
	struct check *c = &r->check;
	struct bytes key = key_table(check_arena(c), DOMAIN_BUCKET, TABLE_SYSTEM, BYTES_LITERAL("numbers"));
	uint8_t next[8];
	struct batch *b;
	struct row row;
	enum rfs_err err = check_get(c, key, &row);

	if (err || (row.found && row.value.len == 8 && load_u64(row.value.data) > r->number))
		return err;
	store_u64(next, r->number + 1);
	if ((b = repair_batch(r, DOMAIN_BUCKET, &err)))
		batch_put(b, key, bytes_of(next, 8));
	return err ? err : repair_commit(r);
}

/* --- the store ---------------------------------------------------------------------------------------------------- */

/* The next bucket with any row, its own or others. */
static enum rfs_err
bucket_behind(struct repair *r, uint64_t id, uint64_t *out)
{
	struct check *c = &r->check;
	const struct bytes none = bytes_of(NULL, 0);
	struct row_page page;
	enum rfs_err err;

	check_arena(c);
	err = c->metadata->ops->scan(c->metadata, &c->rq, key_table(c->rq.arena, id, TABLE_BUCKET, none),
		key_table(c->rq.arena, UINT64_MAX, TABLE_DRIVER, none), 1, false, &page);
	*out = !err && page.count ? load_be64(page.rows[0].key.data) : 0;
	return err;
}

static void
not_told(void *data, const struct check_finding *finding)
{
}

enum rfs_err
repair_store(const struct store_drivers *drivers, repair_told *told, void *data, struct repair_totals *totals)
{
	const struct check_options options = {.found = not_told, .numbers = SIZE_MAX};
	struct check_totals ignored = {0};
	struct repair *r = xcalloc(1, sizeof(*r));
	uint64_t bucket = 0;
	enum rfs_err err;

	*totals = (struct repair_totals){0};
	r->told = told;
	r->told_data = data;
	r->totals = totals;
	r->check.metadata = drivers->metadata;
	r->check.storage = drivers->storage;
	r->check.options = &options;
	r->check.totals = &ignored;
	r->check.numbers = UINT64_MAX;
	r->check.rq = (struct request){
		.arena = arena_new(65536), .door = "salvage", .may_block = true, .now_ns = clock_wall_ns()};
	err = bucket_behind(r, 1, &bucket);
	for (; !err && bucket; err = err ? err : bucket_behind(r, bucket + 1, &bucket))
		err = bucket_repair(r, bucket);
	if (!err && !(err = domain_repair(r))) /* names of buckets that have no row are known until here */
		err = numbers_repair(r);
	if (r->batch)
		batch_free(r->batch);
	arena_free(r->check.rq.arena);
	free(r);
	return err;
}
