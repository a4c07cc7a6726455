/* object_get.c: a GET or HEAD, whatever door it came through: open (may he, conditions, range), then read to the end. Obeys rq->may_block. */
#include "core/core_int.h"
#include "managers/storage/scrub.h"

#define ONE_READ_BYTES 65536 /* a content of one block, and of so many bytes, is read at once */
#define OPEN_ATTEMPTS 100 /* the head may be replaced, and its content reaped, between reading it and pinning it */

struct object_read {
	struct core *core;
	struct request *rq;
	struct bytes key, entry; /* to be told if it is damaged */
	struct content_reader *reader;
	struct slice first; /* read by open, so that what has gone is noticed there */
};

/* Its bytes cannot be given: whoever keeps the store has to know. */
static void
damage_tell(const struct object_get *get)
{
	const struct object_read *read = get->read;
	const char *text = read->rq->detail ? read->rq->detail : error_face(RFS_ERR_DAMAGED)->text;

	damage_note(
		read->core->storage, &get->bucket, read->key, read->entry, get->version.content.data_id, "read", text);
}

/* RFC 9110, 14.1.2: what of `size` bytes a range means. */
static enum rfs_err
range_resolve(const struct byte_range *range, uint64_t size, struct object_get *out)
{
	out->offset = 0;
	out->length = size;
	if (!range->given)
		return RFS_OK;
	out->partial = true;
	if (range->suffix) {
		if (range->last == 0 || size == 0)
			return RFS_ERR_INVALID_RANGE;
		out->length = range->last < size ? range->last : size;
		out->offset = size - out->length;
		return RFS_OK;
	}
	if (range->first >= size)
		return RFS_ERR_INVALID_RANGE;
	out->offset = range->first;
	out->length = size - range->first;
	if (!range->open_ended && range->last - range->first < out->length)
		out->length = range->last - range->first + 1;
	return RFS_OK;
}

/* Which bytes are those of a part. */
static enum rfs_err
part_resolve(struct core *core, struct request *rq, uint32_t number, struct object_get *out)
{
	struct part_info *part;
	size_t count, total;
	enum rfs_err err;

	err = content_part_list(core->storage, rq, &out->bucket, &out->version.content, number - 1, 1, &part, &count, &total);
	if (err)
		return err;
	if (!count)
		return request_fail(rq, RFS_ERR_INVALID_PART, "The object has no such part: there are %zu", total);
	out->part = *part;
	out->partial = part->length > 0; /* no range names no bytes */
	out->offset = part->offset;
	out->length = part->length;
	return RFS_OK;
}

/* Once the reader pins it, what the name still holds is not reaped. NOT_FOUND: it holds something else by now. What is little needs no more than the first read. */
static enum rfs_err
still_there(struct core *core, struct request *rq, const struct object_at *at)
{
	const struct row *row;
	struct row now;
	enum rfs_err err;

	if (at->name.head.content.kind == CONTENT_BLOCK && at->name.head.content.size <= ONE_READ_BYTES)
		return RFS_OK;
	err = metadata_get(core->metadata, rq, object_entry(rq->arena, at, &row), &now);
	return err ? err : now.serial == row->serial ? RFS_OK : RFS_ERR_NOT_FOUND;
}

/* `last`: what has gone has not been replaced since, time after time. */
static enum rfs_err
object_get_once(struct core *core, struct request *rq, const struct object_get_args *args, bool last, struct object_get *out)
{
	struct object_at at;
	const struct row *row;
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	if ((err = object_resolve(core, rq, args->bucket, args->key, OP_OBJECT_READ, &at)))
		return err;
	if (!at.name.found)
		return RFS_ERR_NO_SUCH_KEY;
	out->bucket = at.bucket;
	out->version = at.name.head;
	if ((err = conditions_hold(rq, &args->conditions, &out->version, true)))
		return err;
	if ((err = range_resolve(&args->range, out->version.content.size, out)))
		return err;
	if (args->part_number && (err = part_resolve(core, rq, args->part_number, out)))
		return err;
	if (args->head_only || out->length == 0)
		return RFS_OK;
	out->read = ARENA_NEW(rq->arena, struct object_read);
	*out->read = (struct object_read){ .core = core, .rq = rq, .key = args->key, .entry = object_entry(rq->arena, &at, &row) };
	out->read->reader = content_reader_new(core->storage, rq, &out->bucket, &out->version.content, out->offset, out->length, args->to_socket);
	if (args->piece)
		content_reader_pieces(out->read->reader, args->piece);
	if (!(err = still_there(core, rq, &at)) && (err = content_read(out->read->reader, &out->read->first)) &&
		(err == RFS_ERR_DAMAGED || (err == RFS_ERR_NOT_FOUND && last)))
		damage_tell(out);
	if (err)
		object_get_close(out);
	return err;
}

enum rfs_err
object_get_open(struct core *core, struct request *rq, const struct object_get_args *args, struct object_get *out)
{
	enum rfs_err err = RFS_ERR_NOT_FOUND;

	for (int attempt = 0; err == RFS_ERR_NOT_FOUND && attempt < OPEN_ATTEMPTS; attempt++)
		err = object_get_once(core, rq, args, attempt + 1 == OPEN_ATTEMPTS, out);
	if (err == RFS_ERR_NOT_FOUND)
		return request_fail(rq, RFS_ERR_DAMAGED, "the object's bytes are not where its entry says");
	return err;
}

void
object_get_pieces(struct object_get *get, size_t bytes)
{
	if (get->read)
		content_reader_pieces(get->read->reader, bytes);
}

enum rfs_err
object_get_read(struct object_get *get, struct slice *out)
{
	enum rfs_err err;

	*out = (struct slice){ 0 };
	if (!get->read)
		return RFS_OK;
	if (get->read->first.len) {
		*out = slice_take(&get->read->first);
		return RFS_OK;
	}
	err = content_read(get->read->reader, out);
	if (err == RFS_ERR_DAMAGED || err == RFS_ERR_NOT_FOUND)
		damage_tell(get);
	return err;
}

void
object_get_close(struct object_get *get)
{
	if (!get->read)
		return;
	slice_unref(&get->read->first);
	content_reader_free(get->read->reader);
	get->read = NULL;
}

static enum rfs_err
parts_once(struct core *core, struct request *rq, const struct object_parts_args *args, struct object_parts *out)
{
	struct object_at at;
	size_t total;
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	if ((err = object_resolve(core, rq, args->bucket, args->key, OP_OBJECT_READ, &at)))
		return err;
	if (!at.name.found)
		return RFS_ERR_NO_SUCH_KEY;
	out->version = at.name.head;
	if (!out->version.parts)
		return RFS_OK;
	err = content_part_list(core->storage, rq, &at.bucket, &out->version.content, args->after, args->limit, &out->parts, &out->count, &total);
	out->more = !err && args->after + out->count < total;
	return err;
}

enum rfs_err
object_list_parts(struct core *core, struct request *rq, const struct object_parts_args *args, struct object_parts *out)
{
	enum rfs_err err = RFS_ERR_NOT_FOUND;

	for (int attempt = 0; err == RFS_ERR_NOT_FOUND && attempt < OPEN_ATTEMPTS; attempt++)
		err = parts_once(core, rq, args, out);
	if (err == RFS_ERR_NOT_FOUND)
		return request_fail(rq, RFS_ERR_DAMAGED, "the object's parts are not where its entry says");
	return err;
}
