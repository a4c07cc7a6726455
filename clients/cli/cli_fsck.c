/*
 * cli_fsck.c: `restfs fsck`: checks a store that no daemon serves, row by row and block by block. Exit codes: 0 nothing
 * was found, 1 something was, 2 it could not be checked.
 *
 * Opening recovers, as restfsd's start does, so the check sees what clients would see next.
 */
#include "cli.h"
#include "base/config.h"
#include "base/log.h"
#include "base/thread.h"
#include "check/check.h"
#include "managers/auth/auth.h"
#include <stdio.h>
#include <unistd.h>

#define ERROR_BYTES 512

static void
finding_show(void *data, const struct check_finding *f)
{
	cli_show_finding(data, &(struct cli_finding){.kind = check_kind_name(f->kind),
				       .place = f->bucket ? "" : "domain",
				       .bucket = f->bucket_name,
				       .bucket_number = f->bucket,
				       .key = f->key,
				       .text = f->text});
}

static void
totals_show(const struct cli *cli, const struct check_totals *t)
{
	unsigned long long buckets = t->buckets, objects = t->objects, bytes = t->object_bytes, blocks = t->blocks,
			   stored = t->block_bytes, findings = t->findings;

	if (cli->json)
		printf("],\"buckets\":%llu,\"objects\":%llu,\"bytes\":%llu,\"blocks\":%llu,\"stored_bytes\":%llu}\n",
			buckets, objects, bytes, blocks, stored);
	else
		printf("%s, %s of %llu bytes, %s of %llu bytes: %s\n",
			cli_counted(cli->arena, buckets, "bucket", "buckets"),
			cli_counted(cli->arena, objects, "object", "objects"), bytes,
			cli_counted(cli->arena, blocks, "block", "blocks"), stored,
			cli_counted(cli->arena, findings, "finding", "findings"));
}

static bool
store_open(struct cli *cli, struct config *config, const char *data, struct store_drivers *out)
{
	const char *volumes = arena_printf(cli->arena, "%s/volumes", data);
	char error[ERROR_BYTES];

	if (!cli_become_owner(cli, data))
		return false;
	if (access(volumes, F_OK) != 0) /* nothing is made where no store is */
		return cli_fail(cli, "there is no store in %s", data);
	if (!config_set(config, "data", data, error) || embedded_open(config, out, error))
		return cli_fail(cli, "%s", error);
	return true;
}

/* A file beside the store, without which it does not start. */
static void
master_key_check(struct cli *cli, const char *data, struct store_drivers *drivers, struct check_totals *totals)
{
	char error[ERROR_BYTES];

	if (!auth_master_key_check(drivers->metadata, data, error))
		return;
	totals->findings++;
	cli_show_finding(cli, &(struct cli_finding){.kind = "master-key-wrong", .place = "domain", .text = error});
}

int
cli_fsck(struct cli *cli)
{
	const char *data = json_string_value(json_object_get(cli->params, "data"));
	struct check_options options = {
		.fast = json_is_true(json_object_get(cli->params, "fast")), .found = finding_show, .data = cli};
	struct check_totals totals;
	struct metadata_info info = {0};
	struct store_drivers drivers;
	struct config config;
	enum rfs_err err;
	int code = EXIT_USAGE;

	thread_role_set(THREAD_WORKER, "fsck");
	log_init(LOG_ERROR, LOG_TEXT, STDERR_FILENO);
	config_init(&config);
	if (store_open(cli, &config, data, &drivers)) {
		if (cli->json)
			printf("{\"findings\":[");
		err = check_store(&drivers, &options, &totals);
		master_key_check(cli, data, &drivers, &totals);
		totals_show(cli, &totals);
		drivers.metadata->ops->info(drivers.metadata, &info);
		drivers.metadata->ops->close(drivers.metadata);
		if (info.damaged)
			cli_fail(cli, "the index is damaged: what opens the store next makes it anew from the journal; "
				      "run it again");
		else if (err)
			cli_fail(cli, "the check did not come to its end: %s", error_face(err)->text);
		else
			code = totals.findings ? EXIT_REFUSED : EXIT_DONE;
	}
	if (code == EXIT_USAGE)
		cli_complain(cli, code);
	config_fini(&config);
	return code;
}
