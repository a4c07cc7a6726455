/*
 * bytes.h: a view of bytes that somebody else owns, and the reader and growing buffer used by every encoding.
 *
 * Integers inside keys are big-endian (so that byte order is numeric order); integers inside values and records are
 * little-endian. [any]
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena;

struct bytes {
	const uint8_t *data;
	size_t len;
};

static inline struct bytes
bytes_of(const void *data, size_t len)
{
	return (struct bytes){data, len};
}

static inline struct bytes
bytes_str(const char *s)
{
	return (struct bytes){(const uint8_t *)s, s ? strlen(s) : 0};
}

#define BYTES_LITERAL(s) ((struct bytes){(const uint8_t *)(s), sizeof(s) - 1})

/* Memory order, a prefix before what it is a prefix of: the order of S3 keys and of every driver's scan. */
int bytes_compare(struct bytes a, struct bytes b);
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_str(struct bytes a, const char *s);
bool bytes_equal_str_nocase(struct bytes a, const char *s);
bool bytes_starts_with(struct bytes a, struct bytes prefix);
/* Constant time for equal lengths; for secrets. */
bool bytes_equal_secret(struct bytes a, struct bytes b);
/* Offset of `c` at or after `from`, or SIZE_MAX. */
size_t bytes_find(struct bytes a, uint8_t c, size_t from);
/* Offset of the first control character (below 0x20, or 0x7f) at or after `from`, or SIZE_MAX. */
size_t bytes_find_control(struct bytes a, size_t from);
/* `len` is clipped to what is there. */
struct bytes bytes_sub(struct bytes a, size_t from, size_t len);
/* Without the blanks, tabs and carriage returns around it. */
struct bytes bytes_trimmed(struct bytes a);
/* Decimal digits only, no sign, no space, no overflow; false otherwise. */
bool bytes_to_u64(struct bytes a, uint64_t *out);

/*
 * A growing buffer. With an arena its memory is the arena's (growth leaves the old copy behind); without one it is
 * malloc'ed and freed by buf_fini.
 */
struct buf {
	uint8_t *data;
	size_t len;
	size_t capacity;
	struct arena *arena;
};

void buf_init(struct buf *b, struct arena *arena);
void buf_fini(struct buf *b);
void buf_reserve(struct buf *b, size_t more);
void buf_put(struct buf *b, const void *data, size_t len);
void buf_put_bytes(struct buf *b, struct bytes v);
void buf_put_str(struct buf *b, const char *s);
/* Its digits, many times faster than buf_printf: for what every request has. */
void buf_decimal(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void
buf_u8(struct buf *b, uint8_t v)
{
	if (b->len == b->capacity)
		buf_reserve(b, 1);
	b->data[b->len++] = v;
}
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_be64(struct buf *b, uint64_t v);
/* LEB128: 7 bits a byte, least significant first, at most 10 bytes. */
void buf_varint(struct buf *b, uint64_t v);
/* A varint length, then the bytes. */
void buf_field(struct buf *b, struct bytes v);
struct bytes buf_bytes(const struct buf *b);

/* A reader never passes its end: a read beyond it sets `failed` and gives zero or empty; look at `failed` once, at the
 * end. */
struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

void reader_init(struct reader *r, struct bytes v);
size_t reader_left(const struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint64_t reader_be64(struct reader *r);
/* In its shortest form, as buf_varint writes it: any other fails, so that what was read is written again as the same
 * bytes. */
uint64_t reader_varint(struct reader *r);
/* One that fits. */
uint32_t reader_varint32(struct reader *r);
struct bytes reader_bytes(struct reader *r, size_t len);
struct bytes reader_field(struct reader *r);

/* Little- and big-endian loads and stores at any alignment. */
static inline uint32_t
load_u32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

static inline uint64_t
load_u64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static inline uint64_t
load_be64(const void *p)
{
	return __builtin_bswap64(load_u64(p));
}

static inline void
store_u32(void *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static inline void
store_u64(void *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

static inline void
store_be64(void *p, uint64_t v)
{
	store_u64(p, __builtin_bswap64(v));
}

/* Lower-case hex; `out` holds 2 * len + 1. */
void hex_encode(struct bytes v, char *out);
/* Either case; -1: not a hex digit. */
int hex_digit(uint8_t c);
/* Even count of hex digits, exactly 2 * len; false otherwise. */
bool hex_decode(struct bytes text, uint8_t *out, size_t len);
/* Standard base64 with padding (RFC 4648, section 4); `out` holds 4 * ((len + 2) / 3) + 1. */
void base64_encode(struct bytes v, char *out);
/* Strict: exactly `len` bytes must come out; false otherwise. */
bool base64_decode(struct bytes text, uint8_t *out, size_t len);

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the loads and stores above assume a little-endian machine");

#endif
