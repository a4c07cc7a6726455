/*
 * feed_prune.c: what is too much, or too old, leaves a feed, oldest first, but for what a cursor keeps. [background]
 *
 * The changes go in the batch that says so in the feed's state: nobody finds a gap that is not told. A cursor is put
 * with the state, so of a pruning and a cursor that have not seen each other one is a CONFLICT.
 *
 * How many changes there are is not counted when they are made, which would cost every commit; and not here either,
 * while there are fewer serials than may be rows. Beyond that each is counted once, and the state remembers.
 */
#include "managers/metadata/metadata_int.h"
#include "base/metrics.h"
#include "base/mutant.h"

#define STEP_ROWS 1024

struct pruning {
	struct metadata *m;
	struct request *rq;
	uint64_t bucket;
	const struct feed_limits *limits;
	struct feed_state state;
	uint64_t last, hold; /* serials: the last change; the last that no cursor keeps */
	uint64_t excess;     /* changes too many */
	bool more;
};

/* The changes behind `after`, up to `to`; at most a step's. */
static enum rfs_err
step_scan(struct pruning *p, uint64_t after, uint64_t to, struct row_page *page)
{
	struct arena *a = p->rq->arena;

	*page = (struct row_page){0};
	return to <= after ? RFS_OK
			   : metadata_scan(p->m, p->rq, key_change(a, p->bucket, after + 1),
				     key_change(a, p->bucket, to + 1), STEP_ROWS, false, page);
}

/* `b` puts the state, changed. A race with a cursor: again. */
static enum rfs_err
step_commit(struct pruning *p, struct batch *b)
{
	enum rfs_err err = metadata_commit(p->m, p->rq, b);

	batch_free(b);
	p->more = p->more || err == RFS_ERR_CONFLICT;
	return err;
}

static bool
cursor_keeps(const struct pruning *p, const struct cursor_row *cursor)
{
	if (cursor->position < p->state.pruned)
		return false; /* it was given up before */
	return !p->limits->cursor_ns || cursor->moved_ns > p->rq->now_ns - p->limits->cursor_ns;
}

static enum rfs_err
hold_find(struct pruning *p)
{
	struct feed_cursor *cursors;
	size_t count;
	enum rfs_err err = feed_cursors(p->m, p->rq, p->bucket, &cursors, &count);

	p->hold = p->last;
	for (size_t i = 0; !err && i < count && !MUTANT("cursors-ignored"); i++)
		if (cursor_keeps(p, &cursors[i].row) && cursors[i].row.position < p->hold)
			p->hold = cursors[i].row.position;
	return err;
}

/* Counts a step of what was not counted yet; when that was the rest, knows how many are too many. */
static enum rfs_err
excess_count(struct pruning *p)
{
	struct row_page page;
	struct batch *b;
	enum rfs_err err;

	if (!p->limits->rows || p->last - p->state.pruned <= p->limits->rows)
		return RFS_OK;
	if ((err = step_scan(p, p->state.counted, p->last, &page)) ||
		(page.count && !key_change_serial(page.rows[page.count - 1].key)))
		return err ? err : RFS_ERR_DAMAGED;
	p->state.rows += page.count;
	if (page.count)
		p->state.counted = key_change_serial(page.rows[page.count - 1].key);
	if (!page.more) {
		p->excess = p->state.rows > p->limits->rows ? p->state.rows - p->limits->rows : 0;
		return RFS_OK;
	}
	p->more = true;
	b = batch_new(p->bucket);
	feed_state_put(b, p->bucket, &p->state);
	return step_commit(p, b);
}

/* How many of the oldest go. A time that has not come yet says nothing: somebody set the clock. */
static size_t
prefix_find(const struct pruning *p, const struct row_page *page)
{
	int64_t age = p->limits->age_ns, now = p->rq->now_ns;
	size_t count = 0;

	for (size_t i = 0; i < page->count; i++) {
		struct change_row change;

		if (i < p->excess ||
			(age && !change_decode(page->rows[i].value, &change) && change.time_ns <= now - age))
			count = i + 1;
		else if (!age || change.time_ns <= now)
			break;
	}
	return count;
}

static enum rfs_err
prefix_remove(struct pruning *p, const struct row_page *page, size_t count)
{
	struct feed_state next = p->state;
	struct batch *b;
	enum rfs_err err;

	for (size_t i = 0; i < count; i++) {
		next.pruned = key_change_serial(page->rows[i].key);
		if (!next.pruned)
			return RFS_ERR_DAMAGED;
		next.rows -= next.pruned <= p->state.counted;
	}
	next.counted = next.counted > next.pruned ? next.counted : next.pruned;
	b = batch_new(p->bucket);
	feed_state_put(b, p->bucket, &next);
	batch_delete_range(b, key_change(b->arena, p->bucket, p->state.pruned + 1),
		key_change(b->arena, p->bucket, next.pruned + 1));
	if (!(err = step_commit(p, b)))
		metric_add(METRIC_FEED_PRUNED, count);
	return err;
}

static enum rfs_err
step_run(struct pruning *p)
{
	struct row_page page;
	size_t count;
	enum rfs_err err;

	/* The state first: the cursors are as of then, or newer. */
	if ((err = feed_state_get(p->m, p->rq, p->bucket, &p->state)) ||
		(err = feed_last(p->m, p->rq, p->bucket, &p->last)) || (err = hold_find(p)))
		return err;
	if ((err = excess_count(p)) || p->more || (err = step_scan(p, p->state.pruned, p->hold, &page)))
		return err;
	count = prefix_find(p, &page);
	p->more = count == STEP_ROWS;
	return count ? prefix_remove(p, &page, count) : RFS_OK;
}

enum rfs_err
feed_prune(struct metadata *m, struct request *rq, uint64_t bucket, const struct feed_limits *limits, bool *more)
{
	struct pruning p = {.m = m, .rq = rq, .bucket = bucket, .limits = limits};
	enum rfs_err err = limits->rows || limits->age_ns ? step_run(&p) : RFS_OK;

	*more = p.more && (!err || err == RFS_ERR_CONFLICT);
	return err == RFS_ERR_CONFLICT ? RFS_OK : err;
}
