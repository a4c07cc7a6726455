/* one_test.c: of a test program, only the test that RESTFS_TEST names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static __attribute__((constructor)) void
choose_test(void)
{
	cmocka_set_test_filter(getenv("RESTFS_TEST"));
}
