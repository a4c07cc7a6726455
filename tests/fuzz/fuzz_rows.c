/*
 * fuzz_rows.c: the value of a row, the key of one, or a block's payload; the first byte says which.
 *
 * Whatever comes decodes or is DAMAGED. What decodes is written again as the same bytes; where a row has tagged
 * fields, whose order is free, as bytes that mean the same. Keys keep the order of the names in them.
 *
 * sources: src/base/*.c src/drivers/batch.c src/managers/metadata/rows.c src/managers/metadata/rows_feed.c
 * sources: src/managers/metadata/rows_scrub.c src/managers/metadata/rows_upload.c
 * sources: src/managers/metadata/keys.c src/managers/auth/auth_rows.c src/managers/auth/auth_names.c
 * sources: src/managers/storage/frames.c
 */
#include "base/arena.h"
#include "managers/auth/auth_int.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BUCKET 5

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
must_equal(struct bytes a, struct bytes b)
{
	must(bytes_equal(a, b));
}

static bool
decoded(enum rfs_err err)
{
	must(err == RFS_OK || err == RFS_ERR_DAMAGED);
	return err == RFS_OK;
}

static struct buf
buf_in(struct arena *a)
{
	struct buf b;

	buf_init(&b, a);
	return b;
}

/* --- rows with tagged fields: the same meaning -------------------------------------------------------------------- */

static void
bucket_equal(const struct bucket_row *a, const struct bucket_row *b)
{
	must(a->id == b->id && a->owner == b->owner && a->created_ns == b->created_ns && a->acl == b->acl);
	must(a->removed == b->removed && a->compress == b->compress && a->deduplicate == b->deduplicate);
	must(a->last_snapshot == b->last_snapshot && a->block_size == b->block_size);
	must(a->segment_blocks == b->segment_blocks && a->segment_blocks <= RUN_MAX_BLOCKS && a->block_size);
	must_equal(a->name, b->name);
	must_equal(a->cors, b->cors);
	must_equal(a->unknown, b->unknown);
}

static void
bucket(struct arena *a, struct bytes v)
{
	struct bucket_row row, again;
	struct buf b = buf_in(a), changed = buf_in(a);

	if (!decoded(bucket_row_decode(v, &row)))
		return;
	bucket_row_encode(&b, &row);
	must(bucket_row_decode(buf_bytes(&b), &again) == RFS_OK);
	bucket_equal(&row, &again);
	/* What is set anew is what is read, whatever else the row had. */
	row.cors = BYTES_LITERAL("another");
	bucket_row_encode(&changed, &row);
	must(bucket_row_decode(buf_bytes(&changed), &again) == RFS_OK);
	bucket_equal(&row, &again);
}

static void
content_equal(const struct content *a, const struct content *b)
{
	must(a->kind == b->kind && a->size == b->size && a->data_id == b->data_id && a->block == b->block);
	must(a->kind <= CONTENT_PARTS && a->size <= INT64_MAX);
}

static void
version_equal(const struct version *a, const struct version *b)
{
	must(memcmp(a->object_id, b->object_id, OBJECT_ID_BYTES) == 0 && a->flags == b->flags);
	must(a->modified_ns == b->modified_ns && a->owner == b->owner && a->acl == b->acl && a->acl < ACL_COUNT);
	content_equal(&a->content, &b->content);
	must_equal(a->etag, b->etag);
	must_equal(a->content_type, b->content_type);
	must(a->property_count == b->property_count);
	for (size_t i = 0; i < a->property_count; i++) {
		must_equal(a->properties[i].name, b->properties[i].name);
		must_equal(a->properties[i].value, b->properties[i].value);
	}
	must(a->has_checksum == b->has_checksum && a->checksum == b->checksum && a->checksum < DIGEST_COUNT);
	must(a->checksum_type == b->checksum_type && a->parts == b->parts);
	must(memcmp(&a->checksum_value, &b->checksum_value, sizeof(a->checksum_value)) == 0);
	must_equal(a->unknown, b->unknown);
}

static void
version(struct arena *a, struct bytes v)
{
	struct version row, again;
	struct buf b = buf_in(a);

	if (!decoded(version_decode(a, v, &row)))
		return;
	version_encode(&b, &row);
	must(version_decode(a, buf_bytes(&b), &again) == RFS_OK);
	version_equal(&row, &again);
}

static void
upload(struct arena *a, struct bytes v)
{
	struct upload_row row, again;
	struct buf b = buf_in(a);

	if (!decoded(upload_decode(a, v, &row)))
		return;
	upload_encode(&b, &row);
	must(upload_decode(a, buf_bytes(&b), &again) == RFS_OK);
	must(row.state == again.state && row.created_ns == again.created_ns && row.has_checksum == again.has_checksum);
	must(row.checksum == again.checksum && row.checksum_type == again.checksum_type);
	version_equal(&row.version, &again.version);
}

/* --- other rows: the same bytes ----------------------------------------------------------------------------------- */

static void
run(struct arena *a, struct bytes v)
{
	struct run_row row;
	struct buf b = buf_in(a);

	if (!decoded(run_decode(v, &row)))
		return;
	run_encode(&b, &row);
	buf_put(&b, row.locations, row.count * BLOCK_LOCATION_BYTES); /* the driver's */
	must_equal(buf_bytes(&b), v);
}

static void
hash(struct arena *a, struct bytes v)
{
	struct buf b = buf_in(a);
	uint64_t block;

	if (!decoded(hash_decode(v, &block)))
		return;
	hash_encode(&b, block);
	must_equal(buf_bytes(&b), v);
}

static void
segment(struct arena *a, struct bytes v)
{
	struct segment_row row;
	struct buf b = buf_in(a);

	if (!decoded(segment_decode(a, v, &row)))
		return;
	segment_encode(&b, &row);
	must_equal(buf_bytes(&b), v);
}

static void
parts(struct arena *a, struct bytes v)
{
	struct part_ref *rows;
	struct buf b = buf_in(a);
	struct part_sums sums;
	size_t count;

	if (!decoded(parts_decode(a, v, &rows, &count, &sums)))
		return;
	parts_encode(&b, rows, count, &sums);
	must_equal(buf_bytes(&b), v);
}

static void
part(struct arena *a, struct bytes v)
{
	struct part_row row;
	struct buf b = buf_in(a);

	if (!decoded(part_decode(v, &row)))
		return;
	part_encode(&b, &row);
	must_equal(buf_bytes(&b), v);
}

static void
change(struct arena *a, struct bytes v)
{
	struct change_row row;
	struct buf b = buf_in(a);

	if (!decoded(change_decode(v, &row)))
		return;
	change_encode(&b, &row);
	buf_u64(&b, row.previous); /* the driver's */
	must_equal(buf_bytes(&b), v);
}

static void
feed_state(struct arena *a, struct bytes v)
{
	struct feed_state row;
	struct buf b = buf_in(a);

	if (!decoded(feed_state_decode(v, &row)))
		return;
	must(row.pruned <= row.counted);
	feed_state_encode(&b, &row);
	must_equal(buf_bytes(&b), v);
}

static void
cursor(struct arena *a, struct bytes v)
{
	struct cursor_row row;
	struct buf b = buf_in(a);

	if (!decoded(cursor_decode(v, &row)))
		return;
	cursor_encode(&b, &row);
	must_equal(buf_bytes(&b), v);
}

static void
scrub(struct arena *a, struct bytes v)
{
	struct scrub_row row;
	struct buf b = buf_in(a);

	if (!decoded(scrub_row_decode(v, &row)))
		return;
	scrub_row_encode(&b, &row);
	must_equal(buf_bytes(&b), v);
}

static void
damage(struct arena *a, struct bytes v)
{
	struct damage_row row;
	struct buf b = buf_in(a);

	if (!decoded(damage_row_decode(v, &row)))
		return;
	damage_row_encode(&b, &row);
	must_equal(buf_bytes(&b), v);
}

/* Bytes that follow are a later version's: what was understood comes first. */
static void
identity(struct arena *a, struct bytes v)
{
	struct identity_row row, again;
	struct buf b = buf_in(a);

	if (!decoded(identity_row_decode(a, v, &row)))
		return;
	identity_row_encode(&b, &row);
	must(identity_row_decode(a, buf_bytes(&b), &again) == RFS_OK);
	must(row.admin == again.admin && row.group == again.group && row.users.count == again.users.count);
	for (size_t i = 0; i < row.users.count; i++)
		must(row.users.ids[i] == again.users.ids[i] && (i == 0 || row.users.ids[i] > row.users.ids[i - 1]));
	must_equal(row.name, again.name);
}

static void
token(struct arena *a, struct bytes v)
{
	struct token_row row, again;
	struct buf b = buf_in(a);

	if (!decoded(token_row_decode(v, &row)))
		return;
	token_row_encode(&b, &row);
	must(token_row_decode(buf_bytes(&b), &again) == RFS_OK);
	must(row.identity == again.identity && row.created_ns == again.created_ns);
	must(row.scope.read_only == again.scope.read_only);
	must_equal(row.scope.bucket, again.scope.bucket);
	must_equal(row.scope.prefix, again.scope.prefix);
	must_equal(row.sealed, again.sealed);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* The rest of an upload's key, and of one of the past. */
static void
upload_key(struct arena *a, struct bytes v)
{
	struct bytes key = key_table(a, BUCKET, TABLE_UPLOAD, v), past = key_table(a, BUCKET, TABLE_PAST, v), name;
	uint8_t id[UPLOAD_ID_BYTES];
	uint64_t serial;

	if (key_upload_split(a, key, &name, id))
		must_equal(key_upload(a, BUCKET, name, id), key);
	if (key_past_split(a, past, &name, &serial))
		must_equal(key_past(a, name, serial), past);
}

static int
sign(int n)
{
	return (n > 0) - (n < 0);
}

/* Two names: a length, then both. */
static void
names(struct arena *a, struct bytes v)
{
	static const uint8_t parent[16] = {1}, id[UPLOAD_ID_BYTES] = {0};
	struct bytes one = bytes_sub(v, 1, v.len ? v.data[0] : 0), two = bytes_sub(v, 1 + one.len, SIZE_MAX), name;
	struct bytes entry = key_entry(a, BUCKET, parent, one), upload = key_upload(a, BUCKET, one, id), after;
	struct bytes past = key_past(a, entry, 1), past_two = key_past(a, key_entry(a, BUCKET, parent, two), 1);
	uint8_t found[UPLOAD_ID_BYTES];
	uint64_t serial;
	int order = sign(bytes_compare(one, two));

	must_equal(key_entry_name(entry), one);
	must(sign(bytes_compare(entry, key_entry(a, BUCKET, parent, two))) == order);
	must(key_upload_split(a, upload, &name, found));
	must_equal(name, one);
	must(sign(bytes_compare(upload, key_upload(a, BUCKET, two, id))) == order);
	must(bytes_starts_with(upload, key_uploads(a, BUCKET, bytes_sub(one, 0, one.len / 2))));
	must(sign(bytes_compare(past, past_two)) == order);
	must(key_past_split(a, past, &name, &serial) && serial == 1);
	must_equal(name, entry);
	must(order == 0 || (!bytes_starts_with(past, past_two) && !bytes_starts_with(past_two, past)));
	after = key_after_prefix(a, entry);
	must(bytes_compare(entry, after) < 0);
	must((bytes_compare(key_entry(a, BUCKET, parent, two), after) < 0) ==
		(order >= 0 || bytes_starts_with(two, one)));
}

/* --- a block's payload -------------------------------------------------------------------------------------------- */

static void
frames(struct arena *a, struct bytes v)
{
	struct slice payload = slice_copy(v), out;
	struct frame_table *table = ARENA_NEW(a, struct frame_table);
	size_t head;

	if (frame_table_decode(v, v.len, table) && table->count) {
		head = FRAME_TABLE_BYTES(table->raw_size);
		payload.data += head;
		payload.len -= head;
		if (decoded(frames_decode(table, 0, table->count - 1, payload, false, 0, table->raw_size, &out))) {
			must(out.len == table->raw_size);
			slice_unref(&out);
		}
	}
	slice_unref(&payload);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(struct arena * a, struct bytes v) = {bucket, version, run, segment, parts, upload,
		part, change, identity, token, upload_key, names, frames, hash, feed_state, cursor, scrub, damage};
	struct arena *a;

	if (size == 0)
		return 0;
	a = arena_new(4096);
	kinds[data[0] % (sizeof(kinds) / sizeof(kinds[0]))](a, bytes_of(data + 1, size - 1));
	arena_free(a);
	return 0;
}
