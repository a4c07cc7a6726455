/* bench_histogram.c: see bench_histogram.h. */
#include "bench_histogram.h"
#include <stddef.h>

#define STEP_BITS 5
_Static_assert(1 << STEP_BITS == HISTOGRAM_STEPS, "a bucket's number is made of bits");

/* Below HISTOGRAM_STEPS each value has its own; above, its highest bits say which. */
static size_t
bucket_of(uint64_t value)
{
	unsigned top;
	size_t bucket;

	if (value < HISTOGRAM_STEPS)
		return (size_t)value;
	top = 63 - (unsigned)__builtin_clzll(value);
	bucket = (size_t)(top - STEP_BITS + 1) * HISTOGRAM_STEPS + (size_t)(value >> (top - STEP_BITS)) -
		 HISTOGRAM_STEPS;
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest value in it. */
static uint64_t
bucket_end(size_t bucket)
{
	size_t shift;

	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	shift = bucket / HISTOGRAM_STEPS - 1;
	return ((uint64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS + 1) << shift) - 1;
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	h->counts[bucket_of(value)]++;
	h->count++;
	h->sum += value;
	h->max = value > h->max ? value : h->max;
}

void
histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->counts[i] += from->counts[i];
	to->count += from->count;
	to->sum += from->sum;
	to->max = from->max > to->max ? from->max : to->max;
}

uint64_t
histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->count + 0.999999), seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->counts[i];
		if (seen >= wanted && seen > 0)
			return bucket_end(i) < h->max ? bucket_end(i) : h->max;
	}
	return h->max;
}
