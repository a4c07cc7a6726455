/* victim.c: the store that is damaged; see victim.h. */
#include "victim.h"

void
people_make(struct test_store *t)
{
	struct bytes key, secret, none = bytes_of(NULL, 0);
	const struct identity *group;
	struct request *rq = store_request(t);

	assert_int_equal(auth_user_create(t->core.auth, rq, BYTES_LITERAL("anna"), false), RFS_OK);
	assert_int_equal(auth_user_create(t->core.auth, rq, BYTES_LITERAL("bert"), true), RFS_OK);
	assert_int_equal(auth_key_create(t->core.auth, rq, BYTES_LITERAL("anna"), NULL, BYTES_LITERAL("ANNAS-KEY"),
				 none, &key, &secret),
		RFS_OK);
	assert_int_equal(
		auth_key_create(t->core.auth, rq, BYTES_LITERAL("root"), NULL, none, none, &key, &secret), RFS_OK);
	assert_int_equal(auth_group_create(t->core.auth, rq, BYTES_LITERAL("group"), &group), RFS_OK);
	assert_int_equal(auth_group_add(t->core.auth, rq, BYTES_LITERAL("group"), BYTES_LITERAL("anna")), RFS_OK);
	assert_int_equal(auth_group_add(t->core.auth, rq, BYTES_LITERAL("group"), BYTES_LITERAL("bert")), RFS_OK);
	assert_int_equal(auth_user_remove(t->core.auth, rq, BYTES_LITERAL("bert")), RFS_OK);
}

void
upload_whole(struct test_store *t, const char *bucket, const char *key, const struct bytes bodies[3])
{
	struct upload_part_claim claims[3];
	char id[33], etags[3][33];
	struct bytes upload = upload_begin(t, bucket, key, id);

	for (uint32_t i = 0; i < 3; i++)
		claims[i] = (struct upload_part_claim){
			.number = i + 1, .etag = part_put(t, bucket, key, upload, i + 1, bodies[i], etags[i])};
	complete(t, bucket, key, upload, claims, 2);
}

static void
victim_fill(struct victim *v, const char *driver_name)
{
	struct bytes one = body_make(1000, 1), two = body_make(2000, 2), large = body_make(20 * SMALL_BLOCK, 3),
		     part = body_make(UPLOAD_PART_MIN_BYTES, 4);
	const struct bytes parts[3] = {part, one, two};
	char id[33], etag[33];
	struct bytes upload;

	store_open_on(&v->t, driver_name, NULL);
	people_make(&v->t);
	bucket_make(&v->t, "bbb", false);
	blocks_resize(&v->t, "bbb", SMALL_BLOCK, SMALL_SEGMENT);
	put(&v->t, "bbb", "dir/one", one);
	put(&v->t, "bbb", "dir/two", two);
	put(&v->t, "bbb", "large", large);
	put(&v->t, "bbb", "marker/", bytes_of("", 0));
	upload_whole(&v->t, "bbb", "parts", parts);
	upload = upload_begin(&v->t, "bbb", "up", id);
	(void)part_put(&v->t, "bbb", "up", upload, 1, two, etag);
	bucket_make(&v->t, "ddd", true);
	put(&v->t, "ddd", "x", one);
	put(&v->t, "ddd", "y", one);
	blocks_resize(&v->t, "ddd", SMALL_BLOCK, SMALL_SEGMENT);
	put(&v->t, "ddd", "large", large);
	bucket_settle(&v->t, bucket_number(&v->t, "bbb"));
	store_stop(&v->t);
	body_free(one);
	body_free(two);
	body_free(large);
	body_free(part);
}

static uint64_t
victim_bucket(struct victim *v, const char *name)
{
	struct row row;

	assert_int_equal(metadata_get(v->metadata, &v->rq,
				 key_table(v->rq.arena, DOMAIN_BUCKET, TABLE_NAME, bytes_str(name)), &row),
		RFS_OK);
	return load_u64(row.value.data);
}

static void
drivers_shut(struct victim *v)
{
	v->t.drivers.metadata->ops->close(v->t.drivers.metadata);
	config_fini(&v->t.config);
}

static void
directory_copy(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "cp -a --sparse=always %s/. %s", from, to);
	assert_int_equal(system(command), 0);
}

void
victim_make(struct victim *v, const char *driver_name, char template[64])
{
	char dir[] = "/tmp/restfs-check-XXXXXX", error[512];

	if (strcmp(driver_name, "mem") == 0) {
		victim_fill(v, driver_name);
	} else {
		if (!template[0]) {
			victim_fill(v, driver_name);
			drivers_shut(v);
			memcpy(template, v->t.dir, sizeof(v->t.dir));
		}
		assert_non_null(mkdtemp(dir));
		directory_copy(template, dir);
		memset(&v->t, 0, sizeof(v->t));
		memcpy(v->t.dir, dir, sizeof(dir));
		config_init(&v->t.config);
		assert_true(config_set(&v->t.config, "data", dir, error));
		assert_int_equal(embedded_open(&v->t.config, &v->t.drivers, error), RFS_OK);
	}
	v->metadata = metadata_new(v->t.drivers.metadata);
	v->rq = (struct request){.arena = arena_new(65536), .door = "test", .may_block = true};
	v->bucket = victim_bucket(v, "bbb");
	v->dedup = victim_bucket(v, "ddd");
}

void
directory_remove(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

void
victim_free(struct victim *v)
{
	metadata_free(v->metadata);
	arena_free(v->rq.arena);
	drivers_shut(v);
	directory_remove(v->t.dir);
}
