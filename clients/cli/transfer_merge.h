/*
 * transfer_merge.h: two trees beside each other, name by name, and whether what has the same name is the same. For
 * sync, mirror and diff.
 */
#ifndef CLIENTS_CLI_TRANSFER_MERGE_H
#define CLIENTS_CLI_TRANSFER_MERGE_H

#include "transfer_plan.h"
#include "transfer_source.h"

enum merge_side { MERGE_END, MERGE_SOURCE, MERGE_TARGET, MERGE_BOTH };

struct merge {
	struct transfer *transfer;
	struct place from, to; /* roots of trees */
	struct s3_conn *from_conn, *to_conn;
	struct source *from_source, *to_source;
	struct entry source, target; /* where the side says so */
	int has_source, has_target;  /* as source_next gives it; 2: to be asked */
	bool saw_source;
};

/* Reads the two paths of the command, and opens the transfer. EXIT_DONE, or the exit code of what it has complained of.
 */
int merge_open(struct merge *m, struct transfer *t, struct cli *cli, const struct transfer_options *options);
void merge_close(struct merge *m);
/* The next name of either; what no filter of names takes is left out. */
enum merge_side merge_next(struct merge *m);
/* Both trees were read to their ends. */
bool merge_is_whole(const struct merge *m);

enum merge_likeness { LIKE_SAME, LIKE_OTHER, LIKE_UNKNOWN };

/*
 * Of MERGE_BOTH, by what lists say: sizes, and times. A file that nothing was changed of since the object was stored is
 * the same; so is one that came into being after the object, with a time of before it: a download. Everything else is
 * unknown: transfer_is_same asks for the object's own time, or compares contents. Of two objects the ETags decide where
 * both are of contents; else the target is the same if it is the younger, and unknown if not.
 */
enum merge_likeness merge_compare(const struct merge *m);
/* The job that brings the source to the target; texts in the arena. */
struct job merge_job(const struct merge *m, struct arena *arena, bool in_doubt);

#endif
