/* generate_zsh.c: zsh's completion: the words of commands by _describe, the rest of a line by _arguments. */
#include "generate.h"
#include <string.h>

static const char *
action_of(const struct argument *a)
{
	static const char *const actions[] = {
		[COMPLETE_NOTHING] = " ",
		[COMPLETE_PATH] = "_restfs_paths",
		[COMPLETE_DIRECTORY] = "_directories",
		[COMPLETE_BUCKET] = "_restfs_names bucket",
		[COMPLETE_USER] = "_restfs_names user",
		[COMPLETE_GROUP] = "_restfs_names group",
		[COMPLETE_KEY] = "_restfs_names key",
	};

	return actions[argument_completed(a)];
}

/* Inside single quotes, where _arguments reads ':' and brackets. */
static void
spec_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs(QUOTE_SH, out);
		else if (strchr(":[]\\", *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

static void
choices_put(FILE *out, const char *value)
{
	fputc('(', out);
	for (; *value; value++)
		fputc(*value == '|' ? ' ' : *value, out);
	fputc(')', out);
}

static void
option_put(FILE *out, const struct argument *a, const char *text, const char *letter)
{
	fprintf(out, " \\\n\t\t\t'%s%s%s[", a->repeats ? "*" : "", letter ? letter : a->name,
		!a->value[0] ? ""
		: letter     ? "+"
			     : "=");
	spec_text(out, text);
	fputc(']', out);
	if (a->value[0]) {
		fprintf(out, ":%s:", argument_is_choice(a) ? "value" : a->value);
		if (argument_is_choice(a))
			choices_put(out, a->value);
		else
			fputs(action_of(a), out);
	}
	fputc('\'', out);
}

static void
arguments_put(FILE *out, const struct cli_command *c)
{
	const char *at = c->arguments;
	struct argument a;

	while (argument_next(&at, &a)) {
		char letter[3] = {'-', a.letter};
		const char *text = c->kind == CLI_GLOBAL ? c->help : cli_option_text(c, a.name);

		if (a.positional) {
			fprintf(out, " \\\n\t\t\t'%s%s:%s:%s'", a.repeats ? "*" : "",
				a.optional && !a.repeats ? ":" : "", a.name, action_of(&a));
			continue;
		}
		option_put(out, &a, text, NULL);
		if (a.letter)
			option_put(out, &a, text, letter);
	}
}

/* 'add:Create a user' */
static void
described(FILE *out, const char *word, const char *text)
{
	fprintf(out, " \\\n\t\t\t'%s:", word);
	spec_text(out, text);
	fputc('\'', out);
}

static void
topics_put(FILE *out)
{
	const struct cli_command *topic, *c;
	char word[64];

	fprintf(out, "\tcase $topic in\n\t'')\n\t\twords_of=(");
	for (topic = NULL; (topic = topic_next(topic));) {
		snprintf(word, sizeof(word), "%.*s", (int)topic_length(topic), topic->words);
		described(out, word, strcmp(word, topic->words) == 0 ? topic->help : "several commands");
	}
	fprintf(out, ") ;;\n");
	for (topic = NULL; (topic = topic_next(topic));) {
		snprintf(word, sizeof(word), "%.*s", (int)topic_length(topic), topic->words);
		if (strcmp(word, topic->words) == 0)
			continue;
		fprintf(out, "\t%s)\n\t\twords_of=(", word);
		for (c = NULL; (c = cli_next(c, CLI_COMMAND));)
			if (cli_begins(c, word))
				described(out, c->words + strlen(word) + 1, c->help);
		fprintf(out, ") ;;\n");
	}
	fprintf(out, "\tesac\n");
}

static const char beginning[] =
	"#compdef restfs\n"
	"# zsh completion for restfs; made from commands.def\n"
	"\n"
	"# Of what a store answers, if it does.\n"
	"_restfs_names() {\n"
	"\tlocal -a names\n"
	"\tnames=(${(f)\"$(restfs $globals $1 ls 2>/dev/null </dev/null | tail -n +2 | cut -d ' ' -f 1)\"})\n"
	"\tcompadd -a names\n"
	"}\n"
	"\n"
	"_restfs_paths() {\n"
	"\tlocal -a names\n"
	"\tif [[ $PREFIX == s3:* ]]; then\n"
	"\t\tnames=(${(f)\"$(restfs $globals ls --names \"$PREFIX*\" 2>/dev/null </dev/null | head -n 1000)\"})\n"
	"\t\tcompadd -S '' -a names\n"
	"\telse\n"
	"\t\tcompadd -S '' s3://\n"
	"\t\t_files\n"
	"\tfi\n"
	"}\n"
	"\n"
	"_restfs() {\n"
	"\tlocal topic= command= word\n"
	"\tlocal -a words_of globals commands\n"
	"\tlocal -i index=2 at=0\n"
	"\tcommands=(";

static const char finding[] = ")\n"
			      "\tfor ((; index < CURRENT; index++)); do\n"
			      "\t\tword=$words[index]\n"
			      "\t\tcase $word in\n"
			      "\t\t--data=* | --admin=* | --endpoint=* | --profile=*) globals+=($word) ;;\n"
			      "\t\t-*) ;;\n"
			      "\t\t*)\n"
			      "\t\t\tif [[ -z $command ]]; then\n"
			      "\t\t\t\tif (( $commands[(Ie)${topic:+$topic }$word] )); then\n"
			      "\t\t\t\t\tcommand=${topic:+$topic }$word\n"
			      "\t\t\t\t\tat=index\n"
			      "\t\t\t\telse\n"
			      "\t\t\t\t\ttopic=$word\n"
			      "\t\t\t\tfi\n"
			      "\t\t\tfi\n"
			      "\t\t\t;;\n"
			      "\t\tesac\n"
			      "\tdone\n"
			      "\tif [[ -n $command ]]; then\n"
			      "\t\tshift $((at - 1)) words\n"
			      "\t\t((CURRENT -= at - 1))\n"
			      "\telif [[ $PREFIX != -* ]]; then\n";

void
generate_zsh(FILE *out)
{
	const struct cli_command *c, *g;

	fputs(beginning, out);
	for (c = NULL; (c = cli_next(c, CLI_COMMAND));) {
		quoted_put(out, c->words, QUOTE_SH);
		fputc(' ', out);
	}
	fputs(finding, out);
	topics_put(out);
	fprintf(out, "\t\t_describe command words_of\n\t\treturn\n\tfi\n\tlocal -a common\n\tcommon=(");
	for (g = NULL; (g = cli_next(g, CLI_GLOBAL));)
		arguments_put(out, g);
	fprintf(out, ")\n\tcase $command in\n");
	for (c = NULL; (c = cli_next(c, CLI_COMMAND));) {
		fprintf(out, "\t'%s')\n\t\t_arguments -S $common", c->words);
		arguments_put(out, c);
		fprintf(out, " ;;\n");
	}
	fprintf(out, "\t*) _arguments -S $common ;;\n\tesac\n}\n\n_restfs \"$@\"\n");
}
