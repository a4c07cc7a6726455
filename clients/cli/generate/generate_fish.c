/* generate_fish.c: fish's completion: a line a word, an option and an argument, each for the command it belongs to. */
#include "generate.h"
#include <string.h>

static const char beginning[] =
	"# fish completion for restfs; made from commands.def\n"
	"\n"
	"# The words of the line that are no options, but for the last; options that lead to the store go on.\n"
	"function __restfs_words\n"
	"\tfor word in (commandline -opc)[2..-1]\n"
	"\t\tstring match -q -- '-*' $word; or echo $word\n"
	"\tend\n"
	"end\n"
	"\n"
	"function __restfs_run\n"
	"\trestfs (string match -r -- '^--(?:data|admin|endpoint|profile)=.*' (commandline -opc)) $argv 2>/dev/null "
	"</dev/null\n"
	"end\n"
	"\n"
	"# Is nothing there but these words?\n"
	"function __restfs_at\n"
	"\ttest \"$(__restfs_words)\" = \"$argv\"\n"
	"end\n"
	"\n"
	"# Does the line begin with these?\n"
	"function __restfs_in\n"
	"\tset -l words (__restfs_words)\n"
	"\ttest (count $words) -ge (count $argv); and test \"$words[1..$(count $argv)]\" = \"$argv\"\n"
	"end\n"
	"\n"
	"# And are there so many arguments, at least, behind them?\n"
	"function __restfs_argument\n"
	"\t__restfs_in $argv[2..-1]; and test (count (__restfs_words)) -eq (math (count $argv) - 1 + $argv[1])\n"
	"end\n"
	"\n"
	"function __restfs_arguments\n"
	"\t__restfs_in $argv[2..-1]; and test (count (__restfs_words)) -ge (math (count $argv) - 1 + $argv[1])\n"
	"end\n"
	"\n"
	"# The first column of what a store answers, if it does.\n"
	"function __restfs_names\n"
	"\t__restfs_run $argv[1] ls | tail -n +2 | string replace -r ' .*' ''\n"
	"end\n"
	"\n"
	"function __restfs_paths\n"
	"\tset -l word (commandline -ct)\n"
	"\tif string match -q -- 's3://*' $word\n"
	"\t\t__restfs_run ls --names \"$word*\" | head -n 1000\n"
	"\telse\n"
	"\t\techo s3://\n"
	"\t\t__fish_complete_path $word\n"
	"\tend\n"
	"end\n"
	"\n"
	"complete -c restfs -f\n";

static void
action_put(FILE *out, const struct argument *a)
{
	static const char *const actions[] = {
		[COMPLETE_NOTHING] = "",
		[COMPLETE_PATH] = "(__restfs_paths)",
		[COMPLETE_DIRECTORY] = "(__fish_complete_directories (commandline -ct))",
		[COMPLETE_BUCKET] = "(__restfs_names bucket)",
		[COMPLETE_USER] = "(__restfs_names user)",
		[COMPLETE_GROUP] = "(__restfs_names group)",
		[COMPLETE_KEY] = "(__restfs_names key)",
	};
	const char *action = actions[argument_completed(a)];

	if (argument_is_choice(a)) {
		fputs(" -a '", out);
		for (const char *c = a->value; *c; c++)
			fputc(*c == '|' ? ' ' : *c, out);
		fputc('\'', out);
	} else if (action[0]) {
		fputs(" -a ", out);
		quoted_put(out, action, QUOTE_FISH);
	}
}

static void
described(FILE *out, const char *text)
{
	if (text[0]) {
		fputs(" -d ", out);
		quoted_put(out, text, QUOTE_FISH);
	}
	fputc('\n', out);
}

/* `words` NULL: for every command. */
static void
option_put(FILE *out, const char *words, const struct argument *a, const char *text)
{
	fputs("complete -c restfs", out);
	if (words)
		fprintf(out, " -n '__restfs_in %s'", words);
	fprintf(out, " -l %s%s", a->name + 2, a->value[0] ? " -x" : "");
	if (a->letter)
		fprintf(out, " -s %c", a->letter);
	action_put(out, a);
	described(out, text);
}

static void
arguments_put(FILE *out, const struct cli_command *c)
{
	const char *at = c->arguments;
	struct argument a;
	size_t index = 0;

	while (argument_next(&at, &a)) {
		if (!a.positional) {
			option_put(out, c->words, &a, cli_option_text(c, a.name));
			continue;
		}
		if (argument_completed(&a) != COMPLETE_NOTHING) {
			fprintf(out, "complete -c restfs -n '__restfs_argument%s %zu %s'", a.repeats ? "s" : "", index,
				c->words);
			action_put(out, &a);
			fputc('\n', out);
		}
		index++;
	}
}

static void
words_put(FILE *out)
{
	const struct cli_command *topic, *c;
	char word[64];

	for (topic = NULL; (topic = topic_next(topic));) {
		snprintf(word, sizeof(word), "%.*s", (int)topic_length(topic), topic->words);
		fprintf(out, "complete -c restfs -n '__restfs_at' -a %s", word);
		described(out, strcmp(word, topic->words) == 0 ? topic->help : "several commands");
		for (c = NULL; (c = cli_next(c, CLI_COMMAND));)
			if (cli_begins(c, word) && c->words[strlen(word)] == ' ') {
				fprintf(out, "complete -c restfs -n '__restfs_at %s' -a %s", word,
					c->words + strlen(word) + 1);
				described(out, c->help);
			}
	}
}

void
generate_fish(FILE *out)
{
	const struct cli_command *c, *g;

	fputs(beginning, out);
	words_put(out);
	for (g = NULL; (g = cli_next(g, CLI_GLOBAL));) {
		const char *at = g->arguments;
		struct argument a;

		argument_next(&at, &a);
		option_put(out, NULL, &a, g->help);
	}
	for (c = NULL; (c = cli_next(c, CLI_COMMAND));)
		arguments_put(out, c);
}
