/* buf.c: the growing buffer and the reader of bytes.h. [any] */
#include "base/arena.h"
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST 64

void
buf_init(struct buf *b, struct arena *arena)
{
	*b = (struct buf){.arena = arena};
}

void
buf_fini(struct buf *b)
{
	if (b->arena == NULL)
		free(b->data);
	*b = (struct buf){.arena = b->arena};
}

void
buf_reserve(struct buf *b, size_t more)
{
	size_t capacity;
	uint8_t *data;

	if (more <= b->capacity - b->len)
		return;
	/* A sum that wraps asks for more than any allocator has, which ends the program there. */
	capacity = more > SIZE_MAX - b->len ? SIZE_MAX : b->len + more;
	if (capacity < b->capacity * 2)
		capacity = b->capacity * 2;
	if (capacity < BUF_FIRST)
		capacity = BUF_FIRST;
	if (b->arena) {
		data = arena_alloc(b->arena, capacity);
		if (b->len)
			memcpy(data, b->data, b->len);
		b->data = data;
	} else {
		b->data = xrealloc(b->data, capacity);
	}
	b->capacity = capacity;
}

void
buf_put(struct buf *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	buf_reserve(b, len);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void
buf_put_bytes(struct buf *b, struct bytes v)
{
	buf_put(b, v.data, v.len);
}

void
buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void
buf_decimal(struct buf *b, uint64_t v)
{
	char text[20];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	buf_put(b, text + at, sizeof(text) - at);
}

void
buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len <= 0)
		return;
	/* vsnprintf writes a NUL too, which is not part of the content. */
	buf_reserve(b, (size_t)len + 1);
	va_start(args, format);
	vsnprintf((char *)b->data + b->len, (size_t)len + 1, format, args);
	va_end(args);
	b->len += (size_t)len;
}

void
buf_u16(struct buf *b, uint16_t v)
{
	buf_put(b, &v, 2);
}

void
buf_u32(struct buf *b, uint32_t v)
{
	buf_put(b, &v, 4);
}

void
buf_u64(struct buf *b, uint64_t v)
{
	buf_put(b, &v, 8);
}

void
buf_be64(struct buf *b, uint64_t v)
{
	buf_u64(b, __builtin_bswap64(v));
}

void
buf_varint(struct buf *b, uint64_t v)
{
	uint8_t text[10];
	size_t len = 0;

	while (v > 127) {
		text[len++] = (uint8_t)(v | 128);
		v >>= 7;
	}
	text[len++] = (uint8_t)v;
	buf_put(b, text, len);
}

void
buf_field(struct buf *b, struct bytes v)
{
	buf_varint(b, v.len);
	buf_put_bytes(b, v);
}

struct bytes
buf_bytes(const struct buf *b)
{
	return bytes_of(b->data, b->len);
}

void
reader_init(struct reader *r, struct bytes v)
{
	r->at = v.data;
	r->end = v.data ? v.data + v.len : NULL;
	r->failed = false;
}

size_t
reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* After a failure nothing more is read, so that no later field is taken from a wrong place. */
struct bytes
reader_bytes(struct reader *r, size_t len)
{
	const uint8_t *at = r->at;

	if (r->failed || len > reader_left(r)) {
		r->failed = true;
		return bytes_of(NULL, 0);
	}
	if (len)
		r->at += len;
	return bytes_of(at, len);
}

uint8_t
reader_u8(struct reader *r)
{
	struct bytes v = reader_bytes(r, 1);

	return v.len ? v.data[0] : 0;
}

uint16_t
reader_u16(struct reader *r)
{
	struct bytes v = reader_bytes(r, 2);

	return v.len ? (uint16_t)(v.data[0] | v.data[1] << 8) : 0;
}

uint32_t
reader_u32(struct reader *r)
{
	struct bytes v = reader_bytes(r, 4);

	return v.len ? load_u32(v.data) : 0;
}

uint64_t
reader_u64(struct reader *r)
{
	struct bytes v = reader_bytes(r, 8);

	return v.len ? load_u64(v.data) : 0;
}

uint64_t
reader_be64(struct reader *r)
{
	return __builtin_bswap64(reader_u64(r));
}

uint64_t
reader_varint(struct reader *r)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 70; shift += 7) {
		uint8_t c = reader_u8(r);

		/* The tenth byte holds one bit, and the last one more than zeros. */
		if (r->failed || (shift == 63 && c > 1) || (shift && c == 0))
			break;
		v |= (uint64_t)(c & 127) << shift;
		if (c < 128)
			return v;
	}
	r->failed = true;
	return 0;
}

uint32_t
reader_varint32(struct reader *r)
{
	uint64_t v = reader_varint(r);

	if (v <= UINT32_MAX)
		return (uint32_t)v;
	r->failed = true;
	return 0;
}

struct bytes
reader_field(struct reader *r)
{
	uint64_t len = reader_varint(r);

	return reader_bytes(r, len);
}
