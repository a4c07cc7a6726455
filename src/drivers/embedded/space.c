/*
 * space.c: room on the disk: what may still be written, and a reserve for what brings room back.
 *
 * A file, DATA/reserve, keeps some of the disk from everybody else. While less than `keep` is free, ordinary writes are
 * refused; `keep` is what RocksDB and the journal need to go on with what was admitted. Deletes and changes of access
 * go on, and may use half of the reserve; compaction all of it, and so may what is durable already. It grows again when
 * there is room.
 *
 * Whether there is room is decided here, when a batch or a block is admitted, and never by the committer. The disk is
 * looked at each second, and when a quarter of what was free at the last look has been admitted. At the edge, where
 * each asks for room, what was admitted and is not yet in the index counts as taken; before that `keep` has room for
 * it. [any]
 */
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB ((uint64_t)1024 * 1024)
#define KEEP_MOST (64 * MIB)
#define KEEP_SHARE 16 /* of the file system: one in so many */
#define RESERVE_LEAST (16 * MIB)
#define RESERVE_STORE_SHARE 16  /* of the store */
#define RESERVE_DISK_SHARE 50   /* of the file system */
#define CREDIT_MOST (256 * MIB) /* admitted without a look */
#define RELEASE_STEP MIB
#define LITTLE MIB /* less than this is nothing */
#define SPARE (INDEX_SPARE + MIB / 2) /* also what a volume begins and ends with */
#define VOLUME_LEAST (8 * MIB) /* a volume's size on a small disk */

struct room {
	uint64_t free, total;
};

static void
room_of(const struct embedded *e, const char *name, struct room *out)
{
	char path[4096];
	struct statvfs st;
	uint64_t free;

	snprintf(path, sizeof(path), "%s/%s", e->data, name);
	/* What is not there yet will be beside the rest. */
	if (statvfs(path, &st) != 0 && statvfs(e->data, &st) != 0)
		return;
	free = (uint64_t)st.f_bavail * st.f_frsize;
	if (free < out->free) {
		out->free = free;
		out->total = (uint64_t)st.f_blocks * st.f_frsize;
	}
}

/* Of the fuller one, where the index lies on another disk; without what is promised. */
static struct room
look(const struct embedded *e)
{
	uint64_t promised = MUTANT("promises-ignored") ? 0 : atomic_load(&e->space.promised);
	struct room room = {.free = UINT64_MAX};

	room_of(e, "volumes", &room);
	room_of(e, "index", &room);
	metric_set(METRIC_STORE_FREE_BYTES, room.free < INT64_MAX ? (int64_t)room.free : -1);
	metric_set(METRIC_STORE_DISK_BYTES, (int64_t)room.total);
	room.free -= promised < room.free ? promised : room.free;
	return room;
}

static uint64_t
keep_of(const struct room *room)
{
	return room->total / KEEP_SHARE < KEEP_MOST ? room->total / KEEP_SHARE : KEEP_MOST;
}

/* With the rows that the index will get of it, which it counts twice: it waits for room when nothing can be taken back
 * any more. Those of a small batch may be nearly twice its bytes in the journal. */
static uint64_t
carried_through(uint64_t bytes)
{
	uint64_t rows = 4 * bytes, most = 2 * BATCH_MAX_BYTES;

	return bytes + (rows < most ? rows : most);
}

static bool
is_full(const struct room *room)
{
	return room->free < keep_of(room) + LITTLE;
}

/* It grows with the store; a small disk has a small one. */
static uint64_t
reserve_wanted(const struct embedded *e, const struct room *room)
{
	uint64_t wanted = atomic_load(&e->disk_bytes) / RESERVE_STORE_SHARE, most = room->total / RESERVE_DISK_SHARE;

	if (most < RESERVE_LEAST)
		most = RESERVE_LEAST < room->total / KEEP_SHARE ? RESERVE_LEAST : room->total / KEEP_SHARE;
	if (most > 2 * e->volume_bytes)
		most = 2 * e->volume_bytes;
	if (wanted < RESERVE_LEAST)
		wanted = RESERVE_LEAST;
	return (wanted < most ? wanted : most) / MIB * MIB;
}

/* Gives up reserve down to `least`, a step at a time. False: there is none above it. */
static bool
release_locked(struct embedded *e, uint64_t least, uint64_t bytes)
{
	struct space *s = &e->space;
	uint64_t size = s->reserve;

	if (s->fd < 0 || size <= least)
		return false;
	bytes = bytes < RELEASE_STEP ? RELEASE_STEP : bytes;
	size = size - least > bytes ? size - bytes : least;
	if (ftruncate(s->fd, (off_t)size) != 0) {
		log_warn(0, "make the reserve smaller: %s", strerror(errno));
		return false;
	}
	log_info(0, "the disk is full: %llu MiB of the reserve are left", (unsigned long long)(size / MIB));
	s->reserve = size;
	metric_set(METRIC_STORE_RESERVE_BYTES, (int64_t)s->reserve);
	return true;
}

/* What was seen: how much is admitted before the next look, and what people are told. */
static void
note_locked(struct embedded *e, const struct room *room)
{
	bool full = is_full(room);
	uint64_t credit = full ? 0 : (room->free - keep_of(room)) / 4;

	atomic_store(&e->space.credit, (int64_t)(credit > CREDIT_MOST ? CREDIT_MOST : credit));
	if (atomic_exchange(&e->space.full, full) == full)
		return;
	metric_set(METRIC_STORE_FULL, full);
	if (full)
		log_error(0, "the disk is full (%llu MiB are free): writes are refused; reads and deletes go on",
			(unsigned long long)(room->free / MIB));
	else
		log_info(0, "there is room on the disk again: writes go on");
}

/* Beyond the ordinary: what is kept free, and then the reserve, down to what this need leaves of it. */
static bool
has_room_locked(struct embedded *e, enum space_need need, uint64_t bytes, struct room *room)
{
	uint64_t least = need == SPACE_FREES ? e->space.target / 2 : 0;
	uint64_t more = e->space.reserve > least ? e->space.reserve - least : 0;
	uint64_t wanted = carried_through(bytes) + SPARE;

	if (room->free >= keep_of(room) + bytes && !is_full(room))
		return true;
	if (need == SPACE_ORDINARY || room->free + more < wanted)
		return false;
	while (room->free < wanted) {
		if (!release_locked(e, least, wanted - room->free))
			return false;
		*room = look(e);
	}
	return true;
}

static enum rfs_err
admit_after_look(struct embedded *e, enum space_need need, uint64_t bytes, uint64_t *promised)
{
	struct space *s = &e->space;
	struct room room;
	bool has_room;

	pthread_mutex_lock(&s->lock);
	room = look(e);
	has_room = has_room_locked(e, need, bytes, &room);
	note_locked(e, &room);
	if (has_room && promised)
		atomic_fetch_add(&s->promised, *promised = carried_through(bytes));
	pthread_mutex_unlock(&s->lock);
	return has_room ? RFS_OK : RFS_ERR_NO_SPACE;
}

enum rfs_err
space_admit(struct embedded *e, enum space_need need, uint64_t bytes, uint64_t *promised)
{
	if (promised)
		*promised = 0;
	if (atomic_fetch_sub_explicit(&e->space.credit, (int64_t)bytes, memory_order_relaxed) > (int64_t)bytes)
		return RFS_OK;
	return admit_after_look(e, need, bytes, promised);
}

void
space_used(struct embedded *e, uint64_t promised)
{
	if (promised)
		atomic_fetch_sub(&e->space.promised, promised);
}

void
space_tend(struct embedded *e)
{
	struct space *s = &e->space;
	struct room room;
	char path[4096];

	pthread_mutex_lock(&s->lock);
	room = look(e);
	s->target = reserve_wanted(e, &room);
	if (s->reserve < s->target && room.free >= 2 * keep_of(&room) + s->target) {
		snprintf(path, sizeof(path), "%s/reserve", e->data);
		if (s->fd < 0)
			s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (s->fd >= 0 && fallocate(s->fd, 0, 0, (off_t)s->target) == 0)
			s->reserve = s->target;
		metric_set(METRIC_STORE_RESERVE_BYTES, (int64_t)s->reserve);
	}
	note_locked(e, &room);
	pthread_mutex_unlock(&s->lock);
}

uint64_t
space_to_move(struct embedded *e)
{
	uint64_t spare = carried_through(BATCH_MAX_BYTES) + SPARE, room;

	pthread_mutex_lock(&e->space.lock);
	room = look(e).free + e->space.reserve;
	pthread_mutex_unlock(&e->space.lock);
	return room > spare ? (room - spare) / 8 * 7 : 0; /* the rest: rows of what is moved */
}

uint64_t
space_volume_bytes(const struct embedded *e, uint64_t configured)
{
	uint64_t most = look(e).total / RESERVE_DISK_SHARE;

	if (most < VOLUME_LEAST)
		most = VOLUME_LEAST;
	return configured < most ? configured : most;
}

void
space_open(struct embedded *e)
{
	struct space *s = &e->space;
	char path[4096];
	off_t size;

	snprintf(path, sizeof(path), "%s/reserve", e->data);
	s->fd = open(path, O_RDWR | O_CLOEXEC);
	size = s->fd >= 0 ? lseek(s->fd, 0, SEEK_END) : 0;
	s->reserve = s->target = size > 0 ? (uint64_t)size : 0;
	metric_set(METRIC_STORE_RESERVE_BYTES, (int64_t)s->reserve);
	metric_set(METRIC_STORE_FULL, 0);
}

/* So much for RocksDB on its disk: the rest of a short one comes from the reserve, all of it: behind what is durable
 * and waits nothing goes on, compaction neither. RocksDB does not get over a write that failed for lack of space, so it
 * is not asked for one. */
static bool
index_has_room_locked(struct embedded *e, uint64_t bytes)
{
	for (;;) {
		struct room room = {.free = UINT64_MAX};

		room_of(e, "index", &room);
		if (room.free >= bytes)
			return true;
		if (!release_locked(e, 0, bytes - room.free))
			return false;
	}
}

bool
space_for_index(struct embedded *e, uint64_t bytes)
{
	bool has_room;

	pthread_mutex_lock(&e->space.lock);
	has_room = index_has_room_locked(e, bytes);
	pthread_mutex_unlock(&e->space.lock);
	return has_room;
}

void
space_close(struct embedded *e)
{
	if (e->space.fd >= 0)
		close(e->space.fd);
	pthread_mutex_destroy(&e->space.lock);
}
