/*
 * request.h: the context that goes with one request through every layer, as an argument.
 *
 * Owned by the door that made it. One thread at a time: a loop, or the worker that runs its current step.
 */
#ifndef BASE_REQUEST_H
#define BASE_REQUEST_H

#include "base/arena.h"
#include "base/errors.h"
#include "base/identity.h"

struct wait;

/* What a request may still do when the disk is nearly full. */
enum space_need {
	SPACE_ORDINARY, /* it is refused */
	SPACE_FREES,    /* deletes and changes of access: half of the reserve is theirs */
	SPACE_COMPACTS, /* all of it */
};

struct request {
	uint64_t id;                  /* unique in this process; printed as 16 hex digits in logs and answers */
	struct arena *arena;          /* lives as long as the request */
	const char *door;             /* "s3", "admin", ...: static text */
	const char *operation;        /* what the door took it for: static text; NULL: nothing yet */
	const struct identity *who;   /* NULL until authenticated; auth_anonymous() for nobody. Alive as long as the request */
	struct bytes peer;            /* address of the other side, as text */
	int64_t now_ns;               /* wall clock at the request's start, ns since 1970; every time that it writes */
	int64_t deadline_ns;          /* clock_monotonic_ns() after which nothing is retried; 0: none */
	bool may_block;               /* false on a loop: drivers then answer WOULD_BLOCK instead of waiting for a disk, and commits PENDING */
	void (*wake)(struct request *rq); /* a commit that was PENDING has ended. [any] Once for each, perhaps before PENDING is seen */
	void *pending;                /* the commit that is under way, kept by who began it */
	struct wait *wait; /* where it may wait for news that there are not yet (base/waits.h); NULL: it is answered at
			      once */
	enum space_need need;
	bool uncached;                /* blocks are to come from the disk itself, where that can be had: who looks for damage */
	bool over_tls;
	const char *detail;           /* what was being attempted when the first error happened, in the arena; NULL: the error's own text */
	const char *detail_resource;  /* the thing it was about, for errors that name one; may be NULL */
};

/* Records the detail, unless one is there, and returns `error`: `return request_fail(rq, RFS_ERR_X, "...", ...)`. */
enum rfs_err request_fail(struct request *rq, enum rfs_err error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Forgets the detail: before a retry. */
void request_clear_error(struct request *rq);
/* May a CONFLICT be tried again: the deadline has not passed and `attempt` (from 0) is below the limit. Sleeps a jittered while. [worker] */
bool request_may_retry(struct request *rq, unsigned attempt);

#endif
