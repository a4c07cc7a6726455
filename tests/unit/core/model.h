/*
 * model.h: random operations on a store and on a model of it in memory, which must agree; see test_core_model.c.
 *
 *   model_script.c   operations: chosen from a seed, as text, and read back from it
 *   model_state.c    the model: what an operation changes, or why it is refused
 *   model_verbs.c    the same operation on a store
 *   model_run.c      a script from its beginning to its end, through crashes
 *   model_compare.c  what a store shows, held against the model
 *   model_past.c     snapshots: what rows and listings were at an old serial
 *   model_shrink.c   a script that fails, made short
 */
#ifndef TESTS_UNIT_CORE_MODEL_H
#define TESTS_UNIT_CORE_MODEL_H

#include "store.h"

#define MODEL_BUCKETS 2
#define MODEL_USERS 2 /* root, and an administrator beside him */
#define MODEL_KEYS 48
#define MODEL_KEY_BYTES 48
#define MODEL_PIECES 8
#define MODEL_UPLOADS 3
#define MODEL_PARTS 3
#define MODEL_SNAPSHOTS 3
#define TAGS 3
#define MODEL_BODY_MOST (14 * 1024 * 1024)

/* --- operations ---------------------------------------------------------------------------------------------------
 */

enum op_kind {
#define MODEL_OP(id, name, weight) DO_##id,
#include "model_ops.def"
#undef MODEL_OP
	DO_COUNT
};

/* Conditions of what writes. */
enum op_condition {
	CONDITION_NONE,
	CONDITION_MATCH,     /* If-Match with the ETag that is there */
	CONDITION_OTHER,     /* If-Match with another one */
	CONDITION_NOT_THERE, /* If-None-Match: * */
	CONDITION_COUNT
};

/* What happens in the middle of a body on its way in, or out. */
enum op_meanwhile {
	MEANWHILE_NOTHING,
	MEANWHILE_COMPACT,
	MEANWHILE_OTHERS, /* others fill a volume, and delete it; then it is compacted */
	MEANWHILE_CHECKPOINT,
	MEANWHILE_COUNT
};

/* Fields that a kind does not use are 0. Names of fields in a script: model_script.c. */
struct model_op {
	uint32_t kind;
	uint32_t bucket, to_bucket;
	char key[MODEL_KEY_BYTES], to[MODEL_KEY_BYTES];
	uint32_t fill, size; /* of a body: which bytes, how many */
	uint32_t first;      /* of a range: copied to a part. size 0: all; where a write begins */
	uint32_t who;        /* user */
	uint32_t tag;        /* what an object says of itself: type, property */
	uint32_t acl;
	uint32_t condition, meanwhile;
	uint32_t checksum; /* 1: one is stored */
	uint32_t upload;   /* slot */
	uint32_t part;     /* number; of a completion: a bit for each that is listed */
	uint32_t objects;  /* of a quota: most objects; `size` bytes; `who` MODEL_USERS: of all */
	uint32_t flags;    /* by kind: of a bucket compress 1, deduplicate 2; of a crash 1: the index is gone */
	uint32_t point;    /* where the next operation ends the process, and */
	uint32_t nth;      /* how often it comes there before */
};

struct model_script {
	size_t count;
	struct model_op ops[];
};

/* --- the model ----------------------------------------------------------------------------------------------------
 */

#define MODEL_ZEROS UINT32_MAX
/* Bytes [from, from + len) of the endless sequence `fill`. */
struct model_piece {
	uint32_t fill, from, len;
};

struct model_body {
	uint32_t size, count;
	struct model_piece pieces[MODEL_PIECES];
};

struct model_object {
	char key[MODEL_KEY_BYTES];
	struct model_body body;
	uint32_t tag, owner, acl;
	bool has_checksum;
	uint32_t parts; /* of an upload; 0: none */
	uint32_t ends[MODEL_PARTS];
	char etag[48]; /* empty: one that no model knows */
};

struct model_part {
	bool there;
	struct model_body body;
	uint8_t md5[16];
	bool has_checksum;
};

struct model_upload {
	bool open;
	char id[2 * UPLOAD_ID_BYTES + 1]; /* empty: made in an operation that nobody saw the end of */
	bool frozen;                      /* it was being completed when the process ended */
	struct model_object object;       /* but for its body */
	struct model_part parts[MODEL_PARTS];
};

struct model_quota {
	uint64_t objects, bytes;
};

struct model_bucket {
	bool there, compress, deduplicate, cursor;
	bool snapped; /* a snapshot was taken: it cannot be removed, for nobody says yet what becomes of that */
	size_t count;
	struct model_object objects[MODEL_KEYS]; /* by key */
	struct model_upload uploads[MODEL_UPLOADS];
	struct model_quota quotas[MODEL_USERS + 1]; /* the last: of all */
};

struct model {
	struct model_bucket buckets[MODEL_BUCKETS];
};

/* What a bucket held at a serial. */
struct model_snapshot {
	bool there;
	uint32_t bucket;
	uint64_t serial;
	struct model_bucket held;
};

/* What its feed says that a bucket holds. */
struct model_feed {
	uint64_t serial;
	size_t count;
	struct {
		char key[MODEL_KEY_BYTES];
		uint64_t size;
	} keys[MODEL_KEYS];
};

/* Of the script under way: shared by the processes that execute it one after the other. */
struct model_run {
	char dir[64];
	bool thorough;            /* everything is compared after each operation */
	size_t next;              /* operation */
	struct model now, before; /* `before`: the operation under way */
	size_t in_doubt;          /* operation, from 1: nobody has seen yet how it ended; 0: none */
	enum rfs_err expected;    /* of it */
	bool crash_expected, lose_index;
	struct model_snapshot snapshots[MODEL_SNAPSHOTS];
	struct model_feed feeds[MODEL_BUCKETS];
	bool compacts; /* after each operation: every volume is emptied */
	uint64_t incarnations, crashes, past_reads, past_listings, compactions, blocks_moved;
	char problem[1024];
};

/* --- model_script.c */
/* Chosen so that most of them can succeed. free() */
struct model_script *script_make(uint64_t seed, size_t count);
void script_print(FILE *out, const struct model_script *script);
/* NULL: `line` (1, 2, ...) cannot be read. free() */
struct model_script *script_read(FILE *in, size_t *line);
void op_print(FILE *out, const struct model_op *op);
/* A simpler operation than `op`, of several ones: the `which`th. False: there are no more. */
bool op_simplify(const struct model_op *op, unsigned which, struct model_op *out);
const char *bucket_text(uint32_t bucket);

/* --- model_state.c */
/* What the operation answers; on RFS_OK the model has its effect. */
enum rfs_err model_apply(struct model *m, const struct model_op *op);
#define MODEL_SKIP RFS_ERR_INTERNAL /* ... the model has no room for it, or no answer: it is left out */
struct model_object *model_find(struct model_bucket *b, const char *key);
struct model_quota model_usage(const struct model_bucket *b, uint32_t who); /* MODEL_USERS: of all */
bool key_is_directory(const char *key);
/* Valid until the next call. */
struct bytes body_bytes(const struct model_body *body);

/* --- model_verbs.c */
enum rfs_err verb_run(struct test_store *t, struct model_run *run, const struct model_op *op);
/* Every volume that there is goes, what is live in it to others. False: run->problem says why. */
bool compact_whole(struct test_store *t, struct model_run *run);
/* The reaper has nothing left to do. */
void reaper_settle(struct test_store *t);
const struct identity *model_user(struct test_store *t, struct request *rq, uint32_t who);
extern const char *const tag_types[TAGS], *const tag_values[TAGS];

/* --- model_compare.c: false: run->problem says why */
bool compare_store(struct test_store *t, struct model_run *run, bool thorough);
bool problem(struct model_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An object as the store has it, against the model's, its ETag too; its bytes are `body`'s. */
bool version_is(struct model_run *run, const struct version *v, const struct model_object *o);

/* --- model_past.c */
enum rfs_err past_take(struct test_store *t, struct model_run *run, uint32_t bucket);
bool past_compare(struct test_store *t, struct model_run *run);

/* --- model_run.c */
/* False: store and model came apart, or a process ended otherwise than it should; `run` says how far it was. */
bool run_script(struct model_run *run, const struct model_script *script, bool thorough);
struct model_run *run_new(void); /* seen by all processes that are forked from this one */
void run_free(struct model_run *run);

/* --- model_shrink.c */
/* A script that fails too, and from which nothing more can be left out. free() */
struct model_script *script_shrink(const struct model_script *script, size_t failed_at);

#endif
