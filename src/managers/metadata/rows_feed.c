/* rows_feed.c: the encoding of what is known of a feed, and of its readers; see rows.h and docs/format/rows.md. */
#include "managers/metadata/rows_int.h"

void
feed_state_encode(struct buf *b, const struct feed_state *row)
{
	row_begin(b);
	buf_varint(b, row->pruned);
	buf_varint(b, row->counted);
	buf_varint(b, row->rows);
}

enum rfs_err
feed_state_decode(struct bytes v, struct feed_state *out)
{
	struct reader r;

	row_open(&r, v);
	out->pruned = reader_varint(&r);
	out->counted = reader_varint(&r);
	out->rows = reader_varint(&r);
	return out->counted < out->pruned ? RFS_ERR_DAMAGED : row_close(&r);
}

void
cursor_encode(struct buf *b, const struct cursor_row *row)
{
	row_begin(b);
	buf_varint(b, row->position);
	buf_u64(b, (uint64_t)row->moved_ns);
}

enum rfs_err
cursor_decode(struct bytes v, struct cursor_row *out)
{
	struct reader r;

	row_open(&r, v);
	out->position = reader_varint(&r);
	out->moved_ns = (int64_t)reader_u64(&r);
	return row_close(&r);
}
