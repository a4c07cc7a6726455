/* xml_write.c: see xml_write.h. */
#include "net/xml_write.h"
#include "base/clock.h"
#include "net/url.h"
#include <inttypes.h>

#define REPLACEMENT 0xFFFD

/* Decodes one character of UTF-8 (RFC 3629, section 4); its length, or 0 for a byte that starts none. */
static size_t
utf8_decode(const uint8_t *p, size_t left, uint32_t *out)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
	uint32_t c;

	if (len == 0 || len > left)
		return 0;
	c = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3F);
	}
	if (c < smallest[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	*out = c;
	return len;
}

/* XML 1.0, section 2.2, production 2; and carriage return, which a parser would turn into a line feed. */
static bool
needs_reference(uint32_t c)
{
	return (c < 0x20 && c != '\t' && c != '\n') || c == 0xFFFE || c == 0xFFFF;
}

void
xml_escape(struct buf *b, struct bytes text)
{
	size_t len;

	buf_reserve(b, text.len);
	for (size_t i = 0; i < text.len; i += len) {
		uint32_t c = REPLACEMENT;

		len = utf8_decode(text.data + i, text.len - i, &c);
		if (len == 0 || needs_reference(c))
			buf_printf(b, "&#x%" PRIX32 ";", c);
		else if (c == '&')
			buf_put_str(b, "&amp;");
		else if (c == '<')
			buf_put_str(b, "&lt;");
		else if (c == '>')
			buf_put_str(b, "&gt;");
		else if (c == '"')
			buf_put_str(b, "&quot;");
		else
			buf_put(b, text.data + i, len);
		len = len ? len : 1;
	}
}

void
xml_start(struct buf *b, const char *root, bool is_s3)
{
	buf_put_str(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	if (!is_s3) {
		xml_open(b, root);
		return;
	}
	buf_u8(b, '<');
	buf_put_str(b, root);
	buf_put_str(b, " xmlns=\"" S3_XML_NAMESPACE "\">");
}

void
xml_open(struct buf *b, const char *name)
{
	buf_u8(b, '<');
	buf_put_str(b, name);
	buf_u8(b, '>');
}

void
xml_close(struct buf *b, const char *name)
{
	buf_put_str(b, "</");
	buf_put_str(b, name);
	buf_u8(b, '>');
}

void
xml_text(struct buf *b, const char *name, struct bytes text)
{
	xml_open(b, name);
	xml_escape(b, text);
	xml_close(b, name);
}

void
xml_string(struct buf *b, const char *name, const char *text)
{
	xml_text(b, name, bytes_str(text));
}

void
xml_number(struct buf *b, const char *name, int64_t value)
{
	xml_open(b, name);
	buf_printf(b, "%" PRId64, value);
	xml_close(b, name);
}

void
xml_bool(struct buf *b, const char *name, bool value)
{
	xml_open(b, name);
	buf_put_str(b, value ? "true" : "false");
	xml_close(b, name);
}

void
xml_date(struct buf *b, const char *name, int64_t ns)
{
	char text[25];

	date_iso8601(ns, text);
	xml_open(b, name);
	buf_put_str(b, text);
	xml_close(b, name);
}

void
xml_etag(struct buf *b, const char *name, struct bytes etag)
{
	xml_open(b, name);
	buf_put_str(b, "&quot;");
	xml_escape(b, etag);
	buf_put_str(b, "&quot;");
	xml_close(b, name);
}

void
xml_key(struct buf *b, const char *name, struct bytes key, bool is_url_encoded)
{
	xml_open(b, name);
	if (is_url_encoded)
		url_encode(b, key, true);
	else
		xml_escape(b, key);
	xml_close(b, name);
}
