/*
 * cli_arguments.h: the text of arguments in commands.def, read one by one: by the parser, by --help, and by what makes
 * man pages and completions (cli_generate.c).
 */
#ifndef CLIENTS_CLI_CLI_ARGUMENTS_H
#define CLIENTS_CLI_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

/* One word of it. */
struct argument {
	char name[32];  /* "NAME", "--acl" */
	char letter;    /* 'r' of -r|--recursive; 0: none */
	char param[32]; /* "name", "acl" */
	char value[48]; /* "ACL", "on|off"; empty: a flag, or positional */
	bool optional;
	bool positional;
	bool repeats;
	bool shared; /* its parameter is another option's too: see commands.def */
};

/* False at the end. */
bool argument_next(const char **at, struct argument *out);

/* Its value is one of a few words: "on|off". */
bool argument_is_choice(const struct argument *a);

/* As users write it: "-r, --recursive", "--include GLOB", "PATH...". */
void argument_print(const struct argument *a, char *out, size_t size);

/* A usage line's text: the arguments without the names of parameters. */
void arguments_print(const char *arguments, char *out, size_t size);

#endif
