/* s3_path.c: s3://bucket/key, or a local path. */
#include "s3/s3_client.h"
#include <stdio.h>

#define SCHEME "s3://"

bool
s3_path_parse(struct arena *arena, const char *text, struct s3_path *out, char error[S3_ERROR_BYTES])
{
	const char *at = text + strlen(SCHEME);
	size_t len;

	*out = (struct s3_path){.bucket = "", .key = "", .local = text};
	if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
		return true;
	len = strcspn(at, "/");
	out->is_s3 = true;
	out->bucket = arena_str(arena, bytes_of(at, len));
	out->key = at[len] ? at + len + 1 : "";
	if (len == 0 && out->key[0]) {
		snprintf(error, S3_ERROR_BYTES, "%s names no bucket: a path is s3://BUCKET/KEY", text);
		return false;
	}
	return true;
}
