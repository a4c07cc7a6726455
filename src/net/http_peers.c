/* http_peers.c: how many connections each address has: a table of chains under one lock, touched at open and close
 * only. [any] */
#include "net/http_int.h"
#include "base/clock.h"
#include "base/hash.h"
#include <stdlib.h>

#define PEER_CHAINS 1024

struct peer {
	struct peer *next;
	uint8_t address[16];
	size_t count;
};

struct http_peers {
	pthread_mutex_t lock; /* chains */
	uint64_t seed;        /* so that nobody can choose addresses that share a chain */
	struct peer *chains[PEER_CHAINS];
};

struct http_peers *
peers_new(void)
{
	struct http_peers *p = xcalloc(1, sizeof(*p));

	pthread_mutex_init(&p->lock, NULL);
	random_bytes(&p->seed, sizeof(p->seed));
	return p;
}

void
peers_free(struct http_peers *p)
{
	for (size_t i = 0; i < PEER_CHAINS; i++)
		assert(p->chains[i] == NULL);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* The link that points to the address's entry, or to NULL at the chain's end. */
static struct peer **
find_locked(struct http_peers *p, const uint8_t address[16])
{
	struct peer **at = &p->chains[hash64(bytes_of(address, 16), p->seed) % PEER_CHAINS];

	while (*at && memcmp((*at)->address, address, 16) != 0)
		at = &(*at)->next;
	return at;
}

bool
peers_enter(struct http_peers *p, const uint8_t address[16], size_t most)
{
	struct peer **at;
	bool room;

	pthread_mutex_lock(&p->lock);
	at = find_locked(p, address);
	room = (*at ? (*at)->count : 0) < most;
	if (room) {
		if (*at == NULL) {
			*at = xcalloc(1, sizeof(**at));
			memcpy((*at)->address, address, 16);
		}
		(*at)->count++;
	}
	pthread_mutex_unlock(&p->lock);
	return room;
}

void
peers_leave(struct http_peers *p, const uint8_t address[16])
{
	struct peer **at, *gone = NULL;

	pthread_mutex_lock(&p->lock);
	at = find_locked(p, address);
	assert(*at);
	if (--(*at)->count == 0) {
		gone = *at;
		*at = gone->next;
	}
	pthread_mutex_unlock(&p->lock);
	free(gone);
}
