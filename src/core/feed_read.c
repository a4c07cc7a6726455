/* feed_read.c: the changes of a bucket, as far as the caller may see them. [any] */
#include "core/core_int.h"
#include "base/waits.h"

#define PAGE_ROWS 1000
#define LOOK_ROWS_MOST 10000 /* of one call, however few of them the prefix covers */
#define SKIP_ROWS_MOST \
	1000 /* that a prefix does not cover, until who waits is told how far he is: he does not read them again */

/* May who is limited to the prefix see the name: of what is below the prefix, or of a directory that holds all of that?
 */
static bool
name_covered(struct bytes name, struct bytes prefix)
{
	return bytes_starts_with(name, prefix) || (name_is_directory(name) && bytes_starts_with(prefix, name));
}

/* False: it is nothing to who asks for the prefix. */
static bool
change_limit(struct change_row *change, struct bytes prefix)
{
	const struct bytes hidden = bytes_of(NULL, 0);

	if (!prefix.len)
		return true;
	if (change->kind == CHANGE_BUCKET)
		return false;
	if (change->kind != CHANGE_RENAME)
		return bytes_starts_with(change->name, prefix);
	if (!name_covered(change->name, prefix))
		change->name = hidden;
	if (!name_covered(change->new_name, prefix))
		change->new_name = hidden;
	return change->name.len || change->new_name.len;
}

/* Adds a page to what is there. */
static void
page_add(struct feed *out, const struct feed_page *page, struct bytes prefix, size_t limit)
{
	out->more = page->more;
	for (size_t i = 0; i < page->count; i++) {
		struct change_row change = page->changes[i];

		if (change_limit(&change, prefix)) {
			if (out->count == limit) {
				out->more = true;
				return;
			}
			out->changes[out->count++] = change;
		}
		out->next = change.serial;
	}
}

static enum rfs_err
cursor_position(
	struct core *core, struct request *rq, const struct bucket_row *bucket, struct bytes name, uint64_t *position)
{
	struct cursor_row cursor;
	struct row row;
	enum rfs_err err = metadata_get(core->metadata, rq, key_cursor(rq->arena, bucket->id, name), &row);

	if (err || !row.found)
		return err ? err : request_fail(rq, RFS_ERR_NOT_FOUND, "The bucket's feed has no cursor of this name");
	if ((err = cursor_decode(row.value, &cursor)))
		return request_fail(rq, err, "reading a cursor of a feed");
	*position = cursor.position;
	return RFS_OK;
}

enum rfs_err
feed_read(struct core *core, struct request *rq, const struct feed_read_args *args, struct feed *out)
{
	struct bucket_row bucket;
	struct access_target target = {.bucket = &bucket, .name = args->prefix};
	size_t looked = 0;
	bool waits;
	enum rfs_err err;

	*out = (struct feed){.next = args->after};
	if ((err = bucket_find(core->metadata, rq, args->bucket, &bucket)) ||
		(err = auth_check(core->auth, rq, &target, OP_FEED_READ)))
		return err;
	if (!args->limit)
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT, "At least one change must be asked for");
	if (args->cursor.len && (err = cursor_position(core, rq, &bucket, args->cursor, &out->next)))
		return err;
	waits = args->wait && feed_wait(core->metadata, rq, bucket.id);
	out->changes = ARENA_ARRAY(rq->arena, struct change_row, args->limit);
	do {
		size_t most = args->prefix.len || args->limit > PAGE_ROWS ? PAGE_ROWS : args->limit;
		struct feed_page page;

		if ((err = feed_page_read(core->metadata, rq, bucket.id, out->next, most, &page)))
			return err;
		page_add(out, &page, args->prefix, args->limit);
		looked += page.count;
	} while (out->more && out->count < args->limit && looked < LOOK_ROWS_MOST);
	if (waits && (out->count || out->more || looked > SKIP_ROWS_MOST))
		waits_disarm(rq->wait);
	return RFS_OK;
}
