/* test_driver_blocks.c: blocks: with a commit, and stored before it; see contract.h. */
#include "contract.h"
#include <unistd.h>

static void
payload_beyond_the_limits_does_nothing(void **state)
{
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct slice payload = slice_new(BATCH_MAX_BLOCK_BYTES + 1);
	struct batch_block blocks[9];

	memset(slice_writable(&payload), 'p', payload.len);
	blocks[0] = (struct batch_block){.number = 1, .parts = &payload, .part_count = 1, .len = payload.len};
	batch_blocks(b, key_of(b, TABLE_ROWS, "a"), bytes_str("v"), blocks, 1);
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	batch_reset(b);
	payload.len = BATCH_MAX_BLOCK_BYTES;
	for (unsigned i = 0; i < 9; i++)
		blocks[i] =
			(struct batch_block){.number = 1 + i, .parts = &payload, .part_count = 1, .len = payload.len};
	batch_blocks(b, key_of(b, TABLE_ROWS, "a"), bytes_str("v"), blocks, 9);
	assert_int_equal(test_commit(s, b), RFS_ERR_LIMIT);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "a").found);
	batch_reset(b);
	batch_blocks(b, key_of(b, TABLE_ROWS, "a"), bytes_str("v"), blocks, 8);
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
	slice_unref(&payload);
}

static void
payload_that_went_with_a_commit_is_read_back(void **state)
{
	static const size_t sizes[] = {1, 8, 4096, 32769, 300001};
	struct store *s = *state;
	struct batch *b = batch_new(BUCKET);
	struct batch_block blocks[5] = {0};
	struct slice parts[5][2];
	struct row row;

	for (unsigned i = 0; i < 5; i++) {
		struct slice whole = pattern(sizes[i], i);

		parts[i][0] = slice_part(whole, 0, sizes[i] / 3);
		parts[i][1] = slice_part(whole, sizes[i] / 3, sizes[i] - sizes[i] / 3);
		blocks[i] =
			(struct batch_block){.number = 100 + i, .parts = parts[i], .part_count = 2, .len = sizes[i]};
		slice_unref(&whole);
	}
	batch_blocks(b, key_of(b, TABLE_ROWS, "one"), bytes_str("v"), blocks, 4);
	batch_put(b, key_of(b, TABLE_ROWS, "x"), bytes_str("y"));
	batch_blocks(b, key_of(b, TABLE_ROWS, "two"), bytes_str("w"), blocks + 4, 1);
	for (unsigned i = 0; i < 5; i++) {
		slice_unref(&parts[i][0]);
		slice_unref(&parts[i][1]);
	}
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
	row = test_get(s, BUCKET, TABLE_ROWS, "one");
	assert_int_equal(row.value.len, 1 + 4 * BLOCK_LOCATION_BYTES);
	for (unsigned i = 0; i < 4; i++)
		assert_block(s, 100 + i, row.value.data + 1 + i * BLOCK_LOCATION_BYTES, sizes[i], i);
	row = test_get(s, BUCKET, TABLE_ROWS, "two");
	assert_int_equal(row.value.len, 1 + BLOCK_LOCATION_BYTES);
	assert_block(s, 104, row.value.data + 1, sizes[4], 4);
}

static void
stored_blocks_are_read_back_and_named_by_a_row(void **state)
{
	struct store *s = *state;
	struct storage_driver *d = s->drivers.storage;
	struct block_ticket tickets[6];
	struct batch *b = batch_new(BUCKET);
	struct batch_block block;
	struct row row;

	for (unsigned i = 0; i < 6; i++) { /* more than one volume of the embedded driver */
		struct slice payload = pattern(300000 + i, i);
		struct slice parts[2] = {slice_part(payload, 0, 77), slice_part(payload, 77, payload.len - 77)};

		assert_int_equal(d->ops->put(d, &s->rq, BUCKET, 500 + i, parts, 2, &tickets[i]), RFS_OK);
		assert_int_equal(tickets[i].number, 500 + i);
		slice_unref(&parts[0]);
		slice_unref(&parts[1]);
		slice_unref(&payload);
	}
	assert_int_equal(d->ops->wait(d, &s->rq, tickets, 6), RFS_OK);
	for (unsigned i = 0; i < 6; i++)
		assert_block(s, 500 + i, tickets[i].location.bytes, 300000 + i, i);
	block = (struct batch_block){.number = 502, .stored = true, .location = tickets[2].location, .len = 300002};
	batch_blocks(b, key_of(b, TABLE_ROWS, "stored"), bytes_str("vv"), &block, 1);
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
	row = test_get(s, BUCKET, TABLE_ROWS, "stored");
	assert_int_equal(row.value.len, 2 + BLOCK_LOCATION_BYTES);
	assert_block(s, 502, row.value.data + 2, 300002, 2);
	d->ops->settle(d, tickets, 6);
	d->ops->settle(d, tickets, 6); /* those that were given back are passed over */
	assert_block(s, 502, row.value.data + 2, 300002, 2);
	assert_int_equal(d->ops->remove(d, &s->rq, 502, &tickets[2].location), RFS_OK);
}

/* Whole or from its beginning, as it is read first: it is held against its record. */
static void
a_block_of_another_number_or_bucket_is_damage(void **state)
{
	static const size_t lengths[] = {40000, 100};
	struct store *s = *state;
	struct storage_driver *d = s->drivers.storage;
	struct slice payload = pattern(40000, 1), out;
	struct block_ticket ticket;

	assert_int_equal(d->ops->put(d, &s->rq, BUCKET, 500, &payload, 1, &ticket), RFS_OK);
	assert_int_equal(d->ops->wait(d, &s->rq, &ticket, 1), RFS_OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(d->ops->get(d, &s->rq, BUCKET, 501, &ticket.location, 0, lengths[i], &out), RFS_ERR_DAMAGED);
		assert_int_equal(
			d->ops->get(d, &s->rq, BUCKET + 1, 500, &ticket.location, 0, lengths[i], &out), RFS_ERR_DAMAGED);
		assert_int_equal(d->ops->get(d, &s->rq, BUCKET, 500, &ticket.location, 0, lengths[i], &out), RFS_OK);
		assert_memory_equal(out.data, payload.data, lengths[i]);
		slice_unref(&out);
	}
	d->ops->settle(d, &ticket, 1);
	slice_unref(&payload);
}

struct seen {
	size_t len;
	unsigned seed;
	bool right;
};

static bool
look(void *data, struct bytes bytes)
{
	struct seen *seen = data;
	struct slice expected = pattern(300000, seen->seed);

	assert_int_equal(bytes.len, seen->len);
	assert_memory_equal(bytes.data, expected.data + 1000, bytes.len);
	slice_unref(&expected);
	return seen->right;
}

/* Of drivers that keep blocks in files. */
static void
bytes_for_a_socket_stay_in_their_file(void **state)
{
	struct store *s = *state;
	struct storage_driver *d = s->drivers.storage;
	struct slice payload = pattern(300000, 3), out;
	struct seen seen = {200000, 3, true};
	struct block_ticket ticket;
	uint8_t *bytes = malloc(seen.len);

	assert_int_equal(d->ops->put(d, &s->rq, BUCKET, 500, &payload, 1, &ticket), RFS_OK);
	assert_int_equal(d->ops->wait(d, &s->rq, &ticket, 1), RFS_OK);
	if (d->ops->get_file) {
		assert_int_equal(d->ops->get_file(d, &s->rq, &ticket.location, 1000, seen.len, look, &seen, &out), RFS_OK);
		assert_non_null(slice_file(&out));
		assert_int_equal(out.len, seen.len);
		assert_int_equal(pread(slice_file(&out)->fd, bytes, seen.len, (off_t)slice_file(&out)->offset), seen.len);
		assert_memory_equal(bytes, payload.data + 1000, seen.len);
		slice_unref(&out);
		seen.right = false;
		assert_int_equal(
			d->ops->get_file(d, &s->rq, &ticket.location, 1000, seen.len, look, &seen, &out), RFS_ERR_DAMAGED);
		assert_int_equal(
			d->ops->get_file(d, &s->rq, &ticket.location, 299999, 2, look, &seen, &out), RFS_ERR_NOT_FOUND);
	}
	d->ops->settle(d, &ticket, 1);
	slice_unref(&payload);
	free(bytes);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(payload_beyond_the_limits_does_nothing),
		TEST(payload_that_went_with_a_commit_is_read_back),
		TEST(stored_blocks_are_read_back_and_named_by_a_row),
		TEST(a_block_of_another_number_or_bucket_is_damage),
		TEST(bytes_for_a_socket_stay_in_their_file),
	};

	return cmocka_run_group_tests_name(contract_begin(argc, argv), tests, NULL, NULL);
}
