/* feed.c: a bucket's changes in the order of their serials: telling one, reading them, and who else reads them. */
#include "managers/metadata/metadata_int.h"
#include "base/mutant.h"
#include "base/waits.h"

static void
change_append(struct batch *b, struct request *rq, const struct bucket_row *bucket, enum change_kind kind,
	struct bytes name, struct bytes new_name, const struct version *version)
{
	struct change_row change = {
		.kind = kind,
		.name = name,
		.new_name = new_name,
		.time_ns = rq->now_ns,
		.door = bytes_str(rq->door),
		.who = rq->who ? rq->who->id : IDENTITY_NOBODY,
	};
	struct buf value;

	if (MUTANT("feed-row-dropped") && kind == CHANGE_DELETE)
		return;
	if (version) {
		memcpy(change.object_id, version->object_id, OBJECT_ID_BYTES);
		change.size = version->content.size;
	}
	buf_init(&value, b->arena);
	change_encode(&value, &change);
	batch_append(b, key_feed(b->arena, bucket->id), buf_bytes(&value));
}

void
feed_append(struct batch *b, struct request *rq, const struct bucket_row *bucket, enum change_kind kind,
	struct bytes name, const struct version *version)
{
	change_append(b, rq, bucket, kind, name, bytes_of(NULL, 0), version);
}

void
feed_append_rename(struct batch *b, struct request *rq, const struct bucket_row *bucket, struct bytes name,
	struct bytes new_name, const struct version *version)
{
	change_append(b, rq, bucket, CHANGE_RENAME, name, new_name, version);
}

void
feed_append_bucket(struct batch *b, struct request *rq, const struct bucket_row *bucket, struct bytes changed)
{
	change_append(b, rq, bucket, CHANGE_BUCKET, bucket->name, changed, NULL);
}

/* --- what is left of it
 * ---------------------------------------------------------------------------------------------------------- */

enum rfs_err
feed_state_get(struct metadata *m, struct request *rq, uint64_t bucket, struct feed_state *out)
{
	struct row row;
	enum rfs_err err;

	*out = (struct feed_state){0};
	if ((err = metadata_get(m, rq, key_feed_state(rq->arena, bucket), &row)) || !row.found)
		return err;
	out->serial = row.serial;
	return feed_state_decode(row.value, out) ? request_fail(rq, RFS_ERR_DAMAGED, "reading what is left of a feed")
						 : RFS_OK;
}

void
feed_state_put(struct batch *b, uint64_t bucket, const struct feed_state *state)
{
	struct buf value;

	buf_init(&value, b->arena);
	feed_state_encode(&value, state);
	batch_checked(batch_put(b, key_feed_state(b->arena, bucket), buf_bytes(&value)), state->serial);
}

enum rfs_err
feed_last(struct metadata *m, struct request *rq, uint64_t bucket, uint64_t *serial)
{
	struct bytes from = key_feed(rq->arena, bucket);
	struct feed_state state;
	struct row_page page;
	enum rfs_err err;

	if ((err = metadata_scan(m, rq, from, key_after_prefix(rq->arena, from), 1, true, &page)) ||
		(err = feed_state_get(m, rq, bucket, &state)))
		return err;
	*serial = page.count ? key_change_serial(page.rows[0].key) : state.pruned;
	return RFS_OK;
}

/* --- reading
 * ---------------------------------------------------------------------------------------------------------------------
 */

bool
feed_wait(struct metadata *m, struct request *rq, uint64_t bucket)
{
	if (!m->waits || !rq->wait)
		return false;
	waits_arm(m->waits, rq->wait, bucket);
	return true;
}

/* `before`: serial of the change before it, as far as it is known. */
static enum rfs_err
change_read(struct request *rq, const struct row *row, uint64_t before, struct change_row *out)
{
	uint64_t serial = key_change_serial(row->key);

	if (!serial || change_decode(row->value, out))
		return request_fail(
			rq, RFS_ERR_DAMAGED, "reading the change of serial %llu", (unsigned long long)serial);
	out->serial = serial;
	if (out->previous > before)
		return request_fail(rq, RFS_ERR_DAMAGED, "the change of serial %llu is missing in the feed",
			(unsigned long long)out->previous);
	return RFS_OK;
}

enum rfs_err
feed_page_read(
	struct metadata *m, struct request *rq, uint64_t bucket, uint64_t after, size_t limit, struct feed_page *out)
{
	struct bytes from = key_change(rq->arena, bucket, after == UINT64_MAX ? after : after + 1);
	struct row_page page;
	uint64_t last;
	enum rfs_err err;

	*out = (struct feed_page){0};
	/* The state last: what is pruned after the rows were read makes this a GONE too many, never a change too few.
	 */
	if ((err = metadata_scan(
		     m, rq, from, key_after_prefix(rq->arena, key_feed(rq->arena, bucket)), limit, false, &page)) ||
		(err = feed_state_get(m, rq, bucket, &out->state)))
		return err;
	if (after < out->state.pruned && !MUTANT("pruned-changes-not-told"))
		return request_fail(rq, RFS_ERR_GONE,
			"Changes up to serial %llu have been removed from the feed; compare listings, and go on behind "
			"that",
			(unsigned long long)out->state.pruned);
	if (!page.count && (err = feed_last(m, rq, bucket, &last)))
		return err;
	if (!page.count && after > last)
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "The feed has only come to serial %llu",
			(unsigned long long)last);
	out->changes = ARENA_ARRAY(rq->arena, struct change_row, page.count + 1);
	for (; out->count < page.count; out->count++) {
		struct change_row *change = &out->changes[out->count];

		if ((err = change_read(rq, &page.rows[out->count], after, change)))
			return err;
		after = change->serial;
	}
	out->more = page.more;
	return RFS_OK;
}

enum rfs_err
feed_cursors(struct metadata *m, struct request *rq, uint64_t bucket, struct feed_cursor **out, size_t *count)
{
	struct bytes from = key_cursor(rq->arena, bucket, bytes_of(NULL, 0)), to = key_after_prefix(rq->arena, from);
	size_t room = FEED_CURSORS_MAX;
	struct row_page page;
	enum rfs_err err;

	/* There may be more than are made. */
	do
		err = metadata_scan(m, rq, from, to, room *= 2, false, &page);
	while (!err && page.more);
	*count = 0;
	*out = err ? NULL : ARENA_ARRAY(rq->arena, struct feed_cursor, page.count + 1);
	for (size_t i = 0; !err && i < page.count; i++, ++*count) {
		(*out)[i].name = bytes_sub(page.rows[i].key, from.len, page.rows[i].key.len);
		if (cursor_decode(page.rows[i].value, &(*out)[i].row))
			err = request_fail(rq, RFS_ERR_DAMAGED, "reading a cursor of a feed");
	}
	return err;
}
