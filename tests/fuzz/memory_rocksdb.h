/*
 * memory_rocksdb.h: the functions of RocksDB's C interface that the embedded driver calls, over one sorted array in
 * memory: opening the library's own for each input would take most of the time. Every name opens the same rows, which
 * stay until memory_rocksdb_forget. Included once, by a target that is not linked with the library.
 */
#ifndef FUZZ_MEMORY_ROCKSDB_H
#define FUZZ_MEMORY_ROCKSDB_H

#include "base/arena.h"
#include "base/bytes.h"
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdlib.h>

enum { WRITE_PUT, WRITE_DELETE, WRITE_DELETE_RANGE };

struct pair {
	int kind; /* in a write */
	struct buf key, value;
};

struct pairs {
	struct pair *at;
	size_t count, capacity;
};

struct rocksdb_t {
	int open;
};
struct rocksdb_writebatch_t {
	struct pairs pairs;
};
struct rocksdb_pinnableslice_t {
	struct buf value;
};
struct rocksdb_readoptions_t {
	struct bytes from, to;
	bool bounded;
};
struct rocksdb_iterator_t {
	const struct rocksdb_readoptions_t *options;
	size_t at;
};

static struct pairs rows; /* rows_lock */
static pthread_mutex_t rows_lock = PTHREAD_MUTEX_INITIALIZER;

static void
pair_set(struct pair *p, int kind, struct bytes key, struct bytes value)
{
	p->kind = kind;
	buf_init(&p->key, NULL);
	buf_init(&p->value, NULL);
	buf_put_bytes(&p->key, key);
	buf_put_bytes(&p->value, value);
}

static struct pair *
pairs_insert(struct pairs *p, size_t at)
{
	if (p->count == p->capacity) {
		p->capacity = p->capacity ? 2 * p->capacity : 16;
		p->at = xrealloc(p->at, p->capacity * sizeof(*p->at));
	}
	memmove(p->at + at + 1, p->at + at, (p->count++ - at) * sizeof(*p->at));
	return &p->at[at];
}

static void
pairs_remove(struct pairs *p, size_t at)
{
	buf_fini(&p->at[at].key);
	buf_fini(&p->at[at].value);
	memmove(p->at + at, p->at + at + 1, (--p->count - at) * sizeof(*p->at));
}

static void
pairs_clear(struct pairs *p)
{
	while (p->count)
		pairs_remove(p, p->count - 1);
}

/* The first row at or behind the key. */
static size_t
rows_find(struct bytes key)
{
	size_t low = 0, high = rows.count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (bytes_compare(buf_bytes(&rows.at[middle].key), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
rows_has(size_t at, struct bytes key)
{
	return at < rows.count && bytes_equal(buf_bytes(&rows.at[at].key), key);
}

static void
rows_write(const struct pair *p)
{
	struct bytes key = buf_bytes(&p->key), value = buf_bytes(&p->value);
	size_t at = rows_find(key);

	if (p->kind == WRITE_DELETE_RANGE) {
		while (at < rows.count && bytes_compare(buf_bytes(&rows.at[at].key), value) < 0)
			pairs_remove(&rows, at);
		return;
	}
	if (rows_has(at, key))
		pairs_remove(&rows, at);
	if (p->kind == WRITE_PUT)
		pair_set(pairs_insert(&rows, at), WRITE_PUT, key, value);
}

static void
memory_rocksdb_forget(void)
{
	pairs_clear(&rows);
}

rocksdb_t *
rocksdb_open(const rocksdb_options_t *options, const char *name, char **error)
{
	return xcalloc(1, sizeof(rocksdb_t));
}

rocksdb_t *
rocksdb_open_for_read_only(
	const rocksdb_options_t *options, const char *name, unsigned char error_if_wal_file_exists, char **error)
{
	return rocksdb_open(options, name, error);
}

void
rocksdb_close(rocksdb_t *db)
{
	free(db);
}

void
rocksdb_free(void *p)
{
	free(p);
}

int
rocksdb_property_int(rocksdb_t *db, const char *name, uint64_t *out)
{
	*out = 0;
	return 0;
}

rocksdb_pinnableslice_t *
rocksdb_get_pinned(rocksdb_t *db, const rocksdb_readoptions_t *o, const char *key, size_t len, char **error)
{
	rocksdb_pinnableslice_t *found = NULL;
	size_t at;

	pthread_mutex_lock(&rows_lock);
	at = rows_find(bytes_of(key, len));
	if (rows_has(at, bytes_of(key, len))) {
		found = xcalloc(1, sizeof(*found));
		buf_init(&found->value, NULL);
		buf_put_bytes(&found->value, buf_bytes(&rows.at[at].value));
	}
	pthread_mutex_unlock(&rows_lock);
	return found;
}

const char *
rocksdb_pinnableslice_value(const rocksdb_pinnableslice_t *s, size_t *len)
{
	*len = s->value.len;
	return (const char *)s->value.data;
}

void
rocksdb_pinnableslice_destroy(rocksdb_pinnableslice_t *s)
{
	buf_fini(&s->value);
	free(s);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

rocksdb_writebatch_t *
rocksdb_writebatch_create(void)
{
	return xcalloc(1, sizeof(rocksdb_writebatch_t));
}

void
rocksdb_writebatch_clear(rocksdb_writebatch_t *b)
{
	pairs_clear(&b->pairs);
}

void
rocksdb_writebatch_destroy(rocksdb_writebatch_t *b)
{
	pairs_clear(&b->pairs);
	free(b->pairs.at);
	free(b);
}

static void
batch_append_pair(rocksdb_writebatch_t *b, int kind, struct bytes key, struct bytes value)
{
	pair_set(pairs_insert(&b->pairs, b->pairs.count), kind, key, value);
}

void
rocksdb_writebatch_put(rocksdb_writebatch_t *b, const char *key, size_t klen, const char *value, size_t vlen)
{
	batch_append_pair(b, WRITE_PUT, bytes_of(key, klen), bytes_of(value, vlen));
}

void
rocksdb_writebatch_putv(rocksdb_writebatch_t *b, int key_count, const char *const *keys, const size_t *key_sizes,
	int value_count, const char *const *values, const size_t *value_sizes)
{
	struct buf key, value;

	buf_init(&key, NULL);
	buf_init(&value, NULL);
	for (int i = 0; i < key_count; i++)
		buf_put(&key, keys[i], key_sizes[i]);
	for (int i = 0; i < value_count; i++)
		buf_put(&value, values[i], value_sizes[i]);
	batch_append_pair(b, WRITE_PUT, buf_bytes(&key), buf_bytes(&value));
	buf_fini(&key);
	buf_fini(&value);
}

void
rocksdb_writebatch_delete(rocksdb_writebatch_t *b, const char *key, size_t len)
{
	batch_append_pair(b, WRITE_DELETE, bytes_of(key, len), bytes_of(NULL, 0));
}

void
rocksdb_writebatch_delete_range(rocksdb_writebatch_t *b, const char *from, size_t flen, const char *to, size_t tlen)
{
	batch_append_pair(b, WRITE_DELETE_RANGE, bytes_of(from, flen), bytes_of(to, tlen));
}

/* Nobody asks for more than the size. */
const char *
rocksdb_writebatch_data(rocksdb_writebatch_t *b, size_t *size)
{
	*size = 0;
	for (size_t i = 0; i < b->pairs.count; i++)
		*size += b->pairs.at[i].key.len + b->pairs.at[i].value.len;
	return NULL;
}

void
rocksdb_write(rocksdb_t *db, const rocksdb_writeoptions_t *o, rocksdb_writebatch_t *b, char **error)
{
	pthread_mutex_lock(&rows_lock);
	for (size_t i = 0; i < b->pairs.count; i++)
		rows_write(&b->pairs.at[i]);
	pthread_mutex_unlock(&rows_lock);
}

/* --- iterators: nothing is written meanwhile ---------------------------------------------------------------------- */

rocksdb_readoptions_t *
rocksdb_readoptions_create(void)
{
	return xcalloc(1, sizeof(rocksdb_readoptions_t));
}

void
rocksdb_readoptions_destroy(rocksdb_readoptions_t *o)
{
	free(o);
}

void
rocksdb_readoptions_set_iterate_lower_bound(rocksdb_readoptions_t *o, const char *key, size_t len)
{
	o->from = bytes_of(key, len);
}

void
rocksdb_readoptions_set_iterate_upper_bound(rocksdb_readoptions_t *o, const char *key, size_t len)
{
	o->to = bytes_of(key, len);
	o->bounded = true;
}

rocksdb_iterator_t *
rocksdb_create_iterator(rocksdb_t *db, const rocksdb_readoptions_t *o)
{
	rocksdb_iterator_t *it = xcalloc(1, sizeof(*it));

	it->options = o;
	return it;
}

void
rocksdb_iter_destroy(rocksdb_iterator_t *it)
{
	free(it);
}

void
rocksdb_iter_seek(rocksdb_iterator_t *it, const char *key, size_t len)
{
	it->at = rows_find(bytes_of(key, len));
}

void
rocksdb_iter_seek_to_last(rocksdb_iterator_t *it)
{
	it->at = (it->options->bounded ? rows_find(it->options->to) : rows.count) - 1;
}

unsigned char
rocksdb_iter_valid(const rocksdb_iterator_t *it)
{
	struct bytes key;

	if (it->at >= rows.count)
		return 0;
	key = buf_bytes(&rows.at[it->at].key);
	return bytes_compare(key, it->options->from) >= 0 &&
	       (!it->options->bounded || bytes_compare(key, it->options->to) < 0);
}

void
rocksdb_iter_next(rocksdb_iterator_t *it)
{
	it->at++;
}

void
rocksdb_iter_prev(rocksdb_iterator_t *it)
{
	it->at--;
}

const char *
rocksdb_iter_key(const rocksdb_iterator_t *it, size_t *len)
{
	*len = rows.at[it->at].key.len;
	return (const char *)rows.at[it->at].key.data;
}

const char *
rocksdb_iter_value(const rocksdb_iterator_t *it, size_t *len)
{
	*len = rows.at[it->at].value.len;
	return (const char *)rows.at[it->at].value.data;
}

void
rocksdb_iter_get_error(const rocksdb_iterator_t *it, char **error)
{
}

/* --- what has no meaning here ------------------------------------------------------------------------------------- */

#define MADE(type, name, ...)   \
	type *name(__VA_ARGS__) \
	{                       \
		return NULL;    \
	}
#define IGNORED(name, ...)     \
	void name(__VA_ARGS__) \
	{                      \
	}
typedef rocksdb_block_based_table_options_t table_options;

MADE(table_options, rocksdb_block_based_options_create, void)
IGNORED(rocksdb_block_based_options_destroy, table_options *o)
IGNORED(rocksdb_block_based_options_set_block_cache, table_options *o, rocksdb_cache_t *c)
IGNORED(rocksdb_block_based_options_set_block_size, table_options *o, size_t v)
IGNORED(rocksdb_block_based_options_set_filter_policy, table_options *o, rocksdb_filterpolicy_t *p)
IGNORED(rocksdb_block_based_options_set_format_version, table_options *o, int v)
MADE(rocksdb_cache_t, rocksdb_cache_create_lru, size_t v)
IGNORED(rocksdb_cache_destroy, rocksdb_cache_t *c)
MADE(rocksdb_filterpolicy_t, rocksdb_filterpolicy_create_bloom_full, double v)
IGNORED(rocksdb_flush, rocksdb_t *db, const rocksdb_flushoptions_t *o, char **error)
IGNORED(rocksdb_flush_wal, rocksdb_t *db, unsigned char v, char **error)
MADE(rocksdb_flushoptions_t, rocksdb_flushoptions_create, void)
IGNORED(rocksdb_flushoptions_destroy, rocksdb_flushoptions_t *o)
IGNORED(rocksdb_flushoptions_set_wait, rocksdb_flushoptions_t *o, unsigned char v)
IGNORED(rocksdb_options_destroy, rocksdb_options_t *o)
IGNORED(rocksdb_options_set_block_based_table_factory, rocksdb_options_t *o, table_options *t)
IGNORED(rocksdb_options_set_compression, rocksdb_options_t *o, int v)
IGNORED(rocksdb_options_set_create_if_missing, rocksdb_options_t *o, unsigned char v)
IGNORED(rocksdb_options_set_info_log_level, rocksdb_options_t *o, int v)
IGNORED(rocksdb_options_set_is_fd_close_on_exec, rocksdb_options_t *o, unsigned char v)
IGNORED(rocksdb_options_set_keep_log_file_num, rocksdb_options_t *o, size_t v)
IGNORED(rocksdb_options_set_level_compaction_dynamic_level_bytes, rocksdb_options_t *o, unsigned char v)
IGNORED(rocksdb_options_set_max_background_jobs, rocksdb_options_t *o, int v)
IGNORED(rocksdb_options_set_max_log_file_size, rocksdb_options_t *o, size_t v)
IGNORED(rocksdb_options_set_max_open_files, rocksdb_options_t *o, int v)
IGNORED(rocksdb_options_set_max_total_wal_size, rocksdb_options_t *o, uint64_t v)
IGNORED(rocksdb_options_set_max_write_buffer_number, rocksdb_options_t *o, int v)
IGNORED(rocksdb_options_set_memtable_prefix_bloom_size_ratio, rocksdb_options_t *o, double v)
IGNORED(rocksdb_options_set_memtable_whole_key_filtering, rocksdb_options_t *o, unsigned char v)
IGNORED(rocksdb_options_set_paranoid_checks, rocksdb_options_t *o, unsigned char v)
IGNORED(rocksdb_options_set_skip_checking_sst_file_sizes_on_db_open, rocksdb_options_t *o, unsigned char v)
IGNORED(rocksdb_options_set_skip_stats_update_on_db_open, rocksdb_options_t *o, unsigned char v)
IGNORED(rocksdb_options_set_stats_dump_period_sec, rocksdb_options_t *o, unsigned v)
IGNORED(rocksdb_options_set_stats_persist_period_sec, rocksdb_options_t *o, unsigned v)
IGNORED(rocksdb_options_set_wal_recovery_mode, rocksdb_options_t *o, int v)
IGNORED(rocksdb_options_set_write_buffer_size, rocksdb_options_t *o, size_t v)
IGNORED(rocksdb_readoptions_set_fill_cache, rocksdb_readoptions_t *o, unsigned char v)
IGNORED(rocksdb_readoptions_set_read_tier, rocksdb_readoptions_t *o, int v)
MADE(rocksdb_writeoptions_t, rocksdb_writeoptions_create, void)
IGNORED(rocksdb_writeoptions_destroy, rocksdb_writeoptions_t *o)
IGNORED(rocksdb_writeoptions_set_sync, rocksdb_writeoptions_t *o, unsigned char v)

/* index_close looks at it. */
rocksdb_options_t *
rocksdb_options_create(void)
{
	static char options;

	return (rocksdb_options_t *)(void *)&options;
}

#endif
