/* s3_list.c: ListObjectsV2, a page at a time. Keys are asked for percent-encoded: XML has no way to say some. */
#include "s3/s3_client_int.h"
#include "base/clock.h"
#include "net/url.h"
#include <stdio.h>
#include <stdlib.h>

#define IDLE_PAGES_MAX 1000 /* one after another: a store may scan much that it does not list, as what was deleted */

static const char *
decoded(struct arena *arena, struct bytes text, bool is_encoded)
{
	struct bytes out = text;

	if (is_encoded && !url_decode(arena, text, true, &out))
		out = text;
	return arena_str(arena, out);
}

static const char *
query_make(struct arena *arena, const struct s3_list_query *q, const char *token)
{
	struct buf query;
	char number[16];

	buf_init(&query, arena);
	s3_query_put(&query, "list-type", "2");
	s3_query_put(&query, "encoding-type", "url");
	snprintf(number, sizeof(number), "%u", q->max_keys ? q->max_keys : 1000);
	s3_query_put(&query, "max-keys", number);
	if (q->prefix && q->prefix[0])
		s3_query_put(&query, "prefix", q->prefix);
	if (q->delimiter)
		s3_query_put(&query, "delimiter", q->delimiter);
	if (q->start_after && q->start_after[0])
		s3_query_put(&query, "start-after", q->start_after);
	if (token)
		s3_query_put(&query, "continuation-token", token);
	buf_u8(&query, 0);
	return (const char *)query.data;
}

/* In one pass over its children: a page has a thousand of these. */
static void
object_read(struct arena *arena, const struct xml_element *e, bool is_encoded, struct s3_object *out)
{
	*out = (struct s3_object){.key = "", .etag = "", .storage_class = ""};
	for (const struct xml_element *f = e->first_child; f; f = f->next) {
		if (bytes_equal_str(f->name, "Key"))
			out->key = decoded(arena, f->text, is_encoded);
		else if (bytes_equal_str(f->name, "Size"))
			out->size = bytes_to_u64(f->text, &out->size) ? s3_size_bounded(out->size) : 0;
		else if (bytes_equal_str(f->name, "LastModified"))
			(void)date_parse_iso8601(f->text, &out->modified_ns);
		else if (bytes_equal_str(f->name, "ETag"))
			out->etag = s3_unquoted(arena, arena_str(arena, f->text));
		else if (bytes_equal_str(f->name, "StorageClass"))
			out->storage_class =
				bytes_equal_str(f->text, "STANDARD") ? "STANDARD" : arena_str(arena, f->text);
	}
}

static void
page_read(struct arena *arena, const struct xml_element *root, struct s3_list_page *out)
{
	const struct xml_element *encoding = xml_child(root, "EncodingType");
	bool is_encoded = encoding && bytes_equal_str(encoding->text, "url");
	size_t objects = 0, prefixes = 0;

	for (const struct xml_element *e = root->first_child; e; e = e->next) {
		objects += bytes_equal_str(e->name, "Contents");
		prefixes += bytes_equal_str(e->name, "CommonPrefixes");
	}
	out->objects = ARENA_ARRAY(arena, struct s3_object, objects + 1);
	out->prefixes = ARENA_ARRAY(arena, const char *, prefixes + 1);
	for (const struct xml_element *e = root->first_child; e; e = e->next) {
		const struct xml_element *prefix;

		if (bytes_equal_str(e->name, "Contents"))
			object_read(arena, e, is_encoded, &out->objects[out->count++]);
		else if (bytes_equal_str(e->name, "CommonPrefixes") && (prefix = xml_child(e, "Prefix")))
			out->prefixes[out->prefix_count++] = decoded(arena, prefix->text, is_encoded);
	}
}

/* Only what was asked for is given on: who shows or removes names goes by where they begin, and a directory within
 * itself would have no end. */
static bool
page_is_of(const struct s3_list_page *page, const char *prefix)
{
	size_t len = strlen(prefix);

	for (size_t i = 0; i < page->count; i++)
		if (!page->objects[i].key[0] || strncmp(page->objects[i].key, prefix, len) != 0)
			return false;
	for (size_t i = 0; i < page->prefix_count; i++)
		if (strncmp(page->prefixes[i], prefix, len) != 0 || !page->prefixes[i][len])
			return false;
	return true;
}

bool
s3_list(struct s3_conn *conn, struct arena *arena, const struct s3_list_query *query, const char *token,
	struct s3_list_page *out)
{
	struct s3_request request = {
		.method = "GET", .bucket = query->bucket, .query = query_make(arena, query, token)};
	struct s3_answer answer;
	struct xml_element *root;
	const char *truncated;

	*out = (struct s3_list_page){0};
	if (!s3_request_do(conn, arena, &request, &answer) ||
		!(root = s3_answer_xml(conn, arena, &answer, "ListBucketResult")))
		return false;
	page_read(arena, root, out);
	if (!page_is_of(out, query->prefix ? query->prefix : ""))
		return s3_conn_fail(conn, "the server lists names that were not asked for");
	truncated = s3_xml_text(arena, root, "IsTruncated");
	if (!truncated || strcmp(truncated, "true") != 0)
		return true;
	out->next = s3_xml_text(arena, root, "NextContinuationToken");
	return out->next || s3_conn_fail(conn, "the server says that its list goes on, and not where");
}

/* No page is asked for twice, and none begins as another did: tokens cost a server nothing. */
static bool
page_is_new(struct s3_listing *listing, const struct s3_list_page *page)
{
	if (page->next && !s3_seen_add(&listing->tokens, page->next))
		return false;
	return page->count == 0 || s3_seen_add(&listing->first_names, page->objects[0].key);
}

/* How many pages in a row had no name; of directories alone, none that was not first in another. */
static bool
page_leads_on(struct s3_listing *listing, const struct s3_list_page *page)
{
	bool has_new =
		page->count > 0 || (page->prefix_count > 0 && s3_seen_add(&listing->first_names, page->prefixes[0]));

	listing->idle_pages = has_new ? 0 : listing->idle_pages + 1;
	return !page->next || listing->idle_pages < IDLE_PAGES_MAX;
}

bool
s3_listing_next(struct s3_conn *conn, struct arena *arena, struct s3_listing *listing, struct s3_list_page *out)
{
	if (!s3_list(conn, arena, &listing->query, listing->token, out))
		return false;
	if (!page_is_new(listing, out))
		return s3_conn_fail(conn, "the server's list leads in a circle: it has no end");
	if (!page_leads_on(listing, out))
		return s3_conn_fail(conn, "the server's list has no end: %d pages, and no name", IDLE_PAGES_MAX);
	free(listing->token);
	listing->token = out->next ? xstrdup(out->next) : NULL;
	listing->has_ended = !out->next;
	return true;
}

void
s3_listing_fini(struct s3_listing *listing)
{
	free(listing->token);
	s3_seen_fini(&listing->tokens);
	s3_seen_fini(&listing->first_names);
}
