/*
 * reaper.c: when the rows and references of contents go that no name holds any more: purge rows say which. [background]
 *
 * A content that is being read waits until its readers are gone, one that a snapshot needs until that is. Staged contents are left alone, but for those
 * that a process before this one left behind.
 */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "base/thread.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define REAP_WAIT_MOST 64 /* seconds between rounds that fail; others follow each other after one */

bool
reaper_stopping(struct storage *s)
{
	bool stopping;

	pthread_mutex_lock(&s->reaper_lock);
	stopping = s->stopping;
	pthread_mutex_unlock(&s->reaper_lock);
	return stopping;
}

/* Which bucket it is at; 0: none. */
static void
reaper_at(struct storage *s, uint64_t bucket)
{
	pthread_mutex_lock(&s->reaper_lock);
	s->reaped += bucket == 0;
	s->reaping = bucket;
	pthread_mutex_unlock(&s->reaper_lock);
}

static void
bucket_reap(struct storage *s, struct request *rq, uint64_t bucket, struct reap_round *round)
{
	reaper_at(s, bucket);
	purged_reap(s, rq, bucket, round);
	reaper_at(s, 0);
}

/* Every bucket of the store from `*bucket` on, also one that was removed: from one bucket's first key to the next's. False: to be gone on with. */
static bool
store_reap(struct storage *s, struct request *rq, uint64_t *bucket)
{
	while (!reaper_stopping(s)) {
		struct reap_round round = { 0 };
		bool found;

		if (storage_bucket_from(s, rq, bucket, &found))
			return false;
		if (!found)
			return true;
		bucket_reap(s, rq, *bucket, &round);
		if (round.left)
			metadata_purge_note(s->metadata, *bucket);
		++*bucket;
		arena_reset(rq->arena);
	}
	return true;
}

static uint64_t
reaper_asked(struct storage *s)
{
	uint64_t asked;

	pthread_mutex_lock(&s->reaper_lock);
	asked = s->reap_asked;
	pthread_mutex_unlock(&s->reaper_lock);
	return asked;
}

/* Whoever had asked by then is told, and others may. */
static void
reaper_wait(struct storage *s, uint64_t asked, unsigned seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&s->reaper_lock);
	s->reap_answered = asked;
	pthread_cond_broadcast(&s->reaper_done);
	if (!s->stopping && s->reap_asked == asked)
		pthread_cond_timedwait(&s->reaper_wake, &s->reaper_lock, &until);
	pthread_mutex_unlock(&s->reaper_lock);
}

void
reaper_finish(struct storage *s)
{
	uint64_t mine;

	ASSERT_MAY_BLOCK();
	pthread_mutex_lock(&s->reaper_lock);
	mine = ++s->reap_asked;
	pthread_cond_signal(&s->reaper_wake);
	while (!s->stopping && !s->shutting_down && s->reap_answered < mine)
		pthread_cond_wait(&s->reaper_done, &s->reaper_lock);
	pthread_mutex_unlock(&s->reaper_lock);
}

/* A round over each bucket that had something purged by now. True: none of them failed. */
static bool
noted_reap(struct storage *s, struct request *rq)
{
	struct reap_round all = { 0 };
	uint64_t *buckets;
	size_t count = metadata_purged(s->metadata, &buckets);

	for (size_t i = 0; i < count && !reaper_stopping(s); i++) {
		struct reap_round round;

		do {
			round = (struct reap_round){ 0 };
			bucket_reap(s, rq, buckets[i], &round);
		} while (round.more && !round.left && !round.failed && !reaper_stopping(s));
		if (round.left || round.more)
			metadata_purge_note(s->metadata, buckets[i]);
		all.failed |= round.failed;
	}
	free(buckets);
	return !all.failed;
}

/*
 * [background] One round over everything at the start, then, not more often than once a second unless somebody waits for it, one over the buckets that had
 * something purged: what was deleted together goes together. And the feeds, now and then.
 */
void *
reaper_run(void *data)
{
	struct storage *s = data;
	struct request rq = { .arena = arena_new(65536), .door = "reaper", .may_block = true, .need = SPACE_FREES };
	struct feeds_round feeds = { 0 };
	uint64_t start = 1, asked;
	unsigned seconds = 1;
	bool started = false;

	thread_role_set(THREAD_BACKGROUND, "reaper");
	while (!reaper_stopping(s)) {
		asked = reaper_asked(s);
		rq.now_ns = clock_wall_ns();
		rq.detail = NULL;
		arena_reset(rq.arena);
		started = started || store_reap(s, &rq, &start);
		feeds_reap(s, &rq, &feeds);
		damages_tend(s, &rq);
		if (noted_reap(s, &rq) && started)
			seconds = 1;
		else if (seconds < REAP_WAIT_MOST)
			seconds *= 2;
		reaper_wait(s, asked, seconds);
	}
	arena_free(rq.arena);
	return NULL;
}
