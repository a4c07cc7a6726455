/*
 * cli_pipe.c: `restfs pipe`: stdin to an object. How long it is shows at its end, so it goes in parts as it comes; what
 * fits into one part is put at once. Parts grow, so that 10,000 of them take what comes.
 *
 * Nothing has the object's name before all of stdin was read and stored.
 */
#include "transfer_plan.h"
#include "base/hash.h"
#include "cli_interrupt.h"
#include "cli_progress.h"
#include "cli_s3.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define PARALLEL_DEFAULT 4 /* each has a part in memory */
#define PARTS_OF_A_SIZE 500
#define LOOK_MS 200 /* whether it was interrupted */

/* A thread with its part. */
struct slot {
	struct piping *piping;
	pthread_t thread;
	uint8_t *data;
	size_t len, capacity;
	unsigned number; /* 0: free */
	bool is_started;
};

struct piping {
	struct cli *cli;
	struct s3_client *client;
	struct s3_put put;
	struct arena *arena; /* under the lock, when threads run */
	struct s3_upload upload;
	struct s3_part *parts; /* [S3_PARTS_MAX] */
	unsigned count;
	uint64_t crc;
	size_t part_size;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot *slots;
	unsigned slot_count;
	bool failed, closed;
};

static bool
failed_say(struct piping *p, const char *text)
{
	pthread_mutex_lock(&p->lock);
	if (!p->failed)
		cli_fail(p->cli, "s3://%s/%s: %s", p->put.bucket, p->put.key, text);
	p->failed = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return false;
}

/* --- the threads -------------------------------------------------------------------------------------------------- */

static void
slot_upload(struct slot *slot, struct s3_conn *conn, struct arena *arena)
{
	struct piping *p = slot->piping;
	struct s3_body body = {.bytes = bytes_of(slot->data, slot->len)};
	struct s3_part part;

	arena_reset(arena);
	if (!s3_upload_part(conn, arena, &p->upload, slot->number, &body, &part)) {
		failed_say(p, s3_conn_failure(conn)->text);
		return;
	}
	progress_add(slot->len);
	pthread_mutex_lock(&p->lock);
	part.etag = arena_str(p->arena, bytes_str(part.etag));
	part.crc64nvme = arena_str(p->arena, bytes_str(part.crc64nvme));
	p->parts[slot->number - 1] = part;
	pthread_mutex_unlock(&p->lock);
}

static void *
slot_run(void *data)
{
	struct slot *slot = data;
	struct piping *p = slot->piping;
	struct s3_conn *conn = s3_conn_new(p->client);
	struct arena *arena = arena_new(8192);

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (slot->number == 0 && !p->closed)
			pthread_cond_wait(&p->changed, &p->lock);
		if (slot->number == 0)
			break;
		pthread_mutex_unlock(&p->lock);
		slot_upload(slot, conn, arena);
		pthread_mutex_lock(&p->lock);
		slot->number = 0;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	s3_conn_free(conn);
	arena_free(arena);
	return NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* One that nobody uses; NULL: it failed. */
static struct slot *
slot_take(struct piping *p)
{
	struct slot *found = NULL;

	pthread_mutex_lock(&p->lock);
	while (!found && !p->failed) {
		for (unsigned i = 0; i < p->slot_count && !found; i++)
			if (p->slots[i].number == 0)
				found = &p->slots[i];
		if (!found)
			pthread_cond_wait(&p->changed, &p->lock);
	}
	if (p->failed)
		found = NULL;
	pthread_mutex_unlock(&p->lock);
	return found;
}

/* There is something to read, or its end. False: it was interrupted; a read would not see that. */
static bool
input_wait(struct piping *p)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	while (!interrupt_came())
		if (poll(&input, 1, LOOK_MS) > 0)
			return true;
	return failed_say(p, "it was interrupted");
}

/* As much of stdin as a part takes. False: it cannot be read. */
static bool
slot_fill(struct piping *p, struct slot *slot)
{
	size_t wanted = p->part_size * (1 + p->count / PARTS_OF_A_SIZE);

	if (slot->capacity < wanted) {
		free(slot->data);
		slot->data = xmalloc(wanted);
		slot->capacity = wanted;
	}
	slot->len = 0;
	while (slot->len < wanted) {
		ssize_t n;

		if (!input_wait(p))
			return false;
		n = read(STDIN_FILENO, slot->data + slot->len, wanted - slot->len);

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed_say(p, strerror(errno));
		slot->len += (size_t)n;
	}
	return true;
}

static bool
slot_send(struct piping *p, struct slot *slot)
{
	uint64_t crc = crc64nvme(0, slot->data, slot->len);

	if (p->count == S3_PARTS_MAX)
		return failed_say(p, "stdin is longer than an object can be");
	p->crc = p->count ? crc64nvme_combine(p->crc, crc, slot->len) : crc;
	pthread_mutex_lock(&p->lock);
	slot->number = ++p->count;
	if (!slot->is_started) {
		slot->piping = p;
		slot->is_started = true;
		if (pthread_create(&slot->thread, NULL, slot_run, slot) != 0)
			abort(); /* as when memory has ended */
	}
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return true;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static bool
small_put(struct piping *p, struct s3_conn *conn, const struct slot *slot)
{
	struct s3_body body = {.bytes = bytes_of(slot->data, slot->len)};

	return s3_put(conn, p->arena, &p->put, &body) || failed_say(p, s3_conn_failure(conn)->text);
}

static bool
parts_send(struct piping *p, struct slot *slot)
{
	while (slot_send(p, slot))
		if (!(slot = slot_take(p)) || !slot_fill(p, slot))
			return false;
		else if (slot->len == 0)
			return true;
	return false;
}

static void
threads_end(struct piping *p)
{
	pthread_mutex_lock(&p->lock);
	p->closed = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->slot_count; i++) {
		if (p->slots[i].is_started)
			pthread_join(p->slots[i].thread, NULL);
		free(p->slots[i].data);
	}
}

/* What stdin had is gone, so it cannot be gone on with. By a client that was not stopped. */
static void
upload_abort(struct piping *p)
{
	char error[sizeof(p->cli->error)];
	struct s3_client *client;
	struct s3_conn *conn;

	memcpy(error, p->cli->error, sizeof(error));
	if ((client = cli_s3_open(p->cli))) {
		conn = s3_conn_new(client);
		(void)s3_upload_abort(conn, &p->upload);
		s3_conn_free(conn);
	}
	s3_client_free(client);
	memcpy(p->cli->error, error, sizeof(error));
}

static bool
large_put(struct piping *p, struct s3_conn *conn, struct slot *first)
{
	bool done;

	if (!s3_upload_create(conn, p->arena, &p->put, &p->upload))
		return failed_say(p, s3_conn_failure(conn)->text);
	p->parts = ARENA_ARRAY(p->arena, struct s3_part, S3_PARTS_MAX);
	done = parts_send(p, first);
	threads_end(p);
	done = done && !p->failed;
	if (done && s3_upload_complete(conn, p->arena, &p->upload, p->parts, p->count, crc64_text(p->arena, p->crc)))
		return true;
	if (done)
		failed_say(p, s3_conn_failure(conn)->text);
	upload_abort(p);
	return false;
}

static bool
pipe_run(struct piping *p)
{
	struct s3_conn *conn = s3_conn_new(p->client);
	struct slot *slot = &p->slots[0];
	bool done = slot_fill(p, slot);

	if (done && slot->len < p->part_size)
		done = small_put(p, conn, slot);
	else if (done)
		done = large_put(p, conn, slot);
	if (!p->closed)
		threads_end(p);
	s3_conn_free(conn);
	return done;
}

static bool
pipe_open(struct piping *p, const struct transfer_options *o)
{
	struct cli *cli = p->cli;
	struct place to;

	if (!place_read(cli, cli_text(cli, "target"), &to))
		return false;
	if (!to.bucket || !to.root[0] || to.root[strlen(to.root) - 1] == '/')
		return cli_fail(cli, "stdin goes to an object: s3://BUCKET/KEY");
	if (!(p->client = cli_s3_open(cli)))
		return false;
	s3_client_limit_rate(p->client, (uint64_t)cli_number(cli, "limit_rate", 0));
	p->put = (struct s3_put){.bucket = to.bucket,
		.key = to.root,
		.content_type = o->content_type ? o->content_type : content_type_of(to.root),
		.mtime_ns = INT64_MIN};
	p->part_size = o->part_size;
	p->slot_count = (unsigned)cli_number(cli, "parallel", PARALLEL_DEFAULT);
	p->slots = ARENA_ARRAY(cli->arena, struct slot, p->slot_count);
	return true;
}

static void
on_interrupt(void *client)
{
	s3_client_stop(client);
}

int
cli_pipe(struct cli *cli)
{
	struct piping p = {.cli = cli, .arena = cli->arena};
	struct transfer_options options;
	bool done;

	if (!transfer_options_read(cli, &options) || !pipe_open(&p, &options))
		return cli_complain(cli, EXIT_USAGE);
	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.changed, NULL);
	progress_begin("stdin", PROGRESS_UNKNOWN, !cli->json && !cli->quiet);
	interrupt_catch(on_interrupt, p.client);
	done = pipe_run(&p);
	interrupt_release();
	progress_end();
	s3_client_free(p.client);
	return done ? EXIT_DONE : cli_complain(cli, EXIT_REFUSED);
}
