/*
 * test_recovery.c: what the embedded driver makes of a store whose process was killed, and of damaged files.
 *
 * A child writes and tells each acknowledgement over a pipe, then ends without closing; the parent damages the files
 * and opens the store: everything acknowledged must be there, or the store must refuse to open.
 */
#include "journal_help.h"
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#define HEADER 64
#define FIRST_RECORD 4096
#define STORM_THREADS 8

/* A child's thread: rows of its own, each acknowledgement told, until the process is killed. */
struct storm {
	struct store *store;
	unsigned first;
	int fd;
};

static void *
storm_thread(void *arg)
{
	struct storm *storm = arg;

	for (unsigned i = storm->first;; i++)
		if (write_one(storm->store, i) || write(storm->fd, &i, sizeof(i)) != sizeof(i))
			_exit(8);
}

static int
storm_main(char **argv)
{
	struct store s = {.rq = {.may_block = true}};
	struct storm storms[STORM_THREADS];
	char error[512];
	pthread_t thread;

	config_init(&s.config);
	if (!config_set(&s.config, "data", argv[2], error) ||
		!config_set(&s.config, "journal.volume_bytes", "1M", error) || open_store(&s))
		_exit(9);
	for (unsigned i = 0; i < STORM_THREADS; i++) {
		storms[i] = (struct storm){&s, (unsigned)atoi(argv[3]) + i * 1000000, atoi(argv[4])};
		pthread_create(&thread, NULL, storm_thread, &storms[i]);
	}
	for (;;)
		pause();
}

/* A volume's file; the last one when number is 0. */
static int
open_volume(struct store *s, unsigned number)
{
	char path[400];
	int fd = -1, next;

	for (unsigned n = number ? number : 1;; n++) {
		snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, n);
		next = open(path, O_RDWR);
		if (next < 0)
			break;
		if (fd >= 0)
			close(fd);
		fd = next;
		if (number)
			break;
	}
	assert_true(fd >= 0);
	return fd;
}

/* The offset behind the last record: records are found by their lengths. `last`: the last record's own. */
static off_t
journal_end(int fd, off_t *last)
{
	uint8_t header[HEADER];
	off_t at = FIRST_RECORD, before = at;

	while (pread(fd, header, sizeof(header), at) == sizeof(header) && header[4] != 0 && header[4] != RECORD_SEAL) {
		before = at;
		at += HEADER + (off_t)((load_u32(header + 8) + 7) / 8 * 8) + 8;
	}
	*last = before;
	return at;
}

static void
what_was_acknowledged_survives_a_killed_process(void **state)
{
	struct store *s = *state;

	assert_int_equal(write_and_die(s, 0, 20), 20);
	assert_int_equal(write_and_die(s, 20, 60), 40);
	assert_int_equal(open_store(s), RFS_OK);
	assert_store(s, 60);
	assert_int_equal(write_one(s, 60), RFS_OK);
	assert_store(s, 61);
	close_store(s);
}

static void
a_lost_index_is_rebuilt_from_the_journal(void **state)
{
	struct store *s = *state;

	assert_int_equal(write_and_die(s, 0, 700), 700); /* several volumes */
	remove_index(s);
	assert_opens(s, 700);
	remove_index(s); /* also after a clean close */
	assert_int_equal(write_and_die(s, 700, 720), 20);
	remove_index(s);
	assert_opens(s, 720);
}

static void
an_older_index_is_brought_up_to_date(void **state)
{
	struct store *s = *state;
	assert_int_equal(write_and_die(s, 0, 30), 30);
	assert_int_equal(open_store(s), RFS_OK);
	close_store(s);
	shell(s, "cp -r index kept");
	assert_int_equal(write_and_die(s, 30, 500), 470);
	remove_index(s);
	shell(s, "mv kept index");
	assert_opens(s, 500);
}

static void
a_torn_last_group_was_never_there(void **state)
{
	struct store *s = *state;
	off_t end, last;
	int fd;

	assert_int_equal(write_and_die(s, 0, 10), 10);
	remove_index(s);
	fd = open_volume(s, 1);
	end = journal_end(fd, &last);
	flip(fd, end - 30); /* in the last COMMIT, as if its group had not reached the disk */
	assert_int_equal(open_store(s), RFS_OK);
	assert_store(s, 9);
	assert_int_equal(write_one(s, 9), RFS_OK); /* never behind the torn tail */
	assert_store(s, 10);
	close_store(s);
	remove_index(s);
	assert_opens(s, 10);
}

static void
a_group_whose_first_page_is_missing_was_never_there(void **state)
{
	static const uint8_t zeros[HEADER];
	struct store *s = *state;
	off_t end, last;
	int fd;

	assert_int_equal(write_and_die(s, 0, 10), 10);
	remove_index(s);
	fd = open_volume(s, 1);
	end = journal_end(fd, &last);
	/* The last batch's BLOCK header is lost; its COMMIT, of the same group, is there. */
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), last - (HEADER + PAYLOAD + 8)), sizeof(zeros));
	assert_true(end > last);
	close(fd);
	assert_opens(s, 9);
}

static void
garbage_behind_the_end_is_ignored(void **state)
{
	struct store *s = *state;
	uint8_t garbage[5000];
	off_t end, last;
	int fd;

	assert_int_equal(write_and_die(s, 0, 10), 10);
	fd = open_volume(s, 1);
	end = journal_end(fd, &last);
	random_bytes(garbage, sizeof(garbage));
	assert_int_equal(pwrite(fd, garbage, sizeof(garbage), end), sizeof(garbage));
	close(fd);
	assert_int_equal(write_and_die(s, 10, 20), 10);
	remove_index(s);
	assert_opens(s, 20);
}

static void
an_old_copy_of_a_record_is_no_record(void **state)
{
	struct store *s = *state;
	uint8_t *copy = malloc(65536);
	off_t end, last;
	int fd;

	assert_int_equal(write_and_die(s, 0, 10), 10);
	fd = open_volume(s, 1);
	end = journal_end(fd, &last);
	assert_true(end < 65536);
	assert_int_equal(pread(fd, copy, (size_t)(end - FIRST_RECORD), FIRST_RECORD), end - FIRST_RECORD);
	assert_int_equal(pwrite(fd, copy, (size_t)(end - FIRST_RECORD), end), end - FIRST_RECORD);
	close(fd);
	free(copy);
	remove_index(s);
	assert_opens(s, 10);
}

static void
damage_before_a_later_group_is_refused(void **state)
{
	static const off_t places[] = {FIRST_RECORD + 2, FIRST_RECORD + HEADER + 100,
		FIRST_RECORD + HEADER + PAYLOAD + 4, FIRST_RECORD + HEADER + PAYLOAD + 8 + HEADER + 3};
	struct store *s = *state;

	assert_int_equal(write_and_die(s, 0, 10), 10);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		remove_index(s);
		flip(open_volume(s, 1), places[i]);
		assert_int_equal(open_store(s), RFS_ERR_DAMAGED);
		flip(open_volume(s, 1), places[i]);
	}
	remove_index(s);
	assert_opens(s, 10);
}

static void
damage_in_a_volume_with_a_successor_is_refused(void **state)
{
	struct store *s = *state;
	off_t end, last;
	int fd;

	assert_int_equal(write_and_die(s, 0, 10), 10);
	assert_int_equal(write_and_die(s, 10, 12), 2); /* in a new volume */
	remove_index(s);
	fd = open_volume(s, 1);
	end = journal_end(fd, &last);
	flip(fd, end - 20); /* the last group: only the successor's superblock knows that it was whole */
	assert_int_equal(open_store(s), RFS_ERR_DAMAGED);
}

static void
a_damaged_superblock_and_a_missing_volume_are_refused(void **state)
{
	struct store *s = *state;
	char path[400];

	assert_int_equal(write_and_die(s, 0, 10), 10);
	flip(open_volume(s, 1), 40);
	assert_int_equal(open_store(s), RFS_ERR_DAMAGED);
	flip(open_volume(s, 1), 40);
	flip(open_volume(s, 1), 2000);
	assert_int_equal(open_store(s), RFS_ERR_DAMAGED);
	flip(open_volume(s, 1), 2000);
	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_store(s), RFS_ERR_DAMAGED);
}

static void
a_damaged_block_is_never_returned(void **state)
{
	struct store *s = *state;
	struct block_location at;
	struct slice payload;
	struct row row;

	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(write_one(s, 0), RFS_OK);
	row = test_get(s, BUCKET, TABLE_ROWS, "00000000");
	memcpy(at.bytes, row.value.data + 1, sizeof(at.bytes));
	flip(open_volume(s, 1), FIRST_RECORD + HEADER + 1000);
	assert_int_equal(s->drivers.storage->ops->get(s->drivers.storage, &s->rq, BUCKET, 100, &at, 0, PAYLOAD, &payload),
		RFS_ERR_DAMAGED);
	flip(open_volume(s, 1), FIRST_RECORD + HEADER + 1000);
	assert_int_equal(s->drivers.storage->ops->get(s->drivers.storage, &s->rq, BUCKET, 101, &at, 0, PAYLOAD, &payload),
		RFS_ERR_DAMAGED);
	assert_int_equal(
		s->drivers.storage->ops->get(s->drivers.storage, &s->rq, BUCKET, 100, &at, 0, PAYLOAD, &payload), RFS_OK);
	slice_unref(&payload);
	close_store(s);
}

static void
a_store_is_opened_once(void **state)
{
	struct store *s = *state, other = *s;

	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(open_store(&other), RFS_ERR_LOCKED);
	close_store(s);
	assert_int_equal(open_store(&other), RFS_OK);
	close_store(&other);
}

static void
a_clean_close_goes_on_in_the_same_volume(void **state)
{
	struct store *s = *state;
	char path[400];
	struct stat st;

	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(open_store(s), RFS_OK);
		assert_int_equal(write_one(s, i), RFS_OK);
		close_store(s);
		/* It ends where it was written to, in whole pages: nothing that was zeroed ahead has to be read at the
		 * next open. */
		snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, 1);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size % PAGE_BYTES, 0);
		assert_in_range(
			st.st_size, SUPERBLOCK_BYTES + (i + 1) * PAYLOAD, SUPERBLOCK_BYTES + (i + 2) * 2 * PAGE_BYTES);
	}
	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, 2);
	assert_int_not_equal(access(path, F_OK), 0);
	remove_index(s);
	assert_opens(s, 5);
}

static void
an_interrupted_creation_leaves_nothing(void **state)
{
	struct store *s = *state;
	char path[400];
	int fd;

	assert_int_equal(write_and_die(s, 0, 3), 3);
	snprintf(path, sizeof(path), "%s/volumes/%016x.tmp", s->directory, 2);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_int_equal(write(fd, path, 100), 100);
	close(fd);
	assert_int_equal(open_store(s), RFS_OK);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_store(s, 3);
	close_store(s);
}

/* Rows, counter and feed agree, and everything acknowledged is among them. */
static void
assert_storm(struct store *s, const unsigned *acknowledged, size_t count)
{
	struct row_page rows, feed;
	struct block_location at;
	struct slice payload;
	char name[16];
	struct row row;

	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%08u", acknowledged[i]);
		row = test_get(s, BUCKET, TABLE_ROWS, name);
		assert_true(row.found);
		memcpy(at.bytes, row.value.data + 1, sizeof(at.bytes));
		assert_int_equal(s->drivers.storage->ops->get(
					 s->drivers.storage, &s->rq, BUCKET, 100 + acknowledged[i], &at, 0, PAYLOAD, &payload),
			RFS_OK);
		slice_unref(&payload);
	}
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_ROWS, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_ROWS + 1, ""), 1000000, false, &rows),
		RFS_OK);
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_FEED, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_FEED + 1, ""), 1000000, false, &feed),
		RFS_OK);
	assert_true(rows.count >= count);
	assert_int_equal(feed.count, rows.count);
	assert_int_equal(test_counter(s, BUCKET, "n"), rows.count);
	for (size_t i = 0; i < feed.count; i++)
		assert_int_equal(load_be64(feed.rows[i].key.data + 9), i + 1);
}

static void
a_killed_storm_of_writers_keeps_its_promises(void **state)
{
	struct store *s = *state;
	unsigned *acknowledged = calloc(1000000, sizeof(*acknowledged));
	char first[16], pipe_end[16];
	size_t count = 0;
	int fds[2], status;
	pid_t pid;

	for (unsigned round = 0; round < 4; round++) {
		assert_int_equal(pipe(fds), 0);
		snprintf(first, sizeof(first), "%u", 10000000 * (round + 1));
		snprintf(pipe_end, sizeof(pipe_end), "%d", fds[1]);
		pid = fork();
		if (pid == 0) {
			execl("/proc/self/exe", "test_recovery", "storm", s->directory, first, pipe_end, NULL);
			_exit(6);
		}
		close(fds[1]);
		for (size_t until = count + 150 + 37 * round; count < until; count++)
			assert_int_equal(
				read(fds[0], &acknowledged[count], sizeof(*acknowledged)), sizeof(*acknowledged));
		kill(pid, SIGKILL);
		while (read(fds[0], &acknowledged[count], sizeof(*acknowledged)) == sizeof(*acknowledged))
			count++;
		close(fds[0]);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		if (round & 1)
			remove_index(s);
		assert_int_equal(open_store(s), RFS_OK);
		assert_storm(s, acknowledged, count);
		close_store(s);
	}
	free(acknowledged);
}

/* The limit on a file's size stands for a full disk: the journal cannot grow. */
static void
a_full_disk_refuses_writes_until_there_is_room(void **state)
{
	struct store *s = *state;
	struct rlimit before, small;
	unsigned written = 0;
	enum rfs_err err;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 600 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	/* A refusal may be of the room that was wanted ahead: a few in a row are of this batch's. */
	for (unsigned refused = 0; refused < 3 && written < 1000;) {
		err = write_one(s, written);
		assert_true(err == RFS_OK || err == RFS_ERR_NO_SPACE);
		refused = err ? refused + 1 : 0;
		written += !err;
	}
	assert_true(written < 1000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(written > 10);
	assert_store(s, written);
	assert_int_equal(write_one(s, written), RFS_OK);
	assert_store(s, written + 1);
	close_store(s);
	remove_index(s);
	assert_opens(s, written + 1);
}

static void
a_failed_write_poisons_the_store_until_it_is_opened_again(void **state)
{
	struct store *s = *state;
	struct metadata_info info;
	int full;

	assert_int_equal(open_store(s), RFS_OK);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(write_one(s, i), RFS_OK);
	full = open("/dev/full", O_RDWR);
	assert_true(dup2(full, ((struct embedded *)(void *)s->drivers.metadata)->journal.fd) >= 0);
	close(full);
	assert_int_equal(write_one(s, 5), RFS_ERR_POISONED);
	assert_int_equal(write_one(s, 6), RFS_ERR_POISONED);
	s->drivers.metadata->ops->info(s->drivers.metadata, &info);
	assert_true(info.poisoned);
	assert_string_equal(info.failed, "writing the journal");
	assert_store(s, 5);
	close_store(s);
	assert_int_equal(open_store(s), RFS_OK);
	assert_store(s, 5);
	assert_int_equal(write_one(s, 5), RFS_OK);
	assert_store(s, 6);
	close_store(s);
}

int
main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_acknowledged_survives_a_killed_process),
		TEST(a_lost_index_is_rebuilt_from_the_journal),
		TEST(an_older_index_is_brought_up_to_date),
		TEST(a_torn_last_group_was_never_there),
		TEST(a_group_whose_first_page_is_missing_was_never_there),
		TEST(garbage_behind_the_end_is_ignored),
		TEST(an_old_copy_of_a_record_is_no_record),
		TEST(damage_before_a_later_group_is_refused),
		TEST(damage_in_a_volume_with_a_successor_is_refused),
		TEST(a_damaged_superblock_and_a_missing_volume_are_refused),
		TEST(a_damaged_block_is_never_returned),
		TEST(a_store_is_opened_once),
		TEST(a_clean_close_goes_on_in_the_same_volume),
		TEST(an_interrupted_creation_leaves_nothing),
		TEST(a_killed_storm_of_writers_keeps_its_promises),
		TEST(a_full_disk_refuses_writes_until_there_is_room),
		TEST(a_failed_write_poisons_the_store_until_it_is_opened_again),
	};

	/* The refusals are errors in the log; here they are the point. */
	log_init(getenv("RESTFS_TEST_LOG") ? LOG_DEBUG : LOG_ERROR, LOG_TEXT,
		getenv("RESTFS_TEST_LOG") ? 2 : open("/dev/null", O_WRONLY));
	if (argc == 5)
		return storm_main(argv);
	if (argc == 6)
		return child_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
