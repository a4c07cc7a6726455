/* test_salvage.c: from a store that is damaged in any way, what can be read comes back under its keys, what cannot is
 * told, nothing else is there, and its files stay as they were. */
#include "journal_help.h"
#include <dirent.h>
#include <glob.h>

#define ROUNDS 12
#define LARGE_ROWS 30

static struct buf notes; /* the names of what was told */

static void
note(void *data, const char *name, const char *text)
{
	if (getenv("RESTFS_TEST_LOG"))
		fprintf(stderr, "%s: %s\n", name, text);
	buf_put_str(&notes, name);
	buf_put_str(&notes, " ");
}

static bool
was_told(const char *name)
{
	buf_u8(&notes, 0);
	notes.len--;
	return strstr((const char *)notes.data, name) != NULL;
}

/* The store is open after it. */
static void
salvage_and_open(struct store *s)
{
	struct salvage *salvage;
	char kept[4096], error[512];
	enum rfs_err err;

	notes.len = 0;
	err = salvage_begin(&s->config, NULL, note, NULL, &salvage, &s->drivers, error);
	if (err)
		fail_msg("%s", error);
	err = salvage_end(salvage, true, kept, error);
	if (err)
		fail_msg("%s", error);
	assert_int_equal(access(kept, F_OK), 0);
	if (open_store(s))
		fail_msg("%s", open_error);
}

static int
volume_to_damage(struct store *s, unsigned number, off_t *size)
{
	char path[400];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, number);
	chmod(path, 0600);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	*size = st.st_size;
	return fd;
}

static void
write_store(struct store *s, unsigned count)
{
	assert_int_equal(open_store(s), RFS_OK);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(write_one(s, i), RFS_OK);
	close_store(s);
}

/*
 * Of batches [0, count): rows that are there have their serial, and their block its bytes or none. How many there are.
 * What is missing was told of, but for the last ones: nothing may be left that knows of those.
 */
static unsigned
assert_part(struct store *s, unsigned count, unsigned *blocks)
{
	uint8_t expected[PAYLOAD];
	unsigned found = 0, after_last = 0;

	*blocks = 0;
	for (unsigned i = 0; i < count; i++) {
		struct block_location at;
		struct slice payload;
		char name[16];
		struct row row;

		arena_reset(s->rq.arena);
		snprintf(name, sizeof(name), "%08u", i);
		row = test_get(s, BUCKET, TABLE_ROWS, name);
		if (!row.found) {
			if (getenv("RESTFS_TEST_LOG"))
				fprintf(stderr, "batch %u is not there\n", i);
			continue;
		}
		found++;
		after_last = i + 1;
		assert_int_equal(row.serial, i + 1);
		memcpy(at.bytes, row.value.data + 1, sizeof(at.bytes));
		if (s->drivers.storage->ops->get(s->drivers.storage, &s->rq, BUCKET, 100 + i, &at, 0, PAYLOAD, &payload))
			continue;
		fill(expected, i);
		assert_memory_equal(payload.data, expected, PAYLOAD);
		slice_unref(&payload);
		(*blocks)++;
	}
	if (found < after_last)
		assert_true(was_told("lost"));
	return found;
}

/* The sealer works in the background. */
static bool
becomes_sealed(struct store *s, unsigned number)
{
	char path[400];
	struct stat st;

	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, number);
	for (int tries = 0; tries < 3000; tries++) {
		assert_int_equal(stat(path, &st), 0);
		if ((st.st_mode & 0777) == 0400)
			return true;
		sleep_ns(10000000);
	}
	return false;
}

static void
a_whole_store_loses_nothing(void **state)
{
	struct store *s = *state;
	struct checkpoint_info info;

	write_store(s, 400);
	for (int with_checkpoint = 0; with_checkpoint < 2; with_checkpoint++) {
		salvage_and_open(s);
		assert_int_equal(notes.len, 0);
		assert_store(s, 400);
		assert_true(becomes_sealed(s, 2)); /* the last one that was; so it can be compacted */
		assert_int_equal(
			s->drivers.metadata->ops->checkpoint(s->drivers.metadata, &s->rq, NULL, NULL, &info), RFS_OK);
		close_store(s);
	}
	remove_index(s); /* what salvage left is a whole store */
	assert_int_equal(open_store(s), RFS_OK);
	assert_store(s, 400);
	assert_int_equal(write_one(s, 400), RFS_OK);
	close_store(s);
	remove_index(s);
	assert_int_equal(open_store(s), RFS_OK);
	assert_store(s, 401);
	close_store(s);
}

static void
a_lost_superblock_is_made_again(void **state)
{
	static const uint8_t zeros[SUPERBLOCK_BYTES];
	struct store *s = *state;
	char before[300];
	off_t size;

	write_store(s, 400); /* two volumes */
	for (unsigned n = 1; n <= 2; n++) {
		int fd = volume_to_damage(s, n, &size);

		assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
		close(fd);
	}
	shell(s, "cksum volumes/* > before");
	salvage_and_open(s);
	assert_true(was_told("volume-repaired"));
	assert_false(was_told("lost"));
	assert_store(s, 400);
	close_store(s);
	/* The files that it was made from are as they were. */
	snprintf(before, sizeof(before), "cd damaged-1 && cksum volumes/* | diff - ../before");
	shell(s, "%s", before);
}

static void
volumes_are_known_by_what_is_in_them(void **state)
{
	struct store *s = *state, other;

	store_init(&other, "1M");
	write_store(&other, 10);
	write_store(s, 700); /* three volumes */
	shell(s, "cp %s/volumes/0000000000000001.vol volumes/0000000000000009.vol", other.directory);
	shell(s, "cd volumes && mv *1.vol x && mv *2.vol 0000000000000001.vol && mv x 0000000000000002.vol && "
		 "mv *3.vol holiday.jpg && echo hello > README && cp README 0000000000000003.vol && mkdir "
		 "0000000000000004.vol && dd if=/dev/urandom of=0000000000000005.vol bs=10000 count=1 2>/dev/null");
	salvage_and_open(s);
	assert_true(was_told("file-foreign"));
	assert_true(was_told("volume-renamed"));
	assert_false(was_told("batches-lost"));
	assert_store(s, 700);
	close_store(s);
	store_fini(&other);
}

/* The id of a store, from a volume of it. */
static char *
store_id(struct store *s, char out[33])
{
	uint8_t id[16];
	off_t size;
	int fd = volume_to_damage(s, 1, &size);

	assert_int_equal(pread(fd, id, sizeof(id), 16), sizeof(id));
	close(fd);
	hex_encode(bytes_of(id, sizeof(id)), out);
	return out;
}

/* Whether there is an index or not, and however many they are. */
static void
files_of_another_store_are_not_taken_for_it(void **state)
{
	struct store *s = *state, other;

	store_init(&other, "1M");
	write_store(&other, 1000);
	write_store(s, 400);
	for (int without_index = 0; without_index < 2; without_index++) {
		shell(s, "for f in %s/volumes/*; do cp $f volumes/copied-$(basename $f); done", other.directory);
		if (without_index)
			remove_index(s);
		salvage_and_open(s);
		assert_true(was_told("file-foreign"));
		assert_false(was_told("lost"));
		assert_store(s, 400);
		close_store(s);
	}
	store_fini(&other);
}

/* All of them are under right names: the index knows, or who calls, else it is not done. */
static void
of_two_stores_none_is_guessed(void **state)
{
	struct store *s = *state, other;
	struct salvage *salvage;
	char error[512], kept[4096], id[33];

	store_init(&other, "1M");
	write_store(&other, 1000);
	write_store(s, 400);
	shell(s, "rm volumes/*2.vol && cp -n %s/volumes/* volumes", other.directory);
	salvage_and_open(s);
	assert_true(was_told("file-foreign"));
	close_store(s);
	shell(s, "rm -r volumes index && mv damaged-1/volumes . && rm -r damaged-1 && ls -l volumes > before");
	notes.len = 0;
	assert_int_equal(salvage_begin(&s->config, NULL, note, NULL, &salvage, &s->drivers, error), RFS_ERR_CONFLICT);
	assert_true(was_told("store-found"));
	assert_non_null(strstr(error, "--store"));
	shell(s, "test ! -e salvage && ls -l volumes | cmp - before");
	assert_int_equal(
		salvage_begin(&s->config, "x", note, NULL, &salvage, &s->drivers, error), RFS_ERR_INVALID_PARAMS);
	assert_int_equal(
		salvage_begin(&s->config, "00000000000000000000000000000000", note, NULL, &salvage, &s->drivers, error),
		RFS_ERR_NOT_FOUND);
	assert_int_equal(salvage_begin(&s->config, store_id(s, id), note, NULL, &salvage, &s->drivers, error), RFS_OK);
	assert_int_equal(salvage_end(salvage, true, kept, error), RFS_OK);
	assert_int_equal(open_store(s), RFS_OK);
	assert_true(test_get(s, BUCKET, TABLE_ROWS, "00000000").found);
	assert_false(test_get(s, BUCKET, TABLE_ROWS, "00000999").found);
	close_store(s);
	store_fini(&other);
}

/* One copy is cut, or has flipped bits, or no superblock; the other is whole, whatever its name. */
static void
of_two_copies_of_a_volume_the_better_one_is_taken(void **state)
{
	static const char *const damages[] = {"truncate -s 8192 volumes/*1.vol",
		"printf x | dd of=volumes/0000000000000001.vol bs=1 seek=200000 conv=notrunc 2>/dev/null",
		"truncate -s 90000 volumes/copy && "
		"dd if=/dev/zero of=volumes/0000000000000001.vol bs=4096 count=1 conv=notrunc 2>/dev/null"};
	struct store *s = *state;

	write_store(s, 400);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		shell(s, "cd volumes && cp *1.vol copy && chmod 600 *");
		shell(s, "%s", damages[i]);
		salvage_and_open(s);
		assert_false(was_told("lost"));
		assert_false(was_told("volume-damaged"));
		assert_store(s, 400);
		close_store(s);
		shell(s, "rm -r damaged-1");
	}
}

/* As a disk's image may be, or what a file system check left. */
static void
holes_of_any_size_are_passed_over(void **state)
{
	struct store *s = *state;

	write_store(s, 400);
	shell(s, "chmod 600 volumes/*; truncate -s 1T volumes/0000000000000099.vol; truncate -s 256G volumes/*2.vol && "
		 "dd if=/dev/zero of=volumes/0000000000000001.vol bs=4096 count=1 conv=notrunc 2>/dev/null && "
		 "truncate -s 256G volumes/*1.vol");
	salvage_and_open(s);
	assert_true(was_told("volume-lost"));
	assert_true(was_told("volume-repaired"));
	assert_false(was_told("volume-damaged"));
	assert_false(was_told("batches-lost"));
	assert_true(becomes_sealed(s, 2));
	assert_store(s, 400);
	close_store(s);
}

static void
a_damaged_batch_is_left_out(void **state)
{
	static const off_t batch = RECORD_HEADER_BYTES + PAYLOAD + 8,
			   places[] = {2, RECORD_HEADER_BYTES + PAYLOAD + 8 + 20,
				   RECORD_HEADER_BYTES + PAYLOAD + 8 + RECORD_HEADER_BYTES + 30};
	struct store *s = *state;
	unsigned blocks, found;
	off_t size, commit = batch;

	write_store(s, 60);
	/* A header of a block: its row is there, its bytes are not. Of a COMMIT, or in it: all of the batch is not. */
	while (commit % 8)
		commit++;
	for (size_t i = 0; i < 3; i++) {
		int fd = volume_to_damage(s, 1, &size);

		flip(fd, SUPERBLOCK_BYTES + places[i]);
		salvage_and_open(s);
		found = assert_part(s, 60, &blocks);
		assert_int_equal(found, i == 0 ? 60 : 59);
		assert_int_equal(blocks, 59);
		assert_int_equal(was_told("batches-lost"), i != 0);
		assert_int_equal(test_counter(s, BUCKET, "n"), found);
		assert_int_equal(write_one(s, 60), RFS_OK); /* it goes on with serials */
		close_store(s);
		fd = volume_to_damage(s, 1, &size);
		flip(fd, SUPERBLOCK_BYTES + places[i]);
		shell(s, "rm -r volumes index && mv damaged-1/volumes . && rm -r damaged-1");
	}
}

static void
missing_and_cut_volumes_are_told(void **state)
{
	struct store *s = *state;
	unsigned blocks;
	off_t size;
	int fd;

	write_store(s, 1000); /* four volumes or more */
	shell(s, "rm volumes/*2.vol");
	fd = volume_to_damage(s, 3, &size);
	assert_int_equal(ftruncate(fd, size / 2 / 8 * 8 + 5), 0);
	close(fd);
	salvage_and_open(s);
	assert_true(was_told("batches-lost"));
	assert_in_range(assert_part(s, 1000, &blocks), 400, 620);
	close_store(s);
}

/* Only the index that was knows that there was more. */
static void
assert_cut_is_told(struct store *s, bool without_superblock)
{
	static const uint8_t zeros[SUPERBLOCK_BYTES];
	unsigned blocks;
	off_t size, last;
	int fd;

	write_store(s, 20);
	fd = volume_to_damage(s, 1, &size);
	last = SUPERBLOCK_BYTES + (off_t)record_bytes(PAYLOAD) * 12;
	assert_int_equal(ftruncate(fd, last), 0);
	if (without_superblock)
		assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
	close(fd);
	salvage_and_open(s);
	assert_true(was_told("batches-lost"));
	assert_int_equal(was_told("volume-repaired"), without_superblock);
	assert_in_range(assert_part(s, 20, &blocks), 8, 12);
	assert_int_equal(write_one(s, 20), RFS_OK);
	close_store(s);
}

static void
a_journal_cut_short_is_told(void **state)
{
	assert_cut_is_told(*state, false);
}

static void
a_journal_cut_short_without_any_superblock_is_told(void **state)
{
	assert_cut_is_told(*state, true);
}

/* Rows of 100 KB, so that a checkpoint has several records. */
static void
rows_of_a_damaged_checkpoint_come_back(void **state)
{
	static char value[100000];
	struct store *s = *state;
	struct checkpoint_info info;
	unsigned found = 0;
	char name[16], path[400];
	struct stat st;

	memset(value, 'x', sizeof(value) - 1);
	assert_int_equal(open_store(s), RFS_OK);
	for (unsigned i = 0; i < LARGE_ROWS; i++) {
		snprintf(name, sizeof(name), "large%02u", i);
		test_put(s, BUCKET, name, value);
	}
	assert_int_equal(s->drivers.metadata->ops->checkpoint(s->drivers.metadata, &s->rq, NULL, NULL, &info), RFS_OK);
	test_put(s, BUCKET, "large03", "replaced");
	close_store(s);
	for (uint64_t n = 1; n < info.volume; n++)
		shell(s, "rm volumes/%016llx.vol", (unsigned long long)n);
	snprintf(path, sizeof(path), "%s/volumes/%016llx.checkpoint", s->directory, (unsigned long long)info.number);
	chmod(path, 0600);
	assert_int_equal(stat(path, &st), 0);
	flip(open(path, O_RDWR), st.st_size / 2);
	salvage_and_open(s);
	assert_true(was_told("checkpoint-damaged"));
	assert_true(was_told("rows-lost"));
	for (unsigned i = 0; i < LARGE_ROWS; i++) {
		snprintf(name, sizeof(name), "large%02u", i);
		struct row row = test_get(s, BUCKET, TABLE_ROWS, name);

		if (i == 3)
			assert_true(row.found && bytes_equal_str(row.value, "replaced"));
		else if (row.found)
			assert_int_equal(row.value.len, sizeof(value) - 1);
		found += row.found;
	}
	assert_in_range(found, 10, LARGE_ROWS - 5);
	close_store(s);
}

static void
what_is_no_store_is_left_alone(void **state)
{
	struct store *s = *state;
	struct salvage *salvage;
	char error[512];

	assert_int_equal(salvage_begin(&s->config, NULL, note, NULL, &salvage, &s->drivers, error), RFS_ERR_NOT_FOUND);
	shell(s, "mkdir volumes && echo nothing > volumes/0000000000000001.vol");
	assert_int_equal(salvage_begin(&s->config, NULL, note, NULL, &salvage, &s->drivers, error), RFS_ERR_NOT_FOUND);
	assert_int_not_equal(error[0], 0);
	shell(s, "test \"$(ls volumes)\" = 0000000000000001.vol && test ! -e salvage");
}

/* The process ended at one step or another of the last ones. */
static void
an_interrupted_end_is_made_up_for(void **state)
{
	struct store *s = *state;
	struct salvage *salvage;
	char kept[4096], error[512];

	write_store(s, 50);
	for (int step = 0; step < 3; step++) {
		assert_int_equal(salvage_begin(&s->config, NULL, note, NULL, &salvage, &s->drivers, error), RFS_OK);
		assert_int_equal(salvage_end(salvage, true, kept, error), RFS_OK);
		shell(s, "mkdir salvage && mv volumes index salvage");
		if (step == 1)
			shell(s, "rm -r salvage/index");
		if (step == 2)
			shell(s, "mv salvage/volumes . && rm -rf index");
		if (step < 2)
			assert_int_not_equal(open_store(s), RFS_OK);
		salvage_and_open(s);
		assert_store(s, 50);
		close_store(s);
		shell(s, "test ! -e salvage");
	}
}

/* One damage, of any kind, at any place. */
static void
damage_at_random(struct store *s, unsigned *seed)
{
	static uint8_t garbage[8192];
	char path[400];
	glob_t found;
	struct stat st;
	off_t at;
	int fd;

	snprintf(path, sizeof(path), "%s/volumes/*", s->directory);
	assert_int_equal(glob(path, 0, NULL, &found), 0);
	snprintf(path, sizeof(path), "%s", found.gl_pathv[(size_t)rand_r(seed) % found.gl_pathc]);
	chmod(path, 0600);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	at = st.st_size ? rand_r(seed) % st.st_size : 0;
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (uint8_t)rand_r(seed);
	switch (rand_r(seed) % 7) {
	case 0:
		assert_int_equal(ftruncate(fd, at), 0);
		break;
	case 1:
		memset(garbage, 0, sizeof(garbage)); /* fall through */
	case 2:
		assert_true(pwrite(fd, garbage, sizeof(garbage), at) > 0);
		break;
	case 3:
		assert_true(pwrite(fd, garbage, 4096, 0) > 0);
		break;
	case 4:
		if (found.gl_pathc > 1)
			unlink(path);
		break;
	case 5: /* two change places */
		if (strcmp(path, found.gl_pathv[0]) != 0)
			shell(s, "mv %s x && mv %s %s && mv x %s", path, found.gl_pathv[0], path, found.gl_pathv[0]);
		break;
	default:
		for (int i = 0; i < 5 && st.st_size; i++)
			assert_int_equal(pwrite(fd, garbage + i, 1, rand_r(seed) % st.st_size), 1);
	}
	close(fd);
	globfree(&found);
}

static void
random_damage_never_invents_anything(void **state)
{
	const char *wanted = getenv("RESTFS_ROUNDS");
	unsigned rounds = wanted ? (unsigned)atoi(wanted) : ROUNDS, blocks, found;
	unsigned seed = getenv("RESTFS_SEED") ? (unsigned)strtoul(getenv("RESTFS_SEED"), NULL, 10)
			: wanted              ? (unsigned)clock_wall_ns() & ~1u
					      : 2;
	struct store *s = *state;
	struct checkpoint_info info;
	struct salvage *salvage;
	char error[512];
	enum rfs_err err;

	assert_int_equal(write_and_die(s, 0, 350), 350);
	assert_int_equal(open_store(s), RFS_OK);
	assert_int_equal(s->drivers.metadata->ops->checkpoint(s->drivers.metadata, &s->rq, NULL, NULL, &info), RFS_OK);
	close_store(s);
	assert_int_equal(write_and_die(s, 350, 500), 150);
	shell(s, "mv volumes whole && rm -r index");
	for (unsigned round = 0; round < rounds; round++) {
		unsigned round_seed = seed + round;
		bool is_without_checkpoint = round_seed % 2;

		print_message("round %u: seed %u\n", round, round_seed);
		shell(s, "rm -rf volumes index damaged-* salvage && cp -r whole volumes");
		for (int i = rand_r(&round_seed) % 3; i >= 0; i--)
			damage_at_random(s, &round_seed);
		if (is_without_checkpoint)
			shell(s, "cd volumes && rm -f *.checkpoint");
		notes.len = 0;
		err = salvage_begin(&s->config, NULL, note, NULL, &salvage, &s->drivers, error);
		if (err == RFS_ERR_NOT_FOUND) /* no volume is left */
			continue;
		if (err)
			fail_msg("%s", error);
		found = assert_part(s, 500, &blocks);
		assert_int_equal(salvage_end(salvage, false, (char[4096]){0}, error), RFS_OK);
		salvage_and_open(s);
		assert_int_equal(assert_part(s, 500, &blocks), found);
		close_store(s);
	}
}

int
main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_whole_store_loses_nothing),
		TEST(a_lost_superblock_is_made_again),
		TEST(volumes_are_known_by_what_is_in_them),
		TEST(files_of_another_store_are_not_taken_for_it),
		TEST(of_two_stores_none_is_guessed),
		TEST(of_two_copies_of_a_volume_the_better_one_is_taken),
		TEST(holes_of_any_size_are_passed_over),
		TEST(a_damaged_batch_is_left_out),
		TEST(missing_and_cut_volumes_are_told),
		TEST(a_journal_cut_short_is_told),
		TEST(a_journal_cut_short_without_any_superblock_is_told),
		TEST(rows_of_a_damaged_checkpoint_come_back),
		TEST(what_is_no_store_is_left_alone),
		TEST(an_interrupted_end_is_made_up_for),
		TEST(random_damage_never_invents_anything),
	};
	int failed;

	log_init(getenv("RESTFS_TEST_LOG") ? LOG_DEBUG : LOG_ERROR, LOG_TEXT,
		getenv("RESTFS_TEST_LOG") ? 2 : open("/dev/null", O_WRONLY));
	if (argc == 6)
		return child_main(argv);
	buf_init(&notes, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_fini(&notes);
	return failed;
}
