/*
 * generate.h: what makes the manual's pages and the completions of shells, at build time, from commands.def and from
 * what `restfsd --help` says. One thread; whatever cannot be written ends the program.
 */
#ifndef CLIENTS_CLI_GENERATE_GENERATE_H
#define CLIENTS_CLI_GENERATE_GENERATE_H

#include "cli_arguments.h"
#include "cli_table.h"
#include <stdio.h>

/* "DIR/NAME", made new. */
FILE *generate_open(const char *directory, const char *name);
void generate_close(FILE *out);

/* restfs.1, and restfs-WORD.1 for each word that begins a command. */
void generate_manual(const char *directory);
/* restfsd.8 and restfs.conf.5, from what the program says of itself. */
void generate_daemon_manual(const char *directory, const char *restfsd);

void generate_bash(FILE *out);
void generate_zsh(FILE *out);
void generate_fish(FILE *out);

/* --- for those -------------------------------------------------------------------------------------------------- */

/* Text for troff; its lines do not begin with a request. */
void man_text(FILE *out, const char *text);
void man_title(FILE *out, const char *name, const char *section, const char *what);

/* The words that begin commands, each once: "user", "fsck". `after` NULL: the first; NULL: there are no more. */
const struct cli_command *topic_next(const struct cli_command *after);
/* Of "user add": 4. */
size_t topic_length(const struct cli_command *command);

/* What stands for an argument or an option's value, for a shell to complete. */
enum completed {
	COMPLETE_NOTHING,
	COMPLETE_PATH,
	COMPLETE_DIRECTORY,
	COMPLETE_BUCKET,
	COMPLETE_USER,
	COMPLETE_GROUP,
	COMPLETE_KEY
};
enum completed argument_completed(const struct argument *a);

/* In single quotes, for bash and zsh, or for fish. */
void quoted_put(FILE *out, const char *text, const char *quote);
#define QUOTE_SH "'\\''"
#define QUOTE_FISH "\\'"

#endif
