/* damages.c: rows and bytes that are changed, one way each, and what the check says of it; see victim.h. */
#include "managers/auth/auth_rows.h"
#include "victim.h"

#include <fcntl.h>
#include <sys/stat.h>

/* --- rows -------------------------------------------------------------------------------------------------------- */

static struct bytes
be64(struct victim *v, uint64_t number)
{
	uint8_t *p = arena_alloc(v->rq.arena, 8);

	store_be64(p, number);
	return bytes_of(p, 8);
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
	struct bytes key =
		key_entry(v->rq.arena, v->bucket, (const uint8_t[OBJECT_ID_BYTES]){0}, BYTES_LITERAL("past"));

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
	struct feed_state state = {.pruned = key_change_serial(page.rows[1].key),
		.counted = key_change_serial(page.rows[2].key),
		.rows = 1};

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
known_damage_cannot_be_read(struct victim *v)
{
	row_set(v, key_damage(v->rq.arena, v->bucket, 1), BYTES_LITERAL("x"));
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

/* --- all of them ------------------------------------------------------------------------------------------------- */

const struct damage damages[] = {
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
	DAMAGE(directory_in_itself, "counter-stray bbb/", "entry-stray bbb/dir/", "entry-stray bbb/one",
		"entry-stray bbb/two"),
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
	DAMAGE(known_damage_cannot_be_read, "row-damaged /"),
	DAMAGE(bucket_row_removed, "bucket-wrong /", "bucket-wrong /"),
	DAMAGE(bucket_name_removed, "bucket-wrong bbb/"),
	DAMAGE(bucket_name_of_nothing, "bucket-wrong /"),
	DAMAGE(row_of_no_table, "row-unknown bbb/"),
	DAMAGE(identity_removed, "identity-wrong /", "identity-wrong /"),
	DAMAGE(identity_name_removed, "identity-wrong /"),
};

const size_t damage_count = sizeof(damages) / sizeof(damages[0]);
