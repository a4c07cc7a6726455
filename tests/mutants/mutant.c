/* mutant.c: which mutant the environment chooses (base/mutant.h). [any] */
#include "base/mutant.h"
#include <stdlib.h>
#include <string.h>

static const char *chosen;

static __attribute__((constructor)) void
mutant_choose(void)
{
	chosen = getenv("RESTFS_MUTANT");
}

bool
mutant_is(const char *name)
{
	return chosen && strcmp(chosen, name) == 0;
}
