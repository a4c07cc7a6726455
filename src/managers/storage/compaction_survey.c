/*
 * compaction_survey.c: which volumes there are, and what of each is live: counted from all rows of blocks. [background]
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "managers/storage/compaction_int.h"
#include <stdlib.h>

#define SURVEY_PAGE 512

static struct volume_state *
volume_find(struct compaction *c, uint64_t number)
{
	size_t low = 0, high = c->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (c->volumes[middle].v.number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->count && c->volumes[low].v.number == number ? &c->volumes[low] : NULL;
}

bool
compaction_list_has(const uint64_t *list, size_t count, uint64_t number)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == number)
			return true;
	return false;
}

void
compaction_list_add(uint64_t **list, size_t *count, uint64_t number)
{
	if (compaction_list_has(*list, *count, number))
		return;
	*list = xrealloc(*list, (*count + 1) * sizeof(**list));
	(*list)[(*count)++] = number;
}

static enum rfs_err
volumes_list(struct compaction *c)
{
	struct storage_driver *d = c->storage->driver;
	struct storage_volume *list = NULL;
	enum rfs_err err;

	free(c->volumes);
	c->volumes = NULL;
	c->count = 0;
	if ((err = d->volumes->list(d, &c->rq, &list, &c->count)))
		return err;
	c->volumes = xcalloc(c->count + 1, sizeof(*c->volumes));
	for (size_t i = 0; i < c->count; i++) {
		c->volumes[i].v = list[i];
		c->volumes[i].kept = !c->by_hand && compaction_list_has(c->kept, c->kept_count, list[i].number);
		c->volumes[i].tried = compaction_list_has(c->tried, c->tried_count, list[i].number);
	}
	free(list);
	return RFS_OK;
}

/* A row that cannot be read may name anything: then nothing may be removed. */
static enum rfs_err
row_count(struct compaction *c, const struct row *row)
{
	struct run_row run;
	enum rfs_err err = run_decode(row->value, &run);

	if (err)
		return request_fail(&c->rq, err, "reading a row of blocks of bucket number %llu", (unsigned long long)load_be64(row->key.data));
	for (uint32_t i = 0; i < run.count; i++) {
		struct block_location location;
		struct volume_state *state;
		uint64_t number, bytes;

		memcpy(location.bytes, run.locations + (size_t)i * BLOCK_LOCATION_BYTES, BLOCK_LOCATION_BYTES);
		c->storage->driver->volumes->locate(&location, &number, &bytes);
		if ((state = volume_find(c, number))) {
			state->live_bytes += bytes;
			state->live_blocks++;
		} else if (c->count && number < c->volumes[c->count - 1].v.number) { /* others were made meanwhile */
			compaction_list_add(&c->missing, &c->missing_count, number);
		}
	}
	return RFS_OK;
}

static enum rfs_err
bucket_survey(struct compaction *c, uint64_t bucket)
{
	struct row_page page = { .more = true };
	uint64_t next = 0;
	enum rfs_err err = RFS_OK;

	while (!err && page.more) {
		struct request *rq = &c->rq;
		uint64_t bytes = 0;

		arena_reset(rq->arena);
		err = metadata_scan(c->storage->metadata, rq, key_block(rq->arena, bucket, next),
			key_table(rq->arena, bucket, TABLE_BLOCK + 1, bytes_of(NULL, 0)), SURVEY_PAGE, false, &page);
		for (size_t i = 0; !err && i < page.count; i++) {
			err = row_count(c, &page.rows[i]);
			bytes += page.rows[i].key.len + page.rows[i].value.len;
			next = load_be64(page.rows[i].key.data + 9) + 1;
		}
		if (!err && !compaction_pace(c, bytes))
			err = RFS_ERR_CANCELLED;
	}
	return err;
}

void
compaction_tell(struct compaction *c)
{
	uint64_t live[2] = { 0 }, garbage[2] = { 0 };

	for (size_t i = 0; i < c->count; i++) {
		const struct volume_state *s = &c->volumes[i];

		if (s->removed)
			continue;
		live[s->v.has_batches] += s->live_bytes;
		if (s->v.bytes > s->v.head + s->live_bytes)
			garbage[s->v.has_batches] += s->v.bytes - s->v.head - s->live_bytes;
	}
	metric_set(METRIC_STORE_LIVE_BULK, (int64_t)live[0]);
	metric_set(METRIC_STORE_LIVE_JOURNAL, (int64_t)live[1]);
	metric_set(METRIC_STORE_GARBAGE_BULK, (int64_t)garbage[0]);
	metric_set(METRIC_STORE_GARBAGE_JOURNAL, (int64_t)garbage[1]);
	c->report.live_bytes = live[0] + live[1];
	c->report.garbage_bytes = garbage[0] + garbage[1];
}

/* What was in them is named when it is read, by verify or the scrub. */
static void
missing_tell(struct compaction *c)
{
	metric_set(METRIC_STORE_MISSING_VOLUMES, (int64_t)c->missing_count);
	for (size_t i = 0; i < c->missing_count; i++)
		log_error(0, "volume %016llx is not there, or cannot be read, and blocks in it are needed: restfs verify names what is lost",
			(unsigned long long)c->missing[i]);
}

/* For compaction_describe. */
static void
survey_keep(struct compaction *c)
{
	struct volume_live *seen = xcalloc(c->count + 1, sizeof(*seen));

	for (size_t i = 0; i < c->count; i++)
		seen[i] = (struct volume_live){c->volumes[i].v.number, c->volumes[i].live_bytes};
	pthread_mutex_lock(&c->lock);
	free(c->seen);
	c->seen = seen;
	c->seen_count = c->count;
	pthread_mutex_unlock(&c->lock);
}

enum rfs_err
compaction_survey(struct compaction *c)
{
	int64_t start = clock_monotonic_ns();
	uint64_t bucket = 1;
	bool found = true;
	enum rfs_err err;

	compaction_step(c, "look", 0);
	c->missing_count = 0;
	arena_reset(c->rq.arena);
	request_clear_error(&c->rq);
	if ((err = volumes_list(c)))
		return err;
	while (!err && !(err = storage_bucket_from(c->storage, &c->rq, &bucket, &found)) && found)
		err = bucket_survey(c, bucket++);
	c->looked_ns += clock_monotonic_ns() - start;
	if (!err) {
		survey_keep(c);
		missing_tell(c);
	}
	return err;
}

uint64_t
compaction_disk_bytes(struct compaction *c)
{
	struct metadata_driver *d = metadata_driver(c->storage->metadata);
	struct metadata_info info = { 0 };

	d->ops->info(d, &info);
	return info.bytes_on_disk;
}
