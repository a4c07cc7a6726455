/* cli_status.c: `restfs status`: how the server is, on one screen. Exit code 1: it is not healthy. */
#include "cli.h"
#include "cli_progress.h"
#include "base/clock.h"
#include <stdio.h>

#define RATE_NS 500000000 /* between the two looks that give the requests a second */

static json_int_t
number(const json_t *status, const char *part, const char *name)
{
	return json_integer_value(json_object_get(part ? json_object_get(status, part) : status, name));
}

static const char *
text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "-";
}

static const char *
bytes_of_part(struct cli *cli, const json_t *status, const char *part, const char *name)
{
	json_int_t bytes = number(status, part, name);
	char out[CLI_NUMBER_BYTES];

	progress_bytes(bytes > 0 ? (double)bytes : 0, out, sizeof(out));
	return arena_str(cli->arena, bytes_str(out));
}

static void
health_show(const json_t *status)
{
	const json_t *problems = json_object_get(status, "problems"), *problem;
	size_t i;

	printf("health    ");
	if (json_array_size(problems) == 0)
		printf("%sok%s\n", cli_colour(stdout, COLOUR_GREEN), cli_colour(stdout, COLOUR_NONE));
	json_array_foreach(problems, i, problem)
		printf("%s%s%s%s\n", i ? "          " : "", cli_colour(stdout, COLOUR_RED), json_string_value(problem),
			cli_colour(stdout, COLOUR_NONE));
}

static void
store_show(struct cli *cli, const json_t *status)
{
	json_int_t disk = number(status, "store", "disk_bytes"), free = number(status, "store", "free_bytes");
	json_int_t garbage = number(status, "store", "garbage_bytes"),
		   on_disk = number(status, "store", "bytes_on_disk");

	printf("holds     %s%s, %s, %s\n",
		json_is_true(json_object_get(json_object_get(status, "held"), "at_least")) ? "at least " : "",
		cli_counted(cli->arena, (uint64_t)number(status, "held", "buckets"), "bucket", "buckets"),
		cli_counted(cli->arena, (uint64_t)number(status, "held", "objects"), "object", "objects"),
		bytes_of_part(cli, status, "held", "bytes"));
	printf("volumes   %lld, of %s", (long long)number(status, "store", "volumes"), bytes_of_part(cli, status, "store", "bytes_on_disk"));
	if (garbage > 0 && on_disk > 0)
		printf("; garbage %s (%.0f %%) as of the last look of compaction",
			bytes_of_part(cli, status, "store", "garbage_bytes"),
			100.0 * (double)garbage / (double)on_disk);
	printf("\ndisk      %s free of %s (%.0f %%)", bytes_of_part(cli, status, "store", "free_bytes"),
		bytes_of_part(cli, status, "store", "disk_bytes"), disk > 0 ? 100.0 * (double)free / (double)disk : 0.0);
	printf("; reserve %s\n", bytes_of_part(cli, status, "store", "reserve_bytes"));
}

static void
scrub_show(struct cli *cli, const json_t *scrub)
{
	uint64_t damaged = (uint64_t)json_integer_value(json_object_get(scrub, "damaged_objects"));

	printf("scrub     ");
	if (json_is_true(json_object_get(scrub, "running")))
		printf("running since %s; ", text(scrub, "started"));
	if (json_is_null(json_object_get(scrub, "finished")))
		printf("no round has ended yet");
	else
		printf("last round ended %s", text(scrub, "finished"));
	printf("; %s\n", cli_counted(cli->arena, damaged, "damaged object", "damaged objects"));
}

static void
show(struct cli *cli, const json_t *status, double rate)
{
	char uptime[CLI_NUMBER_BYTES];

	cli_time_text((double)number(status, NULL, "uptime_seconds"), uptime);
	printf("restfs    %s, up %s\n", text(status, "version"), uptime);
	health_show(status);
	printf("s3        %s, region %s\nadmin     %s\n", text(status, "s3"), text(status, "region"), text(status, "admin"));
	store_show(cli, status);
	scrub_show(cli, json_object_get(status, "scrub"));
	printf("requests  %.0f a second, %lld since the start (%lld answered 4xx, %lld 5xx), %s\n", rate,
		(long long)number(status, "requests", "total"), (long long)number(status, "requests", "errors_4xx"),
		(long long)number(status, "requests", "errors_5xx"),
		cli_counted(
			cli->arena, (uint64_t)number(status, "requests", "connections"), "connection", "connections"));
	printf("memory    %s\n", bytes_of_part(cli, status, NULL, "memory_bytes"));
}

/* The newer of two looks, with the rate between them. */
static json_t *
look(struct cli *cli, double *rate)
{
	json_t *first = cli_call(cli, "server.status", cli->params), *second;
	int64_t began = clock_monotonic_ns();

	if (!first)
		return NULL;
	sleep_ns(RATE_NS);
	second = cli_call(cli, "server.status", cli->params);
	if (second)
		*rate = (double)(number(second, "requests", "total") - number(first, "requests", "total")) /
			((double)(clock_monotonic_ns() - began) / 1e9);
	json_decref(first);
	return second;
}

int
cli_status(struct cli *cli)
{
	double rate = 0;
	json_t *status = look(cli, &rate);
	bool healthy;

	if (!status)
		return cli_complain_refused(cli);
	healthy = json_is_true(json_object_get(status, "healthy"));
	json_object_set_new(json_object_get(status, "requests"), "per_second", json_real(rate));
	if (cli->json)
		cli_put_json(json_incref(status));
	else
		show(cli, status, rate);
	json_decref(status);
	return healthy ? EXIT_DONE : EXIT_REFUSED;
}
