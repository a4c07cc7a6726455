/*
 * config_include.c: what libconfig does not say of @include: it takes the rest of the file for the name when the
 * closing quote is missing, and ends the process when the name is a directory's. Both are looked for before it reads a
 * file, and in all that the file includes. [init]
 *
 * Source: libconfig manual, "Include Directives", "Comments" and "String Values".
 */
#include "base/config_file.h"
#include "base/arena.h"
#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MOST 10 /* as libconfig has it */
#define NAME_BYTES 4096
#define FILE_TEXT_MOST 250 /* of a name in an error's text */

struct scan {
	const char *file; /* for errors */
	const char *folder;
	struct bytes text;
	size_t at;
	unsigned line;
	unsigned depth;
	char *error;
};

static bool
fail(struct scan *s, const char *what, const char *why)
{
	snprintf(s->error, CONFIG_ERROR_BYTES, "%.*s:%u: %s%.150s", FILE_TEXT_MOST, s->file, s->line, what, why);
	return false;
}

static bool
sees(const struct scan *s, const char *word)
{
	return bytes_starts_with(bytes_sub(s->text, s->at, SIZE_MAX), bytes_str(word));
}

static void
skip(struct scan *s, size_t count)
{
	for (; count && s->at < s->text.len; count--)
		s->line += s->text.data[s->at++] == '\n';
}

/* Up to `end` and over it, or to the end of the text. */
static void
skip_past(struct scan *s, const char *end)
{
	while (s->at < s->text.len && !sees(s, end))
		skip(s, 1);
	skip(s, strlen(end));
}

static void
skip_string(struct scan *s)
{
	skip(s, 1);
	while (s->at < s->text.len && !sees(s, "\""))
		skip(s, sees(s, "\\") ? 2 : 1);
	skip(s, 1);
}

static void
skip_blanks(struct scan *s)
{
	while (sees(s, " ") || sees(s, "\t"))
		skip(s, 1);
}

static bool scan_text(struct scan *s);

static bool
scan_included(struct scan *s, const char *path)
{
	struct scan inner = {.file = path, .folder = s->folder, .line = 1, .depth = s->depth + 1, .error = s->error};
	struct stat st;
	struct buf text;
	bool ok;

	if (stat(path, &st) != 0)
		return fail(s, "@include: ", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(s, "@include: not a file: ", path);
	if (inner.depth > DEPTH_MOST)
		return fail(s, "@include: nested too deep", "");
	buf_init(&text, NULL);
	ok = config_file_load(path, &text) || fail(s, "@include: ", strerror(errno));
	inner.text = buf_bytes(&text);
	ok = ok && scan_text(&inner);
	buf_fini(&text);
	return ok;
}

/* Behind the directive's opening quote. */
static bool
scan_name(struct scan *s)
{
	struct bytes rest = bytes_sub(s->text, s->at, SIZE_MAX), name;
	char path[NAME_BYTES];
	size_t len = 0;
	bool beside;
	int length;

	while (len < rest.len && !memchr("\"\\\n", rest.data[len], 3))
		len++;
	name = bytes_sub(rest, 0, len);
	if (len == rest.len || rest.data[len] != '"')
		return fail(s, "@include: the name has no closing quote on its line, or holds a backslash", "");
	beside = s->folder && !bytes_starts_with(name, BYTES_LITERAL("/"));
	length = snprintf(path, sizeof(path), "%s%s%.*s", beside ? s->folder : "", beside ? "/" : "", (int)len,
		(const char *)name.data);
	if (length < 0 || (size_t)length >= sizeof(path))
		return fail(s, "@include: the name is too long", "");
	if (!scan_included(s, path))
		return false;
	skip(s, len + 1);
	return true;
}

/* At a line's beginning, where alone libconfig looks for directives. */
static bool
scan_directive(struct scan *s)
{
	skip_blanks(s);
	if (!sees(s, "@include"))
		return true;
	skip(s, strlen("@include"));
	skip_blanks(s);
	if (!sees(s, "\""))
		return true; /* libconfig says what is wrong */
	skip(s, 1);
	return scan_name(s);
}

static bool
scan_text(struct scan *s)
{
	bool ok = scan_directive(s);

	while (ok && s->at < s->text.len) {
		if (sees(s, "#") || sees(s, "//")) {
			while (s->at < s->text.len && !sees(s, "\n"))
				skip(s, 1);
		} else if (sees(s, "/*")) {
			skip_past(s, "*/");
		} else if (sees(s, "\"")) {
			skip_string(s);
		} else if (sees(s, "\n")) {
			skip(s, 1);
			ok = scan_directive(s);
		} else {
			skip(s, 1);
		}
	}
	return ok;
}

bool
config_includes_check(struct bytes text, const char *file, const char *folder, char *error)
{
	struct scan s = {.file = file, .folder = folder, .text = text, .line = 1, .error = error};

	return scan_text(&s);
}
