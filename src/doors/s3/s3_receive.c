/*
 * s3_receive.c: a request's body on its way from the connection into the operation's sink.
 *
 *     small body:  loop: begin -> read all of it -> loop: write, finish -> the commit's end -> answer
 *                  what would block, or is more than a loop may do: on a worker
 *     large body:  loop: begin -> { read about 1 MiB -> worker: write } -> worker: write, finish -> answer
 *     document:    loop: begin -> read all of it -> worker: write, finish -> answer
 *
 * `begin` comes before the first byte is asked for, so that a refusal costs nobody the transfer, and who may not write
 * gets no memory. A worker is held for a step only, never while the client sends.
 */
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"

/* What aws-chunked framing and trailers may add to a small body. */
#define FRAMING_MAX (64 * 1024)

static void read_more(struct s3_exchange *ex);

static enum rfs_err
step_pieces(struct s3_exchange *ex)
{
	struct s3_receive *r = &ex->receive;
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; i < r->piece_count; i++) {
		if (!err)
			err = s3_body_feed(ex, r->pieces[i]);
		slice_unref(&r->pieces[i]);
	}
	r->piece_count = 0;
	return err;
}

static enum rfs_err
step_finish(struct s3_exchange *ex)
{
	struct s3_receive *r = &ex->receive;
	enum rfs_err err;

	if (!r->is_whole && (err = s3_body_end(ex)))
		return err;
	r->is_whole = true;
	err = ex->sink->finish(ex);
	if (err == RFS_ERR_WOULD_BLOCK || err == RFS_ERR_PENDING)
		return err;
	r->begun = false;
	r->finished = true;
	return err;
}

/* Goes on from where it was. WOULD_BLOCK comes from begin, and like PENDING from finish of sinks for loops. */
static enum rfs_err
step_try(struct s3_exchange *ex)
{
	struct s3_receive *r = &ex->receive;
	enum rfs_err err;

	if (!r->begun && (err = ex->sink->begin(ex)))
		return err;
	r->begun = true;
	if ((err = step_pieces(ex)))
		return err;
	return r->is_last ? step_finish(ex) : RFS_OK;
}

/* [worker] */
static void
step(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);
	struct s3_receive *r = &ex->receive;

	ex->result = step_try(ex);
	if (ex->result && r->begun) {
		r->begun = false;
		ex->sink->abort(ex);
	}
}

/* [worker] */
static void
abort_step(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	ex->receive.begun = false;
	ex->sink->abort(ex);
}

static void
abort_done(struct http_exchange *x)
{
	s3_exchange_answer(s3_exchange_of(x));
}

static void
step_done(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	if (ex->result || ex->receive.finished)
		s3_exchange_answer(ex);
	else
		read_more(ex);
}

/* The whole of a small body, and again after its commit. */
static void
step_on_loop(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	ex->result = step_try(ex);
	if (ex->result == RFS_ERR_PENDING)
		http_suspend(x, step_on_loop);
	else if (ex->result == RFS_ERR_WOULD_BLOCK)
		http_work(x, step, step_done);
	else if (ex->result && ex->receive.begun)
		http_work(x, abort_step, abort_done);
	else
		step_done(x);
}

/* Is the step little enough for a loop? A small body's whole, or what comes before any. */
static bool
is_for_loop(const struct s3_exchange *ex)
{
	const struct s3_receive *r = &ex->receive;

	if (!r->is_last)
		return !r->begun;
	return ex->sink->on_loop && !ex->http->chunked && ex->http->content_length <= OBJECT_PUT_ON_LOOP;
}

static void
step_anywhere(struct http_exchange *x)
{
	if (is_for_loop(s3_exchange_of(x)))
		step_on_loop(x);
	else
		http_work(x, step, step_done);
}

static void
read_done(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);
	struct s3_receive *r = &ex->receive;

	ex->result = http_body_error(x);
	if (ex->result && r->begun) {
		http_work(x, abort_step, abort_done);
		return;
	}
	if (ex->result) {
		s3_exchange_answer(ex);
		return;
	}
	if (!r->pieces)
		r->pieces = ARENA_ARRAY(ex->rq->arena, struct slice, S3_PIECES_MAX);
	r->piece_count = http_body_take(x, r->pieces, S3_PIECES_MAX);
	r->is_last = http_body_ended(x) && http_body_buffered(x) == 0;
	step_anywhere(x);
}

/*
 * A document is read whole first, as it comes or up to where it is too long: until then its bytes count as memory of
 * bodies, and go when others need it. A sink's copy would stay for as long as the client likes, who may be anybody.
 */
static void
read_more(struct s3_exchange *ex)
{
	struct http_exchange *x = ex->http;

	if (ex->op->flags & S3_DOCUMENT)
		http_body_read(x, S3_XML_BYTES_MAX + FRAMING_MAX, read_done);
	else if (x->content_length >= 0 && x->content_length <= S3_SMALL_BODY + FRAMING_MAX)
		http_body_read(x, (size_t)x->content_length, read_done);
	else
		http_body_read(x, S3_SMALL_BODY, read_done);
}

void
s3_receive_start(struct s3_exchange *ex)
{
	struct http_exchange *x = ex->http;

	ex->receive = (struct s3_receive){.is_last = !x->chunked && x->content_length <= 0};
	step_anywhere(x);
}
