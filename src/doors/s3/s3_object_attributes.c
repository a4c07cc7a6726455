/*
 * s3_object_attributes.c: GetObjectAttributes (Amazon S3 API reference).
 *
 * Parts are listed for every object that was uploaded in parts, also where they have no checksums.
 */
#include "doors/s3/s3_int.h"
#include "base/clock.h"

#define PARTS_AT_ONCE 1000

enum { GIVE_ETAG = 1, GIVE_CHECKSUM = 2, GIVE_PARTS = 4, GIVE_CLASS = 8, GIVE_SIZE = 16 };

/* What one word of x-amz-object-attributes asks for; 0: nothing that there is. */
static unsigned
attribute_of(struct bytes word)
{
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = {
		{"ETag", GIVE_ETAG},
		{"Checksum", GIVE_CHECKSUM},
		{"ObjectParts", GIVE_PARTS},
		{"StorageClass", GIVE_CLASS},
		{"ObjectSize", GIVE_SIZE},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (bytes_equal_str(word, known[i].name))
			return known[i].bit;
	return 0;
}

static enum rfs_err
read_attributes(struct s3_exchange *ex, unsigned *out)
{
	struct bytes list = s3_header(ex, "x-amz-object-attributes");

	*out = 0;
	while (list.len) {
		size_t comma = bytes_find(list, ',', 0);
		unsigned bit = attribute_of(s3_trim(bytes_sub(list, 0, comma)));

		if (!bit)
			return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Invalid attribute name specified.");
		*out |= bit;
		list = comma == SIZE_MAX ? (struct bytes){0} : bytes_sub(list, comma + 1, SIZE_MAX);
	}
	if (!*out)
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"The x-amz-object-attributes header specifying the attributes to be retrieved is either "
			"missing or empty");
	return RFS_OK;
}

static enum rfs_err
read_number(struct s3_exchange *ex, const char *header, uint64_t *out)
{
	struct bytes text = s3_header(ex, header);

	if (text.data && (!bytes_to_u64(text, out) || *out > INT32_MAX))
		return request_fail(
			ex->rq, RFS_ERR_INVALID_ARGUMENT, "Provided %s not an integer or within integer range", header);
	return RFS_OK;
}

static void
write_sum(struct s3_exchange *ex, struct buf *xml, const struct part_info *part)
{
	if (part->has_checksum && s3_checksum_of(part->checksum))
		xml_string(xml, s3_checksum_of(part->checksum)->element,
			s3_digest_text(ex->rq->arena, part->checksum, &part->checksum_value));
}

static void
write_parts(
	struct s3_exchange *ex, struct buf *xml, const struct object_parts *list, const struct object_parts_args *args)
{
	if (!list->version.parts)
		return;
	xml_open(xml, "ObjectParts");
	xml_bool(xml, "IsTruncated", list->more && args->limit);
	xml_number(xml, "MaxParts", (int64_t)args->limit);
	xml_number(xml, "NextPartNumberMarker", list->count ? list->parts[list->count - 1].number : 0);
	for (size_t i = 0; i < list->count; i++) {
		xml_open(xml, "Part");
		write_sum(ex, xml, &list->parts[i]);
		xml_number(xml, "PartNumber", list->parts[i].number);
		xml_number(xml, "Size", (int64_t)list->parts[i].length);
		xml_close(xml, "Part");
	}
	xml_number(xml, "PartNumberMarker", args->after);
	xml_number(xml, "PartsCount", list->version.parts);
	xml_close(xml, "ObjectParts");
}

static void
write_checksum(struct s3_exchange *ex, struct buf *xml, const struct version *v)
{
	if (!v->has_checksum || !s3_checksum_of(v->checksum))
		return;
	xml_open(xml, "Checksum");
	xml_string(xml, s3_checksum_of(v->checksum)->element, s3_checksum_text(ex->rq->arena, v));
	xml_string(xml, "ChecksumType", s3_checksum_type_text(v));
	xml_close(xml, "Checksum");
}

enum rfs_err
s3_get_object_attributes(struct s3_exchange *ex)
{
	uint64_t limit = PARTS_AT_ONCE, after = 0;
	struct object_parts_args args = {.bucket = ex->bucket, .key = ex->key};
	char *date = arena_alloc(ex->rq->arena, 30);
	struct object_parts list;
	unsigned wanted;
	struct buf *xml;
	enum rfs_err err;

	if ((err = s3_check_version_id(ex, s3_param(ex, "versionId"))) || (err = read_attributes(ex, &wanted)) ||
		(err = read_number(ex, "x-amz-max-parts", &limit)) ||
		(err = read_number(ex, "x-amz-part-number-marker", &after)))
		return err;
	args.limit = limit < PARTS_AT_ONCE ? limit : PARTS_AT_ONCE;
	args.after = (uint32_t)after;
	if ((err = object_list_parts(ex->door->core, ex->rq, &args, &list)))
		return err;
	date_http(list.version.modified_ns, date);
	s3_reply_header(ex, "Last-Modified", bytes_str(date));
	xml = s3_reply_xml(ex, "GetObjectAttributesResponse");
	if (wanted & GIVE_ETAG)
		xml_text(xml, "ETag", list.version.etag); /* without quotes, here alone */
	if (wanted & GIVE_CHECKSUM)
		write_checksum(ex, xml, &list.version);
	if (wanted & GIVE_PARTS)
		write_parts(ex, xml, &list, &args);
	if (wanted & GIVE_CLASS)
		xml_string(xml, "StorageClass", "STANDARD");
	if (wanted & GIVE_SIZE)
		xml_number(xml, "ObjectSize", (int64_t)list.version.content.size);
	xml_close(xml, "GetObjectAttributesResponse");
	return RFS_OK;
}
