/*
 * http_seen.h: requests as an operator sees them: those under way, and those that have ended, while somebody asks for them.
 *
 * What is under way is read from the loops' own lists when it is asked for: a request pays nothing. What has ended is put into a ring of bounded memory
 * (base/ring.h) for as long as somebody has read it within the last minutes; else a request pays for the look whether it is so.
 *
 * Nothing of a query, header or body is told: there are signatures and secrets in them.
 */
#ifndef NET_HTTP_SEEN_H
#define NET_HTTP_SEEN_H

#include "base/ring.h"
#include "net/http.h"

struct wait;
struct waits;

/* Texts are valid during the call that gives it. */
struct http_seen {
	uint64_t id;
	const char *door;
	const char *operation; /* static; NULL: not known (yet) */
	struct bytes method, path;
	struct bytes bucket, key; /* empty: none, or not known */
	struct bytes user;        /* empty: not known */
	struct bytes peer;        /* empty: a socket of this machine */
	const char *does;         /* static; of one under way: what it waits for */
	int64_t began_ns;         /* wall clock */
	int64_t duration_ns;      /* so far, or in all */
	uint64_t received, sent;  /* bytes of bodies */
	int64_t length;           /* of the body that is received, where it said so; -1 */
	int status;               /* 0: nothing was answered */
};
typedef void http_seen_fn(void *data, const struct http_seen *seen);

/* Requests under way, at most `most`. Each loop calls `fn` for its own, one loop after the other. [worker] */
void http_server_live(struct http_server *s, size_t most, http_seen_fn *fn, void *data);

/* Where readers of the trace wait: topic WAITS_TRACE is raised for each. [init] */
void http_server_set_waits(struct http_server *s, struct waits *waits);
/*
 * Requests that have ended behind `after`, about `bytes` of records; `after` NULL: from now on. Keeps them being recorded. With `wait`, that is armed for the next one,
 * before it looks. [worker]
 */
void http_trace_read(struct http_server *s, const uint64_t *after, size_t bytes, struct wait *wait, http_seen_fn *fn, void *data, struct ring_page *page);

#endif
