/*
 * check_feed.c: the chain of changes: each row carries the serial of the one before it, and the first that of the last
 * that was pruned; and the cursors of readers. See check_int.h.
 */
#include "check/check_int.h"

/* A change's serial is in its key, and beside its row. 0: the row cannot be read, which is reported. */
static uint64_t
change_read(struct check *c, const struct row *row, struct change_row *change)
{
	uint64_t serial = key_change_serial(row->key);

	if (serial && serial == row->serial && !change_decode(row->value, change))
		return serial;
	check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "the change of serial %llu", (unsigned long long)serial);
	return 0;
}

/* What was pruned; nothing, where its row is not there or cannot be read. */
static enum rfs_err
state_read(struct check *c, struct feed_state *state)
{
	struct row row;
	enum rfs_err err = check_get(c, key_feed_state(check_arena(c), c->bucket.id), &row);

	*state = (struct feed_state){0};
	if (!err && row.found && feed_state_decode(row.value, state)) {
		check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "what is left of the feed");
		*state = (struct feed_state){0};
	}
	return err;
}

/* A change of the chain. */
static void
change_check(struct check *c, uint64_t serial, uint64_t previous, const struct feed_state *state)
{
	if (serial <= state->pruned)
		check_found(c, CHECK_FEED_BROKEN, bytes_of(NULL, 0),
			"the change of serial %llu is there, and those up to serial %llu are told to have been removed",
			(unsigned long long)serial, (unsigned long long)state->pruned);
	else if (previous != c->feed_last)
		check_found(c, CHECK_FEED_BROKEN, bytes_of(NULL, 0),
			"the change before serial %llu was %llu, and the one that is there is %llu",
			(unsigned long long)serial, (unsigned long long)previous, (unsigned long long)c->feed_last);
}

static enum rfs_err
changes_check(struct check *c, const struct feed_state *state)
{
	const struct row *row;
	struct check_rows rows;
	uint64_t counted = 0;
	enum rfs_err err;

	c->feed_pruned = c->feed_last = state->pruned;
	rows_open_table(&rows, c, TABLE_FEED);
	while ((row = rows_next(&rows))) {
		struct change_row change;
		uint64_t serial = change_read(c, row, &change);

		counted += key_change_serial(row->key) <= state->counted;
		if (!serial)
			continue;
		change_check(c, serial, change.previous, state);
		c->feed_last = serial > c->feed_last ? serial : c->feed_last;
	}
	if (!(err = rows_close(&rows)) && counted != state->rows)
		check_found(c, CHECK_COUNTER_WRONG, bytes_of(NULL, 0),
			"up to serial %llu the feed has %llu changes, and there are %llu",
			(unsigned long long)state->counted, (unsigned long long)state->rows,
			(unsigned long long)counted);
	return err;
}

static enum rfs_err
cursors_check(struct check *c)
{
	const struct row *row;
	struct check_rows rows;

	rows_open_table(&rows, c, TABLE_CURSOR);
	while ((row = rows_next(&rows))) {
		struct bytes name = check_rest(row);
		struct cursor_row cursor;

		if (cursor_decode(row->value, &cursor))
			check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "the cursor %.*s of the feed",
				(int)name.len, (const char *)name.data);
		else if (cursor.position > c->feed_last)
			check_found(c, CHECK_FEED_BROKEN, bytes_of(NULL, 0),
				"the cursor %.*s stands at serial %llu, and the last change that is told is %llu",
				(int)name.len, (const char *)name.data, (unsigned long long)cursor.position,
				(unsigned long long)c->feed_last);
	}
	return rows_close(&rows);
}

enum rfs_err
check_feed(struct check *c)
{
	struct feed_state state;
	enum rfs_err err;

	if ((err = state_read(c, &state)))
		return err;
	check_arena(c);
	if ((err = changes_check(c, &state)))
		return err;
	check_arena(c);
	return cursors_check(c);
}

/* The first change at or behind a serial; `found` false: there is none. */
static enum rfs_err
change_behind(struct check *c, uint64_t serial, struct change_row *change, uint64_t *at, bool *found)
{
	struct bytes prefix = key_feed(c->rq.arena, c->bucket.id);
	struct row_page page;
	struct buf from;
	enum rfs_err err;

	buf_init(&from, c->rq.arena);
	buf_put_bytes(&from, prefix);
	buf_be64(&from, serial);
	err = c->metadata->ops->scan(
		c->metadata, &c->rq, buf_bytes(&from), key_after_prefix(c->rq.arena, prefix), 1, false, &page);
	*found =
		!err && page.count && key_change_serial(page.rows[0].key) && !change_decode(page.rows[0].value, change);
	*at = *found ? key_change_serial(page.rows[0].key) : 0;
	return err == RFS_ERR_DAMAGED ? RFS_OK : err; /* reported with the feed's rows */
}

enum rfs_err
check_fed(struct check *c, struct bytes key, uint64_t serial)
{
	struct change_row change;
	uint64_t at;
	bool found;
	enum rfs_err err;

	if (serial <= c->feed_pruned)
		return RFS_OK;
	if (serial > c->feed_last) {
		check_found(c, CHECK_FEED_BROKEN, key,
			"it was changed at serial %llu, and the last change that is told is %llu",
			(unsigned long long)serial, (unsigned long long)c->feed_last);
		return RFS_OK;
	}
	if ((err = change_behind(c, serial, &change, &at, &found)))
		return err;
	/* A hole that the chain shows is reported there. */
	if (found && at != serial && change.previous < serial)
		check_found(c, CHECK_FEED_BROKEN, key, "it was changed at serial %llu, of which no change is told",
			(unsigned long long)serial);
	return RFS_OK;
}
