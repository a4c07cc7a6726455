/* transfer_filter.c: see transfer_filter.h. */
#include "transfer_filter.h"
#include "glob.h"
#include "cli_s3.h"
#include "base/clock.h"

#define NAME_BYTES 4096

static bool
rule_read(struct cli *cli, const char *text, struct filter_rule *out)
{
	const char *pattern = strchr(text, '=');

	if (!pattern || !pattern[1])
		return cli_fail(cli, "%s needs a pattern, as '*.txt'", text);
	*out = (struct filter_rule){strncmp(text, "--exclude", 9) != 0, pattern + 1 + (pattern[1] == '/')};
	return true;
}

bool
filter_read(struct cli *cli, struct filter *out)
{
	const json_t *rules = json_object_get(cli->params, "filters");
	int64_t newer = cli_number(cli, "newer_than", INT64_MIN), older = cli_number(cli, "older_than", INT64_MAX);

	*out = (struct filter){.rules = ARENA_ARRAY(cli->arena, struct filter_rule, json_array_size(rules) + 1)};
	for (size_t i = 0; i < json_array_size(rules); i++)
		if (!rule_read(cli, json_string_value(json_array_get(rules, i)), &out->rules[out->rule_count++]))
			return false;
	out->newer_ns = newer == INT64_MIN ? INT64_MIN : newer * NS_PER_SECOND;
	out->older_ns = older == INT64_MAX ? INT64_MAX : older * NS_PER_SECOND;
	out->larger = (uint64_t)cli_number(cli, "larger", 0);
	out->smaller = (uint64_t)cli_number(cli, "smaller", -1);
	return true;
}

/* One level of the path, or the path up to it. */
static bool
fits_up_to(const struct filter_rule *rule, const char *name, const char *level, const char *end)
{
	char text[NAME_BYTES];
	const char *from = strchr(rule->pattern, '/') ? name : level;

	if ((size_t)(end - from) >= sizeof(text))
		return false;
	memcpy(text, from, (size_t)(end - from));
	text[end - from] = '\0';
	return glob_match(rule->pattern, text);
}

static bool
rule_fits(const struct filter_rule *rule, const char *name)
{
	const char *level = name, *end;

	for (;;) {
		end = level + strcspn(level, "/");
		if (end > level && fits_up_to(rule, name, level, end))
			return true;
		if (!*end)
			return strchr(rule->pattern, '/') && glob_match(rule->pattern, name);
		level = end + 1;
	}
}

/* The last rule that fits; rule_count: none. */
static size_t
rule_last(const struct filter *f, const char *name)
{
	for (size_t i = f->rule_count; i > 0; i--)
		if (rule_fits(&f->rules[i - 1], name))
			return i - 1;
	return f->rule_count;
}

bool
filter_name(const struct filter *f, const char *name)
{
	size_t i = f->rule_count ? rule_last(f, name) : 0;

	if (i < f->rule_count)
		return f->rules[i].include;
	return f->rule_count == 0 || !f->rules[0].include;
}

bool
filter_prunes(const struct filter *f, const char *folder)
{
	size_t i = rule_last(f, folder);

	if (i == f->rule_count || f->rules[i].include)
		return false;
	for (i++; i < f->rule_count; i++)
		if (f->rules[i].include)
			return false;
	return true;
}

bool
filter_takes(const struct filter *f, const char *name, uint64_t size, int64_t mtime_ns)
{
	return (f->larger == 0 || size > f->larger) && size < f->smaller && mtime_ns >= f->newer_ns &&
	       mtime_ns <= f->older_ns && filter_name(f, name);
}
