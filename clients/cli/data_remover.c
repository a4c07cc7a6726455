/* data_remover.c: see data_remover.h. */
#include "data_remover.h"
#include <pthread.h>
#include <stdlib.h>

struct remover {
	struct s3_client *client;
	const char *bucket;
	pthread_t *threads;
	unsigned parallel, started;
	pthread_mutex_t lock; /* all that follows */
	pthread_cond_t more;  /* for the threads */
	pthread_cond_t ended; /* for whoever takes */
	struct key_batch *first, **last, *done;
	size_t pending; /* pushed, and not taken */
	unsigned idle;
	bool closed;
};

struct key_batch *
key_batch_new(void)
{
	struct key_batch *batch = xcalloc(1, sizeof(*batch));

	batch->arena = arena_new(65536);
	return batch;
}

void
key_batch_free(struct key_batch *batch)
{
	if (!batch)
		return;
	arena_free(batch->arena);
	free(batch);
}

static void
batch_remove(const struct remover *r, struct s3_conn *conn, struct key_batch *b)
{
	const char *text;

	if (s3_delete_many(conn, b->arena, r->bucket, b->keys, b->count, &b->failures, &b->failed))
		return;
	text = s3_conn_failure(conn)->text;
	b->is_refused = true;
	memcpy(b->text, text, strlen(text) + 1);
}

/* NULL: there will be none. */
static struct key_batch *
batch_wait_locked(struct remover *r)
{
	struct key_batch *batch;

	r->idle++;
	while (!r->first && !r->closed)
		pthread_cond_wait(&r->more, &r->lock);
	r->idle--;
	batch = r->closed ? NULL : r->first;
	if (batch && !(r->first = batch->next))
		r->last = &r->first;
	return batch;
}

static void *
remover_run(void *data)
{
	struct remover *r = data;
	struct s3_conn *conn = s3_conn_new(r->client);
	struct key_batch *batch;

	pthread_mutex_lock(&r->lock);
	while ((batch = batch_wait_locked(r))) {
		pthread_mutex_unlock(&r->lock);
		batch_remove(r, conn, batch);
		pthread_mutex_lock(&r->lock);
		batch->next = r->done;
		r->done = batch;
		pthread_cond_signal(&r->ended);
	}
	pthread_mutex_unlock(&r->lock);
	s3_conn_free(conn);
	return NULL;
}

struct remover *
remover_new(struct s3_client *client, const char *bucket, unsigned parallel)
{
	struct remover *r = xcalloc(1, sizeof(*r));

	r->client = client;
	r->bucket = bucket;
	r->parallel = parallel;
	r->threads = xcalloc(parallel, sizeof(*r->threads));
	r->last = &r->first;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	pthread_cond_init(&r->ended, NULL);
	return r;
}

/* A thread is begun when there is something for it to do: most of what is removed is one batch. */
void
remover_push(struct remover *r, struct key_batch *batch)
{
	pthread_mutex_lock(&r->lock);
	batch->next = NULL;
	*r->last = batch;
	r->last = &batch->next;
	r->pending++;
	if (r->idle > 0)
		pthread_cond_signal(&r->more);
	else if (r->started < r->parallel && pthread_create(&r->threads[r->started], NULL, remover_run, r) == 0)
		r->started++;
	if (r->started == 0)
		abort(); /* as when memory has ended */
	pthread_mutex_unlock(&r->lock);
}

struct key_batch *
remover_take(struct remover *r, size_t most)
{
	struct key_batch *batch;

	pthread_mutex_lock(&r->lock);
	while (!r->done && r->pending > most)
		pthread_cond_wait(&r->ended, &r->lock);
	batch = r->done;
	if (batch) {
		r->done = batch->next;
		r->pending--;
	}
	pthread_mutex_unlock(&r->lock);
	return batch;
}

size_t
remover_room(const struct remover *r)
{
	return 2 * (size_t)r->parallel;
}

void
remover_stop(struct remover *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->first) {
		struct key_batch *batch = r->first;

		r->first = batch->next;
		r->pending--;
		key_batch_free(batch);
	}
	r->last = &r->first;
	pthread_mutex_unlock(&r->lock);
}

static void
batches_free(struct key_batch *batch)
{
	while (batch) {
		struct key_batch *next = batch->next;

		key_batch_free(batch);
		batch = next;
	}
}

void
remover_free(struct remover *r)
{
	if (!r)
		return;
	remover_stop(r);
	pthread_mutex_lock(&r->lock);
	r->closed = true;
	pthread_cond_broadcast(&r->more);
	pthread_mutex_unlock(&r->lock);
	while (r->started > 0)
		pthread_join(r->threads[--r->started], NULL);
	batches_free(r->done);
	pthread_cond_destroy(&r->more);
	pthread_cond_destroy(&r->ended);
	pthread_mutex_destroy(&r->lock);
	free(r->threads);
	free(r);
}
