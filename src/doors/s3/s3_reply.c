/*
 * s3_reply.c: an answer, collected by an operation on any thread and sent on the loop; long ones are read on a worker,
 * a piece for each that the client has taken.
 *
 *     send -> (all bytes are here) done
 *     send -> begin, first bytes -> drained -> worker: next -> send -> drained -> ... -> end
 *                                                      error -> abort: the client sees the connection reset
 */
#include "base/log.h"
#include "base/metrics.h"
#include "doors/s3/s3_int.h"
#include <stdlib.h>
#include <strings.h>

/* The next piece is read when the kernel has all of this one: a client that reads nothing holds a piece, and one that
 * reads is fed from the socket's buffer meanwhile. */
#define DRAIN_BELOW 1

struct document_owner {
	struct slice_owner owner;
	uint8_t *data;
};

static void
document_release(struct slice_owner *owner)
{
	struct document_owner *d = (struct document_owner *)owner;

	free(d->data);
	free(d);
}

/* Moves the document's memory into a slice. */
static struct slice
document_take(struct buf *b)
{
	struct document_owner *d = xmalloc(sizeof(*d));
	struct slice s = {b->data, b->len, &d->owner};

	atomic_init(&d->owner.references, 1);
	d->owner.release = document_release;
	d->data = b->data;
	*b = (struct buf){0};
	return s;
}

void
s3_reply_header(struct s3_exchange *ex, const char *name, struct bytes value)
{
	struct s3_reply *r = &ex->reply;

	if (r->header_count == r->header_capacity) {
		size_t capacity = r->header_capacity ? 2 * r->header_capacity : 16;
		struct s3_reply_header *more = ARENA_ARRAY(ex->rq->arena, struct s3_reply_header, capacity);

		if (r->header_count)
			memcpy(more, r->headers, r->header_count * sizeof(*more));
		r->headers = more;
		r->header_capacity = capacity;
	}
	r->headers[r->header_count++] = (struct s3_reply_header){name, value};
}

void
s3_reply_header_set(struct s3_exchange *ex, const char *name, struct bytes value)
{
	for (size_t i = 0; i < ex->reply.header_count; i++) {
		if (strcasecmp(ex->reply.headers[i].name, name) == 0) {
			ex->reply.headers[i].value = value;
			return;
		}
	}
	s3_reply_header(ex, name, value);
}

struct buf *
s3_reply_xml(struct s3_exchange *ex, const char *root)
{
	s3_reply_header(ex, "Content-Type", BYTES_LITERAL("application/xml"));
	xml_start(&ex->reply.document, root, true);
	return &ex->reply.document;
}

void
s3_reply_reset(struct s3_exchange *ex)
{
	struct s3_reply *r = &ex->reply;

	buf_fini(&r->document);
	slice_unref(&r->bytes);
	*r = (struct s3_reply){.headers = r->headers, .header_capacity = r->header_capacity};
}

static void
send_head(struct s3_exchange *ex)
{
	struct s3_reply *r = &ex->reply;

	http_reply_header(ex->http, "x-amz-request-id", bytes_str(ex->id_text));
	http_reply_header(ex->http, "x-amz-id-2", bytes_str(ex->id_text));
	s3_cors_write(ex);
	for (size_t i = 0; i < r->header_count; i++)
		http_reply_header(ex->http, r->headers[i].name, r->headers[i].value);
}

static void stream_drained(struct http_exchange *x);

/* An empty part: there is nothing more, and HTTP sees whether that is what was promised. */
static void
stream_send(struct s3_exchange *ex, struct slice part)
{
	struct s3_reply *r = &ex->reply;
	bool is_last = part.len == 0 || r->sent + part.len >= r->length;

	r->sent += part.len;
	if (part.len)
		http_reply_send(ex->http, part);
	if (is_last)
		http_reply_end(ex->http);
	else
		http_reply_on_drain(ex->http, DRAIN_BELOW, stream_drained);
}

static void
stream_read(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	ex->result = ex->reply.next(ex, &ex->next_part);
}

static void
stream_read_done(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	if (ex->result) {
		log_warn(x->rq.id, "sending %.*s: %s", (int)ex->path.len, (const char *)ex->path.data,
			s3_error_message(ex, ex->result));
		http_reply_abort(x);
		return;
	}
	stream_send(ex, slice_take(&ex->next_part));
}

/* What needs no wait is read here: a hand-over to a worker costs as much as the read. */
static void
stream_drained(struct http_exchange *x)
{
	if (atomic_load(&x->gone))
		return;
	stream_read(x);
	if (s3_exchange_of(x)->result == RFS_ERR_WOULD_BLOCK)
		http_work(x, stream_read, stream_read_done);
	else
		stream_read_done(x);
}

void
s3_reply_send(struct s3_exchange *ex)
{
	struct s3_reply *r = &ex->reply;
	struct http_exchange *x = ex->http;
	int status = r->status ? r->status : 200;

	metric_add(METRIC_S3_REQUESTS, 1);
	if (status >= 400)
		metric_add(status >= 500 ? METRIC_S3_ERRORS_5XX : METRIC_S3_ERRORS_4XX, 1);
	send_head(ex);
	if (status == 204 || status == 304) {
		http_reply_head(x, status, -1);
	} else if (r->document.len) {
		http_reply(x, status, document_take(&r->document));
	} else if (x->head_request) {
		http_reply_head(x, status, r->has_length ? (int64_t)r->length : 0);
	} else if (r->has_length && r->bytes.len < r->length) {
		http_reply_begin(x, status, (int64_t)r->length);
		stream_send(ex, slice_take(&r->bytes));
	} else {
		http_reply(x, status, slice_take(&r->bytes));
	}
}
