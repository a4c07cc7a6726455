/*
 * index.c: RocksDB as the index over the journal. One column family; each value begins with a tag (ROW_TAG_*). Its own
 * log is not synced with each write: what it loses in a power cut, recovery applies again from the journal. [any:
 * reads; apply: writes]
 */
#include "drivers/embedded/embedded_int.h"
#include "base/log.h"
#include "base/process.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PEEK_BYTES ((size_t)16 * 1024 * 1024)
#define CACHE_BYTES_LEAST ((size_t)16 * 1024 * 1024)
#define OPEN_FILES 512
#define OPEN_BYTES ((uint64_t)2 * 1024 * 1024)
#define BLOOM_BITS 10
#define READ_TIER_CACHE 1 /* kBlockCacheTier */

/* C API constants without a name there. */
#define INFO_LOG_HEADER 5
#define LZ4 4

void
key_state(uint64_t bucket, uint8_t out[DRIVER_KEY_BYTES])
{
	store_be64(out, bucket);
	out[8] = 0;
	out[9] = ROW_TAG_STATE;
}

void
key_batch_id(uint64_t epoch, uint64_t bucket, const uint8_t id[16], uint8_t out[ID_KEY_BYTES])
{
	store_be64(out, 0);
	out[8] = 0;
	out[9] = ROW_TAG_ID;
	store_be64(out + 10, epoch);
	store_be64(out + 18, bucket);
	memcpy(out + 26, id, 16);
}

/* A table that is gone is an error of the system's to RocksDB; so is one that is named by a damaged manifest. */
static bool
says_damaged(const char *message)
{
	return strncmp(message, "Corruption", 10) == 0 || strstr(message, "No such file or directory");
}

/* Frees RocksDB's message. "Result incomplete" is its answer to a read that would need the disk. */
static enum rfs_err
index_error(struct index *ix, char *message, const char *what)
{
	enum rfs_err err = RFS_ERR_IO;

	if (strncmp(message, "Result incomplete", 17) == 0) {
		err = RFS_ERR_WOULD_BLOCK;
	} else {
		log_error(0, "%s: %s", what, message);
		if (says_damaged(message)) {
			err = RFS_ERR_DAMAGED;
			index_damage_found(ix, message);
		} else if (strstr(message, "No space")) {
			err = RFS_ERR_NO_SPACE;
		}
	}
	rocksdb_free(message);
	return err;
}

/* A row whose block is not in it costs twice as much to read. */
static size_t
default_cache_bytes(void)
{
	uint64_t share = process_memory_most() / 8;

	return share > CACHE_BYTES_LEAST ? (size_t)share : CACHE_BYTES_LEAST;
}

static void
set_table_options(struct index *ix, size_t cache_bytes)
{
	ix->table = rocksdb_block_based_options_create();
	ix->cache = rocksdb_cache_create_lru(cache_bytes ? cache_bytes : default_cache_bytes());
	rocksdb_block_based_options_set_block_cache(ix->table, ix->cache);
	rocksdb_block_based_options_set_filter_policy(ix->table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_block_based_options_set_format_version(ix->table, 5);
	rocksdb_block_based_options_set_block_size(ix->table, 8192);
	rocksdb_options_set_block_based_table_factory(ix->options, ix->table);
}

static void
set_options(struct index *ix, size_t cache_bytes, size_t buffer_bytes)
{
	rocksdb_options_t *o = ix->options = rocksdb_options_create();

	rocksdb_options_set_create_if_missing(o, 1);
	rocksdb_options_set_paranoid_checks(o, 1);
	rocksdb_options_set_write_buffer_size(o, buffer_bytes);
	rocksdb_options_set_max_write_buffer_number(o, 2);
	rocksdb_options_set_max_open_files(o, OPEN_FILES);
	rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
	rocksdb_options_set_skip_checking_sst_file_sizes_on_db_open(o, 1);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	rocksdb_options_set_stats_persist_period_sec(o, 0);
	/* Its LOG is written at the open only: RocksDB 7.8 aborts at the line after one that a full disk refused. */
	rocksdb_options_set_info_log_level(o, INFO_LOG_HEADER);
	rocksdb_options_set_keep_log_file_num(o, 2);
	rocksdb_options_set_max_log_file_size(o, 1024 * 1024);
	rocksdb_options_set_max_total_wal_size(o, 4 * buffer_bytes);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_compression(o, LZ4);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
	rocksdb_options_set_memtable_whole_key_filtering(o, 1);
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.02);
	rocksdb_options_set_wal_recovery_mode(o, rocksdb_point_in_time_recovery);
	rocksdb_options_set_is_fd_close_on_exec(o, 1);
	set_table_options(ix, cache_bytes);
}

/* What its log holds goes into tables, beside a new log and a manifest. */
uint64_t
index_open_bytes(const char *path)
{
	uint64_t bytes = OPEN_BYTES;
	struct dirent *entry;
	struct stat st;
	DIR *directory = opendir(path);

	while (directory && (entry = readdir(directory))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (dot && strcmp(dot, ".log") == 0 && fstatat(dirfd(directory), entry->d_name, &st, 0) == 0)
			bytes += (uint64_t)st.st_size;
	}
	if (directory)
		closedir(directory);
	return bytes;
}

enum rfs_err
index_open(struct index *ix, const char *path, size_t cache_bytes, size_t buffer_bytes, char *error)
{
	char *message = NULL;

	set_options(ix, cache_bytes, buffer_bytes);
	ix->buffer_bytes = buffer_bytes;
	ix->read = rocksdb_readoptions_create();
	ix->read_nowait = rocksdb_readoptions_create();
	rocksdb_readoptions_set_read_tier(ix->read_nowait, READ_TIER_CACHE);
	ix->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(ix->write, 0);
	ix->db = rocksdb_open(ix->options, path, &message);
	if (message) {
		snprintf(error, ERROR_BYTES, "open the index %.200s: %s", path, message);
		ix->db = NULL;
		return index_error(ix, message, "open the index");
	}
	return RFS_OK;
}

void
index_close(struct index *ix)
{
	if (ix->db)
		rocksdb_close(ix->db);
	if (ix->options == NULL)
		return;
	rocksdb_readoptions_destroy(ix->read);
	rocksdb_readoptions_destroy(ix->read_nowait);
	rocksdb_writeoptions_destroy(ix->write);
	rocksdb_block_based_options_destroy(ix->table);
	rocksdb_cache_destroy(ix->cache);
	rocksdb_options_destroy(ix->options);
	memset(ix, 0, sizeof(*ix));
}

/* Takes a stored value apart; false: damaged. */
static bool
row_parse(struct arena *arena, const char *data, size_t len, struct row *out)
{
	size_t behind = 0;

	if (len < 1)
		return false;
	if (data[0] == ROW_TAG_ROW) {
		if (len < 9)
			return false;
		behind = 8;
		out->serial = load_u64(data + len - 8);
	}
	out->value =
		arena_copy(arena, bytes_of(data + 1, len - 1 - behind)); /* the pinned block goes back to its cache */
	out->found = true;
	return true;
}

static enum rfs_err
row_damaged(const char *what)
{
	log_error(0, "%s: a row of the index is not well-formed", what);
	return RFS_ERR_DAMAGED;
}

enum rfs_err
index_get(struct index *ix, struct arena *arena, struct bytes key, bool nowait, struct row *out)
{
	rocksdb_pinnableslice_t *value;
	char *message = NULL;
	const char *data;
	size_t len;
	bool well;

	memset(out, 0, sizeof(*out));
	value = rocksdb_get_pinned(ix->db, nowait ? ix->read_nowait : ix->read, (const char *)key.data, key.len, &message);
	if (message)
		return index_error(ix, message, "read a row");
	if (value == NULL)
		return RFS_OK;
	data = rocksdb_pinnableslice_value(value, &len);
	well = row_parse(arena, data, len, out);
	rocksdb_pinnableslice_destroy(value);
	return well ? RFS_OK : row_damaged("read a row");
}

enum rfs_err
index_numbers(struct index *ix, struct bytes key, bool nowait, uint64_t out[2], bool *found)
{
	rocksdb_pinnableslice_t *value;
	char *message = NULL;
	const char *data;
	size_t len;

	out[0] = out[1] = 0;
	*found = false;
	value = rocksdb_get_pinned(ix->db, nowait ? ix->read_nowait : ix->read, (const char *)key.data, key.len, &message);
	if (message)
		return index_error(ix, message, "read a counter");
	if (value == NULL)
		return RFS_OK;
	data = rocksdb_pinnableslice_value(value, &len);
	if (len >= 9) {
		out[0] = load_u64(data + 1);
		out[1] = len >= 17 ? load_u64(data + 9) : 0;
		*found = true;
	}
	rocksdb_pinnableslice_destroy(value);
	return *found ? RFS_OK : row_damaged("read a counter");
}

static enum rfs_err
scan_fill(
	struct index *ix, struct request *rq, rocksdb_iterator_t *it, size_t limit, bool reverse, struct row_page *out)
{
	size_t capacity = limit < 64 ? limit : 64, len;
	const char *data;
	char *message = NULL;
	struct row *grown;

	out->rows = ARENA_ARRAY(rq->arena, struct row, capacity);
	for (; rocksdb_iter_valid(it); reverse ? rocksdb_iter_prev(it) : rocksdb_iter_next(it)) {
		if (out->count == limit) {
			out->more = true;
			break;
		}
		if (out->count == capacity) {
			grown = ARENA_ARRAY(rq->arena, struct row, capacity * 2);
			memcpy(grown, out->rows, capacity * sizeof(*grown));
			out->rows = grown;
			capacity *= 2;
		}
		data = rocksdb_iter_key(it, &len);
		out->rows[out->count].key = arena_copy(rq->arena, bytes_of(data, len));
		data = rocksdb_iter_value(it, &len);
		if (!row_parse(rq->arena, data, len, &out->rows[out->count++]))
			return row_damaged("scan");
	}
	rocksdb_iter_get_error(it, &message);
	return message ? index_error(ix, message, "scan") : RFS_OK;
}

enum rfs_err
index_scan(struct index *ix, struct request *rq, struct bytes from, struct bytes to, size_t limit, bool reverse,
	struct row_page *out)
{
	rocksdb_readoptions_t *options;
	rocksdb_iterator_t *it;
	enum rfs_err err;

	memset(out, 0, sizeof(*out));
	if (limit == 0 || bytes_compare(from, to) >= 0)
		return RFS_OK;
	options = rocksdb_readoptions_create();
	if (!rq->may_block)
		rocksdb_readoptions_set_read_tier(options, READ_TIER_CACHE);
	rocksdb_readoptions_set_iterate_lower_bound(options, (const char *)from.data, from.len);
	rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)to.data, to.len);
	it = rocksdb_create_iterator(ix->db, options);
	if (reverse)
		rocksdb_iter_seek_to_last(it);
	else
		rocksdb_iter_seek(it, (const char *)from.data, from.len);
	err = scan_fill(ix, rq, it, limit, reverse, out);
	rocksdb_iter_destroy(it);
	rocksdb_readoptions_destroy(options);
	if (err)
		memset(out, 0, sizeof(*out));
	return err;
}

/*
 * What failed for lack of space is a table: the message has the file's name near its end. RocksDB takes no writes until
 * it could make it, which it tries every five seconds once as much is free as it keeps in memory; this write touched
 * nothing. Its log is another matter: RocksDB does not get over a write of it that failed.
 */
static bool
waits_for_a_table(const char *message)
{
	const char *name = strrchr(message, '/');

	return name && strstr(name, ".sst") && strstr(message, "No space");
}

enum rfs_err
index_write(struct index *ix, rocksdb_writebatch_t *wb)
{
	char *message = NULL;

	rocksdb_write(ix->db, ix->write, wb, &message);
	if (message == NULL)
		return RFS_OK;
	if (waits_for_a_table(message)) {
		rocksdb_free(message);
		return RFS_ERR_NO_SPACE;
	}
	atomic_store(&ix->refused, true);
	return index_error(ix, message, "write the index");
}

enum rfs_err
index_flush_wal(struct index *ix)
{
	char *message = NULL;

	if (atomic_load(&ix->refused))
		return RFS_ERR_IO; /* RocksDB 7.8 aborts at the sync of a log that it could not write */
	rocksdb_flush_wal(ix->db, !ix->unsynced, &message);
	return message ? index_error(ix, message, "sync the index's log") : RFS_OK;
}

enum rfs_err
index_flush_tables(struct index *ix)
{
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	char *message = NULL;

	rocksdb_flushoptions_set_wait(options, 1);
	rocksdb_flush(ix->db, options, &message);
	rocksdb_flushoptions_destroy(options);
	return message ? index_error(ix, message, "flush the index") : RFS_OK;
}

/* No key is behind 64 bytes of 255: buckets are numbered from 0. */
enum rfs_err
index_clear(struct index *ix)
{
	char end[64];
	rocksdb_iterator_t *it = rocksdb_create_iterator(ix->db, ix->read);
	rocksdb_writebatch_t *wb;
	enum rfs_err err = RFS_OK;

	rocksdb_iter_seek(it, "", 0);
	if (rocksdb_iter_valid(it)) { /* reads would have to skip the mark of the range */
		memset(end, 0xff, sizeof(end));
		wb = rocksdb_writebatch_create();
		rocksdb_writebatch_delete_range(wb, "", 0, end, sizeof(end));
		err = index_write(ix, wb);
		rocksdb_writebatch_destroy(wb);
	}
	rocksdb_iter_destroy(it);
	return err;
}

/* applied := tag, clean (1), volume, offset, group, sequence, store (16), next volume (8; an older store has none) */
#define APPLIED_BYTES (2 + 4 * 8 + 16 + 8)
#define APPLIED_BYTES_LEAST (APPLIED_BYTES - 8)
static const uint8_t applied_key[DRIVER_KEY_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, ROW_TAG_APPLIED};

static bool
applied_parse(const char *data, size_t len, struct position *out)
{
	if ((len != APPLIED_BYTES && len != APPLIED_BYTES_LEAST) || data[0] != ROW_TAG_APPLIED)
		return false;
	out->clean = data[1] != 0;
	out->volume = load_u64(data + 2);
	out->offset = load_u64(data + 10);
	out->group = load_u64(data + 18);
	out->sequence = load_u64(data + 26);
	memcpy(out->store, data + 34, 16);
	out->next_volume = len == APPLIED_BYTES ? load_u64(data + 50) : 0;
	return true;
}

enum rfs_err
index_applied(struct index *ix, struct position *out, bool *found)
{
	rocksdb_pinnableslice_t *value;
	char *message = NULL;
	const char *data;
	size_t len;

	memset(out, 0, sizeof(*out));
	*found = false;
	value = rocksdb_get_pinned(ix->db, ix->read, (const char *)applied_key, sizeof(applied_key), &message);
	if (message)
		return index_error(ix, message, "read the applied position");
	if (value == NULL)
		return RFS_OK;
	data = rocksdb_pinnableslice_value(value, &len);
	*found = applied_parse(data, len, out);
	rocksdb_pinnableslice_destroy(value);
	return *found ? RFS_OK : row_damaged("read the applied position");
}

void
index_put_applied(rocksdb_writebatch_t *wb, const struct position *p)
{
	uint8_t value[APPLIED_BYTES];

	value[0] = ROW_TAG_APPLIED;
	value[1] = p->clean;
	store_u64(value + 2, p->volume);
	store_u64(value + 10, p->offset);
	store_u64(value + 18, p->group);
	store_u64(value + 26, p->sequence);
	memcpy(value + 34, p->store, 16);
	store_u64(value + 50, p->next_volume);
	rocksdb_writebatch_put(wb, (const char *)applied_key, sizeof(applied_key), (const char *)value, sizeof(value));
}

bool
index_peek(const char *path, struct position *out)
{
	struct index ix = {0};
	char *message = NULL;
	bool found = false;

	set_options(&ix, PEEK_BYTES, PEEK_BYTES);
	ix.read = rocksdb_readoptions_create();
	ix.read_nowait = rocksdb_readoptions_create();
	ix.write = rocksdb_writeoptions_create();
	ix.db = rocksdb_open_for_read_only(ix.options, path, 0, &message);
	if (message) {
		ix.db = NULL;
		rocksdb_free(message);
	} else if (index_applied(&ix, out, &found)) {
		found = false;
	}
	index_close(&ix);
	return found;
}

struct index_walk {
	struct index *ix;
	rocksdb_readoptions_t *options;
	rocksdb_iterator_t *it;
	bool is_begun;
};

static struct bytes
walk_key(const struct index_walk *w)
{
	size_t len;
	const char *data = rocksdb_iter_key(w->it, &len);

	return bytes_of(data, len);
}

static bool
walk_is_at_applied(const struct index_walk *w)
{
	return rocksdb_iter_valid(w->it) && bytes_equal(walk_key(w), bytes_of(applied_key, sizeof(applied_key)));
}

/* An iterator shows the moment at which it was made, the position too. It leaves the cache to others. */
enum rfs_err
index_walk_open(struct index *ix, struct position *applied, struct index_walk **out)
{
	struct index_walk *w = xcalloc(1, sizeof(*w));
	enum rfs_err err = RFS_OK;
	const char *data;
	size_t len;

	w->ix = ix;
	w->options = rocksdb_readoptions_create();
	rocksdb_readoptions_set_fill_cache(w->options, 0);
	w->it = rocksdb_create_iterator(ix->db, w->options);
	rocksdb_iter_seek(w->it, (const char *)applied_key, sizeof(applied_key));
	if (!walk_is_at_applied(w)) {
		err = RFS_ERR_NOT_FOUND;
	} else {
		data = rocksdb_iter_value(w->it, &len);
		if (!applied_parse(data, len, applied))
			err = row_damaged("read the applied position");
	}
	if (err)
		err = index_walk_close(w) ? RFS_ERR_IO : err;
	else
		*out = w;
	return err;
}

bool
index_walk_next(struct index_walk *w, struct bytes *key, struct bytes *value)
{
	const char *data;
	size_t len;

	if (w->is_begun)
		rocksdb_iter_next(w->it);
	else
		rocksdb_iter_seek(w->it, "", 0);
	w->is_begun = true;
	if (walk_is_at_applied(w))
		rocksdb_iter_next(w->it);
	if (!rocksdb_iter_valid(w->it))
		return false;
	*key = walk_key(w);
	data = rocksdb_iter_value(w->it, &len);
	*value = bytes_of(data, len);
	return true;
}

enum rfs_err
index_walk_close(struct index_walk *w)
{
	struct index *ix = w->ix;
	char *message = NULL;

	rocksdb_iter_get_error(w->it, &message);
	rocksdb_iter_destroy(w->it);
	rocksdb_readoptions_destroy(w->options);
	free(w);
	return message ? index_error(ix, message, "read all rows") : RFS_OK;
}
