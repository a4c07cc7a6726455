/*
 * cli.h: `restfs`, the command line: what its files share. One thread, blocking calls, memory from one arena until the
 * end.
 *
 *   cli_main.c -> cli_parse.c (cli_table.c: commands.def -> a command and its parameters) -> cli_help.c
 *              -> cli_rpc.c (JSON-RPC) -> cli_http.c
 * (socket or network)
 *              -> cli_show.c (the answer for people, or as JSON)
 *              -> cli_watch.c (what goes on) -> cli_follow.c (calls without an end)
 *              -> cli_fsck.c, cli_salvage.c (what is done here, without a daemon) -> cli_findings.c
 */
#ifndef CLIENTS_CLI_CLI_H
#define CLIENTS_CLI_CLI_H

#include "base/arena.h"
#include "cli_table.h"
#include <jansson.h>
#include <stdio.h>

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

struct cli;

/* What the arguments say. */
struct cli {
	struct arena *arena;
	const char *data;  /* the store's directory: its socket is used, */
	const char *admin; /* unless this is given: http://HOST:PORT */
	const char *profile, *endpoint; /* of the S3 side; NULL: not given */
	bool json;
	bool quiet; /* no progress, nothing but results and errors */
	bool help;
	bool version;
	const char *topic;                 /* what --help is about: "user"; NULL: everything */
	const struct cli_command *command; /* NULL: none was given */
	json_t *params;
	uint64_t listed; /* members of a list that were printed as JSON */
	struct arena *scratch; /* of cli_call_again; NULL: it was not called */
	bool reached;          /* the server has answered before */
	char error[4096];
	char error_name[32]; /* of a refusal, as errors.def has it; empty: nothing was answered */
};

/* False: `error` says what is wrong with them. */
bool cli_parse(struct cli *cli, int argc, char **argv);
/* Of the command, of those that begin with the topic, or of all. */
void cli_help(const struct cli *cli);

/* Calls a method; the result is a new reference. NULL: `error`. */
json_t *cli_call(struct cli *cli, const char *method, json_t *params);
/* The same in memory that each call uses anew: for those who never end. */
json_t *cli_call_again(struct cli *cli, const char *method, json_t *params);
/* ... and again, once the server was reached, until it answers or says that it never will. NULL: `error`. */
json_t *cli_call_patiently(struct cli *cli, const char *method, json_t *params);
/* POSTs to /rpc; the body's bytes are in the arena. False: `error`. */
bool cli_post(struct cli *cli, struct bytes body, struct bytes *answer);

void cli_show(struct cli *cli, json_t *result);

/* What was found in a store. */
struct cli_finding {
	const char *kind;
	const char *place; /* where it is, when that is no bucket; else "" */
	struct bytes bucket, key;
	uint64_t bucket_number; /* 0: not told */
	const char *text;
};
void cli_show_finding(struct cli *cli, const struct cli_finding *finding);

/* For commands that open the store in `data` themselves: from here on this process is its owner's, and no longer root's,
 * and what it makes is for nobody else. False: cli_fail. */
bool cli_become_owner(struct cli *cli, const char *data);

/* Commands that are done here: each gives the exit code, and has printed what there is to say. */
#define LOCAL_COMMAND(words, function, arguments, help) int function(struct cli *cli);
#include "commands.def"

/* cli_text.c */
#define CLI_NUMBER_BYTES 32
/* With what would move a terminal's cursor, or begin a line, told by its value. */
void cli_put_text(FILE *out, const char *text);
const char *cli_plain_text(struct arena *arena, const char *text);     /* the same, as a text */
const char *cli_time_text(double seconds, char out[CLI_NUMBER_BYTES]); /* "12 us", "3h05m" */
const char *cli_counted(struct arena *arena, uint64_t count, const char *one, const char *more); /* "1 key", "2 keys" */
/* How much of the beginning of UTF-8 text fits in so many columns of a terminal, in bytes; `used`: the columns that
 * takes. */
size_t cli_columns_fit(struct bytes text, size_t columns, size_t *used);
size_t cli_columns(const char *text);

/* A line of --json: each result is one, an object. Takes the reference; NULL: it could not be made, for a name in it is
 * no text, which is told. */
void cli_put_json(json_t *object);
/* Was one left out? */
bool cli_json_has_holes(void);

/* cli_trace.c: a line, without when it was and its status. */
void cli_show_request(FILE *out, const json_t *request);
/* `lost` as answers have it: says so where something is missing. */
void cli_tell_lost(const json_t *lost, const char *what);

/* `error`, and false. */
bool cli_fail(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The parameter, if it was given, is one of these words; else `error`. */
bool cli_is_name(struct cli *cli, const char *param, const char *names);
/* Prints `error`, and gives this exit code. */
int cli_complain(const struct cli *cli, int code);
/* The same, of a call: parameters that the server does not take are wrong usage. */
int cli_complain_refused(const struct cli *cli);
/* Standard output has been written, as far as is known; else `error`. Where nobody reads it any more, the process ends
 * without a word, as SIGPIPE would have ended it. */
bool cli_flush(struct cli *cli);

#endif
