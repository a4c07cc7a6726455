/* metrics.c: one cache line for each counter and gauge, a row of buckets for each histogram. [any] */
#include "base/metrics.h"
#include <assert.h>
#include <math.h>
#include <stdatomic.h>

/* Upper bounds of 2^-20 (a microsecond) to 2^6 seconds, then infinity. */
#define BUCKETS (METRIC_BUCKETS - 1)
#define BUCKET_FIRST_POWER (-20)

enum metric_kind { COUNTER, GAUGE, HISTOGRAM };

struct metric_text {
	enum metric_kind kind;
	const char *name;
	const char *labels;
	const char *help;
};

struct value {
	_Alignas(64) _Atomic int64_t v;
};

struct histogram {
	_Alignas(64) _Atomic int64_t sum_ns;
	_Atomic int64_t buckets[BUCKETS + 1];
};

static const struct metric_text texts[METRIC_COUNT] = {
#define METRIC(id, kind, name, labels, help) [METRIC_##id] = {kind, name, labels, help},
#include "base/metrics.def"
#undef METRIC
};

static struct value values[METRIC_COUNT];
static struct histogram histograms[METRIC_COUNT]; /* those of the other kinds are never touched */

void
metric_add(enum metric m, int64_t delta)
{
	assert(texts[m].kind != HISTOGRAM);
	atomic_fetch_add_explicit(&values[m].v, delta, memory_order_relaxed);
}

void
metric_set(enum metric m, int64_t value)
{
	assert(texts[m].kind == GAUGE);
	atomic_store_explicit(&values[m].v, value, memory_order_relaxed);
}

static int64_t
histogram_count(enum metric m)
{
	int64_t count = 0;

	for (int i = 0; i <= BUCKETS; i++)
		count += atomic_load_explicit(&histograms[m].buckets[i], memory_order_relaxed);
	return count;
}

/* Of a histogram, the count of what was observed. */
int64_t
metric_get(enum metric m)
{
	if (texts[m].kind == HISTOGRAM)
		return histogram_count(m);
	return atomic_load_explicit(&values[m].v, memory_order_relaxed);
}

static int
bucket_of(int64_t ns)
{
	const uint64_t second = 1000000000;
	uint64_t units;

	if (ns > (int64_t)(64 * second))
		return BUCKETS;
	if (ns <= 0)
		return 0;
	/* In 2^-20 s, rounded up: at most 2^26. */
	units = (((uint64_t)ns << 20) + second - 1) / second;
	return units <= 1 ? 0 : 64 - __builtin_clzll(units - 1);
}

void
metric_observe_ns(enum metric m, int64_t ns)
{
	struct histogram *h = &histograms[m];

	assert(texts[m].kind == HISTOGRAM);
	atomic_fetch_add_explicit(&h->buckets[bucket_of(ns)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_ns, ns > 0 ? ns : 0, memory_order_relaxed);
}

static void
histogram_text(struct buf *out, enum metric m)
{
	const struct metric_text *t = &texts[m];
	const char *comma = t->labels[0] ? "," : "", *open = t->labels[0] ? "{" : "", *close = t->labels[0] ? "}" : "";
	double bound = 1.0 / (1 << -BUCKET_FIRST_POWER);
	int64_t count = 0;
	int i;

	for (i = 0; i < BUCKETS; i++, bound *= 2) {
		count += atomic_load_explicit(&histograms[m].buckets[i], memory_order_relaxed);
		buf_printf(
			out, "%s_bucket{%s%sle=\"%.15g\"} %lld\n", t->name, t->labels, comma, bound, (long long)count);
	}
	count += atomic_load_explicit(&histograms[m].buckets[i], memory_order_relaxed);
	buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", t->name, t->labels, comma, (long long)count);
	buf_printf(out, "%s_sum%s%s%s %.9f\n", t->name, open, t->labels, close,
		(double)atomic_load_explicit(&histograms[m].sum_ns, memory_order_relaxed) / 1e9);
	buf_printf(out, "%s_count%s%s%s %lld\n", t->name, open, t->labels, close, (long long)count);
}

void
metric_buckets(enum metric m, int64_t counts[METRIC_BUCKETS], int64_t *sum_ns)
{
	assert(texts[m].kind == HISTOGRAM);
	for (int i = 0; i <= BUCKETS; i++)
		counts[i] = atomic_load_explicit(&histograms[m].buckets[i], memory_order_relaxed);
	*sum_ns = atomic_load_explicit(&histograms[m].sum_ns, memory_order_relaxed);
}

double
metric_bound(unsigned bucket)
{
	double bound = 1.0 / (1 << -BUCKET_FIRST_POWER);

	if (bucket >= BUCKETS)
		return INFINITY;
	while (bucket-- > 0)
		bound *= 2;
	return bound;
}

const char *
metric_labels(enum metric m)
{
	return texts[m].labels;
}

void
metrics_text(struct buf *out)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};

	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_text *t = &texts[m];

		if (m == 0 || strcmp(t->name, texts[m - 1].name) != 0)
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", t->name, t->help, t->name, kinds[t->kind]);
		if (t->kind == HISTOGRAM)
			histogram_text(out, (enum metric)m);
		else
			buf_printf(out, "%s%s%s%s %lld\n", t->name, t->labels[0] ? "{" : "", t->labels,
				t->labels[0] ? "}" : "", (long long)metric_get((enum metric)m));
	}
}
