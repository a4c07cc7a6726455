/* check_feed.c: the chain of changes: each row carries the serial of the one before it; see check_int.h. */
#include "check/check_int.h"

/* A change's serial is in its key, and beside its row. 0: the row cannot be read, which is reported. */
static uint64_t
change_read(struct check *c, const struct row *row, struct change_row *change)
{
	uint64_t serial = row->key.len == 9 + 8 ? load_be64(row->key.data + 9) : 0;

	if (serial && serial == row->serial && !change_decode(row->value, change))
		return serial;
	check_found(c, CHECK_ROW_DAMAGED, bytes_of(NULL, 0), "the change of serial %llu", (unsigned long long)serial);
	return 0;
}

enum rfs_err
check_feed(struct check *c)
{
	const struct row *row;
	struct check_rows rows;

	c->feed_first = c->feed_last = 0;
	check_arena(c);
	rows_open_table(&rows, c, TABLE_FEED);
	while ((row = rows_next(&rows))) {
		struct change_row change;
		uint64_t serial = change_read(c, row, &change);

		if (!serial)
			continue;
		if (change.previous != c->feed_last)
			check_found(c, CHECK_FEED_BROKEN, bytes_of(NULL, 0),
				"the change before serial %llu was %llu, and the one that is there is %llu",
				(unsigned long long)serial, (unsigned long long)change.previous,
				(unsigned long long)c->feed_last);
		c->feed_last = serial;
		c->feed_first = c->feed_first ? c->feed_first : serial;
	}
	return rows_close(&rows);
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
	*found = !err && page.count && page.rows[0].key.len == 9 + 8 && !change_decode(page.rows[0].value, change);
	*at = *found ? load_be64(page.rows[0].key.data + 9) : 0;
	return err == RFS_ERR_DAMAGED ? RFS_OK : err; /* reported with the feed's rows */
}

enum rfs_err
check_fed(struct check *c, struct bytes key, uint64_t serial)
{
	struct change_row change;
	uint64_t at;
	bool found;
	enum rfs_err err;

	if (serial < c->feed_first)
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
