/*
 * block_read.c: reading a block's payload from its volume, journal or bulk. A whole payload is read with its header and
 * footer and verified: the header binds it to its place and number, the footer holds its checksum. [any: with may_block
 * false only what the page cache has]
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include <errno.h>

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

static enum rfs_err
read_whole(
	const struct volume *v, uint64_t number, uint32_t length, uint64_t payload_offset, bool may_block, uint8_t *out)
{
	uint8_t header[RECORD_HEADER_BYTES], tail[TAIL_MOST];
	size_t tail_len = record_padding(length) + RECORD_FOOTER_BYTES;
	struct iovec iov[3] = {{header, sizeof(header)}, {out, length}, {tail, tail_len}};
	uint64_t offset = payload_offset - RECORD_HEADER_BYTES;
	struct record_header h;
	enum rfs_err err;

	err = read_all(v->fd, iov, 3, sizeof(header) + length + tail_len, offset, may_block);
	if (err)
		return err;
	if (!record_header_decode(header, offset, v->generation, &h) || h.type != RECORD_BLOCK || h.number != number ||
		h.length != length ||
		(!record_tail_matches(crc32c(0, out, length), length, tail) && !MUTANT("checksums-ignored-on-read")))
		return RFS_ERR_DAMAGED;
	return RFS_OK;
}

enum rfs_err
block_get(struct storage_driver *d, struct request *rq, uint64_t number, const struct block_location *location,
	uint64_t offset, size_t len, struct slice *out)
{
	struct embedded *e = embedded_of_storage(d);
	uint32_t volume_number, length;
	uint64_t payload_offset;
	struct volume *v = NULL;
	struct slice slice = {0};
	struct iovec iov;
	enum rfs_err err;

	*out = (struct slice){0};
	location_decode(location, &volume_number, &length, &payload_offset);
	if (length > BATCH_MAX_BLOCK_BYTES || payload_offset < SUPERBLOCK_BYTES + RECORD_HEADER_BYTES)
		return request_fail(
			rq, RFS_ERR_DAMAGED, "read block %llx: its location is not one", (unsigned long long)number);
	if (offset > length || len > length - offset)
		return request_fail(rq, RFS_ERR_INTERNAL, "read block %llx beyond its end", (unsigned long long)number);
	if ((err = volume_pin(e, volume_number, rq->may_block, &v)))
		goto out;
	slice = slice_new(len);
	if (slice.owner == NULL) {
		err = RFS_ERR_INTERNAL;
		goto out;
	}
	iov = (struct iovec){slice_writable(&slice), len};
	if (offset == 0 && len == length)
		err = read_whole(v, number, length, payload_offset, rq->may_block, slice_writable(&slice));
	else
		err = read_all(v->fd, &iov, 1, len, payload_offset + offset, rq->may_block);
out:
	if (v)
		volume_unpin(e, v);
	if (err) {
		slice_unref(&slice);
		/* A volume that has gone: its blocks were moved, and the caller looks where. */
		if (err == RFS_ERR_WOULD_BLOCK || err == RFS_ERR_NOT_FOUND)
			return err;
		log_error(rq->id, "read block %llx in volume %08x at %llu: %s", (unsigned long long)number,
			volume_number, (unsigned long long)payload_offset, error_face(err)->text);
		return request_fail(rq, err, "read block %llx", (unsigned long long)number);
	}
	*out = slice;
	return RFS_OK;
}
