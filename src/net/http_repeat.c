/*
 * http_repeat.c: headers that come in several lines: joined where they are lists, told to the door where they are not
 * (RFC 9110, 5.3). What is a list: RFC 9110, 13.1 (conditions), 8.4 and 8.5 (content); RFC 9111, 5.2; the Fetch
 * standard, 3.3 (CORS). [loop]
 */
#include "net/http_int.h"

static const char *const lists[] = {"if-match", "if-none-match", "cache-control", "content-encoding",
	"content-language", "access-control-request-headers"};
static const char *const singles[] = {"authorization", "date", "content-type", "content-md5", "content-disposition",
	"expires", "range", "if-range", "if-modified-since", "if-unmodified-since", "origin",
	"access-control-request-method"};

static bool
is_one_of(const char *const *names, size_t count, struct bytes name)
{
	for (size_t i = 0; i < count; i++)
		if (bytes_equal_str(name, names[i]))
			return true;
	return false;
}

enum http_repeat
http_repeat_standard(struct bytes name)
{
	if (is_one_of(lists, sizeof(lists) / sizeof(lists[0]), name))
		return HTTP_REPEAT_LIST;
	if (is_one_of(singles, sizeof(singles) / sizeof(singles[0]), name))
		return HTTP_REPEAT_SINGLE;
	return HTTP_REPEAT_ANY;
}

/* Every later line of the header `at`, put behind it and taken out. */
static void
join_lines(struct http_exchange *x, size_t at)
{
	struct http_header *h = &x->headers[at];
	size_t kept = at + 1;
	struct buf value;

	buf_init(&value, x->rq.arena);
	buf_put_bytes(&value, h->value);
	for (size_t i = at + 1; i < x->header_count; i++) {
		if (bytes_equal(x->headers[i].name, h->name)) {
			buf_put_str(&value, ",");
			buf_put_bytes(&value, x->headers[i].value);
		} else {
			x->headers[kept++] = x->headers[i];
		}
	}
	x->header_count = kept;
	h->value = buf_bytes(&value);
}

static bool
comes_again(const struct http_exchange *x, size_t at)
{
	for (size_t i = at + 1; i < x->header_count; i++)
		if (bytes_equal(x->headers[i].name, x->headers[at].name))
			return true;
	return false;
}

struct bytes
http_settle_repeats(struct http_exchange *x, enum http_repeat (*rule)(struct bytes name))
{
	for (size_t i = 0; i < x->header_count; i++) {
		enum http_repeat repeat;

		if (!comes_again(x, i))
			continue;
		repeat = rule(x->headers[i].name);
		if (repeat == HTTP_REPEAT_SINGLE)
			return x->headers[i].name;
		if (repeat == HTTP_REPEAT_LIST)
			join_lines(x, i);
	}
	return (struct bytes){0};
}
