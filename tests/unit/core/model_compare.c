/* model_compare.c: what a store shows, held against the model; see model.h. */
#include "model.h"

bool
problem(struct model_run *run, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->problem, sizeof(run->problem), format, args);
	va_end(args);
	return false;
}

#define SHOWN(b) (int)(b).len, (const char *)(b).data

static bool
failed(struct model_run *run, struct test_store *t, const char *what, enum rfs_err err)
{
	return problem(run, "%s: %s (%s)", what, error_face(err)->name, t->rq.detail ? t->rq.detail : "");
}

/* --- one object ----------------------------------------------------------------------------------------------------
 */

/* What it says of itself. */
static bool
description_is(const struct version *v, uint32_t tag)
{
	if (!bytes_equal_str(v->content_type, tag_types[tag]) || v->property_count != (tag > 0))
		return false;
	return !tag || (bytes_equal_str(v->properties[0].name, "x-amz-meta-tag") &&
			       bytes_equal_str(v->properties[0].value, tag_values[tag]));
}

bool
version_is(struct model_run *run, const struct version *v, const struct model_object *o)
{
	if (v->content.size != o->body.size)
		return problem(run, "\"%s\" has %llu bytes, not %u", o->key, (unsigned long long)v->content.size,
			o->body.size);
	if (!o->etag[0] && (v->etag.len != 34 || memcmp(v->etag.data + 32, "-1", 2) != 0))
		return problem(run, "\"%s\" was written over, and has the ETag %.*s", o->key, SHOWN(v->etag));
	if (o->etag[0] && !bytes_equal_str(v->etag, o->etag))
		return problem(run, "\"%s\" has the ETag %.*s, not %s", o->key, SHOWN(v->etag), o->etag);
	if ((uint32_t)v->acl != o->acl || v->parts != o->parts || v->has_checksum != o->has_checksum ||
		!description_is(v, o->tag))
		return problem(run, "\"%s\": ACL %d, %u parts, checksum %d, type \"%.*s\"; not %u, %u, %d, \"%s\"",
			o->key, v->acl, v->parts, v->has_checksum, SHOWN(v->content_type), o->acl, o->parts,
			o->has_checksum, tag_types[o->tag]);
	return true;
}

static bool
checksum_is(const struct version *v, struct bytes body)
{
	struct digester *d = digester_new(DIGEST_BIT(DIGEST_CRC32C));
	struct digest_value value;

	digester_update(d, body.data, body.len);
	digester_value(d, DIGEST_CRC32C, &value);
	digester_free(d);
	return memcmp(value.bytes, v->checksum_value.bytes, digest_size(DIGEST_CRC32C)) == 0;
}

static bool
bytes_are(struct test_store *t, struct model_run *run, const char *bucket, const struct model_object *o,
	struct byte_range range, struct bytes expected)
{
	uint8_t *body = NULL;
	size_t len = 0;
	enum rfs_err err = store_get(t, bucket, bytes_str(o->key), range, &body, &len);
	bool same = !err && len == expected.len && memcmp(body, expected.data, len) == 0;

	if (err)
		failed(run, t, o->key, err);
	else if (!same)
		problem(run, "\"%s\" has other bytes", o->key);
	free(body);
	return same;
}

static bool
parts_are(struct test_store *t, struct model_run *run, const char *bucket, const struct model_object *o)
{
	struct object_parts_args args = {.bucket = bytes_str(bucket), .key = bytes_str(o->key), .limit = 10};
	struct object_parts parts;
	enum rfs_err err = object_list_parts(&t->core, store_request(t), &args, &parts);

	if (err)
		return failed(run, t, "listing the parts of an object", err);
	if (parts.count != (o->body.size ? o->parts : parts.count))
		return problem(run, "\"%s\" has %zu parts, not %u", o->key, parts.count, o->parts);
	for (size_t i = 0; o->body.size && i < o->parts; i++)
		if (parts.parts[i].offset + parts.parts[i].length != o->ends[i])
			return problem(run, "part %zu of \"%s\" ends elsewhere", i + 1, o->key);
	return true;
}

/* All of it, and a part of it. */
static bool
object_is(struct test_store *t, struct model_run *run, const char *bucket, const struct model_object *o)
{
	struct object_get_args args = {.bucket = bytes_str(bucket), .key = bytes_str(o->key), .head_only = true};
	struct byte_range range = {.given = true, .first = o->body.size / 3, .last = o->body.size / 3 + 5000};
	struct bytes body = body_bytes(&o->body);
	struct object_get get;
	enum rfs_err err = object_get_open(&t->core, store_request(t), &args, &get);

	if (err)
		return failed(run, t, o->key, err);
	if (!version_is(run, &get.version, o))
		return false;
	if (o->has_checksum && !checksum_is(&get.version, body))
		return problem(run, "\"%s\" has another checksum", o->key);
	if (!bytes_are(t, run, bucket, o, (struct byte_range){0}, body))
		return false;
	if (o->body.size && !bytes_are(t, run, bucket, o, range, bytes_sub(body, range.first, 5001)))
		return false;
	return !o->parts || parts_are(t, run, bucket, o);
}

/* --- listings ------------------------------------------------------------------------------------------------------
 */

struct expected {
	size_t count;
	char items[MODEL_KEYS][MODEL_KEY_BYTES];
};

/* What S3 lists, computed from the sorted keys alone. */
static void
expected_list(const struct model_bucket *b, const char *prefix, const char *delimiter, struct expected *out)
{
	out->count = 0;
	for (size_t i = 0; i < b->count; i++) {
		const char *key = b->objects[i].key, *at;
		char item[MODEL_KEY_BYTES];

		if (strncmp(key, prefix, strlen(prefix)) != 0)
			continue;
		strcpy(item, key);
		at = *delimiter ? strstr(key + strlen(prefix), delimiter) : NULL;
		if (at)
			item[(size_t)(at - key) + strlen(delimiter)] = 0;
		if (!at || !out->count || strcmp(out->items[out->count - 1], item) != 0)
			strcpy(out->items[out->count++], item);
	}
}

static bool
item_is(struct model_run *run, const struct model_bucket *b, const struct object_list_item *item, const char *key)
{
	if (!bytes_equal_str(item->key, key))
		return problem(run, "\"%.*s\" is listed, not \"%s\"", SHOWN(item->key), key);
	return item->is_prefix || version_is(run, &item->version, model_find((struct model_bucket *)b, key));
}

static bool
listing_is(struct test_store *t, struct model_run *run, uint32_t bucket, const char *prefix, const char *delimiter,
	size_t page)
{
	static struct expected expected;
	const struct model_bucket *b = &run->now.buckets[bucket];
	struct object_list_args args = {.bucket = bytes_str(bucket_text(bucket)),
		.prefix = bytes_str(prefix),
		.delimiter = bytes_str(delimiter),
		.limit = page};
	struct object_list list = {.more = true};
	char after[MODEL_KEY_BYTES] = "";
	size_t seen = 0;

	expected_list(b, prefix, delimiter, &expected);
	while (list.more) {
		enum rfs_err err;

		args.after = bytes_str(after);
		if ((err = object_list(&t->core, store_request(t), &args, &list)))
			return failed(run, t, "listing", err);
		for (size_t i = 0; i < list.count; i++, seen++)
			if (seen == expected.count || !item_is(run, b, &list.items[i], expected.items[seen]))
				return seen < expected.count ? false
							     : problem(run, "\"%.*s\" is listed, and nothing should be",
								       SHOWN(list.items[i].key));
		snprintf(after, sizeof(after), "%.*s", SHOWN(list.next));
	}
	return seen == expected.count || problem(run, "%s lists %zu with prefix \"%s\" and delimiter \"%s\", not %zu",
						 bucket_text(bucket), seen, prefix, delimiter, expected.count);
}

static bool
listings_are(struct test_store *t, struct model_run *run, uint32_t bucket, bool thorough)
{
	static const char *const prefixes[] = {"", "a", "a/", "a/b", "/", "b/", "0/", "a//", "zz"};
	static const char *const delimiters[] = {"/", "", "b", "/a"};
	size_t combinations = 36, first = thorough ? 0 : run->next * 7, count = thorough ? combinations : 3;

	if (!listing_is(t, run, bucket, "", "", 1000))
		return false;
	for (size_t i = first; i < first + count; i++)
		if (!listing_is(
			    t, run, bucket, prefixes[i % combinations / 4], delimiters[i % 4], 1 + (i + run->next) % 5))
			return false;
	return true;
}

/* --- counters, quotas, uploads -------------------------------------------------------------------------------------
 */

static bool
usage_is(struct test_store *t, struct model_run *run, const struct bucket_row *row, uint32_t bucket)
{
	for (uint32_t who = 0; who <= MODEL_USERS; who++) {
		struct model_quota expected = model_usage(&run->now.buckets[bucket], who);
		struct request *rq = store_request(t);
		uint64_t user = who < MODEL_USERS ? model_user(t, rq, who)->id : QUOTA_OF_BUCKET;
		struct usage usage;
		enum rfs_err err = usage_get(t->core.metadata, rq, row->id, user, &usage);

		if (err)
			return failed(run, t, "usage", err);
		if ((uint64_t)usage.objects != expected.objects || (uint64_t)usage.bytes != expected.bytes)
			return problem(run, "%s counts %lld objects and %lld bytes of user %u, not %llu and %llu",
				bucket_text(bucket), (long long)usage.objects, (long long)usage.bytes, who,
				(unsigned long long)expected.objects, (unsigned long long)expected.bytes);
	}
	return true;
}

static bool
quotas_are(struct test_store *t, struct model_run *run, uint32_t bucket)
{
	const struct model_quota *quotas = run->now.buckets[bucket].quotas;
	struct request *rq = store_request(t);
	uint64_t other = model_user(t, rq, 1)->id;
	struct quota_state *states;
	size_t count, expected = 0;
	enum rfs_err err = RFS_OK;

	rq->who = auth_root(t->core.auth);
	if ((err = quota_list(&t->core, rq, bytes_str(bucket_text(bucket)), &states, &count)))
		return failed(run, t, "quotas", err);
	for (uint32_t who = 0; who <= MODEL_USERS; who++)
		expected += quotas[who].objects || quotas[who].bytes;
	if (count != expected)
		return problem(run, "%zu quotas, not %zu", count, expected);
	for (size_t i = 0; i < count; i++) {
		const struct model_quota *q =
			&quotas[states[i].user == QUOTA_OF_BUCKET ? MODEL_USERS : states[i].user == other];

		if (states[i].quota.objects != q->objects || states[i].quota.bytes != q->bytes)
			return problem(run, "another quota");
	}
	return true;
}

static bool
upload_parts_are(struct test_store *t, struct model_run *run, uint32_t bucket, const struct model_upload *u)
{
	struct upload_parts parts;
	size_t at = 0;
	enum rfs_err err = upload_list_parts(&t->core, store_request(t), bytes_str(bucket_text(bucket)),
		bytes_str(u->object.key), bytes_str(u->id), 0, 100, &parts);

	if (err)
		return failed(run, t, "listing the parts of an upload", err);
	for (uint32_t i = 0; i < MODEL_PARTS; i++) {
		const struct part_row *part = &parts.parts[at];

		if (!u->parts[i].there)
			continue;
		if (at++ == parts.count || part->number != i + 1 || part->content.size != u->parts[i].body.size ||
			memcmp(part->md5, u->parts[i].md5, 16) != 0)
			return problem(run, "part %u of upload %s is not as it was put", i + 1, u->id);
	}
	return at == parts.count || problem(run, "upload %s has %zu parts, not %zu", u->id, parts.count, at);
}

/* The slot of an upload that is listed; one whose id nobody was told takes the id. */
static struct model_upload *
upload_find(struct model_bucket *b, const struct upload_list_item *item)
{
	for (uint32_t i = 0; i < MODEL_UPLOADS; i++)
		if (b->uploads[i].open && bytes_equal_str(item->id, b->uploads[i].id))
			return &b->uploads[i];
	for (uint32_t i = 0; i < MODEL_UPLOADS; i++) {
		struct model_upload *u = &b->uploads[i];

		if (!u->open || u->id[0] || !bytes_equal_str(item->key, u->object.key))
			continue;
		memcpy(u->id, item->id.data, item->id.len);
		return u;
	}
	return NULL;
}

static bool
upload_is(struct test_store *t, struct model_run *run, uint32_t bucket, const struct upload_list_item *item)
{
	struct model_upload *u = upload_find(&run->now.buckets[bucket], item);
	bool completing = item->upload.state == UPLOAD_COMPLETING;

	if (!u || !bytes_equal_str(item->key, u->object.key))
		return problem(run, "upload %.*s of \"%.*s\" is listed", SHOWN(item->id), SHOWN(item->key));
	if (run->in_doubt)
		u->frozen = completing;
	if (u->frozen != completing)
		return problem(run, "upload %s is %sbeing completed", u->id, completing ? "" : "not ");
	if ((uint32_t)item->upload.version.acl != u->object.acl ||
		!description_is(&item->upload.version, u->object.tag) ||
		item->upload.has_checksum != u->object.has_checksum)
		return problem(run, "upload %s is not as it was made", u->id);
	return true;
}

static bool
uploads_are(struct test_store *t, struct model_run *run, uint32_t bucket)
{
	struct model_bucket *b = &run->now.buckets[bucket];
	struct upload_list_args args = {.bucket = bytes_str(bucket_text(bucket)), .limit = 100};
	struct upload_list list;
	size_t open = 0;
	enum rfs_err err = upload_list(&t->core, store_request(t), &args, &list);

	if (err)
		return failed(run, t, "listing uploads", err);
	for (size_t i = 0; i < list.count; i++)
		if (!upload_is(t, run, bucket, &list.items[i]))
			return false;
	for (uint32_t i = 0; i < MODEL_UPLOADS; i++) {
		open += b->uploads[i].open;
		if (b->uploads[i].open && !upload_parts_are(t, run, bucket, &b->uploads[i]))
			return false;
	}
	return open == list.count || problem(run, "%zu uploads are listed, not %zu", list.count, open);
}

/* --- the feed ------------------------------------------------------------------------------------------------------
 */

static size_t
feed_find(const struct model_feed *f, const char *key)
{
	size_t i = 0;

	while (i < f->count && strcmp(f->keys[i].key, key) != 0)
		i++;
	return i;
}

static bool
feed_set(struct model_feed *f, const char *key, uint64_t size)
{
	size_t at = feed_find(f, key);

	if (at == MODEL_KEYS)
		return false;
	strcpy(f->keys[at].key, key);
	f->keys[at].size = size;
	f->count += at == f->count;
	return true;
}

static bool
feed_remove(struct model_feed *f, const char *key)
{
	size_t at = feed_find(f, key);

	if (at == f->count)
		return false;
	f->keys[at] = f->keys[--f->count];
	return true;
}

static void
feed_rename(struct model_feed *f, const char *from, const char *to)
{
	bool directory = key_is_directory(from);

	feed_remove(f, to);
	for (size_t i = 0; i < f->count; i++) {
		char key[2 * MODEL_KEY_BYTES];

		if ((directory ? strncmp(f->keys[i].key, from, strlen(from)) : strcmp(f->keys[i].key, from)) != 0)
			continue;
		snprintf(key, sizeof(key), "%s%s", to, f->keys[i].key + strlen(from));
		memcpy(f->keys[i].key, key, MODEL_KEY_BYTES);
	}
}

static bool
feed_apply(struct model_feed *f, const struct change_row *change)
{
	char name[2 * MODEL_KEY_BYTES], new_name[2 * MODEL_KEY_BYTES];

	snprintf(name, sizeof(name), "%.*s", SHOWN(change->name));
	snprintf(new_name, sizeof(new_name), "%.*s", SHOWN(change->new_name));
	switch (change->kind) {
	case CHANGE_PUT:
		return feed_set(f, name, change->size);
	case CHANGE_DELETE:
		return feed_remove(f, name);
	case CHANGE_RENAME:
		feed_rename(f, name, new_name);
		return true;
	case CHANGE_ACL:
		return feed_find(f, name) < f->count;
	case CHANGE_BUCKET:
		return true;
	}
	return false;
}

/* What it says since it was read last, and then whether that makes what is there. */
static bool
feed_is(struct test_store *t, struct model_run *run, uint32_t bucket)
{
	struct model_feed *f = &run->feeds[bucket];
	const struct model_bucket *b = &run->now.buckets[bucket];
	struct feed_read_args args = {.bucket = bytes_str(bucket_text(bucket)), .limit = 7};
	struct feed feed = {.more = true};

	while (feed.more) {
		enum rfs_err err;

		args.after = f->serial;
		if ((err = feed_read(&t->core, store_request(t), &args, &feed)))
			return failed(run, t, "reading the feed", err);
		for (size_t i = 0; i < feed.count; i++)
			if (!feed_apply(f, &feed.changes[i]))
				return problem(run, "the feed tells a change of \"%.*s\", which cannot be",
					SHOWN(feed.changes[i].name));
		f->serial = feed.next;
	}
	for (size_t i = 0; i < b->count; i++) {
		size_t at = feed_find(f, b->objects[i].key);

		if (at == f->count || f->keys[at].size != b->objects[i].body.size)
			return problem(run, "by its feed %s has no \"%s\" of %u bytes", bucket_text(bucket),
				b->objects[i].key, b->objects[i].body.size);
	}
	return f->count == b->count ||
	       problem(run, "by its feed %s has %zu objects, not %zu", bucket_text(bucket), f->count, b->count);
}

/* --- the store -----------------------------------------------------------------------------------------------------
 */

static bool
bucket_is(struct test_store *t, struct model_run *run, uint32_t bucket, bool thorough)
{
	const struct model_bucket *b = &run->now.buckets[bucket];
	struct feed_cursor *cursors;
	struct bucket_row row;
	struct feed_ends ends;
	size_t count;
	enum rfs_err err = bucket_find(t->core.metadata, store_request(t), bytes_str(bucket_text(bucket)), &row);

	if (!b->there)
		run->feeds[bucket] = (struct model_feed){0}; /* the next one of this name has a feed of its own */
	if (err != (b->there ? RFS_OK : RFS_ERR_NO_SUCH_BUCKET))
		return failed(run, t, bucket_text(bucket), err);
	if (!b->there)
		return true;
	if (row.compress != b->compress || row.deduplicate != b->deduplicate)
		return problem(run, "%s is configured otherwise", bucket_text(bucket));
	if (!listings_are(t, run, bucket, thorough) || !usage_is(t, run, &row, bucket) || !feed_is(t, run, bucket) ||
		!uploads_are(t, run, bucket) || !quotas_are(t, run, bucket))
		return false;
	for (size_t i = 0; thorough && i < b->count; i++)
		if (!object_is(t, run, bucket_text(bucket), &b->objects[i]))
			return false;
	err = feed_cursor_list(&t->core, store_request(t), bytes_str(bucket_text(bucket)), &ends, &cursors, &count);
	return !err && count == b->cursor ? true : problem(run, "%zu cursors, not %d", count, b->cursor);
}

static bool
buckets_are(struct test_store *t, struct model_run *run)
{
	struct bucket_row *rows;
	size_t count, expected = 0;
	bool more;
	enum rfs_err err =
		bucket_list(&t->core, &t->rq, bytes_of(NULL, 0), BYTES_LITERAL("model-"), 100, &rows, &count, &more);

	if (err)
		return failed(run, t, "listing buckets", err);
	for (uint32_t i = 0; i < MODEL_BUCKETS; i++)
		if (run->now.buckets[i].there &&
			(expected == count || !bytes_equal_str(rows[expected++].name, bucket_text(i))))
			return problem(run, "%s is not listed", bucket_text(i));
	return expected == count || problem(run, "%zu buckets are listed, not %zu", count, expected);
}

bool
compare_store(struct test_store *t, struct model_run *run, bool thorough)
{
	struct request *rq = store_request(t);

	rq->need = SPACE_ORDINARY;
	rq->who = auth_root(t->core.auth);
	if (!buckets_are(t, run))
		return false;
	for (uint32_t i = 0; i < MODEL_BUCKETS; i++)
		if (!bucket_is(t, run, i, thorough))
			return false;
	return true;
}
