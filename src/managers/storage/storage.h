/*
 * storage.h: the storage manager: bytes of objects to blocks and back. Cuts bodies into blocks, frames and compresses them, places them in the journal
 * (small ones, with their commit) or through the storage driver, keeps their rows, and reaps what no name holds any more.
 *
 * Called by core. Writers and the reaper run on workers and their own thread; readers obey rq->may_block.
 */
#ifndef MANAGERS_STORAGE_STORAGE_H
#define MANAGERS_STORAGE_STORAGE_H

#include "base/hash.h"
#include "managers/metadata/metadata.h"

struct storage;
struct config;

/* [init] Starts the reaper. storage_free stops it; the drivers are closed afterwards, by who opened them. */
enum rfs_err storage_new(struct metadata *metadata, struct storage_driver *driver, const struct config *config, struct storage **out);
void storage_free(struct storage *s);
/* Members of an object that is open in `out`: its own state, for developers; the driver has its own. [worker] */
void storage_describe(struct storage *s, struct request *rq, struct dump *out);

/*
 * Writing a body. Bytes of up to one block wait in memory for the commit; more are stored block by block under an unpublished data id, which a
 * staging row names until the commit that publishes it. [worker]
 */
struct content_writer;

/* `digests`: to be computed over the whole body. The bucket's row is copied. */
struct content_writer *content_writer_new(struct storage *s, struct request *rq, const struct bucket_row *bucket, unsigned digests);
/* Takes a reference. NO_SPACE, POISONED, IO: the writer can only be freed. */
enum rfs_err content_write(struct content_writer *w, struct slice part) RFS_MUST_CHECK;
/* No more bytes come: what was stored is durable on return, and numbers are given. WOULD_BLOCK, and nothing has happened: not for more than one block */
enum rfs_err content_seal(struct content_writer *w) RFS_MUST_CHECK;
uint64_t content_size(const struct content_writer *w);
/* Of a sealed writer, for a digest that was asked for, or MD5 */
void content_digest(struct content_writer *w, enum digest which, struct digest_value *out);
/* Adds what publishes the content to a batch; once for each attempt to commit. Fails only in a bucket that deduplicates, also with WOULD_BLOCK. */
enum rfs_err content_attach(struct content_writer *w, struct batch *b, struct content *out) RFS_MUST_CHECK;
/* After the commit: `published`; otherwise what was stored is given to the reaper. */
void content_writer_free(struct content_writer *w, bool published);

/* Reading [offset, offset + length) of a content. While the reader lives, the content's rows stay, also when its name goes. */
struct content_reader;

/* `to_socket`: a slice_file is welcome. */
struct content_reader *content_reader_new(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *content,
	uint64_t offset, uint64_t length, bool to_socket);
/* From now on as much at once, in whole frames of 64 KiB; at first 128 KiB. */
void content_reader_pieces(struct content_reader *r, size_t bytes);
/* The next bytes, verified, at most a piece, or two of a file; empty at the end. WOULD_BLOCK, and nothing has moved. NOT_FOUND: the content went before the reader was there */
enum rfs_err content_read(struct content_reader *r, struct slice *out) RFS_MUST_CHECK;
void content_reader_free(struct content_reader *r);

/* The parts behind number `after`, at most `limit`, of `total`; a content without parts has part 1. NOT_FOUND: the content has gone. */
enum rfs_err content_part_list(struct storage *s, struct request *rq, const struct bucket_row *bucket, const struct content *content, uint32_t after,
	size_t limit, struct part_info **out, size_t *count, size_t *total) RFS_MUST_CHECK;

/* Of a content: `bytes` from `offset` on, and `size` bytes in all; zeros where there were none. offset + bytes.len <= size */
struct content_change {
	uint64_t offset, size;
	struct bytes bytes;
};

/*
 * A second content in the same bucket, with the same bytes: references, no bytes; or, unless `change` is NULL, with some of them changed: the blocks that change are
 * written. content_share adds to the batch what takes the references; it is called once for each attempt to commit, with the same (at first zeroed) struct and change.
 * For more than one block the rows are staged first, like a writer's. NOT_FOUND: `from` has gone. [worker]
 */
struct content_share {
	struct content content; /* the new one */
	struct content from;
	uint64_t staged_serial;
	struct content_writer *writer; /* of one that was changed, and is one block */
};
enum rfs_err content_share(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct batch *b, const struct content *from,
	const struct content_change *change, struct content_share *share) RFS_MUST_CHECK;
/* After the last attempt. */
void content_share_end(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct content_share *share, bool published);

/* The runs that a segment's row names, each once: it holds a reference to each. */
size_t segment_runs(const struct segment_row *segment, uint64_t runs[RUN_MAX_BLOCKS]);

/*
 * Reads a block whole: the record, its frames, and the SHA-256 of its bytes. DAMAGED, NOT_FOUND, or whatever kept the
 * driver from reading it; the request's detail says which block, and what it was. `run` was decoded from its row, and
 * has its first number. [worker]
 */
enum rfs_err block_verify(struct storage_driver *driver, struct request *rq, uint64_t bucket, const struct run_row *run, uint32_t index) RFS_MUST_CHECK;

/*
 * Compaction: blocks that are needed are moved out of volumes with much garbage, and the volumes removed. By itself some time after deletes
 * (compaction.* in options.def), or at once: waits until there is nothing left to gain, without a limit of the rate. NOT_IMPLEMENTED, SHUTTING_DOWN [worker]
 */
struct compaction_report {
	uint64_t volumes_removed, bytes_freed;
	uint64_t blocks_moved, bytes_moved;
	uint64_t checkpoint_bytes;          /* written; 0: none was worth it */
	uint64_t live_bytes, garbage_bytes; /* what is left */
	uint64_t volumes_without_room;      /* worth it, but what is live in them finds no room on the disk */
};
enum rfs_err storage_compact(struct storage *s, struct request *rq, struct compaction_report *out) RFS_MUST_CHECK;
/* Whoever waits for a compaction or a verify is answered, and none is begun any more: before the doors are closed. */
void storage_shut_down(struct storage *s);

#endif
