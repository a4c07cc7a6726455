/*
 * compaction.c: when the space of deleted blocks is given back: by itself, some time after deletes, and when asked. A thread of its own; what it does is in
 * compaction_round.c. [background]
 */
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "managers/storage/compaction_int.h"
#include <stdlib.h>

#define LOOK_AGAIN_NS (10 * NS_PER_SECOND) /* the shortest time between looks that deletes bring about */
#define LOOK_TICK_NS INT64_C(500000000)
#define FIRST_LOOK_NS (60 * NS_PER_SECOND) /* after the start: for what was deleted before it */
#define REST_FACTOR 19 /* of twenty parts of the time it looks for at most one, unless asked, or the disk is full */
#define FAILED_WAIT_NS (60 * NS_PER_SECOND)

bool
compaction_pace(void *data, uint64_t bytes)
{
	struct compaction *c = data;
	int64_t now = clock_monotonic_ns();
	bool go_on;

	pthread_mutex_lock(&c->lock);
	if (c->due_ns < now)
		c->due_ns = now;
	c->due_ns += (int64_t)((double)bytes * 1e9 / (double)c->rate);
	while (!c->stopping && c->asked == c->answered && c->due_ns > clock_monotonic_ns()) {
		struct timespec until = clock_timespec(c->due_ns);

		pthread_cond_timedwait(&c->wake, &c->lock, &until);
	}
	if (c->asked != c->answered)
		c->due_ns = 0;
	go_on = !c->stopping;
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

bool
compaction_is_full(void)
{
	return metric_get(METRIC_STORE_FULL) != 0;
}

void
compaction_step(struct compaction *c, const char *step, uint64_t volume)
{
	pthread_mutex_lock(&c->lock);
	c->step = step;
	c->step_volume = volume;
	pthread_mutex_unlock(&c->lock);
}

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
int64_t
compaction_look_at_ns(struct compaction *c, bool first)
{
	uint64_t dropped = atomic_load(&c->storage->dropped_bytes);
	int64_t wait = c->interval_ns, soon = wait;

	if (!c->enabled)
		return INT64_MAX;
	if (dropped >= larger(c->volume_bytes / 8, c->stored_bytes / 32) || (dropped && compaction_is_full()))
		soon = LOOK_AGAIN_NS;
	else if (first)
		soon = FIRST_LOOK_NS;
	else if (compaction_disk_bytes(c) >= c->stored_bytes + larger(c->volume_bytes / 2, c->stored_bytes / 4))
		soon = LOOK_AGAIN_NS;
	else if (!dropped)
		return INT64_MAX;
	wait = soon < wait ? soon : wait;
	return c->last_ns + (compaction_is_full() ? wait : (int64_t)larger((uint64_t)wait, (uint64_t)c->looked_ns * REST_FACTOR));
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

/* False: it is over. Deletes do not wake it: it looks at their number now and then. */
static bool
wait_for_work(struct compaction *c, bool first, uint64_t *asked)
{
	bool go_on = false;

	while (!go_on) {
		int64_t at = compaction_look_at_ns(c, first), now = clock_monotonic_ns(), tick = now + LOOK_TICK_NS;
		struct timespec until = clock_timespec(tick);

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
		enum rfs_err err = compaction_round(c);

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
	if ((err = metadata_writable(s->metadata)))
		return request_fail(rq, err, "compaction: %s", error_face(err)->text);
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
	free(c->missing);
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
