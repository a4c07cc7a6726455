/* transfer_merge.c: see transfer_merge.h. */
#include "transfer_merge.h"
#include "cli_interrupt.h"
#include <errno.h>
#include <sys/stat.h>

#define MARGIN_NS INT64_C(2000000000) /* clocks are compared to a second */
#define TO_ASK 2

/* --- opening ------------------------------------------------------------------------------------------------------ */

static bool
local_source_check(struct cli *cli, const struct place *from)
{
	struct stat st;

	if (from->bucket)
		return true;
	if (stat(from->root, &st) != 0)
		return cli_fail(cli, "%s: cannot be read: %s", from->root, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return true;
	return cli_fail(cli, "%s is no directory (restfs cp copies single files)", from->root);
}

/* NULL: a directory that is not there yet. */
static struct source *
source_of(struct transfer *t, const struct place *place, struct s3_conn *conn, enum source_links links)
{
	struct stat st;

	if (place->bucket)
		return source_s3(t, conn, place->bucket, place->root);
	return stat(place->root, &st) != 0 && errno == ENOENT ? NULL : source_local(t, place->root, links);
}

int
merge_open(struct merge *m, struct transfer *t, struct cli *cli, const struct transfer_options *options)
{
	*m = (struct merge){.transfer = t, .has_source = TO_ASK, .has_target = TO_ASK};
	if (!place_read(cli, cli_text(cli, "source"), &m->from) || !place_read(cli, cli_text(cli, "target"), &m->to) ||
		!transfer_open(t, cli, options, &m->from, &m->to))
		return cli_complain(cli, EXIT_USAGE);
	if (!local_source_check(cli, &m->from)) {
		transfer_close(t);
		return cli_complain(cli, EXIT_REFUSED);
	}
	place_make_tree(cli, &m->from);
	place_make_tree(cli, &m->to);
	if (t->is_in_one_store && place_overlaps(&m->from, &m->to)) {
		transfer_close(t);
		cli_fail(cli, "one of source and target is in the other");
		return cli_complain(cli, EXIT_USAGE);
	}
	m->from_conn = s3_conn_new(t->from_client);
	m->to_conn = s3_conn_new(t->client);
	transfer_begin(t);
	m->from_source = source_of(t, &m->from, m->from_conn, source_links(options));
	/* What a link in a target leads to is not in it: neither is it written there, nor removed. */
	m->to_source = source_of(t, &m->to, m->to_conn, options->diff ? source_links(options) : LINKS_OF_TARGET);
	return EXIT_DONE;
}

void
merge_close(struct merge *m)
{
	source_free(m->from_source);
	source_free(m->to_source);
	s3_conn_free(m->from_conn);
	s3_conn_free(m->to_conn);
	transfer_close(m->transfer);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* The next of one side; objects that stand for directories count only where both sides have such. */
static int
side_next(struct merge *m, struct source *source, struct entry *out)
{
	const struct place *place = source == m->from_source ? &m->from : &m->to;
	bool keeps_folders = m->from.bucket && m->to.bucket;
	int has;

	if (!source)
		return 0;
	while ((has = source_next(source, out)) == 1) {
		m->saw_source |= source == m->from_source;
		if (!filter_name(&m->transfer->options->filter, out->name))
			continue;
		if (keeps_folders || out->name[strlen(out->name) - 1] != '/')
			break;
		if (out->size > 0 && (source == m->from_source || m->transfer->options->diff))
			(void)report_failed(m->transfer, place->bucket,
				place_join(m->transfer->cli->arena, place, out->name), FOLDER_HAS_CONTENT);
	}
	return has;
}

/* A path that nothing is below is a mistyped one; an empty bucket, or directory, is not. */
static void
source_check(const struct merge *m)
{
	if (m->has_source == 0 && !m->saw_source && m->from.bucket && m->from.root[0] && !interrupt_came())
		(void)report_failed(m->transfer, m->from.bucket, m->from.root, "nothing is below it");
}

enum merge_side
merge_next(struct merge *m)
{
	int order;

	if (m->has_source == TO_ASK)
		m->has_source = side_next(m, m->from_source, &m->source);
	if (m->has_target == TO_ASK)
		m->has_target = side_next(m, m->to_source, &m->target);
	if (m->has_source < 0 || m->has_target < 0 || m->has_source + m->has_target == 0) {
		source_check(m);
		return MERGE_END;
	}
	order = !m->has_source ? 1 : !m->has_target ? -1 : strcmp(m->source.name, m->target.name);
	if (order <= 0)
		m->has_source = TO_ASK;
	if (order >= 0)
		m->has_target = TO_ASK;
	return order < 0 ? MERGE_SOURCE : order > 0 ? MERGE_TARGET : MERGE_BOTH;
}

bool
merge_is_whole(const struct merge *m)
{
	return m->has_source == 0 && m->has_target == 0 && (!m->from_source || !source_has_holes(m->from_source)) &&
	       (!m->to_source || !source_has_holes(m->to_source));
}

/* --- likeness ----------------------------------------------------------------------------------------------------- */

/* Of two objects: their ETags, unless one is of parts, or of another store, which may make them of something else. */
static enum merge_likeness
objects_compare(const struct merge *m)
{
	const struct entry *from = &m->source, *to = &m->target;

	if (from->etag[0] && strcmp(from->etag, to->etag) == 0)
		return LIKE_SAME;
	if (m->transfer->kind == TRANSFER_COPY && !strchr(from->etag, '-') && !strchr(to->etag, '-'))
		return LIKE_OTHER;
	return LIKE_UNKNOWN;
}

enum merge_likeness
merge_compare(const struct merge *m)
{
	const struct transfer_options *o = m->transfer->options;
	const struct entry *from = &m->source, *to = &m->target;
	int64_t stored;

	if (from->size != to->size)
		return LIKE_OTHER;
	if (o->size_only && !o->checksum)
		return LIKE_SAME;
	if (m->from.bucket && m->to.bucket)
		return objects_compare(m);
	if (o->checksum)
		return LIKE_UNKNOWN;
	if (m->transfer->kind == TRANSFER_UPLOAD) {
		stored = to->mtime_ns - s3_conn_skew_ns(m->to_conn);
		return from->change_ns + MARGIN_NS < stored ? LIKE_SAME : LIKE_UNKNOWN;
	}
	stored = from->mtime_ns - s3_conn_skew_ns(m->from_conn);
	return to->change_ns > stored + MARGIN_NS && to->mtime_ns <= from->mtime_ns ? LIKE_SAME : LIKE_UNKNOWN;
}

struct job
merge_job(const struct merge *m, struct arena *arena, bool in_doubt)
{
	return (struct job){.from = place_join(arena, &m->from, m->source.name),
		.to = place_join(arena, &m->to, m->source.name),
		.root_len = m->to.bucket ? 0 : strlen(m->to.root),
		.size = m->source.size,
		.mtime_ns = m->source.mtime_ns,
		.etag = m->source.etag,
		.in_doubt = in_doubt,
		.there_ns = in_doubt ? m->target.mtime_ns : 0};
}
