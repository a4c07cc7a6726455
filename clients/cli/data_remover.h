/*
 * data_remover.h: batches of keys, deleted by many connections at once: a store takes longer to delete a thousand
 * objects than to list them. Whoever gives batches is told of their ends by one thread, his own.
 */
#ifndef CLIENTS_CLI_DATA_REMOVER_H
#define CLIENTS_CLI_DATA_REMOVER_H

#include "s3/s3_client.h"

struct key_batch {
	struct key_batch *next;
	struct arena *arena;
	const char *keys[S3_DELETE_MAX]; /* in the arena */
	size_t count;
	struct s3_delete_failure *failures; /* keys that were not removed */
	size_t failed;
	bool is_refused; /* the whole: nobody knows what was removed of it */
	char text[S3_ERROR_BYTES];
};

struct key_batch *key_batch_new(void);
void key_batch_free(struct key_batch *batch); /* NULL is allowed */

struct remover;

/* With so many threads at most. The texts must stay. */
struct remover *remover_new(struct s3_client *client, const char *bucket, unsigned parallel);
/* Takes the batch. */
void remover_push(struct remover *r, struct key_batch *batch);
/* A batch that has ended, for which it waits while more than `most` have not; NULL: none has. */
struct key_batch *remover_take(struct remover *r, size_t most);
/* Batches that nobody has begun are left, and freed. */
void remover_stop(struct remover *r);
void remover_free(struct remover *r); /* the same; NULL is allowed */
/* Of batches that have not ended: with so many, no thread waits for one. */
size_t remover_room(const struct remover *r);

#endif
