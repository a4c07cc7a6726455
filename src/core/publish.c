/*
 * publish.c: how a verb's changes are committed: a batch is built from what is read, and after a lost race built again. [any]
 *
 * With rq->may_block false there is one attempt, which ends as PENDING; the verb, called again after rq->wake, comes back here for the result.
 */
#include "core/core_int.h"

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
