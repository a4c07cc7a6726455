/*
 * auth_check.c: the one decision: may this identity do that? Reads what it is given, and groups in memory. [any]
 *
 * In this order, the first that speaks decides:
 *   1. the scope of the access key: what lies outside of it is denied, also to administrators, also when it is public
 *   2. administrators may do everything
 *   3. who is known may list his buckets and create some
 *   4. a bucket's owner may do everything in it; where that is a group, each of its members
 *   5. an object's owner may read it, and read and change its ACL (so that he can still see what an administrator gave
 * away)
 *   6. a public-read bucket may be listed, and a public-read object read, by everybody
 *   7. everything else is denied
 *
 * An object that is not there is judged as a listing: who may not list a bucket must not learn which keys exist (Amazon
 * S3 API reference, GetObject: 404 with s3:ListBucket, 403 without).
 */
#include "managers/auth/auth_int.h"
#include "base/mutant.h"

static bool
op_changes(enum operation op)
{
	switch (op) {
	case OP_BUCKET_CREATE:
	case OP_BUCKET_DELETE:
	case OP_BUCKET_CONFIGURE:
	case OP_OBJECT_WRITE:
	case OP_OBJECT_DELETE:
	case OP_OBJECT_WRITE_ACL:
		return true;
	case OP_BUCKET_LIST_ALL:
	case OP_BUCKET_READ:
	case OP_BUCKET_LIST:
	case OP_OBJECT_READ:
	case OP_OBJECT_READ_ACL:
		return false;
	}
	return true;
}

/* May a key that is limited to a prefix do `op`? `name` is the key, or the prefix of a listing. */
static bool
prefix_allows(const char *prefix, struct bytes name, enum operation op)
{
	switch (op) {
	case OP_BUCKET_LIST_ALL:
	case OP_BUCKET_READ:
		return true;
	case OP_BUCKET_CREATE:
	case OP_BUCKET_DELETE:
	case OP_BUCKET_CONFIGURE:
		return false;
	case OP_BUCKET_LIST:
	case OP_OBJECT_READ:
	case OP_OBJECT_WRITE:
	case OP_OBJECT_DELETE:
	case OP_OBJECT_READ_ACL:
	case OP_OBJECT_WRITE_ACL:
		return bytes_starts_with(name, bytes_str(prefix));
	}
	return false;
}

static bool
scope_allows(const struct identity *who, const struct access_target *target, enum operation op)
{
	if (who->scope_read_only && op_changes(op))
		return false;
	if (who->scope_bucket) {
		if (target->bucket && !bytes_equal_str(target->bucket->name, who->scope_bucket))
			return false;
		if (!target->bucket && op != OP_BUCKET_LIST_ALL)
			return false;
	}
	return !who->scope_prefix || prefix_allows(who->scope_prefix, target->name, op);
}

/* Rules 5 and 6. */
static bool
others_may(const struct identity *who, const struct access_target *target, enum operation op)
{
	const struct version *version = target->version;
	bool owns = version && who->id != 0 && version->owner == who->id;
	bool may_list = target->bucket->acl == ACL_PUBLIC_READ;

	switch (op) {
	case OP_BUCKET_READ:
	case OP_BUCKET_LIST:
		return may_list;
	case OP_OBJECT_READ:
		return version ? owns || version->acl == ACL_PUBLIC_READ : may_list;
	case OP_OBJECT_READ_ACL:
	case OP_OBJECT_WRITE_ACL:
		return owns;
	case OP_BUCKET_LIST_ALL:
	case OP_BUCKET_CREATE:
	case OP_BUCKET_DELETE:
	case OP_BUCKET_CONFIGURE:
	case OP_OBJECT_WRITE:
	case OP_OBJECT_DELETE:
		return false;
	}
	return false;
}

/* Rule 4. */
static bool
owns_bucket(struct auth *a, const struct identity *who, const struct bucket_row *bucket)
{
	return who->id != 0 && (bucket->owner == who->id || group_has(a, bucket->owner, who->id));
}

enum rfs_err
auth_check(struct auth *a, struct request *rq, const struct access_target *target, enum operation op)
{
	const struct identity *who = rq->who ? rq->who : auth_anonymous();
	const struct bucket_row *bucket = target->bucket;

	if (!scope_allows(who, target, op) && !MUTANT("scope-ignored"))
		return request_fail(
			rq, RFS_ERR_ACCESS_DENIED, "The access key is limited, and this lies outside of its scope");
	if (who->admin || MUTANT("auth-check-says-yes"))
		return RFS_OK;
	if (!bucket && who->id != 0 && (op == OP_BUCKET_LIST_ALL || op == OP_BUCKET_CREATE))
		return RFS_OK;
	if (bucket && owns_bucket(a, who, bucket))
		return RFS_OK;
	if (bucket && others_may(who, target, op))
		return RFS_OK;
	return request_fail(rq, RFS_ERR_ACCESS_DENIED, "Access is denied");
}
