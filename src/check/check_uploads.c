/*
 * check_uploads.c: uploads, their parts, and what is being purged; see check_int.h.
 *
 * An upload that is over is named by a purge row until its parts' rows are gone. Parts that are in the object live on
 * there, and are looked at there.
 */
#include "check/check_int.h"
#include "managers/metadata/metadata.h"

/* --- parts
 * ---------------------------------------------------------------------------------------------------------------------
 */

/* The parts of an upload; `over`: of one whose purge row lists, from there on, those that live on. */
static enum rfs_err
parts_check(struct check *c, struct bytes key, const uint8_t id[UPLOAD_ID_BYTES], const struct reader *over)
{
	struct bytes from = key_upload_part(check_arena(c), c->bucket.id, id, 0);
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	rows_open(&rows, c, from, key_after_prefix(c->rq.arena, bytes_sub(from, 0, from.len - 4)));
	while (!err && (row = rows_next(&rows))) {
		struct part_row part;

		check_arena(c);
		if (row->key.len != 9 + UPLOAD_ID_BYTES + 4 || part_decode(row->value, &part))
			check_found(c, CHECK_ROW_DAMAGED, key, "a part of an upload");
		else if (!over || !purge_keeps_part(*over, part.number))
			err = check_content(c, key, &part.content, false);
	}
	return rows_close(&rows) ? rows.err : err;
}

static enum rfs_err
uploads_check(struct check *c)
{
	struct arena *arena = arena_new(4096); /* of the upload in hand, whose parts empty the other */
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_UPLOAD);
	while (!err && (row = rows_next(&rows))) {
		uint8_t id[UPLOAD_ID_BYTES];
		struct upload_row upload;
		struct bytes key;

		arena_reset(arena);
		c->visit++;
		if (!key_upload_split(arena, row->key, &key, id) || upload_decode(arena, row->value, &upload))
			check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "an upload");
		else
			err = parts_check(c, key, id, NULL);
	}
	arena_free(arena);
	return rows_close(&rows) ? rows.err : err;
}

/* --- purge rows
 * ---------------------------------------------------------------------------------------------------------------- */

static enum rfs_err
purge_check(struct check *c, const struct row *row)
{
	const struct bytes no_key = bytes_of(NULL, 0);
	struct content content;
	struct reader r;
	uint8_t state;

	reader_init(&r, row->value);
	state = reader_u8(&r);
	if (row->key.len != 9 + 8)
		state = 0;
	if (state == PURGE_UPLOAD) {
		struct bytes id = reader_bytes(&r, UPLOAD_ID_BYTES);

		if (!r.failed)
			return parts_check(c, no_key, id.data, &r);
	} else if (state == PURGE_DEAD || state == PURGE_STAGED) {
		if (content_decode(&r, &content) && content.data_id == load_be64(row->key.data + 9))
			return check_content(c, no_key, &content, true);
	} else if (state == PURGE_BUCKET) {
		return RFS_OK;
	}
	check_found(c, CHECK_ROW_DAMAGED, no_key, "a purge row");
	return RFS_OK;
}

static enum rfs_err
purges_check(struct check *c)
{
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_PURGE);
	while (!err && (row = rows_next(&rows))) {
		check_arena(c);
		c->visit++;
		err = purge_check(c, row);
	}
	return rows_close(&rows) ? rows.err : err;
}

enum rfs_err
check_uploads_contents(struct check *c)
{
	enum rfs_err err = uploads_check(c);

	return err ? err : purges_check(c);
}

/* --- parts without an upload
 * ----------------------------------------------------------------------------------------------------- */

enum rfs_err
uploads_known(struct check *c, struct tally *uploads)
{
	const struct row *row;
	struct check_rows rows;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_UPLOAD);
	while ((row = rows_next(&rows)))
		if (row->key.len >= 9 + UPLOAD_ID_BYTES)
			(void)tally_at(uploads, tally_id(row->key.data + row->key.len - UPLOAD_ID_BYTES));
	if (rows_close(&rows))
		return rows.err;
	check_arena(c);
	rows_open_table(&rows, c, TABLE_PURGE);
	while ((row = rows_next(&rows)))
		if (row->value.len > UPLOAD_ID_BYTES && row->value.data[0] == PURGE_UPLOAD)
			(void)tally_at(uploads, tally_id(row->value.data + 1));
	return rows_close(&rows);
}

static enum rfs_err
parts_reached(struct check *c, struct tally *uploads)
{
	const struct row *row;
	struct check_rows rows;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_UPLOAD_PART);
	while ((row = rows_next(&rows))) {
		struct tally_key id;

		if (row->key.len != 9 + UPLOAD_ID_BYTES + 4) {
			check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "a part of an upload");
			continue;
		}
		id = tally_id(row->key.data + 9);
		if (tally_covers(uploads, id) && !tally_find(uploads, id))
			check_found(c, CHECK_UPLOAD_STRAY, bytes_of(NULL, 0),
				"a part of upload %016llx%016llx, which is not there", (unsigned long long)id.high,
				(unsigned long long)id.low);
	}
	return rows_close(&rows);
}

enum rfs_err
check_uploads(struct check *c)
{
	struct tally uploads;
	enum rfs_err err;

	if ((err = check_uploads_contents(c)))
		return err;
	tally_init(&uploads, c->options->numbers);
	do {
		if (!(err = uploads_known(c, &uploads)))
			err = parts_reached(c, &uploads);
	} while (!err && tally_next(&uploads));
	tally_fini(&uploads);
	return err;
}
