/* s3_multipart.c: multipart uploads. Their parts have a CRC64NVME each, and so has the whole. */
#include "s3/s3_client_int.h"
#include "net/url.h"
#include "net/xml_write.h"
#include <inttypes.h>
#include <stdlib.h>

#define PAGES_MAX 100         /* of uploads of one key, or of parts: a server gives a thousand of them on each */
#define UPLOAD_PAGES_MAX 1000 /* of uploads of many keys */

bool
s3_upload_create(struct s3_conn *conn, struct arena *arena, const struct s3_put *put, struct s3_upload *out)
{
	struct s3_request request = {.method = "POST", .bucket = put->bucket, .key = put->key, .query = "uploads"};
	struct s3_header *headers;
	size_t count = s3_put_headers(arena, put, &headers);
	struct s3_answer answer;
	struct xml_element *root;
	bool done;

	headers[count] = (struct s3_header){"x-amz-checksum-algorithm", "CRC64NVME"};
	headers[count + 1] = (struct s3_header){"x-amz-checksum-type", "FULL_OBJECT"};
	request.headers = headers;
	request.header_count = count + 2;
	*out = (struct s3_upload){.bucket = put->bucket, .key = put->key};
	done = s3_request_do(conn, arena, &request, &answer);
	if (!done && (conn->failure.status == 400 || conn->failure.status == 501)) {
		out->plain = true;
		request.header_count = count;
		done = s3_request_do(conn, arena, &request, &answer);
	}
	if (!done || !(root = s3_answer_xml(conn, arena, &answer, "InitiateMultipartUploadResult")))
		return false;
	out->id = s3_xml_text(arena, root, "UploadId");
	return out->id || s3_conn_fail(conn, "the server began an upload without a name");
}

/* "partNumber=1&uploadId=X" */
static const char *
upload_query(struct arena *arena, const struct s3_upload *upload, unsigned number)
{
	struct buf query;

	buf_init(&query, arena);
	if (number)
		s3_query_put(&query, "partNumber", arena_printf(arena, "%u", number));
	s3_query_put(&query, "uploadId", upload->id);
	buf_u8(&query, 0);
	return (const char *)query.data;
}

bool
s3_upload_part(struct s3_conn *conn, struct arena *arena, const struct s3_upload *upload, unsigned number,
	const struct s3_body *body, struct s3_part *out)
{
	struct s3_header header = {"x-amz-checksum-crc64nvme", s3_body_crc64nvme(conn, arena, body)};
	struct s3_request request = {.method = "PUT",
		.bucket = upload->bucket,
		.key = upload->key,
		.query = upload_query(arena, upload, number),
		.headers = &header,
		.header_count = !upload->plain,
		.body = body};
	struct s3_answer answer;

	if (!header.value || !s3_request_do(conn, arena, &request, &answer) ||
		!s3_stored_verify(conn, body, &answer, header.value))
		return false;
	*out = (struct s3_part){.number = number,
		.size = body->bytes.data ? body->bytes.len : body->len,
		.etag = s3_unquoted(arena, s3_answer_header(&answer, "etag")),
		.crc64nvme = header.value,
		.is_encrypted = s3_answer_header(&answer, "x-amz-server-side-encryption")};
	return true;
}

bool
s3_upload_part_copy(struct s3_conn *conn, struct arena *arena, const struct s3_upload *upload, unsigned number,
	const char *from_bucket, const char *from_key, const char *etag, uint64_t offset, uint64_t len,
	struct s3_part *out)
{
	struct s3_header headers[3] = {{"x-amz-copy-source", s3_copy_source(arena, from_bucket, from_key)},
		{"x-amz-copy-source-range",
			arena_printf(arena, "bytes=%" PRIu64 "-%" PRIu64, offset, offset + len - 1)}};
	struct s3_request request = {.method = "PUT",
		.bucket = upload->bucket,
		.key = upload->key,
		.query = upload_query(arena, upload, number),
		.headers = headers,
		.header_count = 2};
	struct s3_answer answer;
	struct xml_element *root;

	if (etag)
		headers[request.header_count++] =
			(struct s3_header){"x-amz-copy-source-if-match", arena_printf(arena, "\"%s\"", etag)};
	if (!s3_request_do(conn, arena, &request, &answer) ||
		!(root = s3_answer_xml(conn, arena, &answer, "CopyPartResult")))
		return false;
	*out = (struct s3_part){.number = number,
		.size = len,
		.etag = s3_unquoted(arena, s3_xml_text(arena, root, "ETag")),
		.crc64nvme = s3_xml_text(arena, root, "ChecksumCRC64NVME")};
	return true;
}

/* --- what was begun ----------------------------------------------------------------------------------------------- */

static int
upload_compare(const void *a, const void *b)
{
	const struct s3_upload *x = a, *y = b;

	return (x->initiated_ns > y->initiated_ns) - (x->initiated_ns < y->initiated_ns);
}

static bool
is_truncated(struct arena *arena, const struct xml_element *root)
{
	const char *text = s3_xml_text(arena, root, "IsTruncated");

	return text && strcmp(text, "true") == 0;
}

/* A list of uploads that is being read. */
struct upload_search {
	const char *bucket, *prefix;
	bool exact;
	struct arena *arena; /* of what is found */
	struct buf found;
	const char *key_marker, *id_marker; /* behind which the next page begins; NULL: it is the first */
};

static const char *
key_text(struct arena *arena, const struct xml_element *root, const struct xml_element *parent, const char *name)
{
	const struct xml_element *e = xml_child(parent, name), *encoding = xml_child(root, "EncodingType");
	struct bytes text = e ? e->text : bytes_of("", 0);

	if (encoding && !url_decode(arena, text, true, &text))
		text = e->text;
	return arena_str(arena, text);
}

/* False: none behind these is wanted. */
static bool
uploads_take(struct upload_search *s, const struct xml_element *root)
{
	for (const struct xml_element *e = root->first_child; e; e = e->next) {
		struct s3_upload upload = {.bucket = s->bucket};

		if (!bytes_equal_str(e->name, "Upload") || !xml_child(e, "Key"))
			continue;
		upload.key = key_text(s->arena, root, e, "Key");
		upload.id = s3_xml_text(s->arena, e, "UploadId");
		upload.initiated_ns = s3_xml_date(e, "Initiated");
		if (s->exact && strcmp(upload.key, s->prefix) != 0)
			return false;
		if (upload.id && strncmp(upload.key, s->prefix, strlen(s->prefix)) == 0)
			buf_put(&s->found, &upload, sizeof(upload));
	}
	return true;
}

static bool
uploads_go_on(struct upload_search *s, const struct xml_element *root)
{
	s->key_marker = s->exact ? s->prefix : key_text(s->arena, root, root, "NextKeyMarker");
	s->id_marker = s3_xml_text(s->arena, root, "NextUploadIdMarker");
	return is_truncated(s->arena, root);
}

static const char *
uploads_query(struct arena *arena, const struct upload_search *s)
{
	struct buf query;

	buf_init(&query, arena);
	s3_query_put(&query, "uploads", NULL);
	s3_query_put(&query, "encoding-type", "url");
	s3_query_put(&query, "prefix", s->prefix);
	if (s->key_marker) {
		s3_query_put(&query, "key-marker", s->key_marker);
		s3_query_put(&query, "upload-id-marker", s->id_marker ? s->id_marker : "");
	}
	buf_u8(&query, 0);
	return (const char *)query.data;
}

static const struct xml_element *
uploads_page(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *query)
{
	struct s3_request request = {.method = "GET", .bucket = bucket, .query = query};
	struct s3_answer answer;

	if (!s3_request_do(conn, arena, &request, &answer))
		return NULL;
	return s3_answer_xml(conn, arena, &answer, "ListMultipartUploadsResult");
}

bool
s3_uploads_list(struct s3_conn *conn, struct arena *arena, const char *bucket, const char *prefix, bool exact,
	struct s3_upload **out, size_t *count)
{
	struct upload_search s = {.bucket = bucket, .prefix = prefix, .exact = exact, .arena = arena};
	unsigned pages = 0, most = exact ? PAGES_MAX : UPLOAD_PAGES_MAX;
	struct arena *page = arena_new(65536);
	const struct xml_element *root = NULL;
	struct s3_seen queries = {0};
	bool done = true;

	buf_init(&s.found, arena);
	do {
		const char *query;

		arena_reset(page);
		query = uploads_query(page, &s);
		done = pages++ < most && s3_seen_add(&queries, query)
			       ? (root = uploads_page(conn, page, bucket, query)) != NULL
			       : s3_conn_fail(conn, "the server's list of uploads has no end");
	} while (done && uploads_take(&s, root) && uploads_go_on(&s, root));
	s3_seen_fini(&queries);
	arena_free(page);
	*out = (struct s3_upload *)s.found.data;
	*count = s.found.len / sizeof(**out);
	if (exact && *count > 1)
		qsort(*out, *count, sizeof(**out), upload_compare);
	return done;
}

static void
parts_take(struct arena *arena, const struct xml_element *root, struct buf *out)
{
	for (const struct xml_element *e = root->first_child; e; e = e->next) {
		struct s3_part part;

		if (!bytes_equal_str(e->name, "Part"))
			continue;
		part = (struct s3_part){.number = (unsigned)s3_xml_number(e, "PartNumber"),
			.size = s3_xml_number(e, "Size"),
			.etag = s3_unquoted(arena, s3_xml_text(arena, e, "ETag")),
			.crc64nvme = s3_xml_text(arena, e, "ChecksumCRC64NVME")};
		buf_put(out, &part, sizeof(part));
	}
}

bool
s3_parts_list(
	struct s3_conn *conn, struct arena *arena, const struct s3_upload *upload, struct s3_part **out, size_t *count)
{
	const char *query = upload_query(arena, upload, 0);
	unsigned long next = 0, before;
	unsigned pages = 0;
	struct xml_element *root;
	struct s3_answer answer;
	struct buf found;

	buf_init(&found, arena);
	do {
		struct s3_request request = {
			.method = "GET", .bucket = upload->bucket, .key = upload->key, .query = query};

		if (!s3_request_do(conn, arena, &request, &answer) ||
			!(root = s3_answer_xml(conn, arena, &answer, "ListPartsResult")))
			return false;
		parts_take(arena, root, &found);
		before = next;
		next = s3_xml_number(root, "NextPartNumberMarker");
		query = arena_printf(arena, "%s&part-number-marker=%lu", upload_query(arena, upload, 0), next);
	} while (
		is_truncated(arena, root) && next > before && ++pages < PAGES_MAX); /* what is left out is sent again */
	*out = (struct s3_part *)found.data;
	*count = found.len / sizeof(**out);
	return true;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static struct bytes
complete_document(struct arena *arena, const struct s3_part *parts, size_t count, bool plain)
{
	struct buf xml;

	buf_init(&xml, arena);
	xml_start(&xml, "CompleteMultipartUpload", true);
	for (size_t i = 0; i < count; i++) {
		xml_open(&xml, "Part");
		xml_number(&xml, "PartNumber", parts[i].number);
		xml_etag(&xml, "ETag", bytes_str(parts[i].etag));
		if (parts[i].crc64nvme && !plain)
			xml_string(&xml, "ChecksumCRC64NVME", parts[i].crc64nvme);
		xml_close(&xml, "Part");
	}
	xml_close(&xml, "CompleteMultipartUpload");
	return buf_bytes(&xml);
}

bool
s3_upload_complete(struct s3_conn *conn, struct arena *arena, const struct s3_upload *upload,
	const struct s3_part *parts, size_t count, const char *crc64nvme)
{
	struct s3_body body = {.bytes = complete_document(arena, parts, count, upload->plain)};
	struct s3_header headers[3] = {{"content-type", "application/xml"}};
	struct s3_request request = {.method = "POST",
		.bucket = upload->bucket,
		.key = upload->key,
		.query = upload_query(arena, upload, 0),
		.headers = headers,
		.header_count = 1,
		.body = &body};
	struct s3_answer answer;

	if (crc64nvme && !upload->plain) {
		headers[request.header_count++] = (struct s3_header){"x-amz-checksum-crc64nvme", crc64nvme};
		headers[request.header_count++] = (struct s3_header){"x-amz-checksum-type", "FULL_OBJECT"};
	}
	return s3_request_do(conn, arena, &request, &answer) &&
	       s3_answer_xml(conn, arena, &answer, "CompleteMultipartUploadResult");
}

bool
s3_upload_abort(struct s3_conn *conn, const struct s3_upload *upload)
{
	struct s3_request request = {.method = "DELETE", .bucket = upload->bucket, .key = upload->key};
	struct s3_answer answer;

	arena_reset(conn->small);
	request.query = upload_query(conn->small, upload, 0);
	return s3_request_do(conn, conn->small, &request, &answer);
}
