/*
 * cli_top.c: `restfs top`: what runs now, and how much of each operation there was since the last look. The server only counts; rates and
 * percentiles are made here, of two looks.
 */
#include "cli.h"
#include "cli_progress.h"
#include "base/clock.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INTERVAL_NS NS_PER_SECOND
#define CLEAR "\x1b[H\x1b[2J"

/* Two looks. */
struct top {
	struct cli *cli;
	json_t *before, *now; /* request.times; NULL: not yet */
	int64_t before_ns, now_ns;
	json_t *live; /* request.list */
	bool terminal;
};

static json_int_t
integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static double
seconds_between(const struct top *t)
{
	double seconds = (double)(t->now_ns - t->before_ns) / 1e9;

	return seconds > 0 ? seconds : 1;
}

/* How many were within one bucket of the histogram, between the looks. */
static json_int_t
bucket_count(const json_t *now, const json_t *before, size_t i)
{
	return json_integer_value(json_array_get(json_object_get(now, "buckets"), i)) -
	       json_integer_value(json_array_get(json_object_get(before, "buckets"), i));
}

/* So many of them were at most so long, by the bucket in which that one is: as far into it as there are others before it there. */
static double
percentile(const struct top *t, const json_t *now, const json_t *before, json_int_t count, double share)
{
	const json_t *bounds = json_object_get(t->now, "bounds");
	double wanted = share * (double)count, seen = 0, low = 0;

	for (size_t i = 0; i < json_array_size(bounds); i++) {
		double here = (double)bucket_count(now, before, i);
		const json_t *bound = json_array_get(bounds, i);

		if (here > 0 && seen + here >= wanted)
			return json_is_real(bound) ? low + (json_real_value(bound) - low) * (wanted - seen) / here : low;
		seen += here;
		low = json_is_real(bound) ? json_real_value(bound) : low;
	}
	return low;
}

/* NULL: there was none of it between the looks. */
static json_t *
operation_rates(const struct top *t, size_t i)
{
	const json_t *now = json_array_get(json_object_get(t->now, "operations"), i);
	const json_t *before = json_array_get(json_object_get(t->before, "operations"), i);
	json_int_t count = integer(now, "count") - integer(before, "count");
	double spent = json_number_value(json_object_get(now, "seconds")) - json_number_value(json_object_get(before, "seconds"));

	if (count <= 0)
		return NULL;
	return json_pack("{s:O, s:f, s:f, s:f, s:f, s:f}", "operation", json_object_get(now, "operation"), "per_second",
		(double)count / seconds_between(t), "mean", spent / (double)count, "p50", percentile(t, now, before, count, 0.5), "p99",
		percentile(t, now, before, count, 0.99), "p999", percentile(t, now, before, count, 0.999));
}

static json_t *
rates(const struct top *t)
{
	json_t *list = json_array(), *rate;

	for (size_t i = 0; t->before && i < json_array_size(json_object_get(t->now, "operations")); i++)
		if ((rate = operation_rates(t, i)))
			json_array_append_new(list, rate);
	return list;
}

static double
per_second(const struct top *t, const char *name)
{
	return t->before ? (double)(integer(t->now, name) - integer(t->before, name)) / seconds_between(t) : 0;
}

/* --- showing ------------------------------------------------------------------------------------------------------ */

static void
rates_show(const struct top *t, const json_t *list, FILE *out)
{
	static const char *const columns[] = {"mean", "p50", "p99", "p999"};
	char received[CLI_NUMBER_BYTES], sent[CLI_NUMBER_BYTES], time[CLI_NUMBER_BYTES];
	const json_t *rate;
	size_t i;

	progress_bytes(per_second(t, "received"), received, sizeof(received));
	progress_bytes(per_second(t, "sent"), sent, sizeof(sent));
	fprintf(out, "in %s/s, out %s/s, refused %.0f/s, failed %.0f/s\n\n", received, sent,
		per_second(t, "errors_4xx"), per_second(t, "errors_5xx"));
	fprintf(out, "%-24s  %10s  %9s  %9s  %9s  %9s\n", "operation", "a second", "mean", "median", "99 %", "99.9 %");
	json_array_foreach(list, i, rate) {
		fprintf(out, "%-24s  %10.1f", json_string_value(json_object_get(rate, "operation")),
			json_number_value(json_object_get(rate, "per_second")));
		for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
			fprintf(out, "  %9s",
				cli_time_text(json_number_value(json_object_get(rate, columns[k])), time));
		putc('\n', out);
	}
}

static int
longest_first(const void *a, const void *b)
{
	double x = json_number_value(json_object_get(*(json_t *const *)a, "seconds")), y = json_number_value(json_object_get(*(json_t *const *)b, "seconds"));

	return (x < y) - (x > y);
}

/* As many as there are rows left on the screen. */
static void
live_show(const struct top *t, size_t rows, FILE *out)
{
	size_t count = json_array_size(t->live), i;
	json_t **list = xcalloc(count + 1, sizeof(json_t *));

	for (i = 0; i < count; i++)
		list[i] = json_array_get(t->live, i);
	qsort(list, count, sizeof(list[0]), longest_first);
	fprintf(out, "\n%zu under way%s\n", count, count > rows ? ", those that take longest:" : "");
	for (i = 0; i < count && i < rows; i++) {
		fprintf(out, "%-16s  ", json_string_value(json_object_get(list[i], "does")));
		cli_show_request(out, list[i]);
	}
	free(list);
}

/* As much as the window has room for, in one piece; the last of its rows is the cursor's. */
static void
screen_draw(struct bytes text, const struct winsize *window)
{
	struct buf out;
	size_t used, rows = 0;

	buf_init(&out, NULL);
	buf_put_str(&out, CLEAR);
	for (size_t at = 0; at < text.len && (!window->ws_row || rows + 1 < window->ws_row); rows++) {
		size_t end = bytes_find(text, '\n', at);
		struct bytes line = bytes_sub(text, at, end - at);

		buf_put(&out, line.data, window->ws_col ? cli_columns_fit(line, window->ws_col, &used) : line.len);
		buf_u8(&out, '\n');
		at = end + 1;
	}
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
}

static void
screen_show(const struct top *t, const json_t *list)
{
	size_t above = 5 + json_array_size(list), len = 0;
	struct winsize window = {0};
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort(); /* memory has ended, as in xcalloc */
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0)
		window = (struct winsize){0};
	rates_show(t, list, out);
	live_show(t, !window.ws_row ? SIZE_MAX : window.ws_row > above + 1 ? window.ws_row - above - 1 : 1, out);
	fclose(out);
	screen_draw(bytes_of(text, len), &window);
	free(text);
}

static bool
show(const struct top *t)
{
	json_t *list = rates(t);

	if (t->cli->json) {
		json_t *all = json_pack("{s:O, s:O, s:f, s:f, s:f, s:f}", "operations", list, "requests", t->live, "received_per_second",
			per_second(t, "received"), "sent_per_second", per_second(t, "sent"), "refused_per_second", per_second(t, "errors_4xx"),
			"failed_per_second", per_second(t, "errors_5xx"));

		cli_put_json(all);
	} else if (t->terminal) {
		screen_show(t, list);
	} else {
		rates_show(t, list, stdout);
		live_show(t, SIZE_MAX, stdout);
	}
	json_decref(list);
	return cli_flush(t->cli);
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static bool
look(struct top *t)
{
	json_t *none = json_object(), *times, *list = NULL;

	if ((times = cli_call_patiently(t->cli, "request.times", none))) {
		json_decref(t->before);
		t->before = t->now;
		t->before_ns = t->now_ns;
		t->now = times;
		t->now_ns = clock_monotonic_ns();
		list = cli_call_patiently(t->cli, "request.list", none);
	}
	json_decref(none);
	json_decref(t->live);
	t->live = json_incref(json_object_get(list, "requests"));
	json_decref(list);
	return t->live != NULL;
}

int
cli_top(struct cli *cli)
{
	bool once = json_is_true(json_object_get(cli->params, "once"));
	const json_t *interval = json_object_get(cli->params, "interval");
	struct top t = {.cli = cli, .terminal = cli_is_terminal(stdout) && !cli->json};
	int64_t pause = json_is_integer(interval) ? json_integer_value(interval) * INTERVAL_NS : INTERVAL_NS;
	bool done = look(&t);

	once = once || !cli_is_terminal(stdout);
	t.terminal = t.terminal && !once;
	do {
		sleep_ns(pause > 0 ? pause : INTERVAL_NS);
		done = done && look(&t) && show(&t);
	} while (done && !once);
	json_decref(t.before);
	json_decref(t.now);
	json_decref(t.live);
	return done ? EXIT_DONE : cli_complain_refused(cli);
}
