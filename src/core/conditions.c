/* conditions.c: If-Match and its kin, in the order of RFC 9110, 13.2.2. [any] */
#include "core/core_int.h"
#include "base/clock.h"
#include "base/mutant.h"

/* One tag of a list, without its quotes. */
struct tag {
	struct bytes text;
	bool is_weak;
};

/* RFC 9110, 8.8.3: etagc. */
static bool
is_tag_byte(uint8_t c)
{
	return c > ' ' && c != '"' && c != 0x7F;
}

static struct bytes
skip(struct bytes text, const char *bytes)
{
	while (text.len && text.data[0] && strchr(bytes, text.data[0]))
		text = bytes_sub(text, 1, SIZE_MAX);
	return text;
}

/*
 * Takes the next tag off `rest`; text.data NULL: there is none (a list may be empty, and may have empty elements: RFC
 * 9110, 5.6.1.2). Tags may lack their quotes, as S3's clients send them. False: this is no list of tags.
 */
static bool
take_tag(struct bytes *rest, struct tag *out)
{
	struct bytes t = skip(*rest, " \t,");
	bool has_quotes;
	size_t len = 0;

	*out = (struct tag){0};
	*rest = t;
	if (t.len == 0)
		return true;
	if ((out->is_weak = bytes_starts_with(t, BYTES_LITERAL("W/"))))
		t = bytes_sub(t, 2, SIZE_MAX);
	if ((has_quotes = t.len && t.data[0] == '"'))
		t = bytes_sub(t, 1, SIZE_MAX);
	while (len < t.len && is_tag_byte(t.data[len]) && (has_quotes || t.data[len] != ','))
		len++;
	out->text = bytes_sub(t, 0, len);
	t = bytes_sub(t, len, SIZE_MAX);
	if (has_quotes ? t.len == 0 || t.data[0] != '"' : len == 0 || bytes_equal_str(out->text, "*"))
		return false;
	*rest = skip(has_quotes ? bytes_sub(t, 1, SIZE_MAX) : t, " \t");
	return rest->len == 0 || rest->data[0] == ',';
}

/* Is the head's ETag in the list; by the strong comparison (RFC 9110, 8.8.3.2) a weak tag is equal to none. */
static enum rfs_err
list_look_up(
	struct request *rq, const char *header, struct bytes list, bool strong, const struct version *head, bool *found)
{
	struct tag tag;

	*found = head != NULL;
	if (bytes_equal_str(list, "*"))
		return RFS_OK;
	*found = false;
	do {
		if (!take_tag(&list, &tag))
			return request_fail(
				rq, RFS_ERR_INVALID_ARGUMENT, "%s is neither * nor a list of ETags", header);
		if (head && tag.text.data && !(strong && tag.is_weak) && bytes_equal(tag.text, head->etag))
			*found = true;
	} while (tag.text.data);
	return RFS_OK;
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
	bool found;
	enum rfs_err err;

	if (MUTANT("conditions-ignored"))
		return RFS_OK;
	if (c->if_match.data) {
		if ((err = list_look_up(rq, "If-Match", c->if_match, true, head, &found)))
			return err;
		if (!head)
			return reading ? RFS_OK : RFS_ERR_NO_SUCH_KEY; /* a read finds out by itself that there is nothing */
		if (!found)
			return request_fail(rq, RFS_ERR_PRECONDITION_FAILED, "the condition If-Match does not hold");
	} else if (c->if_unmodified_since_ns && head && modified_after(head, c->if_unmodified_since_ns)) {
		return request_fail(rq, RFS_ERR_PRECONDITION_FAILED, "the condition If-Unmodified-Since does not hold");
	}
	if (c->if_none_match.data) {
		if ((err = list_look_up(rq, "If-None-Match", c->if_none_match, false, head, &found)))
			return err;
		if (found)
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
