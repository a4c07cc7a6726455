/* http_output.c: what waits to be written, and its way into the kernel: once at once, the rest when there is room.
 * [loop] */
#include "net/http_int.h"
#include "base/metrics.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define OUTPUT_BUFS 64
#define CIPHER_BYTES ((size_t)32 * 1024) /* enciphered ahead of the socket: a client that does not read holds it */
#define COPY_BYTES ((size_t)16 * 1024)   /* of a file, for libuv to wait with until there is room */
#define TLS_RECORD_BYTES ((size_t)16 * 1024)

void
output_push(struct http_turn *t, struct slice slice, bool charge)
{
	if (slice.len == 0 || atomic_load(&t->x.gone)) {
		slice_unref(&slice);
		return;
	}
	if (t->part_first + t->part_count == t->part_room && t->part_first) {
		memmove(t->parts, t->parts + t->part_first, t->part_count * sizeof(t->parts[0]));
		t->part_first = 0;
	}
	if (t->part_count == t->part_room) {
		t->part_room = t->part_room ? 2 * t->part_room : 8;
		t->parts = xrealloc(t->parts, t->part_room * sizeof(t->parts[0]));
	}
	turn_moves(t);
	assert(!slice_file(&slice) || !t->conn->tls);
	t->answered += charge ? slice.len : 0; /* what counts is the body */
	charge = charge && !slice_file(&slice);
	if (charge)
		budget_charge(t->hl->server->budget, slice.len);
	t->out_bytes += slice.len;
	t->parts[t->part_first + t->part_count++] = (struct http_part){slice, charge ? slice.len : 0};
}

static void
drop_first(struct http_turn *t)
{
	struct http_part *part = &t->parts[t->part_first];

	if (part->charge)
		budget_release(t->hl->server->budget, part->charge);
	slice_unref(&part->slice);
	t->part_offset = 0;
	t->part_first = --t->part_count ? t->part_first + 1 : 0;
}

void
output_consume(struct http_turn *t, size_t len)
{
	assert(len <= t->out_bytes);
	turn_moved(t, len);
	metric_add(METRIC_HTTP_SENT, (int64_t)len);
	t->out_bytes -= len;
	while (len) {
		size_t left = t->parts[t->part_first].slice.len - t->part_offset;

		if (len < left) {
			t->part_offset += len;
			return;
		}
		len -= left;
		drop_first(t);
	}
}

void
output_clear(struct http_turn *t)
{
	while (t->part_count)
		drop_first(t);
	t->out_bytes = 0;
}

unsigned
output_gather(const struct http_turn *t, uv_buf_t *bufs, unsigned most, size_t bytes)
{
	size_t offset = t->part_offset;
	unsigned n = 0;

	for (size_t i = 0; i < t->part_count && n < most && bytes; i++) {
		const struct slice *s = &t->parts[t->part_first + i].slice;
		size_t len = s->len - offset < bytes ? s->len - offset : bytes;

		if (slice_file(s))
			break;
		bufs[n++] = uv_buf_init((char *)s->data + offset, (unsigned)len);
		bytes -= len;
		offset = 0;
	}
	return n;
}

static void
on_written(uv_write_t *write, int status)
{
	struct http_turn *t = write->data;
	struct http_conn *c = t->conn;
	size_t len = t->writing;

	t->writing = 0;
	free(t->copy);
	t->copy = NULL;
	if (status == 0) {
		output_consume(t, len);
		c->looks = 0;
	} else {
		conn_close(c, false);
	}
	conn_advance(c);
}

/* What comes next is in a file; and where. NULL: it is in memory. */
static const struct slice_file *
next_file(const struct http_turn *t, off_t *at, size_t *len)
{
	const struct slice *s = &t->parts[t->part_first].slice;
	const struct slice_file *f = slice_file(s);

	if (f == NULL)
		return NULL;
	*at = (off_t)(f->offset + t->part_offset);
	*len = s->len - t->part_offset;
	return f;
}

/* The first bytes of a file, in memory; 0: they cannot be read. */
static unsigned
gather_copy(struct http_turn *t, const struct slice_file *f, off_t at, size_t len, uv_buf_t *buf)
{
	ssize_t got;

	t->copy = xmalloc(COPY_BYTES);
	do
		got = pread(f->fd, t->copy, len < COPY_BYTES ? len : COPY_BYTES, at);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		*buf = uv_buf_init((char *)t->copy, (unsigned)got);
	return got > 0;
}

static bool
write_rest(struct http_conn *c, struct http_turn *t)
{
	off_t at;
	size_t len;
	const struct slice_file *f = next_file(t, &at, &len);
	uv_buf_t bufs[OUTPUT_BUFS];
	unsigned n = f ? gather_copy(t, f, at, len, bufs) : output_gather(t, bufs, OUTPUT_BUFS, HTTP_WRITE_BYTES);

	for (unsigned i = 0; i < n; i++)
		t->writing += bufs[i].len;
	t->write.data = t;
	if (n && uv_write(&t->write, &c->stream, bufs, n, on_written) == 0)
		return true;
	t->writing = 0;
	free(t->copy);
	t->copy = NULL;
	return false;
}

/* From the page cache into the socket; as uv_try_write. */
static ssize_t
send_file(struct http_conn *c, const struct slice_file *f, off_t at, size_t len)
{
	uv_os_fd_t socket;
	ssize_t n;

	if (uv_fileno(&c->handle, &socket) != 0)
		return UV_EBADF;
	do
		n = sendfile(socket, f->fd, &at, len);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return UV_EIO; /* the file has become shorter */
	return n < 0 ? uv_translate_sys_error(errno) : n;
}

static bool
flush_plain(struct http_conn *c, struct http_turn *t)
{
	uv_buf_t bufs[OUTPUT_BUFS];

	if (t == NULL || t->writing)
		return true;
	while (t->out_bytes) {
		off_t at;
		size_t asked = 0;
		const struct slice_file *f = next_file(t, &at, &asked);
		unsigned n = f ? 0 : output_gather(t, bufs, OUTPUT_BUFS, SIZE_MAX);
		ssize_t written = f ? send_file(c, f, at, asked) : uv_try_write(&c->stream, bufs, n);

		for (unsigned i = 0; i < n; i++)
			asked += bufs[i].len;
		if (written < 0 && written != UV_EAGAIN)
			return false;
		if (written > 0)
			output_consume(t, (size_t)written);
		if (written < 0 || (size_t)written < asked)
			return write_rest(c, t);
	}
	return true;
}

/* A write of cipher bytes that the kernel had no room for; it owns their copy, as the stream's buffer goes on growing.
 */
struct cipher_write {
	uv_write_t write;
	struct http_conn *conn;
	uint8_t data[];
};

static void
on_cipher_written(uv_write_t *write, int status)
{
	struct cipher_write *w = (struct cipher_write *)write;
	struct http_conn *c = w->conn;

	free(w);
	c->cipher_writing = 0;
	c->looks = 0;
	if (status != 0)
		conn_close(c, false);
	conn_advance(c);
}

static bool
write_cipher(struct http_conn *c, struct bytes out)
{
	struct cipher_write *w = xmalloc(sizeof(*w) + out.len);
	uv_buf_t buf = uv_buf_init((char *)w->data, (unsigned)out.len);

	w->conn = c;
	memcpy(w->data, out.data, out.len);
	if (uv_write(&w->write, &c->stream, &buf, 1, on_cipher_written) != 0) {
		free(w);
		return false;
	}
	c->cipher_writing = out.len;
	tls_stream_sent(c->tls, out.len);
	return true;
}

/* Plain parts into cipher bytes, some way ahead of the socket. */
static bool
encipher(struct http_conn *c, struct http_turn *t)
{
	while (t && t->out_bytes && tls_stream_output(c->tls).len < CIPHER_BYTES) {
		uv_buf_t buf;
		int n;

		output_gather(t, &buf, 1, TLS_RECORD_BYTES);
		n = tls_stream_write(c->tls, (const uint8_t *)buf.base, buf.len);
		if (n < 0)
			return false;
		if (n == 0)
			break;
		output_consume(t, (size_t)n);
	}
	return true;
}

static bool
flush_cipher(struct http_conn *c, struct http_turn *t)
{
	while (c->cipher_writing == 0) {
		struct bytes out;
		uv_buf_t buf;
		int written;

		if (!encipher(c, t))
			return false;
		out = tls_stream_output(c->tls);
		if (out.len == 0)
			return true;
		buf = uv_buf_init((char *)out.data, (unsigned)out.len);
		written = uv_try_write(&c->stream, &buf, 1);
		if (written < 0 && written != UV_EAGAIN)
			return false;
		if (written > 0)
			tls_stream_sent(c->tls, (size_t)written);
		out = tls_stream_output(c->tls);
		if (out.len && !write_cipher(c, out))
			return false;
	}
	return true;
}

bool
output_flush(struct http_conn *c)
{
	return c->tls ? flush_cipher(c, c->turn) : flush_plain(c, c->turn);
}
