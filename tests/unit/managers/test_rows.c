/* Rows that no writer of ours wrote: what is read of them is written again as it was, or they are DAMAGED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "managers/metadata/keys.h"
#include "managers/metadata/rows.h"

static struct arena *arena;

static int
setup(void **state)
{
	arena = arena_new(4096);
	return 0;
}

static int
teardown(void **state)
{
	arena_free(arena);
	return 0;
}

static struct buf
new_buf(void)
{
	struct buf b;

	buf_init(&b, arena);
	return b;
}

static struct bytes
version_written(const struct version *v)
{
	struct buf b = new_buf();

	version_encode(&b, v);
	return buf_bytes(&b);
}

static void
put_tag(struct buf *b, uint64_t tag, const char *field)
{
	buf_varint(b, tag);
	buf_field(b, bytes_str(field));
}

static void
an_unknown_tag_keeps_its_number(void **state)
{
	struct version plain = {0}, read, again;
	struct buf b = new_buf();

	buf_put_bytes(&b, version_written(&plain));
	put_tag(&b, (UINT64_C(1) << 32) + 1, "later"); /* 1 is the content type */
	assert_int_equal(version_decode(arena, buf_bytes(&b), &read), RFS_OK);
	assert_int_equal(read.content_type.len, 0);
	assert_int_equal(version_decode(arena, version_written(&read), &again), RFS_OK);
	assert_int_equal(again.content_type.len, 0);
	assert_true(bytes_equal(again.unknown, read.unknown));
}

static void
an_etag_in_upper_case_stays_as_it_is(void **state)
{
	struct version upper = {.etag = BYTES_LITERAL("D41D8CD98F00B204E9800998ECF8427E")}, read;

	assert_int_equal(version_decode(arena, version_written(&upper), &read), RFS_OK);
	assert_true(bytes_equal(read.etag, upper.etag));
}

static void
numbers_too_large_for_their_field_are_damage(void **state)
{
	struct version plain = {0}, read;
	struct segment_row segment;
	struct buf b = new_buf();

	buf_put_bytes(&b, version_written(&plain));
	buf_put(&b, "\4\5\x81\x80\x80\x80\x10", 7); /* 2^32 + 1 parts */
	assert_int_equal(version_decode(arena, buf_bytes(&b), &read), RFS_ERR_DAMAGED);
	b.len = 0;
	buf_put(&b, "\1\1\1", 3);
	buf_varint(&b, UINT64_C(1) << 32);
	buf_put(&b, "\1\1\0", 3);
	assert_int_equal(segment_decode(arena, buf_bytes(&b), &segment), RFS_ERR_DAMAGED);
}

static void
two_checksums_are_damage(void **state)
{
	struct version v = {.has_checksum = true, .checksum = DIGEST_SHA256}, read;
	struct buf b = new_buf();

	buf_put_bytes(&b, version_written(&v));
	assert_int_equal(version_decode(arena, buf_bytes(&b), &read), RFS_OK);
	put_tag(&b, 3, "\4\1abcd"); /* shorter: behind it would be left of the first one */
	assert_int_equal(version_decode(arena, buf_bytes(&b), &read), RFS_ERR_DAMAGED);
}

static struct buf
bucket_written(const char *cors)
{
	struct bucket_row row = {.id = 1, .block_size = 4096, .segment_blocks = 64, .cors = bytes_str(cors)};
	struct buf b = new_buf();

	bucket_row_encode(&b, &row);
	return b;
}

static void
a_bucket_keeps_what_it_does_not_know(void **state)
{
	struct buf b = bucket_written("cors"), out = new_buf();
	struct bucket_row row, again;

	put_tag(&b, 2, "later");
	assert_int_equal(bucket_row_decode(buf_bytes(&b), &row), RFS_OK);
	row.cors = BYTES_LITERAL("new");
	bucket_row_encode(&out, &row);
	assert_int_equal(bucket_row_decode(buf_bytes(&out), &again), RFS_OK);
	assert_true(bytes_equal_str(again.cors, "new"));
	assert_true(bytes_equal(again.unknown, row.unknown));
}

static void
a_bucket_whose_tags_do_not_ascend_is_damaged(void **state)
{
	struct buf b = bucket_written(NULL);
	struct bucket_row row;

	put_tag(&b, 2, "later");
	put_tag(&b, 1, "cors");
	assert_int_equal(bucket_row_decode(buf_bytes(&b), &row), RFS_ERR_DAMAGED);
}

static void
an_upload_key_is_escaped_in_one_way(void **state)
{
	static const uint8_t id[UPLOAD_ID_BYTES] = {7};
	uint8_t found[UPLOAD_ID_BYTES], other[64];
	struct bytes key = key_upload(arena, 1, bytes_of("a\0b", 3), id), name;

	assert_true(key_upload_split(arena, key, &name, found));
	assert_true(bytes_equal(name, bytes_of("a\0b", 3)));
	assert_memory_equal(found, id, sizeof(id));
	memcpy(other, key.data, key.len);
	other[11] = 2; /* behind the zero */
	assert_false(key_upload_split(arena, bytes_of(other, key.len), &name, found));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_unknown_tag_keeps_its_number, setup, teardown),
		cmocka_unit_test_setup_teardown(an_etag_in_upper_case_stays_as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_too_large_for_their_field_are_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(two_checksums_are_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bucket_keeps_what_it_does_not_know, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bucket_whose_tags_do_not_ascend_is_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(an_upload_key_is_escaped_in_one_way, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
