/* test_http_timers.c: what puts off a connection's end and what does not. No test waits: deadlines are read, and
 * passed, on the loop. */
#include "http_fixture.h"
#include "base/clock.h"
#include "net/http_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: x\r\n"
#define IDLE_MS 3600000
#define RATE 1 /* of bodies: 3600 bytes in that time */

static struct fixture *f;

static int
setup(void **state)
{
	struct http_options o;

	fixture_options(&o);
	o.idle_time_ms = IDLE_MS;
	o.body_rate = RATE;
	f = fixture_new(1, &o, NULL);
	return 0;
}

static int
teardown(void **state)
{
	fixture_free(f);
	return 0;
}

/* Of the only connection, as its loop sees it. */
struct sight {
	bool open;
	enum http_timer timer;
	uint64_t deadline_ms, left_ms;
	size_t buffered, queued;
	bool pass; /* the deadline, now */
};

static void
look(void *arg)
{
	struct sight *s = arg;
	struct http_loop *hl = &f->server->at[0];
	struct http_conn *c = CONN_OF(hl->conns.next, all);

	s->open = hl->conns.next != &hl->conns;
	if (!s->open)
		return;
	s->timer = c->timer;
	s->deadline_ms = c->deadline_ms;
	s->left_ms = c->deadline_ms - uv_now(loop_uv(hl->loop));
	s->buffered = c->turn ? c->turn->buffered : 0;
	s->queued = uv_stream_get_write_queue_size(&c->stream);
	if (!s->pass)
		return;
	c->deadline_ms = 0;
	timer_tick(hl);
}

static struct sight
sight(bool pass)
{
	struct sight s = {.pass = pass};

	loop_call(loops_at(f->loops, 0), look, &s);
	return s;
}

static struct sight
sight_of_body(size_t buffered)
{
	struct sight s = sight(false);

	for (int i = 0; i < FIXTURE_PATIENCE && (s.buffered != buffered || s.timer != HTTP_TIMER_IDLE); i++) {
		sleep_ns(FIXTURE_TICK_NS);
		s = sight(false);
	}
	assert_int_equal(s.buffered, buffered);
	return s;
}

static void
a_body_that_trickles_does_not_put_off_its_end(void **state)
{
	int fd = client_open(f);
	char bytes[RATE * IDLE_MS / 1000] = {0}, *answer;
	uint64_t first;

	client_send(fd, "PUT /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
	client_send(fd, "1");
	first = sight_of_body(1).deadline_ms;
	sleep_ns(5000000);
	client_send_bytes(fd, bytes, sizeof(bytes) / 2);
	assert_int_equal(sight_of_body(1 + sizeof(bytes) / 2).deadline_ms, first);
	client_send_bytes(fd, bytes, sizeof(bytes) / 2);
	assert_true(sight_of_body(1 + sizeof(bytes)).deadline_ms > first);
	sight(true);
	answer = client_rest(fd);
	assert_non_null(strstr(answer, "body error"));
	free(answer);
	close(fd);
}

/* What the kernel takes at first, before the client's side is full too. */
static void
wait_for_full_pipe(void)
{
	size_t before = 0;

	for (int i = 0; i < FIXTURE_PATIENCE / 10; i++) {
		struct sight s = sight(false);

		if (s.timer == HTTP_TIMER_OUTPUT && s.queued && s.queued == before)
			return;
		before = s.queued;
		sleep_ns(10 * FIXTURE_TICK_NS);
	}
	fail_msg("the client's side is never full");
}

static void
who_does_not_read_is_cut_when_the_time_to_idle_is_over(void **state)
{
	int fd = client_open(f);
	uint64_t waited_ms = 0;
	struct sight s;

	client_send(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
	wait_until(&f->begun, 2);
	wait_for_full_pipe();
	while ((s = sight(true)).open)
		waited_ms += s.left_ms;
	assert_in_range(waited_ms, IDLE_MS - 60000, IDLE_MS + IDLE_MS / 4);
	close(fd);
}

static void
who_reads_now_and_then_is_not_cut(void **state)
{
	int fd = client_open(f);
	char *bytes = xmalloc(1 << 20);

	client_send(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
	wait_until(&f->begun, 3);
	for (int i = 0; i < 12; i++) {
		wait_for_full_pipe();
		assert_true(sight(true).open);
		assert_true(sight(true).open);
		for (size_t got = 0; got < (size_t)1 << 20;) {
			ssize_t n = recv(fd, bytes, 1 << 20, 0);

			assert_true(n > 0);
			got += (size_t)n;
		}
	}
	free(bytes);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_that_trickles_does_not_put_off_its_end),
		cmocka_unit_test(who_does_not_read_is_cut_when_the_time_to_idle_is_over),
		cmocka_unit_test(who_reads_now_and_then_is_not_cut),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
