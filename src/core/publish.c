/*
 * publish.c: how a verb's changes are committed: a batch is built from what is read, and after a lost race built again.
 * [any]
 *
 * With rq->may_block false there is one attempt, which ends as PENDING; the verb, called again after rq->wake, comes
 * back here for the result. Of many verbs at once each has its attempts so, while the worker builds the next ones.
 */
#include "base/thread.h"
#include "core/core_int.h"
#include <pthread.h>
#include <stddef.h>

#define MANY_AT_ONCE 64 /* commits of one caller under way: beyond that syncs cost little beside the rest */

static enum rfs_err
attempt_end(struct core *core, struct request *rq, struct batch *batch)
{
	enum rfs_err err = metadata_commit_end(core->metadata, batch);

	rq->pending = NULL;
	return err;
}

static enum rfs_err
attempt_begin(struct core *core, struct request *rq, publish_build *build, void *verb, struct batch *batch, bool *nothing)
{
	enum rfs_err err;

	batch_reset(batch);
	request_clear_error(rq);
	*nothing = false;
	if ((err = build(core, rq, verb, batch)))
		return err;
	*nothing = batch->op_count == 0;
	if (rq->may_block)
		return *nothing ? metadata_writable(core->metadata) : metadata_commit(core->metadata, rq, batch);
	if (*nothing)
		return RFS_ERR_WOULD_BLOCK; /* to ask whether the store is writable may take a wait */
	rq->pending = batch;
	metadata_commit_begin(core->metadata, rq, batch);
	return RFS_ERR_PENDING;
}

enum rfs_err
publish(struct core *core, struct request *rq, publish_build *build, void *verb, uint64_t *serial)
{
	struct batch *batch = rq->pending ? rq->pending : batch_new(0);
	unsigned attempt = 0;
	bool nothing = false;
	enum rfs_err err;

	if (rq->pending)
		err = attempt_end(core, rq, batch);
	else
		do
			err = attempt_begin(core, rq, build, verb, batch, &nothing);
		while (err == RFS_ERR_CONFLICT && rq->may_block && request_may_retry(rq, attempt++));
	if (err == RFS_ERR_PENDING)
		return err;
	/* A loop does not wait between attempts. */
	if (err == RFS_ERR_CONFLICT && !rq->may_block)
		err = RFS_ERR_WOULD_BLOCK;
	*serial = err || nothing ? 0 : batch->serial;
	batch_free(batch);
	return err;
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

struct many {
	struct core *core;
	struct request *rq;
	publish_build *build;
	publish_ended *ended;
	size_t under_way;
	pthread_mutex_t lock; /* is_done of all attempts */
	pthread_cond_t done;
};

struct attempt {
	struct request rq; /* whose wake says that it has ended */
	struct many *many;
	struct batch *batch;
	void *verb; /* NULL: nothing is under way */
	unsigned races_lost;
	bool is_done;
};

/* [any] */
static void
attempt_wake(struct request *rq)
{
	struct attempt *a = (struct attempt *)((char *)rq - offsetof(struct attempt, rq));
	struct many *many = a->many;

	pthread_mutex_lock(&many->lock);
	a->is_done = true;
	pthread_cond_signal(&many->done);
	pthread_mutex_unlock(&many->lock);
}

static void
attempt_launch(struct attempt *a, void *verb)
{
	struct many *many = a->many;
	enum rfs_err err;

	a->rq = *many->rq;
	a->rq.wake = attempt_wake;
	request_clear_error(&a->rq);
	if (!a->batch)
		a->batch = batch_new(0);
	batch_reset(a->batch);
	err = many->build(many->core, &a->rq, verb, a->batch);
	if (err || a->batch->op_count == 0) {
		many->ended(verb, &a->rq, err ? err : metadata_writable(many->core->metadata), 0);
		return;
	}
	a->verb = verb;
	a->is_done = false;
	many->under_way++;
	metadata_commit_begin(many->core->metadata, &a->rq, a->batch);
}

/* Ends what is under way, if anything is; what has lost a race begins anew. */
static void
attempt_land(struct attempt *a)
{
	struct many *many = a->many;
	void *verb = a->verb;
	enum rfs_err err;

	if (!verb)
		return;
	pthread_mutex_lock(&many->lock);
	while (!a->is_done)
		pthread_cond_wait(&many->done, &many->lock);
	pthread_mutex_unlock(&many->lock);
	a->verb = NULL;
	many->under_way--;
	err = metadata_commit_end(many->core->metadata, a->batch);
	if (err == RFS_ERR_CONFLICT && request_may_retry(&a->rq, a->races_lost++))
		attempt_launch(a, verb);
	else
		many->ended(verb, &a->rq, err, err ? 0 : a->batch->serial);
}

void
publish_many(struct core *core, struct request *rq, publish_build *build, publish_ended *ended, void *verbs,
	size_t count, size_t size)
{
	struct many many = {.core = core,
		.rq = rq,
		.build = build,
		.ended = ended,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.done = PTHREAD_COND_INITIALIZER};
	struct attempt attempts[MANY_AT_ONCE], *a;
	size_t begun = 0;

	ASSERT_MAY_BLOCK();
	for (size_t i = 0; i < MANY_AT_ONCE; i++)
		attempts[i] = (struct attempt){.many = &many};
	for (size_t at = 0; begun < count || many.under_way > 0; at++) {
		a = &attempts[at % MANY_AT_ONCE];
		attempt_land(a);
		if (a->verb || begun == count)
			continue;
		a->races_lost = 0;
		attempt_launch(a, (char *)verbs + begun++ * size);
	}
	for (size_t i = 0; i < MANY_AT_ONCE; i++)
		batch_free(attempts[i].batch);
	pthread_cond_destroy(&many.done);
	pthread_mutex_destroy(&many.lock);
}
