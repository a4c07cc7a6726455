/*
 * fuzz_volume.c: a data directory whose volumes are made from the input, is opened.
 *
 * It opens, or is refused with an error and a text. What opens can be read and written to; it opens again after a clean
 * close with every row it had, and once more, with the same rows, when the index is lost; so it does with a checkpoint
 * in place of the journal before it. With neither, one changed byte anywhere before the journal's last group is refused
 * as damage. Whatever the directory is, salvage makes a store of it, or says that there is nothing.
 *
 * Input: items of a kind (1), a length (2, little-endian) and that many bytes. A volume's are the first 88 of its
 * superblock, a record's its header and payload, others lie in the file as they are. Lengths, checksums, and what makes
 * an item follow from the one before, are filled in unless the kind says otherwise; so mutations get behind them. The
 * mutator changes, repeats, moves and drops items.
 *
 * sources: src/base/*.c src/drivers/batch.c src/drivers/embedded/*.c
 * options: -max_len=8192 -rss_limit_mb=1024 -malloc_limit_mb=64
 */
#include "base/clock.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "drivers/embedded/embedded_int.h"
#include "memory_rocksdb.h"
#include "scratch.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

#define ITEM_HEAD 3
#define SUPER_BYTES 88
#define ITEMS_MAX 256
#define BUCKET 77

enum item_kind {
	ITEM_VOLUME = 0,
	ITEM_RECORD = 1,
	ITEM_BYTES = 2,
	ITEM_KIND = 3,         /* mask */
	ITEM_KEEPS_CRC = 4,    /* of superblock or header */
	ITEM_TORN = 8,         /* a record's end is not right */
	ITEM_KEEPS_SIZE = 16,  /* the header's length */
	ITEM_KEEPS_PLACE = 32, /* does not follow from what was before: sequence, group, predecessor */
};

struct item {
	uint8_t *at; /* its head */
	uint8_t kind;
	struct bytes body;
};

static void
must(bool good)
{
	if (!good)
		abort();
}

static size_t
items_read(struct bytes input, struct item *out)
{
	size_t count = 0, at = 0;

	while (count < ITEMS_MAX && input.len - at >= ITEM_HEAD) {
		size_t len = (size_t)(input.data[at + 1] | input.data[at + 2] << 8);

		out[count] = (struct item){
			(uint8_t *)input.data + at, input.data[at], bytes_sub(input, at + ITEM_HEAD, len)};
		at += ITEM_HEAD + out[count++].body.len;
	}
	return count;
}

/* --- from items to files ------------------------------------------------------------------------------------------ */

struct maker {
	struct buf file; /* empty: no volume yet */
	uint64_t number, generation, group, sequence;
	bool group_complete;
	bool is_checkpoint;
	uint64_t records, rows; /* of a checkpoint */
	uint32_t crc;
};

static char *
data_path(void)
{
	static char path[300];

	if (path[0] == '\0')
		snprintf(path, sizeof(path), "%s/data", scratch_directory());
	return path;
}

static const char *
volume_file(uint64_t number, bool is_checkpoint)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/volumes/%016llx%s", data_path(), (unsigned long long)number,
		is_checkpoint ? CHECKPOINT_SUFFIX : VOLUME_SUFFIX);
	return path;
}

static void
file_write(struct maker *m)
{
	int fd;

	if (m->file.len == 0)
		return;
	fd = open(volume_file(m->number, m->is_checkpoint), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0 && write(fd, m->file.data, m->file.len) == (ssize_t)m->file.len && close(fd) == 0);
	m->file.len = 0;
}

static void
make_volume(struct maker *m, const struct item *item)
{
	uint8_t super[SUPERBLOCK_BYTES] = {0};
	uint64_t end = m->file.len;
	bool is_checkpoint;

	memcpy(super, item->body.data, item->body.len < SUPER_BYTES ? item->body.len : SUPER_BYTES);
	is_checkpoint = load_u32(super + 12) == VOLUME_CHECKPOINT;
	if (!(item->kind & ITEM_KEEPS_PLACE) && end && !m->is_checkpoint) {
		store_u64(super + 32, m->number + 1);
		store_u64(super + 48, m->number);
		store_u64(super + 56, end);
		store_u64(super + 64, m->group + !is_checkpoint);
		store_u64(super + 72, m->sequence + !is_checkpoint);
	}
	if (!(item->kind & ITEM_KEEPS_CRC))
		store_u32(super + SUPERBLOCK_BYTES - 4, crc32c(0, super, SUPERBLOCK_BYTES - 4));
	file_write(m);
	m->is_checkpoint = is_checkpoint;
	m->records = m->rows = m->crc = 0;
	m->number = load_u64(super + 32);
	m->generation = load_u64(super + 40);
	m->group = load_u64(super + 64) - 1;
	m->sequence = load_u64(super + 72) - 1;
	m->group_complete = true;
	buf_put(&m->file, super, sizeof(super));
}

static void
follow(struct maker *m, uint8_t *header)
{
	uint8_t type = header[4];
	uint64_t sequence = m->sequence + (type != RECORD_EMPTY), group = m->group + m->group_complete;

	store_u64(header + 16, sequence);
	store_u64(header + 24, group);
	if (type == RECORD_CHECKPOINT)
		store_u64(header + 40, m->records++);
	if (type != RECORD_COMMIT && type != RECORD_EMPTY)
		return;
	m->sequence = sequence;
	m->group = group;
	m->group_complete = (header[5] & RECORD_GROUP_LAST) != 0;
}

/* The header's checksum is record.c's own: the fields are taken apart and put together again. */
static void
seal_header(const struct maker *m, uint8_t *header)
{
	struct record_header h = {.type = header[4], .flags = header[5]};

	memcpy(&h.index, header + 6, 2);
	h.length = load_u32(header + 8);
	h.count = load_u32(header + 12);
	h.sequence = load_u64(header + 16);
	h.group = load_u64(header + 24);
	h.bucket = load_u64(header + 32);
	h.number = load_u64(header + 40);
	h.previous_feed = load_u64(header + 48);
	h.time_ns = (int64_t)load_u64(header + 56);
	record_header_encode(&h, m->file.len, m->generation, header);
}

/* The last record of a checkpoint counts the others' rows. */
static void
count_rows(struct maker *m, bool is_last, uint8_t trailer[12], struct bytes *payload)
{
	struct reader r;

	if (is_last) {
		store_u64(trailer, m->rows);
		store_u32(trailer + 8, m->crc);
		*payload = bytes_of(trailer, 12);
		return;
	}
	m->crc = crc32c(m->crc, payload->data, payload->len);
	for (reader_init(&r, *payload); !r.failed && reader_left(&r); m->rows++) {
		reader_field(&r);
		reader_field(&r);
	}
}

static void
make_record(struct maker *m, const struct item *item)
{
	uint8_t header[RECORD_HEADER_BYTES] = {0}, tail[7 + RECORD_FOOTER_BYTES], trailer[12];
	struct bytes payload = bytes_sub(item->body, RECORD_HEADER_BYTES, SIZE_MAX);
	size_t len;

	memcpy(header, item->body.data, item->body.len < sizeof(header) ? item->body.len : sizeof(header));
	if (header[4] == RECORD_CHECKPOINT && !(item->kind & ITEM_KEEPS_SIZE))
		count_rows(m, header[5] & RECORD_GROUP_LAST, trailer, &payload);
	if (!(item->kind & ITEM_KEEPS_SIZE))
		store_u32(header + 8, (uint32_t)payload.len);
	if (!(item->kind & ITEM_KEEPS_PLACE))
		follow(m, header);
	if (!(item->kind & ITEM_KEEPS_CRC))
		seal_header(m, header);
	len = record_tail_encode(crc32c(0, payload.data, payload.len), payload.len, tail);
	tail[0] ^= (item->kind & ITEM_TORN) != 0;
	buf_put(&m->file, header, sizeof(header));
	buf_put_bytes(&m->file, payload);
	buf_put(&m->file, tail, len);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	return remove(path);
}

static void
make_directory(struct bytes input)
{
	struct item items[ITEMS_MAX];
	size_t count = items_read(input, items);
	struct maker m = {0};
	char path[400];

	nftw(data_path(), remove_one, 8, FTW_DEPTH | FTW_PHYS);
	snprintf(path, sizeof(path), "%s/volumes", data_path());
	must(mkdir(data_path(), 0700) == 0 && mkdir(path, 0700) == 0);
	buf_init(&m.file, NULL);
	for (size_t i = 0; i < count; i++) {
		if ((items[i].kind & ITEM_KIND) == ITEM_VOLUME)
			make_volume(&m, &items[i]);
		else if (m.file.len && (items[i].kind & ITEM_KIND) == ITEM_RECORD)
			make_record(&m, &items[i]);
		else if (m.file.len)
			buf_put_bytes(&m.file, items[i].body);
	}
	file_write(&m);
	buf_fini(&m.file);
}

/* --- what the store says ------------------------------------------------------------------------------------------ */

struct store {
	struct store_drivers drivers;
	struct request rq;
};

static enum rfs_err
store_open(struct store *s)
{
	char error[ERROR_BYTES] = "", why[512];
	struct config config;
	enum rfs_err err;

	config_init(&config);
	must(config_set(&config, "data", data_path(), why) && config_set(&config, "journal.volume_bytes", "1M", why));
	err = embedded_open(&config, &s->drivers, error);
	config_fini(&config);
	must((err == RFS_OK) == (error[0] == '\0'));
	if (!err)
		s->rq = (struct request){.arena = arena_new(4096), .may_block = true};
	return err;
}

static void
store_close(struct store *s)
{
	s->drivers.metadata->ops->close(s->drivers.metadata);
	arena_free(s->rq.arena);
}

/* A row that ends in a location gives bytes or an error. */
static void
read_block(struct store *s, const struct row *row)
{
	struct block_location location;
	struct slice out;
	uint32_t volume, length;
	uint64_t bucket, number, offset;

	if (row->value.len < BLOCK_LOCATION_BYTES)
		return;
	memcpy(location.bytes, row->value.data + row->value.len - BLOCK_LOCATION_BYTES, BLOCK_LOCATION_BYTES);
	location_decode(&location, &volume, &length, &offset);
	bucket = row->key.len >= 8 ? load_be64(row->key.data) : 0;
	number = row->key.len >= 8 ? load_be64(row->key.data + row->key.len - 8) : 0;
	if (s->drivers.storage->ops->get(s->drivers.storage, &s->rq, bucket, number, &location, 0, length, &out) == RFS_OK) {
		must(out.len == length);
		slice_unref(&out);
	}
}

/* Every row that is not the driver's own. */
static void
read_rows(struct store *s, struct buf *out)
{
	static const uint8_t last[17] = {
		255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
	struct row_page page;

	must(s->drivers.metadata->ops->scan(s->drivers.metadata, &s->rq, bytes_of(NULL, 0),
		     bytes_of(last, sizeof(last)), 100000, false, &page) == RFS_OK);
	for (size_t i = 0; i < page.count; i++) {
		const struct row *row = &page.rows[i];

		if (row->key.len > 8 && row->key.data[8] == 0)
			continue;
		buf_field(out, row->key);
		buf_field(out, row->value);
		buf_u64(out, row->serial);
		read_block(s, row);
	}
}

static void
on_done(struct batch *b)
{
	sem_post(b->done_data);
}

static struct bytes
own_key(struct arena *a)
{
	struct buf key;

	buf_init(&key, a);
	buf_be64(&key, BUCKET);
	buf_u8(&key, 2);
	buf_put_str(&key, "own");
	return buf_bytes(&key);
}

static void
write_row(struct store *s)
{
	struct batch *b = batch_new(BUCKET);
	struct row row;
	sem_t done;

	sem_init(&done, 0, 0);
	b->done = on_done;
	b->done_data = &done;
	batch_put(b, own_key(b->arena), BYTES_LITERAL("written"));
	s->drivers.metadata->ops->commit(s->drivers.metadata, b);
	while (sem_wait(&done) != 0)
		continue;
	must(b->error == RFS_OK);
	batch_free(b);
	sem_destroy(&done);
	must(s->drivers.metadata->ops->get(s->drivers.metadata, &s->rq, own_key(s->rq.arena), &row) == RFS_OK);
	must(row.found && bytes_equal_str(row.value, "written"));
}

static void
check_reopen(const struct buf *rows_before)
{
	struct store s;
	struct buf again;

	must(store_open(&s) == RFS_OK);
	buf_init(&again, NULL);
	read_rows(&s, &again);
	must(bytes_equal(buf_bytes(rows_before), buf_bytes(&again)));
	buf_fini(&again);
	store_close(&s);
}

/* The one that was made last: what opened was written to there. 0: there is a checkpoint too, which hides damage. */
static uint64_t
newest_volume(void)
{
	char path[400];
	uint64_t number, newest = 0;
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/volumes", data_path());
	must((directory = opendir(path)) != NULL);
	while ((entry = readdir(directory)) != NULL) {
		number = strtoull(entry->d_name, NULL, 16);
		if (strstr(entry->d_name, CHECKPOINT_SUFFIX))
			newest = UINT64_MAX;
		else if (strstr(entry->d_name, VOLUME_SUFFIX) && number > newest && number <= UINT32_MAX) /* else it is none */
			newest = number;
	}
	closedir(directory);
	return newest == UINT64_MAX ? 0 : newest;
}

/* Also of a sealed one. */
static void
change_byte(uint64_t volume, uint64_t offset, uint8_t by)
{
	const char *path = volume_file(volume, false);
	struct stat st;
	uint8_t byte;
	int fd;

	must(stat(path, &st) == 0 && chmod(path, 0600) == 0 && (fd = open(path, O_RDWR)) >= 0);
	must(pread(fd, &byte, 1, (off_t)offset) == 1);
	byte ^= by;
	must(pwrite(fd, &byte, 1, (off_t)offset) == 1 && fchmod(fd, st.st_mode & 07777) == 0 && close(fd) == 0);
}

/* Of a store that was closed: a byte of the last row's record, behind which a clean close wrote a group, or of the
 * volume before. */
static void
check_damage(uint64_t choice)
{
	uint8_t head[SUPERBLOCK_BYTES + RECORD_HEADER_BYTES], by = (uint8_t)(1 + choice % 255);
	uint64_t volume = newest_volume(), len;
	struct superblock super;
	struct record_header h;
	struct store s;
	int fd;

	if (!volume)
		return;
	must((fd = open(volume_file(volume, false), O_RDONLY)) >= 0 &&
		pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) && close(fd) == 0);
	must(superblock_decode(head, &super) == RFS_OK);
	must(record_header_decode(head + SUPERBLOCK_BYTES, SUPERBLOCK_BYTES, super.generation, &h));
	must(h.type == RECORD_COMMIT);
	len = record_bytes(h.length);
	if (choice >> 63 && super.predecessor_end > SUPERBLOCK_BYTES) {
		volume = super.predecessor;
		len = super.predecessor_end - SUPERBLOCK_BYTES;
	}
	choice = SUPERBLOCK_BYTES + choice / 255 % len;
	change_byte(volume, choice, by);
	memory_rocksdb_forget();
	must(store_open(&s) == RFS_ERR_DAMAGED);
	change_byte(volume, choice, by);
}

static void
told(void *data, const char *name, const char *text)
{
	must(name[0] && text[0]);
}

/* What is left opens, and has rows that can be read. */
static void
check_salvage(void)
{
	char error[ERROR_BYTES] = "", why[512], kept[4096];
	struct salvage *salvage;
	struct config config;
	struct store s;
	struct buf seen;

	config_init(&config);
	must(config_set(&config, "data", data_path(), why) && config_set(&config, "journal.volume_bytes", "1M", why));
	memory_rocksdb_forget();
	if (salvage_begin(&config, NULL, told, NULL, &salvage, &s.drivers, error) == RFS_OK) {
		s.rq = (struct request){.arena = arena_new(4096), .may_block = true};
		buf_init(&seen, NULL);
		read_rows(&s, &seen);
		write_row(&s);
		buf_fini(&seen);
		arena_free(s.rq.arena);
		must(salvage_end(salvage, false, kept, error) == RFS_OK);
	} else {
		must(error[0] != '\0');
	}
	config_fini(&config);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct checkpoint_info made;
	struct store s;
	struct buf seen;

	if (!started)
		log_init(LOG_ERROR, LOG_TEXT, open("/dev/null", O_WRONLY));
	started = true;
	memory_rocksdb_forget();
	make_directory(bytes_of(data, size));
	if (store_open(&s)) {
		check_salvage();
		return 0;
	}
	buf_init(&seen, NULL);
	write_row(&s);
	if (size % 2)
		must(s.drivers.metadata->ops->checkpoint(s.drivers.metadata, &s.rq, NULL, NULL, &made) == RFS_OK);
	read_rows(&s, &seen);
	store_close(&s);
	check_reopen(&seen);
	check_damage(hash64(bytes_of(data, size), 1));
	memory_rocksdb_forget();
	check_reopen(&seen);
	buf_fini(&seen);
	check_salvage();
	return 0;
}

/* --- mutations ---------------------------------------------------------------------------------------------------- */

static void
item_put(struct buf *out, uint8_t kind, struct bytes body)
{
	if (body.len > UINT16_MAX)
		body.len = UINT16_MAX;
	buf_u8(out, kind);
	buf_u16(out, (uint16_t)body.len);
	buf_put_bytes(out, body);
}

/* Header and payload are changed apart: the one keeps its size. */
static void
item_change(struct buf *out, const struct item *item, unsigned choice)
{
	size_t head = (item->kind & ITEM_KIND) == ITEM_RECORD   ? RECORD_HEADER_BYTES
		      : (item->kind & ITEM_KIND) == ITEM_VOLUME ? SUPER_BYTES
								: 0;
	struct buf body;

	buf_init(&body, NULL);
	buf_reserve(&body, item->body.len + 64);
	buf_put_bytes(&body, item->body);
	if (head > body.len)
		head = body.len;
	if (head && (choice % 3 == 0 || body.len == head))
		LLVMFuzzerMutate(body.data, head, head);
	else
		body.len = head + LLVMFuzzerMutate(body.data + head, body.len - head, body.len - head + 64);
	item_put(out, item->kind, buf_bytes(&body));
	buf_fini(&body);
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct item items[ITEMS_MAX];
	size_t count = items_read(bytes_of(data, size), items), chosen = count ? seed / 64 % count : 0;
	unsigned choice = seed % 16;
	struct buf out;

	if (count == 0 || choice == 15)
		return LLVMFuzzerMutate(data, size, max);
	buf_init(&out, NULL);
	for (size_t i = 0; i < count; i++) {
		const struct item *item = &items[i];

		if (i != chosen || choice == 14)
			item_put(&out, item->kind, item->body);
		else if (choice == 13)
			item_put(&out, item->kind ^ (uint8_t)(1u << seed / 16 % 6), item->body);
		else if (choice < 11)
			item_change(&out, item, seed / 16);
		/* 11: repeated; 12: dropped. */
		for (int n = 0; i == chosen && choice == 11 && n < 2; n++)
			item_put(&out, item->kind, item->body);
		if (i == chosen && choice == 14)
			item_put(&out, items[(chosen + seed / 16) % count].kind,
				items[(chosen + seed / 16) % count].body);
	}
	size = out.len < max ? out.len : max;
	if (size)
		memcpy(data, out.data, size);
	buf_fini(&out);
	return size;
}
