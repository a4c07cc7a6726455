/*
 * transfer_relay.c: an object of one store to one of another, through this machine.
 *
 * What the source's checksum verifies as a whole goes as a whole, and keeps its ETag. What is large goes in parts, of
 * the size of those that it came in to the source where that is known: then the ETag stays the same, too. What is on
 * its way is in memory, or in a file without a name, so that it can be sent again.
 */
#include "transfer.h"
#include "base/clock.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PUT_MAX (UINT64_C(5) << 30)    /* S3 takes no more at once */
#define PART_MAX (UINT64_C(512) << 20) /* of the source's, each thread holds one */

/* --- what is on its way ------------------------------------------------------------------------------------------- */

struct relay {
	struct worker *w;
	const char *name;
	bool is_spooled; /* to the worker's file; else in its memory */
	uint64_t len;
	uint64_t crc;
	int problem; /* of writing: errno */
};

static const char *
spool_folder(void)
{
	const char *folder = getenv("TMPDIR");

	return folder && folder[0] ? folder : "/var/tmp";
}

static bool
spool_open(struct worker *w)
{
	char path[4096];

	if (w->spool_fd >= 0)
		return true;
	snprintf(path, sizeof(path), "%s/restfs-XXXXXX", spool_folder());
	w->spool_fd = mkostemp(path, O_CLOEXEC);
	if (w->spool_fd >= 0)
		unlink(path);
	return w->spool_fd >= 0;
}

static bool
relay_spool(struct relay *r)
{
	r->is_spooled = r->is_spooled || (spool_open(r->w) && local_write(r->w->spool_fd, r->w->space, r->len, 0));
	return r->is_spooled;
}

static bool
on_come(void *data, struct bytes part)
{
	struct relay *r = data;
	struct worker *w = r->w;

	if (!r->is_spooled && r->len + part.len <= TRANSFER_SMALL_BYTES)
		memcpy(w->space + r->len, part.data, part.len);
	else if (!relay_spool(r) || !local_write(w->spool_fd, part.data, part.len, r->len)) {
		r->problem = errno;
		return s3_conn_fail(w->from_conn, "it has no place");
	}
	r->crc = crc64nvme(r->crc, part.data, part.len);
	r->len += part.len;
	return true;
}

/* Of several parts of one object only the first that fails is told of. */
static bool
is_first_failure(struct worker *w)
{
	return !w->large || !atomic_exchange(&w->large->failed, true);
}

/* False: said, but for what the source's connection says. */
static bool
relay_get(struct relay *r, struct s3_get *get, struct s3_info *info)
{
	get->bucket = r->w->transfer->from_bucket;
	get->key = r->name;
	get->receive = on_come;
	get->data = r;
	if (s3_get(r->w->from_conn, r->w->arena, get, info))
		return true;
	if (r->problem && is_first_failure(r->w)) {
		errno = r->problem;
		(void)report_unwritten(r->w->transfer, spool_folder());
	}
	return false;
}

static struct s3_body
relay_body(const struct relay *r)
{
	struct s3_body body = {.fd = r->w->spool_fd,
		.len = r->len,
		.crc64nvme = crc64_text(r->w->arena, r->crc),
		.sent = transfer_on_sent,
		.sent_data = r->w};

	if (!r->is_spooled)
		body.bytes = bytes_of(r->w->space, r->len);
	return body;
}

static void
relay_end(struct relay *r)
{
	struct worker *w = r->w;

	if (w->spool_fd >= 0 && ftruncate(w->spool_fd, 0) != 0) {
		close(w->spool_fd);
		w->spool_fd = -1; /* its room goes with it */
	}
}

/* --- in one piece ------------------------------------------------------------------------------------------------- */

static bool
size_is_wrong(struct worker *w, const struct job *job)
{
	return is_first_failure(w) &&
	       report_failed(w->transfer, w->transfer->from_bucket, job->from,
		       "the source says two sizes of one object, or it was replaced: copy it again");
}

/* Of an object that was replaced since it was listed, what it is now. */
static bool
whole_put(struct relay *r, struct job *job, const struct s3_info *info)
{
	struct worker *w = r->w;
	struct s3_put put = copy_put(w->arena, w->transfer, job->to, info);
	struct s3_body body = relay_body(r);

	if (r->len != job->size && strcmp(info->etag, job->etag) == 0)
		return size_is_wrong(w, job);
	job->size = r->len;
	return s3_put(w->conn, w->arena, &put, &body) || report_refused(w, job);
}

static bool
whole_relay(struct worker *w, struct job *job)
{
	struct relay r = {.w = w, .name = job->from};
	struct s3_get get = {.has_size = true, .size = job->size};
	struct s3_info info;
	bool done = false;

	if (relay_get(&r, &get, &info))
		done = whole_put(&r, job, &info);
	else if (s3_conn_failure(w->from_conn)->is_larger)
		(void)size_is_wrong(w, job);
	else if (!r.problem)
		(void)report_refused_by(w, w->from_conn, job);
	relay_end(&r);
	transfer_settled(w, done ? r.len : 0);
	return done;
}

/* --- in parts ----------------------------------------------------------------------------------------------------- */

static bool
part_get(struct relay *r, struct large *large, unsigned number)
{
	struct copy_own *own = large->own;
	struct s3_get get = {.offset = large_offset(large, number),
		.length = large_length(large, number),
		.etag = large->job->etag[0] ? large->job->etag : NULL};
	struct s3_info info;

	if (!relay_get(r, &get, &info)) {
		if (!r->problem)
			return copy_refused(r->w, r->w->from_conn, large);
		own->is_vain |= !large_has_parts(large);
		return false;
	}
	if (info.size != large->job->size)
		return size_is_wrong(r->w, large->job);
	return r->len == get.length || !is_first_failure(r->w) ||
	       report_failed(r->w->transfer, r->w->transfer->from_bucket, large->job->from,
		       "the object became shorter while it was read");
}

static bool
relay_part(struct worker *w, struct large *large, unsigned number)
{
	struct relay r = {.w = w, .name = large->job->from};
	struct s3_body body;
	struct s3_part made;
	bool done;

	if (large->uploaded[number].number)
		return true;
	done = part_get(&r, large, number);
	if (done) {
		body = relay_body(&r);
		done = s3_upload_part(w->conn, w->arena, &large->upload, number + 1, &body, &made) ||
		       copy_refused(w, w->conn, large);
	}
	if (done)
		copy_part_made(w, large, number, &made);
	relay_end(&r);
	return done;
}

static const struct large_kind relay_kind = {relay_part, copy_finish};

static bool
is_in_parts(const char *etag)
{
	return strchr(etag, '-');
}

/* The size of all its parts but the last, of an ETag that ends in their count; 0: it is not known, or of no use. */
static uint64_t
source_part_size(struct worker *w, const struct job *job, const struct s3_info *info)
{
	const char *bucket = w->transfer->from_bucket, *dash = strchr(info->etag, '-');
	unsigned long parts = dash ? strtoul(dash + 1, NULL, 10) : 0;
	uint64_t first, last;

	if (parts == 0 || parts > S3_PARTS_MAX || info->is_encrypted || cli_number(w->transfer->cli, "part_size", 0) ||
		!s3_head_part(w->from_conn, w->arena, bucket, job->from, info->etag, 1, &first) ||
		!s3_head_part(w->from_conn, w->arena, bucket, job->from, info->etag, (unsigned)parts, &last))
		return 0;
	if (first > PART_MAX || (first < S3_PART_MIN && parts > 1))
		return 0;
	return last > 0 && last <= first && (parts - 1) * first + last == info->size ? first : 0;
}

static bool
large_relay(struct worker *w, struct job *job, const struct s3_info *info, uint64_t its_size)
{
	uint64_t part_size = its_size ? its_size : w->transfer->options->part_size;
	struct large *large = large_new(job, &relay_kind, info->size, part_size);
	struct copy_own *own = ARENA_NEW(large->arena, struct copy_own);

	own->has_its_parts = its_size > 0;
	large->own = own;
	if (copy_begin(w, large, info)) {
		transfer_offer(w->transfer, large);
		return true;
	}
	large_free(large);
	return report_refused(w, job);
}

static bool
is_verified_whole(const struct s3_info *info)
{
	uint8_t digest[16];

	return !info->crc64nvme && !info->is_encrypted && info->size <= PUT_MAX &&
	       hex_decode(bytes_str(info->etag), digest, 16);
}

/* Two endpoints may be names of one store: then an object that is moved to its own name is there already. */
static bool
is_elsewhere(struct worker *w, const struct job *job)
{
	const struct transfer *t = w->transfer;
	struct s3_info there;

	if (strcmp(t->from_bucket, t->to_bucket) != 0 || strcmp(job->from, job->to) != 0)
		return true;
	if (!s3_head(w->conn, w->arena, t->to_bucket, job->to, &there))
		return s3_conn_is_missing(w->conn) || report_refused(w, job);
	return strcmp(job->etag, there.etag) != 0 || llabs(job->mtime_ns - there.modified_ns) >= NS_PER_SECOND ||
	       report_failed(w->transfer, t->from_bucket, job->from,
		       "source and target may be the same object, by two names of its store");
}

bool
transfer_relay(struct worker *w, struct job *job, bool *taken)
{
	uint64_t part_size = w->transfer->options->part_size, its_size;
	uint64_t whole_most = part_size < PUT_MAX / 2 ? 2 * part_size : PUT_MAX;
	struct s3_info info;

	if (w->transfer->options->move && !is_elsewhere(w, job))
		return false;
	if (job->size <= whole_most && !is_in_parts(job->etag))
		return whole_relay(w, job);
	if (!s3_head(w->from_conn, w->arena, w->transfer->from_bucket, job->from, &info))
		return report_refused_by(w, w->from_conn, job);
	if (info.size != job->size && strcmp(info.etag, job->etag) == 0)
		return size_is_wrong(w, job);
	job->size = info.size;
	its_size = source_part_size(w, job, &info);
	if (its_size == 0 && (job->size <= whole_most || is_verified_whole(&info)))
		return whole_relay(w, job);
	*taken = true;
	return large_relay(w, job, &info, its_size);
}
