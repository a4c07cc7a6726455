/*
 * repair_feed.c: the feed of a bucket, cut where changes are missing; see repair_int.h.
 *
 * A reader gets every change, or GONE. The bucket is told that it was salvaged: the driver adds the serial of the
 * change that came before, as far as it is sure of it, so that a feed whose end is lost has a gap there. What is before
 * the last gap goes as if it had been pruned. Rows that the check finds wrong otherwise go with it, and so do cursors
 * that say nothing.
 */
#include "check/repair_int.h"
#include "managers/metadata/metadata.h"

static enum rfs_err
salvage_tell(struct repair *r)
{
	struct check *c = &r->check;
	struct batch *b;
	enum rfs_err err;

	if (c->bucket.removed)
		return RFS_OK;
	if ((b = repair_batch(r, c->bucket.id, &err)))
		feed_append_bucket(b, &c->rq, &c->bucket, BYTES_LITERAL("salvaged"));
	return err ? err : repair_commit(r);
}

/* Zeros, where it cannot be read: the first change that is left says what went before it. */
static enum rfs_err
state_read(struct repair *r, struct feed_state *state)
{
	struct check *c = &r->check;
	struct row row;
	enum rfs_err err = check_get(c, key_feed_state(check_arena(c), c->bucket.id), &row);

	*state = (struct feed_state){0};
	if (!err && row.found && feed_state_decode(row.value, state))
		*state = (struct feed_state){0};
	state->serial = !err && row.found ? row.serial : 0;
	return err;
}

/* What can be relied on. */
struct gap {
	uint64_t until;   /* changes up to this serial are not to be told */
	uint64_t counted; /* changes behind it that the state counts */
	bool rows;        /* there are rows that must go */
};

static void
gap_set(struct gap *gap, uint64_t until)
{
	gap->until = until;
	gap->counted = 0;
	gap->rows = true;
}

/* `last`: serial of the change before it, then its own. */
static void
change_judge(const struct row *row, const struct feed_state *state, uint64_t *last, struct gap *gap)
{
	uint64_t serial = key_change_serial(row->key);
	struct change_row change;

	if (serial <= *last) {
		gap_set(gap, *last);
		return;
	}
	if (serial != row->serial || change_decode(row->value, &change) || change.previous < *last ||
		change.previous >= serial) {
		gap_set(gap, serial);
	} else {
		if (change.previous > *last)
			gap_set(gap, change.previous);
		gap->counted += serial <= state->counted;
	}
	*last = serial;
}

static enum rfs_err
gap_find(struct repair *r, const struct feed_state *state, struct gap *gap)
{
	uint64_t last = state->pruned;
	const struct row *row;
	struct check_rows rows;

	*gap = (struct gap){.until = last};
	check_arena(&r->check);
	rows_open_table(&rows, &r->check, TABLE_FEED);
	while ((row = rows_next(&rows)))
		change_judge(row, state, &last, gap);
	return rows_close(&rows);
}

static enum rfs_err
gap_cut(struct repair *r, const struct feed_state *state, uint64_t until)
{
	const struct feed_state cut = {.serial = state->serial, .pruned = until, .counted = until};
	struct check *c = &r->check;
	struct batch *b;
	enum rfs_err err;

	if ((b = repair_batch(r, c->bucket.id, &err)) == NULL)
		return err;
	feed_state_put(b, c->bucket.id, &cut);
	batch_delete_range(b, key_change(b->arena, c->bucket.id, 0), key_change(b->arena, c->bucket.id, until + 1));
	return repair_commit(r);
}

static enum rfs_err
cursor_repair(struct repair *r, const struct row *row, void *data)
{
	struct cursor_row cursor;

	return cursor_decode(row->value, &cursor) ? repair_delete(r, row->key) : RFS_OK;
}

enum rfs_err
repair_feed(struct repair *r)
{
	struct feed_state state;
	struct gap gap;
	enum rfs_err err;

	if ((err = salvage_tell(r)) || (err = state_read(r, &state)) || (err = gap_find(r, &state, &gap)))
		return err;
	if ((gap.rows || gap.counted != state.rows) && (err = gap_cut(r, &state, gap.until)))
		return err;
	return repair_rows(r, TABLE_CURSOR, cursor_repair, NULL);
}
