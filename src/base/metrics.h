/*
 * metrics.h: counters, gauges and histograms of the daemon, in Prometheus' text format (version 0.0.4). metrics.def is the only list. [any]
 *
 * Updates are relaxed atomics on a few cache lines; reading sums them.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/bytes.h"

enum metric {
#define METRIC(id, kind, name, labels, help) METRIC_##id,
#include "base/metrics.def"
#undef METRIC
	METRIC_COUNT
};

void metric_add(enum metric m, int64_t delta);
void metric_set(enum metric m, int64_t value);
int64_t metric_get(enum metric m);
/* Histograms take nanoseconds; buckets are powers of two from 1 us to 64 s, shown in seconds. */
void metric_observe_ns(enum metric m, int64_t ns);
void metrics_text(struct buf *out);

/* Of a histogram, what was observed up to each bound and above the one before it; the last is all that is longer. */
#define METRIC_BUCKETS 28
void metric_buckets(enum metric m, int64_t counts[METRIC_BUCKETS], int64_t *sum_ns);
/* In seconds; of the last: infinity. */
double metric_bound(unsigned bucket);
/* As in metrics.def: operation="GetObject". Static. */
const char *metric_labels(enum metric m);

#endif
