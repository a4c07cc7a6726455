/*
 * cli_table.h: commands.def as C has it, and how it is looked up. Nothing here needs what commands do, so that man
 * pages and completions are made from it too (cli_generate.c).
 */
#ifndef CLIENTS_CLI_CLI_TABLE_H
#define CLIENTS_CLI_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum cli_kind { CLI_GROUP, CLI_COMMAND, CLI_ABOUT, CLI_EXAMPLE, CLI_OPTION, CLI_GLOBAL };

/* A line of the table. */
struct cli_command {
	enum cli_kind kind;
	const char *words;     /* "user add"; a group's name; an option's name; an example's command */
	const char *method;    /* NULL: done here */
	const char *arguments; /* a command's, or those of a global option */
	const char *show; /* fields of the answer; "list: columns" is a table; "name=field" is shown under that name */
	const char *help; /* of a command: in one line; else what is said */
};

extern const struct cli_command cli_table[];
extern const size_t cli_table_count;

/* The line of that kind behind `after`, or the first (`after` NULL); NULL: none is left. */
const struct cli_command *cli_next(const struct cli_command *after, enum cli_kind kind);
/* The same, of what stands between this command and the next. */
const struct cli_command *cli_next_of(
	const struct cli_command *command, const struct cli_command *after, enum cli_kind kind);
const struct cli_command *cli_group_of(const struct cli_command *command);
/* By its words; NULL: there is none. */
const struct cli_command *cli_find(const char *words);
/* Is there a command of two words that begins with this one? */
bool cli_is_topic(const char *word);
/* Does the command begin with these words? "" begins all. */
bool cli_begins(const struct cli_command *command, const char *words);
/* What is said of an option where this command has it; "": nothing. */
const char *cli_option_text(const struct cli_command *command, const char *name);
/* What was perhaps meant by words that are no command; NULL: nothing is near. */
const char *cli_nearest(const char *words);
/* What a command or an option of other clients of S3 is called here; NULL: it is none that we know. */
const char *cli_elsewhere(const char *word);
/* How many letters must change to make one text of another; two that changed places are one. */
size_t cli_distance(const char *a, const char *b);

#endif
