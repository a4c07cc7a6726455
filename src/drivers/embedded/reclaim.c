/*
 * reclaim.c: which volumes there are, what blocks they hold, and the removal of those from which all that is needed was moved: driver.h, struct
 * volume_ops. What is needed is for the callers to know; what is kept here is that nothing goes that may still be named: a volume that is not sealed,
 * that has tickets, whose batches are not yet visible, or whose batches an open would need. [worker]
 */
#include "base/log.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include "base/crash_point.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What tells of a volume of the journal whether it is still needed. */
struct bounds {
	struct position visible; /* what lies before is in the index, as others read it */
	uint64_t floor;          /* no open needs volumes below this one */
};

static enum rfs_err
bounds_now(struct embedded *e, struct request *rq, struct bounds *out)
{
	bool found;
	enum rfs_err err = index_applied(&e->index, &out->visible, &found);

	if (!err && !found)
		err = RFS_ERR_DAMAGED;
	out->floor = err ? 0 : checkpoint_floor(e);
	return err ? request_fail(rq, err, "look how far the index is") : RFS_OK;
}

static void
locate(const struct block_location *location, uint64_t *volume, uint64_t *bytes)
{
	uint32_t number, length;
	uint64_t offset;

	location_decode(location, &number, &length, &offset);
	*volume = number;
	*bytes = record_bytes(length);
}

static enum rfs_err
holds(struct storage_driver *d, struct request *rq, const struct block_location *location)
{
	struct embedded *e = embedded_of_storage(d);
	uint32_t number, length;
	struct volume *v;
	struct stat st;
	uint64_t offset;
	enum rfs_err err;

	location_decode(location, &number, &length, &offset);
	if ((err = volume_pin(e, number, true, &v)))
		return request_fail(rq, err, "volume %016llx: %s", (unsigned long long)number, error_face(err)->text);
	if (fstat(v->fd, &st) != 0)
		err = request_fail(rq, error_from_errno(errno), "volume %016llx: %s", (unsigned long long)number, strerror(errno));
	else if (offset > (uint64_t)st.st_size || length > (uint64_t)st.st_size - offset)
		err = request_fail(rq, RFS_ERR_NOT_FOUND, "volume %016llx ends before it", (unsigned long long)number);
	volume_unpin(e, v);
	return err;
}

/* False: it holds no blocks, has gone meanwhile, or cannot be read. */
static bool
describe(struct embedded *e, uint64_t number, const struct bounds *bounds, struct storage_volume *out)
{
	struct superblock super;
	struct stat st;
	uint64_t seal;
	uint32_t length;
	int fd;
	bool good;

	*out = (struct storage_volume){.number = number, .head = SUPERBLOCK_BYTES};
	good = !volume_open(e, number, VOLUME_SUFFIX, &fd, &super) && fstat(fd, &st) == 0 &&
	       (super.kind == VOLUME_JOURNAL || super.kind == VOLUME_BULK);
	if (good) {
		out->bytes = (uint64_t)st.st_size;
		out->has_batches = super.kind == VOLUME_JOURNAL;
		out->sealed = seal_find(fd, out->bytes, super.generation, &seal, &length);
	}
	if (fd >= 0)
		close(fd);
	if (good && out->has_batches) {
		out->sealed &= number < bounds->visible.volume;
		out->covered = number < bounds->floor || MUTANT("batches-not-covered");
		if (number == bounds->visible.volume)
			out->bytes = bounds->visible.offset; /* zeros follow */
	} else if (good) {
		(void)bulk_is_open(e, number, &out->bytes, &out->tickets);
	}
	return good;
}

static int
compare_volume(const void *a, const void *b)
{
	uint64_t x = ((const struct storage_volume *)a)->number, y = ((const struct storage_volume *)b)->number;

	return x < y ? -1 : x > y;
}

static enum rfs_err
list(struct storage_driver *d, struct request *rq, struct storage_volume **out, size_t *count)
{
	struct embedded *e = embedded_of_storage(d);
	struct bounds bounds;
	struct dirent *entry;
	char path[4096];
	uint64_t number;
	enum rfs_err err;
	DIR *dir;

	*out = NULL;
	*count = 0;
	if ((err = bounds_now(e, rq, &bounds)))
		return err;
	snprintf(path, sizeof(path), "%s/volumes", e->data);
	dir = opendir(path);
	if (dir == NULL)
		return request_fail(rq, error_from_errno(errno), "list %s: %s", path, strerror(errno));
	while ((entry = readdir(dir))) {
		if (!volume_parse_name(entry->d_name, VOLUME_SUFFIX, &number))
			continue;
		*out = xrealloc(*out, (*count + 1) * sizeof(**out));
		*count += describe(e, number, &bounds, &(*out)[*count]);
	}
	closedir(dir);
	if (*count)
		qsort(*out, *count, sizeof(**out), compare_volume);
	return RFS_OK;
}

static enum rfs_err
blocks(struct storage_driver *d, struct request *rq, uint64_t number, struct storage_block **out, size_t *count)
{
	struct embedded *e = embedded_of_storage(d);
	struct superblock super;
	uint8_t *entries = NULL;
	struct stat st;
	enum rfs_err err;
	int fd;

	*out = NULL;
	*count = 0;
	err = volume_open(e, number, VOLUME_SUFFIX, &fd, &super);
	if (!err && fstat(fd, &st) != 0)
		err = error_from_errno(errno);
	if (!err)
		err = seal_read(fd, (uint64_t)st.st_size, super.generation, &entries, count);
	if (fd >= 0)
		close(fd);
	if (err)
		return request_fail(rq, err, "read the seal of volume %016llx", (unsigned long long)number);
	*out = xcalloc(*count + 1, sizeof(**out));
	for (size_t i = 0; i < *count; i++) {
		const uint8_t *entry = entries + i * SEAL_ENTRY_BYTES;
		struct storage_block *block = &(*out)[i];

		block->bucket = load_be64(entry);
		block->number = load_be64(entry + 8);
		location_encode((uint32_t)number, load_u32(entry + 24), load_u64(entry + 16), &block->location);
	}
	free(entries);
	return RFS_OK;
}

static enum rfs_err
seal(struct storage_driver *d, struct request *rq, uint64_t number)
{
	struct embedded *e = embedded_of_storage(d);
	struct storage_volume v;
	struct bounds bounds;
	enum rfs_err err;

	ASSERT_MAY_BLOCK();
	if ((err = bounds_now(e, rq, &bounds)))
		return err;
	if (!describe(e, number, &bounds, &v))
		return RFS_ERR_NOT_FOUND;
	if (!v.has_batches)
		bulk_seal(e, number);
	else if (number >= bounds.visible.volume) /* of one that was just begun nothing is visible yet */
		err = journal_rotate(e);
	if (err)
		return request_fail(rq, err, "begin a volume of the journal");
	sealer_wait(e);
	return RFS_OK;
}

static enum rfs_err
removable(struct embedded *e, struct request *rq, uint64_t number, struct storage_volume *v)
{
	struct bounds bounds;
	enum rfs_err err;

	if (atomic_load(&e->poisoned))
		return RFS_ERR_POISONED;
	if ((err = bounds_now(e, rq, &bounds)))
		return err;
	if (!describe(e, number, &bounds, v))
		return RFS_ERR_NOT_FOUND;
	return v->sealed && !v->tickets && (!v->has_batches || v->covered) ? RFS_OK : RFS_ERR_LOCKED;
}

static enum rfs_err
remove_file(struct embedded *e, uint64_t number)
{
	char path[4096];

	if (unlink(volume_path(e, number, VOLUME_SUFFIX, path)) != 0)
		return error_from_errno(errno);
	crash_point(CRASH_VOLUME_REMOVED);
	volume_drop(e, number);
	snprintf(path, sizeof(path), "%s/volumes", e->data);
	return sync_directory(path);
}

/* Nothing may need it after a loss of power either: the index that does not name it is synced first. */
static enum rfs_err
remove_volume(struct storage_driver *d, struct request *rq, uint64_t number, uint64_t *freed)
{
	struct embedded *e = embedded_of_storage(d);
	struct storage_volume v = {0};
	enum rfs_err err;

	ASSERT_MAY_BLOCK();
	*freed = 0;
	err = removable(e, rq, number, &v);
	if (!err)
		err = index_flush_wal(&e->index);
	if (!err)
		err = remove_file(e, number);
	if (err)
		return request_fail(rq, err, "remove volume %016llx", (unsigned long long)number);
	atomic_fetch_sub(&e->disk_bytes, v.bytes);
	*freed = v.bytes;
	return RFS_OK;
}

static void
limits(struct storage_driver *d, struct volume_limits *out)
{
	struct embedded *e = embedded_of_storage(d);

	*out = (struct volume_limits){.size = e->volume_bytes, .room = space_to_move(e)};
}

const struct volume_ops embedded_volume_ops = {
	.locate = locate,
	.limits = limits,
	.holds = holds,
	.list = list,
	.blocks = blocks,
	.seal = seal,
	.remove = remove_volume,
	.verify = volumes_verify,
};
