/*
 * s3_door.h: Amazon S3's protocol over the verbs of core.
 *
 * The daemon makes one door and gives it to the HTTP listeners of the S3 address. A request walks like this, each step
 * in the file named:
 *
 *     request() on the loop -> s3_route.c: which operation of s3_operations.def; are all its headers and parameters
 * known
 *       -> s3_request.c: who asks (Signature Version 4, or nobody)
 *       -> s3_body.c: a body, unframed and checked against what was claimed of it
 *       -> the operation's own file: reads its arguments, calls its verb, writes its answer
 *       -> s3_reply.c: the answer's head and bytes, or s3_error.c: the error's face
 *
 * An operation marked S3_ON_LOOP is tried on the loop with rq->may_block false; what answers WOULD_BLOCK is run again
 * on a worker. Everything else runs on a worker. An exchange is used by one thread at a time: its loop, or the worker
 * that runs its current step.
 */
#ifndef DOORS_S3_S3_DOOR_H
#define DOORS_S3_S3_DOOR_H

struct config;
struct core;
struct http_door;

/* [init] `core` and `config` must outlive the door. */
struct http_door *s3_door_new(struct core *core, const struct config *config);
/* After the last exchange. */
void s3_door_free(struct http_door *door);

#endif
