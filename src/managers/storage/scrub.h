/*
 * scrub.h: damage, looked for before a reader meets it, and what is known of it.
 *
 * A scrub reads every block of every object, and of every upload, at a set rate (scrub.* in options.def), and begins
 * again after a while; a verify does so with one bucket, for who asks. Both take the store as it changes: an object
 * that was replaced meanwhile is not damaged. What they or a reader find is told in the log, counted, and kept, over a
 * restart too, until the object is replaced or removed, or one of them has read it whole.
 *
 * Both read the disk itself (request.h, `uncached`), where the file system can do so: the page cache may have bytes
 * that the disk has lost, and what is read once a week should not push out what others need. It costs less of the
 * processor than filling the cache (per GiB 1.1 s against 2.0 s), and time: without reading ahead 200 MB/s where 340
 * were possible, which is far above the scrub's rate.
 *
 * Over a restart are kept: when the last whole round was, what it read and how many it found; and where a round was
 * broken off, once a minute and at a stop.
 */
#ifndef MANAGERS_STORAGE_SCRUB_H
#define MANAGERS_STORAGE_SCRUB_H

#include "managers/storage/storage.h"

/* An object, or a part of an upload, whose bytes cannot be given. */
struct damage_info {
	struct bytes bucket, key;
	const char *text;     /* what was found */
	const char *found_by; /* "read", "scrub", "verify", "salvage" */
	int64_t found_ns;     /* wall clock */
};

/* `row`: of the entry, or of the part of an upload, that has the content `data_id`: once it has another, or is gone,
 * there is no damage. [any] */
void damage_note(struct storage *s, const struct bucket_row *bucket, struct bytes key, struct bytes row,
	uint64_t data_id, const char *found_by, const char *text);
/* Is this content known to be damaged? [any] */
bool damage_is_known(struct storage *s, uint64_t bucket, uint64_t data_id);
/* It was read whole: the disk, or a file of the store, is back. [any] */
void damage_repaired(struct storage *s, const struct bucket_row *bucket, struct bytes key, uint64_t data_id);
/* What is known of objects that are still there as they were found; in the request's arena. [worker] */
enum rfs_err damage_list(struct storage *s, struct request *rq, struct damage_info **out, size_t *count) RFS_MUST_CHECK;

struct scrub_status {
	bool running;
	int64_t started_ns;  /* of the round under way, or the last one, perhaps of a process before this one; 0: there was none */
	int64_t finished_ns; /* of the last whole round */
	uint64_t objects, bytes; /* of the round under way, or the last one; bytes as stored */
	uint64_t damaged;        /* objects that it found */
	char bucket[64];         /* where it is */
};
void scrub_status(struct storage *s, struct scrub_status *out); /* [any] */
/* A round begins now, unless one is under way. [any] */
void scrub_start(struct storage *s);

#define VERIFY_LISTED 1000
struct verify_report {
	uint64_t objects, bytes;
	uint64_t damaged;
	struct damage_info *list; /* of these, the first VERIFY_LISTED; in the request's arena */
};
/* Reads a bucket's objects and uploads at scrub.verify_rate, one bucket at a time: SLOW_DOWN while another is read. SHUTTING_DOWN [worker] */
enum rfs_err bucket_verify(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct verify_report *out) RFS_MUST_CHECK;

#endif
