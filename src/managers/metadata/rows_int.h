/* rows_int.h: how every row's value begins and ends, for the files that encode rows; see rows.h. [any] */
#ifndef MANAGERS_METADATA_ROWS_INT_H
#define MANAGERS_METADATA_ROWS_INT_H

#include "managers/metadata/rows.h"

#define ROW_FORMAT 1

static inline void
row_begin(struct buf *b)
{
	buf_u8(b, ROW_FORMAT);
}

/* Another format fails like a value that is too short: at the end. */
static inline void
row_open(struct reader *r, struct bytes v)
{
	reader_init(r, v);
	if (reader_u8(r) != ROW_FORMAT)
		r->failed = true;
}

/* Was all of it read, and was it there? */
static inline enum rfs_err
row_close(const struct reader *r)
{
	return r->failed || reader_left(r) ? RFS_ERR_DAMAGED : RFS_OK;
}

#endif
