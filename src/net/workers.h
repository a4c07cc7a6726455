/*
 * workers.h: the pool of threads that may block, on disks and drivers but never on a socket. A queue, first in first out.
 *
 * Threads are started as jobs need them, up to the limit, and stay.
 */
#ifndef NET_WORKERS_H
#define NET_WORKERS_H

struct dump;
struct workers;

/* The memory is the caller's, and is the pool's until `fn` starts, which may free it. */
struct job {
	void (*fn)(struct job *job); /* [worker] */
	struct job *next;            /* private */
};

struct workers *workers_new(unsigned most);
/* [any] */
void workers_run(struct workers *w, struct job *job);
/* Jobs that no thread has begun. [any] */
unsigned workers_waiting(struct workers *w);
/* Members of an object that is open in `out`. [any] */
void workers_describe(struct workers *w, struct dump *out);
/* Runs what is queued to its end and joins the threads. Nothing may be queued from outside any more; jobs may still queue jobs. [init] */
void workers_stop(struct workers *w);
/* After workers_stop. [init] */
void workers_free(struct workers *w);

#endif
