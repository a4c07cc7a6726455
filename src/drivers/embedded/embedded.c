/*
 * embedded.c: the embedded driver's tables, its opening and closing, its lock and the flusher of RocksDB's log.
 *
 * DATA/lock          held (flock) while the store is open; the process id is in it
 * DATA/volumes/      the store
 * DATA/index/        RocksDB; can be deleted: it is rebuilt from the volumes
 * DATA/index-damaged  the next open rebuilds it (index_damage.c)
 */
#include "drivers/embedded/embedded_int.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/mutant.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_SECONDS 1
#define FLUSH_BYTES ((uint64_t)64 * 1024 * 1024)

static struct embedded *
embedded_of(struct metadata_driver *d)
{
	return (struct embedded *)(void *)d;
}

void
embedded_poison(struct embedded *e, const char *what)
{
	const char *nothing = NULL;

	if (MUTANT("poison-ignored"))
		return;
	atomic_compare_exchange_strong(&e->failed, &nothing, what);
	if (atomic_exchange(&e->poisoned, true))
		return;
	metric_set(METRIC_STORE_POISONED, 1);
	log_error(0, "%s failed: the store takes no more writes until it is opened again", what);
}

void
embedded_applied(struct embedded *e, uint64_t bytes)
{
	pthread_mutex_lock(&e->flush_lock);
	e->flush_pending += bytes;
	if (e->flush_pending >= FLUSH_BYTES)
		pthread_cond_signal(&e->flush_wake);
	pthread_mutex_unlock(&e->flush_lock);
}

/* Bounds what recovery has to apply again: a second, or 64 MiB of journal. [background] */
static void *
flusher_main(void *embedded)
{
	struct embedded *e = embedded;
	struct timespec until;
	bool pending;

	thread_role_set(THREAD_BACKGROUND, "flusher");
	pthread_mutex_lock(&e->flush_lock);
	while (!e->flush_stop) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += FLUSH_SECONDS;
		while (!e->flush_stop && e->flush_pending < FLUSH_BYTES &&
			pthread_cond_timedwait(&e->flush_wake, &e->flush_lock, &until) == 0)
			;
		pending = e->flush_pending != 0;
		e->flush_pending = 0;
		pthread_mutex_unlock(&e->flush_lock);
		if (pending && index_flush_wal(&e->index))
			log_warn(0, "sync the index's log: recovery will take longer");
		space_tend(e);
		pthread_mutex_lock(&e->flush_lock);
	}
	pthread_mutex_unlock(&e->flush_lock);
	return NULL;
}

/* Batches that were parked, or that a loop gave up, go on here. */
static void *
resume_main(void *embedded)
{
	struct embedded *e = embedded;
	struct commit *c;

	thread_role_set(THREAD_WORKER, "resume");
	while ((c = latch_next_ready(&e->latches)))
		commit_proceed(c, false);
	return NULL;
}

static enum rfs_err
embedded_get(struct metadata_driver *d, struct request *rq, struct bytes key, struct row *out)
{
	struct embedded *e = embedded_of(d);
	struct row_cache_place place;
	enum rfs_err err;

	if (rq->uncached)
		return index_get(&e->index, rq->arena, key, !rq->may_block, out);
	if (row_cache_get(e->rows, rq->arena, key, out, &place))
		return RFS_OK;
	err = index_get(&e->index, rq->arena, key, !rq->may_block, out);
	if (!err)
		row_cache_put(e->rows, key, out, &place);
	return err;
}

static enum rfs_err
embedded_multi_get(
	struct metadata_driver *d, struct request *rq, const struct bytes *keys, size_t count, struct row *out)
{
	enum rfs_err err = RFS_OK;

	for (size_t i = 0; i < count && !err; i++)
		err = embedded_get(d, rq, keys[i], &out[i]);
	return err;
}

static enum rfs_err
embedded_scan(struct metadata_driver *d, struct request *rq, struct bytes from, struct bytes to, size_t limit,
	bool reverse, struct row_page *out)
{
	return index_scan(&embedded_of(d)->index, rq, from, to, limit, reverse, out);
}

static void
embedded_info(struct metadata_driver *d, struct metadata_info *out)
{
	struct embedded *e = embedded_of(d);
	uint64_t keys = 0, tables = 0;

	rocksdb_property_int(e->index.db, "rocksdb.estimate-num-keys", &keys);
	rocksdb_property_int(e->index.db, "rocksdb.total-sst-files-size", &tables);
	*out = (struct metadata_info){.name = "embedded",
		.fused = true,
		.poisoned = atomic_load(&e->poisoned),
		.failed = atomic_load(&e->failed),
		.damaged = atomic_load(&e->index.damaged),
		.rows_estimate = keys,
		.bytes_on_disk = atomic_load(&e->disk_bytes) + tables};
	checkpoint_newest(e, &out->checkpoint);
}

static void
stop_flusher(struct embedded *e)
{
	pthread_mutex_lock(&e->flush_lock);
	e->flush_stop = true;
	pthread_cond_signal(&e->flush_wake);
	pthread_mutex_unlock(&e->flush_lock);
	pthread_join(e->flush_thread, NULL);
}

static void
stop_zeroer(struct embedded *e)
{
	struct journal *j = &e->journal;

	pthread_mutex_lock(&j->zero_lock);
	j->zero_stop = true;
	pthread_cond_signal(&j->zero_wake);
	pthread_mutex_unlock(&j->zero_lock);
	pthread_join(j->zero_thread, NULL);
}

static void
stop_sealer(struct embedded *e)
{
	pthread_mutex_lock(&e->sealer.lock);
	e->sealer.stop = true;
	pthread_cond_signal(&e->sealer.wake);
	pthread_mutex_unlock(&e->sealer.lock);
	pthread_join(e->sealer.thread, NULL);
}

/* From the front of a commit's way to its end, so that nothing is lost between two threads. */
static void
stop_commits(struct embedded *e)
{
	struct journal *j = &e->journal;

	latch_stop(&e->latches);
	pthread_join(e->resume_thread, NULL);
	pthread_mutex_lock(&j->queue_lock);
	j->stop = true;
	pthread_cond_signal(&j->queue_wake);
	pthread_mutex_unlock(&j->queue_lock);
	pthread_join(j->thread, NULL);
	pthread_mutex_lock(&e->applier.lock);
	e->applier.stop = true;
	pthread_cond_signal(&e->applier.wake);
	pthread_mutex_unlock(&e->applier.lock);
	pthread_join(e->applier.thread, NULL);
}

void
embedded_free(struct embedded *e)
{
	if (e->applier.wb)
		rocksdb_writebatch_destroy(e->applier.wb);
	row_sorter_fini(&e->applier.sorter);
	index_close(&e->index);
	row_cache_free(e->rows);
	volume_cache_fini(&e->cache);
	latch_table_fini(&e->latches);
	cell_table_fini(&e->cells);
	sealer_fini(&e->sealer);
	checkpoints_fini(&e->checkpoints);
	space_close(e);
	if (e->journal.fd >= 0)
		close(e->journal.fd);
	if (e->journal.zero_fd >= 0)
		close(e->journal.zero_fd);
	free(e->journal.iov);
	if (e->lock_fd >= 0)
		close(e->lock_fd);
	free(e->data);
	free(e);
}

static void
embedded_close(struct metadata_driver *d)
{
	struct embedded *e = embedded_of(d);
	enum rfs_err err = RFS_OK;

	ASSERT_MAY_BLOCK();
	atomic_store(&e->closing, true);
	stop_commits(e);
	stop_flusher(e);
	if (bulk_close(e))
		embedded_poison(e, "closing bulk volumes");
	if (!atomic_load(&e->poisoned))
		err = journal_close_clean(e);
	stop_zeroer(e);
	if (!err && !atomic_load(&e->poisoned))
		journal_cut(e);
	stop_sealer(e);
	if (!err && !atomic_load(&e->poisoned))
		err = index_flush_tables(&e->index);
	if (err)
		log_warn(0, "close the store: %s; the next start will recover", error_face(err)->text);
	embedded_free(e);
}

/* Its end comes with the metadata table's. */
static void
embedded_storage_close(struct storage_driver *d)
{
}

static const struct metadata_ops metadata_ops = {
	.get = embedded_get,
	.multi_get = embedded_multi_get,
	.scan = embedded_scan,
	.commit = embedded_commit,
	.info = embedded_info,
	.checkpoint = checkpoint_make,
	.describe = embedded_describe,
	.close = embedded_close,
};

static const struct storage_ops storage_ops = {
	.put = bulk_put,
	.wait = bulk_wait,
	.settle = bulk_settle,
	.get = block_get,
	.get_file = block_get_file,
	.remove = bulk_remove,
	.close = embedded_storage_close,
};

/*
 * Makes a directory, durably; false: errno says why. One that is there is synced too, where its parent may be read: who
 * made it, or another name beside it, may have been killed before the sync.
 */
static bool
make_directory(const char *path)
{
	char parent[4096], *slash;
	bool there = mkdir(path, 0700) != 0;

	if (there && errno != EEXIST)
		return false;
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		snprintf(parent, sizeof(parent), ".");
	else
		slash[slash == parent] = 0;
	return (there && access(parent, R_OK) != 0) || !sync_directory(parent);
}

/* Somebody's home directory, mistyped: there are files, and no store. */
static bool
is_foreign(const char *data)
{
	DIR *directory = opendir(data);
	struct dirent *entry;
	bool has_files = false, has_volumes = false;

	while (directory && (entry = readdir(directory))) {
		if (strcmp(entry->d_name, "volumes") == 0)
			has_volumes = true;
		else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			 strcmp(entry->d_name, "lost+found") != 0)
			has_files = true;
	}
	if (directory)
		closedir(directory);
	return has_files && !has_volumes;
}

static enum rfs_err
cannot_use(const char *data, int number, char *error)
{
	int len = snprintf(error, ERROR_BYTES, "cannot use %.400s as the data directory: %s", data, strerror(number));

	if (number == EACCES)
		snprintf(error + len, ERROR_BYTES - (size_t)len, " (for user %u)", (unsigned)geteuid());
	else if (number == ENOENT)
		snprintf(error + len, ERROR_BYTES - (size_t)len, " (the directory that it lies in must be there)");
	return error_from_errno(number);
}

enum rfs_err
store_lock(const char *data, int *fd, char *error)
{
	char path[4096], pid[32];
	int len;

	snprintf(path, sizeof(path), "%s/lock", data);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return cannot_use(data, errno, error);
	if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
		memset(pid, 0, sizeof(pid));
		if (pread(*fd, pid, sizeof(pid) - 1, 0) < 0)
			pid[0] = 0;
		pid[strcspn(pid, "\n")] = 0;
		snprintf(error, ERROR_BYTES, "the store in %.400s is in use by process %s, which has to stop first",
			data, pid);
		return RFS_ERR_LOCKED;
	}
	len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(*fd, 0) != 0 || pwrite(*fd, pid, (size_t)len, 0) != len)
		log_warn(0, "write the process id to %s: %s", path, strerror(errno));
	return RFS_OK;
}

static enum rfs_err
lock_store(struct embedded *e, char *error)
{
	char path[4096];

	if (is_foreign(e->data)) {
		snprintf(path, sizeof(path), "%s/salvage/volumes", e->data);
		snprintf(error, ERROR_BYTES,
			access(path, F_OK) == 0 ? "%.400s: `restfs salvage` was interrupted, and has to be run again"
						: "%.400s is no store and holds other files: give an empty directory, "
						  "or one that is not there yet",
			e->data);
		return RFS_ERR_UNSUPPORTED_FORMAT;
	}
	snprintf(path, sizeof(path), "%s/volumes", e->data);
	if (!make_directory(e->data) || !make_directory(path))
		return cannot_use(e->data, errno, error);
	return store_lock(e->data, &e->lock_fd, error);
}

struct embedded *
embedded_new(const struct config *config)
{
	struct embedded *e = xcalloc(1, sizeof(*e));
	struct journal *j = &e->journal;

	e->metadata.ops = &metadata_ops;
	e->storage.ops = &storage_ops;
	e->storage.volumes = &embedded_volume_ops;
	e->index.data = e->data = xstrdup(config->data);
	e->volume_bytes = (uint64_t)config->journal_volume_bytes;
	e->unsynced = !config->journal_sync;
	e->lock_fd = j->fd = j->zero_fd = e->space.fd = -1;
	e->hash_seed = random_u64();
	volume_cache_init(&e->cache);
	latch_table_init(&e->latches);
	cell_table_init(&e->cells);
	sealer_init(&e->sealer);
	checkpoints_init(&e->checkpoints);
	pthread_mutex_init(&j->queue_lock, NULL);
	pthread_cond_init(&j->queue_wake, NULL);
	pthread_cond_init(&j->rotated, NULL);
	j->queue_tail = &j->queue;
	pthread_mutex_init(&j->zero_lock, NULL);
	pthread_cond_init(&j->zero_wake, NULL);
	pthread_cond_init(&j->zero_done, NULL);
	pthread_mutex_init(&e->applier.lock, NULL);
	pthread_cond_init(&e->applier.wake, NULL);
	pthread_cond_init(&e->applier.room, NULL);
	e->applier.tail = &e->applier.queue;
	e->applier.wb = rocksdb_writebatch_create();
	row_sorter_init(&e->applier.sorter);
	pthread_mutex_init(&e->space.lock, NULL);
	pthread_mutex_init(&e->bulk.lock, NULL);
	pthread_cond_init(&e->bulk.wake, NULL);
	pthread_mutex_init(&e->flush_lock, NULL);
	pthread_cond_init(&e->flush_wake, NULL);
	return e;
}

static void
thread_start(pthread_t *thread, void *(*main)(void *), struct embedded *e)
{
	int failed = pthread_create(thread, NULL, main, e);

	if (failed) {
		log_error(0, "start a thread of the store: %s", strerror(failed));
		abort();
	}
}

static enum rfs_err
index_and_journal_open(struct embedded *e, const struct config *config, char *error)
{
	char path[4096];
	uint64_t bytes;
	enum rfs_err err;

	snprintf(path, sizeof(path), "%s/index", e->data);
	if ((err = index_damage_begin(e->data, path, &e->is_index_remade, &e->index_before, error)))
		return err;
	bytes = index_open_bytes(path);
	if (!space_for_index(e, SPACE_FREES, bytes)) {
		snprintf(error, ERROR_BYTES, "the disk is full: to open the store takes %llu MiB on the disk of %.400s",
			(unsigned long long)(bytes >> 20) + 1, path);
		return RFS_ERR_NO_SPACE;
	}
	if ((err = index_open(
		     &e->index, path, (size_t)config->index_cache_bytes, (size_t)config->index_buffer_bytes, error)))
		return err;
	e->index.unsynced = e->unsynced;
	if ((err = recover(e, error)) || !e->is_index_remade)
		return err;
	return (err = index_flush_wal(&e->index)) ? err : index_damage_end(e->data);
}

static enum rfs_err
open_embedded(struct embedded *e, const struct config *config, struct store_drivers *out, char *error)
{
	enum rfs_err err;

	error[0] = 0;
	metric_set(METRIC_STORE_POISONED, 0);
	metric_set(METRIC_INDEX_DAMAGED, 0);
	if ((err = lock_store(e, error)))
		goto out;
	space_open(e);
	e->volume_bytes = space_volume_bytes(e, e->volume_bytes);
	if ((err = index_and_journal_open(e, config, error)))
		goto out;
	e->rows = row_cache_new((size_t)config->index_row_bytes);
	space_tend(e); /* whether the disk is full is known before anything is written ahead */
	thread_start(&e->journal.zero_thread, zeroer_main, e);
	thread_start(&e->journal.thread, committer_main, e);
	thread_start(&e->applier.thread, apply_main, e);
	thread_start(&e->resume_thread, resume_main, e);
	thread_start(&e->flush_thread, flusher_main, e);
	thread_start(&e->sealer.thread, sealer_main, e);
	out->metadata = &e->metadata;
	out->storage = &e->storage;
out:
	if (err) {
		if (error[0] == 0)
			snprintf(error, ERROR_BYTES, "open the store %.400s: %s", e->data, error_face(err)->text);
		embedded_free(e);
	}
	return err;
}

/* An index whose damage shows while it is opened is made anew at once. */
enum rfs_err
embedded_open(const struct config *config, struct store_drivers *out, char *error)
{
	bool was_marked = index_damage_is_marked(config->data);
	enum rfs_err err = open_embedded(embedded_new(config), config, out, error);

	if (err && !was_marked && index_damage_is_marked(config->data))
		err = open_embedded(embedded_new(config), config, out, error);
	return err;
}

enum rfs_err
embedded_open_unsealed(const struct config *config, struct store_drivers *out, char *error)
{
	struct embedded *e = embedded_new(config);

	e->seals_nothing = true;
	return open_embedded(e, config, out, error);
}
