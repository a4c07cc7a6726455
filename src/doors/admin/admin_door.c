/*
 * admin_door.c: the paths of the admin door. [loop] but for what http_work runs.
 */
#include "doors/admin/admin_door_int.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/process.h"
#include "base/waits.h"
#include "net/http_seen.h"
#include <stdlib.h>

#define RPC_BODY_MAX (1024 * 1024)
#define RPC_BODY_PARTS 64 /* taken at once */
#define RPC_ROUNDS_MOST 16 /* of a call that waits: each takes memory until its end */

/* A POST to /rpc on its way; in the exchange's arena. */
struct rpc_call {
	struct http_exchange *exchange;
	struct buf body;
	struct buf answer;
	int status;
	struct wait wait;
	unsigned rounds;
	const char *operation; /* rq.operation, for who looks while a worker has the exchange. [loop] */
};

static struct admin_door *
door_of(struct http_exchange *x)
{
	return x->door_data;
}

static bool
is_socket(struct http_exchange *x)
{
	return strcmp(x->rq.door, "admin-socket") == 0;
}

static void
reply_bytes(struct http_exchange *x, int status, const char *type, struct bytes body)
{
	http_reply_header(x, "Content-Type", bytes_str(type));
	http_reply_header(x, "Cache-Control", BYTES_LITERAL("no-store"));
	/* A copy: the answer may outlive what it was made from. */
	http_reply(x, status, slice_copy(body));
}

static void
reply_error(struct http_exchange *x, enum rfs_err err)
{
	const struct error_face *face = error_face(err);
	const char *text = arena_printf(x->rq.arena, "%s: %s\n", face->name, x->rq.detail ? x->rq.detail : face->text);

	reply_bytes(x, face->http, "text/plain; charset=utf-8", bytes_str(text));
}

/* --- health and metrics ------------------------------------------------------------------------------------------- */

static void
health_live(struct http_exchange *x)
{
	reply_bytes(x, 200, "text/plain; charset=utf-8", BYTES_LITERAL("live\n"));
}

/* [worker]: a driver that cannot answer is not ready either. */
static void
health_ready_look(struct http_exchange *x)
{
	struct admin_door *d = door_of(x);
	struct metadata_driver *driver = metadata_driver(d->rpc.core->metadata);
	struct metadata_info info = {0};

	driver->ops->info(driver, &info);
	if (info.poisoned)
		x->user = arena_printf(x->rq.arena,
			"poisoned: %s failed, the log says why; nothing is written until a restart, reads go on\n", info.failed);
	else
		x->user = atomic_load(&d->ready) ? "ready\n" : "not ready: starting or stopping\n";
}

static void
health_ready_reply(struct http_exchange *x)
{
	const char *text = x->user;

	reply_bytes(x, strcmp(text, "ready\n") == 0 ? 200 : 503, "text/plain; charset=utf-8", bytes_str(text));
}

static void
health_ready(struct http_exchange *x)
{
	http_work(x, health_ready_look, health_ready_reply);
}

/* [worker]: some of them are looked up. */
static void
metrics_look(struct http_exchange *x)
{
	struct admin_door *d = door_of(x);

	process_metrics_set();
	metric_set(METRIC_WORKERS_WAITING, d->rpc.server ? http_server_queue(d->rpc.server) : 0);
}

static void
metrics_reply(struct http_exchange *x)
{
	struct buf text;

	buf_init(&text, NULL);
	metrics_text(&text);
	reply_bytes(x, 200, "text/plain; version=0.0.4; charset=utf-8", buf_bytes(&text));
	buf_fini(&text);
}

static void
metrics(struct http_exchange *x)
{
	http_work(x, metrics_look, metrics_reply);
}

/* --- /rpc --------------------------------------------------------------------------------------------------------- */

/* [worker]; again when what the call waits for was raised */
static void
rpc_run(struct http_exchange *x)
{
	struct admin_door *d = door_of(x);
	struct rpc_call *call = x->user;
	struct bytes body = buf_bytes(&call->body);
	enum rfs_err err = RFS_OK;

	call->rounds++;
	call->answer.len = 0;
	x->rq.wait = &call->wait;
	if (is_socket(x))
		x->rq.who = auth_root(d->rpc.core->auth);
	else
		err = admin_authenticate(d, x, body);
	x->rq.need = SPACE_FREES;
	call->status = 200;
	if (err) {
		call->status = error_face(err)->http;
		rpc_answer_error(&x->rq, err, &call->answer);
	} else if (!rpc_answer(&d->rpc, &x->rq, body, &call->answer))
		call->status = 204;
	/* Who looks on would see himself looking, for ever. */
	x->unseen = x->rq.operation && strncmp(x->rq.operation, "request.", 8) == 0;
}

static void
rpc_reply(struct http_exchange *x)
{
	struct rpc_call *call = x->user;

	if (call->status == 204)
		http_reply_head(x, 204, -1);
	else
		reply_bytes(x, call->status, "application/json", buf_bytes(&call->answer));
}

/* [any] */
static void
rpc_wake(struct wait *w)
{
	struct rpc_call *call = (struct rpc_call *)((char *)w - offsetof(struct rpc_call, wait));

	call->exchange->rq.wake(&call->exchange->rq);
}

static void rpc_ran(struct http_exchange *x);

static void
rpc_woken(struct http_exchange *x)
{
	struct rpc_call *call = x->user;

	if (call->wait.raised && call->rounds < RPC_ROUNDS_MOST)
		http_work(x, rpc_run, rpc_ran);
	else
		rpc_reply(x);
}

/* Who waits has no worker: he is a connection and a place in a list. */
static void
rpc_ran(struct http_exchange *x)
{
	struct rpc_call *call = x->user;

	call->operation = x->rq.operation;
	if (!wait_is_armed(&call->wait)) {
		rpc_reply(x);
		return;
	}
	http_suspend(x, rpc_woken);
	if (!waits_begin(&call->wait))
		rpc_wake(&call->wait);
}

static void
rpc_body(struct http_exchange *x)
{
	struct rpc_call *call = x->user;
	struct slice parts[RPC_BODY_PARTS];
	enum rfs_err err = http_body_error(x);
	size_t i, count;

	while ((count = http_body_take(x, parts, RPC_BODY_PARTS)) > 0)
		for (i = 0; i < count; i++) {
			/* A copy: JSON and its hash want the body in one piece. */
			if (call->body.len <= RPC_BODY_MAX)
				buf_put_bytes(&call->body, slice_bytes(parts[i]));
			slice_unref(&parts[i]);
		}
	if (err) {
		reply_error(x, err);
		return;
	}
	if (call->body.len > RPC_BODY_MAX) {
		x->keep_alive = false;
		reply_error(x, RFS_ERR_ENTITY_TOO_LARGE);
		return;
	}
	if (http_body_ended(x))
		http_work(x, rpc_run, rpc_ran);
	else
		http_body_read(x, RPC_BODY_MAX + 1 - call->body.len, rpc_body);
}

static void
rpc(struct http_exchange *x)
{
	struct rpc_call *call;

	if (x->content_length < 0 && !x->chunked) {
		reply_error(x, RFS_ERR_MISSING_CONTENT_LENGTH);
		return;
	}
	if (x->content_length > RPC_BODY_MAX) {
		x->keep_alive = false;
		reply_error(x, RFS_ERR_ENTITY_TOO_LARGE);
		return;
	}
	call = ARENA_NEW(x->rq.arena, struct rpc_call);
	call->exchange = x;
	call->wait = (struct wait){.wake = rpc_wake, .gone = &x->ended};
	buf_init(&call->body, x->rq.arena);
	buf_init(&call->answer, x->rq.arena);
	x->user = call;
	http_body_read(x, RPC_BODY_MAX + 1, rpc_body);
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

static const struct admin_path {
	const char *path;
	const char *method; /* GET answers HEAD too */
	void (*serve)(struct http_exchange *x);
} admin_paths[] = {
	{"/health/live", "GET", health_live},
	{"/health/ready", "GET", health_ready},
	{"/metrics", "GET", metrics},
	{"/rpc", "POST", rpc},
};

/* Somebody has taken this address for that of S3: as its clients show only what they understand, he is told in XML. */
static bool
refuse_s3(struct http_exchange *x)
{
	static const char answer[] =
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<Error><Code>InvalidRequest</Code><Message>This is the address of administration; S3 has another, "
		"port 9000 unless it was set</Message></Error>";
	struct bytes signature = http_header_get(x, "authorization");

	if (signature.len == 0 || !memmem(signature.data, signature.len, "/s3/aws4_request", 16))
		return false;
	reply_bytes(x, 400, "application/xml", bytes_str(answer));
	return true;
}

static enum http_repeat
repeat_rule(struct bytes name)
{
	return bytes_starts_with(name, BYTES_LITERAL("x-amz-")) ? HTTP_REPEAT_SINGLE : http_repeat_standard(name);
}

static void
admin_request(struct http_exchange *x)
{
	struct bytes repeated = x->repeats ? http_settle_repeats(x, repeat_rule) : (struct bytes){0};
	size_t i;

	if (repeated.len) {
		request_fail(&x->rq, RFS_ERR_INVALID_REQUEST, "a header that has one value came more than once: %.*s",
			(int)repeated.len, (const char *)repeated.data);
		reply_error(x, RFS_ERR_INVALID_REQUEST);
		return;
	}
	for (i = 0; i < sizeof(admin_paths) / sizeof(admin_paths[0]); i++) {
		const struct admin_path *p = &admin_paths[i];
		bool is_get = strcmp(p->method, "GET") == 0;

		if (!bytes_equal_str(x->path, p->path))
			continue;
		if (bytes_equal_str(x->method, p->method) || (is_get && x->head_request)) {
			p->serve(x);
			return;
		}
		http_reply_header(x, "Allow", bytes_str(is_get ? "GET, HEAD" : p->method));
		reply_error(x, RFS_ERR_METHOD_NOT_ALLOWED);
		return;
	}
	if (refuse_s3(x))
		return;
	request_fail(&x->rq, RFS_ERR_NOT_FOUND, "this address has /rpc, /metrics, /health/live and /health/ready");
	reply_error(x, RFS_ERR_NOT_FOUND);
}

static void
admin_tell(struct http_exchange *x, bool settled, struct http_seen *out)
{
	const struct rpc_call *call = bytes_equal_str(x->path, "/rpc") ? x->user : NULL;

	if (call)
		out->operation = call->operation;
	if (settled && x->rq.who)
		out->user = bytes_str(x->rq.who->name);
}

static void
admin_refuse(struct http_exchange *x, enum rfs_err err)
{
	reply_error(x, err);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct admin_door *
admin_door_new(
	struct core *core, const char *version, const struct store_drivers *drivers, struct fault_rules *faults)
{
	struct admin_door *d = xcalloc(1, sizeof(*d));

	d->rpc = (struct rpc){.core = core, .version = version, .started_ns = clock_monotonic_ns(), .drivers = drivers, .faults = faults};
	d->network = (struct http_door){.name = "admin", .request = admin_request, .refuse = admin_refuse, .data = d, .tell = admin_tell};
	d->socket =
		(struct http_door){.name = "admin-socket", .request = admin_request, .refuse = admin_refuse, .data = d, .tell = admin_tell};
	return d;
}

void
admin_door_free(struct admin_door *d)
{
	free(d);
}

const struct http_door *
admin_door_network(struct admin_door *d)
{
	return &d->network;
}

const struct http_door *
admin_door_socket(struct admin_door *d)
{
	return &d->socket;
}

void
admin_door_set_server(struct admin_door *d, struct http_server *server)
{
	d->rpc.server = server;
}

void
admin_door_set_waits(struct admin_door *d, struct waits *waits)
{
	d->rpc.waits = waits;
}

void
admin_door_set_endpoints(struct admin_door *d, const char *s3, const char *admin)
{
	snprintf(d->endpoints[0], sizeof(d->endpoints[0]), "%s", s3);
	snprintf(d->endpoints[1], sizeof(d->endpoints[1]), "%s", admin);
	d->rpc.endpoints[0] = d->endpoints[0];
	d->rpc.endpoints[1] = d->endpoints[1];
}

void
admin_door_set_ready(struct admin_door *d, bool ready)
{
	atomic_store(&d->ready, ready);
}
