/* row_cache.c: see row_cache.h. A stripe is a small hash table whose rows form a ring of second chances: what was used
 * since it was last looked at stays when room is made, once. */
#include "drivers/embedded/row_cache.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mutant.h"
#include <pthread.h>
#include <stdlib.h>

#define STRIPES 1024
#define CHAINS 32       /* of a stripe */
#define ROW_OVERHEAD 16 /* malloc's */

struct cached_row {
	struct cached_row *chain;
	struct cached_row *older, *newer;
	uint64_t hash, serial;
	uint32_t key_len, value_len;
	bool found, used;
	uint8_t bytes[]; /* key, value */
};

struct stripe {
	pthread_mutex_t lock;
	uint64_t epoch;
	bool closed;
	size_t bytes, count;
	struct cached_row *oldest, *newest;
	struct cached_row *chains[CHAINS];
};

struct row_cache {
	uint64_t seed;
	size_t share; /* bytes of a stripe */
	struct stripe stripes[STRIPES];
	size_t closed_count; /* [apply], as what follows */
	uint16_t closed[STRIPES];
};

struct row_cache *
row_cache_new(size_t bytes)
{
	struct row_cache *c = xcalloc(1, sizeof(*c));

	c->seed = random_u64();
	c->share = bytes / STRIPES;
	for (size_t i = 0; i < STRIPES; i++)
		pthread_mutex_init(&c->stripes[i].lock, NULL);
	return c;
}

static size_t
row_bytes(const struct cached_row *r)
{
	return sizeof(*r) + r->key_len + r->value_len + ROW_OVERHEAD;
}

static bool
row_is(const struct cached_row *r, uint64_t hash, struct bytes key)
{
	return r->hash == hash && r->key_len == key.len && memcmp(r->bytes, key.data, key.len) == 0;
}

static struct stripe *
stripe_of(struct row_cache *c, uint64_t hash)
{
	return &c->stripes[hash % STRIPES];
}

/* The place in its chain, which holds NULL when it is not there. */
static struct cached_row **
chain_find_locked(struct stripe *s, uint64_t hash, struct bytes key)
{
	struct cached_row **at = &s->chains[hash / STRIPES % CHAINS];

	while (*at && !row_is(*at, hash, key))
		at = &(*at)->chain;
	return at;
}

static void
ring_add_locked(struct stripe *s, struct cached_row *r)
{
	r->older = s->newest;
	r->newer = NULL;
	*(s->newest ? &s->newest->newer : &s->oldest) = r;
	s->newest = r;
}

static void
ring_take_locked(struct stripe *s, struct cached_row *r)
{
	*(r->older ? &r->older->newer : &s->oldest) = r->newer;
	*(r->newer ? &r->newer->older : &s->newest) = r->older;
}

/* Out of its chain, whose place `at` is, and of the ring. */
static void
row_remove_locked(struct stripe *s, struct cached_row **at)
{
	struct cached_row *r = *at;

	*at = r->chain;
	ring_take_locked(s, r);
	s->bytes -= row_bytes(r);
	s->count--;
	free(r);
}

static struct bytes
row_key(const struct cached_row *r)
{
	return bytes_of(r->bytes, r->key_len);
}

static void
make_room_locked(struct stripe *s, size_t share, size_t bytes)
{
	while (s->oldest && s->bytes + bytes > share) {
		struct cached_row *r = s->oldest;

		if (!r->used) {
			row_remove_locked(s, chain_find_locked(s, r->hash, row_key(r)));
			continue;
		}
		r->used = false;
		ring_take_locked(s, r);
		ring_add_locked(s, r);
	}
}

void
row_cache_free(struct row_cache *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < STRIPES; i++) {
		struct stripe *s = &c->stripes[i];

		while (s->oldest)
			row_remove_locked(s, chain_find_locked(s, s->oldest->hash, row_key(s->oldest)));
		pthread_mutex_destroy(&s->lock);
	}
	free(c);
}

/* Is it a key that can be kept: no row of the driver's own? */
static bool
key_is_kept(const struct row_cache *c, struct bytes key)
{
	return c && c->share && key.len > 8 && key.data[8] != 0;
}

bool
row_cache_get(
	struct row_cache *c, struct arena *arena, struct bytes key, struct row *out, struct row_cache_place *place)
{
	struct cached_row *r = NULL;
	struct stripe *s;

	*place = (struct row_cache_place){.closed = true};
	if (!key_is_kept(c, key))
		return false;
	place->hash = hash64(key, c->seed);
	s = stripe_of(c, place->hash);
	pthread_mutex_lock(&s->lock);
	place->epoch = s->epoch;
	place->closed = s->closed;
	if (!s->closed && (r = *chain_find_locked(s, place->hash, key))) {
		r->used = true;
		*out = (struct row){.serial = r->serial, .found = r->found};
		if (r->found && arena)
			out->value = arena_copy(arena, bytes_of(r->bytes + r->key_len, r->value_len));
	}
	pthread_mutex_unlock(&s->lock);
	return r != NULL;
}

static struct cached_row *
row_new(struct bytes key, const struct row *row, uint64_t hash)
{
	struct cached_row *r = xmalloc(sizeof(*r) + key.len + row->value.len);

	*r = (struct cached_row){.hash = hash,
		.serial = row->serial,
		.key_len = (uint32_t)key.len,
		.value_len = (uint32_t)row->value.len,
		.found = row->found};
	memcpy(r->bytes, key.data, key.len);
	if (row->value.len)
		memcpy(r->bytes + key.len, row->value.data, row->value.len);
	return r;
}

/* False: it has changed since it was read, may be changing, or is there. */
static bool
row_add_locked(struct stripe *s, size_t share, struct cached_row *r, uint64_t epoch)
{
	struct cached_row **at;

	if ((s->epoch != epoch && !MUTANT("row-cache-epoch-ignored")) || s->closed)
		return false;
	if (*chain_find_locked(s, r->hash, row_key(r)))
		return false;
	make_room_locked(s, share, row_bytes(r));
	at = &s->chains[r->hash / STRIPES % CHAINS];
	r->chain = *at;
	*at = r;
	ring_add_locked(s, r);
	s->bytes += row_bytes(r);
	s->count++;
	return true;
}

void
row_cache_put(struct row_cache *c, struct bytes key, const struct row *row, const struct row_cache_place *place)
{
	struct cached_row *r;
	struct stripe *s;
	bool added;

	/* One large row is not to push out all others of its stripe. */
	if (place->closed || sizeof(*r) + key.len + row->value.len > c->share / 4)
		return;
	s = stripe_of(c, place->hash);
	r = row_new(key, row, place->hash);
	pthread_mutex_lock(&s->lock);
	added = row_add_locked(s, c->share, r, place->epoch);
	pthread_mutex_unlock(&s->lock);
	if (!added)
		free(r);
}

static void
stripe_close_locked(struct row_cache *c, struct stripe *s)
{
	if (s->closed)
		return;
	s->closed = !MUTANT("row-cache-stays-open");
	c->closed[c->closed_count++] = (uint16_t)(s - c->stripes);
}

void
row_cache_change(struct row_cache *c, struct bytes key)
{
	struct cached_row **at;
	struct stripe *s;
	uint64_t hash;

	if (!key_is_kept(c, key) || MUTANT("row-cache-not-invalidated"))
		return;
	hash = hash64(key, c->seed);
	s = stripe_of(c, hash);
	pthread_mutex_lock(&s->lock);
	stripe_close_locked(c, s);
	at = chain_find_locked(s, hash, key);
	if (*at)
		row_remove_locked(s, at);
	pthread_mutex_unlock(&s->lock);
}

void
row_cache_change_range(struct row_cache *c, struct bytes from, struct bytes to)
{
	struct cached_row *r, *newer;

	if (!key_is_kept(c, from) || MUTANT("row-cache-ranges-ignored"))
		return;
	for (size_t i = 0; i < STRIPES; i++) {
		struct stripe *s = &c->stripes[i];

		pthread_mutex_lock(&s->lock);
		stripe_close_locked(c, s);
		for (r = s->oldest; r; r = newer) {
			newer = r->newer;
			if (bytes_compare(row_key(r), from) >= 0 && bytes_compare(row_key(r), to) < 0)
				row_remove_locked(s, chain_find_locked(s, r->hash, row_key(r)));
		}
		pthread_mutex_unlock(&s->lock);
	}
}

void
row_cache_changed(struct row_cache *c)
{
	while (c && c->closed_count) {
		struct stripe *s = &c->stripes[c->closed[--c->closed_count]];

		pthread_mutex_lock(&s->lock);
		s->epoch++;
		s->closed = false;
		pthread_mutex_unlock(&s->lock);
	}
}

void
row_cache_count(struct row_cache *c, size_t *rows, size_t *bytes)
{
	*rows = *bytes = 0;
	for (size_t i = 0; c && i < STRIPES; i++) {
		pthread_mutex_lock(&c->stripes[i].lock);
		*rows += c->stripes[i].count;
		*bytes += c->stripes[i].bytes;
		pthread_mutex_unlock(&c->stripes[i].lock);
	}
}
