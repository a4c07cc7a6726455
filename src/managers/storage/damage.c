/*
 * damage.c: what is known to be damaged, by content, and its rows; see scrub.h.
 *
 * What is found, also by a loop, is noted in memory; rows follow: a verify and the scrub write theirs before they say
 * how far they are, the reaper what readers found, once a second. So what is known is `stored` or not, and what is
 * known no more is `gone` until its row is.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "managers/storage/scrub.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define DAMAGES_MOST 1000 /* kept; the log has them all */
#define COMMIT_MOST 50    /* rows at once: a key may have 4 KiB */
#define LOOK_NS INT64_C(2000000000) /* between two looks whether they stand */

struct damage {
	uint64_t bucket, data_id;
	struct bytes value; /* its row's; of malloc */
	bool stored, gone;
};

struct damages {
	pthread_mutex_t lock; /* all below */
	struct damage items[DAMAGES_MOST];
	size_t count;
	bool changed; /* rows are to be written */
	bool refused; /* the last time they could not be */

	int64_t look_ns; /* the reaper's: when it looks again whether they stand */

	pthread_mutex_t writing; /* over a commit: who writes rows; nobody else waits for it */
};

static struct damage *
item_find_locked(struct damages *d, uint64_t bucket, uint64_t data_id)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->items[i].bucket == bucket && d->items[i].data_id == data_id)
			return &d->items[i];
	return NULL;
}

static void
changed_locked(struct damages *d)
{
	int64_t known = 0;

	for (size_t i = 0; i < d->count; i++)
		known += !d->items[i].gone;
	metric_set(METRIC_DAMAGED_OBJECTS, known);
	d->changed = true;
}

static struct bytes
value_make(const struct damage_row *row)
{
	struct buf value;

	buf_init(&value, NULL);
	damage_row_encode(&value, row);
	return buf_bytes(&value);
}

static void
item_remove_locked(struct damages *d, struct damage *item)
{
	free((void *)item->value.data);
	*item = d->items[--d->count];
}

/* False: that is known. */
static bool
item_add(struct damages *d, uint64_t bucket, uint64_t data_id, const struct damage_row *row)
{
	struct damage *item;
	bool known;

	pthread_mutex_lock(&d->lock);
	item = item_find_locked(d, bucket, data_id);
	known = item && !item->gone;
	if (!item && d->count < DAMAGES_MOST) {
		item = &d->items[d->count++];
		*item = (struct damage){.bucket = bucket, .data_id = data_id};
	}
	if (item && !known) {
		free((void *)item->value.data);
		item->value = value_make(row);
		item->stored = item->gone = false;
		changed_locked(d);
	}
	pthread_mutex_unlock(&d->lock);
	return !known;
}

static bool
item_forget(struct damages *d, uint64_t bucket, uint64_t data_id)
{
	struct damage *item;
	bool known;

	pthread_mutex_lock(&d->lock);
	item = item_find_locked(d, bucket, data_id);
	if ((known = item && !item->gone)) {
		item->gone = true;
		changed_locked(d);
	}
	pthread_mutex_unlock(&d->lock);
	return known;
}

void
damage_note(struct storage *s, const struct bucket_row *bucket, struct bytes key, struct bytes row, uint64_t data_id,
	const char *found_by, const char *text)
{
	struct metadata_driver *rows = metadata_driver(s->metadata);
	struct metadata_info info;
	const struct damage_row found = {.found_ns = clock_wall_ns(),
		.bucket = bucket->name,
		.key = key,
		.row = row,
		.found_by = bytes_str(found_by),
		.text = bytes_str(text)};

	rows->ops->info(rows, &info);
	if (info.damaged) /* what cannot be read may be whole: it is known when its rows are */
		return;
	if (item_add(s->damages, bucket->id, data_id, &found))
		log_error(0, "object %.*s/%.*s is damaged, found by a %s: %s", (int)bucket->name.len,
			(const char *)bucket->name.data, (int)key.len, (const char *)key.data, found_by, text);
}

bool
damage_is_known(struct storage *s, uint64_t bucket, uint64_t data_id)
{
	struct damages *d = s->damages;
	struct damage *item;
	bool known;

	pthread_mutex_lock(&d->lock);
	item = item_find_locked(d, bucket, data_id);
	known = item && !item->gone && data_id; /* 0: of what is empty, too */
	pthread_mutex_unlock(&d->lock);
	return known;
}

void
damage_repaired(struct storage *s, const struct bucket_row *bucket, struct bytes key, uint64_t data_id)
{
	if (data_id && item_forget(s->damages, bucket->id, data_id))
		log_info(0, "object %.*s/%.*s can be read again", (int)bucket->name.len,
			(const char *)bucket->name.data, (int)key.len, (const char *)key.data);
}

/* --- rows -----------------------------------------------------------------------------------------------------------
 */

/* What of an item a batch has. */
struct written {
	uint64_t bucket, data_id;
	bool gone;
};

static size_t
rows_collect(struct damages *d, struct batch *b, struct written *written)
{
	size_t count = 0;

	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < d->count && count < COMMIT_MOST; i++) {
		const struct damage *item = &d->items[i];
		struct bytes key;

		if (item->stored && !item->gone)
			continue;
		key = key_damage(b->arena, item->bucket, item->data_id);
		if (item->gone)
			batch_delete(b, key);
		else
			batch_put(b, key, arena_copy(b->arena, item->value));
		written[count++] = (struct written){item->bucket, item->data_id, item->gone};
	}
	d->changed = count == COMMIT_MOST;
	pthread_mutex_unlock(&d->lock);
	return count;
}

/* It may have been found, or forgotten, meanwhile: then it is written again. */
static void
rows_settle(struct damages *d, const struct written *written, size_t count, enum rfs_err err)
{
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < count; i++) {
		struct damage *item = item_find_locked(d, written[i].bucket, written[i].data_id);

		if (err || item->gone != written[i].gone)
			d->changed = true;
		else if (item->gone)
			item_remove_locked(d, item);
		else
			item->stored = true;
	}
	if (err && !d->refused)
		log_warn(0, "keep what is damaged: %s", error_face(err)->text);
	d->refused = err != RFS_OK;
	pthread_mutex_unlock(&d->lock);
}

static bool
rows_changed(struct damages *d)
{
	bool changed;

	pthread_mutex_lock(&d->lock);
	changed = d->changed;
	pthread_mutex_unlock(&d->lock);
	return changed;
}

void
damages_write(struct storage *s)
{
	struct request rq = {.arena = arena_new(4096), .door = "scrub", .may_block = true, .need = SPACE_FREES};
	struct damages *d = s->damages;
	struct written written[COMMIT_MOST];
	enum rfs_err err = RFS_OK;

	pthread_mutex_lock(&d->writing);
	while (!err && rows_changed(d) && !MUTANT("damage-not-kept")) {
		struct batch *b = batch_new(DOMAIN_BUCKET);
		size_t count = rows_collect(d, b, written);

		if (count)
			err = metadata_commit(s->metadata, &rq, b);
		rows_settle(d, written, count, err);
		batch_free(b);
	}
	pthread_mutex_unlock(&d->writing);
	arena_free(rq.arena);
}

/* At the start. A row that cannot be read is passed over: what it told of is met again. */
static void
damages_read(struct damages *d, struct metadata *metadata)
{
	struct request rq = {.arena = arena_new(4096), .door = "scrub", .may_block = true};
	const struct bytes none = bytes_of(NULL, 0);
	struct bytes from = key_table(rq.arena, DOMAIN_BUCKET, TABLE_DAMAGE, none),
		     to = key_table(rq.arena, DOMAIN_BUCKET, TABLE_DAMAGE + 1, none);
	struct row_page page = {.count = 0};
	enum rfs_err err = metadata_scan(metadata, &rq, from, to, DAMAGES_MOST, false, &page);

	if (err)
		log_warn(0, "read what is known to be damaged: %s", error_face(err)->text);
	for (size_t i = 0; !err && i < page.count; i++) {
		struct damage *item = &d->items[d->count];
		struct damage_row row;

		if (!key_damage_split(page.rows[i].key, &item->bucket, &item->data_id) ||
			damage_row_decode(page.rows[i].value, &row))
			continue;
		item->value = value_make(&row);
		item->stored = true;
		d->count++;
	}
	changed_locked(d);
	d->changed = false;
	arena_free(rq.arena);
}

struct damages *
damages_new(struct metadata *metadata)
{
	struct damages *d = xcalloc(1, sizeof(*d));

	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->writing, NULL);
	damages_read(d, metadata);
	return d;
}

void
damages_free(struct damages *d)
{
	while (d->count)
		item_remove_locked(d, &d->items[d->count - 1]);
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->writing);
	free(d);
}

/* --- listing --------------------------------------------------------------------------------------------------------
 */

/* Copies into the arena; the list may change as soon as the lock is gone. */
static size_t
items_copy(struct damages *d, struct arena *arena, struct damage **out)
{
	size_t count = 0;

	pthread_mutex_lock(&d->lock);
	*out = ARENA_ARRAY(arena, struct damage, d->count + 1);
	for (size_t i = 0; i < d->count; i++) {
		if (d->items[i].gone)
			continue;
		(*out)[count] = d->items[i];
		(*out)[count].value = arena_copy(arena, d->items[i].value);
		count++;
	}
	pthread_mutex_unlock(&d->lock);
	return count;
}

/* Is the content still that of the row where it was found? */
static enum rfs_err
item_stands(struct storage *s, struct request *rq, const struct damage *item, struct bytes key, bool *stands)
{
	struct version version;
	struct part_row part;
	struct row row;
	enum rfs_err err = metadata_get(s->metadata, rq, key, &row);

	*stands = !err && row.found;
	if (!*stands)
		return err;
	if (key.data[8] == TABLE_ENTRY && !version_decode(rq->arena, row.value, &version))
		*stands = version.content.data_id == item->data_id;
	else if (key.data[8] == TABLE_UPLOAD_PART && !part_decode(row.value, &part))
		*stands = part.content.data_id == item->data_id;
	return RFS_OK;
}

static const char *
text_of(struct arena *arena, struct bytes text)
{
	return arena_printf(arena, "%.*s", (int)text.len, (const char *)text.data);
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
		struct damage_row row = {0};
		bool stands = false;

		if (damage_row_decode(items[i].value, &row) || (err = item_stands(s, rq, &items[i], row.row, &stands)))
			break;
		if (stands)
			(*out)[(*count)++] = (struct damage_info){.bucket = row.bucket,
				.key = row.key,
				.text = text_of(rq->arena, row.text),
				.found_by = text_of(rq->arena, row.found_by),
				.found_ns = row.found_ns};
		else
			(void)item_forget(s->damages, items[i].bucket, items[i].data_id);
	}
	return err;
}

void
damages_tend(struct storage *s, struct request *rq)
{
	struct damages *d = s->damages;
	struct damage_info *list;
	size_t count;

	if (clock_monotonic_ns() >= d->look_ns) {
		if (damage_list(s, rq, &list, &count))
			request_clear_error(rq);
		d->look_ns = clock_monotonic_ns() + LOOK_NS;
	}
	damages_write(s);
}
