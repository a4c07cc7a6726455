/* scrub.c: when the store is read for damage, and how fast; see scrub.h. */
#include "managers/storage/scrub.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "managers/storage/storage_int.h"
#include <stdlib.h>

#define MS_NS INT64_C(1000000)
#define START_NS (INT64_C(600) * 1000 * MS_NS) /* a start has other things to do */
#define KEEP_NS (INT64_C(60) * 1000 * MS_NS)   /* how much of a round a kill may cost */

struct scrub {
	struct storage *storage;
	bool enabled;
	uint64_t rate, verify_rate;
	int64_t interval_ns;

	pthread_t thread;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t wake;
	bool stopping;
	bool asked;     /* for a round */
	bool verifying; /* a bucket, for somebody */
	struct scrub_status status;

	/* The thread's: what is kept over a restart. */
	struct scrub_row kept; /* without the key, which is */
	struct buf key;
	int64_t kept_ns; /* of the monotonic clock: when it was written */
};

/* --- pace -----------------------------------------------------------------------------------------------------------
 */

/* Whoever reads: as fast as may be. */
struct pacer {
	struct scrub *scrub;
	uint64_t rate;
	int64_t due_ns; /* when as much may have been read as was */
};

/* Until `due_ns`, or the end; false: the end. */
static bool
wait_locked(struct scrub *scrub, int64_t due_ns)
{
	struct timespec until = clock_timespec(due_ns);

	while (!scrub->stopping && due_ns > clock_monotonic_ns())
		pthread_cond_timedwait(&scrub->wake, &scrub->lock, &until);
	return !scrub->stopping;
}

static bool
pacer_wait(struct pacer *p, uint64_t bytes)
{
	int64_t now = clock_monotonic_ns();
	bool go_on;

	if (p->due_ns < now)
		p->due_ns = now;
	pthread_mutex_lock(&p->scrub->lock);
	go_on = wait_locked(p->scrub, p->due_ns);
	pthread_mutex_unlock(&p->scrub->lock);
	p->due_ns += (int64_t)((double)bytes * 1e9 / (double)p->rate);
	return go_on;
}

/* --- what is kept ------------------------------------------------------------------------------------------------- */

int64_t
scrub_wait_ns(const struct scrub_row *kept, int64_t now_ns, int64_t interval_ns)
{
	int64_t least = interval_ns < START_NS ? interval_ns : START_NS,
		wait = kept->finished_ns + interval_ns - now_ns;

	if (!kept->finished_ns || kept->bucket || wait < least)
		return least;
	return wait < interval_ns ? wait : interval_ns;
}

/* At the start. What cannot be read is as if it were not there: the next round writes it anew. */
static void
kept_read(struct scrub *scrub)
{
	struct request rq = {.arena = arena_new(4096), .door = "scrub", .may_block = true};
	struct scrub_status *status = &scrub->status;
	struct row row;

	buf_init(&scrub->key, NULL);
	if (!metadata_get(scrub->storage->metadata, &rq, key_scrub(rq.arena), &row) && row.found) {
		if (scrub_row_decode(row.value, &scrub->kept))
			scrub->kept = (struct scrub_row){0};
		buf_put_bytes(&scrub->key, scrub->kept.key);
		status->finished_ns = scrub->kept.finished_ns;
		status->started_ns = scrub->kept.last.started_ns;
		status->objects = scrub->kept.last.objects;
		status->bytes = scrub->kept.last.bytes;
		status->damaged = scrub->kept.last.damaged;
	}
	arena_free(rq.arena);
}

static void
kept_write(struct scrub *scrub)
{
	struct request rq = {.arena = arena_new(4096), .door = "scrub", .may_block = true, .need = SPACE_FREES};
	struct batch *b = batch_new(DOMAIN_BUCKET);
	struct buf value;
	enum rfs_err err;

	damages_write(scrub->storage); /* what it found up to there */
	scrub->kept.key = buf_bytes(&scrub->key);
	buf_init(&value, b->arena);
	scrub_row_encode(&value, &scrub->kept);
	batch_put(b, key_scrub(b->arena), buf_bytes(&value));
	if ((err = metadata_commit(scrub->storage->metadata, &rq, b)))
		log_warn(0, "keep how far the scrub is: %s", error_face(err)->text);
	scrub->kept_ns = clock_monotonic_ns();
	batch_free(b);
	arena_free(rq.arena);
}

static struct scrub_round
round_of(struct scrub *scrub)
{
	struct scrub_round round;

	pthread_mutex_lock(&scrub->lock);
	round = (struct scrub_round){
		scrub->status.started_ns, scrub->status.objects, scrub->status.bytes, scrub->status.damaged};
	pthread_mutex_unlock(&scrub->lock);
	return round;
}

/* --- the scrub ------------------------------------------------------------------------------------------------------
 */

static bool
scrub_pace(void *data, uint64_t bytes)
{
	struct pacer *p = data;

	pthread_mutex_lock(&p->scrub->lock);
	p->scrub->status.bytes += bytes;
	pthread_mutex_unlock(&p->scrub->lock);
	metric_add(METRIC_SCRUB_BYTES, (int64_t)bytes);
	return pacer_wait(p, bytes);
}

static void
scrub_object(void *data, struct bytes key)
{
	struct pacer *p = data;
	struct scrub *scrub = p->scrub;

	pthread_mutex_lock(&scrub->lock);
	scrub->status.objects++;
	pthread_mutex_unlock(&scrub->lock);
	metric_add(METRIC_SCRUB_OBJECTS, 1);
	scrub->key.len = 0;
	buf_put_bytes(&scrub->key, key);
	scrub->kept.broken_off = round_of(scrub);
	if (clock_monotonic_ns() >= scrub->kept_ns + KEEP_NS)
		kept_write(scrub);
}

static void
scrub_found(void *data, const struct bucket_row *bucket, struct bytes key, struct bytes row, uint64_t data_id,
	const char *problem)
{
	struct pacer *p = data;

	pthread_mutex_lock(&p->scrub->lock);
	p->scrub->status.damaged++;
	pthread_mutex_unlock(&p->scrub->lock);
	damage_note(p->scrub->storage, bucket, key, row, data_id, "scrub", problem);
}

/* One that is there, by its number. */
static enum rfs_err
bucket_scrub(struct pacer *p, struct request *rq, uint64_t id)
{
	struct verify verify = {.pace = scrub_pace, .object = scrub_object, .found = scrub_found, .data = p};
	struct scrub *scrub = p->scrub;
	struct bucket_row bucket;
	struct bytes after;
	struct row row;
	enum rfs_err err = metadata_get(scrub->storage->metadata, rq, key_bucket(rq->arena, id), &row);

	if (err || !row.found || bucket_row_decode(row.value, &bucket) || bucket.removed)
		return err;
	bucket.serial = row.serial;
	if (scrub->kept.bucket != id)
		scrub->key.len = 0;
	scrub->kept.bucket = id;
	scrub->kept.broken_off = round_of(scrub);
	after = arena_copy(rq->arena, buf_bytes(&scrub->key));
	pthread_mutex_lock(&scrub->lock);
	memset(scrub->status.bucket, 0, sizeof(scrub->status.bucket));
	memcpy(scrub->status.bucket, bucket.name.data,
		bucket.name.len < sizeof(scrub->status.bucket) ? bucket.name.len : sizeof(scrub->status.bucket) - 1);
	pthread_mutex_unlock(&scrub->lock);
	return verify_run(scrub->storage, &bucket, after, &verify);
}

static enum rfs_err
store_scrub(struct pacer *p)
{
	struct request rq = {.arena = arena_new(4096), .door = "scrub", .may_block = true};
	struct damage_info *list;
	uint64_t id = p->scrub->kept.bucket ? p->scrub->kept.bucket : 1;
	size_t count;
	bool found = true;
	enum rfs_err err = RFS_OK;

	while (!err && found) {
		arena_reset(rq.arena);
		if (!(err = storage_bucket_from(p->scrub->storage, &rq, &id, &found)) && found)
			err = bucket_scrub(p, &rq, id);
		id++;
	}
	if (!err)
		err = damage_list(p->scrub->storage, &rq, &list, &count); /* what was replaced since is forgotten */
	arena_free(rq.arena);
	return err;
}

/* One that was broken off is gone on with, unless somebody asks for a new one. */
static void
round_begin_locked(struct scrub *scrub)
{
	struct scrub_round *round = &scrub->kept.broken_off;

	if (scrub->asked || !scrub->kept.bucket) {
		*round = (struct scrub_round){.started_ns = clock_wall_ns()};
		scrub->kept.bucket = 0;
		scrub->key.len = 0;
	}
	scrub->asked = false;
	scrub->kept_ns = clock_monotonic_ns();
	scrub->status = (struct scrub_status){.running = true,
		.started_ns = round->started_ns,
		.finished_ns = scrub->kept.finished_ns,
		.objects = round->objects,
		.bytes = round->bytes,
		.damaged = round->damaged};
}

/* What comes of it is kept: its end, or the place to go on at, if the process ends. */
static void
round_end(struct scrub *scrub, enum rfs_err err)
{
	if (err && err != RFS_ERR_CANCELLED)
		log_error(0, "the scrub did not come to its end: %s", error_face(err)->text);
	if (err != RFS_ERR_CANCELLED)
		scrub->kept.bucket = 0;
	if (!err) {
		metric_add(METRIC_SCRUB_ROUNDS, 1);
		scrub->kept.last = round_of(scrub);
		scrub->kept.finished_ns = clock_wall_ns();
		log_info(0, "scrub: %llu objects, %llu bytes: %llu damaged",
			(unsigned long long)scrub->kept.last.objects, (unsigned long long)scrub->kept.last.bytes,
			(unsigned long long)scrub->kept.last.damaged);
	}
	kept_write(scrub);
}

static void
round_locked(struct scrub *scrub)
{
	struct pacer pacer = {.scrub = scrub, .rate = scrub->rate};
	enum rfs_err err;

	round_begin_locked(scrub);
	pthread_mutex_unlock(&scrub->lock);
	err = store_scrub(&pacer);
	round_end(scrub, err);
	pthread_mutex_lock(&scrub->lock);
	scrub->status.running = false;
	scrub->status.bucket[0] = 0;
	scrub->status.finished_ns = scrub->kept.finished_ns;
}

static void *
scrub_main(void *data)
{
	struct scrub *scrub = data;
	int64_t next_ns = clock_monotonic_ns() + scrub_wait_ns(&scrub->kept, clock_wall_ns(), scrub->interval_ns);

	thread_role_set(THREAD_BACKGROUND, "scrub");
	pthread_mutex_lock(&scrub->lock);
	while (!scrub->stopping) {
		struct timespec until = clock_timespec(next_ns);

		if (scrub->asked || (scrub->enabled && clock_monotonic_ns() >= next_ns)) {
			round_locked(scrub);
			next_ns = clock_monotonic_ns() + scrub->interval_ns;
		} else if (scrub->enabled) {
			pthread_cond_timedwait(&scrub->wake, &scrub->lock, &until);
		} else {
			pthread_cond_wait(&scrub->wake, &scrub->lock);
		}
	}
	pthread_mutex_unlock(&scrub->lock);
	return NULL;
}

struct scrub *
scrub_new(struct storage *s, const struct config *config)
{
	struct scrub *scrub = xcalloc(1, sizeof(*scrub));
	pthread_condattr_t monotonic;

	scrub->storage = s;
	scrub->enabled = config->scrub_enabled;
	scrub->rate = (uint64_t)config->scrub_rate;
	scrub->verify_rate = (uint64_t)config->scrub_verify_rate;
	scrub->interval_ns = config->scrub_interval * MS_NS;
	pthread_mutex_init(&scrub->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&scrub->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	kept_read(scrub);
	if (pthread_create(&scrub->thread, NULL, scrub_main, scrub) != 0) {
		log_error(0, "start the scrub's thread");
		abort();
	}
	return scrub;
}

void
scrub_stop(struct scrub *scrub)
{
	pthread_mutex_lock(&scrub->lock);
	scrub->stopping = true;
	pthread_cond_broadcast(&scrub->wake);
	pthread_mutex_unlock(&scrub->lock);
}

void
scrub_free(struct scrub *scrub)
{
	scrub_stop(scrub);
	pthread_join(scrub->thread, NULL);
	pthread_cond_destroy(&scrub->wake);
	pthread_mutex_destroy(&scrub->lock);
	buf_fini(&scrub->key);
	free(scrub);
}

void
scrub_start(struct storage *s)
{
	pthread_mutex_lock(&s->scrub->lock);
	if (!s->scrub->status.running)
		s->scrub->asked = true;
	pthread_cond_broadcast(&s->scrub->wake);
	pthread_mutex_unlock(&s->scrub->lock);
}

void
scrub_status(struct storage *s, struct scrub_status *out)
{
	pthread_mutex_lock(&s->scrub->lock);
	*out = s->scrub->status;
	out->running = out->running || s->scrub->asked;
	pthread_mutex_unlock(&s->scrub->lock);
}

void
scrub_describe(struct scrub *scrub, struct dump *out)
{
	struct scrub_status status;

	scrub_status(scrub->storage, &status);
	dump_object(out, "scrub");
	dump_bool(out, "running", status.running);
	dump_text(out, "bucket", bytes_str(status.bucket));
	dump_number(out, "objects", status.objects);
	dump_number(out, "bytes", status.bytes);
	dump_number(out, "damaged_objects", status.damaged);
	pthread_mutex_lock(&scrub->lock);
	dump_bool(out, "verifying", scrub->verifying);
	pthread_mutex_unlock(&scrub->lock);
	dump_end(out);
}

/* --- a bucket, for who asks -----------------------------------------------------------------------------------------
 */

struct verifier {
	struct pacer pacer;
	struct arena *arena;
	struct verify_report *report;
};

static bool
verifier_pace(void *data, uint64_t bytes)
{
	struct verifier *v = data;

	v->report->bytes += bytes;
	return pacer_wait(&v->pacer, bytes);
}

static void
verifier_object(void *data, struct bytes key)
{
	struct verifier *v = data;

	v->report->objects++;
}

static void
verifier_found(void *data, const struct bucket_row *bucket, struct bytes key, struct bytes row, uint64_t data_id,
	const char *problem)
{
	struct verifier *v = data;

	damage_note(v->pacer.scrub->storage, bucket, key, row, data_id, "verify", problem);
	if (v->report->damaged++ < VERIFY_LISTED)
		v->report->list[v->report->damaged - 1] = (struct damage_info){
			.bucket = bucket->name,
			.key = arena_copy(v->arena, key),
			.text = arena_printf(v->arena, "%s", problem),
			.found_by = "verify",
			.found_ns = clock_wall_ns(),
		};
}

static bool
verify_begin(struct scrub *scrub)
{
	bool free_now;

	pthread_mutex_lock(&scrub->lock);
	free_now = !scrub->verifying;
	scrub->verifying = true;
	pthread_mutex_unlock(&scrub->lock);
	return free_now;
}

static void
verify_end(struct scrub *scrub)
{
	pthread_mutex_lock(&scrub->lock);
	scrub->verifying = false;
	pthread_mutex_unlock(&scrub->lock);
}

enum rfs_err
bucket_verify(struct storage *s, struct request *rq, const struct bucket_row *bucket, struct verify_report *out)
{
	struct verifier v = {
		.pacer = {.scrub = s->scrub, .rate = s->scrub->verify_rate}, .arena = rq->arena, .report = out};
	struct verify verify = {.pace = verifier_pace, .object = verifier_object, .found = verifier_found, .data = &v};
	enum rfs_err err;

	if (!verify_begin(s->scrub))
		return request_fail(rq, RFS_ERR_SLOW_DOWN, "another bucket is being verified");
	*out = (struct verify_report){.list = ARENA_ARRAY(rq->arena, struct damage_info, VERIFY_LISTED)};
	err = verify_run(s, bucket, bytes_of(NULL, 0), &verify);
	damages_write(s);
	verify_end(s->scrub);
	return err == RFS_ERR_CANCELLED ? RFS_ERR_SHUTTING_DOWN : err;
}
