/* process.h: what the system says of this process. [any], but not on a loop: it reads /proc */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>

uint64_t process_memory_bytes(void); /* in RAM; 0: it does not say */
/* RAM that it may use: the machine's, or less if a control group that it is in has a limit. */
uint64_t process_memory_most(void);
/*
 * What a line of /proc/self/cgroup (cgroups(7): number:controllers:path) makes of it: the least limit of that group and
 * those above it, below `mount`; UINT64_MAX: there is none. The line is cut up.
 */
uint64_t cgroup_memory_most(const char *mount, char *line);
/* The gauges of metrics.def that are read when they are asked for. */
void process_metrics_set(void);

#endif
