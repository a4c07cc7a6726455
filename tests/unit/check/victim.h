/*
 * victim.h: a store at rest with some of everything, to be damaged behind the managers' back, and the damages: each
 * with what is found of it.
 */
#ifndef TESTS_UNIT_CHECK_VICTIM_H
#define TESTS_UNIT_CHECK_VICTIM_H

#include "../core/dedup_help.h"

struct victim {
	struct test_store t;
	struct metadata *metadata;
	struct request rq;
	uint64_t bucket; /* bbb */
	uint64_t dedup;  /* ddd */
};

/*
 * bbb: dir/one and dir/two of a block each; large of three segments; parts of two parts; marker/; an open upload of
 * `up`. ddd: x and y of the same block; large, whose blocks each have a hash row.
 *
 * What is made on the disk is made once, in `template` (empty at first, its name later, for who removes it), and
 * copied.
 */
void victim_make(struct victim *v, const char *driver_name, char template[64]);
void victim_free(struct victim *v);
void directory_remove(const char *dir);

/* anna, who has a key and is in the group `group`; bert, who was removed; a second key of root. */
void people_make(struct test_store *t);
/* Of three parts, the last of which is not in the list of those that make the object. */
void upload_whole(struct test_store *t, const char *bucket, const char *key, const struct bytes bodies[3]);

struct damage {
	const char *name;
	void (*make)(struct victim *v);
	const char *found[5]; /* in the order of their text */
	bool embedded_only;   /* it is one of the disk */
};
extern const struct damage damages[];
extern const size_t damage_count;

#endif
