/* s3_bucket.c: ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation (Amazon S3 API reference). */
#include "doors/s3/s3_int.h"
#include "doors/s3/s3_xml_read.h"

#define BUCKETS_MAX 10000 /* of max-buckets */
#define BUCKETS_PAGE 1000

/* us-east-1 was there before regions were, and has no name in locations. */
static bool
is_first_region(const struct s3_exchange *ex)
{
	return strcmp(ex->door->config->s3_region, "us-east-1") == 0;
}

static void
write_bucket(struct s3_exchange *ex, struct buf *xml, const struct bucket_row *row, bool with_region)
{
	xml_open(xml, "Bucket");
	xml_text(xml, "Name", row->name);
	xml_date(xml, "CreationDate", row->created_ns);
	if (with_region)
		xml_string(xml, "BucketRegion", ex->door->config->s3_region);
	xml_close(xml, "Bucket");
}

/* Pages of core's until there are `limit`; `last` is where more would go on. */
static enum rfs_err
write_buckets(struct s3_exchange *ex, struct buf *xml, struct bytes after, uint64_t limit, bool with_region,
	struct bytes *last)
{
	struct bytes prefix = s3_param(ex, "prefix");
	bool more = true;
	enum rfs_err err;

	*last = (struct bytes){0};
	while (more && limit) {
		struct bucket_row *rows = NULL;
		size_t count = 0, page = limit < BUCKETS_PAGE ? limit : BUCKETS_PAGE;

		if ((err = bucket_list(ex->door->core, ex->rq, after, prefix, page, &rows, &count, &more)))
			return err;
		for (size_t i = 0; i < count; i++)
			write_bucket(ex, xml, &rows[i], with_region);
		limit -= count;
		if (count == 0)
			more = false;
		else
			after = rows[count - 1].name;
	}
	if (more)
		*last = after;
	return RFS_OK;
}

/* [any] The continuation token is the last bucket's name. */
enum rfs_err
s3_list_buckets(struct s3_exchange *ex)
{
	struct bytes token = s3_param(ex, "continuation-token"), region = s3_param(ex, "bucket-region"), last = {0};
	bool is_elsewhere = region.len && !bytes_equal_str(region, ex->door->config->s3_region);
	bool is_paged = s3_param(ex, "max-buckets").data || token.data;
	uint64_t limit = BUCKETS_MAX;
	struct buf *xml;
	enum rfs_err err;

	if ((err = s3_param_number(ex, "max-buckets", 1, BUCKETS_MAX, &limit)))
		return err;
	xml = s3_reply_xml(ex, "ListAllMyBucketsResult");
	if (ex->signature.kind != SIGV4_NONE)
		s3_write_owner(ex, xml, ex->rq->who->id);
	xml_open(xml, "Buckets");
	if ((err = write_buckets(ex, xml, token, is_elsewhere ? 0 : limit, is_paged || region.len, &last)))
		return err;
	xml_close(xml, "Buckets");
	if (s3_param(ex, "prefix").data)
		xml_text(xml, "Prefix", s3_param(ex, "prefix"));
	if (last.len && !is_elsewhere)
		xml_text(xml, "ContinuationToken", last);
	xml_close(xml, "ListAllMyBucketsResult");
	return RFS_OK;
}

static enum rfs_err
check_location(struct s3_exchange *ex)
{
	struct bytes location = {0};
	enum rfs_err err;

	if ((err = s3_xml_read_create_bucket(ex->rq, s3_document(ex), &location)))
		return err;
	if (location.len == 0 || bytes_equal_str(location, ex->door->config->s3_region))
		return RFS_OK;
	return request_fail(ex->rq, RFS_ERR_INVALID_LOCATION,
		"The location constraint is %.*s, and this store's region is %s", (int)location.len,
		(const char *)location.data, ex->door->config->s3_region);
}

/*
 * As in us-east-1, where creating one's own bucket again answers 200, and everywhere else 409 BucketAlreadyOwnedByYou.
 * There it also sets the ACL anew; here that is refused, so that nobody opens or closes a bucket by mistake.
 */
static enum rfs_err
create_again(struct s3_exchange *ex, enum acl acl)
{
	struct bucket_row row;
	enum rfs_err err;

	if (!is_first_region(ex))
		return RFS_ERR_BUCKET_OWNED;
	if ((err = bucket_open(ex->door->core, ex->rq, ex->bucket, OP_BUCKET_READ, &row)))
		return err;
	request_clear_error(ex->rq);
	if (row.acl == acl)
		return RFS_OK;
	return request_fail(ex->rq, RFS_ERR_BUCKET_EXISTS, "You already have a bucket with this name, and another ACL on it");
}

enum rfs_err
s3_create_bucket(struct s3_exchange *ex)
{
	struct bucket_create_args args = {.name = ex->bucket};
	struct bytes lock = s3_header(ex, "x-amz-bucket-object-lock-enabled");
	bool given;
	enum rfs_err err;

	if (lock.data && !bytes_equal_str_nocase(lock, "false"))
		return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED, "Object Lock is not implemented");
	if ((err = s3_read_acl(ex, &args.acl, &given)))
		return err;
	if ((err = check_location(ex)))
		return err;
	err = bucket_create(ex->door->core, ex->rq, &args);
	if (err == RFS_ERR_BUCKET_OWNED)
		err = create_again(ex, args.acl);
	if (err)
		return err;
	s3_reply_header(ex, "Location",
		bytes_str(arena_printf(ex->rq->arena, "/%.*s", (int)ex->bucket.len, (const char *)ex->bucket.data)));
	return RFS_OK;
}

enum rfs_err
s3_head_bucket(struct s3_exchange *ex)
{
	struct bucket_row row;
	enum rfs_err err;

	if ((err = bucket_open(ex->door->core, ex->rq, ex->bucket, OP_BUCKET_READ, &row)))
		return err;
	s3_reply_header(ex, "x-amz-bucket-region", bytes_str(ex->door->config->s3_region));
	s3_reply_header(ex, "x-amz-access-point-alias", BYTES_LITERAL("false"));
	s3_reply_header(ex, "Content-Type", BYTES_LITERAL("application/xml"));
	return RFS_OK;
}

enum rfs_err
s3_delete_bucket(struct s3_exchange *ex)
{
	enum rfs_err err = bucket_remove(ex->door->core, ex->rq, ex->bucket);

	if (!err)
		ex->reply.status = 204;
	return err;
}

enum rfs_err
s3_get_bucket_location(struct s3_exchange *ex)
{
	struct bucket_row row;
	struct buf *xml;
	enum rfs_err err;

	if ((err = bucket_open(ex->door->core, ex->rq, ex->bucket, OP_BUCKET_READ, &row)))
		return err;
	xml = s3_reply_xml(ex, "LocationConstraint");
	if (!is_first_region(ex))
		xml_escape(xml, bytes_str(ex->door->config->s3_region));
	xml_close(xml, "LocationConstraint");
	return RFS_OK;
}
