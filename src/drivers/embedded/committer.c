/*
 * committer.c: group commit. Takes the batches that wait, gives them their place in the order of the log (serials,
 * counters), writes them with one pwritev and one fdatasync, and hands them to the apply thread while the next group
 * gathers. It reads nothing. [committer]
 */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include "drivers/embedded/embedded_int.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Zeroed together with a new volume's superblock, so that the first group need not wait for the zeroer. */
#define FIRST_ZEROS ((uint64_t)256 * 1024)

void
commit_enqueue(struct embedded *e, struct commit *c)
{
	struct journal *j = &e->journal;

	c->next = NULL;
	pthread_mutex_lock(&j->queue_lock);
	*j->queue_tail = c;
	j->queue_tail = &c->next;
	pthread_cond_signal(&j->queue_wake);
	pthread_mutex_unlock(&j->queue_lock);
}

/* A group of at most GROUP_MAX_BYTES, or one larger batch alone; perhaps an empty one, to begin a volume. Blocks; NULL: stopped. */
static struct group *
take_group(struct journal *j)
{
	struct group *g = xcalloc(1, sizeof(*g));
	struct commit *c;

	g->tail = &g->first;
	pthread_mutex_lock(&j->queue_lock);
	while (j->queue == NULL && !j->stop && !j->rotate)
		pthread_cond_wait(&j->queue_wake, &j->queue_lock);
	g->rotates = j->rotate;
	j->rotate = false;
	while ((c = j->queue) && (g->first == NULL || g->bytes + c->image_bytes <= GROUP_MAX_BYTES)) {
		j->queue = c->next;
		c->next = NULL;
		*g->tail = c;
		g->tail = &c->next;
		g->bytes += c->image_bytes;
	}
	if (j->queue == NULL)
		j->queue_tail = &j->queue;
	pthread_mutex_unlock(&j->queue_lock);
	if (g->first || g->rotates)
		return g;
	free(g);
	return NULL;
}

static void
undo_uses(struct commit *c, size_t count)
{
	while (count-- > 0)
		c->uses[count].cell->value = c->uses[count].before;
}

/* ADDs and MAXs of the batch, then its EXPECTs: the uses are sorted so. */
static bool
evaluate_counters(struct commit *c, bool replay)
{
	for (size_t i = 0; i < c->use_count; i++) {
		struct counter_use *use = &c->uses[i];
		const struct batch_op *op = &c->batch->ops[use->op];
		int64_t value = (int64_t)use->cell->value;

		use->before = use->cell->value;
		if (op->kind == BATCH_ADD) {
			use->cell->value += (uint64_t)op->delta;
		} else if (op->kind == BATCH_MAX && op->number > use->cell->value) {
			use->cell->value = op->number;
		} else if (op->kind == BATCH_EXPECT && !replay && !MUTANT("expects-ignored") &&
			   (value < op->min || value > op->max)) {
			c->error = RFS_ERR_CONFLICT;
			c->failed_op = use->op;
			undo_uses(c, i);
			return false;
		}
		use->value = use->cell->value;
	}
	return true;
}

bool
commit_evaluate(struct embedded *e, struct commit *c, bool replay)
{
	uint64_t evaluation = e->journal.evaluation;
	struct cell *bucket = c->bucket_cell;

	if (!evaluate_counters(c, replay))
		return false;
	for (size_t i = 0; i < c->use_count; i++) {
		struct cell *cell = c->uses[i].cell;

		if (c->batch->ops[c->uses[i].op].kind == BATCH_EXPECT)
			continue;
		if (cell->evaluation == evaluation && cell->last_use)
			cell->last_use->superseded = true;
		cell->evaluation = evaluation;
		cell->last_use = &c->uses[i];
	}
	if (!replay) {
		c->serial = bucket->value + (MUTANT("serial-used-twice") && bucket->value == 2 ? 0 : 1);
		c->previous_feed = bucket->feed;
	}
	bucket->value = c->serial;
	if (c->has_append)
		bucket->feed = c->serial;
	if (bucket->evaluation == evaluation && bucket->last_commit)
		bucket->last_commit->bucket_superseded = true;
	bucket->evaluation = evaluation;
	bucket->last_commit = c;
	return true;
}

/* Fills the fields that only the committer knows, and seals the headers to their place. */
static void
fill_headers(struct journal *j, struct commit *c, bool last)
{
	for (size_t i = 0; i < c->record_count; i++) {
		struct record_header *h = &c->records[i].fields;

		h->sequence = j->sequence;
		h->group = j->group;
		h->time_ns = c->time_ns;
		if (h->type == RECORD_COMMIT) {
			h->number = c->serial;
			h->previous_feed = c->previous_feed;
			h->flags = last ? RECORD_GROUP_LAST : 0;
		}
		record_header_encode(h, c->offset + c->records[i].offset, j->generation, c->records[i].header);
	}
	j->sequence++;
}

/* The group's pieces, and zeros to the end of the last page: a page written whole need not be read first. */
static size_t
gather(struct journal *j, const struct group *g)
{
	static const uint8_t zeros[PAGE_BYTES];
	uint64_t over = (atomic_load(&j->offset) + g->bytes) % PAGE_BYTES;
	size_t count = 0;

	for (struct commit *c = g->first; c; c = c->next) {
		if (c->error)
			continue;
		if (count + c->iov_count + 1 > j->iov_capacity) {
			j->iov_capacity = (count + c->iov_count + 1) * 2;
			j->iov = xrealloc(j->iov, j->iov_capacity * sizeof(*j->iov));
		}
		memcpy(j->iov + count, c->iov, c->iov_count * sizeof(*j->iov));
		count += c->iov_count;
	}
	if (over)
		j->iov[count++] = (struct iovec){(void *)zeros, PAGE_BYTES - over};
	return count;
}

/* Any failure here means that nobody knows what is on the disk. */
static enum rfs_err
write_group(struct embedded *e, size_t parts, uint64_t offset)
{
	struct journal *j = &e->journal;
	int64_t start = clock_monotonic_ns();
	enum rfs_err err;

	crash_point(CRASH_GROUP_BUILT);
	err = write_all(j->fd, j->iov, parts, offset);
	crash_point(CRASH_GROUP_WRITTEN);
	if (!err && !e->unsynced && !MUTANT("journal-not-synced") && !MUTANT("acknowledged-before-sync") &&
		fdatasync(j->fd) != 0)
		err = error_from_errno(errno);
	crash_point(CRASH_GROUP_SYNCED);
	metric_observe_ns(METRIC_JOURNAL_SYNC, clock_monotonic_ns() - start);
	if (err) {
		log_error(0, "write group %llu to volume %08x at %llu: %s", (unsigned long long)j->group, j->volume,
			(unsigned long long)offset, error_face(err)->text);
		embedded_poison(e, "writing the journal");
		return RFS_ERR_POISONED;
	}
	return RFS_OK;
}

static void
fail_group(struct group *g, enum rfs_err err)
{
	for (struct commit *c = g->first; c; c = c->next)
		if (!c->error)
			c->error = err;
}

enum rfs_err
journal_start_volume(struct embedded *e, uint64_t predecessor, uint64_t predecessor_end)
{
	struct journal *j = &e->journal;
	struct superblock s = {.kind = VOLUME_JOURNAL, .predecessor = predecessor, .predecessor_end = predecessor_end};
	struct volume *pinned;
	enum rfs_err err;
	int fd;

	memcpy(s.store, e->store, 16);
	s.number = volume_next_number(e);
	random_bytes(&s.generation, sizeof(s.generation));
	s.first_group = j->group;
	s.first_sequence = j->sequence;
	s.created_ns = clock_wall_ns();
	if ((err = volume_create(e, &s, FIRST_ZEROS, &fd))) {
		if (err == RFS_ERR_NO_SPACE)
			return err;
		/* A name that may be there says that this volume ends here: nothing may be written behind it. */
		embedded_poison(e, "creating a journal volume");
		return RFS_ERR_POISONED;
	}
	if (!volume_pin(e, (uint32_t)s.number, true, &pinned)) /* ready for readers that may not block */
		volume_unpin(e, pinned);
	atomic_store(&j->offset, SUPERBLOCK_BYTES);
	zeroer_switch(e, fd, SUPERBLOCK_BYTES + FIRST_ZEROS);
	if (j->fd >= 0) {
		close(j->fd);
		sealer_add(e, predecessor, predecessor_end);
	}
	j->fd = fd;
	j->volume = (uint32_t)s.number;
	j->generation = s.generation;
	return RFS_OK;
}

/* Room for `bytes` at the journal's end, in a new volume if this one is full, or is not to be gone on with. */
static enum rfs_err
make_room(struct embedded *e, uint64_t bytes, bool rotates)
{
	struct journal *j = &e->journal;
	uint64_t offset = atomic_load(&j->offset);
	enum rfs_err err;

	if (rotates || (offset > SUPERBLOCK_BYTES && offset + bytes > e->volume_bytes)) {
		if ((err = journal_start_volume(e, j->volume, offset)))
			return err;
		offset = SUPERBLOCK_BYTES;
	}
	return zeroer_wait(e, offset + bytes);
}

/* Serials, counters and offsets, in the order of arrival. */
static void
place_group(struct embedded *e, struct group *g)
{
	struct journal *j = &e->journal;
	uint64_t end = atomic_load(&j->offset);
	struct commit *last = NULL;

	j->evaluation++;
	g->bytes = 0;
	for (struct commit *c = g->first; c; c = c->next) {
		if (!commit_evaluate(e, c, false))
			continue;
		c->volume = j->volume;
		c->offset = end;
		end += c->image_bytes;
		g->bytes += c->image_bytes;
		last = c;
	}
	for (struct commit *c = g->first; c; c = c->next)
		if (!c->error)
			fill_headers(j, c, c == last);
	g->journalled = last != NULL;
}

static void
position_after(const struct embedded *e, struct position *out)
{
	*out = (struct position){.volume = e->journal.volume,
		.offset = atomic_load(&e->journal.offset),
		.group = e->journal.group - 1,
		.sequence = e->journal.sequence - 1};
	memcpy(out->store, e->store, 16);
}

/* The group is written; does nobody wait? */
static bool
group_ended(struct journal *j, const struct position *reached)
{
	bool idle;

	pthread_mutex_lock(&j->queue_lock);
	idle = j->queue == NULL;
	j->reached = *reached;
	pthread_mutex_unlock(&j->queue_lock);
	return idle;
}

static void
commit_group(struct embedded *e, struct group *g)
{
	struct journal *j = &e->journal;
	enum rfs_err err = RFS_OK;
	int64_t count = 0;

	if (atomic_load(&e->poisoned))
		err = RFS_ERR_POISONED;
	if (!err)
		err = make_room(e, g->bytes, g->rotates);
	if (!err) {
		place_group(e, g);
		if (g->journalled)
			err = write_group(e, gather(j, g), atomic_load(&j->offset));
	}
	if (err) {
		fail_group(g, err);
		g->journalled = false;
	}
	if (g->journalled) {
		atomic_fetch_add(&j->offset, g->bytes);
		j->group++;
		for (struct commit *c = g->first; c; c = c->next)
			count += !c->error;
		metric_add(METRIC_JOURNAL_GROUPS, 1);
		metric_add(METRIC_JOURNAL_COMMITS, count);
		metric_add(METRIC_JOURNAL_BYTES, (int64_t)g->bytes);
	}
	position_after(e, &g->position);
	g->journalled |= g->rotates && !err;
	if (!group_ended(j, &g->position) || !apply_at_once(e, g))
		apply_enqueue(e, g);
	if (MUTANT("acknowledged-before-sync") && fdatasync(j->fd) != 0)
		embedded_poison(e, "writing the journal");
}

void *
committer_main(void *embedded)
{
	struct embedded *e = embedded;
	struct group *g;

	thread_role_set(THREAD_COMMITTER, "committer");
	while ((g = take_group(&e->journal)))
		commit_group(e, g);
	return NULL;
}

void
journal_rotated(struct embedded *e)
{
	struct journal *j = &e->journal;

	pthread_mutex_lock(&j->queue_lock);
	j->rotations++;
	pthread_cond_broadcast(&j->rotated);
	pthread_mutex_unlock(&j->queue_lock);
}

enum rfs_err
journal_rotate(struct embedded *e)
{
	struct journal *j = &e->journal;
	struct position before, after;
	bool found;
	enum rfs_err err;
	uint64_t until;

	if ((err = index_applied(&e->index, &before, &found)))
		return err;
	pthread_mutex_lock(&j->queue_lock);
	until = j->rotations + 1;
	j->rotate = true;
	pthread_cond_signal(&j->queue_wake);
	while (j->rotations < until)
		pthread_cond_wait(&j->rotated, &j->queue_lock);
	pthread_mutex_unlock(&j->queue_lock);
	if ((err = index_applied(&e->index, &after, &found)))
		return err;
	return after.volume > before.volume ? RFS_OK : atomic_load(&e->poisoned) ? RFS_ERR_POISONED : RFS_ERR_NO_SPACE;
}

enum rfs_err
journal_close_clean(struct embedded *e)
{
	struct journal *j = &e->journal;
	struct record_header h = {.type = RECORD_EMPTY,
		.flags = RECORD_GROUP_LAST,
		.count = 1,
		.group = j->group,
		.sequence = j->sequence - 1,
		.time_ns = clock_wall_ns()};
	uint8_t record[RECORD_HEADER_BYTES + RECORD_FOOTER_BYTES];
	struct iovec iov = {record, sizeof(record)};
	struct position position;
	enum rfs_err err;

	if ((err = make_room(e, sizeof(record), false)))
		return err;
	record_header_encode(&h, atomic_load(&j->offset), j->generation, record);
	record_tail_encode(0, 0, record + RECORD_HEADER_BYTES);
	err = write_all(j->fd, &iov, 1, atomic_load(&j->offset));
	if (!err && fdatasync(j->fd) != 0)
		err = error_from_errno(errno);
	if (err)
		return err;
	atomic_fetch_add(&j->offset, sizeof(record));
	j->group++;
	position_after(e, &position);
	position.clean = true;
	return apply_position(e, &position);
}

void
journal_cut(struct embedded *e)
{
	struct journal *j = &e->journal;
	uint64_t end = (atomic_load(&j->offset) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	struct stat st;

	if (fstat(j->fd, &st) == 0 && (uint64_t)st.st_size > end && ftruncate(j->fd, (off_t)end) != 0)
		log_warn(0, "cut volume %08x at its end: %s", j->volume, strerror(errno));
}
