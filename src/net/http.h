/*
 * http.h: the HTTP/1.1 server (RFC 9110, RFC 9112) as doors see it: a listener leads to one door, and each request with its
 * answer is an exchange.
 *
 * Everything here is [loop], on the exchange's own loop, unless it says otherwise. No function calls back inside itself:
 * callbacks run after the door's current callback has returned, and an exchange is not freed before that.
 *
 *   headers complete -> request(x) -> { http_body_read, http_work, http_hold, ... } -> http_reply... -> end(x)
 *
 * Invariants:
 * - request() is followed by exactly one end(); refuse() by none.
 * - One request of a connection is in the door at a time; the next is parsed when the answer has been written out.
 * - What never reaches request(): headers that could be read in two ways (then refuse), a second or missing Host in HTTP/1.1
 *   (refuse), CONNECT (refuse), and an Expect other than 100-continue (417, answered here).
 * - A loop never waits; what blocks goes through http_work. Then the worker owns the exchange, and the loop touches only `gone`.
 * - A body is read only when the door asks, so a slow client costs at most what was asked for, or 256 KiB if that is more.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/config.h"
#include "base/request.h"
#include "base/slice.h"
#include "net/loop.h"
#include "net/workers.h"
#include <stdatomic.h>

struct dump;
struct http_seen;
struct tls_context;

struct http_header {
	struct bytes name; /* lower case */
	struct bytes value; /* without white space around it; no control characters but tab */
};

/* One request and its answer. The door reads; what it may write says so. */
struct http_exchange {
	struct request rq; /* filled: id, arena, door, peer (the address without its port), now_ns, over_tls, wake. The door's to use */
	struct bytes method;
	struct bytes target; /* as sent */
	struct bytes path;   /* still percent-encoded; of an absolute target, what follows the host, at least "/" */
	struct bytes query;  /* without '?'; data is NULL when there is none */
	struct http_header *headers;
	size_t header_count;
	bool repeats;           /* a header came more than once: see http_settle_repeats */
	int64_t content_length; /* -1: none given: no body, unless chunked */
	bool chunked;
	bool keep_alive; /* the door may clear it before it answers: the connection closes after the answer */
	bool head_request;
	int minor;       /* HTTP/1.minor */
	void *door_data; /* the door's `data` */
	bool unseen;     /* the door may set it: who looks on is not told of it (http_seen.h) */
	int64_t started_ns; /* clock_monotonic_ns() at its headers' end */
	void *user;      /* the door's own state of this exchange; NULL at request() */
	atomic_bool gone; /* the connection has closed: answers are dropped. [any] may read it */
	/* The client has sent its last byte: it may still read an answer, or have gone, which only writing would show.
	 * A long wait ends with it. [any] may read it */
	atomic_bool ended;
};

struct http_door {
	const char *name; /* static */
	/* Headers are complete, the body has not been read. The door answers now or later. */
	void (*request)(struct http_exchange *x);
	/*
	 * A limit or a syntax error: answer in the door's form, with http_reply and before returning; the connection
	 * closes after it. method, target and headers may be missing. `error`: BAD_HTTP, URI_TOO_LONG,
	 * TOO_LARGE_HEADERS, NOT_IMPLEMENTED, REQUEST_TIMEOUT, SLOW_DOWN.
	 */
	void (*refuse)(struct http_exchange *x, enum rfs_err error);
	/* Exactly once after request(): answered or gone, no work running, nothing held. Frees what `user` owns; x is gone after it. May be NULL. */
	void (*end)(struct http_exchange *x);
	void *data;
	/*
	 * Adds what the door knows to what is told of a request: operation, bucket, key, user. Not `settled`: a worker has the exchange, and may be
	 * changing what it owns. May be NULL.
	 */
	void (*tell)(struct http_exchange *x, bool settled, struct http_seen *out);
	/*
	 * A body that is read, and has trailers behind its chunks, ends with NOT_IMPLEMENTED, for nobody would look at
	 * them; else they are passed over, as RFC 9110, 6.5.1 lets. A client need not announce them (6.6.2).
	 */
	bool refuses_trailers;
};

/* The value of the first header of this (lower-case) name; data is NULL when there is none. [any] */
struct bytes http_header_get(const struct http_exchange *x, const char *name);
struct loop *http_loop(struct http_exchange *x); /* [any] */
/* Few others are under way on its loop, so that what takes a moment longer keeps few waiting; and there is memory. [any] */
bool http_is_quiet(struct http_exchange *x);

/* What a header that comes in several lines is (RFC 9110, 5.3). */
enum http_repeat {
	HTTP_REPEAT_ANY,    /* nothing that a door looks at: the lines stay as they are */
	HTTP_REPEAT_LIST,   /* one list: the lines are joined */
	HTTP_REPEAT_SINGLE, /* an error: which of the values counts, nobody could say */
};
/* Of the headers of HTTP itself; `name` in lower case. */
enum http_repeat http_repeat_standard(struct bytes name);
/*
 * Joins by commas, and nothing else, as Signature V4 does, what `rule` says is a list; gives the name of a single one
 * that came more than once, or none. A door calls it before it reads headers, when `repeats` is set. [loop]
 */
struct bytes http_settle_repeats(struct http_exchange *x, enum http_repeat (*rule)(struct bytes name));

/*
 * Body. http_body_read asks for at least `min` bytes (of content, chunks undone), or its end, or an error; then `cb` runs. The
 * first ask sends 100 Continue to who expects it. One ask at a time; `min` 0 means 1.
 */
void http_body_read(struct http_exchange *x, size_t min, void (*cb)(struct http_exchange *x));
/* Bytes that a take would give. */
size_t http_body_buffered(const struct http_exchange *x);
/* Moves buffered slices out, in order, at most `max`; gives their number. */
size_t http_body_take(struct http_exchange *x, struct slice *out, size_t max);
/* Every byte of the body has been buffered; true with what is buffered not yet taken. */
bool http_body_ended(const struct http_exchange *x);
/* RFS_OK, INCOMPLETE_BODY (the client stopped short), REQUEST_TIMEOUT, BAD_HTTP (chunk syntax), NOT_IMPLEMENTED
 * (trailers), SLOW_DOWN (no memory, or others need it), CANCELLED (gone). The connection closes after the answer. */
enum rfs_err http_body_error(const struct http_exchange *x);

/*
 * Answer. Headers first, then http_reply, or http_reply_begin ... http_reply_end. Date, Server, Content-Length,
 * Transfer-Encoding and Connection are set here, not by doors. Slices are taken, also when the answer is dropped.
 */
/* A header whose value holds a control character is dropped, with a line in the log. */
void http_reply_header(struct http_exchange *x, const char *name, struct bytes value);
void http_reply_header_printf(struct http_exchange *x, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The whole answer. To HEAD: the length of `body`, but not its bytes. */
void http_reply(struct http_exchange *x, int status, struct slice body);
/* The whole answer without a body, with this Content-Length, for HEAD; -1: no such header. */
void http_reply_head(struct http_exchange *x, int status, int64_t content_length);
/* `content_length` -1: chunked (to HTTP/1.0: until the connection closes). */
void http_reply_begin(struct http_exchange *x, int status, int64_t content_length);
/* A slice_file not over TLS, which needs the bytes. */
void http_reply_send(struct http_exchange *x, struct slice part);
/* `cb` runs once when fewer than `below` bytes (at least 1) wait to be written, or gone. One at a time. */
void http_reply_on_drain(struct http_exchange *x, size_t below, void (*cb)(struct http_exchange *x));
size_t http_reply_unsent(const struct http_exchange *x);
/* The answer is complete. Short of the promised length: the connection is reset, so that the client sees it. */
void http_reply_end(struct http_exchange *x);
/* Resets the connection: for an error after http_reply_begin. */
void http_reply_abort(struct http_exchange *x);
/* Has an answer been begun? */
bool http_replied(const struct http_exchange *x);

/*
 * Runs fn on a worker, then done on the loop, also if the connection goes away meanwhile. One at a time; body and drain
 * callbacks wait until it is done, while the body goes on being received. rq.may_block is true in fn.
 * fn may read the exchange and use its arena, and calls nothing of this header but what says [any].
 */
void http_work(struct http_exchange *x, void (*fn)(struct http_exchange *x), void (*done)(struct http_exchange *x));
/*
 * A wait of the door's own, as if a worker had the exchange: after rq.wake, called once from any thread, perhaps before the suspend but after
 * the door's current callback began, done runs on the loop.
 */
void http_suspend(struct http_exchange *x, void (*done)(struct http_exchange *x));
/* Keeps the exchange alive; each hold needs its release, on the loop. */
void http_hold(struct http_exchange *x);
void http_release(struct http_exchange *x);

/* Limits; sizes in bytes. */
struct http_options {
	size_t header_bytes;
	size_t header_count;
	int64_t header_time_ms;
	int64_t idle_time_ms;
	size_t body_rate;               /* least bytes a second of a body, on average over the time to idle; 0: any */
	size_t connections;             /* of a listener */
	size_t connections_in_all;      /* of the server, but for a few of each listener; 0: not limited */
	size_t connections_per_address; /* of the server */
	size_t body_memory;
};
void http_options_from(struct http_options *o, const struct config *c);

struct http_server;
#define HTTP_ERROR_BYTES 512
/* `options` is copied; loops and workers outlive the server. [init] */
struct http_server *http_server_new(struct loops *loops, struct workers *workers, const struct http_options *options);
/*
 * Listens on "host:port", "[v6]:port" or ":port" (every address); port 0: a free one, told through `port` (may be NULL). The
 * door is copied. `tls` NULL: plain. INVALID_ARGUMENT, or the system's error, described in `error`. [init]
 */
RFS_MUST_CHECK enum rfs_err http_server_listen(struct http_server *s, const char *address, const struct http_door *door,
	struct tls_context *tls, unsigned *port, char error[HTTP_ERROR_BYTES]);
/*
 * Listens on a socket in the file system, which takes the place of one that is there: mode 0600, plain, with an empty
 * rq.peer. The system's error, described in `error`. [init]
 */
RFS_MUST_CHECK enum rfs_err http_server_listen_unix(
	struct http_server *s, const char *directory, const char *name, const struct http_door *door,
	char error[HTTP_ERROR_BYTES]);
/* Steps of requests that no worker has begun. [any] */
unsigned http_server_queue(struct http_server *s);
/* Members of an object that is open in `out`: its state, for developers. While it is not being stopped. [worker] */
void http_server_describe(struct http_server *s, struct dump *out);
/* Stops accepting, closes idle connections, lets exchanges finish for `grace_ms`, then cuts them; returns when all have ended. [init] */
void http_server_stop(struct http_server *s, int64_t grace_ms);
/* After http_server_stop. [init] */
void http_server_free(struct http_server *s);

#endif
