/*
 * auth_check.c: the one decision: may this identity do that? Reads what it is given, and groups in memory. [any]
 *
 * In this order, the first that speaks decides:
 *   0. who has been removed since his request began, or whose access key has, may do nothing, not even what is public
 *   1. the scope of the access key: what lies outside of it is denied, also to administrators, also when it is public
 *   2. administrators may do everything
 *   3. who is known may list his buckets and create some
 *   4. a bucket's owner may do everything in it; where that is a group, each of its members
 *   5. a public-read bucket may be listed, and a public-read object read, by everybody; its feed is not public: it tells
 *      what was there before, and who did it
 *   6. everything else is denied
 *
 * Rights come from the bucket. Who wrote an object is remembered with it and gives him nothing: an administrator, or a
 * member of the bucket's group, puts objects there as its owner does, and whoever may do so no longer may not read them
 * or change their ACL either. This is what Amazon S3 calls "bucket owner enforced" (user guide, "Controlling ownership
 * of objects").
 *
 * A decision holds for the step that asked for it: core asks again for each batch that it builds, so that a long upload
 * of somebody who has lost his access meanwhile is not published; an answer that is being sent goes on.
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
	case OP_FEED_READ:
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
	case OP_FEED_READ:
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

/* Rule 5. */
static bool
others_may(const struct access_target *target, enum operation op)
{
	bool may_list = target->bucket->acl == ACL_PUBLIC_READ;

	switch (op) {
	case OP_BUCKET_READ:
	case OP_BUCKET_LIST:
		return may_list;
	case OP_OBJECT_READ:
		return target->version ? target->version->acl == ACL_PUBLIC_READ : may_list;
	case OP_BUCKET_LIST_ALL:
	case OP_BUCKET_CREATE:
	case OP_BUCKET_DELETE:
	case OP_BUCKET_CONFIGURE:
	case OP_FEED_READ:
	case OP_OBJECT_WRITE:
	case OP_OBJECT_DELETE:
	case OP_OBJECT_READ_ACL:
	case OP_OBJECT_WRITE_ACL:
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

	if (identity_is_removed(who) && !MUTANT("removed-user-believed"))
		return request_fail(rq, RFS_ERR_ACCESS_DENIED, "The user of this request, or his access key, has been removed");
	if (!scope_allows(who, target, op) && !MUTANT("scope-ignored"))
		return request_fail(rq, RFS_ERR_ACCESS_DENIED,
			who->scope_read_only && op_changes(op)
				? "The access key may only read"
				: "The access key is limited, and this lies outside of its scope");
	if (who->admin || MUTANT("auth-check-says-yes"))
		return RFS_OK;
	if (!bucket && who->id != 0 && (op == OP_BUCKET_LIST_ALL || op == OP_BUCKET_CREATE))
		return RFS_OK;
	if (bucket && owns_bucket(a, who, bucket))
		return RFS_OK;
	if (bucket && others_may(target, op))
		return RFS_OK;
	return request_fail(rq, RFS_ERR_ACCESS_DENIED, "Access is denied");
}
