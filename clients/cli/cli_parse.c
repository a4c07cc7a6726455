/* cli_parse.c: the command line, parsed by the text of commands.def. */
#include "cli.h"
#include "cli_arguments.h"
#include "cli_values.h"
#include <stdio.h>

/* What is left to look at, and what it has come to. */
struct words {
	char **at;
	int left;
	json_t *globals; /* as `params`, of the options that every command has */
	const char **positional;
	size_t positional_count;
};

static char *
words_take(struct words *w)
{
	if (w->left == 0)
		return NULL;
	w->left--;
	return *w->at++;
}

/* --- options ------------------------------------------------------------------------------------------------------ */

/* By its name, whose end is not its text's, or, where that is NULL, by its letter. */
static bool
option_in(const char *arguments, const char *name, size_t len, char letter, struct argument *out)
{
	while (argument_next(&arguments, out))
		if (!out->positional &&
			(name ? strlen(out->name) == len && strncmp(out->name, name, len) == 0 : out->letter == letter))
			return true;
	return false;
}

/* A command's own come before those that all have: `ls -h` is not --help. `to`: where its value goes. */
static bool
option_find(
	struct cli *cli, struct words *w, const char *name, size_t len, char letter, struct argument *out, json_t **to)
{
	*to = cli->params;
	if (cli->command && option_in(cli->command->arguments, name, len, letter, out))
		return true;
	*to = w->globals;
	for (const struct cli_command *g = NULL; (g = cli_next(g, CLI_GLOBAL));)
		if (option_in(g->arguments, name, len, letter, out))
			return true;
	return false;
}

#define OPTION_NEAR 2 /* letters that may be wrong */

/* The option among these that is nearer to the name than `best`; else `near`. */
static const char *
option_nearer(struct cli *cli, const char *arguments, const char *name, const char *near, size_t *best)
{
	struct argument a;

	while (argument_next(&arguments, &a))
		if (!a.positional && cli_distance(name, a.name) < *best) {
			*best = cli_distance(name, a.name);
			near = arena_str(cli->arena, bytes_str(a.name));
		}
	return near;
}

/* What was perhaps meant by a name that is no option's here; NULL: nothing is near. */
static const char *
option_near(struct cli *cli, struct words *w, const char *name)
{
	const char *near = cli_elsewhere(name);
	size_t best = OPTION_NEAR + 1;
	struct argument a;
	json_t *to;

	if (near && !option_find(cli, w, near, strlen(near), 0, &a, &to))
		near = NULL;
	if (strncmp(name, "--", 2) != 0)
		return near;
	if (cli->command)
		near = option_nearer(cli, cli->command->arguments, name, near, &best);
	for (const struct cli_command *g = NULL; (g = cli_next(g, CLI_GLOBAL));)
		near = option_nearer(cli, g->arguments, name, near, &best);
	return near;
}

static bool
option_unknown(struct cli *cli, struct words *w, const char *word)
{
	const char *name = arena_str(cli->arena, bytes_of(word, strcspn(word, "="))), *near = option_near(cli, w, name);
	const char *words = cli->command ? cli->command->words : NULL;
	const char *where = words ? arena_printf(cli->arena, "\"%s\" has no option %s", words, name)
				  : arena_printf(cli->arena, "there is no option %s before a command", name);

	return cli_fail(cli, "%s;%s%s%s restfs %s%s--help", where, near ? " did you mean " : "", near ? near : "",
		near ? "? See" : " see", words ? words : "", words ? " " : "");
}

static bool
value_set(struct cli *cli, const struct argument *a, const char *text, json_t *to)
{
	const char *problem = "";
	json_t *value = value_parse(a, text, &problem), *list;

	if (!value)
		return cli_fail(cli, "%s %s%s%s", a->name, problem, strcmp(problem, "is one of") == 0 ? " " : "",
			strcmp(problem, "is one of") == 0 ? a->value : "");
	if (!a->repeats) {
		json_object_set_new(to, a->param, value);
		return true;
	}
	if (a->shared) {
		json_decref(value);
		value = json_sprintf("%s=%s", a->name, text);
	}
	list = json_object_get(to, a->param);
	if (!list) {
		list = json_array();
		json_object_set_new(to, a->param, list);
	}
	json_array_append_new(list, value);
	return true;
}

/* `value`: what stands behind it in its own word, or NULL. */
static bool
option_set(struct cli *cli, struct words *w, const struct argument *a, const char *value, json_t *to)
{
	if (!a->value[0]) {
		if (value)
			return cli_fail(cli, "%s takes no value", a->name);
		json_object_set_new(to, a->param, json_true());
		return true;
	}
	if (!value)
		value = words_take(w);
	if (!value || (to == w->globals && !value[0]))
		return cli_fail(cli, "%s needs a value", a->name);
	return value_set(cli, a, value, to);
}

static bool
long_option(struct cli *cli, struct words *w, const char *word)
{
	size_t len = strcspn(word, "=");
	struct argument a;
	json_t *to;

	if (!option_find(cli, w, word, len, 0, &a, &to))
		return option_unknown(cli, w, word);
	return option_set(cli, w, &a, word[len] ? word + len + 1 : NULL, to);
}

/* -r, -rn, -n5, -n 5 */
static bool
short_options(struct cli *cli, struct words *w, const char *word)
{
	for (const char *at = word + 1; *at; at++) {
		bool last = at[1] == '\0';
		struct argument a;
		json_t *to;

		if (!option_find(cli, w, NULL, 0, *at, &a, &to))
			return option_unknown(cli, w, word);
		if (a.value[0])
			return option_set(cli, w, &a, last ? NULL : at + 1, to);
		if (!option_set(cli, w, &a, NULL, to))
			return false;
	}
	return true;
}

/* --- words -------------------------------------------------------------------------------------------------------- */

static bool
command_find(struct cli *cli, const char *first, const char *second)
{
	char words[64];
	const char *near;

	snprintf(words, sizeof(words), "%s%s%s", first, second ? " " : "", second ? second : "");
	if ((cli->command = cli_find(words)))
		return true;
	if (!second && cli_is_topic(first))
		return cli_fail(cli, "%s: to do what? See restfs %s --help", first, first);
	near = cli_nearest(words);
	if (!near && second && !cli_is_topic(first)) {
		snprintf(words, sizeof(words), "%s", first);
		near = cli_nearest(words);
	}
	if (cli_elsewhere(first))
		near = cli_elsewhere(first);
	if (near)
		return cli_fail(cli, "there is no command \"%s\"; did you mean \"%s\"? See restfs --help", words, near);
	return cli_fail(cli, "there is no command \"%s\"; see restfs --help", words);
}

/* A word that is no option: of the command's one or two, or an argument. */
static bool
plain_word(struct cli *cli, struct words *w, const char *word)
{
	if (!cli->topic) {
		cli->topic = word;
		cli->command = cli_find(word);
		return true;
	}
	if (!cli->command)
		return command_find(cli, cli->topic, word);
	w->positional[w->positional_count++] = word;
	return true;
}

/* How many of them must be left for the arguments behind one that repeats. */
static size_t
positional_behind(const char *at)
{
	struct argument a;
	size_t count = 0;

	while (argument_next(&at, &a))
		count += a.positional && !a.optional;
	return count;
}

static bool
positional_set(struct cli *cli, struct words *w)
{
	const char *at = cli->command->arguments;
	struct argument a;
	size_t next = 0;

	while (argument_next(&at, &a)) {
		size_t behind = positional_behind(at);

		if (!a.positional)
			continue;
		do {
			if (next == w->positional_count)
				break;
			if (!value_set(cli, &a, w->positional[next++], cli->params))
				return false;
		} while (a.repeats && w->positional_count - next > behind);
	}
	if (next < w->positional_count)
		return cli_fail(cli, "there is an argument too many: %s", w->positional[next]);
	for (at = cli->command->arguments; argument_next(&at, &a);)
		if (!a.optional && !json_object_get(cli->params, a.param))
			return cli_fail(cli, "%s is missing; see restfs %s --help", a.name, cli->command->words);
	return true;
}

static bool
words_parse(struct cli *cli, struct words *w)
{
	bool options = true; /* until "--" */
	char *word;

	while ((word = words_take(w))) {
		bool fine = true;

		if (options && strcmp(word, "--") == 0)
			options = false;
		else if (options && word[0] == '-' && word[1] == '-')
			fine = long_option(cli, w, word);
		else if (options && word[0] == '-' && word[1])
			fine = short_options(cli, w, word);
		else
			fine = plain_word(cli, w, word);
		if (!fine)
			return false;
	}
	return true;
}

static const char *
global_text(struct cli *cli, const json_t *globals, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(globals, name));

	return text ? arena_str(cli->arena, bytes_str(text)) : otherwise;
}

static void
globals_take(struct cli *cli, const json_t *globals)
{
	cli->data = global_text(cli, globals, "data", cli->data);
	cli->admin = global_text(cli, globals, "admin", NULL);
	cli->profile = global_text(cli, globals, "profile", NULL);
	cli->endpoint = global_text(cli, globals, "endpoint", NULL);
	cli->json = json_is_true(json_object_get(globals, "json"));
	cli->quiet = json_is_true(json_object_get(globals, "quiet"));
	cli->help = json_is_true(json_object_get(globals, "help"));
	cli->version = json_is_true(json_object_get(globals, "version"));
}

bool
cli_parse(struct cli *cli, int argc, char **argv)
{
	struct words w = {.at = argv + 1, .left = argc - 1, .globals = json_object()};
	bool fine;

	w.positional = ARENA_ARRAY(cli->arena, const char *, (size_t)argc);
	cli->params = json_object();
	fine = words_parse(cli, &w);
	globals_take(cli, w.globals);
	json_decref(w.globals);
	if (!fine || cli->version || (cli->help && (!cli->topic || cli->command || cli_is_topic(cli->topic))))
		return fine;
	if (!cli->topic)
		return cli_fail(cli, "what shall be done? See restfs --help");
	if (!cli->command)
		return command_find(cli, cli->topic, NULL);
	return positional_set(cli, &w);
}
