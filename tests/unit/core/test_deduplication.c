/*
 * Equal blocks of a bucket that deduplicates are stored once, and go with the last name: over the driver that the argument names. What the store counts is
 * counted anew from its rows.
 */
#include "dedup_help.h"

/* Bodies of one block, small and large, and of several. */
static void
equal_bodies_are_stored_once(void **state)
{
	static const size_t sizes[] = { 1, 5000, 300 * KB, MB, MB + 1, 3 * MB + 5 };
	struct test_store t;

	setup(&t, "once");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t expected = (sizes[i] + MB - 1) / MB;
		struct bytes body = body_make(sizes[i], i);
		int stored = atomic_load(&hooks.blocks);
		struct recount r;

		put(&t, "once", "first", body);
		assert_int_equal(atomic_load(&hooks.blocks), stored + (int)expected);
		put(&t, "once", "second", body);
		assert_int_equal(atomic_load(&hooks.blocks), stored + (int)expected);
		r = bucket_recount(&t, "once");
		assert_int_equal(r.blocks, expected);
		assert_int_equal(r.hashes, expected);
		assert_int_equal(r.names, 2 * expected);
		delete (&t, "once", "first");
		r = bucket_recount(&t, "once");
		assert_int_equal(r.blocks, expected);
		assert_int_equal(r.names, expected);
		verify(&t, "once", "second", body);
		delete (&t, "once", "second");
		is_empty(&t, "once");
		body_free(body);
	}
	store_close(&t);
}

static int64_t
references(struct test_store *t, const char *bucket)
{
	struct recount r = bucket_recount(t, bucket);

	assert_int_equal(r.blocks, 1);
	return (int64_t)r.names;
}

/* Copies, overwrites, deletes and parts each move the count of one block by one. */
static void
each_name_is_one_reference(void **state)
{
	struct bytes body = body_make(5000, 1);
	struct test_store t;
	struct upload_part_claim claim = { .number = 2 };
	char id[33], etag[33];
	struct bytes upload;

	setup(&t, "exact");
	put(&t, "exact", "a", body);
	assert_int_equal(references(&t, "exact"), 1);
	put(&t, "exact", "a", body);
	assert_int_equal(references(&t, "exact"), 1);
	put(&t, "exact", "b", body);
	assert_int_equal(references(&t, "exact"), 2);
	copy(&t, "exact", "a", "exact", "c");
	assert_int_equal(references(&t, "exact"), 3);
	upload = upload_begin(&t, "exact", "d", id);
	part_put(&t, "exact", "d", upload, 1, body, etag);
	assert_int_equal(references(&t, "exact"), 4);
	claim.etag = part_put(&t, "exact", "d", upload, 2, body, etag);
	assert_int_equal(references(&t, "exact"), 5);
	part_put(&t, "exact", "d", upload, 2, body, etag);
	assert_int_equal(references(&t, "exact"), 5);
	complete(&t, "exact", "d", upload, &claim, 1); /* part 1 goes */
	assert_int_equal(references(&t, "exact"), 4);
	verify(&t, "exact", "d", body);
	copy(&t, "exact", "d", "exact", "e");
	assert_int_equal(references(&t, "exact"), 5);
	upload = upload_begin(&t, "exact", "f", id);
	part_put(&t, "exact", "f", upload, 1, body, etag);
	assert_int_equal(references(&t, "exact"), 6);
	assert_int_equal(upload_abort(&t.core, store_request(&t), BYTES_LITERAL("exact"), BYTES_LITERAL("f"), upload), RFS_OK);
	assert_int_equal(references(&t, "exact"), 5);
	put(&t, "exact", "b", BYTES_LITERAL(""));
	assert_int_equal(references(&t, "exact"), 4);
	for (const char *key = "abcde"; *key; key++)
		delete (&t, "exact", (char[2]){ *key });
	is_empty(&t, "exact");
	body_free(body);
	store_close(&t);
}

/* Whole parts of equal bytes, and a last one that is the beginning of them. A part has `blocks` blocks of `block_size`. */
static void
parts_share(uint32_t block_size, size_t blocks)
{
	struct bytes body = body_make(UPLOAD_PART_MIN_BYTES, 2);
	struct upload_part_claim claims[4];
	size_t tail = blocks > 1 ? 0 : 1; /* the last part is none of the blocks, but for those of 1 MiB */
	struct test_store t;
	struct recount r;
	char id[33], etags[4][33];
	struct bytes upload, whole;
	uint8_t *all = malloc(3 * body.len + MB);

	setup(&t, "parts");
	blocks_resize(&t, "parts", block_size, RUN_MAX_BLOCKS);
	for (int i = 0; i < 3; i++)
		memcpy(all + (size_t)i * body.len, body.data, body.len);
	memcpy(all + 3 * body.len, body.data, MB);
	whole = bytes_of(all, 3 * body.len + MB);
	upload = upload_begin(&t, "parts", "k", id);
	for (uint32_t i = 0; i < 4; i++)
		claims[i] = (struct upload_part_claim){
			.number = i + 1, .etag = part_put(&t, "parts", "k", upload, i + 1, bytes_of(body.data, i < 3 ? body.len : MB), etags[i]),
		};
	complete(&t, "parts", "k", upload, claims, 4);
	r = bucket_recount(&t, "parts");
	assert_int_equal(r.blocks, blocks + tail);
	assert_int_equal(r.names, 3 * blocks + 1);
	verify(&t, "parts", "k", whole);
	copy(&t, "parts", "k", "parts", "copy");
	r = bucket_recount(&t, "parts");
	assert_int_equal(r.blocks, blocks + tail);
	assert_int_equal(r.names, 2 * (3 * blocks + 1));
	delete (&t, "parts", "k");
	(void)bucket_recount(&t, "parts");
	verify(&t, "parts", "copy", whole);
	delete (&t, "parts", "copy");
	is_empty(&t, "parts");
	body_free(body);
	free(all);
	store_close(&t);
}

static void
equal_parts_are_stored_once(void **state)
{
	parts_share((uint32_t)MB, 5);
	parts_share((uint32_t)(8 * MB), 1); /* the index of parts names one block three times */
}

/* One block of zeros, however often; the row of each segment names it once. */
static void
equal_blocks_of_one_body_are_stored_once(void **state)
{
	struct bytes body = bytes_of(calloc(1, 20 * SMALL_BLOCK + 7), 20 * SMALL_BLOCK + 7);
	struct test_store t;
	struct recount r;

	setup(&t, "zeros");
	blocks_resize(&t, "zeros", SMALL_BLOCK, SMALL_SEGMENT);
	put(&t, "zeros", "k", body);
	assert_int_equal(atomic_load(&hooks.blocks), 2);
	r = bucket_recount(&t, "zeros");
	assert_int_equal(r.blocks, 2);
	assert_int_equal(r.names, 3 + 1);
	copy(&t, "zeros", "k", "zeros", "copy");
	r = bucket_recount(&t, "zeros");
	assert_int_equal(r.blocks, 2);
	assert_int_equal(r.names, 2 * (3 + 1));
	delete (&t, "zeros", "k");
	verify(&t, "zeros", "copy", body);
	delete (&t, "zeros", "copy");
	is_empty(&t, "zeros");
	body_free(body);
	store_close(&t);
}

/* A body whose blocks are all there is not held in memory until its end. */
static void
bytes_are_let_go_on_the_way(void **state)
{
	struct bytes body = body_make(8 * MB, 60);
	struct object_put_args args = { .bucket = BYTES_LITERAL("way"), .key = BYTES_LITERAL("again"), .size = (int64_t)body.len };
	struct object_put *again;
	struct version version;
	struct slice slices[8];
	struct test_store t;

	setup(&t, "way");
	put(&t, "way", "k", body);
	assert_int_equal(object_put_begin(&t.core, store_request(&t), &args, &again), RFS_OK);
	for (size_t i = 0; i < 8; i++) {
		slices[i] = slice_copy(bytes_sub(body, i * MB, MB));
		assert_int_equal(object_put_write(again, slices[i]), RFS_OK);
		if (i)
			assert_int_equal(atomic_load(&slices[i - 1].owner->references), 1);
	}
	assert_int_equal(object_put_finish(again, NULL, 0, &version), RFS_OK);
	for (size_t i = 0; i < 8; i++)
		slice_unref(&slices[i]);
	assert_int_equal(bucket_recount(&t, "way").blocks, 8);
	verify(&t, "way", "again", body);
	body_free(body);
	store_close(&t);
}

static void
buckets_share_nothing(void **state)
{
	struct bytes body = body_make(3 * MB, 3);
	struct test_store t;

	setup(&t, "mine");
	bucket_make(&t, "yours", true);
	put(&t, "mine", "k", body);
	put(&t, "yours", "k", body);
	copy(&t, "mine", "k", "yours", "copy");
	assert_int_equal(atomic_load(&hooks.blocks), 6);
	assert_int_equal(bucket_recount(&t, "mine").blocks, 3);
	assert_int_equal(bucket_recount(&t, "yours").blocks, 3);
	delete (&t, "mine", "k");
	is_empty(&t, "mine");
	verify(&t, "yours", "k", body);
	verify(&t, "yours", "copy", body);
	body_free(body);
	store_close(&t);
}

/* Without deduplication a PUT reads no hash and no block, and nothing looks for hashes when its blocks go. */
static void
other_buckets_pay_nothing(void **state)
{
	struct bytes small = body_make(4 * KB, 4), large = body_make(3 * MB, 5);
	struct test_store t;

	setup(&t, "dedup");
	bucket_make(&t, "plain", false);
	put(&t, "plain", "a", small);
	put(&t, "plain", "b", small);
	put(&t, "plain", "c", large);
	assert_int_equal(atomic_load(&hooks.reads[TABLE_BLOCK]) + atomic_load(&hooks.reads[TABLE_HASH]), 0);
	assert_int_equal(bucket_recount(&t, "plain").hashes, 0); /* by a scan */
	for (const char *key = "abc"; *key; key++)
		delete (&t, "plain", (char[2]){ *key });
	bucket_settle(&t, bucket_number(&t, "plain"));
	assert_int_equal(atomic_load(&hooks.reads[TABLE_HASH]), 1);
	put(&t, "dedup", "a", small);
	assert_int_equal(atomic_load(&hooks.reads[TABLE_HASH]), 2);
	body_free(small);
	body_free(large);
	store_close(&t);
}

static void
turning_it_on_affects_new_writes(void **state)
{
	struct bytes body = body_make(2 * MB + 9, 6);
	struct test_store t;

	setup(&t, "turn");
	dedup_set(&t, "turn", false);
	put(&t, "turn", "a", body);
	dedup_set(&t, "turn", true);
	put(&t, "turn", "b", body);
	assert_int_equal(atomic_load(&hooks.blocks), 6);
	put(&t, "turn", "c", body);
	assert_int_equal(atomic_load(&hooks.blocks), 6);
	dedup_set(&t, "turn", false);
	put(&t, "turn", "d", body);
	assert_int_equal(atomic_load(&hooks.blocks), 9);
	delete (&t, "turn", "b");
	(void)bucket_recount(&t, "turn");
	dedup_set(&t, "turn", true);
	put(&t, "turn", "e", body);
	assert_int_equal(atomic_load(&hooks.blocks), 9);
	dedup_set(&t, "turn", false);
	for (const char *key = "acde"; *key; key++) {
		verify(&t, "turn", (char[2]){ *key }, body);
		delete (&t, "turn", (char[2]){ *key });
	}
	is_empty(&t, "turn");
	body_free(body);
	store_close(&t);
}

/* The hash is of the raw bytes: how they are stored is the first writer's. */
static void
compressed_blocks_are_shared(void **state)
{
	size_t len = 2 * MB + 100 * KB;
	struct bytes body = bytes_of(calloc(1, len), len);
	bool compress = true;
	struct bucket_changes changes = { .compress = &compress };
	struct test_store t;
	struct recount r;

	setup(&t, "pressed");
	for (size_t i = 0; i < len; i++)
		((uint8_t *)body.data)[i] = (uint8_t)(i >> 12);
	assert_int_equal(bucket_configure(&t.core, store_request(&t), BYTES_LITERAL("pressed"), &changes), RFS_OK);
	put(&t, "pressed", "a", body);
	r = bucket_recount(&t, "pressed");
	assert_true(r.bytes < len / 10);
	compress = false;
	assert_int_equal(bucket_configure(&t.core, store_request(&t), BYTES_LITERAL("pressed"), &changes), RFS_OK);
	put(&t, "pressed", "b", body);
	assert_int_equal(bucket_recount(&t, "pressed").bytes, r.bytes);
	delete (&t, "pressed", "a");
	(void)bucket_recount(&t, "pressed");
	verify(&t, "pressed", "b", body);
	body_free(body);
	store_close(&t);
}

/* A hash row that names other bytes is damage: nobody gets them for his own. */
static void
a_wrong_hash_row_is_damage(void **state)
{
	struct bytes one = body_make(5000, 7), other = body_make(5000, 8);
	struct test_store t;
	struct row_page page;
	struct batch *b;
	uint64_t bucket;

	setup(&t, "wrong");
	put(&t, "wrong", "one", one);
	put(&t, "wrong", "other", other);
	bucket = bucket_number(&t, "wrong");
	page = table_rows(&t, bucket, TABLE_HASH);
	assert_int_equal(page.count, 2);
	b = batch_new(bucket);
	batch_put(b, page.rows[0].key, page.rows[1].value);
	batch_put(b, page.rows[1].key, page.rows[0].value);
	assert_int_equal(metadata_commit(t.core.metadata, &t.rq, b), RFS_OK);
	batch_free(b);
	assert_int_equal(store_put(&t, "wrong", BYTES_LITERAL("again"), one, NULL), RFS_ERR_DAMAGED);
	verify(&t, "wrong", "one", one);
	body_free(one);
	body_free(other);
	t.damaged = true;
	store_close(&t);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_bodies_are_stored_once),
		cmocka_unit_test(each_name_is_one_reference),
		cmocka_unit_test(equal_parts_are_stored_once),
		cmocka_unit_test(equal_blocks_of_one_body_are_stored_once),
		cmocka_unit_test(bytes_are_let_go_on_the_way),
		cmocka_unit_test(buckets_share_nothing),
		cmocka_unit_test(other_buckets_pay_nothing),
		cmocka_unit_test(turning_it_on_affects_new_writes),
		cmocka_unit_test(compressed_blocks_are_shared),
		cmocka_unit_test(a_wrong_hash_row_is_damage),
	};

	driver = argc > 1 ? argv[1] : "mem";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
