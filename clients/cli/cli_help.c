/* cli_help.c: --help: all commands in a line each, those of a word, or one with all that there is to say of it. */
#include "cli.h"
#include "cli_arguments.h"
#include <stdio.h>

#define WIDTH 100
#define TEXT_MAX 512
#define GLOBALS_ELSEWHERE "\nOptions of every command are shown by restfs --help.\n"

/* Words in lines of WIDTH; all but the first line are indented, and the first is where the cursor stands. */
static void
text_print(const char *text, int column, int indent)
{
	while (*(text += strspn(text, " "))) {
		int len = (int)strcspn(text, " ");

		if (column + len + 1 > WIDTH && column > indent) {
			printf("\n%*s", indent, "");
			column = indent;
		}
		column += printf("%s%.*s", column > indent ? " " : "", len, text);
		text += len;
	}
	printf("\n");
}

/* A name, and what is said of it in a column. */
static void
entry_print(const char *name, const char *text, int indent)
{
	int column = printf("  %-*s", indent - 2, name);

	if (column > indent) {
		printf("\n%*s", indent, "");
		column = indent;
	}
	text_print(text, column, indent);
}

static void
globals_print(void)
{
	printf("\nOptions of every command:\n");
	for (const struct cli_command *g = NULL; (g = cli_next(g, CLI_GLOBAL));) {
		const char *at = g->arguments;
		struct argument a;
		char name[TEXT_MAX];

		argument_next(&at, &a);
		argument_print(&a, name, sizeof(name));
		entry_print(name, g->help, 22);
	}
}

static void
usage_print(const struct cli_command *c)
{
	char text[TEXT_MAX];

	arguments_print(c->arguments, text, sizeof(text));
	printf("  restfs %s%s%s\n", c->words, text[0] ? " " : "", text);
}

static void
overview_print(void)
{
	const struct cli_command *group = NULL;

	printf("usage: restfs COMMAND [ARGUMENT...]\n");
	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND));) {
		if (cli_group_of(c) != group)
			printf("\n%s:\n", cli_group_of(c)->help);
		group = cli_group_of(c);
		entry_print(c->words, c->help, 18);
	}
	globals_print();
	printf("\n");
	text_print(
		"restfs COMMAND --help says more of a command. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, "
		"130 ended by Ctrl-C, 143 by SIGTERM.",
		0, 0);
}

static void
topic_print(const char *topic)
{
	printf("usage:\n");
	for (const struct cli_command *c = NULL; (c = cli_next(c, CLI_COMMAND));) {
		if (!cli_begins(c, topic))
			continue;
		usage_print(c);
		printf("      ");
		text_print(c->help, 6, 6);
	}
	printf(GLOBALS_ELSEWHERE);
}

static void
options_print(const struct cli_command *c)
{
	const char *at = c->arguments;
	char name[TEXT_MAX];
	struct argument a;
	bool any = false;

	while (argument_next(&at, &a)) {
		const char *text = cli_option_text(c, a.name);

		if (a.positional && !text[0])
			continue;
		if (!any)
			printf("\n");
		any = true;
		argument_print(&a, name, sizeof(name));
		entry_print(name, text, 24);
	}
}

static void
command_print(const struct cli_command *c)
{
	const struct cli_command *e;

	printf("usage:\n");
	usage_print(c);
	printf("\n");
	text_print(c->help, 0, 0);
	for (e = NULL; (e = cli_next_of(c, e, CLI_ABOUT));) {
		printf("\n");
		text_print(e->help, 0, 0);
	}
	options_print(c);
	if (cli_next_of(c, NULL, CLI_EXAMPLE))
		printf("\nExamples:\n");
	for (e = NULL; (e = cli_next_of(c, e, CLI_EXAMPLE));) {
		printf("  %s\n      ", e->words);
		text_print(e->help, 6, 6);
	}
	printf(GLOBALS_ELSEWHERE);
}

void
cli_help(const struct cli *cli)
{
	if (cli->command)
		command_print(cli->command);
	else if (cli->topic)
		topic_print(cli->topic);
	else
		overview_print();
}
