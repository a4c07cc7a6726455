/*
 * s3_bucket_unset.c: reads of configurations that cannot be set here, answered as Amazon's S3 answers for a bucket or
 * object that never had them. The calls that would set them are not in s3_operations.def: 501.
 */
#include "doors/s3/s3_int.h"

/* What a bucket without it answers: an error, or an empty document. */
static const struct unset {
	const char *query;
	enum rfs_err error; /* RFS_OK: the document */
	const char *root;
	const char *element; /* its only element, if any */
	const char *text;
} unset[] = {
	{"versioning", RFS_OK, "VersioningConfiguration", NULL, NULL},
	{"notification", RFS_OK, "NotificationConfiguration", NULL, NULL},
	{"logging", RFS_OK, "BucketLoggingStatus", NULL, NULL},
	{"accelerate", RFS_OK, "AccelerateConfiguration", NULL, NULL},
	{"requestPayment", RFS_OK, "RequestPaymentConfiguration", "Payer", "BucketOwner"},
	{"policy", RFS_ERR_NO_SUCH_POLICY, NULL, NULL, NULL},
	{"policyStatus", RFS_ERR_NO_SUCH_POLICY, NULL, NULL, NULL},
	{"lifecycle", RFS_ERR_NO_SUCH_LIFECYCLE, NULL, NULL, NULL},
	{"tagging", RFS_ERR_NO_SUCH_TAG_SET, NULL, NULL, NULL},
	{"website", RFS_ERR_NO_SUCH_WEBSITE, NULL, NULL, NULL},
	{"encryption", RFS_ERR_NO_SUCH_ENCRYPTION, NULL, NULL, NULL},
	{"replication", RFS_ERR_NO_SUCH_REPLICATION, NULL, NULL, NULL},
	{"object-lock", RFS_ERR_NO_SUCH_OBJECT_LOCK, NULL, NULL, NULL},
	{"publicAccessBlock", RFS_ERR_NO_SUCH_PUBLIC_ACCESS_BLOCK, NULL, NULL, NULL},
	{"ownershipControls", RFS_ERR_NO_SUCH_OWNERSHIP, NULL, NULL, NULL},
	/* Those that have ids: the list of all of them. */
	{"analytics", RFS_OK, "ListBucketAnalyticsConfigurationResult", "IsTruncated", "false"},
	{"intelligent-tiering", RFS_OK, "ListBucketIntelligentTieringConfigurationsOutput", "IsTruncated", "false"},
	{"inventory", RFS_OK, "ListInventoryConfigurationsResult", "IsTruncated", "false"},
	{"metrics", RFS_OK, "ListMetricsConfigurationsResult", "IsTruncated", "false"},
};

enum rfs_err
s3_get_bucket_unset(struct s3_exchange *ex)
{
	const struct unset *u = unset;
	struct bucket_row row;
	struct buf *xml;
	enum rfs_err err;

	if ((err = bucket_open(ex->door->core, ex->rq, ex->bucket, OP_BUCKET_CONFIGURE, &row)))
		return err;
	while (strcmp(u->query, ex->op->query) != 0)
		u++;
	if (u->error)
		return u->error;
	if (s3_param(ex, "id").data)
		return RFS_ERR_NO_SUCH_CONFIGURATION;
	xml = s3_reply_xml(ex, u->root);
	if (u->element)
		xml_string(xml, u->element, u->text);
	xml_close(xml, u->root);
	return RFS_OK;
}

/* Is the object there, for who asks? */
static enum rfs_err
object_look(struct s3_exchange *ex)
{
	struct object_get_args args = {.bucket = ex->bucket, .key = ex->key, .head_only = true};
	struct object_get get = {0};
	enum rfs_err err;

	if ((err = s3_check_version_id(ex, s3_param(ex, "versionId"))))
		return err;
	if ((err = object_get_open(ex->door->core, ex->rq, &args, &get)))
		return err;
	object_get_close(&get);
	return RFS_OK;
}

/* Retention and legal hold, of a bucket without object lock. */
enum rfs_err
s3_get_object_lock(struct s3_exchange *ex)
{
	enum rfs_err err = object_look(ex);

	return err ? err
		   : request_fail(ex->rq, RFS_ERR_INVALID_REQUEST, "Bucket is missing Object Lock Configuration");
}

enum rfs_err
s3_get_object_tagging(struct s3_exchange *ex)
{
	struct buf *xml;
	enum rfs_err err;

	if ((err = object_look(ex)))
		return err;
	xml = s3_reply_xml(ex, "Tagging");
	xml_open(xml, "TagSet");
	xml_close(xml, "TagSet");
	xml_close(xml, "Tagging");
	return RFS_OK;
}
