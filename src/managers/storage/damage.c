/* damage.c: what is known to be damaged, by bucket and key; see scrub.h. */
#include "managers/storage/scrub.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define DAMAGES_MOST 1000 /* kept; the log has them all */

struct damage {
	uint64_t bucket_id;
	char *bucket;
	struct bytes key, row; /* of malloc */
	uint64_t serial;       /* of the row */
	char *text;
	const char *found_by;
	int64_t found_ns;
};

struct damages {
	pthread_mutex_t lock; /* items, count */
	struct damage items[DAMAGES_MOST];
	size_t count;
};

struct damages *
damages_new(void)
{
	struct damages *d = xcalloc(1, sizeof(*d));

	pthread_mutex_init(&d->lock, NULL);
	return d;
}

static void
item_remove_locked(struct damages *d, size_t at)
{
	free(d->items[at].bucket);
	free((void *)d->items[at].key.data);
	free((void *)d->items[at].row.data);
	free(d->items[at].text);
	d->items[at] = d->items[--d->count];
	metric_set(METRIC_DAMAGED_OBJECTS, (int64_t)d->count);
}

void
damages_free(struct damages *d)
{
	while (d->count)
		item_remove_locked(d, d->count - 1);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* SIZE_MAX: there is none. */
static size_t
item_find_locked(const struct damages *d, uint64_t bucket_id, struct bytes key)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->items[i].bucket_id == bucket_id && bytes_equal(d->items[i].key, key))
			return i;
	return SIZE_MAX;
}

static struct bytes
bytes_dup(struct bytes v)
{
	uint8_t *copy = xmalloc(v.len + 1);

	if (v.len)
		memcpy(copy, v.data, v.len);
	copy[v.len] = 0;
	return bytes_of(copy, v.len);
}

/* False: that is known. */
static bool
item_add(struct damages *d, const struct bucket_row *bucket, struct bytes key, struct bytes row, uint64_t serial,
	const char *found_by, const char *text)
{
	size_t at;
	bool known;

	pthread_mutex_lock(&d->lock);
	at = item_find_locked(d, bucket->id, key);
	known = at != SIZE_MAX && d->items[at].serial == serial;
	if (at != SIZE_MAX && !known)
		item_remove_locked(d, at);
	if (!known && d->count < DAMAGES_MOST) {
		d->items[d->count++] = (struct damage){
			.bucket_id = bucket->id,
			.bucket = (char *)bytes_dup(bucket->name).data,
			.key = bytes_dup(key),
			.row = bytes_dup(row),
			.serial = serial,
			.text = xstrdup(text),
			.found_by = found_by,
			.found_ns = clock_wall_ns(),
		};
		metric_set(METRIC_DAMAGED_OBJECTS, (int64_t)d->count);
	}
	pthread_mutex_unlock(&d->lock);
	return !known;
}

void
damage_note(struct storage *s, const struct bucket_row *bucket, struct bytes key, struct bytes row, uint64_t serial,
	const char *found_by, const char *text)
{
	if (item_add(s->damages, bucket, key, row, serial, found_by, text))
		log_error(0, "object %.*s/%.*s is damaged, found by a %s: %s", (int)bucket->name.len,
			(const char *)bucket->name.data, (int)key.len, (const char *)key.data, found_by, text);
}

/* --- listing --------------------------------------------------------------------------------------------------------
 */

/* Copies into the arena; the list may change as soon as the lock is gone. */
static size_t
items_copy(struct damages *d, struct arena *arena, struct damage **out)
{
	size_t count;

	pthread_mutex_lock(&d->lock);
	count = d->count;
	*out = ARENA_ARRAY(arena, struct damage, count + 1);
	for (size_t i = 0; i < count; i++) {
		struct damage *copy = &(*out)[i];

		*copy = d->items[i];
		copy->bucket = arena_printf(arena, "%s", copy->bucket);
		copy->key = arena_copy(arena, copy->key);
		copy->row = arena_copy(arena, copy->row);
		copy->text = arena_printf(arena, "%s", copy->text);
	}
	pthread_mutex_unlock(&d->lock);
	return count;
}

/* Is the object as it was when it was found? */
static enum rfs_err
item_stands(struct storage *s, struct request *rq, const struct damage *item, bool *stands)
{
	struct row row = {0};
	enum rfs_err err = item->row.len ? metadata_get(s->metadata, rq, item->row, &row) : RFS_OK;

	*stands = !item->row.len || (row.found && row.serial == item->serial);
	return err;
}

static void
item_forget(struct damages *d, const struct damage *item)
{
	size_t at;

	pthread_mutex_lock(&d->lock);
	at = item_find_locked(d, item->bucket_id, item->key);
	if (at != SIZE_MAX && d->items[at].serial == item->serial)
		item_remove_locked(d, at);
	pthread_mutex_unlock(&d->lock);
}

enum rfs_err
damage_list(struct storage *s, struct request *rq, struct damage_info **out, size_t *count)
{
	struct damage *items;
	size_t all = items_copy(s->damages, rq->arena, &items);
	enum rfs_err err = RFS_OK;

	*out = ARENA_ARRAY(rq->arena, struct damage_info, all + 1);
	*count = 0;
	for (size_t i = 0; !err && i < all; i++) {
		const struct damage *item = &items[i];
		bool stands;

		if ((err = item_stands(s, rq, item, &stands)))
			break;
		if (stands)
			(*out)[(*count)++] = (struct damage_info){.bucket = bytes_str(item->bucket),
				.key = item->key,
				.text = item->text,
				.found_by = item->found_by,
				.found_ns = item->found_ns};
		else
			item_forget(s->damages, item);
	}
	return err;
}
