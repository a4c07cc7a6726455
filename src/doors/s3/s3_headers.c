/*
 * s3_headers.c: the headers that are an object's metadata, in and out.
 *
 * What is kept: Content-Type, Cache-Control, Content-Disposition, Content-Encoding (without aws-chunked),
 * Content-Language, Expires, and x-amz-meta-*. Source: Amazon S3 user guide, "Working with object metadata": user
 * metadata are at most 2 KB, names and values.
 */
#include "base/clock.h"
#include "doors/s3/s3_int.h"

#define USER_METADATA_MAX 2048

static const char kept_headers[] = "cache-control content-disposition content-encoding content-language expires";
static const char classes[] =
	"STANDARD REDUCED_REDUNDANCY STANDARD_IA ONEZONE_IA INTELLIGENT_TIERING GLACIER GLACIER_IR "
	"DEEP_ARCHIVE OUTPOSTS SNOW EXPRESS_ONEZONE FSX_OPENZFS FSX_ONTAP";
static const struct bytes meta_prefix = {(const uint8_t *)"x-amz-meta-", 11};

struct bytes
s3_trim(struct bytes v)
{
	while (v.len && (v.data[0] == ' ' || v.data[0] == '\t'))
		v = bytes_sub(v, 1, SIZE_MAX);
	while (v.len && (v.data[v.len - 1] == ' ' || v.data[v.len - 1] == '\t'))
		v.len--;
	return v;
}

bool
s3_has_aws_chunked(struct bytes encodings)
{
	size_t at = 0, comma;

	do {
		comma = bytes_find(encodings, ',', at);
		if (bytes_equal_str_nocase(s3_trim(bytes_sub(encodings, at, comma - at)), "aws-chunked"))
			return true;
		at = comma + 1;
	} while (comma != SIZE_MAX);
	return false;
}

/* "gzip, aws-chunked" -> "gzip": the framing was taken off, and is no property of the object. */
static struct bytes
without_aws_chunked(struct s3_exchange *ex, struct bytes value)
{
	struct buf kept;
	bool dropped = false;
	size_t at = 0;

	buf_init(&kept, ex->rq->arena);
	while (at <= value.len) {
		size_t comma = bytes_find(value, ',', at);
		size_t end = comma == SIZE_MAX ? value.len : comma;
		struct bytes token = s3_trim(bytes_sub(value, at, end - at));

		at = end + 1;
		if (bytes_equal_str_nocase(token, "aws-chunked")) {
			dropped = true;
			continue;
		}
		if (kept.len)
			buf_put_str(&kept, ", ");
		buf_put_bytes(&kept, token);
	}
	return dropped ? buf_bytes(&kept) : value;
}

/* What a presigned request says in a header and in a parameter, or in several, is one with all values, as of headers
 * alone. */
static bool
join_property(struct s3_exchange *ex, struct object_put_args *args, struct bytes name, struct bytes value)
{
	for (size_t i = 0; i < args->property_count; i++) {
		struct property *p = &args->properties[i];

		if (!bytes_equal(p->name, name))
			continue;
		p->value = bytes_str(arena_printf(ex->rq->arena, "%.*s,%.*s", (int)p->value.len,
			(const char *)p->value.data, (int)value.len, (const char *)value.data));
		return true;
	}
	return false;
}

static void
add_property(struct s3_exchange *ex, struct object_put_args *args, struct bytes name, struct bytes value)
{
	if (bytes_equal_str(name, "content-encoding")) {
		value = without_aws_chunked(ex, value);
		if (value.len == 0)
			return;
	}
	if (!join_property(ex, args, name, value))
		args->properties[args->property_count++] = (struct property){name, value};
}

struct bytes
s3_lower(struct arena *arena, struct bytes name)
{
	uint8_t *copy = arena_alloc(arena, name.len + 1);

	for (size_t i = 0; i < name.len; i++)
		copy[i] = name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] | 0x20 : name.data[i];
	return bytes_of(copy, name.len);
}

static enum rfs_err
read_storage_class(struct s3_exchange *ex)
{
	struct bytes text = s3_header(ex, "x-amz-storage-class");

	if (!text.data || bytes_equal_str(text, "STANDARD"))
		return RFS_OK;
	if (s3_word_in(classes, text))
		return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED, "This storage class is not implemented: %.*s",
			(int)text.len, (const char *)text.data);
	return request_fail(ex->rq, RFS_ERR_INVALID_STORAGE_CLASS, "The storage class you specified is not valid");
}

static void
read_properties(struct s3_exchange *ex, struct object_put_args *args)
{
	args->properties = ARENA_ARRAY(ex->rq->arena, struct property, ex->header_count + ex->query.count + 1);
	args->property_count = 0;
	for (size_t i = 0; i < ex->header_count; i++) {
		struct bytes name = ex->headers[i].name;

		if (s3_word_in(kept_headers, name) || bytes_starts_with(name, meta_prefix))
			add_property(ex, args, name, ex->headers[i].value);
	}
	for (size_t i = 0; ex->signature.kind == SIGV4_QUERY && i < ex->query.count; i++) {
		struct bytes name = s3_lower(ex->rq->arena, ex->query.params[i].name);

		if (bytes_starts_with(name, meta_prefix))
			add_property(ex, args, name, ex->query.params[i].value);
	}
}

enum rfs_err
s3_read_metadata(struct s3_exchange *ex, struct object_put_args *args)
{
	size_t user_bytes = 0;
	bool given;
	enum rfs_err err;

	if ((err = read_storage_class(ex)))
		return err;
	if ((err = s3_read_acl(ex, &args->acl, &given)))
		return err;
	args->content_type = s3_header(ex, "content-type");
	read_properties(ex, args);
	for (size_t i = 0; i < args->property_count; i++)
		if (bytes_starts_with(args->properties[i].name, meta_prefix))
			user_bytes += args->properties[i].name.len - meta_prefix.len + args->properties[i].value.len;
	if (user_bytes > USER_METADATA_MAX)
		return request_fail(ex->rq, RFS_ERR_METADATA_TOO_LARGE,
			"Your metadata headers exceed the maximum allowed metadata size");
	return RFS_OK;
}

void
s3_write_etag(struct s3_exchange *ex, const struct version *v)
{
	uint8_t *quoted = arena_alloc(ex->rq->arena, v->etag.len + 2);

	quoted[0] = quoted[v->etag.len + 1] = '"';
	if (v->etag.len)
		memcpy(quoted + 1, v->etag.data, v->etag.len);
	s3_reply_header(ex, "ETag", bytes_of(quoted, v->etag.len + 2));
}

void
s3_write_metadata(struct s3_exchange *ex, const struct version *v)
{
	char *date = arena_alloc(ex->rq->arena, 30);

	date_http(v->modified_ns, date);
	s3_reply_header(ex, "Last-Modified", bytes_str(date));
	s3_write_etag(ex, v);
	s3_reply_header(
		ex, "Content-Type", v->content_type.len ? v->content_type : BYTES_LITERAL("binary/octet-stream"));
	for (size_t i = 0; i < v->property_count; i++)
		if (s3_word_in(kept_headers, v->properties[i].name) ||
			bytes_starts_with(v->properties[i].name, meta_prefix))
			s3_reply_header(ex, arena_str(ex->rq->arena, v->properties[i].name), v->properties[i].value);
}

static void
write_sum(struct s3_exchange *ex, enum digest digest, const char *value, const char *type)
{
	s3_reply_header(ex, s3_checksum_of(digest)->header, bytes_str(value));
	s3_reply_header(ex, "x-amz-checksum-type", bytes_str(type));
}

void
s3_write_checksum(struct s3_exchange *ex, const struct version *v)
{
	if (v->has_checksum && s3_checksum_of(v->checksum))
		write_sum(ex, v->checksum, s3_checksum_text(ex->rq->arena, v), s3_checksum_type_text(v));
}

void
s3_write_checksum_value(struct s3_exchange *ex, enum digest digest, const struct digest_value *value, const char *type)
{
	if (s3_checksum_of(digest))
		write_sum(ex, digest, s3_digest_text(ex->rq->arena, digest, value), type);
}
