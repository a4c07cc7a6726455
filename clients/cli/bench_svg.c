/*
 * bench_svg.c: what was measured, as a picture: a line an operation, from the fastest half to the slowest request, on
 * one logarithmic scale of time; how often, and how many bytes, beside it.
 *
 *   put    3210/s   12.5 MiB/s   |----[##====|--------|
 */
#include "bench.h"
#include "cli_progress.h"
#include <math.h>
#include <stdio.h>

#define WIDTH 820
#define LEFT 250 /* of the scale */
#define RIGHT 790
#define TOP 76
#define ROW 40

struct scale {
	double low, high; /* log10 of seconds */
};

static double
seconds_at(const struct bench_result *r, double share)
{
	return (double)histogram_at(&r->latency, share) / 1e9;
}

/* Whole powers of ten around everything. */
static struct scale
scale_of(const struct bench_results *results)
{
	double low = 1e9, high = 1e-9;

	for (size_t i = 0; i < results->count; i++) {
		const struct bench_result *r = &results->list[i];

		if (r->latency.count == 0)
			continue;
		low = fmin(low, seconds_at(r, 0.5));
		high = fmax(high, seconds_at(r, 1));
	}
	if (low > high)
		return (struct scale){-4, 0};
	low = fmin(low, high);
	return (struct scale){
		floor(log10(fmax(low, 1e-6))), fmax(ceil(log10(high)), floor(log10(fmax(low, 1e-6))) + 1)};
}

static double
x_of(const struct scale *scale, double seconds)
{
	double at = (log10(fmax(seconds, 1e-6)) - scale->low) / (scale->high - scale->low);

	return LEFT + (RIGHT - LEFT) * fmin(fmax(at, 0), 1);
}

/* Endpoints are the user's own words. */
static void
text_put(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '&')
			fputs("&amp;", out);
		else if (*text == '<')
			fputs("&lt;", out);
		else
			fputc(*text, out);
	}
}

static void
scale_draw(FILE *out, const struct scale *scale, double bottom)
{
	char text[CLI_NUMBER_BYTES];

	for (double power = scale->low; power <= scale->high; power++) {
		double x = x_of(scale, pow(10, power));

		fprintf(out, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.0f\" stroke=\"#ddd\"/>\n", x, TOP - 10, x,
			bottom);
		fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#777\">%s</text>\n", x, TOP - 16,
			cli_time_text(pow(10, power), text));
	}
}

static void
box_draw(FILE *out, const struct scale *scale, const struct bench_result *r, double y)
{
	double half = x_of(scale, seconds_at(r, 0.5)), most = x_of(scale, seconds_at(r, 0.9)),
	       rare = x_of(scale, seconds_at(r, 0.99)), rarer = x_of(scale, seconds_at(r, 0.999)),
	       last = x_of(scale, seconds_at(r, 1));
	char text[CLI_NUMBER_BYTES];

	fprintf(out, "<line x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" y2=\"%.0f\" stroke=\"#9db8d9\"/>\n", half, y, last, y);
	fprintf(out, "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"14\" fill=\"#bcd3ee\"/>\n", half, y - 7,
		fmax(rarer - half, 1));
	fprintf(out, "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"14\" fill=\"#7ea6d8\"/>\n", half, y - 7,
		fmax(rare - half, 1));
	fprintf(out, "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"14\" fill=\"#2f6db5\"/>\n", half, y - 7,
		fmax(most - half, 1));
	fprintf(out, "<circle cx=\"%.1f\" cy=\"%.0f\" r=\"3\" fill=\"#9db8d9\"/>\n", last, y);
	fprintf(out, "<text x=\"%.1f\" y=\"%.0f\" fill=\"#333\">%s</text>\n", half, y + 20,
		cli_time_text(seconds_at(r, 0.5), text));
}

static void
row_draw(FILE *out, const struct scale *scale, const struct bench_result *r, double y)
{
	double rate = r->seconds > 0 ? (double)r->latency.count / r->seconds : 0;
	char bytes[32] = "";

	if (r->bytes > 0) {
		progress_bytes((double)r->bytes / r->seconds, bytes, sizeof(bytes) - 2);
		strcat(bytes, "/s");
	}
	fprintf(out, "<text x=\"16\" y=\"%.0f\" font-weight=\"bold\">%s</text>\n", y + 4, bench_names[r->operation]);
	fprintf(out, "<text x=\"140\" y=\"%.0f\" text-anchor=\"end\">%.0f/s</text>\n", y + 4, rate);
	fprintf(out, "<text x=\"235\" y=\"%.0f\" text-anchor=\"end\" fill=\"#555\">%s</text>\n", y + 4, bytes);
	if (r->errors > 0)
		fprintf(out, "<text x=\"16\" y=\"%.0f\" fill=\"#b00\">%llu errors</text>\n", y + 18,
			(unsigned long long)r->errors);
	if (r->latency.count > 0)
		box_draw(out, scale, r, y);
}

bool
bench_report_svg(const struct bench_setting *s, const struct bench_results *results, const char *path)
{
	double bottom = TOP + ROW * (double)results->count;
	struct scale scale = scale_of(results);
	FILE *out = fopen(path, "w");
	char size[32];
	bool fine;

	if (!out)
		return false;
	progress_bytes((double)s->size, size, sizeof(size));
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" "
		"fill=\"white\"/>\n<text "
		"x=\"16\" y=\"26\" font-size=\"14\">",
		WIDTH, bottom + 34, WIDTH, bottom + 34);
	text_put(out, s->endpoint);
	fprintf(out, ": %u clients, objects of %s, %llu s each</text>\n", s->clients, size,
		(unsigned long long)s->seconds);
	scale_draw(out, &scale, bottom);
	for (size_t i = 0; i < results->count; i++)
		row_draw(out, &scale, &results->list[i], TOP + ROW * (double)i + 12);
	fprintf(out,
		"<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\" fill=\"#777\">a request's time: from half of them (the "
		"figure) to 90 %%, 99 %%, 99.9 %%, and the slowest</text>\n</svg>\n",
		RIGHT, bottom + 22);
	fine = !ferror(out);
	return fclose(out) == 0 && fine;
}
