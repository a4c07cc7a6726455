/* auth_fixture.h: the auth manager over the mem driver, with its hooks, for tests. */
#ifndef TESTS_UNIT_MANAGERS_AUTH_FIXTURE_H
#define TESTS_UNIT_MANAGERS_AUTH_FIXTURE_H

#include "base/clock.h"
#include "base/config.h"
#include "managers/auth/auth_int.h"
#include "../core/hooks.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
	char data[64];
	struct config config;
	struct store_drivers drivers;
	struct metadata *metadata;
	struct auth *auth;
	struct request rq;
	char error[512];
};

static inline int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	strcpy(f->data, "/tmp/restfs-auth-XXXXXX");
	assert_non_null(mkdtemp(f->data));
	config_init(&f->config);
	assert_int_equal(mem_open(&f->config, &f->drivers, f->error), RFS_OK);
	hooks_wrap(&f->drivers);
	f->metadata = metadata_new(f->drivers.metadata);
	f->rq = (struct request){
		.arena = arena_new(4096), .door = "test", .now_ns = clock_wall_ns(), .may_block = true};
	assert_int_equal(auth_open(f->metadata, f->data, NULL, NULL, &f->auth, f->error), RFS_OK);
	*state = f;
	return 0;
}

static inline int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	auth_close(f->auth);
	metadata_free(f->metadata);
	f->drivers.metadata->ops->close(f->drivers.metadata);
	arena_free(f->rq.arena);
	config_fini(&f->config);
	snprintf(command, sizeof(command), "rm -rf %s", f->data);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* As after a restart: the rows and the files are there, memory is not. */
static inline void
reopen(struct fixture *f)
{
	auth_close(f->auth);
	f->auth = NULL;
	assert_int_equal(auth_open(f->metadata, f->data, NULL, NULL, &f->auth, f->error), RFS_OK);
}

static inline void
make_user(struct fixture *f, const char *name, const struct identity **out)
{
	assert_int_equal(auth_user_create(f->auth, &f->rq, bytes_str(name), false), RFS_OK);
	assert_int_equal(auth_user_find(f->auth, &f->rq, bytes_str(name), out), RFS_OK);
}

#endif
