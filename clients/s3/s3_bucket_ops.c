/* s3_bucket_ops.c: ListBuckets, HeadBucket, CreateBucket, DeleteBucket. */
#include "s3/s3_client_int.h"
#include "net/xml_write.h"

bool
s3_buckets_list(struct s3_conn *conn, struct arena *arena, struct s3_bucket **out, size_t *count)
{
	struct s3_request request = {.method = "GET"};
	struct s3_answer answer;
	struct xml_element *root, *list;

	*count = 0;
	if (!s3_request_do(conn, arena, &request, &answer) ||
		!(root = s3_answer_xml(conn, arena, &answer, "ListAllMyBucketsResult")))
		return false;
	list = xml_child(root, "Buckets");
	for (struct xml_element *e = list ? list->first_child : NULL; e; e = e->next)
		++*count;
	*out = ARENA_ARRAY(arena, struct s3_bucket, *count + 1);
	*count = 0;
	for (struct xml_element *e = list ? list->first_child : NULL; e; e = e->next) {
		const char *name = s3_xml_text(arena, e, "Name");

		if (name)
			(*out)[(*count)++] = (struct s3_bucket){name, s3_xml_date(e, "CreationDate")};
	}
	return true;
}

bool
s3_bucket_head(struct s3_conn *conn, const char *bucket)
{
	struct s3_request request = {.method = "HEAD", .bucket = bucket};
	struct s3_answer answer;

	arena_reset(conn->small);
	return s3_request_do(conn, conn->small, &request, &answer);
}

bool
s3_missing_name(struct s3_conn *conn, const char *bucket)
{
	struct s3_failure failure = conn->failure;
	bool no_bucket;

	if (s3_conn_is_missing(conn) && !failure.code[0]) {
		no_bucket = !s3_bucket_head(conn, bucket) && s3_conn_is_missing(conn);
		conn->failure = failure;
		strcpy(conn->failure.code, no_bucket ? "NoSuchBucket" : "NoSuchKey");
		s3_conn_fail(conn, no_bucket ? "there is no such bucket" : "there is no such object");
	}
	return strcmp(conn->failure.code, "NoSuchKey") == 0;
}

/* AWS wants the region named everywhere but in its first. */
bool
s3_bucket_create(struct s3_conn *conn, const char *bucket)
{
	const char *region = conn->client->profile.region;
	struct s3_request request = {.method = "PUT", .bucket = bucket};
	struct s3_body body = {0};
	struct s3_answer answer;
	struct buf xml;

	arena_reset(conn->small);
	buf_init(&xml, conn->small);
	if (strcmp(region, "us-east-1") != 0) {
		xml_start(&xml, "CreateBucketConfiguration", true);
		xml_string(&xml, "LocationConstraint", region);
		xml_close(&xml, "CreateBucketConfiguration");
		body.bytes = buf_bytes(&xml);
		request.body = &body;
	}
	return s3_request_do(conn, conn->small, &request, &answer);
}

bool
s3_bucket_remove(struct s3_conn *conn, const char *bucket)
{
	struct s3_request request = {.method = "DELETE", .bucket = bucket};
	struct s3_answer answer;

	arena_reset(conn->small);
	return s3_request_do(conn, conn->small, &request, &answer);
}
