/* journal_help.h: what tests of recovery share: stores whose batches are numbered, children that end without closing,
 * and damage. */
#ifndef TESTS_UNIT_DRIVERS_JOURNAL_HELP_H
#define TESTS_UNIT_DRIVERS_JOURNAL_HELP_H

#include "driver_help.h"
#include "drivers/embedded/embedded_int.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BUCKET 5
#define PAYLOAD 3000

static inline int
setup(void **state)
{
	struct store *s = calloc(1, sizeof(*s));

	store_init(s, "1M");
	*state = s;
	return 0;
}

static inline int
teardown(void **state)
{
	store_fini(*state);
	free(*state);
	return 0;
}

static char open_error[512]; /* of the last open_store */

static inline enum rfs_err
open_store(struct store *s)
{
	return embedded_open(&s->config, &s->drivers, open_error);
}

static inline void
close_store(struct store *s)
{
	s->drivers.metadata->ops->close(s->drivers.metadata);
}

static inline void
fill(uint8_t *out, unsigned i)
{
	for (size_t k = 0; k < PAYLOAD; k++)
		out[k] = (uint8_t)(i * 13 + k * 7);
}

/* Batch i: a row with a block, a counter, a feed row. */
static inline enum rfs_err
write_one(struct store *s, unsigned i)
{
	struct batch *b = batch_new(BUCKET);
	struct slice payload = slice_new(PAYLOAD);
	struct batch_block block = {.number = 100 + i, .parts = &payload, .part_count = 1, .len = PAYLOAD};
	char name[16];
	enum rfs_err err;

	fill(slice_writable(&payload), i);
	snprintf(name, sizeof(name), "%08u", i);
	batch_blocks(b, test_key(b->arena, BUCKET, TABLE_ROWS, name), bytes_str("v"), &block, 1);
	batch_add(b, test_key(b->arena, BUCKET, TABLE_COUNTERS, "n"), 1);
	batch_append(b, test_key(b->arena, BUCKET, TABLE_FEED, ""), bytes_str(name));
	slice_unref(&payload);
	err = test_commit(s, b);
	batch_free(b);
	return err;
}

/* The child: this program again, since threads do not survive a fork. Ends like a killed process. */
static inline int
child_main(char **argv)
{
	unsigned from = (unsigned)atoi(argv[3]), to = (unsigned)atoi(argv[4]);
	int fd = atoi(argv[5]);
	struct store s = {.rq = {.may_block = true}};
	char error[512];

	config_init(&s.config);
	if (!config_set(&s.config, "data", argv[2], error) ||
		!config_set(&s.config, "journal.volume_bytes", "1M", error) || open_store(&s))
		_exit(9);
	for (unsigned i = from; i < to; i++)
		if (write_one(&s, i) || write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(8);
	_exit(7);
}

/* A child writes [from, to) and ends without closing; how many it was told are durable. */
static inline unsigned
write_and_die(struct store *s, unsigned from, unsigned to)
{
	char first[16], last[16], pipe_end[16];
	unsigned acknowledged = 0, i;
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	snprintf(first, sizeof(first), "%u", from);
	snprintf(last, sizeof(last), "%u", to);
	snprintf(pipe_end, sizeof(pipe_end), "%d", fds[1]);
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "test_recovery", "child", s->directory, first, last, pipe_end, NULL);
		_exit(6);
	}
	close(fds[1]);
	while (read(fds[0], &i, sizeof(i)) == sizeof(i)) {
		assert_int_equal(i, from + acknowledged);
		acknowledged++;
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	return acknowledged;
}

static inline void
assert_block(struct store *s, const struct block_location *at, unsigned i)
{
	uint8_t expected[PAYLOAD];
	struct slice payload;

	assert_int_equal(
		s->drivers.storage->ops->get(s->drivers.storage, &s->rq, BUCKET, 100 + i, at, 0, PAYLOAD, &payload), RFS_OK);
	fill(expected, i);
	assert_memory_equal(payload.data, expected, PAYLOAD);
	slice_unref(&payload);
}

/* Batches [0, count) are there, whole but for blocks in volumes below `first_volume`, and nothing else. */
static inline void
assert_store_from(struct store *s, unsigned count, uint64_t first_volume)
{
	struct block_location at;
	struct row_page page;
	char name[16];
	struct row row;

	for (unsigned i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%08u", i);
		row = test_get(s, BUCKET, TABLE_ROWS, name);
		assert_true(row.found);
		assert_int_equal(row.serial, i + 1);
		memcpy(at.bytes, row.value.data + 1, sizeof(at.bytes));
		if (load_u32(at.bytes) >= first_volume)
			assert_block(s, &at, i);
	}
	assert_int_equal(test_counter(s, BUCKET, "n"), count);
	assert_int_equal(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq,
				 test_key(s->rq.arena, BUCKET, TABLE_FEED, ""),
				 test_key(s->rq.arena, BUCKET, TABLE_FEED + 1, ""), 100000, false, &page),
		RFS_OK);
	assert_int_equal(page.count, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(load_u64(page.rows[i].value.data + 8), i);
}

static inline void
assert_store(struct store *s, unsigned count)
{
	assert_store_from(s, count, 0);
}

/* Opens with these, and is closed. */
static inline void
assert_opens(struct store *s, unsigned count)
{
	assert_int_equal(open_store(s), RFS_OK);
	assert_store(s, count);
	close_store(s);
}

static inline void
remove_index(struct store *s)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/index", s->directory);
	remove_tree(path);
}

/* A command, in the directory of the store. */
static inline void
shell(struct store *s, const char *format, ...)
{
	char command[600];
	va_list args;
	int len = snprintf(command, sizeof(command), "cd %s && ", s->directory);

	va_start(args, format);
	vsnprintf(command + len, sizeof(command) - (size_t)len, format, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

static inline void
flip(int fd, off_t at)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x40;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

#endif
