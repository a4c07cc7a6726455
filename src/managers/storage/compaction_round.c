/*
 * compaction_round.c: what goes. [background]
 *
 * A step:
 *
 *   survey: list the volumes, then count, from all rows of blocks, what of each is live
 *   remove those of which nothing is
 *   seal volumes that are being written and are worth it; move the live blocks out of those with the most garbage; make a checkpoint, if journal volumes go
 *   survey again, and remove
 *
 * and again, until each that is worth it was tried. Nothing of it is kept on the disk: after a crash the next survey finds what was moved. A volume is removed only after a
 * survey that began when it was sealed and had no tickets (driver.h, struct volume_ops), so no writer has to know of this.
 *
 * Journal volumes also hold the log of batches: they go when a checkpoint covers them, which is made when it weighs less than what it lets go.
 */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "managers/storage/compaction_int.h"
#include "managers/storage/scrub.h"
#include <stdlib.h>

#define ROW_BYTES_GUESS 160 /* of a row in a checkpoint, while there is none to tell */
#define STEP_VOLUMES 4      /* emptied before they are removed, at least: what it takes is given back soon */
#define STEP_SHARE 8        /* or this part of the store, for each step reads all rows of blocks twice */
#define HURRIED_PERCENT 10  /* of a volume, that is garbage, when room is wanted now */

/* Then what is little is worth it. */
static bool
is_hurried(const struct compaction *c)
{
	return c->by_hand || compaction_is_full();
}

static bool
is_settled(const struct volume_state *s)
{
	return s->v.sealed && !s->v.tickets;
}

/* Right after a survey: those that nothing names. */
static enum rfs_err
remove_empty(struct compaction *c)
{
	struct storage_driver *d = c->storage->driver;
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; !err && i < c->count; i++) {
		struct volume_state *s = &c->volumes[i];
		uint64_t freed;

		if (!is_settled(s) || (s->live_blocks && !MUTANT("live-blocks-removed")) || (s->v.has_batches && !s->v.covered))
			continue;
		arena_reset(c->rq.arena);
		request_clear_error(&c->rq);
		err = d->volumes->remove(d, &c->rq, s->v.number, &freed);
		if (err == RFS_ERR_LOCKED) {
			err = RFS_OK;
			c->left = true;
			continue;
		}
		if (err)
			break;
		log_info(0, "compaction: removed volume %016llx, %llu bytes", (unsigned long long)s->v.number, (unsigned long long)freed);
		s->removed = true;
		c->report.volumes_removed++;
		c->report.bytes_freed += freed;
		metric_add(METRIC_COMPACTION_VOLUMES, 1);
		metric_add(METRIC_COMPACTION_FREED, (int64_t)freed);
	}
	return err;
}

static uint64_t
garbage_of(const struct volume_state *s)
{
	return s->v.bytes > s->live_bytes ? s->v.bytes - s->live_bytes : 0;
}

/* What a volume that is being written, or a checkpoint, has to give back at least. */
static uint64_t
least_gain(const struct compaction *c)
{
	uint64_t least = c->volume_bytes / 16;

	return is_hurried(c) && least > 1024 * 1024 ? 1024 * 1024 : least;
}

static bool
has_garbage(const struct compaction *c, const struct volume_state *s)
{
	unsigned percent = is_hurried(c) && c->percent > HURRIED_PERCENT ? HURRIED_PERCENT : c->percent;

	if (c->whole)
		return s->v.number <= c->newest;
	return garbage_of(s) * 100 >= s->v.bytes * percent && (s->v.sealed || garbage_of(s) >= least_gain(c));
}

static bool
would_be_worth_it(const struct compaction *c, const struct volume_state *s)
{
	return !s->removed && !s->tried && !s->kept && has_garbage(c, s);
}

static bool
is_worth_it(const struct compaction *c, const struct volume_state *s)
{
	return !s->v.tickets && would_be_worth_it(c, s);
}

/* What a checkpoint takes, about. */
static uint64_t
checkpoint_cost(struct compaction *c)
{
	struct metadata_driver *d = metadata_driver(c->storage->metadata);
	struct metadata_info info = { 0 };
	uint64_t row_bytes = ROW_BYTES_GUESS;

	d->ops->info(d, &info);
	if (info.checkpoint.rows)
		row_bytes = info.checkpoint.bytes / info.checkpoint.rows + 1;
	return info.rows_estimate * row_bytes;
}

/* Do the journal's volumes that are worth it give back more than the checkpoint takes that lets them go? */
static bool
checkpoint_pays(struct compaction *c, uint64_t cost)
{
	uint64_t gain = 0;

	if (!metadata_driver(c->storage->metadata)->ops->checkpoint)
		return false;
	for (size_t i = 0; i < c->count; i++)
		if (c->volumes[i].v.has_batches && !c->volumes[i].v.covered && is_worth_it(c, &c->volumes[i]))
			gain += garbage_of(&c->volumes[i]);
	return c->whole || (gain >= least_gain(c) && gain > (c->by_hand ? cost : 2 * cost));
}

/* The most garbage first. */
static int
by_garbage(const void *a, const void *b)
{
	const struct volume_state *x = *(struct volume_state *const *)a, *y = *(struct volume_state *const *)b;
	double of_x = (double)garbage_of(x) / (double)(x->v.bytes + 1), of_y = (double)garbage_of(y) / (double)(y->v.bytes + 1);

	return of_x > of_y ? -1 : of_x < of_y ? 1 : x->v.number < y->v.number ? -1 : 1;
}

static bool
checkpoint_go_on(void *data, uint64_t bytes)
{
	struct compaction *c = data;
	uint64_t more = bytes - c->checkpoint_done;

	c->checkpoint_done = bytes;
	return compaction_pace(c, 2 * more);
}

static enum rfs_err
checkpoint_make(struct compaction *c)
{
	struct metadata_driver *d = metadata_driver(c->storage->metadata);
	struct checkpoint_info made;
	enum rfs_err err;

	compaction_step(c, "checkpoint", 0);
	c->checkpoint_done = 0;
	arena_reset(c->rq.arena);
	request_clear_error(&c->rq);
	err = d->ops->checkpoint(d, &c->rq, checkpoint_go_on, c, &made);
	if (!err)
		c->report.checkpoint_bytes += made.bytes;
	return err;
}

/* Whose blocks cannot be read the scrub finds out, and names. */
static void
keep(struct compaction *c, uint64_t number)
{
	if (!compaction_list_has(c->kept, c->kept_count, number))
		scrub_start(c->storage);
	compaction_list_add(&c->kept, &c->kept_count, number);
}

/* Seals it if it is being written, and moves what is live in it. */
static enum rfs_err
volume_empty(struct compaction *c, const struct volume_state *s)
{
	struct storage_driver *d = c->storage->driver;
	struct moved moved = { 0 };
	enum rfs_err err = RFS_OK;

	compaction_step(c, "move", s->v.number);
	arena_reset(c->rq.arena);
	request_clear_error(&c->rq);
	if (!s->v.sealed)
		err = d->volumes->seal(d, &c->rq, s->v.number);
	if (!err && (s->live_blocks || !s->v.sealed)) /* since the survey blocks may have come to one that was being written */
		err = volume_move(c->storage, &c->rq, s->v.number, compaction_pace, c, &moved);
	if (moved.blocks)
		crash_point(CRASH_BLOCKS_MOVED);
	c->report.blocks_moved += moved.blocks;
	c->report.bytes_moved += moved.bytes;
	if (err == RFS_ERR_NOT_FOUND) { /* it has writes under way, and so no seal yet */
		err = RFS_OK;
		c->left = true;
	}
	c->left |= moved.lost != 0;
	if (err == RFS_ERR_DAMAGED || (!err && moved.damaged)) {
		log_warn(0, "compaction: volume %016llx stays%s%s", (unsigned long long)s->v.number, c->rq.detail ? ": " : "",
			c->rq.detail ? c->rq.detail : "");
		keep(c, s->v.number);
		err = RFS_OK;
	}
	return err;
}

/*
 * Those to empty, the worst first. What finds no room on the disk is not begun: half moved it would only take some, of what deletes need. They make room, or those
 * before it do.
 */
static size_t
choose(struct compaction *c, struct volume_state **list)
{
	uint64_t checkpoint = checkpoint_cost(c);
	bool pays = checkpoint_pays(c, checkpoint);
	struct volume_limits limits;
	size_t count = 0;

	c->storage->driver->volumes->limits(c->storage->driver, &limits);
	c->report.volumes_without_room = 0;
	for (size_t i = 0; i < c->count; i++) {
		struct volume_state *s = &c->volumes[i];
		bool uncovered = s->v.has_batches && !s->v.covered;

		c->left |= s->v.tickets && would_be_worth_it(c, s);
		if (!is_worth_it(c, s) || (uncovered && !pays))
			continue;
		if (s->live_bytes + (uncovered ? checkpoint : 0) <= limits.room)
			list[count++] = s;
		else
			c->report.volumes_without_room++;
	}
	c->left |= c->report.volumes_without_room != 0;
	if (count)
		qsort(list, count, sizeof(struct volume_state *), by_garbage);
	return count;
}

/* Empties a bounded number of volumes. `any`: there were some. */
static enum rfs_err
empty_worst(struct compaction *c, bool *any)
{
	struct volume_state **list = xcalloc(c->count + 1, sizeof(struct volume_state *));
	uint64_t moved = 0, most = STEP_VOLUMES * c->volume_bytes, all = 0;
	size_t count = choose(c, list);
	bool uncovered = false;
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; i < c->count; i++)
		all += c->volumes[i].v.bytes;
	if (most < all / STEP_SHARE)
		most = all / STEP_SHARE;
	for (size_t i = 0; !err && i < count && (i == 0 || (moved < most && !compaction_is_full())); i++) {
		moved += list[i]->live_bytes;
		uncovered |= list[i]->v.has_batches && !list[i]->v.covered;
		err = volume_empty(c, list[i]);
		if (err == RFS_ERR_NO_SPACE && i > 0) { /* those before it make room */
			err = RFS_OK;
			break;
		}
		compaction_list_add(&c->tried, &c->tried_count, list[i]->v.number);
	}
	if (!err && uncovered)
		err = checkpoint_make(c);
	*any = count > 0;
	free(list);
	return err;
}

/* Steps, until all that are worth it have been tried. */
static enum rfs_err
round_steps(struct compaction *c)
{
	bool any = true;
	enum rfs_err err;

	if ((err = compaction_survey(c)) || (err = remove_empty(c)))
		return err;
	c->newest = c->count ? c->volumes[c->count - 1].v.number : 0;
	while (any) {
		if ((err = empty_worst(c, &any)) || !any)
			return err;
		if ((err = compaction_survey(c)) || (err = remove_empty(c)))
			return err;
	}
	return RFS_OK;
}

enum rfs_err
compaction_round(struct compaction *c)
{
	uint64_t dropped = atomic_exchange(&c->storage->dropped_bytes, 0), stored = compaction_disk_bytes(c);
	enum rfs_err err;

	c->report = (struct compaction_report){ 0 };
	c->looked_ns = 0;
	c->left = false;
	c->tried_count = 0;
	c->rq.now_ns = clock_wall_ns();
	err = round_steps(c);
	if (!err)
		compaction_tell(c);
	if (err || c->left) /* little is looked at again, but not soon */
		atomic_fetch_add(&c->storage->dropped_bytes, err ? dropped : 1);
	if (!err)
		c->stored_bytes = compaction_disk_bytes(c) < stored ? compaction_disk_bytes(c) : stored;
	return err;
}
