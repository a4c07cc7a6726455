/* test_process.c: what the system says of this process; see base/process.h. */
#include "base/process.h"
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void
limit_write(const char *directory, const char *text)
{
	char path[512];
	FILE *f;

	mkdir(directory, 0700);
	snprintf(path, sizeof(path), "%s/memory.max", directory);
	assert_non_null(f = fopen(path, "w"));
	fputs(text, f);
	fclose(f);
}

static void
the_least_limit_of_a_group_and_those_above_it_holds(void **state)
{
	char mount[] = "/tmp/restfs-unit-XXXXXX", path[256];

	assert_non_null(mkdtemp(mount));
	snprintf(path, sizeof(path), "%s/a", mount);
	limit_write(path, "3000\n");
	snprintf(path, sizeof(path), "%s/a/b", mount);
	limit_write(path, "max\n");
	snprintf(path, sizeof(path), "%s/a/b/c", mount);
	limit_write(path, "4000\n");
	snprintf(path, sizeof(path), "%s/low", mount);
	limit_write(path, "7\n");
	assert_true(cgroup_memory_most(mount, "/a/b/c", "memory.max") == 3000);
	assert_true(cgroup_memory_most(mount, "/a/b/c/not/there/", "memory.max") == 3000);
	assert_true(cgroup_memory_most(mount, "/low", "memory.max") == 7);
	assert_true(cgroup_memory_most(mount, "/another", "memory.max") == UINT64_MAX);
	assert_true(cgroup_memory_most(mount, "/", "memory.max") == UINT64_MAX);
	limit_write(mount, "2500\n");
	assert_true(cgroup_memory_most(mount, "/a/b", "memory.max") == 2500);
	assert_true(cgroup_memory_most(mount, "/", "memory.max") == 2500);
	snprintf(path, sizeof(path), "rm -r %s", mount);
	assert_int_equal(system(path), 0);
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
		cmocka_unit_test(a_process_uses_less_than_it_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
