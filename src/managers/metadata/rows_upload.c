/* rows_upload.c: the encoding of multipart uploads and their parts; see rows.h and docs/format/rows.md. */
#include "base/arena.h"
#include "managers/metadata/rows_int.h"

#define NO_CHECKSUM 255

void
upload_encode(struct buf *b, const struct upload_row *row)
{
	row_begin(b);
	buf_u8(b, (uint8_t)row->state);
	buf_u64(b, (uint64_t)row->created_ns);
	buf_u8(b, row->has_checksum ? (uint8_t)row->checksum : NO_CHECKSUM);
	buf_u8(b, (uint8_t)row->checksum_type);
	version_encode(b, &row->version);
}

enum rfs_err
upload_decode(struct arena *arena, struct bytes v, struct upload_row *out)
{
	struct reader r;
	uint8_t checksum;

	memset(out, 0, sizeof(*out));
	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	out->state = reader_u8(&r);
	out->created_ns = (int64_t)reader_u64(&r);
	checksum = reader_u8(&r);
	out->checksum_type = reader_u8(&r);
	out->has_checksum = checksum != NO_CHECKSUM;
	out->checksum = out->has_checksum ? checksum : 0;
	if (r.failed || out->checksum >= DIGEST_COUNT || out->checksum_type > CHECKSUM_COMPOSITE || out->state > UPLOAD_COMPLETING)
		return RFS_ERR_DAMAGED;
	return version_decode(arena, bytes_of(r.at, reader_left(&r)), &out->version);
}

void
part_encode(struct buf *b, const struct part_row *row)
{
	row_begin(b);
	buf_varint(b, row->number);
	buf_u64(b, (uint64_t)row->modified_ns);
	buf_put(b, row->md5, 16);
	content_encode(b, &row->content);
	buf_u8(b, row->has_checksum ? (uint8_t)row->checksum : NO_CHECKSUM);
	if (row->has_checksum)
		buf_put(b, row->checksum_value.bytes, digest_size(row->checksum));
}

enum rfs_err
part_decode(struct bytes v, struct part_row *out)
{
	struct reader r;
	struct bytes field;
	uint8_t checksum;

	memset(out, 0, sizeof(*out));
	reader_init(&r, v);
	if (reader_u8(&r) != ROW_FORMAT)
		return RFS_ERR_DAMAGED;
	out->number = reader_varint32(&r);
	out->modified_ns = (int64_t)reader_u64(&r);
	field = reader_bytes(&r, 16);
	if (r.failed || !content_decode(&r, &out->content))
		return RFS_ERR_DAMAGED;
	memcpy(out->md5, field.data, 16);
	checksum = reader_u8(&r);
	if (checksum != NO_CHECKSUM) {
		if (checksum >= DIGEST_COUNT)
			return RFS_ERR_DAMAGED;
		out->has_checksum = true;
		out->checksum = checksum;
		field = reader_bytes(&r, digest_size(checksum));
		if (!r.failed)
			memcpy(out->checksum_value.bytes, field.data, field.len);
	}
	return row_close(&r);
}
