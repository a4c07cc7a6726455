/* process.h: what the system says of this process. [any], but not on a loop: it reads /proc */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>

uint64_t process_memory_bytes(void); /* in RAM; 0: it does not say */
/* The gauges of metrics.def that are read when they are asked for. */
void process_metrics_set(void);

#endif
