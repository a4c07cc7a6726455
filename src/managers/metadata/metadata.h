/*
 * metadata.h: the metadata manager: rows, names, counters, the feed and the replacing of rows, over any metadata driver.
 *
 * Called by core and by the other managers. Read functions obey rq->may_block (WOULD_BLOCK); batches are built and committed anywhere.
 */
#ifndef MANAGERS_METADATA_METADATA_H
#define MANAGERS_METADATA_METADATA_H

#include "base/request.h"
#include "drivers/driver.h"
#include "managers/metadata/keys.h"
#include "managers/metadata/rows.h"

struct metadata;

/* Whose condition an operation of a batch is: what a CONFLICT means to its caller. */
enum batch_tag {
	TAG_NONE,      /* a lost race: read again and retry */
	TAG_CONDITION, /* the caller's own condition: re-read and judge it again */
	TAG_QUOTA,     /* a quota: QUOTA_EXCEEDED, unless another condition failed too */
};

struct metadata *metadata_new(struct metadata_driver *driver); /* [init] */
void metadata_free(struct metadata *m);
struct waits;
/* Whose topics are buckets: raised by each commit that a feed tells. [init] */
void metadata_set_waits(struct metadata *m, struct waits *waits);
struct metadata_driver *metadata_driver(struct metadata *m);
/* Members of an object that is open in `out`: its own state, for developers; the driver has its own. [worker] */
void metadata_describe(struct metadata *m, struct dump *out);

/* Rows. */
enum rfs_err metadata_get(struct metadata *m, struct request *rq, struct bytes key, struct row *out) RFS_MUST_CHECK;
enum rfs_err metadata_scan(struct metadata *m, struct request *rq, struct bytes from, struct bytes to, size_t limit, bool reverse,
	struct row_page *out) RFS_MUST_CHECK;
enum rfs_err metadata_counter(struct metadata *m, struct request *rq, struct bytes key, int64_t *out) RFS_MUST_CHECK;
/*
 * The counters of a kind and of numbers first..last (what is behind the kind in their keys), by one scan: for who looks
 * at many of which few are there. Where the numbers lie too far from each other, too many are there, or the scan fails,
 * the rest are looked at when they are asked for. In the request's arena.
 */
struct counter_range {
	uint64_t bucket;
	enum counter kind;
	uint64_t first, end; /* known: from first to before end */
	struct row_page page;
};
void counter_range_read(struct metadata *m, struct request *rq, uint64_t bucket, enum counter kind, uint64_t first,
	uint64_t last, struct counter_range *out);
enum rfs_err counter_range_get(struct metadata *m, struct request *rq, const struct counter_range *known,
	uint64_t number, int64_t *out) RFS_MUST_CHECK;
/* Waits until the batch is durable and visible; what the batch changed or found changed of a bucket's row is forgotten by the cache. [worker] */
enum rfs_err metadata_commit(struct metadata *m, struct request *rq, struct batch *batch) RFS_MUST_CHECK;
/* The same in two steps, for who may not wait: rq->wake is called when it has ended, and metadata_commit_end, which must follow, tells how. [any] */
void metadata_commit_begin(struct metadata *m, struct request *rq, struct batch *batch);
enum rfs_err metadata_commit_end(struct metadata *m, struct batch *batch) RFS_MUST_CHECK;
/* A 64-bit number never given before, for blocks and data ids; leased in ranges that are committed before use: WOULD_BLOCK when it is time for the next. */
enum rfs_err metadata_number(struct metadata *m, struct request *rq, unsigned count, uint64_t *first) RFS_MUST_CHECK;
/* Numbers given by processes before this one are below `out`. Before the first is given. [init] */
enum rfs_err metadata_numbers_before(struct metadata *m, struct request *rq, uint64_t *out) RFS_MUST_CHECK;

/*
 * The one function that replaces a row (or removes it: `value` empty data NULL): CHECKs the old serial, keeps the old row as `past` where a snapshot
 * needs it, and PUTs the new one. `old` may say found = false. An entry's row that is kept keeps its content: past_has.
 */
void metadata_replace(struct batch *b, const struct bucket_row *bucket, struct bytes key, const struct row *old, struct bytes value);
/* The row as it was at serial S: the live one, or a past one that was replaced or removed later. */
enum rfs_err metadata_get_at(struct metadata *m, struct request *rq, struct bytes key, uint64_t serial, struct row *out) RFS_MUST_CHECK;
/*
 * The rows with from <= key < to as they were at `serial`, by their own keys and with the serials that they had then;
 * ascending, or descending from `to`. Both ends are keys of one bucket, and what is between them is of one table whose
 * rows metadata_replace replaces. Reads at most `limit` live rows and `limit` of the past: a page with `more` may have
 * fewer rows than that, also none. Its `next` is the next page's `from`, or `to` if it descends.
 */
struct past_page {
	struct row *rows;
	size_t count;
	bool more;
	struct bytes next;
};
enum rfs_err metadata_scan_at(struct metadata *m, struct request *rq, struct bytes from, struct bytes to,
	uint64_t serial, size_t limit, bool reverse, struct past_page *out) RFS_MUST_CHECK;

/*
 * Is a content, which no other row names, named by rows of the past? By no more of them later: who keeps a row has
 * CHECKed it, when it was the content's. `past`: the counters COUNTER_PAST of the bucket.
 */
enum rfs_err past_has(struct metadata *m, struct request *rq, const struct counter_range *past, uint64_t data_id,
	bool *has) RFS_MUST_CHECK;

/* Buckets: by name, cached; NO_SUCH_BUCKET. The row is in the request's arena. */
enum rfs_err bucket_find(struct metadata *m, struct request *rq, struct bytes name, struct bucket_row *out) RFS_MUST_CHECK;
/* The first operation of every batch in a bucket: its row is as it was read. */
void bucket_check(struct batch *b, const struct bucket_row *bucket);
/* In its place: puts the row, changed or not, so that every batch that was built on what was read before is a CONFLICT. */
void bucket_put(struct batch *b, const struct bucket_row *bucket);

/*
 * A name, resolved. dirs[i] is the i-th component's directory entry, from the root down; those after the first that is not found are not
 * found either, and have new ids, ready to be made. The leaf is the key's last component ("" for a key that ends in '/').
 */
struct name_dir {
	uint8_t parent[OBJECT_ID_BYTES];
	struct bytes name; /* with its '/' */
	struct row row;    /* found or not */
	struct version version;
};
struct name_ref {
	struct bytes key;
	struct name_dir *dirs;
	size_t dir_count;
	uint8_t parent[OBJECT_ID_BYTES]; /* of the leaf */
	struct bytes name;
	struct row row;          /* the leaf's entry */
	bool found;              /* the key has a head: the leaf, or a directory's marker for `a/` */
	bool is_marker;          /* the head is dirs[dir_count - 1], listed as `a/` */
	struct version head;
};
/*
 * How long keys are. Whoever makes something may give it a key of up to KEY_MADE_BYTES (Amazon S3 user guide, "Naming Amazon S3 objects"). A directory's
 * move is one commit, which does not look at what is below it, and so may make longer keys of that: they are listed, and found by a key of up to
 * KEY_FOUND_BYTES. What is even longer is listed, and found again when a directory above it has got a shorter name.
 */
#define KEY_MADE_BYTES 1024
#define KEY_FOUND_BYTES 4096
/*
 * KEY_TOO_LONG: nothing is there by this key, nor may be made; `out` then says `found` false, and has no directories to rely on. An empty key is
 * INVALID_ARGUMENT.
 */
enum rfs_err name_resolve(struct metadata *m, struct request *rq, const struct bucket_row *bucket, struct bytes key, struct name_ref *out) RFS_MUST_CHECK;
/* Puts `version` as the head of a resolved name: directories that are missing, history, counters and the old content's purge included. Sets its modified time and object id if zero. */
enum rfs_err name_put(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, struct name_ref *at,
	struct version *version) RFS_MUST_CHECK;
/* Removes the head, and the directories that it leaves empty. */
enum rfs_err name_remove(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, struct name_ref *at) RFS_MUST_CHECK;
/*
 * Moves what `from` names to `to`, both resolved in one bucket: an object, in the place of one that is there; or, when the keys end in '/', a directory with all that is
 * below it, in the place of an empty one. `moved` is its version. A batch that moves a directory begins with bucket_put: every path through it has changed.
 * NO_SUCH_KEY, NOT_EMPTY, INVALID_ARGUMENT (one key ends in '/' and the other does not; into itself).
 */
enum rfs_err name_move(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, struct name_ref *from, struct name_ref *to,
	const struct version **moved) RFS_MUST_CHECK;
static inline bool
name_is_directory(struct bytes key)
{
	return key.len && key.data[key.len - 1] == '/';
}

/* What a bucket holds, or a user of it (QUOTA_OF_BUCKET: everybody). */
struct usage {
	int64_t objects, bytes;
};
enum rfs_err usage_get(struct metadata *m, struct request *rq, uint64_t bucket, uint64_t user, struct usage *out) RFS_MUST_CHECK;
/* `serial` 0: there is no such row, and no limit. */
enum rfs_err quota_get(struct metadata *m, struct request *rq, uint64_t bucket, uint64_t user, struct quota *out, uint64_t *serial) RFS_MUST_CHECK;
/* Before a body of so many more bytes comes: QUOTA_EXCEEDED. What counts is judged by the commit. */
enum rfs_err quota_admits(struct metadata *m, struct request *rq, const struct bucket_row *bucket, uint64_t owner, int64_t bytes) RFS_MUST_CHECK;

/* The feed: what a commit did. */
void feed_append(struct batch *b, struct request *rq, const struct bucket_row *bucket, enum change_kind kind, struct bytes name,
	const struct version *version);
void feed_append_rename(struct batch *b, struct request *rq, const struct bucket_row *bucket, struct bytes name, struct bytes new_name, const struct version *version);
/* `changed`: what of the bucket's own, words with commas between them. */
void feed_append_bucket(struct batch *b, struct request *rq, const struct bucket_row *bucket, struct bytes changed);

/*
 * Reading it. At most `limit` changes behind serial `after`, each with its own serial, in the request's arena; `more`: there are others. GONE: changes
 * behind `after` were pruned; behind `state.pruned` none was. INVALID_ARGUMENT: `after` has not been yet. DAMAGED: a change is missing. WOULD_BLOCK.
 */
struct feed_page {
	struct change_row *changes;
	size_t count;
	bool more;
	struct feed_state state;
};
/* From now on rq->wait hears of the bucket's changes: before they are read. False: it has none, or nobody is to wait
 * here. [worker] */
bool feed_wait(struct metadata *m, struct request *rq, uint64_t bucket);
enum rfs_err feed_page_read(struct metadata *m, struct request *rq, uint64_t bucket, uint64_t after, size_t limit, struct feed_page *out) RFS_MUST_CHECK;
enum rfs_err feed_state_get(struct metadata *m, struct request *rq, uint64_t bucket, struct feed_state *out) RFS_MUST_CHECK;
/* Of the last change, also when it was pruned; 0: there was none. */
enum rfs_err feed_last(struct metadata *m, struct request *rq, uint64_t bucket, uint64_t *serial) RFS_MUST_CHECK;
/* CHECKs the state as it was read, and puts it. */
void feed_state_put(struct batch *b, uint64_t bucket, const struct feed_state *state);
/*
 * Cursors, by name. Who puts one also puts the state in that batch, so that a pruning that has not seen it is a CONFLICT: it keeps what is behind the
 * cursor, from then on.
 */
#define FEED_CURSORS_MAX 1000 /* of a bucket, about: creations at the same time do not count each other */
struct feed_cursor {
	struct bytes name;
	struct cursor_row row;
};
enum rfs_err feed_cursors(struct metadata *m, struct request *rq, uint64_t bucket, struct feed_cursor **out, size_t *count) RFS_MUST_CHECK;
/* Pruning. 0: no limit. */
struct feed_limits {
	uint64_t rows;     /* more than so many go, */
	int64_t age_ns;    /* and what is older than this, */
	int64_t cursor_ns; /* but for what is behind a cursor that was set within this time */
};
/* A bounded step of it, or of counting; `more`: call again. [background] */
enum rfs_err feed_prune(struct metadata *m, struct request *rq, uint64_t bucket, const struct feed_limits *limits, bool *more) RFS_MUST_CHECK;

/*
 * Content that no row names any more: a purge row, which the reaper empties in bounded batches. Its value begins with the state; DEAD and STAGED are followed by
 * the content, UPLOAD by the upload's id and the numbers of the parts whose contents live on (varint count, varints), BUCKET by nothing.
 */
enum purge_state {
	PURGE_DEAD = 1,   /* no row names the content */
	PURGE_STAGED = 2, /* it is being written, or was when a process before this one ended */
	PURGE_UPLOAD = 3, /* the upload is over: its parts' rows go */
	PURGE_BUCKET = 4, /* the bucket was removed: uploads that were open are over */
};
void purge_put(struct batch *b, const struct bucket_row *bucket, enum purge_state state, const struct content *content);
/* DEAD, unless the content is empty. */
void purge_add(struct batch *b, const struct bucket_row *bucket, const struct content *content);
/* UPLOAD, under a number of its own (metadata_number). `live`: the parts whose contents live on. */
void purge_upload(struct batch *b, uint64_t bucket, uint64_t number, const uint8_t id[UPLOAD_ID_BYTES], const uint32_t *live, size_t live_count);
/* Is `number` among the parts whose contents live on? `live`: of the value of an UPLOAD's row what is behind its id. */
bool purge_keeps_part(struct reader live, uint32_t number);
/* BUCKET, under a number of its own, in the batch that removes the bucket. */
void purge_bucket(struct batch *b, uint64_t bucket, uint64_t number);
/*
 * Before somebody is told that there is nothing to change. POISONED: a commit that failed may be found after the next open, so that nobody knows. [worker]
 */
enum rfs_err metadata_writable(struct metadata *m) RFS_MUST_CHECK;
/* Takes the buckets in which something was purged since this was last asked; their list is the caller's, for free(). */
size_t metadata_purged(struct metadata *m, uint64_t **buckets);
/* To be given again: commits do it by themselves. */
void metadata_purge_note(struct metadata *m, uint64_t bucket);

/* A walk over the keys of a bucket in byte order, into directories. */
struct tree_walk;
struct tree_item {
	struct bytes key;        /* whole key; valid until the next call */
	bool is_prefix;          /* a directory that was not entered (key ends in '/') */
	struct version version;  /* not for prefixes */
};
/* Starts at the first key >= `from` that begins with `prefix`. `flat`: directories below the prefix's own are items, not entered. */
struct tree_walk *tree_walk_new(struct metadata *m, struct request *rq, const struct bucket_row *bucket, struct bytes prefix, struct bytes from,
	bool flat);
/* NOT_FOUND at the end. */
enum rfs_err tree_walk_next(struct tree_walk *w, struct tree_item *out) RFS_MUST_CHECK;

#endif
