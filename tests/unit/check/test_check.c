/*
 * A store in which everything was done has no finding; and for each kind of finding there is a row, or a byte, whose
 * change is found as exactly that.
 */
#include "../core/dedup_help.h"
#include "../core/fsck.h"
#include "managers/auth/auth_rows.h"

#include <fcntl.h>
#include <sys/stat.h>

/* --- a store with something of everything
 * ---------------------------------------------------------------------------------------- */

static void
move(struct test_store *t, const char *bucket, const char *from, const char *to)
{
	assert_int_equal(store_rename(t, bucket, bytes_str(from), bytes_str(to)), RFS_OK);
}

/* Part 3 is not in the list of those that make the object. */
static void
upload_whole(struct test_store *t, const char *bucket, const char *key, const struct bytes bodies[3])
{
	struct upload_part_claim claims[3];
	char id[33], etags[3][33];
	struct bytes upload = upload_begin(t, bucket, key, id);

	for (uint32_t i = 0; i < 3; i++)
		claims[i] = (struct upload_part_claim){
			.number = i + 1, .etag = part_put(t, bucket, key, upload, i + 1, bodies[i], etags[i])};
	complete(t, bucket, key, upload, claims, 2);
}

/* Blocks were put for it, and a staging row. */
static void
put_given_up(struct test_store *t, const char *bucket, struct bytes body)
{
	struct object_put_args args = {
		.bucket = bytes_str(bucket), .key = BYTES_LITERAL("given-up"), .size = (int64_t)body.len};
	struct object_put *put;
	struct slice slice = slice_copy(body);

	assert_int_equal(object_put_begin(&t->core, store_request(t), &args, &put), RFS_OK);
	assert_int_equal(object_put_write(put, slice), RFS_OK);
	slice_unref(&slice);
	object_put_abort(put);
}

static void
bucket_fill(struct test_store *t, const char *bucket, bool deduplicate)
{
	char id[33], etag[33], name[16];
	struct bytes upload;
	struct bytes small = body_make(1000, 1), large = body_make(20 * SMALL_BLOCK + 5, 2),
		     part = body_make(UPLOAD_PART_MIN_BYTES, 3);
	const struct bytes parts[3] = {part, small, large};

	bucket_make(t, bucket, false);
	blocks_resize(t, bucket, SMALL_BLOCK, SMALL_SEGMENT);
	dedup_set(t, bucket, deduplicate);
	put(t, bucket, "dir/one", small);
	put(t, bucket, "dir/sub/two", small);
	put(t, bucket, "dir/large", large);
	put(t, bucket, "large", large);
	put(t, bucket, "empty", bytes_of("", 0));
	put(t, bucket, "marker/", bytes_of("", 0));
	put(t, bucket, "marker/in", small);
	put(t, bucket, "with//empty/", small);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "many/%02d", i);
		put(t, bucket, name, i % 2 ? small : bytes_of(large.data, 100 + (size_t)i));
	}
	for (int i = 0; i < 40; i += 3) {
		snprintf(name, sizeof(name), "many/%02d", i);
		delete (t, bucket, name);
	}
	put(t, bucket, "dir/one", large);
	copy(t, bucket, "large", bucket, "copy/of/large");
	copy(t, bucket, "dir/sub/two", bucket, "copy/of/two");
	upload_whole(t, bucket, "parts", parts);
	copy(t, bucket, "parts", bucket, "copy/of/parts");
	move(t, bucket, "dir/", "moved/far/");
	move(t, bucket, "copy/of/two", "large");
	delete (t, bucket, "marker/");
	delete (t, bucket, "with//empty/");
	upload = upload_begin(t, bucket, "open", id);
	(void)part_put(t, bucket, "open", upload, 1, small, etag);
	(void)part_put(t, bucket, "open", upload, 2, large, etag);
	(void)part_put(t, bucket, "open", upload, 2, small, etag);
	upload = upload_begin(t, bucket, "aborted", id);
	(void)part_put(t, bucket, "aborted", upload, 1, large, etag);
	assert_int_equal(
		upload_abort(&t->core, store_request(t), bytes_str(bucket), BYTES_LITERAL("aborted"), upload), RFS_OK);
	put_given_up(t, bucket, large);
	body_free(small);
	body_free(large);
	body_free(part);
}

static void
people_make(struct test_store *t)
{
	struct bytes key, secret, none = bytes_of(NULL, 0);
	const struct identity *group;
	struct request *rq = store_request(t);

	assert_int_equal(auth_user_create(t->core.auth, rq, BYTES_LITERAL("anna"), false), RFS_OK);
	assert_int_equal(auth_user_create(t->core.auth, rq, BYTES_LITERAL("bert"), true), RFS_OK);
	assert_int_equal(auth_key_create(t->core.auth, rq, BYTES_LITERAL("anna"), NULL, BYTES_LITERAL("ANNAS-KEY"),
				 none, &key, &secret),
		RFS_OK);
	assert_int_equal(
		auth_key_create(t->core.auth, rq, BYTES_LITERAL("root"), NULL, none, none, &key, &secret), RFS_OK);
	assert_int_equal(auth_group_create(t->core.auth, rq, BYTES_LITERAL("group"), &group), RFS_OK);
	assert_int_equal(auth_group_add(t->core.auth, rq, BYTES_LITERAL("group"), BYTES_LITERAL("anna")), RFS_OK);
	assert_int_equal(auth_group_add(t->core.auth, rq, BYTES_LITERAL("group"), BYTES_LITERAL("bert")), RFS_OK);
	assert_int_equal(auth_user_remove(t->core.auth, rq, BYTES_LITERAL("bert")), RFS_OK);
}

static void
bucket_gone(struct test_store *t)
{
	char id[33], etag[33];
	struct bytes upload;
	struct bytes body = body_make(1000, 4);

	bucket_make(t, "gone", false);
	upload = upload_begin(t, "gone", "open", id);
	(void)part_put(t, "gone", "open", upload, 1, body, etag);
	put(t, "gone", "in/it", body);
	delete (t, "gone", "in/it");
	assert_int_equal(bucket_remove(&t->core, store_request(t), BYTES_LITERAL("gone")), RFS_OK);
	body_free(body);
}

/* As when the process ends in the middle of a long put, of a copy: the driver takes no more. */
static void
life_cut_short(struct test_store *t, const char *bucket, unsigned commits)
{
	struct bytes body = body_make(30 * SMALL_BLOCK, 100 + commits);
	struct object_copy_args args = {
		.from_bucket = bytes_str(bucket),
		.from_key = BYTES_LITERAL("parts"),
		.to = {.bucket = bytes_str(bucket), .key = BYTES_LITERAL("cut-copy")},
	};
	struct version version;

	restart(t, commits);
	assert_int_not_equal(store_put(t, bucket, BYTES_LITERAL("cut"), body, NULL), RFS_OK);
	restart(t, commits);
	assert_int_not_equal(object_copy(&t->core, store_request(t), &args, &version), RFS_OK);
	restart(t, 0);
	body_free(body);
}

static void
nothing_found(struct test_store *t, size_t numbers)
{
	struct fsck fsck;

	assert_int_equal(fsck_run(&t->drivers, numbers, &fsck), RFS_OK);
	assert_int_equal(fsck.count, 0);
	assert_int_equal(fsck.totals.findings, 0);
	assert_true(fsck.totals.buckets >= 3);
	assert_true(fsck.totals.objects >= 60);
	assert_true(fsck.totals.blocks >= 300);
	assert_true(fsck.totals.object_bytes > 20 * MB);
	fsck_free(&fsck);
}

static void
a_store_in_which_everything_was_done_is_clean(void **state)
{
	struct test_store t;

	store_open_on(&t, driver, NULL);
	people_make(&t);
	bucket_fill(&t, "plain", false);
	bucket_fill(&t, "dedup", true);
	bucket_gone(&t);
	life_cut_short(&t, "plain", 3);
	life_cut_short(&t, "dedup", 4);
	store_stop(&t); /* whatever the reaper is at */
	nothing_found(&t, 0);
	nothing_found(&t, 5);
	store_start(&t);
	bucket_settle(&t, bucket_number(&t, "plain"));
	bucket_settle(&t, bucket_number(&t, "dedup"));
	store_stop(&t);
	nothing_found(&t, 0);
	store_start(&t);
	store_close(&t);
}

/* --- damages
 * ---------------------------------------------------------------------------------------------------------------------
 */

/* A store at rest, whose rows are changed behind the managers' back. */
struct victim {
	struct test_store t;
	struct metadata *metadata;
	struct request rq;
	uint64_t bucket; /* bbb */
	uint64_t dedup;  /* ddd */
};

/*
 * bbb: dir/one and dir/two of a block each; large of three segments; parts of two parts; marker/; an open upload of `up`.
 * ddd: x and y of the same block; large, whose blocks each have a hash row.
 */
static void
victim_fill(struct victim *v)
{
	struct bytes one = body_make(1000, 1), two = body_make(2000, 2), large = body_make(20 * SMALL_BLOCK, 3),
		     part = body_make(UPLOAD_PART_MIN_BYTES, 4);
	const struct bytes parts[3] = {part, one, two};
	char id[33], etag[33];
	struct bytes upload;

	store_open_on(&v->t, driver, NULL);
	people_make(&v->t);
	bucket_make(&v->t, "bbb", false);
	blocks_resize(&v->t, "bbb", SMALL_BLOCK, SMALL_SEGMENT);
	put(&v->t, "bbb", "dir/one", one);
	put(&v->t, "bbb", "dir/two", two);
	put(&v->t, "bbb", "large", large);
	put(&v->t, "bbb", "marker/", bytes_of("", 0));
	upload_whole(&v->t, "bbb", "parts", parts);
	upload = upload_begin(&v->t, "bbb", "up", id);
	(void)part_put(&v->t, "bbb", "up", upload, 1, two, etag);
	bucket_make(&v->t, "ddd", true);
	put(&v->t, "ddd", "x", one);
	put(&v->t, "ddd", "y", one);
	blocks_resize(&v->t, "ddd", SMALL_BLOCK, SMALL_SEGMENT);
	put(&v->t, "ddd", "large", large);
	bucket_settle(&v->t, bucket_number(&v->t, "bbb"));
	store_stop(&v->t);
	body_free(one);
	body_free(two);
	body_free(large);
	body_free(part);
}

static struct bytes
be64(struct victim *v, uint64_t number)
{
	uint8_t *p = arena_alloc(v->rq.arena, 8);

	store_be64(p, number);
	return bytes_of(p, 8);
}

static uint64_t
victim_bucket(struct victim *v, const char *name)
{
	struct row row;

	assert_int_equal(metadata_get(v->metadata, &v->rq, key_table(v->rq.arena, DOMAIN_BUCKET, TABLE_NAME, bytes_str(name)), &row), RFS_OK);
	return load_u64(row.value.data);
}

static void
drivers_shut(struct victim *v)
{
	v->t.drivers.metadata->ops->close(v->t.drivers.metadata);
	config_fini(&v->t.config);
}

static void
directory_copy(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "cp -a --sparse=always %s/. %s", from, to);
	assert_int_equal(system(command), 0);
}

/* What is made on the disk is made once, in `template`, and copied. */
static void
victim_make(struct victim *v, char template[64])
{
	char dir[] = "/tmp/restfs-check-XXXXXX", error[512];

	if (strcmp(driver, "mem") == 0) {
		victim_fill(v);
	} else {
		if (!template[0]) {
			victim_fill(v);
			drivers_shut(v);
			memcpy(template, v->t.dir, sizeof(v->t.dir));
		}
		assert_non_null(mkdtemp(dir));
		directory_copy(template, dir);
		memset(&v->t, 0, sizeof(v->t));
		memcpy(v->t.dir, dir, sizeof(dir));
		config_init(&v->t.config);
		assert_true(config_set(&v->t.config, "data", dir, error));
		assert_int_equal(embedded_open(&v->t.config, &v->t.drivers, error), RFS_OK);
	}
	v->metadata = metadata_new(v->t.drivers.metadata);
	v->rq = (struct request){.arena = arena_new(65536), .door = "test", .may_block = true};
	v->bucket = victim_bucket(v, "bbb");
	v->dedup = victim_bucket(v, "ddd");
}

static void
directory_remove(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static void
victim_free(struct victim *v)
{
	metadata_free(v->metadata);
	arena_free(v->rq.arena);
	drivers_shut(v);
	directory_remove(v->t.dir);
}

static void
commit(struct victim *v, struct batch *b)
{
	assert_int_equal(metadata_commit(v->metadata, &v->rq, b), RFS_OK);
	batch_free(b);
}

static void
row_remove(struct victim *v, struct bytes key)
{
	struct batch *b = batch_new(load_be64(key.data));

	batch_delete(b, key);
	commit(v, b);
}

static void
row_set(struct victim *v, struct bytes key, struct bytes value)
{
	struct batch *b = batch_new(load_be64(key.data));

	batch_put(b, key, value);
	commit(v, b);
}

static void
counter_add(struct victim *v, uint64_t bucket, enum counter kind, struct bytes rest, int64_t delta)
{
	struct batch *b = batch_new(bucket);

	batch_add(b, key_counter(b->arena, bucket, kind, rest), delta);
	commit(v, b);
}

/* The rows of a table; there is at least one. */
static struct row_page
rows_of(struct victim *v, uint64_t bucket, enum table table)
{
	struct bytes from = key_table(v->rq.arena, bucket, table, bytes_of(NULL, 0));
	struct row_page page;

	assert_int_equal(
		metadata_scan(v->metadata, &v->rq, from, key_after_prefix(v->rq.arena, from), 10000, false, &page),
		RFS_OK);
	assert_true(page.count > 0);
	return page;
}

/* The entry of a component, wherever it is. */
static const struct row *
entry_row(struct victim *v, uint64_t bucket, const char *name)
{
	struct row_page page = rows_of(v, bucket, TABLE_ENTRY);

	for (size_t i = 0; i < page.count; i++)
		if (bytes_equal_str(key_entry_name(page.rows[i].key), name))
			return &page.rows[i];
	fail_msg("there is no %s", name);
	return NULL;
}

static struct version
entry_version(struct victim *v, uint64_t bucket, const char *name)
{
	struct version version;

	assert_int_equal(version_decode(v->rq.arena, entry_row(v, bucket, name)->value, &version), RFS_OK);
	return version;
}

/* In the place of an entry, as a change that the feed tells. */
static void
entry_set(struct victim *v, struct bytes key, const struct version *version)
{
	struct batch *b = batch_new(v->bucket);
	struct bucket_row bucket = {.id = v->bucket};
	struct buf value;

	buf_init(&value, b->arena);
	version_encode(&value, version);
	batch_put(b, key, buf_bytes(&value));
	feed_append(b, &v->rq, &bucket, CHANGE_PUT, key_entry_name(key), version);
	commit(v, b);
}

static struct bytes
first_key(struct victim *v, uint64_t bucket, enum table table)
{
	return rows_of(v, bucket, table).rows[0].key;
}

/* A copy of a value, to be changed. */
static struct bytes
value_copy(struct victim *v, struct bytes value)
{
	return arena_copy(v->rq.arena, value);
}

/* What a version adds to what its bucket and its owner have. */
static void
usage_change(struct victim *v, const struct version *version, int64_t objects, int64_t bytes)
{
	const struct {
		enum counter kind;
		struct bytes rest;
		int64_t change;
	} all[] = {
		{COUNTER_OBJECTS, bytes_of(NULL, 0), objects},
		{COUNTER_BYTES, bytes_of(NULL, 0), bytes},
		{COUNTER_USER_OBJECTS, be64(v, version->owner), objects},
		{COUNTER_USER_BYTES, be64(v, version->owner), bytes},
	};

	for (size_t i = 0; i < 4; i++)
		if (all[i].change && (i < 2 || version->owner != IDENTITY_NOBODY))
			counter_add(v, v->bucket, all[i].kind, all[i].rest, all[i].change);
}

static void
counter_of_objects(struct victim *v)
{
	counter_add(v, v->bucket, COUNTER_OBJECTS, bytes_of(NULL, 0), 1);
}

static void
counter_of_bytes(struct victim *v)
{
	counter_add(v, v->bucket, COUNTER_BYTES, bytes_of(NULL, 0), -1);
}

static void
counter_of_an_owner(struct victim *v)
{
	counter_add(v, v->bucket, COUNTER_USER_BYTES, be64(v, entry_version(v, v->bucket, "one").owner), 1);
}

static void
counter_of_nobody(struct victim *v)
{
	counter_add(v, v->bucket, COUNTER_USER_OBJECTS, be64(v, 1000), 1);
}

static void
quota_unknown_to_its_bucket(struct victim *v)
{
	struct quota quota = {.objects = 1};
	struct buf value;

	buf_init(&value, v->rq.arena);
	quota_encode(&value, &quota);
	row_set(v, key_quota(v->rq.arena, v->bucket, QUOTA_OF_BUCKET), buf_bytes(&value));
}

static void
counter_of_a_directory(struct victim *v)
{
	struct version dir = entry_version(v, v->bucket, "dir/");

	counter_add(v, v->bucket, COUNTER_LIVE, bytes_of(dir.object_id, OBJECT_ID_BYTES), 1);
}

static void
counter_of_no_directory(struct victim *v)
{
	counter_add(v, v->bucket, COUNTER_LIVE, BYTES_LITERAL("sixteen bytes id"), 3);
}

static void
counter_of_another_kind(struct victim *v)
{
	counter_add(v, v->bucket, 200, bytes_of(NULL, 0), 3);
}

static void
entry_cannot_be_read(struct victim *v)
{
	const struct row *row = entry_row(v, v->bucket, "marker/");

	row_set(v, row->key, BYTES_LITERAL("nonsense"));
}

static void
entry_added(struct victim *v)
{
	struct version empty = {.object_id = "an object of its"};

	entry_set(v, key_entry(v->rq.arena, v->bucket, BYTES_LITERAL("some directory..").data, BYTES_LITERAL("lost")),
		&empty);
	usage_change(v, &empty, 1, 0);
}

static void
directory_removed(struct victim *v)
{
	row_remove(v, entry_row(v, v->bucket, "dir/")->key);
}

/* Moved into itself, as two renames could do it that do not see each other. */
static void
directory_in_itself(struct victim *v)
{
	struct version dir = entry_version(v, v->bucket, "dir/");

	row_remove(v, entry_row(v, v->bucket, "dir/")->key);
	entry_set(v, key_entry(v->rq.arena, v->bucket, dir.object_id, BYTES_LITERAL("dir/")), &dir);
	counter_add(v, v->bucket, COUNTER_LIVE, bytes_of(dir.object_id, OBJECT_ID_BYTES), 1);
}

static void
directory_in_itself_and_seen(struct victim *v)
{
	struct version dir = entry_version(v, v->bucket, "dir/");

	entry_set(v, key_entry(v->rq.arena, v->bucket, dir.object_id, BYTES_LITERAL("self/")), &dir);
	counter_add(v, v->bucket, COUNTER_LIVE, bytes_of(dir.object_id, OBJECT_ID_BYTES), 1);
}

static void
directory_twice(struct victim *v)
{
	struct version dir = entry_version(v, v->bucket, "dir/");

	entry_set(v, key_entry(v->rq.arena, v->bucket, (const uint8_t[16]){0}, BYTES_LITERAL("zweimal/")), &dir);
}

static void
directory_left_empty(struct victim *v)
{
	struct version dir = {.object_id = "a directory's id", .flags = VERSION_DIRECTORY};

	entry_set(v, key_entry(v->rq.arena, v->bucket, (const uint8_t[16]){0}, BYTES_LITERAL("left/")), &dir);
}

static void
object_named_like_a_directory(struct victim *v)
{
	struct version empty = {.object_id = "an object of its"};

	entry_set(v, key_entry(v->rq.arena, v->bucket, (const uint8_t[16]){0}, BYTES_LITERAL("odd/")), &empty);
	usage_change(v, &empty, 1, 0);
}

static void
content_of_another_size(struct victim *v)
{
	struct version one = entry_version(v, v->bucket, "one");

	one.content.size++;
	entry_set(v, entry_row(v, v->bucket, "one")->key, &one);
	usage_change(v, &one, 0, 1);
}

/* The block, and its counter, which is not there. */
static void
block_removed(struct victim *v)
{
	struct version one = entry_version(v, v->bucket, "one");

	row_remove(v, key_block(v->rq.arena, v->bucket, one.content.block));
}

static void
segment_removed(struct victim *v)
{
	struct version large = entry_version(v, v->bucket, "large");
	struct row_page page = rows_of(v, v->bucket, TABLE_SEGMENT);

	for (size_t i = 0; i < page.count; i++)
		if (load_be64(page.rows[i].key.data + 9) == large.content.data_id &&
			load_be64(page.rows[i].key.data + 17) == 1)
			row_remove(v, page.rows[i].key);
}

static void
segment_added(struct victim *v)
{
	struct buf value;
	struct segment_row segment = {.bytes = 0};
	struct bytes key = key_table(v->rq.arena, v->bucket, TABLE_SEGMENT,
		BYTES_LITERAL("\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"));

	buf_init(&value, v->rq.arena);
	segment_encode(&value, &segment);
	row_set(v, key, buf_bytes(&value));
}

static void
parts_removed(struct victim *v)
{
	row_remove(v, first_key(v, v->bucket, TABLE_PARTS));
}

static void
reference_too_many(struct victim *v)
{
	struct version one = entry_version(v, v->bucket, "one");

	counter_add(v, v->bucket, COUNTER_REFERENCES, be64(v, one.content.block), 1);
}

static void
reference_too_few(struct victim *v)
{
	struct version x = entry_version(v, v->dedup, "x");

	counter_add(v, v->dedup, COUNTER_REFERENCES, be64(v, x.content.block), -1);
}

static void
reference_of_no_block(struct victim *v)
{
	counter_add(v, v->bucket, COUNTER_REFERENCES, be64(v, UINT64_C(1) << 40), 1);
}

/* A row that a snapshot needs, of an object of this version. */
static void
past_add(struct victim *v, const struct version *version)
{
	struct bytes key = key_entry(v->rq.arena, v->bucket, version->object_id, BYTES_LITERAL("past"));
	struct buf value;

	buf_init(&value, v->rq.arena);
	version_encode(&value, version);
	row_set(v, key_past(v->rq.arena, key, 1), buf_bytes(&value));
}

static void
past_not_counted(struct victim *v)
{
	struct version one = entry_version(v, v->bucket, "one");

	past_add(v, &one);
}

static void
past_counted_in_vain(struct victim *v)
{
	counter_add(v, v->bucket, COUNTER_PAST, be64(v, entry_version(v, v->bucket, "one").content.data_id), 1);
}

static void
past_without_bytes(struct victim *v)
{
	struct version one = entry_version(v, v->bucket, "one");

	one.content.data_id = one.content.block = entry_version(v, v->bucket, "two").content.block + 1;
	past_add(v, &one);
	counter_add(v, v->bucket, COUNTER_PAST, be64(v, one.content.data_id), 1);
}

static void
past_cannot_be_read(struct victim *v)
{
	struct bytes key = key_entry(v->rq.arena, v->bucket, (const uint8_t[OBJECT_ID_BYTES]){0}, BYTES_LITERAL("past"));

	row_set(v, key_past(v->rq.arena, key, 1), BYTES_LITERAL("?"));
}

/* The object is gone, and its block stays. */
static void
block_without_a_name(struct victim *v)
{
	struct version two = entry_version(v, v->bucket, "two"), dir = entry_version(v, v->bucket, "dir/");

	row_remove(v, entry_row(v, v->bucket, "two")->key);
	usage_change(v, &two, -1, -(int64_t)two.content.size);
	counter_add(v, v->bucket, COUNTER_LIVE, bytes_of(dir.object_id, OBJECT_ID_BYTES), -1);
}

static void
block_with_another_hash(struct victim *v)
{
	struct version one = entry_version(v, v->bucket, "one");
	struct bytes key = key_block(v->rq.arena, v->bucket, one.content.block), value;
	struct row row;

	assert_int_equal(metadata_get(v->metadata, &v->rq, key, &row), RFS_OK);
	value = value_copy(v, row.value);
	((uint8_t *)value.data)[value.len - BLOCK_LOCATION_BYTES - 1] ^= 1;
	row_set(v, key, value);
}

static void
block_of_a_number_never_given(struct victim *v)
{
	struct bytes key = key_table(v->rq.arena, DOMAIN_BUCKET, TABLE_SYSTEM, BYTES_LITERAL("numbers"));
	struct row_page blocks = rows_of(v, v->dedup, TABLE_BLOCK);
	uint8_t next[8];

	store_u64(next, load_be64(blocks.rows[blocks.count - 1].key.data + 9));
	row_set(v, key, bytes_of(next, 8));
}

/* Bits of one are turned over on the disk: bytes of the block, or of its record's header, or footer. */
static void
volume_damage(struct victim *v, uint64_t bucket, uint64_t block, int64_t at)
{
	struct run_row run;
	struct row row;
	char path[128];
	uint8_t byte;
	int fd;

	assert_int_equal(metadata_get(v->metadata, &v->rq, key_block(v->rq.arena, bucket, block), &row), RFS_OK);
	assert_int_equal(run_decode(row.value, &run), RFS_OK);
	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", v->t.dir, load_u32(run.locations));
	chmod(path, 0600); /* it may be sealed */
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	at += (int64_t)load_u64(run.locations + 8);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 16;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void
bytes_damaged(struct victim *v)
{
	volume_damage(v, v->bucket, entry_version(v, v->bucket, "two").content.block, 100);
}

static void
record_damaged(struct victim *v)
{
	volume_damage(v, v->bucket, entry_version(v, v->bucket, "two").content.block, -20);
}

static void
shared_bytes_damaged(struct victim *v)
{
	volume_damage(v, v->dedup, entry_version(v, v->dedup, "x").content.block, 500);
}

/* Of a segment in the middle. */
static void
large_bytes_damaged(struct victim *v)
{
	struct version large = entry_version(v, v->bucket, "large");
	struct row_page page = rows_of(v, v->bucket, TABLE_SEGMENT);
	struct segment_row segment;

	for (size_t i = 0; i < page.count; i++)
		if (load_be64(page.rows[i].key.data + 9) == large.content.data_id &&
			load_be64(page.rows[i].key.data + 17) == 1) {
			assert_int_equal(segment_decode(v->rq.arena, page.rows[i].value, &segment), RFS_OK);
			volume_damage(v, v->bucket, segment.extents[0].first, 5000);
		}
}

/* Of the batch that has the block: what is not a block is in no row. */
static void
batch_damaged(struct victim *v)
{
	struct version two = entry_version(v, v->bucket, "two");
	struct bytes key = key_block(v->rq.arena, v->bucket, two.content.block);
	struct run_row run;
	struct row row;
	uint32_t len;

	assert_int_equal(metadata_get(v->metadata, &v->rq, key, &row), RFS_OK);
	assert_int_equal(run_decode(row.value, &run), RFS_OK);
	len = load_u32(run.locations + 4);
	volume_damage(v, v->bucket, two.content.block, (len + 7) / 8 * 8 + 8 + 64 + 20);
}

static void
volume_gone(struct victim *v)
{
	struct version one = entry_version(v, v->bucket, "one");
	struct bytes key = key_block(v->rq.arena, v->bucket, one.content.block), value;
	struct row row;

	assert_int_equal(metadata_get(v->metadata, &v->rq, key, &row), RFS_OK);
	value = value_copy(v, row.value);
	memset((uint8_t *)value.data + value.len - BLOCK_LOCATION_BYTES, 0x7f, 4);
	row_set(v, key, value);
}

static void
hash_removed(struct victim *v)
{
	struct row_page page = rows_of(v, v->dedup, TABLE_HASH);
	struct version x = entry_version(v, v->dedup, "x");

	for (size_t i = 0; i < page.count; i++) {
		uint64_t block;

		assert_int_equal(hash_decode(page.rows[i].value, &block), RFS_OK);
		if (block == x.content.block)
			row_remove(v, page.rows[i].key);
	}
}

static void
hash_of_a_block_that_is_gone(struct victim *v)
{
	struct buf value;

	buf_init(&value, v->rq.arena);
	hash_encode(&value, 7);
	row_set(v, key_hash(v->rq.arena, v->dedup, BYTES_LITERAL("thirty-two bytes, which is a hash").data),
		buf_bytes(&value));
}

/* Two owners: the reaper would take what the object needs. */
static void
purge_of_a_live_content(struct victim *v)
{
	struct version one = entry_version(v, v->bucket, "one");
	struct bucket_row bucket = {.id = v->bucket};
	struct batch *b = batch_new(v->bucket);

	purge_add(b, &bucket, &one.content);
	commit(v, b);
	counter_add(v, v->bucket, COUNTER_REFERENCES, be64(v, one.content.block), 1); /* else that is found too */
}

static void
purge_cannot_be_read(struct victim *v)
{
	row_set(v, key_purge(v->rq.arena, v->bucket, 5), BYTES_LITERAL("\377"));
}

static void
upload_removed(struct victim *v)
{
	row_remove(v, first_key(v, v->bucket, TABLE_UPLOAD));
}

static void
change_removed(struct victim *v)
{
	row_remove(v, rows_of(v, v->bucket, TABLE_FEED).rows[2].key);
}

static void
first_change_removed(struct victim *v)
{
	row_remove(v, rows_of(v, v->bucket, TABLE_FEED).rows[0].key);
}

/* Nothing is behind it: the object tells. */
static void
last_change_removed(struct victim *v)
{
	struct row_page page = rows_of(v, v->dedup, TABLE_FEED);

	row_remove(v, page.rows[page.count - 1].key);
}

/* As if a verb had forgotten the feed: the chain is whole. */
static void
change_never_told(struct victim *v)
{
	struct bytes key = entry_row(v, v->bucket, "one")->key;
	struct version one = entry_version(v, v->bucket, "one"), two = entry_version(v, v->bucket, "two");
	struct buf value;

	buf_init(&value, v->rq.arena);
	version_encode(&value, &one);
	row_set(v, key, buf_bytes(&value));
	entry_set(v, entry_row(v, v->bucket, "two")->key, &two);
}

static void
change_cannot_be_read(struct victim *v)
{
	struct row_page page = rows_of(v, v->bucket, TABLE_FEED);

	row_set(v, page.rows[0].key, BYTES_LITERAL("x"));
}

static void
feed_state_set(struct victim *v, const struct feed_state *state)
{
	struct buf value;

	buf_init(&value, v->rq.arena);
	feed_state_encode(&value, state);
	row_set(v, key_feed_state(v->rq.arena, v->bucket), buf_bytes(&value));
}

/* As a pruning leaves it: not all was counted. */
static void
changes_pruned(struct victim *v)
{
	struct row_page page = rows_of(v, v->bucket, TABLE_FEED);
	struct feed_state state = {
		.pruned = key_change_serial(page.rows[1].key), .counted = key_change_serial(page.rows[2].key), .rows = 1};

	for (size_t i = 0; i < 2; i++)
		row_remove(v, page.rows[i].key);
	feed_state_set(v, &state);
}

static void
change_removed_behind_those_pruned(struct victim *v)
{
	changes_pruned(v);
	row_remove(v, rows_of(v, v->bucket, TABLE_FEED).rows[2].key);
}

static void
change_removed_next_to_those_pruned(struct victim *v)
{
	changes_pruned(v);
	row_remove(v, rows_of(v, v->bucket, TABLE_FEED).rows[0].key);
}

static void
change_told_to_be_pruned(struct victim *v)
{
	uint64_t second = key_change_serial(rows_of(v, v->bucket, TABLE_FEED).rows[1].key);

	feed_state_set(v, &(struct feed_state){.pruned = second, .counted = second});
}

static void
feed_state_cannot_be_read(struct victim *v)
{
	row_set(v, key_feed_state(v->rq.arena, v->bucket), BYTES_LITERAL("x"));
}

static void
cursor_ahead_of_its_feed(struct victim *v)
{
	struct cursor_row cursor = {.position = UINT64_MAX};
	struct buf value;

	buf_init(&value, v->rq.arena);
	cursor_encode(&value, &cursor);
	row_set(v, key_cursor(v->rq.arena, v->bucket, BYTES_LITERAL("early")), buf_bytes(&value));
}

static void
cursor_cannot_be_read(struct victim *v)
{
	row_set(v, key_cursor(v->rq.arena, v->bucket, BYTES_LITERAL("early")), BYTES_LITERAL("x"));
}

static void
bucket_row_removed(struct victim *v)
{
	row_remove(v, key_bucket(v->rq.arena, v->dedup));
}

static void
bucket_name_removed(struct victim *v)
{
	row_remove(v, key_table(v->rq.arena, DOMAIN_BUCKET, TABLE_NAME, BYTES_LITERAL("bbb")));
}

static void
bucket_name_of_nothing(struct victim *v)
{
	row_set(v, key_table(v->rq.arena, DOMAIN_BUCKET, TABLE_NAME, BYTES_LITERAL("nothing")),
		BYTES_LITERAL("\7\0\0\0\0\0\0\0"));
}

static void
row_of_no_table(struct victim *v)
{
	row_set(v, key_table(v->rq.arena, v->bucket, 99, BYTES_LITERAL("?")), BYTES_LITERAL("?"));
}

static void
identity_removed(struct victim *v)
{
	struct row row;

	assert_int_equal(
		metadata_get(v->metadata, &v->rq, identity_name_key(v->rq.arena, BYTES_LITERAL("anna")), &row), RFS_OK);
	row_remove(v, identity_row_key(v->rq.arena, load_u64(row.value.data)));
}

static void
identity_name_removed(struct victim *v)
{
	row_remove(v, identity_name_key(v->rq.arena, BYTES_LITERAL("anna")));
}

static const struct damage {
	const char *name;
	void (*make)(struct victim *v);
	const char *found[5]; /* in the order of their text */
	bool embedded_only;   /* it is one of the disk */
} damages[] = {
#define DAMAGE(function, ...)                              \
	{                                                  \
#function, function, {__VA_ARGS__ }, false \
	}
#define DISK_DAMAGE(function, ...)                        \
	{                                                 \
#function, function, {__VA_ARGS__ }, true \
	}
	DAMAGE(counter_of_objects, "counter-wrong bbb/"),
	DAMAGE(counter_of_bytes, "counter-wrong bbb/"),
	DAMAGE(counter_of_an_owner, "counter-wrong bbb/"),
	DAMAGE(counter_of_nobody, "counter-wrong bbb/"),
	DAMAGE(quota_unknown_to_its_bucket, "bucket-wrong bbb/"),
	DAMAGE(counter_of_a_directory, "counter-wrong bbb/dir/"),
	DAMAGE(counter_of_no_directory, "counter-stray bbb/"),
	DAMAGE(counter_of_another_kind, "row-unknown bbb/"),
	DAMAGE(entry_cannot_be_read, "counter-wrong bbb/", "counter-wrong bbb/", "row-damaged bbb/marker/"),
	DAMAGE(entry_added, "entry-stray bbb/lost"),
	DAMAGE(directory_removed, "counter-stray bbb/", "entry-stray bbb/one", "entry-stray bbb/two"),
	DAMAGE(directory_in_itself, "counter-stray bbb/", "entry-stray bbb/dir/", "entry-stray bbb/one", "entry-stray bbb/two"),
	DAMAGE(directory_in_itself_and_seen, "directory-wrong bbb/dir/self/"),
	DAMAGE(directory_twice, "directory-wrong bbb/zweimal/"),
	DAMAGE(directory_left_empty, "directory-wrong bbb/left/"),
	DAMAGE(object_named_like_a_directory, "entry-wrong bbb/odd/"),
	DAMAGE(content_of_another_size, "content-wrong bbb/dir/one"),
	DAMAGE(block_removed, "content-missing bbb/dir/one"),
	DAMAGE(segment_removed, "block-stray bbb/", "content-missing bbb/large"),
	DAMAGE(segment_added, "content-stray bbb/"),
	DAMAGE(parts_removed, "block-stray bbb/", "content-missing bbb/parts", "content-stray bbb/"),
	DAMAGE(reference_too_many, "references-wrong bbb/dir/one"),
	DAMAGE(reference_too_few, "references-wrong ddd/x"),
	DAMAGE(reference_of_no_block, "counter-stray bbb/"),
	DAMAGE(past_not_counted, "counter-wrong bbb/"),
	DAMAGE(past_counted_in_vain, "counter-stray bbb/"),
	DAMAGE(past_without_bytes, "content-missing bbb/"),
	DAMAGE(past_cannot_be_read, "row-damaged bbb/"),
	DAMAGE(block_without_a_name, "block-stray bbb/"),
	DAMAGE(block_with_another_hash, "block-damaged bbb/dir/one"),
	DAMAGE(block_of_a_number_never_given, "number-wrong ddd/"),
	DISK_DAMAGE(bytes_damaged, "block-damaged bbb/dir/two", "volume-damaged /"),
	DISK_DAMAGE(batch_damaged, "volume-damaged /"),
	DISK_DAMAGE(record_damaged, "block-damaged bbb/dir/two", "volume-damaged /"),
	DISK_DAMAGE(shared_bytes_damaged, "block-damaged ddd/x", "block-damaged ddd/y", "volume-damaged /"),
	DISK_DAMAGE(large_bytes_damaged, "block-damaged bbb/large"),
	DISK_DAMAGE(volume_gone, "block-damaged bbb/dir/one"),
	DAMAGE(hash_removed, "hash-wrong ddd/x"),
	DAMAGE(hash_of_a_block_that_is_gone, "hash-wrong ddd/"),
	DAMAGE(purge_of_a_live_content, "content-shared bbb/dir/one"),
	DAMAGE(purge_cannot_be_read, "row-damaged bbb/"),
	DAMAGE(upload_removed, "upload-stray bbb/"),
	DAMAGE(change_removed, "feed-broken bbb/"),
	DAMAGE(first_change_removed, "feed-broken bbb/"),
	DAMAGE(last_change_removed, "feed-broken ddd/large"),
	DAMAGE(change_never_told, "feed-broken bbb/dir/one"),
	DAMAGE(change_cannot_be_read, "feed-broken bbb/", "row-damaged bbb/"),
	DAMAGE(changes_pruned, NULL),
	DAMAGE(change_removed_behind_those_pruned, "feed-broken bbb/"),
	DAMAGE(change_removed_next_to_those_pruned, "counter-wrong bbb/", "feed-broken bbb/"),
	DAMAGE(change_told_to_be_pruned, "counter-wrong bbb/", "feed-broken bbb/", "feed-broken bbb/"),
	DAMAGE(feed_state_cannot_be_read, "row-damaged bbb/"),
	DAMAGE(cursor_ahead_of_its_feed, "feed-broken bbb/"),
	DAMAGE(cursor_cannot_be_read, "row-damaged bbb/"),
	DAMAGE(bucket_row_removed, "bucket-wrong /", "bucket-wrong /"),
	DAMAGE(bucket_name_removed, "bucket-wrong bbb/"),
	DAMAGE(bucket_name_of_nothing, "bucket-wrong /"),
	DAMAGE(row_of_no_table, "row-unknown bbb/"),
	DAMAGE(identity_removed, "identity-wrong /", "identity-wrong /"),
	DAMAGE(identity_name_removed, "identity-wrong /"),
};

/* Exactly what is expected, however few numbers are kept at once. */
static void
damage_found(struct victim *v, const struct damage *d, size_t numbers)
{
	struct fsck fsck;

	assert_int_equal(fsck_run(&v->t.drivers, numbers, &fsck), RFS_OK);
	for (size_t i = 0; i < fsck.count || d->found[i]; i++) {
		const char *found = i < fsck.count ? fsck.lines[i] : "nothing";

		if (!d->found[i] || strcmp(found, d->found[i]) != 0)
			fail_msg("%s: found %s instead of %s", d->name, found, d->found[i] ? d->found[i] : "nothing");
	}
	assert_int_equal(fsck.totals.findings, fsck.count);
	fsck_free(&fsck);
}

static void
each_damage_is_found_and_named(void **state)
{
	char template[64] = "";

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct victim v;

		if (damages[i].embedded_only && strcmp(driver, "mem") == 0)
			continue;
		victim_make(&v, template);
		damages[i].make(&v);
		damage_found(&v, &damages[i], 0);
		damage_found(&v, &damages[i], 4);
		victim_free(&v);
	}
	if (template[0])
		directory_remove(template);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_in_which_everything_was_done_is_clean),
		cmocka_unit_test(each_damage_is_found_and_named),
	};

	driver = argc > 1 ? argv[1] : "embedded";
	return cmocka_run_group_tests_name(driver, tests, NULL, NULL);
}
