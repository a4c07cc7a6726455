/* glob.c: matching without recursion: of the last `*` and the last `**` it is kept where to go on, so that time is
 * bounded. */
#include "glob.h"
#include <string.h>

/* Does one byte fit the set that begins behind '['? Moves behind its end; false, and not moved: it has none. */
static bool
set_match(const char **at, unsigned char c, bool *fits)
{
	const char *p = *at, *first;
	bool inverted = *p == '!' || *p == '^', found = false;

	p += inverted;
	for (first = p; *p && (*p != ']' || p == first); p++) {
		unsigned char from = (unsigned char)*p, to = from;

		if (p[1] == '-' && p[2] && p[2] != ']') {
			to = (unsigned char)p[2];
			p += 2;
		}
		found = found || (c >= from && c <= to);
	}
	if (!*p)
		return false;
	*at = p + 1;
	*fits = c != '/' && found != inverted;
	return true;
}

/* One byte against what the pattern has for it; moves the pattern. */
static bool
one_match(const char **pattern, char c)
{
	const char *p = *pattern;
	bool fits;

	if (*p == '?') {
		*pattern = p + 1;
		return c != '/';
	}
	if (*p == '[') {
		const char *set = p + 1;

		if (set_match(&set, (unsigned char)c, &fits)) {
			*pattern = set;
			return fits;
		}
	}
	if (*p == '\\' && p[1])
		p++;
	*pattern = p + 1;
	return *p == c;
}

/* Where to go on when what follows a star did not fit: the star takes one byte more. */
struct star {
	const char *pattern; /* behind it; NULL: there was none */
	const char *text;
};

bool
glob_match(const char *p, const char *text)
{
	struct star one = {0}, two = {0};

	for (;;) {
		if (*p == '*') {
			bool is_two = p[1] == '*';

			p += strspn(p, "*");
			one = (struct star){is_two ? NULL : p, text};
			if (is_two)
				two = (struct star){p, text};
			continue;
		}
		if (!*text && !*p)
			return true;
		if (*text && *p && one_match(&p, *text)) {
			text++;
			continue;
		}
		if (one.pattern && *one.text && *one.text != '/') {
			text = ++one.text;
			p = one.pattern;
		} else if (two.pattern && *two.text) {
			text = ++two.text;
			p = two.pattern;
			one.pattern = NULL;
		} else {
			return false;
		}
	}
}

void
glob_prefix(const char *pattern, char *out, size_t size)
{
	size_t len = 0;

	for (; *pattern && !strchr("*?[", *pattern) && len + 1 < size; pattern++) {
		if (*pattern == '\\' && pattern[1])
			pattern++;
		out[len++] = *pattern;
	}
	out[len] = '\0';
}
