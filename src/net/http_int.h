/*
 * http_int.h: what the files of the HTTP server share. Everything is [loop] unless it says otherwise.
 *
 * A connection (http_conn) is small and lives as long as its socket; a turn (http_turn) is one request with its answer, exists
 * only while there is one, and comes from a pool of its loop. The door's calls only change a turn and mark its connection;
 * conn_advance does what follows from that: after a read, or before the loop sleeps (http_loop.prepare).
 *
 *            first byte            headers complete: request()
 *   IDLE ------------> HEADERS ---------------------------> EXCHANGE --answered--> (DRAIN) --> IDLE
 *     \                   | limit, syntax: refuse()            |                      |
 *      \                  +----------------------------------> |   must close, or the body's rest is too long
 *       \                                                      v                      v
 *        +------> CLOSED <--- the peer closes, or 3 s --- LINGER <--------------------+
 *
 * Any state goes to CLOSED on a socket error or a time-out; a turn then becomes `gone` and lives until nothing holds it.
 */
#ifndef NET_HTTP_INT_H
#define NET_HTTP_INT_H

#include "net/http.h"
#include "net/tls_stream.h"
#include <assert.h>
#include <llhttp.h>
#include <pthread.h>
#include <stdatomic.h>

#define HTTP_READ_BYTES ((size_t)64 * 1024)          /* the read buffer that a loop's connections share */
#define HTTP_SHORT_BYTES ((size_t)4 * 1024)          /* as much is read at a time, and of a header block kept, when memory is short */
#define HTTP_FREE_BYTES (2 * HTTP_SHORT_BYTES)       /* of its input and headers that a connection may keep uncounted */
#define HTTP_FILL_BYTES ((size_t)256 * 1024)         /* memory that a large body is read into, at a time */
#define HTTP_READ_AHEAD_BYTES ((size_t)2048 * 1024)  /* body that may wait for the door without its asking */
#define HTTP_DIRECT_BYTES ((int64_t)16 * 1024)       /* a body with more than this to come is read in place */
#define HTTP_DRAIN_BYTES ((size_t)64 * 1024)         /* body that is dropped so that the connection can be kept */
#define HTTP_WRITE_BYTES ((size_t)512 * 1024)        /* handed to the kernel at a time, once it has been full */
#define HTTP_LINGER_MS 3000
#define HTTP_LOOP_HANDLES 3 /* prepare, tick, hungry */

struct http_conn;
struct http_turn;

/* Memory that bodies hold: counted, and shared with slices that may outlive the server. [any] */
struct http_budget {
	atomic_size_t references;
	atomic_size_t used;
	atomic_size_t starved; /* connections that wait for some */
	atomic_size_t freed;   /* by bodies, turns and connections since the allocator was last asked to give back */
	size_t limit;
};

/* Connections of one deadline, oldest first: the time is the same for all, so a refresh is a move to the tail. */
enum http_timer {
	HTTP_TIMER_NONE,
	HTTP_TIMER_HEADER, /* a request's headers, in all */
	HTTP_TIMER_IDLE,   /* between requests, and while a body is awaited */
	HTTP_TIMER_OUTPUT, /* the next look whether the peer reads */
	HTTP_TIMER_LINGER,
	HTTP_TIMER_COUNT
};

struct http_link {
	struct http_link *prev, *next;
};

/* The server's part on one loop. */
struct http_loop {
	struct http_server *server;
	struct loop *loop;
	uv_prepare_t prepare; /* runs `dirty` before the loop sleeps */
	uv_timer_t tick;      /* coarse; runs while there are connections */
	uv_timer_t hungry;    /* looks after `starved`; runs while there are any */
	struct http_link conns;
	struct http_link timers[HTTP_TIMER_COUNT];
	struct http_conn *dirty, *dirty_last;
	struct http_conn *starved;
	struct http_turn *pool;
	unsigned pooled;
	atomic_uint turns; /* exchanges under way */
	size_t count;
	size_t freed_seen; /* at the last tick */
	int64_t date_second;
	char date[30];
	uint8_t *plain;  /* HTTP_READ_BYTES: what sockets or TLS give */
	uint8_t *cipher; /* HTTP_READ_BYTES: what TLS sockets give; allocated when there is one */
};

struct http_acceptor {
	uv_tcp_t tcp;
	struct http_loop *hl;
	struct http_listener *listener;
};

struct http_listener {
	struct http_listener *next;
	struct http_server *server;
	struct http_door door;
	struct tls_context *tls;
	unsigned opened; /* acceptors that have a handle; [init] */
	atomic_size_t connections;
	struct http_acceptor acceptors[]; /* one a loop */
};

struct http_peers;

struct http_server {
	struct loops *loops;
	struct workers *workers;
	struct http_options options;
	struct http_budget *budget;
	struct http_peers *peers;
	struct http_trace *trace;
	struct http_listener *listeners; /* [init] */
	atomic_size_t connections;
	atomic_bool stopping;
	pthread_mutex_t lock; /* live, wanted */
	pthread_cond_t ended; /* live has come down to wanted */
	size_t wanted;
	size_t live;          /* open handles: acceptors, loops' own, connections */
	unsigned loop_count;
	struct http_loop at[];
};

/* Received and not yet consumed. `owned` is its malloc'ed memory of `size`; NULL: it lies in the loop's buffer, until conn_advance ends. */
struct http_input {
	const uint8_t *data;
	size_t len;
	uint8_t *owned;
	size_t size;
};

enum conn_state { CONN_IDLE, CONN_HEADERS, CONN_EXCHANGE, CONN_DRAIN, CONN_LINGER, CONN_CLOSED };

struct http_conn {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
	};
	struct http_loop *hl;
	struct http_listener *listener;
	struct http_turn *turn; /* NULL in IDLE and LINGER */
	struct tls_stream *tls; /* NULL: plain */
	struct http_link all;
	struct http_link time;
	uint64_t deadline_ms;
	struct http_conn *dirty_next;
	struct http_conn *starved_next;
	struct http_input in;
	size_t held; /* input and header block, beyond HTTP_FREE_BYTES: counted in the budget */
	size_t cipher_writing; /* bytes of TLS in uv_write */
	size_t came;       /* bytes since the timer was set */
	size_t queue_seen; /* bytes in the kernel's way at the last look: another number now is progress */
	uint8_t address[16];
	char peer[48];
	enum conn_state state : 8;
	enum http_timer timer : 8;
	uint8_t looks; /* one after the other, without progress */
	bool reading : 1;
	bool eof : 1;       /* the peer has sent its last byte */
	bool served : 1;    /* has had a request */
	bool advancing : 1;
	bool is_dirty : 1;
	bool is_starved : 1;
	bool handle_closed : 1;
	bool counted : 1;   /* in the address table */
	bool fin_sent : 1;
};

struct http_span {
	uint32_t at, len; /* in turn.raw */
};

struct http_header_span {
	struct http_span name, value;
};

enum reply_state { REPLY_NONE, REPLY_BEGUN, REPLY_ENDED };

struct http_part {
	struct slice slice;
	size_t charge; /* bytes counted in the budget */
};

struct http_turn {
	struct http_exchange x; /* first: the door's view */
	struct http_conn *conn;
	struct http_loop *hl;
	llhttp_t parser;
	struct http_turn *next_free;

	/* Headers, while they arrive: the raw block, contiguous; malloc'ed, as an arena would keep what it grew out of. */
	struct buf raw;
	struct http_span url;
	struct http_header_span *spans;
	size_t span_count, span_room;
	bool in_name;
	bool headers_done;
	enum rfs_err parse_error;

	/* Body. Its memory is never the arena's: a worker may be using that. */
	int64_t body_left;   /* of content_length, not received */
	bool body_done;      /* nothing more belongs to this request */
	bool body_asked;
	bool body_admitted;  /* by the budget */
	bool expects_continue;
	bool drop_body;
	size_t overhead;     /* bytes of this chunk's extensions, or of trailers */
	size_t dropped;
	struct slice *slices; /* ring of full ones: slices[slice_first .. +slice_count) */
	size_t slice_first, slice_count, slice_room;
	struct http_fill *fill; /* being filled; NULL: none */
	size_t fill_given, fill_len;
	size_t buffered;
	size_t body_min;
	void (*body_cb)(struct http_exchange *x);
	enum rfs_err body_error;

	/* Answer. */
	struct buf head;  /* the door's headers; memory kept with the turn */
	struct buf first; /* status line and our headers */
	enum reply_state reply;
	bool reply_chunked;
	bool reply_bodyless; /* HEAD, 204, 304: bytes are dropped */
	bool reset;          /* abort, or short of the promise */
	bool closes;         /* the answer said so, or the request cannot be followed by another */
	int64_t reply_left;  /* of the promised length; -1: none was */
	struct http_part *parts;
	size_t part_first, part_count, part_room, part_offset;
	size_t out_bytes;
	uv_write_t write;
	size_t writing; /* bytes in uv_write */
	uint8_t *copy;  /* what uv_write has of a file; malloc'ed */
	size_t drain_below;
	void (*drain_cb)(struct http_exchange *x);

	int status;                /* answered; 0: nothing yet */
	uint64_t received;         /* bytes of the body, as they came */
	uint64_t answered;         /* bytes of the answer's body that the door has given */

	uint64_t moved_ms;  /* when the client last took or gave something worth the name: http_shed.c */
	size_t moved_bytes; /* since then */

	/* Work. */
	struct job job;
	struct loop_task task;
	void (*work_fn)(struct http_exchange *x);
	void (*work_done)(struct http_exchange *x);
	bool working;
	unsigned holds;
	bool in_door; /* request() was called, end() was not */
};

static inline struct http_turn *
turn_of(const struct http_exchange *x)
{
	return (struct http_turn *)x;
}

/* http_accept.c */
void conn_open(struct http_acceptor *acceptor);

/* http_conn.c */
void conn_advance(struct http_conn *c);
/* The door has changed something: advance soon. */
void conn_touch(struct http_conn *c);
void conn_close(struct http_conn *c, bool reset);
void conn_timeout(struct http_conn *c);
void conn_stop(struct http_conn *c);
/* Of an exchange: nothing goes on before the client sends, or reads. */
bool conn_awaits_client(const struct http_conn *c);
/* Ends the exchange for the sake of the others: told so while it can be. */
void conn_shed(struct http_conn *c);

/* http_input.c */
void input_skip(struct http_input *in, size_t len);
void input_clear(struct http_input *in);
/* What lies in the loop's buffers becomes the connection's own. */
void input_keep(struct http_conn *c);
/* Counts what the connection keeps; `bytes` 0: it has closed. */
void input_count(struct http_conn *c, size_t bytes);
/* How much to read at once; 0: nothing now. */
size_t input_room(const struct http_conn *c);
/* Is there memory for more of a header block? Else the connection waits for some. */
bool input_header_wanted(struct http_conn *c);

/* http_turn.c */
struct http_turn *turn_new(struct http_conn *c);
void turn_free(struct http_turn *t); /* back to the pool */
void turn_fini(struct http_turn *t); /* out of the pool, for good */
void turn_begin(struct http_turn *t);
void turn_refuse(struct http_turn *t, enum rfs_err error);

/* http_parse.c: consumes input; true when the headers are complete or an error is in parse_error. */
void parse_init(struct http_turn *t);
bool parse_input(struct http_turn *t, struct http_input *in);
/* Undoes chunks into body_append; updates body_done or body_error. */
void parse_chunks(struct http_turn *t, struct http_input *in);

/* http_request.c: what complete headers mean; BAD_HTTP where they are not allowed. */
enum rfs_err request_fill(struct http_turn *t);

/* http_body.c */
void body_fini(struct http_turn *t);
bool body_wanted(struct http_turn *t);
bool body_ready(const struct http_turn *t);
void body_consume(struct http_turn *t, struct http_input *in);
void body_append(struct http_turn *t, const uint8_t *data, size_t len);
/* Where the socket may write body bytes itself; false: use the loop's buffer. */
bool body_direct(struct http_turn *t, uint8_t **base, size_t *len);
void body_direct_done(struct http_turn *t, size_t len);
void body_fail(struct http_turn *t, enum rfs_err error);

/* http_budget.c [any] */
struct http_budget *budget_new(size_t limit);
void budget_unref(struct http_budget *b);
void budget_charge(struct http_budget *b, size_t len);
void budget_release(struct http_budget *b, size_t len);
/* Memory that was never charged has been freed. */
void budget_freed(struct http_budget *b, size_t len);
bool budget_exhausted(const struct http_budget *b);
/* But for `own` bytes of what is used: nobody waits for himself. */
bool budget_exhausted_by_others(const struct http_budget *b, size_t own);
/* Memory whose charge goes when its last slice does. NULL when it cannot be had. */
struct http_fill {
	struct slice_owner owner;
	struct http_budget *budget;
	size_t size;
	_Alignas(16) uint8_t data[];
};
struct http_fill *fill_new(struct http_budget *b, size_t size);

/* http_output.c */
void output_push(struct http_turn *t, struct slice slice, bool charge);
void output_consume(struct http_turn *t, size_t len);
/* What to write next of what is in memory, at most `most` buffers and about `bytes`; their number. */
unsigned output_gather(const struct http_turn *t, uv_buf_t *bufs, unsigned most, size_t bytes);
void output_clear(struct http_turn *t);
/* False: the connection has failed. */
RFS_MUST_CHECK bool output_flush(struct http_conn *c);

/* http_response.c */
void reply_continue(struct http_turn *t);
const char *http_reason(int status);

/* http_describe.c: what an exchange does, or waits for. */
const char *conn_activity(const struct http_conn *c);

/* http_seen.c */
struct http_trace *trace_new(void);
void trace_free(struct http_trace *trace);
/* [any] */
bool trace_is_on(const struct http_trace *trace);
/* Its request has ended. */
void turn_trace(struct http_turn *t);

/* http_shed.c */
void turn_moved(struct http_turn *t, size_t bytes);
void turn_moves(struct http_turn *t);
void http_loop_shed(struct http_loop *hl);

/* http_trim.c: at each tick. True: to be asked again, also when there are no connections. */
bool http_loop_trim(struct http_loop *hl);

/* http_timer.c */
#define HTTP_OUTPUT_LOOKS 4 /* within the time to idle */
void timer_set(struct http_conn *c, enum http_timer kind, bool refresh);
void timer_tick(struct http_loop *hl);

/* http_peers.c [any] */
struct http_peers *peers_new(void);
void peers_free(struct http_peers *p);
/* Counts one more; false, and not counted, when there are `most`. */
bool peers_enter(struct http_peers *p, const uint8_t address[16], size_t most);
void peers_leave(struct http_peers *p, const uint8_t address[16]);

/* http_loop.c, http_server.c */
void http_loop_open(struct http_loop *hl);
void http_loop_count(struct http_loop *hl, int change);
void http_loop_close(struct http_loop *hl);
void http_loop_fini(struct http_loop *hl);
/* Waits for memory of bodies. */
void http_loop_starve(struct http_conn *c);
void http_loop_unstarve(struct http_conn *c);
void server_enter(struct http_server *s);
void server_leave(struct http_server *s);
/* On the server's list. [init] */
struct http_listener *listener_new(struct http_server *s, const struct http_door *door, struct tls_context *tls);
/* Takes connections from a bound socket on the next loop: at most one a loop. 0 or -errno; the socket is taken. [init] */
int listener_open(struct http_listener *l, int fd);
uint8_t *http_loop_cipher(struct http_loop *hl);
const char *http_loop_date(struct http_loop *hl);

static inline void
link_init(struct http_link *l)
{
	l->prev = l->next = l;
}

static inline void
link_append(struct http_link *list, struct http_link *l)
{
	l->prev = list->prev;
	l->next = list;
	list->prev->next = l;
	list->prev = l;
}

static inline void
link_remove(struct http_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

#define CONN_OF(link, member) ((struct http_conn *)((char *)(link) - offsetof(struct http_conn, member)))

#endif
