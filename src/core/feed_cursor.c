/* feed_cursor.c: readers of a feed that say how far they are. */
#include "core/core_int.h"
#include <ctype.h>

#define NAME_MOST 64

static bool
name_is_legal(struct bytes name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum(name.data[i]) && !strchr("-_.", name.data[i]))
			return false;
	return name.len > 0 && name.len <= NAME_MOST;
}

struct cursor_verb {
	struct bytes bucket;
	struct bytes name;
	uint64_t position;
};

/* May it stand there? */
static enum rfs_err
position_check(
	struct core *core, struct request *rq, uint64_t bucket, uint64_t position, const struct feed_state *state)
{
	uint64_t last;
	enum rfs_err err;

	if (position < state->pruned)
		return request_fail(rq, RFS_ERR_GONE, "Changes up to serial %llu have been removed from the feed",
			(unsigned long long)state->pruned);
	if ((err = feed_last(core->metadata, rq, bucket, &last)))
		return err;
	return position <= last ? RFS_OK
				: request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "The feed has only come to serial %llu",
					  (unsigned long long)last);
}

static enum rfs_err
room_check(struct core *core, struct request *rq, uint64_t bucket, struct bytes key)
{
	struct feed_cursor *cursors;
	struct row row;
	size_t count;
	enum rfs_err err = metadata_get(core->metadata, rq, key, &row);

	if (err || row.found)
		return err;
	if ((err = feed_cursors(core->metadata, rq, bucket, &cursors, &count)))
		return err;
	return count < FEED_CURSORS_MAX
		       ? RFS_OK
		       : request_fail(rq, RFS_ERR_LIMIT, "A feed has at most %d cursors", FEED_CURSORS_MAX);
}

/* The state is put with it, unchanged: see feed_cursors. */
static enum rfs_err
set_build(struct core *core, struct request *rq, void *data, struct batch *b)
{
	const struct cursor_verb *verb = data;
	struct cursor_row cursor = {.position = verb->position, .moved_ns = rq->now_ns};
	struct bucket_row bucket;
	struct feed_state state;
	struct bytes key;
	struct buf value;
	enum rfs_err err;

	if ((err = bucket_open(core, rq, verb->bucket, OP_BUCKET_CONFIGURE, &bucket)) ||
		(err = feed_state_get(core->metadata, rq, bucket.id, &state)) ||
		(err = position_check(core, rq, bucket.id, verb->position, &state)))
		return err;
	key = key_cursor(b->arena, bucket.id, verb->name);
	if ((err = room_check(core, rq, bucket.id, key)))
		return err;
	b->bucket = bucket.id;
	bucket_check(b, &bucket);
	feed_state_put(b, bucket.id, &state);
	buf_init(&value, b->arena);
	cursor_encode(&value, &cursor);
	batch_put(b, key, buf_bytes(&value));
	return RFS_OK;
}

enum rfs_err
feed_cursor_set(struct core *core, struct request *rq, struct bytes bucket, struct bytes name, uint64_t position)
{
	struct cursor_verb verb = {.bucket = bucket, .name = name, .position = position};
	uint64_t serial;

	if (!name_is_legal(name))
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT,
			"A cursor's name has 1 to %d letters, digits, '-', '_' and '.'", NAME_MOST);
	return publish(core, rq, set_build, &verb, &serial);
}

static enum rfs_err
remove_build(struct core *core, struct request *rq, void *data, struct batch *b)
{
	const struct cursor_verb *verb = data;
	struct bucket_row bucket;
	struct row row;
	struct bytes key;
	enum rfs_err err;

	if ((err = bucket_open(core, rq, verb->bucket, OP_BUCKET_CONFIGURE, &bucket)))
		return err;
	key = key_cursor(b->arena, bucket.id, verb->name);
	if ((err = metadata_get(core->metadata, rq, key, &row)) || !row.found)
		return err ? err : request_fail(rq, RFS_ERR_NOT_FOUND, "The bucket's feed has no cursor of this name");
	b->bucket = bucket.id;
	batch_checked(batch_delete(b, key), row.serial);
	return RFS_OK;
}

enum rfs_err
feed_cursor_remove(struct core *core, struct request *rq, struct bytes bucket, struct bytes name)
{
	struct cursor_verb verb = {.bucket = bucket, .name = name};
	uint64_t serial;

	rq->need = SPACE_FREES;
	return publish(core, rq, remove_build, &verb, &serial);
}

enum rfs_err
feed_cursor_list(struct core *core, struct request *rq, struct bytes bucket, struct feed_ends *ends,
	struct feed_cursor **out, size_t *count)
{
	struct feed_state state;
	struct bucket_row row;
	enum rfs_err err;

	if ((err = bucket_open(core, rq, bucket, OP_FEED_READ, &row)) ||
		(err = feed_state_get(core->metadata, rq, row.id, &state)) ||
		(err = feed_last(core->metadata, rq, row.id, &ends->last)))
		return err;
	ends->pruned = state.pruned;
	return feed_cursors(core->metadata, rq, row.id, out, count);
}
