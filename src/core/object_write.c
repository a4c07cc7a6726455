/*
 * object_write.c: bytes of an object are written over, or its size is changed: another content, which shares the blocks that stay, takes the place of the one that was
 * there. What reads the old one goes on reading it. [worker]
 */
#include "core/core_int.h"
#include "base/clock.h"
#include "base/thread.h"

struct object_write {
	const struct object_write_args *args;
	struct object_at at;
	struct content_share share;
	struct version *version;
};

/* No client takes it for an MD5. */
static struct bytes
etag_make(struct arena *arena)
{
	return bytes_str(arena_printf(arena, "%016llx%016llx-1", (unsigned long long)random_u64(), (unsigned long long)random_u64()));
}

static enum rfs_err
change_of(struct request *rq, const struct object_write_args *args, uint64_t size, struct content_change *out)
{
	uint64_t end = args->offset + args->bytes.len;

	if (end < args->offset || end > OBJECT_BYTES_MAX || (args->resize && args->size > OBJECT_BYTES_MAX))
		return request_fail(rq, RFS_ERR_ENTITY_TOO_LARGE, "an object has at most 5 TiB");
	if (args->resize && args->bytes.len && end > args->size)
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "bytes are behind the new end");
	*out = (struct content_change){.offset = args->bytes.len ? args->offset : 0, .bytes = args->bytes};
	out->size = args->resize ? args->size : args->bytes.len && end > size ? end : size;
	return RFS_OK;
}

static enum rfs_err
version_build(struct core *core, struct request *rq, void *verb, struct batch *b)
{
	struct object_write *w = verb;
	struct object_at *at = &w->at;
	struct version *v = w->version;
	struct content_change change;
	enum rfs_err err;

	if ((err = object_resolve(core, rq, w->args->bucket, w->args->key, OP_OBJECT_WRITE, at)))
		return err;
	if (!at->name.found)
		return RFS_ERR_NO_SUCH_KEY;
	if (at->name.head.flags & VERSION_DIRECTORY)
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "a directory has no bytes");
	if ((err = conditions_hold(rq, &w->args->conditions, object_head(at), false)) ||
		(err = change_of(rq, w->args, at->name.head.content.size, &change)))
		return err;
	b->bucket = at->bucket.id;
	bucket_check(b, &at->bucket);
	*v = at->name.head;
	v->etag = etag_make(rq->arena);
	v->has_checksum = false;
	v->parts = 0;
	err = content_share(core->storage, rq, &at->bucket, b, &at->name.head.content, &change, &w->share);
	v->content = w->share.content;
	if (err == RFS_ERR_NOT_FOUND)
		return RFS_ERR_CONFLICT; /* it was replaced meanwhile: read it again */
	if (err || (err = name_put(core->metadata, rq, b, &at->bucket, &at->name, v)))
		return err;
	feed_append(b, rq, &at->bucket, CHANGE_PUT, w->args->key, v);
	return RFS_OK;
}

enum rfs_err
object_write(struct core *core, struct request *rq, const struct object_write_args *args, struct version *out)
{
	struct object_write w = {.args = args, .version = out};
	enum rfs_err err;

	ASSERT_MAY_BLOCK();
	err = publish(core, rq, version_build, &w, &out->serial);
	content_share_end(core->storage, rq, &w.at.bucket, &w.share, err == RFS_OK);
	return err;
}
