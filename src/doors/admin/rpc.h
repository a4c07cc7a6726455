/*
 * rpc.h: JSON-RPC 2.0 over any transport: a text in, a text out. methods.def is the only list of methods.
 *
 * Specification: https://www.jsonrpc.org/specification. The caller has authenticated rq->who; here it is checked that
 * he is an administrator with a key that is not limited. Requests in a batch run one after another. [worker]
 */
#ifndef DOORS_ADMIN_RPC_H
#define DOORS_ADMIN_RPC_H

#include "core/core.h"
#include <jansson.h>

#define RPC_BATCH_MAX 100

struct http_server;
struct waits;

/* What methods act on. Read-only once the daemon is up. */
struct rpc {
	struct core *core;
	const char *version;
	int64_t started_ns; /* clock_monotonic_ns() */
	const struct store_drivers *drivers;
	struct fault_rules *faults; /* that the drivers obey; NULL: debug.* is refused */
	struct http_server *server; /* NULL: none is known */
	struct waits *waits;        /* where WAITS_LOG is raised; NULL: nobody waits */
	const char *_Atomic
		endpoints[2]; /* of S3 and administration; NULL: not known, as when it has just begun to listen */
};

/*
 * False: there is no answer to give (only notifications). Is rq->wait armed afterwards, then the answer says that there
 * is nothing new: it is to be given when the wait ends by itself, and rpc_answer called again when it was raised.
 */
bool rpc_answer(struct rpc *rpc, struct request *rq, struct bytes text, struct buf *out);
/* The answer to a request whose caller could not be authenticated: its id is not looked at. */
void rpc_answer_error(struct request *rq, enum rfs_err error, struct buf *out);

#endif
