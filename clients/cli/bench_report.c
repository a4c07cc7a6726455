/* bench_report.c: what was measured, as a table for people, or as JSON. */
#include "bench.h"
#include "cli_progress.h"
#include <stdio.h>

static double
per_second(const struct bench_result *r, uint64_t count)
{
	return r->seconds > 0 ? (double)count / r->seconds : 0;
}

static void
row_show(const struct bench_result *r)
{
	static const double shares[] = {0.5, 0.9, 0.99, 0.999, 1};
	char bytes[32] = "-", text[CLI_NUMBER_BYTES];

	if (r->operation == BENCH_PUT || r->operation == BENCH_GET) {
		progress_bytes(per_second(r, r->bytes), bytes, sizeof(bytes) - 2);
		strcat(bytes, "/s");
	}
	printf("%-8s  %10.0f  %12s", bench_names[r->operation], per_second(r, r->latency.count), bytes);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		printf("  %8s", cli_time_text((double)histogram_at(&r->latency, shares[i]) / 1e9, text));
	printf("  %8llu\n", (unsigned long long)r->errors);
}

void
bench_report_text(const struct bench_setting *s, const struct bench_results *results)
{
	char size[32];

	progress_bytes((double)s->size, size, sizeof(size));
	printf("%s: %u clients, objects of %s, %llu s each\n\n", s->endpoint, s->clients, size,
		(unsigned long long)s->seconds);
	printf("%-8s  %10s  %12s  %8s  %8s  %8s  %8s  %8s  %8s\n", "", "per second", "bytes", "half", "90 %", "99 %",
		"99.9 %", "slowest", "errors");
	for (size_t i = 0; i < results->count; i++)
		row_show(&results->list[i]);
	for (size_t i = 0; i < results->count; i++)
		if (results->list[i].errors > 0)
			printf("\n%s: %s\n", bench_names[results->list[i].operation], results->list[i].error);
}

static json_t *
result_json(const struct bench_result *r)
{
	const struct histogram *h = &r->latency;
	json_t *out = json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f}", "operation", bench_names[r->operation], "phase",
		r->phase, "count", (json_int_t)h->count, "errors", (json_int_t)r->errors, "seconds", r->seconds,
		"per_second", per_second(r, h->count), "bytes_per_second", per_second(r, r->bytes));

	json_object_set_new(out, "latency_seconds",
		json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "mean",
			h->count ? (double)h->sum / 1e9 / (double)h->count : 0.0, "p50",
			(double)histogram_at(h, 0.5) / 1e9, "p90", (double)histogram_at(h, 0.9) / 1e9, "p99",
			(double)histogram_at(h, 0.99) / 1e9, "p99.9", (double)histogram_at(h, 0.999) / 1e9, "max",
			(double)h->max / 1e9));
	if (r->error[0])
		json_object_set_new(out, "error", json_string(r->error));
	return out;
}

void
bench_report_json(const struct bench_setting *s, const struct bench_results *results)
{
	json_t *list = json_array(),
	       *out = json_pack("{s:s, s:i, s:I, s:I, s:o}", "endpoint", s->endpoint, "clients", (int)s->clients,
		       "size", (json_int_t)s->size, "duration", (json_int_t)s->seconds, "operations", list);

	for (size_t i = 0; i < results->count; i++)
		json_array_append_new(list, result_json(&results->list[i]));
	json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(out);
}
