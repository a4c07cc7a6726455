/*
 * cli_sync.c: `restfs sync` and `restfs mirror`: one tree as the other is, by what differs alone.
 *
 * What the source does not have is removed last, and only if everything else was done: both trees were read whole, and
 * nothing failed. Of a source in which nothing is, nothing is removed: it may be a wrong path, or a disk that is not
 * mounted.
 */
#include "transfer_merge.h"
#include "cli_interrupt.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The command, and what is to be removed. */
struct syncing {
	struct transfer transfer;
	struct merge merge;
	struct arena *arena; /* of one job */
	struct arena *names; /* of `extra` */
	struct buf extra;    /* const char *: paths or keys */
	bool removes;
};

/* What the filter leaves out is not there, on either side. */
static void
extra_note(struct syncing *s)
{
	const struct entry *e = &s->merge.target;
	const char *name;

	if (!s->removes || !filter_takes(&s->transfer.options->filter, e->name, e->size, e->mtime_ns))
		return;
	name = place_join(s->names, &s->merge.to, e->name);
	buf_put(&s->extra, &name, sizeof(name));
}

static void
source_entry(struct syncing *s, bool in_doubt)
{
	const struct entry *e = &s->merge.source;
	struct job job;

	if (!filter_takes(&s->transfer.options->filter, e->name, e->size, e->mtime_ns))
		return;
	arena_reset(s->arena);
	job = merge_job(&s->merge, s->arena, in_doubt);
	if (s->transfer.kind == TRANSFER_DOWNLOAD && !local_name_is_safe(e->name))
		(void)report_failed(
			&s->transfer, s->merge.from.bucket, job.from, "its key is no path below a directory");
	else
		transfer_push(&s->transfer, &job);
}

static void
same_entry(struct syncing *s)
{
	pthread_mutex_lock(&s->transfer.report_lock);
	s->transfer.counts.same++;
	pthread_mutex_unlock(&s->transfer.report_lock);
}

static void
trees_compare(struct syncing *s)
{
	enum merge_side side;

	while ((side = merge_next(&s->merge)) != MERGE_END) {
		enum merge_likeness likeness = side == MERGE_BOTH ? merge_compare(&s->merge) : LIKE_OTHER;

		if (side == MERGE_TARGET)
			extra_note(s);
		else if (likeness == LIKE_SAME)
			same_entry(s);
		else
			source_entry(s, likeness == LIKE_UNKNOWN);
	}
}

/* --- removing ----------------------------------------------------------------------------------------------------- */

static bool
has_failed(const char *key, const struct s3_delete_failure *failures, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(failures[i].key, key) == 0)
			return true;
	return false;
}

static bool
batch_remove(struct syncing *s, const char *const *keys, size_t count)
{
	struct s3_conn *conn = s->merge.to_conn;
	struct s3_delete_failure *failures;
	size_t failed;

	arena_reset(s->arena);
	if (!s3_delete_many(conn, s->arena, s->merge.to.bucket, keys, count, &failures, &failed))
		return report_failed(&s->transfer, s->merge.to.bucket, keys[0], "%zu objects cannot be removed: %s",
			count, s3_conn_failure(conn)->text);
	for (size_t i = 0; i < failed; i++)
		(void)report_failed(
			&s->transfer, s->merge.to.bucket, failures[i].key, "cannot be removed: %s", failures[i].text);
	for (size_t i = 0; i < count; i++)
		if (failed == 0 || !has_failed(keys[i], failures, failed))
			report_removed(&s->transfer, keys[i]);
	return true;
}

static void
objects_remove(struct syncing *s, const char *const *keys, size_t count)
{
	for (size_t at = 0; at < count && !interrupt_came(); at += S3_DELETE_MAX)
		if (!batch_remove(s, keys + at, count - at < S3_DELETE_MAX ? count - at : S3_DELETE_MAX))
			return;
}

/* With the directories above it that it leaves empty, up to the root. */
static void
file_remove(struct syncing *s, const char *path)
{
	size_t root_len = strlen(s->merge.to.root);
	char *folder, *slash;

	if (!local_remove(path, root_len, 0)) {
		(void)report_failed(&s->transfer, NULL, path, "cannot be removed: %s", local_problem(errno));
		return;
	}
	report_removed(&s->transfer, path);
	folder = arena_str(s->names, bytes_str(path));
	while ((slash = strrchr(folder, '/')) && (size_t)(slash - folder) >= root_len) {
		*slash = '\0';
		if (!local_remove(folder, root_len, AT_REMOVEDIR))
			break;
	}
}

/* Why nothing is removed; NULL: it is. */
static const char *
obstacle(const struct syncing *s, bool done)
{
	if (!done || !merge_is_whole(&s->merge))
		return "nothing was removed from the target, as not everything before that succeeded";
	if (!s->merge.saw_source)
		return "nothing was removed from the target, as nothing is in the source (restfs rm -r removes all)";
	return NULL;
}

static void
extra_remove(struct syncing *s, bool done)
{
	const char *const *names = (const char *const *)(const void *)s->extra.data;
	size_t count = s->extra.len / sizeof(*names);
	const char *why = count ? obstacle(s, done) : NULL;

	if (why)
		(void)report_failed(&s->transfer, NULL, cli_text(s->transfer.cli, "source"), "%s", why);
	else if (s->merge.to.bucket && !s->transfer.options->dry_run)
		objects_remove(s, names, count);
	else
		for (size_t i = 0; i < count && !interrupt_came(); i++)
			if (s->transfer.options->dry_run)
				report_removed(&s->transfer, names[i]);
			else
				file_remove(s, names[i]);
}

/* --- the commands ------------------------------------------------------------------------------------------------- */

static int
synchronise(struct cli *cli, bool removes)
{
	struct syncing s = {.removes = removes};
	struct transfer_options options;
	bool done;
	int code;

	if (!transfer_options_read(cli, &options))
		return cli_complain(cli, EXIT_USAGE);
	if ((code = merge_open(&s.merge, &s.transfer, cli, &options)) != EXIT_DONE)
		return code;
	s.arena = arena_new(65536);
	s.names = arena_new(65536);
	buf_init(&s.extra, NULL);
	trees_compare(&s);
	done = transfer_end(&s.transfer);
	interrupt_catch(NULL, NULL); /* of a removal that was sent the answer is waited for, and told */
	extra_remove(&s, done);
	interrupt_release();
	done = done && s.transfer.counts.failed == 0 && merge_is_whole(&s.merge) && !interrupt_came();
	report_summary(&s.transfer);
	merge_close(&s.merge);
	buf_fini(&s.extra);
	arena_free(s.arena);
	arena_free(s.names);
	return done ? EXIT_DONE : EXIT_REFUSED;
}

int
cli_sync(struct cli *cli)
{
	return synchronise(cli, cli_flag(cli, "delete"));
}

int
cli_mirror(struct cli *cli)
{
	return synchronise(cli, true);
}
