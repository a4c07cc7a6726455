/* conditions.c: If-Match and its kin, in the order of RFC 9110, 13.2.2. [any] */
#include "core/core_int.h"
#include "base/mutant.h"

#define NS_PER_SECOND 1000000000LL

static struct bytes
trim(struct bytes v)
{
	while (v.len && (v.data[0] == ' ' || v.data[0] == '\t'))
		v = bytes_sub(v, 1, v.len);
	while (v.len && (v.data[v.len - 1] == ' ' || v.data[v.len - 1] == '\t'))
		v.len--;
	return v;
}

/* One ETag of a list: with or without quotes, weak or not. S3 gives strong ones only, so both comparisons are the same. */
static bool
etag_equals(struct bytes item, struct bytes etag)
{
	item = trim(item);
	if (bytes_starts_with(item, BYTES_LITERAL("W/")))
		item = bytes_sub(item, 2, item.len);
	if (item.len >= 2 && item.data[0] == '"' && item.data[item.len - 1] == '"')
		item = bytes_sub(item, 1, item.len - 2);
	return bytes_equal(item, etag);
}

static bool
etag_matches(struct bytes list, const struct version *head)
{
	size_t start = 0;

	if (bytes_equal_str(trim(list), "*"))
		return true;
	while (start <= list.len) {
		size_t comma = bytes_find(list, ',', start), end = comma == SIZE_MAX ? list.len : comma;

		if (etag_equals(bytes_sub(list, start, end - start), head->etag))
			return true;
		start = end + 1;
	}
	return false;
}

/* HTTP dates have whole seconds. */
static bool
modified_after(const struct version *head, int64_t ns)
{
	return head->modified_ns / NS_PER_SECOND > ns / NS_PER_SECOND;
}

enum rfs_err
conditions_hold(struct request *rq, const struct conditions *c, const struct version *head, bool reading)
{
	if (MUTANT("conditions-ignored"))
		return RFS_OK;
	if (c->if_match.len) {
		if (!head)
			return reading ? RFS_OK : RFS_ERR_NO_SUCH_KEY; /* a read finds out by itself that there is nothing */
		if (!etag_matches(c->if_match, head))
			return request_fail(rq, RFS_ERR_PRECONDITION_FAILED, "the condition If-Match does not hold");
	} else if (c->if_unmodified_since_ns && head && modified_after(head, c->if_unmodified_since_ns)) {
		return request_fail(rq, RFS_ERR_PRECONDITION_FAILED, "the condition If-Unmodified-Since does not hold");
	}
	if (c->if_none_match.len) {
		if (head && etag_matches(c->if_none_match, head))
			return reading ? RFS_ERR_NOT_MODIFIED
				       : request_fail(rq, RFS_ERR_PRECONDITION_FAILED,
						 "the condition If-None-Match does not hold");
	} else if (c->if_modified_since_ns && head && !modified_after(head, c->if_modified_since_ns)) {
		return reading ? RFS_ERR_NOT_MODIFIED
			       : request_fail(rq, RFS_ERR_PRECONDITION_FAILED,
					 "the condition If-Modified-Since does not hold");
	}
	return RFS_OK;
}
