/* test_space.c: a full disk: what was admitted is always carried through, and what has no room leaves nothing behind. */
#include "journal_help.h"
#include <dirent.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#define MIB ((uint64_t)1024 * 1024)
#define DISK_BYTES (256 * MIB) /* of which 16 MiB are kept for what was admitted */
#define ENOUGH (40 * MIB) /* but for a reserve */
#define PLENTY (128 * MIB)
#define CHECKPOINT_ROWS 80
#define ROW_BYTES 100000
#define CROWD_MOST 200

/* The disk: as large as the test says, and filled by the store's own files. */
static struct {
	const char *directory;
	_Atomic int64_t room; /* what of it the store and others leave; 0: ENOUGH, whatever the store takes */
} disk;

static _Atomic int64_t found_bytes;

static int
add_bytes(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	atomic_fetch_add(&found_bytes, (int64_t)st->st_blocks * 512);
	return 0;
}

/* What the store takes; files may go meanwhile. */
static int64_t
used_bytes(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int64_t bytes;

	pthread_mutex_lock(&lock);
	atomic_store(&found_bytes, 0);
	nftw(disk.directory, add_bytes, 16, FTW_PHYS);
	bytes = atomic_load(&found_bytes);
	pthread_mutex_unlock(&lock);
	return bytes;
}

/* In place of the C library's, by both of its names. */
int
statvfs(const char *path, struct statvfs *out)
{
	int64_t room = atomic_load(&disk.room), bytes = room ? room - used_bytes() : (int64_t)ENOUGH;

	*out = (struct statvfs){.f_frsize = 1, .f_blocks = DISK_BYTES, .f_bavail = bytes > 0 ? (fsblkcnt_t)bytes : 0};
	return 0;
}

int
statvfs64(const char *path, struct statvfs64 *out)
{
	return statvfs(path, (struct statvfs *)out);
}

static struct embedded *
embedded_of(struct store *s)
{
	return (struct embedded *)(void *)s->drivers.metadata;
}

/* From now on the disk has so much left, and the driver has seen it. */
static void
leave(struct store *s, uint64_t bytes)
{
	atomic_store(&disk.room, used_bytes() + (int64_t)bytes);
	space_tend(embedded_of(s));
}

/* A row and so many bytes of blocks with it. */
static enum rfs_err
put_with_blocks(struct store *s, const char *name, enum space_need need, size_t bytes)
{
	struct batch *b = batch_new(BUCKET);
	struct slice payload = slice_new(bytes);
	struct batch_block block = {.number = 1, .parts = &payload, .part_count = 1, .len = bytes};
	enum rfs_err err;

	memset(slice_writable(&payload), 7, bytes);
	batch_blocks(b, test_key(b->arena, BUCKET, TABLE_ROWS, name), bytes_str("v"), &block, 1);
	slice_unref(&payload);
	b->need = need;
	err = test_commit(s, b);
	batch_free(b);
	return err;
}

static void
put_rows(struct store *s, unsigned count)
{
	char *value = malloc(ROW_BYTES), name[16];

	memset(value, 'r', ROW_BYTES);
	for (unsigned i = 0; i < count; i++) {
		struct batch *b = batch_new(BUCKET);

		snprintf(name, sizeof(name), "%08u", i);
		batch_put(b, test_key(b->arena, BUCKET, TABLE_ROWS, name), bytes_of(value, ROW_BYTES));
		assert_int_equal(test_commit(s, b), RFS_OK);
		batch_free(b);
	}
	free(value);
}

static int
space_setup(void **state)
{
	struct store *s;

	setup(state);
	s = *state;
	disk.directory = s->directory;
	atomic_store(&disk.room, 0);
	assert_true(config_set(&s->config, "journal.volume_bytes", "8M", open_error));
	assert_int_equal(open_store(s), RFS_OK);
	return 0;
}

/* There is room for a reserve; its bytes. */
static uint64_t
reserve_made(struct store *s)
{
	leave(s, PLENTY);
	assert_true(embedded_of(s)->space.reserve >= 8 * MIB);
	return embedded_of(s)->space.reserve;
}

/* The index gets its rows alone: a group waits only for as much room as they take. It would wait for ever. */
static void
blocks_that_were_admitted_need_no_room_in_the_index(void **state)
{
	struct store *s = *state;

	assert_int_equal(put_with_blocks(s, "first", SPACE_ORDINARY, 1000), RFS_OK);
	leave(s, 8 * MIB);
	assert_int_equal(put_with_blocks(s, "ordinary", SPACE_ORDINARY, 1000), RFS_ERR_NO_SPACE);
	assert_int_equal(put_with_blocks(s, "moved", SPACE_COMPACTS, 4 * MIB), RFS_OK);
	assert_true(test_get(s, BUCKET, TABLE_ROWS, "moved").found);
	close_store(s);
}

/* Down to the last byte that is admitted, deletes and compaction come to an end, each with its part of the reserve. */
static void
whatever_is_admitted_ends(void **state)
{
	static const enum space_need needs[] = {SPACE_FREES, SPACE_COMPACTS};
	struct store *s = *state;
	uint64_t reserve = reserve_made(s);
	enum rfs_err err = RFS_OK;

	assert_int_equal(put_with_blocks(s, "first", SPACE_ORDINARY, 1000), RFS_OK);
	leave(s, 8 * MIB);
	for (size_t i = 0; i < 2; i++) {
		for (unsigned k = 0; !(err = put_with_blocks(s, "row", needs[i], 300000)); k++)
			assert_true(k < 200);
		assert_int_equal(err, RFS_ERR_NO_SPACE);
		assert_true(embedded_of(s)->space.reserve <= (needs[i] == SPACE_FREES ? reserve : reserve / 2));
		assert_true(embedded_of(s)->space.reserve >= (needs[i] == SPACE_FREES ? reserve / 2 : 0));
	}
	leave(s, 64 * MIB);
	assert_int_equal(put_with_blocks(s, "row", SPACE_ORDINARY, 300000), RFS_OK);
	close_store(s);
}

/* Batches that are admitted while none of them is written. Static: a test that fails leaves the driver with it. */
struct crowd {
	sem_t stands, goes_on, ended;
	struct batch *batches[CROWD_MOST];
	unsigned count;
};

static void
stand(struct batch *b)
{
	struct crowd *crowd = b->done_data;

	sem_post(&crowd->stands);
	sem_wait(&crowd->goes_on);
	sem_post(&crowd->ended);
}

static void
end(struct batch *b)
{
	struct crowd *crowd = b->done_data;

	sem_post(&crowd->ended);
}

static struct batch *
crowd_add(struct store *s, struct crowd *crowd, enum space_need need, void (*done)(struct batch *), size_t bytes)
{
	static const char value[ROW_BYTES];
	struct batch *b = batch_new(BUCKET);
	char name[16];

	snprintf(name, sizeof(name), "%08u", crowd->count);
	batch_put(b, test_key(b->arena, BUCKET, TABLE_ROWS, name), bytes_of(value, bytes));
	b->need = need;
	b->done = done;
	b->done_data = crowd;
	crowd->batches[crowd->count++] = b;
	s->drivers.metadata->ops->commit(s->drivers.metadata, b);
	return b;
}

static void
crowd_begin(struct store *s, struct crowd *crowd)
{
	crowd->count = 0;
	sem_init(&crowd->stands, 0, 0);
	sem_init(&crowd->goes_on, 0, 0);
	sem_init(&crowd->ended, 0, 0);
	crowd_add(s, crowd, SPACE_COMPACTS, stand, 1);
	sem_wait(&crowd->stands);
}

/* All but so many, the last ones, are done. */
static void
crowd_end(struct store *s, struct crowd *crowd, unsigned refused)
{
	for (unsigned k = 0; k < crowd->count; k++)
		sem_wait(&crowd->ended);
	for (unsigned k = 0; k < crowd->count; k++) {
		assert_int_equal(crowd->batches[k]->error, k + refused < crowd->count ? RFS_OK : RFS_ERR_NO_SPACE);
		batch_free(crowd->batches[k]);
	}
	assert_int_equal(atomic_load(&embedded_of(s)->space.promised), 0);
}

/* They are admitted until one is refused, and all others are carried through: together, for nobody else makes room. */
static void
what_is_admitted_at_once_ends(void **state)
{
	static const enum space_need needs[] = {SPACE_FREES, SPACE_COMPACTS};
	struct store *s = *state;
	static struct crowd crowd;

	reserve_made(s);
	assert_int_equal(put_with_blocks(s, "first", SPACE_ORDINARY, 1000), RFS_OK);
	leave(s, 8 * MIB);
	for (size_t i = 0; i < 2; i++) {
		crowd_begin(s, &crowd);
		while (crowd_add(s, &crowd, needs[i], end, ROW_BYTES)->error != RFS_ERR_NO_SPACE)
			assert_true(crowd.count < CROWD_MOST);
		assert_true(crowd.count > 4);
		sem_post(&crowd.goes_on);
		crowd_end(s, &crowd, 1);
	}
	close_store(s);
}

/* What is under way takes no more from others than `keep` has for it. */
static void
much_under_way_does_not_make_a_disk_full(void **state)
{
	struct store *s = *state;
	static struct crowd crowd;

	assert_int_equal(put_with_blocks(s, "first", SPACE_ORDINARY, 1000), RFS_OK);
	leave(s, DISK_BYTES / 16 + 6 * MIB); /* also for what the journal zeroes ahead */
	crowd_begin(s, &crowd);
	for (unsigned i = 0; i < 40; i++)
		crowd_add(s, &crowd, SPACE_ORDINARY, end, ROW_BYTES);
	space_tend(embedded_of(s));
	assert_false(atomic_load(&embedded_of(s)->space.full));
	sem_post(&crowd.goes_on);
	crowd_end(s, &crowd, 0);
	close_store(s);
}

static void
the_reserve_is_not_given_up_in_vain(void **state)
{
	struct store *s = *state;
	uint64_t reserve = reserve_made(s);
	struct embedded *e = embedded_of(s);
	dev_t own = e->space.disk;

	leave(s, MIB);
	assert_false(space_for_index(e, SPACE_COMPACTS, reserve + 8 * MIB));
	assert_false(space_for_index(e, SPACE_FREES, reserve));
	e->space.disk = own + 1; /* it lies on another disk than the index */
	assert_false(space_for_index(e, SPACE_COMPACTS, 2 * MIB));
	assert_int_equal(e->space.reserve, reserve);
	e->space.disk = own;
	assert_true(space_for_index(e, SPACE_COMPACTS, reserve - 4 * MIB));
	assert_true(e->space.reserve < reserve);
	close_store(s);
}

static enum rfs_err
make_checkpoint(struct store *s, struct checkpoint_info *out)
{
	return s->drivers.metadata->ops->checkpoint(s->drivers.metadata, &s->rq, NULL, NULL, out);
}

/* Somebody else takes the disk behind what was admitted: that waits, and half of the reserve is left for what may bring
 * room. */
static void
a_checkpoint_is_made_while_writers_wait_for_room(void **state)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	struct store *s = *state;
	struct checkpoint_info made;
	static struct crowd crowd;

	reserve_made(s);
	assert_int_equal(put_with_blocks(s, "first", SPACE_ORDINARY, 1000), RFS_OK);
	leave(s, 64 * MIB);
	crowd_begin(s, &crowd);
	for (unsigned i = 0; i < 80; i++)
		crowd_add(s, &crowd, SPACE_FREES, end, ROW_BYTES);
	leave(s, 1);
	sem_post(&crowd.goes_on);
	while (!atomic_load(&embedded_of(s)->space.applying_waits))
		nanosleep(&pause, NULL);
	assert_int_equal(make_checkpoint(s, &made), RFS_OK);
	assert_true(atomic_load(&embedded_of(s)->space.applying_waits));
	leave(s, 64 * MIB);
	crowd_end(s, &crowd, 0);
	close_store(s);
}

static unsigned
files_being_made(struct store *s)
{
	unsigned count = 0;
	struct dirent *entry;
	char path[300];
	DIR *dir;

	snprintf(path, sizeof(path), "%s/volumes", s->directory);
	assert_non_null(dir = opendir(path));
	while ((entry = readdir(dir)))
		count += strstr(entry->d_name, VOLUME_MAKING_SUFFIX) != NULL;
	closedir(dir);
	return count;
}

/* It takes from the reserve what it needs; where that is not enough, it is refused before the disk is full. */
static void
a_checkpoint_asks_for_room(void **state)
{
	struct store *s = *state;
	struct checkpoint_info made;
	uint64_t reserve = reserve_made(s);

	put_rows(s, CHECKPOINT_ROWS);
	leave(s, MIB);
	assert_int_equal(make_checkpoint(s, &made), RFS_OK);
	assert_true(made.bytes > CHECKPOINT_ROWS * ROW_BYTES);
	assert_true(embedded_of(s)->space.reserve < reserve);
	assert_true(embedded_of(s)->space.reserve > 0);
	/* Another as large would not fit beside it: nothing is given up for it. */
	leave(s, MIB);
	reserve = embedded_of(s)->space.reserve;
	assert_true(reserve < made.bytes + MIB);
	assert_int_equal(make_checkpoint(s, &made), RFS_ERR_NO_SPACE);
	assert_int_equal(embedded_of(s)->space.reserve, reserve);
	assert_int_equal(files_being_made(s), 0);
	leave(s, 64 * MIB);
	assert_int_equal(make_checkpoint(s, &made), RFS_OK);
	close_store(s);
}

/* Nobody knows how large the first one will be. */
static void
a_first_checkpoint_that_is_too_large_is_refused(void **state)
{
	struct store *s = *state;
	struct checkpoint_info made;

	put_rows(s, CHECKPOINT_ROWS);
	leave(s, 5 * MIB);
	assert_int_equal(make_checkpoint(s, &made), RFS_ERR_NO_SPACE);
	assert_int_equal(files_being_made(s), 0);
	leave(s, 64 * MIB);
	assert_int_equal(make_checkpoint(s, &made), RFS_OK);
	close_store(s);
}

/* A write that was given up before anybody synced it does not keep its volume open. */
static void
a_volume_whose_last_block_was_given_up_is_sealed(void **state)
{
	struct store *s = *state;
	struct storage_driver *d = s->drivers.storage;
	struct slice payload = slice_new(MIB);
	struct storage_volume *list;
	struct block_ticket ticket;
	uint64_t freed;
	size_t count;

	assert_int_equal(put_with_blocks(s, "first", SPACE_ORDINARY, 1000), RFS_OK);
	memset(slice_writable(&payload), 7, payload.len);
	assert_int_equal(d->ops->put(d, &s->rq, BUCKET, 1, &payload, 1, &ticket), RFS_OK);
	slice_unref(&payload);
	d->ops->settle(d, &ticket, 1);
	assert_int_equal(d->volumes->list(d, &s->rq, &list, &count), RFS_OK);
	for (size_t i = 0; i < count; i++) {
		if (list[i].has_batches)
			continue;
		assert_int_equal(list[i].tickets, 0);
		assert_int_equal(d->volumes->seal(d, &s->rq, list[i].number), RFS_OK);
		assert_int_equal(d->volumes->remove(d, &s->rq, list[i].number, &freed), RFS_OK);
		assert_true(freed > MIB);
	}
	free(list);
	close_store(s);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, space_setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(blocks_that_were_admitted_need_no_room_in_the_index),
		TEST(whatever_is_admitted_ends),
		TEST(what_is_admitted_at_once_ends),
		TEST(much_under_way_does_not_make_a_disk_full),
		TEST(the_reserve_is_not_given_up_in_vain),
		TEST(a_checkpoint_is_made_while_writers_wait_for_room),
		TEST(a_checkpoint_asks_for_room),
		TEST(a_first_checkpoint_that_is_too_large_is_refused),
		TEST(a_volume_whose_last_block_was_given_up_is_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
