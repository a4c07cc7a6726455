/* s3_upload_list.c: ListParts and ListMultipartUploads (Amazon S3 API reference). */
#include "doors/s3/s3_int.h"

#define PARTS_AT_ONCE 1000
#define UPLOADS_AT_ONCE 1000

/* A parameter between 0 and `most`: larger ones are clipped, one that did not come is `most`. */
static enum rfs_err
read_limit(struct s3_exchange *ex, const char *name, uint64_t most, uint64_t *out)
{
	enum rfs_err err = RFS_OK;

	*out = most;
	if (s3_param(ex, name).len)
		err = s3_param_number(ex, name, 0, INT32_MAX, out);
	if (*out > most)
		*out = most;
	return err;
}

static void
write_part(struct s3_exchange *ex, struct buf *xml, const struct part_row *part)
{
	char etag[33];

	hex_encode(bytes_of(part->md5, 16), etag);
	xml_open(xml, "Part");
	xml_number(xml, "PartNumber", part->number);
	xml_date(xml, "LastModified", part->modified_ns);
	xml_etag(xml, "ETag", bytes_str(etag));
	xml_number(xml, "Size", (int64_t)part->content.size);
	if (part->has_checksum && s3_checksum_of(part->checksum))
		xml_string(xml, s3_checksum_of(part->checksum)->element, s3_digest_text(ex->rq->arena, part->checksum, &part->checksum_value));
	xml_close(xml, "Part");
}

static void
write_initiator(struct s3_exchange *ex, struct buf *xml, uint64_t owner)
{
	const struct identity *who = auth_identity(ex->door->core->auth, ex->rq, owner);

	xml_open(xml, "Initiator");
	xml_string(xml, "ID", who->display_id);
	xml_string(xml, "DisplayName", who->name);
	xml_close(xml, "Initiator");
	s3_write_owner(ex, xml, owner);
}

static void
write_checksum_kind(struct buf *xml, const struct upload_row *upload)
{
	if (!upload->has_checksum)
		return;
	xml_string(xml, "ChecksumAlgorithm", s3_checksum_of(upload->checksum)->algorithm);
	xml_string(xml, "ChecksumType", upload->checksum_type == CHECKSUM_COMPOSITE ? "COMPOSITE" : "FULL_OBJECT");
}

enum rfs_err
s3_list_parts(struct s3_exchange *ex)
{
	struct bytes id = s3_param(ex, "uploadId");
	struct upload_parts list;
	uint64_t limit, after = 0;
	struct buf *xml;
	enum rfs_err err;

	if ((err = read_limit(ex, "max-parts", PARTS_AT_ONCE, &limit)) || (err = read_limit(ex, "part-number-marker", INT32_MAX, &after)))
		return err;
	if (!s3_param(ex, "part-number-marker").len)
		after = 0;
	if ((err = upload_list_parts(ex->door->core, ex->rq, ex->bucket, ex->key, id, (uint32_t)after, limit, &list)))
		return err;
	xml = s3_reply_xml(ex, "ListPartsResult");
	xml_text(xml, "Bucket", ex->bucket);
	xml_text(xml, "Key", ex->key);
	xml_text(xml, "UploadId", id);
	write_initiator(ex, xml, list.upload.version.owner);
	xml_string(xml, "StorageClass", "STANDARD");
	xml_number(xml, "PartNumberMarker", (int64_t)after);
	xml_number(xml, "NextPartNumberMarker", list.count ? list.parts[list.count - 1].number : 0);
	xml_number(xml, "MaxParts", (int64_t)limit);
	xml_bool(xml, "IsTruncated", list.more);
	write_checksum_kind(xml, &list.upload);
	for (size_t i = 0; i < list.count; i++)
		write_part(ex, xml, &list.parts[i]);
	xml_close(xml, "ListPartsResult");
	return RFS_OK;
}

static void
write_upload(struct s3_exchange *ex, struct buf *xml, const struct upload_list_item *item, bool is_url)
{
	if (item->is_prefix) {
		xml_open(xml, "CommonPrefixes");
		xml_key(xml, "Prefix", item->key, is_url);
		xml_close(xml, "CommonPrefixes");
		return;
	}
	xml_open(xml, "Upload");
	xml_key(xml, "Key", item->key, is_url);
	xml_text(xml, "UploadId", item->id);
	write_initiator(ex, xml, item->upload.version.owner);
	xml_string(xml, "StorageClass", "STANDARD");
	xml_date(xml, "Initiated", item->upload.created_ns);
	write_checksum_kind(xml, &item->upload);
	xml_close(xml, "Upload");
}

enum rfs_err
s3_list_uploads(struct s3_exchange *ex)
{
	struct upload_list_args args = {
		.bucket = ex->bucket, .prefix = s3_param(ex, "prefix"), .delimiter = s3_param(ex, "delimiter"), .key_after = s3_param(ex, "key-marker"),
		.id_after = s3_param(ex, "upload-id-marker"),
	};
	bool is_url = bytes_equal_str(s3_param(ex, "encoding-type"), "url");
	struct upload_list list;
	uint64_t limit;
	struct buf *xml;
	enum rfs_err err;

	if (s3_param(ex, "encoding-type").len && !is_url)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "encoding-type is url");
	if ((err = read_limit(ex, "max-uploads", UPLOADS_AT_ONCE, &limit)))
		return err;
	args.limit = limit;
	if ((err = upload_list(ex->door->core, ex->rq, &args, &list)))
		return err;
	xml = s3_reply_xml(ex, "ListMultipartUploadsResult");
	xml_text(xml, "Bucket", ex->bucket);
	xml_key(xml, "KeyMarker", args.key_after, is_url);
	xml_text(xml, "UploadIdMarker", args.id_after);
	if (list.more) {
		xml_key(xml, "NextKeyMarker", list.items[list.count - 1].key, is_url);
		xml_text(xml, "NextUploadIdMarker", list.items[list.count - 1].id);
	}
	if (args.prefix.data)
		xml_key(xml, "Prefix", args.prefix, is_url);
	if (args.delimiter.len)
		xml_key(xml, "Delimiter", args.delimiter, is_url);
	if (is_url)
		xml_string(xml, "EncodingType", "url");
	xml_number(xml, "MaxUploads", (int64_t)limit);
	xml_bool(xml, "IsTruncated", list.more);
	for (size_t i = 0; i < list.count; i++)
		write_upload(ex, xml, &list.items[i], is_url);
	xml_close(xml, "ListMultipartUploadsResult");
	return RFS_OK;
}
