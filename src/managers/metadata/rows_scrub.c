/* rows_scrub.c: the encoding of how far the scrub is, and of what is damaged; see rows.h and docs/format/rows.md. */
#include "managers/metadata/rows_int.h"

#define ROW_KEY_HEAD 9 /* bucket and table */

static void
round_encode(struct buf *b, const struct scrub_round *round)
{
	buf_u64(b, (uint64_t)round->started_ns);
	buf_varint(b, round->objects);
	buf_varint(b, round->bytes);
	buf_varint(b, round->damaged);
}

static void
round_decode(struct reader *r, struct scrub_round *out)
{
	out->started_ns = (int64_t)reader_u64(r);
	out->objects = reader_varint(r);
	out->bytes = reader_varint(r);
	out->damaged = reader_varint(r);
}

void
scrub_row_encode(struct buf *b, const struct scrub_row *row)
{
	row_begin(b);
	buf_u64(b, (uint64_t)row->finished_ns);
	round_encode(b, &row->last);
	buf_varint(b, row->bucket);
	if (!row->bucket)
		return;
	buf_field(b, row->key);
	round_encode(b, &row->broken_off);
}

enum rfs_err
scrub_row_decode(struct bytes v, struct scrub_row *out)
{
	struct reader r;

	*out = (struct scrub_row){0};
	row_open(&r, v);
	out->finished_ns = (int64_t)reader_u64(&r);
	round_decode(&r, &out->last);
	out->bucket = reader_varint(&r);
	if (out->bucket) {
		out->key = reader_field(&r);
		round_decode(&r, &out->broken_off);
	}
	return row_close(&r);
}

void
damage_row_encode(struct buf *b, const struct damage_row *row)
{
	row_begin(b);
	buf_u64(b, (uint64_t)row->found_ns);
	buf_field(b, row->bucket);
	buf_field(b, row->key);
	buf_field(b, row->row);
	buf_field(b, row->found_by);
	buf_field(b, row->text);
}

enum rfs_err
damage_row_decode(struct bytes v, struct damage_row *out)
{
	struct reader r;

	row_open(&r, v);
	out->found_ns = (int64_t)reader_u64(&r);
	out->bucket = reader_field(&r);
	out->key = reader_field(&r);
	out->row = reader_field(&r);
	out->found_by = reader_field(&r);
	out->text = reader_field(&r);
	return out->row.len <= ROW_KEY_HEAD ? RFS_ERR_DAMAGED : row_close(&r);
}
