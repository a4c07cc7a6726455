/* test_dump.c: what parts write is one JSON text, whatever bytes are in it. */
#include "base/dump.h"
#include "unit.h"

static void
test_parts_nest(void **state)
{
	struct buf text;
	struct dump d;

	buf_init(&text, NULL);
	dump_init(&d, &text);
	dump_number(&d, "one", 1);
	dump_list(&d, "list");
	dump_number(&d, NULL, 2);
	dump_object(&d, NULL);
	dump_end(&d);
	dump_object(&d, NULL);
	dump_bool(&d, "yes", true);
	dump_bool(&d, "no", false);
	dump_end(&d);
	dump_end(&d);
	dump_volume(&d, "volume", 0x1f);
	dump_end(&d);
	buf_u8(&text, 0);
	assert_string_equal((const char *)text.data,
		"{\"one\":1,\"list\":[2,{},{\"yes\":true,\"no\":false}],\"volume\":\"000000000000001f\"}");
	buf_fini(&text);
}

static void
test_any_bytes_are_a_text(void **state)
{
	struct buf text;
	struct dump d;

	buf_init(&text, NULL);
	dump_init(&d, &text);
	dump_text(&d, "t", bytes_of("a\"\\\n\0\xff", 6));
	dump_end(&d);
	buf_u8(&text, 0);
	assert_string_equal((const char *)text.data, "{\"t\":\"a\\u0022\\u005c\\u000a\\u0000\\u00ff\"}");
	buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts_nest),
		cmocka_unit_test(test_any_bytes_are_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
