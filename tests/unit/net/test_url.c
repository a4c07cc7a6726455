/* test_url.c: percent-encoding and query strings. */
#include "net/url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static int
setup(void **state)
{
	*state = arena_new(1024);
	return 0;
}

static int
teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static void
decoding_is_strict(void **state)
{
	static const char *const bad[] = {"%", "%4", "a%", "%zz", "%4z", "%%41"};
	struct bytes out;

	assert_true(url_decode(*state, BYTES_LITERAL("a%20b%2fc+%C3%a4%00"), false, &out));
	assert_true(bytes_equal(out, BYTES_LITERAL("a b/c+\xC3\xA4\0")));
	assert_true(url_decode(*state, BYTES_LITERAL("a+%2B"), true, &out));
	assert_true(bytes_equal_str(out, "a +"));
	assert_true(url_decode(*state, BYTES_LITERAL(""), true, &out));
	assert_int_equal(out.len, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(url_decode(*state, bytes_str(bad[i]), false, &out));
}

static void
encoding_keeps_what_s3_does_not_reserve(void **state)
{
	struct buf b;

	buf_init(&b, *state);
	url_encode(&b, BYTES_LITERAL("AZaz09-._~/ +*\xC3\xA4"), true);
	assert_true(bytes_equal_str(buf_bytes(&b), "AZaz09-._~/%20%2B%2A%C3%A4"));
	b.len = 0;
	url_encode(&b, BYTES_LITERAL("a/b"), false);
	assert_true(bytes_equal_str(buf_bytes(&b), "a%2Fb"));
}

static void
a_query_is_read_in_order(void **state)
{
	struct url_query q;

	assert_true(url_query_parse(*state, BYTES_LITERAL("&acl&prefix=a%2Fb+c=d&&empty=&acl=x"), 4, &q));
	assert_int_equal(q.count, 4);
	assert_true(bytes_equal_str(q.params[1].value, "a/b c=d"));
	assert_false(url_query_find(&q, "acl")->has_value);
	assert_true(url_query_find(&q, "empty")->has_value);
	assert_int_equal(url_query_find(&q, "empty")->value.len, 0);
	assert_null(url_query_find(&q, "Prefix"));
	assert_false(url_query_parse(*state, BYTES_LITERAL("a&b&c"), 2, &q));
	assert_false(url_query_parse(*state, BYTES_LITERAL("a=%"), 2, &q));
	assert_true(url_query_parse(*state, bytes_of(NULL, 0), 2, &q));
	assert_int_equal(q.count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(decoding_is_strict, setup, teardown),
		cmocka_unit_test_setup_teardown(encoding_keeps_what_s3_does_not_reserve, setup, teardown),
		cmocka_unit_test_setup_teardown(a_query_is_read_in_order, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
