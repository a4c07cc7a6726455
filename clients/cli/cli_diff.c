/* cli_diff.c: `restfs diff`: what is not the same in two trees. Exit code 1: something is not, or could not be read. */
#include "transfer_merge.h"

static void
name_show(struct transfer *t, const char *what, const struct place *place, const char *name)
{
	struct arena *arena = arena_new(1024);

	report_difference(t, what, place->bucket, place_join(arena, place, name));
	arena_free(arena);
}

static void
entry_compare(struct merge *m, struct arena *arena)
{
	enum merge_likeness likeness = merge_compare(m);
	struct job job;

	arena_reset(arena);
	job = merge_job(m, arena, true);
	if (likeness == LIKE_OTHER)
		report_difference(m->transfer, "differs", m->from.bucket, job.from);
	else if (likeness == LIKE_UNKNOWN)
		transfer_push(m->transfer, &job);
}

static void
trees_compare(struct merge *m, struct arena *arena)
{
	const struct filter *filter = &m->transfer->options->filter;
	enum merge_side side;

	while ((side = merge_next(m)) != MERGE_END) {
		const struct entry *e = side == MERGE_TARGET ? &m->target : &m->source;

		if (!filter_takes(filter, e->name, e->size, e->mtime_ns))
			continue;
		if (side == MERGE_BOTH)
			entry_compare(m, arena);
		else
			name_show(m->transfer, side == MERGE_SOURCE ? "only in source" : "only in target",
				side == MERGE_SOURCE ? &m->from : &m->to, e->name);
	}
}

int
cli_diff(struct cli *cli)
{
	struct transfer_options options;
	struct transfer t = {0};
	struct arena *arena;
	struct merge m;
	bool same;
	int code;

	if (!transfer_options_read(cli, &options))
		return cli_complain(cli, EXIT_USAGE);
	options.diff = options.dry_run = true;
	if ((code = merge_open(&m, &t, cli, &options)) != EXIT_DONE)
		return code;
	arena = arena_new(65536);
	trees_compare(&m, arena);
	same = transfer_end(&t) && t.counts.files == 0 && merge_is_whole(&m);
	merge_close(&m);
	arena_free(arena);
	return same ? EXIT_DONE : EXIT_REFUSED;
}
