/*
 * mutant.h: bugs on purpose, for the tests of the tests: MUTANT("name") holds in the programs of tests/mutants when RESTFS_MUTANT is that
 * name. Everywhere else it is 0, and what it guards is not compiled. [any]
 */
#ifndef BASE_MUTANT_H
#define BASE_MUTANT_H

#ifdef RESTFS_MUTANTS
#include <stdbool.h>
bool mutant_is(const char *name);
#define MUTANT(name) mutant_is(name)
#else
#define MUTANT(name) 0
#endif

#endif
