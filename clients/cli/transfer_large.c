/* transfer_large.c: what is transferred in parts, which many threads take. */
#include "transfer.h"
#include "base/hash.h"
#include "cli_interrupt.h"
#include <stdlib.h>
#include <unistd.h>

#define MIB (1024 * 1024)

struct large *
large_new(const struct job *job, const struct large_kind *kind, uint64_t size, uint64_t part_size)
{
	struct arena *arena = arena_new(4096);
	struct large *large = ARENA_NEW(arena, struct large);
	uint64_t least = (size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;

	large->arena = arena;
	large->kind = kind;
	large->fd = large->lock = -1;
	large->part_size = part_size > least ? part_size : (least + MIB - 1) / MIB * MIB;
	large->parts = (unsigned)((size + large->part_size - 1) / large->part_size);
	large->job = ARENA_NEW(arena, struct job);
	*large->job = *job;
	large->job->size = size;
	large->job->from = arena_str(arena, bytes_str(job->from));
	large->job->to = arena_str(arena, bytes_str(job->to));
	large->job->etag = arena_str(arena, bytes_str(job->etag));
	large->uploaded = ARENA_ARRAY(arena, struct s3_part, large->parts);
	large->crcs = ARENA_ARRAY(arena, uint64_t, large->parts);
	return large;
}

void
large_free(struct large *large)
{
	if (large->fd >= 0)
		close(large->fd);
	if (large->lock >= 0)
		close(large->lock);
	arena_free(large->arena);
}

const char *
large_text(struct transfer *t, struct large *large, const char *text)
{
	const char *copy;

	pthread_mutex_lock(&t->lock);
	copy = arena_str(large->arena, bytes_str(text));
	pthread_mutex_unlock(&t->lock);
	return copy;
}

uint64_t
large_offset(const struct large *large, unsigned number)
{
	return number * large->part_size;
}

uint64_t
large_length(const struct large *large, unsigned number)
{
	uint64_t left = large->job->size - large_offset(large, number);

	return left < large->part_size ? left : large->part_size;
}

/* Was this the last that is under way? After a failure no more are begun. */
static bool
part_ended(struct transfer *t, struct large *large, bool done)
{
	bool is_last;

	pthread_mutex_lock(&t->lock);
	large->failed |= !done;
	large->done++;
	t->parts_running--;
	t->parts_done += done;
	is_last = large->done == large->taken && (large->taken == large->parts || large->failed);
	if (is_last && large->taken < large->parts) /* nobody shall find it any more */
		for (struct large **at = &t->larges; *at; at = &(*at)->next)
			if (*at == large) {
				*at = large->next;
				break;
			}
	if (is_last)
		t->running++; /* its end may take a while: nobody goes home */
	if (t->waiting > 0)
		pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
	return is_last;
}

static void
large_end(struct worker *w, struct large *large)
{
	struct transfer *t = w->transfer;
	bool whole = !large->failed;

	if (large->kind->finish(w, large, whole) && whole && transfer_source_remove(w, large->job))
		report_done(t, large->job, large->job->size);
	large_free(large);
	pthread_mutex_lock(&t->lock);
	if (--t->running == 0 && t->closed)
		pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
}

void
large_part_run(struct worker *w, struct large *large, unsigned number)
{
	bool done;

	w->large = large;
	done = !large->failed && !interrupt_came() && large->kind->part(w, large, number);
	w->large = NULL;
	transfer_settled(w, done ? large_length(large, number) : 0);
	if (part_ended(w->transfer, large, done))
		large_end(w, large);
}

bool
large_has_parts(const struct large *large)
{
	for (unsigned i = 0; i < large->parts; i++)
		if (large->uploaded[i].number > 0)
			return true;
	return false;
}

uint64_t
large_crc(const struct large *large)
{
	uint64_t crc = 0;

	for (unsigned i = 0; i < large->parts; i++)
		crc = i == 0 ? large->crcs[0] : crc64nvme_combine(crc, large->crcs[i], large_length(large, i));
	return crc;
}

const char *
crc64_text(struct arena *arena, uint64_t crc)
{
	char *text = arena_alloc(arena, 13);
	uint8_t bytes[8];

	store_be64(bytes, crc);
	base64_encode(bytes_of(bytes, 8), text);
	return text;
}

bool
crc64_parse(const char *text, uint64_t *crc)
{
	uint8_t bytes[8];

	if (!text || !base64_decode(bytes_str(text), bytes, 8))
		return false;
	*crc = load_be64(bytes);
	return true;
}
