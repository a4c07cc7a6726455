/* model_past.c: snapshots of buckets, and what was in them then; see model.h. */
#include "model.h"
#include "past_help.h"

enum rfs_err
past_take(struct test_store *t, struct model_run *run, uint32_t bucket)
{
	struct model_snapshot *s = &run->snapshots[0];
	uint64_t serial;
	enum rfs_err err = snapshot_take(t, bucket_text(bucket), &serial);

	if (err)
		return err;
	while (s < run->snapshots + MODEL_SNAPSHOTS - 1 && s->there)
		s++;
	*s = (struct model_snapshot){
		.there = true, .bucket = bucket, .serial = serial, .held = run->now.buckets[bucket]};
	return RFS_OK;
}

static bool
bytes_were(struct test_store *t, struct model_run *run, const struct bucket_row *bucket, const struct version *v,
	const struct model_object *o)
{
	struct bytes expected = body_bytes(&o->body);
	struct content_reader *reader =
		content_reader_new(t->core.storage, &t->rq, bucket, &v->content, 0, v->content.size, false);
	bool same = true;
	size_t at = 0;

	while (same && at < expected.len) {
		struct slice part;
		enum rfs_err err = content_read(reader, &part);

		if (err) {
			same = problem(
				run, "the bytes that \"%s\" had cannot be read: %s", o->key, error_face(err)->name);
			break;
		}
		same = part.len && part.len <= expected.len - at &&
		       memcmp(part.data, expected.data + at, part.len) == 0;
		at += part.len;
		slice_unref(&part);
		if (!same)
			problem(run, "\"%s\" had other bytes", o->key);
	}
	content_reader_free(reader);
	return same;
}

/* `o` NULL: there was nothing. */
static bool
key_was(struct test_store *t, struct model_run *run, const struct bucket_row *bucket, uint64_t serial, const char *key,
	const struct model_object *o)
{
	struct version v;
	bool found;
	enum rfs_err err;

	run->past_reads++;
	if ((err = head_at(t, bucket, serial, bytes_str(key), &v, &found)))
		return problem(
			run, "\"%s\" at serial %llu: %s", key, (unsigned long long)serial, error_face(err)->name);
	if (found != (o != NULL))
		return problem(
			run, "\"%s\" was %sthere at serial %llu", key, o ? "" : "not ", (unsigned long long)serial);
	return !o || (version_is(run, &v, o) && bytes_were(t, run, bucket, &v, o));
}

/* Keys that others have, and this snapshot has not. */
static bool
others_were_not(struct test_store *t, struct model_run *run, const struct bucket_row *bucket, struct model_snapshot *s,
	const struct model_bucket *others)
{
	for (size_t i = 0; i < others->count; i++)
		if (!model_find(&s->held, others->objects[i].key) &&
			!key_was(t, run, bucket, s->serial, others->objects[i].key, NULL))
			return false;
	return true;
}

/* --- listings ------------------------------------------------------------------------------------------------------
 */

/* Through the directories as they were then. */
struct past_walk {
	struct test_store *t;
	struct model_run *run;
	const struct bucket_row *bucket;
	const struct model_snapshot *snapshot;
	size_t limit, seen;
	bool reverse;
	char path[2 * MODEL_KEY_BYTES];
};

static bool
item_was(struct past_walk *w, const struct version *v)
{
	const struct model_bucket *held = &w->snapshot->held;
	const struct model_object *o = &held->objects[w->reverse ? held->count - 1 - w->seen : w->seen];

	if (w->seen == held->count || strcmp(o->key, w->path) != 0)
		return problem(w->run, "\"%s\" is listed at serial %llu, not \"%s\"", w->path,
			(unsigned long long)w->snapshot->serial, w->seen == held->count ? "" : o->key);
	w->seen++;
	return version_is(w->run, v, o);
}

static bool directory_was(struct past_walk *w, const uint8_t id[OBJECT_ID_BYTES], size_t path_len);

/* A directory that is a key, too, is one before those in it. */
static bool
row_was(struct past_walk *w, const struct row *row, size_t path_len)
{
	struct bytes name = key_entry_name(row->key);
	struct version v;
	bool marker;

	assert(path_len + name.len < sizeof(w->path));
	memcpy(w->path + path_len, name.data, name.len);
	w->path[path_len += name.len] = 0;
	if (version_decode(w->t->rq.arena, row->value, &v))
		return problem(w->run, "the entry that \"%s\" had cannot be read", w->path);
	if (!(v.flags & VERSION_DIRECTORY))
		return item_was(w, &v);
	marker = v.flags & VERSION_MARKER;
	if (marker && !w->reverse && !item_was(w, &v))
		return false;
	if (!directory_was(w, v.object_id, path_len))
		return false;
	w->path[path_len] = 0;
	return !marker || !w->reverse || item_was(w, &v);
}

static bool
directory_was(struct past_walk *w, const uint8_t id[OBJECT_ID_BYTES], size_t path_len)
{
	struct bytes from = key_entry(w->t->rq.arena, w->bucket->id, id, bytes_of(NULL, 0));
	struct bytes to = key_after_prefix(w->t->rq.arena, from);
	struct past_page page = {.more = true};

	while (page.more) {
		enum rfs_err err = metadata_scan_at(
			w->t->core.metadata, &w->t->rq, from, to, w->snapshot->serial, w->limit, w->reverse, &page);

		if (err)
			return problem(w->run, "listing what was: %s", error_face(err)->name);
		for (size_t i = 0; i < page.count; i++)
			if (!row_was(w, &page.rows[i], path_len))
				return false;
		*(w->reverse ? &to : &from) = page.next;
	}
	return true;
}

static bool
listing_was(struct test_store *t, struct model_run *run, const struct bucket_row *bucket,
	const struct model_snapshot *s, bool reverse)
{
	static const uint8_t root[OBJECT_ID_BYTES];
	struct past_walk w = {t, run, bucket, s, .limit = 1 + run->next % 5, .reverse = reverse};

	run->past_listings++;
	if (!directory_was(&w, root, 0))
		return false;
	return w.seen == s->held.count || problem(run, "%zu keys are listed at serial %llu, not %zu", w.seen,
						  (unsigned long long)s->serial, s->held.count);
}

/* --- snapshots -----------------------------------------------------------------------------------------------------
 */

static bool
snapshot_compare(struct test_store *t, struct model_run *run, struct model_snapshot *s)
{
	struct bucket_row bucket;
	enum rfs_err err;

	if ((err = bucket_find(t->core.metadata, store_request(t), bytes_str(bucket_text(s->bucket)), &bucket)))
		return problem(run, "the bucket of a snapshot: %s", error_face(err)->name);
	if (!listing_was(t, run, &bucket, s, false) || !listing_was(t, run, &bucket, s, true))
		return false;
	for (size_t i = 0; i < s->held.count; i++)
		if (!key_was(t, run, &bucket, s->serial, s->held.objects[i].key, &s->held.objects[i]))
			return false;
	for (size_t i = 0; i < MODEL_SNAPSHOTS; i++)
		if (run->snapshots[i].there && run->snapshots[i].bucket == s->bucket &&
			!others_were_not(t, run, &bucket, s, &run->snapshots[i].held))
			return false;
	return others_were_not(t, run, &bucket, s, &run->now.buckets[s->bucket]);
}

bool
past_compare(struct test_store *t, struct model_run *run)
{
	for (size_t i = 0; i < MODEL_SNAPSHOTS; i++)
		if (run->snapshots[i].there && !snapshot_compare(t, run, &run->snapshots[i]))
			return false;
	return true;
}
