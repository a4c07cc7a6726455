/*
 * bench_histogram.h: how often a request took how long, in buckets that are at most 1/32 wide of what they hold: a few
 * kilobytes, whatever is counted. Not for several threads at once; those of several are added up.
 */
#ifndef CLIENTS_CLI_BENCH_HISTOGRAM_H
#define CLIENTS_CLI_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 32 /* of a doubling */
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 60)

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t count, sum, max;
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The value that `share` of all (0.99) are at most, to the width of its bucket; 0: nothing was counted. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
