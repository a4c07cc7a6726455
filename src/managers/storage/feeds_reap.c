/*
 * feeds_reap.c: what is too old or too much leaves the feeds, bucket after bucket, also of those that were removed.
 * [background]
 *
 * A round is gone on with, some steps at a time, so that the rest of the reaper's work does not wait for a long feed.
 */
#include "base/clock.h"
#include "base/log.h"
#include "managers/storage/storage_int.h"

#define STEPS_AT_ONCE 64

/* A step in the bucket of the round; false: the round is over. */
static bool
round_step(struct storage *s, struct request *rq, struct feeds_round *round)
{
	bool more = false, found;
	enum rfs_err err;

	arena_reset(rq->arena);
	rq->detail = NULL;
	if ((err = storage_bucket_from(s, rq, &round->bucket, &found)) || !found)
		return false;
	if ((err = feed_prune(s->metadata, rq, round->bucket, &s->feed_limits, &more)))
		log_warn(rq->id, "pruning the feed of bucket number %llu: %s%s%s", (unsigned long long)round->bucket,
			error_face(err)->name, rq->detail ? ": " : "", rq->detail ? rq->detail : "");
	round->bucket += !more;
	return err != RFS_ERR_POISONED;
}

void
feeds_reap(struct storage *s, struct request *rq, struct feeds_round *round)
{
	if (!round->next_ns) /* not at once: a store that starts has other things to do */
		round->next_ns = clock_monotonic_ns() + s->feed_interval_ns;
	if (clock_monotonic_ns() < round->next_ns)
		return;
	if (!round->bucket)
		round->bucket = DOMAIN_BUCKET + 1;
	for (int i = 0; i < STEPS_AT_ONCE; i++) {
		if (reaper_stopping(s))
			return;
		if (!round_step(s, rq, round)) {
			*round = (struct feeds_round){0};
			return;
		}
	}
}
