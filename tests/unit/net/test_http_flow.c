/* test_http_flow.c: bodies and answers as they move, stall and break; limits of time, memory and connections. */
#include "http_fixture.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "net/http_int.h"
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: x\r\n"

static void
expect(int fd, const char *text)
{
	free(client_expect(fd, text));
}

static void
upload(int fd, const char *path, size_t len, bool chunked)
{
	size_t block = 100000;
	char *data = xmalloc(block + 64);
	char text[256];

	snprintf(text, sizeof(text), "PUT %s HTTP/1.1\r\n" HOST, path);
	client_send(fd, text);
	if (chunked)
		client_send(fd, "Transfer-Encoding: chunked\r\n\r\n");
	else
		snprintf(text, sizeof(text), "Content-Length: %zu\r\n\r\n", len), client_send(fd, text);
	while (len) {
		size_t n = len < block ? len : block;

		snprintf(text, sizeof(text), "%zx\r\n", n);
		if (chunked)
			client_send(fd, text);
		memset(data, 'z', n);
		memcpy(data + n, "\r\n", 2);
		client_send_bytes(fd, data, n + (chunked ? 2 : 0));
		len -= n;
	}
	if (chunked)
		client_send(fd, "0\r\n\r\n");
	free(data);
}

static void
takes_large_bodies_in_steps(void **state)
{
	struct fixture *f = fixture_new(2, NULL, NULL);
	int fd = client_open(f);

	upload(fd, "/count", 20000000, false);
	expect(fd, "X-Count: 20000000\r\n");
	upload(fd, "/count", 20000001, true);
	expect(fd, "X-Count: 20000001\r\n");
	upload(fd, "/count", 0, true);
	expect(fd, "X-Count: 0\r\n");
	/* The next request came right behind the body. */
	upload(fd, "/count", 70001, false);
	client_send(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, "hello");
	close(fd);
	fixture_free(f);
}

static void
goes_on_when_memory_for_bodies_is_short(void **state)
{
	struct http_options o;
	struct fixture *f;
	int fds[16];

	fixture_options(&o);
	o.body_memory = (size_t)1024 * 1024;
	f = fixture_new(2, &o, NULL);
	for (int i = 0; i < 16; i++)
		fds[i] = client_open(f);
	for (int i = 0; i < 16; i++)
		upload(fds[i], "/count", 1500000, i % 2);
	for (int i = 0; i < 16; i++) {
		expect(fds[i], "X-Count: 1500000\r\n");
		close(fds[i]);
	}
	fixture_free(f);
}

#define CROWD 300 /* each sends CROWD_BYTES that a request does not use, or does not end with */
#define CROWD_BYTES ((size_t)60000)
#define CROWD_BUDGET ((size_t)1024 * 1024)
#define CROWD_EACH ((size_t)20 * 1024) /* may stay with a connection beyond the budget */

static struct fixture *
crowd_open(int fds[CROWD], const char *head)
{
	struct http_options o;
	struct fixture *f;
	char *rest = xmalloc(CROWD_BYTES);

	fixture_options(&o);
	o.body_memory = CROWD_BUDGET;
	o.header_bytes = 2 * CROWD_BYTES;
	o.header_time_ms = o.idle_time_ms = 3600000;
	f = fixture_new(1, &o, NULL);
	memset(rest, 'x', CROWD_BYTES);
	memcpy(rest, head, strlen(head));
	for (int i = 0; i < CROWD; i++) {
		fds[i] = client_open(f);
		client_send_bytes(fds[i], rest, CROWD_BYTES);
	}
	free(rest);
	return f;
}

static void
crowd_close(struct fixture *f, int fds[CROWD])
{
	for (int i = 0; i < CROWD; i++)
		close(fds[i]);
	fixture_free(f);
}

static void
serve_hello(struct fixture *f)
{
	int fd = client_open(f);

	client_send(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, "hello");
	close(fd);
}

static void
what_is_sent_ahead_takes_memory_of_bodies(void **state)
{
	size_t before = mallinfo2().uordblks;
	int fds[CROWD];
	struct fixture *f =
		crowd_open(fds, "GET /stay HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "X-Rest: ");

	wait_until(&f->staying, CROWD);
	serve_hello(f);
	assert_true(mallinfo2().uordblks < before + CROWD_BUDGET + CROWD * CROWD_EACH);
	fixture_wake(f);
	for (int i = 0; i < CROWD; i++)
		expect(fds[i], "stayed");
	crowd_close(f, fds);
}

static void
headers_take_memory_of_bodies_and_give_way_to_them(void **state)
{
	size_t before = mallinfo2().uordblks;
	char *answer;
	int fds[CROWD], fd;
	struct fixture *f = crowd_open(fds, "GET /hello HTTP/1.1\r\n" HOST "X-Long: ");

	serve_hello(f);
	assert_true(mallinfo2().uordblks < before + CROWD_BUDGET + CROWD * CROWD_EACH);
	fd = client_open(f);
	upload(fd, "/count", 1500000, false);
	expect(fd, "X-Count: 1500000\r\n");
	close(fd);
	answer = client_rest(fds[0]);
	assert_non_null(strstr(answer, "HTTP/1.1 503 "));
	free(answer);
	assert_int_equal(atomic_load(&f->refusal), RFS_ERR_SLOW_DOWN);
	crowd_close(f, fds);
}

static void
answers_that_nobody_reads_are_given_up_when_they_are_far_too_many(void **state)
{
	struct http_options o;
	struct fixture *f;
	int fds[20];

	fixture_options(&o);
	o.body_memory = (size_t)1024 * 1024;
	o.idle_time_ms = 3600000;
	f = fixture_new(1, &o, NULL);
	for (int i = 0; i < 20; i++) {
		fds[i] = client_open(f);
		client_send(fds[i], "GET /big HTTP/1.1\r\n" HOST "\r\n");
	}
	for (int i = 0; i < FIXTURE_PATIENCE && atomic_load(&f->gone) == 0; i++)
		sleep_ns(FIXTURE_TICK_NS);
	assert_true(atomic_load(&f->gone) > 0);
	serve_hello(f);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	fixture_free(f);
}

static void
answers_without_reading_the_body(void **state)
{
	struct fixture *f = fixture_new(1, NULL, NULL);
	int fd = client_open(f);
	char *answer;

	/* A short one is read and dropped, and the connection is kept. */
	upload(fd, "/ignore", 30000, false);
	expect(fd, "\r\n\r\nno");
	upload(fd, "/ignore", 30000, true);
	expect(fd, "\r\n\r\nno");
	client_send(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, "hello");
	/* After a long one it closes, and the client still gets to see the answer. */
	upload(fd, "/ignore", 5000000, false);
	answer = client_rest(fd);
	assert_non_null(strstr(answer, "HTTP/1.1 403 Forbidden\r\n"));
	assert_non_null(strstr(answer, "Connection: close\r\n"));
	free(answer);
	close(fd);
	fixture_free(f);
}

static void
tells_the_door_of_broken_bodies(void **state)
{
	struct fixture *f = fixture_new(1, NULL, NULL);
	int fd = client_open(f);
	char *answer;

	client_send(fd, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n12345");
	shutdown(fd, SHUT_WR);
	answer = client_rest(fd);
	assert_non_null(strstr(answer, "HTTP/1.1 400 ")); /* INCOMPLETE_BODY */
	assert_non_null(strstr(answer, "body error"));
	free(answer);
	close(fd);
	for (int i = 0; i < 5; i++) {
		static const char *const bad[] = {
			"x\r\n", "5\r\n123456\r\n", "-1\r\n", "5\n12345\r\n", "fffffffffffffffff\r\n"};

		fd = client_open(f);
		client_send(fd, "PUT /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
		client_send(fd, bad[i]);
		client_send(fd, "0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
		answer = client_rest(fd);
		if (!strstr(answer, "HTTP/1.1 400 ") || strstr(answer, "hello"))
			fail_msg("case %d: %s", i, answer);
		free(answer);
		close(fd);
	}
	fixture_free(f);
}

static void
refuses_trailers_where_nobody_would_look_at_them(void **state)
{
	struct fixture *f = fixture_new(1, NULL, NULL);

	for (int i = 0; i < 2; i++) {
		int fd = client_open(f);
		char *answer;

		f->server->listeners->door.refuses_trailers = i;
		client_send(
			fd, "PUT /echo HTTP/1.1\r\n" HOST "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
		client_send(fd, "4\r\nbody\r\n0\r\nX-Checksum: wrong\r\n\r\n");
		answer = client_rest(fd);
		assert_non_null(strstr(answer, i ? "HTTP/1.1 501 " : "HTTP/1.1 200 "));
		free(answer);
		close(fd);
	}
	fixture_free(f);
}

static void
limits_trailers_and_chunk_extensions(void **state)
{
	struct fixture *f = fixture_new(1, NULL, NULL);
	char *answer, *long_text = xmalloc(20001);

	memset(long_text, 'x', 20000);
	long_text[20000] = '\0';
	for (int i = 0; i < 2; i++) {
		int fd = client_open(f);

		client_send(fd, "PUT /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
		client_send(fd, i ? "0\r\nT: " : "3;e=");
		client_send(fd, long_text);
		answer = client_rest(fd);
		assert_non_null(strstr(answer, "HTTP/1.1 400 "));
		free(answer);
		close(fd);
	}
	free(long_text);
	fixture_free(f);
}

static void
writes_to_a_slow_reader_as_it_reads(void **state)
{
	struct fixture *f = fixture_new(1, NULL, NULL);
	int fd = client_open(f), small = 65536;
	size_t got = 0;
	char *block = xmalloc(1 << 20);
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(fd, "GET /big HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	sleep_ns(100000000);
	while ((n = recv(fd, block, 1 << 20, 0)) > 0) {
		got += (size_t)n;
		if (got < 4000000)
			sleep_ns(5000000);
	}
	assert_true(got > BIG_BYTES && got < BIG_BYTES + 1000);
	assert_true(atomic_load(&f->big_unsent_most) <= (size_t)512 * 1024);
	free(block);
	close(fd);
	fixture_free(f);
}

static void
sends_files_to_a_slow_reader(void **state)
{
	struct fixture *f = fixture_new(1, NULL, NULL);
	int fd = client_open(f), small = 65536;
	size_t got = 0, head = 0;
	uint8_t *bytes = xmalloc(FILE_BYTES + 4096);
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(fd, "GET /file HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	sleep_ns(100000000);
	while ((n = recv(fd, bytes + got, FILE_BYTES + 4096 - got, 0)) > 0) {
		got += (size_t)n;
		if (got < 2000000)
			sleep_ns(5000000);
	}
	while (memcmp(bytes + head, "\r\n\r\n", 4) != 0)
		head++;
	head += 4;
	assert_int_equal(got - head, FILE_BYTES);
	for (size_t i = 0; i < FILE_BYTES; i++)
		if (bytes[head + i] != fixture_file_byte(i))
			fail_msg("byte %zu is wrong", i);
	free(bytes);
	close(fd);
	fixture_free(f);
}

static void
resets_an_answer_whose_file_is_cut(void **state)
{
	struct fixture *f = fixture_new(1, NULL, NULL);
	int fd = client_open(f);
	size_t got = 0;
	char c[4096];
	ssize_t n;

	client_send(fd, "GET /cut HTTP/1.1\r\n" HOST "\r\n");
	while ((n = recv(fd, c, sizeof(c), 0)) > 0)
		got += (size_t)n;
	assert_true(got < 2000);
	close(fd);
	fixture_free(f);
}

static void
resets_an_answer_that_falls_short(void **state)
{
	struct fixture *f = fixture_new(1, NULL, NULL);
	int fd = client_open(f);
	char c[4096];
	ssize_t n;

	client_send(fd, "GET /short HTTP/1.1\r\n" HOST "\r\n");
	while ((n = recv(fd, c, sizeof(c), 0)) > 0)
		continue;
	assert_int_equal(n, -1); /* ECONNRESET, not an orderly end */
	close(fd);
	fixture_free(f);
}

static void
ends_once_when_the_client_goes_away(void **state)
{
	struct fixture *f = fixture_new(2, NULL, NULL);
	struct linger hard = {.l_onoff = 1};
	static const char *const requests[] = {
		"GET /work HTTP/1.1\r\n" HOST "\r\n",
		"PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n12345",
		"PUT /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
		"GET /big HTTP/1.1\r\n" HOST "\r\n",
		"GET /late HTTP/1.1\r\n" HOST "\r\n",
		"GET /wor",
	};

	for (int i = 0; i < 24; i++) {
		int fd = client_open(f);

		if (i % 6 != 5)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		client_send(fd, requests[i % 6]);
		if (i % 6 != 5)
			wait_until(&f->begun, i / 6 * 5 + i % 6 + 1);
		close(fd);
	}
	wait_until(&f->ended, 20);
	assert_true(atomic_load(&f->gone) >= 8); /* those at work or suspended, in the middle of it */
	fixture_free(f);
}

#define IMPATIENT_MS 2000 /* a client that is not idle on purpose must not be so by chance */

static struct http_options
impatient(void)
{
	struct http_options o;

	fixture_options(&o);
	o.header_time_ms = o.idle_time_ms = IMPATIENT_MS;
	return o;
}

static void
closes_what_does_not_move(void **state)
{
	struct http_options o = impatient();
	struct fixture *f = fixture_new(1, &o, NULL);
	int silent = client_open(f), half = client_open(f), idle = client_open(f), body = client_open(f);
	int reader = client_open(f);
	char *answer;

	client_send(half, "GET /hello HTT");
	client_send(idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	client_send(body, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n123");
	client_send(reader, "GET /big HTTP/1.1\r\n" HOST "\r\n");
	answer = client_rest(half);
	assert_non_null(strstr(answer, "REQUEST_TIMEOUT"));
	free(answer);
	answer = client_rest(silent);
	assert_string_equal(answer, "");
	free(answer);
	answer = client_rest(body);
	assert_non_null(strstr(answer, "body error"));
	free(answer);
	answer = client_rest(idle);
	assert_non_null(strstr(answer, "hello"));
	free(answer);
	/* Nobody reads the big answer: it is cut, and ends. */
	wait_until(&f->ended, 3);
	assert_int_equal(atomic_load(&f->gone), 1);
	close(silent);
	close(half);
	close(idle);
	close(body);
	close(reader);
	fixture_free(f);
}

static void
lets_a_slow_but_moving_client_finish(void **state)
{
	struct http_options o = impatient();
	struct fixture *f = fixture_new(1, &o, NULL);
	int fd = client_open(f);

	client_send(fd, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n");
	for (int i = 0; i < 10; i++) {
		sleep_ns(INT64_C(1200000) * IMPATIENT_MS / 10); /* in all longer than it may be idle */
		client_send(fd, "s");
	}
	expect(fd, "ssssssssss");
	close(fd);
	fixture_free(f);
}

static void
limits_connections_of_an_address(void **state)
{
	struct http_options o;
	struct fixture *f;
	bool has_room = false;
	int fds[3];
	char *answer;

	fixture_options(&o);
	o.connections_per_address = 2;
	f = fixture_new(2, &o, NULL);
	for (int i = 0; i < 2; i++) {
		fds[i] = client_open(f);
		client_send(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		expect(fds[i], "hello");
	}
	fds[2] = client_open(f);
	answer = client_rest(fds[2]);
	assert_non_null(strstr(answer, "HTTP/1.1 503 "));
	assert_int_equal(atomic_load(&f->refusal), RFS_ERR_SLOW_DOWN);
	free(answer);
	close(fds[0]);
	close(fds[2]);
	for (int i = 0; i < FIXTURE_PATIENCE && !has_room; i++) { /* the close is seen by another thread, soon */
		fds[2] = client_open(f);
		client_send(fds[2], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		answer = client_expect(fds[2], "\r\n\r\n");
		has_room = strstr(answer, " 200 ");
		free(answer);
		close(fds[2]);
		sleep_ns(FIXTURE_TICK_NS);
	}
	assert_true(has_room);
	close(fds[1]);
	fixture_free(f);
}

static void
an_idle_connection_costs_a_kilobyte(void **state)
{
	enum { COUNT = 2000 };
	struct fixture *f = fixture_new(1, NULL, NULL);
	struct rlimit files;
	size_t before, after;
	int *fds = xmalloc(COUNT * sizeof(*fds));

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < 2 * COUNT + 100) {
		free(fds);
		fixture_free(f);
		skip();
	}
	/* Once first, so that what the loop shares is there. */
	for (int i = 0; i < 100; i++) {
		fds[i] = client_open(f);
		client_send(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		expect(fds[i], "hello");
	}
	before = mallinfo2().uordblks;
	for (int i = 100; i < COUNT; i++) {
		fds[i] = client_open(f);
		client_send(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		expect(fds[i], "hello");
	}
	wait_until(&f->ended, COUNT);
	after = mallinfo2().uordblks;
	print_message("%zu bytes a connection\n", (after - before) / (COUNT - 100));
	assert_true((after - before) / (COUNT - 100) <= 1024);
	for (int i = 0; i < COUNT; i++)
		close(fds[i]);
	free(fds);
	fixture_free(f);
	assert_int_equal(metric_get(METRIC_HTTP_CONNECTIONS), 0);
}

static void
refuses_a_port_that_is_taken(void **state)
{
	struct fixture *f = fixture_new(2, NULL, NULL);
	struct http_door door = {.name = "second"};
	char address[64], error[HTTP_ERROR_BYTES];

	snprintf(address, sizeof(address), "127.0.0.1:%u", f->port);
	assert_int_not_equal(http_server_listen(f->server, address, &door, NULL, NULL, error), RFS_OK);
	assert_int_equal(http_server_listen(f->server, "nonsense", &door, NULL, NULL, error), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(
		http_server_listen(f->server, "127.0.0.1:99999", &door, NULL, NULL, error), RFS_ERR_INVALID_ARGUMENT);
	assert_int_equal(
		http_server_listen(f->server, "127.0.0.1:http", &door, NULL, NULL, error), RFS_ERR_INVALID_ARGUMENT);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_large_bodies_in_steps),
		cmocka_unit_test(goes_on_when_memory_for_bodies_is_short),
		cmocka_unit_test(what_is_sent_ahead_takes_memory_of_bodies),
		cmocka_unit_test(headers_take_memory_of_bodies_and_give_way_to_them),
		cmocka_unit_test(answers_that_nobody_reads_are_given_up_when_they_are_far_too_many),
		cmocka_unit_test(answers_without_reading_the_body),
		cmocka_unit_test(tells_the_door_of_broken_bodies),
		cmocka_unit_test(refuses_trailers_where_nobody_would_look_at_them),
		cmocka_unit_test(limits_trailers_and_chunk_extensions),
		cmocka_unit_test(writes_to_a_slow_reader_as_it_reads),
		cmocka_unit_test(sends_files_to_a_slow_reader),
		cmocka_unit_test(resets_an_answer_whose_file_is_cut),
		cmocka_unit_test(resets_an_answer_that_falls_short),
		cmocka_unit_test(ends_once_when_the_client_goes_away),
		cmocka_unit_test(closes_what_does_not_move),
		cmocka_unit_test(lets_a_slow_but_moving_client_finish),
		cmocka_unit_test(limits_connections_of_an_address),
		cmocka_unit_test(an_idle_connection_costs_a_kilobyte),
		cmocka_unit_test(refuses_a_port_that_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
