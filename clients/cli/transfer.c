/*
 * transfer.c: the queue and its threads.
 *
 * A thread takes a part of what is large before it takes another job, so that few large ones are under way at once. The
 * producer sleeps while the queue is full, and is woken when half of it has gone: not for every job.
 */
#include "transfer.h"
#include "cli_interrupt.h"
#include "cli_progress.h"
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define QUEUE_MAX 4096
#define PARTS_FIRST 2

/* --- interrupting ------------------------------------------------------------------------------------------------- */

static void
on_interrupt(void *transfer)
{
	const struct transfer *t = transfer;

	s3_client_stop(t->client);
	if (t->from_client)
		s3_client_stop(t->from_client);
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

/* One memory for the job and its texts. */
static struct job *
job_copy(const struct job *job)
{
	size_t from = strlen(job->from) + 1, to = strlen(job->to) + 1, etag = strlen(job->etag) + 1;
	struct job *copy = xmalloc(sizeof(*copy) + from + to + etag);
	char *text = (char *)(copy + 1);

	*copy = *job;
	copy->next = NULL;
	copy->from = memcpy(text, job->from, from);
	copy->to = memcpy(text + from, job->to, to);
	copy->etag = memcpy(text + from + to, job->etag, etag);
	return copy;
}

void
transfer_push(struct transfer *t, const struct job *job)
{
	struct job *copy = job_copy(job);

	if (!t->options->dry_run)
		progress_more(job->size);
	pthread_mutex_lock(&t->lock);
	if (t->queued >= QUEUE_MAX) {
		t->producer_waits = true;
		while (t->producer_waits)
			pthread_cond_wait(&t->room, &t->lock);
	}
	*t->last = copy;
	t->last = &copy->next;
	t->queued++;
	if (t->waiting > 0)
		pthread_cond_signal(&t->more);
	pthread_mutex_unlock(&t->lock);
}

static struct job *
job_take_locked(struct transfer *t)
{
	struct job *job = t->first;

	if (!job)
		return NULL;
	t->first = job->next;
	if (!t->first)
		t->last = &t->first;
	t->queued--;
	t->running++;
	if (t->producer_waits && t->queued <= QUEUE_MAX / 2) {
		t->producer_waits = false;
		pthread_cond_signal(&t->room);
	}
	return job;
}

void
transfer_offer(struct transfer *t, struct large *large)
{
	pthread_mutex_lock(&t->lock);
	large->next = t->larges;
	t->larges = large;
	pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
}

void
transfer_moved(struct worker *w, int64_t bytes)
{
	if (bytes < 0)
		progress_take_back((uint64_t)-bytes);
	else
		progress_add((uint64_t)bytes);
	w->moved += bytes;
}

void
transfer_on_sent(void *worker, int64_t bytes)
{
	transfer_moved(worker, bytes);
}

void
transfer_settled(struct worker *w, uint64_t bytes)
{
	transfer_moved(w, (int64_t)bytes - w->moved);
	w->moved = 0;
}

/*
 * A part that nobody has taken, of the first that has one. What a kill takes is what is under way: on a slow link that
 * must not be all there is, so no more parts are under way than were done, and two.
 */
static struct large *
part_take_locked(struct transfer *t, unsigned *number)
{
	struct large *large = t->larges;

	if (!large || t->parts_running >= t->parts_done + PARTS_FIRST)
		return NULL;
	t->parts_running++;
	*number = large->taken++;
	if (large->taken == large->parts || large->failed)
		t->larges = large->next;
	return large;
}

/* What there is to do; both NULL: nothing, and nothing will come. */
static void
work_take(struct transfer *t, struct job **job, struct large **large, unsigned *number)
{
	pthread_mutex_lock(&t->lock);
	for (;;) {
		*job = NULL;
		*large = part_take_locked(t, number);
		if (*large || (*job = job_take_locked(t)) || (t->closed && t->running == 0 && !t->larges))
			break;
		t->waiting++;
		pthread_cond_wait(&t->more, &t->lock);
		t->waiting--;
	}
	pthread_mutex_unlock(&t->lock);
}

static void
job_ended(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	if (--t->running == 0 && t->closed)
		pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
}

/* --- the threads -------------------------------------------------------------------------------------------------- */

static void
job_run(struct worker *w, struct job *job)
{
	static bool (*const runs[])(struct worker *, struct job *, bool *) = {
		[TRANSFER_UPLOAD] = transfer_upload,
		[TRANSFER_DOWNLOAD] = transfer_download,
		[TRANSFER_COPY] = transfer_copy,
		[TRANSFER_RELAY] = transfer_relay,
	};
	struct transfer *t = w->transfer;
	bool taken = false;

	if (interrupt_came() || atomic_load(&t->given_up))
		(void)0;
	else if (job->in_doubt && transfer_is_same(w, job))
		report_same(t, job);
	else if (t->options->dry_run)
		report_done(t, job, job->size);
	else if (runs[t->kind](w, job, &taken) && !taken && transfer_source_remove(w, job))
		report_done(t, job, job->size);
}

static void *
worker_run(void *data)
{
	struct transfer *t = data;
	struct worker w = {.transfer = t,
		.folder_fd = -1,
		.spool_fd = -1,
		.conn = s3_conn_new(t->client),
		.arena = arena_new(16384),
		.space = xmalloc(TRANSFER_SMALL_BYTES)};
	struct large *large;
	unsigned number;
	struct job *job;

	w.from_conn = t->from_client == t->client ? w.conn : s3_conn_new(t->from_client);
	for (;;) {
		work_take(t, &job, &large, &number);
		if (!job && !large)
			break;
		if (large)
			large_part_run(&w, large, number);
		else {
			job_run(&w, job);
			free(job);
			job_ended(t);
		}
		arena_reset(w.arena);
	}
	if (w.from_conn != w.conn)
		s3_conn_free(w.from_conn);
	s3_conn_free(w.conn);
	if (w.spool_fd >= 0)
		close(w.spool_fd);
	arena_free(w.arena);
	free(w.space);
	local_folder_close(&w);
	return NULL;
}

/* Each thread has a connection, a file and a directory. */
static void
files_allow(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

void
transfer_begin(struct transfer *t)
{
	files_allow();
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->report_lock, NULL);
	pthread_cond_init(&t->more, NULL);
	pthread_cond_init(&t->room, NULL);
	t->last = &t->first;
	interrupt_catch(on_interrupt, t);
	progress_begin("transferring", PROGRESS_UNKNOWN, !t->cli->json && !t->cli->quiet && !t->options->dry_run);
	t->threads = xcalloc(t->options->parallel, sizeof(*t->threads));
	while (t->started < t->options->parallel && pthread_create(&t->threads[t->started], NULL, worker_run, t) == 0)
		t->started++;
	if (t->started == 0)
		abort(); /* as when memory has ended */
}

bool
transfer_end(struct transfer *t)
{
	pthread_mutex_lock(&t->lock);
	t->closed = true;
	pthread_cond_broadcast(&t->more);
	pthread_mutex_unlock(&t->lock);
	while (t->started > 0)
		pthread_join(t->threads[--t->started], NULL);
	progress_end();
	interrupt_release();
	free(t->threads);
	pthread_cond_destroy(&t->more);
	pthread_cond_destroy(&t->room);
	pthread_mutex_destroy(&t->lock);
	return t->counts.failed == 0 && !interrupt_came();
}
