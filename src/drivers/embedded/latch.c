/*
 * latch.c: latches on 64-bit hashes of keys: shared or exclusive, owned by batches, first come first served.
 *
 * A batch takes its latches in the order of their hashes, so no two wait for each other. One that must wait is parked
 * in the latch's queue; whoever releases the latch takes the next ones on its behalf, and when it holds all, it is put
 * on the ready list. Two keys of one hash share a latch: that costs concurrency, never correctness. [worker, resume,
 * apply]
 */
#include "drivers/embedded/embedded_int.h"
#include <stdlib.h>

struct latch {
	struct latch *chain;
	uint64_t hash;
	unsigned shared; /* holders */
	bool exclusive;  /* held so */
	struct commit *waiting, **waiting_tail;
};

void
latch_table_init(struct latch_table *t)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	t->ready_tail = &t->ready;
}

void
latch_table_fini(struct latch_table *t)
{
	struct latch *l;

	while ((l = t->unused)) {
		t->unused = l->chain;
		free(l);
	}
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
}

static int
compare_hold(const void *a, const void *b)
{
	const struct latch_hold *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static void
holds_prepare(struct commit *c)
{
	size_t to = 0;

	if (c->hold_count == 0)
		return;
	qsort(c->holds, c->hold_count, sizeof(*c->holds), compare_hold);
	for (size_t i = 1; i < c->hold_count; i++) {
		if (c->holds[i].hash == c->holds[to].hash)
			c->holds[to].exclusive |= c->holds[i].exclusive;
		else
			c->holds[++to] = c->holds[i];
	}
	c->hold_count = to + 1;
}

static struct latch *
latch_find_locked(struct latch_table *t, uint64_t hash)
{
	struct latch **slot = &t->slots[hash % LATCH_TABLE], *l;

	for (l = *slot; l; l = l->chain)
		if (l->hash == hash)
			return l;
	l = t->unused;
	if (l)
		t->unused = l->chain;
	else
		l = xmalloc(sizeof(*l));
	*l = (struct latch){.chain = *slot, .hash = hash};
	l->waiting_tail = &l->waiting;
	*slot = l;
	return l;
}

static void
latch_drop_locked(struct latch_table *t, struct latch *l)
{
	struct latch **at = &t->slots[l->hash % LATCH_TABLE];

	while (*at != l)
		at = &(*at)->chain;
	*at = l->chain;
	l->chain = t->unused;
	t->unused = l;
}

static bool
latch_is_free_locked(const struct latch *l, bool exclusive)
{
	return exclusive ? !l->exclusive && l->shared == 0 : !l->exclusive;
}

static void
latch_take_locked(struct latch *l, bool exclusive)
{
	if (exclusive)
		l->exclusive = true;
	else
		l->shared++;
}

/* From c->held on; false when it was parked. */
static bool
advance_locked(struct latch_table *t, struct commit *c)
{
	while (c->held < c->hold_count) {
		struct latch_hold *hold = &c->holds[c->held];

		hold->latch = latch_find_locked(t, hold->hash);
		if (hold->latch->waiting || !latch_is_free_locked(hold->latch, hold->exclusive)) {
			c->latch_next = NULL;
			*hold->latch->waiting_tail = c;
			hold->latch->waiting_tail = &c->latch_next;
			return false;
		}
		latch_take_locked(hold->latch, hold->exclusive);
		c->held++;
	}
	return true;
}

bool
latch_acquire(struct latch_table *t, struct commit *c)
{
	bool all;

	holds_prepare(c);
	pthread_mutex_lock(&t->lock);
	all = advance_locked(t, c);
	pthread_mutex_unlock(&t->lock);
	return all;
}

static void
ready_add_locked(struct latch_table *t, struct commit *c)
{
	c->latch_next = NULL;
	*t->ready_tail = c;
	t->ready_tail = &c->latch_next;
	pthread_cond_signal(&t->wake);
}

/* Gives the latch to those at the head of its queue. */
static void
grant_locked(struct latch_table *t, struct latch *l)
{
	struct commit *c;

	while ((c = l->waiting) && latch_is_free_locked(l, c->holds[c->held].exclusive)) {
		l->waiting = c->latch_next;
		if (l->waiting == NULL)
			l->waiting_tail = &l->waiting;
		latch_take_locked(l, c->holds[c->held].exclusive);
		c->held++;
		if (advance_locked(t, c))
			ready_add_locked(t, c);
	}
}

void
latch_release(struct latch_table *t, struct commit *c)
{
	if (c->held == 0)
		return;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < c->held; i++) {
		struct latch *l = c->holds[i].latch;

		if (c->holds[i].exclusive)
			l->exclusive = false;
		else
			l->shared--;
		grant_locked(t, l);
		if (l->shared == 0 && !l->exclusive && l->waiting == NULL)
			latch_drop_locked(t, l);
	}
	pthread_mutex_unlock(&t->lock);
	c->held = 0;
}

void
latch_defer(struct latch_table *t, struct commit *c)
{
	pthread_mutex_lock(&t->lock);
	ready_add_locked(t, c);
	pthread_mutex_unlock(&t->lock);
}

struct commit *
latch_next_ready(struct latch_table *t)
{
	struct commit *c;

	pthread_mutex_lock(&t->lock);
	while (t->ready == NULL && !t->stop)
		pthread_cond_wait(&t->wake, &t->lock);
	c = t->ready;
	if (c) {
		t->ready = c->latch_next;
		if (t->ready == NULL)
			t->ready_tail = &t->ready;
	}
	pthread_mutex_unlock(&t->lock);
	return c;
}

void
latch_stop(struct latch_table *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

void
latch_describe(struct latch_table *t, struct dump *out)
{
	uint64_t shared = 0, exclusive = 0, parked = 0, ready = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < LATCH_TABLE; i++)
		for (struct latch *l = t->slots[i]; l; l = l->chain) {
			shared += l->shared;
			exclusive += l->exclusive;
			for (struct commit *c = l->waiting; c; c = c->latch_next)
				parked++;
		}
	for (struct commit *c = t->ready; c; c = c->latch_next)
		ready++;
	pthread_mutex_unlock(&t->lock);
	dump_object(out, "latches");
	dump_number(out, "held_shared", shared);
	dump_number(out, "held_exclusive", exclusive);
	dump_number(out, "batches_parked", parked);
	dump_number(out, "batches_to_resume", ready);
	dump_end(out);
}
