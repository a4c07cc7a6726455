/* dump.c: JSON (RFC 8259), written as it comes; see dump.h. */
#include "base/dump.h"
#include <assert.h>
#include <stdio.h>

static void
string_put(struct dump *d, struct bytes text)
{
	buf_u8(d->out, '"');
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			buf_printf(d->out, "\\u%04x", c);
		else
			buf_u8(d->out, c);
	}
	buf_u8(d->out, '"');
}

static void
member_begin(struct dump *d, const char *name)
{
	assert((name == NULL) == (d->closing[d->depth - 1] == ']'));
	if (!d->is_first)
		buf_u8(d->out, ',');
	d->is_first = false;
	if (name) {
		string_put(d, bytes_str(name));
		buf_u8(d->out, ':');
	}
}

static void
open(struct dump *d, char opening, char closing)
{
	assert(d->depth < DUMP_DEPTH_MOST);
	buf_u8(d->out, (uint8_t)opening);
	d->closing[d->depth++] = closing;
	d->is_first = true;
}

void
dump_init(struct dump *d, struct buf *out)
{
	*d = (struct dump){.out = out};
	open(d, '{', '}');
}

void
dump_object(struct dump *d, const char *name)
{
	member_begin(d, name);
	open(d, '{', '}');
}

void
dump_list(struct dump *d, const char *name)
{
	member_begin(d, name);
	open(d, '[', ']');
}

void
dump_end(struct dump *d)
{
	assert(d->depth > 0);
	buf_u8(d->out, (uint8_t)d->closing[--d->depth]);
	d->is_first = false;
}

void
dump_number(struct dump *d, const char *name, uint64_t value)
{
	member_begin(d, name);
	buf_printf(d->out, "%lld", (long long)value);
}

void
dump_bool(struct dump *d, const char *name, bool value)
{
	member_begin(d, name);
	buf_put_str(d->out, value ? "true" : "false");
}

void
dump_text(struct dump *d, const char *name, struct bytes value)
{
	member_begin(d, name);
	string_put(d, value);
}

void
dump_volume(struct dump *d, const char *name, uint64_t number)
{
	char text[17];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)number);
	dump_text(d, name, bytes_str(text));
}
