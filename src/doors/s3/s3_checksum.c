/* s3_checksum.c: the five checksums' names and texts (Amazon S3 user guide, "Checking object integrity"). [any] */
#include "doors/s3/s3_int.h"
#include <strings.h>

static const struct s3_checksum_name checksums[] = {
	{DIGEST_CRC32, "CRC32", "x-amz-checksum-crc32", "ChecksumCRC32"},
	{DIGEST_CRC32C, "CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C"},
	{DIGEST_CRC64NVME, "CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME"},
	{DIGEST_SHA1, "SHA1", "x-amz-checksum-sha1", "ChecksumSHA1"},
	{DIGEST_SHA256, "SHA256", "x-amz-checksum-sha256", "ChecksumSHA256"},
};
#define CHECKSUMS (sizeof(checksums) / sizeof(checksums[0]))

const struct s3_checksum_name *
s3_checksum_of(enum digest digest)
{
	for (size_t i = 0; i < CHECKSUMS; i++)
		if (checksums[i].digest == digest)
			return &checksums[i];
	return NULL;
}

const struct s3_checksum_name *
s3_checksum_by_algorithm(struct bytes algorithm)
{
	for (size_t i = 0; i < CHECKSUMS; i++)
		if (bytes_equal_str_nocase(algorithm, checksums[i].algorithm))
			return &checksums[i];
	return NULL;
}

const struct s3_checksum_name *
s3_checksum_by_header(struct bytes header)
{
	for (size_t i = 0; i < CHECKSUMS; i++)
		if (bytes_equal_str_nocase(header, checksums[i].header))
			return &checksums[i];
	return NULL;
}

const char *
s3_digest_text(struct arena *arena, enum digest digest, const struct digest_value *value)
{
	char *text = arena_alloc(arena, 4 * ((DIGEST_MAX_BYTES + 2) / 3) + 1);

	base64_encode(bytes_of(value->bytes, digest_size(digest)), text);
	return text;
}

const char *
s3_checksum_text(struct arena *arena, const struct version *v)
{
	const char *text = s3_digest_text(arena, v->checksum, &v->checksum_value);

	return v->checksum_type == CHECKSUM_COMPOSITE && v->parts ? arena_printf(arena, "%s-%u", text, v->parts) : text;
}

const char *
s3_checksum_type_text(const struct version *v)
{
	return v->checksum_type == CHECKSUM_COMPOSITE ? "COMPOSITE" : "FULL_OBJECT";
}

bool
s3_checksum_decode(enum digest digest, struct bytes text, struct digest_value *out)
{
	memset(out, 0, sizeof(*out));
	return base64_decode(text, out->bytes, digest_size(digest));
}
