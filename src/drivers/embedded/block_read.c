/*
 * block_read.c: reading a block's payload from its volume, journal or bulk. Its beginning is read with the header, which
 * binds it to its place, bucket and number, and a whole payload with the footer too, which holds its checksum. [any: with
 * may_block false only what the page cache has]
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TAIL_MOST (7 + RECORD_FOOTER_BYTES)

static enum rfs_err
read_all(int fd, struct iovec *iov, int count, size_t len, uint64_t offset, bool may_block)
{
	ssize_t n;

	while (len) {
		n = preadv2(fd, iov, count, (off_t)offset, may_block ? 0 : RWF_NOWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EOPNOTSUPP ? RFS_ERR_WOULD_BLOCK : error_from_errno(errno);
		if (n == 0)
			return RFS_ERR_DAMAGED; /* beyond the end */
		len -= (size_t)n;
		offset += (uint64_t)n;
		if (len && !may_block)
			return RFS_ERR_WOULD_BLOCK;
		while (count && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			count--;
		}
		if (count) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return RFS_OK;
}

/* A block, and where it is said to be. */
struct wanted {
	const struct volume *volume;
	uint64_t bucket, number;
	uint64_t offset; /* of its record */
	uint32_t length; /* of its payload */
};

static bool
header_matches(const struct wanted *w, const uint8_t *header)
{
	struct record_header h;

	return record_header_decode(header, w->offset, w->volume->generation, &h) && h.type == RECORD_BLOCK &&
	       ((h.bucket == w->bucket && h.number == w->number) || MUTANT("any-block-is-the-one")) &&
	       h.length == w->length;
}

/* A record as it was read: is it that of the block? */
static enum rfs_err
record_verify(const struct wanted *w, const uint8_t *header, const uint8_t *payload, const uint8_t *tail)
{
	if (!header_matches(w, header) || (!record_tail_matches(crc32c(0, payload, w->length), w->length, tail) &&
						 !MUTANT("checksums-ignored-on-read")))
		return RFS_ERR_DAMAGED;
	return RFS_OK;
}

static enum rfs_err
read_whole(const struct wanted *w, bool may_block, uint8_t *out)
{
	uint8_t header[RECORD_HEADER_BYTES], tail[TAIL_MOST];
	size_t tail_len = record_padding(w->length) + RECORD_FOOTER_BYTES;
	struct iovec iov[3] = {{header, sizeof(header)}, {out, w->length}, {tail, tail_len}};
	enum rfs_err err =
		read_all(w->volume->fd, iov, 3, sizeof(header) + w->length + tail_len, w->offset, may_block);

	return err ? err : record_verify(w, header, out, tail);
}

/* The beginning comes with the header, which says whose it is. */
static enum rfs_err
read_part(const struct wanted *w, uint64_t offset, size_t len, bool may_block, uint8_t *out)
{
	uint8_t header[RECORD_HEADER_BYTES];
	struct iovec iov[2] = {{header, sizeof(header)}, {out, len}};
	enum rfs_err err;

	if (offset)
		return read_all(w->volume->fd, iov + 1, 1, len, w->offset + RECORD_HEADER_BYTES + offset, may_block);
	err = read_all(w->volume->fd, iov, 2, sizeof(header) + len, w->offset, may_block);
	return !err && !header_matches(w, header) ? RFS_ERR_DAMAGED : err;
}

/*
 * Past the page cache, which has what was once written or read, and not what the disk would give now; and which is for
 * others. NOT_IMPLEMENTED: this file system, or this volume, cannot be read so.
 */
static enum rfs_err
read_direct(struct embedded *e, uint32_t volume, uint64_t from, size_t len, uint8_t *out)
{
	char path[4096];
	int fd = open(volume_path(e, volume, VOLUME_SUFFIX, path), O_RDONLY | O_DIRECT | O_CLOEXEC);
	enum rfs_err err = fd < 0 ? RFS_ERR_NOT_IMPLEMENTED : RFS_OK;
	size_t done = 0;
	ssize_t n = 1;

	/* The file may end within the last page. */
	while (!err && done < len && n > 0 && done % PAGE_BYTES == 0) {
		n = pread(fd, out + done, len - done, (off_t)(from + done));
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			err = errno == EINVAL ? RFS_ERR_NOT_IMPLEMENTED : error_from_errno(errno);
	}
	if (fd >= 0)
		close(fd);
	memset(out + done, 0, len - done);
	return err;
}

static enum rfs_err
read_whole_uncached(struct embedded *e, const struct wanted *w, uint8_t *out)
{
	uint64_t from = w->offset / PAGE_BYTES * PAGE_BYTES, end = w->offset + record_bytes(w->length);
	size_t len = (size_t)((end + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES - from);
	uint8_t *buffer = aligned_alloc(PAGE_BYTES, len);
	enum rfs_err err = buffer ? read_direct(e, w->volume->number, from, len, buffer) : RFS_ERR_NOT_IMPLEMENTED;

	if (!err) {
		const uint8_t *header = buffer + (w->offset - from), *payload = header + RECORD_HEADER_BYTES;

		err = record_verify(w, header, payload, payload + w->length);
		memcpy(out, payload, w->length);
	}
	free(buffer);
	return err == RFS_ERR_NOT_IMPLEMENTED ? read_whole(w, true, out) : err;
}

enum rfs_err
block_get(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number,
	const struct block_location *location, uint64_t offset, size_t len, struct slice *out)
{
	struct embedded *e = embedded_of_storage(d);
	struct wanted w = {.bucket = bucket, .number = number};
	uint32_t volume_number;
	uint64_t payload_offset;
	struct volume *v = NULL;
	struct slice slice = {0};
	enum rfs_err err;

	*out = (struct slice){0};
	location_decode(location, &volume_number, &w.length, &payload_offset);
	if (w.length > BATCH_MAX_BLOCK_BYTES || payload_offset < SUPERBLOCK_BYTES + RECORD_HEADER_BYTES)
		return request_fail(
			rq, RFS_ERR_DAMAGED, "block %llu: its location is not one", (unsigned long long)number);
	if (offset > w.length || len > w.length - offset)
		return request_fail(
			rq, RFS_ERR_INTERNAL, "block %llu: read beyond its end", (unsigned long long)number);
	if ((err = volume_pin(e, volume_number, rq->may_block, &v)))
		goto out;
	w.volume = v;
	w.offset = payload_offset - RECORD_HEADER_BYTES;
	slice = slice_new(len);
	if (slice.owner == NULL)
		err = RFS_ERR_INTERNAL;
	else if (offset || len < w.length)
		err = read_part(&w, offset, len, rq->may_block, slice_writable(&slice));
	else if (rq->uncached && rq->may_block)
		err = read_whole_uncached(e, &w, slice_writable(&slice));
	else
		err = read_whole(&w, rq->may_block, slice_writable(&slice));
out:
	if (v)
		volume_unpin(e, v);
	if (err) {
		slice_unref(&slice);
		/* A volume that has gone: its blocks were moved, and the caller looks where. */
		if (err == RFS_ERR_WOULD_BLOCK || err == RFS_ERR_NOT_FOUND)
			return err;
		log_error(rq->id, "read block %llu in volume %08x at %llu: %s", (unsigned long long)number,
			volume_number, (unsigned long long)payload_offset, error_face(err)->text);
		return request_fail(rq, err, "block %llu: %s", (unsigned long long)number, error_face(err)->text);
	}
	*out = slice;
	return RFS_OK;
}
