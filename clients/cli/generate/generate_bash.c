/*
 * generate_bash.c: bash's completion: tables from commands.def, and a function that looks a line up in them. It needs
 * nothing of bash-completion.
 *
 * Bash breaks words at ':' and '=', and replaces only what stands behind the last of them: what is in front is taken
 * off each answer.
 */
#include "generate.h"
#include <string.h>

static const char *
kind_word(enum completed completed)
{
	static const char *const words[] = {
		[COMPLETE_NOTHING] = "-",
		[COMPLETE_PATH] = "path",
		[COMPLETE_DIRECTORY] = "directory",
		[COMPLETE_BUCKET] = "bucket",
		[COMPLETE_USER] = "user",
		[COMPLETE_GROUP] = "group",
		[COMPLETE_KEY] = "key",
	};

	return words[completed];
}

static const char names_of_stores[] =
	"# The first column of what a store answers, if it does.\n"
	"_restfs_names() {\n"
	"\t\"$program\" \"${globals[@]}\" \"$@\" 2>/dev/null </dev/null | tail -n +2 | cut -d ' ' -f 1\n"
	"}\n"
	"\n"
	"_restfs_paths() {\n"
	"\tcase $1 in\n"
	"\ts3://*) \"$program\" \"${globals[@]}\" ls --names \"$1*\" 2>/dev/null </dev/null | head -n 1000 ;;\n"
	"\t*)\n"
	"\t\tcompgen -W s3:// -- \"$1\"\n"
	"\t\tcompgen -f -- \"$1\"\n"
	"\t\t;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"# What may stand for an argument of this kind.\n"
	"_restfs_of_kind() {\n"
	"\tcase $1 in\n"
	"\tpath) _restfs_paths \"$2\" ;;\n"
	"\tdirectory) compgen -d -- \"$2\" ;;\n"
	"\tbucket) compgen -W \"$(_restfs_names bucket ls)\" -- \"$2\" ;;\n"
	"\tuser) compgen -W \"$(_restfs_names user ls)\" -- \"$2\" ;;\n"
	"\tgroup) compgen -W \"$(_restfs_names group ls)\" -- \"$2\" ;;\n"
	"\tkey) compgen -W \"$(_restfs_names key ls)\" -- \"$2\" ;;\n"
	"\tesac\n"
	"}\n"
	"\n";

static const char completing[] =
	"_restfs_answers() {\n"
	"\tlocal option=${current%%=*} kind index\n"
	"\tif [[ $current == --*=* ]]; then\n"
	"\t\tkind=${_restfs_values[$command $option]:-${_restfs_values[$option]-}}\n"
	"\t\tif [[ $kind == *'|'* ]]; then\n"
	"\t\t\tcompgen -P \"$option=\" -W \"${kind//'|'/ }\" -- \"${current#*=}\"\n"
	"\t\telse\n"
	"\t\t\t_restfs_of_kind \"$kind\" \"${current#*=}\" | sed \"s|^|$option=|\"\n"
	"\t\tfi\n"
	"\telif [[ $current == -* ]]; then\n"
	"\t\tcompgen -W \"${_restfs_options[${command:--}]-} $_restfs_globals\" -- \"$current\"\n"
	"\telif [[ -z $command ]]; then\n"
	"\t\tcompgen -W \"${_restfs_topics[${topic:--}]-}\" -- \"$current\"\n"
	"\telse\n"
	"\t\tread -ra kinds <<<\"${_restfs_arguments[$command]-}\"\n"
	"\t\tindex=$((count < ${#kinds[@]} ? count : ${#kinds[@]} - 1))\n"
	"\t\t((index >= 0)) && _restfs_of_kind \"${kinds[index]}\" \"$current\"\n"
	"\tfi\n"
	"}\n"
	"\n"
	"_restfs() {\n"
	"\tlocal program=$1 line=${COMP_LINE:0:COMP_POINT} words word current topic='' "
	"command='' count=0 globals=() kinds=() cut\n"
	"\tread -ra words <<<\"$line\"\n"
	"\t[[ $line == *' ' ]] && words+=('')\n"
	"\tcurrent=${words[-1]}\n"
	"\tfor word in \"${words[@]:1:${#words[@]}-2}\"; do\n"
	"\t\tcase $word in\n"
	"\t\t--data=* | --admin=* | --endpoint=* | --profile=*) globals+=(\"$word\") ;;\n"
	"\t\t-*) ;;\n"
	"\t\t*)\n"
	"\t\t\tif [[ -n $command ]]; then\n"
	"\t\t\t\tcount=$((count + 1))\n"
	"\t\t\telif [[ -n ${_restfs_arguments[${topic:+$topic }$word]+there} ]]; then\n"
	"\t\t\t\tcommand=${topic:+$topic }$word\n"
	"\t\t\telse\n"
	"\t\t\t\ttopic=$word\n"
	"\t\t\tfi\n"
	"\t\t\t;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tmapfile -t COMPREPLY < <(_restfs_answers)\n"
	"\tcut=${current%\"${current##*[:=]}\"}\n"
	"\tCOMPREPLY=(\"${COMPREPLY[@]#\"$cut\"}\")\n"
	"\tif [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=/] ]]; then\n"
	"\t\tcompopt -o nospace 2>/dev/null\n"
	"\tfi\n"
	"}\n"
	"complete -o filenames -F _restfs restfs\n";

/* "--bucket= --read-only": with a value, what follows is one. */
static void
options_put(FILE *out, const char *at)
{
	struct argument a;

	while (argument_next(&at, &a))
		if (!a.positional)
			fprintf(out, " %s%s", a.name, a.value[0] ? "=" : "");
}

/* With a command, its own; else those of all. */
static void
values_put(FILE *out, const struct cli_command *c)
{
	const char *at = c->arguments;
	struct argument a;

	while (argument_next(&at, &a)) {
		enum completed completed = argument_completed(&a);

		if (a.positional || (completed == COMPLETE_NOTHING && !argument_is_choice(&a)))
			continue;
		fprintf(out, "\t['%s%s%s']='%s'\n", c->words, c->words[0] ? " " : "", a.name,
			argument_is_choice(&a) ? a.value : kind_word(completed));
	}
}

static void
arguments_put(FILE *out, const struct cli_command *c)
{
	const char *at = c->arguments;
	struct argument a;

	fprintf(out, "\t['%s']='", c->words);
	while (argument_next(&at, &a))
		if (a.positional)
			fprintf(out, "%s ", kind_word(argument_completed(&a)));
	fprintf(out, "'\n");
}

static void
topics_put(FILE *out)
{
	const struct cli_command *topic, *c;

	fprintf(out, "declare -gA _restfs_topics=(\n\t['-']='");
	for (topic = NULL; (topic = topic_next(topic));)
		fprintf(out, "%.*s ", (int)topic_length(topic), topic->words);
	fprintf(out, "'\n");
	for (topic = NULL; (topic = topic_next(topic));) {
		char word[64];

		snprintf(word, sizeof(word), "%.*s", (int)topic_length(topic), topic->words);
		fprintf(out, "\t['%s']='", word);
		for (c = NULL; (c = cli_next(c, CLI_COMMAND));)
			if (cli_begins(c, word) && c->words[strlen(word)] == ' ')
				fprintf(out, "%s ", c->words + strlen(word) + 1);
		fprintf(out, "'\n");
	}
	fprintf(out, ")\n");
}

void
generate_bash(FILE *out)
{
	const struct cli_command *c;

	fprintf(out, "# bash completion for restfs; made from commands.def\n");
	topics_put(out);
	fprintf(out, "declare -gA _restfs_options=(\n");
	for (c = NULL; (c = cli_next(c, CLI_COMMAND));) {
		fprintf(out, "\t['%s']='", c->words);
		options_put(out, c->arguments);
		fprintf(out, "'\n");
	}
	fprintf(out, "\t['-']=''\n)\ndeclare -gA _restfs_arguments=(\n");
	for (c = NULL; (c = cli_next(c, CLI_COMMAND));)
		arguments_put(out, c);
	fprintf(out, ")\ndeclare -gA _restfs_values=(\n");
	for (c = NULL; (c = cli_next(c, CLI_COMMAND));)
		values_put(out, c);
	for (c = NULL; (c = cli_next(c, CLI_GLOBAL));)
		values_put(out, c);
	fprintf(out, ")\n_restfs_globals='");
	for (c = NULL; (c = cli_next(c, CLI_GLOBAL));)
		options_put(out, c->arguments);
	fprintf(out, "'\n\n%s%s", names_of_stores, completing);
}
