/* Reading for damage: every block of every object and upload is read, what is wrong is named, and what has changed
 * meanwhile is not wrong. */
#include "base/metrics.h"
#include "dedup_help.h"
#include "managers/storage/scrub.h"

/* Writes 20 blocks of a body in 3 segments, and more of everything. */
static void
fill(struct test_store *t)
{
	struct bytes small = body_make(1000, 1), large = body_make(20 * SMALL_BLOCK, 2),
		     part = body_make(UPLOAD_PART_MIN_BYTES, 3);
	struct upload_part_claim claims[2];
	char id[33], etags[2][33], name[16];
	struct bytes upload;

	bucket_make(t, "read", false);
	blocks_resize(t, "read", SMALL_BLOCK, SMALL_SEGMENT);
	put(t, "read", "dir/small", small);
	put(t, "read", "dir/", bytes_of("", 0));
	put(t, "read", "large", large);
	upload = upload_begin(t, "read", "parts", id);
	claims[0] = (struct upload_part_claim){
		.number = 1, .etag = part_put(t, "read", "parts", upload, 1, part, etags[0])};
	claims[1] = (struct upload_part_claim){
		.number = 2, .etag = part_put(t, "read", "parts", upload, 2, small, etags[1])};
	complete(t, "read", "parts", upload, claims, 2);
	upload = upload_begin(t, "read", "open", id);
	(void)part_put(t, "read", "open", upload, 1, large, etags[0]);
	for (int i = 0; i < 300; i++) { /* more than a page of keys */
		snprintf(name, sizeof(name), "many/%03d", i);
		put(t, "read", name, bytes_of(large.data, 10));
	}
	body_free(small);
	body_free(large);
	body_free(part);
}

/* The hash that the row of a run's last block says is another: its bytes are wrong. */
static void
run_damage(struct test_store *t, uint64_t first)
{
	uint64_t bucket = bucket_number(t, "read");
	struct bytes key = key_block(t->rq.arena, bucket, first), value;
	struct batch *b = batch_new(bucket);
	struct run_row run;
	struct row row;

	assert_int_equal(metadata_get(t->core.metadata, &t->rq, key, &row), RFS_OK);
	assert_int_equal(run_decode(row.value, &run), RFS_OK);
	value = arena_copy(t->rq.arena, row.value);
	((uint8_t *)value.data)[value.len - run.count * BLOCK_LOCATION_BYTES - 1] ^= 1;
	batch_put(b, key, value);
	assert_int_equal(metadata_commit(t->core.metadata, &t->rq, b), RFS_OK);
	batch_free(b);
}

static struct content
content_of(struct test_store *t, const char *key)
{
	struct bucket_row bucket;
	struct name_ref at;

	assert_int_equal(bucket_find(t->core.metadata, store_request(t), BYTES_LITERAL("read"), &bucket), RFS_OK);
	assert_int_equal(name_resolve(t->core.metadata, &t->rq, &bucket, bytes_str(key), &at), RFS_OK);
	assert_true(at.found);
	return at.head.content;
}

/* The run of a content's segment. */
static uint64_t
run_of(struct test_store *t, uint64_t data_id, uint64_t number)
{
	uint64_t bucket = bucket_number(t, "read");
	struct row_page page = table_rows(t, bucket, TABLE_SEGMENT);

	for (size_t i = 0; i < page.count; i++) {
		struct segment_row segment;

		if (load_be64(page.rows[i].key.data + 9) != data_id || load_be64(page.rows[i].key.data + 17) != number)
			continue;
		assert_int_equal(segment_decode(t->rq.arena, page.rows[i].value, &segment), RFS_OK);
		return segment.extents[0].first;
	}
	fail_msg("there is no such segment");
	return 0;
}

static struct verify_report
read_all(struct test_store *t)
{
	struct verify_report report;
	struct bucket_row bucket;
	struct request *rq = store_request(t);

	assert_int_equal(bucket_find(t->core.metadata, rq, BYTES_LITERAL("read"), &bucket), RFS_OK);
	assert_int_equal(bucket_verify(t->core.storage, rq, &bucket, &report), RFS_OK);
	return report;
}

static void
a_whole_bucket_is_read_to_the_last_byte(void **state)
{
	struct recount recount;
	struct test_store t;

	store_open(&t);
	fill(&t);
	recount = bucket_recount(&t, "read");
	struct verify_report report = read_all(&t);

	assert_int_equal(report.objects, 304);
	assert_int_equal(report.bytes, recount.bytes);
	assert_int_equal(report.damaged, 0);
	store_close(&t);
}

static void
is_listed(struct test_store *t, const struct verify_report *report, const char *key)
{
	struct damage_info *list;
	size_t count, known = 0, listed = 0;

	for (size_t i = 0; i < report->damaged; i++)
		listed += bytes_equal_str(report->list[i].key, key);
	assert_int_equal(listed, 1);
	assert_int_equal(damage_list(t->core.storage, &t->rq, &list, &count), RFS_OK);
	assert_int_equal(count, report->damaged);
	for (size_t i = 0; i < count; i++)
		known += bytes_equal_str(list[i].key, key) && bytes_equal_str(list[i].bucket, "read");
	assert_int_equal(known, 1);
}

static void
damage_is_told_by_key_and_forgotten_with_the_object(void **state)
{
	struct verify_report report;
	struct damage_info *list;
	struct content parts;
	struct test_store t;
	struct part_ref *refs;
	struct bucket_row bucket;
	size_t count;

	store_open(&t);
	fill(&t);
	run_damage(&t, content_of(&t, "dir/small").block);
	run_damage(&t, run_of(&t, content_of(&t, "large").data_id, 2));
	parts = content_of(&t, "parts");
	assert_int_equal(bucket_find(t.core.metadata, &t.rq, BYTES_LITERAL("read"), &bucket), RFS_OK);
	assert_int_equal(content_parts(t.core.storage, &t.rq, &bucket, &parts, &refs, &count, NULL), RFS_OK);
	run_damage(&t, refs[1].content.block);
	report = read_all(&t);
	assert_int_equal(report.objects, 304);
	assert_int_equal(report.damaged, 3);
	is_listed(&t, &report, "dir/small");
	is_listed(&t, &report, "large");
	is_listed(&t, &report, "parts");
	put(&t, "read", "dir/small", BYTES_LITERAL("new"));
	delete (&t, "read", "parts");
	assert_int_equal(damage_list(t.core.storage, store_request(&t), &list, &count), RFS_OK);
	assert_int_equal(count, 1);
	assert_true(bytes_equal_str(list[0].key, "large"));
	t.damaged = true;
	store_close(&t);
}

static void
a_part_of_an_open_upload_is_read_too(void **state)
{
	struct verify_report report;
	struct damage_info *list;
	size_t count;
	struct row_page page;
	struct part_row part;
	struct test_store t;

	store_open(&t);
	fill(&t);
	store_request(&t);
	page = table_rows(&t, bucket_number(&t, "read"), TABLE_UPLOAD_PART);
	assert_int_equal(part_decode(page.rows[page.count - 1].value, &part), RFS_OK);
	run_damage(&t, run_of(&t, part.content.data_id, 1));
	report = read_all(&t);
	assert_int_equal(report.damaged, 1);
	is_listed(&t, &report, "open");
	store_stop(&t);
	store_start(&t);
	assert_int_equal(damage_list(t.core.storage, store_request(&t), &list, &count), RFS_OK);
	assert_int_equal(count, 1);
	assert_true(bytes_equal_str(list[0].key, "open"));
	t.damaged = true;
	store_close(&t);
}

/* A row that cannot be read says of no content which one it is; nor has what is empty a number. */
static void
what_is_empty_is_not_damaged(void **state)
{
	struct bucket_row bucket;
	struct damage_info *list;
	struct test_store t;
	size_t count;

	store_open(&t);
	fill(&t);
	assert_int_equal(bucket_find(t.core.metadata, store_request(&t), BYTES_LITERAL("read"), &bucket), RFS_OK);
	damage_note(t.core.storage, &bucket, BYTES_LITERAL("dir/small"),
		key_upload_part(t.rq.arena, bucket.id, (uint8_t[UPLOAD_ID_BYTES]){0}, 1), 0, "verify",
		"its row cannot be read");
	assert_false(damage_is_known(t.core.storage, bucket.id, 0));
	assert_int_equal(damage_list(t.core.storage, &t.rq, &list, &count), RFS_OK);
	assert_int_equal(count, 0); /* there is no such row */
	assert_int_equal(metric_get(METRIC_DAMAGED_OBJECTS), 0);
	store_close(&t);
}

/* --- what changes meanwhile
 * ------------------------------------------------------------------------------------------------------ */

struct meddler {
	struct test_store *t;
	bool done;
	size_t found;
};

static void
none_is_told(void *data, struct bytes key)
{
}

static void
found_is_counted(void *data, const struct bucket_row *bucket, struct bytes key, struct bytes row, uint64_t data_id,
	const char *problem)
{
	((struct meddler *)data)->found++;
}

/* Before the first block of what is read: the object is replaced, and the blocks of the old one go. */
static bool
object_replaced(void *data, uint64_t bytes)
{
	struct meddler *m = data;

	if (m->done)
		return true;
	m->done = true;
	put(m->t, "read", "large", BYTES_LITERAL("small now"));
	bucket_settle(m->t, bucket_number(m->t, "read"));
	return true;
}

static void
an_object_that_is_replaced_while_it_is_read_is_not_damaged(void **state)
{
	struct bytes large = body_make(20 * SMALL_BLOCK, 2);
	struct meddler meddler = {0};
	struct verify verify = {object_replaced, none_is_told, found_is_counted, &meddler};
	struct bucket_row bucket;
	struct test_store t;

	store_open(&t);
	bucket_make(&t, "read", false);
	blocks_resize(&t, "read", SMALL_BLOCK, SMALL_SEGMENT);
	put(&t, "read", "large", large);
	meddler.t = &t;
	assert_int_equal(bucket_find(t.core.metadata, store_request(&t), BYTES_LITERAL("read"), &bucket), RFS_OK);
	assert_int_equal(verify_run(t.core.storage, &bucket, bytes_of(NULL, 0), &verify), RFS_OK);
	assert_true(meddler.done);
	assert_int_equal(meddler.found, 0);
	body_free(large);
	store_close(&t);
}

static void
another_is_refused(void *data)
{
	struct test_store *t = data;
	struct request rq = {.arena = arena_new(4096), .may_block = true};
	struct verify_report report;
	struct bucket_row bucket;

	assert_int_equal(bucket_find(t->core.metadata, &rq, BYTES_LITERAL("read"), &bucket), RFS_OK);
	assert_int_equal(bucket_verify(t->core.storage, &rq, &bucket, &report), RFS_ERR_SLOW_DOWN);
	arena_free(rq.arena);
	t->verbs = 1000;
}

static void
one_bucket_is_verified_at_a_time(void **state)
{
	struct test_store t;

	store_open(&t);
	fill(&t);
	t.rules.op[FAULT_READ].before = another_is_refused;
	t.rules.op[FAULT_READ].before_data = &t;
	t.rules.op[FAULT_READ].before_at = fault_calls(&t.drivers, FAULT_READ) + 1;
	assert_int_equal(read_all(&t).objects, 304);
	assert_int_equal(t.verbs, 1000);
	assert_int_equal(read_all(&t).objects, 304);
	store_close(&t);
}

static bool
not_one_byte(void *data, uint64_t bytes)
{
	return false;
}

static void
who_reads_may_be_stopped(void **state)
{
	struct meddler meddler = {0};
	struct verify verify = {not_one_byte, none_is_told, found_is_counted, &meddler};
	struct bucket_row bucket;
	struct test_store t;

	store_open(&t);
	fill(&t);
	assert_int_equal(bucket_find(t.core.metadata, store_request(&t), BYTES_LITERAL("read"), &bucket), RFS_OK);
	assert_int_equal(verify_run(t.core.storage, &bucket, bytes_of(NULL, 0), &verify), RFS_ERR_CANCELLED);
	assert_int_equal(meddler.found, 0);
	store_close(&t);
}

/* By its own thread, as often as it is asked. */
static void
the_scrub_reads_every_bucket(void **state)
{
	struct scrub_status status;
	struct damage_info *list;
	struct test_store t;
	size_t count;

	store_open(&t);
	fill(&t);
	bucket_make(&t, "empty", false);
	run_damage(&t, content_of(&t, "dir/small").block);
	scrub_status(t.core.storage, &status);
	assert_false(status.running);
	assert_int_equal(status.started_ns, 0);
	scrub_start(t.core.storage);
	do {
		sleep_ns(1000000);
		scrub_status(t.core.storage, &status);
	} while (status.running);
	assert_true(status.finished_ns >= status.started_ns);
	assert_int_equal(status.objects, 304);
	assert_int_equal(status.damaged, 1);
	assert_int_equal(damage_list(t.core.storage, store_request(&t), &list, &count), RFS_OK);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].found_by, "scrub");
	t.damaged = true;
	store_close(&t);
}

/* --- over a restart ---------------------------------------------------------------------------------------------- */

static struct scrub_status
round_wait(struct test_store *t)
{
	struct scrub_status status;

	do {
		sleep_ns(1000000);
		scrub_status(t->core.storage, &status);
	} while (status.running);
	return status;
}

static void
the_last_round_is_known_after_a_restart(void **state)
{
	struct scrub_status before, after;
	struct test_store t;

	store_open(&t);
	fill(&t);
	run_damage(&t, content_of(&t, "dir/small").block);
	scrub_start(t.core.storage);
	before = round_wait(&t);
	store_stop(&t);
	store_start(&t);
	scrub_status(t.core.storage, &after);
	assert_false(after.running);
	assert_int_equal(after.started_ns, before.started_ns);
	assert_int_equal(after.finished_ns, before.finished_ns);
	assert_int_equal(after.objects, 304);
	assert_int_equal(after.bytes, before.bytes);
	assert_int_equal(after.damaged, 1);
	t.damaged = true;
	store_close(&t);
}

struct watcher {
	struct test_store *t;
	sem_t started;          /* the storage manager is there */
	_Atomic uint64_t reads; /* when the hook was called */
};

/* No round is gone on with, or begun, after it. */
static void
scrub_is_stopped(void *data)
{
	struct watcher *w = data;

	sem_wait(&w->started);
	storage_shut_down(w->t->core.storage);
	w->reads = fault_calls(&w->t->drivers, FAULT_READ);
}

static void
hook(struct watcher *w, enum fault_op op, uint64_t calls)
{
	w->reads = 0;
	w->t->rules.op[op].before = scrub_is_stopped;
	w->t->rules.op[op].before_data = w;
	w->t->rules.op[op].before_at = fault_calls(&w->t->drivers, op) + calls;
}

static void
hook_wait(struct watcher *w)
{
	while (!w->reads)
		sleep_ns(1000000);
}

/* A round is stopped after `reads`; after a restart one ends, by itself or because it was asked for. What it had to
 * read. */
static uint64_t
break_off(struct test_store *t, uint64_t reads, bool by_hand)
{
	struct watcher w = {.t = t};
	uint64_t before;

	sem_init(&w.started, 0, 1);
	hook(&w, FAULT_READ, reads);
	scrub_start(t->core.storage);
	hook_wait(&w);
	store_stop(t);
	t->config.scrub_interval = by_hand ? INT64_C(86400000) : 100;
	before = fault_calls(&t->drivers, FAULT_READ);
	hook(&w, FAULT_COMMIT, 1); /* of what is kept of it */
	store_start(t);
	sem_post(&w.started);
	if (by_hand)
		scrub_start(t->core.storage);
	hook_wait(&w);
	sem_destroy(&w.started);
	store_stop(t);
	t->config.scrub_interval = INT64_C(86400000);
	store_start(t);
	return w.reads - before;
}

static void
a_round_that_is_broken_off_goes_on(void **state)
{
	struct scrub_status first, last;
	struct test_store t;
	uint64_t reads, left;

	store_open(&t);
	fill(&t);
	bucket_settle(&t, bucket_number(&t, "read"));
	reads = fault_calls(&t.drivers, FAULT_READ);
	scrub_start(t.core.storage);
	first = round_wait(&t);
	reads = fault_calls(&t.drivers, FAULT_READ) - reads;
	left = break_off(&t, reads / 2, false);
	assert_in_range(left, reads / 2, reads - 100);
	scrub_status(t.core.storage, &last);
	assert_int_equal(last.objects, first.objects);
	assert_true(last.finished_ns > first.finished_ns);
	assert_int_equal(break_off(&t, reads / 2, true), reads);
	store_close(&t);
}

static void
a_round_begins_when_it_is_due_however_often_it_is_started(void **state)
{
	const int64_t hour = INT64_C(3600000000000), week = 168 * hour, now = 1000 * week, least = hour / 6;
	struct scrub_row kept = {0};

	assert_int_equal(scrub_wait_ns(&kept, now, week), least);
	assert_int_equal(scrub_wait_ns(&kept, now, 1000), 1000);
	kept.finished_ns = now - hour;
	assert_int_equal(scrub_wait_ns(&kept, now, week), week - hour);
	kept.finished_ns = now - week;
	assert_int_equal(scrub_wait_ns(&kept, now, week), least);
	kept.finished_ns = now - 100 * week;
	assert_int_equal(scrub_wait_ns(&kept, now, week), least);
	kept.finished_ns = now + 100 * week; /* the clock was set back */
	assert_int_equal(scrub_wait_ns(&kept, now, week), week);
	kept.finished_ns = now - hour;
	kept.bucket = 1; /* and one was broken off since */
	assert_int_equal(scrub_wait_ns(&kept, now, week), least);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_bucket_is_read_to_the_last_byte),
		cmocka_unit_test(damage_is_told_by_key_and_forgotten_with_the_object),
		cmocka_unit_test(a_part_of_an_open_upload_is_read_too),
		cmocka_unit_test(what_is_empty_is_not_damaged),
		cmocka_unit_test(an_object_that_is_replaced_while_it_is_read_is_not_damaged),
		cmocka_unit_test(one_bucket_is_verified_at_a_time),
		cmocka_unit_test(who_reads_may_be_stopped),
		cmocka_unit_test(the_scrub_reads_every_bucket),
		cmocka_unit_test(the_last_round_is_known_after_a_restart),
		cmocka_unit_test(a_round_that_is_broken_off_goes_on),
		cmocka_unit_test(a_round_begins_when_it_is_due_however_often_it_is_started),
	};

	driver = "mem";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
