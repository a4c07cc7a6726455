/*
 * publish.c: how a verb's changes are committed: a batch is built from what is read, and after a lost race built again.
 * [any]
 *
 * With rq->may_block false there is one attempt, which ends as PENDING; the verb, called again after rq->wake, comes
 * back here for the result. Of many verbs at once each has its first attempt so, while the worker builds the next ones.
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
	pthread_mutex_t lock; /* is_done of all attempts */
	pthread_cond_t done;
};

/* A first attempt. */
struct attempt {
	struct request rq; /* whose wake says that it has ended */
	struct many *many;
	struct batch *batch;
	void *verb; /* NULL: nothing is under way */
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

/* Ends what is under way, if anything is: what has lost a race is published alone. */
static void
attempt_land(struct attempt *a, struct core *core, struct request *rq, publish_build *build, publish_ended *ended)
{
	void *verb = a->verb;
	uint64_t serial = 0;
	enum rfs_err err;

	if (!verb)
		return;
	pthread_mutex_lock(&a->many->lock);
	while (!a->is_done)
		pthread_cond_wait(&a->many->done, &a->many->lock);
	pthread_mutex_unlock(&a->many->lock);
	a->verb = NULL;
	err = metadata_commit_end(core->metadata, a->batch);
	if (err != RFS_ERR_CONFLICT) {
		ended(verb, &a->rq, err, err ? 0 : a->batch->serial);
		return;
	}
	request_clear_error(rq);
	err = publish(core, rq, build, verb, &serial);
	ended(verb, rq, err, serial);
}

static void
attempt_launch(struct attempt *a, struct core *core, struct request *rq, publish_build *build, publish_ended *ended,
	void *verb)
{
	enum rfs_err err;

	a->rq = *rq;
	a->rq.wake = attempt_wake;
	request_clear_error(&a->rq);
	if (!a->batch)
		a->batch = batch_new(0);
	batch_reset(a->batch);
	err = build(core, &a->rq, verb, a->batch);
	if (!err && a->batch->op_count > 0) {
		a->verb = verb;
		a->is_done = false;
		metadata_commit_begin(core->metadata, &a->rq, a->batch);
		return;
	}
	ended(verb, &a->rq, err ? err : metadata_writable(core->metadata), 0);
}

void
publish_many(struct core *core, struct request *rq, publish_build *build, publish_ended *ended, void *verbs,
	size_t count, size_t size)
{
	struct many many = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
	struct attempt attempts[MANY_AT_ONCE];

	ASSERT_MAY_BLOCK();
	for (size_t i = 0; i < MANY_AT_ONCE; i++)
		attempts[i] = (struct attempt){.many = &many};
	for (size_t i = 0; i < count + MANY_AT_ONCE; i++) {
		attempt_land(&attempts[i % MANY_AT_ONCE], core, rq, build, ended);
		if (i < count)
			attempt_launch(&attempts[i % MANY_AT_ONCE], core, rq, build, ended, (char *)verbs + i * size);
	}
	for (size_t i = 0; i < MANY_AT_ONCE; i++)
		batch_free(attempts[i].batch);
	pthread_cond_destroy(&many.done);
	pthread_mutex_destroy(&many.lock);
}
