/* s3_objects_delete.c: DeleteObjects (Amazon S3 API reference): up to 1,000 keys, each with its own answer. */
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"

static enum rfs_err
verify_key(struct s3_exchange *ex, const struct s3_delete_key *key)
{
	enum rfs_err err;

	if ((err = s3_check_version_id(ex, key->version_id)))
		return err;
	if (key->last_modified_time.data || key->size.data)
		return request_fail(
			ex->rq, RFS_ERR_NOT_IMPLEMENTED, "Conditions on LastModifiedTime and Size are not implemented");
	if (key->key.len == 0 || key->key.len > S3_KEY_MAX)
		return request_fail(ex->rq, RFS_ERR_KEY_TOO_LONG, "Your key is too long, or empty");
	return RFS_OK;
}

static struct object_deletion *
deletions_of(struct s3_exchange *ex, const struct s3_delete *request)
{
	struct object_deletion *deletions = ARENA_ARRAY(ex->rq->arena, struct object_deletion, request->count);

	for (size_t i = 0; i < request->count; i++) {
		const struct s3_delete_key *key = &request->keys[i];
		struct object_deletion *deletion = &deletions[i];

		*deletion = (struct object_deletion){
			.args = {.bucket = ex->bucket, .key = key->key, .conditions.if_match = key->etag}};
		request_clear_error(ex->rq);
		deletion->error = verify_key(ex, key);
		deletion->detail = ex->rq->detail;
	}
	request_clear_error(ex->rq);
	return deletions;
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
write_error(struct buf *xml, const struct s3_delete_key *key, const struct object_deletion *deletion)
{
	xml_open(xml, "Error");
	xml_text(xml, "Key", key->key);
	if (key->version_id.data)
		xml_text(xml, "VersionId", key->version_id);
	xml_string(xml, "Code", error_face(deletion->error)->s3_code);
	xml_string(xml, "Message", deletion->detail ? deletion->detail : error_face(deletion->error)->text);
	xml_close(xml, "Error");
}

enum rfs_err
s3_delete_objects(struct s3_exchange *ex)
{
	struct s3_delete request = {0};
	struct object_deletion *deletions;
	struct buf *xml;
	enum rfs_err err;

	if (!ex->body.has_md5 && !ex->body.has_checksum)
		return request_fail(
			ex->rq, RFS_ERR_INVALID_REQUEST, "Missing required header for this request: Content-MD5");
	if ((err = s3_xml_read_delete(ex->rq, s3_document(ex), &request)))
		return err;
	deletions = deletions_of(ex, &request);
	objects_delete(ex->door->core, ex->rq, deletions, request.count);
	xml = s3_reply_xml(ex, "DeleteResult");
	for (size_t i = 0; i < request.count; i++) {
		const struct object_deletion *deletion = &deletions[i];

		if (deletion->error == RFS_ERR_NO_SUCH_BUCKET)
			return deletion->error;
		/* A condition on what is not there: nothing is left to delete. */
		if (deletion->error && deletion->error != RFS_ERR_NO_SUCH_KEY)
			write_error(xml, &request.keys[i], deletion);
		else if (!request.quiet)
			write_deleted(xml, &request.keys[i]);
	}
	xml_close(xml, "DeleteResult");
	return RFS_OK;
}
