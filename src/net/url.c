/* url.c: see url.h. */
#include "net/url.h"

static const char upper_hex[] = "0123456789ABCDEF";

static bool
is_unreserved(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

static bool
is_plain(struct bytes in, bool plus_is_space)
{
	for (size_t i = 0; i < in.len; i++) {
		if (in.data[i] == '%' || (plus_is_space && in.data[i] == '+'))
			return false;
	}
	return true;
}

bool
url_decode(struct arena *arena, struct bytes in, bool plus_is_space, struct bytes *out)
{
	uint8_t *text;
	size_t len = 0;

	if (is_plain(in, plus_is_space)) {
		*out = in;
		return true;
	}
	text = arena_alloc(arena, in.len);
	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.data[i];

		if (c == '%') {
			int high = i + 2 < in.len ? hex_digit(in.data[i + 1]) : -1;
			int low = i + 2 < in.len ? hex_digit(in.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		text[len++] = c;
	}
	*out = bytes_of(text, len);
	return true;
}

void
url_encode(struct buf *out, struct bytes in, bool keep_slash)
{
	buf_reserve(out, in.len);
	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.data[i];

		if (is_unreserved(c) || (c == '/' && keep_slash)) {
			buf_u8(out, c);
		} else {
			uint8_t escape[3] = {'%', (uint8_t)upper_hex[c >> 4], (uint8_t)upper_hex[c & 15]};

			buf_put(out, escape, 3);
		}
	}
}

/* Cuts the piece up to the next '&' off the front of `rest`. */
static struct bytes
piece_take(struct bytes *rest)
{
	size_t end = bytes_find(*rest, '&', 0);
	struct bytes piece = end == SIZE_MAX ? *rest : bytes_sub(*rest, 0, end);

	*rest = end == SIZE_MAX ? bytes_sub(*rest, rest->len, 0) : bytes_sub(*rest, end + 1, rest->len - end - 1);
	return piece;
}

static size_t
pieces_count(struct bytes raw)
{
	size_t count = 0;

	while (raw.len > 0)
		count += piece_take(&raw).len > 0;
	return count;
}

bool
url_query_parse(struct arena *arena, struct bytes raw, size_t limit, struct url_query *out)
{
	size_t count = pieces_count(raw);

	*out = (struct url_query){0};
	if (count > limit)
		return false;
	out->params = ARENA_ARRAY(arena, struct url_param, count + 1);
	while (raw.len > 0) {
		struct bytes piece = piece_take(&raw);
		size_t equals = bytes_find(piece, '=', 0);
		struct url_param *param = &out->params[out->count];

		if (piece.len == 0)
			continue;
		param->has_value = equals != SIZE_MAX;
		if (!param->has_value)
			equals = piece.len;
		if (!url_decode(arena, bytes_sub(piece, 0, equals), true, &param->name))
			return false;
		if (param->has_value) {
			struct bytes value = bytes_sub(piece, equals + 1, piece.len - equals - 1);

			if (!url_decode(arena, value, true, &param->value))
				return false;
		}
		out->count++;
	}
	return true;
}

const struct url_param *
url_query_find(const struct url_query *query, const char *name)
{
	for (size_t i = 0; i < query->count; i++) {
		if (bytes_equal_str(query->params[i].name, name))
			return &query->params[i];
	}
	return NULL;
}
