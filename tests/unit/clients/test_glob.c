/* test_glob.c: patterns of keys, against a matcher that tries everything. */
#include "../base/unit.h"
#include "glob.h"
#include <stdlib.h>
#include <string.h>

static void
test_patterns_fit_what_they_should(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} cases[] = {
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "abc", true},
		{"*", "a/b", false},
		{"**", "a/b", true},
		{"**", "", true},
		{"*.jpg", "a.jpg", true},
		{"*.jpg", "a/b.jpg", false},
		{"**.jpg", "a/b.jpg", true},
		{"a/*", "a/b", true},
		{"a/*", "a/b/c", false},
		{"a/**", "a/b/c", true},
		{"a/**", "a/", true},
		{"a/**", "a", false},
		{"**/x", "a/b/x", true},
		{"**/x", "x", false},
		{"a*b*c", "a1b2b3c", true},
		{"a*b*c", "a1b2/3c", false},
		{"a**b*c", "a/b/x/bc", true},
		{"a*b**c", "axb/b/c", true},
		{"?", "a", true},
		{"?", "/", false},
		{"?", "", false},
		{"[abc]", "b", true},
		{"[abc]", "d", false},
		{"[a-c]x", "bx", true},
		{"[!a-c]", "d", true},
		{"[!a-c]", "b", false},
		{"[!a]", "/", false},
		{"[]]", "]", true},
		{"[", "[", true},
		{"[ab", "[ab", true},
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"a\\", "a\\", true},
		{"log-20[0-9][0-9]*", "log-2026.txt", true},
		{"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaa", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (glob_match(cases[i].pattern, cases[i].text) != cases[i].fits)
			fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
}

static bool
try_all(const char *p, const char *t)
{
	if (p[0] == '*' && p[1] == '*') {
		p += strspn(p, "*");
		for (;; t++) {
			if (try_all(p, t))
				return true;
			if (!*t)
				return false;
		}
	}
	if (p[0] == '*')
		return try_all(p + 1, t) || (*t && *t != '/' && try_all(p, t + 1));
	if (!*p || !*t)
		return !*p && !*t;
	return (*p == '?' ? *t != '/' : *p == *t) && try_all(p + 1, t + 1);
}

static void
test_stars_are_tried_in_every_way(void **state)
{
	char pattern[8], text[9];

	srand(1);
	for (int round = 0; round < 200000; round++) {
		size_t i, pattern_len = (size_t)rand() % sizeof(pattern), text_len = (size_t)rand() % sizeof(text);

		for (i = 0; i < pattern_len; i++)
			pattern[i] = "*a/b?*"[rand() % 6];
		pattern[pattern_len] = '\0';
		for (i = 0; i < text_len; i++)
			text[i] = "ab/a"[rand() % 4];
		text[text_len] = '\0';
		if (glob_match(pattern, text) != try_all(pattern, text))
			fail_msg("\"%s\" and \"%s\"", pattern, text);
	}
}

static void
test_a_prefix_ends_where_anything_may_follow(void **state)
{
	char prefix[8];

	glob_prefix("a/b*", prefix, sizeof(prefix));
	assert_string_equal(prefix, "a/b");
	glob_prefix("a\\*b?", prefix, sizeof(prefix));
	assert_string_equal(prefix, "a*b");
	glob_prefix("0123456789", prefix, sizeof(prefix));
	assert_string_equal(prefix, "0123456");
	glob_prefix("", prefix, sizeof(prefix));
	assert_string_equal(prefix, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns_fit_what_they_should),
		cmocka_unit_test(test_stars_are_tried_in_every_way),
		cmocka_unit_test(test_a_prefix_ends_where_anything_may_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
