/*
 * transfer_upload.c: a file to an object.
 *
 * Large ones go in parts. If an upload of that key was begun and not ended, and all parts that it has are this file's,
 * it is gone on with (transfer_resume.c).
 */
#include "transfer.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (128 * 1024)

static bool
file_open(struct worker *w, const char *path, int *fd, struct stat *st)
{
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* of a pipe, nobody is waited for */
	if (*fd < 0 || fstat(*fd, st) != 0)
		return report_failed(w->transfer, NULL, path, "cannot be read: %s", strerror(errno));
	return S_ISREG(st->st_mode) || report_failed(w->transfer, NULL, path, "is no file (a source - is stdin)");
}

static bool
is_unchanged(struct worker *w, const char *path, int fd, const struct stat *before)
{
	struct stat now;

	if (fstat(fd, &now) == 0 && now.st_size == before->st_size &&
		timespec_ns(&now.st_mtim) == timespec_ns(&before->st_mtim))
		return true;
	return report_failed(w->transfer, NULL, path, "was changed while it was read");
}

static struct s3_put
put_of(const struct worker *w, const struct job *job, const struct stat *st)
{
	const char *type = w->transfer->options->content_type;

	return (struct s3_put){.bucket = w->transfer->to_bucket,
		.key = job->to,
		.content_type = type ? type : content_type_of(job->from),
		.mtime_ns = timespec_ns(&st->st_mtim)};
}

/* --- in one piece ------------------------------------------------------------------------------------------------- */

static bool
whole_read(struct worker *w, const char *path, int fd, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, w->space + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return report_failed(w->transfer, NULL, path, "cannot be read: %s", strerror(errno));
		if (n == 0)
			return report_failed(w->transfer, NULL, path, "became shorter while it was read");
		done += (size_t)n;
	}
	/* Of those in /proc that say they have nothing, most have something. */
	if (len == 0 && read(fd, w->space, 1) > 0)
		return report_failed(w->transfer, NULL, path, "has more than its size says (restfs pipe takes it)");
	return true;
}

static bool
whole_upload(struct worker *w, const struct job *job, int fd, const struct stat *st)
{
	struct s3_put put = put_of(w, job, st);
	struct s3_body body = {.fd = fd, .len = (uint64_t)st->st_size, .sent = transfer_on_sent, .sent_data = w};

	if (st->st_size <= TRANSFER_SMALL_BYTES) {
		if (!whole_read(w, job->from, fd, (size_t)st->st_size))
			return false;
		body.bytes = bytes_of(w->space, (size_t)st->st_size);
	}
	if (!s3_put(w->conn, w->arena, &put, &body))
		return report_refused(w, job);
	transfer_settled(w, (uint64_t)st->st_size);
	return is_unchanged(w, job->from, fd, st);
}

/* --- in parts ----------------------------------------------------------------------------------------------------- */

static bool
part_sums(int fd, uint64_t offset, uint64_t len, uint64_t *crc, uint8_t md5_out[16], bool wants_md5)
{
	struct digester *d = wants_md5 ? digester_new(DIGEST_BIT(DIGEST_MD5)) : NULL;
	uint8_t *piece = xmalloc(PIECE_BYTES);
	struct digest_value value;
	uint64_t done = 0;

	*crc = 0;
	while (done < len) {
		ssize_t n =
			pread(fd, piece, len - done < PIECE_BYTES ? len - done : PIECE_BYTES, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*crc = crc64nvme(*crc, piece, (size_t)n);
		if (d)
			digester_update(d, piece, (size_t)n);
		done += (uint64_t)n;
	}
	if (d) {
		digester_value(d, DIGEST_MD5, &value);
		memcpy(md5_out, value.bytes, 16);
	}
	digester_free(d);
	free(piece);
	return done == len;
}

/* Does the server have this part of the file already? */
static bool
part_is_there(struct large *large, unsigned number, const struct s3_part *part)
{
	uint64_t crc, said;
	uint8_t digest[16], etag[16];
	bool has_crc = crc64_parse(part->crc64nvme, &said);

	if (!part_sums(large->fd, large_offset(large, number), part->size, &crc, digest, !has_crc))
		return false;
	if (has_crc ? crc != said : !hex_decode(bytes_str(part->etag), etag, 16) || memcmp(etag, digest, 16) != 0)
		return false;
	large->crcs[number] = crc;
	return true;
}

static bool
upload_part(struct worker *w, struct large *large, unsigned number)
{
	struct s3_body body = {.fd = large->fd,
		.offset = large_offset(large, number),
		.len = large_length(large, number),
		.sent = transfer_on_sent,
		.sent_data = w};
	struct s3_part made;

	if (large->uploaded[number].number)
		return true;
	if (!s3_upload_part(w->conn, w->arena, &large->upload, number + 1, &body, &made))
		return report_refused(w, large->job);
	if (!crc64_parse(made.crc64nvme, &large->crcs[number]))
		return report_failed(w->transfer, NULL, large->job->from, "a part has no checksum");
	made.etag = large_text(w->transfer, large, made.etag);
	made.crc64nvme = NULL; /* upload_complete has them all */
	large->uploaded[number] = made;
	return true;
}

static bool
upload_complete(struct worker *w, struct large *large)
{
	const char *crc = crc64_text(w->arena, large_crc(large));

	for (unsigned i = 0; i < large->parts; i++)
		large->uploaded[i].crc64nvme = crc64_text(w->arena, large->crcs[i]);
	return s3_upload_complete(w->conn, w->arena, &large->upload, large->uploaded, large->parts, crc) ||
	       report_refused(w, large->job);
}

/* One that failed is left on the server, for the next time; of a file that has changed it is of no use. */
static bool
upload_finish(struct worker *w, struct large *large, bool whole)
{
	bool done = whole && is_unchanged(w, large->job->from, large->fd, large->own);

	if (whole && !done)
		(void)s3_upload_abort(w->conn, &large->upload);
	return done && upload_complete(w, large);
}

static const struct large_kind upload_kind = {upload_part, upload_finish};

static bool
large_upload(struct worker *w, struct job *job, int fd, const struct stat *st)
{
	struct large *large = large_new(job, &upload_kind, (uint64_t)st->st_size, w->transfer->options->part_size);
	struct s3_put put = put_of(w, large->job, st);

	large->own = ARENA_NEW(large->arena, struct stat);
	*(struct stat *)large->own = *st;
	large->fd = fd;
	if (large_upload_begin(w, large, &put, INT64_MIN, part_is_there)) {
		transfer_offer(w->transfer, large);
		return true;
	}
	large_free(large);
	return report_refused(w, job);
}

bool
transfer_upload(struct worker *w, struct job *job, bool *taken)
{
	struct stat st;
	bool done;
	int fd;

	done = file_open(w, job->from, &fd, &st);
	if (done && (uint64_t)st.st_size > 2 * w->transfer->options->part_size) {
		*taken = true;
		return large_upload(w, job, fd, &st);
	}
	done = done && whole_upload(w, job, fd, &st);
	if (fd >= 0)
		close(fd);
	return done;
}
