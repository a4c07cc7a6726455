/*
 * cli_parse.c: the command line, parsed by the text of commands.def, and --help, printed from it.
 */
#include "cli.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

const struct cli_command cli_commands[] = {
#define COMMAND(words, method, arguments, show, help) {words, method, NULL, arguments, show, help},
#define LOCAL_COMMAND(words, function, arguments, help) {words, NULL, function, arguments, "", help},
#include "commands.def"
#undef COMMAND
#undef LOCAL_COMMAND
};
const size_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);

/* --- the text of arguments ---------------------------------------------------------------------------------------- */

/* One word of it. */
struct argument {
	char name[32];  /* "NAME", "--acl" */
	char param[32]; /* "name", "acl" */
	char value[32]; /* "ACL", "on|off"; empty: a flag, or positional */
	bool optional;
	bool positional;
};

/* Copies up to one of `stops`. */
static void
word_copy(const char **at, const char *stops, char *out, size_t size)
{
	size_t len = strcspn(*at, stops);

	snprintf(out, size, "%.*s", (int)len, *at);
	*at += len;
}

/* False at the end. */
static bool
argument_next(const char **at, struct argument *out)
{
	size_t i;

	*at += strspn(*at, " ]");
	if (**at == '\0')
		return false;
	*out = (struct argument){.optional = **at == '['};
	*at += out->optional;
	out->positional = **at != '-';
	word_copy(at, ":= ]", out->name, sizeof(out->name));
	snprintf(out->param, sizeof(out->param), "%s", out->name + (out->positional ? 0 : 2));
	if (**at == ':') {
		++*at;
		word_copy(at, "= ]", out->param, sizeof(out->param));
	}
	if (**at == '=') {
		++*at;
		word_copy(at, " ]", out->value, sizeof(out->value));
	}
	for (i = 0; out->param[i]; i++)
		out->param[i] = out->param[i] == '-' ? '_' : (char)tolower((unsigned char)out->param[i]);
	return true;
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

/* What is left to look at. */
struct words {
	char **at;
	int left;
};

static char *
words_take(struct words *w)
{
	if (w->left == 0)
		return NULL;
	w->left--;
	return *w->at++;
}

/* Does `word` say this option? `value` is what follows '=', or the next word where `wants` it; NULL: none. */
static bool
option_match(const char *word, const char *name, bool wants, struct words *w, const char **value)
{
	size_t len = strlen(name);

	if (strncmp(word, name, len) != 0 || (word[len] != '\0' && word[len] != '='))
		return false;
	*value = word[len] == '=' ? word + len + 1 : wants ? words_take(w) : NULL;
	return true;
}

/* The options that every command has; `found` false: it is none of them. */
static bool
global_option(struct cli *cli, const char *word, struct words *w, bool *found)
{
	const char *value = NULL;

	*found = true;
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		cli->help = true;
	else if (strcmp(word, "--version") == 0)
		cli->version = true;
	else if (strcmp(word, "--json") == 0)
		cli->json = true;
	else if (option_match(word, "--data", true, w, &value))
		cli->data = value;
	else if (option_match(word, "--admin", true, w, &value))
		cli->admin = value;
	else {
		*found = false;
		return true;
	}
	if ((strncmp(word, "--data", 6) == 0 || strncmp(word, "--admin", 7) == 0) && (!value || !value[0]))
		return cli_fail(cli, "%s needs a value", word);
	return true;
}

static bool
param_set(struct cli *cli, const char *name, json_t *value)
{
	if (!value)
		return cli_fail(cli, "an argument is not UTF-8 text");
	json_object_set_new(cli->params, name, value);
	return true;
}

/* 10, 10K, 10KiB, 10kb: all of 1024. */
static bool
number_set(struct cli *cli, const struct argument *a, const char *value)
{
	static const char units[] = "KMGTP";
	char *end;
	long long number = strtoll(value, &end, 10);
	const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;

	if (end == value || number < 0)
		return cli_fail(cli, "%s is a number, as 500, 10M or 2T", a->name);
	if (unit) {
		end++;
		for (const char *u = units; u <= unit; u++)
			if (__builtin_mul_overflow(number, 1024, &number))
				return cli_fail(cli, "%s is too large", a->name);
	}
	if (strcasecmp(end, "") != 0 && strcasecmp(end, "B") != 0 && !(unit && strcasecmp(end, "iB") == 0))
		return cli_fail(cli, "%s is a number, as 500, 10M or 2T", a->name);
	return param_set(cli, a->param, json_integer(number));
}

static bool
option_set(struct cli *cli, const struct argument *a, const char *value)
{
	if (!a->value[0])
		return value ? cli_fail(cli, "%s takes no value", a->name) : param_set(cli, a->param, json_true());
	if (!value)
		return cli_fail(cli, "%s needs a value", a->name);
	if (strcmp(a->value, "COUNT") == 0 || strcmp(a->value, "SIZE") == 0)
		return number_set(cli, a, value);
	if (strcmp(a->value, "on|off") != 0)
		return param_set(cli, a->param, json_string(value));
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		return cli_fail(cli, "%s is on or off", a->name);
	return param_set(cli, a->param, json_boolean(strcmp(value, "on") == 0));
}

static bool
command_option(struct cli *cli, const char *word, struct words *w)
{
	const char *at = cli->command->arguments, *value;
	struct argument a;

	while (argument_next(&at, &a))
		if (!a.positional && option_match(word, a.name, a.value[0] != '\0', w, &value))
			return option_set(cli, &a, value);
	return cli_fail(
		cli, "\"%s\" has no option %s; see restfs %s --help", cli->command->words, word, cli->command->words);
}

static bool
command_positional(struct cli *cli, const char *word, size_t index)
{
	const char *at = cli->command->arguments;
	struct argument a;

	while (argument_next(&at, &a))
		if (a.positional && index-- == 0)
			return param_set(cli, a.param, json_string(word));
	return cli_fail(cli, "there is an argument too many: %s", word);
}

static bool
command_complete(struct cli *cli)
{
	const char *at = cli->command->arguments;
	struct argument a;

	while (argument_next(&at, &a))
		if (!a.optional && !json_object_get(cli->params, a.param))
			return cli_fail(cli, "%s is missing; see restfs %s --help", a.name, cli->command->words);
	return true;
}

static const struct cli_command *
command_exact(const char *words)
{
	for (size_t i = 0; i < cli_command_count; i++)
		if (strcmp(cli_commands[i].words, words) == 0)
			return &cli_commands[i];
	return NULL;
}

static bool
command_find(struct cli *cli, const char *first, const char *second)
{
	char words[64];
	size_t i;

	snprintf(words, sizeof(words), "%s %s", first, second ? second : "");
	if ((cli->command = command_exact(words)))
		return true;
	for (i = 0; i < cli_command_count && !second; i++)
		if (strncmp(cli_commands[i].words, words, strlen(words)) == 0)
			return cli_fail(cli, "%s: to do what? See restfs %s --help", first, first);
	return cli_fail(cli, "there is no command \"%s%s%s\"; see restfs --help", first, second ? " " : "",
		second ? second : "");
}

/* A word that is no option: of the command's one or two, or an argument. */
static bool
plain_word(struct cli *cli, const char *word, size_t *positional)
{
	if (!cli->topic) {
		cli->topic = word;
		cli->command = command_exact(word);
		return true;
	}
	if (!cli->command)
		return command_find(cli, cli->topic, word);
	return command_positional(cli, word, (*positional)++);
}

static bool
option_word(struct cli *cli, const char *word, struct words *w)
{
	bool found;

	if (!global_option(cli, word, w, &found))
		return false;
	if (found)
		return true;
	if (!cli->command)
		return cli_fail(cli, "there is no option %s before a command; see restfs --help", word);
	return command_option(cli, word, w);
}

bool
cli_parse(struct cli *cli, int argc, char **argv)
{
	struct words w = {argv + 1, argc - 1};
	size_t positional = 0;
	bool options = true; /* until "--" */
	char *word;

	cli->params = json_object();
	while ((word = words_take(&w))) {
		if (options && strcmp(word, "--") == 0)
			options = false;
		else if (!(options && word[0] == '-' && word[1] ? option_word(cli, word, &w)
								: plain_word(cli, word, &positional)))
			return false;
	}
	if (cli->help || cli->version)
		return true;
	if (!cli->topic)
		return cli_fail(cli, "what shall be done? See restfs --help");
	if (!cli->command)
		return command_find(cli, cli->topic, NULL);
	return command_complete(cli);
}

/* --- help --------------------------------------------------------------------------------------------------------- */

/* The arguments' text without the names of parameters. */
static void
arguments_print(const char *at)
{
	while (*at) {
		if (*at == ':')
			at += strcspn(at, "= ]");
		else
			putchar(*at++);
	}
}

void
cli_help(const char *words)
{
	size_t i;

	printf("usage: restfs [--data DIR | --admin URL] [--json] COMMAND ...\n\n");
	for (i = 0; i < cli_command_count; i++) {
		const struct cli_command *c = &cli_commands[i];

		if (strncmp(c->words, words, strlen(words)) != 0)
			continue;
		printf("  restfs %s%s", c->words, c->arguments[0] ? " " : "");
		arguments_print(c->arguments);
		printf("\n      %s\n", c->help);
	}
	printf("\n"
	       "  --data DIR   the store's directory, whose socket is used: no key is needed (default: $RESTFS_DATA, "
	       "or ./data)\n"
	       "  --admin URL  http://HOST:PORT or https://HOST:PORT of a store's administration, signed with an "
	       "administrator's key from\n"
	       "               $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY\n"
	       "  --json       print the answer as JSON\n"
	       "  --help       this text\n"
	       "  --version    the version\n");
}
