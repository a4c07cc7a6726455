/* cli_cat.c: `restfs cat`: objects to stdout. What is damaged has been printed when that is seen: the exit code says
 * it. */
#include "transfer_plan.h"
#include <errno.h>
#include <unistd.h>

static bool
take(void *data, struct bytes part)
{
	while (part.len > 0) {
		ssize_t n = write(STDOUT_FILENO, part.data, part.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EPIPE)
			_exit(EXIT_REFUSED); /* as cli_flush */
		if (n < 0)
			return s3_conn_fail(data, "cannot be printed: %s", strerror(errno));
		part = bytes_sub(part, (size_t)n, part.len);
	}
	return true;
}

static bool
object_read(struct cli *cli, const char *text, struct place *out)
{
	if (!place_read(cli, text, out))
		return false;
	return (out->bucket && out->root[0]) || cli_fail(cli, "%s is no object: a path is s3://BUCKET/KEY", text);
}

static bool
print(struct cli *cli, struct s3_conn *conn, const struct place *place)
{
	struct s3_get get = {.bucket = place->bucket, .key = place->root, .receive = take, .data = conn};
	struct arena *arena = arena_new(8192);
	struct s3_info info;
	bool done = s3_get(conn, arena, &get, &info) ||
		    cli_fail(cli, "s3://%s/%s: %s", place->bucket, place->root, s3_conn_failure(conn)->text);

	arena_free(arena);
	return done;
}

int
cli_cat(struct cli *cli)
{
	const json_t *list = json_object_get(cli->params, "path");
	size_t count = json_array_size(list);
	struct place *places = ARENA_ARRAY(cli->arena, struct place, count);
	struct s3_client *client;
	struct s3_conn *conn;
	int code = EXIT_DONE;

	for (size_t i = 0; i < count; i++)
		if (!object_read(cli, json_string_value(json_array_get(list, i)), &places[i]))
			return cli_complain(cli, EXIT_USAGE);
	if (!(client = cli_s3_open(cli)))
		return cli_complain(cli, EXIT_USAGE);
	s3_client_limit_rate(client, (uint64_t)cli_number(cli, "limit_rate", 0));
	conn = s3_conn_new(client);
	for (size_t i = 0; i < count; i++)
		if (!print(cli, conn, &places[i]))
			code = cli_complain(cli, EXIT_REFUSED);
	s3_conn_free(conn);
	s3_client_free(client);
	return code;
}
