/* check_tally.c: counting by number, in bounded memory; see check_int.h. */
#include "base/hash.h"
#include "check/check_int.h"
#include <stdlib.h>

#define SLOTS_FIRST 1024

static int
key_compare(struct tally_key a, struct tally_key b)
{
	if (a.high != b.high)
		return a.high < b.high ? -1 : 1;
	return a.low < b.low ? -1 : a.low > b.low;
}

void
tally_init(struct tally *t, size_t most)
{
	*t = (struct tally){.slot_count = SLOTS_FIRST, .most = most < 2 ? 2 : most, .to = {UINT64_MAX, UINT64_MAX}};
	t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
}

void
tally_fini(struct tally *t)
{
	free(t->slots);
}

bool
tally_covers(const struct tally *t, struct tally_key key)
{
	return key_compare(key, t->from) >= 0 && key_compare(key, t->to) < 0;
}

/* The slot that has the key, or where it goes. */
static struct tally_item *
slot_find(const struct tally *t, struct tally_key key)
{
	size_t at = hash64(bytes_of(&key, sizeof(key)), 0) % t->slot_count;

	while (t->slots[at].used && key_compare(t->slots[at].key, key) != 0)
		at = (at + 1) % t->slot_count;
	return &t->slots[at];
}

/* Items below `to` into new slots; the others are another round's. */
static void
slots_rebuild(struct tally *t, size_t slot_count)
{
	struct tally_item *old = t->slots;
	size_t old_count = t->slot_count;

	t->slots = xcalloc(slot_count, sizeof(*t->slots));
	t->slot_count = slot_count;
	t->count = 0;
	for (size_t i = 0; i < old_count; i++) {
		if (!old[i].used || key_compare(old[i].key, t->to) >= 0)
			continue;
		*slot_find(t, old[i].key) = old[i];
		t->count++;
	}
	free(old);
}

static int
by_key(const void *a, const void *b)
{
	return key_compare(*(const struct tally_key *)a, *(const struct tally_key *)b);
}

/* The upper half is left to a later round: what is kept was counted from the round's beginning. */
static void
round_shorten(struct tally *t)
{
	struct tally_key *keys = xcalloc(t->count, sizeof(*keys));
	size_t n = 0;

	for (size_t i = 0; i < t->slot_count; i++)
		if (t->slots[i].used)
			keys[n++] = t->slots[i].key;
	qsort(keys, n, sizeof(*keys), by_key);
	t->to = keys[n / 2];
	t->more = true;
	free(keys);
	slots_rebuild(t, t->slot_count);
}

struct tally_item *
tally_at(struct tally *t, struct tally_key key)
{
	struct tally_item *item;

	if (!tally_covers(t, key))
		return NULL;
	item = slot_find(t, key);
	if (item->used)
		return item;
	if (t->count == t->most) {
		round_shorten(t);
		return tally_at(t, key);
	}
	if (2 * t->count >= t->slot_count) {
		slots_rebuild(t, 2 * t->slot_count);
		item = slot_find(t, key);
	}
	t->count++;
	*item = (struct tally_item){.key = key, .used = true};
	return item;
}

struct tally_item *
tally_find(const struct tally *t, struct tally_key key)
{
	struct tally_item *item = tally_covers(t, key) ? slot_find(t, key) : NULL;

	return item && item->used ? item : NULL;
}

bool
tally_next(struct tally *t)
{
	if (!t->more)
		return false;
	t->from = t->to;
	t->to = (struct tally_key){UINT64_MAX, UINT64_MAX};
	t->more = false;
	t->count = 0;
	memset(t->slots, 0, t->slot_count * sizeof(*t->slots));
	return true;
}
