/*
 * object_list.c: a page of keys and common prefixes, in byte order. Obeys rq->may_block.
 *
 * The delimiter "/" is the tree's own: directories are items without being entered. Any other one is found in the keys, and what it covers is skipped by
 * seeking behind it.
 */
#include "core/core_int.h"

struct listing {
	struct core *core;
	struct request *rq;
	const struct object_list_args *args;
	struct bucket_row bucket;
	struct tree_walk *walk;
	bool flat;
};

static struct bytes
behind_key(struct arena *a, struct bytes key)
{
	uint8_t *p = arena_alloc(a, key.len + 1);

	memcpy(p, key.data, key.len);
	p[key.len] = 0;
	return bytes_of(p, key.len + 1);
}

size_t
common_prefix_end(struct bytes prefix, struct bytes delimiter, struct bytes key)
{
	if (!delimiter.len)
		return 0;
	for (size_t at = prefix.len; at + delimiter.len <= key.len; at++)
		if (memcmp(key.data + at, delimiter.data, delimiter.len) == 0)
			return at + delimiter.len;
	return 0;
}

static struct tree_walk *
walk_from(struct listing *l, struct bytes from)
{
	return tree_walk_new(l->core->metadata, l->rq, &l->bucket, l->args->prefix, from, l->flat);
}

/* The first key that may be listed: behind `after`, and behind all that it covers when it is a common prefix. */
static struct bytes
first_key(struct listing *l)
{
	const struct object_list_args *args = l->args;
	struct arena *a = l->rq->arena;

	if (!args->after.len)
		return bytes_of(NULL, 0);
	if (bytes_starts_with(args->after, args->prefix) && common_prefix_end(args->prefix, args->delimiter, args->after) == args->after.len)
		return key_after_prefix(a, args->after);
	return behind_key(a, args->after);
}

static enum rfs_err
item_next(struct listing *l, struct object_list_item *item)
{
	struct tree_item found;
	size_t end;
	enum rfs_err err;

	if ((err = tree_walk_next(l->walk, &found)))
		return err;
	end = found.is_prefix ? found.key.len : common_prefix_end(l->args->prefix, l->args->delimiter, found.key);
	item->is_prefix = end != 0;
	item->version = found.version;
	item->key = arena_copy(l->rq->arena, end ? bytes_sub(found.key, 0, end) : found.key);
	if (end && !l->flat)
		l->walk = walk_from(l, key_after_prefix(l->rq->arena, item->key));
	return RFS_OK;
}

enum rfs_err
object_list(struct core *core, struct request *rq, const struct object_list_args *args, struct object_list *out)
{
	struct listing l = { .core = core, .rq = rq, .args = args, .flat = bytes_equal_str(args->delimiter, "/") };
	struct object_list_item past;
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	if ((err = bucket_open_listing(core, rq, args->bucket, args->prefix, &l.bucket)))
		return err;
	if (args->limit == 0)
		return RFS_OK;
	out->items = ARENA_ARRAY(rq->arena, struct object_list_item, args->limit);
	l.walk = walk_from(&l, first_key(&l));
	while (!err && out->count < args->limit)
		if (!(err = item_next(&l, &out->items[out->count])))
			out->count++;
	if (!err && !(err = item_next(&l, &past))) {
		out->more = true;
		out->next = out->items[out->count - 1].key;
	}
	return err == RFS_ERR_NOT_FOUND ? RFS_OK : err;
}
