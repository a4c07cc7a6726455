/*
 * batch.h: a metadata batch, the only way in which rows change. Built by the metadata manager, read by drivers.
 *
 * A batch belongs to one bucket (its keys begin with the bucket's eight bytes, big-endian, and a table that is not 0, the driver's; bucket 0 is the domain), holds at most
 * BATCH_MAX_OPS operations and BATCH_MAX_BYTES of keys and values (block payloads apart), and is applied whole or not at all.
 *
 * Every row has a serial: the driver stores the batch's serial beside each value that it puts, and gives it back with the value. A key may
 * end in eight bytes that the driver fills with the serial (SLOT_SERIAL, big-endian) or its complement (SLOT_INVERTED).
 *
 * Rows change in the order of the operations, counters after them. A batch that CHECKs is judged as of the moment at which it has all its keys to
 * itself: no other batch that changes one of them is under way.
 *
 * One owner: the thread that builds it, then the driver from commit until `done` is called, then the owner again. The memory of keys, values
 * and the list is the batch's own arena; payload slices are referenced.
 */
#ifndef DRIVERS_BATCH_H
#define DRIVERS_BATCH_H

#include "base/arena.h"
#include "base/request.h"
#include "base/slice.h"

#define BATCH_MAX_OPS 4096
#define BATCH_MAX_BYTES (1024 * 1024)
/* Of blocks that go with the commit: each block's bytes, all bytes, their number. Beyond them commit answers LIMIT. */
#define BATCH_MAX_BLOCK_BYTES ((uint64_t)8 * 1024 * 1024)
#define BATCH_MAX_PAYLOAD_BYTES ((uint64_t)64 * 1024 * 1024)
#define BATCH_MAX_BLOCKS 4095

enum batch_op_kind {
	BATCH_CHECK = 1,  /* key, serial: CONFLICT unless the row has that serial (0: there is no such row) */
	BATCH_PUT,        /* key, value */
	BATCH_DELETE,     /* key: no row afterwards; it need not exist */
	BATCH_DELETE_RANGE, /* key, value: from (inclusive), to (exclusive); only under an owner row that the batch CHECKs and changes; no counters in it */
	BATCH_ADD,        /* counter key, delta. A counter that reaches 0 has no row; a counter without a row is 0 */
	BATCH_MAX,        /* counter key, value: the larger stays */
	BATCH_EXPECT,     /* counter key, min, max: CONFLICT unless min <= value <= max, after this batch's ADDs, in log order */
	BATCH_APPEND,     /* key with SLOT_SERIAL, value: a feed row. The driver stores, after the value, the serial of the bucket's previous feed row (u64) */
	BATCH_BLOCKS,     /* key, value, blocks: PUT of value followed by the location (BLOCK_LOCATION_BYTES) of each block */
};

enum batch_slot { SLOT_NONE, SLOT_SERIAL, SLOT_INVERTED };

/* Where a block lies, as its storage driver says it; opaque to managers, stored in the block's row. */
#define BLOCK_LOCATION_BYTES 16
struct block_location {
	uint8_t bytes[BLOCK_LOCATION_BYTES];
};

/* One block of a BATCH_BLOCKS operation: either already stored (its ticket's location), or bytes that go with the commit. */
struct batch_block {
	uint64_t number;
	bool stored;
	struct block_location location; /* stored */
	struct slice *parts;            /* not stored: the payload, referenced */
	size_t part_count;
	size_t len;
};

struct batch_op {
	enum batch_op_kind kind;
	enum batch_slot slot;
	int tag;          /* the builder's; says whose condition failed (enum batch_tag of the metadata manager) */
	struct bytes key; /* with the slot's eight bytes, zeroed */
	struct bytes value;
	bool checked;     /* PUT, DELETE, BLOCKS: also a CHECK of the key, with `number` */
	uint64_t number;  /* CHECK, and a checked operation: serial; MAX: value */
	int64_t delta;    /* ADD */
	int64_t min, max; /* EXPECT */
	struct batch_block *blocks; /* BLOCKS */
	size_t block_count;
};

struct batch {
	struct arena *arena;
	uint64_t bucket;
	uint8_t id[16];   /* not zero (batch_identify): a repeat within ten minutes gives the first result */
	struct batch_op *ops;
	size_t op_count;
	size_t op_capacity;
	size_t bytes;     /* of keys and values */
	bool overflow;    /* a limit was passed: commit answers LIMIT */
	enum space_need need; /* set by the owner before commit */
	bool nowait;      /* set by the owner before commit: the caller's thread must not wait for a disk */

	/* Called once, by the driver's own thread: it only posts (never latches, commits or does I/O). */
	void (*done)(struct batch *batch);
	void *done_data;

	/* The result, from `done` on. */
	enum rfs_err error;
	size_t failed_op; /* with CONFLICT: the operation that failed */
	uint64_t serial;

	/* The driver's, while it owns the batch. */
	void *driver;
};

struct batch *batch_new(uint64_t bucket);
void batch_free(struct batch *b);
/* Gives it an id, for a builder that may have to send it again without knowing what became of it; costs the driver a row and two look-ups. */
void batch_identify(struct batch *b);
static inline bool
batch_has_id(const struct batch *b)
{
	return (load_u64(b->id) | load_u64(b->id + 8)) != 0;
}
/* Empties it for another attempt, keeping memory; it gets a new id. */
void batch_reset(struct batch *b);

/* Each copies key and value, and returns the operation for the caller to refine (tag, slot) until the next call. */
struct batch_op *batch_check(struct batch *b, struct bytes key, uint64_t serial);
struct batch_op *batch_put(struct batch *b, struct bytes key, struct bytes value);
/* The key ends in the slot's eight bytes, which are not given. */
struct batch_op *batch_put_slotted(struct batch *b, struct bytes key_prefix, enum batch_slot slot, struct bytes value);
struct batch_op *batch_delete(struct batch *b, struct bytes key);
struct batch_op *batch_delete_range(struct batch *b, struct bytes from, struct bytes to);
struct batch_op *batch_add(struct batch *b, struct bytes key, int64_t delta);
struct batch_op *batch_max(struct batch *b, struct bytes key, uint64_t value);
struct batch_op *batch_expect(struct batch *b, struct bytes key, int64_t min, int64_t max);
struct batch_op *batch_append(struct batch *b, struct bytes key_prefix, struct bytes value);
/* `blocks` is copied; payload parts are referenced until batch_reset or batch_free. */
struct batch_op *batch_blocks(struct batch *b, struct bytes key, struct bytes value, const struct batch_block *blocks, size_t count);

/*
 * Are its keys the batch's own: of its bucket, of no table of the driver's (0), with room for the slot? A range's end too. Drivers refuse a batch with
 * another, and do not believe a journal that has one.
 */
bool batch_owns(const struct batch *b, const struct batch_op *op);

/* Makes a PUT, DELETE or BLOCKS also a CHECK of its key: one operation for the replacing of a row. */
static inline struct batch_op *
batch_checked(struct batch_op *op, uint64_t serial)
{
	op->checked = true;
	op->number = serial;
	return op;
}

static inline bool
batch_op_checks(const struct batch_op *op)
{
	return op->kind == BATCH_CHECK || op->checked;
}

#endif
