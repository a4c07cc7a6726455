/* keys.c: building and taking apart keys; see keys.h. */
#include "managers/metadata/keys.h"

#define KEY_HEAD 9 /* bucket and table */

static uint8_t *
key_begin(struct arena *a, uint64_t bucket, enum table table, size_t rest, struct bytes *out)
{
	uint8_t *p = arena_alloc(a, KEY_HEAD + rest);

	store_be64(p, bucket);
	p[8] = (uint8_t)table;
	*out = bytes_of(p, KEY_HEAD + rest);
	return p + KEY_HEAD;
}

struct bytes
key_table(struct arena *a, uint64_t bucket, enum table table, struct bytes rest)
{
	struct bytes key;
	uint8_t *p = key_begin(a, bucket, table, rest.len, &key);

	if (rest.len)
		memcpy(p, rest.data, rest.len);
	return key;
}

static struct bytes
key_numbers(struct arena *a, uint64_t bucket, enum table table, uint64_t first, const uint64_t *second)
{
	struct bytes key;
	uint8_t *p = key_begin(a, bucket, table, second ? 16 : 8, &key);

	store_be64(p, first);
	if (second)
		store_be64(p + 8, *second);
	return key;
}

struct bytes
key_bucket(struct arena *a, uint64_t bucket)
{
	return key_table(a, bucket, TABLE_BUCKET, bytes_of(NULL, 0));
}

struct bytes
key_entry(struct arena *a, uint64_t bucket, const uint8_t parent[16], struct bytes name)
{
	struct bytes key;
	uint8_t *p = key_begin(a, bucket, TABLE_ENTRY, 16 + name.len, &key);

	memcpy(p, parent, 16);
	if (name.len)
		memcpy(p + 16, name.data, name.len);
	return key;
}

struct bytes
key_segment(struct arena *a, uint64_t bucket, uint64_t data_id, uint64_t number)
{
	return key_numbers(a, bucket, TABLE_SEGMENT, data_id, &number);
}

struct bytes
key_block(struct arena *a, uint64_t bucket, uint64_t first)
{
	return key_numbers(a, bucket, TABLE_BLOCK, first, NULL);
}

struct bytes
key_hash(struct arena *a, uint64_t bucket, const uint8_t sha256[32])
{
	return key_table(a, bucket, TABLE_HASH, bytes_of(sha256, 32));
}

struct bytes
key_counter(struct arena *a, uint64_t bucket, enum counter kind, struct bytes rest)
{
	struct bytes key;
	uint8_t *p = key_begin(a, bucket, TABLE_COUNTER, 1 + rest.len, &key);

	*p = (uint8_t)kind;
	if (rest.len)
		memcpy(p + 1, rest.data, rest.len);
	return key;
}

struct bytes
key_counter_of(struct arena *a, uint64_t bucket, enum counter kind, uint64_t number)
{
	uint8_t rest[8];

	store_be64(rest, number);
	return key_counter(a, bucket, kind, bytes_of(rest, 8));
}

struct bytes
key_quota(struct arena *a, uint64_t bucket, uint64_t user)
{
	uint8_t number[8];

	store_be64(number, user);
	return key_table(a, bucket, TABLE_QUOTA, bytes_of(number, 8));
}

struct bytes
key_purge(struct arena *a, uint64_t bucket, uint64_t data_id)
{
	return key_numbers(a, bucket, TABLE_PURGE, data_id, NULL);
}

struct bytes
key_parts(struct arena *a, uint64_t bucket, uint64_t data_id)
{
	return key_numbers(a, bucket, TABLE_PARTS, data_id, NULL);
}

/*
 * Bytes of any length in the middle of a key: escaped so that none is the beginning of another and their order stays: 0 becomes 0 255, the end is 0 1.
 */
static void
escaped_put(struct buf *b, struct bytes v)
{
	for (size_t i = 0; i < v.len; i++) {
		buf_u8(b, v.data[i]);
		if (v.data[i] == 0)
			buf_u8(b, 255);
	}
}

static void
escaped_end(struct buf *b)
{
	buf_u8(b, 0);
	buf_u8(b, 1);
}

/* Appends what is escaped in `key` behind its head to `b`; what follows its end is `rest`. False: nothing is escaped
 * there. */
static bool
escaped_take(struct buf *b, struct bytes key, struct bytes *rest)
{
	for (size_t at = KEY_HEAD; at + 1 < key.len; at++) {
		if (key.data[at] == 0 && key.data[at + 1] == 1) {
			*rest = bytes_sub(key, at + 2, key.len);
			return true;
		}
		buf_u8(b, key.data[at]);
		if (key.data[at] == 0 && key.data[++at] != 255)
			return false;
	}
	return false;
}

struct bytes
key_past(struct arena *a, struct bytes key, uint64_t serial)
{
	struct buf b;

	/* The kept key's table and rest, then the serial: all states of one key lie together, oldest first. */
	buf_init(&b, a);
	buf_put(&b, key.data, 8);
	buf_u8(&b, TABLE_PAST);
	escaped_put(&b, bytes_sub(key, 8, key.len));
	escaped_end(&b);
	buf_be64(&b, serial);
	return buf_bytes(&b);
}

bool
key_past_split(struct arena *a, struct bytes past, struct bytes *key, uint64_t *serial)
{
	struct bytes rest;
	struct buf b;

	buf_init(&b, a);
	buf_put(&b, past.data, past.len < 8 ? past.len : 8);
	if (!escaped_take(&b, past, &rest) || rest.len != 8 || b.len < KEY_HEAD || past.data[8] != TABLE_PAST)
		return false;
	*serial = load_be64(rest.data);
	*key = buf_bytes(&b);
	return true;
}

struct bytes
key_uploads(struct arena *a, uint64_t bucket, struct bytes prefix)
{
	struct buf b;

	buf_init(&b, a);
	buf_put_bytes(&b, key_table(a, bucket, TABLE_UPLOAD, bytes_of(NULL, 0)));
	escaped_put(&b, prefix);
	return buf_bytes(&b);
}

struct bytes
key_upload(struct arena *a, uint64_t bucket, struct bytes name, const uint8_t id[UPLOAD_ID_BYTES])
{
	struct buf b;

	buf_init(&b, a);
	buf_put_bytes(&b, key_uploads(a, bucket, name));
	escaped_end(&b);
	buf_put(&b, id, UPLOAD_ID_BYTES);
	return buf_bytes(&b);
}

bool
key_upload_split(struct arena *a, struct bytes key, struct bytes *name, uint8_t id[UPLOAD_ID_BYTES])
{
	struct bytes rest;
	struct buf b;

	buf_init(&b, a);
	if (!escaped_take(&b, key, &rest) || rest.len != UPLOAD_ID_BYTES)
		return false;
	memcpy(id, rest.data, UPLOAD_ID_BYTES);
	*name = buf_bytes(&b);
	return true;
}

struct bytes
key_upload_part(struct arena *a, uint64_t bucket, const uint8_t id[UPLOAD_ID_BYTES], uint32_t number)
{
	struct bytes key;
	uint8_t *p = key_begin(a, bucket, TABLE_UPLOAD_PART, UPLOAD_ID_BYTES + 4, &key);
	uint32_t big_endian = __builtin_bswap32(number);

	memcpy(p, id, UPLOAD_ID_BYTES);
	memcpy(p + UPLOAD_ID_BYTES, &big_endian, 4);
	return key;
}

struct bytes
key_feed(struct arena *a, uint64_t bucket)
{
	return key_table(a, bucket, TABLE_FEED, bytes_of(NULL, 0));
}

struct bytes
key_change(struct arena *a, uint64_t bucket, uint64_t serial)
{
	return key_numbers(a, bucket, TABLE_FEED, serial, NULL);
}

uint64_t
key_change_serial(struct bytes key)
{
	return key.len == KEY_HEAD + 8 && key.data[8] == TABLE_FEED ? load_be64(key.data + KEY_HEAD) : 0;
}

struct bytes
key_scrub(struct arena *a)
{
	return key_table(a, DOMAIN_BUCKET, TABLE_SYSTEM, BYTES_LITERAL("scrub"));
}

struct bytes
key_damage(struct arena *a, uint64_t bucket, uint64_t data_id)
{
	return key_numbers(a, DOMAIN_BUCKET, TABLE_DAMAGE, bucket, &data_id);
}

bool
key_damage_split(struct bytes key, uint64_t *bucket, uint64_t *data_id)
{
	if (key.len != KEY_HEAD + 16 || key.data[8] != TABLE_DAMAGE)
		return false;
	*bucket = load_be64(key.data + KEY_HEAD);
	*data_id = load_be64(key.data + KEY_HEAD + 8);
	return true;
}

struct bytes
key_feed_state(struct arena *a, uint64_t bucket)
{
	return key_table(a, bucket, TABLE_FEED_STATE, bytes_of(NULL, 0));
}

struct bytes
key_cursor(struct arena *a, uint64_t bucket, struct bytes name)
{
	return key_table(a, bucket, TABLE_CURSOR, name);
}

struct bytes
key_after_prefix(struct arena *a, struct bytes prefix)
{
	uint8_t *p = arena_alloc(a, prefix.len);
	size_t len = prefix.len;

	memcpy(p, prefix.data, prefix.len);
	while (len && p[len - 1] == 0xff)
		len--;
	if (len)
		p[len - 1]++;
	return bytes_of(p, len);
}

struct bytes
key_entry_name(struct bytes key)
{
	return bytes_sub(key, KEY_HEAD + 16, key.len);
}
