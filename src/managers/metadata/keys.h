/*
 * keys.h: the keys of every table, built and taken apart here only. [any]
 *
 * key := bucket (8, big-endian) table (1) rest. Names are raw bytes up to the key's end, so that the order of entries is the order of S3 keys.
 */
#ifndef MANAGERS_METADATA_KEYS_H
#define MANAGERS_METADATA_KEYS_H

#include "base/arena.h"

enum table {
	TABLE_DRIVER = 0, /* the driver's own */
	TABLE_BUCKET = 1, /* the bucket's row: no rest */
	TABLE_ENTRY = 2,  /* parent id (16), name; a directory's ends in '/' */
	TABLE_VERSION = 3,
	TABLE_OBJECT = 4,
	TABLE_SEGMENT = 5, /* data id (8), segment number (8), serial (8: slot) */
	TABLE_BLOCK = 6,   /* first number of the run (8) */
	TABLE_HASH = 7,    /* SHA-256 of a block's raw bytes (32) */
	TABLE_COUNTER = 8, /* counter kind (1), rest by kind */
	TABLE_UPLOAD = 9,  /* the object's key, escaped; then the upload's id (16) */
	TABLE_PURGE = 10,  /* data id (8) */
	TABLE_PAST = 11,   /* the kept key's table and rest, escaped; then the serial of the kept row (8) */
	TABLE_LOCK = 12,
	TABLE_IDENTITY = 13, /* bucket 0: identity number (8) */
	TABLE_TOKEN = 14,    /* bucket 0: access key */
	TABLE_POLICY = 15,
	TABLE_FEED = 16,        /* serial (8: slot) */
	TABLE_SYSTEM = 17,      /* bucket 0: a name */
	TABLE_PARTS = 18,       /* data id (8) */
	TABLE_NAME = 19,        /* bucket 0: a bucket's name -> its id */
	TABLE_UPLOAD_PART = 20, /* upload id (16), part number (4) */
	TABLE_QUOTA = 21,       /* identity number (8); QUOTA_OF_BUCKET: the bucket's own */
	TABLE_FEED_STATE = 22,  /* no rest */
	TABLE_CURSOR = 23,      /* a cursor's name */
	TABLE_DAMAGE = 24,      /* bucket 0: number of the bucket (8), data id (8) */
};

enum counter {
	COUNTER_OBJECTS = 1, /* keys that S3 lists */
	COUNTER_BYTES = 2,   /* their sizes */
	COUNTER_LIVE = 3,    /* rest: directory id (16): its live children */
	COUNTER_REFERENCES = 4, /* rest: first number of a run (8): references beyond the first */
	COUNTER_IDS = 5,     /* domain: bucket numbers handed out */
	COUNTER_USER_OBJECTS = 6, /* rest: identity number (8): what he owns of the bucket's objects */
	COUNTER_USER_BYTES = 7,   /* likewise: their sizes */
	COUNTER_PAST = 8,         /* rest: data id (8): past rows of entries that name the content */
};

#define DOMAIN_BUCKET 0

struct bytes key_bucket(struct arena *a, uint64_t bucket);
struct bytes key_entry(struct arena *a, uint64_t bucket, const uint8_t parent[16], struct bytes name);
struct bytes key_segment(struct arena *a, uint64_t bucket, uint64_t data_id, uint64_t number); /* without the slot */
struct bytes key_block(struct arena *a, uint64_t bucket, uint64_t first);
struct bytes key_hash(struct arena *a, uint64_t bucket, const uint8_t sha256[32]);
struct bytes key_counter(struct arena *a, uint64_t bucket, enum counter kind, struct bytes rest);
struct bytes key_counter_of(
	struct arena *a, uint64_t bucket, enum counter kind, uint64_t number); /* its rest is the number */
#define QUOTA_OF_BUCKET 0
struct bytes key_quota(struct arena *a, uint64_t bucket, uint64_t user);
struct bytes key_purge(struct arena *a, uint64_t bucket, uint64_t data_id);
struct bytes key_parts(struct arena *a, uint64_t bucket, uint64_t data_id);
/* All uploads of keys that begin with `prefix` begin with key_uploads(prefix). */
#define UPLOAD_ID_BYTES 16
struct bytes key_uploads(struct arena *a, uint64_t bucket, struct bytes prefix);
struct bytes key_upload(struct arena *a, uint64_t bucket, struct bytes name, const uint8_t id[UPLOAD_ID_BYTES]);
struct bytes key_upload_part(struct arena *a, uint64_t bucket, const uint8_t id[UPLOAD_ID_BYTES], uint32_t number);
/* Taking an upload's key apart; false: it is none. */
bool key_upload_split(struct arena *a, struct bytes key, struct bytes *name, uint8_t id[UPLOAD_ID_BYTES]);
struct bytes key_past(struct arena *a, struct bytes key, uint64_t serial);
/* Taking it apart; false: it is none. */
bool key_past_split(struct arena *a, struct bytes past, struct bytes *key, uint64_t *serial);
struct bytes key_feed(struct arena *a, uint64_t bucket); /* without the slot */
struct bytes key_change(struct arena *a, uint64_t bucket, uint64_t serial);
/* The serial in a change's key; 0: it is none. */
uint64_t key_change_serial(struct bytes key);
struct bytes key_scrub(struct arena *a); /* of the domain */
struct bytes key_damage(struct arena *a, uint64_t bucket, uint64_t data_id); /* of the domain */
/* Taking it apart; false: it is none. */
bool key_damage_split(struct bytes key, uint64_t *bucket, uint64_t *data_id);
struct bytes key_feed_state(struct arena *a, uint64_t bucket);
struct bytes key_cursor(struct arena *a, uint64_t bucket, struct bytes name);
struct bytes key_table(struct arena *a, uint64_t bucket, enum table table, struct bytes rest);
/* The first key after every key that begins with `prefix`. */
struct bytes key_after_prefix(struct arena *a, struct bytes prefix);
/* An entry's name: what is behind bucket, table and parent. */
struct bytes key_entry_name(struct bytes key);

#endif
