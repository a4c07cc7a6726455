/* http_fixture.c: see http_fixture.h. */
#include "http_fixture.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLICES 64

struct state {
	pthread_t waker;
	bool is_early;
	size_t total;
	struct slice slices[SLICES];
	size_t count;
	struct slice block;
	size_t left;
};

static struct fixture *
fixture_of(struct http_exchange *x)
{
	return x->door_data;
}

static struct slice
text_slice(const char *s)
{
	return (struct slice){(const uint8_t *)s, strlen(s), NULL};
}

static void
on_echo_part(struct http_exchange *x)
{
	struct state *st = x->user;
	struct slice all;
	size_t at = 0;
	uint8_t *to;

	if (http_body_error(x)) {
		http_reply(x, error_face(http_body_error(x))->http, text_slice("body error"));
		return;
	}
	assert_true(http_body_ended(x));
	all = slice_new(http_body_buffered(x) + 1);
	to = slice_writable(&all);
	while ((st->count = http_body_take(x, st->slices, SLICES))) {
		for (size_t i = 0; i < st->count; i++) {
			memcpy(to + at, st->slices[i].data, st->slices[i].len);
			at += st->slices[i].len;
			slice_unref(&st->slices[i]);
		}
	}
	st->count = 0;
	all.len = at;
	http_reply(x, 200, all);
}

static void on_count_part(struct http_exchange *x);

static void
count_work(struct http_exchange *x)
{
	struct state *st = x->user;

	for (size_t i = 0; i < st->count; i++)
		for (size_t k = 0; k < st->slices[i].len; k++)
			st->total += st->slices[i].data[k] == 'z';
}

static void
count_done(struct http_exchange *x)
{
	struct state *st = x->user;

	for (size_t i = 0; i < st->count; i++)
		slice_unref(&st->slices[i]);
	st->count = 0;
	if (http_body_error(x)) {
		http_reply(x, error_face(http_body_error(x))->http, text_slice("body error"));
	} else if (http_body_ended(x) && http_body_buffered(x) == 0) {
		http_reply_header_printf(x, "X-Count", "%zu", st->total);
		http_reply(x, 200, text_slice("counted"));
	} else {
		http_body_read(x, (size_t)1024 * 1024, on_count_part);
	}
}

static void
on_count_part(struct http_exchange *x)
{
	struct state *st = x->user;

	st->count = http_body_take(x, st->slices, SLICES);
	http_work(x, count_work, count_done);
}

static void
sleep_work(struct http_exchange *x)
{
	assert_true(x->rq.may_block);
	sleep_ns(50000000);
}

static void
sleep_done(struct http_exchange *x)
{
	if (x->gone)
		atomic_fetch_add(&fixture_of(x)->gone, 1);
	http_reply(x, 200, text_slice("worked"));
}

static void *
wake_early(void *x)
{
	struct request *rq = &((struct http_exchange *)x)->rq;

	rq->wake(rq);
	return NULL;
}

static void *
wake_late(void *x)
{
	sleep_ns(20000000);
	return wake_early(x);
}

static void
woken(struct http_exchange *x)
{
	struct state *st = x->user;

	if (!st->is_early)
		pthread_join(st->waker, NULL);
	if (x->gone)
		atomic_fetch_add(&fixture_of(x)->gone, 1);
	http_reply(x, 200, text_slice("woken"));
}

static void
begin_wait(struct http_exchange *x, bool early)
{
	struct state *st = x->user;

	st->is_early = early;
	pthread_create(&st->waker, NULL, early ? wake_early : wake_late, x);
	if (early)
		pthread_join(st->waker, NULL);
	http_suspend(x, woken);
}

static void
stayed(struct http_exchange *x)
{
	http_reply(x, 200, text_slice("stayed"));
}

static void
begin_stay(struct http_exchange *x)
{
	struct fixture *f = fixture_of(x);

	assert_true(atomic_load(&f->staying) < FIXTURE_STAYS);
	http_suspend(x, stayed);
	f->stays[atomic_load(&f->staying)] = x;
	atomic_fetch_add(&f->staying, 1);
}

void
fixture_wake(struct fixture *f)
{
	int count = atomic_exchange(&f->staying, 0);

	for (int i = 0; i < count; i++)
		wake_early(f->stays[i]);
}

static void
on_big_drain(struct http_exchange *x)
{
	struct fixture *f = fixture_of(x);
	struct state *st = x->user;
	size_t unsent = http_reply_unsent(x);

	if (x->gone) {
		atomic_fetch_add(&f->gone, 1);
		return;
	}
	if (unsent > atomic_load(&f->big_unsent_most))
		atomic_store(&f->big_unsent_most, unsent);
	while (st->left && http_reply_unsent(x) < (size_t)256 * 1024) {
		http_reply_send(x, slice_ref(st->block));
		st->left -= st->block.len;
	}
	if (st->left)
		http_reply_on_drain(x, (size_t)128 * 1024, on_big_drain);
	else
		http_reply_end(x);
}

static void
begin_big(struct http_exchange *x)
{
	struct state *st = x->user;

	st->block = slice_new((size_t)64 * 1024);
	memset(slice_writable(&st->block), 'b', st->block.len);
	st->left = BIG_BYTES;
	http_reply_begin(x, 200, (int64_t)BIG_BYTES);
	on_big_drain(x);
}

uint8_t
fixture_file_byte(size_t at)
{
	return (uint8_t)(at * 7 + (at >> 11));
}

static void
file_release(struct slice_owner *owner)
{
	close(((struct slice_file *)(void *)owner)->fd);
	free(owner);
}

/* Its own file, whose bytes lie a little behind the beginning. */
static struct slice
file_slice(size_t at, size_t len)
{
	struct slice_file *f = xcalloc(1, sizeof(*f));
	uint8_t *bytes = xmalloc(len);

	for (size_t i = 0; i < len; i++)
		bytes[i] = fixture_file_byte(at + i);
	f->fd = memfd_create("file", MFD_CLOEXEC);
	f->offset = 100;
	assert_int_equal(pwrite(f->fd, bytes, len, 100), len);
	free(bytes);
	atomic_init(&f->owner.references, 1);
	f->owner.release = file_release;
	return (struct slice){NULL, len, &f->owner};
}

static void
on_file_drain(struct http_exchange *x)
{
	struct fixture *f = fixture_of(x);
	struct state *st = x->user;
	size_t at = FILE_BYTES - st->left, len = st->left < FILE_PIECE_BYTES ? st->left : FILE_PIECE_BYTES;
	uint8_t first = fixture_file_byte(at);

	if (x->gone) {
		atomic_fetch_add(&f->gone, 1);
		return;
	}
	http_reply_send(x, slice_copy(bytes_of(&first, 1)));
	http_reply_send(x, file_slice(at + 1, len - 1));
	st->left -= len;
	if (st->left)
		http_reply_on_drain(x, 1, on_file_drain);
	else
		http_reply_end(x);
}

static void
answer_file(struct http_exchange *x)
{
	struct state *st = x->user;

	st->left = FILE_BYTES;
	http_reply_begin(x, 200, (int64_t)FILE_BYTES);
	on_file_drain(x);
}

static void
answer_cut(struct http_exchange *x)
{
	struct slice s = file_slice(0, 1000);

	http_reply_begin(x, 200, 2000);
	s.len = 2000;
	http_reply_send(x, s);
	http_reply_end(x);
}

static void
answer_chunked(struct http_exchange *x)
{
	http_reply_begin(x, 200, -1);
	http_reply_send(x, text_slice("one"));
	http_reply_send(x, text_slice("two"));
	http_reply_send(x, text_slice("three"));
	http_reply_end(x);
}

static void
door_request(struct http_exchange *x)
{
	struct fixture *f = fixture_of(x);

	atomic_fetch_add(&f->begun, 1);
	assert_true(x->user == NULL && x->rq.id != 0 && x->rq.now_ns > 0);
	x->user = xcalloc(1, sizeof(struct state));
	if (bytes_equal_str(x->path, "/hello")) {
		http_reply_header(x, "X-Peer", x->rq.peer);
		http_reply_header(x, "X-Bad", BYTES_LITERAL("a\r\nSet-Cookie: b"));
		http_reply(x, 200, text_slice("hello"));
	} else if (bytes_equal_str(x->path, "/echo")) {
		http_body_read(x, SIZE_MAX, on_echo_part);
	} else if (bytes_equal_str(x->path, "/count")) {
		http_body_read(x, (size_t)1024 * 1024, on_count_part);
	} else if (bytes_equal_str(x->path, "/ignore")) {
		http_reply(x, 403, text_slice("no"));
	} else if (bytes_equal_str(x->path, "/work")) {
		http_work(x, sleep_work, sleep_done);
	} else if (bytes_equal_str(x->path, "/early") || bytes_equal_str(x->path, "/late")) {
		begin_wait(x, bytes_equal_str(x->path, "/early"));
	} else if (bytes_equal_str(x->path, "/stay")) {
		begin_stay(x);
	} else if (bytes_equal_str(x->path, "/big")) {
		begin_big(x);
	} else if (bytes_equal_str(x->path, "/file")) {
		answer_file(x);
	} else if (bytes_equal_str(x->path, "/cut")) {
		answer_cut(x);
	} else if (bytes_equal_str(x->path, "/chunked")) {
		answer_chunked(x);
	} else if (bytes_equal_str(x->path, "/short")) {
		http_reply_begin(x, 200, 10);
		http_reply_send(x, text_slice("five!"));
		http_reply_end(x);
	} else {
		struct buf b;

		buf_init(&b, x->rq.arena);
		buf_put_bytes(&b, x->path);
		buf_put_str(&b, "|");
		buf_put_bytes(&b, x->query);
		http_reply(x, 404, slice_copy(buf_bytes(&b)));
	}
}

static void
door_refuse(struct http_exchange *x, enum rfs_err error)
{
	struct fixture *f = fixture_of(x);

	atomic_store(&f->refusal, (int)error);
	atomic_fetch_add(&f->refused, 1);
	http_reply(x, error_face(error)->http, text_slice(error_face(error)->name));
}

static void
door_end(struct http_exchange *x)
{
	struct state *st = x->user;

	for (size_t i = 0; i < st->count; i++)
		slice_unref(&st->slices[i]);
	slice_unref(&st->block);
	free(st);
	atomic_fetch_add(&fixture_of(x)->ended, 1);
}

void
fixture_options(struct http_options *o)
{
	*o = (struct http_options){
		.header_bytes = 8192,
		.header_count = 32,
		.header_time_ms = 60000,
		.idle_time_ms = 60000,
		.connections = 10000,
		.connections_per_address = 10000,
		.body_memory = (size_t)64 * 1024 * 1024,
	};
}

struct fixture *
fixture_new(unsigned loops, const struct http_options *options, struct tls_context *tls)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct http_door door = {
		.name = "test", .request = door_request, .refuse = door_refuse, .end = door_end, .data = f};
	char error[HTTP_ERROR_BYTES];

	fixture_options(&f->options);
	if (options)
		f->options = *options;
	f->loops = loops_new(loops);
	f->workers = workers_new(4);
	f->server = http_server_new(f->loops, f->workers, &f->options);
	assert_int_equal(http_server_listen(f->server, "127.0.0.1:0", &door, tls, &f->port, error), RFS_OK);
	assert_true(f->port > 0);
	return f;
}

void
fixture_free(struct fixture *f)
{
	http_server_stop(f->server, 100);
	workers_stop(f->workers);
	loops_stop(f->loops);
	http_server_free(f->server);
	workers_free(f->workers);
	loops_free(f->loops);
	assert_int_equal(atomic_load(&f->begun), atomic_load(&f->ended));
	free(f);
}

int
client_open(struct fixture *f)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
	struct timeval limit = {.tv_sec = 120};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

void
client_send_bytes(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the server has closed: what it said is looked at by the test */
		at += n;
		len -= (size_t)n;
	}
}

void
client_send(int fd, const char *text)
{
	client_send_bytes(fd, text, strlen(text));
}

static char *
read_until(int fd, const char *text)
{
	size_t len = 0, room = 65536;
	char *all = xmalloc(room + 1);

	all[0] = '\0';
	while (text == NULL || strstr(all, text) == NULL) {
		ssize_t n;

		if (len == room)
			all = xrealloc(all, (room *= 2) + 1);
		n = recv(fd, all + len, room - len, 0);
		if (n <= 0) {
			if (text)
				fail_msg("waited for \"%s\", got \"%s\" (%s)", text, all, n ? strerror(errno) : "end");
			break;
		}
		len += (size_t)n;
		all[len] = '\0';
	}
	return all;
}

char *
client_expect(int fd, const char *text)
{
	return read_until(fd, text);
}

char *
client_rest(int fd)
{
	return read_until(fd, NULL);
}

bool
client_is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, 0);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

char *
client_talk(struct fixture *f, const char *request)
{
	int fd = client_open(f);
	char *answer;

	client_send(fd, request);
	answer = client_rest(fd);
	close(fd);
	return answer;
}

void
wait_until(atomic_int *value, int wanted)
{
	for (int i = 0; i < FIXTURE_PATIENCE && atomic_load(value) != wanted; i++)
		sleep_ns(FIXTURE_TICK_NS);
	assert_int_equal(atomic_load(value), wanted);
}
