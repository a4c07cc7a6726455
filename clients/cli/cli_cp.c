/*
 * cli_cp.c: `restfs cp` and `restfs mv`: files, objects and trees, from one side to the other or within a store.
 *
 * What is in a tree goes below the target; of several sources each tree goes below its own name there.
 */
#include "transfer_plan.h"
#include "cli_interrupt.h"
#include "transfer_source.h"
#include <errno.h>
#include <sys/stat.h>

/* The command, while its sources are gone through. */
struct copying {
	struct cli *cli;
	struct transfer *t;
	struct s3_conn *conn; /* for lists and heads */
	struct arena *arena;  /* of one job */
	struct place to;
	bool recursive;
	bool to_folder; /* the target is what sources are put into, under their own names */
	bool many;
};

/* --- trees -------------------------------------------------------------------------------------------------------- */

/* An object that stands for a directory: it is made, or copied as it is. */
static bool
folder_entry(struct copying *c, const struct job *job)
{
	struct worker w = {.transfer = c->t, .folder_fd = -1};
	bool done = c->t->options->dry_run || local_folder(&w, job->to, job->root_len) >= 0 ||
		    report_failed(c->t, NULL, job->to, "cannot be made: %s", local_problem(errno));

	local_folder_close(&w);
	return done;
}

static void
entry_push(struct copying *c, const struct place *from, const struct place *to, size_t root_len, const struct entry *e)
{
	size_t len = strlen(e->name);
	bool is_folder = e->name[len - 1] == '/';
	struct job job = {.size = e->size, .mtime_ns = e->mtime_ns, .etag = e->etag, .root_len = root_len};

	if (!filter_takes(&c->t->options->filter, e->name, e->size, e->mtime_ns))
		return;
	arena_reset(c->arena);
	job.from = place_join(c->arena, from, e->name);
	job.to = place_join(c->arena, to, e->name);
	if (c->t->kind == TRANSFER_DOWNLOAD &&
		!local_name_is_safe(arena_str(c->arena, bytes_of(e->name, len - is_folder))))
		(void)report_failed(c->t, from->bucket, job.from, "its key is no path below a directory");
	else if (c->t->kind == TRANSFER_DOWNLOAD && is_folder && e->size > 0)
		(void)report_failed(c->t, from->bucket, job.from, FOLDER_HAS_CONTENT);
	else if (c->t->kind == TRANSFER_DOWNLOAD && is_folder)
		(void)folder_entry(c, &job);
	else
		transfer_push(c->t, &job);
}

static void
tree_copy(struct copying *c, struct place from)
{
	struct place to = c->to;
	struct source *source;
	bool is_empty = true;
	size_t root_len;
	struct entry e;

	place_make_tree(c->cli, &from);
	place_make_tree(c->cli, &to);
	root_len = strlen(to.root);
	if (c->many)
		to.root = arena_printf(c->cli->arena, "%s%s/", to.root, place_base(c->cli, &from));
	if (c->t->is_in_one_store && place_overlaps(&from, &to)) {
		report_failed(c->t, from.bucket, from.root, "one of source and target is in the other");
		return;
	}
	source = from.bucket ? source_s3(c->t, c->conn, from.bucket, from.root)
			     : source_local(c->t, from.root, source_links(c->t->options));
	while (source_next(source, &e) == 1) {
		entry_push(c, &from, &to, root_len, &e);
		is_empty = false;
	}
	if (is_empty && from.bucket && !source_has_holes(source) && !interrupt_came())
		report_failed(c->t, from.bucket, from.root, "nothing is below it");
	source_free(source);
}

/* --- single ones -------------------------------------------------------------------------------------------------- */

static void
one_push(struct copying *c, const struct place *from, struct job *job)
{
	struct place to = c->to;

	if (c->to_folder) {
		place_make_tree(c->cli, &to);
		to.root = arena_printf(c->cli->arena, "%s%s", to.root, place_base(c->cli, from));
	}
	job->from = from->root;
	job->to = to.root;
	if (c->t->is_in_one_store && strcmp(from->bucket, to.bucket) == 0 && strcmp(from->root, to.root) == 0)
		report_failed(c->t, from->bucket, from->root, "is source and target");
	else if (filter_takes(&c->t->options->filter, place_base(c->cli, from), job->size, job->mtime_ns))
		transfer_push(c->t, job);
}

static void
object_copy(struct copying *c, const struct place *from)
{
	struct job job = {0};
	struct s3_info info;

	arena_reset(c->arena);
	if (!s3_head(c->conn, c->arena, from->bucket, from->root, &info)) {
		bool no_object = s3_missing_name(c->conn, from->bucket);

		report_failed(c->t, from->bucket, from->root, "%s%s", s3_conn_failure(c->conn)->text,
			no_object ? " (of a prefix, all is copied with -r)" : "");
		return;
	}
	job.size = info.size;
	job.mtime_ns = info.modified_ns;
	job.etag = info.etag;
	one_push(c, from, &job);
}

static void
file_copy(struct copying *c, const struct place *from)
{
	struct stat st;

	if (stat(from->root, &st) != 0)
		report_failed(c->t, NULL, from->root, "cannot be read: %s", strerror(errno));
	else if (S_ISDIR(st.st_mode) && c->recursive)
		tree_copy(c, *from);
	else if (S_ISDIR(st.st_mode))
		report_failed(c->t, NULL, from->root, "is a directory (-r copies what is in it)");
	else
		one_push(c, from,
			&(struct job){.size = (uint64_t)st.st_size, .mtime_ns = timespec_ns(&st.st_mtim), .etag = ""});
}

static void
source_copy(struct copying *c, const struct place *from)
{
	size_t len = strlen(from->root);

	if (!from->bucket)
		file_copy(c, from);
	else if (c->recursive)
		tree_copy(c, *from);
	else if (len == 0 || from->root[len - 1] == '/')
		report_failed(c->t, from->bucket, from->root, "is no object (-r copies what is below it)");
	else
		object_copy(c, from);
}

/* --- the command -------------------------------------------------------------------------------------------------- */

/* One would take the other's place, or a tree be mixed with another. */
static bool
names_differ(struct copying *c, const struct place *from, size_t count)
{
	struct s3_seen seen = {0};
	bool fine = true;

	for (size_t i = 0; fine && i < count; i++)
		fine = s3_seen_add(&seen, place_base(c->cli, &from[i])) ||
		       cli_fail(c->cli, "two of the sources would have the name %s below the target",
			       place_base(c->cli, &from[i]));
	s3_seen_fini(&seen);
	return fine;
}

static bool
sources_read(struct copying *c, const json_t *list, struct place *from, size_t count)
{
	size_t len = strlen(c->to.root);

	for (size_t i = 0; i < count; i++) {
		if (!place_read(c->cli, json_string_value(json_array_get(list, i)), &from[i]))
			return false;
		if (i > 0 && (!from[i].bucket != !from[0].bucket ||
				     (from[0].bucket && strcmp(from[i].bucket, from[0].bucket) != 0)))
			return cli_fail(c->cli, "all sources of one command are local, or in one bucket");
	}
	c->many = count > 1;
	c->to_folder = c->many || len == 0 || c->to.root[len - 1] == '/' || place_is_local_folder(&c->to);
	return names_differ(c, from, count);
}

static int
copy(struct cli *cli, bool move)
{
	const json_t *list = json_object_get(cli->params, "source");
	size_t count = json_array_size(list);
	struct place *from = ARENA_ARRAY(cli->arena, struct place, count + 1);
	struct transfer_options options;
	struct transfer t = {0};
	struct copying c = {.cli = cli, .t = &t, .recursive = cli_flag(cli, "recursive")};
	bool done;

	if (!transfer_options_read(cli, &options) || !place_read(cli, cli_text(cli, "target"), &c.to) ||
		!sources_read(&c, list, from, count) || !transfer_open(&t, cli, &options, &from[0], &c.to))
		return cli_complain(cli, EXIT_USAGE);
	options.move = move;
	c.conn = s3_conn_new(t.from_client);
	c.arena = arena_new(16384);
	transfer_begin(&t);
	for (size_t i = 0; i < count; i++)
		source_copy(&c, &from[i]);
	done = transfer_end(&t);
	report_summary(&t);
	s3_conn_free(c.conn);
	arena_free(c.arena);
	transfer_close(&t);
	return done ? EXIT_DONE : EXIT_REFUSED;
}

int
cli_cp(struct cli *cli)
{
	const json_t *list = json_object_get(cli->params, "source");
	const char *first = json_string_value(json_array_get(list, 0)), *target = cli_text(cli, "target");

	if (strcmp(target, "-") == 0) {
		if (cli_s3_has_source(cli)) {
			cli->profile = cli_text(cli, "source_profile");
			cli->endpoint = cli_text(cli, "source_endpoint");
		}
		json_object_set(cli->params, "path", (json_t *)list);
		return cli_cat(cli);
	}
	if (json_array_size(list) == 1 && strcmp(first, "-") == 0) {
		if (!cli_s3_has_source(cli))
			return cli_pipe(cli);
		cli_fail(cli, SOURCE_IS_LOCAL);
		return cli_complain(cli, EXIT_USAGE);
	}
	return copy(cli, false);
}

int
cli_mv(struct cli *cli)
{
	return copy(cli, true);
}
