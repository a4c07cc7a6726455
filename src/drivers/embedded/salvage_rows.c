/*
 * salvage_rows.c: the rows of a damaged store: the newest checkpoint that is whole, then every batch of the journal
 * that can be read, in the order of their sequences. [init]
 *
 * A checkpoint that is not whole counts from the batch on that it was made after: where its records can be read, the
 * rows of their range of keys are as they say. What a batch lost did not do shows in the rows of others, and is put
 * right above the driver; counters are counted again there.
 */
#include "base/clock.h"
#include "base/log.h"
#include "drivers/embedded/salvage_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEARCH_STEP 8
#define SEQUENCES_SKIPPED ((uint64_t)1 << 32) /* more than may be lost unseen */

struct rows {
	struct salvage *salvage;
	struct embedded *e;
	struct volume_info *list;
	size_t count;
	struct scan scan;
	uint64_t sequence; /* of the last batch that is in the index, or known to be lost */
	size_t overlay;    /* the next checkpoint that is not whole, in the list */
	uint64_t known;    /* data_next's, of the volume that is read */
	bool is_whole;     /* every batch is there that ever was */
};

static void
note_gap(struct rows *r, uint64_t from, uint64_t to)
{
	r->is_whole = false;
	for (size_t i = 0; i < r->count; i++) {
		if (r->list[i].super.kind != VOLUME_CHECKPOINT || r->list[i].super.first_sequence < to)
			continue;
		salvage_note(r->salvage, "rows-lost",
			"batches %llu to %llu are only in checkpoint %016llx, which is not whole",
			(unsigned long long)from, (unsigned long long)to, (unsigned long long)r->list[i].super.number);
		return;
	}
	salvage_note(r->salvage, "batches-lost", "batches %llu to %llu of the journal are lost",
		(unsigned long long)from, (unsigned long long)to);
}

/* --- checkpoints that are not whole ------------------------------------------------------------------------------- */

/* The next one made after batch `from`, in the order of the list, which is that of their numbers. */
static struct volume_info *
overlay_next(struct rows *r, uint64_t from)
{
	for (; r->overlay < r->count; r->overlay++) {
		struct volume_info *v = &r->list[r->overlay];

		if (v->super.kind == VOLUME_CHECKPOINT && !v->is_scanned && v->super.first_sequence >= from)
			return v;
	}
	return NULL;
}

static enum rfs_err
overlay_apply(struct rows *r, struct volume_info *v)
{
	enum rfs_err err;

	v->is_scanned = true;
	if ((err = scan_apply(&r->scan)))
		return err;
	/* What was read of counters is not in the index any more. */
	cell_table_fini(&r->e->cells);
	cell_table_init(&r->e->cells);
	if (v->super.first_sequence > r->sequence) {
		note_gap(r, r->sequence + 1, v->super.first_sequence);
		r->sequence = v->super.first_sequence;
	}
	return checkpoint_overlay(r->e, v);
}

/* All that were made before the batch that comes next. */
static enum rfs_err
overlays_before(struct rows *r, uint64_t sequence)
{
	struct volume_info *v;
	enum rfs_err err;

	while ((v = overlay_next(r, 0)) && v->super.first_sequence < sequence)
		if ((err = overlay_apply(r, v)))
			return err;
	return RFS_OK;
}

/* --- the journal -------------------------------------------------------------------------------------------------- */

static enum rfs_err
take_commit(struct rows *r, const struct record_header *h, struct bytes payload, uint64_t offset)
{
	struct scan *s = &r->scan;
	enum rfs_err err;

	if (h->sequence <= r->sequence)
		return RFS_OK; /* in the checkpoint, or it comes twice */
	if ((err = overlays_before(r, h->sequence)))
		return err;
	if (h->sequence > r->sequence + 1)
		note_gap(r, r->sequence + 1, h->sequence - 1);
	r->sequence = h->sequence;
	err = scan_queue(s, h, payload, offset, offset);
	if (err == RFS_ERR_DAMAGED) {
		note_gap(r, h->sequence, h->sequence);
		return RFS_OK;
	}
	s->sequence = h->sequence;
	s->group = h->group;
	return err || !scan_is_full(s) ? err : scan_apply(s);
}

/* A batch that a later volume has too was torn here: it was never acknowledged. */
static uint64_t
sequence_limit(const struct rows *r, const struct volume_info *v)
{
	uint64_t limit = UINT64_MAX;

	for (size_t i = 0; i < r->count; i++) {
		const struct superblock *s = &r->list[i].super;

		if (s->kind == VOLUME_JOURNAL && s->number > v->super.number && s->first_sequence < limit)
			limit = s->first_sequence;
	}
	return limit;
}

/* Where the volume ends: its successor says it. */
static uint64_t
end_of(const struct rows *r, const struct volume_info *v)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct superblock *s = &r->list[i].super;

		if (s->kind == VOLUME_JOURNAL && s->predecessor == v->super.number && s->predecessor_end < v->size)
			return s->predecessor_end;
	}
	return v->size;
}

/* Damage begins at `offset`, or goes on: the next place where something may be. */
static uint64_t
behind_damage(struct rows *r, uint64_t offset, uint64_t *damaged)
{
	enum rfs_err err = RFS_OK;
	const uint8_t *at = scan_bytes(&r->scan, offset, SEARCH_STEP, &err);

	if (at == NULL) { /* it cannot be read */
		r->salvage->error[0] = 0;
		*damaged += PAGE_BYTES / SEARCH_STEP;
		return offset + PAGE_BYTES;
	}
	*damaged += load_u64(at) != 0;
	return data_next(r->scan.fd, offset + SEARCH_STEP, &r->known);
}

/* A journal volume is sealed only when it has a successor. */
static void
note_missing_successor(struct rows *r, const struct volume_info *v)
{
	uint64_t seal;
	uint32_t length;

	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].super.kind == VOLUME_JOURNAL && r->list[i].super.number > v->super.number)
			return;
	if (seal_find(r->scan.fd, v->size, v->super.generation, &seal, &length))
		salvage_note(r->salvage, "batches-lost", "the volume of the journal that followed %016llx is lost",
			(unsigned long long)v->super.number);
}

static enum rfs_err
take_volume(struct rows *r, struct volume_info *v)
{
	uint64_t end = end_of(r, v), limit = sequence_limit(r, v), offset = SUPERBLOCK_BYTES, damaged = 0;
	struct scan *s = &r->scan;
	struct record_header h;
	struct bytes payload;
	enum rfs_err err;

	if ((err = scan_open(s, v)))
		return err;
	r->known = 0;
	while (offset + RECORD_HEADER_BYTES <= end) {
		err = RFS_OK;
		if (!scan_record(s, offset, &h, &payload, &err)) {
			offset = behind_damage(r, offset, &damaged);
			continue;
		}
		if (h.type == RECORD_COMMIT && h.sequence < limit && (err = take_commit(r, &h, payload, offset)))
			return err;
		if (h.group < INT64_MAX && h.group > r->salvage->group)
			r->salvage->group = h.group;
		offset += record_bytes(h.length);
		s->offset = offset;
	}
	if (damaged)
		salvage_note(r->salvage, "volume-damaged", "about %llu bytes of journal volume %016llx are no records",
			(unsigned long long)damaged * SEARCH_STEP, (unsigned long long)v->super.number);
	note_missing_successor(r, v);
	return scan_apply(s);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

/* Begins with the newest checkpoint that is whole. */
static enum rfs_err
take_checkpoint(struct rows *r)
{
	struct checkpoint_info newest = {0};
	bool found;
	enum rfs_err err = checkpoint_load(r->e, r->list, r->count, 0, &found);

	if (err)
		return salvage_fail(r->salvage, err, "load a checkpoint");
	if (found)
		checkpoint_newest(r->e, &newest);
	r->sequence = newest.sequence;
	for (size_t i = 0; i < r->count; i++) {
		struct volume_info *v = &r->list[i];

		if (v->super.kind != VOLUME_CHECKPOINT)
			continue;
		v->is_scanned = v->super.number <= newest.number || v->damaged;
		if (v->super.number > newest.number)
			salvage_note(r->salvage, "checkpoint-damaged", "checkpoint %016llx is not whole",
				(unsigned long long)v->super.number);
	}
	return RFS_OK;
}

/*
 * What the superblocks, and the index that was, say of the end, of which nothing else may be left. Only of a store that
 * was closed it is sure that nothing came behind.
 */
static void
know_the_end(struct rows *r)
{
	struct salvage *s = r->salvage;
	const struct position *applied = &s->applied;
	bool was_closed = false;

	s->sequence = r->sequence;
	if (s->has_index && memcmp(applied->store, s->store, 16) == 0 && applied->sequence < INT64_MAX &&
		applied->group < INT64_MAX) {
		was_closed = applied->clean && applied->sequence == r->sequence;
		s->sequence = applied->sequence > s->sequence ? applied->sequence : s->sequence;
		s->group = applied->group > s->group ? applied->group : s->group;
	}
	for (size_t i = 0; i < r->count; i++) {
		const struct superblock *v = &r->list[i].super;
		uint64_t sequence = v->first_sequence - (v->kind == VOLUME_JOURNAL && v->first_sequence);

		if (v->kind == VOLUME_BULK)
			continue;
		s->sequence = sequence > s->sequence ? sequence : s->sequence;
		s->group = v->first_group > s->group ? v->first_group : s->group;
	}
	if (s->sequence > r->sequence)
		note_gap(r, r->sequence + 1, s->sequence);
	r->is_whole = r->is_whole && was_closed;
}

/* A bucket's next serial, and next feed row, are behind all that are lost. */
static enum rfs_err
bucket_skip(struct rows *r, uint64_t bucket)
{
	uint8_t key[DRIVER_KEY_BYTES], value[17] = {ROW_TAG_STATE};
	rocksdb_writebatch_t *wb = r->e->applier.wb;

	key_state(bucket, key);
	store_u64(value + 1, r->salvage->sequence);
	store_u64(value + 9, r->salvage->sequence);
	rocksdb_writebatch_clear(wb);
	rocksdb_writebatch_put(wb, (const char *)key, sizeof(key), (const char *)value, sizeof(value));
	return index_write(&r->e->index, wb);
}

/*
 * Batches may be lost of which nothing tells how many there were, nor what they changed. What was given by them must
 * not be given again: readers of a feed have seen those serials. No serial is above the sequence of the last batch. The
 * gap that this leaves in every feed shows readers that changes may be lost.
 */
static enum rfs_err
serials_skip(struct rows *r)
{
	struct request rq = {.arena = arena_new(4096), .may_block = true};
	uint8_t from[8] = {0}, to[16];
	struct row_page page;
	enum rfs_err err;

	r->salvage->sequence += SEQUENCES_SKIPPED;
	memset(to, 0xff, sizeof(to));
	while (!(err = index_scan(
			 &r->e->index, &rq, bytes_of(from, sizeof(from)), bytes_of(to, sizeof(to)), 1, false, &page)) &&
		page.count && page.rows[0].key.len >= sizeof(from)) {
		uint64_t bucket = load_be64(page.rows[0].key.data);

		if ((err = bucket_skip(r, bucket)) || bucket == UINT64_MAX)
			break;
		store_be64(from, bucket + 1);
		arena_reset(rq.arena);
	}
	arena_free(rq.arena);
	return err;
}

/* A journal volume to go on in; the ones before it are only kept for the blocks in them. */
static enum rfs_err
begin_journal(struct rows *r)
{
	struct superblock super = {.kind = VOLUME_JOURNAL,
		.first_group = r->salvage->group + 1,
		.first_sequence = r->salvage->sequence + 1,
		.created_ns = clock_wall_ns()};
	struct position position = {.offset = SUPERBLOCK_BYTES,
		.group = r->salvage->group,
		.sequence = r->salvage->sequence,
		.clean = true};
	enum rfs_err err;
	int fd;

	volume_numbers_from(r->e, r->salvage->number + 1);
	position.volume = super.number = volume_next_number(r->e);
	memcpy(super.store, r->salvage->store, 16);
	memcpy(position.store, r->salvage->store, 16);
	random_bytes(&super.generation, sizeof(super.generation));
	if ((err = volume_create(r->e, &super, 0, &fd)))
		return err;
	close(fd);
	if (!(err = apply_position(r->e, &position)))
		err = index_flush_tables(&r->e->index);
	return err;
}

static enum rfs_err
rows_take(struct rows *r)
{
	bool has_rows = false;
	enum rfs_err err;

	for (size_t i = 0; i < r->count; i++)
		has_rows |= r->list[i].super.kind != VOLUME_BULK;
	if (!has_rows)
		salvage_note(r->salvage, "rows-lost", "no volume of the journal is left, and no checkpoint");

	if ((err = take_checkpoint(r)))
		return err;
	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].super.kind == VOLUME_JOURNAL && (err = take_volume(r, &r->list[i])))
			return err;
	if ((err = overlays_before(r, UINT64_MAX)))
		return err;
	know_the_end(r);
	if (!r->is_whole && (err = serials_skip(r)))
		return err;
	return begin_journal(r);
}

enum rfs_err
salvage_rows(struct salvage *s)
{
	struct rows r = {.salvage = s, .e = embedded_new(&s->config), .is_whole = true};
	char path[4096];
	enum rfs_err err;

	scan_init(&r.scan, r.e, s->error);
	snprintf(path, sizeof(path), "%s/index", s->made);
	if (!(err = volume_list(r.e, &r.list, &r.count, s->error)) &&
		!(err = index_open(&r.e->index, path, (size_t)s->config.index_cache_bytes,
			  (size_t)s->config.index_buffer_bytes, s->error)))
		err = rows_take(&r);
	if (err && s->error[0] == 0)
		(void)salvage_fail(s, err, "build the index: %s", error_face(err)->text);
	scan_fini(&r.scan);
	free(r.list);
	embedded_free(r.e);
	return err;
}
