/*
 * test_durability.c: what the embedded driver tells its callers, held against what it has told the kernel: at each
 * acknowledgement, every byte that matters is synced, and every name too. The calls are seen by functions of this
 * program in front of those of the C library, which also may do less than they were asked to.
 */
#include "driver_help.h"
#include "drivers/embedded/embedded_int.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BUCKET 5
#define NODES_MAX 64

/* A file or directory below volumes/. What was written, or renamed in it, counts; so does what was when the last good
 * sync began. */
struct node {
	ino_t inode;
	unsigned written, safe;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct node nodes[NODES_MAX];
static size_t node_count;
static unsigned unsafe_names; /* renamed before their bytes were synced */
static bool is_watching;
static _Atomic bool calls_stumble; /* reads and writes do half of what they are asked to, or are interrupted */
static _Atomic unsigned stumbles;
static bool sync_stops; /* a sync of a journal waits until it may go on */
static unsigned syncs_stopped;

/* Looked up at each call, as in io_trace.c. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* NULL: not below volumes/, or nobody watches. */
static struct node *
node_find_locked(ino_t inode, const char *path)
{
	if (!is_watching || !strstr(path, "/volumes"))
		return NULL;
	for (size_t i = 0; i < node_count; i++)
		if (nodes[i].inode == inode)
			return &nodes[i];
	assert(node_count < NODES_MAX);
	nodes[node_count] = (struct node){.inode = inode};
	return &nodes[node_count++];
}

static struct node *
node_of_locked(int fd)
{
	char link[64], path[4096];
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || fstat(fd, &st) != 0)
		return NULL;
	path[n] = 0;
	return node_find_locked(st.st_ino, path);
}

/*
 * Every second call is interrupted. False: it goes on, with the first piece only, and half of that. Past the page cache
 * only whole pages go.
 */
static bool
is_interrupted(int fd, const struct iovec *iov, int *count, struct iovec *half)
{
	if (!atomic_load(&calls_stumble) || *count == 0 || (fcntl(fd, F_GETFL) & O_DIRECT))
		return false;
	if (atomic_fetch_add(&stumbles, 1) % 2) {
		errno = EINTR;
		return true;
	}
	*half = *iov;
	*count = 1;
	if (half->iov_len > 1)
		half->iov_len /= 2;
	return false;
}

static ssize_t
written(int fd, const struct iovec *iov, int count, off_t offset)
{
	struct iovec half;
	struct node *node;
	ssize_t n;

	half.iov_len = 0;
	if (is_interrupted(fd, iov, &count, &half))
		return -1;
	n = NEXT(pwritev)(fd, half.iov_len ? &half : iov, count, offset);
	pthread_mutex_lock(&lock);
	node = node_of_locked(fd);
	/* What is written in the background, zeros ahead and seals, nobody is told of. */
	if (n > 0 && node && thread_role_get() != THREAD_BACKGROUND)
		node->written++;
	pthread_mutex_unlock(&lock);
	return n;
}

static int
synced(int fd, int (*call)(int))
{
	struct node *node;
	unsigned before = 0;
	int failed;

	pthread_mutex_lock(&lock);
	node = node_of_locked(fd);
	if (node)
		before = node->written;
	/* Only of what the committer wrote: the zeroer's syncs go on. */
	if (node && sync_stops && thread_role_get() == THREAD_COMMITTER) {
		syncs_stopped++;
		pthread_cond_broadcast(&changed);
		while (sync_stops)
			pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
	failed = call(fd);
	pthread_mutex_lock(&lock);
	if (node && !failed && before > node->safe)
		node->safe = before;
	pthread_mutex_unlock(&lock);
	return failed;
}

/* Both names of each, whatever the width of off_t. */
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset);

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	return written(fd, iov, count, offset);
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
	return written(fd, iov, count, offset);
}

static ssize_t
stumbled_read(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct iovec half;

	half.iov_len = 0;
	return is_interrupted(fd, iov, &count, &half)
		       ? -1
		       : NEXT(preadv2)(fd, half.iov_len ? &half : iov, count, offset, flags);
}

ssize_t
preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	return stumbled_read(fd, iov, count, offset, flags);
}

ssize_t
preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
{
	return stumbled_read(fd, iov, count, offset, flags);
}

ssize_t
pread(int fd, void *data, size_t len, off_t offset)
{
	struct iovec all = {data, len};

	return stumbled_read(fd, &all, 1, offset, 0);
}

ssize_t
pread64(int fd, void *data, size_t len, off64_t offset)
{
	return pread(fd, data, len, offset);
}

int
fdatasync(int fd)
{
	return synced(fd, NEXT(fdatasync));
}

int
fsync(int fd)
{
	return synced(fd, NEXT(fsync));
}

int
rename(const char *from, const char *to)
{
	int failed = NEXT(rename)(from, to);
	char directory[4096];
	struct stat st;
	struct node *node;

	pthread_mutex_lock(&lock);
	if (!failed && stat(to, &st) == 0 && (node = node_find_locked(st.st_ino, to))) {
		unsafe_names += node->written != node->safe;
		snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(to, '/') - to), to);
		if (stat(directory, &st) == 0 && (node = node_find_locked(st.st_ino, directory)))
			node->written++;
	}
	pthread_mutex_unlock(&lock);
	return failed;
}

/* How many files and directories hold something that was not synced. */
static unsigned
count_unsafe(void)
{
	unsigned count = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < node_count; i++)
		count += nodes[i].written != nodes[i].safe;
	count += unsafe_names;
	pthread_mutex_unlock(&lock);
	return count;
}

static void
watch(bool on)
{
	pthread_mutex_lock(&lock);
	is_watching = on;
	node_count = 0;
	unsafe_names = 0;
	pthread_mutex_unlock(&lock);
}

static void
open_store(struct store *s)
{
	char error[512];

	assert_int_equal(embedded_open(&s->config, &s->drivers, error), RFS_OK);
}

static void
close_store(struct store *s)
{
	watch(false);
	s->drivers.metadata->ops->close(s->drivers.metadata);
}

static int
setup(void **state)
{
	struct store *s = calloc(1, sizeof(*s));

	store_init(s, "16M");
	watch(true);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	watch(false);
	store_fini(*state);
	free(*state);
	return 0;
}

/* --- the tests ---------------------------------------------------------------------------------------------------- */

/* A commit on its way; at its end, on the driver's thread, what is not safe is counted. */
struct told {
	struct batch *batch;
	sem_t done;
	unsigned unsafe;
};

static void
told_done(struct batch *b)
{
	struct told *t = b->done_data;

	t->unsafe = count_unsafe();
	sem_post(&t->done);
}

static void
commit_begin(struct store *s, struct told *t)
{
	sem_init(&t->done, 0, 0);
	t->batch->done = told_done;
	t->batch->done_data = t;
	s->drivers.metadata->ops->commit(s->drivers.metadata, t->batch);
}

static enum rfs_err
commit_end(struct told *t)
{
	enum rfs_err err;

	while (sem_wait(&t->done) != 0)
		;
	err = t->batch->error;
	sem_destroy(&t->done);
	batch_free(t->batch);
	return err;
}

/* A row that must not be there yet. */
static struct batch *
creation(const char *name, const char *value)
{
	struct batch *b = batch_new(BUCKET);

	batch_checked(batch_put(b, test_key(b->arena, BUCKET, TABLE_ROWS, name), bytes_str(value)), 0);
	return b;
}

static void
a_commit_is_synced_before_it_is_acknowledged(void **state)
{
	struct store *s = *state;

	open_store(s);
	assert_int_equal(count_unsafe(), 0); /* the first volume and its name */
	for (unsigned i = 0; i < 10; i++) {
		struct told t;
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		t.batch = creation(name, "v");
		commit_begin(s, &t);
		assert_int_equal(commit_end(&t), RFS_OK);
		assert_int_equal(t.unsafe, 0);
	}
	close_store(s);
}

static void
a_block_is_synced_before_its_wait_ends(void **state)
{
	struct store *s = *state;
	struct storage_driver *d;
	struct slice payload = slice_new(100000);
	struct block_ticket ticket;

	memset(slice_writable(&payload), 7, payload.len);
	open_store(s);
	d = s->drivers.storage;
	for (uint64_t number = 1; number < 5; number++) {
		assert_int_equal(d->ops->put(d, &s->rq, BUCKET, number, &payload, 1, &ticket), RFS_OK);
		assert_int_equal(d->ops->wait(d, &s->rq, &ticket, 1), RFS_OK);
		assert_int_equal(count_unsafe(), 0);
	}
	slice_unref(&payload);
	close_store(s);
}

static void
a_checkpoint_is_synced_before_it_is_told(void **state)
{
	struct store *s = *state;
	struct told t = {.batch = creation("a", "v")};
	struct checkpoint_info info;

	open_store(s);
	commit_begin(s, &t);
	assert_int_equal(commit_end(&t), RFS_OK);
	assert_int_equal(s->drivers.metadata->ops->checkpoint(s->drivers.metadata, &s->rq, NULL, NULL, &info), RFS_OK);
	assert_int_equal(count_unsafe(), 0);
	close_store(s);
}

/* As a killed process leaves it: what it wrote is there, and nobody knows whether it was synced. */
static void
copy_as_killed(struct store *s, struct store *copy)
{
	char command[600];

	store_init(copy, "16M");
	snprintf(command, sizeof(command), "cp -r %s/volumes %s", s->directory, copy->directory);
	assert_int_equal(system(command), 0);
}

static void
what_recovery_builds_on_is_synced_first(void **state)
{
	struct store *s = *state, copy;
	struct told t = {.batch = creation("a", "v")};
	char path[4096];
	struct stat st;
	struct node *node;

	open_store(s);
	commit_begin(s, &t);
	assert_int_equal(commit_end(&t), RFS_OK);
	copy_as_killed(s, &copy);
	close_store(s);
	snprintf(path, sizeof(path), "%s/volumes/%016x.vol", copy.directory, 1);
	assert_int_equal(stat(path, &st), 0);
	watch(true);
	pthread_mutex_lock(&lock);
	node = node_find_locked(st.st_ino, path);
	node->written++;
	pthread_mutex_unlock(&lock);
	open_store(&copy);
	assert_int_equal(count_unsafe(), 0);
	assert_true(test_get(&copy, BUCKET, TABLE_ROWS, "a").found);
	close_store(&copy);
	store_fini(&copy);
}

/* The rest is asked for again, wherever that happens. */
static void
calls_that_do_half_of_their_work_go_on(void **state)
{
	struct store *s = *state, copy;
	struct storage_driver *d;
	struct slice payload = slice_new(100000), read_back;
	struct block_ticket ticket;
	struct told t = {.batch = creation("a", "v")};

	memset(slice_writable(&payload), 7, payload.len);
	atomic_store(&stumbles, 0);
	atomic_store(&calls_stumble, true);
	open_store(s);
	commit_begin(s, &t);
	assert_int_equal(commit_end(&t), RFS_OK);
	d = s->drivers.storage;
	assert_int_equal(d->ops->put(d, &s->rq, BUCKET, 1, &payload, 1, &ticket), RFS_OK);
	assert_int_equal(d->ops->wait(d, &s->rq, &ticket, 1), RFS_OK);
	copy_as_killed(s, &copy);
	close_store(s);
	open_store(&copy);
	assert_true(test_get(&copy, BUCKET, TABLE_ROWS, "a").found);
	d = copy.drivers.storage;
	assert_int_equal(d->ops->get(d, &copy.rq, BUCKET, 1, &ticket.location, 0, payload.len, &read_back), RFS_OK);
	assert_memory_equal(read_back.data, payload.data, payload.len);
	assert_true(atomic_load(&stumbles) > 10);
	slice_unref(&read_back);
	slice_unref(&payload);
	close_store(&copy);
	atomic_store(&calls_stumble, false);
	store_fini(&copy);
}

/* While the first is being synced, the second must not judge by what was before both. */
static void
of_two_creations_under_way_one_is_refused(void **state)
{
	struct store *s = *state;
	struct told first = {.batch = creation("a", "1")}, second = {.batch = creation("a", "2")};

	open_store(s);
	pthread_mutex_lock(&lock);
	sync_stops = true;
	syncs_stopped = 0;
	pthread_mutex_unlock(&lock);
	commit_begin(s, &first);
	pthread_mutex_lock(&lock);
	while (!syncs_stopped)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	commit_begin(s, &second);
	pthread_mutex_lock(&lock);
	sync_stops = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	assert_int_equal(commit_end(&first), RFS_OK);
	assert_int_equal(commit_end(&second), RFS_ERR_CONFLICT);
	assert_memory_equal(test_get(s, BUCKET, TABLE_ROWS, "a").value.data, "1", 1);
	close_store(s);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_commit_is_synced_before_it_is_acknowledged),
		TEST(a_block_is_synced_before_its_wait_ends),
		TEST(a_checkpoint_is_synced_before_it_is_told),
		TEST(what_recovery_builds_on_is_synced_first),
		TEST(of_two_creations_under_way_one_is_refused),
		TEST(calls_that_do_half_of_their_work_go_on),
	};

	log_init(LOG_ERROR, LOG_TEXT, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
