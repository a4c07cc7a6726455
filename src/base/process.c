/* process.c: memory, open files and the start of this process. */
#include "base/process.h"
#include "base/clock.h"
#include "base/metrics.h"
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t
process_memory_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The least of a group and those above it. */
static uint64_t
group_memory_most(const char *mount, const char *group, const char *name)
{
	unsigned long long limit, most = UINT64_MAX;
	size_t len = strlen(group);
	char path[4096];
	FILE *f;

	for (;;) {
		while (len && group[len - 1] == '/')
			len--;
		snprintf(path, sizeof(path), "%s%.*s/%s", mount, (int)len, group, name);
		if ((f = fopen(path, "re"))) {
			if (fscanf(f, "%llu", &limit) == 1 && limit < most) /* else it is "max" */
				most = limit;
			fclose(f);
		}
		if (!len)
			return most;
		while (len && group[len - 1] != '/')
			len--;
	}
}

uint64_t
cgroup_memory_most(const char *mount, char *line)
{
	char *controllers = strchr(line, ':'), *path = controllers ? strchr(++controllers, ':') : NULL, *next;
	char of_memory[4096];

	if (path == NULL)
		return UINT64_MAX;
	*path++ = 0;
	path[strcspn(path, "\n")] = 0;
	if (*controllers == 0) /* version 2 */
		return group_memory_most(mount, path, "memory.max");
	snprintf(of_memory, sizeof(of_memory), "%s/memory", mount);
	for (char *name = strtok_r(controllers, ",", &next); name; name = strtok_r(NULL, ",", &next))
		if (strcmp(name, "memory") == 0)
			return group_memory_most(of_memory, path, "memory.limit_in_bytes");
	return UINT64_MAX;
}

uint64_t
process_memory_most(void)
{
	uint64_t most = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), group;
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[2048];

	while (f && fgets(line, sizeof(line), f)) {
		group = cgroup_memory_most("/sys/fs/cgroup", line);
		most = group < most ? group : most;
	}
	if (f)
		fclose(f);
	return most;
}

/* With the one that looks, which is not counted. */
static int64_t
files_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	int64_t count = -1;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* Field 22 is in ticks since the machine was started. */
static int64_t
started_read(void)
{
	FILE *f = fopen("/proc/self/stat", "re");
	unsigned long long ticks = 0;
	struct timespec up;
	char text[1024] = "";
	const char *at;

	if (!f)
		return 0;
	at = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	fclose(f);
	if (!at || sscanf(at, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &up);
	return clock_wall_ns() / NS_PER_SECOND - up.tv_sec +
	       (int64_t)(ticks / (unsigned long long)sysconf(_SC_CLK_TCK));
}

/* Once: clocks differ by a little each time, and a start that moves looks like another. */
static int64_t
started_seconds(void)
{
	static _Atomic int64_t started;
	int64_t before = 0, now;

	if (started)
		return started;
	now = started_read();
	return atomic_compare_exchange_strong(&started, &before, now) ? now : before;
}

void
process_metrics_set(void)
{
	struct rlimit files = {0};

	getrlimit(RLIMIT_NOFILE, &files);
	metric_set(METRIC_PROCESS_MEMORY, (int64_t)process_memory_bytes());
	metric_set(METRIC_PROCESS_FILES, files_open());
	metric_set(METRIC_PROCESS_FILES_MOST, (int64_t)files.rlim_cur);
	metric_set(METRIC_PROCESS_STARTED, started_seconds());
}
