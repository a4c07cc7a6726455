/*
 * s3_acl.c: the canned ACLs: x-amz-acl, and the ACL documents that say the same as one of them.
 *
 * Source: Amazon S3 user guide, "Access control list (ACL) overview". Grants that no canned ACL of ours expresses are
 * refused with 501.
 *
 * The owner that a document names, of a bucket or of an object, is the bucket's: his is the access (auth_check.c). So
 * bucket-owner-full-control grants nothing that private does not.
 */
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"

#define ALL_USERS "http://acs.amazonaws.com/groups/global/AllUsers"
#define GRANTEE(type) "Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"" type "\""

static const char other_canned[] =
	"public-read-write authenticated-read aws-exec-read bucket-owner-read log-delivery-write";
static const char permissions[] = "FULL_CONTROL WRITE WRITE_ACP READ READ_ACP";

enum rfs_err
s3_read_acl(struct s3_exchange *ex, enum acl *acl, bool *given)
{
	struct bytes text = s3_header(ex, "x-amz-acl");

	*acl = ACL_PRIVATE;
	*given = text.data != NULL;
	if (!text.data || bytes_equal_str(text, "private"))
		return RFS_OK;
	if (bytes_equal_str(text, "public-read")) {
		*acl = ACL_PUBLIC_READ;
		return RFS_OK;
	}
	if (bytes_equal_str(text, "bucket-owner-full-control")) {
		*acl = ACL_BUCKET_OWNER_FULL_CONTROL;
		return RFS_OK;
	}
	if (s3_word_in(other_canned, text))
		return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED, "This canned ACL is not implemented: %.*s",
			(int)text.len, (const char *)text.data);
	return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "x-amz-acl is not a canned ACL");
}

void
s3_write_owner(struct s3_exchange *ex, struct buf *xml, uint64_t owner)
{
	const struct identity *who = auth_identity(ex->door->core->auth, ex->rq, owner);

	xml_open(xml, "Owner");
	xml_string(xml, "ID", who->display_id);
	xml_string(xml, "DisplayName", who->name);
	xml_close(xml, "Owner");
}

static void
write_user_grant(struct s3_exchange *ex, struct buf *xml, uint64_t user)
{
	const struct identity *who = auth_identity(ex->door->core->auth, ex->rq, user);

	xml_open(xml, "Grant");
	xml_open(xml, GRANTEE("CanonicalUser"));
	xml_string(xml, "ID", who->display_id);
	xml_string(xml, "DisplayName", who->name);
	xml_close(xml, "Grantee");
	xml_string(xml, "Permission", "FULL_CONTROL");
	xml_close(xml, "Grant");
}

static void
write_policy(struct s3_exchange *ex, const struct bucket_row *bucket, enum acl acl)
{
	struct buf *xml = s3_reply_xml(ex, "AccessControlPolicy");

	s3_write_owner(ex, xml, bucket->owner);
	xml_open(xml, "AccessControlList");
	if (acl == ACL_PUBLIC_READ) {
		xml_open(xml, "Grant");
		xml_open(xml, GRANTEE("Group"));
		xml_string(xml, "URI", ALL_USERS);
		xml_close(xml, "Grantee");
		xml_string(xml, "Permission", "READ");
		xml_close(xml, "Grant");
	}
	write_user_grant(ex, xml, bucket->owner);
	xml_close(xml, "AccessControlList");
	xml_close(xml, "AccessControlPolicy");
}

/* What one grant of a document allows, as bits: the owner everything, everybody reading. */
enum { GRANT_OWNER = 1, GRANT_READ = 2 };

static enum rfs_err
read_grant(
	struct s3_exchange *ex, const struct xml_element *grant, const struct bucket_row *bucket, unsigned *bits)
{
	const struct xml_element *grantee = xml_child(grant, "Grantee");
	const struct xml_element *permission = xml_child(grant, "Permission");
	const struct xml_element *id = grantee ? xml_child(grantee, "ID") : NULL;
	const struct xml_element *uri = grantee ? xml_child(grantee, "URI") : NULL;
	struct auth *auth = ex->door->core->auth;

	if (!grantee || !permission || !s3_word_in(permissions, permission->text))
		return request_fail(ex->rq, RFS_ERR_MALFORMED_ACL,
			"The XML you provided was not well-formed or did not validate against our published schema");
	if (id && bytes_equal_str(permission->text, "FULL_CONTROL") &&
		bytes_equal_str(id->text, auth_identity(auth, ex->rq, bucket->owner)->display_id)) {
		*bits |= GRANT_OWNER;
		return RFS_OK;
	}
	if (uri && bytes_equal_str(uri->text, ALL_USERS) && bytes_equal_str(permission->text, "READ")) {
		*bits |= GRANT_READ;
		return RFS_OK;
	}
	return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED,
		"Grants other than those of the canned ACLs private, public-read and bucket-owner-full-control are not "
		"implemented");
}

/* The owner whom a document names stays the owner: a document cannot give to another what it says of. */
static enum rfs_err
check_policy_owner(struct s3_exchange *ex, const struct xml_element *root, const struct bucket_row *bucket)
{
	const struct xml_element *owner = xml_child(root, "Owner");
	const struct xml_element *id = owner ? xml_child(owner, "ID") : NULL;
	const struct identity *is = auth_identity(ex->door->core->auth, ex->rq, bucket->owner);

	if (!id || bytes_equal_str(id->text, is->display_id))
		return RFS_OK;
	return request_fail(ex->rq, RFS_ERR_ACCESS_DENIED, "The owner in an access control list cannot be another one");
}

static enum rfs_err
read_policy(struct s3_exchange *ex, const struct bucket_row *bucket, enum acl *acl)
{
	const struct xml_element *list, *grant;
	struct xml_element *root;
	unsigned bits = 0;
	enum rfs_err err;

	if ((err = s3_xml_parse(ex->rq, s3_document(ex), "AccessControlPolicy", &root)) ||
		(err = check_policy_owner(ex, root, bucket)))
		return err;
	list = xml_child(root, "AccessControlList");
	for (grant = list ? list->first_child : NULL; grant; grant = grant->next)
		if ((err = read_grant(ex, grant, bucket, &bits)))
			return err;
	if (bits == GRANT_OWNER)
		*acl = ACL_PRIVATE;
	else if (bits == (GRANT_OWNER | GRANT_READ))
		*acl = ACL_PUBLIC_READ;
	else
		return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED,
			"Grants other than those of the canned ACLs private, public-read and bucket-owner-full-control "
			"are not "
			"implemented");
	return RFS_OK;
}

/* From the header or the document: exactly one of them. */
static enum rfs_err
read_either(struct s3_exchange *ex, const struct bucket_row *bucket, enum acl *acl)
{
	bool given;
	enum rfs_err err;

	if ((err = s3_read_acl(ex, acl, &given)))
		return err;
	if (given && s3_document(ex).len)
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"Specifying both Canned ACLs and Header Grants, or an ACL document, is not allowed");
	if (given)
		return RFS_OK;
	if (s3_document(ex).len == 0)
		return request_fail(
			ex->rq, RFS_ERR_MISSING_SECURITY_HEADER, "Your request was missing a required header");
	return read_policy(ex, bucket, acl);
}

enum rfs_err
s3_get_bucket_acl(struct s3_exchange *ex)
{
	struct bucket_row row;
	enum rfs_err err;

	if ((err = bucket_open(ex->door->core, ex->rq, ex->bucket, OP_BUCKET_CONFIGURE, &row)))
		return err;
	write_policy(ex, &row, row.acl);
	return RFS_OK;
}

enum rfs_err
s3_put_bucket_acl(struct s3_exchange *ex)
{
	struct bucket_changes changes = {0};
	struct bucket_row row;
	enum acl acl;
	enum rfs_err err;

	if ((err = bucket_open(ex->door->core, ex->rq, ex->bucket, OP_BUCKET_CONFIGURE, &row)))
		return err;
	if ((err = read_either(ex, &row, &acl)))
		return err;
	changes.acl = &acl;
	return bucket_configure(ex->door->core, ex->rq, ex->bucket, &changes);
}

/* The object's head, for who may do `op` to its ACL. */
static enum rfs_err
acl_open(struct s3_exchange *ex, enum operation op, struct object_get *get)
{
	struct object_get_args args = {.bucket = ex->bucket, .key = ex->key, .head_only = true};
	struct access_target target;
	enum rfs_err err;

	if ((err = s3_check_version_id(ex, s3_param(ex, "versionId"))))
		return err;
	if ((err = object_get_open(ex->door->core, ex->rq, &args, get)))
		return err;
	target = (struct access_target){.bucket = &get->bucket, .name = ex->key, .version = &get->version};
	if ((err = auth_check(ex->door->core->auth, ex->rq, &target, op)))
		object_get_close(get);
	return err;
}

enum rfs_err
s3_get_object_acl(struct s3_exchange *ex)
{
	struct object_get get = {0};
	enum rfs_err err;

	if ((err = acl_open(ex, OP_OBJECT_READ_ACL, &get)))
		return err;
	write_policy(ex, &get.bucket, get.version.acl);
	object_get_close(&get);
	return RFS_OK;
}

enum rfs_err
s3_put_object_acl(struct s3_exchange *ex)
{
	struct object_get get = {0};
	enum acl acl;
	enum rfs_err err;

	if ((err = acl_open(ex, OP_OBJECT_WRITE_ACL, &get)))
		return err;
	err = read_either(ex, &get.bucket, &acl);
	object_get_close(&get);
	return err ? err : object_set_acl(ex->door->core, ex->rq, ex->bucket, ex->key, acl);
}
