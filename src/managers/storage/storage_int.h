/* storage_int.h: what the files of the storage manager share. */
#ifndef MANAGERS_STORAGE_STORAGE_INT_H
#define MANAGERS_STORAGE_STORAGE_INT_H

#include "base/dump.h"
#include "managers/storage/compute.h"
#include "managers/storage/storage.h"
#include <pthread.h>
#include <stdatomic.h>

#define PIN_SLOTS 256

struct pin {
	struct pin *next;
	uint64_t data_id;
	unsigned count;
};

struct storage {
	struct metadata *metadata;
	struct storage_driver *driver;
	bool fused;              /* the metadata driver takes payloads with a batch */
	size_t small_bytes;      /* payloads up to this go with the batch */

	uint64_t numbers_before; /* data ids below were given by processes before this one */

	pthread_mutex_t pins_lock; /* pins */
	struct pin *pins[PIN_SLOTS];

	_Atomic uint64_t dropped_bytes; /* of blocks that no row names, about: whether compaction is worth a look */
	struct compaction *compaction;  /* NULL: the driver has no volumes */
	struct compute *compute;
	struct damages *damages;
	struct scrub *scrub;

	struct feed_limits feed_limits; /* [init] */
	int64_t feed_interval_ns;

	pthread_t reaper;
	pthread_mutex_t reaper_lock; /* below */
	pthread_cond_t reaper_wake;
	pthread_cond_t reaper_done;
	uint64_t reap_asked, reap_answered; /* reaper_finish */
	bool shutting_down;    /* nobody waits for it any more */
	bool stopping;
	uint64_t reaping;      /* the bucket whose contents are being reaped; 0: none */
	uint64_t reaped;       /* buckets that were gone through */
};

/* The reaper's thread. */
void *reaper_run(void *data);
/* Waits until what was purged before is reaped, but for what is being read or cannot be reaped now. [worker] */
void reaper_finish(struct storage *s);
/* Is it to end? */
bool reaper_stopping(struct storage *s);

/* What a round left to another one, and why. */
struct reap_round {
	bool left;   /* for a reader, a lost race or a failure */
	bool failed; /* it is tried again, but not so soon */
	bool more;   /* for it was made by what was reaped: an upload leaves its parts */
};
/* purge_reap.c: a round over all purge rows of a bucket. */
void purged_reap(struct storage *s, struct request *rq, uint64_t bucket, struct reap_round *round);

/* feeds_reap.c: which feed is looked at next, and when. Only the reaper's. */
struct feeds_round {
	int64_t next_ns; /* of the monotonic clock: when the next round begins */
	uint64_t bucket; /* where it goes on; 0: it has not begun */
};
void feeds_reap(struct storage *s, struct request *rq, struct feeds_round *round);

/* The first bucket with a number >= `*bucket` that has rows, also one that was removed. */
enum rfs_err storage_bucket_from(struct storage *s, struct request *rq, uint64_t *bucket, bool *found) RFS_MUST_CHECK;

/* --- compaction.c: when; compaction_round.c: which volumes to empty; compaction_move.c: the moving of blocks ---------------------- */

struct compaction *compaction_start(struct storage *s, const struct config *config);
void compaction_stop(struct compaction *c);
void compaction_free(struct compaction *c);
/* Its state, and all volumes with what of them was live at the last look. */
void compaction_describe(struct compaction *c, struct request *rq, struct dump *out);

struct moved {
	uint64_t blocks, bytes;
	uint64_t lost;    /* runs that stay: they were changed again and again meanwhile */
	uint64_t damaged; /* runs that stay: a block cannot be read */
};
/* Called with bytes read and written; false: to stop. May wait. */
typedef bool move_pace(void *data, uint64_t bytes);
/* Moves the blocks that rows name out of a sealed volume; adds to `out`. CANCELLED; NO_SPACE, POISONED, IO: what was moved stays so */
enum rfs_err volume_move(struct storage *s, struct request *rq, uint64_t volume, move_pace *pace, void *data, struct moved *out) RFS_MUST_CHECK;

/* --- damage.c, verify.c, scrub.c: see scrub.h -------------------------------------------------------------------------------------- */

/* What was known before. [init] */
struct damages *damages_new(struct metadata *metadata);
void damages_free(struct damages *d);
/* Keeps what was found, or forgotten, since the last time. A failure is told once, and what is not kept is tried again.
 * [worker] or [background] */
void damages_write(struct storage *s);
/* Now and then: what was replaced is forgotten, and what was found is kept. The reaper's. */
void damages_tend(struct storage *s, struct request *rq);

/* What is told while a bucket is read. */
struct verify {
	bool (*pace)(void *data, uint64_t bytes); /* before so many are read; may wait; false: to stop */
	void (*object)(void *data, struct bytes key); /* one was read; in the order of keys */
	void (*found)(void *data, const struct bucket_row *bucket, struct bytes key, struct bytes row, uint64_t data_id,
		const char *problem);
	void *data;
};
/* All uploads, and objects with a key behind `after` (empty: all). CANCELLED; another error: rows could not be read */
enum rfs_err verify_run(struct storage *s, const struct bucket_row *bucket, struct bytes after, const struct verify *verify) RFS_MUST_CHECK;

struct scrub *scrub_new(struct storage *s, const struct config *config);
void scrub_stop(struct scrub *scrub);
void scrub_free(struct scrub *scrub);
void scrub_describe(struct scrub *scrub, struct dump *out);
/* How long a round waits at a start: until it is due by what is kept of the last one, and no longer than the interval, however the clock was set. */
int64_t scrub_wait_ns(const struct scrub_row *kept, int64_t now_ns, int64_t interval_ns);

/* A content with readers is not reaped. */
void storage_pin(struct storage *s, uint64_t data_id);
void storage_unpin(struct storage *s, uint64_t data_id);
bool storage_is_pinned(struct storage *s, uint64_t data_id);

/* The parts row of a CONTENT_PARTS; `sums` may be NULL. NOT_FOUND */
enum rfs_err content_parts(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *content, struct part_ref **parts,
	size_t *count, struct part_sums *sums) RFS_MUST_CHECK;

/* --- references.c: who names a run, which block has a hash ----------------------------------------------------------------------- */

/* Adds to `b` one reference more to a run that is there. NOT_FOUND: it has gone */
enum rfs_err run_refer(struct storage *s, struct request *rq, uint64_t bucket, struct batch *b, uint64_t first) RFS_MUST_CHECK;
/* The same, for a run whose row was just read. */
void run_refer_at(struct batch *b, uint64_t bucket, uint64_t first, uint64_t serial);
/* Adds a new run. */
void run_add(struct batch *b, uint64_t bucket, const struct run_row *run, const struct batch_block *blocks);
/* References that are given back in one batch. */
struct drops {
	struct batch *batch;
	uint64_t bytes; /* of runs that go with it */
	const struct counter_range
		*references; /* as they were; NULL: not known. The commit EXPECTs what they are then */
};
/* Adds `count` references less; the last one takes the run's row, and the hash row that names it. Once for each run in a batch: its EXPECT is judged after all ADDs. */
enum rfs_err run_drop(struct storage *s, struct request *rq, uint64_t bucket, struct drops *drops, uint64_t first, size_t count) RFS_MUST_CHECK;
/* Commits them. Then, not before, compaction is told: else it might look at what is not garbage yet, and forget it. */
enum rfs_err drops_commit(struct storage *s, struct request *rq, const struct drops *drops) RFS_MUST_CHECK;

/* Gives back the tickets of blocks that were put and that no row will name: what they take is garbage, which compaction looks for. */
void blocks_abandon(struct storage *s, struct block_ticket *tickets, size_t count);

/* --- content_change.c --------------------------------------------------------------------------------------------------------- */

/* All bytes of the changed content, which is one block, into a writer. */
enum rfs_err content_change_write(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from,
	const struct content_change *change, struct content_writer *w) RFS_MUST_CHECK;
/* The segments of the changed content, under a data id that is staged; `from` is not made of parts. */
enum rfs_err segments_change(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *from,
	const struct content_change *change, uint64_t data_id) RFS_MUST_CHECK;

/* --- payload.c: what is stored of a block -------------------------------------------------------------------------------------- */

struct payload {
	struct slice *slices;
	size_t count, bytes;
};
/* Of `len` raw bytes in `parts`; makes `out`. [worker], small ones [any] */
void payload_build(struct storage *s, const struct slice *parts, size_t count, size_t len, bool compress, struct payload *out);
void payload_clear(struct payload *p);

/* --- run_write.c: blocks that are made together ------------------------------------------------------------------------------- */

/* A run in the making: all zero at first, then `run.first` is given. */
struct run_writer {
	struct run_row run;
	struct block_ticket tickets[RUN_MAX_BLOCKS];
};
/* Adds a block, and makes its payload. */
void run_block_frame(struct storage *s, struct run_writer *w, const struct slice *parts, size_t count, size_t len, bool compress,
	const uint8_t sha256[32], struct payload *out);
/* Puts the block that was added last through the storage driver; takes the payload. NO_SPACE, POISONED */
enum rfs_err run_block_put(struct storage *s, struct request *rq, uint64_t bucket, struct run_writer *w, struct payload *payload) RFS_MUST_CHECK;
/* Returns when all of them are durable. */
enum rfs_err run_wait(struct storage *s, struct request *rq, const struct run_writer *w) RFS_MUST_CHECK;
/* Adds the run's row, once they are. */
void run_attach(struct batch *b, uint64_t bucket, const struct run_writer *w);
/* Gives the tickets back. */
void run_writer_fini(struct storage *s, struct run_writer *w, bool published);

/* The block of this bucket whose raw bytes have this SHA-256 and size. `block` 0: there is none that a hash row names. */
struct hash_found {
	uint64_t block;
	uint64_t block_serial;
	uint64_t hash_serial; /* of the hash row; 0: there is none */
};
enum rfs_err hash_find(struct storage *s, struct request *rq, uint64_t bucket, const uint8_t sha256[32], uint32_t size, struct hash_found *out)
	RFS_MUST_CHECK;

/* --- content_deduplicate.c: blocks that are stored once --------------------------------------------------------------------------- */

struct deduplicator;

/* `bucket` stays where it is. */
struct deduplicator *deduplicator_new(struct storage *s, struct request *rq, const struct bucket_row *bucket);
/* `published`: what it has was committed. */
void deduplicator_free(struct deduplicator *d, bool published);
/* A body of one block: kept; then added to each attempt to commit. WOULD_BLOCK */
void deduplicator_keep(struct deduplicator *d, const struct digest_value *sha256, const struct slice *parts, size_t count, size_t len);
enum rfs_err deduplicator_attach(struct deduplicator *d, struct batch *b, uint64_t *block) RFS_MUST_CHECK;
/* A longer body: the next block, of the staged content `data_id`; then what is not committed yet. */
enum rfs_err deduplicator_add(struct deduplicator *d, uint64_t data_id, const struct digest_value *sha256, const struct slice *parts, size_t count,
	size_t len) RFS_MUST_CHECK;
enum rfs_err deduplicator_commit(struct deduplicator *d, uint64_t data_id) RFS_MUST_CHECK;

/* --- frames.c: a block's payload ----------------------------------------------------------------------------------------------- */

#define FRAME_BYTES 65536
#define FRAME_TABLE_HEAD 8
#define FRAME_TABLE_ENTRY 8
#define FRAMES_MAX 128 /* 8 MiB */

/* The payload of `len` raw bytes in `parts`: out[] gets at most 1 + count (raw) or 1 + frames slices; returns how many. The caller unrefs them. */
size_t frames_build(const struct slice *parts, size_t count, size_t len, bool compress, struct slice *out, size_t *stored);
/* The most slices that frames_build gives. */
size_t frames_slices_max(size_t count, size_t len);

/* Which payload bytes hold raw bytes [from, from + len) once the table is known. */
struct frame_table {
	uint32_t raw_size;
	uint32_t count;
	struct {
		uint32_t offset; /* in the payload */
		uint32_t stored; /* bytes */
		uint32_t crc;
		uint8_t codec;
	} frame[FRAMES_MAX];
};
#define FRAME_TABLE_BYTES(raw) (FRAME_TABLE_HEAD + FRAME_TABLE_ENTRY * (((size_t)(raw) + FRAME_BYTES - 1) / FRAME_BYTES))
bool frame_table_decode(struct bytes head, size_t payload_bytes, struct frame_table *out);
/* Are the frames first..last stored as they are? */
bool frames_are_plain(const struct frame_table *t, uint32_t first, uint32_t last);
/* Do they have their checksums? `payload` begins with the first one's first byte. */
bool frames_match(const struct frame_table *t, uint32_t first, uint32_t last, struct bytes payload);
/*
 * `payload` holds the frames first..last, beginning with the first one's first byte. Raw bytes [from, from + len), relative to the first frame's. No copy when
 * all those frames are plain. DAMAGED
 */
enum rfs_err frames_decode(const struct frame_table *t, uint32_t first, uint32_t last, struct slice payload, bool verify, size_t from, size_t len,
	struct slice *out) RFS_MUST_CHECK;

#endif
