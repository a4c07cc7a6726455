/* test_checkpoint.c: a checkpoint and the journal behind it are the store: with older volumes removed, after kills at
 * any moment, beside writers; and what is missing or damaged is said. */
#include "journal_help.h"
#include "base/hash.h"
#include <glob.h>
#include <semaphore.h>

#define WRITERS 4
#define WRITER_ROWS 150
#define LARGE_ROWS 15

static enum rfs_err
make(struct store *s, struct checkpoint_info *out)
{
	return s->drivers.metadata->ops->checkpoint(s->drivers.metadata, &s->rq, NULL, NULL, out);
}

static char *
checkpoint_path(struct store *s, uint64_t number, char out[400])
{
	snprintf(out, 400, "%s/volumes/%016llx.checkpoint", s->directory, (unsigned long long)number);
	return out;
}

static int
checkpoint_open(struct store *s, uint64_t number, off_t *size)
{
	char path[400];
	struct stat st;
	int fd;

	chmod(checkpoint_path(s, number, path), 0600);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*size = st.st_size;
	return fd;
}

static size_t
count_files(struct store *s, const char *pattern)
{
	char path[700];
	glob_t found;
	size_t count;

	snprintf(path, sizeof(path), "%s/volumes/%s", s->directory, pattern);
	count = glob(path, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
	globfree(&found);
	return count;
}

/* Volumes [from, to), whichever there are. */
static void
remove_volumes(struct store *s, uint64_t from, uint64_t to)
{
	char path[400];

	for (uint64_t n = from; n < to; n++) {
		snprintf(path, sizeof(path), "%s/volumes/%016llx.vol", s->directory, (unsigned long long)n);
		unlink(path);
	}
}

/* Batches [0, before), a checkpoint, batches [before, all); killed then, or closed. */
static struct checkpoint_info
store_with_checkpoint(struct store *s, unsigned before, unsigned all, bool killed)
{
	struct checkpoint_info info;

	assert_int_equal(open_store(s), RFS_OK);
	for (unsigned i = 0; i < before; i++)
		assert_int_equal(write_one(s, i), RFS_OK);
	assert_int_equal(make(s, &info), RFS_OK);
	assert_int_equal(info.sequence, before);
	assert_int_equal(checkpoint_floor((struct embedded *)(void *)s->drivers.metadata), info.volume);
	for (unsigned i = before; i < all && !killed; i++)
		assert_int_equal(write_one(s, i), RFS_OK);
	close_store(s);
	if (killed)
		assert_int_equal(write_and_die(s, before, all), all - before);
	return info;
}

static void
the_journal_before_a_checkpoint_is_not_needed(void **state)
{
	for (int killed = 0; killed < 2; killed++) {
		struct store *s = *state;
		struct checkpoint_info info = store_with_checkpoint(s, 350, 700, killed);

		assert_true(info.volume > 1);
		remove_index(s);
		remove_volumes(s, 1, info.volume);
		for (int opened = 0; opened < 3; opened++) {
			assert_int_equal(open_store(s), RFS_OK);
			assert_store_from(s, 700 + (unsigned)opened, info.volume);
			assert_int_equal(write_one(s, 700 + (unsigned)opened), RFS_OK);
			close_store(s);
			if (opened == 1)
				remove_index(s); /* else it is the index that is gone on with */
		}
		shell(s, "rm -rf index volumes lock reserve");
	}
}

/* Rows and counters, so that a batch that is applied twice shows. */
static enum rfs_err
write_counted(struct store *s, unsigned writer, unsigned i)
{
	struct batch *b = batch_new(BUCKET);
	char name[32];
	enum rfs_err err;

	snprintf(name, sizeof(name), "w%u-%06u", writer, i);
	batch_put(b, test_key(b->arena, BUCKET, TABLE_ROWS, name), bytes_str("v"));
	batch_add(b, test_key(b->arena, BUCKET, TABLE_COUNTERS, "n"), 1);
	batch_append(b, test_key(b->arena, BUCKET, TABLE_FEED, ""), bytes_str(name));
	err = test_commit(s, b);
	batch_free(b);
	return err;
}

struct writer {
	struct store *store;
	unsigned number;
};

static void *
writer_main(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < WRITER_ROWS; i++)
		if (write_counted(w->store, w->number, i))
			return arg;
	return NULL;
}

static void
rows_and_position_belong_together_beside_writers(void **state)
{
	struct store *s = *state;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	struct checkpoint_info info = {0};
	struct row_page page;
	uint64_t total = WRITERS * WRITER_ROWS;
	void *failed;
	char name[32];

	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(write_counted(s, WRITERS, 0), RFS_OK);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){s, i};
		pthread_create(&threads[i], NULL, writer_main, &writers[i]);
	}
	while (info.sequence < total / 2)
		assert_int_equal(make(s, &info), RFS_OK);
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	close_store(s);
	assert_int_equal(count_files(s, "*.checkpoint"), 1);
	remove_index(s);
	remove_volumes(s, 1, info.volume);
	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(test_counter(s, BUCKET, "n"), total + 1);
	for (unsigned w = 0; w < WRITERS; w++) {
		for (unsigned i = 0; i < WRITER_ROWS; i++) {
			snprintf(name, sizeof(name), "w%u-%06u", w, i);
			assert_true(test_get(s, BUCKET, TABLE_ROWS, name).found);
		}
	}
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_FEED, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_FEED + 1, ""), 100000, false, &page),
		RFS_OK);
	assert_int_equal(page.count, total + 1);
	for (unsigned i = 0; i < page.count; i++)
		assert_int_equal(load_be64(page.rows[i].key.data + 9), i + 1);
	close_store(s);
}

/* `places` parts of one are damaged, or it is cut off there. `expected`: what open then says. */
static void
damage_parts(
	struct store *s, uint64_t number, size_t places, enum rfs_err expected, unsigned count, uint64_t first_volume)
{
	char path[400];
	off_t size, at;
	int fd;

	shell(s, "cp -p %s kept", checkpoint_path(s, number, path));
	for (size_t i = 0; i < places; i++) {
		fd = checkpoint_open(s, number, &size);
		at = (off_t[]){size - 20, SUPERBLOCK_BYTES + 5, 50, size - 3, size / 2, size - 84, 2000}[i];
		if (i % 2) {
			assert_int_equal(ftruncate(fd, at), 0);
			close(fd);
		} else {
			flip(fd, at);
		}
		remove_index(s);
		assert_int_equal(open_store(s), expected);
		if (expected) {
			assert_non_null(strstr(open_error, "checkpoint"));
			assert_non_null(strstr(open_error, "salvage"));
		} else {
			assert_store_from(s, count, first_volume);
			close_store(s);
		}
		shell(s, "cp -p kept %s", path);
	}
}

static void
a_damaged_checkpoint_is_not_used(void **state)
{
	struct store *s = *state;
	struct checkpoint_info older = store_with_checkpoint(s, 350, 400, false), newer;
	char path[400], again[400];

	shell(s, "cp -p %s older", checkpoint_path(s, older.number, path));
	assert_int_equal(open_store(s), RFS_OK);
	for (unsigned i = 400; i < 700; i++)
		assert_int_equal(write_one(s, i), RFS_OK);
	assert_int_equal(make(s, &newer), RFS_OK);
	assert_true(newer.volume > older.volume && newer.sequence == 700);
	close_store(s);
	assert_int_equal(count_files(s, "*.checkpoint"), 1);

	damage_parts(s, newer.number, 7, RFS_OK, 700, 0); /* the whole journal is used */
	shell(s, "cp -p older %s", path);
	remove_volumes(s, 1, older.volume);
	damage_parts(s, newer.number, 2, RFS_OK, 700, older.volume); /* the older one is */
	remove_volumes(s, older.volume, newer.volume);
	remove_index(s);
	assert_int_equal(open_store(s), RFS_OK); /* the newer one is enough */
	assert_store_from(s, 700, newer.volume);
	close_store(s);
	unlink(path);
	damage_parts(s, newer.number, 3, RFS_ERR_DAMAGED, 0, 0); /* nothing is */
	/* One that is not the newest does not help, if the journal between them is gone. */
	shell(s, "cp -p older %s && cp -p %s newer && rm %s", path, checkpoint_path(s, newer.number, again), again);
	remove_index(s);
	assert_int_equal(open_store(s), RFS_ERR_DAMAGED);
}

/* Each journal volume behind the checkpoint in turn, also where the one before it is not sealed. */
static void
a_missing_volume_is_damage(void **state)
{
	struct store *s = *state;
	struct checkpoint_info info = store_with_checkpoint(s, 350, 1050, false);
	struct superblock super;
	uint8_t bytes[SUPERBLOCK_BYTES];
	uint64_t last = info.volume;
	char path[400];
	struct stat st;
	int fd;

	remove_volumes(s, 1, info.volume);
	shell(s, "chmod 600 volumes/*.vol");
	while (count_files(s,
		(snprintf(path, sizeof(path), "%016llx.vol", (unsigned long long)last + 1 + (last + 1 == info.number)),
			path)))
		last += 1 + (last + 1 == info.number);
	assert_true(last > info.volume + 1);
	for (uint64_t n = info.volume; n <= last; n++) {
		if (n == info.number)
			continue;
		/* Without seals, as if the process had been killed before they were made. */
		snprintf(path, sizeof(path), "%s/volumes/%016llx.vol", s->directory, (unsigned long long)n);
		fd = open(path, O_RDWR);
		assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
		assert_int_equal(superblock_decode(bytes, &super), RFS_OK);
		assert_int_equal(fstat(fd, &st), 0);
		if (n != last) {
			uint64_t seal;
			uint32_t length;

			if (seal_find(fd, (uint64_t)st.st_size, super.generation, &seal, &length))
				assert_int_equal(ftruncate(fd, (off_t)seal), 0);
		}
		close(fd);
	}
	for (uint64_t n = info.volume; n < last; n++) {
		if (n == info.number)
			continue;
		remove_index(s);
		shell(s, "mv volumes/%016llx.vol kept", (unsigned long long)n);
		assert_int_equal(open_store(s), RFS_ERR_DAMAGED);
		assert_true(open_error[0]);
		shell(s, "mv kept volumes/%016llx.vol", (unsigned long long)n);
	}
	remove_index(s);
	assert_int_equal(open_store(s), RFS_OK);
	assert_store_from(s, 1050, info.volume);
	close_store(s);
}

/* The end of the journal is gone, with nothing left that names it but the checkpoint. */
static void
a_journal_that_ends_before_its_checkpoint_is_damage(void **state)
{
	struct store *s = *state;
	struct checkpoint_info info = store_with_checkpoint(s, 40, 40, false);
	char path[400];

	off_t size;

	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, 1);
	assert_int_equal(info.volume, 1);
	assert_int_equal(truncate(path, (off_t)info.offset - 100), 0); /* as one that is torn */
	remove_index(s);
	assert_int_equal(open_store(s), RFS_ERR_DAMAGED);
	flip(checkpoint_open(s, info.number, &size), SUPERBLOCK_BYTES + 100);
	remove_index(s);
	assert_int_equal(open_store(s), RFS_ERR_DAMAGED); /* although it cannot be used */
	assert_non_null(strstr(open_error, "was made after batch 40"));
	unlink(checkpoint_path(s, info.number, path));
	remove_index(s);
	assert_int_equal(open_store(s), RFS_OK); /* so it was the checkpoint that knew */
	assert_store(s, 39);
	close_store(s);
}

/* Its own volume is gone, or only those behind it: as if RocksDB had lost what it synced. */
static void
old_index_is_replaced(struct store *s, uint64_t keep)
{
	struct checkpoint_info info;

	assert_int_equal(write_and_die(s, 0, 30), 30);
	assert_int_equal(open_store(s), RFS_OK);
	close_store(s);
	shell(s, "cp -r index kept");
	assert_int_equal(open_store(s), RFS_OK);
	for (unsigned i = 30; i < 900; i++)
		assert_int_equal(write_one(s, i), RFS_OK);
	assert_int_equal(make(s, &info), RFS_OK);
	assert_int_equal(write_one(s, 900), RFS_OK);
	close_store(s);
	assert_true(info.volume > keep + 1);
	remove_volumes(s, 1, keep);
	remove_volumes(s, keep + 1, info.volume);
	remove_index(s);
	shell(s, "mv kept index");
	assert_int_equal(open_store(s), RFS_OK);
	assert_store_from(s, 901, info.volume);
	close_store(s);
	shell(s, "rm -rf index volumes lock reserve");
}

static void
an_index_older_than_the_journal_is_replaced(void **state)
{
	old_index_is_replaced(*state, 0);
	old_index_is_replaced(*state, 2);
}

static const uint8_t applied[DRIVER_KEY_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, ROW_TAG_APPLIED};

/* The process ended while a checkpoint was being loaded: there are rows, and no position. */
static void
an_interrupted_loading_begins_again(void **state)
{
	struct store *s = *state;
	struct checkpoint_info info = store_with_checkpoint(s, 50, 60, false);
	struct index ix = {0};
	rocksdb_writebatch_t *wb;
	char path[400], error[512];
	struct bytes stray = test_key(s->rq.arena, BUCKET, TABLE_ROWS, "stray");

	for (int with_checkpoint = 1; with_checkpoint >= 0; with_checkpoint--) {
		snprintf(path, sizeof(path), "%s/index", s->directory);
		assert_int_equal(index_open(&ix, path, 1 << 20, 1 << 20, error), RFS_OK);
		wb = rocksdb_writebatch_create();
		rocksdb_writebatch_delete(wb, (const char *)applied, sizeof(applied));
		rocksdb_writebatch_put(wb, (const char *)stray.data, stray.len, "rvalue12345678", 14);
		assert_int_equal(index_write(&ix, wb), RFS_OK);
		rocksdb_writebatch_destroy(wb);
		index_close(&ix);
		if (!with_checkpoint)
			unlink(checkpoint_path(s, info.number, path));
		assert_int_equal(open_store(s), RFS_OK);
		assert_false(test_get(s, BUCKET, TABLE_ROWS, "stray").found);
		assert_store(s, 60);
		close_store(s);
	}
}

/* It has no number of the next volume. A row that the journal does not have tells that the index was not made anew. */
static void
the_position_of_an_older_store_is_read(void **state)
{
	struct store *s = *state;
	struct bytes stray = test_key(s->rq.arena, BUCKET, TABLE_ROWS, "stray");
	struct position position;
	struct index ix = {0};
	rocksdb_writebatch_t *wb;
	char path[400], error[512], *message = NULL, *value;
	size_t len;
	bool found;

	assert_int_equal(open_store(s), RFS_OK);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(write_one(s, i), RFS_OK);
	close_store(s);
	snprintf(path, sizeof(path), "%s/index", s->directory);
	assert_int_equal(index_open(&ix, path, 1 << 20, 1 << 20, error), RFS_OK);
	value = rocksdb_get(ix.db, ix.read, (const char *)applied, sizeof(applied), &len, &message);
	assert_null(message);
	wb = rocksdb_writebatch_create();
	rocksdb_writebatch_put(wb, (const char *)applied, sizeof(applied), value, len - 8);
	rocksdb_writebatch_put(wb, (const char *)stray.data, stray.len, "rvalue12345678", 14);
	assert_int_equal(index_write(&ix, wb), RFS_OK);
	rocksdb_writebatch_destroy(wb);
	free(value);
	assert_int_equal(index_applied(&ix, &position, &found), RFS_OK);
	assert_true(found && position.clean && position.next_volume == 0);
	index_close(&ix);
	assert_int_equal(open_store(s), RFS_OK);
	assert_true(test_get(s, BUCKET, TABLE_ROWS, "stray").found);
	assert_store(s, 20);
	assert_int_equal(write_one(s, 20), RFS_OK);
	close_store(s);
	assert_int_equal(index_open(&ix, path, 1 << 20, 1 << 20, error), RFS_OK);
	assert_int_equal(index_applied(&ix, &position, &found), RFS_OK);
	assert_true(found && position.next_volume > position.volume);
	index_close(&ix);
}

/* Rows of 100 KB, so that a checkpoint has several records. */
static void
write_large(struct store *s)
{
	static char value[100000];
	char name[16];

	memset(value, 'x', sizeof(value) - 1);
	for (unsigned i = 0; i < LARGE_ROWS; i++) {
		snprintf(name, sizeof(name), "large%u", i);
		test_put(s, BUCKET, name, value);
	}
}

static void
assert_large(struct store *s)
{
	char name[16];

	for (unsigned i = 0; i < LARGE_ROWS; i++) {
		snprintf(name, sizeof(name), "large%u", i);
		assert_int_equal(test_get(s, BUCKET, TABLE_ROWS, name).value.len, 99999);
	}
}

static bool
give_up(void *data, uint64_t bytes)
{
	*(uint64_t *)data = bytes;
	return false;
}

static bool
die(void *data, uint64_t bytes)
{
	_exit(7);
}

static void
one_that_is_given_up_leaves_nothing(void **state)
{
	struct store *s = *state;
	struct checkpoint_info first, info;
	uint64_t at = 0;

	assert_int_equal(open_store(s), RFS_OK);
	write_large(s);
	assert_int_equal(make(s, &first), RFS_OK);
	assert_int_equal(s->drivers.metadata->ops->checkpoint(s->drivers.metadata, &s->rq, give_up, &at, &info),
		RFS_ERR_CANCELLED);
	assert_in_range(at, 1000000, first.bytes - 1);
	assert_int_equal(count_files(s, "*.tmp"), 0);
	assert_int_equal(count_files(s, "*.checkpoint"), 1);
	assert_int_equal(checkpoint_floor((struct embedded *)(void *)s->drivers.metadata), first.volume);
	close_store(s);
	remove_index(s);
	assert_int_equal(open_store(s), RFS_OK);
	assert_large(s);
	close_store(s);
}

/* "test_checkpoint die DIRECTORY": ends in the middle of making one. */
static int
die_main(const char *directory)
{
	struct store s = {.rq = {.may_block = true, .arena = arena_new(4096)}};
	struct checkpoint_info info;
	char error[512];

	config_init(&s.config);
	if (!config_set(&s.config, "data", directory, error) || open_store(&s))
		_exit(9);
	(void)s.drivers.metadata->ops->checkpoint(s.drivers.metadata, &s.rq, die, NULL, &info);
	_exit(8);
}

static void
a_process_that_ends_meanwhile_leaves_the_older_one(void **state)
{
	struct store *s = *state;
	struct checkpoint_info info;
	int status;
	pid_t pid;

	assert_int_equal(open_store(s), RFS_OK);
	write_large(s);
	assert_int_equal(make(s, &info), RFS_OK);
	close_store(s);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "test_checkpoint", "die", s->directory, NULL);
		_exit(6);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(count_files(s, "*.tmp"), 1);
	assert_int_equal(count_files(s, "*.checkpoint"), 1);
	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(count_files(s, "*.tmp"), 0);
	assert_large(s);
	close_store(s);
	remove_index(s);
	assert_int_equal(open_store(s), RFS_OK);
	assert_large(s);
	/* The one that was begun had taken no number from another. */
	assert_int_equal(make(s, &info), RFS_OK);
	assert_int_equal(count_files(s, "*.checkpoint"), 1);
	close_store(s);
}

/* A batch with an id, whose row has that value; its serial. */
static uint64_t
commit_identified(struct store *s, const uint8_t id[16], const char *value)
{
	struct batch *b = batch_new(BUCKET);
	uint64_t serial;

	memcpy(b->id, id, 16);
	batch_put(b, test_key(b->arena, BUCKET, TABLE_ROWS, "identified"), bytes_str(value));
	assert_int_equal(test_commit(s, b), RFS_OK);
	serial = b->serial;
	batch_free(b);
	return serial;
}

static enum rfs_err
count_ids(void *data, struct bytes key, struct bytes value)
{
	*(unsigned *)data += key.len == ID_KEY_BYTES && key.data[8] == 0 && key.data[9] == ROW_TAG_ID;
	return RFS_OK;
}

static void
ids_of_batches_are_kept_for_their_time(void **state)
{
	static const uint8_t id[16] = "0123456789abcdef", old[16] = "an old batch's";
	struct store *s = *state;
	struct embedded *e;
	struct checkpoint_info info;
	struct volume_info volume;
	rocksdb_writebatch_t *wb;
	uint8_t key[ID_KEY_BYTES], value[17] = {ROW_TAG_ID};
	unsigned ids = 0;
	uint64_t serial, rows;

	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(make(s, &info), RFS_ERR_NOT_FOUND); /* there is nothing yet */
	serial = commit_identified(s, id, "first");
	e = (struct embedded *)(void *)s->drivers.metadata;
	wb = rocksdb_writebatch_create();
	key_batch_id((uint64_t)(clock_wall_ns() / BATCH_ID_EPOCH_NS) - 3, BUCKET, old, key);
	rocksdb_writebatch_put(wb, (const char *)key, sizeof(key), (const char *)value, sizeof(value));
	assert_int_equal(index_write(&e->index, wb), RFS_OK);
	rocksdb_writebatch_destroy(wb);
	assert_int_equal(make(s, &info), RFS_OK);
	assert_int_equal(volume_read_superblock(e, info.number, CHECKPOINT_SUFFIX, &volume), RFS_OK);
	assert_int_equal(checkpoint_read(e, &volume, count_ids, &ids, &rows), RFS_OK);
	assert_int_equal(ids, 1);
	assert_int_equal(rows, info.rows);
	close_store(s);
	remove_index(s);
	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(commit_identified(s, id, "second"), serial);
	assert_true(bytes_equal_str(test_get(s, BUCKET, TABLE_ROWS, "identified").value, "first"));
	close_store(s);
}

static void
one_of_another_store_is_not_used(void **state)
{
	struct store *s = *state, other;
	struct checkpoint_info info;
	char from[400], to[400];

	store_init(&other, "1M");
	info = store_with_checkpoint(&other, 20, 20, false);
	checkpoint_path(&other, info.number, from);
	assert_int_equal(write_and_die(s, 0, 10), 10);
	remove_index(s);
	shell(s, "cp -p %s %s", from, checkpoint_path(s, info.number, to));
	assert_opens(s, 10);
	store_fini(&other);
}

int
main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_journal_before_a_checkpoint_is_not_needed),
		TEST(rows_and_position_belong_together_beside_writers),
		TEST(a_damaged_checkpoint_is_not_used),
		TEST(a_missing_volume_is_damage),
		TEST(a_journal_that_ends_before_its_checkpoint_is_damage),
		TEST(an_index_older_than_the_journal_is_replaced),
		TEST(an_interrupted_loading_begins_again),
		TEST(the_position_of_an_older_store_is_read),
		TEST(one_that_is_given_up_leaves_nothing),
		TEST(a_process_that_ends_meanwhile_leaves_the_older_one),
		TEST(ids_of_batches_are_kept_for_their_time),
		TEST(one_of_another_store_is_not_used),
	};

	log_init(getenv("RESTFS_TEST_LOG") ? LOG_DEBUG : LOG_ERROR, LOG_TEXT,
		getenv("RESTFS_TEST_LOG") ? 2 : open("/dev/null", O_WRONLY));
	if (argc == 3)
		return die_main(argv[2]);
	if (argc == 6)
		return child_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
