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

static bool
snapshot_compare(struct test_store *t, struct model_run *run, struct model_snapshot *s)
{
	struct bucket_row bucket;
	enum rfs_err err;

	if ((err = bucket_find(t->core.metadata, store_request(t), bytes_str(bucket_text(s->bucket)), &bucket)))
		return problem(run, "the bucket of a snapshot: %s", error_face(err)->name);
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
