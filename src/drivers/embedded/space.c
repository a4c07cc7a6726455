/*
 * space.c: room on the disk: what may still be written, and a reserve for what brings room back.
 *
 * A file, DATA/reserve, keeps some of the disk from everybody else. While less than `keep` is free, ordinary writes are
 * refused; `keep` is what RocksDB and the journal need to go on with what was admitted. Deletes and changes of access
 * go on, and may use half of the reserve; compaction all of it. It grows again when there is room.
 *
 * Whether there is room is decided here, when a batch or a block is admitted, and never by the committer. The disk is
 * looked at each second, and when a quarter of what was free at the last look has been admitted.
 *
 * What was admitted and is not in the index yet is promised its room: it counts as taken for whatever comes behind it.
 * Only when somebody else has taken the disk, and what is durable waits for room, does compaction go on without regard
 * to that: it may be what brings room. [any]
 */
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
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
	dev_t disk;
};

static void
room_of(const struct embedded *e, const char *name, struct room *out)
{
	char path[4096];
	struct statvfs fs;
	struct stat st;
	uint64_t free;

	snprintf(path, sizeof(path), "%s/%s", e->data, name);
	/* What is not there yet will be beside the rest. */
	if ((statvfs(path, &fs) != 0 || stat(path, &st) != 0) &&
		(statvfs(e->data, &fs) != 0 || stat(e->data, &st) != 0))
		return;
	free = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free < out->free)
		*out = (struct room){free, (uint64_t)fs.f_blocks * fs.f_frsize, st.st_dev};
}

/* Of the fuller one, where the index lies on another disk. */
static struct room
look(const struct embedded *e)
{
	struct room room = {.free = UINT64_MAX};

	room_of(e, "volumes", &room);
	room_of(e, "index", &room);
	metric_set(METRIC_STORE_FREE_BYTES, room.free < INT64_MAX ? (int64_t)room.free : -1);
	metric_set(METRIC_STORE_DISK_BYTES, (int64_t)room.total);
	return room;
}

static uint64_t
keep_of(const struct room *room)
{
	return room->total / KEEP_SHARE < KEEP_MOST ? room->total / KEEP_SHARE : KEEP_MOST;
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

/* What could be given up for that disk. */
static uint64_t
reserve_above(const struct space *s, uint64_t least, const struct room *room)
{
	return s->fd >= 0 && s->disk == room->disk && s->reserve > least ? s->reserve - least : 0;
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
	uint64_t taken = atomic_load(&e->space.promised) + SPARE, keep = keep_of(room) > taken ? keep_of(room) : taken;
	uint64_t credit = full || room->free < keep ? 0 : (room->free - keep) / 4;

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

/* Beyond the ordinary: what is kept free, and then the reserve, down to what this need leaves of it. `wanted`: also for
 * all that is promised. */
static bool
has_room_locked(struct embedded *e, enum space_need need, uint64_t bytes, uint64_t wanted, struct room *room)
{
	uint64_t least = need == SPACE_FREES ? e->space.target / 2 : 0;

	if (room->free >= keep_of(room) + bytes && !is_full(room) && room->free >= wanted)
		return true;
	if (need == SPACE_ORDINARY || room->free + reserve_above(&e->space, least, room) < wanted)
		return false;
	while (room->free < wanted) {
		if (!release_locked(e, least, wanted - room->free))
			return false;
		*room = look(e);
	}
	return true;
}

static enum rfs_err
admit_after_look(struct embedded *e, enum space_need need, uint64_t bytes, uint64_t more, uint64_t *promised)
{
	struct space *s = &e->space;
	uint64_t wanted = more + SPARE;
	struct room room;
	bool has_room;

	pthread_mutex_lock(&s->lock);
	if (!(need == SPACE_COMPACTS && atomic_load(&s->applying_waits)) && !MUTANT("promises-ignored"))
		wanted += atomic_load(&s->promised);
	room = look(e);
	has_room = has_room_locked(e, need, bytes, wanted, &room);
	note_locked(e, &room);
	if (has_room && promised)
		atomic_fetch_add(&s->promised, *promised = more);
	pthread_mutex_unlock(&s->lock);
	return has_room ? RFS_OK : RFS_ERR_NO_SPACE;
}

enum rfs_err
space_admit(struct embedded *e, enum space_need need, uint64_t bytes, uint64_t rows, uint64_t *promised)
{
	struct space *s = &e->space;
	uint64_t more = bytes + 2 * rows; /* which the index counts twice */

	if (atomic_fetch_sub_explicit(&s->credit, (int64_t)bytes, memory_order_relaxed) <= (int64_t)bytes)
		return admit_after_look(e, need, bytes, more, promised);
	if (promised)
		atomic_fetch_add(&s->promised, *promised = more);
	return RFS_OK;
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
		room = look(e);
	}
	note_locked(e, &room);
	pthread_mutex_unlock(&s->lock);
}

uint64_t
space_to_move(struct embedded *e)
{
	uint64_t spare = 3 * BATCH_MAX_BYTES + SPARE, room;

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
	struct stat st;
	char path[4096];
	off_t size;

	s->disk = stat(e->data, &st) == 0 ? st.st_dev : 0;
	snprintf(path, sizeof(path), "%s/reserve", e->data);
	s->fd = open(path, O_RDWR | O_CLOEXEC);
	size = s->fd >= 0 ? lseek(s->fd, 0, SEEK_END) : 0;
	s->reserve = s->target = size > 0 ? (uint64_t)size : 0;
	metric_set(METRIC_STORE_RESERVE_BYTES, (int64_t)s->reserve);
	metric_set(METRIC_STORE_FULL, 0);
}

/* So much for RocksDB on its disk: the rest of a short one comes from what this need may take of the reserve, if it is
 * enough. RocksDB does not get over a write that failed for lack of space, so it is not asked for one. */
static bool
index_has_room_locked(struct embedded *e, enum space_need need, uint64_t bytes)
{
	uint64_t least = need == SPACE_COMPACTS ? 0 : e->space.target / 2;

	for (;;) {
		struct room room = {.free = UINT64_MAX};

		room_of(e, "index", &room);
		if (room.free >= bytes)
			return true;
		if (room.free + reserve_above(&e->space, least, &room) < bytes ||
			!release_locked(e, least, bytes - room.free))
			return false;
	}
}

bool
space_for_index(struct embedded *e, enum space_need need, uint64_t bytes)
{
	bool has_room;

	pthread_mutex_lock(&e->space.lock);
	has_room = index_has_room_locked(e, need, bytes);
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
