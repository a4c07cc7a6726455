/*
 * core.h: the verbs. One file a verb; every door calls the same ones, and none decides anything itself.
 *
 * Each verb authorises (auth_check), reads, places, commits and publishes, in that order. Reads obey rq->may_block and answer WOULD_BLOCK, after which the
 * door calls again from a worker. What writes runs on a worker, but for the verbs that say PENDING: called on a loop, they answer it when their
 * commit is under way, and are called again with the same arguments once rq->wake was; then they answer, perhaps with WOULD_BLOCK. Names and results are in the request's arena. Errors are
 * those of errors.def that each comment names, beside ACCESS_DENIED, NO_SUCH_BUCKET, IO, DAMAGED, POISONED, NO_SPACE and SLOW_DOWN.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "base/slice.h"
#include "managers/auth/auth.h"
#include "managers/metadata/metadata.h"

struct storage; /* managers/storage/storage.h */

/* One a daemon. [init] fills it; it is read-only afterwards. */
struct core {
	struct metadata *metadata;
	struct storage *storage;
	struct auth *auth;
	const char *region;
};

/* --- buckets ------------------------------------------------------------------------------------------------------------------- */

struct bucket_create_args {
	struct bytes name;
	enum acl acl;
	uint64_t owner; /* a user or a group; 0: the caller. Doors name another only for administrators */
};
/* INVALID_BUCKET_NAME, BUCKET_EXISTS, BUCKET_OWNED (it is that owner's already), TOO_MANY_BUCKETS. [worker] */
enum rfs_err bucket_create(struct core *core, struct request *rq, const struct bucket_create_args *args) RFS_MUST_CHECK;
/* BUCKET_NOT_EMPTY. [worker] */
enum rfs_err bucket_remove(struct core *core, struct request *rq, struct bytes name) RFS_MUST_CHECK;
/* The bucket, if the caller may do `op` to it. */
enum rfs_err bucket_open(struct core *core, struct request *rq, struct bytes name, enum operation op, struct bucket_row *out) RFS_MUST_CHECK;
/* The caller's buckets (an administrator's: all), by name, from the first name > `after`. */
enum rfs_err bucket_list(struct core *core, struct request *rq, struct bytes after, struct bytes prefix, size_t limit, struct bucket_row **out,
	size_t *count, bool *more) RFS_MUST_CHECK;
struct bucket_usage {
	int64_t objects;
	int64_t bytes;
};
enum rfs_err bucket_usage(struct core *core, struct request *rq, struct bytes name, struct bucket_usage *out) RFS_MUST_CHECK;
/* Changes what is not NULL. [worker] */
struct bucket_changes {
	const enum acl *acl;
	const struct bytes *cors; /* empty: none */
	const bool *compress;
	const bool *deduplicate;
	const uint64_t *owner; /* an identity's id */
};
enum rfs_err bucket_configure(struct core *core, struct request *rq, struct bytes name, const struct bucket_changes *changes) RFS_MUST_CHECK;

/* --- quotas ----------------------------------------------------------------------------------------------------------------------- */

/* What is NULL stays; 0: no limit. */
struct quota_changes {
	const uint64_t *objects;
	const uint64_t *bytes;
};
struct quota_state {
	uint64_t user; /* QUOTA_OF_BUCKET: everybody */
	struct quota quota;
	struct usage usage;
};
/* Both for administrators. A limit below what is there removes nothing: only what adds to it is refused, with QUOTA_EXCEEDED. */
enum rfs_err quota_set(struct core *core, struct request *rq, struct bytes bucket, uint64_t user, const struct quota_changes *changes) RFS_MUST_CHECK;
enum rfs_err quota_list(struct core *core, struct request *rq, struct bytes bucket, struct quota_state **out, size_t *count) RFS_MUST_CHECK;

/* --- the feed --------------------------------------------------------------------------------------------------------------------- */

/*
 * What was changed in a bucket, in the order of serials, without gaps. With a prefix: only what happened to keys that begin with it, and to directories
 * above them. A rename that leads out of the prefix or into it has only the name of the two that the prefix covers; the other is empty.
 */
struct feed_read_args {
	struct bytes bucket;
	struct bytes prefix;
	struct bytes cursor; /* not empty: behind its position, in the place of `after` */
	uint64_t after;      /* a serial; 0: from the first change on */
	size_t limit;
	bool wait; /* with none to give, rq->wait is left armed: it is raised by the next change */
};
struct feed {
	struct change_row *changes;
	size_t count;
	bool more;     /* read on, after `next`, at once; there may be none that the prefix covers */
	uint64_t next; /* everything up to this serial was looked at */
};
/*
 * For who may list what begins with the prefix, as its owner or as administrator: a bucket that everybody may list does not tell everybody. GONE: changes
 * behind that serial were pruned. NOT_FOUND: no such cursor. INVALID_ARGUMENT: the feed has not come to that serial, or `limit` is 0. WOULD_BLOCK
 */
enum rfs_err feed_read(struct core *core, struct request *rq, const struct feed_read_args *args, struct feed *out) RFS_MUST_CHECK;

/*
 * Cursors: what a reader has not seen stays in the feed, until its cursor was not set for long (feed.cursor_time). Sets one, and makes it if need be, for
 * who may configure the bucket. GONE: changes behind that position were pruned. INVALID_ARGUMENT: a name that is none, a position that has not been yet.
 * LIMIT: there are too many. [worker]
 */
enum rfs_err feed_cursor_set(struct core *core, struct request *rq, struct bytes bucket, struct bytes name, uint64_t position) RFS_MUST_CHECK;
/* NOT_FOUND. [worker] */
enum rfs_err feed_cursor_remove(struct core *core, struct request *rq, struct bytes bucket, struct bytes name) RFS_MUST_CHECK;
/* All of them, and the feed's ends, for who may read the whole feed. */
struct feed_ends {
	uint64_t pruned; /* serial of the newest change that is no longer there: 0, or where reading begins */
	uint64_t last;   /* of the newest change */
};
enum rfs_err feed_cursor_list(struct core *core, struct request *rq, struct bytes bucket, struct feed_ends *ends, struct feed_cursor **out,
	size_t *count) RFS_MUST_CHECK;

/* --- conditions ----------------------------------------------------------------------------------------------------------------- */

/* RFC 9110, section 13. NULL bytes and 0: not given; an empty list is one that has nothing in it. Lists of ETags as
 * they came, with quotes, or "*". */
struct conditions {
	struct bytes if_match;
	struct bytes if_none_match;
	int64_t if_modified_since_ns;
	int64_t if_unmodified_since_ns;
};
/* `head` NULL: there is none. PRECONDITION_FAILED, NOT_MODIFIED (only when `reading`); for a write with If-Match on a
 * missing key: NO_SUCH_KEY. INVALID_ARGUMENT: what is no list of ETags. */
enum rfs_err conditions_hold(struct request *rq, const struct conditions *c, const struct version *head, bool reading) RFS_MUST_CHECK;

/* --- objects -------------------------------------------------------------------------------------------------------------------- */

/* A digest that the client says its body has. */
struct digest_claim {
	enum digest digest;
	struct digest_value value;
};

struct object_put_args {
	struct bytes bucket;
	struct bytes key;
	int64_t size;                /* of the body; -1: not known */
	struct conditions conditions;
	struct bytes content_type;
	struct property *properties; /* cache-control and its kin, x-amz-meta-* */
	size_t property_count;
	enum acl acl;
	unsigned digests;            /* DIGEST_BIT()s to compute beside MD5, because a claim about them comes, perhaps at the end */
	bool payload_sha256_known;   /* the signed payload hash: verified, and reused as the block's own */
	struct digest_value payload_sha256;
	bool store_checksum;         /* keep `checksum` with the object */
	enum digest checksum;
	struct bytes upload;         /* not empty: this is part `part_number` of that multipart upload; conditions, metadata and ACL are the upload's */
	uint32_t part_number;        /* 1 to 10,000 */
};

#define OBJECT_PUT_ON_LOOP (32 * 1024)
struct object_put; /* in the request's arena and on the heap: finish or abort must be called once */

/* Also UploadPart (NO_SUCH_UPLOAD; the version out then has the part's ETag and checksum). Authorises and judges the conditions early, so that a refusal comes before the body. WOULD_BLOCK */
enum rfs_err object_put_begin(struct core *core, struct request *rq, const struct object_put_args *args, struct object_put **out) RFS_MUST_CHECK;
/* Takes references to the parts' bytes, or stores them: on a loop up to OBJECT_PUT_ON_LOOP bytes in all. */
enum rfs_err object_put_write(struct object_put *put, struct slice part) RFS_MUST_CHECK;
/*
 * Verifies the claims (BAD_DIGEST; CONTENT_SHA256_MISMATCH for the payload hash), that `size` bytes came (INCOMPLETE_BODY), the conditions again, and publishes. Durable on return. Frees
 * `put`, unless it answers WOULD_BLOCK or PENDING. PRECONDITION_FAILED, NO_SUCH_KEY.
 */
enum rfs_err object_put_finish(struct object_put *put, const struct digest_claim *claims, size_t claim_count, struct version *out) RFS_MUST_CHECK;
/* Forgets everything that was written. */
void object_put_abort(struct object_put *put);

/* first..last as in RFC 9110, 14.1.2: `suffix`: the last `last` bytes. */
struct byte_range {
	bool given;
	bool suffix;
	bool open_ended; /* first- */
	uint64_t first;
	uint64_t last;
};

struct object_get_args {
	struct bytes bucket;
	struct bytes key;
	struct conditions conditions;
	struct byte_range range;
	bool head_only; /* no bytes will be read */
	bool to_socket; /* bytes may be a slice_file */
	size_t piece;   /* of bytes that are given at once; 0: 128 KiB */
	uint32_t part_number; /* 0: none. Of a multipart upload: that part's bytes */
};

struct object_get {
	struct bucket_row bucket;
	struct version version;
	uint64_t offset; /* of the answer's first byte */
	uint64_t length; /* of the answer */
	bool partial;
	struct part_info part; /* with part_number */
	struct object_read *read; /* NULL with head_only or an empty answer */
};
/* NO_SUCH_KEY, INVALID_RANGE, INVALID_PART, PRECONDITION_FAILED, NOT_MODIFIED. object_get_close must follow a success. */
enum rfs_err object_get_open(struct core *core, struct request *rq, const struct object_get_args *args, struct object_get *out) RFS_MUST_CHECK;
/* From now on as many bytes at once. */
void object_get_pieces(struct object_get *get, size_t bytes);
/* The next bytes, verified, at most a piece, or two of a file; empty at the end. The slice is the caller's. Obeys rq->may_block. */
enum rfs_err object_get_read(struct object_get *get, struct slice *out) RFS_MUST_CHECK;
void object_get_close(struct object_get *get);

struct object_parts_args {
	struct bytes bucket;
	struct bytes key;
	uint32_t after; /* parts with a greater number */
	size_t limit;
};
struct object_parts {
	struct version version;
	struct part_info *parts; /* of one made of parts */
	size_t count;
	bool more;
};
/* NO_SUCH_KEY */
enum rfs_err object_list_parts(struct core *core, struct request *rq, const struct object_parts_args *args, struct object_parts *out) RFS_MUST_CHECK;

struct object_delete_args {
	struct bytes bucket;
	struct bytes key;
	struct conditions conditions;
};
/* A missing key is no error: `removed` says. PENDING */
enum rfs_err object_delete(struct core *core, struct request *rq, const struct object_delete_args *args, bool *removed) RFS_MUST_CHECK;

/* One of many, and how it ended. */
struct object_deletion {
	struct object_delete_args args;
	enum rfs_err error; /* of object_delete; what has one before is left out */
	const char *detail; /* rq->detail of the error */
	bool removed;
};
/* As object_delete for each, at once: they share their syncs, and take effect in any order; the conditions of each are
 * judged as of any moment, also of a key that is named twice. [worker] */
void objects_delete(struct core *core, struct request *rq, struct object_deletion *deletions, size_t count);

struct object_copy_args {
	struct bytes from_bucket;
	struct bytes from_key;
	struct conditions from_conditions;
	bool replace_metadata;       /* take `to`'s content type and properties, not the source's */
	struct object_put_args to;   /* bucket, key, conditions, metadata, ACL, checksum */
};
/* Nothing is copied within a bucket. Copying to itself without any change: INVALID_REQUEST. [worker] */
enum rfs_err object_copy(struct core *core, struct request *rq, const struct object_copy_args *args, struct version *out) RFS_MUST_CHECK;

struct object_rename_args {
	struct bytes bucket;
	struct bytes from;
	struct bytes to;
	struct conditions from_conditions;
	struct conditions conditions; /* of `to` */
};
/*
 * One commit, whatever is moved: an object, replacing one of the new name; or, when both keys end in '/', a directory with everything below it, whose new name is free or
 * an empty directory's. Keys below it may become longer than keys that are given: metadata.h. NO_SUCH_KEY, NOT_EMPTY, INVALID_ARGUMENT, PRECONDITION_FAILED. PENDING
 */
enum rfs_err object_rename(struct core *core, struct request *rq, const struct object_rename_args *args) RFS_MUST_CHECK;

#define OBJECT_BYTES_MAX ((uint64_t)5 << 40)
struct object_write_args {
	struct bytes bucket;
	struct bytes key;
	struct conditions conditions;
	uint64_t offset;
	struct bytes bytes;
	bool resize;   /* the object has `size` bytes afterwards; else as many as it had, or up to the end of what is written */
	uint64_t size;
};
/*
 * Writes over an object's bytes from `offset` on, or gives it another size, or both; what was never written is zeros. All of it is there afterwards, or nothing. What is said of the object stays,
 * but for its ETag, which is no MD5 any more, and checksums and parts, which it loses. Blocks that do not change are shared with the content before; each segment of the object costs a row.
 * NO_SUCH_KEY, PRECONDITION_FAILED, ENTITY_TOO_LARGE, INVALID_ARGUMENT: a directory. [worker]
 */
enum rfs_err object_write(struct core *core, struct request *rq, const struct object_write_args *args, struct version *out) RFS_MUST_CHECK;

enum rfs_err object_set_acl(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, enum acl acl) RFS_MUST_CHECK;

struct object_list_args {
	struct bytes bucket;
	struct bytes prefix;
	struct bytes delimiter;
	struct bytes after;   /* keys and common prefixes up to and including this are skipped, and all that a common prefix covers */
	size_t limit;         /* 0 to 1,000 */
};
struct object_list_item {
	struct bytes key;     /* or a common prefix */
	bool is_prefix;
	struct version version;
};
struct object_list {
	struct object_list_item *items;
	size_t count;
	bool more;
	struct bytes next;    /* with `more`: the last item's key or prefix, to be given as `after` */
};
enum rfs_err object_list(struct core *core, struct request *rq, const struct object_list_args *args, struct object_list *out) RFS_MUST_CHECK;

/* --- multipart uploads ---------------------------------------------------------------------------------------------------------- */

#define UPLOAD_PARTS_MAX 10000
#define UPLOAD_PART_MIN_BYTES (5 * 1024 * 1024) /* of every part but the last */

struct upload_create_args {
	struct bytes bucket;
	struct bytes key;
	struct bytes content_type;
	struct property *properties;
	size_t property_count;
	enum acl acl;
	bool has_checksum;
	enum digest checksum;
	enum checksum_type checksum_type;
};
/* `id` out: 32 hex digits. [worker] */
enum rfs_err upload_create(struct core *core, struct request *rq, const struct upload_create_args *args, struct bytes *id) RFS_MUST_CHECK;

struct upload_part_claim {
	uint32_t number;
	struct bytes etag; /* with or without quotes */
	bool has_checksum;
	struct digest_claim checksum;
};
struct upload_complete_args {
	struct bytes bucket;
	struct bytes key;
	struct bytes upload;
	struct upload_part_claim *parts;
	size_t part_count;
	struct conditions conditions;
	bool has_checksum; /* of the whole object */
	struct digest_claim checksum;
	uint32_t checksum_parts; /* of how many parts it says that it is made; 0: it does not say */
	bool has_checksum_type;
	enum checksum_type checksum_type;
	int64_t size;      /* the client's idea of it; -1: none */
};
/* INVALID_PART, INVALID_PART_ORDER, ENTITY_TOO_SMALL, NO_SUCH_UPLOAD, BAD_DIGEST, PRECONDITION_FAILED. Nothing is copied. [worker] */
enum rfs_err upload_complete(struct core *core, struct request *rq, const struct upload_complete_args *args, struct version *out) RFS_MUST_CHECK;
/* NO_SUCH_UPLOAD. [worker] */
enum rfs_err upload_abort(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, struct bytes upload) RFS_MUST_CHECK;

struct upload_part_copy_args {
	struct bytes from_bucket;
	struct bytes from_key;
	struct conditions from_conditions;
	struct byte_range range;
	struct object_put_args to;
};
/* INVALID_RANGE. [worker] */
enum rfs_err upload_part_copy(struct core *core, struct request *rq, const struct upload_part_copy_args *args, struct version *out) RFS_MUST_CHECK;

struct upload_parts {
	struct upload_row upload;
	struct part_row *parts;
	size_t count;
	bool more;
};
/* Parts with a number above `after`. NO_SUCH_UPLOAD */
enum rfs_err upload_list_parts(struct core *core, struct request *rq, struct bytes bucket, struct bytes key, struct bytes upload, uint32_t after, size_t limit,
	struct upload_parts *out) RFS_MUST_CHECK;

struct upload_list_item {
	struct bytes key; /* or a common prefix */
	bool is_prefix;
	struct bytes id;
	struct upload_row upload;
};
struct upload_list_args {
	struct bytes bucket;
	struct bytes prefix;
	struct bytes delimiter;
	struct bytes key_after;
	struct bytes id_after; /* with key_after: uploads of that key with a greater id too */
	size_t limit;
};
struct upload_list {
	struct upload_list_item *items;
	size_t count;
	bool more;
};
enum rfs_err upload_list(struct core *core, struct request *rq, const struct upload_list_args *args, struct upload_list *out) RFS_MUST_CHECK;

/* --- the store as a whole, for tests -------------------------------------------------------------------------------------------- */

/* What it means to clients, and its rows, but for where blocks lie: see store_digest.c. Reads everything. [worker] */
struct store_digest {
	struct digest_value meaning, rows; /* SHA-256 */
	uint64_t bucket_count, object_count, bytes, row_count;
	uint64_t purge_count; /* of the rows: left for the reaper */
};
enum rfs_err store_digest(struct core *core, struct request *rq, struct store_digest *out) RFS_MUST_CHECK;
/* What is on its way, and how far everything in the background is: members of an object that is open in `out`. [worker] */
void store_describe(struct core *core, struct request *rq, struct dump *out);

#endif
