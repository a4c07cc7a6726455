/*
 * verify.c: reads a bucket's objects and uploads, block by block, as they are now; see scrub.h. [background] or
 * [worker]
 *
 * Nothing is pinned, so that nobody waits for it: a block that was moved is found by reading its row again, and one
 * that has gone because its object has is no damage, which the object's entry tells.
 */
#include "managers/storage/scrub.h"
#include "managers/storage/storage_int.h"
#include <stdio.h>

#define KEYS_PAGE 256
#define ROWS_PAGE 16
#define BLOCK_TRIES 3 /* it may be moved, and again */

/* What is read. */
struct verified {
	struct storage *s;
	const struct bucket_row *bucket;
	const struct verify *verify;
	struct request page;  /* of keys or rows: their memory stays while their contents are read */
	struct request parts; /* of the object in hand */
	struct request rows;  /* of a page of segments */
	struct request block; /* of the run in hand */
	uint64_t raw_bytes;   /* of the content in hand */
	char problem[256];    /* of the object in hand; empty: none */
};

static void problem_set(struct verified *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
problem_set(struct verified *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(v->problem, sizeof(v->problem), format, args);
	va_end(args);
}

static struct request
request_make(void)
{
	return (struct request){.arena = arena_new(4096), .door = "verify", .may_block = true, .uncached = true};
}

/* --- contents -------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
run_read(struct verified *v, uint64_t first, struct run_row *run)
{
	struct row row;
	enum rfs_err err;

	arena_reset(v->block.arena);
	request_clear_error(&v->block);
	if ((err = metadata_get(v->s->metadata, &v->block, key_block(v->block.arena, v->bucket->id, first), &row)))
		return err;
	if (!row.found || run_decode(row.value, run))
		problem_set(v, "block %llu has no row that can be read", (unsigned long long)first);
	run->first = first;
	return RFS_OK;
}

static enum rfs_err
blocks_verify(struct verified *v, uint64_t first, uint32_t skip, uint32_t count)
{
	struct run_row run;
	unsigned tries = 0;
	enum rfs_err err = run_read(v, first, &run);

	for (uint32_t i = skip; !err && !v->problem[0] && i - skip < count;) {
		enum rfs_err found;

		if (i >= run.count) {
			problem_set(v, "run %llu has no block %u", (unsigned long long)first, i);
			break;
		}
		if (!v->verify->pace(v->verify->data, run.stored_sizes[i]))
			return RFS_ERR_CANCELLED;
		if (!(found = block_verify(v->s->driver, &v->block, v->bucket->id, &run, i))) {
			v->raw_bytes += i + 1 < run.count ? run.block_size : run.last_size;
			i++;
			tries = 0;
		} else if (++tries == BLOCK_TRIES) {
			if (v->block.detail)
				problem_set(v, "%s", v->block.detail);
			else
				problem_set(
					v, "block %llu: %s", (unsigned long long)(first + i), error_face(found)->text);
		} else {
			err = run_read(v, first, &run);
		}
	}
	return err;
}

/* The segment's last block may be a shorter one. */
static uint64_t
hole_bytes(const struct verified *v, const struct segment_row *segment, const struct extent *e)
{
	uint64_t size = v->bucket->block_size, from = e->at * size, len = e->blocks * size;

	if (from > segment->bytes)
		return 0;
	return len < segment->bytes - from ? len : segment->bytes - from;
}

static enum rfs_err
segment_verify(struct verified *v, const struct row *row)
{
	struct segment_row segment;
	enum rfs_err err = RFS_OK;

	if (segment_decode(v->rows.arena, row->value, &segment)) {
		problem_set(v, "the row of a segment cannot be read");
		return RFS_OK;
	}
	for (size_t i = 0; !err && !v->problem[0] && i < segment.extent_count; i++) {
		const struct extent *e = &segment.extents[i];

		if (e->first)
			err = blocks_verify(v, e->first, e->skip, e->blocks);
		else
			v->raw_bytes += hole_bytes(v, &segment, e);
	}
	return err;
}

static enum rfs_err
segments_verify(struct verified *v, uint64_t data_id)
{
	struct row_page page = {.more = true};
	uint64_t next = 0;
	enum rfs_err err = RFS_OK;

	while (!err && page.more && !v->problem[0]) {
		struct bytes from, to;

		arena_reset(v->rows.arena);
		from = key_segment(v->rows.arena, v->bucket->id, data_id, next);
		to = key_segment(v->rows.arena, v->bucket->id, data_id + 1, 0);
		err = metadata_scan(v->s->metadata, &v->rows, from, to, ROWS_PAGE, false, &page);
		for (size_t i = 0; !err && i < page.count && !v->problem[0]; i++) {
			next = load_be64(page.rows[i].key.data + 17) + 1;
			err = segment_verify(v, &page.rows[i]);
		}
	}
	return err;
}

static enum rfs_err
leaf_verify(struct verified *v, const struct content *content)
{
	enum rfs_err err = RFS_OK;

	v->raw_bytes = 0;
	if (content->kind == CONTENT_BLOCK)
		err = blocks_verify(v, content->block, 0, 1);
	else if (content->kind == CONTENT_SEGMENTS)
		err = segments_verify(v, content->data_id);
	else if (content->kind == CONTENT_PARTS)
		problem_set(v, "a part is made of parts");
	if (!err && !v->problem[0] && v->raw_bytes != content->size)
		problem_set(v, "its blocks have %llu bytes instead of %llu", (unsigned long long)v->raw_bytes,
			(unsigned long long)content->size);
	return err;
}

static enum rfs_err
content_verify(struct verified *v, const struct content *content)
{
	struct part_ref *parts;
	size_t count;
	enum rfs_err err;

	if (content->kind != CONTENT_PARTS)
		return leaf_verify(v, content);
	arena_reset(v->parts.arena);
	err = content_parts(v->s, &v->parts, v->bucket, content, &parts, &count, NULL);
	if (err == RFS_ERR_NOT_FOUND || err == RFS_ERR_DAMAGED) {
		problem_set(v, "the index of its parts cannot be read");
		return RFS_OK;
	}
	for (size_t i = 0; !err && i < count && !v->problem[0]; i++)
		err = leaf_verify(v, &parts[i].content);
	return err;
}

/* --- objects --------------------------------------------------------------------------------------------------------
 */

/* The entry that has this content, as it was read; `found` false: it has another since. */
static enum rfs_err
entry_find(struct verified *v, struct bytes key, uint64_t data_id, struct bytes *row, bool *found)
{
	struct name_ref at;
	enum rfs_err err;

	arena_reset(v->block.arena);
	err = name_resolve(v->s->metadata, &v->block, v->bucket, key, &at);
	*found = !err && at.found && at.head.content.data_id == data_id;
	if (*found)
		*row = key_entry(v->block.arena, v->bucket->id, at.parent, at.name);
	return err;
}

static enum rfs_err
object_verify(struct verified *v, struct bytes key, const struct content *content)
{
	struct bytes row;
	bool found;
	enum rfs_err err;

	v->problem[0] = 0;
	if ((err = content_verify(v, content)))
		return err;
	if (v->problem[0]) {
		if ((err = entry_find(v, key, content->data_id, &row, &found)))
			return err;
		if (found)
			v->verify->found(v->verify->data, v->bucket, key, row, content->data_id, v->problem);
	} else {
		damage_repaired(v->s, v->bucket, key, content->data_id);
	}
	v->verify->object(v->verify->data, key);
	return RFS_OK;
}

/* Behind a key. */
static void
buf_after(struct buf *next, struct bytes key)
{
	next->len = 0;
	buf_put_bytes(next, key);
	buf_u8(next, 0);
}

struct key_item {
	struct bytes key;
	struct content content;
};

/* A page of keys, from `from` on. */
static enum rfs_err
keys_read(struct verified *v, struct bytes from, struct key_item *items, size_t *count)
{
	struct bytes none = bytes_of(NULL, 0);
	struct tree_walk *walk = tree_walk_new(v->s->metadata, &v->page, v->bucket, none, from, false);
	struct tree_item item;
	enum rfs_err err = RFS_OK;

	for (*count = 0; *count < KEYS_PAGE && !(err = tree_walk_next(walk, &item)); ++*count)
		items[*count] = (struct key_item){arena_copy(v->page.arena, item.key), item.version.content};
	return err == RFS_ERR_NOT_FOUND ? RFS_OK : err;
}

static enum rfs_err
objects_verify(struct verified *v, struct bytes after)
{
	struct key_item items[KEYS_PAGE];
	size_t count = KEYS_PAGE;
	struct buf next;
	enum rfs_err err = RFS_OK;

	buf_init(&next, NULL);
	if (after.len)
		buf_after(&next, after);
	while (!err && count == KEYS_PAGE) {
		arena_reset(v->page.arena);
		err = keys_read(v, buf_bytes(&next), items, &count);
		for (size_t i = 0; !err && i < count; i++)
			err = object_verify(v, items[i].key, &items[i].content);
		if (!err && count)
			buf_after(&next, items[count - 1].key);
	}
	buf_fini(&next);
	return err;
}

/* --- uploads ---------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
part_verify(struct verified *v, struct bytes key, const struct row *row)
{
	struct part_row part = {0};
	struct row now;
	enum rfs_err err;

	v->problem[0] = 0;
	if (part_decode(row->value, &part))
		problem_set(v, "the row of a part of an upload cannot be read");
	else if ((err = content_verify(v, &part.content)))
		return err;
	if (!v->problem[0]) {
		damage_repaired(v->s, v->bucket, key, part.content.data_id);
		return RFS_OK;
	}
	arena_reset(v->block.arena);
	if (!(err = metadata_get(v->s->metadata, &v->block, row->key, &now)) && now.found && now.serial == row->serial)
		v->verify->found(v->verify->data, v->bucket, key, row->key, part.content.data_id, v->problem);
	return err;
}

static enum rfs_err
parts_verify(struct verified *v, struct bytes key, const uint8_t id[UPLOAD_ID_BYTES], struct request *rq)
{
	struct row_page page = {.more = true};
	struct bytes end = key_upload_part(v->page.arena, v->bucket->id, id, UINT32_MAX);
	struct buf next;
	enum rfs_err err = RFS_OK;

	buf_init(&next, NULL);
	buf_put_bytes(&next, key_upload_part(v->page.arena, v->bucket->id, id, 0));
	while (!err && page.more) {
		arena_reset(rq->arena);
		err = metadata_scan(v->s->metadata, rq, buf_bytes(&next), end, ROWS_PAGE, false, &page);
		for (size_t i = 0; !err && i < page.count; i++)
			err = part_verify(v, key, &page.rows[i]);
		if (!err && page.count)
			buf_after(&next, page.rows[page.count - 1].key);
	}
	buf_fini(&next);
	return err;
}

static enum rfs_err
uploads_verify(struct verified *v)
{
	struct request rq = request_make(); /* of a page of parts */
	struct row_page page = {.more = true};
	struct buf next;
	enum rfs_err err = RFS_OK;

	arena_reset(v->page.arena);
	buf_init(&next, NULL);
	buf_put_bytes(&next, key_uploads(v->page.arena, v->bucket->id, bytes_of(NULL, 0)));
	while (!err && page.more) {
		struct bytes end;

		arena_reset(v->page.arena);
		end = key_table(v->page.arena, v->bucket->id, TABLE_UPLOAD + 1, bytes_of(NULL, 0));
		err = metadata_scan(v->s->metadata, &v->page, buf_bytes(&next), end, ROWS_PAGE, false, &page);
		for (size_t i = 0; !err && i < page.count; i++) {
			uint8_t id[UPLOAD_ID_BYTES];
			struct bytes key;

			if (key_upload_split(v->page.arena, page.rows[i].key, &key, id))
				err = parts_verify(v, key, id, &rq);
		}
		if (!err && page.count)
			buf_after(&next, page.rows[page.count - 1].key);
	}
	buf_fini(&next);
	arena_free(rq.arena);
	return err;
}

/* --- a bucket --------------------------------------------------------------------------------------------------------
 */

enum rfs_err
verify_run(struct storage *s, const struct bucket_row *bucket, struct bytes after, const struct verify *verify)
{
	struct verified v = {.s = s,
		.bucket = bucket,
		.verify = verify,
		.page = request_make(),
		.parts = request_make(),
		.rows = request_make(),
		.block = request_make()};
	enum rfs_err err = objects_verify(&v, after);

	if (!err)
		err = uploads_verify(&v);
	arena_free(v.page.arena);
	arena_free(v.parts.arena);
	arena_free(v.rows.arena);
	arena_free(v.block.arena);
	return err;
}
