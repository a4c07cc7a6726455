/* clock.h: time and randomness. [any] */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/bytes.h"
#include <time.h>

#define NS_PER_SECOND INT64_C(1000000000)

int64_t clock_wall_ns(void);      /* since 1970-01-01 UTC */
int64_t clock_monotonic_ns(void);
struct timespec clock_timespec(int64_t ns); /* of a time, or a duration, from 0 on */
void sleep_ns(int64_t ns);        /* [worker] */

/* From the kernel's generator; never fails. */
void random_bytes(void *out, size_t len);
uint64_t random_u64(void);        /* fast, seeded by the kernel; not for secrets */

/* RFC 9562 section 5.7, version 7: 48 bits of milliseconds, then random. */
void uuid_v7(uint8_t out[16]);
void uuid_format(const uint8_t id[16], char out[37]);

/* Dates. `out` sizes include the NUL. */
void date_iso8601(int64_t ns, char out[25]);   /* 2026-01-31T12:00:00.000Z */
void date_http(int64_t ns, char out[30]);      /* Sat, 31 Jan 2026 12:00:00 GMT (RFC 9110, 5.6.7) */
void date_compact(int64_t ns, char out[17]);   /* 20260131T120000Z */
bool date_parse_compact(struct bytes text, int64_t *ns);
bool date_parse_http(struct bytes text, int64_t *ns);    /* the three forms of RFC 9110, 5.6.7; -0000 for GMT */
bool date_parse_iso8601(struct bytes text, int64_t *ns); /* with or without fraction; Z or an offset */

#endif
