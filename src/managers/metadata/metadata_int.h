/* metadata_int.h: what the files of the metadata manager share. */
#ifndef MANAGERS_METADATA_METADATA_INT_H
#define MANAGERS_METADATA_METADATA_INT_H

#include "managers/metadata/metadata.h"
#include <pthread.h>
#include <stdatomic.h>

/* A cached bucket row, as it is encoded. */
struct bucket_cached {
	struct bucket_cached *next;
	char *name;
	size_t name_len;
	uint64_t serial;
	size_t len;
	uint8_t value[];
};

#define BUCKET_CACHE_SLOTS 1024

struct metadata {
	struct metadata_driver *driver;
	struct waits *waits; /* by bucket: raised when its feed has a new change; NULL: nobody waits */

	pthread_rwlock_t buckets_lock; /* buckets, buckets_epoch */
	struct bucket_cached *buckets[BUCKET_CACHE_SLOTS];
	uint64_t buckets_epoch; /* bumped by every bucket_forget: a fill that began before is dropped */

	pthread_mutex_t numbers_lock; /* the four below */
	pthread_cond_t numbers_leased;
	bool numbers_leasing; /* somebody commits the next lease, without the lock */
	uint64_t numbers_next;
	uint64_t numbers_end;

	pthread_mutex_t purged_lock; /* purged: buckets for the reaper, each once, in ascending order */
	uint64_t *purged;
	size_t purged_count;
	size_t purged_capacity;
};

void bucket_cache_free(struct metadata *m);
/* Drops what is cached of a bucket. */
void bucket_forget_id(struct metadata *m, uint64_t id);

/* past.c: the row, which a snapshot needs, is replaced or removed by the batch, and kept. */
void past_keep(struct batch *b, const struct bucket_row *bucket, struct bytes key, const struct row *old);

/* usage.c: adds to the counters of a bucket and of an owner. */
void usage_add(struct batch *b, const struct bucket_row *bucket, uint64_t owner, int64_t objects, int64_t bytes);
/* Behind the batch's last addition: adds the limits of the bucket and of the owner, where the batch adds to what they hold. */
enum rfs_err quota_expect(struct metadata *m, struct request *rq, struct batch *b, const struct bucket_row *bucket, uint64_t owner) RFS_MUST_CHECK;
/* What the batch adds to a counter so far. */
int64_t batch_added(const struct batch *b, struct bytes counter);

#endif
