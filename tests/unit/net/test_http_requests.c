/* test_http_requests.c: requests as clients send them, well and badly. */
#include "http_fixture.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOST "Host: x\r\n"

static struct fixture *f;

static int
setup(void **state)
{
	f = fixture_new(2, NULL, NULL);
	return 0;
}

static int
teardown(void **state)
{
	fixture_free(f);
	return 0;
}

static void
expect(int fd, const char *text)
{
	free(client_expect(fd, text));
}

static void
answers_and_keeps_the_connection(void **state)
{
	int fd = client_open(f);
	char *answer;

	for (int i = 0; i < 3; i++) {
		client_send(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		answer = client_expect(fd, "hello");
		assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
		assert_non_null(strstr(answer, "\r\nDate: "));
		assert_non_null(strstr(answer, "\r\nServer: restfs\r\n"));
		assert_non_null(strstr(answer, "\r\nContent-Length: 5\r\n"));
		assert_non_null(strstr(answer, "\r\nX-Peer: 127.0.0.1\r\n"));
		assert_null(strstr(answer, "Set-Cookie"));
		assert_null(strstr(answer, "X-Bad"));
		assert_null(strstr(answer, "Connection:"));
		free(answer);
	}
	close(fd);
}

static void
answers_pipelined_requests_in_order(void **state)
{
	int fd = client_open(f);
	char *answer, *first, *second, *third;

	client_send(fd, "GET /work HTTP/1.1\r\n" HOST "\r\n"
			"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nwxyz"
			"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
			"GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	answer = client_rest(fd);
	first = strstr(answer, "worked");
	second = strstr(answer, "wxyz");
	third = strstr(answer, "abc");
	assert_true(first && second && third && first < second && second < third && third < strstr(answer, "hello"));
	assert_non_null(strstr(answer, "Connection: close\r\n"));
	free(answer);
	close(fd);
}

static void
goes_on_after_a_suspend_whenever_the_wake_comes(void **state)
{
	int fd = client_open(f);

	for (int i = 0; i < 6; i++) {
		client_send(fd, i % 2 ? "GET /early HTTP/1.1\r\n" HOST "\r\n" : "GET /late HTTP/1.1\r\n" HOST "\r\n");
		expect(fd, "woken");
	}
	close(fd);
}

static void
reads_a_request_byte_by_byte(void **state)
{
	static const char request[] = "\r\nPOST /echo?a=b HTTP/1.1\r\n" HOST "X-Long:   with spaces \t\r\nX-Empty:\r\n"
				      "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
				      "4;ext=1\r\nbody\r\n3\r\n by\r\n0\r\nTrailer: t\r\n\r\n";
	int fd = client_open(f);
	char *answer;

	for (const char *at = request; *at; at++) {
		client_send_bytes(fd, at, 1);
		sleep_ns(300000);
	}
	answer = client_rest(fd);
	assert_non_null(strstr(answer, "\r\n\r\nbody by"));
	free(answer);
	close(fd);
}

static void
splits_the_target(void **state)
{
	static const char *const cases[][2] = {
		{"/a%20b?x=1&y", "\r\n\r\n/a%20b|x=1&y"},
		{"/?", "\r\n\r\n/|"},
		{"http://other:81/p/q?r", "\r\n\r\n/p/q|r"},
		{"http://other", "\r\n\r\n/|"},
		{"/a//b/../c", "\r\n\r\n/a//b/../c|"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char request[256];
		char *answer;

		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", cases[i][0]);
		answer = client_talk(f, request);
		if (strstr(answer, cases[i][1]) == NULL)
			fail_msg("%s: %s", cases[i][0], answer);
		free(answer);
	}
}

static void
sends_continue_only_when_the_body_is_wanted(void **state)
{
	int fd = client_open(f);
	char *answer;

	client_send(fd, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	expect(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	client_send(fd, "12345");
	expect(fd, "\r\n\r\n12345");
	client_send(fd, "PUT /ignore HTTP/1.1\r\n" HOST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n");
	answer = client_expect(fd, "\r\n\r\nno");
	assert_ptr_equal(strstr(answer, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\n"), answer);
	free(answer);
	client_send(fd, "PUT /ignore HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	answer = client_rest(fd);
	assert_null(strstr(answer, "100 Continue"));
	assert_non_null(strstr(answer, "HTTP/1.1 403 Forbidden\r\n"));
	assert_non_null(strstr(answer, "Connection: close\r\n"));
	free(answer);
	close(fd);
	answer = client_talk(f, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: a-miracle\r\nConnection: close\r\n\r\n12345");
	assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
	assert_null(strstr(answer, "100 Continue"));
	assert_non_null(strstr(answer, "\r\n\r\n12345"));
	free(answer);
}

static void
answers_head_without_a_body(void **state)
{
	char *answer = client_talk(f, "HEAD /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");

	assert_non_null(strstr(answer, "Content-Length: 5\r\n"));
	assert_null(strstr(answer, "\r\n\r\nhello"));
	free(answer);
	answer = client_talk(f, "HEAD /chunked HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	free(answer);
}

static void
speaks_http_1_0(void **state)
{
	int fd;
	char *answer = client_talk(f, "GET /hello HTTP/1.0\r\n\r\n");

	assert_non_null(strstr(answer, "Connection: close\r\n"));
	assert_non_null(strstr(answer, "\r\n\r\nhello"));
	free(answer);
	answer = client_talk(f, "GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_null(strstr(answer, "chunked"));
	assert_non_null(strstr(answer, "\r\n\r\nonetwothree"));
	free(answer);
	fd = client_open(f);
	client_send(fd, "GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
	answer = client_expect(fd, "hello");
	assert_non_null(strstr(answer, "Connection: keep-alive\r\n"));
	free(answer);
	client_send(fd, "GET /hello HTTP/1.0\r\n\r\n");
	expect(fd, "hello");
	assert_true(client_is_closed(fd));
	close(fd);
}

static void
answers_in_chunks(void **state)
{
	char *answer = client_talk(f, "GET /chunked HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");

	assert_non_null(strstr(answer, "Transfer-Encoding: chunked\r\n"));
	assert_non_null(strstr(answer, "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"));
	free(answer);
}

static void
refuses_what_is_not_http(void **state)
{
	static const char *const bad[] = {
		"GARBAGE\r\n\r\n",
		"\x16\x03\x01\x02",
		"GET /hello\r\n\r\n",
		"GET hello HTTP/1.1\r\n" HOST "\r\n",
		"GET /hello HTTP/2.0\r\n" HOST "\r\n",
		"GET /hello HTTP/1.2\r\n" HOST "\r\n",
		"GET /hello RTSP/1.0\r\n" HOST "\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n",
		"GET /hello HTTP/1.1\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST HOST "\r\n",
		"GET /a\x01"
		"b HTTP/1.1\r\n" HOST "\r\n",
		"GET /a#b HTTP/1.1\r\n" HOST "\r\n",
		"GET * HTTP/1.1\r\n" HOST "\r\n",
		"GET /hello HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST "X : a\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST " X: a\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST "X: a\r\n folded\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST "X:\r\n folded\r\n\r\n",
		"GET /hello HTTP/1.1\n" HOST "\r\n",
		"GET /hello HTTP/1.1\r\nHost: x\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST "\n",
		"GET /hello HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST "NoColon\r\n\r\n",
		"GET /hello HTTP/1.1\r\n" HOST ": no name\r\n\r\n",
		"GET /hello HTTP/1.1\r\nHost:\r\n: x\r\n\r\n",
	};
	int refused = atomic_load(&f->refused);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *answer = client_talk(f, bad[i]);

		if (strncmp(answer, "HTTP/1.1 400 Bad Request\r\n", 26) != 0)
			fail_msg("case %zu: %s", i, answer);
		assert_non_null(strstr(answer, "Connection: close\r\n"));
		assert_non_null(strstr(answer, "\r\n\r\nBAD_HTTP"));
		free(answer);
	}
	assert_int_equal(atomic_load(&f->refused) - refused, sizeof(bad) / sizeof(bad[0]));
}

static void
refuses_a_nul(void **state)
{
	static const char request[] = "GET /hello HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n";
	int fd = client_open(f);
	char *answer;

	client_send_bytes(fd, request, sizeof(request) - 1);
	answer = client_rest(fd);
	assert_non_null(strstr(answer, "HTTP/1.1 400 "));
	free(answer);
	close(fd);
}

/* Where a proxy before us could see another end of the body than we do. */
static void
refuses_to_be_smuggled_through(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nContent-Length: 6\r\n",
		"Content-Length: 5, 5\r\n",
		"Content-Length: +5\r\n",
		"Content-Length: -5\r\n",
		"Content-Length: 0x5\r\n",
		"Content-Length:\r\n",
		"Content-Length: 5 5\r\n",
		"Content-Length: 99999999999999999999\r\n",
		"Content-Length: 9223372036854775808\r\n",
		"Transfer-Encoding: chunked, identity\r\n",
		"Transfer-Encoding: chunked, chunked\r\n",
		"Transfer-Encoding: chunked, gzip, chunked\r\n",
		"Transfer-Encoding:\r\n",
		"Transfer-Encoding: gzip,,chunked\r\n",
		"Transfer-Encoding: \"gzip\", chunked\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding:\r\n chunked\r\n",
		"Transfer-Encoding : chunked\r\n",
		"Transfer-Encoding: \x0b"
		"chunked\r\n",
		"Content-Length: 5\r\nTransfer-Encoding:\x0b"
		"chunked\r\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char request[512];
		char *answer;

		snprintf(request, sizeof(request),
			"POST /echo HTTP/1.1\r\n" HOST "%s\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n", bad[i]);
		answer = client_talk(f, request);
		if (strncmp(answer, "HTTP/1.1 400 ", 13) != 0 || strstr(answer, "hello"))
			fail_msg("case %zu: %s", i, answer);
		free(answer);
	}
	static const char *const unknown[] = {
		"identity", "gzip", "gzip, chunked", "gzip;q=1,br ,\tCHUNKED", "xchunked"};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		char request[512];
		char *answer;

		snprintf(request, sizeof(request),
			"POST /echo HTTP/1.1\r\n" HOST
			"Transfer-Encoding: %s\r\n\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n",
			unknown[i]);
		answer = client_talk(f, request);
		if (strncmp(answer, "HTTP/1.1 501 ", 13) != 0 || strstr(answer, "hello"))
			fail_msg("%s: %s", unknown[i], answer);
		free(answer);
	}
	/* HTTP/1.0 has no chunks. */
	char *answer = client_talk(f, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");

	assert_non_null(strstr(answer, " 400 "));
	free(answer);
}

static void
limits_headers(void **state)
{
	struct buf b;
	int fd;
	char *answer;

	buf_init(&b, NULL);
	buf_put_str(&b, "GET /hello HTTP/1.1\r\n" HOST "X: ");
	while (b.len < 9000)
		buf_put_str(&b, "xxxxxxxxxx");
	buf_put_str(&b, "\r\n\r\n");
	fd = client_open(f);
	client_send_bytes(fd, b.data, b.len);
	answer = client_rest(fd);
	assert_non_null(strstr(answer, "HTTP/1.1 431 "));
	free(answer);
	close(fd);

	/* Its URI alone, in one piece and in small ones. */
	b.len = 0;
	buf_put_str(&b, "GET /");
	while (b.len < 9000)
		buf_put_str(&b, "xxxxxxxxxx");
	buf_put_str(&b, " HTTP/1.1\r\n" HOST "\r\n");
	for (size_t piece = b.len; piece; piece = piece == b.len ? 1000 : 0) {
		fd = client_open(f);
		for (size_t at = 0; at < b.len; at += piece)
			send(fd, b.data + at, b.len - at < piece ? b.len - at : piece, MSG_NOSIGNAL);
		answer = client_rest(fd);
		assert_non_null(strstr(answer, "HTTP/1.1 414 "));
		assert_int_equal(atomic_load(&f->refusal), RFS_ERR_URI_TOO_LONG);
		free(answer);
		close(fd);
	}

	b.len = 0;
	buf_put_str(&b, "GET /hello HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 32; i++)
		buf_printf(&b, "X-%d: y\r\n", i);
	buf_put_str(&b, "\r\n");
	fd = client_open(f);
	client_send_bytes(fd, b.data, b.len);
	answer = client_rest(fd);
	assert_non_null(strstr(answer, "HTTP/1.1 431 "));
	assert_int_equal(atomic_load(&f->refusal), RFS_ERR_TOO_LARGE_HEADERS);
	free(answer);
	close(fd);
	buf_fini(&b);
}

static void
stops_cleanly_with_open_connections(void **state)
{
	struct fixture *own = fixture_new(2, NULL, NULL);
	int idle = client_open(own), half = client_open(own), busy = client_open(own);

	client_send(idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	expect(idle, "hello");
	client_send(half, "GET /hel");
	client_send(busy, "GET /work HTTP/1.1\r\n" HOST "\r\n");
	wait_until(&own->begun, 2);
	fixture_free(own);
	expect(busy, "worked");
	assert_true(client_is_closed(idle));
	assert_true(client_is_closed(half));
	close(idle);
	close(half);
	close(busy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_and_keeps_the_connection),
		cmocka_unit_test(answers_pipelined_requests_in_order),
		cmocka_unit_test(goes_on_after_a_suspend_whenever_the_wake_comes),
		cmocka_unit_test(reads_a_request_byte_by_byte),
		cmocka_unit_test(splits_the_target),
		cmocka_unit_test(sends_continue_only_when_the_body_is_wanted),
		cmocka_unit_test(answers_head_without_a_body),
		cmocka_unit_test(speaks_http_1_0),
		cmocka_unit_test(answers_in_chunks),
		cmocka_unit_test(refuses_what_is_not_http),
		cmocka_unit_test(refuses_a_nul),
		cmocka_unit_test(refuses_to_be_smuggled_through),
		cmocka_unit_test(limits_headers),
		cmocka_unit_test(stops_cleanly_with_open_connections),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
