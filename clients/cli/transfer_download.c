/*
 * transfer_download.c: an object to a file. It is NAME.HASH.restfs-part until it is whole and verified.
 *
 * Of a large one, whose parts come in any order, the part file also says which are there: behind its end (the object's
 * size) stand a header with the ETag, and a mark and CRC64NVME for each part. Who finds such a file of the same ETag
 * goes on with it, after having read the parts that it has: a mark may have reached the disk before its bytes.
 */
#include "transfer.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (128 * 1024)
#define MAGIC "restfs part file 1"

/* `how`: O_TRUNC, or 0 to keep what is there. A link, which others may have put there to have another file written, is
 * not followed. */
static bool
part_file_open(struct worker *w, const struct job *job, const char *part, int how, int *fd)
{
	int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | how;
	int folder = local_folder(w, job->to, job->root_len);

	*fd = folder < 0 ? -1 : openat(folder, local_name(part), flags, 0666);
	if (*fd < 0 && folder >= 0 && errno == ENOENT) {
		local_folder_close(w); /* it may have been removed since */
		folder = local_folder(w, job->to, job->root_len);
		*fd = folder < 0 ? -1 : openat(folder, local_name(part), flags, 0666);
	}
	return *fd >= 0 || report_unwritten(w->transfer, job->to);
}

static void
part_file_remove(struct worker *w, const struct job *job, const char *part)
{
	int folder = local_folder(w, job->to, job->root_len);

	if (folder >= 0)
		(void)unlinkat(folder, local_name(part), 0);
}

static bool
file_finish(struct worker *w, int fd, const char *part, const struct job *job, const struct s3_info *info)
{
	int64_t mtime = info->mtime_ns != INT64_MIN ? info->mtime_ns : info->modified_ns;
	int folder = local_folder(w, job->to, job->root_len);

	if (folder < 0)
		close(fd);
	else if (local_finish(w->transfer->options, folder, fd, local_name(part), local_name(job->to), mtime))
		return true;
	(void)report_unwritten(w->transfer, job->to);
	part_file_remove(w, job, part); /* it says no more which parts it has */
	return false;
}

/* --- in one piece ------------------------------------------------------------------------------------------------- */

/* What comes, in memory as long as it fits there; then in the file. */
struct coming {
	struct worker *w;
	const struct job *job;
	const char *part;
	int fd;
	uint64_t len;
	bool has_no_place; /* said already */
};

static bool
coming_spill(struct coming *c)
{
	if (c->fd >= 0)
		return true;
	return part_file_open(c->w, c->job, c->part, O_TRUNC, &c->fd) &&
	       (local_write(c->fd, c->w->space, c->len, 0) || report_unwritten(c->w->transfer, c->job->to));
}

static bool
coming_take(void *data, struct bytes part)
{
	struct coming *c = data;

	if (c->fd < 0 && c->len + part.len <= TRANSFER_SMALL_BYTES)
		memcpy(c->w->space + c->len, part.data, part.len); /* libcurl's buffer is used again */
	else if (!coming_spill(c) ||
		 !(local_write(c->fd, part.data, part.len, c->len) || report_unwritten(c->w->transfer, c->job->to))) {
		c->has_no_place = true;
		return s3_conn_fail(c->w->conn, "it has no place");
	}
	c->len += part.len;
	transfer_moved(c->w, (int64_t)part.len);
	return true;
}

static bool
coming_finish(struct coming *c, const struct s3_info *info)
{
	if (c->fd < 0) {
		if (!part_file_open(c->w, c->job, c->part, O_TRUNC, &c->fd))
			return false;
		if (!local_write(c->fd, c->w->space, c->len, 0))
			return report_unwritten(c->w->transfer, c->job->to);
	}
	if (!file_finish(c->w, c->fd, c->part, c->job, info)) {
		c->fd = -1;
		return false;
	}
	c->fd = -1;
	return true;
}

/* False with `is_larger`: the object has more bytes than the job says, and that was not said to the user. */
static bool
whole_download(struct worker *w, const struct job *job, bool *is_larger)
{
	struct coming c = {.w = w, .job = job, .part = local_part_path(w->arena, job->to), .fd = -1};
	struct s3_get get = {.bucket = w->transfer->from_bucket,
		.key = job->from,
		.etag = w->transfer->options->move && job->etag[0] ? job->etag : NULL, /* what is removed then */
		.has_size = true,
		.size = job->size,
		.receive = coming_take,
		.data = &c};
	struct s3_info info;
	bool done;

	if ((done = s3_get(w->conn, w->arena, &get, &info)))
		done = coming_finish(&c, &info);
	else if (!(*is_larger = s3_conn_failure(w->conn)->is_larger) && !c.has_no_place)
		(void)report_refused(w, job);
	if (c.fd >= 0) {
		close(c.fd);
		part_file_remove(w, job, c.part);
	}
	transfer_settled(w, done ? c.len : 0);
	return done;
}

/* --- in parts ----------------------------------------------------------------------------------------------------- */

/* Stands in the file behind the object's bytes. */
struct part_header {
	char magic[32];
	char etag[128];
	uint64_t size, part_size;
};

struct part_mark {
	uint64_t is_there;
	uint64_t crc;
};

struct download_own {
	struct s3_info info;
	const char *part; /* the file's path */
	bool *there;      /* [parts]: found when it was begun */
};

static uint64_t
mark_offset(const struct large *large, unsigned number)
{
	return large->job->size + sizeof(struct part_header) + number * sizeof(struct part_mark);
}

static struct part_header
header_of(const struct large *large, const struct s3_info *info)
{
	struct part_header h = {.magic = MAGIC, .size = large->job->size, .part_size = large->part_size};

	strncpy(h.etag, info->etag, sizeof(h.etag) - 1);
	return h;
}

static bool
piece_crc(int fd, uint64_t offset, uint64_t len, uint64_t *crc)
{
	uint8_t *piece = xmalloc(PIECE_BYTES);
	uint64_t done = 0;
	ssize_t n = 1;

	*crc = 0;
	while (done < len && n > 0) {
		n = pread(fd, piece, len - done < PIECE_BYTES ? len - done : PIECE_BYTES, (off_t)(offset + done));
		if (n > 0) {
			*crc = crc64nvme(*crc, piece, (size_t)n);
			done += (uint64_t)n;
		}
	}
	free(piece);
	return done == len;
}

/* What an earlier run has left, if it is of this object. */
static bool
parts_find(struct large *large, struct download_own *own)
{
	struct part_header expected = header_of(large, &own->info), found;
	struct part_mark mark;

	if (pread(large->fd, &found, sizeof(found), (off_t)large->job->size) != sizeof(found) ||
		memcmp(&found, &expected, sizeof(found)) != 0)
		return false;
	for (unsigned i = 0; i < large->parts; i++)
		if (pread(large->fd, &mark, sizeof(mark), (off_t)mark_offset(large, i)) == sizeof(mark) &&
			mark.is_there &&
			piece_crc(large->fd, large_offset(large, i), large_length(large, i), &large->crcs[i]))
			own->there[i] = large->crcs[i] == mark.crc;
	return true;
}

static bool
parts_prepare(struct large *large, struct download_own *own)
{
	struct part_header header = header_of(large, &own->info);

	if (own->info.etag[0] && parts_find(large, own))
		return true;
	return ftruncate(large->fd, 0) == 0 && ftruncate(large->fd, (off_t)mark_offset(large, large->parts)) == 0 &&
	       local_write(large->fd, &header, sizeof(header), large->job->size);
}

/* Where the bytes of one part go. */
struct part_coming {
	struct worker *w;
	int fd;
	uint64_t at;
	uint64_t crc;
	int problem; /* of writing: errno */
};

static bool
part_take(void *data, struct bytes part)
{
	struct part_coming *c = data;

	if (!local_write(c->fd, part.data, part.len, c->at)) {
		c->problem = errno;
		return s3_conn_fail(c->w->conn, "it has no place");
	}
	c->crc = crc64nvme(c->crc, part.data, part.len);
	c->at += part.len;
	transfer_moved(c->w, (int64_t)part.len);
	return true;
}

static bool
download_part(struct worker *w, struct large *large, unsigned number)
{
	const struct download_own *own = large->own;
	struct part_coming c = {.w = w, .fd = large->fd, .at = large_offset(large, number)};
	struct s3_get get = {.bucket = w->transfer->from_bucket,
		.key = large->job->from,
		.offset = c.at,
		.length = large_length(large, number),
		.etag = own->info.etag[0] ? own->info.etag : NULL,
		.receive = part_take,
		.data = &c};
	struct part_mark mark = {.is_there = 1};
	struct s3_info info;

	if (own->there[number])
		return true;
	if (!s3_get(w->conn, w->arena, &get, &info)) {
		if (!c.problem)
			return report_refused(w, large->job);
		if (atomic_exchange(&large->failed, true))
			return false; /* of another part it was said */
		errno = c.problem;
		return report_unwritten(w->transfer, large->job->to);
	}
	if (c.at != large_offset(large, number) + get.length)
		return report_failed(w->transfer, w->transfer->from_bucket, large->job->from,
			"the object became shorter while it was read");
	large->crcs[number] = mark.crc = c.crc;
	return local_write(large->fd, &mark, sizeof(mark), mark_offset(large, number)) ||
	       report_unwritten(w->transfer, large->job->to);
}

static bool
md5_fits(const struct large *large, const uint8_t said[16])
{
	struct digester *d = digester_new(DIGEST_BIT(DIGEST_MD5));
	uint8_t *piece = xmalloc(PIECE_BYTES);
	struct digest_value value;
	uint64_t done = 0;
	ssize_t n = 1;

	while (done < large->job->size && n > 0) {
		uint64_t left = large->job->size - done;

		n = pread(large->fd, piece, left < PIECE_BYTES ? left : PIECE_BYTES, (off_t)done);
		if (n > 0) {
			digester_update(d, piece, (size_t)n);
			done += (uint64_t)n;
		}
	}
	digester_value(d, DIGEST_MD5, &value);
	digester_free(d);
	free(piece);
	return done == large->job->size && memcmp(value.bytes, said, 16) == 0;
}

/* By the checksum of the whole, or by the MD5 that an ETag may be; of neither there is the length. */
static bool
download_verify(const struct large *large)
{
	const struct download_own *own = large->own;
	uint8_t digest[16];
	uint64_t crc;

	if (crc64_parse(own->info.crc64nvme, &crc))
		return large_crc(large) == crc;
	return !hex_decode(bytes_str(own->info.etag), digest, 16) || md5_fits(large, digest);
}

static bool
download_finish(struct worker *w, struct large *large, bool whole)
{
	struct download_own *own = large->own;
	int fd = large->fd;

	if (!whole)
		return false;
	if (!download_verify(large)) {
		part_file_remove(w, large->job, own->part);
		return report_failed(w->transfer, w->transfer->from_bucket, large->job->from,
			"what came is not what the server's checksum says: it is damaged");
	}
	if (ftruncate(fd, (off_t)large->job->size) != 0)
		return report_unwritten(w->transfer, large->job->to);
	large->fd = -1;
	return file_finish(w, fd, own->part, large->job, &own->info);
}

static const struct large_kind download_kind = {download_part, download_finish};

static bool
large_download(struct worker *w, const struct job *job, const struct s3_info *info)
{
	struct large *large = large_new(job, &download_kind, info->size, w->transfer->options->part_size);
	struct download_own *own = ARENA_NEW(large->arena, struct download_own);

	large->job->etag = arena_str(large->arena, bytes_str(info->etag));
	own->info = *info;
	own->info.etag = arena_str(large->arena, bytes_str(info->etag));
	own->info.crc64nvme = info->crc64nvme ? arena_str(large->arena, bytes_str(info->crc64nvme)) : NULL;
	own->part = local_part_path(large->arena, job->to);
	own->there = ARENA_ARRAY(large->arena, bool, large->parts);
	large->own = own;
	if (part_file_open(w, job, own->part, 0, &large->fd) &&
		(parts_prepare(large, own) || report_unwritten(w->transfer, job->to))) {
		transfer_offer(w->transfer, large);
		return true;
	}
	large_free(large);
	return false;
}

/* What the object is by now; `is_larger`: it is said to have more than the job says. */
static bool
job_look(struct worker *w, struct job *job, bool is_larger, struct s3_info *info)
{
	if (!s3_head(w->conn, w->arena, w->transfer->from_bucket, job->from, info))
		return report_refused(w, job);
	if (is_larger && info->size <= job->size)
		return report_failed(w->transfer, w->transfer->from_bucket, job->from,
			"the server sends more than the %" PRIu64 " bytes that it says it has", job->size);
	job->size = info->size;
	return true;
}

/* What is there may be a file, or a link, which are replaced: devices and pipes are not. */
static bool
target_check(struct worker *w, const struct job *job)
{
	int folder = local_folder(w, job->to, job->root_len);
	const char *name = local_name(job->to);
	struct stat st;

	if (folder < 0)
		return report_failed(
			w->transfer, NULL, job->to, "its directory cannot be made: %s", local_problem(errno));
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISREG(st.st_mode))
		return true;
	if (S_ISDIR(st.st_mode))
		return report_failed(w->transfer, NULL, job->to, "cannot be written: %s", strerror(EISDIR));
	if (S_ISLNK(st.st_mode) && (fstatat(folder, name, &st, 0) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return true;
	return report_failed(w->transfer, NULL, job->to, "is no file, and stays (a target - is stdout)");
}

/* By the size that the job has of a list, which may be older than the object: then it is looked at again. */
bool
transfer_download(struct worker *w, struct job *job, bool *taken)
{
	uint64_t whole_most = 2 * w->transfer->options->part_size;
	bool is_larger = false;
	struct s3_info info;

	if (local_is_part(local_name(job->to)))
		return report_failed(w->transfer, w->transfer->from_bucket, job->from,
			"its name is that of a file which is not whole yet");
	if (!target_check(w, job))
		return false;
	for (unsigned tries = 0; tries < S3_ATTEMPTS; tries++) {
		if ((is_larger || job->size > whole_most) && !job_look(w, job, is_larger, &info))
			return false;
		if (job->size > whole_most) {
			*taken = true;
			return large_download(w, job, &info);
		}
		if (whole_download(w, job, &is_larger))
			return true;
		if (!is_larger)
			return false;
	}
	return report_failed(w->transfer, w->transfer->from_bucket, job->from, "it grows while it is read");
}
