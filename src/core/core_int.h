/* core_int.h: what the verbs share. */
#ifndef CORE_CORE_INT_H
#define CORE_CORE_INT_H

#include "core/core.h"
#include "managers/storage/storage.h"

/* Resolves a key in a bucket and asks whether the caller may: what most verbs begin with. Attempts after the first read everything again. */
struct object_at {
	struct bucket_row bucket;
	struct name_ref name;
};
enum rfs_err object_resolve(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, enum operation op, struct object_at *at)
	RFS_MUST_CHECK;
/* The decision alone, for who goes on with what was resolved in an earlier step. */
enum rfs_err object_authorise(struct core *core, struct request *rq, const struct object_at *at, enum operation op) RFS_MUST_CHECK;
/* The head for conditions: NULL when there is none. */
const struct version *object_head(const struct object_at *at);

/* Key and row of the entry that holds the head. */
struct bytes object_entry(struct arena *arena, const struct object_at *at, const struct row **row);
/* The end of the common prefix of `key`: behind the delimiter's first place behind the prefix; 0: it has none. */
size_t common_prefix_end(struct bytes prefix, struct bytes delimiter, struct bytes key);
/* All bytes of a read into a put. */
enum rfs_err object_pass(struct object_get *get, struct object_put *put) RFS_MUST_CHECK;

/*
 * Fills an empty batch (its bucket too) from what it reads; called once for each attempt. A batch left empty is not committed, and is no error.
 * What `verb` points to is the same in every call.
 */
typedef enum rfs_err publish_build(struct core *core, struct request *rq, void *verb, struct batch *b);
/* Commits what `build` builds, until no race is lost. PENDING, WOULD_BLOCK. `serial` of the commit; 0: nothing was to be done. */
enum rfs_err publish(struct core *core, struct request *rq, publish_build *build, void *verb, uint64_t *serial) RFS_MUST_CHECK;

/* How one of many ended; `rq` has the detail. Called by who called publish_many. */
typedef void publish_ended(void *verb, struct request *rq, enum rfs_err err, uint64_t serial);
/*
 * As publish, for each of `count` verbs of `size` bytes that do not depend on each other. Several are under way at a
 * time, and share their syncs; they take effect in any order. [worker]
 */
void publish_many(struct core *core, struct request *rq, publish_build *build, publish_ended *ended, void *verbs,
	size_t count, size_t size);

/* The bucket, if the caller may list what begins with `prefix`. */
enum rfs_err bucket_open_listing(struct core *core, struct request *rq, struct bytes name, struct bytes prefix, struct bucket_row *out) RFS_MUST_CHECK;

/* An upload, resolved. NO_SUCH_UPLOAD */
struct upload_at {
	struct bucket_row bucket;
	uint8_t id[UPLOAD_ID_BYTES];
	struct bytes key; /* of its row */
	struct row row;
	struct upload_row upload;
};
enum rfs_err upload_resolve(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, struct bytes upload, enum operation op,
	struct upload_at *at) RFS_MUST_CHECK;
struct bytes upload_id_text(struct request *rq, const uint8_t id[UPLOAD_ID_BYTES]);
/* Adds the end of an upload to a batch: its row goes, its parts' rows are the reaper's, with the contents of those that were not used. */
enum rfs_err upload_end(struct core *core, struct request *rq, struct batch *b, const struct upload_at *at, const struct upload_part_claim *used, size_t used_count)
	RFS_MUST_CHECK;
/* A sealed body becomes the part that `args` names. WOULD_BLOCK */
enum rfs_err upload_part_publish(struct core *core, struct request *rq, const struct object_put_args *args, struct content_writer *writer,
	const struct version *version) RFS_MUST_CHECK;

#endif
