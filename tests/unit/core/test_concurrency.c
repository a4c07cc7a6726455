/*
 * Several threads put, copy, rename and delete the same keys. Afterwards the feed, replayed in the order of its serials, gives exactly the listing and the
 * contents that are there; each change that was acknowledged is in it once, at its serial, and its condition held there; the counters agree.
 * Run with "mem", "embedded" or "compacted"; over the last two also by a process that is killed.
 */
#include "store.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/wait.h>

#define WORKERS 6
#define STEPS 200
#define KILLS 2
#define KILL_AFTER 300 /* acknowledgements */
#define KEY_BYTES 32
#define ETAG_BYTES 48
#define STATES_MAX 512

static const struct bytes bucket_name = { (const uint8_t *)"together", 8 };
static const char *driver;
static const char *program;

/* Something that was acknowledged; plain, so that it goes through a pipe. */
struct done {
	enum change_kind kind;
	bool is_copy;
	char key[KEY_BYTES];
	char from[KEY_BYTES];         /* a copy's, a rename's */
	char etag[ETAG_BYTES];        /* a put's */
	char if_match[ETAG_BYTES];    /* empty: not asked for */
	bool if_none_match;
	uint64_t id;                  /* of the body that was put */
	uint64_t serial;              /* 0: the verb does not tell */
	bool seen;                    /* in the feed */
};

struct worker {
	pthread_t thread;
	struct test_store store; /* the shared one, with a request of its own */
	unsigned steps;          /* 0: until the process is killed */
	int fd;                  /* where to tell of what was done; -1: keep it */
	struct done *done;
	size_t count;
};

static _Atomic uint64_t next_id = 1;

/* --- what threads do ------------------------------------------------------------------------------------------------------------- */

static void
key_pick(char out[KEY_BYTES])
{
	static const char *const directories[] = { "", "d/", "q/", "z/", "a/", "a/b/" };
	static const char *const names[] = { "1", "2", "a", "" };
	const char *directory = directories[random_u64() % 6];

	snprintf(out, KEY_BYTES, "%s%s", directory, names[random_u64() % (*directory ? 4 : 3)]);
}

static void
body_fill(uint8_t *out, size_t size, uint64_t id)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(id * 131 + i * (2 * id + 1) / 97);
	store_u64(out, id);
}

static size_t
size_pick(void)
{
	switch (random_u64() % 20) {
	case 0:
		return 0; /* with a key that ends in '/': a directory's marker */
	case 1:
		return 300000; /* too large for the journal */
	case 2:
		return 1200000; /* two blocks */
	default:
		return 8 + random_u64() % 3000;
	}
}

/* A body of an id of its own; the caller frees it. An empty one has none. */
static struct bytes
body_make(struct done *d)
{
	size_t size = size_pick();
	uint8_t *body = malloc(size + 8);

	if (size) {
		d->id = atomic_fetch_add(&next_id, 1);
		body_fill(body, size, d->id);
	}
	return bytes_of(body, size);
}

static void
acknowledged(struct worker *w, struct done *d, const struct version *version)
{
	if (version) {
		d->serial = version->serial;
		assert(version->etag.len < ETAG_BYTES);
		memcpy(d->etag, version->etag.data, version->etag.len);
	}
	if (w->fd >= 0)
		assert(write(w->fd, d, sizeof(*d)) == sizeof(*d));
	else
		w->done[w->count++] = *d;
}

/* What a race may answer. */
static bool
may_be(enum rfs_err err)
{
	return err == RFS_ERR_PRECONDITION_FAILED || err == RFS_ERR_NO_SUCH_KEY || err == RFS_ERR_NOT_EMPTY || err == RFS_ERR_CONDITIONAL_CONFLICT ||
	       err == RFS_ERR_CONFLICT;
}

/* Sometimes a condition, which is often true. */
static struct conditions
condition_pick(struct worker *w, struct done *d)
{
	struct object_get_args args = { .bucket = bucket_name, .key = bytes_str(d->key), .head_only = true };
	struct conditions c = { 0 };
	struct object_get get;
	uint64_t which = random_u64() % 6;

	if (which == 0) {
		d->if_none_match = true;
		c.if_none_match = BYTES_LITERAL("*");
	} else if (which == 1 && object_get_open(&w->store.core, store_request(&w->store), &args, &get) == RFS_OK) {
		memcpy(d->if_match, get.version.etag.data, get.version.etag.len);
		c.if_match = bytes_str(d->if_match);
		object_get_close(&get);
	}
	return c;
}

static void
step_put(struct worker *w, struct done *d)
{
	struct object_put_args args = { .bucket = bucket_name, .key = bytes_str(d->key), .conditions = condition_pick(w, d) };
	struct bytes body = body_make(d);
	struct version version;
	enum rfs_err err;

	d->kind = CHANGE_PUT;
	args.size = (int64_t)body.len;
	err = store_put_with(&w->store, store_request(&w->store), &args, body, &version);
	if (!err)
		acknowledged(w, d, &version);
	else
		assert(may_be(err));
	free((void *)body.data);
}

static void
step_multipart(struct worker *w, struct done *d)
{
	struct test_store *t = &w->store;
	struct upload_create_args create = { .bucket = bucket_name, .key = bytes_str(d->key) };
	struct object_put_args args = { .bucket = bucket_name, .key = create.key, .part_number = 1 };
	struct upload_part_claim claim = { .number = 1 };
	struct upload_complete_args complete = { .bucket = bucket_name, .key = create.key, .parts = &claim, .part_count = 1, .size = -1 };
	struct bytes id, body = body_make(d);
	char id_text[2 * UPLOAD_ID_BYTES + 1], etag[ETAG_BYTES] = "";
	struct version version;
	enum rfs_err err;

	assert(upload_create(&t->core, store_request(t), &create, &id) == RFS_OK);
	memcpy(id_text, id.data, id.len);
	args.upload = complete.upload = bytes_of(id_text, id.len);
	args.size = (int64_t)body.len;
	assert(store_put_with(t, store_request(t), &args, body, &version) == RFS_OK);
	memcpy(etag, version.etag.data, version.etag.len);
	claim.etag = bytes_str(etag);
	free((void *)body.data);
	d->kind = CHANGE_PUT;
	complete.conditions = condition_pick(w, d);
	err = upload_complete(&t->core, store_request(t), &complete, &version);
	if (!err)
		acknowledged(w, d, &version);
	else
		assert(may_be(err));
}

static void
step_copy(struct worker *w, struct done *d)
{
	struct object_copy_args args = { .from_bucket = bucket_name, .to = { .bucket = bucket_name, .size = -1 } };
	struct version version;
	enum rfs_err err;

	do
		key_pick(d->from);
	while (strcmp(d->from, d->key) == 0);
	d->kind = CHANGE_PUT;
	d->is_copy = true;
	args.from_key = bytes_str(d->from);
	args.to.key = bytes_str(d->key);
	args.to.conditions = condition_pick(w, d);
	err = object_copy(&w->store.core, store_request(&w->store), &args, &version);
	if (!err)
		acknowledged(w, d, &version);
	else
		assert(may_be(err));
}

static void
step_delete(struct worker *w, struct done *d)
{
	struct object_delete_args args = { .bucket = bucket_name, .key = bytes_str(d->key), .conditions = condition_pick(w, d) };
	bool removed;
	enum rfs_err err;

	if (d->if_none_match)
		args.conditions = (struct conditions){ 0 };
	d->if_none_match = false;
	d->kind = CHANGE_DELETE;
	err = object_delete(&w->store.core, store_request(&w->store), &args, &removed);
	if (!err && removed)
		acknowledged(w, d, NULL);
	else
		assert(!err || may_be(err));
}

/* An object, or a directory with all that is in it. */
static void
step_rename(struct worker *w, struct done *d)
{
	static const char *const directories[] = { "d/", "q/", "z/" };
	struct object_rename_args args = { .bucket = bucket_name };
	size_t from = random_u64() % 3;
	enum rfs_err err;

	if (random_u64() % 2) {
		strcpy(d->from, directories[from]);
		strcpy(d->key, directories[(from + 1 + random_u64() % 2) % 3]);
	} else {
		static const char *const names[] = { "1", "2", "d/1", "z/2" };

		from = random_u64() % 4;
		strcpy(d->from, names[from]);
		strcpy(d->key, names[(from + 1 + random_u64() % 3) % 4]);
	}
	d->kind = CHANGE_RENAME;
	args.from = bytes_str(d->from);
	args.to = bytes_str(d->key);
	err = object_rename(&w->store.core, store_request(&w->store), &args);
	if (!err)
		acknowledged(w, d, NULL);
	else
		assert(may_be(err));
}

static void *
worker_run(void *data)
{
	static void (*const steps[])(struct worker *, struct done *) = {
		step_put, step_put, step_put, step_put, step_multipart, step_copy, step_copy, step_delete, step_delete, step_rename,
	};
	struct worker *w = data;

	for (unsigned i = 0; !w->steps || i < w->steps; i++) {
		struct done d;

		memset(&d, 0, sizeof(d));
		key_pick(d.key);
		steps[random_u64() % 10](w, &d);
	}
	return NULL;
}

static void
workers_start(struct test_store *t, struct worker *workers, unsigned steps, int fd)
{
	for (size_t i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];

		*w = (struct worker){ .store = *t, .steps = steps, .fd = fd };
		w->store.rq.arena = arena_new(65536);
		sem_init(&w->store.woken, 0, 0);
		w->done = calloc(steps + 1, sizeof(*w->done));
		assert(pthread_create(&w->thread, NULL, worker_run, w) == 0);
	}
}

/* --- what must be there afterwards ------------------------------------------------------------------------------------------------ */

struct state {
	char key[KEY_BYTES];
	uint64_t serial;
	uint64_t size;
	uint8_t object_id[OBJECT_ID_BYTES];
	char etag[ETAG_BYTES]; /* empty: not known */
	uint64_t id;           /* of the body; 0: not known */
};

struct replay {
	struct test_store *t;
	struct done *done;
	size_t done_count;
	size_t unseen; /* of them */
	size_t extra;  /* changes in the feed that nobody was told of */
	struct state states[STATES_MAX];
	size_t count;
};

static struct state *
state_find(struct replay *r, const char *key)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->states[i].key, key) == 0)
			return &r->states[i];
	return NULL;
}

static void
state_remove(struct replay *r, const char *key)
{
	struct state *s = state_find(r, key);

	if (s)
		*s = r->states[--r->count];
}

static struct state *
state_set(struct replay *r, const char *key)
{
	struct state *s = state_find(r, key);

	if (!s) {
		assert_true(r->count < STATES_MAX);
		s = &r->states[r->count++];
	}
	memset(s, 0, sizeof(*s));
	strcpy(s->key, key);
	return s;
}

/* What was told of a change: by its serial, or the first one that did the same and was told without a serial. */
static struct done *
done_find(struct replay *r, const struct change_row *change, uint64_t serial, const char *key, const char *from)
{
	for (size_t i = 0; i < r->done_count; i++) {
		struct done *d = &r->done[i];

		if (d->seen || d->kind != change->kind || d->serial != (d->serial ? serial : 0) || strcmp(d->key, key) != 0)
			continue;
		if (d->kind == CHANGE_RENAME && strcmp(d->from, from) != 0)
			continue;
		d->seen = true;
		r->unseen--;
		return d;
	}
	r->extra++;
	return NULL;
}

/* The key's state is still the one before this change. */
static void
condition_verify(struct replay *r, const struct done *d)
{
	const struct state *s = state_find(r, d->key);

	if (d->if_none_match)
		assert_null(s);
	if (*d->if_match)
		assert_non_null(s);
	if (*d->if_match && *s->etag)
		assert_string_equal(s->etag, d->if_match);
}

static void
replay_put(struct replay *r, const struct change_row *change, const char *key, const struct done *d, uint64_t serial)
{
	struct state from = { 0 }, *s;

	if (d)
		condition_verify(r, d);
	/* A copy is of what its source was at the copy's serial. */
	if (d && d->is_copy) {
		s = state_find(r, d->from);
		assert_non_null(s);
		from = *s;
		assert_int_equal(change->size, from.size);
	}
	s = state_set(r, key);
	s->serial = serial;
	s->size = change->size;
	memcpy(s->object_id, change->object_id, OBJECT_ID_BYTES);
	if (d) {
		strcpy(s->etag, d->etag);
		s->id = d->is_copy ? from.id : d->id;
	}
	if (d && d->is_copy && *from.etag)
		assert_string_equal(s->etag, from.etag);
}

static void
replay_rename(struct replay *r, const char *from, const char *to, uint64_t serial)
{
	size_t len = strlen(from);
	struct state moved, *s;

	if (from[len - 1] != '/') {
		s = state_find(r, from);
		assert_non_null(s);
		moved = *s;
		state_remove(r, from);
		s = state_set(r, to);
		*s = moved;
		strcpy(s->key, to);
		s->serial = serial;
		return;
	}
	state_remove(r, to); /* an empty directory's marker */
	for (size_t i = 0; i < r->count; i++) {
		s = &r->states[i];
		assert_int_not_equal(strncmp(s->key, to, strlen(to)), 0);
		if (strncmp(s->key, from, len) != 0)
			continue;
		if (strcmp(s->key, from) == 0 && s->size == 0)
			s->serial = serial; /* its marker is the row that was moved; with bytes it is an entry below it */
		strcpy(moved.key, s->key + len);
		snprintf(s->key, KEY_BYTES, "%s%s", to, moved.key);
	}
}

static void
replay_change(struct replay *r, const struct change_row *change, uint64_t serial)
{
	char key[KEY_BYTES] = "", from[KEY_BYTES] = "";
	const struct done *d;

	assert_true(change->name.len < KEY_BYTES && change->new_name.len < KEY_BYTES);
	memcpy(change->kind == CHANGE_RENAME ? from : key, change->name.data, change->name.len);
	if (change->kind == CHANGE_RENAME)
		memcpy(key, change->new_name.data, change->new_name.len);
	d = done_find(r, change, serial, key, from);
	switch (change->kind) {
	case CHANGE_PUT:
		replay_put(r, change, key, d, serial);
		break;
	case CHANGE_DELETE:
		assert_non_null(state_find(r, key));
		if (d && d->serial)
			condition_verify(r, d);
		state_remove(r, key);
		break;
	case CHANGE_RENAME:
		replay_rename(r, from, key, serial);
		break;
	default:
		fail_msg("a change of kind %d", (int)change->kind);
	}
}

/* Serials rise, and each row names the one before it. */
static void
replay_feed(struct replay *r, uint64_t bucket)
{
	struct request *rq = store_request(r->t);
	struct bytes next = key_feed(rq->arena, bucket), end = key_after_prefix(rq->arena, next);
	struct row_page page = { .more = true };
	uint64_t previous = 0;

	while (page.more) {
		assert_int_equal(metadata_scan(r->t->core.metadata, rq, next, end, 1000, false, &page), RFS_OK);
		for (size_t i = 0; i < page.count; i++) {
			struct change_row change;
			uint64_t serial = load_be64(page.rows[i].key.data + page.rows[i].key.len - 8);

			assert_int_equal(change_decode(page.rows[i].value, &change), RFS_OK);
			assert_true(serial > previous);
			assert_int_equal(serial, page.rows[i].serial);
			assert_int_equal(change.previous, previous);
			previous = serial;
			if (change.kind != CHANGE_BUCKET)
				replay_change(r, &change, serial);
			next = key_after_prefix(rq->arena, page.rows[i].key);
		}
	}
}

static void
content_verify(struct replay *r, const struct state *s)
{
	uint8_t *body = NULL, *expected;
	size_t len = 0;

	assert_int_equal(store_get(r->t, "together", bytes_str(s->key), (struct byte_range){ 0 }, &body, &len), RFS_OK);
	assert_int_equal(len, s->size);
	if (len) {
		if (s->id)
			assert_int_equal(load_u64(body), s->id);
		expected = malloc(len);
		body_fill(expected, len, load_u64(body));
		assert_memory_equal(body, expected, len);
		free(expected);
	}
	free(body);
}

static void
listing_verify(struct replay *r)
{
	struct object_list_args args = { .bucket = bucket_name, .limit = 1000 };
	struct bucket_usage usage;
	struct object_list list;
	int64_t bytes = 0;

	assert_int_equal(object_list(&r->t->core, store_request(r->t), &args, &list), RFS_OK);
	assert_false(list.more);
	assert_int_equal(list.count, r->count);
	for (size_t i = 0; i < list.count; i++) {
		const struct version *v = &list.items[i].version;
		char key[KEY_BYTES] = "";
		struct state *s;

		memcpy(key, list.items[i].key.data, list.items[i].key.len);
		s = state_find(r, key);
		assert_non_null(s);
		assert_int_equal(v->serial, s->serial);
		assert_int_equal(v->content.size, s->size);
		assert_memory_equal(v->object_id, s->object_id, OBJECT_ID_BYTES);
		if (*s->etag)
			assert_true(bytes_equal_str(v->etag, s->etag));
		bytes += (int64_t)v->content.size;
	}
	assert_int_equal(bucket_usage(&r->t->core, store_request(r->t), bucket_name, &usage), RFS_OK);
	assert_int_equal(usage.objects, r->count);
	assert_int_equal(usage.bytes, bytes);
}

/* `extra`: how many changes may be there that nobody was told of. */
static void
verify(struct test_store *t, struct done *done, size_t count, size_t extra)
{
	struct replay *r = calloc(1, sizeof(*r));
	struct bucket_row bucket;

	*r = (struct replay){ .t = t, .done = done, .done_count = count, .unseen = count };
	for (size_t i = 0; i < count; i++)
		done[i].seen = false;
	assert_int_equal(bucket_find(t->core.metadata, store_request(t), bucket_name, &bucket), RFS_OK);
	replay_feed(r, bucket.id);
	assert_int_equal(r->unseen, 0);
	assert_true(r->extra <= extra);
	listing_verify(r);
	for (size_t i = 0; i < r->count; i++)
		content_verify(r, &r->states[i]);
	free(r);
}

static void
bucket_make(struct test_store *t)
{
	struct bucket_create_args create = { .name = bucket_name };

	assert_int_equal(bucket_create(&t->core, store_request(t), &create), RFS_OK);
}

static void
what_threads_did_together_is_what_the_feed_says(void **state)
{
	struct worker workers[WORKERS];
	struct test_store t;
	struct done *done = calloc(WORKERS * STEPS, sizeof(*done));
	size_t count = 0;

	store_open_on(&t, driver, NULL);
	bucket_make(&t);
	workers_start(&t, workers, STEPS, -1);
	for (size_t i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		memcpy(done + count, workers[i].done, workers[i].count * sizeof(*done));
		count += workers[i].count;
		free(workers[i].done);
		arena_free(workers[i].store.rq.arena);
		sem_destroy(&workers[i].store.woken);
	}
	assert_true(count > WORKERS * STEPS / 4);
	verify(&t, done, count, 0);
	free(done);
	store_close(&t);
}

/* --- over a kill ------------------------------------------------------------------------------------------------------------------ */

/* The child: this program again. Works until it is killed. */
static int
child_main(const char *dir, int fd, uint64_t first_id)
{
	struct worker workers[WORKERS];
	struct test_store t;

	atomic_store(&next_id, first_id);
	store_open_in(&t, dir, driver, NULL);
	workers_start(&t, workers, 0, fd);
	pthread_join(workers[0].thread, NULL);
	return 1;
}

/* What a child told until it was killed is added to `done`. */
static void
child_run(const char *dir, uint64_t first_id, struct done **done, size_t *count)
{
	char fd_text[16], id_text[32];
	int ends[2], status;
	size_t told = 0;
	struct done d;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	snprintf(fd_text, sizeof(fd_text), "%d", ends[1]);
	snprintf(id_text, sizeof(id_text), "%llu", (unsigned long long)first_id);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(program, program, driver, dir, fd_text, id_text, (char *)NULL);
		_exit(1);
	}
	close(ends[1]);
	while (read(ends[0], &d, sizeof(d)) == sizeof(d)) {
		*done = realloc(*done, (*count + 1) * sizeof(d));
		(*done)[(*count)++] = d;
		if (++told == KILL_AFTER)
			kill(pid, SIGKILL);
	}
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(told >= KILL_AFTER);
}

static void
what_was_told_before_a_kill_is_in_the_feed_once(void **state)
{
	struct done *done = NULL;
	size_t count = 0;
	struct test_store t;
	char dir[64];

	if (strcmp(driver, "mem") == 0)
		skip();
	store_open_on(&t, driver, NULL);
	bucket_make(&t);
	strcpy(dir, t.dir);
	for (size_t i = 0; i < KILLS; i++) {
		store_shut(&t);
		child_run(dir, (i + 1) << 32, &done, &count);
		store_open_in(&t, dir, driver, NULL);
		verify(&t, done, count, (i + 1) * WORKERS);
	}
	free(done);
	store_close(&t);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_threads_did_together_is_what_the_feed_says),
		cmocka_unit_test(what_was_told_before_a_kill_is_in_the_feed_once),
	};

	program = argv[0];
	driver = argc > 1 ? argv[1] : "embedded";
	if (argc == 5)
		return child_main(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10));
	return cmocka_run_group_tests_name(driver, tests, NULL, NULL);
}
