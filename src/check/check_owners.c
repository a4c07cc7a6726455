/* check_owners.c: each content has one owner, and each segment and index of parts belongs to a content that has one;
 * see check_int.h. */
#include "check/check_int.h"
#include "managers/metadata/metadata.h"

/* --- all contents that are owned
 * ----------------------------------------------------------------------------------------------- */

struct owned {
	owner_visit *visit;
	void *data;
};

static enum rfs_err
owned_entry(struct check *c, const struct row *row, const struct owned *owned)
{
	struct version v;

	return version_decode(c->rq.arena, row->value, &v) ? RFS_OK : owned->visit(c, &v.content, 1, owned->data);
}

static enum rfs_err
owned_part(struct check *c, const struct row *row, const struct owned *owned)
{
	struct part_row part;

	return part_decode(row->value, &part) ? RFS_OK : owned->visit(c, &part.content, 1, owned->data);
}

static enum rfs_err
owned_index(struct check *c, const struct row *row, const struct owned *owned)
{
	struct part_ref *parts;
	size_t count;
	enum rfs_err err = RFS_OK;

	if (parts_decode(c->rq.arena, row->value, &parts, &count, NULL))
		return RFS_OK;
	for (size_t i = 0; !err && i < count; i++)
		err = owned->visit(c, &parts[i].content, 1, owned->data);
	return err;
}

/* Parts that live on in an object are owned by its index, not by their own rows any more. */
static enum rfs_err
owned_twice(struct check *c, struct reader *r, const struct owned *owned)
{
	struct bytes id = reader_bytes(r, UPLOAD_ID_BYTES);
	uint64_t count = reader_varint(r);
	enum rfs_err err = RFS_OK;

	while (!err && count-- && !r->failed) {
		uint32_t number = reader_varint32(r);
		struct part_row part;
		struct row row;

		if (r->failed)
			break;
		if (!(err = check_get(c, key_upload_part(c->rq.arena, c->bucket.id, id.data, number), &row)) &&
			row.found && !part_decode(row.value, &part))
			err = owned->visit(c, &part.content, -1, owned->data);
	}
	return err;
}

static enum rfs_err
owned_purge(struct check *c, const struct row *row, const struct owned *owned)
{
	struct content content;
	struct reader r;
	uint8_t state;

	reader_init(&r, row->value);
	state = reader_u8(&r);
	if (state == PURGE_UPLOAD)
		return owned_twice(c, &r, owned);
	if ((state != PURGE_DEAD && state != PURGE_STAGED) || !content_decode(&r, &content))
		return RFS_OK;
	return owned->visit(c, &content, 1, owned->data);
}

enum rfs_err
check_owned(struct check *c, owner_visit *visit, void *data)
{
	static const struct {
		enum table table;
		enum rfs_err (*row)(struct check *c, const struct row *row, const struct owned *owned);
	} tables[] = {
		{TABLE_ENTRY, owned_entry},
		{TABLE_UPLOAD_PART, owned_part},
		{TABLE_PARTS, owned_index},
		{TABLE_PURGE, owned_purge},
	};
	const struct owned owned = {visit, data};
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; !err && i < sizeof(tables) / sizeof(tables[0]); i++) {
		const struct row *row;
		struct check_rows rows;

		check_arena(c);
		rows_open_table(&rows, c, tables[i].table);
		while (!err && (row = rows_next(&rows))) {
			check_arena(c);
			err = tables[i].row(c, row, &owned);
		}
		if (rows_close(&rows))
			err = rows.err;
	}
	return err;
}

/* --- one owner each
 * ------------------------------------------------------------------------------------------------------------ */

/* mark: the kind of content. */
static enum rfs_err
data_note(struct check *c, const struct content *content, int count, void *data)
{
	struct tally_item *item =
		content->kind == CONTENT_EMPTY ? NULL : tally_at(data, tally_number(content->data_id));

	if (item) {
		item->count += count;
		item->mark = content->kind;
	}
	return RFS_OK;
}

/*
 * None is right where only the row of a part is left that lived on in an object: the object has gone before the reaper
 * came to the part's row. Then nothing else may be left of it: data_reached.
 */
static enum rfs_err
data_shared(struct check *c, const struct tally *owned)
{
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; !err && i < owned->slot_count; i++)
		if (owned->slots[i].used && owned->slots[i].count != 1 && owned->slots[i].count != 0)
			err = suspect_add(c, SUSPECT_DATA, owned->slots[i].key.low, CHECK_CONTENT_SHARED, false,
				"data %llu has %lld owners", (unsigned long long)owned->slots[i].key.low,
				(long long)owned->slots[i].count);
	return err;
}

/* The rows of a table that begin with a data id belong to a content of this kind. */
static enum rfs_err
data_reached(struct check *c, const struct tally *owned, enum table table, enum content_kind kind, const char *what)
{
	uint64_t last = 0;
	const struct row *row;
	struct check_rows rows;

	check_arena(c);
	rows_open_table(&rows, c, table);
	while ((row = rows_next(&rows))) {
		const struct tally_item *item;
		uint64_t data_id;

		if (row->key.len < 9 + 8) {
			check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "%s", what);
			continue;
		}
		data_id = load_be64(row->key.data + 9);
		if (data_id == last || !tally_covers(owned, tally_number(data_id)))
			continue;
		item = tally_find(owned, tally_number(data_id));
		if (!item || item->count == 0 || item->mark != kind)
			check_found(c, CHECK_CONTENT_STRAY, bytes_of(NULL, 0), "%s of data %llu, which nothing owns",
				what, (unsigned long long)data_id);
		last = data_id;
	}
	return rows_close(&rows);
}

enum rfs_err
check_owners(struct check *c)
{
	struct tally owned;
	enum rfs_err err;

	tally_init(&owned, c->options->numbers);
	do {
		if (!(err = check_owned(c, data_note, &owned)) && !(err = data_shared(c, &owned)) &&
			!(err = data_reached(c, &owned, TABLE_SEGMENT, CONTENT_SEGMENTS, "a segment")))
			err = data_reached(c, &owned, TABLE_PARTS, CONTENT_PARTS, "an index of parts");
	} while (!err && tally_next(&owned));
	tally_fini(&owned);
	return err;
}
