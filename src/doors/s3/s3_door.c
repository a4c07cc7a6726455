/* s3_door.c: an exchange of the S3 door from its headers to its end. The way that it takes is drawn in s3_door.h. */
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"
#include "net/http_seen.h"
#include <stdlib.h>

static void
id_text(uint64_t id, char out[17])
{
	for (int i = 15; i >= 0; i--, id >>= 4)
		out[i] = "0123456789ABCDEF"[id & 15];
	out[16] = 0;
}

static struct s3_exchange *
exchange_new(struct http_exchange *x)
{
	struct s3_exchange *ex = ARENA_NEW(x->rq.arena, struct s3_exchange);

	x->user = ex;
	ex->door = x->door_data;
	ex->http = x;
	ex->rq = &x->rq;
	ex->headers = (const struct sigv4_header *)x->headers; /* the same shape: asserted in s3_request.c */
	ex->header_count = x->header_count;
	ex->path = x->path;
	ex->method = x->head_request ? S3_HEAD : S3_GET;
	ex->signature.kind = SIGV4_NONE;
	id_text(x->rq.id, ex->id_text);
	return ex;
}

static int64_t
body_limit(const struct s3_exchange *ex)
{
	return ex->op->flags & S3_STREAM ? S3_OBJECT_MAX : S3_XML_BYTES_MAX;
}

/* Who asks, and is all of the request understood. May be repeated. */
static enum rfs_err
admit(struct s3_exchange *ex)
{
	enum rfs_err err;

	if (ex->admitted)
		return RFS_OK;
	if ((err = s3_cors_look_up(ex)))
		return err;
	if (ex->op->flags & S3_PUBLIC)
		ex->rq->who = auth_anonymous();
	else if ((err = s3_authenticate(ex)))
		return err;
	if ((err = s3_route_check_known(ex)))
		return err;
	if ((err = s3_check_owner(ex, "x-amz-expected-bucket-owner", ex->bucket)))
		return err;
	if (ex->op->flags & (S3_DOCUMENT | S3_STREAM) && (err = s3_body_plan(ex, body_limit(ex))))
		return err;
	ex->admitted = true;
	return RFS_OK;
}

/* The whole of an operation without a body; of one with a body, what comes before it. WOULD_BLOCK: again, on a worker; PENDING: again, when its commit has ended.
 */
static enum rfs_err
attempt(struct s3_exchange *ex)
{
	enum rfs_err err;

	s3_reply_reset(ex);
	request_clear_error(ex->rq);
	if ((err = admit(ex)))
		return err;
	if (ex->op->flags & S3_DOCUMENT) {
		ex->sink = &s3_document_sink;
		return RFS_OK;
	}
	if (!(ex->op->flags & (S3_ON_LOOP | S3_STREAM)) && !ex->rq->may_block)
		return RFS_ERR_WOULD_BLOCK;
	return ex->op->run(ex);
}

/* [worker] */
static void
attempt_work(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	ex->result = attempt(ex);
}

static void
attempt_done(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	ex->asker = x->rq.who;
	if (ex->result || !(ex->op->flags & (S3_DOCUMENT | S3_STREAM)))
		s3_exchange_answer(ex);
	else
		s3_receive_start(ex);
}

static void
attempt_on_loop(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	ex->result = attempt(ex);
	ex->asker = x->rq.who;
	if (ex->result == RFS_ERR_PENDING)
		http_suspend(x, attempt_on_loop);
	else if (ex->result == RFS_ERR_WOULD_BLOCK)
		http_work(x, attempt_work, attempt_done);
	else
		attempt_done(x);
}

/* Of S3's own headers, all have one value but these. */
static enum http_repeat
repeat_rule(struct bytes name)
{
	if (!bytes_starts_with(name, BYTES_LITERAL("x-amz-")))
		return http_repeat_standard(name);
	return bytes_starts_with(name, BYTES_LITERAL("x-amz-meta-")) ||
			       s3_word_in("x-amz-object-attributes x-amz-optional-object-attributes", name)
		       ? HTTP_REPEAT_LIST
		       : HTTP_REPEAT_SINGLE;
}

static void
s3_request(struct http_exchange *x)
{
	struct bytes repeated = x->repeats ? http_settle_repeats(x, repeat_rule) : (struct bytes){0};
	struct s3_exchange *ex = exchange_new(x);

	x->rq.may_block = false;
	if (repeated.len)
		ex->result = request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"A header that has one value came more than once: %.*s", (int)repeated.len,
			(const char *)repeated.data);
	else
		ex->result = s3_route(ex, x->method);
	if (ex->result)
		s3_exchange_answer(ex);
	else
		attempt_on_loop(x);
}

void
s3_exchange_answer(struct s3_exchange *ex)
{
	if (ex->result) {
		log_debug(ex->rq->id, "%s %.*s: %s: %s", ex->op ? ex->op->name : "no operation", (int)ex->path.len,
			(const char *)ex->path.data, error_face(ex->result)->name, s3_error_message(ex, ex->result));
		s3_error_reply(ex, ex->result);
	}
	s3_reply_send(ex);
}

static void
s3_refuse(struct http_exchange *x, enum rfs_err error)
{
	struct s3_exchange *ex = exchange_new(x);

	ex->result = error;
	s3_exchange_answer(ex);
	s3_reply_reset(ex);
	x->user = NULL;
}

static void
s3_end(struct http_exchange *x)
{
	struct s3_exchange *ex = s3_exchange_of(x);

	if (ex->receive.begun)
		ex->sink->abort(ex);
	for (size_t i = 0; i < ex->receive.piece_count; i++)
		slice_unref(&ex->receive.pieces[i]);
	if (ex->close)
		ex->close(ex);
	slice_unref(&ex->next_part);
	s3_body_free(ex);
	s3_reply_reset(ex);
	metric_observe_ns(ex->op ? ex->op->latency : METRIC_S3_OTHER, clock_monotonic_ns() - x->started_ns);
}

/* A request that was refused before it was looked at has no exchange. */
static void
s3_tell(struct http_exchange *x, bool settled, struct http_seen *out)
{
	const struct s3_exchange *ex = x->user;
	const struct identity *who;

	if (!ex)
		return;
	who = settled ? x->rq.who : ex->asker;
	out->operation = ex->op ? ex->op->name : NULL;
	out->bucket = ex->bucket;
	out->key = ex->key;
	if (who)
		out->user = bytes_str(who->id == IDENTITY_NOBODY ? "anonymous" : who->name);
}

struct http_door *
s3_door_new(struct core *core, const struct config *config)
{
	struct s3_door *door = xcalloc(1, sizeof(*door));

	s3_route_init();
	door->core = core;
	door->config = config;
	door->http = (struct http_door){.name = "s3",
		.request = s3_request,
		.refuse = s3_refuse,
		.end = s3_end,
		.data = door,
		.tell = s3_tell,
		.refuses_trailers = true};
	return &door->http;
}

void
s3_door_free(struct http_door *door)
{
	if (door)
		free(door->data);
}
