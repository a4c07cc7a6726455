/* s3_xml_read.c: see s3_xml_read.h. */
#include "doors/s3/s3_xml_read.h"
#include <stdlib.h>

static enum rfs_err
malformed(struct request *rq, const char *what)
{
	return request_fail(rq, RFS_ERR_MALFORMED_XML,
		"The XML you provided was not well-formed or did not validate "
		"against our published schema: %s",
		what);
}

enum rfs_err
s3_xml_parse(struct request *rq, struct bytes document, const char *root_name, struct xml_element **root)
{
	static const struct xml_limits limits = {S3_XML_BYTES_MAX, S3_XML_DEPTH_MAX, S3_XML_ELEMENTS_MAX};
	const char *problem;

	if (!xml_parse(rq->arena, document, &limits, root, &problem))
		return malformed(rq, problem);
	if (bytes_equal_str((*root)->name, root_name))
		return RFS_OK;
	*root = NULL;
	return malformed(rq, "the root element is another");
}

static size_t
children_count(const struct xml_element *parent, const char *name)
{
	size_t count = 0;

	for (struct xml_element *e = parent->first_child; e; e = e->next)
		count += bytes_equal_str(e->name, name);
	return count;
}

/* An element that holds text alone. Its data is never NULL, so that an empty one differs from none. */
static bool
text_take(const struct xml_element *e, struct bytes *out)
{
	if (e->first_child || out->data)
		return false;
	*out = e->text.data ? e->text : BYTES_LITERAL("");
	return true;
}

/* One text field of a struct, by the element's name. */
struct field {
	const char *name;
	size_t offset;
};

/* Fills the fields from the children; false: an unknown, repeated or structured element. */
static bool
fields_read(const struct xml_element *parent, const struct field *fields, size_t count, void *out)
{
	for (struct xml_element *e = parent->first_child; e; e = e->next) {
		size_t i = 0;

		while (i < count && !bytes_equal_str(e->name, fields[i].name))
			i++;
		if (i == count || !text_take(e, (struct bytes *)((char *)out + fields[i].offset)))
			return false;
	}
	return true;
}

static struct bytes
unquoted(struct bytes etag)
{
	etag = xml_trim(etag);
	if (etag.len >= 2 && etag.data[0] == '"' && etag.data[etag.len - 1] == '"')
		return bytes_sub(etag, 1, etag.len - 2);
	return etag;
}

static enum rfs_err
delete_key_read(struct request *rq, const struct xml_element *e, struct s3_delete_key *out)
{
	static const struct field fields[] = {
		{"Key", offsetof(struct s3_delete_key, key)},
		{"VersionId", offsetof(struct s3_delete_key, version_id)},
		{"ETag", offsetof(struct s3_delete_key, etag)},
		{"LastModifiedTime", offsetof(struct s3_delete_key, last_modified_time)},
		{"Size", offsetof(struct s3_delete_key, size)},
	};

	if (!fields_read(e, fields, sizeof(fields) / sizeof(fields[0]), out))
		return malformed(
			rq, "an Object holds something else than its Key, VersionId, ETag, LastModifiedTime and Size");
	if (out->key.len == 0)
		return malformed(rq, "an Object has no Key");
	if (out->etag.data)
		out->etag = unquoted(out->etag);
	return RFS_OK;
}

enum rfs_err
s3_xml_read_delete(struct request *rq, struct bytes document, struct s3_delete *out)
{
	struct xml_element *root;
	size_t count;
	enum rfs_err err;

	*out = (struct s3_delete){0};
	if ((err = s3_xml_parse(rq, document, "Delete", &root)))
		return err;
	count = children_count(root, "Object");
	if (count < 1 || count > S3_DELETE_KEYS_MAX)
		return malformed(rq, "there must be 1 to 1000 Objects");
	out->keys = ARENA_ARRAY(rq->arena, struct s3_delete_key, count);
	for (struct xml_element *e = root->first_child; e; e = e->next) {
		if (bytes_equal_str(e->name, "Object")) {
			if ((err = delete_key_read(rq, e, &out->keys[out->count++])))
				return err;
		} else if (bytes_equal_str(e->name, "Quiet")) {
			out->quiet = bytes_equal_str_nocase(xml_trim(e->text), "true");
			if (!out->quiet && !bytes_equal_str_nocase(xml_trim(e->text), "false"))
				return malformed(rq, "Quiet is neither true nor false");
		} else {
			return malformed(rq, "Delete holds something else than Object and Quiet");
		}
	}
	return RFS_OK;
}

/* A part as it stands in the document. */
struct part_text {
	struct bytes number;
	struct s3_completed_part part;
};

static enum rfs_err
part_read(struct request *rq, const struct xml_element *e, struct s3_completed_part *out)
{
	static const struct field fields[] = {
		{"PartNumber", offsetof(struct part_text, number)},
		{"ETag", offsetof(struct part_text, part.etag)},
		{"ChecksumCRC32", offsetof(struct part_text, part.checksum_crc32)},
		{"ChecksumCRC32C", offsetof(struct part_text, part.checksum_crc32c)},
		{"ChecksumCRC64NVME", offsetof(struct part_text, part.checksum_crc64nvme)},
		{"ChecksumSHA1", offsetof(struct part_text, part.checksum_sha1)},
		{"ChecksumSHA256", offsetof(struct part_text, part.checksum_sha256)},
	};
	struct part_text text = {0};
	uint64_t number;

	if (!bytes_equal_str(e->name, "Part") || !fields_read(e, fields, sizeof(fields) / sizeof(fields[0]), &text))
		return malformed(rq, "a Part holds something else than its PartNumber, ETag and checksums");
	if (!text.number.data || !text.part.etag.data)
		return malformed(rq, "a Part has no PartNumber or no ETag");
	if (!bytes_to_u64(xml_trim(text.number), &number) || number < 1 || number > S3_PARTS_MAX)
		return request_fail(rq, RFS_ERR_INVALID_ARGUMENT,
			"Part number must be an integer between 1 and %d, inclusive", S3_PARTS_MAX);
	*out = text.part;
	out->number = (uint32_t)number;
	out->etag = unquoted(out->etag);
	return RFS_OK;
}

enum rfs_err
s3_xml_read_complete_upload(struct request *rq, struct bytes document, struct s3_complete_upload *out)
{
	struct xml_element *root;
	size_t count;
	enum rfs_err err;

	*out = (struct s3_complete_upload){0};
	if ((err = s3_xml_parse(rq, document, "CompleteMultipartUpload", &root)))
		return err;
	count = children_count(root, "Part");
	if (count < 1 || count > S3_PARTS_MAX)
		return malformed(rq, "there must be 1 to 10000 Parts");
	out->parts = ARENA_ARRAY(rq->arena, struct s3_completed_part, count);
	for (struct xml_element *e = root->first_child; e; e = e->next) {
		if (out->count == count)
			return malformed(rq, "CompleteMultipartUpload holds something else than Part");
		if ((err = part_read(rq, e, &out->parts[out->count++])))
			return err;
	}
	return RFS_OK;
}

enum rfs_err
s3_xml_read_create_bucket(struct request *rq, struct bytes document, struct bytes *location_constraint)
{
	struct xml_element *root;
	enum rfs_err err;

	*location_constraint = bytes_of(NULL, 0);
	if (xml_is_blank(document))
		return RFS_OK;
	if ((err = s3_xml_parse(rq, document, "CreateBucketConfiguration", &root)))
		return err;
	for (struct xml_element *e = root->first_child; e; e = e->next) {
		if (bytes_equal_str(e->name, "Location") || bytes_equal_str(e->name, "Bucket") ||
			bytes_equal_str(e->name, "Tags"))
			return request_fail(rq, RFS_ERR_NOT_IMPLEMENTED,
				"directory buckets and tags at a bucket's creation are not supported");
		if (!bytes_equal_str(e->name, "LocationConstraint") || !text_take(e, location_constraint))
			return malformed(
				rq, "CreateBucketConfiguration holds something else than one LocationConstraint");
	}
	if (location_constraint->data)
		*location_constraint = xml_trim(*location_constraint);
	return RFS_OK;
}

/* Adds to a list that has room. */
static bool
list_add(const struct xml_element *e, struct bytes *list, size_t *count)
{
	list[*count] = bytes_of(NULL, 0);
	if (!text_take(e, &list[*count]))
		return false;
	list[*count] = xml_trim(list[*count]);
	return list[(*count)++].len > 0;
}

static bool
cors_max_age(const struct xml_element *e, int64_t *out)
{
	uint64_t seconds;

	if (e->first_child || *out >= 0 || !bytes_to_u64(xml_trim(e->text), &seconds) || seconds > INT32_MAX)
		return false;
	*out = (int64_t)seconds;
	return true;
}

static bool
cors_element_read(const struct xml_element *e, struct s3_cors_rule *out)
{
	if (bytes_equal_str(e->name, "AllowedOrigin"))
		return list_add(e, out->origins, &out->origin_count);
	if (bytes_equal_str(e->name, "AllowedMethod"))
		return list_add(e, out->methods, &out->method_count);
	if (bytes_equal_str(e->name, "AllowedHeader"))
		return list_add(e, out->headers, &out->header_count);
	if (bytes_equal_str(e->name, "ExposeHeader"))
		return list_add(e, out->expose_headers, &out->expose_header_count);
	if (bytes_equal_str(e->name, "MaxAgeSeconds"))
		return cors_max_age(e, &out->max_age_seconds);
	if (bytes_equal_str(e->name, "ID"))
		return text_take(e, &out->id) && out->id.len <= 255;
	return false;
}

static bool
has_two_stars(struct bytes pattern)
{
	size_t first = bytes_find(pattern, '*', 0);

	return first != SIZE_MAX && bytes_find(pattern, '*', first + 1) != SIZE_MAX;
}

/* What the schema cannot say. */
static enum rfs_err
cors_rule_check(struct request *rq, const struct s3_cors_rule *rule)
{
	static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};

	for (size_t i = 0; i < rule->method_count; i++) {
		size_t m = 0;

		while (m < 5 && !bytes_equal_str(rule->methods[i], methods[m]))
			m++;
		if (m == 5)
			return request_fail(rq, RFS_ERR_INVALID_REQUEST,
				"Found unsupported HTTP method in CORS config. Unsupported method is %.*s",
				(int)(rule->methods[i].len < 64 ? rule->methods[i].len : 64),
				(const char *)rule->methods[i].data);
	}
	for (size_t i = 0; i < rule->origin_count; i++) {
		if (has_two_stars(rule->origins[i]))
			return request_fail(
				rq, RFS_ERR_INVALID_REQUEST, "AllowedOrigin can not have more than one wildcard");
	}
	for (size_t i = 0; i < rule->header_count; i++) {
		if (has_two_stars(rule->headers[i]))
			return request_fail(
				rq, RFS_ERR_INVALID_REQUEST, "AllowedHeader can not have more than one wildcard");
	}
	for (size_t i = 0; i < rule->expose_header_count; i++) {
		if (bytes_find(rule->expose_headers[i], '*', 0) != SIZE_MAX)
			return request_fail(rq, RFS_ERR_INVALID_REQUEST, "ExposeHeader can not have a wildcard");
	}
	return RFS_OK;
}

static enum rfs_err
cors_rule_read(struct request *rq, const struct xml_element *rule, struct s3_cors_rule *out)
{
	out->max_age_seconds = -1;
	out->origins = ARENA_ARRAY(rq->arena, struct bytes, children_count(rule, "AllowedOrigin") + 1);
	out->methods = ARENA_ARRAY(rq->arena, struct bytes, children_count(rule, "AllowedMethod") + 1);
	out->headers = ARENA_ARRAY(rq->arena, struct bytes, children_count(rule, "AllowedHeader") + 1);
	out->expose_headers = ARENA_ARRAY(rq->arena, struct bytes, children_count(rule, "ExposeHeader") + 1);
	for (struct xml_element *e = rule->first_child; e; e = e->next) {
		if (!cors_element_read(e, out))
			return malformed(rq, "a CORSRule has an element that is unknown or not valid");
	}
	if (out->origin_count == 0 || out->method_count == 0)
		return malformed(rq, "a CORSRule needs an AllowedOrigin and an AllowedMethod");
	return cors_rule_check(rq, out);
}

enum rfs_err
s3_xml_read_cors(struct request *rq, struct bytes document, struct s3_cors *out)
{
	struct xml_element *root;
	size_t count;
	enum rfs_err err;

	*out = (struct s3_cors){0};
	if ((err = s3_xml_parse(rq, document, "CORSConfiguration", &root)))
		return err;
	count = children_count(root, "CORSRule");
	if (count < 1 || count > S3_CORS_RULES_MAX)
		return malformed(rq, "there must be 1 to 100 CORSRules");
	out->rules = ARENA_ARRAY(rq->arena, struct s3_cors_rule, count);
	for (struct xml_element *e = root->first_child; e; e = e->next) {
		if (!bytes_equal_str(e->name, "CORSRule"))
			return malformed(rq, "CORSConfiguration holds something else than CORSRule");
		if ((err = cors_rule_read(rq, e, &out->rules[out->count++])))
			return err;
	}
	return RFS_OK;
}
