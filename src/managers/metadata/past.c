/*
 * past.c: rows as they were at the serial of a snapshot: kept when they are replaced or removed, and read again, one by
 * one or in order. A row was there from its own serial until that of the batch that kept it, which the driver has
 * beside the row of the past: docs/decisions/0010-rows-of-the-past.md.
 */
#include "base/mutant.h"
#include "managers/metadata/metadata_int.h"

/* The row of an entry that is kept holds its content, which is counted: the reaper leaves it. */
static void
content_keep(struct batch *b, const struct bucket_row *bucket, struct bytes key, struct bytes value)
{
	struct version v;

	if (key.data[8] == TABLE_ENTRY && !version_decode(b->arena, value, &v) && v.content.kind != CONTENT_EMPTY)
		batch_add(b, key_counter_of(b->arena, bucket->id, COUNTER_PAST, v.content.data_id), 1);
}

void
past_keep(struct batch *b, const struct bucket_row *bucket, struct bytes key, const struct row *old)
{
	/* The value is kept as it was: its serial is in the past row's key. */
	batch_put(b, key_past(b->arena, key, old->serial), old->value);
	content_keep(b, bucket, key, old->value);
}

enum rfs_err
past_has(struct metadata *m, struct request *rq, const struct counter_range *past, uint64_t data_id, bool *has)
{
	int64_t count = 0;
	enum rfs_err err = counter_range_get(m, rq, past, data_id, &count);

	*has = count > 0 && !MUTANT("past-bytes-reaped");
	return err;
}

/* --- one row -------------------------------------------------------------------------------------------------------
 */

/* What a row of the past was; `found`: at `serial` it was there. */
static enum rfs_err
row_restore(struct request *rq, const struct row *past, uint64_t serial, struct row *out)
{
	*out = (struct row){.value = past->value};
	if (!key_past_split(rq->arena, past->key, &out->key, &out->serial))
		return request_fail(rq, RFS_ERR_DAMAGED, "the key of a row of the past");
	out->found = out->serial <= serial && (serial < past->serial || MUTANT("past-never-ends"));
	return RFS_OK;
}

/* Among the rows of the past alone. */
static enum rfs_err
past_get(struct metadata *m, struct request *rq, struct bytes key, uint64_t serial, struct row *out)
{
	struct row_page page;
	enum rfs_err err;

	*out = (struct row){.found = false};
	err = metadata_scan(m, rq, key_past(rq->arena, key, 0), key_past(rq->arena, key, serial + 1), 1, true, &page);
	return err || !page.count ? err : row_restore(rq, &page.rows[0], serial, out);
}

enum rfs_err
metadata_get_at(struct metadata *m, struct request *rq, struct bytes key, uint64_t serial, struct row *out)
{
	enum rfs_err err = metadata_get(m, rq, key, out);

	if (err || (out->found && out->serial <= serial))
		return err;
	return past_get(m, rq, key, serial, out);
}

/* --- in order ------------------------------------------------------------------------------------------------------
 */

/* Rows of one table, in the order in which they are asked for: those that were there, and how far they are known. */
struct past_part {
	struct row_page page;
	struct bytes last; /* if page.more */
};

static int
key_order(struct bytes a, struct bytes b, bool reverse)
{
	return reverse ? bytes_compare(b, a) : bytes_compare(a, b);
}

static enum rfs_err
live_read(struct metadata *m, struct request *rq, struct bytes from, struct bytes to, uint64_t serial, size_t limit,
	bool reverse, struct past_part *out)
{
	struct row_page *page = &out->page;
	enum rfs_err err = metadata_scan(m, rq, from, to, limit, reverse, page);
	size_t count = 0;

	if (err)
		return err;
	for (size_t i = 0; i < page->count; i++) {
		out->last = page->rows[i].key;
		if (page->rows[i].serial <= serial)
			page->rows[count++] = page->rows[i];
	}
	page->count = count;
	return RFS_OK;
}

static enum rfs_err
kept_read(struct metadata *m, struct request *rq, struct bytes from, struct bytes to, uint64_t serial, size_t limit,
	bool reverse, struct past_part *out)
{
	struct row_page *page = &out->page;
	struct row row = {.found = false};
	size_t count = 0;
	enum rfs_err err =
		metadata_scan(m, rq, key_past(rq->arena, from, 0), key_past(rq->arena, to, 0), limit, reverse, page);

	for (size_t i = 0; !err && i < page->count; i++) {
		err = row_restore(rq, &page->rows[i], serial, &row);
		out->last = row.key;
		if (row.found)
			page->rows[count++] = row;
	}
	/* Of the last key there may be other rows behind the limit. No two of them were there at one time. */
	if (!err && page->more && !(count && bytes_equal(page->rows[count - 1].key, out->last))) {
		err = past_get(m, rq, out->last, serial, &row);
		if (row.found)
			page->rows[count++] = row;
	}
	page->count = count;
	return err;
}

/* Which comes next: the live one (< 0), the kept one (> 0), or both. */
static int
next_of(const struct row_page *live, size_t l, const struct row_page *kept, size_t k, bool reverse)
{
	if (l == live->count)
		return 1;
	return k == kept->count ? -1 : key_order(live->rows[l].key, kept->rows[k].key, reverse);
}

/* Up to the last key of which both are known, or the limit. */
static void
parts_merge(struct past_part *live, struct past_part *kept, size_t limit, bool reverse, struct past_page *out,
	struct bytes *last)
{
	size_t l = 0, k = 0;

	out->more = live->page.more || kept->page.more;
	*last = live->page.more ? live->last : kept->last;
	if (live->page.more && kept->page.more && key_order(kept->last, live->last, reverse) < 0)
		*last = kept->last;
	while (l < live->page.count || k < kept->page.count) {
		int order = next_of(&live->page, l, &kept->page, k, reverse);
		const struct row *next = order <= 0 ? &live->page.rows[l] : &kept->page.rows[k];

		if (out->more && key_order(next->key, *last, reverse) > 0 && !MUTANT("past-pages-not-joined"))
			break;
		if (out->count == limit) {
			out->more = true;
			*last = out->rows[limit - 1].key;
			break;
		}
		out->rows[out->count++] = *next;
		l += order <= 0;
		k += order >= 0; /* both: it was replaced in between */
	}
}

static struct bytes
key_behind(struct arena *a, struct bytes key)
{
	struct buf b;

	buf_init(&b, a);
	buf_put_bytes(&b, key);
	buf_u8(&b, 0);
	return buf_bytes(&b);
}

enum rfs_err
metadata_scan_at(struct metadata *m, struct request *rq, struct bytes from, struct bytes to, uint64_t serial,
	size_t limit, bool reverse, struct past_page *out)
{
	struct past_part live = {0}, kept = {0};
	struct bytes last;
	enum rfs_err err;

	*out = (struct past_page){0};
	/* The live ones first: what is replaced in between is met twice, not never. */
	if ((err = live_read(m, rq, from, to, serial, limit, reverse, &live)) ||
		(err = kept_read(m, rq, from, to, serial, limit, reverse, &kept)))
		return err;
	out->rows = arena_alloc(rq->arena, (live.page.count + kept.page.count + 1) * sizeof(*out->rows));
	parts_merge(&live, &kept, limit, reverse, out, &last);
	if (out->more)
		out->next = reverse ? last : key_behind(rq->arena, last);
	return RFS_OK;
}
