/* transfer_options.c: the options that all commands of data share. */
#include "transfer.h"
#include "s3/s3_client.h"

#define PARALLEL_DEFAULT 16
#define PARALLEL_MAX 1024
#define PART_DEFAULT (8 * 1024 * 1024)
#define PART_MAX (INT64_C(5) << 30)

bool
transfer_options_read(struct cli *cli, struct transfer_options *out)
{
	int64_t parallel = cli_number(cli, "parallel", PARALLEL_DEFAULT);
	int64_t part_size = cli_number(cli, "part_size", PART_DEFAULT);

	if (parallel < 1 || parallel > PARALLEL_MAX)
		return cli_fail(cli, "--parallel is 1 to %d", PARALLEL_MAX);
	if (part_size < S3_PART_MIN || part_size > PART_MAX)
		return cli_fail(cli, "--part-size is 5M to 5G");
	*out = (struct transfer_options){
		.dry_run = cli_flag(cli, "dry_run"),
		.verbose = cli_flag(cli, "verbose"),
		.follow = cli_flag(cli, "follow"),
		.sync_disk = cli_flag(cli, "sync_disk"),
		.checksum = cli_flag(cli, "checksum"),
		.size_only = cli_flag(cli, "size_only"),
		.parallel = (unsigned)parallel,
		.part_size = (uint64_t)part_size,
		.content_type = cli_text(cli, "content_type"),
	};
	return filter_read(cli, &out->filter);
}
