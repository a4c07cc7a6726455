/* run_write.c: blocks that are made together become a run; see storage_int.h. [worker] */
#include "managers/storage/storage_int.h"
#include <stdlib.h>

void
run_block_frame(struct storage *s, struct run_writer *w, const struct slice *parts, size_t count, size_t len, bool compress,
	const uint8_t sha256[32], struct payload *out)
{
	struct run_row *run = &w->run;
	uint32_t i = run->count;

	memcpy(run->sha256[i], sha256, 32);
	payload_build(s, parts, count, len, compress, out);
	run->stored_sizes[i] = (uint32_t)out->bytes;
	run->last_size = (uint32_t)len;
	run->block_size = i ? run->block_size : (uint32_t)len;
	run->count++;
}

enum rfs_err
run_block_put(struct storage *s, struct request *rq, uint64_t bucket, struct run_writer *w, struct payload *payload)
{
	uint32_t i = w->run.count - 1;
	enum rfs_err err = s->driver->ops->put(s->driver, rq, bucket, w->run.first + i, payload->slices, payload->count,
		&w->tickets[i]);

	payload_clear(payload);
	return err;
}

enum rfs_err
run_wait(struct storage *s, struct request *rq, const struct run_writer *w)
{
	return s->driver->ops->wait(s->driver, rq, w->tickets, w->run.count);
}

void
run_attach(struct batch *b, uint64_t bucket, const struct run_writer *w)
{
	struct batch_block blocks[RUN_MAX_BLOCKS] = {0};

	for (uint32_t i = 0; i < w->run.count; i++)
		blocks[i] = (struct batch_block){
			.number = w->run.first + i, .stored = true, .location = w->tickets[i].location};
	run_add(b, bucket, &w->run, blocks);
}

void
run_writer_fini(struct storage *s, struct run_writer *w, bool published)
{
	if (published)
		s->driver->ops->settle(s->driver, w->tickets, RUN_MAX_BLOCKS);
	else
		blocks_abandon(s, w->tickets, RUN_MAX_BLOCKS);
}
