/* storage.c: the storage manager's life, and the pins of contents that are being read. */
#include "managers/storage/storage_int.h"
#include "base/config.h"
#include "base/log.h"
#include "base/mutant.h"
#include <stdlib.h>

enum rfs_err
storage_new(struct metadata *metadata, struct storage_driver *driver, const struct config *config, struct storage **out)
{
	struct storage *s = xcalloc(1, sizeof(*s));
	struct request rq = { .arena = arena_new(256), .door = "start", .may_block = true };
	struct metadata_info info = { 0 };
	enum rfs_err err;

	metadata_driver(metadata)->ops->info(metadata_driver(metadata), &info);
	s->metadata = metadata;
	s->driver = driver;
	s->fused = info.fused;
	s->small_bytes = (size_t)config->journal_small_block_bytes + FRAME_TABLE_BYTES(config->journal_small_block_bytes);
	s->feed_limits = (struct feed_limits){ .rows = (uint64_t)config->feed_rows, .age_ns = config->feed_time * 1000000,
		.cursor_ns = config->feed_cursor_time * 1000000 };
	s->feed_interval_ns = config->feed_interval * 1000000;
	pthread_mutex_init(&s->pins_lock, NULL);
	pthread_mutex_init(&s->reaper_lock, NULL);
	pthread_cond_init(&s->reaper_wake, NULL);
	pthread_cond_init(&s->reaper_done, NULL);
	err = metadata_numbers_before(metadata, &rq, &s->numbers_before);
	arena_free(rq.arena);
	if (err) {
		free(s);
		return err;
	}
	s->compute = compute_new();
	s->damages = damages_new(metadata); /* before the threads that find some */
	s->scrub = scrub_new(s, config);
	if (driver->volumes)
		s->compaction = compaction_start(s, config);
	if (pthread_create(&s->reaper, NULL, reaper_run, s) != 0) {
		log_error(0, "start the reaper's thread");
		abort();
	}
	*out = s;
	return RFS_OK;
}

void
storage_free(struct storage *s)
{
	if (!s)
		return;
	compaction_free(s->compaction); /* it asks for a scrub */
	scrub_free(s->scrub);
	pthread_mutex_lock(&s->reaper_lock);
	s->stopping = true;
	pthread_cond_signal(&s->reaper_wake);
	pthread_mutex_unlock(&s->reaper_lock);
	pthread_join(s->reaper, NULL);
	damages_write(s);
	damages_free(s->damages);
	compute_free(s->compute);
	pthread_mutex_destroy(&s->pins_lock);
	pthread_mutex_destroy(&s->reaper_lock);
	pthread_cond_destroy(&s->reaper_wake);
	pthread_cond_destroy(&s->reaper_done);
	free(s);
}

void
storage_shut_down(struct storage *s)
{
	pthread_mutex_lock(&s->reaper_lock);
	s->shutting_down = true;
	pthread_cond_broadcast(&s->reaper_done);
	pthread_mutex_unlock(&s->reaper_lock);
	if (s->compaction)
		compaction_stop(s->compaction);
	scrub_stop(s->scrub);
}

enum rfs_err
storage_bucket_from(struct storage *s, struct request *rq, uint64_t *bucket, bool *found)
{
	struct bytes from = key_table(rq->arena, *bucket, 0, bytes_of(NULL, 0));
	struct bytes to = key_table(rq->arena, UINT64_MAX, 0, bytes_of(NULL, 0));
	struct row_page page;
	enum rfs_err err = metadata_scan(s->metadata, rq, from, to, 1, false, &page);

	*found = !err && page.count > 0;
	if (*found)
		*bucket = load_be64(page.rows[0].key.data);
	return err;
}

static struct pin **
pin_find_locked(struct storage *s, uint64_t data_id)
{
	struct pin **at = &s->pins[data_id % PIN_SLOTS];

	while (*at && (*at)->data_id != data_id)
		at = &(*at)->next;
	return at;
}

void
storage_pin(struct storage *s, uint64_t data_id)
{
	struct pin **at;

	pthread_mutex_lock(&s->pins_lock);
	at = pin_find_locked(s, data_id);
	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->data_id = data_id;
	}
	(*at)->count++;
	pthread_mutex_unlock(&s->pins_lock);
}

void
storage_unpin(struct storage *s, uint64_t data_id)
{
	struct pin **at;

	pthread_mutex_lock(&s->pins_lock);
	at = pin_find_locked(s, data_id);
	if (*at && --(*at)->count == 0) {
		struct pin *gone = *at;

		*at = gone->next;
		free(gone);
	}
	pthread_mutex_unlock(&s->pins_lock);
}

bool
storage_is_pinned(struct storage *s, uint64_t data_id)
{
	bool pinned;

	pthread_mutex_lock(&s->pins_lock);
	pinned = *pin_find_locked(s, data_id) != NULL && !MUTANT("pins-ignored");
	pthread_mutex_unlock(&s->pins_lock);
	return pinned;
}

/* --- for developers ------------------------------------------------------------------------------------------------------------- */

static void
pins_describe(struct storage *s, struct dump *out)
{
	size_t listed = 0;

	dump_list(out, "pinned_contents");
	pthread_mutex_lock(&s->pins_lock);
	for (size_t i = 0; i < PIN_SLOTS; i++)
		for (struct pin *p = s->pins[i]; p && listed < DUMP_LIST_MOST; p = p->next, listed++) {
			dump_object(out, NULL);
			dump_number(out, "data_id", p->data_id);
			dump_number(out, "readers", p->count);
			dump_end(out);
		}
	pthread_mutex_unlock(&s->pins_lock);
	dump_end(out);
}

void
storage_describe(struct storage *s, struct request *rq, struct dump *out)
{
	pins_describe(s, out);
	dump_object(out, "reaper");
	pthread_mutex_lock(&s->reaper_lock);
	dump_number(out, "bucket", s->reaping);
	dump_number(out, "buckets_gone_through", s->reaped);
	pthread_mutex_unlock(&s->reaper_lock);
	dump_end(out);
	scrub_describe(s->scrub, out);
	if (s->compaction)
		compaction_describe(s->compaction, rq, out);
}
