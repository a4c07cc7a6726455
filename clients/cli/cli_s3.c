/* cli_s3.c: see cli_s3.h. */
#include "cli_s3.h"

struct s3_client *
cli_s3_open(struct cli *cli)
{
	struct s3_profile profile;
	char error[S3_ERROR_BYTES];

	if (s3_profile_load(cli->arena, cli->profile, cli->endpoint, &profile, error))
		return s3_client_new(&profile);
	cli_fail(cli, "%s", error);
	return NULL;
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
