/* crash_point.c: see crash_point.h. */
#include "base/crash_point.h"
#include <signal.h>
#include <unistd.h>

atomic_uint crash_point_armed;
static _Atomic uint64_t times_left;

static const struct {
	const char *name, *text;
} points[] = {
#define CRASH_POINT(id, name, where) {name, where},
#include "base/crash_points.def"
#undef CRASH_POINT
};

bool
crash_point_arm(struct bytes name, uint64_t nth)
{
	for (unsigned i = 0; i < CRASH_POINT_COUNT; i++) {
		if (!bytes_equal_str(name, points[i].name))
			continue;
		atomic_store(&crash_point_armed, 0);
		atomic_store(&times_left, nth);
		atomic_store(&crash_point_armed, i + 1);
		return true;
	}
	return false;
}

const char *
crash_point_name(enum crash_point point)
{
	return points[point].name;
}

const char *
crash_point_text(enum crash_point point)
{
	return points[point].text;
}

void
crash_point_reached(void)
{
	if (atomic_fetch_sub(&times_left, 1) == 1)
		kill(getpid(), SIGKILL);
}
