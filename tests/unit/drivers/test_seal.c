/* test_seal.c: a volume that is full, or was left, gets an index of exactly its blocks, which a torn or lost one is
 * made again from. */
#include "driver_help.h"
#include "drivers/embedded/embedded_int.h"
#include <fcntl.h>
#include <sys/stat.h>

#define BUCKET 5
#define BLOCKS 500 /* more than a volume of 1 MiB holds */
#define BLOCK_BYTES 3000
#define BULK_BYTES 300000
#define FIRST_BULK 9000

struct sealed {
	int fd;
	uint64_t size;
	mode_t mode; /* 0400 when the sealer is done with it */
	uint64_t generation;
	enum volume_kind kind;
	uint8_t *entries;
	size_t count;
};

static int
setup(void **state)
{
	struct store *s = calloc(1, sizeof(*s));
	char error[512];

	store_init(s, "1M");
	*state = s;
	return embedded_open(&s->config, &s->drivers, error);
}

static int
teardown(void **state)
{
	store_fini(*state);
	free(*state);
	return 0;
}

static void
close_store(struct store *s)
{
	s->drivers.metadata->ops->close(s->drivers.metadata);
}

static void
open_again(struct store *s)
{
	char error[512];

	assert_int_equal(embedded_open(&s->config, &s->drivers, error), RFS_OK);
}

static void
fill(uint8_t *out, size_t len, uint64_t number)
{
	for (size_t k = 0; k < len; k++)
		out[k] = (uint8_t)(number * 13 + k * 7);
}

static struct slice
pattern(size_t len, uint64_t number)
{
	struct slice s = slice_new(len);

	fill(slice_writable(&s), len, number);
	return s;
}

/* The i-th batch; numbers go down, so that their order is not that of the volume. */
static void
write_batch(struct store *s, unsigned i)
{
	struct batch *b = batch_new(BUCKET);
	uint64_t number = BLOCKS - i;
	struct slice payload = pattern(BLOCK_BYTES, number);
	struct batch_block block = {.number = number, .parts = &payload, .part_count = 1, .len = payload.len};
	char name[16];

	snprintf(name, sizeof(name), "%08u", i);
	batch_blocks(b, test_key(b->arena, BUCKET, TABLE_ROWS, name), bytes_str("v"), &block, 1);
	slice_unref(&payload);
	assert_int_equal(test_commit(s, b), RFS_OK);
	batch_free(b);
}

static void
write_journal(struct store *s)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		write_batch(s, i);
}

static void
write_bulk(struct store *s, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct slice payload = pattern(BULK_BYTES, FIRST_BULK + i);
		struct block_ticket ticket;

		assert_int_equal(s->drivers.storage->ops->put(
					 s->drivers.storage, &s->rq, BUCKET, FIRST_BULK + i, &payload, 1, &ticket),
			RFS_OK);
		assert_int_equal(s->drivers.storage->ops->wait(s->drivers.storage, &s->rq, &ticket, 1), RFS_OK);
		s->drivers.storage->ops->settle(s->drivers.storage, &ticket, 1);
		slice_unref(&payload);
	}
}

static void
open_volume(struct store *s, unsigned number, struct sealed *out)
{
	uint8_t bytes[SUPERBLOCK_BYTES];
	struct superblock super;
	struct stat st;
	char path[400];

	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, number);
	out->fd = open(path, O_RDWR);
	assert_true(out->fd >= 0);
	assert_int_equal(fstat(out->fd, &st), 0);
	assert_int_equal(pread(out->fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(superblock_decode(bytes, &super), RFS_OK);
	out->size = (uint64_t)st.st_size;
	out->mode = st.st_mode & 0777;
	out->generation = super.generation;
	out->kind = super.kind;
	out->entries = NULL;
	out->count = 0;
}

/* The sealer works in the background, while the store is open. */
static void
wait_for_seal(struct store *s, unsigned number, struct sealed *out)
{
	for (int tries = 0; tries < 3000; tries++) {
		open_volume(s, number, out);
		if (out->mode == 0400 &&
			seal_read(out->fd, out->size, out->generation, &out->entries, &out->count) == RFS_OK)
			return;
		close(out->fd);
		sleep_ns(10000000);
	}
	fail_msg("volume %u was not sealed", number);
}

static void
sealed_free(struct sealed *v)
{
	close(v->fd);
	free(v->entries);
}

/* Sorted, and each entry's bytes are where it says. */
static void
assert_entries(const struct sealed *v)
{
	static uint8_t expected[BULK_BYTES], bytes[BULK_BYTES];
	uint64_t last = 0;

	for (size_t i = 0; i < v->count; i++) {
		const uint8_t *entry = v->entries + i * SEAL_ENTRY_BYTES;
		uint64_t number = load_be64(entry + 8);
		uint32_t length = load_u32(entry + 24);

		assert_int_equal(load_be64(entry), BUCKET);
		assert_true(number > last);
		last = number;
		assert_int_equal(length, number >= FIRST_BULK ? BULK_BYTES : BLOCK_BYTES);
		fill(expected, length, number);
		assert_int_equal(pread(v->fd, bytes, length, (off_t)load_u64(entry + 16)), length);
		assert_memory_equal(bytes, expected, length);
	}
}

/* The volume of the block that the i-th batch wrote. */
static uint32_t
volume_of(struct store *s, size_t i)
{
	char name[16];
	struct row row;

	snprintf(name, sizeof(name), "%08zu", i);
	row = test_get(s, BUCKET, TABLE_ROWS, name);
	assert_true(row.found);
	return load_u32(row.value.data + 1);
}

static void
a_full_volume_gets_an_index_of_its_blocks(void **state)
{
	struct store *s = *state;
	struct sealed v;

	write_journal(s);
	wait_for_seal(s, 1, &v);
	assert_int_equal(v.kind, VOLUME_JOURNAL);
	assert_in_range(v.count, 200, BLOCKS - 1);
	assert_int_equal(load_be64(v.entries + (v.count - 1) * SEAL_ENTRY_BYTES + 8), BLOCKS);
	assert_entries(&v);
	/* None is left out: they are numbered without gaps, and the next one is in another volume. */
	assert_int_equal(load_be64(v.entries + 8), BLOCKS - v.count + 1);
	assert_int_equal(volume_of(s, v.count - 1), 1);
	assert_int_not_equal(volume_of(s, v.count), 1);
	sealed_free(&v);
	close_store(s);
}

static void
a_bulk_volume_is_sealed_at_the_next_open_gaps_and_all(void **state)
{
	static const uint8_t nothing[64];
	struct store *s = *state;
	struct sealed v;

	write_bulk(s, 3);
	close_store(s);
	open_volume(s, 2, &v);
	assert_int_equal(v.kind, VOLUME_BULK);
	/* The middle one was not synced when the power went: its header is not there. */
	assert_int_equal(pwrite(v.fd, nothing, sizeof(nothing), (off_t)(SUPERBLOCK_BYTES + record_bytes(BULK_BYTES))),
		sizeof(nothing));
	/* And a piece of one that was begun. */
	assert_int_equal(pwrite(v.fd, "garbage", 7, (off_t)v.size), 7);
	close(v.fd);
	open_again(s);
	wait_for_seal(s, 2, &v);
	assert_int_equal(v.count, 2);
	assert_int_equal(load_be64(v.entries + 8), FIRST_BULK);
	assert_int_equal(load_be64(v.entries + SEAL_ENTRY_BYTES + 8), FIRST_BULK + 2);
	assert_entries(&v);
	sealed_free(&v);
	close_store(s);
}

/* Cut off or flipped, it is no seal any more, and a new one is as the first. */
static void
a_torn_seal_is_made_again(void **state)
{
	struct store *s = *state;

	write_journal(s);
	for (int round = 0; round < 5; round++) {
		struct sealed v, again;
		uint64_t seal, places[5];
		uint32_t length;
		uint8_t byte;

		wait_for_seal(s, 1, &v);
		assert_true(seal_find(v.fd, v.size, v.generation, &seal, &length));
		close_store(s);
		memcpy(places, (uint64_t[]){seal + 10, seal + 40, v.size - 1, v.size - 9, v.size - 16}, sizeof(places));
		if (round % 2) {
			assert_int_equal(ftruncate(v.fd, (off_t)places[round]), 0);
		} else {
			assert_int_equal(pread(v.fd, &byte, 1, (off_t)places[round]), 1);
			byte ^= 8;
			assert_int_equal(pwrite(v.fd, &byte, 1, (off_t)places[round]), 1);
		}
		open_again(s);
		wait_for_seal(s, 1, &again);
		assert_int_equal(again.count, v.count);
		assert_int_equal(memcmp(again.entries, v.entries, v.count * SEAL_ENTRY_BYTES), 0);
		sealed_free(&again);
		sealed_free(&v);
	}
	close_store(s);
}

/* Its ends look like a seal; its bytes do not. */
static void
a_damaged_seal_is_not_believed(void **state)
{
	struct store *s = *state;
	struct sealed v;
	uint64_t seal;
	uint32_t length;
	uint8_t byte;

	write_journal(s);
	wait_for_seal(s, 1, &v);
	free(v.entries);
	assert_true(seal_find(v.fd, v.size, v.generation, &seal, &length));
	assert_int_equal(pread(v.fd, &byte, 1, (off_t)seal + 100), 1);
	byte ^= 8;
	assert_int_equal(pwrite(v.fd, &byte, 1, (off_t)seal + 100), 1);
	assert_int_equal(seal_read(v.fd, v.size, v.generation, &v.entries, &v.count), RFS_ERR_DAMAGED);
	close(v.fd);
	close_store(s);
}

static void
a_sealed_volume_without_its_successor_is_refused(void **state)
{
	struct store *s = *state;
	struct sealed v;
	char command[600], error[512];

	write_journal(s);
	wait_for_seal(s, 1, &v);
	sealed_free(&v);
	close_store(s);
	snprintf(command, sizeof(command),
		"cd %s && rm -r index && find volumes -name '*.vol' ! -name '*1.vol' -delete", s->directory);
	assert_int_equal(system(command), 0);
	assert_int_equal(embedded_open(&s->config, &s->drivers, error), RFS_ERR_DAMAGED);
	assert_non_null(strstr(error, "successor"));
}

/* A batch that needs a new volume of the journal, and is refused when the volume has begun. */
static void
begin_a_volume_in_vain(struct store *s)
{
	struct batch *b = batch_new(BUCKET);
	struct slice payload = pattern(BULK_BYTES, BLOCKS + 1);
	struct batch_block block = {.number = BLOCKS + 1, .parts = &payload, .part_count = 1, .len = payload.len};

	batch_blocks(b, test_key(b->arena, BUCKET, TABLE_ROWS, "refused"), bytes_str("v"), &block, 1);
	batch_expect(b, test_key(b->arena, BUCKET, TABLE_COUNTERS, "n"), 1, 5);
	slice_unref(&payload);
	assert_int_equal(test_commit(s, b), RFS_ERR_CONFLICT);
	batch_free(b);
}

static struct storage_volume
newest_volume(struct store *s)
{
	struct storage_driver *d = s->drivers.storage;
	struct storage_volume *list, newest;
	size_t count;

	assert_int_equal(d->volumes->list(d, &s->rq, &list, &count), RFS_OK);
	assert_true(count > 0);
	newest = list[count - 1];
	free(list);
	return newest;
}

static void
a_volume_without_a_batch_yet_can_be_sealed(void **state)
{
	struct store *s = *state;
	struct storage_volume before, begun;
	struct sealed v;

	write_batch(s, 0);
	begun = before = newest_volume(s);
	for (unsigned i = 1; i < BLOCKS && begun.number == before.number; i++) {
		write_batch(s, i);
		begin_a_volume_in_vain(s);
		begun = newest_volume(s);
	}
	assert_true(begun.number > before.number && begun.has_batches && !begun.sealed);
	assert_int_equal(s->drivers.storage->volumes->seal(s->drivers.storage, &s->rq, begun.number), RFS_OK);
	assert_true(newest_volume(s).number > begun.number);
	wait_for_seal(s, (unsigned)begun.number, &v);
	assert_int_equal(v.count, 0);
	sealed_free(&v);
	close_store(s);
}

/* Whoever put it there: it may be the only copy of something. */
static void
a_file_with_the_name_of_a_new_volume_is_not_written_over(void **state)
{
	struct store *s = *state;
	struct slice payload = pattern(BULK_BYTES, FIRST_BULK);
	struct block_ticket ticket;
	char path[400], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", s->directory, 2);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, "not a volume", 12), 12);
	assert_int_equal(
		s->drivers.storage->ops->put(s->drivers.storage, &s->rq, BUCKET, FIRST_BULK, &payload, 1, &ticket),
		RFS_ERR_IO);
	slice_unref(&payload);
	close(fd);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 12);
	assert_string_equal(text, "not a volume");
	close(fd);
	write_bulk(s, 1); /* the next one has another name */
	close_store(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_volume_gets_an_index_of_its_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bulk_volume_is_sealed_at_the_next_open_gaps_and_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_torn_seal_is_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_seal_is_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sealed_volume_without_its_successor_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_volume_without_a_batch_yet_can_be_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_file_with_the_name_of_a_new_volume_is_not_written_over, setup, teardown),
	};

	log_init(LOG_ERROR, LOG_TEXT, open("/dev/null", O_WRONLY));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
