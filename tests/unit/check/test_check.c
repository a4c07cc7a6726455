/*
 * A store in which everything was done has no finding; and for each kind of finding there is a row, or a byte, whose
 * change is found as exactly that.
 */
#include "../core/fsck.h"
#include "victim.h"

/* --- a store with something of everything
 * ---------------------------------------------------------------------------------------- */

static void
move(struct test_store *t, const char *bucket, const char *from, const char *to)
{
	assert_int_equal(store_rename(t, bucket, bytes_str(from), bytes_str(to)), RFS_OK);
}

/* Blocks were put for it, and a staging row. */
static void
put_given_up(struct test_store *t, const char *bucket, struct bytes body)
{
	struct object_put_args args = {
		.bucket = bytes_str(bucket), .key = BYTES_LITERAL("given-up"), .size = (int64_t)body.len};
	struct object_put *put;
	struct slice slice = slice_copy(body);

	assert_int_equal(object_put_begin(&t->core, store_request(t), &args, &put), RFS_OK);
	assert_int_equal(object_put_write(put, slice), RFS_OK);
	slice_unref(&slice);
	object_put_abort(put);
}

static void
bucket_fill(struct test_store *t, const char *bucket, bool deduplicate)
{
	char id[33], etag[33], name[16];
	struct bytes upload;
	struct bytes small = body_make(1000, 1), large = body_make(20 * SMALL_BLOCK + 5, 2),
		     part = body_make(UPLOAD_PART_MIN_BYTES, 3);
	const struct bytes parts[3] = {part, small, large};

	bucket_make(t, bucket, false);
	blocks_resize(t, bucket, SMALL_BLOCK, SMALL_SEGMENT);
	dedup_set(t, bucket, deduplicate);
	put(t, bucket, "dir/one", small);
	put(t, bucket, "dir/sub/two", small);
	put(t, bucket, "dir/large", large);
	put(t, bucket, "large", large);
	put(t, bucket, "empty", bytes_of("", 0));
	put(t, bucket, "marker/", bytes_of("", 0));
	put(t, bucket, "marker/in", small);
	put(t, bucket, "with//empty/", small);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "many/%02d", i);
		put(t, bucket, name, i % 2 ? small : bytes_of(large.data, 100 + (size_t)i));
	}
	for (int i = 0; i < 40; i += 3) {
		snprintf(name, sizeof(name), "many/%02d", i);
		delete (t, bucket, name);
	}
	put(t, bucket, "dir/one", large);
	copy(t, bucket, "large", bucket, "copy/of/large");
	copy(t, bucket, "dir/sub/two", bucket, "copy/of/two");
	upload_whole(t, bucket, "parts", parts);
	copy(t, bucket, "parts", bucket, "copy/of/parts");
	move(t, bucket, "dir/", "moved/far/");
	move(t, bucket, "copy/of/two", "large");
	delete (t, bucket, "marker/");
	delete (t, bucket, "with//empty/");
	upload = upload_begin(t, bucket, "open", id);
	(void)part_put(t, bucket, "open", upload, 1, small, etag);
	(void)part_put(t, bucket, "open", upload, 2, large, etag);
	(void)part_put(t, bucket, "open", upload, 2, small, etag);
	upload = upload_begin(t, bucket, "aborted", id);
	(void)part_put(t, bucket, "aborted", upload, 1, large, etag);
	assert_int_equal(
		upload_abort(&t->core, store_request(t), bytes_str(bucket), BYTES_LITERAL("aborted"), upload), RFS_OK);
	put_given_up(t, bucket, large);
	body_free(small);
	body_free(large);
	body_free(part);
}

static void
bucket_gone(struct test_store *t)
{
	char id[33], etag[33];
	struct bytes upload;
	struct bytes body = body_make(1000, 4);

	bucket_make(t, "gone", false);
	upload = upload_begin(t, "gone", "open", id);
	(void)part_put(t, "gone", "open", upload, 1, body, etag);
	put(t, "gone", "in/it", body);
	delete (t, "gone", "in/it");
	assert_int_equal(bucket_remove(&t->core, store_request(t), BYTES_LITERAL("gone")), RFS_OK);
	body_free(body);
}

/* As when the process ends in the middle of a long put, of a copy: the driver takes no more. */
static void
life_cut_short(struct test_store *t, const char *bucket, unsigned commits)
{
	struct bytes body = body_make(30 * SMALL_BLOCK, 100 + commits);
	struct object_copy_args args = {
		.from_bucket = bytes_str(bucket),
		.from_key = BYTES_LITERAL("parts"),
		.to = {.bucket = bytes_str(bucket), .key = BYTES_LITERAL("cut-copy")},
	};
	struct version version;

	restart(t, commits);
	assert_int_not_equal(store_put(t, bucket, BYTES_LITERAL("cut"), body, NULL), RFS_OK);
	restart(t, commits);
	assert_int_not_equal(object_copy(&t->core, store_request(t), &args, &version), RFS_OK);
	restart(t, 0);
	body_free(body);
}

static void
nothing_found(struct test_store *t, size_t numbers)
{
	struct fsck fsck;

	assert_int_equal(fsck_run(&t->drivers, numbers, &fsck), RFS_OK);
	assert_int_equal(fsck.count, 0);
	assert_int_equal(fsck.totals.findings, 0);
	assert_int_equal(fsck.totals.buckets, 2); /* one was removed */
	assert_true(fsck.totals.objects >= 60);
	assert_true(fsck.totals.blocks >= 300);
	assert_true(fsck.totals.object_bytes > 20 * MB);
	fsck_free(&fsck);
}

static void
a_store_in_which_everything_was_done_is_clean(void **state)
{
	struct test_store t;

	store_open_on(&t, driver, NULL);
	people_make(&t);
	bucket_fill(&t, "plain", false);
	bucket_fill(&t, "dedup", true);
	bucket_gone(&t);
	life_cut_short(&t, "plain", 3);
	life_cut_short(&t, "dedup", 4);
	store_stop(&t); /* whatever the reaper is at */
	nothing_found(&t, 0);
	nothing_found(&t, 5);
	store_start(&t);
	bucket_settle(&t, bucket_number(&t, "plain"));
	bucket_settle(&t, bucket_number(&t, "dedup"));
	store_stop(&t);
	nothing_found(&t, 0);
	store_start(&t);
	store_close(&t);
}

/* --- damages
 * ---------------------------------------------------------------------------------------------------------------------
 */

/* Exactly what is expected, however few numbers are kept at once. */
static void
damage_found(struct victim *v, const struct damage *d, size_t numbers)
{
	struct fsck fsck;

	assert_int_equal(fsck_run(&v->t.drivers, numbers, &fsck), RFS_OK);
	for (size_t i = 0; i < fsck.count || d->found[i]; i++) {
		const char *found = i < fsck.count ? fsck.lines[i] : "nothing";

		if (!d->found[i] || strcmp(found, d->found[i]) != 0)
			fail_msg("%s: found %s instead of %s", d->name, found, d->found[i] ? d->found[i] : "nothing");
	}
	assert_int_equal(fsck.totals.findings, fsck.count);
	fsck_free(&fsck);
}

static void
each_damage_is_found_and_named(void **state)
{
	char template[64] = "";

	for (size_t i = 0; i < damage_count; i++) {
		struct victim v;

		if (damages[i].embedded_only && strcmp(driver, "mem") == 0)
			continue;
		victim_make(&v, driver, template);
		damages[i].make(&v);
		damage_found(&v, &damages[i], 0);
		damage_found(&v, &damages[i], 4);
		victim_free(&v);
	}
	if (template[0])
		directory_remove(template);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_in_which_everything_was_done_is_clean),
		cmocka_unit_test(each_damage_is_found_and_named),
	};

	driver = argc > 1 ? argv[1] : "embedded";
	return cmocka_run_group_tests_name(driver, tests, NULL, NULL);
}
