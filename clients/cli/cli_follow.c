/* cli_follow.c: calls without an end: each in memory that the next one uses again, and over restarts of the server. */
#include "cli.h"
#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAUSE_FIRST_NS 100000000
#define PAUSE_MOST_NS 5000000000

json_t *
cli_call_again(struct cli *cli, const char *method, json_t *params)
{
	struct arena *kept = cli->arena;
	json_t *result;

	if (!cli->scratch)
		cli->scratch = arena_new(65536);
	arena_reset(cli->scratch);
	cli->arena = cli->scratch;
	result = cli_call(cli, method, params);
	cli->arena = kept;
	return result;
}

/* Was it refused for what may be over soon? What was not answered at all may be. */
static bool
is_passing(const struct cli *cli)
{
	static const char *const names[] = {"", "SHUTTING_DOWN", "SLOW_DOWN", "POISONED", "IO", "NO_SPACE", "INTERNAL"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(cli->error_name, names[i]) == 0)
			return true;
	return false;
}

json_t *
cli_call_patiently(struct cli *cli, const char *method, json_t *params)
{
	int64_t pause = PAUSE_FIRST_NS;
	bool told = false;
	json_t *result;

	while (!(result = cli_call_again(cli, method, params)) && cli->reached && is_passing(cli)) {
		if (!told)
			fprintf(stderr, "restfs: %s; trying again until it works\n",
				cli_plain_text(cli->scratch, cli->error));
		told = true;
		sleep_ns(pause / 2 + (int64_t)(random_u64() % (uint64_t)pause) / 2);
		pause = 2 * pause < PAUSE_MOST_NS ? 2 * pause : PAUSE_MOST_NS;
	}
	if (told && result)
		fprintf(stderr, "restfs: the server answers again\n");
	cli->reached = cli->reached || result;
	return result;
}

bool
cli_flush(struct cli *cli)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	if (errno == EPIPE)
		_exit(EXIT_REFUSED);
	return cli_fail(cli, "cannot write what there is to show: %s", strerror(errno));
}
