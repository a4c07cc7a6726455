/*
 * generate_main.c: `restfs-generate man DIRECTORY RESTFSD`, `restfs-generate completions DIRECTORY`; and what the pages
 * and the shells have in common.
 */
#include "generate.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void
give_up(const char *what)
{
	fprintf(stderr, "restfs-generate: %s: %s\n", what, strerror(errno));
	exit(1);
}

FILE *
generate_open(const char *directory, const char *name)
{
	char path[4096];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	out = fopen(path, "w");
	if (!out)
		give_up(path);
	return out;
}

void
generate_close(FILE *out)
{
	if (fflush(out) != 0 || ferror(out))
		give_up("write");
	fclose(out);
}

size_t
topic_length(const struct cli_command *command)
{
	return strcspn(command->words, " ");
}

/* Is there none before it that begins with the same word? */
static bool
is_first(const struct cli_command *command)
{
	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND)) != command;)
		if (topic_length(c) == topic_length(command) && strncmp(c->words, command->words, topic_length(c)) == 0)
			return false;
	return true;
}

const struct cli_command *
topic_next(const struct cli_command *after)
{
	const struct cli_command *c = after;

	while ((c = cli_next(c, CLI_COMMAND)) && !is_first(c))
		;
	return c;
}

enum completed
argument_completed(const struct argument *a)
{
	static const struct {
		const char *word;
		enum completed completed;
	} words[] = {{"PATH", COMPLETE_PATH}, {"SOURCE", COMPLETE_PATH}, {"TARGET", COMPLETE_PATH},
		{"FILE", COMPLETE_PATH}, {"DIR", COMPLETE_DIRECTORY}, {"DATA", COMPLETE_DIRECTORY},
		{"BUCKET", COMPLETE_BUCKET}, {"USER", COMPLETE_USER}, {"GROUP", COMPLETE_GROUP},
		{"ACCESS-KEY", COMPLETE_KEY}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(a->positional ? a->name : a->value, words[i].word) == 0)
			return words[i].completed;
	return COMPLETE_NOTHING;
}

void
quoted_put(FILE *out, const char *text, const char *quote)
{
	fputc('\'', out);
	for (; *text; text++)
		if (*text == '\'')
			fputs(quote, out);
		else
			fputc(*text, out);
	fputc('\'', out);
}

static void
completion_write(const char *directory, const char *name, void (*generate)(FILE *))
{
	FILE *out = generate_open(directory, name);

	generate(out);
	generate_close(out);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "man") == 0) {
		generate_manual(argv[2]);
		generate_daemon_manual(argv[2], argv[3]);
	} else if (argc == 3 && strcmp(argv[1], "completions") == 0) {
		completion_write(argv[2], "restfs.bash", generate_bash);
		completion_write(argv[2], "_restfs", generate_zsh);
		completion_write(argv[2], "restfs.fish", generate_fish);
	} else {
		fprintf(stderr, "usage: restfs-generate man DIRECTORY RESTFSD | completions DIRECTORY\n");
		return 2;
	}
	return 0;
}
