/*
 * crash_point.h: places at which a test has the process end, as kill -9 would end it. crash_points.def is the only list. Nothing is armed but by
 * debug.crash, where the option `debug` is on; else each costs a load of one number. [any]
 */
#ifndef BASE_CRASH_POINT_H
#define BASE_CRASH_POINT_H

#include "base/bytes.h"
#include <stdatomic.h>

enum crash_point {
#define CRASH_POINT(id, name, where) CRASH_##id,
#include "base/crash_points.def"
#undef CRASH_POINT
	CRASH_POINT_COUNT
};

/* The one that is armed, from 1; 0: none. */
extern atomic_uint crash_point_armed;

/* The process ends when the point is reached for the `nth` time from now. False: there is none of this name. */
bool crash_point_arm(struct bytes name, uint64_t nth);
const char *crash_point_name(enum crash_point point);
const char *crash_point_text(enum crash_point point);

void crash_point_reached(void);

static inline void
crash_point(enum crash_point here)
{
	if (__builtin_expect(atomic_load_explicit(&crash_point_armed, memory_order_relaxed) == (unsigned)here + 1, 0))
		crash_point_reached();
}

#endif
