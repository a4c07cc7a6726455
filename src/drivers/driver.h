/*
 * driver.h: the two tables that backends fill: metadata (one ordered, transactional key-value interface) and storage (blocks).
 *
 * Drivers know no meaning: keys and values are bytes, but for the bucket's eight bytes in front of each key, the byte after them (the table;
 * table 0 belongs to the driver), and the serial beside each value. The contract suite (tests/contract) tests what these comments say.
 *
 * Operations block and run on workers, except commit (takes a completion) and reads with request.may_block false, which may answer
 * WOULD_BLOCK, also on a loop. Every operation may answer IO, DAMAGED or INTERNAL beside what its comment lists.
 */
#ifndef DRIVERS_DRIVER_H
#define DRIVERS_DRIVER_H

#include "base/request.h"
#include "drivers/batch.h"

struct config;
struct dump;

/* A row as it was read: `found` false is no error. Memory is the request's arena. */
struct row {
	struct bytes key;   /* scan only */
	struct bytes value; /* without the serial; a counter's is eight bytes, little-endian, and its serial is 0 */
	uint64_t serial;
	bool found;
};

/* A page of a scan: consistent in itself. `more`: the limit ended it, not `to`. */
struct row_page {
	struct row *rows;
	size_t count;
	bool more;
};

/* An image of all rows, from which the store can be opened without the journal before it. */
struct checkpoint_info {
	uint64_t number; /* of its volume; 0: there is none */
	uint64_t bytes, rows;
	uint64_t sequence; /* of the last batch that is in it */
	uint64_t volume, offset; /* the journal from here on is needed beside it: no volume with a lower number */
};

struct metadata_info {
	const char *name;     /* "embedded" */
	bool fused;           /* BATCH_BLOCKS may carry payload: storage and metadata share one sync */
	bool poisoned;        /* nothing can be written until a restart */
	const char *failed;   /* what poisoned it, static: "writing the journal"; NULL: nothing */
	bool damaged;         /* rows cannot be read until a restart, which makes the index of them anew */
	uint64_t rows_estimate; /* what was written over or removed may count */
	uint64_t bytes_on_disk;
	struct checkpoint_info checkpoint; /* the newest; rows 0: not counted yet */
};

struct metadata_driver;

struct metadata_ops {
	/* Out: found false when there is no such row. */
	enum rfs_err (*get)(struct metadata_driver *d, struct request *rq, struct bytes key, struct row *out);
	/* `out` has `count` elements, in the order of `keys`; not consistent with each other. */
	enum rfs_err (*multi_get)(struct metadata_driver *d, struct request *rq, const struct bytes *keys, size_t count, struct row *out);
	/* Rows with from <= key < to, ascending, or descending from `to`; counters and the driver's own rows are not skipped. limit >= 1 */
	enum rfs_err (*scan)(struct metadata_driver *d, struct request *rq, struct bytes from, struct bytes to, size_t limit, bool reverse,
		struct row_page *out);
	/*
	 * Takes the batch and calls batch->done exactly once, perhaps before it returns. When error is RFS_OK the batch is durable
	 * (power loss) and visible to every later read. CONFLICT: an operation's condition failed, nothing happened. LIMIT: the batch is
	 * too large, or has a key of another bucket or of table 0. NO_SPACE: nothing happened. POISONED: nothing is visible; a batch that was being written
	 * when the sync failed may be found, whole, after the next open. Batches of one bucket take serials 1, 2, 3 ... in the order of their effect.
	 */
	void (*commit)(struct metadata_driver *d, struct batch *batch);
	void (*info)(struct metadata_driver *d, struct metadata_info *out);
	/*
	 * May be NULL: not offered. Makes a checkpoint, durably, while others go on; older ones are removed. `go_on` (may be NULL) is called
	 * after each megabyte with the bytes so far: it may wait, to limit the rate, and false gives up (CANCELLED). Nothing stays of one that
	 * failed. NOT_FOUND: nothing was ever committed. NO_SPACE, POISONED. One is made at a time, others wait. [worker]
	 */
	enum rfs_err (*checkpoint)(struct metadata_driver *d, struct request *rq, bool (*go_on)(void *data, uint64_t bytes), void *data,
		struct checkpoint_info *out);
	/* May be NULL: nothing to tell. Members of an object that is open in `out`: the state of both tables, for developers. [worker] */
	void (*describe)(struct metadata_driver *d, struct dump *out);
	/* All commits are done before; durable and clean afterwards. */
	void (*close)(struct metadata_driver *d);
};

/* First member of each metadata driver. */
struct metadata_driver {
	const struct metadata_ops *ops;
};

/* A block on its way to being durable. */
struct block_ticket {
	uint64_t number;
	struct block_location location;
	uint64_t sequence; /* the driver's; 0: it was given back */
};

struct storage_driver;

struct storage_ops {
	/*
	 * Writes a block; not yet durable. The parts are referenced only during the call. After a success the block is nobody's to take away until the
	 * ticket is given back with settle, once. NO_SPACE, POISONED. [worker]
	 */
	enum rfs_err (*put)(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number, const struct slice *parts, size_t count,
		struct block_ticket *out);
	/* Returns when the blocks of all tickets are durable. [worker] */
	enum rfs_err (*wait)(struct storage_driver *d, struct request *rq, const struct block_ticket *tickets, size_t count);
	/*
	 * Gives tickets back: a row that was committed names the block, or none ever will (also one that was not waited for). From now on rows alone say
	 * whether its bytes are needed. Tickets that were given back before, or never filled (all zero), are passed over. [any]
	 */
	void (*settle)(struct storage_driver *d, struct block_ticket *tickets, size_t count);
	/*
	 * Bytes [offset, offset + len) of a block's payload, as they were put; NOT_FOUND, DAMAGED; beyond its end INTERNAL. The slice is the caller's.
	 * What begins at 0 is held against the record: it is this bucket's block of this number, DAMAGED if not. A whole payload also against its checksum;
	 * of parts the caller has to find out whether they are what the beginning belongs to.
	 */
	enum rfs_err (*get)(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number, const struct block_location *location,
		uint64_t offset, size_t len, struct slice *out);
	/*
	 * As get, for bytes that go to a socket: the slice is a slice_file. `right` sees them once, in the kernel's own memory of the file, and says
	 * whether they are what they should be; else DAMAGED. NOT_FOUND: not in this way, get them. NULL: not offered.
	 */
	enum rfs_err (*get_file)(struct storage_driver *d, struct request *rq, const struct block_location *location, uint64_t offset, size_t len,
		bool (*right)(void *data, struct bytes bytes), void *data, struct slice *out);
	/* The block will not be read again. */
	enum rfs_err (*remove)(struct storage_driver *d, struct request *rq, uint64_t number, const struct block_location *location);
	void (*close)(struct storage_driver *d);
};

/* A file of blocks, which gives its space back as a whole. */
struct storage_volume {
	uint64_t number;
	uint64_t bytes;   /* written */
	uint64_t head;    /* of these: what every volume has, and nobody can give back */
	bool sealed;      /* nothing is written to it any more, and every batch that named a place in it is visible */
	bool has_batches; /* it is also part of the log of batches */
	bool covered;     /* ... which no open needs any more: a checkpoint has them */
	size_t tickets;   /* of blocks in it, not given back */
};

struct volume_limits {
	uint64_t size; /* at which a volume is sealed and the next one begun; does not change while the store is open */
	uint64_t room; /* what blocks that are moved find on the disk now */
};

struct storage_block {
	uint64_t bucket;
	uint64_t number;
	struct block_location location;
};

/*
 * Volumes, for who moves blocks out of them: drivers that keep blocks so. All [worker]; lists are malloc'ed and the caller's.
 *
 * A volume may be removed when no row names a block in it. For that: list, then read the rows; what was sealed and without tickets in the list, and
 * is named by no row, will never be named again.
 */
struct volume_ops {
	/* The volume of a block, and what the block takes there. [any] */
	void (*locate)(const struct block_location *location, uint64_t *volume, uint64_t *bytes);
	/* Is the block's place within a file that is there? None of it is read. NOT_FOUND */
	enum rfs_err (*holds)(struct storage_driver *d, struct request *rq, const struct block_location *location);
	/* [any] */
	void (*limits)(struct storage_driver *d, struct volume_limits *out);
	/* All that hold blocks, by number. */
	enum rfs_err (*list)(struct storage_driver *d, struct request *rq, struct storage_volume **out, size_t *count);
	/* The blocks of a sealed one, by bucket and number; rows may name some of them. NOT_FOUND, DAMAGED */
	enum rfs_err (*blocks)(struct storage_driver *d, struct request *rq, uint64_t number, struct storage_block **out, size_t *count);
	/* What is still being written goes on in another volume; this one is sealed on return, unless it has writes under way. NO_SPACE, POISONED */
	enum rfs_err (*seal)(struct storage_driver *d, struct request *rq, uint64_t number);
	/*
	 * Takes it away, with the blocks that are left in it: reads of them answer NOT_FOUND from now on, those that have begun end well. `freed` bytes.
	 * LOCKED: it is not sealed, has tickets or batches that are still needed. POISONED
	 */
	enum rfs_err (*remove)(struct storage_driver *d, struct request *rq, uint64_t number, uint64_t *freed);
	/*
	 * Reads the log of batches, seals and checkpoints whole, for damage, while nobody writes; `found` hears of each. Blocks beside the log are not
	 * read: rows say which of them matter.
	 */
	enum rfs_err (*verify)(struct storage_driver *d, struct request *rq, void (*found)(void *data, uint64_t volume, const char *text), void *data);
};

/* First member of each storage driver. */
struct storage_driver {
	const struct storage_ops *ops;
	const struct volume_ops *volumes; /* NULL: it has none */
};

/* Both tables of one store; `storage` may belong to the same object as `metadata`. Closing metadata closes a fused storage. */
struct store_drivers {
	struct metadata_driver *metadata;
	struct storage_driver *storage;
};

/* [init] each: opens (and creates) the store; the reason of a failure is in `error` (size 512). LOCKED, UNSUPPORTED_FORMAT, DAMAGED, IO. */
enum rfs_err embedded_open(const struct config *config, struct store_drivers *out, char *error);
enum rfs_err mem_open(const struct config *config, struct store_drivers *out, char *error);

/*
 * Salvage of the embedded driver: from what a damaged store's volumes still hold, another one is made beside it, in DATA/salvage, which at
 * the end takes its place. The files of the damaged one are never written to; they stay, in DATA/damaged-N.
 *
 * salvage_begin opens the new store, whose rows and counters may not fit together: the caller puts that right (check/repair.h). salvage_end
 * closes it and, unless `keep` is false, puts it in place; `kept` (size 4096) is where the damaged one went. What is interrupted is begun
 * again. `store`: the id, in hexadecimal digits, of the store of which it shall be, if the files of several are there (CONFLICT); NULL: what they
 * say themselves. `told` hears of each file and each part of the journal that is lost: `name` is one of a few words, for programs. [init]
 */
struct salvage;
typedef void salvage_told(void *data, const char *name, const char *text);
enum rfs_err salvage_begin(const struct config *config, const char *store, salvage_told *told, void *data, struct salvage **out,
	struct store_drivers *drivers, char *error);
enum rfs_err salvage_end(struct salvage *s, bool keep, char *kept, char *error);

/*
 * Wraps drivers so that calls fail or are delayed: for tests. The rule set is shared by both tables; call numbers count from 1 per operation. Numbers of
 * calls may be changed while others call.
 * An inner commit refused by a rule is not passed on.
 */
enum fault_op { FAULT_GET, FAULT_MULTI_GET, FAULT_SCAN, FAULT_COMMIT, FAULT_PUT, FAULT_WAIT, FAULT_READ, FAULT_REMOVE /* of a block or a volume */,
	FAULT_CHECKPOINT, FAULT_OP_COUNT };
struct fault_rules {
	struct {
		_Atomic uint64_t fail_at;     /* 0: never; the Nth call fails */
		_Atomic uint64_t fail_from;   /* 0: never; the Nth call and all later ones fail, as if the process had ended */
		_Atomic uint64_t fail_every;  /* 0: off */
		enum rfs_err error;
		int64_t delay_ns;
		_Atomic uint64_t before_at;   /* 0: off; in the Nth call, before it is passed on, `before` is called: what others do meanwhile */
		void (*before)(void *data);
		void *before_data;
	} op[FAULT_OP_COUNT];
};
void fault_open(struct store_drivers inner, struct fault_rules *rules, struct store_drivers *out);
/* Of an operation until now. */
uint64_t fault_calls(const struct store_drivers *wrapped, enum fault_op op);

#endif
