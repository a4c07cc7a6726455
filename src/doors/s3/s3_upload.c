/*
 * s3_upload.c: CreateMultipartUpload, UploadPartCopy, CompleteMultipartUpload, AbortMultipartUpload (Amazon S3 API reference). UploadPart is in s3_object_put.c, the
 * listings in s3_upload_list.c.
 */
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"

enum rfs_err
s3_read_part_name(struct s3_exchange *ex, struct bytes *upload, uint32_t *number)
{
	uint64_t value;
	enum rfs_err err;

	*upload = s3_param(ex, "uploadId");
	if (!upload->len)
		return RFS_ERR_NO_SUCH_UPLOAD;
	if (!s3_param(ex, "partNumber").len)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "partNumber is missing");
	err = s3_param_number(ex, "partNumber", 1, UPLOAD_PARTS_MAX, &value);
	*number = (uint32_t)value;
	return err;
}

/* s3fs sends x-amz-metadata-directive with uploads: they always take the metadata that came with their creation, which is REPLACE. */
static enum rfs_err
check_directive(struct s3_exchange *ex)
{
	struct bytes text = s3_header(ex, "x-amz-metadata-directive");

	if (!text.data || bytes_equal_str(text, "REPLACE"))
		return RFS_OK;
	return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED, "an upload does not take over another object's metadata");
}

/* --- create -------------------------------------------------------------------------------------------------------------------- */

/* FULL_OBJECT or COMPOSITE; `type` stays when nothing is said. */
static enum rfs_err
read_type_name(struct s3_exchange *ex, enum checksum_type *type)
{
	struct bytes text = s3_header(ex, "x-amz-checksum-type");

	if (bytes_equal_str(text, "FULL_OBJECT"))
		*type = CHECKSUM_FULL_OBJECT;
	else if (bytes_equal_str(text, "COMPOSITE"))
		*type = CHECKSUM_COMPOSITE;
	else if (text.data)
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST, "x-amz-checksum-type is FULL_OBJECT or COMPOSITE");
	return RFS_OK;
}

/* What S3 takes for each algorithm when nothing is said, and which pairs it has. */
static enum rfs_err
read_checksum_type(struct s3_exchange *ex, enum digest checksum, enum checksum_type *type)
{
	bool is_sha = checksum == DIGEST_SHA1 || checksum == DIGEST_SHA256;
	enum rfs_err err;

	*type = checksum == DIGEST_CRC64NVME ? CHECKSUM_FULL_OBJECT : CHECKSUM_COMPOSITE;
	if ((err = read_type_name(ex, type)))
		return err;
	if ((*type == CHECKSUM_FULL_OBJECT && is_sha) || (*type == CHECKSUM_COMPOSITE && checksum == DIGEST_CRC64NVME))
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST, "this checksum algorithm has no checksum of that type");
	return RFS_OK;
}

static enum rfs_err
read_checksum(struct s3_exchange *ex, struct upload_create_args *args)
{
	struct bytes text = s3_header(ex, "x-amz-checksum-algorithm");
	const struct s3_checksum_name *name;

	if (!text.data) {
		if (s3_header(ex, "x-amz-checksum-type").data)
			return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST, "x-amz-checksum-type needs x-amz-checksum-algorithm");
		return RFS_OK;
	}
	if (!(name = s3_checksum_by_algorithm(text)))
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST, "x-amz-checksum-algorithm is not one of CRC32, CRC32C, CRC64NVME, SHA1, SHA256");
	args->has_checksum = true;
	args->checksum = name->digest;
	return read_checksum_type(ex, name->digest, &args->checksum_type);
}

enum rfs_err
s3_create_upload(struct s3_exchange *ex)
{
	struct upload_create_args args = { .bucket = ex->bucket, .key = ex->key };
	struct object_put_args described = { 0 };
	struct buf *xml;
	struct bytes id;
	enum rfs_err err;

	if ((err = check_directive(ex)) || (err = s3_read_metadata(ex, &described)) || (err = read_checksum(ex, &args)))
		return err;
	args.content_type = described.content_type;
	args.properties = described.properties;
	args.property_count = described.property_count;
	args.acl = described.acl;
	if ((err = upload_create(ex->door->core, ex->rq, &args, &id)))
		return err;
	if (args.has_checksum) {
		s3_reply_header(ex, "x-amz-checksum-algorithm", bytes_str(s3_checksum_of(args.checksum)->algorithm));
		s3_reply_header(ex, "x-amz-checksum-type", bytes_str(args.checksum_type == CHECKSUM_COMPOSITE ? "COMPOSITE" : "FULL_OBJECT"));
	}
	xml = s3_reply_xml(ex, "InitiateMultipartUploadResult");
	xml_text(xml, "Bucket", ex->bucket);
	xml_text(xml, "Key", ex->key);
	xml_text(xml, "UploadId", id);
	xml_close(xml, "InitiateMultipartUploadResult");
	return RFS_OK;
}

/* --- copy of a part ------------------------------------------------------------------------------------------------------------ */

/* bytes=first-last, both given. */
static enum rfs_err
read_source_range(struct s3_exchange *ex, struct byte_range *range)
{
	struct bytes text = s3_header(ex, "x-amz-copy-source-range");
	size_t hyphen;

	if (!text.data)
		return RFS_OK;
	hyphen = bytes_find(text, '-', 0);
	if (!bytes_starts_with(text, BYTES_LITERAL("bytes=")) || hyphen == SIZE_MAX || !bytes_to_u64(bytes_sub(text, 6, hyphen - 6), &range->first) ||
		!bytes_to_u64(bytes_sub(text, hyphen + 1, text.len), &range->last) || range->last < range->first)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "x-amz-copy-source-range has the form bytes=first-last");
	range->given = true;
	return RFS_OK;
}

enum rfs_err
s3_upload_part_copy(struct s3_exchange *ex)
{
	struct upload_part_copy_args args = { .to = { .bucket = ex->bucket, .key = ex->key, .size = -1 } };
	struct version version = { 0 };
	enum rfs_err err;

	if ((err = check_directive(ex)) || (err = s3_read_part_name(ex, &args.to.upload, &args.to.part_number)) ||
		(err = s3_read_source(ex, &args.from_bucket, &args.from_key)) ||
		(err = read_source_range(ex, &args.range)))
		return err;
	s3_conditions(ex, "x-amz-copy-source-", &args.from_conditions);
	if ((err = upload_part_copy(ex->door->core, ex->rq, &args, &version)))
		return err;
	s3_write_copied(ex, "CopyPartResult", &version);
	return RFS_OK;
}

/* --- complete and abort -------------------------------------------------------------------------------------------------------- */

/* The checksum that a part of the list claims; NULL: none. */
static enum rfs_err
read_part_claim(struct s3_exchange *ex, const struct s3_completed_part *part, struct upload_part_claim *claim)
{
	const struct {
		enum digest digest;
		struct bytes text;
	} given[] = {
		{ DIGEST_CRC32, part->checksum_crc32 },
		{ DIGEST_CRC32C, part->checksum_crc32c },
		{ DIGEST_CRC64NVME, part->checksum_crc64nvme },
		{ DIGEST_SHA1, part->checksum_sha1 },
		{ DIGEST_SHA256, part->checksum_sha256 },
	};

	claim->number = part->number;
	claim->etag = part->etag;
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		if (!given[i].text.data)
			continue;
		if (claim->has_checksum || !s3_checksum_decode(given[i].digest, given[i].text, &claim->checksum.value))
			return request_fail(ex->rq, RFS_ERR_INVALID_PART, "the checksum of part %u is not one", part->number);
		claim->has_checksum = true;
		claim->checksum.digest = given[i].digest;
	}
	return RFS_OK;
}

/* A checksum, and behind a hyphen, if it is a composite one, of how many parts. */
static bool
decode_object_checksum(enum digest digest, struct bytes text, struct upload_complete_args *args)
{
	size_t hyphen = bytes_find(text, '-', 0);
	uint64_t parts = 0;

	if (hyphen != SIZE_MAX && (!bytes_to_u64(bytes_sub(text, hyphen + 1, SIZE_MAX), &parts) || parts < 1 || parts > UPLOAD_PARTS_MAX))
		return false;
	args->has_checksum = true;
	args->checksum.digest = digest;
	args->checksum_parts = (uint32_t)parts;
	return s3_checksum_decode(digest, bytes_sub(text, 0, hyphen), &args->checksum.value);
}

/* What the headers say of the object's checksum. As with a body's, a value that is no checksum at all differs from the object's. */
static enum rfs_err
read_object_checksum(struct s3_exchange *ex, struct upload_complete_args *args)
{
	args->has_checksum_type = s3_header(ex, "x-amz-checksum-type").data != NULL;
	for (enum digest d = 0; d < DIGEST_COUNT; d++) {
		const struct s3_checksum_name *name = s3_checksum_of(d);
		struct bytes text = name ? s3_header(ex, name->header) : bytes_of(NULL, 0);

		if (!text.data)
			continue;
		if (args->has_checksum)
			return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
				"Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
		if (!decode_object_checksum(d, text, args))
			return request_fail(ex->rq, RFS_ERR_BAD_DIGEST, "Value for %s header is invalid.", name->header);
	}
	return read_type_name(ex, &args->checksum_type);
}

static enum rfs_err
read_complete(struct s3_exchange *ex, struct upload_complete_args *args)
{
	struct s3_complete_upload list = { 0 };
	uint64_t size;
	enum rfs_err err;

	args->bucket = ex->bucket;
	args->key = ex->key;
	args->upload = s3_param(ex, "uploadId");
	s3_write_conditions(ex, &args->conditions);
	args->size = -1;
	if (s3_header(ex, "x-amz-mp-object-size").data) {
		if (!bytes_to_u64(s3_header(ex, "x-amz-mp-object-size"), &size) || size > INT64_MAX)
			return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "x-amz-mp-object-size is not a number of bytes");
		args->size = (int64_t)size;
	}
	if ((err = read_object_checksum(ex, args)) || (err = s3_xml_read_complete_upload(ex->rq, s3_document(ex), &list)))
		return err;
	args->parts = ARENA_ARRAY(ex->rq->arena, struct upload_part_claim, list.count);
	args->part_count = list.count;
	for (size_t i = 0; !err && i < list.count; i++)
		err = read_part_claim(ex, &list.parts[i], &args->parts[i]);
	return err;
}

/* http://host/bucket/key, as the client reached us. */
static struct bytes
location_of(struct s3_exchange *ex)
{
	struct buf b;
	struct bytes host = s3_header(ex, "host");

	buf_init(&b, ex->rq->arena);
	buf_printf(&b, "%s://%.*s%.*s", ex->rq->over_tls ? "https" : "http", (int)host.len, (const char *)host.data, (int)ex->path.len, (const char *)ex->path.data);
	return buf_bytes(&b);
}

enum rfs_err
s3_complete_upload(struct s3_exchange *ex)
{
	struct upload_complete_args args = { 0 };
	struct version version = { 0 };
	struct buf *xml;
	enum rfs_err err;

	if ((err = read_complete(ex, &args)) || (err = upload_complete(ex->door->core, ex->rq, &args, &version)))
		return err;
	xml = s3_reply_xml(ex, "CompleteMultipartUploadResult");
	xml_text(xml, "Location", location_of(ex));
	xml_text(xml, "Bucket", ex->bucket);
	xml_text(xml, "Key", ex->key);
	xml_etag(xml, "ETag", version.etag);
	if (version.has_checksum && s3_checksum_of(version.checksum)) {
		xml_string(xml, "ChecksumType", s3_checksum_type_text(&version));
		xml_string(xml, s3_checksum_of(version.checksum)->element, s3_checksum_text(ex->rq->arena, &version));
	}
	xml_close(xml, "CompleteMultipartUploadResult");
	return RFS_OK;
}

enum rfs_err
s3_abort_upload(struct s3_exchange *ex)
{
	enum rfs_err err = upload_abort(ex->door->core, ex->rq, ex->bucket, ex->key, s3_param(ex, "uploadId"));

	if (!err)
		ex->reply.status = 204;
	return err;
}
