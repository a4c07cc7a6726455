/* s3_object_copy.c: CopyObject (Amazon S3 API reference). */
#include "base/clock.h"
#include "doors/s3/s3_int.h"

/* Of HTTP's own dates, one that cannot be read is to be ignored (RFC 9110, 13.1.3); these are not HTTP's. */
static enum rfs_err
check_source_dates(struct s3_exchange *ex)
{
	static const char *const names[] = {
		"x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since"};
	int64_t ns;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bytes text = s3_header(ex, names[i]);

		if (text.data && !date_parse_http(text, &ns) && !date_parse_iso8601(text, &ns))
			return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "%s is not a date", names[i]);
	}
	return RFS_OK;
}

/* x-amz-copy-source: "/bucket/key" or "bucket/key", percent-encoded, perhaps with "?versionId=". */
enum rfs_err
s3_read_source(struct s3_exchange *ex, struct bytes *bucket, struct bytes *key)
{
	struct bytes source = s3_header(ex, "x-amz-copy-source"), version = {0};
	size_t mark = bytes_find(source, '?', 0), slash;
	enum rfs_err err;
	static const char text[] = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";

	if (mark != SIZE_MAX && bytes_starts_with(bytes_sub(source, mark, SIZE_MAX), BYTES_LITERAL("?versionId="))) {
		version = bytes_sub(source, mark + 11, SIZE_MAX);
		if (version.len == 0)
			version.data = (const uint8_t *)"";
		source = bytes_sub(source, 0, mark);
	}
	if (!url_decode(ex->rq->arena, source, false, &source) || !s3_is_utf8(source))
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "%s", text);
	if (source.len && source.data[0] == '/')
		source = bytes_sub(source, 1, SIZE_MAX);
	slash = bytes_find(source, '/', 0);
	if (slash == SIZE_MAX || slash == 0 || slash + 1 == source.len)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "%s", text);
	*bucket = bytes_sub(source, 0, slash);
	*key = bytes_sub(source, slash + 1, SIZE_MAX);
	if (key->len > S3_KEY_MAX)
		return request_fail(ex->rq, RFS_ERR_KEY_TOO_LONG, "Your key is too long");
	if ((err = s3_check_version_id(ex, version)) || (err = check_source_dates(ex)))
		return err;
	return s3_check_owner(ex, "x-amz-source-expected-bucket-owner", *bucket);
}

/* COPY (the standard) or REPLACE. */
static enum rfs_err
read_directive(struct s3_exchange *ex, const char *header, bool *replace)
{
	struct bytes text = s3_header(ex, header);

	*replace = bytes_equal_str(text, "REPLACE");
	if (!text.data || *replace || bytes_equal_str(text, "COPY"))
		return RFS_OK;
	return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Unknown value of %s", header);
}

static enum rfs_err
read_checksum(struct s3_exchange *ex, struct object_put_args *to)
{
	struct bytes text = s3_header(ex, "x-amz-checksum-algorithm");
	const struct s3_checksum_name *name;

	if (!text.data)
		return RFS_OK;
	if (!(name = s3_checksum_by_algorithm(text)))
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
			"[CRC32, CRC32C, "
			"CRC64NVME, SHA1, SHA256]");
	to->store_checksum = true;
	to->checksum = name->digest;
	to->digests = DIGEST_BIT(name->digest);
	return RFS_OK;
}

static enum rfs_err
read_args(struct s3_exchange *ex, struct object_copy_args *args)
{
	bool replace_tags; /* there are none on either side */
	enum rfs_err err;

	if ((err = s3_read_source(ex, &args->from_bucket, &args->from_key)))
		return err;
	if ((err = read_directive(ex, "x-amz-metadata-directive", &args->replace_metadata)))
		return err;
	if ((err = read_directive(ex, "x-amz-tagging-directive", &replace_tags)))
		return err;
	s3_conditions(ex, "x-amz-copy-source-", &args->from_conditions);
	args->to.bucket = ex->bucket;
	args->to.key = ex->key;
	args->to.size = -1;
	s3_write_conditions(ex, &args->to.conditions);
	if ((err = s3_read_metadata(ex, &args->to)))
		return err;
	return read_checksum(ex, &args->to);
}

void
s3_write_copied(struct s3_exchange *ex, const char *root, const struct version *version)
{
	struct buf *xml = s3_reply_xml(ex, root);

	xml_date(xml, "LastModified", version->modified_ns);
	xml_etag(xml, "ETag", version->etag);
	if (version->has_checksum && s3_checksum_of(version->checksum)) {
		xml_string(xml, "ChecksumType", s3_checksum_type_text(version));
		xml_string(xml, s3_checksum_of(version->checksum)->element, s3_checksum_text(ex->rq->arena, version));
	}
	xml_close(xml, root);
}

enum rfs_err
s3_copy_object(struct s3_exchange *ex)
{
	struct object_copy_args args = {0};
	struct version version = {0};
	enum rfs_err err;

	if ((err = read_args(ex, &args)))
		return err;
	err = object_copy(ex->door->core, ex->rq, &args, &version);
	if (err == RFS_ERR_NOT_MODIFIED)
		err = RFS_ERR_PRECONDITION_FAILED; /* a copy is no read: S3 answers 412 for every condition on the
						      source */
	if (err)
		return err;
	s3_write_copied(ex, "CopyObjectResult", &version);
	return RFS_OK;
}
