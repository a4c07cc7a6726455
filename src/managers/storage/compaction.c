/*
 * compaction.c: gives the space of deleted blocks back. [background]
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
#include "base/config.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "base/thread.h"
#include "managers/storage/scrub.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define SURVEY_PAGE 512
#define ROW_BYTES_GUESS 160  /* of a row in a checkpoint, while there is none to tell */
#define STEP_VOLUMES 4       /* emptied before they are removed, at least: what it takes is given back soon */
#define STEP_SHARE 8         /* or this part of the store, for each step reads all rows of blocks twice */
#define LOOK_AGAIN_NS (INT64_C(10) * 1000000000) /* the shortest time between looks that deletes bring about */
#define LOOK_TICK_NS INT64_C(500000000)
#define FIRST_LOOK_NS (INT64_C(60) * 1000000000) /* after the start: for what was deleted before it */
#define REST_FACTOR 19 /* of twenty parts of the time it looks for at most one, unless asked, or the disk is full */
#define HURRIED_PERCENT 10 /* of a volume, that is garbage, when room is wanted now */
#define FAILED_WAIT_NS (INT64_C(60) * 1000000000)

struct volume_state {
	struct storage_volume v;
	uint64_t live_bytes, live_blocks;
	bool removed;
	bool tried; /* in this round: it is empty, or stays until the next */
	bool kept; /* blocks of it cannot be read: not tried again before the next start, but by hand */
};

struct volume_live {
	uint64_t number, bytes;
};

struct compaction {
	struct storage *storage;
	bool enabled;
	unsigned percent;
	uint64_t rate, volume_bytes;
	int64_t interval_ns;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, ended;
	/* Under it. */
	bool stopping;
	uint64_t asked, answered; /* rounds by hand */
	struct compaction_report last;
	enum rfs_err last_error;
	int64_t due_ns; /* when as much may have been read and written as was */
	const char *step;         /* what it does, static */
	uint64_t step_volume;     /* and with which one; 0: with none */
	struct volume_live *seen; /* as of the last look that came to its end, by number */
	size_t seen_count;

	/* The thread's. */
	struct request rq;
	bool by_hand;
	bool left; /* by the round, to another one: somebody was writing to it, or was faster */
	struct compaction_report report;
	struct volume_state *volumes;
	size_t count;
	uint64_t *kept, *tried;
	size_t kept_count, tried_count;
	uint64_t checkpoint_done; /* bytes of the one being made that were paced */
	int64_t last_ns, looked_ns; /* the last round's end, and how long its surveys took */
	uint64_t stored_bytes;    /* what the store took at its beginning */
};

/* Waits until `bytes` more are within the rate, unless somebody waits for the end of it. */
static bool
pace(void *data, uint64_t bytes)
{
	struct compaction *c = data;
	int64_t now = clock_monotonic_ns();
	bool go_on;

	pthread_mutex_lock(&c->lock);
	if (c->due_ns < now)
		c->due_ns = now;
	c->due_ns += (int64_t)((double)bytes * 1e9 / (double)c->rate);
	while (!c->stopping && c->asked == c->answered && c->due_ns > clock_monotonic_ns()) {
		struct timespec until = { .tv_sec = c->due_ns / 1000000000, .tv_nsec = c->due_ns % 1000000000 };

		pthread_cond_timedwait(&c->wake, &c->lock, &until);
	}
	if (c->asked != c->answered)
		c->due_ns = 0;
	go_on = !c->stopping;
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

/* Then volumes go one by one. */
static bool
is_full(void)
{
	return metric_get(METRIC_STORE_FULL) != 0;
}

/* Then what is little is worth it. */
static bool
is_hurried(const struct compaction *c)
{
	return c->by_hand || is_full();
}

static void
step_begin(struct compaction *c, const char *step, uint64_t volume)
{
	pthread_mutex_lock(&c->lock);
	c->step = step;
	c->step_volume = volume;
	pthread_mutex_unlock(&c->lock);
}

static bool
compaction_stopping(struct compaction *c)
{
	bool stopping;

	pthread_mutex_lock(&c->lock);
	stopping = c->stopping;
	pthread_mutex_unlock(&c->lock);
	return stopping;
}

/* --- what there is ---------------------------------------------------------------------------------------------------------------- */

static struct volume_state *
volume_find(struct compaction *c, uint64_t number)
{
	size_t low = 0, high = c->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (c->volumes[middle].v.number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->count && c->volumes[low].v.number == number ? &c->volumes[low] : NULL;
}

static bool
is_listed(const uint64_t *list, size_t count, uint64_t number)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == number)
			return true;
	return false;
}

static void
list_add(uint64_t **list, size_t *count, uint64_t number)
{
	if (is_listed(*list, *count, number))
		return;
	*list = xrealloc(*list, (*count + 1) * sizeof(**list));
	(*list)[(*count)++] = number;
}

static enum rfs_err
volumes_list(struct compaction *c)
{
	struct storage_driver *d = c->storage->driver;
	struct storage_volume *list = NULL;
	enum rfs_err err;

	free(c->volumes);
	c->volumes = NULL;
	c->count = 0;
	if ((err = d->volumes->list(d, &c->rq, &list, &c->count)))
		return err;
	c->volumes = xcalloc(c->count + 1, sizeof(*c->volumes));
	for (size_t i = 0; i < c->count; i++) {
		c->volumes[i].v = list[i];
		c->volumes[i].kept = !c->by_hand && is_listed(c->kept, c->kept_count, list[i].number);
		c->volumes[i].tried = is_listed(c->tried, c->tried_count, list[i].number);
	}
	free(list);
	return RFS_OK;
}

/* A row that cannot be read may name anything: then nothing may be removed. */
static enum rfs_err
row_count(struct compaction *c, const struct row *row)
{
	struct run_row run;
	enum rfs_err err = run_decode(row->value, &run);

	if (err)
		return request_fail(&c->rq, err, "reading a row of blocks of bucket number %llu", (unsigned long long)load_be64(row->key.data));
	for (uint32_t i = 0; i < run.count; i++) {
		struct block_location location;
		struct volume_state *state;
		uint64_t number, bytes;

		memcpy(location.bytes, run.locations + (size_t)i * BLOCK_LOCATION_BYTES, BLOCK_LOCATION_BYTES);
		c->storage->driver->volumes->locate(&location, &number, &bytes);
		if ((state = volume_find(c, number))) {
			state->live_bytes += bytes;
			state->live_blocks++;
		}
	}
	return RFS_OK;
}

static enum rfs_err
bucket_survey(struct compaction *c, uint64_t bucket)
{
	struct row_page page = { .more = true };
	uint64_t next = 0;
	enum rfs_err err = RFS_OK;

	while (!err && page.more) {
		struct request *rq = &c->rq;
		uint64_t bytes = 0;

		arena_reset(rq->arena);
		err = metadata_scan(c->storage->metadata, rq, key_block(rq->arena, bucket, next),
			key_table(rq->arena, bucket, TABLE_BLOCK + 1, bytes_of(NULL, 0)), SURVEY_PAGE, false, &page);
		for (size_t i = 0; !err && i < page.count; i++) {
			err = row_count(c, &page.rows[i]);
			bytes += page.rows[i].key.len + page.rows[i].value.len;
			next = load_be64(page.rows[i].key.data + 9) + 1;
		}
		if (!err && !pace(c, bytes))
			err = RFS_ERR_CANCELLED;
	}
	return err;
}

static void
survey_tell(struct compaction *c)
{
	uint64_t live[2] = { 0 }, garbage[2] = { 0 };

	for (size_t i = 0; i < c->count; i++) {
		const struct volume_state *s = &c->volumes[i];

		if (s->removed)
			continue;
		live[s->v.has_batches] += s->live_bytes;
		garbage[s->v.has_batches] += s->v.bytes > s->live_bytes ? s->v.bytes - s->live_bytes : 0;
	}
	metric_set(METRIC_STORE_LIVE_BULK, (int64_t)live[0]);
	metric_set(METRIC_STORE_LIVE_JOURNAL, (int64_t)live[1]);
	metric_set(METRIC_STORE_GARBAGE_BULK, (int64_t)garbage[0]);
	metric_set(METRIC_STORE_GARBAGE_JOURNAL, (int64_t)garbage[1]);
	c->report.live_bytes = live[0] + live[1];
	c->report.garbage_bytes = garbage[0] + garbage[1];
}

/* For compaction_describe. */
static void
survey_keep(struct compaction *c)
{
	struct volume_live *seen = xcalloc(c->count + 1, sizeof(*seen));

	for (size_t i = 0; i < c->count; i++)
		seen[i] = (struct volume_live){c->volumes[i].v.number, c->volumes[i].live_bytes};
	pthread_mutex_lock(&c->lock);
	free(c->seen);
	c->seen = seen;
	c->seen_count = c->count;
	pthread_mutex_unlock(&c->lock);
}

static enum rfs_err
survey(struct compaction *c)
{
	int64_t start = clock_monotonic_ns();
	uint64_t bucket = 1;
	bool found = true;
	enum rfs_err err;

	step_begin(c, "look", 0);
	arena_reset(c->rq.arena);
	request_clear_error(&c->rq);
	if ((err = volumes_list(c)))
		return err;
	while (!err && !(err = storage_bucket_from(c->storage, &c->rq, &bucket, &found)) && found)
		err = bucket_survey(c, bucket++);
	c->looked_ns += clock_monotonic_ns() - start;
	if (!err)
		survey_keep(c);
	return err;
}

/* --- what goes -------------------------------------------------------------------------------------------------------------------- */

static bool
is_settled(const struct volume_state *s)
{
	return s->v.sealed && !s->v.tickets;
}

/* What the store takes. */
static uint64_t
disk_bytes(struct compaction *c)
{
	struct metadata_driver *d = metadata_driver(c->storage->metadata);
	struct metadata_info info = { 0 };

	d->ops->info(d, &info);
	return info.bytes_on_disk;
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
	return gain >= least_gain(c) && gain > (c->by_hand ? cost : 2 * cost);
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
	return pace(c, 2 * more);
}

static enum rfs_err
checkpoint_make(struct compaction *c)
{
	struct metadata_driver *d = metadata_driver(c->storage->metadata);
	struct checkpoint_info made;
	enum rfs_err err;

	step_begin(c, "checkpoint", 0);
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
	if (!is_listed(c->kept, c->kept_count, number))
		scrub_start(c->storage);
	list_add(&c->kept, &c->kept_count, number);
}

/* Seals it if it is being written, and moves what is live in it. */
static enum rfs_err
volume_empty(struct compaction *c, const struct volume_state *s)
{
	struct storage_driver *d = c->storage->driver;
	struct moved moved = { 0 };
	enum rfs_err err = RFS_OK;

	step_begin(c, "move", s->v.number);
	arena_reset(c->rq.arena);
	request_clear_error(&c->rq);
	if (!s->v.sealed)
		err = d->volumes->seal(d, &c->rq, s->v.number);
	if (!err && s->live_blocks)
		err = volume_move(c->storage, &c->rq, s->v.number, pace, c, &moved);
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
	for (size_t i = 0; !err && i < count && (i == 0 || (moved < most && !is_full())); i++) {
		moved += list[i]->live_bytes;
		uncovered |= list[i]->v.has_batches && !list[i]->v.covered;
		err = volume_empty(c, list[i]);
		if (err == RFS_ERR_NO_SPACE && i > 0) { /* those before it make room */
			err = RFS_OK;
			break;
		}
		list_add(&c->tried, &c->tried_count, list[i]->v.number);
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

	if ((err = survey(c)) || (err = remove_empty(c)))
		return err;
	while (any) {
		if ((err = empty_worst(c, &any)) || !any)
			return err;
		if ((err = survey(c)) || (err = remove_empty(c)))
			return err;
	}
	return RFS_OK;
}

static enum rfs_err
round_run(struct compaction *c)
{
	uint64_t dropped = atomic_exchange(&c->storage->dropped_bytes, 0), stored = disk_bytes(c);
	enum rfs_err err;

	c->report = (struct compaction_report){ 0 };
	c->looked_ns = 0;
	c->left = false;
	c->tried_count = 0;
	c->rq.now_ns = clock_wall_ns();
	err = round_steps(c);
	if (!err)
		survey_tell(c);
	if (err || c->left) /* little is looked at again, but not soon */
		atomic_fetch_add(&c->storage->dropped_bytes, err ? dropped : 1);
	if (!err)
		c->stored_bytes = disk_bytes(c) < stored ? disk_bytes(c) : stored;
	return err;
}

/* --- when ------------------------------------------------------------------------------------------------------------------------- */

static void
round_ended(struct compaction *c, uint64_t asked, enum rfs_err err)
{
	const struct compaction_report *r = &c->report;

	if (err && err != RFS_ERR_CANCELLED)
		log_warn(0, "compaction: %s%s%s", error_face(err)->name, c->rq.detail ? ": " : "", c->rq.detail ? c->rq.detail : "");
	if (r->volumes_removed)
		log_info(0, "compaction: %llu volumes, %llu bytes given back; %llu bytes moved", (unsigned long long)r->volumes_removed,
			(unsigned long long)r->bytes_freed, (unsigned long long)r->bytes_moved);
	if (r->volumes_without_room)
		log_warn(0, "compaction: what is live in %llu volumes finds no room on the disk", (unsigned long long)r->volumes_without_room);
	pthread_mutex_lock(&c->lock);
	c->step = "wait";
	c->step_volume = 0;
	if (c->by_hand) {
		c->answered = asked;
		c->last = *r;
		c->last_error = err;
		pthread_cond_broadcast(&c->ended);
	}
	pthread_mutex_unlock(&c->lock);
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Many deletes are looked at soon, and any when the disk is full, few after a while; much that was written, too, for names and properties that are replaced leave garbage in the log. Most of
 * the time it rests, however large the store.
 */
static int64_t
look_at_ns(struct compaction *c, bool first)
{
	uint64_t dropped = atomic_load(&c->storage->dropped_bytes);
	int64_t wait = c->interval_ns, soon = wait;

	if (!c->enabled)
		return INT64_MAX;
	if (dropped >= larger(c->volume_bytes / 8, c->stored_bytes / 32) || (dropped && is_full()))
		soon = LOOK_AGAIN_NS;
	else if (first)
		soon = FIRST_LOOK_NS;
	else if (disk_bytes(c) >= c->stored_bytes + larger(c->volume_bytes / 2, c->stored_bytes / 4))
		soon = LOOK_AGAIN_NS;
	else if (!dropped)
		return INT64_MAX;
	wait = soon < wait ? soon : wait;
	return c->last_ns + (is_full() ? wait : (int64_t)larger((uint64_t)wait, (uint64_t)c->looked_ns * REST_FACTOR));
}

/* False: it is over. Deletes do not wake it: it looks at their number now and then. */
static bool
wait_for_work(struct compaction *c, bool first, uint64_t *asked)
{
	bool go_on = false;

	while (!go_on) {
		int64_t at = look_at_ns(c, first), now = clock_monotonic_ns(), tick = now + LOOK_TICK_NS;
		struct timespec until = { .tv_sec = tick / 1000000000, .tv_nsec = tick % 1000000000 };

		pthread_mutex_lock(&c->lock);
		if (!c->stopping && c->asked == c->answered && now < at) {
			if (at == INT64_MAX && !c->enabled)
				pthread_cond_wait(&c->wake, &c->lock);
			else
				pthread_cond_timedwait(&c->wake, &c->lock, &until);
		}
		*asked = c->asked;
		c->by_hand = c->asked != c->answered;
		go_on = c->stopping || c->by_hand || now >= at;
		pthread_mutex_unlock(&c->lock);
	}
	return !compaction_stopping(c);
}

static void *
compaction_run(void *data)
{
	struct compaction *c = data;
	bool first = true;
	uint64_t asked;

	thread_role_set(THREAD_BACKGROUND, "compaction");
	c->last_ns = clock_monotonic_ns();
	while (wait_for_work(c, first, &asked)) {
		enum rfs_err err = round_run(c);

		round_ended(c, asked, err);
		first = false;
		/* Deletes and others make room, which is not worth a wait beyond the one between looks. */
		c->last_ns = clock_monotonic_ns() + (err && err != RFS_ERR_NO_SPACE ? FAILED_WAIT_NS : 0);
	}
	return NULL;
}

enum rfs_err
storage_compact(struct storage *s, struct request *rq, struct compaction_report *out)
{
	struct compaction *c = s->compaction;
	uint64_t mine;
	enum rfs_err err;

	ASSERT_MAY_BLOCK();
	if (!c)
		return request_fail(rq, RFS_ERR_NOT_IMPLEMENTED, "this store's driver gives space back by itself");
	reaper_finish(s); /* what was deleted a moment ago is to be given back too */
	pthread_mutex_lock(&c->lock);
	mine = ++c->asked;
	pthread_cond_broadcast(&c->wake);
	while (!c->stopping && c->answered < mine)
		pthread_cond_wait(&c->ended, &c->lock);
	*out = c->last;
	err = c->answered < mine || c->last_error == RFS_ERR_CANCELLED ? RFS_ERR_SHUTTING_DOWN : c->last_error;
	pthread_mutex_unlock(&c->lock);
	return err ? request_fail(rq, err, "compaction: %s; the log says more", error_face(err)->text) : RFS_OK;
}

struct compaction *
compaction_start(struct storage *s, const struct config *config)
{
	struct compaction *c = xcalloc(1, sizeof(*c));
	struct volume_limits limits;
	pthread_condattr_t monotonic;

	c->storage = s;
	c->step = "wait";
	c->enabled = config->compaction_enabled;
	c->percent = (unsigned)config->compaction_garbage_percent;
	c->rate = (uint64_t)config->compaction_rate;
	c->interval_ns = config->compaction_interval * 1000000;
	s->driver->volumes->limits(s->driver, &limits);
	c->volume_bytes = limits.size;
	c->rq = (struct request){ .arena = arena_new(65536), .door = "compaction", .may_block = true, .need = SPACE_COMPACTS };
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_cond_init(&c->ended, NULL);
	if (pthread_create(&c->thread, NULL, compaction_run, c) != 0) {
		log_error(0, "start the thread of compaction");
		abort();
	}
	return c;
}

void
compaction_stop(struct compaction *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_broadcast(&c->wake);
	pthread_cond_broadcast(&c->ended);
	pthread_mutex_unlock(&c->lock);
}

void
compaction_free(struct compaction *c)
{
	if (!c)
		return;
	compaction_stop(c);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->wake);
	pthread_cond_destroy(&c->ended);
	pthread_mutex_destroy(&c->lock);
	arena_free(c->rq.arena);
	free(c->volumes);
	free(c->seen);
	free(c->kept);
	free(c->tried);
	free(c);
}

/* --- for developers --------------------------------------------------------------------------------------------------------------- */

static void
volume_describe(const struct volume_live *seen, size_t seen_count, const struct storage_volume *v, struct dump *out)
{
	dump_object(out, NULL);
	dump_volume(out, "volume", v->number);
	dump_number(out, "bytes", v->bytes);
	for (size_t i = 0; i < seen_count; i++)
		if (seen[i].number == v->number)
			dump_number(out, "live_bytes", seen[i].bytes);
	dump_bool(out, "sealed", v->sealed);
	dump_bool(out, "has_batches", v->has_batches);
	dump_bool(out, "covered", v->covered);
	dump_number(out, "tickets", v->tickets);
	dump_end(out);
}

void
compaction_describe(struct compaction *c, struct request *rq, struct dump *out)
{
	struct storage_driver *d = c->storage->driver;
	struct storage_volume *list = NULL;
	size_t count = 0;

	if (d->volumes->list(d, rq, &list, &count))
		count = 0;
	dump_list(out, "volumes");
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < count && i < DUMP_LIST_MOST; i++)
		volume_describe(c->seen, c->seen_count, &list[i], out);
	dump_end(out);
	dump_object(out, "compaction");
	dump_text(out, "step", bytes_str(c->step));
	if (c->step_volume)
		dump_volume(out, "volume", c->step_volume);
	dump_bool(out, "asked_by_hand", c->asked != c->answered);
	pthread_mutex_unlock(&c->lock);
	dump_number(out, "dropped_bytes", atomic_load(&c->storage->dropped_bytes));
	dump_end(out);
	free(list);
}
