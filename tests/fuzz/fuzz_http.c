/*
 * fuzz_http.c: what a client sends on one connection, in pieces; a door whose behaviour the path chooses; and what the
 * server answers. The server is the real one, on a socket, but with one thread (one_thread.h).
 *
 * Input: flags, kibibytes of body behind the stream, five sizes that the pieces have in turn, a piece's number; then
 * the stream. However it is cut, the door sees the same requests, bodies and errors. Every request ends, every answer
 * is well-formed and there is one for each request, nothing follows an answer that closes, and no memory of bodies
 * stays counted.
 *
 * sources: src/base/*.c src/net/http_*.c src/net/tls.c src/net/tls_stream.c src/net/url.c llhttp
 */
#include "base/log.h"
#include "net/http_int.h"
#include "one_thread.h"
#include "scratch.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_BYTES 8
#define PIECE_SIZES 5
#define PIECES_MAX 64 /* small ones: what is left then comes in large ones */
#define EXCHANGES_MAX 4096
#define DRAIN_ANSWER ((size_t)300000)
#define TURNS_MAX 100 /* of the loop, until a connection is gone */

enum flag {
	SMALL_LIMITS = 1,
	SLOW_READER = 2, /* reads nothing before it has sent all */
	HANGS_UP = 4,    /* closes instead of sending its end */
	TIMES_OUT = 8,   /* every deadline passes before the chosen piece */
	LITTLE_MEMORY = 16,
	NO_TRAILERS = 32, /* the door refuses them */
};

struct plan {
	unsigned flags;
	uint8_t sizes[PIECE_SIZES];
	unsigned chosen; /* piece */
	struct bytes stream;
};

/* What the door saw and the client got. */
struct record {
	struct buf events;
	struct buf answers;
	bool head[EXCHANGES_MAX];   /* of each exchange: to HEAD */
	bool closes[EXCHANGES_MAX]; /* its answer is the last and says so */
	size_t exchanges, ended, begun;
	bool reset; /* the door gave an exchange up */
};

static struct loops *loops;
static struct workers *workers;
static struct http_server *server;
static struct record *record;

static void
must(bool good)
{
	if (!good)
		abort();
}

/* --- the door ----------------------------------------------------------------------------------------------------- */

struct state {
	struct buf body;
	size_t left;
	char way;
};

static struct slice
text(const char *s)
{
	return (struct slice){(const uint8_t *)s, strlen(s), NULL};
}

static void
exchange_note(struct http_exchange *x)
{
	must(record->exchanges < EXCHANGES_MAX);
	record->closes[record->exchanges] = !x->keep_alive;
	record->head[record->exchanges++] = x->head_request;
}

static void
take_all(struct http_exchange *x, bool echo)
{
	struct state *st = x->user;
	struct slice part;

	while (http_body_take(x, &part, 1)) {
		must(part.len > 0);
		buf_put(&st->body, part.data, part.len);
		if (echo)
			http_reply_send(x, part);
		else
			slice_unref(&part);
	}
	must(http_body_buffered(x) == 0);
}

static bool
body_over(struct http_exchange *x)
{
	return http_body_error(x) || http_body_ended(x);
}

static void
note_body(struct http_exchange *x)
{
	struct state *st = x->user;

	if (http_body_error(x)) {
		buf_printf(&record->events, "error %d\n", http_body_error(x));
		return;
	}
	buf_printf(&record->events, "body %zu ", st->body.len);
	buf_put_bytes(&record->events, buf_bytes(&st->body));
	if (x->content_length >= 0)
		must(st->body.len == (size_t)x->content_length);
}

static void
on_whole(struct http_exchange *x)
{
	struct state *st = x->user;

	must(body_over(x));
	take_all(x, false);
	note_body(x);
	http_reply(x, http_body_error(x) ? 400 : 200, slice_copy(buf_bytes(&st->body)));
}

static void
on_echo(struct http_exchange *x)
{
	take_all(x, true);
	if (!body_over(x)) {
		http_body_read(x, 1, on_echo);
		return;
	}
	note_body(x);
	if (http_body_error(x)) {
		record->reset = true;
		http_reply_abort(x);
	} else {
		http_reply_end(x);
	}
}

static void on_part(struct http_exchange *x);

static void
part_work(struct http_exchange *x)
{
	must(x->rq.may_block);
}

static void
part_done(struct http_exchange *x)
{
	struct state *st = x->user;

	if (!body_over(x) || http_body_buffered(x)) {
		http_body_read(x, 100, on_part);
		return;
	}
	note_body(x);
	http_reply_header_printf(x, "X-Count", "%zu", st->body.len);
	http_reply(x, 200, text("counted"));
}

static void
on_part(struct http_exchange *x)
{
	take_all(x, false);
	http_work(x, part_work, part_done);
}

static void
on_drain(struct http_exchange *x)
{
	struct state *st = x->user;

	while (st->left && !atomic_load(&x->gone) && http_reply_unsent(x) < (size_t)64 * 1024) {
		struct slice part = slice_new(st->left < 20000 ? st->left : 20000);

		memset(slice_writable(&part), 'd', part.len);
		st->left -= part.len;
		http_reply_send(x, part);
	}
	if (st->left && !atomic_load(&x->gone))
		http_reply_on_drain(x, (size_t)32 * 1024, on_drain);
	else
		http_reply_end(x);
}

static void
answer_woken(struct http_exchange *x)
{
	http_reply(x, 200, text("woken"));
}

static void
release_held(struct http_exchange *x)
{
	http_reply(x, 200, text("released"));
	http_release(x);
}

static void
answer(struct http_exchange *x)
{
	struct state *st = x->user;

	switch (st->way) {
	case 'r':
		http_body_read(x, SIZE_MAX, on_whole);
		break;
	case 'e':
		http_reply_begin(x, 200, -1);
		http_body_read(x, 0, on_echo);
		break;
	case 'w':
		http_body_read(x, 100, on_part);
		break;
	case 'd':
		st->left = DRAIN_ANSWER;
		http_reply_begin(x, 200, (int64_t)st->left);
		on_drain(x);
		break;
	case 's':
		http_suspend(x, answer_woken);
		x->rq.wake(&x->rq);
		break;
	case 'h':
		http_hold(x);
		http_work(x, part_work, release_held);
		break;
	case 'a':
		record->reset = true;
		http_reply_begin(x, 200, 10);
		http_reply_abort(x);
		break;
	case 'k':
		x->keep_alive = false;
		record->closes[record->exchanges - 1] = true;
		http_reply_head(x, 204, -1);
		break;
	case 'n':
		http_reply(x, 304, text("not sent"));
		break;
	default:
		http_reply_header(x, "X-Path", x->path);
		http_reply(x, 404, slice_copy(x->path));
	}
}

/* What http.h promises of a request that reaches the door. */
static void
check_request(const struct http_exchange *x)
{
	size_t hosts = 0, lengths = 0, encodings = 0;

	must(x->method.len && x->path.len && (x->path.data[0] == '/' || bytes_equal_str(x->path, "*")));
	must(x->minor == 0 || x->minor == 1);
	for (size_t i = 0; i < x->target.len; i++)
		must(x->target.data[i] > ' ' && x->target.data[i] != 0x7f && x->target.data[i] != '#');
	for (size_t i = 0; i < x->header_count; i++) {
		const struct http_header *h = &x->headers[i];

		must(h->name.len > 0);
		for (size_t k = 0; k < h->name.len; k++)
			must(h->name.data[k] > ' ' && h->name.data[k] < 0x7f && h->name.data[k] != ':' &&
				!(h->name.data[k] >= 'A' && h->name.data[k] <= 'Z'));
		for (size_t k = 0; k < h->value.len; k++)
			must((h->value.data[k] >= ' ' && h->value.data[k] != 0x7f) || h->value.data[k] == '\t');
		hosts += bytes_equal_str(h->name, "host");
		lengths += bytes_equal_str(h->name, "content-length");
		encodings += bytes_equal_str(h->name, "transfer-encoding");
	}
	must(hosts <= 1 && (hosts == 1 || x->minor == 0));
	must(lengths + encodings <= 1 && (x->content_length >= 0) == (lengths == 1) && x->chunked == (encodings == 1));
	must(x->header_count <= server->options.header_count && !bytes_equal_str(x->method, "CONNECT"));
}

static void
note_request(const struct http_exchange *x)
{
	struct buf *b = &record->events;

	buf_put_bytes(b, x->method);
	buf_put_str(b, " ");
	buf_put_bytes(b, x->path);
	buf_put_str(b, "?");
	buf_put_bytes(b, x->query);
	buf_printf(b, " %d %d %lld %d\n", x->minor, x->keep_alive, (long long)x->content_length, x->chunked);
	for (size_t i = 0; i < x->header_count; i++) {
		buf_put_bytes(b, x->headers[i].name);
		buf_put_str(b, ":");
		buf_put_bytes(b, x->headers[i].value);
		buf_put_str(b, "\n");
	}
}

static void
door_request(struct http_exchange *x)
{
	struct state *st = xcalloc(1, sizeof(*st));

	must(x->user == NULL);
	x->user = st;
	buf_init(&st->body, NULL);
	st->way = x->path.len > 1 ? (char)x->path.data[1] : 0;
	record->begun++;
	exchange_note(x);
	check_request(x);
	note_request(x);
	answer(x);
}

/* Which limit or rule is met first may depend on the pieces; that the request is refused does not. */
static void
door_refuse(struct http_exchange *x, enum rfs_err error)
{
	must(error == RFS_ERR_BAD_HTTP || error == RFS_ERR_URI_TOO_LONG || error == RFS_ERR_TOO_LARGE_HEADERS ||
		error == RFS_ERR_NOT_IMPLEMENTED || error == RFS_ERR_REQUEST_TIMEOUT);
	exchange_note(x);
	buf_put_str(&record->events, "refused\n");
	http_reply(x, 400, text("refused"));
}

static void
door_end(struct http_exchange *x)
{
	struct state *st = x->user;

	buf_fini(&st->body);
	free(st);
	record->ended++;
}

/* --- the client --------------------------------------------------------------------------------------------------- */

static void
start_server(void)
{
	static const struct http_door door = {
		.name = "fuzz", .request = door_request, .refuse = door_refuse, .end = door_end};
	struct http_options options = {
		.header_time_ms = 3600000, .idle_time_ms = 3600000, .connections = 100, .connections_per_address = 100};
	char error[HTTP_ERROR_BYTES];

	log_init(LOG_ERROR, LOG_TEXT, open("/dev/null", O_WRONLY));
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	loops = loops_new(1);
	workers = workers_new(1);
	server = http_server_new(loops, workers, &options);
	must(http_server_listen_unix(server, scratch_directory(), "socket", &door, error) == RFS_OK);
}

static void
set_limits(const struct plan *p)
{
	server->options.header_bytes = p->flags & SMALL_LIMITS ? 256 : 8192;
	server->options.header_count = p->flags & SMALL_LIMITS ? 8 : 32;
	server->listeners->door.refuses_trailers = p->flags & NO_TRAILERS;
	server->budget->limit = p->flags & LITTLE_MEMORY ? 1000 : (size_t)64 * 1024 * 1024;
}

static void
turn_loop(void)
{
	/* What a turn marks is looked at in the next one. */
	for (int i = 0; i < 3; i++)
		while (one_thread_turn(loops_at(loops, 0), workers))
			continue;
}

static int
connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/socket", scratch_directory());
	must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	turn_loop();
	return fd;
}

/* False: nothing more came. */
static bool
read_answers(int fd)
{
	static uint8_t bytes[65536];
	ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

	if (n <= 0)
		return false;
	buf_put(&record->answers, bytes, (size_t)n);
	return true;
}

static void
pass_deadlines(void)
{
	struct http_loop *hl = &server->at[0];

	for (int kind = HTTP_TIMER_NONE + 1; kind < HTTP_TIMER_COUNT; kind++)
		for (struct http_link *l = hl->timers[kind].next; l != &hl->timers[kind]; l = l->next)
			CONN_OF(l, time)->deadline_ms = 0;
	timer_tick(hl);
}

/* False: the server takes no more. */
static bool
send_piece(int fd, struct bytes piece)
{
	while (piece.len) {
		ssize_t n = send(fd, piece.data, piece.len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		piece = bytes_sub(piece, (size_t)n, SIZE_MAX);
		turn_loop();
	}
	return true;
}

static void
send_stream(int fd, const struct plan *p, bool whole)
{
	struct bytes rest = p->stream;
	bool open = true;

	for (unsigned i = 0; rest.len && open; i++) {
		uint8_t s = p->sizes[i % PIECE_SIZES];
		size_t size = whole || s == 255 || i >= PIECES_MAX ? (size_t)32 * 1024
								   : (size_t)((s & 63) + 1) << (2 * (s >> 6));

		if ((p->flags & TIMES_OUT) && i == p->chosen)
			pass_deadlines();
		open = send_piece(fd, bytes_sub(rest, 0, size));
		rest = bytes_sub(rest, size, SIZE_MAX);
		while (!(p->flags & SLOW_READER) && read_answers(fd))
			turn_loop();
	}
}

/* Whatever happened, the server lets go of a connection whose client has gone. */
static void
end_client(int fd, const struct plan *p)
{
	struct http_loop *hl = &server->at[0];

	if (!(p->flags & HANGS_UP)) {
		shutdown(fd, SHUT_WR);
		turn_loop();
		while (read_answers(fd))
			turn_loop();
	}
	close(fd);
	for (int i = 0; i < TURNS_MAX && hl->count; i++)
		turn_loop();
	must(hl->count == 0 && hl->dirty == NULL && hl->starved == NULL);
	must(atomic_load(&server->budget->used) == 0);
	must(record->begun == record->ended);
}

/* --- the answers, read by llhttp ---------------------------------------------------------------------------------- */

struct reading {
	const struct record *record;
	size_t answers, complete;
};

static int
on_answer_headers(llhttp_t *parser)
{
	struct reading *r = parser->data;

	if (parser->status_code / 100 == 1)
		return 0;
	must(r->answers < r->record->exchanges);
	return r->record->head[r->answers++];
}

static int
on_answer_complete(llhttp_t *parser)
{
	struct reading *r = parser->data;

	if (parser->status_code / 100 == 1)
		return 0;
	must(!r->record->closes[r->complete++] || !llhttp_should_keep_alive(parser));
	return 0;
}

static void
check_answers(const struct record *rec, bool all)
{
	static const llhttp_settings_t settings = {
		.on_headers_complete = on_answer_headers, .on_message_complete = on_answer_complete};
	struct reading reading = {.record = rec};
	llhttp_t parser;

	llhttp_init(&parser, HTTP_RESPONSE, &settings);
	parser.data = &reading;
	if (rec->answers.len)
		must(llhttp_execute(&parser, (const char *)rec->answers.data, rec->answers.len) == HPE_OK);
	if (!all)
		return;
	must(llhttp_finish(&parser) == HPE_OK);
	must(reading.answers == rec->exchanges && reading.complete == rec->exchanges);
}

static void
talk(const struct plan *p, bool whole, struct record *rec)
{
	int fd;

	memset(rec, 0, sizeof(*rec));
	buf_init(&rec->events, NULL);
	buf_init(&rec->answers, NULL);
	record = rec;
	set_limits(p);
	fd = connect_client();
	send_stream(fd, p, whole);
	end_client(fd, p);
	check_answers(rec, !rec->reset && !(p->flags & (HANGS_UP | TIMES_OUT)));
}

static void
record_fini(struct record *rec)
{
	buf_fini(&rec->events);
	buf_fini(&rec->answers);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct record cut, whole;
	struct plan p = {0};
	struct buf stream;

	if (size < HEAD_BYTES)
		return 0;
	if (server == NULL)
		start_server();
	p.flags = data[0];
	memcpy(p.sizes, data + 2, PIECE_SIZES);
	p.chosen = data[7];
	buf_init(&stream, NULL);
	buf_put(&stream, data + HEAD_BYTES, size - HEAD_BYTES);
	for (unsigned i = 0; i < data[1] % 80u * 1024; i++)
		buf_u8(&stream, 'z');
	p.stream = buf_bytes(&stream);
	talk(&p, false, &cut);
	if (!(p.flags & (HANGS_UP | TIMES_OUT))) {
		talk(&p, true, &whole);
		must(bytes_equal(buf_bytes(&cut.events), buf_bytes(&whole.events)));
		record_fini(&whole);
	}
	record_fini(&cut);
	buf_fini(&stream);
	return 0;
}
