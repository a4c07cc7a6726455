/*
 * bench.h: `restfs bench`: how fast a store is, seen by its clients.
 *
 *   bench.c (what is to be done) -> bench_run.c (threads that do it) -> bench_report.c (text, JSON), bench_svg.c
 *
 * A phase is a mix of operations for some time. Each client has a connection and names of its own, so that none needs
 * what another has removed.
 */
#ifndef CLIENTS_CLI_BENCH_H
#define CLIENTS_CLI_BENCH_H

#include "bench_histogram.h"
#include "cli_s3.h"

enum bench_operation { BENCH_PUT, BENCH_GET, BENCH_HEAD, BENCH_LIST, BENCH_DELETE, BENCH_OPERATIONS };
extern const char *const bench_names[BENCH_OPERATIONS];

struct bench_setting {
	struct cli *cli;
	struct s3_client *client;
	const char *endpoint;
	const char *bucket, *prefix; /* what it makes is below this */
	uint64_t size;               /* of an object */
	uint64_t objects;            /* of each client; beyond, the oldest are replaced */
	uint64_t seconds;            /* of a phase */
	unsigned clients;
};

/* Of one operation in one phase, all clients together. */
struct bench_result {
	const char *phase;
	enum bench_operation operation;
	struct histogram latency; /* nanoseconds, of what succeeded */
	uint64_t bytes, errors;
	double seconds;             /* that the phase took */
	char error[S3_ERROR_BYTES]; /* the first */
};

struct bench_results {
	struct bench_result *list;
	size_t count;
};

/* --- bench_run.c -------------------------------------------------------------------------------------------------- */

struct bench_clients;

struct bench_clients *bench_clients_new(const struct bench_setting *setting);
void bench_clients_free(struct bench_clients *clients);
/* Each operation as often as its weight says; its results are appended. A phase of deletes ends when nothing is left.
 */
void bench_phase(struct bench_clients *clients, const char *name, const unsigned weights[BENCH_OPERATIONS],
	struct bench_results *results);
/* So that there is something to read. False: `setting->cli->error`. */
bool bench_fill(struct bench_clients *clients);
/* Ends what is under way; for a handler of signals, too. */
void bench_stop(struct bench_clients *clients);
bool bench_is_stopped(const struct bench_clients *clients);

/* --- bench_report.c, bench_svg.c ---------------------------------------------------------------------------------- */

void bench_report_text(const struct bench_setting *setting, const struct bench_results *results);
void bench_report_json(const struct bench_setting *setting, const struct bench_results *results);
/* False: errno. */
bool bench_report_svg(const struct bench_setting *setting, const struct bench_results *results, const char *path);

#endif
