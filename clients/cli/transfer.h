/*
 * transfer.h: files and objects, moved by many threads: what cp, mv, sync and mirror are made of.
 *
 *   cli_cp.c, cli_sync.c: which files (transfer_plan.c: where a path leads to)
 *     -> transfer_source.c: a tree or a bucket, entry by entry in the order of keys
 *     -> transfer_push: a job each, into a queue that is bounded
 *   transfer.c: threads take jobs, and parts of what is large
 *     -> transfer_upload.c, transfer_download.c, transfer_copy.c, transfer_relay.c: one of each; transfer_large.c:
 * parts of one, and transfer_resume.c: those that a server has already
 *     -> transfer_report.c: lines, and what was done in all
 *
 * What was not transferred whole never has its target's name.
 */
#ifndef CLIENTS_CLI_TRANSFER_H
#define CLIENTS_CLI_TRANSFER_H

#include "cli_s3.h"
#include "transfer_filter.h"
#include <pthread.h>
#include <stdatomic.h>

#define TRANSFER_SMALL_BYTES (1024 * 1024) /* a file that is held in memory whole */
#define TRANSFER_PART_SUFFIX ".restfs-part"
#define SOURCE_IS_LOCAL "--source-endpoint and --source-profile are of a store, and the source is local"
#define FOLDER_HAS_CONTENT "its name is that of a directory, and it has content"

/* A copy is within a store, which does it; a relay goes from one store to another, through this machine. */
enum transfer_kind { TRANSFER_UPLOAD, TRANSFER_DOWNLOAD, TRANSFER_COPY, TRANSFER_RELAY };

struct transfer_options {
	bool dry_run;
	bool diff; /* with dry_run: what would be done is a difference */
	bool verbose;
	bool follow;    /* symbolic links */
	bool sync_disk; /* what was downloaded, before it gets its name */
	bool checksum;  /* compare contents, not times */
	bool size_only;
	bool move; /* remove what was copied */
	unsigned parallel;
	uint64_t part_size;
	const char *content_type; /* of uploads; NULL: by the name */
	struct filter filter;
};

/* The options of cli->params. False: cli->error. */
bool transfer_options_read(struct cli *cli, struct transfer_options *out);

/* One file to transfer. */
struct job {
	struct job *next;
	const char *from, *to; /* a path, or a key */
	size_t root_len;       /* of `to`, where that is a path: see local_folder */
	uint64_t size;
	int64_t mtime_ns; /* the source's; an object's own, where it has none of its own */
	const char *etag; /* the source's, where it is an object and it is known; "" else */
	bool in_doubt;    /* the target has that size: perhaps it is the same */
	int64_t there_ns; /* then: the target's mtime, where that is a file */
};

struct large;

/* What was done. Added to with transfer_report's lock, or by the producer alone. */
struct transfer_counts {
	uint64_t files, bytes; /* transferred */
	uint64_t same;         /* not transferred: they are the same */
	uint64_t removed;
	uint64_t failed;
};

struct transfer {
	struct cli *cli;
	const struct transfer_options *options;
	struct s3_client *client;
	struct s3_client *from_client; /* of a relay's source; else the same */
	bool is_in_one_store;          /* source and target, as far as can be known */
	enum transfer_kind kind;
	const char *from_bucket, *to_bucket; /* NULL: local */

	pthread_mutex_t lock; /* all of the queue */
	pthread_cond_t more;  /* there is something to take, or nothing will come */
	pthread_cond_t room;  /* for the producer */
	struct job *first, **last;
	unsigned queued;
	unsigned waiting; /* threads in `more` */
	unsigned running; /* jobs that may yet become parts */
	unsigned parts_running, parts_done;
	bool producer_waits;
	bool closed;
	struct large *larges; /* with parts that nobody has taken */
	pthread_t *threads;
	unsigned started;

	pthread_mutex_t report_lock; /* counts, unanswered, stdout, stderr */
	unsigned unanswered;         /* failures in a row of requests to which no answer came, all attempts of them */
	_Atomic(const char *) given_up; /* why: these were too many, or there is no room; NULL: not */
	struct transfer_counts counts;
};

/* One of the threads. */
struct worker {
	struct transfer *transfer;
	struct s3_conn *conn;
	struct s3_conn *from_conn; /* of a relay's source; else the same */
	struct arena *arena;       /* of the job at hand */
	struct large *large; /* of which it has a part at hand */
	uint8_t *space;      /* TRANSFER_SMALL_BYTES */
	int spool_fd;        /* a relay's file without a name, for what is larger; -1: none */
	int64_t moved;       /* bytes of the job or part at hand that the progress shows */
	int folder_fd;       /* of the directory that was written to last; -1: none */
	size_t folder_root_len;
	char folder[4096]; /* its path, with a slash at its end */
};

/* --- transfer.c ----------------------------------------------------------------------------------------------------
 */

void transfer_begin(struct transfer *t);
/* Copies all of it; waits while the queue is full. By one thread. */
void transfer_push(struct transfer *t, const struct job *job);
/* Waits for all jobs. False: something failed, or it was interrupted. */
bool transfer_end(struct transfer *t);
/* Bytes of the job or part at hand are on their way; negative: those have to go again. */
void transfer_moved(struct worker *w, int64_t bytes);
/* The same, as what s3_body and s3_part call, with the worker as their data. */
void transfer_on_sent(void *worker, int64_t bytes);
/* It has ended: so many of its bytes are done. */
void transfer_settled(struct worker *w, uint64_t bytes);
/* For transfer_large.c: parts that others may take. */
void transfer_offer(struct transfer *t, struct large *large);

/* --- one job --------------------------------------------------------------------------------------------------------
 */

/* True: it was done, or has become parts, and then `*taken`. False: said to the user. */
bool transfer_upload(struct worker *w, struct job *job, bool *taken);
bool transfer_download(struct worker *w, struct job *job, bool *taken);
bool transfer_copy(struct worker *w, struct job *job, bool *taken);
bool transfer_relay(struct worker *w, struct job *job, bool *taken);
/* The target of a job in doubt is what would be put there. */
bool transfer_is_same(struct worker *w, const struct job *job);
/* With move: takes the source away, if it still is what was copied. */
bool transfer_source_remove(struct worker *w, const struct job *job);

/* --- transfer_large.c -----------------------------------------------------------------------------------------------
 */

struct large_kind {
	/* One part; number from 0. False: said to the user. */
	bool (*part)(struct worker *w, struct large *large, unsigned number);
	/* When the last part was; `whole`: all of them were. Frees what is the kind's. */
	bool (*finish)(struct worker *w, struct large *large, bool whole);
};

struct large {
	struct large *next;
	const struct large_kind *kind;
	struct job *job;     /* its own copy */
	struct arena *arena; /* of the whole; while there are parts, large_text alone */
	uint64_t part_size;
	unsigned parts;
	unsigned taken, done; /* under the transfer's lock */
	atomic_bool failed;
	int fd;   /* the local file, where there is one */
	int lock; /* of the upload; -1: there is none, or it could not be had */
	struct s3_upload upload;
	struct s3_part *uploaded; /* [parts] of an upload or a copy: before, what the server has; after, all */
	uint64_t *crcs;           /* [parts]: CRC64NVME of each */
	void *own;                /* the kind's */
};

/* Parts of so many bytes, at most S3_PARTS_MAX of them. */
struct large *large_new(const struct job *job, const struct large_kind *kind, uint64_t size, uint64_t part_size);
void large_free(struct large *large); /* gives back what it has open */
/* A copy that lives as long as it; by the thread of a part. */
const char *large_text(struct transfer *t, struct large *large, const char *text);
uint64_t large_offset(const struct large *large, unsigned number);
uint64_t large_length(const struct large *large, unsigned number);
/* Runs a part; after the last, the end. */
void large_part_run(struct worker *w, struct large *large, unsigned number);
/* The server has some of them: another time can go on. */
bool large_has_parts(const struct large *large);
/* The whole's CRC64NVME, of those of the parts. */
uint64_t large_crc(const struct large *large);
/* In base64, in the arena. */
const char *crc64_text(struct arena *arena, uint64_t crc);
bool crc64_parse(const char *text, uint64_t *crc);

/* --- transfer_copy.c: what a copy within a store and a relay have in common
 * -------------------------------------------
 */

struct copy_own {
	const char *crc64nvme; /* of the source; NULL: it has none */
	atomic_bool lacks_crc; /* of a part: nothing can be said of the whole */
	atomic_bool is_vain;   /* the parts are of no use for another time */
	bool has_its_parts;    /* they end where those of the source do: so the ETag has to be the same */
	bool is_resumed;       /* parts were there, whatever they are of: something has to verify the whole */
};

/* What the target is to be, of what the source is. */
struct s3_put copy_put(struct arena *arena, const struct transfer *t, const char *key, const struct s3_info *info);
/* Begins the upload, or goes on with one. False: the connection's failure, which is still to be said. */
bool copy_begin(struct worker *w, struct large *large, const struct s3_info *info);
/* As report_refused, of one of the connections. */
bool copy_refused(struct worker *w, const struct s3_conn *conn, struct large *large);
/* Notes a part that was made. */
void copy_part_made(struct worker *w, struct large *large, unsigned number, const struct s3_part *made);
bool copy_finish(struct worker *w, struct large *large, bool whole);

/* --- transfer_resume.c ----------------------------------------------------------------------------------------------
 */

/* Is that part, which a server has and which has the right size, one of ours? Then its CRC64NVME is noted. */
typedef bool large_part_fits(struct large *large, unsigned number, const struct s3_part *part);

/*
 * An upload that was begun at `since_ns` or later and has parts of ours alone, which are then in `uploaded`; or a new
 * one. `fits` NULL: a new one. False: the connection's failure, which is still to be said.
 */
bool large_upload_begin(
	struct worker *w, struct large *large, const struct s3_put *put, int64_t since_ns, large_part_fits *fits);

/* --- transfer_report.c ----------------------------------------------------------------------------------------------
 */

void report_done(struct transfer *t, const struct job *job, uint64_t bytes);
void report_difference(struct transfer *t, const char *what, const char *bucket, const char *name);
void report_same(struct transfer *t, const struct job *job);
/* A line on stderr, of an object, or of a path (`bucket` NULL). Gives false. */
bool report_failed(struct transfer *t, const char *bucket, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Of errno, at a target. Gives false. */
bool report_unwritten(struct transfer *t, const char *path);
/* Of the connection's failure, by the source. Gives false. */
bool report_refused(struct worker *w, const struct job *job);
/* Whose answer it is, where source and target are in two stores: "at the source: "; else "". */
const char *report_side(const struct transfer *t, const struct s3_conn *conn);
/* As report_refused, of that one of the worker's connections. */
bool report_refused_by(struct worker *w, const struct s3_conn *conn, const struct job *job);
void report_removed(struct transfer *t, const char *name);
/* No failure, but to be known. */
void report_warning(struct transfer *t, const char *name, const char *text);
/* What was done in all: the last line. */
void report_summary(struct transfer *t);

/* --- transfer_local.c: files ----------------------------------------------------------------------------------------
 */

/*
 * The directory that a file is in, open, and made where it is not there. -1: errno. The first `root_len` bytes of the
 * path are what the user wrote (0: all but its last name), and may lead over symbolic links; below them none is
 * followed, for whoever may write there could lead everything elsewhere: ELOOP. It holds until the next call.
 */
int local_folder(struct worker *w, const char *path, size_t root_len);
void local_folder_close(struct worker *w);
/* Of errno, in such a directory. */
const char *local_problem(int error);
/* A file, or with AT_REMOVEDIR an empty directory, by the same rule; nothing is made. */
bool local_remove(const char *path, size_t root_len, int flags);
/* The last name of a path. */
const char *local_name(const char *path);
/* The path of what is being downloaded, for this target: NAME.HASH.restfs-part, a name that nothing else has by chance. */
const char *local_part_path(struct arena *arena, const char *path);
/* Is that the last name of such a path? */
bool local_is_part(const char *name);
bool local_write(int fd, const void *data, size_t len, uint64_t offset);
/* Gives `part`, in that directory, its name, mtime and, if it is wanted, a place on the disk. Closes fd. False: errno.
 */
bool local_finish(
	const struct transfer_options *o, int folder, int fd, const char *part, const char *name, int64_t mtime_ns);
int64_t timespec_ns(const struct timespec *t);
/* "text/html" of "index.html"; NULL: not known. */
const char *content_type_of(const char *path);
/* Can that be a path below a directory? Not absolute, no empty name, no "." nor "..". */
bool local_name_is_safe(const char *name);
bool text_is_utf8(const char *text);

#endif
