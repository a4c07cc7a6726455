/* repair_contents.c: what of contents can be read, who owns them, and the references of blocks; see repair_int.h. */
#include "check/repair_int.h"
#include "managers/metadata/metadata.h"
#include "managers/storage/storage.h"

/* --- what can be read --------------------------------------------------------------------------------------------- */

/* Of `count` blocks of a run, from `skip` on. */
static enum rfs_err
run_readable(struct repair *r, uint64_t first, uint32_t skip, uint32_t count, uint64_t *readable)
{
	struct check *c = &r->check;
	struct run_row run;
	struct row row;
	enum rfs_err err = check_get(c, key_block(c->rq.arena, c->bucket.id, first), &row);

	if (err || !row.found || run_decode(row.value, &run))
		return err;
	run.first = first;
	for (uint32_t i = skip; i < run.count && i - skip < count; i++) {
		request_clear_error(&c->rq);
		err = block_verify(c->storage, &c->rq, c->bucket.id, &run, i);
		if (!err)
			*readable += i + 1 < run.count ? run.block_size : run.last_size;
	}
	return RFS_OK;
}

static enum rfs_err
segments_readable(struct repair *r, const struct content *content, uint64_t *readable)
{
	struct check *c = &r->check;
	struct bytes from = key_segment(check_arena(c), c->bucket.id, content->data_id, 0);
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	rows_open(&rows, c, bytes_sub(from, 0, 17), key_after_prefix(c->rq.arena, bytes_sub(from, 0, 17)));
	while (!err && (row = rows_next(&rows))) {
		struct arena *arena = arena_new(4096);
		struct segment_row segment = {0};

		if (!segment_decode(arena, row->value, &segment))
			for (size_t i = 0; !err && i < segment.extent_count; i++) {
				const struct extent *e = &segment.extents[i];

				check_arena(c);
				if (e->first)
					err = run_readable(r, e->first, e->skip, e->blocks, readable);
				else
					*readable += (uint64_t)e->blocks * c->bucket.block_size;
			}
		arena_free(arena);
	}
	return rows_close(&rows) ? rows.err : err;
}

static enum rfs_err
leaf_readable(struct repair *r, const struct content *content, uint64_t *readable)
{
	uint64_t bytes = 0;
	enum rfs_err err = RFS_OK;

	check_arena(&r->check);
	if (content->kind == CONTENT_BLOCK)
		err = run_readable(r, content->block, 0, 1, &bytes);
	else if (content->kind == CONTENT_SEGMENTS)
		err = segments_readable(r, content, &bytes);
	*readable += bytes < content->size ? bytes : content->size;
	return err;
}

enum rfs_err
repair_readable(struct repair *r, const struct content *content, uint64_t *readable)
{
	struct check *c = &r->check;
	struct part_ref *parts;
	struct arena *arena;
	size_t count;
	struct row row;
	enum rfs_err err;

	*readable = 0;
	if (content->kind != CONTENT_PARTS)
		return leaf_readable(r, content, readable);
	arena = arena_new(4096);
	err = check_get(c, key_parts(check_arena(c), c->bucket.id, content->data_id), &row);
	if (!err && row.found && !parts_decode(arena, row.value, &parts, &count, NULL))
		for (size_t i = 0; !err && i < count; i++)
			err = leaf_readable(r, &parts[i].content, readable);
	if (*readable > content->size)
		*readable = content->size;
	arena_free(arena);
	return err;
}

/* --- owners ------------------------------------------------------------------------------------------------------- */

static enum rfs_err
owned_note(struct check *c, const struct content *content, int count, void *data)
{
	struct tally_item *item;

	if (content->kind == CONTENT_EMPTY)
		return RFS_OK;
	repair_number(repair_of(c), content->data_id);
	item = tally_at(data, tally_number(content->data_id));
	item->count += count;
	item->mark = content->kind;
	return RFS_OK;
}

/* What an object has is not to be removed: the batch that took it off the list is lost. */
static enum rfs_err
purge_repair(struct repair *r, const struct row *row, void *data)
{
	const struct tally *owned = data;
	const struct tally_item *item;
	struct content content;
	struct reader reader;
	uint8_t state;

	reader_init(&reader, row->value);
	state = reader_u8(&reader);
	if (row->key.len == 9 + 8)
		repair_number(r, load_be64(row->key.data + 9));
	if ((state != PURGE_DEAD && state != PURGE_STAGED) || !content_decode(&reader, &content) ||
		!(item = tally_find(owned, tally_number(content.data_id))) || item->count < 2)
		return RFS_OK;
	return repair_delete(r, row->key);
}

enum rfs_err
repair_owners(struct repair *r)
{
	struct tally owned;
	enum rfs_err err;

	tally_init(&owned, r->check.options->numbers);
	if (!(err = check_owned(&r->check, owned_note, &owned)))
		err = repair_rows(r, TABLE_PURGE, purge_repair, &owned);
	tally_fini(&owned);
	return err;
}

/* --- rows that nobody owns ---------------------------------------------------------------------------------------- */

/* The key that an upload is for; empty: it is not there. Only for what is told: uploads are gone through. */
static enum rfs_err
upload_key(struct repair *r, const uint8_t id[UPLOAD_ID_BYTES], struct buf *out)
{
	uint8_t found[UPLOAD_ID_BYTES];
	struct bytes name;
	const struct row *row;
	struct check_rows rows;

	check_arena(&r->check);
	rows_open_table(&rows, &r->check, TABLE_UPLOAD);
	while (out->len == 0 && (row = rows_next(&rows)))
		if (key_upload_split(check_arena(&r->check), row->key, &name, found) &&
			memcmp(found, id, UPLOAD_ID_BYTES) == 0)
			buf_put_bytes(out, name);
	return rows_close(&rows);
}

/* Of an upload that is not complete: what cannot be read whole is to be sent again. */
static enum rfs_err
part_repair(struct repair *r, const struct row *row, void *data)
{
	struct part_row part;
	uint64_t readable;
	struct buf key;
	enum rfs_err err;

	if (row->key.len != 9 + UPLOAD_ID_BYTES + 4 || part_decode(row->value, &part))
		return repair_delete(r, row->key);
	if ((err = repair_readable(r, &part.content, &readable)) || readable == part.content.size)
		return err;
	buf_init(&key, NULL);
	if (!(err = upload_key(r, row->key.data + 9, &key)) && key.len)
		repair_tell(r, "part-lost", buf_bytes(&key), "part %u of an upload cannot be read whole", part.number);
	buf_fini(&key);
	return err ? err : repair_delete(r, row->key);
}

/* Rows of a table whose key begins with what is not in `there`, or as another kind of content. */
struct strays {
	enum table table;
	const struct tally *there;
	uint64_t kind;
	bool any;
};

static enum rfs_err
stray_delete(struct repair *r, const struct row *row, void *data)
{
	struct strays *s = data;
	const struct tally_item *item = NULL;

	if (s->table == TABLE_UPLOAD_PART && row->key.len == 9 + UPLOAD_ID_BYTES + 4)
		item = tally_find(s->there, tally_id(row->key.data + 9));
	else if (s->table != TABLE_UPLOAD_PART && row->key.len >= 9 + 8)
		item = tally_find(s->there, tally_number(load_be64(row->key.data + 9)));
	if (item && item->mark == s->kind && (s->table == TABLE_UPLOAD_PART || item->count > 0))
		return RFS_OK;
	s->any = true;
	return repair_delete(r, row->key);
}

static enum rfs_err
strays_delete(struct repair *r, enum table table, const struct tally *there, uint64_t kind, bool *again)
{
	struct strays s = {.table = table, .there = there, .kind = kind};
	enum rfs_err err = repair_rows(r, table, stray_delete, &s);

	*again = *again || s.any;
	return err;
}

/* An index of parts owns contents: when one goes, so do they. */
static enum rfs_err
contents_delete(struct repair *r, bool *again)
{
	struct tally owned;
	enum rfs_err err;

	tally_init(&owned, r->check.options->numbers);
	if (!(err = check_owned(&r->check, owned_note, &owned)) &&
		!(err = strays_delete(r, TABLE_SEGMENT, &owned, CONTENT_SEGMENTS, &(bool){false})))
		err = strays_delete(r, TABLE_PARTS, &owned, CONTENT_PARTS, again);
	tally_fini(&owned);
	return err;
}

enum rfs_err
repair_strays(struct repair *r)
{
	struct tally uploads;
	bool again = false;
	enum rfs_err err;

	tally_init(&uploads, r->check.options->numbers);
	if (!(err = repair_rows(r, TABLE_UPLOAD_PART, part_repair, NULL)) &&
		!(err = uploads_known(&r->check, &uploads)))
		err = strays_delete(r, TABLE_UPLOAD_PART, &uploads, 0, &again);
	tally_fini(&uploads);
	do {
		again = false;
		if (!err)
			err = contents_delete(r, &again);
	} while (!err && again);
	return err;
}

/* --- blocks ------------------------------------------------------------------------------------------------------- */

static enum rfs_err
hash_repair(struct repair *r, const struct row *hash, void *data)
{
	struct check *c = &r->check;
	struct run_row run;
	uint64_t block;
	struct row row;
	enum rfs_err err;

	check_arena(c);
	if (hash->key.len != 9 + 32 || hash_decode(hash->value, &block))
		return repair_delete(r, hash->key);
	if ((err = check_get(c, key_block(c->rq.arena, c->bucket.id, block), &row)))
		return err;
	if (row.found && !run_decode(row.value, &run) && run.hashed &&
		memcmp(run.sha256[0], hash->key.data + 9, 32) == 0)
		return RFS_OK;
	return repair_delete(r, hash->key);
}

/* A block that lost its hash row gets it back; or, where another block has it now, is one like those without. */
static enum rfs_err
hashed_repair(struct repair *r, struct run_row *run)
{
	struct check *c = &r->check;
	uint64_t named = 0;
	struct buf value;
	struct batch *b;
	struct row row;
	struct bytes key = key_hash(c->rq.arena, c->bucket.id, run->sha256[0]);
	enum rfs_err err = check_get(c, key, &row);

	if (err || (row.found && !hash_decode(row.value, &named) && named == run->first) ||
		(b = repair_batch(r, c->bucket.id, &err)) == NULL)
		return err;
	buf_init(&value, b->arena);
	if (!row.found) {
		hash_encode(&value, run->first);
		batch_put(b, key, buf_bytes(&value));
		return RFS_OK;
	}
	run->hashed = false;
	run_encode(&value, run);
	buf_put(&value, run->locations, (size_t)run->count * BLOCK_LOCATION_BYTES);
	batch_put(b, key_block(b->arena, c->bucket.id, run->first), buf_bytes(&value));
	return RFS_OK;
}

static struct bytes
references_key(struct repair *r, uint64_t first)
{
	uint8_t number[8];

	store_be64(number, first);
	return key_counter(r->check.rq.arena, r->check.bucket.id, COUNTER_REFERENCES, bytes_of(number, 8));
}

static enum rfs_err
run_repair(struct repair *r, const struct row *row, void *data)
{
	const struct tally *names = data;
	uint64_t first = row->key.len == 9 + 8 ? load_be64(row->key.data + 9) : 0, named = 0;
	const struct tally_item *item = first ? tally_find(names, tally_number(first)) : NULL;
	struct check *c = &r->check;
	struct run_row run;
	struct row hash;
	enum rfs_err err;

	check_arena(c);
	if (first && !run_decode(row->value, &run)) {
		run.first = first;
		repair_number(r, first + run.count - 1);
		if (item && item->count > 0) {
			err = repair_counter(r, references_key(r, first), item->count - 1);
			return err || !run.hashed ? err : hashed_repair(r, &run);
		}
		if (run.hashed && !(err = check_get(c, key_hash(c->rq.arena, c->bucket.id, run.sha256[0]), &hash)) &&
			hash.found && !hash_decode(hash.value, &named) && named == first &&
			(err = repair_delete(r, key_hash(c->rq.arena, c->bucket.id, run.sha256[0]))))
			return err;
	}
	if (first && (err = repair_counter(r, references_key(r, first), 0)))
		return err;
	return repair_delete(r, row->key);
}

static enum rfs_err
reference_repair(struct repair *r, const struct row *row)
{
	struct check *c = &r->check;
	struct row run;
	enum rfs_err err;

	if (row->key.len != 10 + 8)
		return repair_counter(r, row->key, 0);
	err = check_get(c, key_block(check_arena(c), c->bucket.id, load_be64(row->key.data + 10)), &run);
	return err || run.found ? err : repair_counter(r, row->key, 0);
}

static enum rfs_err
references_repair(struct repair *r)
{
	struct check *c = &r->check;
	struct bytes from = key_counter(check_arena(c), c->bucket.id, COUNTER_REFERENCES, bytes_of(NULL, 0));
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	rows_open(&rows, c, from, key_after_prefix(c->rq.arena, from));
	while (!err && (row = rows_next(&rows)))
		err = reference_repair(r, row);
	if (rows_close(&rows))
		err = rows.err;
	return err ? err : repair_commit(r);
}

enum rfs_err
repair_blocks(struct repair *r)
{
	struct tally names;
	enum rfs_err err;

	tally_init(&names, r->check.options->numbers);
	if (!(err = blocks_named(&r->check, &names)) && !(err = repair_rows(r, TABLE_HASH, hash_repair, NULL)) &&
		!(err = repair_rows(r, TABLE_BLOCK, run_repair, &names)))
		err = references_repair(r);
	tally_fini(&names);
	return err;
}
