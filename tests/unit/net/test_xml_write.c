/* test_xml_write.c: escaping and the shape of answers. */
#include "net/xml_write.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define CHECK(b, text)                                                \
	do {                                                          \
		buf_u8((b), 0);                                       \
		assert_string_equal((const char *)(b)->data, (text)); \
		(b)->len = 0;                                         \
	} while (0)

static void
documents_have_s3s_shape(void **state)
{
	struct buf b;

	buf_init(&b, NULL);
	xml_start(&b, "ListBucketResult", true);
	xml_string(&b, "Name", "b");
	xml_number(&b, "MaxKeys", 1000);
	xml_bool(&b, "IsTruncated", false);
	xml_open(&b, "Contents");
	xml_date(&b, "LastModified", INT64_C(1369353600123) * 1000000);
	xml_etag(&b, "ETag", BYTES_LITERAL("d41d-2"));
	xml_close(&b, "Contents");
	xml_close(&b, "ListBucketResult");
	CHECK(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		  "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
		  "<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents>"
		  "<LastModified>2013-05-24T00:00:00.123Z</LastModified><ETag>&quot;d41d-2&quot;</ETag>"
		  "</Contents></ListBucketResult>");
	xml_start(&b, "Error", false);
	CHECK(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
	buf_fini(&b);
}

static void
text_is_escaped(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"a&b<c>\"d'", "a&amp;b&lt;c&gt;&quot;d'"},
		{"\x01\r\n\t\x1f\x7f", "&#x1;&#xD;\n\t&#x1F;\x7f"},
		{"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"},
		{"\xEF\xBF\xBE\xEF\xBF\xBF", "&#xFFFE;&#xFFFF;"},
		{"\xFF\xC0\x80z\xC3", "&#xFFFD;&#xFFFD;&#xFFFD;z&#xFFFD;"},
		{"\xED\xA0\x80", "&#xFFFD;&#xFFFD;&#xFFFD;"},
		{"\xF4\x90\x80\x80", "&#xFFFD;&#xFFFD;&#xFFFD;&#xFFFD;"},
		{"\xE0\x80\xAF", "&#xFFFD;&#xFFFD;&#xFFFD;"},
	};
	struct buf b;

	buf_init(&b, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		xml_escape(&b, bytes_str(cases[i].text));
		CHECK(&b, cases[i].expected);
	}
	xml_escape(&b, bytes_of("\0", 1));
	CHECK(&b, "&#x0;");
	buf_fini(&b);
}

static void
keys_are_encoded_when_asked(void **state)
{
	struct buf b;

	buf_init(&b, NULL);
	xml_key(&b, "Key", BYTES_LITERAL("a/b &\x01"), false);
	CHECK(&b, "<Key>a/b &amp;&#x1;</Key>");
	xml_key(&b, "Key", BYTES_LITERAL("a/b &\x01"), true);
	CHECK(&b, "<Key>a/b%20%26%01</Key>");
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_have_s3s_shape),
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(keys_are_encoded_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
