/* cli_s3.c: see cli_s3.h. */
#include "cli_s3.h"

static struct s3_client *
client_of(struct cli *cli, const char *profile_name, const char *endpoint)
{
	struct s3_profile profile;
	char error[S3_ERROR_BYTES];

	if (s3_profile_load(cli->arena, profile_name, endpoint, &profile, error))
		return s3_client_new(&profile);
	cli_fail(cli, "%s", error);
	return NULL;
}

struct s3_client *
cli_s3_open(struct cli *cli)
{
	return client_of(cli, cli->profile, cli->endpoint);
}

struct s3_client *
cli_s3_open_source(struct cli *cli)
{
	return client_of(cli, cli_text(cli, "source_profile"), cli_text(cli, "source_endpoint"));
}

bool
cli_s3_has_source(const struct cli *cli)
{
	return cli_text(cli, "source_endpoint") || cli_text(cli, "source_profile");
}

bool
cli_s3_path(struct cli *cli, const char *text, struct s3_path *out)
{
	char error[S3_ERROR_BYTES];

	return s3_path_parse(cli->arena, text, out, error) || cli_fail(cli, "%s", error);
}

const char *
cli_text(const struct cli *cli, const char *name)
{
	return json_string_value(json_object_get(cli->params, name));
}

bool
cli_flag(const struct cli *cli, const char *name)
{
	return json_is_true(json_object_get(cli->params, name));
}

int64_t
cli_number(const struct cli *cli, const char *name, int64_t otherwise)
{
	const json_t *value = json_object_get(cli->params, name);

	return value ? json_integer_value(value) : otherwise;
}
