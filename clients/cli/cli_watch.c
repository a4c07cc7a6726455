/*
 * cli_watch.c: `restfs watch`: a bucket's changes as they are committed.
 *
 *   start (a cursor's position, a serial, or the feed's end) -> feed.read, which waits -> show or run, each change ->
 * cursor.set -> feed.read ...
 *
 * The cursor is set behind what was shown or done: whoever ends in between, on either side, sees some of it again, and
 * misses nothing.
 */
#include "cli.h"
#include "glob.h"
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define WAIT_MS 25000
#define GATHER_NS 20000000          /* after changes: those of a burst come together, not one by one */
#define CURSOR_TIME_NS 600000000000 /* it is set at least so often, so that it is not taken for given up */
#define KEY_BYTES 4096

struct watch {
	struct cli *cli;
	const char *bucket;
	const char *pattern; /* empty: everything */
	const char *cursor;  /* NULL: none */
	const char *command; /* NULL: changes are shown */
	char prefix[KEY_BYTES];
	json_int_t position;
	bool has_position; /* it was given */
	json_int_t set; /* where the cursor stands */
	int64_t set_ns; /* clock_monotonic_ns() */
};

/* --- where it begins ---------------------------------------------------------------------------------------------- */

static bool
path_parse(struct watch *w, const char *path)
{
	size_t len;

	if (strncmp(path, "s3://", 5) == 0)
		path += 5;
	len = strcspn(path, "/");
	w->bucket = arena_str(w->cli->arena, bytes_of(path, len));
	w->pattern = path[len] ? path + len + 1 : "";
	glob_prefix(w->pattern, w->prefix, sizeof(w->prefix));
	return len > 0 || cli_fail(w->cli, "which bucket? It is restfs watch BUCKET/PATTERN");
}

static const json_t *
cursor_find(const json_t *list, const char *name)
{
	const json_t *cursor;
	size_t i;

	json_array_foreach(list, i,
		cursor) if (strcmp(json_string_value(json_object_get(cursor, "name")), name) == 0) return cursor;
	return NULL;
}

static bool
cursor_set(struct watch *w, json_int_t position)
{
	json_t *params = json_pack("{s:s, s:s, s:I}", "bucket", w->bucket, "name", w->cursor, "position", position);
	json_t *result = cli_call_patiently(w->cli, "cursor.set", params);

	json_decref(params);
	json_decref(result);
	w->set = position;
	w->set_ns = clock_monotonic_ns();
	return result != NULL;
}

/* Changes are missing, and nobody can say which. */
static bool
fail_gone(struct watch *w)
{
	json_t *params = json_pack("{s:s}", "bucket", w->bucket);
	json_t *list = cli_call_again(w->cli, "cursor.list", params);
	long long pruned = json_integer_value(json_object_get(list, "pruned"));

	json_decref(params);
	json_decref(list);
	if (w->cursor)
		return cli_fail(w->cli,
			"changes behind serial %lld have left the feed: compare a listing of %s with what you have, "
			"then "
			"restfs cursor set %s %s --position=%lld, and watch again (feed.rows and feed.cursor_time say "
			"how long "
			"they are kept)",
			(long long)w->position, w->bucket, w->bucket, w->cursor, pruned);
	return cli_fail(w->cli,
		"changes behind serial %lld have left the feed: compare a listing of %s with what you have, then watch "
		"with "
		"--after=%lld (--cursor=NAME keeps changes until they were read)",
		(long long)w->position, w->bucket, pruned);
}

/* Where the feed ends, or where the cursor stands, which is made there. */
static bool
position_find(struct watch *w)
{
	json_t *params = json_pack("{s:s}", "bucket", w->bucket);
	json_t *result = cli_call_patiently(w->cli, "cursor.list", params);
	const json_t *cursor = w->cursor && result ? cursor_find(json_object_get(result, "cursors"), w->cursor) : NULL;
	bool gone = cursor && json_is_true(json_object_get(cursor, "gone"));

	w->position = w->set =
		json_integer_value(cursor ? json_object_get(cursor, "position") : json_object_get(result, "last"));
	w->set_ns = clock_monotonic_ns();
	json_decref(params);
	if (gone)
		fail_gone(w);
	else if (result && w->cursor && !cursor)
		gone = !cursor_set(w, w->position);
	json_decref(result);
	return result && !gone;
}

static bool
arguments_take(struct watch *w)
{
	const json_t *params = w->cli->params, *after = json_object_get(params, "after");

	w->cursor = json_string_value(json_object_get(params, "cursor"));
	w->command = json_string_value(json_object_get(params, "exec"));
	if (!path_parse(w, json_string_value(json_object_get(params, "path"))))
		return false;
	if (after && w->cursor)
		return cli_fail(w->cli, "it begins after a serial or behind a cursor, not both");
	w->position = json_integer_value(after);
	w->has_position = after != NULL;
	return true;
}

/* --- a change ----------------------------------------------------------------------------------------------------- */

static const char *
text_of(const json_t *change, const char *name)
{
	const char *text = json_string_value(json_object_get(change, name));

	return text ? text : "";
}

/* What is below a directory goes with it, whatever it is called. */
static bool
name_fits(const struct watch *w, const char *name, bool is_rename)
{
	size_t len = strlen(name);

	return glob_match(w->pattern, name) || (is_rename && len > 0 && name[len - 1] == '/');
}

static bool
is_wanted(const struct watch *w, const json_t *change)
{
	const char *kind = text_of(change, "kind");
	bool is_rename = strcmp(kind, "rename") == 0;

	if (!w->pattern[0])
		return true;
	if (strcmp(kind, "bucket") == 0)
		return false;
	return name_fits(w, text_of(change, "name"), is_rename) ||
	       (is_rename && name_fits(w, text_of(change, "new_name"), true));
}

static bool
change_show(struct watch *w, const json_t *change)
{
	const char *new_name = text_of(change, "new_name");

	if (w->cli->json) {
		cli_put_json(json_incref((json_t *)change));
		return true;
	}
	printf("%s  %-6s  %12lld  ", text_of(change, "time"), text_of(change, "kind"),
		(long long)json_integer_value(json_object_get(change, "size")));
	cli_put_text(stdout, text_of(change, "who"));
	fputs("  ", stdout);
	cli_put_text(stdout, text_of(change, "name"));
	if (strcmp(text_of(change, "kind"), "rename") == 0) {
		fputs(" -> ", stdout);
		cli_put_text(stdout, new_name);
	}
	if (text_of(change, "changed")[0])
		printf(": %s", text_of(change, "changed"));
	putchar('\n');
	return true;
}

static void
environment_set(const struct watch *w, const json_t *change)
{
	static const char *const names[][2] = {{"RESTFS_KIND", "kind"}, {"RESTFS_KEY", "name"},
		{"RESTFS_NEW_KEY", "new_name"}, {"RESTFS_CHANGED", "changed"}, {"RESTFS_TIME", "time"},
		{"RESTFS_WHO", "who"}, {"RESTFS_DOOR", "door"}};
	char number[32];

	setenv("RESTFS_BUCKET", w->bucket, 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		setenv(names[i][0], text_of(change, names[i][1]), 1);
	snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(json_object_get(change, "size")));
	setenv("RESTFS_SIZE", number, 1);
	snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(json_object_get(change, "serial")));
	setenv("RESTFS_SERIAL", number, 1);
}

/* One that fails ends the watch before its change: with a cursor, it is tried again by the next watch. */
static bool
change_run(struct watch *w, const json_t *change)
{
	int status;

	environment_set(w, change);
	status = system(w->command);
	if (status != 0)
		return cli_fail(w->cli, "the command %s %d for \"%s %s\" (serial %lld)%s",
			WIFEXITED(status) ? "ended with" : "was ended by signal",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), text_of(change, "kind"),
			text_of(change, "name"), (long long)json_integer_value(json_object_get(change, "serial")),
			w->cursor ? "; the cursor stands before it" : "");
	return !w->cursor || cursor_set(w, json_integer_value(json_object_get(change, "serial")));
}

/* --- the feed ----------------------------------------------------------------------------------------------------- */

static bool
changes_do(struct watch *w, const json_t *changes, bool *any)
{
	const json_t *change;
	size_t i;

	*any = false;
	json_array_foreach(changes, i, change)
	{
		if (!is_wanted(w, change))
			continue;
		*any = true;
		if (!(w->command ? change_run(w, change) : change_show(w, change)))
			return false;
	}
	return cli_flush(w->cli);
}

/* What was not for us moves the cursor too, but not with each change. */
static bool
cursor_is_due(const struct watch *w, bool any, bool more)
{
	if (!w->cursor)
		return false;
	return (w->position != w->set && (any || more || w->position - w->set >= 1000)) ||
	       clock_monotonic_ns() - w->set_ns > CURSOR_TIME_NS;
}

static json_t *
read_next(struct watch *w, bool once)
{
	json_t *params = json_pack("{s:s, s:I, s:s, s:i}", "bucket", w->bucket, "after", w->position, "prefix",
		w->prefix, "wait_ms", once ? 0 : WAIT_MS);
	json_t *result = cli_call_patiently(w->cli, "feed.read", params);

	json_decref(params);
	if (!result && strcmp(w->cli->error_name, "GONE") == 0)
		fail_gone(w);
	return result;
}

static bool
watch(struct watch *w)
{
	bool once = json_is_true(json_object_get(w->cli->params, "once")), done = true, any, more = true;

	while (done && (more || !once)) {
		json_t *result = read_next(w, once);

		done = result && changes_do(w, json_object_get(result, "changes"), &any);
		if (done) {
			more = json_is_true(json_object_get(result, "more"));
			w->position = json_integer_value(json_object_get(result, "next"));
			if (cursor_is_due(w, any || once, more))
				done = cursor_set(w, w->position);
			if (any && !more && !once)
				sleep_ns(GATHER_NS);
		}
		json_decref(result);
	}
	return done;
}

int
cli_watch(struct cli *cli)
{
	struct watch w = {.cli = cli};

	if (!arguments_take(&w))
		return cli_complain(cli, EXIT_USAGE);
	return (w.has_position || position_find(&w)) && watch(&w) ? EXIT_DONE : cli_complain_refused(cli);
}
