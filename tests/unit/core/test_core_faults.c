/*
 * test_core_faults.c: each call to the drivers fails once, by its number, while every verb does its work. The verb then says so or has done what
 * it was asked, and the store is whole: what was acknowledged is there, and each row fits the others.
 */
#include "base/log.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <fcntl.h>

#define KEYS 8
#define BODY_MOST ((size_t)1500000)
#define NOTHING 1u /* the first of the contents that a key may have: it is not there */

static const struct bytes bucket_name = { (const uint8_t *)"faults", 6 };

enum step_kind { PUT, GET, COPY, RENAME, DELETE, MULTIPART, LIST };

/* The content that a step writes is known by the step's number. */
struct step {
	enum step_kind kind;
	const char *key;
	const char *from;
	size_t size;
};

static const struct step steps[] = {
	{ .kind = LIST },
	{ .kind = PUT, .key = "old", .size = 3000 },
	{ .kind = PUT, .key = "dir/one", .size = 200 },
	/* Up to here nothing fails. */
	{ .kind = PUT, .key = "dir/two", .size = 40000 },
	{ .kind = PUT, .key = "large", .size = BODY_MOST },
	{ .kind = GET, .key = "large" },
	{ .kind = PUT, .key = "old", .size = 100 },
	{ .kind = COPY, .key = "copy", .from = "large" },
	{ .kind = RENAME, .key = "dir/moved", .from = "dir/two" },
	{ .kind = MULTIPART, .key = "parts", .size = 300000 },
	{ .kind = LIST },
	{ .kind = DELETE, .key = "dir/one" },
	{ .kind = DELETE, .key = "never" },
	{ .kind = GET, .key = "dir/moved" },
	{ .kind = DELETE, .key = "copy" },
	{ .kind = PUT, .key = "large", .size = 10 },
	{ .kind = GET, .key = "parts" },
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))
#define STEPS_BEFORE 3

struct known {
	const char *key;
	uint32_t may; /* bit i: the content of step i; NOTHING */
};

struct scene {
	struct test_store t;
	struct known known[KEYS];
	size_t count;
};

static struct known *
known_find(struct scene *s, const char *key)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->known[i].key, key) == 0)
			return &s->known[i];
	assert_true(s->count < KEYS);
	s->known[s->count] = (struct known){ key, NOTHING };
	return &s->known[s->count++];
}

static struct bytes
body_of(size_t step)
{
	static uint8_t body[BODY_MOST];

	for (size_t i = 0; i < steps[step].size; i++)
		body[i] = (uint8_t)(step * 37 + i * 11 + i / 251);
	return bytes_of(body, steps[step].size);
}

/* An error is the one that was made, or says that what an error before it left undone is not there. */
static bool
may_fail(enum rfs_err err, const struct known *source)
{
	return err == RFS_ERR_IO || (err == RFS_ERR_NO_SUCH_KEY && source && (source->may & NOTHING));
}

static void
verify_get(struct scene *s, struct known *k, bool faults)
{
	uint8_t *body = NULL;
	size_t len = 0;
	enum rfs_err err = store_get(&s->t, "faults", bytes_str(k->key), (struct byte_range){ 0 }, &body, &len);

	if (err == RFS_ERR_NO_SUCH_KEY)
		assert_true(k->may & NOTHING);
	else if (err)
		assert_true(faults && err == RFS_ERR_IO);
	for (size_t i = 1; !err && i <= STEPS; i++) {
		assert_true(i < STEPS); /* else it is none of those that it may be */
		if ((k->may & (1u << i)) && len == steps[i].size && memcmp(body, body_of(i).data, len) == 0)
			break;
	}
	free(body);
}

static void
verify_list(struct scene *s, bool faults)
{
	struct object_list_args args = { .bucket = bucket_name, .limit = 100 };
	struct object_list list;
	enum rfs_err err = object_list(&s->t.core, store_request(&s->t), &args, &list);
	size_t listed = 0;

	if (err) {
		assert_true(faults && err == RFS_ERR_IO);
		return;
	}
	for (size_t i = 0; i < s->count; i++) {
		bool is_listed = false;

		for (size_t k = 0; k < list.count; k++)
			is_listed |= bytes_equal_str(list.items[k].key, s->known[i].key);
		assert_true(is_listed ? s->known[i].may != NOTHING : s->known[i].may & NOTHING);
		listed += is_listed;
	}
	assert_int_equal(listed, list.count);
}

static enum rfs_err
multipart(struct scene *s, const struct step *step, struct bytes body)
{
	struct upload_create_args create = { .bucket = bucket_name, .key = bytes_str(step->key) };
	struct object_put_args put = { .bucket = bucket_name, .key = create.key, .size = (int64_t)body.len, .part_number = 1 };
	struct upload_part_claim claim = { .number = 1 };
	struct upload_complete_args complete = { .bucket = bucket_name, .key = create.key, .parts = &claim, .part_count = 1, .size = -1 };
	char id[2 * UPLOAD_ID_BYTES + 1] = "", etag[33];
	struct version version;
	struct bytes upload;
	enum rfs_err err;

	if ((err = upload_create(&s->t.core, store_request(&s->t), &create, &upload)))
		return err;
	memcpy(id, upload.data, upload.len);
	put.upload = complete.upload = bytes_str(id);
	if ((err = store_put_with(&s->t, store_request(&s->t), &put, body, &version)))
		return err;
	snprintf(etag, sizeof(etag), "%.*s", (int)version.etag.len, (const char *)version.etag.data);
	claim.etag = bytes_str(etag);
	return upload_complete(&s->t.core, store_request(&s->t), &complete, &version);
}

static enum rfs_err
copy(struct scene *s, const struct step *step)
{
	struct object_copy_args args = {
		.from_bucket = bucket_name, .from_key = bytes_str(step->from), .to = { .bucket = bucket_name, .key = bytes_str(step->key), .size = -1 },
	};
	struct version version;

	return object_copy(&s->t.core, store_request(&s->t), &args, &version);
}

static void
step_write(struct scene *s, const struct step *step)
{
	struct known *k = known_find(s, step->key), *source = step->from ? known_find(s, step->from) : NULL;
	uint32_t written = source ? source->may & ~NOTHING : 1u << (step - steps);
	enum rfs_err err;

	switch (step->kind) {
	case PUT:
		err = store_put(&s->t, "faults", bytes_str(step->key), body_of((size_t)(step - steps)), NULL);
		break;
	case MULTIPART:
		err = multipart(s, step, body_of((size_t)(step - steps)));
		break;
	case COPY:
		err = copy(s, step);
		break;
	case RENAME:
		err = store_rename(&s->t, "faults", bytes_str(step->from), bytes_str(step->key));
		break;
	default:
		err = store_delete(&s->t, "faults", bytes_str(step->key));
		written = NOTHING;
		break;
	}
	assert_true(!err || may_fail(err, source));
	k->may = err == RFS_ERR_IO ? k->may | written : err ? k->may : written;
	if (step->kind == RENAME)
		source->may = err == RFS_ERR_IO ? source->may | NOTHING : err ? source->may : NOTHING;
}

static void
steps_do(struct scene *s, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (steps[i].kind == LIST)
			verify_list(s, true);
		else if (steps[i].kind == GET)
			verify_get(s, known_find(s, steps[i].key), true);
		else
			step_write(s, &steps[i]);
	}
}

/* With the nth call of this kind failing. False: there were fewer calls. */
static bool
scene_play(enum fault_op op, uint64_t nth, bool deduplicate)
{
	struct bucket_create_args create = { .name = bucket_name };
	struct bucket_changes changes = { .deduplicate = &deduplicate };
	struct scene *s = calloc(1, sizeof(*s));
	bool struck;

	store_open(&s->t);
	assert_int_equal(bucket_create(&s->t.core, store_request(&s->t), &create), RFS_OK);
	assert_int_equal(bucket_configure(&s->t.core, store_request(&s->t), bucket_name, &changes), RFS_OK);
	steps_do(s, 0, STEPS_BEFORE);
	nth += fault_calls(&s->t.drivers, op);
	s->t.rules.op[op].fail_at = nth;
	steps_do(s, STEPS_BEFORE, STEPS);
	struck = fault_calls(&s->t.drivers, op) >= nth;
	s->t.rules.op[op].fail_at = 0;
	for (size_t i = 0; i < s->count; i++)
		verify_get(s, &s->known[i], false);
	verify_list(s, false);
	store_close(&s->t);
	free(s);
	return struck;
}

static void
any_call_may_fail(void **state)
{
	for (enum fault_op op = 0; op < FAULT_OP_COUNT; op++)
		for (int deduplicate = 0; deduplicate < 2; deduplicate++)
			for (uint64_t nth = 1; scene_play(op, nth, deduplicate); nth++)
				;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_call_may_fail),
	};

	log_init(LOG_ERROR, LOG_TEXT, getenv("RESTFS_TEST_LOG") ? 2 : open("/dev/null", O_WRONLY));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
