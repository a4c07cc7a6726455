/* test_s3_xml_read.c: the documents of S3 clients, and hostile ones. */
#include "doors/s3/s3_xml_read.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <libxml/xmlmemory.h>

static int
setup(void **state)
{
	struct request *rq = xcalloc(1, sizeof(*rq));

	rq->arena = arena_new(4096);
	*state = rq;
	return 0;
}

static int
teardown(void **state)
{
	struct request *rq = *state;

	arena_free(rq->arena);
	free(rq);
	return 0;
}

static void
delete_is_read(void **state)
{
	struct s3_delete d;

	assert_int_equal(
		s3_xml_read_delete(*state,
			BYTES_LITERAL(
				"<?xml version=\"1.0\"?>\n<Delete xmlns=\"http://x/\">\n"
				" <Object><Key> a&amp;b&#10;<![CDATA[<c>]]></Key></Object>"
				"<Object><VersionId>null</VersionId><Key>\xC3\xA4</Key><ETag>\"e\"</ETag></Object>"
				"<Quiet> true </Quiet></Delete>"),
			&d),
		RFS_OK);
	assert_int_equal(d.count, 2);
	assert_true(d.quiet);
	assert_true(bytes_equal_str(d.keys[0].key, " a&b\n<c>"));
	assert_null(d.keys[0].version_id.data);
	assert_true(bytes_equal_str(d.keys[1].key, "\xC3\xA4"));
	assert_true(bytes_equal_str(d.keys[1].version_id, "null"));
	assert_true(bytes_equal_str(d.keys[1].etag, "e"));
}

static void
malformed_deletes_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"<Delete>",
		"<Delete/>",
		"<Other><Object><Key>a</Key></Object></Other>",
		"<Delete><Object></Object></Delete>",
		"<Delete><Object><Key></Key></Object></Delete>",
		"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
		"<Delete><Object><Key>a<b/></Key></Object></Delete>",
		"<Delete><Object><Key>a</Key><What/></Object></Delete>",
		"<Delete><Object><Key>a</Key></Object><What/></Delete>",
		"<Delete>text<Object><Key>a</Key></Object></Delete>",
		"<Delete><Object><Key>a</Key></Object>text</Delete>",
		"<Delete><Object><Key>a</Key></Object><Quiet>maybe</Quiet></Delete>",
		"<Delete><Object><Key>a</Key></Object></Delete><Delete/>",
		"<Delete><Object><Key>&unknown;</Key></Object></Delete>",
		"<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
		"<!DOCTYPE Delete [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>"
		"<Delete><Object><Key>&e;</Key></Object></Delete>",
		"<Delete><Object><Key>\xFF</Key></Object></Delete>",
		"<a><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></a>",
	};
	struct s3_delete d;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(s3_xml_read_delete(*state, bytes_str(bad[i]), &d), RFS_ERR_MALFORMED_XML);
}

static void
deletes_are_limited_to_1000_keys(void **state)
{
	struct s3_delete d;
	struct buf b;

	buf_init(&b, NULL);
	buf_put_str(&b, "<Delete>");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "<Object><Key>%d</Key></Object>", i);
	buf_put_str(&b, "</Delete>");
	assert_int_equal(s3_xml_read_delete(*state, buf_bytes(&b), &d), RFS_OK);
	assert_int_equal(d.count, 1000);
	assert_true(bytes_equal_str(d.keys[999].key, "999"));
	b.len -= strlen("</Delete>");
	buf_put_str(&b, "<Object><Key>x</Key></Object></Delete>");
	assert_int_equal(s3_xml_read_delete(*state, buf_bytes(&b), &d), RFS_ERR_MALFORMED_XML);
	buf_fini(&b);
}

static void
parts_are_read(void **state)
{
	struct s3_complete_upload u;

	assert_int_equal(s3_xml_read_complete_upload(*state,
				 BYTES_LITERAL("<CompleteMultipartUpload><Part><ETag>&quot;e1&quot;</ETag>"
					       "<PartNumber>1</PartNumber></Part><Part><PartNumber>10000</PartNumber>"
					       "<ETag>e2</ETag><ChecksumCRC64NVME>AAA=</ChecksumCRC64NVME></Part>"
					       "</CompleteMultipartUpload>"),
				 &u),
		RFS_OK);
	assert_int_equal(u.count, 2);
	assert_int_equal(u.parts[0].number, 1);
	assert_true(bytes_equal_str(u.parts[0].etag, "e1"));
	assert_null(u.parts[0].checksum_crc64nvme.data);
	assert_int_equal(u.parts[1].number, 10000);
	assert_true(bytes_equal_str(u.parts[1].checksum_crc64nvme, "AAA="));
}

static void
malformed_parts_are_refused(void **state)
{
#define UPLOAD(text) "<CompleteMultipartUpload>" text "</CompleteMultipartUpload>"
	static const struct {
		const char *text;
		enum rfs_err err;
	} bad[] = {
		{UPLOAD(""), RFS_ERR_MALFORMED_XML},
		{UPLOAD("<Part><PartNumber>1</PartNumber></Part>"), RFS_ERR_MALFORMED_XML},
		{UPLOAD("<Part><ETag>e</ETag></Part>"), RFS_ERR_MALFORMED_XML},
		{UPLOAD("<Part><ETag>e</ETag><PartNumber>1</PartNumber></Part><Else/>"), RFS_ERR_MALFORMED_XML},
		{UPLOAD("<Else/><Part><ETag>e</ETag><PartNumber>1</PartNumber></Part>"), RFS_ERR_MALFORMED_XML},
		{UPLOAD("<Part><ETag>e</ETag><PartNumber>0</PartNumber></Part>"), RFS_ERR_INVALID_ARGUMENT},
		{UPLOAD("<Part><ETag>e</ETag><PartNumber>10001</PartNumber></Part>"), RFS_ERR_INVALID_ARGUMENT},
		{UPLOAD("<Part><ETag>e</ETag><PartNumber>-1</PartNumber></Part>"), RFS_ERR_INVALID_ARGUMENT},
	};
	struct s3_complete_upload u;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(s3_xml_read_complete_upload(*state, bytes_str(bad[i].text), &u), bad[i].err);
}

static void
create_bucket_is_read(void **state)
{
#define CREATE(text) BYTES_LITERAL("<CreateBucketConfiguration>" text "</CreateBucketConfiguration>")
	struct bytes where;

	assert_int_equal(s3_xml_read_create_bucket(*state, BYTES_LITERAL(""), &where), RFS_OK);
	assert_null(where.data);
	assert_int_equal(s3_xml_read_create_bucket(*state, CREATE(""), &where), RFS_OK);
	assert_null(where.data);
	assert_int_equal(s3_xml_read_create_bucket(
				 *state, CREATE("<LocationConstraint> eu-west-1\n</LocationConstraint>"), &where),
		RFS_OK);
	assert_true(bytes_equal_str(where, "eu-west-1"));
	assert_int_equal(s3_xml_read_create_bucket(*state, CREATE("<Bucket><Type>Directory</Type></Bucket>"), &where),
		RFS_ERR_NOT_IMPLEMENTED);
	assert_int_equal(s3_xml_read_create_bucket(*state, CREATE("<Else/>"), &where), RFS_ERR_MALFORMED_XML);
}

static void
cors_is_read(void **state)
{
	struct s3_cors c;

	assert_int_equal(
		s3_xml_read_cors(*state,
			BYTES_LITERAL(
				"<CORSConfiguration><CORSRule><ID>one</ID><AllowedMethod>PUT</AllowedMethod>"
				"<AllowedOrigin>http://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
				"<AllowedHeader>*</AllowedHeader><ExposeHeader>x-amz-request-id</ExposeHeader>"
				"<MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule><CORSRule>"
				"<AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule>"
				"</CORSConfiguration>"),
			&c),
		RFS_OK);
	assert_int_equal(c.count, 2);
	assert_true(bytes_equal_str(c.rules[0].id, "one"));
	assert_int_equal(c.rules[0].method_count, 2);
	assert_true(bytes_equal_str(c.rules[0].methods[1], "GET"));
	assert_int_equal(c.rules[0].expose_header_count, 1);
	assert_int_equal(c.rules[0].max_age_seconds, 3000);
	assert_int_equal(c.rules[1].max_age_seconds, -1);
	assert_int_equal(c.rules[1].header_count, 0);
}

static void
malformed_cors_is_refused(void **state)
{
#define CORS(text) "<CORSConfiguration>" text "</CORSConfiguration>"
#define ORIGIN "<AllowedOrigin>*</AllowedOrigin>"
#define METHOD "<AllowedMethod>GET</AllowedMethod>"
	static const struct {
		const char *text;
		enum rfs_err err;
	} bad[] = {
		{CORS(""), RFS_ERR_MALFORMED_XML},
		{CORS("<CORSRule>" ORIGIN "</CORSRule>"), RFS_ERR_MALFORMED_XML},
		{CORS("<CORSRule>" METHOD "</CORSRule>"), RFS_ERR_MALFORMED_XML},
		{CORS("<CORSRule>" ORIGIN METHOD "<What/></CORSRule>"), RFS_ERR_MALFORMED_XML},
		{CORS("<CORSRule>" ORIGIN METHOD "<MaxAgeSeconds>-1</MaxAgeSeconds></CORSRule>"),
			RFS_ERR_MALFORMED_XML},
		{CORS("<CORSRule>" ORIGIN "<AllowedMethod>PATCH</AllowedMethod></CORSRule>"), RFS_ERR_INVALID_REQUEST},
		{CORS("<CORSRule>" METHOD "<AllowedOrigin>*.*</AllowedOrigin></CORSRule>"), RFS_ERR_INVALID_REQUEST},
		{CORS("<CORSRule>" ORIGIN METHOD "<ExposeHeader>x-*</ExposeHeader></CORSRule>"), RFS_ERR_INVALID_REQUEST},
	};
	struct s3_cors c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(s3_xml_read_cors(*state, bytes_str(bad[i].text), &c), bad[i].err);
}

/* Memory that ends is not the client's fault. */
static void
the_parser_allocates_as_we_do(void **state)
{
	xmlFreeFunc free_function;
	xmlMallocFunc malloc_function;
	xmlReallocFunc realloc_function;
	xmlStrdupFunc strdup_function;
	struct s3_delete d;

	assert_int_equal(s3_xml_read_delete(*state, BYTES_LITERAL("<Delete>"), &d), RFS_ERR_MALFORMED_XML);
	assert_int_equal(xmlMemGet(&free_function, &malloc_function, &realloc_function, &strdup_function), 0);
	assert_true(malloc_function == xmalloc && realloc_function == xrealloc && strdup_function == xstrdup);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(delete_is_read),
		T(malformed_deletes_are_refused),
		T(deletes_are_limited_to_1000_keys),
		T(parts_are_read),
		T(malformed_parts_are_refused),
		T(create_bucket_is_read),
		T(cors_is_read),
		T(malformed_cors_is_refused),
		T(the_parser_allocates_as_we_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
