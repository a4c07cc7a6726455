/* repair_tree.c: entries that are there twice, without their directory, or without bytes; see repair_int.h. */
#include "base/identity.h"
#include "check/repair_int.h"
#include "managers/metadata/metadata.h"
#include <stdio.h>

#define ENTRY_HEAD (9 + OBJECT_ID_BYTES) /* bucket, table, parent */

static const uint8_t root_id[OBJECT_ID_BYTES];

/* --- one place ---------------------------------------------------------------------------------------------------- */

/* What can be at one place only: a directory, or a content. NULL: an object without bytes. */
static struct tally_item *
thing_of(struct tally *things, const struct version *v)
{
	if (v->flags & VERSION_DIRECTORY)
		return tally_at(things, tally_id(v->object_id));
	return v->content.kind == CONTENT_EMPTY ? NULL : tally_at(things, tally_number(v->content.data_id));
}

static enum rfs_err
things_note(struct repair *r, const struct row *row, void *data)
{
	struct tally *things = data;
	struct tally_item *item;
	struct version v;

	if (row->key.len < ENTRY_HEAD || version_decode(check_arena(&r->check), row->value, &v)) {
		repair_tell(r, "object-lost", key_entry_name(row->key), "its entry cannot be read");
		return repair_delete(r, row->key);
	}
	if ((item = thing_of(things, &v))) {
		item->count++;
		item->mark = row->serial > item->mark ? row->serial : item->mark;
	}
	return RFS_OK;
}

/* The batch that took it away from here is lost. */
static enum rfs_err
stale_delete(struct repair *r, const struct row *row, void *data)
{
	struct tally *things = data;
	struct tally_item *item;
	struct version v;

	if (row->key.len < ENTRY_HEAD || version_decode(check_arena(&r->check), row->value, &v) ||
		(item = thing_of(things, &v)) == NULL || item->count < 2 || item->mark == row->serial)
		return RFS_OK;
	repair_tell(r, "entry-stale", key_entry_name(row->key), "it was moved to another place, where it is");
	return repair_delete(r, row->key);
}

/* A directory for entries whose own is lost: its name is, but not its id. */
static enum rfs_err
directory_make(struct repair *r, const struct row *row, void *data)
{
	struct tally *things = data;
	struct version v = {.flags = VERSION_DIRECTORY, .owner = IDENTITY_ROOT, .modified_ns = r->check.rq.now_ns};
	struct check *c = &r->check;
	char name[64];
	struct batch *b;
	struct buf value;
	enum rfs_err err;

	if (row->key.len < ENTRY_HEAD || memcmp(row->key.data + 9, root_id, OBJECT_ID_BYTES) == 0 ||
		tally_find(things, tally_id(row->key.data + 9)))
		return RFS_OK;
	memcpy(v.object_id, row->key.data + 9, OBJECT_ID_BYTES);
	tally_at(things, tally_id(v.object_id))->count = 1;
	snprintf(name, sizeof(name), "salvaged-%016llx%016llx/", (unsigned long long)load_be64(v.object_id),
		(unsigned long long)load_be64(v.object_id + 8));
	repair_tell(r, "directory-lost", bytes_str(name), "the name of a directory is lost: what was in it is here");
	if ((b = repair_batch(r, c->bucket.id, &err)) == NULL)
		return err;
	buf_init(&value, b->arena);
	version_encode(&value, &v);
	batch_put(b, key_entry(b->arena, c->bucket.id, root_id, bytes_str(name)), buf_bytes(&value));
	feed_append(b, &c->rq, &c->bucket, CHANGE_PUT, bytes_str(name), &v);
	return repair_commit(r);
}

enum rfs_err
repair_places(struct repair *r)
{
	struct tally things;
	enum rfs_err err;

	tally_init(&things, r->check.options->numbers);
	if (!(err = repair_rows(r, TABLE_ENTRY, things_note, &things)) &&
		!(err = repair_rows(r, TABLE_ENTRY, stale_delete, &things)))
		err = repair_rows(r, TABLE_ENTRY, directory_make, &things);
	tally_fini(&things);
	return err;
}

/* --- what can be read --------------------------------------------------------------------------------------------- */

static struct bytes
entry_key(struct repair *r, const struct check_entry *item)
{
	return key_entry(r->check.rq.arena, r->check.bucket.id, item->directory ? item->directory->object_id : root_id,
		item->name);
}

static enum rfs_err
object_delete(struct repair *r, const struct check_entry *item)
{
	enum rfs_err err;
	struct batch *b = repair_batch(r, r->check.bucket.id, &err);

	if (b == NULL)
		return err;
	check_arena(&r->check);
	batch_delete(b, entry_key(r, item));
	feed_append(b, &r->check.rq, &r->check.bucket, CHANGE_DELETE, item->path, item->version);
	return repair_commit(r); /* a batch tells one change */
}

/* The daemon knows of it from its start on. */
static enum rfs_err
object_note_damaged(struct repair *r, const struct check_entry *item, uint64_t lost)
{
	const struct bucket_row *bucket = &r->check.bucket;
	enum rfs_err err;
	struct batch *b = repair_batch(r, DOMAIN_BUCKET, &err);
	struct damage_row found = {.found_ns = r->check.rq.now_ns,
		.bucket = bucket->name,
		.key = item->path,
		.found_by = BYTES_LITERAL("salvage")};
	struct buf value;

	if (b == NULL)
		return err;
	check_arena(&r->check);
	found.row = entry_key(r, item);
	found.text = bytes_str(arena_printf(b->arena, "%llu of its %llu bytes cannot be read", (unsigned long long)lost,
		(unsigned long long)item->version->content.size));
	buf_init(&value, b->arena);
	damage_row_encode(&value, &found);
	batch_put(b, key_damage(b->arena, bucket->id, item->version->content.data_id), buf_bytes(&value));
	r->totals->damaged++;
	repair_tell(r, "object-damaged", item->path, "%.*s", (int)found.text.len, (const char *)found.text.data);
	return RFS_OK;
}

static enum rfs_err
object_repair(struct check *c, const struct check_entry *item, void *data)
{
	const struct content *content = &item->version->content;
	struct repair *r = repair_of(c);
	uint64_t readable;
	enum rfs_err err;

	if (item->version->flags & VERSION_DIRECTORY) {
		r->totals->objects += (item->version->flags & VERSION_MARKER) != 0;
		return RFS_OK;
	}
	if ((err = repair_readable(r, content, &readable)))
		return err;
	if (readable == content->size) {
		r->totals->objects++;
		r->totals->bytes += content->size;
		return RFS_OK;
	}
	if (readable)
		return object_note_damaged(r, item, content->size - readable);
	r->totals->lost++;
	repair_tell(
		r, "object-lost", item->path, "none of its %llu bytes can be read", (unsigned long long)content->size);
	return object_delete(r, item);
}

/* Directories that were made for what was in them go with it. */
static enum rfs_err
directory_repair(struct check *c, const struct check_entry *item, void *data)
{
	bool *again = data;

	if (item->children || (item->version->flags & VERSION_MARKER))
		return RFS_OK;
	*again = true;
	check_arena(c);
	return repair_delete(repair_of(c), entry_key(repair_of(c), item));
}

enum rfs_err
repair_objects(struct repair *r)
{
	bool again;
	enum rfs_err err = entries_visit(&r->check, &(struct entry_visit){.entry = object_repair});

	if (!err)
		err = repair_commit(r);
	do {
		again = false;
		if (!err)
			err = entries_visit(&r->check, &(struct entry_visit){.left = directory_repair, .data = &again});
		if (!err)
			err = repair_commit(r);
	} while (!err && again);
	return err;
}

/* --- counters ----------------------------------------------------------------------------------------------------- */

struct counted {
	struct tally directories;
	struct tally owners; /* mark: bytes */
	int64_t objects, bytes;
};

static enum rfs_err
entry_count(struct check *c, const struct check_entry *item, void *data)
{
	const struct version *v = item->version;
	struct counted *counted = data;
	struct tally_item *owner;

	if ((v->flags & VERSION_DIRECTORY) && !(v->flags & VERSION_MARKER))
		return RFS_OK;
	counted->objects++;
	counted->bytes += (int64_t)v->content.size;
	if (v->owner == IDENTITY_NOBODY)
		return RFS_OK;
	owner = tally_at(&counted->owners, tally_number(v->owner));
	owner->count++;
	owner->mark += v->content.size;
	return RFS_OK;
}

static enum rfs_err
directory_count(struct check *c, const struct check_entry *item, void *data)
{
	struct counted *counted = data;
	const uint8_t *id = item->version->object_id;

	tally_at(&counted->directories, tally_id(id))->count = 1;
	return repair_counter(repair_of(c),
		key_counter(check_arena(c), c->bucket.id, COUNTER_LIVE, bytes_of(id, OBJECT_ID_BYTES)),
		(int64_t)item->children);
}

enum rfs_err
repair_stray_counters(struct repair *r, enum counter kind, const struct tally *there)
{
	struct check *c = &r->check;
	struct bytes from = key_counter(check_arena(c), c->bucket.id, kind, bytes_of(NULL, 0));
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	rows_open(&rows, c, from, key_after_prefix(c->rq.arena, from));
	while (!err && (row = rows_next(&rows))) {
		bool is_id = row->key.len == 10 + OBJECT_ID_BYTES;

		if (row->key.len < 10 + 8 || !tally_find(there, is_id ? tally_id(row->key.data + 10)
								      : tally_number(load_be64(row->key.data + 10))))
			err = repair_counter(r, row->key, 0);
	}
	return rows_close(&rows) ? rows.err : err;
}

static enum rfs_err
owner_counters(struct repair *r, const struct tally *owners)
{
	struct check *c = &r->check;
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; !err && i < owners->slot_count; i++) {
		const struct tally_item *item = &owners->slots[i];
		uint8_t number[8];

		if (!item->used)
			continue;
		store_be64(number, item->key.low);
		check_arena(c);
		err = repair_counter(r,
			key_counter(c->rq.arena, c->bucket.id, COUNTER_USER_OBJECTS, bytes_of(number, 8)), item->count);
		if (!err)
			err = repair_counter(r,
				key_counter(c->rq.arena, c->bucket.id, COUNTER_USER_BYTES, bytes_of(number, 8)),
				(int64_t)item->mark);
	}
	return err;
}

/* What the bucket has, and each owner in it. */
static enum rfs_err
usage_counters(struct repair *r, const struct counted *counted)
{
	const struct bytes none = bytes_of(NULL, 0);
	struct check *c = &r->check;
	uint64_t id = c->bucket.id;
	enum rfs_err err;

	if ((err = repair_counter(r, key_counter(check_arena(c), id, COUNTER_OBJECTS, none), counted->objects)) ||
		(err = repair_counter(r, key_counter(check_arena(c), id, COUNTER_BYTES, none), counted->bytes)) ||
		(err = owner_counters(r, &counted->owners)) ||
		(err = repair_stray_counters(r, COUNTER_USER_OBJECTS, &counted->owners)))
		return err;
	return repair_stray_counters(r, COUNTER_USER_BYTES, &counted->owners);
}

enum rfs_err
repair_counters(struct repair *r)
{
	struct counted counted = {0};
	const struct entry_visit visit = {.entry = entry_count, .left = directory_count, .data = &counted};
	enum rfs_err err;

	tally_init(&counted.directories, r->check.options->numbers);
	tally_init(&counted.owners, r->check.options->numbers);
	if (!(err = entries_visit(&r->check, &visit)) &&
		!(err = repair_stray_counters(r, COUNTER_LIVE, &counted.directories)))
		err = usage_counters(r, &counted);
	tally_fini(&counted.owners);
	tally_fini(&counted.directories);
	return err ? err : repair_commit(r);
}
