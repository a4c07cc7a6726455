/* model_state.c: what operations do to a model in memory; see model.h. Simple, and sharing nothing with the store but
 * names of errors. */
#include "model.h"

bool
key_is_directory(const char *key)
{
	return key[0] && key[strlen(key) - 1] == '/';
}

static bool
key_begins(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

/* --- bytes ---------------------------------------------------------------------------------------------------------
 */

/* Every second sequence compresses. Equal places of a sequence have equal bytes, whoever has them. */
static void
sequence_bytes(uint32_t fill, uint32_t from, uint32_t len, uint8_t *out)
{
	uint64_t x = 0;

	if (fill == MODEL_ZEROS)
		memset(out, 0, len);
	for (uint32_t i = 0; i < len && fill != MODEL_ZEROS; i++) {
		uint32_t at = from + i;

		if (i == 0 || at % 8 == 0) {
			x = (fill % 2 ? at >> 8 : at >> 3) * 0x9e3779b97f4a7c15u + fill * 0xbf58476d1ce4e5b9u;
			x = (x ^ x >> 30) * 0x94d049bb133111ebu;
			x ^= x >> 31;
		}
		out[i] = (uint8_t)(x >> at % 8 * 8);
	}
}

struct bytes
body_bytes(const struct model_body *body)
{
	static uint8_t bytes[MODEL_BODY_MOST];
	uint32_t at = 0;

	for (uint32_t i = 0; i < body->count; i++) {
		sequence_bytes(body->pieces[i].fill, body->pieces[i].from, body->pieces[i].len, bytes + at);
		at += body->pieces[i].len;
	}
	return bytes_of(bytes, body->size);
}

static struct model_body
body_new(uint32_t fill, uint32_t size)
{
	struct model_body body = {.size = size, .count = size > 0};

	body.pieces[0] = (struct model_piece){fill, 0, size};
	return body;
}

static bool
body_append(struct model_body *body, const struct model_body *more)
{
	if (body->count + more->count > MODEL_PIECES || body->size + more->size > MODEL_BODY_MOST)
		return false;
	memcpy(body->pieces + body->count, more->pieces, more->count * sizeof(more->pieces[0]));
	body->count += more->count;
	body->size += more->size;
	return true;
}

static void
body_cut(const struct model_body *from, uint32_t first, uint32_t size, struct model_body *out)
{
	uint32_t at = 0, end = first + size;

	*out = (struct model_body){.size = size};
	for (uint32_t i = 0; i < from->count; at += from->pieces[i++].len) {
		const struct model_piece *p = &from->pieces[i];
		uint32_t low = at > first ? at : first, high = at + p->len < end ? at + p->len : end;

		if (low < high)
			out->pieces[out->count++] = (struct model_piece){p->fill, p->from + low - at, high - low};
	}
}

/* `more` over the bytes from `first` on. */
static bool
body_overwrite(struct model_body *body, uint32_t first, const struct model_body *more)
{
	struct model_body out, gap = body_new(MODEL_ZEROS, first > body->size ? first - body->size : 0), tail = {0};
	uint32_t end = first + more->size;

	body_cut(body, 0, first < body->size ? first : body->size, &out);
	if (end < body->size)
		body_cut(body, end, body->size - end, &tail);
	if (!body_append(&out, &gap) || !body_append(&out, more) || !body_append(&out, &tail))
		return false;
	*body = out;
	return true;
}

static bool
body_resize(struct model_body *body, uint32_t size)
{
	struct model_body out, gap = body_new(MODEL_ZEROS, size > body->size ? size - body->size : 0);

	body_cut(body, 0, size < body->size ? size : body->size, &out);
	if (!body_append(&out, &gap))
		return false;
	*body = out;
	return true;
}

static void
etag_of(const struct model_body *body, char *out)
{
	uint8_t sum[16];

	md5(body_bytes(body), sum);
	hex_encode(bytes_of(sum, 16), out);
}

/* --- objects -------------------------------------------------------------------------------------------------------
 */

struct model_object *
model_find(struct model_bucket *b, const char *key)
{
	for (size_t i = 0; i < b->count; i++)
		if (strcmp(b->objects[i].key, key) == 0)
			return &b->objects[i];
	return NULL;
}

static void
object_remove(struct model_bucket *b, const char *key)
{
	struct model_object *o = model_find(b, key);

	if (o)
		memmove(o, o + 1, (size_t)(b->objects + --b->count - o) * sizeof(*o));
}

/* In its place by key, in place of one that has this key. */
static void
object_set(struct model_bucket *b, const struct model_object *object)
{
	size_t at = b->count;

	object_remove(b, object->key);
	at = b->count++;
	for (; at && strcmp(b->objects[at - 1].key, object->key) > 0; at--)
		b->objects[at] = b->objects[at - 1];
	b->objects[at] = *object;
}

struct model_quota
model_usage(const struct model_bucket *b, uint32_t who)
{
	struct model_quota usage = {0};

	for (size_t i = 0; i < b->count; i++) {
		if (who < MODEL_USERS && b->objects[i].owner != who)
			continue;
		usage.objects++;
		usage.bytes += b->objects[i].body.size;
	}
	return usage;
}

static bool
exceeds(const struct model_bucket *b, uint32_t who, int64_t objects, int64_t bytes)
{
	const struct model_quota usage = model_usage(b, who), *quota = &b->quotas[who];

	return (quota->objects && objects > 0 && usage.objects + (uint64_t)objects > quota->objects) ||
	       (quota->bytes && bytes > 0 && usage.bytes + (uint64_t)bytes > quota->bytes);
}

static enum rfs_err
condition_holds(enum op_condition condition, const struct model_object *head)
{
	switch (condition) {
	case CONDITION_NONE:
	case CONDITION_COUNT:
		return RFS_OK;
	case CONDITION_MATCH:
		return head ? RFS_OK : RFS_ERR_NO_SUCH_KEY;
	case CONDITION_OTHER:
		return head ? RFS_ERR_PRECONDITION_FAILED : RFS_ERR_NO_SUCH_KEY;
	case CONDITION_NOT_THERE:
		return head ? RFS_ERR_PRECONDITION_FAILED : RFS_OK;
	}
	return RFS_OK;
}

/* A new head of its key. */
static enum rfs_err
head_put(struct model_bucket *b, const struct model_object *object, enum op_condition condition)
{
	const struct model_object *old = model_find(b, object->key);
	int64_t objects = old ? 0 : 1, bytes = (int64_t)object->body.size - (old ? old->body.size : 0);
	bool same_owner = old && old->owner == object->owner;
	enum rfs_err err;

	if (!old && b->count == MODEL_KEYS)
		return MODEL_SKIP;
	if ((err = condition_holds(condition, old)))
		return err;
	if (exceeds(b, MODEL_USERS, objects, bytes) ||
		exceeds(b, object->owner, same_owner ? 0 : 1, same_owner ? bytes : object->body.size))
		return RFS_ERR_QUOTA_EXCEEDED;
	object_set(b, object);
	return RFS_OK;
}

static enum rfs_err
put_apply(struct model_bucket *b, const struct model_op *op)
{
	struct model_object object = {.body = body_new(op->fill, op->size),
		.tag = op->tag,
		.owner = op->who,
		.acl = op->acl,
		.has_checksum = op->checksum};

	strcpy(object.key, op->key);
	etag_of(&object.body, object.etag);
	return head_put(b, &object, op->condition);
}

static enum rfs_err
delete_apply(struct model_bucket *b, const struct model_op *op)
{
	enum rfs_err err = condition_holds(op->condition, model_find(b, op->key));

	if (!err)
		object_remove(b, op->key);
	return err;
}

/* An object's bytes are changed; all else stays, but for what was said of the old bytes. */
static enum rfs_err
write_apply(struct model_bucket *b, const struct model_op *op)
{
	const struct model_object *old = model_find(b, op->key);
	struct model_body bytes = body_new(op->fill, op->size);
	struct model_object object;
	enum rfs_err err;

	if (!old)
		return RFS_ERR_NO_SUCH_KEY;
	if (key_is_directory(op->key) && !old->body.size)
		return RFS_ERR_INVALID_ARGUMENT;
	if ((err = condition_holds(op->condition, old)))
		return err;
	object = *old;
	object.has_checksum = false;
	object.parts = 0;
	object.etag[0] = 0;
	if (op->kind == DO_TRUNCATE ? !body_resize(&object.body, op->size)
				    : op->size && !body_overwrite(&object.body, op->first, &bytes))
		return MODEL_SKIP;
	return head_put(b, &object, CONDITION_NONE);
}

static enum rfs_err
acl_apply(struct model_bucket *b, const struct model_op *op)
{
	struct model_object *object = model_find(b, op->key);

	if (object)
		object->acl = op->acl;
	return object ? RFS_OK : RFS_ERR_NO_SUCH_KEY;
}

/* Within a bucket all that is said of the source goes along, but for who has it; else it is read, and put. */
static enum rfs_err
copy_apply(struct model *m, const struct model_op *op)
{
	struct model_bucket *from = &m->buckets[op->bucket], *to = &m->buckets[op->to_bucket];
	bool same = op->bucket == op->to_bucket, replace = op->flags;
	const struct model_object *source;
	struct model_object object;

	if (same && !replace && strcmp(op->key, op->to) == 0)
		return RFS_ERR_INVALID_REQUEST;
	if (!from->there)
		return RFS_ERR_NO_SUCH_BUCKET;
	if (!(source = model_find(from, op->key)))
		return RFS_ERR_NO_SUCH_KEY;
	if (!to->there)
		return RFS_ERR_NO_SUCH_BUCKET;
	object = *source;
	strcpy(object.key, op->to);
	object.owner = op->who;
	object.acl = op->acl;
	if (replace)
		object.tag = op->tag;
	if (!same || op->checksum) {
		object.parts = 0;
		object.has_checksum = object.has_checksum || op->checksum;
		etag_of(&object.body, object.etag);
	}
	return head_put(to, &object, op->condition);
}

/* --- renames -------------------------------------------------------------------------------------------------------
 */

/* Is there anything whose key begins so? `but_marker`: other than that name itself, without bytes. */
static bool
is_below(const struct model_bucket *b, const char *prefix, bool but_marker)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct model_object *o = &b->objects[i];

		if (key_begins(o->key, prefix) && !(but_marker && strcmp(o->key, prefix) == 0 && o->body.size == 0))
			return true;
	}
	return false;
}

static enum rfs_err
rename_judge(struct model_bucket *b, const struct model_op *op)
{
	bool directory = key_is_directory(op->key);

	if (directory != key_is_directory(op->to))
		return RFS_ERR_INVALID_ARGUMENT;
	if (directory ? !is_below(b, op->key, false) : !model_find(b, op->key))
		return RFS_ERR_NO_SUCH_KEY;
	if (strcmp(op->key, op->to) == 0 || !directory)
		return RFS_OK;
	if (key_begins(op->to, op->key))
		return RFS_ERR_INVALID_ARGUMENT;
	return is_below(b, op->to, true) ? RFS_ERR_NOT_EMPTY : RFS_OK;
}

static bool
is_moved(const struct model_object *o, const struct model_op *op)
{
	return key_is_directory(op->key) ? key_begins(o->key, op->key) : strcmp(o->key, op->key) == 0;
}

static enum rfs_err
rename_apply(struct model_bucket *b, const struct model_op *op)
{
	static struct model_object moved[MODEL_KEYS];
	size_t count = 0;
	enum rfs_err err;

	for (size_t i = 0; i < b->count; i++)
		if (strlen(b->objects[i].key) + strlen(op->to) >= MODEL_KEY_BYTES)
			return MODEL_SKIP;
	if ((err = rename_judge(b, op)) || strcmp(op->key, op->to) == 0)
		return err;
	for (size_t i = 0; i < b->count; i++)
		if (is_moved(&b->objects[i], op))
			moved[count++] = b->objects[i];
	object_remove(b, op->to);
	for (size_t i = 0; i < count; i++) {
		char key[2 * MODEL_KEY_BYTES];

		object_remove(b, moved[i].key);
		snprintf(key, sizeof(key), "%s%s", op->to, moved[i].key + strlen(op->key));
		strcpy(moved[i].key, key);
	}
	for (size_t i = 0; i < count; i++)
		object_set(b, &moved[i]);
	return RFS_OK;
}

/* --- uploads -------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
upload_create_apply(struct model_bucket *b, const struct model_op *op)
{
	struct model_upload *u = &b->uploads[op->upload];

	if (u->open)
		return MODEL_SKIP;
	*u = (struct model_upload){.open = true,
		.object = {.tag = op->tag, .acl = op->acl, .owner = op->who, .has_checksum = op->checksum}};
	strcpy(u->object.key, op->key);
	return RFS_OK;
}

/* Parts are not counted, but what does not fit even alone is not taken. Those of an upload with a checksum all have
 * one. */
static enum rfs_err
part_put(struct model_bucket *b, const struct model_op *op, const struct model_body *body)
{
	struct model_upload *u = &b->uploads[op->upload];
	struct model_part part = {.there = true, .body = *body, .has_checksum = op->checksum || u->object.has_checksum};

	if (op->part < 1 || op->part > MODEL_PARTS)
		return MODEL_SKIP;
	if (!u->open)
		return RFS_ERR_NO_SUCH_UPLOAD;
	if (exceeds(b, MODEL_USERS, 0, body->size) || exceeds(b, op->who, 0, body->size))
		return RFS_ERR_QUOTA_EXCEEDED;
	if (u->frozen)
		return RFS_ERR_CONDITIONAL_CONFLICT;
	md5(body_bytes(body), part.md5);
	u->parts[op->part - 1] = part;
	return RFS_OK;
}

static enum rfs_err
part_apply(struct model_bucket *b, const struct model_op *op)
{
	struct model_body body = body_new(op->fill, op->size);

	return part_put(b, op, &body);
}

static enum rfs_err
part_copy_apply(struct model *m, const struct model_op *op)
{
	struct model_bucket *from = &m->buckets[op->to_bucket], *b = &m->buckets[op->bucket];
	const struct model_object *source;
	struct model_body body;

	if (!from->there)
		return RFS_ERR_NO_SUCH_BUCKET;
	if (!(source = model_find(from, op->to)))
		return RFS_ERR_NO_SUCH_KEY;
	if (op->size && (uint64_t)op->first + op->size > source->body.size)
		return RFS_ERR_INVALID_RANGE;
	if (!b->there)
		return RFS_ERR_NO_SUCH_BUCKET;
	body = source->body;
	if (op->size)
		body_cut(&source->body, op->first, op->size, &body);
	return part_put(b, op, &body);
}

/* What the listed parts make. INVALID_PART, ENTITY_TOO_SMALL, INVALID_REQUEST */
static enum rfs_err
upload_assemble(const struct model_upload *u, uint32_t listed, struct model_object *out)
{
	uint8_t md5s[MODEL_PARTS * 16], sum[16];
	bool summed = true;

	*out = u->object;
	for (uint32_t i = 0; i < MODEL_PARTS; i++) {
		const struct model_part *part = &u->parts[i];

		if (!(listed & 1u << i))
			continue;
		if (!part->there)
			return RFS_ERR_INVALID_PART;
		if (listed >> (i + 1) && part->body.size < UPLOAD_PART_MIN_BYTES)
			return RFS_ERR_ENTITY_TOO_SMALL;
		if (!body_append(&out->body, &part->body))
			return MODEL_SKIP;
		memcpy(md5s + 16 * out->parts, part->md5, 16);
		out->ends[out->parts++] = out->body.size;
		summed = summed && part->has_checksum;
	}
	md5(bytes_of(md5s, 16 * out->parts), sum);
	hex_encode(bytes_of(sum, 16), out->etag);
	snprintf(out->etag + 32, sizeof(out->etag) - 32, "-%u", out->parts);
	return u->object.has_checksum && !summed ? RFS_ERR_INVALID_REQUEST : RFS_OK;
}

static enum rfs_err
upload_complete_apply(struct model_bucket *b, const struct model_op *op)
{
	struct model_upload *u = &b->uploads[op->upload];
	struct model_object object;
	const struct model_object *head;
	enum rfs_err err = upload_assemble(u, op->part, &object);

	if (err == MODEL_SKIP || !op->part)
		return err == MODEL_SKIP ? err : RFS_ERR_MALFORMED_XML;
	if (!u->open) {
		/* Again: as the first time, while the object is what the list makes. */
		head = model_find(b, u->object.key);
		return (!err || err == RFS_ERR_INVALID_REQUEST) && head && head->parts == object.parts &&
				       strcmp(head->etag, object.etag) == 0
			       ? RFS_OK
			       : RFS_ERR_NO_SUCH_UPLOAD;
	}
	if (!err)
		err = head_put(b, &object, op->condition);
	if (err != MODEL_SKIP)
		u->frozen = false;
	if (!err)
		u->open = false;
	return err;
}

static enum rfs_err
upload_abort_apply(struct model_bucket *b, const struct model_op *op)
{
	struct model_upload *u = &b->uploads[op->upload];

	if (!u->open)
		return RFS_ERR_NO_SUCH_UPLOAD;
	u->open = u->frozen = false;
	return RFS_OK;
}

/* --- buckets -------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
bucket_create_apply(struct model_bucket *b)
{
	if (b->there)
		return RFS_ERR_BUCKET_OWNED;
	memset(b, 0, sizeof(*b));
	b->there = true;
	return RFS_OK;
}

static enum rfs_err
bucket_remove_apply(struct model_bucket *b)
{
	if (b->snapped)
		return MODEL_SKIP;
	if (b->count)
		return RFS_ERR_BUCKET_NOT_EMPTY;
	memset(b, 0, sizeof(*b));
	return RFS_OK;
}

static enum rfs_err
bucket_apply(struct model_bucket *b, const struct model_op *op)
{
	switch ((enum op_kind)op->kind) {
	case DO_PUT:
		return put_apply(b, op);
	case DO_DELETE:
		return delete_apply(b, op);
	case DO_RENAME:
		return rename_apply(b, op);
	case DO_READ:
		return model_find(b, op->key) ? RFS_OK : RFS_ERR_NO_SUCH_KEY;
	case DO_WRITE:
	case DO_TRUNCATE:
		return write_apply(b, op);
	case DO_SET_ACL:
		return acl_apply(b, op);
	case DO_UPLOAD_CREATE:
		return upload_create_apply(b, op);
	case DO_UPLOAD_PART:
		return part_apply(b, op);
	case DO_UPLOAD_COMPLETE:
		return upload_complete_apply(b, op);
	case DO_UPLOAD_ABORT:
		return upload_abort_apply(b, op);
	case DO_BUCKET_REMOVE:
		return bucket_remove_apply(b);
	case DO_BUCKET_CONFIGURE:
		b->compress = op->flags & 1;
		b->deduplicate = op->flags & 2;
		return RFS_OK;
	case DO_QUOTA_SET:
		b->quotas[op->who] = (struct model_quota){op->objects, op->size};
		return RFS_OK;
	case DO_CURSOR_SET:
		b->cursor = true;
		return RFS_OK;
	case DO_CURSOR_REMOVE:
		if (!b->cursor)
			return RFS_ERR_NOT_FOUND;
		b->cursor = false;
		return RFS_OK;
	case DO_SNAPSHOT:
		b->snapped = true;
		return RFS_OK;
	default: /* for the store it changes nothing */
		return RFS_OK;
	}
}

enum rfs_err
model_apply(struct model *m, const struct model_op *op)
{
	struct model_bucket *b = &m->buckets[op->bucket];

	if (op->who >= MODEL_USERS + (op->kind == DO_QUOTA_SET))
		return MODEL_SKIP;

	switch ((enum op_kind)op->kind) {
	case DO_COPY:
		return copy_apply(m, op);
	case DO_UPLOAD_PART_COPY:
		return part_copy_apply(m, op);
	case DO_BUCKET_CREATE:
		return bucket_create_apply(b);
	case DO_SNAPSHOT:
	case DO_SCRUB:
		return b->there ? bucket_apply(b, op) : MODEL_SKIP;
	case DO_FORGET:
	case DO_COMPACT:
	case DO_COMPACT_ALWAYS:
	case DO_CHECKPOINT:
	case DO_REAP:
	case DO_RESTART:
	case DO_CRASH:
	case DO_CRASH_AT:
		return RFS_OK;
	case DO_UPLOAD_COMPLETE:
		if (!op->part)
			return RFS_ERR_MALFORMED_XML;
		break;
	default:
		break;
	}
	return b->there ? bucket_apply(b, op) : RFS_ERR_NO_SUCH_BUCKET;
}
