/* model_verbs.c: the operations of a script on a store; see model.h. */
#include "base/crash_point.h"
#include "managers/storage/compaction_int.h"
#include "managers/storage/scrub.h"
#include "managers/storage/storage_int.h"
#include "model.h"

/* Small, so that small bodies have many blocks and segments; of the second bucket's, longer ones are written before
 * they are committed. */
static const uint32_t block_bytes[MODEL_BUCKETS] = {4096, 65536}, segment_blocks[MODEL_BUCKETS] = {4, 64};
#define SETTLE_ATTEMPTS 60000
#define SCRATCH_BYTES (270 * 1024) /* too large for the journal */
#define SCRATCH_OBJECTS 5          /* more than a volume has room for */

const char *const tag_types[TAGS] = {"", "text/plain", "image/png"};
const char *const tag_values[TAGS] = {"", "one", "two"};

const struct identity *
model_user(struct test_store *t, struct request *rq, uint32_t who)
{
	const struct identity *user;

	if (who == 0)
		return auth_root(t->core.auth);
	rq->who = auth_root(t->core.auth);
	if (auth_user_find(t->core.auth, rq, BYTES_LITERAL("other"), &user) == RFS_OK)
		return user;
	assert(auth_user_create(t->core.auth, rq, BYTES_LITERAL("other"), true) == RFS_OK);
	assert(auth_user_find(t->core.auth, rq, BYTES_LITERAL("other"), &user) == RFS_OK);
	return user;
}

static struct request *
request_of(struct test_store *t, uint32_t who)
{
	struct request *rq = store_request(t);

	rq->need = SPACE_ORDINARY;
	rq->who = model_user(t, rq, who % MODEL_USERS);
	return rq;
}

static struct bytes
bucket_name(uint32_t bucket)
{
	return bytes_str(bucket_text(bucket));
}

/* --- what happens behind everybody's back --------------------------------------------------------------------------
 */

static enum rfs_err
compact(struct test_store *t)
{
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};
	struct compaction_report report;
	enum rfs_err err = storage_compact(t->core.storage, &rq, &report);

	arena_free(rq.arena);
	return err;
}

bool
compact_whole(struct test_store *t, struct model_run *run)
{
	struct compaction *c = t->core.storage->compaction;
	enum rfs_err err;

	c->whole = true;
	err = compact(t);
	c->whole = false;
	if (err)
		return problem(run, "compaction: %s", error_face(err)->name);
	for (size_t i = 0; i < c->count; i++)
		if (!c->volumes[i].removed && c->volumes[i].v.number <= c->newest)
			return problem(
				run, "compaction leaves volume %llx", (unsigned long long)c->volumes[i].v.number);
	run->compactions++;
	run->blocks_moved += c->report.blocks_moved;
	return true;
}

static enum rfs_err
checkpoint(struct test_store *t)
{
	struct request rq = {.arena = arena_new(4096), .door = "test", .may_block = true};
	struct checkpoint_info info;
	enum rfs_err err = t->drivers.metadata->ops->checkpoint(t->drivers.metadata, &rq, NULL, NULL, &info);

	arena_free(rq.arena);
	return err;
}

/* Purge rows of contents that a snapshot keeps stay. */
static bool
bucket_is_reaped(struct test_store *t, uint64_t id)
{
	struct request *rq = store_request(t);
	struct bytes from = key_table(rq->arena, id, TABLE_PURGE, bytes_of(NULL, 0));
	struct counter_range past = {.bucket = id, .kind = COUNTER_PAST}; /* of none is known: each is looked at */
	struct row_page page;

	assert(metadata_scan(t->core.metadata, rq, from, key_after_prefix(rq->arena, from), 10000, false, &page) ==
		RFS_OK);
	assert(!page.more);
	for (size_t i = 0; i < page.count; i++) {
		bool kept;

		assert(past_has(t->core.metadata, rq, &past, load_be64(page.rows[i].key.data + 9), &kept) == RFS_OK);
		if (!kept)
			return false;
	}
	return true;
}

static void
bucket_settle(struct test_store *t, struct bytes name)
{
	struct bucket_row bucket;

	if (bucket_find(t->core.metadata, store_request(t), name, &bucket))
		return;
	for (int attempt = 0; !bucket_is_reaped(t, bucket.id); attempt++) {
		assert(attempt < SETTLE_ATTEMPTS);
		pthread_cond_signal(&t->core.storage->reaper_wake); /* else it looks once a second */
		sleep_ns(1000000);
	}
}

void
reaper_settle(struct test_store *t)
{
	for (uint32_t i = 0; i < MODEL_BUCKETS; i++)
		bucket_settle(t, bucket_name(i));
}

/* In a bucket that no script knows. The request of who is in the middle of something is left alone. */
static void
others_write(struct test_store *t)
{
	const struct bucket_create_args create = {.name = BYTES_LITERAL("scratch")};
	static const uint8_t body[SCRATCH_BYTES];
	struct test_store other = *t;
	enum rfs_err err;

	other.rq.arena = arena_new(65536);
	other.rq.who = auth_root(t->core.auth);
	other.rq.pending = NULL;
	sem_init(&other.woken, 0, 0);
	err = bucket_create(&other.core, store_request(&other), &create);
	assert(!err || err == RFS_ERR_BUCKET_OWNED);
	for (int i = 0; i < SCRATCH_OBJECTS; i++)
		assert(store_put(&other, "scratch", BYTES_LITERAL("k"), bytes_of(body, sizeof(body)), NULL) == RFS_OK);
	assert(store_delete(&other, "scratch", BYTES_LITERAL("k")) == RFS_OK);
	bucket_settle(&other, create.name);
	sem_destroy(&other.woken);
	arena_free(other.rq.arena);
}

static void
meanwhile(struct test_store *t, uint32_t what)
{
	if (what == MEANWHILE_OTHERS)
		others_write(t);
	if (what == MEANWHILE_COMPACT || what == MEANWHILE_OTHERS)
		assert(compact(t) == RFS_OK);
	else if (what == MEANWHILE_CHECKPOINT)
		assert(checkpoint(t) == RFS_OK);
}

static enum rfs_err
scrub(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, 0);
	struct verify_report report;
	struct bucket_row bucket;
	enum rfs_err err;

	if ((err = bucket_find(t->core.metadata, rq, bucket_name(op->bucket), &bucket)) ||
		(err = bucket_verify(t->core.storage, rq, &bucket, &report)))
		return err;
	return report.damaged ? RFS_ERR_DAMAGED : RFS_OK;
}

/* --- buckets -------------------------------------------------------------------------------------------------------
 */

static enum rfs_err
blocks_resize(struct test_store *t, uint32_t bucket)
{
	struct request *rq = request_of(t, 0);
	struct bucket_row row;
	struct batch *b;
	enum rfs_err err;

	if ((err = bucket_find(t->core.metadata, rq, bucket_name(bucket), &row)))
		return err;
	row.block_size = block_bytes[bucket];
	row.segment_blocks = segment_blocks[bucket];
	b = batch_new(row.id);
	bucket_put(b, &row);
	feed_append(b, rq, &row, CHANGE_BUCKET, row.name, NULL);
	err = metadata_commit(t->core.metadata, rq, b);
	batch_free(b);
	return err;
}

static enum rfs_err
create_bucket(struct test_store *t, const struct model_op *op)
{
	struct bucket_create_args args = {.name = bucket_name(op->bucket)};
	enum rfs_err err = bucket_create(&t->core, request_of(t, 0), &args);

	return err ? err : blocks_resize(t, op->bucket);
}

static enum rfs_err
configure(struct test_store *t, const struct model_op *op)
{
	const bool compress = op->flags & 1, deduplicate = op->flags & 2;
	const struct bucket_changes changes = {.compress = &compress, .deduplicate = &deduplicate};

	return bucket_configure(&t->core, request_of(t, 0), bucket_name(op->bucket), &changes);
}

static enum rfs_err
set_quota(struct test_store *t, const struct model_op *op)
{
	const uint64_t objects = op->objects, bytes = op->size;
	const struct quota_changes changes = {&objects, &bytes};
	struct request *rq = request_of(t, op->who);
	uint64_t user = op->who == MODEL_USERS ? QUOTA_OF_BUCKET : rq->who->id;

	return quota_set(&t->core, rq, bucket_name(op->bucket), user, &changes);
}

static enum rfs_err
set_cursor(struct test_store *t, const struct model_op *op)
{
	struct feed_cursor *cursors;
	struct feed_ends ends;
	size_t count;
	enum rfs_err err;

	if ((err = feed_cursor_list(&t->core, request_of(t, 0), bucket_name(op->bucket), &ends, &cursors, &count)))
		return err;
	return feed_cursor_set(&t->core, request_of(t, 0), bucket_name(op->bucket), BYTES_LITERAL("reader"), ends.last);
}

/* --- objects -------------------------------------------------------------------------------------------------------
 */

static struct conditions
conditions_of(struct request *rq, struct model_run *run, uint32_t bucket, const char *key, uint32_t condition)
{
	const struct model_object *head = model_find(&run->before.buckets[bucket], key);
	struct conditions c = {.if_modified_since_ns = 0};

	if (condition == CONDITION_NOT_THERE)
		c.if_none_match = BYTES_LITERAL("*");
	else if (condition == CONDITION_OTHER || (condition == CONDITION_MATCH && !head))
		c.if_match = BYTES_LITERAL("\"0123\"");
	else if (condition == CONDITION_MATCH)
		c.if_match = bytes_str(head->etag[0] ? arena_printf(rq->arena, "\"%s\"", head->etag) : "*");
	return c;
}

static void
describe(struct request *rq, uint32_t tag, struct bytes *type, struct property **properties, size_t *count)
{
	*type = bytes_str(tag_types[tag]);
	*properties = ARENA_NEW(rq->arena, struct property);
	**properties = (struct property){BYTES_LITERAL("x-amz-meta-tag"), bytes_str(tag_values[tag])};
	*count = tag > 0;
}

static struct object_put_args
put_args(struct request *rq, struct model_run *run, const struct model_op *op, uint32_t bucket, const char *key)
{
	struct object_put_args args = {
		.bucket = bucket_name(bucket), .key = bytes_str(key), .size = op->size, .acl = (enum acl)op->acl};

	args.conditions = conditions_of(rq, run, bucket, key, op->condition);
	args.store_checksum = op->checksum;
	args.checksum = DIGEST_CRC32C;
	describe(rq, op->tag, &args.content_type, &args.properties, &args.property_count);
	return args;
}

/* The body in two halves, with something in between. */
static enum rfs_err
halves_write(struct test_store *t, struct object_put *put, struct bytes body, uint32_t between)
{
	size_t half = body.len / 2;
	enum rfs_err err = RFS_OK;

	for (int i = 0; !err && i < 2; i++) {
		struct slice slice = slice_copy(i ? bytes_sub(body, half, body.len) : bytes_sub(body, 0, half));

		if (i)
			meanwhile(t, between);
		err = slice.len ? object_put_write(put, slice) : RFS_OK;
		slice_unref(&slice);
	}
	return err;
}

static enum rfs_err
put_body(struct test_store *t, struct request *rq, const struct object_put_args *args, const struct model_op *op)
{
	struct model_body model = {.size = op->size, .count = 1, .pieces = {{op->fill, 0, op->size}}};
	struct bytes body = body_bytes(&model);
	struct object_put *put;
	struct version version;
	enum rfs_err err;

	store_alternate(t);
	do
		err = object_put_begin(&t->core, rq, args, &put);
	while (store_again(t, err));
	if (err)
		return err;
	if (body.len > OBJECT_PUT_ON_LOOP || body.len > block_bytes[op->bucket]) /* what a loop puts is one block */
		rq->may_block = true;
	if ((err = halves_write(t, put, body, op->meanwhile))) {
		object_put_abort(put);
		return err;
	}
	do
		err = object_put_finish(put, NULL, 0, &version);
	while (store_again(t, err));
	return err;
}

static enum rfs_err
put_object(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, op->who);
	struct object_put_args args = put_args(rq, run, op, op->bucket, op->key);

	return put_body(t, rq, &args, op);
}

static enum rfs_err
delete_object(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, op->who);
	struct object_delete_args args = {.bucket = bucket_name(op->bucket), .key = bytes_str(op->key)};
	struct object_deletion deletion = {.args = args};
	bool removed;
	enum rfs_err err;

	args.conditions = deletion.args.conditions = conditions_of(rq, run, op->bucket, op->key, op->condition);
	store_alternate(t);
	if (rq->may_block) {
		objects_delete(&t->core, rq, &deletion, 1);
		return deletion.error;
	}
	do
		err = object_delete(&t->core, rq, &args, &removed);
	while (store_again(t, err));
	return err;
}

/* Piece by piece, with something behind the first. DAMAGED: other bytes than these */
static enum rfs_err
pieces_read(struct test_store *t, struct object_get *get, struct bytes expected, uint32_t between)
{
	size_t at = 0;

	for (;;) {
		struct slice part;
		bool same;
		enum rfs_err err = object_get_read(get, &part);

		if (err || !part.len)
			return err ? err : at == expected.len ? RFS_OK : RFS_ERR_DAMAGED;
		same = part.len <= expected.len - at && memcmp(part.data, expected.data + at, part.len) == 0;
		if (at == 0 && between) {
			reaper_settle(t);
			meanwhile(t, between);
		}
		at += part.len;
		slice_unref(&part);
		if (!same)
			return RFS_ERR_DAMAGED;
	}
}

static enum rfs_err
read_object(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct object_get_args args = {.bucket = bucket_name(op->bucket), .key = bytes_str(op->key)};
	struct request rq = *request_of(t, op->who);
	struct object_get get;
	enum rfs_err err;

	rq.arena = arena_new(4096); /* what goes on meanwhile takes the other */
	if (!(err = object_get_open(&t->core, &rq, &args, &get))) {
		const struct model_object *object = model_find(&run->now.buckets[op->bucket], op->key);

		err = object ? pieces_read(t, &get, body_bytes(&object->body), op->meanwhile) : RFS_OK;
		object_get_close(&get);
	}
	arena_free(rq.arena);
	return err;
}

static enum rfs_err
copy_object(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, op->who);
	struct object_copy_args args = {.from_bucket = bucket_name(op->bucket), .from_key = bytes_str(op->key)};
	struct version version;

	args.replace_metadata = op->flags;
	args.to = put_args(rq, run, op, op->to_bucket, op->to);
	args.to.size = -1;
	return object_copy(&t->core, rq, &args, &version);
}

static enum rfs_err
write_object(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, op->who);
	struct model_body model = {.size = op->size, .count = 1, .pieces = {{op->fill, 0, op->size}}};
	struct object_write_args args = {.bucket = bucket_name(op->bucket),
		.key = bytes_str(op->key),
		.conditions = conditions_of(rq, run, op->bucket, op->key, op->condition),
		.resize = op->kind == DO_TRUNCATE,
		.size = op->size,
		.offset = op->first};
	struct version version;

	if (!args.resize)
		args.bytes = body_bytes(&model);
	return object_write(&t->core, rq, &args, &version);
}

/* --- uploads -------------------------------------------------------------------------------------------------------
 */

static const struct model_upload *
upload_of(struct model_run *run, const struct model_op *op)
{
	return &run->before.buckets[op->bucket].uploads[op->upload];
}

static struct bytes
upload_key(struct model_run *run, const struct model_op *op)
{
	const char *key = upload_of(run, op)->object.key;

	return bytes_str(*key ? key : "a");
}

/* One that was never begun has an id too. */
static struct bytes
upload_id(struct model_run *run, const struct model_op *op)
{
	const char *id = upload_of(run, op)->id;

	return *id ? bytes_str(id) : BYTES_LITERAL("00000000000000000000000000000000");
}

static enum rfs_err
create_upload(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, op->who);
	struct upload_create_args args = {
		.bucket = bucket_name(op->bucket), .key = bytes_str(op->key), .acl = (enum acl)op->acl};
	struct bytes id;
	enum rfs_err err;

	args.has_checksum = op->checksum;
	args.checksum = DIGEST_CRC32C;
	args.checksum_type = CHECKSUM_FULL_OBJECT;
	describe(rq, op->tag, &args.content_type, &args.properties, &args.property_count);
	if ((err = upload_create(&t->core, rq, &args, &id)))
		return err;
	memcpy(run->now.buckets[op->bucket].uploads[op->upload].id, id.data, id.len);
	return RFS_OK;
}

static struct object_put_args
part_args(struct request *rq, struct model_run *run, const struct model_op *op)
{
	struct object_put_args args = put_args(rq, run, op, op->bucket, "");

	args.key = upload_key(run, op);
	args.upload = upload_id(run, op);
	args.part_number = op->part;
	args.conditions = (struct conditions){.if_modified_since_ns = 0};
	return args;
}

static enum rfs_err
put_part(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, op->who);
	struct object_put_args args = part_args(rq, run, op);

	return put_body(t, rq, &args, op);
}

static enum rfs_err
copy_part(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, op->who);
	struct upload_part_copy_args args = {.from_bucket = bucket_name(op->to_bucket), .from_key = bytes_str(op->to)};
	struct version version;

	args.to = part_args(rq, run, op);
	args.range = (struct byte_range){
		.given = op->size > 0, .first = op->first, .last = (uint64_t)op->first + op->size - 1};
	return upload_part_copy(&t->core, rq, &args, &version);
}

static enum rfs_err
complete_upload(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct request *rq = request_of(t, op->who);
	const struct model_upload *u = upload_of(run, op);
	struct upload_part_claim claims[MODEL_PARTS];
	struct upload_complete_args args = {.bucket = bucket_name(op->bucket), .parts = claims, .size = -1};
	struct version version;

	args.key = upload_key(run, op);
	args.upload = upload_id(run, op);
	args.conditions = conditions_of(rq, run, op->bucket, u->object.key, op->condition);
	for (uint32_t i = 0; i < MODEL_PARTS; i++) {
		char *etag = arena_alloc(rq->arena, 33);

		if (!(op->part & 1u << i))
			continue;
		hex_encode(bytes_of(u->parts[i].md5, 16), etag);
		claims[args.part_count++] = (struct upload_part_claim){.number = i + 1, .etag = bytes_of(etag, 32)};
	}
	return upload_complete(&t->core, rq, &args, &version);
}

/* --- all of them ---------------------------------------------------------------------------------------------------
 */

static enum rfs_err
forget(struct model_run *run)
{
	memmove(run->snapshots, run->snapshots + 1, sizeof(run->snapshots) - sizeof(run->snapshots[0]));
	run->snapshots[MODEL_SNAPSHOTS - 1].there = false;
	return RFS_OK;
}

enum rfs_err
verb_run(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	struct bytes bucket = bucket_name(op->bucket);

	switch ((enum op_kind)op->kind) {
	case DO_PUT:
		return put_object(t, run, op);
	case DO_DELETE:
		return delete_object(t, run, op);
	case DO_RENAME:
		return store_rename(t, bucket_text(op->bucket), bytes_str(op->key), bytes_str(op->to));
	case DO_COPY:
		return copy_object(t, run, op);
	case DO_READ:
		return read_object(t, run, op);
	case DO_WRITE:
	case DO_TRUNCATE:
		return write_object(t, run, op);
	case DO_SET_ACL:
		return object_set_acl(&t->core, request_of(t, 0), bucket, bytes_str(op->key), (enum acl)op->acl);
	case DO_UPLOAD_CREATE:
		return create_upload(t, run, op);
	case DO_UPLOAD_PART:
		return put_part(t, run, op);
	case DO_UPLOAD_PART_COPY:
		return copy_part(t, run, op);
	case DO_UPLOAD_COMPLETE:
		return complete_upload(t, run, op);
	case DO_UPLOAD_ABORT:
		return upload_abort(&t->core, request_of(t, 0), bucket, upload_key(run, op), upload_id(run, op));
	case DO_BUCKET_CREATE:
		return create_bucket(t, op);
	case DO_BUCKET_REMOVE:
		return bucket_remove(&t->core, request_of(t, 0), bucket);
	case DO_BUCKET_CONFIGURE:
		return configure(t, op);
	case DO_QUOTA_SET:
		return set_quota(t, op);
	case DO_CURSOR_SET:
		return set_cursor(t, op);
	case DO_CURSOR_REMOVE:
		return feed_cursor_remove(&t->core, request_of(t, 0), bucket, BYTES_LITERAL("reader"));
	case DO_SNAPSHOT:
		return past_take(t, run, op->bucket);
	case DO_FORGET:
		return forget(run);
	case DO_COMPACT:
		return compact(t);
	case DO_COMPACT_ALWAYS:
		run->compacts = true;
		return RFS_OK;
	case DO_CHECKPOINT:
		return checkpoint(t);
	case DO_REAP:
		reaper_settle(t);
		return RFS_OK;
	case DO_SCRUB:
		return scrub(t, run, op);
	case DO_RESTART:
	case DO_CRASH:
	case DO_CRASH_AT:
	case DO_COUNT: /* model_run.c */
		break;
	}
	return RFS_OK;
}
