/*
 * embedded_int.h: the embedded driver inside. The journal is the store; RocksDB is an index over it
 * (docs/format/volume.md).
 *
 * The way of a commit, and its threads:
 *
 *   commit.c     [any] builds the records, latches the keys, verifies CHECKs, pins the counters, enqueues
 *                (a batch whose latch is held elsewhere, or whose caller may not wait for what it must read,
 *                goes on on the resume thread)
 *   committer.c  [committer] takes a group; evaluates counters, gives serials; writes and syncs the group
 *   apply.c      [apply, or committer when no batch waits] one RocksDB write a group; then unlatches, unpins and
 *                calls `done`
 *   zeroer.c     [background] zeroes the journal ahead of the committer
 *   reclaim.c    [worker] lists volumes, and removes those whose blocks were moved
 *   seal.c       [background] gives a volume that is full, or was left by a crash, an index of its blocks
 *   checkpoint.c [worker] writes an image of the index, from which recovery can begin
 *   space.c      [any] says whether there is room for a batch or a block
 *   flusher      [background] syncs RocksDB's own log every second (embedded.c)
 *
 * Invariants:
 *   - group n + 1 is written only after group n is synced; RocksDB is never ahead of the synced journal
 *   - conflicting batches are never in flight together (latches are held until the batch is applied)
 *   - a counter's cell, while pinned, is the truth, in log order; RocksDB holds it as of the last applied group
 *   - the zeroer writes at and above `zero_mark`, the committer below it
 */
#ifndef DRIVERS_EMBEDDED_EMBEDDED_INT_H
#define DRIVERS_EMBEDDED_EMBEDDED_INT_H

#include "base/clock.h"
#include "base/dump.h"
#include "base/thread.h"
#include "base/turn.h"
#include "drivers/driver.h"
#include "drivers/embedded/row_cache.h"
#include "drivers/embedded/row_sorter.h"
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

#define ERROR_BYTES 512
#define PAGE_BYTES 4096
#define GROUP_MAX_BYTES ((uint64_t)4 * 1024 * 1024)
#define BATCH_ID_EPOCH_NS (600 * NS_PER_SECOND) /* ten minutes */

/* ---- records (record.c): the bytes are described in docs/format/volume.md ---- */

#define SUPERBLOCK_BYTES 4096
#define RECORD_HEADER_BYTES 64
#define RECORD_FOOTER_BYTES 8
#define VOLUME_FORMAT 2

enum volume_kind { VOLUME_JOURNAL = 1, VOLUME_BULK = 2, VOLUME_CHECKPOINT = 3 };

enum record_type { RECORD_BLOCK = 1, RECORD_COMMIT = 2, RECORD_EMPTY = 3, RECORD_SEAL = 4, RECORD_CHECKPOINT = 5 };

#define RECORD_GROUP_LAST 1 /* flag: the last record of its group */

struct superblock {
	uint8_t store[16];
	uint64_t number;
	enum volume_kind kind;
	uint64_t generation;
	/* Of a checkpoint these four are its position: volume, offset, group, sequence. */
	uint64_t predecessor; /* 0: none */
	uint64_t predecessor_end;
	uint64_t first_group;
	uint64_t first_sequence;
	int64_t created_ns;
};

struct record_header {
	uint8_t type;
	uint8_t flags;
	uint16_t index;
	uint32_t length;
	uint32_t count;
	uint64_t sequence;
	uint64_t group;
	uint64_t bucket;
	uint64_t number;
	uint64_t previous_feed;
	int64_t time_ns;
};

void superblock_encode(const struct superblock *s, uint8_t out[SUPERBLOCK_BYTES]);
/* UNSUPPORTED_FORMAT: another magic or a later version; DAMAGED: the checksum. */
enum rfs_err superblock_decode(const uint8_t in[SUPERBLOCK_BYTES], struct superblock *out) RFS_MUST_CHECK;
void record_header_encode(
	const struct record_header *h, uint64_t offset, uint64_t generation, uint8_t out[RECORD_HEADER_BYTES]);
/* False: no valid header of this place and volume. */
bool record_header_decode(
	const uint8_t in[RECORD_HEADER_BYTES], uint64_t offset, uint64_t generation, struct record_header *out);
/* One with which the checksum of a header at this place holds: the same, but for chance, for all headers of a volume. */
uint64_t record_generation(const uint8_t in[RECORD_HEADER_BYTES], uint64_t offset);
uint64_t record_padding(uint64_t length);
/* Header, payload, padding and footer. */
uint64_t record_bytes(uint64_t length);
/* Padding and footer behind a payload whose CRC is `crc`; returns their size (at most 15). */
size_t record_tail_encode(uint32_t crc, uint64_t length, uint8_t *out);
/* `tail` is what lies behind the payload. */
bool record_tail_matches(uint32_t crc, uint64_t length, const uint8_t *tail);
void location_encode(uint32_t volume, uint32_t length, uint64_t payload_offset, struct block_location *out);
void location_decode(const struct block_location *in, uint32_t *volume, uint32_t *length, uint64_t *payload_offset);

/* ---- volumes (volume.c): files ---- */

#define VOLUME_SUFFIX ".vol"
#define VOLUME_MAKING_SUFFIX ".tmp"
#define CHECKPOINT_SUFFIX ".checkpoint"

/* A volume as it was found at open. */
struct volume_info {
	struct superblock super;
	uint64_t size;
	bool damaged;    /* a checkpoint without a superblock of its own: only number and kind are known */
	bool is_scanned; /* recovery's: it is in the journal from where the scan began */
};

/* A volume open for reading, shared; in the cache. */
struct volume {
	uint32_t number;
	int fd;
	uint64_t generation;
	unsigned pins; /* under cache lock */
	uint64_t used; /* tick of the last use */
	bool dropped;  /* under cache lock: not in the cache any more; the last pin's end closes it */
	uint8_t *window;        /* under cache lock: VOLUME_WINDOW_BYTES of the file, mapped to be read; NULL: none yet */
	uint64_t window_offset; /* of it in the file; it may go beyond the end */
	unsigned window_users;
};
#define VOLUME_WINDOW_BYTES ((size_t)16 << 20) /* so little, that page tables take little */
#define VOLUME_WINDOW_ALIGN ((size_t)2 << 20)

struct volume_cache {
	pthread_mutex_t lock;
	struct volume **list;
	size_t count, capacity;
	uint64_t tick;
};

struct embedded;

char *volume_path(const struct embedded *e, uint64_t number, const char *suffix, char out[4096]);
/* Writes the superblock and `zeros` zero bytes behind it under a temporary name; syncs file and directory. */
enum rfs_err volume_create(struct embedded *e, const struct superblock *s, uint64_t zeros, int *fd) RFS_MUST_CHECK;
/* Makes what is under the temporary name a volume, durably; the file itself has been synced. */
enum rfs_err volume_publish(struct embedded *e, uint64_t number, const char *suffix) RFS_MUST_CHECK;
/* The number of a file's name; false for other names. */
bool volume_parse_name(const char *name, const char *suffix, uint64_t *number);
/* Superblock and size; NOT_FOUND. */
enum rfs_err volume_read_superblock(
	struct embedded *e, uint64_t number, const char *suffix, struct volume_info *out) RFS_MUST_CHECK;
/* All volumes, checkpoints among them, by number; leftovers of interrupted creations are removed. */
enum rfs_err volume_list(struct embedded *e, struct volume_info **out, size_t *count, char *error) RFS_MUST_CHECK;
uint64_t volume_next_number(struct embedded *e);
/* Numbers given from now on are at least this. */
void volume_numbers_from(struct embedded *e, uint64_t least);
void volume_cache_init(struct volume_cache *c);
void volume_cache_fini(struct volume_cache *c);
/* WOULD_BLOCK when it is not in the cache and may_block is false. NOT_FOUND. */
enum rfs_err volume_pin(struct embedded *e, uint32_t number, bool may_block, struct volume **out) RFS_MUST_CHECK;
void volume_unpin(struct embedded *e, struct volume *v);
/* Where [offset, offset + len) of a pinned one is mapped, whether or not the file goes so far, until volume_look_end; NULL: not now. `len` up to 1 MiB. */
uint8_t *volume_look(struct embedded *e, struct volume *v, uint64_t offset, size_t len);
/* What was looked at does not stay in the mapping: it would count as the process's memory. */
void volume_look_end(struct embedded *e, struct volume *v, uint8_t *at, size_t len);
/* Its name has gone: it is closed when the last pin is. */
void volume_drop(struct embedded *e, uint64_t number);
/* Opens one for reading and decodes its superblock; `fd` is the caller's, also after an error, unless it is -1. NOT_FOUND, DAMAGED */
enum rfs_err volume_open(struct embedded *e, uint64_t number, const char *suffix, int *fd, struct superblock *s) RFS_MUST_CHECK;
/* All of it, whatever the number of parts; `iov` is consumed. */
enum rfs_err write_all(int fd, struct iovec *iov, size_t count, uint64_t offset) RFS_MUST_CHECK;
/* False: it ends before, or cannot be read. */
bool read_exactly(int fd, void *out, size_t len, uint64_t offset);
/*
 * For who looks for records at every multiple of 8: `offset`, or behind the hole that it lies in, which may be larger than any disk. INT64_MAX: nothing
 * but zeros comes any more. `known`, 0 at first, is how far the last look goes.
 */
uint64_t data_next(int fd, uint64_t offset, uint64_t *known);
enum rfs_err sync_directory(const char *path) RFS_MUST_CHECK;

/* ---- latches (latch.c) ---- */

struct commit;
struct latch;

struct latch_hold {
	uint64_t hash;
	bool exclusive;
	struct latch *latch;
};

#define LATCH_TABLE 4096

/* One lock: a batch takes and drops all its latches in one critical section. */
struct latch_table {
	pthread_mutex_t lock;
	struct latch *slots[LATCH_TABLE];
	struct latch *unused;
	/* Batches that hold all their latches, for the resume thread. */
	pthread_cond_t wake;
	struct commit *ready, **ready_tail;
	bool stop;
};

void latch_table_init(struct latch_table *t);
void latch_table_fini(struct latch_table *t);
/* Sorts the holds and merges equal ones to the strongest. True: all are held. False: parked, and later on the ready
 * list. */
bool latch_acquire(struct latch_table *t, struct commit *c);
void latch_release(struct latch_table *t, struct commit *c);
/* Puts a batch that holds all on the ready list: its next step must not be the caller's. */
void latch_defer(struct latch_table *t, struct commit *c);
/* The next batch of the ready list; NULL when stopped. Blocks. */
struct commit *latch_next_ready(struct latch_table *t);
void latch_stop(struct latch_table *t);
void latch_describe(struct latch_table *t, struct dump *out);

/* ---- counters (counters.c): cells that are the truth while pinned ---- */

struct counter_use;

/* A counter, or a bucket's state (value: last serial; feed: last feed serial). */
struct cell {
	struct cell *chain;         /* table lock */
	struct cell *older, *newer; /* table lock: unpinned cells, oldest first */
	unsigned pins;              /* table lock */
	bool loaded;                /* table lock */
	uint64_t value, feed;       /* the committer's once loaded */
	uint64_t evaluation;        /* the committer's: the group that changed it last */
	struct counter_use *last_use;
	struct commit *last_commit;
	uint64_t hash;
	size_t key_len;
	uint8_t key[];
};

struct cell_table {
	pthread_mutex_t lock;
	struct cell **slots;
	size_t slot_count, count;
	struct cell unpinned; /* list head */
	size_t unpinned_count;
};

struct index;

void cell_table_init(struct cell_table *t);
void cell_table_fini(struct cell_table *t);
/* Pins before it reads. WOULD_BLOCK with `nowait`. */
enum rfs_err cell_pin(
	struct cell_table *t, struct index *ix, struct bytes key, bool nowait, struct cell **out) RFS_MUST_CHECK;
void cells_unpin(struct cell_table *t, struct commit *c);

/* ---- a commit on its way ---- */

struct counter_use {
	struct cell *cell;
	size_t op;
	uint64_t before, value; /* of the cell, by this operation */
	bool superseded;        /* a later batch of the group changed it again */
};

struct commit_record {
	uint8_t *header;
	uint64_t offset; /* in the batch's image */
	struct record_header fields;
};

/* In the batch's arena. Owner: the calling thread, then latch table or committer queue, committer, apply. */
struct commit {
	struct batch *batch;
	struct embedded *driver;
	struct commit *next;
	struct deferred turn_end;

	struct latch_hold *holds;
	size_t hold_count, held;
	struct commit *latch_next;

	struct iovec *iov;
	size_t iov_count;
	uint64_t image_bytes, promised;
	struct commit_record *records; /* BLOCKs, then the COMMIT */
	size_t record_count;

	struct counter_use *uses;
	size_t use_count, use_capacity;
	struct cell *bucket_cell;
	bool has_append;
	bool bucket_superseded;

	uint32_t volume;
	uint64_t offset;
	uint64_t serial, previous_feed;
	int64_t time_ns;

	enum rfs_err error;
	size_t failed_op;
};

/* ---- COMMIT payload (commit_codec.c) ---- */

/* Without CHECKs and EXPECTs. Blocks with payload are told by the distance from the COMMIT record back to their record.
 */
void commit_encode(const struct batch *b, const struct commit_record *blocks, uint64_t commit_offset, struct buf *out);
/* Into an empty batch; blocks get their location from the COMMIT's place. False: not well-formed. */
bool commit_decode(struct bytes payload, uint32_t volume, uint64_t commit_offset, struct batch *out);

/* ---- index (index.c): RocksDB ---- */

/* Where the index stands: everything before it is applied. */
struct position {
	uint64_t volume, offset, group, sequence;
	uint64_t next_volume; /* above all volumes that rows name; 0: an older store does not say */
	bool clean;	      /* nothing was written since */
	uint8_t store[16];
};

struct index {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_block_based_table_options_t *table;
	rocksdb_cache_t *cache;
	rocksdb_readoptions_t *read, *read_nowait;
	rocksdb_writeoptions_t *write;
	size_t buffer_bytes; /* of rows in memory, before they become a table */
	bool unsynced;       /* its log is written and not synced */
	atomic_bool refused; /* a write, since the open */
	const char *data;    /* the store's directory, which damage is marked in; NULL: nowhere */
	atomic_bool damaged; /* bytes failed their checksums, or a file is gone, since the open */
};

#define ROW_TAG_ROW 'r'     /* value, serial (u64) */
#define ROW_TAG_COUNTER 'c' /* u64 */
#define ROW_TAG_STATE 's'   /* last serial, last feed serial */
#define ROW_TAG_ID 'i'      /* serial, time */
#define ROW_TAG_APPLIED 'a'

/* Bytes that opening it writes, at least. */
uint64_t index_open_bytes(const char *path);
enum rfs_err index_open(
	struct index *ix, const char *path, size_t cache_bytes, size_t buffer_bytes, char *error) RFS_MUST_CHECK;
void index_close(struct index *ix);
/* WOULD_BLOCK with `nowait`. */
enum rfs_err index_get(struct index *ix, struct arena *arena, struct bytes key, bool nowait, struct row *out) RFS_MUST_CHECK;
enum rfs_err index_scan(struct index *ix, struct request *rq, struct bytes from, struct bytes to, size_t limit,
	bool reverse, struct row_page *out) RFS_MUST_CHECK;
/* Up to two numbers behind the tag; zeros when there is no row. WOULD_BLOCK with `nowait`. */
enum rfs_err index_numbers(
	struct index *ix, struct bytes key, bool nowait, uint64_t out[2], bool *found) RFS_MUST_CHECK;
enum rfs_err index_applied(struct index *ix, struct position *out, bool *found) RFS_MUST_CHECK;
/* Adds the position to a write. */
void index_put_applied(rocksdb_writebatch_t *wb, const struct position *p);
/* The position of an index that nobody has open; false: it cannot be read. */
bool index_peek(const char *path, struct position *out);
/* After an error it is `refused`, and takes no more writes. Without that, NO_SPACE: RocksDB waits for room to make a
 * table, did nothing, and may be asked again. */
enum rfs_err index_write(struct index *ix, rocksdb_writebatch_t *wb) RFS_MUST_CHECK;
/* Removes every row. */
enum rfs_err index_clear(struct index *ix) RFS_MUST_CHECK;
/*
 * Every row as of one moment, in the order of keys, with the tag before its value; not the position, which is in
 * `applied`. NOT_FOUND: there is none yet. Key and value are valid until the next call. [worker]
 */
struct index_walk;
enum rfs_err index_walk_open(struct index *ix, struct position *applied, struct index_walk **out) RFS_MUST_CHECK;
bool index_walk_next(struct index_walk *w, struct bytes *key, struct bytes *value);
/* What ended it, if that was not the last row. */
enum rfs_err index_walk_close(struct index_walk *w) RFS_MUST_CHECK;
enum rfs_err index_flush_wal(struct index *ix) RFS_MUST_CHECK;
/* Everything into tables, so that the next open has no log to read. */
enum rfs_err index_flush_tables(struct index *ix) RFS_MUST_CHECK;

/* ---- an index that is damaged (index_damage.c) ---- */

#define INDEX_DAMAGE_MARK "index-damaged"
/* The first time: marks it, durably. `what` RocksDB said. [any] */
void index_damage_found(struct index *ix, const char *what);
bool index_damage_is_marked(const char *data);
/* Where a damaged index stood whose making anew was begun; false: nothing says it. */
bool index_damage_position(const char *data, struct position *out);
/* Of one that is marked no file is left, and `before` says where it stood (sequence 0: nobody knows). [init] */
enum rfs_err index_damage_begin(
	const char *data, const char *index, bool *is_marked, struct position *before, char *error) RFS_MUST_CHECK;
/* It was made anew: the mark goes. [init] */
enum rfs_err index_damage_end(const char *data) RFS_MUST_CHECK;

#define DRIVER_KEY_BYTES 10
/* bucket, table 0, 's' */
void key_state(uint64_t bucket, uint8_t out[DRIVER_KEY_BYTES]);
#define ID_KEY_BYTES 42
/* bucket 0, table 0, 'i', epoch (8, big-endian), bucket, id: old epochs go as one range */
void key_batch_id(uint64_t epoch, uint64_t bucket, const uint8_t id[16], uint8_t out[ID_KEY_BYTES]);

/* ---- apply (apply.c) ---- */

/* What the apply thread gets: commits in log order, failed ones among them. */
struct group {
	struct group *next;
	struct commit *first, **tail;
	struct position position; /* after it */
	uint64_t bytes;
	bool journalled; /* something was written: the position moves */
	bool rotates;    /* a new volume is begun before it */
};

struct applier {
	pthread_mutex_t lock;
	pthread_cond_t wake, room;
	struct group *queue, **tail;
	unsigned pending;
	bool stop;
	pthread_t thread;
	/* Whoever applies; one at a time. */
	rocksdb_writebatch_t *wb;
	struct row_sorter sorter;
	uint64_t epoch; /* the newest of batch ids */
	bool failed;    /* RocksDB refused a write: nothing is applied any more */
};

/* Writes a group's effects; also used by recovery. Does not complete the commits. */
enum rfs_err apply_write(struct embedded *e, struct group *g) RFS_MUST_CHECK;
enum rfs_err apply_position(struct embedded *e, const struct position *p) RFS_MUST_CHECK;
void apply_enqueue(struct embedded *e, struct group *g);
/* On the calling thread, if all groups before it are applied. [committer] */
bool apply_at_once(struct embedded *e, struct group *g);
void *apply_main(void *embedded);

/* ---- committer (committer.c) and zeroer (zeroer.c) ---- */

struct journal {
	/* The committer's (recovery's before it starts). */
	uint32_t volume;
	int fd;
	uint64_t generation;
	uint64_t group, sequence; /* the next ones */
	uint64_t evaluation;
	struct iovec *iov;
	size_t iov_capacity;

	_Atomic uint64_t offset; /* written by the committer, read by the zeroer */

	pthread_mutex_t queue_lock;
	pthread_cond_t queue_wake;
	struct commit *queue, **queue_tail;
	bool stop;
	bool rotate;        /* queue lock: the next group goes to a new volume */
	uint64_t rotations; /* queue lock: such groups that have been applied, or have failed */
	pthread_cond_t rotated;
	struct position reached; /* queue lock: behind the last group that was written; zeros: none was */
	pthread_t thread;

	/* Under zero_lock. */
	pthread_mutex_t zero_lock;
	pthread_cond_t zero_wake, zero_done;
	int zero_fd;
	uint64_t zero_mark;   /* the file is zeroed and synced below it, or written */
	uint64_t zero_wanted; /* the committer waits for this mark */
	uint64_t written;     /* since open */
	enum rfs_err zero_error;
	bool zero_busy, zero_stop;
	pthread_t zero_thread;
};

void *committer_main(void *embedded);
void commit_enqueue(struct embedded *e, struct commit *c);
/* Gives serial and counter values; false: an EXPECT failed, nothing changed. `replay`: EXPECTs held already and the
 * serial is known. */
bool commit_evaluate(struct embedded *e, struct commit *c, bool replay);
/* A new volume to write to, naming its predecessor (0: none). */
enum rfs_err journal_start_volume(struct embedded *e, uint64_t predecessor, uint64_t predecessor_end) RFS_MUST_CHECK;
/* Has the committer go on in a new volume, though this one is not full; returns when the index is there too. NO_SPACE, POISONED [worker] */
enum rfs_err journal_rotate(struct embedded *e) RFS_MUST_CHECK;
/* A group that began a volume has been applied, or has failed. */
void journal_rotated(struct embedded *e);
/* Writes and syncs the empty group of a clean close. */
enum rfs_err journal_close_clean(struct embedded *e) RFS_MUST_CHECK;
/* After that, with the zeroer ended: gives back what was zeroed ahead, which the next open would read. Nothing needs it
 * to be durable. */
void journal_cut(struct embedded *e);
void *zeroer_main(void *embedded);
/* Waits until the journal is zeroed up to `end`. NO_SPACE, POISONED. */
enum rfs_err zeroer_wait(struct embedded *e, uint64_t end) RFS_MUST_CHECK;
/* Hands the zeroer another file, zeroed up to `mark`. */
void zeroer_switch(struct embedded *e, int fd, uint64_t mark);

/* ---- seals (seal.c) ---- */

/* bucket, number (8 each, big-endian: sorted by them), payload's offset (8), its length (4), zeros (4) */
#define SEAL_ENTRY_BYTES 32

struct seal_task;

struct sealer {
	pthread_mutex_t lock;
	pthread_cond_t wake, idle;
	struct seal_task *queue, **tail;
	bool stop, busy;
	pthread_t thread;
};

void sealer_init(struct sealer *s);
void sealer_fini(struct sealer *s);
void *sealer_main(void *embedded);
/* A volume that nothing will be written to; `end` of a journal volume: as its successor's superblock has it, else 0. */
void sealer_add(struct embedded *e, uint64_t number, uint64_t end);
/* Returns when all that was added has been tried. */
void sealer_wait(struct embedded *e);
void sealer_describe(struct sealer *s, struct dump *out);
/* Where a volume's SEAL record is, and the length of its payload; false: it has none. Reads the ends of it only. */
bool seal_find(int fd, uint64_t size, uint64_t generation, uint64_t *offset, uint32_t *length);
/* All entries of a seal (malloc'ed, SEAL_ENTRY_BYTES each). NOT_FOUND, DAMAGED. */
enum rfs_err seal_read(int fd, uint64_t size, uint64_t generation, uint8_t **entries, size_t *count) RFS_MUST_CHECK;

/* ---- checkpoints (checkpoint.c) ---- */

struct checkpoints {
	pthread_mutex_t making; /* one is made, or read whole, at a time */
	pthread_mutex_t lock;
	/* Under lock. */
	struct checkpoint_info newest; /* number 0: none */
	bool is_verified;              /* it was made, or read whole, by this process */
};

/* Each row of a checkpoint, in the order of keys; an error ends the reading and is its result. */
typedef enum rfs_err (*checkpoint_row)(void *data, struct bytes key, struct bytes value);

void checkpoints_init(struct checkpoints *c);
void checkpoints_fini(struct checkpoints *c);
/* struct metadata_ops. */
enum rfs_err checkpoint_make(struct metadata_driver *d, struct request *rq, bool (*go_on)(void *data, uint64_t bytes),
	void *data, struct checkpoint_info *out);
/* The newest one, number 0: none. [any] */
void checkpoint_newest(struct embedded *e, struct checkpoint_info *out);
/* Journal volumes with lower numbers are not needed any more; 0: all are. Reads the newest checkpoint whole if this
 * process has not yet. [worker] */
uint64_t checkpoint_floor(struct embedded *e);
/* DAMAGED unless it is whole: only then the rows that were given count. `row` may be NULL. */
enum rfs_err checkpoint_read(struct embedded *e, const struct volume_info *info, checkpoint_row row, void *data,
	uint64_t *rows) RFS_MUST_CHECK;
/* Of one that is not whole: its records that are, each in place of what the index has in its range of keys. */
enum rfs_err checkpoint_overlay(struct embedded *e, const struct volume_info *info) RFS_MUST_CHECK;
/* The newest of this store with a lower number, by its superblock; NULL: none. */
const struct volume_info *checkpoint_find(
	const struct embedded *e, const struct volume_info *list, size_t count, uint64_t below);
/* What is there at open. [init] */
void checkpoint_found(struct embedded *e, const struct volume_info *list, size_t count);
/*
 * Replaces the index by the newest checkpoint that is whole, if its sequence is not below `least`. `found` false: there
 * is none, and the index is as it was. [init]
 */
enum rfs_err checkpoint_load(
	struct embedded *e, const struct volume_info *list, size_t count, uint64_t least, bool *found) RFS_MUST_CHECK;

/* ---- scans (scan.c) ---- */

/* A volume read front to back. */
struct scan {
	struct embedded *e;
	char *error;
	int fd;
	const struct volume_info *info;
	uint8_t *buffer;
	uint64_t capacity, start, len; /* what of the file the buffer holds */
	uint64_t offset;               /* the next record; everything before it is good */
	uint64_t group, sequence;      /* of the last good batch */
	bool group_complete;
	struct group pending; /* batches to apply */
	size_t pending_count;
	uint64_t commits; /* applied in all */
};

void scan_init(struct scan *s, struct embedded *e, char *error);
void scan_fini(struct scan *s);
/* Begins with another volume. */
enum rfs_err scan_open(struct scan *s, struct volume_info *info) RFS_MUST_CHECK;
/* `error` with the volume's number; returns `err`. */
enum rfs_err scan_fail(struct scan *s, enum rfs_err err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The file's bytes [offset, offset + len), or NULL when they are beyond its end or cannot be read (`err` then says so).
 */
const uint8_t *scan_bytes(struct scan *s, uint64_t offset, uint64_t len, enum rfs_err *err);
/* A whole, valid record at `offset`: its header and payload. */
bool scan_record(struct scan *s, uint64_t offset, struct record_header *h, struct bytes *payload, enum rfs_err *err);
/* The batch of a COMMIT at `offset`, whose first record is at `batch_start`: to be applied. DAMAGED: not well-formed. */
enum rfs_err scan_queue(struct scan *s, const struct record_header *h, struct bytes payload, uint64_t offset,
	uint64_t batch_start) RFS_MUST_CHECK;
/* It is time to apply what was queued. */
bool scan_is_full(const struct scan *s);
/* All that was queued; the position becomes s->offset. */
enum rfs_err scan_apply(struct scan *s) RFS_MUST_CHECK;

/* ---- volume_verify.c ---- */

/* struct volume_ops. */
enum rfs_err volumes_verify(struct storage_driver *d, struct request *rq,
	void (*found)(void *data, uint64_t volume, const char *text), void *data);

/* ---- recovery (recovery.c) ---- */

enum rfs_err recover(struct embedded *e, char *error) RFS_MUST_CHECK;

/* ---- commit.c ---- */

void embedded_commit(struct metadata_driver *d, struct batch *batch);
/* Verifies, pins and enqueues; with `nowait`, hands over to the resume thread what has to be read from a disk. */
void commit_proceed(struct commit *c, bool nowait);
/* Gives the batch back to its owner. */
void commit_finish(struct commit *c, enum rfs_err error, size_t failed_op);
/* Pins the bucket's state and every counter of the batch. WOULD_BLOCK with `nowait`. */
enum rfs_err commit_pin(struct commit *c, bool nowait) RFS_MUST_CHECK;

/* ---- blocks (block_read.c, block_file.c, bulk.c) ---- */

struct bulk_volume {
	struct bulk_volume *next;
	uint32_t number;
	int fd; /* -1: it is full and synced, and only waits for its tickets */
	uint64_t generation;
	uint64_t offset;
	uint64_t written, synced; /* writes finished; of them synced */
	unsigned writing;
	unsigned tickets; /* of blocks whose rows are still to be committed */
	bool syncing, sealed;
};

struct bulk {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct bulk_volume *volumes; /* newest first */
};

enum rfs_err block_get(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number,
	const struct block_location *location, uint64_t offset, size_t len, struct slice *out);
enum rfs_err block_get_file(struct storage_driver *d, struct request *rq, const struct block_location *location,
	uint64_t offset, size_t len, bool (*right)(void *data, struct bytes bytes), void *data, struct slice *out);
enum rfs_err bulk_put(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number,
	const struct slice *parts, size_t count, struct block_ticket *out);
enum rfs_err bulk_wait(struct storage_driver *d, struct request *rq, const struct block_ticket *tickets, size_t count);
void bulk_settle(struct storage_driver *d, struct block_ticket *tickets, size_t count);
enum rfs_err bulk_remove(
	struct storage_driver *d, struct request *rq, uint64_t number, const struct block_location *location);
enum rfs_err bulk_close(struct embedded *e);
/* Is it written to, or has it tickets? `bytes` then says how far it goes. */
bool bulk_is_open(struct embedded *e, uint64_t number, uint64_t *bytes, size_t *tickets);
/* Further blocks go to another volume. */
void bulk_seal(struct embedded *e, uint64_t number);

/* ---- reclaim.c ---- */

extern const struct volume_ops embedded_volume_ops;

/* ---- space (space.c) ---- */

struct space {
	pthread_mutex_t lock;
	_Atomic int64_t credit; /* bytes that may be admitted before the disk is looked at */
	atomic_bool full;       /* ordinary writes are refused */
	int fd;                 /* of the reserve; -1: there is none yet */
	uint64_t reserve;       /* its bytes */
	uint64_t target;        /* what it should have */
	dev_t disk;             /* on which it lies */
	_Atomic uint64_t promised; /* what was admitted, and is not in the index yet, will take so much */
	atomic_bool applying_waits; /* for room: what is promised does not come to its end now */
};

void space_open(struct embedded *e);
void space_close(struct embedded *e);
/* NO_SPACE: a write of about so many bytes, and of so many of rows in the index, must not begin. What it is promised is
 * given back by space_used when it has ended, also with an error; NULL: it is written at once. */
enum rfs_err space_admit(
	struct embedded *e, enum space_need need, uint64_t bytes, uint64_t rows, uint64_t *promised) RFS_MUST_CHECK;
void space_used(struct embedded *e, uint64_t promised);
#define INDEX_SPARE ((uint64_t)1024 * 1024) /* free on the index's disk before it is written to */
/* Is there room for so many bytes of the index, also by giving up reserve: all of it for what compacts, else half? */
bool space_for_index(struct embedded *e, enum space_need need, uint64_t bytes);
/* What compaction may move now, without that it comes to an end half way. */
uint64_t space_to_move(struct embedded *e);
/* The size of volumes: what is left in one has to find room in the reserve. */
uint64_t space_volume_bytes(const struct embedded *e, uint64_t configured);
/* Now and then: the reserve grows where there is room. [background] */
void space_tend(struct embedded *e);

/* ---- the driver ---- */

struct embedded {
	struct metadata_driver metadata;
	struct storage_driver storage;
	char *data;
	int lock_fd;
	uint64_t volume_bytes;
	bool unsynced; /* `journal.sync` is false: no call waits for the disk before something is acknowledged */
	uint8_t store[16];
	bool has_store; /* the UUID is known: from a volume */
	atomic_bool poisoned;
	_Atomic(const char *) failed; /* what poisoned it; before it is */
	_Atomic uint64_t commits; /* batches that were not given back yet */
	_Atomic uint64_t next_volume;
	_Atomic uint64_t disk_bytes;
	struct index index;
	bool is_index_remade;         /* it was damaged, and is made anew; at the open only */
	struct position index_before; /* of the damaged one; sequence 0: not known */
	struct row_cache *rows; /* NULL until the store is open */
	struct volume_cache cache;
	struct latch_table latches;
	struct cell_table cells;
	struct journal journal;
	struct applier applier;
	struct bulk bulk;
	struct sealer sealer;
	bool seals_nothing;
	struct checkpoints checkpoints;
	struct space space;
	atomic_bool closing;
	uint64_t hash_seed;
	pthread_t resume_thread;

	pthread_mutex_t flush_lock;
	pthread_cond_t flush_wake;
	bool flush_stop;
	uint64_t flush_pending; /* journal bytes applied since the last sync of RocksDB's log */
	pthread_t flush_thread;
};

static inline struct embedded *
embedded_of_storage(struct storage_driver *d)
{
	return (struct embedded *)(void *)((char *)d - offsetof(struct embedded, storage));
}

/* Takes DATA/lock, whose file it keeps open. LOCKED. [init] */
enum rfs_err store_lock(const char *data, int *fd, char *error) RFS_MUST_CHECK;
/* Not opened: nothing but its parts, to be filled by who builds a store offline. [init] */
struct embedded *embedded_new(const struct config *config);
void embedded_free(struct embedded *e);
/* As embedded_open, but volumes that others left are not sealed: they may be links to files that must not change. */
enum rfs_err embedded_open_unsealed(const struct config *config, struct store_drivers *out, char *error);
/* After this nothing is written until the store is opened again. `what` failed: static, people read it. */
void embedded_poison(struct embedded *e, const char *what);
/* struct metadata_ops. */
void embedded_describe(struct metadata_driver *d, struct dump *out);
/* Tells the flusher of applied bytes. */
void embedded_applied(struct embedded *e, uint64_t bytes);

#endif
