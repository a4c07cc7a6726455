/*
 * rows.h: what the rows of a store mean: their structs and their one encoding. [any]
 *
 * A value's first byte is its format (1). After the fixed part come tagged fields (varint tag, varint length, bytes); tags that a reader does not
 * know are kept in `unknown` and written back. docs/format/rows.md describes every field.
 */
#ifndef MANAGERS_METADATA_ROWS_H
#define MANAGERS_METADATA_ROWS_H

#include "base/bytes.h"
#include "base/errors.h"
#include "base/hash.h"

struct arena;

#define OBJECT_ID_BYTES 16

enum acl { ACL_PRIVATE, ACL_PUBLIC_READ, ACL_BUCKET_OWNER_FULL_CONTROL, ACL_COUNT };

/* A bucket's own row. */
struct bucket_row {
	uint64_t id;
	uint64_t serial;          /* of the row; not encoded */
	struct bytes name;
	uint64_t owner;
	int64_t created_ns;
	enum acl acl;
	bool removed;             /* DeleteBucket has happened: the id is never used again */
	uint64_t last_snapshot;   /* rows up to this serial are kept as `past` when replaced */
	uint32_t block_size;      /* bytes */
	uint32_t segment_blocks;  /* blocks of a segment, at most 64 */
	bool compress;            /* zstd frames where they pay */
	bool deduplicate;
	bool quotas;              /* there are quota rows */
	struct bytes cors;        /* the CORSConfiguration document as it was set; empty: none */
	struct bytes unknown;
};

enum content_kind {
	CONTENT_EMPTY,    /* no bytes */
	CONTENT_BLOCK,    /* one block */
	CONTENT_SEGMENTS, /* segment rows under data_id */
	CONTENT_PARTS,    /* a parts row under data_id: the contents of a multipart upload, one after another */
};

/* Where an object's bytes are. `data_id` is unique to this content in its pool, also when it shares blocks with another. */
struct content {
	enum content_kind kind;
	uint64_t size;
	uint64_t data_id;
	uint64_t block; /* CONTENT_BLOCK: the number */
};

struct property {
	struct bytes name; /* lower-case: "cache-control", "x-amz-meta-colour" */
	struct bytes value;
};

enum checksum_type { CHECKSUM_FULL_OBJECT, CHECKSUM_COMPOSITE };

#define VERSION_DIRECTORY 1u /* a directory's entry */
#define VERSION_MARKER 2u    /* a directory that S3 lists as a key of its own, `a/` */

/* An entry: the current head of a name, or a directory. */
struct version {
	uint64_t serial; /* of the row; not encoded */
	uint8_t object_id[OBJECT_ID_BYTES];
	uint32_t flags;
	int64_t modified_ns;
	uint64_t owner; /* who wrote it; gives him no right: managers/auth/auth_check.c */
	enum acl acl;
	struct content content;
	struct bytes etag;         /* without quotes: 32 hex digits, or those of a multipart upload with "-parts" */
	struct bytes content_type; /* empty: none was given */
	struct property *properties;
	size_t property_count;
	bool has_checksum;
	enum digest checksum;
	enum checksum_type checksum_type;
	struct digest_value checksum_value;
	uint32_t parts;            /* of a multipart upload; 0: not one */
	struct bytes unknown;
};

/* How much is allowed; 0: as much as there is room for. */
struct quota {
	uint64_t objects;
	uint64_t bytes;
};

/* A run of blocks created together for one data id: consecutive numbers, at most 64. */
#define RUN_MAX_BLOCKS 64
struct run_row {
	uint64_t first;
	uint32_t count;
	uint32_t block_size;        /* raw bytes of every block but the last */
	uint32_t last_size;         /* raw bytes of the last */
	uint64_t serial;
	uint32_t stored_sizes[RUN_MAX_BLOCKS]; /* payload bytes as stored, frames and table */
	uint8_t sha256[RUN_MAX_BLOCKS][32];    /* of the raw bytes */
	bool hashed;                /* of one block: a hash row was made with it, and goes with it */
	const uint8_t *locations;   /* decoded only: count x BLOCK_LOCATION_BYTES, put behind the value by the driver */
};

/* Part of a segment: `blocks` blocks from block `at` of the segment are those from number `first` + `skip`. first 0: a hole. */
struct extent {
	uint32_t at;
	uint32_t blocks;
	uint64_t first; /* the run's first number: the key of its row */
	uint32_t skip;
};

struct segment_row {
	struct extent *extents;
	size_t extent_count;
	uint64_t bytes; /* raw bytes in the segment, holes included */
};

/* One part of a CONTENT_PARTS content. */
struct part_ref {
	uint64_t end; /* offset in the object of the first byte after this part */
	struct content content;
};

/* The checksums of all its parts. */
struct part_sums {
	bool given;
	enum digest digest;
	const uint8_t *values; /* one after another, digest_size(digest) each */
};

/* A part, as others are told of it. */
struct part_info {
	uint32_t number; /* from 1, without gaps */
	uint64_t offset;
	uint64_t length;
	bool has_checksum;
	enum digest checksum;
	struct digest_value checksum_value;
};

/* A multipart upload that has not been completed. */
enum upload_state {
	UPLOAD_OPEN = 0,
	UPLOAD_COMPLETING = 1, /* its parts are frozen: only Complete and Abort go on */
};

struct upload_row {
	uint64_t serial; /* not encoded */
	enum upload_state state;
	int64_t created_ns;
	bool has_checksum;
	enum digest checksum;
	enum checksum_type checksum_type;
	struct version version; /* what the object will say of itself: owner, ACL, content type, properties */
};

/* A part of an upload. */
struct part_row {
	uint64_t serial; /* not encoded */
	uint32_t number;
	int64_t modified_ns;
	uint8_t md5[16];
	bool has_checksum;
	enum digest checksum;
	struct digest_value checksum_value;
	struct content content;
};

enum change_kind { CHANGE_PUT = 1, CHANGE_DELETE, CHANGE_RENAME, CHANGE_BUCKET, CHANGE_ACL };

/* A feed row. */
struct change_row {
	uint64_t serial;
	uint64_t previous; /* serial of the bucket's feed row before this one */
	enum change_kind kind;
	struct bytes name; /* key */
	union {
		struct bytes new_name; /* CHANGE_RENAME */
		struct bytes
			changed; /* CHANGE_BUCKET: "made", "acl,owner", ...; empty: of a version that did not tell */
	};
	uint8_t object_id[OBJECT_ID_BYTES];
	uint64_t size;
	int64_t time_ns;
	uint64_t who;
	struct bytes door;
};

/* What is no longer in a bucket's feed, and how much of it was counted. No row: nothing. */
struct feed_state {
	uint64_t serial;  /* of the row, 0: there is none; not encoded */
	uint64_t pruned;  /* serial of the newest change that was removed: the first that is left tells it as the one before */
	uint64_t counted; /* up to this serial there are `rows` changes; not below `pruned` */
	uint64_t rows;
};

/* How far a reader of the feed has come: what is behind that is kept for it. */
struct cursor_row {
	uint64_t position; /* serial of the last change that it needs no more */
	int64_t moved_ns;  /* when it was set */
};

/* What a round of the scrub has read, or found. */
struct scrub_round {
	int64_t started_ns;
	uint64_t objects, bytes, damaged;
};

/* What is known of the scrub's rounds. No row: there was none. */
struct scrub_row {
	int64_t finished_ns;     /* of the last whole round; 0: none */
	struct scrub_round last; /* that one */
	uint64_t bucket;         /* where a round was broken off, which is gone on with; 0: none was */
	struct bytes key;        /* of that bucket: what is behind it was not read; empty: nothing was */
	struct scrub_round broken_off;
};

/* A content whose bytes cannot all be read. */
struct damage_row {
	int64_t found_ns;    /* wall clock */
	struct bytes bucket; /* its name */
	struct bytes key;    /* of the object, or of the upload */
	struct bytes row;    /* of the entry, or of the upload's part, that has the content */
	struct bytes found_by, text;
};

void bucket_row_encode(struct buf *b, const struct bucket_row *row);
enum rfs_err bucket_row_decode(struct bytes v, struct bucket_row *row) RFS_MUST_CHECK;
void quota_encode(struct buf *b, const struct quota *row);
enum rfs_err quota_decode(struct bytes v, struct quota *out) RFS_MUST_CHECK;
void version_encode(struct buf *b, const struct version *v);
/* Fields point into `v`; the property list is the arena's. DAMAGED. */
enum rfs_err version_decode(struct arena *arena, struct bytes v, struct version *out) RFS_MUST_CHECK;
void content_encode(struct buf *b, const struct content *c);
bool content_decode(struct reader *r, struct content *out);
void run_encode(struct buf *b, const struct run_row *row);
enum rfs_err run_decode(struct bytes v, struct run_row *out) RFS_MUST_CHECK;
/* A hash row: the number of the block that has those bytes. */
void hash_encode(struct buf *b, uint64_t block);
enum rfs_err hash_decode(struct bytes v, uint64_t *block) RFS_MUST_CHECK;
void segment_encode(struct buf *b, const struct segment_row *row);
enum rfs_err segment_decode(struct arena *arena, struct bytes v, struct segment_row *out) RFS_MUST_CHECK;
void parts_encode(struct buf *b, const struct part_ref *parts, size_t count, const struct part_sums *sums);
/* `sums` may be NULL; its values point into `v`. */
enum rfs_err parts_decode(struct arena *arena, struct bytes v, struct part_ref **out, size_t *count, struct part_sums *sums) RFS_MUST_CHECK;
void upload_encode(struct buf *b, const struct upload_row *row);
enum rfs_err upload_decode(struct arena *arena, struct bytes v, struct upload_row *out) RFS_MUST_CHECK;
void part_encode(struct buf *b, const struct part_row *row);
enum rfs_err part_decode(struct bytes v, struct part_row *out) RFS_MUST_CHECK;
void change_encode(struct buf *b, const struct change_row *row);
enum rfs_err change_decode(struct bytes v, struct change_row *out) RFS_MUST_CHECK;
void feed_state_encode(struct buf *b, const struct feed_state *row);
enum rfs_err feed_state_decode(struct bytes v, struct feed_state *out) RFS_MUST_CHECK;
void cursor_encode(struct buf *b, const struct cursor_row *row);
enum rfs_err cursor_decode(struct bytes v, struct cursor_row *out) RFS_MUST_CHECK;
void scrub_row_encode(struct buf *b, const struct scrub_row *row);
/* The key points into `v`. */
enum rfs_err scrub_row_decode(struct bytes v, struct scrub_row *out) RFS_MUST_CHECK;
void damage_row_encode(struct buf *b, const struct damage_row *row);
/* Fields point into `v`. */
enum rfs_err damage_row_decode(struct bytes v, struct damage_row *out) RFS_MUST_CHECK;

#endif
