/* cli_text.c: numbers and names as people read them. */
#include "cli.h"
#include <locale.h>
#include <stdio.h>
#include <wchar.h>

/* Names come from others: nothing in them moves the cursor, or begins a line; U+0080 to U+009F neither, which some
 * terminals take for ESC and a letter. */
static bool
is_control(const unsigned char *p)
{
	return *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0);
}

void
cli_put_text(FILE *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (is_control(p))
			fprintf(out, "\\x%02x", *p == 0xc2 ? *++p : *p);
		else
			putc(*p, out);
}

const char *
cli_plain_text(struct arena *arena, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	struct buf out;

	while (*p && !is_control(p))
		p++;
	if (!*p)
		return text;
	buf_init(&out, arena);
	buf_put(&out, text, (size_t)(p - (const unsigned char *)text));
	for (; *p; p++)
		if (is_control(p))
			buf_put_str(&out, arena_printf(arena, "\\x%02x", *p == 0xc2 ? *++p : *p));
		else
			buf_u8(&out, *p);
	buf_u8(&out, 0);
	return (const char *)out.data;
}

static bool json_has_holes;

void
cli_put_json(json_t *object)
{
	if (!object) {
		json_has_holes = true;
		fflush(stdout);
		fprintf(stderr, "restfs: a name is not UTF-8 and cannot be in JSON: what has it was left out\n");
		return;
	}
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

bool
cli_json_has_holes(void)
{
	return json_has_holes;
}

const char *
cli_counted(struct arena *arena, uint64_t count, const char *one, const char *more)
{
	return arena_printf(arena, "%llu %s", (unsigned long long)count, count == 1 ? one : more);
}

/* One that has the widths of all characters, whatever the environment says: names are UTF-8 everywhere. */
static locale_t
utf8_locale(void)
{
	static locale_t locale;

	if (!locale)
		locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	return locale;
}

/* The bytes of the first character; what is none takes a byte, and a column. */
static size_t
character_next(struct bytes text, size_t *columns)
{
	mbstate_t state = {0};
	wchar_t c;
	size_t len = mbrtowc(&c, (const char *)text.data, text.len, &state);
	int width = len > 0 && len <= text.len ? wcwidth(c) : -1;

	*columns = width < 0 ? 1 : (size_t)width;
	return len > 0 && len <= text.len ? len : 1;
}

size_t
cli_columns_fit(struct bytes text, size_t columns, size_t *used)
{
	locale_t ours = utf8_locale(), before = uselocale(ours);
	size_t at = 0, width;

	for (*used = 0; at < text.len; *used += width) {
		size_t len = character_next(bytes_sub(text, at, text.len), &width);

		if (*used + width > columns)
			break;
		at += len;
	}
	uselocale(before);
	return at;
}

size_t
cli_columns(const char *text)
{
	size_t used;

	cli_columns_fit(bytes_str(text), SIZE_MAX, &used);
	return used;
}

const char *
cli_time_text(double seconds, char out[CLI_NUMBER_BYTES])
{
	unsigned long long s = (unsigned long long)seconds;

	if (seconds == 0)
		snprintf(out, CLI_NUMBER_BYTES, "0 s");
	else if (seconds < 0.001)
		snprintf(out, CLI_NUMBER_BYTES, "%.0f us", seconds * 1e6);
	else if (seconds < 1)
		snprintf(out, CLI_NUMBER_BYTES, "%.*f ms", seconds < 0.1 ? 1 : 0, seconds * 1e3);
	else if (seconds < 60)
		snprintf(out, CLI_NUMBER_BYTES, "%.1f s", seconds);
	else if (s < 3600)
		snprintf(out, CLI_NUMBER_BYTES, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, CLI_NUMBER_BYTES, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(out, CLI_NUMBER_BYTES, "%llud%02lluh", s / 86400, s / 3600 % 24);
	return out;
}
