/*
 * repair_int.h: what the files of the repair share. It goes through rows with the functions of the check.
 *
 *   repair.c          buckets, names, numbers, and the order of what is done
 *   repair_tree.c     entries: twice, without a directory, without bytes; counters
 *   repair_feed.c     the feed: told where changes are lost
 *   repair_contents.c contents and blocks: what can be read; owners and references
 *   repair_past.c     rows that a snapshot needs
 */
#ifndef CHECK_REPAIR_INT_H
#define CHECK_REPAIR_INT_H

#include "check/check_int.h"
#include "check/repair.h"

struct repair {
	struct check check; /* of the bucket in hand; what it finds is not told */
	repair_told *told;
	void *told_data;
	struct repair_totals *totals;
	struct batch *batch; /* what is to be committed; NULL: nothing */
	uint64_t number;     /* the highest that is used */
};

static inline struct repair *
repair_of(struct check *c)
{
	return (struct repair *)(void *)c;
}

void repair_tell(struct repair *r, const char *name, struct bytes key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The batch that is being filled, for a few operations more; what was in a full one is committed before. Keys and
 * values are copied by it. NULL: `err`. */
struct batch *repair_batch(struct repair *r, uint64_t bucket, enum rfs_err *err);
/* What is in the batch is committed. */
enum rfs_err repair_commit(struct repair *r) RFS_MUST_CHECK;
enum rfs_err repair_delete(struct repair *r, struct bytes key) RFS_MUST_CHECK;
enum rfs_err repair_counter(struct repair *r, struct bytes key, int64_t wanted) RFS_MUST_CHECK;
/* Each row of a table of the bucket in hand; then what is in the batch is committed. */
typedef enum rfs_err repair_row(struct repair *r, const struct row *row, void *data);
enum rfs_err repair_rows(struct repair *r, enum table table, repair_row *each, void *data) RFS_MUST_CHECK;
/* A number is in use. */
void repair_number(struct repair *r, uint64_t number);

enum rfs_err repair_feed(struct repair *r) RFS_MUST_CHECK;     /* no change is missing without being told */
enum rfs_err repair_places(struct repair *r) RFS_MUST_CHECK;   /* every entry has one place, in the tree */
enum rfs_err repair_owners(struct repair *r) RFS_MUST_CHECK;   /* every content one owner */
enum rfs_err repair_objects(struct repair *r) RFS_MUST_CHECK;  /* of which nothing can be read go */
enum rfs_err repair_strays(struct repair *r) RFS_MUST_CHECK;   /* rows that nobody owns go */
enum rfs_err repair_blocks(struct repair *r) RFS_MUST_CHECK;   /* references are counted again */
enum rfs_err repair_past(struct repair *r) RFS_MUST_CHECK;     /* kept rows whose bytes are gone go too */
enum rfs_err repair_counters(struct repair *r) RFS_MUST_CHECK; /* so is what is in directories and the bucket */

/* Counters of one kind for what is not there. */
enum rfs_err repair_stray_counters(struct repair *r, enum counter kind, const struct tally *there) RFS_MUST_CHECK;
/* Of a content: how many bytes it has, and how many can be read. */
enum rfs_err repair_readable(struct repair *r, const struct content *content, uint64_t *readable) RFS_MUST_CHECK;

#endif
