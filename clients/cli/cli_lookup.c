/* cli_lookup.c: how the table is looked up, and what was perhaps meant by words that are not in it. */
#include "cli_table.h"
#include <string.h>

#define TABLE_END (cli_table + cli_table_count)

const struct cli_command *
cli_next(const struct cli_command *after, enum cli_kind kind)
{
	const struct cli_command *c = after ? after + 1 : cli_table;

	while (c < TABLE_END && c->kind != kind)
		c++;
	return c < TABLE_END ? c : NULL;
}

const struct cli_command *
cli_next_of(const struct cli_command *command, const struct cli_command *after, enum cli_kind kind)
{
	const struct cli_command *c = after ? after + 1 : command + 1;

	for (; c < TABLE_END && c->kind != CLI_COMMAND && c->kind != CLI_GROUP; c++)
		if (c->kind == kind)
			return c;
	return NULL;
}

const struct cli_command *
cli_group_of(const struct cli_command *command)
{
	while (command->kind != CLI_GROUP)
		command--;
	return command;
}

const struct cli_command *
cli_find(const char *words)
{
	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND));)
		if (strcmp(c->words, words) == 0)
			return c;
	return NULL;
}

bool
cli_begins(const struct cli_command *command, const char *words)
{
	size_t len = strlen(words);

	return len == 0 || (strncmp(command->words, words, len) == 0 &&
				   (command->words[len] == '\0' || command->words[len] == ' '));
}

bool
cli_is_topic(const char *word)
{
	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND));)
		if (cli_begins(c, word) && c->words[strlen(word)] == ' ')
			return true;
	return false;
}

/* What stands behind a command is said of it; what stands behind a group's title, of all. */
const char *
cli_option_text(const struct cli_command *command, const char *name)
{
	const struct cli_command *o, *group;

	for (o = NULL; (o = cli_next_of(command, o, CLI_OPTION));)
		if (strcmp(o->words, name) == 0)
			return o->help;
	for (group = NULL; (group = cli_next(group, CLI_GROUP));)
		for (o = NULL; (o = cli_next_of(group, o, CLI_OPTION));)
			if (strcmp(o->words, name) == 0)
				return o->help;
	return "";
}

/* --- what was meant ----------------------------------------------------------------------------------------------- */

#define LETTERS_MAX 48
#define NEAR 2 /* more changes than these are no slip */

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t
cli_distance(const char *a, const char *b)
{
	size_t cost[LETTERS_MAX + 1][LETTERS_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > LETTERS_MAX || lb > LETTERS_MAX)
		return LETTERS_MAX;
	for (size_t i = 0; i <= la; i++)
		for (size_t j = 0; j <= lb; j++) {
			if (i == 0 || j == 0) {
				cost[i][j] = i + j;
				continue;
			}
			cost[i][j] = least(
				least(cost[i - 1][j], cost[i][j - 1]) + 1, cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
		}
	return cost[la][lb];
}

const char *
cli_elsewhere(const char *word)
{
	static const char *const words[][2] = {{"help", "--help"}, {"put", "cp"}, {"get", "cp"}, {"copy", "cp"},
		{"upload", "cp"}, {"download", "cp"}, {"move", "mv"}, {"delete", "rm"}, {"remove", "rm"},
		{"purge", "rm"}, {"mkdir", "mb"}, {"rmdir", "rb"}, {"lsd", "ls"}, {"presign", "share"},
		{"rcat", "pipe"}, {"check", "diff"}, {"size", "du"}, {"events", "watch"}, {"cleanup", "rm"},
		{"--incomplete", "--uploads"}, {"--endpoint-url", "--endpoint"}, {"--bwlimit", "--limit-rate"},
		{"--transfers", "--parallel"}, {"--concurrency", "--parallel"}, {"--max-workers", "--parallel"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], word) == 0)
			return words[i][1];
	return NULL;
}

/* Of a short word only a part may be wrong. */
static size_t
near_limit(const char *words)
{
	return strlen(words) < 4 ? 1 : NEAR;
}

const char *
cli_nearest(const char *words)
{
	size_t best = near_limit(words) + 1;
	const char *found = NULL;

	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND));) {
		size_t distance = cli_distance(words, c->words);

		if (distance < best) {
			best = distance;
			found = c->words;
		}
	}
	return found;
}
