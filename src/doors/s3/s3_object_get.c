/*
 * s3_object_get.c: GetObject and HeadObject (Amazon S3 API reference; RFC 9110, sections 13 and 14).
 *
 * A range that cannot be read, and a list of ranges, are as if they had not come: S3 gives one range, or all.
 */
#include "base/clock.h"
#include "doors/s3/s3_int.h"
#include <inttypes.h>
#include <strings.h>

/* Of a body, read and sent at once: what a client that does not read holds, and how long others on its loop wait. Each piece that is sent may wake the client. */
#define PIECE_BYTES ((size_t)128 * 1024)
#define LONG_PIECE_BYTES ((size_t)512 * 1024)

struct get_state {
	struct object_get_args args;
	struct object_get get;
	bool is_open;
};

static void
get_close(struct s3_exchange *ex)
{
	struct get_state *state = ex->state;

	if (state && state->is_open)
		object_get_close(&state->get);
	if (state)
		state->is_open = false;
}

static void
read_range(struct bytes text, struct byte_range *out)
{
	size_t dash;
	struct bytes first, last;

	*out = (struct byte_range){0};
	if (text.len < 7 || strncasecmp((const char *)text.data, "bytes=", 6) != 0)
		return;
	text = bytes_sub(text, 6, SIZE_MAX);
	dash = bytes_find(text, '-', 0);
	if (dash == SIZE_MAX)
		return;
	first = bytes_sub(text, 0, dash);
	last = bytes_sub(text, dash + 1, SIZE_MAX);
	out->suffix = first.len == 0;
	out->open_ended = last.len == 0;
	if (out->suffix && out->open_ended)
		return;
	if ((first.len && !bytes_to_u64(first, &out->first)) || (last.len && !bytes_to_u64(last, &out->last)))
		return;
	out->given = out->suffix || out->open_ended || out->first <= out->last;
}

/* If-Range (RFC 9110, 13.1.5): another state of the object is sent whole. */
static enum rfs_err
apply_if_range(struct s3_exchange *ex, struct object_get_args *args)
{
	struct bytes text = s3_header(ex, "if-range");
	struct object_get_args look = {.bucket = args->bucket, .key = args->key, .head_only = true};
	struct object_get get = {0};
	int64_t date;
	enum rfs_err err;

	if (!text.data || !args->range.given)
		return RFS_OK;
	if ((err = object_get_open(ex->door->core, ex->rq, &look, &get)))
		return err;
	if (text.len && text.data[0] == '"')
		args->range.given = text.len == get.version.etag.len + 2 &&
				    bytes_equal(bytes_sub(text, 1, text.len - 2), get.version.etag);
	else
		args->range.given =
			date_parse_http(text, &date) && date / NS_PER_SECOND == get.version.modified_ns / NS_PER_SECOND;
	object_get_close(&get);
	return RFS_OK;
}

/* An override that is refused, or none. */
static enum rfs_err
check_overrides(struct s3_exchange *ex)
{
	for (size_t i = 0; i < ex->query.count; i++) {
		const struct url_param *param = &ex->query.params[i];

		if (!bytes_starts_with(param->name, BYTES_LITERAL("response-")))
			continue;
		if (ex->signature.kind == SIGV4_NONE)
			return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
				"Request specific response headers cannot be used for anonymous GET requests.");
		if (bytes_find_control(param->value, 0) < param->value.len)
			return request_fail(ex->rq, RFS_ERR_INVALID_ARGUMENT, "Header value cannot be sent: %.*s",
				(int)param->name.len, (const char *)param->name.data);
	}
	return RFS_OK;
}

static size_t
piece_bytes(struct s3_exchange *ex)
{
	return http_is_quiet(ex->http) ? LONG_PIECE_BYTES : PIECE_BYTES;
}

static enum rfs_err
read_args(struct s3_exchange *ex, struct object_get_args *args)
{
	uint64_t part_number = 0;
	enum rfs_err err;

	if ((err = s3_check_version_id(ex, s3_param(ex, "versionId"))))
		return err;
	if ((err = check_overrides(ex)))
		return err;
	args->bucket = ex->bucket;
	args->key = ex->key;
	args->head_only = ex->method == S3_HEAD;
	args->to_socket = !ex->rq->over_tls;
	args->piece = piece_bytes(ex);
	s3_conditions(ex, "", &args->conditions);
	read_range(s3_header(ex, "range"), &args->range);
	if ((err = s3_param_number(ex, "partNumber", 1, 10000, &part_number)))
		return err;
	if (part_number && args->range.given)
		return request_fail(ex->rq, RFS_ERR_INVALID_REQUEST,
			"Cannot specify both Range header and partNumber query parameter");
	args->part_number = (uint32_t)part_number;
	return apply_if_range(ex, args);
}

/* response-content-type and its kin take the place of the object's own. */
static void
write_overrides(struct s3_exchange *ex)
{
	static const char *const names[][2] = {
		{"response-cache-control", "cache-control"},
		{"response-content-disposition", "content-disposition"},
		{"response-content-encoding", "content-encoding"},
		{"response-content-language", "content-language"},
		{"response-content-type", "content-type"},
		{"response-expires", "expires"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bytes value = s3_param(ex, names[i][0]);

		if (value.data)
			s3_reply_header_set(ex, names[i][1], value);
	}
}

/* Of what is sent: the object, or one of its parts; not of a range. */
static void
write_checksum(struct s3_exchange *ex, const struct get_state *state)
{
	const struct object_get *get = &state->get;

	if (state->args.part_number && get->part.has_checksum)
		s3_write_checksum_value(ex, get->part.checksum, &get->part.checksum_value, s3_checksum_type_text(&get->version));
	else if (get->length == get->version.content.size && !(state->args.part_number && get->version.parts))
		s3_write_checksum(ex, &get->version);
}

static void
write_head(struct s3_exchange *ex, const struct get_state *state)
{
	const struct object_get *get = &state->get;
	struct bytes mode = s3_header(ex, "x-amz-checksum-mode");
	uint64_t size = get->version.content.size;

	s3_write_metadata(ex, &get->version);
	s3_reply_header(ex, "Accept-Ranges", BYTES_LITERAL("bytes"));
	if (get->partial)
		s3_reply_header(ex, "Content-Range",
			bytes_str(arena_printf(ex->rq->arena, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, get->offset,
				get->offset + get->length - 1, size)));
	if (bytes_equal_str_nocase(mode, "ENABLED"))
		write_checksum(ex, state);
	if (state->args.part_number && get->version.parts)
		s3_reply_header(
			ex, "x-amz-mp-parts-count", bytes_str(arena_printf(ex->rq->arena, "%u", get->version.parts)));
	write_overrides(ex);
	ex->reply.status = get->partial ? 206 : 200;
	ex->reply.has_length = true;
	ex->reply.length = get->length;
}

static enum rfs_err
get_next(struct s3_exchange *ex, struct slice *out)
{
	struct get_state *state = ex->state;

	object_get_pieces(&state->get, piece_bytes(ex));
	return object_get_read(&state->get, out);
}

/* 304 carries what a 200 would say of the object's state (RFC 9110, 15.4.5). */
static void
write_not_modified(struct s3_exchange *ex, const struct version *v)
{
	char *date = arena_alloc(ex->rq->arena, 30);

	date_http(v->modified_ns, date);
	s3_reply_reset(ex);
	s3_write_etag(ex, v);
	s3_reply_header(ex, "Last-Modified", bytes_str(date));
	ex->reply.status = 304;
}

enum rfs_err
s3_get_object(struct s3_exchange *ex)
{
	struct get_state *state = ex->state;
	enum rfs_err err;

	if (!state)
		state = ex->state = ARENA_NEW(ex->rq->arena, struct get_state);
	get_close(ex);
	*state = (struct get_state){0};
	ex->close = get_close;
	if ((err = read_args(ex, &state->args)))
		return err;
	err = object_get_open(ex->door->core, ex->rq, &state->args, &state->get);
	if (err == RFS_ERR_INVALID_RANGE) {
		ex->has_object_size = true;
		ex->object_size = state->get.version.content.size;
	}
	if (err == RFS_ERR_NOT_MODIFIED) {
		write_not_modified(ex, &state->get.version);
		return RFS_OK;
	}
	if (err)
		return err;
	state->is_open = true;
	write_head(ex, state);
	if (state->args.head_only)
		return RFS_OK;
	ex->reply.next = get_next;
	return object_get_read(&state->get, &ex->reply.bytes);
}
