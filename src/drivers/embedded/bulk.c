/*
 * bulk.c: bulk volumes: large blocks, written by the workers themselves and synced together.
 *
 * A worker reserves a place under the lock and writes there beside the others. wait() syncs for all who wait: whoever
 * comes first is the leader, and the ones who finished writing before its sync began are done with it. A failed sync
 * poisons the store. A crash leaves a tail that nobody refers to: each open begins a new volume with its first block.
 * [worker]
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include "base/crash_point.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TAIL_MOST (7 + RECORD_FOOTER_BYTES)
#define WRITE_OUT_BYTES (512 * 1024)

static enum rfs_err
start_volume_locked(struct embedded *e)
{
	struct superblock s = {.kind = VOLUME_BULK};
	struct bulk_volume *v;
	enum rfs_err err;
	int fd;

	memcpy(s.store, e->store, 16);
	s.number = volume_next_number(e);
	random_bytes(&s.generation, sizeof(s.generation));
	s.created_ns = clock_wall_ns();
	if ((err = volume_create(e, &s, 0, &fd)))
		return err;
	v = xcalloc(1, sizeof(*v));
	v->number = (uint32_t)s.number;
	v->fd = fd;
	v->generation = s.generation;
	v->offset = SUPERBLOCK_BYTES;
	if (e->bulk.volumes)
		e->bulk.volumes->sealed = true;
	v->next = e->bulk.volumes;
	e->bulk.volumes = v;
	return RFS_OK;
}

/*
 * Sealed volumes whose writes are all synced are closed, and those whose tickets are all given back: what of them is not
 * synced nobody waits for, and no row names. The latter are forgotten.
 */
static void
forget_synced_locked(struct embedded *e)
{
	struct bulk_volume **at = &e->bulk.volumes, *v;

	while ((v = *at)) {
		if (v->fd >= 0 && v->sealed && !v->writing && !v->syncing &&
			(v->synced == v->written || v->tickets == 0)) {
			close(v->fd);
			v->fd = -1;
			sealer_add(e, v->number, 0);
		}
		if (v->fd >= 0 || v->tickets) {
			at = &v->next;
			continue;
		}
		*at = v->next;
		free(v);
	}
}

static struct bulk_volume *
find_locked(struct embedded *e, uint64_t number)
{
	struct bulk_volume *v = e->bulk.volumes;

	while (v && v->number != number)
		v = v->next;
	return v;
}

static enum rfs_err
reserve(struct embedded *e, uint64_t bytes, struct bulk_volume **out, uint64_t *offset)
{
	struct bulk *b = &e->bulk;
	struct bulk_volume *v;
	enum rfs_err err = RFS_OK;

	pthread_mutex_lock(&b->lock);
	v = b->volumes;
	if (v == NULL || v->sealed || (v->offset > SUPERBLOCK_BYTES && v->offset + bytes > e->volume_bytes)) {
		err = start_volume_locked(e);
		forget_synced_locked(e);
		v = b->volumes;
	}
	if (!err) {
		*out = v;
		*offset = v->offset;
		v->offset += bytes;
		v->writing++;
	}
	pthread_mutex_unlock(&b->lock);
	return err;
}

static enum rfs_err
write_block(
	const struct bulk_volume *v, struct record_header *h, const struct slice *parts, size_t count, uint64_t offset)
{
	uint8_t header[RECORD_HEADER_BYTES], tail[TAIL_MOST];
	struct iovec *iov = xmalloc((count + 2) * sizeof(*iov));
	enum rfs_err err;
	uint32_t crc = 0;

	record_header_encode(h, offset, v->generation, header);
	iov[0] = (struct iovec){header, sizeof(header)};
	for (size_t i = 0; i < count; i++) {
		crc = crc32c(crc, parts[i].data, parts[i].len);
		iov[i + 1] = (struct iovec){(void *)parts[i].data, parts[i].len};
	}
	iov[count + 1] = (struct iovec){tail, record_tail_encode(crc, h->length, tail)};
	err = write_all(v->fd, iov, count + 2, offset);
	free(iov);
	return err;
}

/*
 * A large block is begun to be written out while the next one comes: the sync has less to wait for, and the kernel finds
 * its pages again sooner. A hint alone: what fails here is told by the sync.
 */
static void
write_out_early(struct embedded *e, const struct bulk_volume *v, uint64_t offset, uint64_t bytes)
{
	if (bytes >= WRITE_OUT_BYTES && !e->unsynced)
		(void)sync_file_range(v->fd, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
}

enum rfs_err
bulk_put(struct storage_driver *d, struct request *rq, uint64_t bucket, uint64_t number, const struct slice *parts,
	size_t count, struct block_ticket *out)
{
	struct embedded *e = embedded_of_storage(d);
	struct record_header h = {
		.type = RECORD_BLOCK, .count = 1, .bucket = bucket, .number = number, .time_ns = rq->now_ns};
	struct bulk_volume *v = NULL;
	uint64_t offset, len = 0;
	enum rfs_err err;

	ASSERT_MAY_BLOCK();
	*out = (struct block_ticket){.number = number};
	for (size_t i = 0; i < count; i++)
		len += parts[i].len;
	if (len > BATCH_MAX_BLOCK_BYTES)
		return request_fail(rq, RFS_ERR_LIMIT, "put a block of %llu bytes", (unsigned long long)len);
	if (atomic_load(&e->poisoned))
		return RFS_ERR_POISONED;
	if ((err = space_admit(e, rq->need, record_bytes(len), 0, NULL)))
		return err;
	if ((err = reserve(e, record_bytes(len), &v, &offset)))
		return request_fail(rq, err, "reserve room for block %llu", (unsigned long long)number);
	h.length = (uint32_t)len;
	err = write_block(v, &h, parts, count, offset);
	if (!err)
		write_out_early(e, v, offset, record_bytes(len));
	pthread_mutex_lock(&e->bulk.lock);
	v->writing--;
	v->written++;
	if (!err) {
		v->tickets++;
		out->sequence = v->written;
		location_encode(v->number, h.length, offset + RECORD_HEADER_BYTES, &out->location);
	}
	pthread_mutex_unlock(&e->bulk.lock);
	if (!err) {
		crash_point(CRASH_BLOCK_PUT);
		atomic_fetch_add(&e->disk_bytes, record_bytes(len));
		return RFS_OK;
	}
	if (err != RFS_ERR_NO_SPACE) {
		log_error(rq->id, "write block %llu: %s", (unsigned long long)number, error_face(err)->text);
		embedded_poison(e, "writing a bulk volume");
		err = RFS_ERR_POISONED;
	}
	return request_fail(rq, err, "write block %llu", (unsigned long long)number);
}

/* As leader: one sync for every write that was finished before it began. */
static void
sync_locked(struct embedded *e, struct bulk_volume *v)
{
	uint64_t target = v->written;
	int failed;

	v->syncing = true;
	pthread_mutex_unlock(&e->bulk.lock);
	failed = !e->unsynced && !MUTANT("bulk-not-synced") && fdatasync(v->fd) != 0 ? errno : 0;
	crash_point(CRASH_BLOCKS_SYNCED);
	if (failed) {
		log_error(0, "sync bulk volume %08x: %s", v->number, strerror(failed));
		embedded_poison(e, "writing a bulk volume");
	}
	pthread_mutex_lock(&e->bulk.lock);
	v->syncing = false;
	if (!failed)
		v->synced = target;
	pthread_cond_broadcast(&e->bulk.wake);
}

static enum rfs_err
wait_ticket_locked(struct embedded *e, const struct block_ticket *ticket)
{
	struct bulk_volume *v;

	for (;;) {
		v = find_locked(e, load_u32(ticket->location.bytes));
		if (v == NULL || v->synced >= ticket->sequence) /* a volume leaves the list only when all is synced */
			return RFS_OK;
		if (atomic_load(&e->poisoned))
			return RFS_ERR_POISONED;
		if (v->syncing)
			pthread_cond_wait(&e->bulk.wake, &e->bulk.lock);
		else
			sync_locked(e, v);
	}
}

enum rfs_err
bulk_wait(struct storage_driver *d, struct request *rq, const struct block_ticket *tickets, size_t count)
{
	struct embedded *e = embedded_of_storage(d);
	enum rfs_err err = RFS_OK;

	ASSERT_MAY_BLOCK();
	pthread_mutex_lock(&e->bulk.lock);
	for (size_t i = 0; i < count && !err; i++)
		err = wait_ticket_locked(e, &tickets[i]);
	forget_synced_locked(e);
	pthread_mutex_unlock(&e->bulk.lock);
	return err ? request_fail(rq, err, "sync %zu blocks", count) : RFS_OK;
}

void
bulk_settle(struct storage_driver *d, struct block_ticket *tickets, size_t count)
{
	struct embedded *e = embedded_of_storage(d);
	size_t first = 0;

	while (first < count && tickets[first].sequence == 0)
		first++;
	if (first == count)
		return; /* a small object's */
	pthread_mutex_lock(&e->bulk.lock);
	for (size_t i = first; i < count; i++) {
		struct bulk_volume *v = tickets[i].sequence ? find_locked(e, load_u32(tickets[i].location.bytes)) : NULL;

		if (v) {
			assert(v->tickets > 0);
			v->tickets--;
		}
		tickets[i].sequence = 0;
	}
	forget_synced_locked(e);
	pthread_mutex_unlock(&e->bulk.lock);
}

/* Space comes back when a whole volume is unlinked: nothing to do for one block. */
enum rfs_err
bulk_remove(struct storage_driver *d, struct request *rq, uint64_t number, const struct block_location *location)
{
	return RFS_OK;
}

bool
bulk_is_open(struct embedded *e, uint64_t number, uint64_t *bytes, size_t *tickets)
{
	struct bulk_volume *v;

	pthread_mutex_lock(&e->bulk.lock);
	v = find_locked(e, number);
	if (v) {
		*bytes = v->offset;
		*tickets = MUTANT("tickets-ignored") ? 0 : v->tickets;
	}
	pthread_mutex_unlock(&e->bulk.lock);
	return v != NULL;
}

void
bulk_seal(struct embedded *e, uint64_t number)
{
	struct bulk_volume *v;

	pthread_mutex_lock(&e->bulk.lock);
	if ((v = find_locked(e, number)))
		v->sealed = true;
	forget_synced_locked(e);
	pthread_mutex_unlock(&e->bulk.lock);
}

enum rfs_err
bulk_close(struct embedded *e)
{
	struct bulk_volume *v;
	enum rfs_err err = RFS_OK;

	while ((v = e->bulk.volumes)) {
		e->bulk.volumes = v->next;
		if (v->tickets)
			log_warn(0, "bulk volume %08x: %u blocks were neither committed nor given up", v->number, v->tickets);
		if (v->fd >= 0 && v->synced != v->written && fdatasync(v->fd) != 0)
			err = error_from_errno(errno);
		if (v->fd >= 0)
			close(v->fd);
		free(v);
	}
	return err;
}
