/*
 * s3_seen.c: texts that were seen, by their hashes: a server that gives the same token twice leads in a circle.
 *
 * The order of keys would tell that, too, but not every store lists in it (S3's directory buckets do not).
 */
#include "s3/s3_client_int.h"
#include "base/clock.h"
#include "base/hash.h"
#include <stdlib.h>

#define SLOTS_FIRST 64

/* The place of a hash, or the free one where it belongs: there always is one. */
static uint64_t *
slot_of(const struct s3_seen *seen, uint64_t hash)
{
	size_t at = hash & (seen->slot_count - 1);

	while (seen->slots[at] && seen->slots[at] != hash)
		at = (at + 1) & (seen->slot_count - 1);
	return &seen->slots[at];
}

static void
grow(struct s3_seen *seen)
{
	struct s3_seen larger = {.seed = seen->seed, .count = seen->count};

	if (!seen->slots)
		larger.seed = random_u64(); /* nobody else can make two that have one hash */
	larger.slot_count = seen->slots ? 2 * seen->slot_count : SLOTS_FIRST;
	larger.slots = xcalloc(larger.slot_count, sizeof(*larger.slots));
	for (size_t i = 0; i < seen->slot_count; i++)
		if (seen->slots[i])
			*slot_of(&larger, seen->slots[i]) = seen->slots[i];
	free(seen->slots);
	*seen = larger;
}

bool
s3_seen_add(struct s3_seen *seen, const char *text)
{
	uint64_t hash, *slot;

	if (2 * (seen->count + 1) > seen->slot_count)
		grow(seen);
	hash = hash64(bytes_str(text), seen->seed) | 1; /* 0 is a free place */
	slot = slot_of(seen, hash);
	if (*slot)
		return false;
	*slot = hash;
	seen->count++;
	return true;
}

void
s3_seen_fini(struct s3_seen *seen)
{
	free(seen->slots);
}
