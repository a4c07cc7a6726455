/* request.c: the detail of a request's error, and the pace of its retries. */
#include "base/request.h"
#include "base/clock.h"
#include "base/thread.h"

#define RETRY_LIMIT 100
#define RETRY_FIRST_NS 20000
#define RETRY_MOST_NS 5000000

enum rfs_err
request_fail(struct request *rq, enum rfs_err error, const char *format, ...)
{
	va_list args;

	if (rq->detail == NULL) {
		va_start(args, format);
		rq->detail = arena_vprintf(rq->arena, format, args);
		va_end(args);
	}
	return error;
}

void
request_clear_error(struct request *rq)
{
	rq->detail = NULL;
	rq->detail_resource = NULL;
}

bool
request_may_retry(struct request *rq, unsigned attempt)
{
	int64_t pause = attempt < 8 ? (int64_t)RETRY_FIRST_NS << attempt : RETRY_MOST_NS;

	assert(rq->may_block);
	ASSERT_MAY_BLOCK();
	if (attempt >= RETRY_LIMIT)
		return false;
	if (pause > RETRY_MOST_NS)
		pause = RETRY_MOST_NS;
	/* Half fixed, half random, so that those who lost the same race do not meet again. */
	pause = pause / 2 + (int64_t)(random_u64() % (uint64_t)(pause / 2 + 1));
	if (rq->deadline_ns && clock_monotonic_ns() + pause >= rq->deadline_ns)
		return false;
	sleep_ns(pause);
	return true;
}
