/*
 * block_file.c: a block's bytes for a socket: they go there from the page cache, without a copy of ours. What is sent is
 * verified where it lies, through a mapping. [any: with may_block false only what the page cache has]
 */
#include "base/arena.h"
#include "base/log.h"
#include "drivers/embedded/embedded_int.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESIDENT_PAGES 256 /* asked at a time */

struct block_file {
	struct slice_file file; /* first */
	struct embedded *e;
	struct volume *volume;
};

static void
file_release(struct slice_owner *owner)
{
	struct block_file *f = (struct block_file *)(void *)owner;

	volume_unpin(f->e, f->volume);
	free(f);
}

/* A page cache of large pages may have some of what is behind the file's end, where to look is a signal. */
static bool
is_within(const struct volume *v, uint64_t end)
{
	struct stat st;

	return fstat(v->fd, &st) == 0 && end <= (uint64_t)st.st_size;
}

static bool
is_resident(uint8_t *at, size_t len, size_t page)
{
	unsigned char present[RESIDENT_PAGES];

	for (size_t done = 0; done < len; done += RESIDENT_PAGES * page) {
		size_t part = len - done < RESIDENT_PAGES * page ? len - done : RESIDENT_PAGES * page;

		if (mincore(at + done, part, present) != 0)
			return false;
		for (size_t i = 0; i < (part + page - 1) / page; i++)
			if (!(present[i] & 1))
				return false;
	}
	return true;
}

/*
 * A fault on a page that cannot be read would be a signal: only what is in the page cache is looked at. (Between the two
 * it would have to go out of it, and the disk to fail: the process would end, and recover.)
 */
static enum rfs_err
verify(struct embedded *e, struct volume *v, uint64_t offset, size_t len, bool may_block,
	bool (*right)(void *data, struct bytes bytes), void *data)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), before = offset % page, looked = before + len;
	uint8_t *at = is_within(v, offset + len) ? volume_look(e, v, offset - before, looked) : NULL;
	enum rfs_err err = RFS_OK;

	if (at == NULL)
		return RFS_ERR_NOT_FOUND;
	if (!is_resident(at, looked, page))
		err = may_block ? RFS_ERR_NOT_FOUND : RFS_ERR_WOULD_BLOCK;
	else if (!right(data, bytes_of(at + before, len)))
		err = RFS_ERR_DAMAGED;
	volume_look_end(e, v, at, looked);
	return err;
}

enum rfs_err
block_get_file(struct storage_driver *d, struct request *rq, const struct block_location *location, uint64_t offset,
	size_t len, bool (*right)(void *data, struct bytes bytes), void *data, struct slice *out)
{
	struct embedded *e = embedded_of_storage(d);
	uint32_t volume_number, length;
	uint64_t payload_offset;
	struct block_file *f;
	struct volume *v;
	enum rfs_err err;

	*out = (struct slice){0};
	location_decode(location, &volume_number, &length, &payload_offset);
	if (offset > length || len > length - offset)
		return RFS_ERR_NOT_FOUND; /* get says what is wrong */
	if ((err = volume_pin(e, volume_number, rq->may_block, &v)))
		return err == RFS_ERR_WOULD_BLOCK ? err : RFS_ERR_NOT_FOUND;
	err = verify(e, v, payload_offset + offset, len, rq->may_block, right, data);
	if (err) {
		volume_unpin(e, v);
		return err;
	}
	f = xmalloc(sizeof(*f));
	*f = (struct block_file){.file = {.owner = {.release = file_release}, .fd = v->fd, .offset = payload_offset + offset},
		.e = e,
		.volume = v};
	atomic_init(&f->file.owner.references, 1);
	*out = (struct slice){NULL, len, &f->file.owner};
	return RFS_OK;
}
