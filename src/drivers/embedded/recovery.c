/*
 * recovery.c: from what the disk holds to a store that is open. [init]
 *
 *   applied (or the first volume) --scan--> end of a volume --successor?--> next volume ... --> the end of the journal
 *
 * Each volume's superblock names its predecessor and that one's valid end, so a volume with a successor must be whole
 * up to there. In the last one a bad record ends the scan: the group that was being written is torn. A valid record of
 * a later group behind it cannot be (group n + 1 is written after n is synced) unless something acknowledged was
 * damaged: then the store is not opened. Complete batches at the front of a torn group are kept: whole, though nobody
 * was told. What follows is never written over: writing goes on in a new volume.
 *
 * Without an index the scan begins behind the newest checkpoint that is whole, or in the volume without predecessor.
 * Volumes before the beginning may have been removed. Behind it every journal volume must be in the chain, and the
 * chain must reach as far as any checkpoint says that the journal did: whatever is missing shows.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The batch may begin here: the next one in the order of the log. */
static bool
follows(const struct scan *s, const struct record_header *h)
{
	uint64_t sequence = h->type == RECORD_EMPTY ? s->sequence : s->sequence + 1;

	return h->index == 0 && h->sequence == sequence && h->group == (s->group_complete ? s->group + 1 : s->group);
}

/* One batch at s->offset. False in `good`: it is not there, or not whole. */
static enum rfs_err
scan_batch(struct scan *s, bool *good)
{
	struct record_header h, first = {0};
	struct bytes payload;
	uint64_t at = s->offset;
	enum rfs_err err = RFS_OK;

	*good = false;
	for (uint32_t i = 0;; i++) {
		if (!scan_record(s, at, &h, &payload, &err))
			return err;
		if (i == 0)
			first = h;
		if (i == 0 ? !follows(s, &h)
			   : h.index != i || h.sequence != first.sequence || h.group != first.group ||
					h.count != first.count)
			return RFS_OK;
		if (h.type == RECORD_EMPTY || h.type == RECORD_COMMIT)
			break;
		if (h.type != RECORD_BLOCK || i + 1 >= h.count)
			return RFS_OK;
		at += record_bytes(h.length);
	}
	if (h.type == RECORD_COMMIT && (h.index + 1u != h.count || (err = scan_queue(s, &h, payload, at, s->offset))))
		return err;
	s->offset = at + record_bytes(h.length);
	s->group = h.group;
	s->sequence = h.sequence;
	s->group_complete = (h.flags & RECORD_GROUP_LAST) != 0;
	*good = true;
	return RFS_OK;
}

/* Is there a record of a group later than the torn one? Its header's checksum is bound to this volume and place:
 * nothing else looks like it. */
static enum rfs_err
look_for_later_groups(struct scan *s)
{
	uint64_t torn = s->group_complete ? s->group + 1 : s->group;
	struct record_header h;
	enum rfs_err err = RFS_OK;
	const uint8_t *at;

	for (uint64_t offset = s->offset; offset + RECORD_HEADER_BYTES <= s->info->size; offset += 8) {
		if ((at = scan_bytes(s, offset, RECORD_HEADER_BYTES, &err)) == NULL)
			return err;
		if (load_u64(at) == 0 || load_u64(at + 24) <= torn)
			continue;
		if (record_header_decode(at, offset, s->info->super.generation, &h))
			return scan_fail(s, RFS_ERR_DAMAGED,
				"the record at %llu is damaged, but group %llu behind it was written after it was "
				"synced; "
				"`restfs salvage` can rebuild the store and names what was lost",
				(unsigned long long)s->offset, (unsigned long long)h.group);
	}
	return RFS_OK;
}

/* Everything from s->offset to `end` (0: to wherever the journal ends). */
static enum rfs_err
scan_volume(struct scan *s, uint64_t end)
{
	enum rfs_err err;
	bool good = true;

	while (end == 0 || s->offset < end) {
		if ((err = scan_batch(s, &good)))
			return err;
		if (!good)
			break;
		if (scan_is_full(s) && s->group_complete && (err = scan_apply(s)))
			return err;
	}
	if (end && s->offset != end)
		return scan_fail(s, RFS_ERR_DAMAGED,
			"the record at %llu is damaged, and the volume was written up to %llu; `restfs salvage` can "
			"rebuild the store",
			(unsigned long long)s->offset, (unsigned long long)end);
	if (end == 0 && !MUTANT("later-groups-ignored") && (err = look_for_later_groups(s)))
		return err;
	return scan_apply(s);
}

static struct volume_info *
find_volume(struct volume_info *list, size_t count, uint64_t number, bool successor)
{
	for (size_t i = 0; i < count; i++) {
		struct superblock *s = &list[i].super;

		if (s->kind == VOLUME_JOURNAL && (successor ? s->predecessor : s->number) == number)
			return &list[i];
	}
	return NULL;
}

/* What a killed process wrote and did not sync is read back, and then built upon: it must not go with the power. */
static enum rfs_err
sync_last_volume(struct scan *s)
{
	if (!MUTANT("recovery-not-synced") && fdatasync(s->fd) != 0)
		return scan_fail(s, error_from_errno(errno), "sync: %s", strerror(errno));
	return RFS_OK;
}

static enum rfs_err
scan_journal(struct scan *s, struct volume_info *list, size_t count)
{
	struct volume_info *next;
	uint64_t seal;
	uint32_t length;
	enum rfs_err err;

	for (;;) {
		next = find_volume(list, count, s->info->super.number, true);
		if (next == NULL && (err = sync_last_volume(s)))
			return err;
		if (next == NULL && seal_find(s->fd, s->info->size, s->info->super.generation, &seal, &length))
			return scan_fail(s, RFS_ERR_DAMAGED, "it is sealed, but its successor is missing");
		if ((err = scan_volume(s, next ? next->super.predecessor_end : 0)) || next == NULL)
			return err;
		if ((err = scan_open(s, next)))
			return err;
		if (next->super.first_sequence != s->sequence + 1 || next->super.first_group <= s->group)
			return scan_fail(s, RFS_ERR_DAMAGED, "it does not continue its predecessor");
		s->offset = SUPERBLOCK_BYTES;
		s->group = next->super.first_group - 1;
		s->group_complete = true;
	}
}

/* Nothing that was durable is missing: neither a volume between those that are there, nor the end of the journal. */
static enum rfs_err
look_for_gaps(struct scan *s, const struct volume_info *list, size_t count, uint64_t first)
{
	const struct volume_info *checkpoint = checkpoint_find(s->e, list, count, UINT64_MAX);

	for (size_t i = 0; i < count; i++) {
		const struct superblock *v = &list[i].super;

		if (v->kind == VOLUME_JOURNAL && v->number >= first && !list[i].is_scanned &&
			!MUTANT("missing-volumes-ignored"))
			return scan_fail(s, RFS_ERR_DAMAGED,
				"the journal ends here, but volume %016llx is a later one, and names %016llx before it",
				(unsigned long long)v->number, (unsigned long long)v->predecessor);
	}
	if (s->e->index_before.sequence > s->sequence && !MUTANT("lost-end-ignored"))
		return scan_fail(s, RFS_ERR_DAMAGED,
			"the journal ends at batch %llu, but the index that was damaged had batch %llu; `restfs "
			"salvage` can rebuild the store and names what was lost",
			(unsigned long long)s->sequence, (unsigned long long)s->e->index_before.sequence);
	if (checkpoint && checkpoint->super.first_sequence > s->sequence && !MUTANT("lost-end-ignored"))
		return scan_fail(s, RFS_ERR_DAMAGED,
			"the journal ends at batch %llu, but checkpoint %016llx was made after batch %llu",
			(unsigned long long)s->sequence, (unsigned long long)checkpoint->super.number,
			(unsigned long long)checkpoint->super.first_sequence);
	return RFS_OK;
}

static enum rfs_err
cannot_start(struct scan *s, const struct volume_info *list, size_t count, bool found, const struct position *applied)
{
	if (found)
		snprintf(s->error, ERROR_BYTES,
			"the journal's volume %016llx is missing; `restfs salvage` can rebuild "
			"the store and names what was lost",
			(unsigned long long)applied->volume);
	else
		snprintf(s->error, ERROR_BYTES,
			"the journal's first volume is missing, and there is %s; `restfs salvage` can "
			"rebuild the store and names what was lost",
			checkpoint_find(s->e, list, count, UINT64_MAX) ? "no checkpoint that is whole"
								       : "no checkpoint");
	return RFS_ERR_DAMAGED;
}

/* Do volumes follow each other from this one up to the last? */
static bool
leads_to_the_end(struct volume_info *list, size_t count, uint64_t number)
{
	struct volume_info *v = find_volume(list, count, number, false);
	uint64_t last = 0;

	for (size_t i = 0; i < count; i++)
		if (list[i].super.kind == VOLUME_JOURNAL && list[i].super.number > last)
			last = list[i].super.number;
	for (size_t i = 0; v && v->super.number != last && i < count; i++) /* whatever their superblocks say */
		v = find_volume(list, count, v->super.number, true);
	return v && v->super.number == last;
}

/*
 * Where to begin: behind what the index has, or a checkpoint, or at the first volume. An index from whose place the
 * journal does not go on any more is an old one, if a checkpoint is ahead of it.
 */
static enum rfs_err
find_start(struct scan *s, struct volume_info *list, size_t count, struct position *applied)
{
	struct volume_info *info;
	bool found, loaded = false;
	enum rfs_err err;

	if ((err = index_applied(&s->e->index, applied, &found)))
		return err;
	if ((found && memcmp(applied->store, s->e->store, 16) != 0) ||
		(s->e->index_before.sequence && memcmp(s->e->index_before.store, s->e->store, 16) != 0)) {
		snprintf(s->error, ERROR_BYTES, "the index belongs to another store");
		return RFS_ERR_DAMAGED;
	}
	if (!found || !leads_to_the_end(list, count, applied->volume))
		err = checkpoint_load(s->e, list, count, found ? applied->sequence : 0, &loaded);
	if (!err && loaded)
		err = index_applied(&s->e->index, applied, &found);
	else if (!err && !found)
		err = index_clear(&s->e->index); /* of a checkpoint whose loading was interrupted */
	if (err)
		return err;
	if (found && !MUTANT("lost-volumes-forgotten"))
		volume_numbers_from(s->e, applied->next_volume);
	volume_numbers_from(s->e, s->e->index_before.next_volume);
	info = find_volume(list, count, found ? applied->volume : 0, !found);
	if (info && !found && info->super.first_sequence != 1)
		info = NULL; /* the first one of a salvaged store: it goes on from a checkpoint */
	if (info == NULL)
		return cannot_start(s, list, count, found, applied);
	if ((err = scan_open(s, info)))
		return err;
	s->offset = found ? applied->offset : SUPERBLOCK_BYTES;
	s->group = found ? applied->group : info->super.first_group - 1;
	s->sequence = found ? applied->sequence : info->super.first_sequence - 1;
	s->group_complete = true;
	if (s->offset > info->size)
		return scan_fail(s, RFS_ERR_DAMAGED, "it ends before what the index has of it");
	return RFS_OK;
}

/* Goes on in the volume of a clean close; its mark is taken away, durably, before anything is written. */
static enum rfs_err
continue_volume(struct scan *s, const struct position *applied)
{
	struct journal *j = &s->e->journal;
	struct position dirty = *applied;
	struct volume *pinned;
	char path[4096];
	uint64_t mark;
	enum rfs_err err;

	dirty.clean = false;
	if ((err = apply_position(s->e, &dirty)) || (err = index_flush_wal(&s->e->index)))
		return err;
	j->fd = open(volume_path(s->e, applied->volume, ".vol", path), O_RDWR | O_CLOEXEC);
	if (j->fd < 0)
		return scan_fail(s, error_from_errno(errno), "open: %s", strerror(errno));
	j->volume = (uint32_t)applied->volume;
	j->generation = s->info->super.generation;
	if ((err = volume_pin(s->e, j->volume, true, &pinned)))
		return err;
	volume_unpin(s->e, pinned);
	atomic_store(&j->offset, s->offset);
	/* Behind the end all is zero; the zeroer begins at a page. */
	mark = s->info->size / PAGE_BYTES * PAGE_BYTES;
	if (mark < s->offset)
		mark = (s->offset + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	zeroer_switch(s->e, j->fd, mark);
	return RFS_OK;
}

static enum rfs_err
create_store(struct embedded *e, char *error)
{
	struct position applied;
	enum rfs_err err;
	bool found;

	if ((err = index_applied(&e->index, &applied, &found)))
		return err;
	if (found || e->is_index_remade) {
		snprintf(error, ERROR_BYTES, "there is an index, but the journal's volumes are missing");
		return RFS_ERR_DAMAGED;
	}
	uuid_v7(e->store);
	e->has_store = true;
	e->journal.group = e->journal.sequence = 1;
	if ((err = journal_start_volume(e, 0, 0)))
		snprintf(error, ERROR_BYTES, "create the first volume: %s", error_face(err)->text);
	return err;
}

static enum rfs_err
recover_list(struct scan *s, struct volume_info *list, size_t count)
{
	struct embedded *e = s->e;
	int64_t start = clock_monotonic_ns();
	struct position applied;
	uint64_t from, first;
	enum rfs_err err;

	checkpoint_found(e, list, count);
	if ((err = find_start(s, list, count, &applied)))
		return err;
	from = s->offset;
	first = s->info->super.number;
	if ((err = scan_journal(s, list, count)) || (err = look_for_gaps(s, list, count, first)))
		return err;
	e->journal.group = s->group + 1;
	e->journal.sequence = s->sequence + 1;
	if (applied.clean && s->info->super.number == applied.volume && s->offset == from)
		return continue_volume(s, &applied);
	log_info(0, "recovered: %llu batches applied in %lld ms; the journal ended in volume %016llx at %llu",
		(unsigned long long)s->commits, (long long)((clock_monotonic_ns() - start) / 1000000),
		(unsigned long long)s->info->super.number, (unsigned long long)s->offset);
	if ((err = journal_start_volume(e, s->info->super.number, s->offset)))
		return scan_fail(s, err, "start its successor");
	sealer_add(e, s->info->super.number, s->offset);
	return RFS_OK;
}

/* Volumes that the last process left, or had no time to seal: none but the journal's own is written again. */
static void
seal_left(struct embedded *e, struct volume_info *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct superblock *s = &list[i].super;

		if (s->kind == VOLUME_BULK)
			sealer_add(e, s->number, 0);
		else if (s->kind == VOLUME_JOURNAL && find_volume(list, count, s->predecessor, false))
			sealer_add(e, s->predecessor, s->predecessor_end);
		/* The last one before a salvage has only blocks for us: whatever is in it. */
		if (s->kind == VOLUME_JOURNAL && !list[i].is_scanned && !find_volume(list, count, s->number, true))
			sealer_add(e, s->number, 0);
	}
}

enum rfs_err
recover(struct embedded *e, char *error)
{
	struct scan s;
	struct volume_info *list = NULL;
	size_t count = 0;
	enum rfs_err err;

	scan_init(&s, e, error);
	if ((err = volume_list(e, &list, &count, error)))
		goto out;
	volume_numbers_from(e, count ? list[count - 1].super.number + 1 : 1);
	for (size_t i = 0; i < count; i++)
		atomic_fetch_add(&e->disk_bytes, list[i].size);
	err = count ? recover_list(&s, list, count) : create_store(e, error);
	if (!err)
		seal_left(e, list, count);
out:
	scan_fini(&s);
	free(list);
	return err;
}
