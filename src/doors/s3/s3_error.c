/*
 * s3_error.c: an error as S3 tells it (Amazon S3 API reference, "Error responses"): status and code of errors.def, an
 * XML body, none to HEAD. [any]
 */
#include "doors/s3/s3_int.h"
#include <inttypes.h>

const char *
s3_error_message(const struct s3_exchange *ex, enum rfs_err error)
{
	return ex->rq->detail ? ex->rq->detail : error_face(error)->text;
}

/* RFC 9110, 15.5.17. */
static void
write_content_range(struct s3_exchange *ex)
{
	s3_reply_header(ex, "Content-Range", bytes_str(arena_printf(ex->rq->arena, "bytes */%" PRIu64, ex->object_size)));
}

void
s3_error_reply(struct s3_exchange *ex, enum rfs_err error)
{
	const struct error_face *face = error_face(error);
	struct buf *xml;

	s3_reply_reset(ex);
	ex->reply.status = face->http;
	if (error == RFS_ERR_NO_SUCH_KEY && (ex->method == S3_GET || ex->method == S3_HEAD))
		s3_reply_header(ex, "x-amz-delete-marker", BYTES_LITERAL("false"));
	if (error == RFS_ERR_METHOD_NOT_ALLOWED)
		s3_reply_header(ex, "Allow", s3_route_methods(ex));
	if (error == RFS_ERR_INVALID_RANGE && ex->has_object_size)
		write_content_range(ex);
	if (ex->method == S3_HEAD || face->http == 304)
		return;
	xml = &ex->reply.document;
	xml_start(xml, "Error", false);
	xml_string(xml, "Code", face->s3_code);
	xml_string(xml, "Message", s3_error_message(ex, error));
	if (error == RFS_ERR_AUTH_HEADER_MALFORMED)
		xml_string(xml, "Region", ex->door->config->s3_region);
	if (error == RFS_ERR_INVALID_RANGE && ex->has_object_size) {
		xml_text(xml, "RangeRequested", s3_header(ex, "range"));
		xml_number(xml, "ActualObjectSize", (int64_t)ex->object_size);
	}
	if (ex->bucket.len)
		xml_text(xml, "BucketName", ex->bucket);
	if (ex->key.len)
		xml_text(xml, "Key", ex->key);
	if (ex->path.len)
		xml_text(xml, "Resource", ex->path);
	xml_string(xml, "RequestId", ex->id_text);
	xml_string(xml, "HostId", ex->id_text);
	xml_close(xml, "Error");
	s3_reply_header(ex, "Content-Type", BYTES_LITERAL("application/xml"));
	if (face->http == 503)
		s3_reply_header(ex, "Retry-After", BYTES_LITERAL("1"));
}
