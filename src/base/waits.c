/* waits.c: one lock, lists by topic, and a count beside each list that says without the lock whether it is empty. [any]
 */
#include "base/waits.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include <stdlib.h>

#define SLOTS 256
#define LOOK_NS NS_PER_SECOND /* how long a caller may be gone before it is seen */

struct slot {
	atomic_uint count; /* changed under the lock */
	struct wait *first;
};

struct waits {
	struct slot slots[SLOTS];
	pthread_mutex_t lock;
	pthread_cond_t changed; /* there is an earlier deadline, or the end has come */
	pthread_t thread;
	int64_t next_look_ns;
	unsigned begun;
	bool stopped;
};

static struct slot *
slot_of(struct waits *s, uint64_t topic)
{
	return &s->slots[topic * UINT64_C(0x9E3779B97F4A7C15) >> 56];
}

/* Adds to a list of those that will be woken when the lock is free: until then their memory stays. */
static void
wake_later_locked(struct wait **list, struct wait *w)
{
	w->next = *list;
	*list = w;
}

static void
remove_locked(struct wait *w)
{
	struct slot *slot = slot_of(w->waits, w->topic);

	if (w->prev)
		w->prev->next = w->next;
	else
		slot->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	atomic_fetch_sub(&slot->count, 1);
	w->waits->begun -= w->begun;
	w->waits = NULL;
}

static void
wake_all(struct wait *list)
{
	while (list) {
		struct wait *w = list;

		list = w->next;
		w->wake(w);
	}
}

void
waits_arm(struct waits *s, struct wait *w, uint64_t topic)
{
	struct slot *slot = slot_of(s, topic);

	waits_disarm(w);
	pthread_mutex_lock(&s->lock);
	w->waits = s;
	w->topic = topic;
	w->raised = w->begun = false;
	w->prev = NULL;
	w->next = slot->first;
	if (w->next)
		w->next->prev = w;
	slot->first = w;
	atomic_fetch_add(&slot->count, 1); /* before anything is looked at: see waits_raise */
	pthread_mutex_unlock(&s->lock);
}

void
waits_disarm(struct wait *w)
{
	struct waits *s = w->waits;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	remove_locked(w);
	pthread_mutex_unlock(&s->lock);
}

bool
waits_begin(struct wait *w)
{
	struct waits *s = w->waits;
	bool waits;

	pthread_mutex_lock(&s->lock);
	waits = !w->raised && !s->stopped && w->deadline_ns > clock_monotonic_ns();
	if (waits) {
		w->begun = true;
		s->begun++;
		if (s->begun == 1 || w->deadline_ns < s->next_look_ns)
			pthread_cond_signal(&s->changed);
	} else {
		remove_locked(w);
	}
	pthread_mutex_unlock(&s->lock);
	return waits;
}

void
waits_raise(struct waits *s, uint64_t topic)
{
	struct slot *slot = slot_of(s, topic);
	struct wait *list = NULL, *w, *next;

	/* Who counts himself after this sees what was done before it. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&slot->count, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&s->lock);
	for (w = slot->first; w; w = next) {
		next = w->next;
		if (w->topic != topic)
			continue;
		w->raised = true;
		if (!w->begun)
			continue;
		remove_locked(w);
		wake_later_locked(&list, w);
	}
	pthread_mutex_unlock(&s->lock);
	wake_all(list);
}

unsigned
waits_count(struct waits *s)
{
	unsigned count;

	pthread_mutex_lock(&s->lock);
	count = s->begun;
	pthread_mutex_unlock(&s->lock);
	return count;
}

/* --- deadlines ---------------------------------------------------------------------------------------------------- */

/* Those whose time is up, or whose caller has gone; and when to look again. */
static struct wait *
look_locked(struct waits *s)
{
	int64_t now = clock_monotonic_ns();
	struct wait *list = NULL, *w, *next;

	s->next_look_ns = now + LOOK_NS;
	for (unsigned i = 0; i < SLOTS; i++)
		for (w = s->slots[i].first; w; w = next) {
			next = w->next;
			if (!w->begun)
				continue;
			if (s->stopped || w->deadline_ns <= now || (w->gone && atomic_load(w->gone))) {
				remove_locked(w);
				wake_later_locked(&list, w);
			} else if (w->deadline_ns < s->next_look_ns) {
				s->next_look_ns = w->deadline_ns;
			}
		}
	return list;
}

static void
sleep_locked(struct waits *s)
{
	struct timespec until = clock_timespec(s->next_look_ns);

	if (s->begun)
		pthread_cond_timedwait(&s->changed, &s->lock, &until);
	else
		pthread_cond_wait(&s->changed, &s->lock);
}

static void *
watch(void *arg)
{
	struct waits *s = arg;
	struct wait *list;
	bool stopped = false;

	thread_role_set(THREAD_BACKGROUND, "waits");
	while (!stopped) {
		pthread_mutex_lock(&s->lock);
		if (!s->stopped)
			sleep_locked(s);
		list = look_locked(s);
		stopped = s->stopped;
		pthread_mutex_unlock(&s->lock);
		wake_all(list);
	}
	return NULL;
}

struct waits *
waits_new(void)
{
	struct waits *s = xcalloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&s->thread, NULL, watch, s) != 0) {
		log_error(0, "start the thread that looks for callers that have gone");
		abort();
	}
	return s;
}

void
waits_stop(struct waits *s)
{
	bool had;

	pthread_mutex_lock(&s->lock);
	had = s->stopped;
	s->stopped = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (!had)
		pthread_join(s->thread, NULL);
}

void
waits_free(struct waits *s)
{
	if (!s)
		return;
	waits_stop(s);
	for (unsigned i = 0; i < SLOTS; i++)
		assert(!s->slots[i].first);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
