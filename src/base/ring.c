/* ring.c: records one behind the other, each u32 length and bytes, around the end of one piece of memory. [any] */
#include "base/ring.h"
#include "base/arena.h"
#include "base/clock.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define LENGTH_BYTES 4

struct ring {
	pthread_mutex_t lock;
	uint64_t first, last; /* numbers of the oldest record and the newest; last = first - 1: none is there */
	uint64_t before;      /* the number behind which this ring began */
	size_t start, used;   /* bytes of records, from start on */
	size_t size;
	uint8_t data[];
};

struct ring *
ring_new(size_t bytes, uint64_t number)
{
	struct ring *r = xmalloc(sizeof(*r) + bytes);

	*r = (struct ring){.first = number + 1, .last = number, .before = number, .size = bytes};
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void
ring_free(struct ring *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

uint64_t
ring_number_now(void)
{
	return (uint64_t)clock_wall_ns() / 1000;
}

static void
copy_out(const struct ring *r, size_t at, uint8_t *to, size_t len)
{
	size_t here;

	at %= r->size;
	here = len < r->size - at ? len : r->size - at;
	memcpy(to, r->data + at, here);
	memcpy(to + here, r->data, len - here);
}

static void
append_locked(struct ring *r, const uint8_t *from, size_t len)
{
	size_t at = (r->start + r->used) % r->size, here = len < r->size - at ? len : r->size - at;

	if (len == 0)
		return;
	memcpy(r->data + at, from, here);
	memcpy(r->data, from + here, len - here);
	r->used += len;
}

/* With its length. */
static size_t
record_bytes(const struct ring *r, size_t at)
{
	uint8_t length[LENGTH_BYTES];

	copy_out(r, at, length, LENGTH_BYTES);
	return LENGTH_BYTES + load_u32(length);
}

static void
drop_first_locked(struct ring *r)
{
	size_t bytes = record_bytes(r, r->start);

	r->start = (r->start + bytes) % r->size;
	r->used -= bytes;
	r->first++;
}

void
ring_put(struct ring *r, const struct bytes *parts, size_t count)
{
	uint8_t length[LENGTH_BYTES];
	size_t len = 0, left, i;

	for (i = 0; i < count; i++)
		len += parts[i].len;
	if (len > r->size / 4)
		len = r->size / 4;
	store_u32(length, (uint32_t)len);
	pthread_mutex_lock(&r->lock);
	while (r->size - r->used < LENGTH_BYTES + len)
		drop_first_locked(r);
	append_locked(r, length, LENGTH_BYTES);
	for (i = 0, left = len; i < count; i++) {
		size_t n = parts[i].len < left ? parts[i].len : left;

		append_locked(r, parts[i].data, n);
		left -= n;
	}
	r->last++;
	pthread_mutex_unlock(&r->lock);
}

void
ring_read(struct ring *r, uint64_t after, size_t bytes, struct buf *out, struct ring_page *page)
{
	size_t at, len, read = 0;

	*page = (struct ring_page){0};
	pthread_mutex_lock(&r->lock);
	page->strange = after < r->before || after > r->last;
	if (page->strange)
		after = r->first - 1;
	if (after < r->first - 1) {
		page->lost = r->first - 1 - after;
		after = r->first - 1;
	}
	at = r->start;
	for (uint64_t i = r->first; i <= after; i++)
		at += record_bytes(r, at);
	for (; after < r->last && read < bytes; after++, page->count++) {
		len = record_bytes(r, at);
		buf_reserve(out, len);
		copy_out(r, at, out->data + out->len, len);
		out->len += len;
		at += len;
		read += len;
	}
	page->next = after;
	pthread_mutex_unlock(&r->lock);
}

uint64_t
ring_before(struct ring *r, uint64_t records)
{
	uint64_t number;

	pthread_mutex_lock(&r->lock);
	number = r->last - (r->first - 1) > records ? r->last - records : r->first - 1;
	pthread_mutex_unlock(&r->lock);
	return number;
}

bool
ring_next(struct bytes *records, struct bytes *record)
{
	size_t len;

	if (records->len < LENGTH_BYTES)
		return false;
	len = load_u32(records->data);
	assert(records->len >= LENGTH_BYTES + len);
	*record = bytes_sub(*records, LENGTH_BYTES, len);
	*records = bytes_sub(*records, LENGTH_BYTES + len, SIZE_MAX);
	return true;
}
