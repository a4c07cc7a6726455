/* data_object.c: `restfs stat`, `restfs head`, `restfs share`: one object each. */
#include "data.h"
#include "base/clock.h"
#include <stdlib.h>

/* --- stat --------------------------------------------------------------------------------------------------------- */

static json_t *
info_json(const struct data *d, const struct s3_info *info)
{
	json_t *metadata = json_object(), *out;
	char modified[25];

	date_iso8601(info->modified_ns, modified);
	for (size_t i = 0; i < info->metadata_count; i++)
		json_object_set_new(metadata, info->metadata[i].name, json_string(info->metadata[i].value));
	out = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "bucket", d->path.bucket, "key", d->path.key, "size",
		(json_int_t)info->size, "modified", modified, "etag", info->etag, "type", info->content_type);
	if (info->parts > 0)
		json_object_set_new(out, "parts", json_integer(info->parts));
	if (info->crc64nvme)
		json_object_set_new(out, "crc64nvme", json_string(info->crc64nvme));
	json_object_set_new(out, "metadata", metadata);
	return out;
}

static void
field_show(const struct data *d, const char *name, const char *value)
{
	printf("%-10s  ", name);
	data_put_name(d, value);
	putchar('\n');
}

static void
info_show(const struct data *d, const struct s3_info *info)
{
	char text[DATA_TEXT];

	printf("path        ");
	data_put_path(d, d->path.bucket, d->path.key, "\n");
	field_show(d, "size", data_size(d, info->size, text));
	field_show(d, "modified", data_time(info->modified_ns, text));
	field_show(d, "etag", info->etag);
	field_show(d, "type", info->content_type);
	if (info->parts > 0)
		printf("parts       %u\n", info->parts);
	if (info->crc64nvme)
		field_show(d, "crc64nvme", info->crc64nvme);
	for (size_t i = 0; i < info->metadata_count; i++) {
		printf("metadata    ");
		data_put_name(d, info->metadata[i].name);
		printf("=");
		data_put_name(d, info->metadata[i].value);
		putchar('\n');
	}
}

static bool
stat_show(struct data *d)
{
	struct s3_info info;

	if (!s3_head(d->conn, d->page, d->path.bucket, d->path.key, &info))
		return data_fail(d, NULL, NULL);
	if (d->cli->json)
		cli_put_json(info_json(d, &info));
	else
		info_show(d, &info);
	arena_reset(d->page);
	return true;
}

/* --- head --------------------------------------------------------------------------------------------------------- */

#define PIECE (64 * 1024)
#define LINES 10

struct beginning {
	struct data *d;
	uint64_t bytes, lines; /* that are left to show */
	bool is_unwritten;     /* `error` says why */
};

static bool
piece_show(void *arg, struct bytes part)
{
	struct beginning *b = arg;
	size_t len = part.len < b->bytes ? part.len : (size_t)b->bytes, end = 0;

	while (end < len && b->lines > 0)
		b->lines -= part.data[end++] == '\n';
	fwrite(part.data, 1, end, stdout);
	b->bytes -= end;
	b->is_unwritten = !cli_flush(b->d->cli);
	return !b->is_unwritten;
}

/* A piece at a time, so that no more is sent than is shown, or little. */
static bool
head_show(struct data *d)
{
	struct beginning b = {d, (uint64_t)cli_number(d->cli, "bytes", INT64_MAX),
		(uint64_t)cli_number(d->cli, "lines", cli_number(d->cli, "bytes", -1) >= 0 ? INT64_MAX : LINES), false};
	struct s3_info info;
	const char *etag;
	uint64_t size;

	if (!s3_head(d->conn, d->page, d->path.bucket, d->path.key, &info))
		return data_fail(d, NULL, NULL);
	size = info.size;
	etag = info.etag[0] ? arena_str(d->cli->arena, bytes_str(info.etag)) : NULL;
	for (uint64_t offset = 0; offset < size && b.bytes > 0 && b.lines > 0; offset += PIECE) {
		uint64_t len = size - offset < PIECE ? size - offset : PIECE;
		struct s3_get get = {.bucket = d->path.bucket,
			.key = d->path.key,
			.offset = offset,
			.length = len < b.bytes ? len : b.bytes,
			.etag = etag,
			.receive = piece_show,
			.data = &b};

		arena_reset(d->page);
		if (!s3_get(d->conn, d->page, &get, &info))
			return !b.is_unwritten && data_fail(d, NULL, NULL);
	}
	return true;
}

/* --- share -------------------------------------------------------------------------------------------------------- */

#define SHARED_SECONDS 604800

static bool
is_shared(struct data *d)
{
	int64_t seconds = cli_number(d->cli, "expires", SHARED_SECONDS);

	if (seconds < 1 || seconds > SHARED_SECONDS)
		return cli_fail(d->cli, "--expires is from 1s to 7d: no store takes more");
	return data_is_object(d);
}

static bool
share_show(struct data *d)
{
	int64_t seconds = cli_number(d->cli, "expires", SHARED_SECONDS);
	const char *method = cli_flag(d->cli, "upload") ? "PUT" : "GET";
	char error[S3_ERROR_BYTES], expires[25];
	struct s3_profile profile;
	char *url;

	if (!s3_profile_load(d->cli->arena, d->cli->profile, d->cli->endpoint, &profile, error) ||
		!s3_presign(
			&profile, d->cli->arena, method, d->path.bucket, d->path.key, (uint32_t)seconds, &url, error))
		return cli_fail(d->cli, "%s: %s", d->text, error);
	date_iso8601(clock_wall_ns() + seconds * NS_PER_SECOND, expires);
	if (d->cli->json)
		cli_put_json(json_pack("{s:s, s:s, s:s, s:s, s:s}", "bucket", d->path.bucket, "key", d->path.key,
			"method", method, "url", url, "expires", expires));
	else
		printf("%s\n", url);
	return true;
}

int
data_stat(struct cli *cli)
{
	return data_each_path(cli, data_is_object, stat_show);
}

int
data_head(struct cli *cli)
{
	return data_each_path(cli, data_is_object, head_show);
}

int
data_share(struct cli *cli)
{
	return data_each_path(cli, is_shared, share_show);
}
