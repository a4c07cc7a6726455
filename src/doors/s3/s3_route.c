/* s3_route.c: which operation a request asks for, of which bucket and key, and whether all that it says is known to
 * that operation. [loop] */
#include "doors/s3/s3_int.h"
#include <strings.h>

static const char *const method_names[S3_METHOD_COUNT] = {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"};

static struct s3_operation operations[] = { /* read-only after s3_route_init */
#define OPERATION(id, method, level, query, header, flags, run, headers, params) \
	{#id, S3_##method, S3_##level, query, header, flags, run, headers, params, METRIC_S3_OTHER},
#include "doors/s3/s3_operations.def"
#undef OPERATION
};

#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* The operations whose times are told apart; the others are few, or fast. */
static const struct latency {
	const char *operation;
	enum metric metric;
} latencies[] = {
	{"GetObject", METRIC_S3_GET_OBJECT},
	{"HeadObject", METRIC_S3_HEAD_OBJECT},
	{"PutObject", METRIC_S3_PUT_OBJECT},
	{"DeleteObject", METRIC_S3_DELETE_OBJECT},
	{"DeleteObjects", METRIC_S3_DELETE_OBJECTS},
	{"CopyObject", METRIC_S3_COPY_OBJECT},
	{"UploadPartCopy", METRIC_S3_COPY_OBJECT},
	{"ListObjects", METRIC_S3_LIST_OBJECTS},
	{"ListObjectsV2", METRIC_S3_LIST_OBJECTS},
	{"ListObjectVersions", METRIC_S3_LIST_OBJECTS},
	{"UploadPart", METRIC_S3_UPLOAD_PART},
	{"CompleteMultipartUpload", METRIC_S3_COMPLETE_UPLOAD},
};

void
s3_route_init(void)
{
	for (size_t i = 0; i < OPERATIONS; i++)
		for (size_t k = 0; k < sizeof(latencies) / sizeof(latencies[0]); k++)
			if (strcmp(operations[i].name, latencies[k].operation) == 0)
				operations[i].latency = latencies[k].metric;
}

/* Known to every operation. */
static const char common_headers[] = "x-amz-date x-amz-content-sha256 x-amz-security-token x-amz-user-agent "
				     "x-amz-expected-bucket-owner";
static const char common_params[] = "x-id";
/* What a change must not be made without looking at (RFC 9110, 13.1): refused by operations that do not. */
static const char write_conditions[] = S3_H_CONDITIONS;
/* Parameters of a presigned request; their names come in any case. */
static const char presign_params[] = "x-amz-algorithm x-amz-credential x-amz-date x-amz-expires x-amz-signedheaders "
				     "x-amz-signature x-amz-security-token x-amz-content-sha256 x-amz-user-agent";
/* All query parameters that Amazon's S3 knows. Others mean nothing there, and are left alone here. */
static const char s3_params[] =
	"abac accelerate acl analytics annotation annotation-prefix annotationName append attributes bucket-region "
	"continuation-token cors delete delimiter encoding-type encryption fetch-owner id intelligent-tiering "
	"inventory key-marker legal-hold lifecycle list-type location logging marker max-annotation-results "
	"max-buckets max-directory-buckets max-keys max-parts max-uploads metadataAnnotationTable "
	"metadataConfiguration metadataInventoryTable metadataJournalTable metadataTable metrics notification "
	"object-lock ownershipControls part-number-marker partNumber policy policyStatus prefix publicAccessBlock "
	"renameObject replication requestPayment response-cache-control response-content-disposition "
	"response-content-encoding response-content-language response-content-type response-expires restore "
	"retention select select-type session start-after tagging torrent upload-id-marker uploadId uploads "
	"version-id-marker versionId versioning versions website";

bool
s3_word_in(const char *list, struct bytes name)
{
	while (*list) {
		size_t len = strcspn(list, " ");

		if (len == name.len && memcmp(list, name.data, len) == 0)
			return true;
		list += len;
		list += strspn(list, " ");
	}
	return false;
}

/* RFC 3629. */
bool
s3_is_utf8(struct bytes t)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};

	for (size_t i = 0; i < t.len;) {
		uint8_t c = t.data[i];
		size_t len = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
		uint32_t value = len == 1 ? c : c & (0x7Fu >> len);

		if (len == 0 || len > t.len - i)
			return false;
		for (size_t k = 1; k < len; k++) {
			if ((t.data[i + k] & 0xC0) != 0x80)
				return false;
			value = value << 6 | (t.data[i + k] & 0x3F);
		}
		if (value < smallest[len] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
			return false;
		i += len;
	}
	return true;
}

/* Host without its port; of "[::1]:80" the part in brackets. */
static struct bytes
host_name(struct bytes host)
{
	size_t colon;

	if (host.len && host.data[0] == '[')
		return bytes_sub(host, 1, bytes_find(host, ']', 0) - 1);
	colon = bytes_find(host, ':', 0);
	host = bytes_sub(host, 0, colon == SIZE_MAX ? host.len : colon);
	/* The root of all domains may be written, or not. */
	return host.len && host.data[host.len - 1] == '.' ? bytes_sub(host, 0, host.len - 1) : host;
}

/* The part of `host` before ".domain"; data NULL: `host` is not below the domain. */
static struct bytes
below_domain(struct bytes host, struct bytes domain)
{
	size_t left;

	if (domain.len == 0 || host.len < domain.len + 2)
		return (struct bytes){0};
	left = host.len - domain.len;
	if (strncasecmp((const char *)host.data + left, (const char *)domain.data, domain.len) != 0 ||
		host.data[left - 1] != '.')
		return (struct bytes){0};
	return bytes_sub(host, 0, left - 1);
}

static struct bytes
host_bucket(const struct s3_exchange *ex)
{
	struct bytes host = host_name(s3_header(ex, "host"));
	struct bytes bucket = below_domain(host, bytes_str(ex->door->config->s3_domain));

	return bucket.data ? bucket : below_domain(host, BYTES_LITERAL("localhost"));
}

/* "/bucket/key", or "/key" where the host names the bucket. */
static enum rfs_err
split_path(struct s3_exchange *ex)
{
	struct bytes rest = bytes_sub(ex->path, 1, SIZE_MAX), raw_bucket = {0};
	struct bytes from_host = host_bucket(ex);

	if (ex->path.len == 0 || ex->path.data[0] != '/')
		return request_fail(ex->rq, RFS_ERR_INVALID_URI, "Couldn't parse the specified URI.");
	if (from_host.data) {
		ex->bucket = s3_lower(ex->rq->arena, from_host); /* RFC 3986, 3.2.2; no bucket has capitals */
	} else {
		size_t slash = bytes_find(rest, '/', 0);

		raw_bucket = bytes_sub(rest, 0, slash == SIZE_MAX ? rest.len : slash);
		rest = slash == SIZE_MAX ? bytes_sub(rest, rest.len, 0) : bytes_sub(rest, slash + 1, SIZE_MAX);
		if (!url_decode(ex->rq->arena, raw_bucket, false, &ex->bucket))
			return request_fail(ex->rq, RFS_ERR_INVALID_URI, "Couldn't parse the specified URI.");
	}
	if (!url_decode(ex->rq->arena, rest, false, &ex->key) || !s3_is_utf8(ex->key) || !s3_is_utf8(ex->bucket) ||
		bytes_find(ex->key, 0, 0) != SIZE_MAX)
		return request_fail(ex->rq, RFS_ERR_INVALID_URI, "Couldn't parse the specified URI.");
	if (ex->key.len > S3_KEY_MAX)
		return request_fail(ex->rq, RFS_ERR_KEY_TOO_LONG, "Your key is too long");
	if (ex->bucket.len == 0 && ex->key.len)
		return request_fail(ex->rq, RFS_ERR_INVALID_BUCKET_NAME, "The specified bucket is not valid.");
	ex->level = ex->key.len ? S3_OBJECT : ex->bucket.len ? S3_BUCKET : S3_SERVICE;
	return RFS_OK;
}

static const struct s3_operation *
operation_find(const struct s3_exchange *ex)
{
	for (size_t i = 0; i < OPERATIONS; i++) {
		const struct s3_operation *op = &operations[i];

		if (op->method != ex->method || op->level != ex->level)
			continue;
		if (op->query[0] && !url_query_find(&ex->query, op->query))
			continue;
		if (op->header[0] && !s3_header(ex, op->header).data)
			continue;
		return op;
	}
	return NULL;
}

struct bytes
s3_route_methods(const struct s3_exchange *ex)
{
	struct buf list;

	buf_init(&list, ex->rq->arena);
	for (enum s3_method method = 0; method < S3_METHOD_COUNT; method++) {
		size_t i = 0;

		while (i < OPERATIONS && (operations[i].method != method || operations[i].level != ex->level))
			i++;
		if (i < OPERATIONS)
			buf_printf(&list, "%s%s", list.len ? ", " : "", method_names[method]);
	}
	return buf_bytes(&list);
}

enum rfs_err
s3_route(struct s3_exchange *ex, struct bytes method)
{
	enum rfs_err err;

	for (ex->method = 0; ex->method < S3_METHOD_COUNT; ex->method++)
		if (bytes_equal_str(method, method_names[ex->method]))
			break;
	if (!url_query_parse(ex->rq->arena, ex->http->query, S3_QUERY_MAX, &ex->query))
		return request_fail(ex->rq, RFS_ERR_INVALID_URI, "Couldn't parse the specified URI.");
	if ((err = split_path(ex)))
		return err;
	ex->op = operation_find(ex);
	if (ex->op)
		return RFS_OK;
	if (ex->method == S3_METHOD_COUNT || ex->level == S3_SERVICE)
		return request_fail(ex->rq, RFS_ERR_METHOD_NOT_ALLOWED,
			"The specified method is not allowed against this resource.");
	return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED, "This operation is not implemented");
}

static bool
has_meaning(const struct s3_operation *op, struct bytes name)
{
	bool changes = op->method == S3_PUT || op->method == S3_POST || op->method == S3_DELETE;

	return bytes_starts_with(name, BYTES_LITERAL("x-amz-")) || (changes && s3_word_in(write_conditions, name));
}

static bool
is_known_header(const struct s3_operation *op, struct bytes name)
{
	static const struct bytes meta = BYTES_LITERAL("x-amz-meta-");

	if (op->headers[0] == '*' || s3_word_in(common_headers, name) || s3_word_in(op->headers, name))
		return true;
	return bytes_starts_with(name, meta) && s3_word_in(op->headers, meta);
}

/* A parameter x-amz-... stands for the header of that name in a presigned request. */
static bool
is_known_param(struct s3_exchange *ex, struct bytes name)
{
	struct bytes low;

	if (s3_word_in(ex->op->params, name) || s3_word_in(common_params, name) || ex->op->params[0] == '*')
		return true;
	if (name.len < 6 || strncasecmp((const char *)name.data, "x-amz-", 6) != 0)
		return !s3_word_in(s3_params, name);
	low = s3_lower(ex->rq->arena, name);
	return ex->signature.kind == SIGV4_QUERY && (s3_word_in(presign_params, low) || is_known_header(ex->op, low));
}

/*
 * In a presigned request a parameter stands for a header, and is said once: as a parameter, or, with the same value,
 * as the header too. Metadata are joined (s3_headers.c).
 */
static enum rfs_err
check_said_once(struct s3_exchange *ex, size_t at)
{
	const struct url_param *p = &ex->query.params[at];
	struct bytes low = s3_lower(ex->rq->arena, p->name), header;
	const char *name = arena_str(ex->rq->arena, low);
	bool again = false;

	if (!bytes_starts_with(low, BYTES_LITERAL("x-amz-")) || bytes_starts_with(low, BYTES_LITERAL("x-amz-meta-")))
		return RFS_OK;
	for (size_t i = at + 1; i < ex->query.count; i++)
		again |= bytes_equal_str_nocase(ex->query.params[i].name, name);
	if (!s3_word_in(presign_params, low)) {
		header = http_header_get(ex->http, name);
		again |= header.data && !bytes_equal(header, p->value);
	}
	if (!again)
		return RFS_OK;
	return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
		"A parameter or header that has one value came more than once: %s", name);
}

enum rfs_err
s3_route_check_known(struct s3_exchange *ex)
{
	enum rfs_err err;

	for (size_t i = 0; i < ex->header_count; i++) {
		struct bytes name = ex->headers[i].name;

		if (has_meaning(ex->op, name) && !is_known_header(ex->op, name))
			return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED,
				"A header you provided implies functionality that is not implemented: %.*s",
				(int)name.len, (const char *)name.data);
	}
	for (size_t i = 0; i < ex->query.count; i++) {
		struct bytes name = ex->query.params[i].name;

		if (!is_known_param(ex, name))
			return request_fail(ex->rq, RFS_ERR_NOT_IMPLEMENTED,
				"A parameter you provided implies functionality that is not implemented: %.*s",
				(int)name.len, (const char *)name.data);
		if (ex->signature.kind == SIGV4_QUERY && (err = check_said_once(ex, i)))
			return err;
	}
	return RFS_OK;
}
