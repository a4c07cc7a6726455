/* rows.c: the one encoding of every row's value; see rows.h and docs/format/rows.md. */
#include "managers/metadata/rows_int.h"
#include "base/arena.h"
#include "drivers/batch.h"

#define FORMAT_HASHED 2 /* of a block row: who does not know hash rows must not remove it */
#define PROPERTIES_MAX 1000

/* Tags of optional fields. Numbers are for ever. */
enum version_tag {
	VERSION_TAG_END = 0,
	VERSION_TAG_CONTENT_TYPE = 1,
	VERSION_TAG_PROPERTY = 2, /* field name, field value; repeated */
	VERSION_TAG_CHECKSUM = 3, /* algorithm (1), type (1), value */
	VERSION_TAG_PARTS = 4,    /* varint */
	VERSION_TAG_ETAG_TEXT = 5, /* an ETag that is not 32 hex digits */
};

enum bucket_tag { BUCKET_TAG_END = 0, BUCKET_TAG_CORS = 1 };

static void
tag_put(struct buf *b, uint64_t tag, struct bytes v)
{
	buf_varint(b, tag);
	buf_field(b, v);
}

/* A field that this reader does not know: kept as it stands, tag and length included. */
static void
unknown_keep(struct buf *unknown, uint64_t tag, struct bytes v)
{
	tag_put(unknown, tag, v);
}

/* --- bucket -------------------------------------------------------------------------------------------------------------------- */

void
bucket_row_encode(struct buf *b, const struct bucket_row *row)
{
	row_begin(b);
	buf_u64(b, row->id);
	buf_u64(b, row->owner);
	buf_u64(b, (uint64_t)row->created_ns);
	buf_u64(b, row->last_snapshot);
	buf_u32(b, row->block_size);
	buf_u32(b, row->segment_blocks);
	buf_u8(b, (uint8_t)row->acl);
	buf_u8(b, (uint8_t)((row->removed ? 1 : 0) | (row->compress ? 2 : 0) | (row->deduplicate ? 4 : 0) | (row->quotas ? 8 : 0)));
	buf_field(b, row->name);
	if (row->cors.len)
		tag_put(b, BUCKET_TAG_CORS, row->cors);
	buf_put_bytes(b, row->unknown);
}

enum rfs_err
bucket_row_decode(struct bytes v, struct bucket_row *row)
{
	struct reader r;
	uint8_t bits;

	reader_init(&r, v);
	memset(row, 0, sizeof(*row));
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	row->id = reader_u64(&r);
	row->owner = reader_u64(&r);
	row->created_ns = (int64_t)reader_u64(&r);
	row->last_snapshot = reader_u64(&r);
	row->block_size = reader_u32(&r);
	row->segment_blocks = reader_u32(&r);
	row->acl = reader_u8(&r);
	bits = reader_u8(&r);
	row->removed = bits & 1;
	row->compress = bits & 2;
	row->deduplicate = bits & 4;
	row->quotas = bits & 8;
	row->name = reader_field(&r);
	while (!r.failed && reader_left(&r)) {
		const uint8_t *start = r.at;
		uint64_t tag = reader_varint(&r);
		struct bytes field = reader_field(&r);

		/* Tags ascend: what is not known stands behind what is, and goes back as it came. */
		if (tag == BUCKET_TAG_CORS && !row->unknown.data)
			row->cors = field;
		else if (tag > BUCKET_TAG_CORS && !row->unknown.data)
			row->unknown = bytes_of(start, reader_left(&r) + (size_t)(r.at - start));
		else if (tag <= BUCKET_TAG_CORS)
			return RFS_ERR_DAMAGED;
	}
	if (r.failed || row->acl >= ACL_COUNT || !row->block_size || !row->segment_blocks || row->segment_blocks > RUN_MAX_BLOCKS)
		return RFS_ERR_DAMAGED;
	return RFS_OK;
}

void
quota_encode(struct buf *b, const struct quota *row)
{
	row_begin(b);
	buf_varint(b, row->objects);
	buf_varint(b, row->bytes);
}

enum rfs_err
quota_decode(struct bytes v, struct quota *out)
{
	struct reader r;

	row_open(&r, v);
	out->objects = reader_varint(&r);
	out->bytes = reader_varint(&r);
	return row_close(&r);
}

/* --- content ------------------------------------------------------------------------------------------------------------------- */

void
content_encode(struct buf *b, const struct content *c)
{
	buf_u8(b, (uint8_t)c->kind);
	if (c->kind == CONTENT_EMPTY)
		return;
	buf_varint(b, c->size);
	buf_varint(b, c->data_id);
	if (c->kind == CONTENT_BLOCK)
		buf_varint(b, c->block);
}

bool
content_decode(struct reader *r, struct content *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = reader_u8(r);
	if (out->kind > CONTENT_PARTS)
		return false;
	if (out->kind != CONTENT_EMPTY) {
		out->size = reader_varint(r);
		out->data_id = reader_varint(r);
	}
	if (out->kind == CONTENT_BLOCK)
		out->block = reader_varint(r);
	return !r->failed && out->size <= INT64_MAX;
}

/* --- version ------------------------------------------------------------------------------------------------------------------- */

/* In lower case, as it is read again. */
static bool
etag_is_md5(struct bytes etag, uint8_t out[16])
{
	for (size_t i = 0; i < etag.len; i++) {
		if (etag.data[i] >= 'A' && etag.data[i] <= 'F')
			return false;
	}
	return etag.len == 32 && hex_decode(etag, out, 16);
}

void
version_encode(struct buf *b, const struct version *v)
{
	uint8_t md5_bytes[16] = { 0 };
	bool is_md5 = etag_is_md5(v->etag, md5_bytes);

	row_begin(b);
	buf_put(b, v->object_id, OBJECT_ID_BYTES);
	buf_varint(b, v->flags);
	buf_u64(b, (uint64_t)v->modified_ns);
	buf_varint(b, v->owner);
	buf_u8(b, (uint8_t)v->acl);
	buf_u8(b, is_md5);
	if (is_md5)
		buf_put(b, md5_bytes, 16);
	content_encode(b, &v->content);
	if (!is_md5 && v->etag.len)
		tag_put(b, VERSION_TAG_ETAG_TEXT, v->etag);
	if (v->content_type.len)
		tag_put(b, VERSION_TAG_CONTENT_TYPE, v->content_type);
	for (size_t i = 0; i < v->property_count; i++) {
		struct buf pair;

		buf_init(&pair, b->arena);
		buf_field(&pair, v->properties[i].name);
		buf_field(&pair, v->properties[i].value);
		tag_put(b, VERSION_TAG_PROPERTY, buf_bytes(&pair));
		buf_fini(&pair);
	}
	if (v->has_checksum) {
		uint8_t sum[2 + DIGEST_MAX_BYTES] = { (uint8_t)v->checksum, (uint8_t)v->checksum_type };
		size_t len = digest_size(v->checksum);

		memcpy(sum + 2, v->checksum_value.bytes, len);
		tag_put(b, VERSION_TAG_CHECKSUM, bytes_of(sum, 2 + len));
	}
	if (v->parts) {
		struct buf parts;

		buf_init(&parts, b->arena);
		buf_varint(&parts, v->parts);
		tag_put(b, VERSION_TAG_PARTS, buf_bytes(&parts));
		buf_fini(&parts);
	}
	buf_put_bytes(b, v->unknown);
}

static bool
property_decode(struct bytes field, struct version *out)
{
	struct reader r;
	struct property *p = &out->properties[out->property_count];

	if (out->property_count == PROPERTIES_MAX)
		return false;
	reader_init(&r, field);
	p->name = reader_field(&r);
	p->value = reader_field(&r);
	out->property_count++;
	return !r.failed;
}

static bool
checksum_decode(struct bytes field, struct version *out)
{
	if (out->has_checksum || field.len < 2 || field.data[0] >= DIGEST_COUNT || field.data[1] > CHECKSUM_COMPOSITE ||
		field.len != 2 + digest_size(field.data[0]))
		return false;
	out->has_checksum = true;
	out->checksum = field.data[0];
	out->checksum_type = field.data[1];
	memcpy(out->checksum_value.bytes, field.data + 2, field.len - 2);
	return true;
}

/* The property list is counted first, so that it is one array. */
static size_t
tags_count(struct reader r, uint64_t wanted)
{
	size_t count = 0;

	while (!r.failed && reader_left(&r)) {
		uint64_t tag = reader_varint(&r);

		(void)reader_field(&r);
		count += tag == wanted;
	}
	return count;
}

static bool
version_tags_decode(struct arena *arena, struct reader *r, struct version *out)
{
	size_t properties = tags_count(*r, VERSION_TAG_PROPERTY);
	struct buf unknown;
	struct reader number;
	bool good = true;

	buf_init(&unknown, arena);
	if (properties)
		out->properties = ARENA_ARRAY(arena, struct property, properties);
	while (good && !r->failed && reader_left(r)) {
		uint64_t tag = reader_varint(r);
		struct bytes field = reader_field(r);

		switch (tag) {
		case VERSION_TAG_CONTENT_TYPE:
			out->content_type = field;
			break;
		case VERSION_TAG_ETAG_TEXT:
			out->etag = field;
			break;
		case VERSION_TAG_PROPERTY:
			good = property_decode(field, out);
			break;
		case VERSION_TAG_CHECKSUM:
			good = checksum_decode(field, out);
			break;
		case VERSION_TAG_PARTS:
			reader_init(&number, field);
			out->parts = reader_varint32(&number);
			good = !number.failed;
			break;
		default:
			unknown_keep(&unknown, tag, field);
		}
	}
	out->unknown = buf_bytes(&unknown);
	return good && !r->failed;
}

enum rfs_err
version_decode(struct arena *arena, struct bytes v, struct version *out)
{
	struct reader r;
	struct bytes id;
	uint8_t has_md5;

	memset(out, 0, sizeof(*out));
	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	id = reader_bytes(&r, OBJECT_ID_BYTES);
	if (r.failed)
		return RFS_ERR_DAMAGED;
	memcpy(out->object_id, id.data, OBJECT_ID_BYTES);
	out->flags = reader_varint32(&r);
	out->modified_ns = (int64_t)reader_u64(&r);
	out->owner = reader_varint(&r);
	out->acl = reader_u8(&r);
	has_md5 = reader_u8(&r);
	if (has_md5 == 1) {
		struct bytes md5_bytes = reader_bytes(&r, 16);
		char *text = arena_alloc(arena, 33);

		if (r.failed)
			return RFS_ERR_DAMAGED;
		hex_encode(md5_bytes, text);
		out->etag = bytes_of(text, 32);
	}
	if (has_md5 > 1 || out->acl >= ACL_COUNT || !content_decode(&r, &out->content) || !version_tags_decode(arena, &r, out))
		return RFS_ERR_DAMAGED;
	return RFS_OK;
}

/* --- runs of blocks, segments, parts ------------------------------------------------------------------------------------------- */

void
run_encode(struct buf *b, const struct run_row *row)
{
	buf_u8(b, row->hashed ? FORMAT_HASHED : ROW_FORMAT);
	buf_varint(b, row->count);
	buf_varint(b, row->block_size);
	buf_varint(b, row->last_size);
	for (uint32_t i = 0; i < row->count; i++) {
		buf_varint(b, row->stored_sizes[i]);
		buf_put(b, row->sha256[i], 32);
	}
}

enum rfs_err
run_decode(struct bytes v, struct run_row *out)
{
	struct reader r;
	struct bytes locations;
	uint8_t format;

	reader_init(&r, v);
	format = reader_u8(&r);
	if (format != ROW_FORMAT && format != FORMAT_HASHED)
		return RFS_ERR_DAMAGED;
	out->hashed = format == FORMAT_HASHED;
	out->count = reader_varint32(&r);
	out->block_size = reader_varint32(&r);
	out->last_size = reader_varint32(&r);
	if (!out->count || out->count > (out->hashed ? 1 : RUN_MAX_BLOCKS))
		return RFS_ERR_DAMAGED;
	for (uint32_t i = 0; i < out->count; i++) {
		struct bytes hash;

		out->stored_sizes[i] = reader_varint32(&r);
		hash = reader_bytes(&r, 32);
		if (r.failed)
			return RFS_ERR_DAMAGED;
		memcpy(out->sha256[i], hash.data, 32);
	}
	locations = reader_bytes(&r, (size_t)out->count * BLOCK_LOCATION_BYTES);
	if (r.failed || reader_left(&r))
		return RFS_ERR_DAMAGED;
	out->locations = locations.data;
	return RFS_OK;
}

void
hash_encode(struct buf *b, uint64_t block)
{
	row_begin(b);
	buf_varint(b, block);
}

enum rfs_err
hash_decode(struct bytes v, uint64_t *block)
{
	struct reader r;

	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	*block = reader_varint(&r);
	return r.failed || reader_left(&r) || !*block ? RFS_ERR_DAMAGED : RFS_OK;
}

void
segment_encode(struct buf *b, const struct segment_row *row)
{
	row_begin(b);
	buf_varint(b, row->bytes);
	buf_varint(b, row->extent_count);
	for (size_t i = 0; i < row->extent_count; i++) {
		buf_varint(b, row->extents[i].at);
		buf_varint(b, row->extents[i].blocks);
		buf_varint(b, row->extents[i].first);
		buf_varint(b, row->extents[i].skip);
	}
}

enum rfs_err
segment_decode(struct arena *arena, struct bytes v, struct segment_row *out)
{
	struct reader r;

	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	out->bytes = reader_varint(&r);
	out->extent_count = reader_varint(&r);
	if (r.failed || out->extent_count > RUN_MAX_BLOCKS)
		return RFS_ERR_DAMAGED;
	out->extents = ARENA_ARRAY(arena, struct extent, out->extent_count + 1);
	for (size_t i = 0; i < out->extent_count; i++) {
		out->extents[i].at = reader_varint32(&r);
		out->extents[i].blocks = reader_varint32(&r);
		out->extents[i].first = reader_varint(&r);
		out->extents[i].skip = reader_varint32(&r);
	}
	return row_close(&r);
}

void
parts_encode(struct buf *b, const struct part_ref *parts, size_t count, const struct part_sums *sums)
{
	row_begin(b);
	buf_varint(b, count);
	for (size_t i = 0; i < count; i++) {
		buf_varint(b, parts[i].end);
		content_encode(b, &parts[i].content);
	}
	if (sums->given) {
		buf_u8(b, (uint8_t)sums->digest);
		buf_put(b, sums->values, count * digest_size(sums->digest));
	}
}

/* Behind the parts; rows without checksums end before them. */
static bool
sums_decode(struct reader *r, size_t count, struct part_sums *out)
{
	uint8_t digest;

	*out = (struct part_sums){ 0 };
	if (!reader_left(r))
		return true;
	digest = reader_u8(r);
	if (digest >= DIGEST_COUNT)
		return false;
	out->given = true;
	out->digest = digest;
	out->values = reader_bytes(r, count * digest_size(digest)).data;
	return !r->failed;
}

enum rfs_err
parts_decode(struct arena *arena, struct bytes v, struct part_ref **out, size_t *count, struct part_sums *sums)
{
	struct reader r;
	struct part_ref *parts;
	struct part_sums ignored;

	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	*count = reader_varint(&r);
	if (r.failed || *count > 10000)
		return RFS_ERR_DAMAGED;
	parts = ARENA_ARRAY(arena, struct part_ref, *count + 1);
	for (size_t i = 0; i < *count; i++) {
		parts[i].end = reader_varint(&r);
		if (!content_decode(&r, &parts[i].content))
			return RFS_ERR_DAMAGED;
	}
	*out = parts;
	if (r.failed || !sums_decode(&r, *count, sums ? sums : &ignored))
		return RFS_ERR_DAMAGED;
	return reader_left(&r) ? RFS_ERR_DAMAGED : RFS_OK;
}

/* --- changes ------------------------------------------------------------------------------------------------------------------- */

void
change_encode(struct buf *b, const struct change_row *row)
{
	row_begin(b);
	buf_u8(b, (uint8_t)row->kind);
	buf_put(b, row->object_id, OBJECT_ID_BYTES);
	buf_varint(b, row->size);
	buf_u64(b, (uint64_t)row->time_ns);
	buf_varint(b, row->who);
	buf_field(b, row->door);
	buf_field(b, row->name);
	buf_field(b, row->new_name);
}

enum rfs_err
change_decode(struct bytes v, struct change_row *out)
{
	struct reader r;
	struct bytes id;

	memset(out, 0, sizeof(*out));
	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	out->kind = reader_u8(&r);
	id = reader_bytes(&r, OBJECT_ID_BYTES);
	if (r.failed)
		return RFS_ERR_DAMAGED;
	memcpy(out->object_id, id.data, OBJECT_ID_BYTES);
	out->size = reader_varint(&r);
	out->time_ns = (int64_t)reader_u64(&r);
	out->who = reader_varint(&r);
	out->door = reader_field(&r);
	out->name = reader_field(&r);
	out->new_name = reader_field(&r);
	out->previous = reader_u64(&r);
	return row_close(&r);
}
