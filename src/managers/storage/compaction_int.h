/*
 * compaction_int.h: what the files of compaction share: compaction.c (when), compaction_survey.c (what there is),
 * compaction_round.c (what goes), compaction_move.c (how).
 */
#ifndef MANAGERS_STORAGE_COMPACTION_INT_H
#define MANAGERS_STORAGE_COMPACTION_INT_H

#include "managers/storage/storage_int.h"

struct volume_state {
	struct storage_volume v;
	uint64_t live_bytes, live_blocks;
	bool removed;
	bool tried; /* in this round: it is empty, or stays until the next */
	bool kept;  /* blocks of it cannot be read: not tried again before the next start, but by hand */
};

struct volume_live {
	uint64_t number, bytes;
};

struct compaction {
	struct storage *storage;
	bool enabled;
	unsigned percent;
	uint64_t rate, volume_bytes;
	int64_t interval_ns;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, ended;
	/* Under it. */
	bool stopping;
	uint64_t asked, answered; /* rounds by hand */
	struct compaction_report last;
	enum rfs_err last_error;
	int64_t due_ns;           /* when as much may have been read and written as was */
	const char *step;         /* what it does, static */
	uint64_t step_volume;     /* and with which one; 0: with none */
	struct volume_live *seen; /* as of the last look that came to its end, by number */
	size_t seen_count;

	/* The thread's. */
	bool whole; /* by tests, while it waits: every volume that there is is emptied, and has gone at a round's end */
	uint64_t newest; /* of those that there were at its beginning: others hold what was moved */
	struct request rq;
	bool by_hand;
	bool left; /* by the round, to another one: somebody was writing to it, or was faster */
	struct compaction_report report;
	struct volume_state *volumes;
	size_t count;
	uint64_t *kept, *tried, *missing;
	size_t kept_count, tried_count, missing_count;
	uint64_t checkpoint_done;   /* bytes of the one being made that were paced */
	int64_t last_ns, looked_ns; /* the last round's end, and how long its surveys took */
	uint64_t stored_bytes;      /* what the store took at its beginning */
};

/* Waits until `bytes` more are within the rate, unless somebody waits for the end of it. False: it shall end. `data`:
 * the compaction. */
bool compaction_pace(void *data, uint64_t bytes);
/* Writes are refused: volumes go one by one then. */
bool compaction_is_full(void);
/* What it does now, for developers: `step` is static; volume 0: with none. */
void compaction_step(struct compaction *c, const char *step, uint64_t volume);

/* When it looks by itself; INT64_MAX: nothing calls for it. `first`: it has not looked since the start. */
int64_t compaction_look_at_ns(struct compaction *c, bool first);

bool compaction_list_has(const uint64_t *list, size_t count, uint64_t number);
/* Unless it has it. */
void compaction_list_add(uint64_t **list, size_t *count, uint64_t number);

/* Lists the volumes, and counts of each what is live. */
enum rfs_err compaction_survey(struct compaction *c) RFS_MUST_CHECK;
/* Its figures, to metrics and report. */
void compaction_tell(struct compaction *c);
/* What the store takes. */
uint64_t compaction_disk_bytes(struct compaction *c);

/* Steps, until all that are worth it have been tried. */
enum rfs_err compaction_round(struct compaction *c) RFS_MUST_CHECK;

#endif
