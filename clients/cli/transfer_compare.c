/* transfer_compare.c: is the target what the source is? And the end of a move. */
#include "transfer.h"
#include "base/clock.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (128 * 1024)

/* The digest of a file's content. */
static bool
file_digest(const char *path, enum digest which, struct digest_value *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct digester *d = digester_new(DIGEST_BIT(which));
	uint8_t *piece = xmalloc(PIECE_BYTES);
	ssize_t n = fd < 0 ? -1 : 0;

	while (fd >= 0 && ((n = read(fd, piece, PIECE_BYTES)) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0)
			digester_update(d, piece, (size_t)n);
	digester_value(d, which, out);
	digester_free(d);
	free(piece);
	if (fd >= 0)
		close(fd);
	return n == 0;
}

/* 1: the same; 0: not; -1: the object has nothing to compare with. */
static int
content_compare(const struct s3_info *info, const char *path)
{
	struct digest_value value, said;
	uint64_t crc;

	if (crc64_parse(info->crc64nvme, &crc)) {
		store_be64(said.bytes, crc);
		return file_digest(path, DIGEST_CRC64NVME, &value) && memcmp(value.bytes, said.bytes, 8) == 0;
	}
	if (!hex_decode(bytes_str(info->etag), said.bytes, 16))
		return -1;
	return file_digest(path, DIGEST_MD5, &value) && memcmp(value.bytes, said.bytes, 16) == 0;
}

/* Is this file what that object says it is: by its time; by its content, if that is wanted, or the object keeps none.
 */
static bool
is_file_of(const struct transfer *t, const struct s3_info *info, const char *path, int64_t mtime_ns, bool upload)
{
	bool has_time = info->mtime_ns != INT64_MIN;
	int same = t->options->checksum || !has_time ? content_compare(info, path) : -1;

	if (same >= 0)
		return same;
	if (has_time)
		return info->mtime_ns == mtime_ns;
	return upload ? mtime_ns <= info->modified_ns : mtime_ns == info->modified_ns;
}

static bool
on_piece(void *data, struct bytes piece)
{
	uint64_t *crc = data;

	*crc = crc64nvme(*crc, piece.data, piece.len);
	return true;
}

/* What the server says of the whole, or else what is there. */
static bool
object_crc(struct worker *w, struct s3_conn *conn, const char *bucket, const char *key, const struct s3_info *info,
	uint64_t *crc)
{
	struct s3_get get = {.bucket = bucket,
		.key = key,
		.etag = info->etag[0] ? info->etag : NULL,
		.receive = on_piece,
		.data = crc};
	struct s3_info now;

	if (crc64_parse(info->crc64nvme, crc))
		return true;
	*crc = 0;
	return s3_get(conn, w->arena, &get, &now);
}

static bool
is_md5(const struct s3_info *info)
{
	uint8_t digest[16];

	return !info->is_encrypted && hex_decode(bytes_str(info->etag), digest, 16);
}

/* The copy was made after what it is of; clocks are compared to a second. */
static bool
is_younger(const struct worker *w, const struct s3_info *to, const struct s3_info *from)
{
	int64_t margin_ns = w->conn == w->from_conn ? 0 : 2 * NS_PER_SECOND;

	return to->modified_ns - s3_conn_skew_ns(w->conn) >
	       from->modified_ns - s3_conn_skew_ns(w->from_conn) + margin_ns;
}

/* Are both objects the same: by what their stores say of the content; else by reading it, if that is wanted, or by
 * time.
 */
static bool
is_copy_of(struct worker *w, const struct job *job)
{
	const struct transfer *t = w->transfer;
	struct s3_info from, to;
	uint64_t from_crc, to_crc;

	if (!s3_head(w->from_conn, w->arena, t->from_bucket, job->from, &from) ||
		!s3_head(w->conn, w->arena, t->to_bucket, job->to, &to) || from.size != to.size)
		return false;
	if (is_md5(&from) && is_md5(&to))
		return strcmp(from.etag, to.etag) == 0;
	if ((from.crc64nvme && to.crc64nvme) || t->options->checksum || t->options->diff)
		return object_crc(w, w->from_conn, t->from_bucket, job->from, &from, &from_crc) &&
		       object_crc(w, w->conn, t->to_bucket, job->to, &to, &to_crc) && from_crc == to_crc;
	return is_younger(w, &to, &from);
}

/* What is wrong will be seen when it is transferred. */
bool
transfer_is_same(struct worker *w, const struct job *job)
{
	struct transfer *t = w->transfer;
	bool upload = t->kind == TRANSFER_UPLOAD;
	struct s3_info info;

	if (t->from_bucket && t->to_bucket)
		return is_copy_of(w, job);
	if (!s3_head(w->conn, w->arena, upload ? t->to_bucket : t->from_bucket, upload ? job->to : job->from, &info))
		return false;
	if (info.size != job->size)
		return false;
	return is_file_of(t, &info, upload ? job->from : job->to, upload ? job->mtime_ns : job->there_ns, upload);
}

/* --- the end of a move -------------------------------------------------------------------------------------------- */

static bool
file_remove(struct worker *w, const struct job *job)
{
	struct stat st;

	/* What was written since then is in no copy. */
	if (lstat(job->from, &st) == 0 && S_ISREG(st.st_mode) &&
		(timespec_ns(&st.st_mtim) != job->mtime_ns || (uint64_t)st.st_size != job->size))
		return report_failed(w->transfer, NULL, job->from, "was changed while it was copied, and stays");
	return unlink(job->from) == 0 ||
	       report_failed(w->transfer, NULL, job->from, "was copied, and cannot be removed: %s", strerror(errno));
}

/* What was written over it since then is in no copy. */
static bool
object_remove(struct worker *w, const struct job *job)
{
	struct transfer *t = w->transfer;
	struct s3_info info;

	if (!s3_head(w->from_conn, w->arena, t->from_bucket, job->from, &info))
		return report_refused_by(w, w->from_conn, job);
	if ((job->etag[0] && strcmp(info.etag, job->etag) != 0) || info.size != job->size ||
		(!job->etag[0] && llabs(info.modified_ns - job->mtime_ns) >= NS_PER_SECOND))
		return report_failed(t, t->from_bucket, job->from, "was changed while it was copied, and stays");
	return s3_delete(w->from_conn, t->from_bucket, job->from) || report_refused_by(w, w->from_conn, job);
}

bool
transfer_source_remove(struct worker *w, const struct job *job)
{
	struct transfer *t = w->transfer;

	if (!t->options->move)
		return true;
	return t->kind == TRANSFER_UPLOAD ? file_remove(w, job) : object_remove(w, job);
}
