/*
 * check_int.h: what the files of the check share.
 *
 *   check.c          the buckets, one after another, and the order of what is done with each
 *   check_domain.c   identities, names, access keys, numbers
 *   check_tree.c     entries, from the root down: directories, their counters; which entries cannot be reached
 *   check_uploads.c  uploads, their parts, and what is being purged
 *   check_contents.c from a content to its segments, parts and runs
 *   check_owners.c   each content has one owner, each segment and index of parts a content
 *   check_past.c     rows that a snapshot needs, and their contents
 *   check_blocks.c   runs: who names them, how often, their hash rows; and their bytes
 *   check_feed.c     the chain of changes
 *   check_volumes.c  the log, seals and checkpoints, which no row names
 *   check_suspects.c which object is it that a wrong row or a damaged block belongs to?
 *   check_rows.c     findings, and pages of rows
 *   check_tally.c    counting by number, in bounded memory
 */
#ifndef CHECK_CHECK_INT_H
#define CHECK_CHECK_INT_H

#include "check/check.h"
#include "managers/metadata/keys.h"
#include "managers/metadata/rows.h"

/* --- check_tally.c
 * ------------------------------------------------------------------------------------------------------------- */

/* A number, or an id of 16 bytes. */
struct tally_key {
	uint64_t high, low;
};

struct tally_item {
	struct tally_key key;
	int64_t count;
	uint64_t mark; /* the user's */
	bool used;
};

/*
 * Counts in rounds: each round has the keys from `from` up to `to`, as many as may be kept. The rows are gone through
 * once a round.
 */
struct tally {
	struct tally_item *slots;
	size_t slot_count, count, most;
	struct tally_key from, to;
	bool more; /* there are keys at or beyond `to` */
};

void tally_init(struct tally *t, size_t most);
void tally_fini(struct tally *t);
bool tally_covers(const struct tally *t, struct tally_key key);
/* The item, made if need be; NULL: another round's. Valid until the next call. */
struct tally_item *tally_at(struct tally *t, struct tally_key key);
/* NULL: it was not counted in this round. */
struct tally_item *tally_find(const struct tally *t, struct tally_key key);
/* On to the next round; false: this was the last. */
bool tally_next(struct tally *t);

static inline struct tally_key
tally_number(uint64_t number)
{
	return (struct tally_key){0, number};
}

static inline struct tally_key
tally_id(const uint8_t id[16])
{
	return (struct tally_key){load_be64(id), load_be64(id + 8)};
}

/* --- check_suspects.c
 * ---------------------------------------------------------------------------------------------------------- */

#define SUSPECTS_MOST 1024

enum suspect_kind { SUSPECT_DATA, SUSPECT_RUN };

struct suspect {
	enum suspect_kind is;
	uint64_t number; /* data id, or a run's first */
	enum check_kind finding;
	bool each; /* every object that names it is reported, not only the first */
	char *text;
	uint64_t seen; /* the visit that named it last; 0: none */
};

/* --- the check
 * ----------------------------------------------------------------------------------------------------------------- */

struct check {
	struct metadata_driver *metadata;
	struct storage_driver *storage;
	const struct check_options *options;
	struct check_totals *totals;
	struct request rq; /* its arena is for the row in hand */
	uint64_t numbers;  /* those from here on were never given */

	/* The bucket in hand. */
	struct bucket_row bucket;
	bool unread; /* its row is not there, or cannot be read: nobody knows how large blocks and segments are */
	char bucket_name[64];
	uint64_t entries;                /* rows of its entries */
	uint64_t feed_pruned, feed_last; /* serials of the last change that was removed, and of the last; 0: none */

	struct suspect suspects[SUSPECTS_MOST];
	size_t suspect_count;
	bool resolving; /* contents are gone through to find whose the suspects are: nothing else is reported */
	uint64_t visit; /* of an object */
};

/* --- check_rows.c
 * -------------------------------------------------------------------------------------------------------------- */

/* Reports. A key that is none: bytes_of(NULL, 0). */
void check_found(struct check *c, enum check_kind kind, struct bytes key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Rows from one key to another, in order, a page at a time. Rows that the driver cannot read are reported and end it.
 */
struct check_rows {
	struct check *check;
	struct request rq; /* with the page's arena */
	struct buf next, to;
	struct row_page page;
	size_t at;
	enum rfs_err err;
};
void rows_open(struct check_rows *r, struct check *c, struct bytes from, struct bytes to);
/* A table of the bucket in hand. */
void rows_open_table(struct check_rows *r, struct check *c, enum table table);
/* NULL: no more, or an error. The row is good until the next call. */
const struct row *rows_next(struct check_rows *r);
/* What stopped it, if anything did. */
enum rfs_err rows_close(struct check_rows *r) RFS_MUST_CHECK;

/* A row of the bucket in hand, into the arena of the row in hand. */
enum rfs_err check_get(struct check *c, struct bytes key, struct row *out) RFS_MUST_CHECK;
enum rfs_err check_counter(struct check *c, struct bytes key, int64_t *out) RFS_MUST_CHECK;
/* The arena of the row in hand, emptied: at the beginning of each row. */
struct arena *check_arena(struct check *c);
/* Behind the key's bucket and table. */
struct bytes check_rest(const struct row *row);

/* --- the others, each in the file of its name
 * ----------------------------------------------------------------------------------- */

enum rfs_err check_domain(struct check *c) RFS_MUST_CHECK;

/* One entry of the tree. */
struct check_entry {
	struct bytes path; /* from the root */
	struct bytes name; /* the last component */
	const struct version *version;
	const struct version *directory; /* that it is in; NULL: the root */
	uint64_t serial;
	uint64_t children; /* entry_visit.left: of the directory */
};

/* Every entry that can be reached from the root, a directory before and after those in it. Either function may be
 * missing. */
struct entry_visit {
	enum rfs_err (*entry)(struct check *c, const struct check_entry *item, void *data);
	enum rfs_err (*left)(struct check *c, const struct check_entry *item, void *data);
	void *data;
};
enum rfs_err entries_visit(struct check *c, const struct entry_visit *visit) RFS_MUST_CHECK;
enum rfs_err check_tree(struct check *c) RFS_MUST_CHECK;
/* Objects' contents: while resolving. */
enum rfs_err check_tree_contents(struct check *c) RFS_MUST_CHECK;

enum rfs_err check_uploads(struct check *c) RFS_MUST_CHECK;
/* The same, and purge rows' contents: while resolving. */
enum rfs_err check_uploads_contents(struct check *c) RFS_MUST_CHECK;
/* The ids of those that are open, or whose parts are being removed. */
enum rfs_err uploads_known(struct check *c, struct tally *uploads) RFS_MUST_CHECK;

/* What a content's rows must be like. `loose`: it is being written or removed, and need not be whole. */
enum rfs_err check_content(struct check *c, struct bytes key, const struct content *content, bool loose) RFS_MUST_CHECK;

/*
 * Each content that a row of the bucket in hand owns, in no order: those of entries, parts of uploads, indexes of
 * parts, purge rows. `count` is -1 for a part of an upload that is over and lives on in an object: it was given before,
 * with 1.
 */
typedef enum rfs_err owner_visit(struct check *c, const struct content *content, int count, void *data);
enum rfs_err check_owned(struct check *c, owner_visit *visit, void *data) RFS_MUST_CHECK;
enum rfs_err check_owners(struct check *c) RFS_MUST_CHECK;

/* Each kept row of an entry that has a content; NULL: the row cannot be read. */
typedef enum rfs_err past_visit(struct check *c, struct bytes key, const struct content *content, void *data);
enum rfs_err past_contents(struct check *c, past_visit *visit, void *data) RFS_MUST_CHECK;
enum rfs_err check_past(struct check *c) RFS_MUST_CHECK;

enum rfs_err check_blocks(struct check *c) RFS_MUST_CHECK;
/* Runs by how many name each, in this round. */
enum rfs_err blocks_named(struct check *c, struct tally *names) RFS_MUST_CHECK;

enum rfs_err check_feed(struct check *c) RFS_MUST_CHECK;
/* Was a row of this serial told by a change? */
enum rfs_err check_fed(struct check *c, struct bytes key, uint64_t serial) RFS_MUST_CHECK;

/* Of the whole store. */
enum rfs_err check_volumes(struct check *c) RFS_MUST_CHECK;

/* --- check_suspects.c
 * ---------------------------------------------------------------------------------------------------------- */

/* Something is wrong with a content or a run: it is reported with the objects that name it, later. */
enum rfs_err suspect_add(struct check *c, enum suspect_kind is, uint64_t number, enum check_kind finding, bool each,
	const char *format, ...) __attribute__((format(printf, 6, 7))) RFS_MUST_CHECK;
/* An object, or an upload, names it. Only while resolving. */
void suspect_named(struct check *c, enum suspect_kind is, uint64_t number, struct bytes key);
/* All that were added are reported. */
enum rfs_err suspects_resolve(struct check *c) RFS_MUST_CHECK;

#endif
