/*
 * transfer_copy.c: an object to an object, within the server. What is very large goes in parts.
 *
 * Parts that an earlier copy has made are taken if they may be of this object, as it is now: what they are of is not
 * told, so the CRC64NVME of the whole, made of those of the parts, says at the end whether they were. So it is when an
 * object comes from another store (transfer_relay.c), where an ETag of the same parts may say it, too.
 */
#include "transfer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "cli_progress.h"

#define S3_COPY_MAX (INT64_C(5) << 30)    /* at once */
#define COPY_WHOLE_MAX (INT64_C(1) << 30) /* a server may take minutes for more */
#define COPY_PART_BYTES (INT64_C(128) << 20)

bool
copy_refused(struct worker *w, const struct s3_conn *conn, struct large *large)
{
	struct copy_own *own = large->own;
	long status = s3_conn_failure(conn)->status;

	if (status >= 400 && status < 500 && status != 408 && status != 429)
		own->is_vain = true; /* the source is another by now, or it may not be done */
	return report_refused_by(w, conn, large->job);
}

void
copy_part_made(struct worker *w, struct large *large, unsigned number, const struct s3_part *made)
{
	struct copy_own *own = large->own;
	struct s3_part *part = &large->uploaded[number];

	if (!crc64_parse(made->crc64nvme, &large->crcs[number]))
		own->lacks_crc = true;
	*part = *made;
	part->etag = large_text(w->transfer, large, made->etag);
	part->crc64nvme = made->crc64nvme ? large_text(w->transfer, large, made->crc64nvme) : NULL;
}

static bool
copy_part(struct worker *w, struct large *large, unsigned number)
{
	struct s3_part made;

	if (large->uploaded[number].number)
		return true;
	if (!s3_upload_part_copy(w->conn, w->arena, &large->upload, number + 1, w->transfer->from_bucket,
		    large->job->from, large->job->etag[0] ? large->job->etag : NULL, large_offset(large, number),
		    large_length(large, number), &made))
		return copy_refused(w, w->conn, large);
	copy_part_made(w, large, number, &made);
	return true;
}

/* Parts of which nobody has said that their ETags are no MD5. */
static bool
etags_are_md5(const struct large *large)
{
	uint8_t digest[16];

	for (unsigned i = 0; i < large->parts; i++)
		if (large->uploaded[i].is_encrypted || !hex_decode(bytes_str(large->uploaded[i].etag), digest, 16))
			return false;
	return true;
}

/* An ETag of parts is the MD5 of theirs, and their count. */
static bool
etag_fits(const struct large *large)
{
	struct digester *d = digester_new(DIGEST_BIT(DIGEST_MD5));
	struct digest_value value;
	uint8_t digest[16];
	char text[33];

	for (unsigned i = 0; i < large->parts; i++) {
		(void)hex_decode(bytes_str(large->uploaded[i].etag), digest, 16);
		digester_update(d, digest, 16);
	}
	digester_value(d, DIGEST_MD5, &value);
	digester_free(d);
	hex_encode(bytes_of(value.bytes, 16), text);
	return strncmp(text, large->job->etag, 32) == 0;
}

static bool
copy_is_of_source(const struct large *large)
{
	const struct copy_own *own = large->own;
	uint64_t crc;

	if (!own->lacks_crc && crc64_parse(own->crc64nvme, &crc))
		return large_crc(large) == crc;
	if (own->has_its_parts && etags_are_md5(large))
		return etag_fits(large);
	return !own->is_resumed;
}

static bool
copy_complete(struct worker *w, struct large *large)
{
	struct copy_own *own = large->own;
	const char *crc = own->lacks_crc ? NULL : crc64_text(w->arena, large_crc(large));

	if (!copy_is_of_source(large)) {
		own->is_vain = true;
		return report_failed(w->transfer, w->transfer->from_bucket, large->job->from,
			"its parts on the server are not what its checksum says, and were removed: copy it again%s",
			own->has_its_parts ? " (with --part-size, if it came in parts of several sizes)" : "");
	}
	return s3_upload_complete(w->conn, w->arena, &large->upload, large->uploaded, large->parts, crc) ||
	       copy_refused(w, w->conn, large);
}

/* What failed is left on the server, if the next time can go on with it. */
bool
copy_finish(struct worker *w, struct large *large, bool whole)
{
	struct copy_own *own = large->own;

	if (whole && copy_complete(w, large))
		return true;
	if (own->is_vain || large->upload.plain || !(own->crc64nvme || own->has_its_parts))
		(void)s3_upload_abort(w->conn, &large->upload);
	return false;
}

static const struct large_kind copy_kind = {copy_part, copy_finish};

static bool
part_may_fit(struct large *large, unsigned number, const struct s3_part *part)
{
	return crc64_parse(part->crc64nvme, &large->crcs[number]);
}

/* How a body was signed on its way is nothing of the object; some stores keep it. */
static bool
is_of_the_way(const struct s3_header *header)
{
	return strcmp(header->name, "content-encoding") == 0 && strcmp(header->value, "aws-chunked") == 0;
}

struct s3_put
copy_put(struct arena *arena, const struct transfer *t, const char *key, const struct s3_info *info)
{
	struct s3_put put = {.bucket = t->to_bucket, .key = key, .mtime_ns = INT64_MIN};
	struct s3_header *headers = ARENA_ARRAY(arena, struct s3_header, info->metadata_count + info->kept_count + 1);

	for (size_t i = 0; i < info->metadata_count; i++)
		headers[i] = (struct s3_header){
			arena_printf(arena, "x-amz-meta-%s", info->metadata[i].name), info->metadata[i].value};
	put.header_count = info->metadata_count;
	for (size_t i = 0; i < info->kept_count; i++)
		if (!is_of_the_way(&info->kept[i]))
			headers[put.header_count++] = info->kept[i];
	put.headers = headers;
	if (info->content_type[0])
		put.content_type = info->content_type;
	return put;
}

/* A multipart upload takes no metadata from its source: it is told. An earlier one is of this source only if that is
 * older, by whole seconds of the target's clock. */
bool
copy_begin(struct worker *w, struct large *large, const struct s3_info *info)
{
	struct s3_put put = copy_put(w->arena, w->transfer, large->job->to, info);
	struct copy_own *own = large->own;
	int64_t since_ns = info->modified_ns + NS_PER_SECOND;
	uint64_t crc;

	if (w->from_conn != w->conn)
		since_ns += s3_conn_skew_ns(w->conn) - s3_conn_skew_ns(w->from_conn);
	large->job->etag = arena_str(large->arena, bytes_str(info->etag));
	own->crc64nvme =
		crc64_parse(info->crc64nvme, &crc) ? arena_str(large->arena, bytes_str(info->crc64nvme)) : NULL;
	if (!large_upload_begin(w, large, &put, since_ns, own->crc64nvme || own->has_its_parts ? part_may_fit : NULL))
		return false;
	own->is_resumed = large_has_parts(large);
	return true;
}

/* What the user says of parts; else they are larger than those of transfers, whose bytes have to go somewhere. */
static uint64_t
copy_part_size(const struct transfer *t)
{
	return (uint64_t)cli_number(t->cli, "part_size", COPY_PART_BYTES);
}

static uint64_t
copy_whole_max(const struct transfer *t)
{
	int64_t said = 2 * cli_number(t->cli, "part_size", COPY_WHOLE_MAX / 2);

	return (uint64_t)(said < S3_COPY_MAX ? said : S3_COPY_MAX);
}

bool
transfer_copy(struct worker *w, struct job *job, bool *taken)
{
	struct transfer *t = w->transfer;
	struct large *large;
	struct s3_info info;

	if (job->size <= copy_whole_max(t)) {
		if (!s3_copy(
			    w->conn, t->from_bucket, job->from, job->etag[0] ? job->etag : NULL, t->to_bucket, job->to))
			return report_refused(w, job);
		progress_add(job->size);
		return true;
	}
	*taken = true;
	if (!s3_head(w->conn, w->arena, t->from_bucket, job->from, &info))
		return report_refused(w, job);
	large = large_new(job, &copy_kind, job->size, copy_part_size(t));
	large->own = ARENA_NEW(large->arena, struct copy_own);
	if (copy_begin(w, large, &info)) {
		transfer_offer(t, large);
		return true;
	}
	large_free(large);
	return report_refused(w, job);
}
