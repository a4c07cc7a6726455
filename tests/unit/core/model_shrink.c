/*
 * model_shrink.c: a script that fails, made short: what can be left out is, in halves, quarters and at last one by one;
 * then what is left is made simpler. Whatever fails in any way is as good as the first failure. See model.h.
 */
#include "model.h"
#include <fcntl.h>

#define SECONDS_MOST 40 /* a script that could be shorter is better than none; RESTFS_SHRINK_SECONDS */
#define AGAIN 4         /* a failure that does not come each time */
#define THOROUGH_MOST \
	40 /* operations: longer ones take too long, and everything is compared at the end of each script */

struct shrink {
	struct model_run *run;
	int64_t until_ns;
	int attempts; /* to see a script fail */
};

static struct model_script *
script_copy(const struct model_script *script)
{
	size_t bytes = sizeof(*script) + script->count * sizeof(script->ops[0]);
	struct model_script *copy = malloc(bytes);

	memcpy(copy, script, bytes);
	return copy;
}

static bool
is_over(const struct shrink *s)
{
	return clock_monotonic_ns() > s->until_ns;
}

static bool
fails(struct shrink *s, const struct model_script *script)
{
	for (int i = 0; i < s->attempts && !is_over(s); i++)
		if (!run_script(s->run, script, script->count <= THOROUGH_MOST))
			return true;
	return false;
}

/* Takes over what fails too, and nothing of what is behind the failure. */
static bool
take_if_fails(struct shrink *s, struct model_script *script, struct model_script *candidate)
{
	bool failed = candidate->count < script->count && fails(s, candidate);

	if (failed && s->run->next + 1 < candidate->count)
		candidate->count = s->run->next + 1;
	if (failed)
		memcpy(script, candidate, sizeof(*script) + candidate->count * sizeof(script->ops[0]));
	free(candidate);
	return failed;
}

/* Without [from, from + count) */
static bool
leave_out(struct shrink *s, struct model_script *script, size_t from, size_t count)
{
	struct model_script *candidate = script_copy(script);

	candidate->count -= count;
	memmove(candidate->ops + from, candidate->ops + from + count,
		(candidate->count - from) * sizeof(script->ops[0]));
	return take_if_fails(s, script, candidate);
}

static bool
leave_out_kind(struct shrink *s, struct model_script *script, enum op_kind kind)
{
	struct model_script *candidate = script_copy(script);

	candidate->count = 0;
	for (size_t i = 0; i < script->count; i++)
		if (script->ops[i].kind != kind)
			candidate->ops[candidate->count++] = script->ops[i];
	return take_if_fails(s, script, candidate);
}

static void
ops_leave_out(struct shrink *s, struct model_script *script)
{
	size_t chunk = script->count / 2;
	bool any;

	while (chunk) {
		any = false;
		/* From the end: what was last depends on what was before. */
		for (size_t end = script->count; end >= chunk; end -= chunk) {
			if (end > script->count)
				end = script->count;
			if (end < chunk || !leave_out(s, script, end - chunk, chunk))
				continue;
			any = true;
		}
		chunk = chunk > 1 ? chunk / 2 : any;
	}
}

static bool
op_make_simpler(struct shrink *s, struct model_script *script, size_t at)
{
	struct model_op old = script->ops[at], simple;
	bool any = false;

	for (unsigned which = 0; op_simplify(&old, which, &simple); which++) {
		if (memcmp(&simple, &old, sizeof(old)) == 0)
			continue;
		script->ops[at] = simple;
		if (fails(s, script)) {
			old = simple;
			any = true;
		}
		script->ops[at] = old;
	}
	return any;
}

static void
key_replace(char *key, const char *old, const char *new)
{
	if (strcmp(key, old) == 0)
		strcpy(key, new);
}

/* A key has another name wherever it is. */
static bool
rename_everywhere(struct shrink *s, struct model_script *script, const char *old, const char *new)
{
	struct model_script *candidate = script_copy(script);
	bool failed;

	for (size_t i = 0; i < script->count; i++) {
		key_replace(candidate->ops[i].key, old, new);
		key_replace(candidate->ops[i].to, old, new);
	}
	if ((failed = fails(s, candidate)))
		memcpy(script->ops, candidate->ops, script->count * sizeof(script->ops[0]));
	free(candidate);
	return failed;
}

static bool
keys_make_simpler(struct shrink *s, struct model_script *script)
{
	static const char *const simple[] = {"a", "b", "c", "a/", "b/", "c/"};
	bool any = false;

	for (size_t i = 0; i < 2 * script->count; i++)
		for (size_t k = 0; k < 3; k++) {
			struct model_op *op = &script->ops[i / 2];
			char old[MODEL_KEY_BYTES];

			strcpy(old, i % 2 ? op->to : op->key);
			if (strlen(old) > 1u + key_is_directory(old) &&
				rename_everywhere(s, script, old, simple[k + 3u * key_is_directory(old)]))
				any = true;
		}
	return any;
}

static void
shrink(struct shrink *s, struct model_script *script)
{
	bool any = true;

	for (size_t kind = DO_COUNT; kind--;)
		(void)leave_out_kind(s, script, (enum op_kind)kind);
	while (any && !is_over(s)) {
		size_t count = script->count;

		ops_leave_out(s, script);
		any = script->count < count;
		for (size_t i = 0; i < script->count; i++)
			any = op_make_simpler(s, script, i) || any;
		any = keys_make_simpler(s, script) || any;
	}
}

struct model_script *
script_shrink(const struct model_script *script, size_t failed_at)
{
	const char *seconds = getenv("RESTFS_SHRINK_SECONDS");
	struct shrink s = {.run = run_new(), .attempts = 1};
	struct model_script *small = script_copy(script);
	int loud = dup(2), quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);

	s.until_ns = clock_monotonic_ns() + (seconds ? atoll(seconds) : SECONDS_MOST) * 1000000000;
	dup2(quiet, 2);
	if (failed_at + 1 < small->count)
		small->count = failed_at + 1;
	if (!fails(&s, small)) {
		memcpy(small, script, sizeof(*script) + script->count * sizeof(script->ops[0]));
		s.attempts = AGAIN;
	}
	shrink(&s, small);
	dup2(loud, 2);
	close(loud);
	close(quiet);
	run_free(s.run);
	return small;
}
