/* s3_object_ops.c: HeadObject, PutObject, DeleteObject, DeleteObjects, CopyObject. */
#include "s3/s3_client_int.h"
#include "base/clock.h"
#include "base/hash.h"
#include "net/xml_write.h"
#include <inttypes.h>
#include <stdlib.h>

#define PUT_HEADERS_MAX 6 /* besides those of the caller */

bool
s3_head(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *key, struct s3_info *out)
{
	static const struct s3_header headers[] = {{"x-amz-checksum-mode", "ENABLED"}};
	struct s3_request request = {
		.method = "HEAD", .bucket = bucket, .key = key, .headers = headers, .header_count = 1};
	struct s3_answer answer;

	if (!s3_request_do(conn, arena, &request, &answer))
		return false;
	s3_info_read(arena, &answer, out);
	return true;
}

bool
s3_head_part(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *key, const char *etag,
	unsigned number, uint64_t *part_size)
{
	struct s3_header header = {"if-match", arena_printf(arena, "\"%s\"", etag)};
	struct s3_request request = {.method = "HEAD",
		.bucket = bucket,
		.key = key,
		.query = arena_printf(arena, "partNumber=%u", number),
		.headers = &header,
		.header_count = 1};
	struct s3_answer answer;
	const char *length;

	if (!s3_request_do(conn, arena, &request, &answer))
		return false;
	length = s3_answer_header(&answer, "content-length");
	*part_size = length ? s3_size_bounded(strtoull(length, NULL, 10)) : 0;
	return true;
}

/* --- put ---------------------------------------------------------------------------------------------------------- */

/* Seconds with nine digits behind the point. */
static const char *
mtime_text(struct arena *arena, int64_t ns)
{
	int64_t whole = ns / NS_PER_SECOND, rest = ns % NS_PER_SECOND;

	return arena_printf(
		arena, "%s%" PRId64 ".%09" PRId64, ns < 0 && whole == 0 ? "-" : "", whole, rest < 0 ? -rest : rest);
}

size_t
s3_put_headers(struct arena *arena, const struct s3_put *put, struct s3_header **out)
{
	struct s3_header *h = ARENA_ARRAY(arena, struct s3_header, put->header_count + PUT_HEADERS_MAX);
	size_t count = 0;

	h[count++] =
		(struct s3_header){"content-type", put->content_type ? put->content_type : "application/octet-stream"};
	if (put->mtime_ns != INT64_MIN)
		h[count++] = (struct s3_header){"x-amz-meta-mtime", mtime_text(arena, put->mtime_ns)};
	if (put->if_absent)
		h[count++] = (struct s3_header){"if-none-match", "*"};
	for (size_t i = 0; i < put->header_count; i++)
		h[count++] = put->headers[i];
	*out = h;
	return count;
}

/* `sum` is verified by the server, whose answer is held against `crc`. */
static bool
put_with(struct s3_conn *conn, struct arena *arena, const struct s3_put *put, const struct s3_body *body,
	struct s3_header sum, const char *crc)
{
	struct s3_request request = {.method = "PUT", .bucket = put->bucket, .key = put->key, .body = body};
	struct s3_header *headers;
	struct s3_answer answer;

	request.header_count = s3_put_headers(arena, put, &headers);
	headers[request.header_count++] = sum;
	request.headers = headers;
	return s3_request_do(conn, arena, &request, &answer) && s3_stored_verify(conn, body, &answer, crc);
}

/* Stores that are older than CRC64NVME (2024) may refuse its header, in ways of their own. */
static bool
may_lack_crc(const struct s3_failure *failure)
{
	return failure->status == 501 ||
	       (failure->status == 400 &&
		       (strcmp(failure->code, "InvalidRequest") == 0 || strcmp(failure->code, "InvalidArgument") == 0));
}

bool
s3_put(struct s3_conn *conn, struct arena *arena, const struct s3_put *put, const struct s3_body *body)
{
	const char *crc = s3_body_crc64nvme(conn, arena, body), *md5_text;

	if (!crc)
		return false;
	if (!atomic_load(&conn->client->lacks_crc)) {
		if (put_with(conn, arena, put, body, (struct s3_header){"x-amz-checksum-crc64nvme", crc}, crc))
			return true;
		if (!may_lack_crc(&conn->failure))
			return false;
	}
	if (!(md5_text = s3_body_md5(conn, arena, body)) ||
		!put_with(conn, arena, put, body, (struct s3_header){"content-md5", md5_text}, crc))
		return false;
	atomic_store(&conn->client->lacks_crc, true);
	return true;
}

/* --- delete ------------------------------------------------------------------------------------------------------- */

bool
s3_delete(struct s3_conn *conn, const char *bucket, const char *key)
{
	struct s3_request request = {.method = "DELETE", .bucket = bucket, .key = key, .unstopped = true};
	struct s3_answer answer;

	arena_reset(conn->small);
	return s3_request_do(conn, conn->small, &request, &answer);
}

static struct bytes
delete_document(struct arena *arena, const char *const *keys, size_t count)
{
	struct buf xml;

	buf_init(&xml, arena);
	xml_start(&xml, "Delete", true);
	xml_bool(&xml, "Quiet", true);
	for (size_t i = 0; i < count; i++) {
		xml_open(&xml, "Object");
		xml_string(&xml, "Key", keys[i]);
		xml_close(&xml, "Object");
	}
	xml_close(&xml, "Delete");
	return buf_bytes(&xml);
}

static const char *
or_empty(const char *text)
{
	return text ? text : "";
}

static void
failures_read(struct arena *arena, const struct xml_element *root, struct s3_delete_failure *out, size_t *count)
{
	for (const struct xml_element *e = root->first_child; e; e = e->next)
		if (bytes_equal_str(e->name, "Error"))
			out[(*count)++] = (struct s3_delete_failure){or_empty(s3_xml_text(arena, e, "Key")),
				or_empty(s3_xml_text(arena, e, "Code")), or_empty(s3_xml_text(arena, e, "Message"))};
}

bool
s3_delete_many(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *const *keys, size_t count,
	struct s3_delete_failure **failures, size_t *failure_count)
{
	struct s3_body body = {.bytes = delete_document(arena, keys, count)};
	struct s3_header headers[] = {{"content-type", "application/xml"}, {"content-md5", NULL}};
	struct s3_request request = {.method = "POST",
		.bucket = bucket,
		.query = "delete",
		.headers = headers,
		.header_count = 2,
		.body = &body};
	struct s3_answer answer;
	struct xml_element *root;
	uint8_t digest[16];
	char text[25];

	*failure_count = 0;
	*failures = ARENA_ARRAY(arena, struct s3_delete_failure, count + 1);
	md5(body.bytes, digest);
	base64_encode(bytes_of(digest, 16), text);
	headers[1].value = text;
	if (!s3_request_do(conn, arena, &request, &answer) ||
		!(root = s3_answer_xml(conn, arena, &answer, "DeleteResult")))
		return false;
	failures_read(arena, root, *failures, failure_count);
	return true;
}

/* --- copy --------------------------------------------------------------------------------------------------------- */

const char *
s3_copy_source(struct arena *arena, const char *bucket, const char *key)
{
	return arena_str(arena, s3_path_encoded(arena, bucket, key));
}

bool
s3_copy(struct s3_conn *conn, const char *from_bucket, const char *from_key, const char *etag, const char *bucket,
	const char *key)
{
	struct s3_header headers[2];
	struct s3_request request = {
		.method = "PUT", .bucket = bucket, .key = key, .headers = headers, .header_count = 1};
	struct s3_answer answer;

	arena_reset(conn->small);
	headers[0] = (struct s3_header){"x-amz-copy-source", s3_copy_source(conn->small, from_bucket, from_key)};
	if (etag)
		headers[request.header_count++] =
			(struct s3_header){"x-amz-copy-source-if-match", arena_printf(conn->small, "\"%s\"", etag)};
	return s3_request_do(conn, conn->small, &request, &answer) &&
	       s3_answer_xml(conn, conn->small, &answer, "CopyObjectResult");
}
