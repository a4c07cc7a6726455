/* s3_objects_delete.c: DeleteObjects (Amazon S3 API reference): up to 1,000 keys, each with its own answer. */
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"

static enum rfs_err
delete_one(struct s3_exchange *ex, const struct s3_delete_key *key)
{
	struct object_delete_args args = {.bucket = ex->bucket, .key = key->key};
	bool removed = false;
	enum rfs_err err;

	request_clear_error(ex->rq);
	if ((err = s3_check_version_id(ex, key->version_id)))
		return err;
	if (key->last_modified_time.data || key->size.data)
		return request_fail(
			ex->rq, RFS_ERR_NOT_IMPLEMENTED, "Conditions on LastModifiedTime and Size are not implemented");
	if (key->key.len == 0 || key->key.len > S3_KEY_MAX)
		return request_fail(ex->rq, RFS_ERR_KEY_TOO_LONG, "Your key is too long, or empty");
	args.conditions.if_match = key->etag;
	err = object_delete(ex->door->core, ex->rq, &args, &removed);
	return err == RFS_ERR_NO_SUCH_KEY ? RFS_OK : err;
}

static void
write_deleted(struct buf *xml, const struct s3_delete_key *key)
{
	xml_open(xml, "Deleted");
	xml_text(xml, "Key", key->key);
	if (key->version_id.data)
		xml_text(xml, "VersionId", key->version_id);
	xml_close(xml, "Deleted");
}

static void
write_error(struct s3_exchange *ex, struct buf *xml, const struct s3_delete_key *key, enum rfs_err err)
{
	xml_open(xml, "Error");
	xml_text(xml, "Key", key->key);
	if (key->version_id.data)
		xml_text(xml, "VersionId", key->version_id);
	xml_string(xml, "Code", error_face(err)->s3_code);
	xml_string(xml, "Message", s3_error_message(ex, err));
	xml_close(xml, "Error");
}

enum rfs_err
s3_delete_objects(struct s3_exchange *ex)
{
	struct s3_delete request = {0};
	struct buf *xml;
	enum rfs_err err;

	if (!ex->body.has_md5 && !ex->body.has_checksum)
		return request_fail(
			ex->rq, RFS_ERR_INVALID_REQUEST, "Missing required header for this request: Content-MD5");
	if ((err = s3_xml_read_delete(ex->rq, s3_document(ex), &request)))
		return err;
	xml = s3_reply_xml(ex, "DeleteResult");
	for (size_t i = 0; i < request.count; i++) {
		err = delete_one(ex, &request.keys[i]);
		if (err == RFS_ERR_NO_SUCH_BUCKET)
			return err;
		if (err)
			write_error(ex, xml, &request.keys[i], err);
		else if (!request.quiet)
			write_deleted(xml, &request.keys[i]);
	}
	request_clear_error(ex->rq);
	xml_close(xml, "DeleteResult");
	return RFS_OK;
}
