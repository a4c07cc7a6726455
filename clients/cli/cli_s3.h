/* cli_s3.h: the S3 side of the command line: whom --endpoint, --profile, the environment and files mean. */
#ifndef CLIENTS_CLI_CLI_S3_H
#define CLIENTS_CLI_CLI_S3_H

#include "cli.h"
#include "s3/s3_client.h"

/* NULL: cli->error. */
struct s3_client *cli_s3_open(struct cli *cli);
/* That of --source-endpoint and --source-profile. */
struct s3_client *cli_s3_open_source(struct cli *cli);
/* One of these was given. */
bool cli_s3_has_source(const struct cli *cli);
/* False: cli->error. */
bool cli_s3_path(struct cli *cli, const char *text, struct s3_path *out);
/* A member of cli->params that is a text; NULL: it was not given. */
const char *cli_text(const struct cli *cli, const char *name);
bool cli_flag(const struct cli *cli, const char *name);
/* `otherwise`: it was not given. */
int64_t cli_number(const struct cli *cli, const char *name, int64_t otherwise);

#endif
