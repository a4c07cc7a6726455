/* s3_answer.c: what answers say: XML bodies, errors, and the headers of objects. */
#include "s3/s3_client_int.h"
#include "base/clock.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define META "x-amz-meta-"

static const struct xml_limits limits = {64 * 1024 * 1024, 16, 1000000};

/* Amazon S3 API reference, "Common response headers": each answer has its request's id. */
void
s3_foreign_say(struct s3_conn *conn, const struct s3_answer *answer)
{
	if (s3_answer_header(answer, "x-amz-request-id"))
		return;
	conn->failure.is_foreign = true;
	s3_failure_add(conn, "; what answered does not seem to be an S3 store");
}

/* --- XML ---------------------------------------------------------------------------------------------------------- */

struct xml_element *
s3_answer_xml(struct s3_conn *conn, struct arena *arena, const struct s3_answer *answer, const char *name)
{
	struct xml_element *root;
	const char *problem;

	if (!xml_parse(arena, answer->body, &limits, &root, &problem)) {
		s3_conn_fail(conn, "the server's answer is no XML document: %s", problem);
		s3_foreign_say(conn, answer);
		return NULL;
	}
	if (bytes_equal_str(root->name, name))
		return root;
	/* An error may come behind a 200: the status had to be sent before the outcome was known. */
	if (!s3_failure_read(conn, answer->body)) {
		s3_conn_fail(conn, "the server's answer is another document than %s", name);
		s3_foreign_say(conn, answer);
	}
	return NULL;
}

const char *
s3_xml_text(struct arena *arena, const struct xml_element *parent, const char *name)
{
	const struct xml_element *e = xml_child(parent, name);

	return e ? arena_str(arena, e->text) : NULL;
}

uint64_t
s3_xml_number(const struct xml_element *parent, const char *name)
{
	const struct xml_element *e = xml_child(parent, name);
	uint64_t number = 0;

	return e && bytes_to_u64(xml_trim(e->text), &number) ? number : 0;
}

int64_t
s3_xml_date(const struct xml_element *parent, const char *name)
{
	const struct xml_element *e = xml_child(parent, name);
	int64_t ns = 0;

	return e && date_parse_iso8601(xml_trim(e->text), &ns) ? ns : 0;
}

const char *
s3_unquoted(struct arena *arena, const char *etag)
{
	size_t len = etag ? strlen(etag) : 0;

	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"')
		return arena_str(arena, bytes_of(etag + 1, len - 2));
	return etag ? etag : "";
}

bool
s3_failure_read(struct s3_conn *conn, struct bytes body)
{
	struct arena *arena = conn->scratch;
	const char *code, *message, *problem;
	struct xml_element *root;

	if (!xml_parse(arena, body, &limits, &root, &problem) || !bytes_equal_str(root->name, "Error"))
		return false;
	code = s3_xml_text(arena, root, "Code");
	message = s3_xml_text(arena, root, "Message");
	snprintf(conn->failure.code, sizeof(conn->failure.code), "%s", code ? code : "");
	s3_conn_fail(conn, "%s%s%s", code ? code : "", message && message[0] ? ": " : "", message ? message : "");
	return true;
}

/* --- headers of an object ----------------------------------------------------------------------------------------- */

/* Seconds since 1970 with a fraction, as several clients write them. */
static int64_t
mtime_parse(const char *text)
{
	int64_t ns = 0, scale = NS_PER_SECOND / 10;
	char *end;
	long long seconds = strtoll(text, &end, 10);

	if (end == text || llabs(seconds) > INT64_MAX / NS_PER_SECOND - 1)
		return INT64_MIN;
	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, scale /= 10)
			ns += (*end - '0') * scale;
	if (*end != '\0')
		return INT64_MIN;
	return seconds * NS_PER_SECOND + (text[0] == '-' ? -ns : ns);
}

static void
metadata_add(struct s3_info *info, const struct s3_header *h)
{
	struct s3_header *m = &info->metadata[info->metadata_count++];

	m->name = h->name + strlen(META);
	m->value = h->value;
	if (strcmp(m->name, "mtime") == 0)
		info->mtime_ns = mtime_parse(h->value);
}

static bool
is_kept(const char *name)
{
	static const char *const names[] = {
		"cache-control", "content-disposition", "content-encoding", "content-language", "expires"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* What counts parts or looks for their ends adds to it. */
uint64_t
s3_size_bounded(uint64_t said)
{
	return said < INT64_MAX ? said : INT64_MAX;
}

/* The whole length, also of a range: "bytes 0-9/100". */
static uint64_t
size_read(const struct s3_answer *answer)
{
	const char *range = s3_answer_header(answer, "content-range"), *length, *slash;

	if (range && (slash = strchr(range, '/')))
		return s3_size_bounded(strtoull(slash + 1, NULL, 10));
	length = s3_answer_header(answer, "content-length");
	return length ? s3_size_bounded(strtoull(length, NULL, 10)) : 0;
}

/* Of parts, or of all? A range has that of the whole, too. */
static const char *
whole_checksum(const struct s3_answer *answer, const char *name)
{
	const char *type = s3_answer_header(answer, "x-amz-checksum-type"), *value = s3_answer_header(answer, name);

	return value && !strchr(value, '-') && !(type && strcmp(type, "COMPOSITE") == 0) ? value : NULL;
}

static const char *
or_empty(const char *text)
{
	return text ? text : "";
}

void
s3_info_read(struct arena *arena, const struct s3_answer *answer, struct s3_info *out)
{
	const char *modified = s3_answer_header(answer, "last-modified");
	const char *parts = s3_answer_header(answer, "x-amz-mp-parts-count");

	*out = (struct s3_info){
		.size = size_read(answer),
		.mtime_ns = INT64_MIN,
		.etag = s3_unquoted(arena, s3_answer_header(answer, "etag")),
		.content_type = or_empty(s3_answer_header(answer, "content-type")),
		.storage_class = or_empty(s3_answer_header(answer, "x-amz-storage-class")),
		.crc64nvme = whole_checksum(answer, "x-amz-checksum-crc64nvme"),
		.is_encrypted = s3_answer_header(answer, "x-amz-server-side-encryption"),
		.parts = parts ? (unsigned)strtoul(parts, NULL, 10) : 0,
		.metadata = ARENA_ARRAY(arena, struct s3_header, answer->header_count + 1),
		.kept = ARENA_ARRAY(arena, struct s3_header, answer->header_count + 1),
	};
	if (modified)
		(void)date_parse_http(bytes_str(modified), &out->modified_ns);
	for (size_t i = 0; i < answer->header_count; i++)
		if (strncmp(answer->headers[i].name, META, strlen(META)) == 0)
			metadata_add(out, &answer->headers[i]);
		else if (is_kept(answer->headers[i].name))
			out->kept[out->kept_count++] = answer->headers[i];
}
