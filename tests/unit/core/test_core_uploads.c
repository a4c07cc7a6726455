/* Multipart uploads at core: what a removed bucket's open ones leave behind; two who complete the same one at once. */
#include "managers/storage/storage_int.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MANY_UPLOADS 300 /* more than the reaper takes in one batch */
#define WAIT_NS (INT64_C(60) * 1000000000)

struct test_upload {
	char id[2 * UPLOAD_ID_BYTES + 1];
	struct bytes key;
};

static struct bytes bucket_name = { (const uint8_t *)"uploads", 7 };

static uint64_t
bucket_make(struct test_store *t)
{
	struct bucket_create_args create = { .name = bucket_name };
	struct bucket_row bucket;

	assert_int_equal(bucket_create(&t->core, store_request(t), &create), RFS_OK);
	assert_int_equal(bucket_find(t->core.metadata, store_request(t), bucket_name, &bucket), RFS_OK);
	return bucket.id;
}

static void
upload_begin(struct test_store *t, struct bytes key, struct test_upload *out)
{
	struct upload_create_args args = { .bucket = bucket_name, .key = key };
	struct bytes id;

	assert_int_equal(upload_create(&t->core, store_request(t), &args, &id), RFS_OK);
	assert_int_equal(id.len, 2 * UPLOAD_ID_BYTES);
	memcpy(out->id, id.data, id.len);
	out->id[id.len] = 0;
	out->key = key;
}

static struct digest_value
part_put(struct test_store *t, const struct test_upload *upload, uint32_t number, size_t size)
{
	uint8_t *body = calloc(1, size);
	struct object_put_args args = {
		.bucket = bucket_name, .key = upload->key, .size = (int64_t)size, .upload = bytes_str(upload->id), .part_number = number,
	};
	struct version version;
	struct digest_value md5_value;

	assert_int_equal(store_put_with(t, store_request(t), &args, bytes_of(body, size), &version), RFS_OK);
	md5(bytes_of(body, size), md5_value.bytes);
	free(body);
	return md5_value;
}

/* Rows of the tables that uploads and contents have; the bucket's own row and its feed stay. */
static size_t
rows_left(struct test_store *t, uint64_t bucket)
{
	static const enum table tables[] = {
		TABLE_ENTRY, TABLE_SEGMENT, TABLE_BLOCK, TABLE_COUNTER, TABLE_UPLOAD, TABLE_PURGE, TABLE_PARTS, TABLE_UPLOAD_PART,
	};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct request *rq = store_request(t);
		struct bytes from = key_table(rq->arena, bucket, tables[i], bytes_of(NULL, 0));
		struct row_page page;

		assert_int_equal(metadata_scan(t->core.metadata, rq, from, key_after_prefix(rq->arena, from), 10000, false, &page), RFS_OK);
		count += page.count;
	}
	return count;
}

/* Open uploads of every kind: without parts, with parts of one block and of several, one that is being completed. */
static void
uploads_make(struct test_store *t)
{
	struct upload_part_claim claim = { .number = 1, .etag = BYTES_LITERAL("none") };
	struct upload_complete_args complete = { .bucket = bucket_name, .parts = &claim, .part_count = 1, .size = -1 };
	struct test_upload upload;
	struct version version;
	char keys[MANY_UPLOADS][16];

	for (int i = 0; i < MANY_UPLOADS; i++) {
		snprintf(keys[i], sizeof(keys[i]), "dir/%03d", i);
		upload_begin(t, bytes_str(keys[i]), &upload);
		if (i % 50 == 0) {
			part_put(t, &upload, 1, 1000);
			part_put(t, &upload, 2, 3 * 1048576 + 1);
		}
	}
	/* A Complete that ended in the middle, as in a crash: its upload is not open again. */
	part_put(t, &upload, 1, 1000);
	complete.key = upload.key;
	complete.upload = bytes_str(upload.id);
	t->rules.op[FAULT_COMMIT].fail_from = fault_calls(&t->drivers, FAULT_COMMIT) + 2;
	assert_int_equal(upload_complete(&t->core, store_request(t), &complete, &version), RFS_ERR_INVALID_PART);
	t->rules.op[FAULT_COMMIT].fail_from = 0;
}

static void
a_removed_bucket_takes_its_open_uploads_along(void **state)
{
	struct test_store t;
	uint64_t bucket;
	int64_t until = clock_monotonic_ns() + WAIT_NS;

	store_open(&t);
	bucket = bucket_make(&t);
	uploads_make(&t);
	assert_true(rows_left(&t, bucket) > MANY_UPLOADS);
	assert_int_equal(bucket_remove(&t.core, store_request(&t), bucket_name), RFS_OK);
	while (rows_left(&t, bucket) && clock_monotonic_ns() < until)
		sleep_ns(1000000);
	assert_int_equal(rows_left(&t, bucket), 0);
	store_close(&t);
}

/* The reaper is ended after 1, 2, 3 ... of its commits, until nothing is left to do. */
static void
a_removed_buckets_uploads_go_whatever_ends_the_reaper(void **state)
{
	int64_t until = clock_monotonic_ns() + WAIT_NS;
	struct test_store t;
	uint64_t bucket, dies_at = 0;
	int deaths = 0;

	store_open(&t);
	bucket = bucket_make(&t);
	uploads_make(&t);
	storage_free(t.core.storage); /* its reaper must not begin yet */
	t.core.storage = NULL;
	assert_int_equal(bucket_remove(&t.core, store_request(&t), bucket_name), RFS_OK);
	while (rows_left(&t, bucket) && clock_monotonic_ns() < until) {
		store_stop(&t);
		dies_at = fault_calls(&t.drivers, FAULT_COMMIT) + (uint64_t)++deaths;
		t.rules.op[FAULT_COMMIT].fail_from = dies_at;
		store_start(&t);
		while (rows_left(&t, bucket) && fault_calls(&t.drivers, FAULT_COMMIT) < dies_at && clock_monotonic_ns() < until)
			sleep_ns(100000);
	}
	t.rules.op[FAULT_COMMIT].fail_from = 0;
	assert_int_equal(rows_left(&t, bucket), 0);
	assert_true(deaths > 10);
	store_close(&t);
}

/* --- two at once ---------------------------------------------------------------------------------------------------------------- */

/* Another client's Complete, or Abort, in the middle of ours. */
struct rival {
	struct test_store *t;
	struct upload_complete_args complete;
	bool aborts;
	enum rfs_err answer;
};

static void
rival_acts(void *data)
{
	struct rival *r = data;
	struct request rq = r->t->rq;
	struct version version;

	rq.arena = arena_new(65536);
	rq.detail = NULL;
	if (r->aborts)
		r->answer = upload_abort(&r->t->core, &rq, r->complete.bucket, r->complete.key, r->complete.upload);
	else
		r->answer = upload_complete(&r->t->core, &rq, &r->complete, &version);
	arena_free(rq.arena);
}

struct race {
	const char *name;
	uint32_t rival_parts[2]; /* what the rival names: 0: nothing; 9: a part that is not there */
	bool rival_aborts;
	enum rfs_err rival_answer;
	enum rfs_err answer;
	uint32_t parts; /* of the object afterwards; 0: there is none */
};

/* The rival acts in our first commit (the upload's state) or in our second (the object). */
static void
race_run(const struct race *race, uint64_t in_commit)
{
	struct upload_part_claim ours[2] = { 0 }, theirs[2] = { 0 };
	struct upload_complete_args args = { .bucket = bucket_name, .key = BYTES_LITERAL("k"), .parts = ours, .part_count = 2, .size = -1 };
	struct object_get_args head = { .bucket = bucket_name, .key = args.key, .head_only = true };
	struct test_upload upload;
	struct test_store t;
	struct rival rival;
	struct version version;
	struct object_get get;
	struct digest_value md5s[2];
	uint64_t before;
	char hex[2][33];
	enum rfs_err err;

	store_open(&t);
	bucket_make(&t);
	upload_begin(&t, args.key, &upload);
	args.upload = bytes_str(upload.id);
	md5s[0] = part_put(&t, &upload, 1, UPLOAD_PART_MIN_BYTES);
	md5s[1] = part_put(&t, &upload, 2, 10);
	rival = (struct rival){ .t = &t, .complete = args, .aborts = race->rival_aborts };
	rival.complete.parts = theirs;
	rival.complete.part_count = 0;
	for (size_t i = 0; i < 2; i++) {
		hex_encode(bytes_of(md5s[i].bytes, 16), hex[i]);
		ours[i] = (struct upload_part_claim){ .number = (uint32_t)i + 1, .etag = bytes_str(hex[i]) };
		if (race->rival_parts[i])
			theirs[rival.complete.part_count++] = (struct upload_part_claim){ .number = race->rival_parts[i], .etag = bytes_str(hex[i]) };
	}
	before = fault_calls(&t.drivers, FAULT_COMMIT);
	t.rules.op[FAULT_COMMIT].before = rival_acts;
	t.rules.op[FAULT_COMMIT].before_data = &rival;
	t.rules.op[FAULT_COMMIT].before_at = before + in_commit;
	err = upload_complete(&t.core, store_request(&t), &args, &version);
	t.rules.op[FAULT_COMMIT].before_at = 0;
	storage_free(t.core.storage); /* whose reaper commits, too */
	t.core.storage = NULL;
	if (err != race->answer || rival.answer != race->rival_answer)
		fail_msg("%s, in commit %d: we had %s, the rival %s", race->name, (int)in_commit, error_face(err)->name, error_face(rival.answer)->name);
	err = object_get_open(&t.core, store_request(&t), &head, &get);
	assert_int_equal(err, race->parts ? RFS_OK : RFS_ERR_NO_SUCH_KEY);
	if (!err) {
		assert_int_equal(get.version.parts, race->parts);
		object_get_close(&get);
	}
	store_close(&t);
}

static void
the_loser_of_two_completes_is_answered_at_once(void **state)
{
	static const struct race races[] = {
		{ "the same list", { 1, 2 }, false, RFS_OK, RFS_OK, 2 },
		{ "another list", { 1 }, false, RFS_OK, RFS_ERR_NO_SUCH_UPLOAD, 1 },
		{ "a list that does not hold", { 1, 9 }, false, RFS_ERR_INVALID_PART, RFS_OK, 2 },
		{ "an abort", { 0 }, true, RFS_OK, RFS_ERR_NO_SUCH_UPLOAD, 0 },
	};

	for (size_t i = 0; i < sizeof(races) / sizeof(races[0]); i++)
		for (uint64_t in_commit = 1; in_commit <= 2; in_commit++)
			race_run(&races[i], in_commit);
}

/* And what their contents had: one round of the reaper finds the upload, another one its parts. */
static void
who_waits_for_the_reaper_finds_an_uploads_parts_gone(void **state)
{
	struct test_upload upload;
	struct test_store t;
	uint64_t bucket;

	store_open(&t);
	bucket = bucket_make(&t);
	upload_begin(&t, BYTES_LITERAL("k"), &upload);
	part_put(&t, &upload, 1, 3 * 1048576 + 1);
	part_put(&t, &upload, 2, 1000);
	assert_int_equal(upload_abort(&t.core, store_request(&t), bucket_name, BYTES_LITERAL("k"), bytes_str(upload.id)), RFS_OK);
	reaper_finish(t.core.storage);
	assert_int_equal(rows_left(&t, bucket), 0);
	store_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_for_the_reaper_finds_an_uploads_parts_gone),
		cmocka_unit_test(a_removed_bucket_takes_its_open_uploads_along),
		cmocka_unit_test(a_removed_buckets_uploads_go_whatever_ends_the_reaper),
		cmocka_unit_test(the_loser_of_two_completes_is_answered_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
