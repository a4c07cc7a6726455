/* transfer_copy.c: an object to an object, within the server. What is very large goes in parts. */
#include "transfer.h"
#include "cli_progress.h"

#define S3_COPY_MAX (INT64_C(5) << 30)    /* at once */
#define COPY_WHOLE_MAX (INT64_C(1) << 30) /* a server may take minutes for more */
#define COPY_PART_BYTES (INT64_C(128) << 20)

static bool
copy_part(struct worker *w, struct large *large, unsigned number)
{
	struct transfer *t = w->transfer;
	struct s3_part made;

	if (!s3_upload_part_copy(w->conn, w->arena, &large->upload, number + 1, t->from_bucket, large->job->from,
		    large->job->etag[0] ? large->job->etag : NULL, large_offset(large, number),
		    large_length(large, number), &made))
		return report_refused(w, large->job->from);
	made.etag = large_text(t, large, made.etag);
	made.crc64nvme = made.crc64nvme ? large_text(t, large, made.crc64nvme) : NULL;
	large->uploaded[number] = made;
	return true;
}

static bool
copy_finish(struct worker *w, struct large *large, bool whole)
{
	if (!whole) {
		(void)s3_upload_abort(w->conn, &large->upload);
		return false;
	}
	return s3_upload_complete(w->conn, w->arena, &large->upload, large->uploaded, large->parts, NULL) ||
	       report_refused(w, large->job->from);
}

static const struct large_kind copy_kind = {copy_part, copy_finish};

/* A multipart upload takes no metadata from its source: it is told. */
static bool
copy_begin(struct worker *w, struct large *large)
{
	struct transfer *t = w->transfer;
	struct s3_header *headers;
	struct s3_info info;
	struct s3_put put = {.bucket = t->to_bucket, .key = large->job->to, .mtime_ns = INT64_MIN};

	if (!s3_head(w->conn, w->arena, t->from_bucket, large->job->from, &info))
		return false;
	headers = ARENA_ARRAY(w->arena, struct s3_header, info.metadata_count + info.kept_count + 1);
	for (size_t i = 0; i < info.metadata_count; i++)
		headers[i] = (struct s3_header){
			arena_printf(w->arena, "x-amz-meta-%s", info.metadata[i].name), info.metadata[i].value};
	for (size_t i = 0; i < info.kept_count; i++)
		headers[info.metadata_count + i] = info.kept[i];
	put.headers = headers;
	put.header_count = info.metadata_count + info.kept_count;
	if (info.content_type[0])
		put.content_type = info.content_type;
	large->job->etag = arena_str(large->arena, bytes_str(info.etag));
	return s3_upload_create(w->conn, large->arena, &put, &large->upload);
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

	if (job->size <= copy_whole_max(t)) {
		if (!s3_copy(
			    w->conn, t->from_bucket, job->from, job->etag[0] ? job->etag : NULL, t->to_bucket, job->to))
			return report_refused(w, job->from);
		progress_add(job->size);
		return true;
	}
	*taken = true;
	large = large_new(job, &copy_kind, job->size, copy_part_size(t));
	if (copy_begin(w, large)) {
		transfer_offer(t, large);
		return true;
	}
	large_free(large);
	return report_refused(w, job->from);
}
