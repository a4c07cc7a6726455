/*
 * cli_salvage.c: `restfs salvage`: a damaged store is replaced by what can be read of it. Exit codes: 0 there was
 * nothing to name, 1 something was found and named, 2 it could not be done, and nothing was changed.
 */
#include "cli.h"
#include "base/config.h"
#include "base/log.h"
#include "base/thread.h"
#include "check/repair.h"
#include <stdio.h>
#include <unistd.h>

#define ERROR_BYTES 512

/* The command, and how much it has found. */
struct run {
	struct cli *cli;
	uint64_t findings;
};

static void
file_show(void *data, const char *name, const char *text)
{
	struct run *run = data;

	run->findings++;
	cli_show_finding(run->cli, &(struct cli_finding){.kind = name, .place = "volumes", .text = text});
}

static void
finding_show(void *data, const struct repair_finding *f)
{
	struct run *run = data;

	run->findings++;
	cli_show_finding(run->cli, &(struct cli_finding){.kind = f->name,
					   .place = f->bucket_name.len ? "" : "domain",
					   .bucket = f->bucket_name,
					   .key = f->key,
					   .text = f->text});
}

static void
totals_show(const struct cli *cli, const struct repair_totals *t, const char *kept)
{
	unsigned long long buckets = t->buckets, objects = t->objects, bytes = t->bytes, damaged = t->damaged,
			   lost = t->lost;
	json_t *path;

	if (!cli->json) {
		printf("%s; objects: %llu whole, of %llu bytes; %llu damaged, %llu lost\n",
			cli_counted(cli->arena, buckets, "bucket", "buckets"), objects, bytes, damaged, lost);
		if (kept[0])
			printf("the old files are in %s; they may be removed\n", kept);
		return;
	}
	printf("],\"buckets\":%llu,\"objects\":%llu,\"bytes\":%llu,\"damaged\":%llu,\"lost\":%llu,\"kept\":", buckets,
		objects, bytes, damaged, lost);
	path = json_string(kept);
	json_dumpf(path, stdout, JSON_ENCODE_ANY);
	json_decref(path);
	printf("}\n");
}

static bool
salvage(struct run *run, const struct config *config, struct repair_totals *totals, char *kept)
{
	bool keep = !json_is_true(json_object_get(run->cli->params, "dry_run"));
	struct store_drivers drivers;
	char error[ERROR_BYTES];
	struct salvage *s;
	enum rfs_err err;

	if (salvage_begin(config, json_string_value(json_object_get(run->cli->params, "store")), file_show, run, &s, &drivers, error))
		return cli_fail(run->cli, "%s", error);
	if ((err = repair_store(&drivers, finding_show, run, totals))) {
		(void)salvage_end(s, false, kept, error);
		return cli_fail(run->cli, "put the rows right: %s", error_face(err)->text);
	}
	return !salvage_end(s, keep, kept, error) || cli_fail(run->cli, "%s", error);
}

int
cli_salvage(struct cli *cli)
{
	const char *data = json_string_value(json_object_get(cli->params, "data"));
	char kept[4096] = "", error[ERROR_BYTES];
	struct run run = {.cli = cli};
	struct repair_totals totals = {0};
	struct config config;
	bool done;

	thread_role_set(THREAD_WORKER, "salvage");
	log_init(LOG_ERROR, LOG_TEXT, -1);
	config_init(&config);
	if (cli->json)
		printf("{\"findings\":[");
	done = cli_become_owner(cli, data) && (config_set(&config, "data", data, error) || cli_fail(cli, "%s", error)) &&
	       salvage(&run, &config, &totals, kept);
	if (done || cli->json)
		totals_show(cli, &totals, kept);
	if (!done)
		cli_complain(cli, EXIT_USAGE);
	config_fini(&config);
	return !done ? EXIT_USAGE : run.findings ? EXIT_REFUSED : EXIT_DONE;
}
