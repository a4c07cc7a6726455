/* bytes.c: comparing, searching and cutting views, and their texts in hex and base64. [any] */
#include "base/bytes.h"

int
bytes_compare(struct bytes a, struct bytes b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common ? memcmp(a.data, b.data, common) : 0;

	if (order)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

bool
bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool
bytes_equal_str(struct bytes a, const char *s)
{
	return bytes_equal(a, bytes_str(s));
}

bool
bytes_equal_str_nocase(struct bytes a, const char *s)
{
	size_t i;

	if (a.len != strlen(s))
		return false;
	for (i = 0; i < a.len; i++) {
		uint8_t x = a.data[i], y = (uint8_t)s[i];

		/* ASCII only, whatever the locale. */
		if (x >= 'A' && x <= 'Z')
			x += 32;
		if (y >= 'A' && y <= 'Z')
			y += 32;
		if (x != y)
			return false;
	}
	return true;
}

bool
bytes_starts_with(struct bytes a, struct bytes prefix)
{
	return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

bool
bytes_equal_secret(struct bytes a, struct bytes b)
{
	volatile uint8_t difference = 0;
	size_t i;

	if (a.len != b.len)
		return false;
	for (i = 0; i < a.len; i++)
		difference |= a.data[i] ^ b.data[i];
	return difference == 0;
}

size_t
bytes_find(struct bytes a, uint8_t c, size_t from)
{
	const uint8_t *p;

	if (from >= a.len)
		return SIZE_MAX;
	p = memchr(a.data + from, c, a.len - from);
	return p ? (size_t)(p - a.data) : SIZE_MAX;
}

/* Of eight at a time: does any match? */
static bool
word_has_control(uint64_t w)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
	uint64_t del = w ^ ones * 0x7f;

	return (((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) & tops;
}

size_t
bytes_find_control(struct bytes a, size_t from)
{
	while (from < a.len) {
		if (a.len - from >= 8 && !word_has_control(load_u64(a.data + from)))
			from += 8;
		else if (a.data[from] < 0x20 || a.data[from] == 0x7f)
			return from;
		else
			from++;
	}
	return SIZE_MAX;
}

struct bytes
bytes_sub(struct bytes a, size_t from, size_t len)
{
	if (from > a.len)
		from = a.len;
	if (len > a.len - from)
		len = a.len - from;
	return bytes_of(a.data ? a.data + from : NULL, len);
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

struct bytes
bytes_trimmed(struct bytes a)
{
	while (a.len > 0 && is_blank(a.data[0]))
		a = bytes_sub(a, 1, a.len);
	while (a.len > 0 && is_blank(a.data[a.len - 1]))
		a.len--;
	return a;
}

bool
bytes_to_u64(struct bytes a, uint64_t *out)
{
	uint64_t v = 0;
	size_t i;

	if (a.len == 0)
		return false;
	for (i = 0; i < a.len; i++) {
		if (a.data[i] < '0' || a.data[i] > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(a.data[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

void
hex_encode(struct bytes v, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < v.len; i++) {
		*out++ = digits[v.data[i] >> 4];
		*out++ = digits[v.data[i] & 15];
	}
	*out = '\0';
}

int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
hex_decode(struct bytes text, uint8_t *out, size_t len)
{
	size_t i;

	if (text.len % 2 || text.len / 2 != len)
		return false;
	for (i = 0; i < len; i++) {
		int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void
base64_encode(struct bytes v, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i;

	for (i = 0; i < v.len; i += 3) {
		size_t left = v.len - i;
		uint32_t w = (uint32_t)v.data[i] << 16 | (left > 1 ? (uint32_t)v.data[i + 1] << 8 : 0) |
			     (left > 2 ? v.data[i + 2] : 0);

		*out++ = digits[w >> 18];
		*out++ = digits[w >> 12 & 63];
		*out++ = left > 1 ? digits[w >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[w & 63] : '=';
	}
	*out = '\0';
}

static int
base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
base64_decode(struct bytes text, uint8_t *out, size_t len)
{
	size_t i, done = 0;

	if (text.len % 4 || text.len / 4 != (len + 2) / 3)
		return false;
	for (i = 0; i < text.len; i += 4) {
		size_t here = len - done < 3 ? len - done : 3, j;
		uint32_t w = 0;

		for (j = 0; j < 4; j++) {
			int digit = j <= here ? base64_digit(text.data[i + j]) : text.data[i + j] == '=' ? 0 : -1;

			if (digit < 0)
				return false;
			w = w << 6 | (uint32_t)digit;
		}
		/* Bits beyond the last byte must be zero: one value, one text. */
		if (w & (0xffffffu >> (8 * here)))
			return false;
		for (j = 0; j < here; j++)
			out[done++] = (uint8_t)(w >> (16 - 8 * j));
	}
	return done == len;
}
