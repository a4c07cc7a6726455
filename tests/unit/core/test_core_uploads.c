/* Multipart uploads at core: what a removed bucket's open ones leave behind. */
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

static void
part_put(struct test_store *t, const struct test_upload *upload, uint32_t number, size_t size)
{
	uint8_t *body = calloc(1, size);
	struct object_put_args args = {
		.bucket = bucket_name, .key = upload->key, .size = (int64_t)size, .upload = bytes_str(upload->id), .part_number = number,
	};
	struct version version;

	assert_int_equal(store_put_with(t, store_request(t), &args, bytes_of(body, size), &version), RFS_OK);
	free(body);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_removed_bucket_takes_its_open_uploads_along),
		cmocka_unit_test(a_removed_buckets_uploads_go_whatever_ends_the_reaper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
