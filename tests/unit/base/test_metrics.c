/* Counters, gauges and histograms, and their text. */
#include "unit.h"
#include "base/metrics.h"
#include <pthread.h>

static char *
text_of(struct buf *b)
{
	buf_init(b, NULL);
	metrics_text(b);
	buf_u8(b, 0);
	return (char *)b->data;
}

static int
occurrences(const char *text, const char *part)
{
	int n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

static void
values_appear_under_one_heading_a_name(void **state)
{
	struct buf b;
	char *text;

	metric_add(METRIC_S3_ERRORS_4XX, 3);
	metric_set(METRIC_STORE_POISONED, 1);
	assert_int_equal(metric_get(METRIC_S3_ERRORS_4XX), 3);
	text = text_of(&b);
	assert_int_equal(occurrences(text, "# TYPE restfs_s3_errors_total counter\n"), 1);
	assert_int_equal(occurrences(text, "# HELP restfs_s3_errors_total "), 1);
	assert_non_null(strstr(text, "\nrestfs_s3_errors_total{class=\"4xx\"} 3\n"));
	assert_non_null(strstr(text, "\nrestfs_s3_errors_total{class=\"5xx\"} 0\n"));
	assert_non_null(strstr(text, "\nrestfs_store_poisoned 1\n"));
	buf_fini(&b);
}

static void
a_histogram_counts_up_to_each_bound(void **state)
{
	struct buf b;
	char *text;

	metric_observe_ns(METRIC_JOURNAL_SYNC, 0);
	metric_observe_ns(METRIC_JOURNAL_SYNC, 500000000);
	metric_observe_ns(METRIC_JOURNAL_SYNC, 500000001);
	metric_observe_ns(METRIC_JOURNAL_SYNC, INT64_C(64000000000));
	metric_observe_ns(METRIC_JOURNAL_SYNC, INT64_C(64000000001));
	text = text_of(&b);
	assert_non_null(strstr(text, "# TYPE restfs_journal_sync_seconds histogram\n"));
	assert_non_null(strstr(text, "restfs_journal_sync_seconds_bucket{le=\"9.5367431640625e-07\"} 1\n"));
	assert_non_null(strstr(text, "restfs_journal_sync_seconds_bucket{le=\"0.25\"} 1\n"));
	assert_non_null(strstr(text, "restfs_journal_sync_seconds_bucket{le=\"0.5\"} 2\n"));
	assert_non_null(strstr(text, "restfs_journal_sync_seconds_bucket{le=\"1\"} 3\n"));
	assert_non_null(strstr(text, "restfs_journal_sync_seconds_bucket{le=\"64\"} 4\n"));
	assert_non_null(strstr(text, "restfs_journal_sync_seconds_bucket{le=\"+Inf\"} 5\n"));
	assert_non_null(strstr(text, "restfs_journal_sync_seconds_count 5\n"));
	assert_non_null(strstr(text, "restfs_journal_sync_seconds_sum 129.000000"));
	assert_int_equal(metric_get(METRIC_JOURNAL_SYNC), 5);
	buf_fini(&b);
}

static void *
count_to_100000(void *unused)
{
	for (int i = 0; i < 100000; i++)
		metric_add(METRIC_HTTP_REQUESTS, 1);
	return unused;
}

static void
no_update_is_lost_between_threads(void **state)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_to_100000, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_get(METRIC_HTTP_REQUESTS), 400000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_appear_under_one_heading_a_name),
		cmocka_unit_test(a_histogram_counts_up_to_each_bound),
		cmocka_unit_test(no_update_is_lost_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
