/* test_commit_codec.c: a batch survives its journey through a COMMIT's payload, and bytes that are none are refused. */
#include "driver_help.h"
#include "drivers/embedded/embedded_int.h"

#define COMMIT_OFFSET 100000
#define BLOCK_BYTES 5000

static struct batch *
sample(struct commit_record *record)
{
	struct batch *b = batch_new(9);
	struct slice payload = slice_new(BLOCK_BYTES);
	struct batch_block blocks[2] = {
		{.number = 77, .stored = true}, {.number = 78, .parts = &payload, .part_count = 1, .len = BLOCK_BYTES}};

	memset(blocks[0].location.bytes, 0xab, BLOCK_LOCATION_BYTES);
	batch_check(b, test_key(b->arena, 9, 2, "checked"), 4);
	batch_put_slotted(b, test_key(b->arena, 9, 2, "slot"), SLOT_INVERTED, bytes_str("value"));
	batch_delete(b, test_key(b->arena, 9, 2, "deleted"));
	batch_delete_range(b, test_key(b->arena, 9, 2, "from"), test_key(b->arena, 9, 2, "to"));
	batch_add(b, test_key(b->arena, 9, 8, "counter"), INT64_MIN);
	batch_max(b, test_key(b->arena, 9, 8, "highest"), UINT64_MAX);
	batch_expect(b, test_key(b->arena, 9, 8, "counter"), 0, 5);
	batch_append(b, test_key(b->arena, 9, 16, ""), bytes_str("feed"));
	batch_blocks(b, test_key(b->arena, 9, 6, "blocks"), bytes_str(""), blocks, 2);
	slice_unref(&payload);
	*record = (struct commit_record){
		.offset = COMMIT_OFFSET - record_bytes(BLOCK_BYTES), .fields = {.length = BLOCK_BYTES}};
	return b;
}

static void
assert_bytes(struct bytes a, struct bytes b)
{
	assert_true(bytes_equal(a, b));
}

static void
a_batch_comes_back_without_its_conditions(void **state)
{
	struct commit_record record;
	struct batch *b = sample(&record), *out = batch_new(9);
	uint32_t volume, length;
	uint64_t offset;
	struct buf payload;
	size_t at = 0;

	buf_init(&payload, b->arena);
	commit_encode(b, &record, COMMIT_OFFSET, &payload);
	assert_true(commit_decode(buf_bytes(&payload), 3, COMMIT_OFFSET, out));
	assert_memory_equal(out->id, b->id, 16);
	assert_int_equal(out->op_count, b->op_count - 2);
	for (size_t i = 0; i < b->op_count; i++) {
		if (b->ops[i].kind == BATCH_CHECK || b->ops[i].kind == BATCH_EXPECT)
			continue;
		assert_int_equal(out->ops[at].kind, b->ops[i].kind);
		assert_int_equal(out->ops[at].slot, b->ops[i].slot);
		assert_bytes(out->ops[at].key, b->ops[i].key);
		assert_bytes(out->ops[at].value, b->ops[i].value);
		assert_true(out->ops[at].delta == b->ops[i].delta && out->ops[at].number == b->ops[i].number);
		at++;
	}
	assert_int_equal(out->ops[at - 1].block_count, 2);
	assert_memory_equal(
		out->ops[at - 1].blocks[0].location.bytes, b->ops[8].blocks[0].location.bytes, BLOCK_LOCATION_BYTES);
	location_decode(&out->ops[at - 1].blocks[1].location, &volume, &length, &offset);
	assert_int_equal(volume, 3);
	assert_int_equal(length, BLOCK_BYTES);
	assert_int_equal(offset, COMMIT_OFFSET - record_bytes(BLOCK_BYTES) + RECORD_HEADER_BYTES);
	batch_free(out);
	batch_free(b);
}

static void
a_payload_cut_short_or_too_long_is_refused(void **state)
{
	struct commit_record record;
	struct batch *b = sample(&record), *out = batch_new(9);
	struct buf payload;
	uint8_t *exact;

	buf_init(&payload, b->arena);
	commit_encode(b, &record, COMMIT_OFFSET, &payload);
	for (size_t len = 0; len < payload.len; len++) {
		exact = xmalloc(len); /* so that a sanitizer sees each read beyond it */
		memcpy(exact, payload.data, len);
		batch_reset(out);
		assert_false(commit_decode(bytes_of(exact, len), 3, COMMIT_OFFSET, out));
		free(exact);
	}
	buf_u8(&payload, 0);
	batch_reset(out);
	assert_false(commit_decode(buf_bytes(&payload), 3, COMMIT_OFFSET, out));
	batch_free(out);
	batch_free(b);
}

static void
changed_bytes_do_no_harm(void **state)
{
	struct commit_record record;
	struct batch *b = sample(&record), *out = batch_new(9);
	struct buf payload;
	uint8_t *exact;

	buf_init(&payload, b->arena);
	commit_encode(b, &record, COMMIT_OFFSET, &payload);
	exact = xmalloc(payload.len);
	for (size_t i = 0; i < payload.len; i++)
		for (unsigned value = 0; value < 256; value += 5) {
			memcpy(exact, payload.data, payload.len);
			exact[i] = (uint8_t)value;
			batch_reset(out);
			(void)commit_decode(bytes_of(exact, payload.len), 3, COMMIT_OFFSET, out);
		}
	free(exact);
	batch_free(out);
	batch_free(b);
}

/* Encoded as it is; does it come back as a batch of bucket 9? */
static bool
comes_back(struct batch *b)
{
	struct batch *out = batch_new(9);
	struct buf payload;
	bool good;

	buf_init(&payload, NULL);
	commit_encode(b, NULL, COMMIT_OFFSET, &payload);
	good = commit_decode(buf_bytes(&payload), 3, COMMIT_OFFSET, out);
	buf_fini(&payload);
	batch_free(out);
	batch_reset(b);
	return good;
}

/* Nobody wrote such a batch: the driver refuses it (tests/contract). Another bucket's key has no form in it. */
static void
keys_that_are_not_the_batchs_own_are_refused(void **state)
{
	static const struct {
		uint8_t table;
		bool good;
	} cases[] = {{2, true}, {0, false}};
	struct arena *keys = arena_new(1024);
	struct bytes good = test_key(keys, 9, 2, "a");
	struct batch *b = batch_new(9);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bytes key = test_key(keys, 9, cases[i].table, "b");

		batch_put(b, key, bytes_str("value"));
		assert_int_equal(comes_back(b), cases[i].good);
		batch_delete(b, key);
		assert_int_equal(comes_back(b), cases[i].good);
		batch_delete_range(b, good, key);
		assert_int_equal(comes_back(b), cases[i].good);
		batch_add(b, key, 1);
		assert_int_equal(comes_back(b), cases[i].good);
		batch_max(b, key, 1);
		assert_int_equal(comes_back(b), cases[i].good);
		batch_append(b, key, bytes_str("value"));
		assert_int_equal(comes_back(b), cases[i].good);
		batch_blocks(b, key, bytes_str("value"), NULL, 0);
		assert_int_equal(comes_back(b), cases[i].good);
		batch_put(b, good, bytes_str("first"));
		batch_put(b, key, bytes_str("second"));
		assert_int_equal(comes_back(b), cases[i].good);
	}
	batch_put_slotted(b, test_key(keys, 9, 2, ""), SLOT_SERIAL, bytes_str("value"));
	assert_true(comes_back(b));
	batch_put(b, test_key(keys, 9, 2, "7 bytes"), bytes_str("value"))->slot = SLOT_SERIAL;
	assert_false(comes_back(b));
	arena_free(keys);
	batch_free(b);
}

static void
a_record_is_valid_only_in_its_place(void **state)
{
	struct record_header h = {.type = RECORD_COMMIT,
				     .flags = RECORD_GROUP_LAST,
				     .index = 2,
				     .length = 10,
				     .count = 3,
				     .sequence = 7,
				     .group = 5,
				     .bucket = 9,
				     .number = 11,
				     .previous_feed = 10,
				     .time_ns = 12},
			     out;
	uint8_t bytes[RECORD_HEADER_BYTES], again[RECORD_HEADER_BYTES];

	record_header_encode(&h, 4096, 1234, bytes);
	assert_true(record_header_decode(bytes, 4096, 1234, &out));
	record_header_encode(&out, 4096, 1234, again);
	assert_memory_equal(again, bytes, sizeof(bytes));
	assert_true(out.flags == h.flags && out.index == h.index && out.count == h.count && out.time_ns == h.time_ns);
	assert_false(record_header_decode(bytes, 4104, 1234, &out));
	assert_false(record_header_decode(bytes, 4096, 1235, &out));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] ^= 1;
		assert_false(record_header_decode(bytes, 4096, 1234, &out));
		bytes[i] ^= 1;
	}
}

static enum rfs_err
superblock_read(struct superblock s)
{
	uint8_t bytes[SUPERBLOCK_BYTES];

	superblock_encode(&s, bytes);
	return superblock_decode(bytes, &s);
}

/* The journal would not continue, or be scanned without end. */
static void
a_superblock_out_of_order_is_damage(void **state)
{
	const struct superblock good = {.number = 3,
		.kind = VOLUME_JOURNAL,
		.predecessor = 2,
		.predecessor_end = 8192,
		.first_group = 5,
		.first_sequence = 9};
	struct superblock s = good;

	assert_int_equal(superblock_read(good), RFS_OK);
	s.predecessor = 3;
	assert_int_equal(superblock_read(s), RFS_ERR_DAMAGED);
	s = good;
	s.predecessor_end = 0;
	assert_int_equal(superblock_read(s), RFS_ERR_DAMAGED);
	s = good;
	s.first_group = 0;
	assert_int_equal(superblock_read(s), RFS_ERR_DAMAGED);
	s = good;
	s.first_sequence = UINT64_MAX;
	assert_int_equal(superblock_read(s), RFS_ERR_DAMAGED);
	s = good;
	s.number = s.predecessor = 0;
	assert_int_equal(superblock_read(s), RFS_ERR_DAMAGED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_comes_back_without_its_conditions),
		cmocka_unit_test(a_payload_cut_short_or_too_long_is_refused),
		cmocka_unit_test(changed_bytes_do_no_harm),
		cmocka_unit_test(keys_that_are_not_the_batchs_own_are_refused),
		cmocka_unit_test(a_record_is_valid_only_in_its_place),
		cmocka_unit_test(a_superblock_out_of_order_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
