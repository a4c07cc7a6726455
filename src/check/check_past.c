/*
 * check_past.c: rows that a snapshot needs, and their contents; see check_int.h.
 *
 * A kept row owns nothing: its content has an owner like any other, be it the purge row that waits until nothing of the
 * past names it. For that, such rows are counted by content.
 */
#include "check/check_int.h"

enum rfs_err
past_contents(struct check *c, past_visit *visit, void *data)
{
	const struct row *row;
	struct check_rows rows;
	enum rfs_err err = RFS_OK;

	check_arena(c);
	rows_open_table(&rows, c, TABLE_PAST);
	while (!err && (row = rows_next(&rows))) {
		struct version v;

		check_arena(c);
		/* Of the kept row's key, whose first byte, its table, is never escaped. */
		if (row->key.len < 9 + 1 || row->key.data[9] != TABLE_ENTRY)
			continue;
		if (version_decode(c->rq.arena, row->value, &v))
			err = visit(c, row->key, NULL, data);
		else if (v.content.kind != CONTENT_EMPTY)
			err = visit(c, row->key, &v.content, data);
	}
	return rows_close(&rows) ? rows.err : err;
}

static enum rfs_err
past_note(struct check *c, struct bytes key, const struct content *content, void *data)
{
	struct tally_item *item = content ? tally_at(data, tally_number(content->data_id)) : NULL;

	if (!content)
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "a row that a snapshot needs");
	if (!item)
		return RFS_OK;
	item->count++;
	return check_content(c, bytes_of(NULL, 0), content, false);
}

static enum rfs_err
counters_check(struct check *c, const struct tally *past)
{
	for (size_t i = 0; i < past->slot_count; i++) {
		const struct tally_item *item = &past->slots[i];
		uint8_t number[8];
		int64_t counted;
		enum rfs_err err;

		store_be64(number, item->key.low);
		if (!item->used)
			continue;
		if ((err = check_counter(c,
			     key_counter(check_arena(c), c->bucket.id, COUNTER_PAST, bytes_of(number, 8)), &counted)))
			return err;
		if (counted != item->count)
			check_found(c, CHECK_COUNTER_WRONG, bytes_of(NULL, 0),
				"%lld rows of the past name data %llu, and %lld are counted", (long long)item->count,
				(unsigned long long)item->key.low, (long long)counted);
	}
	return RFS_OK;
}

static enum rfs_err
counters_reached(struct check *c, const struct tally *past)
{
	struct bytes from = key_counter(check_arena(c), c->bucket.id, COUNTER_PAST, bytes_of(NULL, 0));
	const struct row *row;
	struct check_rows rows;

	rows_open(&rows, c, from, key_after_prefix(c->rq.arena, from));
	while ((row = rows_next(&rows))) {
		uint64_t data_id = row->key.len == 10 + 8 ? load_be64(row->key.data + 10) : 0;

		if (tally_covers(past, tally_number(data_id)) && !tally_find(past, tally_number(data_id)))
			check_found(c, CHECK_COUNTER_STRAY, bytes_of(NULL, 0),
				"rows of the past that name data %llu are counted, and there are none",
				(unsigned long long)data_id);
	}
	return rows_close(&rows);
}

enum rfs_err
check_past(struct check *c)
{
	struct tally past;
	enum rfs_err err;

	tally_init(&past, c->options->numbers);
	do {
		if (!(err = past_contents(c, past_note, &past)) && !(err = counters_check(c, &past)))
			err = counters_reached(c, &past);
	} while (!err && tally_next(&past));
	tally_fini(&past);
	return err;
}
