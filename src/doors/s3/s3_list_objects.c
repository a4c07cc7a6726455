/*
 * s3_list_objects.c: ListObjects, ListObjectsV2 and ListObjectVersions (Amazon S3 API reference) over core's one
 * listing.
 *
 * Without versioning each key has one version, "null", which is the latest. A continuation token is the base64 of the
 * last key or prefix.
 */
#include "doors/s3/s3_int.h"

#define LIST_KEYS_MAX 1000
#define LIST_ON_LOOP_MAX 64 /* a longer page would hold up the loop's other connections */

struct list_request {
	struct object_list_args args;
	struct bytes marker; /* as it came; data NULL: it did not */
	struct bytes token;
	struct bytes version_marker;
	bool is_url;
	bool is_v1; /* its clients decode every name that is encoded, but not Prefix */
	bool with_owner;
	uint64_t max_keys;
	struct object_list list;
};

static enum rfs_err
read_common(struct s3_exchange *ex, struct list_request *l)
{
	struct bytes encoding = s3_param(ex, "encoding-type");
	struct bytes max = s3_param(ex, "max-keys");
	enum rfs_err err;

	l->args.bucket = ex->bucket;
	l->args.prefix = s3_param(ex, "prefix");
	l->args.delimiter = s3_param(ex, "delimiter");
	l->is_url = bytes_equal_str(encoding, "url");
	if (encoding.len && !l->is_url)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Invalid Encoding Method specified in Request");
	l->max_keys = LIST_KEYS_MAX;
	if (max.len && (err = s3_param_number(ex, "max-keys", 0, INT32_MAX, &l->max_keys)))
		return err;
	if (l->max_keys > LIST_KEYS_MAX)
		l->max_keys = LIST_KEYS_MAX;
	l->args.limit = l->max_keys;
	return RFS_OK;
}

static enum rfs_err
list_run(struct s3_exchange *ex, struct list_request *l)
{
	if (!ex->rq->may_block && l->max_keys > LIST_ON_LOOP_MAX)
		return RFS_ERR_WOULD_BLOCK;
	return object_list(ex->door->core, ex->rq, &l->args, &l->list);
}

static void
write_checksum_names(struct buf *xml, const struct version *v)
{
	if (!v->has_checksum || !s3_checksum_of(v->checksum))
		return;
	xml_string(xml, "ChecksumAlgorithm", s3_checksum_of(v->checksum)->algorithm);
	xml_string(xml, "ChecksumType", s3_checksum_type_text(v));
}

static void
write_contents(
	struct s3_exchange *ex, struct buf *xml, const struct list_request *l, const struct object_list_item *item)
{
	xml_open(xml, "Contents");
	xml_key(xml, "Key", item->key, l->is_url);
	xml_date(xml, "LastModified", item->version.modified_ns);
	xml_etag(xml, "ETag", item->version.etag);
	write_checksum_names(xml, &item->version);
	xml_number(xml, "Size", (int64_t)item->version.content.size);
	if (l->with_owner)
		s3_write_owner(ex, xml, item->version.owner);
	xml_string(xml, "StorageClass", "STANDARD");
	xml_close(xml, "Contents");
}

static void
write_version(
	struct s3_exchange *ex, struct buf *xml, const struct list_request *l, const struct object_list_item *item)
{
	xml_open(xml, "Version");
	xml_key(xml, "Key", item->key, l->is_url);
	xml_string(xml, "VersionId", "null");
	xml_bool(xml, "IsLatest", true);
	xml_date(xml, "LastModified", item->version.modified_ns);
	xml_etag(xml, "ETag", item->version.etag);
	write_checksum_names(xml, &item->version);
	xml_number(xml, "Size", (int64_t)item->version.content.size);
	s3_write_owner(ex, xml, item->version.owner);
	xml_string(xml, "StorageClass", "STANDARD");
	xml_close(xml, "Version");
}

/* Keys, then common prefixes: each in byte order. */
static void
write_items(struct s3_exchange *ex, struct buf *xml, const struct list_request *l,
	void (*write_item)(
		struct s3_exchange *, struct buf *, const struct list_request *, const struct object_list_item *))
{
	for (size_t i = 0; i < l->list.count; i++)
		if (!l->list.items[i].is_prefix)
			write_item(ex, xml, l, &l->list.items[i]);
	for (size_t i = 0; i < l->list.count; i++) {
		if (!l->list.items[i].is_prefix)
			continue;
		xml_open(xml, "CommonPrefixes");
		xml_key(xml, "Prefix", l->list.items[i].key, l->is_url);
		xml_close(xml, "CommonPrefixes");
	}
}

/* An element whose parameter did not come is not there. */
static void
write_given(struct buf *xml, const char *name, struct bytes value, bool is_url)
{
	if (value.data)
		xml_key(xml, name, value, is_url);
}

static void
write_common(struct buf *xml, struct s3_exchange *ex, const struct list_request *l)
{
	xml_text(xml, "Name", ex->bucket);
	xml_key(xml, "Prefix", l->args.prefix, l->is_url && !l->is_v1);
	xml_number(xml, "MaxKeys", (int64_t)l->max_keys);
	if (l->args.delimiter.len)
		xml_key(xml, "Delimiter", l->args.delimiter, l->is_url);
	if (l->is_url)
		xml_string(xml, "EncodingType", "url");
	xml_bool(xml, "IsTruncated", l->list.more);
}

enum rfs_err
s3_list_objects(struct s3_exchange *ex)
{
	struct list_request l = {.is_v1 = true, .with_owner = true};
	struct buf *xml;
	enum rfs_err err;

	if ((err = read_common(ex, &l)))
		return err;
	l.marker = s3_param(ex, "marker");
	l.args.after = l.marker;
	if ((err = list_run(ex, &l)))
		return err;
	xml = s3_reply_xml(ex, "ListBucketResult");
	write_common(xml, ex, &l);
	xml_key(xml, "Marker", l.marker, l.is_url);
	if (l.list.more && l.args.delimiter.len)
		xml_key(xml, "NextMarker", l.list.next, l.is_url);
	write_items(ex, xml, &l, write_contents);
	xml_close(xml, "ListBucketResult");
	return RFS_OK;
}

static const char *
token_encode(struct s3_exchange *ex, struct bytes key)
{
	char *text = arena_alloc(ex->rq->arena, 4 * ((key.len + 2) / 3) + 1);

	base64_encode(key, text);
	return text;
}

static bool
token_decode(struct s3_exchange *ex, struct bytes text, struct bytes *key)
{
	size_t padding = 0;
	uint8_t *out;

	if (text.len % 4 != 0 || text.len > 4 * S3_KEY_MAX)
		return false;
	while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
		padding++;
	*key = bytes_of(out = arena_alloc(ex->rq->arena, text.len + 1), text.len / 4 * 3 - padding);
	return base64_decode(text, out, key->len);
}

enum rfs_err
s3_list_objects_v2(struct s3_exchange *ex)
{
	struct list_request l = {0};
	struct buf *xml;
	enum rfs_err err;

	if (!bytes_equal_str(s3_param(ex, "list-type"), "2"))
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Invalid List Type specified in Request");
	if ((err = read_common(ex, &l)))
		return err;
	l.with_owner = bytes_equal_str(s3_param(ex, "fetch-owner"), "true");
	l.marker = s3_param(ex, "start-after");
	l.token = s3_param(ex, "continuation-token");
	l.args.after = l.marker;
	if (l.token.len && !token_decode(ex, l.token, &l.args.after))
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "The continuation token provided is incorrect");
	if ((err = list_run(ex, &l)))
		return err;
	xml = s3_reply_xml(ex, "ListBucketResult");
	write_common(xml, ex, &l);
	xml_number(xml, "KeyCount", (int64_t)l.list.count);
	write_given(xml, "StartAfter", l.marker, l.is_url);
	write_given(xml, "ContinuationToken", l.token, false);
	if (l.list.more)
		xml_string(xml, "NextContinuationToken", token_encode(ex, l.list.next));
	write_items(ex, xml, &l, write_contents);
	xml_close(xml, "ListBucketResult");
	return RFS_OK;
}

enum rfs_err
s3_list_versions(struct s3_exchange *ex)
{
	struct list_request l = {0};
	struct buf *xml;
	enum rfs_err err;

	if ((err = read_common(ex, &l)))
		return err;
	l.marker = s3_param(ex, "key-marker");
	l.version_marker = s3_param(ex, "version-id-marker");
	if (l.version_marker.len && !l.marker.len)
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT,
			"A version-id marker cannot be specified without a key marker.");
	if (l.version_marker.len && !bytes_equal_str(l.version_marker, "null"))
		return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Invalid version id specified");
	l.args.after = l.marker;
	if ((err = list_run(ex, &l)))
		return err;
	xml = s3_reply_xml(ex, "ListVersionsResult");
	write_common(xml, ex, &l);
	xml_key(xml, "KeyMarker", l.marker, l.is_url);
	xml_text(xml, "VersionIdMarker", l.version_marker);
	if (l.list.more) {
		xml_key(xml, "NextKeyMarker", l.list.next, l.is_url);
		if (!l.list.items[l.list.count - 1].is_prefix)
			xml_string(xml, "NextVersionIdMarker", "null");
	}
	write_items(ex, xml, &l, write_version);
	xml_close(xml, "ListVersionsResult");
	return RFS_OK;
}
