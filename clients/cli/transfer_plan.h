/* transfer_plan.h: where a path of the command line leads to. */
#ifndef CLIENTS_CLI_TRANSFER_PLAN_H
#define CLIENTS_CLI_TRANSFER_PLAN_H

#include "transfer.h"

/* One side of a transfer: names below `root` are a path, or a key, when they are put behind it. */
struct place {
	const char *bucket; /* NULL: local */
	const char *root;   /* of a tree: "" or ends in '/'; else the path or key itself */
};

/* As it was written. False: cli->error. */
bool place_read(struct cli *cli, const char *text, struct place *out);
/* The root of a tree: ends in '/', unless it is a whole bucket. */
void place_make_tree(struct cli *cli, struct place *place);
bool place_is_local_folder(const struct place *place);
/* The last level of its name. */
const char *place_base(struct cli *cli, const struct place *place);
const char *place_join(struct arena *arena, const struct place *place, const char *name);
/* Trees of one bucket, one of which is in the other: what is copied would be found again, and copied. */
bool place_overlaps(const struct place *from, const struct place *to);
/* What goes from one to the other. False: both are local. */
bool place_kind(struct cli *cli, const struct place *from, const struct place *to, enum transfer_kind *out);
/* Clients, rate, kind, buckets. False: cli->error. transfer_close ends it, also if it was not begun. */
bool transfer_open(struct transfer *t, struct cli *cli, const struct transfer_options *options,
	const struct place *from, const struct place *to);
void transfer_close(struct transfer *t);

#endif
