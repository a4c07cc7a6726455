/* test_process.c: what the system says of this process; see base/process.h. */
#include "base/process.h"
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
limit_write(const char *mount, const char *group, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "mkdir -p %s%s", mount, group);
	assert_int_equal(system(path), 0);
	snprintf(path, sizeof(path), "%s%s/%s", mount, group, name);
	assert_non_null(f = fopen(path, "w"));
	fputs(text, f);
	fclose(f);
}

static void
remove_mount(const char *mount)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -r %s", mount);
	assert_int_equal(system(command), 0);
}

static uint64_t
most(const char *mount, const char *text)
{
	char line[256];

	snprintf(line, sizeof(line), "%s\n", text);
	return cgroup_memory_most(mount, line);
}

static void
the_least_limit_of_a_group_and_those_above_it_holds(void **state)
{
	char mount[] = "/tmp/restfs-unit-XXXXXX";

	assert_non_null(mkdtemp(mount));
	limit_write(mount, "/a", "memory.max", "3000\n");
	limit_write(mount, "/a/b", "memory.max", "max\n");
	limit_write(mount, "/a/b/c", "memory.max", "4000\n");
	limit_write(mount, "/low", "memory.max", "7\n");
	assert_true(most(mount, "0::/a/b/c") == 3000);
	assert_true(most(mount, "0::/a/b/c/not/there/") == 3000);
	assert_true(most(mount, "0::/low") == 7);
	assert_true(most(mount, "0::/another") == UINT64_MAX);
	assert_true(most(mount, "0::/") == UINT64_MAX);
	limit_write(mount, "/", "memory.max", "2500\n");
	assert_true(most(mount, "0::/a/b") == 2500);
	assert_true(most(mount, "0::/") == 2500);
	remove_mount(mount);
}

static void
only_the_lines_of_memory_count(void **state)
{
	char mount[] = "/tmp/restfs-unit-XXXXXX";

	assert_non_null(mkdtemp(mount));
	limit_write(mount, "/a", "memory.max", "1\n");
	limit_write(mount, "/memory/a", "memory.limit_in_bytes", "3000\n");
	limit_write(mount, "/memory/a/b", "memory.limit_in_bytes", "9223372036854771712\n");
	limit_write(mount, "/cpu/a", "memory.limit_in_bytes", "2\n");
	assert_true(most(mount, "4:memory:/a/b") == 3000);
	assert_true(most(mount, "4:cpu,memory:/a") == 3000);
	assert_true(most(mount, "4:cpu:/a") == UINT64_MAX);
	assert_true(most(mount, "1:name=systemd:/a") == UINT64_MAX);
	assert_true(most(mount, "4:cpu:/x:memory:/a") == UINT64_MAX);
	assert_true(most(mount, "0::/x:memory:/a") == UINT64_MAX);
	for (const char *const *bad = (const char *const[]){"", "0", "4:memory", ":", NULL}; *bad; bad++)
		assert_true(most(mount, *bad) == UINT64_MAX);
	remove_mount(mount);
}

static void
a_process_uses_less_than_it_may(void **state)
{
	assert_true(process_memory_bytes() > 0);
	assert_true(process_memory_bytes() < process_memory_most());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_limit_of_a_group_and_those_above_it_holds),
		cmocka_unit_test(only_the_lines_of_memory_count),
		cmocka_unit_test(a_process_uses_less_than_it_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
