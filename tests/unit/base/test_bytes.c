/* Views, buffers, readers and the texts of bytes. */
#include "unit.h"
#include "base/arena.h"

#define B(s) BYTES_LITERAL(s)

static void
order_is_of_memory_and_prefixes_come_first(void **state)
{
	assert_true(bytes_compare(B("a"), B("b")) < 0);
	assert_true(bytes_compare(B("a"), B("ab")) < 0);
	assert_true(bytes_compare(B("\xff"), B("a")) > 0);
	assert_int_equal(bytes_compare(B("ab"), B("ab")), 0);
	assert_true(bytes_compare(bytes_of(NULL, 0), B("a")) < 0);
	assert_int_equal(bytes_compare(bytes_of(NULL, 0), B("")), 0);
}

static void
equality_needs_equal_lengths(void **state)
{
	assert_true(bytes_equal(bytes_of(NULL, 0), B("")));
	assert_false(bytes_equal(B("a"), B("ab")));
	assert_true(bytes_equal_str(B("ab"), "ab"));
	assert_true(bytes_equal_str_nocase(B("Content-MD5"), "content-md5"));
	assert_false(bytes_equal_str_nocase(B("Content-MD5"), "content-md"));
	assert_false(bytes_equal_str_nocase(B("@"), "`"));
	assert_true(bytes_equal_secret(B("secret"), B("secret")));
	assert_false(bytes_equal_secret(B("secret"), B("secreT")));
	assert_false(bytes_equal_secret(B("secret"), B("secrets")));
}

static void
parts_are_clipped(void **state)
{
	assert_true(bytes_starts_with(B("abc"), B("ab")));
	assert_true(bytes_starts_with(B("abc"), B("")));
	assert_false(bytes_starts_with(B("ab"), B("abc")));
	assert_true(bytes_equal(bytes_sub(B("abc"), 1, 100), B("bc")));
	assert_int_equal(bytes_sub(B("abc"), 7, 1).len, 0);
	assert_int_equal(bytes_find(B("a/b/c"), '/', 0), 1);
	assert_int_equal(bytes_find(B("a/b/c"), '/', 2), 3);
	assert_true(bytes_find(B("a/b/c"), '/', 4) == SIZE_MAX);
	assert_true(bytes_find(B("a"), 'a', 9) == SIZE_MAX);
}

static void
control_characters_are_found_at_any_place(void **state)
{
	uint8_t text[40];

	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < sizeof(text); at++) {
			bool is_control = c < 0x20 || c == 0x7f;

			memset(text, at % 2 ? 0x80 : ' ', sizeof(text));
			text[at] = (uint8_t)c;
			for (size_t from = 0; from <= sizeof(text); from++)
				assert_true(bytes_find_control(bytes_of(text, sizeof(text)), from) ==
					    (is_control && from <= at ? at : SIZE_MAX));
		}
	assert_true(bytes_find_control(bytes_of(NULL, 0), 0) == SIZE_MAX);
}

static void
numbers_are_written_as_printf_writes_them(void **state)
{
	static const uint64_t numbers[] = {0, 1, 9, 10, 99, 100, 4096, 1000000000, UINT64_MAX - 1, UINT64_MAX};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct buf ours, theirs;

		buf_init(&ours, NULL);
		buf_init(&theirs, NULL);
		buf_decimal(&ours, numbers[i]);
		buf_printf(&theirs, "%llu", (unsigned long long)numbers[i]);
		assert_true(bytes_equal(buf_bytes(&ours), buf_bytes(&theirs)));
		buf_fini(&ours);
		buf_fini(&theirs);
	}
}

static void
decimal_takes_digits_only(void **state)
{
	uint64_t v;

	assert_true(bytes_to_u64(B("18446744073709551615"), &v));
	assert_true(v == UINT64_MAX);
	assert_true(bytes_to_u64(B("007"), &v));
	assert_true(v == 7);
	assert_false(bytes_to_u64(B("18446744073709551616"), &v));
	assert_false(bytes_to_u64(B("99999999999999999999"), &v));
	assert_false(bytes_to_u64(B(""), &v));
	assert_false(bytes_to_u64(B("+1"), &v));
	assert_false(bytes_to_u64(B("1 "), &v));
}

static void
fill(struct buf *b)
{
	buf_u8(b, 1);
	buf_u16(b, 0x0203);
	buf_u32(b, 0x04050607);
	buf_u64(b, UINT64_C(0x08090a0b0c0d0e0f));
	buf_be64(b, UINT64_C(0x0102030405060708));
	buf_varint(b, 0);
	buf_varint(b, 300);
	buf_varint(b, UINT64_MAX);
	buf_field(b, B("key"));
	buf_field(b, B(""));
	buf_printf(b, "%s-%d", "tail", 7);
}

static void
check(struct bytes v)
{
	struct reader r;

	reader_init(&r, v);
	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_u16(&r), 0x0203);
	assert_int_equal(reader_u32(&r), 0x04050607);
	assert_true(reader_u64(&r) == UINT64_C(0x08090a0b0c0d0e0f));
	assert_int_equal(*r.at, 1); /* big-endian: the high byte first */
	assert_true(reader_be64(&r) == UINT64_C(0x0102030405060708));
	assert_true(reader_varint(&r) == 0);
	assert_true(reader_varint(&r) == 300);
	assert_true(reader_varint(&r) == UINT64_MAX);
	assert_true(bytes_equal(reader_field(&r), B("key")));
	assert_int_equal(reader_field(&r).len, 0);
	assert_true(bytes_equal(reader_bytes(&r, 6), B("tail-7")));
	assert_int_equal(reader_left(&r), 0);
	assert_false(r.failed);
}

static void
a_reader_gives_back_what_a_buffer_took(void **state)
{
	struct arena *a = arena_new(0);
	struct buf b;

	buf_init(&b, NULL);
	fill(&b);
	check(buf_bytes(&b));
	buf_fini(&b);
	buf_init(&b, a);
	fill(&b);
	check(buf_bytes(&b));
	arena_free(a);
}

static void
a_reader_fails_once_and_for_all_at_its_end(void **state)
{
	struct buf b;
	struct reader r;
	size_t whole;

	buf_init(&b, NULL);
	fill(&b);
	whole = b.len;
	for (size_t len = 0; len < whole - 6; len++) {
		uint8_t *cut = malloc(len ? len : 1); /* its own memory, so that a read beyond it is seen */

		memcpy(cut, b.data, len);
		reader_init(&r, bytes_of(cut, len));
		reader_u8(&r), reader_u16(&r), reader_u32(&r), reader_u64(&r), reader_be64(&r);
		reader_varint(&r), reader_varint(&r), reader_varint(&r), reader_field(&r), reader_field(&r);
		assert_true(r.failed);
		assert_int_equal(reader_u8(&r), 0);
		free(cut);
	}
	buf_fini(&b);
}

static void
a_varint_longer_than_64_bits_is_refused(void **state)
{
	struct reader r;

	reader_init(&r, B("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"));
	assert_true(reader_varint(&r) == 0);
	assert_true(r.failed);
	reader_init(&r, B("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
	reader_varint(&r);
	assert_true(r.failed);
	/* A length near 2^64 must not wrap. */
	reader_init(&r, B("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xyz"));
	assert_int_equal(reader_field(&r).len, 0);
	assert_true(r.failed);
}

static void
a_varint_has_one_form(void **state)
{
	struct reader r;

	reader_init(&r, B("\x80"
			  "\0"));
	assert_true(reader_varint(&r) == 0);
	assert_true(r.failed);
	reader_init(&r, B("\xac\x82"
			  "\0"));
	reader_varint(&r);
	assert_true(r.failed);
}

static void
a_number_of_32_bits_is_not_cut_short(void **state)
{
	struct reader r;

	reader_init(&r, B("\xff\xff\xff\xff\x0f"));
	assert_true(reader_varint32(&r) == UINT32_MAX);
	assert_false(r.failed);
	reader_init(&r, B("\x81\x80\x80\x80\x10"));
	assert_true(reader_varint32(&r) == 0);
	assert_true(r.failed);
}

static void
hex_goes_both_ways(void **state)
{
	char text[7];
	uint8_t v[3];

	hex_encode(B("\x00\xab\xff"), text);
	assert_string_equal(text, "00abff");
	assert_true(hex_decode(B("00ABff"), v, 3));
	assert_memory_equal(v, "\x00\xab\xff", 3);
	assert_false(hex_decode(B("00ABf"), v, 3));
	assert_false(hex_decode(B("00ABfg"), v, 3));
	assert_false(hex_decode(B("00AB"), v, 3));
}

static void
base64_is_strict(void **state)
{
	static const struct {
		const char *plain, *text;
	} cases[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xef\xbe", "/+++"}};
	uint8_t v[8];
	char text[16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].plain);

		base64_encode(bytes_str(cases[i].plain), text);
		assert_string_equal(text, cases[i].text);
		assert_true(base64_decode(bytes_str(cases[i].text), v, len));
		assert_memory_equal(v, cases[i].plain, len);
		assert_false(base64_decode(bytes_str(cases[i].text), v, len + 1));
	}
	assert_false(base64_decode(B("Zg="), v, 1));
	assert_false(base64_decode(B("Zg"), v, 1));
	assert_false(base64_decode(B("Zh=="), v, 1)); /* bits beyond the last byte */
	assert_false(base64_decode(B("Z==="), v, 1));
	assert_false(base64_decode(B("Zg=A"), v, 1));
	assert_false(base64_decode(B("Zm9="), v, 3));
	assert_false(base64_decode(B("Zm9-"), v, 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_of_memory_and_prefixes_come_first),
		cmocka_unit_test(equality_needs_equal_lengths),
		cmocka_unit_test(parts_are_clipped),
		cmocka_unit_test(control_characters_are_found_at_any_place),
		cmocka_unit_test(numbers_are_written_as_printf_writes_them),
		cmocka_unit_test(decimal_takes_digits_only),
		cmocka_unit_test(a_reader_gives_back_what_a_buffer_took),
		cmocka_unit_test(a_reader_fails_once_and_for_all_at_its_end),
		cmocka_unit_test(a_varint_longer_than_64_bits_is_refused),
		cmocka_unit_test(a_varint_has_one_form),
		cmocka_unit_test(a_number_of_32_bits_is_not_cut_short),
		cmocka_unit_test(hex_goes_both_ways),
		cmocka_unit_test(base64_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
