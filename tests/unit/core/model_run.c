/*
 * model_run.c: a script from its beginning to its end, on a store in a directory of its own; see model.h.
 *
 * The store is opened in a process that is forked for it, and that a crash ends as kill -9 does; the next one goes on
 * with the operation behind it. What the processes know of the run is in memory that they share; who forks them has no
 * threads.
 */
#include "base/crash_point.h"
#include "model.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define COMPARE_ALL_EVERY 8 /* operations */
#define EXIT_AGREES 0
#define EXIT_DIFFERS 1
#define EXIT_RESTARTS 3

struct model_run *
run_new(void)
{
	struct model_run *run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert(run != MAP_FAILED);
	return run;
}

void
run_free(struct model_run *run)
{
	munmap(run, sizeof(*run));
}

/* --- one process ---------------------------------------------------------------------------------------------------
 */

/* What a store is made of fits together, however it ended. */
static void
store_check(struct store_drivers *drivers)
{
	assert(fsck_clean(drivers));
}

static void
index_remove(const struct model_run *run)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s/index", run->dir);
	assert(system(command) == 0);
}

/* Nobody saw how the operation ended: it is as if it had not been, or as if it had. */
static bool
doubt_resolve(struct test_store *t, struct model_run *run)
{
	if (!run->in_doubt)
		return true;
	if (!compare_store(t, run, true)) {
		run->now = run->before;
		if (!compare_store(t, run, true))
			return false;
	}
	run->next = run->in_doubt;
	run->in_doubt = 0;
	return true;
}

static bool
op_compare(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	bool all = run->thorough || run->compacts || run->next % COMPARE_ALL_EVERY == 0 || op->kind == DO_COMPACT ||
		   op->kind == DO_REAP;

	return compare_store(t, run, all) && (!all || past_compare(t, run));
}

static void
crash_arm(struct model_run *run, const struct model_op *op)
{
	const char *name = crash_point_name((enum crash_point)op->point);

	run->lose_index = op->flags;
	run->crash_expected = true;
	assert(crash_point_arm(bytes_str(name), op->nth + 1));
}

static void
crash_disarm(struct model_run *run)
{
	atomic_store(&crash_point_armed, 0);
	run->crash_expected = run->lose_index = false;
}

static bool
op_execute(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	enum rfs_err err;

	run->before = run->now;
	run->expected = model_apply(&run->now, op);
	if (run->expected == MODEL_SKIP) {
		run->now = run->before;
		run->next++;
		return true;
	}
	run->in_doubt = run->next + 1;
	err = verb_run(t, run, op);
	run->next++; /* a crash from now on is one behind the operation */
	run->in_doubt = 0;
	if (err == run->expected && run->compacts && !compact_whole(t, run))
		return false;
	crash_disarm(run);
	if (err != run->expected)
		return problem(run, "%s (%s), not %s", error_face(err)->name, t->rq.detail ? t->rq.detail : "",
			error_face(run->expected)->name);
	return op_compare(t, run, op);
}

/* The store is closed, or not, and the process ends. */
static void
process_end(struct test_store *t, struct model_run *run, const struct model_op *op)
{
	run->lose_index = op->flags;
	run->next++;
	if (op->kind == DO_CRASH) {
		run->crash_expected = true;
		kill(getpid(), SIGKILL);
	}
	store_shut(t);
	exit(EXIT_RESTARTS);
}

/* Nothing is left of directories and counters once every key is gone. */
static bool
bucket_empty(struct test_store *t, struct model_run *run, uint32_t bucket)
{
	struct model_bucket *b = &run->now.buckets[bucket];
	struct bucket_row row;
	struct row_page page;
	struct request *rq;

	while (b->count) {
		enum rfs_err err = store_delete(t, bucket_text(bucket), bytes_str(b->objects[0].key));

		if (err)
			return problem(run, "deleting \"%s\": %s", b->objects[0].key, error_face(err)->name);
		memmove(b->objects, b->objects + 1, --b->count * sizeof(b->objects[0]));
	}
	rq = store_request(t);
	assert(bucket_find(t->core.metadata, rq, bytes_str(bucket_text(bucket)), &row) == RFS_OK);
	for (enum table table = TABLE_ENTRY; table <= TABLE_COUNTER; table++) {
		struct bytes from = key_table(rq->arena, row.id, table, bytes_of(NULL, 0));

		if (table == TABLE_SEGMENT || table == TABLE_BLOCK || table == TABLE_HASH)
			continue; /* the reaper's, in its own time, and of uploads */
		from = table == TABLE_COUNTER ? key_counter(rq->arena, row.id, COUNTER_LIVE, bytes_of(NULL, 0)) : from;
		assert(metadata_scan(t->core.metadata, rq, from, key_after_prefix(rq->arena, from), 10, false, &page) ==
			RFS_OK);
		if (page.count)
			return problem(run, "a row of table %u is left in an empty bucket", table);
	}
	return compare_store(t, run, false);
}

static bool
script_end(struct test_store *t, struct model_run *run)
{
	reaper_settle(t);
	if (!compare_store(t, run, true) || !past_compare(t, run))
		return false;
	for (uint32_t i = 0; i < MODEL_BUCKETS; i++)
		if (run->now.buckets[i].there && !bucket_empty(t, run, i))
			return false;
	return past_compare(t, run);
}

static bool
ops_execute(struct test_store *t, struct model_run *run, const struct model_script *script)
{
	while (run->next < script->count) {
		const struct model_op *op = &script->ops[run->next];

		if (op->kind == DO_RESTART || op->kind == DO_CRASH)
			process_end(t, run, op);
		if (op->kind == DO_CRASH_AT) {
			run->next++;
			crash_arm(run, op);
		} else if (!op_execute(t, run, op)) {
			run->next--;
			return false;
		}
	}
	crash_disarm(run);
	return script_end(t, run);
}

static void
process_run(struct model_run *run, const struct model_script *script)
{
	static struct test_store t;
	bool first = run->incarnations++ == 0;

	if (run->lose_index)
		index_remove(run);
	run->crash_expected = run->lose_index = false;
	memset(run->feeds, 0, sizeof(run->feeds));
	store_open_in(&t, run->dir, "small", first ? NULL : store_check);
	if (first)
		model_user(&t, store_request(&t), 1);
	if (!doubt_resolve(&t, run) || (!first && (!compare_store(&t, run, true) || !past_compare(&t, run))) ||
		!ops_execute(&t, run, script))
		_exit(EXIT_DIFFERS);
	store_shut(&t);
	exit(EXIT_AGREES);
}

/* --- all of them ---------------------------------------------------------------------------------------------------
 */

static bool
is_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static int
process_fork(struct model_run *run, const struct model_script *script)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	assert(pid >= 0);
	if (pid == 0)
		process_run(run, script);
	while (waitpid(pid, &status, 0) != pid)
		;
	return status;
}

bool
run_script(struct model_run *run, const struct model_script *script, bool thorough)
{
	char command[128];
	bool goes_on = true, agrees = false;

	memset(run, 0, sizeof(*run));
	run->thorough = thorough;
	strcpy(run->dir, "/tmp/restfs-model-XXXXXX");
	assert(mkdtemp(run->dir));
	while (goes_on) {
		int status = process_fork(run, script);
		bool crashed = is_killed(status) && run->crash_expected;

		run->crashes += crashed;
		goes_on = crashed || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_RESTARTS);
		agrees = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_AGREES;
		if (!goes_on && !agrees && !run->problem[0])
			problem(run, "the process ended with status %d, signal %d", WEXITSTATUS(status),
				WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
	snprintf(command, sizeof(command), "rm -rf %s", run->dir);
	assert(system(command) == 0);
	return agrees;
}
