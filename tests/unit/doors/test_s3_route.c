/* test_s3_route.c: which operation a request asks for, and what no operation knows is refused. */
#include "doors/s3/s3_int.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#define HEADERS_MAX 8

struct fixture {
	struct http_exchange http;
	struct http_header headers[HEADERS_MAX];
	struct s3_exchange ex;
	struct s3_door door;
	struct config config;
};

static void
add_header(struct fixture *f, const char *name, const char *value)
{
	f->headers[f->http.header_count++] = (struct http_header){bytes_str(name), bytes_str(value)};
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->http.rq.arena = arena_new(4096);
	f->http.headers = f->headers;
	f->config.s3_domain = "s3.example.org";
	f->door.config = &f->config;
	f->ex.door = &f->door;
	f->ex.http = &f->http;
	f->ex.rq = &f->http.rq;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	arena_free(f->http.rq.arena);
	free(f);
	return 0;
}

static enum rfs_err
route(struct fixture *f, const char *method, const char *path, const char *query)
{
	f->http.path = f->ex.path = bytes_str(path);
	f->http.query = bytes_str(query);
	f->http.method = bytes_str(method);
	f->ex.headers = (const struct sigv4_header *)f->headers;
	f->ex.header_count = f->http.header_count;
	f->ex.op = NULL;
	f->ex.bucket = f->ex.key = (struct bytes){0};
	return s3_route(&f->ex, f->http.method);
}

static void
expect(struct fixture *f, const char *method, const char *path, const char *query, const char *name)
{
	assert_int_equal(route(f, method, path, query), RFS_OK);
	assert_string_equal(f->ex.op->name, name);
}

static void
test_operations_are_found(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET", "/", "", "ListBuckets");
	expect(f, "PUT", "/b", "", "CreateBucket");
	expect(f, "GET", "/b/", "", "ListObjects");
	expect(f, "GET", "/b", "list-type=2&prefix=a", "ListObjectsV2");
	expect(f, "GET", "/b", "versions", "ListObjectVersions");
	expect(f, "POST", "/b", "delete", "DeleteObjects");
	expect(f, "GET", "/b/k", "", "GetObject");
	expect(f, "HEAD", "/b/k", "", "HeadObject");
	expect(f, "GET", "/b/k", "acl", "GetObjectAcl");
	expect(f, "PUT", "/b/k", "", "PutObject");
	expect(f, "OPTIONS", "/b/k", "", "PreflightObject");
	add_header(f, "x-amz-copy-source", "/b/other");
	expect(f, "PUT", "/b/k", "", "CopyObject");
}

static void
test_paths_become_buckets_and_keys(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET", "/b/a//b/../%C3%A9%2F+", "", "GetObject");
	assert_true(bytes_equal_str(f->ex.bucket, "b"));
	assert_true(bytes_equal_str(f->ex.key, "a//b/../\xC3\xA9/+"));
	expect(f, "GET", "/b//", "", "GetObject");
	assert_true(bytes_equal_str(f->ex.key, "/"));
}

static void
test_host_names_buckets(void **state)
{
	struct fixture *f = *state;

	add_header(f, "host", "my.bucket.S3.example.org:9000");
	expect(f, "GET", "/b/k", "", "GetObject");
	assert_true(bytes_equal_str(f->ex.bucket, "my.bucket"));
	assert_true(bytes_equal_str(f->ex.key, "b/k"));
	f->headers[0].value = bytes_str("s3.example.org");
	expect(f, "GET", "/b/k", "", "GetObject");
	assert_true(bytes_equal_str(f->ex.bucket, "b"));
	f->headers[0].value = bytes_str("b2.localhost:1");
	expect(f, "GET", "/", "", "ListObjects");
	assert_true(bytes_equal_str(f->ex.bucket, "b2"));
	f->headers[0].value = bytes_str("[::1]:9000");
	expect(f, "GET", "/", "", "ListBuckets");
}

static void
test_bad_targets_are_refused(void **state)
{
	struct fixture *f = *state;
	char path[S3_KEY_MAX + 8];

	assert_int_equal(route(f, "GET", "/b/%C3", ""), RFS_ERR_INVALID_URI);
	assert_int_equal(route(f, "GET", "/b/%0", ""), RFS_ERR_INVALID_URI);
	assert_int_equal(route(f, "GET", "/b/a%00", ""), RFS_ERR_INVALID_URI);
	assert_int_equal(route(f, "GET", "//k", ""), RFS_ERR_INVALID_BUCKET_NAME);
	assert_int_equal(route(f, "DELETE", "/", ""), RFS_ERR_METHOD_NOT_ALLOWED);
	assert_int_equal(route(f, "PATCH", "/b", ""), RFS_ERR_METHOD_NOT_ALLOWED);
	assert_int_equal(route(f, "POST", "/b", ""), RFS_ERR_NOT_IMPLEMENTED);
	memset(path, 'k', sizeof(path));
	memcpy(path, "/b/", 3);
	path[3 + S3_KEY_MAX] = 0;
	assert_int_equal(route(f, "GET", path, ""), RFS_OK);
	path[3 + S3_KEY_MAX] = 'k';
	path[4 + S3_KEY_MAX] = 0;
	assert_int_equal(route(f, "GET", path, ""), RFS_ERR_KEY_TOO_LONG);
}

static void
test_unknown_headers_and_parameters_are_refused(void **state)
{
	struct fixture *f = *state;

	expect(f, "PUT", "/b/k", "x-id=PutObject&cache=no", "PutObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_OK);
	expect(f, "PUT", "/b/k", "tagging", "PutObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_ERR_NOT_IMPLEMENTED);
	expect(f, "GET", "/b/k", "torrent", "GetObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_ERR_NOT_IMPLEMENTED);
	add_header(f, "x-amz-meta-colour", "red");
	expect(f, "PUT", "/b/k", "", "PutObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_OK);
	expect(f, "DELETE", "/b/k", "", "DeleteObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_ERR_NOT_IMPLEMENTED);
	f->headers[0].name = bytes_str("x-amz-server-side-encryption");
	expect(f, "PUT", "/b/k", "", "PutObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_ERR_NOT_IMPLEMENTED);
}

static void
test_conditions_on_changes_that_have_none_are_refused(void **state)
{
	struct fixture *f = *state;

	add_header(f, "if-match", "*");
	expect(f, "DELETE", "/b/k", "", "DeleteObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_OK);
	expect(f, "GET", "/b", "", "ListObjects");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_OK);
	expect(f, "DELETE", "/b", "", "DeleteBucket");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_ERR_NOT_IMPLEMENTED);
	f->headers[0].name = bytes_str("if-modified-since"); /* says nothing to a change */
	assert_int_equal(s3_route_check_known(&f->ex), RFS_OK);
}

static void
test_presigned_parameters_stand_for_headers(void **state)
{
	struct fixture *f = *state;

	expect(f, "PUT", "/b/k", "X-Amz-Expires=60&X-Amz-Acl=public-read", "PutObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_ERR_NOT_IMPLEMENTED);
	f->ex.signature.kind = SIGV4_QUERY;
	assert_int_equal(s3_route_check_known(&f->ex), RFS_OK);
	assert_true(bytes_equal_str(s3_header(&f->ex, "x-amz-acl"), "public-read"));
	expect(f, "PUT", "/b/k", "X-Amz-Expires=60&X-Amz-Tagging=a%3Db", "PutObject");
	assert_int_equal(s3_route_check_known(&f->ex), RFS_ERR_NOT_IMPLEMENTED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_operations_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paths_become_buckets_and_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_names_buckets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_targets_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_headers_and_parameters_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conditions_on_changes_that_have_none_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_presigned_parameters_stand_for_headers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
